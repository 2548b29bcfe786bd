// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The relay pair, and endpoints that the controller chooses: packets sealed for a relayed peer, packets that
// arrive by the link, and who moves an endpoint.
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>

#include "bpf/rig.h"

/* what relayed frames are addressed to: not the far device's own */
#define FAR_MAC	"\x02\x00\x00\x00\x77\x05"

static void use_relay(struct rig *rig)
{
	rig->config.relay_ifindex = rig->wt0r;
	rig_config(rig);
}

static struct talon_endpoint get_endpoint(struct rig *rig, uint32_t peer)
{
	struct talon_endpoint e;

	assert_int_equal(bpf_map_lookup_elem(rig_fd(rig, "endpoints"), &peer, &e), 0);
	return e;
}

static void set_flags(struct rig *rig, uint32_t peer, uint8_t flags)
{
	struct talon_endpoint e = get_endpoint(rig, peer);

	e.flags = flags;
	rig_put(rig, "endpoints", &peer, &e);
}

static void relay_peer(struct rig *rig, uint32_t peer)
{
	struct talon_endpoint e = {
		.family = AF_INET, .flags = TALON_ENDPOINT_PINNED | TALON_ENDPOINT_RELAY,
		.remote_port = htons(TALON_RELAY_PORT),
		.remote.word[0] = htonl(TALON_RELAY_PEER_ADDR(peer)),
	};

	memcpy(e.dmac, FAR_MAC, 6);
	memcpy(e.smac, rig_wt0r_mac, 6);
	rig_put(rig, "endpoints", &peer, &e);
}

static struct talon_peer_stats stats_of(struct rig *rig, uint32_t peer)
{
	struct talon_peer_stats per_cpu[512];

	assert_int_equal(bpf_map_lookup_elem(rig_fd(rig, "peer_stats"), &peer, per_cpu), 0);
	return per_cpu[0];	/* where the test runs */
}

/* As the controller injects it at the far end. */
static struct packet injected(struct rig *rig, uint32_t peer, const struct packet *inner)
{
	struct rig_peer *p = &rig->peers[peer];
	struct packet message = pkt_wg(p->recv_key, p->index, p->counter++, inner);
	struct packet outer = pkt_udp4(htonl(TALON_RELAY_PEER_ADDR(peer)), htonl(TALON_RELAY_OWN_ADDR),
		TALON_RELAY_PORT, RIG_PORT, 0, &message);

	memset(outer.bytes + 26, 0, 2);
	return pkt_ether(rig_wt0r_mac, rig_wt0rp_mac, ETH_P_IP, &outer);
}

static struct rig_result from_relay(struct rig *rig, const struct packet *frame)
{
	struct rig_result r;

	rig->in = rig->wt0r;
	r = rig_run(rig, frame);
	rig->in = 0;
	return r;
}

static struct packet opened(struct rig *rig, const struct rig_result *r, uint32_t peer)
{
	struct rig_peer *p = &rig->peers[peer];
	const uint8_t *ip = r->frame.bytes + 14, *udp = ip + 20;
	uint32_t index, len, remote = htonl(TALON_RELAY_PEER_ADDR(peer)), own = htonl(TALON_RELAY_OWN_ADDR);
	struct packet plain = {};
	uint64_t counter;

	assert_int_equal(r->verdict, RIG_SEND);
	assert_int_equal(r->ifindex, rig->wt0r);
	assert_memory_equal(r->frame.bytes, FAR_MAC, 6);
	assert_memory_equal(r->frame.bytes + 6, rig_wt0r_mac, 6);
	assert_memory_equal(r->frame.bytes + 12, "\x08\x00\x45", 3);
	assert_int_equal(ip[2] << 8 | ip[3], r->frame.len - 14);
	assert_int_equal(pkt_sum(0, ip, 20), 0xffff);
	assert_memory_equal(ip + 12, &own, 4);
	assert_memory_equal(ip + 16, &remote, 4);
	assert_int_equal(ip[9], 17);
	assert_int_equal(udp[0] << 8 | udp[1], RIG_PORT);
	assert_int_equal(udp[2] << 8 | udp[3], TALON_RELAY_PORT);
	assert_int_equal(udp[4] << 8 | udp[5], r->frame.len - 34);
	assert_memory_equal(udp + 6, "\0\0", 2);	/* nobody would look at it */
	assert_true(pkt_wg_open(p->send_key, udp + 8, r->frame.len - 42, &plain, &index, &counter));
	assert_int_equal(index, p->remote_index);
	len = plain.bytes[2] << 8 | plain.bytes[3];
	assert_in_range(len, 20, plain.len);
	plain.len = len;
	return plain;
}

