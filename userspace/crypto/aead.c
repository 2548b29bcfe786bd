// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The AEADs of handshakes, on libsodium.
#include "crypto/aead.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#include <sodium.h>

static_assert(AEAD_XNONCE_LEN == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "XChaCha20 nonce");
static_assert(AEAD_TAG_LEN == crypto_aead_chacha20poly1305_ietf_ABYTES, "Poly1305 tag");

struct nonce {
	uint8_t bytes[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
};

static struct nonce nonce_of(uint64_t counter)
{
	struct nonce nonce = { 0 };
	uint64_t little = htole64(counter);

	memcpy(nonce.bytes + 4, &little, sizeof(little));
	return nonce;
}

void aead_seal(const struct secret_key *key, uint64_t counter, const void *plain, size_t len, const void *aad,
	size_t aad_len, uint8_t *ret_sealed)
{
	struct nonce nonce = nonce_of(counter);

	crypto_aead_chacha20poly1305_ietf_encrypt(ret_sealed, NULL, plain, len, aad, aad_len, NULL,
		nonce.bytes, key->bytes);
}

int aead_open(const struct secret_key *key, uint64_t counter, const uint8_t *sealed, size_t len,
	const void *aad, size_t aad_len, uint8_t *ret_plain)
{
	struct nonce nonce = nonce_of(counter);

	if (crypto_aead_chacha20poly1305_ietf_decrypt(ret_plain, NULL, NULL, sealed, len, aad, aad_len,
		nonce.bytes, key->bytes) < 0)
		return -EBADMSG;
	return 0;
}

void aead_xseal(const struct secret_key *key, const uint8_t nonce[static AEAD_XNONCE_LEN], const void *plain,
	size_t len, const void *aad, size_t aad_len, uint8_t *ret_sealed)
{
	crypto_aead_xchacha20poly1305_ietf_encrypt(ret_sealed, NULL, plain, len, aad, aad_len, NULL, nonce,
		key->bytes);
}

int aead_xopen(const struct secret_key *key, const uint8_t nonce[static AEAD_XNONCE_LEN],
	const uint8_t *sealed, size_t len, const void *aad, size_t aad_len, uint8_t *ret_plain)
{
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(ret_plain, NULL, NULL, sealed, len, aad, aad_len,
		nonce, key->bytes) < 0)
		return -EBADMSG;
	return 0;
}
