// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Slots of the session array, the tables behind sessions and attempts, the heap of deadlines, and endpoints.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "session/attempt.h"
#include "session/deadlines.h"
#include "base/endpoint.h"
#include "session/keypairs.h"
#include "session/liveness.h"
#include "session/table.h"

#define SLOTS	16
#define SEC	1000000000ULL
#define START	(100 * SEC)

enum what { PUBLISH, CLEAR, WIPE };

static struct maps {
	unsigned calls[3];
	uint32_t last_slot;
	uint32_t indexes[SLOTS];
	bool has_key[SLOTS];
	int error[3];
} maps;

static void op_random(void *ctx, void *buf, size_t len)
{
	randombytes_buf(buf, len);
}

static int called(enum what what, uint32_t slot)
{
	maps.calls[what]++;
	maps.last_slot = slot;
	return maps.error[what];
}

static int op_publish(void *ctx, uint32_t slot, const struct talon_session *session,
	enum talon_session_state state)
{
	int ret = called(PUBLISH, slot);

	assert_int_equal(slot, session->index % SLOTS);
	maps.has_key[slot] = true;	/* also when it fails half-way */
	if (ret == 0)
		maps.indexes[slot] = session->index;
	return ret;
}

static int op_clear(void *ctx, uint32_t slot)
{
	int ret = called(CLEAR, slot);

	if (ret == 0)
		maps.indexes[slot] = 0;
	return ret;
}

static int op_wipe(void *ctx, uint32_t slot)
{
	int ret = called(WIPE, slot);

	assert_int_equal(maps.indexes[slot], 0);
	if (ret == 0)
		maps.has_key[slot] = false;
	return ret;
}

static struct session_table *table_new(void)
{
	const struct session_table_ops ops = { op_random, op_publish, op_clear, op_wipe };
	struct session_table *table;

	memset(&maps, 0, sizeof(maps));
	assert_int_equal(session_table_new(&table, SLOTS, &ops, NULL), 0);
	return table;
}

static uint32_t reserve(struct session_table *table)
{
	uint32_t index;

	assert_int_equal(session_table_reserve(table, 7, &index), 0);
	return index;
}

static int publish(struct session_table *table, uint32_t index)
{
	struct talon_session session = { .index = index, .peer = 7 };

	return session_table_publish(table, START, &session, TALON_SESSION_CURRENT);
}

static void capacity_must_be_a_power_of_two(void **state)
{
	const struct session_table_ops ops = { op_random, op_publish, op_clear, op_wipe };
	const uint32_t bad[] = { 0, 1, 3, 48, 2 * SESSION_SLOTS_MAX, UINT32_MAX };
	struct session_table *table;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(session_table_new(&table, bad[i], &ops, NULL), -EINVAL);
}

static void indexes_name_distinct_slots_and_are_never_zero(void **state)
{
	struct session_table *table = table_new();
	bool seen[SLOTS] = { false };
	uint32_t index;

	for (int i = 0; i < SLOTS; i++) {
		index = reserve(table);
		assert_int_not_equal(index, 0);
		assert_false(seen[index % SLOTS]);
		seen[index % SLOTS] = true;
	}
	assert_int_equal(session_table_reserve(table, 7, &index), -ENOSPC);
	session_table_free(table);
}

static void indexes_are_new_with_every_life_of_a_slot(void **state)
{
	struct session_table *table = table_new();
	uint32_t last[SLOTS] = { 0 };
	unsigned used[SLOTS] = { 0 };

	for (int i = 0; i < 4000; i++) {
		uint32_t index = reserve(table);

		assert_int_not_equal(index, last[index % SLOTS]);
		last[index % SLOTS] = index;
		used[index % SLOTS]++;
		session_table_release(table, index);
	}
	for (int i = 0; i < SLOTS; i++)
		assert_in_range(used[i], 4000 / SLOTS / 2, 4000 / SLOTS * 2);
	session_table_free(table);
}

static void a_slot_is_found_by_its_whole_index_only(void **state)
{
	struct session_table *table = table_new();
	uint32_t index = reserve(table), peer = 0;

	assert_int_equal(session_table_lookup(table, index, &peer), SLOT_RESERVED);
	assert_int_equal(peer, 7);
	assert_int_equal(session_table_lookup(table, index ^ 0x80000000, &peer), SLOT_FREE);
	assert_int_equal(session_table_lookup(table, 0, &peer), SLOT_FREE);
	session_table_release(table, index);
	assert_int_equal(session_table_lookup(table, index, &peer), SLOT_FREE);
	session_table_free(table);
}

