// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Devices: which exist, which take redirected frames, and on which replies arrive.
#include <errno.h>
#include <net/if_arp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "base/clock.h"
#include "host/ways.h"

#define SOON_NS		(100 * 1000000ULL)
#define SOON_MAX_NS	(800 * 1000000ULL)
#define COST_SHARE	9	/* a look takes at most a tenth of the time */

static int by_ifindex(const void *x, const void *y)
{
	const struct way_link *a = x, *b = y;

	return (a->ifindex > b->ifindex) - (a->ifindex < b->ifindex);
}

static struct way_link *find_link(const struct way_links *links, int ifindex)
{
	const struct way_link key = { .ifindex = ifindex };

	return links->count ? bsearch(&key, links->list, links->count, sizeof(key), by_ifindex) : NULL;
}

struct link_reading {
	struct way_links *links;
	int ret;
};

static void take_link(const struct net_link *link, void *user)
{
	struct link_reading *r = user;
	struct way_links *links = r->links;
	struct way_link *way;

	if (links->count == links->room) {
		size_t room = links->room ? 2 * links->room : 16;
		struct way_link *larger = reallocarray(links->list, room, sizeof(*larger));

		if (!larger) {
			r->ret = -ENOMEM;
			return;
		}
		links->list = larger;
		links->room = room;
	}
	way = &links->list[links->count++];
	*way = (struct way_link){
		.ifindex = link->ifindex,
		.is_ethernet = link->type == ARPHRD_ETHER,
		.is_loopback = link->type == ARPHRD_LOOPBACK,
		.value.mtu = link->mtu < 65535 ? link->mtu : 65535,
	};
	if (!way->is_ethernet || (link->flags & IFF_NOARP))
		way->value.flags |= TALON_LINK_NOARP;
	memcpy(way->name, link->name, sizeof(way->name));
	memcpy(way->value.mac, link->mac, sizeof(way->value.mac));
}

/* By index or name: a device may have been renamed, or made again under its old name. */
static const struct datapath_uplink *find_uplink(const struct ways *ways, const struct way_link *link)
{
	for (unsigned i = 0; i < datapath_uplink_count(ways->dp); i++) {
		const struct datapath_uplink *uplink = datapath_get_uplink(ways->dp, i);

		if (uplink->ifindex == link->ifindex || !strcmp(uplink->name, link->name))
			return uplink;
	}
	return NULL;
}

static void take_redirect(int ifindex, bool takes, void *user)
{
	struct way_link *link = find_link(user, ifindex);

	if (link && takes && link->is_ethernet)
		link->value.flags |= TALON_LINK_REDIRECT;
}

/* Generic XDP can redirect to any device the stack can send by. */
static bool is_all_generic(const struct ways *ways)
{
	for (unsigned i = 0; i < datapath_uplink_count(ways->dp); i++) {
		if (datapath_get_uplink(ways->dp, i)->mode != DATAPATH_XDP_GENERIC)
			return false;
	}
	return true;
}

/*
 * For kernels that do not report it: a native program of ours enables redirects on its device, except
 * on a veth, where the other end decides.
 */
static void guess_redirects(const struct ways *ways, struct way_links *links)
{
	for (size_t i = 0; i < links->count; i++) {
		const struct datapath_uplink *uplink = find_uplink(ways, &links->list[i]);

		if (uplink && uplink->mode == DATAPATH_XDP && strcmp(uplink->kind, "veth"))
			links->list[i].value.flags |= TALON_LINK_REDIRECT;
	}
}

static int read_redirects(const struct ways *ways, struct way_links *links)
{
	int ret = 0;

	if (is_all_generic(ways)) {
		for (size_t i = 0; i < links->count; i++)
			take_redirect(links->list[i].ifindex, true, links);
		return 0;
	}
	ret = net_redirect_list(take_redirect, links);
	if (ret == -EOPNOTSUPP) {
		guess_redirects(ways, links);
		ret = 0;
	}
	return ret;
}

