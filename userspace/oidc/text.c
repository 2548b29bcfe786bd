// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What tokens and documents of an issuer are written in: JSON and base64url.
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "netbird/json_file.h"
#include "oidc/internal.h"

int oidc_refuse(struct oidc_reason *reason, enum oidc_refusal kind, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	reason->kind = kind;
	vsnprintf(reason->text, sizeof(reason->text), fmt, args);
	va_end(args);
	return -EBADMSG;
}

json_t *oidc_json(const void *bytes, size_t len)
{
	json_error_t error;

	json_file_init();
	return json_file_parse(bytes, len, &error);
}

int oidc_base64(struct slice text, uint8_t **ret_bytes, size_t *ret_len)
{
	uint8_t *bytes;
	size_t len = 0;

	if (!text.len)
		return -EBADMSG;
	bytes = malloc(text.len);
	if (!bytes)
		return -ENOMEM;
	/* refuses padding, foreign characters, and bits left over that are not 0 */
	if (sodium_base642bin(bytes, text.len, text.at, text.len, NULL, &len, NULL,
		sodium_base64_VARIANT_URLSAFE_NO_PADDING) || !len) {
		sodium_memzero(bytes, text.len);
		free(bytes);
		return -EBADMSG;
	}
	*ret_bytes = bytes;
	*ret_len = len;
	return 0;
}

bool oidc_is_shown(const char *text, size_t max)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return false;
	return len && len <= max;
}
