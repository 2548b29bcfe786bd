// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// One tunnel on two cores: how many times what one core does do two, with one session and with one each.
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <sodium.h>
#include <bpf/libbpf.h>

#include "cores_bench.skel.h"
#include "bench/bench.h"
#include "bench/cores_bench.h"
#include "bpf/pkt.c"
#include "keystream/engine.h"
#include "keystream/segments.h"
#include "talon/config_types.h"
#include "talon/drop.h"
#include "talon/nat_types.h"
#include "talon/peer_types.h"
#include "talon/session_types.h"
#include "talon/traffic_types.h"

#define CORES		CORES_BENCH_CORES
#define PASSES		15
#define ROUNDS		(PASSES * CORES_BENCH_ROUNDS)	/* whose median is reported */
#define CHUNK		64	/* packets of a phase */
#define CHUNK_INLINE	12
/* runs of the program, some of which do nothing but wait for the other core */
#define PATIENCE	200000
#define TRIES		100
#define LEN		1280

struct world {
	struct cores_bench *skel;
	struct segments segments;
	struct talon_session sessions[2];
	uint32_t eth0;
	bool is_ahead;
	struct packet in[CORES][2], out[CORES][2];	/* of each core's flow in each tunnel */
};

struct thread {
	int cpu, prog_fd;
	struct packet frame;
	int ret;
};

static const uint8_t node_mac[6] = { 2, 0, 0, 0, 2, 0x21 }, gateway_mac[6] = { 2, 0, 0, 0, 2, 0x20 },
	router_mac[6] = { 2, 0, 0, 0, 0, 1 };

static void die(const char *what)
{
	fprintf(stderr, "%s failed: %s\n", what, strerror(errno));
	exit(1);
}

static void put(struct bpf_map *map, uint32_t key, const void *value)
{
	if (bpf_map_update_elem(bpf_map__fd(map), &key, value, BPF_ANY))
		die(bpf_map__name(map));
}

static void put_key(struct bpf_map *map, const void *key, const void *value)
{
	if (bpf_map_update_elem(bpf_map__fd(map), key, value, BPF_ANY))
		die(bpf_map__name(map));
}

/* A real route and real neighbours, in a namespace that vanishes with the process. */
static void make_net(struct world *w)
{
	if (unshare(CLONE_NEWNET))
		die("a network namespace (root?)");
	if (system("echo 1 >/proc/sys/net/ipv4/ip_forward;"
		   "ip link add eth0 address 02:00:00:00:02:21 type veth peer name eth0far &&"
		   "ip link set eth0 up && ip link set eth0far up && ip addr add 192.168.1.221/24 dev eth0 &&"
		   "ip neigh add 192.168.1.220 lladdr 02:00:00:00:02:20 dev eth0 nud permanent &&"
		   "ip neigh add 192.168.1.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent &&"
		   "ip route add default via 192.168.1.1"))
		die("ip");
	w->eth0 = if_nametoindex("eth0");
}

static void load(struct world *w)
{
	const uint32_t slots = CORES_BENCH_SPARE + CORES_BENCH_SLOTS;
	struct bpf_map *map;

	w->skel = cores_bench__open();
	if (!w->skel)
		die("opening the BPF programs");
	bpf_object__for_each_map(map, w->skel->obj)
		bpf_map__set_pin_path(map, NULL);
	bpf_map__set_max_entries(w->skel->maps.keystream, slots / TALON_KEYSTREAM_SEGMENT);
	if (cores_bench__load(w->skel))
		die("loading the BPF programs");
	if (segments_open(&w->segments, bpf_map__fd(w->skel->maps.keystream), "") ||
		segments_make(&w->segments, 0, slots))
		die("memory for keystream");
}

static uint64_t boot_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* A session that is as new as its age and its counters say. */
static void renew_session(struct world *w, unsigned tunnel)
{
	const struct talon_replay window = { .state = TALON_SESSION_CURRENT };
	const struct talon_send_counter sent = {};

	w->sessions[tunnel].birth_ns = boot_ns();
	put(w->skel->maps.sessions, CORES_BENCH_SESSION(tunnel), &w->sessions[tunnel]);
	put(w->skel->maps.replay, CORES_BENCH_SESSION(tunnel), &window);
	put(w->skel->maps.send_counters, CORES_BENCH_SESSION(tunnel), &sent);
}

