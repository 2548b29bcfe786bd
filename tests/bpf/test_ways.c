// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The ways out of a host under a running controller: its address, devices and their MTUs, side devices, the
// onward program.
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "datapath/internal.h"
#include "plane_rig.h"

#define TCX_INGRESS	46
#define PATIENCE_MS	5000

static const uint8_t seed[KEY_LEN] = { 8, 1, 2, 3 };

static struct plane_rig rig;
static struct cidr local;
static struct config_route routes[2];
static struct plane_state base = { .mesh_prefixlen = 10, .routes = routes };

static int isolate(void **state)
{
	if (sodium_init() < 0 || plane_rig_isolate())
		return -1;
	/*
	 * Names of namespaces are private to this process, so that leftovers of an aborted test do no harm.
	 */
	return system("mkdir -p /run/netns && mount -t tmpfs none /run/netns");
}

static void run(const char *command)
{
	if (system(command))
		fail_msg("%s", command);
}

static int configure(void **state)
{
	memset(&rig, 0, sizeof(rig));
	plane_rig_config(&rig, seed, 64);
	base.mesh_addr = htonl(0x64400001);
	base.route_count = 0;
	return 0;
}

static int set_up(void **state)
{
	configure(state);
	return plane_rig_start(&rig);
}

static int tear_down(void **state)
{
	int ret = plane_rig_down(&rig);

	return system("ip link del s0 2>/dev/null; ip link del t0 2>/dev/null; ip addr flush dev u0; ip addr "
		"flush dev lo scope global;ethtool -K u1 gro off >/dev/null 2>&1; ip addr add 192.0.2.1/24 "
		"dev u0; ip route replace default via 192.0.2.254") ? -1 : ret;
}

static struct cidr net(const char *addr, unsigned len)
{
	return (struct cidr){ .family = AF_INET, .prefixlen = len, .addr.word[0] = inet_addr(addr) };
}

static void serve(const char *addr, unsigned len, bool masquerade)
{
	routes[base.route_count++] = (struct config_route){ .dst = net(addr, len), .masquerade = masquerade };
}

static void apply(void)
{
	char err[256] = "";

	if (plane_apply(rig.c, &base, err, sizeof(err)))
		fail_msg("plane_apply: %s", err);
}

/* The loop runs until @condition holds. */
static bool always_false(void *ctx)
{
	return false;
}

