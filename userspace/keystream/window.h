/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The slots of one window, mapped: filled, taken back, wiped. The other side of bpf/lib/keystream.h. */
#ifndef TALON_KEYSTREAM_WINDOW_H
#define TALON_KEYSTREAM_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keystream/engine.h"

struct window {
	uint32_t base;			/* first slot in the map */
	unsigned bits;
	struct talon_keystream_slot *slots;	/* 2^bits of them */
	void *pages;			/* of the mapping, which is a bit larger */
	size_t len;
};

/*
 * Maps 2^@bits slots, from @base on, of maps that have 2^@segment_bits each, whose descriptors are @segments;
 * as one piece of memory. All begin at a page: @base is a multiple of WINDOW_ALIGN, and 2^@bits too, if it
 * crosses from one to the next. Returns 0 or a negative errno.
 */
#define WINDOW_ALIGN 8
int window_map(struct window *window, const int *segments, unsigned segment_bits, uint32_t base,
	unsigned bits);
void window_unmap(struct window *window);

/* What a filled slot is for; the key is the engine's. */
struct window_ring {
	uint32_t index;
	enum talon_keystream_dir dir;
	uint32_t len;
};

struct window_counts {
	uint64_t generated;
	uint64_t wasted;
};

/*
 * Makes the slot of @counter ready. A slot whose packet never came is filled anew; one in use is left alone,
 * and its next packet is encrypted inline. Adds to @counts.
 */
void window_fill(struct window *window, struct engine *engine, const struct window_ring *ring,
	uint64_t counter, struct window_counts *counts);

/*
 * Empties and wipes all slots, after the ring no longer points here. False: some are in use, for
 * microseconds; call again later. Wiping those would send the packet that is being sealed in the clear.
 */
bool window_drain(struct window *window, struct window_counts *counts);

/*
 * Empties and wipes all slots. @has_all: nothing else can be using them, whatever their tokens say; false:
 * slots in use are left alone.
 */
void window_wipe(struct window *window, bool has_all);

#endif
