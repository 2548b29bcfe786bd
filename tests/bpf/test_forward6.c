// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// lib/forward6.h, inner6.h and whose6.h: IPv6 from the mesh to the network, to this host and to another peer.
#include <stdlib.h>
#include <string.h>

#include <linux/if_ether.h>

#include "bpf/rig.h"
#include "bpf/steps.h"

static const char *const clients[RIG_PEERS] = { CLIENT6, CLIENT6_1, CLIENT6_2 };

/* A UDP packet of peer 0 to @dst ends as @end says. */
static struct rig_result to_ends(struct rig *rig, const char *dst, enum talon_end end)
{
	struct packet inner = PKT6(.src = ip6(CLIENT6), .dst = ip6(dst), .proto = 17, .sport = 5, .dport = 6,
		.payload = 20);
	struct rig_result r = rig_from_peer(rig, 0, &inner);

	rig_ends(rig, &r, TALON_DIR_IN, end);
	return r;
}

/* Of both outer families, by both inner ones. */
static void a_packet_of_either_family_comes_out_of_a_tunnel_over_either(void **state)
{
	struct rig *rig = *state;

	rig_six(rig);
	for (uint32_t peer = 0; peer < RIG_PEERS; peer++) {
		struct packet four = PKT(.src = rig->peers[peer].mesh, .dst = ip4(PLAIN), .proto = 17,
			.sport = 5, .dport = 6, .payload = 100);
		struct packet six = PKT6(.src = ip6(clients[peer]), .dst = ip6(PLAIN6), .proto = 17,
			.sport = 5, .dport = 6, .payload = 100);
		struct rig_result r = rig_from_peer(rig, peer, &four);
		struct packet out, want;

		rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
		out = rig_plain(rig, &r);
		want = PKT(.src = rig->peers[peer].mesh, .dst = ip4(PLAIN), .proto = 17, .sport = 5,
			.dport = 6, .payload = 100, .ttl = 63);
		pkt_equal(&out, &want);
		r = rig_from_peer(rig, peer, &six);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
		out = rig_plain(rig, &r);
		want = PKT6(.src = ip6(clients[peer]), .dst = ip6(PLAIN6), .proto = 17, .sport = 5,
			.dport = 6, .payload = 100, .hops = 63);
		pkt_equal(&out, &want);
	}
}

static void every_length_comes_through(void **state)
{
	struct rig *rig = *state;

	rig_six(rig);
	for (uint32_t payload = 0; payload <= 1232; payload += payload < 80 ? 1 : 97) {
		for (uint32_t peer = 0; peer <= 2; peer += 2) {
			struct packet inner = PKT6(.src = ip6(clients[peer]), .dst = ip6(PLAIN6), .proto = 17,
				.sport = 5, .dport = 6, .payload = payload);
			struct rig_result r = rig_from_peer(rig, peer, &inner);
			struct packet out = rig_plain(rig, &r);

			inner.bytes[7] = 63;
			pkt_equal(&out, &inner);
		}
	}
}

static void without_the_flag_ipv6_is_refused_as_ever(void **state)
{
	struct packet inner = PKT6(.src = ip6(CLIENT6), .dst = ip6(GATEWAY6), .proto = 17, .sport = 5,
		.dport = 6, .payload = 20), got, want;
	struct rig *rig = *state;
	struct rig_result r;

	rig_six(rig);
	rig->config.flags &= ~TALON_F_INNER6;
	rig_config(rig);
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_ICMP_SENT);
	got = rig_opened(rig, &r, 0);
	want = own_error6(GATEWAY6, CLIENT6, 1, 0, 0, &inner);
	pkt_equal(&got, &want);
}

