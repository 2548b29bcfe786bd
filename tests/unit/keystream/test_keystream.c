// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The arithmetic of keystream windows, with clocks passed in; both engines against libsodium's AEAD
// construction.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "keystream/engine.h"
#include "keystream/plan.h"

#define MS 1000000ULL

static void logarithms_round_as_they_say(void **state)
{
	static const struct {
		uint64_t n;
		unsigned down, up;
	} cases[] = { { 1, 0, 0 }, { 2, 1, 1 }, { 3, 1, 2 }, { 4, 2, 2 }, { 5, 2, 3 }, { 1024, 10, 10 },
		{ 1025, 10, 11 }, { ~0ULL, 63, 64 } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(plan_log2_down(cases[i].n), cases[i].down);
		assert_int_equal(plan_log2_up(cases[i].n), cases[i].up);
	}
}

static void a_window_lasts_for_twice_the_gap_within_its_bounds(void **state)
{
	assert_int_equal(plan_bits(0, 8 * MS, PLAN_BITS_MAX), PLAN_BITS_FIRST);
	assert_int_equal(plan_bits(100, 8 * MS, PLAN_BITS_MAX), PLAN_BITS_FIRST);
	assert_int_equal(plan_bits(200000, MS, PLAN_BITS_MAX), 9);		/* 400 */
	assert_int_equal(plan_bits(256000, MS, PLAN_BITS_MAX), 9);		/* 512 */
	assert_int_equal(plan_bits(257000, MS, PLAN_BITS_MAX), 10);
	assert_int_equal(plan_bits(500000, 8 * MS, PLAN_BITS_MAX), 13);		/* 8000 */
	assert_int_equal(plan_bits(1000000, 8 * MS, PLAN_BITS_MAX), 13);
	assert_int_equal(plan_bits(~0ULL, PLAN_GAP_MAX_NS, PLAN_BITS_MAX), 13);
	assert_int_equal(plan_bits(500000, 8 * MS, 10), 10);
	assert_int_equal(plan_bits(0, MS, 5), 5);
}

static void rings_share_the_memory_evenly(void **state)
{
	assert_int_equal(plan_bits_fair(21824, 0), 13);
	assert_int_equal(plan_bits_fair(21824, 1), 13);		/* never more than any window */
	assert_int_equal(plan_bits_fair(21824, 2), 13);
	assert_int_equal(plan_bits_fair(21824, 3), 12);
	assert_int_equal(plan_bits_fair(21824, 100), 7);
	assert_int_equal(plan_bits_fair(21824, 1000000), PLAN_BITS_MIN);
}

static void the_rate_rises_at_once_and_sinks_slowly(void **state)
{
	uint64_t rate = plan_rate(0, 5000, 10 * MS);

	assert_int_equal(rate, 500000);
	assert_int_equal(plan_rate(rate, 8000, 10 * MS), 800000);
	for (int i = 0; i < 5; i++)
		rate = plan_rate(rate, 0, 10 * MS);
	assert_in_range(rate, 250000, 260000);
	for (int i = 0; i < 200; i++)
		rate = plan_rate(rate, 0, 10 * MS);
	assert_int_equal(rate, 0);
	assert_int_equal(plan_rate(0, 7, 0), 7000000);	/* in no time at all: no division by it */
	assert_true(plan_rate(0, ~0ULL, 1) > 0);
}

static void the_gap_is_the_longest_but_for_accidents(void **state)
{
	uint64_t gap = plan_gap(MS, 8 * MS);

	assert_int_equal(gap, 8 * MS);
	assert_int_equal(plan_gap(gap, 3 * MS), 8 * MS);
	assert_int_equal(plan_gap(gap, PLAN_GAP_MAX_NS), PLAN_GAP_MAX_NS);
	assert_int_equal(plan_gap(gap, PLAN_GAP_MAX_NS + 1), 8 * MS);	/* the machine was stopped */
	for (int i = 0; i < 11; i++)
		gap = plan_gap_decay(gap);
	assert_in_range(gap, 38 * MS / 10, 4 * MS);
	for (int i = 0; i < 100; i++)
		gap = plan_gap_decay(gap);
	assert_int_equal(gap, PLAN_GAP_MIN_NS);
}

