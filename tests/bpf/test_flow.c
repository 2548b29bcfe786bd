// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The flow table on real maps: create, find, expire, free; collected as the controller does it; two
// CPUs at once.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/flow_test.h"
#include "flow_test.skel.h"
#include "nat/nat.h"
#include "natgc.skel.h"
#include "talon/config_types.h"
#include "talon/nat_gc.h"

#define NOW 1000
#define SNAT htonl(0xc0a801dd)
#define PEERS 2048

static struct flow_test *skel;
static struct natgc *gc_skel;
static struct nat_gc gc;
static struct talon_config cfg;

static void unpin(struct bpf_object *obj, uint32_t records, uint32_t buckets)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj) {
		const char *name = bpf_map__name(map);

		bpf_map__set_pin_path(map, NULL);
		if (!strcmp(name, "flows") || !strcmp(name, "flow_free"))
			bpf_map__set_max_entries(map, records);
		else if (!strcmp(name, "flow_fwd") || !strcmp(name, "flow_rev"))
			bpf_map__set_max_entries(map, buckets);
		else if (!strcmp(name, "nat_peers"))
			bpf_map__set_max_entries(map, PEERS);
	}
}

/* The collector's object works on the maps of the other one. */
static int share_maps(struct bpf_object *from, struct bpf_object *to)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, to) {
		struct bpf_map *other = bpf_object__find_map_by_name(from, bpf_map__name(map));

		if (other && !bpf_map__is_internal(map) && bpf_map__reuse_fd(map, bpf_map__fd(other)))
			return -1;
	}
	return 0;
}

static int fresh(uint32_t records, uint32_t buckets, uint16_t port_first, uint16_t port_last)
{
	uint32_t zero = 0;

	skel = flow_test__open();
	gc_skel = natgc__open();
	if (!skel || !gc_skel)
		return -1;
	unpin(skel->obj, records, buckets);
	unpin(gc_skel->obj, records, buckets);
	if (flow_test__load(skel) || share_maps(skel->obj, gc_skel->obj) || natgc__load(gc_skel))
		return -1;
	cfg = (struct talon_config) {
		.flow_count = records, .bucket_mask = buckets - 1, .keys = {
			.flow = { 0x5eed1234, 0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb,
				0xd6e8feb86659fd93 },
			.port = { 0x5eed1234, 0x0123456789abcdef },
		}, .snat_addr = SNAT,
		.port_first = port_first, .port_last = port_last,
	};
	nat_gc_init(&gc, bpf_program__fd(gc_skel->progs.nat_gc), bpf_map__fd(skel->maps.nat_stats));
	return bpf_map_update_elem(bpf_map__fd(skel->maps.config), &zero, &cfg, BPF_ANY);
}

static void drop_all(void)
{
	flow_test__destroy(skel);
	natgc__destroy(gc_skel);
	skel = NULL;
	gc_skel = NULL;
}

static int setup(void **state)
{
	return fresh(1024, 256, 12288, 19999);
}

static int teardown(void **state)
{
	drop_all();
	return 0;
}

static struct flow_test_job run(struct flow_test_job job)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts,
		.data_in = &job, .data_size_in = sizeof(job), .data_out = &job, .data_size_out = sizeof(job),
		.repeat = 1);

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(skel->progs.flow_run), &opts), 0);
	assert_int_equal(opts.retval, 0);
	return job;
}

static struct flow_test_job op(enum flow_test_op what, struct talon_flow_key key, uint32_t now_s)
{
	static uint32_t peer;	/* they take turns, so that no share runs out */

	return run((struct flow_test_job) { .op = what, .key = key, .now_s = now_s, .peer = ++peer % PEERS });
}

static struct talon_flow_key key_numbered(uint32_t i, uint8_t proto)
{
	return (struct talon_flow_key) {
		.src = htonl(0x64400000 + (i >> 8)), .dst = htonl(0xc0a801dc),
			.sport = htons(1024 + (i & 255)),
		.dport = proto == IPPROTO_ICMP ? htons(1024 + (i & 255)) : htons(443), .proto = proto,
	};
}