#define wait_for(condition)										\
	do {												\
		uint64_t until = clock_boot_ns() + PATIENCE_MS * LOOP_MS;				\
		while (!(condition)) {									\
			if (clock_boot_ns() > until)							\
				fail_msg("%s:%d: still not: %s", __FILE__, __LINE__, #condition);	\
			plane_rig_run(&rig, 10, always_false, NULL);					\
		}											\
	} while (0)

static uint32_t index_of(const char *device)
{
	struct net_link link;

	return net_link_get(device, &link) ? 0 : link.ifindex;
}

/* What map links says; all ones: nothing. */
static uint32_t flags_of(const char *device)
{
	uint32_t key = index_of(device);
	struct talon_link link;

	return bpf_map_lookup_elem(datapath_map_fd(rig.c->dp, DATAPATH_MAP_LINKS), &key, &link) ? ~0U
		: link.flags;
}

static __be32 source_of(const char *device)
{
	uint32_t key = index_of(device);
	struct talon_link link = {};

	bpf_map_lookup_elem(datapath_map_fd(rig.c->dp, DATAPATH_MAP_LINKS), &key, &link);
	return link.source;
}

static bool has_flag(const char *device, uint32_t flag)
{
	uint32_t flags = flags_of(device);

	return flags != ~0U && flags & flag;
}

static unsigned programs_at(const char *device)
{
	uint32_t count = 8, ids[8] = {};

	return bpf_prog_query(index_of(device), TCX_INGRESS, 0, NULL, ids, &count) ? 0 : count;
}

static uint32_t program_at(const char *device)
{
	uint32_t count = 8, ids[8] = {};

	return bpf_prog_query(index_of(device), TCX_INGRESS, 0, NULL, ids, &count) ? 0 : ids[0];
}

static struct talon_host_route answer(const char *addr)
{
	const struct talon_lpm4 key = { .prefixlen = 32, .addr = inet_addr(addr) };
	struct talon_host_route route = {};

	bpf_map_lookup_elem(datapath_map_fd(rig.c->dp, DATAPATH_MAP_HOST4), &key, &route);
	return route;
}

static struct talon_config config_now(void)
{
	struct talon_config config;
	uint32_t zero = 0;

	assert_int_equal(bpf_map_lookup_elem(datapath_map_fd(rig.c->dp, DATAPATH_MAP_CONFIG), &zero,
		&config), 0);
	return config;
}

static bool hazards_name(const char *text)
{
	return strstr(rig.c->info.hazards, text);
}

static void routes_are_in_the_map_before_programs_are_and_follow_changes(void **state)
{
	uint32_t generation = config_now().generation;

	assert_int_equal(answer("8.8.8.8").source, inet_addr("192.0.2.1"));
	assert_int_equal(answer("8.8.8.8").prefixlen, 0);
	assert_int_equal(answer("192.0.2.255").kind, TALON_HOST_BROADCAST);
	assert_int_equal(answer("192.0.2.1").kind, TALON_HOST_LOCAL);
	assert_false(config_now().flags & TALON_F_MANY_SOURCES);
	run("ip addr add 198.51.100.9/24 dev u0; ip route add 10.9.0.0/16 via 198.51.100.1 mtu 1300");
	wait_for(answer("10.9.1.1").source == inet_addr("198.51.100.9"));
	assert_int_equal(answer("10.9.1.1").mtu, 1300);
	wait_for(config_now().flags & TALON_F_MANY_SOURCES);
	assert_int_not_equal(config_now().generation, generation);
	assert_int_equal(config_now().node_addr, inet_addr("192.0.2.1"));
	run("ip route replace 10.9.0.0/16 via 192.0.2.7");
	wait_for(answer("10.9.1.1").source == inet_addr("192.0.2.1"));
	run("ip route del 10.9.0.0/16; ip route add blackhole 10.9.0.0/16");
	wait_for(answer("10.9.1.1").kind == TALON_HOST_REFUSED);
	run("ip rule add to 10.9.0.0/16 lookup 77; ip route add default via 198.51.100.1 table 77");
	wait_for(answer("10.9.1.1").source == inet_addr("198.51.100.9"));
	run("ip rule del to 10.9.0.0/16 lookup 77; ip route flush table 77; ip route del blackhole "
		"10.9.0.0/16; ip addr del 198.51.100.9/24 dev u0");
	wait_for(answer("10.9.1.1").source == inet_addr("192.0.2.1"));
	wait_for(!(config_now().flags & TALON_F_MANY_SOURCES));
}

static void routes_into_the_tunnel_are_marked(void **state)
{
	apply();
	wait_for(answer("100.64.0.9").flags & TALON_HOST_TUNNEL);
	assert_int_equal(answer("100.64.0.9").prefixlen, 10);
	assert_false(answer("8.8.8.8").flags & TALON_HOST_TUNNEL);
	/* the mesh's address is no source to masquerade with */
	assert_false(config_now().flags & TALON_F_MANY_SOURCES);
}

static void a_successor_finds_routes_and_removes_what_went(void **state)
{
	run("ip route add 10.9.0.0/16 via 192.0.2.7");
	wait_for(answer("10.9.1.1").prefixlen == 16);
	plane_rig_stop(&rig);
	run("ip route del 10.9.0.0/16");
	assert_int_equal(plane_rig_start(&rig), 0);
	assert_int_equal(answer("10.9.1.1").prefixlen, 0);
	assert_int_equal(answer("10.9.1.1").source, inet_addr("192.0.2.1"));
}

static void a_vip_that_came_first_is_not_the_nodes_address(void **state)
{
	run("ip addr flush dev u0; ip addr add 192.0.2.200/32 dev u0; ip addr add 192.0.2.1/24 dev u0; ip "
		"route add default via 192.0.2.254");
	assert_int_equal(plane_rig_start(&rig), 0);
	assert_int_equal(config_now().node_addr, inet_addr("192.0.2.1"));
	assert_int_equal(config_now().snat_addr, inet_addr("192.0.2.1"));
}

static void an_unnumbered_uplink_has_the_address_on_lo(void **state)
{
	run("ip addr flush dev u0; ip addr add 198.51.100.7/32 dev lo; ip route add 169.254.1.1 dev u0; ip "
		"route add default via 169.254.1.1 dev u0");
	assert_int_equal(plane_rig_start(&rig), 0);
	assert_int_equal(config_now().node_addr, inet_addr("198.51.100.7"));
	assert_false(config_now().flags & TALON_F_MANY_SOURCES);
}

static void an_uplink_without_any_source_is_refused(void **state)
{
	char err[512] = "";

	run("ip addr flush dev u0");
	rig.c = plane_new(&rig.config);
	assert_non_null(rig.c);
	assert_int_equal(plane_choose(rig.c, err, sizeof(err)), 0);
	assert_int_equal(plane_load(rig.c, err, sizeof(err)), 0);
	assert_int_equal(plane_open(rig.c, err, sizeof(err)), 0);
	assert_int_equal(plane_start(rig.c, err, sizeof(err)), -EADDRNOTAVAIL);
	assert_string_equal(err, "Uplink: u0 has no IPv4 address, and no route by it has a source address");
}

static void the_nodes_address_follows_a_renumbering(void **state)
{
	run("ip addr add 192.0.2.77/24 dev u0; ip addr del 192.0.2.1/24 dev u0; ip addr add 192.0.2.77/24 "
		"dev u0 2>/dev/null;ip route replace default via 192.0.2.254");
	wait_for(config_now().node_addr == inet_addr("192.0.2.77"));
	assert_int_equal(answer("8.8.8.8").source, inet_addr("192.0.2.77"));
}

static void devices_are_described_and_the_far_ends_gro_is_noticed(void **state)
{
	uint32_t generation, gone;

	assert_int_equal(flags_of("u0") & (TALON_LINK_UPLINK | TALON_LINK_PROGRAM),
		TALON_LINK_UPLINK | TALON_LINK_PROGRAM);
	assert_int_equal(source_of("u0"), inet_addr("192.0.2.1"));
	assert_int_equal(source_of("u1"), 0);
	assert_int_equal(flags_of("u1") & (TALON_LINK_UPLINK | TALON_LINK_PROGRAM), 0);
	assert_true(has_flag("wt0p", TALON_LINK_REDIRECT));	/* GRO is on at wt0 */
	assert_false(has_flag("lo", TALON_LINK_REDIRECT));
	assert_false(has_flag("u0", TALON_LINK_REDIRECT));
	generation = config_now().generation;
	run("ethtool -K u1 gro on");
	wait_for(has_flag("u0", TALON_LINK_REDIRECT));
	wait_for(config_now().generation != generation);
	generation = config_now().generation;
	run("ethtool -K u1 gro off");
	wait_for(!has_flag("u0", TALON_LINK_REDIRECT));
	wait_for(config_now().generation != generation);
	run("ip link add s0 mtu 1400 address 02:00:00:00:00:42 type veth peer name s1");
	wait_for(flags_of("s0") != ~0U);
	gone = index_of("s0");
	run("ip link del s0");
	wait_for(bpf_map_lookup_elem(datapath_map_fd(rig.c->dp, DATAPATH_MAP_LINKS), &gone,
		&(struct talon_link){}) != 0);
}

static void a_device_towards_a_masqueraded_network_carries_the_program(void **state)
{
	uint32_t program;
	char text[200];

	run("ip link add s0 type veth peer name s1; ip link set s0 up; ip link set s1 up; ip addr add "
		"10.40.0.1/24 dev s0");
	apply();
	plane_rig_run(&rig, 1200, always_false, NULL);
	assert_int_equal(programs_at("s0"), 0);
	serve("10.40.0.0", 16, true);
	apply();
	assert_true(has_flag("s0", TALON_LINK_PROGRAM));	/* at once: a packet may be on its way */
	assert_int_equal(programs_at("s0"), 1);
	assert_false(has_flag("s0", TALON_LINK_UPLINK));
	assert_int_equal(programs_at("u0"), 0);		/* the uplink has its own */
	assert_int_equal(programs_at("s1"), 0);
	assert_int_equal(datapath_verify(rig.c->dp, text, sizeof(text)), 0);

	/* A successor adopts it as it is. */
	program = program_at("s0");
	plane_rig_stop(&rig);
	assert_int_equal(program_at("s0"), program);
	assert_int_equal(plane_rig_start(&rig), 0);
	assert_int_equal(program_at("s0"), program);
	assert_true(has_flag("s0", TALON_LINK_PROGRAM));
	assert_int_equal(programs_at("s0"), 1);

	/* Without masquerade replies come back by the peers' own addresses. */
	routes[0].masquerade = false;
	apply();
	wait_for(!has_flag("s0", TALON_LINK_PROGRAM));
	assert_int_equal(programs_at("s0"), 0);
	routes[0].masquerade = true;
	apply();
	wait_for(has_flag("s0", TALON_LINK_PROGRAM));

	/* The route goes, and comes again. */
	run("ip addr del 10.40.0.1/24 dev s0");
	wait_for(!has_flag("s0", TALON_LINK_PROGRAM));
	assert_int_equal(programs_at("s0"), 0);
	run("ip route add 10.40.7.0/24 dev s0");
	wait_for(has_flag("s0", TALON_LINK_PROGRAM));
	assert_int_equal(programs_at("s0"), 1);

	/* The device is removed: no error. */
	run("ip link del s0");
	assert_int_equal(datapath_verify(rig.c->dp, text, sizeof(text)), 0);
	wait_for(datapath_side_count(rig.c->dp) == 0);
	assert_int_equal(datapath_verify(rig.c->dp, text, sizeof(text)), 0);
}

/* After the successor has made its maps and before it attaches, the predecessor's programs go on. */
static void a_side_device_is_counted_on_while_a_successor_starts(void **state)
{
	char err[512] = "";

	run("ip link add s0 type veth peer name s1; ip link set s0 up; ip link set s1 up; ip addr add "
		"10.40.0.1/24 dev s0");
	serve("10.40.0.0", 24, true);
	apply();
	wait_for(has_flag("s0", TALON_LINK_PROGRAM));
	plane_rig_stop(&rig);
	rig.c = plane_new(&rig.config);
	assert_non_null(rig.c);
	assert_int_equal(plane_choose(rig.c, err, sizeof(err)), 0);
	assert_int_equal(plane_load(rig.c, err, sizeof(err)), 0);
	assert_int_equal(plane_start(rig.c, err, sizeof(err)), 0);
	assert_true(plane_was_adopted(rig.c));
	assert_true(has_flag("s0", TALON_LINK_PROGRAM));
	assert_true(has_flag("u0", TALON_LINK_PROGRAM));
	assert_int_equal(programs_at("s0"), 1);
}

static void what_somebody_took_off_a_side_device_is_put_back(void **state)
{
	char text[200];
	int fd;

	run("ip link add s0 type veth peer name s1; ip link set s0 up; ip link set s1 up; ip addr add "
		"10.40.0.1/24 dev s0");
	serve("10.40.0.0", 24, true);
	apply();
	wait_for(has_flag("s0", TALON_LINK_PROGRAM));
	fd = pin_hook_get(rig.c->dp, HOOK_TCX, index_of("s0"));
	assert_true(fd >= 0);
	assert_int_equal(bpf_link_detach(fd), 0);
	close(fd);
	assert_int_equal(datapath_verify(rig.c->dp, text, sizeof(text)), -ENOLINK);
	assert_non_null(strstr(text, "s0"));
	rig.c->links_changed = true;
	wait_for(programs_at("s0") == 1);
	assert_int_equal(datapath_verify(rig.c->dp, text, sizeof(text)), 0);
}

static void what_local_has_needs_no_program(void **state)
{
	local = net("10.40.0.0", 16);
	rig.config.local = &local;
	rig.config.local_count = 1;
	run("ip link add s0 type veth peer name s1; ip link set s0 up; ip link set s1 up; ip addr add "
		"10.40.0.1/24 dev s0");
	serve("10.0.0.0", 8, true);
	apply();
	plane_rig_run(&rig, 1200, always_false, NULL);
	assert_int_equal(programs_at("s0"), 0);
	run("ip route add 10.41.0.0/16 via 10.40.0.7");
	wait_for(has_flag("s0", TALON_LINK_PROGRAM));
	rig.config.local = NULL;
	rig.config.local_count = 0;
}

static void uplinks_and_our_own_devices_are_no_side_devices(void **state)
{
	serve("0.0.0.0", 0, true);
	apply();
	plane_rig_run(&rig, 1200, always_false, NULL);
	assert_int_equal(datapath_side_count(rig.c->dp), 0);
	assert_string_equal(rig.c->ways.hazards, "");
}

static void a_device_without_ethernet_is_a_hazard(void **state)
{
	serve("10.40.0.0", 24, true);
	apply();
	run("ip tuntap add dev t0 mode tun && ip link set t0 up && ip addr add 10.40.0.1/24 dev t0");
	wait_for(hazards_name("t0 is no Ethernet device"));
	assert_int_equal(datapath_side_count(rig.c->dp), 0);
	run("ip link del t0");
	wait_for(!hazards_name("t0"));
}

static void more_devices_than_there_is_room_for_are_named(void **state)
{
	run("for i in $(seq 40); do ip link add m$i type veth peer name n$i; ip link set m$i up; ip link set "
		"n$i up; ip addr add 10.50.$i.1/24 dev m$i; done");
	serve("10.50.0.0", 16, true);
	apply();
	wait_for(datapath_side_count(rig.c->dp) == DATAPATH_SIDES_MAX);
	wait_for(hazards_name("more than 32 devices"));
	assert_true(hazards_name("m33, "));
	run("for i in $(seq 40); do ip link del m$i; done");
	wait_for(datapath_side_count(rig.c->dp) == 0);
	wait_for(!hazards_name("more than 32"));
}

static int packet_socket(const char *device)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = index_of(device) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL));

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static bool arrives(int fd, const uint8_t *bytes, size_t len)
{
	uint8_t frame[1600];
	ssize_t got;

	while ((got = recv(fd, frame, sizeof(frame), 0)) > 0) {
		if (got >= (ssize_t)(ETH_HLEN + len) && !memcmp(frame + ETH_HLEN, bytes, len))
			return frame[0] == 2 && frame[5] == 0x77;
	}
	return false;
}

