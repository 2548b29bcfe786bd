// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Peers find each other: two of ours, and one of ours with a peer that does what a stock client is
// documented to do.
#include "unit/peers_world.h"

#include <malloc.h>
#include <time.h>

#include "peers/internal.h"

#define A 0
#define B 1	/* controls: its key's text is the greater */

static struct world *pair_of_ours(void)
{
	struct world *w = world_new(2);

	node_start(&w->node[A]);
	node_start(&w->node[B]);
	return w;
}

static struct world *ours_and_stock(int ours)
{
	struct world *w = world_new(2);

	node_start(&w->node[ours]);
	stock_start(&w->node[!ours], ours);
	return w;
}

static void expect_way(struct world *w, int node, enum plane_way way)
{
	struct peer_info info = info_of(w, node, !node);

	assert_int_equal(info.way, way);
	assert_int_equal(info.status, way == PLANE_NOWHERE ? PEER_CONNECTING : PEER_CONNECTED);
	assert_int_equal(peers_count_connected(w->node[node].peers), way != PLANE_NOWHERE);
}

struct told { unsigned calls; uint32_t id; uint64_t latency_ns; };

static void told(void *ctx, uint32_t id, uint64_t latency_ns)
{
	struct told *told = ctx;

	told->calls++;
	told->id = id;
	told->latency_ns = latency_ns;
}

static void expect_latency(struct world *w, int node, uint64_t latency_ns)
{
	struct told seen = {};

	peers_each_latency(w->node[node].peers, told, &seen);
	assert_int_equal(seen.calls, 1);
	assert_int_equal(seen.id, info_of(w, node, !node).id);
	assert_int_equal(seen.latency_ns, latency_ns);
}

/* --- finding each other --- */

static void two_of_ours_meet_by_relay_and_then_directly(void **state)
{
	struct world *w = pair_of_ours();
	struct peer_info info;

	advance(w, 200 * MS);
	expect_way(w, A, PLANE_RELAY);
	expect_way(w, B, PLANE_RELAY);
	expect_latency(w, A, 0);
	assert_true(w->node[A].plane[B].session);
	assert_int_equal(w->node[A].plane[B].session, w->node[B].plane[A].session);
	advance(w, 2 * SEC);
	expect_way(w, A, PLANE_DIRECT);
	expect_latency(w, A, 10 * MS);
	expect_way(w, B, PLANE_DIRECT);
	info = info_of(w, A, B);
	assert_true(info.has_relay);
	assert_string_equal(info.relay, "rels://relay0.test:443");
	assert_int_equal(info.latency_ns, 10 * MS);
	assert_int_not_equal(info.changed_unix_ns, 0);
	/* one exchange each way at most, and nothing more while all is well */
	advance(w, 600 * SEC);
	assert_in_range(w->node[A].sent[SIGNAL_OFFER] + w->node[B].sent[SIGNAL_OFFER], 1, 2);
	expect_way(w, A, PLANE_DIRECT);
	assert_int_equal(w->node[A].changes + w->node[B].changes, 6);	/* connecting, relayed, direct */
	world_free(w);
}

static void relay_only_works_in_both_roles(void **state)
{
	for (int ours = A; ours <= B; ours++) {
		for (int kind = 0; kind < 2; kind++) {
			struct world *w = world_new(2);

			w->no_ice = true;
			cut(w, A, B, true, true);
			node_start(&w->node[ours]);
			if (kind)
				node_start(&w->node[!ours]);
			else
				stock_start(&w->node[!ours], ours);
			advance(w, 300 * MS);
			expect_way(w, ours, PLANE_RELAY);
			traffic(w, ours, !ours, 120 * SEC, 100 * MS, true);
			expect_way(w, ours, PLANE_RELAY);
			assert_in_range(w->node[!ours].plane[ours].received, 1180, 1200);
			assert_in_range(w->node[ours].plane[!ours].received, 1180, 1200);
			assert_int_equal(w->node[!ours].stock.watch_kills, 0);
			world_free(w);
		}
	}
}

static void an_upgrade_to_the_direct_way_loses_nothing_in_both_roles(void **state)
{
	for (int ours = A; ours <= B; ours++) {
		for (int kind = 0; kind < 2; kind++) {
			struct world *w = kind ? pair_of_ours() : ours_and_stock(ours);

			advance(w, 250 * MS);
			gaps_clear(w);
			traffic(w, ours, !ours, 10 * SEC, 10 * MS, true);
			advance(w, SEC);
			expect_way(w, ours, PLANE_DIRECT);
			assert_int_equal(w->node[!ours].plane[ours].way, PLANE_DIRECT);
			assert_int_equal(w->node[!ours].plane[ours].received, 1000);
			assert_int_equal(w->node[ours].plane[!ours].received, 1000);
			assert_int_equal(w->node[ours].plane[!ours].ways_set, 1);
			assert_true(w->node[ours].plane[!ours].gap_ns <= 60 * MS);
			world_free(w);
		}
	}
}

static void a_stock_peer_that_does_not_control_hears_us_at_once_on_the_new_way(void **state)
{
	struct world *w = ours_and_stock(B);

	for (int i = 0; i < 400 && w->node[B].plane[A].way != PLANE_DIRECT; i++)
		advance(w, 10 * MS);
	advance(w, 10 * MS);
	assert_int_equal(w->node[A].plane[B].way, PLANE_DIRECT);	/* not after its 5 s */
	world_free(w);
}

static void without_any_relay_the_pair_alone_connects(void **state)
{
	for (int ours = A; ours <= B; ours++) {
		struct world *w = world_new(2);

		w->node[A].home = w->node[B].home = -1;
		node_start(&w->node[ours]);
		stock_start(&w->node[!ours], ours);
		advance(w, 8 * SEC);
		expect_way(w, ours, PLANE_DIRECT);
		assert_false(info_of(w, ours, !ours).has_relay);
		assert_true(w->node[ours].plane[!ours].session);
		advance(w, 120 * SEC);
		expect_way(w, ours, PLANE_DIRECT);
		assert_int_equal(w->node[!ours].stock.watch_kills, 0);
		world_free(w);
	}
}

/* A process that is away for long answers no checks; its datapath goes on. */
static void a_pair_that_is_lost_while_packets_come_keeps_its_address(void **state)
{
	for (int heard = 0; heard < 2; heard++) {
		struct world *w = world_new(2);
		struct plane *plane = &w->node[A].plane[B];

		w->node[A].home = w->node[B].home = -1;
		node_start(&w->node[A]);
		stock_start(&w->node[B], A);
		advance(w, 8 * SEC);
		expect_way(w, A, PLANE_DIRECT);
		w->no_ice = true;
		for (int i = 0; i < 10; i++) {
			plane->facts.rx_direct_ns = heard ? now_of(w) : 0;
			advance(w, SEC);
		}
		assert_int_equal(plane->way, heard ? PLANE_DIRECT : PLANE_NOWHERE);
		w->no_ice = false;
		advance(w, 60 * SEC);
		expect_way(w, A, PLANE_DIRECT);
		world_free(w);
	}
}

static void forced_to_the_relay_no_ice_is_tried(void **state)
{
	struct world *w = world_new(2);

	node_start_with(&w->node[A], true, &world_ops);
	node_map(&w->node[A], "0.66.4", false);
	stock_start(&w->node[B], A);
	advance(w, 60 * SEC);
	expect_way(w, A, PLANE_RELAY);
	for (struct ice_agent *agent = w->agents; agent; agent = agent->next)
		assert_ptr_not_equal(agent->node, &w->node[A]);
	assert_int_equal(w->node[A].sent[SIGNAL_CANDIDATE], 0);
	assert_in_range(w->node[A].sent[SIGNAL_OFFER], 1, 2);
	world_free(w);
}

/* --- what signal loses --- */

static bool drop_first_answers(struct world *w, int from, int to, const struct signal_body *body)
{
	return body->type == SIGNAL_ANSWER && w->dropped < 2;
}

static void a_lost_answer_is_asked_for_again(void **state)
{
	for (int ours = A; ours <= B; ours++) {
		struct world *w = ours_and_stock(ours);

		w->drop = drop_first_answers;
		advance(w, 10 * SEC);
		assert_int_equal(w->dropped, 2);
		expect_way(w, ours, PLANE_DIRECT);
		world_free(w);
	}
}

static bool drop_offers_of_b_and_first_answers(struct world *w, int from, int to,
	const struct signal_body *body)
{
	if (from == B && body->type == SIGNAL_OFFER)
		return true;
	return from == B && body->type == SIGNAL_ANSWER && w->dropped < 2;
}

static void candidates_before_the_answer_wait_for_the_agent(void **state)
{
	struct world *w = ours_and_stock(A);

	/* the stock side makes its agent of our offer and sends candidates; its answers are lost */
	w->drop = drop_offers_of_b_and_first_answers;
	advance(w, 2 * SEC);
	assert_null(w->node[A].peers->direct_count ? w : NULL);
	assert_int_equal(w->node[A].sent[SIGNAL_ANSWER], 0);
	w->node[A].signal_up = true;
	advance(w, 5 * SEC);
	expect_way(w, A, PLANE_DIRECT);
	assert_int_equal(w->node[B].stock.dropped_candidates, 0);
	world_free(w);
}

static bool drop_all_but_candidates_to_a(struct world *w, int from, int to, const struct signal_body *body)
{
	return to == A && body->type != SIGNAL_CANDIDATE;
}

