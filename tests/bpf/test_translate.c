// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// lib/translate.h: replies from the cluster are translated back for the client.
#include <arpa/inet.h>

#include <linux/if_ether.h>

#include "bpf/rig.h"
#include "bpf/steps.h"

static void tcp_is_translated_there_and_back(void **state)
{
	struct pkt_spec in = { .src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 6, .sport = 40001,
		.dport = 443, .tcp_flags = TCP_SYN, .frag = PKT_DF, .id = 77 }, reply;
	struct rig *rig = *state;
	uint16_t port = snat(rig, &in, &reply);

	reply.tcp_flags = TCP_SYN | TCP_ACK;
	unsnat(rig, &in, &reply);
	for (int i = 0; i < 40; i++) {
		in.tcp_flags = TCP_ACK;
		in.payload = i * 29;
		in.seed = i;
		assert_int_equal(snat(rig, &in, &reply), port);
		reply.payload = i * 31;
		unsnat(rig, &in, &reply);
	}
}

static void udp_is_translated_there_and_back(void **state)
{
	struct pkt_spec in = { .src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 40001,
		.dport = 53, .frag = PKT_DF }, reply;
	struct rig *rig = *state;
	uint16_t port = snat(rig, &in, &reply);

	for (int i = 0; i < 40; i++) {
		in.payload = i * 13;
		in.seed = i * 3;
		assert_int_equal(snat(rig, &in, &reply), port);
		reply.payload = i * 31;
		unsnat(rig, &in, &reply);
	}
}

static void icmp_queries_are_translated_by_their_id(void **state)
{
	/* echo, timestamp */
	static const struct { uint8_t query, reply; } kinds[] = { { 8, 0 }, { 13, 14 } };
	struct rig *rig = *state;

	for (size_t i = 0; i < 2; i++) {
		struct pkt_spec in = { .src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 1,
			.icmp_type = kinds[i].query, .icmp_id = 0x1234 + i, .icmp_seq = 7, .payload = 56,
			.frag = PKT_DF }, reply;
		uint16_t id = snat(rig, &in, &reply);

		reply.icmp_type = kinds[i].reply;
		unsnat(rig, &in, &reply);
		in.icmp_seq = 8;
		assert_int_equal(snat(rig, &in, &reply), id);
	}
}

static void a_reply_nobody_asked_for_is_left_alone(void **state)
{
	struct pkt_spec in = { .src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 1, .icmp_type = 8,
		.icmp_id = 9, .frag = PKT_DF }, reply;
	struct rig *rig = *state;
	uint16_t port = open_udp(rig, 0, ip4(CLIENT), 5, ip4(GATEWAY), 6);
	struct packet frame, near[] = {
		/* another port of the remote */
		PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 7, .dport = port),
		/* another remote */
		PKT(.src = ip4("192.168.1.219"), .dst = ip4(NODE), .proto = 17, .sport = 6, .dport = port),
		PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 6, .dport = port ^ 1),
		PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 6, .sport = 6, .dport = port,
			.tcp_flags = TCP_ACK),
	};

	for (size_t i = 0; i < 4; i++) {
		frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IP, &near[i]);
		passes_untouched(rig, &frame);
	}
	snat(rig, &in, &reply);		/* an echo request with the id of our query is not a reply */
	frame = pkt_ip4(&reply);
	frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IP, &frame);
	passes_untouched(rig, &frame);
}

static void fragments_of_a_reply_follow_their_first_one(void **state)
{
	struct rig *rig = *state;
	uint16_t port = open_udp(rig, 0, ip4(CLIENT), 5, ip4(GATEWAY), 6);
	struct packet whole = PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 6,
		.dport = port, .payload = 1000, .id = 77);
	struct packet want = PKT(.src = ip4(GATEWAY), .dst = ip4(CLIENT), .proto = 17, .sport = 6, .dport = 5,
		.payload = 1000, .id = 77, .ttl = 63);

	for (uint32_t off = 0; off < 1008; off += 400) {
		struct packet part = pkt_fragment(&whole, off, off < 800 ? 400 : 208),
			wanted = pkt_fragment(&want, off, off < 800 ? 400 : 208);
		struct rig_result r = rig_from_wire(rig, &part);
		struct packet got;

		rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
		got = rig_opened(rig, &r, 0);
		pkt_equal(&got, &wanted);
		assert_int_equal(r.event_count, 0);
	}
}

