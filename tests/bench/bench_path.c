// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Microseconds per packet on the whole XDP path, both ways, with one flow and with a million random ones,
// compared with the AEAD alone.
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <sodium.h>
#include <bpf/libbpf.h>

#include "path_bench.skel.h"
#include "bench/bench.h"
#include "bench/path_bench.h"
#include "bpf/pkt.c"
#include "keystream/engine.h"
#include "keystream/segments.h"
#include "policy/acl.h"
#include "talon/config_types.h"
#include "talon/drop.h"
#include "talon/nat_types.h"
#include "talon/peer_types.h"
#include "talon/replay.h"
#include "talon/session_types.h"

#define MILLION		1000000
#define REPEAT		4000
/* the median of this many, each short, so that other load spoils few */
#define PASSES		41
#define SLOT		5
#define INDEX		(0xabc000u + SLOT)
#define COUNTER		1000001
/* of peer 1 */
#define SLOT1		6
#define INDEX1		(0xabc000u + SLOT1)
/* client ports; a million flows are these times 245 ports of the gateway */
#define PORTS		4096

struct world {
	struct path_bench *skel;
	struct talon_config config;
	struct talon_session session;
	uint32_t eth0;
	struct segments segments;
	bool ahead;
	bool six;			/* inner packets are IPv6; the outer ones never are */
};

static const uint8_t node_mac[6] = { 2, 0, 0, 0, 2, 0x21 }, gateway_mac[6] = { 2, 0, 0, 0, 2, 0x20 };

static void die(const char *what)
{
	fprintf(stderr, "%s failed: %s\n", what, strerror(errno));
	exit(1);
}

static void put(struct bpf_map *map, const void *key, const void *value)
{
	if (bpf_map_update_elem(bpf_map__fd(map), key, value, BPF_ANY))
		die(bpf_map__name(map));
}

/* A real route and real neighbours, in a namespace that vanishes with the process. */
static void make_net(struct world *w)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus) || unshare(CLONE_NEWNET))
		die("a network namespace (root?)");
	if (system("echo 1 >/proc/sys/net/ipv4/ip_forward;"
		   "ip link add eth0 address 02:00:00:00:02:21 type veth peer name eth0far &&"
		   "ip link set eth0 up && ip link set eth0far up && ip addr add 192.168.1.221/24 dev eth0 &&"
		   "ip neigh add 192.168.1.220 lladdr 02:00:00:00:02:20 dev eth0 nud permanent &&"
		   "ip neigh add 192.168.1.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent &&"
		   "ip route add default via 192.168.1.1 && ip route add 10.8.0.0/24 via 192.168.1.220 &&"
		   "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding && ip addr add 2001:db8::221/64 dev eth0 "
		   "nodad && ip route add 2001:db8:8::/64 via 2001:db8::220 dev eth0 &&"
		   "ip neigh add 2001:db8::220 lladdr 02:00:00:00:02:20 dev eth0 nud permanent"))
		die("ip");
	w->eth0 = if_nametoindex("eth0");
}

static void load(struct world *w, uint32_t flows)
{
	struct bpf_map *map;

	w->skel = path_bench__open();
	if (!w->skel)
		die("opening the BPF programs");
	bpf_object__for_each_map(map, w->skel->obj)
		bpf_map__set_pin_path(map, NULL);
	bpf_map__set_max_entries(w->skel->maps.keystream, PATH_BENCH_SLOTS / TALON_KEYSTREAM_SEGMENT);
	if (flows > 1) {
		bpf_map__set_max_entries(w->skel->maps.flows, TALON_FLOWS_MAX);
		bpf_map__set_max_entries(w->skel->maps.flow_fwd, TALON_FLOWS_MAX / 8);
		bpf_map__set_max_entries(w->skel->maps.flow_rev, TALON_FLOWS_MAX / 8);
		bpf_map__set_max_entries(w->skel->maps.flow_free, TALON_FLOWS_MAX);
		bpf_map__set_max_entries(w->skel->maps.items, flows);
	}
	if (path_bench__load(w->skel))
		die("loading the BPF programs");
	if (segments_open(&w->segments, bpf_map__fd(w->skel->maps.keystream), "") ||
		segments_make(&w->segments, 0, PATH_BENCH_SLOTS))
		die("memory for keystream");
}