static void no_more_early_candidates_are_kept_than_there_is_room(void **state)
{
	struct world *w = world_new(2);
	struct signal_body body = { .type = SIGNAL_CANDIDATE };

	w->drop = drop_all_but_candidates_to_a;
	node_start(&w->node[A]);
	for (int i = 0; i < 3 * EARLY_MAX; i++) {
		snprintf(body.candidate, sizeof(body.candidate),
			"1 1 udp 2130706431 192.0.2.%d 51820 typ host", i);
		peers_signal(w->node[A].peers, w->node[B].key, &body);
	}
	strcpy(body.candidate, "junk");
	peers_signal(w->node[A].peers, w->node[B].key, &body);
	w->drop = NULL;
	body = (struct signal_body){ .type = SIGNAL_ANSWER, .ufrag = "u", .pwd = "p",
		.has_session_id = true };
	peers_signal(w->node[A].peers, w->node[B].key, &body);
	assert_non_null(w->agents);
	assert_int_equal(w->agents->remote_count, EARLY_MAX);
	world_free(w);
}

static void candidates_go_out_after_the_answer_host_first_and_once_more(void **state)
{
	struct world *w = world_new(2);
	struct signal_body body = { .type = SIGNAL_OFFER, .ufrag = "u", .pwd = "p", .has_session_id = true,
		.session_id = { 1 } };

	node_start(&w->node[A]);
	advance(w, 100 * MS);
	assert_int_equal(w->node[A].sent[SIGNAL_OFFER], 1);
	peers_signal(w->node[A].peers, w->node[B].key, &body);
	assert_int_equal(w->node[A].sent[SIGNAL_ANSWER], 1);
	advance(w, SIGNAL_DELAY + 199 * MS);
	assert_int_equal(w->node[A].sent[SIGNAL_CANDIDATE], 0);
	advance(w, 2 * MS);
	assert_int_equal(w->node[A].sent[SIGNAL_CANDIDATE], 1);		/* one at a time */
	assert_non_null(strstr(w->posts->next->body.candidate, "typ host ufrag"));
	advance(w, 100 * MS);
	assert_int_equal(w->node[A].sent[SIGNAL_CANDIDATE], 2);
	advance(w, SEC);
	assert_int_equal(w->node[A].sent[SIGNAL_CANDIDATE], 4);		/* the whole list again */
	advance(w, 5 * SEC);
	assert_int_equal(w->node[A].sent[SIGNAL_CANDIDATE], 4);
	/* the same offer again: it lost our answer, and our candidates with it */
	peers_signal(w->node[A].peers, w->node[B].key, &body);
	assert_int_equal(w->node[A].sent[SIGNAL_ANSWER], 2);
	advance(w, SEC);
	assert_int_equal(w->node[A].sent[SIGNAL_CANDIDATE], 6);
	/* an answer says that there is an agent: no waiting */
	body.type = SIGNAL_ANSWER;
	body.session_id[0] = 2;
	peers_signal(w->node[A].peers, w->node[B].key, &body);
	advance(w, 6 * MS);
	assert_int_equal(w->node[A].sent[SIGNAL_CANDIDATE], 7);
	assert_int_equal(w->node[A].sent[SIGNAL_ANSWER], 2);
	world_free(w);
}

static void offers_that_cross_end_in_one_session(void **state)
{
	struct world *w = pair_of_ours();
	unsigned agents = 0;

	advance(w, 3 * SEC);
	assert_int_equal(w->node[A].sent[SIGNAL_OFFER], 1);
	assert_int_equal(w->node[B].sent[SIGNAL_OFFER], 1);
	for (struct ice_agent *agent = w->agents; agent; agent = agent->next)
		agents++;
	assert_int_equal(agents, 2);
	assert_int_equal(w->node[A].plane[B].ways_set, 2);
	assert_int_equal(w->node[A].plane[B].resets + w->node[B].plane[A].resets, 0);
	world_free(w);
}

static void session_ids_stay_while_an_agent_lives_and_change_when_it_ends(void **state)
{
	struct world *w = ours_and_stock(A);
	uint8_t before[5], after[5];

	advance(w, 3 * SEC);
	memcpy(before, w->node[B].stock.remote_session, 5);
	advance(w, 100 * SEC);
	stock_send(&w->node[B], SIGNAL_OFFER);		/* for no reason */
	advance(w, SEC);
	assert_memory_equal(before, w->node[B].stock.remote_session, 5);
	assert_int_equal(w->node[B].stock.agents_made, 1);
	cut(w, A, B, true, true);
	advance(w, 30 * SEC);
	memcpy(after, w->node[B].stock.remote_session, 5);
	assert_memory_not_equal(before, after, 5);
	world_free(w);
}

/* --- ways that go --- */

static void an_idle_tunnel_falls_back_when_ice_says_so_and_comes_back(void **state)
{
	for (int ours = A; ours <= B; ours++) {
		struct world *w = ours_and_stock(ours);

		advance(w, 4 * SEC);
		expect_way(w, ours, PLANE_DIRECT);
		cut(w, A, B, true, true);
		advance(w, 9 * SEC);
		expect_way(w, ours, PLANE_RELAY);
		assert_int_equal(w->node[!ours].plane[ours].way, PLANE_RELAY);
		cut(w, A, B, false, false);
		advance(w, 60 * SEC);
		expect_way(w, ours, PLANE_DIRECT);
		assert_int_equal(w->node[!ours].plane[ours].way, PLANE_DIRECT);
		world_free(w);
	}
}

static const struct cut_case { const char *what; bool there, back; } cuts[] = {
	{ "both ways", true, true }, { "there only", true, false }, { "back only", false, true },
};

static void a_cut_path_is_left_within_a_second_and_a_half(void **state)
{
	uint64_t worst = 0;

	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		for (int phase = 0; phase < 250; phase += 19) {
			struct world *w = pair_of_ours();

			advance(w, 4 * SEC);
			traffic(w, A, B, 2 * SEC + phase * MS, 10 * MS, true);
			gaps_clear(w);
			cut(w, A, B, cuts[i].there, cuts[i].back);
			traffic(w, A, B, 4 * SEC, 10 * MS, true);
			expect_way(w, A, PLANE_RELAY);
			expect_way(w, B, PLANE_RELAY);
			/* as the asking side sees it: from the last direct answer to the first by relay */
			advance(w, 100 * MS);
			assert_true(w->node[A].plane[B].received > 0);
			if (4 * SEC - w->node[A].plane[B].received * 10 * MS > worst)
				worst = 4 * SEC - w->node[A].plane[B].received * 10 * MS;
			world_free(w);
		}
	}
	print_message("longest time without answers: %llu ms\n", (unsigned long long)(worst / MS));
	assert_true(worst <= 1500 * MS);
}

static void a_stock_peer_is_brought_to_the_relay_sooner_than_it_would_itself(void **state)
{
	uint64_t worst = 0;

	for (int ours = A; ours <= B; ours++) {
		for (int asks = A; asks <= B; asks++) {
			struct world *w = ours_and_stock(ours);
			uint64_t without;

			advance(w, 4 * SEC);
			traffic(w, asks, !asks, 2 * SEC, 10 * MS, true);
			gaps_clear(w);
			cut(w, A, B, true, true);
			traffic(w, asks, !asks, 8 * SEC, 10 * MS, true);
			advance(w, 100 * MS);
			without = 8 * SEC - w->node[asks].plane[!asks].received * 10 * MS;
			if (without > worst)
				worst = without;
			assert_int_equal(w->node[!ours].stock.watch_kills, 0);
			world_free(w);
		}
	}
	print_message("longest time without answers from a stock peer: %llu ms\n",
		(unsigned long long)(worst / MS));
	assert_true(worst <= 2600 * MS);
}

static void a_short_outage_is_survived_and_the_pair_is_taken_up_again(void **state)
{
	struct world *w = pair_of_ours();
	struct ice_agent *agents;

	advance(w, 4 * SEC);
	traffic(w, A, B, 2 * SEC, 10 * MS, true);
	agents = w->agents;
	cut(w, A, B, true, true);
	for (int i = 0; i < 200 && w->node[A].plane[B].way != PLANE_RELAY; i++)
		traffic(w, A, B, 10 * MS, 10 * MS, true);
	assert_int_equal(w->node[A].plane[B].way, PLANE_RELAY);
	traffic(w, A, B, 200 * MS, 10 * MS, true);
	cut(w, A, B, false, false);
	gaps_clear(w);
	traffic(w, A, B, 20 * SEC, 10 * MS, true);
	advance(w, 100 * MS);
	expect_way(w, A, PLANE_DIRECT);
	expect_way(w, B, PLANE_DIRECT);
	assert_ptr_equal(w->agents, agents);		/* the same session */
	assert_int_equal(w->node[A].plane[B].ways_set, 1);
	assert_in_range(w->node[A].plane[B].received, 1999, 2005);	/* nothing lost on the way back */
	world_free(w);
}

static void a_stream_without_replies_stays_where_it_is(void **state)
{
	for (int ours = A; ours <= B; ours++) {
		for (int from = A; from <= B; from++) {
			for (int kind = 0; kind < 2; kind++) {
				struct world *w = kind ? pair_of_ours() : ours_and_stock(ours);

				advance(w, 8 * SEC);
				gaps_clear(w);
				traffic(w, from, !from, 60 * SEC, 10 * MS, false);
				assert_int_equal(w->node[A].plane[B].ways_set +
					w->node[B].plane[A].ways_set, 0);
				assert_in_range(w->node[!from].plane[from].received, 5998, 6000);
				world_free(w);
			}
		}
	}
}

/*
 * What a path does whose data messages nobody opens, or an address translator that lets through
 * small packets only.
 */
static void a_pair_that_carries_checks_but_no_packets_is_left_for_the_relay(void **state)
{
	for (int asks = A; asks <= B; asks++) {
		struct world *w = pair_of_ours();

		w->no_data = true;
		advance(w, 8 * SEC);
		expect_way(w, A, PLANE_DIRECT);
		expect_way(w, B, PLANE_DIRECT);
		gaps_clear(w);
		traffic(w, asks, !asks, 60 * SEC, 10 * MS, true);
		assert_true(w->node[asks].plane[!asks].received >= 44 * 100);
		expect_way(w, A, PLANE_RELAY);
		expect_way(w, B, PLANE_RELAY);
		traffic(w, asks, !asks, 600 * SEC, 100 * MS, true);	/* with a trial now and then */
		assert_true(w->node[asks].plane[!asks].received >= 44 * 100 + 580 * 10);
		w->no_data = false;
		traffic(w, asks, !asks, 1000 * SEC, 100 * MS, true);
		expect_way(w, A, PLANE_DIRECT);
		expect_way(w, B, PLANE_DIRECT);
		world_free(w);
	}
}

