// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A node in a test process: see rig.h.
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/if_ether.h>
#include <bpf/btf.h>
#include <sodium.h>

#include "bpf/ends.h"
#include "bpf/rig.h"
#include "natgc.skel.h"
#include "tunnel.skel.h"
#include "uplink_tc.skel.h"
#include "uplink_xdp.skel.h"

const uint8_t rig_mac[6] = { 2, 0, 0, 0, 2, 0x21 };
const uint8_t rig_gateway_mac[6] = { 2, 0, 0, 0, 2, 0x20 };
const uint8_t rig_router_mac[6] = { 2, 0, 0, 0, 0, 1 };
const uint8_t rig_mac1[6] = { 2, 0, 0, 0, 9, 1 };
const uint8_t rig_narrow_mac[6] = { 2, 0, 0, 0, 9, 2 };
const uint8_t rig_node6[16] = { 0x20, 1, 0x0d, 0xb8, [14] = 2, [15] = 0x21 };
const uint8_t rig_wt0_mac[6] = { 2, 0, 0, 0, 0x77, 1 };
const uint8_t rig_wt0p_mac[6] = { 2, 0, 0, 0, 0x77, 2 };

const uint8_t rig_wt0r_mac[6] = { 2, 0, 0, 0, 0x77, 3 };
const uint8_t rig_wt0rp_mac[6] = { 2, 0, 0, 0, 0x77, 4 };

enum rig_hook rig_hook;
bool rig_with_tunnel;
static bool reached[RIG_TUNNEL + 1][TALON_END_COUNT];

static const char *const end_names[] = {
#define RIG_NAME(id, label, drop, help) label,
	TALON_ENDS(RIG_NAME)
};

static const char *const dir_names[] = { "in", "out", "tunnel", "onward" };

const char *rig_end_name(enum talon_end end)
{
	return end_names[end];
}

void rig_ip(const char *command)
{
	char line[256];

	snprintf(line, sizeof(line), "ip %s", command);
	if (system(line)) {
		fprintf(stderr, "failed: %s\n", line);
		abort();
	}
}

/*
 * Verifying the programs takes most of a case's time, so what one case has loaded the next one gets, as long
 * as it asks for the same and is in the same namespace; rig_setup() empties the maps. A second rig at the
 * same time is loaded anew.
 */
static struct {
	enum rig_hook hook;
	bool has_tunnel;
	struct bpf_object *obj, *tunnel, *natgc;
	struct bpf_link *link;
} spare;

static void spare_drop(void)
{
	bpf_link__destroy(spare.link);
	bpf_object__close(spare.natgc);
	bpf_object__close(spare.tunnel);
	bpf_object__close(spare.obj);
	memset(&spare, 0, sizeof(spare));
}

/*
 * Routes and neighbours are real, so that the kernel's answers are. The namespace vanishes with the process.
 */
int rig_group_setup(void **state)
{
	static const char *const commands[] = {
		"link set lo up",
		"link add eth0 address 02:00:00:00:02:21 type veth peer name eth0far",
		"link add eth1 address 02:00:00:00:09:01 mtu 1000 type veth peer name eth1far",
		"link add wt0 address 02:00:00:00:77:01 mtu 1280 type veth peer name wt0p address "
		"02:00:00:00:77:02 mtu 1280",
		"link add wt0r address 02:00:00:00:77:03 type veth peer name wt0rp address 02:00:00:00:77:04",
		"link set wt0r up", "link set wt0rp up",
		"link add eth2 address 02:00:00:00:0a:01 type veth peer name eth2far", "link set eth2 up",
		"link set eth2far up", "tuntap add tun0 mode tun", "link set tun0 up", "link set eth0 up",
		"link set eth0far up", "link set eth1 up", "link set eth1far up", "link set wt0 up",
		"link set wt0p up", "addr add 192.168.1.221/24 dev eth0", "addr add 10.9.0.1/24 dev eth1",
		"addr add 2001:db8::221/64 dev eth0 nodad",
		"neigh add 192.168.1.220 lladdr 02:00:00:00:02:20 dev eth0 nud permanent",
		"neigh add 192.168.1.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent",
		"neigh add 10.9.0.2 lladdr 02:00:00:00:09:02 dev eth1 nud permanent",
		"neigh add 2001:db8::1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent",
		"route add default via 192.168.1.1", "route add ::/0 via 2001:db8::1 dev eth0",
		"route add 10.8.0.0/24 via 192.168.1.220", "route add unreachable 10.66.0.0/24",
		"addr add 10.10.0.1/24 dev eth2",
		"neigh add 10.10.0.2 lladdr 02:00:00:00:0a:02 dev eth2 nud permanent",
		"addr add 10.11.0.1/24 dev tun0", "route add blackhole 10.67.0.0/24",
		"route add prohibit 10.68.0.0/24",
		"route add throw 10.69.0.0/24",	/* leaves the main table without a route */
		"route add 10.12.0.0/24 via 192.168.1.220 mtu 1300",
		"addr add 100.64.0.1/32 dev wt0", "route add 100.64.0.0/10 dev wt0",
		"neigh add 2001:db8::220 lladdr 02:00:00:00:02:20 dev eth0 nud permanent",
		"route add 2001:db8:8::/64 via 2001:db8::220 dev eth0",
		"route add 2001:db8:19::/64 via 2001:db8::220 dev eth0",
		"route add unreachable 2001:db8:66::/64", "route add blackhole 2001:db8:67::/64",
		"route add prohibit 2001:db8:68::/64", "route add throw 2001:db8:69::/64",
		"addr add fd00:64::1/128 dev wt0 nodad", "route add fd00:64::/64 dev wt0",
		"addr add 2001:db8:a::1/64 dev eth2 nodad",
		"neigh add 2001:db8:a::2 lladdr 02:00:00:00:0a:02 dev eth2 nud permanent",
	};
	cpu_set_t cpus;
	FILE *ip;

	spare_drop();
	if (sodium_init() < 0)
		return -1;
	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);	/* per-CPU state of the programs is read back from this CPU */
	if (sched_setaffinity(0, sizeof(cpus), &cpus) || unshare(CLONE_NEWNET)) {
		fprintf(stderr, "a network namespace needs root: %s\n", strerror(errno));
		return -1;
	}
	if (system("echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding"))
		return -1;
	ip = popen("ip -batch -", "w");
	if (!ip)
		return -1;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(ip, "%s\n", commands[i]);
	return pclose(ip) ? -1 : 0;
}

