/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Inside trace/: the running datapath, the private copy, frames, and what tells of a packet's way. */
#ifndef TALON_TRACE_INTERNAL_H
#define TALON_TRACE_INTERNAL_H

#include <bpf/libbpf.h>

#include "crypto/key.h"
#include "datapath/datapath.h"
#include "talon/config_types.h"
#include "talon/nat_types.h"
#include "talon/packet_types.h"
#include "talon/peer_types.h"
#include "talon/wg_wire.h"
#include "trace/trace.h"

#define FRAME_ROOM	2048
#define PARTIES_MAX	8
#define FLOWS_MAX	2048		/* live flows that are copied, at most */

/* addr.c */
#define ADDR_END_LEN	(INET6_ADDRSTRLEN + 8)	/* "[ADDRESS]:65535" */
#define ADDR_PREFIX_LEN	52			/* "ADDRESS/128" */
bool addr_is_equal(struct trace_addr a, struct trace_addr b);
const char *addr_text(struct trace_addr addr, char text[static INET6_ADDRSTRLEN]);
/* "192.168.1.220:80", "[fd00::1]:80". @port: host order. */
const char *addr_end_text(struct trace_addr addr, uint16_t port, char text[static ADDR_END_LEN]);
/* "192.168.1.0/24": @addr cut to @len bits. */
void addr_prefix_text(struct trace_addr addr, unsigned len, char text[static ADDR_PREFIX_LEN]);

static inline struct trace_addr addr_of4(__be32 addr)
{
	return (struct trace_addr){ .family = AF_INET, .addr = { .word = { addr } } };
}

static inline struct trace_addr addr_of6(struct talon_addr addr)
{
	return (struct trace_addr){ .family = AF_INET6, .addr = addr };
}

static inline bool addr_is_six(struct trace_addr addr)
{
	return addr.family == AF_INET6;
}

/* The running datapath's maps, opened for reading only (live.c). */
struct live {
	int fds[DATAPATH_MAP_COUNT];	/* -1: not opened */
	struct talon_config config;
	struct talon_info info;
};

/* Returns 0, or a negative errno with one line in @why. Close it in either case. */
int live_open(struct live *live, const char *base, char *why, size_t size);
void live_close(struct live *live);
/* Is the map one that programs only read, so that the copy may share it? */
bool live_is_shared(const char *map);
bool live_get(const struct live *live, enum datapath_map map, const void *key, void *ret_value);
/* The peer that @addr belongs to by allowed IPs, or TALON_PEER_NONE. @ret_len: of the prefix. */
uint32_t live_peer_of(const struct live *live, struct trace_addr addr, unsigned *ret_len);
/* What both families say of a route of the host's; its source address is left out. */
bool live_host_route(const struct live *live, struct trace_addr addr, struct talon_host_route *ret_route);
bool live_route(const struct live *live, struct trace_addr addr, struct talon_route *ret_route);
/* enum talon_local_flags */
uint32_t live_local(const struct live *live, struct trace_addr addr);
bool live_is_own(const struct live *live, struct trace_addr addr);	/* an address of this host's */
/* Can replies to flows come to @addr? */
bool live_is_source(const struct live *live, struct trace_addr addr);
/* Does the tunnel carry packets of @addr's family? */
bool live_carries(const struct live *live, struct trace_addr addr);
/* This host's own in the mesh, of the family of @like; zero: it has none. */
struct trace_addr live_mesh_addr(const struct live *live, struct trace_addr like);
bool live_is_mesh(const struct live *live, struct trace_addr addr);	/* inside the mesh's network */
/* By key, name or mesh address. Returns its id, -ENOENT, or -ENOTUNIQ. */
int64_t live_find_peer(const struct live *live, const char *text);
/* An address as it is in flow keys and records: of IPv6 its fold (talon/nat_types.h). */
__be32 live_fold(const struct live *live, struct trace_addr addr);
/* Calls @cb for each live flow. Returns 0 or a negative errno. */
typedef void (*live_flow_cb)(uint32_t id, const struct talon_flow *flow, void *user);
int live_flows(const struct live *live, live_flow_cb cb, void *user);

struct flow_ends {
	struct trace_addr client, remote, snat;
};
struct flow_ends flow_ends(const struct talon_flow *flow, const struct talon_flow6 *six);

