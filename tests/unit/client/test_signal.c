// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Signal: recorded bodies both ways, and the client against a gRPC that does what the test says.
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "netbird/envelope.h"
#include "client/signal.h"
#include "grpc/grpc.h"
#include "unit/netbird.h"

#define SEC	LOOP_SECOND
#define MS	LOOP_MS
#define CALLS	256

/* A gRPC of the test's own. */

struct grpc_channel {
	int resets;
};

struct grpc_call {
	int nudges;
	char path[80];
	char id[64];
	bool keep_open, is_half_closed, is_unary, is_open;
	uint64_t started_ns, timeout_ns;
	struct loop_timer deadline;
	struct grpc_call_events events;
	void *ctx;
	uint8_t bytes[4096];
	size_t len;
};

static struct grpc_call calls[CALLS];
static size_t call_count;
static struct grpc_channel the_channel;
static bool has_channel;
static struct loop *loop;

static void finish(struct grpc_call *call, int status, bool from_server, const char *text)
{
	struct grpc_end end = { .status = status, .from_server = from_server };

	assert_true(call->is_open);
	snprintf(end.text, sizeof(end.text), "%s", text);
	call->is_open = false;
	loop_timer_cancel(loop, &call->deadline);
	call->events.done(call->ctx, &end);
}

static void deadline(void *ctx)
{
	finish(ctx, GRPC_DEADLINE_EXCEEDED, false, "no answer");
}

const char *grpc_status_name(int status)
{
	return status == GRPC_UNAVAILABLE ? "Unavailable" : status == GRPC_FAILED_PRECONDITION
		? "FailedPrecondition" : "Status";
}

int grpc_channel_new(struct loop *in, const struct grpc_channel_options *options,
	struct grpc_channel **ret_channel)
{
	assert_string_equal(options->host, "signal.example.test");
	assert_int_equal(options->port, 10000);
	assert_true(options->tls);
	assert_false(has_channel);
	has_channel = true;
	*ret_channel = &the_channel;
	return 0;
}

void grpc_channel_free(struct grpc_channel *channel)
{
	has_channel = false;
	for (size_t i = 0; i < call_count; i++)
		assert_false(calls[i].is_open);
}

void grpc_channel_reset(struct grpc_channel *channel, const char *why)
{
	channel->resets++;
	for (size_t i = 0; i < call_count; i++) {
		if (calls[i].is_open)
			finish(&calls[i], GRPC_UNAVAILABLE, false, why);
	}
}

int grpc_call_start(struct grpc_channel *channel, const struct grpc_call_options *options, const void *bytes,
	size_t len, const struct grpc_call_events *events, void *ctx, struct grpc_call **ret_call)
{
	struct grpc_call *call = &calls[call_count++ % CALLS];

	assert_in_range(call_count, 1, CALLS);
	assert_in_range(len, 0, sizeof(call->bytes));
	*call = (struct grpc_call){
		.keep_open = options->keep_open, .is_unary = options->is_unary, .is_open = true,
			.started_ns = loop_now(loop),
		.timeout_ns = options->timeout_ns, .events = *events, .ctx = ctx, .len = len,
	};
	snprintf(call->path, sizeof(call->path), "%s", options->path);
	for (size_t i = 0; i < options->metadata_count; i++) {
		assert_string_equal(options->metadata[i].name, "x-wiretrustee-peer-id");
		snprintf(call->id, sizeof(call->id), "%s", options->metadata[i].value);
	}
	if (bytes)
		memcpy(call->bytes, bytes, len);
	loop_timer_init(&call->deadline, deadline, call);
	if (options->timeout_ns)
		loop_timer_after(loop, &call->deadline, options->timeout_ns);
	*ret_call = call;
	return 0;
}

void grpc_call_half_close(struct grpc_call *call)
{
	call->is_half_closed = true;
}

void grpc_call_nudge(struct grpc_call *call)
{
	assert_true(call->is_open);
	call->nudges++;
}

void grpc_call_cancel(struct grpc_call *call)
{
	if (!call)
		return;
	assert_true(call->is_open);
	call->is_open = false;
	loop_timer_cancel(loop, &call->deadline);
}

/* What the client said and did. */

static struct {
	int connected, lost, sent, bodies;
	int sent_error;
	char why[256];
	uint8_t from[KEY_LEN];
	struct signal_body body;
} seen;

static struct signal_client *client;
static struct secret_key lap, node;
static uint8_t lap_public[KEY_LEN], node_public[KEY_LEN];

static void on_state(void *ctx, bool is_connected, const char *why)
{
	seen.connected += is_connected;
	seen.lost += !is_connected;
	snprintf(seen.why, sizeof(seen.why), "%s", why);
}

static void on_body(void *ctx, const uint8_t from[static KEY_LEN], const struct signal_body *body)
{
	seen.bodies++;
	seen.body = *body;
	memcpy(seen.from, from, KEY_LEN);
}

static void on_sent(void *ctx, int error)
{
	seen.sent++;
	seen.sent_error = error;
}

/* Half of what is possible, so that waits are their means. */
static uint32_t half(const uint32_t upper)
{
	return upper / 2;
}

static const char *fixed_name(void)
{
	return "fixed";
}

static uint32_t fixed_random(void)
{
	return 7;
}

static void fixed_buf(void *const buf, const size_t size)
{
	memset(buf, 7, size);
}

