// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The life of an attached datapath, on a veth in a private network namespace and on a private bpffs.
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <xdp/libxdp.h>

#include "datapath/internal.h"
#include "log/log.h"
#include "talon/drop.h"
#include "talon/peer_types.h"
#include "talon/session_types.h"
#include "net/net.h"

#include "datapath_other.skel.h"

#define TCX_INGRESS	46
#define BPFFS		"/sys/fs/bpf"
#define BASE		BPFFS "/talon-test"
#define ROOT		BASE "/" TALON_LAYOUT_NAME

static char err[512];

static void run(const char *command)
{
	if (system(command))
		fail_msg("%s", command);
}

static struct datapath_options options(enum datapath_mode mode)
{
	return (struct datapath_options){
		.base = BASE, .uplinks = { "up0" }, .uplink_count = 1, .mode = mode, .peers = 16,
			.flows = 1024
	};
}

/* As a start does it, without maps to fill between the steps. */
static int start(const struct datapath_options *opts, struct datapath **ret_dp)
{
	struct datapath *dp;
	int ret = datapath_load(opts, &dp, err, sizeof(err));

	if (ret)
		return ret;
	ret = datapath_tunnel(dp, err, sizeof(err));
	if (!ret)
		ret = datapath_attach(dp, err, sizeof(err));
	if (ret)
		datapath_close(dp);
	else
		*ret_dp = dp;
	return ret;
}

/* The open datapath, closed on teardown so that a failed test does not hold the lock against the next. */
static struct datapath *open_one;

static struct datapath *up(const struct datapath_options *opts)
{
	if (start(opts, &open_one))
		fail_msg("%s", err);
	return open_one;
}

static void shut(struct datapath *dp)
{
	datapath_close(dp);
	open_one = NULL;
}

static void down(void)
{
	if (datapath_down(BASE, err, sizeof(err)))
		fail_msg("%s", err);
}

static bool exists(const char *path)
{
	return !access(path, F_OK);
}

static int ifindex_of(const char *name)
{
	struct net_link link;

	assert_int_equal(net_link_get(name, &link), 0);
	return link.ifindex;
}

static void link_pin(const char *kind, const char *device, char *path, size_t len)
{
	snprintf(path, len, ROOT "/links/%s-%d", kind, ifindex_of(device));
}

struct attached {
	uint32_t link_id;
	uint32_t prog_id;
};

/* What the tunnel's far end gets on this kernel. */
static const char *tunnel_hook = "tcx";

static uint32_t filter_at(const char *path)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);
	int fd = bpf_obj_get(path);

	assert_true(fd >= 0);
	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	close(fd);
	return info.id;
}

static struct attached attached_at(const char *kind, const char *device)
{
	struct bpf_link_info info = { 0 };
	uint32_t len = sizeof(info);
	char path[128];
	int fd;

	link_pin(kind, device, path, sizeof(path));
	if (!strcmp(kind, "filter"))
		return (struct attached) { .prog_id = filter_at(path) };
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	close(fd);
	return (struct attached) { .link_id = info.id, .prog_id = info.prog_id };
}

/* Ids of all our objects, read while they exist, so that objects of other users do not matter. */
struct census {
	uint32_t progs[16], maps[128], links[16];
	unsigned prog_count, map_count, link_count;
};

static void count_prog(struct census *census, int fd)
{
	struct bpf_prog_info info = { .nr_map_ids = 64,
		.map_ids = (uintptr_t)(census->maps + census->map_count) };
	uint32_t len = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	census->progs[census->prog_count++] = info.id;
	census->map_count += info.nr_map_ids;
	assert_in_range(census->map_count, 0, 64);
}

static void take_census(const struct datapath *dp, struct census *census)
{
	static const char *const names[] = { "uplink_xdp", "uplink_tc", "tunnel" };
	struct bpf_link_info info = { 0 };
	uint32_t len = sizeof(info);
	struct dirent *entry;
	char path[512];
	DIR *dir;
	int fd;

	memset(census, 0, sizeof(*census));
	for (unsigned i = 0; i < 3; i++) {
		/* the objects share them; the last one's scratch maps stand for all */
		census->map_count = 0;
		count_prog(census, datapath_prog_fd(dp, names[i]));
	}
	dir = opendir(ROOT "/links");
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		snprintf(path, sizeof(path), ROOT "/links/%s", entry->d_name);
		if (strncmp(entry->d_name, "xdp-", 4) && strncmp(entry->d_name, "tcx-", 4))
			continue;
		fd = bpf_obj_get(path);
		assert_true(fd >= 0);
		assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
		census->links[census->link_count++] = info.id;
		close(fd);
	}
	closedir(dir);
}

static bool is_gone(int (*open_id)(uint32_t), uint32_t id)
{
	/* The kernel frees after a grace period. */
	for (int tries = 0; tries < 500; tries++) {
		int fd = open_id(id);

		if (fd < 0)
			return errno == ENOENT;
		close(fd);
		usleep(10000);
	}
	return false;
}

static void assert_all_gone(const struct census *census)
{
	for (unsigned i = 0; i < census->link_count; i++)
		assert_true(is_gone(bpf_link_get_fd_by_id, census->links[i]));
	for (unsigned i = 0; i < census->prog_count; i++)
		assert_true(is_gone(bpf_prog_get_fd_by_id, census->progs[i]));
	for (unsigned i = 0; i < census->map_count; i++)
		assert_true(is_gone(bpf_map_get_fd_by_id, census->maps[i]));
}

