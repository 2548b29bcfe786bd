// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Keystream made ahead against keystream made inline: the same bytes and verdicts, whatever the slots hold
// and whichever side is faster.
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/ip.h>
#include <cmocka.h>
#include <sodium.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "keystream_test.skel.h"
#include "keystream_test_tc.skel.h"
#include "bpf/keystream_test.h"
#include "flow_host.h"
#include "keystream/plan.h"
#include "keystream/segments.h"
#include "keystream/window.h"
#include "talon/config_types.h"
#include "talon/csum.h"
#include "talon/session_types.h"
#include "traffic.h"

#define OFF		KEYSTREAM_TEST_OFF
#define SHIFT		32
#define TAG_LEN		16
#define LEN_MAX		1500
#define BITS		6		/* of the test's window */
#define SLOTS		1024
#define INDEX		0xabcdef05	/* session slot 5 of 64 */
#define SESSIONS	64

static const uint64_t counters[] = {
	0, 1, 63, 64, 0xfffffffeULL, 0xffffffffULL, 1ULL << 32, (1ULL << 32) + 1, (1ULL << 60) - 1,
	1ULL << 60, (1ULL << 60) + 1,
	~0ULL - 8192 - 64,
};

/* One hook's programs, and a helper's view of its maps. */
struct rig {
	struct keystream_test *xdp;
	struct keystream_test_tc *tc;
	struct bpf_object *obj;
	int open_fd, seal_fd, stress_fd;
	struct engine *engine;
	struct segments segments;
	struct window window;
};

struct run {
	int verdict;
	uint32_t size;
	uint8_t in[2048];
	uint8_t out[2048];
};

static int map_fd(const struct rig *rig, const char *name)
{
	return bpf_object__find_map_fd_by_name(rig->obj, name);
}

static int prepare_object(struct bpf_object *obj)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj) {
		bpf_map__set_pin_path(map, NULL);
		if (!strcmp(bpf_map__name(map), "keystream"))
			bpf_map__set_max_entries(map, SLOTS / TALON_KEYSTREAM_SEGMENT);
	}
	return bpf_object__load(obj);
}

static int finish_setup(struct rig *rig, void **state)
{
	const struct talon_config config = { .session_mask = SESSIONS - 1 };
	const uint32_t zero = 0;

	rig->open_fd = bpf_program__fd(bpf_object__find_program_by_name(rig->obj, "open"));
	rig->seal_fd = bpf_program__fd(bpf_object__find_program_by_name(rig->obj, "seal"));
	rig->stress_fd = bpf_program__fd(bpf_object__find_program_by_name(rig->obj, "stress"));
	*state = rig;
	return bpf_map_update_elem(map_fd(rig, "config"), &zero, &config, BPF_ANY) ||
		segments_open(&rig->segments, map_fd(rig, "keystream"), "") ||
		segments_make(&rig->segments, 0, SLOTS) || engine_new(&rig->engine) ||
		window_map(&rig->window, rig->segments.fds, TALON_KEYSTREAM_SEGMENT_BITS, 1 << BITS, BITS);
}

static int load_xdp(void **state)
{
	static struct rig rig;

	rig = (struct rig){ .xdp = keystream_test__open() };
	if (!rig.xdp || prepare_object(rig.xdp->obj))
		return -1;
	rig.obj = rig.xdp->obj;
	return finish_setup(&rig, state);
}

static int load_tc(void **state)
{
	static struct rig rig;

	rig = (struct rig){ .tc = keystream_test_tc__open() };
	if (!rig.tc || prepare_object(rig.tc->obj))
		return -1;
	rig.obj = rig.tc->obj;
	return finish_setup(&rig, state);
}

static int unload(void **state)
{
	struct rig *rig = *state;

	window_unmap(&rig->window);
	segments_close(&rig->segments);
	engine_free(rig->engine);
	keystream_test__destroy(rig->xdp);
	keystream_test_tc__destroy(rig->tc);
	return 0;
}

/* The ring points to the window, and the window is empty. */
static void reset(struct rig *rig, enum talon_keystream_dir dir, uint32_t index)
{
	const struct talon_keystream_ring ring = {
		.window = talon_keystream_window(rig->window.base, rig->window.bits),
		.wake_at = ~0ULL,
		.index = index,
	};
	const uint32_t at = (INDEX % SESSIONS) * TALON_KEYSTREAM_DIRS + dir;

	memset(rig->window.slots, 0, sizeof(*rig->window.slots) << BITS);
	assert_int_equal(bpf_map_update_elem(map_fd(rig, "keystream_rings"), &at, &ring, BPF_ANY), 0);
}

static struct talon_keystream_slot *slot_of(struct rig *rig, uint64_t counter)
{
	return &rig->window.slots[counter % (1 << BITS)];
}

static void make_ready(struct rig *rig, enum talon_keystream_dir dir, const struct keystream_test_job *job,
	uint32_t len)
{
	const struct window_ring ring = { job->index, dir, len };
	struct window_counts counts = { 0 };

	engine_set_key(rig->engine, job->key);
	window_fill(&rig->window, rig->engine, &ring, job->counter, &counts);
	assert_int_equal(counts.generated, 1);
}

struct counts { unsigned long long ahead, inline_; };

static struct counts stats(struct rig *rig, uint32_t dir)
{
	const uint32_t sent = dir == TALON_KEYSTREAM_SEND ? TALON_TRAFFIC_SENT : 0;
	const uint32_t mask = TALON_TRAFFIC_SENT | TALON_TRAFFIC_AHEAD;

