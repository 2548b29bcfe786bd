// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Which of a node's routes lead to pods that Cilium has there.
#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "host/cilium_pods.h"

#define HOST_DEVICE	7
#define POD		9
#define ETH0		2

static struct net_addr address(int family, const char *text)
{
	struct net_addr addr = { .family = family, .ifindex = HOST_DEVICE };

	assert_int_equal(inet_pton(family, text, &addr.addr), 1);
	return addr;
}

static struct net_route route(int family, const char *dst, unsigned prefixlen, int ifindex)
{
	struct net_route r = { .family = family, .prefixlen = prefixlen, .type = RTN_UNICAST,
		.ifindex = ifindex };

	assert_int_equal(inet_pton(family, dst, &r.dst), 1);
	return r;
}

static bool has(const struct cilium_pods *pods, int family, const char *dst, unsigned prefixlen, int ifindex)
{
	const struct net_route r = route(family, dst, prefixlen, ifindex);

	return cilium_pods_has(pods, &r);
}

static int endpoints[] = { POD };

static struct cilium_pods two_families(void)
{
	return (struct cilium_pods){ .ifindex = HOST_DEVICE,
		.addrs = { address(AF_INET, "10.0.1.91"), address(AF_INET6, "fd00:10::91") }, .addr_count = 2,
		.endpoints = endpoints, .endpoint_count = 1 };
}

static void range_of_this_node_is_found_in_both_families(void **state)
{
	const struct cilium_pods pods = two_families();

	assert_true(has(&pods, AF_INET, "10.0.1.0", 24, HOST_DEVICE));
	assert_true(has(&pods, AF_INET6, "fd00:10::", 64, HOST_DEVICE));
}

static void range_of_another_node_is_left_to_its_route(void **state)
{
	const struct cilium_pods pods = two_families();

	assert_false(has(&pods, AF_INET, "10.0.2.0", 24, HOST_DEVICE));
	assert_false(has(&pods, AF_INET6, "fd00:11::", 64, HOST_DEVICE));
	assert_false(has(&pods, AF_INET, "10.0.1.0", 24, ETH0));
}

static void single_pod_is_found_by_its_device(void **state)
{
	const struct cilium_pods pods = two_families();

	assert_true(has(&pods, AF_INET, "10.7.0.12", 32, POD));
	assert_true(has(&pods, AF_INET6, "fd00:12::5", 128, POD));
	assert_false(has(&pods, AF_INET, "10.7.0.0", 24, POD));
	assert_false(has(&pods, AF_INET, "10.0.1.91", 32, HOST_DEVICE));
	assert_false(has(&pods, AF_INET, "192.168.1.7", 32, ETH0));
}

static void default_route_and_refusing_ones_are_none(void **state)
{
	const struct cilium_pods pods = two_families();
	struct net_route r = route(AF_INET, "10.0.1.0", 24, HOST_DEVICE);

	assert_false(has(&pods, AF_INET, "0.0.0.0", 0, HOST_DEVICE));
	r.type = RTN_UNREACHABLE;
	assert_false(cilium_pods_has(&pods, &r));
}

static void nothing_is_found_without_cilium(void **state)
{
	const struct cilium_pods none = { .endpoints = endpoints, .endpoint_count = 1 };

	assert_false(has(&none, AF_INET, "10.7.0.12", 32, POD));
	assert_false(has(&none, AF_INET, "10.0.1.0", 24, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(range_of_this_node_is_found_in_both_families),
		cmocka_unit_test(range_of_another_node_is_left_to_its_route),
		cmocka_unit_test(single_pod_is_found_by_its_device),
		cmocka_unit_test(default_route_and_refusing_ones_are_none),
		cmocka_unit_test(nothing_is_found_without_cilium),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
