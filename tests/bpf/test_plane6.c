// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// IPv6 inside the tunnel as the controller prepares it: maps, addresses and routes, and hosts that
// refuse them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/if_addr.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include "plane_rig.h"

static const uint8_t seed[KEY_LEN] = { 8, 1, 2, 3 };

static struct plane_rig rig;
static struct plane_peer peers[2];
static struct cidr allowed[2][2], hosts[3];
static struct config_route routes[2];
static struct plane_state base = {
	.mesh_prefixlen = 10, .mesh_prefixlen6 = 64, .peers = peers, .peer_count = 2, .routes = routes,
	.route_count = 2, .host_routes = hosts, .host_route_count = 2,
};
static unsigned network_notices;

static struct talon_addr addr_of(const char *text)
{
	struct talon_addr addr;

	assert_int_equal(inet_pton(AF_INET6, text, &addr), 1);
	return addr;
}

static struct cidr net_of(const char *text, unsigned len)
{
	return (struct cidr){ .family = AF_INET6, .prefixlen = len, .addr = addr_of(text) };
}

static void run(const char *command)
{
	if (system(command))
		fail_msg("%s", command);
}

static int isolate(void **state)
{
	return sodium_init() < 0 ? -1 : plane_rig_isolate();
}

static void note_network(void *ctx)
{
	network_notices++;
}

static int set_up(void **state)
{
	static const struct plane_events events = { .network = note_network };
	int ret;

	memset(&rig, 0, sizeof(rig));
	plane_rig_config(&rig, seed, 64);
	base.mesh_addr = htonl(0x64400001);
	base.mesh_addr6 = addr_of("fd12:34::1");
	for (unsigned i = 0; i < 2; i++) {
		plane_rig_peer(&peers[i], &allowed[i][0], i);
		allowed[i][1] = net_of(i ? "fd12:34::b" : "fd12:34::a", 128);
		peers[i].allowed_count = 2;
	}
	routes[0] = (struct config_route){ .dst = net_of("2001:db8:77::", 48), .masquerade = true };
	routes[1] = (struct config_route){ .dst = net_of("2001:db8:78::", 48) };
	hosts[0] = net_of("fd99::", 32);
	hosts[1] = net_of("fd12:34::b", 128);	/* in the mesh's network */
	hosts[2] = net_of("fd98::", 32);
	base.host_route_count = 2;
	run("ip addr replace 2001:db8:1::5/64 dev u0 nodad; ip -6 route replace default via 2001:db8:1::1");
	ret = plane_rig_start(&rig);
	if (!ret)
		plane_set_events(rig.c, &events, NULL);
	return ret;
}

static int tear_down(void **state)
{
	return plane_rig_down(&rig);
}

static void apply(const struct plane_state *s)
{
	char err[256] = "";

	if (plane_apply(rig.c, s, err, sizeof(err)))
		fail_msg("plane_apply: %s", err);
}

static struct talon_config config(void)
{
	struct talon_config config;
	uint32_t key = 0;

	assert_int_equal(bpf_map_lookup_elem(datapath_map_fd(rig.c->dp, DATAPATH_MAP_CONFIG), &key,
		&config), 0);
	return config;
}

/* Looks @addr up in an LPM trie as the datapath does. */
static bool lookup(enum datapath_map map, const char *addr, void *ret_value)
{
	const struct talon_lpm6 key = { .prefixlen = 128, .addr = addr_of(addr) };

	return !bpf_map_lookup_elem(datapath_map_fd(rig.c->dp, map), &key, ret_value);
}

static uint32_t allowed_to(const char *addr)
{
	uint32_t entry;

	if (!lookup(DATAPATH_MAP_ALLOWED6, addr, &entry))
		return PLANE_NO_PEER;
	assert_int_equal(TALON_ALLOWED_LEN(entry), 128);
	return TALON_ALLOWED_PEER(entry);
}

struct search {
	struct talon_addr addr;
	unsigned len, found, all;
	uint32_t flags;
	struct talon_addr prefsrc;
};

static void take_route(const struct net_route *route, void *user)
{
	struct search *search = user;

	if (route->table != RT_TABLE_MAIN || route->protocol != NET_PROTOCOL)
		return;
	search->all++;
	if (route->prefixlen != search->len || memcmp(&route->dst, &search->addr, sizeof(route->dst)))
		return;
	search->found++;
	search->prefsrc = route->prefsrc;
}

static struct search ours(const char *dst, unsigned len)
{
	struct search search = { .addr = addr_of(dst), .len = len };

