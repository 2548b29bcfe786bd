/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* JSON files of NetBird's client: objects with secrets in them, read and written whole. */
#ifndef TALON_JSON_FILE_H
#define TALON_JSON_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

/* Before any other use: memory that jansson frees is wiped from then on. */
void json_file_init(void);
/* Parses one object. NULL: @ret_error says where and why not. */
json_t *json_file_parse(const uint8_t *bytes, size_t len, json_error_t *ret_error);
/* Writes @json by temporary file and rename, mode 0600. @flags: jansson's. Returns 0 or a negative errno. */
int json_file_write(const char *path, const json_t *json, size_t flags);
/* A member's text; NULL if it is missing, null or not a text. */
const char *json_file_text(const json_t *json, const char *key);
/* True if the member is true. */
bool json_file_is_true(const json_t *json, const char *key);

#endif
