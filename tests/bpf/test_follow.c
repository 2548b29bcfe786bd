// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The controller follows the host's network: addresses that go, next hops that no other process uses, paths
// that become narrow. The test chooses the ways, as a mesh does.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/neighbour.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bpf/pkt.h"
#include "plane_rig.h"

static const uint8_t seed[KEY_LEN] = { 8, 1, 2, 3 };

static struct plane_rig rig;
static struct plane_peer peer;
static struct cidr allowed;
static struct plane_state base = { .mesh_prefixlen = 10, .peers = &peer, .peer_count = 1 };
static uint32_t id;

static int isolate(void **state)
{
	if (sodium_init() < 0 || plane_rig_isolate())
		return -1;
	return system("ip addr add 2001:db8::1/64 dev u0 nodad && ip -6 route add default via 2001:db8::fe "
		"dev u0");
}

static int set_up(void **state)
{
	char err[256] = "";

	memset(&rig, 0, sizeof(rig));
	plane_rig_config(&rig, seed, 64);
	base.mesh_addr = htonl(0x64400001);
	plane_rig_peer(&peer, &allowed, 0);
	if (plane_rig_start(&rig) || plane_apply(rig.c, &base, err, sizeof(err)))
		return -1;
	id = plane_find_peer(rig.c, peer.public_key);
	plane_rig_run(&rig, 100, NULL, NULL);
	return 0;
}

static int tear_down(void **state)
{
	return plane_rig_down(&rig);
}

static void run(const char *command)
{
	if (system(command))
		fail_msg("%s", command);
}

static struct talon_endpoint read_way(void)
{
	struct talon_endpoint e;

	assert_int_equal(endpoints_read(&rig.c->endpoints, id, &e), 0);
	return e;
}

static void set_way(const struct endpoint *path)
{
	assert_int_equal(plane_set_way(rig.c, id, PLANE_DIRECT, path), 0);
}

static bool local_is(void *ctx)
{
	struct endpoint known;
	struct talon_endpoint e = read_way();

	return !memcmp(&e.local, ctx, sizeof(e.local)) && !device_get_peer_endpoint(rig.c->device, id,
		&known) && !memcmp(&known.local, ctx, sizeof(known.local));
}

static void a_chosen_way_follows_when_its_address_goes(void **state)
{
	const struct endpoint path = { .family = AF_INET, .port = htons(4000),
		.remote.word[0] = inet_addr("192.0.2.77") };
	struct talon_addr old = { .word = { inet_addr("192.0.2.1") } },
		new = { .word = { inet_addr("192.0.2.5") } };

	set_way(&path);
	assert_true(local_is(&old));
	run("ip addr del 192.0.2.1/24 dev u0 && ip addr add 192.0.2.5/24 dev u0");
	assert_true(plane_rig_run(&rig, 1000, local_is, &new));
	assert_int_equal(read_way().flags & TALON_ENDPOINT_PINNED, TALON_ENDPOINT_PINNED);
	assert_int_equal(read_way().remote.word[0], path.remote.word[0]);
	assert_int_equal(rig.c->map_config.node_addr, new.word[0]);
	run("ip addr del 192.0.2.5/24 dev u0 && ip addr add 192.0.2.1/24 dev u0 && ip route replace default "
		"via 192.0.2.254");
	assert_true(plane_rig_run(&rig, 1000, local_is, &old));
}

static void a_chosen_way_over_ipv6_follows_too(void **state)
{
	struct endpoint path = { .family = AF_INET6, .port = htons(4000) };
	struct talon_addr old, new;

	inet_pton(AF_INET6, "2001:db8::77", &path.remote);
	inet_pton(AF_INET6, "2001:db8::1", &old);
	inet_pton(AF_INET6, "2001:db8::5", &new);
	set_way(&path);
	assert_true(local_is(&old));
	run("ip addr del 2001:db8::1/64 dev u0 && ip addr add 2001:db8::5/64 dev u0 nodad");
	assert_true(plane_rig_run(&rig, 1000, local_is, &new));
	run("ip addr del 2001:db8::5/64 dev u0 && ip addr add 2001:db8::1/64 dev u0 nodad");
	assert_true(plane_rig_run(&rig, 1000, local_is, &old));
}

static void an_address_that_is_not_ours_is_never_chosen(void **state)
{
	struct endpoint path = {
		.family = AF_INET, .port = htons(4000), .remote.word[0] = inet_addr("192.0.2.77"),
		.local.word[0] = inet_addr("192.0.2.99"),
	};

	set_way(&path);
	assert_int_equal(read_way().local.word[0], inet_addr("192.0.2.1"));
	/* The controller's own datagrams leave, too: Linux 6.18 answers ENETUNREACH for such a source. */
	assert_int_equal(socket_send(rig.c, &path, "x", 1), 0);
}

