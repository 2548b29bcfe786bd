// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Files that are written whole, and not at all where they hold the same already.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/store.h"

static char folder[] = "/tmp/talon-store.XXXXXX", path[64], other[64];

static int setup(void **state)
{
	strcpy(folder + sizeof(folder) - 7, "XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/a", folder);
	snprintf(other, sizeof(other), "%s/b", folder);
	return 0;
}

static int teardown(void **state)
{
	unlink(path);
	unlink(other);
	return rmdir(folder);
}

/* As a hard link tells: a file that is written anew is another one. */
static bool is_written_anew(const char *text, size_t len)
{
	struct stat before, after;

	assert_int_equal(lstat(path, &before), 0);
	assert_int_equal(link(path, other), 0);		/* so that its number is not given again */
	assert_int_equal(store_write(path, text, len), 0);
	assert_int_equal(lstat(path, &after), 0);
	assert_int_equal(unlink(other), 0);
	return before.st_ino != after.st_ino;
}

static void holds(const char *text, size_t len)
{
	struct stat st;
	uint8_t *bytes;
	size_t got;

	assert_int_equal(store_read(path, 100, &bytes, &got), 0);
	assert_int_equal(got, len);
	assert_memory_equal(bytes, text, len);
	store_free(bytes, got);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
}

static void what_is_there_already_is_left_alone(void **state)
{
	assert_int_equal(store_write(path, "one\0two", 7), 0);
	assert_false(is_written_anew("one\0two", 7));
	holds("one\0two", 7);
	assert_int_equal(store_write(path, "", 0), 0);
	assert_false(is_written_anew("", 0));
	holds("", 0);
}

static void what_differs_is_written(void **state)
{
	static const struct { const char *text; size_t len; } cases[] = {
		{ "one\0twp", 7 }, { "one\0tw", 6 }, { "one\0two3", 8 }, { "", 0 }, { "one\0two", 7 },
	};

	assert_int_equal(store_write(path, "one\0two", 7), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(is_written_anew(cases[i].text, cases[i].len));
		holds(cases[i].text, cases[i].len);
	}
}

static void a_file_that_others_may_read_is_written_anew(void **state)
{
	assert_int_equal(store_write(path, "secret", 6), 0);
	assert_int_equal(chmod(path, 0644), 0);
	assert_true(is_written_anew("secret", 6));
	holds("secret", 6);
}

static void a_link_to_the_same_is_replaced(void **state)
{
	assert_int_equal(store_write(other, "secret", 6), 0);
	assert_int_equal(symlink(other, path), 0);
	assert_int_equal(store_write(path, "secret", 6), 0);
	holds("secret", 6);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(what_is_there_already_is_left_alone),
		CASE(what_differs_is_written),
		CASE(a_file_that_others_may_read_is_written_anew),
		CASE(a_link_to_the_same_is_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
