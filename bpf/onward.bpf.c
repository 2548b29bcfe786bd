// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// tc ingress at the far end of the relay pair: sends on what XDP could not send by a device that takes no
// redirected frames (config_types.h, onward frames).
#define TALON_TC
#include "lib/arp.h"

struct arp_frame {
	struct ether eth;
	struct arp4 arp;
} __attribute__((packed));

static __always_inline bool is_onward(const struct talon_onward *frame)
{
	static const __u8 mac[6] = TALON_ONWARD_MAC;

#pragma unroll
	for (int i = 0; i < 6; i++) {
		if (frame->dmac[i] != mac[i])
			return false;
	}
	return true;
}

/* An answer of ours (RFC 826): its Ethernet addresses stand in it. */
static __always_inline int send_arp(struct __sk_buff *ctx, __u32 ifindex)
{
	struct arp_frame *frame = (void *)(long)ctx->data;

	if ((void *)(frame + 1) > (void *)(long)ctx->data_end) {
		count(TALON_DIR_ONWARD, TALON_TOO_SHORT);
		return VERDICT_DROP;
	}
	count(TALON_DIR_ONWARD, TALON_ARP_ANSWERED);
	__builtin_memcpy(frame->eth.h_dest, frame->arp.tha, ETH_ALEN);
	__builtin_memcpy(frame->eth.h_source, frame->arp.sha, ETH_ALEN);
	return bpf_redirect(ifindex, 0);
}

/*
 * The kernel finds the next hop anew: on a device without XDP it can wait for a neighbour, which XDP cannot.
 */
SEC("tc")
int talon_onward(struct __sk_buff *ctx)
{
	const struct talon_onward *frame = (void *)(long)ctx->data;
	struct talon_seen *seen_here = program_enter(TALON_PROGRAM_ONWARD);
	__u32 ifindex;

	if (!seen_here)
		return VERDICT_DROP;
	if ((void *)(frame + 1) > (void *)(long)ctx->data_end || !is_onward(frame)) {
		seen_here->passed++;
		return VERDICT_PASS;
	}
	__builtin_memcpy(&ifindex, frame->ifindex, sizeof(ifindex));
	if (!ifindex) {
		count(TALON_DIR_ONWARD, TALON_INTERNAL);
		return VERDICT_DROP;
	}
	if (frame->proto == bpf_htons(ETH_P_ARP))
		return send_arp(ctx, ifindex);
	count(TALON_DIR_ONWARD, TALON_FORWARDED);
	return bpf_redirect_neigh(ifindex, NULL, 0, 0);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