static int run_in(enum rig_hook hook, const char *name, const struct CMUnitTest *tests, size_t count)
{
	const struct CMUnitTest last[] = { cmocka_unit_test(ends_were_reached) };
	const char *where = hook == RIG_XDP ? "XDP" : "tc";
	char title[128];
	int failed;

	rig_hook = hook;
	snprintf(title, sizeof(title), "%s in %s", name, where);
	failed = _cmocka_run_group_tests(title, tests, count, rig_group_setup, NULL);
	snprintf(title, sizeof(title), "ends of %s in %s", name, where);
	return failed + cmocka_run_group_tests_name(title, last, NULL, NULL);
}

int rig_main_of(const char *name, const struct CMUnitTest *tests, size_t count)
{
	int failed = run_in(RIG_XDP, name, tests, count);

	return failed + run_in(RIG_TC, name, tests, count);
}

uint64_t rig_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

int rig_fd(struct rig *rig, const char *map)
{
	int fd = bpf_object__find_map_fd_by_name(rig->obj, map);

	assert_true(fd >= 0);
	return fd;
}

void rig_put(struct rig *rig, const char *map, const void *key, const void *value)
{
	assert_int_equal(bpf_map_update_elem(rig_fd(rig, map), key, value, BPF_ANY), 0);
}

void rig_config(struct rig *rig)
{
	uint32_t zero = 0;

	rig_put(rig, "config", &zero, &rig->config);
}

void rig_bump(struct rig *rig)
{
	rig->config.generation++;
	rig_config(rig);
}

void rig_route(struct rig *rig, const char *prefix, uint32_t len, uint32_t flags)
{
	struct talon_lpm4 key = { .prefixlen = len, .addr = ip4(prefix) };
	struct talon_route route = { .id = 1, .flags = flags, .prefixlen = len };

	rig_put(rig, "routes4", &key, &route);
}

void rig_allow(struct rig *rig, const char *prefix, uint32_t len, uint32_t peer)
{
	struct talon_lpm4 key = { .prefixlen = len, .addr = ip4(prefix) };
	uint32_t entry = TALON_ALLOWED(peer, len);

	rig_put(rig, "allowed4", &key, &entry);
}

void rig_found(struct rig *rig, const char *addr)
{
	struct talon_lpm4 key = { .prefixlen = 32, .addr = ip4(addr) };
	uint32_t found = TALON_LOCAL_FOUND;

	rig_put(rig, "local4", &key, &found);
}

void rig_local(struct rig *rig, const char *prefix, uint32_t len)
{
	struct talon_lpm4 key = { .prefixlen = len, .addr = ip4(prefix) };
	uint32_t one = 1;

	rig_put(rig, "local4", &key, &one);
}

void rig_host_route(struct rig *rig, const char *prefix, uint32_t len, enum talon_host_kind kind,
	const char *source)
{
	struct talon_lpm4 key = { .prefixlen = len, .addr = ip4(prefix) };
	struct talon_host_route route = { .source = source ? ip4(source) : 0, .kind = kind,
		.prefixlen = len };

	rig_put(rig, "host4", &key, &route);
}

static struct talon_lpm6 lpm6(const char *prefix, uint32_t len)
{
	struct talon_lpm6 key = { .prefixlen = len };
	struct addr6 a = ip6(prefix);

	memcpy(&key.addr, &a, sizeof(key.addr));
	return key;
}

void rig_route6(struct rig *rig, const char *prefix, uint32_t len, uint32_t flags)
{
	struct talon_lpm6 key = lpm6(prefix, len);
	struct talon_route route = { .id = 1, .flags = flags, .prefixlen = len };

	rig_put(rig, "routes6", &key, &route);
}

void rig_allow6(struct rig *rig, const char *prefix, uint32_t len, uint32_t peer)
{
	struct talon_lpm6 key = lpm6(prefix, len);
	uint32_t entry = TALON_ALLOWED(peer, len);

	rig_put(rig, "allowed6", &key, &entry);
}

void rig_local6(struct rig *rig, const char *prefix, uint32_t len)
{
	struct talon_lpm6 key = lpm6(prefix, len);
	uint32_t one = 1;

	rig_put(rig, "local6", &key, &one);
}

void rig_host_route6(struct rig *rig, const char *prefix, uint32_t len, enum talon_host_kind kind,
	const char *source, uint16_t mtu)
{
	struct talon_lpm6 key = lpm6(prefix, len);
	struct talon_host_route6 route = { .mtu = mtu, .kind = kind, .prefixlen = len };
	struct addr6 a;

	if (source) {
		a = ip6(source);
		memcpy(&route.source, &a, sizeof(route.source));
	}
	rig_put(rig, "host6", &key, &route);
}

bool rig_has_flow6(struct rig *rig, uint32_t id)
{
	struct talon_flow6 six;

	return !bpf_map_lookup_elem(rig_fd(rig, "flows6"), &id, &six);
}

struct talon_flow6 rig_flow6(struct rig *rig, uint32_t id)
{
	struct talon_flow6 six;

	assert_int_equal(bpf_map_lookup_elem(rig_fd(rig, "flows6"), &id, &six), 0);
	return six;
}

