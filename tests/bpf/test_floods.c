// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Floods that strangers can send: they displace nothing of ours, and limits are for the host, not for each
// CPU.
#include <arpa/inet.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "bpf/rig.h"

#define STRANGER	"198.51.100.7"
#define FLOOD		10000

static struct packet piece(uint32_t src, uint16_t id)
{
	struct packet whole = PKT(.src = src, .dst = ip4(NODE), .proto = 17, .sport = 6, .dport = 7,
		.payload = 1000, .id = id);

	return pkt_fragment(&whole, 400, 400);
}

static uint16_t open_udp(struct rig *rig)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 5,
		.dport = 6, .payload = 10), out;
	struct rig_result r = rig_from_peer(rig, 0, &inner);

	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	out = rig_plain(rig, &r);
	return out.bytes[20] << 8 | out.bytes[21];
}

static struct packet answer(uint16_t port, uint16_t id)
{
	return PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = 17, .sport = 6, .dport = port,
		.payload = 1000, .id = id);
}

/* How many of @n fragments, each of a datagram of its own, were copied to the controller. */
static uint32_t flood(struct rig *rig, uint32_t n, bool is_forged)
{
	uint32_t copied = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct packet p = piece(is_forged ? htonl(0xc6336400 + i) : ip4(STRANGER), i);
		struct rig_result r = rig_from_wire(rig, &p);

		assert_int_equal(r.verdict, RIG_PASS);
		assert_int_equal(r.counts[TALON_DIR_OUT * TALON_END_COUNT + TALON_HELD] +
				 r.counts[TALON_DIR_OUT * TALON_END_COUNT + TALON_RATE_LIMITED], 1);
		assert_int_equal(r.event_count, r.counts[TALON_DIR_OUT * TALON_END_COUNT + TALON_HELD]);
		copied += r.event_count;
	}
	return copied;
}

static void a_datagram_of_ours_is_remembered_through_any_flood(void **state)
{
	struct rig *rig = *state;
	struct packet whole = answer(open_udp(rig), 77), first = pkt_fragment(&whole, 0, 400),
		later = pkt_fragment(&whole, 400, 400);
	struct rig_result r;

	r = rig_from_wire(rig, &first);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	flood(rig, FLOOD, true);
	r = rig_from_wire(rig, &later);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	rig_opened(rig, &r, 0);
}

static void one_strangers_fragments_leave_room_for_those_that_come_before_their_first(void **state)
{
	struct rig *rig = *state;
	struct packet whole = answer(open_udp(rig), 77), first = pkt_fragment(&whole, 0, 400),
		later = pkt_fragment(&whole, 400, 400);
	uint64_t began_ns = rig_now_ns();
	struct rig_result r;
	uint32_t copied, most;

	copied = flood(rig, FLOOD, false);
	most = TALON_RATE_SOURCE_BURST +
		(rig_now_ns() - began_ns) / (TALON_NSEC_PER_SEC / TALON_RATE_SOURCE_PER_SECOND) + 1;
	assert_in_range(copied, 1, most);
	r = rig_from_wire(rig, &later);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_HELD);
	rig_event(&r, TALON_EVENT_FRAGMENT);
	r = rig_from_wire(rig, &first);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	rig_event(&r, TALON_EVENT_FRAG_FIRST);
}

static void fragments_leave_the_other_events_alone(void **state)
{
	struct packet nobody = PKT(.src = ip4(CLIENT), .dst = ip4(NOBODY), .proto = 17, .sport = 5,
		.dport = 6, .payload = 50);
	struct rig *rig = *state;
	struct rig_peer *p = &rig->peers[0];
	struct talon_replay window = { .state = TALON_SESSION_NEXT };
	uint16_t port = open_udp(rig);
	struct packet reply = answer(port, 3);
	const uint32_t zero = 0;
	struct rig_result r;

	flood(rig, FLOOD, true);
	r = rig_from_peer(rig, 0, &nobody);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_HELD);
	rig_event(&r, TALON_EVENT_NEIGH);
	p->port++;
	r = rig_from_peer(rig, 0, NULL);
	rig_event(&r, TALON_EVENT_ROAMED);
	rig_put(rig, "replay", &p->slot, &window);
	r = rig_from_peer(rig, 0, NULL);
	rig_event(&r, TALON_EVENT_PROMOTED);
	rig_put(rig, "peer_tx", &zero, &(struct talon_peer_tx){});
	r = rig_from_wire(rig, &reply);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_HELD);
	rig_event(&r, TALON_EVENT_HANDSHAKE);
}