static struct talon_flow_key rev_of(const struct talon_flow *f)
{
	return (struct talon_flow_key) {
		.src = f->remote, .dst = f->snat, .sport = f->proto == IPPROTO_ICMP ? f->snat_port
			: f->remote_port,
		.dport = f->snat_port, .proto = f->proto,
	};
}

static struct talon_nat_stats stats(void)
{
	struct talon_nat_stats s;
	uint32_t zero = 0;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(skel->maps.nat_stats), &zero, &s), 0);
	return s;
}

static struct talon_nat_gc collect(uint32_t now_s)
{
	struct talon_nat_gc in = { .now_s = now_s, .count = TALON_NAT_GC_MAX }, out;
	LIBBPF_OPTS(bpf_test_run_opts, opts,
		.data_in = &in, .data_size_in = sizeof(in), .data_out = &out, .data_size_out = sizeof(out),
		.repeat = 1);

	assert_int_equal(bpf_prog_test_run_opts(gc.prog_fd, &opts), 0);
	assert_int_equal(opts.retval, 0);
	return out;
}

static void a_flow_of_each_protocol_is_made_and_found_from_both_sides(void **state)
{
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP };

	for (int i = 0; i < 3; i++) {
		struct talon_flow_key key = key_numbered(i, protos[i]);
		struct flow_test_job made, found;

		assert_int_equal(op(FLOW_TEST_FIND_FWD, key, NOW).ret, -ENOENT);
		made = op(FLOW_TEST_CREATE, key, NOW);
		assert_int_equal(made.ret, 0);
		assert_int_equal(made.id, i + 1);
		assert_int_equal(made.flow.phase, TALON_FLOW_LIVE);
		assert_int_equal(made.flow.client, key.src);
		assert_int_equal(made.flow.snat, SNAT);
		assert_in_range(ntohs(made.flow.snat_port), 12288, 19999);
		found = op(FLOW_TEST_FIND_FWD, key, NOW);
		assert_int_equal(found.ret, 0);
		assert_int_equal(found.id, made.id);
		found = op(FLOW_TEST_FIND_REV, rev_of(&made.flow), NOW);
		assert_int_equal(found.ret, 0);
		assert_int_equal(found.id, made.id);
		assert_memory_equal(&found.flow, &made.flow, sizeof(made.flow));
	}
	assert_int_equal(stats().live, 3);
	assert_int_equal(op(FLOW_TEST_CREATE, key_numbered(0, IPPROTO_GRE), NOW).ret, -EADDRINUSE);
}

static void flags_of_both_sides_meet_in_the_record(void **state)
{
	struct flow_test_job job = { .op = FLOW_TEST_CREATE, .key = key_numbered(1, IPPROTO_TCP),
		.now_s = NOW };

	assert_int_equal(run(job).ret, 0);
	job.op = FLOW_TEST_TOUCH_OUT;
	job.tcp_flags = 0x02;
	run(job);
	job.op = FLOW_TEST_TOUCH_IN;
	job.tcp_flags = 0x12;
	job.now_s = NOW + 1;
	run(job);
	job.op = FLOW_TEST_TOUCH_OUT;
	job.tcp_flags = 0x10;
	job.now_s = NOW + 2;
	job = run(job);
	assert_int_equal(job.flow.tcp, TALON_TCP_SYN_OUT | TALON_TCP_SYN_IN | TALON_TCP_ESTABLISHED);
	assert_int_equal(job.flow.seen_s, NOW + 2);
}

