/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared by mux.c, gather.c and agent.c. */
#ifndef TALON_ICE_INTERNAL_H
#define TALON_ICE_INTERNAL_H

#include "ice/agent.h"
#include "ice/stun.h"
#include "stream/resolver.h"

#define ICE_HOSTS_MAX		16
#define ICE_SRFLX_MAX		8
#define ICE_SOURCES_MAX		8	/* STUN servers */
#define ICE_AGENTS_MAX		65536
#define ICE_FRESH_NS		(25 * LOOP_SECOND)	/* how long a STUN server's answer holds */

/* A local candidate, the same for all agents. */
struct ice_local {
	struct ice_candidate candidate;
	uint32_t ifindex;
	uint32_t serial;		/* of the latest change: new, or confirmed again after it was stale */
	uint64_t confirmed_ns;		/* LOOP_NEVER: host */
};

/* One address of a STUN server, and the transaction with it. */
struct ice_server {
	struct endpoint at;		/* family 0: none */
	uint8_t tx[STUN_TX_LEN];
	bool is_asking;
	uint8_t tries;
	uint64_t again_ns;
	uint64_t give_up_ns;
	uint64_t answered_ns;		/* 0: never */
	bool has_mapped;
	struct endpoint mapped;
};

struct ice_source {
	struct ice_mux *mux;
	struct server_url url;
	bool is_literal;		/* its host is an address */
	struct resolver_query *query;
	bool is_resolved;
	uint64_t resolved_ns;		/* when the last look-up ended; 0: never */
	struct ice_server servers[2];	/* IPv4, IPv6 */
};

struct ice_gather {
	struct ice_source sources[ICE_SOURCES_MAX];
	size_t source_count;
	struct loop_timer retransmit;
	struct loop_timer monitor;
	bool is_settled;		/* the first round is over: later changes are reported */
};

struct ice_mux {
	struct loop *loop;
	const struct ice_ops *ops;
	void *ctx;
	__be16 port;
	uint8_t tx_key[16];
	struct ice_local hosts[ICE_HOSTS_MAX];
	size_t host_count;
	struct ice_local srflx[ICE_SRFLX_MAX];
	size_t srflx_count;
	uint32_t serial;
	struct ice_gather gather;
	struct ice_agent **agents;	/* by the low 16 bits of their id */
	size_t agent_room;
	size_t agent_count;
	uint8_t generation;		/* the next id's other 8 bits */
	struct ice_agent **buckets;	/* by local ufrag */
	size_t bucket_count;
	struct loop_timer changed;
	ice_changed_fn changed_fn;
	void *changed_ctx;
	struct ice_stats stats;
};

/* The meaning of a transaction id, readable to us only. */
struct ice_tx {
	uint32_t agent;			/* 24 bits */
	uint8_t pair;			/* 7 bits */
	bool nominates;
	uint32_t sent_us;
};

void ice_mux_random(struct ice_mux *mux, void *buf, size_t len);
void ice_mux_new_cid(struct ice_mux *mux, char ret_cid[static ICE_CID_LEN + 1]);
int ice_mux_send(struct ice_mux *mux, const struct endpoint *to, const void *bytes, size_t len);
void ice_mux_make_tx(struct ice_mux *mux, const struct ice_tx *tx, uint8_t ret_id[static STUN_TX_LEN]);
const struct ice_local *ice_mux_find_host(const struct ice_mux *mux, uint16_t family,
	const struct talon_addr *addr);
/* There are new local candidates: agents that still look for a pair signal them. */
void ice_mux_poke(struct ice_mux *mux);
/* Calls the change callback in the next turn. */
void ice_mux_note_change(struct ice_mux *mux);
/* Gives the agent its id and its place under its ufrag. Returns 0 or a negative errno. */
int ice_mux_insert(struct ice_mux *mux, struct ice_agent *agent);
void ice_mux_remove(struct ice_mux *mux, struct ice_agent *agent);

void ice_gather_init(struct ice_mux *mux);
void ice_gather_done(struct ice_mux *mux);
/* Asks the servers whose answer is older than ICE_FRESH_NS; with @all, also the others. */
void ice_gather_ask(struct ice_mux *mux, bool all);
/* True if it was a STUN server's answer. */
bool ice_gather_receive(struct ice_mux *mux, const struct endpoint *from, const struct stun_message *message);
/* Rebuilds the server-reflexive candidates from the servers' answers and the host candidates. */
void ice_gather_update(struct ice_mux *mux);

enum agent_state { AGENT_CHECKING, AGENT_CONNECTED, AGENT_DEAD };
enum pair_state { PAIR_WAITING, PAIR_SUCCEEDED, PAIR_FAILED };

struct ice_remote {
	struct talon_addr addr;
	__be16 port;
	uint8_t family;
	uint8_t type;
	uint32_t priority;
	char cid[ICE_CID_LEN + 1];	/* empty: unknown */
};

struct ice_pair {
	struct talon_addr local;
	struct talon_addr mapped;	/* where the peer saw us, once it answered */
	uint32_t ifindex;
	uint32_t rtt_us;
	__be16 mapped_port;
	uint8_t remote;			/* index */
	uint8_t state;			/* enum pair_state */
	uint8_t tries;			/* since it became PAIR_WAITING */
	uint8_t triggered;		/* checks out of turn since the last round */
	bool is_nominated;		/* by the controlling side */
};

/* There may be thousands: what only the search needs is allocated apart and freed when the search ends. */
struct ice_agent {
	struct ice_mux *mux;
	const struct ice_agent_events *events;
	void *ctx;
	struct ice_agent *next;		/* in its bucket */
	struct loop_timer timer;
	uint64_t born_ns;
	uint64_t checking_ns;		/* of the first check; 0: none yet */
	uint64_t heard_ns;
	uint64_t answered_ns;		/* when the selected pair last answered a check of ours */
	uint64_t round_ns;		/* when the next checks are due */
	uint64_t tie_breaker;
	struct ice_remote *remotes;
	struct ice_pair *pairs;
	uint32_t id;
	uint32_t told;			/* serial of the last local candidate that was signalled */
	uint8_t remote_count, remote_room;
	uint8_t pair_count, pair_room;
	uint8_t state;			/* enum agent_state */
	int16_t nominated;		/* by us; -1: none */
	bool is_controlling;
	bool is_probing;
	struct loop_deferred deferred;
	const char *local_ufrag, *local_pwd, *remote_ufrag, *remote_pwd;
	size_t text_len;
	char text[];			/* the four */
};
_Static_assert(sizeof(struct ice_agent) < 320, "an idle agent is small");

void ice_agent_poke(struct ice_agent *agent);
void ice_agent_request(struct ice_agent *agent, const struct endpoint *from,
	const struct stun_message *message);
void ice_agent_response(struct ice_agent *agent, const struct endpoint *from,
	const struct stun_message *message, const struct ice_tx *tx);

#endif
