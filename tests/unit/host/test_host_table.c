// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The host's routes as one table: order of tables, gaps between prefixes, differences, side devices.
#include <arpa/inet.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "host/host_table.h"

static struct host_table table;
static struct host_plan plan;

static int set_up(void **state)
{
	plan = (struct host_plan){};
	host_plan_default(&plan);
	return 0;
}

static int tear_down(void **state)
{
	host_table_done(&table);
	table.family = AF_INET;
	return 0;
}

static prefix_bits bits(const char *addr)
{
	return (prefix_bits)ntohl(inet_addr(addr)) << 96;
}

static struct net_route route(const char *dst, unsigned len, int ifindex)
{
	return (struct net_route){
		.family = AF_INET, .prefixlen = len, .type = RTN_UNICAST, .table = RT_TABLE_MAIN,
			.ifindex = ifindex, .hop_count = 1,
		.hops = { ifindex }, .dst.word[0] = inet_addr(dst),
	};
}

static void put(struct net_route route)
{
	assert_int_equal(host_table_add(&table, &plan, &route, 99), 0);
}

static void put_in(uint32_t in, uint8_t type, const char *dst, unsigned len)
{
	struct net_route r = route(dst, len, 2);

	r.table = in;
	r.type = type;
	put(r);
}

static const struct host_route *find(const char *dst, unsigned len)
{
	for (size_t i = 0; i < table.count; i++) {
		if (table.list[i].addr == bits(dst) && table.list[i].len == len)
			return &table.list[i];
	}
	return NULL;
}

static size_t place(const char *dst, unsigned len)
{
	const struct host_route *found = find(dst, len);

	assert_non_null(found);
	return found - table.list;
}

static void rules_give_the_order_of_tables(void **state)
{
	struct host_plan p = {};

	assert_false(host_plan_add(&p, &(struct net_rule){ .action = FR_ACT_TO_TBL, .table = 255 }));
	assert_false(host_plan_add(&p, &(struct net_rule){ .action = FR_ACT_TO_TBL, .table = 100,
		.is_narrow = true }));
	assert_false(host_plan_add(&p, &(struct net_rule){ .action = FR_ACT_TO_TBL, .table = 101 }));
	assert_false(host_plan_add(&p, &(struct net_rule){ .action = FR_ACT_TO_TBL, .table = 254 }));
	assert_false(host_plan_add(&p, &(struct net_rule){ .action = FR_ACT_TO_TBL, .table = 101 }));
	assert_int_equal(p.count, 3);
	assert_int_equal(p.tables[0], 255);
	assert_int_equal(p.tables[1], 101);
	assert_int_equal(p.tables[2], 254);
	assert_false(p.must_ask);
	/* Nothing comes behind a rule that refuses everything. */
	assert_false(host_plan_add(&p, &(struct net_rule){ .action = FR_ACT_UNREACHABLE }));
	assert_false(host_plan_add(&p, &(struct net_rule){ .action = FR_ACT_TO_TBL, .table = 253 }));
	assert_int_equal(p.count, 3);
	assert_false(p.must_ask);
}

static void rules_that_look_at_more_are_left_to_the_kernel(void **state)
{
	static const struct net_rule odd[] = {
		{ .action = FR_ACT_TO_TBL, .table = 100, .prefixlen = 8 },
		{ .action = FR_ACT_TO_TBL, .table = 100, .suppresses = true },
		{ .action = FR_ACT_TO_TBL, .table = 100, .is_inverted = true, .prefixlen = 8 },
		{ .action = FR_ACT_GOTO },
		{ .action = FR_ACT_PROHIBIT, .prefixlen = 8 },
	};

	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		struct host_plan p = {};

		assert_int_equal(host_plan_add(&p, &odd[i]), odd[i].prefixlen != 0);
		assert_true(p.must_ask);
	}
	/*
	 * "not from all fwmark 1" is for packets without that mark: for all of ours. "not from
	 * all" is for none.
	 */
	plan = (struct host_plan){};
	host_plan_add(&plan, &(struct net_rule){ .action = FR_ACT_TO_TBL, .table = 100, .is_inverted = true,
		.is_narrow = true });
	host_plan_add(&plan, &(struct net_rule){ .action = FR_ACT_TO_TBL, .table = 101,
		.is_inverted = true });
	assert_int_equal(plan.count, 1);
	assert_int_equal(plan.tables[0], 100);
	assert_false(plan.must_ask);
}

