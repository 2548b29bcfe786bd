// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A reload: what is told of two configurations, what is taken over, and what waits for a restart.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"

#define HEAD	"[Interface]\nAddress = 100.64.0.1/10\n" \
		"PrivateKey = QDPAyjhdPmvPR2LS8DMl4hNLM2mwjnp2YLGFoVAJOHE=\n"
#define A	"[Peer]\nPublicKey = c6CrXJ0yDsVH2SCgb4iF6sGNuMKUTM0KX6xPzLOWHlo=\n"
#define B	"[Peer]\nPublicKey = NKYSP6VXQkZaWmOJqX7ZBY3b5bEvkkCuLShDoHCpjE8=\n"

static struct config now, fresh;
static char why[512], lines[1024], names[512];

static void read_file(struct config *config, const char *text)
{
	config_init(config);
	if (config_read_text(config, "f", text, strlen(text), why, sizeof(why)) ||
		config_finish(config, "f", why, sizeof(why)))
		fail_msg("refused: %s", why);
}

static void compare(const char *before, const char *after)
{
	read_file(&now, before);
	read_file(&fresh, after);
	assert_int_equal(config_tell_changes(&now, &fresh, lines, sizeof(lines)), 0);
	config_list_fixed(&now, &fresh, names, sizeof(names));
}

static void done(void)
{
	config_free(&now);
	config_free(&fresh);
}

