// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// STUN messages: parsing attribute by attribute, and building them.
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <string.h>
#include <zlib.h>

#include "ice/stun.h"

#define SHA1_LEN		20
#define FINGERPRINT_MASK	0x5354554eU	/* "STUN" */

enum attribute {
	MAPPED_ADDRESS = 0x0001,
	USERNAME = 0x0006,
	MESSAGE_INTEGRITY = 0x0008,
	ERROR_CODE = 0x0009,
	UNKNOWN_ATTRIBUTES = 0x000a,
	REALM = 0x0014,
	NONCE = 0x0015,
	MESSAGE_INTEGRITY_SHA256 = 0x001c,
	PASSWORD_ALGORITHM = 0x001d,
	USERHASH = 0x001e,
	XOR_MAPPED_ADDRESS = 0x0020,
	PRIORITY = 0x0024,
	USE_CANDIDATE = 0x0025,
	FINGERPRINT = 0x8028,
	ICE_CONTROLLED = 0x8029,
	ICE_CONTROLLING = 0x802a,
	CIDS = 0x8100,
};

#define MAY_BE_SKIPPED	0x8000	/* section 14: comprehension-optional */

static uint16_t get16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static uint64_t get64(const uint8_t *p)
{
	return (uint64_t)get32(p) << 32 | get32(p + 4);
}

static void put16(uint8_t *p, uint16_t value)
{
	p[0] = value >> 8;
	p[1] = value;
}

static void put32(uint8_t *p, uint32_t value)
{
	put16(p, value >> 16);
	put16(p + 2, value);
}

static void put64(uint8_t *p, uint64_t value)
{
	put32(p, value >> 32);
	put32(p + 4, value);
}

/*
 * The context lives as long as the process: fetching the digest costs more than using it. The header is
 * hashed apart from the rest, since its length must be that of a message that ends with the attribute at
 * @at.
 */
static bool hmac(const char *password, const uint8_t *bytes, size_t at, uint8_t ret_mac[static SHA1_LEN])
{
	static EVP_MAC_CTX *context;
	uint8_t header[STUN_HEADER_LEN];
	size_t len;

	if (!context) {
		OSSL_PARAM params[] = {
			OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA1", 0),
			OSSL_PARAM_construct_end()
		};
		EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);

		context = mac ? EVP_MAC_CTX_new(mac) : NULL;
		EVP_MAC_free(mac);
		if (!context || !EVP_MAC_CTX_set_params(context, params)) {
			EVP_MAC_CTX_free(context);
			context = NULL;
			return false;
		}
	}
	memcpy(header, bytes, sizeof(header));
	put16(header + 2, at + 4 + SHA1_LEN - STUN_HEADER_LEN);
	return EVP_MAC_init(context, (const uint8_t *)password, strlen(password), NULL) &&
	       EVP_MAC_update(context, header, sizeof(header)) &&
	       EVP_MAC_update(context, bytes + STUN_HEADER_LEN, at - STUN_HEADER_LEN) &&
	       EVP_MAC_final(context, ret_mac, &len, SHA1_LEN) && len == SHA1_LEN;
}

static uint32_t fingerprint(const uint8_t *bytes, size_t at)
{
	uint8_t header[STUN_HEADER_LEN];
	uLong crc;

	memcpy(header, bytes, sizeof(header));
	put16(header + 2, at + 8 - STUN_HEADER_LEN);
	crc = crc32(0, header, sizeof(header));
	return crc32(crc, bytes + STUN_HEADER_LEN, at - STUN_HEADER_LEN) ^ FINGERPRINT_MASK;
}

bool stun_is_message(const uint8_t *bytes, size_t len)
{
	return len >= STUN_HEADER_LEN && !(bytes[0] & 0xc0) && get32(bytes + 4) == STUN_COOKIE &&
		!(get16(bytes + 2) & 3) && STUN_HEADER_LEN + (size_t)get16(bytes + 2) == len;
}

/* The mask is the cookie and, for IPv6, the transaction id: both lie side by side in the header. */
static void mask_address(const uint8_t *header, uint16_t family, const void *in, void *out)
{
	const uint8_t *from = in;
	uint8_t *to = out;

	for (size_t i = 0; i < endpoint_addr_len(family); i++)
		to[i] = from[i] ^ header[4 + i];
}