void rig_six(struct rig *rig)
{
	static const char *const clients[RIG_PEERS] = { CLIENT6, CLIENT6_1, CLIENT6_2 },
		*const own[] = { MESH6, SECOND6 };
	struct addr6 mesh = ip6(MESH6), node = ip6(NODE6);
	uint8_t one = 1;

	rig->config.flags |= TALON_F_INNER6;
	memcpy(&rig->config.mesh_addr6, &mesh, sizeof(mesh));
	memcpy(&rig->config.node_addr6, &node, sizeof(node));
	rig->config.mesh_len6 = 64;
	rig_config(rig);
	rig_host_route6(rig, "::", 0, TALON_HOST_UNICAST, NODE6, 0);
	rig_host_route6(rig, "2001:db8:19::", 64, TALON_HOST_UNICAST, NODE6, 1400);
	rig_host_route6(rig, "2001:db8:66::", 64, TALON_HOST_REFUSED, NULL, 0);
	rig_host_route6(rig, NODE6, 128, TALON_HOST_LOCAL, NODE6, 0);
	rig_host_route6(rig, MESH6, 128, TALON_HOST_LOCAL, MESH6, 0);
	rig_host_route6(rig, "fd00:64::", 64, TALON_HOST_UNICAST, MESH6, 0);
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		struct addr6 a = ip6(own[i]);

		rig_put(rig, "local_addrs", &a, &one);
	}
	rig_route6(rig, "2001:db8::", 64, TALON_ROUTE_MASQUERADE);
	rig_route6(rig, "2001:db8:19::", 64, TALON_ROUTE_MASQUERADE);
	rig_route6(rig, "2001:db8:a::", 64, TALON_ROUTE_MASQUERADE);
	rig_route6(rig, "2001:db8:66::", 64, TALON_ROUTE_MASQUERADE);
	rig_route6(rig, "2001:db8:8::", 64, 0);
	rig_local6(rig, "2001:db8:7::", 64);
	rig_route6(rig, "fd00:64::", 64, 0);
	for (uint32_t i = 0; i < RIG_PEERS; i++)
		rig_allow6(rig, clients[i], 128, i);
}

void rig_link(struct rig *rig, uint32_t ifindex, const uint8_t mac[6], uint16_t mtu, uint32_t flags)
{
	struct talon_link link = { .mtu = mtu, .flags = flags };

	memcpy(link.mac, mac, sizeof(link.mac));
	rig_put(rig, "links", &ifindex, &link);
}

/* The host's own tables, as far as the tests' packets use them. */
static void fill_host(struct rig *rig)
{
	rig_host_route(rig, "0.0.0.0", 0, TALON_HOST_UNICAST, NODE);
	rig_host_route(rig, "127.0.0.0", 8, TALON_HOST_LOCAL, "127.0.0.1");
	rig_host_route(rig, NODE, 32, TALON_HOST_LOCAL, NODE);
	rig_host_route(rig, "10.9.0.1", 32, TALON_HOST_LOCAL, "10.9.0.1");
	rig_host_route(rig, MESH, 32, TALON_HOST_LOCAL, MESH);
	rig_host_route(rig, "192.168.1.255", 32, TALON_HOST_BROADCAST, NODE);
	rig_host_route(rig, "10.9.0.255", 32, TALON_HOST_BROADCAST, "10.9.0.1");
	rig_host_route(rig, "10.66.0.0", 24, TALON_HOST_REFUSED, NULL);
	rig_link(rig, rig->eth0, rig_mac, 1500, TALON_LINK_UPLINK | TALON_LINK_PROGRAM | TALON_LINK_REDIRECT);
	rig_link(rig, rig->eth1, rig_mac1, 1000, TALON_LINK_PROGRAM | TALON_LINK_REDIRECT);
}

void rig_session_age(struct rig *rig, uint32_t peer, uint64_t age_ns)
{
	struct rig_peer *p = &rig->peers[peer];
	struct talon_session s = {
		.index = p->index, .peer = peer, .remote_index = p->remote_index,
		.birth_ns = rig_now_ns() - age_ns,
	};

	memcpy(s.recv_key, p->recv_key, 32);
	memcpy(s.send_key, p->send_key, 32);
	rig_put(rig, "sessions", &p->slot, &s);
}

void rig_session(struct rig *rig, uint32_t peer)
{
	struct rig_peer *p = &rig->peers[peer];
	struct talon_replay replay = { .state = TALON_SESSION_CURRENT };
	struct talon_send_counter counter = {};
	struct talon_peer_tx tx = { .index = p->index };

	rig_session_age(rig, peer, 0);
	rig_put(rig, "replay", &p->slot, &replay);
	rig_put(rig, "send_counters", &p->slot, &counter);
	rig_put(rig, "peer_tx", &peer, &tx);
	p->counter = 0;
}

static void add_peer(struct rig *rig, uint32_t peer, const char *mesh, const char *addr, uint16_t port)
{
	struct rig_peer *p = &rig->peers[peer];
	struct talon_endpoint e = {};

	p->mesh = ip4(mesh);
	p->six = strchr(addr, ':');
	p->port = port;
	p->slot = 5 + peer * 7;
	p->index = 0xabc000 * (peer + 1) * RIG_SLOTS + p->slot;
	p->remote_index = 0x11223344 + peer;
	randombytes_buf(p->recv_key, sizeof(p->recv_key));
	randombytes_buf(p->send_key, sizeof(p->send_key));
	e.family = p->six ? AF_INET6 : AF_INET;
	e.local_port = htons(RIG_PORT);
	e.remote_port = htons(port);
	if (p->six) {
		inet_pton(AF_INET6, addr, p->addr6);
		memcpy(&e.remote, p->addr6, 16);
		memcpy(&e.local, rig_node6, 16);
	} else {
		p->addr = ip4(addr);
		e.remote.word[0] = p->addr;
		e.local.word[0] = ip4(NODE);
	}
	memcpy(e.in_smac, rig_router_mac, 6);
	memcpy(e.in_dmac, rig_mac, 6);
	e.in_ifindex = rig->eth0;
	rig_put(rig, "endpoints", &peer, &e);
	rig_session(rig, peer);
	rig_allow(rig, mesh, 32, peer);
}

static int take_event(void *context, void *data, size_t size)
{
	struct rig *rig = context;
	struct rig_event *to;

	if (!rig->now)
		return 0;
	assert_true(size >= sizeof(to->head));
	assert_in_range(rig->now->event_count, 0, RIG_EVENTS - 1);
	to = &rig->now->events[rig->now->event_count++];
	memcpy(to, data, size < sizeof(*to) ? size : sizeof(*to));
	assert_int_equal(size, sizeof(to->head) + to->head.len);
	return 0;
}

/* Not pinned; maps that @shared has, too, are reused. */
static struct bpf_object *load(const void *elf, size_t size, struct bpf_object *shared)
{
	struct bpf_object *obj = bpf_object__open_mem(elf, size, NULL);
	struct bpf_map *map;