static void idle_tunnels_are_looked_at_once_a_second_at_most(void **state)
{
	struct world *w = pair_of_ours();
	unsigned turns = 0;
	uint64_t last = 0;

	advance(w, 60 * SEC);
	for (uint64_t end = now_of(w) + 60 * SEC; now_of(w) < end; advance(w, 10 * MS)) {
		turns += w->node[A].peers->look.due_ns != last;
		last = w->node[A].peers->look.due_ns;
	}
	assert_in_range(turns, 59, 62);
	world_free(w);
}

/* --- servers that go --- */

/* Signal is away, so nothing can be said. */
static void a_restart_goes_on_by_the_relay_before_anything_is_heard(void **state)
{
	for (int ours = A; ours <= B; ours++) {
		for (int late = 0; late < 2; late++) {
			struct world *w = world_new(2);
			struct node *node = &w->node[ours];

			w->no_ice = true;
			cut(w, A, B, true, true);
			node_start(node);
			node_start(&w->node[!ours]);
			advance(w, 10 * SEC);
			expect_way(w, ours, PLANE_RELAY);
			signal_set(w, false);
			node_stop(node);
			node->home_up = !late;
			node->was_relayed = "rels://relay0.test:443";
			node_start(node);
			advance(w, 100 * MS);
			if (late) {
				assert_int_equal(peers_count_connected(node->peers), 0);
				/* the datapath keeps to the way that it had */
				assert_int_equal(node->plane[!ours].way, PLANE_RELAY);
				home_set(node, true);
				advance(w, 100 * MS);
			}
			expect_way(w, ours, PLANE_RELAY);
			assert_null(node->was_relayed);
			world_free(w);
		}
	}
}

static void a_restart_of_the_relay_is_got_over(void **state)
{
	for (int ours = A; ours <= B; ours++) {
		for (int kind = 0; kind < 2; kind++) {
			struct world *w = world_new(2);

			w->no_ice = true;
			cut(w, A, B, true, true);
			node_start(&w->node[ours]);
			if (kind)
				node_start(&w->node[!ours]);
			else
				stock_start(&w->node[!ours], ours);
			advance(w, 10 * SEC);
			server_set(w, 0, false);
			advance(w, 2 * SEC);
			expect_way(w, ours, PLANE_NOWHERE);
			server_set(w, 0, true);
			advance(w, 2 * SEC);
			expect_way(w, ours, PLANE_RELAY);
			assert_int_equal(w->node[!ours].plane[ours].way, PLANE_RELAY);
			/* the session is older than the way, and the stock peer wants to see a handshake */
			traffic(w, ours, !ours, 100 * SEC, 100 * MS, true);
			assert_int_equal(w->node[!ours].stock.watch_kills, 0);
			world_free(w);
		}
	}
}

static void a_direct_pair_outlives_its_relay_and_gets_it_back(void **state)
{
	struct world *w = ours_and_stock(A);

	advance(w, 4 * SEC);
	gaps_clear(w);
	server_set(w, 0, false);
	traffic(w, A, B, 5 * SEC, 10 * MS, true);
	expect_way(w, A, PLANE_DIRECT);
	assert_false(info_of(w, A, B).has_relay);
	server_set(w, 0, true);
	traffic(w, A, B, 5 * SEC, 10 * MS, true);
	assert_true(info_of(w, A, B).has_relay);
	assert_int_equal(w->node[A].plane[B].ways_set, 0);
	assert_int_equal(w->node[B].stock.agents_made, 1);
	world_free(w);
}

static void without_its_relay_a_pair_that_nothing_answers_is_told_within_1500_ms(void **state)
{
	struct world *w = ours_and_stock(A);

	advance(w, 4 * SEC);
	server_set(w, 0, false);
	traffic(w, A, B, 2 * SEC, 10 * MS, true);
	expect_way(w, A, PLANE_DIRECT);
	assert_false(info_of(w, A, B).is_silent);
	cut(w, A, B, true, true);
	traffic(w, A, B, 1500 * MS, 10 * MS, true);
	expect_way(w, A, PLANE_DIRECT);		/* there is no other */
	assert_true(info_of(w, A, B).is_silent);
	cut(w, A, B, false, false);
	traffic(w, A, B, SEC, 10 * MS, true);
	assert_false(info_of(w, A, B).is_silent);
	world_free(w);
}

static void a_peer_that_answers_by_relay_is_not_called_silent(void **state)
{
	struct world *w = pair_of_ours();

	advance(w, 4 * SEC);
	traffic(w, A, B, 2 * SEC, 10 * MS, true);
	cut(w, A, B, true, true);
	traffic(w, A, B, 3 * SEC, 10 * MS, true);
	expect_way(w, A, PLANE_RELAY);
	assert_false(info_of(w, A, B).is_silent);	/* the relay answers */
	world_free(w);
}

static void a_restart_of_signal_disturbs_nobody_and_delays_nobody(void **state)
{
	struct world *w = ours_and_stock(B);
	unsigned sent;

	advance(w, 4 * SEC);
	sent = w->node[B].sent[SIGNAL_OFFER];
	signal_set(w, false);
	advance(w, 60 * SEC);
	expect_way(w, B, PLANE_DIRECT);
	signal_set(w, true);
	advance(w, 5 * SEC);
	assert_int_equal(w->node[B].sent[SIGNAL_OFFER], sent);		/* nothing is missing */
	world_free(w);

	w = world_new(2);
	w->node[A].signal_up = w->node[B].signal_up = false;
	node_start(&w->node[B]);
	stock_start(&w->node[A], B);
	advance(w, 100 * SEC);
	signal_set(w, true);
	advance(w, 300 * MS);
	expect_way(w, B, PLANE_RELAY);
	world_free(w);
}

static void the_first_offer_waits_a_little_for_the_home_relay(void **state)
{
	struct world *w = world_new(2);

	w->node[A].home_up = false;
	w->node[A].signal_up = false;
	node_start(&w->node[A]);
	stock_start(&w->node[B], A);
	advance(w, 50 * MS);
	w->node[A].signal_up = true;
	peers_signal_state(w->node[A].peers, true);
	advance(w, 100 * MS);
	assert_int_equal(w->node[A].sent[SIGNAL_OFFER], 0);
	home_set(&w->node[A], true);
	advance(w, 1 * MS);
	assert_int_equal(w->node[A].sent[SIGNAL_OFFER], 1);
	advance(w, SIGNAL_DELAY);
	assert_string_equal(w->node[B].stock.heard_relay, "rels://relay0.test:443");
	world_free(w);
}

static void the_controlling_sides_relay_carries_the_pair(void **state)
{
	for (int ours = A; ours <= B; ours++) {
		struct world *w = world_new(2);

		w->no_ice = true;
		w->node[A].home = 0;
		w->node[B].home = 1;
		cut(w, A, B, true, true);
		node_start(&w->node[ours]);
		stock_start(&w->node[!ours], ours);
		advance(w, 500 * MS);
		expect_way(w, ours, PLANE_RELAY);
		assert_string_equal(info_of(w, ours, !ours).relay, "rels://relay1.test:443");
		traffic(w, ours, !ours, SEC, 10 * MS, true);
		assert_in_range(w->node[ours].plane[!ours].received, 90, 100);
		/* it is lost and comes again */
		server_set(w, 1, false);
		advance(w, SEC);
		expect_way(w, ours, PLANE_NOWHERE);
		server_set(w, 1, true);
		advance(w, 3 * SEC);
		expect_way(w, ours, PLANE_RELAY);
		world_free(w);
	}
}

/* --- peers that go --- */

static struct endpoint at_of(const char *text)
{
	struct endpoint at = { .family = AF_INET };

	assert_int_equal(inet_pton(AF_INET, text, &at.remote), 1);
	return at;
}

/* Only for the other side's relay, and never an address that leads into the mesh. */
static void where_the_other_side_is_connected_to_its_relay_is_used_for_that_relay_alone(void **state)
{
	static const char *const texts[] = { "198.51.100.7", "203.0.113.8" };
	const struct cidr mesh = { .family = AF_INET, .prefixlen = 24, .addr.word[0] = htonl(0xcb007100) };

	for (int ours = A; ours <= B; ours++) {
		for (int routed = 0; routed < 2; routed++) {
			struct endpoint at = at_of(texts[routed]);
			struct world *w = world_new(2);

			w->no_ice = true;
			w->node[A].home = 0;
			w->node[B].home = 1;
			w->node[!ours].relay_remote = at;
			w->node[ours].relay_remote = at_of("192.0.2.3");
			node_start(&w->node[ours]);
			assert_int_equal(peers_set_client_routes(w->node[ours].peers, &mesh, 1), 0);
			stock_start(&w->node[!ours], ours);
			advance(w, 500 * MS);
			expect_way(w, ours, PLANE_RELAY);
			assert_int_equal(w->node[ours].relays_opened, 1);
			assert_true(endpoint_is_equal(&w->node[!ours].stock.heard_relay_at,
				&w->node[ours].relay_remote));
			if (ours == A && !routed)
				assert_true(endpoint_is_equal(&w->node[ours].opened_at, &at));
			else
				assert_false(endpoint_is_known(&w->node[ours].opened_at));
			world_free(w);
		}
	}
}

