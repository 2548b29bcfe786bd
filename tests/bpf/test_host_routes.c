// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The host's routes as one table, compared with the kernel's answers, in a namespace for each test.
#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "plane/internal.h"

static struct host_table table;

static void run(const char *command)
{
	if (system(command))
		fail_msg("%s", command);
}

/* A node with two NICs that have no address yet. */
static int set_up(void **state)
{
	if (unshare(CLONE_NEWNET))
		return -errno;
	run("ip link set lo up; for i in 0 1; do ip link add e$i type veth peer name f$i; ip link set e$i "
		"up; ip link set f$i up; done");
	return 0;
}

static int tear_down(void **state)
{
	host_table_done(&table);
	return 0;
}

static int index_of(const char *device)
{
	struct net_link link;

	assert_int_equal(net_link_get(device, &link), 0);
	return link.ifindex;
}

static void read_routes(void)
{
	host_table_done(&table);
	assert_int_equal(host_routes_read(&table, 0), 0);
}

static const struct host_route *find(uint32_t addr, unsigned len)
{
	for (size_t i = 0; i < table.count; i++) {
		if (table.list[i].addr == addr && table.list[i].len == len)
			return &table.list[i];
	}
	return NULL;
}

static const struct host_route *at(const char *addr, unsigned len)
{
	return find(ntohl(inet_addr(addr)), len);
}

static void has(const char *addr, unsigned len, enum talon_host_kind kind, const char *source)
{
	const struct host_route *route = at(addr, len);

	if (!route)
		fail_msg("%s/%u is not there", addr, len);
	assert_int_equal(route->value.kind, kind);
	assert_int_equal(route->value.prefixlen, len);
	assert_int_equal(route->value.source, source ? inet_addr(source) : 0);
}

/* As the datapath looks it up. */
static const struct host_route *longest(uint32_t addr)
{
	for (int len = 32; len >= 0; len--) {
		const struct host_route *route = find(addr & prefix_mask(len), len);

		if (route)
			return route;
	}
	return NULL;
}

static void two_subnets_on_one_nic_have_a_source_each(void **state)
{
	run("ip addr add 192.168.1.5/24 dev e0; ip addr add 10.5.0.9/24 dev e0; ip route add default via "
		"192.168.1.1;ip route add 10.77.0.0/16 via 10.5.0.1 mtu 1300; ip route add 10.78.0.0/16 via "
		"10.5.0.1 src 192.168.1.5");
	read_routes();
	has("0.0.0.0", 0, TALON_HOST_UNICAST, "192.168.1.5");
	has("192.168.1.0", 24, TALON_HOST_UNICAST, "192.168.1.5");
	has("10.5.0.0", 24, TALON_HOST_UNICAST, "10.5.0.9");
	has("10.77.0.0", 16, TALON_HOST_UNICAST, "10.5.0.9");
	has("10.78.0.0", 16, TALON_HOST_UNICAST, "192.168.1.5");
	assert_int_equal(at("10.77.0.0", 16)->value.mtu, 1300);
	assert_int_equal(at("10.78.0.0", 16)->value.mtu, 0);
	assert_int_equal(host_table_source(&table, index_of("e0"), 0), inet_addr("192.168.1.5"));
	assert_true(host_table_has_other_source(&table, inet_addr("192.168.1.5")));
	assert_true(host_table_has_other_source(&table, inet_addr("10.5.0.9")));
}

static void one_subnet_has_one_source(void **state)
{
	run("ip addr add 192.168.1.5/24 dev e0; ip route add default via 192.168.1.1; ip route add "
		"10.77.0.0/16 via 192.168.1.7");
	read_routes();
	assert_false(host_table_has_other_source(&table, inet_addr("192.168.1.5")));
}

