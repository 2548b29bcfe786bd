/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A full ICE agent (RFC 8445) for one peer, on the WireGuard port that all peers share: one component, UDP,
 * host and server-reflexive candidates, regular nomination, consent by checks. No socket of its own: packets
 * go out by struct ice_ops and come in by ice_mux_receive(). Timers are the loop's.
 */
#ifndef TALON_ICE_AGENT_H
#define TALON_ICE_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/server_url.h"
#include "ice/candidate.h"
#include "loop/loop.h"

#define ICE_CREDENTIAL_MAX	256

/* Shared by all agents: local candidates, STUN servers, and the dispatch of arriving packets. */
struct ice_mux;
struct ice_agent;

struct ice_ops {
	/* @to->local is the address to send from (zero: by route). */
	int (*send)(void *ctx, const struct endpoint *to, const void *bytes, size_t len);
	void (*random)(void *ctx, void *buf, size_t len);	/* NULL: libsodium */
	/*
	 * Whether an address is reached through the tunnel that a path is sought for: nothing is sent there,
	 * and what comes from or to there is dropped. NULL: none is.
	 */
	bool (*is_inside)(void *ctx, uint16_t family, const struct talon_addr *addr);
};

/* @port: host order, the WireGuard port. */
int ice_mux_new(struct loop *loop, uint16_t port, const struct ice_ops *ops, void *ctx,
	struct ice_mux **ret_mux);
void ice_mux_free(struct ice_mux *mux);
/* Addresses of the uplinks, which become host candidates. Returns true if they changed. */
bool ice_mux_set_host(struct ice_mux *mux, const struct endpoint *locals, size_t count);
/*
 * The STUN servers, SERVER_STUN each; host names are resolved when a server is asked. Returns 0, or -ENOSPC
 * if only the first 8 are used.
 */
int ice_mux_set_stuns(struct ice_mux *mux, const struct server_url *urls, size_t count);
/* Takes a STUN message from the WireGuard socket. A malformed or unexpected one is counted and ignored. */
void ice_mux_receive(struct ice_mux *mux, const struct endpoint *from, const uint8_t *bytes, size_t len);
/* Asks the STUN servers again whose last answer is older than 25 s. */
void ice_mux_gather(struct ice_mux *mux);
/* @fn is called when the set of local candidates changed. */
typedef void (*ice_changed_fn)(void *ctx);
void ice_mux_on_change(struct ice_mux *mux, ice_changed_fn fn, void *ctx);

/* For status: each STUN server, and whether it answered the last request (or is asked for the first time). */
struct ice_stun_status { char uri[SERVER_URL_LEN]; bool is_available; };
size_t ice_mux_list_stuns(const struct ice_mux *mux, struct ice_stun_status *list, size_t room);

struct ice_stats { uint64_t received, malformed, unknown_user, bad_integrity, sent, unmatched, inside; };
void ice_mux_get_stats(const struct ice_mux *mux, struct ice_stats *ret_stats);

struct ice_agent_config {
	bool is_controlling;		/* our base64 key is greater than theirs */
	char local_ufrag[ICE_CREDENTIAL_MAX + 1], local_pwd[ICE_CREDENTIAL_MAX + 1];
	char remote_ufrag[ICE_CREDENTIAL_MAX + 1], remote_pwd[ICE_CREDENTIAL_MAX + 1];
};

struct ice_pair_info {
	struct endpoint path;		/* remote, and the local address to send from */
	enum ice_candidate_type local_type, remote_type;
	/* the local candidate's address and port, in .remote and .port, as others see it */
	struct endpoint local;
	uint64_t rtt_ns;
};

struct ice_agent_events {
	/*
	 * A local candidate to be signalled. Host candidates come first; a server-reflexive one that equals a
	 * host candidate is left out.
	 */
	void (*candidate)(void *ctx, const struct ice_candidate *candidate);
	/* A pair is selected: once. */
	void (*connected)(void *ctx, const struct ice_pair_info *pair);
	/* No pair within 12 s, or no STUN from the selected one for 6 s. The owner frees the agent. */
	void (*failed)(void *ctx, bool had_been_connected);
};

/*
 * Answers checks at once; gathers and checks by itself. Callbacks come only after it returned, and may free
 * the agent. Returns 0, -ENOMEM, or -ENOSPC for too many agents.
 */
int ice_agent_new(struct ice_mux *mux, const struct ice_agent_config *config,
	const struct ice_agent_events *events, void *ctx, struct ice_agent **ret_agent);
void ice_agent_free(struct ice_agent *agent);
/*
 * Adds a candidate of the peer, and a second one at the related port of a server-reflexive one. Duplicates
 * are ignored. Returns 0 or -ENOSPC.
 */
int ice_agent_add_remote(struct ice_agent *agent, const struct ice_candidate *candidate);
bool ice_agent_get_pair(const struct ice_agent *agent, struct ice_pair_info *ret_pair);
/*
 * CLOCK_BOOTTIME ns of the selected pair's last answer, which proves both directions; 0: no pair is
 * selected.
 */
uint64_t ice_agent_answered(const struct ice_agent *agent);
/* Something else says that the path is dead: checks it now, and every 200 ms until it answers. */
void ice_agent_probe(struct ice_agent *agent);

#endif
