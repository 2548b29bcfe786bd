// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A gRPC channel: one connection for new calls, older ones that a GOAWAY is draining, nghttp2 between streams
// of bytes and calls.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grpc/grpc_internal.h"
#include "stream/stream.h"

#define CONNECT_TIMEOUT_NS	(30 * LOOP_SECOND)
#define PING_AFTER_NS		(30 * LOOP_SECOND)
#define PING_AFTER_MIN_NS	(15 * LOOP_SECOND)	/* servers end connections that ping more often */
/* what gRPC's servers ask for at most, unless told otherwise */
#define PING_AFTER_MAX_NS	(300 * LOOP_SECOND)
#define PING_TIMEOUT_NS		(10 * LOOP_SECOND)
#define WINDOW			(8 << 20)
#define HEADER_LIST_MAX		65536
#define READ_LEN		16384
#define WRITE_LEN		16384			/* frames that are gathered for one write */
#define HEADERS_OWN		8			/* of a request, beside its metadata */

static void connection_lost(struct grpc_connection *c, const char *why);

static struct grpc_call *call_of(nghttp2_session *session, int32_t stream_id)
{
	return stream_id > 0 ? nghttp2_session_get_stream_user_data(session, stream_id) : NULL;
}

/* ---- liveness ---- */

static void watch_liveness(struct grpc_connection *c)
{
	struct grpc_channel *channel = c->channel;
	uint64_t quiet_since = c->heard_ns > c->pinged_ns ? c->heard_ns : c->pinged_ns;

	if (!c->is_up || !c->calls)
		loop_timer_cancel(channel->loop, &c->liveness);
	else if (c->awaits_pong)
		loop_timer_set(channel->loop, &c->liveness, c->pinged_ns + channel->ping_timeout_ns);
	else
		loop_timer_set(channel->loop, &c->liveness, quiet_since + channel->ping_after_ns);
}

static void ping(struct grpc_connection *c)
{
	nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL);
	c->pinged_ns = loop_now(c->channel->loop);
	c->awaits_pong = true;
	grpc_connection_kick(c);
}

static void check_liveness(void *ctx)
{
	struct grpc_connection *c = ctx;
	uint64_t now = loop_now(c->channel->loop);
	char why[GRPC_TEXT_LEN];

	if (c->awaits_pong && now >= c->pinged_ns + c->channel->ping_timeout_ns) {
		snprintf(why, sizeof(why), "%.100s does not answer: no PING came back within %.3g s",
			c->channel->authority, c->channel->ping_timeout_ns / 1e9);
		connection_lost(c, why);
		return;
	}
	if (!c->awaits_pong && now >= c->heard_ns + c->channel->ping_after_ns)
		ping(c);
	watch_liveness(c);
}

void grpc_call_nudge(struct grpc_call *call)
{
	struct grpc_connection *c = call->connection;

	if (!c || !c->is_up || c->awaits_pong)
		return;
	ping(c);
	watch_liveness(c);
}

/* Anything that comes proves the connection. */
static void heard(struct grpc_connection *c)
{
	c->heard_ns = loop_now(c->channel->loop);
	c->awaits_pong = false;
	watch_liveness(c);
}

/* ---- the end of a connection ---- */

static void free_connection(struct grpc_connection *c)
{
	nghttp2_session_del(c->session);
	free(c->out);
	free(c);
}

/* Its calls have left already. */
static void close_connection(struct grpc_connection *c)
{
	struct grpc_channel *channel = c->channel;

	if (channel->current == c)
		channel->current = NULL;
	LIST_REMOVE(c, entry);
	loop_timer_cancel(channel->loop, &c->pump);
	loop_timer_cancel(channel->loop, &c->liveness);
	stream_free(c->stream);
	c->stream = NULL;
	c->channel = NULL;
	if (!c->is_busy)
		free_connection(c);
}

static void connection_lost(struct grpc_connection *c, const char *why)
{
	struct grpc_channel *channel = c->channel;
	struct grpc_call *call;

	TAILQ_FOREACH(call, &channel->calls, entry) {
		if (call->connection == c)
			grpc_call_end(call, GRPC_UNAVAILABLE, false, "%s", why);
	}
	close_connection(c);
}

