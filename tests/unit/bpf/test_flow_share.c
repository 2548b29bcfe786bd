// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What one peer may take of the flow table, and which flows give way first.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>

#include "flow_host.h"

#define SNAT htonl(0xc0a801dd)
#define NOW 1000
#define ROOM 4096

enum { HOG = 1, HONEST = 2, ANOTHER = 3 };

static struct talon_config cfg;

static int setup(void **state)
{
	cfg = (struct talon_config) {
		.flow_count = ROOM + 1, .bucket_mask = 1023, .port_first = 1024, .port_last = 65535,
		.keys = {
			.flow = { 0x5eed1234, 0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb,
				0xd6e8feb86659fd93 },
			.port = { 0x5eed1234, 0x0123456789abcdef },
		},
	};
	return flow_host_init(ROOM + 1, 1024, 4096);
}

static int teardown(void **state)
{
	flow_host_done();
	return 0;
}

/* Flow @i of @peer. Its id, or a negative errno. */
static int create(uint32_t peer, uint32_t i, uint8_t proto, uint32_t now_s)
{
	struct talon_flow_key key = {
		.src = htonl(0x64400000 + peer), .dst = htonl(0xc0a80000 + (i >> 10)),
		.sport = htons(1024 + (i & 1023)),
		.dport = htons(443), .proto = proto,
	};
	uint32_t id = 0;
	int ret = flow_create4(&cfg, &key, peer, SNAT, now_s, &id);

	return ret ? ret : (int)id;
}

/* Until it is refused; how many it got. */
static uint32_t flood(uint32_t peer, uint8_t proto, uint32_t now_s, int want)
{
	uint32_t i = 0;
	int ret;

	while ((ret = create(peer, i, proto, now_s)) > 0)
		i++;
	assert_int_equal(ret, want);
	return i;
}

static unsigned collect(uint32_t now_s, enum flow_collected what)
{
	unsigned count = 0;

	for (uint32_t id = 1; id <= ROOM; id++)
		count += flow_collect(&cfg, id, now_s) == (int)what;
	return count;
}

static void one_peer_takes_three_quarters_and_no_more(void **state)
{
	uint32_t got = flood(HOG, IPPROTO_TCP, NOW, -EDQUOT);

	assert_in_range(got, ROOM * 3 / 4, ROOM * 3 / 4 + 1);
	assert_int_equal(table.peers[HOG].held, got);
	assert_int_equal(table.peers[HOG].refused, 1);
	assert_int_equal(table.stats.full_share, 1);
	assert_int_equal(table.stats.full_table, 0);
}

static void what_a_hog_leaves_is_there_for_others(void **state)
{
	flood(HOG, IPPROTO_TCP, NOW, -EDQUOT);
	for (uint32_t i = 0; i < ROOM / 8; i++)
		assert_true(create(HONEST, i, IPPROTO_TCP, NOW) > 0);
	assert_int_equal(create(HOG, ROOM, IPPROTO_TCP, NOW), -EDQUOT);
	for (uint32_t peer = ANOTHER; peer < ANOTHER + 100; peer++)
		assert_true(create(peer, 0, IPPROTO_UDP, NOW) > 0);
	assert_int_equal(table.peers[HONEST].refused, 0);
}

static void two_that_want_everything_get_the_same(void **state)
{
	uint32_t got[2] = { 0, 0 };
	bool any = true;

	while (any) {
		any = false;
		for (int i = 0; i < 2; i++) {
			if (create(HOG + i, got[i], IPPROTO_UDP, NOW) > 0) {
				got[i]++;
				any = true;
			}
		}
	}
	assert_in_range(got[0], ROOM * 3 / 7 - 2, ROOM * 3 / 7 + 2);
	assert_in_range(got[1], ROOM * 3 / 7 - 2, ROOM * 3 / 7 + 2);
	assert_true(create(ANOTHER, 0, IPPROTO_UDP, NOW) > 0);
}

