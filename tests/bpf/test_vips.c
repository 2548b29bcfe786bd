// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Virtual addresses that move between this node and another one, with flows that live through it.
#include <arpa/inet.h>
#include <string.h>

#include "bpf/rig.h"
#include "talon/vip_types.h"

#define SYN	0x02
#define ACK	0x10

static void put_vip(struct rig *rig, enum talon_vip_where where)
{
	struct talon_addr key = { .word[0] = ip4(GATEWAY) };
	struct talon_vip vip = { .where = where };

	rig_put(rig, "vips", &key, &vip);
	rig_bump(rig);
}

static struct packet tcp(uint16_t sport, uint8_t flags)
{
	return PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 6, .sport = sport, .dport = 443,
		.tcp_flags = flags, .frag = PKT_DF);
}

static struct packet udp(void)
{
	return PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 4000, .dport = 53,
		.frag = PKT_DF);
}

static struct rig_result goes(struct rig *rig, const struct packet *inner, enum talon_end end)
{
	struct rig_result r = rig_from_peer(rig, 0, inner);

	rig_ends(rig, &r, TALON_DIR_IN, end);
	return r;
}

static uint16_t get16(const uint8_t *from)
{
	return from[0] << 8 | from[1];
}

/* What the holder says to the translated packet @r. */
static void is_answered(struct rig *rig, const struct rig_result *r)
{
	struct packet out = rig_plain(rig, r);
	struct packet back = PKT(.src = ip4(GATEWAY), .dst = ip4(NODE), .proto = out.bytes[9],
		.sport = get16(out.bytes + 22), .dport = get16(out.bytes + 20), .tcp_flags = ACK,
		.frag = PKT_DF);
	struct rig_result in = rig_from_wire(rig, &back);

	assert_int_equal(in.verdict, RIG_SEND);
}

/* As if its last packet had waited for @ns. */
static void age(struct rig *rig, uint32_t id, uint64_t ns)
{
	struct talon_flow flow = rig_flow(rig, id);
	uint8_t since = ((rig_now_ns() - ns) >> TALON_FLOW_SINCE_NS) & TALON_FLOW_SINCE_MASK;

	assert_true(flow.flags & TALON_FLOW_WAITS);
	flow.flags = (flow.flags & TALON_FLOW_ANSWERED) | TALON_FLOW_WAITS | since << TALON_FLOW_SINCE;
	rig_flow_write(rig, id, &flow);
}

static void what_another_node_holds_is_forwarded_whatever_local_says(void **state)
{
	struct packet inner = udp();
	struct rig *rig = *state;

	rig_local(rig, GATEWAY, 32);
	goes(rig, &inner, TALON_LOCAL);
	put_vip(rig, TALON_VIP_ELSEWHERE);
	goes(rig, &inner, TALON_FORWARDED);
}

static void what_this_node_holds_is_handed_up(void **state)
{
	struct packet inner = udp(), syn = tcp(5000, SYN);
	struct rig *rig = *state;

	goes(rig, &inner, TALON_FORWARDED);
	put_vip(rig, TALON_VIP_HERE);
	goes(rig, &syn, TALON_LOCAL);
}

static void an_address_outside_of_served_networks_stays_closed(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4("172.20.0.9"), .proto = 17, .sport = 4000,
		.dport = 53, .frag = PKT_DF);
	struct talon_addr key = { .word[0] = ip4("172.20.0.9") };
	struct talon_vip vip = { .where = TALON_VIP_HERE };
	struct rig *rig = *state;

	goes(rig, &inner, TALON_NO_ROUTE);
	rig_put(rig, "vips", &key, &vip);
	goes(rig, &inner, TALON_NO_ROUTE);
}

static void a_flow_goes_on_to_the_earlier_holder_while_that_answers(void **state)
{
	struct packet syn = tcp(5000, SYN), more = tcp(5000, ACK), again = tcp(5000, SYN);
	struct rig *rig = *state;
	struct rig_result r = goes(rig, &syn, TALON_FORWARDED);
	uint32_t id = r.flow;

	is_answered(rig, &r);
	put_vip(rig, TALON_VIP_HERE);
	for (int i = 0; i < 3; i++) {
		r = goes(rig, &more, TALON_FORWARDED);
		assert_int_equal(r.flow, id);
		age(rig, id, 5000000000ULL);
		is_answered(rig, &r);
		assert_false(rig_flow(rig, id).flags & TALON_FLOW_WAITS);
	}
	/* not answered any more */
	goes(rig, &more, TALON_FORWARDED);
	goes(rig, &more, TALON_FORWARDED);
	age(rig, id, 1100000000ULL);
	goes(rig, &more, TALON_LOCAL);
	assert_int_equal(rig_flow(rig, id).phase, TALON_FLOW_DEAD);
	goes(rig, &more, TALON_LOCAL);
	goes(rig, &again, TALON_LOCAL);
}

static void a_new_connection_with_old_ports_is_handed_up(void **state)
{
	struct packet syn = tcp(5000, SYN);
	struct rig *rig = *state;
	struct rig_result r = goes(rig, &syn, TALON_FORWARDED);

	is_answered(rig, &r);
	put_vip(rig, TALON_VIP_HERE);
	goes(rig, &syn, TALON_LOCAL);
}

static void a_connection_that_began_here_stays_here(void **state)
{
	struct packet syn = tcp(5000, SYN), more = tcp(5000, ACK), fresh = tcp(5001, SYN),
		next = tcp(5001, ACK), datagram = udp();
	struct rig *rig = *state;

	put_vip(rig, TALON_VIP_HERE);
	goes(rig, &syn, TALON_LOCAL);
	goes(rig, &datagram, TALON_LOCAL);
	put_vip(rig, TALON_VIP_LEFT);
	goes(rig, &more, TALON_LOCAL);
	goes(rig, &fresh, TALON_FORWARDED);
	goes(rig, &next, TALON_FORWARDED);
	goes(rig, &datagram, TALON_FORWARDED);
	/* and without that memory it is forwarded */
	put_vip(rig, TALON_VIP_ELSEWHERE);
	goes(rig, &more, TALON_FORWARDED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CASE(what_another_node_holds_is_forwarded_whatever_local_says),
		RIG_CASE(what_this_node_holds_is_handed_up),
		RIG_CASE(an_address_outside_of_served_networks_stays_closed),
		RIG_CASE(a_flow_goes_on_to_the_earlier_holder_while_that_answers),
		RIG_CASE(a_new_connection_with_old_ports_is_handed_up),
		RIG_CASE(a_connection_that_began_here_stays_here),
	};

	return rig_main("virtual addresses", tests);
}
