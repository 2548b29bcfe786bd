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

struct acl_table {
	struct acl_entries sources;
	struct acl_entries destinations;
	struct talon_acl_bits *classes;	/* the first satisfies no rule */
	uint32_t class_count;
	uint16_t *ports;		/* [TALON_ACL_PORT_CLASSES] */
	uint32_t drop_words;
	uint32_t words;
	size_t rules;
};

#endif
