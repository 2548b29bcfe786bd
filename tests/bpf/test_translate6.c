// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// lib/translate6.h and rewrite6.h, and IPv6 in the flow table: there and back, whatever the folds are.
#include <string.h>

#include <linux/if_ether.h>

#include "bpf/rig.h"
#include "bpf/steps.h"

static const uint8_t protos[] = { 6, 17, 58 };

static struct pkt6_spec spec_of(uint8_t proto)
{
	return (struct pkt6_spec) { .src = ip6(CLIENT6), .dst = ip6(GATEWAY6), .proto = proto, .sport = 4000,
		.dport = 443, .tcp_flags = TCP_SYN, .icmp_type = proto == 58 ? 128 : 0, .icmp_id = 4000 };
}

static void every_protocol_is_translated_there_and_back(void **state)
{
	struct rig *rig = *state;

	rig_six(rig);
	for (size_t i = 0; i < sizeof(protos); i++) {
		struct pkt6_spec in = spec_of(protos[i]), reply;
		uint16_t port = 0;

		for (uint32_t n = 0; n < 3; n++) {
			in.payload = n * 411;
			in.seed = n;
			in.tcp_flags = n ? TCP_ACK : TCP_SYN;
			if (port)
				assert_int_equal(snat6(rig, &in, &reply), port);
			else
				port = snat6(rig, &in, &reply);
			reply.tcp_flags = n ? TCP_ACK : TCP_SYN | TCP_ACK;
			unsnat6(rig, &in, &reply);
		}
	}
	assert_int_equal(nat_stats(rig).live, 3);
	assert_int_equal(nat_stats(rig).ports[0] + nat_stats(rig).ports[1] + nat_stats(rig).ports[2], 3);
}

/* Addresses and ports of all sorts, so that sums carry in every way. */
static void checksums_are_those_of_a_full_computation(void **state)
{
	struct rig *rig = *state;
	uint32_t x = 1;

	rig_six(rig);
	rig_allow6(rig, "fd00:65::", 32, 0);
	for (int i = 0; i < 300; i++) {
		struct pkt6_spec in = spec_of(protos[i % 3]), reply;

		in.src = ip6("fd00:65::");
		for (int j = 4; j < 16; j++) {
			x = x * 1664525 + 1013904223;
			in.src.byte[j] = i % 4 ? x >> 24 : 0xff;
		}
		in.sport = i % 5 ? x >> 8 : 0xffff;
		in.icmp_id = in.sport;
		in.payload = i % 7;
		in.seed = x >> 16;
		if (i % 6 == 5)
			in.dst_options = 8;
		snat6(rig, &in, &reply);
		unsnat6(rig, &in, &reply);
		if (i % 100 == 99)	/* shares of one peer */
			rig_refill(rig);
	}
}

static void a_udp_checksum_of_zero_stays_so(void **state)
{
	struct pkt6_spec in = spec_of(17), reply;
	struct rig *rig = *state;
	struct rig_result r;
	struct packet p, got;

	rig_six(rig);
	snat6(rig, &in, &reply);
	p = pkt_ip6(&in);
	pkt_put16(p.bytes + 46, 0);	/* as tunnels may (RFC 6935) */
	r = rig_from_peer(rig, 0, &p);
	got = rig_plain(rig, &r);
	assert_int_equal(get16_at(&got, 46), 0);
	p = pkt_ip6(&reply);
	pkt_put16(p.bytes + 46, 0);
	r = rig_from_wire(rig, &p);
	got = rig_opened(rig, &r, 0);
	assert_int_equal(get16_at(&got, 46), 0);
}

static void passes6(struct rig *rig, const struct packet *p)
{
	struct packet frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IPV6, p);

	passes_untouched(rig, &frame);
}

