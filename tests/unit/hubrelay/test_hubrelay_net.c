// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The hub's relay on its real server over the loopback device, used by our relay client.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "hubrelay/hubrelay.h"
#include "relay/relay.h"
#include "stream/stream.h"
#include "websocket/websocket_frame.h"
#include "websocket/websocket_upgrade.h"

#define PATIENCE_NS	(20 * LOOP_SECOND)
#define PACKETS		500
#define EXPIRES_S	4102444800	/* 2100 */

struct side {
	uint8_t key[KEY_LEN];
	struct relay_manager *manager;
	struct relay_peer *peers[2];
	bool is_up, is_closed;
	unsigned ready, received;
	bool has_wrong;		/* a packet that is not the one that was next */
};

static const uint8_t secret[HUBRELAY_SECRET_LEN] = { 3 };
static struct loop *loop;
static struct server *server;
static struct hubrelay *relay;
static struct side a, b;
static int slow = -1;	/* the socket of a client that reads nothing */
static const uint8_t slow_key[KEY_LEN] = { 3 };

static bool on_socket(void *ctx, struct server_socket *socket, const struct server_request *request,
	const struct server_socket_events **ret_events, void **ret_ctx)
{
	return hubrelay_take(relay, socket, request, ret_events, ret_ctx);
}

static bool on_call(void *ctx, struct server_call *call, const struct server_request *request,
	const struct server_call_events **ret_events, void **ret_ctx)
{
	return false;
}

static void on_request(void *ctx, const struct server_request *request, struct server_answer *ret_answer)
{
	ret_answer->status = 404;
}

static void on_home(void *ctx, bool is_connected, const char *address, const char *why)
{
	((struct side *)ctx)->is_up = is_connected;
}

static void on_ready(void *ctx)
{
	((struct side *)ctx)->ready++;
}

static void on_closed(void *ctx, const char *why)
{
	((struct side *)ctx)->is_closed = true;
}

/* Packet number n has a length of its own and n in its first and last byte. */
static size_t packet_len(unsigned n)
{
	return 1 + n * 37 % RELAY_PAYLOAD_MAX;
}

static void on_received(void *ctx, const uint8_t *bytes, size_t len)
{
	struct side *side = ctx;
	unsigned n = side->received++;

	side->has_wrong |= len != packet_len(n) || bytes[0] != (n & 0xff) || bytes[len - 1] != (n & 0xff);
}

static void make_token(const uint8_t key[static KEY_LEN], char ret_payload[static HUBRELAY_PAYLOAD_LEN],
	uint8_t ret_signature[static RELAY_SIGNATURE_LEN])
{
	char text[HUBRELAY_SIGNATURE_LEN];

	hubrelay_token(secret, key, EXPIRES_S, ret_payload, text);
	assert_int_equal(sodium_base642bin(ret_signature, RELAY_SIGNATURE_LEN, text, strlen(text), NULL,
		NULL, NULL,
		sodium_base64_VARIANT_ORIGINAL), 0);
}

static void begin(struct side *side, uint8_t name)
{
	static const struct relay_events events = { .home = on_home };
	struct server_url url = { .scheme = SERVER_REL, .port = server_port(server), .host = "127.0.0.1" };
	char payload[HUBRELAY_PAYLOAD_LEN];
	struct netmap_relay config = { .present = true, .urls = &url, .url_count = 1,
		.token_payload = payload };

	memset(side, 0, sizeof(*side));
	side->key[0] = name;
	make_token(side->key, payload, config.token_signature);
	assert_int_equal(relay_manager_new(loop, side->key, &events, side, &side->manager), 0);
	assert_int_equal(relay_manager_set(side->manager, &config), 0);
}

static bool is_patient(uint64_t since_ns)
{
	return clock_mono_ns() - since_ns < PATIENCE_NS;
}

#define TURN_UNTIL(condition) do {						\
	for (uint64_t since_ = clock_mono_ns(); !(condition);) {		\
		assert_true(is_patient(since_));				\
		loop_turn(loop, 10 * LOOP_MS);					\
	}									\
} while (0)

static void open_to(struct side *side, unsigned n, const uint8_t to[static KEY_LEN])
{
	static const struct relay_peer_events events = { .ready = on_ready, .closed = on_closed,
		.received = on_received };
	unsigned ready = side->ready;

	assert_int_equal(relay_peer_open(side->manager, to, "rel://hub.test", NULL, &events, side,
		&side->peers[n]), 0);
	TURN_UNTIL(side->ready > ready);
}

static int set_up(void **state)
{
	static const struct server_events events = { .call = on_call, .socket = on_socket,
		.request = on_request };
	struct hubrelay_options options = { .instance_url = "rel://hub.test" };
	struct server_options at = { .listen = { .family = AF_INET } };
	char why[SERVER_WHY_LEN];

	memcpy(options.secret, secret, sizeof(secret));
	at.listen.remote.word[0] = htonl(INADDR_LOOPBACK);
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(hubrelay_new(loop, &options, &relay), 0);
	assert_int_equal(server_new(loop, &at, &events, NULL, &server, why), 0);
	begin(&a, 1);
	begin(&b, 2);
	TURN_UNTIL(a.is_up && b.is_up);
	assert_string_equal(relay_manager_address(a.manager), "rel://hub.test");
	open_to(&a, 0, b.key);
	open_to(&b, 0, a.key);
	return 0;
}

