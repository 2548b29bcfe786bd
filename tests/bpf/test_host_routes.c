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

static void read_family(uint8_t family)
{
	host_table_done(&table);
	assert_int_equal(host_routes_read(&table, family, 0), 0);
}

static void read_routes(void)
{
	read_family(AF_INET);
}

static struct talon_addr addr_of(const char *text)
{
	struct talon_addr addr = {};

	if (text)
		assert_int_equal(inet_pton(strchr(text, ':') ? AF_INET6 : AF_INET, text, &addr), 1);
	return addr;
}

static const struct host_route *find(prefix_bits addr, unsigned len)
{
	for (size_t i = 0; i < table.count; i++) {
		if (table.list[i].addr == addr && table.list[i].len == len)
			return &table.list[i];
	}
	return NULL;
}

static const struct host_route *at(const char *text, unsigned len)
{
	const struct talon_addr addr = addr_of(text);

	return find(prefix_bits_of(&addr), len);
}

static void has(const char *addr, unsigned len, enum talon_host_kind kind, const char *source)
{
	const struct talon_addr expected = addr_of(source);
	const struct host_route *route = at(addr, len);

	if (!route)
		fail_msg("%s/%u is not there", addr, len);
	assert_int_equal(route->value.kind, kind);
	assert_int_equal(route->value.prefixlen, len);
	if (memcmp(&route->value.source, &expected, sizeof(expected)))
		fail_msg("%s/%u has another source than %s", addr, len, source ? source : "none");
}

/* The source of the host's own packets by @device is @source. */
static void sends_from(const char *device, const char *primary, const char *source)
{
	const struct talon_addr first = addr_of(primary), expected = addr_of(source),
		is = host_table_source(&table, index_of(device), &first);

	assert_memory_equal(&is, &expected, sizeof(is));
}

static bool has_other_source(const char *text)
{
	const struct talon_addr addr = addr_of(text);

	return host_table_has_other_source(&table, &addr);
}

