// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// gRPC calls on the streams of an HTTP/2 connection
// (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md), and plain requests: browsers ask that way
// where they can.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grpc/grpc.h"
#include "server/h2_internal.h"

#define HEADERS_MAX	16
#define TEXT_MAX	1024			/* of grpc-message */
#define ASSEMBLING_MAX	(64U << 20)		/* bytes of messages that are not whole, of all calls */
#define PLENTY		(8U << 20)		/* when so much waits, it is written at once */
#define PARTIAL_NS	(30 * LOOP_SECOND)	/* for a message to become whole */
#define ENDED_NS	(30 * LOOP_SECOND)	/* for a client to take the end */

static nghttp2_nv header(const char *name, const char *value)
{
	return (nghttp2_nv){ (uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value),
		NGHTTP2_NV_FLAG_NONE };
}

/* The connection's timer goes off by then. */
static void look_by(struct connection *c, uint64_t at)
{
	if (!loop_timer_is_set(&c->timer) || c->timer.due_ns > at)
		loop_timer_set(c->server->loop, &c->timer, at);
}

/* ---- the end ---- */

static void forget_messages(struct server_call *call)
{
	struct call_message *message;

	while ((message = STAILQ_FIRST(&call->out))) {
		STAILQ_REMOVE_HEAD(&call->out, entry);
		free(message);
	}
	call->c->server->waiting -= call->queued;
	call->queued = 0;
}

static void forget_partial(struct server_call *call)
{
	struct server *s = call->c->server;

	s->assembling -= call->assembler.room;
	grpc_assembler_done(&call->assembler);
	if (call->is_partial)
		TAILQ_REMOVE(&s->partials, call, partial_entry);
	call->is_partial = false;
	call->partial_ns = 0;
}

void call_over(struct server_call *call)
{
	struct h2 *h2 = call->c->h2;

	if (call->is_over)
		return;
	call->is_over = true;
	TAILQ_REMOVE(&h2->calls, call, entry);
	TAILQ_INSERT_TAIL(&h2->over, call, entry);
	call->c->server->call_count--;
	if (TAILQ_EMPTY(&h2->calls))
		h2->idle_ns = loop_now(call->c->server->loop);
	forget_messages(call);
	forget_partial(call);
	connection_want_turn(call->c);
}

void call_done(struct server_call *call)
{
	if (call->events && call->events->closed)
		call->events->closed(call->ctx);
	free(call->status_text);
	free(call);
}

void call_reset(struct server_call *call, uint32_t error)
{
	nghttp2_session *session = call->c->h2->session;

	if (call->is_over)
		return;
	nghttp2_session_set_stream_user_data(session, call->id, NULL);
	nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, call->id, error);
	call_over(call);
}

uint64_t call_check(struct server_call *call, uint64_t now)
{
	uint64_t due = LOOP_NEVER;

	if (call->partial_ns)
		due = call->partial_ns + PARTIAL_NS;
	if (call->ended_ns && call->ended_ns + ENDED_NS < due)
		due = call->ended_ns + ENDED_NS;
	if (due > now)
		return due;
	server_note(call->c->server, call->ended_ns ? SERVER_SLOW : SERVER_TIMED_OUT, &call->remote,
		call->ended_ns ? "a call's end is not read" : "a message does not become whole");
	call_reset(call, NGHTTP2_CANCEL);
	return LOOP_NEVER;
}

/* ---- a request ---- */

static void answer_status(struct server_call *call, const struct server_answer *answer, bool is_head);

static void refuse(struct server_call *call, int status)
{
	char text[64];
	const struct server_answer answer = { .status = status, .body = text,
		.len = snprintf(text, sizeof(text), "%d %s\n", status, request_phrase(status)) };

	answer_status(call, &answer, false);
}

static bool is_named(const struct h2_head *head, size_t i, const char *name)
{
	return head->fields[i].name_len == strlen(name) &&
		!memcmp(head->text + head->fields[i].name, name, head->fields[i].name_len);
}

static void read_head(struct h2_head *head, struct request *request)
{
	char *target = NULL;

	for (size_t i = 0; i < head->count; i++) {
		char *value = head->text + head->fields[i].value;

		if (is_named(head, i, ":method"))
			request->is.method = value;
		else if (is_named(head, i, ":path"))
			target = value;
		else if (is_named(head, i, ":authority"))
			request->is.host = (struct slice){ value, head->fields[i].value_len };
		if (head->text[head->fields[i].name] != ':')
			request->fields[request->field_count++] = (struct http_field){
				{ head->text + head->fields[i].name, head->fields[i].name_len },
				{ value, head->fields[i].value_len } };
	}
	if (!request->is.host.at)
		request->is.host = server_request_field(&request->is, "host");
	if (target && *target == '/')
		request_set_target(request, target);
}

