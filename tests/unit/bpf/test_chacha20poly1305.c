// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The arithmetic of the BPF programs, run on the host: RFC 8439 vectors, the edges of Poly1305, and a
// comparison with libsodium.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "../../../bpf/lib/chacha20.h"
#include "../../../bpf/lib/poly1305.h"

#define TAG_LEN 16

static void from_hex(uint8_t *to, const char *hex, size_t len)
{
	size_t got;

	assert_int_equal(sodium_hex2bin(to, len, hex, strlen(hex), NULL, &got, NULL), 0);
	assert_int_equal(got, len);
}

/* Any key, block counter and nonce, where chacha20_init() takes only WireGuard's. */
static void set_state(struct chacha20 *c, const uint8_t key[32], uint32_t block, const uint8_t nonce[12])
{
	uint32_t words[8];

	memcpy(words, key, sizeof(words));
	chacha20_init(c, words, 0);
	c->state[12] = block;
	memcpy(&c->state[13], nonce, 12);
}

static void poly1305_mac(uint8_t tag[TAG_LEN], const uint8_t key[32], const uint8_t *msg, size_t len)
{
	struct poly1305 p;
	uint64_t words[4], out[2];

	memcpy(words, key, sizeof(words));
	poly1305_init(&p, (const __u64 *)words);
	for (; len >= 16; msg += 16, len -= 16) {
		__u64 m[2];

		memcpy(m, msg, 16);
		poly1305_block(&p, m, 1);
	}
	if (len) {
		uint8_t last[16] = { 0 };
		__u64 m[2];

		memcpy(last, msg, len);
		last[len] = 1;
		memcpy(m, last, 16);
		poly1305_block(&p, m, 0);
	}
	poly1305_finish(&p, (__u64 *)out);
	memcpy(tag, out, TAG_LEN);
}

static void quarter_round_is_that_of_rfc_8439_2_1_1(void **state)
{
	uint32_t a = 0x11111111, b = 0x01020304, c = 0x9b8d6f43, d = 0x01234567;

	CHACHA20_QUARTER(a, b, c, d);
	assert_int_equal(a, 0xea2a92f4);
	assert_int_equal(b, 0xcb1cf8ce);
	assert_int_equal(c, 0x4581472e);
	assert_int_equal(d, 0x5881c4bb);
}

static void block_function_gives_the_vectors_of_rfc_8439(void **state)
{
	static const struct {
		const char *key, *nonce, *stream;
		uint32_t block;
	} vectors[] = {
		{	/* 2.3.2 */
			"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
				"000000090000004a00000000",
			"10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e"
			"d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e", 1,
		}, {	/* A.1, 1 */
			"0000000000000000000000000000000000000000000000000000000000000000",
				"000000000000000000000000",
			"76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
			"da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586", 0,
		}, {	/* A.1, 2 */
			"0000000000000000000000000000000000000000000000000000000000000000",
				"000000000000000000000000",
			"9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
			"29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f", 1,
		},
	};

	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		uint8_t key[32], nonce[12], expected[64];
		struct chacha20 c;

		from_hex(key, vectors[i].key, sizeof(key));
		from_hex(nonce, vectors[i].nonce, sizeof(nonce));
		from_hex(expected, vectors[i].stream, sizeof(expected));
		set_state(&c, key, vectors[i].block, nonce);
		chacha20_next(&c);
		assert_memory_equal(c.stream, expected, sizeof(expected));
		assert_int_equal(c.state[12], vectors[i].block + 1);
	}
}

