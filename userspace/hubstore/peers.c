// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Peers, and when each was last seen.
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hubstore/internal.h"

#define SEEN_MAX	65536	/* peers; there are fewer, unless writing fails for long */
#define SEEN_WAIT_S	60

static int put_groups(struct hubstore *store, const struct hubstore_peer *peer)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < peer->group_count; i++)
		ret = db_run(store, STATEMENT_PEER_GROUP_PUT, "bit", peer->key, sizeof(peer->key), (int64_t)i,
			peer->groups[i]);
	return ret;
}

/* @form ends with i for joined_s, or without. */
static int put_row(struct hubstore *store, enum statement which, const char *form,
	const struct hubstore_peer *peer)
{
	/* one without an IPv6 address has NULL there, of which there may be many */
	bool has_address6 = !talon_addr_is_zero(&peer->address6);

	return db_run(store, which, form, peer->key, sizeof(peer->key), peer->name, peer->hostname,
		peer->ssh_key, peer->os, peer->version, (int64_t)ntohl(peer->address),
		has_address6 ? peer->address6.word : NULL, has_address6 ? sizeof(peer->address6) : 0,
		(int64_t)peer->capabilities, (int64_t)peer->is_ephemeral, (int64_t)peer->is_login_expiring,
		(int64_t)peer->seen_s, (int64_t)peer->login_s, peer->user, peer->setup_key,
		(int64_t)peer->joined_s);
}

static int count_use(struct hubstore *store, const uint8_t *hash, uint32_t uses_max)
{
	int ret = db_run(store, STATEMENT_USE, "bi", hash, (size_t)HUBSTORE_HASH_LEN, (int64_t)uses_max);

	if (ret || store->lib->changes(store->db))
		return ret;
	return db_refuse(store, -EDQUOT, "the setup key is used up: %u of %u", uses_max, uses_max);
}

int hubstore_join(struct hubstore *store, const struct hubstore_peer *peer, const uint8_t *hash,
	uint32_t uses_max)
{
	int ret = db_begin(store);

	if (ret)
		return ret;
	ret = put_row(store, STATEMENT_PEER_PUT, "btttttibiiiiitti", peer);
	if (!ret)
		ret = put_groups(store, peer);
	if (!ret && hash)
		ret = count_use(store, hash, uses_max);
	return db_end(store, ret);
}

static int unknown(struct hubstore *store)
{
	return db_refuse(store, -ENOENT, "no such peer");
}

static int replace(struct hubstore *store, const struct hubstore_peer *peer)
{
	int ret = put_row(store, STATEMENT_PEER_UPDATE, "btttttibiiiiitt", peer);

	if (!ret && !store->lib->changes(store->db))
		return unknown(store);
	if (!ret)
		ret = db_run(store, STATEMENT_PEER_GROUPS_DELETE, "b", peer->key, sizeof(peer->key));
	return ret ? ret : put_groups(store, peer);
}

int hubstore_update(struct hubstore *store, const struct hubstore_peer *peer)
{
	int ret = db_begin(store);

	return ret ? ret : db_end(store, replace(store, peer));
}

int hubstore_remove(struct hubstore *store, const uint8_t key[static KEY_LEN])
{
	int ret = db_begin(store);

	if (ret)
		return ret;
	ret = db_run(store, STATEMENT_PEER_DELETE, "b", key, (size_t)KEY_LEN);
	if (!ret && !store->lib->changes(store->db))
		ret = unknown(store);
	return db_end(store, ret);
}

static uint64_t seen_of(const struct hubstore *store, const uint8_t *key, uint64_t written_s)
{
	uint32_t number = store->seen_keys.count ? interner_find(&store->seen_keys, key) : UINT32_MAX;

	return number != UINT32_MAX && store->seen_s[number] > written_s ? store->seen_s[number] : written_s;
}

