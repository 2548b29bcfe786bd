// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Data messages that the controller received on its socket and passes to the programs by the relay pair,
// together with their addresses.
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>

#include "bpf/rig.h"

static struct talon_endpoint get_endpoint(struct rig *rig, uint32_t peer)
{
	struct talon_endpoint e;

	assert_int_equal(bpf_map_lookup_elem(rig_fd(rig, "endpoints"), &peer, &e), 0);
	return e;
}

static struct talon_peer_stats stats_of(struct rig *rig, uint32_t peer)
{
	struct talon_peer_stats per_cpu[512];

	assert_int_equal(bpf_map_lookup_elem(rig_fd(rig, "peer_stats"), &peer, per_cpu), 0);
	return per_cpu[0];	/* where the test runs */
}

static void use_link(struct rig *rig)
{
	rig->config.relay_ifindex = rig->wt0r;
	rig_config(rig);
}

static struct rig_result by_link(struct rig *rig, const struct packet *frame)
{
	struct packet there = *frame;
	struct rig_result r;

	memcpy(there.bytes, rig_wt0r_mac, 6);
	memcpy(there.bytes + 6, rig_wt0rp_mac, 6);
	rig->in = rig->wt0r;
	r = rig_run(rig, &there);
	rig->in = 0;
	return r;
}

static struct rig_result slow(struct rig *rig, uint32_t peer, const struct packet *inner)
{
	struct packet frame = rig_sealed(rig, peer, inner);

	return by_link(rig, &frame);
}

static struct packet question(uint32_t mesh)
{
	return PKT(.src = mesh, .dst = ip4(GATEWAY), .proto = 17, .sport = 500, .dport = 53, .payload = 100,
		.frag = PKT_DF);
}

static void what_the_socket_got_is_opened_and_counts_as_direct(void **state)
{
	struct rig *rig = *state;

	use_link(rig);
	for (uint32_t peer = 0; peer < RIG_PEERS; peer++) {	/* the last one's endpoint is IPv6 */
		struct packet inner = question(rig->peers[peer].mesh), got;
		struct rig_result r = slow(rig, peer, &inner);
		struct talon_peer_stats stats = stats_of(rig, peer);

		rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
		got = rig_plain(rig, &r);
		assert_int_equal(got.len, inner.len);
		assert_memory_equal(got.bytes + 16, inner.bytes + 16, 4);
		assert_int_equal(stats.rx_packets, 1);
		assert_int_not_equal(stats.rx_direct_ns, 0);
		assert_int_equal(stats.rx_relay_ns, 0);
	}
}

static void it_is_no_way_around_any_check(void **state)
{
	struct packet inner = question(ip4(CLIENT)), foreign = question(ip4(CLIENT1)), frame, forged;
	struct rig *rig = *state;
	struct rig_result r;

	use_link(rig);
	frame = rig_sealed(rig, 0, &inner);
	r = by_link(rig, &frame);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	r = by_link(rig, &frame);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_REPLAYED);
	r = rig_run(rig, &frame);	/* nor in the other order */
	rig_ends(rig, &r, TALON_DIR_IN, TALON_REPLAYED);
	forged = rig_sealed(rig, 0, &inner);
	forged.bytes[forged.len - 1] ^= 1;
	r = by_link(rig, &forged);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_BAD_TAG);
	r = slow(rig, 0, &foreign);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NOT_ALLOWED);
	rig_session_age(rig, 0, 200 * TALON_NSEC_PER_SEC);
	r = slow(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_KEY_EXPIRED);
}

