// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A call: its request bytes, the answer as HTTP/2 brings it, and how it ends. Every end is told
// from the call's own timer, so that a callback may do anything to its call and its channel.
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grpc/grpc_internal.h"

/* ---- lifetime ---- */

static void free_metadata(struct grpc_call *call)
{
	for (size_t i = 0; i < call->metadata_count; i++) {
		free((void *)call->metadata[i].name);
		free((void *)call->metadata[i].value);
	}
	free(call->metadata);
}

static void release(void *object)
{
	struct grpc_call *call = object;

	free_metadata(call);
	free(call->path);
	free(call->out);
	free(call->header_text);
	grpc_assembler_done(&call->assembler);
	free(call);
}

void grpc_call_free(struct grpc_call *call)
{
	struct grpc_channel *channel = call->channel;

	loop_timer_cancel(channel->loop, &call->timer);
	grpc_channel_detach(call);
	TAILQ_REMOVE(&channel->calls, call, entry);
	call->channel = NULL;
	loop_defer_free(channel->loop, &call->deferred, release, call);
}

/* After a callback: did it free the call? */
static bool is_freed(const struct grpc_call *call)
{
	return !call->channel;
}

void grpc_call_end(struct grpc_call *call, int status, bool from_server, const char *format, ...)
{
	va_list args;

	if (call->is_ending)
		return;
	call->is_ending = true;
	call->end.status = status;
	call->end.from_server = from_server;
	va_start(args, format);
	vsnprintf(call->end.text, sizeof(call->end.text), format, args);
	va_end(args);
	if (status && !*call->end.text)
		snprintf(call->end.text, sizeof(call->end.text), "%s", grpc_status_name(status));
	grpc_channel_detach(call);
	loop_timer_after(call->channel->loop, &call->timer, 0);
}

void grpc_call_begin_limit(struct grpc_call *call)
{
	if (call->is_ending)
		return;
	call->deadline_ns = call->timeout_ns ? loop_now(call->channel->loop) + call->timeout_ns : LOOP_NEVER;
	loop_timer_set(call->channel->loop, &call->timer, call->deadline_ns);
}

static void tell_end(struct grpc_call *call)
{
	struct grpc_channel *channel = call->channel;

	TAILQ_REMOVE(&channel->calls, call, entry);
	call->channel = NULL;
	/* Before the callback, which may free the channel. */
	loop_defer_free(channel->loop, &call->deferred, release, call);
	call->events.done(call->ctx, &call->end);
}

static void timed(void *ctx)
{
	struct grpc_call *call = ctx;

	if (call->is_ending)
		tell_end(call);
	else
		grpc_call_end(call, GRPC_DEADLINE_EXCEEDED, false, "%s: no answer from %s within %.3g s",
			call->path, call->channel->authority, call->timeout_ns / 1e9);
}

void grpc_call_retry(struct grpc_call *call)
{
	int ret;

	call->may_retry = false;
	call->was_not_sent = false;
	call->is_answered = false;
	call->out_sent = 0;
	grpc_channel_detach(call);
	ret = grpc_channel_attach(call->channel, call);
	if (ret)
		grpc_call_end(call, GRPC_UNAVAILABLE, false, "%s: %s", call->channel->authority,
			strerror(-ret));
}

/* ---- the request ---- */

static int append_message(struct grpc_call *call, const void *bytes, size_t len)
{
	uint8_t *larger;

	if (len > GRPC_MESSAGE_MAX || call->out_len > 2 * GRPC_MESSAGE_MAX)
		return -EMSGSIZE;
	if (!call->may_retry && call->out_sent == call->out_len)
		call->out_sent = call->out_len = 0;
	larger = realloc(call->out, call->out_len + GRPC_PREFIX_LEN + len);
	if (!larger)
		return -ENOMEM;
	call->out = larger;
	grpc_put_prefix(larger + call->out_len, len);
	if (len)
		memcpy(larger + call->out_len + GRPC_PREFIX_LEN, bytes, len);
	call->out_len += GRPC_PREFIX_LEN + len;
	return 0;
}

/* The request is on its way for good: what was sent of it need not be kept. */
static void commit(struct grpc_call *call)
{
	call->may_retry = false;
	if (call->out_sent < call->out_len)
		return;
	free(call->out);
	call->out = NULL;
	call->out_sent = call->out_len = 0;
}

ssize_t grpc_call_read_out(struct grpc_call *call, uint8_t *buf, size_t len, uint32_t *flags)
{
	size_t left = call->out_len - call->out_sent, part = left < len ? left : len;

	if (part)
		memcpy(buf, call->out + call->out_sent, part);
	call->out_sent += part;
	if (call->out_sent == call->out_len && call->is_half_closed)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	else if (!part)
		return NGHTTP2_ERR_DEFERRED;
	return part;
}