static void a_flow_expires_and_its_record_comes_back_after_the_grace_period(void **state)
{
	struct talon_flow_key key = key_numbered(1, IPPROTO_UDP);
	struct flow_test_job made = op(FLOW_TEST_CREATE, key, NOW);
	uint32_t died = NOW + TALON_NAT_UDP_S, id;
	struct talon_nat_gc done;

	assert_int_equal(collect(died - 1).live, 1);
	done = collect(died);
	assert_int_equal(done.expired, 1);
	assert_int_equal(done.used, 1);
	assert_int_equal(op(FLOW_TEST_FIND_FWD, key, died).ret, -ENOENT);
	assert_int_equal(op(FLOW_TEST_FIND_REV, rev_of(&made.flow), died).ret, -ENOENT);
	done = collect(died + TALON_FLOW_GRACE_S - 1);
	assert_int_equal(done.waiting, 1);
	assert_int_equal(done.freed, 0);
	/* not record 1 */
	assert_int_equal(op(FLOW_TEST_CREATE, key_numbered(2, IPPROTO_UDP), died).id, 2);
	done = collect(died + TALON_FLOW_GRACE_S);
	assert_int_equal(done.freed, 1);
	id = op(FLOW_TEST_CREATE, key_numbered(3, IPPROTO_UDP), died + TALON_FLOW_GRACE_S).id;
	assert_int_equal(id, 1);
	assert_int_equal(stats().live, 2);
	assert_int_equal(stats().created, 3);
	assert_int_equal(stats().expired, 1);
}

static void a_flow_that_the_datapath_closes_starts_anew_at_once(void **state)
{
	struct talon_flow_key key = key_numbered(1, IPPROTO_TCP);
	struct flow_test_job made = op(FLOW_TEST_CREATE, key, NOW), next;

	assert_int_equal(op(FLOW_TEST_CLOSE, key, NOW + 1).ret, 0);
	assert_int_equal(op(FLOW_TEST_FIND_FWD, key, NOW + 1).ret, -ENOENT);
	assert_int_equal(op(FLOW_TEST_FIND_REV, rev_of(&made.flow), NOW + 1).ret, -ENOENT);
	next = op(FLOW_TEST_CREATE, key, NOW + 1);
	assert_int_equal(next.ret, 0);
	assert_int_equal(next.id, 2);
	assert_int_equal(next.flow.snat_port, made.flow.snat_port);
	assert_int_equal(collect(NOW + 1 + TALON_FLOW_GRACE_S).freed, 1);
	assert_int_equal(stats().live, 1);
}

static void records_run_out_and_ports_run_out_with_their_own_errors(void **state)
{
	drop_all();
	assert_int_equal(fresh(1024, 256, 20000, 20007), 0);
	for (int i = 0; i < 8; i++)
		assert_int_equal(op(FLOW_TEST_CREATE, key_numbered(i, IPPROTO_TCP), NOW).ret, 0);
	assert_int_equal(op(FLOW_TEST_CREATE, key_numbered(8, IPPROTO_TCP), NOW).ret, -EADDRINUSE);
	assert_int_equal(stats().full_ports, 1);

	drop_all();
	assert_int_equal(fresh(9, 256, 12288, 19999), 0);
	for (int i = 0; i < 8; i++)
		assert_int_equal(op(FLOW_TEST_CREATE, key_numbered(i, IPPROTO_TCP), NOW).ret, 0);
	assert_int_equal(op(FLOW_TEST_CREATE, key_numbered(8, IPPROTO_TCP), NOW).ret, -ENOSPC);
	assert_int_equal(stats().full_table, 1);
	assert_int_equal(stats().live, 8);
}

static void a_peer_has_its_share_and_leaves_the_rest_to_others(void **state)
{
	struct flow_test_job job = { .op = FLOW_TEST_CREATE, .now_s = NOW, .peer = 5 };
	uint32_t made = 0;

	for (;; made++) {
		job.key = key_numbered(made, IPPROTO_TCP);
		job = run(job);
		if (job.ret)
			break;
	}
	assert_int_equal(job.ret, -EDQUOT);
	assert_in_range(made, 1023 * 3 / 4, 1023 * 3 / 4 + 1);
	assert_int_equal(stats().held, made);
	assert_int_equal(stats().full_share, 1);
	job.peer = 6;
	assert_int_equal(run(job).ret, 0);

	/* Unanswered flows go within seconds, those of the other peer stay. */
	assert_int_equal(collect(NOW + TALON_NAT_HASTY_S - 1).expired, 0);
	assert_in_range(collect(NOW + TALON_NAT_HASTY_S).expired, made / 2, made);
	assert_int_equal(op(FLOW_TEST_FIND_FWD, job.key, NOW).ret, 0);
	assert_true(stats().hastened > 0);
	assert_in_range(collect(NOW + TALON_NAT_HASTY_S + TALON_FLOW_GRACE_S).freed, made / 2, made);
	job.peer = 5;
	job.key = key_numbered(5000, IPPROTO_TCP);
	assert_int_equal(run(job).ret, 0);
}

