// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Compiles access rules: merges them and turns them into classes.
 *
 * An example. Three rules, of which none can be merged:
 *
 *	1	ACCEPT	from 100.64.0.0/10	to 10.0.0.0/8	TCP port 443
 *	2	ACCEPT	from 100.64.5.0/24	to 10.7.0.0/16	any protocol
 *	3	DROP	from anywhere		to 10.7.0.9	any protocol
 *
 * DROP rules have the first bits, ACCEPT rules begin with the next word of 64: rule 3 has bit 0, rule 1 bit
 * 64, rule 2 bit 65. An address or port satisfies a set of rules, which is its class; a longest match finds
 * only one prefix, so each prefix has the bits of all prefixes that contain it as well:
 *
 *	map		key			value
 *	acl_src4	0.0.0.0/0		class 1
 *			100.64.0.0/10		class 2
 *			100.64.5.0/24		class 3
 *	acl_dst4	10.0.0.0/8		class 4
 *			10.7.0.0/16		class 5
 *			10.7.0.9/32		class 3
 *	acl_ports	TCP 443			class 3
 *			all others		class 6
 *	acl_bits	0			1 word of DROP rules, 2 words in all
 *			1			{ 0 }
 *			2			{ 0, 64 }
 *			3			{ 0, 64, 65 }
 *			4			{ 64 }
 *			5			{ 64, 65 }
 *			6			{ 0, 65 }
 *
 * IPv6 rules have bits and classes among the others, and share a bit with an IPv4 rule where they can
 * (acl_bits.c); only their prefixes are in maps of their own, acl_src6 and acl_dst6. What is in no map has
 * class 0, which satisfies no rule. The verdict is in the words that all three classes share:
 *
 *	100.64.9.9 to 10.7.0.1, TCP 443		2 & 5 & 3 = { 64 }	ACCEPT, by rule 1
 *	100.64.5.5 to 10.7.0.9, UDP 53		3 & 3 & 6 = { 0, 65 }	DROP: word 0 decides before word 1
 *	100.64.9.9 to 10.7.0.1, TCP 80		2 & 5 & 6 = { }		DROP: no rule matches
 */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/acl_compiler_internal.h"

#define DIGEST_LEN	32
#define PORTS		65536U

static int add_id(struct acl_list *list, uint32_t id)
{
	uint32_t room, *ids;

	if (list->count && list->ids[list->count - 1] == id)
		return 0;
	if (list->count == list->room) {
		room = list->room ? 2 * list->room : 4;
		ids = realloc(list->ids, room * sizeof(*ids));
		if (!ids)
			return -ENOMEM;
		list->ids = ids;
		list->room = room;
	}
	list->ids[list->count++] = id;
	return 0;
}

static int compare_ids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Lists mostly come sorted: sources are numbered as they are first seen. */
static void sort_unique(struct acl_list *list)
{
	uint32_t kept = 0;
	bool sorted = true;

	for (uint32_t i = 1; i < list->count && sorted; i++)
		sorted = list->ids[i - 1] < list->ids[i];
	if (sorted)
		return;
	qsort(list->ids, list->count, sizeof(*list->ids), compare_ids);
	for (uint32_t i = 0; i < list->count; i++)
		if (!kept || list->ids[kept - 1] != list->ids[i])
			list->ids[kept++] = list->ids[i];
	list->count = kept;
}

/*
 * Rule @rule without its addresses, in canonical form. False: it matches nothing. The exception's number is
 * left to the caller: it is not a destination yet.
 */
static bool normalize(const struct acl_rule *rule, struct acl_what *what)
{
	const bool has_ports = acl_knows_ports(rule->proto);

	if (!acl_is_prefix(&rule->dst) || (rule->port_first > rule->port_last && has_ports))
		return false;
	*what = (struct acl_what){ .proto = rule->proto, .ip_proto = acl_ip_proto(rule), .drop = rule->drop };
	if (has_ports) {
		what->port_first = rule->port_first;
		what->port_last = rule->port_last;
	}
	return true;
}

static bool any_port(const struct acl_what *what)
{
	return !what->port_first && !what->port_last;
}

static int group_of(struct acl_compiler *c, const struct acl_what *what, uint32_t *ret_group)
{
	struct acl_label *labels;
	struct acl_list *lists;
	size_t more;
	int ret = interner_add(&c->groups, what, ret_group);

	if (ret || *ret_group < c->group_room)
		return ret;
	lists = realloc(c->group_sources, c->groups.room * sizeof(*lists));
	if (!lists)
		return -ENOMEM;
	c->group_sources = lists;
	labels = realloc(c->group_labels, c->groups.room * sizeof(*labels));
	if (!labels)
		return -ENOMEM;
	c->group_labels = labels;
	more = c->groups.room - c->group_room;
	memset(lists + c->group_room, 0, more * sizeof(*lists));
	memset(labels + c->group_room, 0, more * sizeof(*labels));
	c->group_room = c->groups.room;
	return 0;
}

