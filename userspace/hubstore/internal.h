/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The open database, its statements, and transactions. */
#ifndef TALON_HUBSTORE_INTERNAL_H
#define TALON_HUBSTORE_INTERNAL_H

#include "base/interner.h"
#include "crypto/key.h"
#include "hubstore/hubstore.h"
#include "lazy/libsqlite.h"

/* X(name, SQL). Prepared when first used, kept until the store is closed. */
#define STATEMENTS(X) \
	X(BEGIN, "BEGIN IMMEDIATE") \
	X(COMMIT, "COMMIT") \
	X(ROLLBACK, "ROLLBACK") \
	X(TEXT_SET, "INSERT INTO text (name, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2") \
	X(TEXT_DELETE, "DELETE FROM text WHERE name = ?1") \
	X(TEXT_GET, "SELECT value FROM text WHERE name = ?1") \
	X(SECRET_PUT, "INSERT INTO secret (name, sealed) VALUES (?1, ?2)") \
	X(SECRET_GET, "SELECT sealed FROM secret WHERE name = ?1") \
	X(PEER_PUT, "INSERT INTO peer (key, name, hostname, ssh_key, os, version, address, address6, " \
		"capabilities, is_ephemeral, is_login_expiring, seen_s, login_s, user, setup_key, " \
		"joined_s) " \
		"VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)") \
	X(PEER_UPDATE, "UPDATE peer SET name = ?2, hostname = ?3, ssh_key = ?4, os = ?5, version = ?6, " \
		"address = ?7, address6 = ?8, capabilities = ?9, is_ephemeral = ?10, " \
		"is_login_expiring = ?11, seen_s = ?12, login_s = ?13, user = ?14, setup_key = ?15 " \
		"WHERE key = ?1") \
	X(PEER_SEEN, "UPDATE peer SET seen_s = max(seen_s, ?2) WHERE key = ?1") \
	X(PEER_DELETE, "DELETE FROM peer WHERE key = ?1") \
	X(PEER_GROUPS, "SELECT name FROM peer_group WHERE peer = ?1 ORDER BY position") \
	X(PEER_GROUPS_DELETE, "DELETE FROM peer_group WHERE peer = (SELECT id FROM peer WHERE key = ?1)") \
	X(PEER_GROUP_PUT, "INSERT INTO peer_group (peer, position, name) " \
		"VALUES ((SELECT id FROM peer WHERE key = ?1), ?2, ?3)") \
	X(USE, "INSERT INTO key_use (hash, uses) VALUES (?1, 1) " \
		"ON CONFLICT DO UPDATE SET uses = uses + 1 WHERE ?2 = 0 OR uses < ?2") \
	X(USES, "SELECT uses FROM key_use WHERE hash = ?1") \
	X(KEY_PUT, "INSERT INTO setup_key (name, hash, expires_s, uses_max, is_ephemeral, is_revoked) " \
		"VALUES (?1, ?2, ?3, ?4, ?5, ?6)") \
	X(KEY_REVOKE, "UPDATE setup_key SET is_revoked = 1 WHERE name = ?1") \
	X(KEY_GROUPS, "SELECT name FROM setup_key_group WHERE setup_key = ?1 ORDER BY position") \
	X(KEY_GROUP_PUT, "INSERT INTO setup_key_group (setup_key, position, name) " \
		"VALUES ((SELECT id FROM setup_key WHERE hash = ?1), ?2, ?3)") \
	X(TOKENS_OLD_DELETE, "DELETE FROM token WHERE expires_s < ?1") \
	X(TOKEN_PUT, "INSERT INTO token (hash, expires_s) VALUES (?1, ?2)")

enum statement {
#define STATEMENT_NAME(name, sql) STATEMENT_##name,
	STATEMENTS(STATEMENT_NAME)
#undef STATEMENT_NAME
	STATEMENT_COUNT
};

struct hubstore {
	const struct libsqlite *lib;
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENT_COUNT];
	int lock_fd;
	char *path;			/* of the database */
	struct secret_key master;
	struct interner seen_keys;	/* peers that were seen since the last transaction */
	uint64_t *seen_s;		/* by their numbers */
	size_t seen_room;
	uint64_t seen_since_s;		/* the first of them */
	char why[HUBSTORE_WHY_LEN];
};

/*
 * Opens @store->path, brings its tables up to date and checks the master. Returns 0 or a negative errno, as
 * all below do.
 */
int db_open(struct hubstore *store);
void db_close(struct hubstore *store);
/* Writes @store->why, and returns @error. */
int db_refuse(struct hubstore *store, int error, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* What SQLite says about its last call, as an errno and in @store->why. */
int db_error(struct hubstore *store);
/* SQL that returns nothing. */
int db_exec(struct hubstore *store, const char *sql);

/*
 * Binds what follows to ?1, ?2... by the letters of @form, and steps once: b const void *, size_t (NULL with
 * 0: SQL's NULL); t const char * (NULL: ""); i int64_t. Returns 1 if there is a row, then db_done() is due
 * after it was read; 0 without one; or a negative errno.
 */
int db_query(struct hubstore *store, enum statement which, const char *form, ...);
void db_done(struct hubstore *store, enum statement which);
/* The same for statements without rows. */
int db_run(struct hubstore *store, enum statement which, const char *form, ...);

/* A row's text, the statement's until its next step. */
char *db_text(struct hubstore *store, sqlite3_stmt *stmt, int column);
/* Exactly @len bytes. -EUCLEAN */
int db_bytes(struct hubstore *store, sqlite3_stmt *stmt, int column, void *ret_bytes, size_t len);
/*
 * Names in the rows of @which for @id: an array, and the texts behind it. Freed with free(). *@ret_names is
 * NULL if there are none.
 */
int db_names(struct hubstore *store, enum statement which, int64_t id, char ***ret_names, size_t *ret_count);

int db_begin(struct hubstore *store);
/* Commits if @ret is 0, else takes everything back. Returns @ret, or why it was not committed. */
int db_end(struct hubstore *store, int ret);

/* Brings tables up to date from @version, in the transaction of the caller. */
int schema_migrate(struct hubstore *store, int64_t version);
int64_t schema_newest(void);

/* Whether the secrets were sealed with this master; in a new database, that they will be. */
int secret_check(struct hubstore *store, bool is_new);

/* Writes who was seen, in the transaction of the caller; and forgets them when that is done. */
int seen_write(struct hubstore *store);
void seen_forget(struct hubstore *store);

#endif
