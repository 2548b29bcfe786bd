// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Streams on loopback sockets: the dial, the proxy, TLS and what each of them says when it fails.
// Certificates are made here.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stream/internal.h"
#include "stream/resolver.h"
#include "stream/stream.h"
#include "unit/tls_server.h"

#define PATIENCE_NS	(10 * LOOP_SECOND)
#define DAY_S		86400L

static struct loop *loop;
static struct server server;
static struct pair authority, other_authority;
static char authority_file[64], other_file[64];

static const char *const proxy_variables[] = {
	"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY",
	"no_proxy",
};

/* ---- the client's side ---- */

struct client {
	struct stream *stream;
	int connected, closed, error;
	char why[STREAM_WHY_LEN];
	const uint8_t *to_send;
	size_t left;
	uint8_t *got;
	size_t got_len, room, want;
	bool frees_itself;
};

static void write_on(struct client *c)
{
	while (c->left) {
		ssize_t put = stream_write(c->stream, c->to_send, c->left);

		if (put < 0)
			return;
		c->to_send += put;
		c->left -= put;
	}
}

static void on_connected(void *ctx)
{
	struct client *c = ctx;

	c->connected++;
	if (c->frees_itself) {
		stream_free(c->stream);
		c->stream = NULL;
		return;
	}
	write_on(c);
}

static void on_readable(void *ctx)
{
	struct client *c = ctx;
	uint8_t buf[5000];
	ssize_t got;

	while ((got = stream_read(c->stream, buf, sizeof(buf))) > 0) {
		while (c->got_len + got > c->room)
			c->got = realloc(c->got, c->room = c->room ? 2 * c->room : 8192);
		memcpy(c->got + c->got_len, buf, got);
		c->got_len += got;
	}
}

static void on_writable(void *ctx)
{
	write_on(ctx);
}

static void on_closed(void *ctx, int error, const char *why)
{
	struct client *c = ctx;

	c->closed++;
	c->error = error;
	snprintf(c->why, sizeof(c->why), "%s", why);
}

static const struct stream_events events = {
	.connected = on_connected, .readable = on_readable, .writable = on_writable, .closed = on_closed,
};

static bool is_done(const struct client *c)
{
	return c->closed || (c->connected && (c->frees_itself || c->got_len >= c->want));
}

static void wait_for(const struct client *c)
{
	uint64_t until = loop_now(loop) + PATIENCE_NS;

	while (!is_done(c) && loop_now(loop) < until)
		assert_int_equal(loop_turn(loop, LOOP_SECOND), 0);
	assert_true(is_done(c));
}

/* Opens, sends @text and waits until it came back, or the stream ended. */
static struct client *talk_to(const struct stream_options *options, const void *text, size_t len)
{
	struct client *c = calloc(1, sizeof(*c));

	c->to_send = text;
	c->left = len;
	c->want = len + (server.greeting ? strlen(server.greeting) : 0);
	assert_int_equal(stream_open(loop, options, &events, c, &c->stream), 0);
	assert_int_equal(c->connected + c->closed, 0);
	wait_for(c);
	return c;
}

static struct client *talk(const char *host, bool tls, const char *alpn)
{
	const struct stream_options options = { .host = host, .port = server.port, .tls = tls, .alpn = alpn };

	return talk_to(&options, "hello", 5);
}

static void forget(struct client *c)
{
	stream_free(c->stream);
	free(c->got);
	free(c);
}

static void assert_echo(struct client *c)
{
	if (c->closed)
		fail_msg("%s", c->why);
	assert_int_equal(c->got_len, c->want);
	assert_memory_equal(c->got + c->want - 5, "hello", 5);
	forget(c);
}

static void assert_fails(struct client *c, int error, const char *says)
{
	if (!c->closed || c->error != error || !strstr(c->why, says))
		fail_msg("closed %d with %d \"%s\", not %d \"...%s...\"", c->closed, c->error, c->why,
			error, says);
	assert_int_equal(c->closed, 1);
	assert_null(strchr(c->why, '\n'));
	forget(c);
}

static int setup(void **state)
{
	for (size_t i = 0; i < sizeof(proxy_variables) / sizeof(*proxy_variables); i++)
		unsetenv(proxy_variables[i]);
	setenv("SSL_CERT_FILE", authority_file, 1);
	setenv("SSL_CERT_DIR", "/nonexistent", 1);
	server = (struct server){};
	return loop_new(&loop);
}

static int teardown(void **state)
{
	server_stop(&server);
	stream_global_done();
	loop_free(loop);
	return 0;
}

/* ---- TCP ---- */

static void bytes_go_there_and_back(void **state)
{
	struct client *c;

	server_start(&server, loop);
	c = talk("127.0.0.1", false, NULL);
	assert_non_null(strstr(stream_peer(c->stream), "127.0.0.1:"));
	assert_echo(c);
	assert_echo(talk("localhost", false, NULL));
}

