/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The other side of the gRPC client, in memory: streams that end in an nghttp2 server session of the test's,
 * on a loop whose clock the test moves. Defines what stream.h declares, so a program that includes this has
 * no other streams.
 */
#ifndef TALON_TEST_GRPC_PEER_H
#define TALON_TEST_GRPC_PEER_H

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stream/stream.h"

#define PEER_STREAMS_MAX	64
#define PEER_HEADERS_MAX	24

struct peer_bytes {
	uint8_t *bytes;
	size_t len;
};

static inline void peer_put(struct peer_bytes *to, const void *bytes, size_t len)
{
	to->bytes = realloc(to->bytes, to->len + len + 1);
	memcpy(to->bytes + to->len, bytes, len);
	to->len += len;
	to->bytes[to->len] = 0;
}

static inline void peer_take(struct peer_bytes *from, size_t len)
{
	memmove(from->bytes, from->bytes + len, from->len - len);
	from->len -= len;
}

/* What a request looked like, in order. */
struct peer_request {
	int32_t id;
	struct { char name[64], value[256]; } headers[PEER_HEADERS_MAX];
	size_t header_count;
	struct peer_bytes body;
	bool is_complete, was_reset;
	uint32_t reset_code;
	/* the answer's DATA */
	struct peer_bytes answer;
	size_t answer_at, chunk;
	nghttp2_nv trailers[4];
	size_t trailer_count;
	bool stays_open;
};

struct stream {
	struct loop *loop;
	struct stream_options options;
	struct stream_events events;
	void *ctx;
	struct loop_timer timer;
	nghttp2_session *session;	/* the server's */
	struct peer_bytes in, out;	/* towards the client, from it */
	bool is_up, is_closed, is_deaf;
	size_t write_limit;		/* bytes taken by one write; 0: all */
	struct peer_request requests[PEER_STREAMS_MAX];
	size_t request_count;
	size_t pings;
};

static struct peer {
	struct stream *streams[16];
	size_t opened;
	const char *refuse;		/* new streams end with this */
	/* Called when a request's headers are there, and when it is complete. */
	void (*on_headers)(struct stream *s, struct peer_request *request);
	void (*on_request)(struct stream *s, struct peer_request *request);
	uint64_t look_up_ns;		/* how long the name of a new stream is looked up */
} peer;

static inline struct peer_request *peer_request_of(struct stream *s, int32_t id)
{
	for (size_t i = 0; i < s->request_count; i++) {
		if (s->requests[i].id == id)
			return &s->requests[i];
	}
	return NULL;
}

static inline const char *peer_header(const struct peer_request *request, const char *name)
{
	for (size_t i = 0; i < request->header_count; i++) {
		if (!strcmp(request->headers[i].name, name))
			return request->headers[i].value;
	}
	return NULL;
}

static inline int peer_begin(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	struct stream *s = ctx;

	if (frame->hd.type == NGHTTP2_HEADERS && s->request_count < PEER_STREAMS_MAX)
		s->requests[s->request_count++].id = frame->hd.stream_id;
	return 0;
}

static inline int peer_take_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_len, const uint8_t *value, size_t len, uint8_t flags, void *ctx)
{
	struct peer_request *request = peer_request_of(ctx, frame->hd.stream_id);

	if (request && request->header_count < PEER_HEADERS_MAX) {
		snprintf(request->headers[request->header_count].name, 64, "%.*s", (int)name_len, name);
		snprintf(request->headers[request->header_count++].value, 256, "%.*s", (int)len, value);
	}
	return 0;
}

static inline int peer_take_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
	size_t len, void *ctx)
{
	struct peer_request *request = peer_request_of(ctx, id);

	if (request)
		peer_put(&request->body, bytes, len);
	return 0;
}

