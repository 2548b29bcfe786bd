// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// WebSocket as a client: the opening handshake, frames, and a connection over a stream whose other end
// the test plays.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "websocket/websocket.h"
#include "unit/fake_stream.h"

#define KEY		"dGhlIHNhbXBsZSBub25jZQ=="	/* RFC 6455, section 1.3 */
#define ACCEPT		"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define MESSAGE_MAX	8820

struct rig {
	struct loop *loop;
	struct websocket *ws;
	struct stream *stream;
	unsigned opened, closed, messages;
	unsigned free_after;		/* messages; 0: never */
	int error;
	char why[256];
	uint8_t *all;			/* messages as they came, each with its length before it */
	size_t all_len;
};

static void on_opened(void *ctx)
{
	((struct rig *)ctx)->opened++;
}

static void on_message(void *ctx, const uint8_t *bytes, size_t len)
{
	struct rig *r = ctx;
	uint32_t len32 = len;

	r->messages++;
	r->all = realloc(r->all, r->all_len + sizeof(len32) + len);
	assert_non_null(r->all);
	memcpy(r->all + r->all_len, &len32, sizeof(len32));
	memcpy(r->all + r->all_len + sizeof(len32), bytes, len);
	r->all_len += sizeof(len32) + len;
	if (r->messages == r->free_after) {
		websocket_free(r->ws);
		r->ws = NULL;
	}
}

static void on_closed(void *ctx, int error, const char *why)
{
	struct rig *r = ctx;

	r->closed++;
	r->error = error;
	snprintf(r->why, sizeof(r->why), "%s", why);
	if (r->free_after) {
		websocket_free(r->ws);
		r->ws = NULL;
	}
}

static const struct websocket_events callbacks = { .opened = on_opened, .message = on_message,
	.closed = on_closed };

static struct rig *rig_new(void)
{
	const struct websocket_options options = { .host = "relay.example", .port = 443, .tls = true,
		.authority = "relay.example:443", .path = "/relay", .message_max = MESSAGE_MAX };
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	assert_int_equal(loop_new_fake(&r->loop, 1000 * LOOP_SECOND), 0);
	assert_int_equal(websocket_open(r->loop, &options, &callbacks, r, &r->ws), 0);
	r->stream = fake_streams[fake_stream_count - 1];
	return r;
}

static struct rig *rig_open(void)
{
	struct rig *r = rig_new();

	fake_upgrade(r->stream);
	assert_int_equal(r->opened, 1);
	return r;
}

static void rig_free(struct rig *r)
{
	websocket_free(r->ws);
	assert_true(r->stream->is_freed);
	assert_int_equal(loop_next(r->loop), LOOP_NEVER);
	loop_free(r->loop);
	free(r->all);
	free(r);
	fake_streams_reset();
}

static void the_accept_value_is_the_rfcs_and_the_recorded_one(void **state)
{
	char accept[WEBSOCKET_ACCEPT_LEN + 1], key[WEBSOCKET_KEY_LEN + 1], other[WEBSOCKET_KEY_LEN + 1];

	websocket_key_accept(KEY, accept);
	assert_string_equal(accept, ACCEPT);
	websocket_key_accept("H4RuaOYM9KWbxlO+9VYdEQ==", accept);
	assert_string_equal(accept, "866kgxDjFtgfSibVVCmlc3PiQB4=");
	websocket_key_make(key);
	websocket_key_make(other);
	assert_int_equal(strlen(key), WEBSOCKET_KEY_LEN);
	assert_string_not_equal(key, other);
}

#define STATUS	"HTTP/1.1 101 Switching Protocols\r\n"
#define UP	"Upgrade: websocket\r\n"
#define CONN	"Connection: Upgrade\r\n"
#define ACC	"Sec-WebSocket-Accept: " ACCEPT "\r\n"

