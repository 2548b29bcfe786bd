// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Relay servers that say anything: the opening handshake, frames, relay messages, in any order and division,
 * while peers come and go and time passes. The input is a list of steps, each an operation, a length and its
 * bytes; before that, all of it goes through each parser.
 */
#include "netmap/netmap.h"
#include "relay/relay_internal.h"
#include "log/log.h"
#include "stream/stream.h"

#include "crypto/key.c"
#include "base/endpoint.c"
#include "base/host_port.c"
#include "base/send_queue.c"
#include "base/server_url.c"
#include "base/slice.c"
#include "websocket/websocket_frame.c"
#include "http/head.c"
#include "websocket/websocket_upgrade.c"
#include "netbird/relay_wire.c"
/* The included files use the same names for different things. */
#define put	loop_put
#include "loop/loop.c"
#undef put
#define bucket	early_bucket
#include "relay/relay_early.c"
#undef bucket
#define put	websocket_put
#define end	websocket_end
#define on_closed	websocket_on_closed
#define release	websocket_release
#include "websocket/websocket.c"
#undef release
#undef put
#undef end
#undef on_closed
#define stop	server_stop
#define end	server_end
#define dial	server_dial
#include "relay/relay_client.c"
#undef stop
#undef end
#undef dial
#include "relay/relay_peer.c"
#include "relay/relay_manager.c"

#include "unit/fake_stream.h"

#define FUZZ_PEERS	8
#define FUZZ_STEPS	300

enum fuzz_step {
	STEP_RAW,		/* bytes as they are */
	STEP_FRAME,		/* the first byte is a frame's, the rest its payload */
	STEP_MESSAGE,		/* a relay message of version 1 */
	STEP_TRANSPORT,		/* from the peer in the first byte */
	STEP_ONLINE,		/* the peers in the bytes */
	STEP_OFFLINE,
	STEP_UPGRADE,		/* agree */
	STEP_ANSWER,		/* the bytes, and then the fields that must be there */
	STEP_AUTH,
	STEP_END,
	STEP_ROOM,
	STEP_CHUNK,
	STEP_STREAM,		/* the next steps are about the stream in the first byte */
	STEP_OPEN,		/* a peer, over the server in the second byte, at the address in the third */
	STEP_FREE,
	STEP_SEND,
	STEP_FLUSH,
	STEP_TIME,		/* goes on, in 100 ms */
	STEP_URLS,
	STEP_CAPRICE,		/* what callbacks will do */
	STEP_COUNT
};

static const char *const fuzz_urls[] = { "rel://a", "rels://b:1", "rel://[::1]", "bad", "rel://a", "rel://c",
	"rel://d", "rel://e", "rel://f",
	"rel://g" };

static struct fuzz {
	struct loop *loop;
	struct relay_manager *manager;
	struct relay_peer *peers[FUZZ_PEERS];
	uint8_t keys[FUZZ_PEERS][KEY_LEN];
	uint8_t ids[FUZZ_PEERS][RELAY_ID_LEN];
	struct stream *stream;
	uint8_t caprice;
} fz;

