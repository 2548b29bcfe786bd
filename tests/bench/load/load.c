// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The load: opens source, sink and session, prepares and sends frames, and judges what arrived.
#include "bench/load/load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/load/packet.h"
#include "load_ends.skel.h"

#define SERVICE_PORT	9000	/* of the gateway */
#define LAPTOP_PORT	20000	/* and up: one for each flow */
#define OPENING		(1ULL << 63)	/* in the number of a packet that opens a flow */
#define OPENING_LEN	64
#define OPENING_TRIES	100
#define OPENING_WAIT_MS	20
#define MESSAGE_OFF	(ETH_HLEN + PACKET_HEADERS)	/* offset of the UDP payload in a frame */
#define QUIET_NS	50000000	/* no packet arrived for this long: nothing more will come */
#define LOOK_US		500		/* how often the source is polled for its end */
#define SAMPLES_MAX	(LOAD_RING_BYTES / (int)(sizeof(struct load_sample) + 8))

struct load {
	struct load_options o;
	struct load_ends *ends;
	struct bpf_link *link, *gateway_link;
	struct ring_buffer *ring;
	struct ether_header ether;		/* of every frame to the node by the wire */
	struct ether_header gateway_ether;	/* and by the gateway's device */
	int wire;				/* socket that sends whole frames */
	int tunnel;				/* of handshakes; -1 without a tunnel */
	uint16_t tunnel_port;
	struct wg wg;
	uint64_t run;				/* tells this run's packets from those of others */
	uint64_t counter;			/* next to seal with */
	/* of the node, by flow, as the gateway sees them; 0: none yet */
	uint16_t ports[LOAD_FLOWS_MAX];
	struct load_slot *slots;		/* of load_ends.bpf.c; NULL: not measuring yet */
	double *latencies;			/* of good samples, us */
	struct load_result result;
};

static int complain(const char *what, int error)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(error < 0 ? -error : error));
	return -1;
}

static uint64_t packets_seen(const struct load *l)
{
	return __atomic_load_n(&l->ends->bss->seen[l->o.dir].packets, __ATOMIC_RELAXED);
}

/* In the wire's frames from the node. */
static bool sink_sees_sealed(const struct load *l, enum load_dir dir)
{
	return (l->o.kind == LOAD_WIREGUARD && dir == LOAD_OUT) ||
		(l->o.kind == LOAD_BOUNCE && dir == LOAD_IN);
}

static bool sends_sealed(const struct load *l)
{
	return l->o.kind != LOAD_PLAIN && l->o.dir == LOAD_IN;
}

static void sink_expects(struct load *l, enum load_dir dir, uint32_t len, uint32_t every)
{
	memset(&l->ends->bss->seen, 0, sizeof(l->ends->bss->seen));
	l->ends->bss->wanted_len[dir] = len + (sink_sees_sealed(l, dir) ? PACKET_HEADERS + WG_OVERHEAD : 0);
	l->ends->data->sample_every = every;
}

static uint32_t flow_of(const struct load *l, uint64_t number)
{
	return number & OPENING ? (uint32_t)number : number / l->o.burst % l->o.flows;
}

/* What a packet of the flow has for addresses where it is built. */
static struct packet_ends sent_ends(const struct load *l, enum load_dir dir, uint32_t flow)
{
	const struct load_names *names = &l->o.names;

	if (dir == LOAD_IN)
		return (struct packet_ends){ names->mesh, names->gateway, LAPTOP_PORT + flow, SERVICE_PORT };
	if (l->o.gateway_device)
		return (struct packet_ends){ names->gateway, names->mesh, SERVICE_PORT, LAPTOP_PORT + flow };
	return (struct packet_ends){ names->gateway, names->node, SERVICE_PORT, l->ports[flow] };
}

/* The same where it arrives. */
static struct packet_ends arrived_ends(const struct load *l, enum load_dir dir, uint32_t flow)
{
	struct packet_ends ends = sent_ends(l, dir, flow);

	if (l->o.kind == LOAD_BOUNCE || l->o.gateway_device)
		return ends;
	if (dir == LOAD_IN) {
		ends.src = l->o.names.node;
		ends.sport = l->ports[flow];
	} else {
		ends.dst = l->o.names.mesh;
		ends.dport = LAPTOP_PORT + flow;
	}
	return ends;
}

/* --- Samples --- */

