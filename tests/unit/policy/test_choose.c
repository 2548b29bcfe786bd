// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Networks of others: groups, what the user selected, and which router carries them as peers come and go.
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/choose.h"
#include "policy/guard.h"

#define ROUTERS 4

static const uint8_t own[KEY_LEN] = { 99 };
static struct choose_router routers[ROUTERS];	/* of keys {1}, {2}, ... */

static void state_of(void *ctx, const uint8_t key[static KEY_LEN], struct choose_router *ret_router)
{
	assert_in_range(key[0], 1, ROUTERS);
	*ret_router = routers[key[0] - 1];
}

static struct netmap_route route(const char *id, const char *net, unsigned int prefixlen, uint8_t router,
	uint32_t metric)
{
	struct netmap_route r = { .net_id = (char *)id, .metric = metric, .net = { .prefixlen = prefixlen,
		.family = strchr(net, ':') ? AF_INET6 : AF_INET } };

	assert_int_equal(inet_pton(r.net.family, net, &r.net.addr), 1);
	r.router[0] = router;
	return r;
}

/* fd12::1/64; without it there is no IPv6 in the mesh */
static struct talon_addr own6;

static void set(struct choose *choose, struct netmap_route *routes, size_t count)
{
	const struct netmap map = { .routes = routes, .route_count = count };
	const struct netmap_self self = { .addr = inet_addr("100.92.0.1"), .prefixlen = 16, .addr6 = own6,
		.prefixlen6 = 64 };

	assert_int_equal(choose_set_map(choose, &map, own, &self, false), 0);
	choose_routers(choose, state_of, NULL);
}

static int current(const struct choose *choose, size_t group)
{
	const struct choose_group *g = &choose->groups[group];

	return g->current < g->member_count ? g->members[g->current].key[0] : 0;
}

static void the_router_with_the_lowest_metric_carries_it_as_long_as_it_is_connected(void **state)
{
	struct netmap_route routes[] = { route("lan", "192.168.1.0", 24, 1, 100),
		route("lan", "192.168.1.0", 24, 2, 200) };
	struct choose choose;

	choose_init(&choose);
	routers[0] = routers[1] = (struct choose_router){ .status = CHOOSE_CONNECTED };
	set(&choose, routes, 2);
	assert_int_equal(choose.group_count, 1);
	assert_int_equal(current(&choose, 0), 1);
	routers[0].status = CHOOSE_CONNECTING;
	assert_true(choose_routers(&choose, state_of, NULL));
	assert_int_equal(current(&choose, 0), 2);
	routers[0].status = CHOOSE_IDLE;	/* could be woken, but the other one is connected */
	assert_false(choose_routers(&choose, state_of, NULL));
	routers[0].status = CHOOSE_CONNECTED;
	assert_true(choose_routers(&choose, state_of, NULL));
	assert_int_equal(current(&choose, 0), 1);
	routers[0].status = routers[1].status = CHOOSE_CONNECTING;
	assert_false(choose_routers(&choose, state_of, NULL));
	/* nobody better: the last one may carry a while yet */
	assert_int_equal(current(&choose, 0), 1);
	choose_done(&choose);
}

static void a_little_less_latency_is_no_reason_to_move(void **state)
{
	struct netmap_route routes[] = { route("lan", "192.168.1.0", 24, 1, 100),
		route("lan", "192.168.1.0", 24, 2, 100) };
	struct choose choose;

	choose_init(&choose);
	routers[0] = (struct choose_router){ .status = CHOOSE_CONNECTED, .latency_ns = 20000000 };
	routers[1] = (struct choose_router){ .status = CHOOSE_CONNECTING };
	set(&choose, routes, 2);
	assert_int_equal(current(&choose, 0), 1);
	routers[1] = (struct choose_router){ .status = CHOOSE_CONNECTED, .latency_ns = 11000000 };
	assert_false(choose_routers(&choose, state_of, NULL));
	routers[1].latency_ns = 9000000;
	assert_true(choose_routers(&choose, state_of, NULL));
	assert_int_equal(current(&choose, 0), 2);
	/* Relayed is worth a second of latency. */
	routers[1].relayed = true;
	assert_true(choose_routers(&choose, state_of, NULL));
	assert_int_equal(current(&choose, 0), 1);
	choose_done(&choose);
}

