// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// lib/icmp6.h: ICMPv6 errors that Talon sends, and those about its flows (RFC 4443, RFC 8201).
#include <string.h>

#include <linux/if_ether.h>

#include "bpf/rig.h"
#include "bpf/steps.h"

static void hops_that_are_up_are_told_to_the_client(void **state)
{
	struct rig *rig = *state;

	rig_six(rig);
	for (int known = 0; known < 2; known++) {
		for (uint32_t payload = 0; payload < 1232; payload += 300) {
			struct packet inner = PKT6(.src = ip6(CLIENT6), .dst = ip6(GATEWAY6), .proto = 17,
				.sport = 33434, .dport = 33435, .hops = 1, .payload = payload), got, want;
			struct rig_result r = rig_from_peer(rig, 0, &inner);

			rig_ends(rig, &r, TALON_DIR_IN, TALON_ICMP_SENT);
			got = rig_opened(rig, &r, 0);
			want = own_error6(MESH6, CLIENT6, 3, 0, 0, &inner);
			pkt_equal(&got, &want);
		}
		open_udp6(rig, 0, CLIENT6, 33434, GATEWAY6, 33435);
	}
}

static void hops_that_are_up_are_told_to_the_remote(void **state)
{
	struct rig *rig = *state;
	struct packet reply, out, want;
	struct rig_result r;
	uint16_t port;

	rig_six(rig);
	port = open_udp6(rig, 0, CLIENT6, 5, GATEWAY6, 6);
	reply = PKT6(.src = ip6(GATEWAY6), .dst = ip6(NODE6), .proto = 17, .sport = 6, .dport = port,
		.hops = 1, .payload = 50);
	r = rig_from_wire(rig, &reply);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_ICMP_SENT);
	out = rig_plain(rig, &r);
	want = own_error6(NODE6, GATEWAY6, 3, 0, 0, &reply);
	pkt_equal(&out, &want);
	rig_drain(rig, "icmp");
	r = rig_from_wire(rig, &reply);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_RATE_LIMITED);
}

/* RFC 4443 section 2.4 (e) */
static void no_error_is_sent_about_what_rfc_4443_excepts(void **state)
{
	struct packet about = PKT6(.src = ip6(PLAIN6), .dst = ip6(CLIENT6), .proto = 17, .sport = 5,
		.dport = 6);
	struct packet inner[] = {
		pkt_icmp6_error(ip6(CLIENT6), ip6(PLAIN6), 1, 3, 0, &about, about.len),
		/* of types that we do not know */
		PKT6(.src = ip6(CLIENT6), .dst = ip6(PLAIN6), .proto = 58, .icmp_type = 100, .payload = 40),
		PKT6(.src = ip6(CLIENT6), .dst = ip6(PLAIN6), .proto = 58, .icmp_type = 1, .dst_options = 8,
			.payload = 60),
		PKT6(.src = ip6(CLIENT6), .dst = ip6(PLAIN6), .proto = 51, .payload = 40),
		PKT6(.src = ip6(CLIENT6), .dst = ip6(PLAIN6), .proto = 58, .icmp_type = 128, .payload = 900),
	};
	struct rig *rig = *state;
	size_t i;

	rig_six(rig);
	memcpy(inner[2].bytes + 56, about.bytes, about.len);	/* behind options, which hide nothing */
	pkt_fix_six(&inner[2]);
	inner[4] = pkt_fragment6(&inner[4], 400, 400, 7);
	for (i = 0; i < sizeof(inner) / sizeof(inner[0]); i++) {
		struct rig_result r;

		inner[i].bytes[7] = 1;
		r = rig_from_peer(rig, 0, &inner[i]);
		assert_int_equal(r.verdict, RIG_DROP);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_TTL_EXPIRED);
	}
}

/* Unlike IPv4's: a later fragment that is too big has no other way to be heard of. */
static void errors_are_sent_about_later_fragments(void **state)
{
	struct packet whole = PKT6(.src = ip6(CLIENT6), .dst = ip6(PLAIN6), .proto = 17, .sport = 5,
		.dport = 6, .payload = 900), part = pkt_fragment6(&whole, 400, 400, 7), got, want;
	struct rig *rig = *state;
	struct rig_result r;

	rig_six(rig);
	part.bytes[7] = 1;
	r = rig_from_peer(rig, 0, &part);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_ICMP_SENT);
	got = rig_opened(rig, &r, 0);
	want = own_error6(MESH6, CLIENT6, 3, 0, 0, &part);
	pkt_equal(&got, &want);
}