static void without_a_relay_no_address_of_one_is_told(void **state)
{
	struct world *w = world_new(2);

	w->node[A].relay_remote = at_of("192.0.2.3");
	node_start(&w->node[A]);
	stock_start(&w->node[B], A);
	home_set(&w->node[A], false);
	advance(w, 4 * SEC);
	assert_string_equal(w->node[B].stock.heard_relay, "");
	assert_false(endpoint_is_known(&w->node[B].stock.heard_relay_at));
	world_free(w);
}

static void a_restarted_peer_is_found_again(void **state)
{
	for (int old = A; old <= B; old++) {
		struct world *w = pair_of_ours();
		struct node *restarts = &w->node[!old];

		advance(w, 4 * SEC);
		node_stop(restarts);
		restarts->plane[old].way = PLANE_NOWHERE;
		restarts->plane[old].session = 0;
		restarts->home_up = false;
		advance(w, 200 * MS);
		restarts->home_up = true;
		node_start(restarts);
		advance(w, 3 * SEC);
		expect_way(w, A, PLANE_DIRECT);
		expect_way(w, B, PLANE_DIRECT);
		gaps_clear(w);
		traffic(w, old, !old, SEC, 10 * MS, true);
		assert_in_range(w->node[old].plane[!old].received, 97, 100);
		world_free(w);
	}
}

static void a_restarted_stock_peer_is_found_again(void **state)
{
	for (int ours = A; ours <= B; ours++) {
		struct world *w = ours_and_stock(ours);
		struct node *stock = &w->node[!ours];

		advance(w, 4 * SEC);
		stock_close(stock);
		stock->plane[ours].session = 0;
		stock->plane[ours].way = PLANE_NOWHERE;
		stock_open(stock);
		advance(w, 3 * SEC);
		expect_way(w, ours, PLANE_DIRECT);
		gaps_clear(w);
		traffic(w, ours, !ours, SEC, 10 * MS, true);
		assert_in_range(w->node[ours].plane[!ours].received, 95, 100);
		world_free(w);
	}
}

/* The datapath goes on by itself: neither our restart nor theirs may touch a way that still carries. */
static void a_restart_of_the_controller_loses_no_packet(void **state)
{
	for (int ours = A; ours <= B; ours++) {
		for (int kind = 0; kind < 2; kind++) {
			struct world *w = kind ? pair_of_ours() : ours_and_stock(ours);
			unsigned sent = 0, got;

			advance(w, 4 * SEC);
			gaps_clear(w);
			for (int i = 0; i < 1000; i++, sent++) {
				if (i == 100) {
					node_stop(&w->node[ours]);
					w->node[ours].home_up = false;
				}
				if (i == 130)
					node_start(&w->node[ours]);
				if (i == 135)
					home_set(&w->node[ours], true);
				traffic(w, !ours, ours, 10 * MS, 10 * MS, true);
			}
			advance(w, SEC);
			got = w->node[!ours].plane[ours].received;
			print_message("%s of %s: %u sent, %u answered, longest gap %llu ms\n",
				ours ? "B" : "A", kind ? "ours" : "stock", sent, got,
				(unsigned long long)(w->node[!ours].plane[ours].gap_ns / MS));
			/*
			 * a stock peer that controls forgets its session then and makes a new one, for which
			 * its packets would wait
			 */
			if (ours == A && !kind)
				assert_in_range(got, sent - 12, sent);
			else
				assert_int_equal(got, sent);
			expect_way(w, ours, PLANE_DIRECT);
			assert_int_equal(w->node[!ours].plane[ours].way, PLANE_DIRECT);
			world_free(w);
		}
	}
}

static void kill_controller(struct node *node)
{
	node_stop(node);
	node->home_up = false;
}

static void start_controller(struct node *node)
{
	node_start(node);
	home_set(node, true);
}

/* A pod that is killed, started again and replaced: its relay goes before the next pair is found. */
static void a_restart_that_is_cut_short_loses_no_packet(void **state)
{
	for (int ours = A; ours <= B; ours++) {
		for (uint64_t lives = 0; lives <= 1500; lives += 50) {
			struct world *w = pair_of_ours();
			struct node *node = &w->node[ours];

			advance(w, 4 * SEC);
			gaps_clear(w);
			kill_controller(node);
			traffic(w, !ours, ours, 300 * MS, 10 * MS, true);
			start_controller(node);
			traffic(w, !ours, ours, lives * MS, 10 * MS, true);
			kill_controller(node);
			traffic(w, !ours, ours, 7 * SEC, 10 * MS, true);
			start_controller(node);
			traffic(w, !ours, ours, 3 * SEC, 10 * MS, true);
			advance(w, 100 * MS);
			assert_int_equal(w->node[!ours].plane[ours].received, 1030 + lives / 10);
			expect_way(w, A, PLANE_DIRECT);
			expect_way(w, B, PLANE_DIRECT);
			world_free(w);
		}
	}
}

/* Who chooses between routers has to hear of it, although the way stays the same. */
static void a_silent_peer_that_comes_back_at_the_same_address_is_told(void **state)
{
	for (int ours = A; ours <= B; ours++) {
		for (uint64_t dead = 0; dead <= 1000; dead += 20) {
			struct world *w = pair_of_ours();
			struct node *node = &w->node[ours];

			advance(w, 4 * SEC);
			kill_controller(node);
			cut(w, A, B, true, true);
			traffic(w, !ours, ours, 1500 * MS, 10 * MS, true);
			assert_true(info_of(w, !ours, ours).is_silent);
			advance(w, SEC);		/* nobody looks at it all the time any more */
			advance(w, dead * MS);
			cut(w, A, B, false, false);
			traffic(w, !ours, ours, 10 * MS, 10 * MS, true);
			start_controller(node);
			advance(w, 5 * SEC);		/* info_of() compares with what was told */
			assert_false(info_of(w, !ours, ours).is_silent);
			expect_way(w, !ours, PLANE_DIRECT);
			world_free(w);
		}
	}
}

/* No checks are answered, but packets: the relay is there if they stop. */
static void a_pair_that_is_lost_while_packets_flow_keeps_its_address_beside_the_relay(void **state)
{
	for (int dies = 0; dies < 2; dies++) {
		struct world *w = pair_of_ours();

		advance(w, 4 * SEC);
		gaps_clear(w);
		w->no_ice = true;
		traffic(w, A, B, 20 * SEC, 10 * MS, true);
		advance(w, 20 * MS);
		assert_int_equal(w->node[A].plane[B].received, 2000);
		expect_way(w, A, PLANE_DIRECT);
		assert_true(info_of(w, A, B).has_relay);
		w->no_data = dies;
		traffic(w, A, B, 3 * SEC, 10 * MS, true);
		expect_way(w, A, dies ? PLANE_RELAY : PLANE_DIRECT);
		assert_in_range(w->node[A].plane[B].received, dies ? 2090 : 2300, 2300);
		w->no_ice = w->no_data = false;
		advance(w, 60 * SEC);
		expect_way(w, A, PLANE_DIRECT);
		expect_way(w, B, PLANE_DIRECT);
		world_free(w);
	}
}

/* Its datapath may be removed the next moment. */
static void a_peer_that_says_that_it_ends_is_left_at_once_though_packets_flow(void **state)
{
	for (int ours = A; ours <= B; ours++) {
		struct world *w = pair_of_ours();

		advance(w, 4 * SEC);
		traffic(w, ours, !ours, SEC, 10 * MS, true);
		expect_way(w, ours, PLANE_DIRECT);
		peers_announce_end(w->node[!ours].peers);
		traffic(w, ours, !ours, 100 * MS, 10 * MS, true);
		expect_way(w, ours, PLANE_RELAY);
		world_free(w);
	}
}

static void an_inherited_way_that_is_dead_is_left(void **state)
{
	for (int ours = A; ours <= B; ours++) {
		struct world *w = pair_of_ours();

		advance(w, 4 * SEC);
		traffic(w, A, B, SEC, 10 * MS, true);
		node_stop(&w->node[ours]);
		cut(w, A, B, true, true);
		node_start(&w->node[ours]);
		traffic(w, A, B, 7 * SEC, 10 * MS, true);
		gaps_clear(w);
		traffic(w, A, B, SEC, 10 * MS, true);
		expect_way(w, A, PLANE_RELAY);
		expect_way(w, B, PLANE_RELAY);
		assert_in_range(w->node[A].plane[B].received, 96, 100);
		world_free(w);
	}
}

static void an_inherited_way_without_any_relay_is_kept_until_ice_has_found_it_again(void **state)
{
	for (int ours = A; ours <= B; ours++) {
		struct world *w = world_new(2);

		w->node[A].home = w->node[B].home = -1;
		node_start(&w->node[A]);
		node_start(&w->node[B]);
		advance(w, 8 * SEC);
		traffic(w, A, B, SEC, 10 * MS, true);
		gaps_clear(w);
		node_stop(&w->node[ours]);
		traffic(w, A, B, 500 * MS, 10 * MS, true);
		node_start(&w->node[ours]);
		traffic(w, A, B, 10 * SEC, 10 * MS, true);
		advance(w, 100 * MS);
		assert_int_equal(w->node[A].plane[B].received, 1050);
		expect_way(w, A, PLANE_DIRECT);
		expect_way(w, B, PLANE_DIRECT);
		world_free(w);
	}
}

static void a_peer_gone_from_the_map_is_closed_and_its_id_left_alone(void **state)
{
	struct world *w = pair_of_ours();
	struct peer_info info;

	advance(w, 4 * SEC);
	assert_int_equal(peers_set(w->node[A].peers, NULL, 0, false), 0);
	assert_int_equal(w->node[A].plane[B].way, PLANE_DIRECT);	/* the plane's own business by now */
	assert_int_equal(peers_get(w->node[A].peers, w->node[B].key, &info), -ENOENT);
	assert_int_equal(peers_count_connected(w->node[A].peers), 0);
	for (struct ice_agent *agent = w->agents; agent; agent = agent->next)
		assert_ptr_equal(agent->node, &w->node[B]);
	advance(w, 60 * SEC);
	node_map(&w->node[A], "0.66.4", false);
	advance(w, 60 * SEC);
	expect_way(w, A, PLANE_DIRECT);
	world_free(w);
}

