/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The live NAT flows, for people. Records are read while packets change them: flows_walk() says why no record
 * comes out of it that never was. Reading, choosing and showing are separate, so that each can be tested
 * without a kernel.
 */
#ifndef TALON_TOP_FLOWS_H
#define TALON_TOP_FLOWS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>

#include "status/status.h"
#include "talon/nat_types.h"

/* --- reading --- */

#define FLOWS_BATCH	1024	/* records for one system call */
/* both copies of a record are made within this time */
#define FLOWS_TWICE_NS	TALON_NSEC_PER_SEC

/* Where records come from. */
struct flows_source {
	/* Copies records @first to @first + @count - 1. Returns 0 or a negative errno. */
	int (*copy)(void *arg, __u32 first, __u32 count, struct talon_flow *ret_records);
	/* config.generation. Returns 0 or a negative errno. */
	int (*generation)(void *arg, __u32 *ret_generation);
	__u64 (*now_ns)(void *arg);	/* CLOCK_BOOTTIME */
	void *arg;
	/* Addresses of IPv6 record @id, -ENOENT if it is none any more. NULL: there are no IPv6 flows. */
	int (*six)(void *arg, __u32 id, struct talon_flow6 *ret_six);
};

/* A live flow as it was at one moment. */
struct flows_seen {
	struct talon_flow flow;		/* proto without TALON_PROTO_SIX */
	bool is_six;
	struct talon_flow6 six;		/* addresses of an IPv6 flow, in place of those of flow */
	/*
	 * its way to the remote (mtu, ifindex, MACs) is whole and in force; else the next packet decides it
	 */
	bool has_way;
	__u32 now_s;			/* CLOCK_BOOTTIME seconds when it was read */
};

/* Returns 0, or a negative errno that ends the walk. */
typedef int (*flows_fn)(void *arg, const struct flows_seen *seen);

/*
 * Calls @fn for each live flow among records 1 to @used. Flows that begin or end meanwhile may be missed.
 * @ret_unsettled: records that changed at every try and were left out. Uses 128 KiB, however many there are.
 * Returns 0 or a negative errno.
 *
 * A record is copied twice and taken only if both copies are LIVE, equal in all 64 bytes, and made within
 * FLOWS_TWICE_NS:
 *  - A word that was copied while it changed differs in the second copy, which was begun later. So every word
 *    was really there, and since no word changed between the end of the first copy and the beginning of the
 *    second, all of them were there at the same time.
 *  - A record is LIVE only after its addresses, ports and peer were written, and they are written again only
 *    when it becomes another flow, TALON_FLOW_GRACE_S after its end: so the record that was LIVE in the first
 *    copy is the same flow in the second, and in no copy half of two flows.
 *  - The way to the remote is decided anew while the flow is LIVE. Its generation is written
 *  last, so the first
 *    copy has it only if the second has all of the way; and a way is written only after config.generation has
 *    become another one. So has_way is set if the record's generation is that of config after both copies.
 *  - The addresses of an IPv6 flow are in map "flows6" before it is LIVE, do not change, and are
 *  deleted when it is
 *    free again. They are read after the second copy, and within the same time.
 */
int flows_walk(const struct flows_source *source, __u32 used, flows_fn fn, void *arg, __u64 *ret_unsettled);

/* The pinned maps as a source. */
struct flows_maps {
	int flows_fd;
	int flows6_fd;
	int config_fd;
	__u32 records;			/* in map "flows", with record 0 */
};

/* Returns 0, or a negative errno with one line in @why. Close it with flows_maps_close(). */
int flows_maps_open(struct flows_maps *maps, const char *pin_dir, char *why, size_t size);
void flows_maps_close(struct flows_maps *maps);
struct flows_source flows_maps_source(struct flows_maps *maps);
/* The highest id that may be in use. Returns 0 or a negative errno. */
int flows_maps_used(const struct flows_maps *maps, __u32 *ret_used);
/*
 * What each slot of peers holds of the table, for flows_describe(). Returns the number of slots, or a
 * negative errno with one line in @why; the caller frees *ret_held.
 */
int flows_read_held(const char *pin_dir, __u32 **ret_held, char *why, size_t size);

/* --- understanding --- */

enum flows_state {
	FLOWS_NEW,			/* TCP: not established yet, or not seen from both sides */
	FLOWS_ESTABLISHED,
	FLOWS_CLOSING,			/* a FIN passed */
	FLOWS_RESET,			/* a RST passed, and not both ends sent since */
	FLOWS_NO_STATE,			/* not TCP */
};
extern const char *const flows_states[];	/* their words; NULL for FLOWS_NO_STATE ends them */

