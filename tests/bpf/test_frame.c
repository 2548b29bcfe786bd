// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// lib/frame.h: headroom, metadata, XDP_TX, and segments joined by GRO.
#include <linux/if_ether.h>

#include "bpf/rig.h"
#include "bpf/steps.h"

static void metadata_of_the_outer_packet_is_not_handed_up(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(VIP), .proto = 6, .sport = 5, .dport = 80,
		.payload = 9), frame;
	struct rig *rig = *state;
	struct rig_result r;

	if (rig->hook != RIG_XDP)
		skip();
	rig->meta = 8;
	r = rig_from_peer(rig, 0, &inner);
	handed_up(rig, &r, &inner);
	frame = message_of(1, 148);
	frame = rig_outer(rig, 0, 0, &frame);
	r = rig_run(rig, &frame);	/* metadata of a packet that is left alone stays */
	assert_int_equal(r.verdict, RIG_PASS);
	assert_int_equal(r.meta, 8);
	pkt_equal(&r.frame, &frame);
}

static void a_frame_without_headroom_is_dropped_and_uses_no_counter(void **state)
{
	struct packet packet = PKT(.src = ip4(PLAIN), .dst = ip4(CLIENT), .proto = 17, .sport = 1,
		.dport = 2);
	struct talon_send_counter counter;
	struct rig *rig = *state;
	struct rig_result r;

	if (rig->hook != RIG_XDP)
		skip();
	rig->config.flags |= TALON_F_PLAIN_ROUTES;
	rig_config(rig);
	rig->meta = 200;	/* an earlier program's metadata lies in the headroom */
	r = rig_from_wire(rig, &packet);
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_NO_ROOM);
	assert_int_equal(bpf_map_lookup_elem(rig_fd(rig, "send_counters"), &rig->peers[0].slot, &counter), 0);
	assert_int_equal(counter.next, 0);
}

static void xdp_tx_is_used_where_it_works(void **state)
{
	struct packet packet = PKT(.src = ip4(PLAIN), .dst = ip4(CLIENT), .proto = 17, .sport = 1,
		.dport = 2);
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(NARROW), .proto = 17, .sport = 1,
		.dport = 2);
	struct rig *rig = *state;
	struct rig_result r;

	if (rig->hook != RIG_XDP)
		skip();
	rig->config.flags |= TALON_F_PLAIN_ROUTES;
	rig_config(rig);
	r = rig_from_wire(rig, &packet);
	assert_int_equal(r.retval, XDP_REDIRECT);
	rig->config.flags |= TALON_F_XDP_TX;
	rig_config(rig);
	r = rig_from_wire(rig, &packet);
	assert_int_equal(r.retval, XDP_TX);
	rig_opened(rig, &r, 0);
	r = rig_from_peer(rig, 0, &inner);
	assert_int_equal(r.retval, XDP_REDIRECT);	/* another device */
	rig_plain(rig, &r);
}

/* tc only: GRO joins segments; the tunnel device cuts them again, and its far end seals the pieces. */
static void what_gro_joined_goes_through_the_tunnel_device_whole(void **state)
{
	struct rig *rig = *state;
	struct packet reply, want;
	struct rig_result r;
	uint16_t port;

	if (rig->hook != RIG_TC)
		skip();
	port = open_tcp(rig, 5, 6);
	rig->is_out_of_tunnel = true;
	rig->gso_segs = 2;
	rig->gso_size = 900;
	reply = PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 6, .sport = 6, .dport = port,
		.tcp_flags = TCP_ACK, .payload = 1800, .frag = PKT_DF);
	r = rig_from_wire(rig, &reply);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_SEGMENTED);
	assert_int_equal(r.ifindex, rig->wt0);
	want = PKT(.src = ip4(GATEWAY), .dst = ip4(CLIENT), .proto = 6, .sport = 6, .dport = 5,
		.tcp_flags = TCP_ACK, .payload = 1800, .frag = PKT_DF, .ttl = 63);
	want = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IP, &want);
	pkt_equal(&r.frame, &want);

	rig->gso_size = RIG_MTU - 40 + 1;	/* the pieces are what must fit */
	r = rig_from_wire(rig, &reply);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_ICMP_SENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CASE(metadata_of_the_outer_packet_is_not_handed_up),
		RIG_CASE(a_frame_without_headroom_is_dropped_and_uses_no_counter),
		RIG_CASE(xdp_tx_is_used_where_it_works),
		RIG_CASE(what_gro_joined_goes_through_the_tunnel_device_whole),
	};

	return rig_main("frames", tests);
}
