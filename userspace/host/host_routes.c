// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Maps host4 and host6: the host's routes as the datapath has to know them, written by difference.
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "host/host_routes.h"
#include "net/net.h"

static uint8_t family_of(const struct host_table *table)
{
	return table->family == AF_INET6 ? AF_INET6 : AF_INET;
}

static bool is_zero(const struct talon_addr *addr)
{
	static const struct talon_addr zero;

	return !memcmp(addr, &zero, sizeof(zero));
}

struct reading {
	struct host_table *table;
	struct host_plan plan;
	int tunnel_ifindex;
	int ret;			/* the first error inside a callback */
};

static void take_rule(const struct net_rule *rule, void *user)
{
	struct reading *r = user;

	if (host_plan_add(&r->plan, rule) && !r->ret)
		r->ret = host_table_add_prefix(r->table, prefix_bits_of(&rule->dst), rule->prefixlen);
}

static void take_route(const struct net_route *route, void *user)
{
	struct reading *r = user;

	if (!r->ret)
		r->ret = host_table_add(r->table, &r->plan, route, r->tunnel_ifindex);
}

static int read_kernel(struct reading *r)
{
	uint8_t family = family_of(r->table);
	int ret = net_rule_list(family, take_rule, r);

	if (ret && ret != -EOPNOTSUPP)
		return ret;
	if (ret || !r->plan.count)
		host_plan_default(&r->plan);
	ret = net_route_list(family, take_route, r);
	return ret ? ret : r->ret;
}

/* Routes whose source address has to be asked from the kernel. */
struct question {
	uint32_t place;			/* in the table */
	uint32_t asked;			/* the query that answers it; ~0: none */
};

struct questions {
	struct host_table *table;
	struct question *list;
	size_t count;
	struct net_route_query *queries;
	size_t query_count;
};

static int compare_u32(uint32_t a, uint32_t b)
{
	return a < b ? -1 : a > b;
}

/*
 * RFC 6724: for IPv6 the destination counts too, whether it is a unique local address (rule 6), and on a link
 * how much it has in common with each source (rule 8).
 */
static int by_destination(const struct host_route *a, const struct host_route *b)
{
	int order = compare_u32(a->addr >> 121 == 0xfc >> 1, b->addr >> 121 == 0xfc >> 1);

	if (order || !is_zero(&a->gateway))
		return order;
	return a->addr < b->addr ? -1 : a->addr > b->addr;
}

/* Sorts by what determines the kernel's choice of a source: device, gateway, scope. */
static int by_way(const void *x, const void *y, void *user)
{
	const struct host_table *table = user;
	const struct host_route *a = &table->list[((const struct question *)x)->place],
		*b = &table->list[((const struct question *)y)->place];
	int order = compare_u32(a->hops[0], b->hops[0]);

	if (!order)
		order = memcmp(&a->gateway, &b->gateway, sizeof(a->gateway));
	if (!order && table->family == AF_INET6)
		order = by_destination(a, b);
	return order ? order : (int)a->scope - (int)b->scope;
}

static void ask_about(struct questions *q, size_t place, uint32_t *ret_asked)
{
	const struct host_route *route = &q->table->list[place];
	struct net_route_query query = { .family = family_of(q->table),
		.ifindex = route->is_split ? route->hops[0] : 0 };
	prefix_bits addr;

	*ret_asked = ~0U;
	if (!host_table_probe(q->table, place, route->addr, route->len, &addr))
		return;
	query.dst = prefix_addr_of(addr);
	*ret_asked = q->query_count;
	q->queries[q->query_count++] = query;
}

/* One query for all routes with the same way; routes that name their source need none. */
static void gather_ways(struct questions *q)
{
	uint32_t asked = ~0U;

	for (size_t i = 0; i < q->table->count; i++) {
		const struct host_route *route = &q->table->list[i];

		if (route->value.kind == TALON_HOST_UNICAST && is_zero(&route->value.source))
			q->list[q->count++] = (struct question){ .place = i };
	}
	if (q->count)
		qsort_r(q->list, q->count, sizeof(*q->list), by_way, q->table);
	for (size_t i = 0; i < q->count; i++) {
		bool is_new = !i || by_way(&q->list[i - 1], &q->list[i], q->table) ||
			!q->table->list[q->list[i].place].hops[0];

		if (is_new || asked == ~0U)
			ask_about(q, q->list[i].place, &asked);
		q->list[i].asked = asked;
	}
}

