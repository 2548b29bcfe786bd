// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// HTTP/2 as a server: nghttp2 between the bytes of a connection and its calls, with a limit to everything
// that a client can make it do for nothing.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/h2_internal.h"

#define WINDOW		(1 << 20)	/* of a connection; a stream has the usual 64 KiB */
#define STREAM_WINDOW	(256 * 1024)
#define FRAME_HEAD_LEN	9
#define IDLE_NS		(300 * LOOP_SECOND)	/* without a call */
/*
 * Frames that carry nothing (PING, SETTINGS, RST_STREAM, WINDOW_UPDATE, empty DATA, headers of streams that
 * come to nothing): so many at once, and so many a second. A frame of data that we send, and a stream that
 * ends well, are worth some, since clients answer them with window updates and measure by PING.
 */
#define CREDIT_MOST	500.0
#define CREDIT_S	20.0
#define CREDIT_WORTH	2.0

static struct server_call *call_of(nghttp2_session *session, int32_t id)
{
	return id > 0 ? nghttp2_session_get_stream_user_data(session, id) : NULL;
}

static int go_on(const struct connection *c)
{
	return c->stage == STAGE_OVER ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/* ---- floods ---- */

static void give_up(struct connection *c, uint32_t error)
{
	if (c->h2->is_ending)
		return;
	c->h2->is_ending = true;
	nghttp2_session_terminate_session(c->h2->session, error);
	connection_want_turn(c);
}

static void earn(struct h2 *h2)
{
	h2->credit = h2->credit + CREDIT_WORTH < CREDIT_MOST ? h2->credit + CREDIT_WORTH : CREDIT_MOST;
}

static void charge(struct connection *c)
{
	struct h2 *h2 = c->h2;
	uint64_t now = loop_now(c->server->loop);

	h2->credit += (now - h2->credit_ns) / 1e9 * CREDIT_S;
	h2->credit_ns = now;
	if (h2->credit > CREDIT_MOST)
		h2->credit = CREDIT_MOST;
	h2->credit--;
	if (h2->credit >= 0 || h2->is_ending)
		return;
	server_note(c->server, SERVER_FLOODED, &c->remote, "HTTP/2 frames come faster than anybody needs");
	give_up(c, NGHTTP2_ENHANCE_YOUR_CALM);
}

/* ---- nghttp2's callbacks ---- */

static int begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *ctx)
{
	struct connection *c = ctx;

	if (hd->type != NGHTTP2_DATA || (!hd->length && !(hd->flags & NGHTTP2_FLAG_END_STREAM)))
		charge(c);
	return 0;
}

static int begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	struct connection *c = ctx;

	free(c->h2->head);
	c->h2->head = NULL;
	if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	c->h2->head = malloc(sizeof(*c->h2->head));
	if (!c->h2->head)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	c->h2->head->len = c->h2->head->count = 0;
	return 0;
}

static int take_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_len, const uint8_t *value, size_t len, uint8_t flags, void *ctx)
{
	struct connection *c = ctx;
	struct h2_head *head = c->h2->head;

	if (!head)
		return 0;
	if (head->count == SERVER_FIELDS_MAX || head->len + name_len + len + 2 > sizeof(head->text)) {
		server_note(c->server, SERVER_OVERSIZED, &c->remote,
			"the headers of an HTTP/2 request are too long");
		free(head);
		c->h2->head = NULL;
		give_up(c, NGHTTP2_ENHANCE_YOUR_CALM);
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	}
	head->fields[head->count].name = head->len;
	head->fields[head->count].name_len = name_len;
	memcpy(head->text + head->len, name, name_len);
	head->len += name_len;
	head->text[head->len++] = 0;
	head->fields[head->count].value = head->len;
	head->fields[head->count].value_len = len;
	memcpy(head->text + head->len, value, len);
	head->len += len;
	head->text[head->len++] = 0;
	head->count++;
	return 0;
}

static int take_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t len,
	void *ctx)
{
	struct server_call *call = call_of(session, id);

	if (call && !call->is_ended)
		call_take(call, bytes, len);
	return go_on(ctx);
}

static int take_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	struct connection *c = ctx;
	struct server_call *call;

	if (frame->hd.type == NGHTTP2_HEADERS && c->h2->head && !c->h2->is_ending) {
		c->server->requests++;
		c->is_served = true;
		call_begin(c, frame->hd.stream_id);
		free(c->h2->head);
		c->h2->head = NULL;
	}
	if (c->stage == STAGE_OVER)
		return go_on(c);
	call = call_of(session, frame->hd.stream_id);
	if (call && frame->hd.flags & NGHTTP2_FLAG_END_STREAM &&
		(frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA))
		call_half_closed(call);
	return go_on(c);
}

