// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// How a peer is reached, cell by cell: what each event does in each state, written down a second time; and
// silence on a direct path.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "peers/link.h"
#include "peers/silence.h"

#define MS 1000000ULL

/* "-": ignored, "!": cannot occur; else the state after it and what is done. */
static const struct row {
	enum link_event event;
	/* idle, asleep, searching, relayed, direct without relay, direct, suspect */
	const char *cell[LINK_STATES];
} rows[] = {
	{ LINK_EV_OPENED, { "searching: open", "-", "-", "-", "-", "-", "-" } },
	{ LINK_EV_CLOSED, { "-", "-", "idle: close", "idle: close", "idle: close", "idle: close",
		"idle: close" } },
	{ LINK_EV_DEPARTED, { "-", "-", "idle: close, packets go where they went",
		"idle: close, packets go where they went", "idle: close, packets go where they went",
		"idle: close, packets go where they went", "idle: close, packets go where they went" } },
	{ LINK_EV_WANTED, { "searching: open", "searching: open", "-", "-", "-", "-", "-" } },
	{ LINK_EV_OFFER, { "searching: open and exchange", "searching: open and exchange",
		"searching: exchange", "relayed: exchange", "direct without relay: exchange",
		"direct: exchange", "suspect: exchange" } },
	{ LINK_EV_ANSWER, { "searching: open and exchange", "searching: open and exchange",
		"searching: exchange", "relayed: exchange", "direct without relay: exchange",
		"direct: exchange", "suspect: exchange" } },
	{ LINK_EV_CANDIDATE, { "searching: open and keep the candidate",
		"searching: open and keep the candidate", "searching: take the candidate",
		"relayed: take the candidate", "direct without relay: take the candidate",
		"direct: take the candidate", "suspect: take the candidate" } },
	{ LINK_EV_GO_IDLE, { "asleep: close and forget the sessions", "asleep: close and forget the sessions",
		"asleep: close and forget the sessions", "asleep: close and forget the sessions",
		"asleep: close and forget the sessions", "asleep: close and forget the sessions",
		"asleep: close and forget the sessions" } },
	{ LINK_EV_NEW_SESSION, { "!", "!", "searching: end the ICE attempt", "relayed: end the ICE attempt",
		"searching: end the pair, keep its address",
		"relayed: fall back to the relay, handshake",
		"relayed: fall back to the relay, handshake" } },
	{ LINK_EV_RELAY_READY, { "!", "!", "relayed: use the relay", "!", "direct: let the relay stand by",
		"!", "!" } },
	{ LINK_EV_RELAY_CLOSED, { "!", "!", "searching: end the relay attempt", "searching: lose the relay",
		"direct without relay: end the relay attempt",
		"direct without relay: go on without relay", "direct without relay: stay with the pair" } },
	{ LINK_EV_PAIR_SELECTED, { "!", "!", "direct without relay: use the pair", "direct: use the pair",
		"!", "!", "!" } },
	{ LINK_EV_PAIR_LOST, { "!", "!", "searching: end the ICE attempt", "relayed: end the ICE attempt",
		"searching: lose the pair",
		"relayed: fall back to the relay", "relayed: fall back to the relay" } },
	{ LINK_EV_PAIR_BARRED, { "!", "!", "searching: end the ICE attempt", "relayed: end the ICE attempt",
		"searching: leave the pair",
		"relayed: leave the pair for the relay", "relayed: leave the pair for the relay" } },
	{ LINK_EV_SILENCE, { "!", "!", "!", "!", "-", "suspect: take the relay meanwhile", "!" } },
	{ LINK_EV_FOLLOW, { "!", "!", "!", "!", "-", "suspect: take the relay meanwhile", "!" } },
	{ LINK_EV_PROVEN, { "!", "!", "!", "!", "!", "!", "direct: return to the pair" } },
	{ LINK_EV_UNPROVEN, { "!", "!", "!", "!", "!", "!", "relayed: give the pair up" } },
	{ LINK_EV_HANDSHAKE, { "-", "-", "searching: note it", "relayed: note it",
		"direct without relay: note it", "direct: note it", "suspect: note it" } },
	{ LINK_EV_WATCH_EXPIRED, { "!", "!", "!", "searching: drop the relay", "searching: drop the pair",
		"relayed: drop the pair, use the relay",
		"relayed: drop the pair, use the relay" } },
};