	assert_non_null(obj);
	bpf_object__for_each_map(map, obj) {
		int fd = shared ? bpf_object__find_map_fd_by_name(shared, bpf_map__name(map)) : -1;

		assert_int_equal(bpf_map__set_pin_path(map, NULL), 0);
		if (fd >= 0 && strcmp(bpf_map__name(map), "scratch"))
			assert_int_equal(bpf_map__reuse_fd(map, fd), 0);
	}
	assert_int_equal(bpf_object__load(obj), 0);
	return obj;
}

static struct bpf_object *load_hook(enum rig_hook hook, struct bpf_object *shared)
{
	const void *elf;
	size_t size;

	switch (hook) {
	case RIG_XDP:
		elf = uplink_xdp__elf_bytes(&size);
		break;
	case RIG_TC:
		elf = uplink_tc__elf_bytes(&size);
		break;
	default:
		elf = tunnel__elf_bytes(&size);
		break;
	}
	return load(elf, size, shared);
}

static void empty_array(int fd, const struct bpf_map_info *map)
{
	static uint32_t *keys;
	static uint8_t *zeros;
	static size_t room;
	const size_t value_size = (map->value_size + 7) / 8 * 8;
	size_t size = value_size * map->max_entries;
	uint32_t count = map->max_entries;
	LIBBPF_OPTS(bpf_map_batch_opts, opts);

	if (size > room) {
		free(zeros);
		zeros = calloc(1, size);
		room = size;
	}
	keys = realloc(keys, sizeof(*keys) * count);
	assert_true(keys && zeros);
	for (uint32_t i = 0; i < count; i++)
		keys[i] = i;
	assert_int_equal(bpf_map_update_batch(fd, keys, zeros, &count, &opts), 0);
	assert_int_equal(count, map->max_entries);
}

static void empty_array_of_cpus(int fd, const struct bpf_map_info *map)
{
	uint8_t *zeros = calloc(libbpf_num_possible_cpus(), (map->value_size + 7) / 8 * 8);

	assert_non_null(zeros);
	for (uint32_t i = 0; i < map->max_entries; i++)
		assert_int_equal(bpf_map_update_elem(fd, &i, zeros, 0), 0);
	free(zeros);
}

static void empty_hash(int fd)
{
	uint8_t key[64];

	while (!bpf_map_get_next_key(fd, NULL, key))
		assert_int_equal(bpf_map_delete_elem(fd, key), 0);
}

static int forget(void *context, void *data, size_t size)
{
	(void)context, (void)data, (void)size;
	return 0;
}

static void empty_ring(int fd)
{
	struct ring_buffer *ring = ring_buffer__new(fd, forget, NULL, NULL);

	assert_non_null(ring);
	ring_buffer__consume(ring);
	ring_buffer__free(ring);
}

static void empty_map(int fd)
{
	struct bpf_map_info map = {};
	uint32_t len = sizeof(map), value;

	assert_int_equal(bpf_obj_get_info_by_fd(fd, &map, &len), 0);
	switch (map.type) {
	case BPF_MAP_TYPE_ARRAY:
		empty_array(fd, &map);
		break;
	case BPF_MAP_TYPE_PERCPU_ARRAY:
		empty_array_of_cpus(fd, &map);
		break;
	case BPF_MAP_TYPE_HASH:
	case BPF_MAP_TYPE_LRU_HASH:
	case BPF_MAP_TYPE_LPM_TRIE:
		assert_in_range(map.key_size, 1, 64);
		empty_hash(fd);
		break;
	case BPF_MAP_TYPE_RINGBUF:
		empty_ring(fd);
		break;
	case BPF_MAP_TYPE_QUEUE:
		while (!bpf_map_lookup_and_delete_elem(fd, NULL, &value))
			continue;
		break;
	case BPF_MAP_TYPE_PERF_EVENT_ARRAY:
	case BPF_MAP_TYPE_ARRAY_OF_MAPS:
		for (uint32_t i = 0; i < map.max_entries; i++)
			bpf_map_delete_elem(fd, &i);	/* fails where none is */
		break;
	default:
		fail_msg("rig: how is map %s of type %u emptied?", map.name, map.type);
	}
}

/* Constants stay; the programs have no other data of their own. */
static void empty(struct bpf_object *obj)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj) {
		const char *name = bpf_map__name(map);

		if (strstr(name, ".rodata"))
			continue;
		assert_null(strchr(name, '.'));
		empty_map(bpf_map__fd(map));
	}
}

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, format, args) : 0;
}

static void fill(struct rig *rig)
{
	struct talon_addr lo = { .word = { htonl(0x7f000001) } };
	struct talon_addr eth1 = { .word = { ip4("10.9.0.1") } };
	struct talon_addr six;
	uint8_t one = 1;

	rig->config = (struct talon_config) {
		.generation = 1, .session_mask = RIG_SLOTS - 1, .bucket_mask = 255, .flow_count = 1024,
		.tunnel_ifindex = rig->wt0, .tunnel_peer_ifindex = rig->wt0p,
		.listen_port = htons(RIG_PORT), .tunnel_mtu = RIG_MTU, .node_addr = ip4(NODE),
		.snat_addr = ip4(NODE), .mesh_addr = ip4(MESH), .mesh_mask = htonl(0xffc00000),
		.port_first = RIG_PORT_FIRST, .port_last = RIG_PORT_LAST, .keys = {
			.flow = { 0x5eed1234, 0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb,
				0xd6e8feb86659fd93 },
			.port = { 0x5eed1234, 0x0123456789abcdef }, .id = { 0x5eed1234, 0x9e3779b97f4a7c15 },
			.fold = { 0x1234, 0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f, 0x165667b19e3779f9,
				0x27d4eb2f165667c5 },
		}, .uplinks = { rig->eth0 },
	};
	memcpy(rig->config.tunnel_mac, rig_wt0_mac, 6);
	memcpy(rig->config.tunnel_peer_mac, rig_wt0p_mac, 6);
	rig_config(rig);
	fill_host(rig);
	rig_put(rig, "local_addrs", &lo, &one);
	rig_put(rig, "local_addrs", &eth1, &one);
	memcpy(&six, rig_node6, 16);
	rig_put(rig, "local_addrs", &six, &one);
	rig_route(rig, "192.168.1.0", 24, TALON_ROUTE_MASQUERADE);
	rig_route(rig, "10.9.0.0", 24, TALON_ROUTE_MASQUERADE);
	rig_route(rig, "10.66.0.0", 24, TALON_ROUTE_MASQUERADE);
	rig_route(rig, "10.8.0.0", 24, 0);
	rig_local(rig, "10.7.0.0", 24);
	rig_route(rig, "100.64.0.0", 10, 0);
	add_peer(rig, 0, CLIENT, "203.0.113.5", 40000);
	add_peer(rig, 1, CLIENT1, "198.51.100.7", 51820);
	add_peer(rig, 2, CLIENT2, "2001:db8:9::5", 40001);
}

