// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The arithmetic of windows.
#include "keystream/plan.h"

#include <errno.h>
#include <stdlib.h>

unsigned plan_log2_down(uint64_t n)
{
	return 63 - __builtin_clzll(n);
}

unsigned plan_log2_up(uint64_t n)
{
	return n > 1 ? plan_log2_down(n - 1) + 1 : 0;
}

unsigned plan_bits(uint64_t rate, uint64_t gap_ns, unsigned bits_max)
{
	uint64_t gap_us = gap_ns / 1000, slots;
	unsigned bits;

	if (rate > 1ULL << 32)
		rate = 1ULL << 32;
	slots = 2 * rate * gap_us / 1000000;
	bits = slots > 1ULL << PLAN_BITS_FIRST ? plan_log2_up(slots) : PLAN_BITS_FIRST;
	return bits < bits_max ? bits : bits_max;
}

unsigned plan_bits_fair(uint32_t room, uint32_t rings)
{
	uint32_t share = room / (rings ? rings : 1);
	unsigned bits = share ? plan_log2_down(share) : 0;

	if (bits < PLAN_BITS_MIN)
		return PLAN_BITS_MIN;
	return bits < PLAN_BITS_MAX ? bits : PLAN_BITS_MAX;
}

uint64_t plan_rate(uint64_t rate, uint64_t packets, uint64_t ns)
{
	uint64_t us = ns / 1000, now;

	if (packets > 1ULL << 32)
		packets = 1ULL << 32;
	now = packets * 1000000 / (us ? us : 1);
	rate -= (rate + 7) / 8;
	return now > rate ? now : rate;
}

uint64_t plan_gap(uint64_t gap_ns, uint64_t seen_ns)
{
	if (seen_ns > PLAN_GAP_MAX_NS)
		return gap_ns;
	return seen_ns > gap_ns ? seen_ns : gap_ns;
}

uint64_t plan_gap_decay(uint64_t gap_ns)
{
	gap_ns -= gap_ns / 16;
	return gap_ns > PLAN_GAP_MIN_NS ? gap_ns : PLAN_GAP_MIN_NS;
}

uint32_t plan_len(const uint32_t counts[static TALON_KEYSTREAM_CLASSES], uint32_t len)
{
	uint64_t all = 0, larger;

	for (unsigned i = 0; i < TALON_KEYSTREAM_CLASSES; i++)
		all += counts[i];
	if (!all)
		return len;
	larger = all;
	for (unsigned i = 0; i < TALON_KEYSTREAM_CLASSES; i++) {
		larger -= counts[i];
		if (larger <= all / 32)
			return TALON_KEYSTREAM_CLASS_LEN(i);
	}
	return TALON_SLOT_STREAM_LEN;
}

uint64_t plan_fill(uint64_t head, unsigned bits, uint64_t *next)
{
	uint64_t size = 1ULL << bits, eighth = size / 8;

	if (*next <= head)
		*next = head + (head ? eighth : 0);	/* at the start there are no packets to overtake */
	return head + size - eighth;
}

uint64_t plan_advance(uint64_t advance, uint32_t packets)
{
	uint64_t most = (uint64_t)packets * PLAN_PER_PACKET;

	return advance < most ? advance : most;
}

uint64_t plan_credit(uint64_t credit, uint64_t advance, uint32_t packets, unsigned bits)
{
	credit += plan_advance(advance + packets, packets);
	return credit < 2ULL << bits ? credit : 2ULL << bits;
}

uint64_t plan_wake_at(uint64_t head, unsigned bits)
{
	return head + (1ULL << bits) / 2;
}

uint64_t plan_patience(uint64_t rate, unsigned bits)
{
	return rate ? (1ULL << bits) * (TALON_NSEC_PER_SEC / 4) / rate : UINT64_MAX;
}

uint64_t plan_sleep(uint64_t patience_ns)
{
	if (patience_ns > PLAN_WOKEN_NS)
		return 0;
	if (patience_ns < PLAN_SLEEP_MIN_NS)
		return PLAN_SLEEP_MIN_NS;
	return patience_ns < PLAN_SLEEP_MAX_NS ? patience_ns : PLAN_SLEEP_MAX_NS;
}

int plan_room_init(struct plan_room *room, uint32_t slots)
{
	room->units = slots >> PLAN_BITS_MIN;
	room->used = 0;
	room->taken = calloc(room->units / 64 + 1, sizeof(*room->taken));
	return room->taken ? 0 : -ENOMEM;
}

void plan_room_done(struct plan_room *room)
{
	free(room->taken);
	room->taken = NULL;
}

static bool is_free(const struct plan_room *room, uint32_t first, uint32_t count)
{
	for (uint32_t i = first; i < first + count; i++) {
		if (room->taken[i / 64] >> (i % 64) & 1)
			return false;
	}
	return true;
}

static void flip(struct plan_room *room, uint32_t first, uint32_t count)
{
	for (uint32_t i = first; i < first + count; i++)
		room->taken[i / 64] ^= 1ULL << (i % 64);
}

int plan_room_take(struct plan_room *room, unsigned bits, uint32_t *ret_base)
{
	uint32_t count = 1U << (bits - PLAN_BITS_MIN);

	for (uint32_t first = 0; first + count <= room->units; first += count) {
		if (!is_free(room, first, count))
			continue;
		flip(room, first, count);
		room->used += count << PLAN_BITS_MIN;
		*ret_base = first << PLAN_BITS_MIN;
		return 0;
	}
	return -ENOSPC;
}

bool plan_room_has(const struct plan_room *room, uint32_t base, unsigned bits)
{
	const uint32_t first = base >> PLAN_BITS_MIN, end = first + (1U << (bits - PLAN_BITS_MIN));

	return first < room->units && !is_free(room, first, (end < room->units ? end : room->units) - first);
}

void plan_room_give(struct plan_room *room, uint32_t base, unsigned bits)
{
	flip(room, base >> PLAN_BITS_MIN, 1U << (bits - PLAN_BITS_MIN));
	room->used -= 1U << bits;
}
