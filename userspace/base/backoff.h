/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Growing waits between attempts. Each wait is a random part of its interval, so that a thousand peers do
 * not reconnect at the same moment.
 */
#ifndef TALON_BASE_BACKOFF_H
#define TALON_BASE_BACKOFF_H

#include <stdint.h>

struct backoff {
	uint64_t first_ns, most_ns;
	unsigned int tenths;		/* the factor, times ten */
	uint64_t next_ns;		/* 0: start with first_ns */
};

/*
 * Returns the next wait in nanoseconds, between an eighth of the interval and all of it. Each call makes the
 * interval longer, up to most_ns.
 */
uint64_t backoff_next(struct backoff *backoff);

/* Call after a success: the next wait starts from first_ns again. */
static inline void backoff_reset(struct backoff *backoff)
{
	backoff->next_ns = 0;
}

#endif