	return (struct counts){ traffic_sum(map_fd(rig, "traffic"), sent | TALON_TRAFFIC_AHEAD, mask).packets,
		traffic_sum(map_fd(rig, "traffic"), sent, mask).packets };
}

/* The job's session, as the controller writes it. */
static void put_session(struct rig *rig, const struct keystream_test_job *job)
{
	struct talon_session session = { .index = job->index };
	const uint32_t slot = job->index % SESSIONS;

	memcpy(session.recv_key, job->key, sizeof(job->key));
	memcpy(session.send_key, job->key, sizeof(job->key));
	assert_int_equal(bpf_map_update_elem(map_fd(rig, "sessions"), &slot, &session, BPF_ANY), 0);
}

static void run_program(struct rig *rig, int prog_fd, const struct keystream_test_job *job, struct run *run)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts,
		.data_in = run->in, .data_size_in = run->size,
		.data_out = run->out, .data_size_out = sizeof(run->out), .repeat = 1);
	const uint32_t zero = 0;

	assert_int_equal(bpf_map_update_elem(map_fd(rig, "jobs"), &zero, job, BPF_ANY), 0);
	assert_int_equal(bpf_prog_test_run_opts(prog_fd, &opts), 0);
	assert_int_equal(opts.data_size_out, run->size);
	run->verdict = opts.retval;
}

/*
 * Runs the program and tells whether the packet was processed with keystream made ahead. An error counts as
 * neither.
 */
static bool runs_ahead(struct rig *rig, enum talon_keystream_dir dir, const struct keystream_test_job *job,
	struct run *run)
{
	struct counts before = stats(rig, dir), after;

	put_session(rig, job);
	run_program(rig, dir == TALON_KEYSTREAM_RECV ? rig->open_fd : rig->seal_fd, job, run);
	after = stats(rig, dir);
	assert_int_equal(after.ahead + after.inline_ - before.ahead - before.inline_, run->verdict ? 0 : 1);
	return after.ahead > before.ahead;
}

static void random_job(struct keystream_test_job *job, uint32_t len)
{
	memset(job, 0, sizeof(*job));
	randombytes_buf(job->key, sizeof(job->key));
	job->counter = counters[randombytes_uniform(sizeof(counters) / sizeof(counters[0]))];
	job->index = INDEX;
	job->len = len;
}

static void prepare_open(struct run *run, const struct keystream_test_job *job)
{
	uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES] = { 0 }, plain[LEN_MAX];

	memcpy(nonce + 4, &job->counter, sizeof(job->counter));
	randombytes_buf(plain, job->len);
	randombytes_buf(run->in, OFF);
	crypto_aead_chacha20poly1305_ietf_encrypt(run->in + OFF, NULL, plain, job->len, NULL, 0, NULL, nonce,
		(const uint8_t *)job->key);
	run->size = OFF + job->len + TAG_LEN;
}

static void prepare_seal(struct run *run, const struct keystream_test_job *job)
{
	randombytes_buf(run->in, sizeof(run->in));
	run->size = OFF + SHIFT + job->len;
}

/* The same packet both ways: first without a slot, then with one. */
static void compare(struct rig *rig, enum talon_keystream_dir dir, const struct keystream_test_job *job,
	struct run *run, bool fits)
{
	struct run first = *run;

	reset(rig, dir, INDEX);
	assert_false(runs_ahead(rig, dir, job, &first));
	make_ready(rig, dir, job, TALON_SLOT_STREAM_LEN);
	assert_int_equal(runs_ahead(rig, dir, job, run), fits && !first.verdict);
	assert_int_equal(run->verdict, first.verdict);
	assert_memory_equal(run->out, first.out, run->size);
}

static void every_length_opens_alike(void **state)
{
	struct keystream_test_job job;
	struct run run;

	for (uint32_t len = 0; len <= LEN_MAX; len++) {
		random_job(&job, len);
		prepare_open(&run, &job);
		compare(*state, TALON_KEYSTREAM_RECV, &job, &run, len <= TALON_SLOT_STREAM_LEN);
		assert_int_equal(run.verdict, 0);
	}
}

/* RFC 1071, byte by byte, of what the program sealed. */
static void sum_is_right(struct rig *rig, const struct keystream_test_job *job, const struct run *run)
{
	uint32_t len = (job->len + 15) & ~15U, sum = 0, zero = 0;
	struct keystream_test_job done;

	if (job->mtu && len > job->mtu)
		len = job->mtu;
	for (uint32_t i = 0; i < len + TAG_LEN; i++)
		sum += i % 2 ? run->out[OFF + i] << 8 : run->out[OFF + i];
	assert_int_equal(bpf_map_lookup_elem(map_fd(rig, "jobs"), &zero, &done), 0);
	assert_int_equal(csum_finish(csum_fold(done.sum)), csum_finish(sum));
}