static void megabytes_are_not_lost_when_the_socket_is_full(void **state)
{
	static uint8_t big[4 << 20];
	static struct pair pair;

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = i * 7 >> 2;
	for (int tls = 0; tls < 2; tls++) {
		struct client *c;

		pair = make_certificate(&authority, "x", "IP:127.0.0.1", -DAY_S, DAY_S);
		server = (struct server){ .pair = tls ? &pair : NULL };
		server_start(&server, loop);
		c = talk_to(&(struct stream_options){ .host = "127.0.0.1", .port = server.port, .tls = tls },
			big, sizeof(big));
		assert_int_equal(c->closed, 0);
		assert_memory_equal(c->got, big, sizeof(big));
		forget(c);
		server_stop(&server);
		free_pair(&pair);
	}
}

static void a_refused_connection_says_so(void **state)
{
	server_start(&server, loop);
	server_stop(&server);
	assert_fails(talk("127.0.0.1", false, NULL), -ECONNREFUSED, "Connection refused");
	/* both of localhost's addresses are tried */
	assert_fails(talk("localhost", false, NULL), -ECONNREFUSED, "Connection refused");
}

static void a_server_that_closes_ends_the_stream_in_order(void **state)
{
	struct client *c = calloc(1, sizeof(*c));

	server.greeting = "bye";
	server_start(&server, loop);
	assert_int_equal(stream_open(loop, &(struct stream_options){ .host = "127.0.0.1",
		.port = server.port }, &events, c, &c->stream), 0);
	c->want = 3;
	wait_for(c);
	assert_memory_equal(c->got, "bye", 3);
	drop_guest(&server.guests[0]);
	c->want = 4;
	wait_for(c);
	assert_fails(c, 0, "closed the connection");
}

static void a_stream_may_be_freed_in_its_callback(void **state)
{
	struct client *c = calloc(1, sizeof(*c));

	server_start(&server, loop);
	c->frees_itself = true;
	assert_int_equal(stream_open(loop, &(struct stream_options){ .host = "127.0.0.1",
		.port = server.port }, &events, c, &c->stream), 0);
	wait_for(c);
	assert_int_equal(c->connected, 1);
	forget(c);
}

static void a_stream_that_gets_nowhere_ends_in_time(void **state)
{
	const struct pair pair = make_certificate(&authority, "x", "IP:127.0.0.1", -DAY_S, DAY_S);
	struct stream_options options = { .host = "127.0.0.1", .tls = true, .timeout_ns = 50 * LOOP_MS };

	server.deaf = true;
	server_start(&server, loop);
	options.port = server.port;
	assert_fails(talk_to(&options, "x", 1), -ETIMEDOUT,
		"no connection after 0.05 s (in the TLS handshake)");
	free_pair((struct pair *)&pair);
}

static void options_that_cannot_be_are_refused_at_once(void **state)
{
	static char long_name[300];
	struct stream *s;

	memset(long_name, 'a', sizeof(long_name) - 1);
	assert_int_equal(stream_open(loop, &(struct stream_options){ .host = "", .port = 1 }, &events, NULL,
		&s), -EINVAL);
	assert_int_equal(stream_open(loop, &(struct stream_options){ .host = "a" }, &events, NULL, &s),
		-EINVAL);
	assert_int_equal(stream_open(loop, &(struct stream_options){ .host = long_name, .port = 1 }, &events,
		NULL, &s), -EINVAL);
}

/* ---- TLS ---- */

static struct client *talk_tls(const char *host, const char *names, long from_s, long until_s,
	const char *wants, const char *selects)
{
	struct pair pair = make_certificate(&authority, "a server", names, from_s, until_s);
	struct client *c;

	server.pair = &pair;
	server.alpn = selects;
	server_start(&server, loop);
	c = talk(host, true, wants);
	server_stop(&server);
	free_pair(&pair);
	return c;
}

static void tls_by_address_and_by_name(void **state)
{
	assert_echo(talk_tls("127.0.0.1", "IP:127.0.0.1", -DAY_S, DAY_S, NULL, NULL));
	assert_echo(talk_tls("localhost", "DNS:localhost", -DAY_S, DAY_S, "h2", "h2"));
	assert_echo(talk_tls("localhost", "DNS:localhost", -DAY_S, DAY_S, "http/1.1", NULL));
}

/*
 * The relay of another peer, at the address where that peer found it: whom it belongs to is
 * what the name says.
 */
static void tls_at_a_given_address_is_still_by_name(void **state)
{
	struct pair pair = make_certificate(&authority, "a server", "DNS:relay.invalid", -DAY_S, DAY_S);
	struct stream_options options = { .host = "relay.invalid", .address = "127.0.0.1", .tls = true };
	struct endpoint at = {};
	struct client *c;

	server.pair = &pair;
	server_start(&server, loop);
	options.port = server.port;
	c = talk_to(&options, "hello", 5);
	assert_int_equal(stream_remote(c->stream, &at), 0);
	assert_int_equal(at.family, AF_INET);
	assert_int_equal(at.port, htons(server.port));
	assert_int_equal(at.remote.word[0], htonl(INADDR_LOOPBACK));
	assert_echo(c);
	options.host = "other.invalid";
	assert_fails(talk_to(&options, "hello", 5), -EPROTO, "other names (relay.invalid)");
	server_stop(&server);
	free_pair(&pair);
}

static void what_a_server_says_first_is_not_lost(void **state)
{
	server.greeting = "welcome, ";
	assert_echo(talk_tls("127.0.0.1", "IP:127.0.0.1", -DAY_S, DAY_S, NULL, NULL));
}