static int take_mapped(struct stun_message *m, const uint8_t *value, size_t len)
{
	uint16_t family = len >= 4 && value[1] == 1 ? AF_INET : len >= 4 && value[1] == 2 ? AF_INET6
		: AF_UNSPEC;

	if (!family || len != 4 + endpoint_addr_len(family))
		return -EBADMSG;
	m->has_mapped = true;
	m->mapped.family = family;
	m->mapped.port = htons(get16(value + 2) ^ (STUN_COOKIE >> 16));
	mask_address(m->bytes, family, value + 4, &m->mapped.remote);
	return 0;
}

static int take_role(struct stun_message *m, bool is_controlling, const uint8_t *value, size_t len)
{
	if (len != 8)
		return -EBADMSG;
	m->is_controlling = is_controlling;
	m->is_controlled = !is_controlling;
	m->tie_breaker = get64(value);
	return 0;
}

/* Those of RFC 8489 that mean nothing here are known all the same. */
static void take_other(struct stun_message *m, uint16_t type)
{
	switch (type) {
	case MAPPED_ADDRESS:
	case UNKNOWN_ATTRIBUTES:
	case REALM:
	case NONCE:
	case MESSAGE_INTEGRITY_SHA256:
	case PASSWORD_ALGORITHM:
	case USERHASH:
		return;
	}
	if (!(type & MAY_BE_SKIPPED) && m->unknown_count < STUN_UNKNOWN_MAX)
		m->unknown[m->unknown_count++] = type;
}

/* Attributes that count only before MESSAGE-INTEGRITY. */
static int take_covered(struct stun_message *m, uint16_t type, const uint8_t *value, size_t len)
{
	switch (type) {
	case USERNAME:
		m->username = (const char *)value;
		m->username_len = len;
		return len <= STUN_USERNAME_MAX ? 0 : -EBADMSG;
	case PRIORITY:
		m->has_priority = true;
		m->priority = len == 4 ? get32(value) : 0;
		return len == 4 ? 0 : -EBADMSG;
	case USE_CANDIDATE:
		m->use_candidate = true;
		return 0;
	case ICE_CONTROLLING:
	case ICE_CONTROLLED:
		return take_role(m, type == ICE_CONTROLLING, value, len);
	case XOR_MAPPED_ADDRESS:
		return take_mapped(m, value, len);
	case ERROR_CODE:
		if (len < 4)
			return -EBADMSG;
		m->error = (value[2] & 7) * 100 + value[3] % 100;
		return 0;
	}
	take_other(m, type);
	return 0;
}

static int take(struct stun_message *m, uint16_t type, size_t at, size_t len)
{
	const uint8_t *value = m->bytes + at + 4;

	if (type == CIDS) {
		m->cids = (const char *)value;
		m->cids_len = len;
		return 0;
	}
	if (m->fingerprint_at)
		return 0;
	if (type == FINGERPRINT) {
		m->fingerprint_at = at;
		return len == 4 ? 0 : -EBADMSG;
	}
	if (m->integrity_at)
		return 0;
	if (type == MESSAGE_INTEGRITY) {
		m->integrity_at = at;
		return len == SHA1_LEN ? 0 : -EBADMSG;
	}
	return take_covered(m, type, value, len);
}

static void take_type(struct stun_message *m, uint16_t type)
{
	m->class = (type >> 4 & 1) | (type >> 7 & 2);
	m->method = (type & 0xf) | (type >> 1 & 0x70) | (type >> 2 & 0xf80);
}

int stun_parse(const uint8_t *bytes, size_t len, struct stun_message *ret_message)
{
	struct stun_message m = { .bytes = bytes, .len = len, .tx = bytes + 8 };

	if (!stun_is_message(bytes, len))
		return -EBADMSG;
	take_type(&m, get16(bytes));
	for (size_t at = STUN_HEADER_LEN; at < len;) {
		size_t size;

		/* The message length is a multiple of four, so a header is never cut. */
		size = get16(bytes + at + 2);
		if (size > len - at - 4 || take(&m, get16(bytes + at), at, size))
			return -EBADMSG;
		at += 4 + ((size + 3) & ~(size_t)3);
	}
	*ret_message = m;
	return 0;
}

bool stun_is_authentic(const struct stun_message *message, const char *password)
{
	uint8_t mac[SHA1_LEN];

	return message->integrity_at && hmac(password, message->bytes, message->integrity_at, mac) &&
	       !CRYPTO_memcmp(mac, message->bytes + message->integrity_at + 4, sizeof(mac));
}

