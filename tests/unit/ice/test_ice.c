// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// ICE agents on a small Internet: through NATs and loss, in both roles, against our own kind and against a
// stock client.
#include "unit/ice_world.h"

#include "ice/internal.h"

static struct world w;
static struct node *a = &w.nodes[0], *b = &w.nodes[1];

static int setup(void **state)
{
	world_init(&w);
	return 0;
}

static int teardown(void **state)
{
	world_done(&w);
	return 0;
}

static void two_public_nodes(void)
{
	add_addr(a, "192.0.2.1");
	add_addr(b, "198.51.100.2");
	node_start(a, 1);
	node_start(b, 1);
}

static void both_start(bool a_controls)
{
	agent_start(a, a_controls);
	agent_start(b, !a_controls);
}

static void again(void (*with)(bool a_controls))
{
	with(true);
	world_done(&w);
	world_init(&w);
	with(false);
}

/* Both have it, once, and see the same path from its two ends. */
static void expect_connected(void)
{
	const struct endpoint *mine = &a->info.path, *theirs = &b->info.path;
	struct ice_pair_info info;

	assert_int_equal(a->connected, 1);
	assert_int_equal(b->connected, 1);
	assert_int_equal(a->failed + b->failed, 0);
	assert_true(a->agent->state == AGENT_CONNECTED);
	assert_true(ice_agent_get_pair(b->agent, &info));
	assert_int_equal(a->nominated_count + b->nominated_count, 1);
	assert_true(is_addr(&a->info.local.remote, &theirs->remote));
	assert_true(is_addr(&b->info.local.remote, &mine->remote));
	assert_int_equal(a->info.local.port, theirs->port);
	assert_int_equal(b->info.local.port, mine->port);
}

static void direct_in(bool a_controls)
{
	uint64_t start;

	two_public_nodes();
	start = world_now(&w);
	both_start(a_controls);
	run(&w, SEC);
	expect_connected();
	/* a candidate's way, a check's round trip, a nomination's round trip: no waiting in between */
	assert_in_range(a->connected_ns - start, 40 * MS, 120 * MS);
	assert_int_equal(a->info.local_type, ICE_HOST);
	assert_int_equal(a->info.remote_type, ICE_HOST);
	assert_int_equal(a->info.rtt_ns, 20 * MS);
	assert_int_equal((a_controls ? a : b)->nominations, 1);
	assert_int_equal((a_controls ? b : a)->nominations, 0);
	assert_int_equal(a->info.path.ifindex, 7);
	assert_true(is_addr(&a->info.path.local, &a->addrs[0].local));
}

static void two_public_nodes_connect_at_once_in_both_roles(void **state)
{
	again(direct_in);
}

static void when_connected_both_check_every_two_seconds_and_no_more(void **state)
{
	unsigned before;

	two_public_nodes();
	both_start(true);
	run(&w, SEC);
	before = w.packets;
	run(&w, 20 * SEC);
	assert_in_range(w.packets - before, 40, 44);	/* a request and an answer each */
	expect_connected();
	assert_in_range(world_now(&w) - a->agent->heard_ns, 0, 2 * SEC);
	assert_in_range(world_now(&w) - ice_agent_answered(b->agent), 0, 2 * SEC + 20 * MS);
}

static void host_candidates_are_told_first_and_a_reflexive_one_that_equals_them_not_at_all(void **state)
{
	add_addr(a, "192.0.2.1");
	add_addr(a, "2001:db8::1");
	node_start(a, 2);
	agent_start(a, true);
	run(&w, SEC);
	assert_int_equal(a->told_count, 2);
	assert_int_equal(a->told[0].type, ICE_HOST);
	assert_int_equal(a->told[1].family, AF_INET6);
	assert_int_equal(strlen(a->told[0].cid), ICE_CID_LEN);
	assert_string_not_equal(a->told[0].cid, a->told[1].cid);

	add_addr(b, "10.1.0.2");
	node_nat(b, NAT_CONE, "198.51.100.2");
	node_start(b, 2);
	agent_start(b, false);
	run(&w, SEC);
	assert_int_equal(b->told_count, 2);
	assert_int_equal(b->told[0].type, ICE_HOST);
	assert_int_equal(b->told[1].type, ICE_SRFLX);
	assert_true(is_addr(&b->told[1].addr, &b->public));
	assert_int_equal(ntohs(b->told[1].port), 20000);
	assert_true(b->told[1].has_related);
	assert_int_equal(ntohs(b->told[1].related_port), PORT);
	assert_int_equal(b->told[1].related.word[0], 0);
}

static void one_nat_in(bool a_controls)
{
	add_addr(a, "10.1.0.2");
	node_nat(a, NAT_CONE, "192.0.2.1");
	add_addr(b, "198.51.100.2");
	node_start(a, 1);
	node_start(b, 1);
	both_start(a_controls);
	run(&w, 3 * SEC);
	expect_connected();
	assert_int_equal(a->info.local_type, ICE_SRFLX);
	assert_int_equal(b->info.remote_type, ICE_SRFLX);
	assert_true(is_addr(&b->info.path.remote, &a->public));
}

static void a_node_behind_a_nat_connects_in_both_roles(void **state)
{
	again(one_nat_in);
}

