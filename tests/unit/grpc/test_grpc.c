// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The gRPC client against an nghttp2 server in memory: how calls end, in every way that a server, a proxy or
// a broken wire can end them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "grpc/grpc_internal.h"
#include "unit/grpc_peer.h"

#define SECOND LOOP_SECOND

static struct loop *loop;
static struct grpc_channel *channel;

struct seen {
	struct grpc_call *call;
	size_t headers, messages, done, header_count;
	char registered[16];
	struct peer_bytes last;
	struct grpc_end end;
	/* what to do in a callback */
	bool cancels_itself, frees_channel, resets_channel, starts_another;
	struct grpc_call *other;
};

static const struct grpc_call_events events;

static void react(struct seen *seen)
{
	if (seen->cancels_itself)
		grpc_call_cancel(seen->call);
	if (seen->other)
		grpc_call_cancel(seen->other);
	seen->other = NULL;
	if (seen->resets_channel)
		grpc_channel_reset(channel, "reset in a callback");
	if (seen->frees_channel) {
		grpc_channel_free(channel);
		channel = NULL;
	}
}

static void on_headers(void *ctx, const struct grpc_header *headers, size_t count)
{
	struct seen *seen = ctx;

	seen->headers++;
	seen->header_count = count;
	for (size_t i = 0; i < count; i++) {
		if (!strcmp(headers[i].name, "x-wiretrustee-peer-registered"))
			snprintf(seen->registered, sizeof(seen->registered), "%s", headers[i].value);
	}
}

static void on_message(void *ctx, const uint8_t *bytes, size_t len)
{
	struct seen *seen = ctx;

	seen->messages++;
	seen->last.len = 0;
	peer_put(&seen->last, bytes, len);
	react(seen);
}

static void on_done(void *ctx, const struct grpc_end *end)
{
	struct seen *seen = ctx;

	seen->done++;
	seen->end = *end;
	react(seen);
}

static const struct grpc_call_events events = { .headers = on_headers, .message = on_message,
	.done = on_done };

static int setup(void **state)
{
	const struct grpc_channel_options options = { .host = "mesh.test", .port = 443, .tls = true };

	peer = (typeof(peer)){};
	assert_int_equal(loop_new_fake(&loop, 1000 * SECOND), 0);
	assert_int_equal(grpc_channel_new(loop, &options, &channel), 0);
	return 0;
}

static int teardown(void **state)
{
	grpc_channel_free(channel);
	channel = NULL;
	loop_free(loop);
	return 0;
}

static void start(struct seen *seen, const struct grpc_call_options *options, const char *text)
{
	assert_int_equal(grpc_call_start(channel, options, text, text ? strlen(text) : 0, &events, seen,
		&seen->call), 0);
}

static const struct grpc_call_options unary = { .path = "/test.Service/Unary", .is_unary = true,
	.timeout_ns = 10 * SECOND };
static const struct grpc_call_options streaming = { .path = "/test.Service/Stream" };

static struct seen call_once(const struct grpc_call_options *options)
{
	struct seen seen = {};

	start(&seen, options, "hello");
	assert_int_equal(seen.done, 0);
	peer_run(loop, 0);
	return seen;
}

static void forget(struct seen *seen)
{
	free(seen->last.bytes);
}

/* ---- good answers ---- */

static void say_hello(struct stream *s, struct peer_request *request)
{
	peer_answer_ok(s, request, "hello too");
}

static void a_unary_call_is_answered(void **state)
{
	static const char *const order[] = { ":method", ":scheme", ":path", ":authority", "content-type",
		"user-agent", "te", "grpc-timeout" };
	const struct peer_request *request;
	struct seen seen;

	peer.on_request = say_hello;
	seen = call_once(&unary);
	assert_int_equal(seen.done, 1);
	assert_int_equal(seen.end.status, GRPC_OK);
	assert_true(seen.end.from_server);
	assert_int_equal(seen.end.http_status, 200);
	assert_int_equal(seen.messages, 1);
	assert_string_equal(seen.last.bytes, "hello too");
	request = &peer_newest()->requests[0];
	assert_int_equal(request->header_count, 8);
	for (size_t i = 0; i < 8; i++)
		assert_string_equal(request->headers[i].name, order[i]);
	assert_string_equal(peer_header(request, ":authority"), "mesh.test:443");
	assert_string_equal(peer_header(request, "grpc-timeout"), "10000000u");
	assert_memory_equal(request->body.bytes, "\0\0\0\0\5hello", 10);
	assert_false(request->was_reset);
	assert_true(peer_newest()->options.tls);
	assert_string_equal(peer_newest()->options.alpn, "h2");
	assert_true(grpc_channel_is_connected(channel));
	forget(&seen);
}

