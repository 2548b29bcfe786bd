/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ARP (RFC 826) for the spare SNAT address, which no interface has. */
#ifndef TALON_LIB_ARP_H
#define TALON_LIB_ARP_H

#include "lib/frame.h"

struct arp4 {
	__be16	hrd, pro;
	__u8	hln, pln;
	__be16	op;
	__u8	sha[6];
	__u8	spa[4];
	__u8	tha[6];
	__u8	tpa[4];
} __attribute__((packed));

/* Answers a request for the spare address with the MAC of the uplink it came in by. */
static __always_inline int arp_answer(ctx_md *ctx, struct talon_pkt *pkt, const struct talon_config *cfg)
{
	struct arp4 *arp = frame_at(ctx, L3_OFF, sizeof(*arp));
	struct ether *eth = frame_eth(ctx);
	__u32 ifindex = frame_ifindex(ctx);
	struct talon_link *link;
	__be32 addr = cfg->snat_addr;

	if (!arp || !eth || arp->hrd != bpf_htons(1) || arp->pro != bpf_htons(ETH_P_IP) || arp->hln != 6 ||
		arp->pln != 4 || arp->op != bpf_htons(1) || *(__be32 *)arp->tpa != addr)
		return STEP_DONE;
	link = bpf_map_lookup_elem(&links, &ifindex);
	if (!link)
		return STEP_DONE;
	arp->op = bpf_htons(2);
	mac_copy(arp->tha, arp->sha);
	*(__be32 *)arp->tpa = *(__be32 *)arp->spa;
	mac_copy(arp->sha, link->mac);
	*(__be32 *)arp->spa = addr;
	mac_copy(eth->h_dest, eth->h_source);
	mac_copy(eth->h_source, link->mac);
	pkt->ifindex = ifindex;
	pkt->dir = TALON_DIR_OUT;
	return end(pkt, TALON_ARP_ANSWERED, frame_back_action(ctx, cfg));
}

#endif
