// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Watching packets: samples of dropped ones, copies of one peer's; nothing while nobody watches.
#include <arpa/inet.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpf/rig.h"
#include "talon/watch_types.h"
#include "watch/ring.h"

#define RECORDS_MAX 2048

struct record {
	size_t size;
	uint8_t bytes[128 + PKT_MAX];
};

/* What the programs wrote since the last seen(). */
static struct record *records;
static size_t record_count;
static struct watch_ring *ring;

static void take(void *ctx, const void *bytes, size_t size)
{
	assert_in_range(record_count, 0, RECORDS_MAX - 1);
	assert_in_range(size, 0, sizeof(records->bytes));
	records[record_count].size = size;
	memcpy(records[record_count++].bytes, bytes, size);
}

static void open_ring(struct rig *rig, const char *map)
{
	char why[256] = "";

	record_count = 0;
	if (watch_ring_open(&ring, rig_fd(rig, map), 1 << 20, take, NULL, why, sizeof(why)))
		fail_msg("%s", why);
}

static size_t seen(void)
{
	record_count = 0;
	watch_ring_flush(ring);
	return record_count;
}

static int setup(void **state)
{
	records = calloc(RECORDS_MAX, sizeof(*records));
	ring = NULL;
	rig_with_tunnel = true;
	return records ? rig_setup(state) : -1;
}

static int teardown(void **state)
{
	watch_ring_free(ring);
	free(records);
	return rig_teardown(state);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void watch(struct rig *rig, enum talon_watch_id id, struct talon_watch what)
{
	uint32_t key = id;

	if (!what.until_ns)
		what.until_ns = rig_now_ns() + TALON_WATCH_LEASE_NS;
	rig_put(rig, "watches", &key, &what);
}

static struct talon_watch lease(struct rig *rig, enum talon_watch_id id)
{
	uint32_t key = id;
	struct talon_watch w;

	assert_int_equal(bpf_map_lookup_elem(rig_fd(rig, "watches"), &key, &w), 0);
	return w;
}

static void watch_all_drops(struct rig *rig)
{
	open_ring(rig, "watch_drops");
	watch(rig, TALON_WATCH_DROPS, (struct talon_watch){ .reasons = TALON_DROP_BITS, .dirs = 7,
		.peer = TALON_PEER_NONE });
}

static void capture_peer(struct rig *rig, uint32_t peer, uint32_t size)
{
	open_ring(rig, "watch_packets");
	rig->config.flags |= TALON_F_CAPTURE;
	rig_config(rig);
	watch(rig, TALON_WATCH_PACKETS, (struct talon_watch){ .peer = peer, .size = size });
}

static uint64_t counted(struct rig *rig, enum talon_watch_count which)
{
	int cpus = libbpf_num_possible_cpus();
	uint64_t *values = calloc(cpus, sizeof(*values)), sum = 0;
	uint32_t key = which;

	assert_non_null(values);
	assert_int_equal(bpf_map_lookup_elem(rig_fd(rig, "watch_counts"), &key, values), 0);
	for (int cpu = 0; cpu < cpus; cpu++)
		sum += values[cpu];
	free(values);
	return sum;
}

/* The only sample since the last look. */
static const struct talon_drop_sample *sample(void)
{
	assert_int_equal(seen(), 1);
	assert_true(records[0].size >= sizeof(struct talon_drop_sample));
	return (const struct talon_drop_sample *)records[0].bytes;
}

static struct packet udp(const char *src, const char *dst)
{
	return PKT(.src = ip4(src), .dst = ip4(dst), .proto = 17, .sport = 1111, .dport = 2222,
		.payload = 100);
}

static void assert_tuple(const struct talon_drop_sample *s, const char *src, uint16_t sport, const char *dst,
	uint16_t dport)
{
	assert_int_equal(s->family, AF_INET);
	assert_int_equal(s->src.word[0], ip4(src));
	assert_int_equal(s->dst.word[0], ip4(dst));
	assert_true(s->has_ports);
	assert_int_equal(ntohs(s->sport), sport);
	assert_int_equal(ntohs(s->dport), dport);
}

static struct rig_result send_not_allowed(struct rig *rig)
{
	struct packet inner = udp("10.1.2.3", GATEWAY);

	return rig_from_peer(rig, 0, &inner);
}

static void nothing_is_written_while_nobody_follows(void **state)
{
	struct rig *rig = *state;
	struct rig_result r;

	open_ring(rig, "watch_drops");
	r = send_not_allowed(rig);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NOT_ALLOWED);
	assert_int_equal(seen(), 0);
	for (int i = 0; i < TALON_WATCH_COUNT_COUNT; i++)
		assert_int_equal(counted(rig, i), 0);
}

