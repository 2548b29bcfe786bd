// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Programs foreign to the datapath, as another tool or an older version might have attached them, and one
// that inspects frames.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct seen {
	__u64 frames;
	__u64 too_long;		/* longer than limit */
	__u64 non_linear;
	__u64 unsegmented;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct seen);
} seen SEC(".maps");

const volatile __u32 limit = 0xffff;

SEC("xdp")
int other_xdp(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("tc")
int other_tc(struct __sk_buff *ctx)
{
	return -1;
}

SEC("tc")
int look_at_frame(struct __sk_buff *ctx)
{
	__u32 zero = 0;
	struct seen *s = bpf_map_lookup_elem(&seen, &zero);

	if (!s)
		return -1;
	__sync_fetch_and_add(&s->frames, 1);
	if (ctx->len > limit)
		__sync_fetch_and_add(&s->too_long, 1);
	if ((__u64)ctx->data_end - (__u64)ctx->data != ctx->len)
		__sync_fetch_and_add(&s->non_linear, 1);
	if (ctx->gso_size)
		__sync_fetch_and_add(&s->unsegmented, 1);
	return -1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