static void what_is_sealed_is_summed(void **state)
{
	struct keystream_test_job job;
	struct rig *rig = *state;
	struct run run;

	for (uint32_t len = 0; len <= LEN_MAX; len++) {
		random_job(&job, len);
		job.mtu = len % 3 ? len + randombytes_uniform(20) : 0;
		prepare_seal(&run, &job);
		reset(rig, TALON_KEYSTREAM_SEND, INDEX);
		assert_false(runs_ahead(rig, TALON_KEYSTREAM_SEND, &job, &run));
		sum_is_right(rig, &job, &run);
		make_ready(rig, TALON_KEYSTREAM_SEND, &job, TALON_SLOT_STREAM_LEN);
		assert_int_equal(runs_ahead(rig, TALON_KEYSTREAM_SEND, &job, &run),
			len <= TALON_SLOT_STREAM_LEN);
		sum_is_right(rig, &job, &run);
	}
}

/* The controller retires a session by its index; the key stays for a while. */
static void a_session_that_was_retired_meanwhile_has_no_key(void **state)
{
	const struct talon_session retired = {};
	const uint32_t slot = INDEX % SESSIONS;
	struct rig *rig = *state;
	struct keystream_test_job job;
	struct run run;

	random_job(&job, 100);
	for (int dir = 0; dir < TALON_KEYSTREAM_DIRS; dir++) {
		reset(rig, dir, INDEX);
		assert_int_equal(bpf_map_update_elem(map_fd(rig, "sessions"), &slot, &retired, BPF_ANY), 0);
		if (dir == TALON_KEYSTREAM_RECV)
			prepare_open(&run, &job);
		else
			prepare_seal(&run, &job);
		run_program(rig, dir == TALON_KEYSTREAM_RECV ? rig->open_fd : rig->seal_fd, &job, &run);
		assert_int_equal(run.verdict, -ENOKEY);
		assert_memory_equal(run.out, run.in, run.size);
	}
}

static void every_length_is_sealed_alike(void **state)
{
	struct keystream_test_job job;
	struct run run;

	for (uint32_t len = 0; len <= LEN_MAX; len++) {
		for (uint32_t mtu = 0; mtu <= 1; mtu++) {
			random_job(&job, len);
			job.mtu = mtu ? len + randombytes_uniform(20) : 0;
			job.relayed = randombytes_uniform(2);
			prepare_seal(&run, &job);
			compare(*state, TALON_KEYSTREAM_SEND, &job, &run, len <= TALON_SLOT_STREAM_LEN);
			assert_int_equal(run.verdict, 0);
		}
	}
}

static void what_is_not_all_there_is_refused_alike(void **state)
{
	struct keystream_test_job job;
	struct run run;

	for (uint32_t len = 0; len <= LEN_MAX; len += 1 + len / 4) {
		random_job(&job, len);
		prepare_open(&run, &job);
		run.size--;
		compare(*state, TALON_KEYSTREAM_RECV, &job, &run, true);
		assert_int_equal(run.verdict, -EINVAL);
		prepare_seal(&run, &job);
		run.size--;
		compare(*state, TALON_KEYSTREAM_SEND, &job, &run, true);
		assert_int_equal(run.verdict, -EINVAL);
	}
}

static void a_forged_packet_is_refused_alike_and_leaves_the_slot_for_the_real_one(void **state)
{
	static const uint32_t lens[] = { 0, 1, 15, 16, 40, 64, 100, 1280, 1420, TALON_SLOT_STREAM_LEN };
	struct rig *rig = *state;
	struct keystream_test_job job;
	struct run run, forged;

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		random_job(&job, lens[i]);
		prepare_open(&run, &job);
		for (int n = 0; n < 40; n++) {
			forged = run;
			forged.in[OFF +
				randombytes_uniform(lens[i] + TAG_LEN)] ^= 1 << randombytes_uniform(8);
			compare(rig, TALON_KEYSTREAM_RECV, &job, &forged, true);
			assert_int_equal(forged.verdict, -EBADMSG);
		}
		assert_true(runs_ahead(rig, TALON_KEYSTREAM_RECV, &job, &run));
		assert_int_equal(run.verdict, 0);
	}
}

#define HINTED		5	/* id of the flow that is in the index */

/* A datagram of a flow of ours, and the rest of its bytes at random. @form: of its first byte. */
static void write_datagram(uint8_t plain[LEN_MAX], uint8_t form, uint8_t proto, uint16_t fragment)
{
	const struct iphdr ip = { .version = form >> 4, .ihl = form & 15, .protocol = proto, .ttl = 64,
		.tot_len = htons(100), .frag_off = htons(fragment),
		.saddr = htonl(0x64400002), .daddr = htonl(0xc0a801dc) };
	const uint16_t ports[2] = { htons(2000), htons(53) };

	randombytes_buf(plain, LEN_MAX);
	memcpy(plain, &ip, sizeof(ip));
	memcpy(plain + sizeof(ip), ports, sizeof(ports));
}

struct hint_lines {
	struct talon_bucket bucket;
	struct talon_flow flow;
};

static const uint32_t hinted = HINTED;

