// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The plane against a kernel: desired state as differences, routes that stay, ways, and packets between two
// nodes over a simulated relay.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plane_rig.h"

#define PEERS 20

static const uint8_t seed[KEY_LEN] = { 8, 1, 2, 3 }, seed2[KEY_LEN] = { 16, 3, 2, 1 };

static struct plane_rig rig;
static struct plane_peer peers[PEERS];
static struct cidr allowed[PEERS], hosts[8];
static struct config_route routes[2];
static struct plane_state base = {
	.mesh_prefixlen = 10, .peers = peers, .peer_count = PEERS, .routes = routes, .route_count = 2,
	.host_routes = hosts, .host_route_count = 2,
};

static int isolate(void **state)
{
	return sodium_init() < 0 ? -1 : plane_rig_isolate();
}

static int set_up(void **state)
{
	memset(&rig, 0, sizeof(rig));
	plane_rig_config(&rig, seed, 64);
	base.mesh_addr = htonl(0x64400001);
	for (unsigned i = 0; i < PEERS; i++)
		plane_rig_peer(&peers[i], &allowed[i], i);
	for (unsigned i = 0; i < 2; i++) {
		routes[i] = (struct config_route){ .dst = plane_rig_network(i), .masquerade = i };
		hosts[i] = plane_rig_network(100 + i);
	}
	return plane_rig_start(&rig);
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

static uint64_t changes(void)
{
	return rig.c->map_writes + rig.c->tunnel_routes.changes;
}

struct count {
	const char *dst;
	unsigned len, found;
	__be32 prefsrc;
};

static void count_route(const struct net_route *route, void *user)
{
	struct count *count = user;

	if (route->table != RT_TABLE_MAIN || route->protocol != NET_PROTOCOL)
		return;
	if (count->dst && (route->dst.word[0] != inet_addr(count->dst) || route->prefixlen != count->len))
		return;
	count->found++;
	count->prefsrc = route->prefsrc.word[0];
}

/* Routes of ours; NULL: to anywhere. */
static unsigned routes_to(const char *dst, unsigned len)
{
	struct count count = { .dst = dst, .len = len };

	assert_int_equal(net_route_list(AF_INET, count_route, &count), 0);
	return count.found;
}

static __be32 source_of(const char *dst, unsigned len)
{
	struct count count = { .dst = dst, .len = len };

	assert_int_equal(net_route_list(AF_INET, count_route, &count), 0);
	return count.prefsrc;
}

static uint32_t allowed_to(uint32_t addr)
{
	const struct talon_lpm4 key = { 32, htonl(addr) };
	uint32_t entry;

	if (bpf_map_lookup_elem(datapath_map_fd(rig.c->dp, DATAPATH_MAP_ALLOWED4), &key, &entry))
		return PLANE_NO_PEER;
	assert_int_equal(TALON_ALLOWED_LEN(entry), 32);
	return TALON_ALLOWED_PEER(entry);
}

static void run(const char *command)
{
	if (system(command))
		fail_msg("%s", command);
}

static void a_second_apply_changes_nothing(void **state)
{
	uint64_t before;

	apply(&base);
	assert_int_equal(routes_to(NULL, 0), 3);
	assert_int_equal(rig.c->info.ready, 1);
	before = changes();
	for (int i = 0; i < 3; i++)
		apply(&base);
	assert_int_equal(changes(), before);
}

static void what_is_not_named_goes_and_its_place_is_clean(void **state)
{
	struct plane_state less = base;
	struct talon_endpoint e;
	struct endpoint path = { .family = AF_INET, .port = htons(4000),
		.remote.word[0] = inet_addr("192.0.2.77") };
	uint32_t id, again;

	apply(&base);
	id = plane_find_peer(rig.c, peers[PEERS - 1].public_key);
	assert_int_not_equal(id, PLANE_NO_PEER);
	assert_int_equal(plane_set_way(rig.c, id, PLANE_DIRECT, &path), 0);
	less.peer_count--;
	less.route_count = 0;
	less.host_route_count = 0;
	apply(&less);
	assert_int_equal(plane_find_peer(rig.c, peers[PEERS - 1].public_key), PLANE_NO_PEER);
	assert_int_equal(allowed_to(0x64400100 + PEERS - 1), PLANE_NO_PEER);
	assert_int_equal(routes_to(NULL, 0), 1);
	assert_int_equal(plane_set_way(rig.c, id, PLANE_DIRECT, &path), -ENOENT);

	plane_rig_peer(&peers[PEERS - 1], &allowed[PEERS - 1], 777);
	apply(&base);
	again = plane_find_peer(rig.c, peers[PEERS - 1].public_key);
	assert_int_equal(again, id);
	assert_int_equal(endpoints_read(&rig.c->endpoints, id, &e), 0);
	assert_int_equal(e.family, 0);
	assert_int_equal(e.flags, TALON_ENDPOINT_PINNED);
	assert_int_equal(allowed_to(0x64400100 + 777), id);
}

static void an_address_moves_from_one_peer_to_another(void **state)
{
	struct cidr was = allowed[0];

	apply(&base);
	allowed[0] = allowed[1];
	allowed[1] = was;
	apply(&base);
	assert_int_equal(allowed_to(0x64400100), plane_find_peer(rig.c, peers[1].public_key));
	assert_int_equal(allowed_to(0x64400101), plane_find_peer(rig.c, peers[0].public_key));
}

static void peers_beyond_the_room_are_left_out(void **state)
{
	static struct plane_peer many[80];
	static struct cidr many_allowed[80];
	struct plane_state more = base;
	char err[256] = "";

	for (unsigned i = 0; i < 80; i++)
		plane_rig_peer(&many[i], &many_allowed[i], i);
	more.peers = many;
	more.peer_count = 80;
	assert_int_equal(plane_apply(rig.c, &more, err, sizeof(err)), -EUSERS);
	assert_string_equal(err, "there is room for 64 peers, and 80 are wanted: 16 are left out; raise "
		"MaxPeers");
	assert_int_not_equal(plane_find_peer(rig.c, many[63].public_key), PLANE_NO_PEER);
	assert_int_equal(plane_find_peer(rig.c, many[64].public_key), PLANE_NO_PEER);
	assert_int_equal(routes_to(NULL, 0), 3);
}

static void the_mesh_address_changes_at_run_time(void **state)
{
	struct plane_state s = base;

	s.mesh_addr = 0;
	apply(&s);
	assert_int_equal(routes_to("100.64.0.0", 10), 0);
	apply(&base);
	assert_int_equal(source_of("100.64.0.0", 10), inet_addr("100.64.0.1"));
	s.mesh_addr = htonl(0x64400002);
	apply(&s);
	assert_int_equal(source_of("100.64.0.0", 10), inet_addr("100.64.0.2"));
	assert_int_equal(source_of("10.0.100.0", 24), inet_addr("100.64.0.2"));
	run("ip -br addr show dev wt0 | grep -q 100.64.0.2/32");
	run("! ip -br addr show dev wt0 | grep -q 100.64.0.1/32");
	assert_int_equal(routes_to(NULL, 0), 3);
	assert_int_equal(rig.c->map_config.mesh_addr, htonl(0x64400002));
}

static bool is_back(void *ctx)
{
	return routes_to("10.0.100.0", 24) == 1 && routes_to(NULL, 0) == 3;
}

static void routes_that_somebody_takes_away_are_back_within_a_second(void **state)
{
	apply(&base);
	plane_rig_run(&rig, 50, NULL, NULL);
	run("ip route del 10.0.100.0/24 dev wt0");
	assert_false(is_back(NULL));
	assert_true(plane_rig_run(&rig, 1000, is_back, NULL));
	run("ip addr del 100.64.0.1/32 dev wt0");	/* the kernel takes the routes with it */
	assert_true(plane_rig_run(&rig, 1000, is_back, NULL));
	run("ip link set wt0 down && ip link set wt0 up");
	assert_true(plane_rig_run(&rig, 3000, is_back, NULL));
}

static void others_routes_stay_and_some_are_never_made(void **state)
{
	struct plane_state s = base;

	run("ip route add 10.0.100.0/24 via 192.0.2.253 metric 50");
	/* everything */
	hosts[2] = (struct cidr){ .family = AF_INET };
	/* half of it, with loopback */
	hosts[3] = (struct cidr){ .family = AF_INET, .prefixlen = 1 };
	/* the gateway */
	hosts[4] = (struct cidr){ .family = AF_INET, .prefixlen = 32,
		.addr.word[0] = inet_addr("192.0.2.254") };
	/* the link's own */
	hosts[5] = (struct cidr){ .family = AF_INET, .prefixlen = 24,
		.addr.word[0] = inet_addr("192.0.2.0") };
	/* wider: harmless */
	hosts[6] = (struct cidr){ .family = AF_INET, .prefixlen = 16,
		.addr.word[0] = inet_addr("192.0.0.0") };
	s.host_route_count = 7;
	apply(&s);
	assert_int_equal(routes_to("10.0.100.0", 24), 0);
	run("ip route show 10.0.100.0/24 | grep -q 'via 192.0.2.253'");
	assert_int_equal(routes_to("0.0.0.0", 0), 0);
	assert_int_equal(routes_to("0.0.0.0", 1), 0);
	assert_int_equal(routes_to("192.0.2.254", 32), 0);
	assert_int_equal(routes_to("192.0.2.0", 24), 0);
	assert_int_equal(routes_to("192.0.0.0", 16), 1);
	assert_int_equal(routes_to("10.0.101.0", 24), 1);
	run("ip route del 10.0.100.0/24");		/* then the way is free */
	plane_rig_run(&rig, 600, NULL, NULL);
	assert_int_equal(routes_to("10.0.100.0", 24), 1);
}

static void ways_are_written_as_the_datapath_reads_them(void **state)
{
	const struct endpoint path = { .family = AF_INET, .port = htons(4000),
		.remote.word[0] = inet_addr("192.0.2.77") };
	const struct datapath_tunnel_info *link = datapath_get_relay(rig.c->dp);
	struct talon_endpoint e;
	uint32_t id;

	apply(&base);
	id = plane_find_peer(rig.c, peers[3].public_key);
	assert_int_equal(plane_set_way(rig.c, id, PLANE_DIRECT, &path), 0);
	assert_int_equal(endpoints_read(&rig.c->endpoints, id, &e), 0);
	assert_int_equal(e.flags & (TALON_ENDPOINT_PINNED | TALON_ENDPOINT_RELAY), TALON_ENDPOINT_PINNED);
	assert_int_equal(e.remote.word[0], path.remote.word[0]);
	assert_int_equal(e.local.word[0], inet_addr("192.0.2.1"));
	assert_int_equal(plane_set_way(rig.c, id, PLANE_RELAY, NULL), 0);
	assert_int_equal(endpoints_read(&rig.c->endpoints, id, &e), 0);
	assert_int_equal(e.flags & (TALON_ENDPOINT_PINNED | TALON_ENDPOINT_RELAY),
		TALON_ENDPOINT_PINNED | TALON_ENDPOINT_RELAY);
	assert_int_equal(ntohl(e.remote.word[0]), TALON_RELAY_PEER_ADDR(id));
	assert_memory_equal(e.dmac, link->far_mac, 6);
	assert_memory_equal(e.smac, link->mac, 6);
	assert_int_equal(plane_set_way(rig.c, id, PLANE_NOWHERE, NULL), 0);
	assert_int_equal(endpoints_read(&rig.c->endpoints, id, &e), 0);
	assert_int_equal(e.family, 0);
	assert_int_equal(plane_set_way(rig.c, id, PLANE_DIRECT, NULL), -EINVAL);
	assert_int_equal(plane_set_way(rig.c, 63, PLANE_NOWHERE, NULL), -ENOENT);
}

static struct talon_endpoint entry_of(uint32_t id)
{
	struct talon_endpoint e;

	assert_int_equal(endpoints_read(&rig.c->endpoints, id, &e), 0);
	return e;
}

/* As a handshake from there does. */
static void is_seen_at(uint32_t id, const struct endpoint *from)
{
	assert_int_equal(plane_device_ops.set_endpoint(rig.c, id, from), 0);
}

static void a_peer_without_a_way_roams_where_it_may_and_a_way_ends_that(void **state)
{
	const struct endpoint path = { .family = AF_INET, .port = htons(4000),
		.remote.word[0] = inet_addr("192.0.2.77") };
	struct endpoint seen = { .family = AF_INET, .port = htons(5000),
		.remote.word[0] = inet_addr("192.0.2.78") }, relay;
	struct talon_endpoint e;
	uint32_t id;

	apply(&base);
	id = plane_find_peer(rig.c, peers[2].public_key);
	is_seen_at(id, &seen);				/* nobody said that it may */
	assert_int_equal(entry_of(id).family, 0);

	assert_int_equal(plane_let_roam(rig.c, id), 0);
	pair_endpoint(id, &relay);
	is_seen_at(id, &relay);				/* nobody roams to the relay */
	assert_int_equal(entry_of(id).family, 0);
	is_seen_at(id, &seen);
	e = entry_of(id);
	assert_int_equal(e.flags & TALON_ENDPOINT_PINNED, 0);
	assert_int_equal(e.remote.word[0], seen.remote.word[0]);
	assert_int_equal(e.remote_port, seen.port);

	assert_int_equal(plane_set_way(rig.c, id, PLANE_DIRECT, &path), 0);
	is_seen_at(id, &seen);
	e = entry_of(id);
	assert_int_equal(e.flags & TALON_ENDPOINT_PINNED, TALON_ENDPOINT_PINNED);
	assert_int_equal(e.remote.word[0], path.remote.word[0]);
	assert_int_equal(plane_let_roam(rig.c, id), -EBUSY);
	is_seen_at(id, &seen);
	assert_int_equal(entry_of(id).remote.word[0], path.remote.word[0]);

	assert_int_equal(plane_set_way(rig.c, id, PLANE_NOWHERE, NULL), 0);
	is_seen_at(id, &seen);
	assert_int_equal(entry_of(id).family, 0);
	assert_int_equal(plane_let_roam(rig.c, 63), -ENOENT);
}

static void the_uplinks_addresses_are_the_candidates(void **state)
{
	struct endpoint list[4];

	assert_int_equal(plane_local_endpoints(rig.c, list, 4), 1);
	assert_int_equal(list[0].remote.word[0], inet_addr("192.0.2.1"));
	assert_int_equal(list[0].port, htons(PLANE_RIG_PORT));
}

static void a_successor_keeps_everything_until_its_first_map(void **state)
{
	struct talon_config before, after;
	uint32_t id, key = 0;

	apply(&base);
	id = plane_find_peer(rig.c, peers[5].public_key);
	assert_int_equal(bpf_map_lookup_elem(datapath_map_fd(rig.c->dp, DATAPATH_MAP_CONFIG), &key,
		&before), 0);
	plane_rig_stop(&rig);
	assert_int_equal(plane_rig_start(&rig), 0);
	assert_int_equal(plane_find_peer(rig.c, peers[5].public_key), id);
	assert_int_equal(allowed_to(0x64400105), id);
	assert_int_equal(routes_to(NULL, 0), 3);
	assert_int_equal(bpf_map_lookup_elem(datapath_map_fd(rig.c->dp, DATAPATH_MAP_CONFIG), &key,
		&after), 0);
	assert_int_equal(after.mesh_addr, before.mesh_addr);
	assert_int_equal(after.flags, before.flags);
	apply(&base);
	assert_int_equal(rig.c->map_writes, 0);
	assert_int_equal(rig.c->tunnel_routes.changes, 0);
	base.peer_count = 5;
	apply(&base);
	base.peer_count = PEERS;
	assert_int_equal(plane_find_peer(rig.c, peers[5].public_key), PLANE_NO_PEER);
}

/* Two nodes, a process and a namespace each; what their peers' ways carry goes through a socket pair. */

struct side {
	int relay;
	struct loop_fd watch;
	uint32_t peer;
	unsigned sent, received, handshakes, wanted, asked;
	bool is_wanted_to_connect;	/* when somebody wants the peer */
};

static void side_send(void *ctx, uint32_t peer, const uint8_t *bytes, size_t len)
{
	struct side *side = ctx;

	assert_int_equal(peer, side->peer);
	side->sent++;
	if (send(side->relay, bytes, len, MSG_DONTWAIT) < 0 && errno != EAGAIN)
		exit(3);
}

static void side_handshake(void *ctx, uint32_t peer)
{
	((struct side *)ctx)->handshakes++;
}

static void side_wanted(void *ctx, uint32_t peer)
{
	struct side *side = ctx;

	side->wanted++;
	if (side->is_wanted_to_connect)
		plane_set_way(rig.c, peer, PLANE_RELAY, NULL);
}

static void side_receive(void *ctx, uint32_t events)
{
	struct side *side = ctx;
	uint8_t bytes[2048];
	ssize_t len;

	while ((len = recv(side->relay, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
		side->received++;
		plane_relay_receive(rig.c, side->peer, bytes, len);
	}
	if (len == 0)
		loop_stop(rig.c->loop);
}

/* @own: the last byte of our mesh address. The other side is the only peer. */
static void side_open(struct side *side, int relay, unsigned own, const uint8_t other_seed[static KEY_LEN])
{
	static const struct plane_events events = { .relay_send = side_send, .handshake = side_handshake,
		.wanted = side_wanted };
	struct cidr other = { .family = AF_INET, .prefixlen = 32,
		.addr.word[0] = htonl(0x64400003 - own) };
	struct plane_peer peer = { .allowed = &other, .allowed_count = 1 };
	struct plane_state s = { .mesh_addr = htonl(0x64400000 + own), .mesh_prefixlen = 10, .peers = &peer,
		.peer_count = 1 };

	crypto_scalarmult_base(peer.public_key, other_seed);
	memset(peer.preshared_key.bytes, 7, KEY_LEN);
	plane_set_events(rig.c, &events, side);
	apply(&s);
	side->peer = plane_find_peer(rig.c, peer.public_key);
	side->relay = relay;
	assert_int_equal(loop_fd_add(rig.c->loop, &side->watch, relay, EPOLLIN, side_receive, side), 0);
}

/* The other node: runs until the socket pair is closed. */
static void be_the_other(int relay)
{
	struct side side = {};

	memset(&rig, 0, sizeof(rig));
	if (plane_rig_isolate())
		_exit(2);
	plane_rig_config(&rig, seed2, 64);
	if (plane_rig_start(&rig))
		_exit(2);
	side_open(&side, relay, 2, seed);
	plane_set_way(rig.c, side.peer, PLANE_RELAY, NULL);
	loop_run(rig.c->loop);
	_exit(plane_rig_down(&rig) ? 2 : 0);
}

static bool has_ended(void *ctx)
{
	pid_t *pid = ctx;
	int status;

	if (*pid && waitpid(*pid, &status, WNOHANG) == *pid) {
		*pid = 0;
		assert_int_equal(status, 0);
	}
	return !*pid;
}

/* While the loop runs. */
static void run_beside(const char *command)
{
	char *argv[] = { "sh", "-c", (char *)command, NULL };
	pid_t pid;

	assert_int_equal(posix_spawnp(&pid, "sh", NULL, NULL, argv, environ), 0);
	assert_true(plane_rig_run(&rig, 10000, has_ended, &pid));
}

static bool has_relay_link(void *ctx)
{
	struct net_link link;

	return !net_link_get("wt0r", &link) && link.xdp_prog_id;
}

static void two_nodes_speak_over_a_relay(void **state)
{
	struct side side = { .is_wanted_to_connect = true };
	struct plane_facts facts;
	int pair[2], status;
	pid_t other;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	other = fork();
	if (!other) {
		close(pair[0]);
		be_the_other(pair[1]);
	}
	close(pair[1]);
	side_open(&side, pair[0], 1, seed2);
	assert_int_equal(plane_get_facts(rig.c, side.peer, &facts), 0);
	assert_int_equal(facts.rx_relay_ns, 0);
	/* There is no way yet: the first packet triggers one, waits, and is answered. */
	run_beside("ping -q -c 3 -i 0.2 -W 5 100.64.0.2 >/dev/null");
	assert_in_range(side.wanted, 1, 3);
	assert_int_equal(side.handshakes, 1);
	assert_int_equal(plane_get_facts(rig.c, side.peer, &facts), 0);
	assert_true(facts.has_session);
	assert_int_not_equal(facts.rx_relay_ns, 0);
	assert_int_equal(facts.rx_direct_ns, 0);
	run_beside("ping -q -c 200 -i 0.002 -s 1200 -W 2 100.64.0.2 | grep -q ' 0% packet loss'");
	assert_true(side.sent >= 200 && side.received >= 200);

	/* Forgotten and spoken to again. */
	plane_reset_peer(rig.c, side.peer);
	run_beside("ping -q -c 1 -W 5 100.64.0.2 >/dev/null");
	assert_int_equal(side.handshakes, 2);

	/* A relay pair that was removed is made again, and the ways over it are repaired. */
	run("ip link del wt0r");
	assert_true(plane_rig_run(&rig, 4000, has_relay_link, NULL));
	run_beside("ping -q -c 3 -i 0.2 -W 5 100.64.0.2 >/dev/null");

	loop_fd_remove(rig.c->loop, &side.watch);
	close(pair[0]);
	assert_int_equal(waitpid(other, &status, 0), other);
	assert_int_equal(status, 0);
}

static void junk_from_a_relay_is_harmless(void **state)
{
	uint8_t bytes[1500];

	apply(&base);
	for (unsigned i = 0; i < 500; i++) {
		size_t len = randombytes_uniform(sizeof(bytes));

		randombytes_buf(bytes, len);
		if (len)
			bytes[0] = i % 6;
		plane_relay_receive(rig.c, i % 3 ? 0 : randombytes_random(), bytes, len);
	}
	plane_rig_run(&rig, 50, NULL, NULL);
	assert_int_not_equal(rig.c->pair.rx, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_second_apply_changes_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_not_named_goes_and_its_place_is_clean, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(an_address_moves_from_one_peer_to_another, set_up, tear_down),
		cmocka_unit_test_setup_teardown(peers_beyond_the_room_are_left_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_mesh_address_changes_at_run_time, set_up, tear_down),
		cmocka_unit_test_setup_teardown(routes_that_somebody_takes_away_are_back_within_a_second,
			set_up, tear_down),
		cmocka_unit_test_setup_teardown(others_routes_stay_and_some_are_never_made, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(a_peer_without_a_way_roams_where_it_may_and_a_way_ends_that,
			set_up, tear_down),
		cmocka_unit_test_setup_teardown(ways_are_written_as_the_datapath_reads_them, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(the_uplinks_addresses_are_the_candidates, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_successor_keeps_everything_until_its_first_map, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(two_nodes_speak_over_a_relay, set_up, tear_down),
		cmocka_unit_test_setup_teardown(junk_from_a_relay_is_harmless, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, isolate, NULL);
}