static void the_inner_source_must_be_the_peers(void **state)
{
	struct rig *rig = *state;
	struct { const char *src; uint32_t peer; enum talon_end end; } cases[] = {
		{ CLIENT6, 0, TALON_FORWARDED }, { CLIENT6_1, 0, TALON_NOT_ALLOWED },
		{ "2001:db8:5::1", 0, TALON_NOT_ALLOWED }, { CLIENT6_1, 1, TALON_FORWARDED },
		{ "fd00:65:1::1", 0, TALON_FORWARDED }, { "fd00:65:1::7", 0, TALON_NOT_ALLOWED },
		{ "fd00:65:1::7", 1, TALON_FORWARDED }, { "fd00:65:2::1", 2, TALON_FORWARDED },
		{ "fd00:66::1", 2, TALON_NOT_ALLOWED }, { "::", 0, TALON_BAD_DESTINATION },
		{ "::1", 0, TALON_BAD_DESTINATION }, { "fe80::1", 0, TALON_BAD_DESTINATION },
		{ "ff02::1", 0, TALON_BAD_DESTINATION }, { "::ffff:192.168.1.1", 0, TALON_BAD_DESTINATION },
	};

	rig_six(rig);
	rig_allow6(rig, "fd00:65::", 32, 2);
	rig_allow6(rig, "fd00:65:1::", 48, 0);
	rig_allow6(rig, "fd00:65:1::7", 128, 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct packet inner = PKT6(.src = ip6(cases[i].src), .dst = ip6(GATEWAY6), .proto = 17,
			.sport = 5, .dport = 6);
		struct rig_result r = rig_from_peer(rig, cases[i].peer, &inner);

		rig_ends(rig, &r, TALON_DIR_IN, cases[i].end);
	}
}

static void an_address_of_this_host_is_no_source_even_if_allowed(void **state)
{
	static const char *const ours[] = { NODE6, MESH6, SECOND6 };
	struct rig *rig = *state;

	rig_six(rig);
	rig_allow6(rig, "::", 0, 0);
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		struct packet inner = PKT6(.src = ip6(ours[i]), .dst = ip6(GATEWAY6), .proto = 17, .sport = 5,
			.dport = 6);
		struct rig_result r = rig_from_peer(rig, 0, &inner);

		rig_ends(rig, &r, TALON_DIR_IN, TALON_LOCAL_SOURCE);
	}
}

static void no_destination_of_one_link_or_host_is_forwarded(void **state)
{
	static const char *const bad[] = { "::", "::1", "::7", "fe80::1", "febf::1", "ff02::1", "ff0e::1",
		"::ffff:10.9.0.2" };
	struct rig *rig = *state;

	rig_six(rig);
	rig_route6(rig, "::", 0, TALON_ROUTE_MASQUERADE);	/* as an exit node has */
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct rig_result r = to_ends(rig, bad[i], TALON_BAD_DESTINATION);

		assert_int_equal(r.verdict, RIG_DROP);
	}
	to_ends(rig, "fec0::1", TALON_FORWARDED);
}

static void neighbours_and_listeners_are_not_asked_through_the_tunnel(void **state)
{
	static const uint8_t types[] = { 130, 131, 132, 133, 134, 135, 136, 137, 141, 142, 143, 148,
		149, 151 };
	struct rig *rig = *state;

	rig_six(rig);
	for (size_t i = 0; i < sizeof(types); i++) {
		struct packet inner = PKT6(.src = ip6(CLIENT6), .dst = ip6(PLAIN6), .proto = 58,
			.icmp_type = types[i], .hops = 255, .payload = 24);
		struct rig_result r = rig_from_peer(rig, 0, &inner);

		rig_ends(rig, &r, TALON_DIR_IN, TALON_BAD_DESTINATION);
	}
	{	/* who are you (RFC 4620) is for any host */
		struct packet inner = PKT6(.src = ip6(CLIENT6), .dst = ip6(PLAIN6), .proto = 58,
			.icmp_type = 139, .payload = 24);
		struct rig_result r = rig_from_peer(rig, 0, &inner);

		rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	}
}

static void a_malformed_packet_is_dropped(void **state)
{
	struct packet good = PKT6(.src = ip6(CLIENT6), .dst = ip6(PLAIN6), .proto = 6, .sport = 5, .dport = 6,
		.payload = 20);
	struct { uint32_t at; uint8_t value; } changes[] = {
		{ 4, 1 }, { 5, 41 }, { 5, 19 }, { 5, 0 }, { 0, 0x70 }, { 0, 0x50 },
	};
	struct rig *rig = *state;
	struct rig_peer *p = &rig->peers[0];
	struct rig_result r;

	rig_six(rig);
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		struct packet inner = good;

		inner.bytes[changes[i].at] = changes[i].value;
		if (changes[i].at == 5 && changes[i].value == 41) {	/* one byte more than was sealed */
			inner.bytes[5] = 48;
			inner.len = 80;
			inner.bytes[5] = 41;
		}
		r = rig_from_peer(rig, 0, &inner);
		assert_int_equal(r.verdict, RIG_DROP);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_BAD_INNER);
	}
	for (uint32_t len = 20; len < 40; len++) {
		struct packet message = pkt_wg_raw(p->recv_key, p->index, p->counter++, good.bytes, len),
			frame = rig_outer(rig, 0, 0, &message);

		r = rig_run(rig, &frame);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_BAD_INNER);
	}
	for (int i = 0; i < 3; i++) {	/* no room for the transport's header */
		static const uint8_t protos[] = { 6, 17, 58 };
		struct packet inner = PKT6(.src = ip6(CLIENT6), .dst = ip6(PLAIN6), .proto = 253,
			.payload = 7);

		inner.bytes[6] = protos[i];
		r = rig_from_peer(rig, 0, &inner);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_BAD_INNER);
	}
}

