// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// lib/flow.h as seen by packets: lifetimes, and a full table. test_flow.c tests the table alone.
#include "bpf/rig.h"
#include "bpf/steps.h"

static void expires_after(struct rig *rig, uint32_t id, uint32_t idle_s)
{
	uint32_t seen_s = rig_flow(rig, id).seen_s;
	struct talon_nat_gc gc = rig_collect(rig, seen_s + idle_s - 1);

	assert_int_equal(gc.live, 1);
	assert_int_equal(gc.expired, 0);
	gc = rig_collect(rig, seen_s + idle_s);
	assert_int_equal(gc.live, 0);
	assert_int_equal(gc.expired, 1);
}

static uint32_t flow_of(struct rig *rig, const struct pkt_spec *in)
{
	struct packet inner = pkt_ip4(in);
	struct rig_result r = rig_from_peer(rig, 0, &inner);

	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	return r.flow;
}

static void age_flow(struct rig *rig, uint32_t id, uint32_t by_s)
{
	struct talon_flow f = rig_flow(rig, id);

	f.seen_s -= by_s;
	rig_flow_write(rig, id, &f);
}

/* U5, U6, RFC 4787 REQ-5 and REQ-6 */
static void a_udp_mapping_lives_five_minutes_after_its_last_packet_either_way(void **state)
{
	struct pkt_spec in = { .src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 5, .dport = 6,
		.frag = PKT_DF }, reply;
	struct rig *rig = *state;
	uint32_t id = flow_of(rig, &in), now_s = rig_now_ns() / 1000000000;

	age_flow(rig, id, 299);
	snat(rig, &in, &reply);			/* outbound refreshes */
	assert_in_range(rig_flow(rig, id).seen_s, now_s, now_s + 60);
	age_flow(rig, id, 299);
	unsnat(rig, &in, &reply);		/* inbound does, too */
	assert_in_range(rig_flow(rig, id).seen_s, now_s, now_s + 60);
	expires_after(rig, id, 300);
}

/* I2, RFC 5508 REQ-2 */
static void an_icmp_query_mapping_lives_a_minute(void **state)
{
	struct pkt_spec in = { .src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 1, .icmp_type = 8,
		.icmp_id = 6 };
	struct rig *rig = *state;

	expires_after(rig, flow_of(rig, &in), 60);
}

static struct pkt_spec connect_tcp(struct rig *rig, struct pkt_spec *ret_reply)
{
	struct pkt_spec in = { .src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 6, .sport = 5, .dport = 6,
		.frag = PKT_DF, .tcp_flags = TCP_SYN };

	snat(rig, &in, ret_reply);
	ret_reply->tcp_flags = TCP_SYN | TCP_ACK;
	unsnat(rig, &in, ret_reply);
	in.tcp_flags = TCP_ACK;
	snat(rig, &in, ret_reply);
	return in;
}

/* T5, RFC 5382 REQ-5 */
static void a_tcp_connection_lives_as_long_as_rfc_5382_wants(void **state)
{
	struct pkt_spec in = { .src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 6, .sport = 5, .dport = 6,
		.tcp_flags = TCP_SYN }, reply;
	struct rig *rig = *state;

	expires_after(rig, flow_of(rig, &in), 240);		/* not open yet */
	rig_collect(rig, rig_now_ns() / 1000000000 + 100000);
	in = connect_tcp(rig, &reply);
	expires_after(rig, flow_of(rig, &in), 7440);		/* two hours and four minutes */
	rig_collect(rig, rig_now_ns() / 1000000000 + 100000);
	in = connect_tcp(rig, &reply);
	in.tcp_flags = reply.tcp_flags = TCP_FIN | TCP_ACK;
	snat(rig, &in, &reply);
	in.tcp_flags = TCP_ACK;
	age_flow(rig, flow_of(rig, &in), 241);
	assert_int_equal(rig_collect(rig, rig_now_ns() / 1000000000).live, 1);	/* closed on one side only */
	unsnat(rig, &in, &reply);
	expires_after(rig, flow_of(rig, &in), 240);
}

