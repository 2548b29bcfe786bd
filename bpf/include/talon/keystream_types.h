/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Keystream computed before its packet is there (docs/decisions/0003-keystream-ahead.md).
 *
 * A ring is one direction of one session. While it has traffic it owns a window: 2^n slots of map
 * "keystream" that lie together, in which counter c has slot c mod 2^n. The helper process fills slots, the
 * datapath uses them up.
 *
 * Life of a slot: EMPTY -> (the helper fills it) -> token of its session and counter -> BUSY, by
 * compare-and-swap, so that one has it -> EMPTY. The datapath takes it for the packet of that counter, the
 * helper takes it when the packet never came.
 */
#ifndef TALON_KEYSTREAM_TYPES_H
#define TALON_KEYSTREAM_TYPES_H

#include "talon/types.h"

enum talon_keystream_dir {
	TALON_KEYSTREAM_RECV,
	TALON_KEYSTREAM_SEND,
	TALON_KEYSTREAM_DIRS
};

#define TALON_SLOT_EMPTY	0ULL
#define TALON_SLOT_BUSY		1ULL	/* no token: a receiver index is never 0 */
#define TALON_SLOT_STREAM_LEN	1472	/* longer packets are worked on inline */

/*
 * Map "keystream": ARRAY_OF_MAPS, one element where keystream is not made ahead. Its elements are ARRAYs of
 * TALON_KEYSTREAM_SEGMENT slots, BPF_F_MMAPABLE, which the helper makes as windows need them: slot s is slot
 * s % TALON_KEYSTREAM_SEGMENT of element s / TALON_KEYSTREAM_SEGMENT. As secret as the keys.
 */
#define TALON_KEYSTREAM_SEGMENT_BITS	9
#define TALON_KEYSTREAM_SEGMENT		(1U << TALON_KEYSTREAM_SEGMENT_BITS)	/* 768 KiB */

struct talon_keystream_slot {
	/* EMPTY, BUSY or talon_keystream_token(); what follows is valid under a token only */
	__u64	token;
	__u64	counter;
	__u32	index;			/* our receiver index of the session, in both directions */
	__u16	dir;			/* enum talon_keystream_dir */
	__u16	len;			/* bytes of stream that are there, a multiple of 64 */
	__u64	poly_key[4];		/* of block 0: r, not clamped, and s (RFC 8439 section 2.6) */
	__u64	spare;
	__u64	stream[TALON_SLOT_STREAM_LEN / 8];	/* block 1 and those behind it */
};
TALON_ASSERT_SIZE(struct talon_keystream_slot, 24 * 64);

/* What a slot says of itself in one word. All of index, counter and dir is compared after it was taken. */
static inline __u64 talon_keystream_token(__u32 index, __u64 counter)
{
	return (__u64)index << 32 | (__u32)counter;
}

/* Upper bounds of the classes that packets are counted in, in bytes of ciphertext without the tag. */
#define TALON_KEYSTREAM_CLASSES		4
#define TALON_KEYSTREAM_CLASS_LEN(i) \
	((i) == 0 ? 128U : (i) == 1 ? 512U : (i) == 2 ? 1024U : TALON_SLOT_STREAM_LEN)

/*
 * Map "keystream_rings": ARRAY [2 * session slots], BPF_F_MMAPABLE; element session slot * 2 + direction.
 * One cache line.
 */
struct talon_keystream_ring {
	/* by the helper */
	/* talon_keystream_window(); 0: none. One word, so that it is never half of two */
	__u64	window;
	__u64	wake_at;		/* counter from which on the helper wants to hear of packets */
	__u32	index;			/* whose window it is */
	/* by the datapath */
	__u32	seen;			/* receiver index that what follows is about */
	__u64	head;			/* highest counter that was opened or sealed, plus 1 */
	/* CLOCK_BOOTTIME of the last word to the helper, or of a lone packet */
	__u64	asked_ns;
	__u32	sizes[TALON_KEYSTREAM_CLASSES];	/* packets; longer than all classes: not counted */
	__u64	pad;
};
TALON_ASSERT_SIZE(struct talon_keystream_ring, 64);

#define TALON_KEYSTREAM_BITS_MAX	20	/* of a window's size */

/* @base: first slot. @bits: it has 2^bits of them, at least 1. */
static inline __u64 talon_keystream_window(__u32 base, __u32 bits)
{
	return (__u64)bits << 32 | base;
}

static inline __u32 talon_keystream_window_bits(__u64 window)
{
	return window >> 32 & 31;
}

static inline __u32 talon_keystream_window_slot(__u64 window, __u64 counter)
{
	return (__u32)window + ((__u32)counter & ((1U << talon_keystream_window_bits(window)) - 1));
}

/* Map "keystream_state": ARRAY [1], BPF_F_MMAPABLE. */
struct talon_keystream_state {
	/* 1: the helper must be woken. Whoever makes it 0 by compare-and-swap does so */
	__u32	asleep;
	__u32	pad[15];
	/* by the helper, for people */
	__u32	pid;			/* 0: it ended */
	__u32	windows;		/* rings that have one */
	__u32	slots;			/* in them */
	__u32	room;			/* slots there are */
	__u64	started_ns;		/* CLOCK_BOOTTIME */
	__u64	heartbeat_ns;		/* CLOCK_BOOTTIME, at least once a second */
	__u64	generated;		/* slots filled */
	__u64	wasted;			/* filled and never used */
	__u64	gap_ns;			/* how long the helper is not run at times */
	char	engine[24];		/* "openssl", "libsodium" */
	__u8	reserved[48];
};
TALON_ASSERT_SIZE(struct talon_keystream_state, 192);

/* Map "keystream_wake": RINGBUF of __u32, elements of "keystream_rings" that the helper shall look at. */
#define TALON_KEYSTREAM_ASK_NS	1000000ULL	/* at most one for a ring in that time */
/* a packet after so long a silence is not worth a window: a keepalive, perhaps */
#define TALON_KEYSTREAM_LONE_NS	1000000000ULL

#endif
