// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The uplink's packet path: verdict, bytes and counter of every case. test_uplink_tc.c runs the same on
// the tc program.
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/if_ether.h>

#include "bpf/rig.h"

#ifndef UPLINK_HOOK
#define UPLINK_HOOK RIG_XDP
#endif

static uint32_t get16_at(const struct packet *p, uint32_t off)
{
	return (uint32_t)p->bytes[off] << 8 | p->bytes[off + 1];
}

#define IP_ID(p)	get16_at(p, 4)
#define SPORT(p)	get16_at(p, 20)
#define DPORT(p)	get16_at(p, 22)
#define ICMP_ID(p)	get16_at(p, 24)

/*
 * Sends a UDP packet from @client to @remote, which must be forwarded with a new source, and returns
 * the port it got.
 */
static uint16_t open_udp(struct rig *rig, uint32_t peer, uint32_t client, uint16_t sport, uint32_t remote,
	uint16_t dport)
{
	struct packet inner = PKT(.src = client, .dst = remote, .proto = 17, .sport = sport, .dport = dport,
		.payload = 10, .frag = PKT_DF);
	struct rig_result r = rig_from_peer(rig, peer, &inner);
	struct packet out, want;

	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	out = rig_plain(rig, &r);
	assert_in_range(SPORT(&out), rig->config.port_first, rig->config.port_last);
	want = PKT(.src = rig->config.snat_addr, .dst = remote, .proto = 17, .sport = SPORT(&out),
		.dport = dport, .payload = 10, .frag = PKT_DF, .ttl = 63);
	pkt_equal(&out, &want);
	return SPORT(&out);
}

static uint16_t open_tcp(struct rig *rig, uint16_t sport, uint16_t dport)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 6, .sport = sport,
		.dport = dport, .tcp_flags = TCP_SYN, .frag = PKT_DF);
	struct rig_result r = rig_from_peer(rig, 0, &inner);
	struct packet out;

	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	out = rig_plain(rig, &r);
	return SPORT(&out);
}

/* ---- what is not ours ---- */

static void passes_untouched(struct rig *rig, const struct packet *frame)
{
	struct rig_result r = rig_run(rig, frame);

	assert_int_equal(r.verdict, RIG_PASS);
	pkt_equal(&r.frame, frame);
	rig_uncounted(&r);
	assert_int_equal(r.event_count, 0);
}

static void what_is_not_ours_passes_untouched_and_uncounted(void **state)
{
	struct rig *rig = *state;
	struct packet payload = pkt_wg(rig->peers[0].recv_key, rig->peers[0].index, 0, NULL);
	struct packet whole = PKT(.src = ip4("203.0.113.5"), .dst = ip4(NODE), .proto = 17, .sport = 1,
		.dport = RIG_PORT, .payload = 64);
	uint8_t other6[16] = { 0x20, 1, 0x0d, 0xb8, [15] = 0x99 };
	struct packet inside[] = {
		PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 53, .dport = 53,
			.payload = 40),
		PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 6, .sport = 80, .dport = 22,
			.tcp_flags = TCP_ACK, .payload = 40),
		PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 6, .sport = 80, .dport = 15000,
			.tcp_flags = TCP_SYN),
		PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 80, .dport = 15000,
			.payload = 4),
		PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 1, .icmp_type = 8, .icmp_id = 15000,
			.payload = 56),
		PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 1, .icmp_type = 0, .icmp_id = 15000,
			.payload = 56),
		PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 47, .payload = 64),		/* GRE */
		PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 50, .payload = 64),		/* ESP */
		PKT(.src = ip4(GATEWAY), .dst = ip4(CLIENT), .proto = 17, .sport = 1, .dport = 2,
			.payload = 64),
		PKT(.src = ip4(GATEWAY), .dst = ip4("224.0.0.251"), .proto = 17, .sport = 5353, .dport = 5353,
			.payload = 64),
		pkt_udp4(ip4("203.0.113.5"), ip4(NODE), 40000, RIG_PORT + 1, 0, &payload),
		pkt_udp4(ip4("203.0.113.5"), ip4("192.168.1.222"), 40000, RIG_PORT, 0, &payload),
		pkt_fragment(&whole, 0, 32),		/* outer fragments go through the host's stack */
		pkt_icmp_error(ip4("192.168.1.1"), ip4(NODE), 3, 1, 0, &whole, 28),
	};
	struct packet six[] = {
		pkt_udp6(other6, rig_node6, 40000, 53, 0, &payload),
		pkt_udp6(other6, other6, 40000, RIG_PORT, 0, &payload),
	};
	struct packet frame;

	for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); i++) {
		frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IP, &inside[i]);
		passes_untouched(rig, &frame);
	}
	for (size_t i = 0; i < sizeof(six) / sizeof(six[0]); i++) {
		frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IPV6, &six[i]);
		passes_untouched(rig, &frame);
	}
	frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_ARP, &inside[0]);
	passes_untouched(rig, &frame);
	frame = pkt_ether(rig_mac, rig_gateway_mac, 0x88cc, &inside[0]);	/* LLDP */
	passes_untouched(rig, &frame);
	if (rig->hook != RIG_XDP)
		return;		/* BPF_PROG_TEST_RUN wants more of a packet for tc */
	frame = (struct packet){ .len = 14 };
	passes_untouched(rig, &frame);
	frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IP,
		&(struct packet){ .len = 19, .bytes = { 0x45 } });
	passes_untouched(rig, &frame);
}

/* Even where the VLAN's inside would be ours on the untagged port. */
static void vlan_tagged_frames_pass_untouched(void **state)
{
	struct rig *rig = *state;
	struct packet sealed = rig_sealed(rig, 0, NULL), frame = sealed;

	memcpy(frame.bytes + 12, "\x81\x00\x00\x05", 4);
	memcpy(frame.bytes + 16, sealed.bytes + 12, sealed.len - 12);
	frame.len = sealed.len + 4;
	passes_untouched(rig, &frame);
}

static void without_a_configuration_everything_passes_untouched(void **state)
{
	struct rig *rig = *state;
	struct packet frame = rig_sealed(rig, 0, NULL);

	rig->config.generation = 0;
	rig_config(rig);
	passes_untouched(rig, &frame);
}

static void outer_packets_with_options_go_the_slow_way(void **state)
{
	struct rig *rig = *state;
	struct packet inside = PKT(.src = ip4("203.0.113.5"), .dst = ip4(NODE), .proto = 17, .sport = 40000,
		.dport = RIG_PORT, .ip_options = 8, .payload = 32);
	struct packet frame = pkt_ether(rig_mac, rig_router_mac, ETH_P_IP, &inside);

	passes_untouched(rig, &frame);
}

/* ---- our port ---- */

static struct packet message_of(uint32_t type, uint32_t len)
{
	struct packet p = { .len = len };

	for (uint32_t i = 0; i < len; i++)
		p.bytes[i] = 0x80 + i;
	memcpy(p.bytes, &type, 4);
	return p;
}

static struct packet stun_of(uint16_t type, uint32_t len, uint32_t cookie)
{
	struct packet p = { .len = len };

	p.bytes[0] = type >> 8;
	p.bytes[1] = type;
	p.bytes[2] = (len - 20) >> 8;
	p.bytes[3] = len - 20;
	cookie = htonl(cookie);
	memcpy(p.bytes + 4, &cookie, 4);
	return p;
}

static void handshakes_and_stun_are_left_to_the_controllers_socket(void **state)
{
	struct packet messages[] = {
		message_of(1, 148), message_of(2, 92), message_of(3, 64),
		stun_of(0x0001, 20, 0x2112A442), stun_of(0x0101, 32, 0x2112A442),
		stun_of(0x0111, 100, 0x2112A442),
	};
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		for (uint32_t peer = 0; peer < RIG_PEERS; peer += 2) {	/* over IPv4 and over IPv6 */
			struct packet frame = rig_outer(rig, peer, 0, &messages[i]);
			struct rig_result r = rig_run(rig, &frame);

			assert_int_equal(r.verdict, RIG_PASS);
			pkt_equal(&r.frame, &frame);
			rig_ends(rig, &r, TALON_DIR_IN, TALON_TO_CONTROLLER);
		}
	}
}

static void junk_on_our_port_ends_here(void **state)
{
	struct packet messages[] = {
		message_of(0, 148), message_of(1, 147), message_of(1, 149), message_of(2, 91),
		message_of(3, 65),
		message_of(4, 31), message_of(5, 64), message_of(0x01000001, 148), message_of(0x00000104, 64),
		stun_of(0x0001, 20, 0x2112A443), stun_of(0x4001, 20, 0x2112A442),
		stun_of(0x0001, 22, 0x2112A442),
	};
	struct packet longer = stun_of(0x0001, 24, 0x2112A442);
	struct rig *rig = *state;
	struct packet frame;
	struct rig_result r;

	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		frame = rig_outer(rig, 0, 0, &messages[i]);
		r = rig_run(rig, &frame);
		assert_int_equal(r.verdict, RIG_DROP);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_UNKNOWN_TYPE);
	}
	longer.bytes[3] = 8;	/* its length field says more than there is */
	frame = rig_outer(rig, 0, 0, &longer);
	r = rig_run(rig, &frame);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_UNKNOWN_TYPE);
}

static void what_is_cut_short_on_our_port_is_dropped(void **state)
{
	struct packet message = message_of(4, 64), tiny = message_of(4, 3), none = { .len = 0 };
	struct rig *rig = *state;
	struct packet frame;
	struct rig_result r;

	frame = rig_outer(rig, 0, 0, &tiny);
	r = rig_run(rig, &frame);
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_TOO_SHORT);
	frame = rig_outer(rig, 2, 0, &none);
	r = rig_run(rig, &frame);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_TOO_SHORT);
	frame = rig_outer(rig, 0, 0, &message);
	frame.len -= 1;		/* the IPv4 header claims one byte more */
	r = rig_run(rig, &frame);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_TOO_SHORT);
	frame = rig_outer(rig, 2, 0, &message);
	frame.len -= 1;		/* so does the IPv6 header */
	r = rig_run(rig, &frame);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_TOO_SHORT);
	frame = rig_outer(rig, 0, 0, &message);
	frame.bytes[14 + 20 + 5] += 1;	/* so does the UDP header */
	r = rig_run(rig, &frame);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_TOO_SHORT);
}

