// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon/replay.h on the host: against a naive twin, and with many threads at once.
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* As in test_flow.c: atomic steps may hand the CPU to another thread, at times for long. */
static __thread uint64_t random_state;
static int yield_one_in;

static uint32_t random_below(uint32_t n)
{
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (random_state >> 33) % n;
}

static void maybe_yield(void)
{
	if (yield_one_in && !random_below(yield_one_in))
		for (uint32_t i = random_below(16) ? 1 : 40; i; i--)
			sched_yield();
}

#define REPLAY_LOAD(x)		({ maybe_yield(); __atomic_load_n(&(x), __ATOMIC_RELAXED); })
#define REPLAY_SWAP(p, value)	\
	({ maybe_yield(); __atomic_exchange_n(p, value, __ATOMIC_SEQ_CST); maybe_yield(); })
#define REPLAY_OR(p, bit)	({ maybe_yield(); __atomic_fetch_or(p, bit, __ATOMIC_SEQ_CST); })
#include "talon/replay.h"

#define COUNT	(1U << 18)

static struct talon_replay window;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint8_t taken[COUNT];		/* how often each counter was */

/* session_commit() */
static bool commit(uint64_t counter)
{
	if (replay_begins(&window, counter)) {
		pthread_mutex_lock(&lock);
		replay_begin(&window, counter);
		pthread_mutex_unlock(&lock);
	}
	return replay_take(&window, counter);
}

static int reset(void **state)
{
	memset(&window, 0, sizeof(window));
	memset(taken, 0, sizeof(taken));
	yield_one_in = 0;
	random_state = 1;
	return 0;
}

static void it_says_what_a_list_of_all_counters_says(void **state)
{
	uint64_t newest = 0, refused_old = 0, refused_taken = 0, passed = 0;

	for (uint32_t i = 0; i < 400000; i++) {
		/* around the newest one, and at times far ahead */
		uint64_t back = random_below(8) ? random_below(100) : random_below(9000), counter;
		bool is_old, expected;

		counter = newest + 30 + (random_below(3000) ? 0 : random_below(3000));
		counter = counter > back ? counter - back : 0;
		if (counter >= COUNT)
			break;
		is_old = counter / 64 + 128 <= newest / 64;
		expected = !is_old && !taken[counter];
		assert_int_equal(replay_may_be_new(&window, counter), expected);
		assert_int_equal(commit(counter), expected);
		refused_old += is_old;
		refused_taken += !is_old && !expected;
		passed += expected;
		if (!expected)
			continue;
		taken[counter] = 1;
		if (counter > newest)
			newest = counter;
	}
	assert_true(refused_old > 300 && refused_taken > 3000 && passed > 30000);
}

static void no_counter_is_taken_that_ends_the_session(void **state)
{
	assert_true(commit(WG_REJECT_AFTER_MESSAGES - 1));
	assert_false(commit(WG_REJECT_AFTER_MESSAGES - 1));
	assert_true(commit(WG_REJECT_AFTER_MESSAGES - 2));
	assert_false(replay_may_be_new(&window, WG_REJECT_AFTER_MESSAGES));
	assert_false(replay_take(&window, WG_REJECT_AFTER_MESSAGES));
}

#define THREADS	8

struct racer {
	uint32_t seed;
	uint32_t leap;			/* one in so many is this far ahead of all; 0: none is */
	uint64_t first_lost;		/* counters that were refused though nobody else had them */
};

static uint64_t next;			/* counter */

/* Takes new counters, each of which comes a second time somewhere, soon or late. */
static void *race(void *ctx)
{
	struct racer *racer = ctx;

	random_state = racer->seed;
	for (;;) {
		uint64_t counter = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED), again;

		if (racer->leap && !random_below(100))
			counter = __atomic_fetch_add(&next, random_below(racer->leap), __ATOMIC_RELAXED);
		if (counter >= COUNT)
			return NULL;
		if (commit(counter))
			__atomic_fetch_add(&taken[counter], 1, __ATOMIC_RELAXED);
		else
			racer->first_lost++;
		again = random_below(4) ? random_below(64) : random_below(9000);
		again = counter > again ? counter - again : 0;
		if (commit(again))
			__atomic_fetch_add(&taken[again], 1, __ATOMIC_RELAXED);
	}
}

static void run_race(uint32_t leap, uint64_t *ret_lost)
{
	struct racer racers[THREADS];
	pthread_t threads[THREADS];

	*ret_lost = 0;
	next = 0;
	for (unsigned i = 0; i < THREADS; i++) {
		racers[i] = (struct racer) { .seed = 77 * i + 1, .leap = leap };
		assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		*ret_lost += racers[i].first_lost;
	}
}

static void many_threads_take_each_counter_once(void **state)
{
	uint64_t lost, more = 0, once = 0;

	yield_one_in = 1000;
	run_race(0, &lost);
	for (uint32_t i = 0; i < COUNT; i++) {
		more += taken[i] > 1;
		once += taken[i] == 1;
	}
	assert_int_equal(more, 0);
	/* each was taken, by its own packet or by the copy; but for threads that slept through a window */
	assert_true(once > COUNT - COUNT / 50);
	assert_true(lost < COUNT / 2);
}

/* Blocks begin while others still look at theirs: the window's words change hands all the time. */
static void many_threads_take_none_twice_while_the_counter_leaps(void **state)
{
	uint64_t lost, more = 0, once = 0;

	yield_one_in = 20;
	run_race(10000, &lost);
	for (uint32_t i = 0; i < COUNT; i++) {
		more += taken[i] > 1;
		once += taken[i] == 1;
	}
	assert_int_equal(more, 0);
	assert_true(once > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(it_says_what_a_list_of_all_counters_says, reset),
		cmocka_unit_test_setup(no_counter_is_taken_that_ends_the_session, reset),
		cmocka_unit_test_setup(many_threads_take_each_counter_once, reset),
		cmocka_unit_test_setup(many_threads_take_none_twice_while_the_counter_leaps, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
