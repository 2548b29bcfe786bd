// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The host's routes as one table.
#include "host/host_table.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

static void add_table(struct host_plan *plan, uint32_t table)
{
	for (unsigned i = 0; i < plan->count; i++) {
		if (plan->tables[i] == table)
			return;
	}
	if (plan->count < HOST_TABLES_MAX)
		plan->tables[plan->count++] = table;
	else
		plan->must_ask = true;
}

void host_plan_default(struct host_plan *plan)
{
	add_table(plan, RT_TABLE_LOCAL);
	add_table(plan, RT_TABLE_MAIN);
	add_table(plan, RT_TABLE_DEFAULT);	/* of IPv6 there is none, and so no route in it */
}

/*
 * Does the rule hold for some of our packets; for all of them? Those that are still without source,
 * mark and device.
 */
static bool rule_holds(const struct net_rule *rule)
{
	return rule->is_inverted ? rule->is_narrow || rule->prefixlen : !rule->is_narrow;
}

static bool rule_holds_always(const struct net_rule *rule)
{
	return rule->is_inverted ? rule->is_narrow : !rule->prefixlen;
}

bool host_plan_add(struct host_plan *plan, const struct net_rule *rule)
{
	if (plan->is_complete || !rule_holds(rule) || rule->action == FR_ACT_NOP)
		return false;
	if (rule->action == FR_ACT_TO_TBL)
		add_table(plan, rule->table);
	if (rule_holds_always(rule) && rule->action >= FR_ACT_BLACKHOLE)
		plan->is_complete = true;
	else if (!rule_holds_always(rule) || rule->suppresses || rule->action != FR_ACT_TO_TBL)
		plan->must_ask = true;
	return rule->prefixlen;
}

void host_table_done(struct host_table *table)
{
	free(table->list);
	*table = (struct host_table){ .family = table->family };
}

static int add(struct host_table *table, const struct host_route *route)
{
	if (table->count == table->room) {
		size_t room = table->room ? 2 * table->room : 32;
		struct host_route *larger = reallocarray(table->list, room, sizeof(*larger));

		if (!larger)
			return -ENOMEM;
		table->list = larger;
		table->room = room;
	}
	table->list[table->count] = *route;
	table->list[table->count].order = table->count;
	table->count++;
	return 0;
}

static uint8_t family_of(const struct host_table *table)
{
	return table->family == AF_INET6 ? AF_INET6 : AF_INET;
}

static int rank_of(const struct host_plan *plan, uint32_t table)
{
	for (unsigned i = 0; i < plan->count; i++) {
		if (plan->tables[i] == table)
			return i;
	}
	return -1;
}

static enum talon_host_kind kind_of(uint8_t type)
{
	switch (type) {
	case RTN_UNICAST:
		return TALON_HOST_UNICAST;
	case RTN_LOCAL:
	case RTN_ANYCAST:		/* IPv6: a router's own, in each of its networks */
		return TALON_HOST_LOCAL;
	case RTN_BROADCAST:
		return TALON_HOST_BROADCAST;
	default:
		return TALON_HOST_REFUSED;
	}
}

/* Multicast, and of IPv6 link-local networks too, which are on every device: never somebody's destination. */
static bool is_nobodys(const struct host_table *table, prefix_bits addr, unsigned len)
{
	uint32_t top = addr >> 96;

	if (table->family == AF_INET6)
		return (len >= 8 && top >> 24 == 0xff) || (len >= 10 && top >> 22 == 0xfe80 >> 6);
	return len >= 4 && top >> 28 == 0xe;
}

int host_table_add(struct host_table *table, struct host_plan *plan, const struct net_route *route,
	int tunnel_ifindex)
{
	int rank = rank_of(plan, route->table);
	struct host_route entry = {
		.addr = prefix_bits_of(&route->dst), .len = route->prefixlen, .rank = rank,
		.type = route->type, .scope = route->scope, .table = route->table, .metric = route->metric,
		.gateway = route->gateway, .is_split = route->hop_count > 1,
	};

	if (route->family != family_of(table) || route->prefixlen > host_table_bits(table) || rank < 0 ||
		route->tos || (route->flags & RTNH_F_DEAD) || route->type == RTN_MULTICAST ||
		is_nobodys(table, entry.addr, entry.len))
		return 0;
	if (route->type == RTN_THROW) {
		plan->must_ask = true;
		return host_table_add_prefix(table, entry.addr, route->prefixlen);
	}
	for (unsigned i = 0; i < route->hop_count && i < HOST_HOPS; i++)
		entry.hops[i] = route->hops[i];
	entry.value = (struct talon_host_route6){
		.source = route->prefsrc,
		.mtu = route->mtu < 65535 ? route->mtu : 65535,
		.kind = kind_of(route->type),
		.prefixlen = route->prefixlen,
		.flags = tunnel_ifindex && route->ifindex == tunnel_ifindex ? TALON_HOST_TUNNEL : 0,
	};
	return add(table, &entry);
}

