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

#include "loop/loop.h"
#include "base/endpoint.h"

#define ICE_CREDENTIAL_MAX	256
#define ICE_CANDIDATE_LEN	512	/* of a line with its end */
#define ICE_CID_LEN		32

enum ice_candidate_type { ICE_HOST, ICE_SRFLX, ICE_PRFLX, ICE_RELAY };
const char *ice_candidate_type_name(enum ice_candidate_type type);	/* "host", ... */

struct ice_candidate {
	enum ice_candidate_type type;
	uint16_t family;
	__be16 port;
	struct talon_addr addr;
	bool has_related;
	__be16 related_port;
	struct talon_addr related;
	uint32_t priority;
	char cid[ICE_CID_LEN + 1];	/* empty: none */
};

/*
 * One line without "candidate:". Format returns the length or -ENOSPC. Parse: 0, -EPROTONOSUPPORT (tcp, mDNS:
 * to be ignored), -EBADMSG.
 */
int ice_candidate_format(const struct ice_candidate *candidate, const char *ufrag, char *buf, size_t size);
int ice_candidate_parse(const char *line, struct ice_candidate *ret_candidate);

/* What all agents share: local candidates, STUN servers, and who gets an arriving packet. */
struct ice_mux;
struct ice_agent;

struct ice_ops {
	/* @to->local is the address to send from (zero: by route). */
	int (*send)(void *ctx, const struct endpoint *to, const void *bytes, size_t len);
	void (*random)(void *ctx, void *buf, size_t len);	/* NULL: libsodium */
};

/* @port: host order, the WireGuard port. */
int ice_mux_new(struct loop *loop, uint16_t port, const struct ice_ops *ops, void *ctx,
	struct ice_mux **ret_hub);
void ice_mux_free(struct ice_mux *mux);
/* Addresses of the uplinks, which become host candidates. Returns true if they changed. */
bool ice_mux_set_host(struct ice_mux *mux, const struct endpoint *locals, size_t count);
/* "stun:host:port" as management writes it; names are looked up when asked. */
int ice_mux_set_stuns(struct ice_mux *mux, char *const *uris, size_t count);
/* For tests and where names are resolved elsewhere. */
void ice_mux_set_stun_endpoints(struct ice_mux *mux, const struct endpoint *servers, size_t count);
/* A STUN message from the WireGuard socket; anything malformed or unexpected is counted and ignored. */
void ice_mux_receive(struct ice_mux *mux, const struct endpoint *from, const uint8_t *bytes, size_t len);
/*
 * Asks the STUN servers again, if the last answer is older than 25 s. @fn is told when the set of local
 * candidates changed.
 */
typedef void (*ice_changed_fn)(void *ctx);
void ice_mux_gather(struct ice_mux *mux);
void ice_mux_on_change(struct ice_mux *mux, ice_changed_fn fn, void *ctx);

/*
 * For status: each STUN server as it was named, and whether it answered when it was last asked (or is being
 * asked for the first time).
 */
struct ice_stun_status { char uri[256]; bool is_available; };
size_t ice_mux_list_stuns(const struct ice_mux *mux, struct ice_stun_status *list, size_t room);

struct ice_stats { uint64_t received, malformed, unknown_user, bad_integrity, sent, unmatched; };
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
	 * host's does not come.
	 */
	void (*candidate)(void *ctx, const struct ice_candidate *candidate);
	/* A pair is selected: once. */
	void (*connected)(void *ctx, const struct ice_pair_info *pair);
	/*
	 * No pair within 12 s, or 6 s without any STUN from the selected one. The agent is dead
	 * and to be freed.
	 */
	void (*failed)(void *ctx, bool had_been_connected);
};

/*
 * Answers checks from the moment it exists; gathers and checks by itself. Callbacks never come
 * before it returned.
 */
int ice_agent_new(struct ice_mux *mux, const struct ice_agent_config *config,
	const struct ice_agent_events *events, void *ctx, struct ice_agent **ret_agent);
void ice_agent_free(struct ice_agent *agent);
/* Duplicates are ignored; the extra server-reflexive rule is applied. Returns 0 or -ENOSPC. */
int ice_agent_add_remote(struct ice_agent *agent, const struct ice_candidate *candidate);
bool ice_agent_is_connected(const struct ice_agent *agent);
bool ice_agent_get_pair(const struct ice_agent *agent, struct ice_pair_info *ret_pair);
/* When STUN from the selected pair was last heard, CLOCK_BOOTTIME ns; 0: never. */
uint64_t ice_agent_heard(const struct ice_agent *agent);
/* When the selected pair last answered a check of ours, which proves both directions; 0: none is selected. */
uint64_t ice_agent_answered(const struct ice_agent *agent);
/* The path looks dead from elsewhere: check it now, every 200 ms, until it answers. */
void ice_agent_probe(struct ice_agent *agent);

#endif