/* A minimal frame is padded to 60 bytes: the IPv4 header says where it ends. */
static void ethernet_padding_is_no_part_of_the_message(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(PLAIN), .proto = 253, .payload = 0);
	struct rig *rig = *state;
	struct packet frame = rig_sealed(rig, 0, &inner), out;
	struct rig_result r;

	frame.len += 9;
	r = rig_run(rig, &frame);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	out = rig_plain(rig, &r);
	inner = PKT(.src = ip4(CLIENT), .dst = ip4(PLAIN), .proto = 253, .payload = 0, .ttl = 63);
	pkt_equal(&out, &inner);
}

/* ---- sessions ---- */

static struct talon_peer_stats peer_stats(struct rig *rig, uint32_t peer)
{
	struct talon_peer_stats per_cpu[512], sum = {};

	assert_int_equal(bpf_map_lookup_elem(rig_fd(rig, "peer_stats"), &peer, per_cpu), 0);
	for (int i = 0; i < libbpf_num_possible_cpus(); i++) {
		sum.rx_bytes += per_cpu[i].rx_bytes;
		sum.tx_bytes += per_cpu[i].tx_bytes;
		sum.rx_packets += per_cpu[i].rx_packets;
		sum.tx_packets += per_cpu[i].tx_packets;
		sum.rx_ns += per_cpu[i].rx_ns;
		sum.tx_ns += per_cpu[i].tx_ns;
		sum.rx_data_ns += per_cpu[i].rx_data_ns;
		sum.tx_data_ns += per_cpu[i].tx_data_ns;
	}
	return sum;
}

static void a_keepalive_is_counted_and_goes_no_further(void **state)
{
	struct rig *rig = *state;
	uint64_t before_ns = rig_now_ns();
	struct rig_result r = rig_from_peer(rig, 0, NULL);
	struct talon_peer_stats ps = peer_stats(rig, 0);

	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_KEEPALIVE);
	assert_int_equal(ps.rx_bytes, 32);
	assert_int_equal(ps.rx_packets, 1);
	assert_in_range(ps.rx_ns, before_ns, rig_now_ns());
	assert_int_equal(ps.rx_data_ns, 0);
	assert_int_equal(ps.tx_packets, 0);
}

static void bytes_are_counted_as_whole_data_messages(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 5,
		.dport = 6, .payload = 1);
	struct rig *rig = *state;
	struct rig_result r = rig_from_peer(rig, 0, &inner);
	struct packet out = rig_plain(rig, &r), reply;
	struct talon_peer_stats ps;

	reply = PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 6, .dport = SPORT(&out),
		.payload = 5);
	r = rig_from_wire(rig, &reply);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	ps = peer_stats(rig, 0);
	assert_int_equal(ps.rx_bytes, 32 + 32);
	assert_int_equal(ps.tx_bytes, 48 + 32);
	assert_int_equal(ps.rx_packets, 1);
	assert_int_equal(ps.tx_packets, 1);
	assert_true(ps.rx_data_ns && ps.tx_data_ns && ps.rx_ns && ps.tx_ns);
}

static void a_message_for_no_session_is_dropped(void **state)
{
	struct rig *rig = *state;
	struct rig_peer *p = &rig->peers[0];
	uint32_t wrong[] = { 0, p->index + RIG_SLOTS, p->index ^ 1, p->slot };
	struct talon_session retired = {};
	struct rig_result r;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct packet message = pkt_wg(p->recv_key, wrong[i], 0, NULL);
		struct packet frame = rig_outer(rig, 0, 0, &message);

		r = rig_run(rig, &frame);
		assert_int_equal(r.verdict, RIG_DROP);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_NO_SESSION);
	}
	rig_put(rig, "sessions", &p->slot, &retired);
	r = rig_from_peer(rig, 0, NULL);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NO_SESSION);
}

static void a_wrong_tag_changes_nothing(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 5,
		.dport = 6, .payload = 100);
	struct rig *rig = *state;
	struct packet frame = rig_sealed(rig, 0, &inner);
	uint64_t before;
	struct rig_result r;

	memcpy(frame.bytes + 26, "\xc6\x33\x64\x09", 4);	/* and it claims to come from elsewhere */
	before = rig_digest(rig);
	for (uint32_t i = 58; i < frame.len; i += 29) {
		struct packet forged = frame;

		forged.bytes[i] ^= 0x40;
		r = rig_run(rig, &forged);
		assert_int_equal(r.verdict, RIG_DROP);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_BAD_TAG);
		assert_int_equal(r.event_count, 0);
	}
	frame.bytes[50] ^= 4;		/* another counter */
	r = rig_run(rig, &frame);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_BAD_TAG);
	assert_int_equal(rig_digest(rig), before);
	frame.bytes[50] ^= 4;
	r = rig_run(rig, &frame);	/* the counter was not used up */
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
}

static void a_key_opens_until_it_is_180_seconds_old(void **state)
{
	struct rig *rig = *state;
	struct rig_result r;

	rig_session_age(rig, 0, 179900000000ULL);
	r = rig_from_peer(rig, 0, NULL);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_KEEPALIVE);
	rig_session_age(rig, 0, 180000000000ULL);
	r = rig_from_peer(rig, 0, NULL);
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_KEY_EXPIRED);
}

static struct rig_result keepalive_at(struct rig *rig, uint64_t counter)
{
	struct rig_peer *p = &rig->peers[0];
	struct packet message = pkt_wg(p->recv_key, p->index, counter, NULL);
	struct packet frame = rig_outer(rig, 0, 0, &message);

	return rig_run(rig, &frame);
}

/* RFC 6479 as WireGuard sizes it: 8192 bits, one word of 64 redundant, so 8128 counters back are accepted. */
static void the_replay_window_takes_every_counter_once(void **state)
{
	enum { REACH = 8128 };
	static const struct step {
		uint64_t counter;
		bool taken;
	} steps[] = {
		{ 0, true }, { 0, false }, { 1, true }, { 1, false }, { 9, true }, { 8, true }, { 7, true },
		{ 7, false },
		{ 6, true }, { 9, false }, { 63, true }, { 64, true }, { 62, true }, { 63, false },
		/* max is REACH + 1: counter 0 is out, 1 is the last that is in, and was taken */
		{ REACH, true },
		{ 0, false }, { 1, false }, { 2, true }, { 2, false }, { REACH, false }, { REACH - 1, true },
		{ REACH + 64, true }, { 64, false }, { 65, true }, { 10, false },
		{ 3 * REACH, true }, { 2 * REACH, false }, { 2 * REACH + 1, true }, { 2 * REACH + 2, true },
		{ 2 * REACH + 1, false },
		{ 100000, true }, { 100000 - REACH, false }, { 100000 - REACH + 1, true },
		{ 100000 - 1, true }, { 99999, false },
		{ (1ULL << 32) - 1, true }, { 1ULL << 32, true }, { (1ULL << 32) - 2, true },
		{ (1ULL << 32) - 1, false },
		{ 1ULL << 60, true }, { (1ULL << 60) - REACH + 1, true }, { (1ULL << 60) - REACH, false },
		{ 5, false },
	};
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct rig_result r = keepalive_at(rig, steps[i].counter);

		print_message("%zu: counter %llu\n", i, (unsigned long long)steps[i].counter);
		assert_int_equal(r.verdict, RIG_DROP);
		rig_ends(rig, &r, TALON_DIR_IN, steps[i].taken ? TALON_KEEPALIVE : TALON_REPLAYED);
	}
}

static void counters_end_before_they_wrap(void **state)
{
	struct rig *rig = *state;
	struct rig_result r = keepalive_at(rig, WG_REJECT_AFTER_MESSAGES - 1);

	rig_ends(rig, &r, TALON_DIR_IN, TALON_KEEPALIVE);
	r = keepalive_at(rig, WG_REJECT_AFTER_MESSAGES);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_KEY_EXPIRED);
	r = keepalive_at(rig, ~0ULL);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_KEY_EXPIRED);
	r = keepalive_at(rig, WG_REJECT_AFTER_MESSAGES - 2);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_KEEPALIVE);
	r = keepalive_at(rig, WG_REJECT_AFTER_MESSAGES - 1);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_REPLAYED);
}

/* Packets that were shuffled within the window all get through, and none of them twice. */
static void a_shuffled_stream_loses_nothing(void **state)
{
	enum { COUNT = 400 };
	uint32_t order[COUNT], taken = 0, refused = 0;
	struct rig *rig = *state;
	struct rig_result r;

	for (uint32_t i = 0; i < COUNT; i++)
		order[i] = i;
	for (uint32_t i = COUNT - 1; i; i--) {
		uint32_t j = (i * 2654435761u >> 7) % (i + 1), t = order[i];

		order[i] = order[j];
		order[j] = t;
	}
	for (uint32_t round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < COUNT; i++) {
			r = keepalive_at(rig, order[i] * 3);
			taken += r.counts[TALON_KEEPALIVE];
			refused += r.counts[TALON_REPLAYED];
		}
	}
	assert_int_equal(taken, COUNT);
	assert_int_equal(refused, COUNT);
}