static void one_connection_carries_all_calls(void **state)
{
	struct seen seen[20] = {};

	peer.on_request = say_hello;
	for (size_t i = 0; i < 20; i++)
		start(&seen[i], &unary, "x");
	peer_run(loop, 0);
	for (size_t i = 0; i < 20; i++) {
		assert_int_equal(seen[i].end.status, GRPC_OK);
		forget(&seen[i]);
	}
	assert_int_equal(peer.opened, 1);
}

static void a_slow_socket_gets_everything_in_order(void **state)
{
	struct seen seen = {};

	peer.on_request = say_hello;
	start(&seen, &unary, "a message over a socket that takes seven bytes at a time");
	peer_newest()->write_limit = 7;
	peer_run(loop, 0);
	assert_int_equal(seen.end.status, GRPC_OK);
	assert_memory_equal(peer_newest()->requests[0].body.bytes + 5, "a message over a socket", 23);
	forget(&seen);
}

static void answer_large(struct stream *s, struct peer_request *request)
{
	static uint8_t big[5 << 20];

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = i * 31 >> 3;
	peer_put_message(request, 0, big, sizeof(big));
	request->chunk = 1009;
	peer_answer(s, request, "200", "application/grpc+proto", "0", NULL);
}

static void five_mebibytes_in_tiny_frames_are_one_message(void **state)
{
	struct seen seen;

	peer.on_request = answer_large;
	seen = call_once(&unary);
	assert_int_equal(seen.end.status, GRPC_OK);
	assert_int_equal(seen.messages, 1);
	assert_int_equal(seen.last.len, 5 << 20);
	for (size_t i = 0; i < seen.last.len; i += 4099)
		assert_int_equal(seen.last.bytes[i], (uint8_t)(i * 31 >> 3));
	forget(&seen);
}

static void register_peer(struct stream *s, struct peer_request *request)
{
	const nghttp2_nv head[] = { PEER_NV(":status", "200"), PEER_NV("content-type", "application/grpc"),
		PEER_NV("x-wiretrustee-peer-registered", "1") };
	const nghttp2_data_provider provider = { .read_callback = peer_read_answer };

	request->stays_open = true;
	nghttp2_submit_response(s->session, request->id, head, 3, &provider);
}

static void say(struct stream *s, struct peer_request *request, const char *text)
{
	peer_put_message(request, 0, text, strlen(text));
	nghttp2_session_resume_data(s->session, request->id);
}

static void headers_come_before_any_message(void **state)
{
	const struct grpc_header metadata = { "x-wiretrustee-peer-id", "key=" };
	const struct grpc_call_options options = { .path = "/s/C", .metadata = &metadata, .metadata_count = 1,
		.keep_open = true };
	struct peer_request *request;
	struct seen seen = {};

	peer.on_headers = register_peer;
	start(&seen, &options, NULL);
	peer_run(loop, 0);
	assert_int_equal(seen.headers, 1);
	assert_int_equal(seen.messages, 0);
	assert_string_equal(seen.registered, "1");
	request = &peer_newest()->requests[0];
	assert_string_equal(peer_header(request, "x-wiretrustee-peer-id"), "key=");
	assert_null(peer_header(request, "grpc-timeout"));
	assert_false(request->is_complete);
	for (int i = 0; i < 3; i++)
		say(peer_newest(), request, "body");
	say(peer_newest(), request, "");
	peer_run(loop, 0);
	assert_int_equal(seen.messages, 4);
	assert_int_equal(seen.last.len, 0);
	grpc_call_cancel(seen.call);
	peer_run(loop, 0);
	assert_true(request->was_reset);
	assert_int_equal(request->reset_code, NGHTTP2_CANCEL);
	assert_int_equal(seen.done, 0);
	forget(&seen);
}

static void a_bidirectional_call_sends_until_it_is_half_closed(void **state)
{
	const struct grpc_call_options options = { .path = "/management.ManagementService/Job",
		.keep_open = true };
	struct seen seen = {};

	peer.on_request = say_hello;
	start(&seen, &options, "one");
	peer_run(loop, 0);
	assert_int_equal(grpc_call_send(seen.call, "two", 3), 0);
	peer_run(loop, 0);
	assert_false(peer_newest()->requests[0].is_complete);
	assert_int_equal(grpc_call_send(seen.call, "three", 5), 0);
	grpc_call_half_close(seen.call);
	assert_int_equal(grpc_call_send(seen.call, "four", 4), -EPIPE);
	peer_run(loop, 0);
	assert_int_equal(peer_newest()->requests[0].body.len, 3 * 5 + 3 + 3 + 5);
	assert_int_equal(seen.end.status, GRPC_OK);
	forget(&seen);
}

