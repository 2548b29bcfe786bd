// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon status on real pinned maps: what it reads, how many system calls it makes, and what it reports when
// something is missing.
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "datapath/seat.h"
#include "status/status.h"
#include "talon/session_types.h"
#include "tunnel.skel.h"

#define PEERS 1024

static char base[64];		/* a bpffs of our own, in a mount and network namespace of our own */
static struct tunnel *skel;
static unsigned long bpf_calls;

/* libbpf asks the kernel through this function; the one of the C library is behind it. */
long syscall(long number, ...)
{
	static long (*real)(long, ...);
	long arg[6];
	va_list args;

	if (!real)
		real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	va_start(args, number);
	for (unsigned int i = 0; i < 6; i++)
		arg[i] = va_arg(args, long);
	va_end(args);
	bpf_calls += number == __NR_bpf;
	return real(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}

static const char *below(const char *rest)
{
	static char path[200];

	snprintf(path, sizeof(path), "%s/%s", base, rest);
	return path;
}

static int make_namespaces(void)
{
	strcpy(base, "/tmp/talon-status-XXXXXX");
	if (unshare(CLONE_NEWNS | CLONE_NEWNET) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		!mkdtemp(base))
		return -1;
	return mount("bpf", base, "bpf", 0, NULL);
}

/* The maps of the datapath, pinned where the datapath pins them; no program is needed. */
static int make_maps(void **state)
{
	static char maps[256];
	LIBBPF_OPTS(bpf_object_open_opts, opts, .pin_root_path = maps);
	struct bpf_program *prog;

	if (make_namespaces())
		return -1;
	snprintf(maps, sizeof(maps), "%s", below("talon"));
	mkdir(maps, 0700);
	snprintf(maps, sizeof(maps), "%s", below("talon/" TALON_LAYOUT_NAME));
	mkdir(maps, 0700);
	mkdir(below("talon/" TALON_LAYOUT_NAME "/links"), 0700);
	snprintf(maps, sizeof(maps), "%s", below("talon/" TALON_LAYOUT_NAME "/maps"));
	skel = tunnel__open_opts(&opts);
	if (!skel)
		return -1;
	bpf_object__for_each_program(prog, skel->obj)
		bpf_program__set_autoload(prog, false);
	bpf_map__set_max_entries(skel->maps.peer_info, PEERS);
	bpf_map__set_max_entries(skel->maps.peer_stats, PEERS);
	bpf_map__set_max_entries(skel->maps.nat_peers, PEERS);
	bpf_map__set_max_entries(skel->maps.peer_tx, PEERS);
	bpf_map__set_max_entries(skel->maps.endpoints, PEERS);
	bpf_map__set_max_entries(skel->maps.sessions, 4 * PEERS);
	return bpf_object__load(skel->obj);
}

static int remove_maps(void **state)
{
	tunnel__destroy(skel);
	umount(base);
	return rmdir(base);
}

static void put(struct bpf_map *map, __u32 key, const void *value)
{
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(map), &key, value, 0), 0);
}

static struct talon_lpm4 net(__u32 addr, __u32 prefixlen)
{
	return (struct talon_lpm4){ prefixlen, htonl(addr) };
}

static void put_peer(__u32 id, __u32 slot)
{
	int cpus = libbpf_num_possible_cpus();
	struct talon_peer_stats *stats = calloc(cpus, sizeof(*stats));
	struct talon_peer_info info = { .present = 1, .handshake_ns = 5 };
	struct talon_endpoint endpoint = { .family = AF_INET, .remote_port = htons(1000),
		.flags = id % 2 ? TALON_ENDPOINT_RELAY : 0 };
	struct talon_session session = { .index = 0x10000 + slot, .peer = id, .birth_ns = 77 + id };
	struct talon_peer_tx tx = { .index = session.index };
	struct talon_lpm4 allowed = net(0x64400000 + id, 32);
	__u32 entry = TALON_ALLOWED(id, 32);

	assert_non_null(stats);
	for (int cpu = 0; cpu < cpus; cpu++)
		stats[cpu] = (struct talon_peer_stats){ .rx_bytes = 10, .tx_packets = id, .rx_ns = 3 + cpu };
	snprintf(info.name, sizeof(info.name), "peer%u", id);
	endpoint.remote.word[0] = htonl(0x0a000000 + id);
	memset(session.recv_key, 0x5a, sizeof(session.recv_key));
	put(skel->maps.peer_info, id, &info);
	put(skel->maps.peer_stats, id, stats);
	put(skel->maps.endpoints, id, &endpoint);
	put(skel->maps.sessions, slot, &session);
	put(skel->maps.peer_tx, id, &tx);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skel->maps.allowed4), &allowed, &entry, 0), 0);
	free(stats);
}