static void the_first_valid_packet_promotes_the_next_session_once(void **state)
{
	struct rig *rig = *state;
	struct rig_peer *p = &rig->peers[0];
	struct talon_replay replay = { .state = TALON_SESSION_NEXT };
	struct talon_peer_tx tx = { .index = 0x77777700 };
	const struct rig_event *event;
	struct packet frame;
	struct rig_result r;
	uint32_t zero = 0;

	rig_put(rig, "replay", &p->slot, &replay);
	rig_put(rig, "peer_tx", &zero, &tx);
	frame = rig_sealed(rig, 0, NULL);
	frame.bytes[frame.len - 1] ^= 1;
	r = rig_run(rig, &frame);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_BAD_TAG);
	assert_int_equal(bpf_map_lookup_elem(rig_fd(rig, "peer_tx"), &zero, &tx), 0);
	assert_int_equal(tx.index, 0x77777700);

	r = rig_from_peer(rig, 0, NULL);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_KEEPALIVE);
	event = rig_event(&r, TALON_EVENT_PROMOTED);
	assert_int_equal(event->head.peer, 0);
	assert_int_equal(event->head.index, p->index);
	assert_int_equal(bpf_map_lookup_elem(rig_fd(rig, "peer_tx"), &zero, &tx), 0);
	assert_int_equal(tx.index, p->index);
	assert_int_equal(bpf_map_lookup_elem(rig_fd(rig, "replay"), &p->slot, &replay), 0);
	assert_int_equal(replay.state, TALON_SESSION_CURRENT);

	tx.index = 0x77777700;		/* the controller went on meanwhile */
	rig_put(rig, "peer_tx", &zero, &tx);
	r = rig_from_peer(rig, 0, NULL);
	assert_int_equal(r.event_count, 0);
	assert_int_equal(bpf_map_lookup_elem(rig_fd(rig, "peer_tx"), &zero, &tx), 0);
	assert_int_equal(tx.index, 0x77777700);
}

static struct talon_endpoint endpoint(struct rig *rig, uint32_t peer)
{
	struct talon_endpoint e;

	assert_int_equal(bpf_map_lookup_elem(rig_fd(rig, "endpoints"), &peer, &e), 0);
	return e;
}

static void an_endpoint_follows_authenticated_packets_only(void **state)
{
	static const uint8_t other_mac[6] = { 2, 0, 0, 0, 0xee, 0xee };
	struct rig *rig = *state;
	struct rig_peer *p = &rig->peers[0];
	struct talon_endpoint e;
	struct packet frame, out;
	struct rig_result r;
	uint16_t port;

	port = open_udp(rig, 0, p->mesh, 7, ip4(GATEWAY), 8);
	p->addr = ip4("198.51.100.99");
	p->port = 1234;
	frame = rig_sealed(rig, 0, NULL);
	memcpy(frame.bytes + 6, other_mac, 6);
	frame.bytes[frame.len - 1] ^= 1;
	r = rig_run(rig, &frame);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_BAD_TAG);
	e = endpoint(rig, 0);
	assert_int_equal(e.remote.word[0], ip4("203.0.113.5"));
	frame.bytes[frame.len - 1] ^= 1;
	r = rig_run(rig, &frame);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_KEEPALIVE);
	assert_int_equal(rig_event(&r, TALON_EVENT_ROAMED)->head.peer, 0);
	e = endpoint(rig, 0);
	assert_int_equal(e.family, AF_INET);
	assert_int_equal(e.remote.word[0], p->addr);
	assert_int_equal(e.remote_port, htons(1234));
	assert_int_equal(e.local.word[0], ip4(NODE));
	assert_int_equal(e.local_port, htons(RIG_PORT));
	assert_int_equal(e.flags, 0);
	assert_int_equal(e.in_ifindex, rig->eth0);
	assert_memory_equal(e.in_smac, other_mac, 6);
	assert_memory_equal(e.in_dmac, rig_mac, 6);

	r = rig_run(rig, &frame);	/* a replay does not move it either */
	rig_ends(rig, &r, TALON_DIR_IN, TALON_REPLAYED);
	assert_int_equal(r.event_count, 0);
	out = PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 8, .dport = port,
		.payload = 3);
	r = rig_from_wire(rig, &out);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	rig_opened(rig, &r, 0);		/* to the new place */
}

static void an_endpoint_moves_between_ipv4_and_ipv6(void **state)
{
	static const uint8_t new6[16] = { 0x20, 1, 0x0d, 0xb8, 0, 7, [15] = 9 };
	struct rig *rig = *state;
	struct rig_peer *p = &rig->peers[0];
	uint16_t port = open_udp(rig, 0, p->mesh, 7, ip4(GATEWAY), 8);
	struct packet reply = PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 8,
		.dport = port, .payload = 3);
	struct rig_result r;

	r = rig_from_wire(rig, &reply);
	rig_opened(rig, &r, 0);
	p->six = true;
	memcpy(p->addr6, new6, 16);
	r = rig_from_peer(rig, 0, NULL);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_KEEPALIVE);
	rig_event(&r, TALON_EVENT_ROAMED);
	r = rig_from_wire(rig, &reply);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	rig_opened(rig, &r, 0);
	p->six = false;
	r = rig_from_peer(rig, 0, NULL);
	rig_event(&r, TALON_EVENT_ROAMED);
	r = rig_from_wire(rig, &reply);
	rig_opened(rig, &r, 0);
}

/* ---- what a peer may send, and where to ---- */

static void the_inner_source_must_be_the_peers(void **state)
{
	struct rig *rig = *state;
	struct { const char *src; uint32_t peer; bool allowed; } cases[] = {
		{ CLIENT, 0, true }, { CLIENT1, 0, false }, { "192.168.1.5", 0, false }, { CLIENT1, 1, true },
		{ "100.65.1.1", 0, true }, { "100.65.1.7", 0, false }, { "100.65.1.7", 1, true },
		{ "100.65.1.8", 1, false },
		{ "100.65.2.1", 2, true }, { "100.66.0.1", 2, false },
	};

	rig_allow(rig, "100.65.0.0", 16, 2);
	rig_allow(rig, "100.65.1.0", 24, 0);
	rig_allow(rig, "100.65.1.7", 32, 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct packet inner = PKT(.src = ip4(cases[i].src), .dst = ip4(GATEWAY), .proto = 17,
			.sport = 5, .dport = 6);
		struct rig_result r = rig_from_peer(rig, cases[i].peer, &inner);

		rig_ends(rig, &r, TALON_DIR_IN, cases[i].allowed ? TALON_FORWARDED : TALON_NOT_ALLOWED);
		assert_int_equal(r.verdict, cases[i].allowed ? RIG_SEND : RIG_DROP);
	}
}

static void an_address_of_this_host_is_no_source_even_if_allowed(void **state)
{
	static const char *const ours[] = { NODE, MESH, "10.9.0.1", "127.0.0.1" };
	struct rig *rig = *state;

	rig_allow(rig, "0.0.0.0", 0, 0);
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		struct packet inner = PKT(.src = ip4(ours[i]), .dst = ip4(GATEWAY), .proto = 17, .sport = 5,
			.dport = 6);
		struct rig_result r = rig_from_peer(rig, 0, &inner);

		assert_int_equal(r.verdict, RIG_DROP);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_LOCAL_SOURCE);
	}
}

static void a_flow_of_an_address_that_moved_to_another_peer_is_judged_anew(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 5,
		.dport = 6);
	struct rig *rig = *state;
	struct rig_result r = rig_from_peer(rig, 0, &inner);
	struct packet out = rig_plain(rig, &r), reply;
	uint32_t flow = r.flow;

	r = rig_from_peer(rig, 1, &inner);	/* not its address yet, whatever flow there is */
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NOT_ALLOWED);
	rig_allow(rig, CLIENT, 32, 1);
	rig_bump(rig);
	reply = PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 6, .dport = SPORT(&out));
	r = rig_from_wire(rig, &reply);		/* nor is peer 0 sent what is not its own any more */
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_NO_PEER);
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NOT_ALLOWED);
	r = rig_from_peer(rig, 1, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	assert_int_not_equal(r.flow, flow);	/* the reply ended it */
	out = rig_plain(rig, &r);
	reply = PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 6, .dport = SPORT(&out));
	r = rig_from_wire(rig, &reply);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	rig_opened(rig, &r, 1);
}

static void a_malformed_inner_packet_is_dropped(void **state)
{
	struct packet good = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 6, .sport = 5, .dport = 6,
		.payload = 20);
	struct { uint32_t at; uint8_t value; enum talon_end end; } changes[] = {
		{ 0, 0x44, TALON_BAD_INNER }, { 0, 0x55, TALON_BAD_INNER }, { 0, 0x05, TALON_BAD_INNER },
		{ 0, 0x65, TALON_INNER_IPV6 },
		{ 0, 0x4f, TALON_INNER_CHECKSUM }, { 2, 0x10, TALON_BAD_INNER }, { 3, 19, TALON_BAD_INNER },
		{ 3, 0, TALON_BAD_INNER },
		{ 3, 20, TALON_BAD_INNER }, { 3, 39, TALON_BAD_INNER },
	};
	struct rig *rig = *state;
	struct rig_peer *p = &rig->peers[0];
	struct packet message, frame;
	struct rig_result r;

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		struct packet inner = good;

		inner.bytes[changes[i].at] = changes[i].value;
		if (inner.bytes[0] == 0x45)
			pkt_fix_header(&inner);
		r = rig_from_peer(rig, 0, &inner);
		assert_int_equal(r.verdict, RIG_DROP);
		rig_ends(rig, &r, TALON_DIR_IN, changes[i].end);
	}
	for (uint32_t len = 1; len < 20; len++) {
		message = pkt_wg_raw(p->recv_key, p->index, p->counter++, good.bytes, len);
		frame = rig_outer(rig, 0, 0, &message);
		r = rig_run(rig, &frame);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_BAD_INNER);
	}
	for (int proto = 1; proto <= 17; proto += 16) {	/* no room for an ICMP or UDP header */
		struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 253,
			.payload = 7);

		inner.bytes[9] = proto;
		pkt_fix_header(&inner);
		r = rig_from_peer(rig, 0, &inner);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_BAD_INNER);
	}
}