static void end_early(struct stream *s, struct peer_request *request)
{
	peer_answer(s, request, "200", "application/grpc", "12", "job%20not%20known");
}

static void a_server_may_end_a_call_that_is_still_open(void **state)
{
	const struct grpc_call_options options = { .path = "/management.ManagementService/Job",
		.keep_open = true };
	struct seen seen = {};

	peer.on_headers = end_early;
	start(&seen, &options, "hello");
	peer_run(loop, 0);
	assert_int_equal(seen.done, 1);
	assert_int_equal(seen.end.status, GRPC_UNIMPLEMENTED);
	assert_string_equal(seen.end.text, "job not known");
	assert_true(peer_newest()->requests[0].was_reset);
}

/* ---- a server that says no ---- */

static void refuse_in_trailers(struct stream *s, struct peer_request *request)
{
	peer_answer(s, request, "200", "application/grpc", "5",
		"couldn't add peer: setup key is invalid%0A%E2%82%AC%zz%");
}

static void an_error_comes_in_trailers_percent_encoded(void **state)
{
	struct seen seen;

	peer.on_request = refuse_in_trailers;
	seen = call_once(&unary);
	assert_int_equal(seen.end.status, GRPC_NOT_FOUND);
	assert_true(seen.end.from_server);
	assert_string_equal(seen.end.text, "couldn't add peer: setup key is invalid \u20ac%zz%");
	assert_int_equal(seen.headers, 1);
}

static void refuse_in_headers(struct stream *s, struct peer_request *request)
{
	const nghttp2_nv head[] = { PEER_NV(":status", "200"), PEER_NV("content-type", "application/grpc"),
		PEER_NV("grpc-status", "7") };

	nghttp2_submit_response(s->session, request->id, head, 3, NULL);
}

static void an_error_may_be_headers_only_and_have_no_text(void **state)
{
	struct seen seen;

	peer.on_request = refuse_in_headers;
	seen = call_once(&unary);
	assert_int_equal(seen.end.status, GRPC_PERMISSION_DENIED);
	assert_true(seen.end.from_server);
	assert_string_equal(seen.end.text, "PermissionDenied");
	assert_int_equal(seen.headers, 0);
}

static void refuse_in_two_blocks(struct stream *s, struct peer_request *request)
{
	const nghttp2_nv head[] = { PEER_NV(":status", "200"), PEER_NV("content-type", "application/grpc"),
		PEER_NV("trailer", "Grpc-Status"), PEER_NV("trailer", "Grpc-Message"),
		PEER_NV("trailer", "Grpc-Status-Details-Bin") };
	const nghttp2_nv tail[] = { PEER_NV("grpc-message", "no peer auth method provided"),
		PEER_NV("grpc-status", "7") };

	nghttp2_submit_headers(s->session, NGHTTP2_FLAG_NONE, request->id, NULL, head, 5, NULL);
	nghttp2_submit_trailer(s->session, request->id, tail, 2);
}

static void an_error_may_be_two_header_blocks_without_data(void **state)
{
	struct seen seen;

	peer.on_request = refuse_in_two_blocks;
	seen = call_once(&unary);
	assert_int_equal(seen.end.status, GRPC_PERMISSION_DENIED);
	assert_true(seen.end.from_server);
	assert_string_equal(seen.end.text, "no peer auth method provided");
	assert_false(peer_newest()->requests[0].was_reset);
}

static void answer_early_hint(struct stream *s, struct peer_request *request)
{
	const nghttp2_nv hint[] = { PEER_NV(":status", "103") };

	nghttp2_submit_headers(s->session, NGHTTP2_FLAG_NONE, request->id, NULL, hint, 1, NULL);
	peer_answer_ok(s, request, "late");
}

static void interim_answers_are_passed_over(void **state)
{
	struct seen seen;

	peer.on_request = answer_early_hint;
	seen = call_once(&unary);
	assert_int_equal(seen.end.status, GRPC_OK);
	assert_string_equal(seen.last.bytes, "late");
	forget(&seen);
}

/* ---- a proxy that says no ---- */

static const char *proxy_status, *proxy_type;

static void answer_as_proxy(struct stream *s, struct peer_request *request)
{
	peer_put(&request->answer, "<html>no</html>", 15);
	peer_answer(s, request, proxy_status, proxy_type, NULL, NULL);
}

