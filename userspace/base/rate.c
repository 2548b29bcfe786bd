// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// How often somebody may do something.
#include "base/rate.h"

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

bool rate_is_empty(const struct rate *rate, uint64_t now_ns, uint64_t each_ns, unsigned int burst)
{
	return later(rate->full_ns, now_ns) + each_ns > now_ns + each_ns * burst;
}

bool rate_take(struct rate *rate, uint64_t now_ns, uint64_t each_ns, unsigned int burst)
{
	if (rate_is_empty(rate, now_ns, each_ns, burst))
		return false;
	rate->full_ns = later(rate->full_ns, now_ns) + each_ns;
	return true;
}
