/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Programs, maps and their places in the kernel: load, pin, attach, adopt, replace, remove.
 *
 * Everything is pinned under <base>/v<TALON_LAYOUT_VERSION>/{maps,progs,links}, so it runs on without this
 * process. Order of a start: datapath_load (maps are there, nothing attached) -> datapath_tunnel (the veth
 * pair is there) -> the caller fills the maps -> datapath_attach. Each step can be called again. A step that
 * fails takes back what it did itself, and never touches a datapath that was running before: that one goes on
 * with its old programs.
 *
 * One process at a time: datapath_load holds a lock on <base> until datapath_close.
 */
#ifndef TALON_DATAPATH_H
#define TALON_DATAPATH_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "talon/config_types.h"

#define DATAPATH_BASE_DEFAULT		"/sys/fs/bpf/talon"
#define DATAPATH_TUNNEL_DEFAULT		"wt0"
/* in libxdp's dispatcher, where 50 is what others get; lower runs first */
#define DATAPATH_PRIORITY_DEFAULT	40

enum datapath_mode {
	DATAPATH_AUTO,
	DATAPATH_XDP,
	DATAPATH_XDP_GENERIC,
	DATAPATH_TCX,
	DATAPATH_CLSACT,
};

enum datapath_dispatcher {
	DATAPATH_DISPATCHER_AUTO,   /* join libxdp's dispatcher where one is already there */
	DATAPATH_DISPATCHER_ALWAYS, /* bring one to a free slot too; where the kernel does not let us, the slot itself
				       is taken */
	DATAPATH_DISPATCHER_NEVER,
};

/* Zero means the default everywhere. */
struct datapath_options {
	const char *base;		/* directory on a bpffs */
	const char *uplinks[TALON_UPLINKS_MAX];
	unsigned uplink_count;		/* at least 1 */
	enum datapath_mode mode;
	enum datapath_dispatcher dispatcher;
	unsigned dispatcher_priority;
	/* the far end is called the same with a "p" appended (to 14 characters at most) */
	const char *tunnel;
	uint32_t tunnel_mtu;		/* default 1280 */
	uint32_t peers;			/* default 1024 */
	uint32_t sessions;		/* slots, a power of two; default 4 for each peer, rounded up */
	/* 1024..2^20; default 65536. Buckets of each index: flows / 4, rounded up to a power of two */
	uint32_t flows;
	/* slots of keystream made ahead; 0: none, everything is worked on inline */
	uint32_t keystream;
	bool relay;			/* make the relay link, too */
};

/* Every map of bpf/lib/maps.h that is pinned. */
#define DATAPATH_MAPS(X) \
	X(CONFIG, config) X(INFO, info) X(STATS, stats) X(HANDSHAKE_STATS, handshake_stats) \
	X(LOCAL_ADDRS, local_addrs) X(LINKS, links) X(HOST4, host4) X(LOCAL4, local4) \
	X(NEXT_HOPS, next_hops) \
	X(SESSIONS, sessions) X(REPLAY, replay) X(SEND_COUNTERS, send_counters) \
	X(KEYSTREAM, keystream) X(KEYSTREAM_RINGS, keystream_rings) X(KEYSTREAM_STATE, keystream_state) \
	X(KEYSTREAM_STATS, keystream_stats) X(KEYSTREAM_WAKE, keystream_wake) \
	X(PEER_INFO, peer_info) X(PEER_TX, peer_tx) X(ENDPOINTS, endpoints) X(PEER_STATS, peer_stats) \
	X(ALLOWED4, allowed4) X(ROUTES4, routes4) \
	X(FLOWS, flows) X(FLOW_FWD, flow_fwd) X(FLOW_REV, flow_rev) X(FLOW_FREE, flow_free) X(FLOW_OVER, \
		flow_over) \
	X(NAT_PORTS, nat_ports) X(PORT_BLOCK, port_block) X(NAT_STATS, nat_stats) X(NAT_PEERS, nat_peers) \
	X(FRAGS, frags) X(FRAGS_EARLY, frags_early) \
	X(RATES, rates) X(EVENTS, events) X(EVENT_PACKETS, event_packets) X(EVENT_STRAYS, event_strays) \
	X(ACL_SRC4, acl_src4) X(ACL_DST4, acl_dst4) X(ACL_PORTS, acl_ports) X(ACL_BITS, acl_bits) X(ACL_CT, acl_ct)