static void two_nats_in(bool a_controls)
{
	add_addr(a, "10.1.0.2");
	node_nat(a, NAT_CONE, "192.0.2.1");
	add_addr(b, "10.1.0.2");	/* the very same inside */
	node_nat(b, NAT_CONE, "198.51.100.2");
	node_start(a, 1);
	node_start(b, 1);
	both_start(a_controls);
	run(&w, 3 * SEC);
	expect_connected();
	assert_true(is_addr(&a->info.path.remote, &b->public));
}

static void two_nats_that_keep_ports_are_opened_from_both_sides(void **state)
{
	again(two_nats_in);
}

static void symmetric_in(bool a_controls)
{
	uint64_t start;

	add_addr(a, "10.1.0.2");
	node_nat(a, NAT_SYMMETRIC, "192.0.2.1");
	add_addr(b, "198.51.100.2");
	node_start(a, 1);
	node_start(b, 1);
	start = world_now(&w);
	both_start(a_controls);
	run(&w, 3 * SEC);
	expect_connected();
	assert_int_equal(b->info.remote_type, ICE_PRFLX);
	assert_int_equal(a->info.local_type, ICE_PRFLX);
	if (!a_controls)	/* who learned it waits for something better */
		assert_in_range(b->connected_ns - start, SEC, 1500 * MS);
}

static void a_node_behind_a_symmetric_nat_is_learned_from_its_checks(void **state)
{
	again(symmetric_in);
}

static void forward_in(bool a_controls)
{
	add_addr(a, "10.1.0.2");
	node_nat(a, NAT_FORWARD, "192.0.2.1");
	add_addr(b, "10.2.0.2");
	node_nat(b, NAT_SYMMETRIC, "198.51.100.2");
	node_start(a, 1);
	node_start(b, 1);
	both_start(a_controls);
	run(&w, 4 * SEC);
	expect_connected();
	assert_int_equal(ntohs(b->info.path.port), PORT);
	assert_int_equal(b->info.remote_type, ICE_SRFLX);
}

static void a_forwarded_port_is_found_behind_a_nat_that_moves_ports(void **state)
{
	again(forward_in);
}

static void two_symmetric_nats_fail_after_twelve_seconds(void **state)
{
	uint64_t start;

	add_addr(a, "10.1.0.2");
	node_nat(a, NAT_SYMMETRIC, "192.0.2.1");
	add_addr(b, "10.2.0.2");
	node_nat(b, NAT_SYMMETRIC, "198.51.100.2");
	node_start(a, 1);
	node_start(b, 1);
	start = world_now(&w);
	both_start(true);
	run(&w, 20 * SEC);
	assert_int_equal(a->failed, 1);
	assert_int_equal(b->failed, 1);
	assert_false(a->had_been_connected);
	assert_int_equal(a->failed_ns - start, 12 * SEC);
	/* Eight checks for each of the host, the reflexive and the forwarded candidate. */
	assert_int_equal(a->requests, 24);
}

static void loss_in(bool a_controls)
{
	for (unsigned seed = 1; seed <= 25; seed++) {
		world_done(&w);
		world_init(&w);
		w.seed = seed;
		w.loss = 40;
		two_public_nodes();
		a->connected = b->connected = 0;
		both_start(a_controls);
		run(&w, 11 * SEC);
		assert_int_equal(a->connected + a->failed, 1);
		assert_int_equal(a->connected, 1);
		assert_int_equal(b->connected, 1);
		assert_int_equal(a->nominated_count + b->nominated_count, 1);
	}
}

static void four_of_ten_packets_lost_do_not_matter(void **state)
{
	again(loss_in);
}

static void a_round_trip_of_almost_two_seconds_is_no_hindrance(void **state)
{
	w.delay_ns = 950 * MS;	/* the eighth check is out before the first answer is here */
	two_public_nodes();
	run(&w, 3 * SEC);
	both_start(true);
	run(&w, 11 * SEC);
	expect_connected();
}

static void late_candidates_are_not_too_late(void **state)
{
	two_public_nodes();
	a->tell_ns = b->tell_ns = 9 * SEC;
	both_start(false);
	run(&w, 11 * SEC);
	expect_connected();
}

static void checks_that_come_before_our_side_exists_in(bool a_controls)
{
	two_public_nodes();
	b->keeps_candidates = true;
	agent_start(a, a_controls);
	run(&w, 500 * MS);
	agent_start(b, !a_controls);	/* never learns a's candidates but from its checks; a knows b's: */
	for (size_t i = 0; i < 1; i++) {
		struct ice_candidate c = { .type = ICE_HOST, .family = AF_INET, .port = htons(PORT),
			.addr = b->addrs[0].local };

		c.priority = ice_candidate_priority(ICE_HOST);
		assert_int_equal(ice_agent_add_remote(a->agent, &c), 0);
	}
	run(&w, 3 * SEC);
	expect_connected();
	assert_int_equal(b->info.remote_type, ICE_PRFLX);
}

static void who_is_told_of_nothing_learns_it(void **state)
{
	again(checks_that_come_before_our_side_exists_in);
}

