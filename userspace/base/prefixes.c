// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Sorted arrays: thousands of networks compared in one walk.
#include "base/prefixes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

void prefixes_done(struct prefixes *set)
{
	free(set->list);
	*set = (struct prefixes){};
}

prefix_bits prefix_bits_of(const struct talon_addr *addr)
{
	prefix_bits bits = 0;

	for (unsigned i = 0; i < 4; i++)
		bits = bits << 32 | ntohl(addr->word[i]);
	return bits;
}

struct talon_addr prefix_addr_of(prefix_bits addr)
{
	struct talon_addr ret;

	for (unsigned i = 0; i < 4; i++)
		ret.word[i] = htonl(addr >> (96 - 32 * i));
	return ret;
}

int prefixes_add(struct prefixes *set, prefix_bits addr, unsigned len, uint32_t value)
{
	if (set->count == set->room) {
		size_t room = set->room ? 2 * set->room : 16;
		struct prefix *larger = reallocarray(set->list, room, sizeof(*larger));

		if (!larger)
			return -ENOMEM;
		set->list = larger;
		set->room = room;
	}
	set->list[set->count] = (struct prefix){
		.addr = addr & prefix_mask(len), .len = len, .value = value, .order = set->count,
	};
	set->count++;
	return 0;
}

static int by_network(const struct prefix *a, const struct prefix *b)
{
	if (a->addr != b->addr)
		return a->addr < b->addr ? -1 : 1;
	return (int)a->len - (int)b->len;
}

static int by_network_and_order(const void *x, const void *y)
{
	const struct prefix *a = x, *b = y;
	int order = by_network(a, b);

	return order ? order : a->order < b->order ? -1 : a->order > b->order;
}

void prefixes_sort(struct prefixes *set)
{
	size_t kept = 0;

	if (!set->count)
		return;
	qsort(set->list, set->count, sizeof(*set->list), by_network_and_order);
	for (size_t i = 1; i < set->count; i++) {
		if (by_network(&set->list[kept], &set->list[i]))
			set->list[++kept] = set->list[i];
	}
	set->count = kept + 1;
}

static int compare(const void *x, const void *y)
{
	return by_network(x, y);
}

const struct prefix *prefixes_find(const struct prefixes *set, prefix_bits addr, unsigned len)
{
	const struct prefix key = { .addr = addr, .len = len };

	return set->count ? bsearch(&key, set->list, set->count, sizeof(key), compare) : NULL;
}

struct walk {
	prefix_fn fn;
	void *ctx;
	int ret;
};

static void tell(struct walk *walk, enum prefix_change change, const struct prefix *prefix)
{
	int ret = walk->fn(walk->ctx, change, prefix);

	if (ret && !walk->ret)
		walk->ret = ret;
}

/* Reports each network of @a that is not in @b or, with @changed, has another value there. */
static void pass(const struct prefixes *a, const struct prefixes *b, struct walk *walk,
	enum prefix_change missing, bool changed)
{
	size_t j = 0;

	for (size_t i = 0; i < a->count; i++) {
		while (j < b->count && by_network(&b->list[j], &a->list[i]) < 0)
			j++;
		if (j == b->count || by_network(&b->list[j], &a->list[i]))
			tell(walk, missing, &a->list[i]);
		else if (changed && b->list[j].value != a->list[i].value)
			tell(walk, PREFIX_CHANGE, &a->list[i]);
	}
}

int prefixes_diff(const struct prefixes *is, const struct prefixes *wanted, prefix_fn fn, void *ctx)
{
	struct walk walk = { .fn = fn, .ctx = ctx };

	pass(wanted, is, &walk, PREFIX_ADD, true);
	pass(is, wanted, &walk, PREFIX_REMOVE, false);
	return walk.ret;
}
