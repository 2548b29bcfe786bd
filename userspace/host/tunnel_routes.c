// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The tunnel device's addresses and routes.
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
 * nor any shorter prefix that contains one of them; of IPv6 v4-mapped addresses neither.
 */
#define TOP(word) ((prefix_bits)(word) << 96)	/* an IPv4 address, or the first 32 bits of an IPv6 one */

static const struct prefix never4[] = {
	{ .addr = 0, .len = 8 }, { .addr = TOP(0x7f000000), .len = 8 },
	{ .addr = TOP(0xa9fe0000), .len = 16 },
	{ .addr = TOP(0xe0000000), .len = 3 },
}, never6[] = {
	{ .addr = 0, .len = 127 }, { .addr = (prefix_bits)0xffff << 32, .len = 96 },
	{ .addr = TOP(0xfe800000), .len = 10 }, { .addr = TOP(0xff000000), .len = 8 },
};

static bool overlaps_any(const struct prefix *list, size_t count, const struct prefix *prefix)
{
	for (size_t i = 0; i < count; i++) {
		if (prefix_overlaps(prefix, list[i].addr, list[i].len))
			return true;
	}
	return false;
}

static bool is_never_routed(uint8_t family, const struct prefix *prefix)
{
	if (!prefix->len)
		return true;
	if (family == AF_INET6)
		return overlaps_any(never6, sizeof(never6) / sizeof(never6[0]), prefix);
	return overlaps_any(never4, sizeof(never4) / sizeof(never4[0]), prefix);
}

static bool is_zero(const struct talon_addr *addr)
{
	static const struct talon_addr zero;

	return !memcmp(addr, &zero, sizeof(zero));
}

/* Which preferred source a route has; those of wanted routes are NONE and OWN. */
enum of_source { SOURCE_NONE, SOURCE_OWN, SOURCE_OTHER };

/* What matters of the main table: our routes, and others that conflict with wanted ones. */
struct scan {
	const struct tunnel_routes *tunnel;
	const struct tunnel_family *of;
	struct prefixes ours;		/* value: enum of_source */
	struct prefixes others;		/* the same networks as wanted ones */
	struct prefixes links;		/* connected networks */
	prefix_bits gateways[GATEWAYS_MAX];
	unsigned gateway_count;
	int ret;
};

static void keep(struct scan *scan, struct prefixes *set, const struct net_route *route, uint32_t value)
{
	int ret = prefixes_add(set, prefix_bits_of(&route->dst), route->prefixlen, value);

	if (ret)
		scan->ret = ret;
}

static enum of_source source_of(const struct tunnel_family *of, const struct net_route *route)
{
	if (is_zero(&route->prefsrc))
		return SOURCE_NONE;
	return memcmp(&route->prefsrc, &of->addr, sizeof(of->addr)) ? SOURCE_OTHER : SOURCE_OWN;
}

