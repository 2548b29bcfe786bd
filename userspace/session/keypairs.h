/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Previous, current and next session of a peer, and how they move up. The caller retires what drops out. */
#ifndef TALON_SESSION_KEYPAIRS_H
#define TALON_SESSION_KEYPAIRS_H

#include <stdbool.h>
#include <stdint.h>

struct keypair {
	uint32_t index;		/* our receiver index; 0: no session */
	bool is_initiator;	/* we sent its initiation, so we rekey it */
	uint64_t birth_ns;	/* CLOCK_BOOTTIME */
};

struct keypairs {
	struct keypair previous;	/* packets in flight may still need it */
	struct keypair current;		/* sends */
	struct keypair next;		/* as responder: does not send before the peer did (section 5.4.3) */
};

enum keypairs_event {
	KEYPAIRS_INITIATED,		/* as initiator, with no session as next */
	KEYPAIRS_INITIATED_OURS,	/* with one as next: both sides initiated at once, and ours wins */
	KEYPAIRS_INITIATED_THEIRS,	/* the same, and theirs wins */
	KEYPAIRS_RESPONDED,		/* as responder */
	KEYPAIRS_CONFIRMED,		/* the first packet on next arrived */
	KEYPAIRS_EVENT_COUNT
};

/*
 * Which of the first three events a finished handshake of ours is. When both sides initiate at once, two
 * sessions result, and each side would use its own; so both prefer the one whose initiator has the greater
 * public key.
 */
enum keypairs_event keypairs_initiated(const struct keypairs *pairs, bool our_key_is_greater);

/*
 * Moves the sessions for @event; @fresh is the new one (ignored when confirmed). The sessions that
 * drop out go to @ret_retired.
 */
void keypairs_step(struct keypairs *pairs, enum keypairs_event event, const struct keypair *fresh,
	struct keypairs *ret_retired);

#endif
