// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// WireGuard's handshake: one helper for each Noise token, so that messages read like the whitepaper's section
// 5.4.
#include "noise/noise.h"

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <sodium.h>

#include "crypto/aead.h"

#define CONSTRUCTION	"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
#define IDENTIFIER	"WireGuard v1 zx2c4 Jason@zx2c4.com"

/* The whitepaper's names: C is the chaining key, H the hash, k the key that the last mix made. */

static void mix_hash(struct noise_handshake *hs, const void *data, size_t len)
{
	hash_join(hs->hash, HASH_LEN, data, len, hs->hash);
}

/* C, k := KDF2(C, input); k may be left out: then C := KDF1(C, input). */
static void mix_key(struct noise_handshake *hs, const uint8_t *input, struct secret_key *ret_k)
{
	hash_kdf(hs->chaining_key, input, KEY_LEN, hs->chaining_key, ret_k ? ret_k->bytes : NULL, NULL);
}

/* C, k := KDF2(C, DH(secret, public)) */
static int mix_dh(struct noise_handshake *hs, const struct secret_key *secret, const uint8_t *public,
	struct secret_key *ret_k)
{
	struct secret_key shared;
	int ret;

	ret = key_exchange(secret, public, &shared);
	if (ret < 0)
		return ret;
	mix_key(hs, shared.bytes, ret_k);
	secret_key_wipe(&shared);
	return 0;
}

/* C, tau, k := KDF3(C, Q); H := HASH(H || tau) */
static void mix_psk(struct noise_handshake *hs, const struct secret_key *psk, struct secret_key *ret_k)
{
	uint8_t tau[HASH_LEN];

	hash_kdf(hs->chaining_key, psk->bytes, KEY_LEN, hs->chaining_key, tau, ret_k->bytes);
	mix_hash(hs, tau, sizeof(tau));
	sodium_memzero(tau, sizeof(tau));
}

/* e: C := KDF1(C, E); H := HASH(H || E) */
static void mix_ephemeral(struct noise_handshake *hs, const uint8_t public[static KEY_LEN])
{
	mix_key(hs, public, NULL);
	mix_hash(hs, public, KEY_LEN);
}

/* msg := AEAD(k, 0, plain, H); H := HASH(H || msg) */
static void encrypt_and_hash(struct noise_handshake *hs, const struct secret_key *k, const void *plain,
	size_t len, uint8_t *ret_sealed)
{
	aead_seal(k, 0, plain, len, hs->hash, HASH_LEN, ret_sealed);
	mix_hash(hs, ret_sealed, len + AEAD_TAG_LEN);
}

static int decrypt_and_hash(struct noise_handshake *hs, const struct secret_key *k, const uint8_t *sealed,
	size_t len, uint8_t *ret_plain)
{
	if (aead_open(k, 0, sealed, len, hs->hash, HASH_LEN, ret_plain) < 0)
		return -EBADMSG;
	mix_hash(hs, sealed, len);
	return 0;
}

static uint8_t initial_chaining_key[HASH_LEN];
static uint8_t initial_hash[HASH_LEN];

static void compute_initial(void)
{
	hash_join(CONSTRUCTION, strlen(CONSTRUCTION), NULL, 0, initial_chaining_key);
	hash_join(initial_chaining_key, HASH_LEN, IDENTIFIER, strlen(IDENTIFIER), initial_hash);
}

/* C := HASH(CONSTRUCTION); H := HASH(HASH(C || IDENTIFIER) || S_responder) */
static void begin(struct noise_handshake *hs, const uint8_t responder[static KEY_LEN])
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, compute_initial);
	noise_handshake_wipe(hs);
	memcpy(hs->chaining_key, initial_chaining_key, HASH_LEN);
	memcpy(hs->hash, initial_hash, HASH_LEN);
	mix_hash(hs, responder, KEY_LEN);
}

int noise_local_init(struct noise_local *local, const struct secret_key *private_key)
{
	if (secret_key_is_zero(private_key))
		return -EKEYREJECTED;
	local->private_key = *private_key;
	secret_key_clamp(&local->private_key);
	key_public(&local->private_key, local->public_key);
	return 0;
}

/*
 * The points whose order divides the cofactor, with every encoding that X25519 reads as one of them (RFC 7748
 * section 5 reduces modulo p = 2^255 - 19 and ignores the highest bit): whatever the secret, the result is
 * zero (section 6.1).
 */
