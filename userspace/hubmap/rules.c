// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Access rules: for packets to the peer itself, and for those that it forwards. One IPv6 rule makes a
 * client that does not know them drop all its rules: only peers with IPv6 get any.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "hubmap/hubmap_internal.h"

enum { MAP_RULES = 8, MAP_RULES_EMPTY = 9, MAP_ROUTE_RULES = 10, MAP_ROUTE_RULES_EMPTY = 11 };
enum { RULE_PEER = 1, RULE_DIRECTION = 2, RULE_ACTION = 3, RULE_PROTOCOL = 4, RULE_PORT = 5,
	RULE_PORT_INFO = 6, RULE_POLICY = 7, RULE_SOURCES = 9 };
enum {
	ROUTE_RULE_SOURCES = 1, ROUTE_RULE_ACTION = 2, ROUTE_RULE_DESTINATION = 3, ROUTE_RULE_PROTOCOL = 4,
	ROUTE_RULE_PORT_INFO = 5, ROUTE_RULE_DYNAMIC = 6, ROUTE_RULE_DOMAINS = 7, ROUTE_RULE_POLICY = 9,
	ROUTE_RULE_ROUTE = 10,
};
enum { PORT_INFO_PORT = 1, PORT_INFO_RANGE = 2, RANGE_START = 1, RANGE_END = 2 };
enum { IN = 0, OUT = 1 };
enum { ALL = 1, TCP = 2, UDP = 3, ICMP = 4 };

static const uint8_t protocols[] = {
	[HUBFILE_ANY] = ALL, [HUBFILE_TCP] = TCP, [HUBFILE_UDP] = UDP, [HUBFILE_ICMP] = ICMP,
};

static const struct hubfile_ports all_ports = {};

/* The policy's port number @i; without any, all are meant, once. */
static const struct hubfile_ports *port_at(const struct hubfile_policy *policy, size_t i)
{
	if (!policy->port_count)
		return i ? NULL : &all_ports;
	return i < policy->port_count ? &policy->ports[i] : NULL;
}

static void write_port_info(struct pack *out, uint32_t field, const struct hubfile_ports *ports)
{
	size_t info = pack_open(out, field);

	if (ports->first && ports->first == ports->last) {
		pack_number(out, PORT_INFO_PORT, ports->first);
	} else if (ports->first) {
		size_t range = pack_open(out, PORT_INFO_RANGE);

		pack_number(out, RANGE_START, ports->first);
		pack_number(out, RANGE_END, ports->last);
		pack_close(out, range);
	}
	pack_close(out, info);
}

/* Rules for packets to the peer itself */

struct ruling {
	struct hubmap *map;
	const struct known *peer;
	const struct hubfile_policy *policy;
	unsigned int direction;
	uint64_t seen;			/* stamp of those that the peer knows */
};

/* Of one address, or with a length of 0 of any. */
struct source {
	const char *text;
	uint8_t compact[17];
	size_t compact_len;
};

static struct source source4(const char *text, const __be32 *address)
{
	struct source s = { .text = text, .compact_len = 5 };

	if (address) {
		memcpy(s.compact, address, 4);
		s.compact[4] = 32;
	}
	return s;
}

static struct source source6(const char *text, const struct talon_addr *address)
{
	struct source s = { .text = text, .compact_len = 17 };

	if (address) {
		memcpy(s.compact, address, 16);
		s.compact[16] = 128;
	}
	return s;
}

/*
 * A client of before 0.48 takes a range for all ports. What would accept too much is left out; what drops
 * too much is sent.
 */
static bool is_too_new(const struct ruling *r, const struct hubfile_ports *ports)
{
	return ports->first != ports->last && !r->peer->is.reads_ranges && !r->policy->is_drop;
}

static void write_rule(struct ruling *r, const struct source *source, const struct hubfile_ports *ports)
{
	struct pack *out = &r->map->out;
	size_t rule = pack_open(out, MAP_RULES);

	pack_text(out, RULE_PEER, source->text);
	pack_number(out, RULE_DIRECTION, r->direction);
	pack_number(out, RULE_ACTION, r->policy->is_drop);
	pack_number(out, RULE_PROTOCOL, protocols[r->policy->protocol]);
	if (ports->first && ports->first == ports->last) {
		char port[8];

		snprintf(port, sizeof(port), "%u", ports->first);
		pack_text(out, RULE_PORT, port);
	} else if (ports->first) {
		write_port_info(out, RULE_PORT_INFO, ports);
	}
	pack_text(out, RULE_POLICY, r->policy->name);
	if (r->peer->is.reads_prefixes)
		pack_bytes(out, RULE_SOURCES, source->compact, source->compact_len);
	pack_close(out, rule);
	r->map->rule_count++;
}

