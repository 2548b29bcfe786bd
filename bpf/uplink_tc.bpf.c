// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// tc ingress on the uplink, where XDP cannot be had: the same path; what has to be sealed goes through the
// tunnel device.
#define TALON_TC
#include "lib/uplink.h"

SEC("tc")
int talon_uplink_tc(struct __sk_buff *ctx)
{
	return uplink(ctx);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
