// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The tunnel device's address and routes.
#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/tunnel_routes.h"
#include "log/log.h"
#include "net/net.h"

#define CHECK_NS	(200 * LOOP_MS)
#define GATEWAYS_MAX	16
#define STALE_MAX	16

/*
 * Never routed into the tunnel: the default route, this network, loopback, link-local and multicast,
 * nor any shorter prefix that contains one of them.
 */
static const struct { uint32_t addr; uint8_t len; } never[] = {
	{ 0x00000000, 8 }, { 0x7f000000, 8 }, { 0xa9fe0000, 16 }, { 0xe0000000, 3 },
};

static bool is_never_routed(const struct prefix *prefix)
{
	if (!prefix->len)
		return true;
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
		if (prefix_overlaps(prefix, never[i].addr, never[i].len))
			return true;
	}
	return false;
}

/* What matters of the main table: our routes, and others that conflict with wanted ones. */
struct scan {
	const struct tunnel_routes *tunnel;
	struct prefixes ours;		/* value: prefsrc */
	struct prefixes others;		/* the same networks as wanted ones */
	struct prefixes links;		/* connected networks */
	uint32_t gateways[GATEWAYS_MAX];
	unsigned gateway_count;
	int ret;
};

static void keep(struct scan *scan, struct prefixes *set, const struct net_route *route, uint32_t value)
{
	int ret = prefixes_add(set, route->dst.word[0], route->prefixlen, value);

	if (ret)
		scan->ret = ret;
}

static void look(const struct net_route *route, void *user)
{
	struct scan *scan = user;
	int ifindex = datapath_get_tunnel(scan->tunnel->dp)->ifindex;

	if (route->table != RT_TABLE_MAIN)
		return;
	if (route->ifindex == ifindex && route->protocol == NET_PROTOCOL) {
		keep(scan, &scan->ours, route, route->prefsrc.word[0]);
		return;
	}
	if (route->gateway.word[0]) {
		if (scan->gateway_count < GATEWAYS_MAX)
			scan->gateways[scan->gateway_count++] = ntohl(route->gateway.word[0]);
	} else if (route->ifindex != ifindex) {
		keep(scan, &scan->links, route, 0);
	}
	if (prefixes_find(&scan->tunnel->wanted, ntohl(route->dst.word[0]), route->prefixlen))
		keep(scan, &scan->others, route, 0);
}

static void scan_done(struct scan *scan)
{
	prefixes_done(&scan->ours);
	prefixes_done(&scan->others);
	prefixes_done(&scan->links);
}

static int scan_routes(struct scan *scan)
{
	int ret = net_route_list(AF_INET, look, scan);

	prefixes_sort(&scan->ours);
	prefixes_sort(&scan->others);
	return ret ? ret : scan->ret;
}

/*
 * Would a route to @prefix redirect traffic for one of this host's gateways into the tunnel, and with
 * it WireGuard, management and relay connections? Prefixes shorter than the link's own do not: the
 * link's route is more specific.
 */
static bool cuts_gateway(const struct scan *scan, const struct prefix *prefix)
{
	for (unsigned i = 0; i < scan->gateway_count; i++) {
		unsigned best = 0;

		if (!prefix_contains(prefix, scan->gateways[i]))
			continue;
		for (size_t j = 0; j < scan->links.count; j++) {
			const struct prefix *link = &scan->links.list[j];

			if (link->len > best && prefix_contains(link, scan->gateways[i]))
				best = link->len;
		}
		if (best < prefix->len)
			return true;
	}
	return false;
}

#define PREFIX_TEXT_LEN (INET_ADDRSTRLEN + 4)

static void format(const struct prefix *prefix, char text[static PREFIX_TEXT_LEN])
{
	const __be32 addr = htonl(prefix->addr);
	char host[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &addr, host, sizeof(host));
	snprintf(text, PREFIX_TEXT_LEN, "%s/%hhu", host, prefix->len);
}

/* NULL: it can be installed. */
static const char *objection(const struct scan *scan, const struct prefix *prefix)
{
	if (is_never_routed(prefix))
		return "such a network is never routed into the tunnel";
	if (prefixes_find(&scan->others, prefix->addr, prefix->len))
		return "the host has such a route already, and it is not ours";
	if (cuts_gateway(scan, prefix))
		return "it would take this host's gateway from its link";
	return NULL;
}

struct work {
	struct tunnel_routes *tunnel;
	struct scan scan;
	struct net_route_change *list;
	size_t count;
};

static int plan(void *ctx, enum prefix_change change, const struct prefix *prefix)
{
	static const enum net_route_what what[] = {
		[PREFIX_ADD] = NET_ROUTE_ADD, [PREFIX_CHANGE] = NET_ROUTE_REPLACE,
		[PREFIX_REMOVE] = NET_ROUTE_DEL,
	};
	struct work *work = ctx;

	work->list[work->count++] = (struct net_route_change){
		.what = what[change],
		.route = {
			.family = AF_INET,
			.prefixlen = prefix->len,
			.ifindex = datapath_get_tunnel(work->tunnel->dp)->ifindex,
			.dst.word[0] = htonl(prefix->addr),
			.prefsrc.word[0] = change == PREFIX_REMOVE ? 0 : prefix->value,
		},
	};
	return 0;
}

