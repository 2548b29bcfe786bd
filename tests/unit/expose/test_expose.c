// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Published services against a management server of the test's own, on a clock that only the test moves.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "expose/expose.h"
#include "management.pb-c.h"

#define STAYS 8

struct control_stay {
	struct control_exposed exposed;
	unsigned int told, ended;
	int ret;
	char why[500];
};

static struct {
	struct loop *loop;
	struct expose *expose;
	struct control_stay stays[STAYS];
	/* the call under way, and all so far */
	char method[32];
	uint8_t request[512];
	size_t len;
	expose_answer_fn fn;
	void *fn_ctx;
	unsigned int calls, cancels;
	int start_error;
} w;

void control_stay_tell(struct control_stay *stay, const struct control_exposed *exposed)
{
	stay->told++;
	stay->exposed = *exposed;
}

void control_stay_end(struct control_stay *stay, int ret, const char *why)
{
	stay->ended++;
	stay->ret = ret;
	snprintf(stay->why, sizeof(stay->why), "%s", why ? why : "");
}

static int on_call(void *ctx, const char *method, const uint8_t *bytes, size_t len, expose_answer_fn fn,
	void *fn_ctx, void **ret_call)
{
	assert_null(w.fn);	/* one service never has two calls */
	if (w.start_error)
		return w.start_error;
	snprintf(w.method, sizeof(w.method), "%s", method);
	assert_true(len <= sizeof(w.request));
	memcpy(w.request, bytes, len);
	w.len = len;
	w.fn = fn;
	w.fn_ctx = fn_ctx;
	w.calls++;
	*ret_call = &w;
	return 0;
}

static void on_cancel(void *ctx, void *call)
{
	assert_non_null(w.fn);
	w.fn = NULL;
	w.cancels++;
}

static int begin(void **state)
{
	static const struct expose_ops ops = { on_call, on_cancel };

	memset(&w, 0, sizeof(w));
	assert_int_equal(loop_new_fake(&w.loop, LOOP_SECOND), 0);
	return expose_new(w.loop, &ops, NULL, &w.expose);
}

static int end(void **state)
{
	expose_free(w.expose);
	loop_free(w.loop);
	return 0;
}

static void wait_s(unsigned int seconds)
{
	loop_advance(w.loop, loop_now(w.loop) + seconds * LOOP_SECOND);
}

static void answer(int status, bool from_server, const char *text, const void *bytes, size_t len)
{
	struct grpc_end ended = { .status = status, .from_server = from_server };
	expose_answer_fn fn = w.fn;

	assert_non_null(fn);
	snprintf(ended.text, sizeof(ended.text), "%s", text);
	w.fn = NULL;
	fn(w.fn_ctx, &ended, bytes, len);
}

static void answer_ok(void)
{
	answer(GRPC_OK, true, "", "", 0);
}

static void answer_created(void)
{
	Management__ExposeServiceResponse response = MANAGEMENT__EXPOSE_SERVICE_RESPONSE__INIT;
	uint8_t bytes[256];

	response.service_name = "app-1";
	response.service_url = "https://app-1.proxy.test";
	response.domain = "app-1.proxy.test";
	answer(GRPC_OK, true, "", bytes, management__expose_service_response__pack(&response, bytes));
}

static const struct control_expose web = { .port = 8080, .protocol = "http" };

static void publish(void)
{
	expose_add(w.expose, &web, &w.stays[0]);
	assert_string_equal(w.method, "CreateExpose");
	answer_created();
	assert_int_equal(w.stays[0].told, 1);
}

