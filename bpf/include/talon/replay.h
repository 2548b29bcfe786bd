/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The replay window (RFC 6479 in WireGuard's size), pure, for both targets. The caller holds the lock for
 * replay_commit().
 */
#ifndef TALON_REPLAY_H
#define TALON_REPLAY_H

#include "talon/session_types.h"

#define REPLAY_WORD(counter)	(((counter) >> 6) & (WG_WINDOW_WORDS - 1))
#define REPLAY_BIT(counter)	(1ULL << ((counter) & 63))

/*
 * Could @counter be new? A look without the lock, so that replays cost no decryption; only
 * replay_commit() decides.
 */
static inline bool replay_may_be_new(const struct talon_replay *r, __u64 counter)
{
	if (counter >= WG_REJECT_AFTER_MESSAGES || counter + WG_WINDOW_PACKETS < r->max)
		return false;
	return counter >= r->max || !(r->window[REPLAY_WORD(counter)] & REPLAY_BIT(counter));
}

/*
 * Takes @counter, whose tag was verified. False: it was taken before or is too old. One word of the window is
 * always redundant.
 */
static inline bool replay_commit(struct talon_replay *r, __u64 counter)
{
	/* r->max is one more than the highest counter seen, 0 when none was */
	__u64 next = counter + 1;

	if (counter >= WG_REJECT_AFTER_MESSAGES || counter + WG_WINDOW_PACKETS < r->max)
		return false;
	if (next > r->max) {
		__u64 last = (r->max ? r->max - 1 : 0) >> 6, words = (counter >> 6) - last;

		/*
		 * A bounded loop that the verifier counts; words never gets beyond the window for
		 * in-order traffic.
		 */
		for (__u32 i = 1; i <= WG_WINDOW_WORDS; i++) {
			if (i > words)
				break;
			r->window[(last + i) & (WG_WINDOW_WORDS - 1)] = 0;
		}
		r->max = next;
	}
	if (r->window[REPLAY_WORD(counter)] & REPLAY_BIT(counter))
		return false;
	r->window[REPLAY_WORD(counter)] |= REPLAY_BIT(counter);
	return true;
}

#endif