static void a_reply_nobody_asked_for_is_left_alone(void **state)
{
	struct pkt6_spec in = spec_of(58), reply;
	struct rig *rig = *state;
	uint16_t port;

	rig_six(rig);
	port = open_udp6(rig, 0, CLIENT6, 5, GATEWAY6, 6);
	{
		struct packet near[] = {
			PKT6(.src = ip6(GATEWAY6), .dst = ip6(NODE6), .proto = 17, .sport = 7, .dport = port),
			PKT6(.src = ip6("2001:db8::219"), .dst = ip6(NODE6), .proto = 17, .sport = 6,
				.dport = port),
			PKT6(.src = ip6(GATEWAY6), .dst = ip6(NODE6), .proto = 17, .sport = 6,
				.dport = port ^ 1),
			PKT6(.src = ip6(GATEWAY6), .dst = ip6(SECOND6), .proto = 17, .sport = 6,
				.dport = port),
			PKT6(.src = ip6(GATEWAY6), .dst = ip6(NODE6), .proto = 6, .sport = 6, .dport = port,
				.tcp_flags = TCP_ACK),
			/* of the host, whatever the port */
			PKT6(.src = ip6(GATEWAY6), .dst = ip6(NODE6), .proto = 58, .icmp_type = 135,
				.hops = 255, .payload = 24),
			PKT6(.src = ip6("fe80::1"), .dst = ip6("ff02::1"), .proto = 58, .icmp_type = 134,
				.hops = 255, .payload = 24),
			PKT6(.src = ip6(GATEWAY6), .dst = ip6(NODE6), .proto = 50, .payload = 24),
			PKT6(.src = ip6(GATEWAY6), .dst = ip6(NODE6), .proto = 17, .sport = 6, .dport = 22),
			PKT6(.src = ip6(GATEWAY6), .dst = ip6("2001:db8:99::1"), .proto = 17, .sport = 6,
				.dport = port),
		};

		for (size_t i = 0; i < sizeof(near) / sizeof(near[0]); i++)
			passes6(rig, &near[i]);
		near[0].bytes[4] = 1;	/* longer than the frame */
		passes6(rig, &near[0]);
	}
	snat6(rig, &in, &reply);	/* an echo request with the id of our query is not a reply */
	reply.icmp_type = 128;
	{
		struct packet p = pkt_ip6(&reply);

		passes6(rig, &p);
	}
}

static void without_the_flag_the_wires_ipv6_is_left_alone(void **state)
{
	struct rig *rig = *state;
	struct packet p;
	uint16_t port;

	rig_six(rig);
	port = open_udp6(rig, 0, CLIENT6, 5, GATEWAY6, 6);
	rig->config.flags &= ~TALON_F_INNER6;
	rig_config(rig);
	p = PKT6(.src = ip6(GATEWAY6), .dst = ip6(NODE6), .proto = 17, .sport = 6, .dport = port);
	passes6(rig, &p);
}

/* The two families have the same ports and indexes, and nothing else in common. */
static void flows_of_both_families_are_told_apart(void **state)
{
	struct rig *rig = *state;
	struct packet p, got, want;
	struct rig_result r;
	uint16_t four, six;

	rig_six(rig);
	four = open_udp(rig, 0, ip4(CLIENT), 5, ip4(GATEWAY), 6);
	six = open_udp6(rig, 0, CLIENT6, 5, GATEWAY6, 6);
	p = PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 6, .dport = four);
	r = rig_from_wire(rig, &p);
	got = rig_opened(rig, &r, 0);
	want = PKT(.src = ip4(GATEWAY), .dst = ip4(CLIENT), .proto = 17, .sport = 6, .dport = 5, .ttl = 63);
	pkt_equal(&got, &want);
	p = PKT6(.src = ip6(GATEWAY6), .dst = ip6(NODE6), .proto = 17, .sport = 6, .dport = six);
	r = rig_from_wire(rig, &p);
	got = rig_opened(rig, &r, 0);
	want = PKT6(.src = ip6(GATEWAY6), .dst = ip6(CLIENT6), .proto = 17, .sport = 6, .dport = 5,
		.hops = 63);
	pkt_equal(&got, &want);
	assert_int_equal(nat_stats(rig).live, 2);
}

/*
 * Without a key every address has the same fold: whoever comes second with the same ports is refused, and no
 * packet ever goes by another's record.
 */
