// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Asks whether the kernel has freplace, second half: what replaces the function.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("freplace/replaceable")
int replacement(struct xdp_md *ctx)
{
	return XDP_PASS;
}

/*
 * Linux 6.13 and later stables refuse this one where the function that it replaces does not move
 * packet data itself.
 */
SEC("freplace/replaceable")
int moving_replacement(struct xdp_md *ctx)
{
	return bpf_xdp_adjust_head(ctx, 0) ? XDP_ABORTED : XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