static void finish(struct side *side)
{
	for (unsigned i = 0; i < 2; i++)
		relay_peer_free(side->peers[i]);
	relay_manager_free(side->manager);
}

static int tear_down(void **state)
{
	finish(&a);
	finish(&b);
	if (slow >= 0)
		close(slow);
	slow = -1;
	server_free(server);
	hubrelay_free(relay);
	stream_global_done();
	loop_free(loop);
	return 0;
}

static bool is_online(const uint8_t key[static KEY_LEN])
{
	uint64_t in, out;

	return hubrelay_peer_counts(relay, key, &in, &out);
}

static struct hubrelay_counts counts(void)
{
	struct hubrelay_counts now;

	hubrelay_counts(relay, &now);
	return now;
}

static void packets_of_all_lengths_cross(void **state)
{
	uint8_t packet[RELAY_PAYLOAD_MAX];

	for (unsigned n = 0; n < PACKETS; n++) {
		memset(packet, n, sizeof(packet));
		assert_int_equal(relay_peer_send(a.peers[0], packet, packet_len(n)), 0);
		assert_int_equal(relay_peer_send(b.peers[0], packet, packet_len(n)), 0);
		relay_manager_flush(a.manager);
		relay_manager_flush(b.manager);
		if (n % 8 == 7)
			TURN_UNTIL(a.received == n + 1 && b.received == n + 1);
	}
	TURN_UNTIL(a.received == PACKETS && b.received == PACKETS);
	assert_false(a.has_wrong || b.has_wrong);
	assert_int_equal(counts().packets, 2 * PACKETS);
	assert_int_equal(counts().lost_slow + counts().lost_offline, 0);
}

static void begin_slow(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(server_port(server)) };
	char request[512], key[WEBSOCKET_KEY_LEN + 1], payload[HUBRELAY_PAYLOAD_LEN];
	uint8_t id[RELAY_ID_LEN], signature[RELAY_SIGNATURE_LEN];
	uint8_t frame[WEBSOCKET_HEADER_MAX + RELAY_AUTH_MAX], message[RELAY_AUTH_MAX];
	const uint8_t mask[WEBSOCKET_MASK_LEN] = { 1, 2, 3, 4 };
	struct server_counts now = {};
	int len;

	slow = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(slow, (struct sockaddr *)&to, sizeof(to)), 0);
	websocket_key_make(key);
	len = websocket_request_write("hub.test", "/relay", key, request, sizeof(request));
	assert_int_equal(send(slow, request, len, 0), len);
	TURN_UNTIL((server_counts(server, &now), now.sockets == 3));
	make_token(slow_key, payload, signature);
	relay_id(slow_key, id);
	len = relay_auth_write(id, payload, signature, message);
	assert_true(len > 0);
	websocket_mask_copy(frame + websocket_frame_write(WEBSOCKET_BINARY, len, mask, frame), message, len,
		mask, 0);
	len += 6;
	assert_int_equal(send(slow, frame, len, 0), len);
	TURN_UNTIL(counts().peers == 3);
}

static void who_does_not_read_delays_nobody(void **state)
{
	uint8_t packet[RELAY_PAYLOAD_MAX] = {};
	uint64_t since = clock_mono_ns();

	begin_slow();
	open_to(&a, 1, slow_key);
	while (!counts().lost_slow) {	/* what the kernel takes for it, and then our queue */
		assert_true(is_patient(since));
		for (unsigned i = 0; i < 16; i++)
			relay_peer_send(a.peers[1], packet, sizeof(packet));
		relay_manager_flush(a.manager);
		loop_turn(loop, 0);
	}
	for (unsigned n = 0; n < 100; n++) {
		memset(packet, n, sizeof(packet));
		while (relay_peer_send(a.peers[0], packet, packet_len(n))) {
			assert_true(is_patient(since));
			relay_manager_flush(a.manager);
			loop_turn(loop, LOOP_MS);
		}
		relay_manager_flush(a.manager);
		while (b.received <= n) {
			assert_true(is_patient(since));
			loop_turn(loop, 10 * LOOP_MS);
		}
	}
	assert_false(b.has_wrong);
	assert_int_equal(counts().peers, 3);
}

static void a_peer_that_goes_is_told_and_a_removed_one_is_ended(void **state)
{
	hubrelay_end_peer(relay, b.key);
	TURN_UNTIL(!b.is_up && a.is_closed);
	assert_false(is_online(b.key));
	assert_true(a.is_up);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(packets_of_all_lengths_cross),
		TEST(who_does_not_read_delays_nobody),
		TEST(a_peer_that_goes_is_told_and_a_removed_one_is_ended),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
