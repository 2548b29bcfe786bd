// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Asks whether the kernel has freplace, second half: what replaces the function.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("freplace/replaceable")
int replacement(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
