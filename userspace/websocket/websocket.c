// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// One WebSocket connection over a stream: upgrade, then frames, both ways without a copy more than the
// socket needs.
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/send_queue.h"
#include "websocket/websocket.h"
#include "websocket/websocket_frame.h"
#include "websocket/websocket_upgrade.h"
#include "stream/stream.h"

#define READ_SIZE	(128 * 1024)
#define READ_TURN	(1024 * 1024)	/* then others of the loop have their turn */
#define FLUSH_AT	(64 * 1024)	/* so much is worth a system call of its own */
/* that the kernel holds beyond what is on its way: more would only be more delay */
#define UNSENT_MAX	(32 * 1024)
/* drawn at once, from one seed of the kernel's: its own random numbers cost five times as much */
#define MASKS		256
#define REQUEST_MAX	1024
#define WHY_LEN		256

enum close_code { CLOSE_NORMAL = 1000, CLOSE_PROTOCOL = 1002, CLOSE_UNSUPPORTED = 1003,
	CLOSE_TOO_BIG = 1009 };

enum state { CONNECTING, UPGRADING, OPEN, ENDED };

struct websocket {
	struct loop *loop;
	struct stream *stream;
	const struct websocket_events *events;
	void *ctx;
	enum state state;
	struct loop_deferred deferred;	/* a callback may free it */
	char key[WEBSOCKET_KEY_LEN + 1];
	char *authority;
	char *path;
	size_t message_max;

	uint8_t *rx;			/* READ_SIZE; a frame always starts at 0 when read() is called */
	size_t rx_len;
	/* of a message in several frames; message_max, made when first needed */
	uint8_t *parts;
	size_t parts_len;
	bool in_parts;

	struct send_queue tx;
	bool is_blocked;		/* until writable() */
	struct loop_timer again;	/* reads on in the next turn */

	uint8_t masks[MASKS][WEBSOCKET_MASK_LEN];
	unsigned masks_left;
};

static void release(void *object)
{
	struct websocket *ws = object;

	send_queue_done(&ws->tx);
	free(ws->rx);
	free(ws->parts);
	free(ws->authority);
	free(ws->path);
	free(ws);
}

static void end(struct websocket *ws, int error, const char *why)
{
	char kept[WHY_LEN];

	if (ws->state == ENDED)
		return;
	snprintf(kept, sizeof(kept), "%s", why);	/* it may be the stream's */
	ws->state = ENDED;
	loop_timer_cancel(ws->loop, &ws->again);
	stream_free(ws->stream);
	ws->stream = NULL;
	ws->events->closed(ws->ctx, error, kept);
}

int websocket_remote(const struct websocket *ws, struct endpoint *ret_remote)
{
	return ws->stream ? stream_remote(ws->stream, ret_remote) : -ENOTCONN;
}

int websocket_connection(const struct websocket *ws, struct talon_quiet *ret_connection)
{
	return ws->stream ? stream_connection(ws->stream, ret_connection) : -ENOTCONN;
}

int websocket_abandon(struct websocket *ws)
{
	int ret = ws->stream ? stream_abandon(ws->stream) : -ENOTCONN;

	if (ret)
		return ret;
	ws->stream = NULL;
	websocket_free(ws);
	return 0;
}

void websocket_free(struct websocket *ws)
{
	if (!ws)
		return;
	ws->state = ENDED;
	loop_timer_cancel(ws->loop, &ws->again);
	stream_free(ws->stream);
	ws->stream = NULL;
	loop_defer_free(ws->loop, &ws->deferred, release, ws);
}

/* Sending */

/* An error ends the stream, which tells us so by itself. */
void websocket_flush(struct websocket *ws)
{
	const uint8_t *front;
	size_t len;

	if (!ws->stream || ws->is_blocked)
		return;
	while (!ws->is_blocked && (front = send_queue_front(&ws->tx, &len))) {
		ssize_t n = stream_write(ws->stream, front, len);

		if (n > 0)
			send_queue_consume(&ws->tx, n);
		ws->is_blocked = n < 0 || (size_t)n < len;
	}
	if (ws->is_blocked)
		send_queue_stalled(&ws->tx, loop_now(ws->loop));
	else
		send_queue_emptied(&ws->tx, loop_now(ws->loop));
}

