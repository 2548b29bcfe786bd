// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What this host sends into the mesh through the tunnel device: verdict, bytes and counter of every case.
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/if_ether.h>

#include "bpf/rig.h"

static void sealed_as_it_was(struct rig *rig, uint32_t peer, const struct packet *packet)
{
	struct rig_result r = rig_from_host(rig, packet);
	struct packet got;

	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_FORWARDED);
	got = rig_opened(rig, &r, peer);
	pkt_equal(&got, packet);		/* TTL too: the host forwarded it already */
}

static void every_length_that_the_device_lets_through_is_sealed(void **state)
{
	struct rig *rig = *state;

	for (uint32_t len = 20; len <= RIG_MTU; len++) {
		struct packet packet = PKT(.src = ip4(NODE), .dst = ip4(CLIENT), .proto = 253,
			.payload = len - 20, .seed = len, .tos = len & 3);

		sealed_as_it_was(rig, 0, &packet);
	}
}

static void every_kind_of_packet_is_sealed_for_the_peer_it_belongs_to(void **state)
{
	struct rig *rig = *state;
	struct packet whole = PKT(.src = ip4(VIP), .dst = ip4(CLIENT2), .proto = 17, .sport = 1, .dport = 2,
		.payload = 1000);
	struct packet packets[] = {
		PKT(.src = ip4(VIP), .dst = ip4(CLIENT2), .proto = 6, .sport = 80, .dport = 2,
			.tcp_flags = TCP_ACK, .payload = 100),
		PKT(.src = ip4(VIP), .dst = ip4(CLIENT2), .proto = 17, .sport = 80, .dport = 2,
			.no_checksum = true, .payload = 100),
		PKT(.src = ip4(MESH), .dst = ip4(CLIENT2), .proto = 1, .icmp_type = 8, .icmp_id = 3,
			.payload = 56),
		PKT(.src = ip4(MESH), .dst = ip4(CLIENT2), .proto = 47, .payload = 56, .ip_options = 12),
		PKT(.src = ip4(MESH), .dst = ip4(CLIENT2), .proto = 17, .ttl = 1),
		pkt_fragment(&whole, 0, 400), pkt_fragment(&whole, 400, 608),
		pkt_icmp_error(ip4(MESH), ip4(CLIENT2), 3, 3, 0, &whole, 28),
	};

	for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++)
		sealed_as_it_was(rig, 2, &packets[i]);
	for (uint32_t peer = 0; peer < RIG_PEERS; peer++) {
		packets[0] = PKT(.src = ip4(VIP), .dst = rig->peers[peer].mesh, .proto = 6, .sport = 80,
			.dport = 2, .payload = 7);
		sealed_as_it_was(rig, peer, &packets[0]);
	}
}

static void the_longest_prefix_says_whose_it_is(void **state)
{
	struct rig *rig = *state;
	struct packet packet = PKT(.src = ip4(NODE), .dst = ip4("100.65.1.1"), .proto = 17);

	rig_allow(rig, "100.65.0.0", 16, 0);
	rig_allow(rig, "100.65.1.0", 24, 1);
	sealed_as_it_was(rig, 1, &packet);
	packet = PKT(.src = ip4(NODE), .dst = ip4("100.65.2.1"), .proto = 17);
	sealed_as_it_was(rig, 0, &packet);
}

static void the_mss_of_the_hosts_own_connections_is_clamped(void **state)
{
	static const uint8_t options[] = { 1, 2, 4, 0x05, 0xb4, 1, 1, 1 };
	struct packet syn = PKT(.src = ip4(VIP), .dst = ip4(CLIENT), .proto = 6, .sport = 80, .dport = 2,
		.tcp_flags = TCP_SYN | TCP_ACK, .tcp_options = options, .tcp_options_len = 8), got;
	struct rig *rig = *state;
	struct rig_result r = rig_from_host(rig, &syn);

	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_FORWARDED);
	got = rig_opened(rig, &r, 0);
	assert_int_equal(got.bytes[43] << 8 | got.bytes[44], RIG_MTU - 40);
	syn.bytes[43] = (RIG_MTU - 40) >> 8;
	syn.bytes[44] = (RIG_MTU - 40) & 255;
	pkt_fix_transport(&syn);
	pkt_equal(&got, &syn);
}

