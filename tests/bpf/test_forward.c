// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// lib/forward.h: from the mesh to the cluster, to this host, to another peer, and hairpinned by the NAT.
#include <string.h>

#include <linux/if_ether.h>

#include "bpf/rig.h"
#include "bpf/steps.h"

static void the_inner_source_must_be_the_peers(void **state)
{
	struct rig *rig = *state;
	struct { const char *src; uint32_t peer; bool allowed; } cases[] = {
		{ CLIENT, 0, true }, { CLIENT1, 0, false }, { "192.168.1.5", 0, false }, { CLIENT1, 1, true },
		{ "100.65.1.1", 0, true }, { "100.65.1.7", 0, false }, { "100.65.1.7", 1, true },
		{ "100.65.1.8", 1, false },
		{ "100.65.2.1", 2, true }, { "100.66.0.1", 2, false },
	};

	rig_allow(rig, "100.65.0.0", 16, 2);
	rig_allow(rig, "100.65.1.0", 24, 0);
	rig_allow(rig, "100.65.1.7", 32, 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct packet inner = PKT(.src = ip4(cases[i].src), .dst = ip4(GATEWAY), .proto = 17,
			.sport = 5, .dport = 6);
		struct rig_result r = rig_from_peer(rig, cases[i].peer, &inner);

		rig_ends(rig, &r, TALON_DIR_IN, cases[i].allowed ? TALON_FORWARDED : TALON_NOT_ALLOWED);
		assert_int_equal(r.verdict, cases[i].allowed ? RIG_SEND : RIG_DROP);
	}
}

static void an_address_of_this_host_is_no_source_even_if_allowed(void **state)
{
	static const char *const ours[] = { NODE, MESH, "10.9.0.1", "127.0.0.1" };
	struct rig *rig = *state;

	rig_allow(rig, "0.0.0.0", 0, 0);
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		struct packet inner = PKT(.src = ip4(ours[i]), .dst = ip4(GATEWAY), .proto = 17, .sport = 5,
			.dport = 6);
		struct rig_result r = rig_from_peer(rig, 0, &inner);

		assert_int_equal(r.verdict, RIG_DROP);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_LOCAL_SOURCE);
	}
}

static void a_flow_of_an_address_that_moved_to_another_peer_is_judged_anew(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 5,
		.dport = 6);
	struct rig *rig = *state;
	struct rig_result r = rig_from_peer(rig, 0, &inner);
	struct packet out = rig_plain(rig, &r), reply;
	uint32_t flow = r.flow;

	r = rig_from_peer(rig, 1, &inner);	/* not its address yet, despite the existing flow */
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NOT_ALLOWED);
	rig_allow(rig, CLIENT, 32, 1);
	rig_bump(rig);
	reply = PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 6, .dport = SPORT(&out));
	/* and peer 0 gets nothing for an address that it no longer has */
	r = rig_from_wire(rig, &reply);
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_NO_PEER);
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NOT_ALLOWED);
	r = rig_from_peer(rig, 1, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	assert_int_not_equal(r.flow, flow);	/* the reply ended it */
	out = rig_plain(rig, &r);
	reply = PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 6, .dport = SPORT(&out));
	r = rig_from_wire(rig, &reply);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	rig_opened(rig, &r, 1);
}