/* The packet inside a sampled frame, NULL if there is none. @buf takes what had to be opened. */
static const uint8_t *inner_packet(const struct load *l, const struct load_sample *sample, uint8_t *buf,
	size_t *ret_len)
{
	size_t len;

	if (!sink_sees_sealed(l, sample->dir)) {
		if (sample->len < ETH_HLEN + PACKET_MIN)
			return NULL;
		*ret_len = sample->len - ETH_HLEN;
		return sample->frame + ETH_HLEN;
	}
	if (sample->len < MESSAGE_OFF + WG_OVERHEAD)
		return NULL;
	len = sample->len - MESSAGE_OFF;
	if (wg_open(&l->wg, sample->frame + MESSAGE_OFF, len, buf))
		return NULL;
	*ret_len = len - WG_OVERHEAD;
	return buf;
}

static const char *check_sample(const struct load *l, const struct load_sample *sample, uint64_t *ret_number,
	struct packet_ends *ret_ends)
{
	uint8_t buf[LOAD_FRAME_MAX];
	const uint8_t *packet;
	const char *wrong;
	size_t len;

	if (sample->len > LOAD_FRAME_MAX)
		return "frame too long";
	packet = inner_packet(l, sample, buf, &len);
	if (!packet)
		return "does not open";
	wrong = packet_check(packet, len, l->run, l->o.unfinished_sum, ret_ends, ret_number);
	if (!wrong && flow_of(l, *ret_number) >= l->o.flows)
		return "flow";
	return wrong;
}

static bool same_ends(const struct packet_ends *a, const struct packet_ends *b)
{
	return a->src == b->src && a->dst == b->dst && a->sport == b->sport && a->dport == b->dport;
}

static int on_opening(struct load *l, const struct load_sample *sample)
{
	struct packet_ends ends, expected;
	uint64_t number;

	if (check_sample(l, sample, &number, &ends) || !(number & OPENING))
		return 0;
	expected = arrived_ends(l, LOAD_IN, flow_of(l, number));
	expected.sport = ends.sport;
	if (same_ends(&ends, &expected))
		l->ports[flow_of(l, number)] = ends.sport;
	return 0;
}

static int on_measured(struct load *l, const struct load_sample *sample)
{
	struct packet_ends ends, expected;
	uint64_t number;
	const char *wrong = check_sample(l, sample, &number, &ends);

	if (!wrong && number & OPENING)	/* of a flow that was opened twice: late */
		return 0;
	if (!wrong && number >= l->result.sent)
		wrong = "number";
	if (!wrong) {
		expected = arrived_ends(l, l->o.dir, flow_of(l, number));
		if (!same_ends(&ends, &expected))
			wrong = "addresses";
	}
	if (wrong) {
		if (!l->result.bad++)
			fprintf(stderr, "load: a sample is wrong: %s\n", wrong);
	} else {
		l->latencies[l->result.samples - l->result.bad] = (sample->ns -
			l->slots[number].sent_ns) / 1e3;
	}
	l->result.samples++;
	return 0;
}

static int on_sample(void *ctx, void *data, size_t size)
{
	struct load *l = ctx;

	return l->slots ? on_measured(l, data) : on_opening(l, data);
}

/* --- Opening --- */

/* Fills in the header of frames from our device @device to the node's @node_mac. Returns 0 or -1. */
static int address_frames(const struct load *l, const char *device, const uint8_t node_mac[static ETH_ALEN],
	struct ether_header *ret_ether)
{
	struct ifreq request = { 0 };

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", device);
	if (ioctl(l->wire, SIOCGIFHWADDR, &request))
		return complain(device, errno);
	memcpy(ret_ether->ether_shost, request.ifr_hwaddr.sa_data, ETH_ALEN);
	memcpy(ret_ether->ether_dhost, node_mac, ETH_ALEN);
	ret_ether->ether_type = htons(ETHERTYPE_IP);
	return 0;
}

static int read_device(struct load *l)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP) };

	to.sll_ifindex = if_nametoindex(l->o.device);
	l->wire = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (!to.sll_ifindex || l->wire < 0 || bind(l->wire, (struct sockaddr *)&to, sizeof(to)))
		return complain(l->o.device, errno);
	if (address_frames(l, l->o.device, l->o.node_mac, &l->ether))
		return -1;
	return !l->o.gateway_device ? 0 : address_frames(l, l->o.gateway_device, l->o.gateway_node_mac,
		&l->gateway_ether);
}

/* By which device packets of the direction go to the node. */
static const char *source_device(const struct load *l, enum load_dir dir)
{
	return dir == LOAD_OUT && l->o.gateway_device ? l->o.gateway_device : l->o.device;
}