static void a_released_slot_touches_no_map(void **state)
{
	struct session_table *table = table_new();

	session_table_release(table, reserve(table));
	assert_int_equal(session_table_count(table, SLOT_FREE), SLOTS);
	assert_int_equal(session_table_tick(table, START + 1000 * SEC), UINT64_MAX);
	assert_int_equal(maps.calls[CLEAR] + maps.calls[WIPE], 0);
	session_table_free(table);
}

static void keys_are_overwritten_two_seconds_after_the_index_is_cleared(void **state)
{
	struct session_table *table = table_new();
	uint32_t index = reserve(table), slot = index % SLOTS;

	assert_int_equal(publish(table, index), 0);
	assert_int_equal(maps.indexes[slot], index);
	session_table_retire(table, START, index);
	assert_int_equal(maps.indexes[slot], 0);
	assert_true(maps.has_key[slot]);
	assert_int_equal(session_table_next_deadline(table), START + SESSION_GRACE_NS);
	assert_true(SESSION_GRACE_NS >= 2 * SEC);

	assert_int_equal(session_table_tick(table, START + SESSION_GRACE_NS - 1), START + SESSION_GRACE_NS);
	assert_true(maps.has_key[slot]);
	assert_int_equal(session_table_count(table, SLOT_FREE), SLOTS - 1);
	assert_int_equal(session_table_tick(table, START + SESSION_GRACE_NS), UINT64_MAX);
	assert_false(maps.has_key[slot]);
	assert_int_equal(session_table_count(table, SLOT_FREE), SLOTS);
	session_table_free(table);
}

static void a_retired_slot_is_not_given_out_before_its_keys_are_gone(void **state)
{
	struct session_table *table = table_new();
	uint32_t index = reserve(table), other;

	assert_int_equal(publish(table, index), 0);
	session_table_retire(table, START, index);
	for (int i = 1; i < SLOTS; i++)
		assert_int_not_equal(reserve(table) % SLOTS, index % SLOTS);
	assert_int_equal(session_table_reserve(table, 7, &other), -ENOSPC);
	session_table_tick(table, START + SESSION_GRACE_NS);
	assert_int_equal(reserve(table) % SLOTS, index % SLOTS);
	session_table_free(table);
}

static void an_index_that_cannot_be_cleared_is_not_wiped_under_the_packets(void **state)
{
	struct session_table *table = table_new();
	uint32_t index = reserve(table), slot = index % SLOTS;

	assert_int_equal(publish(table, index), 0);
	maps.error[CLEAR] = -EIO;
	session_table_retire(table, START, index);
	assert_int_equal(session_table_next_deadline(table), START + SESSION_RETRY_NS);
	session_table_tick(table, START + SESSION_RETRY_NS);
	assert_int_equal(maps.calls[CLEAR], 2);
	assert_int_equal(maps.calls[WIPE], 0);
	maps.error[CLEAR] = 0;
	session_table_tick(table, START + 2 * SESSION_RETRY_NS);
	assert_int_equal(maps.indexes[slot], 0);
	assert_true(maps.has_key[slot]);
	session_table_tick(table, START + 2 * SESSION_RETRY_NS + SESSION_GRACE_NS);
	assert_false(maps.has_key[slot]);
	assert_int_equal(session_table_errors(table), 2);
	session_table_free(table);
}

static void a_slot_that_cannot_be_wiped_is_tried_again_and_not_reused(void **state)
{
	struct session_table *table = table_new();
	uint32_t index = reserve(table);

	assert_int_equal(publish(table, index), 0);
	session_table_retire(table, START, index);
	maps.error[WIPE] = -EIO;
	assert_int_equal(session_table_tick(table, START + SESSION_GRACE_NS),
		START + SESSION_GRACE_NS + SESSION_RETRY_NS);
	assert_int_equal(session_table_count(table, SLOT_RETIRED), 1);
	maps.error[WIPE] = 0;
	assert_int_equal(session_table_tick(table, START + SESSION_GRACE_NS + SESSION_RETRY_NS), UINT64_MAX);
	assert_int_equal(session_table_count(table, SLOT_FREE), SLOTS);
	session_table_free(table);
}

