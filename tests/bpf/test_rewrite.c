// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// lib/rewrite.h: addresses, checksums, ECN, MSS and IP ids of forwarded packets.
#include <string.h>

#include "bpf/rig.h"
#include "bpf/steps.h"

/* RFC 768: zero means that there is no checksum; translation must not make one of it. */
static void udp_without_a_checksum_stays_without(void **state)
{
	struct pkt_spec in = { .src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 40001,
		.dport = 53, .frag = PKT_DF, .no_checksum = true, .payload = 33 }, reply;
	struct rig *rig = *state;

	snat(rig, &in, &reply);
	unsnat(rig, &in, &reply);
}

/*
 * Whatever the sum comes out as, 0 on the wire would mean "none": walk the payload so that the new sum meets
 * every low byte.
 */
static void a_udp_checksum_never_becomes_zero(void **state)
{
	struct pkt_spec in = { .src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 40001,
		.dport = 53, .frag = PKT_DF, .payload = 2 }, reply;
	struct rig *rig = *state;
	uint16_t port = snat(rig, &in, &reply);
	struct packet inner = pkt_ip4(&in), want;
	struct rig_result r;
	uint32_t sum;

	/*
	 * what the payload's word must be for the sum over the translated packet to be 0xffff, that is
	 * a checksum of 0
	 */
	in.src = ip4(NODE);
	in.sport = port;
	want = pkt_ip4(&in);
	sum = (get16_at(&want, 28) + get16_at(&want, 26)) % 0xffff;
	in.src = ip4(CLIENT);
	in.sport = 40001;
	inner.bytes[28] = sum >> 8;
	inner.bytes[29] = sum;
	pkt_fix_transport(&inner);
	assert_null(pkt_check(inner.bytes, inner.len));
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	want = rig_plain(rig, &r);
	assert_int_equal(get16_at(&want, 26), 0xffff);
}

/* RFC 6040 section 4.2, figure 4; -1: drop. [inner][outer]: Not-ECT, ECT(1), ECT(0), CE */
static const int ecn_out[4][4] = {
	{ 0, 0, 0, -1 },
	{ 1, 1, 1, 3 },
	{ 2, 1, 2, 3 },
	{ 3, 3, 3, 3 },
};

static void ecn_is_combined_as_rfc_6040_says(void **state)
{
	struct rig *rig = *state;

	for (int inner = 0; inner < 4; inner++) {
		for (int outer = 0; outer < 4; outer++) {
			for (uint32_t peer = 0; peer < RIG_PEERS; peer += 2) {
				struct rig_peer *p = &rig->peers[peer];
				struct packet packet = PKT(.src = p->mesh, .dst = ip4(PLAIN), .proto = 17,
					.tos = 0xb8 | inner);
				struct packet want = PKT(.src = p->mesh, .dst = ip4(PLAIN), .proto = 17,
					.ttl = 63, .tos = 0xb8 | (ecn_out[inner][outer] & 3));
				struct packet message = pkt_wg(p->recv_key, p->index, p->counter++, &packet);
				struct packet frame = rig_outer(rig, peer, 0x20 | outer, &message), out;
				struct rig_result r = rig_run(rig, &frame);

				if (ecn_out[inner][outer] < 0) {
					assert_int_equal(r.verdict, RIG_DROP);
					rig_ends(rig, &r, TALON_DIR_IN, TALON_CONGESTED);
					continue;
				}
				rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
				out = rig_plain(rig, &r);
				pkt_equal(&out, &want);
			}
		}
	}
}

static uint32_t mss_after(struct rig *rig, const uint8_t *options, uint32_t len, uint16_t sport, uint32_t off)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 6, .sport = sport,
		.dport = 80, .tcp_flags = TCP_SYN, .tcp_options = options, .tcp_options_len = len);
	struct rig_result r = rig_from_peer(rig, 0, &inner);
	struct packet out;
	uint8_t changed[40];

	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	out = rig_plain(rig, &r);	/* checksums are right */
	assert_int_equal(out.len, inner.len);
	memcpy(changed, out.bytes + 40, len);
	if (off) {
		changed[off - 40] = inner.bytes[off];
		changed[off - 39] = inner.bytes[off + 1];
	}
	assert_memory_equal(changed, options, len);
	return off ? get16_at(&out, off) : 0;
}