static void assert_nothing_left(void)
{
	struct net_link link;

	assert_false(exists(BASE));
	assert_int_equal(net_link_get("wt0", &link), -ENODEV);
	assert_int_equal(net_link_get("wt0p", &link), -ENODEV);
	assert_int_equal(net_link_get("up0", &link), 0);
	assert_int_equal(link.xdp_prog_id, 0);
	assert_int_equal(net_filter_count(link.ifindex), 0);
	run("! tc qdisc show dev up0 | grep -q clsact");
}

static int set_up(void **state)
{
	run("ip link add up0 type veth peer name up0p && ip link set up0 up && ip link set up0p up");
	return 0;
}

static int tear_down(void **state)
{
	shut(open_one);
	datapath_down(BASE, err, sizeof(err));
	run("ip link del up0");
	return exists(BASE);
}

static void each_mode_attaches_and_down_leaves_nothing(void **state)
{
	static const struct { enum datapath_mode mode; uint8_t xdp_mode; bool tx_works; } modes[] = {
		{ DATAPATH_AUTO, XDP_ATTACHED_DRV, false },
		{ DATAPATH_XDP, XDP_ATTACHED_DRV, false },
		{ DATAPATH_XDP_GENERIC, XDP_ATTACHED_SKB, true },
		{ DATAPATH_TCX, XDP_ATTACHED_NONE, false },
		{ DATAPATH_CLSACT, XDP_ATTACHED_NONE, false },
	};

	for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		struct datapath_options opts = options(modes[i].mode);
		struct census census;
		struct net_link link;
		struct datapath *dp;

		if (modes[i].mode == DATAPATH_TCX && strcmp(tunnel_hook, "tcx"))
			continue;
		dp = up(&opts);
		assert_false(datapath_is_adopted(dp));
		assert_int_equal(datapath_get_mode(dp), modes[i].mode == DATAPATH_AUTO ? DATAPATH_XDP
			: modes[i].mode);
		assert_true(strlen(datapath_get_why(dp)) > 0);
		assert_int_equal(datapath_get_uplink(dp, 0)->tx_works, modes[i].tx_works);
		assert_int_equal(net_link_get("up0", &link), 0);
		assert_int_equal(link.xdp_mode, modes[i].xdp_mode);
		assert_int_equal(datapath_verify(dp, err, sizeof(err)), 0);
		take_census(dp, &census);
		shut(dp);
		down();
		assert_nothing_left();
		assert_all_gone(&census);
		down();		/* again, with nothing there */
	}
}

static void modes_follow_each_other_on_a_running_datapath(void **state)
{
	static const enum datapath_mode modes[] = { DATAPATH_XDP, DATAPATH_TCX, DATAPATH_XDP_GENERIC,
		DATAPATH_CLSACT, DATAPATH_XDP };
	static const char *const pins[] = { "xdp", "tcx", "xdp", "filter", "xdp" };
	char path[128];

	for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		struct datapath_options opts = options(modes[i]);
		struct datapath *dp;

		if (modes[i] == DATAPATH_TCX && strcmp(tunnel_hook, "tcx"))
			continue;
		dp = up(&opts);
		assert_int_equal(datapath_is_adopted(dp), i > 0);
		assert_int_equal(datapath_get_mode(dp), modes[i]);
		assert_int_equal(datapath_verify(dp, err, sizeof(err)), 0);
		link_pin(pins[i], "up0", path, sizeof(path));
		assert_true(exists(path));
		for (unsigned j = 0; j < sizeof(modes) / sizeof(modes[0]); j++) {
			link_pin(pins[j], "up0", path, sizeof(path));
			assert_int_equal(exists(path), !strcmp(pins[i], pins[j]));
		}
		shut(dp);
	}
}

static void the_same_binary_adopts_without_touching_anything(void **state)
{
	static const struct { enum datapath_mode mode; const char *pin; } modes[] = {
		{ DATAPATH_XDP, "xdp" }, { DATAPATH_CLSACT, "filter" }, { DATAPATH_TCX, "tcx" },
	};

	for (unsigned i = 0; i < (strcmp(tunnel_hook, "tcx") ? 2 : 3); i++) {
		struct datapath_options opts = options(modes[i].mode);
		struct talon_config config = { .generation = 4711 };
		struct attached uplink, tunnel, again;
		struct datapath *dp;
		uint32_t zero = 0;

		dp = up(&opts);
		uplink = attached_at(modes[i].pin, "up0");
		tunnel = attached_at(tunnel_hook, "wt0p");
		assert_int_equal(bpf_map_update_elem(datapath_map_fd(dp, DATAPATH_MAP_CONFIG), &zero,
			&config, 0), 0);
		shut(dp);

		dp = up(&opts);
		assert_true(datapath_is_adopted(dp));
		again = attached_at(modes[i].pin, "up0");
		assert_memory_equal(&again, &uplink, sizeof(again));
		again = attached_at(tunnel_hook, "wt0p");
		assert_memory_equal(&again, &tunnel, sizeof(again));
		memset(&config, 0, sizeof(config));
		assert_int_equal(bpf_map_lookup_elem(datapath_map_fd(dp, DATAPATH_MAP_CONFIG), &zero,
			&config), 0);
		assert_int_equal(config.generation, 4711);
		shut(dp);
		down();
	}
}

static void put_other_filter(struct datapath_other *other)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex_of("wt0p"), .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = bpf_program__fd(other->progs.other_tc), .handle = 0x54,
		.priority = 1, .flags = BPF_TC_F_REPLACE);
	char path[128];

	assert_int_equal(bpf_tc_attach(&hook, &opts), 0);
	link_pin("filter", "wt0p", path, sizeof(path));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(bpf_obj_pin(bpf_program__fd(other->progs.other_tc), path), 0);
}