/* Columns as in EACH. @ret_peer's texts are the statement's, its groups are freed by the caller. */
static int read_peer(struct hubstore *store, sqlite3_stmt *stmt, struct hubstore_peer *ret_peer)
{
	const struct libsqlite *lib = store->lib;
	struct hubstore_peer peer = {
		.name = db_text(store, stmt, 2),
		.hostname = db_text(store, stmt, 3),
		.ssh_key = db_text(store, stmt, 4),
		.os = db_text(store, stmt, 5),
		.version = db_text(store, stmt, 6),
		.address = htonl(lib->column_int64(stmt, 7)),
		.capabilities = lib->column_int64(stmt, 9),
		.is_ephemeral = lib->column_int64(stmt, 10),
		.is_login_expiring = lib->column_int64(stmt, 11),
		.joined_s = lib->column_int64(stmt, 12),
		.login_s = lib->column_int64(stmt, 14),
		.user = db_text(store, stmt, 15),
		.setup_key = db_text(store, stmt, 16),
	};
	int ret = db_bytes(store, stmt, 1, peer.key, sizeof(peer.key));

	if (!ret && lib->column_bytes(stmt, 8))
		ret = db_bytes(store, stmt, 8, peer.address6.word, sizeof(peer.address6));
	if (!ret)
		ret = db_names(store, STATEMENT_PEER_GROUPS, lib->column_int64(stmt, 0), &peer.groups,
			&peer.group_count);
	if (ret)
		return ret;
	peer.seen_s = seen_of(store, peer.key, lib->column_int64(stmt, 13));
	*ret_peer = peer;
	return 0;
}

#define EACH "SELECT id, key, name, hostname, ssh_key, os, version, address, address6, capabilities, " \
	"is_ephemeral, is_login_expiring, joined_s, seen_s, login_s, user, setup_key FROM peer ORDER BY id"

int hubstore_each_peer(struct hubstore *store, int (*fn)(void *ctx, const struct hubstore_peer *peer),
	void *ctx)
{
	const struct libsqlite *lib = store->lib;
	sqlite3_stmt *stmt;
	int code, ret = 0;

	if (lib->prepare(store->db, EACH, -1, 0, &stmt, NULL) != SQLITE_OK)
		return db_error(store);
	while (!ret && (code = lib->step(stmt)) != SQLITE_DONE) {
		struct hubstore_peer peer = { 0 };

		ret = code == SQLITE_ROW ? read_peer(store, stmt, &peer) : db_error(store);
		if (!ret)
			ret = fn(ctx, &peer);
		free(peer.groups);
	}
	lib->finalize(stmt);
	return ret;
}

int seen_write(struct hubstore *store)
{
	int ret = 0;

	for (uint32_t i = 0; !ret && i < store->seen_keys.count; i++)
		ret = db_run(store, STATEMENT_PEER_SEEN, "bi", interner_at(&store->seen_keys, i),
			(size_t)KEY_LEN, (int64_t)store->seen_s[i]);
	return ret;
}

void seen_forget(struct hubstore *store)
{
	interner_done(&store->seen_keys);
	store->seen_keys = (struct interner){ .item_size = KEY_LEN };
	free(store->seen_s);
	store->seen_s = NULL;
	store->seen_room = 0;
}

static int note(struct hubstore *store, const uint8_t *key, uint64_t now_s)
{
	uint32_t number;

	if (store->seen_keys.count >= store->seen_room) {
		size_t room = store->seen_room ? 2 * store->seen_room : 64;
		uint64_t *more = realloc(store->seen_s, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		store->seen_s = more;
		store->seen_room = room;
	}
	if (!store->seen_keys.count)
		store->seen_since_s = now_s;
	if (interner_add(&store->seen_keys, key, &number))
		return -ENOMEM;
	store->seen_s[number] = now_s;
	return 0;
}

/* Without fsync: the next change takes care of it. */
static int flush(struct hubstore *store)
{
	int ret = db_exec(store, "PRAGMA synchronous = NORMAL");

	if (!ret)
		ret = db_begin(store);
	if (!ret)
		ret = db_end(store, 0);
	store->seen_since_s += SEEN_WAIT_S;	/* if it failed, not at every call again */
	db_exec(store, "PRAGMA synchronous = FULL");
	return ret;
}

int hubstore_seen(struct hubstore *store, const uint8_t key[static KEY_LEN], uint64_t now_s)
{
	if (store->seen_keys.count >= SEEN_MAX && interner_find(&store->seen_keys, key) == UINT32_MAX)
		return db_refuse(store, -ENOSPC,
			"too many peers were seen since the last change that could be written");
	if (note(store, key, now_s))
		return db_refuse(store, -ENOMEM, "out of memory");
	return now_s >= store->seen_since_s + SEEN_WAIT_S ? flush(store) : 0;
}
