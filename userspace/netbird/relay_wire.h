/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Relay messages as bytes, relay addresses as text. Nothing here knows connections. */
#ifndef TALON_RELAY_WIRE_H
#define TALON_RELAY_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/relay.h"

#define RELAY_VERSION		1
#define RELAY_HEADER_LEN	2
#define RELAY_TRANSPORT_LEN	(RELAY_HEADER_LEN + RELAY_ID_LEN)	/* what stands before the packet */
#define RELAY_AUTH_MAX		212	/* the server reads no more of the first message */
#define RELAY_AUTH_FIXED	75	/* all of it before the token's text */
#define RELAY_SIGNATURE_LEN	32
#define RELAY_IDS_MAX		((RELAY_MESSAGE_MAX - RELAY_HEADER_LEN) / RELAY_ID_LEN)
#define RELAY_ADDRESS_MAX	255	/* instance address, without terminator */

enum relay_type {
	RELAY_TRANSPORT		= 3,
	RELAY_CLOSE		= 4,
	RELAY_HEALTH_CHECK	= 5,
	RELAY_AUTH		= 6,
	RELAY_AUTH_RESPONSE	= 7,
	RELAY_SUBSCRIBE		= 8,
	RELAY_UNSUBSCRIBE	= 9,
	RELAY_PEERS_ONLINE	= 10,
	RELAY_PEERS_OFFLINE	= 11,
};

/* Points into the message it was parsed from. */
struct relay_message {
	enum relay_type type;
	/* transport: one, the sender's; lists: @id_count of them, one after the other */
	const uint8_t *ids;
	size_t id_count;
	/* transport: the packet; auth response: the address, not terminated */
	const uint8_t *payload;
	size_t payload_len;
};

/*
 * A message from the server, any of those above that a server sends. Returns 0; -EPROTONOSUPPORT for another
 * version or type (to be skipped), or -EBADMSG for one that is cut or holds what it must not.
 */
int relay_message_parse(const uint8_t *bytes, size_t len, struct relay_message *ret_message);

/* Version and type. */
void relay_header_write(enum relay_type type, uint8_t ret_header[static RELAY_HEADER_LEN]);
void relay_transport_write(const uint8_t id[static RELAY_ID_LEN],
	uint8_t ret_header[static RELAY_TRANSPORT_LEN]);

/*
 * The Auth message for @id with the token as management gave it; a secret. Returns its length, or -EINVAL for
 * a token whose text is empty or longer than a server takes.
 */
int relay_auth_write(const uint8_t id[static RELAY_ID_LEN], const char *token_payload,
	const uint8_t signature[static RELAY_SIGNATURE_LEN], uint8_t ret_message[static RELAY_AUTH_MAX]);

/*
 * Where an address leads: "rel://host[:port]" without TLS, "rels://host[:port]" with it. A path is
 * allowed and left out.
 */
struct relay_url {
	char host[256];			/* IPv6 without brackets */
	char authority[264];		/* host and port as written, for the Host header */
	uint16_t port;
	bool tls;
};

/* Returns 0 or -EINVAL. What comes out is safe to stand in a header line and a log. */
int relay_url_parse(const char *text, struct relay_url *ret_url);

#endif
