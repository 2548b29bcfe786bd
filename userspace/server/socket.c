// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// WebSockets (RFC 6455) as a server: messages are unmasked where they were read, and written where they are
// sent from. Extensions and subprotocols are never agreed to.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/internal.h"
#include "websocket/websocket_frame.h"
#include "websocket/websocket_upgrade.h"

#define WHY_LEN		96
/* When all connections together have this much waiting, each may have only a little. */
#define SCARCE		(64U << 20)
#define SCARCE_QUEUE	(16 * 1024)

/* RFC 6455 section 7.4.1 */
enum { CLOSE_NORMAL = 1000, CLOSE_PROTOCOL = 1002, CLOSE_UNSUPPORTED = 1003, CLOSE_TOO_BIG = 1009 };

struct server_socket {
	struct connection *c;
	const struct server_socket_events *events;
	void *ctx;
	struct endpoint remote;
	bool is_open;
	bool is_behind;			/* drained() is due once less than half of the queue waits */
	bool is_collecting;		/* between the first and the last of a message's fragments */
	uint8_t *fragments;
	size_t fragment_len;
	char why[WHY_LEN];
};

/* ---- the end ---- */

void socket_lost(struct connection *c, const char *why)
{
	struct server_socket *socket = c->socket;

	if (!socket)
		return;
	c->socket = NULL;
	c->server->socket_count--;
	socket->is_open = false;
	if (socket->events && socket->events->closed)
		socket->events->closed(socket->ctx, *socket->why ? socket->why : why);
	free(socket->fragments);
	free(socket);
}

static void put_control(struct connection *c, enum websocket_opcode opcode, const void *bytes, size_t len)
{
	uint8_t *at = out_reserve(c->server, &c->out, WEBSOCKET_HEADER_MAX + len);
	size_t head;

	if (!at)
		return;
	head = websocket_frame_write(opcode, len, NULL, at);
	if (len)
		memcpy(at + head, bytes, len);
	out_commit(c->server, &c->out, head + len);
	connection_want_turn(c);
}

static void end(struct server_socket *socket, unsigned int code, const char *why)
{
	const uint8_t bytes[] = { code >> 8, code };
	struct connection *c = socket->c;

	if (!socket->is_open)
		return;
	socket->is_open = false;
	snprintf(socket->why, sizeof(socket->why), "%s", why);
	put_control(c, WEBSOCKET_CLOSE, bytes, sizeof(bytes));
	connection_finish(c);
}

static void refuse(struct server_socket *socket, enum server_event event, unsigned int code, const char *why)
{
	server_note(socket->c->server, event, &socket->c->remote, why);
	end(socket, code, why);
}

void server_socket_end(struct server_socket *socket, const char *why)
{
	end(socket, CLOSE_NORMAL, why);
}

/* ---- the upgrade ---- */

/* 16 bytes in base64 (section 4.2.1) */
static bool is_key(struct slice key)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	if (key.len != WEBSOCKET_KEY_LEN || memcmp(key.at + key.len - 2, "==", 2))
		return false;
	for (size_t i = 0; i < key.len - 2; i++) {
		if (!memchr(digits, key.at[i], sizeof(digits) - 1))
			return false;
	}
	return true;
}

static void agree(struct connection *c, struct slice key)
{
	char text[WEBSOCKET_KEY_LEN + 1], accept[WEBSOCKET_ACCEPT_LEN + 1], head[160];
	int len;

	slice_copy(key, text, sizeof(text));
	websocket_key_accept(text, accept);
	len = snprintf(head, sizeof(head),
		"HTTP/1.1 101 Switching Protocols\r\n"
		"Upgrade: websocket\r\n"
		"Connection: Upgrade\r\n"
		"Sec-WebSocket-Accept: %s\r\n"
		"\r\n", accept);
	if (out_put(c->server, &c->out, head, len))
		connection_fail(c, "out of memory");
	c->stage = STAGE_SOCKET;
	c->socket->is_open = true;
	loop_timer_after(c->server->loop, &c->timer, c->server->options.ping_after_ns);
	connection_want_turn(c);
}

