/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the files of peers/ share: one struct conn for each peer, and what exists only during its ICE session.
 */
#ifndef TALON_PEERS_INTERNAL_H
#define TALON_PEERS_INTERNAL_H

#include "peers/link.h"
#include "peers/peers.h"
#include "peers/silence.h"
#include "talon/relayed_types.h"

#define EARLY_MAX	16	/* remote candidates kept until there is an agent */
#define LOCAL_MAX	16	/* our candidates, of one agent */

/* A relay's address, stored once for all peers that use it. */
struct peers_text {
	struct peers_text *next;
	size_t users;
	char text[];
};

struct early {
	uint64_t at_ns;		/* when the last one came */
	size_t count;
	struct ice_candidate list[EARLY_MAX];
};

/* Our candidates wait until the other side has an agent for them; then they are sent one by one, twice. */
enum candidates_round { CANDIDATES_HELD, CANDIDATES_FIRST, CANDIDATES_AGAIN };

/* One ICE session of the other side, with our agent for it. */
struct exchange {
	struct conn *conn;
	struct ice_agent *agent;
	bool has_remote_session;
	uint8_t remote_session[SIGNAL_SESSION_ID_LEN];
	struct ice_pair_info pair;		/* while link_has_pair() */
	struct ice_candidate *local;		/* our candidates, LOCAL_MAX; NULL once a pair is selected */
	size_t local_count;
	size_t sent_count;			/* in this round */
	enum candidates_round round;
	bool is_sending;			/* signal has one of them */
	struct loop_timer timer;		/* until the next round */
};

/* What the other side's last offer or answer said; all false when the link is opened. */
struct remote {
	bool has_relay;
	bool lacks_ice;				/* it came without credentials */
	bool announces_rosenpass;
};

/* offers.c: when the next offer leaves. */
enum offers_wait {
	OFFERS_BY_INTERVAL,			/* the timer stands for the next interval */
	OFFERS_IN_LINE,				/* ... for the slot of an offer that is due */
};

struct offers {
	struct loop_timer timer;
	uint64_t wait_ns;			/* the next interval */
	uint64_t most_ns;			/* the longest, T */
	enum offers_wait waits;
	bool has_begun;				/* one was sent since the link was opened */
	uint8_t relayed;			/* sent while the relay carried, since something happened */
};

struct conn {
	struct conn *next_by_key, *next_by_id;
	struct peers *peers;
	uint8_t key[KEY_LEN];
	uint32_t id;
	uint32_t map;				/* number of the last map that listed it */
	__be32 addr;
	uint64_t version_hash;
	char *name;				/* for the log */
	enum link_state state : 8;
	enum plane_way way : 8;			/* as last set by us */
	enum plane_way told_way : 8;
	enum peer_status told_status : 8;
	enum link_old_path old_path : 8;
	struct remote remote;
	/* we are the controlling side: our key's text is the greater one */
	bool is_controller;
	bool can_idle;				/* its version knows lazy connections */
	bool can_lack_ice;			/* its version knows peers without ICE */
	bool is_wanted;				/* packets wait for a handshake */
	bool is_heard;				/* by signal, at any time: so it does ICE */
	bool needs_rosenpass;			/* it announced Rosenpass and no handshake came */
	/* the way in use carries no answers, and there is no other to try */
	bool is_silent, told_silent;
	char ufrag[SIGNAL_UFRAG_LEN + 1], pwd[SIGNAL_PWD_LEN + 1];
	uint8_t session[SIGNAL_SESSION_ID_LEN];
	struct relay_peer *relay;		/* opened or being opened */
	struct peers_text *relay_address;
	struct exchange *exchange;
	struct early *early;
	struct offers offers;
	struct loop_timer watch;		/* of handshakes */
	/* when the way came into use; LOOP_NEVER: it was seen to carry */
	uint64_t watch_since_ns;
	uint64_t watch_handshake_ns;		/* the last handshake that the watch knows */
	/* when we begin a handshake if none came, or tell a hidden session */
	struct loop_timer late;
	size_t direct_place;			/* position in peers->direct, from 1; 0: not in it */
	struct silence silence;
	uint64_t turned_ns;			/* LINK_SUSPECT since */
	uint64_t active_until_ns;
	uint64_t changed_unix_ns;
};

