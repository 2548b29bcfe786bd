// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Primitives against known answers, and the handshake against recorded messages and itself.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/key.h"
#include "crypto/tai64n.h"
#include "noise/cookie.h"
#include "noise/noise.h"
#include "unit/vectors/hash.h"
#include "unit/vectors/wireguard.h"

#define SEC 1000000000ULL

static void from_hex(uint8_t *bytes, size_t len, const char *hex)
{
	size_t got;

	assert_int_equal(sodium_hex2bin(bytes, len, hex, strlen(hex), NULL, &got, NULL), 0);
	assert_int_equal(got, len);
}

static void count_up(uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = i;
}

static void blake2s_gives_the_known_answers(void **state)
{
	uint8_t data[200], key[HASH_KEY_MAX], out[HASH_LEN];

	count_up(data, sizeof(data));
	count_up(key, sizeof(key));
	hash_join("abc", 3, NULL, 0, out);
	assert_memory_equal(out, vector_blake2s_abc, HASH_LEN);
	hash_join(NULL, 0, NULL, 0, out);
	assert_memory_equal(out, vector_blake2s_empty, HASH_LEN);
	for (size_t split = 0; split <= sizeof(data); split++) {
		hash_join(data, split, data + split, sizeof(data) - split, out);
		assert_memory_equal(out, vector_blake2s_data, HASH_LEN);
	}
	hash_mac(key, 16, data, sizeof(data), out);
	assert_memory_equal(out, vector_mac_key16, HASH_MAC_LEN);
	hash_mac(key, 32, data, sizeof(data), out);
	assert_memory_equal(out, vector_mac_key32, HASH_MAC_LEN);
}

static void hmac_and_kdf_give_the_known_answers(void **state)
{
	uint8_t data[200], key[HASH_LEN], out[3][HASH_LEN];

	count_up(data, sizeof(data));
	count_up(key, sizeof(key));
	hash_hmac(key, data, sizeof(data), out[0]);
	assert_memory_equal(out[0], vector_hmac, HASH_LEN);
	hash_kdf(key, data, sizeof(data), out[0], out[1], out[2]);
	assert_memory_equal(out[0], vector_kdf_1, HASH_LEN);
	assert_memory_equal(out[1], vector_kdf_2, HASH_LEN);
	assert_memory_equal(out[2], vector_kdf_3, HASH_LEN);
}

static void kdf_may_write_over_its_key_and_leaves_unwanted_outputs_alone(void **state)
{
	uint8_t data[200], key[HASH_LEN], second[HASH_LEN] = { 7 };

	count_up(data, sizeof(data));
	count_up(key, sizeof(key));
	hash_kdf(key, data, sizeof(data), key, NULL, second);
	assert_memory_equal(key, vector_kdf_1, HASH_LEN);
	assert_int_equal(second[0], 7);
}

