// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// WebSockets: with our own client, and frames by hand.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stream/stream.h"
#include "unit/server/world.h"
#include "websocket/websocket.h"
#include "websocket/websocket_frame.h"

#define HEAD	"GET /relay HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
#define KEY	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"	/* RFC 6455 section 1.3 */
#define VERSION	"Sec-WebSocket-Version: 13\r\n"
#define ACCEPT	"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
#define UPGRADE	HEAD KEY VERSION "\r\n"

static struct raw raw;

static const uint8_t mask[4] = { 0x37, 0xfa, 0x21, 0x3d };

static size_t make_frame(uint8_t *at, uint8_t first, const void *bytes, size_t len)
{
	size_t head = websocket_frame_write(WEBSOCKET_BINARY, len, mask, at);

	at[0] = first;
	websocket_mask_copy(at + head, bytes, len, mask, 0);
	return head + len;
}

static void put_frame(uint8_t first, const void *bytes, size_t len)
{
	static uint8_t frame[70000];

	raw_put(&raw, frame, make_frame(frame, first, bytes, len));
}

static void upgrade(struct raw *at)
{
	raw_open(at);
	raw_say(at, UPGRADE);
	WAIT_FOR(raw_has(at, "\r\n\r\n"));
	assert_int_equal(strncmp((char *)at->in, "HTTP/1.1 101 ", 13), 0);
	at->len = 0;
}

static void assert_came(const char *bytes, size_t len)
{
	WAIT_FOR((raw_read(&raw), raw.len >= len));
	assert_int_equal(raw.len, len);
	assert_memory_equal(raw.in, bytes, len);
	raw.len = 0;
}

static void an_upgrade_is_agreed_to(void **state)
{
	serve((struct server_options){});
	raw_open(&raw);
	raw_say(&raw, UPGRADE);
	WAIT_FOR(raw_has(&raw, "\r\n\r\n"));
	assert_string_equal((char *)raw.in, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
		"Connection: Upgrade\r\n" ACCEPT "\r\n");
	assert_int_equal(counts().sockets, 1);
	raw_close(&raw);
	WAIT_FOR(counts().sockets == 0);
	assert_string_equal(owner.why, "the client closed the connection");
}

