// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The relay's table of ids, and who watches which.
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "hubrelay/hubrelay_internal.h"

#define CHAINS_MIN 64

_Static_assert(HUBRELAY_HASH_KEY_LEN == crypto_shorthash_KEYBYTES, "key of the hash");

/* Peers choose their keys, and so their ids: which chain one is in depends on a key of ours. */
static uint64_t hash_of(const struct hubrelay_table *table, const uint8_t id[static RELAY_ID_LEN])
{
	uint64_t hash;

	crypto_shorthash((uint8_t *)&hash, id, RELAY_ID_LEN, table->key);
	return hash;
}

int hubrelay_table_init(struct hubrelay_table *table)
{
	memset(table, 0, sizeof(*table));
	table->chains = calloc(CHAINS_MIN, sizeof(*table->chains));
	if (!table->chains)
		return -ENOMEM;
	table->mask = CHAINS_MIN - 1;
	crypto_shorthash_keygen(table->key);
	return 0;
}

/* Without the memory for more chains, they grow longer. */
static void grow(struct hubrelay_table *table)
{
	size_t count = 2 * (table->mask + 1);
	struct hubrelay_chain *chains = calloc(count, sizeof(*chains));
	struct hubrelay_spot *spot;

	if (!chains)
		return;
	for (size_t i = 0; i <= table->mask; i++) {
		while ((spot = LIST_FIRST(&table->chains[i]))) {
			LIST_REMOVE(spot, chain);
			LIST_INSERT_HEAD(&chains[spot->hash & (count - 1)], spot, chain);
		}
	}
	free(table->chains);
	table->chains = chains;
	table->mask = count - 1;
}

static struct hubrelay_spot *find(const struct hubrelay_table *table, uint64_t hash,
	const uint8_t id[static RELAY_ID_LEN])
{
	struct hubrelay_spot *spot;

	LIST_FOREACH(spot, &table->chains[hash & table->mask], chain) {
		if (spot->hash == hash && !memcmp(spot->id, id, RELAY_ID_LEN))
			break;
	}
	return spot;
}

struct hubrelay_spot *hubrelay_spot_find(const struct hubrelay_table *table,
	const uint8_t id[static RELAY_ID_LEN])
{
	return find(table, hash_of(table, id), id);
}

struct hubrelay_spot *hubrelay_spot_get(struct hubrelay_table *table, const uint8_t id[static RELAY_ID_LEN])
{
	uint64_t hash = hash_of(table, id);
	struct hubrelay_spot *spot = find(table, hash, id);

	if (spot)
		return spot;
	spot = calloc(1, sizeof(*spot));
	if (!spot)
		return NULL;
	if (table->spot_count > table->mask)
		grow(table);
	spot->hash = hash;
	memcpy(spot->id, id, RELAY_ID_LEN);
	LIST_INSERT_HEAD(&table->chains[hash & table->mask], spot, chain);
	table->spot_count++;
	return spot;
}

void hubrelay_spot_release(struct hubrelay_table *table, struct hubrelay_spot *spot)
{
	if (spot->is_member || spot->conn || spot->watch_count)
		return;
	LIST_REMOVE(spot, chain);
	table->spot_count--;
	free(spot);
}

/* A gateway is watched by many, and most watch few: the shorter list is walked. */
static struct hubrelay_watch *find_watch(struct hubrelay_conn *conn, struct hubrelay_spot *spot)
{
	struct hubrelay_watch *watch;

	if (conn->watch_count < spot->watch_count) {
		LIST_FOREACH(watch, &conn->watches, of_conn) {
			if (watch->spot == spot)
				break;
		}
	} else {
		LIST_FOREACH(watch, &spot->watches, of_spot) {
			if (watch->conn == conn)
				break;
		}
	}
	return watch;
}

struct hubrelay_watch *hubrelay_watch_add(struct hubrelay_table *table, struct hubrelay_conn *conn,
	struct hubrelay_spot *spot, size_t most)
{
	struct hubrelay_watch *watch = find_watch(conn, spot);

	if (watch)
		return watch;
	if (conn->watch_count >= most || table->watch_count >= HUBRELAY_WATCHES_MAX)
		return NULL;
	watch = calloc(1, sizeof(*watch));
	if (!watch)
		return NULL;
	watch->spot = spot;
	watch->conn = conn;
	LIST_INSERT_HEAD(&spot->watches, watch, of_spot);
	LIST_INSERT_HEAD(&conn->watches, watch, of_conn);
	spot->watch_count++;
	conn->watch_count++;
	table->watch_count++;
	return watch;
}

static void drop_watch(struct hubrelay_table *table, struct hubrelay_watch *watch)
{
	struct hubrelay_spot *spot = watch->spot;

	LIST_REMOVE(watch, of_spot);
	LIST_REMOVE(watch, of_conn);
	spot->watch_count--;
	watch->conn->watch_count--;
	table->watch_count--;
	free(watch);
	hubrelay_spot_release(table, spot);
}

void hubrelay_watch_remove(struct hubrelay_table *table, struct hubrelay_conn *conn,
	struct hubrelay_spot *spot)
{
	struct hubrelay_watch *watch = find_watch(conn, spot);

	if (watch)
		drop_watch(table, watch);
}

void hubrelay_watch_clear(struct hubrelay_table *table, struct hubrelay_conn *conn)
{
	struct hubrelay_watch *watch;

	while ((watch = LIST_FIRST(&conn->watches)))
		drop_watch(table, watch);
}

void hubrelay_table_done(struct hubrelay_table *table)
{
	struct hubrelay_spot *spot;

	for (size_t i = 0; i <= table->mask; i++) {
		while ((spot = LIST_FIRST(&table->chains[i]))) {
			LIST_REMOVE(spot, chain);
			free(spot);
		}
	}
	free(table->chains);
	sodium_memzero(table->key, sizeof(table->key));
}