static void equal_folds_never_mix_two_flows(void **state)
{
	struct rig *rig = *state;
	struct packet inner, reply, got, want;
	struct rig_result r;
	uint16_t port, other;

	rig_six(rig);
	memset(rig->config.keys.fold, 0, sizeof(rig->config.keys.fold));
	rig_config(rig);
	port = open_udp6(rig, 0, CLIENT6, 5, GATEWAY6, 6);
	inner = PKT6(.src = ip6(CLIENT6_1), .dst = ip6(GATEWAY6), .proto = 17, .sport = 5, .dport = 6);
	r = rig_from_peer(rig, 1, &inner);	/* another client */
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NAT_RACE);
	inner = PKT6(.src = ip6(CLIENT6), .dst = ip6("2001:db8::1"), .proto = 17, .sport = 5, .dport = 6);
	r = rig_from_peer(rig, 0, &inner);	/* another remote */
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NAT_RACE);
	/*
	 * other ports have another key, and another port of ours: the owner's fold is the same, not its port
	 */
	inner = PKT6(.src = ip6(CLIENT6_1), .dst = ip6(GATEWAY6), .proto = 17, .sport = 55, .dport = 6);
	r = rig_from_peer(rig, 1, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	got = rig_plain(rig, &r);
	other = SPORT6(&got);
	assert_int_not_equal(other, port);
	/* the same owner by its fold: both may use one port for different remotes, by their ports */
	inner = PKT6(.src = ip6(CLIENT6_1), .dst = ip6(GATEWAY6), .proto = 17, .sport = 5, .dport = 7);
	r = rig_from_peer(rig, 1, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	got = rig_plain(rig, &r);
	assert_int_equal(SPORT6(&got), port);

	reply = PKT6(.src = ip6(GATEWAY6), .dst = ip6(NODE6), .proto = 17, .sport = 6, .dport = port);
	r = rig_from_wire(rig, &reply);
	got = rig_opened(rig, &r, 0);
	want = PKT6(.src = ip6(GATEWAY6), .dst = ip6(CLIENT6), .proto = 17, .sport = 6, .dport = 5,
		.hops = 63);
	pkt_equal(&got, &want);
	reply = PKT6(.src = ip6(GATEWAY6), .dst = ip6(NODE6), .proto = 17, .sport = 7, .dport = port);
	r = rig_from_wire(rig, &reply);
	got = rig_opened(rig, &r, 1);
	want = PKT6(.src = ip6(GATEWAY6), .dst = ip6(CLIENT6_1), .proto = 17, .sport = 7, .dport = 5,
		.hops = 63);
	pkt_equal(&got, &want);
	/* not the remote, and not the address, though the record is found */
	reply = PKT6(.src = ip6("2001:db8::219"), .dst = ip6(NODE6), .proto = 17, .sport = 6, .dport = port);
	passes6(rig, &reply);
	reply = PKT6(.src = ip6(GATEWAY6), .dst = ip6(SECOND6), .proto = 17, .sport = 6, .dport = port);
	passes6(rig, &reply);
	/* an error about it from somewhere that the packet never went to */
	got = PKT6(.src = ip6(NODE6), .dst = ip6("2001:db8::219"), .proto = 17, .sport = port, .dport = 6);
	reply = pkt_icmp6_error(ip6("2001:db8::219"), ip6(NODE6), 1, 4, 0, &got, got.len);
	passes6(rig, &reply);
	want = PKT6(.src = ip6("2001:db8::219"), .dst = ip6(CLIENT6), .proto = 17, .sport = 6, .dport = 5);
	inner = pkt_icmp6_error(ip6(CLIENT6), ip6("2001:db8::219"), 1, 4, 0, &want, want.len);
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NAT_NO_FLOW);
}

static void addresses_go_with_the_record(void **state)
{
	struct rig *rig = *state;
	struct packet inner = PKT6(.src = ip6(CLIENT6), .dst = ip6(GATEWAY6), .proto = 17, .sport = 5,
		.dport = 6), p;
	struct addr6 want[] = { ip6(CLIENT6), ip6(GATEWAY6), ip6(NODE6) };
	uint32_t now_s = rig_now_ns() / TALON_NSEC_PER_SEC;
	struct talon_flow6 six;
	struct rig_result r;

	rig_six(rig);
	r = rig_from_peer(rig, 0, &inner);
	assert_int_not_equal(r.flow, 0);
	six = rig_flow6(rig, r.flow);
	assert_memory_equal(&six, want, sizeof(want));
	assert_int_equal(rig_collect(rig, now_s + TALON_NAT_UDP_S - 2).expired, 0);
	assert_int_equal(rig_collect(rig, now_s + TALON_NAT_UDP_S + 2).expired, 1);
	assert_true(rig_has_flow6(rig, r.flow));	/* somebody may still hold the record */
	assert_int_equal(rig_collect(rig, now_s + TALON_NAT_UDP_S + 2 + TALON_FLOW_GRACE_S).freed, 1);
	assert_false(rig_has_flow6(rig, r.flow));
	assert_int_equal(nat_stats(rig).live, 0);
	assert_int_equal(nat_stats(rig).ports[1], 0);
	p = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 5, .dport = 6);
	r = rig_from_peer(rig, 0, &p);		/* the id comes back, now IPv4's */
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	assert_false(rig_has_flow6(rig, r.flow));
}

