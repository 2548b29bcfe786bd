// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Text from outside on its way to a terminal or into JSON; text in a buffer.
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include <linux/types.h>

#include "base/text.h"

/*
 * One character of UTF-8 (RFC 3629 section 3: shortest form, no surrogates, nothing over U+10FFFF).
 * Returns its bytes and the code point, or 0 if @text starts with something else.
 */
static size_t decode(const char *text, size_t len, __u32 *ret_code)
{
	static const __u32 smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char first = text[0];
	size_t bytes = first < 0x80 ? 1 : first >> 5 == 0x6 ? 2 : first >> 4 == 0xe ? 3 : first >> 3 == 0x1e
		? 4 : 0;
	__u32 code = bytes == 1 ? first : first & (0x7f >> bytes);

	if (!bytes || bytes > len)
		return 0;
	for (size_t i = 1; i < bytes; i++) {
		if (((unsigned char)text[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | ((unsigned char)text[i] & 0x3f);
	}
	if ((bytes > 1 && code < smallest[bytes]) || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff)
		return 0;
	*ret_code = code;
	return bytes;
}

/* C0 and C1 controls, line and paragraph separators, and the marks that turn the direction of text. */
static bool is_steering(__u32 code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x200e || code == 0x200f ||
		code == 0x061c || (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

void text_print(FILE *out, const char *text, size_t size)
{
	size_t len = strnlen(text, size), bytes;
	__u32 code;

	for (size_t i = 0; i < len; i += bytes ? bytes : 1) {
		bytes = decode(text + i, len - i, &code);
		if (!bytes || is_steering(code))
			fputc('?', out);
		else
			fwrite(text + i, 1, bytes, out);
	}
}

/*
 * The escapes are those of Go's encoder, '<', '>' and '&' included, since the output is compared with
 * NetBird's; in addition, every control and direction character is escaped, lest a terminal obey it.
 */
void text_print_json(FILE *out, const char *text, size_t size)
{
	static const char short_names[] = "\n\r\t\b\f", short_letters[] = "nrtbf";
	size_t len = strnlen(text, size), bytes;
	__u32 code;

	fputc('"', out);
	for (size_t i = 0; i < len; i += bytes ? bytes : 1) {
		bytes = decode(text + i, len - i, &code);
		if (!bytes)
			fputs("\\ufffd", out);
		else if (code && code < 0x80 && strchr("\"\\", code))
			fprintf(out, "\\%c", (char)code);
		else if (code && code < 0x20 && strchr(short_names, code))
			fprintf(out, "\\%c", short_letters[strchr(short_names, code) - short_names]);
		else if (is_steering(code) || code == '<' || code == '>' || code == '&')
			fprintf(out, "\\u%04x", code);
		else
			fwrite(text + i, 1, bytes, out);
	}
	fputc('"', out);
}

void text_append(char *text, size_t size, const char *fmt, ...)
{
	size_t at = strlen(text);
	va_list args;

	va_start(args, fmt);
	vsnprintf(text + at, size - at, fmt, args);
	va_end(args);
}