static void a_malformed_inner_packet_is_dropped(void **state)
{
	struct packet good = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 6, .sport = 5, .dport = 6,
		.payload = 20);
	struct { uint32_t at; uint8_t value; enum talon_end end; } changes[] = {
		{ 0, 0x44, TALON_BAD_INNER }, { 0, 0x55, TALON_BAD_INNER }, { 0, 0x05, TALON_BAD_INNER },
		{ 0, 0x65, TALON_INNER_IPV6 },
		{ 0, 0x4f, TALON_INNER_CHECKSUM }, { 2, 0x10, TALON_BAD_INNER }, { 3, 19, TALON_BAD_INNER },
		{ 3, 0, TALON_BAD_INNER },
		{ 3, 20, TALON_BAD_INNER }, { 3, 39, TALON_BAD_INNER },
	};
	struct rig *rig = *state;
	struct rig_peer *p = &rig->peers[0];
	struct packet message, frame;
	struct rig_result r;

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		struct packet inner = good;

		inner.bytes[changes[i].at] = changes[i].value;
		if (inner.bytes[0] == 0x45)
			pkt_fix_header(&inner);
		r = rig_from_peer(rig, 0, &inner);
		assert_int_equal(r.verdict, RIG_DROP);
		rig_ends(rig, &r, TALON_DIR_IN, changes[i].end);
	}
	for (uint32_t len = 1; len < 20; len++) {
		message = pkt_wg_raw(p->recv_key, p->index, p->counter++, good.bytes, len);
		frame = rig_outer(rig, 0, 0, &message);
		r = rig_run(rig, &frame);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_BAD_INNER);
	}
	for (int proto = 1; proto <= 17; proto += 16) {	/* no room for an ICMP or UDP header */
		struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 253,
			.payload = 7);

		inner.bytes[9] = proto;
		pkt_fix_header(&inner);
		r = rig_from_peer(rig, 0, &inner);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_BAD_INNER);
	}
}

static void what_no_route_leads_to_is_dropped(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4("172.16.0.1"), .proto = 17, .sport = 5,
		.dport = 6);
	struct rig *rig = *state;
	struct rig_result r = rig_from_peer(rig, 0, &inner);

	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NO_ROUTE);
}

static void longest_route_wins(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 253, .payload = 8);
	struct rig *rig = *state;
	struct rig_result r = rig_from_peer(rig, 0, &inner);
	struct packet out;

	rig_ends(rig, &r, TALON_DIR_IN, TALON_NAT_PROTO);	/* masquerade */
	rig_route(rig, GATEWAY, 32, 0);
	rig_bump(rig);
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	out = rig_plain(rig, &r);
	inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 253, .payload = 8, .ttl = 63);
	pkt_equal(&out, &inner);
}

static void a_flow_whose_route_is_no_longer_masqueraded_keeps_its_source(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 5,
		.dport = 6), out;
	struct rig *rig = *state;
	struct rig_result r;

	open_udp(rig, 0, ip4(CLIENT), 5, ip4(GATEWAY), 6);
	rig_route(rig, GATEWAY, 32, 0);
	rig_bump(rig);
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	out = rig_plain(rig, &r);
	inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 5, .dport = 6, .ttl = 63);
	pkt_equal(&out, &inner);
}

static void a_local_destination_gets_the_packet_with_its_mesh_source(void **state)
{
	/* by route, by route, and as the kernel knows */
	static const char *const local[] = { VIP, MESH, NODE, "10.9.0.1" };
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++) {
		for (uint32_t peer = 0; peer < RIG_PEERS; peer += 2) {
			struct packet inner = PKT(.src = rig->peers[peer].mesh, .dst = ip4(local[i]),
				.proto = 6, .sport = 5, .dport = 80, .tcp_flags = TCP_SYN, .ttl = 1);
			struct rig_result r;

			if (i >= 2)	/* found by the FIB, which comes after the TTL */
				inner = PKT(.src = rig->peers[peer].mesh, .dst = ip4(local[i]), .proto = 6,
					.sport = 5, .dport = 80, .tcp_flags = TCP_SYN);
			r = rig_from_peer(rig, peer, &inner);
			handed_up(rig, &r, &inner);
		}
	}
}

static void local_delivery_can_go_through_the_tunnel_device(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(VIP), .proto = 6, .sport = 5, .dport = 80,
		.payload = 9), want;
	struct rig *rig = *state;
	struct rig_result r;

	rig->config.flags |= TALON_F_HANDUP_TUNNEL;
	rig_config(rig);
	r = rig_from_peer(rig, 0, &inner);
	assert_int_equal(r.verdict, RIG_SEND);
	assert_int_equal(r.ifindex, rig->wt0p);		/* out of the far end: it comes in by wt0 */
	rig_ends(rig, &r, TALON_DIR_IN, TALON_LOCAL);
	want = pkt_ether(rig_wt0_mac, rig_wt0p_mac, ETH_P_IP, &inner);
	pkt_equal(&r.frame, &want);
}

