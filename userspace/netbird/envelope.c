// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The NaCl box around messages to management and to peers, and the EncryptedMessage around the box.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "netbird/envelope.h"
#include "netbird/wire.h"

/* Field numbers of EncryptedMessage (proto/), which differ between the two services. */
enum { MANAGEMENT_FROM = 1, MANAGEMENT_BODY = 2, SIGNAL_FROM = 2, SIGNAL_TO = 3, SIGNAL_BODY = 4 };

_Static_assert(ENVELOPE_OVERHEAD == crypto_box_NONCEBYTES + crypto_box_MACBYTES, "nonce and tag");

static int seal_with(const struct secret_key *own, const uint8_t *peer, const uint8_t *nonce,
	const void *plain, size_t len, uint8_t *ret_body)
{
	memmove(ret_body, nonce, crypto_box_NONCEBYTES);
	return crypto_box_easy(ret_body + crypto_box_NONCEBYTES, plain, len, nonce, peer, own->bytes)
		? -EKEYREJECTED : 0;
}

int envelope_seal(const struct secret_key *own, const uint8_t peer[static KEY_LEN], const void *plain,
	size_t len, uint8_t *ret_body)
{
	uint8_t nonce[crypto_box_NONCEBYTES];

	randombytes_buf(nonce, sizeof(nonce));
	return seal_with(own, peer, nonce, plain, len, ret_body);
}

int envelope_open(const struct secret_key *own, const uint8_t peer[static KEY_LEN], const uint8_t *body,
	size_t len, uint8_t *ret_plain)
{
	if (len < ENVELOPE_OVERHEAD)
		return -EBADMSG;
	return crypto_box_open_easy(ret_plain, body + crypto_box_NONCEBYTES, len - crypto_box_NONCEBYTES,
		body, peer, own->bytes) ? -EBADMSG : 0;
}

void envelope_free(uint8_t *bytes, size_t len)
{
	if (bytes)
		sodium_memzero(bytes, len);
	free(bytes);
}

static uint8_t *put_key(uint8_t *at, uint32_t number, const uint8_t *key)
{
	char text[KEY_BASE64_LEN + 1];

	key_to_base64(key, text);
	return wire_put_bytes(at, number, text, KEY_BASE64_LEN);
}

/* The longest message around a body of @len. */
static size_t room_for(size_t len)
{
	return len + ENVELOPE_OVERHEAD + 3 * WIRE_BYTES_HEAD + 2 * KEY_BASE64_LEN;
}

/* @from, @to, @body: field numbers; 0: without that field. */
static int pack(const struct secret_key *own, const uint8_t *peer, uint32_t from, uint32_t to, uint32_t body,
	const void *plain, size_t len, uint8_t **ret_bytes, size_t *ret_len)
{
	uint8_t own_public[KEY_LEN];
	uint8_t *sealed = malloc(len + ENVELOPE_OVERHEAD);
	uint8_t *bytes = malloc(room_for(len));
	uint8_t *at = bytes;
	int ret = sealed && bytes ? envelope_seal(own, peer, plain, len, sealed) : -ENOMEM;

	if (ret < 0)
		goto out;
	key_public(own, own_public);
	at = put_key(at, from, own_public);
	if (to)
		at = put_key(at, to, peer);
	at = wire_put_bytes(at, body, sealed, len + ENVELOPE_OVERHEAD);
	*ret_bytes = bytes;
	*ret_len = at - bytes;
	bytes = NULL;
out:
	free(sealed);
	free(bytes);
	return ret;
}

int envelope_pack_management(const struct secret_key *own, const uint8_t server[static KEY_LEN],
	const void *plain, size_t len, uint8_t **ret_bytes, size_t *ret_len)
{
	return pack(own, server, MANAGEMENT_FROM, 0, MANAGEMENT_BODY, plain, len, ret_bytes, ret_len);
}

int envelope_pack_signal(const struct secret_key *own, const uint8_t to[static KEY_LEN], const void *plain,
	size_t len, uint8_t **ret_bytes, size_t *ret_len)
{
	return pack(own, to, SIGNAL_FROM, SIGNAL_TO, SIGNAL_BODY, plain, len, ret_bytes, ret_len);
}

/* The last field of each number counts, as in proto3; a missing one is empty. */
static int find(const uint8_t *bytes, size_t len, uint32_t from, uint32_t body, struct wire_field *ret_from,
	struct wire_field *ret_body)
{
	struct wire wire = wire_start(bytes, len);
	struct wire_field field;
	int ret;

	*ret_from = *ret_body = (struct wire_field){};
	while ((ret = wire_next(&wire, &field)) > 0) {
		if (wire_is_bytes(&field, from))
			*ret_from = field;
		else if (wire_is_bytes(&field, body))
			*ret_body = field;
	}
	return ret;
}

