// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The relay client over real sockets, with a relay server that was written apart from it
// (tests/e2e/mesh/relay.py).
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "relay/relay.h"
#include "loop/loop.h"
#include "stream/stream.h"

#define SECRET		"test-secret"
#define PATIENCE_NS	(120 * LOOP_SECOND)
#define PACKETS		2000

extern char **environ;

struct side {
	uint8_t key[KEY_LEN];
	struct relay_manager *manager;
	struct relay_peer *peer;
	bool is_up, is_ready, is_closed;
	unsigned ups;
	unsigned received;
	bool has_wrong;		/* a packet that is not the one that was next */
};

static struct loop *loop;
static pid_t server;
static unsigned port;
static struct side a, b;

static void on_home(void *ctx, bool is_connected, const char *address, const char *why)
{
	struct side *side = ctx;

	side->is_up = is_connected;
	side->ups += is_connected;
}

static void on_ready(void *ctx)
{
	((struct side *)ctx)->is_ready = true;
}

static void on_closed(void *ctx, const char *why)
{
	((struct side *)ctx)->is_closed = true;
}

/* Packet number n has a length of its own and n in every byte. */
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

static const struct relay_events home_callbacks = { .home = on_home };
static const struct relay_peer_events peer_callbacks = { .ready = on_ready, .closed = on_closed,
	.received = on_received };

static const char *script(void)
{
	static char path[PATH_MAX];
	char here[PATH_MAX];

	snprintf(here, sizeof(here), "%s", __FILE__);
	snprintf(path, sizeof(path), "%s/../../e2e/mesh/relay.py", dirname(here));
	return path;
}