static void a_slot_whose_publishing_failed_is_retired(void **state)
{
	struct session_table *table = table_new();
	uint32_t index = reserve(table);

	maps.error[PUBLISH] = -EIO;
	assert_int_equal(publish(table, index), -EIO);
	assert_int_equal(session_table_count(table, SLOT_RETIRED), 1);
	session_table_tick(table, START + SESSION_GRACE_NS);
	assert_false(maps.has_key[index % SLOTS]);
	assert_int_equal(session_table_count(table, SLOT_FREE), SLOTS);
	session_table_free(table);
}

static void only_reserved_indexes_can_be_published_and_only_live_ones_retired(void **state)
{
	struct session_table *table = table_new();
	uint32_t index = reserve(table);

	session_table_retire(table, START, index);
	session_table_retire(table, START, 0);
	assert_int_equal(session_table_count(table, SLOT_RESERVED), 1);
	assert_int_equal(publish(table, index ^ 0x80000000), -EINVAL);
	assert_int_equal(publish(table, index), 0);
	assert_int_equal(publish(table, index), -EINVAL);
	session_table_release(table, index);
	assert_int_equal(session_table_count(table, SLOT_LIVE), 1);
	session_table_retire(table, START, index);
	session_table_retire(table, START, index);
	assert_int_equal(maps.calls[CLEAR], 1);
	session_table_free(table);
}

static void adopted_sessions_are_live_and_their_slots_taken(void **state)
{
	struct session_table *table = table_new();
	const uint32_t index = 0xabcd0000 | 5;
	uint32_t peer;

	assert_int_equal(session_table_adopt(table, index, 3), 0);
	assert_int_equal(session_table_adopt(table, 0x11110000 | 5, 3), -EEXIST);
	assert_int_equal(session_table_adopt(table, 0, 3), -EINVAL);
	assert_int_equal(session_table_lookup(table, index, &peer), SLOT_LIVE);
	assert_int_equal(peer, 3);
	assert_int_equal(session_table_adopt_retired(table, START, 9), 0);
	assert_int_equal(session_table_adopt_retired(table, START, 9), -EEXIST);
	assert_int_equal(session_table_adopt_retired(table, START, SLOTS), -EINVAL);
	for (int i = 2; i < SLOTS; i++) {
		uint32_t slot = reserve(table) % SLOTS;

		assert_int_not_equal(slot, 5);
		assert_int_not_equal(slot, 9);
	}
	session_table_tick(table, START + SESSION_GRACE_NS);
	assert_int_equal(maps.calls[WIPE], 1);
	assert_int_equal(maps.last_slot, 9);
	session_table_free(table);
}

static void many_lives_keep_the_books_straight(void **state)
{
	struct session_table *table = table_new();
	uint32_t held[SLOTS] = { 0 };
	uint64_t now_ns = START;

	for (int i = 0; i < 20000; i++) {
		uint32_t *index = &held[randombytes_uniform(SLOTS)], peer;

		now_ns += randombytes_uniform(SEC / 2);
		maps.error[CLEAR] = randombytes_uniform(10) ? 0 : -EIO;
		maps.error[WIPE] = randombytes_uniform(10) ? 0 : -EIO;
		if (!*index)
			session_table_reserve(table, 1, index);
		else if (session_table_lookup(table, *index, &peer) == SLOT_RESERVED &&
			randombytes_uniform(4))
			assert_int_equal(publish(table, *index), 0);
		else {
			session_table_release(table, *index);
			session_table_retire(table, now_ns, *index);
			*index = 0;
		}
		assert_true(session_table_tick(table, now_ns) > now_ns);
		assert_int_equal(session_table_count(table, SLOT_FREE) + session_table_count(table,
			SLOT_RESERVED) + session_table_count(table, SLOT_LIVE) + session_table_count(table,
			SLOT_RETIRED), SLOTS);
	}
	session_table_free(table);
}

static struct keypairs three(void)
{
	return (struct keypairs){ { .index = 1 }, { .index = 2 }, { .index = 3 } };
}

