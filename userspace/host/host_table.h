/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The host's routes of one family as one table: which route the kernel would take for each prefix, whatever
 * table it is in. Pure.
 *
 * The kernel asks its tables one after the other, and the first that has any answer decides; a longest-prefix
 * match knows one table only. So a route is left out where a table that is asked before has one to the same
 * or a shorter prefix. But as long as a namespace never had a policy rule, its tables local and main are one,
 * in which the longest prefix decides.
 */
#ifndef TALON_HOST_HOST_TABLE_H
#define TALON_HOST_HOST_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/prefixes.h"
#include "net/net.h"
#include "talon/config_types.h"
#include "talon/peer_types.h"

/* The order in which tables are asked, as the policy rules have it. */
#define HOST_TABLES_MAX 16
struct host_plan {
	uint32_t tables[HOST_TABLES_MAX];
	unsigned count;
	/* rules that look at more than this order: only the kernel knows the answer */
	bool must_ask;
	bool is_complete;		/* a rule that ends the search came: nothing behind it counts */
};

/* Takes the next rule, in the kernel's order. Returns whether its destination is a prefix to ask about. */
bool host_plan_add(struct host_plan *plan, const struct net_rule *rule);
void host_plan_default(struct host_plan *plan);	/* local, main, default */

#define HOST_HOPS 4

struct host_route {
	prefix_bits addr;		/* host bits zero */
	uint8_t len;
	uint8_t rank;			/* of its table: lower is asked first */
	uint8_t type;			/* RTN_* */
	uint8_t scope;			/* RT_SCOPE_* */
	uint32_t table;
	uint32_t metric;
	uint32_t order;			/* in which it was added */
	int hops[HOST_HOPS];		/* devices; 0: none */
	struct talon_addr gateway;
	bool is_split;			/* several next hops */
	struct talon_host_route6 value;	/* what the map shall hold; value.kind 0: not to be written */
};

/* Zero is an empty table of IPv4 routes, and with family of either. */
struct host_table {
	struct host_route *list;	/* by address, then length, after host_table_merge() */
	size_t count;
	size_t room;
	uint8_t family;			/* AF_INET6; everything else is AF_INET */
};

/* Bits of an address. */
static inline unsigned host_table_bits(const struct host_table *table)
{
	return table->family == AF_INET6 ? 128 : 32;
}

/* Keeps the family. */
void host_table_done(struct host_table *table);

/*
 * Takes what counts of @route, with value.kind, .mtu, .prefixlen and, where the route names it, .source.
 * Routes that are dead, multicast, for some TOS only, or in a table that is not in @plan are passed over; one
 * that sends the kernel on to the next table (throw) sets plan->must_ask. Returns 0 or -ENOMEM.
 */
int host_table_add(struct host_table *table, struct host_plan *plan, const struct net_route *route,
	int tunnel_ifindex);
/* A prefix without a route of its own, to be asked about. */
int host_table_add_prefix(struct host_table *table, prefix_bits addr, unsigned len);
/* Sorts; leaves the route that the kernel would take for each prefix. */
void host_table_merge(struct host_table *table);
/*
 * A route of table main below one of table local, and an address that tells which of them the kernel takes.
 * False: there is none.
 */
bool host_table_conflict(const struct host_table *table, size_t *ret_i, prefix_bits *ret_addr);
/* Takes out what an earlier table hides. @is_one: local and main are one table. */
void host_table_hide(struct host_table *table, bool is_one);
/* Not more than @max routes stay: local ones, then short prefixes. Returns how many went. */
size_t host_table_trim(struct host_table *table, size_t max);

/*
 * The first address of @addr/@len, usable as a destination, that route @i answers and no longer prefix.
 * False: there is none.
 */
bool host_table_probe(const struct host_table *table, size_t i, prefix_bits addr, unsigned len,
	prefix_bits *ret_addr);

/* Differences between what map host4 or host6 holds and shall hold, as prefixes_diff() tells them. */
typedef int (*host_table_fn)(void *ctx, enum prefix_change change, const struct host_route *route);
int host_table_diff(const struct host_table *is, const struct host_table *wanted, host_table_fn fn,
	void *ctx);

/*
 * Does @route, number @i of @table, carry packets for a network of @routes (value: enum talon_route_flags)
 * that is masqueraded, outside of what @locals has?
 */
bool host_table_serves(const struct host_table *table, size_t i, const struct prefixes *routes,
	const struct prefixes *locals);

/*
 * Source address of the host's own packets by device @ifindex: of the default route if that leads there;
 * else @primary where some route by the device has it; else of the shortest prefix. Zero: no route by this
 * device has a source.
 */
struct talon_addr host_table_source(const struct host_table *table, int ifindex,
	const struct talon_addr *primary);
/* Is there a unicast route, out of the tunnel, with another source? */
bool host_table_has_other_source(const struct host_table *table, const struct talon_addr *source);

#endif
