// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What a handshake attempt does next.
#include "session/attempt.h"

#include <stddef.h>

static const struct attempt_edge {
	enum attempt_state from;
	enum attempt_event event;
	enum attempt_state to;
	enum attempt_action action;
} edges[] = {
	/* from		event			to		action */
	{ ATTEMPT_IDLE,	ATTEMPT_WANTED,		ATTEMPT_SENT,	ATTEMPT_BEGIN },
	{ ATTEMPT_IDLE,	ATTEMPT_WANTED_EARLY,	ATTEMPT_DUE,	ATTEMPT_WAIT },
	{ ATTEMPT_DUE,	ATTEMPT_TIMER,		ATTEMPT_SENT,	ATTEMPT_BEGIN },
	{ ATTEMPT_DUE,	ATTEMPT_CONFIRMED,	ATTEMPT_IDLE,	ATTEMPT_END },
	{ ATTEMPT_SENT,	ATTEMPT_TIMER,		ATTEMPT_SENT,	ATTEMPT_RETRY },
	{ ATTEMPT_SENT,	ATTEMPT_TIMER_LAST,	ATTEMPT_IDLE,	ATTEMPT_GIVE_UP },
	{ ATTEMPT_SENT,	ATTEMPT_ANSWERED,	ATTEMPT_IDLE,	ATTEMPT_END },
	{ ATTEMPT_SENT,	ATTEMPT_CONFIRMED,	ATTEMPT_IDLE,	ATTEMPT_END },
};

enum attempt_action attempt_step(enum attempt_state *state, enum attempt_event event)
{
	for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
		if (edges[i].from != *state || edges[i].event != event)
			continue;
		*state = edges[i].to;
		return edges[i].action;
	}
	return ATTEMPT_NOTHING;
}