static void an_http_answer_is_no_verdict_of_the_server(void **state)
{
	static const struct { const char *status; int want; } cases[] = {
		{ "400", GRPC_INTERNAL }, { "401", GRPC_UNAUTHENTICATED }, { "403", GRPC_PERMISSION_DENIED },
		{ "404", GRPC_UNIMPLEMENTED },
		{ "429", GRPC_UNAVAILABLE }, { "502", GRPC_UNAVAILABLE }, { "503", GRPC_UNAVAILABLE },
		{ "504", GRPC_UNAVAILABLE },
		{ "500", GRPC_UNKNOWN }, { "301", GRPC_UNKNOWN }, { "200", GRPC_UNKNOWN },
	};

	peer.on_request = answer_as_proxy;
	proxy_type = "text/html";
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct seen seen;

		proxy_status = cases[i].status;
		seen = call_once(&unary);
		assert_int_equal(seen.done, 1);
		assert_int_equal(seen.end.status, cases[i].want);
		assert_false(seen.end.from_server);
		assert_int_equal(seen.end.http_status, atoi(cases[i].status));
		assert_int_equal(seen.messages, 0);
		assert_non_null(strstr(seen.end.text, strcmp(proxy_status, "200") ? proxy_status
			: "text/html"));
	}
	assert_int_equal(peer.opened, 1);
}

static void a_content_type_that_only_begins_alike_is_not_grpc(void **state)
{
	struct seen seen;

	peer.on_request = answer_as_proxy;
	proxy_status = "200";
	proxy_type = "application/grpcx";
	seen = call_once(&unary);
	assert_int_equal(seen.end.status, GRPC_UNKNOWN);
	assert_false(seen.end.from_server);
}

/* ---- answers that are none ---- */

static void (*bad_body)(struct peer_request *request);
static const char *bad_status;

static void answer_badly(struct stream *s, struct peer_request *request)
{
	bad_body(request);
	peer_answer(s, request, "200", "application/grpc", bad_status, NULL);
}

static void no_body(struct peer_request *request)
{
}

static void two_messages(struct peer_request *request)
{
	peer_put_message(request, 0, "a", 1);
	peer_put_message(request, 0, "b", 1);
}

static void compressed(struct peer_request *request)
{
	peer_put_message(request, 1, "a", 1);
}

static void odd_flag(struct peer_request *request)
{
	peer_put_message(request, 'h', "a", 1);
}

static void too_long(struct peer_request *request)
{
	peer_put(&request->answer, "\0\x01\0\0\x01xyz", 8);
}

static void half_a_message(struct peer_request *request)
{
	peer_put(&request->answer, "\0\0\0\0\x09xyz", 8);
}

static void half_a_prefix(struct peer_request *request)
{
	peer_put(&request->answer, "\0\0", 2);
}

static void answers_that_are_none_are_told_apart(void **state)
{
	static const struct { void (*body)(struct peer_request *); const char *status; int want;
		const char *says; } cases[] = {
		{ no_body, "0", GRPC_INTERNAL, "without message" },
		{ two_messages, "0", GRPC_INTERNAL, "more than one message" },
		{ compressed, "0", GRPC_UNIMPLEMENTED, "compressed" },
		{ odd_flag, "0", GRPC_INTERNAL, "not made of gRPC messages" },
		{ too_long, "0", GRPC_RESOURCE_EXHAUSTED, "16777217 bytes" },
		{ half_a_message, "0", GRPC_INTERNAL, "within a message" },
		{ half_a_prefix, "0", GRPC_INTERNAL, "within a message" },
		{ no_body, NULL, GRPC_INTERNAL, "without a status" },
		{ no_body, "abc", GRPC_UNKNOWN, "Unknown" },
	};

	peer.on_request = answer_badly;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct seen seen;

		bad_body = cases[i].body;
		bad_status = cases[i].status;
		seen = call_once(&unary);
		assert_int_equal(seen.done, 1);
		assert_int_equal(seen.end.status, cases[i].want);
		assert_non_null(strstr(seen.end.text, cases[i].says));
		forget(&seen);
	}
	assert_int_equal(peer.opened, 1);
}

static void an_error_counts_even_within_a_message(void **state)
{
	struct seen seen;

	peer.on_request = answer_badly;
	bad_body = half_a_message;
	bad_status = "14";
	seen = call_once(&unary);
	assert_int_equal(seen.end.status, GRPC_UNAVAILABLE);
	assert_true(seen.end.from_server);
}

/* ---- streams and connections that go away ---- */

static uint32_t reset_with;

static void reset_request(struct stream *s, struct peer_request *request)
{
	nghttp2_submit_rst_stream(s->session, NGHTTP2_FLAG_NONE, request->id, reset_with);
}

