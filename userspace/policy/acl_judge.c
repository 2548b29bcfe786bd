// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What access rules mean without the kernel, once by the rules and once by the classes: for tests.
#include <stdlib.h>
#include <string.h>

#include "policy/acl_internal.h"

/* An address as the prefix that is only itself. */
static struct acl_prefix host(uint8_t family, const struct talon_addr *addr)
{
	return acl_prefix_of(family, addr, family == AF_INET ? 32 : 128);
}

static bool contains(const struct cidr *net, const struct acl_prefix *addr)
{
	struct acl_prefix prefix;

	if (!acl_is_prefix(net))
		return false;
	prefix = acl_prefix_from(net);
	return acl_prefix_contains(&prefix, addr);
}

static bool matches_addresses(const struct acl_rule *rule, const struct acl_packet *packet)
{
	const struct acl_prefix src = host(packet->family, &packet->src), dst = host(packet->family,
		&packet->dst);

	if (!contains(&rule->dst, &dst) || (!addr6_is_zero(&rule->except) &&
		!memcmp(&rule->except, &packet->dst, sizeof(rule->except))))
		return false;
	for (size_t i = 0; i < rule->source_count; i++)
		if (contains(&rule->sources[i], &src))
			return true;
	return false;
}

static bool matches_port(const struct acl_rule *rule, const struct acl_packet *packet)
{
	const uint8_t ip_proto = acl_ip_proto(rule);

	if (ip_proto && ip_proto != packet->ip_proto)
		return false;
	if (!acl_knows_ports(rule->proto) || (!rule->port_first && !rule->port_last))
		return true;
	return acl_has_ports(packet->ip_proto) && packet->dport >= rule->port_first &&
		packet->dport <= rule->port_last;
}

bool acl_permits(const struct acl_rule *rules, size_t count, const struct acl_packet *packet)
{
	bool accept = false;

	for (size_t i = 0; i < count; i++) {
		if (!matches_addresses(&rules[i], packet) || !matches_port(&rules[i], packet))
			continue;
		if (rules[i].drop)
			return false;
		accept = true;
	}
	return accept;
}

static uint32_t longest_match(const struct acl_entries *entries, uint8_t family,
	const struct talon_addr *addr)
{
	const struct acl_entry *found;

	for (int len = family == AF_INET ? 32 : 128; len >= 0; len--) {
		struct acl_entry key = { .prefix = acl_prefix_of(family, addr, len) };

		found = bsearch(&key, entries->list, entries->count, sizeof(key), acl_compare_entries);
		if (found)
			return found->class;
	}
	return 0;
}

static bool permits_at(const struct acl_table *table, const struct acl_packet *packet, uint32_t place)
{
	const struct talon_acl_bits *s, *d, *p;

	s = &table->classes[longest_match(&table->sources, packet->family, &packet->src)];
	d = &table->classes[longest_match(&table->destinations, packet->family, &packet->dst)];
	p = &table->classes[table->ports[place]];
	for (uint32_t i = 0; i < table->words; i++)
		if (s->word[i] & d->word[i] & p->word[i])
			return i >= table->drop_words;
	return false;
}

bool acl_table_permits(const struct acl_table *table, const struct acl_packet *packet)
{
	if (!acl_has_ports(packet->ip_proto))
		return acl_table_permits_any_port(table, packet);
	return permits_at(table, packet, (packet->ip_proto == IPPROTO_TCP ? TALON_ACL_PORT_TCP
		: TALON_ACL_PORT_UDP) + packet->dport);
}

bool acl_table_permits_any_port(const struct acl_table *table, const struct acl_packet *packet)
{
	return permits_at(table, packet, TALON_ACL_PORT_PROTO + packet->ip_proto);
}