static void scores_are_as_the_stock_client_computes_them(void **state)
{
	struct choose_router r = { .status = CHOOSE_CONNECTED };

	assert_true(choose_score(9999, &r) > 100001.0009 && choose_score(9999, &r) < 100001.0011);
	r.latency_ns = 2000000000;
	assert_true(choose_score(9999, &r) > 100001.0009 && choose_score(9999, &r) < 100001.0011);
	r = (struct choose_router){ .status = CHOOSE_IDLE, .relayed = true, .latency_ns = 500000000 };
	assert_true(choose_score(9000, &r) == 9990.5);
}

static void what_must_not_be_installed_is_not_used(void **state)
{
	static const struct { const char *net; unsigned int len; bool usable; } cases[] = {
		{ "192.168.1.0", 24, true }, { "10.0.0.0", 8, true }, { "127.0.0.0", 8, false },
		{ "169.254.0.0", 16, false },
		{ "224.0.0.0", 4, false }, { "100.92.7.0", 24, false }, { "100.92.0.0", 16, false },
		{ "100.64.0.0", 10, true },
		{ "0.0.0.0", 0, false }, { "0.0.0.0", 8, false }, { "1.2.3.4", 32, true },
		{ "fd00:1::", 48, true }, { "2000::", 3, true }, { "::", 0, false }, { "::1", 128, false },
		{ "fe80::", 10, false }, { "ff00::", 8, false }, { "fd12::", 64, false },
		{ "fd12::7", 128, false },
		{ "fd12::", 48, true }, { "fd12:0:0:1::", 64, true }, { "::ffff:10.0.0.0", 104, false },
	};

	assert_int_equal(inet_pton(AF_INET6, "fd12::1", &own6), 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct netmap_route r = route("x", cases[i].net, cases[i].len, 1, 1);
		struct choose choose;

		choose_init(&choose);
		set(&choose, &r, 1);
		if (choose.groups[0].usable != cases[i].usable)
			fail_msg("%s/%u", cases[i].net, cases[i].len);
		choose_done(&choose);
	}
	own6 = (struct talon_addr){};
}

static void no_ipv6_network_is_used_without_an_ipv6_address_of_our_own(void **state)
{
	struct netmap_route routes[] = { route("lan", "192.168.1.0", 24, 1, 1),
		route("lan6", "fd00:1::", 48, 1, 1) };
	struct choose choose;

	choose_init(&choose);
	set(&choose, routes, 2);
	assert_true(choose.groups[0].usable);
	assert_string_equal(choose.groups[1].net_id, "lan6");
	assert_false(choose.groups[1].usable);
	assert_int_equal(inet_pton(AF_INET6, "fd12::1", &own6), 1);
	set(&choose, routes, 2);
	assert_true(choose.groups[1].usable);
	choose_done(&choose);
	own6 = (struct talon_addr){};
}

static void a_network_that_we_serve_ourselves_is_not_taken_from_others(void **state)
{
	struct netmap_route routes[] = {
		route("lan", "192.168.1.0", 24, 1, 1), route("lan", "192.168.1.0", 24, 99, 1),
		route("other", "10.1.0.0", 16, 1, 1),
	};
	struct choose choose;

	choose_init(&choose);
	set(&choose, routes, 3);
	assert_int_equal(choose.group_count, 1);
	assert_string_equal(choose.groups[0].net_id, "other");
	choose_done(&choose);
}

