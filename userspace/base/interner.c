// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// An array of distinct items with a hash over it.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/interner.h"

static uint32_t hash(const uint8_t *bytes, size_t len)
{
	uint64_t h = 0x9E3779B97F4A7C15ULL, word;

	for (; len >= 8; bytes += 8, len -= 8) {
		memcpy(&word, bytes, 8);
		h = (h ^ word) * 0xff51afd7ed558ccdULL;
		h ^= h >> 32;
	}
	if (len) {
		word = 0;
		memcpy(&word, bytes, len);
		h = (h ^ word) * 0xff51afd7ed558ccdULL;
		h ^= h >> 32;
	}
	return h ^ h >> 29;
}

/* The slot where @item is, or would go. */
static uint32_t find(const struct interner *in, const void *item)
{
	uint32_t at = hash(item, in->item_size) & in->slot_mask;

	while (in->slots[at] && memcmp(interner_at(in, in->slots[at] - 1), item, in->item_size))
		at = (at + 1) & in->slot_mask;
	return at;
}

static int grow(struct interner *in)
{
	uint32_t room = in->room ? 2 * in->room : 32, mask = 2 * room - 1;
	uint8_t *items = realloc(in->items, (size_t)room * in->item_size);
	uint32_t *slots;

	if (!items)
		return -ENOMEM;
	in->items = items;
	slots = calloc(mask + 1, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	free(in->slots);
	in->slots = slots;
	in->slot_mask = mask;
	in->room = room;
	for (uint32_t i = 0; i < in->count; i++)
		slots[find(in, interner_at(in, i))] = i + 1;
	return 0;
}

int interner_add(struct interner *in, const void *item, uint32_t *ret_number)
{
	uint32_t at;
	int ret;

	if (in->count == in->room) {
		ret = grow(in);
		if (ret)
			return ret;
	}
	at = find(in, item);
	if (!in->slots[at]) {
		memcpy(interner_at(in, in->count), item, in->item_size);
		in->slots[at] = ++in->count;
	}
	*ret_number = in->slots[at] - 1;
	return 0;
}

uint32_t interner_find(const struct interner *in, const void *item)
{
	return in->count ? in->slots[find(in, item)] - 1 : UINT32_MAX;
}

void interner_done(struct interner *in)
{
	free(in->items);
	free(in->slots);
	*in = (struct interner){ .item_size = in->item_size };
}