static void a_pair_that_was_given_up_is_revived_by_a_check_from_there(void **state)
{
	two_public_nodes();
	a->is_deaf = true;
	b->is_down = true;
	both_start(true);
	run(&w, 4 * SEC);	/* all eight checks are gone */
	assert_int_equal(a->requests, 8);
	a->is_deaf = b->is_down = false;
	run(&w, 100 * MS);
	assert_int_equal(a->requests, 8);	/* not by itself */
	ice_agent_free(b->agent);
	agent_start(b, false);	/* it starts anew, a does not */
	signal_candidate(a, &a->told[0]);
	run(&w, 2 * SEC);
	assert_int_equal(a->connected, 1);
	assert_int_equal(b->connected, 1);
}

static void a_learned_candidate_becomes_what_it_is_told_to_be(void **state)
{
	two_public_nodes();
	a->tell_ns = 200 * MS;	/* its checks are there before the word of them is */
	both_start(false);
	run(&w, 150 * MS);
	assert_int_equal(b->connected, 0);	/* a learned one waits a second */
	run(&w, SEC);
	expect_connected();
	assert_int_equal(b->info.remote_type, ICE_HOST);
	assert_in_range(b->connected_ns - b->request_ns[0], 100 * MS, 450 * MS);
}

static void conflict(bool both_control)
{
	two_public_nodes();
	agent_start(a, both_control);
	agent_start(b, both_control);
	run(&w, 3 * SEC);
	expect_connected();
}

static void a_conflict_of_roles_is_solved_by_the_tie_breaker(void **state)
{
	for (unsigned seed = 1; seed <= 10; seed++) {
		for (int both_control = 0; both_control <= 1; both_control++) {
			world_done(&w);
			world_init(&w);
			w.seed = seed;
			conflict(both_control);
			assert_true(a->errors + b->errors > 0);
		}
	}
}

static void several_addresses_in(bool a_controls)
{
	add_addr(a, "192.0.2.1");
	add_addr(a, "192.0.2.77");
	add_addr(a, "2001:db8::1");
	add_addr(b, "198.51.100.2");
	add_addr(b, "198.51.100.78");
	add_addr(b, "2001:db8::2");
	node_start(a, 2);
	node_start(b, 2);
	w.loss = 10;
	both_start(a_controls);
	run(&w, 5 * SEC);
	expect_connected();
	assert_true(is_addr(&a->info.path.local, &b->info.path.remote));
	assert_true(is_addr(&b->info.path.local, &a->info.path.remote));
	assert_int_equal(w.loss, 10);
}

static void of_many_ways_exactly_one_is_nominated(void **state)
{
	again(several_addresses_in);
}

static void the_better_way_is_preferred_if_it_answers_in_time(void **state)
{
	/*
	 * b's host address can be reached, but only after 300 ms: a server-reflexive pair that already
	 * works waits for it.
	 */
	struct ice_candidate srflx = { .type = ICE_SRFLX, .family = AF_INET, .port = htons(PORT) };

	add_addr(a, "192.0.2.1");
	add_addr(b, "198.51.100.2");
	add_addr(b, "198.51.100.3");
	node_start(a, 0);
	node_start(b, 0);
	both_start(true);
	b->keeps_candidates = true;
	srflx.addr = b->addrs[0].local;
	srflx.priority = ice_candidate_priority(ICE_SRFLX);
	assert_int_equal(ice_agent_add_remote(a->agent, &srflx), 0);
	run(&w, 300 * MS);
	assert_int_equal(a->nominations, 0);
	srflx.addr = b->addrs[1].local;
	srflx.type = ICE_HOST;
	srflx.priority = ice_candidate_priority(ICE_HOST);
	assert_int_equal(ice_agent_add_remote(a->agent, &srflx), 0);
	run(&w, 600 * MS);
	expect_connected();
	assert_true(is_addr(&a->info.path.remote, &b->addrs[1].local));
}

static void the_only_reflexive_way_is_taken_after_half_a_second(void **state)
{
	uint64_t start;

	add_addr(a, "192.0.2.1");
	add_addr(b, "10.2.0.2");
	node_nat(b, NAT_CONE, "198.51.100.2");
	node_start(a, 0);
	node_start(b, 1);
	start = world_now(&w);
	both_start(true);
	run(&w, 2 * SEC);
	expect_connected();
	assert_in_range(a->connected_ns - start, 500 * MS, 800 * MS);
}

static void a_dead_peer_is_noticed_after_six_seconds(void **state)
{
	uint64_t cut;

	two_public_nodes();
	both_start(true);
	run(&w, 5 * SEC);
	expect_connected();
	b->is_down = true;
	cut = a->agent->heard_ns;
	run(&w, 10 * SEC);
	assert_int_equal(a->failed, 1);
	assert_true(a->had_been_connected);
	assert_int_equal(a->failed_ns - cut, 6 * SEC);
	assert_int_equal(a->connected, 1);
}

static void a_way_that_is_cut_in_one_direction_is_lost_to_who_hears_nothing(void **state)
{
	two_public_nodes();
	both_start(true);
	run(&w, 5 * SEC);
	world_cut(&w, b, a);
	run(&w, 7 * SEC);
	assert_int_equal(a->failed, 1);
	run(&w, 2 * SEC);
	assert_int_equal(b->failed, 0);		/* heard a until then */
	run(&w, 6 * SEC);
	assert_int_equal(b->failed, 1);
}

