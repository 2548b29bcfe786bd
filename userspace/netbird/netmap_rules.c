// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The access rules of a network map: FirewallRule and RouteFirewallRule.
#include <string.h>
#include <sys/socket.h>

#include "config/value.h"
#include "netbird/netmap_internal.h"

/* Field numbers (proto/management.proto has the names). */
enum { RULE_PEER = 1, RULE_DIRECTION = 2, RULE_ACTION = 3, RULE_PROTOCOL = 4, RULE_PORT = 5,
	RULE_PORT_INFO = 6, RULE_POLICY = 7 };
enum {
	ROUTE_RULE_SOURCES = 1, ROUTE_RULE_ACTION = 2, ROUTE_RULE_DESTINATION = 3, ROUTE_RULE_PROTOCOL = 4,
	ROUTE_RULE_PORT_INFO = 5, ROUTE_RULE_DYNAMIC = 6, ROUTE_RULE_DOMAINS = 7, ROUTE_RULE_POLICY = 9,
	ROUTE_RULE_ROUTE = 10,
};
enum { PORT_INFO_PORT = 1, PORT_INFO_RANGE = 2, RANGE_START = 1, RANGE_END = 2 };
enum { WIRE_ALL = 1, WIRE_TCP = 2, WIRE_UDP = 3, WIRE_ICMP = 4 };
enum { WIRE_ACCEPT = 0, WIRE_DROP = 1 };
enum { WIRE_IN = 0 };

struct match {				/* what both kinds of rule have */
	uint64_t action, protocol;
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

static bool read_protocol(uint64_t protocol, uint8_t *ret_proto)
{
	static const uint8_t protos[] = { [WIRE_ALL] = NETMAP_ANY, [WIRE_TCP] = NETMAP_TCP,
		[WIRE_UDP] = NETMAP_UDP, [WIRE_ICMP] = NETMAP_ICMP };

	if (protocol < WIRE_ALL || protocol > WIRE_ICMP)
		return false;
	*ret_proto = protos[protocol];
	return true;
}

/* Returns NULL, or what is wrong with @match. Only TCP and UDP have ports. */
static const char *settle_match(const struct match *match, bool *ret_drop, uint8_t *ret_proto,
	uint16_t *ret_first, uint16_t *ret_last)
{
	if (match->action > WIRE_DROP)
		return "an unknown action";
	if (!read_protocol(match->protocol, ret_proto))
		return "an unknown protocol";
	if (match->first > match->last || match->last > UINT16_MAX)
		return "ports out of range";
	*ret_drop = match->action == WIRE_DROP;
	if (*ret_proto == NETMAP_TCP || *ret_proto == NETMAP_UDP) {
		*ret_first = match->first;
		*ret_last = match->last;
	}
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

static bool read_rule_peer(struct slice text, __be32 *ret_peer)
{
	struct cidr cidr;

	if (memchr(text.at, '/', text.len) || cidr_parse(text, true, &cidr) ||
		cidr.family != AF_INET)
		return false;
	*ret_peer = cidr.addr.word[0];
	return true;
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
	struct rule_texts texts = { NO_TEXT, NO_TEXT, NO_TEXT, WIRE_IN };
	const char *wrong = NULL;
	struct match match = {};

	if (read_rule_fields(wire_inside(message), &match, &texts) < 0)
		wrong = "malformed fields";
	else if (texts.direction != WIRE_IN)
		return false;
	else if (!read_rule_peer(texts.peer, &rule.peer))
		wrong = "no IPv4 address";
	else if (!read_rule_port(texts.port, &match))
		wrong = "a port out of range";
	else
		wrong = settle_match(&match, &rule.drop, &rule.proto, &rule.port_first, &rule.port_last);
	if (wrong) {
		netmap_skip(r, "the access rule for peer \"%.*s\" has %s", SHOWN(texts.peer), wrong);
		return false;
	}
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

/* Keeps the IPv4 sources. A rule without sources matches nobody, never anybody. */
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
		if (cidr_parse(text, false, &cidr))
			netmap_skip(r, "a route's access rule has source \"%.*s\": expected a prefix",
				SHOWN(text));
		else if (cidr.family == AF_INET)
			rule->sources[rule->source_count++] = cidr;
	}
}

/* Returns NULL, or why the rule has no destination. */
static const char *read_rule_target(struct netmap_reader *r, struct wire wire,
	const struct route_rule_texts *texts, struct netmap_route_rule *rule)
{
	const struct netmap_self *self = &r->update->map.self;

	if (!texts->is_dynamic) {
		if (cidr_parse(texts->destination, false, &rule->dst) ||
			rule->dst.family != AF_INET)
			return "a destination that is not an IPv4 prefix";
		return NULL;
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
	wrong = settle_match(&match, &rule.drop, &rule.proto, &rule.port_first, &rule.port_last);
	if (!wrong)
		wrong = read_rule_target(r, wire_inside(message), &texts, &rule);
	if (wrong) {
		netmap_skip(r, "an access rule of route %.*s has %s", SHOWN(texts.route), wrong);
		return false;
	}
	rule.route_id = netmap_keep(r, texts.route);
	rule.policy = keep_policy(r, texts.policy);
	*ret_rule = rule;
	return true;
}
