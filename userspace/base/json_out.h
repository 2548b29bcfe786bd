/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* JSON to a stream: keys, values, and commas where they belong. */
#ifndef TALON_JSON_OUT_H
#define TALON_JSON_OUT_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Set up as { .out = FILE, .first = true }. */
struct json_out {
	FILE *out;
	bool first;		/* nothing yet in the innermost object or array */
};

/* @key: NULL inside arrays and at the top level. @bracket: '{' or '[' to begin, '}' or ']' to end. */
void json_out_begin(struct json_out *json, const char *key, char bracket);
void json_out_end(struct json_out *json, char bracket);
/* At most @size bytes of @text, not necessarily terminated. */
void json_out_string(struct json_out *json, const char *key, const char *text, size_t size);
/* NULL counts as "". */
void json_out_text(struct json_out *json, const char *key, const char *text);
void json_out_number(struct json_out *json, const char *key, __u64 number);
void json_out_bool(struct json_out *json, const char *key, bool value);
void json_out_null(struct json_out *json, const char *key);
/* An array of strings; null where there are none and @or_null says so. */
void json_out_texts(struct json_out *json, const char *key, char *const *texts, size_t count, bool or_null);
/* Writes the comma and the key; the caller writes the value. */
void json_out_key(struct json_out *json, const char *key);

#endif