static void put_head(void)
{
	struct talon_config config = { .session_mask = 4 * PEERS - 1, .flow_count = 4096,
		.listen_port = htons(51820), .mesh_addr = htonl(0x64400001) };
	struct talon_info info = { .layout = 1, .pid = getpid(), .ready = 1, .mode = "xdp" };
	struct talon_nat_stats nat = { .live = 3 };

	put(skel->maps.config, 0, &config);
	put(skel->maps.info, 0, &info);
	put(skel->maps.nat_stats, 0, &nat);
	for (__u32 i = 0; i < HANDSHAKE_STATS_ENTRIES; i++) {
		__u64 count = 100 + i;

		put(skel->maps.handshake_stats, i, &count);
	}
}

static void put_route(__u32 addr, __u32 prefixlen, __u32 flags)
{
	struct talon_lpm4 key = net(addr, prefixlen);
	struct talon_route route = { .flags = flags, .prefixlen = prefixlen };

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skel->maps.routes4), &key, &route, 0), 0);
}

static void put_local(__u32 addr, __u32 prefixlen)
{
	struct talon_lpm4 key = net(addr, prefixlen);
	__u32 one = 1;

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skel->maps.local4), &key, &one, 0), 0);
}

static struct talon_lpm6 net6(const char *text, __u32 prefixlen)
{
	struct talon_lpm6 key = { .prefixlen = prefixlen };

	assert_int_equal(inet_pton(AF_INET6, text, &key.addr), 1);
	return key;
}

static void read_status(struct status *status)
{
	char why[256];

	if (status_read(status, below("talon"), why, sizeof(why)))
		fail_msg("%s", why);
}

static void an_empty_datapath_is_read(void **state)
{
	struct status status;

	read_status(&status);
	assert_int_equal(status.peer_count, 0);
	assert_int_equal(status.route_count, 0);
	assert_int_equal(status.hook_count, 0);
	assert_false(status.is_held);
	assert_int_equal(status_controller(&status), STATUS_STOPPED);
	status_free(&status);
}

