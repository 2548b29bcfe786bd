// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The table of link.h: one line for each event, one column for each state.
#include <stddef.h>
#include <stdint.h>

#include "peers/link.h"

#define TO(state, action) { LINK_##state, LINK_DO_##action }
#define IGNORED { LINK_STATES, LINK_DO_NOTHING }
#define NEVER { LINK_STATES, LINK_DO_COMPLAIN }

/* One column for each state, in the order of enum link_state. */
static const struct link_move table[LINK_EVENTS][LINK_STATES] = {
	/* idle, asleep, searching, relayed, alone, direct, suspect */
	[LINK_EV_OPENED] = {
		TO(SEARCHING, OPEN), IGNORED, IGNORED, IGNORED, IGNORED, IGNORED, IGNORED },
	[LINK_EV_CLOSED] = {
		IGNORED, IGNORED, TO(IDLE, CLOSE), TO(IDLE, CLOSE), TO(IDLE, CLOSE), TO(IDLE, CLOSE),
		TO(IDLE, CLOSE) },
	[LINK_EV_DEPARTED] = {
		IGNORED, IGNORED, TO(IDLE, LET_GO), TO(IDLE, LET_GO), TO(IDLE, LET_GO), TO(IDLE, LET_GO),
		TO(IDLE, LET_GO) },
	[LINK_EV_WANTED] = {
		TO(SEARCHING, OPEN), TO(SEARCHING, OPEN), IGNORED, IGNORED, IGNORED, IGNORED, IGNORED },
	[LINK_EV_OFFER] = {
		TO(SEARCHING, OPEN_EXCHANGE), TO(SEARCHING, OPEN_EXCHANGE), TO(SEARCHING, EXCHANGE),
		TO(RELAYED, EXCHANGE), TO(ALONE, EXCHANGE), TO(DIRECT, EXCHANGE), TO(SUSPECT, EXCHANGE) },
	[LINK_EV_ANSWER] = {
		TO(SEARCHING, OPEN_EXCHANGE), TO(SEARCHING, OPEN_EXCHANGE), TO(SEARCHING, EXCHANGE),
		TO(RELAYED, EXCHANGE), TO(ALONE, EXCHANGE), TO(DIRECT, EXCHANGE), TO(SUSPECT, EXCHANGE) },
	[LINK_EV_CANDIDATE] = {
		TO(SEARCHING, OPEN_CANDIDATE), TO(SEARCHING, OPEN_CANDIDATE), TO(SEARCHING, CANDIDATE),
		TO(RELAYED, CANDIDATE), TO(ALONE, CANDIDATE), TO(DIRECT, CANDIDATE), TO(SUSPECT, CANDIDATE) },
	[LINK_EV_GO_IDLE] = {
		TO(ASLEEP, SLEEP), TO(ASLEEP, SLEEP), TO(ASLEEP, SLEEP), TO(ASLEEP, SLEEP), TO(ASLEEP, SLEEP),
		TO(ASLEEP, SLEEP), TO(ASLEEP, SLEEP) },
	/*
	 * without a relay to fall back to, packets keep to the pair's address: the peer may only have
	 * restarted
	 */
	[LINK_EV_NEW_SESSION] = {
		NEVER, NEVER, TO(SEARCHING, END_PAIR), TO(RELAYED, END_PAIR), TO(SEARCHING, RENEW_PAIR),
		TO(RELAYED, FALL_BACK_RENEW), TO(RELAYED, FALL_BACK_RENEW) },
	[LINK_EV_RELAY_READY] = {
		NEVER, NEVER, TO(RELAYED, USE_RELAY), NEVER, TO(DIRECT, STAND_BY), NEVER, NEVER },
	[LINK_EV_RELAY_CLOSED] = {
		NEVER, NEVER, TO(SEARCHING, END_RELAY), TO(SEARCHING, LOSE_RELAY), TO(ALONE, END_RELAY),
		TO(ALONE, LOSE_STANDBY), TO(ALONE, STAY) },
	[LINK_EV_PAIR_SELECTED] = {
		NEVER, NEVER, TO(ALONE, USE_PAIR), TO(DIRECT, USE_PAIR), NEVER, NEVER, NEVER },
	[LINK_EV_PAIR_LOST] = {
		NEVER, NEVER, TO(SEARCHING, END_PAIR), TO(RELAYED, END_PAIR), TO(SEARCHING, LOSE_PAIR),
		TO(RELAYED, FALL_BACK), TO(RELAYED, FALL_BACK) },
	[LINK_EV_PAIR_BARRED] = {
		NEVER, NEVER, TO(SEARCHING, END_PAIR), TO(RELAYED, END_PAIR), TO(SEARCHING, LEAVE_PAIR_ALONE),
		TO(RELAYED, LEAVE_PAIR), TO(RELAYED, LEAVE_PAIR) },
	[LINK_EV_SILENCE] = {
		NEVER, NEVER, NEVER, NEVER, IGNORED, TO(SUSPECT, DETOUR), NEVER },
	[LINK_EV_FOLLOW] = {
		NEVER, NEVER, NEVER, NEVER, IGNORED, TO(SUSPECT, DETOUR), NEVER },
	[LINK_EV_PROVEN] = {
		NEVER, NEVER, NEVER, NEVER, NEVER, NEVER, TO(DIRECT, RETURN) },
	[LINK_EV_UNPROVEN] = {
		NEVER, NEVER, NEVER, NEVER, NEVER, NEVER, TO(RELAYED, GIVE_UP) },
	[LINK_EV_HANDSHAKE] = {
		IGNORED, IGNORED, TO(SEARCHING, NOTE), TO(RELAYED, NOTE), TO(ALONE, NOTE), TO(DIRECT, NOTE),
		TO(SUSPECT, NOTE) },
	[LINK_EV_WATCH_EXPIRED] = {
		NEVER, NEVER, NEVER, TO(SEARCHING, DROP_RELAY), TO(SEARCHING, DROP_PAIR_ALONE),
		TO(RELAYED, DROP_PAIR), TO(RELAYED, DROP_PAIR) },
};

