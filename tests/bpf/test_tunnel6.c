// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What this host sends into the mesh in IPv6: verdict, bytes and counter of every case.
#include <arpa/inet.h>
#include <string.h>

#include <linux/if_ether.h>

#include "bpf/rig.h"
#include "bpf/steps.h"

static const char *const clients[RIG_PEERS] = { CLIENT6, CLIENT6_1, CLIENT6_2 };

static void sealed_as_it_was(struct rig *rig, uint32_t peer, const struct packet *packet)
{
	struct rig_result r = rig_from_host(rig, packet);
	struct packet got;

	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_FORWARDED);
	got = rig_opened(rig, &r, peer);
	pkt_equal(&got, packet);		/* hops too: the host forwarded it already */
}

static void is_dropped(struct rig *rig, const struct packet *packet, enum talon_end end)
{
	struct rig_result r = rig_from_host(rig, packet);

	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, end);
}

static void every_length_that_the_device_lets_through_is_sealed(void **state)
{
	struct rig *rig = *state;

	rig_six(rig);
	for (uint32_t len = 40; len <= RIG_MTU; len += len < 200 ? 1 : 7) {
		struct packet packet = PKT6(.src = ip6(MESH6), .dst = ip6(clients[len % 3]), .proto = 253,
			.payload = len - 40, .seed = len, .tclass = len & 3);

		sealed_as_it_was(rig, len % 3, &packet);
	}
}

static void every_kind_of_packet_is_sealed(void **state)
{
	struct packet whole = PKT6(.src = ip6(VIP6), .dst = ip6(CLIENT6_2), .proto = 17, .sport = 1,
		.dport = 2, .payload = 1000);
	struct packet packets[] = {
		PKT6(.src = ip6(VIP6), .dst = ip6(CLIENT6_2), .proto = 6, .sport = 80, .dport = 2,
			.tcp_flags = TCP_ACK, .payload = 100),
		PKT6(.src = ip6(MESH6), .dst = ip6(CLIENT6_2), .proto = 58, .icmp_type = 128, .icmp_id = 3,
			.payload = 56),
		PKT6(.src = ip6(MESH6), .dst = ip6(CLIENT6_2), .proto = 17, .hop_options = 8,
		.dst_options = 16, .payload = 56), PKT6(.src = ip6(MESH6), .dst = ip6(CLIENT6_2), .proto = 17,
		.hops = 1), pkt_fragment6(&whole, 0, 400, 3), pkt_fragment6(&whole, 400, 608, 3),
		pkt_icmp6_error(ip6(MESH6), ip6(CLIENT6_2), 1, 4, 0, &whole, 1000),
	};
	struct rig *rig = *state;

	rig_six(rig);
	for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++)
		sealed_as_it_was(rig, 2, &packets[i]);
}

static void the_longest_prefix_says_whose_it_is(void **state)
{
	struct packet packet = PKT6(.src = ip6(MESH6), .dst = ip6("fd00:65:1::7"), .proto = 17);
	struct rig *rig = *state;

	rig_six(rig);
	rig_allow6(rig, "::", 0, 2);
	sealed_as_it_was(rig, 2, &packet);
	rig_allow6(rig, "fd00:65::", 32, 1);
	sealed_as_it_was(rig, 1, &packet);
	rig_allow6(rig, "fd00:65:1::7", 128, 0);
	sealed_as_it_was(rig, 0, &packet);
}

/* The kernel looks for routers and joins groups on every device that has an address. */
static void what_is_of_the_link_alone_goes_nowhere(void **state)
{
	struct packet packets[] = {
		PKT6(.src = ip6("fe80::7"), .dst = ip6("ff02::2"), .proto = 58, .icmp_type = 133,
			.hops = 255),
		PKT6(.src = ip6("::"), .dst = ip6("ff02::16"), .proto = 58, .icmp_type = 143,
		.hop_options = 8, .hops = 1, .payload = 20), PKT6(.src = ip6(MESH6), .dst = ip6(CLIENT6),
		.proto = 58, .icmp_type = 135, .hops = 255, .payload = 24),
		PKT6(.src = ip6("fe80::7"), .dst = ip6(CLIENT6), .proto = 17),
		PKT6(.src = ip6(MESH6), .dst = ip6("fe80::8"), .proto = 17),
		PKT6(.src = ip6(MESH6), .dst = ip6("::1"), .proto = 17),
	};
	struct rig *rig = *state;

	rig_six(rig);
	rig_allow6(rig, "::", 0, 0);
	for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++)
		is_dropped(rig, &packets[i], TALON_BAD_DESTINATION);
}

