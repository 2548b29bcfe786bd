// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// From one set of networks to another: what has to be done, in which order, and nothing else.
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/prefixes.h"

/* An IPv4 address in host order. */
static prefix_bits four(uint32_t addr)
{
	return (prefix_bits)addr << 96;
}

static void add(struct prefixes *set, const char *addr, unsigned len, uint32_t value)
{
	assert_int_equal(prefixes_add(set, four(ntohl(inet_addr(addr))), len, value), 0);
}

struct log {
	char text[4096];
	int fail_at;		/* the call, from 1, that fails; 0: none */
	int calls;
};

static int note(void *ctx, enum prefix_change change, const struct prefix *p)
{
	static const char marks[] = { [PREFIX_ADD] = '+', [PREFIX_CHANGE] = '~', [PREFIX_REMOVE] = '-' };
	struct log *log = ctx;
	size_t at = strlen(log->text);

	snprintf(log->text + at, sizeof(log->text) - at, "%c%08x/%u=%u ", marks[change],
		(uint32_t)(p->addr >> 96), p->len,
		p->value);
	return ++log->calls == log->fail_at ? -5 : 0;
}

static void new_and_changed_ones_come_before_departed_ones(void **state)
{
	struct prefixes is = {}, wanted = {};
	struct log log = {};

	add(&is, "10.0.0.0", 8, 1);
	add(&is, "10.0.0.0", 24, 2);
	add(&is, "192.168.1.0", 24, 3);
	prefixes_sort(&is);
	add(&wanted, "192.168.1.0", 24, 9);
	add(&wanted, "10.0.0.0", 24, 2);
	add(&wanted, "172.16.0.0", 12, 4);
	prefixes_sort(&wanted);
	assert_int_equal(prefixes_diff(&is, &wanted, note, &log), 0);
	assert_string_equal(log.text, "+ac100000/12=4 ~c0a80100/24=9 -0a000000/8=1 ");
	prefixes_done(&is);
	prefixes_done(&wanted);
}

static void the_same_again_is_nothing_to_do(void **state)
{
	struct prefixes set = {}, empty = {};
	struct log log = {};

	for (int i = 0; i < 1000; i++)
		assert_int_equal(prefixes_add(&set, four(rand()), rand() % 33, i), 0);
	prefixes_sort(&set);
	assert_int_equal(prefixes_diff(&set, &set, note, &log), 0);
	assert_int_equal(prefixes_diff(&empty, &empty, note, &log), 0);
	assert_int_equal(log.calls, 0);
	prefixes_done(&set);
}

static void of_two_for_one_network_the_first_stays_and_host_bits_do_not_matter(void **state)
{
	struct prefixes set = {};

	add(&set, "10.1.2.3", 16, 1);
	add(&set, "10.1.0.0", 16, 2);
	add(&set, "255.255.255.255", 0, 3);
	add(&set, "10.1.2.3", 32, 4);
	prefixes_sort(&set);
	assert_int_equal(set.count, 3);
	assert_int_equal(prefixes_find(&set, four(0x0a010000), 16)->value, 1);
	assert_int_equal(prefixes_find(&set, 0, 0)->value, 3);
	assert_int_equal(prefixes_find(&set, four(0x0a010203), 32)->value, 4);
	assert_null(prefixes_find(&set, four(0x0a010203), 31));
	prefixes_done(&set);
}

static void an_error_is_told_and_does_not_end_the_walk(void **state)
{
	struct prefixes empty = {}, wanted = {};
	struct log log = { .fail_at = 1 };

	add(&wanted, "10.0.0.0", 8, 1);
	add(&wanted, "11.0.0.0", 8, 1);
	prefixes_sort(&wanted);
	assert_int_equal(prefixes_diff(&empty, &wanted, note, &log), -5);
	assert_int_equal(log.calls, 2);
	prefixes_done(&wanted);
}

