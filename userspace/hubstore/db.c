// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// SQLite: opening, errors as errno and one line, statements, transactions.
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hubstore/internal.h"

#define APPLICATION	0x54616c48	/* "TalH": PRAGMA application_id */
#define BUSY_MS		1000

static const char *const sql[] = {
#define STATEMENT_SQL(name, text) text,
	STATEMENTS(STATEMENT_SQL)
};

int db_refuse(struct hubstore *store, int error, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(store->why, sizeof(store->why), fmt, args);
	va_end(args);
	return error;
}

/*
 * Limits count as a full disk: RLIMIT_FSIZE, quotas. SQLite says no more than that writing failed, and does
 * not keep the errno of a commit.
 */
static bool is_full(int code, int error)
{
	return (code == SQLITE_IOERR_WRITE || code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_TRUNCATE) &&
		(error == ENOSPC || error == EDQUOT || error == EFBIG);
}

static int full(struct hubstore *store)
{
	return db_refuse(store, -ENOSPC,
		"%s: no room on its disk: changes are refused until there is, what is kept stays",
		store->path);
}

static int from_code(struct hubstore *store, int code)
{
	const char *text = store->lib->error_text(store->db);
	const char *field = strstr(text, "failed: ");

	switch (code & 0xff) {
	case SQLITE_FULL:
		return full(store);
	case SQLITE_CONSTRAINT:
		if (code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY)
			return db_refuse(store, -EEXIST, "already there: %s",
				field ? field + strlen("failed: ") : text);
		return db_refuse(store, -EINVAL, "%s", text);
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return db_refuse(store, -EUCLEAN,
			"%s: damaged (%s) and left as it is: put a copy back, or move it away to begin anew",
			store->path, text);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return db_refuse(store, -EBUSY, "%s: another program has it open", store->path);
	case SQLITE_READONLY:
		return db_refuse(store, -EROFS, "%s: cannot be written: %s", store->path, text);
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return db_refuse(store, -EACCES, "%s: %s", store->path, text);
	case SQLITE_NOMEM:
		return db_refuse(store, -ENOMEM, "%s: out of memory", store->path);
	}
	return db_refuse(store, -EIO, "%s: %s", store->path, text);
}

int db_error(struct hubstore *store)
{
	int error = errno, code = store->lib->error_code(store->db);

	return is_full(code, error) ? full(store) : from_code(store, code);
}