/* A tunnel of 1420 bytes towards everybody. */
static void widen(struct rig *rig)
{
	rig_six(rig);
	rig->config.tunnel_mtu = 1420;
	rig_config(rig);
}

static void what_is_too_big_for_the_next_link_is_answered(void **state)
{
	struct rig *rig = *state;

	widen(rig);
	for (int known = 0; known < 2; known++) {
		struct packet inner = PKT6(.src = ip6(CLIENT6), .dst = ip6(NARROW6), .proto = 17, .sport = 5,
			.dport = 6, .payload = 1353), got, want;
		struct rig_result r = rig_from_peer(rig, 0, &inner);

		rig_ends(rig, &r, TALON_DIR_IN, TALON_ICMP_SENT);
		got = rig_opened(rig, &r, 0);
		want = own_error6(MESH6, CLIENT6, 2, 0, 1400, &inner);
		pkt_equal(&got, &want);
		inner = PKT6(.src = ip6(CLIENT6), .dst = ip6(NARROW6), .proto = 17, .sport = 5, .dport = 6,
			.payload = 1352);
		r = rig_from_peer(rig, 0, &inner);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	}
}

static void what_is_too_big_for_the_tunnel_is_answered(void **state)
{
	struct rig *rig = *state;
	struct packet reply, out, want;
	struct rig_result r;
	uint16_t port;

	rig_six(rig);
	port = open_udp6(rig, 0, CLIENT6, 5, GATEWAY6, 6);
	reply = PKT6(.src = ip6(GATEWAY6), .dst = ip6(NODE6), .proto = 17, .sport = 6, .dport = port,
		.payload = 1233);
	r = rig_from_wire(rig, &reply);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_ICMP_SENT);
	out = rig_plain(rig, &r);
	want = own_error6(NODE6, GATEWAY6, 2, 0, RIG_MTU, &reply);
	pkt_equal(&out, &want);
	reply = PKT6(.src = ip6(GATEWAY6), .dst = ip6(NODE6), .proto = 17, .sport = 6, .dport = port,
		.payload = 1232);
	r = rig_from_wire(rig, &reply);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	rig_opened(rig, &r, 0);
}

static void what_is_too_big_for_the_other_peer_is_answered(void **state)
{
	struct packet inner = PKT6(.src = ip6(CLIENT6), .dst = ip6(CLIENT6_1), .proto = 17, .sport = 5,
		.dport = 6, .payload = 1300), got, want;
	struct rig *rig = *state;
	struct rig_result r;

	rig_six(rig);
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_ICMP_SENT);
	got = rig_opened(rig, &r, 0);
	want = own_error6(MESH6, CLIENT6, 2, 0, RIG_MTU, &inner);
	pkt_equal(&got, &want);
}

static void set_path_mtu(struct rig *rig, uint32_t peer, uint16_t inner_mtu)
{
	struct talon_endpoint e = endpoint_of(rig, peer);

	e.mtu = inner_mtu;
	e.flags |= TALON_ENDPOINT_L2;
	e.ifindex = rig->eth0;
	e.generation = rig->config.generation;
	memcpy(e.dmac, rig_router_mac, 6);
	memcpy(e.smac, rig_mac, 6);
	rig_put(rig, "endpoints", &peer, &e);
}