static void refuse(struct tunnel_routes *tunnel, struct prefixes *refused, const struct prefix *prefix,
	const char *why)
{
	char text[PREFIX_TEXT_LEN];

	prefixes_add(refused, htonl(prefix->addr), prefix->len, 0);
	if (prefixes_find(&tunnel->refused, prefix->addr, prefix->len))
		return;
	format(prefix, text);
	log_warn("route %s to %s is left out: %s", text, datapath_get_tunnel(tunnel->dp)->name, why);
}

/* Selects the wanted routes that can be installed. */
static int choose(struct work *work, bool strict, struct prefixes *ret_possible, char *err, size_t errlen)
{
	struct tunnel_routes *tunnel = work->tunnel;
	struct prefixes refused = {};
	int ret = 0;

	for (size_t i = 0; i < tunnel->wanted.count && !ret; i++) {
		const struct prefix *prefix = &tunnel->wanted.list[i];
		const char *why = objection(&work->scan, prefix);
		char text[PREFIX_TEXT_LEN];

		if (!why) {
			ret = prefixes_add(ret_possible, htonl(prefix->addr), prefix->len, prefix->value);
		} else if (strict && !is_never_routed(prefix)) {
			format(prefix, text);
			snprintf(err, errlen, "route %s to %s: %s", text,
				datapath_get_tunnel(tunnel->dp)->name, why);
			ret = -EEXIST;
		} else {
			refuse(tunnel, &refused, prefix, why);
		}
	}
	prefixes_sort(&refused);
	prefixes_sort(ret_possible);
	prefixes_done(&tunnel->refused);
	tunnel->refused = refused;
	return ret;
}

static int check_changes(struct work *work, char *err, size_t errlen)
{
	struct tunnel_routes *tunnel = work->tunnel;
	int ret = 0;

	for (size_t i = 0; i < work->count; i++) {
		const struct net_route_change *change = &work->list[i];
		char addr[INET_ADDRSTRLEN];

		tunnel->changes++;
		if (!change->ret || ret)
			continue;
		ret = change->ret;
		inet_ntop(AF_INET, &change->route.dst, addr, sizeof(addr));
		snprintf(err, errlen, "route %s/%u to %s: %s", addr, change->route.prefixlen,
			datapath_get_tunnel(tunnel->dp)->name, strerror(-ret));
	}
	return ret;
}

/* New routes are added before old ones are removed: the host is never without a route to the mesh. */
static int sync_routes(struct tunnel_routes *tunnel, bool strict, char *err, size_t errlen)
{
	struct work work = { .tunnel = tunnel, .scan = { .tunnel = tunnel } };
	struct prefixes possible = {};
	int ret = scan_routes(&work.scan);

	if (ret) {
		snprintf(err, errlen, "routes: %s", strerror(-ret));
		goto out;
	}
	ret = choose(&work, strict, &possible, err, errlen);
	if (ret)
		goto out;
	work.list = calloc(possible.count + work.scan.ours.count + 1, sizeof(*work.list));
	if (!work.list) {
		ret = -ENOMEM;
		snprintf(err, errlen, "routes: %s", strerror(-ret));
		goto out;
	}
	prefixes_diff(&work.scan.ours, &possible, plan, &work);
	ret = net_route_change(work.list, work.count);
	if (ret)
		snprintf(err, errlen, "routes: %s", strerror(-ret));
	else
		ret = check_changes(&work, err, errlen);
out:
	free(work.list);
	prefixes_done(&possible);
	scan_done(&work.scan);
	return ret;
}

struct addresses {
	int ifindex;
	__be32 wanted;
	bool is_there;
	struct talon_addr stale[STALE_MAX];
	unsigned stale_count;
};

static void look_at_address(const struct net_addr *addr, void *user)
{
	struct addresses *a = user;

	if (addr->ifindex != a->ifindex || addr->family != AF_INET || addr->prefixlen != 32)
		return;
	if (a->wanted && addr->addr.word[0] == a->wanted)
		a->is_there = true;
	else if (a->stale_count < STALE_MAX)
		a->stale[a->stale_count++] = addr->addr;
}

/*
 * The new address is added before routes name it as their source; the old one is removed last, since
 * its routes would be removed with it.
 */