static inline int peer_take_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	struct peer_request *request = peer_request_of(ctx, frame->hd.stream_id);
	struct stream *s = ctx;

	if (frame->hd.type == NGHTTP2_PING && !(frame->hd.flags & NGHTTP2_FLAG_ACK))
		s->pings++;
	if (!request)
		return 0;
	if (frame->hd.type == NGHTTP2_RST_STREAM) {
		request->was_reset = true;
		request->reset_code = frame->rst_stream.error_code;
	}
	if (frame->hd.type == NGHTTP2_HEADERS && peer.on_headers)
		peer.on_headers(s, request);
	if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM &&
		(frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA)) {
		request->is_complete = true;
		if (peer.on_request)
			peer.on_request(s, request);
	}
	return 0;
}

static inline void peer_listen(struct stream *s)
{
	const nghttp2_settings_entry settings[] = { { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 100 } };
	nghttp2_session_callbacks *callbacks;

	nghttp2_session_callbacks_new(&callbacks);
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, peer_begin);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, peer_take_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, peer_take_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, peer_take_frame);
	nghttp2_session_server_new(&s->session, callbacks, s);
	nghttp2_session_callbacks_del(callbacks);
	nghttp2_submit_settings(s->session, NGHTTP2_FLAG_NONE, settings, 1);
}

/* ---- answers ---- */

#define PEER_NV(n, v)	{ (uint8_t *)(n), (uint8_t *)(v), strlen(n), strlen(v), NGHTTP2_NV_FLAG_NONE }

static inline ssize_t peer_read_answer(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len,
	uint32_t *flags, nghttp2_data_source *source, void *ctx)
{
	struct peer_request *request = peer_request_of(ctx, id);
	size_t part = request->answer.len - request->answer_at;

	if (part > len)
		part = len;
	if (request->chunk && part > request->chunk)
		part = request->chunk;
	if (!part && request->stays_open)
		return NGHTTP2_ERR_DEFERRED;
	if (part)
		memcpy(buf, request->answer.bytes + request->answer_at, part);
	request->answer_at += part;
	if (request->answer_at == request->answer.len && !request->stays_open) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (request->trailer_count) {
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
			nghttp2_submit_trailer(session, id, request->trailers, request->trailer_count);
		}
	}
	return part;
}

static inline void peer_put_message(struct peer_request *request, int flag, const void *bytes, size_t len)
{
	const uint8_t prefix[5] = { flag, len >> 24, len >> 16, len >> 8, len };

	peer_put(&request->answer, prefix, sizeof(prefix));
	peer_put(&request->answer, bytes, len);
}

/* :status and content-type, then what was put into answer, then trailers if @status is not NULL. */
static inline void peer_answer(struct stream *s, struct peer_request *request, const char *http_status,
	const char *type, const char *status, const char *message)
{
	const nghttp2_nv head[] = { PEER_NV(":status", http_status), PEER_NV("content-type", type) };
	const nghttp2_data_provider provider = { .read_callback = peer_read_answer };

	if (message)
		request->trailers[request->trailer_count++] = (nghttp2_nv)PEER_NV("grpc-message", message);
	if (status)
		request->trailers[request->trailer_count++] = (nghttp2_nv)PEER_NV("grpc-status", status);
	nghttp2_submit_response(s->session, request->id, head, 2, &provider);
}

static inline void peer_answer_ok(struct stream *s, struct peer_request *request, const char *text)
{
	peer_put_message(request, 0, text, strlen(text));
	peer_answer(s, request, "200", "application/grpc", "0", NULL);
}

/* ---- the streams ---- */

static inline void peer_tell(void *ctx)
{
	struct stream *s = ctx;

	if (peer.refuse || s->is_closed) {
		s->is_closed = true;
		s->events.closed(s->ctx, -ECONNREFUSED,
			peer.refuse ? peer.refuse : "mesh.test:443 closed the connection");
		return;
	}
	if (peer.look_up_ns)
		s->events.looked_up(s->ctx);
	s->is_up = true;
	s->events.connected(s->ctx);
}

