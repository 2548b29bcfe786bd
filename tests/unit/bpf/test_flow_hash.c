// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The keyed functions of the flow table: the whole key counts, and ports come from a function that hides it
// (SipHash).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <sodium.h>

#include "flow_host.h"

#define SNAT htonl(0xc0a801dd)

static struct talon_config cfg;

static int setup(void **state)
{
	cfg = (struct talon_config) {
		.flow_count = 64, .bucket_mask = 15, .port_first = 1024, .port_last = 65535,
		.keys = {
			.flow = { 0x5eed1234, 0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb,
				0xd6e8feb86659fd93 },
			.port = { 0x5eed1234, 0x0123456789abcdef },
		},
	};
	return flow_host_init(64, 16, 64);
}

static int teardown(void **state)
{
	flow_host_done();
	return 0;
}

static const struct talon_flow_key a_key = {
	.src = 0x0100406b, .dst = 0xdc01a8c1, .sport = 0x1235, .dport = 0xbb01, .proto = IPPROTO_TCP,
};

/* Table of the reference implementation: key 00 01 .. 0f, messages 00 01 .., and their length. */
static void short_messages_hash_as_the_reference_does(void **state)
{
	static const uint64_t want[] = {
		0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d,
		0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137,
	};
	const uint64_t key[2] = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };
	uint64_t data = 0;

	for (uint32_t len = 0; len < 8; len++) {
		assert_int_equal(siphash_short((const __u64 *)key, data, len), want[len]);
		data |= (uint64_t)len << 8 * len;
	}
}

static void short_messages_hash_as_libsodium_does(void **state)
{
	uint64_t key[2], data, want;

	for (int i = 0; i < 1000; i++) {
		randombytes_buf(key, sizeof(key));
		randombytes_buf(&data, sizeof(data));
		data &= 0x00ffffffffffffff;
		crypto_shorthash((unsigned char *)&want, (const unsigned char *)&data, 7,
			(const unsigned char *)key);
		assert_int_equal(siphash_short((const __u64 *)key, data, 7), want);
	}
}

/* An observer of a few ports guesses 32 bits in seconds. */
static void every_bit_of_128_decides_the_port(void **state)
{
	int before = nat_port_pick(&cfg, &a_key, SNAT), same = 0;

	for (int bit = 0; bit < 128; bit++) {
		cfg.keys.port[bit / 64] ^= 1ULL << bit % 64;
		same += nat_port_pick(&cfg, &a_key, SNAT) == before;
		cfg.keys.port[bit / 64] ^= 1ULL << bit % 64;
	}
	assert_in_range(same, 0, 2);	/* by chance, one in 64,512 */
}

static void ports_say_nothing_about_the_indexes_and_the_indexes_nothing_about_ports(void **state)
{
	struct flow_place before = flow_place(&cfg, FLOW_FWD, &a_key), after;
	int port = nat_port_pick(&cfg, &a_key, SNAT);

	cfg.keys.port[0]++;
	after = flow_place(&cfg, FLOW_FWD, &a_key);
	assert_memory_equal(&before, &after, sizeof(before));
	cfg.keys.port[0]--;
	for (int i = 0; i < 5; i++)
		cfg.keys.flow[i] ^= 0xffffffffff;
	assert_int_equal(nat_port_pick(&cfg, &a_key, SNAT), port);
}

static void every_bit_of_320_decides_the_place_in_an_index(void **state)
{
	struct talon_flow_key key = a_key;
	struct flow_place before, after;

	key.proto = IPPROTO_UDP;	/* every word odd: an even one would push a key's highest bit out */
	cfg.bucket_mask = (1 << 18) - 1;
	before = flow_place(&cfg, FLOW_FWD, &key);
	for (int bit = 0; bit < 320; bit++) {
		cfg.keys.flow[bit / 64] ^= 1ULL << bit % 64;
		after = flow_place(&cfg, FLOW_FWD, &key);
		assert_memory_not_equal(&before, &after, sizeof(before));
		cfg.keys.flow[bit / 64] ^= 1ULL << bit % 64;
	}
}

static uint64_t place_number(const struct talon_flow_key *key)
{
	struct flow_place place = flow_place(&cfg, FLOW_FWD, key);

	return (uint64_t)place.tag << 36 | (uint64_t)place.bucket[0] << 18 | place.bucket[1];
}

/* Keys that differ in one bit, or by one step in two fields, are the first that an attacker tries. */
static void related_keys_meet_no_more_often_than_others(void **state)
{
	int met = 0;

	cfg.bucket_mask = (1 << 18) - 1;
	for (int i = 0; i < 2000; i++) {
		struct talon_flow_key a = a_key, b;

		randombytes_buf(&cfg.keys, sizeof(cfg.keys));
		for (int bit = 0; bit < 96; bit++) {
			b = a;
			((uint8_t *)&b)[bit / 8] ^= 1 << bit % 8;
			met += place_number(&a) == place_number(&b);
		}
		for (int step = 1; step < 32; step++) {
			b = a;
			b.sport = htons(ntohs(a.sport) + step);
			b.dst = htonl(ntohl(a.dst) - step);
			met += place_number(&a) == place_number(&b);
		}
	}
	assert_int_equal(met, 0);
}

/* Thousands of flows of one client to one remote, as a port scan makes them: buckets fill as if by chance. */
static void rows_of_ports_spread_over_the_buckets(void **state)
{
	static uint32_t load[1 << 12];
	unsigned over = 0;

	cfg.bucket_mask = (1 << 12) - 1;
	for (int round = 0; round < 50; round++) {
		randombytes_buf(&cfg.keys, sizeof(cfg.keys));
		memset(load, 0, sizeof(load));
		for (uint32_t i = 0; i < 4 * (1 << 12); i++) {
			struct talon_flow_key key = a_key;

			key.sport = htons(i);
			over += ++load[flow_place(&cfg, FLOW_FWD, &key).bucket[0]] > 12;
		}
	}
	/* Poisson with mean 4: a bucket gets its 13th and each later one four times in ten thousand. */
	assert_in_range(over, 0, 50 * (1 << 12) * 10 / 10000);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(short_messages_hash_as_the_reference_does),
		T(short_messages_hash_as_libsodium_does),
		T(every_bit_of_128_decides_the_port),
		T(ports_say_nothing_about_the_indexes_and_the_indexes_nothing_about_ports),
		T(every_bit_of_320_decides_the_place_in_an_index),
		T(related_keys_meet_no_more_often_than_others),
		T(rows_of_ports_spread_over_the_buckets),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests_name("flow: keyed functions", tests, NULL, NULL);
}
