// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Keys in base64: accepted text must be exactly what would be written.
#include "crypto/key.c"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), again[KEY_BASE64_LEN + 1];
	uint8_t key[KEY_LEN];

	memcpy(text, data, size);
	text[size] = '\0';
	if (key_from_base64(text, key) == 0) {
		key_to_base64(key, again);
		if (strcmp(text, again) != 0)
			abort();
	}
	free(text);
	return 0;
}
