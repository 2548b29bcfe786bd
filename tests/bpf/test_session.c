// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// lib/session.h: opening data messages: keys, replay window, promotion, roaming.
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include "bpf/rig.h"
#include "bpf/steps.h"

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

	memcpy(frame.bytes + 26, "\xc6\x33\x64\x09", 4);	/* from another source address */
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

/*
 * RFC 6479 as WireGuard sizes it: 128 blocks of 64, the newest and the 127 before it. So 8128 counters back
 * are always accepted.
 */
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
		/* block 127: the first one still counts, and what was taken there stays taken */
		{ REACH, true },
		{ 0, false }, { 1, false }, { 2, true }, { 2, false }, { REACH, false }, { REACH - 1, true },
		{ REACH + 63, true }, { 3, true }, { 3, false },
		/* block 128 takes the first one's place */
		{ REACH + 64, true }, { 4, false }, { 64, false }, { 65, true }, { 10, false },
		{ 3 * REACH, true }, { 2 * REACH - 1, false }, { 2 * REACH, true }, { 2 * REACH + 1, true },
		{ 2 * REACH + 2, true }, { 2 * REACH + 1, false }, { 2 * REACH, false },
		{ 100000, true }, { 99968 - REACH - 1, false }, { 99968 - REACH, true },
		{ 100000 - 1, true }, { 99999, false },
		{ (1ULL << 32) - 1, true }, { 1ULL << 32, true }, { (1ULL << 32) - 2, true },
		{ (1ULL << 32) - 1, false },
		{ 1ULL << 60, true }, { (1ULL << 60) - REACH, true }, { (1ULL << 60) - REACH - 1, false },
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

/* Packets reordered within the window all get through, each once. */
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
	e = endpoint_of(rig, 0);
	assert_int_equal(e.remote.word[0], ip4("203.0.113.5"));
	frame.bytes[frame.len - 1] ^= 1;
	r = rig_run(rig, &frame);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_KEEPALIVE);
	assert_int_equal(rig_event(&r, TALON_EVENT_ROAMED)->head.peer, 0);
	e = endpoint_of(rig, 0);
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

/* The sender may pad as it likes, even to no multiple of 16; the inner packet ends where its header says. */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CASE(a_keepalive_is_counted_and_goes_no_further),
		RIG_CASE(bytes_are_counted_as_whole_data_messages),
		RIG_CASE(a_message_for_no_session_is_dropped),
		RIG_CASE(a_wrong_tag_changes_nothing),
		RIG_CASE(a_key_opens_until_it_is_180_seconds_old),
		RIG_CASE(the_replay_window_takes_every_counter_once),
		RIG_CASE(counters_end_before_they_wrap),
		RIG_CASE(a_shuffled_stream_loses_nothing),
		RIG_CASE(the_first_valid_packet_promotes_the_next_session_once),
		RIG_CASE(an_endpoint_follows_authenticated_packets_only),
		RIG_CASE(an_endpoint_moves_between_ipv4_and_ipv6),
		RIG_CASE(padding_of_any_length_is_taken_off),
		RIG_CASE(a_message_larger_than_any_inner_packet_is_dropped),
		RIG_CASE(every_inner_length_is_opened),
		RIG_CASE(a_session_of_a_peer_that_is_not_there_forwards_nothing),
	};

	return rig_main("sessions", tests);
}