static void gather_all(struct questions *q)
{
	for (size_t i = 0; i < q->table->count; i++) {
		q->list[q->count].place = i;
		ask_about(q, i, &q->list[q->count++].asked);
	}
}

/* A route by a nexthop object may not name its device. */
static void take_source(struct host_route *route, const struct net_route_query *query, int tunnel_ifindex)
{
	if (query->ret)
		return;
	route->value.source = query->route.prefsrc;
	if (route->hops[0])
		return;
	route->hops[0] = query->route.ifindex;
	if (tunnel_ifindex && route->hops[0] == tunnel_ifindex)
		route->value.flags |= TALON_HOST_TUNNEL;
}

/* With rules that only the kernel understands, all that is known of a prefix is its answer. */
static void take_answer(struct host_route *route, const struct net_route_query *query, int tunnel_ifindex)
{
	struct host_plan one = { .tables = { query->route.table }, .count = 1 };
	struct net_route answer = query->route;
	struct host_table scratch = { .family = query->family };

	if (query->ret) {
		route->value = (struct talon_host_route6){ .kind = TALON_HOST_REFUSED,
			.prefixlen = route->len };
		return;
	}
	answer.dst = prefix_addr_of(route->addr);
	answer.prefixlen = route->len;
	if (answer.table == route->table)
		answer.mtu = route->value.mtu;	/* the answer's may be what was learned of one destination */
	if (!host_table_add(&scratch, &one, &answer, tunnel_ifindex) && scratch.count) {
		route->value = scratch.list[0].value;
		route->type = scratch.list[0].type;
		if (answer.table != route->table || !route->hops[0])
			memcpy(route->hops, scratch.list[0].hops, sizeof(route->hops));
	}
	host_table_done(&scratch);
}

static void drop_unknown(struct host_table *table)
{
	size_t kept = 0;

	for (size_t i = 0; i < table->count; i++) {
		if (table->list[i].value.kind)
			table->list[kept++] = table->list[i];
	}
	table->count = kept;
}

/* The source of a packet to an own address is that address. */
static void name_own(struct host_table *table)
{
	for (size_t i = 0; i < table->count; i++) {
		struct host_route *route = &table->list[i];

		if (route->value.kind == TALON_HOST_LOCAL && route->len == host_table_bits(table) &&
			is_zero(&route->value.source))
			route->value.source = prefix_addr_of(route->addr);
	}
}

static int ask_kernel(struct reading *r)
{
	struct host_table *table = r->table;
	struct questions q = {
		.table = table,
		.list = calloc(table->count + 1, sizeof(*q.list)),
		.queries = calloc(table->count + 1, sizeof(*q.queries)),
	};
	int ret = q.list && q.queries ? 0 : -ENOMEM;

	if (!ret && r->plan.must_ask)
		gather_all(&q);
	else if (!ret)
		gather_ways(&q);
	if (!ret)
		ret = net_route_lookup_many(q.queries, q.query_count);
	for (size_t i = 0; i < q.count && !ret; i++) {
		struct host_route *route = &table->list[q.list[i].place];

		if (q.list[i].asked == ~0U)
			continue;
		if (r->plan.must_ask)
			take_answer(route, &q.queries[q.list[i].asked], r->tunnel_ifindex);
		else
			take_source(route, &q.queries[q.list[i].asked], r->tunnel_ifindex);
	}
	free(q.list);
	free(q.queries);
	return ret;
}

/* Nothing tells but an answer. */
static bool tables_are_one(const struct host_table *table)
{
	struct net_route_query query = { .family = family_of(table) };
	prefix_bits addr;
	size_t i;

	if (table->family == AF_INET6)
		return false;		/* there they never are */
	if (!host_table_conflict(table, &i, &addr))
		return true;
	query.dst = prefix_addr_of(addr);
	return net_route_lookup_many(&query, 1) || query.ret || query.route.type == table->list[i].type;
}

static bool has_no_ipv6(const struct host_table *table, int ret)
{
	return table->family == AF_INET6 && (ret == -EAFNOSUPPORT || ret == -EOPNOTSUPP);
}

int host_routes_read(struct host_table *ret_table, uint8_t family, int tunnel_ifindex)
{
	struct host_table table = { .family = family };
	struct reading r = { .table = &table, .tunnel_ifindex = tunnel_ifindex };
	int ret = read_kernel(&r);

	if (!ret) {
		host_table_merge(&table);
		if (!r.plan.must_ask)
			host_table_hide(&table, tables_are_one(&table));
		ret = ask_kernel(&r);
	}
	if (ret) {
		host_table_done(&table);
		if (!has_no_ipv6(&table, ret))
			return ret;
	}
	drop_unknown(&table);
	name_own(&table);
	*ret_table = table;
	return 0;
}