static randombytes_implementation fixed = {
	.implementation_name = fixed_name, .random = fixed_random, .uniform = half, .buf = fixed_buf,
};

static int setup(void **state)
{
	static const struct signal_events events = { .state = on_state, .body = on_body };
	struct signal_config config = {
		.server = { .scheme = SERVER_HTTPS, .port = 10000, .host = "signal.example.test" } };

	memset(&seen, 0, sizeof(seen));
	call_count = 0;
	the_channel = (struct grpc_channel){ 0 };
	assert_int_equal(loop_new_fake(&loop, 1000 * SEC), 0);
	lap = netbird_secret(LAP_PRIVATE);
	node = netbird_secret(NODE_PRIVATE);
	key_public(&lap, lap_public);
	key_public(&node, node_public);
	config.private_key = node;
	assert_int_equal(signal_new(loop, &config, &events, NULL, &client), 0);
	return 0;
}

static int teardown(void **state)
{
	signal_free(client);
	assert_false(has_channel);
	assert_int_equal(loop_next(loop), LOOP_NEVER);
	loop_free(loop);
	return 0;
}

static void run(uint64_t ns)
{
	loop_advance(loop, loop_now(loop) + ns);
}

static struct grpc_call *last(void)
{
	return &calls[call_count - 1];
}

static struct grpc_call *find(const char *end_of_path, size_t from)
{
	for (size_t i = from; i < call_count; i++) {
		if (calls[i].is_open && strstr(calls[i].path, end_of_path))
			return &calls[i];
	}
	return NULL;
}

/* An open send of a message to ourselves: no other is so short. */
static struct grpc_call *find_beat(void)
{
	for (size_t i = 0; i < call_count; i++) {
		if (calls[i].is_open && calls[i].len && calls[i].len < 150)
			return &calls[i];
	}
	return NULL;
}

static void give_headers(struct grpc_call *stream, const char *name)
{
	const struct grpc_header headers[] = { { "content-type", "application/grpc" }, { name, "1" } };

	stream->events.headers(stream->ctx, headers, 2);
}

static struct grpc_call *register_now(void)
{
	struct grpc_call *stream;

	signal_start(client);
	run(0);
	stream = find("ConnectStream", 0);
	assert_non_null(stream);
	give_headers(stream, "x-wiretrustee-peer-registered");
	return stream;
}

/* The message to ourselves comes back, and its call ends well. */
static void return_beat(struct grpc_call *stream)
{
	struct grpc_call *send;

	run(0);
	send = find_beat();
	assert_non_null(send);
	stream->events.message(stream->ctx, send->bytes, send->len);
	finish(send, GRPC_OK, true, "");
}

static void give(struct grpc_call *stream, const struct secret_key *from, const uint8_t *to,
	const void *plain, size_t len)
{
	uint8_t *bytes;
	size_t bytes_len;

	assert_int_equal(envelope_pack_signal(from, to, plain, len, &bytes, &bytes_len), 0);
	stream->events.message(stream->ctx, bytes, bytes_len);
	envelope_free(bytes, bytes_len);
}

/* Bodies. */

struct recorded {
	const char *name;
	const char *from;		/* private key */
	const char *to;
	struct signal_body body;
};

#define RELAY "rel://10.99.0.1:8080"
#define LAP_SAYS .ufrag = "RBzOwahAawtjugcw", .pwd = "nbFnSWGBlBUWDJnwiJKbDBCQkgUJNtWA", .wg_port = 51820, \
	.version = "development", .relay = RELAY, .has_session_id = true
#define NODE_SAYS .ufrag = "izSqFsnVXBYJKIuJ", .pwd = "vSbWESOlPuSdradVTXmtBJyiveLQWekQ", .wg_port = 51820, \
	.version = "development", .relay = RELAY, .has_session_id = true

