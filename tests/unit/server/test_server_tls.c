// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// TLS: our own clients, certificates that change, handshakes that fail; and python3-grpcio as a client, in
// cleartext and over TLS (skipped where that is not installed).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/ssl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "stream/stream.h"
#include "unit/certificates.h"
#include "unit/server/world.h"
#include "websocket/websocket.h"

#define DAY_S	86400L

extern char **environ;

static struct raw raw;
static struct pair authority, pair, other;
static char authority_file[64], pair_file[64];

static int make_files(void **state)
{
	snprintf(authority_file, sizeof(authority_file), "/tmp/talon-server-%d-ca.pem", getpid());
	snprintf(pair_file, sizeof(pair_file), "/tmp/talon-server-%d.pem", getpid());
	authority = make_certificate(NULL, "test authority", NULL, -DAY_S, DAY_S);
	pair = make_certificate(&authority, "localhost", "DNS:localhost,IP:127.0.0.1", -DAY_S, DAY_S);
	other = make_certificate(&authority, "other", "DNS:localhost,IP:127.0.0.1", -DAY_S, DAY_S);
	write_pem(authority_file, &authority, false);
	setenv("SSL_CERT_FILE", authority_file, 1);
	return 0;
}

static int remove_files(void **state)
{
	free_pair(&authority);
	free_pair(&pair);
	free_pair(&other);
	unlink(authority_file);
	unlink(pair_file);
	return 0;
}

static void serve_tls(struct server_options options)
{
	write_pem(pair_file, &pair, true);
	options.certificate = options.key = pair_file;
	serve(options);
}

/* ---- OpenSSL as a client, step by step ---- */

static SSL *begin_tls(const char *alpn)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);

	raw_open(&raw);
	SSL_set_fd(ssl, raw.fd);
	SSL_set_connect_state(ssl);
	if (alpn)
		SSL_set_alpn_protos(ssl, (const uint8_t *)alpn, strlen(alpn));
	SSL_CTX_free(ctx);
	return ssl;
}

static bool shake(SSL *ssl)
{
	int ret = 0;

	for (int i = 0; i < 1000 && ret != 1; i++) {
		ret = SSL_do_handshake(ssl);
		if (ret != 1 && SSL_get_error(ssl, ret) != SSL_ERROR_WANT_READ)
			break;
		loop_turn(loop, LOOP_MS);
	}
	return ret == 1;
}

static void end_tls(SSL *ssl)
{
	SSL_free(ssl);
	raw_close(&raw);
	WAIT_FOR(counts().connections == 0);
}

/* The common name that a new connection is shown. */
static void assert_name(const char *name)
{
	SSL *ssl = begin_tls(NULL);
	char text[64] = "";
	X509 *cert;

	assert_true(shake(ssl));
	cert = SSL_get_peer_certificate(ssl);
	X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, text, sizeof(text));
	X509_free(cert);
	assert_string_equal(text, name);
	end_tls(ssl);
}

static void a_request_is_answered_over_tls(void **state)
{
	static const char request[] = "GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
	static char answer[400000];
	size_t len = 0;
	SSL *ssl;
	int ret;

	serve_tls((struct server_options){});
	ssl = begin_tls("\x08http/1.1");
	assert_true(shake(ssl));
	assert_string_equal(SSL_get_version(ssl), "TLSv1.3");
	SSL_write(ssl, request, sizeof(request) - 1);
	do {
		loop_turn(loop, LOOP_MS);
		ret = SSL_read(ssl, answer + len, sizeof(answer) - len);
		len += ret > 0 ? ret : 0;
	} while (ret > 0 || SSL_get_error(ssl, ret) == SSL_ERROR_WANT_READ);
	assert_int_equal(SSL_get_error(ssl, ret), SSL_ERROR_ZERO_RETURN);
	assert_int_equal(strncmp(answer, "HTTP/1.1 200 OK\r\n", 17), 0);
	assert_int_equal(len - (strstr(answer, "\r\n\r\n") + 4 - answer), 300000);
	assert_true(owner.is_tls);
	end_tls(ssl);
}

static void protocols_are_agreed_on(void **state)
{
	static const struct { const char *asks, *gets; } cases[] = {
		{ "\x02h2", "h2" }, { "\x08http/1.1", "http/1.1" }, { "\x08http/1.1\x02h2", "h2" },
		{ NULL, "" },
	};
	const uint8_t *got;
	unsigned int len;
	SSL *ssl;

	serve_tls((struct server_options){});
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		ssl = begin_tls(cases[i].asks);
		assert_true(shake(ssl));
		SSL_get0_alpn_selected(ssl, &got, &len);
		assert_int_equal(len, strlen(cases[i].gets));
		assert_true(!len || !memcmp(got, cases[i].gets, len));
		end_tls(ssl);
	}
	assert_int_equal(counts().handshake_failed, 0);
	ssl = begin_tls("\x02h3");
	assert_false(shake(ssl));
	end_tls(ssl);
	ssl = begin_tls(NULL);
	SSL_set_security_level(ssl, 0);
	SSL_set_max_proto_version(ssl, TLS1_1_VERSION);
	assert_false(shake(ssl));
	end_tls(ssl);
	assert_int_equal(counts().handshake_failed, 2);
}

