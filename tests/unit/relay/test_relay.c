// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The relay client: messages against the recorded ones, then servers that the test plays over streams
// without a network.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <sodium.h>

#include "relay/relay.h"
#include "relay/relay_early.h"
#include "netbird/relay_wire.h"
#include "unit/fake_stream.h"
#include "unit/netbird.h"

#define PEERS	600

struct peer {
	struct rig *rig;
	struct relay_peer *handle;
	uint8_t key[KEY_LEN];
	uint8_t id[RELAY_ID_LEN];
	unsigned ready, closed, received;
	char why[160];
	uint8_t packet[RELAY_PAYLOAD_MAX];	/* the last one */
	size_t len;
	bool frees, reopens;			/* in closed() */
};

struct rig {
	struct loop *loop;
	struct relay_manager *manager;
	unsigned up, down;
	char address[256];
	char why[160];
	struct peer peers[PEERS];
	void (*on_home)(struct rig *r, bool is_connected);
	void (*on_received)(struct peer *p);
	void (*on_ready)(struct peer *p);
};

/*
 * What the client's dice say: the mean, so that waits are what they are called, or an end of
 * what is possible.
 */
static enum { MEAN, LOWEST, HIGHEST } chance;

static uint32_t uniform(const uint32_t upper)
{
	return chance == MEAN ? upper / 2 : chance == LOWEST ? 0 : upper - 1;
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
	.implementation_name = fixed_name, .random = fixed_random, .uniform = uniform, .buf = fixed_buf,
};

static struct rig *rig;		/* one at a time */
static const struct relay_peer_events peer_callbacks;

static void on_home(void *ctx, bool is_connected, const char *address, const char *why)
{
	struct rig *r = ctx;

	r->up += is_connected;
	r->down += !is_connected;
	snprintf(r->address, sizeof(r->address), "%s", address ? address : "");
	snprintf(r->why, sizeof(r->why), "%s", why ? why : "");
	if (r->on_home)
		r->on_home(r, is_connected);
}

static void on_ready(void *ctx)
{
	struct peer *p = ctx;

	p->ready++;
	if (p->rig->on_ready)
		p->rig->on_ready(p);
}

static void on_closed(void *ctx, const char *why)
{
	struct peer *p = ctx;

	p->closed++;
	snprintf(p->why, sizeof(p->why), "%s", why);
	if (p->frees) {
		relay_peer_free(p->handle);
		p->handle = NULL;
	}
	if (p->reopens)
		relay_peer_open(p->rig->manager, p->key, "rel://r1", NULL, &peer_callbacks, p, &p->handle);
}

static void on_received(void *ctx, const uint8_t *bytes, size_t len)
{
	struct peer *p = ctx;

	p->received++;
	memcpy(p->packet, bytes, len);
	p->len = len;
	if (p->rig->on_received)
		p->rig->on_received(p);
}

static const struct relay_events home_callbacks = { .home = on_home };
static const struct relay_peer_events peer_callbacks = { .ready = on_ready, .closed = on_closed,
	.received = on_received };

static int set_up(void **state)
{
	uint8_t own[KEY_LEN];

	chance = MEAN;
	rig = calloc(1, sizeof(*rig));
	assert_non_null(rig);
	assert_int_equal(loop_new_fake(&rig->loop, 1000 * LOOP_SECOND), 0);
	for (size_t i = 0; i < KEY_LEN; i++)
		own[i] = i;
	assert_int_equal(relay_manager_new(rig->loop, own, &home_callbacks, rig, &rig->manager), 0);
	for (unsigned i = 0; i < PEERS; i++) {
		rig->peers[i].rig = rig;
		memcpy(rig->peers[i].key, &i, sizeof(i));
		rig->peers[i].key[31] = 0x77;
		relay_id(rig->peers[i].key, rig->peers[i].id);
	}
	return 0;
}

static int tear_down(void **state)
{
	for (unsigned i = 0; i < PEERS; i++)
		relay_peer_free(rig->peers[i].handle);
	relay_manager_free(rig->manager);
	for (size_t i = 0; i < fake_stream_count; i++)
		assert_true(fake_streams[i]->is_freed);
	assert_int_equal(loop_next(rig->loop), LOOP_NEVER);
	loop_free(rig->loop);
	free(rig);
	fake_streams_reset();
	return 0;
}

/* After @ms more. */
static void pass(uint64_t ms)
{
	loop_advance(rig->loop, loop_now(rig->loop) + ms * LOOP_MS);
}

static void set_token(const char *payload, uint8_t first, const char *const *urls)
{
	struct server_url parsed[16];
	struct netmap_relay relay = { .present = true, .urls = parsed, .token_payload = (char *)payload };

	for (; urls && urls[relay.url_count]; relay.url_count++)
		assert_int_equal(server_url_parse(urls[relay.url_count], SERVER_SCHEMES_RELAY,
			&parsed[relay.url_count]), 0);
	memset(relay.token_signature, first, sizeof(relay.token_signature));
	assert_int_equal(relay_manager_set(rig->manager, &relay), 0);
}

static void set_urls(const char *const *urls)
{
	set_token("1735689600", 0x11, urls);
}

#define URLS(...) ((const char *const []){ __VA_ARGS__, NULL })

static struct stream *dialled(size_t n)
{
	assert_in_range(n, 0, fake_stream_count - 1);
	return fake_streams[n];
}

/* The server's side of the first stream that goes to @host and still lives. */
static struct stream *to(const char *host)
{
	for (size_t i = 0; i < fake_stream_count; i++) {
		if (!fake_streams[i]->is_freed && !strcmp(fake_streams[i]->host, host))
			return fake_streams[i];
	}
	fail_msg("nobody dialled %s", host);
	return NULL;
}

static unsigned count_live(void)
{
	unsigned count = 0;

	for (size_t i = 0; i < fake_stream_count; i++)
		count += !fake_streams[i]->is_freed;
	return count;
}

/* The next message of the client's, or -1. */
static int take(struct stream *s, uint8_t message[static RELAY_MESSAGE_MAX])
{
	enum websocket_opcode opcode;
	int len = fake_take(s, &opcode, message, RELAY_MESSAGE_MAX);

	if (len >= 0)
		assert_int_equal(opcode, WEBSOCKET_BINARY);
	return len;
}

static void expect(struct stream *s, const void *want, size_t want_len)
{
	uint8_t message[RELAY_MESSAGE_MAX];

	assert_int_equal(take(s, message), want_len);
	assert_memory_equal(message, want, want_len);
}

static void expect_nothing(struct stream *s)
{
	uint8_t message[RELAY_MESSAGE_MAX];

	assert_int_equal(take(s, message), -1);
}

static void say(struct stream *s, enum relay_type type, const void *body, size_t len)
{
	uint8_t message[RELAY_MESSAGE_MAX] = { 1, type };

	memcpy(message + 2, body, len);
	fake_send(s, message, len + 2);
}

static void answer_auth(struct stream *s, const char *address)
{
	uint8_t message[RELAY_MESSAGE_MAX];

	fake_upgrade(s);
	assert_int_equal(take(s, message), 85);
	assert_int_equal(message[1], RELAY_AUTH);
	say(s, RELAY_AUTH_RESPONSE, address, strlen(address));
}

/* The home relay, up. */
static struct stream *come_up(void)
{
	struct stream *s;

	set_urls(URLS("rel://r1"));
	s = to("r1");
	answer_auth(s, "rel://r1");
	assert_int_equal(rig->up, 1);
	return s;
}

static struct peer *open_peer(unsigned n, const char *address)
{
	struct peer *p = &rig->peers[n];

	assert_int_equal(relay_peer_open(rig->manager, p->key, address, NULL, &peer_callbacks, p,
		&p->handle), 0);
	return p;
}

static void expect_ids(struct stream *s, enum relay_type type, const struct peer *p)
{
	uint8_t want[2 + RELAY_ID_LEN] = { 1, type };

	memcpy(want + 2, p->id, RELAY_ID_LEN);
	expect(s, want, sizeof(want));
}