static void a_reset_ends_the_call_with_its_meaning(void **state)
{
	static const struct { uint32_t code; int want; } cases[] = {
		{ NGHTTP2_CANCEL, GRPC_CANCELLED }, { NGHTTP2_INTERNAL_ERROR, GRPC_INTERNAL },
		{ NGHTTP2_ENHANCE_YOUR_CALM, GRPC_RESOURCE_EXHAUSTED },
		{ NGHTTP2_PROTOCOL_ERROR, GRPC_INTERNAL }, { NGHTTP2_NO_ERROR, GRPC_UNKNOWN },
	};

	peer.on_request = reset_request;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct seen seen;

		reset_with = cases[i].code;
		seen = call_once(&unary);
		assert_int_equal(seen.done, 1);
		assert_int_equal(seen.end.status, cases[i].want);
		assert_false(seen.end.from_server);
		assert_true(*seen.end.text);
	}
	assert_int_equal(peer.opened, 1);
}

static int refusals;

static void refuse_some(struct stream *s, struct peer_request *request)
{
	reset_with = NGHTTP2_REFUSED_STREAM;
	if (refusals-- > 0)
		reset_request(s, request);
	else
		say_hello(s, request);
}

static void a_refused_stream_is_tried_once_more_on_a_fresh_connection(void **state)
{
	struct seen seen;

	peer.on_request = refuse_some;
	refusals = 1;
	seen = call_once(&unary);
	assert_int_equal(seen.end.status, GRPC_OK);
	assert_int_equal(peer.opened, 2);
	assert_memory_equal(peer_newest()->requests[0].body.bytes, "\0\0\0\0\5hello", 10);
	refusals = 2;
	forget(&seen);
	seen = call_once(&unary);
	assert_int_equal(seen.end.status, GRPC_UNAVAILABLE);
	assert_false(seen.end.from_server);
}

static void a_goaway_lets_old_calls_end_and_moves_new_ones(void **state)
{
	struct seen old = {}, refused = {}, later = {};
	struct stream *first;

	peer.on_request = NULL;
	start(&old, &streaming, "a");
	peer_run(loop, 0);
	first = peer_newest();
	nghttp2_submit_goaway(first->session, NGHTTP2_FLAG_NONE, first->requests[0].id, NGHTTP2_NO_ERROR,
		NULL, 0);
	/* sent before the GOAWAY is seen: the server will not have looked at it */
	peer.on_request = say_hello;
	start(&refused, &unary, "b");
	peer_run(loop, 0);
	assert_int_equal(peer.opened, 2);
	assert_int_equal(refused.end.status, GRPC_OK);
	assert_int_equal(old.done, 0);
	start(&later, &unary, "c");
	peer_run(loop, 0);
	assert_int_equal(later.end.status, GRPC_OK);
	assert_int_equal(peer.opened, 2);
	say_hello(first, &first->requests[0]);
	peer_run(loop, 0);
	assert_int_equal(old.end.status, GRPC_OK);
	assert_ptr_equal(peer.streams[0], NULL);
	forget(&old);
	forget(&refused);
	forget(&later);
}

static void a_goaway_on_an_idle_connection_costs_nothing(void **state)
{
	struct seen seen;

	peer.on_request = say_hello;
	seen = call_once(&unary);
	forget(&seen);
	nghttp2_session_terminate_session(peer_newest()->session, NGHTTP2_NO_ERROR);
	peer_run(loop, 0);
	assert_false(grpc_channel_is_connected(channel));
	seen = call_once(&unary);
	assert_int_equal(seen.end.status, GRPC_OK);
	assert_int_equal(peer.opened, 2);
	forget(&seen);
}

static void a_lost_connection_ends_its_calls_and_the_next_call_connects_anew(void **state)
{
	struct seen lost = {}, seen;

	start(&lost, &streaming, "a");
	peer_run(loop, 0);
	peer_close(peer_newest());
	peer_run(loop, 0);
	assert_int_equal(lost.done, 1);
	assert_int_equal(lost.end.status, GRPC_UNAVAILABLE);
	assert_false(lost.end.from_server);
	assert_string_equal(lost.end.text, "mesh.test:443 closed the connection");
	peer.on_request = say_hello;
	seen = call_once(&unary);
	assert_int_equal(seen.end.status, GRPC_OK);
	assert_int_equal(peer.opened, 2);
	forget(&seen);
}