static void networks_overlap_when_one_holds_the_other(void **state)
{
	const struct prefix p = { .addr = four(0x0a000000), .len = 8 };

	assert_true(prefix_contains(&p, four(0x0affffff)));
	assert_false(prefix_contains(&p, four(0x0b000000)));
	assert_true(prefix_overlaps(&p, four(0x0a010000), 16));
	assert_true(prefix_overlaps(&p, four(0x00000000), 1));
	assert_true(prefix_overlaps(&p, 0, 0));
	assert_false(prefix_overlaps(&p, four(0x0b000000), 8));
}

static int apply(void *ctx, enum prefix_change change, const struct prefix *p)
{
	uint32_t *value = ctx;
	uint32_t *at = &value[(uint32_t)(p->addr >> 120)];

	if (change == PREFIX_ADD)
		assert_int_equal(*at, 0);
	else
		assert_int_not_equal(*at, 0);
	*at = change == PREFIX_REMOVE ? 0 : p->value;
	return 0;
}

static void any_set_becomes_any_other(void **state)
{
	struct prefixes is = {};
	uint32_t value[256] = {};

	srand(7);
	for (int round = 0; round < 500; round++) {
		struct prefixes wanted = {};
		uint32_t truth[256] = {};

		for (int i = rand() % 100; i; i--) {
			unsigned place = rand() % 256, v = 1 + rand() % 3;

			prefixes_add(&wanted, four(place << 24), 8, v);
			if (!truth[place])
				truth[place] = v;
		}
		prefixes_sort(&wanted);
		assert_int_equal(prefixes_diff(&is, &wanted, apply, value), 0);
		assert_memory_equal(value, truth, sizeof(truth));
		prefixes_done(&is);
		is = wanted;
	}
	prefixes_done(&is);
}

static prefix_bits six(const char *text)
{
	struct talon_addr addr;

	assert_int_equal(inet_pton(AF_INET6, text, &addr), 1);
	return prefix_bits_of(&addr);
}

static void ipv6_is_the_same_with_more_bits(void **state)
{
	struct prefixes set = {};
	struct talon_addr addr = { { 1, 2, 3, 4 } }, back = prefix_addr_of(prefix_bits_of(&addr));
	const struct prefix p = { .addr = six("fc00::"), .len = 7 };

	assert_memory_equal(&addr, &back, sizeof(addr));
	assert_int_equal(prefixes_add(&set, six("fd00:1::5"), 64, 1), 0);
	assert_int_equal(prefixes_add(&set, six("fd00:1::"), 64, 2), 0);
	assert_int_equal(prefixes_add(&set, six("fd00:1::5"), 128, 3), 0);
	assert_int_equal(prefixes_add(&set, six("2001:db8::"), 32, 4), 0);
	assert_int_equal(prefixes_add(&set, six("::1"), 0, 5), 0);
	prefixes_sort(&set);
	assert_int_equal(set.count, 4);
	assert_int_equal(set.list[0].value, 5);
	assert_int_equal(set.list[1].value, 4);
	assert_int_equal(prefixes_find(&set, six("fd00:1::"), 64)->value, 1);
	assert_int_equal(prefixes_find(&set, six("fd00:1::5"), 128)->value, 3);
	assert_null(prefixes_find(&set, six("fd00:1::5"), 127));
	assert_true(prefix_contains(&p, six("fdff:ffff::1")));
	assert_false(prefix_contains(&p, six("fe00::")));
	assert_true(prefix_overlaps(&p, six("8000::"), 1));
	assert_false(prefix_overlaps(&p, six("fe80::"), 10));
	prefixes_done(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_and_changed_ones_come_before_departed_ones),
		cmocka_unit_test(the_same_again_is_nothing_to_do),
		cmocka_unit_test(of_two_for_one_network_the_first_stays_and_host_bits_do_not_matter),
		cmocka_unit_test(an_error_is_told_and_does_not_end_the_walk),
		cmocka_unit_test(networks_overlap_when_one_holds_the_other),
		cmocka_unit_test(any_set_becomes_any_other),
		cmocka_unit_test(ipv6_is_the_same_with_more_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