int db_exec(struct hubstore *store, const char *text)
{
	errno = 0;
	return store->lib->exec(store->db, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : db_error(store);
}

/* The first column of the first row, as a number or, if it fits @text, as that. */
static int ask(struct hubstore *store, const char *question, int64_t *ret_number, char *ret_text, size_t size)
{
	sqlite3_stmt *stmt;
	int code;

	if (store->lib->prepare(store->db, question, -1, 0, &stmt, NULL) != SQLITE_OK)
		return db_error(store);
	code = store->lib->step(stmt);
	if (ret_number)
		*ret_number = code == SQLITE_ROW ? store->lib->column_int64(stmt, 0) : 0;
	if (ret_text)
		snprintf(ret_text, size, "%s", code == SQLITE_ROW ? db_text(store, stmt, 0) : "");
	code = store->lib->finalize(stmt);
	return code == SQLITE_OK ? 0 : db_error(store);
}

/* Whose database it is, before anything in it is changed. */
static int check_kind(struct hubstore *store, int64_t *ret_version)
{
	int64_t application, tables;
	int ret = ask(store, "PRAGMA application_id", &application, NULL, 0);

	if (!ret)
		ret = ask(store, "PRAGMA user_version", ret_version, NULL, 0);
	if (!ret)
		ret = ask(store, "SELECT count(*) FROM sqlite_schema", &tables, NULL, 0);
	if (ret)
		return ret;
	if (application != APPLICATION && (application || tables || *ret_version))
		return db_refuse(store, -EUCLEAN,
			"%s: the database of another program, left as it is: expected one of talon hub",
			store->path);
	if (*ret_version > schema_newest())
		return db_refuse(store, -EPROTONOSUPPORT,
			"%s: written by a newer talon (version %lld): expected up to %lld", store->path,
			(long long)*ret_version, (long long)schema_newest());
	return 0;
}

static int check_whole(struct hubstore *store)
{
	char said[96];
	int ret = ask(store, "PRAGMA quick_check(1)", NULL, said, sizeof(said));

	if (ret || !strcmp(said, "ok"))
		return ret;
	for (char *c = said; *c; c++)
		*c = *c == '\n' ? ' ' : *c;
	return db_refuse(store, -EUCLEAN,
		"%s: damaged (%s) and left as it is: put a copy back, or move it away to begin anew",
		store->path, said);
}

static int configure(struct hubstore *store)
{
	char mode[16];
	int ret = db_exec(store,
		"PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
		"PRAGMA temp_store = MEMORY; PRAGMA cache_size = -1024; PRAGMA foreign_keys = ON;");

	if (!ret)
		ret = ask(store, "PRAGMA journal_mode = WAL", NULL, mode, sizeof(mode));
	if (!ret && strcmp(mode, "wal"))
		ret = db_refuse(store, -EIO,
			"%s: no write-ahead log on this file system: expected a local one", store->path);
	return ret ? ret : db_exec(store, "PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 4194304;");
}

static int bring_up(struct hubstore *store, int64_t version)
{
	int ret;

	if (version == schema_newest())
		return secret_check(store, false);
	ret = db_begin(store);
	if (ret)
		return ret;
	ret = schema_migrate(store, version);
	if (!ret && !version)
		ret = db_exec(store, "PRAGMA application_id = 0x54616c48");
	if (!ret)
		ret = secret_check(store, !version);
	return db_end(store, ret);
}

int db_open(struct hubstore *store)
{
	int64_t version = 0;
	int ret;

	ret = store->lib->open(store->path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (!store->db)
		return db_refuse(store, -ENOMEM, "%s: out of memory", store->path);
	if (ret != SQLITE_OK)
		return db_error(store);
	store->lib->extended_codes(store->db, 1);
	store->lib->busy_timeout(store->db, BUSY_MS);
	/*
	 * Before anything is read: then the index of the WAL is in our memory, not in a file that would need
	 * room on a full disk.
	 */
	ret = db_exec(store, "PRAGMA locking_mode = EXCLUSIVE");
	if (!ret)
		ret = check_kind(store, &version);
	if (!ret)
		ret = configure(store);
	if (!ret)
		ret = check_whole(store);
	return ret ? ret : bring_up(store, version);
}

void db_close(struct hubstore *store)
{
	for (size_t i = 0; i < STATEMENT_COUNT; i++) {
		if (store->statements[i])
			store->lib->finalize(store->statements[i]);
	}
	if (store->db)
		store->lib->close(store->db);
	store->db = NULL;
}

static int bind(struct hubstore *store, sqlite3_stmt *stmt, const char *form, va_list args)
{
	int code = SQLITE_OK;

	for (int at = 1; *form && code == SQLITE_OK; form++, at++) {
		const void *bytes;
		const char *text;

		switch (*form) {
		case 'b':
			bytes = va_arg(args, const void *);
			code = store->lib->bind_blob(stmt, at, bytes, va_arg(args, size_t), SQLITE_STATIC);
			break;
		case 't':
			text = va_arg(args, const char *);
			code = store->lib->bind_text(stmt, at, text ? text : "", -1, SQLITE_STATIC);
			break;
		case 'i':
			code = store->lib->bind_int64(stmt, at, va_arg(args, int64_t));
			break;
		}
	}
	return code == SQLITE_OK ? 0 : db_error(store);
}

static int query(struct hubstore *store, enum statement which, const char *form, va_list args)
{
	sqlite3_stmt **stmt = &store->statements[which];
	int ret;

	if (!*stmt)
		store->lib->prepare(store->db, sql[which], -1, SQLITE_PREPARE_PERSISTENT, stmt, NULL);
	ret = *stmt ? bind(store, *stmt, form, args) : db_error(store);
	if (ret)
		return ret;
	errno = 0;
	ret = store->lib->step(*stmt);
	if (ret == SQLITE_ROW)
		return 1;
	ret = ret == SQLITE_DONE ? 0 : db_error(store);
	store->lib->reset(*stmt);
	return ret;
}

int db_query(struct hubstore *store, enum statement which, const char *form, ...)
{
	va_list args;
	int ret;

	va_start(args, form);
	ret = query(store, which, form, args);
	va_end(args);
	return ret;
}

void db_done(struct hubstore *store, enum statement which)
{
	store->lib->reset(store->statements[which]);
}

int db_run(struct hubstore *store, enum statement which, const char *form, ...)
{
	va_list args;
	int ret;

	va_start(args, form);
	ret = query(store, which, form, args);
	va_end(args);
	if (ret > 0)
		db_done(store, which);
	return ret < 0 ? ret : 0;
}

char *db_text(struct hubstore *store, sqlite3_stmt *stmt, int column)
{
	const unsigned char *text = store->lib->column_text(stmt, column);

	return text ? (char *)text : "";
}

int db_bytes(struct hubstore *store, sqlite3_stmt *stmt, int column, void *ret_bytes, size_t len)
{
	const void *bytes = store->lib->column_blob(stmt, column);

	if (!bytes || (size_t)store->lib->column_bytes(stmt, column) != len)
		return db_refuse(store, -EUCLEAN, "%s: damaged: a value of another length than %zu",
			store->path, len);
	memcpy(ret_bytes, bytes, len);
	return 0;
}

/* One more name behind the others. */
static int add_name(char **names, size_t *len, const char *name)
{
	size_t more = strlen(name) + 1;
	char *bigger = realloc(*names, *len + more);

	if (!bigger)
		return -ENOMEM;
	memcpy(bigger + *len, name, more);
	*names = bigger;
	*len += more;
	return 0;
}

static int as_array(const char *names, size_t len, size_t count, char ***ret_names)
{
	char **array = malloc(count * sizeof(*array) + len);
	char *at;

	if (!array)
		return -ENOMEM;
	at = memcpy((char *)(array + count), names, len);
	for (size_t i = 0; i < count; i++, at += strlen(at) + 1)
		array[i] = at;
	*ret_names = array;
	return 0;
}

int db_names(struct hubstore *store, enum statement which, int64_t id, char ***ret_names, size_t *ret_count)
{
	char *names = NULL;
	size_t len = 0, count = 0;
	int ret = db_query(store, which, "i", id);

	*ret_names = NULL;
	while (ret > 0) {
		ret = add_name(&names, &len, db_text(store, store->statements[which], 0));
		if (ret)
			break;
		count++;
		ret = store->lib->step(store->statements[which]);
		ret = ret == SQLITE_ROW ? 1 : ret == SQLITE_DONE ? 0 : db_error(store);
	}
	if (count)
		db_done(store, which);
	if (!ret && count)
		ret = as_array(names, len, count, ret_names);
	free(names);
	*ret_count = ret ? 0 : count;
	return ret == -ENOMEM ? db_refuse(store, ret, "out of memory") : ret;
}

int db_begin(struct hubstore *store)
{
	return db_run(store, STATEMENT_BEGIN, "");
}

int db_end(struct hubstore *store, int ret)
{
	char why[HUBSTORE_WHY_LEN];

	if (!ret)
		ret = seen_write(store);
	if (!ret)
		ret = db_run(store, STATEMENT_COMMIT, "");
	if (!ret) {
		seen_forget(store);
		return 0;
	}
	/* SQLite may have taken it back by itself: then this fails, and says nothing new */
	memcpy(why, store->why, sizeof(why));
	db_run(store, STATEMENT_ROLLBACK, "");
	memcpy(store->why, why, sizeof(why));
	return ret;
}