static void two_nics_have_a_source_each(void **state)
{
	run("ip addr add 192.168.1.5/24 dev e0; ip addr add 10.5.0.9/24 dev e1; ip route add default via "
		"10.5.0.1;ip route add 10.77.0.0/16 via 192.168.1.1; ip route add 10.77.0.0/16 via 10.5.0.1 "
		"metric 50");
	read_routes();
	has("0.0.0.0", 0, TALON_HOST_UNICAST, "10.5.0.9");
	has("10.77.0.0", 16, TALON_HOST_UNICAST, "192.168.1.5");	/* metric 0 comes first */
	assert_int_equal(at("10.77.0.0", 16)->hops[0], index_of("e0"));
	assert_int_equal(host_table_source(&table, index_of("e0"), 0), inet_addr("192.168.1.5"));
	assert_int_equal(host_table_source(&table, index_of("e1"), 0), inet_addr("10.5.0.9"));
}

static void a_vip_is_never_the_source(void **state)
{
	__be32 primary;

	run("ip addr add 192.168.1.200/32 dev e0; ip addr add 192.168.1.5/24 dev e0; ip route add default "
		"via 192.168.1.1;ip route add 10.0.0.0/8 via 192.168.1.7");
	read_routes();
	assert_int_equal(net_addr_primary4(index_of("e0"), &primary), 0);
	assert_int_equal(primary, inet_addr("192.168.1.200"));
	has("0.0.0.0", 0, TALON_HOST_UNICAST, "192.168.1.5");
	has("10.0.0.0", 8, TALON_HOST_UNICAST, "192.168.1.5");
	has("192.168.1.200", 32, TALON_HOST_LOCAL, "192.168.1.200");
	assert_int_equal(host_table_source(&table, index_of("e0"), primary), inet_addr("192.168.1.5"));
	run("ip route del default; ip route del 10.0.0.0/8");
	read_routes();
	assert_int_equal(host_table_source(&table, index_of("e0"), primary), inet_addr("192.168.1.5"));
}

static void an_unnumbered_nic_uses_the_address_on_lo(void **state)
{
	run("ip addr add 198.51.100.7/32 dev lo; ip route add 169.254.1.1 dev e0; ip route add default via "
		"169.254.1.1 dev e0");
	read_routes();
	has("0.0.0.0", 0, TALON_HOST_UNICAST, "198.51.100.7");
	assert_int_equal(host_table_source(&table, index_of("e0"), 0), inet_addr("198.51.100.7"));
	assert_false(host_table_has_other_source(&table, inet_addr("198.51.100.7")));
}

static void what_is_no_unicast_is_told_apart(void **state)
{
	run("ip addr add 192.168.1.5/24 dev e0; ip route add blackhole 10.1.0.0/16; ip route add unreachable "
		"10.2.0.0/16;ip route add prohibit 10.3.0.0/16; ip route add local 10.200.0.0/16 dev lo; ip "
		"route add 10.200.7.0/24 via 192.168.1.1;ip route add multicast 239.1.0.0/16 dev e0; ip "
		"route add 10.4.0.0/16 via 192.168.1.1 tos 0x10");
	read_routes();
	has("10.1.0.0", 16, TALON_HOST_REFUSED, NULL);
	has("10.2.0.0", 16, TALON_HOST_REFUSED, NULL);
	has("10.3.0.0", 16, TALON_HOST_REFUSED, NULL);
	has("10.200.0.0", 16, TALON_HOST_LOCAL, NULL);
	/* tables local and main are one until there is a rule */
	has("10.200.7.0", 24, TALON_HOST_UNICAST, "192.168.1.5");
	has("192.168.1.255", 32, TALON_HOST_BROADCAST, "192.168.1.5");
	has("192.168.1.5", 32, TALON_HOST_LOCAL, "192.168.1.5");
	has("127.0.0.0", 8, TALON_HOST_LOCAL, "127.0.0.1");
	assert_null(at("239.1.0.0", 16));
	assert_null(at("10.4.0.0", 16));
	run("ip rule add fwmark 1 lookup 100; ip rule del fwmark 1");
	read_routes();
	has("10.200.0.0", 16, TALON_HOST_LOCAL, NULL);
	assert_null(at("10.200.7.0", 24));	/* from now on table local comes first, whatever the length */
}

