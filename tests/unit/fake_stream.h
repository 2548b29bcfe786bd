/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * stream.h without a network, for tests of what is built on it: they play the server by hand. Include it in
 * one file of the program; it takes the place of stream.c.
 */
#ifndef TALON_TESTS_FAKE_STREAM_H
#define TALON_TESTS_FAKE_STREAM_H

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "websocket/websocket_frame.h"
#include "websocket/websocket_upgrade.h"
#include "stream/stream.h"

#define FAKE_STREAMS 128

struct stream {
	struct stream_options options;
	char host[256];
	char address[64];	/* "": by name */
	char alpn[16];
	struct endpoint remote;	/* the test's word on where it is connected to */
	struct stream_events events;
	void *ctx;
	bool is_freed;		/* by its owner; the struct stays for the test to look at */
	bool is_ended;
	bool is_abandoned, cannot_abandon;
	uint8_t *in;		/* not read yet */
	size_t in_len;
	size_t chunk;		/* most that one read gives; 0: all */
	uint8_t *out;		/* written */
	size_t out_len;
	size_t out_taken;	/* by the test */
	size_t room;		/* most that is written before writable() */
	bool discards;		/* what is written: only counted */
	uint64_t written;
};

static struct stream *fake_streams[FAKE_STREAMS];
static size_t fake_stream_count;
static int fake_stream_open_error;	/* of the next stream_open() */

int stream_open(struct loop *loop, const struct stream_options *options, const struct stream_events *events,
	void *ctx, struct stream **ret_stream)
{
	struct stream *s;
	int error = fake_stream_open_error;

	fake_stream_open_error = 0;
	if (!error && fake_stream_count == FAKE_STREAMS)
		error = -EMFILE;
	if (error)
		return error;
	s = calloc(1, sizeof(*s));
	assert(s);
	s->options = *options;
	snprintf(s->host, sizeof(s->host), "%s", options->host);
	snprintf(s->address, sizeof(s->address), "%s", options->address ? options->address : "");
	snprintf(s->alpn, sizeof(s->alpn), "%s", options->alpn ? options->alpn : "");
	s->events = *events;
	s->ctx = ctx;
	s->room = SIZE_MAX;
	fake_streams[fake_stream_count++] = s;
	*ret_stream = s;
	if (events->looked_up)	/* names are known at once */
		events->looked_up(ctx);
	return 0;
}

ssize_t stream_read(struct stream *s, void *buf, size_t len)
{
	assert(!s->is_freed);
	if (!s->in_len)
		return -EAGAIN;
	if (len > s->in_len)
		len = s->in_len;
	if (s->chunk && len > s->chunk)
		len = s->chunk;
	memcpy(buf, s->in, len);
	s->in_len -= len;
	memmove(s->in, s->in + len, s->in_len);
	return len;
}

ssize_t stream_write(struct stream *s, const void *buf, size_t len)
{
	assert(!s->is_freed && len);
	if (s->is_ended)
		return -EPIPE;
	if (!s->room)
		return -EAGAIN;
	if (len > s->room)
		len = s->room;
	if (s->room != SIZE_MAX)
		s->room -= len;
	s->written += len;
	if (s->discards)
		return len;
	s->out = realloc(s->out, s->out_len + len);
	assert(s->out);
	memcpy(s->out + s->out_len, buf, len);
	s->out_len += len;
	return len;
}

void stream_free(struct stream *s)
{
	if (!s)
		return;
	assert(!s->is_freed);
	s->is_freed = true;
}

const char *stream_peer(const struct stream *s)
{
	return s->host;
}

int stream_remote(const struct stream *s, struct endpoint *ret_remote)
{
	if (!endpoint_is_known(&s->remote))
		return -ENOTCONN;
	*ret_remote = s->remote;
	return 0;
}

int stream_connection(const struct stream *s, struct talon_quiet *ret_connection)
{
	memset(ret_connection, 0, sizeof(*ret_connection));
	ret_connection->remote = s->remote.remote;
	ret_connection->remote_port = s->remote.port;
	return s->is_ended ? -ENOTCONN : 0;
}