static void h2_has_to_be_selected(void **state)
{
	assert_fails(talk_tls("127.0.0.1", "IP:127.0.0.1", -DAY_S, DAY_S, "h2", NULL), -EPROTO,
		"did not select h2");
	assert_fails(talk_tls("127.0.0.1", "IP:127.0.0.1", -DAY_S, DAY_S, "h2", "http/1.1"), -EPROTO,
		"refuses h2");
}

static void a_certificate_for_somebody_else_is_refused(void **state)
{
	assert_fails(talk_tls("127.0.0.1", "DNS:a.test,DNS:b.test", -DAY_S, DAY_S, NULL, NULL), -EPROTO,
		"other names (a.test, b.test)");
	assert_fails(talk_tls("localhost", "DNS:mesh.test", -DAY_S, DAY_S, NULL, NULL), -EPROTO,
		"other names (mesh.test)");
	assert_fails(talk_tls("localhost", NULL, -DAY_S, DAY_S, NULL, NULL), -EPROTO,
		"other names (no host name)");
}

static void a_certificate_of_another_time_is_refused(void **state)
{
	assert_fails(talk_tls("127.0.0.1", "IP:127.0.0.1", -2 * DAY_S, -DAY_S, NULL, NULL), -EPROTO,
		"expired on 20");
	assert_fails(talk_tls("127.0.0.1", "IP:127.0.0.1", DAY_S, 2 * DAY_S, NULL, NULL), -EPROTO,
		"not valid before 20");
}

static void an_unknown_authority_is_refused(void **state)
{
	setenv("SSL_CERT_FILE", other_file, 1);
	assert_fails(talk_tls("127.0.0.1", "IP:127.0.0.1", -DAY_S, DAY_S, NULL, NULL), -EPROTO,
		"authority that this host does not know");
	/* without the variable the system's bundle is asked, which does not know it either */
	unsetenv("SSL_CERT_FILE");
	assert_fails(talk_tls("127.0.0.1", "IP:127.0.0.1", -DAY_S, DAY_S, NULL, NULL), -EPROTO,
		"authority that this host does not know");
}

static void a_directory_of_authorities_will_do(void **state)
{
	char dir[] = "/tmp/talon-test-ca-XXXXXX", path[128];

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/%08lx.0", dir, X509_subject_name_hash(authority.cert));
	write_pem(path, &authority, false);
	unsetenv("SSL_CERT_FILE");
	setenv("SSL_CERT_DIR", dir, 1);
	assert_echo(talk_tls("127.0.0.1", "IP:127.0.0.1", -DAY_S, DAY_S, NULL, NULL));
	unlink(path);
	rmdir(dir);
}

static void a_port_without_tls_is_named(void **state)
{
	server.greeting = "HTTP/1.1 400 Bad Request\r\n\r\n";
	server_start(&server, loop);
	assert_fails(talk("127.0.0.1", true, NULL), -EPROTO, "no TLS there");
}

static void old_tls_is_refused(void **state)
{
	server.tls_max = TLS1_1_VERSION;
	assert_fails(talk_tls("127.0.0.1", "IP:127.0.0.1", -DAY_S, DAY_S, NULL, NULL), -EPROTO,
		"TLS 1.2 or newer");
}

static void a_server_that_leaves_during_the_handshake_is_told(void **state)
{
	server.closes = true;
	server_start(&server, loop);
	assert_fails(talk("127.0.0.1", true, NULL), -EPROTO, "TLS handshake");
}

/* ---- the proxy ---- */

static void use_proxy(const char *variable, const char *credentials)
{
	char url[128];

	snprintf(url, sizeof(url), "http://%s127.0.0.1:%u", credentials, server.port);
	setenv(variable, url, 1);
}

static void a_proxy_carries_cleartext_and_tls(void **state)
{
	static const char request[] = "CONNECT mesh.test:443 HTTP/1.1\r\nHost: mesh.test:443\r\nUser-Agent: "
		"talon/";
	const struct stream_options clear = { .host = "mesh.test", .port = 80 };
	const struct stream_options tls = { .host = "mesh.test", .port = 443, .tls = true, .alpn = "h2" };
	struct pair pair = make_certificate(&authority, "x", "DNS:mesh.test", -DAY_S, DAY_S);

	server.proxy_answer = "HTTP/1.1 200 Connection established\r\nVia: me\r\n\r\n";
	server.greeting = "what the server says at once, ";
	server_start(&server, loop);
	use_proxy("http_proxy", "");
	assert_echo(talk_to(&clear, "hello", 5));
	server.pair = &pair;
	server.alpn = "h2";
	unsetenv("http_proxy");
	use_proxy("HTTPS_PROXY", "");
	assert_echo(talk_to(&tls, "hello", 5));
	assert_memory_equal(server.guests[1].request, request, sizeof(request) - 1);
	assert_null(strstr(server.guests[1].request, "Authorization"));
	free_pair(&pair);
}

