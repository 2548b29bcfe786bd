// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The relay over sockets that the test plays: tokens, presence, packets, health checks; and its codec against
// what was recorded.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <sodium.h>

#include "hubrelay/hubrelay_internal.h"
#include "unit/netbird.h"

#define SOCKETS		64
#define EXPIRES_S	4102444800	/* 2100 */
#define EXPIRED_S	1735689600	/* 2025 */

/* The other side of a connection. */
struct server_socket {
	const struct server_socket_events *events;
	void *ctx;
	uint8_t key[KEY_LEN], id[RELAY_ID_LEN];
	uint8_t queue[SERVER_SOCKET_QUEUE];	/* messages, each behind its length */
	size_t waiting;
	size_t reserved;
	bool is_ended, is_closed;
	bool closes_late;	/* closed() comes from the test */
	char why[100];
};

static struct rig {
	struct loop *loop;
	struct hubrelay *relay;
	struct server_socket sockets[SOCKETS];
	unsigned count;
	struct endpoint remote;
} *rig;

static const uint8_t secret[HUBRELAY_SECRET_LEN] = { 7 };

/* What the server does */

const struct endpoint *server_socket_remote(const struct server_socket *s)
{
	return &rig->remote;
}

uint8_t *server_socket_reserve(struct server_socket *s, size_t len)
{
	assert_int_equal(s->reserved, 0);
	assert_false(s->is_closed);
	if (s->is_ended || s->waiting + sizeof(len) + len > sizeof(s->queue))
		return NULL;
	s->reserved = len;
	return s->queue + s->waiting + sizeof(len);
}

void server_socket_commit(struct server_socket *s)
{
	assert_int_not_equal(s->reserved, 0);
	memcpy(s->queue + s->waiting, &s->reserved, sizeof(s->reserved));
	s->waiting += sizeof(s->reserved) + s->reserved;
	s->reserved = 0;
}

size_t server_socket_waiting(const struct server_socket *s)
{
	return s->waiting;
}

static void close_socket(struct server_socket *s)
{
	if (s->is_closed)
		return;
	s->is_closed = true;
	s->events->closed(s->ctx, s->why);
}

void server_socket_end(struct server_socket *s, const char *why)
{
	assert_false(s->is_ended);
	s->is_ended = true;
	snprintf(s->why, sizeof(s->why), "%s", why);
	if (!s->closes_late)
		close_socket(s);
}

/* Peers */

static void new_relay(const struct hubrelay_options *options)
{
	assert_int_equal(hubrelay_new(rig->loop, options, &rig->relay), 0);
}

static struct hubrelay_options usual(void)
{
	struct hubrelay_options options = { .instance_url = "rels://hub.test:443" };

	memcpy(options.secret, secret, sizeof(secret));
	return options;
}

static int set_up(void **state)
{
	struct hubrelay_options options = usual();

	rig = calloc(1, sizeof(*rig));
	assert_non_null(rig);
	rig->remote.family = AF_INET;
	assert_int_equal(loop_new_fake(&rig->loop, 1000 * LOOP_SECOND), 0);
	new_relay(&options);
	return 0;
}

static int tear_down(void **state)
{
	for (unsigned i = 0; i < rig->count; i++)
		close_socket(&rig->sockets[i]);
	if (rig->relay) {
		assert_int_equal(rig->relay->table.watch_count, 0);
		assert_int_equal(rig->relay->counts.peers, 0);
		assert_true(LIST_EMPTY(&rig->relay->conns));
	}
	hubrelay_free(rig->relay);
	assert_int_equal(loop_next(rig->loop), LOOP_NEVER);
	loop_free(rig->loop);
	free(rig);
	return 0;
}

static struct server_socket *dial(unsigned n)
{
	const struct server_request request = { .method = "GET", .path = "/relay", .query = "" };
	struct server_socket *s = &rig->sockets[rig->count++];

	memcpy(s->key, &n, sizeof(n));
	relay_id(s->key, s->id);
	assert_true(hubrelay_take(rig->relay, s, &request, &s->events, &s->ctx));
	return s;
}

