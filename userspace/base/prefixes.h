/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sets of IPv4 networks with a value each, and what has to be done to get from one set to another. Pure. */
#ifndef TALON_BASE_PREFIXES_H
#define TALON_BASE_PREFIXES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "talon/types.h"

struct prefix {
	uint32_t addr;			/* host order, host bits zero */
	uint8_t len;
	uint32_t value;
	uint32_t order;			/* in which it was added */
};

/* Zero is an empty set. */
struct prefixes {
	struct prefix *list;		/* sorted by address, then length, after prefixes_sort() */
	size_t count;
	size_t room;
};

void prefixes_done(struct prefixes *set);
/* Host bits of @addr are cleared. Returns 0 or -ENOMEM. */
int prefixes_add(struct prefixes *set, __be32 addr, unsigned len, uint32_t value);
/* Goes before everything below. Of several entries for one network the one that was added first stays. */
void prefixes_sort(struct prefixes *set);
const struct prefix *prefixes_find(const struct prefixes *set, uint32_t addr, unsigned len);

static inline uint32_t prefix_mask(unsigned len)
{
	return len ? ~0U << (32 - len) : 0;
}

static inline bool prefix_contains(const struct prefix *p, uint32_t addr)
{
	return (addr & prefix_mask(p->len)) == p->addr;
}

static inline bool prefix_overlaps(const struct prefix *p, uint32_t addr, unsigned len)
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