int stream_abandon(struct stream *s)
{
	if (s->cannot_abandon)
		return -EPERM;
	s->is_abandoned = true;
	stream_free(s);
	return 0;
}

bool stream_addresses_changed(struct loop *loop)
{
	return false;
}

void stream_global_done(void)
{
}

/* The test's side */

static inline void fake_streams_reset(void)
{
	for (size_t i = 0; i < fake_stream_count; i++) {
		free(fake_streams[i]->in);
		free(fake_streams[i]->out);
		free(fake_streams[i]);
	}
	fake_stream_count = 0;
	fake_stream_open_error = 0;
}

static inline void fake_feed(struct stream *s, const void *bytes, size_t len)
{
	s->in = realloc(s->in, s->in_len + len + 1);
	assert(s->in);
	memcpy(s->in + s->in_len, bytes, len);
	s->in_len += len;
	s->events.readable(s->ctx);
}

static inline void fake_writable(struct stream *s, size_t room)
{
	s->room = room;
	s->events.writable(s->ctx);
}

static inline void fake_end(struct stream *s, int error, const char *why)
{
	s->is_ended = true;
	s->events.closed(s->ctx, error, why);
}

/* What was written and not taken yet. */
static inline const uint8_t *fake_out(const struct stream *s, size_t *ret_len)
{
	*ret_len = s->out_len - s->out_taken;
	return s->out + s->out_taken;
}

static inline int fake_answer(const struct stream *s, char *buf, size_t size)
{
	static const char name[] = "Sec-WebSocket-Key: ";
	char accept[WEBSOCKET_ACCEPT_LEN + 1];
	const char *key = memmem(s->out, s->out_len, name, strlen(name));

	assert(key);
	websocket_key_accept(key + strlen(name), accept);
	return snprintf(buf, size,
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nSec-Websocket-Accept: "
		"%s\r\nUpgrade: websocket\r\nDate: Mon, 23 Nov 2026 00:30:24 GMT\r\n\r\n", accept);
}

/* Connects and agrees to the upgrade. */
static inline void fake_upgrade(struct stream *s)
{
	char answer[512];

	s->events.connected(s->ctx);
	fake_answer(s, answer, sizeof(answer));
	s->out_taken = s->out_len;
	fake_feed(s, answer, strlen(answer));
}

/* Header and payload as a server sends them: not masked. Returns the length. */
static inline size_t fake_frame(uint8_t *to, uint8_t first, const void *payload, size_t len)
{
	uint8_t *at = to;

	*at++ = first;
	if (len <= 125) {
		*at++ = len;
	} else if (len <= 65535) {
		*at++ = 126;
		*at++ = len >> 8;
		*at++ = len;
	} else {
		*at++ = 127;
		for (int i = 7; i >= 0; i--)
			*at++ = (uint64_t)len >> 8 * i;
	}
	memcpy(at, payload, len);
	return at - to + len;
}

static inline void fake_send(struct stream *s, const void *message, size_t len)
{
	uint8_t *frame = malloc(len + WEBSOCKET_HEADER_MAX);

	assert(frame);
	fake_feed(s, frame, fake_frame(frame, 0x80 | WEBSOCKET_BINARY, message, len));
	free(frame);
}

/* The client's next frame: opcode and unmasked payload. Returns its length, or -1 when there is none. */
static inline int fake_take(struct stream *s, enum websocket_opcode *ret_opcode, uint8_t *payload,
	size_t size)
{
	struct websocket_frame frame;
	size_t len;
	const uint8_t *bytes = fake_out(s, &len);
	int header = websocket_frame_parse(bytes, len, &frame);

	assert(header >= 0);
	if (!header || len - header < frame.len)
		return -1;
	assert(frame.is_masked && frame.is_final && frame.len <= size);
	websocket_mask_copy(payload, bytes + header, frame.len, frame.mask, 0);
	s->out_taken += header + frame.len;
	*ret_opcode = frame.opcode;
	return frame.len;
}

#endif