static void tcp_fits_a_path_below_1280(void **state)
{
	static const struct { uint32_t mtu; uint16_t mss; } cases[] = { { 1200, 1140 }, { 500, 536 },
		{ 1280, 1220 } };
	const uint8_t option[4] = { 2, 4, 1440 >> 8, 1440 & 255 };
	struct rig *rig = *state;

	widen(rig);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct packet syn = PKT6(.src = ip6(CLIENT6), .dst = ip6(GATEWAY6), .proto = 6,
			.sport = 5 + i, .dport = 6, .tcp_flags = TCP_SYN, .tcp_options = option,
			.tcp_options_len = 4), out, reply;
		struct rig_result r;

		set_path_mtu(rig, 0, cases[i].mtu);
		r = rig_from_peer(rig, 0, &syn);
		out = rig_plain(rig, &r);
		assert_int_equal(get16_at(&out, 62), cases[i].mss);
		reply = PKT6(.src = ip6(GATEWAY6), .dst = ip6(NODE6), .proto = 6, .sport = 6,
			.dport = SPORT6(&out), .tcp_flags = TCP_SYN | TCP_ACK, .tcp_options = option,
			.tcp_options_len = 4);
		r = rig_from_wire(rig, &reply);
		out = rig_opened(rig, &r, 0);
		assert_int_equal(get16_at(&out, 62), cases[i].mss);
		assert_null(pkt_check_six(out.bytes, out.len));
	}
}

/* Over IPv4 and over IPv6: 1280 bytes become 1340 and 1360. */
static void no_device_is_given_more_than_it_takes(void **state)
{
	static const struct { uint32_t peer; const char *dst; uint16_t takes; } cases[] = {
		{ 1, CLIENT6_1, 1340 }, { 2, CLIENT6_2, 1360 },
	};
	struct rig *rig = *state;

	widen(rig);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct packet full = PKT6(.src = ip6(CLIENT6), .dst = ip6(cases[i].dst), .proto = 17,
			.sport = 5, .dport = 6, .payload = 1232);
		struct rig_result r;

		set_path_mtu(rig, cases[i].peer, 1200);
		rig_link(rig, rig->eth0, rig_mac, cases[i].takes, TALON_LINK_UPLINK | TALON_LINK_PROGRAM |
			TALON_LINK_REDIRECT);
		r = rig_from_peer(rig, 0, &full);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_RESEALED);
		rig_link(rig, rig->eth0, rig_mac, cases[i].takes - 1, TALON_LINK_UPLINK | TALON_LINK_PROGRAM |
			TALON_LINK_REDIRECT);
		r = rig_from_peer(rig, 0, &full);
		rig_ends(rig, &r, rig->hook == RIG_TC ? TALON_DIR_TUNNEL : TALON_DIR_IN, TALON_TOO_BIG);
	}
}

/* RFC 8200 section 5: senders need not make packets shorter than 1280 bytes. */
static void no_mtu_below_1280_is_told(void **state)
{
	struct packet six = PKT6(.src = ip6(CLIENT6), .dst = ip6(CLIENT6_1), .proto = 17, .sport = 5,
		.dport = 6, .payload = 1232), got, want;
	struct packet four = PKT(.src = ip4(CLIENT), .dst = ip4(CLIENT1), .proto = 17, .sport = 5, .dport = 6,
		.payload = 1252, .frag = PKT_DF);
	struct rig *rig = *state;
	struct rig_result r;

	widen(rig);
	set_path_mtu(rig, 1, 1200);
	r = rig_from_peer(rig, 0, &six);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_RESEALED);
	got = rig_opened(rig, &r, 1);
	assert_int_equal(got.len, 1280);
	r = rig_from_peer(rig, 0, &four);	/* IPv4's may be as short as they like */
	rig_ends(rig, &r, TALON_DIR_IN, TALON_ICMP_SENT);
	six = PKT6(.src = ip6(CLIENT6), .dst = ip6(CLIENT6_1), .proto = 17, .sport = 5, .dport = 6,
		.payload = 1233);
	r = rig_from_peer(rig, 0, &six);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_ICMP_SENT);
	got = rig_opened(rig, &r, 0);
	want = own_error6(MESH6, CLIENT6, 2, 0, 1280, &six);
	pkt_equal(&got, &want);
}

static const struct { uint8_t type, code; uint32_t rest; } error_kinds[] = {
	{ 1, 3, 0 }, { 1, 4, 0 }, { 2, 0, 1300 }, { 3, 0, 0 }, { 4, 1, 6 },
};

static const uint8_t protos[] = { 6, 17, 58 };
static const uint32_t embeds[] = { 48, 56, 60, 76, 1232 };