static uint16_t open_udp(struct rig *rig, uint32_t peer, const char *client)
{
	struct packet inner = PKT(.src = ip4(client), .dst = ip4(GATEWAY), .proto = 17, .sport = 500,
		.dport = 53, .payload = 10), out;
	struct rig_result r = rig_from_peer(rig, peer, &inner);

	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	out = rig_plain(rig, &r);
	return out.bytes[20] << 8 | out.bytes[21];
}

static void what_is_for_a_relayed_peer_leaves_by_the_relay_link(void **state)
{
	struct rig *rig = *state;
	uint16_t port = open_udp(rig, 0, CLIENT);
	struct packet answer = PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 53,
		.dport = port, .payload = 33);
	struct packet want = PKT(.src = ip4(GATEWAY), .dst = ip4(CLIENT), .proto = 17, .sport = 53,
		.dport = 500, .payload = 33, .ttl = 63);
	struct packet host = PKT(.src = ip4(MESH), .dst = ip4(CLIENT), .proto = 17, .sport = 1, .dport = 2,
		.payload = 1200), got;
	struct rig_result r;

	use_relay(rig);
	relay_peer(rig, 0);
	r = rig_from_wire(rig, &answer);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	got = opened(rig, &r, 0);
	pkt_equal(&got, &want);
	r = rig_from_host(rig, &host);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_FORWARDED);
	got = opened(rig, &r, 0);
	pkt_equal(&got, &host);
	rig_bump(rig);		/* no next hop that could be out of date */
	r = rig_from_wire(rig, &answer);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	opened(rig, &r, 0);
}

static void without_the_link_a_relayed_peer_gets_nothing(void **state)
{
	struct rig *rig = *state;
	struct packet host = PKT(.src = ip4(MESH), .dst = ip4(CLIENT), .proto = 17, .sport = 1, .dport = 2);
	struct rig_result r;

	relay_peer(rig, 0);
	r = rig_from_host(rig, &host);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_NO_ENDPOINT);
}

static void what_the_relay_brings_is_opened_like_any_other(void **state)
{
	struct rig *rig = *state;
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 500,
		.dport = 53, .payload = 100, .frag = PKT_DF);
	struct packet frame, got;
	struct talon_peer_stats stats;
	struct rig_result r;

	use_relay(rig);
	relay_peer(rig, 0);
	frame = injected(rig, 0, &inner);
	r = from_relay(rig, &frame);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	got = rig_plain(rig, &r);
	assert_int_equal(got.len, inner.len);
	assert_memory_equal(got.bytes + 16, inner.bytes + 16, 4);
	stats = stats_of(rig, 0);
	assert_int_equal(stats.rx_relay_ns, stats.rx_ns);
	assert_int_not_equal(stats.rx_relay_ns, 0);
	assert_int_equal(stats.rx_direct_ns, 0);
	r = from_relay(rig, &frame);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_REPLAYED);
	frame = injected(rig, 0, NULL);
	r = from_relay(rig, &frame);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_KEEPALIVE);
	r = rig_from_peer(rig, 0, &inner);	/* the same session, over the uplink */
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	stats = stats_of(rig, 0);
	assert_int_equal(stats.rx_direct_ns, stats.rx_ns);
	assert_true(stats.rx_direct_ns > stats.rx_relay_ns);
	assert_int_equal(stats.rx_packets, 3);
}