static void the_mss_of_a_syn_is_clamped_wherever_the_option_is(void **state)
{
	static const uint8_t first[] = { 2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7 };
	static const uint8_t odd[] = { 1, 2, 4, 0x05, 0xb4, 1, 4, 2 };
	static const uint8_t last[] = { 1, 1, 4, 2, 3, 3, 7, 1, 2, 4, 0x05, 0xb4 };
	static const uint8_t odd_last[] = { 3, 3, 7, 2, 4, 0x23, 0x28, 0 };
	static const uint8_t small[] = { 2, 4, 0x02, 0x18 };
	static const uint8_t none[] = { 1, 1, 4, 2 };
	/* after the end of options: not an option */
	static const uint8_t ended[] = { 0, 2, 4, 0x05, 0xb4, 0, 0, 0 };
	/* a length that leads nowhere */
	static const uint8_t broken[] = { 8, 0, 2, 4, 0x05, 0xb4, 0, 0 };
	struct rig *rig = *state;

	assert_int_equal(mss_after(rig, first, sizeof(first), 1, 42), RIG_MTU - 40);
	assert_int_equal(mss_after(rig, odd, sizeof(odd), 2, 43), RIG_MTU - 40);
	assert_int_equal(mss_after(rig, last, sizeof(last), 3, 50), RIG_MTU - 40);
	assert_int_equal(mss_after(rig, odd_last, sizeof(odd_last), 4, 45), RIG_MTU - 40);
	assert_int_equal(mss_after(rig, small, sizeof(small), 5, 42), 536);
	mss_after(rig, none, sizeof(none), 6, 0);
	mss_after(rig, ended, sizeof(ended), 7, 0);
	mss_after(rig, broken, sizeof(broken), 8, 0);
	mss_after(rig, NULL, 0, 9, 0);
}

static void the_mss_of_a_syn_ack_is_clamped_too(void **state)
{
	static const uint8_t options[] = { 2, 4, 0x05, 0xb4 };
	struct rig *rig = *state;
	uint16_t port = open_tcp(rig, 5, 6);
	struct packet reply = PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 6, .sport = 6,
		.dport = port, .tcp_flags = TCP_SYN | TCP_ACK, .tcp_options = options, .tcp_options_len = 4,
		.frag = PKT_DF);
	struct rig_result r = rig_from_wire(rig, &reply);
	struct packet got = rig_opened(rig, &r, 0);

	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	assert_null(pkt_check(got.bytes, got.len));
	assert_int_equal(get16_at(&got, 42), RIG_MTU - 40);
	reply = PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 6, .sport = 6, .dport = port,
		    .tcp_flags = TCP_ACK, .tcp_options = options, .tcp_options_len = 4, .frag = PKT_DF);
	r = rig_from_wire(rig, &reply);
	got = rig_opened(rig, &r, 0);
	assert_int_equal(get16_at(&got, 42), 0x5b4);	/* segments other than SYN are left alone */
}

static void the_mss_is_clamped_to_a_narrower_next_link(void **state)
{
	static const uint8_t options[] = { 2, 4, 0x05, 0xb4 };
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(NARROW), .proto = 6, .sport = 5, .dport = 80,
		.tcp_flags = TCP_SYN, .tcp_options = options, .tcp_options_len = 4);
	struct rig *rig = *state;
	struct rig_result r = rig_from_peer(rig, 0, &inner);
	struct packet out = rig_plain(rig, &r);

	assert_int_equal(get16_at(&out, 42), 1000 - 40);
}