static void other_protocols_cannot_share_an_address(void **state)
{
	static const uint8_t protos[] = { 47, 50, 132, 2 };
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(protos); i++) {
		struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = protos[i],
			.payload = 16);
		struct rig_result r = rig_from_peer(rig, 0, &inner);

		assert_int_equal(r.verdict, RIG_DROP);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_NAT_PROTO);
	}
}

static void an_echo_reply_of_a_client_to_nobody_is_dropped(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 1, .icmp_type = 0,
		.icmp_id = 3, .payload = 8);
	struct rig *rig = *state;
	struct rig_result r = rig_from_peer(rig, 0, &inner);

	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NAT_NO_FLOW);
}

static void what_is_too_big_but_may_be_cut_is_given_to_the_controller(void **state)
{
	struct rig *rig = *state;

	for (int known = 0; known < 2; known++) {
		struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(NARROW), .proto = 17, .sport = 5,
			.dport = 6, .payload = 1100, .id = 4711);
		struct rig_result r = rig_from_peer(rig, 0, &inner);
		const struct rig_event *event = rig_event(&r, TALON_EVENT_TOO_BIG);
		struct packet got = { .len = event->head.len }, want;

		assert_int_equal(r.verdict, RIG_DROP);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_HELD);
		assert_int_equal(event->head.id, 1000);
		assert_int_equal(event->head.ifindex, rig->eth1);
		assert_int_equal(event->head.addr.word[0], ip4(NARROW));
		memcpy(got.bytes, event->data, got.len);
		want = PKT(.src = ip4(NODE), .dst = ip4(NARROW), .proto = 17, .sport = SPORT(&got),
			.dport = 6, .payload = 1100, .ttl = 63, .id = IP_ID(&got));
		pkt_equal(&got, &want);
		assert_in_range(SPORT(&got), RIG_PORT_FIRST, RIG_PORT_LAST);
	}
	{
		struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(NARROW), .proto = 17, .sport = 5,
			.dport = 6, .payload = 1100);
		struct rig_result r;

		rig_drain(rig, "event");
		r = rig_from_peer(rig, 0, &inner);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_TOO_BIG);
	}
}

static void what_one_peer_sends_another_is_sealed_again(void **state)
{
	struct rig *rig = *state;

	for (uint32_t to = 0; to < RIG_PEERS; to++) {
		uint32_t from = (to + 1) % RIG_PEERS;
		struct packet inner = PKT(.src = rig->peers[from].mesh, .dst = rig->peers[to].mesh,
			.proto = 17, .sport = 5, .dport = 6, .payload = 77, .id = 9);
		struct packet want = PKT(.src = rig->peers[from].mesh, .dst = rig->peers[to].mesh,
			.proto = 17, .sport = 5, .dport = 6, .payload = 77, .id = 9, .ttl = 63), got;
		struct rig_result r = rig_from_peer(rig, from, &inner);

		rig_ends(rig, &r, TALON_DIR_IN, TALON_RESEALED);
		got = rig_opened(rig, &r, to);
		pkt_equal(&got, &want);
	}
}