/* The same for IPv6: one client, one network that is masqueraded. */
static void fill_six(struct world *w)
{
	struct addr6 client = ip6("fd00:64::2"), mesh = ip6("fd00:64::1"), node = ip6("2001:db8::221");
	struct talon_lpm6 from = { .prefixlen = 128 }, lan = { .prefixlen = 64 };
	struct talon_route masquerade = { .id = 1, .flags = TALON_ROUTE_MASQUERADE, .prefixlen = 64 };
	uint32_t zero = 0, peer0 = TALON_ALLOWED(0, 128);

	memcpy(&from.addr, &client, 16);
	memcpy(&lan.addr, &node, 8);
	w->config.flags |= TALON_F_INNER6;
	memcpy(&w->config.mesh_addr6, &mesh, 16);
	memcpy(&w->config.node_addr6, &node, 16);
	put(w->skel->maps.config, &zero, &w->config);
	put(w->skel->maps.allowed6, &from, &peer0);
	put(w->skel->maps.routes6, &lan, &masquerade);
}

static void fill(struct world *w, uint32_t flows)
{
	struct talon_lpm4 client = { .prefixlen = 32, .addr = ip4("100.64.0.2") },
		lan = { .prefixlen = 24, .addr = ip4("192.168.1.0") };
	struct talon_replay replay = { .state = TALON_SESSION_CURRENT, .newest = REPLAY_BLOCK(COUNTER) << 1 };
	struct talon_route masquerade = { .id = 1, .flags = TALON_ROUTE_MASQUERADE, .prefixlen = 24 };
	struct talon_link uplink = { .mtu = 1500,
		.flags = TALON_LINK_UPLINK | TALON_LINK_PROGRAM | TALON_LINK_REDIRECT };
	struct talon_peer_tx tx = { .index = INDEX };
	struct talon_endpoint e = { .family = AF_INET, .local_port = htons(51820),
		.remote_port = htons(40000), .in_ifindex = w->eth0 };
	uint32_t slot = SLOT, zero = 0, peer0 = TALON_ALLOWED(0, 32);

	w->config = (struct talon_config) {
		.generation = 1, .session_mask = 63,
			.bucket_mask = (flows > 1 ? TALON_FLOWS_MAX / 8 : 256) - 1,
		.flow_count = flows > 1 ? TALON_FLOWS_MAX : 1024, .listen_port = htons(51820),
		.tunnel_mtu = 1280, .node_addr = ip4("192.168.1.221"), .snat_addr = ip4("192.168.1.221"),
		.mesh_addr = ip4("100.64.0.1"), .mesh_mask = htonl(0xffc00000), .port_first = 1024,
		.port_last = 50000, .keys = {
			.flow = { 0x5eed1234, 0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb,
				0xd6e8feb86659fd93 },
			.port = { 0x5eed1234, 0x0123456789abcdef }, .id = { 0x5eed1234, 0x9e3779b97f4a7c15 },
			.fold = { 0x1234, 0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f, 0x165667b19e3779f9,
				0x27d4eb2f165667c5 },
		}, .uplinks = { w->eth0 },
	};
	put(w->skel->maps.config, &zero, &w->config);
	w->session = (struct talon_session) { .index = INDEX, .remote_index = 77 };
	randombytes_buf(w->session.recv_key, 32);
	randombytes_buf(w->session.send_key, 32);
	put(w->skel->maps.replay, &slot, &replay);
	put(w->skel->maps.peer_tx, &zero, &tx);
	e.remote.word[0] = ip4("203.0.113.5");
	e.local.word[0] = ip4("192.168.1.221");
	memcpy(e.in_smac, "\x02\0\0\0\0\x01", 6);
	memcpy(e.in_dmac, node_mac, 6);
	put(w->skel->maps.endpoints, &zero, &e);
	put(w->skel->maps.allowed4, &client, &peer0);
	put(w->skel->maps.routes4, &lan, &masquerade);
	put(w->skel->maps.links, &w->eth0, &uplink);
	if (w->six)
		fill_six(w);
}

/* Its age would end a long bench. */
static void refresh_session(struct world *w)
{
	struct talon_session other;
	uint32_t slot = SLOT, slot1 = SLOT1;
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	w->session.birth_ns = ts.tv_sec * 1000000000ULL + ts.tv_nsec;
	put(w->skel->maps.sessions, &slot, &w->session);
	other = w->session;
	other.index = INDEX1;
	other.peer = 1;
	put(w->skel->maps.sessions, &slot1, &other);
}

