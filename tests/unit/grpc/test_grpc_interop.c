// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The gRPC client against python3-grpcio, over real sockets, in cleartext and over TLS. Skipped where that is
// not installed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include "grpc/grpc.h"
#include "stream/stream.h"
#include "unit/tls_server.h"

#define PATIENCE_NS	(30 * LOOP_SECOND)
#define DAY_S		86400L

extern char **environ;

static struct loop *loop;
static struct pair authority, pair;
static char authority_file[64], pair_file[64], script[512];
static bool is_missing;

/* One server process; ends when its input does. */
static struct python {
	pid_t pid;
	int input;
	uint16_t port;
} clear, secure;

struct seen {
	size_t messages, done, headers;
	uint8_t *last;
	size_t last_len, total;
	char registered[8];
	struct grpc_end end;
};

static void on_headers(void *ctx, const struct grpc_header *headers, size_t count)
{
	struct seen *seen = ctx;

	seen->headers++;
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
	free(seen->last);
	seen->last = malloc(len + 1);
	memcpy(seen->last, bytes, len);
	seen->last[len] = 0;
	seen->last_len = len;
}

static void on_done(void *ctx, const struct grpc_end *end)
{
	struct seen *seen = ctx;

	seen->done++;
	seen->end = *end;
}

static const struct grpc_call_events events = { .headers = on_headers, .message = on_message,
	.done = on_done };

/* ---- the server process ---- */

static bool read_port(int fd, uint16_t *port)
{
	char line[16] = "";
	size_t len = 0;

	while (len < sizeof(line) - 1 && read(fd, line + len, 1) == 1 && line[len] != '\n')
		len++;
	*port = atoi(line);
	return *port;
}

static bool start_python(struct python *python, char *pem)
{
	char *argv[] = { (char *)"/usr/bin/python3", script, pem, NULL };
	posix_spawn_file_actions_t actions;
	int in[2], out[2];
	bool ok;

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		return false;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in[0], 0);
	posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	ok = !posix_spawn(&python->pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(in[0]);
	close(out[1]);
	python->input = in[1];
	ok = ok && read_port(out[0], &python->port);
	close(out[0]);
	return ok;
}

static void stop_python(struct python *python)
{
	if (!python->pid)
		return;
	close(python->input);
	waitpid(python->pid, NULL, 0);
	python->pid = 0;
}

static bool has_grpcio(void)
{
	return !system("/usr/bin/python3 -c 'import grpc' >/dev/null 2>&1");
}

static int start_servers(void **state)
{
	/* beside this file; the tests run at the top of the tree */
	snprintf(script, sizeof(script), "%s", __FILE__);
	strcpy(strrchr(script, '/') + 1, "grpc_server.py");
	snprintf(authority_file, sizeof(authority_file), "/tmp/talon-test-%d-ca.pem", getpid());
	snprintf(pair_file, sizeof(pair_file), "/tmp/talon-test-%d-pair.pem", getpid());
	authority = make_certificate(NULL, "test authority", NULL, -DAY_S, DAY_S);
	pair = make_certificate(&authority, "localhost", "DNS:localhost", -DAY_S, DAY_S);
	write_pem(authority_file, &authority, false);
	write_pem(pair_file, &pair, true);
	setenv("SSL_CERT_FILE", authority_file, 1);
	is_missing = !has_grpcio();
	if (is_missing)
		return 0;
	return start_python(&clear, NULL) && start_python(&secure, pair_file) ? 0 : -1;
}

static int stop_servers(void **state)
{
	stop_python(&clear);
	stop_python(&secure);
	free_pair(&authority);
	free_pair(&pair);
	unlink(authority_file);
	unlink(pair_file);
	return 0;
}

/* ---- calls ---- */

static struct grpc_channel *channel_to(const struct python *python)
{
	const struct grpc_channel_options options = { .host = "localhost", .port = python->port,
		.tls = python == &secure };
	struct grpc_channel *channel;

	assert_int_equal(grpc_channel_new(loop, &options, &channel), 0);
	return channel;
}