/* Once: one frame may be told of in several ways. */
static void note_malformed(struct connection *c)
{
	if (!c->h2->is_malformed)
		server_note(c->server, SERVER_MALFORMED, &c->remote, "an HTTP/2 frame is malformed");
	c->h2->is_malformed = true;
}

static int bad_frame(nghttp2_session *session, const nghttp2_frame *frame, int error, void *ctx)
{
	struct connection *c = ctx;

	/*
	 * gRPC clients in Go leave with the highest number of all, which is no stream of ours (RFC 9113
	 * section 6.8).
	 */
	if (frame->hd.type == NGHTTP2_GOAWAY)
		c->h2->is_malformed = true;
	else
		note_malformed(c);
	return 0;
}

/* nghttp2's own end of the connection says what it did not like. */
static void goaway_sent(struct connection *c, uint32_t error)
{
	if (error != NGHTTP2_NO_ERROR && !c->h2->is_ending)
		note_malformed(c);
	c->h2->is_ending |= error != NGHTTP2_NO_ERROR;
}

/* Who was answered may stop sending (RFC 9113 section 8.1). */
static int frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	struct connection *c = ctx;
	int32_t id = frame->hd.stream_id;

	if (frame->hd.type == NGHTTP2_GOAWAY)
		goaway_sent(c, frame->goaway.error_code);
	if (frame->hd.type == NGHTTP2_DATA)
		earn(c->h2);
	if ((frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
		frame->hd.flags & NGHTTP2_FLAG_END_STREAM &&
		nghttp2_session_get_stream_remote_close(session, id) == 0)
		nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
	return 0;
}

static int stream_closed(nghttp2_session *session, int32_t id, uint32_t error, void *ctx)
{
	struct server_call *call = call_of(session, id);
	struct connection *c = ctx;

	if (error == NGHTTP2_NO_ERROR)
		earn(c->h2);
	if (call)
		call_over(call);
	return 0;
}

static int send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t len,
	nghttp2_data_source *source, void *ctx)
{
	struct server_call *call = call_of(session, frame->hd.stream_id);
	int ret = call ? call_write_frame(call, head, FRAME_HEAD_LEN, len) : -ESRCH;

	switch (ret) {
	case 0:
		return 0;
	case -EAGAIN:
		return NGHTTP2_ERR_WOULDBLOCK;
	case -ESRCH:
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	default:
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	}
}

/* ---- a connection ---- */

static nghttp2_session *new_session(struct connection *c)
{
	nghttp2_session_callbacks *callbacks;
	nghttp2_session *session = NULL;
	nghttp2_option *option = NULL;
	nghttp2_mem memory = h2_memory(c->h2);

	if (nghttp2_session_callbacks_new(&callbacks))
		return NULL;
	nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, begin_frame);
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, take_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, take_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, take_frame);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, bad_frame);
	nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, frame_sent);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, stream_closed);
	nghttp2_session_callbacks_set_send_data_callback(callbacks, send_data);
	if (!nghttp2_option_new(&option)) {
		nghttp2_option_set_no_closed_streams(option, 1);
		nghttp2_option_set_max_outbound_ack(option, 100);
		/* Answers have a handful of fields: what a table of them saves is not worth 2 KiB. */
		nghttp2_option_set_max_deflate_dynamic_table_size(option, 0);
		if (nghttp2_session_server_new3(&session, callbacks, c, option, &memory))
			session = NULL;
	}
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(callbacks);
	return session;
}

int h2_begin(struct connection *c)
{
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, SERVER_STREAMS_MAX },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, SERVER_HEADERS_MAX },
	};
	struct h2 *h2 = calloc(1, sizeof(*h2));

	if (!h2)
		return -1;
	TAILQ_INIT(&h2->calls);
	TAILQ_INIT(&h2->over);
	h2->credit = CREDIT_MOST;
	h2->credit_ns = h2->idle_ns = loop_now(c->server->loop);
	c->h2 = h2;
	h2->session = new_session(c);
	if (!h2->session || nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings,
		sizeof(settings) / sizeof(*settings)) || nghttp2_session_set_local_window_size(h2->session,
		NGHTTP2_FLAG_NONE, 0, WINDOW))
		return -1;
	connection_want_turn(c);
	return 0;
}

size_t h2_take(struct connection *c, uint8_t *bytes, size_t len)
{
	struct h2 *h2 = c->h2;
	ssize_t ret;

	if (h2->is_ending)
		return len;
	h2->is_busy = true;
	ret = nghttp2_session_mem_recv(h2->session, bytes, len);
	h2->is_busy = false;
	if (c->stage == STAGE_OVER)
		return len;
	if (ret == NGHTTP2_ERR_FLOODED) {
		server_note(c->server, SERVER_FLOODED, &c->remote,
			"HTTP/2 frames come faster than their answers go");
		connection_fail(c, "too many HTTP/2 frames");
	} else if (ret < 0) {
		server_note(c->server, SERVER_MALFORMED, &c->remote, ret == NGHTTP2_ERR_BAD_CLIENT_MAGIC ?
			"no HTTP/2 where it was agreed on" : "HTTP/2 is malformed");
		connection_fail(c, "HTTP/2 is malformed");
	}
	connection_want_turn(c);
	return len;
}

