// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The helper's side of the slot protocol.
#include "keystream/window.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include <sodium.h>

/* Replaces a part of a mapping, which stays as it was if that fails. */
static int map_part(char *at, size_t len, int fd, size_t offset)
{
	return mmap(at, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, offset) == MAP_FAILED
		? -errno : 0;
}

int window_map(struct window *window, const int *segments, unsigned segment_bits, uint32_t base,
	unsigned bits)
{
	const size_t page = sysconf(_SC_PAGESIZE), size = sizeof(*window->slots), per = 1UL << segment_bits,
		len = ((size << bits) + page - 1) / page * page;
	const uint32_t end = base + (1U << bits);
	char *pages = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ret = 0;

	_Static_assert(WINDOW_ALIGN * sizeof(struct talon_keystream_slot) % 4096 == 0, "whole pages");
	if (pages == MAP_FAILED)
		return -errno;
	for (uint32_t at = base, count; at < end && !ret; at += count) {
		const size_t first = at % per, part = (size_t)(at - base) * size;

		count = end - at < per - first ? end - at : per - first;
		ret = map_part(pages + part, at + count == end ? len - part : count * size,
			segments[at / per], first * size);
	}
	if (ret) {
		munmap(pages, len);
		return ret;
	}
	madvise(pages, len, MADV_DONTDUMP);
	*window = (struct window){ base, bits, (void *)pages, pages, len };
	return 0;
}

void window_unmap(struct window *window)
{
	munmap(window->pages, window->len);
	*window = (struct window){ 0 };
}

/*
 * Takes a ready slot, so that the datapath cannot. False: the datapath was faster, or the slot is not ready.
 */
static bool take(struct talon_keystream_slot *slot)
{
	__u64 token = __atomic_load_n(&slot->token, __ATOMIC_ACQUIRE);

	if (token == TALON_SLOT_EMPTY || token == TALON_SLOT_BUSY)
		return false;
	return __atomic_compare_exchange_n(&slot->token, &token, TALON_SLOT_BUSY, false, __ATOMIC_SEQ_CST,
		__ATOMIC_RELAXED);
}

void window_fill(struct window *window, struct engine *engine, const struct window_ring *ring,
	uint64_t counter, struct window_counts *counts)
{
	struct talon_keystream_slot *slot = &window->slots[counter & ((1ULL << window->bits) - 1)];

	if (__atomic_load_n(&slot->token, __ATOMIC_ACQUIRE) != TALON_SLOT_EMPTY) {
		if (!take(slot))
			return;
		counts->wasted++;
	}
	engine_fill(engine, slot, ring->index, ring->dir, counter, ring->len);
	__atomic_store_n(&slot->token, talon_keystream_token(ring->index, counter), __ATOMIC_RELEASE);
	counts->generated++;
}

static bool drain(struct talon_keystream_slot *slot, struct window_counts *counts)
{
	if (take(slot))
		counts->wasted++;
	else if (__atomic_load_n(&slot->token, __ATOMIC_ACQUIRE) != TALON_SLOT_EMPTY)
		return false;
	sodium_memzero((char *)slot + sizeof(slot->token), sizeof(*slot) - sizeof(slot->token));
	__atomic_store_n(&slot->token, TALON_SLOT_EMPTY, __ATOMIC_RELEASE);
	return true;
}

bool window_drain(struct window *window, struct window_counts *counts)
{
	bool is_empty = true;

	for (size_t i = 0; i < 1UL << window->bits; i++)
		is_empty &= drain(&window->slots[i], counts);
	return is_empty;
}

void window_wipe(struct window *window, bool has_all)
{
	for (size_t i = 0; i < 1UL << window->bits; i++) {
		struct talon_keystream_slot *slot = &window->slots[i];

		if (!has_all && __atomic_load_n(&slot->token, __ATOMIC_ACQUIRE) == TALON_SLOT_BUSY)
			continue;
		sodium_memzero(slot, sizeof(*slot));
	}
}