static struct packet client_packet(const struct world *w, uint32_t flow, uint32_t len)
{
	if (w->six)
		return PKT6(.src = ip6("fd00:64::2"), .dst = ip6("2001:db8::220"), .proto = 17,
			.sport = 2000 + flow, .dport = 53, .payload = len - 48);
	return PKT(.src = ip4("100.64.0.2"), .dst = ip4("192.168.1.220"), .proto = 17,
		.sport = 2000 + flow % PORTS, .dport = 53 + flow / PORTS, .payload = len - 28,
		.frag = PKT_DF);
}

static struct packet sealed(const struct world *w, const struct packet *inner)
{
	struct packet message, outer;

	message = pkt_wg((const uint8_t *)w->session.recv_key, INDEX, COUNTER, inner);
	outer = pkt_udp4(ip4("203.0.113.5"), ip4("192.168.1.221"), 40000, 51820, 0, &message);
	return pkt_ether(node_mac, (const uint8_t *)"\x02\0\0\0\0\x01", ETH_P_IP, &outer);
}

static struct packet sealed_frame(const struct world *w, uint32_t flow, uint32_t len)
{
	struct packet inner = client_packet(w, flow, len);

	return sealed(w, &inner);
}

static struct packet reply_frame4(const struct talon_flow *flow, uint32_t len)
{
	struct packet p = PKT(.src = flow->remote, .dst = flow->snat, .proto = 17,
		.sport = ntohs(flow->remote_port), .dport = ntohs(flow->snat_port), .payload = len - 28,
		.frag = PKT_DF);

	return pkt_ether(node_mac, gateway_mac, ETH_P_IP, &p);
}

/* What the gateway answers, by the flow's record. */
static struct packet reply_frame(const struct world *w, const struct talon_flow *flow, uint32_t len)
{
	if (w->six) {
		struct packet six = PKT6(.src = ip6("2001:db8::220"), .dst = ip6("2001:db8::221"),
			.proto = 17, .sport = ntohs(flow->remote_port), .dport = ntohs(flow->snat_port),
			.payload = len - 48);

		return pkt_ether(node_mac, gateway_mac, ETH_P_IPV6, &six);
	}
	return reply_frame4(flow, len);
}

static uint64_t ended(struct world *w, enum talon_dir dir, enum talon_end end)
{
	uint32_t at = dir * TALON_END_COUNT + end;
	uint64_t per_cpu[512], sum = 0;

	if (bpf_map_lookup_elem(bpf_map__fd(w->skel->maps.stats), &at, per_cpu))
		die("reading the counters");
	for (int i = 0; i < libbpf_num_possible_cpus(); i++)
		sum += per_cpu[i];
	return sum;
}

/* All slots hold the keystream of the only counter used. */
static void make_keystream(struct world *w, const void *key)
{
	struct talon_keystream_slot slot = {};
	struct engine *engine;

	if (engine_new(&engine))
		die("a ChaCha20 engine");
	engine_set_key(engine, key);
	engine_fill(engine, &slot, INDEX, TALON_KEYSTREAM_RECV, COUNTER, TALON_SLOT_STREAM_LEN);
	for (uint32_t i = 0; i < PATH_BENCH_SLOTS; i++) {
		const uint32_t at = i % TALON_KEYSTREAM_SEGMENT;

		if (bpf_map_update_elem(w->segments.fds[i / TALON_KEYSTREAM_SEGMENT], &at, &slot, BPF_ANY))
			die("a slot of keystream");
	}
	engine_free(engine);
}

static struct path_bench_job job_of(const struct world *w, const struct packet *frame, uint32_t items,
	uint32_t head_off, uint32_t tag_off, const void *key, uint32_t len)
{
	struct path_bench_job job = { .size = frame->len, .head_off = head_off, .tag_off = tag_off,
		.items = items, .slot = SLOT, .plain_len = len, .counter = COUNTER, .index = INDEX,
		.send_slot = SLOT, .send_index = INDEX,
		.ahead = !w->ahead ? 0 : tag_off ? PATH_BENCH_RECV : PATH_BENCH_SEND };

	memcpy(job.key, key, 32);
	memcpy(job.frame, frame->bytes, frame->len);
	return job;
}

static void write_job(struct world *w, const struct packet *frame, uint32_t items, uint32_t head_off,
	uint32_t tag_off, const void *key, uint32_t len)
{
	struct path_bench_job job = job_of(w, frame, items, head_off, tag_off, key, len);
	uint32_t zero = 0;

	if (w->ahead)
		make_keystream(w, key);
	put(w->skel->maps.jobs, &zero, &job);
}