static void another_version_opens_anew_and_the_same_map_does_nothing(void **state)
{
	struct world *w = ours_and_stock(A);
	char ufrag[17];

	advance(w, 4 * SEC);
	strcpy(ufrag, w->node[A].peers->direct[0]->ufrag);
	for (int i = 0; i < 10; i++)
		node_map(&w->node[A], "0.66.4", false);
	assert_string_equal(ufrag, w->node[A].peers->direct[0]->ufrag);
	gaps_clear(w);
	node_map(&w->node[A], "0.66.5", false);
	assert_int_equal(w->node[A].plane[B].way, PLANE_DIRECT);	/* until there is better */
	traffic(w, A, B, 3 * SEC, 10 * MS, true);
	expect_way(w, A, PLANE_DIRECT);
	assert_string_not_equal(ufrag, w->node[A].peers->direct[0]->ufrag);
	assert_int_equal(w->node[B].stock.agents_made, 2);
	world_free(w);
}

static void a_peer_without_an_id_is_not_spoken_to(void **state)
{
	struct world *w = world_new(2);
	struct netmap_peer peer = { .fqdn = (char *)"", .agent_version = (char *)"0.66.4" };
	struct peers_entry entry = { &peer, PLANE_NO_PEER };

	node_start_with(&w->node[A], false, &world_ops);
	stock_start(&w->node[B], A);
	memcpy(peer.key, w->node[B].key, KEY_LEN);
	assert_int_equal(peers_set(w->node[A].peers, &entry, 1, false), 0);
	advance(w, 60 * SEC);
	assert_int_equal(w->node[A].sent[SIGNAL_OFFER] + w->node[A].sent[SIGNAL_ANSWER], 0);
	entry.id = B;
	assert_int_equal(peers_set(w->node[A].peers, &entry, 1, false), 0);
	advance(w, 60 * SEC);
	expect_way(w, A, PLANE_DIRECT);
	world_free(w);
}

static void an_orderly_end_sends_stock_peers_elsewhere_at_once(void **state)
{
	for (int ours = A; ours <= B; ours++) {
		struct world *w = ours_and_stock(ours);
		struct node *stock = &w->node[!ours];
		uint64_t start;

		advance(w, 4 * SEC);
		traffic(w, !ours, ours, SEC, 10 * MS, true);
		gaps_clear(w);
		start = now_of(w);
		peers_announce_end(w->node[ours].peers);
		peers_announce_end(w->node[ours].peers);
		traffic(w, !ours, ours, 100 * MS, 10 * MS, true);
		assert_false(stock->stock.ice_connected);
		/* the last are still under way: none is lost */
		assert_true(ours == A || w->node[ours].plane[!ours].received >= 10 - 2);
		gaps_clear(w);
		traffic(w, !ours, ours, 100 * MS, 10 * MS, true);
		/* the controlling side made a new handshake first */
		assert_true(w->node[ours].plane[!ours].received >= 8);
		w->node[ours].home_up = false;	/* relay_manager_close() */
		advance(w, 20 * MS);
		assert_int_equal(stock->plane[ours].way, PLANE_NOWHERE);
		assert_true(now_of(w) - start <= 230 * MS);
		advance(w, 60 * SEC);
		assert_int_equal(stock->plane[ours].way, PLANE_NOWHERE);
		world_free(w);
	}
}

/* --- peers without ICE --- */

/*
 * Forced relay since 0.70, and every browser: only the relay leads there, no agent is made, and the guard
 * rests once it stands.
 */
static void a_peer_without_ice_is_reached_by_relay_and_answered_in_kind(void **state)
{
	for (int ours = 0; ours < 2; ours++) {
		struct world *w = world_new(2);
		unsigned sent;

		node_start(&w->node[ours]);
		w->node[!ours].stock.no_ice = true;
		stock_start(&w->node[!ours], ours);
		advance(w, 10 * SEC);
		expect_way(w, ours, PLANE_RELAY);
		assert_true(w->node[ours].plane[!ours].session);
		assert_null(w->agents);
		stock_send(&w->node[!ours], SIGNAL_OFFER);
		advance(w, SEC);
		assert_false(w->node[!ours].stock.heard_credentials);
		assert_int_equal(w->node[ours].sent[SIGNAL_CANDIDATE], 0);
		sent = w->node[ours].sent[SIGNAL_OFFER];
		advance(w, 600 * SEC);
		assert_int_equal(w->node[ours].sent[SIGNAL_OFFER], sent);
		expect_way(w, ours, PLANE_RELAY);
		world_free(w);
	}
}

static void a_peer_that_gives_ice_up_and_takes_it_up_again_is_followed(void **state)
{
	struct world *w = ours_and_stock(A);
	struct node *stock = &w->node[B];

	advance(w, 4 * SEC);
	expect_way(w, A, PLANE_DIRECT);
	stock_close(stock);
	stock->stock.no_ice = true;
	stock_open(stock);
	advance(w, 4 * SEC);
	expect_way(w, A, PLANE_RELAY);
	assert_null(w->agents);
	stock_close(stock);
	stock->stock.no_ice = false;
	stock_open(stock);
	advance(w, 20 * SEC);
	expect_way(w, A, PLANE_DIRECT);
	world_free(w);
}

/* --- lazy --- */

static void a_peer_told_to_be_idle_rests_until_somebody_wants_it(void **state)
{
	for (int lazy = 0; lazy < 2; lazy++) {
		struct world *w = world_new(2);
		struct signal_body body = { .type = SIGNAL_GO_IDLE };
		unsigned sent;

		node_start_with(&w->node[A], false, &world_ops);
		node_map(&w->node[A], "0.66.4", lazy);
		w->node[B].stock.lazy = true;
		stock_start(&w->node[B], A);
		if (!lazy)
			advance(w, 4 * SEC);
		stock_open(&w->node[B]);
		advance(w, 4 * SEC);
		expect_way(w, A, PLANE_DIRECT);

		stock_close(&w->node[B]);
		peers_signal(w->node[A].peers, w->node[B].key, &body);
		assert_int_equal(info_of(w, A, B).status, PEER_IDLE);
		assert_int_equal(info_of(w, A, B).way, PLANE_NOWHERE);
		/* it has none either: what would be sealed for it is lost */
		assert_int_equal(w->node[A].plane[B].session, 0);
		sent = w->node[A].sent[SIGNAL_OFFER];
		node_map(&w->node[A], "0.66.4", lazy);
		peers_signal_state(w->node[A].peers, true);
		advance(w, 600 * SEC);
		assert_int_equal(w->node[A].sent[SIGNAL_OFFER], sent);
		assert_int_equal(info_of(w, A, B).status, PEER_IDLE);

		packet_send(&w->node[A], B, DATA, true);		/* wakes both */
		advance(w, 4 * SEC);
		expect_way(w, A, PLANE_DIRECT);
		assert_true(w->node[A].plane[B].session);

		/* and it is woken by the other side */
		stock_close(&w->node[B]);
		peers_signal(w->node[A].peers, w->node[B].key, &body);
		advance(w, 60 * SEC);
		stock_open(&w->node[B]);
		advance(w, 4 * SEC);
		expect_way(w, A, PLANE_DIRECT);
		world_free(w);
	}
}

/* Our packets wait for it already: its word crossed our offer. */
static void going_idle_while_it_is_wanted_wakes_it_at_once(void **state)
{
	struct world *w = world_new(2);
	struct signal_body body = { .type = SIGNAL_GO_IDLE };
	unsigned sent;

	node_start_with(&w->node[A], false, &world_ops);
	node_map(&w->node[A], "0.66.4", true);
	packet_send(&w->node[A], B, DATA, false);
	advance(w, 10 * MS);
	sent = w->node[A].sent[SIGNAL_OFFER];
	assert_int_equal(sent, 1);
	peers_signal(w->node[A].peers, w->node[B].key, &body);
	advance(w, 10 * MS);
	assert_int_equal(w->node[A].sent[SIGNAL_OFFER], sent + 1);
	world_free(w);
}

/* A restart in a lazy mesh: a peer with a live session is kept up, and an old way without a session goes. */
static void after_a_restart_of_ours_what_lives_is_opened_and_what_does_not_rests(void **state)
{
	for (int lives = 0; lives < 2; lives++) {
		struct world *w = world_new(2);
		struct plane *plane = &w->node[A].plane[B];

		plane->way = PLANE_DIRECT;
		plane->facts.has_session = lives;
		plane->facts.rx_direct_ns = lives ? now_of(w) : 0;
		node_start_with(&w->node[A], false, &world_ops);
		node_map(&w->node[A], "0.66.4", true);
		advance(w, SEC);
		assert_int_equal(w->node[A].sent[SIGNAL_OFFER], lives);
		assert_int_equal(plane->way, lives ? PLANE_DIRECT : PLANE_NOWHERE);
		packet_send(&w->node[A], B, DATA, false);
		advance(w, SEC);
		assert_int_equal(w->node[A].sent[SIGNAL_OFFER], 1);
		world_free(w);
	}
}