/* The number, plus one, of the address in @dst that the rule leaves out; 0: it leaves none out. */
static int number_exception(struct acl_compiler *c, const struct acl_rule *rule, const struct acl_prefix *dst,
	uint32_t *ret_except)
{
	const struct acl_prefix except = acl_prefix_of(rule->dst.family, &rule->except,
		rule->dst.family == AF_INET ? 32 : 128);
	uint32_t id;
	int ret;

	*ret_except = 0;
	if (addr6_is_zero(&rule->except) || !acl_prefix_contains(dst, &except))
		return 0;
	ret = interner_add(&c->destinations, &except, &id);
	*ret_except = id + 1;
	return ret;
}

/* The group of a rule that has a source. */
static int find_group(struct acl_compiler *c, const struct acl_rule *rule, struct acl_what *what,
	uint32_t *ret_group)
{
	const struct acl_prefix dst = acl_prefix_from(&rule->dst);
	int ret = interner_add(&c->destinations, &dst, &what->of);

	if (!ret)
		ret = number_exception(c, rule, &dst, &what->except);
	if (!ret)
		ret = group_of(c, what, ret_group);
	if (!ret)
		acl_label_add(&c->group_labels[*ret_group], rule);
	return ret;
}

static int collect_rule(struct acl_compiler *c, const struct acl_rule *rule)
{
	struct acl_prefix prefix;
	uint32_t group, id;
	bool grouped = false;
	struct acl_what what;
	int ret = 0;

	if (!normalize(rule, &what))
		return 0;
	for (size_t i = 0; i < rule->source_count && !ret; i++) {
		if (rule->sources[i].family != rule->dst.family || !acl_is_prefix(&rule->sources[i]))
			continue;
		if (!grouped) {
			ret = find_group(c, rule, &what, &group);
			if (ret)
				return ret;
			grouped = true;
		}
		prefix = acl_prefix_from(&rule->sources[i]);
		ret = interner_add(&c->sources, &prefix, &id);
		if (!ret)
			ret = add_id(&c->group_sources[group], id);
	}
	return ret;
}

/* The number of the group's set of sources. Takes ownership of the list. */
static int set_of(struct acl_compiler *c, struct acl_list *list, uint32_t *ret_set)
{
	uint8_t digest[DIGEST_LEN];
	int ret;

	sort_unique(list);
	crypto_generichash(digest, sizeof(digest), (const uint8_t *)list->ids,
		list->count * sizeof(*list->ids), NULL, 0);
	ret = interner_add(&c->sets, digest, ret_set);
	if (ret)
		return ret;
	if (c->set_sources[*ret_set].ids)
		free(list->ids);
	else
		c->set_sources[*ret_set] = *list;
	*list = (struct acl_list){};
	return 0;
}

/* Adds the group to the one rule for all groups that differ only in their destinations. */
static int merge_group(struct acl_compiler *c, uint32_t group)
{
	struct acl_what what = *(struct acl_what *)interner_at(&c->groups, group);
	uint32_t destination = what.of, rule;
	int ret;

	ret = set_of(c, &c->group_sources[group], &what.of);
	if (!ret)
		ret = interner_add(&c->merged, &what, &rule);
	if (ret)
		return ret;
	acl_label_join(&c->merged_labels[rule], &c->group_labels[group]);
	return add_id(&c->merged_destinations[rule], destination);
}

static int merge(struct acl_compiler *c)
{
	int ret = 0;

	c->set_sources = calloc(c->groups.count + 1, sizeof(*c->set_sources));
	c->merged_destinations = calloc(c->groups.count + 1, sizeof(*c->merged_destinations));
	c->merged_labels = calloc(c->groups.count + 1, sizeof(*c->merged_labels));
	if (!c->set_sources || !c->merged_destinations || !c->merged_labels)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->groups.count && !ret; i++)
		ret = merge_group(c, i);
	return ret;
}

static void set_bit(struct talon_acl_bits *bits, uint32_t bit)
{
	bits->word[bit / 64] |= 1ULL << (bit % 64);
}

static void clear_bit(struct talon_acl_bits *bits, uint32_t bit)
{
	bits->word[bit / 64] &= ~(1ULL << (bit % 64));
}