static void several_next_hops_are_one_route(void **state)
{
	run("ip addr add 192.168.1.5/24 dev e0; ip addr add 10.5.0.9/24 dev e1;"
	    "ip route add default nexthop via 10.5.0.1 dev e1 nexthop via 192.168.1.1 dev e0 nexthop via "
	    "192.168.1.2 dev e0");
	read_routes();
	has("0.0.0.0", 0, TALON_HOST_UNICAST, "10.5.0.9");
	assert_int_equal(at("0.0.0.0", 0)->hops[0], index_of("e1"));
	assert_int_equal(at("0.0.0.0", 0)->hops[1], index_of("e0"));
	assert_int_equal(at("0.0.0.0", 0)->hops[2], 0);
}

static void a_route_by_a_nexthop_object_is_one_like_others(void **state)
{
	run("ip addr add 192.168.1.5/24 dev e0; ip nexthop add id 7 via 192.168.1.1 dev e0; ip route add "
		"10.9.0.0/16 nhid 7;echo 0 >/proc/sys/net/ipv4/nexthop_compat_mode; ip nexthop add id 8 via "
		"192.168.1.2 dev e0; ip route add 10.8.0.0/16 nhid 8");
	read_routes();
	has("10.9.0.0", 16, TALON_HOST_UNICAST, "192.168.1.5");
	has("10.8.0.0", 16, TALON_HOST_UNICAST, "192.168.1.5");
	assert_int_equal(at("10.8.0.0", 16)->hops[0], index_of("e0"));
}

static void rules_decide_which_table_is_asked(void **state)
{
	run("ip addr add 192.168.1.5/24 dev e0; ip addr add 10.5.0.9/24 dev e1; ip route add default via "
		"192.168.1.1;ip route add default via 10.5.0.1 table 100; ip route add 10.60.0.0/16 via "
		"10.5.0.1 table 101;ip rule add fwmark 1 lookup 100; ip rule add from 10.5.0.9 lookup 100; "
		"ip rule add iif e1 lookup 100");
	read_routes();
	/* our packets have no mark, and no source yet */
	has("0.0.0.0", 0, TALON_HOST_UNICAST, "192.168.1.5");
	assert_null(at("10.60.0.0", 16));
	run("ip rule add lookup 101 pref 90");
	read_routes();
	has("10.60.0.0", 16, TALON_HOST_UNICAST, "10.5.0.9");
	run("ip rule add to 10.50.0.0/16 lookup 100 pref 100; ip rule add to 10.51.0.0/16 prohibit pref 101;"
	    "ip route add throw 10.60.1.0/24 table 101");
	read_routes();
	has("0.0.0.0", 0, TALON_HOST_UNICAST, "192.168.1.5");
	has("10.50.0.0", 16, TALON_HOST_UNICAST, "10.5.0.9");
	assert_int_equal(at("10.50.0.0", 16)->hops[0], index_of("e1"));
	has("10.51.0.0", 16, TALON_HOST_REFUSED, NULL);
	has("10.60.0.0", 16, TALON_HOST_UNICAST, "10.5.0.9");
	has("10.60.1.0", 24, TALON_HOST_UNICAST, "192.168.1.5");
}

/*
 * Random routes of every kind in two tables; then random destinations, looked up in our table and in the
 * kernel.
 */