static void what_belongs_to_nobody_is_dropped(void **state)
{
	struct rig *rig = *state;
	static const char *const nobody[] = { "100.64.99.99", GATEWAY, "224.0.0.251", "255.255.255.255" };

	for (size_t i = 0; i < sizeof(nobody) / sizeof(nobody[0]); i++) {
		struct packet packet = PKT(.src = ip4(NODE), .dst = ip4(nobody[i]), .proto = 17);
		struct rig_result r = rig_from_host(rig, &packet);

		assert_int_equal(r.verdict, RIG_DROP);
		rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_NO_PEER);
	}
}

static void what_cannot_be_sealed_is_dropped(void **state)
{
	struct rig *rig = *state;
	struct packet good = PKT(.src = ip4(NODE), .dst = ip4(CLIENT), .proto = 17, .payload = 40),
		bad = good, frame;
	struct rig_result r;

	bad.bytes[0] = 0x44;
	r = rig_from_host(rig, &bad);
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_BAD_INNER);
	frame = pkt_ether(rig_wt0p_mac, rig_wt0_mac, 0x88cc, &good);
	r = rig_run(rig, &frame);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_BAD_INNER);
	frame = pkt_ether(rig_wt0p_mac, rig_wt0_mac, ETH_P_IPV6,
		&(struct packet){ .len = 48, .bytes = { 0x60 } });
	r = rig_run(rig, &frame);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_INNER_IPV6);
	good = PKT(.src = ip4(NODE), .dst = ip4(CLIENT), .proto = 17, .payload = RIG_MTU - 27);
	r = rig_from_host(rig, &good);
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_TOO_BIG);
}

static struct rig_result keepalive(struct rig *rig, uint32_t peer)
{
	struct packet request = { .len = 46 }, frame;

	memcpy(request.bytes, &peer, sizeof(peer));
	frame = pkt_ether(rig_wt0p_mac, rig_wt0_mac, 0x88b5, &request);
	return rig_run(rig, &frame);
}

static void the_controller_has_keepalives_sent_by_a_frame_of_its_own_type(void **state)
{
	struct rig *rig = *state;

	for (uint32_t peer = 0; peer < RIG_PEERS; peer++) {
		struct rig_result r = keepalive(rig, peer);
		struct packet plain;

		rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_KEEPALIVE);
		plain = rig_opened(rig, &r, peer);
		assert_int_equal(plain.len, 0);
		assert_int_equal(r.frame.len, 14 + (rig->peers[peer].six ? 40 : 20) + 8 + 32);
	}
}

static void a_keepalive_without_key_asks_for_nothing(void **state)
{
	struct talon_peer_tx none = {};
	struct rig *rig = *state;
	uint32_t zero = 0;
	struct rig_result r;

	rig_put(rig, "peer_tx", &zero, &none);
	r = keepalive(rig, 0);
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_NO_KEY);
	assert_int_equal(r.event_count, 0);
	r = keepalive(rig, 12345);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_NO_PEER);
}

static void without_a_session_the_packet_waits_for_a_handshake(void **state)
{
	struct packet packet = PKT(.src = ip4(NODE), .dst = ip4(CLIENT), .proto = 17, .payload = 9);
	struct talon_peer_tx none = {};
	struct rig *rig = *state;
	const struct rig_event *event;
	uint32_t zero = 0;
	struct rig_result r;

	rig_put(rig, "peer_tx", &zero, &none);
	r = rig_from_host(rig, &packet);
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_HELD);
	event = rig_event(&r, TALON_EVENT_HANDSHAKE);
	assert_int_equal(event->head.peer, 0);
	assert_int_equal(event->head.len, packet.len);
	assert_memory_equal(event->data, packet.bytes, packet.len);
}

/* A flow to a remote behind the spare address, as the uplink's program would have made it. */
static uint16_t plant_flow(struct rig *rig, uint32_t client, uint16_t client_port, uint32_t remote,
	uint16_t remote_port)
{
	/* In the overflow map, where no hash is needed. */
	struct talon_flow flow = {
		.client = client, .remote = remote, .snat = ip4(SPARE), .client_port = htons(client_port),
		.remote_port = htons(remote_port),
		.snat_port = htons(20000), .proto = 17, .phase = TALON_FLOW_LIVE, .peer = 0,
		.generation = rig->config.generation, .seen_s = rig_now_ns() / 1000000000,
	};
	struct talon_nat_stats stats = { .live = 1, .overflow = 1 };
	struct talon_flow_key over = { .src = remote, .dst = ip4(SPARE), .sport = htons(remote_port),
		.dport = htons(20000), .proto = 17, .pad = { 1 } };
	uint32_t id = 1, zero = 0;

	rig_put(rig, "flows", &id, &flow);
	rig_put(rig, "flow_over", &over, &id);
	rig_put(rig, "nat_stats", &zero, &stats);
	return 20000;
}