/* The flow in an index of one bucket, no flow met yet; both lines marked. */
static void put_lines(struct rig *rig, struct hint_lines *lines)
{
	const struct talon_config config = { .session_mask = SESSIONS - 1, .keys = {
		.flow = { 0x5eed1234, 0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb,
			0xd6e8feb86659fd93 } } };
	const struct talon_flow_key key = { .src = htonl(0x64400002), .dst = htonl(0xc0a801dc),
		.sport = htons(2000), .dport = htons(53), .proto = IPPROTO_UDP };
	static const struct talon_recent none[512];
	const uint32_t zero = 0;

	memset(lines, 0, sizeof(*lines));
	randombytes_buf(&lines->flow, sizeof(lines->flow));
	lines->flow.touched = lines->bucket.touched = 0x55;
	lines->bucket.entry[7] = flow_place(&config, FLOW_FWD, &key).tag << TALON_FLOW_ID_BITS | HINTED;
	assert_int_equal(bpf_map_update_elem(map_fd(rig, "config"), &zero, &config, BPF_ANY), 0);
	assert_int_equal(bpf_map_update_elem(map_fd(rig, "flow_fwd"), &zero, &lines->bucket, BPF_ANY), 0);
	assert_int_equal(bpf_map_update_elem(map_fd(rig, "flows"), &hinted, &lines->flow, BPF_ANY), 0);
	assert_int_equal(bpf_map_update_elem(map_fd(rig, "flow_recent"), &zero, none, BPF_ANY), 0);
}

/* Nothing but the bytes that nobody reads has changed, and these only if @touched. */
static void assert_lines(struct rig *rig, const struct hint_lines *put, bool touched)
{
	struct hint_lines want = *put, got;
	const uint32_t zero = 0;

	if (touched)
		want.bucket.touched = want.flow.touched = 0;
	assert_int_equal(bpf_map_lookup_elem(map_fd(rig, "flow_fwd"), &zero, &got.bucket), 0);
	assert_int_equal(bpf_map_lookup_elem(map_fd(rig, "flows"), &hinted, &got.flow), 0);
	assert_memory_equal(&got, &want, sizeof(want));
}

/* Opens with keystream made ahead, and says which hint that left. @spoil: the tag is wrong. */
static uint32_t hint_of(struct rig *rig, const uint8_t *plain, uint32_t len, bool spoil)
{
	uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES] = { 0 };
	struct keystream_test_job job;
	const uint32_t zero = 0;
	struct run run;

	random_job(&job, len);
	memcpy(nonce + 4, &job.counter, sizeof(job.counter));
	crypto_aead_chacha20poly1305_ietf_encrypt(run.in + OFF, NULL, plain, len, NULL, 0, NULL, nonce,
		(const uint8_t *)job.key);
	run.in[OFF + len] ^= spoil;
	run.size = OFF + len + TAG_LEN;
	reset(rig, TALON_KEYSTREAM_RECV, INDEX);
	make_ready(rig, TALON_KEYSTREAM_RECV, &job, TALON_SLOT_STREAM_LEN);
	assert_int_equal(runs_ahead(rig, TALON_KEYSTREAM_RECV, &job, &run), !spoil);
	assert_int_equal(run.verdict, spoil ? -EBADMSG : 0);
	assert_int_equal(bpf_map_lookup_elem(map_fd(rig, "jobs"), &zero, &job), 0);
	return job.hint;
}

static void the_lines_of_a_flow_not_met_lately_are_asked_for(void **state)
{
	struct rig *rig = *state;
	struct hint_lines lines;
	uint8_t plain[LEN_MAX];

	put_lines(rig, &lines);
	write_datagram(plain, 0x45, IPPROTO_UDP, 0);
	assert_int_equal(hint_of(rig, plain, 1280, false), HINTED);
	assert_lines(rig, &lines, true);

	/* and not again: another CPU may have them by now */
	assert_int_equal(bpf_map_update_elem(map_fd(rig, "flow_fwd"), &(uint32_t){ 0 }, &lines.bucket,
		BPF_ANY), 0);
	assert_int_equal(bpf_map_update_elem(map_fd(rig, "flows"), &hinted, &lines.flow, BPF_ANY), 0);
	assert_int_equal(hint_of(rig, plain, 1280, false), 0);
	assert_lines(rig, &lines, false);

	/* a packet that is hardly longer than its headers */
	put_lines(rig, &lines);
	assert_int_equal(hint_of(rig, plain, 24, false), HINTED);
	assert_lines(rig, &lines, true);
}

static void a_forged_packet_changes_nothing_of_a_flow(void **state)
{
	struct rig *rig = *state;
	struct hint_lines lines;
	uint8_t plain[LEN_MAX];

	put_lines(rig, &lines);
	write_datagram(plain, 0x45, IPPROTO_UDP, 0);
	hint_of(rig, plain, 1280, true);
	assert_lines(rig, &lines, true);
}

static void what_has_no_ports_at_their_place_asks_for_nothing(void **state)
{
	static const struct { uint8_t form, proto; uint16_t fragment; uint32_t len; } cases[] = {
		{ 0x45, IPPROTO_UDP, 1, 1280 },		/* a later fragment */
		{ 0x46, IPPROTO_UDP, 0, 1280 },		/* options */
		{ 0x65, IPPROTO_UDP, 0, 1280 },
		{ 0x45, IPPROTO_ICMP, 0, 1280 },
		{ 0x45, IPPROTO_UDP, 0, 23 },
		{ 0x45, IPPROTO_UDP, 0, 0 },
	};
	struct rig *rig = *state;
	struct hint_lines lines;
	uint8_t plain[LEN_MAX];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put_lines(rig, &lines);
		write_datagram(plain, cases[i].form, cases[i].proto, cases[i].fragment);
		assert_int_equal(hint_of(rig, plain, cases[i].len, false), 0);
		assert_lines(rig, &lines, false);
	}
}

static void every_counter_finds_its_own_slot(void **state)
{
	struct keystream_test_job job;
	struct run run;

	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
		random_job(&job, 333);
		job.counter = counters[i];
		prepare_open(&run, &job);
		compare(*state, TALON_KEYSTREAM_RECV, &job, &run, true);
		prepare_seal(&run, &job);
		compare(*state, TALON_KEYSTREAM_SEND, &job, &run, true);
	}
}

