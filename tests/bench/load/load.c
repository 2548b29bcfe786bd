// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The load: sink and session opened, datagrams prepared, sent, and what arrived judged.
#include "bench/load/load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <sched.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/load/packet.h"
#include "load_sink.skel.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

#define SERVICE_PORT	9000	/* of the gateway */
#define LAPTOP_PORT	20000	/* and up: one for each flow */
#define OPENING		(1ULL << 63)	/* in the number of a packet that opens a flow */
#define OPENING_LEN	64
#define OPENING_TRIES	100
#define OPENING_WAIT_MS	20
#define MESSAGE_OFF	(14 + PACKET_HEADERS)	/* of the UDP payload in a frame */
#define QUIET_NS	50000000	/* for so long: nothing more will come */
#define BUFFER_BYTES	(8 << 20)
#define SAMPLES_MAX	(LOAD_RING_BYTES / (int)(sizeof(struct load_sample) + 8))

struct load {
	struct load_options o;
	struct load_sink *sink;
	struct bpf_link *link;
	struct ring_buffer *ring;
	struct wg wg;
	uint64_t run;				/* what tells this run's packets from any other's */
	uint64_t counter;			/* next to seal with */
	int tunnel;				/* socket of sealed packets, -1 without a tunnel */
	int socks[LOAD_FLOWS_MAX];		/* of packets in the clear, one for each flow; -1: none */
	uint16_t ports[LOAD_FLOWS_MAX];		/* the node's port for the flow, as the gateway sees it; 0: not open yet */
	uint8_t *datagrams;			/* one after the other, @stride each */
	size_t stride;
	uint64_t *sent_ns;			/* for each batch */
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
	return __atomic_load_n(&l->sink->bss->seen[l->o.dir].packets, __ATOMIC_RELAXED);
}

/* In the wire's frames from the node. */
static bool sink_sees_sealed(const struct load *l, enum load_dir dir)
{
	return (l->o.kind == LOAD_WIREGUARD && dir == LOAD_OUT) || (l->o.kind == LOAD_BOUNCE && dir == LOAD_IN);
}

static bool sends_sealed(const struct load *l)
{
	return l->tunnel >= 0 && l->o.dir == LOAD_IN;
}

static void sink_expects(struct load *l, enum load_dir dir, uint32_t len, uint32_t every)
{
	memset(&l->sink->bss->seen, 0, sizeof(l->sink->bss->seen));
	l->sink->bss->wanted_len[dir] = len + (sink_sees_sealed(l, dir) ? PACKET_HEADERS + WG_OVERHEAD : 0);
	l->sink->data->sample_every = every;
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
	return (struct packet_ends){ names->gateway, names->node, SERVICE_PORT, l->ports[flow] };
}

/* And where it arrives. */
static struct packet_ends arrived_ends(const struct load *l, enum load_dir dir, uint32_t flow)
{
	struct packet_ends ends = sent_ends(l, dir, flow);

