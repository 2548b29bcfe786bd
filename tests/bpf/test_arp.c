// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// lib/arp.h: ARP requests for the spare SNAT address are answered.
#include <string.h>

#include <linux/if_ether.h>

#include "bpf/rig.h"
#include "bpf/steps.h"

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
	passes_untouched(rig, &frame);		/* no spare address yet */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CASE(arp_for_the_spare_address_is_answered),
	};

	return rig_main("ARP", tests);
}
