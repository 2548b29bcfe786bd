// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// HTTP/1.1 (RFC 9112) as far as a hub needs it: GET and HEAD without a body, one after the other, and the way
// to a WebSocket.
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "server/internal.h"

#define ANSWER_HEAD_MAX	4096

struct fault {
	int status;
	const char *extra;	/* fields of the answer, each with its line's end */
};

void http1_answer(struct connection *c, const struct server_answer *answer, bool is_head, bool is_last,
	const char *extra)
{
	char head[ANSWER_HEAD_MAX], date[32];
	int len;

	request_date(date);
	len = snprintf(head, sizeof(head),
		"HTTP/1.1 %d %s\r\n"
		"Date: %s\r\n"
		"Content-Type: %s\r\n"
		"Content-Length: %zu\r\n"
		"Cache-Control: no-store\r\n"
		"X-Content-Type-Options: nosniff\r\n"
		"Content-Security-Policy: " ANSWER_POLICY "\r\n"
		"%s%s%s%s%s\r\n", answer->status, request_phrase(answer->status), date,
		answer->type ? answer->type : "text/plain; charset=utf-8", answer->len,
		answer->location ? "Location: " : "", answer->location ? answer->location : "",
		answer->location ? "\r\n" : "", extra ? extra : "", is_last ? "Connection: close\r\n" : "");
	if (len < 0 || (size_t)len >= sizeof(head) || out_put(c->server, &c->out, head, len) ||
		(!is_head && answer->len && out_put(c->server, &c->out, answer->body, answer->len))) {
		connection_fail(c, "out of memory for an answer");
		return;
	}
	if (is_last)
		connection_finish(c);
	else
		connection_want_turn(c);
}

void http1_refuse(struct connection *c, int status, const char *extra)
{
	char text[64];
	const struct server_answer answer = { .status = status, .body = text,
		.len = snprintf(text, sizeof(text), "%d %s\n", status, request_phrase(status)) };

	if (status == 413 || status == 431)
		server_note(c->server, SERVER_OVERSIZED, &c->remote, "an HTTP request is too large");
	else if (status == 400 || status == 505)
		server_note(c->server, SERVER_MALFORMED, &c->remote, "an HTTP request is malformed");
	http1_answer(c, &answer, false, true, extra);
}

/* Of "http://host/path" (section 3.2.2) the path counts, and the host in place of the field's. */
static char *cut_host(char *target, struct request *request)
{
	char *host, *end;

	if (strncasecmp(target, "http://", 7) && strncasecmp(target, "https://", 8))
		return target;
	host = strstr(target, "://") + 3;
	end = host + strcspn(host, "/?");
	request->is.host = (struct slice){ host, end - host };
	return end;
}

static int read_target(char *target, struct request *request)
{
	char *path = cut_host(target, request);
	bool is_absolute = path != target;

	if (strchr(path, '#') || (is_absolute ? !request->is.host.len : *path != '/'))
		return 400;
	request_set_target(request, path);
	if (!*request->is.path)
		request->is.path = "/";
	return 0;
}

/* Fields up to the end of @head. Returns 0 or a status. */
static int read_fields(struct slice head, struct request *request)
{
	while (head.len) {
		if (request->field_count == SERVER_FIELDS_MAX)
			return 431;
		if (http_field_parse(http_head_next_line(&head), &request->fields[request->field_count]))
			return 400;
		request->field_count++;
	}
	return 0;
}

/*
 * "A server MUST respond with a 400 status code to any HTTP/1.1 request message that lacks a Host header
 * field and to any request message that contains more than one" (section 3.2)
 */
static int check_host(struct request *request, unsigned int minor)
{
	size_t hosts = 0;

	for (size_t i = 0; i < request->field_count; i++) {
		if (!slice_is(request->fields[i].name, "host"))
			continue;
		hosts++;
		if (!request->is.host.at)
			request->is.host = request->fields[i].value;
	}
	return hosts > 1 || (!hosts && minor) ? 400 : 0;
}

/* Bodies are not read. */
static int check_body(const struct request *request)
{
	bool has_length = false, is_chunked = false, is_empty = true;

	for (size_t i = 0; i < request->field_count; i++) {
		const struct http_field *field = &request->fields[i];

		is_chunked |= slice_is(field->name, "transfer-encoding");
		if (!slice_is(field->name, "content-length"))
			continue;
		if (has_length || !field->value.len)
			return 400;
		has_length = true;
		for (size_t at = 0; at < field->value.len; at++) {
			if (!isdigit((unsigned char)field->value.at[at]))
				return 400;
			is_empty &= field->value.at[at] == '0';
		}
	}
	if (has_length && is_chunked)
		return 400;
	return is_chunked || !is_empty ? 413 : 0;
}