static const uint8_t *next_mask(struct websocket *ws)
{
	uint8_t seed[randombytes_SEEDBYTES];

	if (!ws->masks_left) {
		randombytes_buf(seed, sizeof(seed));
		randombytes_buf_deterministic(ws->masks, sizeof(ws->masks), seed);
		sodium_memzero(seed, sizeof(seed));
		ws->masks_left = MASKS;
	}
	return ws->masks[--ws->masks_left];
}

static int queue_frame(struct websocket *ws, enum websocket_opcode opcode, const void *head, size_t head_len,
	const void *body, size_t body_len)
{
	const uint8_t *mask = next_mask(ws);
	uint8_t *at = send_queue_reserve(&ws->tx, WEBSOCKET_HEADER_MAX + head_len + body_len);
	size_t header_len;

	if (!at)
		return -EAGAIN;
	header_len = websocket_frame_write(opcode, head_len + body_len, mask, at);
	websocket_mask_copy(at + header_len, head, head_len, mask, 0);
	websocket_mask_copy(at + header_len + head_len, body, body_len, mask, head_len);
	send_queue_commit(&ws->tx, header_len + head_len + body_len, loop_now(ws->loop));
	return 0;
}

/* What may wait: as much as goes out soon at the socket's pace. */
static size_t queue_worth(const struct websocket *ws)
{
	const size_t most = WEBSOCKET_QUEUE_SIZE - WEBSOCKET_QUEUE_KEPT;
	size_t worth = send_queue_worth(&ws->tx, WEBSOCKET_QUEUE_NS);

	if (worth < WEBSOCKET_QUEUE_LEAST)
		return WEBSOCKET_QUEUE_LEAST;
	return worth < most ? worth : most;
}

static bool fits(const struct websocket *ws, size_t len)
{
	return send_queue_len(&ws->tx) + len + WEBSOCKET_HEADER_MAX <= queue_worth(ws) &&
		send_queue_age(&ws->tx, loop_now(ws->loop)) <= WEBSOCKET_QUEUE_NS;
}

/* Nothing waits as long as the socket takes what it is given, so ask it before a packet is lost. */
static bool has_room(struct websocket *ws, size_t len)
{
	if (fits(ws, len))
		return true;
	if (ws->is_blocked)
		return false;
	websocket_flush(ws);
	return fits(ws, len);
}

int websocket_send(struct websocket *ws, enum websocket_class class, const void *head, size_t head_len,
	const void *body, size_t body_len)
{
	int ret;

	if (ws->state != OPEN)
		return -ENOTCONN;
	if (!(head_len + body_len) || head_len + body_len > ws->message_max)
		return -EMSGSIZE;
	if (class == WEBSOCKET_PACKET && !has_room(ws, head_len + body_len))
		return -EAGAIN;
	ret = queue_frame(ws, WEBSOCKET_BINARY, head, head_len, body, body_len);
	if (send_queue_len(&ws->tx) >= FLUSH_AT)
		websocket_flush(ws);
	return ret;
}

static void say_close(struct websocket *ws, enum close_code code)
{
	const uint8_t bytes[] = { code >> 8, code & 0xff };

	queue_frame(ws, WEBSOCKET_CLOSE, bytes, sizeof(bytes), NULL, 0);
	websocket_flush(ws);
}

void websocket_close(struct websocket *ws)
{
	if (ws->state == OPEN)
		say_close(ws, CLOSE_NORMAL);
}

/*
 * Receiving. Any callback may free the connection; its memory stays until the end of the loop's turn, so
 * code that continues after a callback checks the state.
 */

static void fail(struct websocket *ws, enum close_code code, const char *why)
{
	say_close(ws, code);
	end(ws, -EPROTO, why);
}