void socket_upgrade(struct connection *c, const struct request *request)
{
	struct slice key = server_request_field(&request->is, "sec-websocket-key");
	struct slice version = server_request_field(&request->is, "sec-websocket-version");
	struct server *s = c->server;

	if (!version.at || !slice_is(version, "13")) {
		http1_refuse(c, 426, "Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n");
		return;
	}
	if (!key.at || !is_key(key)) {
		http1_refuse(c, 400, NULL);
		return;
	}
	c->socket = calloc(1, sizeof(*c->socket));
	if (!c->socket) {
		http1_refuse(c, 503, NULL);
		return;
	}
	c->socket->c = c;
	c->socket->remote = request->remote;
	s->socket_count++;
	if (s->events.socket && s->events.socket(s->ctx, c->socket, &request->is, &c->socket->events,
		&c->socket->ctx)) {
		if (c->socket)
			agree(c, key);
		return;
	}
	if (!c->socket)
		return;
	c->socket->events = NULL;
	socket_lost(c, "refused");
	http1_refuse(c, 404, NULL);
}

/* ---- frames in ---- */

static void hand_over(struct server_socket *socket, uint8_t *bytes, size_t len)
{
	socket->events->message(socket->ctx, bytes, len);
}

/* A message in several frames; together no longer than one may be. */
static void collect(struct server_socket *socket, const struct websocket_frame *frame, const uint8_t *bytes)
{
	uint8_t *whole;
	size_t len;

	if ((frame->opcode == WEBSOCKET_CONTINUATION) != socket->is_collecting) {
		refuse(socket, SERVER_MALFORMED, CLOSE_PROTOCOL, "a WebSocket fragment is out of order");
		return;
	}
	if (socket->fragment_len + frame->len > socket->c->server->options.socket_message_max) {
		refuse(socket, SERVER_OVERSIZED, CLOSE_TOO_BIG, "a WebSocket message is too long");
		return;
	}
	if (!socket->fragments)
		socket->fragments = malloc(socket->c->server->options.socket_message_max);
	if (!socket->fragments) {
		end(socket, CLOSE_NORMAL, "out of memory");
		return;
	}
	memcpy(socket->fragments + socket->fragment_len, bytes, frame->len);
	socket->fragment_len += frame->len;
	socket->is_collecting = !frame->is_final;
	if (socket->is_collecting)
		return;
	whole = socket->fragments;
	len = socket->fragment_len;
	socket->fragments = NULL;
	socket->fragment_len = 0;
	hand_over(socket, whole, len);
	free(whole);
}

static void take_control(struct server_socket *socket, const struct websocket_frame *frame, uint8_t *bytes)
{
	struct connection *c = socket->c;

	switch (frame->opcode) {
	case WEBSOCKET_PING:
		/* Only the newest has to be answered (section 5.5.3), and nobody who does not read is. */
		if (!c->is_stalled && c->out.waiting < SCARCE_QUEUE)
			put_control(c, WEBSOCKET_PONG, bytes, frame->len);
		break;
	case WEBSOCKET_CLOSE:
		end(socket, CLOSE_NORMAL, "the client closed the WebSocket");
		break;
	default:
		break;
	}
}

static void take_frame(struct server_socket *socket, const struct websocket_frame *frame, uint8_t *bytes)
{
	switch (frame->opcode) {
	case WEBSOCKET_TEXT:
		refuse(socket, SERVER_MALFORMED, CLOSE_UNSUPPORTED,
			"a WebSocket message is text, binary is expected");
		break;
	case WEBSOCKET_BINARY:
	case WEBSOCKET_CONTINUATION:
		if (frame->is_final && frame->opcode == WEBSOCKET_BINARY && !socket->is_collecting)
			hand_over(socket, bytes, frame->len);
		else
			collect(socket, frame, bytes);
		break;
	default:
		take_control(socket, frame, bytes);
	}
}