static void a_proxy_gets_the_password(void **state)
{
	server.proxy_answer = "HTTP/1.0 200\r\n\r\n";
	server_start(&server, loop);
	use_proxy("ALL_PROXY", "aladdin:open%20sesame%40@");
	assert_echo(talk_to(&(struct stream_options){ .host = "mesh.test", .port = 80 }, "hello", 5));
	assert_non_null(strstr(server.guests[0].request,
		"\r\nProxy-Authorization: Basic YWxhZGRpbjpvcGVuIHNlc2FtZUA=\r\n"));
}

static void a_proxy_that_says_no_is_quoted(void **state)
{
	const struct stream_options options = { .host = "mesh.test", .port = 443, .tls = true };
	char want[128];

	server.proxy_answer = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
	server_start(&server, loop);
	use_proxy("https_proxy", "");
	snprintf(want, sizeof(want), "proxy 127.0.0.1:%u answered 403 Forbidden to CONNECT", server.port);
	assert_fails(talk_to(&options, "hello", 5), -ECONNREFUSED, want);
	server.proxy_answer = "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
	assert_fails(talk_to(&options, "hello", 5), -ECONNREFUSED, "user:password@");
	server.proxy_answer = "220 smtp.example.org\r\n\r\n";
	assert_fails(talk_to(&options, "hello", 5), -EPROTO, "not HTTP/1.1");
	server_stop(&server);
	assert_fails(talk_to(&options, "hello", 5), -ECONNREFUSED, "proxy 127.0.0.1:");
}

static void a_proxy_of_another_kind_is_refused_without_its_password(void **state)
{
	const struct stream_options options = { .host = "mesh.test", .port = 443, .tls = true };
	struct client *c;

	setenv("HTTPS_PROXY", "socks4://user:secret@127.0.0.1:1080", 1);
	c = talk_to(&options, "hello", 5);
	assert_null(strstr(c->why, "secret"));
	assert_fails(c, -EINVAL, "HTTPS_PROXY names a proxy of another kind");
	setenv("HTTPS_PROXY", "http://127.0.0.1:port", 1);
	assert_fails(talk_to(&options, "hello", 5), -EINVAL, "HTTPS_PROXY is not of the form");
}

static void this_host_and_excluded_ones_are_reached_directly(void **state)
{
	struct proxy proxy = {};
	char why[128];

	setenv("HTTPS_PROXY", "http://192.0.2.1:3128", 1);
	assert_int_equal(proxy_choose("mesh.test", 443, true, &proxy, why, sizeof(why)), 1);
	assert_string_equal(proxy.host, "192.0.2.1");
	assert_int_equal(proxy.port, 3128);
	assert_int_equal(proxy_choose("localhost", 443, true, &proxy, why, sizeof(why)), 0);
	assert_int_equal(proxy_choose("127.8.0.1", 443, true, &proxy, why, sizeof(why)), 0);
	assert_int_equal(proxy_choose("::1", 443, true, &proxy, why, sizeof(why)), 0);
	assert_int_equal(proxy_choose("mesh.test", 443, false, &proxy, why, sizeof(why)), 0);
	setenv("NO_PROXY", "mesh.test", 1);
	assert_int_equal(proxy_choose("mesh.test", 443, true, &proxy, why, sizeof(why)), 0);
}

/* Which variable counts, for https:// and for http://; the last column is its host. */
static void variables_have_curls_order(void **state)
{
	static const struct { const char *set[4]; bool tls; const char *host; } cases[] = {
		{ { "https_proxy=a", "HTTPS_PROXY=b" }, true, "a" },
		{ { "HTTPS_PROXY=b", "ALL_PROXY=c" }, true, "b" },
		{ { "ALL_PROXY=c" }, true, "c" }, { { "all_proxy=d", "ALL_PROXY=c" }, true, "d" },
		{ { "http_proxy=e" }, true, NULL },
		{ { "http_proxy=e", "all_proxy=d" }, false, "e" }, { { "ALL_PROXY=c" }, false, "c" },
		{ { "https_proxy=a" }, false, NULL },
		{ { "HTTP_PROXY=f" }, false, NULL }, { { "HTTP_PROXY=f", "ALL_PROXY=c" }, false, "c" },
		{ { "https_proxy=a", "no_proxy=other.test" }, true, "a" },
		{ { "https_proxy=a", "no_proxy=mesh.test" }, true, NULL },
		{ { "https_proxy=a", "no_proxy=x", "NO_PROXY=mesh.test" }, true, "a" },
		{ { "https_proxy=a", "NO_PROXY=*" }, true, NULL },
		{ { "https_proxy=" , "HTTPS_PROXY=b" }, true, "b" },
	};
	char why[128];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct proxy proxy = {};
		int ret;

		for (size_t j = 0; j < sizeof(proxy_variables) / sizeof(*proxy_variables); j++)
			unsetenv(proxy_variables[j]);
		for (size_t j = 0; j < 4 && cases[i].set[j]; j++)
			putenv((char *)cases[i].set[j]);
		ret = proxy_choose("mesh.test", 443, cases[i].tls, &proxy, why, sizeof(why));
		if (ret != (cases[i].host != NULL) || (ret && strcmp(proxy.host, cases[i].host)))
			fail_msg("case %zu: %d, %s", i, ret, proxy.host);
		proxy_done(&proxy);
	}
	for (size_t j = 0; j < sizeof(proxy_variables) / sizeof(*proxy_variables); j++)
		unsetenv(proxy_variables[j]);
}

