// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Packets that wait: order, bounds, expiry, and a list that stays whole.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "packets/hold.h"

static struct hold_key for_peer(uint32_t peer)
{
	return (struct hold_key){ .what = HOLD_FOR_SESSION, .peer = peer };
}

static void add(struct hold *hold, uint32_t peer, unsigned number, uint64_t until_ns)
{
	const struct hold_key key = for_peer(peer);

	assert_int_equal(hold_add(hold, &key, &number, sizeof(number), until_ns), 0);
}

/* Number of the oldest packet for @peer; -1: none. */
static int take(struct hold *hold, uint32_t peer)
{
	const struct hold_key key = for_peer(peer);
	struct held *held = hold_take(hold, &key);
	int number;

	if (!held)
		return -1;
	assert_int_equal(held->len, sizeof(number));
	memcpy(&number, held->bytes, sizeof(number));
	hold_release(held);
	return number;
}

static void packets_come_back_oldest_first_and_only_to_whom_they_wait_for(void **state)
{
	struct hold hold;

	hold_init(&hold);
	for (unsigned i = 0; i < 6; i++)
		add(&hold, i % 2, i, 100);
	assert_int_equal(take(&hold, 1), 1);
	assert_int_equal(take(&hold, 1), 3);
	assert_int_equal(take(&hold, 1), 5);
	assert_int_equal(take(&hold, 1), -1);
	assert_int_equal(take(&hold, 0), 0);
	add(&hold, 0, 7, 100);
	assert_int_equal(take(&hold, 0), 2);
	assert_int_equal(take(&hold, 0), 4);
	assert_int_equal(take(&hold, 0), 7);
	assert_int_equal(hold.count, 0);
	assert_int_equal(hold.dropped, 0);
	assert_ptr_equal(hold.last, &hold.first);
}

static void every_part_of_the_key_counts(void **state)
{
	const struct hold_key base = { .what = HOLD_FOR_FRAGMENT, .addr.word[3] = 1, .addr2.word[0] = 2,
		.id = 3 };
	struct hold_key other[] = { base, base, base, base, base, base };
	struct hold hold;

	other[0].what = HOLD_FOR_NEIGH;
	other[1].peer = 1;
	other[2].ifindex = 1;
	other[3].id = 4;
	other[4].addr.word[3] = 0;
	other[5].addr2.word[0] = 3;
	hold_init(&hold);
	assert_int_equal(hold_add(&hold, &base, "x", 1, 1), 0);
	for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
		assert_null(hold_take(&hold, &other[i]));
	assert_int_equal(hold_drop(&hold, &base), 1);
	assert_int_equal(hold.dropped, 1);
}

static void one_that_gets_too_many_loses_its_own_oldest(void **state)
{
	struct hold hold;

	hold_init(&hold);
	add(&hold, 1, 4711, 100);
	for (unsigned i = 0; i < HOLD_MAX_EACH + 3; i++)
		add(&hold, 2, i, 100);
	assert_int_equal(hold.count, HOLD_MAX_EACH + 1);
	assert_int_equal(hold.dropped, 3);
	assert_int_equal(take(&hold, 2), 3);
	assert_int_equal(take(&hold, 1), 4711);
	hold_done(&hold);
}

static void many_that_never_get_an_answer_cannot_keep_out_the_others(void **state)
{
	struct hold hold;

	hold_init(&hold);
	for (unsigned i = 0; i < HOLD_MAX_SESSION; i++)
		add(&hold, i, i, 100);
	add(&hold, HOLD_MAX_SESSION, 4711, 100);
	assert_int_equal(hold.count, HOLD_MAX_SESSION);
	assert_int_equal(hold.dropped, 1);
	assert_int_equal(take(&hold, 0), -1);
	assert_int_equal(take(&hold, 1), 1);
	assert_int_equal(take(&hold, HOLD_MAX_SESSION), 4711);
	hold_done(&hold);
	assert_int_equal(hold.count, 0);
}

static void add_fragment(struct hold *hold, uint32_t source, uint32_t id)
{
	const struct hold_key key = { .what = HOLD_FOR_FRAGMENT, .addr.word[0] = source, .id = id };

	assert_int_equal(hold_add(hold, &key, &id, sizeof(id), 100), 0);
}

static bool has_fragment(const struct hold *hold, uint32_t source, uint32_t id)
{
	const struct hold_key key = { .what = HOLD_FOR_FRAGMENT, .addr.word[0] = source, .id = id };

	return hold_has(hold, &key);
}

