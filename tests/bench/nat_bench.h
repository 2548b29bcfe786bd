/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Input and output of a run of nat_bench.bpf.c, carried in the test packet. */
#ifndef TALON_TESTS_BENCH_NAT_BENCH_H
#define TALON_TESTS_BENCH_NAT_BENCH_H

#include "talon/types.h"

enum nat_bench_op {
	NAT_BENCH_KEYS,			/* only make the keys: the share of the others that is not lookup */
	NAT_BENCH_KEYS_RANDOM,
	NAT_BENCH_INSERT,
	NAT_BENCH_FIND,			/* random flows of the first "flows" */
	NAT_BENCH_HASH_INSERT,		/* both directions into two kernel hashes */
	NAT_BENCH_HASH_FIND,
};

struct nat_bench_job {
	__u32	op;
	__u32	first;			/* flow to begin with */
	__u32	count;			/* steps */
	__u32	pad;			/* 0: where a frame has its protocol */
	__u32	flows;
	__u32	misses;			/* out: steps that did not succeed */
	__u64	random;			/* state of the generator; not 0 */
	__u64	sum;			/* out: so that the compiler drops no work */
};
TALON_ASSERT_SIZE(struct nat_bench_job, 40);

#endif
