// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// lib/seal.h: sending to a peer: lengths, counters, outer headers, missing session or next hop.
#include <string.h>

#include "bpf/rig.h"
#include "bpf/steps.h"

static void seal_length(struct rig *rig, uint32_t len, uint32_t peer)
{
	uint32_t dst = rig->peers[peer].mesh;
	struct packet packet, got, want;
	struct rig_result r;

	packet = PKT(.src = ip4(PLAIN), .dst = dst, .proto = 253, .payload = len - 20, .seed = len,
		.tos = len & 3);
	want = PKT(.src = ip4(PLAIN), .dst = dst, .proto = 253, .payload = len - 20, .seed = len,
		.tos = len & 3, .ttl = 63);
	r = rig_from_wire(rig, &packet);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	got = rig_opened(rig, &r, peer);
	pkt_equal(&got, &want);
}

static void every_inner_length_is_sealed(void **state)
{
	struct rig *rig = *state;

	rig->config.flags |= TALON_F_PLAIN_ROUTES;
	rig->config.tunnel_mtu = 1440;
	rig_config(rig);
	for (uint32_t len = 20; len <= 1440; len++)
		seal_length(rig, len, 0);
}

static void every_inner_length_is_sealed_over_ipv6(void **state)
{
	struct rig *rig = *state;

	rig->config.flags |= TALON_F_PLAIN_ROUTES;
	rig->config.tunnel_mtu = 1420;
	rig_config(rig);
	for (uint32_t len = 20; len <= 1420; len += len < 200 || len > 1380 ? 1 : 7)
		seal_length(rig, len, 2);
}

/* The last bytes of ciphertext stand in for no padding, and the tag begins inside a word of the checksum. */
static void a_path_of_an_odd_mtu_has_a_checksum(void **state)
{
	struct rig *rig = *state;

	rig->config.flags |= TALON_F_PLAIN_ROUTES;
	rig->config.tunnel_mtu = 1391;
	rig_config(rig);
	for (uint32_t len = 1360; len <= 1391; len++)
		for (uint32_t peer = 0; peer < RIG_PEERS; peer += 2)
			seal_length(rig, len, peer);
}

static void each_packet_gets_a_counter_of_its_own(void **state)
{
	struct packet packet = PKT(.src = ip4(PLAIN), .dst = ip4(CLIENT), .proto = 17, .sport = 1,
		.dport = 2);
	struct rig *rig = *state;
	struct talon_send_counter counter = { .next = 0xfffffffe };

	rig->config.flags |= TALON_F_PLAIN_ROUTES;
	rig_config(rig);
	rig_put(rig, "send_counters", &rig->peers[0].slot, &counter);
	for (uint64_t i = 0; i < 5; i++) {
		struct rig_result r = rig_from_wire(rig, &packet);
		uint64_t sent;

		rig_opened(rig, &r, 0);
		memcpy(&sent, r.frame.bytes + 50, 8);
		assert_true(sent == 0xfffffffe + i);
	}
}

/* RFC 6040 section 4.1: copied to the outer header; rig_opened() compares. What is inside stays, DSCP too. */
static void ecn_and_dscp_go_into_the_tunnel_unchanged(void **state)
{
	struct rig *rig = *state;

	rig->config.flags |= TALON_F_PLAIN_ROUTES;
	rig_config(rig);
	for (int ecn = 0; ecn < 4; ecn++) {
		for (uint32_t peer = 0; peer < RIG_PEERS; peer += 2) {
			struct packet packet = PKT(.src = ip4(PLAIN), .dst = rig->peers[peer].mesh,
				.proto = 17, .tos = 0xb8 | ecn);
			struct packet want = PKT(.src = ip4(PLAIN), .dst = rig->peers[peer].mesh, .proto = 17,
				.tos = 0xb8 | ecn, .ttl = 63);
			struct rig_result r = rig_from_wire(rig, &packet);
			struct packet got = rig_opened(rig, &r, peer);

			pkt_equal(&got, &want);
			if (peer == 0)
				assert_int_equal(r.frame.bytes[15], ecn);	/* no DSCP outside */
		}
	}
}

