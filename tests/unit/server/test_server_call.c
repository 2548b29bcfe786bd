// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// gRPC calls and HTTP/2: with our own client, and with bytes that no client sends.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <nghttp2/nghttp2.h>

#include "stream/stream.h"
#include "unit/server/world.h"

static struct raw raw;
static struct grpc_channel *channel;

/* ---- our own client ---- */

struct seen {
	size_t messages, done, total;
	char last[64], registered[8];
	struct grpc_end end;
};

static void on_headers(void *ctx, const struct grpc_header *headers, size_t count)
{
	struct seen *seen = ctx;

	for (size_t i = 0; i < count; i++) {
		if (!strcmp(headers[i].name, "x-wiretrustee-peer-registered"))
			snprintf(seen->registered, sizeof(seen->registered), "%s", headers[i].value);
	}
}

static void on_message(void *ctx, const uint8_t *bytes, size_t len)
{
	struct seen *seen = ctx;

	seen->messages++;
	seen->total += len;
	snprintf(seen->last, sizeof(seen->last), "%.*s", (int)(len < 60 ? len : 60), bytes);
}

static void on_done(void *ctx, const struct grpc_end *end)
{
	struct seen *seen = ctx;

	seen->done++;
	seen->end = *end;
}

static const struct grpc_call_events events = { .headers = on_headers, .message = on_message,
	.done = on_done };

static void connect_channel(void)
{
	const struct grpc_channel_options options = { .host = "127.0.0.1", .port = server_port(server) };

	assert_int_equal(grpc_channel_new(loop, &options, &channel), 0);
}

static void serve_calls(struct server_options options)
{
	serve(options);
	connect_channel();
}

static int teardown_channel(void **state)
{
	grpc_channel_free(channel);
	channel = NULL;
	stream_global_done();
	return teardown(state);
}

static struct grpc_call *start(const char *path, const void *bytes, size_t len, bool keep_open,
	struct seen *seen)
{
	const struct grpc_header meta = { "x-meta", "from the client" };
	const struct grpc_call_options options = { .path = path, .keep_open = keep_open, .metadata = &meta,
		.metadata_count = 1, .timeout_ns = PATIENCE_NS };
	struct grpc_call *call;

	memset(seen, 0, sizeof(*seen));
	assert_int_equal(grpc_call_start(channel, &options, bytes, len, &events, seen, &call), 0);
	return call;
}

static struct seen call(const char *path, const void *bytes, size_t len)
{
	static struct seen seen;

	start(path, bytes, len, false, &seen);
	WAIT_FOR(seen.done);
	return seen;
}

static void assert_end(const struct seen *seen, int status, const char *text)
{
	if (seen->end.status != status)
		fail_msg("%s: %s", grpc_status_name(seen->end.status), seen->end.text);
	assert_string_equal(seen->end.text, text);
	assert_true(seen->end.from_server);
}

static void a_message_comes_back(void **state)
{
	struct seen seen;

	serve_calls((struct server_options){});
	seen = call("/talon.Test/Echo", "hello", 5);
	assert_end(&seen, GRPC_OK, "");
	assert_int_equal(seen.messages, 1);
	assert_string_equal(seen.last, "hello");
	assert_string_equal(owner.meta, "from the client");
	assert_string_equal(owner.path, "/talon.Test/Echo");
	assert_false(owner.is_tls);
	seen = call("/talon.Test/Echo", "", 0);
	assert_end(&seen, GRPC_OK, "");
	assert_int_equal(seen.messages, 1);
	assert_int_equal(seen.total, 0);
	seen = call("/talon.Test/Meta", "x", 1);
	assert_string_equal(seen.registered, "1");
	WAIT_FOR(owner.call_ends == 3 && counts().calls == 0);
	assert_int_equal(owner.half_closed, 3);
	assert_int_equal(counts().connections, 1);
	assert_int_equal(counts().requests, 3);
}

static void errors_have_status_and_text(void **state)
{
	struct seen seen;

	serve_calls((struct server_options){});
	seen = call("/talon.Test/Fail", "x", 1);
	assert_end(&seen, GRPC_NOT_FOUND, "no such peer: \xe2\x82\xac 100 % second line");
	seen = call("/talon.Test/Nothing", "x", 1);
	assert_end(&seen, GRPC_UNIMPLEMENTED, "there is no such method");
	WAIT_FOR(counts().calls == 0);
	assert_int_equal(owner.call_ends, 1);
}

