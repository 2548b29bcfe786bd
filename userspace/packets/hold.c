// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// One list, oldest first: there are few, and what they wait for comes soon or not at all.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "packets/hold.h"

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
	return held->key.what == key->what && held->key.peer == key->peer &&
		held->key.ifindex == key->ifindex && held->key.id == key->id &&
		!memcmp(&held->key.addr, &key->addr, sizeof(key->addr)) &&
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

static bool is_like(const struct held *held, const struct hold_key *key)
{
	return held->key.what == key->what;
}

static bool is_from_source(const struct held *held, const struct hold_key *key)
{
	return is_like(held, key) && !memcmp(&held->key.addr, &key->addr, sizeof(key->addr));
}

/*
 * Of those that @belongs takes for the like of @key the oldest goes, if they are @most or more.
 * True if one went.
 */
static bool make_room(struct hold *hold, const struct hold_key *key, unsigned most,
	bool (*belongs)(const struct held *, const struct hold_key *))
{
	struct held **oldest = NULL;
	unsigned n = 0;

	for (struct held **at = &hold->first; *at; at = &(*at)->next) {
		if (!belongs(*at, key))
			continue;
		if (!n++)
			oldest = at;
	}
	if (n < most)
		return false;
	hold_release(unlink_at(hold, oldest));
	hold->dropped++;
	return true;
}

int hold_add(struct hold *hold, const struct hold_key *key, const void *bytes, size_t len, uint64_t until_ns)
{
	static const unsigned most[] = {
		[HOLD_FOR_SESSION] = HOLD_MAX_SESSION, [HOLD_FOR_NEIGH] = HOLD_MAX_NEIGH,
		[HOLD_FOR_FRAGMENT] = HOLD_MAX_FRAGMENT,
	};
	struct held *held;

	if (!make_room(hold, key, HOLD_MAX_EACH, is_for) &&
	    !(key->what == HOLD_FOR_FRAGMENT && make_room(hold, key, HOLD_MAX_SOURCE, is_from_source)))
		make_room(hold, key, most[key->what], is_like);
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
			if (hold->expired)
				hold->expired(*at, hold->ctx);
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