/* Of a packet of @len bytes inside the tunnel. */
static uint32_t frame_len(const struct load *l, uint32_t len, bool sealed)
{
	return ETH_HLEN + len + (sealed ? PACKET_HEADERS + WG_OVERHEAD : 0);
}

static void plan(struct load *l)
{
	struct load_plan plan = {
		.ifindex = if_nametoindex(source_device(l, l->o.dir)),
		.frame_len = frame_len(l, l->o.length, sends_sealed(l)),
		.count = l->o.count,
		.window = l->o.window,
		.interval_ns = l->o.rate ? 1000000000 / l->o.rate : 0,
		.limit_ns = l->o.limit_ns,
		.stuck_ns = l->o.stuck_ns,
		.dir = l->o.dir,
	};

	memcpy((void *)&l->ends->rodata->plan, &plan, sizeof(plan));
	memcpy((void *)&l->ends->rodata->names, &l->o.names, sizeof(l->o.names));
}

static int open_ends(struct load *l)
{
	int ret;

	l->ends = load_ends__open();
	if (!l->ends)
		return complain("opening source and sink", errno);
	plan(l);
	bpf_map__set_max_entries(l->ends->maps.slots, l->o.count);
	ret = load_ends__load(l->ends);
	if (ret)
		return complain("loading source and sink", ret);
	l->link = bpf_program__attach_xdp(l->ends->progs.load_sink, if_nametoindex(l->o.device));
	if (!l->link)
		return complain("attaching the sink", errno);
	if (l->o.gateway_device) {
		l->gateway_link = bpf_program__attach_xdp(l->ends->progs.load_sink,
			if_nametoindex(l->o.gateway_device));
		if (!l->gateway_link)
			return complain("attaching the gateway's sink", errno);
	}
	l->ring = ring_buffer__new(bpf_map__fd(l->ends->maps.samples), on_sample, l, NULL);
	return l->ring ? 0 : complain("the sink's ring", errno);
}

/* Used for handshakes; sealed packets come from its port. */
static int open_tunnel(struct load *l)
{
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_addr.s_addr = l->o.names.laptop };
	struct sockaddr_in there = {
		.sin_family = AF_INET, .sin_addr.s_addr = l->o.names.node, .sin_port = l->o.names.port,
	};
	socklen_t len = sizeof(here);

	l->tunnel = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (l->tunnel < 0 || bind(l->tunnel, (struct sockaddr *)&here, sizeof(here)) ||
	    connect(l->tunnel, (struct sockaddr *)&there, sizeof(there)) ||
	    getsockname(l->tunnel, (struct sockaddr *)&here, &len))
		return complain("the laptop's socket", errno);
	l->tunnel_port = ntohs(here.sin_port);
	return 0;
}

/* A bouncing peer knows no keys: any will do, and what comes back is what was sent. */
static void invent_session(struct wg *wg)
{
	randombytes_buf(wg, sizeof(*wg));
	wg->keys.recv = wg->keys.send;
	wg->local_index = wg->remote_index;
}

static int open_session(struct load *l)
{
	int ret;

	if (l->o.kind == LOAD_PLAIN)
		return 0;
	if (open_tunnel(l))
		return -1;
	if (l->o.kind == LOAD_BOUNCE) {
		invent_session(&l->wg);
		return 0;
	}
	ret = wg_connect(&l->wg, l->tunnel, &l->o.private_key, l->o.peer);
	return ret ? complain("handshake", ret) : 0;
}

/* The frame of one packet of a flow, sealed or in the clear. Returns its length. */
static size_t build_frame(const struct load *l, enum load_dir dir, uint32_t len, uint64_t number,
	uint64_t counter, uint8_t *ret_frame)
{
	bool sealed = dir == LOAD_IN && l->o.kind != LOAD_PLAIN;
	struct packet_ends ends = sent_ends(l, dir, flow_of(l, number));
	struct packet_ends outer = { l->o.names.laptop, l->o.names.node, l->tunnel_port,
		ntohs(l->o.names.port) };
	uint8_t packet[LOAD_FRAME_MAX];

	memcpy(ret_frame, source_device(l, dir) == l->o.device ? &l->ether : &l->gateway_ether, ETH_HLEN);
	if (!sealed) {
		packet_build(ret_frame + ETH_HLEN, len, &ends, l->run, number);
		return frame_len(l, len, false);
	}
	packet_build(packet, len, &ends, l->run, number);
	wg_seal(&l->wg, counter, packet, len, ret_frame + MESSAGE_OFF);
	packet_wrap(ret_frame + ETH_HLEN, len + WG_OVERHEAD, &outer);
	return frame_len(l, len, true);
}