/* What a SOCKS5 proxy says and hears, byte by byte: @in as it comes, @out all that was sent. */
static const struct socks_case {
	const char *url, *host;
	const char *in;
	size_t in_len;
	const char *out;
	size_t out_len;
	int ret;
	const char *why;
} socks_cases[] = {
#define B(text) text, sizeof(text) - 1
	/* RFC 1928: no authentication; the name goes to the proxy, an address as an address. */
	{ "socks5h://p", "mesh.test", B("\5\0" "\5\0\0\1\0\0\0\0\0\0"),
		B("\5\1\0" "\5\1\0\3\11mesh.test\1\273"), 0, NULL },
	{ "socks5://p", "mesh.test", B("\5\0" "\5\0\0\1\0\0\0\0\0\0"),
		B("\5\1\0" "\5\1\0\3\11mesh.test\1\273"), 0, NULL },
	{ "socks5h://p", "192.0.2.1", B("\5\0" "\5\0\0\3\4name\0\0"), B("\5\1\0" "\5\1\0\1\300\0\2\1\1\273"),
		0, NULL },
	{ "socks5h://p", "2001:db8::1", B("\5\0" "\5\0\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
	  B("\5\1\0" "\5\1\0\4\40\1\15\270\0\0\0\0\0\0\0\0\0\0\0\1\1\273"), 0, NULL },
	/* RFC 1929 */
	{ "socks5h://me:s%40c@p", "a", B("\5\2" "\1\0" "\5\0\0\1\0\0\0\0\0\0"),
	  B("\5\2\0\2" "\1\2me\3s@c" "\5\1\0\3\1a\1\273"), 0, NULL },
	{ "socks5h://me:x@p", "a", B("\5\0" "\5\0\0\1\0\0\0\0\0\0"), B("\5\2\0\2" "\5\1\0\3\1a\1\273"),
		0, NULL },
	{ "socks5h://me:x@p", "a", B("\5\2" "\1\1"), B("\5\2\0\2" "\1\2me\1x"), -EACCES,
		"does not take the user" },
	{ "socks5h://p", "a", B("\5\2"), B("\5\1\0"), -EACCES, "wants a password" },
	{ "socks5h://p", "a", B("\5\377"), B("\5\1\0"), -EACCES, "wants a password" },
	{ "socks5h://p", "a", B("\5\0" "\5\2\0\1\0"), B("\5\1\0" "\5\1\0\3\1a\1\273"), -ECONNREFUSED,
		"not allowed by its rules" },
	{ "socks5h://p", "a", B("\5\0" "\5\143\0\1\0"), B("\5\1\0" "\5\1\0\3\1a\1\273"), -ECONNREFUSED,
		"an error without a name" },
	{ "socks5h://p", "a", B("\5\0" "\5\0\0\11\0"), B("\5\1\0" "\5\1\0\3\1a\1\273"), -EPROTO,
		"not SOCKS5" },
	{ "socks5h://p", "a", B("HT"), B("\5\1\0"), -EPROTO, "not SOCKS5" },
	{ "socks5h://p", "a", B("\5"), B("\5\1\0"), -EAGAIN, NULL },
#undef B
};

static void check_socks(const struct socks_case *c, size_t chunk)
{
	struct proxy proxy = {};
	struct socks socks;
	uint8_t sent[2 * SOCKS_OUT_MAX];
	size_t sent_len, at = 0, more;
	int ret = -EAGAIN;
	char why[128];

	setenv("https_proxy", c->url, 1);
	assert_int_equal(proxy_choose("mesh.test", 443, true, &proxy, why, sizeof(why)), 1);
	assert_int_equal(proxy.port, 1080);
	sent_len = socks_begin(&socks, &proxy, sent);
	while (ret == -EAGAIN && at < c->in_len) {
		size_t len = socks.want - socks.have;

		assert_in_range(len, 1, SOCKS_IN_MAX);
		len = len > chunk ? chunk : len;
		len = len > c->in_len - at ? c->in_len - at : len;
		ret = socks_take(&socks, &proxy, c->host, 443, (const uint8_t *)c->in + at, len,
			sent + sent_len, &more);
		sent_len += more;
		at += len;
	}
	assert_int_equal(ret, c->ret);
	assert_int_equal(at, c->in_len);	/* not one byte of the server's */
	assert_int_equal(sent_len, c->out_len);
	assert_memory_equal(sent, c->out, sent_len);
	if (c->why)
		assert_non_null(strstr(socks.why, c->why));
	proxy_done(&proxy);
	unsetenv("https_proxy");
}

static void a_socks_proxy_is_talked_to_as_the_rfcs_say(void **state)
{
	for (size_t i = 0; i < sizeof(socks_cases) / sizeof(*socks_cases); i++) {
		check_socks(&socks_cases[i], 1000);
		check_socks(&socks_cases[i], 1);
	}
}

static void proxy_urls_have_several_forms(void **state)
{
	static const struct { const char *url, *host; uint16_t port; } good[] = {
		{ "http://proxy.test", "proxy.test", 80 }, { "proxy.test:3128", "proxy.test", 3128 },
		{ "HTTP://[2001:db8::1]:8080/", "2001:db8::1", 8080 },
		{ "socks5h://proxy.test", "proxy.test", 1080 },
		{ "SOCKS5://u@proxy.test:9", "proxy.test", 9 },
		{ "http://u:p@[2001:db8::1]", "2001:db8::1", 80 },
		{ "http://u@h@proxy.test:1", "proxy.test", 1 },
	};
	static const char *const bad[] = {
		"http://", "http://:80", "http://a:0", "http://a:70000", "http://[::1", "http://[::1]x",
		"https://a", "http://u:p@",
	};
	struct proxy proxy;
	char why[128];

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		proxy = (struct proxy){};
		setenv("HTTPS_PROXY", good[i].url, 1);
		assert_int_equal(proxy_choose("mesh.test", 443, true, &proxy, why, sizeof(why)), 1);
		assert_string_equal(proxy.host, good[i].host);
		assert_int_equal(proxy.port, good[i].port);
		proxy_done(&proxy);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		setenv("HTTPS_PROXY", bad[i], 1);
		assert_int_equal(proxy_choose("mesh.test", 443, true, &proxy, why, sizeof(why)), -EINVAL);
	}
}