/*
 * The plaintext need not be padded as we would, nor to a multiple of 16; it ends where the inner header says.
 */
static void padding_of_any_length_is_taken_off(void **state)
{
	struct packet good = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 5, .dport = 6,
		.payload = 20, .frag = PKT_DF);
	struct rig *rig = *state;
	struct rig_peer *p = &rig->peers[0];

	for (uint32_t more = 0; more < 40; more++) {
		struct packet message = pkt_wg_raw(p->recv_key, p->index, p->counter++, good.bytes,
			good.len + more);
		struct packet frame = rig_outer(rig, 0, 0, &message), out, want;
		struct rig_result r = rig_run(rig, &frame);

		rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
		out = rig_plain(rig, &r);
		want = PKT(.src = ip4(NODE), .dst = ip4(GATEWAY), .proto = 17, .sport = SPORT(&out),
			.dport = 6, .payload = 20, .frag = PKT_DF, .ttl = 63);
		pkt_equal(&out, &want);
	}
}

static void a_message_larger_than_any_inner_packet_is_dropped(void **state)
{
	struct rig *rig = *state;
	struct packet plain = { .len = 1601 }, message, frame;
	struct rig_peer *p = &rig->peers[0];
	struct rig_result r;

	message = pkt_wg_raw(p->recv_key, p->index, p->counter++, plain.bytes, 1601);
	frame = rig_outer(rig, 0, 0, &message);
	r = rig_run(rig, &frame);
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_TOO_BIG);
}

static void what_no_route_leads_to_is_dropped(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4("172.16.0.1"), .proto = 17, .sport = 5,
		.dport = 6);
	struct rig *rig = *state;
	struct rig_result r = rig_from_peer(rig, 0, &inner);

	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NO_ROUTE);
}

static void longest_route_wins(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 253, .payload = 8);
	struct rig *rig = *state;
	struct rig_result r = rig_from_peer(rig, 0, &inner);
	struct packet out;

	rig_ends(rig, &r, TALON_DIR_IN, TALON_NAT_PROTO);	/* masquerade */
	rig_route(rig, GATEWAY, 32, 0);
	rig_bump(rig);
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	out = rig_plain(rig, &r);
	inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 253, .payload = 8, .ttl = 63);
	pkt_equal(&out, &inner);
}

static void a_flow_whose_route_is_no_longer_masqueraded_keeps_its_source(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 5,
		.dport = 6), out;
	struct rig *rig = *state;
	struct rig_result r;

	open_udp(rig, 0, ip4(CLIENT), 5, ip4(GATEWAY), 6);
	rig_route(rig, GATEWAY, 32, 0);
	rig_bump(rig);
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	out = rig_plain(rig, &r);
	inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 5, .dport = 6, .ttl = 63);
	pkt_equal(&out, &inner);
}

/* ---- local delivery ---- */

static void handed_up(struct rig *rig, const struct rig_result *r, const struct packet *inner)
{
	struct packet want = pkt_ether(rig_mac, rig_router_mac, ETH_P_IP, inner);

	assert_int_equal(r->verdict, RIG_PASS);
	rig_ends(rig, r, TALON_DIR_IN, TALON_LOCAL);
	pkt_equal(&r->frame, &want);
	assert_int_equal(r->meta, 0);
}

static void a_local_destination_gets_the_packet_with_its_mesh_source(void **state)
{
	/* by route, by route, and as the kernel knows */
	static const char *const local[] = { VIP, MESH, NODE, "10.9.0.1" };
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++) {
		for (uint32_t peer = 0; peer < RIG_PEERS; peer += 2) {
			struct packet inner = PKT(.src = rig->peers[peer].mesh, .dst = ip4(local[i]),
				.proto = 6, .sport = 5, .dport = 80, .tcp_flags = TCP_SYN, .ttl = 1);
			struct rig_result r;

			if (i >= 2)	/* found by the FIB, which comes after the TTL */
				inner = PKT(.src = rig->peers[peer].mesh, .dst = ip4(local[i]), .proto = 6,
					.sport = 5, .dport = 80, .tcp_flags = TCP_SYN);
			r = rig_from_peer(rig, peer, &inner);
			handed_up(rig, &r, &inner);
		}
	}
}

static void local_delivery_can_go_through_the_tunnel_device(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(VIP), .proto = 6, .sport = 5, .dport = 80,
		.payload = 9), want;
	struct rig *rig = *state;
	struct rig_result r;

	rig->config.flags |= TALON_F_HANDUP_TUNNEL;
	rig_config(rig);
	r = rig_from_peer(rig, 0, &inner);
	assert_int_equal(r.verdict, RIG_SEND);
	assert_int_equal(r.ifindex, rig->wt0p);		/* out of the far end: it comes in by wt0 */
	rig_ends(rig, &r, TALON_DIR_IN, TALON_LOCAL);
	want = pkt_ether(rig_wt0_mac, rig_wt0p_mac, ETH_P_IP, &inner);
	pkt_equal(&r.frame, &want);
}

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
	r = rig_run(rig, &frame);	/* of a packet that is left alone it is */
	assert_int_equal(r.verdict, RIG_PASS);
	assert_int_equal(r.meta, 8);
	pkt_equal(&r.frame, &frame);
}

/* ---- NAT and back ---- */

/* Sends @in from peer 0 and expects it with the node's address and a port of the range; returns that. */
static uint16_t snat(struct rig *rig, struct pkt_spec *in, struct pkt_spec *ret_reply)
{
	struct packet inner = pkt_ip4(in), out, want;
	struct rig_result r = rig_from_peer(rig, 0, &inner);
	struct pkt_spec spec = *in;
	uint16_t port;

	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	out = rig_plain(rig, &r);
	port = in->proto == 1 ? ICMP_ID(&out) : SPORT(&out);
	assert_in_range(port, rig->config.port_first, rig->config.port_last);
	spec.src = rig->config.snat_addr;
	spec.ttl = (in->ttl ? in->ttl : 64) - 1;
	spec.sport = port;
	spec.icmp_id = port;
	want = pkt_ip4(&spec);
	pkt_equal(&out, &want);

	*ret_reply = *in;
	ret_reply->src = in->dst;
	ret_reply->dst = rig->config.snat_addr;
	ret_reply->sport = in->dport;
	ret_reply->dport = port;
	ret_reply->icmp_id = port;
	return port;
}

/* Sends the reply from the wire and expects it sealed for peer 0, as it was but for destination and TTL. */
static void unsnat(struct rig *rig, const struct pkt_spec *in, const struct pkt_spec *reply)
{
	struct packet packet = pkt_ip4(reply), got, want;
	struct rig_result r = rig_from_wire(rig, &packet);
	struct pkt_spec spec = *reply;

	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	got = rig_opened(rig, &r, 0);
	spec.dst = in->src;
	spec.dport = in->sport;
	spec.icmp_id = in->icmp_id;
	spec.ttl = (reply->ttl ? reply->ttl : 64) - 1;
	want = pkt_ip4(&spec);
	pkt_equal(&got, &want);
}

static void tcp_is_translated_there_and_back(void **state)
{
	struct pkt_spec in = { .src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 6, .sport = 40001,
		.dport = 443, .tcp_flags = TCP_SYN, .frag = PKT_DF, .id = 77 }, reply;
	struct rig *rig = *state;
	uint16_t port = snat(rig, &in, &reply);

	reply.tcp_flags = TCP_SYN | TCP_ACK;
	unsnat(rig, &in, &reply);
	for (int i = 0; i < 40; i++) {
		in.tcp_flags = TCP_ACK;
		in.payload = i * 29;
		in.seed = i;
		assert_int_equal(snat(rig, &in, &reply), port);
		reply.payload = i * 31;
		unsnat(rig, &in, &reply);
	}
}

static void udp_is_translated_there_and_back(void **state)
{
	struct pkt_spec in = { .src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 40001,
		.dport = 53, .frag = PKT_DF }, reply;
	struct rig *rig = *state;
	uint16_t port = snat(rig, &in, &reply);

	for (int i = 0; i < 40; i++) {
		in.payload = i * 13;
		in.seed = i * 3;
		assert_int_equal(snat(rig, &in, &reply), port);
		reply.payload = i * 31;
		unsnat(rig, &in, &reply);
	}
}

/* RFC 768: all zeros means that there is none; it must not become one. */
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

static void icmp_queries_are_translated_by_their_id(void **state)
{
	/* echo, timestamp */
	static const struct { uint8_t query, reply; } kinds[] = { { 8, 0 }, { 13, 14 } };
	struct rig *rig = *state;

	for (size_t i = 0; i < 2; i++) {
		struct pkt_spec in = { .src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 1,
			.icmp_type = kinds[i].query, .icmp_id = 0x1234 + i, .icmp_seq = 7, .payload = 56,
			.frag = PKT_DF }, reply;
		uint16_t id = snat(rig, &in, &reply);

		reply.icmp_type = kinds[i].reply;
		unsnat(rig, &in, &reply);
		in.icmp_seq = 8;
		assert_int_equal(snat(rig, &in, &reply), id);
	}
}

static void a_reply_nobody_asked_for_is_left_alone(void **state)
{
	struct pkt_spec in = { .src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 1, .icmp_type = 8,
		.icmp_id = 9, .frag = PKT_DF }, reply;
	struct rig *rig = *state;
	uint16_t port = open_udp(rig, 0, ip4(CLIENT), 5, ip4(GATEWAY), 6);
	struct packet frame, near[] = {
		/* another port of the remote */
		PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 7, .dport = port),
		/* another remote */
		PKT(.src = ip4("192.168.1.219"), .dst = ip4(NODE), .proto = 17, .sport = 6, .dport = port),
		PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 6, .dport = port ^ 1),
		PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 6, .sport = 6, .dport = port,
			.tcp_flags = TCP_ACK),
	};

	for (size_t i = 0; i < 4; i++) {
		frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IP, &near[i]);
		passes_untouched(rig, &frame);
	}
	snat(rig, &in, &reply);		/* an echo request with the id of our query is no reply */
	frame = pkt_ip4(&reply);
	frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IP, &frame);
	passes_untouched(rig, &frame);
}