static void what_cannot_be_sealed_is_dropped(void **state)
{
	struct packet packet = PKT6(.src = ip6(MESH6), .dst = ip6("fd00:64::99"), .proto = 17);
	struct rig *rig = *state;

	rig_six(rig);
	is_dropped(rig, &packet, TALON_NO_PEER);
	packet = PKT6(.src = ip6(MESH6), .dst = ip6(CLIENT6), .proto = 17, .payload = 1300);
	is_dropped(rig, &packet, TALON_TOO_BIG);
	packet = PKT6(.src = ip6(MESH6), .dst = ip6(CLIENT6), .proto = 17, .payload = 8);
	packet.bytes[5] = 200;
	is_dropped(rig, &packet, TALON_BAD_INNER);
	packet = PKT6(.src = ip6(NODE6), .dst = ip6(CLIENT6), .proto = 17, .sport = RIG_PORT, .payload = 8);
	is_dropped(rig, &packet, TALON_ENDPOINT_LOOP);
	packet = PKT6(.src = ip6(GATEWAY6), .dst = ip6(NODE6), .proto = 17, .sport = 9, .dport = 13000);
	is_dropped(rig, &packet, TALON_NAT_NO_FLOW);	/* to ourselves, and no flow */
}

static void the_mss_of_the_hosts_own_connections_is_clamped(void **state)
{
	uint8_t option[4] = { 2, 4, 1440 >> 8, 1440 & 255 };
	struct packet packet = PKT6(.src = ip6(MESH6), .dst = ip6(CLIENT6), .proto = 6, .sport = 1,
		.dport = 2, .tcp_flags = TCP_SYN, .tcp_options = option, .tcp_options_len = 4), got;
	struct rig *rig = *state;
	struct rig_result r;

	rig_six(rig);
	r = rig_from_host(rig, &packet);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_FORWARDED);
	got = rig_opened(rig, &r, 0);
	assert_int_equal(get16_at(&got, 62), RIG_MTU - 60);
	assert_null(pkt_check_six(got.bytes, got.len));
}

/* RFC 8201: the host hears it from where the packet was going, on the device that it sent it by. */
static void what_the_way_is_too_narrow_for_is_told_to_the_host(void **state)
{
	struct packet packet = PKT6(.src = ip6(MESH6), .dst = ip6(CLIENT6), .proto = 17, .payload = 1300),
		got, want;
	struct talon_endpoint e;
	struct rig *rig = *state;
	struct rig_result r;
	uint32_t peer = 0;

	rig_six(rig);
	rig->config.tunnel_mtu = 1420;
	rig_config(rig);
	e = endpoint_of(rig, 0);
	e.mtu = 1340;
	rig_put(rig, "endpoints", &peer, &e);
	r = rig_from_host(rig, &packet);
	assert_int_equal(r.verdict, RIG_SEND);
	assert_int_equal(r.ifindex, rig->wt0p);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_ICMP_SENT);
	want = own_error6(CLIENT6, MESH6, 2, 0, 1340, &packet);
	want = pkt_ether(rig_wt0_mac, rig_wt0p_mac, ETH_P_IPV6, &want);
	pkt_equal(&r.frame, &want);
	packet = PKT6(.src = ip6(MESH6), .dst = ip6(CLIENT6), .proto = 17, .payload = 1292);
	r = rig_from_host(rig, &packet);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_FORWARDED);
	got = rig_opened(rig, &r, 0);
	assert_int_equal(got.len, 1340);
}

static void without_a_session_the_packet_waits_for_a_handshake(void **state)
{
	struct packet packet = PKT6(.src = ip6(MESH6), .dst = ip6(CLIENT6), .proto = 17, .payload = 50);
	struct rig *rig = *state;
	const struct rig_event *event;
	struct rig_result r;

	rig_six(rig);
	rig_session_age(rig, 0, 181 * TALON_NSEC_PER_SEC);
	r = rig_from_host(rig, &packet);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_HELD);
	event = rig_event(&r, TALON_EVENT_HANDSHAKE);
	assert_int_equal(event->head.peer, 0);
	assert_int_equal(event->head.six, 1);
	assert_int_equal(event->head.len, packet.len);
	assert_memory_equal(event->data, packet.bytes, packet.len);
}

static void without_the_flag_ipv6_is_refused_as_ever(void **state)
{
	struct packet packet = PKT6(.src = ip6(MESH6), .dst = ip6(CLIENT6), .proto = 17, .payload = 50), want;
	struct rig *rig = *state;
	struct rig_result r;

	rig_six(rig);
	rig->config.flags &= ~TALON_F_INNER6;
	rig_config(rig);
	r = rig_from_host(rig, &packet);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_ICMP_SENT);
	want = own_error6(CLIENT6, MESH6, 1, 0, 0, &packet);
	want = pkt_ether(rig_wt0_mac, rig_wt0p_mac, ETH_P_IPV6, &want);
	pkt_equal(&r.frame, &want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CASE(every_length_that_the_device_lets_through_is_sealed),
		RIG_CASE(every_kind_of_packet_is_sealed),
		RIG_CASE(the_longest_prefix_says_whose_it_is),
		RIG_CASE(what_is_of_the_link_alone_goes_nowhere),
		RIG_CASE(what_cannot_be_sealed_is_dropped),
		RIG_CASE(the_mss_of_the_hosts_own_connections_is_clamped),
		RIG_CASE(what_the_way_is_too_narrow_for_is_told_to_the_host),
		RIG_CASE(without_a_session_the_packet_waits_for_a_handshake),
		RIG_CASE(without_the_flag_ipv6_is_refused_as_ever),
	};

	rig_hook = RIG_TUNNEL;
	return cmocka_run_group_tests_name("IPv6 of the tunnel", tests, rig_group_setup, NULL);
}