static struct peer *open_ready(struct stream *s, unsigned n)
{
	struct peer *p = open_peer(n, "rel://r1");

	pass(0);
	expect_ids(s, RELAY_SUBSCRIBE, p);
	say(s, RELAY_PEERS_ONLINE, p->id, RELAY_ID_LEN);
	assert_int_equal(p->ready, 1);
	return p;
}

static void say_packet(struct stream *s, const struct peer *from, const char *text)
{
	uint8_t body[RELAY_ID_LEN + 100];

	memcpy(body, from->id, RELAY_ID_LEN);
	memcpy(body + RELAY_ID_LEN, text, strlen(text));
	say(s, RELAY_TRANSPORT, body, RELAY_ID_LEN + strlen(text));
}

static struct relay_stats stats(void)
{
	struct relay_stats now;

	relay_manager_get_stats(rig->manager, &now);
	return now;
}

/* Messages */

static void from_hex(const char *hex, uint8_t *bytes, size_t len)
{
	size_t got;

	assert_int_equal(sodium_hex2bin(bytes, len, hex, strlen(hex), " ", &got, NULL), 0);
	assert_int_equal(got, len);
}

static void the_known_key_has_the_known_id_and_auth_message(void **state)
{
	uint8_t key[KEY_LEN], id[RELAY_ID_LEN], want[RELAY_AUTH_MAX], signature[32], message[RELAY_AUTH_MAX];

	for (size_t i = 0; i < KEY_LEN; i++)
		key[i] = i;
	relay_id(key, id);
	assert_memory_equal(id, "sha-", 4);
	from_hex("905f28def18eaac05ae6f12b2c3452744afaf626da1343d57b395b544e0519b6", want, 32);
	assert_memory_equal(id + 4, want, 32);
	from_hex("83e8858738f9857e1550e719a4a0d516d5eef4cb6533cdc46218ec38d33090c6", signature, 32);
	from_hex("01062112a4427368612d905f28def18eaac05ae6f12b2c3452744afaf626da1343d57b395b544e0519b60183e88"
	"58738f9857e1550e719a4a0d516d5eef4cb6533cdc46218ec38d33090c631373335363839363030", want, 85);
	assert_int_equal(relay_auth_write(id, "1735689600", signature, message), 85);
	assert_memory_equal(message, want, 85);
}

static void a_token_too_long_or_missing_makes_no_auth_message(void **state)
{
	uint8_t id[RELAY_ID_LEN] = {}, signature[32] = {}, message[RELAY_AUTH_MAX];
	char text[RELAY_AUTH_MAX] = "";

	memset(text, '1', RELAY_AUTH_MAX - RELAY_AUTH_FIXED);
	assert_int_equal(relay_auth_write(id, text, signature, message), RELAY_AUTH_MAX);
	text[RELAY_AUTH_MAX - RELAY_AUTH_FIXED] = '1';
	assert_int_equal(relay_auth_write(id, text, signature, message), -EINVAL);
	assert_int_equal(relay_auth_write(id, "", signature, message), -EINVAL);
	assert_int_equal(relay_auth_write(id, NULL, signature, message), -EINVAL);
}

static void the_recorded_auth_messages_are_ours(void **state)
{
	static const struct { const char *file, *key; } cases[] = {
		{ "relay/lap-001-sent-type6.bin", LAP_PUBLIC },
		{ "relay/node-001-sent-type6.bin", NODE_PUBLIC },
	};

	for (size_t i = 0; i < 2; i++) {
		uint8_t key[KEY_LEN], id[RELAY_ID_LEN], message[RELAY_AUTH_MAX];
		size_t len;
		uint8_t *want = netbird_read(cases[i].file, &len);

		netbird_key(cases[i].key, key);
		relay_id(key, id);
		assert_int_equal(relay_auth_write(id, (const char *)want + RELAY_AUTH_FIXED, want + 43,
			message), len);
		assert_memory_equal(message, want, len);
		free(want);
	}
}

/* Type by type: what the server sent is understood, what the clients sent is what we would send. */
static void the_recorded_messages_are_understood(void **state)
{
	static const char *const received[] = {
		"lap-002-received-type7", "lap-004-received-type10", "lap-005-received-type3",
		"lap-007-received-type3",
		"lap-009-received-type5", "lap-011-received-type11", "lap-014-received-type10",
		"lap-015-received-type3", "lap-017-received-type3", "node-002-received-type7",
		"node-004-received-type10", "node-006-received-type3", "node-008-received-type3",
		"node-009-received-type5",
	};
	uint8_t lap[KEY_LEN], node[KEY_LEN], ids[2][RELAY_ID_LEN];

	netbird_key(LAP_PUBLIC, lap);
	netbird_key(NODE_PUBLIC, node);
	relay_id(lap, ids[0]);
	relay_id(node, ids[1]);
	for (size_t i = 0; i < sizeof(received) / sizeof(*received); i++) {
		bool is_lap = received[i][0] == 'l';
		struct relay_message m;
		char path[64];
		size_t len;
		uint8_t *bytes;

		snprintf(path, sizeof(path), "relay/%s.bin", received[i]);
		bytes = netbird_read(path, &len);
		assert_int_equal(relay_message_parse(bytes, len, &m), 0);
		assert_int_equal(m.type, atoi(strstr(received[i], "type") + 4));
		if (m.type == RELAY_AUTH_RESPONSE) {
			assert_int_equal(m.payload_len, 20);
			assert_memory_equal(m.payload, "rel://10.99.0.1:8080", 20);
		}
		if (m.id_count) {
			assert_int_equal(m.id_count, 1);
			/* each spoke with the other */
			assert_memory_equal(m.ids, ids[is_lap], RELAY_ID_LEN);
		}
		if (m.type == RELAY_TRANSPORT) {
			uint8_t header[RELAY_TRANSPORT_LEN];

			assert_int_equal(m.payload_len, len - RELAY_TRANSPORT_LEN);
			assert_in_range(m.payload[0], 1, 4);
			relay_transport_write(ids[is_lap], header);
			assert_memory_equal(header, bytes, sizeof(header));
		}
		free(bytes);
	}
}