static void other_protocols_cannot_share_an_address(void **state)
{
	static const uint8_t protos[] = { 47, 50, 132, 2 };
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(protos); i++) {
		struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = protos[i],
			.payload = 16);
		struct rig_result r = rig_from_peer(rig, 0, &inner);

		assert_int_equal(r.verdict, RIG_DROP);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_NAT_PROTO);
	}
}

static void an_echo_reply_of_a_client_to_nobody_is_dropped(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 1, .icmp_type = 0,
		.icmp_id = 3, .payload = 8);
	struct rig *rig = *state;
	struct rig_result r = rig_from_peer(rig, 0, &inner);

	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NAT_NO_FLOW);
}

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

/* X1: RFC 7857 section 9, RFC 6056: not foreseeable from the client's port or from the one before. */
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

		rig_ends(rig, &r, TALON_DIR_IN, TALON_ICMP_SENT);	/* none is left for TCP */
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

static struct packet arp_of(uint16_t op, const char *sender, const char *target)
{
	struct packet p = { .len = 28, .bytes = { 0, 1, 8, 0, 6, 4, op >> 8, op } };
	uint32_t spa = ip4(sender), tpa = ip4(target);

	memcpy(p.bytes + 8, rig_gateway_mac, 6);
	memcpy(p.bytes + 14, &spa, 4);
	memcpy(p.bytes + 24, &tpa, 4);
	return p;
}

static void arp_for_the_spare_address_is_answered(void **state)
{
	static const uint8_t everyone[6] = { 255, 255, 255, 255, 255, 255 };
	struct packet ask = arp_of(1, GATEWAY, SPARE), answer = arp_of(2, SPARE, GATEWAY), frame, want;
	struct packet others[] = { arp_of(1, GATEWAY, NODE), arp_of(2, GATEWAY, SPARE),
		arp_of(1, GATEWAY, "192.168.1.251") };
	struct rig *rig = *state;
	struct rig_result r;

	frame = pkt_ether(everyone, rig_gateway_mac, ETH_P_ARP, &ask);
	passes_untouched(rig, &frame);		/* there is none yet */
	rig_spare(rig);
	r = rig_run(rig, &frame);
	assert_int_equal(r.verdict, RIG_SEND);
	assert_int_equal(r.ifindex, rig->eth0);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_ARP_ANSWERED);
	memcpy(answer.bytes + 8, rig_mac, 6);
	memcpy(answer.bytes + 18, rig_gateway_mac, 6);
	want = pkt_ether(rig_gateway_mac, rig_mac, ETH_P_ARP, &answer);
	pkt_equal(&r.frame, &want);
	for (size_t i = 0; i < 3; i++) {
		frame = pkt_ether(everyone, rig_gateway_mac, ETH_P_ARP, &others[i]);
		passes_untouched(rig, &frame);
	}
}

/* ---- lengths ---- */

static void every_inner_length_is_opened(void **state)
{
	struct rig *rig = *state;

	for (uint32_t len = 20; len <= 1440; len++) {
		struct packet inner, out, want;
		struct rig_result r;

		if (len < 28) {
			inner = PKT(.src = ip4(CLIENT), .dst = ip4(PLAIN), .proto = 253, .payload = len - 20);
			want = PKT(.src = ip4(CLIENT), .dst = ip4(PLAIN), .proto = 253, .payload = len - 20,
				.ttl = 63);
		} else {
			inner = PKT(.src = ip4(CLIENT), .dst = ip4(PLAIN), .proto = 17, .sport = 1,
				.dport = 2, .payload = len - 28, .seed = len);
			want = PKT(.src = ip4(CLIENT), .dst = ip4(PLAIN), .proto = 17, .sport = 1, .dport = 2,
				.payload = len - 28, .seed = len, .ttl = 63);
		}
		r = rig_from_peer(rig, 0, &inner);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
		out = rig_plain(rig, &r);
		pkt_equal(&out, &want);
	}
}

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

/* ---- ECN, TTL, MSS ---- */

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

/* An ICMP error of ours as it should be: TOS and DF as we send them. */
static struct packet own_error(uint32_t src, uint32_t dst, uint8_t type, uint8_t code, uint32_t rest,
	const struct packet *about)
{
	struct packet p = pkt_icmp_error(src, dst, type, code, rest, about, 28);

	p.bytes[1] = 0xc0;
	p.bytes[6] = 0x40;
	pkt_fix_header(&p);
	return p;
}

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
	out = rig_plain(rig, &r);	/* back where it came from */
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
	/* behind the end of options: no option */
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
	assert_int_equal(get16_at(&got, 42), 0x5b4);	/* what is no SYN is left alone */
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

/* ---- sizes ---- */

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

static void what_is_too_big_but_may_be_cut_is_given_to_the_controller(void **state)
{
	struct rig *rig = *state;

	for (int known = 0; known < 2; known++) {
		struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(NARROW), .proto = 17, .sport = 5,
			.dport = 6, .payload = 1100, .id = 4711);
		struct rig_result r = rig_from_peer(rig, 0, &inner);
		const struct rig_event *event = rig_event(&r, TALON_EVENT_TOO_BIG);
		struct packet got = { .len = event->head.len }, want;

		assert_int_equal(r.verdict, RIG_DROP);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_HELD);
		assert_int_equal(event->head.id, 1000);
		assert_int_equal(event->head.ifindex, rig->eth1);
		assert_int_equal(event->head.addr.word[0], ip4(NARROW));
		memcpy(got.bytes, event->data, got.len);
		want = PKT(.src = ip4(NODE), .dst = ip4(NARROW), .proto = 17, .sport = SPORT(&got),
			.dport = 6, .payload = 1100, .ttl = 63, .id = IP_ID(&got));
		pkt_equal(&got, &want);
		assert_in_range(SPORT(&got), RIG_PORT_FIRST, RIG_PORT_LAST);
	}
	{
		struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(NARROW), .proto = 17, .sport = 5,
			.dport = 6, .payload = 1100);
		struct rig_result r;

		rig_drain(rig, "event");
		r = rig_from_peer(rig, 0, &inner);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_TOO_BIG);
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

/* ---- ICMP errors about flows: RFC 5508 REQ-3 to REQ-6, RFC 4787 REQ-12 ---- */

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

/* ---- fragments: RFC 4787 REQ-14 ---- */

static struct talon_nat_stats nat_stats(struct rig *rig)
{
	struct talon_nat_stats stats;
	uint32_t zero = 0;

	assert_int_equal(bpf_map_lookup_elem(rig_fd(rig, "nat_stats"), &zero, &stats), 0);
	return stats;
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

/* X2, RFC 6864 section 5.3: ids that two clients happen to use at once must not meet behind one address. */
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

static void fragments_of_a_reply_follow_their_first_one(void **state)
{
	struct rig *rig = *state;
	uint16_t port = open_udp(rig, 0, ip4(CLIENT), 5, ip4(GATEWAY), 6);
	struct packet whole = PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 6,
		.dport = port, .payload = 1000, .id = 77);
	struct packet want = PKT(.src = ip4(GATEWAY), .dst = ip4(CLIENT), .proto = 17, .sport = 6, .dport = 5,
		.payload = 1000, .id = 77, .ttl = 63);

	for (uint32_t off = 0; off < 1008; off += 400) {
		struct packet part = pkt_fragment(&whole, off, off < 800 ? 400 : 208),
			wanted = pkt_fragment(&want, off, off < 800 ? 400 : 208);
		struct rig_result r = rig_from_wire(rig, &part);
		struct packet got;

		rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
		got = rig_opened(rig, &r, 0);
		pkt_equal(&got, &wanted);
		assert_int_equal(r.event_count, 0);
	}
}

static void a_later_fragment_that_comes_first_is_kept_by_the_controller(void **state)
{
	struct rig *rig = *state;
	uint16_t port = open_udp(rig, 0, ip4(CLIENT), 5, ip4(GATEWAY), 6);
	struct packet whole = PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 6,
		.dport = port, .payload = 1000, .id = 77);
	struct packet later = pkt_fragment(&whole, 400, 400), first = pkt_fragment(&whole, 0, 400), frame;
	const struct rig_event *event;
	struct rig_result r;

	r = rig_from_wire(rig, &later);
	assert_int_equal(r.verdict, RIG_PASS);		/* it may be one of the host's own */
	frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IP, &later);
	pkt_equal(&r.frame, &frame);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_HELD);
	event = rig_event(&r, TALON_EVENT_FRAGMENT);
	assert_int_equal(event->head.addr.word[0], ip4(GATEWAY));
	assert_int_equal(event->head.addr2.word[0], ip4(NODE));
	assert_int_equal(event->head.id, 17u << 16 | htons(77));
	assert_int_equal(event->head.len, later.len);
	assert_memory_equal(event->data, later.bytes, later.len);

	r = rig_from_wire(rig, &first);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	event = rig_event(&r, TALON_EVENT_FRAG_FIRST);
	assert_int_equal(event->head.peer, 0);
	assert_int_equal(event->head.addr.word[0], ip4(GATEWAY));
	assert_int_equal(event->head.addr2.word[0], ip4(NODE));
	assert_int_equal(event->head.id, 17u << 16 | htons(77));
	r = rig_from_wire(rig, &later);			/* from now on the way is known */
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	rig_opened(rig, &r, 0);
}

static void without_flows_fragments_are_none_of_our_business(void **state)
{
	struct packet whole = PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 6,
		.dport = 15000, .payload = 1000, .id = 77);
	struct packet later = pkt_fragment(&whole, 400, 400), frame;
	struct rig *rig = *state;

	assert_int_equal(nat_stats(rig).live, 0);
	frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IP, &later);
	passes_untouched(rig, &frame);
}

