/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Bytes on their way to a socket: a ring in which every piece lies in one part, so that it is built where it
 * is sent from. Knows how long the oldest byte has been waiting, and how fast bytes go when the socket is the
 * bottleneck: a queue of packets must be short in time, whatever the link's speed.
 */
#ifndef TALON_SEND_QUEUE_H
#define TALON_SEND_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#define SEND_QUEUE_MARKS	32
#define SEND_QUEUE_MARK_NS	4000000ULL	/* how exactly waiting is known: to this, upwards */

/* Filled is [head, tail), or after wrapping [head, end) and then [0, tail). */
struct send_queue {
	uint8_t *bytes;
	size_t size;
	size_t head;
	size_t tail;
	size_t end;			/* 0: not wrapped */
	uint64_t put;			/* bytes ever */
	uint64_t got;
	/* a ring: from byte number put on, bytes came at at_ns or later */
	struct { uint64_t put, at_ns; } marks[SEND_QUEUE_MARKS];
	unsigned mark_first;
	unsigned mark_count;
	uint64_t pace;			/* bytes a second that the socket took while more waited */
	uint64_t stall_ns;		/* since when it takes no more; 0: it does */
	uint64_t stall_got;		/* how many it had taken then */
};

/* @pace is believed until it is measured. Returns 0 or -ENOMEM. */
int send_queue_init(struct send_queue *queue, size_t size, uint64_t pace);
/* Zeroed memory is done already. */
void send_queue_done(struct send_queue *queue);

size_t send_queue_len(const struct send_queue *queue);
/* How long the oldest byte has been waiting; 0 when there is none. */
uint64_t send_queue_age(const struct send_queue *queue, uint64_t now_ns);

/*
 * Room for @len bytes in one part, or NULL. They count from send_queue_commit() on, which takes
 * at most as many.
 */
uint8_t *send_queue_reserve(struct send_queue *queue, size_t len);
void send_queue_commit(struct send_queue *queue, size_t len, uint64_t now_ns);

/* The oldest bytes, as many as lie in one part; NULL when there are none. */
const uint8_t *send_queue_front(const struct send_queue *queue, size_t *ret_len);
void send_queue_consume(struct send_queue *queue, size_t len);

/*
 * The socket took less than it was offered (and again, when it had room for a while and is full once more);
 * it took all. Between the two the pace is measured.
 */
void send_queue_stalled(struct send_queue *queue, uint64_t now_ns);
void send_queue_emptied(struct send_queue *queue, uint64_t now_ns);
/* How many bytes go out in @ns at that pace. */
size_t send_queue_worth(const struct send_queue *queue, uint64_t ns);

#endif