static const struct recorded recorded[] = {
	{ "lap-010-sent", LAP_PRIVATE, NODE_PRIVATE,
		{ .type = SIGNAL_OFFER, LAP_SAYS, .session_id = { 0x96, 0x7d, 0x12, 0x80, 0x8d } } },
	{ "lap-011-received", NODE_PRIVATE, LAP_PRIVATE,
		{ .type = SIGNAL_ANSWER, NODE_SAYS, .session_id = { 0x08, 0x17, 0x55, 0xe1, 0xb3 } } },
	{ "lap-012-received", NODE_PRIVATE, LAP_PRIVATE, { .type = SIGNAL_CANDIDATE, .candidate =
		"2101277091 1 udp 2130706431 192.168.1.221 51820 typ host ufrag izSqFsnVXBYJKIuJ cid "
		"BwtQwfELw5ZATymezMYmR62cKoLmBRBV" } },
	{ "lap-013-received", NODE_PRIVATE, LAP_PRIVATE, { .type = SIGNAL_CANDIDATE, .candidate =
		"1011436615 1 udp 1694498815 10.99.0.254 51820 typ srflx raddr 0.0.0.0 rport 51820 ufrag "
		"izSqFsnVXBYJKIuJ cid CMmrENk8epVxXvvUU4rbT4d6/6keOCiY" } },
	{ "lap-014-sent", LAP_PRIVATE, NODE_PRIVATE, { .type = SIGNAL_CANDIDATE, .candidate =
		"3160871576 1 udp 2130706431 10.99.0.2 51820 typ host ufrag RBzOwahAawtjugcw cid "
		"f3Pl4Ia3NLVotovc8lzdj6Yl4+ZdQRaW" } },
	{ "lap-015-sent", LAP_PRIVATE, NODE_PRIVATE, { .type = SIGNAL_CANDIDATE, .candidate =
		"4083474503 1 udp 1694498815 10.99.0.2 51820 typ srflx raddr 0.0.0.0 rport 51820 ufrag "
		"RBzOwahAawtjugcw cid VU+puqnBkg3FFRTzjs5eg6fGRnNwsmFS" } },
	{ "lap-025-sent", LAP_PRIVATE, NODE_PRIVATE,
		{ .type = SIGNAL_OFFER, LAP_SAYS, .session_id = { 0x96, 0x7d, 0x12, 0x80, 0x8d } } },
	{ "lap-026-sent", LAP_PRIVATE, NODE_PRIVATE,
		{ .type = SIGNAL_OFFER, LAP_SAYS, .session_id = { 0x96, 0x7d, 0x12, 0x80, 0x8d } } },
	{ "lap-027-received", NULL, NULL, { .type = SIGNAL_OFFER, .ufrag = "XzdRrzdaWHGJdvIC",
		.pwd = "ZAZvkiSRMwbXzMgwTgIXoITnbsXYdUBr",
		.wg_port = 51820, .version = "development", .relay = RELAY, .has_session_id = true,
		.session_id = { 0xb4, 0xdc, 0x22, 0x68, 0x93 } } },
	{ "lap-028-sent", NULL, NULL,
		{ .type = SIGNAL_ANSWER, LAP_SAYS, .session_id = { 0xc8, 0x84, 0x60, 0xc4, 0x06 } } },
	{ "lap-029-sent", NULL, NULL, { .type = SIGNAL_CANDIDATE, .candidate =
		"4083474503 1 udp 1694498815 10.99.0.2 51820 typ srflx raddr 0.0.0.0 rport 51820 ufrag "
		"RBzOwahAawtjugcw cid I5MnJgckN56LEzcwdCRTEvLt+CKMXDWG" } },
	{ "lap-030-sent", NULL, NULL, { .type = SIGNAL_CANDIDATE, .candidate =
		"3160871576 1 udp 2130706431 10.99.0.2 51820 typ host ufrag RBzOwahAawtjugcw cid "
		"NkShcLiOYXIISkvGdVwJl90Zn/5CHSSz" } },
	{ "lap-031-received", NULL, NULL, { .type = SIGNAL_CANDIDATE, .candidate =
		"2101277091 1 udp 2130706431 192.168.1.221 51820 typ host ufrag XzdRrzdaWHGJdvIC cid "
		"A0j+6f5K//Igh5roq/jy7z4GL50n7BOi" } },
	{ "lap-032-received", NULL, NULL, { .type = SIGNAL_CANDIDATE, .candidate =
		"1011436615 1 udp 1694498815 10.99.0.254 16813 typ srflx raddr 0.0.0.0 rport 51820 ufrag "
		"XzdRrzdaWHGJdvIC cid FnvihK/4OLWoTw9VI0xwZDZPL1yWZviQ" } },
	{ "node-011-sent", NODE_PRIVATE, LAP_PRIVATE,
		{ .type = SIGNAL_OFFER, NODE_SAYS, .session_id = { 0x08, 0x17, 0x55, 0xe1, 0xb3 } } },
	{ "node-012-received", LAP_PRIVATE, NODE_PRIVATE,
		{ .type = SIGNAL_OFFER, LAP_SAYS, .session_id = { 0x96, 0x7d, 0x12, 0x80, 0x8d } } },
	{ "node-013-sent", NODE_PRIVATE, LAP_PRIVATE,
		{ .type = SIGNAL_ANSWER, NODE_SAYS, .session_id = { 0x08, 0x17, 0x55, 0xe1, 0xb3 } } },
	{ "node-014-sent", NODE_PRIVATE, LAP_PRIVATE, { .type = SIGNAL_CANDIDATE, .candidate =
		"2101277091 1 udp 2130706431 192.168.1.221 51820 typ host ufrag izSqFsnVXBYJKIuJ cid "
		"BwtQwfELw5ZATymezMYmR62cKoLmBRBV" } },
	{ "node-015-sent", NODE_PRIVATE, LAP_PRIVATE, { .type = SIGNAL_CANDIDATE, .candidate =
		"1011436615 1 udp 1694498815 10.99.0.254 51820 typ srflx raddr 0.0.0.0 rport 51820 ufrag "
		"izSqFsnVXBYJKIuJ cid CMmrENk8epVxXvvUU4rbT4d6/6keOCiY" } },
	{ "node-016-received", LAP_PRIVATE, NODE_PRIVATE, { .type = SIGNAL_CANDIDATE, .candidate =
		"4083474503 1 udp 1694498815 10.99.0.2 51820 typ srflx raddr 0.0.0.0 rport 51820 ufrag "
		"RBzOwahAawtjugcw cid VU+puqnBkg3FFRTzjs5eg6fGRnNwsmFS" } },
	{ "node-017-received", LAP_PRIVATE, NODE_PRIVATE, { .type = SIGNAL_CANDIDATE, .candidate =
		"3160871576 1 udp 2130706431 10.99.0.2 51820 typ host ufrag RBzOwahAawtjugcw cid "
		"f3Pl4Ia3NLVotovc8lzdj6Yl4+ZdQRaW" } },
};