static void put_items(struct world *w, struct path_bench_item *items, uint32_t count)
{
	uint32_t *keys = malloc(count * sizeof(*keys));
	LIBBPF_OPTS(bpf_map_batch_opts, opts);

	if (!keys)
		die("malloc");
	for (uint32_t i = 0; i < count; i++)
		keys[i] = i;
	if (bpf_map_update_batch(bpf_map__fd(w->skel->maps.items), keys, items, &count, &opts))
		die("writing the packets");
	free(keys);
}

static void shuffle(struct path_bench_item *items, uint32_t count)
{
	uint64_t random = 88172645463325252ULL;

	for (uint32_t i = count - 1; i; i--) {
		struct path_bench_item t = items[i];
		uint32_t j;

		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		j = random % (i + 1);
		items[i] = items[j];
		items[j] = t;
	}
}

static struct path_bench_item *sealed_items(struct world *w, uint32_t count, uint32_t len)
{
	struct path_bench_item *items = malloc(count * sizeof(*items));

	if (!items)
		die("malloc");
	for (uint32_t i = 0; i < count; i++) {
		struct packet frame = sealed_frame(w, i, len);

		memcpy(items[i].head, frame.bytes + 58, PATH_BENCH_HEAD);
		memcpy(items[i].tag, frame.bytes + 58 + len, 16);
	}
	return items;
}

static struct path_bench_item *reply_items(struct world *w, uint32_t count, uint32_t len)
{
	struct path_bench_item *items = calloc(count, sizeof(*items));

	if (!items)
		die("calloc");
	for (uint32_t i = 0; i < count; i++) {
		uint32_t id = i + 1;
		struct talon_flow flow;
		struct packet frame;

		if (bpf_map_lookup_elem(bpf_map__fd(w->skel->maps.flows), &id, &flow) ||
			flow.phase != TALON_FLOW_LIVE)
			die("reading a flow");
		frame = reply_frame(w, &flow, len);
		memcpy(items[i].head, frame.bytes + 14, PATH_BENCH_HEAD);
	}
	return items;
}

struct measured {
	double path_ns, aead_ns, rest_ns;
};

/* Whole path and AEAD alone in turns, so that both see the same machine. */
static struct measured measure(struct world *w, bool is_in, enum talon_end end, const struct packet *frame,
	uint32_t repeat)
{
	uint32_t verdict = end == TALON_LOCAL ? XDP_PASS : XDP_REDIRECT;
	int path = bpf_program__fd(is_in ? w->skel->progs.path_in : w->skel->progs.path_out);
	int aead = bpf_program__fd(is_in ? w->skel->progs.path_open : w->skel->progs.path_seal);
	int restore = bpf_program__fd(w->skel->progs.path_restore);
	enum talon_dir dir = is_in ? TALON_DIR_IN : TALON_DIR_OUT;
	double paths[PASSES], aeads[PASSES], rests[PASSES];
	uint64_t before = ended(w, dir, end);

	for (int i = 0; i < PASSES; i++) {
		double none;

		refresh_session(w);
		none = bench_prog_ns(restore, frame->bytes, frame->len, repeat, XDP_REDIRECT);
		aeads[i] = bench_prog_ns(aead, frame->bytes, frame->len, repeat, XDP_REDIRECT) - none;
		paths[i] = bench_prog_ns(path, frame->bytes, frame->len, repeat, verdict) - none;
		rests[i] = paths[i] - aeads[i];
	}
	if (ended(w, dir, end) - before != (uint64_t)PASSES * repeat) {
		fprintf(stderr, "not every packet ended as it should\n");
		exit(1);
	}
	return (struct measured) { bench_median(paths, PASSES), bench_median(aeads, PASSES),
		bench_median(rests, PASSES) };
}

enum row {
	ROW_PATH,
	ROW_REST,
};

static void name_row(char name[64], const struct world *w, enum row row, bool is_in, uint32_t len,
	const char *suffix)
{
	snprintf(name, 64, "path.%s.%s.%u%s", is_in ? "in" : "out",
		row == ROW_REST ? "rest" : w->ahead ? "ahead" : "inline", len, suffix);
}

static bool wants(const struct bench *b, const struct world *w, bool is_in, uint32_t len, const char *suffix)
{
	char path[64], rest[64];

	name_row(path, w, ROW_PATH, is_in, len, suffix);
	name_row(rest, w, ROW_REST, is_in, len, suffix);
	return bench_wants(b, path) || (w->ahead && bench_wants(b, rest));
}

static void report(struct bench *b, const struct world *w, bool is_in, uint32_t len, const char *suffix,
	struct measured m)
{
	char name[64];

