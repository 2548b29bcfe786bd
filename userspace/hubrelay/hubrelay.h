/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The relay: packets from one connected peer to another by their ids, over WebSockets of the server room; and STUN Binding on
 * UDP. Tokens are checked by HMAC; who reads slowly loses packets of his own and delays nobody else's.
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
#define HUBRELAY_TOKEN_S	(24 * 3600)	/* how long a token is good for; renewed after three quarters */

struct hubrelay;

struct hubrelay_options {
	const char *instance_url;	/* "rels://hub.example:443/relay": what peers tell each other */
	uint8_t secret[HUBRELAY_SECRET_LEN];
	size_t peers_max;		/* 0: 12,000 */
};

int hubrelay_new(struct loop *loop, const struct hubrelay_options *options, struct hubrelay **ret_relay);
void hubrelay_free(struct hubrelay *relay);
/* A WebSocket at /relay: as server_events.socket wants it. */
bool hubrelay_take(struct hubrelay *relay, struct server_socket *socket, const struct server_request *request,
	const struct server_socket_events **ret_events, void **ret_ctx);
/* What RelayConfig carries: payload (text) and signature (base64), good until @expires_s (Unix). */
void hubrelay_token(const uint8_t secret[static HUBRELAY_SECRET_LEN], uint64_t expires_s, char ret_payload[static 24],
	char ret_signature[static 48]);
/* Ends the connection of a peer that was removed. */
void hubrelay_end_peer(struct hubrelay *relay, const uint8_t key[static KEY_LEN]);
bool hubrelay_is_online(const struct hubrelay *relay, const uint8_t key[static KEY_LEN]);

struct hubrelay_counts {
	uint64_t peers;					/* connected now */
	uint64_t packets, bytes;			/* handed on */
	uint64_t lost_offline, lost_slow;		/* packets: nobody there; the reader's queue is full */
	uint64_t auth_refused, auth_expired, malformed;
};
void hubrelay_counts(const struct hubrelay *relay, struct hubrelay_counts *ret_counts);
/* Bytes from and to one peer since it connected; false: not connected. */
bool hubrelay_peer_counts(const struct hubrelay *relay, const uint8_t key[static KEY_LEN], uint64_t *ret_in, uint64_t *ret_out);

struct hubstun;
struct hubstun_counts {
	uint64_t answered, malformed, limited;
};
/* Binding requests (RFC 8489) at @listen; rates are limited by source address. */
int hubstun_new(struct loop *loop, const struct endpoint *listen, struct hubstun **ret_stun);
void hubstun_free(struct hubstun *stun);
uint16_t hubstun_port(const struct hubstun *stun);
void hubstun_counts(const struct hubstun *stun, struct hubstun_counts *ret_counts);

#endif
