// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * How long the controller is busy with a large network map: 5,000 peers, 1,000 routes that it serves and
 * 1,000 that this host shall reach, access rules for all of them, into the maps and the kernel's tables; the
 * same map again, a tenth of it gone, all of it gone; and what it keeps in memory for them.
 */
#include "bench/bench.h"

#include "plane_rig.h"

#define PEERS	5000
#define ROUTES	1000

static struct plane_peer peers[PEERS];
static struct cidr allowed[PEERS], hosts[ROUTES];
static struct config_route routes[ROUTES];

static void die(const char *what)
{
	fprintf(stderr, "%s\n", what);
	exit(1);
}

static double rss_mib(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f || fscanf(f, "%*u %lu", &pages) != 1)
		die("/proc/self/statm");
	fclose(f);
	return pages * 4096.0 / (1 << 20);
}

static double apply(struct plane_rig *rig, const struct plane_state *state)
{
	uint64_t start = now_ns();
	char err[256] = "";

	if (plane_apply(rig->c, state, err, sizeof(err)))
		die(err);
	return (now_ns() - start) / 1e6;
}

/* Every peer may come to us, by two rules; and to each route, by one with a tenth of the peers. */
static struct acl_table *compile(struct acl_rule *rules, unsigned peer_count,
	const struct cidr *everywhere)
{
	struct acl_table *table;
	char why[160];
	unsigned count = 2;

	rules[0] = (struct acl_rule){ .sources = allowed, .source_count = peer_count, .dst = *everywhere,
		.proto = NETMAP_TCP, .port_first = 22, .port_last = 22 };
	rules[1] = (struct acl_rule){ .sources = allowed, .source_count = peer_count, .dst = *everywhere,
		.proto = NETMAP_ICMP };
	for (unsigned i = 0; i < ROUTES; i++) {
		rules[count++] = (struct acl_rule){
			.sources = allowed + i % 10 * (peer_count / 10), .source_count = peer_count / 10,
				.dst = plane_rig_network(i), .proto = NETMAP_ANY,
		};
	}
	if (acl_compile(rules, count, &table, why, sizeof(why)))
		die(why);
	return table;
}

static void make_map(void)
{
	for (unsigned i = 0; i < PEERS; i++)
		plane_rig_peer(&peers[i], &allowed[i], i);
	for (unsigned i = 0; i < ROUTES; i++) {
		routes[i] = (struct config_route){ .dst = plane_rig_network(i), .masquerade = true };
		hosts[i] = plane_rig_network(ROUTES + i);
	}
}

int main(int argc, char **argv)
{
	static const uint8_t seed[KEY_LEN] = { 8, 1, 2, 3 };
	struct plane_state state = {
		.mesh_addr = htonl(0x64400001), .mesh_prefixlen = 10, .peers = peers, .routes = routes,
		.host_routes = hosts,
	};
	const struct cidr everywhere = { .family = AF_INET };
	struct acl_rule rules[2 + ROUTES];
	struct plane_rig rig = {};
	struct bench bench;
	double before, ms, rules_ms;
	uint64_t writes;
	int ret;

	bench_begin(&bench, argc, argv);
	if (sodium_init() < 0 || plane_rig_isolate())
		die("namespaces of its own need root");
	plane_rig_config(&rig, seed, PEERS);
	make_map();
	before = rss_mib();
	if (plane_rig_start(&rig))
		return 1;
	bench_report(&bench, "memory of the controller, no peers", rss_mib() - before, "MiB", NULL, NAN, NAN);
	state.acl = compile(rules, 0, &everywhere);
	apply(&rig, &state);
	acl_free((struct acl_table *)state.acl);
	rules_ms = now_ns() / 1e6;
	state.acl = compile(rules, PEERS, &everywhere);
	rules_ms = now_ns() / 1e6 - rules_ms;
	state.peer_count = PEERS;
	state.route_count = ROUTES;
	state.host_route_count = ROUTES;
	ms = apply(&rig, &state) + rules_ms;
	bench_report(&bench, "1,002 access rules compiled", rules_ms, "ms", NULL, NAN, NAN);
	bench_report(&bench, "5,000 peers, 2 x 1,000 routes, rules", ms, "ms", "at most", 200, 200 / ms);
	loop_turn(rig.c->loop, 0);
	bench_report(&bench, "memory of the controller with them", rss_mib() - before, "MiB", "at most", 20,
		20 / (rss_mib() - before));
	writes = rig.c->map_writes + rig.c->tunnel_routes.changes;
	ms = apply(&rig, &state);
	bench_report(&bench, "the same map again", ms, "ms", NULL, NAN, NAN);
	if (rig.c->map_writes + rig.c->tunnel_routes.changes != writes)
		die("the same map again changed something");
	state.peer_count -= PEERS / 10;
	state.route_count -= ROUTES / 10;
	state.host_route_count -= ROUTES / 10;
	bench_report(&bench, "a tenth of it gone", apply(&rig, &state), "ms", NULL, NAN, NAN);
	state.peer_count = 0;
	state.route_count = 0;
	state.host_route_count = 0;
	bench_report(&bench, "all of it gone", apply(&rig, &state), "ms", NULL, NAN, NAN);
	ret = bench_end(&bench);
	return plane_rig_down(&rig) ? 1 : ret;
}