static void large_messages_pass_both_ways(void **state)
{
	static char large[3 << 20];
	struct seen seen;

	serve_calls((struct server_options){});
	memset(large, 'a', sizeof(large));
	seen = call("/talon.Test/Echo", large, sizeof(large));
	assert_end(&seen, GRPC_OK, "");
	assert_int_equal(seen.total, sizeof(large));
	seen = call("/talon.Test/Big", "16000000", 8);
	assert_end(&seen, GRPC_OK, "");
	assert_int_equal(seen.total, 16000000);
	seen = call("/talon.Test/Count", "5000", 4);
	assert_end(&seen, GRPC_OK, "");
	assert_int_equal(seen.messages, 5000);
	assert_string_equal(seen.last, "4999");
}

static void a_message_that_is_too_long_is_refused(void **state)
{
	static char large[70000];
	struct seen seen;

	serve_calls((struct server_options){ .call_message_max = 65536 });
	seen = call("/talon.Test/Echo", large, 65536);
	assert_end(&seen, GRPC_OK, "");
	seen = call("/talon.Test/Echo", large, 65537);
	assert_end(&seen, GRPC_RESOURCE_EXHAUSTED, "the message is too long");
	assert_int_equal(counts().oversized, 1);
	assert_int_equal(owner.messages, 1);
}

static void both_sides_may_go_on_sending(void **state)
{
	struct grpc_call *chat;
	struct seen seen;

	serve_calls((struct server_options){});
	chat = start("/talon.Test/Chat", "one", 3, true, &seen);
	WAIT_FOR(seen.messages == 1);
	grpc_call_send(chat, "two", 3);
	WAIT_FOR(seen.messages == 2);
	assert_string_equal(seen.last, "two");
	assert_int_equal(counts().calls, 1);
	owner.drained = 0;
	server_call_send(owner.call, "three", 5);
	assert_int_equal(server_call_waiting(owner.call), 10);
	WAIT_FOR(seen.messages == 3);
	assert_int_equal(owner.drained, 1);
	assert_int_equal(server_call_waiting(owner.call), 0);
	grpc_call_half_close(chat);
	WAIT_FOR(seen.done);
	assert_end(&seen, GRPC_OK, "");
	/* the client goes away in the middle */
	chat = start("/talon.Test/Chat", "one", 3, true, &seen);
	WAIT_FOR(seen.messages == 1);
	grpc_call_cancel(chat);
	WAIT_FOR(owner.call_ends == 2);
	/* the server ends while the client may still send */
	chat = start("/talon.Test/Chat", "one", 3, true, &seen);
	WAIT_FOR(seen.messages == 1);
	server_call_end(owner.call, GRPC_PERMISSION_DENIED, "removed");
	assert_int_equal(server_call_send(owner.call, "x", 1), -EPIPE);
	WAIT_FOR(seen.done && owner.call_ends == 3);
	assert_end(&seen, GRPC_PERMISSION_DENIED, "removed");
	/* the connection breaks */
	start("/talon.Test/Chat", "one", 3, true, &seen);
	WAIT_FOR(seen.messages == 1);
	grpc_channel_free(channel);
	channel = NULL;
	WAIT_FOR(owner.call_ends == 4 && counts().connections == 0);
}

static void many_calls_share_a_connection(void **state)
{
	static struct seen seen[100];

	serve_calls((struct server_options){});
	call("/talon.Test/Echo", "hello", 5);
	for (int i = 0; i < 100; i++)
		start("/talon.Test/Echo", "hello", 5, false, &seen[i]);
	for (int i = 0; i < 100; i++) {
		WAIT_FOR(seen[i].done);
		assert_int_equal(seen[i].end.status, GRPC_OK);
		assert_int_equal(seen[i].messages, 1);
	}
	assert_int_equal(owner.call_ends, 101);
	assert_int_equal(counts().accepted, 1);
	assert_int_equal(counts().flooded, 0);
}