/* As the datapath looks it up. */
static const struct host_route *longest(const struct talon_addr *addr)
{
	for (int len = host_table_bits(&table); len >= 0; len--) {
		const struct host_route *route = find(prefix_bits_of(addr) & prefix_mask(len), len);

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
	sends_from("e0", NULL, "192.168.1.5");
	assert_true(has_other_source("192.168.1.5"));
	assert_true(has_other_source("10.5.0.9"));
}

static void one_subnet_has_one_source(void **state)
{
	run("ip addr add 192.168.1.5/24 dev e0; ip route add default via 192.168.1.1; ip route add "
		"10.77.0.0/16 via 192.168.1.7");
	read_routes();
	assert_false(has_other_source("192.168.1.5"));
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
	sends_from("e0", NULL, "192.168.1.5");
	sends_from("e1", NULL, "10.5.0.9");
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
	sends_from("e0", "192.168.1.200", "192.168.1.5");
	run("ip route del default; ip route del 10.0.0.0/8");
	read_routes();
	sends_from("e0", "192.168.1.200", "192.168.1.5");
}

static void an_unnumbered_nic_uses_the_address_on_lo(void **state)
{
	run("ip addr add 198.51.100.7/32 dev lo; ip route add 169.254.1.1 dev e0; ip route add default via "
		"169.254.1.1 dev e0");
	read_routes();
	has("0.0.0.0", 0, TALON_HOST_UNICAST, "198.51.100.7");
	sends_from("e0", NULL, "198.51.100.7");
	assert_false(has_other_source("198.51.100.7"));
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

/* Where the table does not say what the kernel answered. */
static unsigned count_wrong(const struct net_route_query *queries, unsigned count)
{
	unsigned wrong = 0, answered = 0;

	for (unsigned i = 0; i < count; i++) {
		const struct host_route *route = longest(&queries[i].dst);
		const struct net_route *answer = &queries[i].route;

		assert_non_null(route);
		answered += !queries[i].ret;
		if (queries[i].ret) {
			wrong += route->value.kind != TALON_HOST_REFUSED;
		} else if (answer->type == RTN_LOCAL) {
			wrong += route->value.kind != TALON_HOST_LOCAL;
		} else if (route->value.kind != TALON_HOST_UNICAST || memcmp(&route->value.source,
			&answer->prefsrc, sizeof(answer->prefsrc)) || route->hops[0] != answer->ifindex) {
			wrong++;
		}
	}
	assert_true(answered > count / 2);
	return wrong;
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

	srandom(4711);
	run("ip addr add 192.168.1.5/24 dev e0; ip addr add 10.6.0.4/24 dev e0; ip addr add 10.5.0.9/24 dev "
		"e1; ip route add default via 192.168.1.1");
	batch = popen("ip -force -batch - >/dev/null 2>&1", "w");
	assert_non_null(batch);
	assert_non_null(queries);
	for (unsigned i = 0; i < ROUTES; i++) {
		unsigned kind = random() % 16, len = kind ? 11 + random() % 22 : 16 + random() % 17;
		uint32_t addr = (0x0a400000 | (random() & 0x3fffff)) & (uint32_t)(prefix_mask(len) >> 96);
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
		queries[i] = (struct net_route_query){ .family = AF_INET,
			.dst.word[0] = htonl(0x0a400000 | (random() & 0x3fffff)) };
	assert_int_equal(net_route_lookup_many(queries, QUERIES), 0);
	assert_int_equal(count_wrong(queries, QUERIES), 0);
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

/* IPv6. */

/* Addresses without duplicate address detection, so that they count at once. */
#define ADD6(addr, device) "ip addr add " addr " dev " device " nodad; "

static void ipv6_routes_have_the_source_that_the_kernel_names(void **state)
{
	run(ADD6("2001:db8:1::5/64", "e0") ADD6("2001:db8:2::5/64", "e0") ADD6("fd00:5::5/64", "e0")
		ADD6("2001:db8:9::5/64", "e1") "ip -6 route add default via 2001:db8:1::1 src 2001:db8:1::5; "
		"ip -6 route add fd00:77::/32 via 2001:db8:1::1; ip -6 route add 2001:db8:77::/48 via "
		"2001:db8:9::1 mtu 1300; ip -6 route add 2001:db8:78::/48 via fe80::1 dev e0 src "
		"2001:db8:2::5");
	read_family(AF_INET6);
	has("::", 0, TALON_HOST_UNICAST, "2001:db8:1::5");
	has("2001:db8:1::", 64, TALON_HOST_UNICAST, "2001:db8:1::5");
	has("2001:db8:2::", 64, TALON_HOST_UNICAST, "2001:db8:2::5");
	has("fd00:5::", 64, TALON_HOST_UNICAST, "fd00:5::5");
	/* RFC 6724 rule 6: to a unique local address from one, by the same gateway */
	has("fd00:77::", 32, TALON_HOST_UNICAST, "fd00:5::5");
	has("2001:db8:77::", 48, TALON_HOST_UNICAST, "2001:db8:9::5");
	has("2001:db8:78::", 48, TALON_HOST_UNICAST, "2001:db8:2::5");
	has("2001:db8:1::5", 128, TALON_HOST_LOCAL, "2001:db8:1::5");
	has("::1", 128, TALON_HOST_LOCAL, "::1");
	assert_int_equal(at("2001:db8:77::", 48)->value.mtu, 1300);
	assert_int_equal(at("::", 0)->value.mtu, 0);
	sends_from("e0", NULL, "2001:db8:1::5");
	sends_from("e1", NULL, "2001:db8:9::5");
	assert_null(at("fe80::", 64));
	assert_null(at("ff00::", 8));
}

static void what_is_no_ipv6_unicast_is_told_apart(void **state)
{
	run("sysctl -qw net.ipv6.conf.all.forwarding=1; " ADD6("2001:db8:1::5/64", "e0")
		"ip -6 route add blackhole fd01::/16; ip -6 route add unreachable fd02::/16; ip -6 route add "
		"prohibit fd03::/16; ip -6 route add local fd04::/16 dev lo; ip -6 route add fd04:7::/32 via "
		"2001:db8:1::1");
	read_family(AF_INET6);
	has("fd01::", 16, TALON_HOST_REFUSED, NULL);
	has("fd02::", 16, TALON_HOST_REFUSED, NULL);
	has("fd03::", 16, TALON_HOST_REFUSED, NULL);
	has("fd04::", 16, TALON_HOST_LOCAL, NULL);
	assert_null(at("fd04:7::", 32));	/* table local comes first, whatever the length */
	/* a router has this address in each of its networks (RFC 4291 section 2.6.1) */
	has("2001:db8:1::", 128, TALON_HOST_LOCAL, "2001:db8:1::");
}

static void the_nodes_ipv6_address_is_one_that_stays(void **state)
{
	const struct talon_addr own = addr_of("2001:db8:1::5");
	struct talon_addr addr;

	assert_int_equal(net_addr_primary6(index_of("e0"), &addr), -EADDRNOTAVAIL);
	run(ADD6("fd00:5::5/64", "e0"));
	assert_int_equal(net_addr_primary6(index_of("e0"), &addr), 0);
	run("ip addr add 2001:db8:1::7/64 dev e0 nodad preferred_lft 0; " ADD6("2001:db8:1::5/64", "e0"));
	assert_int_equal(net_addr_primary6(index_of("e0"), &addr), 0);
	assert_memory_equal(&addr, &own, sizeof(addr));
}

static void compare_ipv6_with_kernel(const char *rule)
{
	enum { ROUTES = 400, QUERIES = 4000 };
	static const char *const ways[] = {
		"via 2001:db8:1::1", "via 2001:db8:1::9", "via fe80::7 dev e1", "dev e1", "dev e0",
		"via 2001:db8:6::1", "via 2001:db8:5::2 src 2001:db8:1::5",
	};
	static const char *const types[] = { "blackhole", "unreachable", "prohibit" };
	struct net_route_query *queries = calloc(QUERIES, sizeof(*queries));
	FILE *batch;

	srandom(4711);
	run(ADD6("2001:db8:1::5/64", "e0") ADD6("2001:db8:6::4/64", "e0") ADD6("2001:db8:5::9/64", "e1")
		"ip -6 route add default via 2001:db8:1::1");
	batch = popen("ip -6 -force -batch - >/dev/null 2>&1", "w");
	assert_non_null(batch);
	assert_non_null(queries);
	for (unsigned i = 0; i < ROUTES; i++) {
		unsigned kind = random() % 16, len = (kind ? 33 : 42) + random() % 22, top = random() & 63,
			low = random() & 3;

		if (kind == 0)
			fprintf(batch, "route add local 2001:db9:%x:%x::/%u dev lo\n", top << 8,
				low << 14, len);
		else if (kind < 3)
			fprintf(batch, "route add %s 2001:db9:%x:%x::/%u\n", types[random() % 3], top << 8,
				low << 14, len);
		else
			fprintf(batch, "route add 2001:db9:%x:%x::/%u %s metric %ld\n", top << 8,
				low << 14, len, ways[random() % 7], 1 + random() % 3);
	}
	pclose(batch);
	if (rule)
		run(rule);
	read_family(AF_INET6);
	assert_true(table.count > 50);
	for (unsigned i = 0; i < QUERIES; i++)
		queries[i] = (struct net_route_query){ .family = AF_INET6, .dst.word = { htonl(0x20010db9),
			htonl((random() & 63) << 24 | (random() & 3) << 14), 0, htonl(1 + random() % 9) } };
	assert_int_equal(net_route_lookup_many(queries, QUERIES), 0);
	assert_int_equal(count_wrong(queries, QUERIES), 0);
	free(queries);
}

static void the_ipv6_table_answers_as_the_kernel_does(void **state)
{
	compare_ipv6_with_kernel(NULL);
}

static void the_ipv6_table_answers_as_a_kernel_with_odd_rules_does(void **state)
{
	compare_ipv6_with_kernel("ip -6 rule add to 2001:db9:2000::/36 lookup 100 pref 7; ip -6 route add "
		"default via 2001:db8:5::3 table 100");
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
		cmocka_unit_test_setup_teardown(ipv6_routes_have_the_source_that_the_kernel_names, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(what_is_no_ipv6_unicast_is_told_apart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_nodes_ipv6_address_is_one_that_stays, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_ipv6_table_answers_as_the_kernel_does, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_ipv6_table_answers_as_a_kernel_with_odd_rules_does,
			set_up, tear_down),
		cmocka_unit_test_setup_teardown(ten_thousand_routes_cost_few_questions, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
