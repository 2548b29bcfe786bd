/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the datapath counts beside how packets end (drop.h). All per CPU, all only ever growing. */
#ifndef TALON_TRAFFIC_TYPES_H
#define TALON_TRAFFIC_TYPES_H

#include "talon/types.h"

/*
 * Map "seen": PERCPU_ARRAY [TALON_PROGRAM_COUNT]. A program counts each packet at its first line and at its
 * last: received = passed + the sum of all ends (drop.h) that it counted. Those of the uplinks' program,
 * in XDP and in tc, are the directions in and out; those of the tunnel's the direction tunnel; those of the
 * onward program onward.
 */
/* X(id, label, help) */
#define TALON_PROGRAMS(X) \
	X(UPLINK,	"uplink",	"on uplinks, side devices and the relay pair") \
	X(TUNNEL,	"tunnel",	"at the far end of the tunnel device") \
	X(ONWARD,	"onward",	"at the far end of the relay pair")

#define TALON_PROGRAM_ID(id, label, help) TALON_PROGRAM_##id,
enum talon_program { TALON_PROGRAMS(TALON_PROGRAM_ID) TALON_PROGRAM_COUNT };

struct talon_seen {
	__u64	received;		/* packets that the kernel gave to the program */
	__u64	passed;			/* not ours: left to the host as they came */
};
TALON_ASSERT_SIZE(struct talon_seen, 16);

/*
 * Map "traffic": PERCPU_ARRAY [TALON_TRAFFIC_ENTRIES]. Data messages that were opened (their tag is right) or
 * sealed, keepalives too.
 */
#define TALON_TRAFFIC_RELAY	(1 << 0)	/* over the relay pair, else direct */
#define TALON_TRAFFIC_SIX	(1 << 1)	/* outer header is IPv6, else IPv4 */
#define TALON_TRAFFIC_AHEAD	(1 << 2)	/* with keystream that lay ready, else inline */
#define TALON_TRAFFIC_SENT	(1 << 3)	/* sealed, else opened */
#define TALON_TRAFFIC_ENTRIES	16

struct talon_traffic {
	__u64	packets;
	__u64	bytes;			/* of whole WireGuard messages, as wg(8) counts */
};
TALON_ASSERT_SIZE(struct talon_traffic, 16);

#endif