/* ---- peers among themselves ---- */

static void what_one_peer_sends_another_is_sealed_again(void **state)
{
	struct rig *rig = *state;

	for (uint32_t to = 0; to < RIG_PEERS; to++) {
		uint32_t from = (to + 1) % RIG_PEERS;
		struct packet inner = PKT(.src = rig->peers[from].mesh, .dst = rig->peers[to].mesh,
			.proto = 17, .sport = 5, .dport = 6, .payload = 77, .id = 9);
		struct packet want = PKT(.src = rig->peers[from].mesh, .dst = rig->peers[to].mesh,
			.proto = 17, .sport = 5, .dport = 6, .payload = 77, .id = 9, .ttl = 63), got;
		struct rig_result r = rig_from_peer(rig, from, &inner);

		rig_ends(rig, &r, TALON_DIR_IN, TALON_RESEALED);
		got = rig_opened(rig, &r, to);
		pkt_equal(&got, &want);
	}
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

static void a_route_without_masquerade_works_both_ways(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(PLAIN), .proto = 6, .sport = 5, .dport = 6,
		.payload = 7, .id = 9);
	struct packet want = PKT(.src = ip4(CLIENT), .dst = ip4(PLAIN), .proto = 6, .sport = 5, .dport = 6,
		.payload = 7, .id = 9, .ttl = 63);
	struct packet reply = PKT(.src = ip4(PLAIN), .dst = ip4(CLIENT), .proto = 6, .sport = 6, .dport = 5,
		.payload = 900, .id = 3), got, frame;
	struct rig *rig = *state;
	struct rig_result r = rig_from_peer(rig, 0, &inner);

	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	got = rig_plain(rig, &r);
	pkt_equal(&got, &want);
	frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IP, &reply);
	passes_untouched(rig, &frame);		/* the flag is what turns it on */
	rig->config.flags |= TALON_F_PLAIN_ROUTES;
	rig_config(rig);
	r = rig_from_wire(rig, &reply);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	got = rig_opened(rig, &r, 0);
	want = PKT(.src = ip4(PLAIN), .dst = ip4(CLIENT), .proto = 6, .sport = 6, .dport = 5, .payload = 900,
		.id = 3, .ttl = 63);
	pkt_equal(&got, &want);

	frame.bytes[5] ^= 1;			/* to another host's MAC, on a port that hears everything */
	passes_untouched(rig, &frame);
	inner = PKT(.src = ip4(PLAIN), .dst = ip4("100.64.99.99"), .proto = 17);
	frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IP, &inner);
	passes_untouched(rig, &frame);		/* nobody's address */
	rig_allow(rig, "0.0.0.0", 0, 1);
	inner = PKT(.src = ip4(PLAIN), .dst = ip4(MESH), .proto = 17);
	frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IP, &inner);
	passes_untouched(rig, &frame);		/* our own, whoever is allowed everything */
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

/* ---- hairpin: RFC 4787 REQ-9, RFC 5382 REQ-8, RFC 5508 REQ-7 ---- */

static void clients_reach_each_other_by_their_external_addresses(void **state)
{
	struct rig *rig = *state;
	uint16_t a = open_udp(rig, 0, ip4(CLIENT), 500, ip4(GATEWAY), 53),
		b = open_udp(rig, 1, ip4(CLIENT1), 600, ip4(GATEWAY), 53);
	struct packet from_a = PKT(.src = ip4(CLIENT), .dst = ip4(NODE), .proto = 17, .sport = 500,
		.dport = b, .payload = 20, .frag = PKT_DF);
	struct packet from_b = PKT(.src = ip4(CLIENT1), .dst = ip4(NODE), .proto = 17, .sport = 600,
		.dport = a, .payload = 30, .frag = PKT_DF, .ttl = 2);
	struct packet got, want, about, error;
	struct rig_result r;

	/* b did not ask for it yet: filtered, as it would be from the wire */
	r = rig_from_peer(rig, 0, &from_a);
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NAT_NO_FLOW);
	r = rig_from_peer(rig, 1, &from_b);	/* now both did */
	rig_ends(rig, &r, TALON_DIR_IN, TALON_RESEALED);
	got = rig_opened(rig, &r, 0);
	want = PKT(.src = ip4(NODE), .dst = ip4(CLIENT), .proto = 17, .sport = b, .dport = 500, .payload = 30,
		.frag = PKT_DF, .ttl = 1);
	pkt_equal(&got, &want);
	r = rig_from_peer(rig, 0, &from_a);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_RESEALED);
	about = rig_opened(rig, &r, 1);
	want = PKT(.src = ip4(NODE), .dst = ip4(CLIENT1), .proto = 17, .sport = a, .dport = 600,
		.payload = 20, .frag = PKT_DF, .ttl = 63);
	pkt_equal(&about, &want);

	error = pkt_icmp_error(ip4(CLIENT1), ip4(NODE), 3, 3, 0, &about, 28);	/* b's port is closed */
	r = rig_from_peer(rig, 1, &error);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_RESEALED);
	got = rig_opened(rig, &r, 0);
	from_a = PKT(.src = ip4(CLIENT), .dst = ip4(NODE), .proto = 17, .sport = 500, .dport = b,
		.payload = 20, .frag = PKT_DF, .ttl = 63);
	want = pkt_icmp_error(ip4(NODE), ip4(CLIENT), 3, 3, 0, &from_a, 28);
	want.bytes[8] = 63;
	pkt_fix_header(&want);
	pkt_equal(&got, &want);
}

static void a_hairpinned_packet_that_is_too_big_is_answered(void **state)
{
	struct rig *rig = *state;
	uint16_t b = open_udp(rig, 1, ip4(CLIENT1), 600, ip4(GATEWAY), 53);
	struct packet big = PKT(.src = ip4(CLIENT), .dst = ip4(NODE), .proto = 17, .sport = 500, .dport = b,
		.payload = 1300, .frag = PKT_DF);
	struct rig_result r = rig_from_peer(rig, 0, &big);
	struct packet got, want;

	rig_ends(rig, &r, TALON_DIR_IN, TALON_ICMP_SENT);
	got = rig_opened(rig, &r, 0);
	want = own_error(ip4(MESH), ip4(CLIENT), 3, 4, RIG_MTU, &big);
	pkt_equal(&got, &want);
	big = PKT(.src = ip4(CLIENT), .dst = ip4(NODE), .proto = 17, .sport = 500, .dport = b,
		.payload = 1300);
	r = rig_from_peer(rig, 0, &big);
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_TOO_BIG);
}

static void a_hairpinned_packet_whose_ttl_is_up_is_answered_and_makes_no_flow(void **state)
{
	struct rig *rig = *state;
	uint16_t b = open_udp(rig, 1, ip4(CLIENT1), 600, ip4(GATEWAY), 53);
	struct packet late = PKT(.src = ip4(CLIENT), .dst = ip4(NODE), .proto = 17, .sport = 500, .dport = b,
		.ttl = 1);
	struct rig_result r = rig_from_peer(rig, 0, &late);
	struct packet got, want;

	rig_ends(rig, &r, TALON_DIR_IN, TALON_ICMP_SENT);
	got = rig_opened(rig, &r, 0);
	want = own_error(ip4(MESH), ip4(CLIENT), 11, 0, 0, &late);
	pkt_equal(&got, &want);
	assert_int_equal(nat_stats(rig).live, 1);
}

static void a_port_of_the_node_that_nobody_mapped_is_the_hosts(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(NODE), .proto = 6, .sport = 500,
		.dport = 13000, .tcp_flags = TCP_SYN);
	struct rig *rig = *state;
	struct rig_result r = rig_from_peer(rig, 0, &inner);

	handed_up(rig, &r, &inner);
	rig_spare(rig);
	rig_bump(rig);
	inner = PKT(.src = ip4(CLIENT), .dst = ip4(SPARE), .proto = 6, .sport = 500, .dport = 13000,
		.tcp_flags = TCP_SYN);
	r = rig_from_peer(rig, 0, &inner);	/* the spare address has no host behind it */
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NAT_NO_FLOW);
}

/* T4, RFC 5382 REQ-4 */
static void an_unsolicited_syn_to_a_mapped_port_gets_no_answer(void **state)
{
	struct rig *rig = *state;
	uint16_t port = open_tcp(rig, 5, 6);
	struct packet syn = PKT(.src = ip4("192.168.1.99"), .dst = ip4(NODE), .proto = 6, .sport = 9,
		.dport = port, .tcp_flags = TCP_SYN), frame;
	struct rig_result r = rig_from_wire(rig, &syn);

	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_NAT_NO_FLOW);
	syn = PKT(.src = ip4("192.168.1.99"), .dst = ip4(NODE), .proto = 6, .sport = 9, .dport = port ^ 1,
		.tcp_flags = TCP_SYN);
	frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IP, &syn);
	passes_untouched(rig, &frame);		/* a port that is not mapped is the host's business */
}

/* T2, RFC 5382 REQ-2 */
static void a_simultaneous_open_goes_through(void **state)
{
	struct pkt_spec in = { .src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 6, .sport = 7000,
		.dport = 7001, .tcp_flags = TCP_SYN, .frag = PKT_DF }, reply;
	struct rig *rig = *state;
	struct packet packet;
	struct rig_result r;

	snat(rig, &in, &reply);
	reply.tcp_flags = TCP_SYN;
	unsnat(rig, &in, &reply);
	in.tcp_flags = TCP_SYN | TCP_ACK;
	snat(rig, &in, &reply);
	reply.tcp_flags = TCP_SYN | TCP_ACK;
	unsnat(rig, &in, &reply);
	packet = pkt_ip4(&reply);
	r = rig_from_wire(rig, &packet);
	assert_true(rig_flow(rig, r.flow).tcp & TALON_TCP_ESTABLISHED);
}