static void a_wrong_upgrade_is_refused(void **state)
{
	static const struct { const char *text, *answer; } cases[] = {
		{ HEAD KEY "Sec-WebSocket-Version: 8\r\n\r\n", "HTTP/1.1 426 " },
		{ HEAD KEY "\r\n", "HTTP/1.1 426 " },
		{ HEAD VERSION "\r\n", "HTTP/1.1 400 " },
		{ HEAD VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n\r\n", "HTTP/1.1 400 " },
		{ HEAD VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ===\r\n\r\n", "HTTP/1.1 400 " },
		{ HEAD VERSION KEY KEY "\r\n", "HTTP/1.1 400 " },
		{ "GET /else HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" KEY VERSION
			"\r\n", "HTTP/1.1 404 " },
		{ "GET /relay HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n" KEY VERSION "\r\n",
			"HTTP/1.1 404 " },
	};

	serve((struct server_options){});
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		raw_open(&raw);
		raw_say(&raw, cases[i].text);
		WAIT_FOR(raw_has(&raw, "\r\n\r\n"));
		if (strncmp((char *)raw.in, cases[i].answer, strlen(cases[i].answer)))
			fail_msg("%s: %.40s", cases[i].text, raw.in);
		raw_close(&raw);
	}
	assert_int_equal(owner.sockets, 0);
	WAIT_FOR(counts().connections == 0);
}

static void messages_come_back_unmasked(void **state)
{
	static uint8_t bytes[8820], want[8824];

	serve((struct server_options){});
	upgrade(&raw);
	put_frame(0x82, "Hello", 5);
	assert_came("\x82\x05Hello", 7);
	put_frame(0x82, "", 0);
	assert_came("\x82\x00", 2);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = i * 7;
	put_frame(0x82, bytes, 126);
	memcpy(want, "\x82\x7e\x00\x7e", 4);
	memcpy(want + 4, bytes, 126);
	assert_came((char *)want, 130);
	put_frame(0x82, bytes, sizeof(bytes));
	memcpy(want, "\x82\x7e\x22\x74", 4);
	memcpy(want + 4, bytes, sizeof(bytes));
	assert_came((char *)want, sizeof(want));
	assert_int_equal(owner.messages, 4);
	raw_close(&raw);
}

static void frames_may_come_in_any_pieces(void **state)
{
	static uint8_t stream[60000], message[300];
	size_t len = 0, step = 1;

	serve((struct server_options){});
	upgrade(&raw);
	for (int i = 0; i < 100; i++) {
		memset(message, i, sizeof(message));
		len += make_frame(stream + len, 0x82, message, 3 * i);
	}
	for (size_t at = 0; at < len; at += step, step = step % 977 + 13) {
		raw_put(&raw, stream + at, len - at < step ? len - at : step);
		loop_turn(loop, 0);
	}
	WAIT_FOR(owner.messages == 100);
	assert_int_equal(owner.last_len, 297);
	assert_int_equal(owner.last[0], 99);
	raw_close(&raw);
}

static void fragments_become_one_message(void **state)
{
	serve((struct server_options){});
	upgrade(&raw);
	put_frame(0x02, "Hel", 3);
	put_frame(0x89, "are you there", 13);
	put_frame(0x00, "", 0);
	put_frame(0x80, "lo", 2);
	assert_came("\x8a\x0d" "are you there\x82\x05Hello", 22);
	assert_int_equal(owner.messages, 1);
	raw_close(&raw);
}

static void wrong_frames_end_the_connection(void **state)
{
	static uint8_t large[9000];
	static const struct {
		uint8_t first;
		const void *bytes;
		size_t len;
		unsigned int code;
		const char *why;
	} cases[] = {
		{ 0x81, "text", 4, 1003, "a WebSocket message is text, binary is expected" },
		{ 0x83, "", 0, 1002, "a WebSocket frame is malformed" },
		{ 0xc2, "", 0, 1002, "a WebSocket frame is malformed" },
		{ 0x09, "", 0, 1002, "a WebSocket frame is malformed" },
		{ 0x80, "x", 1, 1002, "a WebSocket fragment is out of order" },
		{ 0x82, large, 8821, 1009, "a WebSocket message is too long" },
		{ 0x88, "\x03\xe8", 2, 1000, "the client closed the WebSocket" },
	};

	serve((struct server_options){});
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char want[] = { 0x88, 2, cases[i].code >> 8, cases[i].code };

		upgrade(&raw);
		put_frame(cases[i].first, cases[i].bytes, cases[i].len);
		WAIT_FOR(raw_is_closed(&raw));
		assert_int_equal(raw.len, 4);
		assert_memory_equal(raw.in, want, 4);
		assert_string_equal(owner.why, cases[i].why);
		raw_close(&raw);
	}
	upgrade(&raw);
	raw_put(&raw, "\x82\x01x", 3);
	WAIT_FOR(raw_is_closed(&raw));
	assert_string_equal(owner.why, "a WebSocket frame is not masked");
	raw_close(&raw);
	/* more in fragments than in one */
	upgrade(&raw);
	put_frame(0x02, large, 8000);
	put_frame(0x00, large, 821);
	WAIT_FOR(raw_is_closed(&raw));
	assert_string_equal(owner.why, "a WebSocket message is too long");
	raw_close(&raw);
	WAIT_FOR(counts().connections == 0 && counts().sockets == 0);
	assert_int_equal(counts().malformed, 6);
	assert_int_equal(counts().oversized, 2);
	assert_int_equal(owner.messages, 0);
	assert_int_equal(owner.socket_ends, 9);
}

static void an_owner_ends_a_socket_in_order(void **state)
{
	serve((struct server_options){});
	upgrade(&raw);
	put_frame(0x82, "one", 3);
	put_frame(0x82, "end", 3);
	put_frame(0x82, "two", 3);
	WAIT_FOR(raw_is_closed(&raw));
	assert_int_equal(raw.len, 9);
	assert_memory_equal(raw.in, "\x82\x03one\x88\x02\x03\xe8", 9);
	assert_int_equal(owner.messages, 2);
	assert_int_equal(owner.socket_ends, 1);
	assert_string_equal(owner.why, "asked to");
	raw_close(&raw);
	WAIT_FOR(counts().connections == 0);
}

