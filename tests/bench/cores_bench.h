/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared by cores_bench.bpf.c and bench_cores.c. */
#ifndef TALON_TESTS_CORES_BENCH_H
#define TALON_TESTS_CORES_BENCH_H

#include "talon/types.h"

#define CORES_BENCH_CORES	2
#define CORES_BENCH_TUNNELS	2
#define CORES_BENCH_FRAME	1408
#define CORES_BENCH_TURN	32	/* counters that a core takes at once, as a NIC delivers bursts */
#define CORES_BENCH_BITS	10	/* of a keystream window */
#define CORES_BENCH_SLOTS	(1U << CORES_BENCH_BITS)
/* the windows of two tunnels, and one that is nobody's */
#define CORES_BENCH_SPARE	(2 * CORES_BENCH_TUNNELS * CORES_BENCH_SLOTS)
#define CORES_BENCH_SEALED	8192	/* frames with counters of their own, for what is opened inline */

/*
 * Cores go through these phases together, round after round. A round takes less time than the machine's other
 * work to come or go.
 */
enum cores_bench_phase {
	CORES_BENCH_FIRST,		/* the first core alone, the other waits */
	CORES_BENCH_SECOND,
	CORES_BENCH_SHARED,		/* both on the first tunnel */
	CORES_BENCH_APART,		/* each on its own */
	CORES_BENCH_RESTORE,		/* both, without the path */
	CORES_BENCH_PHASES
};

#define CORES_BENCH_ROUNDS	64

/* What one core does, and how that went. */
struct cores_bench_job {
	__u32	core;
	__u32	is_out;
	__u32	is_ahead;
	__u32	size;			/* of the frames */
	__u32	chunk;			/* packets of a phase */
	__u32	rounds;
	__u32	phase;
	__u32	round;
	__u32	packets;		/* of the phase */
	__u32	failed;
	__u64	begin_ns;		/* of the phase; 0: not begun */
	/* a turn of received counters, for each tunnel */
	__u64	counter[CORES_BENCH_TUNNELS];
	__u32	left[CORES_BENCH_TUNNELS];
	__u32	ns[CORES_BENCH_ROUNDS][CORES_BENCH_PHASES];
	__u8	frame[CORES_BENCH_TUNNELS][CORES_BENCH_FRAME];
};

/* Map "run": one for all cores. */
struct cores_bench_run {
	/* phases that each core has been through, of all rounds; 1: it is there */
	struct {
		__u32	phases;
		__u32	pad[31];
	} done[CORES_BENCH_CORES];
	/* of each tunnel: next counter to be received */
	struct {
		__u64	next;
		__u64	pad[15];
	} counters[CORES_BENCH_TUNNELS];
	/* by the core's number, in lines of their own; the path leaves no room for a map of theirs */
	struct cores_bench_job jobs[CORES_BENCH_CORES] __attribute__((aligned(128)));
};

#define CORES_BENCH_SESSION(tunnel)	(4 + (tunnel))	/* slot */
#define CORES_BENCH_INDEX(tunnel)	(0xabc000u + CORES_BENCH_SESSION(tunnel))

#endif