static void write_ports(struct ruling *r, const struct source *source)
{
	const struct hubfile_ports *ports;

	for (size_t i = 0; (ports = port_at(r->policy, i)); i++)
		if (!is_too_new(r, ports))
			write_rule(r, source, ports);
}

static void rule_of_member(void *ctx, struct known *member)
{
	struct ruling *r = ctx;
	struct source source = source4(member->is.text4, &member->is.address);

	if (member->is.is_expired || member->seen != r->seen)
		return;
	write_ports(r, &source);
	if (!*member->is.text6 || !*r->peer->is.text6)
		return;
	source = source6(member->is.text6, &member->is.address6);
	write_ports(r, &source);
}

static void rule_of_all(struct ruling *r)
{
	struct source source = source4("0.0.0.0", NULL);

	write_ports(r, &source);
	if (!*r->peer->is.text6)
		return;
	source = source6("::", NULL);
	write_ports(r, &source);
}

/* One direction: those of both sets. */
static void write_direction(struct ruling *r, const struct hubmap_set *one, const struct hubmap_set *other,
	bool may_say_all)
{
	if (may_say_all && ((one && one->has_all) || (other && other->has_all)))
		rule_of_all(r);
	else
		hubmap_each_member(r->map, one, other, r->peer, rule_of_member, r);
}

/*
 * Of thousands one rule says the same as a rule for each, but for two cases: with routes that are not
 * masqueraded, packets of others than peers come through the mesh, and clients drop by single addresses
 * only.
 */
static void write_policy(struct hubmap *map, const struct known *peer, const struct relation *relation,
	bool may_say_all)
{
	const struct hubfile_policy *policy = relation->policy;
	const struct hubmap_set *left = &relation->left, *right = &relation->right;
	struct ruling r = { .map = map, .peer = peer, .policy = policy, .seen = map->seen_stamp };
	bool is_left = relation->sides & HUBMAP_LEFT, is_right = relation->sides & HUBMAP_RIGHT;
	bool is_back = policy->is_both_ways;

	may_say_all &= !policy->is_drop;
	r.direction = IN;
	write_direction(&r, is_right ? left : NULL, is_left && is_back ? right : NULL, may_say_all);
	r.direction = OUT;
	write_direction(&r, is_left ? right : NULL, is_right && is_back ? left : NULL, may_say_all);
}

static bool has_online(const struct hubmap *map)
{
	for (size_t i = 0; i < map->seen_count; i++)
		if (!map->seen[i]->is.is_expired)
			return true;
	return false;
}

/* Those that drop come first, for whoever goes by the order. */
void hubmap_write_rules(struct hubmap *map, const struct known *peer, bool has_foreign_sources)
{
	bool may_say_all = !has_foreign_sources && has_online(map);

	map->rule_count = 0;
	for (int is_drop = 1; is_drop >= 0; is_drop--)
		for (size_t i = 0; i < map->related_count; i++) {
			const struct relation *r = map->related[i];

			if (r->policy && r->policy->is_drop == is_drop)
				write_policy(map, peer, r, may_say_all);
		}
	pack_number(&map->out, MAP_RULES_EMPTY, !map->rule_count);
}

/* Rules for packets that the peer forwards */

struct sourcing {
	struct hubmap *map;
	const struct relation *route;
	bool is_ipv6;
};

static void add_source(void *ctx, struct known *member)
{
	const struct sourcing *s = ctx;
	const char *address = s->is_ipv6 ? member->is.text6 : member->is.text4;
	char text[INET6_ADDRSTRLEN + 4];

	if (member->is.is_expired || !*address || !hubmap_is_recipient(member, s->route) ||
		!hubmap_may_serve(s->map, s->route->item, member))
		return;
	snprintf(text, sizeof(text), "%s/%u", address, s->is_ipv6 ? 128 : 32);
	pack_text(&s->map->sources, ROUTE_RULE_SOURCES, text);
}

