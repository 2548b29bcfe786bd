// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// epoll, and a binary heap of deadlines. The only place that sleeps.
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "loop/loop.h"

#define EVENTS_MAX 64

struct loop {
	int epoll;
	bool is_fake;
	bool stopping;
	uint64_t now_ns;
	struct loop_timer **heap;	/* from 1 */
	size_t count;
	size_t room;
	struct epoll_event events[EVENTS_MAX];	/* of this turn */
	int event_count;
	struct loop_deferred *deferred;
};

int loop_new_fake(struct loop **ret_loop, uint64_t now_ns)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return -ENOMEM;
	loop->epoll = -1;
	loop->is_fake = true;
	loop->now_ns = now_ns;
	*ret_loop = loop;
	return 0;
}

int loop_new(struct loop **ret_loop)
{
	struct loop *loop;
	int ret = loop_new_fake(&loop, clock_boot_ns());

	if (ret)
		return ret;
	loop->is_fake = false;
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll < 0) {
		ret = -errno;
		loop_free(loop);
		return ret;
	}
	*ret_loop = loop;
	return 0;
}

void loop_defer_free(struct loop *loop, struct loop_deferred *deferred, void (*fn)(void *object),
	void *object)
{
	*deferred = (struct loop_deferred){ .next = loop->deferred, .fn = fn, .object = object };
	loop->deferred = deferred;
}

/* What an object frees along with itself may be deferred in its turn. */
static void free_deferred(struct loop *loop)
{
	while (loop->deferred) {
		struct loop_deferred *deferred = loop->deferred;

		loop->deferred = deferred->next;
		deferred->fn(deferred->object);
	}
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	free_deferred(loop);
	for (size_t i = 1; i <= loop->count; i++)
		loop->heap[i]->place = 0;
	if (loop->epoll >= 0)
		close(loop->epoll);
	free(loop->heap);
	free(loop);
}

uint64_t loop_now(const struct loop *loop)
{
	return loop->now_ns;
}

void loop_update(struct loop *loop)
{
	if (!loop->is_fake)
		loop->now_ns = clock_boot_ns();
}

int loop_fd_add(struct loop *loop, struct loop_fd *handle, int fd, uint32_t events, loop_fd_fn fn, void *ctx)
{
	struct epoll_event event = { .events = events, .data.ptr = handle };

	if (loop->is_fake)
		return -ENOTSUP;
	*handle = (struct loop_fd){ .fn = fn, .ctx = ctx, .fd = fd, .events = events };
	if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event))
		return -errno;
	handle->is_watched = true;
	return 0;
}

int loop_fd_change(struct loop *loop, struct loop_fd *handle, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = handle };

	if (!handle->is_watched)
		return -ENOENT;
	if (events == handle->events && !(events & EPOLLET))
		return 0;
	handle->events = events;
	return epoll_ctl(loop->epoll, EPOLL_CTL_MOD, handle->fd, &event) ? -errno : 0;
}

void loop_fd_remove(struct loop *loop, struct loop_fd *handle)
{
	if (!handle->is_watched)
		return;
	epoll_ctl(loop->epoll, EPOLL_CTL_DEL, handle->fd, NULL);
	handle->is_watched = false;
	for (int i = 0; i < loop->event_count; i++) {
		if (loop->events[i].data.ptr == handle)
			loop->events[i].data.ptr = NULL;
	}
}

static void put(struct loop *loop, size_t place, struct loop_timer *timer)
{
	loop->heap[place] = timer;
	timer->place = place;
}

static void rise(struct loop *loop, size_t place)
{
	struct loop_timer *timer = loop->heap[place];

	for (; place > 1 && loop->heap[place / 2]->due_ns > timer->due_ns; place /= 2)
		put(loop, place, loop->heap[place / 2]);
	put(loop, place, timer);
}

static void sink(struct loop *loop, size_t place)
{
	struct loop_timer *timer = loop->heap[place];
	size_t child;

	for (; (child = 2 * place) <= loop->count; place = child) {
		if (child < loop->count && loop->heap[child + 1]->due_ns < loop->heap[child]->due_ns)
			child++;
		if (loop->heap[child]->due_ns >= timer->due_ns)
			break;
		put(loop, place, loop->heap[child]);
	}
	put(loop, place, timer);
}

