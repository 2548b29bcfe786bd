// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A hub that ends at any write, or whose power is cut there, left either all of a change or nothing of it;
// and a disk that is full at any write refuses the change and loses nothing. SQLite's own files are
// watched by a VFS around its own (https://sqlite.org/vfs.html).
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "lazy/libsqlite.h"
#include "unit/hubstore/store_world.h"

enum fault { KILLED, POWER_CUT, POWER_CUT_TORN, DISK_FULL };

#define CRASHED		42	/* exit status: before the change returned */
#define CRASHED_LATER	43	/* it had returned 0 */
#define REFUSED		44

/* What a write replaced: given back when power is cut before the file was flushed. */
struct replaced {
	struct replaced *next;
	sqlite3_int64 at, was_size;
	int len;
	unsigned number;
	uint8_t bytes[];	/* zeros where the file ended */
};

struct watched {
	sqlite3_file base;
	struct watched *next;
	struct replaced *replaced;	/* the newest first */
	sqlite3_file *real;
};

static sqlite3_vfs *real_vfs, shim;
static sqlite3_io_methods methods;
static struct watched *all_watched;
static enum fault fault;
static unsigned count, fault_at;	/* steps that were taken; 0: no fault */
static bool has_returned;

static sqlite3_file *real_of(sqlite3_file *file)
{
	return ((struct watched *)file)->real;
}

/* Power is cut: what was not flushed is gone, or, torn, every second write of it. */
static void lose_unflushed(void)
{
	for (struct watched *file = all_watched; file; file = file->next) {
		for (struct replaced *r = file->replaced; r; r = r->next) {
			const sqlite3_io_methods *io = file->real->pMethods;

			if (fault == POWER_CUT_TORN && r->number % 2)
				continue;
			io->xWrite(file->real, r->bytes, r->len, r->at);
			if (fault == POWER_CUT)
				io->xTruncate(file->real, r->was_size);
		}
	}
}

/* Before each write, truncation, flush or removal. */
static int step(void)
{
	if (!fault_at || ++count < fault_at)
		return SQLITE_OK;
	if (fault == DISK_FULL)
		return SQLITE_FULL;
	if (fault != KILLED)
		lose_unflushed();
	_exit(has_returned ? CRASHED_LATER : CRASHED);
}

static void remember(struct watched *file, int len, sqlite3_int64 at)
{
	struct replaced *r = calloc(1, sizeof(*r) + len);

	file->real->pMethods->xFileSize(file->real, &r->was_size);
	file->real->pMethods->xRead(file->real, r->bytes, len, at);	/* zeros behind the end */
	r->len = len;
	r->at = at;
	r->number = count;
	r->next = file->replaced;
	file->replaced = r;
}

static void flushed(struct watched *file)
{
	while (file->replaced) {
		struct replaced *r = file->replaced;

		file->replaced = r->next;
		free(r);
	}
}

static int shim_close(sqlite3_file *file)
{
	struct watched **link = &all_watched;

	while (*link != (struct watched *)file)
		link = &(*link)->next;
	*link = (*link)->next;
	flushed((struct watched *)file);
	return real_of(file)->pMethods->xClose(real_of(file));
}

static int shim_read(sqlite3_file *file, void *bytes, int len, sqlite3_int64 at)
{
	return real_of(file)->pMethods->xRead(real_of(file), bytes, len, at);
}

static int shim_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 at)
{
	int code = step();

	if (code)
		return code;
	remember((struct watched *)file, len, at);
	return real_of(file)->pMethods->xWrite(real_of(file), bytes, len, at);
}

static int shim_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	sqlite3_int64 was;

	step();	/* needs no room */
	real_of(file)->pMethods->xFileSize(real_of(file), &was);
	if (size < was)
		remember((struct watched *)file, was - size, size);
	return real_of(file)->pMethods->xTruncate(real_of(file), size);
}

static int shim_sync(sqlite3_file *file, int flags)
{
	step();
	flushed((struct watched *)file);
	return SQLITE_OK;	/* a process that is killed loses nothing that was written */
}

static int shim_size(sqlite3_file *file, sqlite3_int64 *size)
{
	return real_of(file)->pMethods->xFileSize(real_of(file), size);
}