#define DATAPATH_MAP_ID(id, name) DATAPATH_MAP_##id,
enum datapath_map { DATAPATH_MAPS(DATAPATH_MAP_ID) DATAPATH_MAP_COUNT };

struct datapath;

struct datapath_sizes {
	uint32_t peers;
	uint32_t sessions;
	uint32_t flows;
	uint32_t buckets;		/* of each flow index */
	uint32_t keystream;		/* slots made ahead; 1: none */
	uint32_t rings;			/* for them: two for a session */
};

struct datapath_uplink {
	char	name[IFNAMSIZ];
	int	ifindex;
	char	kind[16];		/* "veth", ...; empty for a physical device */
	char	driver[32];
	uint8_t	mac[6];
	uint32_t mtu;
	enum datapath_mode mode;	/* what was chosen; DATAPATH_AUTO: nothing attached yet */
	bool	dispatched;		/* through libxdp's dispatcher */
	/* XDP_TX reaches the wire; false on a veth, where only a redirect does */
	bool	tx_works;
	char	why[280];		/* one line without newline */
};

/*
 * Opens and loads the objects and pins the maps. Where a datapath of this layout is running, its maps are
 * kept with their contents and sizes (a wish for other sizes is logged and ignored: datapath_down first), and
 * datapath_is_adopted() is true. Pins that a start left behind before anything was attached are removed
 * first. Nothing is attached. Returns 0; -EBUSY if another process holds @base; -EINVAL for bad options; or
 * another negative errno. @err gets one line.
 */
int datapath_load(const struct datapath_options *options, struct datapath **ret_dp, char *err, size_t errlen);

/* Makes (or puts right) the tunnel pair. Returns 0 or a negative errno with one line in @err. */
int datapath_tunnel(struct datapath *dp, char *err, size_t errlen);

/*
 * Attaches, or replaces atomically what an earlier process attached, on both ends of the tunnel, every
 * uplink and side device; then removes what is left of other layout versions and of uplinks that are no
 * longer wanted. Can be called again, for instance when a device came back. Returns 0 or a negative errno
 * with one line in @err.
 */
int datapath_attach(struct datapath *dp, char *err, size_t errlen);

/*
 * Makes @links (1 to TALON_UPLINKS_MAX, each once) the uplinks: attaches to those that are new, takes
 * the programs off those that are no longer among them; what is on the others stays, and takes their
 * present names. Where one cannot be attached nothing is changed. Returns 0 or a negative errno with
 * one line in @err.
 */
struct net_link;
int datapath_follow(struct datapath *dp, const struct net_link *links, unsigned count, char *err,
	size_t errlen);

/* All three. */
int datapath_up(const struct datapath_options *options, struct datapath **ret_dp, char *err, size_t errlen);

/*
 * Frees what this process holds. Everything pinned stays and runs on. A datapath that never got to attach is
 * removed. NULL is fine.
 */
void datapath_close(struct datapath *dp);

/*
 * Removes everything below @base (NULL: default) of all layout versions: programs, maps, links, filters and
 * qdiscs that are ours, memberships in libxdp's dispatcher, the tunnel pair, our routes and neighbour
 * entries. Works without a controller and twice in a row. Returns 0; -EBUSY if a controller holds @base (stop
 * it first; @err has its pid where known); or the first negative errno it met after trying everything.
 */
int datapath_down(const char *base, char *err, size_t errlen);

/*
 * The process that holds @base (NULL: default), from its first moment on. 0: none, or not known. Takes
 * no lock itself.
 */
uint32_t datapath_holder(const char *base);

/* Does a controller hold @base (NULL: default)? Its pid where that is known, else 0. Holds nothing itself. */
bool datapath_is_held(const char *base, uint32_t *ret_pid);

/*
 * Opens one pinned map of the running datapath for reading, without a lock and without a struct datapath: for
 * status. Returns an fd that the caller closes, or -ENOENT if no datapath of this layout is there.
 */
int datapath_map_open(const char *base, enum datapath_map map);

/* The fd stays the datapath's own. */
int datapath_map_fd(const struct datapath *dp, enum datapath_map map);
const char *datapath_map_name(enum datapath_map map);

