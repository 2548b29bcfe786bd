// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Local delivery through the tunnel pair, which takes nothing longer than its MTU: longer packets of a peer
// with a larger MTU are refused, not silently lost.
#include <arpa/inet.h>

#include "bpf/rig.h"

static struct packet to_us(size_t len, uint16_t frag)
{
	return PKT(.src = ip4(CLIENT), .dst = ip4(MESH), .proto = 17, .sport = 4000, .dport = 53,
		.payload = len - 28, .frag = frag);
}

static void by_the_tunnel(struct rig *rig)
{
	rig->config.flags |= TALON_F_HANDUP_TUNNEL;
	rig_config(rig);
}

static void what_fits_is_handed_up(void **state)
{
	struct packet inner = to_us(RIG_MTU, PKT_DF);
	struct rig *rig = *state;
	struct rig_result r;

	by_the_tunnel(rig);
	r = rig_from_peer(rig, 0, &inner);
	assert_int_equal(r.ifindex, rig->wt0p);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_LOCAL);
}

static void what_does_not_is_told_to_its_sender(void **state)
{
	struct packet inner = to_us(RIG_MTU + 40, PKT_DF), error;
	struct rig *rig = *state;
	struct rig_result r;

	by_the_tunnel(rig);
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_ICMP_SENT);
	error = rig_opened(rig, &r, 0);
	assert_int_equal(error.bytes[20], 3);
	assert_int_equal(error.bytes[21], 4);
	assert_int_equal(error.bytes[26] << 8 | error.bytes[27], RIG_MTU);
}

static void what_may_be_cut_is_counted(void **state)
{
	struct packet inner = to_us(RIG_MTU + 40, 0);
	struct rig *rig = *state;
	struct rig_result r;

	by_the_tunnel(rig);
	r = rig_from_peer(rig, 0, &inner);
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_TOO_BIG);
}

static void without_the_pair_any_size_is_handed_up(void **state)
{
	struct packet inner = to_us(RIG_MTU + 40, PKT_DF);
	struct rig *rig = *state;
	struct rig_result r = rig_from_peer(rig, 0, &inner);

	assert_int_equal(r.verdict, RIG_PASS);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_LOCAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CASE(what_fits_is_handed_up), RIG_CASE(what_does_not_is_told_to_its_sender),
		RIG_CASE(what_may_be_cut_is_counted),
		RIG_CASE(without_the_pair_any_size_is_handed_up),
	};

	rig_with_tunnel = true;
	return rig_main("handing up", tests);
}
