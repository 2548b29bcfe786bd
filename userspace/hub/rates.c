// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// How often somebody may do something.
#include <string.h>

#include <sodium.h>

#include "hub/internal.h"

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

bool hub_rate_is_empty(const struct hub_rate *rate, uint64_t now_ns, uint64_t each_ns, unsigned int burst)
{
	return later(rate->full_ns, now_ns) + each_ns > now_ns + each_ns * burst;
}

bool hub_rate_take(struct hub_rate *rate, uint64_t now_ns, uint64_t each_ns, unsigned int burst)
{
	if (hub_rate_is_empty(rate, now_ns, each_ns, burst))
		return false;
	rate->full_ns = later(rate->full_ns, now_ns) + each_ns;
	return true;
}

struct hub_rate *hub_sources_find(struct hub_sources *sources, const struct endpoint *remote, uint64_t now_ns)
{
	struct hub_source *slot;
	uint64_t source = 0, hash;

	_Static_assert(crypto_shorthash_KEYBYTES == sizeof(sources->seed), "seed of the hash");
	memcpy(&source, &remote->remote, remote->family == AF_INET ? 4 : 8);
	source ^= (uint64_t)(remote->family == AF_INET) << 63;
	crypto_shorthash((uint8_t *)&hash, (const uint8_t *)&source, sizeof(source), sources->seed);
	slot = &sources->of[hash % HUB_SOURCES];
	if (slot->source != source && slot->rate.full_ns <= now_ns)
		*slot = (struct hub_source){ .source = source };
	return &slot->rate;
}
