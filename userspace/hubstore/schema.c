// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The tables, as steps from each version to the next. A step that was released is never changed.
#include "hubstore/internal.h"

static const char *const steps[] = {
	"CREATE TABLE text (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TABLE secret (name TEXT PRIMARY KEY, sealed BLOB NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TABLE peer ("
	" id INTEGER PRIMARY KEY,"
	" key BLOB NOT NULL UNIQUE CHECK (length(key) = 32),"
	" name TEXT NOT NULL UNIQUE CHECK (name <> ''),"
	" hostname TEXT NOT NULL, ssh_key TEXT NOT NULL, os TEXT NOT NULL, version TEXT NOT NULL,"
	" address INTEGER NOT NULL UNIQUE CHECK (address BETWEEN 1 AND 4294967295),"
	" address6 BLOB UNIQUE CHECK (length(address6) = 16),"
	" capabilities INTEGER NOT NULL,"
	" is_ephemeral INTEGER NOT NULL, is_login_expiring INTEGER NOT NULL,"
	" joined_s INTEGER NOT NULL, seen_s INTEGER NOT NULL, login_s INTEGER NOT NULL,"
	" user TEXT NOT NULL, setup_key TEXT NOT NULL) STRICT;"
	"CREATE TABLE peer_group ("
	" peer INTEGER NOT NULL REFERENCES peer ON DELETE CASCADE,"
	" position INTEGER NOT NULL, name TEXT NOT NULL,"
	" PRIMARY KEY (peer, position)) STRICT, WITHOUT ROWID;"
	/* also of keys that only the file knows, hence no reference */
	"CREATE TABLE key_use ("
	" hash BLOB PRIMARY KEY CHECK (length(hash) = 32),"
	" uses INTEGER NOT NULL CHECK (uses > 0)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE setup_key ("
	" id INTEGER PRIMARY KEY,"
	" name TEXT NOT NULL UNIQUE CHECK (name <> ''),"
	" hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),"
	" expires_s INTEGER NOT NULL, uses_max INTEGER NOT NULL,"
	" is_ephemeral INTEGER NOT NULL, is_revoked INTEGER NOT NULL) STRICT;"
	"CREATE TABLE setup_key_group ("
	" setup_key INTEGER NOT NULL REFERENCES setup_key ON DELETE CASCADE,"
	" position INTEGER NOT NULL, name TEXT NOT NULL,"
	" PRIMARY KEY (setup_key, position)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE token ("
	" hash BLOB PRIMARY KEY CHECK (length(hash) = 32),"
	" expires_s INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE INDEX token_by_expiry ON token (expires_s);"
	"PRAGMA user_version = 1;",
};

int64_t schema_newest(void)
{
	return sizeof(steps) / sizeof(steps[0]);
}

int schema_migrate(struct hubstore *store, int64_t version)
{
	int ret = 0;

	for (; !ret && version < schema_newest(); version++)
		ret = db_exec(store, steps[version]);
	return ret;
}