static void a_dropped_inner_packet_is_told_with_reason_peer_and_tuple(void **state)
{
	const struct talon_drop_sample *s;
	struct rig *rig = *state;
	uint64_t before = rig_now_ns();
	struct rig_result r;

	watch_all_drops(rig);
	r = send_not_allowed(rig);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NOT_ALLOWED);
	s = sample();
	assert_int_equal(s->reason, TALON_NOT_ALLOWED);
	assert_int_equal(s->dir, TALON_DIR_IN);
	assert_int_equal(s->layer, TALON_SAMPLE_INNER);
	assert_int_equal(s->peer, 0);
	assert_int_equal(s->ifindex, rig->eth0);
	assert_int_equal(s->proto, 17);
	assert_int_equal(s->len, 128);
	assert_in_range(s->time_ns, before, rig_now_ns());
	assert_tuple(s, "10.1.2.3", 1111, GATEWAY, 2222);
	assert_int_equal(counted(rig, TALON_WATCH_DROPS_SENT), 1);
}

static void a_dropped_ipv6_packet_is_told_as_well(void **state)
{
	struct packet inner = PKT6(.src = ip6("2001:db8:5::1"), .dst = ip6(GATEWAY6), .proto = 17,
		.sport = 1111, .dport = 2222, .payload = 60);
	struct addr6 src = ip6("2001:db8:5::1"), dst = ip6(GATEWAY6);
	const struct talon_drop_sample *s;
	struct rig *rig = *state;
	struct rig_result r;

	rig_six(rig);
	watch_all_drops(rig);
	r = rig_from_peer(rig, 2, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NOT_ALLOWED);
	s = sample();
	assert_int_equal(s->reason, TALON_NOT_ALLOWED);
	assert_int_equal(s->layer, TALON_SAMPLE_INNER);
	assert_int_equal(s->peer, 2);
	assert_int_equal(s->family, AF_INET6);
	assert_int_equal(s->proto, 17);
	assert_int_equal(s->len, 108);
	assert_int_equal(s->sport, htons(1111));
	assert_int_equal(s->dport, htons(2222));
	assert_memory_equal(&s->src, &src, 16);
	assert_memory_equal(&s->dst, &dst, 16);
}

static void a_forged_message_is_told_with_its_outer_source(void **state)
{
	struct packet inner = udp(CLIENT, GATEWAY);
	const struct talon_drop_sample *s;
	struct rig *rig = *state;
	struct packet frame = rig_sealed(rig, 0, &inner);
	struct rig_result r;

	watch_all_drops(rig);
	frame.bytes[70] ^= 1;
	r = rig_run(rig, &frame);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_BAD_TAG);
	s = sample();
	assert_int_equal(s->reason, TALON_BAD_TAG);
	assert_int_equal(s->layer, TALON_SAMPLE_OUTER);
	assert_int_equal(s->peer, 0);
	assert_int_equal(s->len, frame.len - 14);
	assert_tuple(s, "203.0.113.5", 40000, NODE, RIG_PORT);
}

static void a_message_over_ipv6_for_no_session_is_told_without_a_peer(void **state)
{
	struct packet inner = udp(CLIENT2, GATEWAY);
	const struct talon_drop_sample *s;
	struct rig *rig = *state;
	struct packet frame;
	struct rig_result r;

	watch_all_drops(rig);
	r = send_not_allowed(rig);	/* leaves a peer in the packet's state */
	assert_int_equal(seen(), 1);
	frame = rig_sealed(rig, 2, &inner);
	frame.bytes[14 + 40 + 8 + 4 + 3] ^= 0x40;	/* of the receiver index */
	r = rig_run(rig, &frame);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NO_SESSION);
	s = sample();
	assert_int_equal(s->layer, TALON_SAMPLE_OUTER);
	assert_int_equal(s->peer, TALON_PEER_NONE);
	assert_int_equal(s->family, AF_INET6);
	assert_memory_equal(&s->src, rig->peers[2].addr6, 16);
	assert_memory_equal(&s->dst, rig_node6, 16);
	assert_int_equal(ntohs(s->sport), 40001);
	assert_int_equal(ntohs(s->dport), RIG_PORT);
}