static void closed_by_server(struct websocket *ws, const uint8_t *payload, size_t len)
{
	char why[WHY_LEN];
	unsigned code = len >= 2 ? payload[0] << 8 | payload[1] : 0;

	if (code)
		snprintf(why, sizeof(why), "the server closed the connection with WebSocket code %u", code);
	else
		snprintf(why, sizeof(why), "the server closed the connection");
	say_close(ws, CLOSE_NORMAL);
	end(ws, 0, why);
}

static int add_part(struct websocket *ws, const uint8_t *payload, size_t len)
{
	if (!ws->parts)
		ws->parts = malloc(ws->message_max);
	if (!ws->parts)
		return -ENOMEM;
	if (len > ws->message_max - ws->parts_len)
		return -EMSGSIZE;
	memcpy(ws->parts + ws->parts_len, payload, len);
	ws->parts_len += len;
	return 0;
}

/* A message in several frames: servers we know never do that, proxies between may. */
static void take_part(struct websocket *ws, const struct websocket_frame *frame, const uint8_t *payload)
{
	int ret;

	if (!ws->in_parts)
		ws->parts_len = 0;
	ws->in_parts = !frame->is_final;
	ret = add_part(ws, payload, frame->len);
	if (ret == -ENOMEM)
		end(ws, ret, "out of memory");
	else if (ret)
		fail(ws, CLOSE_TOO_BIG, "the server sent a message that is too long");
	else if (frame->is_final)
		ws->events->message(ws->ctx, ws->parts, ws->parts_len);
}

static void take(struct websocket *ws, const struct websocket_frame *frame, const uint8_t *payload)
{
	switch (frame->opcode) {
	case WEBSOCKET_BINARY:
		if (ws->in_parts)
			fail(ws, CLOSE_PROTOCOL, "the server began a message before the last one ended");
		else if (frame->is_final)
			ws->events->message(ws->ctx, payload, frame->len);
		else
			take_part(ws, frame, payload);
		break;
	case WEBSOCKET_CONTINUATION:
		if (ws->in_parts)
			take_part(ws, frame, payload);
		else
			fail(ws, CLOSE_PROTOCOL, "the server continued a message that it never began");
		break;
	case WEBSOCKET_PING:
		/* without room this one is not answered, but the next may be */
		queue_frame(ws, WEBSOCKET_PONG, payload, frame->len, NULL, 0);
		break;
	case WEBSOCKET_PONG:
		break;
	case WEBSOCKET_CLOSE:
		closed_by_server(ws, payload, frame->len);
		break;
	case WEBSOCKET_TEXT:
		fail(ws, CLOSE_UNSUPPORTED, "the server sent a text message");
		break;
	}
}

/* One frame from @bytes. Returns how long it was, 0 when more is needed or nothing more is wanted. */
static size_t consume_frame(struct websocket *ws, const uint8_t *bytes, size_t len)
{
	struct websocket_frame frame;
	int header = websocket_frame_parse(bytes, len, &frame);

	if (!header)
		return 0;
	if (header < 0 || frame.is_masked) {
		fail(ws, CLOSE_PROTOCOL, "the server sent what is not a WebSocket frame");
		return 0;
	}
	if (frame.len > ws->message_max && frame.len > WEBSOCKET_CONTROL_MAX) {
		fail(ws, CLOSE_TOO_BIG, "the server sent a message that is too long");
		return 0;
	}
	if (len - header < frame.len)
		return 0;
	take(ws, &frame, bytes + header);
	return header + frame.len;
}

static size_t consume_answer(struct websocket *ws)
{
	char accept[WEBSOCKET_ACCEPT_LEN + 1], why[WHY_LEN];
	int len;

	websocket_key_accept(ws->key, accept);
	len = websocket_answer_parse((const char *)ws->rx, ws->rx_len, accept, why, sizeof(why));
	if (len < 0) {
		end(ws, len, why);
		return 0;
	}
	if (len) {
		ws->state = OPEN;
		ws->events->opened(ws->ctx);
	}
	return len;
}

