/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What goes in and out of one run of the flow table's garbage collection, as the bytes of a test packet. */
#ifndef TALON_NAT_GC_H
#define TALON_NAT_GC_H

#include "talon/types.h"

/* records a run: 0.1 ms with softirqs off, 1.2 ms should all expire at once */
#define TALON_NAT_GC_MAX 4096

struct talon_nat_gc {
	__u32	now_s;		/* in: CLOCK_BOOTTIME, seconds */
	__u32	first;		/* in: id to begin with; 0 is taken as 1 */
	__u32	count;		/* in: how many; out: how many there were */
	__u32	pad;		/* 0: where a frame has its protocol */
	__u32	next;		/* out: id to go on with, 1 after the last */
	__u32	used;		/* out: highest id that was ever handed out */
	__u32	live;		/* out: of this slice */
	__u32	expired;	/* out: ended now */
	__u32	waiting;	/* out: dead, in their grace period */
	__u32	freed;		/* out: given back now */
	__u32	room;		/* out: records there are */
	__u32	pad2;
};
TALON_ASSERT_SIZE(struct talon_nat_gc, 48);

#endif