static bool is_asked(void *ctx)
{
	struct talon_addr addr = { .word = { inet_addr(ctx) } };
	struct net_neigh neigh;

	return !net_neigh_get(rig.c->map_config.uplinks[0], AF_INET, &addr, &neigh) &&
		neigh.state & NUD_PROBE;
}

static bool is_unused(void *ctx)
{
	uint64_t used;

	return bpf_map_lookup_elem(datapath_map_fd(rig.c->dp, DATAPATH_MAP_NEXT_HOPS), ctx, &used) != 0;
}

static void put_hop(struct talon_next_hop *hop, const char *addr, uint64_t used_ns)
{
	*hop = (struct talon_next_hop){
		.ifindex = rig.c->map_config.uplinks[0], .family = AF_INET, .addr.word[0] = inet_addr(addr),
	};
	assert_int_equal(bpf_map_update_elem(datapath_map_fd(rig.c->dp, DATAPATH_MAP_NEXT_HOPS), hop,
		&used_ns, BPF_ANY), 0);
}

static void stale_next_hops_are_asked_as_long_as_they_are_used(void **state)
{
	struct talon_next_hop used, old;

	run("ip neigh replace 192.0.2.61 lladdr 02:00:00:00:00:61 dev u0 nud stale");
	run("ip neigh replace 192.0.2.62 lladdr 02:00:00:00:00:62 dev u0 nud stale");
	put_hop(&used, "192.0.2.61", clock_boot_ns());
	put_hop(&old, "192.0.2.62", 1);
	assert_true(plane_rig_run(&rig, 3000, is_asked, "192.0.2.61"));
	assert_true(plane_rig_run(&rig, 3000, is_unused, &old));
	assert_false(is_unused(&used));
	assert_false(is_asked("192.0.2.62"));
	run("ip neigh del 192.0.2.61 dev u0; ip neigh del 192.0.2.62 dev u0");
}

/* A frame received on the uplink. */
static void receive(const struct packet *ip)
{
	static const uint8_t router[6] = { 2, 0, 0, 0, 0, 0xfe };
	int fd = socket(AF_PACKET, SOCK_RAW, 0);
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = if_nametoindex("u1"),
		.sll_halen = 6 };
	struct net_link link;
	struct packet frame;

	assert_int_equal(net_link_get("u0", &link), 0);
	frame = pkt_ether(link.mac, router, ETH_P_IP, ip);
	assert_int_equal(sendto(fd, frame.bytes, frame.len, 0, (struct sockaddr *)&to, sizeof(to)),
		frame.len);
	close(fd);
}

static bool mtu_is(void *ctx)
{
	return read_way().mtu == *(uint16_t *)ctx;
}

static void icmp_about_sealed_packets_narrows_the_path(void **state)
{
	const struct endpoint path = { .family = AF_INET, .port = htons(4000),
		.remote.word[0] = inet_addr("198.51.100.9") };
	struct packet sealed = PKT(.src = ip4("192.0.2.1"), .dst = ip4("198.51.100.9"), .proto = 17,
		.sport = PLANE_RIG_PORT, .dport = 4000, .payload = 1300);
	struct packet other = PKT(.src = ip4("192.0.2.1"), .dst = ip4("198.51.100.9"), .proto = 17,
		.sport = PLANE_RIG_PORT + 1, .dport = 4000, .payload = 1300);
	struct packet error = pkt_icmp_error(ip4("192.0.2.254"), ip4("192.0.2.1"), 3, 4, 1000, &other, 28);
	uint16_t narrow = 940, wide = 1440;

	set_way(&path);
	receive(&error);	/* about somebody else's packet */
	assert_false(plane_rig_run(&rig, 400, mtu_is, &narrow));
	error = pkt_icmp_error(ip4("192.0.2.254"), ip4("192.0.2.1"), 3, 4, 1000, &sealed, 28);
	receive(&error);
	assert_true(plane_rig_run(&rig, 1000, mtu_is, &narrow));
	/* the error is not the next sender's */
	assert_int_equal(socket_send(rig.c, &path, "x", 1), 0);
	run("ip route flush cache");
	pmtu_refresh(rig.c);
	assert_true(mtu_is(&wide));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_chosen_way_follows_when_its_address_goes, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(a_chosen_way_over_ipv6_follows_too, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_address_that_is_not_ours_is_never_chosen, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(stale_next_hops_are_asked_as_long_as_they_are_used, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(icmp_about_sealed_packets_narrows_the_path, set_up,
			tear_down),
	};

	return cmocka_run_group_tests_name("follow", tests, isolate, NULL);
}
