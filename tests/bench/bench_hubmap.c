// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The maps of a hub: 2,000 and 10,000 peers in groups of 20 that reach each other, all with a route to one
 * network behind two routers; and 2,000 that all reach all. One change, with the maps that it touches; all
 * maps; another file.
 */
#include <arpa/inet.h>

#include "bench/bench.h"

#include "hubfile/hubfile.h"
#include "hubmap/hubmap.h"

#define GROUP 20

static void die(const char *what)
{
	fprintf(stderr, "%s\n", what);
	exit(1);
}

static struct hubfile *parse(const char *yaml)
{
	struct hubfile_fault faults[HUBFILE_FAULTS_MAX];
	struct hubfile *file;
	size_t count;

	if (hubfile_parse(yaml, strlen(yaml), ".", &file, faults, &count))
		die(count ? faults[0].text : "the file");
	return file;
}

/* @extra: ports of a policy, so that the file is another. */
static struct hubfile *grouped(unsigned int peers, unsigned int extra)
{
	char *yaml = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&yaml, &len);
	struct hubfile *file;

	fprintf(to, "groups:\n");
	for (unsigned int i = 0; i < peers / GROUP; i++)
		fprintf(to, "  g%u: []\n", i);
	fprintf(to, "  routers: [p0, p1]\npolicies:\n- {name: gateway, from: [All], to: [routers]}\n");
	for (unsigned int i = 0; i < peers / GROUP; i++)
		fprintf(to, "- {name: g%u, from: [g%u], to: [g%u]}\n", i, i, i);
	fprintf(to, "- {name: extra, from: [g0], to: [g1], protocol: tcp, ports: [%u]}\n", extra);
	fprintf(to, "routes:\n- {name: lan, network: 192.168.0.0/16, routers: [p0, p1], to: [All]}\n");
	fclose(to);
	file = parse(yaml);
	free(yaml);
	return file;
}

static void put(struct hubmap *map, unsigned int n, const char *ssh_key)
{
	char name[16], group[16];
	const char *groups[] = { group };
	struct hubmap_peer peer = { .key = { n, n >> 8, 1 }, .name = name, .hostname = name,
		.version = "0.77.1", .ssh_key = ssh_key, .address = htonl(0x64400001 + n),
		.reads_prefixes = true, .carries_ipv6 = true, .groups = groups, .group_count = 1 };

	snprintf(name, sizeof(name), "p%u", n);
	snprintf(group, sizeof(group), "g%u", n / GROUP);
	peer.address6.word[0] = htonl(0xfd000000);
	peer.address6.word[3] = htonl(n + 1);
	if (hubmap_put(map, &peer))
		die("put");
}

struct written {
	size_t maps, bytes;
	uint64_t router_ns;		/* the maps of the two routers, who know everybody */
};

static struct written write_marked(struct hubmap *map)
{
	struct written w = {};
	uint8_t key[KEY_LEN], *bytes;
	size_t len;

	while (hubmap_next_marked(map, key)) {
		bool is_router = !key[1] && key[0] < 2;
		uint64_t start = is_router ? cpu_ns() : 0;

		if (hubmap_write(map, key, 1, &bytes, &len))
			die("write");
		free(bytes);
		w.maps++;
		w.bytes += len;
		w.router_ns += is_router ? cpu_ns() - start : 0;
	}
	return w;
}

/* The whole change, and in @ret_router_ns what is in it of the routers' maps. */
static double change_ns(struct hubmap *map, unsigned int peers, size_t *ret_maps, double *ret_router_ns)
{
	double times[BENCH_RUNS], router_times[BENCH_RUNS];

	for (unsigned int i = 0; i < BENCH_RUNS; i++) {
		struct written written;
		char ssh_key[32];
		uint64_t start;

		snprintf(ssh_key, sizeof(ssh_key), "ssh-ed25519 %u", i);
		start = cpu_ns();
		put(map, peers / 2 + i * GROUP, ssh_key);
		written = write_marked(map);
		times[i] = cpu_ns() - start;
		router_times[i] = written.router_ns;
		*ret_maps = written.maps;
	}
	*ret_router_ns = bench_median(router_times, BENCH_RUNS);
	return bench_median(times, BENCH_RUNS);
}

static void row(struct bench *b, const char *what, const char *world, double value, const char *unit)
{
	char name[64];

	snprintf(name, sizeof(name), "hubmap.%s.%s", what, world);
	bench_report(b, name, value, unit, NULL, NAN, NAN);
}

static void run(struct bench *b, const char *world, struct hubfile *file, struct hubfile *other,
	unsigned int peers)
{
	struct hubmap *map = hubmap_new(file);
	double change, routers;
	struct written all;
	uint64_t start;
	size_t maps;

	if (!map)
		die("memory");
	start = cpu_ns();
	for (unsigned int i = 0; i < peers; i++)
		put(map, i, "");
	row(b, "join", world, (cpu_ns() - start) / 1e3 / peers, "us");
	start = cpu_ns();
	all = write_marked(map);
	if (all.maps != peers)
		die("not all were marked");
	row(b, "all", world, (cpu_ns() - start) / 1e6, "ms");
	row(b, "bytes", world, (double)all.bytes / all.maps, "B");
	change = change_ns(map, peers, &maps, &routers);
	row(b, "change", world, change / 1e3, "us");
	row(b, "change_apart", world, (change - routers) / 1e3, "us");
	row(b, "marked", world, maps, "maps");
	if (other) {
		start = cpu_ns();
		if (hubmap_use(map, other))
			die("another file");
		row(b, "reload", world, (cpu_ns() - start) / 1e6, "ms");
		row(b, "reload_marked", world, write_marked(map).maps, "maps");
	}
	hubmap_free(map);
	hubfile_free(file);
	if (other)
		hubfile_free(other);
}

int main(int argc, char **argv)
{
	struct bench b;

	bench_begin(&b, argc, argv);
	run(&b, "peers2000", grouped(2000, 1), grouped(2000, 2), 2000);
	run(&b, "peers10000", grouped(10000, 1), grouped(10000, 2), 10000);
	run(&b, "all2000", hubfile_default(), NULL, 2000);
	return bench_end(&b);
}