static uint32_t client_of(unsigned tunnel)
{
	return ip4(tunnel ? "100.64.0.3" : "100.64.0.2");
}

static void fill_peer(struct world *w, unsigned tunnel)
{
	struct talon_lpm4 client = { .prefixlen = 32, .addr = client_of(tunnel) };
	struct talon_peer_tx tx = { .index = CORES_BENCH_INDEX(tunnel) };
	struct talon_endpoint e = { .family = AF_INET, .local_port = htons(51820),
		.remote_port = htons(40000 + tunnel), .in_ifindex = w->eth0 };
	uint32_t peer = TALON_ALLOWED(tunnel, 32);

	w->sessions[tunnel] = (struct talon_session) { .index = CORES_BENCH_INDEX(tunnel),
		.remote_index = 77 + tunnel, .peer = tunnel };
	/* the same keys: a frame of one tunnel is one of the other but for its receiver index */
	randombytes_buf(w->sessions[tunnel].recv_key, 32);
	randombytes_buf(w->sessions[tunnel].send_key, 32);
	if (tunnel)
		memcpy(w->sessions[1].recv_key, w->sessions[0].recv_key, 64);
	renew_session(w, tunnel);
	put(w->skel->maps.peer_tx, tunnel, &tx);
	e.remote.word[0] = ip4("203.0.113.5");
	e.local.word[0] = ip4("192.168.1.221");
	memcpy(e.in_smac, router_mac, 6);
	memcpy(e.in_dmac, node_mac, 6);
	put(w->skel->maps.endpoints, tunnel, &e);
	put_key(w->skel->maps.allowed4, &client, &peer);
}

static void fill(struct world *w)
{
	struct talon_lpm4 lan = { .prefixlen = 24, .addr = ip4("192.168.1.0") };
	struct talon_route masquerade = { .id = 1, .flags = TALON_ROUTE_MASQUERADE, .prefixlen = 24 };
	struct talon_link uplink = { .mtu = 1500,
		.flags = TALON_LINK_UPLINK | TALON_LINK_PROGRAM | TALON_LINK_REDIRECT };
	struct talon_config config = {
		.generation = 1, .session_mask = 63, .bucket_mask = 255, .flow_count = 1024,
		.listen_port = htons(51820), .tunnel_mtu = LEN, .node_addr = ip4("192.168.1.221"),
		.snat_addr = ip4("192.168.1.221"), .mesh_addr = ip4("100.64.0.1"),
		.mesh_mask = htonl(0xffc00000), .port_first = 1024, .port_last = 50000, .keys = {
			.flow = { 0x5eed1234, 0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb,
				0xd6e8feb86659fd93 },
			.port = { 0x5eed1234, 0x0123456789abcdef }, .id = { 0x5eed1234, 0x9e3779b97f4a7c15 },
		}, .uplinks = { w->eth0 },
	};

	put(w->skel->maps.config, 0, &config);
	put_key(w->skel->maps.routes4, &lan, &masquerade);
	put_key(w->skel->maps.links, &w->eth0, &uplink);
	fill_peer(w, 0);
	fill_peer(w, 1);
}

static struct packet sealed_frame(struct world *w, unsigned cpu, unsigned tunnel, uint64_t counter)
{
	struct packet inner = PKT(.src = client_of(tunnel), .dst = ip4("192.168.1.220"), .proto = 17,
		.sport = 2000 + cpu, .dport = 53, .payload = LEN - 28, .frag = PKT_DF), message, outer;

	message = pkt_wg((const uint8_t *)w->sessions[tunnel].recv_key, CORES_BENCH_INDEX(tunnel), counter,
		&inner);
	outer = pkt_udp4(ip4("203.0.113.5"), ip4("192.168.1.221"), 40000 + tunnel, 51820, 0, &message);
	return pkt_ether(node_mac, router_mac, ETH_P_IP, &outer);
}