static void idle_flows_live_as_long_as_those_of_ipv4(void **state)
{
	static const uint32_t timeouts[] = { TALON_NAT_TCP_TRANSITORY_S, TALON_NAT_UDP_S, TALON_NAT_ICMP_S };
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(protos); i++) {
		struct pkt6_spec in = spec_of(protos[i]), reply;
		uint32_t now_s;

		rig_six(rig);
		snat6(rig, &in, &reply);
		now_s = rig_now_ns() / TALON_NSEC_PER_SEC;
		assert_int_equal(rig_collect(rig, now_s + timeouts[i] - 2).expired, 0);
		assert_int_equal(rig_collect(rig, now_s + timeouts[i] + 1).expired, 1);
	}
	{
		struct pkt6_spec in = spec_of(6), reply;
		uint32_t now_s;

		in.sport = 4001;
		snat6(rig, &in, &reply);
		reply.tcp_flags = TCP_SYN | TCP_ACK;
		unsnat6(rig, &in, &reply);
		in.tcp_flags = TCP_ACK;
		snat6(rig, &in, &reply);
		now_s = rig_now_ns() / TALON_NSEC_PER_SEC;
		assert_int_equal(rig_collect(rig, now_s + TALON_NAT_TCP_ESTABLISHED_S - 2).expired, 0);
		assert_int_equal(rig_collect(rig, now_s + TALON_NAT_TCP_ESTABLISHED_S + 1).expired, 1);
	}
}

static void a_flow_whose_source_is_gone_ends_and_begins_anew(void **state)
{
	struct packet inner = PKT6(.src = ip6(CLIENT6), .dst = ip6(GATEWAY6), .proto = 17, .sport = 5,
		.dport = 6), out;
	struct rig *rig = *state;
	struct addr6 second = ip6(SECOND6);
	struct rig_result r;

	rig_six(rig);
	open_udp6(rig, 0, CLIENT6, 5, GATEWAY6, 6);
	rig_host_route6(rig, "::", 0, TALON_HOST_UNICAST, SECOND6, 0);
	rig_bump(rig);
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	out = rig_plain(rig, &r);
	assert_memory_equal(out.bytes + 8, &second, 16);
	assert_int_equal(nat_stats(rig).live, 1);
	out = PKT6(.src = ip6(GATEWAY6), .dst = second, .proto = 17, .sport = 6, .dport = SPORT6(&out));
	r = rig_from_wire(rig, &out);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	rig_opened(rig, &r, 0);
}

static void replies_end_with_the_route_and_local(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct rig *rig = *state;
		struct rig_result r;
		struct packet reply;
		uint16_t port;

		rig_six(rig);
		port = open_udp6(rig, 0, CLIENT6, 5, GATEWAY6, 6);
		if (i)
			rig_local6(rig, GATEWAY6, 128);
		else
			rig_route6(rig, "2001:db8::", 64, 0);
		rig_bump(rig);
		reply = PKT6(.src = ip6(GATEWAY6), .dst = ip6(NODE6), .proto = 17, .sport = 6, .dport = port);
		r = rig_from_wire(rig, &reply);
		rig_ends(rig, &r, TALON_DIR_OUT, TALON_NO_ROUTE);
		assert_int_equal(nat_stats(rig).live, 0);
		rig_teardown(state);
		rig_setup(state);
	}
}

