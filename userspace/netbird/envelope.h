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

/* What both messages of a call have in common, worked out once (the X25519 of the box); a secret. */
struct envelope_pair {
	uint8_t own[KEY_LEN], peer[KEY_LEN];	/* public keys */
	struct secret_key shared;
};

/*
 * The server's side of management: *@ret_pair is with the sender that the message names, whom the box proves.
 * @own_public belongs to @own. Returns as the others do; the pair is to be wiped.
 */
int envelope_unpack_request(const struct secret_key *own, const uint8_t own_public[static KEY_LEN],
	const uint8_t *bytes, size_t len, struct envelope_pair *ret_pair, uint8_t **ret_plain,
	size_t *ret_len);
/* Returns 0 or -ENOMEM. */
int envelope_pack_answer(const struct envelope_pair *pair, const void *plain, size_t len, uint8_t **ret_bytes,
	size_t *ret_len);
/* NULL is allowed. */
void envelope_free(uint8_t *bytes, size_t len);

#endif