static int send_opening(struct load *l, uint32_t flow)
{
	uint8_t frame[LOAD_FRAME_MAX];
	size_t len = build_frame(l, LOAD_IN, OPENING_LEN, OPENING | flow, l->counter++, frame);

	return send(l->wire, frame, len, 0) < 0 ? complain("sending", errno) : 0;
}

/* Sends the first packet of each flow until the sink saw it. */
static int open_flows(struct load *l)
{
	uint32_t missing = l->o.flows;

	sink_expects(l, LOAD_IN, OPENING_LEN, 1);
	for (int i = 0; i < OPENING_TRIES && missing; i++) {
		for (uint32_t flow = 0; flow < l->o.flows; flow++) {
			if (!l->ports[flow] && send_opening(l, flow))
				return -1;
		}
		usleep(OPENING_WAIT_MS * 1000);
		ring_buffer__consume(l->ring);
		missing = 0;
		for (uint32_t flow = 0; flow < l->o.flows; flow++)
			missing += !l->ports[flow];
	}
	if (missing)
		fprintf(stderr, "load: %u of %u flows did not open\n", missing, l->o.flows);
	return missing ? -1 : 0;
}

static int open_all(struct load *l)
{
	if (read_device(l) || open_ends(l) || open_session(l))
		return -1;
	if (l->o.kind != LOAD_BOUNCE)
		return open_flows(l);
	for (uint32_t flow = 0; flow < l->o.flows; flow++)
		l->ports[flow] = LAPTOP_PORT + flow;
	return 0;
}

int load_open(struct load **ret_load, const struct load_options *options)
{
	struct load *l = calloc(1, sizeof(*l));

	if (!l || sodium_init() < 0)
		return complain("starting", ENOMEM);
	l->o = *options;
	l->tunnel = -1;
	l->wire = -1;
	randombytes_buf(&l->run, sizeof(l->run));
	if (open_all(l)) {
		load_close(l);
		return -1;
	}
	*ret_load = l;
	return 0;
}

/* --- Preparing --- */

struct share {
	struct load *load;
	uint32_t from;
	uint32_t to;
	pthread_t thread;
};

static void *prepare_share(void *ctx)
{
	struct share *share = ctx;

	struct load *l = share->load;

	for (uint32_t number = share->from; number < share->to; number++)
		build_frame(l, l->o.dir, l->o.length, number, l->counter + number, l->slots[number].frame);
	return NULL;
}

static int prepare_all(struct load *l)
{
	uint32_t middle = l->o.count / 2;
	struct share shares[] = { { l, 0, middle, 0 }, { l, middle, l->o.count, 0 } };
	int ret = pthread_create(&shares[0].thread, NULL, prepare_share, &shares[0]);

	if (ret)
		return complain("a thread", ret);
	prepare_share(&shares[1]);
	pthread_join(shares[0].thread, NULL);
	return 0;
}

int load_prepare(struct load *l)
{
	struct load_slot *slots = mmap(NULL, sizeof(*slots) * l->o.count, PROT_READ | PROT_WRITE, MAP_SHARED,
		bpf_map__fd(l->ends->maps.slots), 0);

	if (slots == MAP_FAILED)
		return complain("memory for frames", errno);
	l->slots = slots;
	l->latencies = calloc(SAMPLES_MAX + 1, sizeof(*l->latencies));
	return l->latencies ? prepare_all(l) : complain("memory", ENOMEM);
}

/* --- Sending --- */

static int take_core(const struct load *l)
{
	cpu_set_t cores;

	if (l->o.core < 0)
		return 0;
	CPU_ZERO(&cores);
	CPU_SET(l->o.core, &cores);
	if (sched_setaffinity(0, sizeof(cores), &cores) || setpriority(PRIO_PROCESS, 0, l->o.nice))
		return complain("the sending core", errno);
	return 0;
}

static void wait_for_quiet(const struct load *l)
{
	uint64_t seen = packets_seen(l), next, since_ns = now_ns();

	while (now_ns() - since_ns < QUIET_NS) {
		usleep(1000);
		next = packets_seen(l);
		if (next != seen)
			since_ns = now_ns();
		seen = next;
	}
}

/* Nothing to do: the signal only interrupts the system call. */
static void on_done(int signal)
{
}