	name_row(name, w, ROW_PATH, is_in, len, suffix);
	bench_report(b, name, m.path_ns / 1e3, "us", "AEAD alone", m.aead_ns / 1e3, m.aead_ns / m.path_ns);
	if (!w->ahead)
		return;		/* the variance of an AEAD of 4 us is larger than the rest */
	name_row(name, w, ROW_REST, is_in, len, suffix);
	bench_report(b, name, m.rest_ns, "ns", NULL, NAN, NAN);
}

/* All flows are of one client, whose share is far below a million: it is reset between slices. */
static void make_flows(struct world *w, const struct packet *frame, uint32_t flows)
{
	const uint32_t zero = 0, slice = MILLION / 2;
	struct talon_nat_peer share = {};
	struct talon_nat_stats stats;

	for (uint32_t made = 0; made < flows; made += slice) {
		bench_prog_ns(bpf_program__fd(w->skel->progs.path_in), frame->bytes, frame->len,
			      flows - made < slice ? flows - made : slice, XDP_REDIRECT);
		if (bpf_map_lookup_elem(bpf_map__fd(w->skel->maps.nat_stats), &zero, &stats))
			die("nat_stats");
		stats.held = 0;
		put(w->skel->maps.nat_stats, &zero, &stats);
		put(w->skel->maps.nat_peers, &zero, &share);
	}
}

static void run(struct bench *b, struct world *w, uint32_t flows, uint32_t len, const char *suffix)
{
	uint32_t repeat = flows > 1 ? flows / 40 : REPEAT;
	struct path_bench_item *items;
	struct packet frame;
	struct talon_flow flow;
	uint32_t one = 1;

	if (!wants(b, w, true, len, suffix) && !wants(b, w, false, len, suffix))
		return;
	load(w, flows);
	fill(w, flows);
	refresh_session(w);
	frame = sealed_frame(w, 0, len);
	items = sealed_items(w, flows, len);
	put_items(w, items, flows);
	write_job(w, &frame, flows, 58, 58 + len, w->session.recv_key, len);
	make_flows(w, &frame, flows);
	if (ended(w, TALON_DIR_IN, TALON_FORWARDED) != flows)
		die("making the flows");
	shuffle(items, flows);
	put_items(w, items, flows);
	free(items);
	if (wants(b, w, true, len, suffix))
		report(b, w, true, len, suffix, measure(w, true, TALON_FORWARDED, &frame, repeat));

	items = reply_items(w, flows, len);
	shuffle(items, flows);
	put_items(w, items, flows);
	free(items);
	if (bpf_map_lookup_elem(bpf_map__fd(w->skel->maps.flows), &one, &flow))
		die("reading a flow");
	frame = reply_frame(w, &flow, len);
	write_job(w, &frame, flows, 14, 0, w->session.send_key, len);
	if (wants(b, w, false, len, suffix))
		report(b, w, false, len, suffix, measure(w, false, TALON_FORWARDED, &frame, repeat));
	segments_close(&w->segments);
	path_bench__destroy(w->skel);
}

/* To a device that takes no redirected frames, by the flow's record: beside path.in.ahead. */
static void run_onward(struct bench *b, struct world *w, const char *name, uint32_t len)
{
	struct talon_link link = { .mtu = 1500, .flags = TALON_LINK_UPLINK | TALON_LINK_PROGRAM };
	struct path_bench_item *items;
	struct packet frame;
	struct measured m;

	if (!bench_wants(b, name))
		return;
	load(w, 1);
	fill(w, 1);
	put(w->skel->maps.links, &w->eth0, &link);
	refresh_session(w);
	frame = sealed_frame(w, 0, len);
	items = sealed_items(w, 1, len);
	put_items(w, items, 1);
	free(items);
	write_job(w, &frame, 1, 58, 58 + len, w->session.recv_key, len);
	m = measure(w, true, TALON_ONWARD, &frame, REPEAT);
	bench_report(b, name, m.path_ns / 1e3, "us", "AEAD alone", m.aead_ns / 1e3, m.aead_ns / m.path_ns);
	segments_close(&w->segments);
	path_bench__destroy(w->skel);
}

/* --- Without a record: in turns with a packet whose flow has one, as both then see the same machine --- */

/* One packet, and what is measured of it. */
struct leg {
	const struct bpf_program *program;
	struct path_bench_job job;
	struct path_bench_item item;
	enum talon_dir dir;
	enum talon_end end;
};