static void the_request_says_what_was_asked_for(void **state)
{
	char *groups[] = { "devs", "ops" };
	const struct control_expose all = { .port = 443, .protocol = "https", .pin = "123456",
		.password = "pw", .domain = "a.test", .name_prefix = "web", .groups = groups,
		.group_count = 2 };
	const struct control_expose raw = { .port = 53, .protocol = "udp", .external_port = 5353 };
	Management__ExposeServiceRequest *request;

	expose_add(w.expose, &all, &w.stays[0]);
	request = management__expose_service_request__unpack(NULL, w.len, w.request);
	assert_int_equal(request->port, 443);
	assert_int_equal(request->protocol, MANAGEMENT__EXPOSE_PROTOCOL__EXPOSE_HTTPS);
	assert_string_equal(request->pin, "123456");
	assert_string_equal(request->password, "pw");
	assert_string_equal(request->domain, "a.test");
	assert_string_equal(request->name_prefix, "web");
	assert_int_equal(request->n_user_groups, 2);
	assert_string_equal(request->user_groups[1], "ops");
	assert_int_equal(request->listen_port, 0);
	management__expose_service_request__free_unpacked(request, NULL);
	answer_created();
	expose_add(w.expose, &raw, &w.stays[1]);
	request = management__expose_service_request__unpack(NULL, w.len, w.request);
	assert_int_equal(request->protocol, MANAGEMENT__EXPOSE_PROTOCOL__EXPOSE_UDP);
	assert_int_equal(request->listen_port, 5353);
	management__expose_service_request__free_unpacked(request, NULL);
}

static void a_service_is_renewed_each_30_seconds_and_stopped_when_its_client_leaves(void **state)
{
	publish();
	for (unsigned int i = 0; i < 3; i++) {
		wait_s(29);
		assert_int_equal(w.calls, 1 + i);
		wait_s(1);
		assert_int_equal(w.calls, 2 + i);
		assert_string_equal(w.method, "RenewExpose");
		assert_memory_equal(w.request, "\n\x10" "app-1.proxy.test", w.len);
		answer_ok();
	}
	expose_leave(w.expose, &w.stays[0]);
	assert_string_equal(w.method, "StopExpose");
	assert_memory_equal(w.request, "\n\x10" "app-1.proxy.test", w.len);
	assert_int_equal(w.stays[0].ended, 0);
	assert_int_equal(expose_count(w.expose), 1);
	answer_ok();
	assert_int_equal(w.stays[0].ended, 1);
	assert_int_equal(w.stays[0].ret, 0);
	assert_int_equal(expose_count(w.expose), 0);
	wait_s(300);
	assert_int_equal(w.calls, 5);
}

static void a_client_that_leaves_while_its_service_is_made_leaves_none_behind(void **state)
{
	expose_add(w.expose, &web, &w.stays[0]);
	expose_leave(w.expose, &w.stays[0]);
	assert_string_equal(w.method, "CreateExpose");	/* its domain is not known yet */
	answer_created();
	assert_int_equal(w.stays[0].told, 0);
	assert_string_equal(w.method, "StopExpose");
	answer_ok();
	assert_int_equal(w.stays[0].ended, 1);
	assert_int_equal(expose_count(w.expose), 0);
}

static void a_client_that_leaves_during_a_renewal_is_not_kept_waiting(void **state)
{
	publish();
	wait_s(30);
	expose_leave(w.expose, &w.stays[0]);
	assert_int_equal(w.cancels, 1);
	assert_string_equal(w.method, "StopExpose");
	answer(GRPC_NOT_FOUND, true, "gone", NULL, 0);	/* as good as stopped */
	assert_int_equal(w.stays[0].ret, 0);
}

static void a_refused_renewal_ends_the_service_at_once(void **state)
{
	publish();
	wait_s(30);
	answer(GRPC_PERMISSION_DENIED, true, "no group", NULL, 0);
	assert_int_equal(w.stays[0].ret, -EREMOTEIO);
	assert_non_null(strstr(w.stays[0].why, "does not let this peer publish services"));
	assert_non_null(strstr(w.stays[0].why, "no group"));
	assert_string_equal(w.method, "StopExpose");
	answer_ok();
	assert_int_equal(w.stays[0].ended, 1);
	assert_int_equal(expose_count(w.expose), 0);
}

static void a_forgotten_service_is_not_stopped_once_more(void **state)
{
	publish();
	wait_s(30);
	answer(GRPC_NOT_FOUND, true, "expired", NULL, 0);
	assert_int_equal(w.stays[0].ended, 1);
	assert_null(w.fn);
	assert_int_equal(expose_count(w.expose), 0);
}

