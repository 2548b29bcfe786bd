// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Asks whether the kernel has freplace, first half: a program with a function that can be replaced.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

__attribute__((noinline)) int replaceable(struct xdp_md *ctx)
{
	volatile int verdict = XDP_PASS;

	return ctx ? verdict : XDP_ABORTED;
}

SEC("xdp")
int probe_target(struct xdp_md *ctx)
{
	return replaceable(ctx);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
