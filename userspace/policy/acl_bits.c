// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Which merged rule has which bit: the same for the same rules in any order, and one for two families
// where it can be.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "policy/acl_compiler_internal.h"

static uint64_t sum_of(const struct interner *prefixes, const struct acl_list *list)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < list->count; i++)
		sum += acl_prefix_hash(interner_at(prefixes, list->ids[i]));
	return sum;
}

/* What makes the order of merged rules independent of that in which the server lists them. */
static uint64_t fingerprint(const struct acl_compiler *c, uint32_t rule)
{
	const struct acl_what *what = acl_rule_at(c, rule);
	uint64_t sum = sum_of(&c->sources, &c->set_sources[what->of]) +
		3 * sum_of(&c->destinations, &c->merged_destinations[rule]);

	return what->except ? sum + 5 * acl_prefix_hash(interner_at(&c->destinations,
		what->except - 1)) : sum;
}

struct standing {
	const struct acl_what *what;
	uint64_t print;
	uint32_t rule;
};

static int compare_standings(const void *a, const void *b)
{
	const struct standing *x = a, *y = b;

	if (x->what->proto != y->what->proto)
		return y->what->proto - x->what->proto;
	if (x->what->port_first != y->what->port_first)
		return x->what->port_first - y->what->port_first;
	if (x->what->port_last != y->what->port_last)
		return x->what->port_last - y->what->port_last;
	return x->print < y->print ? -1 : x->print > y->print;
}

static int order_rules(struct acl_compiler *c)
{
	struct standing *list = calloc(c->merged.count + 1, sizeof(*list));

	c->order = calloc(c->merged.count + 1, sizeof(*c->order));
	c->place = calloc(c->merged.count + 1, sizeof(*c->place));
	if (!list || !c->order || !c->place) {
		free(list);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < c->merged.count; i++)
		list[i] = (struct standing){ acl_rule_at(c, i), fingerprint(c, i), i };
	qsort(list, c->merged.count, sizeof(*list), compare_standings);
	for (uint32_t i = 0; i < c->merged.count; i++) {
		c->order[i] = list[i].rule;
		c->place[list[i].rule] = i;
	}
	free(list);
	return 0;
}

/*
 * Two rules of different families can have one bit, since a packet is of one family: it is in the classes of
 * one rule's sources and destinations and never in the other's. Only what both say of ports must be the same;
 * here the policies as well, so that the bit has a name that is true of both. Compared byte by byte.
 */
struct trait {
	uint16_t port_first, port_last;
	uint8_t proto, ip_proto, drop, pad;
	uint8_t policies[16];		/* a digest */
};

/*
 * Of each trait at most one family has rules without a twin at any time: the other family's next one takes
 * the latest of them.
 */
static int pair(const struct trait *traits, const uint8_t *families, uint32_t count,
	uint32_t *ret_twins)
{
	struct interner kinds = { .item_size = sizeof(*traits) };
	uint32_t *last = calloc(count + 1, sizeof(*last));	/* without a twin, of each trait; plus one */
	uint32_t *before = calloc(count + 1, sizeof(*before));	/* the one before it; plus one */
	int ret = last && before ? 0 : -ENOMEM;
	uint32_t kind;

	for (uint32_t i = 0; i < count && !ret; i++) {
		ret_twins[i] = ACL_NO_TWIN;
		ret = interner_add(&kinds, &traits[i], &kind);
		if (ret)
			break;
		if (last[kind] && families[last[kind] - 1] != families[i]) {
			const uint32_t twin = last[kind] - 1;

			last[kind] = before[twin];
			ret_twins[twin] = i;
			ret_twins[i] = twin;
		} else {
			before[i] = last[kind];
			last[kind] = i + 1;
		}
	}
	interner_done(&kinds);
	free(last);
	free(before);
	return ret;
}

static int find_twins(struct acl_compiler *c)
{
	const uint32_t count = c->merged.count;
	struct trait *traits = calloc(count + 1, sizeof(*traits));
	uint8_t *families = calloc(count + 1, sizeof(*families));
	uint32_t *places = calloc(count + 1, sizeof(*places));
	int ret = -ENOMEM;

	c->twins = calloc(count + 1, sizeof(*c->twins));
	if (!traits || !families || !places || !c->twins)
		goto out;
	for (uint32_t i = 0; i < count; i++) {
		const struct acl_what *what = acl_rule_at(c, c->order[i]);

		traits[i] = (struct trait){ .port_first = what->port_first, .port_last = what->port_last,
			.proto = what->proto, .ip_proto = what->ip_proto, .drop = what->drop };
		acl_label_digest(&c->merged_labels[c->order[i]], traits[i].policies);
		families[i] = acl_first_of(&c->destinations, &c->merged_destinations[c->order[i]])->family;
	}
	ret = pair(traits, families, count, places);
	for (uint32_t i = 0; i < count && !ret; i++)
		c->twins[c->order[i]] = places[i] == ACL_NO_TWIN ? ACL_NO_TWIN : c->order[places[i]];
out:
	free(traits);
	free(families);
	free(places);
	return ret;
}

/* DROP rules first, ACCEPT rules from the next whole word on. */
static int number(struct acl_compiler *c)
{
	uint32_t drops = 0, accepts = 0, drop_words, words;

	for (uint32_t i = 0; i < c->merged.count; i++)
		*(acl_rule_at(c, i)->drop ? &drops : &accepts) += !acl_is_second(c, i);
	drop_words = (drops + 63) / 64;
	words = drop_words + (accepts + 63) / 64;
	if (words > TALON_ACL_WORDS) {
		snprintf(c->why, c->why_len,
			"access rules: %u distinct rules (%u of them drop); the limit is %u",
			drops + accepts, drops, TALON_ACL_RULES);
		return -E2BIG;
	}
	c->bit = calloc(c->merged.count + 1, sizeof(*c->bit));
	if (!c->bit)
		return -ENOMEM;
	c->table->drop_words = drop_words;
	c->table->words = words;
	c->table->rules = drops + accepts;
	drops = 0;
	accepts = 64 * drop_words;
	for (uint32_t i = 0; i < c->merged.count; i++) {
		const uint32_t rule = c->order[i];

		if (acl_is_second(c, rule))
			c->bit[rule] = c->bit[c->twins[rule]];
		else
			c->bit[rule] = acl_rule_at(c, rule)->drop ? drops++ : accepts++;
	}
	return 0;
}

int acl_deal_bits(struct acl_compiler *c)
{
	int ret = order_rules(c);

	if (!ret)
		ret = find_twins(c);
	return ret ? ret : number(c);
}