static void send_bytes(struct server_socket *s, const void *bytes, size_t len)
{
	uint8_t *exact = malloc(len ? len : 1);

	memcpy(exact, bytes, len);
	s->events->message(s->ctx, exact, len);
	free(exact);
}

static void send_message(struct server_socket *s, enum relay_type type, const void *body, size_t len)
{
	uint8_t message[RELAY_MESSAGE_MAX + 1] = { RELAY_VERSION, type };

	if (len)
		memcpy(message + RELAY_HEADER_LEN, body, len);
	send_bytes(s, message, RELAY_HEADER_LEN + len);
}

static void send_packet(struct server_socket *s, const struct server_socket *to, const char *text)
{
	uint8_t body[RELAY_ID_LEN + 100];

	memcpy(body, to->id, RELAY_ID_LEN);
	memcpy(body + RELAY_ID_LEN, text, strlen(text));
	send_message(s, RELAY_TRANSPORT, body, RELAY_ID_LEN + strlen(text));
}

/* As @s, with a token of the peer @key. */
static void authenticate_with(struct server_socket *s, const uint8_t key[static KEY_LEN], uint64_t expires_s)
{
	char payload[HUBRELAY_PAYLOAD_LEN], text[HUBRELAY_SIGNATURE_LEN];
	uint8_t signature[RELAY_SIGNATURE_LEN], message[RELAY_AUTH_MAX];

	hubrelay_token(secret, key, expires_s, payload, text);
	assert_int_equal(sodium_base642bin(signature, sizeof(signature), text, strlen(text), NULL, NULL, NULL,
		sodium_base64_VARIANT_ORIGINAL), 0);
	send_bytes(s, message, relay_auth_write(s->id, payload, signature, message));
}

/* The next message of the relay's, which must be of @type; returns the length of its body. */
static size_t take(struct server_socket *s, enum relay_type type, uint8_t *ret_body)
{
	size_t len;

	assert_int_not_equal(s->waiting, 0);
	memcpy(&len, s->queue, sizeof(len));
	assert_in_range(len, RELAY_HEADER_LEN, RELAY_MESSAGE_MAX);
	assert_int_equal(s->queue[sizeof(len)], RELAY_VERSION);
	assert_int_equal(s->queue[sizeof(len) + 1], type);
	memcpy(ret_body, s->queue + sizeof(len) + RELAY_HEADER_LEN, len - RELAY_HEADER_LEN);
	s->waiting -= sizeof(len) + len;
	memmove(s->queue, s->queue + sizeof(len) + len, s->waiting);
	return len - RELAY_HEADER_LEN;
}

static void expect(struct server_socket *s, enum relay_type type, const void *body, size_t len)
{
	uint8_t got[RELAY_MESSAGE_MAX];

	assert_int_equal(take(s, type, got), len);
	if (len)
		assert_memory_equal(got, body, len);
}

static void expect_packet(struct server_socket *s, const struct server_socket *from, const char *text)
{
	uint8_t want[RELAY_ID_LEN + 100];

	memcpy(want, from->id, RELAY_ID_LEN);
	memcpy(want + RELAY_ID_LEN, text, strlen(text));
	expect(s, RELAY_TRANSPORT, want, RELAY_ID_LEN + strlen(text));
}

static struct server_socket *come_in(unsigned n)
{
	struct server_socket *s = dial(n);

	authenticate_with(s, s->key, EXPIRES_S);
	expect(s, RELAY_AUTH_RESPONSE, "rels://hub.test:443", 19);
	assert_int_equal(s->waiting, 0);
	return s;
}

static void expect_refused(struct server_socket *s)
{
	expect(s, RELAY_CLOSE, NULL, 0);
	assert_int_equal(s->waiting, 0);
	assert_true(s->is_ended);
}

static bool is_online(const uint8_t key[static KEY_LEN])
{
	uint64_t in, out;

	return hubrelay_peer_counts(rig->relay, key, &in, &out);
}

static struct hubrelay_counts counts(void)
{
	struct hubrelay_counts now;

	hubrelay_counts(rig->relay, &now);
	return now;
}