static int read_links(const struct ways *ways, struct way_links *links)
{
	struct link_reading r = { .links = links };
	int ret = net_link_list(take_link, &r);

	if (!ret)
		ret = r.ret;
	if (ret)
		return ret;
	qsort(links->list, links->count, sizeof(*links->list), by_ifindex);
	for (size_t i = 0; i < links->count; i++) {
		if (find_uplink(ways, &links->list[i]))
			links->list[i].value.flags |= TALON_LINK_UPLINK;
	}
	return read_redirects(ways, links);
}

/* Hazards. */

static void say(struct ways *ways, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct ways *ways, const char *fmt, ...)
{
	size_t at = strlen(ways->hazards);
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(ways->hazards + at, sizeof(ways->hazards) - at, fmt, args);
	va_end(args);
	if (len < 0 || (size_t)len >= sizeof(ways->hazards) - at)
		ways->hazards[at] = 0;	/* whole lines only */
}

static void say_more_sides(struct ways *ways, const struct way_links *links, unsigned count)
{
	char names[160] = "";
	size_t at = 0;

	for (size_t i = 0; i < links->count; i++) {
		if (!links->list[i].is_side)
			continue;
		if (count) {
			count--;
			continue;
		}
		if (at + IFNAMSIZ + 6 > sizeof(names)) {
			at += snprintf(names + at, sizeof(names) - at, ", ...");
			break;
		}
		at += snprintf(names + at, sizeof(names) - at, "%s%s", at ? ", " : "", links->list[i].name);
	}
	say(ways, "networks behind more than %u devices are masqueraded: replies that come in by %s are not "
		"found\n", DATAPATH_SIDES_MAX, names);
}

static void say_no_ethernet(struct ways *ways, const struct way_link *link)
{
	say(ways, "%s is no Ethernet device, but masqueraded networks lie behind it: replies are not found; "
		"serve them without masquerade, with a route to the mesh on their side\n", link->name);
}

/* Side devices: devices other than uplinks by which masqueraded packets leave. */

static void choose_side(struct ways *ways, struct way_links *links, const struct host_table *table,
	size_t route)
{
	const bool six = table->family == AF_INET6;
	const struct host_route *r = &table->list[route];

	for (unsigned i = 0; i < HOST_HOPS && r->hops[i]; i++) {
		struct way_link *link = find_link(links, r->hops[i]);

		if (!link || link->is_side || link->is_loopback || (link->value.flags & TALON_LINK_UPLINK) ||
			datapath_owns_device(ways->dp, link->ifindex))
			continue;
		link->is_side = host_table_serves(table, route, six ? ways->routes6 : ways->routes,
			six ? ways->locals6 : ways->locals);
	}
}

static void choose_by_routes(struct ways *ways, struct way_links *links, const struct host_table *table)
{
	for (size_t i = 0; i < table->count; i++) {
		if (table->list[i].value.kind == TALON_HOST_UNICAST)
			choose_side(ways, links, table, i);
	}
}

static unsigned choose_sides(struct ways *ways, struct way_links *links, struct datapath_side *ret_sides)
{
	unsigned count = 0, left_out = 0;

	choose_by_routes(ways, links, &ways->hosts.table);
	choose_by_routes(ways, links, &ways->hosts6.table);
	for (size_t i = 0; i < links->count; i++) {
		struct way_link *link = &links->list[i];

		if (!link->is_side)
			continue;
		if (!link->is_ethernet) {
			link->is_side = false;
			say_no_ethernet(ways, link);
		} else if (count < DATAPATH_SIDES_MAX) {
			ret_sides[count].ifindex = link->ifindex;
			memcpy(ret_sides[count].name, link->name, sizeof(ret_sides[count].name));
			count++;
		} else {
			left_out++;
		}
	}
	if (left_out)
		say_more_sides(ways, links, count);
	return count;
}

/* Map links. */

/* For status: the source address of the shortest prefix by each device. */
static void note_sources(const struct ways *ways, struct way_links *links)
{
	uint8_t *lens = malloc(links->count + 1);

	for (size_t i = 0; i < ways->hosts.table.count && lens; i++) {
		const struct host_route *route = &ways->hosts.table.list[i];
		struct way_link *link = find_link(links, route->hops[0]);

		if (!link || route->value.kind != TALON_HOST_UNICAST ||
			!route->value.source.word[0])
			continue;
		if (link->value.source && lens[link - links->list] <= route->len)
			continue;
		link->value.source = route->value.source.word[0];
		lens[link - links->list] = route->len;
	}
	free(lens);
}

