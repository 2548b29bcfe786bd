/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Networks of others that we may use: groups of routers that serve the same one, which of them the user
 * selected, and through which router each goes now. Metric, connection state and latency decide; a small
 * advantage does not make it move.
 */
#ifndef TALON_CHOOSE_H
#define TALON_CHOOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netbird/identity.h"
#include "netbird/netmap.h"

enum choose_status { CHOOSE_UNKNOWN, CHOOSE_CONNECTING, CHOOSE_IDLE, CHOOSE_CONNECTED };

/* What is known of a router when the choice is made. */
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
	bool selected;
	/* selected, a prefix that may be installed, and not one that another group has already */
	bool usable;
	/* some router wants it selected without being asked; matters for exit nodes only */
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
 * Takes the groups of @map: routes of others, without groups that @own serves itself, without what must never
 * be installed (loopback, link-local, multicast, inside @mesh_net). Routers in use stay in use where they are
 * still there. @none: DisableClientRoutes. Returns 0 or -ENOMEM.
 */
int choose_set_map(struct choose *choose, const struct netmap *map, const uint8_t own[static KEY_LEN],
	__be32 mesh_addr, uint8_t mesh_prefixlen, bool none);

/*
 * Chooses a router for each selected group; where none is connected or could be woken, the last one stays.
 * Returns true if any choice changed.
 */
bool choose_routers(struct choose *choose, choose_router_fn fn, void *ctx);

/*
 * What the user wants. @ids "all": everything. select replaces the selection among the networks known now
 * unless @append. Unknown ids: the valid ones are applied, and -ENOENT with one line in @err. Returns 0,
 * -ENOENT, -ENOMEM.
 */
int choose_select(struct choose *choose, char *const *ids, size_t count, bool append, char *err,
	size_t errlen);
int choose_deselect(struct choose *choose, char *const *ids, size_t count, char *err, size_t errlen);

/* (9999 - metric) * 10, at most 1 for low latency, 1 for not being relayed, 100000 for being connected. */
double choose_score(uint32_t metric, const struct choose_router *router);

#endif