static void wait_done(const struct seen *seen)
{
	uint64_t until = loop_now(loop) + PATIENCE_NS;

	while (!seen->done && loop_now(loop) < until)
		loop_turn(loop, LOOP_SECOND);
	assert_int_equal(seen->done, 1);
}

static struct grpc_call *start(struct grpc_channel *channel, const struct grpc_call_options *options,
	const char *text, struct seen *seen)
{
	struct grpc_call *call;

	assert_int_equal(grpc_call_start(channel, options, text, text ? strlen(text) : 0, &events, seen,
		&call), 0);
	return call;
}

static struct seen call(struct grpc_channel *channel, const char *path, const char *text, bool is_unary)
{
	const struct grpc_call_options options = { .path = path, .is_unary = is_unary,
		.timeout_ns = 20 * LOOP_SECOND };
	struct seen seen = {};

	start(channel, &options, text, &seen);
	wait_done(&seen);
	return seen;
}

static void assert_ok(struct seen *seen)
{
	if (seen->end.status)
		fail_msg("%s: %s", grpc_status_name(seen->end.status), seen->end.text);
	assert_true(seen->end.from_server);
}

static int setup(void **state)
{
	return loop_new(&loop);
}

static int teardown(void **state)
{
	stream_global_done();
	loop_free(loop);
	return 0;
}

/* Each case runs in cleartext, then over TLS. */
#define EACH(channel) \
	for (struct grpc_channel *channel = (is_missing ? skip() : (void)0, channel_to(&clear)), \
		*other = channel_to(&secure); channel; \
		grpc_channel_free(channel), channel = other, other = NULL)

static void a_message_comes_back(void **state)
{
	EACH(channel) {
		struct seen seen = call(channel, "/talon.Test/Echo", "hello", true);

		assert_ok(&seen);
		assert_string_equal(seen.last, "hello");
		free(seen.last);
		seen = call(channel, "/talon.Test/Echo", "", true);
		assert_ok(&seen);
		assert_int_equal(seen.last_len, 0);
		free(seen.last);
		seen = call(channel, "/talon.Test/Agent", "", true);
		assert_non_null(strstr((char *)seen.last, "talon/"));
		free(seen.last);
	}
}

static void large_messages_pass_both_ways(void **state)
{
	static char large[3 << 20];

	memset(large, 'a', sizeof(large) - 1);
	EACH(channel) {
		struct seen seen = call(channel, "/talon.Test/Echo", large, true);

		assert_ok(&seen);
		assert_int_equal(seen.last_len, sizeof(large) - 1);
		free(seen.last);
		seen = call(channel, "/talon.Test/Big", "16777216", true);
		assert_ok(&seen);
		assert_int_equal(seen.last_len, 16 << 20);
		free(seen.last);
		seen = call(channel, "/talon.Test/Big", "16777217", true);
		assert_int_equal(seen.end.status, GRPC_RESOURCE_EXHAUSTED);
		assert_false(seen.end.from_server);
	}
}

static void errors_are_the_servers(void **state)
{
	EACH(channel) {
		struct seen seen = call(channel, "/talon.Test/Fail", "x", true);

		assert_int_equal(seen.end.status, GRPC_NOT_FOUND);
		assert_true(seen.end.from_server);
		assert_string_equal(seen.end.text, "no such peer: \u20ac 100 % second line");
		seen = call(channel, "/talon.Test/Silent", "x", true);
		assert_int_equal(seen.end.status, GRPC_PERMISSION_DENIED);
		assert_string_equal(seen.end.text, "PermissionDenied");
		seen = call(channel, "/talon.Test/Nothing", "x", true);
		assert_int_equal(seen.end.status, GRPC_UNIMPLEMENTED);
		assert_true(seen.end.from_server);
	}
}

static void a_stream_of_answers(void **state)
{
	EACH(channel) {
		struct seen seen = call(channel, "/talon.Test/Count", "5000", false);

		assert_ok(&seen);
		assert_int_equal(seen.messages, 5000);
		assert_string_equal(seen.last, "4999");
		free(seen.last);
	}
}