	assert_int_equal(net_route_list(AF_INET6, take_route, &search), 0);
	return search;
}

static void take_addr(const struct net_addr *addr, void *user)
{
	struct search *search = user;

	if (addr->family != AF_INET6 || addr->ifindex != datapath_get_tunnel(rig.c->dp)->ifindex)
		return;
	search->all++;
	if (addr->prefixlen != 128 || memcmp(&addr->addr, &search->addr, sizeof(addr->addr)))
		return;
	search->found++;
	search->flags = addr->flags;
}

static struct search on_tunnel(const char *text)
{
	struct search search = { .addr = addr_of(text) };

	assert_int_equal(net_addr_list(take_addr, &search), 0);
	return search;
}

/* The kernel makes the route to it in a moment. */
static bool mesh_address_is_own(void *ctx)
{
	const struct talon_addr addr = addr_of("fd12:34::1");
	struct talon_host_route6 host;
	uint8_t mark;

	return lookup(DATAPATH_MAP_HOST6, "fd12:34::1", &host) && host.kind == TALON_HOST_LOCAL &&
		!bpf_map_lookup_elem(datapath_map_fd(rig.c->dp, DATAPATH_MAP_LOCAL_ADDRS), &addr, &mark);
}

static void the_desired_state_is_in_the_maps_and_in_the_host(void **state)
{
	const struct talon_addr mesh = addr_of("fd12:34::1"), node = addr_of("2001:db8:1::5");
	struct talon_host_route6 host;
	struct talon_route route;
	struct talon_config mc;
	struct search found;

	apply(&base);
	assert_int_equal(allowed_to("fd12:34::a"), plane_find_peer(rig.c, peers[0].public_key));
	assert_int_equal(allowed_to("fd12:34::b"), plane_find_peer(rig.c, peers[1].public_key));
	assert_int_equal(allowed_to("fd12:34::c"), PLANE_NO_PEER);
	assert_true(lookup(DATAPATH_MAP_ROUTES6, "2001:db8:77::1", &route));
	assert_int_equal(route.flags, TALON_ROUTE_MASQUERADE);
	assert_int_equal(route.prefixlen, 48);
	assert_true(lookup(DATAPATH_MAP_ROUTES6, "2001:db8:78::1", &route));
	assert_int_equal(route.flags, 0);
	assert_true(lookup(DATAPATH_MAP_HOST6, "2001:db8:99::1", &host));
	assert_int_equal(host.kind, TALON_HOST_UNICAST);
	assert_memory_equal(&host.source, &node, sizeof(node));
	assert_true(lookup(DATAPATH_MAP_HOST6, "fd99::5", &host));
	assert_int_equal(host.flags, TALON_HOST_TUNNEL);
	assert_true(plane_rig_run(&rig, 10000, mesh_address_is_own, NULL));

	mc = config();
	assert_int_equal(mc.flags & (TALON_F_INNER6 | TALON_F_PLAIN_ROUTES6 | TALON_F_PLAIN_ROUTES),
		TALON_F_INNER6 | TALON_F_PLAIN_ROUTES6);
	assert_memory_equal(&mc.mesh_addr6, &mesh, sizeof(mesh));
	assert_int_equal(mc.mesh_len6, 64);
	assert_memory_equal(&mc.node_addr6, &node, sizeof(node));

	found = on_tunnel("fd12:34::1");
	assert_int_equal(found.found, 1);
	assert_int_equal(found.all, 1);		/* no link-local one */
	assert_true(found.flags & IFA_F_NODAD);
	assert_false(found.flags & IFA_F_TENTATIVE);
	found = ours("fd12:34::", 64);
	assert_int_equal(found.found, 1);
	assert_int_equal(found.all, 2);
	assert_memory_equal(&found.prefsrc, &mesh, sizeof(mesh));
	assert_int_equal(ours("fd99::", 32).found, 1);
	assert_string_equal(plane_why_no_ipv6(rig.c), "");
}

static void a_second_apply_changes_nothing(void **state)
{
	uint64_t before;

	apply(&base);
	before = rig.c->map_writes + rig.c->tunnel_routes.changes;
	apply(&base);
	apply(&base);
	assert_int_equal(rig.c->map_writes + rig.c->tunnel_routes.changes, before);
}

