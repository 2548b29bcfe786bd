/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the datapath tells the controller: map "events", RINGBUF. */
#ifndef TALON_EVENT_TYPES_H
#define TALON_EVENT_TYPES_H

#include "talon/types.h"

enum talon_event_type {
	TALON_EVENT_HANDSHAKE	= 1,	/* peer has no key to send with; data holds the inner packet */
	TALON_EVENT_PROMOTED	= 2,	/* index: session that was confirmed by its first packet */
	TALON_EVENT_ROAMED	= 3,	/* peer's endpoint moved; read it from the map */
	TALON_EVENT_NEIGH	= 4,	/* ifindex, addr: next hop without MAC; data holds the finished IP packet */
	TALON_EVENT_NAT_FULL	= 5,	/* ports or records ran out */
	TALON_EVENT_FRAGMENT	= 6,	/* a later fragment came first; data holds it as received */
	TALON_EVENT_FRAG_FIRST	= 7,	/* the first fragment came: send what is held for addr (src), addr2 (dst), id */
	TALON_EVENT_TOO_BIG	= 8,	/* data: IP packet, DF off, to be cut to id bytes; to peer through wt0, or to addr on ifindex */
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
	__u32	pad;
	/* len bytes of packet follow */
};
TALON_ASSERT_SIZE(struct talon_event, 56);

#endif
