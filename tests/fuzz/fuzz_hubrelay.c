// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Clients of the hub's relay that say anything in any state, come, go, and do not read; and what the hub does
 * meanwhile. The input is a list of steps, each an operation, a length and its bytes. All of it also goes to
 * the STUN server as one request.
 */
#include <assert.h>

#include "log/log.h"

#include "base/endpoint.c"
#include "crypto/key.c"
#include "netbird/relay_wire.c"
#include "loop/loop.c"
#define hmac	stun_hmac
#define add	stun_add
#define begin	stun_begin
#define end	stun_end
#include "ice/stun.c"
#undef hmac
#undef add
#undef begin
#undef end
#include "hubrelay/hubrelay_token.c"
#define grow	table_grow
#define find	table_find
#include "hubrelay/hubrelay_table.c"
#undef grow
#undef find
#include "hubrelay/hubrelay.c"
#define on_readable	stun_on_readable
#include "hubrelay/hubstun.c"

#define FUZZ_PEERS	6
#define FUZZ_SOCKETS	12
#define FUZZ_STEPS	300
#define FUZZ_EXPIRES_S	4102444800

enum fuzz_step {
	STEP_RAW,		/* bytes as they are, from the socket in the first byte */
	STEP_MESSAGE,		/* a message of version 1; socket, type, body */
	STEP_AUTH,		/* socket, peer, whose token, whether it has expired */
	STEP_TRANSPORT,		/* socket, destination, packet */
	STEP_SUBSCRIBE,		/* socket, peers */
	STEP_UNSUBSCRIBE,
	STEP_OPEN,
	STEP_CLOSE,		/* the client goes */
	STEP_READ,		/* the client reads */
	STEP_ADMIT,
	STEP_REMOVE,
	STEP_TIME,
	STEP_LATE,		/* closed() comes later from now on, or at once */
	STEP_COUNT
};

struct server_socket {
	const struct server_socket_events *events;
	void *ctx;
	bool is_open, is_ended, has_reserved;
	size_t waiting, reserved;
	uint8_t *room;
};

static struct {
	struct loop *loop;
	struct hubrelay *relay;
	struct server_socket sockets[FUZZ_SOCKETS];
	uint8_t keys[FUZZ_PEERS][KEY_LEN], ids[FUZZ_PEERS][RELAY_ID_LEN];
	bool is_late;
	struct endpoint remote;
} fz;

static const uint8_t fuzz_secret[HUBRELAY_SECRET_LEN] = { 1 };

void log_write(enum log_level level, const char *fmt, ...)
{
}

void log_limited(struct log_limit *limit, enum log_level level, const char *fmt, ...)
{
}

const struct endpoint *server_socket_remote(const struct server_socket *s)
{
	return &fz.remote;
}

uint8_t *server_socket_reserve(struct server_socket *s, size_t len)
{
	assert(s->is_open && !s->has_reserved && len >= RELAY_HEADER_LEN && len <= RELAY_MESSAGE_MAX);
	if (s->is_ended || s->waiting + len > SERVER_SOCKET_QUEUE)
		return NULL;
	s->has_reserved = true;
	s->reserved = len;
	s->room = malloc(len);
	if (!s->room)
		abort();
	return s->room;
}

/* What goes out is what a client may read. */
void server_socket_commit(struct server_socket *s)
{
	struct relay_message m;

	assert(s->has_reserved);
	assert(!relay_message_parse(s->room, s->reserved, &m));
	free(s->room);
	s->room = NULL;
	s->has_reserved = false;
	s->waiting += s->reserved + 4;
}

size_t server_socket_waiting(const struct server_socket *s)
{
	return s->waiting;
}

static void fuzz_close(struct server_socket *s)
{
	if (!s->is_open)
		return;
	s->is_open = false;
	s->events->closed(s->ctx, "closed");
}

void server_socket_end(struct server_socket *s, const char *why)
{
	assert(s->is_open && !s->is_ended);
	s->is_ended = true;
	if (!fz.is_late)
		fuzz_close(s);
}

static struct server_socket *socket_of(uint8_t n)
{
	return &fz.sockets[n % FUZZ_SOCKETS];
}

static void fuzz_open(struct server_socket *s)
{
	const struct server_request request = { .method = "GET", .path = "/relay", .query = "" };

	if (s->is_open)
		return;
	memset(s, 0, sizeof(*s));
	s->is_open = hubrelay_take(fz.relay, s, &request, &s->events, &s->ctx);
}

static void fuzz_send(struct server_socket *s, const uint8_t *bytes, size_t len)
{
	uint8_t *exact = malloc(len ? len : 1);

	if (!exact)
		abort();
	memcpy(exact, bytes, len);
	if (s->is_open)
		s->events->message(s->ctx, exact, len);
	free(exact);
}

static void fuzz_message(struct server_socket *s, enum relay_type type, const uint8_t *body, size_t len)
{
	uint8_t message[RELAY_MESSAGE_MAX] = { RELAY_VERSION, type };

	memcpy(message + RELAY_HEADER_LEN, body, len);
	fuzz_send(s, message, RELAY_HEADER_LEN + len);
}

static void fuzz_auth(struct server_socket *s, const uint8_t *bytes, size_t len)
{
	char payload[HUBRELAY_PAYLOAD_LEN], text[HUBRELAY_SIGNATURE_LEN];
	uint8_t message[RELAY_AUTH_MAX], signature[RELAY_SIGNATURE_LEN];

	if (len < 3)
		return;
	hubrelay_token(fuzz_secret, fz.keys[bytes[1] % FUZZ_PEERS], bytes[2] & 1 ? 1 : FUZZ_EXPIRES_S,
		payload,
		text);
	if (sodium_base642bin(signature, sizeof(signature), text, strlen(text), NULL, NULL, NULL,
		sodium_base64_VARIANT_ORIGINAL))
		abort();
	fuzz_send(s, message, relay_auth_write(fz.ids[bytes[0] % FUZZ_PEERS], payload, signature, message));
}