static void everything_that_maps_hold_is_read(void **state)
{
	int cpus = libbpf_num_possible_cpus();
	__u64 *counts = calloc(cpus, sizeof(*counts));
	struct talon_lpm4 more = net(0x0a140000, 16);
	struct status status;
	__u32 three = TALON_ALLOWED(3, 16);
	struct talon_addr mesh = { .word = { htonl(0x64400001) } };
	__u8 mark = 7;
	char why[256];
	int seat;

	assert_non_null(counts);
	put_head();
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skel->maps.local_addrs), &mesh, &mark, 0), 0);
	for (int cpu = 0; cpu < cpus; cpu++)
		counts[cpu] = 100;
	put(skel->maps.stats, TALON_DIR_OUT * TALON_END_COUNT + TALON_NO_KEY, counts);
	put_local(0xc0a801dc, 32);
	put_local(0xc0a80100, 24);
	put_route(0x0a000000, 8, 0);
	put_route(0xc0a80100, 24, TALON_ROUTE_MASQUERADE);
	put_peer(3, 17);
	put_peer(1000, 4000);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skel->maps.allowed4), &more, &three, 0), 0);

	seat = seat_open(below("talon"), false, why, sizeof(why));
	assert_true(seat >= 0);
	assert_int_equal(seat_take(seat), 0);
	read_status(&status);
	close(seat);
	assert_true(status.is_held);
	assert_int_equal(status.pid, getpid());
	assert_int_equal(status.config.flow_count, 4096);
	assert_string_equal(status.info.mode, "xdp");
	assert_int_equal(status.nat.live, 3);
	assert_int_equal(status.handshakes[HANDSHAKE_BAD_MAC1], 100 + HANDSHAKE_BAD_MAC1);
	assert_int_equal(status.handshakes[HANDSHAKE_STATS_ENTRIES - 1], 100 + HANDSHAKE_STATS_ENTRIES - 1);
	assert_int_equal(status.stats[TALON_DIR_OUT * TALON_END_COUNT + TALON_NO_KEY], 100 * cpus);
	assert_int_equal(status.route_count, 5);
	assert_int_equal(status.routes[0].dst.prefixlen, 8);
	/* the mesh address, which the host has */
	assert_int_equal(status.routes[1].dst.addr.word[0], htonl(0x64400001));
	assert_true(status.routes[1].is_local);
	assert_int_equal(status.routes[2].flags, TALON_ROUTE_MASQUERADE);
	assert_false(status.routes[2].is_local);
	assert_true(status.routes[3].is_local);	/* the same network, in Local too */
	assert_true(status.routes[4].is_local);
	assert_int_equal(status.routes[4].dst.prefixlen, 32);
	assert_int_equal(status.peer_count, 2);
	assert_int_equal(status.peers[0].id, 3);
	assert_string_equal(status.peers[0].info.name, "peer3");
	assert_int_equal(status.peers[0].stats.rx_bytes, 10 * cpus);
	assert_int_equal(status.peers[0].stats.rx_ns, 3 + cpus - 1);
	assert_int_equal(ntohl(status.peers[0].endpoint.word[0]), 0x0a000003);
	assert_int_equal(status.peers[0].endpoint_flags, TALON_ENDPOINT_RELAY);
	assert_true(status.peers[0].has_session);
	assert_int_equal(status.peers[0].session_ns, 80);
	assert_int_equal(status.peers[0].allowed_count, 2);
	assert_int_equal(status.peers[0].allowed[0].prefixlen, 16);
	assert_int_equal(status.peers[1].id, 1000);
	assert_int_equal(status.peers[1].allowed_count, 1);
	assert_int_equal(ntohl(status.peers[1].allowed[0].addr.word[0]), 0x64400000 + 1000);
	status_free(&status);
	free(counts);
}

static void ipv6_is_read_behind_ipv4(void **state)
{
	const struct talon_lpm6 served = net6("2001:db8:77::", 48), local = net6("fd05::1", 128),
		own = net6("fd00::1", 128), of_peer = net6("fd00::3", 128);
	const struct talon_route route = { .flags = TALON_ROUTE_MASQUERADE, .prefixlen = 48 };
	struct talon_config config = { .flow_count = 4096, .mesh_addr6 = own.addr, .mesh_len6 = 64 };
	__u32 one = 1, three = TALON_ALLOWED(3, 128);
	const struct status_route *routes;
	const struct status_peer *peer;
	struct status status;
	char text[64];
	__u8 mark = 7;

	put(skel->maps.config, 0, &config);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skel->maps.routes6), &served, &route, 0), 0);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skel->maps.local6), &local, &one, 0), 0);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skel->maps.allowed6), &of_peer, &three, 0), 0);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skel->maps.local_addrs), &own.addr, &mark, 0), 0);
	read_status(&status);
	assert_true(status.route_count > 3);
	routes = &status.routes[status.route_count - 3];
	assert_int_equal(routes[-1].dst.family, AF_INET);
	cidr_format(&routes[0].dst, text, sizeof(text));
	assert_string_equal(text, "2001:db8:77::/48");
	assert_int_equal(routes[0].flags, TALON_ROUTE_MASQUERADE);
	cidr_format(&routes[1].dst, text, sizeof(text));
	assert_string_equal(text, "fd00::1/128");	/* the mesh address, which the host has */
	assert_true(routes[1].is_local);
	cidr_format(&routes[2].dst, text, sizeof(text));
	assert_string_equal(text, "fd05::1/128");
	for (peer = status.peers; peer->id != 3; peer++)
		;
	assert_true(peer->allowed_count > 1);
	assert_int_equal(peer->allowed[0].family, AF_INET);
	cidr_format(&peer->allowed[peer->allowed_count - 1], text, sizeof(text));
	assert_string_equal(text, "fd00::3/128");
	status_free(&status);
}