static void clients_reach_each_other_by_their_external_addresses(void **state)
{
	struct rig *rig = *state;
	uint16_t a = open_udp(rig, 0, ip4(CLIENT), 500, ip4(GATEWAY), 53),
		b = open_udp(rig, 1, ip4(CLIENT1), 600, ip4(GATEWAY), 53);
	struct packet from_a = PKT(.src = ip4(CLIENT), .dst = ip4(NODE), .proto = 17, .sport = 500,
		.dport = b, .payload = 20, .frag = PKT_DF);
	struct packet from_b = PKT(.src = ip4(CLIENT1), .dst = ip4(NODE), .proto = 17, .sport = 600,
		.dport = a, .payload = 30, .frag = PKT_DF, .ttl = 2);
	struct packet got, want, about, error;
	struct rig_result r;

	/* b has not sent there yet: filtered, as from the wire */
	r = rig_from_peer(rig, 0, &from_a);
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NAT_NO_FLOW);
	r = rig_from_peer(rig, 1, &from_b);	/* now both did */
	rig_ends(rig, &r, TALON_DIR_IN, TALON_RESEALED);
	got = rig_opened(rig, &r, 0);
	want = PKT(.src = ip4(NODE), .dst = ip4(CLIENT), .proto = 17, .sport = b, .dport = 500, .payload = 30,
		.frag = PKT_DF, .ttl = 1);
	pkt_equal(&got, &want);
	r = rig_from_peer(rig, 0, &from_a);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_RESEALED);
	about = rig_opened(rig, &r, 1);
	want = PKT(.src = ip4(NODE), .dst = ip4(CLIENT1), .proto = 17, .sport = a, .dport = 600,
		.payload = 20, .frag = PKT_DF, .ttl = 63);
	pkt_equal(&about, &want);

	error = pkt_icmp_error(ip4(CLIENT1), ip4(NODE), 3, 3, 0, &about, 28);	/* b's port is closed */
	r = rig_from_peer(rig, 1, &error);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_RESEALED);
	got = rig_opened(rig, &r, 0);
	from_a = PKT(.src = ip4(CLIENT), .dst = ip4(NODE), .proto = 17, .sport = 500, .dport = b,
		.payload = 20, .frag = PKT_DF, .ttl = 63);
	want = pkt_icmp_error(ip4(NODE), ip4(CLIENT), 3, 3, 0, &from_a, 28);
	want.bytes[8] = 63;
	pkt_fix_header(&want);
	pkt_equal(&got, &want);
}

static void a_hairpinned_packet_that_is_too_big_is_answered(void **state)
{
	struct rig *rig = *state;
	uint16_t b = open_udp(rig, 1, ip4(CLIENT1), 600, ip4(GATEWAY), 53);
	struct packet big = PKT(.src = ip4(CLIENT), .dst = ip4(NODE), .proto = 17, .sport = 500, .dport = b,
		.payload = 1300, .frag = PKT_DF);
	struct rig_result r = rig_from_peer(rig, 0, &big);
	struct packet got, want;

	rig_ends(rig, &r, TALON_DIR_IN, TALON_ICMP_SENT);
	got = rig_opened(rig, &r, 0);
	want = own_error(ip4(MESH), ip4(CLIENT), 3, 4, RIG_MTU, &big);
	pkt_equal(&got, &want);
	big = PKT(.src = ip4(CLIENT), .dst = ip4(NODE), .proto = 17, .sport = 500, .dport = b,
		.payload = 1300);
	r = rig_from_peer(rig, 0, &big);
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_TOO_BIG);
}

static void a_hairpinned_packet_whose_ttl_is_up_is_answered_and_makes_no_flow(void **state)
{
	struct rig *rig = *state;
	uint16_t b = open_udp(rig, 1, ip4(CLIENT1), 600, ip4(GATEWAY), 53);
	struct packet late = PKT(.src = ip4(CLIENT), .dst = ip4(NODE), .proto = 17, .sport = 500, .dport = b,
		.ttl = 1);
	struct rig_result r = rig_from_peer(rig, 0, &late);
	struct packet got, want;

	rig_ends(rig, &r, TALON_DIR_IN, TALON_ICMP_SENT);
	got = rig_opened(rig, &r, 0);
	want = own_error(ip4(MESH), ip4(CLIENT), 11, 0, 0, &late);
	pkt_equal(&got, &want);
	assert_int_equal(nat_stats(rig).live, 1);
}

static void a_port_of_the_node_that_nobody_mapped_is_the_hosts(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(NODE), .proto = 6, .sport = 500,
		.dport = 13000, .tcp_flags = TCP_SYN);
	struct rig *rig = *state;
	struct rig_result r = rig_from_peer(rig, 0, &inner);

	handed_up(rig, &r, &inner);
	rig_spare(rig);
	rig_bump(rig);
	inner = PKT(.src = ip4(CLIENT), .dst = ip4(SPARE), .proto = 6, .sport = 500, .dport = 13000,
		.tcp_flags = TCP_SYN);
	r = rig_from_peer(rig, 0, &inner);	/* no host owns the spare address */
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NAT_NO_FLOW);
}

