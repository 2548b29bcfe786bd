// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// JSON to a stream: keys, values, and commas where they belong.
#include <string.h>

#include "base/json_out.h"
#include "base/text.h"

void json_out_key(struct json_out *json, const char *key)
{
	fprintf(json->out, "%s", json->first ? "" : ",");
	if (key)
		fprintf(json->out, "\"%s\":", key);
	json->first = false;
}

void json_out_begin(struct json_out *json, const char *key, char bracket)
{
	json_out_key(json, key);
	fputc(bracket, json->out);
	json->first = true;
}

void json_out_end(struct json_out *json, char bracket)
{
	fputc(bracket, json->out);
	json->first = false;
}

void json_out_string(struct json_out *json, const char *key, const char *text, size_t size)
{
	json_out_key(json, key);
	text_print_json(json->out, text, size);
}

void json_out_text(struct json_out *json, const char *key, const char *text)
{
	json_out_string(json, key, text ? text : "", text ? strlen(text) : 0);
}

void json_out_number(struct json_out *json, const char *key, __u64 number)
{
	json_out_key(json, key);
	fprintf(json->out, "%llu", number);
}

void json_out_bool(struct json_out *json, const char *key, bool value)
{
	json_out_key(json, key);
	fprintf(json->out, "%s", value ? "true" : "false");
}

void json_out_null(struct json_out *json, const char *key)
{
	json_out_key(json, key);
	fprintf(json->out, "null");
}

void json_out_texts(struct json_out *json, const char *key, char *const *texts, size_t count, bool or_null)
{
	if (!count && or_null) {
		json_out_null(json, key);
		return;
	}
	json_out_begin(json, key, '[');
	for (size_t i = 0; i < count; i++)
		json_out_text(json, NULL, texts[i]);
	json_out_end(json, ']');
}