static void a_session_that_was_retired_or_given_away_is_none(void **state)
{
	struct talon_session session = {};
	struct status status;

	put(skel->maps.sessions, 17, &session);
	session = (struct talon_session){ .index = 0x10000 + 4000, .peer = 5 };
	put(skel->maps.sessions, 4000, &session);
	read_status(&status);
	assert_false(status.peers[0].has_session);
	assert_false(status.peers[1].has_session);
	status_free(&status);
}

static void a_thousand_peers_cost_few_system_calls(void **state)
{
	struct status status;

	for (__u32 i = 0; i < PEERS; i++)
		put_peer(i, i * 4);
	for (__u32 i = 0; i < PEERS; i++)
		put(skel->maps.nat_peers, i, &(struct talon_nat_peer){ .held = i, .refused = i + 1 });
	bpf_calls = 0;
	read_status(&status);
	assert_int_equal(status.peer_count, PEERS);
	for (__u32 i = 0; i < PEERS; i++) {
		assert_int_equal(status.peers[i].flows.held, i);
		assert_int_equal(status.peers[i].flows.refused, i + 1);
		assert_true(status.peers[i].has_session);
		assert_int_equal(status.peers[i].allowed_count, i == 3 ? 2 : 1);
	}
	/*
	 * Counters, endpoint, sending slot and session of each; the rest, a call for each end and for
	 * each kind of traffic among it, and one for each map, whose memory is asked for, does not
	 * grow with peers.
	 */
	assert_in_range(bpf_calls, 1, 4 * PEERS + 200 + TALON_STATS_ENTRIES + TALON_PROGRAM_COUNT +
		TALON_TRAFFIC_ENTRIES);
	status_free(&status);
}

static void no_key_stays_in_what_was_gathered(void **state)
{
	static const __u8 key[8] = { 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a };
	struct status status;

	read_status(&status);
	assert_null(memmem(&status, sizeof(status), key, sizeof(key)));
	assert_null(memmem(status.peers, status.peer_count * sizeof(*status.peers), key, sizeof(key)));
	status_free(&status);
}

static int load_pass(void)
{
	static const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return bpf_prog_load(BPF_PROG_TYPE_XDP, "pass", "GPL", insns, 2, NULL);
}

static void a_link_is_attached_until_its_device_goes(void **state)
{
	char path[256], name[64];
	struct status status;
	int prog, link, ifindex;

	assert_int_equal(system("ip link add sta0 type veth peer name sta1 && ip link set sta0 up"), 0);
	ifindex = if_nametoindex("sta0");
	prog = load_pass();
	assert_true(prog >= 0);
	link = bpf_link_create(prog, ifindex, BPF_XDP, NULL);
	assert_true(link >= 0);
	snprintf(name, sizeof(name), "talon/" TALON_LAYOUT_NAME "/links/xdp-%d", ifindex);
	snprintf(path, sizeof(path), "%s", below(name));
	assert_int_equal(bpf_obj_pin(link, path), 0);
	close(link);
	close(prog);

	read_status(&status);
	assert_int_equal(status.hook_count, 1);
	assert_string_equal(status.hooks[0].kind, "xdp");
	assert_string_equal(status.hooks[0].device, "sta0");
	assert_true(status.hooks[0].attached);
	assert_true(status_is_attached(&status));
	status_free(&status);

	assert_int_equal(system("ip link del sta0"), 0);
	read_status(&status);
	assert_int_equal(status.hook_count, 1);
	assert_string_equal(status.hooks[0].device, "");
	assert_false(status_is_attached(&status));
	status_free(&status);
	unlink(path);
}

static void put_link(__u32 ifindex, __u32 flags, __u32 source)
{
	struct talon_link link = { .flags = flags, .source = htonl(source) };

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skel->maps.links), &ifindex, &link, 0), 0);
}