/* The server takes no more calls on it, or we do not want to give it any. */
static void drain(struct grpc_connection *c)
{
	c->is_draining = true;
	if (c->channel->current == c)
		c->channel->current = NULL;
}

/* ---- bytes out ---- */

void grpc_connection_kick(struct grpc_connection *c)
{
	if (!loop_timer_is_set(&c->pump))
		loop_timer_after(c->channel->loop, &c->pump, 0);
}

static int gather(struct grpc_connection *c)
{
	const uint8_t *frame;
	uint8_t *larger;
	ssize_t len;

	while (c->out_len < WRITE_LEN) {
		len = nghttp2_session_mem_send(c->session, &frame);
		if (len <= 0)
			return len;
		larger = realloc(c->out, c->out_len + len);
		if (!larger)
			return NGHTTP2_ERR_NOMEM;
		memcpy(larger + c->out_len, frame, len);
		c->out = larger;
		c->out_len += len;
	}
	return 0;
}

/* True when everything is with the stream. */
static bool flush(struct grpc_connection *c)
{
	ssize_t put = stream_write(c->stream, c->out, c->out_len);

	if (put < 0)
		return false;
	c->out_len -= put;
	if (c->out_len) {
		memmove(c->out, c->out + put, c->out_len);
		return false;
	}
	free(c->out);
	c->out = NULL;
	return true;
}

static void lost_by_protocol(struct grpc_connection *c, int error)
{
	char why[GRPC_TEXT_LEN];

	snprintf(why, sizeof(why), "%.100s: HTTP/2: %s", c->channel->authority, *c->error ? c->error : error
		? nghttp2_strerror(error) : "the connection ended");
	connection_lost(c, why);
}

/* Closes what has nothing left to do. */
static void settle(struct grpc_connection *c)
{
	if (!nghttp2_session_want_read(c->session) && !nghttp2_session_want_write(c->session) && !c->out_len)
		lost_by_protocol(c, 0);
	else if (c->is_draining && !c->calls && !nghttp2_session_want_write(c->session) && !c->out_len)
		close_connection(c);
}

static void pump(void *ctx)
{
	struct grpc_connection *c = ctx;
	int ret;

	if (!c->is_up || c->is_busy)
		return;
	do {
		c->is_busy = true;
		ret = gather(c);
		c->is_busy = false;
		if (ret) {
			lost_by_protocol(c, ret);
			return;
		}
	} while (c->out_len && flush(c));
	settle(c);
}

/* ---- bytes in ---- */

static bool is_http1(struct grpc_connection *c, const uint8_t *bytes, size_t len)
{
	bool is_first = !c->has_read;
	char why[GRPC_TEXT_LEN];

	c->has_read = true;
	if (!is_first || len < 5 || memcmp(bytes, "HTTP/", 5))
		return false;
	snprintf(why, sizeof(why), "%.100s answers in HTTP/1, HTTP/2 is needed, also of a proxy in front",
		c->channel->authority);
	connection_lost(c, why);
	return true;
}

/* False: the connection is no more. */
static bool take_bytes(struct grpc_connection *c, const uint8_t *bytes, size_t len)
{
	ssize_t ret;

	if (is_http1(c, bytes, len))
		return false;
	heard(c);
	c->is_busy = true;
	ret = nghttp2_session_mem_recv(c->session, bytes, len);
	c->is_busy = false;
	if (!c->channel) {
		free_connection(c);
		return false;
	}
	if (ret < 0)
		lost_by_protocol(c, ret);
	return ret >= 0;
}

static void readable(void *ctx)
{
	struct grpc_connection *c = ctx;
	uint8_t buf[READ_LEN];
	ssize_t got;

	while ((got = stream_read(c->stream, buf, sizeof(buf))) > 0) {
		if (!take_bytes(c, buf, got))
			return;
	}
	pump(c);
}

static void connected(void *ctx)
{
	struct grpc_connection *c = ctx;

	c->is_up = true;
	heard(c);
	pump(c);
}

static void closed(void *ctx, int error, const char *why)
{
	connection_lost(ctx, why);
}

