/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where packets can go from this host, beside the mesh: its routes (maps host4 and host6) and devices
 * (map links), which of them take redirected frames, and at which of them replies come in, so that a
 * program is needed there.
 */
#ifndef TALON_HOST_WAYS_H
#define TALON_HOST_WAYS_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/prefixes.h"
#include "datapath/datapath.h"
#include "host/host_routes.h"
#include "net/net.h"
#include "talon/config_types.h"

/* A device that packets could leave by, as map links has it. */
struct way_link {
	int ifindex;
	char name[IFNAMSIZ];
	bool is_ethernet;
	bool is_loopback;
	bool is_side;			/* shall carry an uplink's program, as replies come in by it */
	struct talon_link value;
};

struct way_links {
	struct way_link *list;		/* by ifindex */
	size_t count;
	size_t room;
};

/* Zeroed, with dp, and the networks of both families set. */
struct ways {
	struct datapath *dp;
	/* networks that are served; value: flags of map routes4 or routes6 */
	const struct prefixes *routes, *routes6;
	const struct prefixes *locals, *locals6;	/* what this host serves itself */
	bool has_six;			/* the tunnel carries IPv6; else map host6 is empty */
	/* an earlier process attached what runs, and ours are not in its place yet */
	bool inherits_programs;
	struct host_routes hosts, hosts6;
	struct way_links links;		/* what map links holds */
	bool changed;			/* during ways_sync(): a map was written */
	uint64_t cost_ns;		/* of the last ways_sync() */
	char hazards[512];		/* one per line */
};

/* What ways_sync() brought; set, never cleared. */
struct ways_news {
	bool changed;			/* flows and routes in the datapath have to be looked up again */
	bool hazards;			/* ways.hazards are others */
};

/*
 * Brings routes and devices as they are now into the maps, and tells the datapath which devices shall carry
 * programs. Returns 0 or a negative errno with one line in @err.
 */
int ways_sync(struct ways *ways, struct ways_news *news, char *err, size_t errlen);
/* The address that the host itself sends from by @uplink, network byte order. Returns 0 or -EADDRNOTAVAIL. */
int ways_node_addr(const struct ways *ways, const struct net_link *uplink, __be32 *ret_addr);
/*
 * The same for IPv6, where a host may have none: zeros. Returns 0 or a negative errno. Before the first
 * ways_sync() with has_six: the same.
 */
int ways_node_addr6(const struct ways *ways, const struct net_link *uplink, struct talon_addr *ret_addr);
/* True if an IPv4 route names another source than @addr (network byte order). */
bool ways_has_other_source(const struct ways *ways, __be32 addr);
/*
 * How long to wait before the next ways_sync() that an event asks for: it takes at most a tenth of the time.
 */
uint64_t ways_pause_ns(const struct ways *ways);
/*
 * True if the kernel changed without a word which devices take redirected frames: the far end of a veth
 * turns GRO on or off.
 */
bool ways_is_outdated(const struct ways *ways);
void ways_done(struct ways *ways);

#endif