/* @count headers of destination options, 8 bytes each, before UDP. */
static struct packet with_headers(uint32_t count)
{
	struct packet p = PKT6(.src = ip6(CLIENT6), .dst = ip6(PLAIN6), .proto = 17, .sport = 5, .dport = 6,
		.dst_options = 8, .payload = 8 * count);
	uint8_t option[8] = { 60, 0, 1, 4 };

	for (uint32_t i = 0; i < count; i++) {
		memcpy(p.bytes + 40 + 8 * i, option, 8);
		if (i + 1 == count)
			p.bytes[40 + 8 * i] = 17;
	}
	return p;
}

static void extension_headers_are_gone_over(void **state)
{
	struct rig *rig = *state;
	struct pkt6_spec in = { .src = ip6(CLIENT6), .dst = ip6(GATEWAY6), .proto = 17, .sport = 5,
		.dport = 6, .hop_options = 8, .dst_options = 24, .payload = 30 }, reply;
	struct rig_result r;
	struct packet p;

	rig_six(rig);
	snat6(rig, &in, &reply);
	unsnat6(rig, &in, &reply);
	in.proto = 6;
	in.tcp_flags = TCP_ACK;
	snat6(rig, &in, &reply);
	unsnat6(rig, &in, &reply);
	in.proto = 58;
	in.icmp_type = 128;
	in.icmp_id = 77;
	snat6(rig, &in, &reply);
	unsnat6(rig, &in, &reply);

	p = with_headers(8);
	r = rig_from_peer(rig, 0, &p);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	p = with_headers(9);		/* more than anybody sends */
	r = rig_from_peer(rig, 0, &p);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_BAD_INNER);
	p = with_headers(2);
	p.bytes[49] = 200;		/* beyond the end */
	r = rig_from_peer(rig, 0, &p);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_BAD_INNER);
	p = with_headers(2);
	p.bytes[40] = 0;		/* hop-by-hop is only ever the first */
	r = rig_from_peer(rig, 0, &p);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_BAD_INNER);
}

/* RFC 5095 */
static void a_packet_that_names_its_way_is_dropped(void **state)
{
	struct rig *rig = *state;

	rig_six(rig);
	for (uint8_t type = 0; type <= 4; type++) {
		struct packet p = with_headers(1);
		struct rig_result r;

		p.bytes[6] = 43;
		p.bytes[42] = type;
		r = rig_from_peer(rig, 0, &p);
		assert_int_equal(r.verdict, RIG_DROP);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_SOURCE_ROUTED);
	}
}

static void other_protocols_are_routed_but_cannot_share_an_address(void **state)
{
	static const uint8_t protos[] = { 47, 50, 51, 59, 132, 135, 1 };
	struct rig *rig = *state;

	rig_six(rig);
	for (size_t i = 0; i < sizeof(protos); i++) {
		struct packet inner = PKT6(.src = ip6(CLIENT6), .dst = ip6(GATEWAY6), .proto = protos[i],
			.payload = 16);
		struct rig_result r = rig_from_peer(rig, 0, &inner);

		rig_ends(rig, &r, TALON_DIR_IN, TALON_NAT_PROTO);
		inner = PKT6(.src = ip6(CLIENT6), .dst = ip6(PLAIN6), .proto = protos[i], .payload = 16);
		r = rig_from_peer(rig, 0, &inner);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	}
}

