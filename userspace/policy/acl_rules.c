// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Rules for the compiler: those of a network map, and our own.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "policy/acl.h"

static const struct cidr any4 = { .family = AF_INET };

struct maker {
	const struct acl_input *input;
	struct acl_rule *list;
	size_t count;
	struct cidr *own;	/* sources that are not in the map */
	size_t own_count;
};

static struct cidr host(__be32 addr)
{
	return (struct cidr){ .family = AF_INET, .prefixlen = 32, .addr.word[0] = addr };
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
	return !rule->any_dst && rule->dst.family != AF_INET;
}

/* An upper bound for the number of rules. */
static size_t count_room(const struct acl_input *input)
{
	size_t room = input->map->rule_count + input->lan_count;

	for (size_t i = 0; i < input->map->route_rule_count; i++) {
		room++;
		for (size_t j = 0; is_dynamic(&input->map->route_rules[i]) && j < input->learned_count; j++)
			room += is_learned_by(&input->map->route_rules[i], &input->learned[j]);
	}
	return room;
}

static void add_peer_rule(struct maker *m, const struct netmap_rule *rule)
{
	const struct cidr *source = &any4;

	if (rule->peer) {
		m->own[m->own_count] = host(rule->peer);
		source = &m->own[m->own_count++];
	}
	m->list[m->count++] = (struct acl_rule){
		.sources = source, .source_count = 1, .dst = host(m->input->mesh_addr),
		.drop = rule->drop, .proto = rule->proto,
		.port_first = rule->port_first, .port_last = rule->port_last,
		.policy = rule->policy, .origin = "peers",
	};
}

/* No route rule, however wide, opens or closes our own mesh address: peer rules do. */
static void add_route_rule(struct maker *m, const struct netmap_route_rule *rule, struct cidr dst)
{
	m->list[m->count++] = (struct acl_rule){
		.sources = rule->sources, .source_count = rule->source_count, .dst = dst,
		.except = m->input->mesh_addr, .drop = rule->drop,
		.proto = rule->proto, .port_first = rule->port_first, .port_last = rule->port_last,
		.policy = rule->policy, .route = rule->route_id,
	};
}

static void add_route_rules(struct maker *m, const struct netmap_route_rule *rule)
{
	const struct acl_input *input = m->input;

	if (!rule->source_count)	/* matches nothing */
		return;
	if (rule->any_dst)
		add_route_rule(m, rule, any4);
	else if (!is_dynamic(rule))
		add_route_rule(m, rule, rule->dst);
	for (size_t i = 0; is_dynamic(rule) && i < input->learned_count; i++)
		if (is_learned_by(rule, &input->learned[i]))
			add_route_rule(m, rule, host(input->learned[i].addr));
}

static void add_local_exceptions(struct maker *m)
{
	const struct acl_input *input = m->input;
	struct acl_rule rule = { .sources = &any4, .source_count = 1, .origin = "block-lan-access" };

	for (size_t i = 0; i < input->lan_count; i++) {
		rule.dst = input->lan[i];
		rule.except = input->mesh_addr;
		rule.drop = true;
		m->list[m->count++] = rule;
	}
}

int acl_rules_make(const struct acl_input *input, struct acl_rules *ret_rules)
{
	struct maker m = { .input = input };
	size_t room;

	if (input->block_inbound) {
		*ret_rules = (struct acl_rules){};
		return 0;
	}
	room = count_room(input);
	m.list = malloc(room * sizeof(*m.list) + input->map->rule_count * sizeof(*m.own));
	if (!m.list)
		return -ENOMEM;
	m.own = (struct cidr *)(m.list + room);
	for (size_t i = 0; input->mesh_addr && i < input->map->rule_count; i++)
		add_peer_rule(&m, &input->map->rules[i]);
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