static void pass(uint64_t s)
{
	loop_advance(rig->loop, loop_now(rig->loop) + s * LOOP_SECOND);
}

/* Codec */

static void recorded_messages_of_clients_are_read(void **state)
{
	static const struct { const char *name; enum relay_type type; size_t ids, payload; } cases[] = {
		{ "relay/lap-001-sent-type6.bin", RELAY_AUTH, 1, 10 },
		{ "relay/lap-003-sent-type8.bin", RELAY_SUBSCRIBE, 1, 0 },
		{ "relay/lap-006-sent-type3.bin", RELAY_TRANSPORT, 1, 92 },
		{ "relay/lap-010-sent-type5.bin", RELAY_HEALTH_CHECK, 0, 0 },
		{ "relay/lap-012-sent-type9.bin", RELAY_UNSUBSCRIBE, 1, 0 },
		{ "relay/lap-021-sent-type4.bin", RELAY_CLOSE, 0, 0 },
	};
	uint8_t lap[KEY_LEN], node[KEY_LEN], lap_id[RELAY_ID_LEN], node_id[RELAY_ID_LEN];

	netbird_key(LAP_PUBLIC, lap);
	netbird_key(NODE_PUBLIC, node);
	relay_id(lap, lap_id);
	relay_id(node, node_id);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct relay_message m = {};
		size_t len;
		uint8_t *bytes = netbird_read(cases[i].name, &len);

		assert_int_equal(relay_request_parse(bytes, len, &m), 0);
		assert_int_equal(m.type, cases[i].type);
		assert_int_equal(m.id_count, cases[i].ids);
		assert_int_equal(m.payload_len, cases[i].payload);
		if (m.id_count)
			assert_memory_equal(m.ids, m.type == RELAY_AUTH ? lap_id : node_id, RELAY_ID_LEN);
		if (m.type == RELAY_AUTH)
			assert_ptr_equal(m.signature + RELAY_SIGNATURE_LEN, m.payload);
		free(bytes);
	}
}

static void messages_of_the_relay_are_those_that_were_recorded(void **state)
{
	uint8_t lap[KEY_LEN], node[KEY_LEN];
	struct server_socket *l, *n;
	size_t len;
	uint8_t *want, *sent;

	netbird_key(LAP_PUBLIC, lap);
	netbird_key(NODE_PUBLIC, node);
	l = dial(0);
	memcpy(l->key, lap, KEY_LEN);
	relay_id(lap, l->id);
	authenticate_with(l, lap, EXPIRES_S);
	l->waiting = 0;
	n = dial(0);
	memcpy(n->key, node, KEY_LEN);
	relay_id(node, n->id);
	authenticate_with(n, node, EXPIRES_S);
	n->waiting = 0;

	sent = netbird_read("relay/lap-003-sent-type8.bin", &len);
	send_bytes(l, sent, len);
	free(sent);
	want = netbird_read("relay/lap-004-received-type10.bin", &len);
	expect(l, RELAY_PEERS_ONLINE, want + 2, len - 2);
	free(want);

	sent = netbird_read("relay/node-005-sent-type3.bin", &len);
	send_bytes(n, sent, len);
	free(sent);
	want = netbird_read("relay/lap-005-received-type3.bin", &len);
	expect(l, RELAY_TRANSPORT, want + 2, len - 2);
	free(want);

	pass(25);
	want = netbird_read("relay/lap-009-received-type5.bin", &len);
	expect(l, RELAY_HEALTH_CHECK, want + 2, len - 2);
	free(want);

	close_socket(n);
	want = netbird_read("relay/lap-011-received-type11.bin", &len);
	expect(l, RELAY_PEERS_OFFLINE, want + 2, len - 2);
	free(want);
}

