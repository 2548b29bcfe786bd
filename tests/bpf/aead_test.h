/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Instructions for the AEAD test programs. */
#ifndef TALON_TESTS_AEAD_TEST_H
#define TALON_TESTS_AEAD_TEST_H

#include "talon/types.h"

struct aead_test_job {
	__u32	key[8];
	__u64	counter;
	__u32	off;
	__u32	len;
};
TALON_ASSERT_SIZE(struct aead_test_job, 48);

#endif
