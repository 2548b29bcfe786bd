/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The keys of a JSON output are an interface: the manual has to name each of them. */
#ifndef TALON_TESTS_MANUAL_KEYS_H
#define TALON_TESTS_MANUAL_KEYS_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

/* Is @key a whole word of @text? */
static inline bool manual_names(const char *text, const char *key)
{
	const size_t len = strlen(key);

	for (const char *at = strstr(text, key); at; at = strstr(at + 1, key)) {
		if (strchr(" \n", at[-1]) && strchr(" \n", at[len]))
			return true;
	}
	return false;
}

static inline void manual_check_keys(const char *text, json_t *value)
{
	const char *key;
	json_t *child;
	size_t i;

	json_object_foreach(value, key, child) {
		if (!manual_names(text, key))
			fail_msg("docs/man/talon.8 does not name the key %s", key);
		manual_check_keys(text, child);
	}
	json_array_foreach(value, i, child)
		manual_check_keys(text, child);
}

/* Looks in what talon(8) says between the lines @begin and @end. */
static inline void manual_has_keys(const char *begin, const char *end, json_t *value)
{
	static char page[1 << 17];
	FILE *f = fopen("docs/man/talon.8", "re");
	size_t len;
	char *at, *stop;

	assert_non_null(f);
	len = fread(page, 1, sizeof(page) - 1, f);
	page[len] = '\0';
	fclose(f);
	at = strstr(page, begin);
	assert_non_null(at);
	stop = strstr(at, end);
	assert_non_null(stop);
	*stop = '\0';
	manual_check_keys(at, value);
}

#endif
