/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the load generator and its sink (load_sink.bpf.c) share. */
#ifndef TALON_TESTS_LOAD_WIRE_H
#define TALON_TESTS_LOAD_WIRE_H

#include "talon/types.h"

#define LOAD_FRAME_MAX	1600
#define LOAD_RING_BYTES	(16 << 20)

enum load_dir {
	LOAD_IN,	/* laptop to gateway */
	LOAD_OUT,	/* gateway to laptop */
	LOAD_DIRS
};

/* Who is who; fixed before the sink is loaded. Addresses and port in network order. */
struct load_names {
	__be32	laptop;		/* where sealed packets go */
	__be32	mesh;		/* the laptop inside the tunnel */
	__be32	gateway;
	__be32	node;		/* the routing peer under test */
	__be16	port;		/* its WireGuard port */
	__u16	pad;
};

/* Written by the sink, but for what the generator sets between runs. */
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