static int copy_metadata(struct grpc_call *call, const struct grpc_call_options *options)
{
	call->metadata = calloc(options->metadata_count + 1, sizeof(*call->metadata));
	if (!call->metadata)
		return -ENOMEM;
	for (size_t i = 0; i < options->metadata_count; i++) {
		call->metadata[i].name = strdup(options->metadata[i].name);
		call->metadata[i].value = strdup(options->metadata[i].value);
		call->metadata_count++;
		if (!call->metadata[i].name || !call->metadata[i].value)
			return -ENOMEM;
	}
	return 0;
}

static int fill(struct grpc_call *call, const struct grpc_call_options *options, const void *bytes,
	size_t len)
{
	int ret = copy_metadata(call, options);

	call->path = strdup(options->path);
	if (ret || !call->path)
		return -ENOMEM;
	call->is_unary = options->is_unary;
	call->is_half_closed = !options->keep_open;
	call->may_retry = true;
	call->grpc_status = -1;
	call->timeout_ns = options->timeout_ns;
	return bytes || !options->keep_open ? append_message(call, bytes, len) : 0;
}

int grpc_call_start(struct grpc_channel *channel, const struct grpc_call_options *options, const void *bytes,
	size_t len, const struct grpc_call_events *events, void *ctx, struct grpc_call **ret_call)
{
	struct grpc_call *call = calloc(1, sizeof(*call));
	int ret;

	if (!call)
		return -ENOMEM;
	ret = fill(call, options, bytes, len);
	if (ret) {
		release(call);
		return ret;
	}
	call->channel = channel;
	call->events = *events;
	call->ctx = ctx;
	loop_timer_init(&call->timer, timed, call);
	call->deadline_ns = call->timeout_ns ? loop_now(channel->loop) + call->timeout_ns : LOOP_NEVER;
	TAILQ_INSERT_TAIL(&channel->calls, call, entry);
	ret = grpc_channel_attach(channel, call);
	if (ret) {
		grpc_call_free(call);
		return ret;
	}
	if (call->connection->is_looked_up)
		grpc_call_begin_limit(call);
	if (ret_call)
		*ret_call = call;
	return 0;
}

static void resume(struct grpc_call *call)
{
	nghttp2_session_resume_data(call->connection->session, call->stream_id);
	grpc_connection_kick(call->connection);
}

int grpc_call_send(struct grpc_call *call, const void *bytes, size_t len)
{
	int ret;

	if (!call->channel || call->is_half_closed || call->is_ending || !call->connection)
		return -EPIPE;
	ret = append_message(call, bytes, len);
	if (!ret)
		resume(call);
	return ret;
}

void grpc_call_half_close(struct grpc_call *call)
{
	if (!call->channel || call->is_half_closed || call->is_ending || !call->connection)
		return;
	call->is_half_closed = true;
	resume(call);
}

void grpc_call_cancel(struct grpc_call *call)
{
	if (call && call->channel)
		grpc_call_free(call);
}

/* ---- the answer ---- */

void grpc_call_begin_headers(struct grpc_call *call)
{
	call->header_len = 0;
	call->header_count = 0;
	if (!call->has_answer) {
		call->end.http_status = 0;
		call->is_grpc = false;
		*call->content_type = 0;
	}
}

static void keep_header(struct grpc_call *call, const char *name, size_t name_len, const char *value,
	size_t len)
{
	size_t more = name_len + len + 2;
	char *larger;

	if (!call->events.headers || call->has_answer || call->header_count == GRPC_HEADERS_MAX ||
		call->header_len + more > GRPC_HEADER_BYTES_MAX)
		return;
	larger = realloc(call->header_text, call->header_len + more);
	if (!larger)
		return;
	call->header_text = larger;
	larger += call->header_len;
	memcpy(larger, name, name_len);
	larger[name_len] = 0;
	memcpy(larger + name_len + 1, value, len);
	larger[name_len + 1 + len] = 0;
	call->header_len += more;
	call->header_count++;
}

static bool is_name(const char *name, size_t len, const char *want)
{
	return len == strlen(want) && !memcmp(name, want, len);
}

void grpc_call_take_header(struct grpc_call *call, const char *name, size_t name_len, const char *value,
	size_t len)
{
	if (name_len && *name == ':') {
		if (is_name(name, name_len, ":status") && !call->has_answer)
			call->end.http_status = grpc_parse_status(value, len);
		return;
	}
	if (is_name(name, name_len, "grpc-status")) {
		call->grpc_status = grpc_parse_status(value, len);
		if (call->grpc_status < 0)
			call->grpc_status = GRPC_UNKNOWN;
	} else if (is_name(name, name_len, "grpc-message")) {
		grpc_decode_text(call->end.text, sizeof(call->end.text), value, len);
	} else if (is_name(name, name_len, "content-type") && !call->has_answer) {
		call->is_grpc = grpc_is_content_type(value, len);
		grpc_decode_text(call->content_type, sizeof(call->content_type), value, len);
	}
	keep_header(call, name, name_len, value, len);
}

static void end_by_http(struct grpc_call *call)
{
	int http = call->end.http_status;

	if (http == 200 && !call->is_grpc)
		grpc_call_end(call, GRPC_UNKNOWN, false, "%s: the answer to %s is not gRPC but %s",
			call->channel->authority, call->path, *call->content_type ? call->content_type
			: "without a content type");
	else
		grpc_call_end(call, grpc_status_of_http(http), false,
			"%s: HTTP status %d instead of a gRPC answer to %s (from a proxy in between?)",
			call->channel->authority, http, call->path);
}