static int open_body(const struct secret_key *own, const uint8_t *peer, const struct wire_field *body,
	uint8_t **ret_plain, size_t *ret_len)
{
	uint8_t *plain;
	int ret;

	if (body->len < ENVELOPE_OVERHEAD)
		return -EBADMSG;
	plain = malloc(body->len - ENVELOPE_OVERHEAD + 1);
	if (!plain)
		return -ENOMEM;
	ret = envelope_open(own, peer, body->bytes, body->len, plain);
	if (ret < 0) {
		free(plain);
		return ret;
	}
	*ret_plain = plain;
	*ret_len = body->len - ENVELOPE_OVERHEAD;
	return 0;
}

int envelope_unpack_management(const struct secret_key *own, const uint8_t server[static KEY_LEN],
	const uint8_t *bytes, size_t len, uint8_t **ret_plain, size_t *ret_len)
{
	struct wire_field from, body;

	/* The named sender does not matter: only the server whose key we have can have made the box. */
	if (find(bytes, len, MANAGEMENT_FROM, MANAGEMENT_BODY, &from, &body) < 0)
		return -EBADMSG;
	return open_body(own, server, &body, ret_plain, ret_len);
}

/* The sender that @from names. */
static int read_key(const struct wire_field *from, uint8_t ret_key[KEY_LEN])
{
	char text[KEY_BASE64_LEN + 1] = "";

	if (from->len != KEY_BASE64_LEN)
		return -EBADMSG;
	memcpy(text, from->bytes, KEY_BASE64_LEN);
	return key_from_base64(text, ret_key) ? -EBADMSG : 0;
}

int envelope_unpack_signal(const struct secret_key *own, const uint8_t *bytes, size_t len,
	uint8_t ret_from[static KEY_LEN], uint8_t **ret_plain, size_t *ret_len)
{
	struct wire_field from, body;
	uint8_t peer[KEY_LEN];
	int ret;

	if (find(bytes, len, SIGNAL_FROM, SIGNAL_BODY, &from, &body) < 0 || read_key(&from, peer))
		return -EBADMSG;
	ret = open_body(own, peer, &body, ret_plain, ret_len);
	if (!ret)
		memcpy(ret_from, peer, KEY_LEN);
	return ret;
}

static int open_shared(const struct secret_key *own, const struct wire_field *body,
	struct envelope_pair *pair, uint8_t **ret_plain)
{
	const uint8_t *box = body->bytes + crypto_box_NONCEBYTES;
	uint8_t *plain;

	if (crypto_box_beforenm(pair->shared.bytes, pair->peer, own->bytes))
		return -EKEYREJECTED;
	plain = malloc(body->len - ENVELOPE_OVERHEAD + 1);
	if (!plain)
		return -ENOMEM;
	if (crypto_box_open_easy_afternm(plain, box, body->len - crypto_box_NONCEBYTES, body->bytes,
		pair->shared.bytes)) {
		free(plain);
		return -EBADMSG;
	}
	*ret_plain = plain;
	return 0;
}

int envelope_unpack_request(const struct secret_key *own, const uint8_t own_public[static KEY_LEN],
	const uint8_t *bytes, size_t len, struct envelope_pair *ret_pair, uint8_t **ret_plain,
	size_t *ret_len)
{
	struct wire_field from, body;
	struct envelope_pair pair;
	int ret;

	if (find(bytes, len, MANAGEMENT_FROM, MANAGEMENT_BODY, &from, &body) < 0 ||
		body.len < ENVELOPE_OVERHEAD || read_key(&from, pair.peer))
		return -EBADMSG;
	memcpy(pair.own, own_public, KEY_LEN);
	ret = open_shared(own, &body, &pair, ret_plain);
	if (!ret) {
		*ret_len = body.len - ENVELOPE_OVERHEAD;
		*ret_pair = pair;
	}
	secret_key_wipe(&pair.shared);
	return ret;
}

int envelope_pack_answer(const struct envelope_pair *pair, const void *plain, size_t len, uint8_t **ret_bytes,
	size_t *ret_len)
{
	uint8_t *sealed = malloc(len + ENVELOPE_OVERHEAD), *bytes = malloc(room_for(len)), *at = bytes;
	int ret = sealed && bytes ? 0 : -ENOMEM;

	if (ret)
		goto out;
	randombytes_buf(sealed, crypto_box_NONCEBYTES);
	crypto_box_easy_afternm(sealed + crypto_box_NONCEBYTES, plain, len, sealed, pair->shared.bytes);
	at = put_key(at, MANAGEMENT_FROM, pair->own);
	at = wire_put_bytes(at, MANAGEMENT_BODY, sealed, len + ENVELOPE_OVERHEAD);
	*ret_bytes = bytes;
	*ret_len = at - bytes;
	bytes = NULL;
out:
	free(sealed);
	free(bytes);
	return ret;
}
