// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// lib/icmp.h: ICMP errors that Talon sends, and those about its flows (RFC 5508, RFC 4787 REQ-12).
#include <string.h>

#include <linux/if_ether.h>

#include "bpf/rig.h"
#include "bpf/steps.h"

static void an_expired_ttl_is_told_to_the_client(void **state)
{
	struct rig *rig = *state;

	for (uint8_t ttl = 1; ttl <= 2; ttl++) {
		struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17,
			.sport = 33434, .dport = 33435, .ttl = ttl, .payload = 100);
		struct rig_result r = rig_from_peer(rig, 0, &inner);
		struct packet got, want;

		if (ttl == 2) {
			rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
			continue;
		}
		rig_ends(rig, &r, TALON_DIR_IN, TALON_ICMP_SENT);
		got = rig_opened(rig, &r, 0);
		want = own_error(ip4(MESH), ip4(CLIENT), 11, 0, 0, &inner);
		pkt_equal(&got, &want);
	}
	{	/* also of a flow that is known */
		struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17,
			.sport = 33434, .dport = 33435, .ttl = 1);
		struct rig_result r = rig_from_peer(rig, 0, &inner);

		rig_ends(rig, &r, TALON_DIR_IN, TALON_ICMP_SENT);
	}
}

static void an_expired_ttl_is_told_to_the_remote(void **state)
{
	struct rig *rig = *state;
	uint16_t port = open_udp(rig, 0, ip4(CLIENT), 5, ip4(GATEWAY), 6);
	struct packet reply = PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 6,
		.dport = port, .ttl = 1, .payload = 50);
	struct rig_result r = rig_from_wire(rig, &reply);
	struct packet out, want;

	rig_ends(rig, &r, TALON_DIR_OUT, TALON_ICMP_SENT);
	out = rig_plain(rig, &r);	/* back to its sender */
	want = own_error(ip4(NODE), ip4(GATEWAY), 11, 0, 0, &reply);
	pkt_equal(&out, &want);
}

/* RFC 1812 section 4.3.2.7 */
static void no_icmp_error_is_sent_about_what_rfc_1812_excepts(void **state)
{
	struct packet whole = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 5,
		.dport = 6, .ttl = 1, .payload = 80);
	struct packet about = PKT(.src = ip4(GATEWAY), .dst = ip4(CLIENT), .proto = 17, .sport = 5,
		.dport = 6);
	struct packet inner[] = { pkt_fragment(&whole, 40, 48), pkt_icmp_error(ip4(CLIENT), ip4(GATEWAY), 3,
		3, 0, &about, 28) };
	struct rig *rig = *state;

	inner[1].bytes[8] = 1;
	pkt_fix_header(&inner[1]);
	for (size_t i = 0; i < 2; i++) {
		struct rig_result r = rig_from_peer(rig, 0, &inner[i]);

		assert_int_equal(r.verdict, RIG_DROP);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_TTL_EXPIRED);
	}
}

static void icmp_errors_are_rate_limited(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 5,
		.dport = 6, .ttl = 1);
	struct rig *rig = *state;
	struct rig_result r;

	rig_drain(rig, "icmp");
	r = rig_from_peer(rig, 0, &inner);
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_RATE_LIMITED);
}

/* U13, RFC 4787 REQ-13 */
static void what_is_too_big_for_the_next_link_is_answered(void **state)
{
	struct rig *rig = *state;

	for (int known = 0; known < 2; known++) {	/* a new flow, then a known one */
		struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(NARROW), .proto = 17, .sport = 5,
			.dport = 6, .payload = 973, .frag = PKT_DF);
		struct rig_result r = rig_from_peer(rig, 0, &inner);
		struct packet got, want;

		rig_ends(rig, &r, TALON_DIR_IN, TALON_ICMP_SENT);
		got = rig_opened(rig, &r, 0);
		want = own_error(ip4(MESH), ip4(CLIENT), 3, 4, 1000, &inner);
		pkt_equal(&got, &want);
	}
	{
		struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(NARROW), .proto = 17, .sport = 5,
			.dport = 6, .payload = 972, .frag = PKT_DF);
		struct rig_result r = rig_from_peer(rig, 0, &inner);

		rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	}
}