/* What decides how long a flow may be idle. */
struct flows_room {
	__u32 flow_count;		/* config.flow_count */
	__u64 held;			/* talon_nat_stats.held */
	const __u32 *peer_held;		/* talon_nat_peer.held by slot */
	__u32 peer_slots;
};

struct flows_facts {
	enum flows_state state;
	__u32 idle_s;
	/* until it may be collected if no packet refreshes it; 0: as soon as the collector comes by */
	__u32 left_s;
	bool is_hasty;			/* its peer holds more than is free: TALON_NAT_HASTY_S holds */
};

enum flows_state flows_state_of(const struct talon_flow *flow);
struct flows_facts flows_describe(const struct flows_seen *seen, const struct flows_room *room);

/* --- choosing --- */

/* An address range, a port, both or neither. */
struct flows_end {
	bool has_addr, has_port;
	struct cidr net;
	__be16 port;
};

/*
 * ADDRESS, ADDRESS/LENGTH, either with :PORT, or :PORT alone; an IPv6 one in brackets if there is a port.
 * Returns 0 or -EINVAL.
 */
int flows_end_parse(const char *text, struct flows_end *ret_end);

struct flows_filter {
	struct flows_end src, dst, snat;
	__u8 proto;			/* 0: any; IPPROTO_ICMP: ICMPv6 too */
	enum flows_state state;		/* FLOWS_NO_STATE: any */
	const bool *peers;		/* by slot; NULL: any */
	__u32 peer_slots;
};

bool flows_match(const struct flows_filter *filter, const struct flows_seen *seen);
/* Is it an ICMP query, of either family, whose id takes the place of both ports? */
bool flows_is_icmp(const struct talon_flow *flow);

/*
 * Marks the peers that @text names: a public key, a name or its first label, or an address that their allowed
 * IPs hold (the longest prefix wins). Returns how many.
 */
size_t flows_pick_peers(const struct status *status, const char *text, bool *peers, __u32 slots);

enum flows_order { FLOWS_BY_TABLE, FLOWS_BY_IDLE, FLOWS_BY_LEFT, FLOWS_BY_CLIENT, FLOWS_BY_REMOTE,
	FLOWS_BY_SNAT, FLOWS_BY_PEER };
extern const char *const flows_orders[];	/* their words, from FLOWS_BY_IDLE on; NULL ends them */

struct flows_row {
	struct flows_seen seen;
	struct flows_facts facts;
};

#define FLOWS_SORTED_MAX 16384	/* rows that a sorted list can hold */

/* The first @room rows of an order, kept while more come by. */
struct flows_best {
	struct flows_row *rows;
	size_t count, room;
	enum flows_order order;
	bool is_reverse;
};

void flows_best_add(struct flows_best *best, const struct flows_row *row);
/* Brings the rows into their order. Nothing may be added afterwards. */
void flows_best_sort(struct flows_best *best);

/* --- showing --- */

struct flows_totals {
	__u64 shown, matching, unsettled;
};

/* The peer in this slot; NULL: there is none. */
const struct status_peer *flows_peer(const struct status *status, __u32 slot);
/* Writes the address of @peer in the mesh, or "-". @size: at least INET_ADDRSTRLEN. */
void flows_peer_address(const struct status *status, const struct status_peer *peer, char *text, size_t size);
/* Addresses of either family. */
struct talon_addr flows_client(const struct flows_seen *seen);
struct talon_addr flows_remote(const struct flows_seen *seen);
struct talon_addr flows_snat(const struct flows_seen *seen);
/* "192.0.2.1:443", "[2001:db8::1]:443". */
#define FLOWS_END_LEN (INET6_ADDRSTRLEN + 8)
void flows_format_end(bool is_six, const struct talon_addr *addr, __be16 port,
	char text[static FLOWS_END_LEN]);
/* "tcp", "udp", "icmp", "icmpv6", else the number. Valid until the next call. */
const char *flows_proto(__u8 proto);
/* "12s", "2m10s", "1h02m", "3d4h" */
void flows_duration(__u64 seconds, char *text, size_t size);

void flows_print_head(FILE *out);
void flows_print_row(FILE *out, const struct status *status, const struct flows_row *row);
void flows_print_foot(FILE *out, const struct status *status, const struct flows_totals *totals);

/* The same as one JSON object on a line. */
struct json_out;
void flows_json_head(struct json_out *json);
void flows_json_row(struct json_out *json, const struct status *status, const struct flows_row *row);
void flows_json_foot(struct json_out *json, const struct status *status, const struct flows_totals *totals);

#endif
