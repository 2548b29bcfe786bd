/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The NaCl box around messages to management and to peers, and the EncryptedMessage around the box. */
#ifndef TALON_ENVELOPE_H
#define TALON_ENVELOPE_H

#include <stddef.h>
#include <stdint.h>

#include "crypto/key.h"

#define ENVELOPE_OVERHEAD	40	/* nonce and tag before the ciphertext */

/* @ret_body has @len + ENVELOPE_OVERHEAD bytes. Returns 0, or -EKEYREJECTED for a public key of low order. */
int envelope_seal(const struct secret_key *own, const uint8_t peer[static KEY_LEN], const void *plain,
	size_t len, uint8_t *ret_body);
/*
 * @ret_plain has @len - ENVELOPE_OVERHEAD bytes. Returns 0, or -EBADMSG: cut short, forged, or for another
 * key.
 */
int envelope_open(const struct secret_key *own, const uint8_t peer[static KEY_LEN], const uint8_t *body,
	size_t len, uint8_t *ret_plain);

/*
 * The same with the serialized EncryptedMessage of each service around it. Results are freed with
 * envelope_free(), which wipes. Each returns 0 or a negative errno: -EBADMSG for a message that does not
 * open, -EKEYREJECTED, -ENOMEM.
 */
int envelope_pack_management(const struct secret_key *own, const uint8_t server[static KEY_LEN],
	const void *plain, size_t len, uint8_t **ret_bytes, size_t *ret_len);
int envelope_unpack_management(const struct secret_key *own, const uint8_t server[static KEY_LEN],
	const uint8_t *bytes, size_t len, uint8_t **ret_plain, size_t *ret_len);
int envelope_pack_signal(const struct secret_key *own, const uint8_t to[static KEY_LEN], const void *plain,
	size_t len, uint8_t **ret_bytes, size_t *ret_len);
/* @ret_from: the sender that the message names, authenticated by the box. */
int envelope_unpack_signal(const struct secret_key *own, const uint8_t *bytes, size_t len,
	uint8_t ret_from[static KEY_LEN], uint8_t **ret_plain, size_t *ret_len);
/* NULL is allowed. */
void envelope_free(uint8_t *bytes, size_t len);

#endif