static void a_next_hop_without_mac_is_told_to_the_controller(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(NOBODY), .proto = 17, .sport = 5, .dport = 6,
		.payload = 50, .frag = PKT_DF);
	struct rig *rig = *state;
	struct rig_result r = rig_from_peer(rig, 0, &inner);
	const struct rig_event *event = rig_event(&r, TALON_EVENT_NEIGH);
	struct packet got = { .len = event->head.len }, want;

	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_HELD);
	assert_int_equal(event->head.ifindex, rig->eth0);
	assert_int_equal(event->head.addr.word[0], ip4(NOBODY));
	memcpy(got.bytes, event->data, got.len);
	want = PKT(.src = ip4(NODE), .dst = ip4(NOBODY), .proto = 17, .sport = SPORT(&got), .dport = 6,
		.payload = 50, .frag = PKT_DF, .ttl = 63);
	pkt_equal(&got, &want);
	rig_drain(rig, "event");
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NO_NEIGH);

	rig_ip("neigh replace 192.168.1.77 lladdr 02:00:00:00:02:20 dev eth0 nud permanent");
	r = rig_from_peer(rig, 0, &inner);	/* no new generation needed: nothing was kept */
	rig_ip("neigh del 192.168.1.77 dev eth0");
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	got = rig_plain(rig, &r);
	pkt_equal(&got, &want);
}

static void a_new_generation_asks_for_the_way_again(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 5,
		.dport = 6);
	struct rig *rig = *state;
	struct rig_result r = rig_from_peer(rig, 0, &inner);

	rig_plain(rig, &r);
	rig_ip("neigh replace 192.168.1.220 lladdr 02:00:00:00:ab:cd dev eth0 nud permanent");
	r = rig_from_peer(rig, 0, &inner);
	rig_plain(rig, &r);			/* what was kept is used */
	rig_bump(rig);
	r = rig_from_peer(rig, 0, &inner);
	rig_ip("neigh replace 192.168.1.220 lladdr 02:00:00:00:02:20 dev eth0 nud permanent");
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	assert_memory_equal(r.frame.bytes, "\x02\0\0\0\xab\xcd", 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CASE(the_inner_source_must_be_the_peers),
		RIG_CASE(an_address_of_this_host_is_no_source_even_if_allowed),
		RIG_CASE(a_flow_of_an_address_that_moved_to_another_peer_is_judged_anew),
		RIG_CASE(a_malformed_inner_packet_is_dropped),
		RIG_CASE(what_no_route_leads_to_is_dropped),
		RIG_CASE(longest_route_wins),
		RIG_CASE(a_flow_whose_route_is_no_longer_masqueraded_keeps_its_source),
		RIG_CASE(a_local_destination_gets_the_packet_with_its_mesh_source),
		RIG_CASE(local_delivery_can_go_through_the_tunnel_device),
		RIG_CASE(other_protocols_cannot_share_an_address),
		RIG_CASE(an_echo_reply_of_a_client_to_nobody_is_dropped),
		RIG_CASE(what_is_too_big_but_may_be_cut_is_given_to_the_controller),
		RIG_CASE(what_one_peer_sends_another_is_sealed_again),
		RIG_CASE(clients_reach_each_other_by_their_external_addresses),
		RIG_CASE(a_hairpinned_packet_that_is_too_big_is_answered),
		RIG_CASE(a_hairpinned_packet_whose_ttl_is_up_is_answered_and_makes_no_flow),
		RIG_CASE(a_port_of_the_node_that_nobody_mapped_is_the_hosts),
		RIG_CASE(a_next_hop_without_mac_is_told_to_the_controller),
		RIG_CASE(a_new_generation_asks_for_the_way_again),
	};

	return rig_main("forwarding", tests);
}
