/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Networks that others route for us: groups of routers that serve the same network, which groups the user
 * selected, and which router of each is in use. Metric, connection state and latency decide; a small
 * advantage is not enough to change routers.
 */
#ifndef TALON_CHOOSE_H
#define TALON_CHOOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netbird/route_selection.h"
#include "netmap/netmap.h"

#define CHOOSE_TWIN "-v6"

enum choose_status { CHOOSE_UNKNOWN, CHOOSE_CONNECTING, CHOOSE_IDLE, CHOOSE_CONNECTED };

/* What the choice depends on. */
struct choose_router {
	enum choose_status status;
	bool relayed;
	uint64_t latency_ns;		/* 0: unknown */
};
typedef void (*choose_router_fn)(void *ctx, const uint8_t key[static KEY_LEN],
	struct choose_router *ret_router);

struct choose_member {
	uint8_t key[KEY_LEN];
	uint32_t metric;
};

struct choose_group {
	char *net_id;
	struct cidr net;		/* family 0: domains */
	char **domains;
	size_t domain_count;
	struct choose_member *members;
	size_t member_count;
	/*
	 * The IPv6 half of a default route: net_id without CHOOSE_TWIN is that of the IPv4 half, which is
	 * selected and listed for both
	 */
	bool is_twin;
	bool selected;
	/* selected, of a prefix that may be installed, and the first group with that prefix */
	bool usable;
	/* a router has it selected by default; matters for exit nodes only */
	bool auto_apply;
	size_t current;			/* index of the router in use, or member_count: none */
};

struct choose {
	/* as the command line lists them: by prefix length (domains first), address, id */
	struct choose_group *groups;
	size_t group_count;
	struct route_selection selection;
};

void choose_init(struct choose *choose);
void choose_done(struct choose *choose);

/*
 * Takes the groups of @map: routes of other peers, without the groups that @own serves itself. Groups of a
 * prefix that must never be installed (the default route, loopback, link-local, multicast, inside one of
 * the mesh's own networks as @self says, or of IPv6 where @self has none) are listed, but not usable.
 * Routers that are in use stay in use if they are in @map. @none: takes no groups (DisableClientRoutes).
 * Returns 0 or -ENOMEM.
 */
int choose_set_map(struct choose *choose, const struct netmap *map, const uint8_t own[static KEY_LEN],
	const struct netmap_self *self, bool none);

/*
 * Chooses a router for each usable group; where none is connected or idle, the one in use stays. Returns true
 * if any choice changed.
 */
bool choose_routers(struct choose *choose, choose_router_fn fn, void *ctx);

/*
 * The user's selection, by network id; the one id "all" means every network. At most one exit node is
 * selected: the user's, the first by id if there are several, else the first that is to be used by default.
 * choose_select() replaces the selection among the networks known now, or adds to it with @append. Returns 0
 * or -ENOMEM; or -ENOENT with one line in @err if an id is unknown (the known ones are applied).
 */
int choose_select(struct choose *choose, char *const *ids, size_t count, bool append, char *err,
	size_t errlen);
int choose_deselect(struct choose *choose, char *const *ids, size_t count, char *err, size_t errlen);

/* (9999 - metric) * 10, plus at most 1 for low latency, 1 if not relayed, and 100000 if connected. */
double choose_score(uint32_t metric, const struct choose_router *router);

#endif
