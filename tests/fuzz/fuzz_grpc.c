// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What servers and proxies send to the gRPC client: raw bytes, well-formed frames in any order, messages in
// pieces, texts, CONNECT answers. The first byte selects which; a later byte selects what the owner's
// callbacks do.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../userspace/base/host_port.c"
#include "../../userspace/base/server_url.c"
#include "../../userspace/base/slice.c"
#include "../../userspace/http/head.c"
#include "../../userspace/loop/loop.c"
#include "../../userspace/grpc/grpc_wire.c"
#include "../../userspace/grpc/grpc_call.c"
#include "../../userspace/grpc/grpc.c"
#include "../../userspace/stream/proxy.c"

#define CALLS	3

void stream_name(char name[static STREAM_NAME_LEN], const char *host, uint16_t port)
{
	snprintf(name, STREAM_NAME_LEN, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
}

/* ---- a stream under the fuzzer's control ---- */

struct stream {
	struct stream_events events;
	void *ctx;
	struct loop *loop;
	struct loop_timer timer;
	bool is_up;
};

static struct stream *newest;
static const uint8_t *in;
static size_t in_len;

static void come_up(void *ctx)
{
	struct stream *s = ctx;

	s->is_up = true;
	s->events.connected(s->ctx);
}

int stream_open(struct loop *loop, const struct stream_options *options, const struct stream_events *events,
	void *ctx, struct stream **ret_stream)
{
	struct stream *s = calloc(1, sizeof(*s));

	s->events = *events;
	s->ctx = ctx;
	s->loop = loop;
	loop_timer_init(&s->timer, come_up, s);
	loop_timer_after(loop, &s->timer, 0);
	newest = s;
	*ret_stream = s;
	return 0;
}

ssize_t stream_read(struct stream *s, void *buf, size_t len)
{
	size_t part = in_len < len ? in_len : len;

	if (s != newest || !part)
		return -EAGAIN;
	memcpy(buf, in, part);
	in += part;
	in_len -= part;
	return part;
}

ssize_t stream_write(struct stream *s, const void *buf, size_t len)
{
	return len;
}

void stream_free(struct stream *s)
{
	if (!s)
		return;
	if (newest == s)
		newest = NULL;
	loop_timer_cancel(s->loop, &s->timer);
	free(s);
}

/* ---- the owner of the calls ---- */

static struct grpc_channel *owned;
static struct grpc_call *calls[CALLS];
static uint8_t deeds[2];	/* what callbacks do: in messages, at ends */
static unsigned int told[CALLS];

static void act(uint8_t deed, size_t self)
{
	if (deed == 1 && calls[self]) {
		grpc_call_cancel(calls[self]);
		calls[self] = NULL;
	} else if (deed == 2 && calls[(self + 1) % CALLS]) {
		grpc_call_cancel(calls[(self + 1) % CALLS]);
		calls[(self + 1) % CALLS] = NULL;
	} else if (deed == 3 && owned) {
		grpc_channel_reset(owned, "asked for");
	} else if (deed == 4 && owned) {
		grpc_channel_free(owned);
		owned = NULL;
		memset(calls, 0, sizeof(calls));
	} else if (deed == 5 && calls[self]) {
		grpc_call_half_close(calls[self]);
	}
}

static void heard_headers(void *ctx, const struct grpc_header *headers, size_t count)
{
	size_t total = 0;

	for (size_t i = 0; i < count; i++)
		total += strlen(headers[i].name) + strlen(headers[i].value);
	if (count > GRPC_HEADERS_MAX || total > GRPC_HEADER_BYTES_MAX)
		abort();
}

static void heard_message(void *ctx, const uint8_t *bytes, size_t len)
{
	static volatile uint8_t sum;

	for (size_t i = 0; i < len; i++)
		sum = sum + bytes[i];
	if (len > GRPC_MESSAGE_MAX)
		abort();
	act(deeds[0] % 8, (uintptr_t)ctx);
}

static void heard_end(void *ctx, const struct grpc_end *end)
{
	size_t self = (uintptr_t)ctx;

	if (told[self]++ || (end->status && !*end->text) || strlen(end->text) >= GRPC_TEXT_LEN)
		abort();
	calls[self] = NULL;
	act(deeds[1] % 8, self);
}

static void start_calls(struct loop *loop)
{
	const struct grpc_channel_options options = { .host = "mesh.test", .port = 443, .tls = true };
	const struct grpc_call_events events = { .headers = heard_headers, .message = heard_message,
		.done = heard_end };
	const struct grpc_call_options kinds[CALLS] = {
		{ .path = "/a/Unary", .is_unary = true, .timeout_ns = LOOP_SECOND }, { .path = "/a/Stream" },
		{ .path = "/a/Both", .keep_open = true },
	};

	memset(told, 0, sizeof(told));
	if (grpc_channel_new(loop, &options, &owned))
		abort();
	for (size_t i = 0; i < CALLS; i++) {
		if (grpc_call_start(owned, &kinds[i], "x", 1, &events, (void *)(uintptr_t)i, &calls[i]))
			abort();
	}
}

static void run(struct loop *loop)
{
	for (int i = 0; i < 20; i++)
		loop_advance(loop, loop_now(loop));
}

static void say(struct loop *loop, const uint8_t *bytes, size_t len)
{
	in = bytes;
	in_len = len;
	if (newest && newest->is_up && len)
		newest->events.readable(newest->ctx);
	in_len = 0;
	run(loop);
}

/* ---- frames out of fuzz bytes ---- */

static uint8_t take(const uint8_t **data, size_t *len)
{
	if (!*len)
		return 0;
	--*len;
	return *(*data)++;
}

static void put_frame(struct loop *loop, uint8_t type, uint8_t flags, uint32_t id, const uint8_t *payload,
	size_t len)
{
	static uint8_t frame[9 + 16384];
	const uint8_t head[9] = { len >> 16, len >> 8, len, type, flags, id >> 24, id >> 16, id >> 8, id };

	memcpy(frame, head, 9);
	memcpy(frame + 9, payload, len);
	say(loop, frame, 9 + len);
}

/* A literal header field: its name from the table, its value from the input or the table. */
static size_t put_field(uint8_t *at, size_t room, const uint8_t **data, size_t *len)
{
	static const char *const names[] = { ":status", "content-type", "grpc-status", "grpc-message",
		"grpc-encoding", "x-other" };
	static const char *const values[] = { "200", "application/grpc", "0", "7", "100", "403", "text/html",
		"%e2%82%ac%" };
	const char *name = names[take(data, len) % 6], *value;
	uint8_t choice = take(data, len);
	size_t name_len = strlen(name), value_len;

	value = values[choice % 8];
	value_len = strlen(value);
	if (choice & 0x80) {
		value = (const char *)*data;
		value_len = choice & 0x1f;
		value_len = value_len < *len ? value_len : *len;
		*data += value_len;
		*len -= value_len;
	}
	if (3 + name_len + value_len > room)
		return 0;
	at[0] = 0;
	at[1] = name_len;
	memcpy(at + 2, name, name_len);
	at[2 + name_len] = value_len;
	memcpy(at + 3 + name_len, value, value_len);
	return 3 + name_len + value_len;
}

static void put_headers(struct loop *loop, uint8_t how, const uint8_t **data, size_t *len)
{
	static const uint8_t usual[] = { 0x88, 0x00, 12, 'c', 'o', 'n', 't', 'e', 'n', 't', '-', 't', 'y',
		'p', 'e', 16, 'a', 'p', 'p', 'l', 'i', 'c', 'a', 't', 'i', 'o', 'n', '/', 'g', 'r',
		'p', 'c' };
	uint8_t block[1024];
	size_t used = 0;

	if (how & 0x40) {
		memcpy(block, usual, sizeof(usual));
		used = sizeof(usual);
	}
	for (int i = take(data, len) % 5; i; i--)
		used += put_field(block + used, sizeof(block) - used, data, len);
	put_frame(loop, NGHTTP2_HEADERS,
		NGHTTP2_FLAG_END_HEADERS | (how & 0x80 ? NGHTTP2_FLAG_END_STREAM : 0), 1 + 2 * (how / 8 % 4),
		block, used);
}

static void put_any(struct loop *loop, const uint8_t **data, size_t *len)
{
	static const uint8_t types[] = { NGHTTP2_HEADERS, NGHTTP2_DATA, NGHTTP2_DATA, NGHTTP2_RST_STREAM,
		NGHTTP2_SETTINGS, NGHTTP2_PING, NGHTTP2_GOAWAY, NGHTTP2_WINDOW_UPDATE };
	uint8_t how = take(data, len), type = types[how % 8], flags = how & 0x80 ? 1 : 0;
	size_t part;

	if (type == NGHTTP2_HEADERS) {
		put_headers(loop, how, data, len);
		return;
	}
	part = take(data, len);
	if (type == NGHTTP2_RST_STREAM || type == NGHTTP2_WINDOW_UPDATE)
		part = 4;
	if (type == NGHTTP2_PING)
		part = 8;
	part = part < *len ? part : *len;
	put_frame(loop, type, flags, type == NGHTTP2_DATA || type == NGHTTP2_RST_STREAM
		? 1 + 2 * (how / 8 % 4) : 0, *data, part);
	*data += part;
	*len -= part;
	if (type == NGHTTP2_PING && flags)
		loop_advance(loop, loop_now(loop) + 20 * LOOP_SECOND);
}

static void http2(const uint8_t *data, size_t len, bool is_raw)
{
	static const uint8_t settings[9] = { 0, 0, 0, NGHTTP2_SETTINGS };
	struct loop *loop;

	deeds[0] = take(&data, &len);
	deeds[1] = take(&data, &len);
	if (loop_new_fake(&loop, LOOP_SECOND))
		abort();
	start_calls(loop);
	run(loop);
	say(loop, settings, sizeof(settings));
	if (is_raw)
		say(loop, data, len);
	while (!is_raw && len)
		put_any(loop, &data, &len);
	if (newest && deeds[0] & 0x80)
		newest->events.closed(newest->ctx, -EPIPE, "the wire broke");
	loop_advance(loop, loop_now(loop) + 100 * LOOP_SECOND);
	grpc_channel_free(owned);
	owned = NULL;
	memset(calls, 0, sizeof(calls));
	if (newest || loop->count)
		abort();
	loop_free(loop);
}

/* ---- the smaller parsers ---- */

/* However the input is cut, the same messages come out. */
static void messages(const uint8_t *data, size_t len)
{
	size_t step = take(&data, &len) % 64 + 1, counts[2] = {}, bytes[2] = {};
	int ends[2] = {};

	for (int way = 0; way < 2; way++) {
		struct grpc_assembler a = {};
		size_t at = 0, used;
		int ret = 0;

		while (at < len && ret >= 0) {
			size_t part = way && len - at > step ? step : len - at;

			ret = grpc_assembler_feed(&a, data + at, part, &used);
			if (ret >= 0)
				at += used;
			if (ret == 1) {
				counts[way]++;
				bytes[way] += a.want;
				grpc_assembler_next(&a);
			}
		}
		ends[way] = ret < 0 ? ret : 0;
		grpc_assembler_done(&a);
	}
	if (counts[0] != counts[1] || bytes[0] != bytes[1] || ends[0] != ends[1])
		abort();
}

static void texts(const uint8_t *data, size_t len)
{
	size_t size = take(&data, &len) % 40 + 1;
	char *text = malloc(size);

	grpc_decode_text(text, size, (const char *)data, len);
	if (strlen(text) >= size || strpbrk(text, "\n\r"))
		abort();
	if (grpc_parse_status((const char *)data, len) > 9999)
		abort();
	grpc_is_content_type((const char *)data, len);
	free(text);
}

static void connect_answer(const uint8_t *data, size_t len)
{
	size_t step = take(&data, &len) % 64 + 1, used = 0, used_whole, at = 0;
	struct proxy_answer whole = {}, parts = {};
	int want = proxy_answer_feed(&whole, (const char *)data, len, &used_whole), got = -EAGAIN;

	while (at < len && got == -EAGAIN) {
		got = proxy_answer_feed(&parts, (const char *)data + at,
			len - at > step ? step : len - at, &used);
		at += used;
	}
	if (want != got)
		abort();
	/* A refused one may have been refused before its end. */
	if (want != -EPROTO && (at != used_whole || whole.status != parts.status ||
		strcmp(whole.head.line, parts.head.line)))
		abort();
}

static void proxy_settings(const uint8_t *data, size_t len)
{
	char *text = strndup((const char *)data, len), *rest, why[128];
	struct proxy proxy = {};

	rest = text + strcspn(text, "\n");
	if (*rest)
		*rest++ = 0;
	proxy_is_excluded(text, rest, 443);
	setenv("HTTPS_PROXY", text, 1);
	if (proxy_choose("mesh.test", 443, true, &proxy, why, sizeof(why)) == 1 &&
		(!*proxy.host || !proxy.port))
		abort();
	proxy_done(&proxy);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (!len)
		return 0;
	switch (data[0] % 8) {
	case 0:
		http2(data + 1, len - 1, true);
		break;
	case 1:
		messages(data + 1, len - 1);
		break;
	case 2:
		texts(data + 1, len - 1);
		break;
	case 3:
		connect_answer(data + 1, len - 1);
		break;
	case 4:
		proxy_settings(data + 1, len - 1);
		break;
	default:
		http2(data + 1, len - 1, false);
	}
	return 0;
}
