// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Decisions about a member's settings that are no map's: where the DNS forwarder listens, and what becomes of
// the setup key.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_forwarder_listens_where_management_sends_peers),
		cmocka_unit_test(a_setup_key_that_was_used_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