static void flows_beyond_full_buckets_live_in_the_overflow(void **state)
{
	struct flow_test_job job;

	drop_all();
	assert_int_equal(fresh(1024, 2, 12288, 19999), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(op(FLOW_TEST_CREATE, key_numbered(i, IPPROTO_UDP), NOW).ret, 0);
	assert_int_equal(stats().overflow, 2 * (100 - 2 * TALON_BUCKET_ENTRIES));
	for (int i = 0; i < 100; i++) {
		job = op(FLOW_TEST_FIND_FWD, key_numbered(i, IPPROTO_UDP), NOW);
		assert_int_equal(job.ret, 0);
		assert_int_equal(op(FLOW_TEST_FIND_REV, rev_of(&job.flow), NOW).id, job.id);
	}
	assert_int_equal(collect(NOW + TALON_NAT_UDP_S).expired, 100);
	assert_int_equal(stats().overflow, 0);
	assert_int_equal(op(FLOW_TEST_FIND_FWD, key_numbered(50, IPPROTO_UDP), NOW).ret, -ENOENT);
}

static void ports_of_the_hosts_sockets_are_passed_over(void **state)
{
	struct nat_ports ports;
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	uint16_t port;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct nat_port_set set;

	if (nat_ports_scan(1, 1, &set) == -ENOENT)
		skip();		/* a kernel without inet_diag */
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	port = ntohs(addr.sin_port);
	drop_all();
	assert_int_equal(fresh(1024, 256, port, port), 0);
	nat_ports_init(&ports, bpf_map__fd(skel->maps.port_block), port, port);
	assert_int_equal(nat_ports_refresh(&ports), 2 * NAT_PORTS_WORDS);
	assert_int_equal(nat_ports_refresh(&ports), 0);
	assert_int_equal(op(FLOW_TEST_CREATE, key_numbered(1, IPPROTO_UDP), NOW).ret, -EADDRINUSE);
	close(fd);
	assert_int_equal(nat_ports_refresh(&ports), 1);
	assert_int_equal(op(FLOW_TEST_CREATE, key_numbered(1, IPPROTO_UDP), NOW).ret, 0);
}

/*
 * The controller's way: every second a share, over thirty seconds all of it, then nothing while
 * there are no flows.
 */
static void ticks_collect_everything_and_then_rest(void **state)
{
	uint32_t now_s = NOW, expired = 0;

	assert_int_equal(nat_gc_tick(&gc, now_s), 0);
	for (int i = 0; i < 500; i++)
		assert_int_equal(op(FLOW_TEST_CREATE, key_numbered(i, IPPROTO_ICMP), now_s).ret, 0);
	for (; now_s < NOW + TALON_NAT_ICMP_S; now_s++)
		assert_int_equal(nat_gc_tick(&gc, now_s), 0);
	assert_int_equal(stats().live, 500);
	for (; now_s <= NOW + TALON_NAT_ICMP_S + NAT_GC_PASS_S; now_s++)
		expired += nat_gc_tick(&gc, now_s);
	assert_int_equal(expired, 500);
	assert_int_equal(stats().live, 0);
	for (; !gc.is_empty && now_s < NOW + 1000; now_s++)
		assert_int_equal(nat_gc_tick(&gc, now_s), 0);
	assert_true(now_s <= NOW + TALON_NAT_ICMP_S + 4 * NAT_GC_PASS_S);
	assert_int_equal(collect(now_s).waiting, 0);

	assert_int_equal(op(FLOW_TEST_CREATE, key_numbered(1, IPPROTO_ICMP), now_s).ret, 0);
	nat_gc_tick(&gc, ++now_s);
	assert_false(gc.is_empty);
}

static void a_full_table_is_collected_at_once(void **state)
{
	drop_all();
	assert_int_equal(fresh(1024, 256, 12288, 19999), 0);
	assert_int_equal(nat_gc_tick(&gc, NOW), 0);
	for (int i = 0; i < 1023; i++)
		assert_int_equal(op(FLOW_TEST_CREATE, key_numbered(i, IPPROTO_ICMP), NOW).ret, 0);
	nat_gc_tick(&gc, NOW + 1);		/* learns how many there are */
	assert_int_equal(op(FLOW_TEST_CREATE, key_numbered(2000, IPPROTO_ICMP), NOW + 59).ret, -ENOSPC);
	assert_int_equal(nat_gc_tick(&gc, NOW + TALON_NAT_ICMP_S), 1023);
	assert_int_equal(op(FLOW_TEST_CREATE, key_numbered(2000, IPPROTO_ICMP), NOW + 60).ret, -ENOSPC);
	nat_gc_tick(&gc, NOW + TALON_NAT_ICMP_S + TALON_FLOW_GRACE_S);
	assert_int_equal(op(FLOW_TEST_CREATE, key_numbered(2000, IPPROTO_ICMP), NOW + 65).ret, 0);
}

/* ---- two CPUs ---- */

#define RACE_RUNS 6000
#define RACE_STEPS 50
#define RACERS 2

static struct {
	atomic_uint now_s;
	atomic_int working;
	atomic_ulong runs[RACERS];		/* test runs that are over */
	atomic_int failures;
} race;

static void *race_thread(void *arg)
{
	unsigned self = (uintptr_t)arg;
	int fd = bpf_program__fd(skel->progs.flow_run);
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(self % sysconf(_SC_NPROCESSORS_ONLN), &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	for (unsigned i = 0; i < RACE_RUNS; i++) {
		struct flow_test_job job = {
			.op = FLOW_TEST_RACE, .now_s = atomic_load(&race.now_s), .count = RACE_STEPS,
			.seed = i * RACERS + self,
		};
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = &job, .data_size_in = sizeof(job),
			.repeat = 1);

		if (bpf_prog_test_run_opts(fd, &opts) || opts.retval)
			atomic_fetch_add(&race.failures, 1);
		atomic_fetch_add(&race.runs[self], 1);
	}
	atomic_fetch_sub(&race.working, 1);
	return NULL;
}

/*
 * Waits until every program run that was active at the call has ended: in production the grace period ensures
 * that.
 */
static void race_synchronize(void)
{
	unsigned long seen[RACERS];

	for (int i = 0; i < RACERS; i++)
		seen[i] = atomic_load(&race.runs[i]);
	for (int i = 0; i < RACERS; i++) {
		while (atomic_load(&race.runs[i]) == seen[i] && seen[i] < RACE_RUNS)
			sched_yield();
	}
}

static struct flow_test_race *race_counters(void)
{
	static struct flow_test_race r;
	uint32_t zero = 0;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(skel->maps.races), &zero, &r), 0);
	return &r;
}