static void every_cut_of_a_message_is_refused(void **state)
{
	uint8_t auth[85] = { 1, RELAY_AUTH, 0x21, 0x12, 0xa4, 0x42, [42] = 1 };
	uint8_t ids[RELAY_HEADER_LEN + 2 * RELAY_ID_LEN] = { 1, RELAY_SUBSCRIBE };
	struct relay_message m;

	for (size_t len = 0; len <= 75; len++)
		assert_int_equal(relay_request_parse(auth, len, &m), -EBADMSG);
	assert_int_equal(relay_request_parse(auth, sizeof(auth), &m), 0);
	auth[42] = 2;
	assert_int_equal(relay_request_parse(auth, sizeof(auth), &m), -EBADMSG);
	for (size_t len = 0; len < sizeof(ids); len++)
		assert_int_equal(relay_request_parse(ids, len, &m), len == 38 ? 0 : -EBADMSG);
	ids[1] = RELAY_TRANSPORT;
	assert_int_equal(relay_request_parse(ids, 38, &m), -EBADMSG);
	assert_int_equal(relay_request_parse(ids, 39, &m), 0);
	ids[1] = RELAY_AUTH_RESPONSE;
	assert_int_equal(relay_request_parse(ids, 39, &m), -EPROTONOSUPPORT);
	ids[1] = 1;
	assert_int_equal(relay_request_parse(ids, 39, &m), -EPROTONOSUPPORT);
	ids[0] = 2;
	assert_int_equal(relay_request_parse(ids, 39, &m), -EPROTONOSUPPORT);
}

/* Tokens */

static void a_token_is_one_peers_until_its_second(void **state)
{
	const uint8_t key[KEY_LEN] = { 1 }, other[KEY_LEN] = { 2 }, wrong[HUBRELAY_SECRET_LEN] = { 8 };
	char payload[HUBRELAY_PAYLOAD_LEN], text[HUBRELAY_SIGNATURE_LEN];
	uint8_t id[RELAY_ID_LEN], other_id[RELAY_ID_LEN], sig[RELAY_SIGNATURE_LEN];
	const uint8_t *p = (const uint8_t *)payload;

	relay_id(key, id);
	relay_id(other, other_id);
	hubrelay_token(secret, key, EXPIRED_S, payload, text);
	assert_string_equal(payload, "1735689600");
	assert_int_equal(strlen(text), 44);
	assert_int_equal(sodium_base642bin(sig, sizeof(sig), text, 44, NULL, NULL, NULL,
		sodium_base64_VARIANT_ORIGINAL), 0);
	assert_int_equal(hubrelay_token_check(secret, id, p, 10, sig, EXPIRED_S), 0);
	assert_int_equal(hubrelay_token_check(secret, id, p, 10, sig, EXPIRED_S + 1), -EKEYEXPIRED);
	assert_int_equal(hubrelay_token_check(secret, other_id, p, 10, sig, EXPIRED_S), -EKEYREJECTED);
	assert_int_equal(hubrelay_token_check(wrong, id, p, 10, sig, EXPIRED_S), -EKEYREJECTED);
	assert_int_equal(hubrelay_token_check(secret, id, p, 9, sig, EXPIRED_S), -EKEYREJECTED);
	payload[0] = '2';
	assert_int_equal(hubrelay_token_check(secret, id, p, 10, sig, EXPIRED_S), -EKEYREJECTED);
	sig[31] ^= 1;
	payload[0] = '1';
	assert_int_equal(hubrelay_token_check(secret, id, p, 10, sig, EXPIRED_S), -EKEYREJECTED);
}

static void a_wrong_token_is_refused_with_close(void **state)
{
	const uint8_t other[KEY_LEN] = { 99 };
	struct server_socket *good = come_in(1), *s;

	s = dial(2);
	authenticate_with(s, other, EXPIRES_S);	/* somebody else's, replayed */
	expect_refused(s);
	assert_int_equal(counts().auth_refused, 1);
	s = dial(1);
	authenticate_with(s, other, EXPIRES_S);	/* and to push somebody out */
	expect_refused(s);
	assert_int_equal(counts().auth_refused, 2);
	assert_false(good->is_ended);
	s = dial(2);
	authenticate_with(s, s->key, EXPIRED_S);
	expect_refused(s);
	assert_int_equal(counts().auth_expired, 1);
	assert_int_equal(counts().peers, 1);
	assert_int_equal(rig->relay->table.spot_count, 1);
}