static void a_later_fragment_that_comes_first_is_kept_by_the_controller(void **state)
{
	struct rig *rig = *state;
	uint16_t port = open_udp(rig, 0, ip4(CLIENT), 5, ip4(GATEWAY), 6);
	struct packet whole = PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 6,
		.dport = port, .payload = 1000, .id = 77);
	struct packet later = pkt_fragment(&whole, 400, 400), first = pkt_fragment(&whole, 0, 400), frame;
	const struct rig_event *event;
	struct rig_result r;

	r = rig_from_wire(rig, &later);
	assert_int_equal(r.verdict, RIG_PASS);		/* it may be one of the host's own */
	frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IP, &later);
	pkt_equal(&r.frame, &frame);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_HELD);
	event = rig_event(&r, TALON_EVENT_FRAGMENT);
	assert_int_equal(event->head.addr.word[0], ip4(GATEWAY));
	assert_int_equal(event->head.addr2.word[0], ip4(NODE));
	assert_int_equal(event->head.id, 17u << 16 | htons(77));
	assert_int_equal(event->head.len, later.len);
	assert_memory_equal(event->data, later.bytes, later.len);

	r = rig_from_wire(rig, &first);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	event = rig_event(&r, TALON_EVENT_FRAG_FIRST);
	assert_int_equal(event->head.peer, 0);
	assert_int_equal(event->head.addr.word[0], ip4(GATEWAY));
	assert_int_equal(event->head.addr2.word[0], ip4(NODE));
	assert_int_equal(event->head.id, 17u << 16 | htons(77));
	r = rig_from_wire(rig, &later);			/* from now on the way is known */
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	rig_opened(rig, &r, 0);
}

static void without_flows_fragments_are_none_of_our_business(void **state)
{
	struct packet whole = PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 6,
		.dport = 15000, .payload = 1000, .id = 77);
	struct packet later = pkt_fragment(&whole, 400, 400), frame;
	struct rig *rig = *state;

	assert_int_equal(nat_stats(rig).live, 0);
	frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IP, &later);
	passes_untouched(rig, &frame);
}

static void a_route_without_masquerade_works_both_ways(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(PLAIN), .proto = 6, .sport = 5, .dport = 6,
		.payload = 7, .id = 9);
	struct packet want = PKT(.src = ip4(CLIENT), .dst = ip4(PLAIN), .proto = 6, .sport = 5, .dport = 6,
		.payload = 7, .id = 9, .ttl = 63);
	struct packet reply = PKT(.src = ip4(PLAIN), .dst = ip4(CLIENT), .proto = 6, .sport = 6, .dport = 5,
		.payload = 900, .id = 3), got, frame;
	struct rig *rig = *state;
	struct rig_result r = rig_from_peer(rig, 0, &inner);

	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	got = rig_plain(rig, &r);
	pkt_equal(&got, &want);
	frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IP, &reply);
	passes_untouched(rig, &frame);		/* only the flag turns it on */
	rig->config.flags |= TALON_F_PLAIN_ROUTES;
	rig_config(rig);
	r = rig_from_wire(rig, &reply);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	got = rig_opened(rig, &r, 0);
	want = PKT(.src = ip4(PLAIN), .dst = ip4(CLIENT), .proto = 6, .sport = 6, .dport = 5, .payload = 900,
		.id = 3, .ttl = 63);
	pkt_equal(&got, &want);

	frame.bytes[5] ^= 1;			/* to another host's MAC, on a port in promiscuous mode */
	passes_untouched(rig, &frame);
	inner = PKT(.src = ip4(PLAIN), .dst = ip4("100.64.99.99"), .proto = 17);
	frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IP, &inner);
	passes_untouched(rig, &frame);		/* nobody's address */
	rig_allow(rig, "0.0.0.0", 0, 1);
	inner = PKT(.src = ip4(PLAIN), .dst = ip4(MESH), .proto = 17);
	frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IP, &inner);
	passes_untouched(rig, &frame);		/* our own address, even if a peer is allowed everything */
}

