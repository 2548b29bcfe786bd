// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Attach point of the datapath; touches nothing yet.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "lib/maps.h"

SEC("tc")
int talon_tunnel(struct __sk_buff *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