struct link_move link_step(enum link_state state, enum link_event event)
{
	struct link_move move = table[event][state];

	if (move.to == LINK_STATES)
		move.to = state;
	return move;
}

bool link_has_relay(enum link_state state)
{
	return state == LINK_RELAYED || state == LINK_DIRECT || state == LINK_SUSPECT;
}

bool link_has_pair(enum link_state state)
{
	return state == LINK_ALONE || state == LINK_DIRECT || state == LINK_SUSPECT;
}

#define CANNOT_BE LINK_OLD_PATHS	/* there is no agent while the session id is not told */

/* none, hidden, told, left */
static const enum link_old_path old_table[LINK_OLD_EVENTS][LINK_OLD_PATHS] = {
	[LINK_OLD_EV_TELL] = { LINK_OLD_NONE, LINK_OLD_TOLD, LINK_OLD_TOLD, LINK_OLD_NONE },
	[LINK_OLD_EV_LEAVE] = { LINK_OLD_NONE, LINK_OLD_LEFT, LINK_OLD_NONE, LINK_OLD_LEFT },
	[LINK_OLD_EV_KEEP] = { LINK_OLD_TOLD, CANNOT_BE, LINK_OLD_TOLD, CANNOT_BE },
};

enum link_old_path link_old_step(enum link_old_path path, enum link_old_event event)
{
	return old_table[event][path];
}

bool link_old_carries(enum link_old_path path)
{
	return path == LINK_OLD_HIDDEN || path == LINK_OLD_TOLD;
}

bool link_old_is_hidden(enum link_old_path path)
{
	return path == LINK_OLD_HIDDEN || path == LINK_OLD_LEFT;
}

#define NAME(list, at) (((size_t)(at) < sizeof(list) / sizeof((list)[0]) && (list)[at]) ? (list)[at] : "?")