static void a_short_break_is_no_loss(void **state)
{
	two_public_nodes();
	both_start(true);
	run(&w, 5 * SEC);
	b->is_down = true;
	run(&w, 3500 * MS);
	b->is_down = false;
	run(&w, 20 * SEC);
	expect_connected();
}

static void a_changed_address_ends_in_a_new_search_that_succeeds(void **state)
{
	two_public_nodes();
	both_start(true);
	run(&w, 5 * SEC);
	b->addrs[0].local = address("198.51.100.99", 0).remote;
	assert_true(ice_mux_set_host(b->mux, b->addrs, 1));
	run(&w, 10 * SEC);
	assert_int_equal(a->failed + b->failed, 2);
	assert_int_equal(b->changes, 1);
	assert_int_equal(a->changes, 0);
	a->connected = b->connected = a->failed = b->failed = 0;
	a->nominated_count = b->nominated_count = 0;
	both_start(true);
	run(&w, 2 * SEC);
	expect_connected();
	assert_true(is_addr(&a->info.path.remote, &b->addrs[0].local));
}

static void addresses_that_come_during_the_search_are_told_and_tried(void **state)
{
	add_addr(a, "10.9.9.9");	/* nobody can reach it */
	node_nat(a, NAT_NONE, "0.0.0.0");
	add_addr(b, "198.51.100.2");
	node_start(a, 0);
	node_start(b, 0);
	world_cut(&w, a, b);
	both_start(true);
	run(&w, 3 * SEC);
	assert_int_equal(a->connected, 0);
	w.cut_count = 0;
	add_addr(a, "192.0.2.1");
	assert_true(ice_mux_set_host(a->mux, a->addrs, 2));
	run(&w, 2 * SEC);
	expect_connected();
	assert_int_equal(a->told_count, 2);
}

static void a_probe_checks_every_200_ms_until_there_is_an_answer(void **state)
{
	unsigned before;

	two_public_nodes();
	both_start(true);
	run(&w, 5 * SEC);
	b->is_deaf = true;
	before = a->requests;
	ice_agent_probe(a->agent);
	run(&w, 1010 * MS);
	ice_agent_probe(a->agent);	/* again: nothing new */
	assert_int_equal(a->requests - before, 6);
	b->is_deaf = false;
	run(&w, 300 * MS);
	before = a->requests;
	run(&w, 4 * SEC);
	assert_int_equal(a->requests - before, 2);
	expect_connected();
	assert_true(ice_agent_answered(a->agent) + 2 * SEC >= world_now(&w));
}

static void a_probe_without_an_answer_ends_like_any_loss(void **state)
{
	two_public_nodes();
	both_start(false);
	run(&w, 5 * SEC);
	b->is_down = true;
	ice_agent_probe(a->agent);
	run(&w, 7 * SEC);
	assert_int_equal(a->failed, 1);
	assert_true(a->had_been_connected);
}

/* Behind what is under test: a stock client. */

static void expect_stock_connected(struct stock *s)
{
	assert_int_equal(a->connected, 1);
	assert_true(s->selected >= 0);
	assert_true(is_addr(&a->info.path.remote, &b->addrs[0].local) ||
		(b->nat && is_addr(&a->info.path.remote, &b->public)));
	assert_int_equal(s->bad, 0);
	run(&w, 20 * SEC);
	assert_int_equal(a->failed, 0);
	assert_false(s->is_lost);
	assert_int_equal(a->nominated_count + b->nominated_count, 1);
}

static void stock_in(bool a_controls)
{
	struct stock *s;

	add_addr(a, "192.0.2.1");
	add_addr(b, "198.51.100.2");
	node_start(a, 1);
	agent_start(a, a_controls);
	s = stock_start(b, !a_controls);
	stock_tell(s, ICE_SRFLX, "198.51.100.2", PORT, true);	/* in their order */
	stock_tell(s, ICE_HOST, "198.51.100.2", PORT, false);
	run(&w, 3 * SEC);
	expect_stock_connected(s);
	assert_string_equal(s->last_cids + ICE_CID_LEN + 1, s->cid);
	assert_memory_equal(s->last_cids, a->told[0].cid, ICE_CID_LEN);
	assert_true(a->with_cids > 0);
}

static void a_stock_client_is_reached_in_both_roles(void **state)
{
	again(stock_in);
}

static void stock_nat_in(bool a_controls)
{
	struct stock *s;

	add_addr(a, "10.1.0.2");
	node_nat(a, NAT_SYMMETRIC, "192.0.2.1");
	add_addr(b, "198.51.100.2");
	node_start(a, 1);
	agent_start(a, a_controls);
	s = stock_start(b, !a_controls);
	stock_tell(s, ICE_HOST, "198.51.100.2", PORT, false);
	run(&w, 3 * SEC);
	expect_stock_connected(s);
}

static void a_stock_client_is_reached_from_behind_a_symmetric_nat(void **state)
{
	again(stock_nat_in);
}

static void stock_behind_nat_in(bool a_controls)
{
	struct stock *s;

	add_addr(a, "192.0.2.1");
	add_addr(b, "10.2.0.2");
	node_nat(b, NAT_FORWARD, "198.51.100.2");
	node_start(a, 1);
	world_cut(&w, b, a);	/* nothing of it is heard before its forwarded port is tried */
	agent_start(a, a_controls);
	s = stock_start(b, !a_controls);
	stock_tell(s, ICE_HOST, "10.2.0.2", PORT, false);
	stock_tell(s, ICE_SRFLX, "198.51.100.2", 33333, true);
	run(&w, 300 * MS);
	w.cut_count = 0;
	run(&w, 4 * SEC);
	expect_stock_connected(s);
}

