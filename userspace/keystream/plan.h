/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How large a window is, where it lies, what is filled next, how long to sleep: only arithmetic, with the
 * time passed in.
 */
#ifndef TALON_KEYSTREAM_PLAN_H
#define TALON_KEYSTREAM_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "talon/keystream_types.h"

#define PLAN_BITS_MIN		4	/* 16 slots: what a ring gets where hundreds share the memory */
#define PLAN_BITS_FIRST		6	/* a ring starts with 64 */
#define PLAN_BITS_MAX		13	/* 8192 slots: 8 ms at a million packets a second */
#define PLAN_GAP_MIN_NS		1000000ULL	/* assumed even if the helper is always scheduled at once */
/* a longer gap has another cause: a suspended machine, a debugger */
#define PLAN_GAP_MAX_NS		20000000ULL
#define PLAN_SLEEP_MIN_NS	100000ULL
#define PLAN_SLEEP_MAX_NS	1000000ULL
#define PLAN_WOKEN_NS		20000000ULL	/* with this much time left, sleep until a ring wakes us */

/* log2, rounded down and up. @n is at least 1. */
unsigned plan_log2_down(uint64_t n);
unsigned plan_log2_up(uint64_t n);

/*
 * Size of a window, as power of two, for @rate packets a second if the helper may not be scheduled for
 * @gap_ns: twice what passes in that time, at most @bits_max.
 */
unsigned plan_bits(uint64_t rate, uint64_t gap_ns, unsigned bits_max);
/* The largest window a ring may have when @rings share @room slots. */
unsigned plan_bits_fair(uint32_t room, uint32_t rings);

/* Peak packets a second, after @packets came in @ns: rises at once, halves in about five epochs. */
uint64_t plan_rate(uint64_t rate, uint64_t packets, uint64_t ns);
/* The longest time between two looks: rises at once, decays by a sixteenth. */
uint64_t plan_gap(uint64_t gap_ns, uint64_t seen_ns);
uint64_t plan_gap_decay(uint64_t gap_ns);

/*
 * Bytes of keystream to make for a packet, from the packets of each length class: enough for all but one in
 * 32. No packets: @len, the value so far.
 */
uint32_t plan_len(const uint32_t counts[static TALON_KEYSTREAM_CLASSES], uint32_t len);

/*
 * Counters to fill in a window of 2^@bits slots: from *@next up to, not including, the return value. An
 * eighth of the window is kept below @head for packets that were overtaken. Where packets have caught up,
 * *@next moves an eighth ahead of them: keystream that is used while it is written costs more than it saves.
 */
uint64_t plan_fill(uint64_t head, unsigned bits, uint64_t *next);
/*
 * How many slots may be filled for a ring of 2^@bits slots, after @packets authentic packets moved its head
 * by @advance: that many, and one more for each packet, but at most PLAN_PER_PACKET for each, so that a peer
 * whose counter leaps makes no more work than one that loses packets. Unused credit is kept, up to two
 * windows, to rebuild a lost lead.
 */
#define PLAN_PER_PACKET		4
uint64_t plan_credit(uint64_t credit, uint64_t advance, uint32_t packets, unsigned bits);
/* The same bound for a rate: the advance of the head that packets account for. */
uint64_t plan_advance(uint64_t advance, uint32_t packets);

/* Counter from which on the datapath wakes the helper. */
uint64_t plan_wake_at(uint64_t head, unsigned bits);

/*
 * Nanoseconds for which a ring needs nothing: until a quarter of its window is used up at @rate. UINT64_MAX
 * without packets.
 */
uint64_t plan_patience(uint64_t rate, unsigned bits);
/* How long to sleep; @patience_ns: the shortest of all rings. Returns 0: sleep until woken. */
uint64_t plan_sleep(uint64_t patience_ns);

/* Which slots are taken: in units of 2^PLAN_BITS_MIN; windows lie at multiples of their size. */
struct plan_room {
	uint32_t units;
	uint32_t used;		/* slots */
	uint64_t *taken;	/* a bit for each unit */
};

/* Room for @slots, rounded down to whole units. Returns 0 or -ENOMEM. */
int plan_room_init(struct plan_room *room, uint32_t slots);
void plan_room_done(struct plan_room *room);
/* Takes the lowest free 2^@bits slots. Returns 0 or -ENOSPC. */
int plan_room_take(struct plan_room *room, unsigned bits, uint32_t *ret_base);
/* Whether any of the 2^@bits slots from @base on is taken. */
bool plan_room_has(const struct plan_room *room, uint32_t base, unsigned bits);
void plan_room_give(struct plan_room *room, uint32_t base, unsigned bits);

#endif
