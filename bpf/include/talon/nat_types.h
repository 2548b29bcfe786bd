/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The flow table: records, two bucketed indexes, port owners, fragments. docs/decisions/ says why it is
 * no kernel hash.
 */
#ifndef TALON_NAT_TYPES_H
#define TALON_NAT_TYPES_H

#include "talon/types.h"

/*
 * IPv6 flows are in the same table, indexes and port pool as IPv4 ones. In keys and records each of their
 * addresses is a keyed 32-bit fold of it (config.keys.fold), and proto has this bit; the addresses themselves
 * are in map "flows6", and whoever has found a record by its folds compares them there before using it. Two
 * flows with equal folds exclude each other; nobody can aim at that without the key.
 */
#define TALON_PROTO_SIX		0x80U
#define TALON_PROTO(proto)	((proto) & 0x7fU)	/* of an IPv6 flow IPPROTO_ICMPV6 for IPPROTO_ICMP */

/*
 * The fold of an address: multilinear, as the hash of the indexes is (lib/flow_index.h), and never inverted.
 */
static inline __u32 talon_fold6(const __u64 key[5], const struct talon_addr *a)
{
	return (key[0] + key[1] * a->word[0] + key[2] * a->word[1] + key[3] * a->word[2] +
		key[4] * a->word[3]) >> 32;
}

/* A packet's 5-tuple. For ICMP queries both ports are the id. Network byte order. */
struct talon_flow_key {
	__be32	src;
	__be32	dst;
	__be16	sport;
	__be16	dport;
	__u8	proto;
	__u8	pad[3];
};
TALON_ASSERT_SIZE(struct talon_flow_key, 16);

enum talon_flow_phase {
	TALON_FLOW_FREE		= 0,
	TALON_FLOW_TENTATIVE	= 1,	/* published, not yet known to be the only one with its key */
	TALON_FLOW_LIVE		= 2,
	TALON_FLOW_DEAD		= 3,	/* out of both indexes, waits until no packet can hold it */
};

/* seen so far; a flow is transitory unless both SYNs were seen and no FIN pair or RST */
enum talon_tcp_bits {
	TALON_TCP_SYN_OUT	= 1 << 0,	/* from the mesh client */
	TALON_TCP_SYN_IN	= 1 << 1,	/* from the remote */
	TALON_TCP_FIN_OUT	= 1 << 2,
	TALON_TCP_FIN_IN	= 1 << 3,
	TALON_TCP_RST		= 1 << 4,
	/* data or ACK after both SYNs, or picked up mid-stream from both sides */
	TALON_TCP_ESTABLISHED	= 1 << 5,
	TALON_TCP_ALIVE_OUT	= 1 << 6,	/* after a RST the client said something else */
	TALON_TCP_ALIVE_IN	= 1 << 7,	/* and the remote */
};

enum talon_flow_flags {
	TALON_FLOW_ANSWERED	= 1 << 0,	/* a packet of the remote passed */
	/*
	 * the client's packets wait for an answer, or for a next hop, since the time in the bits from
	 * TALON_FLOW_SINCE on: map "vips"
	 */
	TALON_FLOW_WAITS	= 1 << 1,
};

/* What is left of flags: 6 bits of a clock that counts 2^28 ns, 0.27 s. */
#define TALON_FLOW_SINCE	2
#define TALON_FLOW_SINCE_MASK	0x3fU
#define TALON_FLOW_SINCE_NS	28
/* so many of them, 0.5 to 0.8 s, are in vain */
#define TALON_FLOW_IN_VAIN	3

/* in ifindex: the device takes no redirected frames (config_types.h, onward frames) */
#define TALON_FLOW_ONWARD	(1U << 31)

