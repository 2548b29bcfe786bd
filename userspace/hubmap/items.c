// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The routes of a map: those that the peer serves, and those that it gets from others.
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "hubmap/hubmap_internal.h"

enum { MAP_ROUTES = 5 };
enum {
	ROUTE_ID = 1, ROUTE_NETWORK = 2, ROUTE_TYPE = 3, ROUTE_PEER = 4, ROUTE_METRIC = 5,
	ROUTE_MASQUERADE = 6, ROUTE_NET_ID = 7, ROUTE_DOMAINS = 8, ROUTE_KEEP = 9, ROUTE_BY_CHOICE = 10,
};
enum { TYPE_IPV4 = 1, TYPE_IPV6 = 2, TYPE_DOMAIN = 3 };

#define PLACEHOLDER	"192.0.2.0/32"	/* where the network of a domain route stands */

bool hubmap_is_default4(const struct item *item)
{
	return item->network.family == AF_INET && !item->network.prefixlen;
}

void hubmap_route_id(const struct item *item, const struct known *router, bool is_second_default, char *id)
{
	snprintf(id, HUBMAP_ROUTE_ID_LEN, "%s:%s%s", item->id, router->is.name,
		is_second_default ? "-v6-default" : "");
}

void hubmap_item_network(const struct item *item, bool is_second_default, char text[static CIDR_TEXT_LEN])
{
	if (!item->network.family)
		snprintf(text, CIDR_TEXT_LEN, PLACEHOLDER);
	else if (is_second_default)
		snprintf(text, CIDR_TEXT_LEN, "::/0");
	else
		cidr_format(&item->network, text, CIDR_TEXT_LEN);
}

/* @is_second_default: ::/0 beside 0.0.0.0/0, as one switch with it: NetID and -v6. */
static void write_route(struct pack *out, const struct item *item, const struct known *router,
	bool is_second_default)
{
	size_t route = pack_open(out, MAP_ROUTES);
	char id[HUBMAP_ROUTE_ID_LEN], network[CIDR_TEXT_LEN], net_id[128];

	hubmap_route_id(item, router, is_second_default, id);
	hubmap_item_network(item, is_second_default, network);
	snprintf(net_id, sizeof(net_id), "%s%s", item->name, is_second_default ? "-v6" : "");
	pack_text(out, ROUTE_ID, id);
	pack_text(out, ROUTE_NETWORK, network);
	pack_number(out, ROUTE_TYPE, !item->network.family ? TYPE_DOMAIN
		: item->network.family == AF_INET6 || is_second_default ? TYPE_IPV6 : TYPE_IPV4);
	pack_text(out, ROUTE_PEER, router->key_text);
	pack_number(out, ROUTE_METRIC, item->metric);
	pack_number(out, ROUTE_MASQUERADE, item->is_masqueraded);
	pack_text(out, ROUTE_NET_ID, net_id);
	for (size_t i = 0; i < item->domain_count; i++)
		pack_text(out, ROUTE_DOMAINS, item->domains[i]);
	pack_number(out, ROUTE_KEEP, item->is_kept);
	pack_number(out, ROUTE_BY_CHOICE, item->is_by_choice);
	pack_close(out, route);
}

struct serving {
	struct hubmap *map;
	const struct item *item;
	const struct known *reader;
	bool reader_has_ipv6;
	size_t count;
};

/*
 * A router without IPv6 cannot carry an IPv6 network. Its ::/0 is sent all the same: a client that got
 * 0.0.0.0/0 alone would let its IPv6 out beside the tunnel.
 */
static void serve(void *ctx, struct known *router)
{
	struct serving *s = ctx;
	const struct item *item = s->item;
	bool is_ipv6 = item->network.family == AF_INET6;

	if (router != s->reader && !hubmap_may_serve(s->map, item, router))
		return;
	if (router->is.is_expired || (is_ipv6 && !s->reader_has_ipv6))
		return;
	if (is_ipv6 && item->network.prefixlen && !*router->is.text6)
		return;
	write_route(&s->map->out, item, router, false);
	if (hubmap_is_default4(item) && s->reader_has_ipv6)
		write_route(&s->map->out, item, router, true);
	s->count++;
}

void hubmap_write_routes(struct hubmap *map, const struct known *peer, bool *ret_has_foreign_sources)
{
	*ret_has_foreign_sources = false;
	for (size_t i = 0; i < map->related_count; i++) {
		const struct relation *r = map->related[i];
		struct serving s = { .map = map, .item = r->item, .reader = peer,
			.reader_has_ipv6 = *peer->is.text6 };

		if (!r->item)
			continue;
		if (r->sides & HUBMAP_RIGHT)
			serve(&s, (struct known *)peer);
		if (!hubmap_is_recipient(peer, r))
			continue;
		s.count = 0;
		hubmap_each_member(map, &r->right, NULL, peer, serve, &s);
		*ret_has_foreign_sources |= s.count && !r->item->is_masqueraded;
	}
}