static void malformed_messages_are_refused_by_kind(void **state)
{
	static const struct { uint8_t bytes[50]; size_t len; int want; } cases[] = {
		{ { 1 }, 0, -EBADMSG }, { { 1 }, 1, -EBADMSG },
		{ { 0, 5 }, 2, -EPROTONOSUPPORT }, { { 2, 5 }, 2, -EPROTONOSUPPORT },
		{ { 1, 0 }, 2, -EPROTONOSUPPORT }, { { 1, 2 }, 2, -EPROTONOSUPPORT },
		{ { 1, 12 }, 2, -EPROTONOSUPPORT },
		{ { 1, 255 }, 2, -EPROTONOSUPPORT }, { { 1, 6 }, 40, -EPROTONOSUPPORT },
		{ { 1, 8 }, 38, -EPROTONOSUPPORT },
		{ { 1, 3 }, 2, -EBADMSG }, { { 1, 3 }, 37, -EBADMSG }, { { 1, 3 }, 38, -EBADMSG },
		{ { 1, 3 }, 39, 0 },
		{ { 1, 7 }, 2, -EBADMSG }, { { 1, 7, 'a', ' ' }, 4, -EBADMSG },
		{ { 1, 7, 'a', 0x80 }, 4, -EBADMSG },
		{ { 1, 7, 'a', 0 }, 4, -EBADMSG }, { { 1, 7, 'a' }, 3, 0 },
		{ { 1, 10 }, 2, -EBADMSG }, { { 1, 10 }, 37, -EBADMSG }, { { 1, 10 }, 39, -EBADMSG },
		{ { 1, 10 }, 38, 0 },
		{ { 1, 11 }, 2, -EBADMSG }, { { 1, 11 }, 38, 0 },
		{ { 1, 4 }, 2, 0 }, { { 1, 5 }, 2, 0 }, { { 1, 5, 9 }, 3, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct relay_message m;

		if (relay_message_parse(cases[i].bytes, cases[i].len, &m) != cases[i].want)
			fail_msg("case %zu", i);
	}
}

/* The home relay */

static void a_server_that_takes_our_token_is_home(void **state)
{
	struct relay_status list[4];
	struct stream *s;
	uint8_t want[RELAY_AUTH_MAX], message[RELAY_MESSAGE_MAX];

	assert_null(relay_manager_address(rig->manager));
	assert_int_equal(relay_manager_list(rig->manager, list, 4), 0);
	set_urls(URLS("rels://relay.example:8443"));
	assert_int_equal(relay_manager_list(rig->manager, list, 4), 1);
	assert_false(list[0].is_available);
	s = to("relay.example");
	assert_int_equal(s->options.port, 8443);
	assert_true(s->options.tls);
	assert_string_equal(s->alpn, "http/1.1");
	fake_upgrade(s);
	assert_int_equal(take(s, message), 85);
	from_hex("01062112a4427368612d905f28def18eaac05ae6f12b2c3452744afaf626da1343d57b395b544e0519b6011111",
		want, 45);
	assert_memory_equal(message, want, 45);
	assert_memory_equal(message + RELAY_AUTH_FIXED, "1735689600", 10);
	assert_int_equal(rig->up, 0);
	say(s, RELAY_AUTH_RESPONSE, "rels://other.example:443", 24);
	assert_int_equal(rig->up, 1);
	assert_string_equal(rig->address, "rels://other.example:443");
	assert_string_equal(relay_manager_address(rig->manager), "rels://other.example:443");
	assert_int_equal(relay_manager_list(rig->manager, list, 4), 1);
	assert_true(list[0].is_available);
	assert_string_equal(list[0].uri, "rels://other.example:443");
}

static void health_checks_are_echoed(void **state)
{
	struct stream *s = come_up();

	say(s, RELAY_HEALTH_CHECK, "", 0);
	expect(s, "\x01\x05", 2);
	expect_nothing(s);
}

static void a_silent_server_is_left_after_one_to_two_windows(void **state)
{
	struct stream *s = come_up();

	pass(34000);
	say(s, RELAY_HEALTH_CHECK, "", 0);
	pass(1000 + 34999);
	assert_int_equal(rig->down, 0);
	pass(1);
	assert_int_equal(rig->down, 1);
	assert_non_null(strstr(rig->why, "silent"));
	assert_true(s->is_freed);
}

static void a_server_that_keeps_asking_is_kept(void **state)
{
	struct stream *s = come_up();

	for (int i = 0; i < 1000; i++) {
		pass(25000);
		say(s, RELAY_HEALTH_CHECK, "", 0);
	}
	assert_int_equal(rig->down, 0);
}

static void a_refused_token_is_said_to_be_one(void **state)
{
	struct relay_status list[4];

	set_urls(URLS("rel://r1"));
	fake_upgrade(to("r1"));
	fake_end(to("r1"), 0, "r1:80 closed the connection");
	assert_int_equal(rig->up, 0);
	assert_int_equal(relay_manager_list(rig->manager, list, 4), 1);
	assert_string_equal(list[0].uri, "rel://r1:80");
	assert_false(list[0].is_available);
	assert_string_equal(list[0].error, "the relay refused our token: r1:80 closed the connection");
}

static void a_server_that_does_not_answer_the_token_is_left_after_8_s(void **state)
{
	set_urls(URLS("rel://r1"));
	fake_upgrade(to("r1"));
	pass(7999);
	assert_int_equal(count_live(), 1);
	pass(1);
	assert_int_equal(count_live(), 0);
}

static void a_dial_ends_after_30_s(void **state)
{
	struct relay_status list[4];

	set_urls(URLS("rel://r1"));
	to("r1")->events.connected(to("r1")->ctx);
	pass(29999);
	assert_int_equal(count_live(), 1);
	pass(1);
	assert_int_equal(count_live(), 0);
	relay_manager_list(rig->manager, list, 4);
	assert_string_equal(list[0].error, "no connection in time");
}

static void of_two_servers_the_first_to_authenticate_is_taken(void **state)
{
	set_urls(URLS("rel://r1", "rel://r2"));
	assert_int_equal(count_live(), 2);
	fake_upgrade(to("r1"));
	answer_auth(to("r2"), "rel://r2");
	assert_string_equal(rig->address, "rel://r2");
	assert_true(dialled(0)->is_freed);
	assert_int_equal(count_live(), 1);
	pass(60000);
	assert_int_equal(fake_stream_count, 2 + 1);	/* silent, so lost and dialled again, alone */
}

static void one_dead_server_of_two_does_no_harm(void **state)
{
	set_urls(URLS("rel://r1", "rel://r2"));
	fake_end(to("r1"), -ECONNREFUSED, "r1:80: Connection refused");
	answer_auth(to("r2"), "rel://r2");
	assert_string_equal(rig->address, "rel://r2");
	assert_int_equal(rig->up, 1);
}

static void a_server_that_is_named_twice_is_dialled_once(void **state)
{
	set_urls(URLS("rel://r1", "rel://r1:80", "REL://R1"));
	assert_int_equal(count_live(), 1);
	answer_auth(to("r1"), "rel://r1");
	assert_int_equal(rig->up, 1);
}

static void seven_servers_are_dialled_at_a_time(void **state)
{
	set_urls(URLS("rel://r1", "rel://r2", "rel://r3", "rel://r4", "rel://r5", "rel://r6", "rel://r7",
		"rel://r8", "rel://r9"));
	assert_int_equal(count_live(), 7);
	fake_end(to("r3"), -ECONNREFUSED, "no");
	assert_int_equal(count_live(), 7);
	assert_string_equal(dialled(7)->host, "r8");
	fake_end(to("r8"), -ECONNREFUSED, "no");
	fake_end(to("r1"), -ECONNREFUSED, "no");
	assert_int_equal(count_live(), 6);
	answer_auth(to("r9"), "rel://r9");
	assert_int_equal(count_live(), 1);
}

/* At once, then after 2, 4, 8, 16, 32, 60, 60 s. */
static void picks_in_vain_come_again_at_doubled_waits(void **state)
{
	static const unsigned waits[] = { 2, 4, 8, 16, 32, 60, 60 };

	set_urls(URLS("rel://r1"));
	for (size_t i = 0; i < sizeof(waits) / sizeof(*waits); i++) {
		fake_end(to("r1"), -ECONNREFUSED, "no");
		assert_int_equal(fake_stream_count, i + 1);
		pass(waits[i] * 1000 - 1);
		assert_int_equal(fake_stream_count, i + 1);
		pass(1);
		assert_int_equal(fake_stream_count, i + 2);
	}
	answer_auth(to("r1"), "rel://r1");
	assert_int_equal(rig->up, 1);
}

/* Those who lost one relay together do not come back together. */
static void each_wait_is_random_from_half_to_one_and_a_half_of_it(void **state)
{
	static const unsigned waits[] = { 2, 4, 8, 16, 32, 60, 60 };

	for (int is_long = 0; is_long < 2; is_long++) {
		set_token("1735689600", is_long, URLS("rel://r1"));	/* begins anew */
		chance = is_long ? HIGHEST : LOWEST;
		for (size_t i = 0; i < sizeof(waits) / sizeof(*waits); i++) {
			const size_t before = fake_stream_count;

			fake_end(to("r1"), -ECONNREFUSED, "no");
			pass(waits[i] * (is_long ? 1500 : 500) - 1);
			assert_int_equal(fake_stream_count, before);
			pass(1);
			assert_int_equal(fake_stream_count, before + 1);
		}
		fake_end(to("r1"), -ECONNREFUSED, "no");
	}
}

/* 1.5 s, the same one; at once, all; after 2 s, 4 s ... */
static void a_lost_home_is_looked_for_where_it_was_and_then_everywhere(void **state)
{
	set_urls(URLS("rel://r1", "rel://r2"));
	answer_auth(to("r1"), "rel://r1");
	fake_end(to("r1"), -ECONNRESET, "r1:80: Connection reset by peer");
	assert_int_equal(rig->down, 1);
	assert_string_equal(rig->why, "r1:80: Connection reset by peer");
	assert_null(relay_manager_address(rig->manager));
	pass(1499);
	assert_int_equal(count_live(), 0);
	pass(1);
	assert_int_equal(count_live(), 1);
	fake_end(to("r1"), -ECONNREFUSED, "no");
	assert_int_equal(count_live(), 2);
	fake_end(to("r1"), -ECONNREFUSED, "no");
	fake_end(to("r2"), -ECONNREFUSED, "no");
	assert_int_equal(count_live(), 0);
	pass(1999);
	assert_int_equal(count_live(), 0);
	pass(1);
	assert_int_equal(count_live(), 2);
	fake_end(to("r1"), -ECONNREFUSED, "no");
	fake_end(to("r2"), -ECONNREFUSED, "no");
	pass(3999);
	assert_int_equal(count_live(), 0);
	pass(1);
	answer_auth(to("r2"), "rel://r2");
	assert_int_equal(rig->up, 2);
	assert_int_equal(count_live(), 1);
}

static void a_home_that_management_took_away_is_not_dialled_again(void **state)
{
	come_up();
	set_urls(URLS("rel://r2"));
	assert_int_equal(rig->down, 0);		/* but kept while it lives */
	assert_int_equal(fake_stream_count, 1);
	fake_end(to("r1"), 0, "closed");
	pass(1500);
	assert_string_equal(dialled(1)->host, "r2");
	assert_int_equal(fake_stream_count, 2);
}

static void a_close_message_is_a_loss(void **state)
{
	struct stream *s = come_up();

	say(s, RELAY_CLOSE, "", 0);
	assert_int_equal(rig->down, 1);
	assert_true(s->is_freed);
	pass(1500);
	answer_auth(to("r1"), "rel://r1");
	assert_int_equal(rig->up, 2);
}

static void no_urls_mean_no_relay_once_the_present_one_is_lost(void **state)
{
	uint8_t message[RELAY_MESSAGE_MAX];

	come_up();
	set_token(NULL, 0, NULL);
	assert_int_equal(rig->down, 0);
	fake_end(to("r1"), 0, "closed");
	assert_int_equal(rig->down, 1);
	pass(600000);
	assert_int_equal(fake_stream_count, 1);
	set_token(NULL, 0, URLS("rel://r1"));
	assert_int_equal(fake_stream_count, 2);
	fake_upgrade(to("r1"));		/* with the token of before */
	assert_int_equal(take(to("r1"), message), 85);
	set_urls(NULL);
	assert_int_equal(count_live(), 0);
}

static void a_new_token_leaves_what_is_connected_alone_and_is_used_by_the_next_dial(void **state)
{
	uint8_t message[RELAY_MESSAGE_MAX];
	struct stream *s;

	come_up();
	set_token("1999999999", 0x22, URLS("rel://r1"));
	assert_int_equal(fake_stream_count, 1);
	fake_end(to("r1"), 0, "closed");
	pass(1500);
	s = to("r1");
	set_token("2000000000", 0x33, URLS("rel://r1"));	/* even one that came during the dial */
	assert_int_equal(fake_stream_count, 2);
	fake_upgrade(s);
	assert_int_equal(take(s, message), 85);
	assert_int_equal(message[43], 0x33);
	assert_memory_equal(message + RELAY_AUTH_FIXED, "2000000000", 10);
}

static void news_end_the_wait(void **state)
{
	set_urls(URLS("rel://r1"));
	fake_end(to("r1"), 0, "closed");
	assert_int_equal(count_live(), 0);
	set_urls(URLS("rel://r1"));				/* no news */
	assert_int_equal(count_live(), 0);
	set_token("2000000000", 0x33, URLS("rel://r1"));
	assert_int_equal(count_live(), 1);
	/* others: the dial of the first is given up */
	set_token("2000000000", 0x33, URLS("rel://r2"));
	assert_int_equal(count_live(), 1);
	assert_string_equal(dialled(2)->host, "r2");
}

static void without_a_token_nobody_is_authenticated(void **state)
{
	set_token(NULL, 0, URLS("rel://r1"));
	fake_upgrade(to("r1"));
	assert_int_equal(count_live(), 0);
	pass(2000);
	assert_int_equal(count_live(), 1);
}

static void a_dial_that_fails_at_once_is_one_that_failed(void **state)
{
	fake_stream_open_error = -ENOMEM;
	set_urls(URLS("rel://r1"));
	assert_int_equal(fake_stream_count, 0);
	pass(2000);
	assert_int_equal(fake_stream_count, 1);
}

static void an_orderly_end_says_close(void **state)
{
	struct stream *s = come_up();
	struct peer *p = open_ready(s, 1);
	enum websocket_opcode opcode;
	uint8_t payload[200];

	relay_manager_close(rig->manager);
	expect(s, "\x01\x04", 2);
	assert_int_equal(fake_take(s, &opcode, payload, sizeof(payload)), 2);
	assert_int_equal(opcode, WEBSOCKET_CLOSE);
	assert_true(s->is_freed);
	assert_int_equal(p->closed, 0);
	assert_int_equal(rig->down, 0);
	assert_int_equal(relay_peer_send(p->handle, "x", 1), -ENOTCONN);
	set_urls(URLS("rel://r2"));
	pass(60000);
	assert_int_equal(fake_stream_count, 1);
}

static void count_connection(void *ctx, const struct talon_quiet *connection)
{
	++*(unsigned *)ctx;
	assert_int_equal(connection->remote_port, htons(443));
}

static void an_end_in_silence_says_nothing(void **state)
{
	struct stream *s = come_up();
	struct peer *p = open_ready(s, 1);
	unsigned count = 0;

	s->remote = (struct endpoint){ .family = AF_INET, .port = htons(443) };
	relay_manager_each_connection(rig->manager, count_connection, &count);
	assert_int_equal(count, 1);
	relay_manager_abandon(rig->manager);
	assert_true(s->is_abandoned);
	expect_nothing(s);
	assert_int_equal(p->closed + rig->down, 0);
	assert_int_equal(relay_peer_send(p->handle, "x", 1), -ENOTCONN);
	relay_manager_each_connection(rig->manager, count_connection, &count);
	assert_int_equal(count, 1);
	pass(60000);
	assert_int_equal(fake_stream_count, 1);
}

static void an_end_that_cannot_be_silent_is_an_orderly_one(void **state)
{
	struct stream *s = come_up();

	s->cannot_abandon = true;
	relay_manager_abandon(rig->manager);
	assert_true(s->is_freed && !s->is_abandoned);
	expect(s, "\x01\x04", 2);
}

static void whether_a_server_has_yet_to_answer_is_known(void **state)
{
	struct stream *s;

	set_urls(URLS("rel://r1"));
	s = to("r1");
	assert_false(relay_manager_is_waiting(rig->manager));
	fake_upgrade(s);
	assert_true(relay_manager_is_waiting(rig->manager));
	say(s, RELAY_AUTH_RESPONSE, "rel://r1", 8);
	assert_int_equal(rig->up, 1);
	assert_false(relay_manager_is_waiting(rig->manager));
}

/* Peers */

static struct peer *open_presumed(unsigned n)
{
	struct peer *p = open_peer(n, "rel://r1");

	relay_peer_presume(p->handle);
	assert_int_equal(p->ready, 0);
	pass(0);
	return p;
}

static void a_peer_that_was_there_is_ready_at_once(void **state)
{
	struct stream *s = come_up();
	uint8_t message[RELAY_MESSAGE_MAX];
	struct peer *p;

	say_packet(s, &rig->peers[1], "early");
	p = open_presumed(1);
	assert_int_equal(p->ready, 1);
	assert_int_equal(p->received, 1);
	assert_int_equal(relay_peer_send(p->handle, "packet", 6), 0);
	relay_manager_flush(rig->manager);
	expect_ids(s, RELAY_SUBSCRIBE, p);
	assert_int_equal(take(s, message), 44);
	say(s, RELAY_PEERS_ONLINE, p->id, RELAY_ID_LEN);
	pass(30000);
	assert_int_equal(p->ready, 1);
	assert_int_equal(p->closed, 0);
}

static void a_peer_that_was_there_and_is_not_any_more_is_given_up_after_30_s(void **state)
{
	struct peer *p;

	come_up();
	p = open_presumed(1);
	pass(29999);
	assert_int_equal(p->closed, 0);
	pass(1);
	assert_int_equal(p->closed, 1);
	assert_string_equal(p->why, "the peer is not online at the relay");
}

static void a_peer_is_ready_when_the_server_says_it_is_online(void **state)
{
	struct stream *s = come_up();
	struct peer *p = open_peer(1, "rel://r1");
	uint8_t message[RELAY_MESSAGE_MAX];
	struct relay_peer *twin;

	assert_int_equal(relay_peer_send(p->handle, "x", 1), -ENOTCONN);
	assert_int_equal(relay_peer_open(rig->manager, p->key, "rel://r1", NULL, &peer_callbacks, p, &twin),
		-EEXIST);
	expect_nothing(s);
	pass(0);
	expect_ids(s, RELAY_SUBSCRIBE, p);
	say(s, RELAY_PEERS_ONLINE, rig->peers[2].id, RELAY_ID_LEN);
	assert_int_equal(p->ready, 0);
	say(s, RELAY_PEERS_ONLINE, p->id, RELAY_ID_LEN);
	say(s, RELAY_PEERS_ONLINE, p->id, RELAY_ID_LEN);
	assert_int_equal(p->ready, 1);
	assert_int_equal(relay_peer_send(p->handle, "packet", 6), 0);
	expect_nothing(s);
	relay_manager_flush(rig->manager);
	assert_int_equal(take(s, message), 44);
	assert_memory_equal(message, "\x01\x03", 2);
	assert_memory_equal(message + 2, p->id, RELAY_ID_LEN);
	assert_memory_equal(message + 38, "packet", 6);
	say_packet(s, p, "answer");
	assert_int_equal(p->received, 1);
	assert_int_equal(p->len, 6);
	assert_memory_equal(p->packet, "answer", 6);
	assert_int_equal(stats().tx_packets, 1);
	assert_int_equal(stats().tx_bytes, 6);
	assert_int_equal(stats().rx_packets, 1);
	pass(30000);
	assert_int_equal(p->closed, 0);
}

static void packets_have_a_largest_size(void **state)
{
	struct stream *s = come_up();
	struct peer *p = open_ready(s, 1);
	uint8_t packet[RELAY_PAYLOAD_MAX + 1] = { 4 }, message[RELAY_MESSAGE_MAX];

	assert_int_equal(relay_peer_send(p->handle, packet, RELAY_PAYLOAD_MAX + 1), -EMSGSIZE);
	assert_int_equal(relay_peer_send(p->handle, packet, 0), -EMSGSIZE);
	assert_int_equal(relay_peer_send(p->handle, packet, RELAY_PAYLOAD_MAX), 0);
	relay_manager_flush(rig->manager);
	assert_int_equal(take(s, message), RELAY_MESSAGE_MAX);
}

static void a_peer_that_does_not_come_is_given_up_after_30_s(void **state)
{
	struct stream *s = come_up();
	struct peer *p = open_peer(1, "rel://r1");

	p->frees = true;
	pass(0);
	expect_ids(s, RELAY_SUBSCRIBE, p);
	pass(24000);
	say(s, RELAY_HEALTH_CHECK, "", 0);
	expect(s, "\x01\x05", 2);
	pass(5999);
	assert_int_equal(p->closed, 0);
	pass(1);
	assert_int_equal(p->closed, 1);
	assert_non_null(strstr(p->why, "not online"));
	pass(0);
	expect_ids(s, RELAY_UNSUBSCRIBE, p);
	say(s, RELAY_PEERS_ONLINE, p->id, RELAY_ID_LEN);
	assert_int_equal(p->ready, 0);
}

static void a_peer_that_goes_offline_is_closed_and_can_be_opened_again(void **state)
{
	struct stream *s = come_up();
	struct peer *p = open_ready(s, 1);

	p->frees = p->reopens = true;
	say(s, RELAY_PEERS_OFFLINE, p->id, RELAY_ID_LEN);
	assert_int_equal(p->closed, 1);
	pass(0);
	expect_ids(s, RELAY_UNSUBSCRIBE, p);
	expect_ids(s, RELAY_SUBSCRIBE, p);
	say(s, RELAY_PEERS_ONLINE, p->id, RELAY_ID_LEN);
	assert_int_equal(p->ready, 2);
	p->reopens = false;
}

static void a_peer_freed_is_unsubscribed_unless_it_never_was_subscribed(void **state)
{
	struct stream *s = come_up();
	struct peer *p = open_ready(s, 1), *q = open_peer(2, "rel://r1");

	relay_peer_free(p->handle);
	relay_peer_free(q->handle);
	p->handle = q->handle = NULL;
	pass(0);
	expect_ids(s, RELAY_UNSUBSCRIBE, p);
	expect_nothing(s);
	say_packet(s, p, "late");
	assert_int_equal(p->received, 0);
	assert_int_equal(stats().rx_unknown, 1);
}

static void subscriptions_go_out_by_244(void **state)
{
	struct stream *s = come_up();
	uint8_t message[RELAY_MESSAGE_MAX], list[RELAY_IDS_MAX * RELAY_ID_LEN];

	for (unsigned i = 0; i < PEERS; i++)
		open_peer(i, "rel://r1");
	pass(0);
	for (unsigned i = 0; i < 3; i++) {
		unsigned n = i < 2 ? 244 : PEERS - 488;

		assert_int_equal(take(s, message), 2 + n * RELAY_ID_LEN);
		assert_int_equal(message[1], RELAY_SUBSCRIBE);
		assert_memory_equal(message + 2, rig->peers[i * 244].id, RELAY_ID_LEN);
	}
	expect_nothing(s);
	for (unsigned i = 0; i < RELAY_IDS_MAX; i++)
		memcpy(list + i * RELAY_ID_LEN, rig->peers[i].id, RELAY_ID_LEN);
	say(s, RELAY_PEERS_ONLINE, list, sizeof(list));
	for (unsigned i = 0; i < PEERS; i++)
		assert_int_equal(rig->peers[i].ready, i < RELAY_IDS_MAX);
	for (unsigned i = 0; i < PEERS; i++) {
		relay_peer_free(rig->peers[i].handle);
		rig->peers[i].handle = NULL;
	}
	pass(0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(take(s, message), 2 + (i < 2 ? 244 : PEERS - 488) * RELAY_ID_LEN);
		assert_int_equal(message[1], RELAY_UNSUBSCRIBE);
	}
	expect_nothing(s);
}

static void all_peers_of_a_lost_server_are_closed(void **state)
{
	struct stream *s = come_up();

	for (unsigned i = 0; i < 20; i++) {
		open_peer(i, "rel://r1");
		rig->peers[i].frees = i % 2;
		rig->peers[i].reopens = true;	/* in vain: there is no home now */
	}
	pass(0);
	for (unsigned i = 0; i < 10; i++)
		say(s, RELAY_PEERS_ONLINE, rig->peers[i].id, RELAY_ID_LEN);
	fake_end(s, -ECONNRESET, "reset");
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(rig->peers[i].closed, 1);
		assert_string_equal(rig->peers[i].why, "reset");
		if (rig->peers[i].handle)
			assert_int_equal(relay_peer_send(rig->peers[i].handle, "x", 1), -ENOTCONN);
	}
	assert_int_equal(relay_peer_open(rig->manager, rig->peers[30].key, "rel://r1", NULL, &peer_callbacks,
		rig, &rig->peers[30].handle), -ENOTCONN);
}

