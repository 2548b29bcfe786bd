// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Setup keys.
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include <sodium.h>

#include "base/setup_key.h"

#define DASHES 4U

static bool is_dash_place(size_t i)
{
	return i == 8 || i == 13 || i == 18 || i == 23;
}

static int parse(struct slice text, char key[static SETUP_KEY_LEN + 1])
{
	const bool has_dashes = text.len == SETUP_KEY_LEN;
	size_t from = 0;

	if (!has_dashes && text.len != SETUP_KEY_LEN - DASHES)
		return -EINVAL;
	for (size_t to = 0; to < SETUP_KEY_LEN; to++) {
		if (is_dash_place(to)) {
			if (has_dashes && text.at[from++] != '-')
				return -EINVAL;
			key[to] = '-';
			continue;
		}
		if (!isxdigit((unsigned char)text.at[from]))
			return -EINVAL;
		key[to] = tolower((unsigned char)text.at[from++]);
	}
	key[SETUP_KEY_LEN] = '\0';
	return 0;
}

void setup_key_make(char ret_key[static SETUP_KEY_LEN + 1])
{
	char hex[33], *at = ret_key;
	uint8_t bytes[16];

	randombytes_buf(bytes, sizeof(bytes));
	bytes[6] = (bytes[6] & 0x0f) | 0x40;
	bytes[8] = (bytes[8] & 0x3f) | 0x80;
	sodium_bin2hex(hex, sizeof(hex), bytes, sizeof(bytes));
	for (const char *from = hex; *from; from++) {
		if (is_dash_place(at - ret_key))
			*at++ = '-';
		*at++ = toupper((unsigned char)*from);
	}
	*at = '\0';
	sodium_memzero(bytes, sizeof(bytes));
	sodium_memzero(hex, sizeof(hex));
}

int setup_key_parse(struct slice text, char ret_key[static SETUP_KEY_LEN + 1])
{
	text = slice_trim(text);
	if (text.len == SETUP_KEY_LEN + 2 && text.at[0] == '{' && text.at[text.len - 1] == '}')
		text = (struct slice){ text.at + 1, text.len - 2 };
	if (!parse(text, ret_key))
		return 0;
	sodium_memzero(ret_key, SETUP_KEY_LEN + 1);
	return -EINVAL;
}
