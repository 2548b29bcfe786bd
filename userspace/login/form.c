// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Forms: names and values, percent-encoded (WHATWG URL section 5).
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "login/internal.h"

static bool make_room(struct form *form, size_t more)
{
	size_t room = (form->room + more) * 2;
	char *text;

	if (form->len + more + 1 <= form->room)
		return true;
	text = malloc(room);	/* not realloc(), which leaves copies behind */
	if (!text) {
		form->is_out_of_memory = true;
		return false;
	}
	if (form->len)
		memcpy(text, form->text, form->len);
	text[form->len] = '\0';
	if (form->text)
		sodium_memzero(form->text, form->len);
	free(form->text);
	form->text = text;
	form->room = room;
	return true;
}

static void put(struct form *form, const char *text)
{
	static const char hex[] = "0123456789ABCDEF";

	if (!make_room(form, 3 * strlen(text)))
		return;
	for (; *text; text++) {
		unsigned char c = *text;

		if (isalnum(c) || strchr("-._~", c)) {
			form->text[form->len++] = c;
		} else {
			form->text[form->len++] = '%';
			form->text[form->len++] = hex[c >> 4];
			form->text[form->len++] = hex[c & 15];
		}
	}
	form->text[form->len] = '\0';
}

static void put_char(struct form *form, char c)
{
	if (make_room(form, 1)) {
		form->text[form->len++] = c;
		form->text[form->len] = '\0';
	}
}

void form_add(struct form *form, const char *name, const char *value)
{
	if (form->len)
		put_char(form, '&');
	put(form, name);
	put_char(form, '=');
	put(form, value);
}

void form_done(struct form *form)
{
	if (form->text)
		sodium_memzero(form->text, form->room);
	free(form->text);
	memset(form, 0, sizeof(*form));
}

static int digit(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10
		: c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The next character of @text, or -1. */
static int take_char(struct slice *text)
{
	int c = (unsigned char)*text->at, high, low;
	size_t used = 1;

	if (c == '+') {
		c = ' ';
	} else if (c == '%') {
		high = text->len >= 3 ? digit(text->at[1]) : -1;
		low = text->len >= 3 ? digit(text->at[2]) : -1;
		c = high < 0 || low < 0 ? -1 : high << 4 | low;
		used = c < 0 ? 1 : 3;
	}
	text->at += used;
	text->len -= used;
	return c >= ' ' && c < 0x7f ? c : -1;
}

bool form_decode(struct slice text, char *buf, size_t size)
{
	size_t len = 0;

	while (text.len) {
		int c = take_char(&text);

		if (c < 0 || len + 1 >= size) {
			*buf = '\0';
			return false;
		}
		buf[len++] = c;
	}
	buf[len] = '\0';
	return true;
}