static bool wants_tunnel(enum rig_hook hook) { return hook == RIG_TC || rig_with_tunnel; }

static bool take_spare(struct rig *rig)
{
	if (!spare.obj || spare.hook != rig->hook || spare.has_tunnel != wants_tunnel(rig->hook))
		return false;
	rig->obj = spare.obj;
	rig->tunnel = spare.tunnel;
	rig->natgc = spare.natgc;
	rig->link = spare.link;
	memset(&spare, 0, sizeof(spare));
	empty(rig->obj);
	if (rig->tunnel)
		empty_map(bpf_object__find_map_fd_by_name(rig->tunnel, "scratch"));
	return true;
}

static void load_all(struct rig *rig)
{
	const void *elf;
	size_t size;

	rig->obj = load_hook(rig->hook, NULL);
	if (wants_tunnel(rig->hook))
		rig->tunnel = load_hook(RIG_TUNNEL, rig->obj);
	elf = natgc__elf_bytes(&size);
	rig->natgc = load(elf, size, rig->obj);
	/*
	 * For each test run the kernel puts an XDP program into its dispatcher and takes it out again, which
	 * takes milliseconds, unless the program is attached to a device. No traffic uses this one, nor that
	 * of a second rig.
	 */
	if (rig->hook == RIG_XDP) {
		rig->link = bpf_program__attach_xdp(bpf_object__next_program(rig->obj, NULL),
			if_nametoindex("lo"));
		if (!rig->link)
			rig->link = bpf_program__attach_xdp(bpf_object__next_program(rig->obj, NULL),
				if_nametoindex("eth2far"));
		assert_non_null(rig->link);
	}
}

int rig_setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	if (!rig)
		return -1;
	libbpf_set_print(quiet);
	rig->hook = rig_hook;
	rig->eth0 = if_nametoindex("eth0");
	rig->eth1 = if_nametoindex("eth1");
	rig->wt0 = if_nametoindex("wt0");
	rig->wt0p = if_nametoindex("wt0p");
	rig->wt0r = if_nametoindex("wt0r");
	if (!take_spare(rig))
		load_all(rig);
	rig->ring = ring_buffer__new(rig_fd(rig, "events"), take_event, rig, NULL);
	if (!rig->ring || ring_buffer__add(rig->ring, rig_fd(rig, "event_packets"), take_event, rig) ||
	    ring_buffer__add(rig->ring, rig_fd(rig, "event_strays"), take_event, rig))
		return -1;
	fill(rig);
	*state = rig;
	return 0;
}

int rig_teardown(void **state)
{
	struct rig *rig = *state;

	ring_buffer__free(rig->ring);
	spare_drop();
	spare.hook = rig->hook;
	spare.has_tunnel = rig->tunnel;
	spare.obj = rig->obj;
	spare.tunnel = rig->tunnel;
	spare.natgc = rig->natgc;
	spare.link = rig->link;
	free(rig);
	return 0;
}

void rig_spare(struct rig *rig)
{
	rig->config.snat_addr = ip4(SPARE);
	rig->config.flags |= TALON_F_SNAT_OWN;
	rig->config.port_first = 1024;
	rig->config.port_last = 65535;
	rig_config(rig);
}

static void read_counts(struct rig *rig, uint64_t counts[TALON_STATS_ENTRIES])
{
	uint64_t per_cpu[512];
	int cpus = libbpf_num_possible_cpus(), fd = rig_fd(rig, "stats");

	assert_in_range(cpus, 1, 512);
	for (uint32_t i = 0; i < TALON_STATS_ENTRIES; i++) {
		assert_int_equal(bpf_map_lookup_elem(fd, &i, per_cpu), 0);
		counts[i] = 0;
		for (int cpu = 0; cpu < cpus; cpu++)
			counts[i] += per_cpu[cpu];
	}
}

static void read_seen(struct rig *rig, struct talon_seen sums[TALON_PROGRAM_COUNT])
{
	struct talon_seen per_cpu[512];
	int cpus = libbpf_num_possible_cpus(), fd = rig_fd(rig, "seen");

	assert_in_range(cpus, 1, 512);
	for (uint32_t i = 0; i < TALON_PROGRAM_COUNT; i++) {
		assert_int_equal(bpf_map_lookup_elem(fd, &i, per_cpu), 0);
		sums[i] = (struct talon_seen){};
		for (int cpu = 0; cpu < cpus; cpu++) {
			sums[i].received += per_cpu[cpu].received;
			sums[i].passed += per_cpu[cpu].passed;
		}
	}
}

/* What each program received it passed, or counted under an end, whatever the packet was. */
static void expect_conservation(const struct rig *rig, const struct rig_result *r,
	const struct talon_seen before[TALON_PROGRAM_COUNT],
	const struct talon_seen after[TALON_PROGRAM_COUNT])
{
	uint64_t ends[TALON_PROGRAM_COUNT] = {};
	const bool is_uplink = rig->hook != RIG_TUNNEL;

	for (int i = 0; i < TALON_STATS_ENTRIES; i++)
		ends[i / TALON_END_COUNT == TALON_DIR_TUNNEL ? TALON_PROGRAM_TUNNEL
			: TALON_PROGRAM_UPLINK] += r->counts[i];
	for (int i = 0; i < TALON_PROGRAM_COUNT; i++)
		assert_int_equal(after[i].received - before[i].received,
			after[i].passed - before[i].passed + ends[i]);
	assert_int_equal(after[TALON_PROGRAM_UPLINK].received - before[TALON_PROGRAM_UPLINK].received,
		is_uplink);
	assert_int_equal(after[TALON_PROGRAM_TUNNEL].received - before[TALON_PROGRAM_TUNNEL].received,
		!is_uplink || r->through_tunnel);
}

