// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A pair that answers checks and carries no packets: it is as good as lost, until packets come by it again.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "peers/silence.h"

#define MS	1000000ULL
#define S	(1000 * MS)
#define LOOK	(250 * MS)

struct path {
	struct silence silence;
	struct silence_facts facts;
	bool sends;			/* packets of ours between any two looks */
	bool answers;			/* at once */
	uint64_t owed_ns;		/* empty messages at this interval instead; 0: none */
};

static void begin(struct path *path)
{
	*path = (struct path){ .facts.now_ns = 1000 * S };
	silence_begin(&path->silence, path->facts.now_ns, true);
}

/* The next look. Checks are always answered. */
static enum silence_verdict look(struct path *path)
{
	struct silence_facts *f = &path->facts;

	f->now_ns += LOOK;
	f->answered_ns = f->now_ns - MS;
	if (path->sends)
		f->tx_data_ns = f->now_ns - 3 * MS;
	if (path->answers || (path->owed_ns && f->now_ns - f->rx_direct_ns >= path->owed_ns))
		f->rx_direct_ns = f->now_ns - 2 * MS;
	return silence_judge(&path->silence, f);
}

/* When it is lost, or 0 where it is not within @limit_ns. */
static uint64_t lost_after(struct path *path, uint64_t limit_ns)
{
	const uint64_t began_ns = path->facts.now_ns;

	while (path->facts.now_ns - began_ns < limit_ns) {
		if (look(path) == SILENCE_LOST)
			return path->facts.now_ns - began_ns;
	}
	return 0;
}

static void a_pair_that_answers_checks_only_is_lost(void **state)
{
	struct path path;

	begin(&path);
	path.sends = true;
	assert_in_range(lost_after(&path, 60 * S) / MS, 12000, 13500);
	assert_true(path.silence.is_mute);
}

static void one_that_carried_and_no_longer_does_is_lost_too(void **state)
{
	struct path path;

	begin(&path);
	path.sends = path.answers = true;
	assert_int_equal(lost_after(&path, 60 * S), 0);
	path.answers = false;
	assert_in_range(lost_after(&path, 60 * S) / MS, 12000, 13500);
}

/* The receiver of a stream sends an empty message each 10 s. */
static void a_stream_one_way_is_not(void **state)
{
	struct path path;

	begin(&path);
	path.sends = true;
	path.owed_ns = 10 * S + 200 * MS;
	path.facts.rx_direct_ns = path.facts.now_ns;
	assert_int_equal(lost_after(&path, 3600 * S), 0);
}

/* What was lost on its way obliges nobody. */
static void a_last_packet_or_two_without_answer_is_no_fault(void **state)
{
	struct path path;

	begin(&path);
	path.sends = path.answers = true;
	look(&path);
	path.answers = false;
	for (int i = 0; i < SILENCE_MUTE_LOOKS - 1; i++)
		look(&path);
	path.sends = false;
	assert_int_equal(lost_after(&path, 3600 * S), 0);
}

static void a_pair_without_traffic_is_not(void **state)
{
	struct path path;

	begin(&path);
	assert_int_equal(lost_after(&path, 3600 * S), 0);
}

/* Looks while the relay carries, until the pair is taken again. */
static uint64_t returned_after(struct path *path)
{
	const uint64_t turned_ns = path->facts.now_ns;
	enum silence_proof proof;

	do {
		path->facts.now_ns += LOOK;
		path->facts.answered_ns = path->facts.now_ns;
		proof = silence_prove(&path->silence, turned_ns, &path->facts);
		assert_int_not_equal(proof, SILENCE_UNPROVEN);
	} while (proof == SILENCE_WAIT);
	silence_begin(&path->silence, path->facts.now_ns, false);
	return path->facts.now_ns - turned_ns;
}

static void checks_do_not_bring_it_back_and_trials_get_rare(void **state)
{
	static const uint64_t minutes[] = { 1, 2, 4, 8, 16, 16, 16 };
	struct path path;

	begin(&path);
	path.sends = true;
	for (size_t i = 0; i < sizeof(minutes) / sizeof(minutes[0]); i++) {
		uint64_t lost = lost_after(&path, 60 * S);

		/* a trial is short */
		assert_in_range(lost / MS, i ? 3000 : 12000, i ? 4500 : 13500);
		assert_int_equal(returned_after(&path) / (60 * S), minutes[i]);
	}
	/* one that carries again is a good one, and gets its time when it fails */
	path.answers = true;
	assert_int_equal(lost_after(&path, 60 * S), 0);
	path.answers = false;
	assert_in_range(lost_after(&path, 60 * S) / MS, 12000, 13500);
	assert_int_equal(returned_after(&path) / (60 * S), 1);
}

static void a_packet_that_comes_by_it_brings_it_back_but_no_straggler(void **state)
{
	struct path path;
	uint64_t turned_ns;

	begin(&path);
	path.sends = true;
	assert_int_not_equal(lost_after(&path, 60 * S), 0);
	turned_ns = path.facts.now_ns;
	path.facts.answered_ns = path.facts.now_ns = turned_ns + 5 * S;
	path.facts.rx_direct_ns = turned_ns + 100 * MS;
	assert_int_equal(silence_prove(&path.silence, turned_ns, &path.facts), SILENCE_WAIT);
	path.facts.rx_direct_ns = turned_ns + 4 * S;
	assert_int_equal(silence_prove(&path.silence, turned_ns, &path.facts), SILENCE_PROVEN);
}

static void another_pair_begins_without_a_past(void **state)
{
	struct path path;

	begin(&path);
	path.sends = true;
	assert_int_not_equal(lost_after(&path, 60 * S), 0);
	silence_begin(&path.silence, path.facts.now_ns, true);
	assert_false(path.silence.is_mute);
	assert_in_range(lost_after(&path, 60 * S) / MS, 12000, 13500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pair_that_answers_checks_only_is_lost),
		cmocka_unit_test(one_that_carried_and_no_longer_does_is_lost_too),
		cmocka_unit_test(a_stream_one_way_is_not),
		cmocka_unit_test(a_last_packet_or_two_without_answer_is_no_fault),
		cmocka_unit_test(a_pair_without_traffic_is_not),
		cmocka_unit_test(checks_do_not_bring_it_back_and_trials_get_rare),
		cmocka_unit_test(a_packet_that_comes_by_it_brings_it_back_but_no_straggler),
		cmocka_unit_test(another_pair_begins_without_a_past),
	};

	return cmocka_run_group_tests_name("mute pairs", tests, NULL, NULL);
}