static void sessions_move_up_as_the_table_says(void **state)
{
	static const struct {
		enum keypairs_event event;
		uint32_t previous, current, next, retired;	/* retired: the sum of their indexes */
	} cases[] = {
		{ KEYPAIRS_INITIATED_OURS,	3, 9, 0, 1 + 2 },
		{ KEYPAIRS_INITIATED_THEIRS,	2, 9, 3, 1 },
		{ KEYPAIRS_RESPONDED,		0, 2, 9, 1 + 3 },
		{ KEYPAIRS_CONFIRMED,		2, 3, 0, 1 },
	};
	const struct keypair fresh = { .index = 9 };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct keypairs pairs = three(), retired;

		keypairs_step(&pairs, cases[i].event, &fresh, &retired);
		assert_int_equal(pairs.previous.index, cases[i].previous);
		assert_int_equal(pairs.current.index, cases[i].current);
		assert_int_equal(pairs.next.index, cases[i].next);
		assert_int_equal(retired.previous.index + retired.current.index + retired.next.index,
			cases[i].retired);
	}
}

static void an_initiator_without_rival_pushes_current_to_previous(void **state)
{
	struct keypairs pairs = three(), retired;
	const struct keypair fresh = { .index = 9 };

	pairs.next = (struct keypair){ 0 };
	assert_int_equal(keypairs_initiated(&pairs, true), KEYPAIRS_INITIATED);
	assert_int_equal(keypairs_initiated(&pairs, false), KEYPAIRS_INITIATED);
	keypairs_step(&pairs, KEYPAIRS_INITIATED, &fresh, &retired);
	assert_int_equal(pairs.previous.index, 2);
	assert_int_equal(pairs.current.index, 9);
	assert_int_equal(retired.previous.index, 1);
	pairs = three();
	assert_int_equal(keypairs_initiated(&pairs, true), KEYPAIRS_INITIATED_OURS);
	assert_int_equal(keypairs_initiated(&pairs, false), KEYPAIRS_INITIATED_THEIRS);
}

static void every_cell_of_the_attempt_table_is_as_written(void **state)
{
	static const struct {
		enum attempt_state to;
		enum attempt_action action;
	} cells[ATTEMPT_STATE_COUNT][ATTEMPT_EVENT_COUNT] = {
		[ATTEMPT_IDLE] = {
			[ATTEMPT_WANTED] = { ATTEMPT_SENT, ATTEMPT_BEGIN },
			[ATTEMPT_WANTED_EARLY] = { ATTEMPT_DUE, ATTEMPT_WAIT },
			[ATTEMPT_TIMER] = { ATTEMPT_IDLE, ATTEMPT_NOTHING },
			[ATTEMPT_TIMER_LAST] = { ATTEMPT_IDLE, ATTEMPT_NOTHING },
			[ATTEMPT_ANSWERED] = { ATTEMPT_IDLE, ATTEMPT_NOTHING },
			[ATTEMPT_CONFIRMED] = { ATTEMPT_IDLE, ATTEMPT_NOTHING },
		},
		[ATTEMPT_DUE] = {
			[ATTEMPT_WANTED] = { ATTEMPT_DUE, ATTEMPT_NOTHING },
			[ATTEMPT_WANTED_EARLY] = { ATTEMPT_DUE, ATTEMPT_NOTHING },
			[ATTEMPT_TIMER] = { ATTEMPT_SENT, ATTEMPT_BEGIN },
			[ATTEMPT_TIMER_LAST] = { ATTEMPT_DUE, ATTEMPT_NOTHING },
			[ATTEMPT_ANSWERED] = { ATTEMPT_DUE, ATTEMPT_NOTHING },
			[ATTEMPT_CONFIRMED] = { ATTEMPT_IDLE, ATTEMPT_END },
		},
		[ATTEMPT_SENT] = {
			[ATTEMPT_WANTED] = { ATTEMPT_SENT, ATTEMPT_NOTHING },
			[ATTEMPT_WANTED_EARLY] = { ATTEMPT_SENT, ATTEMPT_NOTHING },
			[ATTEMPT_TIMER] = { ATTEMPT_SENT, ATTEMPT_RETRY },
			[ATTEMPT_TIMER_LAST] = { ATTEMPT_IDLE, ATTEMPT_GIVE_UP },
			[ATTEMPT_ANSWERED] = { ATTEMPT_IDLE, ATTEMPT_END },
			[ATTEMPT_CONFIRMED] = { ATTEMPT_IDLE, ATTEMPT_END },
		},
	};

	for (int from = 0; from < ATTEMPT_STATE_COUNT; from++) {
		for (int event = 0; event < ATTEMPT_EVENT_COUNT; event++) {
			enum attempt_state at = from;

			assert_int_equal(attempt_step(&at, event), cells[from][event].action);
			assert_int_equal(at, cells[from][event].to);
		}
	}
}