/*
 * ---- nghttp2's callbacks. After each that may have called an owner back, the connection may be closed:
 * nghttp2 is told to stop. ----
 */

static int go_on(const struct grpc_connection *c)
{
	return c->channel ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	struct grpc_call *call = call_of(session, frame->hd.stream_id);

	if (call)
		grpc_call_begin_headers(call);
	return 0;
}

static int take_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_len, const uint8_t *value, size_t len, uint8_t flags, void *ctx)
{
	struct grpc_call *call = call_of(session, frame->hd.stream_id);

	if (call)
		grpc_call_take_header(call, (const char *)name, name_len, (const char *)value, len);
	return 0;
}

static int take_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *bytes,
	size_t len, void *ctx)
{
	struct grpc_call *call = call_of(session, stream_id);

	if (call)
		grpc_call_take_data(call, bytes, len);
	return go_on(ctx);
}

/*
 * Up to a limit: a dead connection has to be found out some day. An owner who wants fewer still
 * has asked for it.
 */
static void ping_less(struct grpc_channel *channel)
{
	if (channel->ping_after_ns < PING_AFTER_MAX_NS / 2)
		channel->ping_after_ns *= 2;
	else if (channel->ping_after_ns < PING_AFTER_MAX_NS)
		channel->ping_after_ns = PING_AFTER_MAX_NS;
}

/* "too_many_pings" is a server's way to ask for fewer; the next connection obeys. */
static void take_goaway(struct grpc_connection *c, const nghttp2_goaway *goaway)
{
	static const char calm[] = "too_many_pings";

	if (goaway->error_code == NGHTTP2_ENHANCE_YOUR_CALM && goaway->opaque_data_len == sizeof(calm) - 1 &&
		!memcmp(goaway->opaque_data, calm, sizeof(calm) - 1))
		ping_less(c->channel);
	drain(c);
}

static int take_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	struct grpc_call *call = call_of(session, frame->hd.stream_id);
	struct grpc_connection *c = ctx;
	bool is_last = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

	if (call && is_last)
		call->is_answered = true;
	switch (frame->hd.type) {
	case NGHTTP2_SETTINGS:
		c->is_ready = true;
		break;
	case NGHTTP2_GOAWAY:
		take_goaway(c, &frame->goaway);
		break;
	case NGHTTP2_HEADERS:
		if (call)
			grpc_call_end_headers(call, is_last);
		break;
	case NGHTTP2_DATA:
		if (call && is_last)
			grpc_call_end_data(call);
		break;
	}
	return go_on(c);
}

static int not_sent(nghttp2_session *session, const nghttp2_frame *frame, int error, void *ctx)
{
	struct grpc_call *call = frame->hd.type == NGHTTP2_HEADERS ? call_of(session,
		frame->hd.stream_id) : NULL;

	if (call)
		call->was_not_sent = true;
	return 0;
}

static int stream_closed(nghttp2_session *session, int32_t stream_id, uint32_t error_code, void *ctx)
{
	struct grpc_call *call = call_of(session, stream_id);
	struct grpc_connection *c = ctx;

	if (!call)
		return 0;
	/* The stream's data goes away with it: nothing is to be reset any more. */
	call->stream_id = 0;
	if (error_code == NGHTTP2_REFUSED_STREAM || call->was_not_sent)
		drain(c);
	grpc_call_closed(call, error_code, c->error);
	*c->error = 0;
	return go_on(c);
}

static int keep_error(nghttp2_session *session, int error, const char *text, size_t len, void *ctx)
{
	struct grpc_connection *c = ctx;

	snprintf(c->error, sizeof(c->error), "%.*s", (int)len, text);
	return 0;
}

