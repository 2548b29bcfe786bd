// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Pieces of text.
#include <string.h>
#include <strings.h>

#include "base/slice.h"

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

struct slice slice_from(const char *text)
{
	return (struct slice){ text, strlen(text) };
}

struct slice slice_trim(struct slice s)
{
	while (s.len && is_space(s.at[0])) {
		s.at++;
		s.len--;
	}
	while (s.len && is_space(s.at[s.len - 1]))
		s.len--;
	return s;
}

bool slice_is(struct slice s, const char *word)
{
	return s.len == strlen(word) && !strncasecmp(s.at, word, s.len);
}

struct slice slice_cut(struct slice *rest, const char *separators)
{
	struct slice head = { rest->at, 0 };

	while (head.len < rest->len && !(rest->at[head.len] && strchr(separators, rest->at[head.len])))
		head.len++;
	rest->at += head.len;
	rest->len -= head.len;
	if (rest->len) {
		rest->at++;
		rest->len--;
	}
	return head;
}

bool slice_next(struct slice *rest, const char *separators, struct slice *ret_item)
{
	while (rest->len) {
		struct slice item = slice_trim(slice_cut(rest, separators));

		if (item.len) {
			*ret_item = item;
			return true;
		}
	}
	return false;
}

bool slice_copy(struct slice s, char *buf, size_t size)
{
	buf[0] = '\0';
	if (s.len >= size || memchr(s.at, '\0', s.len))
		return false;
	memcpy(buf, s.at, s.len);
	buf[s.len] = '\0';
	return true;
}
