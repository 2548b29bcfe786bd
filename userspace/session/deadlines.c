// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Nearest deadline of many.
#include "session/deadlines.h"

#include <stdlib.h>

struct deadlines {
	uint32_t used;
	uint32_t *heap;		/* ids; heap[0] is due first, children of i are 2i + 1 and 2i + 2 */
	uint32_t *place;	/* of each id in the heap, plus 1; 0: not in it */
	uint64_t *at_ns;	/* of each id */
};

struct deadlines *deadlines_new(uint32_t count)
{
	struct deadlines *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->heap = calloc(count, sizeof(d->heap[0]));
	d->place = calloc(count, sizeof(d->place[0]));
	d->at_ns = calloc(count, sizeof(d->at_ns[0]));
	if (!d->heap || !d->place || !d->at_ns) {
		deadlines_free(d);
		return NULL;
	}
	return d;
}

void deadlines_free(struct deadlines *d)
{
	if (!d)
		return;
	free(d->heap);
	free(d->place);
	free(d->at_ns);
	free(d);
}

static void put(struct deadlines *d, uint32_t at, uint32_t id)
{
	d->heap[at] = id;
	d->place[id] = at + 1;
}

static void swap(struct deadlines *d, uint32_t a, uint32_t b)
{
	uint32_t id = d->heap[a];

	put(d, a, d->heap[b]);
	put(d, b, id);
}

static uint64_t key(const struct deadlines *d, uint32_t at)
{
	return d->at_ns[d->heap[at]];
}

static void rise(struct deadlines *d, uint32_t at)
{
	while (at && key(d, at) < key(d, (at - 1) / 2)) {
		swap(d, at, (at - 1) / 2);
		at = (at - 1) / 2;
	}
}

static void sink(struct deadlines *d, uint32_t at)
{
	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child + 1 < d->used && key(d, child + 1) < key(d, child))
			child++;
		if (child >= d->used || key(d, at) <= key(d, child))
			return;
		swap(d, at, child);
		at = child;
	}
}

static void take(struct deadlines *d, uint32_t id)
{
	uint32_t at = d->place[id] - 1, last = d->heap[--d->used];

	d->place[id] = 0;
	if (last == id)
		return;
	put(d, at, last);
	rise(d, at);
	sink(d, d->place[last] - 1);
}

void deadlines_set(struct deadlines *d, uint32_t id, uint64_t at_ns)
{
	if (d->place[id] && d->at_ns[id] == at_ns)
		return;
	if (d->place[id])
		take(d, id);
	if (at_ns == DEADLINE_NEVER)
		return;
	d->at_ns[id] = at_ns;
	put(d, d->used, id);
	rise(d, d->used++);
}

uint64_t deadlines_first(const struct deadlines *d, uint32_t *ret_id)
{
	if (!d->used)
		return DEADLINE_NEVER;
	*ret_id = d->heap[0];
	return key(d, 0);
}