static uint8_t *read_body(const char *name, const char *ending, size_t *ret_len)
{
	char path[80];

	snprintf(path, sizeof(path), "signal/%s-Body.%s", name, ending);
	return netbird_read(path, ret_len);
}

static void expect_body(const struct signal_body *a, const struct signal_body *b)
{
	assert_int_equal(a->type, b->type);
	assert_string_equal(a->ufrag, b->ufrag);
	assert_string_equal(a->pwd, b->pwd);
	assert_string_equal(a->candidate, b->candidate);
	assert_int_equal(a->wg_port, b->wg_port);
	assert_string_equal(a->version, b->version);
	assert_string_equal(a->relay, b->relay);
	assert_true(endpoint_is_equal(&a->relay_at, &b->relay_at));
	assert_int_equal(a->has_rosenpass_key, b->has_rosenpass_key);
	assert_int_equal(a->has_session_id, b->has_session_id);
	assert_memory_equal(a->session_id, b->session_id, SIGNAL_SESSION_ID_LEN);
}

static void recorded_bodies_are_read_and_written_byte_by_byte(void **state)
{
	for (size_t i = 0; i < sizeof(recorded) / sizeof(recorded[0]); i++) {
		size_t len;
		uint8_t *bytes = read_body(recorded[i].name, "bin", &len), out[SIGNAL_BODY_MAX];
		struct signal_body body;

		assert_int_equal(signal_body_parse(bytes, len, &body), 0);
		expect_body(&body, &recorded[i].body);
		assert_int_equal(signal_body_encode(&recorded[i].body, out, sizeof(out)), len);
		assert_memory_equal(out, bytes, len);
		assert_int_equal(signal_body_encode(&recorded[i].body, out, len - 1), -ENOSPC);
		free(bytes);
	}
}

static void recorded_boxes_open_for_their_receiver_alone(void **state)
{
	for (size_t i = 0; i < sizeof(recorded) / sizeof(recorded[0]); i++) {
		size_t len, box_len;
		uint8_t *bytes = read_body(recorded[i].name, "bin", &len),
			*box = read_body(recorded[i].name, "box", &box_len), plain[512];
		struct secret_key to;
		uint8_t from[KEY_LEN];

		assert_int_equal(box_len, len + ENVELOPE_OVERHEAD);
		if (!recorded[i].from) {	/* of another identity, which is not kept */
			free(bytes);
			free(box);
			continue;
		}
		to = netbird_secret(recorded[i].to);
		{
			struct secret_key from_key = netbird_secret(recorded[i].from);

			key_public(&from_key, from);
		}
		assert_int_equal(envelope_open(&to, from, box, box_len, plain), 0);
		assert_memory_equal(plain, bytes, len);
		box[box_len / 2] ^= 1;
		assert_int_equal(envelope_open(&to, from, box, box_len, plain), -EBADMSG);
		free(bytes);
		free(box);
	}
}

static int parse(const char *bytes, size_t len, struct signal_body *body)
{
	return signal_body_parse((const uint8_t *)bytes, len, body);
}

#define PARSE(bytes) parse(bytes, sizeof(bytes) - 1, &body)

static void bodies_of_others_are_read_as_they_are_meant(void **state)
{
	const struct signal_body idle = { .type = SIGNAL_GO_IDLE };
	struct signal_body body;
	uint8_t out[16];

	assert_int_equal(PARSE("\x12\x03" "a:b"), 0);	/* no type */
	assert_int_equal(body.type, SIGNAL_OFFER);
	assert_string_equal(body.ufrag, "a");
	assert_string_equal(body.pwd, "b");
	assert_false(body.has_session_id);
	assert_int_equal(PARSE("\x12\x03" "a:b\x52\x04" "1234"), 0);	/* an id of four bytes */
	assert_false(body.has_session_id);
	assert_int_equal(PARSE("\x12\x03" "a:b\x3a\x03\x0a\x01k"), 0);
	assert_true(body.has_rosenpass_key);
	assert_int_equal(PARSE("\x12\x03" "a:b\x3a\x00"), 0);
	assert_false(body.has_rosenpass_key);
	for (size_t i = 0; i < 3; i++) {		/* a peer without ICE, and what is as good as that */
		static const char *const none[] = { "\x12\x01:", "\x12\x02:b", "\x12\x02" "a:" };

		assert_int_equal(parse(none[i], strlen(none[i]), &body), 0);
		assert_false(body.ufrag[0] && body.pwd[0]);
	}
	assert_int_equal(PARSE("\x08\x05"), 0);
	assert_int_equal(body.type, SIGNAL_GO_IDLE);
	assert_int_equal(PARSE("\x08\x04\x2a\x02\x08\x01"), 0);
	assert_int_equal(body.type, SIGNAL_MODE);
	assert_int_equal(PARSE("\x08\x63\x12\x01?\xa2\x06\x02hi"), 0);	/* a type and a field of tomorrow */
	assert_int_equal(body.type, 99);
	assert_int_equal(PARSE("\x12\x03" "a:b\x22\x04" "1\x01\x1b" "2"), 0);
	assert_string_equal(body.version, "1??2");
	assert_int_equal(signal_body_encode(&idle, out, sizeof(out)), 2);
	assert_memory_equal(out, "\x08\x05", 2);
}