/* Without a controller to ask: maps and kernel hold everything. */
static void devices_are_read_and_ours_and_idle_ones_left_out(void **state)
{
	__u32 lo = if_nametoindex("lo");
	struct status status;

	put_link(lo, TALON_LINK_UPLINK | TALON_LINK_PROGRAM | TALON_LINK_REDIRECT, 0xc0a80101);
	put_link(7001, TALON_LINK_PROGRAM, 0);		/* a side device that went */
	put_link(7002, TALON_LINK_REDIRECT, 0);		/* no route leads there */
	put_link(7003, TALON_LINK_REDIRECT, 0x0a000001);
	read_status(&status);
	assert_int_equal(status.device_count, 3);
	assert_int_equal(status.devices[0].ifindex, lo);
	assert_string_equal(status.devices[0].name, "lo");
	assert_int_equal(status.devices[0].source, htonl(0xc0a80101));
	assert_string_equal(status_way_out(&status, &status.devices[0]), "redirect");
	assert_false(status_is_side(&status.devices[0]));
	assert_string_equal(status.devices[1].name, "");
	assert_true(status_is_side(&status.devices[1]));
	assert_int_equal(status.devices[2].ifindex, 7003);
	status_free(&status);
}

/* Its program went with it; the pin has not been removed yet. */
static void a_side_device_that_went_is_no_missing_program(void **state)
{
	char path[256], name[64];
	struct status status;
	int prog, link, ifindex;

	assert_int_equal(system("ip link add sta0 type veth peer name sta1 && ip link set sta0 up"), 0);
	ifindex = if_nametoindex("sta0");
	prog = load_pass();
	link = bpf_link_create(prog, ifindex, BPF_XDP, NULL);
	assert_true(link >= 0);
	snprintf(name, sizeof(name), "talon/" TALON_LAYOUT_NAME "/links/xdp-%d", ifindex);
	snprintf(path, sizeof(path), "%s", below(name));
	assert_int_equal(bpf_obj_pin(link, path), 0);
	close(link);
	close(prog);
	put_link(ifindex, TALON_LINK_PROGRAM, 0);
	read_status(&status);
	assert_int_equal(status.hook_count, 1);
	status_free(&status);
	assert_int_equal(system("ip link del sta0"), 0);
	read_status(&status);
	assert_int_equal(status.hook_count, 0);
	status_free(&status);
	unlink(path);
}

static void a_missing_map_is_named(void **state)
{
	struct status status;
	char why[256], expected[400];

	assert_int_equal(unlink(below("talon/" TALON_LAYOUT_NAME "/maps/nat_stats")), 0);
	assert_int_equal(status_read(&status, below("talon"), why, sizeof(why)), -ENOENT);
	snprintf(expected, sizeof(expected), "map nat_stats is missing below %s",
		below("talon/" TALON_LAYOUT_NAME));
	assert_string_equal(why, expected);
}

static void another_layout_is_told_from_none(void **state)
{
	struct status status;
	char why[256], expected[400];

	assert_int_equal(mkdir(below("other"), 0700), 0);
	assert_int_equal(mkdir(below("other/v99"), 0700), 0);
	assert_int_equal(status_read(&status, below("other"), why, sizeof(why)), -ENOENT);
	snprintf(expected, sizeof(expected),
		"not running: below %s is another version's datapath; use that talon", below("other"));
	assert_string_equal(why, expected);
	rmdir(below("other/v99"));
	rmdir(below("other"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_datapath_is_read),
		cmocka_unit_test(everything_that_maps_hold_is_read),
		cmocka_unit_test(a_session_that_was_retired_or_given_away_is_none),
		cmocka_unit_test(a_thousand_peers_cost_few_system_calls),
		cmocka_unit_test(no_key_stays_in_what_was_gathered),
		cmocka_unit_test(a_link_is_attached_until_its_device_goes),
		cmocka_unit_test(devices_are_read_and_ours_and_idle_ones_left_out),
		cmocka_unit_test(a_side_device_that_went_is_no_missing_program),
		cmocka_unit_test(ipv6_is_read_behind_ipv4),
		cmocka_unit_test(a_missing_map_is_named),
		cmocka_unit_test(another_layout_is_told_from_none),
	};

	return cmocka_run_group_tests(tests, make_maps, remove_maps);
}