/* Map "flows": ARRAY of records, one cache line each. */
struct talon_flow {
	__be32	client;			/* in the mesh */
	__be32	remote;			/* in the cluster */
	__be32	snat;			/* what the remote sees instead of client */
	__be16	client_port;
	__be16	remote_port;
	__be16	snat_port;
	__u8	proto;
	__u8	phase;			/* enum talon_flow_phase */
	__u32	peer;			/* who client belongs to */
	__u32	seen_s;			/* CLOCK_BOOTTIME seconds of the last packet that refreshes */
	__u8	tcp;			/* enum talon_tcp_bits */
	__u8	flags;			/* enum talon_flow_flags */
	__u16	mtu;			/* towards remote */
	/* config.generation under which peer, route and next hop were decided; 0: never */
	__u32	generation;
	__u32	ifindex;		/* next hop towards remote, perhaps with TALON_FLOW_ONWARD */
	__u8	dmac[6];
	__u8	smac[6];
	__u32	owner;			/* index into "nat_ports" */
	__u16	payer;			/* peer in whose share it counts: the one that created it */
	__u8	pad;
	__u8	touched;		/* written to fetch the line, never read */
	/* config.generation under which its replies were last judged; 0: never */
	__u32	back_generation;
};
TALON_ASSERT_SIZE(struct talon_flow, 64);

/*
 * Map "flows6": HASH, id of a record -> the addresses of an IPv6 flow. Written before the record is
 * published, deleted when it is free again; in between it does not change.
 */
struct talon_flow6 {
	struct talon_addr client;	/* in the mesh */
	struct talon_addr remote;
	struct talon_addr snat;		/* what the remote sees instead of client */
	__u32	reserved[4];
};
TALON_ASSERT_SIZE(struct talon_flow6, 64);

/*
 * Map "flow_recent": PERCPU_ARRAY [1]. Flows that this CPU has met lately, as 16 bits of their hash at a
 * place that 13 others give. What is wrong here costs time only.
 */
#define TALON_RECENT_FLOWS	8192
struct talon_recent {
	__u16	flow[TALON_RECENT_FLOWS];
};
TALON_ASSERT_SIZE(struct talon_recent, 16384);

/* Record 0 is never a flow; this is what it holds. */
struct talon_flow_head {
	/* ids handed out at least once: 1..used; those above it were never touched */
	__u32	used;
	__u32	pad[15];
};
TALON_ASSERT_SIZE(struct talon_flow_head, 64);

/* Maps "flow_fwd" and "flow_rev": ARRAYs of buckets, a power of two of them (config.bucket_mask). */
#define TALON_BUCKET_ENTRIES	15
#define TALON_FLOW_ID_BITS	20
#define TALON_FLOW_ID_MASK	((1U << TALON_FLOW_ID_BITS) - 1)
/* id 0 is never handed out, so that an entry is never 0 */
#define TALON_FLOWS_MAX		(1U << TALON_FLOW_ID_BITS)

struct talon_bucket {
	__u32	entry[TALON_BUCKET_ENTRIES];	/* tag << 20 | record id; 0: empty */
	__u32	touched;			/* written to fetch the line, never read */
};
TALON_ASSERT_SIZE(struct talon_bucket, 64);

/*
 * Map "nat_ports": ARRAY [3 * 65536], by protocol class (0 TCP, 1 UDP, 2 ICMP id) and external port. All of
 * it is one aligned 64-bit word, changed as a whole: whose port it is and how many flows use it can then
 * never disagree. With no flows it is free, whoever had it.
 */
struct talon_nat_port {
	__be32	client;			/* the internal endpoint it is mapped to (RFC 4787 REQ-1) */
	__be16	client_port;
	__u16	flows;			/* that use it, also those that share it when ports run short */
};
TALON_ASSERT_SIZE(struct talon_nat_port, 8);

/*
 * Map "port_block": ARRAY [2 * 65536 / 64] of u64 bitmaps (0 TCP, 1 UDP): ports the host itself uses. Written
 * by the controller.
 */

enum talon_frag_side {
	TALON_FRAG_FROM_WIRE	= 0,	/* to the SNAT address */
	TALON_FRAG_FROM_MESH	= 1,	/* the access rules let the first one pass */
};

/*
 * Map "frags": LRU_HASH. Fragments of one datagram of ours, after its first one was seen (RFC 4787 REQ-14).
 * Map "frags_early": the same for all that anybody can make us remember: later fragments of no datagram we
 * know (client 0), and datagrams that are the host's (TALON_FRAG_HOST).
 */