/* As if an older binary had attached its programs. */
static void put_other_programs(struct datapath_other *other)
{
	char path[128];
	int fd;

	link_pin("xdp", "up0", path, sizeof(path));
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	assert_int_equal(bpf_link_update(fd, bpf_program__fd(other->progs.other_xdp), NULL), 0);
	close(fd);
	if (strcmp(tunnel_hook, "tcx")) {
		put_other_filter(other);
		return;
	}
	link_pin("tcx", "wt0p", path, sizeof(path));
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	assert_int_equal(bpf_link_update(fd, bpf_program__fd(other->progs.other_tc), NULL), 0);
	close(fd);
}

static void another_binary_replaces_the_programs_and_keeps_the_links(void **state)
{
	struct datapath_other *other = datapath_other__open_and_load();
	struct datapath_options opts = options(DATAPATH_AUTO);
	struct datapath *dp = up(&opts);
	struct attached uplink, tunnel, now;

	shut(dp);
	put_other_programs(other);
	uplink = attached_at("xdp", "up0");
	tunnel = attached_at(tunnel_hook, "wt0p");

	dp = up(&opts);
	now = attached_at("xdp", "up0");
	assert_int_equal(now.link_id, uplink.link_id);
	assert_int_not_equal(now.prog_id, uplink.prog_id);
	now = attached_at(tunnel_hook, "wt0p");
	assert_int_equal(now.link_id, tunnel.link_id);
	assert_int_not_equal(now.prog_id, tunnel.prog_id);
	shut(dp);
	datapath_other__destroy(other);
}

static volatile bool stop_watching;

/* Counts how often the device was seen without any XDP program. */
static void *watch_slot(void *arg)
{
	struct net_link link;
	uintptr_t empty = 0;

	while (!stop_watching)
		if (!net_link_get_index(*(int *)arg, &link) && !link.xdp_prog_id)
			empty++;
	return (void *)empty;
}

static void no_moment_of_an_upgrade_is_without_a_program(void **state)
{
	struct datapath_other *other = datapath_other__open_and_load();
	struct datapath_options opts = options(DATAPATH_AUTO);
	struct datapath *dp = up(&opts);
	int ifindex = ifindex_of("up0");
	pthread_t thread;
	void *empty;

	shut(dp);
	stop_watching = false;
	assert_int_equal(pthread_create(&thread, NULL, watch_slot, &ifindex), 0);
	for (unsigned i = 0; i < 20; i++) {
		put_other_programs(other);
		shut(up(&opts));
	}
	stop_watching = true;
	pthread_join(thread, &empty);
	assert_int_equal((uintptr_t)empty, 0);
	datapath_other__destroy(other);
}

static void the_relay_link_comes_and_goes_with_the_datapath(void **state)
{
	static const struct { enum datapath_mode mode; const char *pin; } modes[] = {
		{ DATAPATH_AUTO, "xdp" }, { DATAPATH_XDP_GENERIC, "xdp" }, { DATAPATH_CLSACT, "filter" },
		{ DATAPATH_TCX, "tcx" },
	};
	struct net_link near, far;

	for (unsigned i = 0; i < (strcmp(tunnel_hook, "tcx") ? 3 : 4); i++) {
		struct datapath_options opts = options(modes[i].mode);
		const struct datapath_tunnel_info *relay;
		struct attached first, again;
		struct datapath *dp;

		dp = up(&opts);
		relay = datapath_get_relay(dp);
		assert_string_equal(relay->name, "wt0r");
		assert_string_equal(relay->far_name, "wt0rp");
		assert_int_equal(net_link_get("wt0r", &near), 0);
		assert_int_equal(net_link_get("wt0rp", &far), 0);
		assert_int_equal(relay->ifindex, near.ifindex);
		assert_int_equal(relay->far_ifindex, far.ifindex);
		assert_memory_equal(relay->mac, near.mac, 6);
		assert_memory_not_equal(relay->far_mac, far.mac, 6);
		assert_true(near.up && far.up && far.mtu >= 1280 + 80 && near.mtu == far.mtu);
		run("! ip -o addr show dev wt0r | grep -q inet && ! ip -o addr show dev wt0rp | grep "
			"-q inet");
		first = attached_at(modes[i].pin, "wt0r");
		assert_int_equal(datapath_verify(dp, err, sizeof(err)), 0);
		shut(dp);

		dp = up(&opts);		/* adopted as it is */
		assert_true(datapath_is_adopted(dp));
		again = attached_at(modes[i].pin, "wt0r");
		assert_memory_equal(&again, &first, sizeof(again));
		run("ip link del wt0r");
		assert_int_equal(datapath_verify(dp, err, sizeof(err)), -ENOLINK);
		assert_non_null(strstr(err, "wt0r"));
		assert_int_equal(datapath_tunnel(dp, err, sizeof(err)), 0);
		assert_int_equal(datapath_attach(dp, err, sizeof(err)), 0);
		assert_int_equal(datapath_verify(dp, err, sizeof(err)), 0);
		shut(dp);

		down();
		assert_nothing_left();
		assert_int_equal(net_link_get("wt0r", &near), -ENODEV);
		assert_int_equal(net_link_get("wt0rp", &near), -ENODEV);
	}
}

