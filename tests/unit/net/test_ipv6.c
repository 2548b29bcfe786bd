// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Whether a host lets a device carry IPv6, by the files below /proc/sys.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "net/net.h"

static char root[] = "/tmp/talon-ipv6-XXXXXX";

static void run(const char *format, const char *value)
{
	char command[512];

	snprintf(command, sizeof(command), format, root, root, value);
	assert_int_equal(system(command), 0);
}

static void set(const char *device, const char *value)
{
	char format[300];

	snprintf(format, sizeof(format), "mkdir -p %%s/proc/sys/net/ipv6/conf/%s && cd "
		"%%s/proc/sys/net/ipv6/conf/%s && echo %%s > disable_ipv6", device, device);
	run(format, value);
}

static int clear(void **state)
{
	char command[300];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", root);
	return system(command);
}

static void a_kernel_without_ipv6_is_told_apart(void **state)
{
	char why[160] = "";

	(void)state;
	assert_true(net_ipv6_is_off(root, "wt0", 1280, why, sizeof(why)));
	assert_non_null(strstr(why, "ipv6.disable=1"));
}

static void the_device_decides_and_before_it_is_there_the_default(void **state)
{
	char why[160] = "";

	(void)state;
	set("default", "1");
	assert_true(net_ipv6_is_off(root, "wt0", 1280, why, sizeof(why)));
	assert_string_equal(why, "net.ipv6.conf.default.disable_ipv6=1");
	set("wt0", "0");
	assert_false(net_ipv6_is_off(root, "wt0", 1280, why, sizeof(why)));
	set("default", "0");
	set("wt0", "1");
	assert_true(net_ipv6_is_off(root, "wt0", 1280, why, sizeof(why)));
	assert_string_equal(why, "net.ipv6.conf.wt0.disable_ipv6=1");
}

static void a_smaller_mtu_than_1280_carries_no_ipv6(void **state)
{
	char why[160] = "";

	(void)state;
	set("default", "0");
	assert_false(net_ipv6_is_off(root, "wt0", 1280, why, sizeof(why)));
	assert_true(net_ipv6_is_off(root, "wt0", 1279, why, sizeof(why)));
	assert_string_equal(why, "MTU = 1279 is below 1280, the least that IPv6 takes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_kernel_without_ipv6_is_told_apart, clear),
		cmocka_unit_test_teardown(the_device_decides_and_before_it_is_there_the_default, clear),
		cmocka_unit_test_teardown(a_smaller_mtu_than_1280_carries_no_ipv6, clear),
	};

	return mkdtemp(root) ? cmocka_run_group_tests(tests, NULL, clear) : 1;
}