static void a_stock_client_is_reached_behind_a_nat_with_a_forwarded_port(void **state)
{
	again(stock_behind_nat_in);
}

static void a_stock_client_that_loses_packets_is_reached(void **state)
{
	unsigned connected = 0;

	for (unsigned seed = 1; seed <= 40; seed++) {
		struct stock *s;

		world_done(&w);
		world_init(&w);
		w.seed = seed;
		add_addr(a, "192.0.2.1");
		add_addr(b, "198.51.100.2");
		node_start(a, 1);
		w.loss = 20;
		agent_start(a, seed & 1);
		s = stock_start(b, !(seed & 1));
		stock_tell(s, ICE_HOST, "198.51.100.2", PORT, false);
		run(&w, 11 * SEC);
		connected += a->connected == 1 && s->selected >= 0;
	}
	assert_int_equal(connected, 40);
}

/* What must not help an attacker, nor hurt. */

static void inject(struct node *to, const struct endpoint *from, const uint8_t *bytes, int len)
{
	struct endpoint at = *from;

	assert_true(len > 0);
	at.local = to->addrs[0].local;
	ice_mux_receive(to->mux, &at, bytes, len);
}

static void strangers_are_not_answered(void **state)
{
	uint8_t tx[STUN_TX_LEN] = "twelve bytes", bytes[STUN_BUILD_MAX];
	struct stun_request r = { .tx = tx, .username = "firstUfragLetter:otherUfragLetter",
		.password = "wrong", .use_candidate = true };
	struct stun_response answer = { .tx = tx, .password = "passwordOfTheOther" };
	struct endpoint from = address("198.51.100.66", 4444);
	struct ice_stats stats;

	two_public_nodes();
	agent_start(a, false);
	run(&w, 100 * MS);
	inject(a, &from, bytes, stun_build_request(&r, bytes, sizeof(bytes)));
	r.username = "firstUfragLetter:otherUfragLette";
	inject(a, &from, bytes, stun_build_request(&r, bytes, sizeof(bytes)));
	r.username = "nobody";
	inject(a, &from, bytes, stun_build_request(&r, bytes, sizeof(bytes)));
	r.username = NULL;
	inject(a, &from, bytes, stun_build_request(&r, bytes, sizeof(bytes)));
	inject(a, &from, bytes, stun_build_response(&answer, bytes, sizeof(bytes)));
	answer.error = 487;
	inject(a, &from, bytes, stun_build_response(&answer, bytes, sizeof(bytes)));
	inject(a, &from, (const uint8_t *)"not STUN at all, but long", 25);
	ice_mux_get_stats(a->mux, &stats);
	assert_int_equal(a->responses + a->errors + a->requests, 0);
	assert_int_equal(stats.bad_integrity, 1);
	assert_int_equal(stats.unknown_user, 3);
	assert_int_equal(stats.unmatched, 2);
	assert_int_equal(stats.malformed, 1);
}

/* A path there would lead the tunnel into itself, however good it looks. */
static void stun_is_neither_sent_into_the_tunnel_nor_taken_from_it(void **state)
{
	uint8_t tx[STUN_TX_LEN] = "twelve bytes", bytes[STUN_BUILD_MAX];
	struct stun_request r = { .tx = tx, .username = "firstUfragLetter:otherUfragLetter",
		.password = "passwordOfTheFirst", .use_candidate = true };
	struct endpoint from = address("198.51.100.66", 4444), mesh = address("100.64.0.1", PORT);
	struct ice_stats stats;

	two_public_nodes();
	a->inside = b->addrs[0];
	a->inside.remote = b->addrs[0].local;
	both_start(true);
	run(&w, 13 * SEC);
	assert_int_equal(a->connected + b->connected, 0);
	assert_int_equal(a->requests + a->responses, 0);
	assert_true(b->requests > 0);
	ice_mux_get_stats(a->mux, &stats);
	assert_int_equal(stats.inside, b->requests);
	assert_int_equal(stats.sent, 1);		/* to the STUN server */

	/* from any source, but to our address in the mesh */
	agent_start(a, false);
	inject(a, &from, bytes, stun_build_request(&r, bytes, sizeof(bytes)));
	assert_int_equal(a->responses, 1);
	a->inside = mesh;
	from.local = mesh.remote;
	ice_mux_receive(a->mux, &from, bytes, stun_build_request(&r, bytes, sizeof(bytes)));
	assert_int_equal(a->responses, 1);
	ice_mux_get_stats(a->mux, &stats);
	assert_int_equal(stats.inside, b->requests + 1);
}

/*
 * Since 0.68 a port that the peer's gateway forwards is told as one more candidate, under the id of
 * the reflexive one.
 */