/* Of the slot of a peer: a session that can send, and an endpoint on the relay pair. */
static void relay_peer_0(struct datapath *dp)
{
	const struct datapath_tunnel_info *relay = datapath_get_relay(dp), *tunnel = datapath_get_tunnel(dp);
	struct talon_session session = { .index = 64 + 3, .remote_index = 0x11223344 };
	struct talon_endpoint endpoint = {
		.family = AF_INET, .flags = TALON_ENDPOINT_PINNED | TALON_ENDPOINT_RELAY,
		.remote_port = htons(TALON_RELAY_PORT),
		.remote.word[0] = htonl(TALON_RELAY_PEER_ADDR(0)),
	};
	struct talon_config config = {
		.generation = 1, .flags = TALON_F_PLAIN_ROUTES, .session_mask = 63, .bucket_mask = 255,
		.flow_count = 1024,
		.tunnel_ifindex = tunnel->ifindex, .tunnel_peer_ifindex = tunnel->far_ifindex,
		.listen_port = htons(51820), .tunnel_mtu = 1280, .mesh_addr = inet_addr("100.64.0.1"),
		.mesh_mask = htonl(0xffc00000), .uplinks = { ifindex_of("up0") },
		.relay_ifindex = relay->ifindex,
	};
	struct talon_replay replay = { .state = TALON_SESSION_CURRENT };
	struct talon_lpm4 client = { .prefixlen = 32, .addr = inet_addr("100.64.0.2") };
	struct talon_link link = { .mtu = 1500,
		.flags = TALON_LINK_UPLINK | TALON_LINK_PROGRAM | TALON_LINK_REDIRECT };
	struct talon_peer_tx tx = { .index = session.index };
	struct net_link up0;
	struct timespec ts;
	uint32_t zero = 0, slot = 3, peer0 = TALON_ALLOWED(0, 32);

	clock_gettime(CLOCK_BOOTTIME, &ts);
	session.birth_ns = ts.tv_sec * 1000000000ULL;
	memcpy(endpoint.dmac, relay->far_mac, 6);
	memcpy(endpoint.smac, relay->mac, 6);
	assert_int_equal(net_link_get("up0", &up0), 0);
	memcpy(link.mac, up0.mac, 6);
	memcpy(config.tunnel_mac, tunnel->mac, 6);
	memcpy(config.tunnel_peer_mac, tunnel->far_mac, 6);
	assert_int_equal(bpf_map_update_elem(datapath_map_fd(dp, DATAPATH_MAP_LINKS), &up0.ifindex,
		&link, 0), 0);
	assert_int_equal(bpf_map_update_elem(datapath_map_fd(dp, DATAPATH_MAP_REPLAY), &slot, &replay, 0), 0);
	assert_int_equal(bpf_map_update_elem(datapath_map_fd(dp, DATAPATH_MAP_SESSIONS), &slot,
		&session, 0), 0);
	assert_int_equal(bpf_map_update_elem(datapath_map_fd(dp, DATAPATH_MAP_PEER_TX), &zero, &tx, 0), 0);
	assert_int_equal(bpf_map_update_elem(datapath_map_fd(dp, DATAPATH_MAP_ENDPOINTS), &zero,
		&endpoint, 0), 0);
	assert_int_equal(bpf_map_update_elem(datapath_map_fd(dp, DATAPATH_MAP_ALLOWED4), &client,
		&peer0, 0), 0);
	assert_int_equal(bpf_map_update_elem(datapath_map_fd(dp, DATAPATH_MAP_CONFIG), &zero, &config, 0), 0);
}

static int packet_socket(int ifindex)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP),
		.sll_ifindex = ifindex };
	struct timeval second = { .tv_sec = 1 };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_IP));

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second)), 0);
	return fd;
}

static uint64_t counted(struct datapath *dp, enum talon_dir dir, enum talon_end end)
{
	uint32_t at = dir * TALON_END_COUNT + end;
	uint64_t per_cpu[512], sum = 0;

	assert_int_equal(bpf_map_lookup_elem(datapath_map_fd(dp, DATAPATH_MAP_STATS), &at, per_cpu), 0);
	for (int cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++)
		sum += per_cpu[cpu];
	return sum;
}

/* The next frame at the far end is a data message to peer 0's session. */
static void assert_data_arrives(int fd)
{
	struct sockaddr_ll from = {};
	socklen_t len = sizeof(from);
	uint8_t frame[2048];
	ssize_t got = recvfrom(fd, frame, sizeof(frame), 0, (struct sockaddr *)&from, &len);

	assert_true(got > 14 + 20 + 8 + 32);
	assert_int_equal(from.sll_pkttype, PACKET_OTHERHOST);	/* or the host would forward it */
	assert_memory_equal(frame + 26, "\xff\xff\xff\xfe\xf0\0\0\0", 8);
	assert_memory_equal(frame + 42, "\4\0\0\0\x44\x33\x22\x11", 8);
}

/* From this host to peer 0. */
static void say_hello(size_t len)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9),
		.sin_addr.s_addr = inet_addr("100.64.0.2") };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(sendto(fd, "hello", len, 0, (struct sockaddr *)&to, sizeof(to)), len);
	close(fd);
}

/*
 * By a tc redirect and, in XDP modes, by an XDP redirect from another device, which needs NAPI at the far
 * end.
 */
