// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The server's port: HTTP/1.1 requests, limits of connections, silence.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/server/world.h"

static struct raw raw;

/* Opens, says @text and waits for @answer; the connection stays. */
static void ask(const char *text, const char *answer)
{
	raw_open(&raw);
	raw_say(&raw, text);
	WAIT_FOR(raw_has(&raw, answer));
}

static void assert_closes(void)
{
	WAIT_FOR(raw_is_closed(&raw));
	raw_close(&raw);
	WAIT_FOR(counts().connections == 0);
}

static void a_request_is_answered(void **state)
{
	serve((struct server_options){});
	ask("GET /?a=b&c HTTP/1.1\r\nHost: hub.test:80\r\nX-Meta: one\r\n\r\n", "\r\n\r\nhello\n");
	assert_non_null(strstr((char *)raw.in, "HTTP/1.1 200 OK\r\n"));
	assert_non_null(strstr((char *)raw.in, "Content-Type: text/html\r\n"));
	assert_non_null(strstr((char *)raw.in, "Content-Length: 6\r\n"));
	assert_null(strstr((char *)raw.in, "Connection: close"));
	assert_string_equal(owner.method, "GET");
	assert_string_equal(owner.path, "/");
	assert_string_equal(owner.query, "a=b&c");
	assert_string_equal(owner.host, "hub.test:80");
	assert_string_equal(owner.meta, "one");
	assert_int_equal(strncmp(owner.remote, "127.0.0.1:", 10), 0);
	/* again on the same connection */
	raw.len = 0;
	raw_say(&raw, "HEAD /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	assert_closes();
	assert_non_null(strstr((char *)raw.in, "Content-Length: 300000\r\n"));
	assert_non_null(strstr((char *)raw.in, "Connection: close\r\n\r\n"));
	assert_null(strstr((char *)raw.in, "lll"));
	assert_int_equal(counts().requests, 2);
}

static void requests_in_one_packet_are_answered_in_order(void **state)
{
	serve((struct server_options){});
	ask("GET /large HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nGET /no HTTP/1.0\r\n\r\n",
		"nothing\n");
	assert_closes();
	assert_non_null(strstr((char *)raw.in, "lll"));
	assert_non_null(strstr((char *)raw.in, "lllHTTP/1.1 200 OK\r\n"));
	assert_non_null(strstr((char *)raw.in, "hello\nHTTP/1.1 404 Not Found\r\n"));
}

static void a_head_may_come_byte_by_byte(void **state)
{
	static const char text[] = "\r\nGET http://else.test/x?y HTTP/1.1\r\nHost: a\r\n\r\n";

	serve((struct server_options){});
	raw_open(&raw);
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		raw_put(&raw, text + i, 1);
		loop_turn(loop, LOOP_MS);
	}
	WAIT_FOR(raw_has(&raw, "nothing\n"));
	assert_string_equal(owner.path, "/x");
	assert_string_equal(owner.query, "y");
	assert_string_equal(owner.host, "else.test");
	raw_close(&raw);
}