static void fuzz_list(struct server_socket *s, enum relay_type type, const uint8_t *bytes, size_t len)
{
	uint8_t ids[255 * RELAY_ID_LEN];
	size_t n = 0;

	for (; n < len && n < RELAY_IDS_MAX; n++)
		memcpy(ids + n * RELAY_ID_LEN, fz.ids[bytes[n] % FUZZ_PEERS], RELAY_ID_LEN);
	fuzz_message(s, type, ids, n * RELAY_ID_LEN);
}

/* The first byte of @bytes multiplies the packet, so that queues fill. */
static void fuzz_transport(struct server_socket *s, const uint8_t *bytes, size_t len)
{
	uint8_t body[RELAY_MESSAGE_MAX - RELAY_HEADER_LEN] = {};

	if (len < 2)
		return;
	memcpy(body, fz.ids[bytes[0] % FUZZ_PEERS], RELAY_ID_LEN);
	memcpy(body + RELAY_ID_LEN, bytes + 2, len - 2);
	for (unsigned i = 0; i <= bytes[1] % 64; i++)
		fuzz_message(s, RELAY_TRANSPORT, body, bytes[1] & 64 ? sizeof(body) : RELAY_ID_LEN + len - 2);
}

static void from_client(enum fuzz_step step, struct server_socket *s, const uint8_t *bytes, size_t len)
{
	if (step == STEP_OPEN)
		fuzz_open(s);
	else if (step == STEP_CLOSE)
		fuzz_close(s);
	else if (step == STEP_READ)
		s->waiting = 0;
	else if (step == STEP_RAW)
		fuzz_send(s, bytes, len);
	else if (step == STEP_MESSAGE && len)
		fuzz_message(s, bytes[0], bytes + 1, len - 1);
	else if (step == STEP_AUTH)
		fuzz_auth(s, bytes, len);
	else if (step == STEP_TRANSPORT)
		fuzz_transport(s, bytes, len);
	else if (step == STEP_SUBSCRIBE)
		fuzz_list(s, RELAY_SUBSCRIBE, bytes, len);
	else if (step == STEP_UNSUBSCRIBE)
		fuzz_list(s, RELAY_UNSUBSCRIBE, bytes, len);
}

static void fuzz_act(enum fuzz_step step, const uint8_t *bytes, size_t len)
{
	const uint8_t *key = fz.keys[len ? bytes[0] % FUZZ_PEERS : 0];

	if (step == STEP_ADMIT)
		hubrelay_admit(fz.relay, key);
	else if (step == STEP_REMOVE)
		hubrelay_end_peer(fz.relay, key);
	else if (step == STEP_TIME)
		loop_advance(fz.loop, loop_now(fz.loop) + (len ? bytes[0] : 0) * LOOP_SECOND / 2);
	else if (step == STEP_LATE)
		fz.is_late = len & 1;
	else if (len)
		from_client(step, socket_of(bytes[0]), bytes + 1, len - 1);
}

static void check_counts(void)
{
	uint64_t in, out, online = 0;
	struct hubrelay_counts counts;

	hubrelay_counts(fz.relay, &counts);
	for (unsigned i = 0; i < FUZZ_PEERS; i++)
		online += hubrelay_peer_counts(fz.relay, fz.keys[i], &in, &out);
	assert(online == counts.peers);
}

static void stun(const uint8_t *data, size_t size)
{
	static struct hubstun server;
	uint8_t answer[ANSWER_MAX];
	struct endpoint from = { .family = size & 1 ? AF_INET : AF_INET6, .port = 1 };
	struct stun_message m;
	int len;

	server.loop = fz.loop;
	len = answer_to(&server, &from, data, size, answer);
	assert(!len || (!stun_parse(answer, len, &m) && m.class != STUN_REQUEST && stun_has_fingerprint(&m)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hubrelay_options options = { .instance_url = "rel://a", .peers_max = 1 + size % 8,
		.members_only = size & 1 };

	memset(&fz, 0, sizeof(fz));
	memcpy(options.secret, fuzz_secret, sizeof(fuzz_secret));
	if (loop_new_fake(&fz.loop, 1000 * LOOP_SECOND) || hubrelay_new(fz.loop, &options, &fz.relay))
		abort();
	stun(data, size);
	for (unsigned i = 0; i < FUZZ_PEERS; i++) {
		fz.keys[i][0] = i + 1;
		relay_id(fz.keys[i], fz.ids[i]);
	}
	for (unsigned i = 0; i < FUZZ_STEPS && size >= 2; i++) {
		size_t len = data[1] < size - 2 ? data[1] : size - 2;

		fuzz_act(data[0] % STEP_COUNT, data + 2, len);
		data += 2 + len;
		size -= 2 + len;
	}
	check_counts();
	if (size & 1) {
		hubrelay_free(fz.relay);
		fz.relay = NULL;
	}
	for (unsigned i = 0; i < FUZZ_SOCKETS; i++)
		fuzz_close(&fz.sockets[i]);
	hubrelay_free(fz.relay);
	assert(loop_next(fz.loop) == LOOP_NEVER);
	loop_free(fz.loop);
	return 0;
}