static void a_refused_connection_is_the_end_of_all_that_waited(void **state)
{
	struct seen seen[3] = {};

	peer.refuse = "mesh.test:443: Connection refused";
	for (int i = 0; i < 3; i++)
		start(&seen[i], &unary, "a");
	peer_run(loop, 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(seen[i].done, 1);
		assert_int_equal(seen[i].end.status, GRPC_UNAVAILABLE);
		assert_string_equal(seen[i].end.text, "mesh.test:443: Connection refused");
	}
	assert_int_equal(peer.opened, 1);
}

static void http1_is_named(void **state)
{
	static const char answer[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
	struct seen seen = {};

	start(&seen, &unary, "a");
	peer_newest()->is_deaf = true;
	peer_put(&peer_newest()->in, answer, sizeof(answer) - 1);
	peer_run(loop, 0);
	assert_int_equal(seen.end.status, GRPC_UNAVAILABLE);
	assert_non_null(strstr(seen.end.text, "HTTP/1"));
}

static void bytes_that_are_no_http2_end_the_connection(void **state)
{
	static const char noise[] = "\x16\x03\x01 this is something else altogether, and long enough";
	struct seen seen = {};

	start(&seen, &unary, "a");
	peer_newest()->is_deaf = true;
	peer_put(&peer_newest()->in, noise, sizeof(noise) - 1);
	peer_run(loop, 0);
	assert_int_equal(seen.done, 1);
	assert_int_equal(seen.end.status, GRPC_UNAVAILABLE);
	assert_false(seen.end.from_server);
}

/* ---- time ---- */

static void a_deadline_ends_a_call_that_nobody_answers(void **state)
{
	struct seen seen = {};

	start(&seen, &unary, "a");
	peer_run(loop, loop_now(loop) + 9 * SECOND);
	assert_int_equal(seen.done, 0);
	peer_run(loop, loop_now(loop) + 1 * SECOND);
	assert_int_equal(seen.done, 1);
	assert_int_equal(seen.end.status, GRPC_DEADLINE_EXCEEDED);
	assert_false(seen.end.from_server);
	assert_true(peer_newest()->requests[0].was_reset);
}

/* A name server that is slow takes nothing from the time that the server itself has. */
static void a_deadline_begins_when_the_name_is_looked_up(void **state)
{
	struct seen seen = {};

	peer.look_up_ns = 12 * SECOND;
	start(&seen, &unary, "a");
	peer_run(loop, loop_now(loop) + 13 * SECOND);
	assert_int_equal(seen.done, 0);
	assert_int_equal(peer_newest()->request_count, 1);
	peer_run(loop, loop_now(loop) + 8 * SECOND);
	assert_int_equal(seen.done, 0);
	peer_run(loop, loop_now(loop) + 1 * SECOND);
	assert_int_equal(seen.done, 1);
	assert_int_equal(seen.end.status, GRPC_DEADLINE_EXCEEDED);
	peer.look_up_ns = 0;
}

static void silence_is_asked_about_and_a_dead_connection_given_up(void **state)
{
	struct seen seen = {};
	struct stream *s;

	start(&seen, &streaming, "a");
	peer_run(loop, 0);
	s = peer_newest();
	peer_run(loop, loop_now(loop) + 100 * SECOND);
	assert_int_equal(s->pings, 3);
	s->is_deaf = true;
	peer_run(loop, loop_now(loop) + 29 * SECOND);
	assert_int_equal(seen.done, 0);
	peer_run(loop, loop_now(loop) + 11 * SECOND);
	assert_int_equal(seen.done, 1);
	assert_int_equal(seen.end.status, GRPC_UNAVAILABLE);
	assert_non_null(strstr(seen.end.text, "PING"));
}

static void nobody_is_pinged_without_a_call_or_too_often(void **state)
{
	const struct grpc_channel_options eager = { .host = "mesh.test", .port = 443, .ping_after_ns = 1 };
	struct seen seen;

	grpc_channel_free(channel);
	assert_int_equal(grpc_channel_new(loop, &eager, &channel), 0);
	peer.on_request = say_hello;
	seen = call_once(&unary);
	forget(&seen);
	peer_run(loop, loop_now(loop) + 300 * SECOND);
	assert_int_equal(peer_newest()->pings, 0);
	peer.on_request = NULL;
	seen = call_once(&streaming);
	peer_run(loop, loop_now(loop) + 60 * SECOND);
	assert_in_range(peer_newest()->pings, 3, 4);
}

static void a_server_that_wants_fewer_pings_gets_them(void **state)
{
	struct seen seen = {};

	start(&seen, &streaming, "a");
	peer_run(loop, 0);
	nghttp2_submit_goaway(peer_newest()->session, NGHTTP2_FLAG_NONE, 1, NGHTTP2_ENHANCE_YOUR_CALM,
		(const uint8_t *)"too_many_pings", 14);
	peer_run(loop, 0);
	assert_int_equal(channel->ping_after_ns, 60 * SECOND);
}

/* Ten in a row were eight hours and a half in which a dead connection is not noticed. */
static void however_often_a_server_asks_pings_do_not_stop(void **state)
{
	static const unsigned int want_s[] = { 60, 120, 240, 300, 300, 300, 300, 300, 300, 300 };

	for (size_t i = 0; i < sizeof(want_s) / sizeof(*want_s); i++) {
		struct seen seen = {};

		start(&seen, &streaming, "a");
		peer_run(loop, 0);
		nghttp2_submit_goaway(peer_newest()->session, NGHTTP2_FLAG_NONE, 1, NGHTTP2_ENHANCE_YOUR_CALM,
			(const uint8_t *)"too_many_pings", 14);
		peer_run(loop, 0);
		assert_int_equal(channel->ping_after_ns, want_s[i] * SECOND);
		forget(&seen);
	}
}

static void pings_of_the_server_are_answered(void **state)
{
	struct seen seen = {};
	struct stream *s;

	start(&seen, &streaming, "a");
	peer_run(loop, 0);
	s = peer_newest();
	for (int i = 0; i < 100; i++)
		nghttp2_submit_ping(s->session, NGHTTP2_FLAG_NONE, (const uint8_t *)"\2\4\x10\x10\x9\xe\7\7");
	peer_serve(s);
	s->events.readable(s->ctx);
	assert_int_equal(s->out.len, 100 * 17);
	assert_int_equal(seen.done, 0);
}

/* ---- owners who do things in callbacks ---- */

static void answer_twice(struct stream *s, struct peer_request *request)
{
	peer_put_message(request, 0, "one", 3);
	peer_answer_ok(s, request, "two");
}

static void a_call_may_cancel_itself_in_its_callback(void **state)
{
	struct seen seen = { .cancels_itself = true };

	peer.on_request = answer_twice;
	start(&seen, &streaming, "a");
	peer_run(loop, 0);
	assert_int_equal(seen.messages, 1);
	assert_int_equal(seen.done, 0);
	forget(&seen);
}

static void a_call_may_cancel_itself_at_its_end(void **state)
{
	struct seen seen = { .cancels_itself = true };

	peer.on_request = refuse_in_trailers;
	start(&seen, &streaming, "a");
	peer_run(loop, 0);
	assert_int_equal(seen.done, 1);
}

static void a_call_may_cancel_another_in_its_callback(void **state)
{
	struct seen second = {}, first = {};

	peer.on_request = answer_twice;
	start(&first, &streaming, "a");
	start(&second, &streaming, "b");
	first.other = second.call;
	peer_run(loop, 0);
	assert_int_equal(first.messages, 2);
	assert_int_equal(second.done, 0);
	forget(&first);
	forget(&second);
}

static void the_channel_may_be_freed_in_a_message(void **state)
{
	struct seen seen = { .frees_channel = true }, other = {};

	peer.on_request = answer_twice;
	start(&seen, &streaming, "a");
	start(&other, &streaming, "b");
	peer_run(loop, 0);
	assert_int_equal(seen.messages, 1);
	assert_int_equal(seen.done + other.done, 0);
	assert_null(channel);
	forget(&seen);
	forget(&other);
}

static void the_channel_may_be_freed_at_an_end(void **state)
{
	struct seen seen = { .frees_channel = true }, other = { .frees_channel = true };

	peer.refuse = "no";
	start(&seen, &streaming, "a");
	start(&other, &streaming, "b");
	peer_run(loop, 0);
	assert_int_equal(seen.done + other.done, 1);
	assert_null(channel);
}

static void the_channel_may_be_reset_in_a_message(void **state)
{
	struct seen seen = { .resets_channel = true };

	peer.on_request = answer_twice;
	start(&seen, &streaming, "a");
	peer_run(loop, 0);
	assert_int_equal(seen.messages, 1);
	assert_int_equal(seen.done, 1);
	assert_int_equal(seen.end.status, GRPC_UNAVAILABLE);
	assert_string_equal(seen.end.text, "reset in a callback");
	forget(&seen);
}

static void a_reset_from_outside_tells_the_calls_later(void **state)
{
	struct seen seen = {};

	start(&seen, &streaming, "a");
	peer_run(loop, 0);
	grpc_channel_reset(channel, "the route changed");
	assert_int_equal(seen.done, 0);
	peer_run(loop, 0);
	assert_int_equal(seen.done, 1);
	assert_string_equal(seen.end.text, "the route changed");
}

static void connecting_ahead_serves_the_first_call(void **state)
{
	struct seen seen;

	peer.on_request = say_hello;
	grpc_channel_connect(channel);
	assert_false(grpc_channel_is_connected(channel));
	peer_run(loop, 0);
	assert_true(grpc_channel_is_connected(channel));
	seen = call_once(&unary);
	assert_int_equal(seen.end.status, GRPC_OK);
	assert_int_equal(peer.opened, 1);
	forget(&seen);
}

/* ---- words ---- */

static void timeouts_have_at_most_eight_digits(void **state)
{
	static const struct { uint64_t ns; const char *text; } cases[] = {
		{ 4999987000, "4999987u" }, { 0, "0u" }, { 99999999000, "99999999u" },
		{ 100000000000, "100000m" },
		{ 99999999 * LOOP_MS, "99999999m" }, { 100000000 * LOOP_MS, "100000S" },
		{ UINT64_MAX, "99999999S" },
	};
	char text[GRPC_TIMEOUT_LEN];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		grpc_put_timeout(text, cases[i].ns);
		assert_string_equal(text, cases[i].text);
	}
}