static void what_no_route_leads_to_is_dropped(void **state)
{
	struct rig *rig = *state;

	rig_six(rig);
	to_ends(rig, "2001:db8:77::1", TALON_NO_ROUTE);
}

static void a_local_destination_gets_the_packet_with_its_mesh_source(void **state)
{
	static const char *const local[] = { VIP6, MESH6, NODE6, SECOND6 };
	struct rig *rig = *state;

	rig_six(rig);
	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++) {
		for (uint32_t peer = 0; peer < RIG_PEERS; peer += 2) {
			struct packet inner = PKT6(.src = ip6(clients[peer]), .dst = ip6(local[i]),
				.proto = 6, .sport = 5, .dport = 80, .tcp_flags = TCP_SYN, .hops = 1);
			struct rig_result r = rig_from_peer(rig, peer, &inner);

			handed_up(rig, &r, &inner);
		}
	}
}

static void local_delivery_can_go_through_the_tunnel_device(void **state)
{
	struct packet inner = PKT6(.src = ip6(CLIENT6), .dst = ip6(VIP6), .proto = 6, .sport = 5, .dport = 80,
		.payload = 9), want;
	struct rig *rig = *state;
	struct rig_result r;

	rig_six(rig);
	rig->config.flags |= TALON_F_HANDUP_TUNNEL;
	rig_config(rig);
	r = rig_from_peer(rig, 0, &inner);
	assert_int_equal(r.verdict, RIG_SEND);
	assert_int_equal(r.ifindex, rig->wt0p);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_LOCAL);
	want = pkt_ether(rig_wt0_mac, rig_wt0p_mac, ETH_P_IPV6, &inner);
	pkt_equal(&r.frame, &want);
}

static void what_one_peer_sends_another_is_sealed_again(void **state)
{
	struct rig *rig = *state;

	rig_six(rig);
	for (uint32_t to = 0; to < RIG_PEERS; to++) {
		for (uint32_t payload = 0; payload <= 1232; payload += 77) {
			uint32_t from = (to + 1) % RIG_PEERS;
			struct packet inner = PKT6(.src = ip6(clients[from]), .dst = ip6(clients[to]),
				.proto = 17, .sport = 5, .dport = 6, .payload = payload, .tclass = 2), got;
			struct rig_result r = rig_from_peer(rig, from, &inner);

			rig_ends(rig, &r, TALON_DIR_IN, TALON_RESEALED);
			got = rig_opened(rig, &r, to);
			inner.bytes[7] = 63;
			pkt_equal(&got, &inner);
		}
	}
}

static void the_hosts_refusals_are_told(void **state)
{
	struct { const char *dst; uint8_t code; } cases[] = {
		{ UNREACHABLE6, 3 }, { "2001:db8:68::1", 1 }, { "2001:db8:69::1", 0 }, { "fd00:64::99", 3 },
	};
	struct packet inner, got, want;
	struct rig *rig = *state;
	struct rig_result r;

	rig_six(rig);
	rig_ip("route del ::/0 dev eth0");
	rig_route6(rig, "2001:db8:66::", 47, 0);
	rig_route6(rig, "2001:db8:68::", 47, 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		inner = PKT6(.src = ip6(CLIENT6), .dst = ip6(cases[i].dst), .proto = 17, .sport = 5,
			.dport = 6);
		r = rig_from_peer(rig, 0, &inner);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_ICMP_SENT);
		got = rig_opened(rig, &r, 0);
		want = own_error6(MESH6, CLIENT6, 1, cases[i].code, 0, &inner);
		pkt_equal(&got, &want);
	}
	to_ends(rig, "2001:db8:67::1", TALON_BLACKHOLE);
	rig_drain(rig, "icmp");
	to_ends(rig, UNREACHABLE6, TALON_RATE_LIMITED);
	rig_ip("route add ::/0 via 2001:db8::1 dev eth0");
}

