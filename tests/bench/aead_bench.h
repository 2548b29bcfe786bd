/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Input of the AEAD bench programs. */
#ifndef TALON_TESTS_AEAD_BENCH_H
#define TALON_TESTS_AEAD_BENCH_H

#include "talon/types.h"

#define AEAD_BENCH_SLOTS 1024	/* more than a core's own caches hold */

struct aead_bench_job {
	__u32	key[8];
	__u64	counter;
	__u32	off;
	__u32	len;
	__u32	size;		/* of the packet */
	__u32	next_slot;	/* of keystream, used in turn */
	__u8	packet[2048];
};
TALON_ASSERT_SIZE(struct aead_bench_job, 56 + 2048);

#endif