static void without_a_session_the_packet_waits_for_a_handshake(void **state)
{
	struct rig *rig = *state;
	uint16_t port = open_udp(rig, 0, ip4(CLIENT), 5, ip4(GATEWAY), 6);
	struct packet reply = PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 6,
		.dport = port, .payload = 99, .id = 3);
	struct packet want = PKT(.src = ip4(GATEWAY), .dst = ip4(CLIENT), .proto = 17, .sport = 6, .dport = 5,
		.payload = 99, .id = 3, .ttl = 63);
	struct talon_peer_tx none = {}, old = { .index = rig->peers[0].index };
	struct talon_send_counter spent = { .next = WG_REJECT_AFTER_MESSAGES };
	uint32_t zero = 0;

	for (int why = 0; why < 3; why++) {	/* none, too old, out of counters */
		const struct rig_event *event;
		struct rig_result r;

		rig_put(rig, "peer_tx", &zero, why ? &old : &none);
		if (why == 1)
			rig_session_age(rig, 0, 180000000001ULL);
		if (why == 2) {
			rig_session_age(rig, 0, 0);
			rig_put(rig, "send_counters", &rig->peers[0].slot, &spent);
		}
		r = rig_from_wire(rig, &reply);
		assert_int_equal(r.verdict, RIG_DROP);
		rig_ends(rig, &r, TALON_DIR_OUT, TALON_HELD);
		event = rig_event(&r, TALON_EVENT_HANDSHAKE);
		assert_int_equal(event->head.peer, 0);
		assert_int_equal(event->head.len, want.len);
		assert_memory_equal(event->data, want.bytes, want.len);
		rig_drain(rig, "event");
		r = rig_from_wire(rig, &reply);
		assert_int_equal(r.event_count, 0);
		rig_ends(rig, &r, TALON_DIR_OUT, why == 2 ? TALON_KEY_EXPIRED : TALON_NO_KEY);
		rig_teardown(state);
		rig_setup(state);
		rig = *state;
		port = open_udp(rig, 0, ip4(CLIENT), 5, ip4(GATEWAY), 6);
		old.index = rig->peers[0].index;
		reply = PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 6, .dport = port,
			.payload = 99, .id = 3);
	}
}

static void the_last_counter_is_used_and_none_after_it(void **state)
{
	struct packet packet = PKT(.src = ip4(PLAIN), .dst = ip4(CLIENT), .proto = 17, .sport = 1,
		.dport = 2);
	struct talon_send_counter counter = { .next = WG_REJECT_AFTER_MESSAGES - 1 };
	struct rig *rig = *state;
	struct rig_result r;

	rig->config.flags |= TALON_F_PLAIN_ROUTES;
	rig_config(rig);
	rig_put(rig, "send_counters", &rig->peers[0].slot, &counter);
	r = rig_from_wire(rig, &packet);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	rig_opened(rig, &r, 0);
	r = rig_from_wire(rig, &packet);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_HELD);
}

static void a_peer_whose_endpoint_is_unknown_gets_nothing(void **state)
{
	struct packet packet = PKT(.src = ip4(PLAIN), .dst = ip4(CLIENT), .proto = 17, .sport = 1,
		.dport = 2);
	struct talon_endpoint none = {}, sourceless = endpoint_of(*state, 2);
	struct rig *rig = *state;
	uint32_t zero = 0, two = 2;
	struct rig_result r;

	rig->config.flags |= TALON_F_PLAIN_ROUTES;
	rig_config(rig);
	rig_put(rig, "endpoints", &zero, &none);
	r = rig_from_wire(rig, &packet);
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_NO_ENDPOINT);
	memset(&sourceless.local, 0, sizeof(sourceless.local));
	rig_put(rig, "endpoints", &two, &sourceless);
	packet = PKT(.src = ip4(PLAIN), .dst = ip4(CLIENT2), .proto = 17, .sport = 1, .dport = 2);
	r = rig_from_wire(rig, &packet);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_NO_ENDPOINT);
}

static void an_endpoint_without_neighbour_is_answered_where_it_spoke_from(void **state)
{
	struct packet packet = PKT(.src = ip4(PLAIN), .dst = ip4(CLIENT), .proto = 17, .sport = 1,
		.dport = 2);
	struct talon_endpoint e = endpoint_of(*state, 0);
	struct rig *rig = *state;
	uint32_t zero = 0;
	struct rig_result r;

	rig->config.flags |= TALON_F_PLAIN_ROUTES;
	rig_config(rig);
	e.remote.word[0] = rig->peers[0].addr = ip4(NOBODY);
	rig_put(rig, "endpoints", &zero, &e);
	r = rig_from_wire(rig, &packet);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	rig_opened(rig, &r, 0);
	assert_int_equal(rig_event(&r, TALON_EVENT_NEIGH)->head.addr.word[0], ip4(NOBODY));
	e.in_ifindex = 0;
	rig_put(rig, "endpoints", &zero, &e);
	r = rig_from_wire(rig, &packet);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_NO_NEIGH);
	e.remote.word[0] = ip4(UNREACHABLE);
	rig_put(rig, "endpoints", &zero, &e);
	r = rig_from_wire(rig, &packet);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_NO_FIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CASE(every_inner_length_is_sealed),
		RIG_CASE(every_inner_length_is_sealed_over_ipv6),
		RIG_CASE(a_path_of_an_odd_mtu_has_a_checksum),
		RIG_CASE(each_packet_gets_a_counter_of_its_own),
		RIG_CASE(ecn_and_dscp_go_into_the_tunnel_unchanged),
		RIG_CASE(without_a_session_the_packet_waits_for_a_handshake),
		RIG_CASE(the_last_counter_is_used_and_none_after_it),
		RIG_CASE(a_peer_whose_endpoint_is_unknown_gets_nothing),
		RIG_CASE(an_endpoint_without_neighbour_is_answered_where_it_spoke_from),
	};

	return rig_main("sealing", tests);
}