static void compare_with_kernel(const char *rule)
{
	enum { ROUTES = 400, QUERIES = 4000 };
	static const char *const ways[] = {
		"via 192.168.1.1", "via 192.168.1.9", "via 10.5.0.1", "dev e1", "dev e0 scope link",
		"via 10.6.0.1", "via 10.5.0.2 src 192.168.1.5",
	};
	static const char *const types[] = { "blackhole", "unreachable", "prohibit" };
	struct net_route_query *queries = calloc(QUERIES, sizeof(*queries));
	FILE *batch;
	unsigned wrong = 0;

	srandom(4711);
	run("ip addr add 192.168.1.5/24 dev e0; ip addr add 10.6.0.4/24 dev e0; ip addr add 10.5.0.9/24 dev "
		"e1; ip route add default via 192.168.1.1");
	batch = popen("ip -force -batch - >/dev/null 2>&1", "w");
	assert_non_null(batch);
	assert_non_null(queries);
	for (unsigned i = 0; i < ROUTES; i++) {
		unsigned kind = random() % 16, len = kind ? 11 + random() % 22 : 16 + random() % 17;
		uint32_t addr = (0x0a400000 | (random() & 0x3fffff)) & prefix_mask(len);
		const struct in_addr text = { htonl(addr) };

		if (kind == 0)
			fprintf(batch, "route add local %s/%u dev lo\n", inet_ntoa(text), len);
		else if (kind < 3)
			fprintf(batch, "route add %s %s/%u\n", types[random() % 3], inet_ntoa(text), len);
		else
			fprintf(batch, "route add %s/%u %s metric %ld\n", inet_ntoa(text), len,
				ways[random() % 7], random() % 3);
	}
	pclose(batch);
	if (rule)
		run(rule);
	read_routes();
	assert_true(table.count > 100);
	for (unsigned i = 0; i < QUERIES; i++)
		queries[i].dst = htonl(0x0a400000 | (random() & 0x3fffff));
	assert_int_equal(net_route_lookup_many(queries, QUERIES), 0);
	for (unsigned i = 0; i < QUERIES; i++) {
		const struct host_route *route = longest(ntohl(queries[i].dst));
		const struct net_route *answer = &queries[i].route;

		assert_non_null(route);
		if (queries[i].ret) {
			wrong += route->value.kind != TALON_HOST_REFUSED;
		} else if (answer->type == RTN_LOCAL) {
			wrong += route->value.kind != TALON_HOST_LOCAL;
		} else if (route->value.kind != TALON_HOST_UNICAST ||
			route->value.source != answer->prefsrc.word[0] || route->hops[0] != answer->ifindex) {
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
	free(queries);
}

static void the_table_answers_as_the_kernel_does(void **state)
{
	compare_with_kernel(NULL);
}

static void the_table_answers_as_a_kernel_with_rules_does(void **state)
{
	compare_with_kernel("ip rule add fwmark 1 lookup 100");
}

static void the_table_answers_as_a_kernel_with_odd_rules_does(void **state)
{
	compare_with_kernel("ip rule add to 10.96.0.0/12 lookup 100 pref 7; ip rule add lookup main "
		"suppress_prefixlength 16 pref 8;ip route add default via 10.5.0.3 table 100");
}

static uint64_t cpu_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1000000ULL + now.tv_nsec / 1000;
}

static void ten_thousand_routes_cost_few_questions(void **state)
{
	FILE *batch;
	uint64_t began;

	run("ip addr add 192.168.1.5/24 dev e0; ip addr add 10.5.0.9/24 dev e1; ip route add default via "
		"192.168.1.1");
	batch = popen("ip -batch -", "w");
	assert_non_null(batch);
	for (unsigned i = 0; i < 10000; i++)
		fprintf(batch, "route add 11.%u.%u.0/24 via %s\n", i >> 8, i & 255,
			i % 2 ? "10.5.0.1" : "192.168.1.1");
	assert_int_equal(pclose(batch), 0);
	began = cpu_us();
	read_routes();
	print_message("10,000 routes read in %llu us of CPU time\n", (unsigned long long)(cpu_us() - began));
	has("11.0.0.0", 24, TALON_HOST_UNICAST, "192.168.1.5");
	has("11.0.1.0", 24, TALON_HOST_UNICAST, "10.5.0.9");
	run("ip rule add to 172.16.0.0/12 lookup main pref 5");
	began = cpu_us();
	read_routes();
	print_message("with a rule by destination, which takes a question for each: %llu us\n",
		(unsigned long long)(cpu_us() - began));
	has("11.0.1.0", 24, TALON_HOST_UNICAST, "10.5.0.9");
	has("172.16.0.0", 12, TALON_HOST_UNICAST, "192.168.1.5");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(two_subnets_on_one_nic_have_a_source_each, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_subnet_has_one_source, set_up, tear_down),
		cmocka_unit_test_setup_teardown(two_nics_have_a_source_each, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_vip_is_never_the_source, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_unnumbered_nic_uses_the_address_on_lo, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_no_unicast_is_told_apart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(several_next_hops_are_one_route, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_route_by_a_nexthop_object_is_one_like_others, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(rules_decide_which_table_is_asked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_table_answers_as_the_kernel_does, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_table_answers_as_a_kernel_with_rules_does, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(the_table_answers_as_a_kernel_with_odd_rules_does, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(ten_thousand_routes_cost_few_questions, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