/* What is left of the last frame moves to the start: less than a frame for each READ_SIZE. */
static void consume(struct websocket *ws)
{
	size_t at = ws->state == UPGRADING ? consume_answer(ws) : 0, n;

	while (ws->state == OPEN && (n = consume_frame(ws, ws->rx + at, ws->rx_len - at)))
		at += n;
	if (at && ws->state != ENDED) {
		memmove(ws->rx, ws->rx + at, ws->rx_len - at);
		ws->rx_len -= at;
	}
}

static void read_on(struct websocket *ws)
{
	size_t most = READ_TURN;

	while (ws->state == UPGRADING || ws->state == OPEN) {
		ssize_t n = stream_read(ws->stream, ws->rx + ws->rx_len, READ_SIZE - ws->rx_len);

		if (n <= 0)	/* nothing now, or the end, which the stream reports itself */
			return;
		ws->rx_len += n;
		consume(ws);
		if ((size_t)n >= most) {
			if (ws->state == OPEN)
				loop_timer_after(ws->loop, &ws->again, 0);
			return;
		}
		most -= n;
	}
}

static void on_readable(void *ctx)
{
	struct websocket *ws = ctx;

	read_on(ws);
	websocket_flush(ws);	/* pongs, and what the callbacks had to say */
}

static void on_writable(void *ctx)
{
	struct websocket *ws = ctx;

	ws->is_blocked = false;
	websocket_flush(ws);
}

static void on_connected(void *ctx)
{
	struct websocket *ws = ctx;
	char *request = (char *)send_queue_reserve(&ws->tx, REQUEST_MAX);
	int len = websocket_request_write(ws->authority, ws->path, ws->key, request, REQUEST_MAX);

	if (len < 0) {
		end(ws, len, "the server's name is too long");
	} else {
		ws->state = UPGRADING;
		send_queue_commit(&ws->tx, len, loop_now(ws->loop));
		websocket_flush(ws);
	}
}

static void on_closed(void *ctx, int error, const char *why)
{
	struct websocket *ws = ctx;

	end(ws, error, why);
}

static const struct stream_events stream_callbacks = {
	.connected = on_connected,
	.readable = on_readable,
	.writable = on_writable,
	.closed = on_closed,
};

static int make(struct loop *loop, const struct websocket_options *options, struct websocket **ret_websocket)
{
	struct websocket *ws = calloc(1, sizeof(*ws));

	if (!ws)
		return -ENOMEM;
	ws->loop = loop;
	ws->message_max = options->message_max;
	loop_timer_init(&ws->again, on_readable, ws);
	ws->rx = malloc(READ_SIZE);
	ws->authority = strdup(options->authority);
	ws->path = strdup(options->path);
	if (send_queue_init(&ws->tx, WEBSOCKET_QUEUE_SIZE, WEBSOCKET_QUEUE_PACE) || !ws->rx ||
		!ws->authority || !ws->path) {
		release(ws);
		return -ENOMEM;
	}
	*ret_websocket = ws;
	return 0;
}

int websocket_open(struct loop *loop, const struct websocket_options *options,
	const struct websocket_events *events, void *ctx, struct websocket **ret_websocket)
{
	const struct stream_options below = {
		.host = options->host,
		.port = options->port,
		.address = options->address,
		.tls = options->tls,
		.alpn = options->tls ? "http/1.1" : NULL,	/* never h2: these ports may speak it too */
		.timeout_ns = options->timeout_ns,
		.unsent_max = UNSENT_MAX,
	};
	struct websocket *ws;
	int ret;

	if (options->message_max > READ_SIZE / 2)
		return -EINVAL;
	ret = make(loop, options, &ws);
	if (ret)
		return ret;
	ws->events = events;
	ws->ctx = ctx;
	websocket_key_make(ws->key);
	ret = stream_open(loop, &below, &stream_callbacks, ws, &ws->stream);
	if (ret) {
		release(ws);
		return ret;
	}
	*ret_websocket = ws;
	return 0;
}