/* ---- lifetimes, by the collector's clock ---- */

static void expires_after(struct rig *rig, uint32_t id, uint32_t idle_s)
{
	uint32_t seen_s = rig_flow(rig, id).seen_s;
	struct talon_nat_gc gc = rig_collect(rig, seen_s + idle_s - 1);

	assert_int_equal(gc.live, 1);
	assert_int_equal(gc.expired, 0);
	gc = rig_collect(rig, seen_s + idle_s);
	assert_int_equal(gc.live, 0);
	assert_int_equal(gc.expired, 1);
}

static uint32_t flow_of(struct rig *rig, const struct pkt_spec *in)
{
	struct packet inner = pkt_ip4(in);
	struct rig_result r = rig_from_peer(rig, 0, &inner);

	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	return r.flow;
}

static void age_flow(struct rig *rig, uint32_t id, uint32_t by_s)
{
	struct talon_flow f = rig_flow(rig, id);

	f.seen_s -= by_s;
	rig_flow_write(rig, id, &f);
}

/* U5, U6, RFC 4787 REQ-5 and REQ-6 */
static void a_udp_mapping_lives_five_minutes_after_its_last_packet_either_way(void **state)
{
	struct pkt_spec in = { .src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 5, .dport = 6,
		.frag = PKT_DF }, reply;
	struct rig *rig = *state;
	uint32_t id = flow_of(rig, &in), now_s = rig_now_ns() / 1000000000;

	age_flow(rig, id, 299);
	snat(rig, &in, &reply);			/* outbound refreshes */
	assert_in_range(rig_flow(rig, id).seen_s, now_s, now_s + 60);
	age_flow(rig, id, 299);
	unsnat(rig, &in, &reply);		/* inbound does, too */
	assert_in_range(rig_flow(rig, id).seen_s, now_s, now_s + 60);
	expires_after(rig, id, 300);
}

/* I2, RFC 5508 REQ-2 */
static void an_icmp_query_mapping_lives_a_minute(void **state)
{
	struct pkt_spec in = { .src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 1, .icmp_type = 8,
		.icmp_id = 6 };
	struct rig *rig = *state;

	expires_after(rig, flow_of(rig, &in), 60);
}

static struct pkt_spec connect_tcp(struct rig *rig, struct pkt_spec *ret_reply)
{
	struct pkt_spec in = { .src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 6, .sport = 5, .dport = 6,
		.frag = PKT_DF, .tcp_flags = TCP_SYN };

	snat(rig, &in, ret_reply);
	ret_reply->tcp_flags = TCP_SYN | TCP_ACK;
	unsnat(rig, &in, ret_reply);
	in.tcp_flags = TCP_ACK;
	snat(rig, &in, ret_reply);
	return in;
}

/* T5, RFC 5382 REQ-5 */
static void a_tcp_connection_lives_as_long_as_rfc_5382_wants(void **state)
{
	struct pkt_spec in = { .src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 6, .sport = 5, .dport = 6,
		.tcp_flags = TCP_SYN }, reply;
	struct rig *rig = *state;

	expires_after(rig, flow_of(rig, &in), 240);		/* not open yet */
	rig_collect(rig, rig_now_ns() / 1000000000 + 100000);
	in = connect_tcp(rig, &reply);
	expires_after(rig, flow_of(rig, &in), 7440);		/* two hours and four minutes */
	rig_collect(rig, rig_now_ns() / 1000000000 + 100000);
	in = connect_tcp(rig, &reply);
	in.tcp_flags = reply.tcp_flags = TCP_FIN | TCP_ACK;
	snat(rig, &in, &reply);
	in.tcp_flags = TCP_ACK;
	age_flow(rig, flow_of(rig, &in), 241);
	assert_int_equal(rig_collect(rig, rig_now_ns() / 1000000000).live, 1);	/* closed on one side only */
	unsnat(rig, &in, &reply);
	expires_after(rig, flow_of(rig, &in), 240);
}

/* T-RST, RFC 7857 section 2.2 */
static void a_reset_leaves_the_mapping_for_four_minutes(void **state)
{
	struct rig *rig = *state;
	struct pkt_spec reply, in = connect_tcp(rig, &reply);
	uint32_t flow;

	in.tcp_flags = TCP_ACK;
	flow = flow_of(rig, &in);
	reply.tcp_flags = TCP_RST;
	unsnat(rig, &in, &reply);
	reply.tcp_flags = TCP_ACK;
	unsnat(rig, &in, &reply);		/* it passes all the same */
	expires_after(rig, flow, 240);
}

/* The same section: the time runs while no packets come. */
static void a_reset_that_nobody_believed_cuts_nobody_off(void **state)
{
	struct rig *rig = *state;
	struct pkt_spec reply, in = connect_tcp(rig, &reply);

	reply.tcp_flags = TCP_RST;
	unsnat(rig, &in, &reply);
	reply.tcp_flags = TCP_ACK;
	unsnat(rig, &in, &reply);
	in.tcp_flags = TCP_ACK;
	expires_after(rig, flow_of(rig, &in), 7440);
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

/* ---- a session or next hop that is missing ---- */

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
	struct talon_endpoint none = {}, sourceless = endpoint(*state, 2);
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

static void a_next_hop_without_mac_is_told_to_the_controller(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(NOBODY), .proto = 17, .sport = 5, .dport = 6,
		.payload = 50, .frag = PKT_DF);
	struct rig *rig = *state;
	struct rig_result r = rig_from_peer(rig, 0, &inner);
	const struct rig_event *event = rig_event(&r, TALON_EVENT_NEIGH);
	struct packet got = { .len = event->head.len }, want;

	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_HELD);
	assert_int_equal(event->head.ifindex, rig->eth0);
	assert_int_equal(event->head.addr.word[0], ip4(NOBODY));
	memcpy(got.bytes, event->data, got.len);
	want = PKT(.src = ip4(NODE), .dst = ip4(NOBODY), .proto = 17, .sport = SPORT(&got), .dport = 6,
		.payload = 50, .frag = PKT_DF, .ttl = 63);
	pkt_equal(&got, &want);
	rig_drain(rig, "event");
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NO_NEIGH);

	rig_ip("neigh replace 192.168.1.77 lladdr 02:00:00:00:02:20 dev eth0 nud permanent");
	r = rig_from_peer(rig, 0, &inner);	/* no new generation needed: nothing was kept */
	rig_ip("neigh del 192.168.1.77 dev eth0");
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	got = rig_plain(rig, &r);
	pkt_equal(&got, &want);
}

static void an_endpoint_without_neighbour_is_answered_where_it_spoke_from(void **state)
{
	struct packet packet = PKT(.src = ip4(PLAIN), .dst = ip4(CLIENT), .proto = 17, .sport = 1,
		.dport = 2);
	struct talon_endpoint e = endpoint(*state, 0);
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

static void a_new_generation_asks_for_the_way_again(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 5,
		.dport = 6);
	struct rig *rig = *state;
	struct rig_result r = rig_from_peer(rig, 0, &inner);

	rig_plain(rig, &r);
	rig_ip("neigh replace 192.168.1.220 lladdr 02:00:00:00:ab:cd dev eth0 nud permanent");
	r = rig_from_peer(rig, 0, &inner);
	rig_plain(rig, &r);			/* what was kept is used */
	rig_bump(rig);
	r = rig_from_peer(rig, 0, &inner);
	rig_ip("neigh replace 192.168.1.220 lladdr 02:00:00:00:02:20 dev eth0 nud permanent");
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	assert_memory_equal(r.frame.bytes, "\x02\0\0\0\xab\xcd", 6);
}

/* ---- a table that is full: RFC 5508 REQ-8 (I8), design: new flows refused, old ones untouched ---- */

static void refused(struct rig *rig, struct rig_result *r, const struct packet *inner)
{
	struct packet got, want = own_error(ip4(MESH), ip4(CLIENT), 3, 13, 0, inner);

	rig_ends(rig, r, TALON_DIR_IN, TALON_ICMP_SENT);
	got = rig_opened(rig, r, 0);
	pkt_equal(&got, &want);
	rig_event(r, TALON_EVENT_NAT_FULL);
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
	refused(rig, &r, &inner);
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
	r = rig_from_peer(rig, 0, &inner);	/* about a packet with options no error is sent */
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NAT_PORTS);
}

static void a_peer_with_its_share_of_records_is_refused_and_another_is_not(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 50,
		.dport = 6);
	struct rig *rig = *state;
	struct rig_result r;

	rig->config.flow_count = 9;
	rig_config(rig);
	for (uint16_t i = 0; i < 6; i++)
		open_udp(rig, 0, ip4(CLIENT), 10 + i, ip4(GATEWAY), 6);
	r = rig_from_peer(rig, 0, &inner);
	refused(rig, &r, &inner);
	assert_int_equal(nat_stats(rig).full_share, 1);
	assert_int_equal(nat_stats(rig).full_table, 0);
	inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 50, .dport = 6,
		.ip_options = 4);
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NAT_SHARED_OUT);
	open_udp(rig, 1, ip4(CLIENT1), 4, ip4(GATEWAY), 6);
	open_udp(rig, 0, ip4(CLIENT), 10, ip4(GATEWAY), 6);
}

static void without_a_record_a_new_flow_is_refused_and_old_ones_go_on(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 5,
		.dport = 6);
	struct rig *rig = *state;
	struct rig_result r;
	uint16_t port;

	rig->config.flow_count = 2;
	rig_config(rig);
	port = open_udp(rig, 0, ip4(CLIENT), 4, ip4(GATEWAY), 6);
	r = rig_from_peer(rig, 0, &inner);
	refused(rig, &r, &inner);
	assert_int_equal(nat_stats(rig).full_table, 1);
	assert_int_equal(open_udp(rig, 0, ip4(CLIENT), 4, ip4(GATEWAY), 6), port);
	inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 5, .dport = 6,
		.ip_options = 4);
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NAT_TABLE);
}

