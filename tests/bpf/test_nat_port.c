// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// lib/nat_port.h: which external port an endpoint gets (RFC 4787, RFC 5382, RFC 5508, RFC 6056).
#include "bpf/rig.h"
#include "bpf/steps.h"

/* RFC 4787 REQ-1, RFC 5382 REQ-1, RFC 5508 REQ-1: U1, T1, I1 */
static void an_endpoint_keeps_its_port_whatever_it_talks_to(void **state)
{
	struct pkt_spec in = { .src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 40001,
		.dport = 53, .frag = PKT_DF }, reply;
	struct rig *rig = *state;
	static const uint8_t protos[] = { 17, 6, 1 };

	for (size_t i = 0; i < 3; i++) {
		uint16_t port;

		in.proto = protos[i];
		in.icmp_type = 8;
		in.icmp_id = 99;
		in.tcp_flags = TCP_SYN;
		in.dst = ip4(GATEWAY);
		port = snat(rig, &in, &reply);
		in.dport = 54;
		assert_int_equal(snat(rig, &in, &reply), port);
		in.dst = ip4("10.9.0.2");
		assert_int_equal(snat(rig, &in, &reply), port);
	}
}

static void two_clients_with_the_same_ports_get_different_ones(void **state)
{
	struct rig *rig = *state;
	uint16_t a = open_udp(rig, 0, ip4(CLIENT), 500, ip4(GATEWAY), 500),
		b = open_udp(rig, 1, ip4(CLIENT1), 500, ip4(GATEWAY), 500);
	struct packet reply;
	struct rig_result r;

	assert_int_not_equal(a, b);
	reply = PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 500, .dport = b);
	r = rig_from_wire(rig, &reply);
	rig_opened(rig, &r, 1);
	reply = PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 500, .dport = a);
	r = rig_from_wire(rig, &reply);
	rig_opened(rig, &r, 0);
}

/* X1: RFC 7857 section 9, RFC 6056: not predictable from the client's port or from the previous one. */
static void ports_are_neither_preserved_nor_handed_out_in_order(void **state)
{
	uint32_t neighbours = 0, preserved = 0, last = 0;
	struct rig *rig = *state;

	for (uint16_t i = 0; i < 40; i++) {
		uint16_t port = open_udp(rig, 0, ip4(CLIENT), 13000 + i, ip4(GATEWAY), 53);

		neighbours += last && (port == last + 1 || port == last - 1);
		preserved += port == 13000 + i;
		last = port;
	}
	assert_in_range(neighbours, 0, 2);
	assert_in_range(preserved, 0, 2);
}

/* X4 */
static void a_port_of_the_host_itself_is_never_used(void **state)
{
	struct rig *rig = *state;
	uint64_t all = ~0ULL, but = ~(1ULL << (15000 & 63));

	for (uint32_t i = 0; i < 2 * 65536 / 64; i++)
		rig_put(rig, "port_block", &i, &all);
	rig_put(rig, "port_block", &(uint32_t){ 65536 / 64 + 15000 / 64 }, &but);
	rig->config.port_first = 14990;
	rig->config.port_last = 15010;
	rig_config(rig);
	assert_int_equal(open_udp(rig, 0, ip4(CLIENT), 5, ip4(GATEWAY), 6), 15000);
	{
		struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 6, .sport = 5,
			.dport = 6, .tcp_flags = TCP_SYN);
		struct rig_result r = rig_from_peer(rig, 0, &inner);

		rig_ends(rig, &r, TALON_DIR_IN, TALON_ICMP_SENT);	/* no port is left for TCP */
	}
}

static void the_spare_address_is_the_source_where_there_is_one(void **state)
{
	struct pkt_spec in = { .src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 6, .sport = 40001,
		.dport = 443, .tcp_flags = TCP_SYN, .frag = PKT_DF }, reply;
	struct rig *rig = *state;

	rig_spare(rig);
	snat(rig, &in, &reply);
	reply.tcp_flags = TCP_SYN | TCP_ACK;
	unsnat(rig, &in, &reply);
}

/* U11, RFC 4787 REQ-11 */
static void an_endpoint_gets_the_same_port_again_whatever_others_did_meanwhile(void **state)
{
	struct rig *rig = *state;
	uint16_t port = open_udp(rig, 0, ip4(CLIENT), 5, ip4(GATEWAY), 6);

	for (uint16_t i = 0; i < 50; i++)
		open_udp(rig, 1, ip4(CLIENT1), 1000 + i, ip4(GATEWAY), 6);
	assert_int_equal(rig_collect(rig, rig_now_ns() / 1000000000 + 1000).expired, 51);
	assert_int_equal(open_udp(rig, 0, ip4(CLIENT), 5, ip4(NARROW), 6), port);
}

static void without_a_port_a_new_flow_is_refused_and_old_ones_go_on(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 5,
		.dport = 6);
	struct rig *rig = *state;
	struct rig_result r;

	rig->config.port_first = rig->config.port_last = 14000;
	rig_config(rig);
	assert_int_equal(open_udp(rig, 0, ip4(CLIENT), 4, ip4(GATEWAY), 6), 14000);
	r = rig_from_peer(rig, 0, &inner);
	refused_as_full(rig, &r, &inner);
	assert_int_equal(nat_stats(rig).full_ports, 1);
	rig_drain(rig, "icmp");
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_RATE_LIMITED);
	assert_int_equal(open_udp(rig, 0, ip4(CLIENT), 4, ip4(GATEWAY), 6), 14000);
	inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 1, .icmp_type = 8, .icmp_id = 1,
		.ip_options = 4);
	rig_from_peer(rig, 0, &inner);
	inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 1, .icmp_type = 8, .icmp_id = 2,
		.ip_options = 4);
	r = rig_from_peer(rig, 0, &inner);	/* no error is sent about a packet with options */
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NAT_PORTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CASE(an_endpoint_keeps_its_port_whatever_it_talks_to),
		RIG_CASE(two_clients_with_the_same_ports_get_different_ones),
		RIG_CASE(ports_are_neither_preserved_nor_handed_out_in_order),
		RIG_CASE(a_port_of_the_host_itself_is_never_used),
		RIG_CASE(the_spare_address_is_the_source_where_there_is_one),
		RIG_CASE(an_endpoint_gets_the_same_port_again_whatever_others_did_meanwhile),
		RIG_CASE(without_a_port_a_new_flow_is_refused_and_old_ones_go_on),
	};

	return rig_main("NAT ports", tests);
}