/* A peer that the packet, or its answer, may come from or go to. */
struct party {
	uint32_t id;
	char name[TRACE_WHO_LEN];	/* its name, or the beginning of its key */
	char key[KEY_BASE64_LEN + 1];
	struct talon_endpoint endpoint;	/* without the lock's value */
	bool has_session;		/* now, in the running datapath */
	uint64_t session_ns;		/* CLOCK_BOOTTIME of its making */
	/* of the made-up session in the copy */
	uint32_t slot, index, remote_index;
	struct secret_key recv, send;
	uint64_t counter;		/* next that the peer sends with */
};

/* Returns 0, or -ENOENT if there is no such peer. */
int party_read(const struct live *live, uint32_t id, unsigned slot, struct party *ret_party);
void party_wipe(struct party *party);

/* A packet by its headers. */
struct flight {
	struct trace_addr src, dst;	/* of the same family */
	uint16_t sport, dport;		/* host order; ICMP: the id in both */
	uint8_t proto;
	uint8_t tcp_flags;
	bool is_reply;			/* ICMP: an echo reply */
	uint32_t size;
};

struct frame {
	uint32_t len;
	uint8_t bytes[FRAME_ROOM];
};

/* frame.c */
/* Bytes of the shortest IP packet. */
uint32_t flight_least(uint16_t family, uint8_t proto);
/* ICMP or ICMPv6, which have an id in place of ports. */
static inline bool proto_is_icmp(uint8_t proto)
{
	return proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
}

/* The protocol in flow keys and records. */
static inline uint8_t flight_flow_proto(const struct flight *flight)
{
	return flight->proto | (addr_is_six(flight->src) ? TALON_PROTO_SIX : 0);
}

void flight_format(const struct flight *flight, char *text, size_t size);
/* The IP packet with right checksums. */
void frame_packet(const struct flight *flight, struct frame *ret_packet);
/* An Ethernet header before @packet. */
void frame_ethernet(const uint8_t dst[6], const uint8_t src[6], uint16_t type, const struct frame *packet,
	struct frame *ret_frame);
/*
 * The peer's data message with @packet in it, and its outer UDP and IP headers. Takes the
 * peer's next counter.
 */
struct outer {
	uint16_t family;
	struct talon_addr src, dst;
	__be16 sport, dport;
};
void frame_seal(struct party *from, const struct outer *outer, const struct frame *packet,
	struct frame *ret_packet);
/* Opens what the copy sealed for @to. Returns 0 or -EBADMSG. */
int frame_open(const struct party *to, const struct frame *frame, struct frame *ret_packet);

/* copy.c: the private programs and maps. */
enum copy_program { COPY_XDP, COPY_TC, COPY_TUNNEL, COPY_PROGRAMS };

struct copied_flow {
	struct talon_flow flow;
	struct talon_flow6 six;		/* of IPv6 */
};

struct copied_flows {
	struct copied_flow *list;
	uint32_t count;
	bool is_cut;			/* there were more than FLOWS_MAX */
};

struct copy {
	const struct live *live;
	struct party *parties;
	unsigned party_count;
	struct copied_flows flows;
	struct talon_config config;
	struct bpf_object *objects[COPY_PROGRAMS];
	bool is_filled;
	struct talon_nat_stats nat;	/* before the last run */
};

/* What the programs left of their decisions (struct talon_pkt in bpf/lib/packet.h). */
struct decision {
	uint32_t end, dir, peer, flow, ifindex, mtu;
	uint16_t flags;
	uint8_t resealed, in_local;
	uint32_t way_peer, way_end, way_what;
	__be32 way_source;
	struct talon_addr source;	/* of IPv6: as way_source */
	struct bpf_fib_lookup fib;
	uint8_t endpoint_family, endpoint_flags;
	uint16_t endpoint_mtu;
	uint32_t endpoint_ifindex;
	__be16 endpoint_port;
	struct talon_addr endpoint, endpoint_local;
	uint8_t endpoint_mac[6];
};

struct ran {
	int retval;			/* as the program returned it */
	struct decision decision;
	struct frame frame;		/* as it left */
};

void copy_close(struct copy *copy);
/*
 * Loads @program, and fills the copy's maps if it is the first one; the parties and flows to be copied, and
 * @flight, the packet itself, must be known by then. copy_run() runs it on @frame, as that would come in
 * by @ifindex. Both return 0, or a negative errno with one line in @why.
 */