static void two_candidates_of_a_peer_may_have_one_cid(void **state)
{
	for (int live = 0; live < 2; live++) {
		struct ice_candidate told[2] = {
			{ .type = ICE_SRFLX, .family = AF_INET, .port = htons(4444), .priority = 1694498815 },
			{ .type = ICE_SRFLX, .family = AF_INET, .port = htons(5555), .priority = 1694499815 },
		};
		const struct endpoint dead = address("203.0.113.66", 4444);

		two_public_nodes();
		b->keeps_candidates = true;
		for (int i = 0; i < 2; i++) {
			memset(told[i].cid, 'S', ICE_CID_LEN);
			told[i].addr = i == live ? b->addrs[0].local : dead.remote;
			if (i == live)
				told[i].port = htons(PORT);
		}
		both_start(true);
		for (int i = 0; i < 2; i++)
			assert_int_equal(ice_agent_add_remote(a->agent, &told[i]), 0);
		assert_int_equal(a->agent->remote_count, 2);
		run(&w, 3 * SEC);
		assert_int_equal(a->connected + b->connected, 2);
		assert_true(is_addr(&a->info.path.remote, &b->addrs[0].local));
		world_done(&w);
		world_init(&w);
	}
}

static void answers_from_elsewhere_or_too_late_do_not_count(void **state)
{
	uint8_t bytes[STUN_BUILD_MAX], tx[STUN_TX_LEN];
	struct stun_response r = { .tx = tx, .password = "passwordOfTheOther" };
	struct endpoint right = address("198.51.100.2", PORT), wrong = address("198.51.100.2", PORT + 1);
	struct ice_candidate c = { .type = ICE_HOST, .family = AF_INET, .port = right.port,
		.addr = right.remote, .priority = 5 };
	struct ice_stats stats;

	two_public_nodes();
	agent_start(a, true);
	run(&w, MS);
	/*
	 * The ids of its checks, as they would be seen on the wire: the node's next random numbers
	 * are known here.
	 */
	w.seed = 77;
	assert_int_equal(ice_agent_add_remote(a->agent, &c), 0);
	memset(tx, 0, sizeof(tx));
	inject(a, &right, bytes, stun_build_response(&r, bytes, sizeof(bytes)));
	inject(a, &wrong, bytes, stun_build_response(&r, bytes, sizeof(bytes)));
	ice_mux_get_stats(a->mux, &stats);
	assert_int_equal(stats.unmatched, 2);
	assert_int_equal(a->nominations, 0);
	w.delay_ns = 4100 * MS / 2;	/* an answer after more than four seconds */
	agent_start(b, false);
	b->keeps_candidates = true;
	run(&w, 5 * SEC);
	assert_int_equal(a->connected, 0);
}

static void errors_change_nothing(void **state)
{
	uint8_t bytes[STUN_BUILD_MAX];
	struct stun_response r = { .tx = (const uint8_t *)"twelve bytes", .error = 487,
		.password = "passwordOfTheOther" };
	struct endpoint from = address("198.51.100.2", PORT);

	two_public_nodes();
	both_start(true);
	for (int i = 0; i < 20; i++) {
		inject(a, &from, bytes, stun_build_response(&r, bytes, sizeof(bytes)));
		run(&w, 5 * MS);
	}
	run(&w, SEC);
	expect_connected();
	assert_int_equal(a->nominations, 1);
}

static void answers_leave_from_the_address_that_was_asked(void **state)
{
	add_addr(a, "192.0.2.1");
	add_addr(a, "192.0.2.2");
	add_addr(b, "198.51.100.2");
	node_start(a, 0);
	node_start(b, 0);
	a->keeps_candidates = true;
	both_start(false);
	b->told_count = 0;
	for (size_t i = 1; i < 2; i++) {
		struct ice_candidate c = { .type = ICE_HOST, .family = AF_INET, .port = htons(PORT),
			.addr = a->addrs[1].local };

		c.priority = ice_candidate_priority(ICE_HOST);
		assert_int_equal(ice_agent_add_remote(b->agent, &c), 0);
	}
	run(&w, 2 * SEC);
	assert_int_equal(b->connected, 1);
	assert_true(is_addr(&b->info.path.remote, &a->addrs[1].local) ||
		is_addr(&b->info.path.remote, &a->addrs[0].local));
	assert_true(is_addr(&a->info.path.local, &b->info.path.remote));
}

static void many_requests_do_not_make_many_checks(void **state)
{
	uint8_t bytes[STUN_BUILD_MAX];
	struct stun_request r = {
		.tx = (const uint8_t *)"twelve bytes", .username = "firstUfragLetter:otherUfragLetter",
		.password = "passwordOfTheFirst",
	};
	struct endpoint from = address("198.51.100.2", PORT);

	two_public_nodes();
	agent_start(a, true);
	run(&w, MS);
	for (int i = 0; i < 1000; i++)
		inject(a, &from, bytes, stun_build_request(&r, bytes, sizeof(bytes)));
	assert_int_equal(a->responses, 1000);
	assert_int_equal(a->requests, 3);
	run(&w, 200 * MS);
	assert_int_equal(a->requests, 4);
}

/* Life and memory. */

static void agents_may_be_freed_in_their_callbacks(void **state)
{
	two_public_nodes();
	a->frees_in_candidate = true;
	agent_start(a, true);
	run(&w, SEC);
	assert_null(a->agent);
	a->frees_in_candidate = false;
	a->frees_in_connected = b->frees_in_connected = true;
	both_start(true);
	run(&w, SEC);
	assert_null(a->agent);
	assert_int_equal(a->connected, 1);
	run(&w, 10 * SEC);
	assert_int_equal(a->failed, 0);
}

