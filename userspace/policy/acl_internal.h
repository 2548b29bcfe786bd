/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A compiled table, which acl.c makes and acl_write.c writes. */
#ifndef TALON_ACL_INTERNAL_H
#define TALON_ACL_INTERNAL_H

#include "policy/acl.h"

struct acl_prefix {
	uint32_t addr;			/* host order, host bits zero */
	uint32_t len;
};

struct acl_entry {
	struct acl_prefix prefix;
	uint32_t class;
};

struct acl_entries {
	struct acl_entry *list;		/* by address, shorter prefixes first */
	size_t count;
};

/* Where a merged rule comes from. What is beyond the room is only noted. */
#define ACL_LABEL_POLICIES 3
struct acl_label {
	const struct acl_rule *first;
	bool has_other_origins;
	const char *policies[ACL_LABEL_POLICIES];
	uint32_t policy_count;
	bool has_more_policies;
};

/* acl_names.c */
void acl_label_add(struct acl_label *label, const struct acl_rule *rule);
void acl_label_join(struct acl_label *label, const struct acl_label *other);

/* A merged rule, for its name: how many networks it has on either side, and the first of them. */
struct acl_described {
	const struct acl_label *label;
	struct acl_prefix source, destination;
	uint32_t source_count, destination_count;
	uint16_t port_first, port_last;
	uint8_t proto;			/* enum netmap_proto */
	bool drop;
};
void acl_describe(const struct acl_described *described, struct talon_acl_rule *ret_rule);

struct acl_name {
	uint32_t bit;
	struct talon_acl_rule rule;
};

struct acl_table {
	struct acl_entries sources;
	struct acl_entries destinations;
	struct talon_acl_bits *classes;	/* the first satisfies no rule */
	uint32_t class_count;
	uint16_t *ports;		/* [TALON_ACL_PORT_CLASSES] */
	uint32_t drop_words;
	uint32_t words;
	size_t rules;
	struct acl_name *names;		/* of each rule */
};

#endif