static void lazy_only_leaves_out_peers_that_know_of_it(void **state)
{
	static const struct { const char *version; bool rests; } cases[] = {
		{ "0.66.4", true }, { "0.45.0", true }, { "0.44.9", false }, { "1.0.0", true },
		{ "development", true }, { "dev", false }, { "", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = world_new(2);

		node_start_with(&w->node[A], false, &world_ops);
		node_map(&w->node[A], cases[i].version, true);
		advance(w, SEC);
		assert_int_equal(w->node[A].sent[SIGNAL_OFFER], !cases[i].rests);
		assert_int_equal(info_of(w, A, B).status, cases[i].rests ? PEER_IDLE : PEER_CONNECTING);
		node_map(&w->node[A], cases[i].version, false);		/* switched off for the account */
		advance(w, SEC);
		assert_int_equal(w->node[A].sent[SIGNAL_OFFER], 1);
		world_free(w);
	}
}

/* --- handshakes --- */

static void a_way_without_handshakes_is_given_up_and_tried_again(void **state)
{
	struct world *w = ours_and_stock(A);

	w->no_ice = true;
	w->node[B].stock.no_handshakes = true;
	advance(w, 29 * SEC);
	expect_way(w, A, PLANE_RELAY);
	assert_false(info_of(w, A, B).needs_rosenpass);
	advance(w, 2 * SEC);
	assert_true(w->node[A].changes >= 3);
	w->node[B].stock.no_handshakes = false;
	advance(w, 40 * SEC);
	expect_way(w, A, PLANE_RELAY);
	assert_true(w->node[A].plane[B].session);
	world_free(w);
}

static void a_session_that_is_never_renewed_ends_the_way(void **state)
{
	struct world *w = ours_and_stock(A);

	advance(w, 4 * SEC);
	expect_way(w, A, PLANE_DIRECT);
	w->node[B].stock.no_handshakes = true;		/* checks are answered, WireGuard is dead */
	w->node[B].plane[A].session = w->node[A].plane[B].session = 0;
	loop_timer_cancel(w->loop, &w->node[B].stock.watch);
	loop_timer_cancel(w->loop, &w->node[B].plane[A].keepalive);
	advance(w, 205 * SEC);
	expect_way(w, A, PLANE_DIRECT);
	advance(w, 7 * SEC);
	expect_way(w, A, PLANE_RELAY);
	world_free(w);
}

static void a_peer_that_insists_on_rosenpass_is_named(void **state)
{
	struct world *w = world_new(2);
	struct signal_body body = { .type = SIGNAL_OFFER, .ufrag = "u", .pwd = "p", .has_session_id = true,
		.has_rosenpass_key = true };

	node_start(&w->node[A]);
	w->node[B].stock.no_handshakes = true;
	w->node[B].home_up = true;
	strcpy(body.relay, w->server[0].address);
	peers_signal(w->node[A].peers, w->node[B].key, &body);
	advance(w, 29 * SEC);
	assert_false(info_of(w, A, B).needs_rosenpass);
	advance(w, 2 * SEC);
	assert_true(info_of(w, A, B).needs_rosenpass);
	peers_handshake(w->node[A].peers, B);		/* it was given the same preshared key */
	assert_false(info_of(w, A, B).needs_rosenpass);
	world_free(w);
}

/* --- the rest --- */

static void candidates_inside_networks_that_we_reach_through_the_mesh_are_dropped(void **state)
{
	static const struct { const char *line; unsigned taken; } cases[] = {
		{ "1 1 udp 1 192.168.1.10 51820 typ host", 0 },
		{ "1 1 udp 1 192.168.2.10 51820 typ host", 1 },
		{ "1 1 udp 1 10.63.255.255 51820 typ host", 1 },
		{ "1 1 udp 1 10.64.0.1 51820 typ host", 0 },
		{ "1 1 udp 1 10.127.255.255 51820 typ srflx raddr 0.0.0.0 rport 51820", 0 },
		{ "1 1 udp 1 10.128.0.1 51820 typ host", 1 },
		{ "1 1 udp 1 fd00::1 51820 typ host", 0 },
		{ "1 1 udp 1 fd01::1 51820 typ host", 1 },
	};
	struct cidr routes[] = {
		{ .family = AF_INET, .prefixlen = 0 }, { .family = AF_INET6, .prefixlen = 0 },
		{ .family = AF_INET, .prefixlen = 24, .addr.word[0] = htonl(0xc0a80100) },
		{ .family = AF_INET, .prefixlen = 10, .addr.word[0] = htonl(0x0a400000) },
		{ .family = AF_INET6, .prefixlen = 16, .addr.word[0] = htonl(0xfd000000) },
	};
	struct world *w = world_new(2);
	struct signal_body body = { .type = SIGNAL_OFFER, .ufrag = "u", .pwd = "p", .has_session_id = true };
	unsigned expected = 0;

	node_start(&w->node[A]);
	assert_int_equal(peers_set_client_routes(w->node[A].peers, routes,
		sizeof(routes) / sizeof(routes[0])), 0);
	peers_signal(w->node[A].peers, w->node[B].key, &body);
	body.type = SIGNAL_CANDIDATE;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		strcpy(body.candidate, cases[i].line);
		peers_signal(w->node[A].peers, w->node[B].key, &body);
		expected += cases[i].taken;
		assert_int_equal(w->agents->remote_count, expected);
	}
	assert_int_equal(peers_set_client_routes(w->node[A].peers, NULL, 0), 0);
	strcpy(body.candidate, cases[0].line);
	peers_signal(w->node[A].peers, w->node[B].key, &body);
	assert_int_equal(w->agents->remote_count, expected + 1);
	world_free(w);
}

static void a_pair_whose_address_is_reached_through_the_mesh_from_now_on_is_left(void **state)
{
	struct world *w = pair_of_ours();
	struct cidr route = { .family = AF_INET, .prefixlen = 32 };
	struct endpoint path;

	advance(w, 4 * SEC);
	traffic(w, A, B, SEC, 10 * MS, true);
	expect_way(w, A, PLANE_DIRECT);
	path = info_of(w, A, B).pair.path;
	route.family = path.family;
	route.prefixlen = path.family == AF_INET ? 32 : 128;
	route.addr = path.remote;
	gaps_clear(w);
	assert_int_equal(peers_set_client_routes(w->node[A].peers, &route, 1), 0);
	assert_int_equal(w->node[A].plane[B].way, PLANE_RELAY);
	traffic(w, A, B, SEC, 10 * MS, true);
	advance(w, 100 * MS);
	assert_in_range(w->node[A].plane[B].received, 98, 100);
	world_free(w);
}

static void strangers_and_unknown_messages_are_ignored(void **state)
{
	struct world *w = world_new(2);
	struct signal_body body = { .type = SIGNAL_OFFER, .ufrag = "u", .pwd = "p" };
	uint8_t stranger[KEY_LEN] = { 77 };

	node_start(&w->node[A]);
	peers_signal(w->node[A].peers, stranger, &body);
	assert_null(w->agents);
	body.type = SIGNAL_MODE;
	peers_signal(w->node[A].peers, w->node[B].key, &body);
	body.type = SIGNAL_HEARTBEAT;
	peers_signal(w->node[A].peers, w->node[B].key, &body);
	body.type = 99;
	peers_signal(w->node[A].peers, w->node[B].key, &body);
	assert_null(w->agents);
	peers_handshake(w->node[A].peers, 99);
	peers_wanted(w->node[A].peers, PLANE_NO_PEER);
	peers_relay_send(w->node[A].peers, B, (const uint8_t *)"x", 1);
	world_free(w);
}

static void offers_follow_their_schedule(void **state)
{
	struct world *w = world_new(2);
	static const double after[] = { 0, 3, 6, 12, 24 };
	uint64_t last = now_of(w);
	unsigned sent = 0;

	node_start(&w->node[A]);
	w->node[A].peers->slot_ns = 0;
	for (int i = 0; i < 40 && sent < 8;) {
		advance(w, 10 * MS);
		if (w->node[A].sent[SIGNAL_OFFER] == sent)
			continue;
		double waited = (double)(now_of(w) - last) / SEC;

		if (sent < 5)
			assert_true(waited >= after[sent] * 0.89 && waited <= after[sent] * 1.11 + 0.02);
		else
			assert_true(waited >= 26.9 && waited <= 49.6);
		last = now_of(w);
		sent++;
		i++;
	}
	/* something was lost */
	peers_candidates_changed(w->node[A].peers);
	last = now_of(w);
	for (double wait = 0.8; wait < 20; wait *= 2) {
		while (w->node[A].sent[SIGNAL_OFFER] == sent)
			advance(w, 10 * MS);
		double waited = (double)(now_of(w) - last) / SEC;

		assert_true(waited >= wait * 0.89 && waited <= wait * 1.11 + 0.02);
		last = now_of(w);
		sent++;
	}
	world_free(w);
}

static bool drop_offers(struct world *w, int from, int to, const struct signal_body *body)
{
	return w->node[from].is_stock && body->type == SIGNAL_OFFER;
}

/* The offers of @node in @ns. */
static unsigned offers_in(struct world *w, int node, uint64_t ns)
{
	const unsigned before = w->node[node].sent[SIGNAL_OFFER];

	advance(w, ns);
	return w->node[node].sent[SIGNAL_OFFER] - before;
}

/*
 * As stock since 0.70: where only the relay carries, each offer makes the other side search anew. Three are
 * enough until something happens, and then one each hour.
 */
static void while_the_relay_carries_there_are_three_offers_and_then_one_each_hour(void **state)
{
	for (int ours = A; ours <= B; ours++) {
		struct world *w = world_new(2);

		cut(w, A, B, true, true);
		w->drop = drop_offers;
		node_start(&w->node[ours]);
		stock_start(&w->node[!ours], ours);
		assert_int_equal(offers_in(w, ours, 300 * SEC), 1 + 3);	/* the first found the relay */
		expect_way(w, ours, PLANE_RELAY);
		gaps_clear(w);
		assert_int_equal(offers_in(w, ours, 3000 * SEC), 0);
		for (int hour = 0; hour < 3; hour++)
			assert_int_equal(offers_in(w, ours, 3600 * SEC), 1);
		/* an hour of silence is normal, and changes nothing */
		assert_int_equal(w->node[ours].plane[!ours].ways_set, 0);
		expect_way(w, ours, PLANE_RELAY);
		peers_signal_state(w->node[ours].peers, true);
		assert_int_equal(offers_in(w, ours, 300 * SEC), 3);
		assert_int_equal(offers_in(w, ours, 3000 * SEC), 0);
		peers_relay_state(w->node[ours].peers, true);
		assert_int_equal(offers_in(w, ours, 300 * SEC), 3);
		assert_int_equal(offers_in(w, ours, 3000 * SEC), 0);
		peers_candidates_changed(w->node[ours].peers);
		assert_int_equal(offers_in(w, ours, 300 * SEC), 3);
		assert_int_equal(offers_in(w, ours, 3000 * SEC), 0);
		cut(w, A, B, false, false);		/* what is possible again is found by the next one */
		assert_in_range(offers_in(w, ours, 3600 * SEC), 1, 2);
		expect_way(w, ours, PLANE_DIRECT);
		world_free(w);
	}
}