static void answers_are_taken_or_refused_as_the_rfc_says(void **state)
{
	static const struct { const char *text, *why; } cases[] = {
		{ STATUS UP CONN ACC "\r\n", NULL },
		{ STATUS ACC CONN UP "Date: today\r\nX-Empty:\r\n\r\n", NULL },
		{ "HTTP/1.1 101\r\n" UP CONN ACC "\r\n", NULL },
		{ STATUS "upgrade:WEBSOCKET\r\nCONNECTION: keep-alive , UPGRADE\r\nsec-websocket-accept:\t"
			ACCEPT " \r\n\r\n", NULL },
		{ STATUS UP "Connection: keep-alive\r\n" CONN ACC "\r\n", NULL },
		{ "HTTP/1.1 200 OK\r\n" UP CONN ACC "\r\n", "status 200 OK" },
		{ "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "status 404 Not Found" },
		{ "HTTP/1.1 301 Moved\r\nLocation: /\r\n\r\n", "status 301 Moved" },
		{ "HTTP/1.1 503 \xc3\xa4\r\n\r\n", "status 503 ??" },
		{ "HTTP/1.1 1010 x\r\n" UP CONN ACC "\r\n", "status line" },
		{ "HTTP/1.1 10\r\n" UP CONN ACC "\r\n", "status line" },
		{ "HTTP/1.1 1x1 x\r\n" UP CONN ACC "\r\n", "status line" },
		{ "HTTP/1.0 101 Switching\r\n" UP CONN ACC "\r\n", "not HTTP/1.1" },
		{ "HTTP/2 101\r\n" UP CONN ACC "\r\n", "not HTTP/1.1" },
		{ "\x15\x03\x01", "not HTTP/1.1" },
		{ " " STATUS UP CONN ACC "\r\n", "not HTTP/1.1" },
		{ STATUS CONN ACC "\r\n", "lacks" },
		{ STATUS UP ACC "\r\n", "lacks" },
		{ STATUS UP CONN "\r\n", "lacks" },
		{ STATUS "\r\n", "lacks" },
		{ STATUS UP CONN ACC ACC "\r\n", "does not match" },
		{ STATUS UP UP CONN ACC "\r\n", "something other" },
		{ STATUS "Upgrade: h2c\r\n" CONN ACC "\r\n", "something other" },
		{ STATUS "Upgrade: websocket, h2c\r\n" CONN ACC "\r\n", "something other" },
		{ STATUS UP "Connection: xUpgrade\r\n" ACC "\r\n", "lacks" },
		{ STATUS UP CONN "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOp=\r\n\r\n",
			"does not match" },
		{ STATUS UP CONN "Sec-WebSocket-Accept: S3PPLMBITXAQ9KYGZZHZRBK+XOO=\r\n\r\n",
			"does not match" },
		{ STATUS UP CONN "Sec-WebSocket-Accept:\r\n\r\n", "does not match" },
		{ STATUS UP CONN ACC "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", "not offered" },
		{ STATUS UP CONN ACC "Sec-WebSocket-Protocol: relay\r\n\r\n", "not offered" },
		{ STATUS UP CONN ACC "no field\r\n\r\n", "not a header field" },
		{ STATUS UP CONN ACC ": nameless\r\n\r\n", "proper name" },
		{ STATUS UP CONN ACC "X : blank before the colon\r\n\r\n", "proper name" },
		{ STATUS UP CONN ACC "X: folded\r\n line: 1\r\n\r\n", "proper name" },
		{ STATUS UP CONN ACC "X: a\nY: b\r\n\r\n", "control characters" },
		{ STATUS UP CONN ACC "X: a\rY: b\r\n\r\n", "control characters" },
		{ STATUS UP CONN ACC "X: \x1b[31m\r\n\r\n", "control characters" },
		{ STATUS UP CONN ACC "X: \x7f\r\n\r\n", "control characters" },
	};
	char why[256];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *text = cases[i].text;
		int ret = websocket_answer_parse(text, strlen(text), ACCEPT, why, sizeof(why));

		if (!cases[i].why && ret != (int)strlen(text))
			fail_msg("%s: %s", text, why);
		if (cases[i].why && (ret != -EPROTO || !strstr(why, cases[i].why)))
			fail_msg("%s: %d, %s", text, ret, why);
	}
}

