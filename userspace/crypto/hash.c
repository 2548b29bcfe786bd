// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// BLAKE2s and what WireGuard derives from it. libb2's one-call functions leave their state on the stack;
// these wipe it.
#include "crypto/hash.h"

#include <assert.h>
#include <string.h>

#include <blake2.h>
#include <sodium.h>

#include "crypto/key.h"

static_assert(HASH_LEN == BLAKE2S_OUTBYTES && HASH_KEY_MAX == BLAKE2S_KEYBYTES, "sizes of BLAKE2s");

static void finish(blake2s_state *state, uint8_t *ret, size_t len)
{
	blake2s_final(state, ret, len);
	sodium_memzero(state, sizeof(*state));
}

void hash_join(const void *a, size_t a_len, const void *b, size_t b_len, uint8_t ret_hash[static HASH_LEN])
{
	blake2s_state state;

	blake2s_init(&state, HASH_LEN);
	if (a_len)
		blake2s_update(&state, a, a_len);
	if (b_len)
		blake2s_update(&state, b, b_len);
	finish(&state, ret_hash, HASH_LEN);
}

void hash_mac(const void *key, size_t key_len, const void *data, size_t len,
	uint8_t ret_mac[static HASH_MAC_LEN])
{
	blake2s_state state;

	blake2s_init_key(&state, HASH_MAC_LEN, key, key_len);
	blake2s_update(&state, data, len);
	finish(&state, ret_mac, HASH_MAC_LEN);
}

static void hmac_pad(uint8_t pad[static BLAKE2S_BLOCKBYTES], const uint8_t key[static HASH_LEN], uint8_t with)
{
	memset(pad, with, BLAKE2S_BLOCKBYTES);
	for (size_t i = 0; i < HASH_LEN; i++)
		pad[i] ^= key[i];
}

void hash_hmac(const uint8_t key[static HASH_LEN], const void *data, size_t len,
	uint8_t ret_hmac[static HASH_LEN])
{
	uint8_t pad[BLAKE2S_BLOCKBYTES], inner[HASH_LEN];

	hmac_pad(pad, key, 0x36);
	hash_join(pad, sizeof(pad), data, len, inner);
	hmac_pad(pad, key, 0x5c);
	hash_join(pad, sizeof(pad), inner, sizeof(inner), ret_hmac);
	sodium_memzero(pad, sizeof(pad));
	sodium_memzero(inner, sizeof(inner));
}

void hash_kdf(const uint8_t key[static HASH_LEN], const void *input, size_t len, uint8_t *ret_1,
	uint8_t *ret_2, uint8_t *ret_3)
{
	uint8_t *outputs[] = { ret_1, ret_2, ret_3 };
	struct secret_key secret;
	uint8_t block[HASH_LEN + 1];

	hash_hmac(key, input, len, secret.bytes);
	for (uint8_t i = 0; i < 3 && outputs[i]; i++) {
		block[HASH_LEN] = i + 1;
		/* T(1) hashes the counter alone, T(n) the block before it and the counter. */
		if (i == 0)
			hash_hmac(secret.bytes, block + HASH_LEN, 1, block);
		else
			hash_hmac(secret.bytes, block, sizeof(block), block);
		memcpy(outputs[i], block, HASH_LEN);
	}
	secret_key_wipe(&secret);
	sodium_memzero(block, sizeof(block));
}
