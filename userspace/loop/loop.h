/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One loop: descriptors and deadlines. Whoever has work to do later keeps a struct loop_timer, whoever waits
 * for bytes a struct loop_fd; both live in the owner's own struct and are taken out before that goes away.
 *
 * Times are CLOCK_BOOTTIME in nanoseconds. A loop made by loop_new_fake() has no descriptors and a clock that
 * only loop_advance() moves: with it every timer of the project is tested without waiting. Not thread-safe.
 * Callbacks may add, change and remove anything, themselves included.
 */
#ifndef TALON_LOOP_H
#define TALON_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOOP_NEVER	UINT64_MAX
#define LOOP_MS		1000000ULL
#define LOOP_SECOND	1000000000ULL

struct loop;

/* @events are EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP as they came. */
typedef void (*loop_fd_fn)(void *ctx, uint32_t events);
typedef void (*loop_timer_fn)(void *ctx);

/* Zero is a handle that is not in any loop. */
struct loop_fd {
	loop_fd_fn fn;
	void *ctx;
	int fd;
	uint32_t events;	/* asked for */
	bool is_watched;
};

struct loop_timer {
	loop_timer_fn fn;
	void *ctx;
	uint64_t due_ns;
	size_t place;		/* in the heap, from 1; 0: not set */
};

/* Each returns 0 or a negative errno. */
int loop_new(struct loop **ret_loop);
int loop_new_fake(struct loop **ret_loop, uint64_t now_ns);
/* Timers and descriptors still in it are forgotten, not closed. NULL is allowed. */
void loop_free(struct loop *loop);

/*
 * The time when this turn began; it does not move while callbacks run (call loop_update()
 * where that matters).
 */
uint64_t loop_now(const struct loop *loop);
void loop_update(struct loop *loop);

/* Watches @fd, which the caller keeps and closes after loop_fd_remove(). Returns 0 or a negative errno. */
int loop_fd_add(struct loop *loop, struct loop_fd *handle, int fd, uint32_t events, loop_fd_fn fn, void *ctx);
/* The same events again cost nothing, but for edge-triggered ones, which they arm anew. */
int loop_fd_change(struct loop *loop, struct loop_fd *handle, uint32_t events);
/* No callback comes after this, also none of the turn that is under way. Not watched: nothing happens. */
void loop_fd_remove(struct loop *loop, struct loop_fd *handle);

void loop_timer_init(struct loop_timer *timer, loop_timer_fn fn, void *ctx);
/* Calls timer->fn once at @at_ns or soon after, instead of any time set before; LOOP_NEVER: not at all. */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t at_ns);
/* The same, @after_ns from loop_now(). */
void loop_timer_after(struct loop *loop, struct loop_timer *timer, uint64_t after_ns);
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer);
static inline bool loop_timer_is_set(const struct loop_timer *timer)
{
	return timer->place != 0;
}
/* When the first timer is due, or LOOP_NEVER. */
uint64_t loop_next(const struct loop *loop);

/*
 * Memory that may still be in use further up the stack. A callback that is handed an object may free it:
 * the object stops (no timer, no descriptor, no further callback) at once, and its memory goes when the
 * loop has left all callbacks. The member lives in the object itself, so that nothing has to be allocated
 * to free something.
 */
struct loop_deferred {
	struct loop_deferred *next;
	void (*fn)(void *object);
	void *object;
};

/*
 * Calls @fn(@object) at the end of this turn, of the next one if none is under way, or in loop_free(). Once
 * for each object.
 */
void loop_defer_free(struct loop *loop, struct loop_deferred *deferred, void (*fn)(void *object),
	void *object);

/* Runs until loop_stop(). Returns 0 or a negative errno. */
int loop_run(struct loop *loop);
/* One turn: waits at most @wait_ns (LOOP_NEVER: for ever), then runs what came and what is due. */
int loop_turn(struct loop *loop, uint64_t wait_ns);
void loop_stop(struct loop *loop);

/* Fake loops only: moves the clock to @to_ns and runs, in order, each timer that became due on the way. */
void loop_advance(struct loop *loop, uint64_t to_ns);

#endif
