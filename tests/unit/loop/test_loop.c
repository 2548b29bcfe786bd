// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The loop: deadlines in order under every kind of change, descriptors that go away in the middle of a turn.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/loop.h"

#define TIMERS 200

struct seen {
	struct loop *loop;
	struct loop_timer timer;
	uint64_t at;
	int count;
	bool again;
};

static void fire(void *ctx)
{
	struct seen *s = ctx;

	s->at = loop_now(s->loop);
	s->count++;
	if (s->again)
		loop_timer_after(s->loop, &s->timer, 10);
}

static void timers_fire_at_their_time_whatever_was_set_before(void **state)
{
	struct loop *loop;
	struct seen seen[TIMERS] = {};
	uint64_t want[TIMERS];

	assert_int_equal(loop_new_fake(&loop, 1000), 0);
	srand(1);
	for (int round = 0; round < 50; round++) {
		uint64_t start = loop_now(loop);

		for (int i = 0; i < TIMERS; i++) {
			if (!seen[i].loop)
				loop_timer_init(&seen[i].timer, fire, &seen[i]);
			seen[i].loop = loop;
			seen[i].count = 0;
		}
		for (int i = 0; i < 3 * TIMERS; i++) {
			int n = rand() % TIMERS;

			want[n] = start + 1 + rand() % 500;
			loop_timer_set(loop, &seen[n].timer, want[n]);
			if (rand() % 4 == 0)
				loop_timer_cancel(loop, &seen[n].timer);
		}
		loop_advance(loop, start + 250);
		loop_advance(loop, start + 1000);
		for (int i = 0; i < TIMERS; i++) {
			assert_false(loop_timer_is_set(&seen[i].timer));
			if (seen[i].count) {
				assert_int_equal(seen[i].count, 1);
				assert_int_equal(seen[i].at, want[i]);
			}
		}
		assert_int_equal(loop_next(loop), LOOP_NEVER);
	}
	loop_free(loop);
}

static void a_timer_may_set_itself_again(void **state)
{
	struct loop *loop;
	struct seen s = { .again = true };

	assert_int_equal(loop_new_fake(&loop, 0), 0);
	s.loop = loop;
	loop_timer_init(&s.timer, fire, &s);
	loop_timer_set(loop, &s.timer, 5);
	loop_advance(loop, 100);
	assert_int_equal(s.count, 10);
	assert_int_equal(loop_next(loop), 105);
	loop_free(loop);
	assert_false(loop_timer_is_set(&s.timer));
}

struct pair {
	struct loop *loop;
	struct loop_fd handle, *victim;
	int calls;
};

static void take(void *ctx, uint32_t events)
{
	struct pair *p = ctx;
	char byte;

	assert_true(events & EPOLLIN);
	assert_int_equal(read(p->handle.fd, &byte, 1), 1);
	p->calls++;
	if (p->victim)
		loop_fd_remove(p->loop, p->victim);
}

static void a_descriptor_removed_in_this_turn_is_not_called(void **state)
{
	struct pair a = {}, b = {};
	struct loop *loop;
	int one[2], two[2];

	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, one), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, two), 0);
	a = (struct pair){ .loop = loop, .victim = &b.handle };
	b = (struct pair){ .loop = loop, .victim = &a.handle };
	assert_int_equal(loop_fd_add(loop, &a.handle, one[0], EPOLLIN, take, &a), 0);
	assert_int_equal(loop_fd_add(loop, &b.handle, two[0], EPOLLIN, take, &b), 0);
	assert_int_equal(write(one[1], "x", 1), 1);
	assert_int_equal(write(two[1], "x", 1), 1);
	assert_int_equal(loop_turn(loop, LOOP_SECOND), 0);
	assert_int_equal(a.calls + b.calls, 1);
	loop_free(loop);
	for (int i = 0; i < 2; i++) {
		close(one[i]);
		close(two[i]);
	}
}

static void stop(void *ctx)
{
	loop_stop(ctx);
}

static void running_ends_when_told(void **state)
{
	struct loop_timer timer;
	struct loop *loop;

	assert_int_equal(loop_new(&loop), 0);
	loop_timer_init(&timer, stop, loop);
	loop_timer_after(loop, &timer, LOOP_MS);
	assert_int_equal(loop_run(loop), 0);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_fire_at_their_time_whatever_was_set_before),
		cmocka_unit_test(a_timer_may_set_itself_again),
		cmocka_unit_test(a_descriptor_removed_in_this_turn_is_not_called),
		cmocka_unit_test(running_ends_when_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