static void begin_grpc(struct server_call *call, const struct request *request)
{
	struct connection *c = call->c;
	struct server *s = c->server;

	if (s->events.call && s->events.call(s->ctx, call, &request->is, &call->events, &call->ctx)) {
		/* who is answered before the first message need not send one */
		if (c->stage != STAGE_OVER && !call->is_over && !call->is_begun) {
			call->partial_ns = loop_now(s->loop);
			look_by(c, call->partial_ns + PARTIAL_NS);
		}
		return;
	}
	if (c->stage == STAGE_OVER)
		return;
	call->events = NULL;
	server_call_end(call, GRPC_UNIMPLEMENTED, "there is no such method");
}

static void begin_plain(struct server_call *call, const struct request *request)
{
	struct connection *c = call->c;
	struct server *s = c->server;
	struct server_answer answer = { .status = 404 };
	bool is_head = !strcmp(request->is.method, "HEAD");

	if (!is_head && strcmp(request->is.method, "GET")) {
		refuse(call, strcmp(request->is.method, "POST") ? 405 : 415);
		return;
	}
	s->events.request(s->ctx, &request->is, &answer);
	if (c->stage != STAGE_OVER)
		answer_status(call, &answer, is_head);
}

void call_begin(struct connection *c, int32_t id)
{
	struct server_call *call = calloc(1, sizeof(*call));
	struct request request = {};
	struct slice type;

	if (!call) {
		nghttp2_submit_rst_stream(c->h2->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
		return;
	}
	read_head(c->h2->head, &request);
	request_settle(&request, c);
	call->c = c;
	call->id = id;
	call->remote = request.remote;
	call->assembler.most = c->server->options.call_message_max;
	STAILQ_INIT(&call->out);
	TAILQ_INSERT_TAIL(&c->h2->calls, call, entry);
	c->server->call_count++;
	c->h2->had_call = true;
	nghttp2_session_set_stream_user_data(c->h2->session, id, call);
	look_by(c, loop_now(c->server->loop) + c->server->options.ping_after_ns);
	if (!request.is.method || !request.is.path) {
		refuse(call, 400);
		return;
	}
	type = server_request_field(&request.is, "content-type");
	if (!strcmp(request.is.method, "POST") && type.at && grpc_is_content_type(type.at, type.len))
		begin_grpc(call, &request);
	else
		begin_plain(call, &request);
}

/* ---- messages in ---- */

static void refuse_message(struct server_call *call, int error)
{
	switch (error) {
	case -EMSGSIZE:
		server_note(call->c->server, SERVER_OVERSIZED, &call->remote, "a gRPC message is too long");
		server_call_end(call, GRPC_RESOURCE_EXHAUSTED, "the message is too long");
		break;
	case -ENOTSUP:
		server_call_end(call, GRPC_UNIMPLEMENTED,
			"compressed messages are not read (grpc-encoding: identity)");
		break;
	case -ENOMEM:
		server_call_end(call, GRPC_RESOURCE_EXHAUSTED, "no memory for a message");
		break;
	default:
		server_note(call->c->server, SERVER_MALFORMED, &call->remote, "a gRPC message is malformed");
		server_call_end(call, GRPC_INTERNAL, "the message's prefix is malformed");
	}
}

/*
 * Those who began first make room: messages are whole at once but for those of who sends them in bits to take
 * the room of all others.
 */
static void drop_oldest(struct server *s, const struct server_call *call)
{
	struct server_call *first;

	while (s->assembling > ASSEMBLING_MAX && (first = TAILQ_FIRST(&s->partials)) && first != call) {
		server_note(s, SERVER_FLOODED, &first->remote,
			"its messages that do not become whole take the room of others");
		call_reset(first, NGHTTP2_ENHANCE_YOUR_CALM);
	}
}

/* What is not whole counts, and its time runs. */
static int count_partial(struct server_call *call, size_t room_before)
{
	struct server *s = call->c->server;

	s->assembling += call->assembler.room - room_before;
	if (!call->is_partial && !grpc_assembler_is_between(&call->assembler)) {
		call->is_partial = true;
		TAILQ_INSERT_TAIL(&s->partials, call, partial_entry);
		call->partial_ns = loop_now(s->loop);
		look_by(call->c, call->partial_ns + PARTIAL_NS);
	}
	drop_oldest(s, call);
	return s->assembling > ASSEMBLING_MAX ? -ENOMEM : 0;
}

bool call_take(struct server_call *call, const uint8_t *bytes, size_t len)
{
	struct connection *c = call->c;
	size_t at = 0, used;

	while (at < len && call->events && !call->is_ended && !call->is_over) {
		size_t room = call->assembler.room;
		int ret = grpc_assembler_feed(&call->assembler, bytes + at, len - at, &used), counted;

		at += used;
		counted = count_partial(call, room);
		if (ret < 0 || counted) {
			refuse_message(call, ret < 0 ? ret : counted);
			break;
		}
		if (!ret)
			break;
		call->events->message(call->ctx, call->assembler.bytes, call->assembler.want);
		if (c->stage == STAGE_OVER)
			return false;
		if (!call->is_over)
			forget_partial(call);
	}
	return true;
}

bool call_half_closed(struct server_call *call)
{
	struct connection *c = call->c;

	if (call->is_half_closed || call->is_over)
		return true;
	call->is_half_closed = true;
	if (call->is_ended || !call->events)
		return true;
	if (!grpc_assembler_is_between(&call->assembler))
		server_call_end(call, GRPC_INTERNAL, "the last message is cut");
	else if (call->events->half_closed)
		call->events->half_closed(call->ctx);
	return c->stage != STAGE_OVER;
}

/* ---- messages out ---- */

static void resume(struct server_call *call)
{
	if (call->is_deferred) {
		call->is_deferred = false;
		nghttp2_session_resume_data(call->c->h2->session, call->id);
	}
	connection_want_turn(call->c);
}

/* The rest is the trailers', or there is none. */
static void end_data(struct server_call *call, uint32_t *flags)
{
	char status[12];
	nghttp2_nv trailers[2];
	size_t count = 0;

	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (!call->events && call->status < 0)
		return;
	snprintf(status, sizeof(status), "%d", call->status);
	trailers[count++] = header("grpc-status", status);
	if (call->status_text)
		trailers[count++] = header("grpc-message", call->status_text);
	*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
	nghttp2_submit_trailer(call->c->h2->session, call->id, trailers, count);
}

/* How much the next frame has. Its bytes go from our queue to the connection's: nghttp2 never holds them. */
static ssize_t read_out(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len, uint32_t *flags,
	nghttp2_data_source *source, void *ctx)
{
	struct server_call *call = nghttp2_session_get_stream_user_data(session, id);

	if (!call)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (call->queued <= len && call->is_ended) {
		end_data(call, flags);
	} else if (!call->queued) {
		call->is_deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	return call->queued < len ? call->queued : len;
}

int call_write_frame(struct server_call *call, const uint8_t *head, size_t head_len, size_t len)
{
	struct connection *c = call->c;
	uint8_t *at;

	if (c->out.waiting >= SERVER_FLUSH_AT)
		return -EAGAIN;
	at = out_reserve(c->server, &c->out, head_len + len);
	if (!at)
		return -ENOMEM;
	at = mempcpy(at, head, head_len);
	for (size_t left = len; left;) {
		struct call_message *message = STAILQ_FIRST(&call->out);
		size_t part = message->len - message->at < left ? message->len - message->at : left;

		at = mempcpy(at, message->bytes + message->at, part);
		message->at += part;
		left -= part;
		if (message->at < message->len)
			break;
		STAILQ_REMOVE_HEAD(&call->out, entry);
		free(message);
	}
	call->queued -= len;
	c->server->waiting -= len;
	out_commit(c->server, &c->out, head_len + len);
	return 0;
}

/* @len bytes behind what waits; with gRPC's prefix where @is_message. */
static int queue(struct server_call *call, const void *bytes, size_t len, bool is_message)
{
	size_t prefix = is_message ? GRPC_PREFIX_LEN : 0;
	struct call_message *message = malloc(sizeof(*message) + prefix + len);

	if (!message)
		return -ENOMEM;
	message->len = prefix + len;
	message->at = 0;
	if (is_message)
		grpc_put_prefix(message->bytes, len);
	if (len)
		memcpy(message->bytes + prefix, bytes, len);
	STAILQ_INSERT_TAIL(&call->out, message, entry);
	call->queued += message->len;
	call->c->server->waiting += message->len;
	call->is_dirty = true;
	return 0;
}

static void answer_status(struct server_call *call, const struct server_answer *answer, bool is_head)
{
	const nghttp2_data_provider provider = { .read_callback = read_out };
	char status[12], length[24], date[32];
	nghttp2_nv nv[HEADERS_MAX];
	bool has_body = !is_head && answer->len;
	size_t count = 0;

	snprintf(status, sizeof(status), "%d", answer->status);
	snprintf(length, sizeof(length), "%zu", answer->len);
	request_date(date);
	nv[count++] = header(":status", status);
	nv[count++] = header("date", date);
	nv[count++] = header("content-type", answer->type ? answer->type : "text/plain; charset=utf-8");
	nv[count++] = header("content-length", length);
	nv[count++] = header("cache-control", "no-store");
	nv[count++] = header("x-content-type-options", "nosniff");
	nv[count++] = header("content-security-policy", ANSWER_POLICY);
	if (answer->location)
		nv[count++] = header("location", answer->location);
	if (answer->status == 405)
		nv[count++] = header("allow", "GET, HEAD");
	call->is_begun = true;
	call->is_ended = true;
	call->status = -1;
	call->ended_ns = loop_now(call->c->server->loop);
	if (has_body && queue(call, answer->body, answer->len, false))
		has_body = false;
	if (nghttp2_submit_response(call->c->h2->session, call->id, nv, count, has_body ? &provider : NULL))
		call_reset(call, NGHTTP2_INTERNAL_ERROR);
	connection_want_turn(call->c);
}

const struct endpoint *server_call_remote(const struct server_call *call)
{
	return &call->remote;
}

size_t server_call_waiting(const struct server_call *call)
{
	if (call->is_over)
		return 0;
	return call->queued + (call->is_dirty ? call->c->out.waiting + call->c->sealed_len : 0);
}

int server_call_begin(struct server_call *call, const char *const names[], const char *const values[],
	size_t count)
{
	const nghttp2_data_provider provider = { .read_callback = read_out };
	nghttp2_nv nv[HEADERS_MAX];
	size_t used = 0;

	if (call->is_over || call->is_ended)
		return -EPIPE;
	if (call->is_begun || count > HEADERS_MAX - 3)
		return -EINVAL;
	nv[used++] = header(":status", "200");
	nv[used++] = header("content-type", "application/grpc");
	nv[used++] = header("grpc-accept-encoding", "identity");
	for (size_t i = 0; i < count; i++)
		nv[used++] = header(names[i], values[i]);
	if (nghttp2_submit_response(call->c->h2->session, call->id, nv, used, &provider))
		return -ENOMEM;
	call->is_begun = true;
	connection_want_turn(call->c);
	return 0;
}

/* Whoever sends to very many in one turn does not need memory for all of it. */
static void write_now(struct connection *c)
{
	int ret;

	if (c->h2->is_busy || c->is_stalled || c->server->waiting < PLENTY)
		return;
	h2_pump(c);
	ret = connection_flush(c);
	if (ret)
		connection_fail(c, strerror(-ret));
}

int server_call_send(struct server_call *call, const void *bytes, size_t len)
{
	int ret;

	if (call->is_over || call->is_ended)
		return -EPIPE;
	ret = call->is_begun ? 0 : server_call_begin(call, NULL, NULL, 0);
	if (ret)
		return ret;
	if (call->queued && call->queued + len > SERVER_CALL_QUEUE) {
		server_note(call->c->server, SERVER_SLOW, &call->remote,
			"it reads too little of its messages");
		call_reset(call, NGHTTP2_ENHANCE_YOUR_CALM);	/* which is RESOURCE_EXHAUSTED to gRPC */
		return -EPIPE;
	}
	ret = queue(call, bytes, len, true);
	if (ret)
		return ret;
	resume(call);
	write_now(call->c);
	return 0;
}

/* An answer that is only an end has all of it in its first headers. */
static void end_at_once(struct server_call *call)
{
	nghttp2_nv nv[4];
	char status[12];
	size_t count = 0;

	snprintf(status, sizeof(status), "%d", call->status);
	nv[count++] = header(":status", "200");
	nv[count++] = header("content-type", "application/grpc");
	nv[count++] = header("grpc-status", status);
	if (call->status_text)
		nv[count++] = header("grpc-message", call->status_text);
	call->is_begun = true;
	if (nghttp2_submit_response(call->c->h2->session, call->id, nv, count, NULL))
		call_reset(call, NGHTTP2_INTERNAL_ERROR);
	else
		connection_want_turn(call->c);
}

void server_call_end(struct server_call *call, int status, const char *text)
{
	char encoded[TEXT_MAX];

	if (call->is_over || call->is_ended)
		return;
	call->is_ended = true;
	call->status = status;
	call->ended_ns = loop_now(call->c->server->loop);
	look_by(call->c, call->ended_ns + ENDED_NS);
	if (text && *text) {
		grpc_encode_text(encoded, sizeof(encoded), text);
		call->status_text = strdup(encoded);
	}
	if (call->is_begun)
		resume(call);
	else
		end_at_once(call);
}
