// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The ring of bytes that wait for a socket, beside a plain line of bytes; and how long they have waited.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/send_queue.h"

#define SIZE 1000
#define MS 1000000ULL

static void bytes_come_out_as_they_went_in_however_they_are_cut(void **state)
{
	static uint8_t line[1 << 20];
	struct send_queue q;
	size_t put = 0, got = 0, refused = 0;

	assert_int_equal(send_queue_init(&q, SIZE, 0), 0);
	srand(1);
	while (put + SIZE < sizeof(line)) {
		size_t len = 1 + rand() % 300, front;
		uint8_t *at = send_queue_reserve(&q, len);
		const uint8_t *out;

		refused += !at;
		for (size_t i = 0; at && i < len; i++)
			at[i] = line[put + i] = rand();
		if (at) {
			assert_in_range(at - q.bytes + len, len, SIZE);
			send_queue_commit(&q, len, 0);
			put += len;
		}
		assert_int_equal(send_queue_len(&q), put - got);
		out = send_queue_front(&q, &front);
		if (!out || rand() % 3 == 0)
			continue;
		front = 1 + rand() % front;
		assert_memory_equal(out, line + got, front);
		send_queue_consume(&q, front);
		got += front;
	}
	assert_true(refused > 100);	/* it was full often */
	send_queue_done(&q);
}

static void nothing_is_in_front_of_an_empty_queue(void **state)
{
	struct send_queue q;
	size_t len;

	assert_int_equal(send_queue_init(&q, SIZE, 0), 0);
	assert_null(send_queue_front(&q, &len));
	assert_non_null(send_queue_reserve(&q, SIZE));	/* and all of it is free */
	assert_null(send_queue_reserve(&q, SIZE + 1));
	send_queue_commit(&q, SIZE, 0);
	assert_null(send_queue_reserve(&q, 1));
	send_queue_consume(&q, SIZE);
	assert_null(send_queue_front(&q, &len));
	assert_non_null(send_queue_reserve(&q, SIZE));
	send_queue_done(&q);
}

static void a_piece_that_was_reserved_smaller_than_used_takes_what_was_committed(void **state)
{
	struct send_queue q;
	size_t len;

	assert_int_equal(send_queue_init(&q, SIZE, 0), 0);
	assert_non_null(send_queue_reserve(&q, 500));
	send_queue_commit(&q, 10, 0);
	assert_non_null(send_queue_front(&q, &len));
	assert_int_equal(len, 10);
	send_queue_done(&q);
}

/* Never less than the truth, and at most a mark's distance more. */
static void the_age_is_that_of_the_oldest_byte(void **state)
{
	static uint64_t born[1 << 16];
	struct send_queue q;
	size_t put = 0, got = 0;
	uint64_t now = 5 * MS;

	assert_int_equal(send_queue_init(&q, SIZE, 0), 0);
	srand(2);
	assert_int_equal(send_queue_age(&q, now), 0);
	while (put + SIZE < sizeof(born) / sizeof(*born)) {
		uint8_t *at = send_queue_reserve(&q, 7);

		now += rand() % 3 * MS / 2;
		if (at && now - (put > got ? born[got] : now) < 100 * MS) {
			send_queue_commit(&q, 7, now);
			for (int i = 0; i < 7; i++)
				born[put++] = now;
		}
		if (put > got && rand() % 2) {
			size_t front;

			assert_non_null(send_queue_front(&q, &front));
			front = 1 + rand() % (front < 20 ? front : 20);
			send_queue_consume(&q, front);
			got += front;
		}
		if (put == got)
			assert_int_equal(send_queue_age(&q, now), 0);
		else
			assert_in_range(send_queue_age(&q, now), now - born[got],
				now - born[got] + SEND_QUEUE_MARK_NS);
	}
	send_queue_done(&q);
}

static void move(struct send_queue *q, size_t len, uint64_t now)
{
	assert_non_null(send_queue_reserve(q, len));
	send_queue_commit(q, len, now);
	send_queue_consume(q, len);
}

static void the_pace_is_measured_from_stall_to_stall(void **state)
{
	struct send_queue q;
	uint64_t now = 1000 * MS;

	assert_int_equal(send_queue_init(&q, 10 * SIZE, 1000000), 0);
	assert_int_equal(send_queue_worth(&q, 60 * MS), 60000);
	send_queue_emptied(&q, now);				/* no stall: nothing to learn */
	assert_int_equal(send_queue_worth(&q, 60 * MS), 60000);
	assert_non_null(send_queue_reserve(&q, 10));
	send_queue_commit(&q, 10, now);
	send_queue_stalled(&q, now);
	assert_int_equal(send_queue_worth(&q, 60 * MS), 60000);
	for (int i = 0; i < 50; i++) {
		now += 10 * MS;
		move(&q, 500, now);
		send_queue_stalled(&q, now);
	}
	assert_int_equal(send_queue_worth(&q, 60 * MS), 3000);	/* 50 bytes a millisecond */
	now += MS;
	move(&q, 500, now);
	/* too short to tell: counted with what follows */
	send_queue_stalled(&q, now);
	assert_int_equal(send_queue_worth(&q, 60 * MS), 3000);
	now += 9 * MS;
	send_queue_stalled(&q, now);
	assert_int_equal(send_queue_worth(&q, 60 * MS), 3000);
	for (int i = 0; i < 50; i++) {
		now += 100 * MS;
		move(&q, 500, now);
		send_queue_stalled(&q, now);
	}
	assert_in_range(send_queue_worth(&q, 60 * MS), 295, 305);	/* it got slower */
	now += 10 * MS;
	move(&q, 400, now);
	send_queue_emptied(&q, now);				/* and is faster at least by that */
	assert_int_equal(send_queue_worth(&q, 60 * MS), 2400);
	now += 1000 * MS;
	send_queue_stalled(&q, now);
	move(&q, 10, now + 10 * MS);
	send_queue_emptied(&q, now + 10 * MS);			/* or slow by having little to do */
	assert_int_equal(send_queue_worth(&q, 60 * MS), 2400);
	send_queue_done(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_come_out_as_they_went_in_however_they_are_cut),
		cmocka_unit_test(nothing_is_in_front_of_an_empty_queue),
		cmocka_unit_test(a_piece_that_was_reserved_smaller_than_used_takes_what_was_committed),
		cmocka_unit_test(the_age_is_that_of_the_oldest_byte),
		cmocka_unit_test(the_pace_is_measured_from_stall_to_stall),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