static void who_says_nothing_for_ten_seconds_is_ended(void **state)
{
	struct server_socket *s = dial(1);

	pass(9);
	assert_false(s->is_ended);
	pass(1);
	expect_refused(s);
	assert_int_equal(counts().auth_late, 1);
}

static void nothing_else_may_come_before_auth_and_no_second_auth(void **state)
{
	struct server_socket *s = dial(1);

	send_message(s, RELAY_HEALTH_CHECK, NULL, 0);
	expect_refused(s);
	s = come_in(1);
	authenticate_with(s, s->key, EXPIRES_S);
	expect_refused(s);
	s = come_in(1);
	send_message(s, RELAY_PEERS_ONLINE, s->id, RELAY_ID_LEN);
	expect_refused(s);
	s = come_in(1);
	send_bytes(s, "", 0);
	expect_refused(s);
	assert_int_equal(counts().malformed, 4);
	assert_false(is_online(s->key));
}

static void only_members_get_in_where_that_is_asked(void **state)
{
	struct hubrelay_options options = usual();
	struct server_socket *s;
	uint8_t key[KEY_LEN] = { 1 };

	hubrelay_free(rig->relay);
	options.members_only = true;
	new_relay(&options);
	s = dial(1);
	authenticate_with(s, s->key, EXPIRES_S);
	expect_refused(s);
	assert_int_equal(hubrelay_admit(rig->relay, key), 0);
	s = come_in(1);
	assert_true(is_online(key));
	hubrelay_end_peer(rig->relay, key);
	expect_refused(s);
	s = dial(1);
	authenticate_with(s, s->key, EXPIRES_S);
	expect_refused(s);
	assert_int_equal(counts().auth_refused, 2);
	assert_int_equal(rig->relay->table.spot_count, 0);
}

static void there_are_as_many_peers_as_are_allowed(void **state)
{
	struct hubrelay_options options = usual();
	struct server_socket *s;

	hubrelay_free(rig->relay);
	options.peers_max = 2;
	new_relay(&options);
	come_in(1);
	come_in(2);
	s = dial(3);
	authenticate_with(s, s->key, EXPIRES_S);
	expect_refused(s);
	assert_int_equal(counts().refused_full, 1);
	come_in(2);	/* anew: that is not one more */
	assert_int_equal(counts().peers, 2);
}

static void instance_urls_are_checked(void **state)
{
	struct hubrelay_options options = usual();
	struct hubrelay *relay;
	char text[RELAY_ADDRESS_MAX + 2];

	memset(text, 'a', sizeof(text));
	text[RELAY_ADDRESS_MAX + 1] = '\0';
	options.instance_url = text;
	assert_int_equal(hubrelay_new(rig->loop, &options, &relay), -EINVAL);
	options.instance_url = "";
	assert_int_equal(hubrelay_new(rig->loop, &options, &relay), -EINVAL);
	options.instance_url = "rel://a b";
	assert_int_equal(hubrelay_new(rig->loop, &options, &relay), -EINVAL);
	text[RELAY_ADDRESS_MAX] = '\0';
	options.instance_url = text;
	assert_int_equal(hubrelay_new(rig->loop, &options, &relay), 0);
	hubrelay_free(relay);
}

static void another_path_is_not_the_relays(void **state)
{
	const struct server_request request = { .method = "GET", .path = "/relays", .query = "" };
	const struct server_socket_events *events;
	void *ctx;

	assert_false(hubrelay_take(rig->relay, &rig->sockets[0], &request, &events, &ctx));
}

/* Packets */

static void a_packet_arrives_with_its_senders_id(void **state)
{
	struct server_socket *a = come_in(1), *b = come_in(2);
	uint64_t in, out;

	send_packet(a, b, "one");
	send_packet(a, b, "two");
	send_packet(b, a, "three");
	send_packet(a, a, "self");
	expect_packet(b, a, "one");
	expect_packet(b, a, "two");
	expect_packet(a, b, "three");
	expect_packet(a, a, "self");
	assert_int_equal(counts().packets, 4);
	assert_int_equal(counts().bytes, 15);
	assert_true(hubrelay_peer_counts(rig->relay, a->key, &in, &out));
	assert_int_equal(in, 10);
	assert_int_equal(out, 9);
}