static void without_a_relay_offers_never_become_rare(void **state)
{
	struct world *w = world_new(2);

	cut(w, A, B, true, true);
	w->node[A].home = w->node[B].home = -1;
	node_start(&w->node[A]);
	advance(w, 600 * SEC);
	assert_in_range(offers_in(w, A, 4 * 3600 * SEC), 4 * 3600 / 50, 4 * 3600 / 27);
	world_free(w);
}

static void what_is_missing_in_the_operations_is_said(void **state)
{
	struct peers_config config = { .wg_port = 1 };
	struct peers_ops ops = world_ops;
	struct peers *peers;

	ops.ice_answered = NULL;
	assert_int_equal(peers_new(NULL, &config, &ops, NULL, &peers), -EINVAL);
}

static void without_an_operation_to_rekey_a_reset_serves(void **state)
{
	struct peers_ops ops = world_ops;
	struct world *w = world_new(2);

	ops.rekey = NULL;
	node_start_with(&w->node[B], false, &ops);
	node_map(&w->node[B], "0.66.4", false);
	stock_start(&w->node[A], B);
	advance(w, 4 * SEC);
	expect_way(w, B, PLANE_DIRECT);
	stock_agent_end(&w->node[A], false);
	stock_session(&w->node[A]);
	stock_send(&w->node[A], SIGNAL_OFFER);
	advance(w, 4 * SEC);
	assert_int_equal(w->node[B].plane[A].resets, 1);
	expect_way(w, B, PLANE_DIRECT);
	world_free(w);
}

/* --- anything at any time --- */

static bool drop_some(struct world *w, int from, int to, const struct signal_body *body)
{
	uint8_t dice;

	world_random(w, &dice, 1);
	return dice < 40;
}

static void trouble(struct world *w)
{
	uint8_t dice[4];
	struct node *node;

	world_random(w, dice, sizeof(dice));
	node = &w->node[dice[0] & 1];
	switch (dice[1] % 12) {
	case 0:
		cut(w, A, B, dice[2] & 1, dice[3] & 1);
		break;
	case 1:
		cut(w, A, B, false, false);
		break;
	case 2:
		server_set(w, dice[2] & 1, dice[3] & 1);
		break;
	case 3:
		server_set(w, dice[2] & 1, true);
		break;
	case 4:
		signal_set(w, dice[2] & 1);
		break;
	case 5:
		if (!node->peers)
			break;
		node_stop(node);
		node_start(node);
		break;
	case 6:
		if (node->peers)
			node_map(node, dice[2] & 1 ? "0.66.4" : "0.66.5", dice[3] & 1);
		break;
	case 7:
		op_reset(node, !node->index);
		break;
	case 8:
		if (node->peers)
			peers_candidates_changed(node->peers);
		break;
	case 9:
		if (node->peers)
			peers_signal(node->peers, w->node[!node->index].key,
				&(struct signal_body){ .type = SIGNAL_GO_IDLE });
		break;
	case 10:
		w->no_ice = dice[2] & 1;
		break;
	default:
		node->home = dice[2] & 1;
		if (node->peers)
			home_set(node, w->server[node->home].up);
		break;
	}
}

static void heal(struct world *w)
{
	w->drop = NULL;
	w->no_ice = false;
	cut(w, A, B, false, false);
	server_set(w, 0, true);
	server_set(w, 1, true);
	signal_set(w, true);
}

static bool is_well(const struct world *w)
{
	const struct plane *a = &w->node[A].plane[B], *b = &w->node[B].plane[A];

	return a->way == PLANE_DIRECT && b->way == PLANE_DIRECT && a->session && a->session == b->session;
}

static void after_any_trouble_all_is_well_again(void **state)
{
	unsigned longest = 0;

	for (int round = 0; round < (getenv("PEERS_ROUNDS") ? atoi(getenv("PEERS_ROUNDS")) : 300); round++) {
		struct world *w = round % 3 ? pair_of_ours() : ours_and_stock(round & 1);
		unsigned waited = 0;
		uint8_t dice;

		w->seed = round * 7919;
		w->drop = drop_some;
		for (int i = 0; i < 60; i++) {
			trouble(w);
			world_random(w, &dice, 1);
			traffic(w, dice & 1, !(dice & 1), (dice >> 1) * 50 * MS, 50 * MS, dice & 2);
		}
		heal(w);
		while (waited < 240 && !is_well(w)) {
			traffic(w, A, B, SEC, 100 * MS, true);
			waited++;
		}
		for (int i = 0; i < 2; i++) {
			if (!w->node[i].peers)
				continue;
			assert_int_equal(w->node[i].peers->complaints, 0);
			if (info_of(w, i, !i).way != PLANE_DIRECT)
				fail_msg("round %d: not direct", round);
		}
		traffic(w, A, B, 60 * SEC, 100 * MS, true);
		gaps_clear(w);
		traffic(w, A, B, 2 * SEC, 100 * MS, true);
		if (w->node[A].plane[B].received < 19)
			fail_msg("round %d: %u of 20 answered", round, w->node[A].plane[B].received);
		longest = waited > longest ? waited : longest;
		world_free(w);
	}
	print_message("directly again after %u s at the latest\n", longest);
	assert_true(longest <= 100);
}

/* --- many --- */

#define MANY 5000

static unsigned many_sent, many_ways;

static int many_send(void *ctx, const uint8_t to[static KEY_LEN], const struct signal_body *body,
	signal_sent_fn fn, void *fn_ctx)
{
	many_sent += body->type == SIGNAL_OFFER;
	return 0;
}

static void many_forget(void *ctx, const void *fn_ctx)
{
}

static int many_open(void *ctx, const uint8_t peer[static KEY_LEN], const char *address,
	const struct endpoint *at, const struct relay_peer_events *events, void *events_ctx,
	struct relay_peer **ret_peer)
{
	*ret_peer = (struct relay_peer *)1;
	events->ready(events_ctx);
	return 0;
}

static void many_free(void *ctx, struct relay_peer *peer)
{
}

static int many_set_way(void *ctx, uint32_t id, enum plane_way way, const struct endpoint *path)
{
	many_ways += way == PLANE_RELAY;
	return 0;
}

static void many_kick(void *ctx, uint32_t id)
{
}

static int many_facts(void *ctx, uint32_t id, struct plane_facts *ret_facts)
{
	*ret_facts = (struct plane_facts){ 0 };
	return 0;
}

static double ms_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

static void five_thousand_peers_are_opened_in_little_memory_and_time(void **state)
{
	struct peers_ops ops = world_ops;
	struct netmap_peer *peer = calloc(MANY, sizeof(*peer));
	struct peers_entry *entry = calloc(MANY, sizeof(*entry));
	struct world *w = world_new(2);
	struct peers *peers = NULL;
	struct signal_body body = { .type = SIGNAL_ANSWER, .relay = "rels://relay0.test:443" };
	struct peers_config config = { .wg_port = 51820, .version = "0.66.4", .force_relay = true };
	size_t before;
	double start, opened;

	assert_non_null(peer);
	assert_non_null(entry);
	ops.signal_send = many_send;
	ops.signal_forget = many_forget;
	ops.relay_open = many_open;
	ops.relay_free = many_free;
	ops.set_way = many_set_way;
	ops.kick = ops.rekey = many_kick;
	ops.facts = many_facts;
	ops.changed = NULL;
	for (uint32_t i = 0; i < MANY; i++) {
		world_random(w, peer[i].key, KEY_LEN);
		peer[i].fqdn = (char *)"a-peer-of-many.mesh.test";
		peer[i].agent_version = (char *)"0.66.4";
		entry[i] = (struct peers_entry){ &peer[i], i };
	}
	before = mallinfo2().uordblks;
	start = ms_now();
	assert_int_equal(peers_new(w->loop, &config, &ops, &w->node[A], &peers), 0);
	assert_int_equal(peers_set(peers, entry, MANY, false), 0);
	opened = ms_now() - start;
	advance(w, 1 * MS);
	assert_in_range(many_sent, 1, 65);		/* not in one breath */
	advance(w, 2 * MANY * MS + SEC);
	assert_in_range(many_sent, MANY, 2 * MANY);	/* but each, in ten seconds */
	for (uint32_t i = 0; i < MANY; i++)
		peers_signal(peers, peer[i].key, &body);
	assert_int_equal(peers_count_connected(peers), MANY);
	assert_int_equal(many_ways, MANY);
	print_message("%zu bytes a struct, %zu bytes a peer in all, opened in %.1f ms\n", sizeof(struct conn),
		(mallinfo2().uordblks - before) / MANY, opened);
	assert_true((mallinfo2().uordblks - before) / MANY <= 1024);
	assert_true(sizeof(struct conn) <= 1024);
	start = ms_now();
	assert_int_equal(peers_set(peers, entry, MANY, false), 0);
	print_message("the same map again: %.1f ms\n", ms_now() - start);
	start = ms_now();
	peers_signal_state(peers, true);
	peers_relay_state(peers, true);
	advance(w, 10 * SEC);
	print_message("all guards armed anew, ten seconds: %.1f ms\n", ms_now() - start);
	assert_int_equal(peers_set(peers, NULL, 0, false), 0);
	assert_null(peers->texts);
	peers_free(peers);
	world_free(w);
	free(entry);
	free(peer);
}