static void bad_requests_are_refused(void **state)
{
	static const struct { const char *text, *status; } cases[] = {
		{ "GET / HTTP/1.1\r\n\r\n", "400" },
		{ "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400" },
		{ "GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400" },
		{ "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", "400" },
		{ "GET / HTTP/1.1\nHost: a\n\n", "400" },
		{ "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "400" },
		{ "GET nowhere HTTP/1.1\r\nHost: a\r\n\r\n", "400" },
		{ "GET /#part HTTP/1.1\r\nHost: a\r\n\r\n", "400" },
		{ "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", "400" },
		{ "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1x\r\n\r\n", "400" },
		{ "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", "400" },
		{ "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
			"400" },
		{ "GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n", "400" },
		{ "\x16\x03\x01\x02", "400" },
		{ "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "505" },
		{ "GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505" },
		{ "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "413" },
		{ "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "413" },
		{ "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "405" },
		{ "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "405" },
		{ "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "405" },
	};
	char want[16];

	serve((struct server_options){});
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		snprintf(want, sizeof(want), "HTTP/1.1 %s ", cases[i].status);
		raw_open(&raw);
		raw_say(&raw, cases[i].text);
		shutdown(raw.fd, SHUT_WR);
		WAIT_FOR(raw_is_closed(&raw));
		if (strncmp((char *)raw.in, want, strlen(want)))
			fail_msg("%s: answered with %.60s", cases[i].text, raw.in);
		assert_non_null(strstr((char *)raw.in, "Connection: close\r\n"));
		assert_true(strcmp(cases[i].status, "405") || strstr((char *)raw.in, "Allow: GET, HEAD\r\n"));
		raw_close(&raw);
	}
	assert_int_equal(counts().malformed, 16);
	assert_int_equal(counts().oversized, 2);
	WAIT_FOR(counts().connections == 0);
}

static void a_head_that_is_too_long_is_refused(void **state)
{
	static char text[9000];

	serve((struct server_options){});
	snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\nX: %08500d\r\n\r\n", 0);
	ask(text, "HTTP/1.1 431 ");
	assert_closes();
	raw_open(&raw);
	raw_say(&raw, "GET / HTTP/1.1\r\nHost: a\r\n");
	for (int i = 0; i < 64; i++)
		raw_say(&raw, "X: 1\r\n");
	raw_say(&raw, "\r\n");
	WAIT_FOR(raw_has(&raw, "HTTP/1.1 431 "));
	assert_closes();
	assert_int_equal(counts().oversized, 2);
}

static void a_redirect_says_where_to(void **state)
{
	serve((struct server_options){});
	ask("GET /moved HTTP/1.0\r\n\r\n", "\r\nLocation: https://else.test/\r\n");
	assert_non_null(strstr((char *)raw.in, "HTTP/1.1 302 Found\r\n"));
	assert_closes();
}

static void only_trusted_proxies_tell_addresses(void **state)
{
	static const struct { const char *from, *fields, *remote; bool is_tls; } cases[] = {
		{ "127.0.0.1", "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n", "127.0.0.1:",
			false },
		{ "127.0.0.2", "X-Forwarded-For: 192.0.2.7\r\n", "192.0.2.7:0", false },
		{ "127.0.0.2", "X-Forwarded-For: 10.9.9.9, 192.0.2.8:4711\r\nX-Forwarded-Proto: https\r\n",
			"192.0.2.8:0", true },
		{ "127.0.0.2", "X-Forwarded-For: 10.1.1.1\r\nX-Forwarded-For: 2001:db8::5\r\n",
			"[2001:db8::5]:0", false },
		{ "127.0.0.2", "X-Forwarded-For: [2001:db8::6]:99\r\n", "[2001:db8::6]:0", false },
		{ "127.0.0.2", "X-Forwarded-For: somebody\r\n", "127.0.0.2:", false },
		{ "127.0.0.2", "X-Forwarded-For: 10.0.0.0/8\r\n", "127.0.0.2:", false },
		{ "127.0.0.2", "", "127.0.0.2:", false },
	};
	struct cidr proxy;

	cidr_parse(slice_from("127.0.0.2/31"), false, &proxy);
	serve((struct server_options){ .proxies = &proxy, .proxy_count = 1 });
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		raw_open_from(&raw, cases[i].from);
		raw_say(&raw, "GET / HTTP/1.0\r\n");
		raw_say(&raw, cases[i].fields);
		raw_say(&raw, "\r\n");
		WAIT_FOR(raw_has(&raw, "hello"));
		if (strncmp(owner.remote, cases[i].remote, strlen(cases[i].remote)))
			fail_msg("%s: %s", cases[i].fields, owner.remote);
		assert_int_equal(owner.is_tls, cases[i].is_tls);
		raw_close(&raw);
	}
}

static void connections_are_limited(void **state)
{
	static struct raw many[6];
	struct cidr proxy;

	cidr_parse(slice_from("127.0.0.9"), false, &proxy);
	serve((struct server_options){ .connections_max = 5, .connections_per_address = 2, .proxies = &proxy,
		.proxy_count = 1 });
	for (int i = 0; i < 3; i++)
		raw_open_from(&many[i], "127.0.0.5");
	WAIT_FOR(raw_is_closed(&many[2]));
	assert_int_equal(counts().refused_address, 1);
	for (int i = 3; i < 6; i++)
		raw_open_from(&many[i], "127.0.0.9");
	WAIT_FOR(counts().connections == 5);
	raw_open_from(&raw, "127.0.0.6");
	WAIT_FOR(raw_is_closed(&raw));
	assert_int_equal(counts().refused_full, 1);
	raw_close(&raw);
	/* who leaves makes room, also for his own address */
	raw_close(&many[0]);
	WAIT_FOR(counts().connections == 4);
	raw_open_from(&raw, "127.0.0.5");
	raw_say(&raw, "GET / HTTP/1.0\r\n\r\n");
	WAIT_FOR(raw_has(&raw, "hello"));
	raw_close(&raw);
	for (int i = 1; i < 6; i++)
		raw_close(&many[i]);
	WAIT_FOR(counts().connections == 0);
	assert_int_equal(counts().accepted, 6);
}

static void who_says_nothing_is_let_go(void **state)
{
	static struct raw slow;

	serve((struct server_options){ .silence_ns = 50 * LOOP_MS });
	raw_open(&raw);
	raw_open(&slow);
	raw_say(&slow, "GET / HT");
	WAIT_FOR(raw_is_closed(&raw) && raw_is_closed(&slow));
	assert_int_equal(counts().timed_out, 2);
	raw_close(&raw);
	raw_close(&slow);
	/* nor may a later request come byte by byte for ever */
	ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "hello\n");
	while (!raw_is_closed(&raw) && counts().timed_out == 2) {
		raw_say(&raw, "G");
		loop_turn(loop, 10 * LOOP_MS);
	}
	WAIT_FOR(raw_is_closed(&raw));
	assert_int_equal(counts().timed_out, 3);
	raw_close(&raw);
}

static void both_families_come_to_one_port(void **state)
{
	static const struct server_events events = { .request = on_request };
	const struct server_options options = { .listen.family = AF_INET6 };
	struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	char why[SERVER_WHY_LEN];

	memset(&owner, 0, sizeof(owner));
	assert_int_equal(server_new(loop, &options, &events, NULL, &server, why), 0);
	ask("GET / HTTP/1.0\r\n\r\n", "hello");
	assert_int_equal(strncmp(owner.remote, "127.0.0.1:", 10), 0);
	raw_close(&raw);
	to.sin6_port = htons(server_port(server));
	memset(&raw, 0, sizeof(raw));
	raw.fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(raw.fd, (struct sockaddr *)&to, sizeof(to)), 0);
	fcntl(raw.fd, F_SETFL, O_NONBLOCK);
	raw_say(&raw, "GET / HTTP/1.0\r\n\r\n");
	WAIT_FOR(raw_has(&raw, "hello"));
	assert_int_equal(strncmp(owner.remote, "[::1]:", 6), 0);
	raw_close(&raw);
}

static void a_drained_server_takes_nobody(void **state)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	serve((struct server_options){});
	to.sin_port = htons(server_port(server));
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "hello\n");
	server_drain(server);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), -1);
	raw.len = 0;
	raw_say(&raw, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_closes();
	assert_non_null(strstr((char *)raw.in, "Connection: close\r\n"));
	close(fd);
}

static void a_port_that_is_taken_is_told(void **state)
{
	const struct server_events events = { .request = on_request };
	struct server_options options = { .listen.family = AF_INET };
	char why[SERVER_WHY_LEN];
	struct server *other;

	serve((struct server_options){});
	options.listen.port = htons(server_port(server));
	((uint8_t *)&options.listen.remote)[0] = 127;
	((uint8_t *)&options.listen.remote)[3] = 1;
	assert_int_equal(server_new(loop, &options, &events, NULL, &other, why), -EADDRINUSE);
	assert_non_null(strstr(why, "cannot listen at 127.0.0.1:"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_request_is_answered),
		TEST(requests_in_one_packet_are_answered_in_order),
		TEST(a_head_may_come_byte_by_byte),
		TEST(bad_requests_are_refused),
		TEST(a_head_that_is_too_long_is_refused),
		TEST(a_redirect_says_where_to),
		TEST(only_trusted_proxies_tell_addresses),
		TEST(connections_are_limited),
		TEST(who_says_nothing_is_let_go),
		TEST(both_families_come_to_one_port),
		TEST(a_drained_server_takes_nobody),
		TEST(a_port_that_is_taken_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