/* A peer would believe it. Without the flag the host's stack has it, and drops it as a martian. */
static void nobody_on_the_wire_speaks_for_this_host(void **state)
{
	static const char *const ours[] = { MESH, NODE };
	struct rig *rig = *state;

	rig->config.flags |= TALON_F_PLAIN_ROUTES;
	rig_config(rig);
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		struct packet forged = PKT(.src = ip4(ours[i]), .dst = ip4(CLIENT), .proto = 17, .sport = 22,
			.dport = 5);
		struct rig_result r = rig_from_wire(rig, &forged);

		rig_ends(rig, &r, TALON_DIR_OUT, TALON_LOCAL_SOURCE);
	}
}

/* T4, RFC 5382 REQ-4 */
static void an_unsolicited_syn_to_a_mapped_port_gets_no_answer(void **state)
{
	struct rig *rig = *state;
	uint16_t port = open_tcp(rig, 5, 6);
	struct packet syn = PKT(.src = ip4("192.168.1.99"), .dst = ip4(NODE), .proto = 6, .sport = 9,
		.dport = port, .tcp_flags = TCP_SYN), frame;
	struct rig_result r = rig_from_wire(rig, &syn);

	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_NAT_NO_FLOW);
	syn = PKT(.src = ip4("192.168.1.99"), .dst = ip4(NODE), .proto = 6, .sport = 9, .dport = port ^ 1,
		.tcp_flags = TCP_SYN);
	frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IP, &syn);
	passes_untouched(rig, &frame);		/* a port that is not mapped is the host's business */
}

/* T2, RFC 5382 REQ-2 */
static void a_simultaneous_open_goes_through(void **state)
{
	struct pkt_spec in = { .src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 6, .sport = 7000,
		.dport = 7001, .tcp_flags = TCP_SYN, .frag = PKT_DF }, reply;
	struct rig *rig = *state;
	struct packet packet;
	struct rig_result r;

	snat(rig, &in, &reply);
	reply.tcp_flags = TCP_SYN;
	unsnat(rig, &in, &reply);
	in.tcp_flags = TCP_SYN | TCP_ACK;
	snat(rig, &in, &reply);
	reply.tcp_flags = TCP_SYN | TCP_ACK;
	unsnat(rig, &in, &reply);
	packet = pkt_ip4(&reply);
	r = rig_from_wire(rig, &packet);
	assert_true(rig_flow(rig, r.flow).tcp & TALON_TCP_ESTABLISHED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CASE(tcp_is_translated_there_and_back),
		RIG_CASE(udp_is_translated_there_and_back),
		RIG_CASE(icmp_queries_are_translated_by_their_id),
		RIG_CASE(a_reply_nobody_asked_for_is_left_alone),
		RIG_CASE(fragments_of_a_reply_follow_their_first_one),
		RIG_CASE(a_later_fragment_that_comes_first_is_kept_by_the_controller),
		RIG_CASE(without_flows_fragments_are_none_of_our_business),
		RIG_CASE(a_route_without_masquerade_works_both_ways),
		RIG_CASE(nobody_on_the_wire_speaks_for_this_host),
		RIG_CASE(an_unsolicited_syn_to_a_mapped_port_gets_no_answer),
		RIG_CASE(a_simultaneous_open_goes_through),
	};

	return rig_main("translation", tests);
}