bool stun_has_fingerprint(const struct stun_message *message)
{
	return message->fingerprint_at &&
	       fingerprint(message->bytes,
	       message->fingerprint_at) == get32(message->bytes + message->fingerprint_at + 4);
}

struct builder {
	uint8_t *bytes;
	size_t size;
	size_t len;
	bool is_full;
};

/* Room for an attribute of @len bytes, zeroed with its padding; NULL when there is none. */
static uint8_t *add(struct builder *b, uint16_t type, size_t len)
{
	size_t room = 4 + ((len + 3) & ~(size_t)3);
	uint8_t *at = b->bytes + b->len;

	if (b->is_full || room > b->size - b->len) {
		b->is_full = true;
		return NULL;
	}
	memset(at, 0, room);
	put16(at, type);
	put16(at + 2, len);
	b->len += room;
	return at + 4;
}

static void add_bytes(struct builder *b, uint16_t type, const void *value, size_t len)
{
	uint8_t *at = add(b, type, len);

	if (at)
		memcpy(at, value, len);
}

static void add_number(struct builder *b, uint16_t type, uint64_t value, size_t len)
{
	uint8_t *at = add(b, type, len);

	if (at && len == 4)
		put32(at, value);
	else if (at)
		put64(at, value);
}

static void begin(struct builder *b, uint16_t type, const uint8_t *tx)
{
	if (b->size < STUN_HEADER_LEN) {
		b->is_full = true;
		return;
	}
	put16(b->bytes, type);
	put32(b->bytes + 4, STUN_COOKIE);
	memcpy(b->bytes + 8, tx, STUN_TX_LEN);
	b->len = STUN_HEADER_LEN;
}

/* In NetBird's order: its own attribute follows FINGERPRINT, which is correct for what precedes it. */
static void seal(struct builder *b, const char *password, const char *cids)
{
	size_t at = b->len;
	uint8_t *value = password ? add(b, MESSAGE_INTEGRITY, SHA1_LEN) : NULL;

	if (value && !hmac(password, b->bytes, at, value))
		b->is_full = true;
	at = b->len;
	value = add(b, FINGERPRINT, 4);
	if (value)
		put32(value, fingerprint(b->bytes, at));
	if (cids)
		add_bytes(b, CIDS, cids, strlen(cids));
}

static int end(struct builder *b)
{
	if (b->is_full)
		return -ENOSPC;
	put16(b->bytes + 2, b->len - STUN_HEADER_LEN);
	return b->len;
}

int stun_build_request(const struct stun_request *request, uint8_t *buf, size_t size)
{
	struct builder b = { .bytes = buf, .size = size };

	begin(&b, 0x0001, request->tx);
	if (!request->username)
		return end(&b);
	add_bytes(&b, USERNAME, request->username, strlen(request->username));
	if (request->use_candidate)
		add(&b, USE_CANDIDATE, 0);
	add_number(&b, request->is_controlling ? ICE_CONTROLLING : ICE_CONTROLLED, request->tie_breaker, 8);
	add_number(&b, PRIORITY, request->priority, 4);
	seal(&b, request->password, request->cids);
	return end(&b);
}

static void add_mapped(struct builder *b, const struct endpoint *mapped)
{
	size_t len = endpoint_addr_len(mapped->family);
	uint8_t *at = add(b, XOR_MAPPED_ADDRESS, 4 + len);

	if (!at)
		return;
	at[1] = mapped->family == AF_INET ? 1 : 2;
	put16(at + 2, ntohs(mapped->port) ^ (STUN_COOKIE >> 16));
	mask_address(b->bytes, mapped->family, &mapped->remote, at + 4);
}

int stun_build_response(const struct stun_response *response, uint8_t *buf, size_t size)
{
	struct builder b = { .bytes = buf, .size = size };
	uint8_t *at;

	begin(&b, response->error ? 0x0111 : 0x0101, response->tx);
	if (response->error)
		add_number(&b, ERROR_CODE, (response->error / 100) << 8 | response->error % 100, 4);
	at = response->unknown_count ? add(&b, UNKNOWN_ATTRIBUTES, 2 * response->unknown_count) : NULL;
	for (size_t i = 0; at && i < response->unknown_count; i++)
		put16(at + 2 * i, response->unknown[i]);
	if (response->mapped)
		add_mapped(&b, response->mapped);
	seal(&b, response->password, response->cids);
	return end(&b);
}