/* Authentic, but malformed: the plaintext still lies behind the WireGuard header. */
static void an_opened_packet_that_stays_in_place_is_told_with_the_inner_tuple(void **state)
{
	struct packet inner = udp(CLIENT, GATEWAY);
	const struct talon_drop_sample *s;
	struct rig *rig = *state;
	struct rig_result r;

	watch_all_drops(rig);
	inner.bytes[10] ^= 1;
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_INNER_CHECKSUM);
	s = sample();
	assert_int_equal(s->reason, TALON_INNER_CHECKSUM);
	assert_int_equal(s->layer, TALON_SAMPLE_INNER);
	assert_int_equal(s->len, 128);
	assert_tuple(s, CLIENT, 1111, GATEWAY, 2222);
}

static void a_packet_of_this_host_for_nobody_is_told_in_its_direction(void **state)
{
	struct packet packet = udp(MESH, "100.64.9.9");
	const struct talon_drop_sample *s;
	struct rig *rig = *state;
	struct rig_result r;

	watch_all_drops(rig);
	r = rig_from_host(rig, &packet);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_NO_PEER);
	s = sample();
	assert_int_equal(s->reason, TALON_NO_PEER);
	assert_int_equal(s->dir, TALON_DIR_TUNNEL);
	assert_int_equal(s->layer, TALON_SAMPLE_INNER);
	assert_int_equal(s->peer, TALON_PEER_NONE);
	assert_tuple(s, MESH, 1111, "100.64.9.9", 2222);
}

static void an_icmp_packet_is_told_with_type_and_code(void **state)
{
	struct packet packet = PKT(.src = ip4(MESH), .dst = ip4("100.64.9.9"), .proto = 1, .icmp_type = 8,
		.icmp_id = 7, .payload = 8);
	const struct talon_drop_sample *s;
	struct rig *rig = *state;

	watch_all_drops(rig);
	rig_from_host(rig, &packet);
	s = sample();
	assert_int_equal(s->proto, 1);
	assert_int_equal(ntohs(s->sport), 0x800);
}

static void filters_hold_in_the_programs(void **state)
{
	struct packet other = udp("10.1.2.3", GATEWAY), host = udp(MESH, "100.64.9.9");
	struct rig *rig = *state;

	open_ring(rig, "watch_drops");
	watch(rig, TALON_WATCH_DROPS, (struct talon_watch){ .reasons = 1ULL << TALON_NO_PEER, .dirs = 7,
		.peer = TALON_PEER_NONE });
	send_not_allowed(rig);
	assert_int_equal(seen(), 0);
	rig_from_host(rig, &host);
	assert_int_equal(sample()->reason, TALON_NO_PEER);

	watch(rig, TALON_WATCH_DROPS, (struct talon_watch){ .reasons = TALON_DROP_BITS,
		.dirs = 1 << TALON_DIR_TUNNEL, .peer = TALON_PEER_NONE });
	send_not_allowed(rig);
	assert_int_equal(seen(), 0);

	watch(rig, TALON_WATCH_DROPS, (struct talon_watch){ .reasons = TALON_DROP_BITS, .dirs = 7,
		.peer = 1 });
	send_not_allowed(rig);
	rig_from_host(rig, &host);
	assert_int_equal(seen(), 0);
	rig_from_peer(rig, 1, &other);
	assert_int_equal(sample()->peer, 1);
}

static void packets_that_are_not_dropped_are_not_told(void **state)
{
	struct packet inner = udp(CLIENT, GATEWAY);
	struct rig *rig = *state;
	struct rig_result r;

	watch_all_drops(rig);
	watch(rig, TALON_WATCH_DROPS, (struct talon_watch){ .reasons = TALON_DROP_BITS, .dirs = 7,
		.peer = TALON_PEER_NONE });
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	r = rig_from_peer(rig, 0, NULL);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_KEEPALIVE);
	assert_int_equal(seen(), 0);
	assert_int_equal(counted(rig, TALON_WATCH_DROPS_SENT), 0);
}

