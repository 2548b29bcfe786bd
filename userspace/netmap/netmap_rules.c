// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The access rules of a network map: FirewallRule and RouteFirewallRule.
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "config/value.h"
#include "netmap/compact.h"
#include "netmap/netmap_internal.h"

/* Field numbers (proto/management.proto has the names). */
enum { RULE_PEER = 1, RULE_DIRECTION = 2, RULE_ACTION = 3, RULE_PROTOCOL = 4, RULE_PORT = 5,
	RULE_PORT_INFO = 6, RULE_POLICY = 7, RULE_CUSTOM = 8, RULE_SOURCES = 9 };
enum {
	ROUTE_RULE_SOURCES = 1, ROUTE_RULE_ACTION = 2, ROUTE_RULE_DESTINATION = 3, ROUTE_RULE_PROTOCOL = 4,
	ROUTE_RULE_PORT_INFO = 5, ROUTE_RULE_DYNAMIC = 6, ROUTE_RULE_DOMAINS = 7, ROUTE_RULE_CUSTOM = 8,
	ROUTE_RULE_POLICY = 9, ROUTE_RULE_ROUTE = 10,
};
enum { PORT_INFO_PORT = 1, PORT_INFO_RANGE = 2, RANGE_START = 1, RANGE_END = 2 };
enum { WIRE_ALL = 1, WIRE_TCP = 2, WIRE_UDP = 3, WIRE_ICMP = 4, WIRE_CUSTOM = 5, WIRE_SSH = 6 };
enum { WIRE_ACCEPT = 0, WIRE_DROP = 1 };
enum { WIRE_IN = 0 };

struct match {				/* what both kinds of rule have */
	uint64_t action, protocol, custom;
	uint64_t first, last;		/* 0, 0: any */
};

/* Servers send a range that starts at 0 when they mean any port. */
static int read_range(struct wire wire, struct match *match)
{
	uint64_t start = 0, end = 0;
	struct wire_field field;
	int ret;

	while ((ret = wire_next(&wire, &field)) > 0) {
		if (wire_is_varint(&field, RANGE_START))
			start = (uint32_t)field.value;
		else if (wire_is_varint(&field, RANGE_END))
			end = (uint32_t)field.value;
	}
	match->first = start && end ? start : 0;
	match->last = start && end ? end : 0;
	return ret;
}

static int read_port_info(const struct wire_field *message, struct match *match)
{
	struct wire wire = wire_inside(message);
	struct wire_field field;
	int ret;

	while ((ret = wire_next(&wire, &field)) > 0) {
		if (wire_is_varint(&field, PORT_INFO_PORT))
			match->first = match->last = (uint32_t)field.value;
		else if (wire_is_bytes(&field, PORT_INFO_RANGE))
			ret = read_range(wire_inside(&field), match);
		if (ret < 0)
			break;
	}
	return ret;
}

/* What a rule says of packets beside their addresses; both kinds of rule have these members. */
struct settled {
	bool drop;
	uint8_t proto, ip_proto;
	uint16_t first, last;
};

/*
 * A number that has a name elsewhere is that. The ICMPs are not: a rule of one family may mean the other's.
 */
static void settle_custom(uint8_t number, struct settled *settled)
{
	settled->proto = number == IPPROTO_TCP ? NETMAP_TCP : number == IPPROTO_UDP ? NETMAP_UDP
		: NETMAP_OTHER;
	settled->ip_proto = settled->proto == NETMAP_OTHER ? number : 0;
}

/* Returns NULL, or what is wrong. */
static const char *settle_protocol(const struct match *match, struct settled *settled)
{
	static const uint8_t protos[] = { [WIRE_ALL] = NETMAP_ANY, [WIRE_TCP] = NETMAP_TCP,
		[WIRE_UDP] = NETMAP_UDP, [WIRE_ICMP] = NETMAP_ICMP };

	if (match->protocol == WIRE_SSH)
		return "protocol NETBIRD_SSH, which is in no rule that a peer can apply";
	if (match->protocol < WIRE_ALL || match->protocol > WIRE_CUSTOM)
		return "an unknown protocol";
	if (match->protocol != WIRE_CUSTOM)
		settled->proto = protos[match->protocol];
	else if (match->custom && match->custom <= UINT8_MAX)
		settle_custom(match->custom, settled);
	else
		return "a custom protocol without a number from 1 to 255";
	return NULL;
}

/* Returns NULL, or what is wrong with @match. Only TCP and UDP have ports. */
static const char *settle_match(const struct match *match, struct settled *ret_settled)
{
	struct settled settled = { .drop = match->action == WIRE_DROP };
	const char *wrong;

	if (match->action > WIRE_DROP)
		return "an unknown action";
	wrong = settle_protocol(match, &settled);
	if (wrong)
		return wrong;
	if (match->first > match->last || match->last > UINT16_MAX)
		return "ports out of range";
	if (settled.proto == NETMAP_TCP || settled.proto == NETMAP_UDP) {
		settled.first = match->first;
		settled.last = match->last;
	}
	*ret_settled = settled;
	return NULL;
}