static void sealed_packets_are_read_at_the_relay_links_far_end(void **state)
{
	static const enum datapath_mode modes[] = { DATAPATH_XDP, DATAPATH_XDP_GENERIC, DATAPATH_CLSACT };
	static const uint8_t inner[] = {
		0x45, 0, 0, 28, 0, 1, 0x40, 0, 64, 17, 0xfe, 0x85, 10, 8, 0, 5, 100, 64, 0, 2, 0, 1, 0, 2, 0,
		8, 0, 0,
	};
	uint8_t frame[64] = {};

	for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		struct datapath_options opts = options(modes[i]);
		struct net_link up0;
		struct datapath *dp;
		int far, wire;

		dp = up(&opts);
		run("ip addr replace 10.99.0.1/32 dev lo && ip route replace 100.64.0.2/32 dev wt0 src "
			"10.99.0.1");
		relay_peer_0(dp);
		far = packet_socket(datapath_get_relay(dp)->far_ifindex);
		wire = packet_socket(ifindex_of("up0p"));

		for (size_t len = 0; len <= 5; len++) {
			say_hello(len);
			assert_data_arrives(far);
		}

		assert_int_equal(net_link_get("up0", &up0), 0);
		memcpy(frame, up0.mac, 6);
		memcpy(frame + 6, "\2\1\1\1\1\1", 6);
		memcpy(frame + 12, "\x08\0", 2);
		memcpy(frame + 14, inner, sizeof(inner));
		assert_int_equal(send(wire, frame, 60, 0), 60);
		assert_data_arrives(far);

		/* The other way: a foreign frame comes in, reaches our program and is dropped. */
		memcpy(frame, datapath_get_relay(dp)->mac, 6);
		assert_int_equal(send(far, frame, 60, 0), 60);
		for (int tries = 0; tries < 100 && !counted(dp, TALON_DIR_IN, TALON_UNKNOWN_TYPE); tries++)
			usleep(10000);
		assert_int_equal(counted(dp, TALON_DIR_IN, TALON_UNKNOWN_TYPE), 1);
		close(far);
		close(wire);
		shut(dp);
		down();
		assert_nothing_left();
	}
}

static void another_layout_is_taken_over_and_removed(void **state)
{
	struct datapath_other *other = datapath_other__open_and_load();
	struct datapath_options opts = options(DATAPATH_AUTO);
	struct datapath *dp = up(&opts);
	struct talon_config config = { .generation = 4711 };
	struct attached uplink, tunnel, now;
	uint32_t zero = 0;

	assert_int_equal(bpf_map_update_elem(datapath_map_fd(dp, DATAPATH_MAP_CONFIG), &zero, &config, 0), 0);
	shut(dp);
	put_other_programs(other);
	uplink = attached_at("xdp", "up0");
	tunnel = attached_at(tunnel_hook, "wt0p");
	assert_int_equal(rename(ROOT, BASE "/v999"), 0);

	dp = up(&opts);
	assert_false(datapath_is_adopted(dp));
	assert_false(exists(BASE "/v999"));
	now = attached_at("xdp", "up0");
	assert_int_equal(now.link_id, uplink.link_id);
	assert_int_not_equal(now.prog_id, uplink.prog_id);
	now = attached_at(tunnel_hook, "wt0p");
	assert_int_equal(now.link_id, tunnel.link_id);
	assert_int_not_equal(now.prog_id, tunnel.prog_id);
	assert_int_equal(bpf_map_lookup_elem(datapath_map_fd(dp, DATAPATH_MAP_CONFIG), &zero, &config), 0);
	assert_int_equal(config.generation, 0);
	shut(dp);
	datapath_other__destroy(other);
}

static void running_maps_keep_their_sizes(void **state)
{
	struct datapath_options opts = options(DATAPATH_AUTO);
	struct datapath *dp = up(&opts);

	assert_int_equal(datapath_get_sizes(dp)->sessions, 64);
	assert_int_equal(datapath_get_sizes(dp)->buckets, 128);
	shut(dp);
	opts.peers = 100;
	opts.flows = 5000;
	dp = up(&opts);
	assert_int_equal(datapath_get_sizes(dp)->peers, 16);
	assert_int_equal(datapath_get_sizes(dp)->sessions, 64);
	assert_int_equal(datapath_get_sizes(dp)->flows, 1024);
	shut(dp);
	down();
	dp = up(&opts);
	assert_int_equal(datapath_get_sizes(dp)->sessions, 512);
	assert_int_equal(datapath_get_sizes(dp)->buckets, 1024);
	shut(dp);
}

static void skip_without_tcx(void)
{
	if (strcmp(tunnel_hook, "tcx"))
		skip();
}

static void a_taken_xdp_slot_means_tcx_first_in_line(void **state)
{
	struct datapath_other *other;
	struct datapath_options opts = options(DATAPATH_AUTO);
	int ifindex = ifindex_of("up0"), xdp, tc;
	uint32_t ids[8], count = 8;
	struct datapath *dp;

	skip_without_tcx();
	other = datapath_other__open_and_load();
	xdp = bpf_link_create(bpf_program__fd(other->progs.other_xdp), ifindex, BPF_XDP, NULL);
	tc = bpf_link_create(bpf_program__fd(other->progs.other_tc), ifindex, TCX_INGRESS, NULL);
	assert_true(xdp >= 0 && tc >= 0);

	dp = up(&opts);
	assert_int_equal(datapath_get_mode(dp), DATAPATH_TCX);
	assert_non_null(strstr(datapath_get_why(dp), "other_xdp"));
	assert_int_equal(bpf_prog_query(ifindex, TCX_INGRESS, 0, NULL, ids, &count), 0);
	assert_int_equal(count, 2);
	assert_int_equal(ids[0], attached_at("tcx", "up0").prog_id);
	shut(dp);

	opts.mode = DATAPATH_XDP;
	assert_int_equal(start(&opts, &dp), -EBUSY);
	assert_non_null(strstr(err, "other_xdp"));

	/* When the slot is free again, the next start moves there. */
	close(xdp);
	opts.mode = DATAPATH_AUTO;
	dp = up(&opts);
	assert_int_equal(datapath_get_mode(dp), DATAPATH_XDP);
	shut(dp);

	down();
	assert_int_equal(bpf_prog_query(ifindex, TCX_INGRESS, 0, NULL, ids, &count), 0);
	assert_int_equal(count, 1);
	close(tc);
	datapath_other__destroy(other);
}