static void a_lease_that_is_over_ends_samples_and_is_taken_back(void **state)
{
	struct rig *rig = *state;

	watch_all_drops(rig);
	watch(rig, TALON_WATCH_DROPS, (struct talon_watch){ .reasons = TALON_DROP_BITS, .dirs = 7,
		.peer = TALON_PEER_NONE, .until_ns = rig_now_ns() - 1 });
	send_not_allowed(rig);
	assert_int_equal(seen(), 0);
	assert_int_equal(counted(rig, TALON_WATCH_DROPS_SENT), 0);
	assert_true(lease(rig, TALON_WATCH_DROPS).until_ns == 0);
}

static void a_flood_of_drops_is_shown_in_part_and_the_rest_counted(void **state)
{
	struct rig *rig = *state;
	const uint64_t sent = 600;

	watch_all_drops(rig);
	for (uint64_t i = 0; i < sent; i++)
		send_not_allowed(rig);
	/* 256 at once and 1,000 a second: the machine decides how many seconds that took */
	assert_int_equal(counted(rig, TALON_WATCH_DROPS_SENT) + counted(rig,
		TALON_WATCH_DROPS_LIMITED), sent);
	assert_int_equal(counted(rig, TALON_WATCH_DROPS_LOST), 0);
	assert_int_equal(seen(), counted(rig, TALON_WATCH_DROPS_SENT));
	rig_drain(rig, "event");
	send_not_allowed(rig);
	assert_int_equal(seen(), 0);
	assert_true(counted(rig, TALON_WATCH_DROPS_LIMITED) > 0);
}

static void without_a_ring_samples_are_counted_as_lost(void **state)
{
	struct rig *rig = *state;

	watch(rig, TALON_WATCH_DROPS, (struct talon_watch){ .reasons = TALON_DROP_BITS, .dirs = 7,
		.peer = TALON_PEER_NONE });
	send_not_allowed(rig);
	assert_int_equal(counted(rig, TALON_WATCH_DROPS_LOST), 1);
}

/* The only captured packet since the last look has the first @size bytes of @want. */
static void assert_captured(const struct packet *want, uint32_t size, enum talon_dir dir, uint32_t peer)
{
	struct talon_packet_head head;

	assert_int_equal(seen(), 1);
	memcpy(&head, records[0].bytes, sizeof(head));
	assert_int_equal(head.peer, peer);
	assert_int_equal(head.dir, dir);
	assert_int_equal(head.len, want->len);
	assert_int_equal(head.size, size);
	assert_true(records[0].size >= sizeof(head) + 14 + size);
	assert_memory_equal(records[0].bytes + sizeof(head) + 14, want->bytes, size);
	/* and nothing of what follows in the frame */
	assert_in_range(records[0].size, sizeof(head) + 14 + size, sizeof(head) + 14 + size + 7);
}

static void what_a_peer_sends_is_captured_as_it_sent_it(void **state)
{
	struct rig *rig = *state;
	struct rig_result r;

	capture_peer(rig, 0, 65535);
	for (uint32_t payload = 0; payload < 1200; payload += 171) {
		struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17,
			.sport = 1111, .dport = 2222, .payload = payload);

		r = rig_from_peer(rig, 0, &inner);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
		assert_captured(&inner, inner.len, TALON_DIR_IN, 0);
	}
	assert_int_equal(counted(rig, TALON_WATCH_PACKETS_SENT), 8);
	assert_int_equal(counted(rig, TALON_WATCH_PACKETS_LOST), 0);
}

static void ipv6_is_captured_both_ways(void **state)
{
	struct rig *rig = *state;
	struct packet inner, plain, reply, opened;
	struct addr6 client = ip6(CLIENT6);
	struct rig_result r;

	rig_six(rig);
	capture_peer(rig, 0, 65535);
	inner = PKT6(.src = ip6(CLIENT6), .dst = ip6(GATEWAY6), .proto = 17, .sport = 1111, .dport = 2222,
		.payload = 777);
	r = rig_from_peer(rig, 0, &inner);
	assert_captured(&inner, inner.len, TALON_DIR_IN, 0);
	plain = rig_plain(rig, &r);
	reply = PKT6(.src = ip6(GATEWAY6), .dst = ip6(NODE6), .proto = 17, .sport = 2222,
		.dport = plain.bytes[40] << 8 | plain.bytes[41], .payload = 333, .seed = 9);
	r = rig_from_wire(rig, &reply);
	opened = rig_opened(rig, &r, 0);
	assert_captured(&opened, opened.len, TALON_DIR_OUT, 0);
	assert_memory_equal(opened.bytes + 24, &client, 16);
}

