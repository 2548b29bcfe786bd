// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Limits by source address: nobody pays for another, however many there are, and the table does not grow.
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "hub/internal.h"

#define NOW_NS	1000000

static const struct hub_pace pace = { 1000, 10 };
static struct hub_sources *sources;

static int setup(void **state)
{
	sources = calloc(1, sizeof(*sources));
	for (size_t i = 0; i < sizeof(sources->seed); i++)
		sources->seed[i] = 3 * i;
	return 0;
}

static int teardown(void **state)
{
	free(sources);
	return 0;
}

static struct endpoint from(const char *text)
{
	struct endpoint at = { .family = strchr(text, ':') ? AF_INET6 : AF_INET };

	assert_int_equal(inet_pton(at.family, text, &at.remote), 1);
	return at;
}

static struct endpoint number(uint32_t n)
{
	struct endpoint at = { .family = AF_INET, .remote.word[0] = htonl(0x0a000000 + n) };

	return at;
}

/* How often it may. */
static unsigned int take_all(const struct endpoint *at)
{
	unsigned int taken = 0;

	while (taken < 1000 && hub_sources_take(sources, at, NOW_NS, &pace))
		taken++;
	return taken;
}

/* Each has its whole share, although there are three times as many as places. */
static void nobody_pays_for_another(void **state)
{
	for (uint32_t i = 0; i < 3 * HUB_SOURCE_SETS * HUB_SOURCE_WAYS; i++) {
		struct endpoint at = number(i);

		assert_int_equal(take_all(&at), 10);
		assert_true(hub_sources_is_empty(sources, &at, NOW_NS, &pace));
	}
}

/* Who comes seldom is forgotten before who hammers. */
static void who_hammers_is_remembered(void **state)
{
	struct endpoint hammer = from("192.0.2.1");

	assert_int_equal(take_all(&hammer), 10);
	for (uint32_t i = 0; i < 3 * HUB_SOURCE_SETS * HUB_SOURCE_WAYS; i++) {
		struct endpoint at = number(i);

		assert_true(hub_sources_take(sources, &at, NOW_NS, &pace));
	}
	assert_true(hub_sources_is_empty(sources, &hammer, NOW_NS, &pace));
}

static void a_host_of_ipv6_is_its_64_bits(void **state)
{
	struct endpoint a = from("2001:db8:1:1::1"), b = from("2001:db8:1:1:ffff::2"),
		other = from("2001:db8:1:2::1");

	assert_int_equal(take_all(&a), 10);
	assert_int_equal(take_all(&b), 0);
	assert_int_equal(take_all(&other), 10);
}

/* A /48 has 65,536 of those, and together eight shares. */
static void a_site_of_ipv6_has_eight_shares(void **state)
{
	struct endpoint other = from("2001:db8:2::1");
	unsigned int taken = 0;
	char text[64];

	for (int i = 0; i < 100; i++) {
		struct endpoint at;

		snprintf(text, sizeof(text), "2001:db8:1:%x::1", i);
		at = from(text);
		taken += take_all(&at);
	}
	assert_int_equal(taken, 80);
	assert_int_equal(take_all(&other), 10);
}

/* The first four bytes of an IPv6 address are not that IPv4 address. */
static void the_families_are_apart(void **state)
{
	struct endpoint four = from("32.1.13.184"), six = from("2001:db8::1");

	assert_int_equal(take_all(&four), 10);
	assert_int_equal(take_all(&six), 10);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(nobody_pays_for_another), TEST(who_hammers_is_remembered),
		TEST(a_host_of_ipv6_is_its_64_bits), TEST(a_site_of_ipv6_has_eight_shares),
		TEST(the_families_are_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