static struct leg leg_in(const struct world *w, const struct packet *inner, enum talon_end end)
{
	struct packet frame = sealed(w, inner);
	struct leg leg = { .program = w->skel->progs.path_in, .dir = TALON_DIR_IN, .end = end,
		.job = job_of(w, &frame, 1, 58, 58 + inner->len, w->session.recv_key, inner->len) };

	memcpy(leg.item.head, frame.bytes + 58, PATH_BENCH_HEAD);
	memcpy(leg.item.tag, frame.bytes + 58 + inner->len, 16);
	if (end == TALON_RESEALED) {
		leg.program = w->skel->progs.path_peer;
		leg.job.ahead |= PATH_BENCH_SEND;
		leg.job.send_slot = SLOT1;
		leg.job.send_index = INDEX1;
	}
	return leg;
}

static struct leg leg_out(const struct world *w, const struct packet *plain)
{
	struct packet frame = pkt_ether(node_mac, gateway_mac, w->six ? ETH_P_IPV6 : ETH_P_IP, plain);
	struct leg leg = { .program = w->skel->progs.path_out, .dir = TALON_DIR_OUT, .end = TALON_FORWARDED,
		.job = job_of(w, &frame, 1, 14, 0, w->session.send_key, plain->len) };

	memcpy(leg.item.head, frame.bytes + 14, PATH_BENCH_HEAD);
	return leg;
}

static double leg_ns(const struct leg *leg, const struct bpf_program *program, uint32_t verdict)
{
	return bench_prog_ns(bpf_program__fd(program), leg->job.frame, leg->job.size, REPEAT, verdict);
}

/* One pass: the AEADs of the packet alone, and its whole path. */
static void measure_leg(struct world *w, const struct leg *leg, double *ret_path, double *ret_aead)
{
	const uint64_t before = ended(w, leg->dir, leg->end);
	const uint32_t zero = 0;
	double none;

	put(w->skel->maps.items, &zero, &leg->item);
	put(w->skel->maps.jobs, &zero, &leg->job);
	none = leg_ns(leg, w->skel->progs.path_restore, XDP_REDIRECT);
	*ret_aead = 0;
	if (leg->job.ahead & PATH_BENCH_RECV)
		*ret_aead += leg_ns(leg, w->skel->progs.path_open, XDP_REDIRECT) - none;
	if (leg->job.ahead & PATH_BENCH_SEND)
		*ret_aead += leg_ns(leg, w->skel->progs.path_seal, XDP_REDIRECT) - none;
	*ret_path = leg_ns(leg, leg->program, leg->end == TALON_LOCAL ? XDP_PASS : XDP_REDIRECT) - none;
	if (ended(w, leg->dir, leg->end) - before != REPEAT) {
		fprintf(stderr, "not every packet ended as it should\n");
		exit(1);
	}
}

/* @record: the same direction, by a flow's record; of a packet between peers both directions. */
static void compare(struct bench *b, struct world *w, const char *name, const struct leg *leg,
	const struct leg *record, const struct leg *record_back)
{
	double paths[PASSES], aeads[PASSES], rests[PASSES], records[PASSES], path, aead;
	char rest_name[64];

	snprintf(rest_name, sizeof(rest_name), "%s.rest", name);
	if (!bench_wants(b, name) && !bench_wants(b, rest_name))
		return;
	for (int i = 0; i < PASSES; i++) {
		refresh_session(w);
		measure_leg(w, leg, &paths[i], &aeads[i]);
		rests[i] = paths[i] - aeads[i];
		measure_leg(w, record, &path, &aead);
		records[i] = path - aead;
		if (record_back) {
			measure_leg(w, record_back, &path, &aead);
			records[i] += path - aead;
		}
	}
	path = bench_median(paths, PASSES);
	aead = bench_median(aeads, PASSES);
	bench_report(b, name, path / 1e3, "us", "AEAD alone", aead / 1e3, aead / path);
	path = bench_median(rests, PASSES);
	aead = bench_median(records, PASSES);
	bench_report(b, rest_name, path, "ns", "with a record", aead, aead / path);
}

