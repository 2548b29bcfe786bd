// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What people call a merged rule, and the policies that it was made from.
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "base/text.h"
#include "policy/acl_internal.h"

/* The first few in their order, however they come: a table must not depend on the order of the rules. */
static void add_policy(struct acl_label *label, const char *policy)
{
	uint32_t at = 0;

	if (!policy)
		return;
	while (at < label->policy_count && strcmp(label->policies[at], policy) < 0)
		at++;
	if (at < label->policy_count && !strcmp(label->policies[at], policy))
		return;
	if (label->policy_count < ACL_LABEL_POLICIES)
		label->policy_count++;
	else
		label->has_more_policies = true;
	if (at == label->policy_count)
		return;
	memmove(&label->policies[at + 1], &label->policies[at],
		(label->policy_count - at - 1) * sizeof(label->policies[0]));
	label->policies[at] = policy;
}

static int compare_texts(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) : !!a - !!b;
}

static void add_origin(struct acl_label *label, const struct acl_rule *rule)
{
	int order;

	if (!label->first) {
		label->first = rule;
		return;
	}
	order = compare_texts(label->first->route, rule->route);
	if (!order)
		order = compare_texts(label->first->origin, rule->origin);
	label->has_other_origins |= order;
	if (order > 0)
		label->first = rule;
}

void acl_label_add(struct acl_label *label, const struct acl_rule *rule)
{
	add_origin(label, rule);
	add_policy(label, rule->policy);
}

void acl_label_join(struct acl_label *label, const struct acl_label *other)
{
	add_origin(label, other->first);
	label->has_other_origins |= other->has_other_origins;
	for (uint32_t i = 0; i < other->policy_count; i++)
		add_policy(label, other->policies[i]);
	label->has_more_policies |= other->has_more_policies;
}

static void append_origin(char *name, size_t size, const struct acl_label *label)
{
	if (label->first->route)
		text_append(name, size, "route %.24s", label->first->route);
	else
		text_append(name, size, "%s", label->first->origin ? label->first->origin : "rule");
	text_append(name, size, "%s: ", label->has_other_origins ? " and others" : "");
}

static void append_match(char *name, size_t size, const struct acl_described *d)
{
	static const char *const protos[] = { [NETMAP_ANY] = "all", [NETMAP_TCP] = "tcp",
		[NETMAP_UDP] = "udp", [NETMAP_ICMP] = "icmp", [NETMAP_OTHER] = "protocol " };
	const char *proto = protos[d->proto];

	if (d->proto == NETMAP_ANY && d->port_first)
		proto = "tcp and udp";
	else if (d->proto == NETMAP_ICMP && d->sides[0].source.family == AF_INET6)
		proto = "icmpv6";
	text_append(name, size, "%s", proto);
	if (d->proto == NETMAP_OTHER)
		text_append(name, size, "%u", d->ip_proto);
	if (d->port_first == d->port_last && d->port_first)
		text_append(name, size, " %u", d->port_first);
	else if (d->port_last)
		text_append(name, size, " %u-%u", d->port_first, d->port_last);
}

/* @count networks, the first of which is @prefix. */
static void append_networks(char *name, size_t size, const char *word, struct acl_prefix prefix,
	uint32_t count)
{
	struct talon_addr addr;
	char text[INET6_ADDRSTRLEN];

	text_append(name, size, " %s ", word);
	if (count > 1) {
		text_append(name, size, "%u networks", count);
		return;
	}
	if (!prefix.len) {
		text_append(name, size, prefix.family == AF_INET ? "anywhere" : "anywhere in IPv6");
		return;
	}
	for (int i = 0; i < 4; i++)
		addr.word[i] = htonl(prefix.word[i]);
	text_append(name, size, "%s", inet_ntop(prefix.family, &addr, text, sizeof(text)));
	if (prefix.len < (prefix.family == AF_INET ? 32 : 128))
		text_append(name, size, "/%u", prefix.len);
}

void acl_describe(const struct acl_described *d, struct talon_acl_rule *ret_rule)
{
	struct talon_acl_rule rule = { .drop = d->drop };
	const struct acl_label *label = &d->label;

	append_origin(rule.name, sizeof(rule.name), label);
	append_match(rule.name, sizeof(rule.name), d);
	for (unsigned int i = 0; i < d->side_count; i++) {
		const struct acl_sides *sides = &d->sides[i];

		text_append(rule.name, sizeof(rule.name), "%s", i ? "; IPv6" : "");
		append_networks(rule.name, sizeof(rule.name), "from", sides->source, sides->source_count);
		append_networks(rule.name, sizeof(rule.name), "to", sides->destination,
			sides->destination_count);
	}
	for (uint32_t i = 0; i < label->policy_count; i++)
		text_append(rule.policy, sizeof(rule.policy), "%s%.24s", i ? ", " : "", label->policies[i]);
	if (label->has_more_policies)
		text_append(rule.policy, sizeof(rule.policy), ", ...");
	*ret_rule = rule;
}

void acl_label_digest(const struct acl_label *label, uint8_t ret_digest[static 16])
{
	crypto_generichash_state h;

	crypto_generichash_init(&h, NULL, 0, 16);
	for (uint32_t i = 0; i < label->policy_count; i++)
		crypto_generichash_update(&h, (const uint8_t *)label->policies[i],
			strlen(label->policies[i]) + 1);
	crypto_generichash_final(&h, ret_digest, 16);
}