void loop_timer_init(struct loop_timer *timer, loop_timer_fn fn, void *ctx)
{
	*timer = (struct loop_timer){ .fn = fn, .ctx = ctx };
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
	size_t place = timer->place;
	struct loop_timer *last;

	if (!place)
		return;
	timer->place = 0;
	last = loop->heap[loop->count--];
	if (last == timer)
		return;
	put(loop, place, last);
	rise(loop, place);
	sink(loop, last->place);
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t at_ns)
{
	loop_timer_cancel(loop, timer);
	if (at_ns == LOOP_NEVER)
		return;
	if (loop->count + 1 >= loop->room) {
		size_t room = loop->room ? 2 * loop->room : 64;
		struct loop_timer **larger = reallocarray(loop->heap, room, sizeof(*larger));

		if (!larger)	/* a lost deadline would be a hang: rather end, and be started again */
			abort();
		loop->heap = larger;
		loop->room = room;
	}
	timer->due_ns = at_ns;
	put(loop, ++loop->count, timer);
	rise(loop, loop->count);
}

void loop_timer_after(struct loop *loop, struct loop_timer *timer, uint64_t after_ns)
{
	loop_timer_set(loop, timer, loop->now_ns + after_ns);
}

uint64_t loop_next(const struct loop *loop)
{
	return loop->count ? loop->heap[1]->due_ns : LOOP_NEVER;
}

/*
 * Timers that a callback sets for now wait for the next turn: one that always does so must not starve
 * the descriptors.
 */
static void run_due(struct loop *loop)
{
	const uint64_t until = loop->now_ns;
	size_t most = loop->count;

	while (most-- && loop->count && loop->heap[1]->due_ns <= until) {
		struct loop_timer *timer = loop->heap[1];

		loop_timer_cancel(loop, timer);
		timer->fn(timer->ctx);
	}
}

static int wait_ms(const struct loop *loop, uint64_t wait_ns)
{
	uint64_t next = loop_next(loop), ms;

	if (next != LOOP_NEVER) {
		uint64_t until = next > loop->now_ns ? next - loop->now_ns : 0;

		if (until < wait_ns)
			wait_ns = until;
	}
	if (wait_ns == LOOP_NEVER)
		return -1;
	ms = (wait_ns + LOOP_MS - 1) / LOOP_MS;
	return ms > 60000 ? 60000 : ms;
}

int loop_turn(struct loop *loop, uint64_t wait_ns)
{
	int n;

	if (loop->is_fake)
		return -ENOTSUP;
	loop->now_ns = clock_boot_ns();
	n = epoll_wait(loop->epoll, loop->events, EVENTS_MAX, wait_ms(loop, wait_ns));
	loop->now_ns = clock_boot_ns();
	if (n < 0 && errno != EINTR)
		return -errno;
	loop->event_count = n < 0 ? 0 : n;
	for (int i = 0; i < loop->event_count; i++) {
		struct loop_fd *handle = loop->events[i].data.ptr;

		if (handle)
			handle->fn(handle->ctx, loop->events[i].events);
	}
	loop->event_count = 0;
	run_due(loop);
	free_deferred(loop);
	return 0;
}

int loop_run(struct loop *loop)
{
	int ret = 0;

	loop->stopping = false;
	while (!loop->stopping && !ret)
		ret = loop_turn(loop, LOOP_NEVER);
	return ret;
}

void loop_stop(struct loop *loop)
{
	loop->stopping = true;
}

void loop_advance(struct loop *loop, uint64_t to_ns)
{
	assert(loop->is_fake);
	while (loop->count && loop->heap[1]->due_ns <= to_ns) {
		struct loop_timer *timer = loop->heap[1];

		if (timer->due_ns > loop->now_ns)
			loop->now_ns = timer->due_ns;
		loop_timer_cancel(loop, timer);
		timer->fn(timer->ctx);
		free_deferred(loop);
	}
	free_deferred(loop);
	if (to_ns > loop->now_ns)
		loop->now_ns = to_ns;
}