static void the_newest_early_packet_waits_for_its_peer(void **state)
{
	struct stream *s = come_up();
	struct peer *p = &rig->peers[1], *q = &rig->peers[2];

	say_packet(s, p, "old");
	say_packet(s, p, "new");
	say_packet(s, q, "other");
	assert_int_equal(stats().rx_unknown, 3);
	pass(4999);
	open_peer(1, "rel://r1");
	assert_int_equal(p->received, 0);
	say(s, RELAY_PEERS_ONLINE, p->id, RELAY_ID_LEN);
	assert_int_equal(p->received, 1);
	assert_memory_equal(p->packet, "new", 3);
	pass(2);
	open_peer(2, "rel://r1");
	say(s, RELAY_PEERS_ONLINE, q->id, RELAY_ID_LEN);
	assert_int_equal(q->ready, 1);
	assert_int_equal(q->received, 0);	/* too old */
	say_packet(s, p, "next");
	assert_int_equal(p->received, 2);
}

static void early_packets_are_bounded_and_the_oldest_goes_first(void **state)
{
	static struct relay_early early;
	struct relay_early_packet *packet;
	uint8_t id[RELAY_ID_LEN] = {};

	relay_early_init(&early);
	for (uint32_t i = 0; i <= RELAY_EARLY_MAX; i++) {
		memcpy(id, &i, sizeof(i));
		relay_early_put(&early, rig, id, (uint8_t *)&i, sizeof(i), 7);
	}
	assert_int_equal(early.count, RELAY_EARLY_MAX);
	memset(id, 0, sizeof(id));
	assert_null(relay_early_take(&early, rig, id, 7));
	id[0] = 1;
	assert_null(relay_early_take(&early, id, id, 7));	/* another server's */
	packet = relay_early_take(&early, rig, id, 7);
	assert_non_null(packet);
	assert_int_equal(packet->bytes[0], 1);
	free(packet);
	relay_early_expire(&early, 7 + RELAY_EARLY_NS);
	assert_int_equal(early.count, RELAY_EARLY_MAX - 1);
	relay_early_expire(&early, 8 + RELAY_EARLY_NS);
	assert_int_equal(early.count, 0);
	relay_early_put(&early, rig, id, id, 4, 7);
	relay_early_forget(&early, &early);
	assert_int_equal(early.count, 1);
	relay_early_forget(&early, rig);
	assert_int_equal(early.count, 0);
	relay_early_put(&early, rig, id, id, 4, 7);
	relay_early_done(&early);
}

