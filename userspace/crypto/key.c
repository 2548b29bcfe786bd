// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Curve25519 keys: text form, comparison, Diffie-Hellman.
#include "crypto/key.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include <sodium.h>

static_assert(KEY_LEN == crypto_scalarmult_curve25519_BYTES, "an X25519 key");

void secret_key_wipe(struct secret_key *key)
{
	sodium_memzero(key->bytes, sizeof(key->bytes));
}

bool secret_key_is_zero(const struct secret_key *key)
{
	return sodium_is_zero(key->bytes, sizeof(key->bytes));
}

bool key_is_equal(const uint8_t a[static KEY_LEN], const uint8_t b[static KEY_LEN])
{
	return sodium_memcmp(a, b, KEY_LEN) == 0;
}

int key_from_base64(const char *text, uint8_t ret_key[static KEY_LEN])
{
	char again[KEY_BASE64_LEN + 1];
	struct secret_key key;
	size_t len;
	int ret = -EINVAL;

	if (strnlen(text, KEY_BASE64_LEN + 1) != KEY_BASE64_LEN)
		return -EINVAL;
	if (sodium_base642bin(key.bytes, sizeof(key.bytes), text, KEY_BASE64_LEN, NULL, &len, NULL,
			      sodium_base64_VARIANT_ORIGINAL) < 0 || len != KEY_LEN)
		goto out;
	/*
	 * libsodium 1.0.18 takes bytes beyond ASCII for digits: what is not written the same way
	 * again was no key.
	 */
	key_to_base64(key.bytes, again);
	if (sodium_memcmp(text, again, KEY_BASE64_LEN) != 0)
		goto out;
	memcpy(ret_key, key.bytes, KEY_LEN);
	ret = 0;
out:
	secret_key_wipe(&key);
	sodium_memzero(again, sizeof(again));
	return ret;
}

int secret_key_from_base64(const char *text, struct secret_key *ret_key)
{
	return key_from_base64(text, ret_key->bytes);
}

void key_to_base64(const uint8_t key[static KEY_LEN], char ret_text[static KEY_BASE64_LEN + 1])
{
	sodium_bin2base64(ret_text, KEY_BASE64_LEN + 1, key, KEY_LEN, sodium_base64_VARIANT_ORIGINAL);
}

void secret_key_clamp(struct secret_key *key)
{
	key->bytes[0] &= 248;
	key->bytes[31] = (key->bytes[31] & 127) | 64;
}

void key_public(const struct secret_key *secret, uint8_t ret_public[static KEY_LEN])
{
	crypto_scalarmult_curve25519_base(ret_public, secret->bytes);
}

int key_exchange(const struct secret_key *secret, const uint8_t public[static KEY_LEN],
	struct secret_key *ret_shared)
{
	struct secret_key shared;
	int ret = -EKEYREJECTED;

	if (crypto_scalarmult_curve25519(shared.bytes, secret->bytes, public) < 0 ||
		secret_key_is_zero(&shared))
		goto out;
	*ret_shared = shared;
	ret = 0;
out:
	secret_key_wipe(&shared);
	return ret;
}