static void end_without_status(struct grpc_call *call)
{
	if (call->end.http_status != 200)
		end_by_http(call);
	else
		grpc_call_end(call, GRPC_INTERNAL, false, "%s: the answer to %s ended without a status",
			call->channel->authority, call->path);
}

static void end_by_trailers(struct grpc_call *call)
{
	char text[GRPC_TEXT_LEN];

	snprintf(text, sizeof(text), "%s", call->end.text);
	if (call->grpc_status < 0)
		end_without_status(call);
	else if (call->grpc_status)
		grpc_call_end(call, call->grpc_status, true, "%s", text);
	else if (!grpc_assembler_is_between(&call->assembler))
		grpc_call_end(call, GRPC_INTERNAL, false, "%s: the answer to %s ended within a message",
			call->channel->authority, call->path);
	else if (call->is_unary && call->messages != 1)
		grpc_call_end(call, GRPC_INTERNAL, false, "%s: an answer without message to %s",
			call->channel->authority, call->path);
	else
		grpc_call_end(call, GRPC_OK, true, "%s", "");
}

static void tell_headers(struct grpc_call *call)
{
	struct grpc_header headers[GRPC_HEADERS_MAX];
	const char *at = call->header_text;

	for (size_t i = 0; i < call->header_count; i++) {
		headers[i].name = at;
		headers[i].value = at + strlen(at) + 1;
		at = headers[i].value + strlen(headers[i].value) + 1;
	}
	call->events.headers(call->ctx, headers, call->header_count);
	if (is_freed(call))
		return;
	free(call->header_text);
	call->header_text = NULL;
}

void grpc_call_end_headers(struct grpc_call *call, bool is_last)
{
	bool is_first = !call->has_answer;

	if (is_first && call->end.http_status / 100 == 1)
		return;
	commit(call);
	call->has_answer = true;
	if (is_first && !call->is_grpc)
		end_by_http(call);
	else if (is_last)
		end_by_trailers(call);
	else if (is_first && call->end.http_status != 200)
		end_by_http(call);
	else if (is_first && call->events.headers)
		tell_headers(call);
}

/* False: the call is over, or gone. */
static bool take_message(struct grpc_call *call)
{
	if (call->is_unary && call->messages) {
		grpc_call_end(call, GRPC_INTERNAL, false, "%s: more than one message in answer to %s",
			call->channel->authority, call->path);
		return false;
	}
	call->messages++;
	call->events.message(call->ctx, call->assembler.bytes ? call->assembler.bytes : (const uint8_t *)"",
		call->assembler.want);
	if (is_freed(call))
		return false;
	grpc_assembler_next(&call->assembler);
	return !call->is_ending;
}

static void refuse_message(struct grpc_call *call, int error)
{
	const char *server = call->channel->authority;

	if (error == -EMSGSIZE)
		grpc_call_end(call, GRPC_RESOURCE_EXHAUSTED, false,
			"%s: a message of %zu bytes in answer to %s, the limit is %u", server,
			call->assembler.want, call->path, GRPC_MESSAGE_MAX);
	else if (error == -ENOTSUP)
		grpc_call_end(call, GRPC_UNIMPLEMENTED, false,
			"%s: a compressed message, which was not asked for, in answer to %s", server,
			call->path);
	else if (error == -ENOMEM)
		grpc_call_end(call, GRPC_RESOURCE_EXHAUSTED, false, "no memory for a message of %zu bytes",
			call->assembler.want);
	else
		grpc_call_end(call, GRPC_INTERNAL, false, "%s: the answer to %s is not made of gRPC messages",
			server, call->path);
}

void grpc_call_take_data(struct grpc_call *call, const uint8_t *bytes, size_t len)
{
	size_t used;
	int ret;

	while (len) {
		ret = grpc_assembler_feed(&call->assembler, bytes, len, &used);
		if (ret < 0) {
			refuse_message(call, ret);
			return;
		}
		if (ret && !take_message(call))
			return;
		bytes += used;
		len -= used;
	}
}

void grpc_call_end_data(struct grpc_call *call)
{
	end_by_trailers(call);
}

void grpc_call_closed(struct grpc_call *call, uint32_t error_code, const char *why)
{
	const char *server = call->channel->authority;

	call->end.was_reset = error_code != NGHTTP2_NO_ERROR;
	if ((error_code == NGHTTP2_REFUSED_STREAM || call->was_not_sent) && call->may_retry)
		grpc_call_retry(call);
	else if (error_code == NGHTTP2_NO_ERROR)
		end_without_status(call);
	else if (*why)
		grpc_call_end(call, grpc_status_of_reset(error_code), false, "%s: %s was reset: %s", server,
			call->path, why);
	else
		grpc_call_end(call, grpc_status_of_reset(error_code), false, "%s: %s was reset (%s)", server,
			call->path, nghttp2_http2_strerror(error_code));
}