static void a_full_queue_drops_the_newest_and_counts_it(void **state)
{
	struct stream *s = come_up();
	struct peer *p = open_ready(s, 1);
	static uint8_t packet[1312];
	unsigned sent = 0, got = 0;
	uint8_t message[RELAY_MESSAGE_MAX];

	s->room = 0;
	while (!relay_peer_send(p->handle, packet, sizeof(packet)))
		sent++;
	assert_int_equal(relay_peer_send(p->handle, packet, sizeof(packet)), -EAGAIN);
	assert_int_equal(stats().tx_dropped, 2);
	assert_int_equal(stats().tx_packets, sent);
	say(s, RELAY_HEALTH_CHECK, "", 0);	/* is answered all the same */
	fake_writable(s, SIZE_MAX);
	while (take(s, message) == 38 + sizeof(packet))
		got++;
	assert_int_equal(got, sent);
	assert_memory_equal(message, "\x01\x05", 2);
	assert_int_equal(relay_peer_send(p->handle, packet, sizeof(packet)), 0);
}

static void messages_that_make_no_sense_are_counted_and_skipped(void **state)
{
	struct stream *s = come_up();
	struct peer *p = open_ready(s, 1);

	fake_send(s, "", 0);
	fake_send(s, "\x01", 1);
	fake_send(s, "\x02\x05", 2);
	fake_send(s, "\x01\x63", 2);
	say(s, RELAY_PEERS_OFFLINE, p->id, RELAY_ID_LEN - 1);
	say(s, RELAY_TRANSPORT, p->id, RELAY_ID_LEN);
	say(s, RELAY_AUTH_RESPONSE, "rel://x", 7);	/* well-formed, but late */
	assert_int_equal(stats().malformed, 6);
	assert_string_equal(relay_manager_address(rig->manager), "rel://r1");
	say_packet(s, p, "fine");
	assert_int_equal(p->received, 1);
	assert_int_equal(rig->down, 0);
}

