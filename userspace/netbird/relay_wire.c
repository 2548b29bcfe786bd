// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Relay messages: a version, a type, and then ids, a packet or a token.
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "netbird/relay_wire.h"

#define ID_PREFIX	"sha-"
#define ID_PREFIX_LEN	4
#define ALGORITHM_HMAC_SHA256	1

static const uint8_t magic[4] = { 0x21, 0x12, 0xa4, 0x42 };

/* Of the key's base64 text, not of its bytes. */
void relay_id(const uint8_t public_key[static KEY_LEN], uint8_t ret_id[static RELAY_ID_LEN])
{
	char text[KEY_BASE64_LEN + 1];

	key_to_base64(public_key, text);
	memcpy(ret_id, ID_PREFIX, ID_PREFIX_LEN);
	crypto_hash_sha256(ret_id + ID_PREFIX_LEN, (const uint8_t *)text, KEY_BASE64_LEN);
}

void relay_header_write(enum relay_type type, uint8_t ret_header[static RELAY_HEADER_LEN])
{
	ret_header[0] = RELAY_VERSION;
	ret_header[1] = type;
}

void relay_transport_write(const uint8_t id[static RELAY_ID_LEN],
	uint8_t ret_header[static RELAY_TRANSPORT_LEN])
{
	relay_header_write(RELAY_TRANSPORT, ret_header);
	memcpy(ret_header + RELAY_HEADER_LEN, id, RELAY_ID_LEN);
}

int relay_auth_write(const uint8_t id[static RELAY_ID_LEN], const char *token_payload,
	const uint8_t signature[static RELAY_SIGNATURE_LEN], uint8_t ret_message[static RELAY_AUTH_MAX])
{
	size_t len = token_payload ? strlen(token_payload) : 0;
	uint8_t *at = ret_message;

	if (!len || len > RELAY_AUTH_MAX - RELAY_AUTH_FIXED)
		return -EINVAL;
	relay_header_write(RELAY_AUTH, at);
	at = mempcpy(at + RELAY_HEADER_LEN, magic, sizeof(magic));
	at = mempcpy(at, id, RELAY_ID_LEN);
	*at++ = ALGORITHM_HMAC_SHA256;
	at = mempcpy(at, signature, RELAY_SIGNATURE_LEN);
	at = mempcpy(at, token_payload, len);
	return at - ret_message;
}

static int parse_transport(const uint8_t *body, size_t len, struct relay_message *m)
{
	if (len <= RELAY_ID_LEN)
		return -EBADMSG;
	m->ids = body;
	m->id_count = 1;
	m->payload = body + RELAY_ID_LEN;
	m->payload_len = len - RELAY_ID_LEN;
	return 0;
}

/* This text is shown to people and given to peers, who dial it: visible ASCII without blanks. */
static int parse_address(const uint8_t *body, size_t len, struct relay_message *m)
{
	if (!len || len > RELAY_ADDRESS_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < len; i++) {
		if (body[i] <= ' ' || body[i] >= 0x7f)
			return -EBADMSG;
	}
	m->payload = body;
	m->payload_len = len;
	return 0;
}

static int parse_ids(const uint8_t *body, size_t len, struct relay_message *m)
{
	if (!len || len % RELAY_ID_LEN)
		return -EBADMSG;
	m->ids = body;
	m->id_count = len / RELAY_ID_LEN;
	return 0;
}

static int parse_auth(const uint8_t *body, size_t len, struct relay_message *m)
{
	const size_t fixed = RELAY_AUTH_FIXED - RELAY_HEADER_LEN;

	if (len <= fixed || len > RELAY_AUTH_MAX - RELAY_HEADER_LEN || memcmp(body, magic, sizeof(magic)) ||
		body[sizeof(magic) + RELAY_ID_LEN] != ALGORITHM_HMAC_SHA256)
		return -EBADMSG;
	m->ids = body + sizeof(magic);
	m->id_count = 1;
	m->signature = body + fixed - RELAY_SIGNATURE_LEN;
	m->payload = body + fixed;
	m->payload_len = len - fixed;
	return 0;
}

/* What both directions have in common. Returns what relay_message_parse() does. */
static int parse_header(const uint8_t *bytes, size_t len, struct relay_message *m)
{
	if (len < RELAY_HEADER_LEN || len > RELAY_MESSAGE_MAX)
		return -EBADMSG;
	if (bytes[0] != RELAY_VERSION)
		return -EPROTONOSUPPORT;
	m->type = bytes[1];
	return 0;
}

int relay_request_parse(const uint8_t *bytes, size_t len, struct relay_message *ret_message)
{
	struct relay_message m = {};
	const uint8_t *body = bytes + RELAY_HEADER_LEN;
	int ret = parse_header(bytes, len, &m);

	if (ret)
		return ret;
	len -= RELAY_HEADER_LEN;
	switch (m.type) {
	case RELAY_TRANSPORT:
		ret = parse_transport(body, len, &m);
		break;
	case RELAY_CLOSE:
	case RELAY_HEALTH_CHECK:
		break;
	case RELAY_AUTH:
		ret = parse_auth(body, len, &m);
		break;
	case RELAY_SUBSCRIBE:
	case RELAY_UNSUBSCRIBE:
		ret = parse_ids(body, len, &m);
		break;
	default:
		ret = -EPROTONOSUPPORT;
	}
	if (!ret)
		*ret_message = m;
	return ret;
}

int relay_message_parse(const uint8_t *bytes, size_t len, struct relay_message *ret_message)
{
	struct relay_message m = {};
	const uint8_t *body = bytes + RELAY_HEADER_LEN;
	int ret = parse_header(bytes, len, &m);

	if (ret)
		return ret;
	len -= RELAY_HEADER_LEN;
	switch (m.type) {
	case RELAY_TRANSPORT:
		ret = parse_transport(body, len, &m);
		break;
	case RELAY_CLOSE:
	case RELAY_HEALTH_CHECK:
		break;
	case RELAY_AUTH_RESPONSE:
		ret = parse_address(body, len, &m);
		break;
	case RELAY_PEERS_ONLINE:
	case RELAY_PEERS_OFFLINE:
		ret = parse_ids(body, len, &m);
		break;
	default:
		ret = -EPROTONOSUPPORT;
	}
	if (!ret)
		*ret_message = m;
	return ret;
}