/* A local backend answers the spare address, which is routed to the tunnel device. */
static void what_local_backends_answer_the_spare_address_is_translated_back(void **state)
{
	struct rig *rig = *state;
	struct packet reply, got, want, whole;
	struct rig_result r;
	uint16_t port;

	rig_spare(rig);
	port = plant_flow(rig, ip4(CLIENT), 5, ip4(GATEWAY), 6);
	reply = PKT(.src = ip4(GATEWAY), .dst = ip4(SPARE), .proto = 17, .sport = 6, .dport = port,
		.payload = 300);
	want = PKT(.src = ip4(GATEWAY), .dst = ip4(CLIENT), .proto = 17, .sport = 6, .dport = 5,
		.payload = 300, .ttl = 63);
	r = rig_from_host(rig, &reply);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_FORWARDED);
	got = rig_opened(rig, &r, 0);
	pkt_equal(&got, &want);

	reply = PKT(.src = ip4(GATEWAY), .dst = ip4(SPARE), .proto = 17, .sport = 6, .dport = port + 1,
		.payload = 300);
	r = rig_from_host(rig, &reply);
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_NAT_NO_FLOW);

	whole = PKT(.src = ip4(GATEWAY), .dst = ip4(SPARE), .proto = 17, .sport = 6, .dport = port,
		.payload = 900, .id = 7);
	reply = pkt_fragment(&whole, 400, 508);
	r = rig_from_host(rig, &reply);		/* its first fragment will come */
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_HELD);
	rig_event(&r, TALON_EVENT_FRAGMENT);
	reply = pkt_fragment(&whole, 0, 400);
	r = rig_from_host(rig, &reply);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_FORWARDED);
	rig_event(&r, TALON_EVENT_FRAG_FIRST);
	reply = pkt_fragment(&whole, 400, 508);
	r = rig_from_host(rig, &reply);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_FORWARDED);
	got = rig_opened(rig, &r, 0);
	want = PKT(.src = ip4(GATEWAY), .dst = ip4(CLIENT), .proto = 17, .sport = 6, .dport = 5,
		.payload = 900, .id = 7, .ttl = 63);
	want = pkt_fragment(&want, 400, 508);
	pkt_equal(&got, &want);
}

static void a_peer_that_lost_the_address_gets_no_reply(void **state)
{
	struct packet reply = PKT(.src = ip4(GATEWAY), .dst = ip4(SPARE), .proto = 17, .sport = 6,
		.dport = 20000, .payload = 30);
	struct rig *rig = *state;
	struct rig_result r;

	rig_spare(rig);
	plant_flow(rig, ip4(CLIENT), 5, ip4(GATEWAY), 6);
	rig_allow(rig, CLIENT, 32, 1);
	rig_bump(rig);
	r = rig_from_host(rig, &reply);
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_NO_PEER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CASE(every_length_that_the_device_lets_through_is_sealed),
		RIG_CASE(every_kind_of_packet_is_sealed_for_the_peer_it_belongs_to),
		RIG_CASE(the_longest_prefix_says_whose_it_is),
		RIG_CASE(the_mss_of_the_hosts_own_connections_is_clamped),
		RIG_CASE(what_belongs_to_nobody_is_dropped),
		RIG_CASE(what_cannot_be_sealed_is_dropped),
		RIG_CASE(the_controller_has_keepalives_sent_by_a_frame_of_its_own_type),
		RIG_CASE(a_keepalive_without_key_asks_for_nothing),
		RIG_CASE(without_a_session_the_packet_waits_for_a_handshake),
		RIG_CASE(what_local_backends_answer_the_spare_address_is_translated_back),
		RIG_CASE(a_peer_that_lost_the_address_gets_no_reply),
	};

	rig_hook = RIG_TUNNEL;
	return cmocka_run_group_tests_name("tunnel", tests, rig_group_setup, NULL);
}