static void one_prefix_in_two_networks_goes_through_the_first(void **state)
{
	struct netmap_route routes[] = { route("b", "10.1.0.0", 16, 1, 1), route("a", "10.1.0.0", 16, 2, 1) };
	struct choose choose;
	char *ids[] = { "a" };
	char err[100];

	choose_init(&choose);
	routers[0] = routers[1] = (struct choose_router){ .status = CHOOSE_CONNECTED };
	set(&choose, routes, 2);
	assert_string_equal(choose.groups[0].net_id, "a");
	assert_true(choose.groups[0].usable);
	assert_false(choose.groups[1].usable);
	assert_int_equal(choose_deselect(&choose, ids, 1, err, sizeof(err)), 0);
	set(&choose, routes, 2);
	assert_false(choose.groups[0].usable);
	assert_true(choose.groups[1].usable);
	choose_done(&choose);
}

static void check(const struct choose *choose, const char *want)
{
	for (size_t i = 0; i < choose->group_count; i++)
		assert_int_equal(choose->groups[i].selected, want[i] == '1');
}

static void selecting_replaces_appends_and_clears(void **state)
{
	struct netmap_route routes[] = { route("a", "10.1.0.0", 16, 1, 1), route("b", "10.2.0.0", 16, 1, 1),
		route("c", "10.3.0.0", 16, 1, 1) };
	char *a[] = { "a" }, *bc[] = { "b", "c" }, *all[] = { "all" }, *bad[] = { "a", "nope" };
	struct choose choose;
	char err[100];

	choose_init(&choose);
	set(&choose, routes, 2);
	check(&choose, "11");
	assert_int_equal(choose_select(&choose, a, 1, false, err, sizeof(err)), 0);
	check(&choose, "10");
	set(&choose, routes, 3);	/* what comes later is selected */
	check(&choose, "101");
	assert_int_equal(choose_select(&choose, bc, 2, true, err, sizeof(err)), 0);
	check(&choose, "111");
	assert_int_equal(choose_deselect(&choose, bc, 2, err, sizeof(err)), 0);
	check(&choose, "100");
	assert_int_equal(choose_deselect(&choose, bad, 2, err, sizeof(err)), -ENOENT);
	assert_non_null(strstr(err, "nope"));
	check(&choose, "000");	/* the valid one was applied */
	assert_int_equal(choose_select(&choose, all, 1, false, err, sizeof(err)), 0);
	check(&choose, "111");
	assert_int_equal(choose_deselect(&choose, all, 1, err, sizeof(err)), 0);
	check(&choose, "000");
	assert_int_equal(choose_select(&choose, a, 1, true, err, sizeof(err)), 0);
	check(&choose, "100");
	choose_done(&choose);
}

static bool is_on(const struct choose *choose, const char *id)
{
	for (size_t i = 0; i < choose->group_count; i++)
		if (!strcmp(choose->groups[i].net_id, id))
			return choose->groups[i].selected;
	fail_msg("there is no %s", id);
	return false;
}

static bool is_twin(const struct choose *choose, const char *id)
{
	for (size_t i = 0; i < choose->group_count; i++)
		if (!strcmp(choose->groups[i].net_id, id))
			return choose->groups[i].is_twin;
	fail_msg("there is no %s", id);
	return false;
}