static void a_taken_xdp_slot_without_tcx_means_clsact(void **state)
{
	struct datapath_options opts = options(DATAPATH_AUTO);
	struct datapath_other *other;
	struct datapath *dp;
	int xdp;

	if (!strcmp(tunnel_hook, "tcx"))
		skip();
	other = datapath_other__open_and_load();
	xdp = bpf_link_create(bpf_program__fd(other->progs.other_xdp), ifindex_of("up0"), BPF_XDP, NULL);
	assert_true(xdp >= 0);
	dp = up(&opts);
	assert_int_equal(datapath_get_mode(dp), DATAPATH_CLSACT);
	assert_non_null(strstr(datapath_get_why(dp), "other_xdp"));
	assert_int_equal(datapath_verify(dp, err, sizeof(err)), 0);
	shut(dp);
	opts.mode = DATAPATH_TCX;
	assert_int_equal(start(&opts, &dp), -EOPNOTSUPP);
	assert_non_null(strstr(err, "not in this kernel"));
	close(xdp);
	datapath_other__destroy(other);
}

static void verify_notices_who_is_gone_or_in_front(void **state)
{
	LIBBPF_OPTS(bpf_link_create_opts, head, .flags = 1 << 3);
	struct datapath_options opts = options(DATAPATH_TCX);
	struct datapath_other *other;
	struct datapath *dp;
	char path[128];
	int fd;

	skip_without_tcx();
	other = datapath_other__open_and_load();
	dp = up(&opts);
	assert_int_equal(datapath_verify(dp, err, sizeof(err)), 0);
	fd = bpf_link_create(bpf_program__fd(other->progs.other_tc), ifindex_of("up0"), TCX_INGRESS, &head);
	assert_true(fd >= 0);
	assert_int_equal(datapath_verify(dp, err, sizeof(err)), 1);
	assert_non_null(strstr(err, "up0"));
	close(fd);
	assert_int_equal(datapath_verify(dp, err, sizeof(err)), 0);

	link_pin("tcx", "up0", path, sizeof(path));
	fd = bpf_obj_get(path);
	assert_int_equal(bpf_link_detach(fd), 0);
	close(fd);
	assert_int_equal(datapath_verify(dp, err, sizeof(err)), -ENOLINK);
	assert_int_equal(datapath_attach(dp, err, sizeof(err)), 0);
	assert_int_equal(datapath_verify(dp, err, sizeof(err)), 0);
	shut(dp);
	datapath_other__destroy(other);
}

static void an_uplink_that_came_back_is_attached_again(void **state)
{
	struct datapath_options opts = options(DATAPATH_AUTO);
	struct datapath *dp = up(&opts);
	int before = ifindex_of("up0");

	run("ip link del up0 && ip link add up0 type veth peer name up0p && ip link set up0 up");
	assert_int_not_equal(ifindex_of("up0"), before);
	assert_int_equal(datapath_verify(dp, err, sizeof(err)), -ENOLINK);
	assert_int_equal(datapath_attach(dp, err, sizeof(err)), 0);
	assert_int_equal(datapath_verify(dp, err, sizeof(err)), 0);
	snprintf(err, sizeof(err), ROOT "/links/xdp-%d", before);
	assert_false(exists(err));
	shut(dp);
}

static void a_start_that_fails_half_way_leaves_nothing(void **state)
{
	static const enum datapath_mode modes[] = { DATAPATH_AUTO, DATAPATH_XDP_GENERIC, DATAPATH_CLSACT };
	struct datapath *dp;

	for (unsigned i = 0; i < 3; i++) {
		struct datapath_options opts = options(modes[i]);

		opts.uplinks[1] = "nosuch0";
		opts.uplink_count = 2;
		assert_int_equal(start(&opts, &dp), -ENODEV);
		assert_non_null(strstr(err, "nosuch0"));
		assert_nothing_left();
	}
}

static void a_failing_successor_leaves_the_running_datapath_alone(void **state)
{
	struct datapath_options opts = options(DATAPATH_AUTO);
	struct attached before, after;
	struct datapath *dp;

	shut(up(&opts));
	before = attached_at("xdp", "up0");
	opts.uplinks[1] = "nosuch0";
	opts.uplink_count = 2;
	assert_int_equal(start(&opts, &dp), -ENODEV);
	after = attached_at("xdp", "up0");
	assert_memory_equal(&before, &after, sizeof(before));
	attached_at(tunnel_hook, "wt0p");
}

static void leftovers_of_a_crashed_start_are_cleared(void **state)
{
	struct datapath_options opts = options(DATAPATH_AUTO);
	struct datapath *dp;
	LIBBPF_OPTS(bpf_map_create_opts, none);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "config", 4, 8, 1, &none);

	assert_true(fd >= 0);
	assert_int_equal(mkdir(BASE, 0700) | mkdir(ROOT, 0700) | mkdir(ROOT "/maps", 0700), 0);
	assert_int_equal(bpf_obj_pin(fd, ROOT "/maps/config"), 0);
	close(fd);
	dp = up(&opts);
	assert_false(datapath_is_adopted(dp));
	shut(dp);
}

static void maps_of_another_shape_are_refused_not_misread(void **state)
{
	struct datapath_options opts = options(DATAPATH_AUTO);
	struct attached before, after;
	struct datapath *dp;
	int fd;

	shut(up(&opts));
	before = attached_at("xdp", "up0");
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "config", 4, 8, 1, NULL);
	assert_int_equal(unlink(ROOT "/maps/config"), 0);
	assert_int_equal(bpf_obj_pin(fd, ROOT "/maps/config"), 0);
	close(fd);
	assert_int_equal(start(&opts, &dp), -EPROTOTYPE);
	assert_non_null(strstr(err, "another shape"));
	after = attached_at("xdp", "up0");
	assert_memory_equal(&before, &after, sizeof(before));
}