size_t socket_take(struct connection *c, uint8_t *bytes, size_t len)
{
	const size_t most = c->server->options.socket_message_max;
	struct websocket_frame frame;
	size_t at = 0;

	while (c->stage == STAGE_SOCKET && !c->failed) {
		int head = websocket_frame_parse(bytes + at, len - at, &frame);

		if (!head)
			break;
		if (head < 0 || !frame.is_masked) {
			refuse(c->socket, SERVER_MALFORMED, CLOSE_PROTOCOL, head < 0 ?
				"a WebSocket frame is malformed" : "a WebSocket frame is not masked");
			break;
		}
		if (frame.len > most && frame.len > WEBSOCKET_CONTROL_MAX) {
			refuse(c->socket, SERVER_OVERSIZED, CLOSE_TOO_BIG, "a WebSocket message is too long");
			break;
		}
		if (len - at - head < frame.len)
			break;
		at += head;
		websocket_mask_copy(bytes + at, bytes + at, frame.len, frame.mask, 0);
		take_frame(c->socket, &frame, bytes + at);
		at += frame.len;
	}
	return at;
}

/* ---- messages out ---- */

const struct endpoint *server_socket_remote(const struct server_socket *socket)
{
	return &socket->remote;
}

size_t server_socket_waiting(const struct server_socket *socket)
{
	return socket->c->out.waiting + socket->c->sealed_len;
}

uint8_t *server_socket_reserve(struct server_socket *socket, size_t len)
{
	struct connection *c = socket->c;
	size_t waiting = server_socket_waiting(socket), head;
	size_t most = c->server->waiting < SCARCE ? SERVER_SOCKET_QUEUE : SCARCE_QUEUE;
	uint8_t header[WEBSOCKET_HEADER_MAX], *at;

	if (!socket->is_open || waiting + WEBSOCKET_HEADER_MAX + len > most) {
		socket->is_behind = true;
		return NULL;
	}
	head = websocket_frame_write(WEBSOCKET_BINARY, len, NULL, header);
	at = out_reserve(c->server, &c->out, head + len);
	if (!at)
		return NULL;
	memcpy(at, header, head);
	c->reserved = head + len;
	return at + head;
}

void server_socket_commit(struct server_socket *socket)
{
	struct connection *c = socket->c;
	int ret;

	out_commit(c->server, &c->out, c->reserved);
	c->reserved = 0;
	if (c->out.waiting >= SERVER_FLUSH_AT && !c->is_stalled) {
		ret = connection_flush(c);
		if (ret)
			connection_fail(c, strerror(-ret));
	}
	if (c->out.waiting > SERVER_SOCKET_QUEUE / 2)
		socket->is_behind = true;
	if (!c->is_in_turn && !c->is_stalled)
		connection_want_turn(c);
}

void socket_turn(struct connection *c)
{
	struct server_socket *socket = c->socket;

	if (socket && c->stage == STAGE_ENDING) {
		socket_lost(c, "ended");
		return;
	}
	if (!socket || !socket->is_behind || server_socket_waiting(socket) >= SERVER_SOCKET_QUEUE / 2)
		return;
	socket->is_behind = false;
	if (socket->events->drained)
		socket->events->drained(socket->ctx);
}

/* ---- silence ---- */

uint64_t socket_check(struct connection *c, uint64_t now)
{
	const struct server_options *options = &c->server->options;

	if (c->pinged_ns > c->heard_ns)
		return c->pinged_ns + options->silence_ns;
	if (now < c->heard_ns + options->ping_after_ns)
		return c->heard_ns + options->ping_after_ns;
	c->pinged_ns = now;
	/* Who has something waiting that is not read would not read this either. */
	if (!c->is_stalled)
		put_control(c, WEBSOCKET_PING, NULL, 0);
	return now + options->silence_ns;
}
