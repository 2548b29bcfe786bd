// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// JSON files of NetBird's client, read and written whole.
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/store.h"
#include "netbird/json_file.h"

/* jansson copies keys while it reads and writes, so memory that it frees is wiped. */
static void wipe_and_free(void *bytes)
{
	if (bytes)
		sodium_memzero(bytes, malloc_usable_size(bytes));
	free(bytes);
}

void json_file_init(void)
{
	static bool is_done;

	if (!is_done)
		json_set_alloc_funcs(malloc, wipe_and_free);
	is_done = true;
}

const char *json_file_text(const json_t *json, const char *key)
{
	return json_string_value(json_object_get(json, key));
}

bool json_file_is_true(const json_t *json, const char *key)
{
	return json_is_true(json_object_get(json, key));
}

json_t *json_file_parse(const uint8_t *bytes, size_t len, json_error_t *ret_error)
{
	json_t *json = json_loadb((const char *)bytes, len, JSON_REJECT_DUPLICATES, ret_error);

	if (json && !json_is_object(json)) {
		json_decref(json);
		json = NULL;
		*ret_error = (json_error_t){ .line = 1, .text = "it is not an object" };
	}
	return json;
}

int json_file_write(const char *path, const json_t *json, size_t flags)
{
	char *text = json_dumps(json, flags);
	int ret;

	if (!text)
		return -ENOMEM;
	ret = store_write(path, text, strlen(text));
	wipe_and_free(text);
	return ret;
}
