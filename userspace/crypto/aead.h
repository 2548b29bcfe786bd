/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The two AEADs of handshakes (whitepaper section 5.4): ChaCha20-Poly1305 (RFC 8439) and its XChaCha20 form.
 */
#ifndef TALON_CRYPTO_AEAD_H
#define TALON_CRYPTO_AEAD_H

#include <stddef.h>
#include <stdint.h>

#include "crypto/key.h"

#define AEAD_TAG_LEN	16
#define AEAD_XNONCE_LEN	24

/*
 * AEAD(key, counter, plain, aad): the nonce is four zero bytes and @counter little-endian. Writes @len +
 * AEAD_TAG_LEN bytes. @plain may be NULL if @len is 0.
 */
void aead_seal(const struct secret_key *key, uint64_t counter, const void *plain, size_t len, const void *aad,
	size_t aad_len, uint8_t *ret_sealed);

/*
 * @len counts the tag. Writes @len - AEAD_TAG_LEN bytes: the plaintext, or zeros when the tag is wrong.
 * Returns 0 or -EBADMSG.
 */
int aead_open(const struct secret_key *key, uint64_t counter, const uint8_t *sealed, size_t len,
	const void *aad, size_t aad_len, uint8_t *ret_plain);

/* XAEAD(key, nonce, plain, aad), draft-irtf-cfrg-xchacha section 2. As above. */
void aead_xseal(const struct secret_key *key, const uint8_t nonce[static AEAD_XNONCE_LEN], const void *plain,
	size_t len, const void *aad, size_t aad_len, uint8_t *ret_sealed);
int aead_xopen(const struct secret_key *key, const uint8_t nonce[static AEAD_XNONCE_LEN],
	const uint8_t *sealed, size_t len, const void *aad, size_t aad_len, uint8_t *ret_plain);

#endif