struct peers {
	struct loop *loop;
	uint8_t own_key[KEY_LEN];
	char own_text[KEY_BASE64_LEN + 1];
	char version[64];
	uint16_t wg_port;
	bool force_relay;
	bool is_ending;
	bool is_lazy;
	struct peers_ops ops;
	void *ctx;
	struct conn **by_key, **by_id;		/* buckets, a power of two */
	size_t bucket_count;
	size_t count;
	size_t connected_count;
	uint32_t map;				/* number of the last */
	struct peers_text *texts;
	struct cidr *routes;
	size_t route_count;
	uint64_t complaints;			/* events that came where they cannot occur */
	uint64_t slot_ns;			/* of the next paced offer */
	uint64_t grace_until_ns;		/* until then first offers wait for the home relay */
	struct conn **direct;			/* those that have a pair */
	size_t direct_count, direct_room;
	size_t direct_next;			/* where the next look at idle ones begins */
	struct loop_timer look;
};

/* peers.c */
void peers_random(const struct peers *peers, void *buf, size_t len);
struct peers_text *peers_text_get(struct peers *peers, const char *text);	/* NULL: no memory */
void peers_text_put(struct peers *peers, struct peers_text *text);
bool peers_is_routed(const struct peers *peers, uint16_t family, const struct talon_addr *addr);

/* conn.c */
void conn_init(struct conn *conn, struct peers *peers);
/* The only function that changes a conn's state. @body: of OFFER, ANSWER, CANDIDATE; else NULL. */
void conn_step(struct conn *conn, enum link_event event, const struct signal_body *body);
/* Whether the relayed connection stands, and whether the ICE pair does. */
bool conn_has_relay(const struct conn *conn);
bool conn_has_pair(const struct conn *conn);
void conn_wanted(struct conn *conn);
/* Packets go nowhere; or, if it roams, where its own come from. */
void conn_no_way(struct conn *conn);
/*
 * No way was chosen for a peer that has never been heard by signal: it may be plain WireGuard. Never with
 * relays forced, as what it chose would be a direct way.
 */
bool conn_roams(const struct conn *conn);
/* If an earlier process reached it by a relay: goes on with that before anything is heard from it. */
void conn_resume_relay(struct conn *conn);
void conn_set_silent(struct conn *conn, bool is_silent);
enum peer_status conn_status(const struct conn *conn);
void conn_new_session(struct conn *conn);
void conn_body(const struct conn *conn, enum signal_type type, struct signal_body *ret_body);
/* Ends everything and cancels all timers; state and way stay. */
void conn_stop(struct conn *conn);

/* offers.c: when to offer. */
void offers_init(struct conn *conn);
void offers_start(struct conn *conn, uint64_t after_ns);	/* opened: then after 3, 6, 12, 24 s ... */
void offers_rearm(struct conn *conn, bool now);			/* something happened: after 0.8, 1.6 s ... */
void offers_stop(struct conn *conn);

/* exchange.c: the ICE session. */
void exchange_hear(struct conn *conn, const struct signal_body *body);	/* @body: an offer or answer */
void exchange_answer(struct conn *conn);
void exchange_candidate(struct conn *conn, const struct signal_body *body);
void exchange_end(struct conn *conn);

/* watch.c: whether the way in use carries packets. */
void watch_init(struct conn *conn);
void watch_start(struct conn *conn);
void watch_stop(struct conn *conn);
void watch_direct(struct conn *conn, bool is_first);		/* packets go by the pair from now on */
void watch_direct_end(struct conn *conn);
void watch_soon(struct conn *conn);				/* look at it soon instead of in its turn */
void watch_look(void *ctx);

#endif
