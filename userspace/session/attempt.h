/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A handshake attempt as initiator (whitepaper section 6.4) as a state table. It decides; the caller acts. */
#ifndef TALON_SESSION_ATTEMPT_H
#define TALON_SESSION_ATTEMPT_H

enum attempt_state {
	ATTEMPT_IDLE,
	ATTEMPT_DUE,		/* wanted, but the last handshake message is younger than Rekey-Timeout */
	ATTEMPT_SENT,		/* an initiation awaits its response */
	ATTEMPT_STATE_COUNT
};

enum attempt_event {
	ATTEMPT_WANTED,
	ATTEMPT_WANTED_EARLY,	/* wanted within Rekey-Timeout of the last handshake message */
	ATTEMPT_TIMER,
	ATTEMPT_TIMER_LAST,	/* the timer, and Rekey-Attempt-Time is over */
	ATTEMPT_ANSWERED,	/* an authentic response */
	ATTEMPT_CONFIRMED,	/* a handshake that the peer initiated gave us a session */
	ATTEMPT_EVENT_COUNT
};

enum attempt_action {
	ATTEMPT_NOTHING,
	ATTEMPT_BEGIN,		/* first initiation of an attempt */
	ATTEMPT_RETRY,		/* another one, with a fresh ephemeral and index */
	ATTEMPT_WAIT,		/* until Rekey-Timeout after the last handshake message */
	ATTEMPT_END,		/* wipe the handshake */
	ATTEMPT_GIVE_UP,	/* the same, and drop the packets that are held */
};

/* Moves @state for @event and says what to do. An event outside the table changes nothing. */
enum attempt_action attempt_step(enum attempt_state *state, enum attempt_event event);

#endif