static void expect_at(const struct endpoint *at, const char *text)
{
	char addr[INET6_ADDRSTRLEN];

	assert_string_equal(at->family ? inet_ntop(at->family, &at->remote, addr, sizeof(addr))
		: "none", text);
}

/* Since 0.70.5: four bytes or sixteen, IPv4 perhaps mapped into IPv6; it is sent as short as it can be. */
static void the_address_of_a_relay_is_read_in_all_its_forms_and_written_in_one(void **state)
{
	static const struct { const char *bytes; size_t len; const char *text; } cases[] = {
#define AT(bytes, text) { bytes, sizeof(bytes) - 1, text }
		AT("\x12\x03" "a:b\x5a\x04\xc6\x33\x64\x07", "198.51.100.7"),
		AT("\x12\x03" "a:b\x5a\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07", "2001:db8::7"),
		AT("\x12\x03" "a:b\x5a\x10\0\0\0\0\0\0\0\0\0\0\xff\xff\xc6\x33\x64\x07", "198.51.100.7"),
		AT("\x12\x03" "a:b\x5a\x00", "none"),
		AT("\x12\x03" "a:b\x5a\x03\xc6\x33\x64", "none"),
		AT("\x12\x03" "a:b\x5a\x05\xc6\x33\x64\x07\x08", "none"),
		AT("\x12\x03" "a:b\x5a\x11\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x01", "none"),
		/* the last one counts */
		AT("\x12\x03" "a:b\x5a\x04\xc6\x33\x64\x07\x5a\x01\x01", "none"),
		AT("\x12\x03" "a:b", "none"),
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t out[SIGNAL_BODY_MAX];
		struct signal_body body, again;
		int len;

		assert_int_equal(parse(cases[i].bytes, cases[i].len, &body), 0);
		expect_at(&body.relay_at, cases[i].text);
		len = signal_body_encode(&body, out, sizeof(out));
		assert_int_equal(signal_body_parse(out, len, &again), 0);
		expect_at(&again.relay_at, cases[i].text);
		assert_int_equal(len, strcmp(cases[i].text, "none") ? strchr(cases[i].text, ':') ? 7 + 18
			: 7 + 6 : 7);
	}
}

static void bodies_that_make_no_sense_are_refused(void **state)
{
	struct signal_body body;
	char longest[700] = { 0x08, 0x02, 0x12, (char)0x80, 0x05 };	/* a candidate of 640 characters */

	assert_int_equal(parse("", 0, &body), -EBADMSG);	/* an offer without credentials */
	assert_int_equal(PARSE("\x12\x03" "abc"), -EBADMSG);
	assert_int_equal(PARSE("\x12\x05" "a:b:c"), -EBADMSG);
	assert_int_equal(PARSE("\x12\x04" "a: b"), -EBADMSG);
	assert_int_equal(PARSE("\x12\x04" "a:\0b"), -EBADMSG);
	assert_int_equal(PARSE("\x12\x05" "a:b"), -EBADMSG);	/* cut */
	assert_int_equal(PARSE("\x08\x02"), -EBADMSG);		/* a candidate without one */
	assert_int_equal(PARSE("\x08\x02\x12\x02x\n"), -EBADMSG);
	assert_int_equal(PARSE("\x12\x03" "a:b\x42\x02\x1b["), -EBADMSG);
	memset(longest + 5, 'x', 640);
	assert_int_equal(parse(longest, 645, &body), -EBADMSG);
}

/* The client. */

static void it_registers_with_its_key_and_says_no_more_on_the_stream(void **state)
{
	struct grpc_call *stream;

	signal_start(client);
	assert_int_equal(call_count, 0);
	run(0);
	stream = last();
	assert_string_equal(stream->path, "/signalexchange.SignalExchange/ConnectStream");
	assert_string_equal(stream->id, NODE_PUBLIC);
	assert_true(stream->is_half_closed);
	assert_int_equal(stream->len, 0);
	assert_false(stream->is_unary);
	assert_false(signal_is_connected(client));
	give_headers(stream, "x-wiretrustee-peer-registered");
	assert_int_equal(seen.connected, 1);
	assert_true(signal_is_connected(client));
}

static void an_answer_without_the_registered_header_is_no_signal_server(void **state)
{
	signal_start(client);
	run(0);
	give_headers(last(), "server");
	run(0);
	assert_int_equal(seen.connected, 0);
	assert_int_equal(seen.lost, 1);
	assert_non_null(strstr(seen.why, "registration"));
	assert_false(calls[0].is_open);
	run(2 * SEC);
	assert_int_equal(call_count, 2);
}

static void silence_instead_of_headers_ends_after_30_seconds(void **state)
{
	signal_start(client);
	run(30 * SEC - MS);
	assert_int_equal(seen.lost, 0);
	run(MS);
	assert_int_equal(seen.lost, 1);
	assert_int_equal(the_channel.resets, 1);
	assert_non_null(strstr(seen.why, "30 s"));
}