/* What the gateway answers, by the flow's record. */
static struct packet reply_frame(const struct talon_flow *flow)
{
	struct packet p = PKT(.src = flow->remote, .dst = flow->snat, .proto = 17,
		.sport = ntohs(flow->remote_port), .dport = ntohs(flow->snat_port), .payload = LEN - 28,
		.frag = PKT_DF);

	return pkt_ether(node_mac, gateway_mac, ETH_P_IP, &p);
}

static uint32_t window_base(unsigned tunnel, bool is_out)
{
	return (2 * tunnel + is_out) * CORES_BENCH_SLOTS;
}

/* All slots have the stream of counter 0: so has whatever is received, whose counter has no other use. */
static void make_keystream(struct world *w, unsigned tunnel, bool is_out)
{
	const uint32_t dir = is_out ? TALON_KEYSTREAM_SEND : TALON_KEYSTREAM_RECV;
	const struct talon_keystream_ring ring = { .wake_at = ~0ULL, .index = CORES_BENCH_INDEX(tunnel),
		.window = w->is_ahead ? talon_keystream_window(window_base(tunnel, is_out), CORES_BENCH_BITS)
		: 0 };
	struct talon_keystream_slot slot = {};
	struct engine *engine;

	if (engine_new(&engine))
		die("a ChaCha20 engine");
	engine_set_key(engine, is_out ? w->sessions[0].send_key : w->sessions[0].recv_key);
	engine_fill(engine, &slot, CORES_BENCH_INDEX(tunnel), dir, 0, TALON_SLOT_STREAM_LEN);
	engine_free(engine);
	put(w->skel->maps.keystream_rings, CORES_BENCH_SESSION(tunnel) * TALON_KEYSTREAM_DIRS + dir, &ring);
	for (uint32_t i = 0; w->is_ahead && i < CORES_BENCH_SLOTS; i++) {
		const uint32_t at = window_base(tunnel, is_out) + i, in = at % TALON_KEYSTREAM_SEGMENT;

		slot.counter = i;
		slot.token = talon_keystream_token(CORES_BENCH_INDEX(tunnel), i);
		if (bpf_map_update_elem(w->segments.fds[at / TALON_KEYSTREAM_SEGMENT], &in, &slot, BPF_ANY))
			die("a slot of keystream");
	}
}

/* For the time that a row takes. Sent counters begin again with their slots. */
static void renew(struct world *w)
{
	for (unsigned tunnel = 0; tunnel < 2; tunnel++) {
		renew_session(w, tunnel);
		make_keystream(w, tunnel, false);
		make_keystream(w, tunnel, true);
	}
}

static void fill_job(struct world *w, struct cores_bench_job *job, unsigned core, bool is_out)
{
	const struct packet *frames = is_out ? w->out[core] : w->in[core];

	*job = (struct cores_bench_job) { .core = core, .is_out = is_out, .is_ahead = w->is_ahead,
		.size = frames[0].len, .chunk = w->is_ahead ? CHUNK : CHUNK_INLINE,
		.rounds = CORES_BENCH_ROUNDS };
	for (unsigned tunnel = 0; tunnel < CORES_BENCH_TUNNELS; tunnel++)
		memcpy(job->frame[tunnel], frames[tunnel].bytes, frames[tunnel].len);
}

/* One core's share: ends when all are through, or nobody else has come. */
static void *work(void *ctx)
{
	struct thread *t = ctx;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = t->frame.bytes, .data_size_in = t->frame.len,
		.repeat = PATIENCE);
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(t->cpu, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus) || bpf_prog_test_run_opts(t->prog_fd, &opts) ||
		opts.retval != XDP_REDIRECT)
		t->ret = errno ? -errno : -EIO;
	return NULL;
}

