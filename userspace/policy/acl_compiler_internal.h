/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What acl.c compiles with, and acl_bits.c, which deals the bits. */
#ifndef TALON_ACL_COMPILER_INTERNAL_H
#define TALON_ACL_COMPILER_INTERNAL_H

#include "base/interner.h"
#include "policy/acl_internal.h"

struct acl_list {
	uint32_t *ids;
	uint32_t count;
	uint32_t room;
};

/*
 * A rule without its sources (@of is its destination) or, once sources are merged, without its destinations
 * (@of is its set of sources).
 */
struct acl_what {
	uint32_t of;
	uint32_t except;		/* number of the destination that is left out, plus one; 0: none */
	uint16_t port_first;
	uint16_t port_last;
	uint8_t proto;			/* enum netmap_proto */
	uint8_t ip_proto;		/* 0: any */
	uint8_t drop;
	uint8_t pad;
};

struct acl_compiler {
	struct interner sources;	/* struct acl_prefix */
	struct interner destinations;
	struct interner groups;		/* struct acl_what: rules but for their sources */
	struct acl_list *group_sources;
	struct acl_label *group_labels;
	uint32_t group_room;
	struct interner sets;		/* digests of lists of sources */
	struct acl_list *set_sources;
	struct interner merged;		/* struct acl_what: rules but for their destinations */
	struct acl_list *merged_destinations;
	struct acl_label *merged_labels;
	uint32_t *order, *place;	/* merged rules as bits are dealt, and the place of each there */
	uint32_t *twins;		/* of each merged rule */
	uint32_t *bit;			/* of each merged rule */
	struct interner classes;	/* struct talon_acl_bits */
	struct acl_table *table;
	char *why;
	size_t why_len;
};

static inline const struct acl_what *acl_rule_at(const struct acl_compiler *c, uint32_t rule)
{
	return interner_at(&c->merged, rule);
}

static inline const struct acl_prefix *acl_first_of(const struct interner *prefixes,
	const struct acl_list *list)
{
	return interner_at(prefixes, list->ids[0]);
}

/* Whether merged rule @rule has the bit of another one. */
static inline bool acl_is_second(const struct acl_compiler *c, uint32_t rule)
{
	return c->twins[rule] != ACL_NO_TWIN && c->place[c->twins[rule]] < c->place[rule];
}

/*
 * acl_bits.c: orders the merged rules, finds twins and deals each rule its bit. Returns 0, -ENOMEM, or -E2BIG
 * with one line in c->why.
 */
int acl_deal_bits(struct acl_compiler *c);

#endif
