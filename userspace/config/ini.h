/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Lines of a wg(8) configuration file: sections, keys and values, as slices of the text. */
#ifndef TALON_INI_H
#define TALON_INI_H

#include <stdbool.h>
#include <stddef.h>

/* A piece of somebody else's text; not terminated. */
struct slice {
	const char *at;
	size_t len;
};

struct slice slice_from(const char *text);
struct slice slice_trim(struct slice s);
/* ASCII case does not matter: wg(8) and wg-quick(8) compare keys and words that way. */
bool slice_is(struct slice s, const char *word);
/*
 * Cuts the next item off @rest at any of @separators and trims it. False at the end. Empty items are skipped.
 */
bool slice_next(struct slice *rest, const char *separators, struct slice *ret_item);
/* Copies into @buf with a terminator. False, and @buf empty, if it does not fit or holds a NUL byte. */
bool slice_copy(struct slice s, char *buf, size_t size);

enum ini_kind {
	INI_END,
	INI_SECTION,	/* name */
	INI_PAIR,	/* name, value (may be empty) */
	/* neither: @problem says what is wrong, and never quotes the line, which may be a key */
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
 * The next section, pair or broken line; blank lines and comments ('#' to the end of the line)
 * are passed over.
 */
struct ini_item ini_next(struct ini *ini);

#endif