/* Entries of both indexes and of the overflow. */
static unsigned entries_count(uint32_t buckets)
{
	unsigned count = stats().overflow;
	struct talon_bucket b;

	for (uint32_t i = 0; i < buckets; i++) {
		for (int which = 0; which < 2; which++) {
			int fd = bpf_map__fd(which ? skel->maps.flow_rev : skel->maps.flow_fwd);

			assert_int_equal(bpf_map_lookup_elem(fd, &i, &b), 0);
			for (int j = 0; j < TALON_BUCKET_ENTRIES; j++)
				count += b.entry[j] != 0;
		}
	}
	return count;
}

static void check_records(unsigned expect_live)
{
	unsigned live = 0, seen_port[RACE_REMOTES][RACE_PORTS] = { 0 };

	for (uint32_t id = 1; id < RACE_RECORDS; id++) {
		struct talon_flow f;
		unsigned remote, port;

		assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(skel->maps.flows), &id, &f), 0);
		assert_int_not_equal(f.phase, TALON_FLOW_TENTATIVE);
		if (f.phase != TALON_FLOW_LIVE)
			continue;
		live++;
		remote = ntohl(f.remote) & 1;
		port = ntohs(f.snat_port) - RACE_PORT_FIRST;
		assert_in_range(port, 0, RACE_PORTS - 1);
		assert_int_equal(seen_port[remote][port]++, 0);
		assert_int_equal(op(FLOW_TEST_FIND_REV, rev_of(&f), 0).id, id);
	}
	assert_int_equal(live, expect_live);
}