static void one_time_key_is_that_of_rfc_8439_2_6_2(void **state)
{
	uint8_t key[32], expected[32];
	struct chacha20 c;
	uint32_t words[8];

	from_hex(key, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f", sizeof(key));
	from_hex(expected, "8ad5a08b905f81cc815040274ab29471a833b637e3fd0da508dbb8e2fdd1a646",
		sizeof(expected));
	memcpy(words, key, sizeof(words));
	chacha20_init(&c, words, 0x0706050403020100);
	chacha20_next(&c);
	assert_memory_equal(c.stream, expected, sizeof(expected));
}

static void keystream_is_that_of_libsodium(void **state)
{
	uint8_t zero[64 * 24] = { 0 }, expected[sizeof(zero)], nonce[12] = { 0 };
	struct chacha20 c;
	uint32_t key[8];
	uint64_t counter;

	for (int round = 0; round < 200; round++) {
		randombytes_buf(key, sizeof(key));
		randombytes_buf(&counter, sizeof(counter));
		memcpy(nonce + 4, &counter, sizeof(counter));
		crypto_stream_chacha20_ietf_xor(expected, zero, sizeof(zero), nonce, (uint8_t *)key);
		chacha20_init(&c, key, counter);
		for (int i = 0; i < 24; i++) {
			chacha20_next(&c);
			assert_memory_equal(c.stream, expected + 64 * i, 64);
		}
	}
}

static void poly1305_gives_the_tag_of_rfc_8439_2_5_2(void **state)
{
	static const char msg[] = "Cryptographic Forum Research Group";
	uint8_t key[32], expected[TAG_LEN], tag[TAG_LEN];

	from_hex(key, "85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b", sizeof(key));
	from_hex(expected, "a8061dc1305136c6c22b8baf0c0127a9", sizeof(expected));
	poly1305_mac(tag, key, (const uint8_t *)msg, strlen(msg));
	assert_memory_equal(tag, expected, TAG_LEN);
}

/* RFC 8439 appendix A.3, test vectors 5 to 11: each is aimed at one carry that implementations got wrong. */
static void poly1305_survives_the_edges_of_rfc_8439_a_3(void **state)
{
	static const struct {
		const char *r, *s, *msg, *tag;
		size_t len;
	} vectors[] = {
		{ "02000000000000000000000000000000", "00000000000000000000000000000000",
			"ffffffffffffffffffffffffffffffff",
			"03000000000000000000000000000000", 16 },
		{ "02000000000000000000000000000000", "ffffffffffffffffffffffffffffffff",
			"02000000000000000000000000000000",
			"03000000000000000000000000000000", 16 },
		{ "01000000000000000000000000000000", "00000000000000000000000000000000",
			"ffffffffffffffffffffffffffffffff" "f0ffffffffffffffffffffffffffffff"
			"11000000000000000000000000000000",
			"05000000000000000000000000000000", 48 },
		{ "01000000000000000000000000000000", "00000000000000000000000000000000",
			"ffffffffffffffffffffffffffffffff" "fbfefefefefefefefefefefefefefefe"
			"01010101010101010101010101010101",
			"00000000000000000000000000000000", 48 },
		{ "02000000000000000000000000000000", "00000000000000000000000000000000",
			"fdffffffffffffffffffffffffffffff",
			"faffffffffffffffffffffffffffffff", 16 },
		{ "01000000000000000400000000000000", "00000000000000000000000000000000",
			"e33594d7505e43b90000000000000000" "3394d7505e4379cd0100000000000000"
			"00000000000000000000000000000000" "01000000000000000000000000000000",
			"14000000000000005500000000000000", 64 },
		{ "01000000000000000400000000000000", "00000000000000000000000000000000",
			"e33594d7505e43b90000000000000000" "3394d7505e4379cd0100000000000000"
			"00000000000000000000000000000000",
			"13000000000000000000000000000000", 48 },
	};

	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		uint8_t key[32], msg[64], expected[TAG_LEN], tag[TAG_LEN];

		from_hex(key, vectors[i].r, 16);
		from_hex(key + 16, vectors[i].s, 16);
		from_hex(msg, vectors[i].msg, vectors[i].len);
		from_hex(expected, vectors[i].tag, TAG_LEN);
		poly1305_mac(tag, key, msg, vectors[i].len);
		assert_memory_equal(tag, expected, TAG_LEN);
	}
}

/*
 * With r = 1 the accumulator is the sum of the blocks, each with 2^128 on top: three blocks that add up to
 * 2^128 - 5 + d make it p + d (p = 2^130 - 5).
 */
