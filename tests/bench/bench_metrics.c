// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a scrape costs with 5,000 peers, none of which has a session: all metrics as text, without and with
 * series of single peers, beside the bare reading of the peers' maps, which any exporter has to do.
 */
#include "bench/bench.h"

#include "metrics/metrics.h"
#include "plane_rig.h"

#define PEERS 5000
#define SLICE 128

static const enum datapath_map maps[] = { DATAPATH_MAP_PEER_INFO, DATAPATH_MAP_PEER_STATS,
	DATAPATH_MAP_PEER_TX, DATAPATH_MAP_ENDPOINTS, DATAPATH_MAP_NAT_PEERS };
#define MAPS (sizeof(maps) / sizeof(maps[0]))

static struct plane_peer peers[PEERS];
static struct cidr allowed[PEERS];

static void die(const char *what)
{
	fprintf(stderr, "%s\n", what);
	exit(1);
}

static void read_bare(const struct plane_rig *rig, enum datapath_map map, void *values)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	const int fd = datapath_map_fd(rig->c->dp, map);
	__u32 keys[SLICE], cursor, count, read = 0;
	int ret;

	do {
		count = SLICE;
		ret = bpf_map_lookup_batch(fd, read ? &cursor : NULL, &cursor, keys, values, &count, &opts);
		if (ret && errno != ENOENT)
			die("bpf_map_lookup_batch");
		read += count;
	} while (!ret);
	if (read < PEERS)
		die("not all peers");
}

static double bare_ms(const struct plane_rig *rig)
{
	void *values = calloc(SLICE, sizeof(struct talon_peer_stats) * rig->c->cpus);
	double times[BENCH_RUNS];

	if (!values)
		die("out of memory");
	for (int i = 0; i < BENCH_RUNS; i++) {
		uint64_t start = now_ns();

		for (size_t map = 0; map < MAPS; map++)
			read_bare(rig, maps[map], values);
		times[i] = (now_ns() - start) / 1e6;
	}
	free(values);
	return bench_median(times, BENCH_RUNS);
}

static double scrape_ms(const struct plane_rig *rig, uint32_t top)
{
	const struct metrics_options options = { .pin_dir = rig->config.pin_dir, .peers = top };
	double times[BENCH_RUNS];
	char *text, why[256];
	size_t len;

	for (int i = 0; i < BENCH_RUNS; i++) {
		uint64_t start = now_ns();

		if (metrics_render(&options, &text, &len, why, sizeof(why)))
			die(why);
		times[i] = (now_ns() - start) / 1e6;
		free(text);
	}
	return bench_median(times, BENCH_RUNS);
}

int main(int argc, char **argv)
{
	static const uint8_t seed[KEY_LEN] = { 8, 1, 2, 3 };
	struct plane_state state = { .mesh_addr = htonl(0x64400001), .mesh_prefixlen = 10, .peers = peers,
		.peer_count = PEERS };
	struct plane_rig rig = {};
	struct bench bench;
	char err[256] = "";
	double bare, ms;
	int ret;

	bench_begin(&bench, argc, argv);
	if (sodium_init() < 0 || plane_rig_isolate())
		die("namespaces of its own need root");
	plane_rig_config(&rig, seed, PEERS);
	if (plane_rig_start(&rig))
		return 1;
	for (unsigned i = 0; i < PEERS; i++)
		plane_rig_peer(&peers[i], &allowed[i], i);
	if (plane_apply(rig.c, &state, err, sizeof(err)))
		die(err);
	bare = bare_ms(&rig);
	ms = scrape_ms(&rig, 0);
	bench_report(&bench, "metrics, 5,000 peers summed up", ms, "ms", "bare maps", bare, bare / ms);
	ms = scrape_ms(&rig, 100);
	bench_report(&bench, "metrics, 100 of them with series", ms, "ms", "bare maps", bare, bare / ms);
	ret = bench_end(&bench);
	return plane_rig_down(&rig) ? 1 : ret;
}