/* On the port that it had, if there was one before. */
static void start_server(void)
{
	char port_text[16], line[64] = "";
	char *argv[] = { (char *)"python3", (char *)script(), (char *)"--port", port_text, (char *)"--health",
		(char *)"0.2", (char *)"--secret", (char *)SECRET, NULL };
	posix_spawn_file_actions_t actions;
	int out[2];

	snprintf(port_text, sizeof(port_text), "%u", port);
	assert_int_equal(pipe(out), 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
	posix_spawn_file_actions_addclose(&actions, out[0]);
	if (posix_spawnp(&server, argv[0], &actions, NULL, argv, environ)) {
		server = 0;
		print_message("there is no python3\n");
		skip();
	}
	posix_spawn_file_actions_destroy(&actions);
	close(out[1]);
	for (size_t len = 0; len < sizeof(line) - 1 && !strchr(line, '\n') &&
		read(out[0], line + len, 1) == 1;)
		len++;
	close(out[0]);
	assert_int_equal(sscanf(line, "listening %u", &port), 1);
}

static void stop_server(void)
{
	if (!server)
		return;
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	server = 0;
}

static void configure(struct side *side, const char *secret)
{
	char payload[32];
	struct server_url url = { .scheme = SERVER_REL, .port = port, .host = "127.0.0.1" };
	struct netmap_relay relay = { .present = true, .urls = &url, .url_count = 1,
		.token_payload = payload };
	uint8_t key[crypto_hash_sha256_BYTES];

	snprintf(payload, sizeof(payload), "%lld", (long long)time(NULL) + 3600);
	crypto_hash_sha256(key, (const uint8_t *)secret, strlen(secret));
	crypto_auth_hmacsha256(relay.token_signature, (const uint8_t *)payload, strlen(payload), key);
	assert_int_equal(relay_manager_set(side->manager, &relay), 0);
}

static int set_up(void **state)
{
	port = 0;
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	a.key[0] = 1;
	b.key[0] = 2;
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(relay_manager_new(loop, a.key, &home_callbacks, &a, &a.manager), 0);
	assert_int_equal(relay_manager_new(loop, b.key, &home_callbacks, &b, &b.manager), 0);
	return 0;
}

static int tear_down(void **state)
{
	relay_peer_free(a.peer);
	relay_peer_free(b.peer);
	relay_manager_free(a.manager);
	relay_manager_free(b.manager);
	stream_global_done();
	loop_free(loop);
	stop_server();
	return 0;
}

static void turn_until(const bool *is_true)
{
	uint64_t until = loop_now(loop) + PATIENCE_NS;

	while (!*is_true && loop_now(loop) < until)
		assert_int_equal(loop_turn(loop, LOOP_SECOND / 10), 0);
	assert_true(*is_true);
}

static void turn_for(uint64_t ns)
{
	uint64_t until = loop_now(loop) + ns;

	while (loop_now(loop) < until)
		assert_int_equal(loop_turn(loop, until - loop_now(loop)), 0);
}

static void open_both(void)
{
	assert_int_equal(relay_peer_open(a.manager, b.key, relay_manager_address(a.manager), NULL,
		&peer_callbacks, &a, &a.peer), 0);
	assert_int_equal(relay_peer_open(b.manager, a.key, relay_manager_address(b.manager), NULL,
		&peer_callbacks, &b, &b.peer), 0);
	turn_until(&a.is_ready);
	turn_until(&b.is_ready);
}

static void come_up(void)
{
	start_server();
	configure(&a, SECRET);
	turn_until(&a.is_up);
	configure(&b, SECRET);
	turn_until(&b.is_up);
}

/* A full queue is waited for: nothing may be lost then. */
static void send_many(struct side *from, struct side *to)
{
	static uint8_t packet[RELAY_PAYLOAD_MAX];
	uint64_t until = loop_now(loop) + PATIENCE_NS;

	for (unsigned n = 0; n < PACKETS; n++) {
		memset(packet, n, packet_len(n));
		while (relay_peer_send(from->peer, packet, packet_len(n)) == -EAGAIN &&
			loop_now(loop) < until)
			assert_int_equal(loop_turn(loop, LOOP_SECOND / 100), 0);
	}
	relay_manager_flush(from->manager);
	while (to->received < PACKETS && loop_now(loop) < until)
		assert_int_equal(loop_turn(loop, LOOP_SECOND / 100), 0);
	assert_int_equal(to->received, PACKETS);
	assert_false(to->has_wrong);
}

static void two_clients_exchange_packets_of_every_size(void **state)
{
	come_up();
	open_both();
	send_many(&a, &b);
	send_many(&b, &a);
}

static void health_checks_keep_a_connection_and_an_orderly_end_is_seen_by_the_other(void **state)
{
	come_up();
	open_both();
	turn_for(LOOP_SECOND);	/* two checks and more, which the server insists on */
	assert_true(a.is_up && b.is_up && a.ups == 1 && b.ups == 1);
	relay_manager_close(a.manager);
	turn_until(&b.is_closed);
	assert_true(b.is_up);
}

static void a_peer_that_comes_later_is_announced(void **state)
{
	start_server();
	configure(&a, SECRET);
	turn_until(&a.is_up);
	assert_int_equal(relay_peer_open(a.manager, b.key, relay_manager_address(a.manager), NULL,
		&peer_callbacks, &a, &a.peer), 0);
	turn_for(LOOP_SECOND / 10);
	assert_false(a.is_ready);
	configure(&b, SECRET);
	turn_until(&a.is_ready);
}

static void a_server_that_was_killed_is_found_again(void **state)
{
	come_up();
	open_both();
	stop_server();
	turn_until(&a.is_closed);
	assert_false(a.is_up);
	start_server();
	turn_until(&a.is_up);
	turn_until(&b.is_up);
	assert_int_equal(a.ups, 2);
}

static void a_wrong_token_is_refused(void **state)
{
	uint64_t until = loop_now(loop) + PATIENCE_NS;
	struct relay_status status;

	start_server();
	configure(&a, "another secret");
	do {
		assert_int_equal(loop_turn(loop, LOOP_SECOND / 100), 0);
		assert_int_equal(relay_manager_list(a.manager, &status, 1), 1);
	} while (!strstr(status.error, "refused our token") && loop_now(loop) < until);
	if (!strstr(status.error, "refused our token"))
		fail_msg("error: %s", status.error);
	assert_false(a.is_up);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(two_clients_exchange_packets_of_every_size),
		TEST(health_checks_keep_a_connection_and_an_orderly_end_is_seen_by_the_other),
		TEST(a_peer_that_comes_later_is_announced),
		TEST(a_server_that_was_killed_is_found_again),
		TEST(a_wrong_token_is_refused),
	};

	/* The environment's proxy is not what is tested. */
	setenv("NO_PROXY", "*", 1);
	setenv("no_proxy", "*", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