struct writing {
	int map;
	uint8_t family;
	bool changed;
};

static struct talon_host_route to_value4(const struct talon_host_route6 *value)
{
	return (struct talon_host_route){ .source = value->source.word[0], .mtu = value->mtu,
		.kind = value->kind, .prefixlen = value->prefixlen, .flags = value->flags };
}

static struct talon_host_route6 from_value4(const struct talon_host_route *value)
{
	return (struct talon_host_route6){ .source.word[0] = value->source, .mtu = value->mtu,
		.kind = value->kind, .prefixlen = value->prefixlen, .flags = value->flags };
}

/* A key of either family: IPv4 keys are shorter, and the kernel reads no more of them. */
static struct talon_lpm6 key_of(const struct host_route *route)
{
	return (struct talon_lpm6){ .prefixlen = route->len, .addr = prefix_addr_of(route->addr) };
}

static int write_entry(void *ctx, enum prefix_change change, const struct host_route *route)
{
	const struct talon_host_route value4 = to_value4(&route->value);
	const struct talon_lpm6 key = key_of(route);
	struct writing *w = ctx;

	w->changed = true;
	if (change == PREFIX_REMOVE)
		return bpf_map_delete_elem(w->map, &key) && errno != ENOENT ? -errno : 0;
	return bpf_map_update_elem(w->map, &key, w->family == AF_INET6 ? (const void *)&route->value
		: &value4, BPF_ANY) ? -errno : 0;
}

static int read_value(int map, const struct talon_lpm6 *key, uint8_t family,
	struct talon_host_route6 *ret_value)
{
	struct talon_host_route value4;

	if (family == AF_INET6)
		return bpf_map_lookup_elem(map, key, ret_value);
	if (bpf_map_lookup_elem(map, key, &value4))
		return -1;
	*ret_value = from_value4(&value4);
	return 0;
}

/* Reads what the map holds, from an earlier process or after a failed write. */
static int read_map(int map, struct host_table *table)
{
	struct talon_lpm6 key = {}, next = {}, *last = NULL;
	struct host_plan any = { .count = 1 };
	int ret = 0;

	host_table_done(table);
	while (!ret && !bpf_map_get_next_key(map, last, &next)) {
		struct net_route route = { .family = family_of(table), .type = RTN_UNICAST, .dst = next.addr,
			.prefixlen = next.prefixlen };
		struct talon_host_route6 value;

		key = next;
		last = &key;
		if (read_value(map, &key, table->family, &value))
			continue;
		ret = host_table_add(table, &any, &route, 0);
		if (!ret)
			table->list[table->count - 1].value = value;
	}
	host_table_merge(table);
	return ret;
}

static int map_of(const struct host_routes *routes, const struct datapath *dp)
{
	return datapath_map_fd(dp, routes->table.family == AF_INET6 ? DATAPATH_MAP_HOST6
		: DATAPATH_MAP_HOST4);
}

/* Takes over @wanted. */
static int write_table(struct host_routes *routes, const struct datapath *dp, struct host_table *wanted,
	bool *ret_changed)
{
	struct writing w = { .map = map_of(routes, dp), .family = routes->table.family };
	int ret;

	if (!routes->is_known)
		read_map(w.map, &routes->table);
	ret = host_table_diff(&routes->table, wanted, write_entry, &w);
	routes->is_known = !ret;
	*ret_changed |= w.changed;
	host_table_done(&routes->table);
	routes->table = *wanted;
	return ret;
}

int host_routes_sync(struct host_routes *routes, const struct datapath *dp, bool *ret_changed)
{
	struct host_table wanted = {};
	int ret = host_routes_read(&wanted, family_of(&routes->table), datapath_get_tunnel(dp)->ifindex);

	if (ret)
		return ret;
	routes->left_out = host_table_trim(&wanted, TALON_HOST_ROUTES_MAX);
	return write_table(routes, dp, &wanted, ret_changed);
}

void host_routes_clear(struct host_routes *routes, const struct datapath *dp, bool *ret_changed)
{
	struct host_table none = { .family = routes->table.family };

	routes->left_out = 0;
	if (!routes->is_known || routes->table.count)
		write_table(routes, dp, &none, ret_changed);
}

void host_routes_done(struct host_routes *routes)
{
	host_table_done(&routes->table);
}