static void an_outage_is_waited_out_for_as_long_as_the_server_keeps_the_service(void **state)
{
	unsigned int calls;

	publish();
	wait_s(30);
	answer(GRPC_UNAVAILABLE, false, "no route", NULL, 0);
	for (int i = 0; i < 11; i++) {
		wait_s(5);
		answer(GRPC_UNAVAILABLE, false, "no route", NULL, 0);
		assert_int_equal(w.stays[0].ended, 0);
	}
	wait_s(5);
	answer_ok();			/* after 90 seconds less a little: all is well again */
	calls = w.calls;
	wait_s(29);
	assert_int_equal(w.calls, calls);
	wait_s(1);
	for (int i = 0; i < 12; i++) {
		answer(GRPC_DEADLINE_EXCEEDED, true, "slow proxy", NULL, 0);
		wait_s(5);
	}
	answer(GRPC_UNAVAILABLE, false, "no route", NULL, 0);
	assert_int_equal(w.stays[0].ended, 1);
	assert_string_equal(w.stays[0].why, "management cannot be reached: no route");
	assert_string_equal(w.method, "StopExpose");
}

static void an_end_that_is_not_confirmed_is_told(void **state)
{
	publish();
	expose_leave(w.expose, &w.stays[0]);
	answer(GRPC_UNAVAILABLE, false, "no route", NULL, 0);
	assert_int_equal(w.stays[0].ret, -EIO);
	assert_string_equal(w.stays[0].why, "management cannot be reached: no route");
	assert_int_equal(expose_count(w.expose), 0);
}

