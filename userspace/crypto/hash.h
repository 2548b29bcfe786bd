/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* BLAKE2s as the WireGuard whitepaper uses it (section 5.4): HASH, MAC, HMAC and KDF1 to KDF3. */
#ifndef TALON_CRYPTO_HASH_H
#define TALON_CRYPTO_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_LEN	32
#define HASH_MAC_LEN	16
#define HASH_KEY_MAX	32	/* RFC 7693 section 2.9: key of at most 32 bytes */

/*
 * HASH(a || b): BLAKE2s with 32 bytes of output. Either part may be empty; @ret_hash may be one of the parts.
 */
void hash_join(const void *a, size_t a_len, const void *b, size_t b_len, uint8_t ret_hash[static HASH_LEN]);

/* MAC(key, data): keyed BLAKE2s with 16 bytes of output; @key_len is 1..HASH_KEY_MAX. */
void hash_mac(const void *key, size_t key_len, const void *data, size_t len,
	uint8_t ret_mac[static HASH_MAC_LEN]);

/* HMAC of RFC 2104 over unkeyed BLAKE2s, for keys of 32 bytes. */
void hash_hmac(const uint8_t key[static HASH_LEN], const void *data, size_t len,
	uint8_t ret_hmac[static HASH_LEN]);

/*
 * KDFn(key, input), n being the number of outputs that are not NULL, from the left: HKDF of RFC 5869 with
 * HMAC-BLAKE2s and no info. Outputs may overlap @key.
 */
void hash_kdf(const uint8_t key[static HASH_LEN], const void *input, size_t len, uint8_t *ret_1,
	uint8_t *ret_2, uint8_t *ret_3);

#endif
