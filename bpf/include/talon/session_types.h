/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Transport sessions (keypairs) in BPF arrays.
 *
 * A receiver index is slot number (low bits, config.session_mask) plus random generation bits, so a lookup is
 * an array access and a comparison. What the controller writes and what the datapath writes live in maps of
 * their own: a whole-value update from userspace can then never turn a send counter or a replay window back.
 *
 * Life of a slot: FREE -> (keys, counters and window written with index 0) -> index published -> index set
 * to 0 (retired) -> grace period, no packet can hold it any more -> keys overwritten with zeros -> FREE. It
 * is never deleted.
 */
#ifndef TALON_SESSION_TYPES_H
#define TALON_SESSION_TYPES_H

#include "talon/types.h"
#include "talon/wg_wire.h"

enum talon_session_flags {
	TALON_SESSION_INITIATOR	= 1 << 0,	/* this side sent the initiation: it rekeys after 120 s */
};

/* Map "sessions": ARRAY, written by the controller only. */
struct talon_session {
	__u32	index;			/* our receiver index; 0: not live. Published last, cleared first */
	__u32	peer;			/* slot in the peer maps */
	__u32	remote_index;		/* the receiver index that the other side chose */
	__u32	flags;			/* enum talon_session_flags */
	__u64	birth_ns;		/* CLOCK_BOOTTIME, so that age goes on in suspend */
	__u32	recv_key[8];		/* ChaCha20 key words, little-endian as in RFC 8439 section 2.3 */
	__u32	send_key[8];
	__u32	recv_ring;		/* keystream windows of the two directions; 0: none, work inline */
	__u32	send_ring;
	__u8	pad[32];
};
TALON_ASSERT_SIZE(struct talon_session, 128);

enum talon_session_state {
	TALON_SESSION_NEXT	= 1,	/* responder's: must not send before the first valid packet came */
	TALON_SESSION_CURRENT	= 2,	/* confirmed */
};

/*
 * Map "replay": ARRAY, same slots, written by the datapath (by the controller before the index is published).
 */
struct talon_replay {
	struct bpf_spin_lock lock;
	__u32	state;			/* enum talon_session_state; NEXT -> CURRENT by compare-and-swap */
	__u64	newest;			/* block of the highest counter accepted: talon/replay.h */
	__u64	window[WG_WINDOW_WORDS];
};
TALON_ASSERT_SIZE(struct talon_replay, 16 + 1024);

/*
 * Map "send_counters": ARRAY, same slots; the next nonce. Only atomic additions touch it while
 * the index is live.
 */
struct talon_send_counter {
	__u64	next;
	__u64	pad[7];			/* a cache line of its own: all CPUs draw from it */
};
TALON_ASSERT_SIZE(struct talon_send_counter, 64);

#endif