static bool is_same(const struct way_link *a, const struct way_link *b)
{
	return !memcmp(&a->value, &b->value, sizeof(a->value));
}

static void remove_departed(const struct ways *ways, const struct way_links *links)
{
	int map = datapath_map_fd(ways->dp, DATAPATH_MAP_LINKS);
	uint32_t key, next, *last = NULL;

	while (!bpf_map_get_next_key(map, last, &next)) {
		if (!find_link(links, next)) {
			bpf_map_delete_elem(map, &next);
			continue;
		}
		key = next;
		last = &key;
	}
}

/* Uplinks and side devices first, in case there are more devices than room. */
static void write_links(struct ways *ways, const struct way_links *links)
{
	int map = datapath_map_fd(ways->dp, DATAPATH_MAP_LINKS);
	bool has_departed = !ways->links.count;

	for (size_t i = 0; i < ways->links.count; i++)
		has_departed |= !find_link(links, ways->links.list[i].ifindex);
	if (has_departed)
		remove_departed(ways, links);
	for (unsigned turn = 0; turn < 2; turn++) {
		for (size_t i = 0; i < links->count; i++) {
			const struct way_link *link = &links->list[i],
				*was = find_link(&ways->links, link->ifindex);
			uint32_t key = link->ifindex;

			if (turn != !(link->is_side || link->value.flags & TALON_LINK_UPLINK) ||
				(was && is_same(was, link)))
				continue;
			bpf_map_update_elem(map, &key, &link->value, BPF_ANY);
			ways->changed = true;
		}
	}
	ways->changed |= has_departed;
}

static bool uplink_is_attached(const struct ways *ways, const struct way_link *link)
{
	const struct datapath_uplink *uplink = find_uplink(ways, link);

	return uplink && uplink->mode != DATAPATH_AUTO && uplink->ifindex == link->ifindex;
}

static bool side_is_attached(const struct ways *ways, int ifindex)
{
	for (unsigned i = 0; i < datapath_side_count(ways->dp); i++) {
		if (datapath_get_side(ways->dp, i)->ifindex == ifindex)
			return datapath_get_side(ways->dp, i)->attached;
	}
	return false;
}

/* Programs of an earlier process stay attached until datapath_attach() replaces them. */
static bool was_program(const struct ways *ways, int ifindex)
{
	uint32_t key = ifindex;
	struct talon_link value;

	return ways->inherits_programs &&
		!bpf_map_lookup_elem(datapath_map_fd(ways->dp, DATAPATH_MAP_LINKS), &key, &value) &&
		value.flags & TALON_LINK_PROGRAM;
}

static void mark_programs(const struct ways *ways, struct way_links *links)
{
	for (size_t i = 0; i < links->count; i++) {
		struct way_link *link = &links->list[i];
		bool is_uplink = link->value.flags & TALON_LINK_UPLINK;

		if ((is_uplink && uplink_is_attached(ways, link)) ||
			(link->is_side && side_is_attached(ways, link->ifindex)) ||
			((is_uplink || link->is_side) && was_program(ways, link->ifindex)))
			link->value.flags |= TALON_LINK_PROGRAM;
	}
}

static void keep_links(struct ways *ways, struct way_links *links)
{
	free(ways->links.list);
	ways->links = *links;
	*links = (struct way_links){};
}

/*
 * A device stops counting as covered before its program is detached, and counts only after one is
 * attached.
 */
static void sync_links(struct ways *ways, struct way_links *links)
{
	struct datapath_side sides[DATAPATH_SIDES_MAX] = {};
	unsigned count = choose_sides(ways, links, sides);
	struct way_links copy = { .count = links->count,
		.list = calloc(links->count + 1, sizeof(*copy.list)) };

	note_sources(ways, links);
	mark_programs(ways, links);
	write_links(ways, links);
	if (copy.list) {
		memcpy(copy.list, links->list, links->count * sizeof(*copy.list));
		keep_links(ways, &copy);
	}
	datapath_set_sides(ways->dp, sides, count);
	mark_programs(ways, links);
	write_links(ways, links);
	keep_links(ways, links);
}

