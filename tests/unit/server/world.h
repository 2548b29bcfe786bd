/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A server on the test's own loop, whose owner echoes; and clients that send bytes as they are. */
#ifndef TALON_TEST_SERVER_WORLD_H
#define TALON_TEST_SERVER_WORLD_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "grpc/grpc.h"
#include "loop/loop.h"
#include "server/server.h"

#define PATIENCE_NS	(20 * LOOP_SECOND)

static struct loop *loop;
static struct server *server;

/* What the owner saw. */
static struct {
	size_t calls, call_ends, sockets, socket_ends, messages, half_closed, drained, socket_drained;
	char method[16], path[64], query[64], host[64], remote[ENDPOINT_TEXT_LEN], meta[64], why[128];
	bool is_tls;
	size_t last_len;
	uint8_t last[64];
	struct server_call *call;	/* the last that is open */
	struct server_socket *socket;
} owner;

/* ---- the owner ---- */

static void note_request(const struct server_request *request)
{
	struct slice meta = server_request_field(request, "x-meta");

	snprintf(owner.method, sizeof(owner.method), "%s", request->method);
	snprintf(owner.path, sizeof(owner.path), "%s", request->path);
	snprintf(owner.query, sizeof(owner.query), "%s", request->query);
	snprintf(owner.host, sizeof(owner.host), "%.*s", (int)request->host.len, request->host.at);
	snprintf(owner.meta, sizeof(owner.meta), "%.*s", (int)meta.len, meta.at ? meta.at : "");
	endpoint_format(request->remote, owner.remote);
	owner.is_tls = request->is_tls;
}

static void note_message(const uint8_t *bytes, size_t len)
{
	owner.messages++;
	owner.last_len = len;
	if (len)
		memcpy(owner.last, bytes, len < sizeof(owner.last) ? len : sizeof(owner.last));
}

static void echo_message(void *ctx, const uint8_t *bytes, size_t len)
{
	note_message(bytes, len);
	server_call_send(ctx, bytes, len);
}

static void echo_half_closed(void *ctx)
{
	owner.half_closed++;
	server_call_end(ctx, GRPC_OK, NULL);
}

static void silent_half_closed(void *ctx)
{
	owner.half_closed++;
}

static void silent_message(void *ctx, const uint8_t *bytes, size_t len)
{
	note_message(bytes, len);
}

static void count_message(void *ctx, const uint8_t *bytes, size_t len)
{
	int most = atoi((const char *)bytes);
	char text[16];

	note_message(bytes, len);
	for (int i = 0; i < most; i++)
		server_call_send(ctx, text, snprintf(text, sizeof(text), "%d", i));
}

static void big_message(void *ctx, const uint8_t *bytes, size_t len)
{
	char text[16] = "";
	size_t size;
	uint8_t *big;

	memcpy(text, bytes, len < 15 ? len : 15);
	size = strtoul(text, NULL, 10);
	big = malloc(size + 1);
	memset(big, 'b', size);
	note_message(bytes, len);
	server_call_send(ctx, big, size);
	free(big);
}

static void fail_message(void *ctx, const uint8_t *bytes, size_t len)
{
	note_message(bytes, len);
	server_call_end(ctx, GRPC_NOT_FOUND, "no such peer: \xe2\x82\xac 100 %\nsecond line");
}

static void call_drained(void *ctx)
{
	owner.drained++;
}

static void call_closed(void *ctx)
{
	owner.call_ends++;
	if (owner.call == ctx)
		owner.call = NULL;
}

static bool on_call(void *ctx, struct server_call *call, const struct server_request *request,
	const struct server_call_events **ret_events, void **ret_ctx)
{
#define EVENTS(what, end) { .message = what, .half_closed = end, .drained = call_drained, \
	.closed = call_closed }
	static const struct { const char *path; struct server_call_events events; } methods[] = {
		{ "/talon.Test/Echo", EVENTS(echo_message, echo_half_closed) },
		{ "/talon.Test/Chat", EVENTS(echo_message, echo_half_closed) },
		{ "/talon.Test/Count", EVENTS(count_message, echo_half_closed) },
		{ "/talon.Test/Big", EVENTS(big_message, echo_half_closed) },
		{ "/talon.Test/Fail", EVENTS(fail_message, silent_half_closed) },
		{ "/talon.Test/Meta", EVENTS(echo_message, echo_half_closed) },
		{ "/talon.Test/Silent", EVENTS(silent_message, silent_half_closed) },
	};

	note_request(request);
	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
		if (strcmp(request->path, methods[i].path))
			continue;
		if (!strcmp(request->path, "/talon.Test/Meta"))
			server_call_begin(call, (const char *[]){ "x-wiretrustee-peer-registered" },
				(const char *[]){ "1" }, 1);
		*ret_events = &methods[i].events;
		*ret_ctx = call;
		owner.calls++;
		owner.call = call;
		return true;
	}
	return false;
}

