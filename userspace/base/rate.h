/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How often something may be done: the time when a bucket is full again (GCRA). Zero is a full one. */
#ifndef TALON_RATE_H
#define TALON_RATE_H

#include <stdbool.h>
#include <stdint.h>

struct rate {
	uint64_t full_ns;
};

/* Takes one of @burst, which come back one each @each_ns. False: none is left. */
bool rate_take(struct rate *rate, uint64_t now_ns, uint64_t each_ns, unsigned int burst);
bool rate_is_empty(const struct rate *rate, uint64_t now_ns, uint64_t each_ns, unsigned int burst);

#endif