static void what_is_refused_afterwards_is_captured_too(void **state)
{
	struct packet inner = udp("10.1.2.3", GATEWAY);
	struct rig *rig = *state;
	struct rig_result r;

	capture_peer(rig, 0, 65535);
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NOT_ALLOWED);
	assert_captured(&inner, inner.len, TALON_DIR_IN, 0);
}

static void a_reply_is_captured_as_the_peer_will_see_it(void **state)
{
	struct packet inner = udp(CLIENT, GATEWAY), plain, reply, opened;
	struct rig *rig = *state;
	struct rig_result r;
	uint16_t port;

	r = rig_from_peer(rig, 0, &inner);
	plain = rig_plain(rig, &r);
	port = plain.bytes[20] << 8 | plain.bytes[21];
	capture_peer(rig, 0, 65535);
	reply = PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 2222, .dport = port,
		.payload = 333, .seed = 9);
	r = rig_from_wire(rig, &reply);
	opened = rig_opened(rig, &r, 0);
	assert_captured(&opened, opened.len, TALON_DIR_OUT, 0);
	assert_int_equal(*(uint32_t *)(opened.bytes + 16), ip4(CLIENT));
}

static void what_this_host_sends_to_the_peer_is_captured(void **state)
{
	struct packet packet = udp(MESH, CLIENT);
	struct rig *rig = *state;
	struct rig_result r;

	capture_peer(rig, 0, 65535);
	r = rig_from_host(rig, &packet);
	rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_FORWARDED);
	assert_captured(&packet, packet.len, TALON_DIR_OUT, 0);
}

static void a_packet_to_a_peer_behind_ipv6_is_captured_whole(void **state)
{
	struct packet packet = udp(MESH, CLIENT2), inner = udp(CLIENT2, GATEWAY);
	struct rig *rig = *state;

	capture_peer(rig, 2, 65535);
	rig_from_host(rig, &packet);
	assert_captured(&packet, packet.len, TALON_DIR_OUT, 2);
	rig_from_peer(rig, 2, &inner);
	assert_captured(&inner, inner.len, TALON_DIR_IN, 2);
}

static void no_more_than_the_size_asked_for_is_copied(void **state)
{
	struct packet inner = udp(CLIENT, GATEWAY);
	struct rig *rig = *state;

	capture_peer(rig, 0, 60);
	rig_from_peer(rig, 0, &inner);
	assert_captured(&inner, 60, TALON_DIR_IN, 0);
	watch(rig, TALON_WATCH_PACKETS, (struct talon_watch){ .peer = 0, .size = 128 });
	rig_from_peer(rig, 0, &inner);
	assert_captured(&inner, 128, TALON_DIR_IN, 0);
}

static void nothing_of_other_peers_and_no_keepalive_is_captured(void **state)
{
	struct packet inner = udp(CLIENT1, GATEWAY), packet = udp(MESH, CLIENT1);
	struct rig *rig = *state;
	struct rig_result r;

	capture_peer(rig, 0, 65535);
	r = rig_from_peer(rig, 1, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	rig_from_host(rig, &packet);
	rig_from_peer(rig, 0, NULL);
	assert_int_equal(seen(), 0);
}

static void without_the_controllers_flag_or_a_lease_nothing_is_captured(void **state)
{
	struct packet inner = udp(CLIENT, GATEWAY), packet = udp(MESH, CLIENT);
	struct rig *rig = *state;

	capture_peer(rig, 0, 65535);
	rig->config.flags &= ~TALON_F_CAPTURE;
	rig_config(rig);
	rig_from_peer(rig, 0, &inner);
	rig_from_host(rig, &packet);
	assert_int_equal(seen(), 0);

	rig->config.flags |= TALON_F_CAPTURE;
	rig_config(rig);
	watch(rig, TALON_WATCH_PACKETS, (struct talon_watch){ .peer = 0, .size = 65535,
		.until_ns = rig_now_ns() - 1 });
	rig_from_peer(rig, 0, &inner);
	rig_from_host(rig, &packet);
	assert_int_equal(seen(), 0);
	assert_true(lease(rig, TALON_WATCH_PACKETS).until_ns == 0);
	assert_int_equal(counted(rig, TALON_WATCH_PACKETS_SENT) + counted(rig, TALON_WATCH_PACKETS_LOST), 0);
}

static void packets_without_room_in_the_ring_are_counted(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .payload = 1200);
	const uint32_t sent = 30;
	struct rig *rig = *state;
	char why[256];

	rig->config.flags |= TALON_F_CAPTURE;
	rig_config(rig);
	record_count = 0;
	assert_int_equal(watch_ring_open(&ring, rig_fd(rig, "watch_packets"), 1 << 14, take, NULL, why,
		sizeof(why)), 0);
	watch(rig, TALON_WATCH_PACKETS, (struct talon_watch){ .peer = 0, .size = 65535 });
	for (uint32_t i = 0; i < sent; i++)
		rig_from_peer(rig, 0, &inner);
	assert_true(counted(rig, TALON_WATCH_PACKETS_LOST) > 0);
	assert_int_equal(counted(rig, TALON_WATCH_PACKETS_SENT) + counted(rig,
		TALON_WATCH_PACKETS_LOST), sent);
	assert_int_equal(seen(), counted(rig, TALON_WATCH_PACKETS_SENT));
}