static void a_server_that_ends_ends_its_calls(void **state)
{
	struct seen seen;

	serve_calls((struct server_options){});
	start("/talon.Test/Silent", "one", 3, true, &seen);
	WAIT_FOR(owner.messages == 1);
	server_drain(server);
	loop_turn(loop, LOOP_MS);
	assert_int_equal(owner.call_ends, 0);
	server_free(server);
	server = NULL;
	assert_int_equal(owner.call_ends, 1);
	WAIT_FOR(seen.done);
	assert_int_equal(seen.end.status, GRPC_UNAVAILABLE);
}

/* ---- bytes by hand ---- */

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

static void put_frame(uint8_t type, uint8_t flags, uint32_t id, const void *payload, size_t len)
{
	const uint8_t head[9] = { len >> 16, len >> 8, len, type, flags, id >> 24, id >> 16, id >> 8, id };

	raw_put(&raw, head, sizeof(head));
	raw_put(&raw, payload, len);
}

static void put_settings(const void *payload, size_t len)
{
	raw_open(&raw);
	raw_say(&raw, PREFACE);
	put_frame(NGHTTP2_SETTINGS, 0, 0, payload, len);
}

static size_t put_field(uint8_t *at, const char *name, const char *value)
{
	size_t name_len = strlen(name), len = strlen(value);

	at[0] = 0;
	at[1] = name_len;
	memcpy(at + 2, name, name_len);
	at[2 + name_len] = len;
	memcpy(at + 3 + name_len, value, len);
	return 3 + name_len + len;
}

static void put_request(uint32_t id, const char *method, const char *path, const char *type, bool is_last)
{
	uint8_t block[512];
	size_t len = put_field(block, ":method", method);

	len += put_field(block + len, ":scheme", "http");
	len += put_field(block + len, ":path", path);
	len += put_field(block + len, ":authority", "hub.test");
	if (type)
		len += put_field(block + len, "content-type", type);
	put_frame(NGHTTP2_HEADERS, is_last ? NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM :
		NGHTTP2_FLAG_END_HEADERS, id, block, len);
}

#define GRPC "application/grpc"

/* The frame at *@at of what came, or NULL; *@at goes on. */
static const uint8_t *next_frame(size_t *at)
{
	const uint8_t *frame = raw.in + *at;
	size_t len;

	if (raw.len < *at + 9)
		return NULL;
	len = frame[0] << 16 | frame[1] << 8 | frame[2];
	if (raw.len < *at + 9 + len)
		return NULL;
	*at += 9 + len;
	return frame;
}

/* The last frame of a type that came; NULL: none. */
static const uint8_t *came(uint8_t type)
{
	const uint8_t *frame, *found = NULL;
	size_t at = 0;

	raw_read(&raw);
	while ((frame = next_frame(&at))) {
		if (frame[3] == type)
			found = frame;
	}
	return found;
}

/* Whether a field with @text as its value came. */
static bool came_text(const char *text)
{
	const uint8_t *frame;
	bool found = false;
	size_t at = 0;
	nghttp2_hd_inflater *inflater;

	raw_read(&raw);
	nghttp2_hd_inflate_new(&inflater);
	while ((frame = next_frame(&at))) {
		const uint8_t *in = frame + 9, *end = raw.in + at;
		int flags = 0;
		nghttp2_nv nv;

		while (frame[3] == NGHTTP2_HEADERS && !(flags & NGHTTP2_HD_INFLATE_FINAL)) {
			ssize_t n = nghttp2_hd_inflate_hd2(inflater, &nv, &flags, in, end - in, 1);

			assert_true(n >= 0);
			in += n;
			found |= flags & NGHTTP2_HD_INFLATE_EMIT &&
				memmem(nv.value, nv.valuelen, text, strlen(text));
		}
		if (frame[3] == NGHTTP2_HEADERS)
			nghttp2_hd_inflate_end_headers(inflater);
	}
	nghttp2_hd_inflate_del(inflater);
	return found;
}

static uint32_t error_of(const uint8_t *frame)
{
	const uint8_t *at = frame + (frame[3] == NGHTTP2_GOAWAY ? 13 : 9);

	return (uint32_t)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3];
}

static void assert_goes_away(uint32_t error)
{
	WAIT_FOR(raw_is_closed(&raw));
	assert_non_null(came(NGHTTP2_GOAWAY));
	assert_int_equal(error_of(came(NGHTTP2_GOAWAY)), error);
	raw_close(&raw);
	WAIT_FOR(counts().connections == 0);
	assert_int_equal(counts().calls, 0);
	assert_int_equal(owner.calls, owner.call_ends);
}