int copy_prepare(struct copy *copy, enum copy_program program, const struct flight *flight, char *why,
	size_t size);
int copy_run(struct copy *copy, enum copy_program program, uint32_t ifindex, const struct frame *frame,
	struct ran *ret_ran, char *why, size_t size);
bool copy_get(const struct copy *copy, const char *map, const void *key, void *ret_value);
/* The flow that record @id of the copy holds. False: none, or its addresses are missing. */
bool copy_get_flow(const struct copy *copy, uint32_t id, struct talon_flow *ret_flow,
	struct flow_ends *ret_ends);
/* Is there a connection into the mesh that the packet may answer? */
bool copy_is_answer(const struct copy *copy, const struct flight *flight);

/* rules.c: which access rule decides? */
struct rule_found {
	bool is_open;			/* no rule is asked: a port of the controller's */
	bool is_answer;			/* to what went into the mesh */
	bool has_rule;			/* some rule matches */
	uint32_t bit;
	struct talon_acl_rule rule;	/* name empty: it has none */
};
void rules_find(const struct copy *copy, const struct flight *flight, struct trace_addr judged,
	struct rule_found *ret_found);

/* A trace in the making. */
struct walk {
	const struct trace_request *request;
	struct live live;
	struct party parties[PARTIES_MAX];
	unsigned party_count;
	struct copy copy;
	struct flight flight;		/* the way there */
	struct trace *trace;
	char *why;
	size_t why_len;
};

/*
 * One packet through the programs. In tc, what is to be sealed leaves the uplink's program for the tunnel
 * device, whose program seals it: @last is that one's run, else the same as @first.
 */
struct passage {
	struct ran first, last;
	bool through_tunnel;
	bool is_sealing;		/* it came to where packets are sealed for a peer */
	bool is_opened;			/* @inner is what was sealed, by its headers */
	struct flight inner;
	struct frame plain;		/* what left, opened if it was sealed */
};

/* ways.c: each runs the programs and tells. Return 0, or a negative errno with walk->why. */
int way_from_peer(struct walk *walk, struct party *from, const struct flight *flight, struct trace_way *way,
	struct passage *ret_passage);
int way_from_network(struct walk *walk, uint32_t ifindex, const struct flight *flight, struct trace_way *way,
	struct passage *ret_passage);
int way_from_host(struct walk *walk, const struct flight *flight, struct trace_way *way,
	struct passage *ret_passage);
struct party *walk_party(struct walk *walk, uint32_t id);	/* NULL: not one that was foreseen */

/* icmp.c: the error in the packet's place. */
enum trace_icmp_kind {
	TRACE_ICMP_NONE, TRACE_ICMP_UNREACHABLE, TRACE_ICMP_PROHIBITED, TRACE_ICMP_TOO_BIG, TRACE_ICMP_EXPIRED
};
enum trace_icmp_kind trace_icmp_kind(const struct trace_way *way);
const char *trace_icmp_name(const struct trace_way *way);

/* judge.c: how it ended, why, and the step that did it. */
void judge(struct walk *walk, struct trace_way *way, const struct passage *passage);

/* tell.c: steps as sentences. */
/* Adds a step; true: it is the one that decided, and nothing comes after it. */
bool tell(struct trace_way *way, enum trace_step_id id, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void tell_from_peer(struct walk *walk, struct trace_way *way, const struct party *from,
	const struct flight *flight, const struct passage *passage);
void tell_from_network(struct walk *walk, struct trace_way *way, const struct flight *flight,
	const struct passage *passage);
void tell_from_host(struct walk *walk, struct trace_way *way, const struct flight *flight,
	const struct passage *passage);
/* tell_way.c: where it leaves: sealed for peer @to, or by device @ifindex. */
void tell_sealed(struct walk *walk, struct trace_way *way, const struct flight *flight,
	const struct passage *passage, uint32_t to);
void tell_device(struct walk *walk, struct trace_way *way, const struct flight *flight,
	const struct passage *passage, uint32_t ifindex);
void note_peer(struct trace_way *way, const struct party *party);
/* "eth0", or "device 7" if it is gone. */
const char *device_name(uint32_t ifindex, char name[static IFNAMSIZ]);
#endif