/* --- peers that say nothing by signal, as plain WireGuard does not --- */

/* One of ours, and a peer that has not been started. */
static struct world *ours_alone(bool force_relay, bool lazy)
{
	struct world *w = world_new(2);

	node_start_with(&w->node[A], force_relay, &world_ops);
	node_map(&w->node[A], "0.66.4", lazy);
	advance(w, 1 * SEC);
	return w;
}

static bool may_roam(struct world *w)
{
	const struct peer_info info = info_of(w, A, B);

	assert_true(w->node[A].plane[B].roams == info.roams);
	return info.roams;
}

static void a_peer_that_says_nothing_by_signal_roams(void **state)
{
	for (int lazy = 0; lazy < 2; lazy++) {
		struct world *w = ours_alone(false, lazy);

		assert_true(may_roam(w));
		packet_send(&w->node[A], B, DATA, false);	/* wakes the link, and changes nothing */
		advance(w, 600 * SEC);
		assert_true(may_roam(w));
		/* another version of it: the link is opened anew, and its packets go where they went */
		node_map(&w->node[A], "0.77.1", lazy);
		advance(w, 1 * SEC);
		assert_true(may_roam(w));
		assert_int_equal(w->node[A].plane[B].ways_set, 0);
		world_free(w);
	}
}

static void with_relays_forced_nobody_roams(void **state)
{
	for (int lazy = 0; lazy < 2; lazy++) {
		struct world *w = ours_alone(true, lazy);

		assert_false(may_roam(w));
		world_free(w);
	}
}

/* Whatever is lost afterwards: an address that ICE left must not come back by a packet from there. */
static void a_peer_that_was_heard_by_signal_never_roams_again(void **state)
{
	struct world *w = ours_alone(false, false);

	stock_start(&w->node[B], A);
	advance(w, 4 * SEC);
	assert_int_equal(info_of(w, A, B).way, PLANE_DIRECT);
	assert_false(may_roam(w));
	stock_close(&w->node[B]);
	w->no_ice = true;
	w->server[0].up = false;
	advance(w, 600 * SEC);
	assert_int_equal(info_of(w, A, B).way, PLANE_NOWHERE);
	assert_false(may_roam(w));
	world_free(w);
}

static void one_message_by_signal_is_enough(void **state)
{
	struct world *w = ours_alone(false, false);
	struct signal_body body = { .type = SIGNAL_GO_IDLE };

	assert_true(may_roam(w));
	peers_signal(w->node[A].peers, w->node[B].key, &body);
	assert_int_equal(info_of(w, A, B).status, PEER_IDLE);
	assert_false(may_roam(w));
	packet_send(&w->node[A], B, DATA, false);		/* it wakes, and is looked for by ICE alone */
	advance(w, 10 * SEC);
	assert_false(may_roam(w));
	world_free(w);
}

/* The plane took over what an earlier process had: here a roaming peer with a live session. */
static void a_roaming_peer_keeps_its_place_over_a_restart(void **state)
{
	struct world *w = world_new(2);
	struct plane *plane = &w->node[A].plane[B];
	struct peer_info info;

	plane->facts.has_session = true;
	plane->facts.rx_direct_ns = now_of(w);
	node_start_with(&w->node[A], false, &world_ops);
	node_map(&w->node[A], "0.66.4", false);
	advance(w, 30 * SEC);
	assert_int_equal(peers_get(w->node[A].peers, w->node[B].key, &info), 0);
	assert_true(info.roams);
	assert_int_equal(plane->ways_set, 0);
	plane->facts.has_session = false;
	packet_send(&w->node[A], B, DATA, false);	/* no session: its next handshake says where it is */
	advance(w, 1 * SEC);
	assert_true(may_roam(w));
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_of_ours_meet_by_relay_and_then_directly),
		cmocka_unit_test(relay_only_works_in_both_roles),
		cmocka_unit_test(an_upgrade_to_the_direct_way_loses_nothing_in_both_roles),
		cmocka_unit_test(a_stock_peer_that_does_not_control_hears_us_at_once_on_the_new_way),
		cmocka_unit_test(without_any_relay_the_pair_alone_connects),
		cmocka_unit_test(a_pair_that_is_lost_while_packets_come_keeps_its_address),
		cmocka_unit_test(forced_to_the_relay_no_ice_is_tried),
		cmocka_unit_test(a_lost_answer_is_asked_for_again),
		cmocka_unit_test(candidates_before_the_answer_wait_for_the_agent),
		cmocka_unit_test(no_more_early_candidates_are_kept_than_there_is_room),
		cmocka_unit_test(candidates_go_out_after_the_answer_host_first_and_once_more),
		cmocka_unit_test(offers_that_cross_end_in_one_session),
		cmocka_unit_test(session_ids_stay_while_an_agent_lives_and_change_when_it_ends),
		cmocka_unit_test(an_idle_tunnel_falls_back_when_ice_says_so_and_comes_back),
		cmocka_unit_test(a_cut_path_is_left_within_a_second_and_a_half),
		cmocka_unit_test(a_stock_peer_is_brought_to_the_relay_sooner_than_it_would_itself),
		cmocka_unit_test(a_short_outage_is_survived_and_the_pair_is_taken_up_again),
		cmocka_unit_test(a_stream_without_replies_stays_where_it_is),
		cmocka_unit_test(a_pair_that_carries_checks_but_no_packets_is_left_for_the_relay),
		cmocka_unit_test(idle_tunnels_are_looked_at_once_a_second_at_most),
		cmocka_unit_test(a_restart_goes_on_by_the_relay_before_anything_is_heard),
		cmocka_unit_test(a_restart_of_the_relay_is_got_over),
		cmocka_unit_test(a_direct_pair_outlives_its_relay_and_gets_it_back),
		cmocka_unit_test(without_its_relay_a_pair_that_nothing_answers_is_told_within_1500_ms),
		cmocka_unit_test(a_peer_that_answers_by_relay_is_not_called_silent),
		cmocka_unit_test(a_restart_of_signal_disturbs_nobody_and_delays_nobody),
		cmocka_unit_test(the_first_offer_waits_a_little_for_the_home_relay),
		cmocka_unit_test(the_controlling_sides_relay_carries_the_pair),
		cmocka_unit_test(where_the_other_side_is_connected_to_its_relay_is_used_for_that_relay_alone),
		cmocka_unit_test(without_a_relay_no_address_of_one_is_told),
		cmocka_unit_test(a_restarted_peer_is_found_again),
		cmocka_unit_test(a_restarted_stock_peer_is_found_again),
		cmocka_unit_test(a_restart_of_the_controller_loses_no_packet),
		cmocka_unit_test(a_restart_that_is_cut_short_loses_no_packet),
		cmocka_unit_test(a_silent_peer_that_comes_back_at_the_same_address_is_told),
		cmocka_unit_test(a_peer_that_says_that_it_ends_is_left_at_once_though_packets_flow),
		cmocka_unit_test(a_pair_that_is_lost_while_packets_flow_keeps_its_address_beside_the_relay),
		cmocka_unit_test(an_inherited_way_that_is_dead_is_left),
		cmocka_unit_test(an_inherited_way_without_any_relay_is_kept_until_ice_has_found_it_again),
		cmocka_unit_test(a_peer_gone_from_the_map_is_closed_and_its_id_left_alone),
		cmocka_unit_test(another_version_opens_anew_and_the_same_map_does_nothing),
		cmocka_unit_test(a_peer_without_an_id_is_not_spoken_to),
		cmocka_unit_test(an_orderly_end_sends_stock_peers_elsewhere_at_once),
		cmocka_unit_test(a_peer_told_to_be_idle_rests_until_somebody_wants_it),
		cmocka_unit_test(a_peer_without_ice_is_reached_by_relay_and_answered_in_kind),
		cmocka_unit_test(a_peer_that_gives_ice_up_and_takes_it_up_again_is_followed),
		cmocka_unit_test(going_idle_while_it_is_wanted_wakes_it_at_once),
		cmocka_unit_test(after_a_restart_of_ours_what_lives_is_opened_and_what_does_not_rests),
		cmocka_unit_test(lazy_only_leaves_out_peers_that_know_of_it),
		cmocka_unit_test(a_way_without_handshakes_is_given_up_and_tried_again),
		cmocka_unit_test(a_session_that_is_never_renewed_ends_the_way),
		cmocka_unit_test(a_peer_that_insists_on_rosenpass_is_named),
		cmocka_unit_test(candidates_inside_networks_that_we_reach_through_the_mesh_are_dropped),
		cmocka_unit_test(a_pair_whose_address_is_reached_through_the_mesh_from_now_on_is_left),
		cmocka_unit_test(strangers_and_unknown_messages_are_ignored),
		cmocka_unit_test(offers_follow_their_schedule),
		cmocka_unit_test(while_the_relay_carries_there_are_three_offers_and_then_one_each_hour),
		cmocka_unit_test(without_a_relay_offers_never_become_rare),
		cmocka_unit_test(what_is_missing_in_the_operations_is_said),
		cmocka_unit_test(without_an_operation_to_rekey_a_reset_serves),
		cmocka_unit_test(after_any_trouble_all_is_well_again),
		cmocka_unit_test(five_thousand_peers_are_opened_in_little_memory_and_time),
		cmocka_unit_test(a_peer_that_says_nothing_by_signal_roams),
		cmocka_unit_test(with_relays_forced_nobody_roams),
		cmocka_unit_test(a_peer_that_was_heard_by_signal_never_roams_again),
		cmocka_unit_test(one_message_by_signal_is_enough),
		cmocka_unit_test(a_roaming_peer_keeps_its_place_over_a_restart),
	};

	log_set_level(getenv("PEERS_DEBUG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