static void long_texts_are_cut_between_characters(void **state)
{
	char text[8];

	grpc_decode_text(text, sizeof(text), "abcdef%E2%82%ACx", 16);
	assert_string_equal(text, "abcdef");
	grpc_decode_text(text, sizeof(text), "abcd%E2%82%ACx", 14);
	assert_string_equal(text, "abcd\u20ac");
	grpc_decode_text(text, sizeof(text), "a%0d%0Ab%7f%00", 14);
	assert_string_equal(text, "a  b  ");
}

static void statuses_have_names(void **state)
{
	assert_string_equal(grpc_status_name(GRPC_OK), "OK");
	assert_string_equal(grpc_status_name(GRPC_PERMISSION_DENIED), "PermissionDenied");
	assert_string_equal(grpc_status_name(GRPC_UNAUTHENTICATED), "Unauthenticated");
	assert_string_equal(grpc_status_name(99), "Code(99)");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_unary_call_is_answered),
		CASE(one_connection_carries_all_calls),
		CASE(a_slow_socket_gets_everything_in_order),
		CASE(five_mebibytes_in_tiny_frames_are_one_message),
		CASE(headers_come_before_any_message),
		CASE(a_bidirectional_call_sends_until_it_is_half_closed),
		CASE(a_server_may_end_a_call_that_is_still_open),
		CASE(an_error_comes_in_trailers_percent_encoded),
		CASE(an_error_may_be_headers_only_and_have_no_text),
		CASE(an_error_may_be_two_header_blocks_without_data),
		CASE(interim_answers_are_passed_over),
		CASE(an_http_answer_is_no_verdict_of_the_server),
		CASE(a_content_type_that_only_begins_alike_is_not_grpc),
		CASE(answers_that_are_none_are_told_apart),
		CASE(an_error_counts_even_within_a_message),
		CASE(a_reset_ends_the_call_with_its_meaning),
		CASE(a_refused_stream_is_tried_once_more_on_a_fresh_connection),
		CASE(a_goaway_lets_old_calls_end_and_moves_new_ones),
		CASE(a_goaway_on_an_idle_connection_costs_nothing),
		CASE(a_lost_connection_ends_its_calls_and_the_next_call_connects_anew),
		CASE(a_refused_connection_is_the_end_of_all_that_waited),
		CASE(http1_is_named),
		CASE(bytes_that_are_no_http2_end_the_connection),
		CASE(a_deadline_ends_a_call_that_nobody_answers),
		CASE(a_deadline_begins_when_the_name_is_looked_up),
		CASE(silence_is_asked_about_and_a_dead_connection_given_up),
		CASE(nobody_is_pinged_without_a_call_or_too_often),
		CASE(a_server_that_wants_fewer_pings_gets_them),
		CASE(however_often_a_server_asks_pings_do_not_stop),
		CASE(pings_of_the_server_are_answered),
		CASE(a_call_may_cancel_itself_in_its_callback),
		CASE(a_call_may_cancel_itself_at_its_end),
		CASE(a_call_may_cancel_another_in_its_callback),
		CASE(the_channel_may_be_freed_in_a_message),
		CASE(the_channel_may_be_freed_at_an_end),
		CASE(the_channel_may_be_reset_in_a_message),
		CASE(a_reset_from_outside_tells_the_calls_later),
		CASE(connecting_ahead_serves_the_first_call),
		CASE(timeouts_have_at_most_eight_digits),
		CASE(long_texts_are_cut_between_characters),
		CASE(statuses_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