static void both_sides_talk(void **state)
{
	const struct grpc_call_options options = { .path = "/talon.Test/Chat", .keep_open = true };

	EACH(channel) {
		struct seen seen = {};
		struct grpc_call *chat = start(channel, &options, NULL, &seen);
		uint64_t until = loop_now(loop) + PATIENCE_NS;

		for (size_t i = 0; i < 3; i++) {
			assert_int_equal(grpc_call_send(chat, "abc", 3), 0);
			while (seen.messages == i && loop_now(loop) < until)
				loop_turn(loop, LOOP_SECOND);
			assert_string_equal(seen.last, "cba");
		}
		grpc_call_half_close(chat);
		wait_done(&seen);
		assert_ok(&seen);
		free(seen.last);
	}
}

static void metadata_goes_there_and_headers_come_back(void **state)
{
	const struct grpc_header header = { "x-wiretrustee-peer-id", "key+/=" };
	const struct grpc_call_options options = { .path = "/talon.Test/Meta", .metadata = &header,
		.metadata_count = 1, .is_unary = true };

	EACH(channel) {
		struct seen seen = {};

		start(channel, &options, "", &seen);
		wait_done(&seen);
		assert_ok(&seen);
		assert_string_equal(seen.last, "key+/=");
		assert_string_equal(seen.registered, "1");
		free(seen.last);
	}
}

static void a_deadline_is_kept(void **state)
{
	const struct grpc_call_options options = { .path = "/talon.Test/Slow", .is_unary = true,
		.timeout_ns = 50 * LOOP_MS };

	EACH(channel) {
		struct seen seen = {};

		start(channel, &options, "", &seen);
		wait_done(&seen);
		assert_int_equal(seen.end.status, GRPC_DEADLINE_EXCEEDED);
	}
}

static void a_wrong_scheme_is_told(void **state)
{
	const struct grpc_channel_options to_clear = { .host = "localhost", .port = clear.port, .tls = true };
	const struct grpc_channel_options to_secure = { .host = "localhost", .port = secure.port };
	struct grpc_channel *channel;
	struct seen seen;

	if (is_missing)
		skip();
	assert_int_equal(grpc_channel_new(loop, &to_clear, &channel), 0);
	seen = call(channel, "/talon.Test/Echo", "x", true);
	assert_int_equal(seen.end.status, GRPC_UNAVAILABLE);
	assert_non_null(strstr(seen.end.text, "TLS"));
	grpc_channel_free(channel);
	assert_int_equal(grpc_channel_new(loop, &to_secure, &channel), 0);
	seen = call(channel, "/talon.Test/Echo", "x", true);
	assert_int_equal(seen.end.status, GRPC_UNAVAILABLE);
	assert_false(seen.end.from_server);
	grpc_channel_free(channel);
}

/* Last: it takes the server away. */
static void a_server_that_goes_is_noticed(void **state)
{
	struct grpc_channel *channel;
	struct seen seen = {};

	if (is_missing)
		skip();
	channel = channel_to(&clear);
	start(channel, &(struct grpc_call_options){ .path = "/talon.Test/Chat", .keep_open = true },
		"x", &seen);
	while (!seen.messages)
		loop_turn(loop, LOOP_SECOND);
	stop_python(&clear);
	wait_done(&seen);
	assert_int_not_equal(seen.end.status, GRPC_OK);
	free(seen.last);
	seen = call(channel, "/talon.Test/Echo", "x", true);
	assert_int_equal(seen.end.status, GRPC_UNAVAILABLE);
	assert_non_null(strstr(seen.end.text, "Connection refused"));
	grpc_channel_free(channel);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_message_comes_back),
		CASE(large_messages_pass_both_ways),
		CASE(errors_are_the_servers),
		CASE(a_stream_of_answers),
		CASE(both_sides_talk),
		CASE(metadata_goes_there_and_headers_come_back),
		CASE(a_deadline_is_kept),
		CASE(a_wrong_scheme_is_told),
		CASE(a_server_that_goes_is_noticed),
	};

	signal(SIGPIPE, SIG_DFL);
	return cmocka_run_group_tests(tests, start_servers, stop_servers);
}