static void look(const struct net_route *route, void *user)
{
	struct scan *scan = user;
	int ifindex = datapath_get_tunnel(scan->tunnel->dp)->ifindex;

	if (route->table != RT_TABLE_MAIN || route->family != scan->of->family)
		return;
	if (route->ifindex == ifindex && route->protocol == NET_PROTOCOL) {
		keep(scan, &scan->ours, route, source_of(scan->of, route));
		return;
	}
	if (!is_zero(&route->gateway)) {
		if (scan->gateway_count < GATEWAYS_MAX)
			scan->gateways[scan->gateway_count++] = prefix_bits_of(&route->gateway);
	} else if (route->ifindex != ifindex) {
		keep(scan, &scan->links, route, 0);
	}
	if (prefixes_find(&scan->of->wanted, prefix_bits_of(&route->dst), route->prefixlen))
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
	int ret = net_route_list(scan->of->family, look, scan);

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

static void format(uint8_t family, const struct prefix *prefix, char text[static CIDR_TEXT_LEN])
{
	const struct cidr cidr = { .family = family, .prefixlen = prefix->len,
		.addr = prefix_addr_of(prefix->addr) };

	cidr_format(&cidr, text, CIDR_TEXT_LEN);
}

/* NULL: it can be installed. */
static const char *objection(const struct scan *scan, const struct prefix *prefix)
{
	if (is_never_routed(scan->of->family, prefix))
		return "such a network is never routed into the tunnel";
	if (prefixes_find(&scan->others, prefix->addr, prefix->len))
		return "the host has such a route already, and it is not ours";
	if (cuts_gateway(scan, prefix))
		return "it would take this host's gateway from its link";
	return NULL;
}

struct work {
	struct tunnel_routes *tunnel;
	struct tunnel_family *of;
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
			.family = work->of->family,
			.prefixlen = prefix->len,
			.ifindex = datapath_get_tunnel(work->tunnel->dp)->ifindex,
			.dst = prefix_addr_of(prefix->addr),
		},
	};
	if (change != PREFIX_REMOVE && prefix->value == SOURCE_OWN)
		work->list[work->count - 1].route.prefsrc = work->of->addr;
	return 0;
}

static void refuse(const struct work *work, struct prefixes *refused, const struct prefix *prefix,
	const char *why)
{
	char text[CIDR_TEXT_LEN];

	prefixes_add(refused, prefix->addr, prefix->len, 0);
	if (prefixes_find(&work->of->refused, prefix->addr, prefix->len))
		return;
	format(work->of->family, prefix, text);
	log_warn("route %s to %s is left out: %s", text, datapath_get_tunnel(work->tunnel->dp)->name, why);
}

/* Selects the wanted routes that can be installed. */
static int choose(struct work *work, bool strict, struct prefixes *ret_possible, char *err, size_t errlen)
{
	struct tunnel_family *of = work->of;
	struct prefixes refused = {};
	int ret = 0;

	for (size_t i = 0; i < of->wanted.count && !ret; i++) {
		const struct prefix *prefix = &of->wanted.list[i];
		const char *why = objection(&work->scan, prefix);
		char text[CIDR_TEXT_LEN];

		if (!why) {
			ret = prefixes_add(ret_possible, prefix->addr, prefix->len, prefix->value);
		} else if (strict && !is_never_routed(of->family, prefix)) {
			format(of->family, prefix, text);
			snprintf(err, errlen, "route %s to %s: %s", text,
				datapath_get_tunnel(work->tunnel->dp)->name, why);
			ret = -EEXIST;
		} else {
			refuse(work, &refused, prefix, why);
		}
	}
	prefixes_sort(&refused);
	prefixes_sort(ret_possible);
	prefixes_done(&of->refused);
	of->refused = refused;
	return ret;
}

static int check_changes(struct work *work, char *err, size_t errlen)
{
	struct tunnel_routes *tunnel = work->tunnel;
	int ret = 0;

	for (size_t i = 0; i < work->count; i++) {
		const struct net_route_change *change = &work->list[i];
		char addr[INET6_ADDRSTRLEN];

		tunnel->changes++;
		if (!change->ret || ret)
			continue;
		ret = change->ret;
		inet_ntop(change->route.family, &change->route.dst, addr, sizeof(addr));
		snprintf(err, errlen, "route %s/%u to %s: %s", addr, change->route.prefixlen,
			datapath_get_tunnel(tunnel->dp)->name, strerror(-ret));
	}
	return ret;
}

/* New routes are added before old ones are removed: the host is never without a route to the mesh. */
static int sync_routes(struct tunnel_routes *tunnel, struct tunnel_family *of, bool strict, char *err,
	size_t errlen)
{
	struct work work = { .tunnel = tunnel, .of = of, .scan = { .tunnel = tunnel, .of = of } };
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
	const struct tunnel_family *of;
	bool is_there;
	struct talon_addr stale[STALE_MAX];
	unsigned stale_count;
};