int stream_open(struct loop *loop, const struct stream_options *options, const struct stream_events *events,
	void *ctx, struct stream **ret_stream)
{
	struct stream *s = calloc(1, sizeof(*s));

	s->loop = loop;
	s->options = *options;
	s->events = *events;
	s->ctx = ctx;
	peer_listen(s);
	loop_timer_init(&s->timer, peer_tell, s);
	loop_timer_after(loop, &s->timer, peer.look_up_ns);
	peer.streams[peer.opened++ % 16] = s;
	*ret_stream = s;
	if (!peer.look_up_ns)
		events->looked_up(ctx);
	return 0;
}

ssize_t stream_read(struct stream *s, void *buf, size_t len)
{
	size_t part = s->in.len < len ? s->in.len : len;

	if (!part)
		return -EAGAIN;
	memcpy(buf, s->in.bytes, part);
	peer_take(&s->in, part);
	return part;
}

ssize_t stream_write(struct stream *s, const void *buf, size_t len)
{
	size_t part = s->write_limit && len > s->write_limit ? s->write_limit : len;

	peer_put(&s->out, buf, part);
	return part;
}

void stream_free(struct stream *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < 16; i++) {
		if (peer.streams[i] == s)
			peer.streams[i] = NULL;
	}
	for (size_t i = 0; i < s->request_count; i++) {
		free(s->requests[i].body.bytes);
		free(s->requests[i].answer.bytes);
	}
	loop_timer_cancel(s->loop, &s->timer);
	nghttp2_session_del(s->session);
	free(s->in.bytes);
	free(s->out.bytes);
	free(s);
}

const char *stream_peer(const struct stream *s)
{
	return "192.0.2.1:443";
}

void stream_global_done(void)
{
}

/* ---- turning the wheel ---- */

static inline struct stream *peer_newest(void)
{
	return peer.opened ? peer.streams[(peer.opened - 1) % 16] : NULL;
}

static inline bool peer_serve(struct stream *s)
{
	const uint8_t *frame;
	bool moved = s->out.len;
	ssize_t len;

	if (s->out.len && !s->is_deaf)
		nghttp2_session_mem_recv(s->session, s->out.bytes, s->out.len);
	s->out.len = 0;
	while (!s->is_deaf && (len = nghttp2_session_mem_send(s->session, &frame)) > 0) {
		peer_put(&s->in, frame, len);
		moved = true;
	}
	return moved;
}

/* The client's side sees what came; the stream may be gone after it. */
static inline bool peer_deliver(size_t i)
{
	struct stream *s = peer.streams[i];
	bool moved = false;

	if (s->is_up && !s->is_closed && s->in.len) {
		s->events.readable(s->ctx);
		moved = true;
	}
	if (peer.streams[i] == s && s->is_up && s->write_limit) {
		s->events.writable(s->ctx);
		moved |= peer.streams[i] == s && s->out.len;
	}
	return moved;
}

/* Lets both sides talk, and the clock go to @until_ns (0: stand still), until nothing moves any more. */
static inline void peer_run(struct loop *loop, uint64_t until_ns)
{
	bool moved;

	do {
		moved = false;
		loop_advance(loop, loop_now(loop));
		for (size_t i = 0; i < 16; i++) {
			if (peer.streams[i])
				moved |= peer_serve(peer.streams[i]);
			if (peer.streams[i])
				moved |= peer_deliver(i);
		}
		loop_advance(loop, loop_now(loop));
		for (size_t i = 0; i < 16; i++)
			moved |= peer.streams[i] && peer.streams[i]->out.len;
		if (!moved && until_ns > loop_now(loop)) {
			uint64_t next = loop_next(loop);

			loop_advance(loop, next < until_ns ? next : until_ns);
			moved = true;
		}
	} while (moved);
}

/* The connection breaks. */
static inline void peer_close(struct stream *s)
{
	s->is_closed = true;
	loop_timer_after(s->loop, &s->timer, 0);
}

#endif