static void ports_and_records_run_out_with_an_answer(void **state)
{
	struct packet inner = PKT6(.src = ip6(CLIENT6), .dst = ip6(GATEWAY6), .proto = 17, .sport = 500,
		.dport = 6), got, want;
	struct rig *rig = *state;
	struct rig_result r;

	rig_six(rig);
	rig->config.port_last = rig->config.port_first;
	rig_config(rig);
	open_udp6(rig, 0, CLIENT6, 5, GATEWAY6, 6);
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_ICMP_SENT);
	got = rig_opened(rig, &r, 0);
	want = own_error6(MESH6, CLIENT6, 1, 1, 0, &inner);
	pkt_equal(&got, &want);
	rig_event(&r, TALON_EVENT_NAT_FULL);
	rig->config.flow_count = 2;
	rig_config(rig);
	rig_drain(rig, "icmp");
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_RATE_LIMITED);
	assert_int_equal(nat_stats(rig).full_table, 1);
	assert_int_equal(nat_stats(rig).full_ports, 1);
}

static void fragments_of_a_reply_follow_their_first_one(void **state)
{
	struct rig *rig = *state;
	struct packet whole, want;
	uint16_t port;

	rig_six(rig);
	port = open_udp6(rig, 0, CLIENT6, 5, GATEWAY6, 6);
	whole = PKT6(.src = ip6(GATEWAY6), .dst = ip6(NODE6), .proto = 17, .sport = 6, .dport = port,
		.payload = 1000);
	want = PKT6(.src = ip6(GATEWAY6), .dst = ip6(CLIENT6), .proto = 17, .sport = 6, .dport = 5,
		.payload = 1000, .hops = 63);
	for (uint32_t off = 0; off < 1008; off += 400) {
		struct packet part = pkt_fragment6(&whole, off, off < 800 ? 400 : 208, 0x12345678),
			wanted = pkt_fragment6(&want, off, off < 800 ? 400 : 208, 0x12345678);
		struct rig_result r = rig_from_wire(rig, &part);
		struct packet got;

		rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
		got = rig_opened(rig, &r, 0);
		pkt_equal(&got, &wanted);
		assert_int_equal(r.event_count, 0);
	}
	{	/* of another datagram */
		struct packet part = pkt_fragment6(&whole, 400, 400, 0x12345679);
		struct rig_result r = rig_from_wire(rig, &part);

		rig_ends(rig, &r, TALON_DIR_OUT, TALON_HELD);
	}
}

static void a_fragment_that_is_alone_is_a_packet(void **state)
{
	struct rig *rig = *state;
	struct packet whole, want, got;
	struct rig_result r;
	uint16_t port;

	rig_six(rig);
	port = open_udp6(rig, 0, CLIENT6, 5, GATEWAY6, 6);
	whole = PKT6(.src = ip6(GATEWAY6), .dst = ip6(NODE6), .proto = 17, .sport = 6, .dport = port,
		.payload = 10);
	want = PKT6(.src = ip6(GATEWAY6), .dst = ip6(CLIENT6), .proto = 17, .sport = 6, .dport = 5,
		.payload = 10, .hops = 63);
	whole = pkt_fragment6(&whole, 0, 18, 7);	/* RFC 6946 */
	want = pkt_fragment6(&want, 0, 18, 7);
	r = rig_from_wire(rig, &whole);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	got = rig_opened(rig, &r, 0);
	pkt_equal(&got, &want);
}

