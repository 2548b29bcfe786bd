/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The head of an HTTP/1 message (RFC 9112): where it ends, its first line, its fields. Works on bytes that
 * somebody else read; nothing is copied.
 */
#ifndef TALON_HTTP_HEAD_H
#define TALON_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

/* of the first line, what is kept while the head arrives; with its terminator */
#define HTTP_LINE_LEN	128

/*
 * Finds the end of a head that arrives in pieces, and keeps its first line. Zeroed, it is
 * ready for a new one.
 */
struct http_scanner {
	char line[HTTP_LINE_LEN];	/* the first line, printable: '?' for anything else; may be cut */
	size_t line_len;
	size_t seen;			/* bytes so far */
	bool has_line;			/* the first line is whole */
	bool is_empty_line;		/* nothing of the current line yet */
};

/*
 * Takes bytes up to the end of the head and none after it; a line may end with LF alone (RFC 9112 section
 * 2.2). Returns 0 when the head is whole, -EAGAIN when more is needed, -EMSGSIZE beyond @most bytes.
 * *@ret_used: how many were taken.
 */
int http_scan(struct http_scanner *scanner, size_t most, const char *bytes, size_t len, size_t *ret_used);

struct http_status {
	unsigned int minor;	/* of HTTP/1.minor */
	unsigned int code;	/* 0 to 999 */
	struct slice text;	/* code and reason phrase */
};

/* A status line without its end: "HTTP/1.1 200 OK". Returns 0 or -EPROTO. */
int http_status_parse(struct slice line, struct http_status *ret_status);

struct http_request_line {
	struct slice method;	/* a token */
	struct slice target;	/* not empty; printable ASCII without blanks */
	unsigned int minor;	/* of HTTP/1.minor */
};

/*
 * A request line without its end: "GET /path HTTP/1.1" (RFC 9112 section 3). Returns 0; -EPROTO: it is none;
 * -ENOTSUP: of another major version.
 */
int http_request_line_parse(struct slice line, struct http_request_line *ret_line);

/*
 * True if @head has no control characters but CR LF pairs and tabs: no intermediary can have read it as
 * something else.
 */
bool http_head_is_clean(struct slice head);
/* Cuts the next line off @head, without CR LF; of a head that http_head_is_clean(). */
struct slice http_head_next_line(struct slice *head);

struct http_field {
	struct slice name;	/* a token (RFC 9110 section 5.6.2) */
	struct slice value;	/* without blanks around it */
};

/* A field line without its end. Returns 0; -EPROTO: no colon; -EINVAL: the name is not a token. */
int http_field_parse(struct slice line, struct http_field *ret_field);
/* True if the comma-separated @list has @word, in any case. */
bool http_list_has(struct slice list, const char *word);

#endif