static void the_heap_agrees_with_a_linear_search(void **state)
{
	enum { COUNT = 50 };
	struct deadlines *deadlines = deadlines_new(COUNT);
	uint64_t naive[COUNT];
	uint32_t id = 0;

	assert_non_null(deadlines);
	assert_int_equal(deadlines_first(deadlines, &id), DEADLINE_NEVER);
	for (int i = 0; i < COUNT; i++)
		naive[i] = DEADLINE_NEVER;
	for (int round = 0; round < 20000; round++) {
		uint64_t first = DEADLINE_NEVER;

		id = randombytes_uniform(COUNT);
		naive[id] = randombytes_uniform(4) ? randombytes_uniform(1000) : DEADLINE_NEVER;
		deadlines_set(deadlines, id, naive[id]);
		for (int i = 0; i < COUNT; i++)
			first = naive[i] < first ? naive[i] : first;
		assert_int_equal(deadlines_first(deadlines, &id), first);
		if (first != DEADLINE_NEVER)
			assert_int_equal(naive[id], first);
	}
	deadlines_free(deadlines);
}

static void a_passive_keepalive_is_due_ten_seconds_after_data_that_nothing_answered(void **state)
{
	struct liveness l = { 0 };

	assert_int_equal(liveness_keepalive_at(&l), LIVENESS_NEVER);
	liveness_update(&l, 50, 0, 50, 0);
	assert_int_equal(liveness_keepalive_at(&l), 50 + 10 * SEC);
	liveness_update(&l, 90, 0, 90, 0);	/* more data does not postpone it */
	assert_int_equal(liveness_keepalive_at(&l), 50 + 10 * SEC);
	liveness_update(&l, 0, 95, 0, 0);
	assert_int_equal(liveness_keepalive_at(&l), LIVENESS_NEVER);
	liveness_update(&l, 99, 0, 0, 0);	/* a keepalive is not answered */
	assert_int_equal(liveness_keepalive_at(&l), LIVENESS_NEVER);
	liveness_update(&l, 120, 110, 120, 0);
	assert_int_equal(liveness_keepalive_at(&l), 120 + 10 * SEC);
}

static void no_reply_is_noticed_fifteen_seconds_after_data_was_sent(void **state)
{
	struct liveness l = { 0 };

	liveness_update(&l, 0, 50, 0, 0);	/* a keepalive wants no reply */
	assert_int_equal(liveness_no_reply_at(&l, 0), LIVENESS_NEVER);
	liveness_update(&l, 0, 60, 0, 60);
	liveness_update(&l, 0, 70, 0, 70);
	assert_int_equal(liveness_no_reply_at(&l, 3), 60 + 15 * SEC + 3);
	liveness_update(&l, 80, 0, 0, 0);
	assert_int_equal(liveness_no_reply_at(&l, 0), LIVENESS_NEVER);
	liveness_update(&l, 0, 90, 0, 90);
	liveness_no_reply_fired(&l, 90 + 15 * SEC);
	liveness_update(&l, 0, 91, 0, 91);	/* sent before it fired */
	assert_int_equal(liveness_no_reply_at(&l, 0), LIVENESS_NEVER);
	liveness_update(&l, 0, 0, 0, 91 + 15 * SEC);
	assert_int_equal(liveness_no_reply_at(&l, 0), 91 + 30 * SEC);
}

static void persistent_keepalives_follow_any_traffic(void **state)
{
	struct liveness l = { 0 };

	assert_int_equal(liveness_persistent_at(&l, 0), LIVENESS_NEVER);
	assert_int_equal(liveness_persistent_at(&l, 25), 0);
	liveness_persistent_fired(&l, 10);
	assert_int_equal(liveness_persistent_at(&l, 25), 10 + 25 * SEC);
	liveness_update(&l, 30, 20, 0, 0);
	assert_int_equal(liveness_persistent_at(&l, 25), 30 + 25 * SEC);
	liveness_update(&l, 0, 40, 0, 0);
	assert_int_equal(liveness_persistent_at(&l, 25), 40 + 25 * SEC);
}

