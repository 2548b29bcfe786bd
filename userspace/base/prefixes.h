/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sets of networks of one family with a value each, and what has to be done to get from one set to another.
 * Pure. The same code serves both families: addresses are 128 bits from the left, of which IPv4 uses 32.
 */
#ifndef TALON_BASE_PREFIXES_H
#define TALON_BASE_PREFIXES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "talon/types.h"

/* An address as a number, its first bit the highest. */
typedef unsigned __int128 prefix_bits;

struct prefix {
	prefix_bits addr;		/* host bits zero */
	uint32_t value;
	uint32_t order;			/* in which it was added */
	uint8_t len;
};

/* Zero is an empty set. */
struct prefixes {
	struct prefix *list;		/* sorted by address, then length, after prefixes_sort() */
	size_t count;
	size_t room;
};

void prefixes_done(struct prefixes *set);
/* Host bits of @addr are cleared. Returns 0 or -ENOMEM. */
int prefixes_add(struct prefixes *set, prefix_bits addr, unsigned len, uint32_t value);
/* Goes before everything below. Of several entries for one network the one that was added first stays. */
void prefixes_sort(struct prefixes *set);
const struct prefix *prefixes_find(const struct prefixes *set, prefix_bits addr, unsigned len);

/* @addr: of either family, its bytes in network order, those of IPv4 first and followed by zeros. */
prefix_bits prefix_bits_of(const struct talon_addr *addr);
struct talon_addr prefix_addr_of(prefix_bits addr);

static inline prefix_bits prefix_mask(unsigned len)
{
	return len ? ~(prefix_bits)0 << (128 - len) : 0;
}

static inline bool prefix_contains(const struct prefix *p, prefix_bits addr)
{
	return (addr & prefix_mask(p->len)) == p->addr;
}

static inline bool prefix_overlaps(const struct prefix *p, prefix_bits addr, unsigned len)
{
	return !((p->addr ^ addr) & prefix_mask(p->len < len ? p->len : len));
}

enum prefix_change { PREFIX_ADD, PREFIX_CHANGE, PREFIX_REMOVE };
/* Returns 0 or a negative errno, which is kept and does not end the walk. */
typedef int (*prefix_fn)(void *ctx, enum prefix_change change, const struct prefix *prefix);

/*
 * Calls @fn for each network that is new in @wanted or has another value there, then for each that is
 * only in @is: where both can stand beside each other, nothing is without an entry in between. Returns
 * the first error.
 */
int prefixes_diff(const struct prefixes *is, const struct prefixes *wanted, prefix_fn fn, void *ctx);

#endif