static void what_is_too_big_for_the_tunnel_is_answered(void **state)
{
	struct rig *rig = *state;
	uint16_t port = open_udp(rig, 0, ip4(CLIENT), 5, ip4(GATEWAY), 6);
	struct packet reply = PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 6,
		.dport = port, .payload = 1253, .frag = PKT_DF), out, want;
	struct rig_result r = rig_from_wire(rig, &reply);

	rig_ends(rig, &r, TALON_DIR_OUT, TALON_ICMP_SENT);
	out = rig_plain(rig, &r);
	want = own_error(ip4(NODE), ip4(GATEWAY), 3, 4, RIG_MTU, &reply);
	pkt_equal(&out, &want);
	reply = PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 6, .dport = port,
		.payload = 1252, .frag = PKT_DF);
	r = rig_from_wire(rig, &reply);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	reply = PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 6, .dport = port,
		.payload = 1300, .id = 5);
	r = rig_from_wire(rig, &reply);
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_HELD);
	{
		const struct rig_event *event = rig_event(&r, TALON_EVENT_TOO_BIG);
		struct packet got = { .len = event->head.len };

		assert_int_equal(event->head.peer, 0);
		assert_int_equal(event->head.id, RIG_MTU);
		memcpy(got.bytes, event->data, got.len);
		want = PKT(.src = ip4(GATEWAY), .dst = ip4(CLIENT), .proto = 17, .sport = 6, .dport = 5,
			.payload = 1300, .id = 5, .ttl = 63);
		pkt_equal(&got, &want);
	}
}

static const struct { uint8_t type, code; uint32_t rest; } error_kinds[] = {
	{ 3, 1, 0 }, { 3, 3, 0 }, { 3, 4, 1234 }, { 11, 0, 0 }, { 12, 0, 0x04000000 },
};

/* About what the client sent, from a router or the remote itself; @embed bytes of it are in the error. */
static void error_from_the_wire(struct rig *rig, struct pkt_spec in, uint32_t embed, int kind,
	const char *router)
{
	struct packet inner = pkt_ip4(&in), sent, error, got, want;
	struct rig_result r = rig_from_peer(rig, 0, &inner);
	struct talon_flow before, after;

	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	sent = rig_plain(rig, &r);
	before = rig_flow(rig, r.flow);
	before.seen_s -= 20;
	rig_flow_write(rig, r.flow, &before);
	if (embed > sent.len)
		embed = sent.len;
	error = pkt_icmp_error(ip4(router), ip4(NODE), error_kinds[kind].type, error_kinds[kind].code,
		error_kinds[kind].rest, &sent, embed);
	r = rig_from_wire(rig, &error);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	got = rig_opened(rig, &r, 0);
	/* What the client sent, with the TTL it had on the way. */
	in.ttl = 63;
	inner = pkt_ip4(&in);
	want = pkt_icmp_error(ip4(router), ip4(CLIENT), error_kinds[kind].type, error_kinds[kind].code,
		error_kinds[kind].rest, &inner, embed);
	want.bytes[8] = 63;
	pkt_fix_header(&want);
	pkt_equal(&got, &want);
	assert_null(pkt_check(got.bytes, got.len));
	after = rig_flow(rig, r.flow);
	assert_memory_equal(&after, &before, sizeof(after));	/* neither refreshed nor ended */
}

static void icmp_errors_from_the_wire_reach_the_client(void **state)
{
	static const uint8_t protos[] = { 6, 17, 1 };
	static const uint32_t embeds[] = { 28, 36, 48, 576 };
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(protos); i++) {
		for (size_t j = 0; j < 4; j++) {
			for (int kind = 0; kind < 5; kind++) {
				struct pkt_spec in = { .src = ip4(CLIENT), .dst = ip4(GATEWAY),
					.proto = protos[i], .sport = 1000, .dport = 80, .tcp_flags = TCP_ACK,
					.icmp_type = 8, .icmp_id = 1000, .payload = 100, .id = 0x4321 };

				error_from_the_wire(rig, in, embeds[j], kind,
					kind % 2 ? GATEWAY : "192.168.1.1");
			}
		}
	}
}

