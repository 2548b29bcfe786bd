// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Which destinations have the most flows, in bounded memory.
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "top/top.h"

#define PLACES (2 * TOP_DESTINATIONS_MAX)	/* a power of two; half of them stay empty */

struct top_destinations {
	/* clients choose destinations: with a secret they cannot choose places */
	__u8 key[crypto_shorthash_KEYBYTES];
	size_t count;
	__u64 lowered;
	struct top_destination place[PLACES];	/* flows 0: empty */
	struct top_destination kept[TOP_DESTINATIONS_MAX];
};

struct top_destinations *top_destinations_new(void)
{
	struct top_destinations *d = calloc(1, sizeof(*d));

	if (d)
		crypto_shorthash_keygen(d->key);
	return d;
}

void top_destinations_free(struct top_destinations *destinations)
{
	free(destinations);
}

void top_destinations_clear(struct top_destinations *destinations)
{
	memset(destinations->place, 0, sizeof(destinations->place));
	destinations->count = 0;
	destinations->lowered = 0;
}

static bool is_same(const struct top_destination *a, const struct top_destination *b)
{
	return talon_addr_equal(&a->addr, &b->addr) && a->port == b->port && a->proto == b->proto;
}

/* The place that holds @what, or the empty one where it belongs. */
static struct top_destination *find(struct top_destinations *d, const struct top_destination *what)
{
	__u8 text[sizeof(what->addr) + 3], hash[crypto_shorthash_BYTES];
	__u32 at;

	memcpy(text, &what->addr, sizeof(what->addr));
	memcpy(text + sizeof(what->addr), &what->port, 2);
	text[sizeof(text) - 1] = what->proto;
	crypto_shorthash(hash, text, sizeof(text), d->key);
	memcpy(&at, hash, sizeof(at));
	for (at %= PLACES; d->place[at].flows && !is_same(&d->place[at], what); at = (at + 1) % PLACES)
		;
	return &d->place[at];
}

/* Lowers all counts by one. Whoever is left is put where it belongs in an empty table. */
static void lower(struct top_destinations *d)
{
	size_t count = 0;

	for (size_t i = 0; i < PLACES; i++) {
		if (d->place[i].flows > 1)
			d->kept[count++] = d->place[i];
	}
	memset(d->place, 0, sizeof(d->place));
	for (size_t i = 0; i < count; i++) {
		d->kept[i].flows--;
		*find(d, &d->kept[i]) = d->kept[i];
	}
	d->count = count;
	d->lowered++;
}

void top_destinations_add(struct top_destinations *destinations, const struct talon_addr *addr, __be16 port,
	__u8 proto)
{
	const struct top_destination what = { *addr, port, proto, 1 };
	struct top_destination *place = find(destinations, &what);

	if (place->flows) {
		place->flows++;
	} else if (destinations->count < TOP_DESTINATIONS_MAX) {
		*place = what;
		destinations->count++;
	} else {
		lower(destinations);	/* the new one is lowered to nothing, too */
	}
}

static int most_first(const void *left, const void *right)
{
	const struct top_destination *a = left, *b = right;

	if (a->flows != b->flows)
		return (a->flows < b->flows) - (a->flows > b->flows);
	return memcmp(&a->addr, &b->addr, sizeof(a->addr)) ? memcmp(&a->addr, &b->addr, sizeof(a->addr))
		: memcmp(&a->port, &b->port, sizeof(a->port));
}

size_t top_destinations_best(const struct top_destinations *destinations, struct top_destination *ret_best,
	size_t room, __u64 *ret_lowered)
{
	size_t count = 0;

	*ret_lowered = destinations->lowered;
	for (size_t i = 0; i < PLACES; i++) {
		const struct top_destination *place = &destinations->place[i];

		if (!place->flows)
			continue;
		if (count < room) {
			ret_best[count++] = *place;
		} else if (room && most_first(place, &ret_best[room - 1]) < 0) {
			ret_best[room - 1] = *place;
		} else {
			continue;
		}
		for (size_t at = count - 1; at && most_first(&ret_best[at], &ret_best[at - 1]) < 0; at--) {
			struct top_destination kept = ret_best[at];

			ret_best[at] = ret_best[at - 1];
			ret_best[at - 1] = kept;
		}
	}
	return count;
}
