// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// How often each source address may do something, in a table that does not grow. Where four sources that hash
// alike are all busy, the one nearest to rest is forgotten: it is forgiven, and nobody pays for another.
#include <string.h>

#include <sodium.h>

#include "hub/internal.h"

#define SITE_BITS	48	/* RFC 6177: what a site of IPv6 may have, so one owner at least */
#define SITE_SHARE	8	/* bursts of a /64 that a whole site has */

/* Its own bucket. */
static struct rate *find_bucket(struct hub_sources *sources, uint64_t source, uint64_t bits)
{
	const uint64_t key[] = { source, bits };
	struct hub_source *set, *victim;
	uint64_t hash;

	_Static_assert(crypto_shorthash_KEYBYTES == sizeof(sources->seed), "seed of the hash");
	crypto_shorthash((uint8_t *)&hash, (const uint8_t *)key, sizeof(key), sources->seed);
	set = victim = sources->of[hash % HUB_SOURCE_SETS];
	for (size_t i = 0; i < HUB_SOURCE_WAYS; i++) {
		if (set[i].source == source && set[i].bits == bits)
			return &set[i].rate;
		if (set[i].rate.full_ns < victim->rate.full_ns)
			victim = &set[i];
	}
	*victim = (struct hub_source){ .source = source, .bits = bits };
	return &victim->rate;
}

static struct rate *find_source(struct hub_sources *sources, const struct endpoint *remote, unsigned int bits)
{
	uint64_t source = 0;

	memcpy(&source, &remote->remote, bits / 8);
	return find_bucket(sources, source, bits);
}

static struct rate *find_own(struct hub_sources *sources, const struct endpoint *remote)
{
	return find_source(sources, remote, remote->family == AF_INET ? 32 : 64);
}

/* What is found may take the place of what was found before: each is asked by itself. */
bool hub_sources_is_empty(struct hub_sources *sources, const struct endpoint *remote, uint64_t now_ns,
	const struct hub_pace *pace)
{
	if (rate_is_empty(find_own(sources, remote), now_ns, pace->each_ns, pace->burst))
		return true;
	return remote->family == AF_INET6 && rate_is_empty(find_source(sources, remote, SITE_BITS), now_ns,
		pace->each_ns / SITE_SHARE, pace->burst * SITE_SHARE);
}

bool hub_sources_take(struct hub_sources *sources, const struct endpoint *remote, uint64_t now_ns,
	const struct hub_pace *pace)
{
	if (hub_sources_is_empty(sources, remote, now_ns, pace))
		return false;
	rate_take(find_own(sources, remote), now_ns, pace->each_ns, pace->burst);
	if (remote->family == AF_INET6)
		rate_take(find_source(sources, remote, SITE_BITS), now_ns, pace->each_ns / SITE_SHARE,
			pace->burst * SITE_SHARE);
	return true;
}