	if (l->o.kind == LOAD_BOUNCE)
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
static const uint8_t *inner_packet(const struct load *l, const struct load_sample *sample, uint8_t *buf, size_t *ret_len)
{
	size_t len;

	if (!sink_sees_sealed(l, sample->dir)) {
		if (sample->len < 14 + PACKET_MIN)
			return NULL;
		*ret_len = sample->len - 14;
		return sample->frame + 14;
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
		l->latencies[l->result.samples - l->result.bad] = (sample->ns - l->sent_ns[number / l->o.batch]) / 1e3;
	}
	l->result.samples++;
	return 0;
}

static int on_sample(void *ctx, void *data, size_t size)
{
	struct load *l = ctx;

	return l->sent_ns ? on_measured(l, data) : on_opening(l, data);
}

/* --- Opening --- */

static int open_sink(struct load *l)
{
	unsigned int ifindex = if_nametoindex(l->o.device);
	int ret;

	if (!ifindex)
		return complain(l->o.device, errno);
	l->sink = load_sink__open();
	if (!l->sink)
		return complain("opening the sink", errno);
	memcpy((void *)&l->sink->rodata->names, &l->o.names, sizeof(l->o.names));
	ret = load_sink__load(l->sink);
	if (ret)
		return complain("loading the sink", ret);
	l->link = bpf_program__attach_xdp(l->sink->progs.load_sink, ifindex);
	if (!l->link)
		return complain("attaching the sink", errno);
	l->ring = ring_buffer__new(bpf_map__fd(l->sink->maps.samples), on_sample, l, NULL);
	return l->ring ? 0 : complain("the sink's ring", errno);
}

/* Connected, from an address that need not be this host's. */
static int udp_socket(__be32 from, uint16_t from_port, __be32 to, uint16_t to_port)
{
	struct sockaddr_in src = { .sin_family = AF_INET, .sin_addr.s_addr = from, .sin_port = htons(from_port) };
	struct sockaddr_in dst = { .sin_family = AF_INET, .sin_addr.s_addr = to, .sin_port = htons(to_port) };
	int on = 1, bytes = BUFFER_BYTES, sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (sock < 0)
		return -1;
	if (setsockopt(sock, SOL_IP, IP_TRANSPARENT, &on, sizeof(on)) ||
	    setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    setsockopt(sock, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) ||
	    bind(sock, (struct sockaddr *)&src, sizeof(src)) ||
	    connect(sock, (struct sockaddr *)&dst, sizeof(dst))) {
		close(sock);
		return -1;
	}
	return sock;
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
	l->tunnel = udp_socket(l->o.names.laptop, 0, l->o.names.node, ntohs(l->o.names.port));
	if (l->tunnel < 0)
		return complain("the laptop's socket", errno);
	if (l->o.kind == LOAD_BOUNCE) {
		invent_session(&l->wg);
		return 0;
	}
	ret = wg_connect(&l->wg, l->tunnel, &l->o.private_key, l->o.peer);
	return ret ? complain("handshake", ret) : 0;
}

static int send_opening(struct load *l, uint32_t flow)
{
	struct packet_ends ends = sent_ends(l, LOAD_IN, flow);
	uint8_t packet[OPENING_LEN], message[OPENING_LEN + WG_OVERHEAD];
	ssize_t ret;

	packet_build(packet, sizeof(packet), &ends, l->run, OPENING | flow);
	if (l->tunnel >= 0) {
		wg_seal(&l->wg, l->counter++, packet, sizeof(packet), message);
		ret = send(l->tunnel, message, sizeof(message), 0);
	} else {
		ret = send(l->socks[flow], packet + PACKET_HEADERS, sizeof(packet) - PACKET_HEADERS, 0);
	}
	return ret < 0 && errno != ECONNREFUSED ? complain("sending", errno) : 0;
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

/* Sockets of packets in the clear: the laptop's without a tunnel, then the gateway's. */
static int open_sockets(struct load *l, enum load_dir dir)
{
	struct packet_ends ends;

	for (uint32_t flow = 0; flow < l->o.flows; flow++) {
		if (l->socks[flow] >= 0)
			close(l->socks[flow]);
		ends = sent_ends(l, dir, flow);
		l->socks[flow] = udp_socket(ends.src, ends.sport, ends.dst, ends.dport);
		if (l->socks[flow] < 0)
			return complain("a flow's socket", errno);
	}
	return 0;
}

static int open_all(struct load *l)
{
	if (open_sink(l) || open_session(l))
		return -1;
	if (l->o.kind == LOAD_PLAIN && open_sockets(l, LOAD_IN))
		return -1;
	if (l->o.kind == LOAD_BOUNCE) {
		for (uint32_t flow = 0; flow < l->o.flows; flow++)
			l->ports[flow] = LAPTOP_PORT + flow;
	} else if (open_flows(l)) {
		return -1;
	}
	return l->o.dir == LOAD_OUT ? open_sockets(l, LOAD_OUT) : 0;
}

int load_open(struct load **ret_load, const struct load_options *options)
{
	struct load *l = calloc(1, sizeof(*l));

	if (!l || sodium_init() < 0)
		return complain("starting", ENOMEM);
	l->o = *options;
	l->tunnel = -1;
	memset(l->socks, -1, sizeof(l->socks));
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

static void prepare_one(const struct load *l, uint32_t number)
{
	uint8_t packet[LOAD_FRAME_MAX], *datagram = l->datagrams + number * l->stride;
	struct packet_ends ends;

	if (!sends_sealed(l)) {
		packet_payload(datagram, l->stride, l->run, number);
		return;
	}
	ends = sent_ends(l, LOAD_IN, flow_of(l, number));
	packet_build(packet, l->o.length, &ends, l->run, number);
	wg_seal(&l->wg, l->counter + number, packet, l->o.length, datagram);
}

static void *prepare_share(void *ctx)
{
	struct share *share = ctx;

	for (uint32_t number = share->from; number < share->to; number++)
		prepare_one(share->load, number);
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
	size_t bytes;

	l->stride = sends_sealed(l) ? l->o.length + WG_OVERHEAD : l->o.length - PACKET_HEADERS;
	bytes = l->stride * l->o.count;
	l->datagrams = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (l->datagrams == MAP_FAILED) {
		l->datagrams = NULL;
		return complain("memory for datagrams", errno);
	}
	madvise(l->datagrams, bytes, MADV_HUGEPAGE);
	l->latencies = calloc(SAMPLES_MAX + 1, sizeof(*l->latencies));
	l->sent_ns = calloc(l->o.count / l->o.batch + 1, sizeof(*l->sent_ns));
	if (!l->latencies || !l->sent_ns)
		return complain("memory", ENOMEM);
	return prepare_all(l);
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

static int segment(const struct load *l, int sock)
{
	int size = l->stride;

	return sock >= 0 && setsockopt(sock, SOL_UDP, UDP_SEGMENT, &size, sizeof(size)) ? complain("UDP_SEGMENT", errno) : 0;
}

static int segment_all(const struct load *l)
{
	if (sends_sealed(l))
		return segment(l, l->tunnel);
	for (uint32_t flow = 0; flow < l->o.flows; flow++) {
		if (segment(l, l->socks[flow]))
			return -1;
	}
	return 0;
}

/* Returns how many packets on their way are given up for lost by now. */
static uint64_t wait_for_room(const struct load *l, uint64_t sent, uint64_t lost)
{
	uint64_t seen = packets_seen(l), next, since_ns = now_ns();

	while (sent + l->o.batch > seen + lost + l->o.window) {
		sched_yield();
		next = packets_seen(l);
		if (next != seen)
			since_ns = now_ns();
		else if (now_ns() - since_ns > l->o.stuck_ns)
			lost = sent - seen;
		seen = next;
	}
	return lost;
}

static int send_batch(const struct load *l, uint32_t number)
{
	int sock = sends_sealed(l) ? l->tunnel : l->socks[flow_of(l, number)];
	ssize_t ret;

	do {
		ret = send(sock, l->datagrams + number * l->stride, l->o.batch * l->stride, 0);
	} while (ret < 0 && (errno == ECONNREFUSED || errno == ENOBUFS));	/* of what was sent before; try again */
	return ret < 0 ? complain("sending", errno) : 0;
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

struct moment {
	uint64_t ns;
	uint64_t seen;
	uint32_t sent;
};

static struct moment moment_now(const struct load *l, uint32_t sent)
{
	return (struct moment){ now_ns(), packets_seen(l), sent };
}

/* The first fifth is left out: caches, wake-ups, a keystream that is not there yet. */
static int send_all(struct load *l, struct moment *ret_from, struct moment *ret_to)
{
	uint64_t start_ns = now_ns(), limit_ns = l->o.limit_ns, lost = 0, ns = start_ns;
	struct moment from = moment_now(l, 0);
	bool warm = false;
	uint32_t sent;

	for (sent = 0; sent + l->o.batch <= l->o.count && ns - start_ns < limit_ns; sent += l->o.batch) {
		if (!warm && (sent >= l->o.count / 5 || ns - start_ns >= limit_ns / 5)) {
			warm = true;
			from = moment_now(l, sent);
		}
		if (l->o.window)
			lost = wait_for_room(l, sent, lost);
		do {
			ns = now_ns();
		} while (l->o.rate && ns < start_ns + (uint64_t)sent * 1000000000 / l->o.rate);
		l->sent_ns[sent / l->o.batch] = ns;
		if (send_batch(l, sent))
			return -1;
	}
	*ret_from = from;
	*ret_to = moment_now(l, sent);
	return 0;
}

/* So that the other side does not take us for dead: it may send for 15 s without hearing anything (whitepaper section 6.5). */
static void send_keepalive(const struct load *l, uint32_t sent)
{
	uint8_t message[WG_OVERHEAD];
	int none = 0;

	setsockopt(l->tunnel, SOL_UDP, UDP_SEGMENT, &none, sizeof(none));
	wg_seal(&l->wg, l->counter + sent, message, 0, message);
	if (send(l->tunnel, message, sizeof(message), 0) < 0)
		complain("keepalive", errno);
}

int load_send(struct load *l)
{
	uint32_t every = l->o.count / (l->o.samples < SAMPLES_MAX ? l->o.samples : SAMPLES_MAX);
	struct moment from, to;

	if (segment_all(l) || take_core(l))
		return -1;
	sink_expects(l, l->o.dir, l->o.length, every ? every : 1);
	if (send_all(l, &from, &to))
		return -1;
	wait_for_quiet(l);
	if (l->o.kind == LOAD_WIREGUARD)
		send_keepalive(l, to.sent);
	l->result.sent = to.sent;
	l->result.offered_pps = (to.sent - from.sent) * 1e9 / (to.ns - from.ns);
	l->result.pps = (to.seen - from.seen) * 1e9 / (to.ns - from.ns);
	return 0;
}

/* --- Judging --- */

int load_judge(struct load *l, struct load_result *ret_result)
{
	struct load_result *result = &l->result;
	size_t good;

	ring_buffer__consume(l->ring);
	result->delivered = packets_seen(l);
	result->odd = l->sink->bss->seen[l->o.dir].odd;
	result->unsampled = l->sink->bss->seen[l->o.dir].unsampled;
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
	for (uint32_t flow = 0; flow < LOAD_FLOWS_MAX; flow++) {
		if (l->socks[flow] >= 0)
			close(l->socks[flow]);
	}
	if (l->tunnel >= 0)
		close(l->tunnel);
	if (l->datagrams)
		munmap(l->datagrams, l->stride * l->o.count);
	free(l->sent_ns);
	free(l->latencies);
	ring_buffer__free(l->ring);
	bpf_link__destroy(l->link);
	load_sink__destroy(l->sink);
	wg_wipe(&l->wg);
	secret_key_wipe(&l->o.private_key);
	free(l);
}
