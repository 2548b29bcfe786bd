/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Watching packets: samples of dropped ones (talon drops -f), copies of one peer's (talon capture). Whoever
 * watches has a lease in map "watches", ARRAY [TALON_WATCHES] of struct talon_watch, and renews it once a
 * second; after until_ns the programs write nothing, whatever became of that process. What they write goes to
 * maps "watch_drops" and "watch_packets", PERF_EVENT_ARRAY: the rings belong to the watching process and
 * vanish with it.
 */
#ifndef TALON_WATCH_TYPES_H
#define TALON_WATCH_TYPES_H

#include "talon/drop.h"
#include "talon/types.h"

enum talon_watch_id {
	TALON_WATCH_DROPS,
	TALON_WATCH_PACKETS,		/* needs TALON_F_CAPTURE, which the controller sets */
	TALON_WATCHES
};

#define TALON_WATCH_LEASE_NS	(3 * TALON_NSEC_PER_SEC)	/* from each renewal */

/* All but until_ns is written before until_ns is set, and not changed while it is. */
struct talon_watch {
	/* CLOCK_BOOTTIME; 0: nobody watches. The programs set it to 0 when they find it past. */
	__u64	until_ns;
	__u64	since_ns;
	__u64	reasons;		/* drops: the bit of each enum talon_end to tell of */
	__u32	dirs;			/* drops: the bit of each enum talon_dir */
	__u32	peer;			/* of this one alone; drops: TALON_PEER_NONE for any */
	__u32	size;			/* packets: bytes to copy of each at most */
	__u32	pid;
	__u64	reserved;
};
TALON_ASSERT_SIZE(struct talon_watch, 48);

#define TALON_DROP_BIT(id, label, drop, help) | ((drop) ? 1ULL << TALON_##id : 0)
/* The bit of each end that is a drop. */
#define TALON_DROP_BITS (0ULL TALON_ENDS(TALON_DROP_BIT))
_Static_assert(TALON_END_COUNT <= 64, "struct talon_watch has a bit for each");

/* Map "watch_counts": PERCPU_ARRAY of u64, since the datapath was made. X(id, label, help) */
#define TALON_WATCH_COUNTS(X) \
	X(DROPS_SENT,	"drops_sent",	"dropped packets shown to who follows them") \
	X(DROPS_LIMITED, "drops_limited", "dropped packets not shown: more than the limit a second") \
	X(DROPS_LOST,	"drops_lost",	"dropped packets not shown: no room in the ring") \
	X(PACKETS_SENT,	"packets_sent",	"packets copied to a capture") \
	X(PACKETS_LOST,	"packets_lost",	"packets missing in a capture: no room in the ring")

#define TALON_WATCH_COUNT_ID(id, label, help) TALON_WATCH_##id,
enum talon_watch_count { TALON_WATCH_COUNTS(TALON_WATCH_COUNT_ID) TALON_WATCH_COUNT_COUNT };

/* Which packet a sample's addresses are of. */
enum talon_sample_layer {
	TALON_SAMPLE_NONE,		/* none could be read */
	TALON_SAMPLE_OUTER,		/* not opened: as it came from the wire */
	TALON_SAMPLE_INNER,		/* the packet in the tunnel, as far as it had been translated */
};

/* One dropped packet. */
struct talon_drop_sample {
	__u64	time_ns;		/* CLOCK_BOOTTIME */
	/* TALON_PEER_NONE: not known. Before a tag was verified: whose session the packet names */
	__u32	peer;
	__u32	ifindex;		/* where it came in */
	__u32	len;			/* of the IP packet; 0 with TALON_SAMPLE_NONE */
	__u8	dir;			/* enum talon_dir */
	__u8	reason;			/* enum talon_end */
	__u8	layer;			/* enum talon_sample_layer */
	__u8	family;			/* AF_INET or AF_INET6 */
	__u8	proto;
	__u8	has_ports;		/* sport and dport were read; of ICMP, sport is type and code */
	__be16	sport;
	__be16	dport;
	__u8	pad[2];
	struct talon_addr src;
	struct talon_addr dst;
};
TALON_ASSERT_SIZE(struct talon_drop_sample, 64);

/* Before each captured frame: an Ethernet header without meaning, then size bytes of the inner packet. */
struct talon_packet_head {
	__u64	time_ns;		/* CLOCK_BOOTTIME */
	__u32	peer;
	__u32	len;			/* of the whole packet */
	__u32	size;			/* bytes of it that are here */
	__u32	dir;			/* TALON_DIR_IN: from the peer; TALON_DIR_OUT: to it */
};
TALON_ASSERT_SIZE(struct talon_packet_head, 24);

#endif