static void an_embedded_udp_packet_without_checksum_stays_so(void **state)
{
	struct pkt_spec in = { .src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 1000,
		.dport = 80, .payload = 30, .no_checksum = true };

	error_from_the_wire(*state, in, 28, 1, GATEWAY);
}

static void an_embedded_header_with_options_is_translated(void **state)
{
	struct pkt_spec in = { .src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 1000,
		.dport = 80, .payload = 30, .ip_options = 8 };

	error_from_the_wire(*state, in, 576, 1, GATEWAY);
	in.proto = 6;
	in.tcp_flags = TCP_ACK;
	error_from_the_wire(*state, in, 36, 1, GATEWAY);
}

/* The other way: the client complains about what the remote sent. */
static void error_from_the_client(struct rig *rig, struct pkt_spec in, uint32_t embed, int kind)
{
	struct pkt_spec reply;
	struct packet packet, delivered, error, got, want;
	struct talon_flow before, after;
	struct rig_result r;
	uint32_t id;

	in.frag = PKT_DF;
	snat(rig, &in, &reply);
	reply.icmp_type = reply.proto == 1 ? 0 : reply.icmp_type;
	packet = pkt_ip4(&reply);
	r = rig_from_wire(rig, &packet);
	delivered = rig_opened(rig, &r, 0);
	id = r.flow;
	before = rig_flow(rig, id);
	before.seen_s -= 20;
	rig_flow_write(rig, id, &before);
	if (embed > delivered.len)
		embed = delivered.len;
	error = pkt_icmp_error(ip4(CLIENT), ip4(GATEWAY), error_kinds[kind].type, error_kinds[kind].code,
		error_kinds[kind].rest, &delivered, embed);
	r = rig_from_peer(rig, 0, &error);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	got = rig_plain(rig, &r);
	reply.ttl = 63;
	packet = pkt_ip4(&reply);
	want = pkt_icmp_error(ip4(NODE), ip4(GATEWAY), error_kinds[kind].type, error_kinds[kind].code,
		error_kinds[kind].rest, &packet, embed);
	want.bytes[8] = 63;
	pkt_fix_header(&want);
	pkt_equal(&got, &want);
	after = rig_flow(rig, id);
	assert_int_equal(after.seen_s, before.seen_s);
}

static void icmp_errors_of_a_client_reach_the_remote(void **state)
{
	static const uint8_t protos[] = { 6, 17, 1 };
	static const uint32_t embeds[] = { 28, 48, 576 };
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(protos); i++) {
		for (size_t j = 0; j < 3; j++) {
			struct pkt_spec in = { .src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = protos[i],
				.sport = 1000, .dport = 80, .tcp_flags = TCP_ACK, .icmp_type = 8,
				.icmp_id = 1000, .payload = 100 };

			rig_teardown(state);
			rig_setup(state);
			rig = *state;
			error_from_the_client(rig, in, embeds[j], i + j);
		}
	}
}