static void run_on(int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	assert_int_equal(sched_setaffinity(0, sizeof(cpus), &cpus), 0);
}

static void samples_of_all_cpus_come_in_the_order_of_time(void **state)
{
	struct rig *rig = *state;
	uint64_t last = 0, now;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		skip();
	watch_all_drops(rig);
	for (int i = 0; i < 20; i++) {
		run_on((i + 1) % 2);	/* ends on CPU 0, where the rig runs */
		send_not_allowed(rig);
	}
	assert_int_equal(seen(), 20);
	for (int i = 0; i < 20; i++) {
		memcpy(&now, records[i].bytes, sizeof(now));
		assert_true(now > last);
		last = now;
	}
}

/* As after kill -9: the kernel takes the rings of a process out of the map when it ends. */
static void a_ring_that_is_closed_gets_nothing_more(void **state)
{
	struct packet inner = udp(CLIENT, GATEWAY);
	struct rig *rig = *state;

	capture_peer(rig, 0, 65535);
	watch_ring_free(ring);
	ring = NULL;
	rig_from_peer(rig, 0, &inner);
	assert_int_equal(counted(rig, TALON_WATCH_PACKETS_SENT), 0);
	assert_int_equal(counted(rig, TALON_WATCH_PACKETS_LOST), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(nothing_is_written_while_nobody_follows),
		CASE(a_dropped_inner_packet_is_told_with_reason_peer_and_tuple),
		CASE(a_dropped_ipv6_packet_is_told_as_well),
		CASE(a_forged_message_is_told_with_its_outer_source),
		CASE(a_message_over_ipv6_for_no_session_is_told_without_a_peer),
		CASE(an_opened_packet_that_stays_in_place_is_told_with_the_inner_tuple),
		CASE(a_packet_of_this_host_for_nobody_is_told_in_its_direction),
		CASE(an_icmp_packet_is_told_with_type_and_code),
		CASE(filters_hold_in_the_programs),
		CASE(packets_that_are_not_dropped_are_not_told),
		CASE(a_lease_that_is_over_ends_samples_and_is_taken_back),
		CASE(a_flood_of_drops_is_shown_in_part_and_the_rest_counted),
		CASE(without_a_ring_samples_are_counted_as_lost),
		CASE(what_a_peer_sends_is_captured_as_it_sent_it),
		CASE(ipv6_is_captured_both_ways),
		CASE(what_is_refused_afterwards_is_captured_too),
		CASE(a_reply_is_captured_as_the_peer_will_see_it),
		CASE(what_this_host_sends_to_the_peer_is_captured),
		CASE(a_packet_to_a_peer_behind_ipv6_is_captured_whole),
		CASE(no_more_than_the_size_asked_for_is_copied),
		CASE(nothing_of_other_peers_and_no_keepalive_is_captured),
		CASE(without_the_controllers_flag_or_a_lease_nothing_is_captured),
		CASE(packets_without_room_in_the_ring_are_counted),
		CASE(samples_of_all_cpus_come_in_the_order_of_time),
		CASE(a_ring_that_is_closed_gets_nothing_more),
	};

	return rig_main("watching packets", tests);
}
