// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Which of the servers that management names are connected to.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "mesh/internal.h"
#include "unit/fake_stream.h"

static struct mesh mesh;
static struct config config;
static struct server_url named[2], own[2];
static char token[] = "1735689600";

static void on_home(void *ctx, bool is_connected, const char *address, const char *why)
{
}

static int set_up(void **state)
{
	static const struct relay_events events = { .home = on_home };
	static const uint8_t key[KEY_LEN];

	mesh = (struct mesh){ .config = &config };
	config = (struct config){ 0 };
	assert_int_equal(server_url_parse("rel://named1", SERVER_SCHEMES_RELAY, &named[0]), 0);
	assert_int_equal(server_url_parse("rel://named2", SERVER_SCHEMES_RELAY, &named[1]), 0);
	assert_int_equal(server_url_parse("rels://own1", SERVER_SCHEMES_RELAY, &own[0]), 0);
	assert_int_equal(server_url_parse("rel://own2:8080", SERVER_SCHEMES_RELAY, &own[1]), 0);
	assert_int_equal(loop_new_fake(&mesh.loop, 1000 * LOOP_SECOND), 0);
	assert_int_equal(relay_manager_new(mesh.loop, key, &events, NULL, &mesh.relay), 0);
	return 0;
}

static int tear_down(void **state)
{
	relay_manager_free(mesh.relay);
	loop_free(mesh.loop);
	fake_streams_reset();
	return 0;
}

static void use(size_t url_count)
{
	const struct netmap_servers servers = { .present = true, .relay = { .present = true, .urls = named,
		.url_count = url_count, .token_payload = url_count ? token : NULL } };

	mesh_use_servers(&mesh, &servers);
}

static void relays_are_managements_unless_others_are_configured(void **state)
{
	for (size_t own_count = 0; own_count <= 2; own_count++) {
		config.mesh.home_relays = own;
		config.mesh.home_relay_count = own_count;
		use(2);
		if (own_count != 1) {
			assert_string_equal(fake_streams[fake_stream_count - 2]->host,
				own_count ? "own1" : "named1");
			assert_string_equal(fake_streams[fake_stream_count - 1]->host,
				own_count ? "own2" : "named2");
		} else {
			assert_int_equal(fake_stream_count, 3);
			assert_string_equal(fake_streams[2]->host, "own1");
			assert_true(fake_streams[2]->options.tls);
		}
	}
	assert_int_equal(fake_streams[fake_stream_count - 1]->options.port, 8080);
}

/* The token to use them with is management's. */
static void without_a_relay_from_management_none_is_used(void **state)
{
	config.mesh.home_relays = own;
	config.mesh.home_relay_count = 2;
	use(0);
	assert_int_equal(fake_stream_count, 0);
}

/* A host may sit in a part of a network that the mesh carries: its link, its STUN server, its neighbours. */
static void the_meshs_own_addresses_are_inside_and_routed_ones_are_not(void **state)
{
	static const struct { const char *addr; bool inside; } cases[] = {
		{ "100.126.0.1", true }, { "100.126.255.255", true }, { "100.127.0.1", false },
		{ "10.1.2.3", false }, { "0.0.0.0", false }, { "fd00:1::1", true },
		{ "fd00:1:0:1::1", false }, { "2001:db8::1", false }, { "::", false },
	};
	struct choose_group routed = { .usable = true, .net = { .family = AF_INET, .prefixlen = 8,
		.addr.word[0] = htonl(0x0a000000) } };

	mesh.choose.groups = &routed;
	mesh.choose.group_count = 1;
	for (int has = 0; has < 2; has++) {
		for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
			const uint16_t family = strchr(cases[i].addr, ':') ? AF_INET6 : AF_INET;
			struct talon_addr addr = {};

			assert_int_equal(inet_pton(family, cases[i].addr, &addr), 1);
			if (mesh_is_inside(&mesh, family, &addr) != (has && cases[i].inside))
				fail_msg("%s", cases[i].addr);
		}
		mesh.self = (struct netmap_self){ .present = true, .addr = htonl(0x647e0709),
			.prefixlen = 16, .prefixlen6 = 64,
			.addr6.word = { htonl(0xfd000001), 0, 0, htonl(9) } };
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(relays_are_managements_unless_others_are_configured, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(without_a_relay_from_management_none_is_used, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(the_meshs_own_addresses_are_inside_and_routed_ones_are_not,
			set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