struct talon_frag_key {
	__be32	src;
	__be32	dst;
	__be16	id;
	__u8	proto;
	__u8	side;			/* enum talon_frag_side */
};
TALON_ASSERT_SIZE(struct talon_frag_key, 12);

#define TALON_FRAG_HOST 0xffffffffU	/* in place of a client */

struct talon_frag {
	/* who they go to; 0: the first one has not come, later ones are held. Not from the mesh */
	__be32	client;
	__u32	peer;
	__u32	expires_s;		/* CLOCK_BOOTTIME seconds */
	__u32	pad;
};
TALON_ASSERT_SIZE(struct talon_frag, 16);

/* Maps "frags6" and "frags6_early": the same for IPv6 (RFC 8200 section 4.5). */
struct talon_frag6_key {
	struct talon_addr src;
	struct talon_addr dst;
	__be32	id;
	__u8	side;			/* enum talon_frag_side */
	__u8	pad[3];
};
TALON_ASSERT_SIZE(struct talon_frag6_key, 40);

enum talon_frag6_state {
	TALON_FRAG6_EARLY	= 0,	/* the first one has not come, later ones are held */
	TALON_FRAG6_CLIENT	= 1,	/* they go to client, of peer */
	TALON_FRAG6_HOST	= 2,	/* they are the host's */
};

struct talon_frag6 {
	struct talon_addr client;	/* not from the mesh */
	__u32	peer;
	__u32	expires_s;		/* CLOCK_BOOTTIME seconds */
	__u32	state;			/* enum talon_frag6_state */
	__u32	pad;
};
TALON_ASSERT_SIZE(struct talon_frag6, 32);

/*
 * What no program can hold any more: a record is recycled when it has been out of both indexes for that long.
 */
#define TALON_FLOW_GRACE_S		5

/* Timeouts in seconds: RFC 4787 REQ-5, RFC 5382 REQ-5, RFC 5508 REQ-2, RFC 7857 section 2. */
#define TALON_NAT_UDP_S			300
#define TALON_NAT_TCP_ESTABLISHED_S	7440
#define TALON_NAT_TCP_TRANSITORY_S	240
#define TALON_NAT_ICMP_S		60
#define TALON_NAT_FRAGMENT_S		30

/*
 * Records run short when somebody takes too many. A peer may hold TALON_NAT_SHARE times as many as are free:
 * one alone three quarters of the table, two three sevenths each, and whoever comes next always finds some.
 * While it holds more than are free, its flows that nobody has answered, and TCP connections that are not
 * established or closing, live TALON_NAT_HASTY_S only.
 */
#define TALON_NAT_SHARE			3
#define TALON_NAT_HASTY_S		6

/* Map "nat_peers": ARRAY, by peer. */
struct talon_nat_peer {
	/* records in its share: live ones, and ended ones that are not free yet */
	__u32	held;
	__u32	pad;
	__u64	refused;		/* flows, because its share was used up */
};
TALON_ASSERT_SIZE(struct talon_nat_peer, 16);

/* One word of totals for status and metrics: map "nat_stats", ARRAY [1]. Atomic additions. */
struct talon_nat_stats {
	__u64	live;			/* flows now */
	__u64	created;
	__u64	expired;
	__u64	shared;			/* created on a port that another client's flow already had */
	__u64	full_ports;		/* refused: every candidate port was taken for this remote */
	__u64	full_table;		/* refused: no free record */
	__u64	overflow;		/* entries now in "flow_over" because their buckets were full */
	__u64	races;			/* inserts given up because another CPU was doing the same */
	__u64	held;			/* records that are not free: live, ended, being made */
	__u64	full_share;		/* refused: the peer had its share */
	__u64	hastened;		/* ended early, for room: among expired */
	__u64	ports[3];		/* in use now: TCP ports, UDP ports, ICMP ids */
	__u64	pad[2];
};
TALON_ASSERT_SIZE(struct talon_nat_stats, 128);

#endif