/* Behind all that have routes for it. */
int host_table_add_prefix(struct host_table *table, prefix_bits addr, unsigned len)
{
	const struct host_route entry = {
		.addr = addr & prefix_mask(len), .len = len, .rank = 255, .type = RTN_THROW,
		.metric = ~0U,
	};

	return add(table, &entry);
}

static int by_prefix(const struct host_route *a, const struct host_route *b)
{
	if (a->addr != b->addr)
		return a->addr < b->addr ? -1 : 1;
	return (int)a->len - (int)b->len;
}

static int by_preference(const void *x, const void *y)
{
	const struct host_route *a = x, *b = y;
	int order = by_prefix(a, b);

	if (order)
		return order;
	if (a->rank != b->rank)
		return (int)a->rank - (int)b->rank;
	if (a->metric != b->metric)
		return a->metric < b->metric ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

static bool contains(const struct host_route *outer, const struct host_route *inner)
{
	return inner->len >= outer->len && (inner->addr & prefix_mask(outer->len)) == outer->addr;
}

void host_table_merge(struct host_table *table)
{
	size_t kept = 0;

	if (!table->count)
		return;
	qsort(table->list, table->count, sizeof(*table->list), by_preference);
	for (size_t i = 1; i < table->count; i++) {
		if (by_prefix(&table->list[kept], &table->list[i]))
			table->list[++kept] = table->list[i];
	}
	table->count = kept + 1;
}

/* The routes that contain the current one, by length. */
struct above {
	const struct host_route *list[129];
	unsigned depth;
};

static void climb(struct above *above, const struct host_route *route)
{
	while (above->depth && !contains(above->list[above->depth - 1], route))
		above->depth--;
}

bool host_table_conflict(const struct host_table *table, size_t *ret_i, prefix_bits *ret_addr)
{
	struct above above = {};

	for (size_t i = 0; i < table->count; i++) {
		const struct host_route *route = &table->list[i];

		climb(&above, route);
		for (unsigned j = 0; j < above.depth && route->table == RT_TABLE_MAIN; j++) {
			if (above.list[j]->table == RT_TABLE_LOCAL && host_table_probe(table, i, route->addr,
				route->len, ret_addr)) {
				*ret_i = i;
				return true;
			}
		}
		above.list[above.depth++] = route;
	}
	return false;
}

static bool hides(const struct host_route *outer, const struct host_route *inner, bool is_one)
{
	return outer->rank < inner->rank && !(is_one && outer->table == RT_TABLE_LOCAL &&
		inner->table == RT_TABLE_MAIN);
}

void host_table_hide(struct host_table *table, bool is_one)
{
	struct above above = {};
	size_t kept = 0;

	for (size_t i = 0; i < table->count; i++) {
		bool is_hidden = false;

		climb(&above, &table->list[i]);
		for (unsigned j = 0; j < above.depth; j++)
			is_hidden |= hides(above.list[j], &table->list[i], is_one);
		if (is_hidden)
			continue;
		table->list[kept] = table->list[i];
		above.list[above.depth++] = &table->list[kept++];
	}
	table->count = kept;
}

static int by_importance(const void *x, const void *y)
{
	const struct host_route *a = x, *b = y;
	bool is_unicast = a->value.kind == TALON_HOST_UNICAST,
		is_other_unicast = b->value.kind == TALON_HOST_UNICAST;

	if (is_unicast != is_other_unicast)
		return is_unicast - is_other_unicast;
	return a->len != b->len ? (int)a->len - (int)b->len : by_prefix(a, b);
}

size_t host_table_trim(struct host_table *table, size_t max)
{
	size_t gone = table->count > max ? table->count - max : 0;

	if (!gone)
		return 0;
	qsort(table->list, table->count, sizeof(*table->list), by_importance);
	table->count = max;
	qsort(table->list, table->count, sizeof(*table->list), by_preference);
	return gone;
}

/*
 * The network's own address is nobody's destination, nor is anything in 0.0.0.0/8; and IPv6 has global
 * addresses from 2000:: on.
 */
static prefix_bits first_usable(const struct host_table *table, prefix_bits addr, unsigned len)
{
	const prefix_bits one = (prefix_bits)1 << (128 - host_table_bits(table));

	if (table->family == AF_INET6 && !addr && len < 3)
		return (prefix_bits)0x20 << 120 | 1;
	if (table->family != AF_INET6 && !(addr >> 120) && len < 8)
		return (prefix_bits)1 << 120 | one;
	return len + 1 < host_table_bits(table) ? addr + one : addr;
}

bool host_table_probe(const struct host_table *table, size_t i, prefix_bits addr, unsigned len,
	prefix_bits *ret_addr)
{
	const struct host_route *route = &table->list[i];
	prefix_bits last, at;

	if (route->len > len) {
		addr = route->addr;
		len = route->len;
	}
	last = addr | ~prefix_mask(len);
	at = first_usable(table, addr, len);
	for (size_t j = i + 1; j < table->count && table->list[j].addr <= at &&
		contains(route, &table->list[j]); j++) {
		prefix_bits end = table->list[j].addr | ~prefix_mask(table->list[j].len);

		if (end < at)
			continue;
		if (end >= last)
			return false;
		at = end + 1;
	}
	*ret_addr = at;
	return true;
}

static bool is_same(const struct host_route *a, const struct host_route *b)
{
	return !memcmp(&a->value, &b->value, sizeof(a->value));
}

struct walk {
	host_table_fn fn;
	void *ctx;
	int ret;
};

static void tell(struct walk *walk, enum prefix_change change, const struct host_route *route)
{
	int ret = walk->fn(walk->ctx, change, route);

	if (ret && !walk->ret)
		walk->ret = ret;
}

static void pass(const struct host_table *a, const struct host_table *b, struct walk *walk,
	enum prefix_change missing, bool changed)
{
	size_t j = 0;

	for (size_t i = 0; i < a->count; i++) {
		while (j < b->count && by_prefix(&b->list[j], &a->list[i]) < 0)
			j++;
		if (j == b->count || by_prefix(&b->list[j], &a->list[i]))
			tell(walk, missing, &a->list[i]);
		else if (changed && !is_same(&b->list[j], &a->list[i]))
			tell(walk, PREFIX_CHANGE, &a->list[i]);
	}
}

int host_table_diff(const struct host_table *is, const struct host_table *wanted, host_table_fn fn, void *ctx)
{
	struct walk walk = { .fn = fn, .ctx = ctx };

	pass(wanted, is, &walk, PREFIX_ADD, true);
	pass(is, wanted, &walk, PREFIX_REMOVE, false);
	return walk.ret;
}

static bool is_local(const struct prefixes *locals, prefix_bits addr, unsigned len)
{
	for (unsigned shorter = 0; shorter <= len; shorter++) {
		if (prefixes_find(locals, addr & prefix_mask(shorter), shorter))
			return true;
	}
	return false;
}

/* Is part of @net this route's, outside of Local? */
static bool carries(const struct host_table *table, size_t i, const struct prefix *net,
	const struct prefixes *locals)
{
	const struct host_route *route = &table->list[i];
	prefix_bits addr = net->len > route->len ? net->addr : route->addr;
	unsigned len = net->len > route->len ? net->len : route->len;
	prefix_bits probe;

	return (net->value & TALON_ROUTE_MASQUERADE) && !is_local(locals, addr, len) &&
		host_table_probe(table, i, addr, len, &probe);
}

/* The first network at or behind @addr. */
static size_t find_first(const struct prefixes *set, prefix_bits addr)
{
	size_t low = 0, high = set->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (set->list[middle].addr < addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool host_table_serves(const struct host_table *table, size_t i, const struct prefixes *routes,
	const struct prefixes *locals)
{
	const struct host_route *route = &table->list[i];
	prefix_bits last = route->addr | ~prefix_mask(route->len);

	for (unsigned len = 0; len < route->len; len++) {
		const struct prefix *net = prefixes_find(routes, route->addr & prefix_mask(len), len);

		if (net && carries(table, i, net, locals))
			return true;
	}
	for (size_t j = find_first(routes, route->addr); j < routes->count &&
		routes->list[j].addr <= last; j++) {
		if (routes->list[j].len >= route->len && carries(table, i, &routes->list[j], locals))
			return true;
	}
	return false;
}

static bool is_zero(const struct talon_addr *addr)
{
	static const struct talon_addr zero;

	return !memcmp(addr, &zero, sizeof(zero));
}

static bool leads_by(const struct host_route *route, int ifindex)
{
	return route->value.kind == TALON_HOST_UNICAST && route->hops[0] == ifindex &&
		!is_zero(&route->value.source);
}

/* The default route says most, then the address that a person would name. */
static unsigned fitness(const struct host_route *route, const struct talon_addr *primary)
{
	return !route->len ? 2 : !memcmp(&route->value.source, primary, sizeof(*primary));
}

struct talon_addr host_table_source(const struct host_table *table, int ifindex,
	const struct talon_addr *primary)
{
	const struct host_route *best = NULL;

	for (size_t i = 0; i < table->count; i++) {
		const struct host_route *route = &table->list[i];
		unsigned fits = fitness(route, primary), fitted = best ? fitness(best, primary) : 0;

		if (leads_by(route, ifindex) &&
			(!best || fits > fitted || (fits == fitted && route->len < best->len)))
			best = route;
	}
	return best ? best->value.source : (struct talon_addr){};
}

bool host_table_has_other_source(const struct host_table *table, const struct talon_addr *source)
{
	for (size_t i = 0; i < table->count; i++) {
		const struct talon_host_route6 *value = &table->list[i].value;

		if (value->kind == TALON_HOST_UNICAST && !(value->flags & TALON_HOST_TUNNEL) &&
			!is_zero(&value->source) && memcmp(&value->source, source, sizeof(*source)))
			return true;
	}
	return false;
}
