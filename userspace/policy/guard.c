// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Tells suspicious network maps from ordinary ones.
#include <stdio.h>
#include <string.h>

#include "policy/guard.h"

/* Both are sorted by key. */
static size_t count_departed(const struct netmap *now, const struct netmap *next)
{
	size_t departed = 0, j = 0;

	for (size_t i = 0; i < now->peer_count; i++) {
		while (j < next->peer_count && memcmp(next->peers[j].key, now->peers[i].key, KEY_LEN) < 0)
			j++;
		if (j == next->peer_count || memcmp(next->peers[j].key, now->peers[i].key, KEY_LEN) != 0)
			departed++;
	}
	return departed;
}

static bool is_suspicious(const struct netmap *now, const struct netmap *next, char *why, size_t size)
{
	size_t departed;

	if (!now || !now->present || !now->peer_count)
		return false;
	if (!next->peer_count) {
		snprintf(why, size, "the map with serial %llu is empty, and %zu peers are in force",
			(unsigned long long)next->serial, now->peer_count);
		return true;
	}
	departed = count_departed(now, next);
	if (now->peer_count < GUARD_PEERS_MIN || 2 * departed <= now->peer_count)
		return false;
	snprintf(why, size, "the map with serial %llu takes away %zu of %zu peers at once",
		(unsigned long long)next->serial, departed, now->peer_count);
	return true;
}

enum guard_verdict guard_judge(struct guard *guard, const struct netmap *now, const struct netmap *next,
	uint64_t now_ns)
{
	char why[sizeof(guard->why)];

	if (!is_suspicious(now, next, why, sizeof(why)) ||
		(guard->is_holding && next->serial > guard->serial) || now_ns >= guard_deadline(guard)) {
		guard_release(guard);
		return GUARD_APPLY;
	}
	if (!guard->is_holding) {
		guard->since_ns = now_ns;
		guard->serial = next->serial;
	}
	guard->is_holding = true;
	memcpy(guard->why, why, sizeof(why));
	return GUARD_KEEP_WAYS;
}

uint64_t guard_deadline(const struct guard *guard)
{
	return guard->is_holding ? guard->since_ns + GUARD_WINDOW_NS : UINT64_MAX;
}

void guard_release(struct guard *guard)
{
	memset(guard, 0, sizeof(*guard));
}