static void an_answer_is_not_judged_before_it_is_whole_and_not_read_beyond_its_end(void **state)
{
	static const char text[] = STATUS UP CONN ACC "\r\n\x82\x02\r\n\r\n";
	size_t head = sizeof(text) - 1 - 6;
	char why[256];

	for (size_t len = 0; len < sizeof(text) - 1; len++) {
		char *copy = malloc(len + 1);	/* exact, for the sanitizer */

		assert_non_null(copy);
		memcpy(copy, text, len);
		assert_int_equal(websocket_answer_parse(copy, len, ACCEPT, why, sizeof(why)),
			len < head ? 0 : head);
		free(copy);
	}
}

static void an_endless_answer_is_refused(void **state)
{
	char text[WEBSOCKET_ANSWER_MAX] = STATUS, why[256];

	memset(text + strlen(STATUS), 'x', sizeof(text) - strlen(STATUS));
	assert_int_equal(websocket_answer_parse(text, sizeof(text) - 1, ACCEPT, why, sizeof(why)), 0);
	assert_int_equal(websocket_answer_parse(text, sizeof(text), ACCEPT, why, sizeof(why)), -EPROTO);
	assert_non_null(strstr(why, "too long"));
}

static void masking_is_that_of_one_byte_after_the_other(void **state)
{
	static const uint8_t mask[4] = { 0x37, 0xfa, 0x21, 0x3d };
	uint8_t in[300], out[300], want[300];

	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = rand();
	for (size_t len = 0; len < 200; len++) {
		for (size_t offset = 0; offset < 40; offset++) {
			memset(out, 0xee, sizeof(out));
			memcpy(want, out, sizeof(out));
			for (size_t i = 0; i < len; i++)
				want[i + 1] = in[i + offset] ^ mask[(offset + i) % 4];
			websocket_mask_copy(out + 1, in + offset, len, mask, offset);
			assert_memory_equal(out, want, sizeof(out));
		}
	}
}

/* RFC 6455, section 5.7 */
static void frames_are_those_of_the_rfc(void **state)
{
	static const uint8_t masked[] = { 0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58 };
	static const uint8_t long16[] = { 0x82, 0x7e, 0x01, 0x00 }, long64[] = { 0x82, 0x7f, 0, 0, 0, 0, 0,
		1, 0, 0 };
	struct websocket_frame f;
	uint8_t hello[5];

	assert_int_equal(websocket_frame_parse(masked, sizeof(masked), &f), 6);
	assert_true(f.is_final && f.is_masked && f.opcode == WEBSOCKET_TEXT && f.len == 5);
	websocket_mask_copy(hello, masked + 6, 5, f.mask, 0);
	assert_memory_equal(hello, "Hello", 5);
	assert_int_equal(websocket_frame_parse(long16, sizeof(long16), &f), 4);
	assert_true(f.is_final && !f.is_masked && f.opcode == WEBSOCKET_BINARY && f.len == 256);
	assert_int_equal(websocket_frame_parse(long64, sizeof(long64), &f), 10);
	assert_true(f.len == 65536);
}

static void headers_written_are_read_the_same_for_every_length(void **state)
{
	static const uint8_t mask[4] = { 1, 2, 3, 4 };
	uint8_t header[WEBSOCKET_HEADER_MAX];

	for (size_t len = 0; len < 70000; len++) {
		size_t n = websocket_frame_write(WEBSOCKET_BINARY, len, mask, header);
		struct websocket_frame f;

		for (size_t part = 0; part < n; part++)
			assert_int_equal(websocket_frame_parse(header, part, &f), 0);
		assert_int_equal(websocket_frame_parse(header, n, &f), n);
		assert_true(f.len == len && f.is_final && f.is_masked && f.opcode == WEBSOCKET_BINARY);
		assert_memory_equal(f.mask, mask, 4);
	}
}