static void what_the_kernel_would_not_take_is_passed_over(void **state)
{
	struct net_route r = route("10.0.0.0", 8, 2);

	r.tos = 0x10;
	put(r);
	r.tos = 0;
	r.flags = RTNH_F_DEAD;
	put(r);
	r.flags = 0;
	r.table = 100;
	put(r);
	r.table = RT_TABLE_MAIN;
	r.family = AF_INET6;
	put(r);
	put_in(RT_TABLE_MAIN, RTN_MULTICAST, "10.0.0.0", 8);
	put_in(RT_TABLE_MAIN, RTN_UNICAST, "224.0.0.0", 4);
	assert_int_equal(table.count, 0);
	assert_false(plan.must_ask);
	put_in(RT_TABLE_MAIN, RTN_THROW, "10.0.0.0", 8);
	assert_true(plan.must_ask);
}

static void the_preferred_route_to_a_prefix_stays(void **state)
{
	struct net_route r = route("10.0.0.0", 8, 2);

	r.metric = 20;
	put(r);
	r.metric = 10;
	r.hops[0] = 3;
	put(r);
	r.hops[0] = 4;
	put(r);		/* the same once more: the kernel lists them in its order */
	put_in(RT_TABLE_DEFAULT, RTN_BLACKHOLE, "10.0.0.0", 8);
	host_table_merge(&table);
	assert_int_equal(table.count, 1);
	assert_int_equal(table.list[0].hops[0], 3);
	assert_int_equal(table.list[0].value.kind, TALON_HOST_UNICAST);
}

static void an_earlier_table_hides_longer_prefixes_of_a_later_one(void **state)
{
	size_t i;
	prefix_bits addr;

	put_in(RT_TABLE_LOCAL, RTN_LOCAL, "10.200.0.0", 16);
	put_in(RT_TABLE_MAIN, RTN_UNICAST, "10.200.7.0", 24);
	put_in(RT_TABLE_MAIN, RTN_UNICAST, "10.0.0.0", 8);
	put_in(RT_TABLE_DEFAULT, RTN_UNICAST, "10.1.0.0", 16);
	put_in(RT_TABLE_LOCAL, RTN_LOCAL, "10.200.7.9", 32);
	host_table_merge(&table);
	assert_true(host_table_conflict(&table, &i, &addr));
	assert_true(addr == bits("10.200.7.1"));
	host_table_hide(&table, true);
	assert_non_null(find("10.200.7.0", 24));
	assert_null(find("10.1.0.0", 16));
	host_table_hide(&table, false);
	assert_null(find("10.200.7.0", 24));
	assert_non_null(find("10.200.7.9", 32));
	assert_non_null(find("10.200.0.0", 16));
	assert_non_null(find("10.0.0.0", 8));
	assert_false(host_table_conflict(&table, &i, &addr));
}

static void a_probe_lies_in_no_longer_prefix(void **state)
{
	prefix_bits addr;

	put(route("0.0.0.0", 0, 2));
	put(route("10.0.0.0", 24, 2));
	put(route("10.0.0.0", 25, 3));
	put(route("10.0.0.128", 25, 3));
	put(route("10.0.1.0", 24, 2));
	put(route("10.0.1.1", 32, 3));
	put(route("10.0.1.2", 31, 3));
	put(route("192.168.1.4", 32, 3));
	put(route("255.255.255.254", 31, 3));
	host_table_merge(&table);
	assert_true(host_table_probe(&table, place("0.0.0.0", 0), 0, 0, &addr));
	assert_true(addr == bits("1.0.0.1"));
	assert_false(host_table_probe(&table, place("10.0.0.0", 24), bits("10.0.0.0"), 24,
		&addr));
	assert_true(host_table_probe(&table, place("10.0.1.0", 24), bits("10.0.1.0"), 24, &addr));
	assert_true(addr == bits("10.0.1.4"));
	assert_false(host_table_probe(&table, place("10.0.1.0", 24), bits("10.0.1.2"), 31,
		&addr));
	assert_true(host_table_probe(&table, place("192.168.1.4", 32), bits("192.168.1.4"), 32,
		&addr));
	assert_true(addr == bits("192.168.1.4"));
	assert_false(host_table_probe(&table, place("0.0.0.0", 0), bits("255.255.255.254"), 31, &addr));
	assert_true(host_table_probe(&table, place("0.0.0.0", 0), bits("10.0.0.0"), 16, &addr));
	assert_true(addr == bits("10.0.2.0"));
}