static unsigned bits_of(const struct tunnel_family *of)
{
	return of->family == AF_INET6 ? 128 : 32;
}

static void look_at_address(const struct net_addr *addr, void *user)
{
	struct addresses *a = user;

	if (addr->ifindex != a->ifindex || addr->family != a->of->family || addr->prefixlen != bits_of(a->of))
		return;
	if (!is_zero(&a->of->addr) && !memcmp(&addr->addr, &a->of->addr, sizeof(addr->addr)))
		a->is_there = true;
	else if (a->stale_count < STALE_MAX)
		a->stale[a->stale_count++] = addr->addr;
}

/*
 * The new address is added before routes name it as their source; the old one is removed last, since
 * its routes would be removed with it.
 */
static int sync_family(struct tunnel_routes *tunnel, struct tunnel_family *of, bool strict, char *err,
	size_t errlen)
{
	struct addresses a = { .ifindex = datapath_get_tunnel(tunnel->dp)->ifindex, .of = of };
	int ret = net_addr_list(look_at_address, &a);

	if (!ret && !is_zero(&of->addr) && !a.is_there) {
		tunnel->changes++;
		ret = net_addr_add(a.ifindex, of->family, &of->addr, bits_of(of));
	}
	if (ret) {
		snprintf(err, errlen, "%s on %s: %s", of->family == AF_INET6 ? "IPv6 address" : "address",
			datapath_get_tunnel(tunnel->dp)->name, strerror(-ret));
		return ret;
	}
	ret = sync_routes(tunnel, of, strict, err, errlen);
	for (unsigned i = 0; i < a.stale_count && !ret; i++) {
		tunnel->changes++;
		net_addr_del(a.ifindex, of->family, &a.stale[i], bits_of(of));
	}
	return ret;
}

/* What a host without IPv6 cannot have is no error of it: only a route that is somebody else's is. */
static int sync_six(struct tunnel_routes *tunnel, bool strict, char *err, size_t errlen)
{
	const bool is_wanted = !is_zero(&tunnel->six.addr) || tunnel->six.wanted.count;
	char why[sizeof(tunnel->no_ipv6)] = "";
	int ret = sync_family(tunnel, &tunnel->six, strict, why, sizeof(why));

	if (ret == -EEXIST && strict) {
		snprintf(err, errlen, "%s", why);
		return ret;
	}
	if (!ret || !is_wanted)		/* there may be nothing to take away from either */
		why[0] = '\0';
	memcpy(tunnel->no_ipv6, why, sizeof(why));
	return 0;
}

