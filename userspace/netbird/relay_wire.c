// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Relay messages: a version, a type, and then ids, a packet or a token.
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "netbird/relay_wire.h"

#define ID_PREFIX	"sha-"
#define ID_PREFIX_LEN	4
#define ALGORITHM_HMAC_SHA256	1
#define PORT_PLAIN	80
#define PORT_TLS	443

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

/* Others are shown this text and dial it: letters of ASCII without blanks. */
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

int relay_message_parse(const uint8_t *bytes, size_t len, struct relay_message *ret_message)
{
	struct relay_message m = {};
	const uint8_t *body = bytes + RELAY_HEADER_LEN;
	int ret = 0;

	if (len < RELAY_HEADER_LEN || len > RELAY_MESSAGE_MAX)
		return -EBADMSG;
	if (bytes[0] != RELAY_VERSION)
		return -EPROTONOSUPPORT;
	len -= RELAY_HEADER_LEN;
	m.type = bytes[1];
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

/* Scheme off; the rest is authority and perhaps a path. */
static const char *skip_scheme(const char *text, bool *ret_tls)
{
	if (!strncasecmp(text, "rels://", 7)) {
		*ret_tls = true;
		return text + 7;
	}
	if (!strncasecmp(text, "rel://", 6)) {
		*ret_tls = false;
		return text + 6;
	}
	return NULL;
}

static int parse_port(const char *text, size_t len, uint16_t *ret_port)
{
	unsigned port = 0;

	if (!len || len > 5)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EINVAL;
		port = port * 10 + (text[i] - '0');
	}
	if (!port || port > UINT16_MAX)
		return -EINVAL;
	*ret_port = port;
	return 0;
}

static bool is_host(const char *text, size_t len, bool is_literal)
{
	static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._";
	static const char digits[] = "0123456789abcdefABCDEF:.";

	return len && strspn(text, is_literal ? digits : letters) >= len;
}

/* Returns the length of the host's part of @text, brackets and all, or -EINVAL. */
static int copy_host(const char *text, size_t len, char ret_host[static 256])
{
	bool is_literal = len && text[0] == '[';
	const char *end = memchr(text, is_literal ? ']' : ':', len);
	const char *host = text + is_literal;
	size_t host_len;

	if (is_literal && !end)
		return -EINVAL;
	host_len = (end ? end : text + len) - host;
	if (host_len > 255 || !is_host(host, host_len, is_literal))
		return -EINVAL;
	memcpy(ret_host, host, host_len);
	ret_host[host_len] = '\0';
	return host_len + 2 * is_literal;
}

int relay_url_parse(const char *text, struct relay_url *ret_url)
{
	struct relay_url url = {};
	const char *rest = skip_scheme(text, &url.tls);
	size_t len;
	int host;

	if (!rest)
		return -EINVAL;
	len = strcspn(rest, "/");
	if (len >= sizeof(url.authority))
		return -EINVAL;
	host = copy_host(rest, len, url.host);
	if (host < 0)
		return host;
	url.port = url.tls ? PORT_TLS : PORT_PLAIN;
	if ((size_t)host < len &&
		(rest[host] != ':' || parse_port(rest + host + 1, len - host - 1, &url.port)))
		return -EINVAL;
	memcpy(url.authority, rest, len);
	*ret_url = url;
	return 0;
}
