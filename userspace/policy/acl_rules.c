// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Rules for the compiler: those of a network map, and our own.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "policy/acl.h"

/* Of either family, which compiling tells apart. */
static const struct cidr any[] = { { .family = AF_INET }, { .family = AF_INET6 } };

struct maker {
	const struct acl_input *input;
	struct acl_rule *list;
	size_t count;
};

static struct cidr host(uint8_t family, struct talon_addr addr)
{
	return (struct cidr){ .family = family, .prefixlen = family == AF_INET ? 32 : 128, .addr = addr };
}

/* Our own address of @family; zero: none. */
static struct talon_addr own_addr(const struct acl_input *input, uint8_t family)
{
	return family == AF_INET ? (struct talon_addr){ .word = { input->mesh_addr } } : input->mesh_addr6;
}

/* Without an address of our own in IPv6 nothing in it is let in. */
static bool has_family(const struct acl_input *input, uint8_t family)
{
	return family == AF_INET || !addr6_is_zero(&input->mesh_addr6);
}

static bool has_source(const struct cidr *sources, size_t count, uint8_t family)
{
	for (size_t i = 0; i < count; i++)
		if (sources[i].family == family)
			return true;
	return false;
}

static bool is_learned_by(const struct netmap_route_rule *rule, const struct acl_learned *learned)
{
	for (size_t i = 0; i < rule->domain_count; i++)
		if (!strcmp(rule->domains[i], learned->domain))
			return true;
	return false;
}

static bool is_dynamic(const struct netmap_route_rule *rule)
{
	return !rule->any_dst && !rule->dst.family;
}

/* An upper bound for the number of rules: two of each that is not for one destination. */
static size_t count_room(const struct acl_input *input)
{
	size_t room = 2 * input->map->rule_count + 2 * input->map->route_rule_count + input->lan_count;

	for (size_t i = 0; i < input->map->route_rule_count; i++) {
		for (size_t j = 0; is_dynamic(&input->map->route_rules[i]) && j < input->learned_count; j++)
			room += is_learned_by(&input->map->route_rules[i], &input->learned[j]);
	}
	return room;
}

static void add_peer_rule(struct maker *m, const struct netmap_rule *rule, uint8_t family)
{
	const struct talon_addr own = own_addr(m->input, family);

	if (addr6_is_zero(&own) || !has_source(rule->sources, rule->source_count, family))
		return;
	m->list[m->count++] = (struct acl_rule){
		.sources = rule->sources, .source_count = rule->source_count, .dst = host(family, own),
		.drop = rule->drop, .proto = rule->proto, .ip_proto = rule->ip_proto,
		.port_first = rule->port_first, .port_last = rule->port_last,
		.policy = rule->policy, .origin = "peers",
	};
}

/* No route rule, however wide, opens or closes our own mesh address: peer rules do. */
static void add_route_rule(struct maker *m, const struct netmap_route_rule *rule, struct cidr dst)
{
	if (!has_family(m->input, dst.family) || !has_source(rule->sources, rule->source_count, dst.family))
		return;
	m->list[m->count++] = (struct acl_rule){
		.sources = rule->sources, .source_count = rule->source_count, .dst = dst,
		.except = own_addr(m->input, dst.family), .drop = rule->drop,
		.proto = rule->proto, .ip_proto = rule->ip_proto,
		.port_first = rule->port_first, .port_last = rule->port_last,
		.policy = rule->policy, .route = rule->route_id,
	};
}

static void add_route_rules(struct maker *m, const struct netmap_route_rule *rule)
{
	const struct acl_input *input = m->input;

	for (size_t i = 0; rule->any_dst && i < sizeof(any) / sizeof(any[0]); i++)
		add_route_rule(m, rule, any[i]);
	if (!rule->any_dst && !is_dynamic(rule))
		add_route_rule(m, rule, rule->dst);
	for (size_t i = 0; is_dynamic(rule) && i < input->learned_count; i++)
		if (is_learned_by(rule, &input->learned[i]))
			add_route_rule(m, rule, host(input->learned[i].family, input->learned[i].addr));
}

static void add_local_exceptions(struct maker *m)
{
	const struct acl_input *input = m->input;

	for (size_t i = 0; i < input->lan_count; i++)
		if (has_family(input, input->lan[i].family))
			m->list[m->count++] = (struct acl_rule){
				.sources = any, .source_count = sizeof(any) / sizeof(any[0]),
				.dst = input->lan[i], .except = own_addr(input, input->lan[i].family),
				.drop = true, .origin = "block-lan-access",
			};
}

int acl_rules_make(const struct acl_input *input, struct acl_rules *ret_rules)
{
	struct maker m = { .input = input };

	if (input->block_inbound) {
		*ret_rules = (struct acl_rules){};
		return 0;
	}
	m.list = calloc(count_room(input) + 1, sizeof(*m.list));
	if (!m.list)
		return -ENOMEM;
	for (size_t i = 0; i < input->map->rule_count; i++) {
		add_peer_rule(&m, &input->map->rules[i], AF_INET);
		add_peer_rule(&m, &input->map->rules[i], AF_INET6);
	}
	for (size_t i = 0; i < input->map->route_rule_count; i++)
		add_route_rules(&m, &input->map->route_rules[i]);
	add_local_exceptions(&m);
	*ret_rules = (struct acl_rules){ .list = m.list, .count = m.count, .memory = m.list };
	return 0;
}

void acl_rules_done(struct acl_rules *rules)
{
	free(rules->memory);
	*rules = (struct acl_rules){};
}