static void headers_that_a_proxy_may_hold_back_are_asked_for_once(void **state)
{
	signal_start(client);
	run(500 * MS - 1);
	assert_int_equal(last()->nudges, 0);
	run(1);
	assert_int_equal(last()->nudges, 1);
	give_headers(last(), "x-wiretrustee-peer-registered");
	assert_int_equal(seen.connected, 1);
	run(5 * SEC);
	assert_int_equal(calls[0].nudges, 1);
}

static void a_registration_that_comes_soon_is_not_asked_for(void **state)
{
	signal_start(client);
	run(100 * MS);
	give_headers(last(), "x-wiretrustee-peer-registered");
	run(5 * SEC);
	assert_int_equal(calls[0].nudges, 0);
}

static void a_refusal_is_told_in_the_servers_words(void **state)
{
	signal_start(client);
	run(0);
	give_headers(last(), "grpc-status");
	finish(last(), GRPC_FAILED_PRECONDITION, true, "missing connection header");
	assert_string_equal(seen.why, "the signal stream ended: FailedPrecondition: missing connection "
		"header");
	assert_int_equal(seen.lost, 1);
}

static void it_comes_back_with_growing_waits_that_a_registration_resets(void **state)
{
	static const uint64_t waits_ms[] = { 800, 1360, 2312, 3930, 6681, 10000, 10000, 10000 };

	signal_start(client);
	run(0);
	for (size_t i = 0; i < sizeof(waits_ms) / sizeof(waits_ms[0]); i++) {
		uint64_t ended = loop_now(loop);
		size_t before = call_count;

		finish(last(), GRPC_UNAVAILABLE, false, "connection refused");
		while (call_count == before)
			run(MS);
		assert_in_range((last()->started_ns - ended) / MS, waits_ms[i] - 2, waits_ms[i] + 2);
	}
	assert_int_equal(seen.lost, 8);
	give_headers(last(), "x-wiretrustee-peer-registered");
	run(0);
	finish(find("ConnectStream", 0), GRPC_OK, true, "");
	call_count = 0;
	run(799 * MS);
	assert_int_equal(call_count, 0);
	run(2 * MS);
	assert_int_equal(call_count, 1);
}

static void what_peers_say_arrives_and_the_rest_is_dropped_and_counted(void **state)
{
	struct grpc_call *stream = register_now();
	struct signal_stats stats;
	uint8_t box[200] = { 0 };
	size_t len;
	uint8_t *bytes = read_body("node-012-received", "bin", &len);

	return_beat(stream);
	give(stream, &lap, node_public, bytes, len);
	assert_int_equal(seen.bodies, 1);
	assert_memory_equal(seen.from, lap_public, KEY_LEN);
	expect_body(&seen.body, &recorded[0].body);
	give(stream, &lap, node_public, "\x08\x05", 2);
	assert_int_equal(seen.bodies, 2);
	assert_int_equal(seen.body.type, SIGNAL_GO_IDLE);

	give(stream, &lap, lap_public, bytes, len);		/* for somebody else */
	stream->events.message(stream->ctx, box, sizeof(box));	/* no envelope */
	stream->events.message(stream->ctx, box, 0);
	give(stream, &lap, node_public, "\x12\x01x", 3);	/* no credentials */
	give(stream, &lap, node_public, "\x08\x04", 2);		/* MODE */
	give(stream, &lap, node_public, "\x08\x06", 2);		/* somebody else's heartbeat */
	give(stream, &lap, node_public, "\x08\x63", 2);		/* a type of tomorrow */
	give(stream, &node, node_public, bytes, len);		/* an offer of our own */
	assert_int_equal(seen.bodies, 2);
	signal_get_stats(client, &stats);
	assert_int_equal(stats.received, 11);
	assert_int_equal(stats.unopened, 3);
	assert_int_equal(stats.malformed, 1);
	assert_int_equal(stats.ignored, 3);
	assert_int_equal(seen.lost, 0);
	free(bytes);
}

static void a_send_is_boxed_for_its_receiver(void **state)
{
	struct signal_body body;
	struct grpc_call *stream = register_now(), *send;
	uint8_t from[KEY_LEN], *plain;
	size_t len;

	return_beat(stream);
	assert_int_equal(signal_send(client, lap_public, &recorded[1].body, on_sent, &seen), 0);
	assert_int_equal(seen.sent, 0);
	run(0);
	send = last();
	assert_string_equal(send->path, "/signalexchange.SignalExchange/Send");
	assert_true(send->is_unary);
	assert_int_equal(envelope_unpack_signal(&lap, send->bytes, send->len, from, &plain, &len), 0);
	assert_memory_equal(from, node_public, KEY_LEN);
	assert_int_equal(signal_body_parse(plain, len, &body), 0);
	expect_body(&body, &recorded[1].body);
	envelope_free(plain, len);
	finish(send, GRPC_OK, true, "");
	assert_int_equal(seen.sent, 1);
	assert_int_equal(seen.sent_error, 0);
}

static void a_send_has_four_attempts_of_10_10_10_and_15_seconds(void **state)
{
	static const uint64_t timeouts_s[] = { 10, 10, 10, 15 };
	struct grpc_call *stream = register_now();
	size_t first;

	return_beat(stream);
	first = call_count;
	assert_int_equal(signal_send(client, lap_public, &recorded[0].body, on_sent, &seen), 0);
	run(30 * SEC);
	return_beat(stream);	/* ... which goes on meanwhile */
	run(20 * SEC);
	for (size_t i = 0, n = 0; i < call_count - first; i++) {
		struct grpc_call *call = &calls[first + i];

		if (call->len < 150)	/* a message to ourselves */
			continue;
		assert_int_equal(call->timeout_ns, timeouts_s[n++] * SEC);
		if (i == call_count - first - 1)
			assert_int_equal(n, 4);
	}
	assert_int_equal(seen.sent, 1);
	assert_int_equal(seen.sent_error, -ETIMEDOUT);
}