static void only_one_process_holds_a_datapath(void **state)
{
	struct datapath_options opts = options(DATAPATH_AUTO);
	struct datapath *dp = up(&opts), *second;
	uint32_t holder;
	char pid[32];

	/* It has not written its record yet: the lock alone tells who holds it. */
	snprintf(pid, sizeof(pid), "process %d ", getpid());
	assert_true(datapath_is_held(BASE, &holder));
	assert_int_equal(holder, getpid());
	assert_int_equal(start(&opts, &second), -EBUSY);
	assert_int_equal(datapath_down(BASE, err, sizeof(err)), -EBUSY);
	assert_non_null(strstr(err, pid));
	assert_int_equal(datapath_verify(dp, err, sizeof(err)), 0);
	shut(dp);
}

static void a_device_of_that_name_that_is_not_ours_is_not_touched(void **state)
{
	struct datapath_options opts = options(DATAPATH_AUTO);
	struct datapath *dp;
	struct net_link link;

	run("ip link add wt0 type veth peer name foreign0");
	assert_int_equal(start(&opts, &dp), -EEXIST);
	assert_non_null(strstr(err, "wt0"));
	assert_int_equal(net_link_get("wt0", &link), 0);
	assert_false(link.up);
	assert_false(exists(BASE));
	run("ip link del wt0");
}

static void others_filters_and_their_qdisc_survive(void **state)
{
	struct datapath_options opts = options(DATAPATH_CLSACT);
	struct datapath_other *other = datapath_other__open_and_load();
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex_of("up0"), .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, theirs, .prog_fd = bpf_program__fd(other->progs.other_tc), .handle = 1,
		.priority = 1);
	LIBBPF_OPTS(bpf_tc_opts, query, .handle = 1, .priority = 1);

	assert_int_equal(bpf_tc_hook_create(&hook), 0);
	assert_int_equal(bpf_tc_attach(&hook, &theirs), 0);
	shut(up(&opts));
	/* Of equal priority, the first one listed runs first. */
	run("tc filter show dev up0 ingress | grep handle | head -1 | grep -q talon_uplink_tc");
	down();
	assert_int_equal(bpf_tc_query(&hook, &query), 0);
	assert_int_equal(query.prog_id, theirs.prog_id);
	run("tc qdisc show dev up0 | grep -q clsact && tc qdisc del dev up0 clsact");
	datapath_other__destroy(other);
}

static void bad_options_are_named(void **state)
{
	struct datapath_options good = options(DATAPATH_AUTO), opts;
	struct datapath *dp;

	opts = good, opts.uplink_count = 0;
	assert_int_equal(datapath_load(&opts, &dp, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "uplinks"));
	opts = good, opts.sessions = 100;
	assert_int_equal(datapath_load(&opts, &dp, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "sessions: 100"));
	opts = good, opts.flows = 3000000;
	assert_int_equal(datapath_load(&opts, &dp, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "flows: 3000000"));
	opts = good, opts.tunnel = "sixteenletters00";
	assert_int_equal(datapath_load(&opts, &dp, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "sixteenletters00"));
	opts = good, opts.base = "/tmp/talon";
	assert_int_equal(datapath_load(&opts, &dp, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "bpffs"));
	opts = good, opts.base = "relative";
	assert_int_equal(datapath_load(&opts, &dp, err, sizeof(err)), -EINVAL);
	assert_false(exists(BASE));
}

static void a_million_flows_have_131072_buckets(void **state)
{
	struct datapath_options opts = options(DATAPATH_AUTO);
	struct datapath *dp;

	opts.flows = 1 << 20;
	assert_int_equal(datapath_load(&opts, &dp, err, sizeof(err)), 0);
	assert_int_equal(datapath_get_sizes(dp)->buckets, 1 << 17);
	shut(dp);
	assert_false(exists(BASE));	/* never attached */
}

static void status_reads_maps_without_the_controller(void **state)
{
	struct datapath_options opts = options(DATAPATH_AUTO);
	int fd;

	assert_int_equal(datapath_map_open(BASE, DATAPATH_MAP_INFO), -ENOENT);
	shut(up(&opts));
	fd = datapath_map_open(BASE, DATAPATH_MAP_INFO);
	assert_true(fd >= 0);
	close(fd);
}

static bool is_known(const char *map)
{
	for (unsigned i = 0; i < DATAPATH_MAP_COUNT; i++)
		if (!strcmp(datapath_map_name(i), map))
			return true;
	return false;
}

static void every_pinned_map_has_a_number_here(void **state)
{
	struct datapath_options opts = options(DATAPATH_AUTO);
	struct dirent *entry;
	DIR *dir;

	shut(up(&opts));
	dir = opendir(ROOT "/maps");
	assert_non_null(dir);
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.' && !is_known(entry->d_name))
			fail_msg("%s is missing in DATAPATH_MAPS", entry->d_name);
	closedir(dir);
}

static struct xdp_program *chain(struct datapath_other *other, unsigned priority)
{
	struct xdp_program *prog = xdp_program__from_bpf_obj(other->obj, "xdp");

	assert_int_equal(libxdp_get_error(prog), 0);
	assert_int_equal(xdp_program__set_run_prio(prog, priority), 0);
	assert_int_equal(xdp_program__set_chain_call_enabled(prog, XDP_PASS, true), 0);
	assert_int_equal(xdp_program__attach(prog, ifindex_of("up0"), XDP_MODE_NATIVE, 0), 0);
	return prog;
}

static unsigned chain_length(void)
{
	struct xdp_multiprog *multi = xdp_multiprog__get_from_ifindex(ifindex_of("up0"));
	unsigned count = libxdp_get_error(multi) ? 0 : xdp_multiprog__program_count(multi);

	if (count)
		xdp_multiprog__close(multi);
	return count;
}