/* As in a mesh of 1,000 peers and 100 networks, on a host with 200 routes. */
static void fill_tables(struct world *w)
{
	struct talon_host_route host = { .source = ip4("192.168.1.221"), .kind = TALON_HOST_UNICAST };
	struct talon_route route = { .id = 2, .flags = TALON_ROUTE_MASQUERADE, .prefixlen = 24 };
	struct talon_lpm4 key;

	for (uint32_t i = 0; i < 1000; i++) {
		uint32_t peer = TALON_ALLOWED(3 + i % 13, 32);

		key = (struct talon_lpm4){ .prefixlen = 32, .addr = htonl(0x64400100 + i) };
		put(w->skel->maps.allowed4, &key, &peer);
	}
	for (uint32_t i = 0; i < 100; i++) {
		key = (struct talon_lpm4){ .prefixlen = 24, .addr = htonl(0x0a640000 + (i << 8)) };
		put(w->skel->maps.routes4, &key, &route);
	}
	for (uint32_t i = 0; i < 200; i++) {
		host.prefixlen = 24;
		key = (struct talon_lpm4){ .prefixlen = 24, .addr = htonl(0x0ac80000 + (i << 8)) };
		put(w->skel->maps.host4, &key, &host);
	}
}

/* Where packets without a record go: 10.8.0.0/24 is plain, 10.7.0.7 handed up, 100.64.0.3 a peer. */
static void fill_recordless(struct world *w)
{
	struct talon_lpm4 peer = { 32, ip4("100.64.0.3") }, plain = { 24, ip4("10.8.0.0") },
		mesh = { 10, ip4("100.64.0.0") }, up = { 32, ip4("10.7.0.7") };
	struct talon_lpm6 peer6 = { .prefixlen = 128 }, plain6 = { .prefixlen = 64 };
	struct addr6 a6 = ip6("fd00:64::3"), net6 = ip6("2001:db8:8::");
	struct talon_route route = { .id = 3, .prefixlen = 24 };
	struct talon_link uplink = { .mtu = 1500,
		.flags = TALON_LINK_UPLINK | TALON_LINK_PROGRAM | TALON_LINK_REDIRECT };
	uint32_t zero = 0, one = 1, peer1 = TALON_ALLOWED(1, 32), peer1_six = TALON_ALLOWED(1, 128),
		lo = if_nametoindex("lo");	/* where a test run's frames come in */
	struct talon_peer_tx tx = { .index = INDEX1 };
	struct talon_endpoint e;

	memcpy(uplink.mac, node_mac, 6);
	put(w->skel->maps.links, &w->eth0, &uplink);
	put(w->skel->maps.links, &lo, &uplink);
	w->config.flags |= TALON_F_PLAIN_ROUTES | TALON_F_PLAIN_ROUTES6;
	put(w->skel->maps.config, &zero, &w->config);
	put(w->skel->maps.peer_tx, &one, &tx);
	if (bpf_map_lookup_elem(bpf_map__fd(w->skel->maps.endpoints), &zero, &e))
		die("reading an endpoint");
	put(w->skel->maps.endpoints, &one, &e);
	put(w->skel->maps.allowed4, &peer, &peer1);
	put(w->skel->maps.routes4, &plain, &route);
	route.prefixlen = 10;
	put(w->skel->maps.routes4, &mesh, &route);
	put(w->skel->maps.local4, &up, &one);
	memcpy(&peer6.addr, &a6, 16);
	memcpy(&plain6.addr, &net6, 16);
	put(w->skel->maps.allowed6, &peer6, &peer1_six);
	route.prefixlen = 64;
	put(w->skel->maps.routes6, &plain6, &route);
	fill_tables(w);
}

/* Fifty policies that name networks and ports, and one that lets everybody reach everything. */
static void fill_rules(struct world *w)
{
	struct cidr mesh = { .family = AF_INET, .prefixlen = 10, .addr.word[0] = ip4("100.64.0.0") };
	struct acl_maps maps = {
		.src = bpf_map__fd(w->skel->maps.acl_src4), .dst = bpf_map__fd(w->skel->maps.acl_dst4),
		.ports = bpf_map__fd(w->skel->maps.acl_ports), .bits = bpf_map__fd(w->skel->maps.acl_bits),
		.rules = bpf_map__fd(w->skel->maps.acl_rules),
	};
	struct acl_rule rules[51] = {};
	struct cidr sources[51];
	struct acl_table *table;
	uint32_t zero = 0;
	char why[160];

	for (uint32_t i = 0; i < 51; i++) {
		sources[i] = (struct cidr){ .family = AF_INET, .prefixlen = 32,
			.addr.word[0] = htonl(0x64400100 + i) };
		rules[i] = (struct acl_rule){ .sources = &sources[i], .source_count = 1,
			.dst = { .family = AF_INET, .prefixlen = 24,
				.addr.word[0] = htonl(0x0a640000 + (i << 8)) },
			.proto = NETMAP_TCP, .port_first = 443 + i, .port_last = 443 + i };
	}
	rules[50] = (struct acl_rule){ .sources = &mesh, .source_count = 1, .dst = { .family = AF_INET } };
	if (acl_compile(rules, 51, &table, why, sizeof(why)) || acl_write(table, &maps, 0))
		die("access rules");
	acl_free(table);
	w->config.flags |= TALON_F_ACL;
	put(w->skel->maps.config, &zero, &w->config);
}