/* Reads a member of struct talon_pkt by name, as the program left it. */
static uint32_t scratch(struct bpf_object *obj, const char *member)
{
	const struct btf *btf = bpf_object__btf(obj);
	const struct btf_type *t = btf__type_by_id(btf, btf__find_by_name_kind(btf, "talon_pkt",
		BTF_KIND_STRUCT));
	int cpus = libbpf_num_possible_cpus();
	uint32_t size = (t->size + 7) / 8 * 8, zero = 0, value = 0;
	uint8_t *values = calloc(cpus, size);

	assert_non_null(values);
	assert_int_equal(bpf_map_lookup_elem(bpf_object__find_map_fd_by_name(obj, "scratch"), &zero,
		values), 0);
	for (uint32_t i = 0; i < btf_vlen(t); i++) {
		if (!strcmp(btf__name_by_offset(btf, btf_members(t)[i].name_off), member))
			memcpy(&value, values + btf_member_bit_offset(t, i) / 8, sizeof(value));
	}
	free(values);
	return value;
}

void rig_drain(struct rig *rig, const char *bucket)
{
	const struct talon_rate spent = { .spent_ns = rig_now_ns() + 3600 * TALON_NSEC_PER_SEC };

	for (uint32_t i = 0; i < TALON_RATE_ENTRIES; i++) {
		if (!strcmp(bucket, i == TALON_RATE_ICMP ? "icmp" : "event"))
			rig_put(rig, "rates", &i, &spent);
	}
}

void rig_refill(struct rig *rig)
{
	static const struct talon_rate none[TALON_RATE_ENTRIES];
	uint32_t keys[TALON_RATE_ENTRIES], n = TALON_RATE_ENTRIES;

	for (uint32_t i = 0; i < n; i++)
		keys[i] = i;
	assert_int_equal(bpf_map_update_batch(rig_fd(rig, "rates"), keys, none, &n, NULL), 0);
}

static void run_xdp(struct rig *rig, const struct packet *frame, struct rig_result *r)
{
	uint8_t in[PKT_MAX + 256] = {}, out[PKT_MAX + 256];
	struct xdp_md ctx = { .ingress_ifindex = rig->in ? rig->in : rig->eth0, .data = rig->meta,
		.data_end = rig->meta + frame->len }, ctx_out = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in, .data_size_in = rig->meta + frame->len,
		.data_out = out, .data_size_out = sizeof(out), .ctx_in = &ctx, .ctx_size_in = sizeof(ctx),
		.ctx_out = &ctx_out, .ctx_size_out = sizeof(ctx_out));

	memcpy(in + rig->meta, frame->bytes, frame->len);
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(bpf_object__next_program(rig->obj, NULL)),
		&opts), 0);
	r->retval = opts.retval;
	switch (opts.retval) {
	case XDP_PASS:
		r->verdict = RIG_PASS;
		break;
	case XDP_DROP:
		r->verdict = RIG_DROP;
		break;
	case XDP_TX:
	case XDP_REDIRECT:
		r->verdict = RIG_SEND;
		break;
	default:
		fail_msg("XDP verdict %u", opts.retval);
	}
	r->meta = ctx_out.data;
	r->frame.len = opts.data_size_out - ctx_out.data;
	assert_in_range(r->frame.len, 0, PKT_MAX);
	memcpy(r->frame.bytes, out + ctx_out.data, r->frame.len);
	r->ifindex = opts.retval == XDP_TX ? ctx.ingress_ifindex : scratch(rig->obj, "ifindex");
	r->flow = scratch(rig->obj, "flow");
}

static void run_tc(struct rig *rig, struct bpf_object *obj, uint32_t ifindex, const struct packet *frame,
	struct rig_result *r)
{
	struct __sk_buff ctx = { .ifindex = ifindex, .ingress_ifindex = ifindex };
	uint8_t in[PKT_MAX], out[PKT_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in, .data_size_in = frame->len, .data_out = out,
		.data_size_out = sizeof(out), .ctx_in = &ctx, .ctx_size_in = sizeof(ctx));

	if (obj == rig->obj) {
		ctx.gso_segs = rig->gso_segs;
		ctx.gso_size = rig->gso_size;
	}
	memcpy(in, frame->bytes, frame->len);
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(bpf_object__next_program(obj, NULL)),
		&opts), 0);
	r->retval = opts.retval;
	switch ((int)opts.retval) {
	case -1:
		r->verdict = RIG_PASS;
		break;
	case 2:
		r->verdict = RIG_DROP;
		break;
	case 7:
		r->verdict = RIG_SEND;
		break;
	default:
		fail_msg("tc verdict %d", (int)opts.retval);
	}
	r->frame.len = opts.data_size_out;
	memcpy(r->frame.bytes, out, r->frame.len);
	r->ifindex = scratch(obj, "ifindex");
	if (obj == rig->obj)
		r->flow = scratch(obj, "flow");
}

struct rig_result rig_run(struct rig *rig, const struct packet *frame)
{
	uint64_t before[TALON_STATS_ENTRIES], after[TALON_STATS_ENTRIES];
	struct talon_seen seen_before[TALON_PROGRAM_COUNT], seen_after[TALON_PROGRAM_COUNT];
	static struct rig_result r;
	struct packet between;

	memset(&r, 0, sizeof(r));
	rig->now = NULL;
	if (!rig->is_deaf)
		ring_buffer__consume(rig->ring);
	rig->now = &r;
	read_counts(rig, before);
	read_seen(rig, seen_before);
	switch (rig->hook) {
	case RIG_XDP:
		run_xdp(rig, frame, &r);
		break;
	case RIG_TC:
		run_tc(rig, rig->obj, rig->in ? rig->in : rig->eth0, frame, &r);
		if (r.verdict != RIG_SEND || r.ifindex != rig->wt0 || rig->is_out_of_tunnel)
			break;
		between = r.frame;
		r.through_tunnel = true;
		run_tc(rig, rig->tunnel, rig->wt0p, &between, &r);
		break;
	case RIG_TUNNEL:
		run_tc(rig, rig->obj, rig->wt0p, frame, &r);
		break;
	}
	read_counts(rig, after);
	read_seen(rig, seen_after);
	for (int i = 0; i < TALON_STATS_ENTRIES; i++) {
		r.counts[i] = after[i] - before[i];
		if (r.counts[i])
			reached[rig_hook][i % TALON_END_COUNT] = true;
	}
	expect_conservation(rig, &r, seen_before, seen_after);
	if (!rig->is_deaf)
		ring_buffer__consume(rig->ring);
	rig->now = NULL;
	return r;
}