static void endpoints_survive_the_way_through_sockaddr_and_text(void **state)
{
	static const struct {
		const char *addr, *text;
		int family;
	} cases[] = {
		{ "192.0.2.1", "192.0.2.1:51820", AF_INET },
		{ "2001:db8::1", "[2001:db8::1]:51820", AF_INET6 },
		{ "fe80::1", "[fe80::1%7]:51820", AF_INET6 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sockaddr_storage addr = { .ss_family = cases[i].family }, again = { 0 };
		struct sockaddr_in6 *in6 = (void *)&addr;
		struct sockaddr_in *in = (void *)&addr;
		char text[ENDPOINT_TEXT_LEN];
		struct endpoint endpoint;
		socklen_t len = cases[i].family == AF_INET ? sizeof(*in) : sizeof(*in6);

		in->sin_port = htons(51820);	/* in one place for both families */
		assert_int_equal(inet_pton(cases[i].family, cases[i].addr, cases[i].family == AF_INET ?
					   (void *)&in->sin_addr : (void *)&in6->sin6_addr), 1);
		if (cases[i].family == AF_INET6)
			in6->sin6_scope_id = IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr) ? 7 : 0;
		assert_int_equal(endpoint_from_sockaddr((void *)&addr, len, &endpoint), 0);
		assert_int_equal(endpoint_to_sockaddr(&endpoint, &again), len);
		assert_memory_equal(&addr, &again, len);
		endpoint_format(&endpoint, text);
		assert_string_equal(text, cases[i].text);
	}
}

static void mapped_addresses_are_ipv4(void **state)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(5) };
	struct endpoint endpoint;
	char text[ENDPOINT_TEXT_LEN];

	assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.1", &in6.sin6_addr), 1);
	assert_int_equal(endpoint_from_sockaddr((void *)&in6, sizeof(in6), &endpoint), 0);
	assert_int_equal(endpoint.family, AF_INET);
	endpoint_format(&endpoint, text);
	assert_string_equal(text, "192.0.2.1:5");
}

static void other_families_are_no_endpoints(void **state)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	struct sockaddr_storage addr = { .ss_family = AF_UNIX };
	struct endpoint endpoint = { 0 };
	char text[ENDPOINT_TEXT_LEN];

	assert_int_equal(endpoint_from_sockaddr((void *)&addr, sizeof(addr), &endpoint), -EAFNOSUPPORT);
	assert_int_equal(endpoint_from_sockaddr((void *)&in6, sizeof(in6) - 1, &endpoint), -EAFNOSUPPORT);
	assert_int_equal(endpoint_to_sockaddr(&endpoint, &addr), -EDESTADDRREQ);
	endpoint_format(&endpoint, text);
	assert_string_equal(text, "(none)");
	assert_false(endpoint_is_known(&endpoint));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(capacity_must_be_a_power_of_two),
		cmocka_unit_test(indexes_name_distinct_slots_and_are_never_zero),
		cmocka_unit_test(indexes_are_new_with_every_life_of_a_slot),
		cmocka_unit_test(a_slot_is_found_by_its_whole_index_only),
		cmocka_unit_test(a_released_slot_touches_no_map),
		cmocka_unit_test(keys_are_overwritten_two_seconds_after_the_index_is_cleared),
		cmocka_unit_test(a_retired_slot_is_not_given_out_before_its_keys_are_gone),
		cmocka_unit_test(an_index_that_cannot_be_cleared_is_not_wiped_under_the_packets),
		cmocka_unit_test(a_slot_that_cannot_be_wiped_is_tried_again_and_not_reused),
		cmocka_unit_test(a_slot_whose_publishing_failed_is_retired),
		cmocka_unit_test(only_reserved_indexes_can_be_published_and_only_live_ones_retired),
		cmocka_unit_test(adopted_sessions_are_live_and_their_slots_taken),
		cmocka_unit_test(many_lives_keep_the_books_straight),
		cmocka_unit_test(sessions_move_up_as_the_table_says),
		cmocka_unit_test(an_initiator_without_rival_pushes_current_to_previous),
		cmocka_unit_test(every_cell_of_the_attempt_table_is_as_written),
		cmocka_unit_test(the_heap_agrees_with_a_linear_search),
		cmocka_unit_test(a_passive_keepalive_is_due_ten_seconds_after_data_that_nothing_answered),
		cmocka_unit_test(no_reply_is_noticed_fifteen_seconds_after_data_was_sent),
		cmocka_unit_test(persistent_keepalives_follow_any_traffic),
		cmocka_unit_test(endpoints_survive_the_way_through_sockaddr_and_text),
		cmocka_unit_test(mapped_addresses_are_ipv4),
		cmocka_unit_test(other_families_are_no_endpoints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