static void skip_without_freplace(void)
{
	if (freplace_probe(false) || freplace_probe(true))
		skip();
}

static void a_dispatcher_that_is_there_is_joined_and_left(void **state)
{
	struct datapath_options opts = options(DATAPATH_AUTO);
	struct datapath_other *before, *after;
	struct xdp_program *first, *last;
	struct datapath *dp;

	skip_without_freplace();
	before = datapath_other__open();
	after = datapath_other__open();
	first = chain(before, 10);
	last = chain(after, 90);
	for (unsigned i = 0; i < 2; i++) {	/* the second one takes over from the first */
		dp = up(&opts);
		assert_int_equal(datapath_get_mode(dp), DATAPATH_XDP);
		assert_true(datapath_get_uplink(dp, 0)->dispatched);
		assert_int_equal(datapath_verify(dp, err, sizeof(err)), 0);
		assert_int_equal(chain_length(), 3);
		shut(dp);
	}
	down();
	assert_int_equal(chain_length(), 2);
	assert_int_equal(xdp_program__detach(first, ifindex_of("up0"), XDP_MODE_NATIVE, 0), 0);
	assert_int_equal(xdp_program__detach(last, ifindex_of("up0"), XDP_MODE_NATIVE, 0), 0);
	xdp_program__close(first);
	xdp_program__close(last);
	datapath_other__destroy(before);
	datapath_other__destroy(after);
}

static void a_dispatcher_is_brought_when_asked_for(void **state)
{
	struct datapath_options opts = options(DATAPATH_AUTO);
	struct datapath *dp;

	skip_without_freplace();
	opts.dispatcher = DATAPATH_DISPATCHER_ALWAYS;
	dp = up(&opts);
	assert_true(datapath_get_uplink(dp, 0)->dispatched);
	assert_int_equal(chain_length(), 1);
	shut(dp);
	down();
	assert_nothing_left();
}

static void where_extensions_are_refused_the_slot_itself_is_taken(void **state)
{
	struct datapath_options opts = options(DATAPATH_AUTO);
	struct datapath *dp;

	if (!freplace_probe(false) && !freplace_probe(true))
		skip();
	opts.dispatcher = DATAPATH_DISPATCHER_ALWAYS;
	dp = up(&opts);
	assert_int_equal(datapath_get_mode(dp), DATAPATH_XDP);
	assert_false(datapath_get_uplink(dp, 0)->dispatched);
	assert_non_null(strstr(datapath_get_why(dp), "dispatcher"));
	shut(dp);
	down();
	assert_nothing_left();
}

static int isolate(void **state)
{

	if (unshare(CLONE_NEWNET | CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("bpf", BPFFS, "bpf", 0, NULL))
		return -1;
	log_bridge_libbpf();
	log_set_level(LOG_LEVEL_ERROR);
	if (!tcx_is_supported())
		tunnel_hook = "filter";
	return system("ip link set lo up");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_mode_attaches_and_down_leaves_nothing, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(modes_follow_each_other_on_a_running_datapath, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(the_same_binary_adopts_without_touching_anything, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(another_binary_replaces_the_programs_and_keeps_the_links,
		set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_moment_of_an_upgrade_is_without_a_program, set_up,
		tear_down), cmocka_unit_test_setup_teardown(the_relay_link_comes_and_goes_with_the_datapath,
		set_up, tear_down),
		cmocka_unit_test_setup_teardown(sealed_packets_are_read_at_the_relay_links_far_end, set_up,
		tear_down), cmocka_unit_test_setup_teardown(another_layout_is_taken_over_and_removed, set_up,
		tear_down), cmocka_unit_test_setup_teardown(running_maps_keep_their_sizes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_taken_xdp_slot_means_tcx_first_in_line, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_taken_xdp_slot_without_tcx_means_clsact, set_up, tear_down),
		cmocka_unit_test_setup_teardown(verify_notices_who_is_gone_or_in_front, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_uplink_that_came_back_is_attached_again, set_up,
		tear_down), cmocka_unit_test_setup_teardown(a_start_that_fails_half_way_leaves_nothing,
		set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_failing_successor_leaves_the_running_datapath_alone, set_up,
		tear_down), cmocka_unit_test_setup_teardown(leftovers_of_a_crashed_start_are_cleared, set_up,
		tear_down), cmocka_unit_test_setup_teardown(maps_of_another_shape_are_refused_not_misread,
		set_up, tear_down), cmocka_unit_test_setup_teardown(only_one_process_holds_a_datapath, set_up,
		tear_down),
		cmocka_unit_test_setup_teardown(a_device_of_that_name_that_is_not_ours_is_not_touched, set_up,
		tear_down), cmocka_unit_test_setup_teardown(others_filters_and_their_qdisc_survive, set_up,
		tear_down), cmocka_unit_test_setup_teardown(bad_options_are_named, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_million_flows_have_131072_buckets, set_up,
		tear_down), cmocka_unit_test_setup_teardown(status_reads_maps_without_the_controller, set_up,
		tear_down), cmocka_unit_test_setup_teardown(every_pinned_map_has_a_number_here, set_up,
		tear_down), cmocka_unit_test_setup_teardown(a_dispatcher_that_is_there_is_joined_and_left,
		set_up, tear_down), cmocka_unit_test_setup_teardown(a_dispatcher_is_brought_when_asked_for,
		set_up, tear_down),
		cmocka_unit_test_setup_teardown(where_extensions_are_refused_the_slot_itself_is_taken, set_up,
		tear_down),
	};

	return cmocka_run_group_tests(tests, isolate, NULL);
}