static struct pkt6_spec spec_of(uint8_t proto, bool options)
{
	return (struct pkt6_spec) { .src = ip6(CLIENT6), .dst = ip6(GATEWAY6), .proto = proto, .sport = 1000,
		.dport = 80, .tcp_flags = TCP_ACK, .icmp_type = proto == 58 ? 128 : 0, .icmp_id = 1000,
		.payload = 100, .dst_options = options ? 16 : 0 };
}

/* About what the client sent, from a router or the remote itself; @embed bytes of it are in the error. */
static void error_from_the_wire(struct rig *rig, struct pkt6_spec in, uint32_t embed, int kind,
	const char *router)
{
	struct packet inner = pkt_ip6(&in), sent, error, got, want;
	struct rig_result r = rig_from_peer(rig, 0, &inner);
	struct talon_flow before, after;

	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	sent = rig_plain(rig, &r);
	before = rig_flow(rig, r.flow);
	before.seen_s -= 20;
	rig_flow_write(rig, r.flow, &before);
	if (embed > sent.len)
		embed = sent.len;
	error = pkt_icmp6_error(ip6(router), ip6(NODE6), error_kinds[kind].type, error_kinds[kind].code,
		error_kinds[kind].rest, &sent, embed);
	r = rig_from_wire(rig, &error);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	got = rig_opened(rig, &r, 0);
	inner.bytes[7] = 63;
	want = pkt_icmp6_error(ip6(router), ip6(CLIENT6), error_kinds[kind].type, error_kinds[kind].code,
		error_kinds[kind].rest, &inner, embed);
	want.bytes[7] = 63;
	pkt_equal(&got, &want);
	assert_null(pkt_check_six(got.bytes, got.len));
	after = rig_flow(rig, r.flow);
	assert_memory_equal(&after, &before, sizeof(after));	/* neither refreshed nor ended */
}

static void errors_from_the_wire_reach_the_client(void **state)
{
	struct rig *rig = *state;

	rig_six(rig);
	for (size_t i = 0; i < sizeof(protos); i++) {
		for (size_t j = 0; j < sizeof(embeds) / sizeof(embeds[0]); j++) {
			for (int kind = 0; kind < 5; kind++)
				error_from_the_wire(rig, spec_of(protos[i], false), embeds[j], kind,
					kind % 2 ? GATEWAY6 : "2001:db8:99::1");
			if (embeds[j] >= 76)
				error_from_the_wire(rig, spec_of(protos[i], true), embeds[j], j, GATEWAY6);
		}
	}
}

/* The other way: the client complains about what the remote sent. */
static void error_from_the_client(struct rig *rig, struct pkt6_spec in, uint32_t embed, int kind)
{
	struct packet packet, delivered, error, got, want;
	struct talon_flow before, after;
	struct pkt6_spec reply;
	struct rig_result r;
	uint32_t id;

	snat6(rig, &in, &reply);
	packet = pkt_ip6(&reply);
	r = rig_from_wire(rig, &packet);
	delivered = rig_opened(rig, &r, 0);
	id = r.flow;
	before = rig_flow(rig, id);
	before.seen_s -= 20;
	rig_flow_write(rig, id, &before);
	if (embed > delivered.len)
		embed = delivered.len;
	error = pkt_icmp6_error(ip6(CLIENT6), ip6(GATEWAY6), error_kinds[kind].type, error_kinds[kind].code,
		error_kinds[kind].rest, &delivered, embed);
	r = rig_from_peer(rig, 0, &error);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	got = rig_plain(rig, &r);
	packet.bytes[7] = 63;
	want = pkt_icmp6_error(ip6(NODE6), ip6(GATEWAY6), error_kinds[kind].type, error_kinds[kind].code,
		error_kinds[kind].rest, &packet, embed);
	want.bytes[7] = 63;
	pkt_equal(&got, &want);
	after = rig_flow(rig, id);
	assert_int_equal(after.seen_s, before.seen_s);
}