static bool has_low_order(const uint8_t public_key[static KEY_LEN])
{
	static const uint8_t points[][KEY_LEN] = {
		{ 0 },						/* 0 */
		{ 1 },						/* 1 */
		/* order 8 */
		{ 0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4,
			0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f,
			0x49, 0xb8, 0x00 },
		/* order 8 */
		{ 0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef,
			0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0,
			0x9f, 0x11, 0x57 },
		/* p - 1 */
		{ 0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
			0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
			0xff, 0xff, 0x7f },
		/* p */
		{ 0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
			0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
			0xff, 0xff, 0x7f },
		/* p + 1 */
		{ 0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
			0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
			0xff, 0xff, 0x7f },
	};

	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		if (!memcmp(public_key, points[i], KEY_LEN - 1) &&
			(public_key[KEY_LEN - 1] & 0x7f) == points[i][KEY_LEN - 1])
			return true;
	}
	return false;
}

int noise_remote_set(struct noise_remote *remote, const uint8_t public_key[static KEY_LEN],
	const struct secret_key *preshared_key)
{
	struct noise_remote fresh = { 0 };

	if (has_low_order(public_key))
		return -EKEYREJECTED;
	memcpy(fresh.public_key, public_key, KEY_LEN);
	if (preshared_key)
		fresh.preshared_key = *preshared_key;
	*remote = fresh;
	noise_remote_wipe(&fresh);
	return 0;
}

int noise_remote_prepare(struct noise_remote *remote, const struct noise_local *local)
{
	int ret;

	if (remote->is_prepared)
		return 0;
	ret = key_exchange(&local->private_key, remote->public_key, &remote->static_static);
	remote->is_prepared = ret == 0;
	return ret;
}

void noise_remote_wipe(struct noise_remote *remote)
{
	sodium_memzero(remote, sizeof(*remote));
}

void noise_handshake_wipe(struct noise_handshake *handshake)
{
	sodium_memzero(handshake, sizeof(*handshake));
}

void noise_keys_wipe(struct noise_keys *keys)
{
	sodium_memzero(keys, sizeof(*keys));
}

int noise_create_initiation(struct noise_handshake *handshake, const struct noise_local *local,
	const struct noise_remote *remote, const struct tai64n *timestamp, const struct secret_key *ephemeral,
	uint32_t local_index, struct wg_initiation *ret_message)
{
	struct wg_initiation message = { .type = WG_INITIATION, .sender_index = htole32(local_index) };
	struct secret_key k;
	int ret;

	begin(handshake, remote->public_key);
	handshake->local_index = local_index;
	handshake->ephemeral = *ephemeral;
	secret_key_clamp(&handshake->ephemeral);

	/* e */
	key_public(&handshake->ephemeral, message.ephemeral);
	mix_ephemeral(handshake, message.ephemeral);
	/* es */
	ret = mix_dh(handshake, &handshake->ephemeral, remote->public_key, &k);
	if (ret < 0)
		goto out;
	/* s */
	encrypt_and_hash(handshake, &k, local->public_key, KEY_LEN, message.encrypted_static);
	/* ss */
	mix_key(handshake, remote->static_static.bytes, &k);
	/* {t} */
	encrypt_and_hash(handshake, &k, timestamp->bytes, TAI64N_LEN, message.encrypted_timestamp);

	handshake->state = NOISE_CREATED_INITIATION;
	*ret_message = message;
out:
	secret_key_wipe(&k);
	if (ret < 0)
		noise_handshake_wipe(handshake);
	return ret;
}

int noise_read_initiation(struct noise_handshake *handshake, const struct noise_local *local,
	const struct wg_initiation *message, uint8_t ret_static[static KEY_LEN])
{
	uint8_t public_key[KEY_LEN];
	struct secret_key k;
	int ret;

	begin(handshake, local->public_key);

	/* e */
	mix_ephemeral(handshake, message->ephemeral);
	/* es */
	ret = mix_dh(handshake, &local->private_key, message->ephemeral, &k);
	if (ret < 0)
		goto out;
	/* s */
	ret = decrypt_and_hash(handshake, &k, message->encrypted_static, sizeof(message->encrypted_static),
		public_key);
	if (ret < 0)
		goto out;

	memcpy(handshake->remote_ephemeral, message->ephemeral, KEY_LEN);
	handshake->remote_index = le32toh(message->sender_index);
	handshake->state = NOISE_READ_INITIATION;
	memcpy(ret_static, public_key, KEY_LEN);
out:
	secret_key_wipe(&k);
	if (ret < 0)
		noise_handshake_wipe(handshake);
	return ret;
}