static void a_send_that_is_refused_at_once_is_tried_again_half_a_second_later(void **state)
{
	struct grpc_call *stream = register_now();

	return_beat(stream);
	assert_int_equal(signal_send(client, lap_public, &recorded[0].body, on_sent, &seen), 0);
	for (int i = 0; i < 4; i++) {
		size_t before = call_count;

		run(499 * MS);
		assert_int_equal(call_count, before + (i == 0));
		run(MS);
		assert_int_equal(seen.sent, 0);
		finish(last(), GRPC_UNAVAILABLE, false, "connection refused");
	}
	assert_int_equal(seen.sent, 1);
	assert_int_equal(seen.sent_error, -ENETUNREACH);
	assert_int_equal(signal_send(client, lap_public, &recorded[0].body, on_sent, &seen), 0);
	run(0);
	finish(last(), GRPC_CANCELLED, true, "");
	assert_int_equal(seen.sent, 2);
	assert_int_equal(seen.sent_error, -ECANCELED);
}

static void nothing_is_sent_while_not_registered(void **state)
{
	assert_int_equal(signal_send(client, lap_public, &recorded[0].body, on_sent, &seen), -ENOTCONN);
	signal_start(client);
	run(0);
	assert_int_equal(signal_send(client, lap_public, &recorded[0].body, on_sent, &seen), -ENOTCONN);
	assert_int_equal(call_count, 1);
}

static void many_sends_wait_their_turn(void **state)
{
	struct grpc_call *stream = register_now();

	return_beat(stream);
	for (int i = 0; i < 150; i++)
		assert_int_equal(signal_send(client, lap_public, &recorded[0].body, on_sent, &seen), 0);
	run(0);
	assert_int_equal(call_count, 2 + 64);
	assert_null(find_beat());
	for (int i = 0; i < 10; i++)
		finish(&calls[2 + i], GRPC_OK, true, "");
	run(0);
	assert_int_equal(call_count, 2 + 74);
	for (size_t i = 12; i < call_count; i++) {
		if (calls[i].is_open)
			finish(&calls[i], GRPC_OK, true, "");
		run(0);
	}
	assert_int_equal(seen.sent, 150);
}

static void a_message_to_ourselves_does_not_wait_behind_others(void **state)
{
	struct grpc_call *stream = register_now();

	return_beat(stream);
	run(25 * SEC);
	for (int i = 0; i < 100; i++)
		assert_int_equal(signal_send(client, lap_public, &recorded[0].body, on_sent, &seen), 0);
	run(5 * SEC);
	assert_int_equal(call_count, 2 + 64 + 1);
	assert_non_null(find_beat());
}

static void forgotten_sends_go_out_but_nobody_is_told(void **state)
{
	struct grpc_call *stream = register_now();
	int mine, other;

	return_beat(stream);
	assert_int_equal(signal_send(client, lap_public, &recorded[0].body, on_sent, &mine), 0);
	assert_int_equal(signal_send(client, lap_public, &recorded[0].body, on_sent, &other), 0);
	run(0);
	signal_forget(client, &mine);
	finish(&calls[2], GRPC_OK, true, "");
	finish(&calls[3], GRPC_OK, true, "");
	assert_int_equal(seen.sent, 1);
}

static void a_message_to_ourselves_proves_the_way_every_30_seconds(void **state)
{
	struct grpc_call *stream = register_now();

	return_beat(stream);
	assert_int_equal(call_count, 2);
	run(29 * SEC);
	assert_int_equal(call_count, 2);
	run(SEC);
	assert_int_equal(call_count, 3);
	return_beat(stream);
	run(30 * SEC);
	assert_int_equal(call_count, 4);
	run(9 * SEC);
	assert_true(signal_is_connected(client));
	run(SEC);	/* did not come back */
	assert_false(signal_is_connected(client));
	assert_int_equal(the_channel.resets, 1);
	assert_non_null(strstr(seen.why, "within 10 s"));
	assert_false(stream->is_open);
	assert_null(find("Send", 0));
	run(SEC);
	assert_non_null(find("ConnectStream", 0));
}

/* A stream that is registered, hears itself once, and is cut after @quiet_ns of silence. */
static void cut_after(uint64_t quiet_ns)
{
	struct grpc_call *stream = find("ConnectStream", 0);

	if (!stream)
		stream = register_now();
	else
		give_headers(stream, "x-wiretrustee-peer-registered");
	return_beat(stream);
	run(quiet_ns);
	finish(stream, GRPC_INTERNAL, false, "RST_STREAM");
	for (int i = 0; i < 100 && !find("ConnectStream", 0); i++)
		run(100 * MS);
}