static void a_later_fragment_that_comes_first_is_kept_by_the_controller(void **state)
{
	struct addr6 gateway = ip6(GATEWAY6), node = ip6(NODE6);
	struct rig *rig = *state;
	struct packet whole, later, first, frame;
	const struct rig_event *event;
	struct rig_result r;
	uint16_t port;

	rig_six(rig);
	port = open_udp6(rig, 0, CLIENT6, 5, GATEWAY6, 6);
	whole = PKT6(.src = ip6(GATEWAY6), .dst = ip6(NODE6), .proto = 17, .sport = 6, .dport = port,
		.payload = 1000);
	later = pkt_fragment6(&whole, 400, 400, 0xabcdef01);
	first = pkt_fragment6(&whole, 0, 400, 0xabcdef01);
	r = rig_from_wire(rig, &later);
	assert_int_equal(r.verdict, RIG_PASS);		/* it may be one of the host's own */
	frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IPV6, &later);
	pkt_equal(&r.frame, &frame);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_HELD);
	event = rig_event(&r, TALON_EVENT_FRAGMENT);
	assert_memory_equal(&event->head.addr, &gateway, 16);
	assert_memory_equal(&event->head.addr2, &node, 16);
	assert_int_equal(event->head.id, 0xabcdef01);
	assert_int_equal(event->head.six, 1);
	assert_int_equal(event->head.len, later.len);
	assert_memory_equal(event->data, later.bytes, later.len);
	r = rig_from_wire(rig, &first);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	event = rig_event(&r, TALON_EVENT_FRAG_FIRST);
	assert_int_equal(event->head.peer, 0);
	assert_int_equal(event->head.six, 1);
	assert_int_equal(event->head.id, 0xabcdef01);
	assert_memory_equal(&event->head.addr, &gateway, 16);
	r = rig_from_wire(rig, &later);			/* from now on the way is known */
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	rig_opened(rig, &r, 0);
	rig_drain(rig, "event");
	later = pkt_fragment6(&whole, 400, 400, 5);
	r = rig_from_wire(rig, &later);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_RATE_LIMITED);
}

static void the_hosts_own_fragments_are_left_alone(void **state)
{
	struct rig *rig = *state;
	struct packet whole, part;

	rig_six(rig);
	whole = PKT6(.src = ip6(GATEWAY6), .dst = ip6(NODE6), .proto = 17, .sport = 6, .dport = 22,
		.payload = 1000);
	part = pkt_fragment6(&whole, 400, 400, 9);
	passes6(rig, &part);		/* there are no flows */
	open_udp6(rig, 0, CLIENT6, 5, GATEWAY6, 6);
	part = pkt_fragment6(&whole, 0, 400, 9);
	passes6(rig, &part);
	part = pkt_fragment6(&whole, 400, 400, 9);
	passes6(rig, &part);
}

static void fragments_of_a_client_leave_with_one_source(void **state)
{
	struct rig *rig = *state;
	struct packet whole = PKT6(.src = ip6(CLIENT6), .dst = ip6(GATEWAY6), .proto = 17, .sport = 5,
		.dport = 6, .payload = 1000), want = {};

	rig_six(rig);
	for (uint32_t off = 0; off < 1008; off += 400) {
		struct packet part = pkt_fragment6(&whole, off, off < 800 ? 400 : 208, 0x77), wanted, got;
		struct rig_result r = rig_from_peer(rig, 0, &part);

		rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
		got = rig_plain(rig, &r);
		if (!off)
			want = PKT6(.src = ip6(NODE6), .dst = ip6(GATEWAY6), .proto = 17,
				.sport = get16_at(&got, 48), .dport = 6, .payload = 1000, .hops = 63);
		wanted = pkt_fragment6(&want, off, off < 800 ? 400 : 208, 0x77);
		pkt_equal(&got, &wanted);
	}
}

static void a_route_without_masquerade_works_both_ways(void **state)
{
	struct packet reply = PKT6(.src = ip6(PLAIN6), .dst = ip6(CLIENT6), .proto = 6, .sport = 6,
		.dport = 5, .payload = 900), got, want;
	struct rig *rig = *state;
	struct rig_result r;

	rig_six(rig);
	passes6(rig, &reply);		/* only the flag turns it on */
	rig->config.flags |= TALON_F_PLAIN_ROUTES6;
	rig_config(rig);
	r = rig_from_wire(rig, &reply);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	got = rig_opened(rig, &r, 0);
	want = reply;
	want.bytes[7] = 63;
	pkt_equal(&got, &want);
	{	/* any other protocol, and later fragments, as they are */
		struct packet esp = PKT6(.src = ip6(PLAIN6), .dst = ip6(CLIENT6_2), .proto = 50,
			.payload = 50), later = pkt_fragment6(&reply, 80, 400, 5);

		r = rig_from_wire(rig, &esp);
		rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
		got = rig_opened(rig, &r, 2);
		esp.bytes[7] = 63;
		pkt_equal(&got, &esp);
		r = rig_from_wire(rig, &later);
		rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
		got = rig_opened(rig, &r, 0);
		later.bytes[7] = 63;
		pkt_equal(&got, &later);
	}
	{
		struct packet frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IPV6, &reply);

		frame.bytes[5] ^= 1;	/* to another host's MAC */
		passes_untouched(rig, &frame);
	}
	want = PKT6(.src = ip6(PLAIN6), .dst = ip6("fd00:64::99"), .proto = 17);
	passes6(rig, &want);		/* nobody's address */
	rig_allow6(rig, "::", 0, 1);
	want = PKT6(.src = ip6(PLAIN6), .dst = ip6(MESH6), .proto = 17);
	passes6(rig, &want);		/* our own address, even if a peer is allowed everything */
	want = PKT6(.src = ip6(PLAIN6), .dst = ip6("fd00:65::1"), .proto = 17);
	passes6(rig, &want);		/* outside the mesh */
	want = PKT6(.src = ip6(PLAIN6), .dst = ip6(CLIENT6), .proto = 58, .icmp_type = 135, .hops = 255,
		.payload = 24);
	r = rig_from_wire(rig, &want);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_BAD_DESTINATION);
}