static void lengths_cover_all_but_one_packet_in_32(void **state)
{
	static const struct {
		uint32_t counts[TALON_KEYSTREAM_CLASSES];
		uint32_t len;
	} cases[] = {
		{ { 0, 0, 0, 0 }, 777 },			/* no news */
		{ { 1000, 0, 0, 0 }, 128 },
		{ { 1000, 0, 0, 32 }, 128 },
		{ { 1000, 0, 0, 33 }, TALON_SLOT_STREAM_LEN },
		{ { 1000, 100, 0, 10 }, 512 },
		{ { 0, 0, 10, 0 }, 1024 },
		{ { 0, 0, 0, 1 }, TALON_SLOT_STREAM_LEN },
		{ { ~0U, ~0U, ~0U, ~0U }, TALON_SLOT_STREAM_LEN },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(plan_len(cases[i].counts, 777), cases[i].len);
	for (unsigned i = 0; i < TALON_KEYSTREAM_CLASSES; i++)
		assert_int_equal(TALON_KEYSTREAM_CLASS_LEN(i) % 64, 0);
}

static void a_window_is_filled_ahead_and_keeps_an_eighth_behind(void **state)
{
	uint64_t next = 0;

	assert_int_equal(plan_fill(0, 6, &next), 56);		/* a fresh session: from its first packet */
	assert_int_equal(next, 0);
	next = 56;
	assert_int_equal(plan_fill(10, 6, &next), 66);
	assert_int_equal(next, 56);
	next = 1000;
	assert_int_equal(plan_fill(1000, 10, &next), 1000 + 896);	/* caught up with: a lead of 128 */
	assert_int_equal(next, 1128);
	next = 5;
	assert_int_equal(plan_fill((1ULL << 60) + 9, 13, &next), (1ULL << 60) + 9 + 7168);
	assert_int_equal(next, (1ULL << 60) + 9 + 1024);
}

/* A fake helper and fake packets: everything that is filled within a window has a slot of its own. */
static void no_two_counters_in_reach_share_a_slot(void **state)
{
	static uint64_t slot_counter[1 << 6];
	uint64_t head = 0, next = 0, end;

	for (int round = 0; round < 10000; round++) {
		head += randombytes_uniform(80);
		end = plan_fill(head, 6, &next);
		assert_true(end <= head + 64 - 8);
		for (; next < end; next++) {
			uint64_t *slot = &slot_counter[next % 64];

			/* what it held is at least an eighth behind */
			assert_true(*slot == 0 || *slot + 8 <= head || *slot == next);
			*slot = next;
		}
	}
}

static void packets_pay_for_slots_and_leaps_do_not(void **state)
{
	uint64_t credit = 0;

	/* what they used up, and something for the lead */
	assert_int_equal(plan_credit(0, 100, 100, 6), 128);
	assert_int_equal(plan_credit(0, 30, 10, 6), 40);		/* two of three lost */
	assert_int_equal(plan_credit(0, 1000000, 1, 6), PLAN_PER_PACKET);
	assert_int_equal(plan_credit(0, 1000000, 0, 6), 0);
	assert_int_equal(plan_advance(1000000, 10), 40);
	assert_int_equal(plan_advance(15, 10), 15);
	for (int i = 0; i < 1000000; i++)
		credit = plan_credit(credit, 1, 1, 13);
	assert_int_equal(credit, 2 << 13);
}

static void waking_is_wanted_when_half_is_used_up(void **state)
{
	assert_int_equal(plan_wake_at(0, 6), 32);
	assert_int_equal(plan_wake_at(1000, 13), 1000 + 4096);
}

static void patience_ends_with_a_quarter_of_the_window(void **state)
{
	assert_int_equal(plan_patience(0, 6), UINT64_MAX);
	assert_int_equal(plan_patience(1000000, 12), 1024000);	/* 1,024 packets */
	assert_int_equal(plan_patience(100, 6), 160 * MS);
	assert_int_equal(plan_sleep(UINT64_MAX), 0);
	assert_int_equal(plan_sleep(160 * MS), 0);		/* that ring will wake us */
	assert_int_equal(plan_sleep(20 * MS), PLAN_SLEEP_MAX_NS);
	assert_int_equal(plan_sleep(500000), 500000);
	assert_int_equal(plan_sleep(1), PLAN_SLEEP_MIN_NS);
}

static void windows_lie_apart_at_multiples_of_their_size(void **state)
{
	static uint8_t owner[1024];
	struct { uint32_t base; unsigned bits; } windows[64];
	struct plan_room room;
	uint32_t base, used = 0;
	unsigned count = 0;

	assert_int_equal(plan_room_init(&room, 1024 + 15), 0);	/* what fills no unit is left over */
	for (int round = 0; round < 20000; round++) {
		unsigned bits = PLAN_BITS_MIN + randombytes_uniform(6);

		if (count < 64 && randombytes_uniform(2) && !plan_room_take(&room, bits, &base)) {
			assert_int_equal(base % (1 << bits), 0);
			assert_true(base + (1 << bits) <= 1024);
			for (uint32_t i = base; i < base + (1 << bits); i++)
				assert_int_equal(owner[i]++, 0);
			windows[count].base = base;
			windows[count++].bits = bits;
			used += 1 << bits;
		} else if (count) {
			unsigned which = randombytes_uniform(count);

			plan_room_give(&room, windows[which].base, windows[which].bits);
			memset(owner + windows[which].base, 0, 1 << windows[which].bits);
			used -= 1 << windows[which].bits;
			windows[which] = windows[--count];
		}
		assert_int_equal(room.used, used);
	}
	while (count--)
		plan_room_give(&room, windows[count].base, windows[count].bits);
	assert_int_equal(plan_room_take(&room, 10, &base), 0);
	assert_int_equal(plan_room_take(&room, PLAN_BITS_MIN, &base), -ENOSPC);
	plan_room_done(&room);
}

/* Sealing zeros gives the keystream, and the tag checks the one-time key. */
static void assert_is_keystream(const struct talon_keystream_slot *slot, const uint8_t key[32],
	uint64_t counter, uint32_t len)
{
	uint8_t nonce[12] = { 0 }, sealed[TALON_SLOT_STREAM_LEN + 16], tag[16],
		zeros[TALON_SLOT_STREAM_LEN] = { 0 };
	uint64_t lengths[2] = { 0, len };
	crypto_onetimeauth_state poly;

	memcpy(nonce + 4, &counter, sizeof(counter));
	crypto_aead_chacha20poly1305_ietf_encrypt(sealed, NULL, zeros, len, NULL, 0, NULL, nonce, key);
	assert_memory_equal(slot->stream, sealed, len);
	crypto_onetimeauth_init(&poly, (const uint8_t *)slot->poly_key);
	crypto_onetimeauth_update(&poly, sealed, len);
	crypto_onetimeauth_update(&poly, (const uint8_t *)lengths, sizeof(lengths));
	crypto_onetimeauth_final(&poly, tag);
	assert_memory_equal(tag, sealed + len, sizeof(tag));
}

static void both_engines_make_the_keystream_of_the_aead(void **state)
{
	static const uint64_t counters[] = { 0, 1, 0xffffffff, 1ULL << 32, 1ULL << 60, ~0ULL - 9000 };
	struct talon_keystream_slot slot;
	struct engine *engine;
	uint32_t key[8];

	for (int kind = 0; kind < ENGINE_KIND_COUNT; kind++) {
		if (engine_new_of(&engine, kind) == -ENOENT) {
			print_message("no library for engine %d\n", kind);
			continue;
		}
		for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
			uint32_t len = 64 * (1 + randombytes_uniform(TALON_SLOT_STREAM_LEN / 64));

			randombytes_buf(key, sizeof(key));
			memset(&slot, 0, sizeof(slot));
			engine_set_key(engine, key);
			engine_fill(engine, &slot, 0x1234, TALON_KEYSTREAM_SEND, counters[i], len);
			assert_int_equal(slot.token, 0);
			assert_int_equal(slot.counter, counters[i]);
			assert_int_equal(slot.index, 0x1234);
			assert_int_equal(slot.dir, TALON_KEYSTREAM_SEND);
			assert_int_equal(slot.len, len);
			assert_is_keystream(&slot, (const uint8_t *)key, counters[i], len);
			assert_true(sodium_is_zero((const uint8_t *)slot.stream + len,
				TALON_SLOT_STREAM_LEN - len));
		}
		engine_free(engine);
	}
}

