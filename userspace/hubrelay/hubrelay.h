/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The relay: packets from one connected peer to another by their ids, over WebSockets of the server room;
 * and STUN Binding on UDP. Tokens are checked by HMAC; who reads slowly loses packets of his own and delays
 * nobody else's.
 */
#ifndef TALON_HUBRELAY_H
#define TALON_HUBRELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "crypto/key.h"
#include "loop/loop.h"
#include "server/server.h"

#define HUBRELAY_SECRET_LEN	32
#define HUBRELAY_TOKEN_S	(24 * 3600)	/* a token's life; renewed after three quarters */
#define HUBRELAY_PAYLOAD_LEN	24		/* of a token, with its terminator */
#define HUBRELAY_SIGNATURE_LEN	48		/* the same */

struct hubrelay;

struct hubrelay_options {
	const char *instance_url;	/* "rels://hub.example:443": what peers tell each other; copied */
	uint8_t secret[HUBRELAY_SECRET_LEN];
	size_t peers_max;		/* 0: 12,000 */
	/* only peers of hubrelay_admit() get in; else whoever has a token, until it expires */
	bool members_only;
};

/* Returns 0, -ENOMEM, or -EINVAL for an instance URL that is empty, too long, or not visible ASCII. */
int hubrelay_new(struct loop *loop, const struct hubrelay_options *options, struct hubrelay **ret_relay);
/* Best after server_free(); sockets that are still open then are ended. NULL is allowed. */
void hubrelay_free(struct hubrelay *relay);
/* A WebSocket at /relay: as server_events.socket wants it. False: another path, or no memory. */
bool hubrelay_take(struct hubrelay *relay, struct server_socket *socket, const struct server_request *request,
	const struct server_socket_events **ret_events, void **ret_ctx);
/*
 * What RelayConfig carries for the peer with @key: payload (text) and signature (base64), good until
 * @expires_s (Unix, ten digits or more). Both are secrets. The signature is an HMAC-SHA256 with @secret
 * over the payload and the peer's id at relays, so that nobody can use a token of his to be somebody else
 * there.
 */
void hubrelay_token(const uint8_t secret[static HUBRELAY_SECRET_LEN], const uint8_t key[static KEY_LEN],
	uint64_t expires_s, char ret_payload[static HUBRELAY_PAYLOAD_LEN],
	char ret_signature[static HUBRELAY_SIGNATURE_LEN]);

/* A member of the mesh, from now until hubrelay_end_peer(). Returns 0 or -ENOMEM. */
int hubrelay_admit(struct hubrelay *relay, const uint8_t key[static KEY_LEN]);
/* Ends the connection of a peer that was removed; it is no member any more. */
void hubrelay_end_peer(struct hubrelay *relay, const uint8_t key[static KEY_LEN]);

struct hubrelay_counts {
	uint64_t peers;					/* connected now */
	/* handed on; bytes are those of WireGuard's packets */
	uint64_t packets, bytes;
	/* packets: nobody there; the reader's queue is full */
	uint64_t lost_offline, lost_slow;
	/*
	 * connections: wrong token, no member; right but too old; what no client may say; not one word in
	 * 10 s
	 */
	uint64_t auth_refused, auth_expired, malformed, auth_late;
	uint64_t refused_full;				/* more than peers_max */
	uint64_t replaced;				/* by a newer connection of the same peer */
	/* no answer to health checks; no room for our messages */
	uint64_t ended_silent, ended_slow;
	uint64_t watches, watches_refused;		/* subscriptions kept now; beyond what is kept */
};
void hubrelay_counts(const struct hubrelay *relay, struct hubrelay_counts *ret_counts);
/* Packets' bytes from and to one peer since it connected; false: not connected. */
bool hubrelay_peer_counts(const struct hubrelay *relay, const uint8_t key[static KEY_LEN], uint64_t *ret_in,
	uint64_t *ret_out);

struct hubstun;
struct hubstun_counts {
	uint64_t answered, malformed, limited;
};
/*
 * Answers Binding requests (RFC 8489) at the address and port of @listen's remote side; :: takes both
 * families, and 0.0.0.0 takes its place where there is no IPv6. Answers leave from the address that was
 * asked; rates are limited by source. Returns 0 or a negative errno.
 */
int hubstun_new(struct loop *loop, const struct endpoint *listen, struct hubstun **ret_stun);
/* NULL is allowed. */
void hubstun_free(struct hubstun *stun);
/* Host order. */
uint16_t hubstun_port(const struct hubstun *stun);
void hubstun_counts(const struct hubstun *stun, struct hubstun_counts *ret_counts);

#endif