/* Its new name is known a second later; until then its replies were refused as if no program heard them. */
static void an_uplink_with_a_new_name_is_still_counted_on(void **state)
{
	serve("10.40.0.0", 16, true);
	run("ip link set u0 name u9");
	apply();
	assert_true(has_flag("u9", TALON_LINK_PROGRAM));
	assert_true(has_flag("u9", TALON_LINK_UPLINK));
	run("ip link set u9 name u0");
}

/*
 * As the datapath writes it; the next hop is on s0, which takes no redirected frames, and its MAC is not
 * known yet. As long as a sealed packet, for which the tunnel has no room.
 */
static void an_onward_frame_leaves_by_the_device_that_it_names(void **state)
{
	static const uint8_t mac[6] = TALON_ONWARD_MAC;
	uint8_t frame[ETH_HLEN + 1480] = {}, *ip = frame + ETH_HLEN;
	struct talon_onward *onward = (struct talon_onward *)frame;
	uint32_t to;
	int in, out;

	run("ip netns add far; ip link add s0 type veth peer name s1; ip link set s1 netns far; ip link set "
		"s0 up; ip addr add 10.40.0.1/24 dev s0;ip -n far link set s1 address 02:00:00:00:00:77; ip "
		"-n far link set s1 up; ip -n far addr add 10.40.0.2/24 dev s1");
	assert_int_equal(programs_at("wt0rp"), 1);
	in = packet_socket("wt0r");
	out = packet_socket("s0");	/* captures what leaves */
	to = index_of("s0");
	memcpy(onward->dmac, mac, 6);
	onward->smac[0] = 2;
	memcpy(onward->ifindex, &to, sizeof(to));
	onward->proto = htons(ETH_P_IP);
	memcpy(ip, "\x45\x00\x05\xc8\x12\x34\x40\x00\x3f\x11", 10);
	memcpy(ip + 12, "\x0a\x28\x00\x01\x0a\x28\x00\x02", 8);
	assert_int_equal(send(in, frame, sizeof(frame), 0), sizeof(frame));
	wait_for(arrives(out, ip, 1480));
	close(in);
	close(out);
	run("ip netns del far");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(routes_are_in_the_map_before_programs_are_and_follow_changes,
			set_up, tear_down),
		cmocka_unit_test_setup_teardown(routes_into_the_tunnel_are_marked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_successor_finds_routes_and_removes_what_went, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(a_vip_that_came_first_is_not_the_nodes_address, configure,
			tear_down),
		cmocka_unit_test_setup_teardown(an_unnumbered_uplink_has_the_address_on_lo, configure,
			tear_down),
		cmocka_unit_test_setup_teardown(an_uplink_without_any_source_is_refused, configure,
			tear_down),
		cmocka_unit_test_setup_teardown(the_nodes_address_follows_a_renumbering, set_up, tear_down),
		cmocka_unit_test_setup_teardown(devices_are_described_and_the_far_ends_gro_is_noticed, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(a_device_towards_a_masqueraded_network_carries_the_program,
			set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_side_device_is_counted_on_while_a_successor_starts, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(what_somebody_took_off_a_side_device_is_put_back, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(what_local_has_needs_no_program, set_up, tear_down),
		cmocka_unit_test_setup_teardown(uplinks_and_our_own_devices_are_no_side_devices, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(a_device_without_ethernet_is_a_hazard, set_up, tear_down),
		cmocka_unit_test_setup_teardown(more_devices_than_there_is_room_for_are_named, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(an_uplink_with_a_new_name_is_still_counted_on, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(an_onward_frame_leaves_by_the_device_that_it_names, set_up,
			tear_down),
	};

	return cmocka_run_group_tests(tests, isolate, NULL);
}