bool rig_was_reached(enum talon_end end)
{
	return reached[rig_hook][end];
}

struct packet rig_outer(struct rig *rig, uint32_t peer, uint8_t tos, const struct packet *message)
{
	struct rig_peer *p = &rig->peers[peer];
	struct packet outer;

	if (p->six) {
		outer = pkt_udp6(p->addr6, rig_node6, p->port, RIG_PORT, tos, message);
		return pkt_ether(rig_mac, rig_router_mac, ETH_P_IPV6, &outer);
	}
	outer = pkt_udp4(p->addr, ip4(NODE), p->port, RIG_PORT, tos, message);
	return pkt_ether(rig_mac, rig_router_mac, ETH_P_IP, &outer);
}

struct packet rig_sealed(struct rig *rig, uint32_t peer, const struct packet *inner)
{
	struct rig_peer *p = &rig->peers[peer];
	struct packet message = pkt_wg(p->recv_key, p->index, p->counter++, inner);

	return rig_outer(rig, peer, rig->outer_tos, &message);
}

struct rig_result rig_from_peer(struct rig *rig, uint32_t peer, const struct packet *inner)
{
	struct packet frame = rig_sealed(rig, peer, inner);

	return rig_run(rig, &frame);
}

static uint16_t type_of(const struct packet *packet)
{
	return packet->bytes[0] >> 4 == 6 ? ETH_P_IPV6 : ETH_P_IP;
}

struct rig_result rig_from_wire(struct rig *rig, const struct packet *packet)
{
	struct packet frame = pkt_ether(rig_mac, rig_gateway_mac, type_of(packet), packet);

	return rig_run(rig, &frame);
}

struct rig_result rig_from_host(struct rig *rig, const struct packet *packet)
{
	struct packet frame = pkt_ether(rig_wt0p_mac, rig_wt0_mac, type_of(packet), packet);

	struct bpf_object *obj = rig->obj;
	enum rig_hook hook = rig->hook;
	struct rig_result r;

	if (hook != RIG_TUNNEL) {
		assert_non_null(rig->tunnel);
		rig->obj = rig->tunnel;
		rig->hook = RIG_TUNNEL;
	}
	r = rig_run(rig, &frame);
	rig->obj = obj;
	rig->hook = hook;
	return r;
}

static uint64_t digest_bytes(uint64_t h, const void *bytes, size_t len)
{
	const uint8_t *b = bytes;

	for (size_t i = 0; i < len; i++)
		h = (h ^ b[i]) * 0x100000001b3ULL;
	return h;
}

uint64_t rig_digest(struct rig *rig)
{
	static const char *const skipped[] = { "stats", "seen", "nat_stats", "scratch", "events",
		"event_packets", "event_strays", "rates", "info", "flow_free", "watch_drops", "watch_packets",
		"watch_counts" };
	uint64_t h = 0xcbf29ce484222325ULL;
	int cpus = libbpf_num_possible_cpus();
	struct bpf_map *map;

	bpf_object__for_each_map(map, rig->obj) {
		const char *name = bpf_map__name(map);
		uint32_t key_size = bpf_map__key_size(map),
			value_size = (bpf_map__value_size(map) + 7) / 8 * 8;
		uint8_t key[64], next[64], *value;
		void *at = NULL;
		bool skip = !key_size || strchr(name, '.') || !strcmp(name, "nat_ports") ||
			bpf_map__type(map) == BPF_MAP_TYPE_ARRAY_OF_MAPS;	/* no program writes there */

		for (size_t i = 0; i < sizeof(skipped) / sizeof(skipped[0]); i++)
			skip = skip || !strcmp(name, skipped[i]);
		if (skip)
			continue;
		value = calloc(cpus, value_size);
		assert_non_null(value);
		while (!bpf_map_get_next_key(bpf_map__fd(map), at, next)) {
			memcpy(key, next, key_size);
			at = key;
			assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(map), key, value), 0);
			h = digest_bytes(digest_bytes(h, key, key_size), value, (size_t)cpus * value_size);
		}
		free(value);
	}
	return h;
}

struct talon_flow rig_flow(struct rig *rig, uint32_t id)
{
	struct talon_flow f;

	assert_int_not_equal(id, 0);
	assert_int_equal(bpf_map_lookup_elem(rig_fd(rig, "flows"), &id, &f), 0);
	return f;
}

void rig_flow_write(struct rig *rig, uint32_t id, const struct talon_flow *flow)
{
	rig_put(rig, "flows", &id, flow);
}

struct talon_nat_gc rig_collect(struct rig *rig, uint32_t now_s)
{
	struct talon_nat_gc gc = { .now_s = now_s, .first = 1, .count = TALON_NAT_GC_MAX };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = &gc, .data_size_in = sizeof(gc), .data_out = &gc,
		.data_size_out = sizeof(gc));

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(bpf_object__next_program(rig->natgc, NULL)),
		&opts), 0);
	assert_int_equal(opts.retval, 0);
	return gc;
}

static void show_counts(const struct rig_result *r)
{
	for (int i = 0; i < TALON_STATS_ENTRIES; i++)
		if (r->counts[i])
			print_error("counted: %s %s %u\n", dir_names[i / TALON_END_COUNT],
				end_names[i % TALON_END_COUNT], r->counts[i]);
}

static uint32_t take_count(uint32_t counts[TALON_STATS_ENTRIES], enum talon_dir dir, enum talon_end end)
{
	uint32_t n = counts[dir * TALON_END_COUNT + end];

	counts[dir * TALON_END_COUNT + end] = 0;
	return n;
}

static bool is_sent(enum talon_end end)
{
	return end == TALON_FORWARDED || end == TALON_RESEALED || end == TALON_ICMP_SENT ||
		end == TALON_SEGMENTED;
}