static ssize_t read_out(nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t len,
	uint32_t *flags, nghttp2_data_source *source, void *ctx)
{
	struct grpc_call *call = call_of(session, stream_id);

	return call ? grpc_call_read_out(call, buf, len, flags) : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* ---- a new connection ---- */

static int new_session(struct grpc_connection *c)
{
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADER_LIST_MAX },
	};
	nghttp2_session_callbacks *callbacks;
	int ret;

	if (nghttp2_session_callbacks_new(&callbacks))
		return -ENOMEM;
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, take_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, take_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, take_frame);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, not_sent);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, stream_closed);
	nghttp2_session_callbacks_set_error_callback2(callbacks, keep_error);
	ret = nghttp2_session_client_new(&c->session, callbacks, c);
	nghttp2_session_callbacks_del(callbacks);
	if (ret || nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings,
		sizeof(settings) / sizeof(*settings)) || nghttp2_session_set_local_window_size(c->session,
		NGHTTP2_FLAG_NONE, 0, WINDOW))
		return -ENOMEM;
	return 0;
}

/*
 * What waited for a name server has all its time for the server itself. Requests that wait are written when
 * the stream is connected.
 */
static void looked_up(void *ctx)
{
	struct grpc_connection *c = ctx;
	struct grpc_call *call;

	c->is_looked_up = true;
	TAILQ_FOREACH(call, &c->channel->calls, entry) {
		if (call->connection == c)
			grpc_call_begin_limit(call);
	}
}

static int open_stream(struct grpc_connection *c)
{
	static const struct stream_events events = {
		.looked_up = looked_up, .connected = connected, .readable = readable, .writable = pump,
		.closed = closed,
	};
	const struct grpc_channel *channel = c->channel;
	const struct stream_options options = {
		.host = channel->host, .port = channel->port, .tls = channel->tls,
		.alpn = channel->tls ? "h2" : NULL,
		.timeout_ns = channel->connect_timeout_ns,
	};

	return stream_open(channel->loop, &options, &events, c, &c->stream);
}

static int connect_channel(struct grpc_channel *channel)
{
	struct grpc_connection *c;
	int ret;

	if (channel->current)
		return 0;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->channel = channel;
	loop_timer_init(&c->pump, pump, c);
	loop_timer_init(&c->liveness, check_liveness, c);
	ret = new_session(c);
	if (!ret)
		ret = open_stream(c);
	if (ret) {
		free_connection(c);
		return ret;
	}
	LIST_INSERT_HEAD(&channel->connections, c, entry);
	channel->current = c;
	return 0;
}

/* ---- calls on connections ---- */

static nghttp2_nv header(const char *name, const char *value)
{
	return (nghttp2_nv){ (uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value),
		NGHTTP2_NV_FLAG_NONE };
}

/* The order is that of the stock client, though none is prescribed but for pseudo headers to be first. */
static int32_t submit(struct grpc_connection *c, struct grpc_call *call)
{
	const nghttp2_data_provider provider = { .read_callback = read_out };
	nghttp2_nv nv[HEADERS_OWN + call->metadata_count];
	uint64_t now = loop_now(c->channel->loop);
	char timeout[GRPC_TIMEOUT_LEN];
	size_t count = 0;

	nv[count++] = header(":method", "POST");
	nv[count++] = header(":scheme", c->channel->tls ? "https" : "http");
	nv[count++] = header(":path", call->path);
	nv[count++] = header(":authority", c->channel->authority);
	nv[count++] = header("content-type", "application/grpc");
	nv[count++] = header("user-agent", c->channel->user_agent);
	nv[count++] = header("te", "trailers");
	if (call->deadline_ns != LOOP_NEVER) {
		grpc_put_timeout(timeout, call->deadline_ns > now ? call->deadline_ns - now : 0);
		nv[count++] = header("grpc-timeout", timeout);
	}
	for (size_t i = 0; i < call->metadata_count; i++)
		nv[count++] = header(call->metadata[i].name, call->metadata[i].value);
	return nghttp2_submit_request(c->session, NULL, nv, count, &provider, call);
}

static void add_call(struct grpc_connection *c, struct grpc_call *call, int32_t stream_id)
{
	call->connection = c;
	call->stream_id = stream_id;
	if (!c->calls++)
		c->heard_ns = loop_now(c->channel->loop);
	watch_liveness(c);
	grpc_connection_kick(c);
}