/* RFC 7748 sections 5.2 and 6.1 */
static void x25519_gives_the_known_answers(void **state)
{
	uint8_t public[KEY_LEN], expected[KEY_LEN], u[KEY_LEN] = { 9 };
	struct secret_key k = { { 9 } }, shared;

	from_hex(k.bytes, KEY_LEN, "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
	from_hex(public, KEY_LEN, "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
	from_hex(expected, KEY_LEN, "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
	assert_int_equal(key_exchange(&k, public, &shared), 0);
	assert_memory_equal(shared.bytes, expected, KEY_LEN);

	from_hex(k.bytes, KEY_LEN, "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
	from_hex(expected, KEY_LEN, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
	key_public(&k, public);
	assert_memory_equal(public, expected, KEY_LEN);
	from_hex(public, KEY_LEN, "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
	from_hex(expected, KEY_LEN, "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
	assert_int_equal(key_exchange(&k, public, &shared), 0);
	assert_memory_equal(shared.bytes, expected, KEY_LEN);

	memset(&k, 0, sizeof(k));
	k.bytes[0] = 9;
	for (int i = 0; i < 1000; i++) {
		struct secret_key before = k;

		assert_int_equal(key_exchange(&k, u, &k), 0);
		memcpy(u, before.bytes, KEY_LEN);
	}
	from_hex(expected, KEY_LEN, "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
	assert_memory_equal(k.bytes, expected, KEY_LEN);
}

static void public_keys_of_low_order_are_refused(void **state)
{
	/*
	 * The points of order 1, 2, 4 and 8 of Curve25519 and its twist, and what is equal to 0
	 * and 1 modulo p.
	 */
	static const char *const low[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	struct secret_key k = { { 77 } }, shared = { { 5 } };
	struct noise_local local;
	struct noise_remote remote;
	uint8_t public[KEY_LEN];

	assert_int_equal(noise_local_init(&local, &k), 0);
	for (size_t i = 0; i < sizeof(low) / sizeof(low[0]); i++) {
		from_hex(public, KEY_LEN, low[i]);
		assert_int_equal(key_exchange(&k, public, &shared), -EKEYREJECTED);
		assert_int_equal(shared.bytes[0], 5);
		assert_int_equal(noise_remote_set(&remote, public, NULL), -EKEYREJECTED);
	}
}

/*
 * RFC 8439 section 2.8.2 has a nonce that starts with 07 00 00 00, which WireGuard never sends: this one is
 * its own round trip.
 */
static void aeads_open_what_they_sealed_and_nothing_else(void **state)
{
	struct secret_key key = { { 1, 2, 3 } };
	uint8_t nonce[AEAD_XNONCE_LEN] = { 9 }, sealed[2][20 + AEAD_TAG_LEN], plain[20];

	aead_seal(&key, 5, "twenty bytes of text", 20, "aad", 3, sealed[0]);
	aead_xseal(&key, nonce, "twenty bytes of text", 20, "aad", 3, sealed[1]);
	assert_int_equal(aead_open(&key, 5, sealed[0], sizeof(sealed[0]), "aad", 3, plain), 0);
	assert_memory_equal(plain, "twenty bytes of text", 20);
	assert_int_equal(aead_xopen(&key, nonce, sealed[1], sizeof(sealed[1]), "aad", 3, plain), 0);
	assert_memory_equal(plain, "twenty bytes of text", 20);
	assert_int_equal(aead_open(&key, 6, sealed[0], sizeof(sealed[0]), "aad", 3, plain), -EBADMSG);
	assert_int_equal(aead_open(&key, 5, sealed[0], sizeof(sealed[0]), "aaD", 3, plain), -EBADMSG);
	assert_int_equal(aead_xopen(&key, nonce, sealed[1], sizeof(sealed[1]), "aaD", 3, plain), -EBADMSG);
	for (size_t i = 0; i < sizeof(sealed[0]); i++) {
		sealed[0][i] ^= 1;
		sealed[1][i] ^= 1;
		assert_int_equal(aead_open(&key, 5, sealed[0], sizeof(sealed[0]), "aad", 3, plain), -EBADMSG);
		assert_int_equal(aead_xopen(&key, nonce, sealed[1], sizeof(sealed[1]), "aad", 3, plain),
			-EBADMSG);
		sealed[0][i] ^= 1;
		sealed[1][i] ^= 1;
	}
}

/* draft-irtf-cfrg-xchacha-03 appendix A.3.1 */
static void xchacha20_poly1305_gives_the_known_answer(void **state)
{
	static const char text[] = "Ladies and Gentlemen of the class of '99: "
				   "If I could offer you only one tip for the future, sunscreen would be it.";
	uint8_t sealed[sizeof(text) - 1 + AEAD_TAG_LEN], nonce[AEAD_XNONCE_LEN], aad[12], begin[16],
		tag[AEAD_TAG_LEN];
	struct secret_key key;

	for (size_t i = 0; i < KEY_LEN; i++)
		key.bytes[i] = 0x80 + i;
	for (size_t i = 0; i < AEAD_XNONCE_LEN; i++)
		nonce[i] = 0x40 + i;
	from_hex(aad, sizeof(aad), "50515253c0c1c2c3c4c5c6c7");
	from_hex(begin, sizeof(begin), "bd6d179d3e83d43b9576579493c0e939");
	from_hex(tag, sizeof(tag), "c0875924c1c7987947deafd8780acf49");
	aead_xseal(&key, nonce, text, sizeof(text) - 1, aad, sizeof(aad), sealed);
	assert_memory_equal(sealed, begin, sizeof(begin));
	assert_memory_equal(sealed + sizeof(text) - 1, tag, sizeof(tag));
}

static void base64_keys_survive_the_round_trip(void **state)
{
	uint8_t key[KEY_LEN], again[KEY_LEN];
	char text[KEY_BASE64_LEN + 1];

	assert_int_equal(key_from_base64(VECTOR_NODE_PUBLIC, key), 0);
	key_to_base64(key, text);
	assert_string_equal(text, VECTOR_NODE_PUBLIC);
	for (int i = 0; i < 256; i++) {
		memset(key, i, KEY_LEN);
		key_to_base64(key, text);
		assert_int_equal(key_from_base64(text, again), 0);
		assert_memory_equal(key, again, KEY_LEN);
	}
}

static void only_canonical_base64_of_44_characters_is_a_key(void **state)
{
	static const char *const bad[] = {
		"",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",		/* 43, no padding */
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",		/* 33 bytes */
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",		/* 31 bytes */
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=",		/* unused bits are set */
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= ",
		" AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"AAAAAAAAAAAAAAAAAAAA AAAAAAAAAAAAAAAAAAAAAA=",
		"AAAAAAAAAAAAAAAAAAAA-AAAAAAAAAAAAAAAAAAAAAA=",		/* the URL alphabet */
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=AAAA",
		"AAAAAAAAAAAAAAAAAAAA\321\224\262\210AAAAAAAAAAAAAAAAAAA=",	/* bytes beyond ASCII */
	};
	uint8_t key[KEY_LEN] = { 3 };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(key_from_base64(bad[i], key), -EINVAL);
		assert_int_equal(key[0], 3);
	}
	assert_int_equal(key_from_base64("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", key), 0);
	assert_int_equal(key[0], 0);
}

static void keys_compare_by_every_bit(void **state)
{
	uint8_t a[KEY_LEN] = { 0 }, b[KEY_LEN] = { 0 };
	struct secret_key zero = { { 0 } };

	assert_true(key_is_equal(a, b));
	assert_true(secret_key_is_zero(&zero));
	for (size_t bit = 0; bit < 8 * KEY_LEN; bit++) {
		b[bit / 8] ^= 1 << bit % 8;
		zero.bytes[bit / 8] ^= 1 << bit % 8;
		assert_false(key_is_equal(a, b));
		assert_false(secret_key_is_zero(&zero));
		b[bit / 8] ^= 1 << bit % 8;
		zero.bytes[bit / 8] ^= 1 << bit % 8;
	}
	memset(&zero, 9, sizeof(zero));
	secret_key_wipe(&zero);
	assert_true(secret_key_is_zero(&zero));
}

static void labels_are_unix_time_with_coarse_nanoseconds(void **state)
{
	/* 0x6b03892e - 10 s, and 0x25ffffff ns, whose low 24 bits do not show */
	struct tai64n label = tai64n_from_unix((0x6b03892eULL - 10) * SEC + 0x25ffffff);

	assert_memory_equal(label.bytes, vector_consumed[0].timestamp, TAI64N_LEN);
}

static void successors_are_greater_and_roll_over_into_seconds(void **state)
{
	struct tai64n label = tai64n_from_unix(1000 * SEC), next;
	int steps = 0;

	for (next = label; memcmp(next.bytes, tai64n_from_unix(1001 * SEC).bytes, TAI64N_LEN) != 0; steps++) {
		struct tai64n before = next;

		next = tai64n_successor(&before);
		assert_true(tai64n_compare(&next, &before) > 0);
		assert_in_range(steps, 0, 60);
	}
	assert_in_range(steps, WG_INITIATIONS_PER_SECOND, 60);
}

static void labels_never_go_back_with_the_clock(void **state)
{
	struct tai64n_clock clock = { 0 };
	struct tai64n none = { { 0 } }, a, b, c;
	bool jumped;

	a = tai64n_next(&clock, 5000 * SEC, 10 * SEC, &none, &jumped);
	b = tai64n_next(&clock, 1400 * SEC, 11 * SEC, &a, &jumped);
	assert_true(tai64n_compare(&b, &a) > 0);
	assert_false(jumped);
	/* Another peer, to which nothing was sent so far: still not before anything. */
	c = tai64n_next(&clock, 1401 * SEC, 12 * SEC, &none, &jumped);
	assert_true(tai64n_compare(&c, &a) >= 0);
}

static void many_labels_at_one_moment_do_not_run_ahead(void **state)
{
	struct tai64n_clock clock = { 0 };
	struct tai64n none = { { 0 } }, now = tai64n_from_unix(5000 * SEC);
	bool jumped;

	for (int peer = 0; peer < 5000; peer++) {
		struct tai64n label = tai64n_next(&clock, 5000 * SEC, 10 * SEC, &none, &jumped);

		assert_int_equal(tai64n_compare(&label, &now), 0);
	}
}

static void a_clock_that_leaps_forward_is_noticed_once(void **state)
{
	const uint64_t day = TAI64N_FUTURE_MAX_S * SEC;
	struct tai64n_clock clock = { 0 };
	struct tai64n none = { { 0 } };
	bool jumped;

	tai64n_next(&clock, 5000 * SEC, 10 * SEC, &none, &jumped);
	assert_false(jumped);
	tai64n_next(&clock, 5001 * SEC + day, 11 * SEC, &none, &jumped);
	assert_false(jumped);
	tai64n_next(&clock, 5003 * SEC + 2 * day, 12 * SEC, &none, &jumped);
	assert_true(jumped);
	tai64n_next(&clock, 5004 * SEC + 2 * day, 13 * SEC, &none, &jumped);
	assert_false(jumped);
	/* Two days of suspend: both clocks went on. */
	tai64n_next(&clock, 5004 * SEC + 4 * day, 13 * SEC + 2 * day, &none, &jumped);
	assert_false(jumped);
}

static void timestamps_from_the_far_future_are_recognised(void **state)
{
	uint64_t now = 1795000000 * SEC;
	struct tai64n near = tai64n_from_unix(now + TAI64N_FUTURE_MAX_S * SEC);
	struct tai64n far = tai64n_from_unix(now + (TAI64N_FUTURE_MAX_S + 1) * SEC);

	assert_false(tai64n_is_future(&near, now));
	assert_true(tai64n_is_future(&far, now));
}

static int remote_init(struct noise_remote *remote, const struct noise_local *local,
	const uint8_t public_key[static KEY_LEN], const struct secret_key *preshared_key)
{
	int ret = noise_remote_set(remote, public_key, preshared_key);

	return ret < 0 ? ret : noise_remote_prepare(remote, local);
}

static void keys_of(struct noise_local *lap, struct noise_remote *node)
{
	struct secret_key private_key;
	uint8_t public_key[KEY_LEN];

	assert_int_equal(secret_key_from_base64(VECTOR_LAP_PRIVATE, &private_key), 0);
	assert_int_equal(noise_local_init(lap, &private_key), 0);
	assert_int_equal(key_from_base64(VECTOR_LAP_PUBLIC, public_key), 0);
	assert_memory_equal(lap->public_key, public_key, KEY_LEN);
	assert_int_equal(key_from_base64(VECTOR_NODE_PUBLIC, public_key), 0);
	assert_int_equal(remote_init(node, lap, public_key, NULL), 0);
}

static void recorded_initiations_are_consumed_to_the_expected_state(void **state)
{
	struct noise_local lap;
	struct noise_remote node;

	keys_of(&lap, &node);
	for (size_t i = 0; i < sizeof(vector_consumed) / sizeof(vector_consumed[0]); i++) {
		const struct vector_consumed *want = &vector_consumed[i];
		const struct wg_initiation *message = (const void *)want->initiation;
		struct noise_handshake handshake;
		struct tai64n timestamp;
		uint8_t public_key[KEY_LEN];

		assert_int_equal(noise_read_initiation(&handshake, &lap, message, public_key), 0);
		assert_memory_equal(public_key, node.public_key, KEY_LEN);
		assert_int_equal(noise_consume_initiation(&handshake, &node, message, &timestamp), 0);
		assert_int_equal(handshake.remote_index, want->sender_index);
		assert_memory_equal(timestamp.bytes, want->timestamp, TAI64N_LEN);
		assert_memory_equal(handshake.hash, want->hash, sizeof(want->hash));
		assert_memory_equal(handshake.chaining_key, want->chaining_key, sizeof(want->chaining_key));
	}
}

static void recorded_messages_carry_a_valid_mac1_for_their_receiver_only(void **state)
{
	struct cookie_checker node, lap;
	uint8_t public_key[KEY_LEN];

	assert_int_equal(key_from_base64(VECTOR_NODE_PUBLIC, public_key), 0);
	cookie_checker_init(&node, public_key);
	assert_int_equal(key_from_base64(VECTOR_LAP_PUBLIC, public_key), 0);
	cookie_checker_init(&lap, public_key);
	for (size_t i = 0; i < sizeof(vector_consumed) / sizeof(vector_consumed[0]); i++) {
		assert_true(cookie_check_mac1(&lap, vector_consumed[i].initiation, WG_INITIATION_LEN));
		assert_false(cookie_check_mac1(&node, vector_consumed[i].initiation, WG_INITIATION_LEN));
		assert_true(cookie_check_mac1(&node, vector_consumed[i].response, WG_RESPONSE_LEN));
		assert_false(cookie_check_mac1(&lap, vector_consumed[i].response, WG_RESPONSE_LEN));
	}
}

struct side {
	struct noise_local local;
	struct noise_remote remote;
	struct noise_handshake handshake;
	struct noise_keys keys;
};

static void sides_init(struct side *a, struct side *b, const struct secret_key *psk_a,
	const struct secret_key *psk_b)
{
	struct secret_key k = { { 11 } };

	memset(a, 0, sizeof(*a));
	memset(b, 0, sizeof(*b));
	assert_int_equal(noise_local_init(&a->local, &k), 0);
	k.bytes[0] = 12;
	assert_int_equal(noise_local_init(&b->local, &k), 0);
	assert_int_equal(remote_init(&a->remote, &a->local, b->local.public_key, psk_a), 0);
	assert_int_equal(remote_init(&b->remote, &b->local, a->local.public_key, psk_b), 0);
}

static void exchange_initiation(struct side *a, struct side *b, struct wg_initiation *message)
{
	struct tai64n sent = tai64n_from_unix(1795000000 * SEC), got;
	const struct secret_key ephemeral = { { 21 } };
	uint8_t public_key[KEY_LEN];

	assert_int_equal(noise_create_initiation(&a->handshake, &a->local, &a->remote, &sent, &ephemeral,
		0x11223344, message), 0);
	assert_int_equal(noise_read_initiation(&b->handshake, &b->local, message, public_key), 0);
	assert_memory_equal(public_key, a->local.public_key, KEY_LEN);
	assert_int_equal(noise_consume_initiation(&b->handshake, &b->remote, message, &got), 0);
	assert_memory_equal(got.bytes, sent.bytes, TAI64N_LEN);
	assert_int_equal(b->handshake.remote_index, 0x11223344);
}

static void respond(struct side *b, struct wg_response *message)
{
	const struct secret_key ephemeral = { { 22 } };

	assert_int_equal(noise_create_response(&b->handshake, &b->remote, &ephemeral, 0x55667788,
		message), 0);
}

static void handshake_ends_in_the_same_keys(const struct secret_key *psk)
{
	struct side a, b;
	struct wg_initiation initiation;
	struct wg_response response;

	sides_init(&a, &b, psk, psk);
	exchange_initiation(&a, &b, &initiation);
	respond(&b, &response);
	assert_int_equal(response.receiver_index, 0x11223344);
	assert_int_equal(response.sender_index, 0x55667788);
	assert_int_equal(noise_consume_response(&a.handshake, &a.local, &a.remote, &response), 0);
	assert_int_equal(a.handshake.remote_index, 0x55667788);
	assert_int_equal(noise_begin_session(&a.handshake, &a.keys), 0);
	assert_int_equal(noise_begin_session(&b.handshake, &b.keys), 0);
	assert_memory_equal(&a.keys.send, &b.keys.recv, KEY_LEN);
	assert_memory_equal(&a.keys.recv, &b.keys.send, KEY_LEN);
	assert_memory_not_equal(&a.keys.recv, &a.keys.send, KEY_LEN);
	assert_true(sodium_is_zero((const uint8_t *)&a.handshake, sizeof(a.handshake)));
	assert_true(sodium_is_zero((const uint8_t *)&b.handshake, sizeof(b.handshake)));
}

static void both_sides_derive_the_same_keys(void **state)
{
	handshake_ends_in_the_same_keys(NULL);
}

static void both_sides_derive_the_same_keys_with_a_preshared_key(void **state)
{
	const struct secret_key psk = { { 1, 2, 3, 4 } };

	handshake_ends_in_the_same_keys(&psk);
}

static void a_preshared_key_changes_the_session_keys(void **state)
{
	const struct secret_key psk = { { 1 } };
	struct side a, b;
	struct noise_keys keys[2];

	for (int i = 0; i < 2; i++) {
		struct wg_initiation initiation;
		struct wg_response response;

		sides_init(&a, &b, i ? &psk : NULL, i ? &psk : NULL);
		exchange_initiation(&a, &b, &initiation);
		respond(&b, &response);
		assert_int_equal(noise_begin_session(&b.handshake, &keys[i]), 0);
	}
	assert_memory_not_equal(&keys[0], &keys[1], sizeof(keys[0]));
}

static void a_wrong_preshared_key_is_noticed_and_changes_nothing(void **state)
{
	const struct secret_key right = { { 1 } }, wrong = { { 2 } };
	struct side a, b;
	struct wg_initiation initiation;
	struct wg_response response;
	struct noise_handshake before;

	sides_init(&a, &b, &right, &wrong);
	exchange_initiation(&a, &b, &initiation);
	respond(&b, &response);
	before = a.handshake;
	assert_int_equal(noise_consume_response(&a.handshake, &a.local, &a.remote, &response), -EBADMSG);
	assert_memory_equal(&a.handshake, &before, sizeof(before));
}

static void every_flipped_bit_of_an_initiation_is_noticed(void **state)
{
	struct side a, b;
	struct wg_initiation message;
	uint8_t *bytes = (uint8_t *)&message, public_key[KEY_LEN];
	struct tai64n timestamp;

	sides_init(&a, &b, NULL, NULL);
	exchange_initiation(&a, &b, &message);
	for (size_t i = offsetof(struct wg_initiation, ephemeral);
		i < offsetof(struct wg_initiation, mac1); i++) {
		for (int bit = 0; bit < 8; bit++) {
			int ret;

			/*
			 * X25519 ignores the highest bit of a public key (RFC 7748 section 5),
			 * the hash does not.
			 */
			bytes[i] ^= 1 << bit;
			ret = noise_read_initiation(&b.handshake, &b.local, &message, public_key);
			if (i >= offsetof(struct wg_initiation, encrypted_timestamp)) {
				assert_int_equal(ret, 0);
				ret = noise_consume_initiation(&b.handshake, &b.remote, &message, &timestamp);
			}
			assert_true(ret == -EBADMSG || ret == -EKEYREJECTED);
			assert_true(sodium_is_zero((const uint8_t *)&b.handshake, sizeof(b.handshake)));
			bytes[i] ^= 1 << bit;
		}
	}
}

static void every_flipped_bit_of_a_response_is_noticed_and_changes_nothing(void **state)
{
	struct side a, b;
	struct wg_initiation initiation;
	struct wg_response message;
	struct noise_handshake before;
	uint8_t *bytes = (uint8_t *)&message;

	sides_init(&a, &b, NULL, NULL);
	exchange_initiation(&a, &b, &initiation);
	respond(&b, &message);
	before = a.handshake;
	for (size_t i = offsetof(struct wg_response, receiver_index);
		i < offsetof(struct wg_response, mac1); i++) {
		for (int bit = 0; bit < 8; bit++) {
			bytes[i] ^= 1 << bit;
			assert_true(noise_consume_response(&a.handshake, &a.local, &a.remote, &message) < 0);
			assert_memory_equal(&a.handshake, &before, sizeof(before));
			bytes[i] ^= 1 << bit;
		}
	}
	assert_int_equal(noise_consume_response(&a.handshake, &a.local, &a.remote, &message), 0);
	assert_true(secret_key_is_zero(&a.handshake.ephemeral));
}

static void steps_out_of_order_are_refused(void **state)
{
	const struct secret_key ephemeral = { { 22 } };
	struct side a, b;
	struct wg_initiation initiation;
	struct wg_response response;
	struct tai64n timestamp;

	sides_init(&a, &b, NULL, NULL);
	assert_int_equal(noise_create_response(&b.handshake, &b.remote, &ephemeral, 1, &response), -EINVAL);
	assert_int_equal(noise_begin_session(&b.handshake, &b.keys), -EINVAL);
	exchange_initiation(&a, &b, &initiation);
	assert_int_equal(noise_begin_session(&a.handshake, &a.keys), -EINVAL);
	assert_int_equal(noise_begin_session(&b.handshake, &b.keys), -EINVAL);
	assert_int_equal(noise_consume_initiation(&b.handshake, &b.remote, &initiation, &timestamp), -EINVAL);
	assert_int_equal(b.handshake.state, NOISE_NONE);
	exchange_initiation(&a, &b, &initiation);
	respond(&b, &response);
	assert_int_equal(noise_consume_response(&b.handshake, &b.local, &b.remote, &response), -EINVAL);
	assert_int_equal(noise_consume_response(&a.handshake, &a.local, &a.remote, &response), 0);
	assert_int_equal(noise_consume_response(&a.handshake, &a.local, &a.remote, &response), -EINVAL);
}

static void an_all_zero_private_key_is_refused(void **state)
{
	const struct secret_key zero = { { 0 } };
	struct noise_local local;

	assert_int_equal(noise_local_init(&local, &zero), -EKEYREJECTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blake2s_gives_the_known_answers),
		cmocka_unit_test(hmac_and_kdf_give_the_known_answers),
		cmocka_unit_test(kdf_may_write_over_its_key_and_leaves_unwanted_outputs_alone),
		cmocka_unit_test(x25519_gives_the_known_answers),
		cmocka_unit_test(public_keys_of_low_order_are_refused),
		cmocka_unit_test(aeads_open_what_they_sealed_and_nothing_else),
		cmocka_unit_test(xchacha20_poly1305_gives_the_known_answer),
		cmocka_unit_test(base64_keys_survive_the_round_trip),
		cmocka_unit_test(only_canonical_base64_of_44_characters_is_a_key),
		cmocka_unit_test(keys_compare_by_every_bit),
		cmocka_unit_test(labels_are_unix_time_with_coarse_nanoseconds),
		cmocka_unit_test(successors_are_greater_and_roll_over_into_seconds),
		cmocka_unit_test(labels_never_go_back_with_the_clock),
		cmocka_unit_test(many_labels_at_one_moment_do_not_run_ahead),
		cmocka_unit_test(a_clock_that_leaps_forward_is_noticed_once),
		cmocka_unit_test(timestamps_from_the_far_future_are_recognised),
		cmocka_unit_test(recorded_initiations_are_consumed_to_the_expected_state),
		cmocka_unit_test(recorded_messages_carry_a_valid_mac1_for_their_receiver_only),
		cmocka_unit_test(both_sides_derive_the_same_keys),
		cmocka_unit_test(both_sides_derive_the_same_keys_with_a_preshared_key),
		cmocka_unit_test(a_preshared_key_changes_the_session_keys),
		cmocka_unit_test(a_wrong_preshared_key_is_noticed_and_changes_nothing),
		cmocka_unit_test(every_flipped_bit_of_an_initiation_is_noticed),
		cmocka_unit_test(every_flipped_bit_of_a_response_is_noticed_and_changes_nothing),
		cmocka_unit_test(steps_out_of_order_are_refused),
		cmocka_unit_test(an_all_zero_private_key_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