void rig_ends_at(struct rig *rig, const struct rig_result *r, enum talon_dir dir, enum talon_end end,
	const char *file, int line)
{
	uint32_t counts[TALON_STATS_ENTRIES], n = 0, rest = 0;

	memcpy(counts, r->counts, sizeof(counts));
	if (!r->through_tunnel) {
		n = take_count(counts, dir, end);
	} else if (is_sent(end)) {
		n = take_count(counts, dir, end) && take_count(counts, TALON_DIR_TUNNEL, TALON_FORWARDED);
	} else {
		n = take_count(counts, TALON_DIR_TUNNEL, end);
		rest = take_count(counts, dir, TALON_FORWARDED) + take_count(counts, dir, TALON_RESEALED) +
			take_count(counts, dir, TALON_ICMP_SENT) + take_count(counts, dir,
			TALON_SEGMENTED) - 1;
	}
	for (int i = 0; i < TALON_STATS_ENTRIES; i++)
		rest += counts[i];
	if (n == 1 && !rest)
		return;
	show_counts(r);
	print_error("verdict %u, wanted: %s %s once\n", r->retval, dir_names[dir], end_names[end]);
	_fail(file, line);
}

void rig_uncounted_at(const struct rig_result *r, const char *file, int line)
{
	for (int i = 0; i < TALON_STATS_ENTRIES; i++) {
		if (!r->counts[i])
			continue;
		show_counts(r);
		_fail(file, line);
	}
}

void pkt_equal_at(const struct packet *got, const struct packet *want, const char *file, int line)
{
	if (got->len == want->len && !memcmp(got->bytes, want->bytes, got->len))
		return;
	print_error("lengths %u, wanted %u\n", got->len, want->len);
	for (uint32_t i = 0; i < got->len || i < want->len; i++)
		if (got->bytes[i] != want->bytes[i])
			print_error("byte %u is %02x, wanted %02x\n", i, got->bytes[i], want->bytes[i]);
	_fail(file, line);
}

static void judge(const char *wrong)
{
	if (wrong)
		fail_msg("wrong: %s", wrong);
}

static struct packet behind(const struct packet *frame, uint32_t off)
{
	struct packet p = {};

	assert_in_range(frame->len, off, PKT_MAX);
	p.len = frame->len - off;
	memcpy(p.bytes, frame->bytes + off, p.len);
	return p;
}

struct packet rig_plain(struct rig *rig, const struct rig_result *r)
{
	bool is_narrow = r->ifindex == rig->eth1;
	struct packet p;

	assert_int_equal(r->verdict, RIG_SEND);
	assert_true(is_narrow || r->ifindex == rig->eth0);
	assert_memory_equal(r->frame.bytes, is_narrow ? rig_narrow_mac : rig_gateway_mac, 6);
	assert_memory_equal(r->frame.bytes + 6, is_narrow ? rig_mac1 : rig_mac, 6);
	p = behind(&r->frame, 14);
	assert_memory_equal(r->frame.bytes + 12, p.bytes[0] >> 4 == 6 ? "\x86\xdd" : "\x08\x00", 2);
	judge(p.bytes[0] >> 4 == 6 ? pkt_check_six(p.bytes, p.len) : pkt_check(p.bytes, p.len));
	return p;
}

/* WireGuard paper section 5.4.6: to a multiple of 16, but not beyond the MTU. */
static uint32_t padded(uint32_t len, uint32_t mtu)
{
	uint32_t more = (len + 15) / 16 * 16;

	return more > mtu && len <= mtu ? mtu : more;
}

struct packet rig_opened(struct rig *rig, const struct rig_result *r, uint32_t peer)
{
	struct rig_peer *p = &rig->peers[peer];
	uint32_t udp_off = p->six ? 54 : 34, index, len;
	struct packet outer, plain = {}, padding = {};
	const uint8_t *udp = r->frame.bytes + udp_off;
	uint64_t counter;
	bool six;

	assert_int_equal(r->verdict, RIG_SEND);
	assert_int_equal(r->ifindex, rig->eth0);
	assert_memory_equal(r->frame.bytes, rig_router_mac, 6);
	assert_memory_equal(r->frame.bytes + 6, rig_mac, 6);
	assert_memory_equal(r->frame.bytes + 12, p->six ? "\x86\xdd" : "\x08\x00", 2);
	outer = behind(&r->frame, 14);
	if (p->six) {
		judge(pkt_check6(outer.bytes, outer.len));
		assert_memory_equal(outer.bytes + 8, rig_node6, 16);
		assert_memory_equal(outer.bytes + 24, p->addr6, 16);
		assert_int_equal(outer.bytes[7], 64);
	} else {
		judge(pkt_check(outer.bytes, outer.len));
		assert_memory_equal(outer.bytes + 12, &rig->config.node_addr, 4);
		assert_memory_equal(outer.bytes + 16, &p->addr, 4);
		assert_int_equal(outer.bytes[0], 0x45);
		assert_int_equal(outer.bytes[8], 64);
		assert_int_equal(outer.bytes[9], 17);
		assert_memory_equal(outer.bytes + 6, "\0\0", 2);
		/* receivers join only datagrams that have a checksum */
		assert_memory_not_equal(outer.bytes + 26, "\0\0", 2);
	}
	assert_int_equal(udp[0] << 8 | udp[1], RIG_PORT);
	assert_int_equal(udp[2] << 8 | udp[3], p->port);
	assert_int_equal(udp[4] << 8 | udp[5], r->frame.len - udp_off);
	assert_true(pkt_wg_open(p->send_key, udp + 8, r->frame.len - udp_off - 8, &plain, &index, &counter));
	assert_int_equal(index, p->remote_index);
	if (!plain.len)
		return plain;
	six = plain.bytes[0] >> 4 == 6;
	len = six ? 40 + (plain.bytes[4] << 8 | plain.bytes[5]) : plain.bytes[2] << 8 | plain.bytes[3];
	assert_int_equal(plain.len, padded(len, rig->config.tunnel_mtu));
	assert_memory_equal(plain.bytes + len, padding.bytes, plain.len - len);
	plain.len = len;
	/* ECN is copied, DSCP not */
	assert_int_equal((p->six ? outer.bytes[1] >> 4 & 3 : outer.bytes[1]),
		plain.bytes[1] >> (six ? 4 : 0) & 3);
	return plain;
}

const struct rig_event *rig_event(const struct rig_result *r, enum talon_event_type type)
{
	assert_int_equal(r->event_count, 1);
	assert_int_equal(r->events[0].head.type, type);
	return &r->events[0];
}