static void other_bytes_than_tls_are_refused(void **state)
{
	serve_tls((struct server_options){ .silence_ns = 100 * LOOP_MS });
	raw_open(&raw);
	raw_say(&raw, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	WAIT_FOR(raw_is_closed(&raw));
	raw_close(&raw);
	assert_int_equal(counts().handshake_failed, 1);
	raw_open(&raw);
	raw_put(&raw, "\x16\x03\x01\x00\xff\x01", 6);
	WAIT_FOR(raw_is_closed(&raw));
	assert_int_equal(counts().timed_out, 1);
	raw_close(&raw);
	assert_int_equal(owner.sockets + owner.calls, 0);
}

static void records_that_are_no_records_end_the_connection(void **state)
{
	SSL *ssl;

	serve_tls((struct server_options){});
	ssl = begin_tls(NULL);
	assert_true(shake(ssl));
	WAIT_FOR(counts().connections == 1);
	raw_put(&raw, "\x17\x03\x03\x00\x20" "0123456789abcdef0123456789abcdef", 37);
	WAIT_FOR(raw_is_closed(&raw));
	assert_int_equal(counts().malformed, 1);
	end_tls(ssl);
}

/* As certificate managers write: another file takes the name. */
static void replace(const struct pair *with)
{
	char path[80];

	snprintf(path, sizeof(path), "%s.new", pair_file);
	write_pem(path, with, true);
	assert_int_equal(rename(path, pair_file), 0);
}

static void a_changed_certificate_is_used(void **state)
{
	char why[SERVER_WHY_LEN];
	FILE *f;

	serve_tls((struct server_options){});
	assert_name("localhost");
	replace(&other);
	assert_int_equal(server_reload(server, why), 0);
	assert_name("other");
	f = fopen(pair_file, "w");
	fputs("nothing\n", f);
	fclose(f);
	assert_int_equal(server_reload(server, why), -EINVAL);
	assert_non_null(strstr(why, pair_file));
	assert_name("other");
	/* without being told: as soon as it is looked at again */
	replace(&pair);
	loop_turn(loop, 0);
	for (uint64_t until = loop_now(loop) + 1100 * LOOP_MS; loop_now(loop) < until;)
		loop_turn(loop, 50 * LOOP_MS);
	assert_name("localhost");
}

static void a_bad_certificate_is_told(void **state)
{
	const struct server_events events = { .request = on_request };
	struct server_options options = { .listen.family = AF_INET, .certificate = "/nowhere/cert.pem",
		.key = pair_file };
	char why[SERVER_WHY_LEN], path[80];
	struct server *none;

	assert_int_equal(server_new(loop, &options, &events, NULL, &none, why), -EINVAL);
	assert_non_null(strstr(why, "certificate /nowhere/cert.pem: "));
	write_pem(pair_file, &pair, true);
	snprintf(path, sizeof(path), "%s.other", pair_file);
	write_pem(path, &other, true);
	options.certificate = path;
	assert_int_equal(server_new(loop, &options, &events, NULL, &none, why), -EINVAL);
	assert_non_null(strstr(why, "key "));
	unlink(path);
}

/* ---- many handshakes of one address ---- */

/* A client that says hello and then nothing; it is not even asked for that. */
static int half_open(const char *address)
{
	static struct raw half;

	raw_open_from(&half, address);
	raw_put(&half, "\x16\x03\x01\x00\xff\x01", 6);
	return half.fd;
}

static void unfinished_handshakes_of_one_address_hold_nobody_else_up(void **state)
{
	int fds[5];
	SSL *ssl;

	serve_tls((struct server_options){ .handshakes_per_address = 3, .silence_ns = 500 * LOOP_MS });
	for (int i = 0; i < 5; i++)
		fds[i] = half_open("127.0.0.2");
	WAIT_FOR(counts().accepted == 5);
	assert_int_equal(counts().handshakes_put_off, 2);
	ssl = begin_tls(NULL);
	assert_true(shake(ssl));
	assert_int_equal(counts().handshakes_put_off, 2);
	SSL_free(ssl);
	raw_close(&raw);
	/* the three have their time, and then there is room for the two, which have as much */
	WAIT_FOR(counts().connections == 0);
	assert_int_equal(counts().timed_out + counts().handshake_late, 5);
	for (int i = 0; i < 5; i++)
		close(fds[i]);
}

static void a_handshake_that_was_put_off_comes_to_its_turn(void **state)
{
	SSL *ssl;
	int fd;

	serve_tls((struct server_options){ .handshakes_per_address = 1 });
	fd = half_open("127.0.0.1");
	WAIT_FOR(counts().accepted == 1);
	ssl = begin_tls(NULL);
	WAIT_FOR(counts().accepted == 2);
	assert_int_equal(counts().handshakes_put_off, 1);
	close(fd);
	assert_true(shake(ssl));
	assert_int_equal(counts().handshake_failed, 1);
	assert_int_equal(counts().handshake_late, 0);
	end_tls(ssl);
}

static void one_that_waits_and_goes_is_forgotten(void **state)
{
	int fd, waiting;
	SSL *ssl;

	serve_tls((struct server_options){ .handshakes_per_address = 1 });
	fd = half_open("127.0.0.1");
	waiting = half_open("127.0.0.1");
	WAIT_FOR(counts().handshakes_put_off == 1);
	assert_int_equal(setsockopt(waiting, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 },
		sizeof(struct linger)), 0);
	close(waiting);
	WAIT_FOR(counts().connections == 1);
	close(fd);
	WAIT_FOR(counts().connections == 0);
	ssl = begin_tls(NULL);
	assert_true(shake(ssl));
	end_tls(ssl);
}

