/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which program has a case for each end of a packet (talon/drop.h). rig_main() fails a program that does not
 * reach the ends listed for it; test_ends.c fails when an end, or a listed program, is missing.
 */
#ifndef TALON_TESTS_ENDS_H
#define TALON_TESTS_ENDS_H

#include <stdbool.h>

#include "talon/drop.h"

struct ends_row {
	const char *program;		/* NULL: no test can reach it */
	bool not_in_xdp, not_in_tc;
};

extern const struct ends_row ends_rows[TALON_END_COUNT];

/* cmocka case: every end of this program was reached in the present hook. */
void ends_were_reached(void **state);

#endif