static void no_proxy_rules(void **state)
{
	static const struct { const char *rules, *host; uint16_t port; bool excluded; } cases[] = {
		{ "*", "anything.test", 443, true },
		{ "", "a.test", 443, false },
		{ ",, ,", "a.test", 443, false },
		{ "mesh.test", "mesh.test", 443, true },
		{ "mesh.test", "MESH.Test", 443, true },
		{ "mesh.test", "a.mesh.test", 443, true },
		{ "mesh.test", "notmesh.test", 443, false },
		{ "mesh.test", "mesh.test.org", 443, false },
		{ ".mesh.test", "mesh.test", 443, true },
		{ ".mesh.test", "a.b.mesh.test", 443, true },
		{ "*.mesh.test", "a.mesh.test", 443, true },
		{ "*.mesh.test", "mesh.test", 443, false },
		{ "a.test, mesh.test ", "mesh.test", 443, true },
		{ "a.test mesh.test", "mesh.test", 443, true },
		{ "mesh.test:443", "mesh.test", 443, true },
		{ "mesh.test:443", "mesh.test", 80, false },
		{ "mesh.test:x", "mesh.test", 443, false },
		{ "10.0.0.1", "10.0.0.1", 443, true },
		{ "10.0.0.1", "10.0.0.10", 443, false },
		{ "10.0.0.1:80", "10.0.0.1", 443, false },
		{ "10.0.0.0/8", "10.200.3.4", 443, true },
		{ "10.0.0.0/8", "11.0.0.1", 443, false },
		{ "192.168.0.0/23", "192.168.1.9", 443, true },
		{ "192.168.0.0/23", "192.168.2.9", 443, false },
		{ "0.0.0.0/0", "8.8.8.8", 443, true },
		{ "0.0.0.0/0", "2001:db8::1", 443, false },
		{ "10.0.0.0/33", "10.0.0.1", 443, false },
		{ "10.0.0.0/", "10.0.0.0", 443, false },
		{ "2001:db8::/32", "2001:db8:1::5", 443, true },
		{ "2001:db8::/32", "2001:db9::5", 443, false },
		{ "2001:db8::1", "2001:db8:0::1", 443, true },
		{ "[2001:db8::1]:443", "2001:db8::1", 443, true },
		{ "[2001:db8::1]:80", "2001:db8::1", 443, false },
		{ "10.0.0.0/8", "ten.test", 443, false },
		{ "test", "mesh.test", 443, true },
		{ "0.1", "10.0.0.1", 443, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (proxy_is_excluded(cases[i].rules, cases[i].host, cases[i].port) != cases[i].excluded)
			fail_msg("\"%s\" and %s:%u", cases[i].rules, cases[i].host, cases[i].port);
	}
}

static void a_proxys_answer_is_taken_to_its_end_and_no_further(void **state)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\nPRI";
	static const char *const bad[] = { "HTTP/2 200\r\n\r\n", "HTTP/1.1 2000 x\r\n\r\n",
		"HTTP/1.1 20\r\n\r\n", "\r\n\r\n", "HTTP/1.x 200\n\n" };
	struct proxy_answer answer;
	size_t used;

	for (size_t step = 1; step < sizeof(text); step++) {
		size_t at = 0;
		int ret = -EAGAIN;

		answer = (struct proxy_answer){};
		while (ret == -EAGAIN) {
			size_t part = sizeof(text) - 1 - at < step ? sizeof(text) - 1 - at : step;

			assert_int_not_equal(part, 0);
			ret = proxy_answer_feed(&answer, text + at, part, &used);
			at += used;
		}
		assert_int_equal(ret, 0);
		assert_int_equal(answer.status, 200);
		assert_string_equal(text + at, "PRI");
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		answer = (struct proxy_answer){};
		assert_int_equal(proxy_answer_feed(&answer, bad[i], strlen(bad[i]), &used), -EPROTO);
	}
	answer = (struct proxy_answer){};
	assert_int_equal(proxy_answer_feed(&answer, "HTTP/1.1 200 OK\r\n", 17, &used), -EAGAIN);
	for (int i = 0; i < PROXY_ANSWER_MAX / 8; i++) {
		if (proxy_answer_feed(&answer, "a: bcd\r\n", 8, &used) == -EPROTO)
			return;
	}
	fail_msg("headers without end");
}

