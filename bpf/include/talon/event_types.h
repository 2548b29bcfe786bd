/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the datapath tells the controller: maps "events" (without a packet: promotions, roaming),
 * "event_packets" (with one) and "event_strays" (with one that anybody may have sent), RINGBUF. Each has a
 * ring to itself, so that those that come in masses cannot keep out the others.
 */
#ifndef TALON_EVENT_TYPES_H
#define TALON_EVENT_TYPES_H

#include "talon/types.h"

enum talon_event_type {
	TALON_EVENT_HANDSHAKE	= 1,	/* peer has no key to send with; data holds the inner packet */
	TALON_EVENT_PROMOTED	= 2,	/* index: session that was confirmed by its first packet */
	TALON_EVENT_ROAMED	= 3,	/* peer's endpoint moved; read it from the map */
	/* ifindex, addr: next hop without MAC; data holds the finished IP packet */
	TALON_EVENT_NEIGH	= 4,
	TALON_EVENT_NAT_FULL	= 5,	/* ports or records ran out */
	TALON_EVENT_FRAGMENT	= 6,	/* a later fragment came first; data holds it as received */
	/* the first fragment came: send what is held for addr (src), addr2 (dst), id */
	TALON_EVENT_FRAG_FIRST	= 7,
	/* data: IPv4 packet, DF off, to be cut to id bytes; to peer through wt0, or to addr on ifindex */
	TALON_EVENT_TOO_BIG	= 8,
};

#define TALON_EVENT_DATA_MAX 1600

struct talon_event {
	__u16	type;			/* enum talon_event_type */
	__u16	len;			/* bytes of data */
	__u32	peer;			/* or TALON_PEER_NONE */
	__u32	index;
	__u32	ifindex;
	struct talon_addr addr;
	struct talon_addr addr2;
	__u32	id;
	__u32	six;			/* 1: the packet is IPv6 */
	/* len bytes of packet follow */
};
TALON_ASSERT_SIZE(struct talon_event, 56);

/*
 * What is limited, for the whole host: X(id, a second, at once). The bursts of what shares a ring fit into it
 * together, each packet as large as they get.
 */
#define TALON_RATES(X)			\
	X(HANDSHAKE,	2000,	128)	\
	X(NEIGH,	2000,	64)	\
	X(TOO_BIG,	2000,	96)	\
	X(ROAMED,	1000,	256)	\
	X(NAT_FULL,	10,	4)	\
	X(FRAGMENT,	500,	64)	\
	X(ICMP,		1000,	100)	\
	X(DROP_SAMPLE,	1000,	256)

#define TALON_RATE_ID(id, per_second, burst) TALON_RATE_##id,
enum talon_rate_id { TALON_RATES(TALON_RATE_ID) TALON_RATE_IDS };

/* Behind them: of TALON_RATE_FRAGMENT, the most that source addresses with the same hash get. */
#define TALON_RATE_SOURCES		64
#define TALON_RATE_SOURCE_PER_SECOND	50
#define TALON_RATE_SOURCE_BURST		48
#define TALON_RATE_ENTRIES		(TALON_RATE_IDS + TALON_RATE_SOURCES)

/* Map "rates": ARRAY [TALON_RATE_ENTRIES]. Written with compare-and-swap only. */
struct talon_rate {
	/* CLOCK_BOOTTIME up to which all is given out; a burst ahead of now at most */
	__u64	spent_ns;
	__u64	pad[7];			/* a cache line of its own */
};
TALON_ASSERT_SIZE(struct talon_rate, 64);

#endif
