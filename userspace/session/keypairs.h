/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Previous, current and next session of a peer, and how they move up. Decides only; the caller retires
 * what is left over.
 */
#ifndef TALON_SESSION_KEYPAIRS_H
#define TALON_SESSION_KEYPAIRS_H

#include <stdbool.h>
#include <stdint.h>

struct keypair {
	uint32_t index;		/* our receiver index; 0: there is none */
	bool is_initiator;	/* we sent its initiation: ours to rekey */
	uint64_t birth_ns;	/* CLOCK_BOOTTIME */
};

struct keypairs {
	struct keypair previous;	/* packets in flight may still need it */
	struct keypair current;		/* sends */
	/* responder's: may not send before the other side did (section 5.4.3) */
	struct keypair next;
};

enum keypairs_event {
	KEYPAIRS_INITIATED,		/* as initiator, and no session waits as next */
	KEYPAIRS_INITIATED_OURS,	/* while one waits as next: both sides began at once, ours counts */
	KEYPAIRS_INITIATED_THEIRS,	/* the same, theirs counts */
	KEYPAIRS_RESPONDED,		/* as responder */
	KEYPAIRS_CONFIRMED,		/* the first packet on next came */
	KEYPAIRS_EVENT_COUNT
};

/*
 * Which of the first three events a finished handshake of ours is. When both sides initiate at once, two
 * sessions are born and each side would stay on its own; both therefore prefer the one whose initiator has
 * the greater public key.
 */
enum keypairs_event keypairs_initiated(const struct keypairs *pairs, bool our_key_is_greater);

/*
 * Moves the sessions for @event; @fresh is the new one (ignored when confirmed). Returns the sessions that
 * fell out in @ret_retired.
 */
void keypairs_step(struct keypairs *pairs, enum keypairs_event event, const struct keypair *fresh,
	struct keypairs *ret_retired);

#endif