static void the_halves_of_a_default_route_are_one_switch(void **state)
{
	struct netmap_route routes[] = { route("exit", "0.0.0.0", 0, 1, 1), route("exit-v6", "::", 0, 1, 1),
		/* no halves: no base, another prefix, another base's prefix */
		route("alone-v6", "fd00:2::", 48, 1, 1), route("lan", "10.1.0.0", 16, 1, 1),
		route("lan-v6", "fd00:1::", 48, 1, 1) };
	char *exit[] = { "exit" }, *half[] = { "exit-v6" }, *lan[] = { "lan" };
	struct choose choose;
	char err[100];

	choose_init(&choose);
	set(&choose, routes, 5);
	assert_true(is_twin(&choose, "exit-v6"));
	assert_false(is_twin(&choose, "exit") || is_twin(&choose, "alone-v6") || is_twin(&choose, "lan-v6"));
	assert_true(is_on(&choose, "exit") && is_on(&choose, "exit-v6"));
	assert_int_equal(choose_deselect(&choose, exit, 1, err, sizeof(err)), 0);
	assert_false(is_on(&choose, "exit") || is_on(&choose, "exit-v6"));
	assert_int_equal(choose_select(&choose, half, 1, true, err, sizeof(err)), 0);
	assert_true(is_on(&choose, "exit") && is_on(&choose, "exit-v6"));
	assert_int_equal(choose_select(&choose, lan, 1, false, err, sizeof(err)), 0);
	assert_false(is_on(&choose, "exit") || is_on(&choose, "exit-v6") || is_on(&choose, "lan-v6"));
	assert_int_equal(choose_select(&choose, exit, 1, false, err, sizeof(err)), 0);
	assert_true(is_on(&choose, "exit-v6"));
	assert_false(is_on(&choose, "lan"));
	choose_done(&choose);
}

static void one_exit_node_is_selected_at_most(void **state)
{
	struct netmap_route routes[] = { route("b", "0.0.0.0", 0, 1, 1), route("b-v6", "::", 0, 1, 1),
		route("c", "0.0.0.0", 0, 2, 1), route("a", "0.0.0.0", 0, 3, 1),
		route("lan", "10.1.0.0", 16, 1, 1) };
	char *c[] = { "c" }, *b[] = { "b" }, *lan[] = { "lan" }, *all[] = { "all" };
	struct choose choose;
	char err[100];

	routes[3].skip_auto_apply = true;
	choose_init(&choose);
	set(&choose, routes, 5);		/* the first that is on by default */
	assert_true(is_on(&choose, "b") && is_on(&choose, "b-v6"));
	assert_false(is_on(&choose, "a") || is_on(&choose, "c"));
	assert_int_equal(choose_select(&choose, c, 1, true, err, sizeof(err)), 0);
	assert_true(is_on(&choose, "c") && is_on(&choose, "lan"));
	assert_false(is_on(&choose, "a") || is_on(&choose, "b") || is_on(&choose, "b-v6"));
	assert_int_equal(choose_select(&choose, b, 1, true, err, sizeof(err)), 0);
	assert_true(is_on(&choose, "b"));	/* of the user's two, the first */
	assert_false(is_on(&choose, "c"));
	/* a choice of another network says nothing about exit nodes */
	assert_int_equal(choose_deselect(&choose, b, 1, err, sizeof(err)), 0);
	assert_int_equal(choose_deselect(&choose, lan, 1, err, sizeof(err)), 0);
	assert_true(is_on(&choose, "c"));
	assert_int_equal(choose_deselect(&choose, all, 1, err, sizeof(err)), 0);
	assert_false(is_on(&choose, "a") || is_on(&choose, "b") || is_on(&choose, "c"));
	choose_done(&choose);
}

static void groups_are_listed_by_length_address_and_id_and_domains_first(void **state)
{
	char *domains[] = { "app.example.test" };
	struct netmap_route routes[] = {
		route("z", "10.0.0.0", 8, 1, 1), route("y", "192.168.1.0", 24, 1, 1),
		route("x", "10.1.2.0", 24, 1, 1), route("d", "0.0.0.0", 0, 1, 1),
	};
	struct choose choose;

	routes[3].net.family = 0;
	routes[3].domains = domains;
	routes[3].domain_count = 1;
	choose_init(&choose);
	set(&choose, routes, 4);
	assert_string_equal(choose.groups[0].net_id, "d");
	assert_string_equal(choose.groups[1].net_id, "z");
	assert_string_equal(choose.groups[2].net_id, "x");
	assert_string_equal(choose.groups[3].net_id, "y");
	assert_false(choose.groups[0].usable);	/* names are resolved by whoever asks, not by routes */
	choose_done(&choose);
}

