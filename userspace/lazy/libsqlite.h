/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* SQLite, loaded by talon hub alone: every other process of ours does without it. */
#ifndef TALON_LAZY_LIBSQLITE_H
#define TALON_LAZY_LIBSQLITE_H

#include <stddef.h>

#include <sqlite3.h>

/* X(name of the member, SQLite's function) */
#define LIBSQLITE_CALLS(X) \
	X(version_number, sqlite3_libversion_number) \
	X(open, sqlite3_open_v2) \
	X(close, sqlite3_close) \
	X(extended_codes, sqlite3_extended_result_codes) \
	X(busy_timeout, sqlite3_busy_timeout) \
	X(exec, sqlite3_exec) \
	X(prepare, sqlite3_prepare_v3) \
	X(bind_blob, sqlite3_bind_blob) \
	X(bind_text, sqlite3_bind_text) \
	X(bind_int64, sqlite3_bind_int64) \
	X(bind_null, sqlite3_bind_null) \
	X(step, sqlite3_step) \
	X(reset, sqlite3_reset) \
	X(finalize, sqlite3_finalize) \
	X(column_blob, sqlite3_column_blob) \
	X(column_bytes, sqlite3_column_bytes) \
	X(column_text, sqlite3_column_text) \
	X(column_int64, sqlite3_column_int64) \
	X(changes, sqlite3_changes) \
	X(error_code, sqlite3_extended_errcode) \
	X(error_text, sqlite3_errmsg)

struct libsqlite {
#define LIBSQLITE_MEMBER(member, name) typeof(name) *member;
	LIBSQLITE_CALLS(LIBSQLITE_MEMBER)
#undef LIBSQLITE_MEMBER
};

/*
 * Loaded once. NULL: it cannot be loaded or is too old, which one line in @why says. Not from two threads at
 * once.
 */
const struct libsqlite *libsqlite_load(char *why, size_t size);

#endif