void log_write(enum log_level level, const char *fmt, ...)
{
	char line[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	for (const char *c = line; *c; c++)
		/* no control character of a server reaches a terminal */
		assert(*c >= ' ' && *c != 0x7f);
}

static unsigned peer_of(void *ctx)
{
	return (struct relay_peer **)ctx - fz.peers;
}

static void free_peer(unsigned n)
{
	relay_peer_free(fz.peers[n]);
	fz.peers[n] = NULL;
}

static void fuzz_ready(void *ctx)
{
	if (fz.caprice & 1)
		free_peer(peer_of(ctx));
}

static void fuzz_closed(void *ctx, const char *why)
{
	assert(strlen(why) < RELAY_WHY_LEN);
	if (fz.caprice & 2)
		free_peer((peer_of(ctx) + (fz.caprice >> 6)) % FUZZ_PEERS);
}

static void fuzz_received(void *ctx, const uint8_t *bytes, size_t len)
{
	static uint8_t copy[RELAY_PAYLOAD_MAX];

	assert(len && len <= RELAY_PAYLOAD_MAX);
	memcpy(copy, bytes, len);
	if (fz.caprice & 4)
		free_peer(peer_of(ctx));
	if (fz.caprice & 8 && fz.peers[peer_of(ctx)])
		relay_peer_send(fz.peers[peer_of(ctx)], copy, len);
	if (fz.caprice & 16) {
		relay_manager_free(fz.manager);
		fz.manager = NULL;
	}
}

static void fuzz_home(void *ctx, bool is_connected, const char *address, const char *why)
{
	if (is_connected)
		assert(strlen(address) && strlen(address) <= RELAY_ADDRESS_MAX);
	if (fz.caprice & 32) {
		relay_manager_free(fz.manager);
		fz.manager = NULL;
	}
}

static const struct relay_events fuzz_events = { .home = fuzz_home };
static const struct relay_peer_events fuzz_peer_events = { .ready = fuzz_ready, .closed = fuzz_closed,
	.received = fuzz_received };

static void parse_all(const uint8_t *data, size_t size)
{
	/* of the exact size, so that the sanitizer sees any access beyond */
	char *text = malloc(size + 1), why[128];
	struct websocket_frame frame;
	struct relay_message m;
	struct server_url url;
	int ret;

	if (!text)
		return;
	memcpy(text, data, size);
	text[size] = '\0';
	if (!server_url_parse(text, SERVER_SCHEMES_RELAY, &url))
		assert(url.port && *url.host && strlen(url.host) < size);
	text = realloc(text, size ? size : 1);
	ret = websocket_answer_parse(text, size, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", why, sizeof(why));
	assert(ret == -EPROTO || (ret >= 0 && (size_t)ret <= size));
	ret = websocket_frame_parse((uint8_t *)text, size, &frame);
	assert(ret == -EPROTO || (ret >= 0 && (size_t)ret <= size));
	if (!relay_message_parse((uint8_t *)text, size, &m)) {
		assert(m.id_count * RELAY_ID_LEN + m.payload_len <= size);
		assert(!m.id_count || m.ids + m.id_count * RELAY_ID_LEN <= (uint8_t *)text + size);
	}
	free(text);
}

static void message(enum relay_type type, const uint8_t *body, size_t len)
{
	uint8_t bytes[600] = { RELAY_VERSION, type };

	memcpy(bytes + 2, body, len);
	fake_send(fz.stream, bytes, len + 2);
}

static void presence_of(enum relay_type type, const uint8_t *bytes, size_t len)
{
	uint8_t ids[10 * RELAY_ID_LEN];
	size_t n = 0;

	for (; n < len && n < 10; n++)
		memcpy(ids + n * RELAY_ID_LEN, fz.ids[bytes[n] % FUZZ_PEERS], RELAY_ID_LEN);
	message(type, ids, n * RELAY_ID_LEN);
}

static void frame(const uint8_t *bytes, size_t len)
{
	uint8_t to[300];

	if (len)
		fake_feed(fz.stream, to, fake_frame(to, bytes[0], bytes + 1, len - 1));
}

static void from_peer(const uint8_t *bytes, size_t len)
{
	uint8_t body[300];

	if (!len)
		return;
	memcpy(body, fz.ids[bytes[0] % FUZZ_PEERS], RELAY_ID_LEN);
	memcpy(body + RELAY_ID_LEN, bytes + 1, len - 1);
	message(RELAY_TRANSPORT, body, RELAY_ID_LEN + len - 1);
}

static void answer(const uint8_t *bytes, size_t len)
{
	char text[800], right[512];

	fz.stream->events.connected(fz.stream->ctx);
	if (fz.stream->is_freed)
		return;
	fake_answer(fz.stream, right, sizeof(right));
	memcpy(text, bytes, len);
	memcpy(text + len, right, strlen(right));
	fake_feed(fz.stream, text, len + strlen(right));
}

/* The server's steps; the stream is there and in use. */
static void serve(enum fuzz_step step, const uint8_t *bytes, size_t len)
{
	bool is_open = fz.stream->out_len;

	if (step == STEP_UPGRADE && !is_open)
		fake_upgrade(fz.stream);
	else if (step == STEP_ANSWER && !is_open)
		answer(bytes, len);
	else if (step == STEP_END)
		fake_end(fz.stream, len ? -(int)bytes[0] : 0, "ended");
	else if (!is_open)
		return;
	else if (step == STEP_RAW)
		fake_feed(fz.stream, bytes, len);
	else if (step == STEP_FRAME)
		frame(bytes, len);
	else if (step == STEP_MESSAGE && len)
		message(bytes[0], bytes + 1, len - 1);
	else if (step == STEP_TRANSPORT)
		from_peer(bytes, len);
	else if (step == STEP_ONLINE)
		presence_of(RELAY_PEERS_ONLINE, bytes, len);
	else if (step == STEP_OFFLINE)
		presence_of(RELAY_PEERS_OFFLINE, bytes, len);
	else if (step == STEP_AUTH)
		message(RELAY_AUTH_RESPONSE, (const uint8_t *)"rel://a", 7);
	else if (step == STEP_ROOM)
		fake_writable(fz.stream, len ? bytes[0] * 64 : SIZE_MAX);
	else if (step == STEP_CHUNK && len)
		fz.stream->chunk = bytes[0];
}

static void set_urls(const uint8_t *bytes, size_t len)
{
	struct server_url urls[sizeof(fuzz_urls) / sizeof(*fuzz_urls)];
	struct netmap_relay relay = { .present = true, .urls = urls, .token_payload = (char *)"1735689600" };
	size_t count = len ? bytes[0] % (sizeof(fuzz_urls) / sizeof(*fuzz_urls) + 1) : 0;

	for (size_t i = 0; i < count; i++)
		relay.url_count += !server_url_parse(fuzz_urls[i], SERVER_SCHEMES_RELAY,
			&urls[relay.url_count]);
	relay.token_signature[0] = len > 1 ? bytes[1] : 0;
	relay_manager_set(fz.manager, &relay);
}

static void open_one(const uint8_t *bytes, size_t len)
{
	unsigned n = len ? bytes[0] % FUZZ_PEERS : 0;
	const char *address = len > 1 ? fuzz_urls[bytes[1] % 10] : "rel://a";
	struct endpoint at = { .family = AF_INET };

	if (len > 2)	/* where a peer says that it is connected there */
		memset(&at.remote, bytes[2], sizeof(struct in_addr));

	if (!fz.peers[n])
		relay_peer_open(fz.manager, fz.keys[n], address, len > 2 ? &at : NULL,
			&fuzz_peer_events, &fz.peers[n], &fz.peers[n]);
}

static void send_one(const uint8_t *bytes, size_t len)
{
	static const uint8_t packet[RELAY_PAYLOAD_MAX + 1];
	unsigned n = len ? bytes[0] % FUZZ_PEERS : 0;

	if (!fz.peers[n])
		return;
	for (unsigned i = 0; i < (len > 2 ? bytes[2] : 1); i++)
		relay_peer_send(fz.peers[n], packet, len > 1 ? bytes[1] * 40 : 100);
}

/* Ours. */
static void act(enum fuzz_step step, const uint8_t *bytes, size_t len)
{
	if (step == STEP_OPEN)
		open_one(bytes, len);
	else if (step == STEP_FREE)
		free_peer(len ? bytes[0] % FUZZ_PEERS : 0);
	else if (step == STEP_SEND)
		send_one(bytes, len);
	else if (step == STEP_FLUSH)
		relay_manager_flush(fz.manager);
	else if (step == STEP_TIME)
		loop_advance(fz.loop, loop_now(fz.loop) + (len ? bytes[0] : 0) * 100 * LOOP_MS);
	else if (step == STEP_URLS)
		set_urls(bytes, len);
	else if (step == STEP_CAPRICE)
		fz.caprice = len ? bytes[0] : 0;
	else if (step == STEP_STREAM && fake_stream_count)
		fz.stream = fake_streams[(len ? bytes[0] : 0) % fake_stream_count];
}

static void choose_stream(void)
{
	for (size_t i = 0; (!fz.stream || fz.stream->is_freed) && i < fake_stream_count; i++)
		fz.stream = fake_streams[i];
}

static void run(const uint8_t *data, size_t size)
{
	for (unsigned i = 0; i < FUZZ_STEPS && size >= 2 && fz.manager; i++) {
		enum fuzz_step step = data[0] % STEP_COUNT;
		size_t len = data[1] < size - 2 ? data[1] : size - 2;

		choose_stream();
		if (step >= STEP_STREAM)
			act(step, data + 2, len);
		else if (fz.stream && !fz.stream->is_freed && !fz.stream->is_ended)
			serve(step, data + 2, len);
		data += 2 + len;
		size -= 2 + len;
	}
}

static void make_keys(void)
{
	for (unsigned i = 0; i < FUZZ_PEERS; i++) {
		fz.keys[i][0] = i + 1;
		relay_id(fz.keys[i], fz.ids[i]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t own[KEY_LEN] = { 99 };

	parse_all(data, size);
	memset(&fz, 0, sizeof(fz));
	make_keys();
	if (loop_new_fake(&fz.loop, 1000 * LOOP_SECOND) || relay_manager_new(fz.loop, own, &fuzz_events, NULL,
		&fz.manager))
		abort();
	set_urls((const uint8_t []){ 2, 0 }, 2);
	run(data, size);
	fz.caprice = 0;
	if (size % 2 && fz.manager)
		relay_manager_close(fz.manager);
	relay_manager_free(fz.manager);
	for (unsigned i = 0; i < FUZZ_PEERS; i++)
		free_peer(i);
	assert(loop_next(fz.loop) == LOOP_NEVER);
	for (size_t i = 0; i < fake_stream_count; i++)
		assert(fake_streams[i]->is_freed);
	loop_free(fz.loop);
	fake_streams_reset();
	return 0;
}