static void browsers_are_answered_over_http2_too(void **state)
{
	serve((struct server_options){});
	put_settings(NULL, 0);
	put_request(1, "GET", "/?q", NULL, true);
	WAIT_FOR(raw_has(&raw, "hello\n"));
	assert_string_equal(owner.query, "q");
	assert_string_equal(owner.host, "hub.test");
	put_request(3, "HEAD", "/", NULL, true);
	put_request(5, "POST", "/", "text/plain", false);
	WAIT_FOR(raw_has(&raw, "415 Unsupported Media Type\n"));
	put_request(7, "PUT", "/", NULL, true);
	WAIT_FOR(raw_has(&raw, "405 Method Not Allowed\n"));
	WAIT_FOR(counts().calls == 0);
	raw_close(&raw);
}

static void a_call_in_pieces_is_understood(void **state)
{
	static const uint8_t message[] = { 0, 0, 0, 0, 3, 'a', 'b', 'c' };

	serve((struct server_options){});
	put_settings(NULL, 0);
	put_request(1, "POST", "/talon.Test/Silent", GRPC "+proto", false);
	for (size_t i = 0; i < sizeof(message); i++)
		put_frame(NGHTTP2_DATA, 0, 1, message + i, 1);
	put_frame(NGHTTP2_DATA, 0, 1, message, sizeof(message));
	WAIT_FOR(owner.messages == 2);
	assert_memory_equal(owner.last, "abc", 3);
	put_frame(NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, message, 7);
	WAIT_FOR(came_text("the last message is cut"));
	raw_close(&raw);
	WAIT_FOR(owner.call_ends == 1);
}

static void malformed_messages_end_their_call(void **state)
{
	static const struct { const char *bytes; size_t len; const char *text; } cases[] = {
		{ "\x01\0\0\0\1x", 6, "compressed messages are not read" },
		{ "\x02\0\0\0\1x", 6, "the message's prefix is malformed" },
		{ "\0\xff\xff\xff\xff", 5, "the message is too long" },
	};

	serve((struct server_options){});
	put_settings(NULL, 0);
	for (uint32_t i = 0; i < 3; i++) {
		put_request(1 + 2 * i, "POST", "/talon.Test/Silent", GRPC, false);
		put_frame(NGHTTP2_DATA, 0, 1 + 2 * i, cases[i].bytes, cases[i].len);
		WAIT_FOR(came_text(cases[i].text));
	}
	WAIT_FOR(owner.call_ends == 3);
	assert_int_equal(owner.messages, 0);
	raw_close(&raw);
}

/* ---- floods ---- */

/* All but the end of a message of @len bytes, at the pace of who reads. */
static void put_part(uint32_t id, size_t len)
{
	static const uint8_t prefix[] = { 0, 0, 0x40, 0, 0 }, zeros[16384];

	put_request(id, "POST", "/talon.Test/Silent", GRPC, false);
	put_frame(NGHTTP2_DATA, 0, id, prefix, sizeof(prefix));
	for (size_t at = 0; at < len; at += sizeof(zeros)) {
		put_frame(NGHTTP2_DATA, 0, id, zeros, sizeof(zeros));
		for (int i = 0; i < 3; i++)
			loop_turn(loop, 0);
	}
}

/* Sixteen messages of 4 MiB that do not become whole are all the room there is; the first makes way. */
static void who_sends_in_bits_takes_nobodys_room(void **state)
{
	struct seen seen;

	serve_calls((struct server_options){});
	put_settings(NULL, 0);
	put_frame(NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, NULL, 0);
	for (uint32_t i = 0; i < 17; i++)
		put_part(1 + 2 * i, (2 << 20) + 16384);
	WAIT_FOR(owner.calls == 17 && owner.call_ends > 0);
	assert_int_equal(owner.call_ends, 1);
	assert_int_equal(counts().flooded, 1);
	assert_int_equal(error_of(came(NGHTTP2_RST_STREAM)), NGHTTP2_ENHANCE_YOUR_CALM);
	seen = call("/talon.Test/Echo", "hello", 5);
	assert_end(&seen, GRPC_OK, "");
	assert_string_equal(seen.last, "hello");
	raw_close(&raw);
	WAIT_FOR(owner.call_ends == 18);
}