static void flows_that_nobody_answered_give_way_in_seconds_and_others_stay(void **state)
{
	uint32_t answered = 100, got;

	for (uint32_t i = 0; i < answered; i++) {
		int id = create(HOG, 50000 + i, i % 2 ? IPPROTO_UDP : IPPROTO_TCP, NOW);

		assert_true(id > 0);
		flow_touch_out(flow_record(id), FLOW_TCP_SYN, NOW);
		flow_touch_in(flow_record(id), FLOW_TCP_SYN | FLOW_TCP_ACK, NOW);
		flow_touch_out(flow_record(id), FLOW_TCP_ACK, NOW);
	}
	got = flood(HOG, IPPROTO_TCP, NOW, -EDQUOT);
	/* of a peer far below its share: nobody answered them either */
	for (uint32_t i = 0; i < 50; i++)
		assert_true(create(HONEST, i, IPPROTO_TCP, NOW) > 0);

	assert_int_equal(collect(NOW + TALON_NAT_HASTY_S - 1, FLOW_EXPIRED), 0);
	collect(NOW + TALON_NAT_HASTY_S, FLOW_EXPIRED);
	collect(NOW + TALON_NAT_HASTY_S + TALON_FLOW_GRACE_S, FLOW_FREED);
	assert_in_range(table.stats.hastened, got / 4, got);
	assert_true(table.peers[HOG].held <= answered + got);
	assert_int_equal(table.peers[HONEST].held, 50);
	for (uint32_t id = 1; id <= answered; id++)
		assert_int_equal(table.records[id].phase, TALON_FLOW_LIVE);
	assert_true(create(HOG, 60000, IPPROTO_UDP, NOW + 20) > 0);
}

/* A scan of closed ports leaves nothing but answered SYNs. */
static void connections_that_were_reset_give_way_too(void **state)
{
	uint32_t got = flood(HOG, IPPROTO_TCP, NOW, -EDQUOT);

	for (uint32_t id = 1; id <= got; id++) {
		flow_touch_out(flow_record(id), FLOW_TCP_SYN, NOW);
		flow_touch_in(flow_record(id), FLOW_TCP_RST | FLOW_TCP_ACK, NOW);
	}
	assert_true(collect(NOW + TALON_NAT_HASTY_S, FLOW_EXPIRED) > got / 4);
}

static void nothing_is_hastened_where_there_is_room(void **state)
{
	for (uint32_t i = 0; i < ROOM / 2; i++)
		assert_true(create(HOG, i, IPPROTO_TCP, NOW) > 0);
	assert_int_equal(collect(NOW + TALON_NAT_TCP_TRANSITORY_S - 1, FLOW_EXPIRED), 0);
	assert_int_equal(table.stats.hastened, 0);
}

/*
 * The reported case: 5,000 SYNs a second to a dead address with 262,144 records, scaled to this table: 78 a
 * second.
 */
static void a_steady_flood_of_syns_costs_others_nothing(void **state)
{
	uint32_t number = 0, honest = 0;

	for (uint32_t s = 0; s < 300; s++) {
		for (int i = 0; i < 78; i++)
			create(HOG, number++, IPPROTO_TCP, NOW + s);
		for (int i = 0; i < 2; i++)
			assert_true(create(HONEST, honest++, IPPROTO_TCP, NOW + s) > 0);
		if (s % 3 == 0)		/* how often the collector comes round when records are not plenty */
			collect(NOW + s, FLOW_EXPIRED);
	}
	assert_int_equal(table.peers[HONEST].refused, 0);
	assert_int_equal(table.peers[HOG].refused, 0);
	assert_int_equal(table.stats.full_table, 0);
}

static void a_share_is_given_back_with_the_record(void **state)
{
	int id = create(HOG, 1, IPPROTO_UDP, NOW);
	uint32_t died = NOW + TALON_NAT_UDP_S;

	assert_int_equal(table.peers[HOG].held, 1);
	table.records[id].peer = HONEST;	/* the address moved to another peer */
	assert_int_equal(collect(died, FLOW_EXPIRED), 1);
	assert_int_equal(table.peers[HOG].held, 1);
	assert_int_equal(collect(died + TALON_FLOW_GRACE_S, FLOW_FREED), 1);
	assert_int_equal(table.peers[HOG].held, 0);
	assert_int_equal(table.peers[HONEST].held, 0);
	assert_int_equal(table.stats.held, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(one_peer_takes_three_quarters_and_no_more),
		T(what_a_hog_leaves_is_there_for_others),
		T(two_that_want_everything_get_the_same),
		T(flows_that_nobody_answered_give_way_in_seconds_and_others_stay),
		T(connections_that_were_reset_give_way_too),
		T(nothing_is_hastened_where_there_is_room),
		T(a_steady_flood_of_syns_costs_others_nothing),
		T(a_share_is_given_back_with_the_record),
	};

	return cmocka_run_group_tests_name("flow: shares", tests, NULL, NULL);
}