/*
 * The host's stack would pass on what claims to be from the host itself, and a peer would believe it: with
 * the flag or without, from each of our addresses.
 */
static void nobody_on_the_wire_speaks_for_this_host(void **state)
{
	static const char *const ours[] = { MESH6, NODE6, SECOND6 };
	struct rig *rig = *state;

	rig_six(rig);
	rig_allow6(rig, "2001:db8:99::", 64, 1);	/* behind another peer */
	for (size_t i = 0; i < 2 * sizeof(ours) / sizeof(ours[0]); i++) {
		const char *src = ours[i / 2];
		struct packet to_peer = PKT6(.src = ip6(src), .dst = ip6(CLIENT6), .proto = 17, .sport = 22,
			.dport = 5), behind = PKT6(.src = ip6(src), .dst = ip6("2001:db8:99::1"), .proto = 17,
			.sport = 22, .dport = 5), elsewhere = PKT6(.src = ip6(src), .dst = ip6(GATEWAY6),
			.proto = 17, .sport = 22, .dport = 5),
			later = pkt_fragment6(&to_peer, 0, 8, 3), frame;
		struct rig_result r;

		rig->config.flags &= ~TALON_F_PLAIN_ROUTES6;
		rig->config.flags |= i % 2 ? TALON_F_PLAIN_ROUTES6 : 0;
		rig_config(rig);
		r = rig_from_wire(rig, &to_peer);
		rig_ends(rig, &r, TALON_DIR_OUT, TALON_LOCAL_SOURCE);
		r = rig_from_wire(rig, &behind);
		rig_ends(rig, &r, TALON_DIR_OUT, TALON_LOCAL_SOURCE);
		pkt_put16(later.bytes + 42, 8);
		r = rig_from_wire(rig, &later);
		rig_ends(rig, &r, TALON_DIR_OUT, TALON_LOCAL_SOURCE);
		passes6(rig, &elsewhere);	/* not into the mesh */
		frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IPV6, &to_peer);
		frame.bytes[5] ^= 1;
		passes_untouched(rig, &frame);	/* to another host's MAC */
	}
}

/* The prefix of the mesh, of any length. */
static void a_mesh_address_is_told_by_its_prefix(void **state)
{
	struct { const char *dst; uint8_t len; bool within; } cases[] = {
		{ "fd00:64::2", 128, false }, { "fd00:64::2", 126, true }, { "fd00:64::5", 126, false },
		{ "fd00:64:0:8000::2", 64, false }, { "fd00:64:0:8000::2", 48, true },
		{ "fd00:65::2", 32, false }, { "fd00:65::2", 31, true }, { "fd01::2", 8, true },
		{ "fd00:64:0:0:ffff::2", 65, false }, { "2001:db8:99::2", 1, false }, { "7d00::2", 1, false },
		{ "8000::2", 1, true },
	};
	struct rig *rig = *state;

	rig_six(rig);
	rig->config.flags |= TALON_F_PLAIN_ROUTES6;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct packet p = PKT6(.src = ip6(PLAIN6), .dst = ip6(cases[i].dst), .proto = 17, .sport = 6,
			.dport = 5);

		rig_allow6(rig, cases[i].dst, 128, 0);
		rig->config.mesh_len6 = cases[i].len;
		rig_config(rig);
		if (cases[i].within) {
			struct rig_result r = rig_from_wire(rig, &p);

			rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
			rig_opened(rig, &r, 0);
		} else {
			passes6(rig, &p);
		}
	}
}

