// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// XDP on the uplink: opens what peers send, seals what the cluster answers.
#include "lib/uplink.h"

SEC("xdp")
int talon_uplink_xdp(struct xdp_md *ctx)
{
	return uplink(ctx);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
