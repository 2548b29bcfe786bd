/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Waits between attempts that grow. Each is a random part of its interval, so that a thousand peers do not
 * return at once.
 */
#ifndef TALON_BASE_BACKOFF_H
#define TALON_BASE_BACKOFF_H

#include <stdint.h>

struct backoff {
	uint64_t first_ns, most_ns;
	unsigned int tenths;		/* the factor, times ten */
	uint64_t next_ns;		/* 0: the first is to come */
};

/*
 * How long to wait now, in nanoseconds: an eighth of the interval to all of it. The next interval is longer.
 */
uint64_t backoff_next(struct backoff *backoff);

/* It worked: the next wait is a first one again. */
static inline void backoff_reset(struct backoff *backoff)
{
	backoff->next_ns = 0;
}

#endif