/* A policy's id, which is bytes to the protocol and text to people. What is no text is none. */
static char *keep_policy(struct netmap_reader *r, struct slice id)
{
	if (id.len >= NETMAP_ID_LEN || !netmap_is_printable(id))
		return NULL;
	if (!r->policy || strlen(r->policy) != id.len || memcmp(r->policy, id.at, id.len))
		r->policy = netmap_keep(r, id);
	return (char *)r->policy;
}

struct rule_texts {
	struct slice peer, port, policy;
	uint64_t direction;
	size_t prefix_count;
};

static int read_rule_fields(struct wire wire, struct match *match, struct rule_texts *texts)
{
	struct wire_field field;
	int ret;

	while ((ret = wire_next(&wire, &field)) > 0) {
		if (wire_is_bytes(&field, RULE_PEER))
			texts->peer = netmap_text(&field);
		else if (wire_is_varint(&field, RULE_DIRECTION))
			texts->direction = field.value;
		else if (wire_is_varint(&field, RULE_ACTION))
			match->action = field.value;
		else if (wire_is_varint(&field, RULE_PROTOCOL))
			match->protocol = field.value;
		else if (wire_is_varint(&field, RULE_CUSTOM))
			match->custom = (uint32_t)field.value;
		else if (wire_is_bytes(&field, RULE_SOURCES))
			texts->prefix_count++;
		else if (wire_is_bytes(&field, RULE_PORT))
			texts->port = netmap_text(&field);
		else if (wire_is_bytes(&field, RULE_POLICY))
			texts->policy = netmap_text(&field);
		else if (wire_is_bytes(&field, RULE_PORT_INFO))
			ret = read_port_info(&field, match);
		if (ret < 0)
			break;
	}
	return ret;
}

/* PeerIP: one address; the unspecified one of a family stands for all of them. */
static bool read_peer_ip(struct slice text, struct cidr *ret_source)
{
	struct cidr cidr;

	if (memchr(text.at, '/', text.len) || !netmap_read_prefix(text, &cidr))
		return false;
	if (addr6_is_zero(&cidr.addr))
		cidr.prefixlen = 0;
	*ret_source = cidr;
	return true;
}

/* Invalid entries are left out; a rule that has no other matches nobody, whatever PeerIP says. */
static void read_source_prefixes(struct wire wire, struct netmap_rule *rule)
{
	struct wire_field field;

	while (wire_next(&wire, &field) > 0) {
		struct cidr *cidr = &rule->sources[rule->source_count];

		if (!wire_is_bytes(&field, RULE_SOURCES) || compact_read(field.bytes, field.len, cidr))
			continue;
		cidr_clear_host_bits(cidr);
		rule->source_count++;
	}
}

/* Returns NULL, or what is wrong. */
static const char *read_rule_sources(struct netmap_reader *r, struct wire wire,
	const struct rule_texts *texts, struct netmap_rule *rule)
{
	struct cidr peer;

	if (!texts->prefix_count && !read_peer_ip(texts->peer, &peer))
		return "no address";
	rule->sources = netmap_take(r, texts->prefix_count ? texts->prefix_count : 1, sizeof(*rule->sources));
	if (!rule->sources)
		return "no memory";
	if (texts->prefix_count)
		read_source_prefixes(wire, rule);
	else
		rule->sources[rule->source_count++] = peer;
	return rule->source_count ? NULL : "no valid source prefix";
}

static bool read_rule_port(struct slice text, struct match *match)
{
	__u16 port;

	if (match->first || !text.len)		/* PortInfo overrides it */
		return true;
	if (value_u16(text, 1, UINT16_MAX, &port))
		return false;
	match->first = match->last = port;
	return true;
}

bool netmap_read_rule(struct netmap_reader *r, const struct wire_field *message, struct netmap_rule *ret_rule)
{
	struct netmap_rule rule = {};
	struct rule_texts texts = { NO_TEXT, NO_TEXT, NO_TEXT, WIRE_IN, 0 };
	struct settled settled = {};
	const char *wrong = NULL;
	struct match match = {};

	if (read_rule_fields(wire_inside(message), &match, &texts) < 0)
		wrong = "malformed fields";
	else if (texts.direction != WIRE_IN)
		return false;
	else if (!read_rule_port(texts.port, &match))
		wrong = "a port out of range";
	else
		wrong = settle_match(&match, &settled);
	if (!wrong)
		wrong = read_rule_sources(r, wire_inside(message), &texts, &rule);
	if (wrong) {
		netmap_skip(r, "the access rule for peer \"%.*s\" has %s", SHOWN(texts.peer), wrong);
		return false;
	}
	rule.drop = settled.drop;
	rule.proto = settled.proto;
	rule.ip_proto = settled.ip_proto;
	rule.port_first = settled.first;
	rule.port_last = settled.last;
	rule.policy = keep_policy(r, texts.policy);
	*ret_rule = rule;
	return true;
}

