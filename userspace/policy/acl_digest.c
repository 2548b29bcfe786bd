// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A digest of a compiled table.
#include <sodium.h>

#include "policy/acl_internal.h"

static void add(crypto_generichash_state *h, const void *bytes, size_t len)
{
	crypto_generichash_update(h, bytes, len);
}

static void add_entries(crypto_generichash_state *h, const struct acl_entries *entries)
{
	add(h, &entries->count, sizeof(entries->count));
	add(h, entries->list, entries->count * sizeof(*entries->list));
}

void acl_digest(const struct acl_table *table, uint8_t ret_digest[static ACL_DIGEST_LEN])
{
	crypto_generichash_state h;

	crypto_generichash_init(&h, NULL, 0, ACL_DIGEST_LEN);
	add_entries(&h, &table->sources);
	add_entries(&h, &table->destinations);
	add(&h, &table->class_count, sizeof(table->class_count));
	add(&h, table->classes, table->class_count * sizeof(*table->classes));
	add(&h, table->ports, TALON_ACL_PORT_CLASSES * sizeof(*table->ports));
	add(&h, &table->drop_words, sizeof(table->drop_words));
	add(&h, &table->words, sizeof(table->words));
	add(&h, table->names, table->rules * sizeof(*table->names));
	crypto_generichash_final(&h, ret_digest, ACL_DIGEST_LEN);
}