struct watch {
	const struct load *load;
	pthread_t sender;
	bool gone;		/* the sender is through */
};

/* The source cannot end its own run. */
static void *watch_source(void *ctx)
{
	struct watch *watch = ctx;
	const struct load_progress *progress = &watch->load->ends->bss->progress;

	while (!__atomic_load_n(&progress->end_ns, __ATOMIC_ACQUIRE))
		usleep(LOOK_US);
	while (!__atomic_load_n(&watch->gone, __ATOMIC_ACQUIRE)) {
		pthread_kill(watch->sender, SIGUSR1);
		usleep(LOOK_US);
	}
	return NULL;
}

/* Runs the source until it is done. */
static int run_source(struct load *l)
{
	uint8_t frame[LOAD_FRAME_MAX] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts,
		.data_in = frame, .data_size_in = frame_len(l, l->o.length, sends_sealed(l)),
		.repeat = INT32_MAX, .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = l->o.batch);
	int ret;

	do {
		ret = bpf_prog_test_run_opts(bpf_program__fd(l->ends->progs.load_source), &opts);
	} while (!l->ends->bss->progress.end_ns && (!ret || errno == EINTR));
	return ret && errno != EINTR ? complain("the source", errno) : 0;
}

static int send_all(struct load *l)
{
	struct sigaction action = { .sa_handler = on_done };
	struct watch watch = { .load = l, .sender = pthread_self() };
	pthread_t watcher;
	int ret;

	sigaction(SIGUSR1, &action, NULL);
	ret = pthread_create(&watcher, NULL, watch_source, &watch);
	if (ret)
		return complain("a thread", ret);
	ret = take_core(l);
	if (!ret)
		ret = run_source(l);
	if (ret)
		l->ends->bss->progress.end_ns = 1;
	__atomic_store_n(&watch.gone, true, __ATOMIC_RELEASE);
	pthread_join(watcher, NULL);
	return ret;
}

/*
 * Keeps the peer from considering us dead: it sends for at most 15 s without hearing anything (whitepaper
 * section 6.5).
 */
static void send_keepalive(const struct load *l)
{
	uint8_t message[WG_OVERHEAD];

	wg_seal(&l->wg, l->counter + l->o.count, NULL, 0, message);
	if (send(l->tunnel, message, sizeof(message), 0) < 0)
		complain("keepalive", errno);
}

int load_send(struct load *l)
{
	uint32_t every = l->o.count / (l->o.samples < SAMPLES_MAX ? l->o.samples : SAMPLES_MAX);
	const struct load_progress *progress = &l->ends->bss->progress;
	double seconds;

	sink_expects(l, l->o.dir, l->o.length, every ? every : 1);
	if (send_all(l))
		return -1;
	wait_for_quiet(l);
	if (l->o.kind == LOAD_WIREGUARD)
		send_keepalive(l);
	seconds = (progress->end_ns - progress->warm_ns) / 1e9;
	l->result.sent = progress->next;
	l->result.offered_pps = (progress->next - progress->warm_next) / seconds;
	l->result.pps = (progress->end_seen - progress->warm_seen) / seconds;
	return 0;
}

/* --- Judging --- */

int load_judge(struct load *l, struct load_result *ret_result)
{
	struct load_result *result = &l->result;
	size_t good;

	ring_buffer__consume(l->ring);
	result->delivered = packets_seen(l);
	result->odd = l->ends->bss->seen[l->o.dir].odd;
	result->unsampled = l->ends->bss->seen[l->o.dir].unsampled;
	good = result->samples - result->bad;
	if (!result->samples) {
		fprintf(stderr, "load: nothing arrived\n");
		return -1;
	}
	qsort(l->latencies, good, sizeof(*l->latencies), bench_compare);
	result->p50_us = good ? l->latencies[good / 2] : NAN;
	result->p99_us = good ? l->latencies[good * 99 / 100] : NAN;
	*ret_result = *result;
	return 0;
}

void load_close(struct load *l)
{
	if (l->wire >= 0)
		close(l->wire);
	if (l->tunnel >= 0)
		close(l->tunnel);
	if (l->slots)
		munmap(l->slots, sizeof(*l->slots) * l->o.count);
	free(l->latencies);
	ring_buffer__free(l->ring);
	bpf_link__destroy(l->gateway_link);
	bpf_link__destroy(l->link);
	load_ends__destroy(l->ends);
	wg_wipe(&l->wg);
	secret_key_wipe(&l->o.private_key);
	free(l);
}
