// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The flow table compared with kernel hash maps: inserts per second, nanoseconds per lookup of random flows,
// bytes for a million.
#include <arpa/inet.h>
#include <bpf/libbpf.h>

#include "bench/bench.h"
#include "bench/nat_bench.h"
#include "nat_bench.skel.h"
#include "talon/config_types.h"
#include "talon/nat_types.h"

#define FLOWS		1000000
#define BUCKETS		(1 << 17)
#define SLICE		20000		/* inserts per test run, which is not preempted */
#define LOOKUPS		200000
#define RUNS		5		/* fillings of a million; each is long */

static const uint32_t sizes[] = { 1, 1000, 100000, 1000000 };
static const char *const reference = "kernel hash";

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static struct nat_bench *table_open(void)
{
	struct nat_bench *skel = nat_bench__open();
	struct talon_config cfg = {
		.flow_count = TALON_FLOWS_MAX, .bucket_mask = BUCKETS - 1, .keys = {
			.flow = { 0x5eed1234, 0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb,
				0xd6e8feb86659fd93 },
			.port = { 0x5eed1234, 0x0123456789abcdef },
		},
		.snat_addr = htonl(0xc0a801dd),
		.port_first = 1024, .port_last = 65535,
	};
	struct bpf_map *map;
	uint32_t zero = 0;

	if (!skel)
		die("open");
	bpf_object__for_each_map(map, skel->obj)
		bpf_map__set_pin_path(map, NULL);
	bpf_map__set_max_entries(skel->maps.flows, TALON_FLOWS_MAX);
	bpf_map__set_max_entries(skel->maps.flow_free, TALON_FLOWS_MAX);
	bpf_map__set_max_entries(skel->maps.flow_fwd, BUCKETS);
	bpf_map__set_max_entries(skel->maps.flow_rev, BUCKETS);
	if (nat_bench__load(skel) || bpf_map_update_elem(bpf_map__fd(skel->maps.config), &zero, &cfg,
		BPF_ANY))
		die("load");
	return skel;
}

/* Nanoseconds a step. Every step must succeed. */
static double run(struct nat_bench *skel, enum nat_bench_op op, uint32_t first, uint32_t count,
	uint32_t flows)
{
	static uint64_t random = 88172645463325252ULL;
	struct nat_bench_job job = { .op = op, .first = first, .count = count, .flows = flows,
		.random = random += 1234567 };
	LIBBPF_OPTS(bpf_test_run_opts, opts,
		.data_in = &job, .data_size_in = sizeof(job), .data_out = &job, .data_size_out = sizeof(job),
		.repeat = 1);

	if (bpf_prog_test_run_opts(bpf_program__fd(skel->progs.nat_bench_run), &opts))
		die("test run");
	if (opts.retval || job.misses) {
		fprintf(stderr, "operation %d: verdict %d, %u of %u steps failed\n", op, (int)opts.retval,
			job.misses, count);
		exit(1);
	}
	return (double)opts.duration / count;
}

/* Nanoseconds of each slice's steps, so that the median hides the machine's other load. */
struct slices {
	double	ns[RUNS * FLOWS / SLICE + RUNS * 4];
	size_t	count;
};

static void fill(struct nat_bench *skel, enum nat_bench_op op, uint32_t from, uint32_t to, struct slices *s)
{
	for (uint32_t first = from; first < to; first += SLICE) {
		uint32_t count = to - first < SLICE ? to - first : SLICE;
		double ns = run(skel, op, first, count, 0) - run(skel, NAT_BENCH_KEYS, first, count, 0);

		if (count >= SLICE / 2)		/* the first few are too short for the clock */
			s->ns[s->count++] = ns;
	}
}

static double lookup(struct nat_bench *skel, enum nat_bench_op op, uint32_t flows)
{
	double value[BENCH_RUNS];

	for (int i = 0; i < BENCH_RUNS; i++)
		value[i] = run(skel, op, 0, LOOKUPS, flows) - run(skel, NAT_BENCH_KEYS_RANDOM, 0,
			LOOKUPS, flows);
	return bench_median(value, BENCH_RUNS);
}

/* What the kernel charges for a map. */
static double map_bytes(const struct bpf_map *map)
{
	char path[64], line[128];
	double bytes = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", bpf_map__fd(map));
	f = fopen(path, "re");
	if (!f)
		die(path);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "memlock: %lf", &bytes) == 1)
			break;
	}
	fclose(f);
	if (bytes < 0)
		die("memlock");
	return bytes;
}

static void report_bytes(struct bench *b, struct nat_bench *skel)
{
	const struct bpf_map *ours[] = {
		skel->maps.flows, skel->maps.flow_fwd, skel->maps.flow_rev, skel->maps.flow_free,
		skel->maps.flow_over,
		skel->maps.nat_ports, skel->maps.port_block, skel->maps.nat_stats, skel->maps.frags,
	};
	double bytes = 0, theirs = map_bytes(skel->maps.hash_fwd) + map_bytes(skel->maps.hash_rev);

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		bytes += map_bytes(ours[i]);
	bench_report(b, "nat.bytes.1000000", bytes / (1 << 20), "MiB", reference, theirs / (1 << 20),
		theirs / bytes);
}

static uint64_t overflow(struct nat_bench *skel)
{
	struct talon_nat_stats stats;
	uint32_t zero = 0;

	if (bpf_map_lookup_elem(bpf_map__fd(skel->maps.nat_stats), &zero, &stats))
		die("nat_stats");
	return stats.overflow;
}

static void report_inserts(struct bench *b, const char *name, struct slices *ours, struct slices *theirs)
{
	double rate = 1e9 / bench_median(ours->ns, ours->count);
	double their_rate = 1e9 / bench_median(theirs->ns, theirs->count);

	bench_report(b, name, rate, "flows/s", reference, their_rate, rate / their_rate);
}

int main(int argc, char **argv)
{
	static struct slices few, many, hash_few, hash_many;
	struct nat_bench *skel;
	double ours[4], theirs[4];
	uint64_t spilled = 0;
	struct bench b;

	bench_begin(&b, argc, argv);
	for (int i = 0; i < RUNS; i++) {
		uint32_t filled = 0;

		skel = table_open();
		for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
			bool is_few = sizes[s] <= 100000;

			fill(skel, NAT_BENCH_INSERT, filled, sizes[s], is_few ? &few : &many);
			fill(skel, NAT_BENCH_HASH_INSERT, filled, sizes[s], is_few ? &hash_few : &hash_many);
			filled = sizes[s];
			if (i == RUNS - 1) {
				ours[s] = lookup(skel, NAT_BENCH_FIND, sizes[s]);
				theirs[s] = lookup(skel, NAT_BENCH_HASH_FIND, sizes[s]);
			}
		}
		spilled = overflow(skel);
		if (i < RUNS - 1)
			nat_bench__destroy(skel);
	}
	report_inserts(&b, "nat.insert", &few, &hash_few);
	report_inserts(&b, "nat.insert.1000000", &many, &hash_many);
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		char name[32];

		snprintf(name, sizeof(name), "nat.lookup.%u", sizes[s]);
		bench_report(&b, name, ours[s], "ns", reference, theirs[s], theirs[s] / ours[s]);
	}
	report_bytes(&b, skel);
	printf("%u flows put %llu entries into the overflow\n", FLOWS, (unsigned long long)spilled);
	nat_bench__destroy(skel);
	return bench_end(&b);
}
