/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Instructions for the keystream test programs. */
#ifndef TALON_TESTS_KEYSTREAM_TEST_H
#define TALON_TESTS_KEYSTREAM_TEST_H

#include "talon/types.h"

#define KEYSTREAM_TEST_OFF	58	/* after the Ethernet, IPv4, UDP and data message headers */
#define KEYSTREAM_TEST_DRAWN	(1U << 18)	/* counters that map "drawn" has room for */

struct keystream_test_job {
	__u32	key[8];
	__u64	counter;
	__u32	index;
	__u32	len;		/* of the ciphertext to open, of the plaintext to seal */
	__u32	mtu;
	__u32	relayed;	/* no checksum is asked for */
	__u32	hint;		/* out, of "open" */
	__u32	pad;
	/* of "stress" */
	__u64	drawn;		/* counters; atomic additions */
	__u64	head;		/* highest of them, plus 1; of two CPUs one may win */
	__u64	twice;		/* those that had been drawn before */
	__u64	good;		/* sealed ahead and opened inline */
	__u64	bad;
	__u64	sum;		/* of what was sealed */
};
TALON_ASSERT_SIZE(struct keystream_test_job, 112);

#endif