static void a_stranger_who_sends_fragments_pushes_out_his_own_only(void **state)
{
	struct hold hold;

	hold_init(&hold);
	add_fragment(&hold, 1, 7);
	add(&hold, 2, 4711, 100);
	for (uint32_t id = 0; id < 20000; id++)
		add_fragment(&hold, 9, id);
	assert_true(has_fragment(&hold, 1, 7));
	assert_int_equal(take(&hold, 2), 4711);
	assert_int_equal(hold.count, HOLD_MAX_SOURCE + 1);
	assert_false(has_fragment(&hold, 9, 20000 - HOLD_MAX_SOURCE - 1));
	assert_true(has_fragment(&hold, 9, 20000 - HOLD_MAX_SOURCE));
	hold_done(&hold);
}

static void one_kind_of_waiting_leaves_room_for_the_others(void **state)
{
	const struct hold_key neigh = { .what = HOLD_FOR_NEIGH, .ifindex = 2 };
	struct hold hold;

	hold_init(&hold);
	add(&hold, 1, 4711, 100);
	assert_int_equal(hold_add(&hold, &neigh, "n", 1, 100), 0);
	for (uint32_t source = 0; source < 20000; source++)	/* each address used once: forged */
		add_fragment(&hold, source, 1);
	assert_int_equal(hold.count, HOLD_MAX_FRAGMENT + 2);
	assert_int_equal(take(&hold, 1), 4711);
	assert_true(hold_has(&hold, &neigh));
	hold_done(&hold);
}

static void what_is_out_of_time_goes_and_the_next_deadline_is_told(void **state)
{
	struct hold hold;

	hold_init(&hold);
	assert_true(hold_expire(&hold, 1000) == UINT64_MAX);
	add(&hold, 1, 0, 30);
	add(&hold, 1, 1, 10);
	add(&hold, 1, 2, 20);
	assert_true(hold_expire(&hold, 9) == 10);
	assert_int_equal(hold.count, 3);
	assert_true(hold_expire(&hold, 20) == 30);
	assert_int_equal(hold.count, 1);
	assert_int_equal(hold.dropped, 2);
	add(&hold, 1, 3, 40);
	assert_int_equal(take(&hold, 1), 0);
	assert_int_equal(take(&hold, 1), 3);
	assert_true(hold_expire(&hold, 20) == UINT64_MAX);
}

static void the_last_one_expired_leaves_a_list_that_takes_more(void **state)
{
	struct hold hold;

	hold_init(&hold);
	add(&hold, 1, 0, 50);
	add(&hold, 1, 1, 10);
	assert_true(hold_expire(&hold, 10) == 50);
	add(&hold, 1, 2, 60);
	assert_int_equal(take(&hold, 1), 0);
	assert_int_equal(take(&hold, 1), 2);
	assert_int_equal(take(&hold, 1), -1);
}

static void dropping_counts_and_leaves_the_others(void **state)
{
	const struct hold_key key = for_peer(1);
	struct hold hold;

	hold_init(&hold);
	for (unsigned i = 0; i < 10; i++)
		add(&hold, i % 2, i, 100);
	assert_int_equal(hold_drop(&hold, &key), 5);
	assert_int_equal(hold_drop(&hold, &key), 0);
	assert_int_equal(hold.count, 5);
	assert_int_equal(hold.dropped, 5);
	hold_done(&hold);
	hold_done(&hold);
}

static void empty_packets_can_be_held(void **state)
{
	const struct hold_key key = for_peer(1);
	struct hold hold;
	struct held *held;

	hold_init(&hold);
	assert_int_equal(hold_add(&hold, &key, "", 0, 1), 0);
	held = hold_take(&hold, &key);
	assert_non_null(held);
	assert_int_equal(held->len, 0);
	hold_release(held);
	hold_release(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_come_back_oldest_first_and_only_to_whom_they_wait_for),
		cmocka_unit_test(every_part_of_the_key_counts),
		cmocka_unit_test(one_that_gets_too_many_loses_its_own_oldest),
		cmocka_unit_test(many_that_never_get_an_answer_cannot_keep_out_the_others),
		cmocka_unit_test(a_stranger_who_sends_fragments_pushes_out_his_own_only),
		cmocka_unit_test(one_kind_of_waiting_leaves_room_for_the_others),
		cmocka_unit_test(what_is_out_of_time_goes_and_the_next_deadline_is_told),
		cmocka_unit_test(the_last_one_expired_leaves_a_list_that_takes_more),
		cmocka_unit_test(dropping_counts_and_leaves_the_others),
		cmocka_unit_test(empty_packets_can_be_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