static void a_slot_is_used_once(void **state)
{
	struct rig *rig = *state;
	struct keystream_test_job job;
	struct run run;

	random_job(&job, 333);
	reset(rig, TALON_KEYSTREAM_SEND, INDEX);
	make_ready(rig, TALON_KEYSTREAM_SEND, &job, TALON_SLOT_STREAM_LEN);
	prepare_seal(&run, &job);
	assert_true(runs_ahead(rig, TALON_KEYSTREAM_SEND, &job, &run));
	assert_int_equal(slot_of(rig, job.counter)->token, TALON_SLOT_EMPTY);
	assert_false(runs_ahead(rig, TALON_KEYSTREAM_SEND, &job, &run));
	assert_int_equal(run.verdict, 0);
}

static void overtaken_packets_still_find_their_slots(void **state)
{
	struct rig *rig = *state;
	struct keystream_test_job job;
	uint64_t order[1 << BITS];
	struct run run;

	random_job(&job, 200);
	reset(rig, TALON_KEYSTREAM_RECV, INDEX);
	for (uint64_t i = 0; i < 1 << BITS; i++) {
		uint64_t other = randombytes_uniform(i + 1);

		order[i] = order[other];
		order[other] = (1ULL << 32) - 20 + i;
		job.counter = (1ULL << 32) - 20 + i;
		make_ready(rig, TALON_KEYSTREAM_RECV, &job, 256);
	}
	for (uint64_t i = 0; i < 1 << BITS; i++) {
		job.counter = order[i];
		prepare_open(&run, &job);
		assert_true(runs_ahead(rig, TALON_KEYSTREAM_RECV, &job, &run));
		assert_int_equal(run.verdict, 0);
	}
}

/* Processed inline, correctly, and the slot is unchanged. */
static void assert_not_taken(struct rig *rig, enum talon_keystream_dir dir,
	const struct keystream_test_job *job)
{
	struct talon_keystream_slot before = *slot_of(rig, job->counter);
	struct run run;

	if (dir == TALON_KEYSTREAM_RECV)
		prepare_open(&run, job);
	else
		prepare_seal(&run, job);
	assert_false(runs_ahead(rig, dir, job, &run));
	assert_int_equal(run.verdict, 0);
	assert_memory_equal(slot_of(rig, job->counter), &before, sizeof(before));
}

static void a_slot_of_another_counter_session_or_direction_is_not_taken(void **state)
{
	struct rig *rig = *state;
	struct keystream_test_job job, other;

	for (int dir = 0; dir < TALON_KEYSTREAM_DIRS; dir++) {
		random_job(&job, 100);
		other = job;

		other.counter = job.counter + (1 << BITS);
		reset(rig, dir, INDEX);
		make_ready(rig, dir, &other, TALON_SLOT_STREAM_LEN);
		assert_not_taken(rig, dir, &job);

		other.counter = job.counter ^ 1ULL << 32;	/* the same token */
		reset(rig, dir, INDEX);
		make_ready(rig, dir, &other, TALON_SLOT_STREAM_LEN);
		assert_not_taken(rig, dir, &job);

		other.counter = job.counter;
		other.index = INDEX + SESSIONS;			/* the slot's next session */
		reset(rig, dir, INDEX);
		make_ready(rig, dir, &other, TALON_SLOT_STREAM_LEN);
		assert_not_taken(rig, dir, &job);

		other.index = INDEX;
		reset(rig, dir, INDEX);
		make_ready(rig, !dir, &other, TALON_SLOT_STREAM_LEN);	/* the same token */
		assert_not_taken(rig, dir, &job);

		reset(rig, dir, INDEX + SESSIONS);
		make_ready(rig, dir, &job, TALON_SLOT_STREAM_LEN);
		assert_not_taken(rig, dir, &job);
	}
}

static void a_slot_that_is_too_short_is_not_taken(void **state)
{
	struct rig *rig = *state;
	struct keystream_test_job job;
	struct run run;

	for (int dir = 0; dir < TALON_KEYSTREAM_DIRS; dir++) {
		random_job(&job, 129);
		reset(rig, dir, INDEX);
		make_ready(rig, dir, &job, 128);
		assert_not_taken(rig, dir, &job);
		job.len = 128;
		if (dir == TALON_KEYSTREAM_RECV)
			prepare_open(&run, &job);
		else
			prepare_seal(&run, &job);
		assert_true(runs_ahead(rig, dir, &job, &run));
	}
}

static void a_slot_in_use_is_left_alone(void **state)
{
	struct rig *rig = *state;
	struct window_counts counts = { 0 };
	const struct window_ring ring = { INDEX, TALON_KEYSTREAM_SEND, 128 };
	struct keystream_test_job job;

	random_job(&job, 100);
	reset(rig, TALON_KEYSTREAM_SEND, INDEX);
	make_ready(rig, TALON_KEYSTREAM_SEND, &job, 128);
	slot_of(rig, job.counter)->token = TALON_SLOT_BUSY;
	assert_not_taken(rig, TALON_KEYSTREAM_SEND, &job);
	window_fill(&rig->window, rig->engine, &ring, job.counter, &counts);
	assert_int_equal(counts.generated, 0);
	assert_false(window_drain(&rig->window, &counts));
	assert_false(sodium_is_zero((uint8_t *)slot_of(rig, job.counter)->stream, 128));
	slot_of(rig, job.counter)->token = TALON_SLOT_EMPTY;
	assert_true(window_drain(&rig->window, &counts));
	assert_true(sodium_is_zero((uint8_t *)rig->window.slots, sizeof(*rig->window.slots) << BITS));
}