static int see_promotion(void *seen, void *data, size_t len)
{
	*(bool *)seen |= ((struct talon_event *)data)->type == TALON_EVENT_PROMOTED;
	return 0;
}

/* A ring full of unread copies does not hold up the small events, which have their own ring. */
static void a_full_ring_of_copies_does_not_keep_off_a_promotion(void **state)
{
	struct packet nobody = PKT(.src = ip4(CLIENT), .dst = ip4(NOBODY), .proto = 17, .sport = 5,
		.dport = 6, .payload = 1200);
	const struct talon_replay window = { .state = TALON_SESSION_NEXT };
	struct rig *rig = *state;
	struct ring_buffer *ring;
	bool seen = false;
	uint32_t lost = 0;
	struct rig_result r;

	rig->is_deaf = true;
	for (uint32_t i = 0; i < 2000 && !lost; i++) {
		rig_refill(rig);
		r = rig_from_peer(rig, 0, &nobody);
		lost += r.counts[TALON_DIR_IN * TALON_END_COUNT + TALON_NO_NEIGH];
	}
	assert_int_equal(lost, 1);
	rig_put(rig, "replay", &rig->peers[0].slot, &window);
	r = rig_from_peer(rig, 0, NULL);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_KEEPALIVE);
	ring = ring_buffer__new(rig_fd(rig, "events"), see_promotion, &seen, NULL);
	assert_non_null(ring);
	ring_buffer__consume(ring);
	ring_buffer__free(ring);
	assert_true(seen);
}

static void the_hosts_own_datagrams_cost_no_copies(void **state)
{
	struct packet whole = PKT(.src = ip4(STRANGER), .dst = ip4(NODE), .proto = 17, .sport = 6,
		.dport = RIG_PORT, .payload = 1400, .id = 9);
	struct packet first = pkt_fragment(&whole, 0, 800), later = pkt_fragment(&whole, 800, 608);
	struct rig *rig = *state;
	struct rig_result r;

	open_udp(rig);
	r = rig_from_wire(rig, &first);
	assert_int_equal(r.verdict, RIG_PASS);
	rig_uncounted(&r);
	r = rig_from_wire(rig, &later);
	assert_int_equal(r.verdict, RIG_PASS);
	rig_uncounted(&r);
	assert_int_equal(r.event_count, 0);
}

static void run_on(int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	assert_int_equal(sched_setaffinity(0, sizeof(cpus), &cpus), 0);
}

static uint64_t spent_of(struct rig *rig, uint32_t which)
{
	struct talon_rate rate;

	assert_int_equal(bpf_map_lookup_elem(rig_fd(rig, "rates"), &which, &rate), 0);
	return rate.spent_ns;
}

static void what_one_cpu_took_another_does_not_have(void **state)
{
	struct packet p = piece(ip4(STRANGER), 1);
	struct rig *rig = *state;
	struct rig_result r;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		skip();
	open_udp(rig);
	rig_drain(rig, "event");
	run_on(1);
	r = rig_from_wire(rig, &p);
	run_on(0);
	assert_int_equal(r.event_count, 0);
	rig_refill(rig);
	run_on(1);
	r = rig_from_wire(rig, &p);
	run_on(0);
	assert_int_equal(r.event_count, 1);
	assert_true(spent_of(rig, TALON_RATE_FRAGMENT) > rig_now_ns() - TALON_NSEC_PER_SEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CASE(a_datagram_of_ours_is_remembered_through_any_flood),
		RIG_CASE(one_strangers_fragments_leave_room_for_those_that_come_before_their_first),
		RIG_CASE(fragments_leave_the_other_events_alone),
		RIG_CASE(a_full_ring_of_copies_does_not_keep_off_a_promotion),
		RIG_CASE(the_hosts_own_datagrams_cost_no_copies),
		RIG_CASE(what_one_cpu_took_another_does_not_have),
	};

	return rig_main("floods", tests);
}
