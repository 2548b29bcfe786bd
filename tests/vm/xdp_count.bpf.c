// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Somebody else's XDP program: counts every frame and passes it. NAME and PRIORITY (its
// place in libxdp's chain) come from the build; with MOVES it calls a helper that moves
// packet data, as Talon's own does, which newer kernels refuse in older libxdp's dispatcher.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <xdp/xdp_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} frames SEC(".maps");

struct {
	__uint(priority, PRIORITY);
	__uint(XDP_PASS, 1);
} XDP_RUN_CONFIG(NAME);

SEC("xdp")
int NAME(struct xdp_md *ctx)
{
	__u32 zero = 0;
	__u64 *count = bpf_map_lookup_elem(&frames, &zero);

	if (count)
		__sync_fetch_and_add(count, 1);
#ifdef MOVES
	if (bpf_xdp_adjust_head(ctx, 0))
		return XDP_ABORTED;
#endif
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
