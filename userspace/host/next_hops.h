/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Neighbours that only the datapath uses (map next_hops): the kernel verifies those that it sends to by
 * itself, and does not know of these.
 */
#ifndef TALON_HOST_NEXT_HOPS_H
#define TALON_HOST_NEXT_HOPS_H

#include <stdbool.h>
#include <stdint.h>

#include "datapath/datapath.h"
#include "net/net.h"
#include "talon/next_hop_types.h"

/* Zeroed, with dp set. */
struct next_hops {
	const struct datapath *dp;
	struct talon_next_hop place;	/* where next_hops_keep() stopped */
	bool has_place;
};

/* Each second: has the kernel ask neighbours that the datapath uses and that nobody has confirmed lately. */
void next_hops_keep(struct next_hops *hops, uint64_t now_ns);
bool next_hops_has(const struct next_hops *hops, const struct net_neigh *neigh);

#endif
