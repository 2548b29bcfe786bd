/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Equal things get the same number: 0, 1, 2, in the order in which they were first seen. */
#ifndef TALON_INTERNER_H
#define TALON_INTERNER_H

#include <stddef.h>
#include <stdint.h>

struct interner {
	uint8_t *items;
	size_t item_size;		/* compared byte by byte: padding must be zero */
	uint32_t count;
	uint32_t room;
	uint32_t *slots;		/* number + 1; 0: free */
	uint32_t slot_mask;
};

static inline void *interner_at(const struct interner *in, uint32_t number)
{
	return in->items + (size_t)number * in->item_size;
}

/* @in starts with nothing but item_size. Returns 0 or -ENOMEM. */
int interner_add(struct interner *in, const void *item, uint32_t *ret_number);
/* The number of @item, or UINT32_MAX if it has none. */
uint32_t interner_find(const struct interner *in, const void *item);
void interner_done(struct interner *in);

#endif