int grpc_channel_attach(struct grpc_channel *channel, struct grpc_call *call)
{
	/* Twice, because the first connection may have used up its stream numbers. */
	for (int i = 0; i < 2; i++) {
		int32_t stream_id;
		int ret = connect_channel(channel);

		if (ret)
			return ret;
		stream_id = submit(channel->current, call);
		if (stream_id > 0) {
			add_call(channel->current, call, stream_id);
			return 0;
		}
		if (stream_id == NGHTTP2_ERR_NOMEM)
			return -ENOMEM;
		drain(channel->current);
	}
	return -ECONNREFUSED;
}

void grpc_channel_detach(struct grpc_call *call)
{
	struct grpc_connection *c = call->connection;

	if (!c)
		return;
	call->connection = NULL;
	c->calls--;
	if (call->stream_id) {
		nghttp2_session_set_stream_user_data(c->session, call->stream_id, NULL);
		if (!call->is_answered || nghttp2_session_get_stream_local_close(c->session,
			call->stream_id) != 1)
			nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, call->stream_id,
			NGHTTP2_CANCEL);
		call->stream_id = 0;
	}
	watch_liveness(c);
	grpc_connection_kick(c);
}

/* ---- the channel ---- */

int grpc_channel_new(struct loop *loop, const struct grpc_channel_options *options,
	struct grpc_channel **ret_channel)
{
	struct grpc_channel *channel;

	if (!options->host || !*options->host || strlen(options->host) >= GRPC_HOST_LEN || !options->port)
		return -EINVAL;
	channel = calloc(1, sizeof(*channel));
	if (!channel)
		return -ENOMEM;
	channel->user_agent = strdup(options->user_agent ? options->user_agent : "talon/" TALON_VERSION);
	if (!channel->user_agent) {
		free(channel);
		return -ENOMEM;
	}
	channel->loop = loop;
	channel->port = options->port;
	channel->tls = options->tls;
	channel->connect_timeout_ns = options->connect_timeout_ns ? options->connect_timeout_ns
		: CONNECT_TIMEOUT_NS;
	channel->ping_after_ns = options->ping_after_ns ? options->ping_after_ns : PING_AFTER_NS;
	if (channel->ping_after_ns < PING_AFTER_MIN_NS)
		channel->ping_after_ns = PING_AFTER_MIN_NS;
	channel->ping_timeout_ns = options->ping_timeout_ns ? options->ping_timeout_ns : PING_TIMEOUT_NS;
	snprintf(channel->host, sizeof(channel->host), "%s", options->host);
	snprintf(channel->authority, sizeof(channel->authority), strchr(options->host, ':') ? "[%s]:%u"
		: "%s:%u", options->host, options->port);
	TAILQ_INIT(&channel->calls);
	LIST_INIT(&channel->connections);
	*ret_channel = channel;
	return 0;
}

/* A word to the server, if it can be said without waiting. */
static void say_goodbye(struct grpc_connection *c)
{
	if (!c->is_up || c->is_busy || c->out_len || nghttp2_session_terminate_session(c->session,
		NGHTTP2_NO_ERROR))
		return;
	c->is_busy = true;
	if (!gather(c) && c->out_len)
		flush(c);
	c->is_busy = false;
}

void grpc_channel_free(struct grpc_channel *channel)
{
	struct grpc_connection *c;
	struct grpc_call *call;

	if (!channel)
		return;
	while ((call = TAILQ_FIRST(&channel->calls)))
		grpc_call_free(call);
	while ((c = LIST_FIRST(&channel->connections))) {
		say_goodbye(c);
		close_connection(c);
	}
	free(channel->user_agent);
	free(channel);
}

void grpc_channel_reset(struct grpc_channel *channel, const char *why)
{
	struct grpc_connection *c;

	while ((c = LIST_FIRST(&channel->connections)))
		connection_lost(c, why);
}

void grpc_channel_prove_each(struct grpc_channel *channel, uint64_t ns)
{
	struct grpc_connection *c;

	if (channel->ping_after_ns <= ns)
		return;
	channel->ping_after_ns = ns;
	LIST_FOREACH(c, &channel->connections, entry)
		watch_liveness(c);
}

bool grpc_channel_is_connected(const struct grpc_channel *channel)
{
	return channel->current && channel->current->is_ready;
}

void grpc_channel_connect(struct grpc_channel *channel)
{
	(void)connect_channel(channel);
}