static int sync_all(struct tunnel_routes *tunnel, bool strict, char *err, size_t errlen)
{
	int ret = sync_family(tunnel, &tunnel->four, strict, err, errlen),
		ret6 = sync_six(tunnel, strict, ret ? (char[1]){} : err, ret ? 1 : errlen);

	return ret ? ret : ret6;
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
			"routes or addresses of %s were changed by somebody; they are as they should be "
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

static int want_mesh(struct tunnel_family *of, const struct talon_addr *mesh, unsigned len)
{
	if (is_zero(mesh) || len >= bits_of(of))
		return 0;
	return prefixes_add(&of->wanted, prefix_bits_of(mesh), len, !is_zero(&of->addr));
}

static bool is_of_mesh(const struct cidr *net, const struct talon_addr *mesh, unsigned len)
{
	const struct prefix prefix = { .addr = prefix_bits_of(mesh) & prefix_mask(len), .len = len };

	return !is_zero(mesh) && net->prefixlen >= len &&
		prefix_contains(&prefix, prefix_bits_of(&net->addr));
}

/* A network behind a peer; one inside the mesh's own has its route already. */
static int want_network(struct tunnel_family *four, struct tunnel_family *six, const struct tunnel_wish *wish,
	const struct cidr *net)
{
	const struct talon_addr mesh = { .word = { wish->mesh_addr } };
	const bool is_six = net->family == AF_INET6;
	struct tunnel_family *of = is_six ? six : four;

	if ((is_six && is_zero(&wish->mesh_addr6)) || is_of_mesh(net, is_six ? &wish->mesh_addr6 : &mesh,
		is_six ? wish->mesh_prefixlen6 : wish->mesh_prefixlen))
		return 0;
	return prefixes_add(&of->wanted, prefix_bits_of(&net->addr), net->prefixlen, !is_zero(&of->addr));
}

/* The mesh, networks behind peers, the spare SNAT address. */
static int list_wanted(const struct tunnel_wish *wish, struct tunnel_family *four, struct tunnel_family *six)
{
	const struct talon_addr mesh = { .word = { wish->mesh_addr } },
		snat = { .word = { wish->snat_addr } };
	int ret;

	four->addr = (struct talon_addr){ .word = { wish->own_addr } };
	six->addr = wish->own_addr6;
	ret = want_mesh(four, &mesh, wish->mesh_prefixlen);
	if (!ret)
		ret = want_mesh(six, &wish->mesh_addr6, wish->mesh_prefixlen6);
	for (size_t i = 0; i < wish->route_count && !ret; i++)
		ret = want_network(four, six, wish, &wish->routes[i]);
	if (!ret && wish->snat_addr)
		ret = prefixes_add(&four->wanted, prefix_bits_of(&snat), 32, SOURCE_NONE);
	prefixes_sort(&four->wanted);
	prefixes_sort(&six->wanted);
	return ret;
}

static bool is_family_same(const struct tunnel_family *a, const struct tunnel_family *b)
{
	return !memcmp(&a->addr, &b->addr, sizeof(a->addr)) && is_same(&a->wanted, &b->wanted);
}

static void take_over(struct tunnel_family *of, struct tunnel_family *wanted)
{
	prefixes_done(&of->wanted);
	of->wanted = wanted->wanted;
	of->addr = wanted->addr;
}

int tunnel_routes_set(struct tunnel_routes *tunnel, const struct tunnel_wish *wish, bool strict, char *err,
	size_t errlen)
{
	struct tunnel_family four = { .family = AF_INET }, six = { .family = AF_INET6 };
	int ret = list_wanted(wish, &four, &six);
	bool is_new = !tunnel->is_set || tunnel->is_dirty || !is_family_same(&tunnel->four, &four) ||
		!is_family_same(&tunnel->six, &six);

	if (ret || !is_new) {
		if (ret)
			snprintf(err, errlen, "routes: %s", strerror(-ret));
		prefixes_done(&four.wanted);
		prefixes_done(&six.wanted);
		return ret;
	}
	take_over(&tunnel->four, &four);
	take_over(&tunnel->six, &six);
	tunnel->is_set = true;
	return tunnel_routes_sync(tunnel, strict, err, errlen);
}

const char *tunnel_routes_why_no_ipv6(const struct tunnel_routes *tunnel)
{
	return tunnel->no_ipv6;
}

bool tunnel_routes_is_refused(const struct tunnel_routes *tunnel, const struct cidr *net)
{
	return prefixes_find(net->family == AF_INET6 ? &tunnel->six.refused : &tunnel->four.refused,
		prefix_bits_of(&net->addr), net->prefixlen);
}

void tunnel_routes_init(struct tunnel_routes *tunnel, struct loop *loop)
{
	*tunnel = (struct tunnel_routes){ .loop = loop, .four.family = AF_INET, .six.family = AF_INET6 };
	loop_timer_init(&tunnel->timer, check, tunnel);
}

void tunnel_routes_done(struct tunnel_routes *tunnel)
{
	prefixes_done(&tunnel->four.wanted);
	prefixes_done(&tunnel->four.refused);
	prefixes_done(&tunnel->six.wanted);
	prefixes_done(&tunnel->six.refused);
}