static void describe(enum link_state state, struct link_move move, char *text, size_t size)
{
	if (move.action == LINK_DO_NOTHING || move.action == LINK_DO_COMPLAIN) {
		assert_int_equal(move.to, state);
		snprintf(text, size, "%s", move.action == LINK_DO_NOTHING ? "-" : "!");
		return;
	}
	snprintf(text, size, "%s: %s", link_state_name(move.to), link_action_name(move.action));
}

static void every_cell_is_as_written_down(void **state)
{
	unsigned cells = 0;

	assert_int_equal(sizeof(rows) / sizeof(rows[0]), LINK_EVENTS);
	for (size_t i = 0; i < LINK_EVENTS; i++) {
		assert_int_equal(rows[i].event, i);
		for (enum link_state from = 0; from < LINK_STATES; from++, cells++) {
			char text[120];

			describe(from, link_step(from, i), text, sizeof(text));
			if (strcmp(text, rows[i].cell[from]))
				fail_msg("%s while %s: \"%s\", not \"%s\"", link_event_name(i),
					link_state_name(from), text, rows[i].cell[from]);
		}
	}
	assert_int_equal(cells, LINK_EVENTS * LINK_STATES);
}

static void everything_has_a_name_of_its_own(void **state)
{
	for (int i = 0; i < LINK_STATES; i++)
		assert_string_not_equal(link_state_name(i), "?");
	for (int i = 0; i < LINK_EVENTS; i++)
		assert_string_not_equal(link_event_name(i), "?");
	for (int i = 0; i < LINK_ACTIONS; i++) {
		assert_string_not_equal(link_action_name(i), "?");
		for (int j = 0; j < i; j++)
			assert_string_not_equal(link_action_name(i), link_action_name(j));
	}
	assert_string_equal(link_state_name(LINK_STATES), "?");
	assert_string_equal(link_event_name(-1), "?");
	assert_string_equal(link_action_name(LINK_ACTIONS), "?");
}

static void every_action_is_used_and_every_state_can_be_reached_and_left(void **state)
{
	bool used[LINK_ACTIONS] = { false }, reached[LINK_STATES] = { [LINK_IDLE] = true };

	for (int round = 0; round < LINK_STATES; round++) {
		for (int s = 0; s < LINK_STATES; s++) {
			for (int e = 0; reached[s] && e < LINK_EVENTS; e++) {
				struct link_move move = link_step(s, e);

				used[move.action] = true;
				reached[move.to] = true;
			}
		}
	}
	for (int i = 0; i < LINK_ACTIONS; i++)
		assert_true(used[i]);
	for (int s = 0; s < LINK_STATES; s++) {
		assert_true(reached[s]);
		if (s != LINK_IDLE && s != LINK_ASLEEP)
			assert_int_equal(link_step(s, LINK_EV_CLOSED).to, LINK_IDLE);
	}
}

