/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared by the load generator and its sink (load_ends.bpf.c). */
#ifndef TALON_TESTS_LOAD_WIRE_H
#define TALON_TESTS_LOAD_WIRE_H

#include "talon/types.h"

#define LOAD_FRAME_MAX	1528	/* the longest packet that fits the wire's MTU, and some */
#define LOAD_RING_BYTES	(16 << 20)

enum load_dir {
	LOAD_IN,	/* laptop to gateway */
	LOAD_OUT,	/* gateway to laptop */
	LOAD_DIRS
};

/* Roles; fixed before the sink is loaded. Addresses and port in network order. */
struct load_names {
	__be32	laptop;		/* where sealed packets go */
	__be32	mesh;		/* the laptop inside the tunnel */
	__be32	gateway;
	__be32	node;		/* the routing peer under test */
	__be16	port;		/* its WireGuard port */
	__u16	pad;
};

/* Instructions for the source. */
struct load_plan {
	__u32	ifindex;	/* of the wire */
	__u32	frame_len;
	__u32	count;
	__u32	window;		/* limit of packets in flight; 0: none */
	__u64	interval_ns;	/* between two packets at least; 0: none */
	__u64	limit_ns;	/* limit of the run's time */
	__u64	stuck_ns;	/* no packet arrived for this long: those in flight are lost */
	__u32	dir;
	__u32	pad;
};

/* Progress of the source. */
struct load_progress {
	__u64	next;		/* number of the next packet */
	__u64	start_ns;	/* when the first one was sent; 0: not yet */
	__u64	warm_ns;	/* the same a fifth later, when measuring begins */
	__u64	warm_next;
	__u64	warm_seen;
	__u64	end_ns;		/* when the last one was sent; 0: not yet */
	__u64	end_seen;
	__u64	lost;
	__u64	moved_ns;	/* when the sink was last seen to count */
	__u64	moved_seen;
};

/* One frame, ready to be sent. */
struct load_slot {
	__u64	sent_ns;
	__u8	frame[LOAD_FRAME_MAX];
};

/* Written by the sink, except for what the generator sets between runs. */
struct load_seen {
	__u64	packets;
	__u64	odd;		/* of another length than wanted: counted here only */
	__u64	unsampled;	/* the ring was full */
};

struct load_sample {
	__u64	ns;		/* CLOCK_MONOTONIC */
	__u32	dir;		/* enum load_dir */
	__u32	len;		/* of the frame; as much of it as fits is here */
	__u8	frame[LOAD_FRAME_MAX];
};

#endif
