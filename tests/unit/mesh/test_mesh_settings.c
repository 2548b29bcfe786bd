// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Decisions about a member's settings that are no map's: where the DNS forwarder listens, and what becomes of
// the setup key.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "mesh/internal.h"

static void the_forwarder_listens_where_management_sends_peers(void **state)
{
	static const struct { uint16_t given, said, port; } cases[] = {
		{ 0, 22054, 22054 },
		{ 0, 40000, 40000 },
		{ 0, FORWARDER_PORT_OLD, MESH_FORWARDER_PORT },	/* the old one is served anyway */
		{ 0, 0, MESH_FORWARDER_PORT },
		{ 1053, 22054, 1053 },
		{ 1053, FORWARDER_PORT_OLD, 1053 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct config config = { .mesh.dns_forwarder_port = cases[i].given };
		const struct mesh mesh = { .config = &config };
		const struct netmap map = { .dns_forwarder_port = cases[i].said };

		if (mesh_forwarder_port(&mesh, &map) != cases[i].port)
			fail_msg("given %u, said %u: %u", cases[i].given, cases[i].said,
				mesh_forwarder_port(&mesh, &map));
	}
}

static void a_setup_key_that_was_used_is_gone(void **state)
{
	char key[] = "5f1c2b7a-0000-4000-8000-1234567890ab", zeros[sizeof(key)] = "";
	const struct config config = { .mesh.setup_key = key }, none = {};

	mesh_forget_setup_key(&config);
	assert_memory_equal(key, zeros, sizeof(key));
	mesh_forget_setup_key(&none);
}

/* The account's switch; NB_LAZY_CONN over it in both directions. */
static void lazy_is_what_the_account_says_unless_it_was_said_here(void **state)
{
	static const struct { bool account, given, said, lazy; } cases[] = {
		{ false, false, false, false }, { true, false, false, true },
		{ false, true, true, true }, { true, true, true, true },
		{ false, true, false, false }, { true, true, false, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct config config = { .mesh.given = cases[i].given ? CONFIG_GIVEN_LAZY_CONN : 0,
			.mesh.lazy_conn = cases[i].said };
		const struct mesh mesh = { .config = &config, .now.update.map.self.lazy = cases[i].account };

		assert_int_equal(mesh_is_lazy(&mesh), cases[i].lazy);
	}
}

/* Said once, with NB_DISABLE_IPV6 or the flag, it holds until it is said otherwise. */
static void whether_ipv6_is_wanted_outlives_the_start_that_says_it(void **state)
{
	static const struct { bool given, said, then; } starts[] = {
		{ false, false, false }, { true, true, true }, { false, false, true }, { true, true, true },
		{ true, false, false }, { false, false, false },
	};
	char dir[] = "/tmp/talon-settings-XXXXXX", path[64], why[300];
	json_t *json;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/default.json", dir);
	for (size_t i = 0; i < sizeof(starts) / sizeof(*starts); i++) {
		struct config config = { .mesh.enabled = true, .mesh.identity_path = path,
			.mesh.state_dir = dir, .mesh.given = starts[i].given ? CONFIG_GIVEN_IPV6 : 0,
			.mesh.disable_ipv6 = starts[i].said };

		if (mesh_prepare(&config, why, sizeof(why)))
			fail_msg("%s", why);
		assert_int_equal(config.mesh.disable_ipv6, starts[i].then);
		json = json_load_file(path, 0, NULL);
		assert_int_equal(json_is_true(json_object_get(json, "DisableIPv6")), starts[i].then);
		json_decref(json);
		free(config.mesh.management_url);
	}
	unlink(path);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_forwarder_listens_where_management_sends_peers),
		cmocka_unit_test(a_setup_key_that_was_used_is_gone),
		cmocka_unit_test(lazy_is_what_the_account_says_unless_it_was_said_here),
		cmocka_unit_test(whether_ipv6_is_wanted_outlives_the_start_that_says_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
