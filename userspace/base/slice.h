/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Pieces of text that belongs to somebody else: nothing is copied, so a secret stays in one place. */
#ifndef TALON_BASE_SLICE_H
#define TALON_BASE_SLICE_H

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
/* Everything before the first of @separators; @rest continues after it. */
struct slice slice_cut(struct slice *rest, const char *separators);
/*
 * Cuts the next item off @rest at any of @separators and trims it. False at the end. Empty items are skipped.
 */
bool slice_next(struct slice *rest, const char *separators, struct slice *ret_item);
/* Copies into @buf with a terminator. False, and @buf empty, if it does not fit or holds a NUL byte. */
bool slice_copy(struct slice s, char *buf, size_t size);

#endif