static void a_flow_that_another_cpu_is_creating_is_not_created_twice(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 5,
		.dport = 6);
	struct rig *rig = *state;
	struct rig_result r = rig_from_peer(rig, 0, &inner);
	struct talon_flow flow = rig_flow(rig, r.flow);
	uint32_t id = r.flow;

	flow.phase = TALON_FLOW_TENTATIVE;
	rig_flow_write(rig, id, &flow);
	r = rig_from_peer(rig, 0, &inner);
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NAT_RACE);
	flow.phase = TALON_FLOW_LIVE;
	rig_flow_write(rig, id, &flow);
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	assert_int_equal(r.flow, id);
}

/* ---- what should not happen ---- */

static void a_session_of_a_peer_that_is_not_there_forwards_nothing(void **state)
{
	struct rig *rig = *state;
	struct rig_peer *p = &rig->peers[0];
	struct talon_session s;
	struct rig_result r;

	assert_int_equal(bpf_map_lookup_elem(rig_fd(rig, "sessions"), &p->slot, &s), 0);
	s.peer = 99999;
	rig_put(rig, "sessions", &p->slot, &s);
	r = rig_from_peer(rig, 0, NULL);
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_INTERNAL);
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

static void every_end_was_reached(void **state)
{
	/*
	 * NOT_LINEAR: needs a kernel out of memory. SEGMENTED: tc only. NO_ROOM: XDP only, tc
	 * grows any frame.
	 */
	static const enum talon_end elsewhere[] = {
		TALON_NOT_LINEAR, TALON_ACL_DENIED /* test_acl.c */, TALON_PREEMPTED /* test_preempted.c */,
		/* test_whose.c: */ TALON_ONWARD, TALON_BLACKHOLE, TALON_UNREACHABLE, TALON_NO_FIB, TALON_FWD_DISABLED, TALON_NO_WAY_BACK,
		TALON_BAD_DESTINATION, /* test_endpoint.c: */ TALON_SOURCE_ROUTED, TALON_MARTIAN, TALON_ENDPOINT_LOOP,
	};

	for (int end = 0; end < TALON_END_COUNT; end++) {
		bool is_elsewhere = end == (rig_hook == RIG_XDP ? TALON_SEGMENTED : TALON_NO_ROOM);

		for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++)
			is_elsewhere |= end == (int)elsewhere[i];
		if (!is_elsewhere && !rig_was_reached(end))
			fail_msg("no case ended with %s", rig_end_name(end));
	}
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(what_is_not_ours_passes_untouched_and_uncounted),
		CASE(vlan_tagged_frames_pass_untouched),
		CASE(without_a_configuration_everything_passes_untouched),
		CASE(outer_packets_with_options_go_the_slow_way),
		CASE(handshakes_and_stun_are_left_to_the_controllers_socket),
		CASE(junk_on_our_port_ends_here),
		CASE(what_is_cut_short_on_our_port_is_dropped),
		CASE(ethernet_padding_is_no_part_of_the_message),
		CASE(a_keepalive_is_counted_and_goes_no_further),
		CASE(bytes_are_counted_as_whole_data_messages),
		CASE(a_message_for_no_session_is_dropped),
		CASE(a_wrong_tag_changes_nothing),
		CASE(a_key_opens_until_it_is_180_seconds_old),
		CASE(the_replay_window_takes_every_counter_once),
		CASE(counters_end_before_they_wrap),
		CASE(a_shuffled_stream_loses_nothing),
		CASE(the_first_valid_packet_promotes_the_next_session_once),
		CASE(an_endpoint_follows_authenticated_packets_only),
		CASE(an_endpoint_moves_between_ipv4_and_ipv6),
		CASE(the_inner_source_must_be_the_peers),
		CASE(an_address_of_this_host_is_no_source_even_if_allowed),
		CASE(a_flow_of_an_address_that_moved_to_another_peer_is_judged_anew),
		CASE(a_malformed_inner_packet_is_dropped),
		CASE(padding_of_any_length_is_taken_off),
		CASE(a_message_larger_than_any_inner_packet_is_dropped),
		CASE(what_no_route_leads_to_is_dropped),
		CASE(longest_route_wins),
		CASE(a_flow_whose_route_is_no_longer_masqueraded_keeps_its_source),
		CASE(a_local_destination_gets_the_packet_with_its_mesh_source),
		CASE(local_delivery_can_go_through_the_tunnel_device),
		CASE(metadata_of_the_outer_packet_is_not_handed_up),
		CASE(tcp_is_translated_there_and_back),
		CASE(udp_is_translated_there_and_back),
		CASE(udp_without_a_checksum_stays_without),
		CASE(a_udp_checksum_never_becomes_zero),
		CASE(icmp_queries_are_translated_by_their_id),
		CASE(a_reply_nobody_asked_for_is_left_alone),
		CASE(other_protocols_cannot_share_an_address),
		CASE(an_echo_reply_of_a_client_to_nobody_is_dropped),
		CASE(an_endpoint_keeps_its_port_whatever_it_talks_to),
		CASE(two_clients_with_the_same_ports_get_different_ones),
		CASE(ports_are_neither_preserved_nor_handed_out_in_order),
		CASE(a_port_of_the_host_itself_is_never_used),
		CASE(the_spare_address_is_the_source_where_there_is_one),
		CASE(arp_for_the_spare_address_is_answered),
		CASE(every_inner_length_is_opened),
		CASE(every_inner_length_is_sealed),
		CASE(every_inner_length_is_sealed_over_ipv6),
		CASE(each_packet_gets_a_counter_of_its_own),
		CASE(ecn_is_combined_as_rfc_6040_says),
		CASE(ecn_and_dscp_go_into_the_tunnel_unchanged),
		CASE(an_expired_ttl_is_told_to_the_client),
		CASE(an_expired_ttl_is_told_to_the_remote),
		CASE(no_icmp_error_is_sent_about_what_rfc_1812_excepts),
		CASE(icmp_errors_are_rate_limited),
		CASE(the_mss_of_a_syn_is_clamped_wherever_the_option_is),
		CASE(the_mss_of_a_syn_ack_is_clamped_too),
		CASE(the_mss_is_clamped_to_a_narrower_next_link),
		CASE(what_is_too_big_for_the_next_link_is_answered),
		CASE(what_is_too_big_but_may_be_cut_is_given_to_the_controller),
		CASE(what_is_too_big_for_the_tunnel_is_answered),
		CASE(icmp_errors_from_the_wire_reach_the_client),
		CASE(an_embedded_udp_packet_without_checksum_stays_so),
		CASE(an_embedded_header_with_options_is_translated),
		CASE(icmp_errors_of_a_client_reach_the_remote),
		CASE(an_icmp_error_about_no_flow_of_ours_goes_nowhere),
		CASE(fragments_of_a_client_leave_with_one_id_and_one_source),
		CASE(clients_ids_are_told_apart_where_they_matter),
		CASE(fragments_of_a_reply_follow_their_first_one),
		CASE(a_later_fragment_that_comes_first_is_kept_by_the_controller),
		CASE(without_flows_fragments_are_none_of_our_business),
		CASE(what_one_peer_sends_another_is_sealed_again),
		CASE(what_is_too_big_for_the_other_peer_is_answered_or_cut),
		CASE(a_route_without_masquerade_works_both_ways),
		CASE(refusals_about_a_plain_route_come_from_the_node),
		CASE(clients_reach_each_other_by_their_external_addresses),
		CASE(a_hairpinned_packet_that_is_too_big_is_answered),
		CASE(a_hairpinned_packet_whose_ttl_is_up_is_answered_and_makes_no_flow),
		CASE(a_port_of_the_node_that_nobody_mapped_is_the_hosts),
		CASE(an_unsolicited_syn_to_a_mapped_port_gets_no_answer),
		CASE(a_simultaneous_open_goes_through),
		CASE(a_udp_mapping_lives_five_minutes_after_its_last_packet_either_way),
		CASE(an_icmp_query_mapping_lives_a_minute),
		CASE(a_tcp_connection_lives_as_long_as_rfc_5382_wants),
		CASE(a_reset_leaves_the_mapping_for_four_minutes),
		CASE(a_reset_that_nobody_believed_cuts_nobody_off),
		CASE(an_endpoint_gets_the_same_port_again_whatever_others_did_meanwhile),
		CASE(addresses_inside_the_payload_are_left_alone),
		CASE(without_a_session_the_packet_waits_for_a_handshake),
		CASE(the_last_counter_is_used_and_none_after_it),
		CASE(a_peer_whose_endpoint_is_unknown_gets_nothing),
		CASE(a_next_hop_without_mac_is_told_to_the_controller),
		CASE(an_endpoint_without_neighbour_is_answered_where_it_spoke_from),
		CASE(a_new_generation_asks_for_the_way_again),
		CASE(without_a_port_a_new_flow_is_refused_and_old_ones_go_on),
		CASE(a_peer_with_its_share_of_records_is_refused_and_another_is_not),
		CASE(without_a_record_a_new_flow_is_refused_and_old_ones_go_on),
		CASE(a_flow_that_another_cpu_is_creating_is_not_created_twice),
		CASE(a_session_of_a_peer_that_is_not_there_forwards_nothing),
		CASE(a_frame_without_headroom_is_dropped_and_uses_no_counter),
		CASE(xdp_tx_is_used_where_it_works),
		CASE(what_gro_joined_goes_through_the_tunnel_device_whole),
		cmocka_unit_test(every_end_was_reached),
	};

	rig_hook = UPLINK_HOOK;
	return cmocka_run_group_tests_name(UPLINK_HOOK == RIG_XDP ? "uplink in XDP" : "uplink in tc", tests,
		rig_group_setup, NULL);
}