static void a_packet_to_nobody_is_counted_and_gone(void **state)
{
	struct server_socket *a = come_in(1), *b = come_in(2), *c;
	uint64_t in, out;

	send_packet(a, b, "there");
	close_socket(b);
	send_packet(a, b, "gone");
	assert_int_equal(counts().lost_offline, 1);
	assert_false(hubrelay_peer_counts(rig->relay, b->key, &in, &out));
	c = come_in(2);		/* the last destination is looked up again */
	send_packet(a, c, "again");
	expect_packet(c, a, "again");
	assert_int_equal(counts().lost_offline, 1);
	assert_int_equal(counts().packets, 2);
}

static void a_slow_reader_loses_its_own_packets_only(void **state)
{
	static uint8_t body[RELAY_ID_LEN + 1280];
	struct server_socket *a = come_in(1), *slow = come_in(2), *c = come_in(3);
	unsigned sent = 0;

	memcpy(body, slow->id, RELAY_ID_LEN);
	for (; !counts().lost_slow; sent++)
		send_message(a, RELAY_TRANSPORT, body, sizeof(body));
	assert_in_range(sent, 165, 180);	/* 224 KiB */
	assert_in_range(slow->waiting, 220 * 1024, 225 * 1024);
	send_packet(a, c, "mine");
	expect_packet(c, a, "mine");
	pass(25);				/* there is room for what we have to say */
	expect(a, RELAY_HEALTH_CHECK, NULL, 0);
	assert_false(slow->is_ended);
	for (unsigned i = 1; i < sent; i++) {
		uint8_t got[RELAY_MESSAGE_MAX];

		take(slow, RELAY_TRANSPORT, got);
	}
	expect(slow, RELAY_HEALTH_CHECK, NULL, 0);
	assert_int_equal(slow->waiting, 0);
}

static void who_has_no_room_for_presence_is_ended(void **state)
{
	struct server_socket *slow = come_in(1), *b = dial(2);

	send_message(slow, RELAY_SUBSCRIBE, b->id, RELAY_ID_LEN);
	slow->waiting = sizeof(slow->queue);
	authenticate_with(b, b->key, EXPIRES_S);
	assert_false(slow->is_ended);
	pass(0);
	assert_true(slow->is_ended);
	assert_int_equal(counts().ended_slow, 1);
	assert_int_equal(counts().peers, 1);
	slow->waiting = 0;
}

/* Presence */

static void subscriptions_are_answered_with_who_is_there(void **state)
{
	struct server_socket *a = come_in(1), *b = come_in(2), *c = dial(3);
	uint8_t ids[3 * RELAY_ID_LEN];

	memcpy(ids, c->id, RELAY_ID_LEN);
	memcpy(ids + RELAY_ID_LEN, b->id, RELAY_ID_LEN);
	memcpy(ids + 2 * RELAY_ID_LEN, a->id, RELAY_ID_LEN);
	send_message(a, RELAY_SUBSCRIBE, ids, sizeof(ids));
	expect(a, RELAY_PEERS_ONLINE, ids + RELAY_ID_LEN, 2 * RELAY_ID_LEN);
	assert_int_equal(counts().watches, 3);
	send_message(a, RELAY_SUBSCRIBE, c->id, RELAY_ID_LEN);	/* twice is once */
	assert_int_equal(counts().watches, 3);
	assert_int_equal(a->waiting, 0);
	authenticate_with(c, c->key, EXPIRES_S);
	expect(a, RELAY_PEERS_ONLINE, c->id, RELAY_ID_LEN);
	assert_int_equal(a->waiting, 0);
}

