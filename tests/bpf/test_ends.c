// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The table of ends.h is whole: each end of a packet is listed for a program, and that program exists.
#include <libgen.h>
#include <stdio.h>
#include <unistd.h>

#include "bpf/ends.h"
#include "bpf/rig.h"

static void every_end_is_listed_for_a_program(void **state)
{
	for (int end = 0; end < TALON_END_COUNT; end++) {
		/* NOT_LINEAR: needs a kernel that is out of memory. */
		if (end != TALON_NOT_LINEAR && !ends_rows[end].program)
			fail_msg("no program is listed for %s", rig_end_name(end));
		assert_false(ends_rows[end].not_in_xdp && ends_rows[end].not_in_tc);
	}
}

static void every_listed_program_exists(void **state)
{
	char self[4096], path[4200];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *directory;

	assert_in_range(len, 1, sizeof(self) - 1);
	self[len] = 0;
	directory = dirname(self);
	for (int end = 0; end < TALON_END_COUNT; end++) {
		if (!ends_rows[end].program)
			continue;
		snprintf(path, sizeof(path), "%s/%s", directory, ends_rows[end].program);
		if (access(path, X_OK))
			fail_msg("%s is listed for %s, but is missing (make test-bpf builds it)", path,
				rig_end_name(end));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_end_is_listed_for_a_program),
		cmocka_unit_test(every_listed_program_exists),
	};

	return cmocka_run_group_tests_name("ends", tests, NULL, NULL);
}