static void the_endpoint_follows_without_a_way_in(void **state)
{
	struct packet inner = question(ip4(CLIENT));
	struct talon_endpoint e;
	struct rig *rig = *state;
	struct rig_result r;

	use_link(rig);
	rig_from_peer(rig, 0, &inner);
	e = get_endpoint(rig, 0);
	assert_int_equal(e.in_ifindex, rig->eth0);
	rig->peers[0].port = 40009;
	r = slow(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	rig_event(&r, TALON_EVENT_ROAMED);
	e = get_endpoint(rig, 0);
	assert_int_equal(e.family, AF_INET);
	assert_int_equal(e.remote_port, htons(40009));
	assert_int_equal(e.remote.word[0], rig->peers[0].addr);
	assert_int_equal(e.local.word[0], ip4(NODE));
	assert_int_equal(e.local_port, htons(RIG_PORT));
	assert_int_equal(e.in_ifindex, 0);	/* how it came in is not known */
	assert_int_equal(e.flags & TALON_ENDPOINT_L2, 0);
}

/*
 * Large packets arrive fragmented, small ones whole: the ingress device learned from small ones holds for
 * large ones.
 */
static void a_way_in_that_is_known_stays(void **state)
{
	struct packet inner = question(ip4(CLIENT));
	struct talon_endpoint before, after;
	struct rig *rig = *state;
	struct rig_result r;

	use_link(rig);
	rig_from_peer(rig, 0, &inner);
	before = get_endpoint(rig, 0);
	r = slow(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	assert_int_equal(r.event_count, 0);
	after = get_endpoint(rig, 0);
	assert_memory_equal(&before, &after, sizeof(before));
}

static void a_pinned_endpoint_is_not_moved_by_it(void **state)
{
	struct packet inner = question(ip4(CLIENT));
	struct talon_endpoint before, after;
	struct rig *rig = *state;
	struct rig_result r;

	use_link(rig);
	before = get_endpoint(rig, 0);
	before.flags = TALON_ENDPOINT_PINNED;
	rig_put(rig, "endpoints", &(uint32_t){ 0 }, &before);
	for (int elsewhere = 0; elsewhere < 2; elsewhere++) {
		rig->peers[0].port = elsewhere ? 40009 : 40000;
		r = slow(rig, 0, &inner);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
		assert_int_equal(r.event_count, 0);
		after = get_endpoint(rig, 0);
		assert_memory_equal(&before, &after, sizeof(before));
	}
}

/* The kernel considers the address local; it may be one that we have not learned yet. */
static void it_may_have_come_to_any_address_of_this_host(void **state)
{
	struct packet inner = question(ip4(CLIENT)), message, outer, frame;
	struct rig_peer *p = &((struct rig *)*state)->peers[0];
	struct rig *rig = *state;
	struct rig_result r;

	use_link(rig);
	message = pkt_wg(p->recv_key, p->index, p->counter++, &inner);
	outer = pkt_udp4(p->addr, ip4("203.0.113.99"), p->port, RIG_PORT, 0, &message);
	frame = pkt_ether(rig_wt0r_mac, rig_wt0rp_mac, ETH_P_IP, &outer);
	r = rig_run(rig, &frame);		/* on the wire it is somebody else's */
	assert_int_equal(r.verdict, RIG_PASS);
	r = by_link(rig, &frame);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	assert_int_equal(get_endpoint(rig, 0).local.word[0], ip4("203.0.113.99"));
}

static void the_relays_addresses_and_others_do_not_mix(void **state)
{
	struct packet inner = question(ip4(CLIENT)), message, outer, frame;
	struct rig_peer *p = &((struct rig *)*state)->peers[0];
	uint32_t own = htonl(TALON_RELAY_OWN_ADDR), there = htonl(TALON_RELAY_PEER_ADDR(0));
	const struct { uint32_t src, dst; } mixed[] = { { there, ip4(NODE) }, { p->addr, own },
		{ own, ip4(NODE) } };
	struct talon_endpoint before, after;
	struct rig *rig = *state;

	use_link(rig);
	before = get_endpoint(rig, 0);
	for (size_t i = 0; i < sizeof(mixed) / sizeof(mixed[0]); i++) {
		struct rig_result r;

		message = pkt_wg(p->recv_key, p->index, p->counter++, &inner);
		outer = pkt_udp4(mixed[i].src, mixed[i].dst, TALON_RELAY_PORT, RIG_PORT, 0, &message);
		frame = pkt_ether(rig_wt0r_mac, rig_wt0rp_mac, ETH_P_IP, &outer);
		r = by_link(rig, &frame);
		assert_int_equal(r.verdict, RIG_DROP);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_UNKNOWN_TYPE);
	}
	after = get_endpoint(rig, 0);
	assert_memory_equal(&before, &after, sizeof(before));
}

/* RFC 6040: the outer ECN field that the socket reported is in the frame's header. */
static void congestion_on_the_way_is_told_the_inside(void **state)
{
	struct packet inner = question(ip4(CLIENT)), message, frame, got;
	struct rig_peer *p = &((struct rig *)*state)->peers[0];
	struct rig *rig = *state;
	struct rig_result r;

	use_link(rig);
	inner.bytes[1] = 2;		/* ECT(0) */
	pkt_fix_header(&inner);
	message = pkt_wg(p->recv_key, p->index, p->counter++, &inner);
	frame = rig_outer(rig, 0, 3, &message);
	r = by_link(rig, &frame);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	got = rig_plain(rig, &r);
	assert_int_equal(got.bytes[1] & 3, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CASE(what_the_socket_got_is_opened_and_counts_as_direct),
		RIG_CASE(it_is_no_way_around_any_check),
		RIG_CASE(the_endpoint_follows_without_a_way_in),
		RIG_CASE(a_way_in_that_is_known_stays),
		RIG_CASE(a_pinned_endpoint_is_not_moved_by_it),
		RIG_CASE(it_may_have_come_to_any_address_of_this_host),
		RIG_CASE(the_relays_addresses_and_others_do_not_mix),
		RIG_CASE(congestion_on_the_way_is_told_the_inside),
	};

	rig_with_tunnel = true;
	return rig_main("slow data", tests);
}