static void accumulator_is_reduced_fully_around_the_prime(void **state)
{
	uint8_t key[32] = { 1 };

	for (int d = -11; d <= 20; d++) {
		uint8_t msg[48], expected[TAG_LEN] = { 0 }, tag[TAG_LEN], other[TAG_LEN];

		memset(msg, 0, sizeof(msg));
		memset(msg, 0xff, 16);
		msg[0] = 0xf0;
		msg[16] = 11 + d;
		if (d < 0) {
			memset(expected, 0xff, TAG_LEN);
			expected[0] = 256 - 5 + d;
		} else {
			expected[0] = d;
		}
		poly1305_mac(tag, key, msg, sizeof(msg));
		assert_memory_equal(tag, expected, TAG_LEN);
		crypto_onetimeauth(other, msg, sizeof(msg), key);
		assert_memory_equal(tag, other, TAG_LEN);
	}
}

static void every_partial_length_gives_the_tag_of_libsodium(void **state)
{
	uint8_t key[32], msg[200], tag[TAG_LEN], expected[TAG_LEN];

	for (size_t len = 0; len <= sizeof(msg); len++) {
		randombytes_buf(key, sizeof(key));
		randombytes_buf(msg, len);
		crypto_onetimeauth(expected, msg, len, key);
		poly1305_mac(tag, key, msg, len);
		assert_memory_equal(tag, expected, TAG_LEN);
	}
}

/* Words that are all zeros or all ones, in key and message, reach carries that random bytes never do. */
static void extreme_words_give_the_tag_of_libsodium(void **state)
{
	for (int round = 0; round < 20000; round++) {
		uint8_t key[32], msg[160], tag[TAG_LEN], expected[TAG_LEN];
		size_t len = 16 * (1 + randombytes_uniform(sizeof(msg) / 16));

		for (size_t i = 0; i < sizeof(key); i += 4)
			memset(key + i, randombytes_uniform(4) ? 0xff : 0, 4);
		for (size_t i = 0; i < len; i += 4)
			memset(msg + i, randombytes_uniform(4) ? 0xff : 0, 4);
		msg[4 * randombytes_uniform(len / 4)] -= randombytes_uniform(8);
		crypto_onetimeauth(expected, msg, len, key);
		poly1305_mac(tag, key, msg, len);
		assert_memory_equal(tag, expected, TAG_LEN);
	}
}

/*
 * The bounds in poly1305.h that rule out overflow: largest r, largest message, more blocks than a packet has.
 */
static void limbs_stay_within_their_bounds(void **state)
{
	static const __u64 ones[2] = { ~0ULL, ~0ULL };
	static const __u64 key[4] = { ~0ULL, ~0ULL, ~0ULL, ~0ULL };
	struct poly1305 p;

	poly1305_init(&p, key);
	for (int i = 0; i < 4096; i++) {
		__u64 random[2];

		randombytes_buf(random, sizeof(random));
		poly1305_block(&p, i % 3 ? ones : random, 1);
		assert_true(p.h[0] < 9ULL << 30);
		assert_in_range(p.h[1], 0, 0xffffffff);
		assert_in_range(p.h[2], 0, 0xffffffff);
		assert_true(p.h[3] < 4ULL << 32);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quarter_round_is_that_of_rfc_8439_2_1_1),
		cmocka_unit_test(block_function_gives_the_vectors_of_rfc_8439),
		cmocka_unit_test(one_time_key_is_that_of_rfc_8439_2_6_2),
		cmocka_unit_test(keystream_is_that_of_libsodium),
		cmocka_unit_test(poly1305_gives_the_tag_of_rfc_8439_2_5_2),
		cmocka_unit_test(poly1305_survives_the_edges_of_rfc_8439_a_3),
		cmocka_unit_test(accumulator_is_reduced_fully_around_the_prime),
		cmocka_unit_test(every_partial_length_gives_the_tag_of_libsodium),
		cmocka_unit_test(extreme_words_give_the_tag_of_libsodium),
		cmocka_unit_test(limbs_stay_within_their_bounds),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