static void local_deliveries_of_the_relay_go_through_the_tunnel_device(void **state)
{
	struct rig *rig = *state;
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(MESH), .proto = 17, .sport = 500,
		.dport = 53, .payload = 10), frame;
	struct packet want = pkt_ether(rig_wt0_mac, rig_wt0p_mac, ETH_P_IP, &inner);
	struct rig_result r;

	use_relay(rig);
	frame = injected(rig, 0, &inner);
	r = from_relay(rig, &frame);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_LOCAL);
	assert_int_equal(r.verdict, RIG_SEND);
	assert_int_equal(r.ifindex, rig->wt0p);
	pkt_equal(&r.frame, &want);
}

static void from_one_relayed_peer_to_another_the_link_is_left_and_entered_again(void **state)
{
	struct rig *rig = *state;
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(CLIENT1), .proto = 17, .sport = 500,
		.dport = 53, .payload = 10), frame, got;
	struct packet want = PKT(.src = ip4(CLIENT), .dst = ip4(CLIENT1), .proto = 17, .sport = 500,
		.dport = 53, .payload = 10, .ttl = 63);
	struct rig_result r;

	rig->config.flags |= TALON_F_XDP_TX;
	use_relay(rig);
	relay_peer(rig, 0);
	relay_peer(rig, 1);
	frame = injected(rig, 0, &inner);
	r = from_relay(rig, &frame);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_RESEALED);
	got = opened(rig, &r, 1);
	pkt_equal(&got, &want);
	if (rig->hook == RIG_XDP)
		/* the far end has no program that XDP_TX would need */
		assert_int_equal(r.retval, XDP_REDIRECT);
}

static void all_else_on_the_relay_link_is_dropped(void **state)
{
	struct rig *rig = *state;
	uint32_t own = htonl(TALON_RELAY_OWN_ADDR), other = htonl(TALON_RELAY_PEER_ADDR(0));
	uint16_t port = open_udp(rig, 0, CLIENT);
	struct packet initiation = { .len = 148, .bytes = { 1 } }, junk = { .len = 40, .bytes = { 9 } };
	struct packet data = pkt_wg(rig->peers[0].recv_key, rig->peers[0].index, rig->peers[0].counter, NULL);
	struct packet inside[] = {
		pkt_udp4(other, own, TALON_RELAY_PORT, RIG_PORT, 0, &initiation),
		pkt_udp4(other, own, TALON_RELAY_PORT, RIG_PORT, 0, &junk),
		pkt_udp4(other, own, TALON_RELAY_PORT, RIG_PORT + 1, 0, &data),
		pkt_udp4(other, ip4(NODE), TALON_RELAY_PORT, RIG_PORT, 0, &data),
		PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 53, .dport = port,
			.payload = 33),
		PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 6, .sport = 53, .dport = 22),
	};
	static const uint16_t types[] = { ETH_P_ARP, ETH_P_IPV6, 0x8100, 0x88cc };
	struct packet frame;
	struct rig_result r;

	use_relay(rig);
	for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); i++) {
		frame = pkt_ether(rig_wt0r_mac, rig_wt0rp_mac, ETH_P_IP, &inside[i]);
		r = from_relay(rig, &frame);
		assert_int_equal(r.verdict, RIG_DROP);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_UNKNOWN_TYPE);
	}
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		frame = pkt_ether(rig_wt0r_mac, rig_wt0rp_mac, types[i], &inside[2]);
		r = from_relay(rig, &frame);
		assert_int_equal(r.verdict, RIG_DROP);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_UNKNOWN_TYPE);
	}
}

static void the_relays_address_is_ours_on_its_link_only(void **state)
{
	struct rig *rig = *state;
	struct packet frame;
	struct rig_result r;

	use_relay(rig);
	frame = injected(rig, 0, NULL);
	r = rig_run(rig, &frame);
	assert_int_equal(r.verdict, RIG_PASS);
	rig_uncounted(&r);
	pkt_equal(&r.frame, &frame);
}

static void same_place(const struct talon_endpoint *a, const struct talon_endpoint *b)
{
	assert_int_equal(a->family, b->family);
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->local_port, b->local_port);
	assert_int_equal(a->remote_port, b->remote_port);
	assert_memory_equal(&a->local, &b->local, sizeof(a->local));
	assert_memory_equal(&a->remote, &b->remote, sizeof(a->remote));
}

