// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The head of an HTTP/1 message.
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "http/head.h"

#define VERSION_LEN	9	/* "HTTP/1.1 " */
#define CODE_LEN	3

static void keep_first_line(struct http_scanner *scanner, char c)
{
	if (!scanner->has_line && scanner->line_len < sizeof(scanner->line) - 1)
		scanner->line[scanner->line_len++] = c >= ' ' && c < 0x7f ? c : '?';
}

/* Returns true at the empty line that ends the head. */
static bool scan_byte(struct http_scanner *scanner, char c)
{
	bool is_end = c == '\n' && scanner->has_line && scanner->is_empty_line;

	if (c == '\n') {
		scanner->has_line = true;
		scanner->is_empty_line = true;
	} else if (c != '\r') {
		scanner->is_empty_line = false;
		keep_first_line(scanner, c);
	}
	return is_end;
}

int http_scan(struct http_scanner *scanner, size_t most, const char *bytes, size_t len, size_t *ret_used)
{
	for (size_t i = 0; i < len; i++) {
		*ret_used = i + 1;
		if (++scanner->seen > most)
			return -EMSGSIZE;
		if (scan_byte(scanner, bytes[i]))
			return 0;
	}
	*ret_used = len;
	return -EAGAIN;
}

int http_status_parse(struct slice line, struct http_status *ret_status)
{
	struct http_status status = {};
	const char *code = line.at + VERSION_LEN;

	if (line.len < VERSION_LEN + CODE_LEN || memcmp(line.at, "HTTP/1.", VERSION_LEN - 2) ||
		!isdigit((unsigned char)line.at[VERSION_LEN - 2]) || line.at[VERSION_LEN - 1] != ' ')
		return -EPROTO;
	for (unsigned int i = 0; i < CODE_LEN; i++) {
		if (!isdigit((unsigned char)code[i]))
			return -EPROTO;
		status.code = status.code * 10 + code[i] - '0';
	}
	if (line.len > VERSION_LEN + CODE_LEN && code[CODE_LEN] != ' ')
		return -EPROTO;
	status.minor = line.at[VERSION_LEN - 2] - '0';
	status.text = (struct slice){ code, line.len - VERSION_LEN };
	*ret_status = status;
	return 0;
}

bool http_head_is_clean(struct slice head)
{
	for (size_t i = 0; i < head.len; i++) {
		unsigned char c = head.at[i];

		if (c == '\r' ? i + 1 == head.len || head.at[i + 1] != '\n'
			: c == '\n' ? i == 0 || head.at[i - 1] != '\r' : (c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

struct slice http_head_next_line(struct slice *head)
{
	struct slice line = slice_cut(head, "\n");

	if (line.len && line.at[line.len - 1] == '\r')
		line.len--;
	return line;
}

static bool is_token(struct slice text)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < text.len; i++) {
		if (!isalnum((unsigned char)text.at[i]) && !memchr(others, text.at[i], sizeof(others) - 1))
			return false;
	}
	return text.len > 0;
}

/* Blanks and tabs only (RFC 9110 section 5.6.3): other white space is part of the value. */
static struct slice trim_blanks(struct slice text)
{
	for (; text.len && (text.at[0] == ' ' || text.at[0] == '\t'); text.len--)
		text.at++;
	while (text.len && (text.at[text.len - 1] == ' ' || text.at[text.len - 1] == '\t'))
		text.len--;
	return text;
}

static bool is_target(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] <= ' ' || text.at[i] >= 0x7f)
			return false;
	}
	return text.len > 0;
}

int http_request_line_parse(struct slice line, struct http_request_line *ret_line)
{
	struct slice version = line;
	struct http_request_line parsed = {};

	parsed.method = slice_cut(&version, " ");
	parsed.target = slice_cut(&version, " ");
	if (!is_token(parsed.method) || !is_target(parsed.target) || version.len != VERSION_LEN - 1 ||
		memcmp(version.at, "HTTP/", 5) || !isdigit((unsigned char)version.at[5]) ||
		version.at[6] != '.' || !isdigit((unsigned char)version.at[7]))
		return -EPROTO;
	if (version.at[5] != '1')
		return -ENOTSUP;
	parsed.minor = version.at[7] - '0';
	*ret_line = parsed;
	return 0;
}

int http_field_parse(struct slice line, struct http_field *ret_field)
{
	struct http_field field = { .value = line };

	if (!memchr(line.at, ':', line.len))
		return -EPROTO;
	field.name = slice_cut(&field.value, ":");
	field.value = trim_blanks(field.value);
	if (!is_token(field.name))
		return -EINVAL;
	*ret_field = field;
	return 0;
}

bool http_list_has(struct slice list, const char *word)
{
	while (list.len) {
		if (slice_is(trim_blanks(slice_cut(&list, ",")), word))
			return true;
	}
	return false;
}