static void socket_message(void *ctx, uint8_t *bytes, size_t len)
{
	uint8_t *at;

	note_message(bytes, len);
	if (len == 3 && !memcmp(bytes, "end", 3)) {
		server_socket_end(ctx, "asked to");
		return;
	}
	at = server_socket_reserve(ctx, len);
	if (at) {
		memcpy(at, bytes, len);
		server_socket_commit(ctx);
	}
}

static void socket_drained(void *ctx)
{
	owner.socket_drained++;
}

static void socket_closed(void *ctx, const char *why)
{
	owner.socket_ends++;
	snprintf(owner.why, sizeof(owner.why), "%s", why);
	if (owner.socket == ctx)
		owner.socket = NULL;
}

static bool on_socket(void *ctx, struct server_socket *socket, const struct server_request *request,
	const struct server_socket_events **ret_events, void **ret_ctx)
{
	static const struct server_socket_events events = { .message = socket_message,
		.drained = socket_drained, .closed = socket_closed };

	note_request(request);
	if (strcmp(request->path, "/relay"))
		return false;
	owner.sockets++;
	owner.socket = socket;
	*ret_events = &events;
	*ret_ctx = socket;
	return true;
}

static void on_request(void *ctx, const struct server_request *request, struct server_answer *ret_answer)
{
	static char large[300000];

	note_request(request);
	if (!strcmp(request->path, "/"))
		*ret_answer = (struct server_answer){ .status = 200, .type = "text/html", .body = "hello\n",
			.len = 6 };
	else if (!strcmp(request->path, "/large"))
		*ret_answer = (struct server_answer){ .status = 200, .len = sizeof(large),
			.body = memset(large, 'l', sizeof(large)) };
	else if (!strcmp(request->path, "/moved"))
		*ret_answer = (struct server_answer){ .status = 302, .location = "https://else.test/" };
	else
		*ret_answer = (struct server_answer){ .status = 404, .body = "nothing\n", .len = 8 };
}

static void serve(struct server_options options)
{
	static const struct server_events events = { .call = on_call, .socket = on_socket,
		.request = on_request };
	char why[SERVER_WHY_LEN];

	memset(&owner, 0, sizeof(owner));
	options.listen.family = AF_INET;
	((uint8_t *)&options.listen.remote)[0] = 127;
	((uint8_t *)&options.listen.remote)[3] = 1;
	if (server_new(loop, &options, &events, NULL, &server, why))
		fail_msg("%s", why);
}

static int setup(void **state)
{
	return loop_new(&loop);
}

static int teardown(void **state)
{
	server_free(server);
	server = NULL;
	loop_free(loop);
	return 0;
}

/* ---- clients ---- */

static struct server_counts counts(void)
{
	struct server_counts now;

	server_counts(server, &now);
	return now;
}

#define WAIT_FOR(what) do { \
	uint64_t wait_until = loop_now(loop) + PATIENCE_NS; \
	while (!(what) && loop_now(loop) < wait_until) \
		loop_turn(loop, 10 * LOOP_MS); \
	assert_true(what); \
} while (0)

struct raw {
	int fd;
	uint8_t in[400000];
	size_t len;
	bool is_closed;
};

static inline void raw_open_from(struct raw *raw, const char *address)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(server_port(server)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) }, from = { .sin_family = AF_INET };

	memset(raw, 0, sizeof(*raw));
	raw->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	inet_pton(AF_INET, address, &from.sin_addr);
	assert_int_equal(bind(raw->fd, (struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(connect(raw->fd, (struct sockaddr *)&to, sizeof(to)), 0);
	fcntl(raw->fd, F_SETFL, O_NONBLOCK);
}

static inline void raw_open(struct raw *raw)
{
	raw_open_from(raw, "127.0.0.1");
}

/* Reads what is there. */
static inline void raw_read(struct raw *raw)
{
	while (raw->len < sizeof(raw->in) - 1 && !raw->is_closed) {
		ssize_t n = recv(raw->fd, raw->in + raw->len, sizeof(raw->in) - 1 - raw->len, 0);

		if (n < 0 && errno == EAGAIN)
			break;
		raw->is_closed = n <= 0;
		raw->len += n > 0 ? n : 0;
	}
	raw->in[raw->len] = 0;
}

static inline bool raw_has(struct raw *raw, const char *text)
{
	raw_read(raw);
	return memmem(raw->in, raw->len, text, strlen(text));
}

static inline bool raw_is_closed(struct raw *raw)
{
	raw_read(raw);
	return raw->is_closed;
}

static inline void raw_put(struct raw *raw, const void *bytes, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = send(raw->fd, (const uint8_t *)bytes + at, len - at, MSG_NOSIGNAL);

		if (n > 0)
			at += n;
		else if (errno == EAGAIN)
			loop_turn(loop, LOOP_MS);
		else
			break;
	}
}

static inline void raw_say(struct raw *raw, const char *text)
{
	raw_put(raw, text, strlen(text));
}

static inline void raw_close(struct raw *raw)
{
	close(raw->fd);
}

#endif
