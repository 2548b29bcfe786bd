/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The relays' message format: a version, a type, then ids, a packet or a token. */
#ifndef TALON_RELAY_WIRE_H
#define TALON_RELAY_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/key.h"

#define RELAY_VERSION		1
#define RELAY_HEADER_LEN	2
#define RELAY_ID_LEN		36
#define RELAY_MESSAGE_MAX	8820	/* bytes of the longest message */
#define RELAY_PAYLOAD_MAX	(RELAY_MESSAGE_MAX - RELAY_TRANSPORT_LEN)
#define RELAY_TRANSPORT_LEN	(RELAY_HEADER_LEN + RELAY_ID_LEN)	/* header of a transport message */
#define RELAY_AUTH_MAX		212	/* the longest first message that a server reads */
#define RELAY_AUTH_FIXED	75	/* its length without the token's text */
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
	/*
	 * transport: one, the other end's; auth: one, the client's; lists: @id_count of them, one after the
	 * other
	 */
	const uint8_t *ids;
	size_t id_count;
	/* transport: the packet; auth: the token's text, auth response: the address, neither terminated */
	const uint8_t *payload;
	size_t payload_len;
	const uint8_t *signature;	/* auth: RELAY_SIGNATURE_LEN bytes */
};

/*
 * Parses a message from a server. Returns 0; -EPROTONOSUPPORT for another version or type, to be skipped;
 * -EBADMSG for one that is cut short or malformed.
 */
int relay_message_parse(const uint8_t *bytes, size_t len, struct relay_message *ret_message);
/* The same for one from a client; there, servers end the connection for -EPROTONOSUPPORT, too. */
int relay_request_parse(const uint8_t *bytes, size_t len, struct relay_message *ret_message);

/* The name of a peer at relays, made of its public key. */
void relay_id(const uint8_t public_key[static KEY_LEN], uint8_t ret_id[static RELAY_ID_LEN]);

/* Version and type. */
void relay_header_write(enum relay_type type, uint8_t ret_header[static RELAY_HEADER_LEN]);
void relay_transport_write(const uint8_t id[static RELAY_ID_LEN],
	uint8_t ret_header[static RELAY_TRANSPORT_LEN]);

/*
 * The Auth message for @id with the token as management gave it; a secret. Returns its length, or -EINVAL
 * if the token's text is empty or longer than servers accept.
 */
int relay_auth_write(const uint8_t id[static RELAY_ID_LEN], const char *token_payload,
	const uint8_t signature[static RELAY_SIGNATURE_LEN], uint8_t ret_message[static RELAY_AUTH_MAX]);

#endif
