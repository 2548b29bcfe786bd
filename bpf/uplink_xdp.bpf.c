// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Attach point of the datapath; touches nothing yet.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "lib/maps.h"

SEC("xdp")
int talon_uplink_xdp(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