static void behind_an_impatient_proxy_messages_to_ourselves_come_more_often(void **state)
{
	static const struct { uint64_t quiet_s[2], beat_s; } cases[] = {
		{ { 20, 20 }, 10 }, { { 10, 10 }, 5 }, { { 3, 3 }, 2 },
		{ { 10, 20 }, 30 },		/* chance */
		{ { 25, 5 }, 30 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct grpc_call *stream;
		size_t before;

		if (i) {
			teardown(state);
			setup(state);
		}
		cut_after(cases[i].quiet_s[0] * SEC);
		cut_after(cases[i].quiet_s[1] * SEC);
		stream = find("ConnectStream", 0);
		give_headers(stream, "x-wiretrustee-peer-registered");
		return_beat(stream);
		before = call_count;
		run((cases[i].beat_s - 1) * SEC);
		assert_int_equal(call_count, before);
		run(SEC);
		assert_int_equal(call_count, before + 1);
		assert_non_null(find_beat());
	}
}

static void why_the_proof_failed_is_said(void **state)
{
	register_now();
	run(0);
	while (seen.lost == 0) {
		struct grpc_call *send = find("Send", 0);

		if (send)
			finish(send, GRPC_UNAVAILABLE, false, "HTTP status 404");
		run(100 * MS);
	}
	assert_non_null(strstr(seen.why, "within 10 s: Unavailable: HTTP status 404"));
}

static void a_reset_ends_sends_under_way_as_failed_attempts(void **state)
{
	struct grpc_call *stream = register_now();

	return_beat(stream);
	run(25 * SEC);
	assert_int_equal(signal_send(client, lap_public, &recorded[0].body, on_sent, &seen), 0);
	run(20 * SEC);
	assert_int_equal(the_channel.resets, 1);
	run(60 * SEC);
	assert_int_equal(seen.sent, 1);
	assert_true(seen.sent_error < 0);
}

static void evict(void)
{
	finish(find("ConnectStream", 0), GRPC_UNKNOWN, true, "peer registered again");
}

static void another_process_with_our_identity_is_noticed_and_not_fought(void **state)
{
	struct signal_stats stats;
	uint64_t wait_ns[6];

	register_now();
	for (int i = 0; i < 6; i++) {
		uint64_t ended = loop_now(loop);

		evict();
		call_count = 0;
		assert_non_null(strstr(seen.why, i ? "another process uses this identity"
			: "registered again"));
		while (!find("ConnectStream", 0))
			run(100 * MS);
		wait_ns[i] = last()->started_ns - ended;
		give_headers(last(), "x-wiretrustee-peer-registered");
	}
	assert_in_range(wait_ns[0], 9 * SEC, 11 * SEC);
	assert_in_range(wait_ns[1], 19 * SEC, 21 * SEC);
	assert_in_range(wait_ns[5], 159 * SEC, 161 * SEC);
	signal_get_stats(client, &stats);
	assert_int_equal(stats.evictions, 6);
	assert_int_equal(stats.registrations, 7);
	/* After five quiet minutes it is forgotten. */
	for (int i = 0; i < 11; i++) {
		return_beat(&calls[0]);
		call_count = 1;
		run(30 * SEC);
	}
	evict();
	assert_null(strstr(seen.why, "another process uses"));
}

static void nothing_is_left_when_it_goes_away_in_the_middle(void **state)
{
	register_now();
	for (int i = 0; i < 100; i++)
		assert_int_equal(signal_send(client, lap_public, &recorded[0].body, on_sent, &seen), 0);
	run(5 * SEC);
	/* the teardown looks */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recorded_bodies_are_read_and_written_byte_by_byte),
		cmocka_unit_test(recorded_boxes_open_for_their_receiver_alone),
		cmocka_unit_test(bodies_of_others_are_read_as_they_are_meant),
		cmocka_unit_test(the_address_of_a_relay_is_read_in_all_its_forms_and_written_in_one),
		cmocka_unit_test(bodies_that_make_no_sense_are_refused),
		TEST(it_registers_with_its_key_and_says_no_more_on_the_stream),
		TEST(an_answer_without_the_registered_header_is_no_signal_server),
		TEST(silence_instead_of_headers_ends_after_30_seconds),
		TEST(headers_that_a_proxy_may_hold_back_are_asked_for_once),
		TEST(a_registration_that_comes_soon_is_not_asked_for),
		TEST(a_refusal_is_told_in_the_servers_words),
		TEST(it_comes_back_with_growing_waits_that_a_registration_resets),
		TEST(what_peers_say_arrives_and_the_rest_is_dropped_and_counted),
		TEST(a_send_is_boxed_for_its_receiver),
		TEST(a_send_has_four_attempts_of_10_10_10_and_15_seconds),
		TEST(a_send_that_is_refused_at_once_is_tried_again_half_a_second_later),
		TEST(nothing_is_sent_while_not_registered),
		TEST(many_sends_wait_their_turn),
		TEST(a_message_to_ourselves_does_not_wait_behind_others),
		TEST(forgotten_sends_go_out_but_nobody_is_told),
		TEST(a_message_to_ourselves_proves_the_way_every_30_seconds),
		TEST(behind_an_impatient_proxy_messages_to_ourselves_come_more_often),
		TEST(why_the_proof_failed_is_said),
		TEST(a_reset_ends_sends_under_way_as_failed_attempts),
		TEST(another_process_with_our_identity_is_noticed_and_not_fought),
		TEST(nothing_is_left_when_it_goes_away_in_the_middle),
	};

	randombytes_set_implementation(&fixed);
	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