static void slots_that_nobody_came_for_are_filled_anew_and_counted(void **state)
{
	struct rig *rig = *state;
	const struct window_ring ring = { INDEX, TALON_KEYSTREAM_RECV, 64 };
	struct window_counts counts = { 0 };
	struct keystream_test_job job;
	struct run run;

	random_job(&job, 50);
	reset(rig, TALON_KEYSTREAM_RECV, INDEX);
	engine_set_key(rig->engine, job.key);
	window_fill(&rig->window, rig->engine, &ring, job.counter, &counts);
	job.counter += 1 << BITS;
	window_fill(&rig->window, rig->engine, &ring, job.counter, &counts);
	assert_int_equal(counts.generated, 2);
	assert_int_equal(counts.wasted, 1);
	prepare_open(&run, &job);
	assert_true(runs_ahead(rig, TALON_KEYSTREAM_RECV, &job, &run));
}

static struct talon_keystream_ring ring_now(struct rig *rig, enum talon_keystream_dir dir)
{
	const uint32_t at = (INDEX % SESSIONS) * TALON_KEYSTREAM_DIRS + dir;
	struct talon_keystream_ring ring;

	assert_int_equal(bpf_map_lookup_elem(map_fd(rig, "keystream_rings"), &at, &ring), 0);
	return ring;
}

static void only_packets_that_were_authentic_move_the_ring(void **state)
{
	struct rig *rig = *state;
	struct talon_keystream_ring ring;
	struct keystream_test_job job;
	struct run run;

	random_job(&job, 300);
	job.counter = 1000;
	reset(rig, TALON_KEYSTREAM_RECV, INDEX);
	prepare_open(&run, &job);
	run.in[OFF] ^= 1;
	runs_ahead(rig, TALON_KEYSTREAM_RECV, &job, &run);
	assert_int_equal(run.verdict, -EBADMSG);
	assert_int_equal(ring_now(rig, TALON_KEYSTREAM_RECV).head, 0);

	run.in[OFF] ^= 1;
	runs_ahead(rig, TALON_KEYSTREAM_RECV, &job, &run);
	ring = ring_now(rig, TALON_KEYSTREAM_RECV);
	assert_int_equal(ring.head, 1001);
	assert_int_equal(ring.seen, INDEX);
	assert_int_equal(ring.sizes[1], 1);

	job.counter = 900;	/* overtaken */
	prepare_open(&run, &job);
	runs_ahead(rig, TALON_KEYSTREAM_RECV, &job, &run);
	assert_int_equal(ring_now(rig, TALON_KEYSTREAM_RECV).head, 1001);

	job.index += SESSIONS;	/* the slot's next session starts at 0 again */
	job.counter = 7;
	prepare_open(&run, &job);
	runs_ahead(rig, TALON_KEYSTREAM_RECV, &job, &run);
	assert_int_equal(ring_now(rig, TALON_KEYSTREAM_RECV).head, 8);
}

static int count_ask(void *ctx, void *data, size_t len)
{
	assert_int_equal(len, sizeof(uint32_t));
	if (*(uint32_t *)data == (INDEX % SESSIONS) * TALON_KEYSTREAM_DIRS + TALON_KEYSTREAM_SEND)
		++*(unsigned *)ctx;	/* others belong to earlier tests */
	return 0;
}

static void the_helper_is_asked_when_it_wants_to_be_and_woken_once(void **state)
{
	struct rig *rig = *state;
	unsigned asked = 0;
	struct ring_buffer *wake = ring_buffer__new(map_fd(rig, "keystream_wake"), count_ask, &asked, NULL);
	const uint32_t zero = 0, at = (INDEX % SESSIONS) * TALON_KEYSTREAM_DIRS + TALON_KEYSTREAM_SEND;
	struct talon_keystream_state sleeper = { .asleep = 1 };
	struct talon_keystream_ring ring;
	struct keystream_test_job job;
	struct run run;

	assert_non_null(wake);
	ring_buffer__consume(wake);
	asked = 0;
	random_job(&job, 100);
	prepare_seal(&run, &job);
	reset(rig, TALON_KEYSTREAM_SEND, INDEX);
	ring = ring_now(rig, TALON_KEYSTREAM_SEND);
	ring.wake_at = 500;
	assert_int_equal(bpf_map_update_elem(map_fd(rig, "keystream_rings"), &at, &ring, BPF_ANY), 0);
	assert_int_equal(bpf_map_update_elem(map_fd(rig, "keystream_state"), &zero, &sleeper, BPF_ANY), 0);

	job.counter = 499;
	runs_ahead(rig, TALON_KEYSTREAM_SEND, &job, &run);
	ring_buffer__consume(wake);
	assert_int_equal(asked, 0);
	for (job.counter = 500; job.counter < 503; job.counter++)
		runs_ahead(rig, TALON_KEYSTREAM_SEND, &job, &run);
	assert_int_equal(bpf_map_lookup_elem(map_fd(rig, "keystream_state"), &zero, &sleeper), 0);
	assert_int_equal(sleeper.asleep, 0);
	ring_buffer__consume(wake);
	assert_in_range(asked, 1, 3);	/* one a millisecond; test runs may take longer than that */
	ring_buffer__free(wake);
}