/* What the cores do, and the counters that are received: anew, if what is received was sealed with them. */
static void prepare(struct world *w, const bool is_out[static CORES])
{
	const struct talon_replay window = { .state = TALON_SESSION_CURRENT };
	static struct cores_bench_run all;

	if (bpf_map_lookup_elem(bpf_map__fd(w->skel->maps.run), &(uint32_t){ 0 }, &all))
		die("run");
	memset(all.done, 0, sizeof(all.done));
	for (unsigned i = 0; i < CORES; i++)
		fill_job(w, &all.jobs[i], i, is_out[i]);
	for (unsigned tunnel = 0; tunnel < CORES_BENCH_TUNNELS && !w->is_ahead; tunnel++) {
		all.counters[tunnel].next = 0;
		put(w->skel->maps.replay, CORES_BENCH_SESSION(tunnel), &window);
	}
	put(w->skel->maps.run, 0, &all);
}

/* All phases on both cores. Returns whether that went well. */
static bool run(struct world *w, const bool is_out[static CORES], struct cores_bench_job ret[static CORES])
{
	static struct cores_bench_run all;
	struct thread threads[CORES];
	pthread_t ids[CORES];
	bool is_well = true;

	prepare(w, is_out);
	for (unsigned i = 0; i < CORES; i++) {
		threads[i] = (struct thread) { .cpu = i, .frame = is_out[i] ? w->out[i][0] : w->in[i][0],
			.prog_fd = bpf_program__fd(w->skel->progs.cores_work) };
		if (pthread_create(&ids[i], NULL, work, &threads[i]))
			die("a thread");
	}
	for (unsigned i = 0; i < CORES; i++) {
		pthread_join(ids[i], NULL);
		errno = -threads[i].ret;
		if (errno)
			die("test run");
	}
	if (bpf_map_lookup_elem(bpf_map__fd(w->skel->maps.run), &(uint32_t){ 0 }, &all))
		die("run");
	memcpy(ret, all.jobs, sizeof(all.jobs));
	for (unsigned i = 0; i < CORES; i++)
		is_well &= ret[i].round == ret[i].rounds && !ret[i].failed;
	return is_well;
}

static void run_well(struct world *w, const bool is_out[static CORES],
	struct cores_bench_job ret[static CORES])
{
	for (int i = 0; i < TRIES; i++)
		if (run(w, is_out, ret))
			return;
	fprintf(stderr, "packets failed, or a core was not there, in each of %d tries\n", TRIES);
	exit(1);
}

static uint64_t opened_or_sealed(struct world *w, bool is_ahead)
{
	const int cpus = libbpf_num_possible_cpus();
	struct talon_traffic *each = calloc(cpus, sizeof(*each));
	uint64_t sum = 0;

	if (!each)
		die("calloc");
	for (uint32_t at = 0; at < TALON_TRAFFIC_ENTRIES; at++) {
		if (bpf_map_lookup_elem(bpf_map__fd(w->skel->maps.traffic), &at, each))
			die("traffic");
		for (int i = 0; i < cpus && !(at & TALON_TRAFFIC_AHEAD) == !is_ahead; i++)
			sum += each[i].packets;
	}
	free(each);
	return sum;
}

static void expect_keystream(struct world *w, uint64_t had, uint64_t had_not)
{
	had = opened_or_sealed(w, w->is_ahead) - had;
	had_not = opened_or_sealed(w, !w->is_ahead) - had_not;
	if (had_not <= had / 50)
		return;
	fprintf(stderr, "%llu packets had %s keystream\n", (unsigned long long)had_not,
		w->is_ahead ? "no" : "some");
	exit(1);
}

/* Nanoseconds of a packet on the path. */
static double net_ns(const struct cores_bench_job *job, uint32_t round, enum cores_bench_phase phase)
{
	const uint32_t *ns = job->ns[round];

	return ((double)ns[phase] - ns[CORES_BENCH_RESTORE]) / job->chunk;
}