static int sync_routes(struct ways *ways)
{
	int ret = host_routes_sync(&ways->hosts, ways->dp, &ways->changed);

	ways->hosts6.table.family = AF_INET6;
	if (ret)
		return ret;
	if (ways->has_six)
		return host_routes_sync(&ways->hosts6, ways->dp, &ways->changed);
	host_routes_clear(&ways->hosts6, ways->dp, &ways->changed);
	return 0;
}

static void say_left_out(struct ways *ways, size_t count, const char *family)
{
	if (count)
		say(ways, "this host has %zu %s routes more than there is room for (%u): packets to their "
			"networks may get a wrong source address\n", count, family, TALON_HOST_ROUTES_MAX);
}

int ways_sync(struct ways *ways, struct ways_news *news, char *err, size_t errlen)
{
	uint64_t began = clock_boot_ns();
	char old[sizeof(ways->hazards)];
	struct way_links links = {};
	int ret;

	ways->changed = false;
	ret = sync_routes(ways);
	if (!ret)
		ret = read_links(ways, &links);
	if (ret) {
		free(links.list);
		news->changed |= ways->changed;
		snprintf(err, errlen, "routes and devices of this host: %s", strerror(-ret));
		return ret;
	}
	memcpy(old, ways->hazards, sizeof(old));
	ways->hazards[0] = 0;
	say_left_out(ways, ways->hosts.left_out, "IPv4");
	say_left_out(ways, ways->hosts6.left_out, "IPv6");
	sync_links(ways, &links);
	news->changed |= ways->changed;
	news->hazards |= strcmp(old, ways->hazards) != 0;
	ways->cost_ns = clock_boot_ns() - began;
	return 0;
}

int ways_node_addr(const struct ways *ways, const struct net_link *uplink, __be32 *ret_addr)
{
	struct talon_addr primary = {}, source;
	int ret = net_addr_primary4(uplink->ifindex, &primary.word[0]);

	source = host_table_source(&ways->hosts.table, uplink->ifindex, &primary);
	if (!source.word[0] && ret)
		return -EADDRNOTAVAIL;
	*ret_addr = source.word[0] ? source.word[0] : primary.word[0];
	return 0;
}

int ways_node_addr6(const struct ways *ways, const struct net_link *uplink, struct talon_addr *ret_addr)
{
	struct talon_addr primary = {}, source;
	int ret = net_addr_primary6(uplink->ifindex, &primary);

	if (ret && ret != -EADDRNOTAVAIL)
		return ret;
	source = host_table_source(&ways->hosts6.table, uplink->ifindex, &primary);
	*ret_addr = prefix_bits_of(&source) ? source : primary;
	return 0;
}

bool ways_has_other_source(const struct ways *ways, __be32 addr)
{
	const struct talon_addr source = { .word[0] = addr };

	return host_table_has_other_source(&ways->hosts.table, &source);
}

uint64_t ways_pause_ns(const struct ways *ways)
{
	uint64_t pause = COST_SHARE * ways->cost_ns;

	if (pause < SOON_NS)
		return SOON_NS;
	return pause < SOON_MAX_NS ? pause : SOON_MAX_NS;
}

struct comparison {
	const struct way_links *links;
	bool differs;
};

static void compare_redirect(int ifindex, bool takes, void *user)
{
	struct comparison *comparison = user;
	const struct way_link *link = find_link(comparison->links, ifindex);

	comparison->differs |= link && link->is_ethernet &&
		takes != !!(link->value.flags & TALON_LINK_REDIRECT);
}

bool ways_is_outdated(const struct ways *ways)
{
	struct comparison comparison = { .links = &ways->links };

	return !is_all_generic(ways) && !net_redirect_list(compare_redirect, &comparison) &&
		comparison.differs;
}

void ways_done(struct ways *ways)
{
	host_routes_done(&ways->hosts);
	host_routes_done(&ways->hosts6);
	free(ways->links.list);
}