/* "uplink_xdp", "uplink_tc", "tunnel", "onward", "natgc": fd of the loaded program, or -ENOENT. natgc runs by
 * bpf_prog_test_run_opts. */
int datapath_prog_fd(const struct datapath *dp, const char *name);

const struct datapath_sizes *datapath_get_sizes(const struct datapath *dp);
unsigned datapath_uplink_count(const struct datapath *dp);
const struct datapath_uplink *datapath_get_uplink(const struct datapath *dp, unsigned i);
bool datapath_is_adopted(const struct datapath *dp);

/*
 * Side devices: no uplinks, but packets that are masqueraded leave by them, so that replies come in there.
 * They carry the uplinks' tc program. datapath_set_sides() says which there shall be; where the datapath is
 * attached, it attaches the new ones and takes the program off the others at once, else datapath_attach()
 * does. One that cannot be had is logged and left out: `attached` tells.
 */
#define DATAPATH_SIDES_MAX 32

struct datapath_side {
	int	ifindex;
	char	name[IFNAMSIZ];
	bool	attached;
};

void datapath_set_sides(struct datapath *dp, const struct datapath_side *sides, unsigned count);
unsigned datapath_side_count(const struct datapath *dp);
const struct datapath_side *datapath_get_side(const struct datapath *dp, unsigned i);

/* Mode of the first uplink, and one line why (with the other uplinks' where they differ). */
enum datapath_mode datapath_get_mode(const struct datapath *dp);
const char *datapath_get_why(const struct datapath *dp);

/* "auto", "xdp", "xdp-generic", "tcx", "clsact" */
const char *datapath_mode_name(enum datapath_mode mode);
int datapath_mode_parse(const char *name, enum datapath_mode *ret_mode);		/* 0 or -EINVAL */
/* auto, always, never */
int datapath_dispatcher_parse(const char *name, enum datapath_dispatcher *ret_dispatcher);

struct datapath_tunnel_info {
	char	name[IFNAMSIZ];
	char	far_name[IFNAMSIZ];
	int	ifindex;
	int	far_ifindex;
	uint8_t	mac[6];
	uint8_t	far_mac[6];
	uint32_t mtu;
};
/* Valid after datapath_tunnel. */
const struct datapath_tunnel_info *datapath_get_tunnel(const struct datapath *dp);
/*
 * The relay link, made by datapath_tunnel where options.relay asks for it, attached by datapath_attach; NULL:
 * there is none. ifindex and mac are our programs' side (config.relay_ifindex), far_ifindex is where packets
 * are read and written as whole Ethernet frames (AF_PACKET). Frames that are written there go to mac and are
 * IPv4/UDP from TALON_RELAY_PEER_ADDR(id):TALON_RELAY_PORT to TALON_RELAY_OWN_ADDR:listen_port, checksums of
 * UDP may be zero; all others are dropped, handshake messages, too. Endpoints with TALON_ENDPOINT_RELAY have
 * far_mac as dmac and mac as smac. far_mac is on purpose not the far device's own: so the host's stack leaves
 * the packets alone (they are read as PACKET_OTHERHOST). A frame that is read may be a few zero bytes longer
 * than the packet in it: the UDP length counts.
 */
const struct datapath_tunnel_info *datapath_get_relay(const struct datapath *dp);

/*
 * Looks whether what we attached is still there: after link events, and now and then. Returns 0; 1 if
 * all is attached but somebody got in front of a tcx program; or -ENOLINK if something is gone. @text:
 * one line which.
 */
int datapath_verify(struct datapath *dp, char *text, size_t len);

/* What this kernel can do, found by trying. */
struct datapath_features {
	bool	bpf_loop;
	bool	tcx;
	bool	freplace;
	/* ... also by a program that moves packet data where the replaced function does not */
	bool freplace_moves;
	bool	btf;			/* /sys/kernel/btf/vmlinux; we work without */
	char	freplace_why[80];	/* the kernel's reason when false */
};
void datapath_probe(struct datapath_features *ret_features);
/* One line: "bpf_loop yes, tcx yes, freplace no (Operation not permitted), kernel BTF yes". */
void datapath_features_text(const struct datapath_features *features, char *text, size_t len);

#endif