static bool asks_upgrade(const struct request *request)
{
	struct slice upgrade = server_request_field(&request->is, "upgrade");

	for (size_t i = 0; i < request->field_count; i++) {
		if (slice_is(request->fields[i].name, "connection") &&
			http_list_has(request->fields[i].value, "upgrade"))
			return upgrade.at && http_list_has(upgrade, "websocket");
	}
	return false;
}

static bool asks_close(const struct request *request, unsigned int minor)
{
	if (!minor)
		return true;
	for (size_t i = 0; i < request->field_count; i++) {
		if (slice_is(request->fields[i].name, "connection") &&
			http_list_has(request->fields[i].value, "close"))
			return true;
	}
	return false;
}

static struct fault read_head(struct connection *c, char *bytes, size_t len, struct request *request,
	struct http_request_line *line)
{
	struct slice head = { bytes, len }, first;
	struct fault fault = {};
	char *method, *target;
	int ret;

	if (!http_head_is_clean(head))
		return (struct fault){ .status = 400 };
	first = http_head_next_line(&head);
	ret = http_request_line_parse(first, line);
	if (ret)
		return (struct fault){ .status = ret == -ENOTSUP ? 505 : 400 };
	fault.status = read_fields(head, request);
	if (fault.status)
		return fault;
	/* Each ends with a blank that is not needed any more. */
	method = bytes + (line->method.at - bytes);
	target = bytes + (line->target.at - bytes);
	method[line->method.len] = target[line->target.len] = 0;
	request->is.method = method;
	fault.status = check_host(request, line->minor);
	if (!fault.status)
		fault.status = check_body(request);
	if (fault.status == 400)
		return fault;
	if (strcmp(method, "GET") && strcmp(method, "HEAD"))
		return (struct fault){ 405, "Allow: GET, HEAD\r\n" };
	if (!fault.status)
		fault.status = read_target(target, request);
	return fault;
}

static void take_request(struct connection *c, char *bytes, size_t len)
{
	struct server_answer answer = { .status = 404 };
	struct http_request_line line;
	struct request request = {};
	struct fault fault = read_head(c, bytes, len, &request, &line);

	c->server->requests++;
	if (fault.status) {
		http1_refuse(c, fault.status, fault.extra);
		return;
	}
	c->is_served = true;
	c->began_ns = 0;
	request_settle(&request, c);
	if (line.minor && asks_upgrade(&request) && !strcmp(request.is.method, "GET")) {
		socket_upgrade(c, &request);
		return;
	}
	c->server->events.request(c->server->ctx, &request.is, &answer);
	if (c->stage == STAGE_HTTP1)
		http1_answer(c, &answer, !strcmp(request.is.method, "HEAD"),
			asks_close(&request, line.minor) || c->server->is_draining, NULL);
}

/* The length of the head at @bytes with its empty line; 0: not whole; -1: it is none, or too long. */
static ssize_t find_head(struct connection *c, const uint8_t *bytes, size_t len)
{
	size_t most = len < SERVER_HEAD_MAX ? len : SERVER_HEAD_MAX;
	const uint8_t *end = memmem(bytes, most, "\r\n\r\n", 4);

	if (end)
		return end + 4 - bytes;
	if (!isalpha(bytes[0]) || memmem(bytes, most, "\n\n", 2)) {
		http1_refuse(c, 400, NULL);
		return -1;
	}
	if (most == SERVER_HEAD_MAX) {
		http1_refuse(c, 431, NULL);
		return -1;
	}
	return 0;
}

size_t http1_take(struct connection *c, uint8_t *bytes, size_t len)
{
	size_t skipped = 0;
	ssize_t head;

	/* "ignore at least one empty line (CRLF) received prior to the request-line" (section 2.2) */
	while (skipped < len && skipped < 4 && (bytes[skipped] == '\r' || bytes[skipped] == '\n'))
		skipped++;
	if (skipped == len)
		return skipped;
	/* The next one waits until this one's answer is with the kernel. */
	c->is_paused = connection_has_waiting(c);
	if (c->is_paused)
		return skipped;
	head = find_head(c, bytes + skipped, len - skipped);
	if (head < 0)
		return len;
	if (head)
		take_request(c, (char *)bytes + skipped, head - 2);
	return skipped + head;
}