/* 256 at once and no more come in a second: so the rest waits, and another address does not. */
static void an_address_that_begins_one_after_another_is_held_to_a_rate(void **state)
{
	SSL *ssl;

	serve_tls((struct server_options){ .handshakes_per_second = 1, .silence_ns = 300 * LOOP_MS });
	for (int i = 0; i < 256; i++) {
		raw_open_from(&raw, "127.0.0.2");
		raw_say(&raw, "GET /");
		WAIT_FOR(raw_is_closed(&raw));
		raw_close(&raw);
	}
	/* one a second may have come back since */
	WAIT_FOR(counts().connections == 0);
	assert_int_equal(counts().handshake_failed, 256);
	for (int i = 0; i < 20 && !counts().handshakes_put_off; i++) {
		close(half_open("127.0.0.2"));
		WAIT_FOR(counts().accepted == 257U + i);
	}
	assert_int_equal(counts().handshakes_put_off, 1);
	ssl = begin_tls(NULL);
	assert_true(shake(ssl));
	end_tls(ssl);
	assert_true(counts().handshake_late <= 1);
}

/* ---- our own WebSocket client ---- */

static struct { unsigned opened, messages; size_t bytes; } client;

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
	fail_msg("%s", why);
}

static void our_client_talks_to_it_over_tls(void **state)
{
	static const struct websocket_events events = { .opened = on_opened, .message = on_message,
		.closed = on_closed };
	static uint8_t packet[1400];
	struct websocket_options options = { .host = "localhost", .tls = true, .authority = "hub.test",
		.path = "/relay", .message_max = 8820, .timeout_ns = PATIENCE_NS };
	struct websocket *ws;
	unsigned sent = 0;

	serve_tls((struct server_options){});
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

/* ---- a client of another stack ---- */

static void run_python(const char *ca)
{
	char script[512], port[8], answer[16] = "";
	char *argv[] = { (char *)"/usr/bin/python3", script, port, (char *)ca, NULL };
	posix_spawn_file_actions_t actions;
	size_t len = 0;
	int out[2];
	pid_t pid;

	if (system("/usr/bin/python3 -c 'import grpc' >/dev/null 2>&1"))
		skip();
	/* beside this file; the tests run at the top of the tree */
	snprintf(script, sizeof(script), "%s", __FILE__);
	strcpy(strrchr(script, '/') + 1, "grpc_client.py");
	snprintf(port, sizeof(port), "%u", server_port(server));
	assert_int_equal(pipe2(out, O_CLOEXEC | O_NONBLOCK), 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	assert_int_equal(posix_spawn(&pid, argv[0], &actions, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	close(out[1]);
	for (ssize_t n = -1; n && len < sizeof(answer) - 1; len += n > 0 ? n : 0) {
		loop_turn(loop, 10 * LOOP_MS);
		n = read(out[0], answer + len, sizeof(answer) - 1 - len);
	}
	close(out[0]);
	waitpid(pid, NULL, 0);
	assert_string_equal(answer, "ok\n");
	WAIT_FOR(counts().calls == 0 && counts().connections == 0);
	assert_int_equal(owner.calls, owner.call_ends);
	assert_int_equal(counts().flooded, 0);
	assert_int_equal(counts().malformed, 0);
}

static void python_talks_to_it(void **state)
{
	serve((struct server_options){});
	run_python(NULL);
}

static void python_talks_to_it_over_tls(void **state)
{
	serve_tls((struct server_options){});
	run_python(authority_file);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_request_is_answered_over_tls),
		TEST(protocols_are_agreed_on),
		TEST(other_bytes_than_tls_are_refused),
		TEST(records_that_are_no_records_end_the_connection),
		TEST(a_changed_certificate_is_used),
		TEST(a_bad_certificate_is_told),
		TEST(unfinished_handshakes_of_one_address_hold_nobody_else_up),
		TEST(a_handshake_that_was_put_off_comes_to_its_turn),
		TEST(one_that_waits_and_goes_is_forgotten),
		TEST(an_address_that_begins_one_after_another_is_held_to_a_rate),
		TEST(our_client_talks_to_it_over_tls),
		TEST(python_talks_to_it),
		TEST(python_talks_to_it_over_tls),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