static void nobody_roams_to_the_relay(void **state)
{
	struct rig *rig = *state;
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 500,
		.dport = 53), frame;
	struct talon_endpoint before, after;
	struct rig_result r;

	use_relay(rig);
	rig_from_peer(rig, 0, &inner);
	before = get_endpoint(rig, 0);
	frame = injected(rig, 0, &inner);
	r = from_relay(rig, &frame);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	assert_int_equal(r.event_count, 0);
	after = get_endpoint(rig, 0);
	assert_memory_equal(&before, &after, sizeof(before));
}

static void a_pinned_endpoint_stays_where_the_controller_put_it(void **state)
{
	struct rig *rig = *state;
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 500,
		.dport = 53);
	static const uint8_t elsewhere[6] = { 2, 9, 9, 9, 9, 9 };
	struct talon_endpoint before, after;
	struct rig_result r;

	set_flags(rig, 0, TALON_ENDPOINT_PINNED);
	before = get_endpoint(rig, 0);
	rig->peers[0].port = 40009;		/* another place */
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	assert_int_equal(r.event_count, 0);
	rig->peers[0].port = 40000;
	rig->peers[0].addr = ip4("203.0.113.6");
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	after = get_endpoint(rig, 0);
	assert_memory_equal(&before, &after, sizeof(before));

	/* A packet from its own endpoint tells by which device that peer is reached. */
	before.in_ifindex = 0;
	memcpy(before.in_smac, elsewhere, 6);
	rig_put(rig, "endpoints", &(uint32_t){ 0 }, &before);
	rig_from_peer(rig, 0, &inner);
	after = get_endpoint(rig, 0);
	assert_int_equal(after.in_ifindex, 0);
	rig->peers[0].addr = ip4("203.0.113.5");
	r = rig_from_peer(rig, 0, &inner);
	assert_int_equal(r.event_count, 0);
	after = get_endpoint(rig, 0);
	same_place(&before, &after);
	assert_int_equal(after.in_ifindex, rig->eth0);
	assert_memory_equal(after.in_smac, rig_router_mac, 6);
	assert_memory_equal(after.in_dmac, rig_mac, 6);

	/* Let go, it follows again. */
	set_flags(rig, 0, 0);
	rig->peers[0].port = 40009;
	r = rig_from_peer(rig, 0, &inner);
	rig_event(&r, TALON_EVENT_ROAMED);
	after = get_endpoint(rig, 0);
	assert_int_equal(after.remote_port, htons(40009));
}

static void a_pinned_endpoint_keeps_its_way_and_its_flags(void **state)
{
	struct rig *rig = *state;
	uint16_t port = open_udp(rig, 0, CLIENT);
	struct packet answer = PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 53,
		.dport = port, .payload = 33);
	struct rig_result r;

	set_flags(rig, 0, TALON_ENDPOINT_PINNED);
	r = rig_from_wire(rig, &answer);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	rig_opened(rig, &r, 0);
	assert_int_equal(get_endpoint(rig, 0).flags, TALON_ENDPOINT_PINNED | TALON_ENDPOINT_L2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CASE(what_is_for_a_relayed_peer_leaves_by_the_relay_link),
		RIG_CASE(without_the_link_a_relayed_peer_gets_nothing),
		RIG_CASE(what_the_relay_brings_is_opened_like_any_other),
		RIG_CASE(local_deliveries_of_the_relay_go_through_the_tunnel_device),
		RIG_CASE(from_one_relayed_peer_to_another_the_link_is_left_and_entered_again),
		RIG_CASE(all_else_on_the_relay_link_is_dropped),
		RIG_CASE(the_relays_address_is_ours_on_its_link_only),
		RIG_CASE(nobody_roams_to_the_relay),
		RIG_CASE(a_pinned_endpoint_stays_where_the_controller_put_it),
		RIG_CASE(a_pinned_endpoint_keeps_its_way_and_its_flags),
	};

	rig_with_tunnel = true;
	return rig_main("relay pair", tests);
}
