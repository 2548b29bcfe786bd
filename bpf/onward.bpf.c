// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// tc ingress at the tunnel device: sends on what XDP could not send by a device that takes no redirected frames (config_types.h, onward frames).
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_helpers.h>

#include "lib/maps.h"

#define VERDICT_PASS	-1	/* TC_ACT_UNSPEC, TCX_NEXT */
#define VERDICT_DROP	2	/* TC_ACT_SHOT */

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

/* The kernel finds the next hop anew: on a device without XDP it can wait for a neighbour, which XDP cannot. */
SEC("tc")
int talon_onward(struct __sk_buff *ctx)
{
	const struct talon_onward *frame = (void *)(long)ctx->data;
	__u32 ifindex;

	if ((void *)(frame + 1) > (void *)(long)ctx->data_end || !is_onward(frame))
		return VERDICT_PASS;
	__builtin_memcpy(&ifindex, frame->ifindex, sizeof(ifindex));
	return ifindex ? bpf_redirect_neigh(ifindex, NULL, 0, 0) : VERDICT_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