static void an_icmp_error_about_no_flow_of_ours_goes_nowhere(void **state)
{
	struct rig *rig = *state;
	uint16_t port = open_udp(rig, 0, ip4(CLIENT), 5, ip4(GATEWAY), 6);
	struct packet about = PKT(.src = ip4(GATEWAY), .dst = ip4(CLIENT), .proto = 17, .sport = 6,
		.dport = 7);
	struct packet inner = pkt_icmp_error(ip4(CLIENT), ip4(GATEWAY), 3, 3, 0, &about, 28), frame, error;
	struct rig_result r = rig_from_peer(rig, 0, &inner);

	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NAT_NO_FLOW);

	about = PKT(.src = ip4(GATEWAY), .dst = ip4(CLIENT), .proto = 17, .sport = 6, .dport = 5);
	/* somebody else's flow */
	inner = pkt_icmp_error(ip4(CLIENT1), ip4(GATEWAY), 3, 3, 0, &about, 28);
	r = rig_from_peer(rig, 1, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NAT_NO_FLOW);

	inner = pkt_icmp_error(ip4(CLIENT), ip4(GATEWAY), 3, 3, 0, &about, 20);		/* too little of it */
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_BAD_INNER);

	about = PKT(.src = ip4(NODE), .dst = ip4(GATEWAY), .proto = 17, .sport = port, .dport = 7);
	error = pkt_icmp_error(ip4(GATEWAY), ip4(NODE), 3, 3, 0, &about, 28);
	frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IP, &error);
	passes_untouched(rig, &frame);
}

static void what_is_too_big_for_the_other_peer_is_answered_or_cut(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(CLIENT1), .proto = 17, .sport = 5,
		.dport = 6, .payload = 1300, .frag = PKT_DF);
	struct rig *rig = *state;
	struct rig_result r = rig_from_peer(rig, 0, &inner);
	struct packet got, want;
	const struct rig_event *event;

	rig_ends(rig, &r, TALON_DIR_IN, TALON_ICMP_SENT);
	got = rig_opened(rig, &r, 0);
	want = own_error(ip4(MESH), ip4(CLIENT), 3, 4, RIG_MTU, &inner);
	pkt_equal(&got, &want);
	inner = PKT(.src = ip4(CLIENT), .dst = ip4(CLIENT1), .proto = 17, .sport = 5, .dport = 6,
		.payload = 1300);
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_HELD);
	event = rig_event(&r, TALON_EVENT_TOO_BIG);
	assert_int_equal(event->head.peer, 1);
	assert_int_equal(event->head.id, RIG_MTU);
	want = PKT(.src = ip4(CLIENT), .dst = ip4(CLIENT1), .proto = 17, .sport = 5, .dport = 6,
		.payload = 1300, .ttl = 63);
	assert_int_equal(event->head.len, want.len);
	assert_memory_equal(event->data, want.bytes, want.len);
}

static void refusals_about_a_plain_route_come_from_the_node(void **state)
{
	struct packet reply = PKT(.src = ip4(PLAIN), .dst = ip4(CLIENT), .proto = 17, .sport = 6, .dport = 5,
		.payload = 1300, .frag = PKT_DF);
	struct rig *rig = *state;
	struct rig_result r;
	struct packet out, want;

	rig->config.flags |= TALON_F_PLAIN_ROUTES;
	rig_config(rig);
	r = rig_from_wire(rig, &reply);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_ICMP_SENT);
	out = rig_plain(rig, &r);
	want = own_error(ip4(NODE), ip4(PLAIN), 3, 4, RIG_MTU, &reply);
	pkt_equal(&out, &want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CASE(an_expired_ttl_is_told_to_the_client),
		RIG_CASE(an_expired_ttl_is_told_to_the_remote),
		RIG_CASE(no_icmp_error_is_sent_about_what_rfc_1812_excepts),
		RIG_CASE(icmp_errors_are_rate_limited),
		RIG_CASE(what_is_too_big_for_the_next_link_is_answered),
		RIG_CASE(what_is_too_big_for_the_tunnel_is_answered),
		RIG_CASE(icmp_errors_from_the_wire_reach_the_client),
		RIG_CASE(an_embedded_udp_packet_without_checksum_stays_so),
		RIG_CASE(an_embedded_header_with_options_is_translated),
		RIG_CASE(icmp_errors_of_a_client_reach_the_remote),
		RIG_CASE(an_icmp_error_about_no_flow_of_ours_goes_nowhere),
		RIG_CASE(what_is_too_big_for_the_other_peer_is_answered_or_cut),
		RIG_CASE(refusals_about_a_plain_route_come_from_the_node),
	};

	return rig_main("ICMP", tests);
}