/* Without an address to say it from. */
static void where_no_error_can_be_sent_the_reason_is_counted(void **state)
{
	struct { const char *dst; enum talon_end end; } cases[] = {
		{ UNREACHABLE6, TALON_UNREACHABLE }, { "2001:db8:68::1", TALON_UNREACHABLE },
		{ "2001:db8:69::1", TALON_NO_FIB }, { "2001:db8:a::2", TALON_NO_WAY_BACK },
		{ "fd00:64::99", TALON_NO_PEER },
	};
	struct rig *rig = *state;
	struct packet late = PKT6(.src = ip6(CLIENT6), .dst = ip6(GATEWAY6), .proto = 17, .hops = 1);
	struct packet big = PKT6(.src = ip6(CLIENT6), .dst = ip6(CLIENT6_1), .proto = 17, .payload = 1300);
	struct rig_result r;

	rig_six(rig);
	memset(&rig->config.mesh_addr6, 0, 16);
	memset(&rig->config.node_addr6, 0, 16);
	rig_config(rig);
	rig_ip("route del ::/0 dev eth0");
	rig_route6(rig, "2001:db8:66::", 64, 0);
	rig_route6(rig, "2001:db8:68::", 47, 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		to_ends(rig, cases[i].dst, cases[i].end);
	rig_ip("route add ::/0 via 2001:db8::1 dev eth0");
	r = rig_from_peer(rig, 0, &late);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_TTL_EXPIRED);
	r = rig_from_peer(rig, 0, &big);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_TOO_BIG);
	rig->config.port_last = rig->config.port_first - 1;
	rig_config(rig);
	to_ends(rig, GATEWAY6, TALON_NAT_PORTS);
	rig->config.port_last = RIG_PORT_LAST;
	rig->config.flow_count = 1;
	rig_config(rig);
	to_ends(rig, GATEWAY6, TALON_NAT_TABLE);
	assert_int_equal(system("echo 0 >/proc/sys/net/ipv6/conf/all/forwarding"), 0);
	to_ends(rig, GATEWAY6, TALON_FWD_DISABLED);
	assert_int_equal(system("echo 1 >/proc/sys/net/ipv6/conf/all/forwarding"), 0);
	rig_ip("-6 route replace ::/0 via 2001:db8::1 dev eth0");
}

static void a_host_that_does_not_forward_ipv6_says_no_route_at_once(void **state)
{
	struct packet inner = PKT6(.src = ip6(CLIENT6), .dst = ip6(GATEWAY6), .proto = 6, .sport = 5,
		.dport = 6, .tcp_flags = TCP_SYN), got, want;
	struct rig *rig = *state;
	struct rig_result r;

	rig_six(rig);
	assert_int_equal(system("echo 0 >/proc/sys/net/ipv6/conf/all/forwarding"), 0);
	r = rig_from_peer(rig, 0, &inner);
	assert_int_equal(system("echo 1 >/proc/sys/net/ipv6/conf/all/forwarding"), 0);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_ICMP_SENT);
	got = rig_opened(rig, &r, 0);
	want = own_error6(MESH6, CLIENT6, 1, 0, 0, &inner);
	pkt_equal(&got, &want);
	/* setting it anew takes routes away */
	rig_ip("-6 route replace ::/0 via 2001:db8::1 dev eth0");
}

static void without_an_address_there_is_no_masquerade(void **state)
{
	struct packet inner = PKT6(.src = ip6(CLIENT6), .dst = ip6(GATEWAY6), .proto = 17, .sport = 5,
		.dport = 6), got, want;
	struct rig *rig = *state;
	struct rig_result r;

	rig_six(rig);
	memset(&rig->config.node_addr6, 0, sizeof(rig->config.node_addr6));
	rig_config(rig);
	rig_host_route6(rig, "::", 0, TALON_HOST_UNICAST, NULL, 0);
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_ICMP_SENT);
	got = rig_opened(rig, &r, 0);
	want = own_error6(MESH6, CLIENT6, 1, 3, 0, &inner);
	pkt_equal(&got, &want);
	rig_host_route6(rig, "::", 0, TALON_HOST_UNICAST, NODE6, 0);
	open_udp6(rig, 0, CLIENT6, 5, GATEWAY6, 6);
}

static void replies_must_be_able_to_come_back(void **state)
{
	struct rig *rig = *state;
	struct rig_result r;

	rig_six(rig);
	rig_refill(rig);
	r = to_ends(rig, "2001:db8:a::2", TALON_ICMP_SENT);	/* no program on eth2 */
	rig_opened(rig, &r, 0);
	rig_drain(rig, "icmp");
	rig_link(rig, rig->eth0, rig_mac, 1500, TALON_LINK_UPLINK);
	to_ends(rig, GATEWAY6, TALON_RATE_LIMITED);
}

