/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How one peer is reached, as a table: (state, event) -> (state, action). It decides and never does: conn.c
 * carries the action out and reports what came of it as further events. There is no clock in here.
 */
#ifndef TALON_LINK_H
#define TALON_LINK_H

enum link_state {
	LINK_IDLE,		/* not opened: lazy, told to be idle, or not applied */
	LINK_SEARCHING,		/* open, and nothing carries yet */
	LINK_RELAYED,		/* the relay carries */
	LINK_ALONE,		/* the pair carries, no relay stands by */
	LINK_DIRECT,		/* the pair carries, the relay stands by */
	LINK_SUSPECT,		/* the pair fell silent: the relay carries while the pair is checked */
	LINK_STATES
};

enum link_event {
	LINK_EV_OPENED,		/* to be reached from now on */
	LINK_EV_CLOSED,		/* no longer in the map, or about to be opened anew */
	LINK_EV_WANTED,		/* a packet waits for it */
	LINK_EV_OFFER,		/* ... arrived by signal */
	LINK_EV_ANSWER,
	LINK_EV_CANDIDATE,
	LINK_EV_GO_IDLE,
	LINK_EV_NEW_SESSION,	/* the other side's ICE session is another than our agent's */
	LINK_EV_RELAY_READY,
	LINK_EV_RELAY_CLOSED,	/* or never came */
	LINK_EV_PAIR_SELECTED,
	LINK_EV_PAIR_LOST,	/* the agent failed, with or without a pair before */
	LINK_EV_SILENCE,	/* packets go out by the pair, neither they nor checks are answered */
	LINK_EV_FOLLOW,		/* the other side sends by relay, and no longer by the pair */
	LINK_EV_PROVEN,		/* the pair answers again */
	LINK_EV_UNPROVEN,	/* it did not in time */
	LINK_EV_HANDSHAKE,	/* WireGuard's, complete */
	LINK_EV_WATCH_EXPIRED,	/* none in time: whatever carries does not carry */
	LINK_EVENTS
};

enum link_action {
	LINK_DO_NOTHING,	/* this event is ignored here */
	LINK_DO_COMPLAIN,	/* this event cannot come here: a fault in the program */
	LINK_DO_OPEN,		/* credentials, session id, offers */
	LINK_DO_OPEN_EXCHANGE,	/* the same, then what the offer or answer says */
	LINK_DO_OPEN_CANDIDATE,	/* the same, and the candidate is kept for the agent that comes */
	LINK_DO_CLOSE,		/* give up everything */
	/*
	 * the same, and the sessions, which the other side gave up too: so the next packet is
	 * kept, and wakes it
	 */
	LINK_DO_SLEEP,
	LINK_DO_EXCHANGE,	/* what an offer or answer says, for relay and ICE */
	LINK_DO_CANDIDATE,	/* add it, or keep it */
	LINK_DO_USE_RELAY,	/* the first way: send by relay, watch handshakes */
	LINK_DO_STAND_BY,	/* the relay is there in case */
	LINK_DO_END_RELAY,	/* an attempt that came to nothing */
	LINK_DO_LOSE_STANDBY,	/* the relay is gone, the pair carries on; offer soon */
	LINK_DO_LOSE_RELAY,	/* the relay is gone, nothing carries; offer soon */
	LINK_DO_DROP_RELAY,	/* close the relayed connection, nothing carries; offer soon */
	LINK_DO_USE_PAIR,	/* send by the pair */
	LINK_DO_END_PAIR,	/* an attempt that came to nothing; new session id */
	/* another session came: end the agent, new session id; who carries now, carries on */
	LINK_DO_RENEW_PAIR,
	LINK_DO_FALL_BACK,	/* the pair is gone, send by relay; new session id, offer soon */
	/* the same because another session came: WireGuard makes sure of a handshake */
	LINK_DO_FALL_BACK_RENEW,
	LINK_DO_LOSE_PAIR,	/* the pair is gone, nothing carries; new session id, offer soon */
	LINK_DO_DROP_PAIR,	/* close the agent, send by relay; the session id stays; offer soon */
	/* close the agent, nothing carries; the session id stays; offer soon */
	LINK_DO_DROP_PAIR_ALONE,
	/*
	 * the pair stays silent: end it, new session id, offer at once so that the other side leaves it too
	 */
	LINK_DO_GIVE_UP,
	LINK_DO_DETOUR,		/* send by relay, keep checking the pair */
	LINK_DO_RETURN,		/* send by the pair again */
	/* the relay went while it carried for a silent pair: the pair is all there is */
	LINK_DO_STAY,
	LINK_DO_NOTE,		/* remember that a handshake happened */
	LINK_ACTIONS
};

struct link_move {
	enum link_state to;
	enum link_action action;
};

/* An ignored or impossible event leaves the state as it is. */
struct link_move link_step(enum link_state state, enum link_event event);

const char *link_state_name(enum link_state state);
const char *link_event_name(enum link_event event);
const char *link_action_name(enum link_action action);

#endif