static void compare_four(struct bench *b, struct world *w, uint32_t len, const char *suffix)
{
#define TO(to) PKT(.src = ip4("100.64.0.2"), .dst = ip4(to), .proto = 17, .sport = 2000, .dport = 53, \
	.payload = len - 28, .frag = PKT_DF)
	struct packet to_record = TO("192.168.1.220"), to_plain = TO("10.8.0.5"), to_here = TO("10.7.0.7"),
		to_peer = TO("100.64.0.3"), back, plain_back;
	struct leg legs[] = { leg_in(w, &to_plain, TALON_FORWARDED), leg_in(w, &to_here, TALON_LOCAL),
		leg_in(w, &to_peer, TALON_RESEALED) }, record = leg_in(w, &to_record, TALON_FORWARDED),
		record_out, out;
#undef TO
	static const char *const names[] = { "in.plain", "in.local", "in.peer" };
	struct talon_flow flow;
	const uint32_t one = 1;
	double ns, aead_ns;
	char name[64];

	measure_leg(w, &record, &ns, &aead_ns);		/* makes the flow */
	if (bpf_map_lookup_elem(bpf_map__fd(w->skel->maps.flows), &one, &flow))
		die("reading a flow");
	back = PKT(.src = flow.remote, .dst = flow.snat, .proto = 17, .sport = 53,
		.dport = ntohs(flow.snat_port), .payload = len - 28, .frag = PKT_DF);
	plain_back = PKT(.src = ip4("10.8.0.5"), .dst = ip4("100.64.0.2"), .proto = 17, .sport = 53,
		.dport = 2000, .payload = len - 28, .frag = PKT_DF);
	record_out = leg_out(w, &back);
	out = leg_out(w, &plain_back);
	for (size_t i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "path.%s.%u%s", names[i], len, suffix);
		compare(b, w, name, &legs[i], &record, i == 2 ? &record_out : NULL);
	}
	snprintf(name, sizeof(name), "path.out.plain.%u%s", len, suffix);
	compare(b, w, name, &out, &record_out, NULL);
}

static void compare_six(struct bench *b, struct world *w, uint32_t len)
{
	struct packet to_record = client_packet(w, 0, len), to_plain = PKT6(.src = ip6("fd00:64::2"),
		.dst = ip6("2001:db8:8::5"), .proto = 17, .sport = 2000, .dport = 53, .payload = len - 48);
	struct leg plain = leg_in(w, &to_plain, TALON_FORWARDED),
		record = leg_in(w, &to_record, TALON_FORWARDED);
	char name[64];

	snprintf(name, sizeof(name), "path.in.plain.%u.six", len);
	compare(b, w, name, &plain, &record, NULL);
}

static void run_recordless(struct bench *b, struct world *w, uint32_t len)
{
	load(w, 1);
	fill(w, 1);
	fill_six(w);
	fill_recordless(w);
	refresh_session(w);
	make_keystream(w, w->session.recv_key);
	compare_four(b, w, len, "");
	w->six = true;
	compare_six(b, w, len);
	w->six = false;
	fill_rules(w);
	w->config.generation++;
	put(w->skel->maps.config, &(uint32_t){ 0 }, &w->config);
	compare_four(b, w, len, ".rules");
	segments_close(&w->segments);
	path_bench__destroy(w->skel);
}

int main(int argc, char **argv)
{
	struct world w = {};
	struct bench b;

	bench_begin(&b, argc, argv);
	if (sodium_init() < 0)
		die("libsodium");
	make_net(&w);
	run(&b, &w, 1, 1280, "");
	run(&b, &w, 1, 64, "");
	w.ahead = true;
	run(&b, &w, 1, 1280, "");
	w.six = true;
	run(&b, &w, 1, 1280, ".six");
	run(&b, &w, 1, 64, ".six");
	w.six = false;
	run(&b, &w, 1, 64, "");
	run_onward(&b, &w, "path.in.onward.1280", 1280);
	run_recordless(&b, &w, 1280);
	run(&b, &w, MILLION, 1280, ".1m");
	run(&b, &w, MILLION, 64, ".1m");
	return bench_end(&b);
}