static int shim_lock(sqlite3_file *file, int level)
{
	return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int shim_unlock(sqlite3_file *file, int level)
{
	return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int shim_check(sqlite3_file *file, int *is_reserved)
{
	return real_of(file)->pMethods->xCheckReservedLock(real_of(file), is_reserved);
}

static int shim_control(sqlite3_file *file, int what, void *arg)
{
	return real_of(file)->pMethods->xFileControl(real_of(file), what, arg);
}

static int shim_sector(sqlite3_file *file)
{
	return real_of(file)->pMethods->xSectorSize(real_of(file));
}

/* Of a disk that promises nothing. */
static int shim_traits(sqlite3_file *file)
{
	return 0;
}

static int shim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
	struct watched *watched = (struct watched *)file;
	int code;

	memset(watched, 0, sizeof(*watched));
	watched->real = (sqlite3_file *)(watched + 1);
	code = real_vfs->xOpen(real_vfs, name, watched->real, flags, ret_flags);
	if (code)
		return code;
	watched->base.pMethods = &methods;
	watched->next = all_watched;
	all_watched = watched;
	return SQLITE_OK;
}

static int shim_delete(sqlite3_vfs *vfs, const char *name, int is_synced)
{
	step();
	return real_vfs->xDelete(real_vfs, name, is_synced);
}

/* From now on in this process. Version 1 of the methods: the store needs no shared memory of SQLite's. */
static void watch_files(void)
{
	void *library = dlopen("libsqlite3.so.0", RTLD_NOW);
	sqlite3_vfs *(*find)(const char *) = dlsym(library, "sqlite3_vfs_find");
	int (*add)(sqlite3_vfs *, int) = dlsym(library, "sqlite3_vfs_register");

	real_vfs = find(NULL);
	shim = *real_vfs;
	shim.zName = "watched";
	shim.pNext = NULL;
	shim.szOsFile = sizeof(struct watched) + real_vfs->szOsFile;
	shim.xOpen = shim_open;
	shim.xDelete = shim_delete;
	methods = (sqlite3_io_methods){
		.iVersion = 1, .xClose = shim_close, .xRead = shim_read, .xWrite = shim_write,
		.xTruncate = shim_truncate, .xSync = shim_sync, .xFileSize = shim_size, .xLock = shim_lock,
		.xUnlock = shim_unlock, .xCheckReservedLock = shim_check, .xFileControl = shim_control,
		.xSectorSize = shim_sector, .xDeviceCharacteristics = shim_traits,
	};
	assert_int_equal(add(&shim, 1), SQLITE_OK);
}

static int join(struct hubstore *store)
{
	struct hubstore_peer peer = sample(3);

	return hubstore_join(store, &peer, hash_of(1), 2);
}

static int update(struct hubstore *store)
{
	struct hubstore_peer peer = sample(2);

	peer.name = "renamed";
	peer.group_count = 1;
	return hubstore_update(store, &peer);
}

static int take_away(struct hubstore *store)
{
	return hubstore_remove(store, hash_of(1));
}

static int add_key(struct hubstore *store)
{
	struct hubstore_key key = { .name = "new", .uses_max = 7, NAMES("a", "b") };

	memcpy(key.hash, hash_of(3), sizeof(key.hash));
	return hubstore_add_key(store, &key);
}

static int revoke_old(struct hubstore *store)
{
	return hubstore_revoke_key(store, "old");
}

static int put_serial(struct hubstore *store)
{
	return hubstore_set(store, "serial", "8");
}

/* Seen is written with it. */
static int seen_and_serial(struct hubstore *store)
{
	int ret = hubstore_seen(store, hash_of(2), 1800000000);

	return ret ? ret : put_serial(store);
}

static const struct { const char *name; int (*fn)(struct hubstore *store); } changes[] = {
	{ "join", join }, { "update", update }, { "remove", take_away }, { "add_key", add_key }, { "revoke",
		revoke_old },
	{ "set", put_serial }, { "seen", seen_and_serial },
};

/* Two peers, a key, a serial: in "base" below the folder. */
static void make_base(void)
{
	struct hubstore_key key = { .name = "old", .uses_max = 2, NAMES("All") };
	struct hubstore *store;
	struct hubstore_peer peer;
	char dir[96];

	snprintf(dir, sizeof(dir), "%s/base", folder);
	store = open_at(dir);
	for (uint8_t n = 1; n <= 2; n++) {
		peer = sample(n);
		assert_int_equal(hubstore_join(store, &peer, hash_of(n), 2), 0);
	}
	memcpy(key.hash, hash_of(1), sizeof(key.hash));
	assert_int_equal(hubstore_add_key(store, &key), 0);
	assert_int_equal(hubstore_set(store, "serial", "7"), 0);
	hubstore_close(store);
}

static char before[1 << 16], after[1 << 16];

/* A fresh copy of the base, or nothing, in "try" below the folder; returns its path. */
static const char *begin_try(const char *base)
{
	static char dir[96];

	snprintf(dir, sizeof(dir), "%s/try", folder);
	sh("rm -rf %s", dir, NULL);
	if (base)
		sh("cp -a %s/base %s", base, dir);
	return dir;
}

static const char *show_at(const char *dir)
{
	struct hubstore *store = open_at(dir);

	show(store);
	hubstore_close(store);
	return shown;
}

/* In a child: a change that was refused leaves what was, and is made as soon as there is room. */
static int refuse(struct hubstore *store, int (*fn)(struct hubstore *store))
{
	int ret = fn(store);

	if (!ret)
		return strcmp(show(store), after) ? 1 : count < fault_at ? 0 : REFUSED;
	if (ret != -ENOSPC || strcmp(show(store), before))
		return 2;
	fault_at = 0;
	return fn(store) || strcmp(show(store), after) ? 3 : REFUSED;
}

/* Returns the child's status. */
static int try(const char *dir, int (*fn)(struct hubstore *store), enum fault kind, unsigned at)
{
	struct hubstore *store;
	int status;
	pid_t pid = fork();

	if (!pid) {
		setenv("CMOCKA_TEST_ABORT", "1", 1);
		watch_files();
		fault = kind;
		if (!fn)
			fault_at = at;	/* opening itself is tried */
		store = open_at(dir);
		fault_at = at;
		status = kind == DISK_FULL ? refuse(store, fn) : fn ? fn(store) : 0;
		has_returned = true;
		hubstore_close(store);
		_exit(status);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Each change, with the fault at its first step, its second, and so on until there are no more. */
static void at_each_step(enum fault kind)
{
	unsigned found_before = 0, found_after = 0;

	make_base();
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		const char *dir = begin_try(folder);
		int status = -1;
		unsigned at;

		if (kind == DISK_FULL && changes[i].fn == seen_and_serial)
			continue;	/* that a peer was seen is shown before it is written */
		strcpy(before, show_at(dir));
		assert_int_equal(try(dir, changes[i].fn, KILLED, 0), 0);
		strcpy(after, show_at(dir));
		assert_string_not_equal(before, after);
		for (at = 1; status; at++) {
			bool is_before;

			assert_true(at < 100);
			status = try(begin_try(folder), changes[i].fn, kind, at);
			is_before = !strcmp(show_at(dir), before);
			if (!is_before && strcmp(shown, after))
				fail_msg("%s, step %u (%d):\n%s", changes[i].name, at, status, shown);
			if (is_before && status != CRASHED)
				fail_msg("%s, step %u (%d): it is gone", changes[i].name, at, status);
			assert_true(!status || status == CRASHED || status == CRASHED_LATER || status ==
				REFUSED);
			found_before += is_before;
			found_after += !is_before;
		}
		assert_true(at > 5);
	}
	print_message("%u faults left nothing of a change, %u all of it\n", found_before, found_after);
	assert_true(found_after > 20 && (kind == DISK_FULL || found_before > 10));
}

static void a_process_that_is_killed_leaves_all_of_a_change_or_nothing(void **state)
{
	at_each_step(KILLED);
}

static void power_that_is_cut_leaves_all_of_a_change_or_nothing(void **state)
{
	at_each_step(POWER_CUT);
}

static void writes_that_were_lost_in_part_leave_all_of_a_change_or_nothing(void **state)
{
	at_each_step(POWER_CUT_TORN);
}

static void a_disk_that_is_full_at_any_write_refuses_and_loses_nothing(void **state)
{
	at_each_step(DISK_FULL);
}

static void a_first_start_that_was_cut_short_is_begun_anew(void **state)
{
	for (enum fault kind = KILLED; kind <= POWER_CUT_TORN; kind++) {
		int status = -1;
		unsigned at;

		for (at = 1; status; at++) {
			const char *dir = begin_try(NULL);

			assert_true(at < 200);
			status = try(dir, NULL, kind, at);
			assert_true(!status || status == CRASHED || status == CRASHED_LATER);
			assert_string_equal(show_at(dir), "uses 0\nuses 0\nuses 0\n");
		}
		assert_true(at > 10);
	}
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_process_that_is_killed_leaves_all_of_a_change_or_nothing),
		CASE(power_that_is_cut_leaves_all_of_a_change_or_nothing),
		CASE(writes_that_were_lost_in_part_leave_all_of_a_change_or_nothing),
		CASE(a_disk_that_is_full_at_any_write_refuses_and_loses_nothing),
		CASE(a_first_start_that_was_cut_short_is_begun_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