static void a_lone_packet_is_not_worth_a_window(void **state)
{
	struct rig *rig = *state;
	unsigned asked = 0;
	struct ring_buffer *wake = ring_buffer__new(map_fd(rig, "keystream_wake"), count_ask, &asked, NULL);
	struct keystream_test_job job;
	struct run run;

	assert_non_null(wake);
	ring_buffer__consume(wake);
	asked = 0;
	random_job(&job, 0);
	prepare_seal(&run, &job);
	reset(rig, TALON_KEYSTREAM_SEND, 0);
	runs_ahead(rig, TALON_KEYSTREAM_SEND, &job, &run);
	ring_buffer__consume(wake);
	assert_int_equal(asked, 0);
	usleep(2000);
	runs_ahead(rig, TALON_KEYSTREAM_SEND, &job, &run);
	ring_buffer__consume(wake);
	assert_int_equal(asked, 1);
	ring_buffer__free(wake);
}

/* ---- two processors seal, a third party fills ---- */

#define STRESS_REPEAT	1000
#define STRESS_CALLS	50
#define STRESS_MOVE	500	/* slots filled before the window moves */

struct sealer {
	struct rig *rig;
	int cpu;
	int ret;
};

static void *seal_much(void *ctx)
{
	struct sealer *sealer = ctx;
	uint8_t packet[OFF + SHIFT + 200] = { 0 }, out[2048];
	LIBBPF_OPTS(bpf_test_run_opts, opts,
		.data_in = packet, .data_size_in = sizeof(packet),
		.data_out = out, .data_size_out = sizeof(out), .repeat = STRESS_REPEAT);
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sealer->cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	for (int i = 0; i < STRESS_CALLS && !sealer->ret; i++) {
		opts.data_size_out = sizeof(out);
		sealer->ret = bpf_prog_test_run_opts(sealer->rig->stress_fd, &opts) ? -errno
			: (int)opts.retval;
		usleep(300);	/* the writer wants one of the two processors, too */
	}
	return NULL;
}

/* The helper's part, with a window that moves now and then. Returns how many slots were filled. */
static uint64_t fill_until(struct rig *rig, const struct keystream_test_job *job, uint64_t until)
{
	const uint32_t zero = 0, at = (INDEX % SESSIONS) * TALON_KEYSTREAM_DIRS + TALON_KEYSTREAM_SEND;
	const struct window_ring ring = { INDEX, TALON_KEYSTREAM_SEND, 256 };
	struct window windows[2], *now = &windows[0];
	struct talon_keystream_ring shared = { .index = INDEX, .seen = INDEX, .wake_at = ~0ULL };
	struct keystream_test_job progress;
	struct window_counts counts = { 0 };
	uint64_t next = 0, moves = 0;

	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(window_map(&windows[i], rig->segments.fds, TALON_KEYSTREAM_SEGMENT_BITS,
			512 * i, 8), 0);	/* each in a segment of its own */
	engine_set_key(rig->engine, job->key);
	do {
		uint64_t end;

		bpf_map_lookup_elem(map_fd(rig, "jobs"), &zero, &progress);
		end = plan_fill(progress.head, now->bits, &next);
		for (; next < end; next++)
			window_fill(now, rig->engine, &ring, next, &counts);
		if (counts.generated / STRESS_MOVE <= moves)
			continue;
		moves++;
		now = &windows[moves % 2];
		shared.window = talon_keystream_window(now->base, now->bits);
		bpf_map_update_elem(map_fd(rig, "keystream_rings"), &at, &shared, BPF_ANY);
		while (!window_drain(&windows[(moves + 1) % 2], &counts))
			;
		next = 0;
	} while (progress.drawn < until);
	for (unsigned i = 0; i < 2; i++)
		window_unmap(&windows[i]);
	assert_true(moves > 1);
	return counts.generated;
}

/* Counters from 0 on, none of which was drawn. */
static void begin_drawing(struct rig *rig, struct keystream_test_job *job)
{
	const struct talon_send_counter none = { 0 };
	const uint32_t zero = 0, slot = INDEX % SESSIONS, nothing = 0;

	random_job(job, 200);
	job->counter = 0;
	put_session(rig, job);
	assert_int_equal(bpf_map_update_elem(map_fd(rig, "jobs"), &zero, job, BPF_ANY), 0);
	assert_int_equal(bpf_map_update_elem(map_fd(rig, "send_counters"), &slot, &none, BPF_ANY), 0);
	for (uint32_t i = 0; i < KEYSTREAM_TEST_DRAWN; i++)
		assert_int_equal(bpf_map_update_elem(map_fd(rig, "drawn"), &i, &nothing, BPF_ANY), 0);
}

static void draw_some(struct rig *rig, uint32_t packets)
{
	uint8_t packet[OFF + SHIFT + 200] = { 0 }, out[2048];
	LIBBPF_OPTS(bpf_test_run_opts, opts,
		.data_in = packet, .data_size_in = sizeof(packet),
		.data_out = out, .data_size_out = sizeof(out), .repeat = packets);

	assert_int_equal(bpf_prog_test_run_opts(rig->stress_fd, &opts), 0);
	assert_int_equal(opts.retval, 0);
}