static void the_faster_engine_is_chosen_and_named(void **state)
{
	struct engine *engine;

	assert_int_equal(engine_new(&engine), 0);
	assert_true(!strcmp(engine_name(engine), "openssl") || !strcmp(engine_name(engine), "libsodium"));
	engine_free(engine);
}

static void a_window_names_the_slot_of_each_counter(void **state)
{
	uint64_t window = talon_keystream_window(4096, 10);

	assert_int_equal(talon_keystream_window_bits(window), 10);
	assert_int_equal(talon_keystream_window_slot(window, 0), 4096);
	assert_int_equal(talon_keystream_window_slot(window, 1023), 4096 + 1023);
	assert_int_equal(talon_keystream_window_slot(window, 1024), 4096);
	assert_int_equal(talon_keystream_window_slot(window, (1ULL << 60) + 5), 4096 + 5);
	assert_int_not_equal(talon_keystream_window(0, 4), 0);	/* which would be none */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(logarithms_round_as_they_say),
		cmocka_unit_test(a_window_lasts_for_twice_the_gap_within_its_bounds),
		cmocka_unit_test(rings_share_the_memory_evenly),
		cmocka_unit_test(the_rate_rises_at_once_and_sinks_slowly),
		cmocka_unit_test(the_gap_is_the_longest_but_for_accidents),
		cmocka_unit_test(lengths_cover_all_but_one_packet_in_32),
		cmocka_unit_test(a_window_is_filled_ahead_and_keeps_an_eighth_behind),
		cmocka_unit_test(no_two_counters_in_reach_share_a_slot),
		cmocka_unit_test(packets_pay_for_slots_and_leaps_do_not),
		cmocka_unit_test(waking_is_wanted_when_half_is_used_up),
		cmocka_unit_test(patience_ends_with_a_quarter_of_the_window),
		cmocka_unit_test(windows_lie_apart_at_multiples_of_their_size),
		cmocka_unit_test(both_engines_make_the_keystream_of_the_aead),
		cmocka_unit_test(the_faster_engine_is_chosen_and_named),
		cmocka_unit_test(a_window_names_the_slot_of_each_counter),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