int noise_consume_initiation(struct noise_handshake *handshake, const struct noise_remote *remote,
	const struct wg_initiation *message, struct tai64n *ret_timestamp)
{
	struct secret_key k;
	struct tai64n timestamp;
	int ret = -EINVAL;

	if (handshake->state != NOISE_READ_INITIATION)
		goto out;
	/* ss */
	mix_key(handshake, remote->static_static.bytes, &k);
	/* {t} */
	ret = decrypt_and_hash(handshake, &k, message->encrypted_timestamp,
		sizeof(message->encrypted_timestamp), timestamp.bytes);
	if (ret < 0)
		goto out;

	handshake->state = NOISE_CONSUMED_INITIATION;
	*ret_timestamp = timestamp;
out:
	secret_key_wipe(&k);
	if (ret < 0)
		noise_handshake_wipe(handshake);
	return ret;
}

int noise_create_response(struct noise_handshake *handshake, const struct noise_remote *remote,
	const struct secret_key *ephemeral, uint32_t local_index, struct wg_response *ret_message)
{
	struct wg_response message = {
		.type = WG_RESPONSE,
		.sender_index = htole32(local_index),
		.receiver_index = htole32(handshake->remote_index),
	};
	struct secret_key e = *ephemeral, k;
	int ret = -EINVAL;

	if (handshake->state != NOISE_CONSUMED_INITIATION)
		goto out;
	secret_key_clamp(&e);

	/* e */
	key_public(&e, message.ephemeral);
	mix_ephemeral(handshake, message.ephemeral);
	/* ee */
	ret = mix_dh(handshake, &e, handshake->remote_ephemeral, NULL);
	if (ret < 0)
		goto out;
	/* se */
	ret = mix_dh(handshake, &e, remote->public_key, NULL);
	if (ret < 0)
		goto out;
	/* psk */
	mix_psk(handshake, &remote->preshared_key, &k);
	/* {} */
	encrypt_and_hash(handshake, &k, NULL, 0, message.encrypted_nothing);

	handshake->local_index = local_index;
	handshake->state = NOISE_CREATED_RESPONSE;
	*ret_message = message;
out:
	secret_key_wipe(&e);
	secret_key_wipe(&k);
	if (ret < 0)
		noise_handshake_wipe(handshake);
	return ret;
}

int noise_consume_response(struct noise_handshake *handshake, const struct noise_local *local,
	const struct noise_remote *remote, const struct wg_response *message)
{
	struct noise_handshake next = *handshake;
	struct secret_key k;
	int ret = -EINVAL;

	if (handshake->state != NOISE_CREATED_INITIATION ||
		le32toh(message->receiver_index) != handshake->local_index)
		goto out;

	/* e */
	mix_ephemeral(&next, message->ephemeral);
	/* ee */
	ret = mix_dh(&next, &next.ephemeral, message->ephemeral, NULL);
	if (ret < 0)
		goto out;
	/* se */
	ret = mix_dh(&next, &local->private_key, message->ephemeral, NULL);
	if (ret < 0)
		goto out;
	/* psk */
	mix_psk(&next, &remote->preshared_key, &k);
	/* {} */
	ret = decrypt_and_hash(&next, &k, message->encrypted_nothing,
		sizeof(message->encrypted_nothing), NULL);
	if (ret < 0)
		goto out;

	next.remote_index = le32toh(message->sender_index);
	next.state = NOISE_CONSUMED_RESPONSE;
	secret_key_wipe(&next.ephemeral);
	*handshake = next;
out:
	noise_handshake_wipe(&next);
	secret_key_wipe(&k);
	return ret;
}

/*
 * The initiator sends with the first key of KDF2(C, empty) and receives with the second; the responder the
 * other way round.
 */
int noise_begin_session(struct noise_handshake *handshake, struct noise_keys *ret_keys)
{
	bool i_am_the_initiator = handshake->state == NOISE_CONSUMED_RESPONSE;
	struct noise_keys keys;

	if (!i_am_the_initiator && handshake->state != NOISE_CREATED_RESPONSE)
		return -EINVAL;
	if (i_am_the_initiator)
		hash_kdf(handshake->chaining_key, NULL, 0, keys.send.bytes, keys.recv.bytes, NULL);
	else
		hash_kdf(handshake->chaining_key, NULL, 0, keys.recv.bytes, keys.send.bytes, NULL);
	*ret_keys = keys;
	noise_keys_wipe(&keys);
	noise_handshake_wipe(handshake);
	return 0;
}
