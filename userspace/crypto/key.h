/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Curve25519 keys: a type for the secret ones, base64 as wg(8) writes it, and the Diffie-Hellman function. */
#ifndef TALON_CRYPTO_KEY_H
#define TALON_CRYPTO_KEY_H

#include <stdbool.h>
#include <stdint.h>

#define KEY_LEN		32
#define KEY_BASE64_LEN	44	/* without terminator */

/*
 * Anything secret of 32 bytes: private keys, preshared keys, session keys, shared secrets. Never formatted;
 * wiped by its owner.
 */
struct secret_key {
	uint8_t bytes[KEY_LEN];
};

void secret_key_wipe(struct secret_key *key);

/* Both compare in constant time. */
bool secret_key_is_zero(const struct secret_key *key);
bool key_is_equal(const uint8_t a[static KEY_LEN], const uint8_t b[static KEY_LEN]);

/*
 * Reads exactly 44 characters of canonical base64 (RFC 4648 section 4: padding present, unused bits zero), as
 * wg(8) writes keys. Runs in constant time for well-formed text. Returns 0 or -EINVAL; @ret_key is written
 * only on success.
 */
int key_from_base64(const char *text, uint8_t ret_key[static KEY_LEN]);
int secret_key_from_base64(const char *text, struct secret_key *ret_key);

/* For public keys. */
void key_to_base64(const uint8_t key[static KEY_LEN], char ret_text[static KEY_BASE64_LEN + 1]);

/* Clears and sets the bits that RFC 7748 section 5 wants in 32 random bytes. */
void secret_key_clamp(struct secret_key *key);

/* Public key of @secret (RFC 7748 section 6.1). */
void key_public(const struct secret_key *secret, uint8_t ret_public[static KEY_LEN]);

/*
 * DH(secret, public): X25519 of RFC 7748. Returns 0, or -EKEYREJECTED if @public is of low order and the
 * result would be all zero; @ret_shared is written only on success.
 */
int key_exchange(const struct secret_key *secret, const uint8_t public[static KEY_LEN],
	struct secret_key *ret_shared);

#endif