/* ---- names ---- */

struct name_server {
	struct loop_fd watch;
	uint16_t port;
	int asked;
	bool deaf;
};

struct answer {
	int count;
	enum resolver_result result;
	size_t addresses;
	struct resolver_address list[8];
};

static void take_answer(void *ctx, enum resolver_result result, const struct resolver_address *list,
	size_t count)
{
	struct answer *a = ctx;

	a->count++;
	a->result = result;
	a->addresses = count;
	for (size_t i = 0; i < count && i < 8; i++)
		a->list[i] = list[i];
}

/*
 * Answers the first question: names that begin with n do not exist, with 4 have A records only, with f fail.
 */
static void answer_name(void *ctx, uint32_t ready)
{
	static const uint8_t a[] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 77, 0, 4, 192, 0, 2, 9 };
	static const uint8_t aaaa[] = { 0xc0, 12, 0, 28, 0, 1, 0, 0, 0, 78, 0, 16, 0x20, 1, 0xd, 0xb8, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0, 0, 9 };
	struct name_server *ns = ctx;
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	uint8_t packet[512];
	ssize_t len = recvfrom(ns->watch.fd, packet, sizeof(packet), 0, (void *)&from, &from_len);
	size_t end = 12;

	if (len < 17 || ns->deaf)
		return;
	ns->asked++;
	while (packet[end])
		end += packet[end] + 1;
	end += 5;
	packet[2] = 0x81;
	packet[3] = 0x80 | (packet[13] == 'n' ? 3 : packet[13] == 'f' ? 2 : 0);
	packet[10] = packet[11] = 0;
	if (!(packet[3] & 15) && packet[end - 3] == 1) {
		packet[7] = 1;
		memcpy(packet + end, a, sizeof(a));
		end += sizeof(a);
	} else if (!(packet[3] & 15) && packet[13] != '4') {
		packet[7] = 1;
		memcpy(packet + end, aaaa, sizeof(aaaa));
		end += sizeof(aaaa);
	}
	sendto(ns->watch.fd, packet, end, 0, (void *)&from, from_len);
}

static struct answer ask(const char *name, int family, uint64_t timeout_ns)
{
	uint64_t until = loop_now(loop) + PATIENCE_NS;
	struct answer a = {};

	assert_int_equal(resolver_ask(resolver_get(loop), name, family, timeout_ns, take_answer, &a,
		NULL), 0);
	assert_int_equal(a.count, 0);
	while (!a.count && loop_now(loop) < until)
		loop_turn(loop, LOOP_SECOND);
	assert_int_equal(a.count, 1);
	return a;
}

static void start_name_server(struct name_server *names)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	char where[64];

	names->port = listen_on(fd);
	assert_int_equal(loop_fd_add(loop, &names->watch, fd, EPOLLIN, answer_name, names), 0);
	snprintf(where, sizeof(where), "127.0.0.1:%u", names->port);
	assert_int_equal(resolver_use_servers(resolver_get(loop), where), 0);
}

static void stop_name_server(struct name_server *names)
{
	loop_fd_remove(loop, &names->watch);
	close(names->watch.fd);
}

static void literal_addresses_need_no_server(void **state)
{
	struct name_server names = { .deaf = true };
	struct answer a;

	start_name_server(&names);
	a = ask("192.0.2.7", AF_UNSPEC, LOOP_SECOND);
	assert_int_equal(a.result, RESOLVER_OK);
	assert_int_equal(a.list[0].family, AF_INET);
	assert_memory_equal(&a.list[0].addr, "\xc0\0\2\7", 4);
	a = ask("2001:db8::1", AF_INET6, LOOP_SECOND);
	assert_int_equal(a.list[0].family, AF_INET6);
	assert_int_equal(ask("2001:db8::1", AF_INET, LOOP_SECOND).result, RESOLVER_NO_DATA);
	assert_int_equal(ask("localhost", AF_INET, LOOP_SECOND).result, RESOLVER_OK);
	stop_name_server(&names);
}

static void names_are_asked_for_and_say_how_long_they_hold(void **state)
{
	struct name_server names = {};
	struct answer a;

	start_name_server(&names);
	a = ask("app.mesh.test", AF_INET, 5 * LOOP_SECOND);
	assert_int_equal(a.result, RESOLVER_OK);
	assert_int_equal(a.addresses, 1);
	assert_memory_equal(&a.list[0].addr, "\xc0\0\2\x09", 4);
	assert_int_equal(a.list[0].ttl_s, 77);
	a = ask("app.mesh.test", AF_INET6, 5 * LOOP_SECOND);
	assert_int_equal(a.list[0].ttl_s, 78);
	assert_int_equal(ask("app.mesh.test", AF_UNSPEC, 5 * LOOP_SECOND).addresses, 2);
	assert_int_equal(ask("4.mesh.test", AF_INET6, 5 * LOOP_SECOND).result, RESOLVER_NO_DATA);
	assert_int_equal(ask("4.mesh.test", AF_UNSPEC, 5 * LOOP_SECOND).addresses, 1);
	assert_int_equal(ask("none.mesh.test", AF_INET, 5 * LOOP_SECOND).result, RESOLVER_NOT_FOUND);
	assert_int_equal(ask("fail.mesh.test", AF_INET, 5 * LOOP_SECOND).result, RESOLVER_FAILED);
	stop_name_server(&names);
}

