// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// From version to version, with steps of the test's own behind the file of version 1 as it was recorded: all
// of them, or nothing.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "hubstore/internal.h"
#include "unit/hubstore/store_world.h"

#define ADDED "ALTER TABLE peer ADD COLUMN note TEXT NOT NULL DEFAULT 'none';"
#define COPIED "CREATE TABLE seen (peer INTEGER PRIMARY KEY, at_s INTEGER NOT NULL) STRICT;" \
	"INSERT INTO seen SELECT id, seen_s FROM peer;"

/* Instead of schema.c: step 1 is what the file has. */
static const char *const *steps;
static int64_t newest;

int64_t schema_newest(void)
{
	return newest;
}

int schema_migrate(struct hubstore *store, int64_t version)
{
	int ret = 0;

	for (; !ret && version < newest; version++)
		ret = db_exec(store, steps[version]);
	return ret;
}

static int opens(struct hubstore **ret_store)
{
	return hubstore_open(folder, master, ret_store, why);
}

static void has(const char *question, const char *answer)
{
	char command[256];

	snprintf(command, sizeof(command), "test \"$(sqlite3 %s/hub.db '%s')\" = '%s'", folder, question,
		answer);
	assert_int_equal(system(command), 0);
}

static void all_steps_are_taken_and_nothing_is_lost(void **state)
{
	static const char *const two[] = { NULL, ADDED "PRAGMA user_version = 2",
		COPIED "PRAGMA user_version = 3" };
	struct hubstore *store;

	put_version1();
	steps = two;
	newest = 3;
	store = open_at(folder);
	assert_string_equal(show(store), VERSION1);
	hubstore_close(store);
	has("PRAGMA user_version", "3");
	has("SELECT count(*) FROM peer WHERE note = \"none\"", "2");
	has("SELECT count(*), min(at_s) FROM seen", "2|1700000001");
	/* and once only */
	store = open_at(folder);
	assert_string_equal(show(store), VERSION1);
	hubstore_close(store);
}

static void a_step_that_fails_leaves_the_file_as_it_was(void **state)
{
	static const char *const bad[] = { NULL, ADDED "PRAGMA user_version = 2",
		COPIED "INSERT INTO seen VALUES (1, 1); PRAGMA user_version = 3" };
	struct hubstore *store;

	put_version1();
	steps = bad;
	newest = 3;
	assert_int_equal(opens(&store), -EEXIST);
	has("PRAGMA user_version", "1");
	has("SELECT count(*) FROM sqlite_schema WHERE name = \"seen\"", "0");
	has("SELECT count(*) FROM pragma_table_info(\"peer\") WHERE name = \"note\"", "0");
	newest = 1;
	store = open_at(folder);
	assert_string_equal(show(store), VERSION1);
	hubstore_close(store);
}

static void another_master_key_moves_nothing_on(void **state)
{
	static const char *const one[] = { NULL, ADDED "PRAGMA user_version = 2" };
	static const uint8_t other[HUBSTORE_MASTER_LEN] = "another key of exactly 32 bytes";
	struct hubstore *store;

	put_version1();
	steps = one;
	newest = 2;
	assert_int_equal(hubstore_open(folder, other, &store, why), -EKEYREJECTED);
	has("PRAGMA user_version", "1");
	store = open_at(folder);
	hubstore_close(store);
	has("PRAGMA user_version", "2");
}

/* No file may grow: as on a full disk. */
static void without_room_it_waits_for_the_next_start(void **state)
{
	static const char *const one[] = { NULL, ADDED "PRAGMA user_version = 2" };
	struct rlimit limit;
	struct hubstore *store;

	put_version1();
	steps = one;
	newest = 2;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = 1;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(opens(&store), -ENOSPC);
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	has("PRAGMA user_version", "1");
	store = open_at(folder);
	assert_string_equal(show(store), VERSION1);
	hubstore_close(store);
	has("PRAGMA user_version", "2");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
	const struct CMUnitTest tests[] = {
		CASE(all_steps_are_taken_and_nothing_is_lost),
		CASE(a_step_that_fails_leaves_the_file_as_it_was),
		CASE(another_master_key_moves_nothing_on),
		CASE(without_room_it_waits_for_the_next_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
