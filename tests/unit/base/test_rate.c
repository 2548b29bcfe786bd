// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rate.h"

static void one_comes_back_after_its_time(void **state)
{
	struct rate rate = {};

	for (int i = 0; i < 5; i++)
		assert_true(rate_take(&rate, 100, 10, 5));
	assert_true(rate_is_empty(&rate, 100, 10, 5));
	assert_false(rate_take(&rate, 100, 10, 5));
	assert_false(rate_take(&rate, 109, 10, 5));
	assert_true(rate_take(&rate, 110, 10, 5));
	assert_false(rate_take(&rate, 110, 10, 5));
}

static void a_rest_gives_no_more_than_a_burst(void **state)
{
	struct rate rate = {};

	assert_true(rate_take(&rate, 100, 10, 2));
	assert_true(rate_take(&rate, 100000, 10, 2));
	assert_true(rate_take(&rate, 100000, 10, 2));
	assert_false(rate_take(&rate, 100000, 10, 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_comes_back_after_its_time),
		cmocka_unit_test(a_rest_gives_no_more_than_a_burst),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