static void a_server_that_is_silent_is_given_up_in_time(void **state)
{
	struct name_server names = { .deaf = true };

	start_name_server(&names);
	assert_int_equal(ask("app.mesh.test", AF_INET, 30 * LOOP_MS).result, RESOLVER_TIMED_OUT);
	stop_name_server(&names);
}

static void a_cancelled_question_is_not_answered(void **state)
{
	struct name_server names = {};
	struct resolver_query *query;
	struct answer a = {};

	start_name_server(&names);
	assert_int_equal(resolver_ask(resolver_get(loop), "app.mesh.test", AF_INET, LOOP_SECOND, take_answer,
		&a, &query), 0);
	resolver_cancel(query);
	assert_int_equal(resolver_ask(resolver_get(loop), "192.0.2.1", AF_INET, LOOP_SECOND, take_answer, &a,
		&query), 0);
	resolver_cancel(query);
	assert_int_equal(ask("b.mesh.test", AF_INET, LOOP_SECOND).result, RESOLVER_OK);
	assert_int_equal(a.count, 0);
	stop_name_server(&names);
}

static void a_stream_says_why_its_name_led_nowhere(void **state)
{
	struct name_server names = {};

	start_name_server(&names);
	assert_fails(talk_to(&(struct stream_options){ .host = "none.mesh.test", .port = 443 }, "x", 1),
		-ENOENT, "none.mesh.test: no such name");
	assert_fails(talk_to(&(struct stream_options){ .host = "fail.mesh.test", .port = 443 }, "x", 1),
		-EHOSTUNREACH, "look-up of the name failed");
	names.deaf = true;
	assert_fails(talk_to(&(struct stream_options){ .host = "a.mesh.test", .port = 443,
		.timeout_ns = 30 * LOOP_MS }, "x", 1), -ETIMEDOUT, "looking up a.mesh.test");
	stop_name_server(&names);
}

static int make_authorities(void **state)
{
	snprintf(authority_file, sizeof(authority_file), "/tmp/talon-test-%d-ca.pem", getpid());
	snprintf(other_file, sizeof(other_file), "/tmp/talon-test-%d-other.pem", getpid());
	authority = make_certificate(NULL, "test authority", NULL, -DAY_S, DAY_S);
	other_authority = make_certificate(NULL, "other authority", NULL, -DAY_S, DAY_S);
	write_pem(authority_file, &authority, false);
	write_pem(other_file, &other_authority, false);
	return 0;
}

static int remove_authorities(void **state)
{
	free_pair(&authority);
	free_pair(&other_authority);
	unlink(authority_file);
	unlink(other_file);
	return 0;
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(bytes_go_there_and_back),
		CASE(megabytes_are_not_lost_when_the_socket_is_full),
		CASE(a_refused_connection_says_so),
		CASE(a_server_that_closes_ends_the_stream_in_order),
		CASE(a_stream_may_be_freed_in_its_callback),
		CASE(a_stream_that_gets_nowhere_ends_in_time),
		CASE(options_that_cannot_be_are_refused_at_once),
		CASE(tls_by_address_and_by_name),
		CASE(tls_at_a_given_address_is_still_by_name),
		CASE(what_a_server_says_first_is_not_lost),
		CASE(h2_has_to_be_selected),
		CASE(a_certificate_for_somebody_else_is_refused),
		CASE(a_certificate_of_another_time_is_refused),
		CASE(an_unknown_authority_is_refused),
		CASE(a_directory_of_authorities_will_do),
		CASE(a_port_without_tls_is_named),
		CASE(old_tls_is_refused),
		CASE(a_server_that_leaves_during_the_handshake_is_told),
		CASE(a_proxy_carries_cleartext_and_tls),
		CASE(a_proxy_gets_the_password),
		CASE(a_proxy_that_says_no_is_quoted),
		CASE(a_proxy_of_another_kind_is_refused_without_its_password),
		CASE(this_host_and_excluded_ones_are_reached_directly),
		CASE(variables_have_curls_order),
		CASE(a_socks_proxy_is_talked_to_as_the_rfcs_say),
		CASE(proxy_urls_have_several_forms),
		CASE(no_proxy_rules),
		CASE(a_proxys_answer_is_taken_to_its_end_and_no_further),
		CASE(literal_addresses_need_no_server),
		CASE(names_are_asked_for_and_say_how_long_they_hold),
		CASE(a_server_that_is_silent_is_given_up_in_time),
		CASE(a_cancelled_question_is_not_answered),
		CASE(a_stream_says_why_its_name_led_nowhere),
	};

	return cmocka_run_group_tests(tests, make_authorities, remove_authorities);
}