static const char *const states[] = {
	[LINK_IDLE] = "idle", [LINK_ASLEEP] = "asleep", [LINK_SEARCHING] = "searching",
	[LINK_RELAYED] = "relayed", [LINK_ALONE] = "direct without relay",
	[LINK_DIRECT] = "direct", [LINK_SUSPECT] = "suspect",
};

static const char *const events[] = {
	[LINK_EV_OPENED] = "opened", [LINK_EV_CLOSED] = "closed",
	[LINK_EV_DEPARTED] = "closed", [LINK_EV_WANTED] = "wanted", [LINK_EV_OFFER] = "offer",
	[LINK_EV_ANSWER] = "answer", [LINK_EV_CANDIDATE] = "candidate", [LINK_EV_GO_IDLE] = "go idle",
	[LINK_EV_NEW_SESSION] = "new session",
	[LINK_EV_RELAY_READY] = "relay ready", [LINK_EV_RELAY_CLOSED] = "relay closed",
	[LINK_EV_PAIR_SELECTED] = "pair selected",
	[LINK_EV_PAIR_LOST] = "pair lost", [LINK_EV_PAIR_BARRED] = "pair barred",
	[LINK_EV_SILENCE] = "silence", [LINK_EV_FOLLOW] = "follow",
	[LINK_EV_PROVEN] = "proven",
	[LINK_EV_UNPROVEN] = "unproven", [LINK_EV_HANDSHAKE] = "handshake",
	[LINK_EV_WATCH_EXPIRED] = "watch expired",
};

static const char *const actions[] = {
	[LINK_DO_NOTHING] = "ignore it", [LINK_DO_COMPLAIN] = "complain", [LINK_DO_OPEN] = "open",
	[LINK_DO_OPEN_EXCHANGE] = "open and exchange",
	[LINK_DO_OPEN_CANDIDATE] = "open and keep the candidate", [LINK_DO_CLOSE] = "close",
	[LINK_DO_LET_GO] = "close, packets go where they went",
	[LINK_DO_SLEEP] = "close and forget the sessions", [LINK_DO_EXCHANGE] = "exchange",
	[LINK_DO_CANDIDATE] = "take the candidate", [LINK_DO_USE_RELAY] = "use the relay",
	[LINK_DO_STAND_BY] = "let the relay stand by",
	[LINK_DO_END_RELAY] = "end the relay attempt", [LINK_DO_LOSE_STANDBY] = "go on without relay",
	[LINK_DO_LOSE_RELAY] = "lose the relay",
	[LINK_DO_DROP_RELAY] = "drop the relay", [LINK_DO_USE_PAIR] = "use the pair",
	[LINK_DO_END_PAIR] = "end the ICE attempt",
	[LINK_DO_RENEW_PAIR] = "end the pair, keep its address",
	[LINK_DO_FALL_BACK] = "fall back to the relay",
	[LINK_DO_FALL_BACK_RENEW] = "fall back to the relay, handshake",
	[LINK_DO_LOSE_PAIR] = "lose the pair",
	[LINK_DO_LEAVE_PAIR] = "leave the pair for the relay", [LINK_DO_LEAVE_PAIR_ALONE] = "leave the pair",
	[LINK_DO_DROP_PAIR] = "drop the pair, use the relay", [LINK_DO_DROP_PAIR_ALONE] = "drop the pair",
	[LINK_DO_GIVE_UP] = "give the pair up",
	[LINK_DO_DETOUR] = "take the relay meanwhile", [LINK_DO_RETURN] = "return to the pair",
	[LINK_DO_STAY] = "stay with the pair",
	[LINK_DO_NOTE] = "note it",
};

const char *link_state_name(enum link_state state)
{
	return NAME(states, state);
}

const char *link_event_name(enum link_event event)
{
	return NAME(events, event);
}

const char *link_action_name(enum link_action action)
{
	return NAME(actions, action);
}
