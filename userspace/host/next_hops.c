// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Keeps neighbours alive that only the datapath uses.
#include <linux/neighbour.h>
#include <string.h>

#include <bpf/bpf.h>

#include "host/next_hops.h"

#define HOPS_EACH_SECOND	64
/* more than two generations: unused */
#define UNUSED_NS		(150 * TALON_NSEC_PER_SEC)

static bool next(struct next_hops *hops, int map, struct talon_next_hop *ret_hop)
{
	if (bpf_map_get_next_key(map, hops->has_place ? &hops->place : NULL, ret_hop)) {
		hops->has_place = false;	/* end of the map: start over in the next second */
		return false;
	}
	hops->place = *ret_hop;
	hops->has_place = true;
	return true;
}

/*
 * Probes a stale neighbour at once. The kernel would first wait five seconds for upper-layer
 * confirmation, which cannot come: it does not see our traffic.
 */
static void keep(const struct talon_next_hop *hop)
{
	struct net_neigh neigh;

	if (!net_neigh_get(hop->ifindex, hop->family, &hop->addr, &neigh) && neigh.state & NUD_STALE)
		net_neigh_confirm(&neigh);
}

void next_hops_keep(struct next_hops *hops, uint64_t now_ns)
{
	int map = datapath_map_fd(hops->dp, DATAPATH_MAP_NEXT_HOPS);
	struct talon_next_hop hop;
	uint64_t used_ns;

	for (unsigned i = 0; i < HOPS_EACH_SECOND && next(hops, map, &hop); i++) {
		if (bpf_map_lookup_elem(map, &hop, &used_ns))
			continue;
		if (now_ns > used_ns && now_ns - used_ns > UNUSED_NS) {
			bpf_map_delete_elem(map, &hop);
			hops->has_place = false;
		} else {
			keep(&hop);
		}
	}
}

bool next_hops_has(const struct next_hops *hops, const struct net_neigh *neigh)
{
	const struct talon_next_hop hop = { .ifindex = neigh->ifindex, .family = neigh->family,
		.addr = neigh->addr };
	uint64_t used_ns;

	return !bpf_map_lookup_elem(datapath_map_fd(hops->dp, DATAPATH_MAP_NEXT_HOPS), &hop, &used_ns);
}