static void answers_that_cannot_be_used_publish_nothing(void **state)
{
	static const struct { const char *bytes; size_t len; } cases[] = {
		{ "", 0 },				/* no domain: it could not be renewed */
		{ "\xff", 1 },
		{ "\x1a\x03" "a\nb", 5 },		/* would forge a line */
		{ "\n\x01" "a\x1a\x04" "\x1b[2J", 9 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		expose_add(w.expose, &web, &w.stays[i]);
		answer(GRPC_OK, true, "", cases[i].bytes, cases[i].len);
		assert_int_equal(w.stays[i].told, 0);
		assert_int_equal(w.stays[i].ended, 1);
		assert_string_equal(w.stays[i].why, "management's answer cannot be read");
	}
	assert_int_equal(expose_count(w.expose), 0);
}

static void what_the_socket_asks_for_is_checked_again(void **state)
{
	char *many[] = { "" };
	const struct { struct control_expose expose; const char *why; } cases[] = {
		{ { .port = 0, .protocol = "http" }, "the port" },
		{ { .port = 1, .protocol = "ftp" }, "is not a protocol" },
		{ { .port = 1, .protocol = "tcp", .pin = "123456" }, "do not go with --protocol tcp" },
		{ { .port = 1, .protocol = "udp", .password = "x" }, "do not go with --protocol udp" },
		{ { .port = 1, .protocol = "tls", .groups = many, .group_count = 1 }, "--protocol tls" },
		{ { .port = 1, .protocol = "http", .groups = many, .group_count = 1 }, "names of groups" },
		{ { .port = 1, .protocol = "http", .pin = "1234567" }, "6 digits" },
		{ { .port = 1, .protocol = "http", .pin = "12345a" }, "6 digits" },
		{ { .port = 1, .protocol = "http", .password = "" }, "1 to 128" },
		{ { .port = 1, .protocol = "https", .external_port = 1 }, "expected tcp, udp or tls" },
		{ { .port = 1, .protocol = "http", .domain = "test" }, "is not a domain" },
		{ { .port = 1, .protocol = "http", .domain = "a..test" }, "is not a domain" },
		{ { .port = 1, .protocol = "http", .domain = "a.test." }, "is not a domain" },
		{ { .port = 1, .protocol = "http", .name_prefix = "a-" }, "is not a prefix" },
		{ { .port = 1, .protocol = "http", .name_prefix = "A" }, "is not a prefix" },
		{ { .port = 1, .protocol = "http", .name_prefix = "" }, "is not a prefix" },
		{ { .port = 1, .protocol = "http", .name_prefix = "abcdefghijklmnopqrstuvwxyz1234567" },
			"is not a prefix" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct control_stay stay = {};

		expose_add(w.expose, &cases[i].expose, &stay);
		assert_int_equal(stay.ended, 1);
		assert_int_equal(stay.ret, -EINVAL);
		if (!strstr(stay.why, cases[i].why))
			fail_msg("case %zu: '%s'", i, stay.why);
	}
	assert_int_equal(w.calls, 0);
}

static void each_status_code_has_a_line(void **state)
{
	static const struct { int status; const char *why; } cases[] = {
		{ GRPC_INVALID_ARGUMENT, "management does not take the request: text" },
		{ GRPC_PERMISSION_DENIED, "management does not let this peer publish services (in its "
			"dashboard: the account's setting, and the groups it names): text" },
		{ GRPC_NOT_FOUND, "management does not know the service (any more): text" },
		{ GRPC_ALREADY_EXISTS, "another service has this domain: text" },
		{ GRPC_RESOURCE_EXHAUSTED,
			"this peer publishes as many services as management permits: text" },
		{ GRPC_FAILED_PRECONDITION, "management cannot publish services as it is set up: text" },
		{ GRPC_UNIMPLEMENTED, "management is older than NetBird 0.66 and publishes no services" },
		{ GRPC_INTERNAL, "management failed, its log says more: text" },
		{ GRPC_ABORTED, "management answers Aborted: text" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct control_stay stay = {};

		expose_add(w.expose, &web, &stay);
		answer(cases[i].status, true, "text", NULL, 0);
		assert_int_equal(stay.ret, -EREMOTEIO);
		assert_string_equal(stay.why, cases[i].why);
	}
}

static void a_daemon_that_ends_tells_clients_first(void **state)
{
	publish();
	expose_stop_all(w.expose, "going down");
	assert_int_equal(w.stays[0].ended, 1);
	assert_string_equal(w.stays[0].why, "going down");
	assert_string_equal(w.method, "StopExpose");
	assert_int_equal(expose_count(w.expose), 1);
	answer_ok();
	assert_int_equal(expose_count(w.expose), 0);
	assert_int_equal(w.stays[0].ended, 1);
}

static void services_end_with_the_server_that_was_left(void **state)
{
	publish();
	wait_s(30);
	answer(GRPC_CANCELLED, false, "management was left before it answered", NULL, 0);
	assert_int_equal(w.stays[0].ret, -ECANCELED);
	assert_null(w.fn);
	assert_int_equal(expose_count(w.expose), 0);
}

static void a_call_that_cannot_be_started_is_an_error(void **state)
{
	w.start_error = -ENOMEM;
	expose_add(w.expose, &web, &w.stays[0]);
	assert_int_equal(w.stays[0].ret, -ENOMEM);
	assert_int_equal(expose_count(w.expose), 0);
}

static void freeing_ends_what_is_left(void **state)
{
	publish();
	expose_add(w.expose, &web, &w.stays[1]);
	expose_free(w.expose);
	w.expose = NULL;
	assert_int_equal(w.stays[0].ended, 1);
	assert_int_equal(w.stays[1].ended, 1);
	assert_int_equal(w.cancels, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_request_says_what_was_asked_for),
		TEST(a_service_is_renewed_each_30_seconds_and_stopped_when_its_client_leaves),
		TEST(a_client_that_leaves_while_its_service_is_made_leaves_none_behind),
		TEST(a_client_that_leaves_during_a_renewal_is_not_kept_waiting),
		TEST(a_refused_renewal_ends_the_service_at_once),
		TEST(a_forgotten_service_is_not_stopped_once_more),
		TEST(an_outage_is_waited_out_for_as_long_as_the_server_keeps_the_service),
		TEST(an_end_that_is_not_confirmed_is_told),
		TEST(answers_that_cannot_be_used_publish_nothing),
		TEST(what_the_socket_asks_for_is_checked_again),
		TEST(each_status_code_has_a_line),
		TEST(a_daemon_that_ends_tells_clients_first),
		TEST(services_end_with_the_server_that_was_left),
		TEST(a_call_that_cannot_be_started_is_an_error),
		TEST(freeing_ends_what_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