static void the_routes_that_matter_least_go_first(void **state)
{
	put(route("10.0.0.0", 8, 2));
	put(route("10.1.1.0", 24, 2));
	put(route("10.1.0.0", 16, 2));
	put_in(RT_TABLE_LOCAL, RTN_LOCAL, "10.1.1.1", 32);
	host_table_merge(&table);
	assert_int_equal(host_table_trim(&table, 4), 0);
	assert_int_equal(host_table_trim(&table, 3), 1);
	assert_null(find("10.1.1.0", 24));
	assert_int_equal(table.count, 3);
	assert_int_equal(place("10.0.0.0", 8), 0);	/* sorted again */
	assert_int_equal(place("10.1.1.1", 32), 2);
}

static prefix_bits six(const char *text)
{
	struct talon_addr addr;

	assert_int_equal(inet_pton(AF_INET6, text, &addr), 1);
	return prefix_bits_of(&addr);
}

static void put6(uint32_t in, uint8_t type, const char *dst, unsigned len)
{
	struct net_route r = { .family = AF_INET6, .prefixlen = len, .type = type, .table = in, .ifindex = 2,
		.hop_count = 1, .hops = { 2 } };

	assert_int_equal(inet_pton(AF_INET6, dst, &r.dst), 1);
	put(r);
}

static const struct host_route *find6(const char *dst, unsigned len)
{
	for (size_t i = 0; i < table.count; i++) {
		if (table.list[i].addr == six(dst) && table.list[i].len == len)
			return &table.list[i];
	}
	return NULL;
}

static size_t place6(const char *dst, unsigned len)
{
	assert_non_null(find6(dst, len));
	return find6(dst, len) - table.list;
}

static void ipv6_routes_are_a_table_of_their_own(void **state)
{
	table.family = AF_INET6;
	put(route("10.0.0.0", 8, 2));
	put6(RT_TABLE_MAIN, RTN_UNICAST, "fe80::", 64);
	put6(RT_TABLE_LOCAL, RTN_LOCAL, "fe80::1", 128);
	put6(RT_TABLE_LOCAL, RTN_MULTICAST, "ff00::", 8);
	put6(RT_TABLE_MAIN, RTN_UNICAST, "ff00::", 8);
	assert_int_equal(table.count, 0);
	put6(RT_TABLE_MAIN, RTN_UNICAST, "2001:db8::", 64);
	put6(RT_TABLE_LOCAL, RTN_LOCAL, "2001:db8::5", 128);
	put6(RT_TABLE_LOCAL, RTN_ANYCAST, "2001:db8::", 128);
	put6(RT_TABLE_MAIN, RTN_BLACKHOLE, "fd00::", 8);
	host_table_merge(&table);
	host_table_hide(&table, false);
	assert_int_equal(table.count, 4);
	assert_int_equal(find6("2001:db8::5", 128)->value.kind, TALON_HOST_LOCAL);
	assert_int_equal(find6("2001:db8::", 128)->value.kind, TALON_HOST_LOCAL);
	assert_int_equal(find6("2001:db8::", 64)->value.kind, TALON_HOST_UNICAST);
	assert_int_equal(find6("fd00::", 8)->value.kind, TALON_HOST_REFUSED);
	assert_int_equal(find6("fd00::", 8)->value.prefixlen, 8);
}

static void a_probe_of_ipv6_is_a_host_of_the_network(void **state)
{
	prefix_bits addr;

	table.family = AF_INET6;
	put6(RT_TABLE_MAIN, RTN_UNICAST, "::", 0);
	put6(RT_TABLE_MAIN, RTN_UNICAST, "2001:db8::", 64);
	put6(RT_TABLE_MAIN, RTN_UNICAST, "2001:db8::", 127);
	put6(RT_TABLE_LOCAL, RTN_LOCAL, "2001:db8::5", 128);
	host_table_merge(&table);
	assert_true(host_table_probe(&table, place6("::", 0), 0, 0, &addr));
	assert_true(addr == six("2000::1"));
	assert_true(host_table_probe(&table, place6("2001:db8::", 64), six("2001:db8::"), 64, &addr));
	assert_true(addr == six("2001:db8::2"));
	assert_true(host_table_probe(&table, place6("2001:db8::5", 128), six("2001:db8::5"), 128, &addr));
	assert_true(addr == six("2001:db8::5"));
	assert_false(host_table_probe(&table, place6("2001:db8::", 64), six("2001:db8::"), 127, &addr));
}