static void an_unsolicited_syn_to_a_mapped_port_gets_no_answer(void **state)
{
	struct pkt6_spec in = spec_of(6), reply;
	struct rig *rig = *state;
	struct rig_result r;
	struct packet syn;
	uint16_t port;

	rig_six(rig);
	port = snat6(rig, &in, &reply);
	syn = PKT6(.src = ip6("2001:db8::99"), .dst = ip6(NODE6), .proto = 6, .sport = 9, .dport = port,
		.tcp_flags = TCP_SYN);
	r = rig_from_wire(rig, &syn);
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_NAT_NO_FLOW);
	syn = PKT6(.src = ip6("2001:db8::99"), .dst = ip6(NODE6), .proto = 6, .sport = 9, .dport = port ^ 1,
		.tcp_flags = TCP_SYN);
	passes6(rig, &syn);
}

static void the_mss_of_a_syn_is_clamped(void **state)
{
	static const struct { uint16_t offered; const char *dst; uint16_t out, back; } cases[] = {
		{ 1440, GATEWAY6, RIG_MTU - 60, RIG_MTU - 60 }, { 1000, GATEWAY6, 1000, 1000 },
	};
	struct rig *rig = *state;

	rig_six(rig);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t option[8] = { 1, 2, 4, cases[i].offered >> 8, cases[i].offered, 1, 1, 1 };
		struct packet inner = PKT6(.src = ip6(CLIENT6), .dst = ip6(cases[i].dst), .proto = 6,
			.sport = 70 + i, .dport = 80, .tcp_flags = TCP_SYN, .tcp_options = option,
			.tcp_options_len = 8), out, reply;
		struct rig_result r = rig_from_peer(rig, 0, &inner);

		out = rig_plain(rig, &r);
		assert_int_equal(get16_at(&out, 63), cases[i].out);
		reply = PKT6(.src = ip6(cases[i].dst), .dst = ip6(NODE6), .proto = 6, .sport = 80,
			.dport = SPORT6(&out), .tcp_flags = TCP_SYN | TCP_ACK, .tcp_options = option,
			.tcp_options_len = 8);
		r = rig_from_wire(rig, &reply);
		out = rig_opened(rig, &r, 0);
		assert_null(pkt_check_six(out.bytes, out.len));
		assert_int_equal(get16_at(&out, 63), cases[i].back);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CASE(every_protocol_is_translated_there_and_back),
		RIG_CASE(checksums_are_those_of_a_full_computation),
		RIG_CASE(a_udp_checksum_of_zero_stays_so),
		RIG_CASE(a_reply_nobody_asked_for_is_left_alone),
		RIG_CASE(without_the_flag_the_wires_ipv6_is_left_alone),
		RIG_CASE(flows_of_both_families_are_told_apart),
		RIG_CASE(equal_folds_never_mix_two_flows),
		RIG_CASE(addresses_go_with_the_record),
		RIG_CASE(idle_flows_live_as_long_as_those_of_ipv4),
		RIG_CASE(a_flow_whose_source_is_gone_ends_and_begins_anew),
		RIG_CASE(replies_end_with_the_route_and_local),
		RIG_CASE(ports_and_records_run_out_with_an_answer),
		RIG_CASE(fragments_of_a_reply_follow_their_first_one),
		RIG_CASE(a_fragment_that_is_alone_is_a_packet),
		RIG_CASE(a_later_fragment_that_comes_first_is_kept_by_the_controller),
		RIG_CASE(the_hosts_own_fragments_are_left_alone),
		RIG_CASE(fragments_of_a_client_leave_with_one_source),
		RIG_CASE(a_route_without_masquerade_works_both_ways),
		RIG_CASE(nobody_on_the_wire_speaks_for_this_host),
		RIG_CASE(a_mesh_address_is_told_by_its_prefix),
		RIG_CASE(an_unsolicited_syn_to_a_mapped_port_gets_no_answer),
		RIG_CASE(the_mss_of_a_syn_is_clamped),
	};

	return rig_main("translation of IPv6", tests);
}