static void coming_is_told_once_and_going_each_time(void **state)
{
	struct server_socket *a = come_in(1), *b = dial(2);

	send_message(a, RELAY_SUBSCRIBE, b->id, RELAY_ID_LEN);
	assert_int_equal(a->waiting, 0);
	authenticate_with(b, b->key, EXPIRES_S);
	expect(a, RELAY_PEERS_ONLINE, b->id, RELAY_ID_LEN);
	close_socket(b);
	expect(a, RELAY_PEERS_OFFLINE, b->id, RELAY_ID_LEN);
	b = come_in(2);
	assert_int_equal(a->waiting, 0);
	close_socket(b);
	expect(a, RELAY_PEERS_OFFLINE, b->id, RELAY_ID_LEN);
	send_message(a, RELAY_SUBSCRIBE, b->id, RELAY_ID_LEN);
	b = come_in(2);
	expect(a, RELAY_PEERS_ONLINE, b->id, RELAY_ID_LEN);
	send_message(a, RELAY_UNSUBSCRIBE, b->id, RELAY_ID_LEN);
	send_message(a, RELAY_UNSUBSCRIBE, b->id, RELAY_ID_LEN);
	close_socket(b);
	assert_int_equal(a->waiting, 0);
	assert_int_equal(counts().watches, 0);
	assert_int_equal(rig->relay->table.spot_count, 1);
}

static void the_newest_connection_of_a_peer_wins_unseen(void **state)
{
	struct server_socket *a = come_in(1), *old = come_in(2), *b;

	old->closes_late = true;
	send_message(a, RELAY_SUBSCRIBE, old->id, RELAY_ID_LEN);
	expect(a, RELAY_PEERS_ONLINE, old->id, RELAY_ID_LEN);
	send_message(old, RELAY_SUBSCRIBE, a->id, RELAY_ID_LEN);
	expect(old, RELAY_PEERS_ONLINE, a->id, RELAY_ID_LEN);
	b = come_in(2);
	expect_refused(old);
	assert_int_equal(counts().replaced, 1);
	assert_int_equal(counts().peers, 2);
	assert_int_equal(a->waiting, 0);
	send_packet(old, a, "late");	/* still on its way */
	assert_int_equal(a->waiting, 0);
	close_socket(old);
	assert_int_equal(a->waiting, 0);
	send_packet(a, b, "to the new one");
	expect_packet(b, a, "to the new one");
	assert_int_equal(counts().watches, 1);
}

static void close_ends_and_peers_are_told(void **state)
{
	struct server_socket *a = come_in(1), *b = come_in(2);

	send_message(a, RELAY_SUBSCRIBE, b->id, RELAY_ID_LEN);
	expect(a, RELAY_PEERS_ONLINE, b->id, RELAY_ID_LEN);
	send_message(b, RELAY_CLOSE, NULL, 0);
	assert_true(b->is_ended);
	expect(a, RELAY_PEERS_OFFLINE, b->id, RELAY_ID_LEN);
}

static void all_online_subscriptions_fit_one_message(void **state)
{
	static uint8_t ids[RELAY_IDS_MAX * RELAY_ID_LEN];
	struct server_socket *a = come_in(1);

	for (size_t i = 0; i < RELAY_IDS_MAX; i++)
		memcpy(ids + i * RELAY_ID_LEN, a->id, RELAY_ID_LEN);
	send_message(a, RELAY_SUBSCRIBE, ids, sizeof(ids));
	expect(a, RELAY_PEERS_ONLINE, ids, sizeof(ids));
	assert_int_equal(counts().watches, 1);
}

static void subscriptions_are_bounded(void **state)
{
	static uint8_t ids[RELAY_IDS_MAX * RELAY_ID_LEN];
	struct hubrelay_options options = usual();
	struct server_socket *a;

	hubrelay_free(rig->relay);
	options.peers_max = 100;
	new_relay(&options);
	a = come_in(1);
	for (size_t i = 0; i < RELAY_IDS_MAX; i++)
		memcpy(ids + i * RELAY_ID_LEN, &i, sizeof(i));
	send_message(a, RELAY_SUBSCRIBE, ids, sizeof(ids));
	assert_int_equal(counts().watches, 100);
	assert_int_equal(counts().watches_refused, RELAY_IDS_MAX - 100);
	assert_int_equal(rig->relay->table.spot_count, 101);
	assert_false(a->is_ended);
	send_message(a, RELAY_UNSUBSCRIBE, ids, sizeof(ids));
	assert_int_equal(counts().watches, 0);
	assert_int_equal(rig->relay->table.spot_count, 1);
}

