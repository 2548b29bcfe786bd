// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// GET requests to a server on the same loop.
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../http_server.h"
#include "fetch/fetch.h"

#define HELLO "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 5\r\n\r\nhello"

struct world {
	struct loop *loop;
	struct fetch *fetch;
	struct http_server server;
	const char *says;
	char head[1024], url[64];
	/* what came back */
	unsigned int done, opened;
	long status;
	int error;
	char why[FETCH_WHY_LEN], cache[64], body[64], pieces[64];
	size_t len;
};

static const char *answer(struct http_server *server, const char *head)
{
	struct world *w = server->ctx;

	snprintf(w->head, sizeof(w->head), "%s", head);
	return w->says;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	char why[128];

	signal(SIGPIPE, SIG_IGN);
	*state = w;
	if (!w || loop_new(&w->loop) || http_server_open(&w->server, w->loop, answer, w))
		return -1;
	snprintf(w->url, sizeof(w->url), "http://127.0.0.1:%u/page?x=1", w->server.port);
	return fetch_new(w->loop, &w->fetch, why, sizeof(why));
}

static int teardown(void **state)
{
	struct world *w = *state;

	fetch_free(w->fetch);
	http_server_close(&w->server);
	loop_free(w->loop);
	free(w);
	return 0;
}

static void on_opened(void *ctx)
{
	struct world *w = ctx;

	w->opened++;
}

static int on_bytes(void *ctx, const char *bytes, size_t len)
{
	struct world *w = ctx;

	strncat(w->pieces, bytes, len);
	return strstr(w->pieces, "stop") ? -EBADMSG : 0;
}

static void on_done(void *ctx, const struct fetch_answer *said)
{
	struct world *w = ctx;

	w->done++;
	w->status = said->status;
	w->error = said->error;
	w->len = said->len;
	snprintf(w->why, sizeof(w->why), "%s", said->why);
	snprintf(w->cache, sizeof(w->cache), "%s", said->cache_control);
	snprintf(w->body, sizeof(w->body), "%s", said->body ? said->body : "");
	loop_stop(w->loop);
}

static void get(struct world *w, const struct fetch_options *options, bool is_gathered)
{
	const struct fetch_events events = { on_opened, is_gathered ? NULL : on_bytes, on_done };
	struct fetch_request *request;
	char why[FETCH_WHY_LEN];

	assert_int_equal(fetch_get(w->fetch, options, &events, w, &request, why, sizeof(why)), 0);
	assert_int_equal(w->done, 0);
	assert_int_equal(loop_run(w->loop), 0);
	assert_int_equal(w->done, 1);
}

static void a_body_is_gathered_and_how_long_it_holds_is_said(void **state)
{
	struct world *w = *state;

	w->says = HELLO;
	get(w, &(struct fetch_options){ .url = w->url, .field = "X-Own: 7", .timeout_s = 10, .most = 5 },
		true);
	assert_int_equal(w->status, 200);
	assert_int_equal(w->error, 0);
	assert_string_equal(w->body, "hello");
	assert_int_equal(w->len, 5);
	assert_string_equal(w->cache, "max-age=60");
	assert_int_equal(w->opened, 1);
	assert_memory_equal(w->head, "GET /page?x=1 HTTP/1.1\r\n", 24);
	assert_non_null(strstr(w->head, "\r\nX-Own: 7\r\n"));
}

static void a_body_that_is_longer_than_allowed_ends_the_request(void **state)
{
	struct world *w = *state;

	w->says = HELLO;
	get(w, &(struct fetch_options){ .url = w->url, .timeout_s = 10, .most = 4 }, true);
	assert_int_equal(w->error, -EMSGSIZE);
	assert_string_equal(w->why, "the answer is longer than 4 bytes");
}

static void who_takes_the_bytes_can_end_the_request(void **state)
{
	struct world *w = *state;

	w->says = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\none stop";
	get(w, &(struct fetch_options){ .url = w->url, .timeout_s = 10 }, false);
	assert_string_equal(w->pieces, "one stop");
	assert_int_equal(w->error, -EBADMSG);
}

static void an_answer_that_ends_early_is_an_error(void **state)
{
	struct world *w = *state;

	w->says = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf";
	get(w, &(struct fetch_options){ .url = w->url, .timeout_s = 10 }, false);
	assert_string_equal(w->pieces, "half");
	assert_int_equal(w->error, -ECONNRESET);
	assert_int_equal(w->status, 200);
}