struct route_rule_texts {
	struct slice destination, route, policy;
	bool is_dynamic, has_domains;
};

static int read_route_rule_fields(struct wire wire, struct match *match, struct route_rule_texts *texts)
{
	struct wire_field field;
	int ret;

	while ((ret = wire_next(&wire, &field)) > 0) {
		if (wire_is_varint(&field, ROUTE_RULE_ACTION))
			match->action = field.value;
		else if (wire_is_bytes(&field, ROUTE_RULE_DESTINATION))
			texts->destination = netmap_text(&field);
		else if (wire_is_varint(&field, ROUTE_RULE_PROTOCOL))
			match->protocol = field.value;
		else if (wire_is_varint(&field, ROUTE_RULE_CUSTOM))
			match->custom = (uint32_t)field.value;
		else if (wire_is_varint(&field, ROUTE_RULE_DYNAMIC))
			texts->is_dynamic = field.value;
		else if (wire_is_bytes(&field, ROUTE_RULE_DOMAINS))
			texts->has_domains = true;
		else if (wire_is_bytes(&field, ROUTE_RULE_ROUTE))
			texts->route = netmap_text(&field);
		else if (wire_is_bytes(&field, ROUTE_RULE_POLICY))
			texts->policy = netmap_text(&field);
		else if (wire_is_bytes(&field, ROUTE_RULE_PORT_INFO))
			ret = read_port_info(&field, match);
		if (ret < 0)
			break;
	}
	return ret;
}

/* A rule without sources matches nobody, never anybody. */
static void read_sources(struct netmap_reader *r, struct wire wire, struct netmap_route_rule *rule)
{
	size_t count = netmap_count(wire, ROUTE_RULE_SOURCES, 1);
	struct wire_field field;

	rule->sources = count ? netmap_take(r, count, sizeof(*rule->sources)) : NULL;
	if (!rule->sources)
		return;
	while (wire_next(&wire, &field) > 0) {
		struct slice text = netmap_text(&field);
		struct cidr cidr;

		if (!wire_is_bytes(&field, ROUTE_RULE_SOURCES) || !field.len)
			continue;
		if (!netmap_read_prefix(text, &cidr))
			netmap_skip(r, "a route's access rule has source \"%.*s\": expected a prefix",
				SHOWN(text));
		else
			rule->sources[rule->source_count++] = cidr;
	}
}

/* The family of a rule for a prefix is the prefix's: sources of the other one are nobody's there. */
static const char *keep_sources_of(int family, struct netmap_route_rule *rule)
{
	size_t kept = 0;

	for (size_t i = 0; i < rule->source_count; i++)
		if (rule->sources[i].family == family)
			rule->sources[kept++] = rule->sources[i];
	rule->source_count = kept;
	return kept ? NULL : "sources of another family than its destination's";
}

/* Returns NULL, or why the rule has no destination. */
static const char *read_rule_target(struct netmap_reader *r, struct wire wire,
	const struct route_rule_texts *texts, struct netmap_route_rule *rule)
{
	const struct netmap_self *self = &r->update->map.self;

	if (!texts->is_dynamic) {
		if (!netmap_read_prefix(texts->destination, &rule->dst))
			return "a destination that is not a prefix";
		return keep_sources_of(rule->dst.family, rule);
	}
	if (!self->present)
		return "domains, but the map does not say who resolves them";
	if (!self->dns_resolution || !texts->has_domains) {
		rule->any_dst = true;
		return NULL;
	}
	if (!netmap_read_domains(r, wire, ROUTE_RULE_DOMAINS, &rule->domains, &rule->domain_count))
		return "no memory";
	return rule->domain_count ? NULL : "no valid domain";
}

bool netmap_read_route_rule(struct netmap_reader *r, const struct wire_field *message,
	struct netmap_route_rule *ret_rule)
{
	struct route_rule_texts texts = { NO_TEXT, NO_TEXT, NO_TEXT, false, false };
	struct netmap_route_rule rule = {};
	struct settled settled = {};
	struct match match = {};
	const char *wrong;

	if (read_route_rule_fields(wire_inside(message), &match, &texts) < 0 ||
		texts.route.len >= NETMAP_ID_LEN) {
		netmap_skip(r, "a malformed access rule of route %.*s", SHOWN(texts.route));
		return false;
	}
	read_sources(r, wire_inside(message), &rule);
	if (!rule.source_count)
		return false;
	wrong = settle_match(&match, &settled);
	if (!wrong)
		wrong = read_rule_target(r, wire_inside(message), &texts, &rule);
	if (wrong) {
		netmap_skip(r, "an access rule of route %.*s has %s", SHOWN(texts.route), wrong);
		return false;
	}
	rule.drop = settled.drop;
	rule.proto = settled.proto;
	rule.ip_proto = settled.ip_proto;
	rule.port_first = settled.first;
	rule.port_last = settled.last;
	rule.route_id = netmap_keep(r, texts.route);
	rule.policy = keep_policy(r, texts.policy);
	*ret_rule = rule;
	return true;
}
