// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// How a peer's sessions move up.
#include "session/keypairs.h"

enum place { NONE, PREVIOUS, CURRENT, NEXT, FRESH, PLACE_COUNT };

static const struct keypairs_move {
	enum place previous, current, next;	/* where each comes from */
} moves[KEYPAIRS_EVENT_COUNT] = {
	/*				previous	current		next */
	[KEYPAIRS_INITIATED]		= { CURRENT,	FRESH,		NONE },
	[KEYPAIRS_INITIATED_OURS]	= { NEXT,	FRESH,		NONE },
	[KEYPAIRS_INITIATED_THEIRS]	= { CURRENT,	FRESH,		NEXT },
	[KEYPAIRS_RESPONDED]		= { NONE,	CURRENT,	FRESH },
	[KEYPAIRS_CONFIRMED]		= { CURRENT,	NEXT,		NONE },
};

enum keypairs_event keypairs_initiated(const struct keypairs *pairs, bool our_key_is_greater)
{
	if (!pairs->next.index)
		return KEYPAIRS_INITIATED;
	return our_key_is_greater ? KEYPAIRS_INITIATED_OURS : KEYPAIRS_INITIATED_THEIRS;
}

void keypairs_step(struct keypairs *pairs, enum keypairs_event event, const struct keypair *fresh,
	struct keypairs *ret_retired)
{
	const struct keypairs_move *move = &moves[event];
	struct keypair from[PLACE_COUNT] = {
		[PREVIOUS] = pairs->previous,
		[CURRENT] = pairs->current,
		[NEXT] = pairs->next,
		[FRESH] = *fresh,
	};

	pairs->previous = from[move->previous];
	pairs->current = from[move->current];
	pairs->next = from[move->next];

	from[move->previous] = from[move->current] = from[move->next] = (struct keypair){ 0 };
	*ret_retired = (struct keypairs){ .previous = from[PREVIOUS], .current = from[CURRENT],
		.next = from[NEXT] };
}
