/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How one peer is reached, as two tables: (state, event) -> (state, action) for its relay and its ICE pair,
 * and (state, event) -> state for a direct path that is older than both. They decide and never act: conn.c
 * carries out the action and reports its outcome as further events. No clock is read here.
 */
#ifndef TALON_LINK_H
#define TALON_LINK_H

#include <stdbool.h>

enum link_state {
	LINK_IDLE,		/* not opened: lazy, or the plane does not know the peer */
	/* not opened, because the other side went idle: a network map does not open it */
	LINK_ASLEEP,
	LINK_SEARCHING,		/* open, and nothing carries yet */
	LINK_RELAYED,		/* the relay carries */
	LINK_ALONE,		/* the pair carries, no relay stands by */
	LINK_DIRECT,		/* the pair carries, the relay stands by */
	LINK_SUSPECT,		/* the pair fell silent: the relay carries while the pair is checked */
	LINK_STATES
};

enum link_event {
	LINK_EV_OPENED,		/* to be reached from now on */
	LINK_EV_CLOSED,		/* about to be opened anew */
	/* no longer in the map, or about to be opened anew while its old path carries */
	LINK_EV_DEPARTED,
	LINK_EV_WANTED,		/* a packet waits for it */
	LINK_EV_OFFER,		/* ... arrived by signal */
	LINK_EV_ANSWER,
	LINK_EV_CANDIDATE,
	LINK_EV_GO_IDLE,
	/* the other side began a new ICE session; our agent belongs to its last one */
	LINK_EV_NEW_SESSION,
	LINK_EV_RELAY_READY,
	LINK_EV_RELAY_CLOSED,	/* ... or could not be opened */
	LINK_EV_PAIR_SELECTED,
	LINK_EV_PAIR_LOST,	/* the agent failed, with or without a pair before */
	LINK_EV_PAIR_BARRED,	/* packets must not go by it any more */
	LINK_EV_SILENCE,	/* neither packets nor checks that we send by the pair are answered */
	LINK_EV_FOLLOW,		/* the other side sends by relay, and no longer by the pair */
	LINK_EV_PROVEN,		/* the pair answers again */
	LINK_EV_UNPROVEN,	/* it did not answer in time */
	LINK_EV_HANDSHAKE,	/* WireGuard's, complete */
	LINK_EV_WATCH_EXPIRED,	/* no handshake in time: the way in use does not carry packets */
	LINK_EVENTS
};

enum link_action {
	LINK_DO_NOTHING,	/* this event is ignored here */
	LINK_DO_COMPLAIN,	/* this event cannot occur here: a bug */
	LINK_DO_OPEN,		/* credentials, session id, offers */
	LINK_DO_OPEN_EXCHANGE,	/* the same, then act on the offer or answer */
	LINK_DO_OPEN_CANDIDATE,	/* the same, and keep the candidate for the agent to come */
	LINK_DO_CLOSE,		/* end relay, pair and watch; packets go nowhere */
	LINK_DO_LET_GO,		/* end relay, pair and watch; packets go where they went */
	/*
	 * LINK_DO_CLOSE, and drop the WireGuard sessions, as the other side did: the next packet is then held
	 * and wakes it
	 */
	LINK_DO_SLEEP,
	LINK_DO_EXCHANGE,	/* act on an offer or answer: relay and ICE */
	LINK_DO_CANDIDATE,	/* give it to the agent, or keep it until there is one */
	LINK_DO_USE_RELAY,	/* the first way: send by relay, watch handshakes */
	LINK_DO_STAND_BY,	/* nothing to do: the relay is there if the pair fails */
	LINK_DO_END_RELAY,	/* end an attempt that failed */
	LINK_DO_LOSE_STANDBY,	/* the relay is gone, the pair still carries; offer soon */
	LINK_DO_LOSE_RELAY,	/* the relay is gone, nothing carries; offer soon */
	LINK_DO_DROP_RELAY,	/* close the relayed connection, nothing carries; offer soon */
	LINK_DO_USE_PAIR,	/* send by the pair */
	LINK_DO_END_PAIR,	/* end an attempt that failed; new session id */
	/*
	 * the other side has a new session: end the agent, new session id; packets keep to the pair's address
	 */
	LINK_DO_RENEW_PAIR,
	/*
	 * the pair is gone: packets keep to its address while they flow from there, else send by relay; new
	 * session id, offer soon
	 */
	LINK_DO_FALL_BACK,
	/* the same because the other side has a new session: make sure that WireGuard shakes hands */
	LINK_DO_FALL_BACK_RENEW,
	/*
	 * the pair is gone: packets keep to its address if some came from there just now, else nothing
	 * carries; new session id, offer soon
	 */
	LINK_DO_LOSE_PAIR,
	LINK_DO_LEAVE_PAIR,	/* end it, send by relay; new session id, offer soon */
	LINK_DO_LEAVE_PAIR_ALONE,	/* end it, nothing carries; new session id, offer soon */
	LINK_DO_DROP_PAIR,	/* end the agent, send by relay; the session id stays; offer soon */
	/* end the agent, nothing carries; the session id stays; offer soon */
	LINK_DO_DROP_PAIR_ALONE,
	/*
	 * the pair stays silent: end it, new session id, offer at once so that the other side leaves it too
	 */
	LINK_DO_GIVE_UP,
	LINK_DO_DETOUR,		/* send by relay, keep checking the pair */
	LINK_DO_RETURN,		/* send by the pair again */
	/* the relay is gone while it carried in place of a silent pair: go back to the pair */
	LINK_DO_STAY,
	LINK_DO_NOTE,		/* remember that a handshake took place */
	LINK_ACTIONS
};

struct link_move {
	enum link_state to;
	enum link_action action;
};

/* An ignored or impossible event leaves the state as it is. */
struct link_move link_step(enum link_state state, enum link_event event);

/* What stands in @state: the relayed connection, the selected pair. */
bool link_has_relay(enum link_state state);
bool link_has_pair(enum link_state state);

/*
 * After a restart of this process the datapath still sends by the direct path that it had, and the other
 * side's agent still stands for it, which our new agent would end at once. What becomes of that path; it ends
 * for good when a pair is selected or the link closes (LINK_OLD_NONE).
 */
enum link_old_path {
	LINK_OLD_NONE,		/* packets go where the state says */
	LINK_OLD_HIDDEN,	/* packets keep to the old path; offers do not tell our session id yet */
	LINK_OLD_TOLD,		/* packets keep to the old path; offers tell our session id */
	LINK_OLD_LEFT,		/* packets left the old path; offers do not tell our session id yet */
	LINK_OLD_PATHS
};

enum link_old_event {
	LINK_OLD_EV_TELL,	/* the relay stands, will not come, or had its time */
	LINK_OLD_EV_LEAVE,	/* the old path carries nothing, or the other side left it */
	LINK_OLD_EV_KEEP,	/* the agent of a pair ends, its address may still be good */
	LINK_OLD_EVENTS
};

/* Returns LINK_OLD_PATHS for an event that cannot occur. */
enum link_old_path link_old_step(enum link_old_path path, enum link_old_event event);
bool link_old_carries(enum link_old_path path);		/* packets keep to the old path */
bool link_old_is_hidden(enum link_old_path path);	/* offers do not tell our session id */

/* Names for the log; "?" for a number outside the enum. */
const char *link_state_name(enum link_state state);
const char *link_event_name(enum link_event event);
const char *link_action_name(enum link_action action);

#endif