static void race_with(uint32_t buckets)
{
	pthread_t threads[RACERS];
	struct flow_test_race *r;
	struct talon_nat_stats s;

	drop_all();
	assert_int_equal(fresh(RACE_RECORDS, buckets, RACE_PORT_FIRST, RACE_PORT_FIRST + RACE_PORTS - 1), 0);
	memset(&race, 0, sizeof(race));
	atomic_store(&race.now_s, NOW);
	atomic_store(&race.working, RACERS);
	for (uintptr_t i = 0; i < RACERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, race_thread, (void *)i), 0);
	while (atomic_load(&race.working)) {
		uint32_t now_s = atomic_fetch_add(&race.now_s, 2 * TALON_NAT_UDP_S) + 2 * TALON_NAT_UDP_S;

		/* all see the new time and have let go of records that were dead before */
		race_synchronize();
		collect(now_s);
	}
	for (int i = 0; i < RACERS; i++)
		pthread_join(threads[i], NULL);

	r = race_counters();
	s = stats();
	print_message("  %llu created, %llu found, %llu refused, %llu given up for a rival\n", r->created,
		r->found, r->refused, s.races);
	assert_int_equal(race.failures, 0);
	assert_int_equal(r->violations, 0);
	assert_true(r->created > 1000);	/* how many depends on how busy the machine is */
	assert_true(r->found > 1000);
	assert_int_equal(s.created, r->created);
	assert_int_equal(s.created - s.expired, s.live);
	check_records(s.live);
	/* an id handed out twice would give a higher sum */
	assert_int_equal(entries_count(buckets), 2 * s.live);
	if (s.live)
		assert_int_equal(collect(atomic_load(&race.now_s) + 2 * TALON_NAT_UDP_S).expired, s.live);
	assert_int_equal(stats().live, 0);
	assert_int_equal(stats().overflow, 0);
}

static void two_cpus_never_get_two_flows_with_one_key(void **state)
{
	race_with(8);
}

static void two_cpus_never_get_two_flows_with_one_key_through_the_overflow_either(void **state)
{
	race_with(1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_flow_of_each_protocol_is_made_and_found_from_both_sides),
		T(flags_of_both_sides_meet_in_the_record),
		T(a_flow_expires_and_its_record_comes_back_after_the_grace_period),
		T(a_flow_that_the_datapath_closes_starts_anew_at_once),
		T(records_run_out_and_ports_run_out_with_their_own_errors),
		T(a_peer_has_its_share_and_leaves_the_rest_to_others),
		T(flows_beyond_full_buckets_live_in_the_overflow),
		T(ports_of_the_hosts_sockets_are_passed_over),
		T(ticks_collect_everything_and_then_rest),
		T(a_full_table_is_collected_at_once),
		T(two_cpus_never_get_two_flows_with_one_key),
		T(two_cpus_never_get_two_flows_with_one_key_through_the_overflow_either),
	};

	libbpf_set_print(NULL);
	return cmocka_run_group_tests_name("flow (BPF)", tests, NULL, NULL);
}