static void fragments_of_a_client_leave_with_one_id_and_one_source(void **state)
{
	struct packet whole = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 5,
		.dport = 6, .payload = 1000, .id = 0xbeef);
	static const uint32_t order[][3] = { { 0, 1, 2 }, { 2, 1, 0 }, { 1, 0, 2 } };
	struct packet part[3] = { pkt_fragment(&whole, 0, 400), pkt_fragment(&whole, 400, 400),
		pkt_fragment(&whole, 800, 208) };
	struct rig *rig = *state;

	for (size_t i = 0; i < 3; i++) {
		struct packet joined = {}, want;
		uint32_t id = 0;

		for (size_t j = 0; j < 3; j++) {
			uint32_t k = order[i][j];
			struct rig_result r = rig_from_peer(rig, 0, &part[k]);
			struct packet out;

			rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
			out = rig_plain(rig, &r);
			assert_memory_equal(out.bytes + 6, part[k].bytes + 6, 2);
			assert_memory_equal(out.bytes + 12, &rig->config.snat_addr, 4);
			assert_true(!j || IP_ID(&out) == id);
			id = IP_ID(&out);
			memcpy(joined.bytes + 20 + k * 400, out.bytes + 20, out.len - 20);
		}
		want = PKT(.src = ip4(NODE), .dst = ip4(GATEWAY), .proto = 17, .sport = SPORT(&joined),
			.dport = 6, .payload = 1000);
		assert_memory_equal(joined.bytes + 20, want.bytes + 20, 1008);	/* checksum and all */
		assert_in_range(SPORT(&joined), RIG_PORT_FIRST, RIG_PORT_LAST);
	}
}

/* X2, RFC 6864 section 5.3: equal ids of two clients must not collide at the shared address. */
static void clients_ids_are_told_apart_where_they_matter(void **state)
{
	struct rig *rig = *state;
	uint32_t ids[2], atomic[2];

	for (uint32_t peer = 0; peer < 2; peer++) {
		struct packet inner = PKT(.src = rig->peers[peer].mesh, .dst = ip4(GATEWAY), .proto = 17,
			.sport = 5, .dport = 6, .id = 1);
		struct rig_result r = rig_from_peer(rig, peer, &inner);
		struct packet out = rig_plain(rig, &r);

		ids[peer] = IP_ID(&out);
		inner = PKT(.src = rig->peers[peer].mesh, .dst = ip4(GATEWAY), .proto = 17, .sport = 5,
			.dport = 6, .id = 1, .frag = PKT_DF);
		r = rig_from_peer(rig, peer, &inner);
		out = rig_plain(rig, &r);
		atomic[peer] = IP_ID(&out);
	}
	assert_int_not_equal(ids[0], ids[1]);
	assert_int_equal(atomic[0], 1);
	assert_int_equal(atomic[1], 1);
}

/* U10, RFC 4787 REQ-10 */
static void addresses_inside_the_payload_are_left_alone(void **state)
{
	static const char command[] = "PORT 100,64,0,2,156,65\r\n";
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 6, .sport = 40001,
		.dport = 21, .tcp_flags = TCP_ACK, .payload = sizeof(command)), out;
	struct rig *rig = *state;
	struct rig_result r;

	memcpy(inner.bytes + 40, command, sizeof(command));
	pkt_fix_transport(&inner);
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	out = rig_plain(rig, &r);
	assert_int_equal(out.len, inner.len);
	assert_memory_equal(out.bytes + 40, command, sizeof(command));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CASE(udp_without_a_checksum_stays_without),
		RIG_CASE(a_udp_checksum_never_becomes_zero),
		RIG_CASE(ecn_is_combined_as_rfc_6040_says),
		RIG_CASE(the_mss_of_a_syn_is_clamped_wherever_the_option_is),
		RIG_CASE(the_mss_of_a_syn_ack_is_clamped_too),
		RIG_CASE(the_mss_is_clamped_to_a_narrower_next_link),
		RIG_CASE(fragments_of_a_client_leave_with_one_id_and_one_source),
		RIG_CASE(clients_ids_are_told_apart_where_they_matter),
		RIG_CASE(addresses_inside_the_payload_are_left_alone),
	};

	return rig_main("rewriting", tests);
}