static void without_a_mesh_address_nothing_of_it_stays(void **state)
{
	struct plane_state four = base;
	struct talon_host_route6 host;

	apply(&base);
	memset(&four.mesh_addr6, 0, sizeof(four.mesh_addr6));
	four.route_count = four.host_route_count = 0;
	peers[0].allowed_count = peers[1].allowed_count = 1;
	apply(&four);
	assert_false(config().flags & (TALON_F_INNER6 | TALON_F_PLAIN_ROUTES6));
	assert_int_equal(allowed_to("fd12:34::a"), PLANE_NO_PEER);
	assert_false(lookup(DATAPATH_MAP_HOST6, "2001:db8:99::1", &host));
	assert_int_equal(on_tunnel("fd12:34::1").all, 0);
	assert_int_equal(ours("::", 0).all, 0);
}

static void a_successor_keeps_everything_until_its_first_map(void **state)
{
	struct talon_config before, after;
	uint32_t id;

	apply(&base);
	before = config();
	id = plane_find_peer(rig.c, peers[1].public_key);
	plane_rig_stop(&rig);
	assert_int_equal(plane_rig_start(&rig), 0);
	after = config();
	assert_int_equal(after.flags, before.flags);
	assert_memory_equal(&after.mesh_addr6, &before.mesh_addr6, sizeof(after.mesh_addr6));
	assert_memory_equal(&after.node_addr6, &before.node_addr6, sizeof(after.node_addr6));
	assert_int_equal(allowed_to("fd12:34::b"), id);
	apply(&base);
	assert_int_equal(rig.c->map_writes, 0);
	assert_int_equal(rig.c->tunnel_routes.changes, 0);
	base.peer_count = 1;
	apply(&base);
	base.peer_count = 2;
	assert_int_equal(allowed_to("fd12:34::b"), PLANE_NO_PEER);
}

static bool routes_are_back(void *ctx)
{
	return ours("fd99::", 32).found && ours("fd12:34::", 64).found && on_tunnel("fd12:34::1").found;
}

static void what_somebody_takes_away_is_put_back(void **state)
{
	apply(&base);
	run("ip -6 route del fd99::/32 dev wt0");
	assert_true(plane_rig_run(&rig, 10000, routes_are_back, NULL));
	run("ip addr del fd12:34::1/128 dev wt0");
	assert_true(plane_rig_run(&rig, 10000, routes_are_back, NULL));
	run("ip link set wt0 down");
	assert_true(plane_rig_run(&rig, 10000, routes_are_back, NULL));
}

static void others_routes_stay_and_some_are_never_made(void **state)
{
	static const struct { const char *addr; unsigned len; } never[] = {
		{ "::", 0 }, { "::", 1 }, { "8000::", 1 }, { "fe80::", 10 }, { "fe80::", 64 },
		{ "ff05::", 16 },
		{ "::ffff:0:0", 96 }, { "::1", 128 },
	};
	struct plane_state s = base;

	run("ip -6 route add fd98::/32 via 2001:db8:1::9 metric 2000");
	s.host_route_count = 3;
	apply(&s);
	assert_int_equal(ours("fd98::", 32).found, 0);
	assert_true(plane_is_left_out(rig.c, &hosts[2]));
	assert_false(plane_is_left_out(rig.c, &hosts[0]));
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
		struct cidr net = net_of(never[i].addr, never[i].len);

		s.host_routes = &net;
		s.host_route_count = 1;
		apply(&s);
		assert_int_equal(ours(never[i].addr, never[i].len).found, 0);
	}
	run("ip -6 route del fd98::/32 via 2001:db8:1::9 metric 2000");
}

static bool carries_no_ipv6(void *ctx)
{
	return !(config().flags & TALON_F_INNER6);
}

static bool carries_ipv6(void *ctx)
{
	return config().flags & TALON_F_INNER6;
}

static void where_the_kernel_refuses_ipv6_ipv4_goes_on(void **state)
{
	const struct talon_lpm4 key = { 32, htonl(0x64400100) };
	uint32_t entry;

	run("sysctl -qw net.ipv6.conf.wt0.disable_ipv6=1");
	apply(&base);
	assert_true(carries_no_ipv6(NULL));
	assert_string_equal(plane_why_no_ipv6(rig.c), "net.ipv6.conf.wt0.disable_ipv6=1");
	assert_int_equal(bpf_map_lookup_elem(datapath_map_fd(rig.c->dp, DATAPATH_MAP_ALLOWED4), &key,
		&entry), 0);
	network_notices = 0;
	run("sysctl -qw net.ipv6.conf.wt0.disable_ipv6=0");
	assert_true(plane_rig_run(&rig, 10000, carries_ipv6, NULL));
	assert_true(routes_are_back(NULL));
	assert_string_equal(plane_why_no_ipv6(rig.c), "");
	plane_rig_run(&rig, 50, NULL, NULL);
	assert_int_not_equal(network_notices, 0);	/* a mesh hears of it */
	run("sysctl -qw net.ipv6.conf.wt0.disable_ipv6=1");
	assert_true(plane_rig_run(&rig, 10000, carries_no_ipv6, NULL));
	assert_string_equal(plane_why_no_ipv6(rig.c), "net.ipv6.conf.wt0.disable_ipv6=1");
}