/* Which of relay and pair stand is part of the state: followed by hand through every cell of the table. */
static void states_agree_with_what_stands(void **state)
{
	static const struct { bool relay, pair; } stands[LINK_STATES] = {
		[LINK_RELAYED] = { true, false }, [LINK_ALONE] = { false, true },
		[LINK_DIRECT] = { true, true }, [LINK_SUSPECT] = { true, true },
	};

	for (int s = 0; s < LINK_STATES; s++) {
		assert_int_equal(link_has_relay(s), stands[s].relay);
		assert_int_equal(link_has_pair(s), stands[s].pair);
		for (int e = 0; e < LINK_EVENTS; e++) {
			struct link_move move = link_step(s, e);
			bool relay = stands[s].relay, pair = stands[s].pair;

			if (move.action == LINK_DO_NOTHING || move.action == LINK_DO_COMPLAIN)
				continue;
			if (e == LINK_EV_RELAY_READY)
				relay = true;
			if (e == LINK_EV_RELAY_CLOSED || move.action == LINK_DO_DROP_RELAY)
				relay = false;
			if (e == LINK_EV_PAIR_SELECTED)
				pair = true;
			if (e == LINK_EV_PAIR_LOST || e == LINK_EV_NEW_SESSION || e == LINK_EV_UNPROVEN ||
				e == LINK_EV_PAIR_BARRED ||
				move.action == LINK_DO_DROP_PAIR || move.action == LINK_DO_DROP_PAIR_ALONE)
				pair = false;
			if (e == LINK_EV_CLOSED || e == LINK_EV_DEPARTED || e == LINK_EV_GO_IDLE)
				relay = pair = false;
			assert_int_equal(stands[move.to].relay, relay);
			assert_int_equal(stands[move.to].pair, pair);
		}
	}
}

/* Every cell again: two questions make the four states, and each event answers one of them. */
static void an_old_path_is_told_and_left_independently(void **state)
{
	for (int path = 0; path < LINK_OLD_PATHS; path++) {
		const bool carries = link_old_carries(path), is_hidden = link_old_is_hidden(path);

		for (int event = 0; event < LINK_OLD_EVENTS; event++) {
			enum link_old_path after = link_old_step(path, event);

			if (event == LINK_OLD_EV_KEEP && is_hidden) {
				assert_int_equal(after, LINK_OLD_PATHS);
				continue;
			}
			assert_true(after < LINK_OLD_PATHS);
			assert_int_equal(link_old_carries(after), event == LINK_OLD_EV_KEEP ||
				(carries && event != LINK_OLD_EV_LEAVE));
			assert_int_equal(link_old_is_hidden(after), is_hidden && event != LINK_OLD_EV_TELL);
		}
	}
	assert_false(link_old_carries(LINK_OLD_NONE) || link_old_is_hidden(LINK_OLD_NONE));
	assert_true(link_old_carries(LINK_OLD_HIDDEN) && link_old_is_hidden(LINK_OLD_HIDDEN));
	assert_true(link_old_carries(LINK_OLD_TOLD) && !link_old_is_hidden(LINK_OLD_TOLD));
	assert_true(!link_old_carries(LINK_OLD_LEFT) && link_old_is_hidden(LINK_OLD_LEFT));
}

/* --- silence --- */

/*
 * A path with traffic each millisecond and looks each @look; until @cut everything is answered. Returns when
 * it is found lost; 0: not by @end.
 */
static uint64_t run(uint64_t look, uint64_t cut, uint64_t end, bool checks_answered, uint64_t rtt)
{
	struct silence silence = { 0 };
	struct silence_facts facts = { .rtt_ns = rtt };

	silence_begin(&silence, 1, true);
	for (uint64_t now = 1; now <= end; now += MS) {
		facts.now_ns = facts.tx_data_ns = now;
		/* the empty message that is owed */
		if (now <= cut || (checks_answered && (now - cut) % (10000 * MS) == 1))
			facts.rx_direct_ns = now;
		if (now % look > 1 && !(silence_is_near(&silence) && now % (100 * MS) == 1))
			continue;
		switch (silence_judge(&silence, &facts)) {
		case SILENCE_NONE:
			break;
		case SILENCE_CHECK:
			if (checks_answered)
				facts.answered_ns = now + rtt;
			break;
		case SILENCE_LOST:
			return now;
		case SILENCE_FOLLOW:
			fail();
		}
	}
	return 0;
}

static void a_cut_path_is_lost_within_a_second_and_a_third(void **state)
{
	uint64_t worst = 0;

	for (uint64_t cut = 3000; cut < 3600; cut += 7) {
		uint64_t lost = run(250 * MS, cut * MS, 10000 * MS, false, 20 * MS);

		assert_true(lost >= (cut + 750) * MS);
		if (lost - cut * MS > worst)
			worst = lost - cut * MS;
	}
	print_message("cut noticed after %llu ms at worst\n", (unsigned long long)(worst / MS));
	assert_true(worst <= 1350 * MS);
}

