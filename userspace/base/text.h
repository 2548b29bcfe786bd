/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Text from outside on its way to a terminal or into JSON; text in a buffer. */
#ifndef TALON_BASE_TEXT_H
#define TALON_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/*
 * Text from a map: at most @size bytes, perhaps without an end. Bytes that are not UTF-8, control characters
 * and those that turn the direction of writing come out as '?', so that nothing in a map can steer a terminal
 * or forge a line.
 */
void text_print(FILE *out, const char *text, size_t size);
/* The same as a JSON string, quotes included; what is not UTF-8 becomes U+FFFD (RFC 8259 section 8.1). */
void text_print_json(FILE *out, const char *text, size_t size);

/* Writes after the end of the terminated @text, which has room for @size bytes; what does not fit is cut. */
void text_append(char *text, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Both may be NULL, which is equal to NULL alone. */
static inline bool text_is_equal(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

#endif