static void a_next_hop_without_mac_is_told_to_the_controller(void **state)
{
	struct packet inner = PKT6(.src = ip6(CLIENT6), .dst = ip6(NOBODY6), .proto = 17, .sport = 5,
		.dport = 6, .payload = 50), want;
	struct rig *rig = *state;
	const struct rig_event *event;
	struct packet got = {};
	struct addr6 nobody = ip6(NOBODY6);
	struct rig_result r;

	rig_six(rig);
	r = rig_from_peer(rig, 0, &inner);
	event = rig_event(&r, TALON_EVENT_NEIGH);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_HELD);
	assert_int_equal(event->head.ifindex, rig->eth0);
	assert_int_equal(event->head.id, 1);
	assert_int_equal(event->head.six, 1);
	assert_memory_equal(&event->head.addr, &nobody, 16);
	got.len = event->head.len;
	memcpy(got.bytes, event->data, got.len);
	want = PKT6(.src = ip6(NODE6), .dst = ip6(NOBODY6), .proto = 17, .sport = SPORT6(&got), .dport = 6,
		.payload = 50, .hops = 63);
	pkt_equal(&got, &want);
	rig_drain(rig, "event");
	to_ends(rig, NOBODY6, TALON_NO_NEIGH);
}

static void clients_reach_each_other_by_their_external_addresses(void **state)
{
	struct packet from_a, from_b, got, want, error;
	struct rig *rig = *state;
	struct rig_result r;
	uint16_t a, b;

	rig_six(rig);
	a = open_udp6(rig, 0, CLIENT6, 500, GATEWAY6, 53);
	b = open_udp6(rig, 1, CLIENT6_1, 600, GATEWAY6, 53);
	from_a = PKT6(.src = ip6(CLIENT6), .dst = ip6(NODE6), .proto = 17, .sport = 500, .dport = b,
		.payload = 20);
	from_b = PKT6(.src = ip6(CLIENT6_1), .dst = ip6(NODE6), .proto = 17, .sport = 600, .dport = a,
		.payload = 30, .hops = 2);
	r = rig_from_peer(rig, 0, &from_a);	/* b has not sent there yet: filtered, as from the wire */
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NAT_NO_FLOW);
	r = rig_from_peer(rig, 1, &from_b);	/* now both did */
	rig_ends(rig, &r, TALON_DIR_IN, TALON_RESEALED);
	got = rig_opened(rig, &r, 0);
	want = PKT6(.src = ip6(NODE6), .dst = ip6(CLIENT6), .proto = 17, .sport = b, .dport = 500,
		.payload = 30, .hops = 1);
	pkt_equal(&got, &want);
	r = rig_from_peer(rig, 0, &from_a);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_RESEALED);
	got = rig_opened(rig, &r, 1);
	want = PKT6(.src = ip6(NODE6), .dst = ip6(CLIENT6_1), .proto = 17, .sport = a, .dport = 600,
		.payload = 20, .hops = 63);
	pkt_equal(&got, &want);

	/* b's port is closed */
	error = pkt_icmp6_error(ip6(CLIENT6_1), ip6(NODE6), 1, 4, 0, &got, got.len);
	r = rig_from_peer(rig, 1, &error);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_RESEALED);
	got = rig_opened(rig, &r, 0);
	from_a.bytes[7] = 63;
	want = pkt_icmp6_error(ip6(NODE6), ip6(CLIENT6), 1, 4, 0, &from_a, from_a.len);
	want.bytes[7] = 63;
	pkt_equal(&got, &want);
}

static void a_hairpinned_packet_whose_hops_are_up_is_answered(void **state)
{
	struct packet late, got, want;
	struct rig *rig = *state;
	struct rig_result r;
	uint16_t b;

	rig_six(rig);
	b = open_udp6(rig, 1, CLIENT6_1, 600, GATEWAY6, 53);
	late = PKT6(.src = ip6(CLIENT6), .dst = ip6(NODE6), .proto = 17, .sport = 500, .dport = b, .hops = 1);
	r = rig_from_peer(rig, 0, &late);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_ICMP_SENT);
	got = rig_opened(rig, &r, 0);
	want = own_error6(MESH6, CLIENT6, 3, 0, 0, &late);
	pkt_equal(&got, &want);
	assert_int_equal(nat_stats(rig).live, 1);
}