static bool says_why_not(void *ctx)
{
	return !strcmp(plane_why_not(rig.c), ctx);
}

static void a_host_that_does_not_forward_ipv6_says_so(void **state)
{
	char *off = "net.ipv6.conf.all.forwarding=0: the kernel forwards no IPv6 that comes in by u0; run "
		"sysctl -w net.ipv6.conf.all.forwarding=1";
	struct plane_state s = base;

	run("sysctl -qw net.ipv6.conf.all.forwarding=0");
	apply(&base);
	assert_true(plane_rig_run(&rig, 10000, says_why_not, off));
	assert_non_null(strstr(rig.c->info.hazards, off));
	assert_true(rig.c->info.blocks & TALON_BLOCK_FORWARDING);
	s.route_count = 0;		/* no network, no need to forward */
	apply(&s);
	assert_true(plane_rig_run(&rig, 10000, says_why_not, ""));
	apply(&base);
	assert_true(plane_rig_run(&rig, 10000, says_why_not, off));
	run("sysctl -qw net.ipv6.conf.all.forwarding=1");
	assert_true(plane_rig_run(&rig, 10000, says_why_not, ""));
	assert_null(strstr(rig.c->info.hazards, off));
}

static void an_mtu_below_1280_carries_ipv4_only(void **state)
{
	plane_rig_down(&rig);
	plane_rig_config(&rig, seed, 64);
	rig.config.mtu = 1279;
	assert_int_equal(plane_rig_start(&rig), 0);
	apply(&base);
	assert_true(carries_no_ipv6(NULL));
	assert_string_equal(plane_why_no_ipv6(rig.c), "MTU = 1279 is below 1280, the least that IPv6 takes");
}

/* What the host sends to a peer comes out at the far end at once, and nothing else does. */
static void no_neighbour_is_asked_for_on_the_tunnel(void **state)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = datapath_get_tunnel(rig.c->dp)->far_ifindex };
	struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_port = htons(9) };
	int seen = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)), out = socket(AF_INET6, SOCK_DGRAM, 0);
	struct timeval patience = { .tv_sec = 10 };
	uint8_t frame[2000];

	assert_int_equal(bind(seen, (struct sockaddr *)&at, sizeof(at)), 0);
	setsockopt(seen, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	apply(&base);
	assert_int_equal(inet_pton(AF_INET6, "fd12:34::b", &to.sin6_addr), 1);
	assert_int_equal(sendto(out, "hello", 5, 0, (struct sockaddr *)&to, sizeof(to)), 5);
	for (bool is_there = false; !is_there;) {
		ssize_t len = recv(seen, frame, sizeof(frame), 0);

		if (len < 0)
			fail_msg("the packet did not come out");
		if (frame[12] != 0x86 || frame[13] != 0xdd)
			continue;
		if (frame[ETH_HLEN + 6] == IPPROTO_ICMPV6)
			fail_msg("ICMPv6 of type %u", frame[ETH_HLEN + 40]);
		if (frame[ETH_HLEN + 6] == IPPROTO_HOPOPTS)
			fail_msg("multicast listener discovery");
		is_there = frame[ETH_HLEN + 6] == IPPROTO_UDP && frame[ETH_HLEN + 24 + 15] == 0xb;
	}
	close(seen);
	close(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_desired_state_is_in_the_maps_and_in_the_host, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(a_second_apply_changes_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_a_mesh_address_nothing_of_it_stays, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(a_successor_keeps_everything_until_its_first_map, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(what_somebody_takes_away_is_put_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(others_routes_stay_and_some_are_never_made, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(where_the_kernel_refuses_ipv6_ipv4_goes_on, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(a_host_that_does_not_forward_ipv6_says_so, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_mtu_below_1280_carries_ipv4_only, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_neighbour_is_asked_for_on_the_tunnel, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, isolate, NULL);
}