struct told {
	unsigned added, changed, removed;
};

static int tell(void *ctx, enum prefix_change change, const struct host_route *route)
{
	struct told *told = ctx;

	told->added += change == PREFIX_ADD;
	told->changed += change == PREFIX_CHANGE;
	told->removed += change == PREFIX_REMOVE;
	return 0;
}

static void only_differences_are_told(void **state)
{
	struct host_table old = {}, *is = &old;
	struct told told = {};

	put(route("10.0.0.0", 8, 2));
	put(route("10.1.0.0", 16, 2));
	put(route("10.2.0.0", 16, 2));
	host_table_merge(&table);
	old = table;
	table = (struct host_table){};
	put(route("10.0.0.0", 8, 3));		/* by another device, which the map does not tell */
	put(route("10.1.0.0", 16, 99));		/* into the tunnel */
	put(route("10.3.0.0", 16, 2));
	host_table_merge(&table);
	assert_int_equal(host_table_diff(is, &table, tell, &told), 0);
	assert_int_equal(told.added, 1);
	assert_int_equal(told.changed, 1);
	assert_int_equal(told.removed, 1);
	host_table_done(&old);
}

/* Does the route carry masqueraded packets, with one network served, and one in Local? */
static bool serves(const char *dst, unsigned len, const char *served, unsigned served_len, const char *local,
	unsigned local_len)
{
	struct prefixes routes = {}, locals = {};
	bool answer;

	assert_int_equal(prefixes_add(&routes, bits("172.31.0.0"), 16, 0), 0);
	assert_int_equal(prefixes_add(&routes, bits(served), served_len, TALON_ROUTE_MASQUERADE), 0);
	if (local)
		assert_int_equal(prefixes_add(&locals, bits(local), local_len, 1), 0);
	prefixes_sort(&routes);
	prefixes_sort(&locals);
	answer = host_table_serves(&table, place(dst, len), &routes, &locals);
	prefixes_done(&routes);
	prefixes_done(&locals);
	return answer;
}

static void a_route_serves_where_it_is_the_one_that_is_used(void **state)
{
	put(route("0.0.0.0", 0, 2));
	put(route("10.0.0.0", 8, 3));
	put(route("10.40.0.0", 16, 4));
	put(route("172.31.0.0", 16, 5));
	host_table_merge(&table);
	assert_true(serves("10.0.0.0", 8, "10.0.0.0", 8, NULL, 0));
	assert_true(serves("10.40.0.0", 16, "10.0.0.0", 8, NULL, 0));
	assert_true(serves("10.40.0.0", 16, "10.40.9.0", 24, NULL, 0));
	assert_false(serves("10.0.0.0", 8, "10.40.9.0", 24, NULL, 0));	/* the longer one is used */
	assert_false(serves("0.0.0.0", 0, "10.0.0.0", 8, NULL, 0));
	assert_true(serves("0.0.0.0", 0, "0.0.0.0", 0, NULL, 0));
	assert_true(serves("10.40.0.0", 16, "0.0.0.0", 0, NULL, 0));
	assert_false(serves("172.31.0.0", 16, "10.0.0.0", 8, NULL, 0));	/* served, but not masqueraded */
	assert_false(serves("10.40.0.0", 16, "10.0.0.0", 8, "10.40.0.0", 16));
	assert_true(serves("10.40.0.0", 16, "10.0.0.0", 8, "10.40.0.0", 17));
	assert_false(serves("10.40.0.0", 16, "10.40.9.0", 24, "10.40.8.0", 22));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(rules_give_the_order_of_tables, set_up, tear_down),
		cmocka_unit_test_setup_teardown(rules_that_look_at_more_are_left_to_the_kernel, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(what_the_kernel_would_not_take_is_passed_over, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(the_preferred_route_to_a_prefix_stays, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ipv6_routes_are_a_table_of_their_own, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_probe_of_ipv6_is_a_host_of_the_network, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_earlier_table_hides_longer_prefixes_of_a_later_one, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(a_probe_lies_in_no_longer_prefix, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_routes_that_matter_least_go_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(only_differences_are_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_route_serves_where_it_is_the_one_that_is_used, set_up,
			tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
