// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What management is told of IPv6 as the host takes it, refuses it, and takes it again.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "mesh/internal.h"

static const char *refusal;			/* what the plane says; "": it carries IPv6 */
static unsigned told;
static bool told_last;

#define plane_why_no_ipv6	fake_why
#define management_set_ipv6	fake_set

static const char *fake_why(const struct plane *p)
{
	return refusal;
}

static void fake_set(struct management *m, bool carries)
{
	told++;
	told_last = carries;
}

#include "mesh/ipv6.c"

static struct config config;
static struct mesh mesh;

static int set_up(void **state)
{
	memset(&mesh, 0, sizeof(mesh));
	memset(&config, 0, sizeof(config));
	mesh.config = &config;
	mesh.management = (struct management *)&mesh;	/* only handed on */
	told = 0;
	refusal = "";
	if (loop_new_fake(&mesh.loop, LOOP_SECOND))
		return -1;
	mesh_ipv6_init(&mesh);
	return 0;
}

static int tear_down(void **state)
{
	loop_timer_cancel(mesh.loop, &mesh.ipv6.timer);
	loop_free(mesh.loop);
	return 0;
}

static void pass(uint64_t ns)
{
	loop_advance(mesh.loop, loop_now(mesh.loop) + ns);
}

static void a_kernel_that_refuses_is_not_asked_again_at_once(void **state)
{
	unsigned before;

	mesh_ipv6_begin(&mesh);
	assert_true(mesh.ipv6.is_told);
	mesh_check_ipv6(&mesh);
	assert_int_equal(told, 0);		/* the login said so */
	for (int round = 0; round < 12; round++) {
		refusal = "refused";
		mesh_check_ipv6(&mesh);
		assert_int_equal(told_last, false);
		before = told;
		refusal = "";			/* there is no address any more that could be refused */
		mesh_check_ipv6(&mesh);
		assert_int_equal(told, before);
		loop_advance(mesh.loop, mesh.ipv6.again_ns);	/* no calm in between */
		assert_int_equal(told, before + 1);
		assert_true(told_last);
	}
	/* 5 s, 10 s and so on, up to an hour, of which an eighth at least passes */
	refusal = "refused";
	mesh_check_ipv6(&mesh);
	refusal = "";
	mesh_check_ipv6(&mesh);
	before = told;
	pass(AGAIN_MOST_NS / 8 - LOOP_SECOND);
	assert_int_equal(told, before);
}

static void after_a_long_calm_it_is_tried_again_soon(void **state)
{
	mesh_ipv6_begin(&mesh);
	for (int round = 0; round < 3; round++) {
		pass(CALM_NS);
		refusal = "net.ipv6.conf.wt0.disable_ipv6=1";
		mesh_check_ipv6(&mesh);
		assert_false(told_last);
		refusal = "";
		mesh_check_ipv6(&mesh);
		pass(AGAIN_FIRST_NS);
		assert_true(told_last);
	}
	assert_int_equal(told, 6);
}

static void a_host_without_ipv6_never_says_that_it_has_it(void **state)
{
	refusal = "this kernel has no IPv6";
	mesh_ipv6_begin(&mesh);
	assert_false(mesh.ipv6.is_told);
	mesh_check_ipv6(&mesh);
	assert_int_equal(told, 0);
	refusal = "";
	mesh_check_ipv6(&mesh);
	assert_int_equal(told, 1);
	assert_true(told_last);
}

static void what_the_user_forbids_is_never_told(void **state)
{
	config.mesh.disable_ipv6 = true;
	mesh_ipv6_begin(&mesh);
	assert_false(mesh.ipv6.is_told);
	mesh_check_ipv6(&mesh);
	pass(AGAIN_MOST_NS);
	assert_int_equal(told, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_kernel_that_refuses_is_not_asked_again_at_once),
		TEST(after_a_long_calm_it_is_tried_again_soon),
		TEST(a_host_without_ipv6_never_says_that_it_has_it),
		TEST(what_the_user_forbids_is_never_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