static void a_stream_without_replies_is_not_lost_while_checks_are_answered(void **state)
{
	assert_int_equal(run(250 * MS, 2000 * MS, 120000 * MS, true, 20 * MS), 0);
	assert_int_equal(run(250 * MS, 2000 * MS, 120000 * MS, true, 300 * MS), 0);
}

static void a_slow_path_gets_its_round_trip_on_top_but_not_for_ever(void **state)
{
	uint64_t lost = run(250 * MS, 3000 * MS, 20000 * MS, false, 600 * MS);

	assert_in_range((lost - 3000 * MS) / MS, 1500, 1950);
	lost = run(250 * MS, 3000 * MS, 20000 * MS, false, 3600000 * MS);
	assert_in_range((lost - 3000 * MS) / MS, 1900, 2350);
}

static void a_pause_costs_one_check_and_rest_nothing(void **state)
{
	for (int last = 0; last < 2; last++) {
		struct silence silence = { 0 };
		struct silence_facts facts = { .tx_data_ns = (last ? 1000 : 900) * MS,
			.rx_data_ns = 1000 * MS, .rx_direct_ns = 1000 * MS };
		unsigned checks = 0;

		silence_begin(&silence, 500 * MS, true);
		for (facts.now_ns = 1000 * MS; facts.now_ns < 600000 * MS; facts.now_ns += 250 * MS) {
			enum silence_verdict verdict = silence_judge(&silence, &facts);

			assert_true(verdict == SILENCE_NONE || verdict == SILENCE_CHECK);
			if (verdict == SILENCE_CHECK) {
				facts.answered_ns = facts.now_ns + 10 * MS;
				checks++;
			}
		}
		assert_int_equal(checks, 1);
	}
}

static void what_stops_coming_is_missed_too(void **state)
{
	struct silence silence = { 0 };
	struct silence_facts facts = { .rx_data_ns = 1000 * MS, .rx_direct_ns = 1000 * MS };

	silence_begin(&silence, 500 * MS, true);
	for (facts.now_ns = 1000 * MS; silence_judge(&silence, &facts) != SILENCE_LOST;
		facts.now_ns += 100 * MS)
		assert_true(facts.now_ns < 2200 * MS);
	assert_true(facts.now_ns >= 2000 * MS);
}

static void a_packet_after_a_long_rest_gets_its_second(void **state)
{
	struct silence silence = { 0 };
	struct silence_facts facts = { .rx_direct_ns = 1000 * MS };

	silence_begin(&silence, 500 * MS, true);
	for (facts.now_ns = 1000 * MS; facts.now_ns <= 60000 * MS; facts.now_ns += 1000 * MS)
		assert_int_equal(silence_judge(&silence, &facts), SILENCE_NONE);
	facts.tx_data_ns = 60900 * MS;
	facts.now_ns = 61000 * MS;
	/* sent at any time since the last look */
	assert_int_equal(silence_judge(&silence, &facts), SILENCE_CHECK);
	facts.now_ns = 61300 * MS;
	assert_int_equal(silence_judge(&silence, &facts), SILENCE_NONE);
	facts.answered_ns = 61310 * MS;
	facts.now_ns = 61400 * MS;
	assert_int_equal(silence_judge(&silence, &facts), SILENCE_NONE);
	assert_false(silence_is_near(&silence));
}

