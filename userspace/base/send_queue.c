// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The ring of bytes on their way to a socket.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/send_queue.h"

#define SECOND_NS	1000000000ULL
#define PACE_NS		5000000ULL	/* shortest time to measure over: sockets make room in lumps */

int send_queue_init(struct send_queue *queue, size_t size, uint64_t pace)
{
	/* an idle connection touches only the first pages: an empty ring starts over at 0 */
	uint8_t *bytes = malloc(size);

	if (!bytes)
		return -ENOMEM;
	*queue = (struct send_queue){ .bytes = bytes, .size = size, .pace = pace };
	return 0;
}

void send_queue_done(struct send_queue *queue)
{
	free(queue->bytes);
	*queue = (struct send_queue){};
}

size_t send_queue_len(const struct send_queue *queue)
{
	return queue->put - queue->got;
}

uint64_t send_queue_age(const struct send_queue *queue, uint64_t now_ns)
{
	uint64_t since;

	if (!queue->mark_count)
		return 0;
	since = queue->marks[queue->mark_first].at_ns;
	return now_ns > since ? now_ns - since : 0;
}

uint8_t *send_queue_reserve(struct send_queue *queue, size_t len)
{
	if (queue->end)	/* never up to head: that would look empty */
		return len < queue->head - queue->tail ? queue->bytes + queue->tail : NULL;
	if (len <= queue->size - queue->tail)
		return queue->bytes + queue->tail;
	if (len >= queue->head)
		return NULL;
	queue->end = queue->tail;
	queue->tail = 0;
	return queue->bytes;
}

static void mark(struct send_queue *queue, uint64_t now_ns)
{
	unsigned last = (queue->mark_first + queue->mark_count - 1) % SEND_QUEUE_MARKS;

	if (queue->mark_count == SEND_QUEUE_MARKS)
		return; /* new bytes will seem older than they are: so long a queue must refuse them anyway */
	if (queue->mark_count && now_ns - queue->marks[last].at_ns < SEND_QUEUE_MARK_NS)
		return;
	last = (queue->mark_first + queue->mark_count++) % SEND_QUEUE_MARKS;
	queue->marks[last].put = queue->put;
	queue->marks[last].at_ns = now_ns;
}

void send_queue_commit(struct send_queue *queue, size_t len, uint64_t now_ns)
{
	mark(queue, now_ns);
	queue->tail += len;
	queue->put += len;
}

const uint8_t *send_queue_front(const struct send_queue *queue, size_t *ret_len)
{
	if (queue->put == queue->got)
		return NULL;
	*ret_len = (queue->end ? queue->end : queue->tail) - queue->head;
	return queue->bytes + queue->head;
}

static void forget_marks(struct send_queue *queue)
{
	while (queue->mark_count > 1 &&
		queue->marks[(queue->mark_first + 1) % SEND_QUEUE_MARKS].put <= queue->got) {
		queue->mark_first = (queue->mark_first + 1) % SEND_QUEUE_MARKS;
		queue->mark_count--;
	}
}

void send_queue_consume(struct send_queue *queue, size_t len)
{
	queue->head += len;
	queue->got += len;
	if (queue->end && queue->head == queue->end)
		queue->head = queue->end = 0;
	if (queue->put == queue->got)
		queue->head = queue->tail = queue->end = queue->mark_count = 0;
	else
		forget_marks(queue);
}

/* Bytes a second since the stall. */
static uint64_t measure(const struct send_queue *queue, uint64_t now_ns)
{
	uint64_t ns = now_ns > queue->stall_ns ? now_ns - queue->stall_ns : 0;

	return (queue->got - queue->stall_got) * SECOND_NS / (ns < PACE_NS ? PACE_NS : ns);
}

void send_queue_stalled(struct send_queue *queue, uint64_t now_ns)
{
	if (queue->stall_ns && now_ns - queue->stall_ns < PACE_NS)
		return;
	if (queue->stall_ns)
		queue->pace = (queue->pace + measure(queue, now_ns)) / 2;
	queue->stall_ns = now_ns;
	queue->stall_got = queue->got;
}

/* The socket may take more than we measured, so the pace only rises here. */
void send_queue_emptied(struct send_queue *queue, uint64_t now_ns)
{
	uint64_t pace;

	if (!queue->stall_ns)
		return;
	pace = measure(queue, now_ns);
	if (pace > queue->pace)
		queue->pace = pace;
	queue->stall_ns = 0;
}

size_t send_queue_worth(const struct send_queue *queue, uint64_t ns)
{
	return queue->pace * (ns / 1000) / (SECOND_NS / 1000);
}