static int sync_all(struct tunnel_routes *tunnel, bool strict, char *err, size_t errlen)
{
	struct addresses a = { .ifindex = datapath_get_tunnel(tunnel->dp)->ifindex, .wanted = tunnel->addr };
	const struct talon_addr mesh = { .word = { a.wanted } };
	int ret = net_addr_list(look_at_address, &a);

	if (!ret && a.wanted && !a.is_there) {
		tunnel->changes++;
		ret = net_addr_add(a.ifindex, AF_INET, &mesh, 32);
	}
	if (ret) {
		snprintf(err, errlen, "address on %s: %s", datapath_get_tunnel(tunnel->dp)->name,
			strerror(-ret));
		return ret;
	}
	ret = sync_routes(tunnel, strict, err, errlen);
	for (unsigned i = 0; i < a.stale_count && !ret; i++) {
		tunnel->changes++;
		net_addr_del(a.ifindex, AF_INET, &a.stale[i], 32);
	}
	return ret;
}

int tunnel_routes_sync(struct tunnel_routes *tunnel, bool strict, char *err, size_t errlen)
{
	int ret;

	if (!tunnel->is_set)
		return 0;	/* until then, what an earlier process installed stays */
	loop_timer_cancel(tunnel->loop, &tunnel->timer);
	ret = sync_all(tunnel, strict, err, errlen);
	tunnel->is_dirty = ret != 0;
	return ret;
}

static void check(void *ctx)
{
	struct tunnel_routes *tunnel = ctx;
	uint64_t before = tunnel->changes;
	static struct log_limit limit;
	char err[200];

	if (tunnel_routes_sync(tunnel, false, err, sizeof(err)))
		log_limited(&limit, LOG_LEVEL_WARN, "%s", err);
	else if (tunnel->changes != before)
		log_limited(&limit, LOG_LEVEL_INFO,
			"routes or the address of %s were changed by somebody; they are as they should be "
			"again", datapath_get_tunnel(tunnel->dp)->name);
}

void tunnel_routes_check_soon(struct tunnel_routes *tunnel)
{
	tunnel->is_dirty = true;
	if (!loop_timer_is_set(&tunnel->timer))
		loop_timer_after(tunnel->loop, &tunnel->timer, CHECK_NS);
}

static bool is_same(const struct prefixes *a, const struct prefixes *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		if (a->list[i].addr != b->list[i].addr || a->list[i].len != b->list[i].len ||
			a->list[i].value != b->list[i].value)
			return false;
	}
	return true;
}

/* The mesh, networks behind peers, the spare SNAT address. */
static int list_wanted(const struct tunnel_wish *wish, struct prefixes *ret_wanted)
{
	const struct prefix mesh = {
		.addr = ntohl(wish->mesh_addr) & prefix_mask(wish->mesh_prefixlen),
		.len = wish->mesh_prefixlen,
	};
	bool has_mesh = wish->mesh_addr && wish->mesh_prefixlen < 32;
	int ret = has_mesh ? prefixes_add(ret_wanted, wish->mesh_addr, mesh.len, wish->own_addr) : 0;

	for (size_t i = 0; i < wish->route_count && !ret; i++) {
		const struct cidr *r = &wish->routes[i];

		if (r->family != AF_INET || (has_mesh && r->prefixlen >= mesh.len &&
			prefix_contains(&mesh, ntohl(r->addr.word[0]))))
			continue;
		ret = prefixes_add(ret_wanted, r->addr.word[0], r->prefixlen, wish->own_addr);
	}
	if (!ret && wish->snat_addr)
		ret = prefixes_add(ret_wanted, wish->snat_addr, 32, 0);
	prefixes_sort(ret_wanted);
	return ret;
}

int tunnel_routes_set(struct tunnel_routes *tunnel, const struct tunnel_wish *wish, bool strict, char *err,
	size_t errlen)
{
	struct prefixes wanted = {};
	int ret = list_wanted(wish, &wanted);

	if (ret) {
		snprintf(err, errlen, "routes: %s", strerror(-ret));
		prefixes_done(&wanted);
		return ret;
	}
	if (tunnel->is_set && !tunnel->is_dirty && tunnel->addr == wish->own_addr &&
		is_same(&tunnel->wanted, &wanted)) {
		prefixes_done(&wanted);
		return 0;
	}
	prefixes_done(&tunnel->wanted);
	tunnel->wanted = wanted;
	tunnel->addr = wish->own_addr;
	tunnel->is_set = true;
	return tunnel_routes_sync(tunnel, strict, err, errlen);
}

bool tunnel_routes_is_refused(const struct tunnel_routes *tunnel, const struct cidr *net)
{
	return net->family == AF_INET && prefixes_find(&tunnel->refused, ntohl(net->addr.word[0]),
		net->prefixlen);
}

void tunnel_routes_init(struct tunnel_routes *tunnel, struct loop *loop)
{
	*tunnel = (struct tunnel_routes){ .loop = loop };
	loop_timer_init(&tunnel->timer, check, tunnel);
}

void tunnel_routes_done(struct tunnel_routes *tunnel)
{
	prefixes_done(&tunnel->wanted);
	prefixes_done(&tunnel->refused);
}