/* Foreign relays */

static void a_foreign_server_is_dialled_once_for_all_its_peers(void **state)
{
	struct stream *home = come_up(), *s;
	struct peer *p = open_peer(1, "rel://far:33080"), *q = open_peer(2, "rel://far:33080");
	uint8_t ids[2 + 2 * RELAY_ID_LEN] = { 1, RELAY_SUBSCRIBE };
	struct relay_status list[4];

	assert_int_equal(count_live(), 2);
	s = to("far");
	assert_int_equal(s->options.port, 33080);
	assert_int_equal(relay_manager_list(rig->manager, list, 4), 1);	/* only once it is connected */
	answer_auth(s, "rel://far:33080");
	assert_int_equal(rig->up, 1);
	assert_int_equal(relay_manager_list(rig->manager, list, 4), 2);
	assert_string_equal(list[1].uri, "rel://far:33080");
	assert_true(list[1].is_available);
	pass(0);
	memcpy(ids + 2, p->id, RELAY_ID_LEN);
	memcpy(ids + 2 + RELAY_ID_LEN, q->id, RELAY_ID_LEN);
	expect(s, ids, sizeof(ids));
	expect_nothing(home);
	say(s, RELAY_PEERS_ONLINE, ids + 2, 2 * RELAY_ID_LEN);
	assert_int_equal(p->ready + q->ready, 2);
	say_packet(s, p, "from afar");
	assert_int_equal(p->received, 1);
	say_packet(home, p, "not here");
	assert_int_equal(p->received, 1);
	assert_int_equal(relay_peer_send(p->handle, "x", 1), 0);
	relay_manager_flush(rig->manager);
	assert_true(fake_out(s, &(size_t){ 0 }) != s->out + s->out_len);
}

static void one_peer_may_be_reached_over_two_servers(void **state)
{
	struct stream *home = come_up();
	struct peer *p = open_ready(home, 1);
	struct relay_peer *other;

	assert_int_equal(relay_peer_open(rig->manager, p->key, "rel://far", NULL, &peer_callbacks, p,
		&other), 0);
	answer_auth(to("far"), "rel://far");
	pass(0);
	expect_ids(to("far"), RELAY_SUBSCRIBE, p);
	relay_peer_free(other);
}

static void a_foreign_server_that_cannot_be_reached_closes_its_peers(void **state)
{
	struct peer *p, *q;

	come_up();
	p = open_peer(1, "rel://far");
	fake_end(to("far"), -ECONNREFUSED, "far:80: Connection refused");
	assert_int_equal(p->closed, 1);
	assert_string_equal(p->why, "far:80: Connection refused");
	assert_int_equal(rig->down, 0);
	pass(20000);
	assert_int_equal(count_live(), 1);	/* not dialled again by itself */
	q = open_peer(2, "rel://far");
	assert_int_equal(count_live(), 2);
	pass(30000);
	assert_int_equal(q->closed, 1);
}

/* At once, and not after the next sweep. */
static void a_foreign_server_that_is_lost_is_dialled_by_the_next_who_wants_it(void **state)
{
	struct peer *p;

	come_up();
	p = open_peer(1, "rel://far");
	answer_auth(to("far"), "rel://far");
	pass(0);
	expect_ids(to("far"), RELAY_SUBSCRIBE, p);
	say(to("far"), RELAY_PEERS_ONLINE, p->id, RELAY_ID_LEN);
	fake_end(to("far"), -ECONNRESET, "far:80: Connection reset by peer");
	assert_int_equal(p->closed, 1);
	assert_int_equal(count_live(), 1);
	relay_peer_free(p->handle);
	open_peer(1, "rel://far");
	assert_int_equal(count_live(), 2);
	answer_auth(to("far"), "rel://far");
	pass(0);
	expect_ids(to("far"), RELAY_SUBSCRIBE, p);
	say(to("far"), RELAY_PEERS_ONLINE, p->id, RELAY_ID_LEN);
	assert_int_equal(p->ready, 2);
}