static int class_of(struct acl_compiler *c, const struct talon_acl_bits *bits, uint32_t *ret_class)
{
	uint32_t class;
	int ret = interner_add(&c->classes, bits, &class);

	if (ret)
		return ret;
	if (class >= TALON_ACL_CLASSES) {
		snprintf(c->why, c->why_len,
			"access rules: more than %u classes of sources, destinations and ports",
			TALON_ACL_CLASSES - 1);
		return -E2BIG;
	}
	*ret_class = class;
	return 0;
}

static int compare_prefixes(const struct acl_prefix *a, const struct acl_prefix *b)
{
	if (a->family != b->family)
		return a->family == AF_INET ? -1 : 1;
	for (unsigned int i = 0; i < 4; i++)
		if (a->word[i] != b->word[i])
			return a->word[i] < b->word[i] ? -1 : 1;
	return a->len < b->len ? -1 : a->len > b->len;
}

int acl_compare_entries(const void *a, const void *b)
{
	return compare_prefixes(&((const struct acl_entry *)a)->prefix,
		&((const struct acl_entry *)b)->prefix);
}

static int compare_numbers(const void *a, const void *b, void *prefixes)
{
	return compare_prefixes(interner_at(prefixes, *(const uint32_t *)a),
		interner_at(prefixes, *(const uint32_t *)b));
}

/* Clears the bits of rules that do not cover destination @number although it lies in theirs. */
static void take_exceptions(const struct acl_compiler *c, uint32_t number, struct talon_acl_bits *bits)
{
	for (uint32_t i = 0; i < c->merged.count; i++)
		if (acl_rule_at(c, i)->except == number + 1)
			clear_bit(bits, c->bit[i]);
}

/*
 * A longest match finds one prefix, which therefore needs the bits of all prefixes that contain it. Sorted,
 * each prefix comes after those that contain it, so a stack of the open ones is enough. A prefix of the same
 * class as the one around it is left out.
 */
static int make_entries(struct acl_compiler *c, const struct interner *prefixes, const uint32_t *order,
	struct talon_acl_bits *bits, bool except, struct acl_entries *entries)
{
	struct { struct acl_prefix prefix; struct talon_acl_bits bits; uint32_t class; } open[129];
	unsigned depth = 0;
	uint32_t class;
	int ret;

	for (uint32_t i = 0; i < prefixes->count; i++) {
		struct acl_prefix prefix = *(struct acl_prefix *)interner_at(prefixes, order[i]);
		struct talon_acl_bits *own = &bits[order[i]];

		while (depth && !acl_prefix_contains(&open[depth - 1].prefix, &prefix))
			depth--;
		for (uint32_t word = 0; depth && word < c->table->words; word++)
			own->word[word] |= open[depth - 1].bits.word[word];
		if (except)
			take_exceptions(c, order[i], own);
		ret = class_of(c, own, &class);
		if (ret)
			return ret;
		if (class != (depth ? open[depth - 1].class : 0)) {
			entries->list[entries->count++] = (struct acl_entry){ prefix, class };
			entries->count4 += prefix.family == AF_INET;
		}
		open[depth].prefix = prefix;
		open[depth].bits = *own;
		open[depth++].class = class;
	}
	return 0;
}

static int check_room(struct acl_compiler *c, size_t count, const char *what)
{
	if (count <= TALON_ACL_PREFIXES)
		return 0;
	snprintf(c->why, c->why_len, "access rules: %zu distinct %s; the limit is %u", count, what,
		TALON_ACL_PREFIXES);
	return -E2BIG;
}

static int classify(struct acl_compiler *c, const struct interner *prefixes, struct talon_acl_bits *bits,
	bool except, struct acl_entries *entries)
{
	uint32_t *order = calloc(prefixes->count + 1, sizeof(*order));
	int ret = -ENOMEM;

	entries->list = calloc(prefixes->count + 1, sizeof(*entries->list));
	if (!order || !entries->list)
		goto out;
	for (uint32_t i = 0; i < prefixes->count; i++)
		order[i] = i;
	qsort_r(order, prefixes->count, sizeof(*order), compare_numbers, (void *)prefixes);
	ret = make_entries(c, prefixes, order, bits, except, entries);
	if (!ret)
		ret = check_room(c, entries->count4, except ? "destinations" : "sources");
	if (!ret)
		ret = check_room(c, entries->count - entries->count4,
			except ? "IPv6 destinations" : "IPv6 sources");
out:
	free(order);
	return ret;
}