static void who_does_not_read_hurts_nobody(void **state)
{
	static struct raw slow;
	struct server_socket *socket;
	size_t sent = 0;
	uint8_t *at;

	serve((struct server_options){});
	upgrade(&slow);
	socket = owner.socket;
	while ((at = server_socket_reserve(socket, 1200))) {
		memset(at, 's', 1200);
		server_socket_commit(socket);
		if (++sent % 50 == 0)
			loop_turn(loop, 0);
	}
	assert_true(server_socket_waiting(socket) <= SERVER_SOCKET_QUEUE);
	assert_true(server_socket_waiting(socket) > SERVER_SOCKET_QUEUE - 1300);
	assert_null(server_socket_reserve(socket, 1200));
	upgrade(&raw);
	put_frame(0x82, "Hello", 5);
	assert_came("\x82\x05Hello", 7);
	assert_int_equal(owner.socket_drained, 0);
	/* he reads after all: nothing of what was taken is lost */
	for (size_t got = 0; got < sent * 1204;) {
		slow.len = 0;
		raw_read(&slow);
		got += slow.len;
		if (!slow.len)
			loop_turn(loop, LOOP_MS);
	}
	assert_true(owner.socket_drained > 0);
	assert_int_equal(server_socket_waiting(socket), 0);
	raw_close(&slow);
	raw_close(&raw);
	WAIT_FOR(counts().sockets == 0);
}

static void a_silent_client_is_asked_and_let_go(void **state)
{
	serve((struct server_options){ .silence_ns = 100 * LOOP_MS, .ping_after_ns = 50 * LOOP_MS });
	upgrade(&raw);
	assert_came("\x89\x00", 2);
	put_frame(0x8a, "", 0);
	assert_came("\x89\x00", 2);
	WAIT_FOR(raw_is_closed(&raw));
	assert_string_equal(owner.why, "it does not answer");
	assert_int_equal(counts().timed_out, 1);
	raw_close(&raw);
}

/* ---- our own client ---- */

static struct { unsigned opened, closed, messages; size_t bytes; } client;

static void on_opened(void *ctx)
{
	client.opened++;
}

static void on_message(void *ctx, const uint8_t *bytes, size_t len)
{
	client.messages++;
	client.bytes += len;
}

static void on_closed(void *ctx, int error, const char *why)
{
	client.closed++;
}

static void our_client_talks_to_it(void **state)
{
	static const struct websocket_events events = { .opened = on_opened, .message = on_message,
		.closed = on_closed };
	static uint8_t packet[1400];
	struct websocket_options options = { .host = "127.0.0.1", .authority = "hub.test", .path = "/relay",
		.message_max = 8820, .timeout_ns = PATIENCE_NS };
	struct websocket *ws;
	unsigned sent = 0;

	serve((struct server_options){});
	options.port = server_port(server);
	assert_int_equal(websocket_open(loop, &options, &events, NULL, &ws), 0);
	WAIT_FOR(client.opened);
	while (sent < 5000) {
		if (websocket_send(ws, WEBSOCKET_PACKET, packet, 4, packet + 4, sent % 1396))
			loop_turn(loop, LOOP_MS);
		else
			sent++;
	}
	websocket_flush(ws);
	WAIT_FOR(client.messages == 5000);
	assert_int_equal(owner.messages, 5000);
	websocket_close(ws);
	websocket_free(ws);
	WAIT_FOR(owner.socket_ends == 1);
	stream_global_done();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(an_upgrade_is_agreed_to),
		TEST(a_wrong_upgrade_is_refused),
		TEST(messages_come_back_unmasked),
		TEST(frames_may_come_in_any_pieces),
		TEST(fragments_become_one_message),
		TEST(wrong_frames_end_the_connection),
		TEST(an_owner_ends_a_socket_in_order),
		TEST(who_does_not_read_hurts_nobody),
		TEST(a_silent_client_is_asked_and_let_go),
		TEST(our_client_talks_to_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