static void errors_of_a_client_reach_the_remote(void **state)
{
	for (size_t i = 0; i < sizeof(protos); i++) {
		for (size_t j = 0; j < sizeof(embeds) / sizeof(embeds[0]); j++) {
			rig_teardown(state);
			rig_setup(state);
			rig_six(*state);
			error_from_the_client(*state, spec_of(protos[i], embeds[j] >= 76), embeds[j], j);
		}
	}
}

static void an_error_about_no_flow_of_ours_goes_nowhere(void **state)
{
	struct rig *rig = *state;
	struct packet about, inner, frame, error;
	struct rig_result r;
	uint16_t port;

	rig_six(rig);
	port = open_udp6(rig, 0, CLIENT6, 5, GATEWAY6, 6);
	about = PKT6(.src = ip6(GATEWAY6), .dst = ip6(CLIENT6), .proto = 17, .sport = 6, .dport = 7);
	inner = pkt_icmp6_error(ip6(CLIENT6), ip6(GATEWAY6), 1, 4, 0, &about, 48);
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NAT_NO_FLOW);
	about = PKT6(.src = ip6(GATEWAY6), .dst = ip6(CLIENT6), .proto = 17, .sport = 6, .dport = 5);
	inner = pkt_icmp6_error(ip6(CLIENT6_1), ip6(GATEWAY6), 1, 4, 0, &about, 48);	/* somebody else's */
	r = rig_from_peer(rig, 1, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NAT_NO_FLOW);
	for (uint32_t embed = 0; embed < 48; embed += 8) {	/* too little of it */
		inner = pkt_icmp6_error(ip6(CLIENT6), ip6(GATEWAY6), 1, 4, 0, &about, embed);
		r = rig_from_peer(rig, 0, &inner);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_BAD_INNER);
	}
	about = pkt_fragment6(&about, 8, 0, 7);			/* without ports */
	inner = pkt_icmp6_error(ip6(CLIENT6), ip6(GATEWAY6), 1, 4, 0, &about, 48);
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_BAD_INNER);

	about = PKT6(.src = ip6(NODE6), .dst = ip6(GATEWAY6), .proto = 17, .sport = port, .dport = 7);
	error = pkt_icmp6_error(ip6(GATEWAY6), ip6(NODE6), 1, 4, 0, &about, 48);
	frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IPV6, &error);
	passes_untouched(rig, &frame);
}

static void refusals_about_a_plain_route_come_from_the_node(void **state)
{
	struct packet reply = PKT6(.src = ip6(PLAIN6), .dst = ip6(CLIENT6), .proto = 17, .sport = 6,
		.dport = 5, .payload = 1300), out, want;
	struct rig *rig = *state;
	struct rig_result r;

	rig_six(rig);
	rig->config.flags |= TALON_F_PLAIN_ROUTES6;
	rig_config(rig);
	r = rig_from_wire(rig, &reply);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_ICMP_SENT);
	out = rig_plain(rig, &r);
	want = own_error6(NODE6, PLAIN6, 2, 0, RIG_MTU, &reply);
	pkt_equal(&out, &want);
	memset(&rig->config.node_addr6, 0, 16);		/* nobody to say it */
	rig_config(rig);
	r = rig_from_wire(rig, &reply);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_TOO_BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CASE(hops_that_are_up_are_told_to_the_client),
		RIG_CASE(hops_that_are_up_are_told_to_the_remote),
		RIG_CASE(no_error_is_sent_about_what_rfc_4443_excepts),
		RIG_CASE(errors_are_sent_about_later_fragments),
		RIG_CASE(what_is_too_big_for_the_next_link_is_answered),
		RIG_CASE(what_is_too_big_for_the_tunnel_is_answered),
		RIG_CASE(what_is_too_big_for_the_other_peer_is_answered),
		RIG_CASE(no_mtu_below_1280_is_told),
		RIG_CASE(tcp_fits_a_path_below_1280),
		RIG_CASE(no_device_is_given_more_than_it_takes),
		RIG_CASE(errors_from_the_wire_reach_the_client),
		RIG_CASE(errors_of_a_client_reach_the_remote),
		RIG_CASE(an_error_about_no_flow_of_ours_goes_nowhere),
		RIG_CASE(refusals_about_a_plain_route_come_from_the_node),
	};

	return rig_main("ICMPv6", tests);
}