static int classify_sources(struct acl_compiler *c)
{
	struct talon_acl_bits *bits = calloc(c->sources.count + 1, sizeof(*bits));
	int ret;

	if (!bits)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->merged.count; i++) {
		const struct acl_list *list = &c->set_sources[acl_rule_at(c, i)->of];

		for (uint32_t j = 0; j < list->count; j++)
			set_bit(&bits[list->ids[j]], c->bit[i]);
	}
	ret = classify(c, &c->sources, bits, false, &c->table->sources);
	free(bits);
	return ret;
}

static int classify_destinations(struct acl_compiler *c)
{
	struct talon_acl_bits *bits = calloc(c->destinations.count + 1, sizeof(*bits));
	int ret;

	if (!bits)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->merged.count; i++)
		for (uint32_t j = 0; j < c->merged_destinations[i].count; j++)
			set_bit(&bits[c->merged_destinations[i].ids[j]], c->bit[i]);
	ret = classify(c, &c->destinations, bits, true, &c->table->destinations);
	free(bits);
	return ret;
}

struct edge {
	uint32_t port;			/* where the bit flips; PORTS: nowhere */
	uint32_t bit;
};

static int compare_edges(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;

	return x->port < y->port ? -1 : x->port > y->port;
}

/* @edges, sorted, are where a range begins or has ended: all ports between two of them are of one class. */
static int sweep(struct acl_compiler *c, struct talon_acl_bits *bits, const struct edge *edges, size_t count,
	uint16_t *classes)
{
	uint32_t class, from = 0, to;
	size_t i = 0;
	int ret;

	while (from < PORTS) {
		for (; i < count && edges[i].port == from; i++)
			bits->word[edges[i].bit / 64] ^= 1ULL << (edges[i].bit % 64);
		to = i < count ? edges[i].port : PORTS;
		ret = class_of(c, bits, &class);
		if (ret)
			return ret;
		for (; from < to; from++)
			classes[from] = class;
	}
	return 0;
}

static int classify_ports(struct acl_compiler *c, uint8_t ip_proto, uint16_t *classes)
{
	struct edge *edges = calloc(2 * c->merged.count + 1, sizeof(*edges));
	struct talon_acl_bits bits = {};
	size_t count = 0;
	int ret;

	if (!edges)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->merged.count; i++) {
		const struct acl_what *what = acl_rule_at(c, i);

		if ((what->ip_proto && what->ip_proto != ip_proto) || acl_is_second(c, i))
			continue;
		if (any_port(what)) {
			set_bit(&bits, c->bit[i]);
			continue;
		}
		edges[count++] = (struct edge){ what->port_first, c->bit[i] };
		edges[count++] = (struct edge){ what->port_last + 1U, c->bit[i] };
	}
	qsort(edges, count, sizeof(*edges), compare_edges);
	ret = sweep(c, &bits, edges, count, classes);
	free(edges);
	return ret;
}

/* Whether the rule matches a packet of unknown ports: an ACCEPT rule if it must, a DROP rule if it may. */
static bool matches_portless(const struct acl_what *what, uint8_t ip_proto)
{
	if (what->ip_proto && what->ip_proto != ip_proto)
		return false;
	return any_port(what) || (what->drop && acl_has_ports(ip_proto));
}

static int classify_protocols(struct acl_compiler *c, uint16_t *classes)
{
	uint32_t class;
	int ret = 0;

	for (unsigned proto = 0; proto < 256 && !ret; proto++) {
		struct talon_acl_bits bits = {};

		for (uint32_t i = 0; i < c->merged.count; i++)
			if (matches_portless(acl_rule_at(c, i), proto))
				set_bit(&bits, c->bit[i]);
		ret = class_of(c, &bits, &class);
		if (!ret)
			classes[proto] = class;
	}
	return ret;
}

static struct acl_sides sides_of(const struct acl_compiler *c, uint32_t rule)
{
	const struct acl_list *from = &c->set_sources[acl_rule_at(c, rule)->of],
		*to = &c->merged_destinations[rule];

	return (struct acl_sides){
		.source = *acl_first_of(&c->sources, from), .source_count = from->count,
		.destination = *acl_first_of(&c->destinations, to), .destination_count = to->count,
	};
}

static void describe_rule(const struct acl_compiler *c, uint32_t rule, struct talon_acl_rule *ret_rule)
{
	const struct acl_what *what = acl_rule_at(c, rule);
	struct acl_described described = {
		.label = c->merged_labels[rule], .sides = { sides_of(c, rule) }, .side_count = 1,
		.port_first = what->port_first, .port_last = what->port_last,
		.proto = what->proto, .ip_proto = what->ip_proto, .drop = what->drop,
	};

	if (c->twins[rule] != ACL_NO_TWIN) {
		const bool is_six = described.sides[0].source.family == AF_INET6;

		described.sides[1] = described.sides[0];
		described.sides[!is_six] = sides_of(c, c->twins[rule]);
		described.side_count = 2;
		acl_label_join(&described.label, &c->merged_labels[c->twins[rule]]);
	}
	acl_describe(&described, ret_rule);
}