static void a_foreign_server_nobody_uses_is_swept(void **state)
{
	struct stream *s = come_up(), *far;

	pass(30000);
	say(s, RELAY_HEALTH_CHECK, "", 0);
	open_peer(1, "rel://far");
	far = to("far");
	answer_auth(far, "rel://far");
	relay_peer_free(rig->peers[1].handle);
	rig->peers[1].handle = NULL;
	pass(26000);
	assert_false(far->is_freed);
	say(s, RELAY_HEALTH_CHECK, "", 0);
	pass(4000);
	assert_true(far->is_freed);
	expect(far, "\x01\x04", 2);
	assert_false(s->is_freed);
}

static void a_young_foreign_server_is_not_swept(void **state)
{
	struct stream *s = come_up();

	pass(30000);
	say(s, RELAY_HEALTH_CHECK, "", 0);
	pass(26000);
	say(s, RELAY_HEALTH_CHECK, "", 0);
	open_peer(1, "rel://far");
	relay_peer_free(rig->peers[1].handle);
	rig->peers[1].handle = NULL;
	pass(4999);
	assert_int_equal(count_live(), 2);
}

static void foreign_addresses_are_checked_and_bounded(void **state)
{
	char address[64];
	struct relay_peer *handle;
	struct peer *p = &rig->peers[599];
	int ret = 0;

	assert_int_equal(relay_peer_open(rig->manager, p->key, "rel://r1", NULL, &peer_callbacks, p, &handle),
		-ENOTCONN);
	come_up();
	assert_int_equal(relay_peer_open(rig->manager, p->key, "", NULL, &peer_callbacks, p, &handle),
		-EINVAL);
	assert_int_equal(relay_peer_open(rig->manager, p->key, "http://far", NULL, &peer_callbacks, p,
		&handle), -EINVAL);
	for (unsigned i = 0; i < 100 && !ret; i++) {
		snprintf(address, sizeof(address), "rel://far%u", i);
		ret = relay_peer_open(rig->manager, rig->peers[i].key, address, NULL, &peer_callbacks,
			&rig->peers[i], &rig->peers[i].handle);
	}
	assert_int_equal(ret, -EUSERS);
	assert_int_equal(count_live(), 65);
}

/* Where a peer says that it is connected to its relay */

static struct endpoint at_of(const char *text)
{
	struct endpoint at = { .family = strchr(text, ':') ? AF_INET6 : AF_INET };

	assert_int_equal(inet_pton(at.family, text, &at.remote), 1);
	return at;
}

static struct peer *open_at(unsigned n, const char *address, const char *at_text)
{
	const struct endpoint at = at_of(at_text);
	struct peer *p = &rig->peers[n];

	assert_int_equal(relay_peer_open(rig->manager, p->key, address, &at, &peer_callbacks, p,
		&p->handle), 0);
	return p;
}

static void expect_dial(struct stream *s, const char *host, const char *address)
{
	assert_false(s->is_freed);
	assert_string_equal(s->host, host);
	assert_string_equal(s->address, address);
	assert_int_equal(s->options.port, 443);
	assert_true(s->options.tls);
}

static void a_public_address_that_a_peer_names_is_dialled_under_the_relays_name(void **state)
{
	static const char *const texts[] = { "198.51.100.7", "2001:db8::7" };
	size_t len;

	come_up();
	for (unsigned i = 0; i < 2; i++) {
		const char *wanted = i ? "Host: far1:443\r\n" : "Host: far0:443\r\n", *head;
		char url[40], host[8];
		struct stream *s;
		struct peer *p;

		snprintf(host, sizeof(host), "far%u", i);
		snprintf(url, sizeof(url), "rels://%s:443", host);
		p = open_at(i, url, texts[i]);
		s = dialled(1 + i);
		expect_dial(s, host, texts[i]);
		s->events.connected(s->ctx);
		head = (const char *)fake_out(s, &len);
		assert_non_null(memmem(head, len, wanted, strlen(wanted)));
		answer_auth(s, url);
		pass(0);
		expect_ids(s, RELAY_SUBSCRIBE, p);
		say(s, RELAY_PEERS_ONLINE, p->id, RELAY_ID_LEN);
		assert_int_equal(p->ready, 1);
	}
	pass(6000);		/* the limit for the address was one for the dial only */
	assert_int_equal(count_live(), 3);
	assert_int_equal(fake_stream_count, 3);
}

static void fail_to_connect(struct stream *s)
{
	fake_end(s, -ECONNREFUSED, "198.51.100.7:443: Connection refused");
}

static void close_after_auth(struct stream *s)
{
	fake_upgrade(s);
	fake_end(s, 0, "closed");
}

static void be_another_relay(struct stream *s)
{
	answer_auth(s, "rels://near:443");
}

static void stay_silent(struct stream *s)
{
	pass(5000);
}

static void if_that_address_is_no_good_the_name_is_dialled(void **state)
{
	static void (*const fails[])(struct stream *s) = { fail_to_connect, close_after_auth,
		be_another_relay, stay_silent };
	struct stream *home = come_up();

	for (unsigned i = 0; i < sizeof(fails) / sizeof(*fails); i++) {
		struct peer *p = open_at(i, "rels://far:443", "198.51.100.7");
		size_t n = fake_stream_count - 1;

		expect_dial(dialled(n), "far", "198.51.100.7");
		fails[i](dialled(n));
		assert_true(dialled(n)->is_freed);
		assert_int_equal(fake_stream_count, n + 2);
		expect_dial(dialled(n + 1), "far", "");
		assert_int_equal(p->closed, 0);
		answer_auth(dialled(n + 1), "rels://far:443");
		pass(0);
		expect_ids(dialled(n + 1), RELAY_SUBSCRIBE, p);
		/* once connected, a loss is a loss */
		fake_end(dialled(n + 1), 0, "gone");
		assert_int_equal(p->closed, 1);
		assert_int_equal(fake_stream_count, n + 2);
		say(home, RELAY_HEALTH_CHECK, "", 0);
	}
}

static void address_and_name_together_have_the_time_of_one_dial(void **state)
{
	struct peer *p;

	come_up();
	p = open_at(1, "rels://far:443", "198.51.100.7");
	pass(5000);
	expect_dial(dialled(2), "far", "");
	pass(24999);
	assert_int_equal(p->closed, 0);
	pass(1);
	assert_int_equal(p->closed, 1);
	assert_true(dialled(2)->is_freed);
	assert_int_equal(fake_stream_count, 3);
}

/* A remote chooses it: it must not send us into networks of this host, nor past a literal address. */
static void no_other_address_is_dialled_than_a_public_one_of_a_named_relay(void **state)
{
	static const struct { const char *url, *host, *at; } cases[] = {
		{ "rels://far1:443", "far1", "10.0.0.1" }, { "rels://far2:443", "far2", "192.168.1.1" },
		{ "rels://far3:443", "far3", "100.64.0.9" }, { "rels://far4:443", "far4", "127.0.0.1" },
		{ "rels://far5:443", "far5", "169.254.169.254" }, { "rels://far6:443", "far6", "fd00::1" },
		{ "rels://far7:443", "far7", "fe80::1" }, { "rels://far8:443", "far8", "::1" },
		{ "rels://203.0.113.5:443", "203.0.113.5", "198.51.100.7" },
		{ "rels://[2001:db8::5]:443", "2001:db8::5", "198.51.100.7" },
	};

	come_up();
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		open_at(i, cases[i].url, cases[i].at);
		expect_dial(dialled(1 + i), cases[i].host, "");
	}
}

