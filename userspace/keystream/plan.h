/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How large a window is, where it lies, what is filled next, how long to sleep: arithmetic alone, with
 * clocks passed in.
 */
#ifndef TALON_KEYSTREAM_PLAN_H
#define TALON_KEYSTREAM_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "talon/keystream_types.h"

#define PLAN_BITS_MIN		4	/* 16 slots: what a ring gets where hundreds share the memory */
#define PLAN_BITS_FIRST		6	/* a ring starts with 64 */
#define PLAN_BITS_MAX		13	/* 8192 slots: a million packets a second for 8 ms */
#define PLAN_GAP_MIN_NS		1000000ULL	/* counted on even where the helper is run at once */
/* a longer gap was something else: a stopped machine, a debugger */
#define PLAN_GAP_MAX_NS		20000000ULL
#define PLAN_SLEEP_MIN_NS	100000ULL
#define PLAN_SLEEP_MAX_NS	1000000ULL
#define PLAN_WOKEN_NS		20000000ULL	/* a ring that needs us no sooner than this wakes us itself */

/* log2, rounded down and up. @n is at least 1. */
unsigned plan_log2_down(uint64_t n);
unsigned plan_log2_up(uint64_t n);

/*
 * Size of a window, as power of two, for @rate packets a second when the helper may not be run for @gap_ns:
 * twice what passes meanwhile, within @bits_max.
 */
unsigned plan_bits(uint64_t rate, uint64_t gap_ns, unsigned bits_max);
/* The largest window a ring may have when @rings share @room slots. */
unsigned plan_bits_fair(uint32_t room, uint32_t rings);

/*
 * Packets a second, as the highest of the last moments: rises at once, halves in about five epochs.
 * @packets came in @ns.
 */
uint64_t plan_rate(uint64_t rate, uint64_t packets, uint64_t ns);
/* The longest time between two looks: rises at once, sinks by a sixteenth. */
uint64_t plan_gap(uint64_t gap_ns, uint64_t seen_ns);
uint64_t plan_gap_decay(uint64_t gap_ns);

/*
 * Bytes of keystream worth having, from how many packets of each class came: all but one in 32 find enough.
 * No packets: @len, what it was.
 */
uint32_t plan_len(const uint32_t counts[static TALON_KEYSTREAM_CLASSES], uint32_t len);

/*
 * Counters to fill in a window of 2^@bits slots: from *@next up to, not including, what is returned. An
 * eighth of the window stays behind @head for packets that were overtaken. Where packets have caught
 * up, *@next leaps an eighth ahead of them: keystream that is taken from under the writer's hands costs
 * more than it saves.
 */
uint64_t plan_fill(uint64_t head, unsigned bits, uint64_t *next);
/*
 * How many slots may be filled for a ring of 2^@bits slots, after its head went @advance further by @packets
 * that were authentic: as many again, one more for each packet, and PLAN_PER_PACKET for each at most, so that
 * a peer whose counter leaps makes no more work than one that loses packets. What is not used is kept, up to
 * two windows, for when the lead has to be built anew.
 */
#define PLAN_PER_PACKET		4
uint64_t plan_credit(uint64_t credit, uint64_t advance, uint32_t packets, unsigned bits);
/* The same bound for a rate: how far the head went, as far as packets account for it. */
uint64_t plan_advance(uint64_t advance, uint32_t packets);

/* Counter from which on the helper wants to be woken. */
uint64_t plan_wake_at(uint64_t head, unsigned bits);

/*
 * How long nothing needs to be done for a ring: until a quarter of its window is used up at @rate. UINT64_MAX
 * for no packets.
 */
uint64_t plan_patience(uint64_t rate, unsigned bits);
/* @patience_ns: the shortest of all rings. 0: sleep until woken. */
uint64_t plan_sleep(uint64_t patience_ns);

/* Who has which slots: units of 2^PLAN_BITS_MIN, windows at multiples of their size. */
struct plan_room {
	uint32_t units;
	uint32_t used;		/* slots */
	uint64_t *taken;	/* a bit for each unit */
};

/* Room for @slots, less what does not fill a unit. Returns 0 or -ENOMEM. */
int plan_room_init(struct plan_room *room, uint32_t slots);
void plan_room_done(struct plan_room *room);
/* The lowest 2^@bits slots that are free. Returns 0 or -ENOSPC. */
int plan_room_take(struct plan_room *room, unsigned bits, uint32_t *ret_base);
void plan_room_give(struct plan_room *room, uint32_t base, unsigned bits);

#endif