/* Every rule that is left has a source and a destination. */
static int name_rules(struct acl_compiler *c)
{
	struct acl_name *names = calloc(c->merged.count + 1, sizeof(*names));
	size_t count = 0;

	if (!names)
		return -ENOMEM;
	c->table->names = names;
	for (uint32_t i = 0; i < c->merged.count; i++) {
		const uint32_t rule = c->order[i];

		if (acl_is_second(c, rule))
			continue;
		names[count].bit = c->bit[rule];
		describe_rule(c, rule, &names[count++].rule);
	}
	return 0;
}

static int compile(struct acl_compiler *c, const struct acl_rule *rules, size_t count)
{
	static const struct talon_acl_bits none;
	uint32_t class;
	int ret = 0;

	for (size_t i = 0; i < count && !ret; i++)
		ret = collect_rule(c, &rules[i]);
	if (!ret)
		ret = merge(c);
	if (!ret)
		ret = acl_deal_bits(c);
	if (!ret)
		ret = name_rules(c);
	if (!ret)
		ret = class_of(c, &none, &class);	/* class 0 */
	if (!ret)
		ret = classify_sources(c);
	if (!ret)
		ret = classify_destinations(c);
	if (!ret)
		ret = classify_ports(c, IPPROTO_TCP, c->table->ports + TALON_ACL_PORT_TCP);
	if (!ret)
		ret = classify_ports(c, IPPROTO_UDP, c->table->ports + TALON_ACL_PORT_UDP);
	if (!ret)
		ret = classify_protocols(c, c->table->ports + TALON_ACL_PORT_PROTO);
	return ret;
}

static void lists_done(struct acl_list *lists, uint32_t count)
{
	for (uint32_t i = 0; lists && i < count; i++)
		free(lists[i].ids);
	free(lists);
}

static void compiler_done(struct acl_compiler *c)
{
	lists_done(c->group_sources, c->group_room);
	lists_done(c->set_sources, c->sets.count);
	lists_done(c->merged_destinations, c->merged.count);
	free(c->group_labels);
	free(c->merged_labels);
	free(c->order);
	free(c->place);
	free(c->twins);
	free(c->bit);
	interner_done(&c->sources);
	interner_done(&c->destinations);
	interner_done(&c->groups);
	interner_done(&c->sets);
	interner_done(&c->merged);
	interner_done(&c->classes);
}

int acl_compile(const struct acl_rule *rules, size_t count, struct acl_table **ret_table, char *why,
	size_t size)
{
	struct acl_compiler c = {
		.sources.item_size = sizeof(struct acl_prefix),
		.destinations.item_size = sizeof(struct acl_prefix),
		.groups.item_size = sizeof(struct acl_what), .merged.item_size = sizeof(struct acl_what),
		.sets.item_size = DIGEST_LEN, .classes.item_size = sizeof(struct talon_acl_bits), .why = why,
		.why_len = size,
	};
	int ret = -ENOMEM;

	c.table = calloc(1, sizeof(*c.table));
	if (c.table)
		c.table->ports = calloc(TALON_ACL_PORT_CLASSES, sizeof(*c.table->ports));
	if (c.table && c.table->ports)
		ret = compile(&c, rules, count);
	if (!ret) {
		c.table->classes = (struct talon_acl_bits *)c.classes.items;
		c.table->class_count = c.classes.count;
		c.classes.items = NULL;
		*ret_table = c.table;
	} else {
		acl_free(c.table);
		if (ret == -ENOMEM)
			snprintf(why, size, "access rules: out of memory");
	}
	compiler_done(&c);
	return ret;
}

void acl_free(struct acl_table *table)
{
	if (!table)
		return;
	free(table->sources.list);
	free(table->destinations.list);
	free(table->classes);
	free(table->ports);
	free(table->names);
	free(table);
}

struct acl_sizes acl_table_sizes(const struct acl_table *table)
{
	return (struct acl_sizes){
		.rules = table->rules,
		.sources = table->sources.count4,
		.destinations = table->destinations.count4,
		.sources6 = table->sources.count - table->sources.count4,
		.destinations6 = table->destinations.count - table->destinations.count4,
		.classes = table->class_count,
	};
}