/* T-RST, RFC 7857 section 2.2 */
static void a_reset_leaves_the_mapping_for_four_minutes(void **state)
{
	struct rig *rig = *state;
	struct pkt_spec reply, in = connect_tcp(rig, &reply);
	uint32_t flow;

	in.tcp_flags = TCP_ACK;
	flow = flow_of(rig, &in);
	reply.tcp_flags = TCP_RST;
	unsnat(rig, &in, &reply);
	reply.tcp_flags = TCP_ACK;
	unsnat(rig, &in, &reply);		/* it passes nevertheless */
	expires_after(rig, flow, 240);
}

/* The same section: the time runs while no packets come. */
static void a_reset_that_nobody_believed_cuts_nobody_off(void **state)
{
	struct rig *rig = *state;
	struct pkt_spec reply, in = connect_tcp(rig, &reply);

	reply.tcp_flags = TCP_RST;
	unsnat(rig, &in, &reply);
	reply.tcp_flags = TCP_ACK;
	unsnat(rig, &in, &reply);
	in.tcp_flags = TCP_ACK;
	expires_after(rig, flow_of(rig, &in), 7440);
}

static void a_peer_with_its_share_of_records_is_refused_and_another_is_not(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 50,
		.dport = 6);
	struct rig *rig = *state;
	struct rig_result r;

	rig->config.flow_count = 9;
	rig_config(rig);
	for (uint16_t i = 0; i < 6; i++)
		open_udp(rig, 0, ip4(CLIENT), 10 + i, ip4(GATEWAY), 6);
	r = rig_from_peer(rig, 0, &inner);
	refused_as_full(rig, &r, &inner);
	assert_int_equal(nat_stats(rig).full_share, 1);
	assert_int_equal(nat_stats(rig).full_table, 0);
	inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 50, .dport = 6,
		.ip_options = 4);
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NAT_SHARED_OUT);
	open_udp(rig, 1, ip4(CLIENT1), 4, ip4(GATEWAY), 6);
	open_udp(rig, 0, ip4(CLIENT), 10, ip4(GATEWAY), 6);
}

static void without_a_record_a_new_flow_is_refused_and_old_ones_go_on(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 5,
		.dport = 6);
	struct rig *rig = *state;
	struct rig_result r;
	uint16_t port;

	rig->config.flow_count = 2;
	rig_config(rig);
	port = open_udp(rig, 0, ip4(CLIENT), 4, ip4(GATEWAY), 6);
	r = rig_from_peer(rig, 0, &inner);
	refused_as_full(rig, &r, &inner);
	assert_int_equal(nat_stats(rig).full_table, 1);
	assert_int_equal(open_udp(rig, 0, ip4(CLIENT), 4, ip4(GATEWAY), 6), port);
	inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 5, .dport = 6,
		.ip_options = 4);
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NAT_TABLE);
}

static void a_flow_that_another_cpu_is_creating_is_not_created_twice(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 5,
		.dport = 6);
	struct rig *rig = *state;
	struct rig_result r = rig_from_peer(rig, 0, &inner);
	struct talon_flow flow = rig_flow(rig, r.flow);
	uint32_t id = r.flow;

	flow.phase = TALON_FLOW_TENTATIVE;
	rig_flow_write(rig, id, &flow);
	r = rig_from_peer(rig, 0, &inner);
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NAT_RACE);
	flow.phase = TALON_FLOW_LIVE;
	rig_flow_write(rig, id, &flow);
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	assert_int_equal(r.flow, id);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CASE(a_udp_mapping_lives_five_minutes_after_its_last_packet_either_way),
		RIG_CASE(an_icmp_query_mapping_lives_a_minute),
		RIG_CASE(a_tcp_connection_lives_as_long_as_rfc_5382_wants),
		RIG_CASE(a_reset_leaves_the_mapping_for_four_minutes),
		RIG_CASE(a_reset_that_nobody_believed_cuts_nobody_off),
		RIG_CASE(a_peer_with_its_share_of_records_is_refused_and_another_is_not),
		RIG_CASE(without_a_record_a_new_flow_is_refused_and_old_ones_go_on),
		RIG_CASE(a_flow_that_another_cpu_is_creating_is_not_created_twice),
	};

	return rig_main("lifetimes of flows", tests);
}