static void a_failed_agent_is_silent_until_it_is_freed(void **state)
{
	unsigned packets;

	two_public_nodes();
	a->keeps_failed = true;
	agent_start(a, true);
	run(&w, 13 * SEC);
	assert_int_equal(a->failed, 1);
	packets = w.packets;
	agent_start(b, false);
	signal_candidate(a, &a->told[0]);
	assert_false(a->agent->state == AGENT_CONNECTED);
	ice_agent_probe(a->agent);
	run(&w, 5 * SEC);
	assert_int_equal(a->responses, 0);
	assert_int_equal(w.packets - packets, b->requests);
}

static void duplicates_cost_nothing_and_too_many_are_refused(void **state)
{
	struct ice_candidate c = { .type = ICE_HOST, .family = AF_INET, .port = htons(PORT), .priority = 1 };
	int ret = 0, taken = 0;

	two_public_nodes();
	agent_start(a, true);
	run(&w, MS);
	c.addr = b->addrs[0].local;
	for (int i = 0; i < 100; i++)
		assert_int_equal(ice_agent_add_remote(a->agent, &c), 0);
	assert_int_equal(a->requests, 1);
	for (int i = 0; i < 100 && !ret; i++) {
		c.addr.word[0] = htonl(0xc6336400 + 10 + i);
		ret = ice_agent_add_remote(a->agent, &c);
		taken += !ret;
	}
	assert_int_equal(ret, -ENOSPC);
	assert_int_equal(taken, 31);
	run(&w, 13 * SEC);
	assert_int_equal(a->requests, 32 * 8);
}

static void thousands_of_agents_share_one_port(void **state)
{
	enum { MANY = 3000 };
	static struct ice_agent *agents[MANY];
	static const struct ice_agent_events silent = { .candidate = on_candidate, .connected = on_connected,
		.failed = on_failed };
	struct ice_agent_config c = { .is_controlling = true, .local_pwd = "passwordOfTheFirst",
		.remote_ufrag = "other", .remote_pwd = "p" };
	struct endpoint from = address("198.51.100.2", PORT);
	uint8_t bytes[STUN_BUILD_MAX], tx[STUN_TX_LEN] = "twelve bytes";
	struct stun_request r = { .tx = tx, .password = "passwordOfTheFirst" };
	struct ice_stats stats;
	char username[64];

	two_public_nodes();
	a->keeps_candidates = true;
	for (int i = 0; i < MANY; i++) {
		snprintf(c.local_ufrag, sizeof(c.local_ufrag), "ufrag%d", i);
		assert_int_equal(ice_agent_new(a->mux, &c, &silent, a, &agents[i]), 0);
		if (i % 3 == 0) {	/* ids are used again */
			ice_agent_free(agents[i]);
			assert_int_equal(ice_agent_new(a->mux, &c, &silent, a, &agents[i]), 0);
		}
	}
	for (int i = 0; i < MANY; i++) {
		snprintf(username, sizeof(username), "ufrag%d:other", i);
		r.username = username;
		inject(a, &from, bytes, stun_build_request(&r, bytes, sizeof(bytes)));
	}
	ice_mux_get_stats(a->mux, &stats);
	assert_int_equal(a->responses, MANY);
	assert_int_equal(a->requests, MANY);	/* triggered */
	assert_int_equal(stats.unknown_user + stats.bad_integrity, 0);
	for (int i = 0; i < MANY; i++)
		ice_agent_free(agents[i]);
	inject(a, &from, bytes, stun_build_request(&r, bytes, sizeof(bytes)));
	ice_mux_get_stats(a->mux, &stats);
	assert_int_equal(stats.unknown_user, 1);
	run(&w, SEC);
}

/* Servers. */

static void behind_nat(void)
{
	add_addr(a, "10.1.0.2");
	node_nat(a, NAT_CONE, "192.0.2.1");
	node_start(a, 1);
}

static void a_servers_answer_is_good_for_25_seconds(void **state)
{
	behind_nat();
	assert_int_equal(w.servers[0].asked, 1);
	run(&w, 20 * SEC);
	agent_start(a, true);
	run(&w, MS);
	assert_int_equal(w.servers[0].asked, 1);
	assert_int_equal(a->told_count, 2);	/* at once */
	ice_agent_free(a->agent);
	run(&w, 10 * SEC);
	agent_start(a, true);
	run(&w, MS);
	assert_int_equal(a->told_count, 1);	/* asked again first */
	run(&w, 20 * MS);
	assert_int_equal(w.servers[0].asked, 2);
	assert_int_equal(a->told_count, 2);
	assert_int_equal(a->told[1].type, ICE_SRFLX);
}

static void a_silent_server_is_asked_for_five_seconds(void **state)
{
	uint64_t *at = w.servers[0].asked_ns;

	w.servers[0].is_down = true;
	behind_nat();
	run(&w, 10 * SEC);
	assert_int_equal(w.servers[0].asked, 5);
	assert_int_equal(at[1] - at[0], 200 * MS);
	assert_int_equal(at[4] - at[3], 1600 * MS);
	w.servers[0].is_down = false;
	agent_start(a, true);
	run(&w, 100 * MS);
	assert_int_equal(w.servers[0].asked, 6);
	assert_int_equal(a->told_count, 2);
}