static void where_we_are_connected_is_known_while_we_are(void **state)
{
	struct stream *s;

	assert_null(relay_manager_remote(rig->manager));
	set_urls(URLS("rel://r1"));
	s = to("r1");
	s->remote = at_of("203.0.113.5");
	answer_auth(s, "rel://r1");
	assert_non_null(relay_manager_remote(rig->manager));
	assert_true(endpoint_is_equal(relay_manager_remote(rig->manager), &s->remote));
	fake_end(s, 0, "gone");
	assert_null(relay_manager_remote(rig->manager));
	pass(1500);
	answer_auth(to("r1"), "rel://r1");	/* by a proxy now */
	assert_null(relay_manager_remote(rig->manager));
}

/* Callbacks that tear things down */

static void free_own(struct peer *p)
{
	relay_peer_free(p->handle);
	p->handle = NULL;
}

static void free_manager(struct rig *r, bool is_connected)
{
	relay_manager_free(r->manager);
	r->manager = NULL;
}

static void free_manager_by_peer(struct peer *p)
{
	free_manager(p->rig, true);
}

static void a_peer_may_be_freed_when_it_is_ready(void **state)
{
	struct stream *s = come_up();
	struct peer *p = &rig->peers[1];

	say_packet(s, p, "early");
	open_peer(1, "rel://r1");
	pass(0);
	rig->on_ready = free_own;
	say(s, RELAY_PEERS_ONLINE, p->id, RELAY_ID_LEN);
	assert_int_equal(p->ready, 1);
	assert_int_equal(p->received, 0);
	pass(0);
}

static void a_peer_may_be_freed_when_it_receives(void **state)
{
	struct stream *s = come_up();
	struct peer *p = open_ready(s, 1);
	uint8_t frames[400];
	uint8_t message[60] = { 1, 3 };
	size_t len;

	rig->on_received = free_own;
	memcpy(message + 2, p->id, RELAY_ID_LEN);
	len = fake_frame(frames, 0x82, message, sizeof(message));
	len += fake_frame(frames + len, 0x82, message, sizeof(message));
	fake_feed(s, frames, len);
	assert_int_equal(p->received, 1);
}

static void the_manager_may_be_freed_when_home_comes(void **state)
{
	rig->on_home = free_manager;
	set_urls(URLS("rel://r1", "rel://r2"));
	answer_auth(to("r1"), "rel://r1");
	assert_null(rig->manager);
}

static void the_manager_may_be_freed_when_home_goes(void **state)
{
	struct stream *s = come_up();
	struct peer *p = open_ready(s, 1);

	open_ready(s, 2);
	rig->on_home = free_manager;
	fake_end(s, 0, "closed");
	assert_null(rig->manager);
	assert_int_equal(p->closed, 0);
	assert_int_equal(relay_peer_send(p->handle, "x", 1), -ENOTCONN);
}

static void the_manager_may_be_freed_when_a_packet_comes(void **state)
{
	struct stream *s = come_up();
	struct peer *p = open_ready(s, 1);

	rig->on_received = free_manager_by_peer;
	say_packet(s, p, "x");
	assert_null(rig->manager);
}

static void the_manager_may_be_freed_when_a_peer_is_ready(void **state)
{
	struct stream *s = come_up();
	uint8_t ids[2 * RELAY_ID_LEN];

	open_peer(1, "rel://r1");
	open_peer(2, "rel://r1");
	pass(0);
	rig->on_ready = free_manager_by_peer;
	memcpy(ids, rig->peers[1].id, RELAY_ID_LEN);
	memcpy(ids + RELAY_ID_LEN, rig->peers[2].id, RELAY_ID_LEN);
	say(s, RELAY_PEERS_ONLINE, ids, sizeof(ids));
	assert_null(rig->manager);
	assert_int_equal(rig->peers[2].ready, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_known_key_has_the_known_id_and_auth_message),
		cmocka_unit_test(a_token_too_long_or_missing_makes_no_auth_message),
		cmocka_unit_test(the_recorded_auth_messages_are_ours),
		cmocka_unit_test(the_recorded_messages_are_understood),
		cmocka_unit_test(malformed_messages_are_refused_by_kind),
		TEST(a_server_that_takes_our_token_is_home),
		TEST(health_checks_are_echoed),
		TEST(a_silent_server_is_left_after_one_to_two_windows),
		TEST(a_server_that_keeps_asking_is_kept),
		TEST(a_refused_token_is_said_to_be_one),
		TEST(a_server_that_does_not_answer_the_token_is_left_after_8_s),
		TEST(a_dial_ends_after_30_s),
		TEST(of_two_servers_the_first_to_authenticate_is_taken),
		TEST(one_dead_server_of_two_does_no_harm),
		TEST(a_server_that_is_named_twice_is_dialled_once),
		TEST(seven_servers_are_dialled_at_a_time),
		TEST(picks_in_vain_come_again_at_doubled_waits),
		TEST(each_wait_is_random_from_half_to_one_and_a_half_of_it),
		TEST(a_lost_home_is_looked_for_where_it_was_and_then_everywhere),
		TEST(a_home_that_management_took_away_is_not_dialled_again),
		TEST(a_close_message_is_a_loss),
		TEST(no_urls_mean_no_relay_once_the_present_one_is_lost),
		TEST(a_new_token_leaves_what_is_connected_alone_and_is_used_by_the_next_dial),
		TEST(news_end_the_wait),
		TEST(without_a_token_nobody_is_authenticated),
		TEST(a_dial_that_fails_at_once_is_one_that_failed),
		TEST(an_orderly_end_says_close),
		TEST(an_end_in_silence_says_nothing),
		TEST(an_end_that_cannot_be_silent_is_an_orderly_one),
		TEST(whether_a_server_has_yet_to_answer_is_known),
		TEST(a_peer_that_was_there_is_ready_at_once),
		TEST(a_peer_that_was_there_and_is_not_any_more_is_given_up_after_30_s),
		TEST(a_peer_is_ready_when_the_server_says_it_is_online),
		TEST(packets_have_a_largest_size),
		TEST(a_peer_that_does_not_come_is_given_up_after_30_s),
		TEST(a_peer_that_goes_offline_is_closed_and_can_be_opened_again),
		TEST(a_peer_freed_is_unsubscribed_unless_it_never_was_subscribed),
		TEST(subscriptions_go_out_by_244),
		TEST(all_peers_of_a_lost_server_are_closed),
		TEST(the_newest_early_packet_waits_for_its_peer),
		TEST(early_packets_are_bounded_and_the_oldest_goes_first),
		TEST(a_full_queue_drops_the_newest_and_counts_it),
		TEST(messages_that_make_no_sense_are_counted_and_skipped),
		TEST(a_foreign_server_is_dialled_once_for_all_its_peers),
		TEST(one_peer_may_be_reached_over_two_servers),
		TEST(a_foreign_server_that_cannot_be_reached_closes_its_peers),
		TEST(a_foreign_server_that_is_lost_is_dialled_by_the_next_who_wants_it),
		TEST(a_foreign_server_nobody_uses_is_swept),
		TEST(a_young_foreign_server_is_not_swept),
		TEST(foreign_addresses_are_checked_and_bounded),
		TEST(a_public_address_that_a_peer_names_is_dialled_under_the_relays_name),
		TEST(if_that_address_is_no_good_the_name_is_dialled),
		TEST(address_and_name_together_have_the_time_of_one_dial),
		TEST(no_other_address_is_dialled_than_a_public_one_of_a_named_relay),
		TEST(where_we_are_connected_is_known_while_we_are),
		TEST(a_peer_may_be_freed_when_it_is_ready),
		TEST(a_peer_may_be_freed_when_it_receives),
		TEST(the_manager_may_be_freed_when_home_comes),
		TEST(the_manager_may_be_freed_when_home_goes),
		TEST(the_manager_may_be_freed_when_a_packet_comes),
		TEST(the_manager_may_be_freed_when_a_peer_is_ready),
	};

	randombytes_set_implementation(&fixed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