/* Rows: both cores on one tunnel, beside both with a tunnel each; and the time that a packet takes. */
static void measure(struct bench *b, struct world *w, const char *name, bool first_is_out, bool second_is_out)
{
	const bool is_out[CORES] = { first_is_out, second_is_out };
	static double shared[ROUNDS], apart[ROUNDS], alone_ns[ROUNDS], shared_ns[ROUNDS];
	uint64_t had = opened_or_sealed(w, w->is_ahead), had_not = opened_or_sealed(w, !w->is_ahead);
	static struct cores_bench_job jobs[CORES];
	double value, reference;
	char row[64], time_row[72];

	snprintf(row, sizeof(row), "cores.%s%s.%u", name, w->is_ahead ? "" : ".inline", LEN);
	snprintf(time_row, sizeof(time_row), "%s.packet", row);
	if (!bench_wants(b, row) && !bench_wants(b, time_row))
		return;
	renew(w);
	for (uint32_t at = 0; at < ROUNDS; at++) {
		uint32_t round = at % CORES_BENCH_ROUNDS;
		double a[CORES], s[CORES], p[CORES];

		if (!round)
			run_well(w, is_out, jobs);
		for (unsigned i = 0; i < CORES; i++) {
			a[i] = net_ns(&jobs[i], round, i ? CORES_BENCH_SECOND : CORES_BENCH_FIRST);
			s[i] = net_ns(&jobs[i], round, CORES_BENCH_SHARED);
			p[i] = net_ns(&jobs[i], round, CORES_BENCH_APART);
		}
		shared[at] = a[0] / s[0] + a[1] / s[1];
		apart[at] = a[0] / p[0] + a[1] / p[1];
		alone_ns[at] = (a[0] + a[1]) / CORES;
		shared_ns[at] = (s[0] + s[1]) / CORES;
	}
	expect_keystream(w, had, had_not);
	value = bench_median(shared, ROUNDS);
	reference = bench_median(apart, ROUNDS);
	bench_report(b, row, value, "cores", "two tunnels", reference, value / reference);
	value = bench_median(shared_ns, ROUNDS);
	reference = bench_median(alone_ns, ROUNDS);
	bench_report(b, time_row, value, "ns", "one core", reference, reference / value);
}

/* Makes the flows of both tunnels, one for each core, and the frames that belong to them. */
static void make_flows(struct world *w)
{
	static const bool is_out[CORES];
	static struct cores_bench_job ignored[CORES];

	for (unsigned tunnel = 0; tunnel < CORES_BENCH_TUNNELS; tunnel++)
		for (unsigned core = 0; core < CORES; core++)
			w->in[core][tunnel] = sealed_frame(w, core, tunnel, 0);
	run_well(w, is_out, ignored);
	for (uint32_t id = 1; id <= CORES + 1; id++) {
		struct talon_flow flow;
		uint32_t core;

		if (bpf_map_lookup_elem(bpf_map__fd(w->skel->maps.flows), &id, &flow) ||
			flow.phase != TALON_FLOW_LIVE)
			die("reading a flow");
		core = ntohs(flow.client_port) - 2000;
		if (core >= CORES || flow.peer > 1)
			die("a flow of ours");
		w->out[core][flow.peer] = reply_frame(&flow);
	}
}

/* What is opened inline has to be sealed with its own counter. */
static void seal_all(struct world *w)
{
	for (unsigned tunnel = 0; tunnel < 2; tunnel++) {
		for (uint32_t i = 0; i < CORES_BENCH_SEALED; i++) {
			struct packet frame = sealed_frame(w, i / CORES_BENCH_TURN % CORES, tunnel, i);

			put(w->skel->maps.sealed, tunnel * CORES_BENCH_SEALED + i, frame.bytes);
		}
	}
}

int main(int argc, char **argv)
{
	struct world w = {};
	struct bench b;

	bench_begin(&b, argc, argv);
	if (sodium_init() < 0)
		die("libsodium");
	if (libbpf_num_possible_cpus() < CORES) {
		fprintf(stderr, "cores: this machine has one\n");
		return bench_end(&b);
	}
	make_net(&w);
	load(&w);
	fill(&w);
	w.is_ahead = true;
	renew(&w);
	make_flows(&w);
	measure(&b, &w, "in", false, false);
	measure(&b, &w, "out", true, true);
	measure(&b, &w, "both", false, true);
	w.is_ahead = false;
	seal_all(&w);
	measure(&b, &w, "in", false, false);
	measure(&b, &w, "out", true, true);
	measure(&b, &w, "both", false, true);
	segments_close(&w.segments);
	cores_bench__destroy(w.skel);
	return bench_end(&b);
}