static struct netmap map_of(struct netmap_peer *peers, size_t count, uint64_t serial)
{
	for (size_t i = 0; i < count; i++)
		peers[i].key[0] = i + 1;
	return (struct netmap){ .present = true, .serial = serial, .peers = peers, .peer_count = count };
}

static void a_map_that_takes_most_peers_away_leaves_their_ways_a_while(void **state)
{
	static const struct { size_t now, next; bool held; } cases[] = {
		{ 10, 10, false }, { 10, 5, false }, { 10, 4, true }, { 10, 0, true }, { 1, 0, true },
		{ 2, 1, false }, { 0, 0, false }, { 3, 1, true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct netmap_peer a[10] = {}, b[10] = {};
		struct netmap now = map_of(a, cases[i].now, 5), next = map_of(b, cases[i].next, 6);
		struct guard guard = {};

		assert_int_equal(guard_judge(&guard, &now, &next, 1000), cases[i].held ? GUARD_KEEP_WAYS
			: GUARD_APPLY);
		assert_int_equal(guard.is_holding, cases[i].held);
		if (!cases[i].held)
			continue;
		assert_true(*guard.why);
		assert_int_equal(guard_deadline(&guard), 1000 + GUARD_WINDOW_NS);
		/*
		 * Said again in the same breath (a stream opened anew) it goes on waiting, and not any
		 * longer for that.
		 */
		assert_int_equal(guard_judge(&guard, &now, &next, 2000), GUARD_KEEP_WAYS);
		assert_int_equal(guard_deadline(&guard), 1000 + GUARD_WINDOW_NS);
		next.serial = 7;
		assert_int_equal(guard_judge(&guard, &now, &next, 3000), GUARD_APPLY);
		assert_false(guard.is_holding);
	}
}

static void the_window_ends_and_a_good_map_ends_it_sooner(void **state)
{
	struct netmap_peer a[4] = {}, b[4] = {};
	struct netmap now = map_of(a, 4, 5), empty = map_of(b, 0, 6), good = map_of(b, 4, 6);
	struct guard guard = {};

	assert_int_equal(guard_judge(&guard, NULL, &empty, 0), GUARD_APPLY);	/* nothing to lose */
	assert_int_equal(guard_judge(&guard, &now, &empty, 0), GUARD_KEEP_WAYS);
	assert_int_equal(guard_judge(&guard, &now, &good, 1), GUARD_APPLY);
	assert_int_equal(guard_deadline(&guard), UINT64_MAX);
	assert_int_equal(guard_judge(&guard, &now, &empty, 10), GUARD_KEEP_WAYS);
	assert_int_equal(guard_judge(&guard, &now, &empty, 10 + GUARD_WINDOW_NS), GUARD_APPLY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_router_with_the_lowest_metric_carries_it_as_long_as_it_is_connected),
		cmocka_unit_test(a_little_less_latency_is_no_reason_to_move),
		cmocka_unit_test(scores_are_as_the_stock_client_computes_them),
		cmocka_unit_test(what_must_not_be_installed_is_not_used),
		cmocka_unit_test(no_ipv6_network_is_used_without_an_ipv6_address_of_our_own),
		cmocka_unit_test(the_halves_of_a_default_route_are_one_switch),
		cmocka_unit_test(one_exit_node_is_selected_at_most),
		cmocka_unit_test(a_network_that_we_serve_ourselves_is_not_taken_from_others),
		cmocka_unit_test(one_prefix_in_two_networks_goes_through_the_first),
		cmocka_unit_test(selecting_replaces_appends_and_clears),
		cmocka_unit_test(groups_are_listed_by_length_address_and_id_and_domains_first),
		cmocka_unit_test(a_map_that_takes_most_peers_away_leaves_their_ways_a_while),
		cmocka_unit_test(the_window_ends_and_a_good_map_ends_it_sooner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