static void a_redirect_is_not_followed_and_its_prose_not_kept(void **state)
{
	struct world *w = *state;

	w->says = "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 4\r\n\r\nover";
	get(w, &(struct fetch_options){ .url = w->url, .timeout_s = 10, .most = 100 }, true);
	assert_int_equal(w->status, 302);
	assert_int_equal(w->error, 0);
	assert_int_equal(w->server.requests, 1);
	assert_string_equal(w->body, "");
	assert_int_equal(w->opened, 0);
}

static void no_proxy_is_asked_on_the_way_to_loopback(void **state)
{
	struct world *w = *state;

	setenv("http_proxy", "http://127.0.0.1:1", 1);
	w->says = HELLO;
	get(w, &(struct fetch_options){ .url = w->url, .timeout_s = 10, .most = 5, .may_proxy = true }, true);
	unsetenv("http_proxy");
	assert_int_equal(w->status, 200);
}

static void a_server_that_is_not_there_gives_a_line(void **state)
{
	struct world *w = *state;
	char url[64];

	http_server_close(&w->server);
	snprintf(url, sizeof(url), "%s", w->url);
	get(w, &(struct fetch_options){ .url = url, .timeout_s = 10, .most = 5 }, true);
	assert_int_equal(w->error, -EHOSTUNREACH);
	assert_int_equal(w->status, 0);
	assert_true(w->why[0]);
	assert_int_equal(http_server_open(&w->server, w->loop, answer, w), 0);
}

static void only_the_web_is_spoken(void **state)
{
	static const char *const bad[] = { "file:///etc/passwd", "ftp://127.0.0.1/", "127.0.0.1", "" };
	const struct fetch_events events = { NULL, NULL, on_done };
	struct fetch_request *request;
	char why[FETCH_WHY_LEN];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct world *w = *state;

		assert_int_equal(fetch_get(w->fetch, &(struct fetch_options){ .url = bad[i] }, &events, w,
			&request, why, sizeof(why)), -EINVAL);
		assert_non_null(strstr(why, "expected http:// or https://"));
	}
}

/* The server never answers: nothing may come after the request was taken back. */
static void a_cancelled_request_says_nothing(void **state)
{
	const struct fetch_events events = { NULL, NULL, on_done };
	struct world *w = *state;
	struct fetch_request *request;
	char why[FETCH_WHY_LEN];

	assert_int_equal(fetch_get(w->fetch, &(struct fetch_options){ .url = w->url, .timeout_s = 10 },
		&events, w, &request, why, sizeof(why)), 0);
	while (!w->server.requests)
		assert_int_equal(loop_turn(w->loop, LOOP_SECOND), 0);
	fetch_cancel(request);
	assert_int_equal(loop_turn(w->loop, 0), 0);
	assert_int_equal(w->done, 0);
}

static void free_all(void *ctx, const struct fetch_answer *said)
{
	struct world *w = ctx;

	fetch_free(w->fetch);
	w->fetch = NULL;
	loop_stop(w->loop);
}

static void the_last_callback_may_free_everything(void **state)
{
	const struct fetch_events events = { NULL, NULL, free_all };
	struct world *w = *state;
	struct fetch_request *request;
	char why[FETCH_WHY_LEN];

	w->says = HELLO;
	assert_int_equal(fetch_get(w->fetch, &(struct fetch_options){ .url = w->url, .timeout_s = 10,
		.most = 5 },
		&events, w, &request, why, sizeof(why)), 0);
	assert_int_equal(loop_run(w->loop), 0);
	assert_null(w->fetch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		CASE(a_body_is_gathered_and_how_long_it_holds_is_said),
		CASE(a_body_that_is_longer_than_allowed_ends_the_request),
		CASE(who_takes_the_bytes_can_end_the_request),
		CASE(an_answer_that_ends_early_is_an_error),
		CASE(a_redirect_is_not_followed_and_its_prose_not_kept),
		CASE(no_proxy_is_asked_on_the_way_to_loopback),
		CASE(a_server_that_is_not_there_gives_a_line),
		CASE(only_the_web_is_spoken),
		CASE(a_cancelled_request_says_nothing),
		CASE(the_last_callback_may_free_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