/* Health */

static void health_checks_go_out_and_silence_ends(void **state)
{
	struct server_socket *a = come_in(1), *b = come_in(2);

	send_message(b, RELAY_SUBSCRIBE, a->id, RELAY_ID_LEN);
	expect(b, RELAY_PEERS_ONLINE, a->id, RELAY_ID_LEN);
	for (unsigned i = 0; i < 5; i++) {
		pass(25);
		expect(a, RELAY_HEALTH_CHECK, NULL, 0);
		expect(b, RELAY_HEALTH_CHECK, NULL, 0);
		if (i < 4)
			send_message(a, RELAY_HEALTH_CHECK, NULL, 0);
		send_message(b, RELAY_HEALTH_CHECK, NULL, 0);
	}
	send_packet(a, b, "no answer");
	expect_packet(b, a, "no answer");
	pass(24);
	assert_false(a->is_ended);
	pass(1);
	expect_refused(a);
	b->waiting = 0;
	send_message(b, RELAY_HEALTH_CHECK, NULL, 0);
	pass(25);
	assert_int_equal(counts().ended_silent, 1);
	assert_false(b->is_ended);
}

static void many_peers_find_each_other(void **state)
{
	struct server_socket *s[SOCKETS];

	for (unsigned i = 0; i < SOCKETS; i++)
		s[i] = come_in(i + 1);
	for (unsigned i = 0; i < SOCKETS; i++) {
		for (unsigned k = 0; k < SOCKETS; k++)
			send_packet(s[i], s[k], "hello");
	}
	for (unsigned i = 0; i < SOCKETS; i++) {
		for (unsigned k = 0; k < SOCKETS; k++)
			expect_packet(s[i], s[k], "hello");
	}
	assert_int_equal(counts().packets, SOCKETS * SOCKETS);
}

static void a_relay_that_goes_first_ends_its_sockets(void **state)
{
	struct server_socket *a = come_in(1), *b = come_in(2), *c = dial(3);

	send_message(a, RELAY_SUBSCRIBE, b->id, RELAY_ID_LEN);
	b->closes_late = true;
	hubrelay_free(rig->relay);
	rig->relay = NULL;
	assert_true(a->is_ended && b->is_ended && c->is_ended);
	send_message(b, RELAY_HEALTH_CHECK, NULL, 0);
	close_socket(b);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recorded_messages_of_clients_are_read),
		TEST(messages_of_the_relay_are_those_that_were_recorded),
		cmocka_unit_test(every_cut_of_a_message_is_refused),
		cmocka_unit_test(a_token_is_one_peers_until_its_second),
		TEST(a_wrong_token_is_refused_with_close),
		TEST(who_says_nothing_for_ten_seconds_is_ended),
		TEST(nothing_else_may_come_before_auth_and_no_second_auth),
		TEST(only_members_get_in_where_that_is_asked),
		TEST(there_are_as_many_peers_as_are_allowed),
		TEST(instance_urls_are_checked),
		TEST(another_path_is_not_the_relays),
		TEST(a_packet_arrives_with_its_senders_id),
		TEST(a_packet_to_nobody_is_counted_and_gone),
		TEST(a_slow_reader_loses_its_own_packets_only),
		TEST(who_has_no_room_for_presence_is_ended),
		TEST(subscriptions_are_answered_with_who_is_there),
		TEST(coming_is_told_once_and_going_each_time),
		TEST(the_newest_connection_of_a_peer_wins_unseen),
		TEST(close_ends_and_peers_are_told),
		TEST(all_online_subscriptions_fit_one_message),
		TEST(subscriptions_are_bounded),
		TEST(health_checks_go_out_and_silence_ends),
		TEST(many_peers_find_each_other),
		TEST(a_relay_that_goes_first_ends_its_sockets),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