bool h2_pump(struct connection *c)
{
	struct h2 *h2 = c->h2;
	const size_t before = c->out.waiting;
	const uint8_t *frame;
	ssize_t len = 0;

	if (h2->is_busy)
		return false;
	h2->is_busy = true;
	h2->is_building = true;
	while (c->out.waiting < SERVER_FLUSH_AT) {
		len = nghttp2_session_mem_send(h2->session, &frame);
		if (len > 0 && out_put(c->server, &c->out, frame, len))
			len = NGHTTP2_ERR_NOMEM;
		if (len <= 0) {
			h2->is_building = c->out.waiting >= SERVER_FLUSH_AT;
			break;
		}
	}
	h2->is_busy = false;
	h2->has_built |= c->out.waiting != before;
	if (len < 0)
		connection_fail(c, nghttp2_strerror(len));
	return c->out.waiting >= SERVER_FLUSH_AT;
}

static void tell_drained(struct connection *c)
{
	struct server_call *call, *next;

	for (call = TAILQ_FIRST(&c->h2->calls); call; call = next) {
		next = TAILQ_NEXT(call, entry);
		if (call->is_over || !call->is_dirty || call->queued)
			continue;
		call->is_dirty = false;
		if (call->events && call->events->drained && !call->is_ended)
			call->events->drained(call->ctx);
		if (c->stage == STAGE_OVER)
			return;
	}
}

void h2_turn(struct connection *c)
{
	struct h2 *h2 = c->h2;
	struct server_call *call;

	if (!h2)
		return;
	while (c->stage != STAGE_OVER && (call = TAILQ_FIRST(&h2->over))) {
		TAILQ_REMOVE(&h2->over, call, entry);
		call_done(call);
	}
	if (c->stage != STAGE_OVER && !connection_has_waiting(c))
		tell_drained(c);
	if (c->stage == STAGE_OVER)
		return;
	if (h2->has_built && !h2->is_building) {
		h2->has_built = false;
		h2_memory_rest(h2);
	}
	if (c->stage == STAGE_HTTP2 && !nghttp2_session_want_read(h2->session) &&
		!nghttp2_session_want_write(h2->session))
		connection_finish(c);
}

void h2_drain(struct connection *c)
{
	if (c->stage != STAGE_HTTP2 || c->h2->is_ending)
		return;
	nghttp2_submit_goaway(c->h2->session, NGHTTP2_FLAG_NONE,
		nghttp2_session_get_last_proc_stream_id(c->h2->session), NGHTTP2_NO_ERROR, NULL, 0);
	connection_want_turn(c);
}

/* ---- the end ---- */

void h2_lost(struct connection *c)
{
	struct h2 *h2 = c->h2;
	struct server_call *call;

	if (!h2)
		return;
	while ((call = TAILQ_FIRST(&h2->calls)))
		call_over(call);
	while ((call = TAILQ_FIRST(&h2->over))) {
		TAILQ_REMOVE(&h2->over, call, entry);
		call_done(call);
	}
}

void h2_free(struct connection *c)
{
	if (!c->h2)
		return;
	nghttp2_session_del(c->h2->session);
	free(c->h2->head);
	free(c->h2);
	c->h2 = NULL;
}

/* ---- silence ---- */

static uint64_t check_liveness(struct connection *c, uint64_t now)
{
	const struct server_options *options = &c->server->options;

	if (c->pinged_ns > c->heard_ns)
		return c->pinged_ns + options->silence_ns;
	if (now < c->heard_ns + options->ping_after_ns)
		return c->heard_ns + options->ping_after_ns;
	c->pinged_ns = now;
	nghttp2_submit_ping(c->h2->session, NGHTTP2_FLAG_NONE, NULL);
	connection_want_turn(c);
	return now + options->silence_ns;
}

uint64_t h2_check(struct connection *c, uint64_t now)
{
	struct h2 *h2 = c->h2;
	struct server_call *call, *next;
	uint64_t due, first = LOOP_NEVER;

	if (TAILQ_EMPTY(&h2->calls)) {
		due = h2->idle_ns + (h2->had_call ? IDLE_NS : c->server->options.silence_ns);
		if (now < due || !h2->had_call)
			return due;
		/* nobody is harmed, and the client is told */
		give_up(c, NGHTTP2_NO_ERROR);
		return now + c->server->options.silence_ns;
	}
	for (call = TAILQ_FIRST(&h2->calls); call; call = next) {
		next = TAILQ_NEXT(call, entry);
		due = call_check(call, now);
		first = due < first ? due : first;
	}
	due = check_liveness(c, now);
	return due < first ? due : first;
}
