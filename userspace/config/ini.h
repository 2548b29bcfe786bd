/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Lines of a wg(8) configuration file: sections, keys and values, as slices of the text. */
#ifndef TALON_INI_H
#define TALON_INI_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

enum ini_kind {
	INI_END,
	INI_SECTION,	/* name */
	INI_PAIR,	/* name, value (may be empty) */
	/* neither: @problem says why, without quoting the line, which may hold a key */
	INI_BROKEN,
};

struct ini_item {
	enum ini_kind kind;
	unsigned int line;	/* from 1 */
	struct slice name;
	struct slice value;
	const char *problem;
};

struct ini {
	struct slice rest;
	unsigned int line;
};

void ini_start(struct ini *ini, const char *text, size_t len);
/*
 * The next section, pair or broken line; skips blank lines and comments ('#' to the end of the line).
 */
struct ini_item ini_next(struct ini *ini);

#endif
