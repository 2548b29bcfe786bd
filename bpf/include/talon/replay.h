/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The replay window (RFC 6479 in WireGuard's size), pure, for both targets. Without a lock but where a block
 * of 64 counters begins.
 *
 * A counter is taken by setting its bit, which is one atomic step: of two packets that carry it, one sees the
 * bit that the other has set. The word of a block is that of 128 blocks later as well, and is cleared when
 * those begin: whoever does that says so in "newest" first. A packet that finds its bit clear because of it
 * reads there, after setting the bit, that its block is over, and is refused. The bit that it has left behind
 * may cost the new block a packet; for that it must have been overtaken by 8128 others within these few
 * instructions.
 */
#ifndef TALON_REPLAY_H
#define TALON_REPLAY_H

#include "talon/session_types.h"

#define REPLAY_BLOCK(counter)	((counter) >> 6)
#define REPLAY_WORD(counter)	(REPLAY_BLOCK(counter) & (WG_WINDOW_WORDS - 1))
#define REPLAY_BIT(counter)	(1ULL << ((counter) & 63))

/* "newest": a block's number, and whether its word and those before it are still being cleared */
#define REPLAY_CLEARING		1ULL
#define REPLAY_NEWEST(newest)	((newest) >> 1)

/* Fully ordered, but for the load. */
#ifndef REPLAY_LOAD
#define REPLAY_LOAD(x)		(*(volatile typeof(x) *)&(x))
#define REPLAY_SWAP(p, value)	((void)__sync_lock_test_and_set(p, value))
#define REPLAY_OR(p, bit)	__sync_fetch_and_or(p, bit)
#endif

/* Is the block of @counter so far back that its word is another's? */
static inline bool replay_is_over(__u64 newest, __u64 counter)
{
	return REPLAY_BLOCK(counter) + WG_WINDOW_WORDS <= REPLAY_NEWEST(newest);
}

/*
 * Could @counter be new? A look, so that replays cost no decryption; only replay_take() decides.
 */
static inline bool replay_may_be_new(struct talon_replay *r, __u64 counter)
{
	__u64 newest = REPLAY_LOAD(r->newest);

	if (counter >= WG_REJECT_AFTER_MESSAGES || replay_is_over(newest, counter))
		return false;
	return REPLAY_BLOCK(counter) > REPLAY_NEWEST(newest) ||
		!(REPLAY_LOAD(r->window[REPLAY_WORD(counter)]) & REPLAY_BIT(counter));
}

/* Must replay_begin() come before replay_take()? */
static inline bool replay_begins(struct talon_replay *r, __u64 counter)
{
	__u64 newest = REPLAY_LOAD(r->newest);

	return (newest & REPLAY_CLEARING) || REPLAY_BLOCK(counter) > REPLAY_NEWEST(newest);
}

/* Begins the block of @counter, whose tag was verified, if nobody has. The caller holds the lock. */
static inline void replay_begin(struct talon_replay *r, __u64 counter)
{
	__u64 block = REPLAY_BLOCK(counter), last = REPLAY_NEWEST(r->newest);

	if (block <= last)
		return;
	REPLAY_SWAP(&r->newest, block << 1 | REPLAY_CLEARING);
	/* A bounded loop that the verifier counts; in-order traffic begins one block at a time. */
	for (__u32 i = 1; i <= WG_WINDOW_WORDS; i++) {
		if (last + i > block)
			break;
		r->window[(last + i) & (WG_WINDOW_WORDS - 1)] = 0;
	}
	REPLAY_SWAP(&r->newest, block << 1);
}

/*
 * Takes @counter, whose tag was verified and whose block has begun. False: it was taken before or is too old.
 */
static inline bool replay_take(struct talon_replay *r, __u64 counter)
{
	if (counter >= WG_REJECT_AFTER_MESSAGES || replay_is_over(REPLAY_LOAD(r->newest), counter))
		return false;
	if (REPLAY_OR(&r->window[REPLAY_WORD(counter)], REPLAY_BIT(counter)) & REPLAY_BIT(counter))
		return false;
	return !replay_is_over(REPLAY_LOAD(r->newest), counter);
}

#endif
