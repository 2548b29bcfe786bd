// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Tokens of the relay: made for one peer, and checked.
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>

#include "hubrelay/hubrelay_internal.h"

#define DIGITS_MIN	10	/* what clients and servers of NetBird read at least */
#define DIGITS_MAX	19	/* fits 64 bits */

static void sign(const uint8_t secret[static HUBRELAY_SECRET_LEN], const uint8_t id[static RELAY_ID_LEN],
	const uint8_t *payload, size_t payload_len, uint8_t ret_signature[static RELAY_SIGNATURE_LEN])
{
	crypto_auth_hmacsha256_state state;

	crypto_auth_hmacsha256_init(&state, secret, HUBRELAY_SECRET_LEN);
	crypto_auth_hmacsha256_update(&state, payload, payload_len);
	crypto_auth_hmacsha256_update(&state, id, RELAY_ID_LEN);
	crypto_auth_hmacsha256_final(&state, ret_signature);
	sodium_memzero(&state, sizeof(state));
}

void hubrelay_token(const uint8_t secret[static HUBRELAY_SECRET_LEN], const uint8_t key[static KEY_LEN],
	uint64_t expires_s, char ret_payload[static HUBRELAY_PAYLOAD_LEN],
	char ret_signature[static HUBRELAY_SIGNATURE_LEN])
{
	uint8_t id[RELAY_ID_LEN], signature[RELAY_SIGNATURE_LEN];
	int len = snprintf(ret_payload, HUBRELAY_PAYLOAD_LEN, "%010" PRIu64, expires_s);

	relay_id(key, id);
	sign(secret, id, (const uint8_t *)ret_payload, len, signature);
	sodium_bin2base64(ret_signature, HUBRELAY_SIGNATURE_LEN, signature, sizeof(signature),
		sodium_base64_VARIANT_ORIGINAL);
	sodium_memzero(signature, sizeof(signature));
}

static int read_time(const uint8_t *text, size_t len, uint64_t *ret_s)
{
	uint64_t s = 0;

	if (len < DIGITS_MIN || len > DIGITS_MAX)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EINVAL;
		s = s * 10 + (text[i] - '0');
	}
	*ret_s = s;
	return 0;
}

int hubrelay_token_check(const uint8_t secret[static HUBRELAY_SECRET_LEN],
	const uint8_t id[static RELAY_ID_LEN],
	const uint8_t *payload, size_t payload_len, const uint8_t signature[static RELAY_SIGNATURE_LEN],
	uint64_t now_s)
{
	uint8_t want[RELAY_SIGNATURE_LEN];
	uint64_t expires_s;
	bool is_ours;

	sign(secret, id, payload, payload_len, want);
	is_ours = !sodium_memcmp(want, signature, sizeof(want));
	sodium_memzero(want, sizeof(want));
	if (!is_ours || read_time(payload, payload_len, &expires_s))
		return -EKEYREJECTED;
	return now_s <= expires_s ? 0 : -EKEYEXPIRED;
}