/* Of those in @from, whom the route is for. Makes the sources once, for all ports. False: there are none. */
static bool gather_sources(struct hubmap *map, const struct known *router, const struct relation *route,
	const struct hubmap_set *from, bool is_ipv6)
{
	struct sourcing s = { .map = map, .route = route, .is_ipv6 = is_ipv6 };

	pack_restart(&map->sources);
	if (from->has_all && route->left.has_all)
		pack_text(&map->sources, ROUTE_RULE_SOURCES, is_ipv6 ? "::/0" : "0.0.0.0/0");
	else
		hubmap_each_member(map, from->has_all ? &route->left : from, NULL, router, add_source, &s);
	map->out.is_failed |= map->sources.is_failed;
	return map->sources.len;
}

static void write_route_rule(struct hubmap *map, const struct known *router, const struct item *item,
	const struct hubfile_policy *policy, const struct hubfile_ports *ports, bool is_ipv6)
{
	bool is_second_default = is_ipv6 && hubmap_is_default4(item);
	char id[HUBMAP_ROUTE_ID_LEN], network[CIDR_TEXT_LEN];
	struct pack *out = &map->out;
	size_t rule = pack_open(out, MAP_ROUTE_RULES);

	hubmap_route_id(item, router, is_second_default, id);
	hubmap_item_network(item, is_second_default, network);
	pack_raw(out, map->sources.bytes, map->sources.len);
	pack_number(out, ROUTE_RULE_ACTION, policy && policy->is_drop);
	pack_text(out, ROUTE_RULE_DESTINATION, network);
	pack_number(out, ROUTE_RULE_PROTOCOL, policy ? protocols[policy->protocol] : ALL);
	write_port_info(out, ROUTE_RULE_PORT_INFO, ports);
	pack_number(out, ROUTE_RULE_DYNAMIC, !item->network.family);
	for (size_t i = 0; i < item->domain_count; i++)
		pack_text(out, ROUTE_RULE_DOMAINS, item->domains[i]);
	if (policy)
		pack_text(out, ROUTE_RULE_POLICY, policy->name);
	pack_text(out, ROUTE_RULE_ROUTE, id);
	pack_close(out, rule);
	map->rule_count++;
}

static void write_family(struct hubmap *map, const struct known *router, const struct relation *route,
	const struct hubmap_set *from, const struct hubfile_policy *policy, bool is_ipv6)
{
	const struct hubfile_ports *ports = &all_ports;

	if (!gather_sources(map, router, route, from, is_ipv6))
		return;
	for (size_t i = 0; !policy || (ports = port_at(policy, i)); i++) {
		write_route_rule(map, router, route->item, policy, ports, is_ipv6);
		if (!policy)
			break;
	}
}

/* Sources are of the destination's family; what has no family, and the whole Internet, is for both. */
static void write_families(struct hubmap *map, const struct known *router, const struct relation *route,
	const struct hubmap_set *from, const struct hubfile_policy *policy)
{
	const struct item *item = route->item;
	bool has_ipv6 = *router->is.text6;

	if (item->network.family != AF_INET6)
		write_family(map, router, route, from, policy, false);
	if (has_ipv6 && (item->network.family != AF_INET || hubmap_is_default4(item)))
		write_family(map, router, route, from, policy, true);
}

static void write_policies(struct hubmap *map, const struct known *router, const struct relation *route,
	bool is_drop)
{
	const struct item *item = route->item;

	for (size_t i = 0; i < item->policy_count; i++) {
		const struct relation *policy = &map->model->relations[item->policies[i]];

		if (policy->policy->is_drop == is_drop)
			write_families(map, router, route, &policy->left, policy->policy);
	}
}

void hubmap_write_route_rules(struct hubmap *map, const struct known *peer)
{
	map->rule_count = 0;
	for (size_t i = 0; i < map->related_count; i++) {
		const struct relation *route = map->related[i];

		if (!route->item || !(route->sides & HUBMAP_RIGHT))
			continue;
		if (route->item->is_open) {
			write_families(map, peer, route, &route->left, NULL);
			continue;
		}
		write_policies(map, peer, route, true);
		write_policies(map, peer, route, false);
	}
	pack_number(&map->out, MAP_ROUTE_RULES_EMPTY, !map->rule_count);
}