static void the_other_side_is_followed_once_it_knows_the_pair(void **state)
{
	struct silence silence = { 0 };
	struct silence_facts facts = { .now_ns = 1000 * MS, .rx_relay_ns = 990 * MS };

	/* just selected: it may go on by relay for 5 s */
	silence_begin(&silence, 1000 * MS, true);
	for (; facts.now_ns <= 7000 * MS; facts.now_ns += 250 * MS) {
		assert_int_equal(silence_judge(&silence, &facts), SILENCE_NONE);
		facts.rx_relay_ns = facts.now_ns;
	}
	/* but not for ever */
	facts.now_ns = 7250 * MS;
	assert_int_equal(silence_judge(&silence, &facts), SILENCE_FOLLOW);

	/* one that had come over is followed after half a second, whatever its checks say */
	silence_begin(&silence, 10000 * MS, true);
	facts.rx_direct_ns = 11000 * MS;
	facts.rx_relay_ns = 11400 * MS;
	facts.answered_ns = facts.now_ns = 11400 * MS;
	assert_int_equal(silence_judge(&silence, &facts), SILENCE_NONE);
	facts.rx_relay_ns = 11510 * MS;
	facts.answered_ns = facts.now_ns = 11520 * MS;
	assert_int_equal(silence_judge(&silence, &facts), SILENCE_FOLLOW);

	/* sooner when nothing of before can be under way */
	facts.rx_direct_ns = 14000 * MS;
	facts.rx_relay_ns = 14140 * MS;
	facts.answered_ns = facts.now_ns = 14150 * MS;
	assert_int_equal(silence_judge(&silence, &facts), SILENCE_NONE);
	facts.rx_relay_ns = facts.now_ns = 14160 * MS;
	assert_int_equal(silence_judge(&silence, &facts), SILENCE_FOLLOW);

	/* and not again for what was still on its way when we returned */
	silence_begin(&silence, 15000 * MS, false);
	facts.rx_relay_ns = facts.now_ns = 15300 * MS;
	assert_int_equal(silence_judge(&silence, &facts), SILENCE_NONE);
	facts.rx_relay_ns = facts.now_ns = 15510 * MS;
	assert_int_equal(silence_judge(&silence, &facts), SILENCE_FOLLOW);
}

static void a_pair_is_proven_by_what_came_after_the_turn(void **state)
{
	struct silence_facts facts = { .now_ns = 5100 * MS, .rx_direct_ns = 4000 * MS,
		.answered_ns = 5000 * MS };
	const struct silence silence = { 0 };

	assert_int_equal(silence_prove(&silence, 5000 * MS, &facts), SILENCE_WAIT);
	facts.answered_ns++;
	assert_int_equal(silence_prove(&silence, 5000 * MS, &facts), SILENCE_PROVEN);
	facts.answered_ns = 0;
	facts.rx_direct_ns = 5050 * MS;		/* that way only */
	assert_int_equal(silence_prove(&silence, 5000 * MS, &facts), SILENCE_WAIT);
	facts.now_ns = 5599 * MS;
	assert_int_equal(silence_prove(&silence, 5000 * MS, &facts), SILENCE_WAIT);
	facts.now_ns = 5600 * MS;
	assert_int_equal(silence_prove(&silence, 5000 * MS, &facts), SILENCE_UNPROVEN);
	facts.rtt_ns = 200 * MS;
	assert_int_equal(silence_prove(&silence, 5000 * MS, &facts), SILENCE_WAIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cell_is_as_written_down),
		cmocka_unit_test(everything_has_a_name_of_its_own),
		cmocka_unit_test(every_action_is_used_and_every_state_can_be_reached_and_left),
		cmocka_unit_test(states_agree_with_what_stands),
		cmocka_unit_test(an_old_path_is_told_and_left_independently),
		cmocka_unit_test(a_cut_path_is_lost_within_a_second_and_a_third),
		cmocka_unit_test(a_stream_without_replies_is_not_lost_while_checks_are_answered),
		cmocka_unit_test(a_slow_path_gets_its_round_trip_on_top_but_not_for_ever),
		cmocka_unit_test(a_pause_costs_one_check_and_rest_nothing),
		cmocka_unit_test(what_stops_coming_is_missed_too),
		cmocka_unit_test(a_packet_after_a_long_rest_gets_its_second),
		cmocka_unit_test(the_other_side_is_followed_once_it_knows_the_pair),
		cmocka_unit_test(a_pair_is_proven_by_what_came_after_the_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