static void what_a_burst_adds_up_to_is_told_to_the_ring(void **state)
{
	enum { BURST = 1000 };
	const uint32_t zero = 0, slot = INDEX % SESSIONS;
	struct rig *rig = *state;
	struct talon_send_counter sent;
	struct keystream_test_job job;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	assert_int_equal(sched_setaffinity(0, sizeof(set), &set), 0);
	begin_drawing(rig, &job);
	reset(rig, TALON_KEYSTREAM_SEND, INDEX);
	draw_some(rig, BURST);
	usleep(1000);
	draw_some(rig, 1);
	assert_int_equal(bpf_map_lookup_elem(map_fd(rig, "jobs"), &zero, &job), 0);
	assert_int_equal(job.drawn, BURST + 1);
	assert_int_equal(job.twice, 0);
	/* inline: no slot of the ring is ready; packets before this test may be among them */
	assert_in_range(ring_now(rig, TALON_KEYSTREAM_SEND).sizes[1], BURST + 1, BURST + 3);
	assert_int_equal(ring_now(rig, TALON_KEYSTREAM_SEND).head, job.head);
	/* what is drawn at once and not used within its time is lost: at most as many as were used */
	assert_int_equal(bpf_map_lookup_elem(map_fd(rig, "send_counters"), &slot, &sent), 0);
	assert_in_range(sent.next, BURST + 1, 2 * (BURST + 1));
	assert_int_equal(sent.next, job.head);	/* the last one was drawn alone */
}

static void two_processors_and_a_writer_never_mix_keystream(void **state)
{
	struct rig *rig = *state;
	const uint32_t zero = 0, at = (INDEX % SESSIONS) * TALON_KEYSTREAM_DIRS + TALON_KEYSTREAM_SEND;
	const struct talon_keystream_ring shared = {
		.window = talon_keystream_window(0, 8), .index = INDEX, .seen = INDEX, .wake_at = ~0ULL,
	};
	struct sealer sealers[2] = { { .rig = rig, .cpu = 0 }, { .rig = rig, .cpu = 1 } };
	struct counts before, after;
	struct keystream_test_job job;
	pthread_t threads[2];

	begin_drawing(rig, &job);
	assert_int_equal(bpf_map_update_elem(map_fd(rig, "keystream_rings"), &at, &shared, BPF_ANY), 0);
	before = stats(rig, TALON_KEYSTREAM_SEND);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, seal_much, &sealers[i]), 0);
	fill_until(rig, &job, 2ULL * STRESS_REPEAT * STRESS_CALLS);
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(sealers[i].ret, 0);
	}
	after = stats(rig, TALON_KEYSTREAM_SEND);
	assert_int_equal(bpf_map_lookup_elem(map_fd(rig, "jobs"), &zero, &job), 0);
	print_message("%llu good, %llu bad, %llu ahead\n", job.good, job.bad, after.ahead - before.ahead);
	assert_int_equal(job.bad, 0);
	assert_int_equal(job.twice, 0);
	assert_int_equal(job.good, 2 * STRESS_REPEAT * STRESS_CALLS);
	assert_true(after.ahead - before.ahead > 1000);
}

#define SAME_IN_BOTH										\
	cmocka_unit_test(every_length_opens_alike),						\
	cmocka_unit_test(every_length_is_sealed_alike),						\
	cmocka_unit_test(what_is_sealed_is_summed),						\
	cmocka_unit_test(a_session_that_was_retired_meanwhile_has_no_key),			\
	cmocka_unit_test(what_is_not_all_there_is_refused_alike),				\
	cmocka_unit_test(a_forged_packet_is_refused_alike_and_leaves_the_slot_for_the_real_one),	\
	cmocka_unit_test(the_lines_of_a_flow_not_met_lately_are_asked_for),			\
	cmocka_unit_test(a_forged_packet_changes_nothing_of_a_flow),				\
	cmocka_unit_test(what_has_no_ports_at_their_place_asks_for_nothing),			\
	cmocka_unit_test(every_counter_finds_its_own_slot)

int main(void)
{
	const struct CMUnitTest xdp[] = {
		SAME_IN_BOTH,
		cmocka_unit_test(a_slot_is_used_once),
		cmocka_unit_test(overtaken_packets_still_find_their_slots),
		cmocka_unit_test(a_slot_of_another_counter_session_or_direction_is_not_taken),
		cmocka_unit_test(a_slot_that_is_too_short_is_not_taken),
		cmocka_unit_test(a_slot_in_use_is_left_alone),
		cmocka_unit_test(slots_that_nobody_came_for_are_filled_anew_and_counted),
		cmocka_unit_test(only_packets_that_were_authentic_move_the_ring),
		cmocka_unit_test(the_helper_is_asked_when_it_wants_to_be_and_woken_once),
		cmocka_unit_test(a_lone_packet_is_not_worth_a_window),
		cmocka_unit_test(what_a_burst_adds_up_to_is_told_to_the_ring),
		cmocka_unit_test(two_processors_and_a_writer_never_mix_keystream),
	};
	const struct CMUnitTest tc[] = { SAME_IN_BOTH };
	int failed;

	if (geteuid())
		return 77;
	if (sodium_init() < 0)
		return 1;
	failed = cmocka_run_group_tests_name("xdp", xdp, load_xdp, unload);
	return failed + cmocka_run_group_tests_name("tc", tc, load_tc, unload) ? 1 : 0;
}