static void rapid_resets_end_the_connection(void **state)
{
	serve((struct server_options){});
	put_settings(NULL, 0);
	for (uint32_t i = 0; i < 600; i++) {
		put_request(1 + 2 * i, "POST", "/talon.Test/Silent", GRPC, false);
		put_frame(NGHTTP2_RST_STREAM, 0, 1 + 2 * i, "\0\0\0\x08", 4);
	}
	assert_goes_away(NGHTTP2_ENHANCE_YOUR_CALM);
	assert_int_equal(counts().flooded, 1);
	assert_true(owner.calls <= 260);
}

static void frames_for_nothing_end_the_connection(void **state)
{
	static const struct { uint8_t type; uint32_t id; const char *bytes; size_t len; } cases[] = {
		{ NGHTTP2_PING, 0, "12345678", 8 },
		{ NGHTTP2_SETTINGS, 0, "\0\4\0\0\xff\xff", 6 },
		{ NGHTTP2_WINDOW_UPDATE, 0, "\0\0\0\1", 4 },
		{ NGHTTP2_DATA, 1, "", 0 },
		{ NGHTTP2_PRIORITY, 3, "\0\0\0\0\1", 5 },
	};

	serve((struct server_options){});
	for (size_t kind = 0; kind < sizeof(cases) / sizeof(*cases); kind++) {
		put_settings(NULL, 0);
		put_request(1, "POST", "/talon.Test/Silent", GRPC, false);
		for (int i = 0; i < 700; i++)
			put_frame(cases[kind].type, 0, cases[kind].id, cases[kind].bytes, cases[kind].len);
		WAIT_FOR(raw_is_closed(&raw));
		raw_close(&raw);
		WAIT_FOR(counts().connections == 0);
		if (counts().flooded != kind + 1)
			fail_msg("frames of type %u", cases[kind].type);
	}
	assert_int_equal(owner.calls, owner.call_ends);
}

static void headers_without_end_end_the_connection(void **state)
{
	uint8_t block[16000];
	size_t len = 0;

	serve((struct server_options){});
	/* one block that is larger than it may be */
	put_settings(NULL, 0);
	len = put_field(block, ":method", "POST");
	len += put_field(block + len, ":scheme", "http");
	len += put_field(block + len, ":path", "/");
	while (len < 15000)
		len += put_field(block + len, "x-some", "a value as long as this one, or a little longer");
	put_frame(NGHTTP2_HEADERS, 0, 1, block, len);
	put_frame(NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1, block + 200, 0);
	assert_goes_away(NGHTTP2_ENHANCE_YOUR_CALM);
	assert_int_equal(counts().oversized, 1);
	/* CONTINUATION for ever */
	put_settings(NULL, 0);
	put_frame(NGHTTP2_HEADERS, 0, 1, block, 1);
	for (int i = 0; i < 300; i++)
		put_frame(NGHTTP2_CONTINUATION, 0, 1, "", 0);
	WAIT_FOR(raw_is_closed(&raw));
	raw_close(&raw);
	WAIT_FOR(counts().connections == 0);
	assert_int_equal(owner.calls, 0);
}

static void streams_are_limited(void **state)
{
	serve((struct server_options){});
	put_settings(NULL, 0);
	for (uint32_t i = 0; i < 40; i++)
		put_request(1 + 2 * i, "POST", "/talon.Test/Silent", GRPC, false);
	WAIT_FOR(came(NGHTTP2_RST_STREAM));
	assert_int_equal(error_of(came(NGHTTP2_RST_STREAM)), NGHTTP2_REFUSED_STREAM);
	assert_int_equal(owner.calls, 32);
	assert_int_equal(counts().calls, 32);
	/* who has seen the limit has to keep it */
	put_frame(NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, NULL, 0);
	put_request(99, "POST", "/talon.Test/Silent", GRPC, false);
	assert_goes_away(NGHTTP2_PROTOCOL_ERROR);
	assert_int_equal(owner.call_ends, 32);
}

