// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Setup keys, how often each was used, and tokens that were.
#include <errno.h>
#include <stdlib.h>

#include "hubstore/internal.h"

int hubstore_key_uses(struct hubstore *store, const uint8_t hash[static HUBSTORE_HASH_LEN],
	uint32_t *ret_uses)
{
	int ret = db_query(store, STATEMENT_USES, "b", hash, (size_t)HUBSTORE_HASH_LEN);

	*ret_uses = 0;
	if (ret <= 0)
		return ret;
	*ret_uses = store->lib->column_int64(store->statements[STATEMENT_USES], 0);
	db_done(store, STATEMENT_USES);
	return 0;
}

static int read_key(struct hubstore *store, sqlite3_stmt *stmt, struct hubstore_key *ret_key)
{
	const struct libsqlite *lib = store->lib;
	struct hubstore_key key = {
		.name = db_text(store, stmt, 1),
		.expires_s = lib->column_int64(stmt, 3),
		.uses_max = lib->column_int64(stmt, 4),
		.is_ephemeral = lib->column_int64(stmt, 5),
		.is_revoked = lib->column_int64(stmt, 6),
	};
	int ret = db_bytes(store, stmt, 2, key.hash, sizeof(key.hash));

	if (!ret)
		ret = db_names(store, STATEMENT_KEY_GROUPS, lib->column_int64(stmt, 0), &key.groups,
			&key.group_count);
	if (!ret)
		*ret_key = key;
	return ret;
}

#define EACH "SELECT id, name, setup_key.hash, expires_s, uses_max, is_ephemeral, is_revoked, uses " \
	"FROM setup_key LEFT JOIN key_use ON key_use.hash = setup_key.hash " \
	"WHERE ?1 IS NULL OR setup_key.hash = ?1 ORDER BY id"

int hubstore_each_key(struct hubstore *store, const uint8_t *hash,
	int (*fn)(void *ctx, const struct hubstore_key *key, uint32_t uses), void *ctx)
{
	const struct libsqlite *lib = store->lib;
	sqlite3_stmt *stmt;
	int code, ret = 0;

	if (lib->prepare(store->db, EACH, -1, 0, &stmt, NULL) != SQLITE_OK)
		return db_error(store);
	if (hash && lib->bind_blob(stmt, 1, hash, HUBSTORE_HASH_LEN, SQLITE_STATIC) != SQLITE_OK)
		ret = db_error(store);
	while (!ret && (code = lib->step(stmt)) != SQLITE_DONE) {
		struct hubstore_key key = { 0 };

		ret = code == SQLITE_ROW ? read_key(store, stmt, &key) : db_error(store);
		if (!ret)
			ret = fn(ctx, &key, lib->column_int64(stmt, 7));
		free(key.groups);
	}
	lib->finalize(stmt);
	return ret;
}

static int put(struct hubstore *store, const struct hubstore_key *key)
{
	int ret = db_run(store, STATEMENT_KEY_PUT, "tbiiii", key->name, key->hash, sizeof(key->hash),
		(int64_t)key->expires_s, (int64_t)key->uses_max, (int64_t)key->is_ephemeral,
		(int64_t)key->is_revoked);

	for (size_t i = 0; !ret && i < key->group_count; i++)
		ret = db_run(store, STATEMENT_KEY_GROUP_PUT, "bit", key->hash, sizeof(key->hash), (int64_t)i,
			key->groups[i]);
	return ret;
}

int hubstore_add_key(struct hubstore *store, const struct hubstore_key *key)
{
	int ret = db_begin(store);

	return ret ? ret : db_end(store, put(store, key));
}

int hubstore_revoke_key(struct hubstore *store, const char *name)
{
	int ret = db_begin(store);

	if (ret)
		return ret;
	ret = db_run(store, STATEMENT_KEY_REVOKE, "t", name);
	if (!ret && !store->lib->changes(store->db))
		ret = db_refuse(store, -ENOENT, "setup key %s: not there", name);
	return db_end(store, ret);
}

int hubstore_use_token(struct hubstore *store, const uint8_t hash[static HUBSTORE_HASH_LEN],
	uint64_t expires_s, uint64_t now_s)
{
	int ret = db_begin(store);

	if (ret)
		return ret;
	ret = db_run(store, STATEMENT_TOKENS_OLD_DELETE, "i", (int64_t)now_s);
	if (!ret)
		ret = db_run(store, STATEMENT_TOKEN_PUT, "bi", hash, (size_t)HUBSTORE_HASH_LEN,
			(int64_t)expires_s);
	return db_end(store, ret);
}
