// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// One list, oldest first: there are few, and what they wait for comes soon or not at all.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "controller/hold.h"

void hold_init(struct hold *hold)
{
	*hold = (struct hold){ .last = &hold->first };
}

void hold_release(struct held *held)
{
	if (!held)
		return;
	sodium_memzero(held->bytes, held->len);	/* somebody's packet, in the clear */
	free(held);
}

static bool is_for(const struct held *held, const struct hold_key *key)
{
	return held->key.what == key->what && held->key.peer == key->peer && held->key.ifindex == key->ifindex &&
	       held->key.id == key->id && !memcmp(&held->key.addr, &key->addr, sizeof(key->addr)) &&
	       !memcmp(&held->key.addr2, &key->addr2, sizeof(key->addr2));
}

/* Takes **at out of the list. */
static struct held *unlink_at(struct hold *hold, struct held **at)
{
	struct held *held = *at;

	*at = held->next;
	if (hold->last == &held->next)
		hold->last = at;
	hold->count--;
	return held;
}

int hold_add(struct hold *hold, const struct hold_key *key, const void *bytes, size_t len, uint64_t until_ns)
{
	struct held *held;
	unsigned same = 0;

	for (held = hold->first; held; held = held->next)
		same += is_for(held, key);
	if (same >= HOLD_MAX_EACH) {
		hold_release(hold_take(hold, key));
		hold->dropped++;
	} else if (hold->count >= HOLD_MAX) {
		hold_release(unlink_at(hold, &hold->first));
		hold->dropped++;
	}
	held = malloc(sizeof(*held) + len);
	if (!held)
		return -ENOMEM;
	held->next = NULL;
	held->key = *key;
	held->until_ns = until_ns;
	held->len = len;
	memcpy(held->bytes, bytes, len);
	*hold->last = held;
	hold->last = &held->next;
	hold->count++;
	return 0;
}

struct held *hold_take(struct hold *hold, const struct hold_key *key)
{
	for (struct held **at = &hold->first; *at; at = &(*at)->next) {
		if (is_for(*at, key))
			return unlink_at(hold, at);
	}
	return NULL;
}

bool hold_has(const struct hold *hold, const struct hold_key *key)
{
	for (const struct held *held = hold->first; held; held = held->next) {
		if (is_for(held, key))
			return true;
	}
	return false;
}

unsigned hold_drop(struct hold *hold, const struct hold_key *key)
{
	struct held *held;
	unsigned n = 0;

	while ((held = hold_take(hold, key))) {
		hold_release(held);
		n++;
	}
	hold->dropped += n;
	return n;
}

uint64_t hold_expire(struct hold *hold, uint64_t now_ns)
{
	uint64_t next = UINT64_MAX;
	struct held **at = &hold->first;

	while (*at) {
		if ((*at)->until_ns <= now_ns) {
			hold_release(unlink_at(hold, at));
			hold->dropped++;
			continue;
		}
		if ((*at)->until_ns < next)
			next = (*at)->until_ns;
		at = &(*at)->next;
	}
	return next;
}

void hold_done(struct hold *hold)
{
	while (hold->first)
		hold_release(unlink_at(hold, &hold->first));
}