static void a_changed_outside_address_is_noticed_by_the_monitor(void **state)
{
	behind_nat();
	assert_int_equal(a->changes, 0);
	run(&w, 301 * SEC);
	assert_int_equal(w.servers[0].asked, 2);
	assert_int_equal(a->changes, 0);	/* the same */
	a->public = address("192.0.2.200", 0).remote;
	run(&w, 300 * SEC);
	assert_int_equal(a->changes, 1);
	agent_start(a, true);
	run(&w, 100 * MS);
	assert_true(is_addr(&a->told[1].addr, &a->public));
}

static void servers_that_are_named_again_are_not_asked_again(void **state)
{
	struct server_url urls[ICE_SOURCES_MAX + 1] = {};

	for (size_t i = 0; i <= ICE_SOURCES_MAX; i++) {
		urls[i] = (struct server_url){ .scheme = SERVER_STUN, .port = 3478 };
		snprintf(urls[i].host, sizeof(urls[i].host), "203.0.113.%zu", i + 1);
	}
	behind_nat();
	add_addr(b, "2001:db8::2");
	assert_int_equal(w.servers[0].asked, 1);
	assert_int_equal(ice_mux_set_stuns(a->mux, urls, 2), 0);
	run(&w, SEC);
	assert_int_equal(w.servers[0].asked, 2);
	assert_int_equal(w.servers[1].asked, 1);
	assert_int_equal(ice_mux_set_stuns(a->mux, urls, 2), 0);	/* as the next map does */
	run(&w, SEC);
	assert_int_equal(w.servers[0].asked, 2);
	assert_int_equal(ice_mux_set_stuns(a->mux, urls, 1), 0);
	run(&w, SEC);
	assert_int_equal(w.servers[0].asked, 3);
	assert_int_equal(ice_mux_set_stuns(a->mux, urls, ICE_SOURCES_MAX + 1), -ENOSPC);
	assert_int_equal(ice_mux_set_stuns(a->mux, urls, ICE_SOURCES_MAX + 1), 0);
	run(&w, SEC);
	assert_int_equal(ice_mux_set_stuns(a->mux, urls, 0), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(two_public_nodes_connect_at_once_in_both_roles),
		TEST(when_connected_both_check_every_two_seconds_and_no_more),
		TEST(host_candidates_are_told_first_and_a_reflexive_one_that_equals_them_not_at_all),
		TEST(a_node_behind_a_nat_connects_in_both_roles),
		TEST(two_nats_that_keep_ports_are_opened_from_both_sides),
		TEST(a_node_behind_a_symmetric_nat_is_learned_from_its_checks),
		TEST(a_forwarded_port_is_found_behind_a_nat_that_moves_ports),
		TEST(two_symmetric_nats_fail_after_twelve_seconds),
		TEST(four_of_ten_packets_lost_do_not_matter),
		TEST(a_round_trip_of_almost_two_seconds_is_no_hindrance),
		TEST(late_candidates_are_not_too_late),
		TEST(who_is_told_of_nothing_learns_it),
		TEST(a_pair_that_was_given_up_is_revived_by_a_check_from_there),
		TEST(a_learned_candidate_becomes_what_it_is_told_to_be),
		TEST(a_conflict_of_roles_is_solved_by_the_tie_breaker),
		TEST(of_many_ways_exactly_one_is_nominated),
		TEST(the_better_way_is_preferred_if_it_answers_in_time),
		TEST(the_only_reflexive_way_is_taken_after_half_a_second),
		TEST(a_dead_peer_is_noticed_after_six_seconds),
		TEST(a_way_that_is_cut_in_one_direction_is_lost_to_who_hears_nothing),
		TEST(a_short_break_is_no_loss),
		TEST(a_changed_address_ends_in_a_new_search_that_succeeds),
		TEST(addresses_that_come_during_the_search_are_told_and_tried),
		TEST(a_probe_checks_every_200_ms_until_there_is_an_answer),
		TEST(a_probe_without_an_answer_ends_like_any_loss),
		TEST(a_stock_client_is_reached_in_both_roles),
		TEST(a_stock_client_is_reached_from_behind_a_symmetric_nat),
		TEST(a_stock_client_is_reached_behind_a_nat_with_a_forwarded_port),
		TEST(a_stock_client_that_loses_packets_is_reached),
		TEST(strangers_are_not_answered),
		TEST(stun_is_neither_sent_into_the_tunnel_nor_taken_from_it),
		TEST(two_candidates_of_a_peer_may_have_one_cid),
		TEST(answers_from_elsewhere_or_too_late_do_not_count),
		TEST(errors_change_nothing),
		TEST(answers_leave_from_the_address_that_was_asked),
		TEST(many_requests_do_not_make_many_checks),
		TEST(agents_may_be_freed_in_their_callbacks),
		TEST(a_failed_agent_is_silent_until_it_is_freed),
		TEST(duplicates_cost_nothing_and_too_many_are_refused),
		TEST(thousands_of_agents_share_one_port),
		TEST(a_servers_answer_is_good_for_25_seconds),
		TEST(a_silent_server_is_asked_for_five_seconds),
		TEST(a_changed_outside_address_is_noticed_by_the_monitor),
		TEST(servers_that_are_named_again_are_not_asked_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