static void each_kind_of_change_has_its_line(void **state)
{
	static const struct {
		const char *before, *after, *lines, *fixed;
	} cases[] = {
		{ HEAD A "AllowedIPs = 10.1.0.0/16\n", HEAD A "AllowedIPs = 10.1.0.0/16\n", "", "" },
		{ HEAD, HEAD A B, "peers: 2 added\n", "" },
		{ HEAD A B, HEAD B, "peers: 1 removed\n", "" },
		{ HEAD A B, HEAD B A, "", "" },
		{ HEAD A "AllowedIPs = 10.1.0.0/16\n", HEAD A "AllowedIPs = 10.2.0.0/16\n" B,
			"peers: 1 added, 1 changed\n", "" },
		{ HEAD A "Endpoint = 192.0.2.1:1\n", HEAD A "Endpoint = 192.0.2.1:2\n",
			"peers: 1 changed\n", "" },
		{ HEAD A "Endpoint = a.example:1\n", HEAD A "Endpoint = b.example:1\n",
			"peers: 1 changed\n", "" },
		{ HEAD A "PersistentKeepalive = 5\n", HEAD A, "peers: 1 changed\n", "" },
		{ HEAD "Route = 10.0.0.0/8\nRoute = 192.168.1.0/24\n",
			HEAD "Route = 192.168.1.0/24 nomasquerade\n",
			"routes: 1 added, 2 removed\n", "" },
		{ HEAD, HEAD "Capture = off\n", "capture: off\n", "" },
		{ HEAD, HEAD "MTU = 1300\nListenPort = 1\nUplink = eth7\n", "", "ListenPort, MTU, Uplink" },
		{ HEAD, HEAD "Metrics = off\n" A, "peers: 1 added\n", "Metrics" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		compare(cases[i].before, cases[i].after);
		assert_string_equal(lines, cases[i].lines);
		assert_string_equal(names, cases[i].fixed);
		done();
	}
}

static const struct config_peer *peer_with(const struct config *config, uint16_t port)
{
	for (size_t i = 0; i < config->peer_count; i++) {
		if (be16toh(config->peers[i].endpoint.port) == port)
			return &config->peers[i];
	}
	fail_msg("no peer at port %u", port);
	return NULL;
}

static void only_another_endpoint_moves_a_peer(void **state)
{
	compare(HEAD A "Endpoint = 192.0.2.1:1\n" B "Endpoint = 192.0.2.2:2\n",
		HEAD "Route = 10.0.0.0/8\nMTU = 1300\n" B "Endpoint = 192.0.2.2:2\nAllowedIPs = 10.1.0.0/16\n"
		A "Endpoint = 192.0.2.1:9\n");
	config_take_changes(&now, &fresh);
	assert_true(peer_with(&now, 9)->is_moved);
	assert_false(peer_with(&now, 2)->is_moved);
	assert_int_equal(now.route_count, 1);
	assert_int_equal(now.mtu, CONFIG_MTU);		/* only the next start takes that over */
	config_free(&fresh);
	/* A reload that follows at once does not forget it. */
	read_file(&fresh, HEAD A "Endpoint = 192.0.2.1:9\n" B);
	config_take_changes(&now, &fresh);
	assert_true(peer_with(&now, 9)->is_moved);
	assert_false(peer_with(&now, 0)->is_moved);	/* without an endpoint it stays where it was seen */
	done();
}

/* "name=value" flags and variables. */
static void read_mesh(struct config *config, const char *flag, const char *value, char *const *env)
{
	char *const none[] = { NULL };

	config_init(config);
	config_use_mesh(config);
	if ((flag && config_set_flag(config, flag, value, why, sizeof(why))) ||
		config_read_env(config, env ?: none, why, sizeof(why)) ||
		config_finish(config, NULL, why, sizeof(why)))
		fail_msg("refused: %s", why);
}

static void switches_of_a_mesh_change_at_once_and_the_rest_waits(void **state)
{
	char *before[] = { "NB_HOSTNAME=a", "NB_LOG_LEVEL=info", "NB_SETUP_KEY=", NULL };
	char *after[] = { "NB_HOSTNAME=b", "NB_LOG_LEVEL=debug", "NB_LOG_FILE=/tmp/x,console",
		"NB_LOG_FORMAT=json", "NB_BLOCK_INBOUND=true", "NB_LAZY_CONN=on",
		"NB_DNS_FORWARDER_PORT=5353", "NB_MTU=1300", "NB_STATE_DIR=/data",
		"NB_SETUP_KEY_FILE=/nonexistent", "NB_DISABLE_DNS=true", NULL };

	read_mesh(&now, "disable-server-routes", "true", before);
	config_init(&fresh);
	config_use_mesh(&fresh);
	assert_int_equal(config_read_env(&fresh, after, why, sizeof(why)), 0);
	config_forget_setup_key(&fresh);		/* whose file is gone by now */
	assert_int_equal(config_finish(&fresh, NULL, why, sizeof(why)), 0);
	assert_int_equal(config_tell_changes(&now, &fresh, lines, sizeof(lines)), 0);
	assert_string_equal(lines, "disable-server-routes: false\nblock-inbound: true\nlazy-conn: on\n"
		"dns-forwarder-port: 5353\nlog-level: debug\nlog-format: json\nlog-file: /tmp/x,console\n");
	assert_int_equal(config_list_fixed(&now, &fresh, names, sizeof(names)), 3);
	assert_string_equal(names, "mtu, hostname, state-dir");
	config_take_changes(&now, &fresh);
	assert_true(now.mesh.block_inbound);
	assert_false(now.mesh.disable_server_routes);
	assert_true(now.mesh.lazy_conn && now.mesh.given & CONFIG_GIVEN_LAZY_CONN);
	assert_int_equal(now.mesh.dns_forwarder_port, 5353);
	assert_int_equal(now.log_level, LOG_LEVEL_DEBUG);
	assert_string_equal(now.log_file, "/tmp/x,console");
	assert_string_equal(now.mesh.hostname, "a");
	assert_int_equal(now.mtu, CONFIG_MTU);
	/* What was taken over is no change any more; what waits still is one. */
	assert_int_equal(config_tell_changes(&now, &fresh, lines, sizeof(lines)), 0);
	assert_string_equal(lines, "");
	assert_int_equal(config_list_fixed(&now, &fresh, names, sizeof(names)), 3);
	done();
}

static void a_value_given_in_another_way_is_no_change(void **state)
{
	char *env[] = { "NB_HOSTNAME=box", NULL };

	read_mesh(&now, "hostname", "box", NULL);
	read_mesh(&fresh, NULL, NULL, env);
	assert_int_equal(config_list_fixed(&now, &fresh, names, sizeof(names)), 0);
	done();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_of_change_has_its_line),
		cmocka_unit_test(only_another_endpoint_moves_a_peer),
		cmocka_unit_test(switches_of_a_mesh_change_at_once_and_the_rest_waits),
		cmocka_unit_test(a_value_given_in_another_way_is_no_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
