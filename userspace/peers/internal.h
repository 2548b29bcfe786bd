/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the files of peers/ share: one struct conn for each peer, and what exists only while its
 * ICE session does.
 */
#ifndef TALON_PEERS_INTERNAL_H
#define TALON_PEERS_INTERNAL_H

#include "peers/link.h"
#include "peers/peers.h"
#include "peers/silence.h"

#define EARLY_MAX	16	/* remote candidates kept for an agent that is yet to come */
#define LOCAL_MAX	16	/* candidates of our own, of one agent */

/* A relay's address, once however many peers have it. */
struct peers_text {
	struct peers_text *next;
	size_t users;
	char text[];
};

struct early {
	uint64_t at_ns;		/* of the last */
	size_t count;
	struct ice_candidate list[EARLY_MAX];
};

/* One ICE session of the other side, with the agent for it. */
struct exchange {
	struct conn *conn;
	struct ice_agent *agent;
	bool has_remote_session;
	uint8_t remote_session[SIGNAL_SESSION_ID_LEN];
	bool is_connected;
	struct ice_pair_info pair;		/* while connected */
	/*
	 * Our candidates: held until the other side has an agent for them, then sent one by one,
	 * and all once more
	 */
	struct ice_candidate *local;		/* LOCAL_MAX; NULL once connected */
	size_t local_count;
	size_t sent_count;
	bool may_send, is_sending, is_repeated;
	struct loop_timer timer;		/* may_send, or the repetition */
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
	bool is_controller;
	bool can_idle;				/* its version knows lazy connections */
	bool can_lack_ice;			/* ... and peers without ICE */
	/* its last offer or answer came without credentials: only the relay leads to it */
	bool remote_has_no_ice;
	bool leaves_way;			/* being closed without touching where packets go */
	/* packets go by a direct way from before, which no agent of ours stands for */
	bool inherits;
	/* ... and the other side's agent may live as long as the relay is not there */
	bool hides_session;
	bool is_wanted;
	bool was_told_idle;			/* maps do not wake it */
	bool has_offered;			/* since it was opened */
	bool has_slot;				/* the guard's timer stands for a paced offer */
	bool has_rosenpass, needs_rosenpass;
	bool remote_has_relay;
	bool relay_is_ready;
	bool watch_is_first;
	/* nothing answers by the way in use, and no other is left to try */
	bool is_silent;
	char ufrag[SIGNAL_UFRAG_LEN + 1], pwd[SIGNAL_PWD_LEN + 1];
	uint8_t session[SIGNAL_SESSION_ID_LEN];
	struct relay_peer *relay;
	struct peers_text *relay_address;
	struct exchange *exchange;
	struct early *early;
	struct loop_timer guard;
	uint64_t guard_wait_ns;			/* the next interval */
	uint64_t guard_most_ns;			/* T */
	struct loop_timer watch;		/* of handshakes */
	uint64_t watch_since_ns, watch_handshake_ns;
	struct loop_timer late;			/* no handshake by then: we begin it */
	size_t direct_place;			/* in peers->direct, from 1; 0: not */
	struct silence silence;
	uint64_t turned_ns;			/* suspect since */
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
	uint64_t complaints;			/* events that cannot come, and came */
	uint64_t slot_ns;			/* of the next paced offer */
	uint64_t grace_until_ns;		/* first offers wait so long for the home relay */
	struct conn **direct;			/* that have a pair */
	size_t direct_count, direct_room;
	size_t direct_next;			/* where the look at idle ones goes on */
	struct loop_timer look;
};

/* peers.c */
void peers_random(const struct peers *peers, void *buf, size_t len);
struct peers_text *peers_text_get(struct peers *peers, const char *text);	/* NULL: no memory */
void peers_text_put(struct peers *peers, struct peers_text *text);
bool peers_is_routed(const struct peers *peers, uint16_t family, const struct talon_addr *addr);

/* conn.c */
void conn_init(struct conn *conn, struct peers *peers);
/* The only way that a state changes. @body: for OFFER, ANSWER, CANDIDATE. */
void conn_step(struct conn *conn, enum link_event event, const struct signal_body *body);
void conn_wanted(struct conn *conn);
void conn_set_silent(struct conn *conn, bool is_silent);
enum peer_status conn_status(const struct conn *conn);
void conn_new_session(struct conn *conn);
void conn_body(const struct conn *conn, enum signal_type type, struct signal_body *ret_body);
/* Frees and cancels everything, leaves state and way alone. */
void conn_stop(struct conn *conn);

/* guard.c: when to offer. */
void guard_init(struct conn *conn);
void guard_start(struct conn *conn, uint64_t after_ns);		/* opened: then after 3, 6, 12, 24 s */
void guard_rearm(struct conn *conn, bool now);			/* something was lost: 0.8, 1.6, ... s */

/* exchange.c: the ICE session. */
void exchange_hear(struct conn *conn, const struct signal_body *body);	/* an offer or answer */
void exchange_answer(struct conn *conn);
void exchange_candidate(struct conn *conn, const struct signal_body *body);
void exchange_end(struct conn *conn);

/* watch.c: whether what carries does carry. */
void watch_init(struct conn *conn);
void watch_start(struct conn *conn);
void watch_stop(struct conn *conn);
void watch_direct(struct conn *conn, bool is_first);		/* the pair carries from now on */
void watch_direct_end(struct conn *conn);
void watch_soon(struct conn *conn);				/* look at it now rather than in its turn */
void watch_look(void *ctx);

#endif