static void forbidden_frames_are_refused(void **state)
{
	static const struct { uint8_t bytes[10]; const char *what; } cases[] = {
		{ { 0xc2, 1 }, "RSV1" }, { { 0xa2, 1 }, "RSV2" }, { { 0x92, 1 }, "RSV3" },
		{ { 0x83, 1 }, "opcode 3" }, { { 0x87, 1 }, "opcode 7" }, { { 0x8b, 1 }, "opcode 11" },
		{ { 0x8f, 1 }, "opcode 15" },
		{ { 0x09, 1 }, "a ping in parts" }, { { 0x89, 126, 0, 200 }, "a long ping" },
		{ { 0x88, 127 }, "a long close" },
		{ { 0x82, 126, 0, 125 }, "16 bits where 7 do" },
		{ { 0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff }, "64 bits where 16 do" },
		{ { 0x82, 127, 0x80, 0, 0, 0, 0, 1, 0, 0 }, "the highest bit" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct websocket_frame f;

		if (websocket_frame_parse(cases[i].bytes, sizeof(cases[i].bytes), &f) != -EPROTO)
			fail_msg("%s was taken", cases[i].what);
	}
}

static void the_request_asks_for_a_plain_upgrade_over_http_1(void **state)
{
	struct rig *r = rig_new();
	char text[1024];
	size_t len;
	const uint8_t *out;

	assert_string_equal(r->stream->host, "relay.example");
	assert_string_equal(r->stream->alpn, "http/1.1");
	assert_true(r->stream->options.tls);
	r->stream->events.connected(r->stream->ctx);
	out = fake_out(r->stream, &len);
	snprintf(text, sizeof(text), "%.*s", (int)len, (const char *)out);
	assert_non_null(strstr(text, "GET /relay HTTP/1.1\r\nHost: relay.example:443\r\n"));
	assert_non_null(strstr(text, "\r\nConnection: Upgrade\r\n"));
	assert_non_null(strstr(text, "\r\nUpgrade: websocket\r\n"));
	assert_non_null(strstr(text, "\r\nSec-WebSocket-Version: 13\r\n"));
	assert_null(strcasestr(text, "extensions"));
	assert_string_equal(text + len - 4, "\r\n\r\n");
	assert_int_equal(websocket_send(r->ws, WEBSOCKET_PACKET, "x", 1, NULL, 0), -ENOTCONN);
	rig_free(r);
}

static void a_refused_upgrade_ends_with_what_the_server_said(void **state)
{
	struct rig *r = rig_new();
	static const char answer[] = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n";

	r->stream->events.connected(r->stream->ctx);
	fake_feed(r->stream, answer, strlen(answer));
	assert_int_equal(r->closed, 1);
	assert_int_equal(r->error, -EPROTO);
	assert_non_null(strstr(r->why, "502 Bad Gateway"));
	assert_int_equal(r->opened, 0);
	rig_free(r);
}

/* The same bytes in every division into two, and one by one, answer and frames in one go. */
static void messages_arrive_whole_however_the_bytes_are_cut(void **state)
{
	static uint8_t bytes[4096];
	struct rig *whole = rig_new(), *r;
	uint8_t payload[300];
	size_t head, len;

	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = i * 7;
	whole->stream->events.connected(whole->stream->ctx);
	head = len = fake_answer(whole->stream, (char *)bytes, sizeof(bytes));
	len += fake_frame(bytes + len, 0x82, payload, 2);
	len += fake_frame(bytes + len, 0x82, payload, 126);
	len += fake_frame(bytes + len, 0x89, "ping", 4);
	len += fake_frame(bytes + len, 0x02, payload, 100);
	len += fake_frame(bytes + len, 0x8a, "", 0);
	len += fake_frame(bytes + len, 0x00, payload + 100, 0);
	len += fake_frame(bytes + len, 0x80, payload + 100, 200);
	len += fake_frame(bytes + len, 0x82, payload, 0);
	len += fake_frame(bytes + len, 0x82, payload, 300);
	fake_feed(whole->stream, bytes, len);
	assert_int_equal(whole->messages, 5);
	assert_int_equal(whole->closed, 0);
	for (size_t cut = 0; cut <= len; cut++) {
		char answer[512];

		r = rig_new();
		r->stream->events.connected(r->stream->ctx);
		assert_int_equal(fake_answer(r->stream, answer, sizeof(answer)), head);
		memcpy(bytes, answer, head);	/* each has its own key */
		if (cut) {
			fake_feed(r->stream, bytes, cut);
			fake_feed(r->stream, bytes + cut, len - cut);
		} else {
			r->stream->chunk = 1;
			fake_feed(r->stream, bytes, len);
		}
		assert_int_equal(r->opened, 1);
		assert_int_equal(r->all_len, whole->all_len);
		assert_memory_equal(r->all, whole->all, r->all_len);
		websocket_free(r->ws);
		loop_free(r->loop);
		free(r->all);
		free(r);
		free(fake_streams[1]->in);
		free(fake_streams[1]->out);
		free(fake_streams[--fake_stream_count]);
	}
	rig_free(whole);
}

static void a_ping_gets_its_pong_at_once(void **state)
{
	struct rig *r = rig_open();
	uint8_t frame[200], payload[200];
	enum websocket_opcode opcode;

	fake_feed(r->stream, frame, fake_frame(frame, 0x89, "are you there", 13));
	assert_int_equal(fake_take(r->stream, &opcode, payload, sizeof(payload)), 13);
	assert_int_equal(opcode, WEBSOCKET_PONG);
	assert_memory_equal(payload, "are you there", 13);
	rig_free(r);
}

static void a_close_is_answered_and_ends_the_connection(void **state)
{
	struct rig *r = rig_open();
	uint8_t frame[200], payload[200];
	enum websocket_opcode opcode;

	fake_feed(r->stream, frame, fake_frame(frame, 0x88, "\x03\xe9gone", 6));
	assert_int_equal(fake_take(r->stream, &opcode, payload, sizeof(payload)), 2);
	assert_int_equal(opcode, WEBSOCKET_CLOSE);
	assert_memory_equal(payload, "\x03\xe8", 2);
	assert_int_equal(r->closed, 1);
	assert_int_equal(r->error, 0);
	assert_non_null(strstr(r->why, "1001"));
	assert_int_equal(websocket_send(r->ws, WEBSOCKET_MUST, "x", 1, NULL, 0), -ENOTCONN);
	rig_free(r);
}

static void what_a_server_must_not_send_ends_the_connection(void **state)
{
	static const struct { uint8_t bytes[16]; size_t len; unsigned code; } cases[] = {
		{ { 0x82, 0x82, 1, 2, 3, 4, 0, 0 }, 8, 1002 },		/* masked */
		{ { 0x81, 0x01, 'x' }, 3, 1003 },			/* text */
		{ { 0x80, 0x01, 'x' }, 3, 1002 },			/* continues nothing */
		{ { 0x02, 0x01, 'x', 0x82, 0x01, 'x' }, 6, 1002 },	/* begins before the end */
		{ { 0x02, 0x01, 'x', 0x02, 0x01, 'x' }, 6, 1002 },
		/* 8821 bytes: before any of them came */
		{ { 0x82, 0x7e, 0x22, 0x75 }, 4, 1009 },
		{ { 0x82, 0x7f, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff }, 10, 1009 },
		{ { 0x83, 0x00 }, 2, 1002 },
		{ { 0x09, 0x00 }, 2, 1002 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct rig *r = rig_open();
		enum websocket_opcode opcode;
		uint8_t payload[200];

		fake_feed(r->stream, cases[i].bytes, cases[i].len);
		assert_int_equal(r->closed, 1);
		assert_int_equal(r->error, -EPROTO);
		assert_int_equal(fake_take(r->stream, &opcode, payload, sizeof(payload)), 2);
		assert_int_equal(opcode, WEBSOCKET_CLOSE);
		assert_int_equal(payload[0] << 8 | payload[1], cases[i].code);
		assert_int_equal(r->messages, 0);
		rig_free(r);
	}
}

static void parts_together_longer_than_a_message_may_be_end_the_connection(void **state)
{
	struct rig *r = rig_open();
	static uint8_t frame[9000], payload[MESSAGE_MAX];

	fake_feed(r->stream, frame, fake_frame(frame, 0x02, payload, MESSAGE_MAX));
	fake_feed(r->stream, frame, fake_frame(frame, 0x00, payload, 0));
	assert_int_equal(r->closed, 0);
	fake_feed(r->stream, frame, fake_frame(frame, 0x80, payload, 1));
	assert_int_equal(r->closed, 1);
	assert_int_equal(r->messages, 0);
	rig_free(r);
}

static void the_longest_message_passes_both_ways(void **state)
{
	struct rig *r = rig_open();
	static uint8_t payload[MESSAGE_MAX + 1], got[MESSAGE_MAX];
	enum websocket_opcode opcode;

	memset(payload, 0xa5, sizeof(payload));
	fake_send(r->stream, payload, MESSAGE_MAX);
	assert_int_equal(r->messages, 1);
	assert_int_equal(websocket_send(r->ws, WEBSOCKET_PACKET, payload, 38, payload, MESSAGE_MAX - 37),
		-EMSGSIZE);
	assert_int_equal(websocket_send(r->ws, WEBSOCKET_PACKET, payload, 0, payload, 0), -EMSGSIZE);
	assert_int_equal(websocket_send(r->ws, WEBSOCKET_PACKET, payload, 38, payload, MESSAGE_MAX - 38), 0);
	websocket_flush(r->ws);
	assert_int_equal(fake_take(r->stream, &opcode, got, sizeof(got)), MESSAGE_MAX);
	assert_memory_equal(got, payload, MESSAGE_MAX);
	assert_int_equal(opcode, WEBSOCKET_BINARY);
	rig_free(r);
}

/*
 * 20,000 messages of many sizes through a socket that takes a few bytes at a time: in order, none
 * changed, none twice.
 */
static void short_writes_lose_nothing_that_was_accepted(void **state)
{
	struct rig *r = rig_open();
	static uint8_t body[1500], got[2000];
	uint32_t sent = 0, seen = 0, refused = 0;
	enum websocket_opcode opcode;
	int len;

	srand(3);
	r->stream->room = 0;
	for (int i = 0; i < 20000; i++) {
		size_t size = rand() % sizeof(body);

		memset(body, sent, size);
		if (websocket_send(r->ws, WEBSOCKET_PACKET, &sent, sizeof(sent), body, size))
			refused++;
		else
			sent++;
		if (i % 10 == 0)
			websocket_flush(r->ws);
		if (rand() % 20 == 0)
			fake_writable(r->stream, rand() % 20000);
	}
	assert_true(refused > 100);
	fake_writable(r->stream, SIZE_MAX);
	while ((len = fake_take(r->stream, &opcode, got, sizeof(got))) >= 0) {
		uint32_t number;

		memcpy(&number, got, sizeof(number));
		assert_int_equal(number, seen++);
		for (int i = sizeof(number); i < len; i++)
			assert_int_equal(got[i], number & 0xff);
	}
	assert_int_equal(seen, sent);
	rig_free(r);
}

static void a_full_queue_refuses_packets_and_still_takes_what_must_get_through(void **state)
{
	struct rig *r = rig_open();
	static uint8_t body[1400];
	size_t queued = 0;

	r->stream->room = 0;
	while (!websocket_send(r->ws, WEBSOCKET_PACKET, NULL, 0, body, sizeof(body)))
		queued += sizeof(body);
	assert_in_range(queued, 240000, 252000);	/* 60 ms at the pace that is believed at first */
	assert_int_equal(websocket_send(r->ws, WEBSOCKET_PACKET, NULL, 0, body, sizeof(body)), -EAGAIN);
	assert_int_equal(websocket_send(r->ws, WEBSOCKET_MUST, NULL, 0, body, sizeof(body)), 0);
	fake_writable(r->stream, 100000);
	assert_int_equal(websocket_send(r->ws, WEBSOCKET_PACKET, NULL, 0, body, sizeof(body)), 0);
	fake_writable(r->stream, SIZE_MAX);
	assert_true(r->stream->out_len > queued);
	rig_free(r);
}

static void what_must_get_through_has_bounds_too(void **state)
{
	struct rig *r = rig_open();
	static uint8_t body[8000];
	size_t queued = 0;
	int ret;

	r->stream->room = 0;
	while (!(ret = websocket_send(r->ws, WEBSOCKET_MUST, NULL, 0, body, sizeof(body))))
		queued += sizeof(body);
	assert_int_equal(ret, -EAGAIN);
	assert_in_range(queued, WEBSOCKET_QUEUE_SIZE - 10000, WEBSOCKET_QUEUE_SIZE);
	rig_free(r);
}

/*
 * A socket that takes @step bytes every 20 ms, for 8 s, from a sender who never has enough. Returns what
 * waited at most in the second half.
 */
static size_t wait_at(size_t step)
{
	struct rig *r = rig_open();
	static uint8_t body[1400];
	size_t most = 0, queued = r->stream->written;

	r->stream->room = 0;
	r->stream->discards = true;
	for (int i = 0; i < 400; i++) {
		while (!websocket_send(r->ws, WEBSOCKET_PACKET, NULL, 0, body, sizeof(body)))
			queued += sizeof(body) + 8;
		websocket_flush(r->ws);
		if (i > 200 && queued - r->stream->written > most)
			most = queued - r->stream->written;
		loop_advance(r->loop, loop_now(r->loop) + 20 * LOOP_MS);
		fake_writable(r->stream, step);
	}
	rig_free(r);
	return most;
}

static void the_queue_is_as_long_as_the_socket_is_fast(void **state)
{
	assert_in_range(wait_at(1000000), 900000, WEBSOCKET_QUEUE_SIZE);
	assert_in_range(wait_at(100000), 250000, 350000);	/* 5 MB/s: 300 kB in 60 ms */
	assert_in_range(wait_at(20000), 50000, 80000);
	/* 24 kB are 240 ms here: less, for their age */
	assert_in_range(wait_at(2000), WEBSOCKET_QUEUE_LEAST / 4, WEBSOCKET_QUEUE_LEAST);
}

static void packets_are_refused_while_older_ones_wait_too_long(void **state)
{
	struct rig *r = rig_open();
	uint64_t start = loop_now(r->loop);

	r->stream->room = 0;
	assert_int_equal(websocket_send(r->ws, WEBSOCKET_PACKET, "1", 1, NULL, 0), 0);
	websocket_flush(r->ws);
	loop_advance(r->loop, start + WEBSOCKET_QUEUE_NS);
	assert_int_equal(websocket_send(r->ws, WEBSOCKET_PACKET, "2", 1, NULL, 0), 0);
	loop_advance(r->loop, start + WEBSOCKET_QUEUE_NS + LOOP_MS);
	assert_int_equal(websocket_send(r->ws, WEBSOCKET_PACKET, "3", 1, NULL, 0), -EAGAIN);
	assert_int_equal(websocket_send(r->ws, WEBSOCKET_MUST, "4", 1, NULL, 0), 0);
	fake_writable(r->stream, 8);	/* the first frame and a byte */
	assert_int_equal(websocket_send(r->ws, WEBSOCKET_PACKET, "5", 1, NULL, 0), 0);
	rig_free(r);
}

static void much_is_written_before_the_flush(void **state)
{
	struct rig *r = rig_open();
	static uint8_t body[1400];
	size_t before = r->stream->out_len;

	for (int i = 0; i < 40; i++)
		assert_int_equal(websocket_send(r->ws, WEBSOCKET_PACKET, NULL, 0, body, sizeof(body)), 0);
	assert_int_equal(r->stream->out_len, before);
	for (int i = 0; i < 10; i++)
		assert_int_equal(websocket_send(r->ws, WEBSOCKET_PACKET, NULL, 0, body, sizeof(body)), 0);
	assert_true(r->stream->out_len > before);
	rig_free(r);
}

static void a_flood_is_read_in_turns(void **state)
{
	struct rig *r = rig_open();
	static uint8_t flood[3 << 20], payload[1400];
	size_t len = 0, count = 0;

	while (len + sizeof(payload) + 4 <= sizeof(flood)) {
		len += fake_frame(flood + len, 0x82, payload, sizeof(payload));
		count++;
	}
	fake_feed(r->stream, flood, len);
	assert_in_range(r->messages, count / 4, count / 2);
	loop_advance(r->loop, loop_now(r->loop));
	assert_int_equal(r->messages, count);
	rig_free(r);
}

static void it_may_be_freed_in_each_of_its_callbacks(void **state)
{
	static const uint8_t two[] = { 0x82, 1, 'x', 0x82, 1, 'y', 0x88, 0 };
	struct rig *r = rig_open();

	r->free_after = 1;
	fake_feed(r->stream, two, sizeof(two));
	assert_int_equal(r->messages, 1);
	assert_int_equal(r->closed, 0);
	rig_free(r);
	r = rig_open();
	r->free_after = 3;
	fake_feed(r->stream, two, sizeof(two));
	assert_int_equal(r->messages, 2);
	assert_int_equal(r->closed, 1);
	rig_free(r);
	r = rig_open();
	r->free_after = 1;
	fake_end(r->stream, -ECONNRESET, "reset");
	assert_int_equal(r->closed, 1);
	rig_free(r);
}

static void the_end_of_the_stream_is_told_once_with_its_reason(void **state)
{
	struct rig *r = rig_open();

	fake_end(r->stream, -ECONNRESET, "relay.example:443: Connection reset by peer");
	assert_int_equal(r->closed, 1);
	assert_int_equal(r->error, -ECONNRESET);
	assert_string_equal(r->why, "relay.example:443: Connection reset by peer");
	websocket_flush(r->ws);
	websocket_close(r->ws);
	assert_int_equal(r->closed, 1);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_accept_value_is_the_rfcs_and_the_recorded_one),
		cmocka_unit_test(answers_are_taken_or_refused_as_the_rfc_says),
		cmocka_unit_test(an_answer_is_not_judged_before_it_is_whole_and_not_read_beyond_its_end),
		cmocka_unit_test(an_endless_answer_is_refused),
		cmocka_unit_test(masking_is_that_of_one_byte_after_the_other),
		cmocka_unit_test(frames_are_those_of_the_rfc),
		cmocka_unit_test(headers_written_are_read_the_same_for_every_length),
		cmocka_unit_test(forbidden_frames_are_refused),
		cmocka_unit_test(the_request_asks_for_a_plain_upgrade_over_http_1),
		cmocka_unit_test(a_refused_upgrade_ends_with_what_the_server_said),
		cmocka_unit_test(messages_arrive_whole_however_the_bytes_are_cut),
		cmocka_unit_test(a_ping_gets_its_pong_at_once),
		cmocka_unit_test(a_close_is_answered_and_ends_the_connection),
		cmocka_unit_test(what_a_server_must_not_send_ends_the_connection),
		cmocka_unit_test(parts_together_longer_than_a_message_may_be_end_the_connection),
		cmocka_unit_test(the_longest_message_passes_both_ways),
		cmocka_unit_test(short_writes_lose_nothing_that_was_accepted),
		cmocka_unit_test(a_full_queue_refuses_packets_and_still_takes_what_must_get_through),
		cmocka_unit_test(what_must_get_through_has_bounds_too),
		cmocka_unit_test(the_queue_is_as_long_as_the_socket_is_fast),
		cmocka_unit_test(packets_are_refused_while_older_ones_wait_too_long),
		cmocka_unit_test(much_is_written_before_the_flush),
		cmocka_unit_test(a_flood_is_read_in_turns),
		cmocka_unit_test(it_may_be_freed_in_each_of_its_callbacks),
		cmocka_unit_test(the_end_of_the_stream_is_told_once_with_its_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