static void a_flow_of_an_address_that_moved_to_another_peer_is_judged_anew(void **state)
{
	struct packet inner = PKT6(.src = ip6(CLIENT6), .dst = ip6(GATEWAY6), .proto = 17, .sport = 5,
		.dport = 6), reply;
	struct rig *rig = *state;
	struct rig_result r;
	uint16_t port;

	rig_six(rig);
	port = open_udp6(rig, 0, CLIENT6, 5, GATEWAY6, 6);
	r = rig_from_peer(rig, 1, &inner);	/* not its address yet, despite the existing flow */
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NOT_ALLOWED);
	rig_allow6(rig, CLIENT6, 128, 1);
	rig_bump(rig);
	reply = PKT6(.src = ip6(GATEWAY6), .dst = ip6(NODE6), .proto = 17, .sport = 6, .dport = port);
	r = rig_from_wire(rig, &reply);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_NO_PEER);
	r = rig_from_peer(rig, 1, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	reply = rig_plain(rig, &r);
	reply = PKT6(.src = ip6(GATEWAY6), .dst = ip6(NODE6), .proto = 17, .sport = 6,
		.dport = SPORT6(&reply));
	r = rig_from_wire(rig, &reply);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	rig_opened(rig, &r, 1);
}

static void ecn_is_joined_and_dscp_kept(void **state)
{
	struct rig *rig = *state;

	rig_six(rig);
	for (uint8_t tclass = 0; tclass < 8; tclass++) {
		uint8_t inner_class = (tclass & 3) | (tclass & 4 ? 0xb8 : 0);
		struct packet inner = PKT6(.src = ip6(CLIENT6_2), .dst = ip6(PLAIN6), .proto = 17, .sport = 5,
			.dport = 6, .tclass = inner_class, .label = 0x12345), out, want;
		struct rig_result r;

		rig->outer_tos = 3;
		r = rig_from_peer(rig, 2, &inner);
		rig->outer_tos = 0;
		if (!(inner_class & 3)) {
			rig_ends(rig, &r, TALON_DIR_IN, TALON_CONGESTED);
			continue;
		}
		rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
		out = rig_plain(rig, &r);
		want = PKT6(.src = ip6(CLIENT6_2), .dst = ip6(PLAIN6), .proto = 17, .sport = 5, .dport = 6,
			.tclass = inner_class | 3, .label = 0x12345, .hops = 63);
		pkt_equal(&out, &want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CASE(a_packet_of_either_family_comes_out_of_a_tunnel_over_either),
		RIG_CASE(every_length_comes_through),
		RIG_CASE(without_the_flag_ipv6_is_refused_as_ever),
		RIG_CASE(the_inner_source_must_be_the_peers),
		RIG_CASE(an_address_of_this_host_is_no_source_even_if_allowed),
		RIG_CASE(no_destination_of_one_link_or_host_is_forwarded),
		RIG_CASE(neighbours_and_listeners_are_not_asked_through_the_tunnel),
		RIG_CASE(a_malformed_packet_is_dropped),
		RIG_CASE(extension_headers_are_gone_over),
		RIG_CASE(a_packet_that_names_its_way_is_dropped),
		RIG_CASE(other_protocols_are_routed_but_cannot_share_an_address),
		RIG_CASE(what_no_route_leads_to_is_dropped),
		RIG_CASE(a_local_destination_gets_the_packet_with_its_mesh_source),
		RIG_CASE(local_delivery_can_go_through_the_tunnel_device),
		RIG_CASE(what_one_peer_sends_another_is_sealed_again),
		RIG_CASE(the_hosts_refusals_are_told),
		RIG_CASE(where_no_error_can_be_sent_the_reason_is_counted),
		RIG_CASE(a_host_that_does_not_forward_ipv6_says_no_route_at_once),
		RIG_CASE(without_an_address_there_is_no_masquerade),
		RIG_CASE(replies_must_be_able_to_come_back),
		RIG_CASE(a_next_hop_without_mac_is_told_to_the_controller),
		RIG_CASE(clients_reach_each_other_by_their_external_addresses),
		RIG_CASE(a_hairpinned_packet_whose_hops_are_up_is_answered),
		RIG_CASE(a_flow_of_an_address_that_moved_to_another_peer_is_judged_anew),
		RIG_CASE(ecn_is_joined_and_dscp_kept),
	};

	return rig_main("forwarding of IPv6", tests);
}
