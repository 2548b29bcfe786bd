// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Addresses that are found to be served by this node, beside the networks that the configuration gives.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "host/services.h"

#define FOUND 2

static struct services services;
static struct prefixes set;

static struct cidr net(const char *text)
{
	struct cidr cidr;

	assert_int_equal(cidr_parse((struct slice){ text, strlen(text) }, false, &cidr), 0);
	return cidr;
}

/* Each may be NULL. */
static bool say(const char *one, const char *other)
{
	const char *const texts[] = { one, other };
	struct services list = {};

	for (size_t i = 0; i < 2; i++) {
		const struct cidr cidr = net(texts[i] ? texts[i] : "::/0");

		if (texts[i])
			assert_int_equal(services_add(&list, &cidr), 0);
	}
	return services_set(&services, &list);
}

static size_t merge(const char *given, size_t max)
{
	const struct cidr cidr = net(given ? given : "0.0.0.0/0");
	size_t left_out = 99;

	prefixes_done(&set);
	if (given)
		assert_int_equal(prefixes_add(&set, prefix_bits_of(&cidr.addr), cidr.prefixlen, 1), 0);
	assert_int_equal(services_merge(&services, AF_INET, FOUND, max, &set, &left_out), 0);
	prefixes_sort(&set);
	return left_out;
}

/* The value of the exact entry, or -1. */
static int value(const char *text)
{
	const struct cidr cidr = net(text);
	const struct prefix *prefix = prefixes_find(&set, prefix_bits_of(&cidr.addr), cidr.prefixlen);

	return prefix ? (int)prefix->value : -1;
}

static int clear(void **state)
{
	services_done(&services);
	prefixes_done(&set);
	return 0;
}

static void only_news_are_a_change(void **state)
{
	assert_true(say("10.96.0.1/32", NULL));
	assert_false(say("10.96.0.1/32", NULL));
	assert_true(say("10.96.0.1/32", "10.96.0.2/32"));
	assert_false(say("10.96.0.2/32", "10.96.0.1/32"));
	assert_true(say(NULL, NULL));
	assert_false(say(NULL, NULL));
}

static void families_are_kept_apart(void **state)
{
	say("fd00::1/128", NULL);
	assert_int_equal(merge(NULL, 10), 0);
	assert_int_equal(set.count, 0);
	assert_int_equal(services_count(&services), 1);
}

static void nothing_hides_what_is_given(void **state)
{
	say("10.96.0.1/32", "10.97.0.1/32");
	merge("10.96.0.0/16", 10);
	assert_int_equal(set.count, 2);
	assert_int_equal(value("10.96.0.0/16"), 1);
	assert_int_equal(value("10.97.0.1/32"), FOUND);
}

static void what_does_not_fit_is_counted(void **state)
{
	say("10.96.0.1/32", "10.96.0.2/32");
	assert_int_equal(merge("10.97.0.0/16", 1), 1);
	assert_int_equal(set.count, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(only_news_are_a_change, clear),
		cmocka_unit_test_teardown(families_are_kept_apart, clear),
		cmocka_unit_test_teardown(nothing_hides_what_is_given, clear),
		cmocka_unit_test_teardown(what_does_not_fit_is_counted, clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
