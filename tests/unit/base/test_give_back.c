// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Which mappings may be dropped, and that the process goes on when they are.
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/give_back.h"

static bool is_dropped(const char *header, const char *anonymous)
{
	struct memory_mapping mapping = {};
	bool ret;

	ret = memory_read_line(header, &mapping);
	assert_false(ret);
	assert_false(memory_read_line("Rss:                  64 kB\n", &mapping));
	ret = memory_read_line(anonymous, &mapping);
	if (ret)
		assert_int_equal(mapping.end - mapping.start, 0x1000);
	return ret;
}

static void only_clean_private_file_pages_that_nobody_writes_are_dropped(void **state)
{
	static const char none[] = "Anonymous:             0 kB\n", some[] = "Anonymous:             4 kB\n";

	assert_true(is_dropped("7f0000001000-7f0000002000 r-xp 00000000 fe:01 1234  /usr/lib/x.so\n", none));
	assert_true(is_dropped("7f0000001000-7f0000002000 r--p 00001000 fe:01 1234  /usr/lib/x.so\n", none));
	/* relocated */
	assert_false(is_dropped("7f0000001000-7f0000002000 r--p 00001000 fe:01 1234  /usr/lib/x.so\n", some));
	assert_false(is_dropped("7f0000001000-7f0000002000 rw-p 00001000 fe:01 1234  /usr/lib/x.so\n", none));
	assert_false(is_dropped("7f0000001000-7f0000002000 rw-p 00000000 00:00 0  [heap]\n", some));
	assert_false(is_dropped("7f0000001000-7f0000002000 r--s 00000000 00:0e 77 "
		" anon_inode:bpf-map\n", none));
	assert_false(is_dropped("7f0000001000-7f0000002000 r-xp 00000000 00:00 0  [vdso]\n", none));
}

static unsigned long resident_kib(void)
{
	unsigned long kib = 0;
	char line[256];
	FILE *f = fopen("/proc/self/status", "re");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "RssFile: %lu kB", &kib) == 1)
			break;
	}
	fclose(f);
	return kib;
}

static void the_process_goes_on_with_less(void **state)
{
	unsigned long before = resident_kib();

	memory_give_back();
	assert_true(resident_kib() <= before);
	assert_int_equal(strtol("4711", NULL, 10), 4711);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_clean_private_file_pages_that_nobody_writes_are_dropped),
		cmocka_unit_test(the_process_goes_on_with_less),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
