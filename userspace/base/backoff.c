// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Waits between attempts.
#include <sodium.h>

#include "base/backoff.h"

uint64_t backoff_next(struct backoff *backoff)
{
	uint64_t interval = backoff->next_ns ? backoff->next_ns : backoff->first_ns;
	uint64_t least = interval / 8;

	backoff->next_ns = interval * backoff->tenths / 10;
	if (backoff->next_ns > backoff->most_ns)
		backoff->next_ns = backoff->most_ns;
	return least + (interval - least) / 1000 * randombytes_uniform(1001);
}