static void malformed_http2_ends_the_connection(void **state)
{
	serve((struct server_options){});
	put_settings(NULL, 0);
	put_frame(NGHTTP2_DATA, 0, 0, "x", 1);
	assert_goes_away(NGHTTP2_PROTOCOL_ERROR);
	assert_int_equal(counts().malformed, 1);
	put_settings(NULL, 0);
	put_request(2, "POST", "/", GRPC, true);
	assert_goes_away(NGHTTP2_PROTOCOL_ERROR);
	raw_open(&raw);
	raw_say(&raw, PREFACE "GET / HTTP/1.1\r\n\r\n");
	WAIT_FOR(raw_is_closed(&raw));
	raw_close(&raw);
}

/* ---- slow and silent clients ---- */

static void a_client_that_reads_nothing_loses_its_call(void **state)
{
	static char large[1 << 20];

	serve((struct server_options){});
	put_settings("\0\4\0\0\0\0", 6);	/* a window of nothing */
	put_request(1, "POST", "/talon.Test/Silent", GRPC, false);
	WAIT_FOR(owner.call);
	for (int i = 0; i < 4; i++)
		assert_int_equal(server_call_send(owner.call, large, sizeof(large) - 100), 0);
	assert_int_equal(server_call_waiting(owner.call), 4 * (sizeof(large) - 95));
	assert_int_equal(server_call_send(owner.call, large, sizeof(large)), -EPIPE);
	assert_int_equal(owner.call_ends, 0);
	WAIT_FOR(owner.call_ends == 1);
	WAIT_FOR(came(NGHTTP2_RST_STREAM));
	assert_int_equal(error_of(came(NGHTTP2_RST_STREAM)), NGHTTP2_ENHANCE_YOUR_CALM);
	assert_int_equal(counts().slow, 1);
	/* one of any size may wait */
	put_request(3, "POST", "/talon.Test/Silent", GRPC, false);
	WAIT_FOR(owner.call);
	for (int i = 0; i < 8; i++)
		memset(large, i, sizeof(large));
	assert_int_equal(server_call_send(owner.call, large, sizeof(large)), 0);
	raw_close(&raw);
	WAIT_FOR(owner.call_ends == 2);
}

static void a_client_that_does_not_answer_is_let_go(void **state)
{
	serve((struct server_options){ .silence_ns = 50 * LOOP_MS, .ping_after_ns = 50 * LOOP_MS });
	put_settings(NULL, 0);
	put_request(1, "POST", "/talon.Test/Silent", GRPC, false);
	WAIT_FOR(came(NGHTTP2_PING));
	assert_int_equal(owner.call_ends, 0);
	WAIT_FOR(raw_is_closed(&raw));
	assert_int_equal(owner.call_ends, 1);
	assert_int_equal(counts().timed_out, 1);
	raw_close(&raw);
	/* no call at all */
	put_settings(NULL, 0);
	WAIT_FOR(raw_is_closed(&raw));
	assert_int_equal(counts().timed_out, 2);
	raw_close(&raw);
}

static void a_client_that_answers_pings_stays(void **state)
{
	struct seen seen;

	serve_calls((struct server_options){ .silence_ns = 100 * LOOP_MS, .ping_after_ns = 20 * LOOP_MS });
	start("/talon.Test/Silent", "x", 1, true, &seen);
	WAIT_FOR(owner.messages == 1);
	for (int i = 0; i < 50; i++)
		loop_turn(loop, 10 * LOOP_MS);
	assert_int_equal(seen.done, 0);
	assert_int_equal(counts().timed_out, 0);
	assert_int_equal(counts().calls, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown_channel)
	const struct CMUnitTest tests[] = {
		TEST(a_message_comes_back),
		TEST(errors_have_status_and_text),
		TEST(large_messages_pass_both_ways),
		TEST(a_message_that_is_too_long_is_refused),
		TEST(both_sides_may_go_on_sending),
		TEST(many_calls_share_a_connection),
		TEST(a_server_that_ends_ends_its_calls),
		TEST(browsers_are_answered_over_http2_too),
		TEST(a_call_in_pieces_is_understood),
		TEST(malformed_messages_end_their_call),
		TEST(who_sends_in_bits_takes_nobodys_room),
		TEST(rapid_resets_end_the_connection),
		TEST(frames_for_nothing_end_the_connection),
		TEST(headers_without_end_end_the_connection),
		TEST(streams_are_limited),
		TEST(malformed_http2_ends_the_connection),
		TEST(a_client_that_reads_nothing_loses_its_call),
		TEST(a_client_that_does_not_answer_is_let_go),
		TEST(a_client_that_answers_pings_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
