// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Both ends of a load: a source that puts prepared frames on the wire, and XDP where they come back
// that counts what the routing peer forwarded, copies every n-th frame for inspection, and drops it.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include <stdbool.h>

#include "load_wire.h"
#include "talon/wg_wire.h"

#define NOT_OURS -1

const volatile struct load_names names;

/* Set by the generator between runs. One NAPI instance runs this, so plain additions do. */
volatile __u32 wanted_len[LOAD_DIRS];	/* IPv4 total length */
volatile __u32 sample_every = 1;
struct load_seen seen[LOAD_DIRS];

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, LOAD_RING_BYTES);
} samples SEC(".maps");

/*
 * The source runs as BPF_PROG_RUN on live frames: pages with room in front, as a NIC's driver
 * hands them to XDP.
 */
const volatile struct load_plan plan;
struct load_progress progress;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);			/* set to the number of packets */
	__type(key, __u32);
	__type(value, struct load_slot);
} slots SEC(".maps");

struct headers {
	struct ethhdr eth;
	struct iphdr ip;
	struct udphdr udp;
	struct wg_data wg;
} __attribute__((packed));

static __always_inline int direction(const struct headers *h)
{
	if (h->ip.saddr == names.node && h->ip.daddr == names.gateway)
		return LOAD_IN;
	if (h->ip.saddr == names.mesh && h->ip.daddr == names.gateway)	/* the gateway is on the node */
		return LOAD_IN;
	if (h->ip.saddr == names.node && h->ip.daddr == names.laptop && h->udp.source == names.port &&
	    h->wg.type == WG_DATA && h->udp.len != bpf_htons(sizeof(struct udphdr) + WG_DATA_MIN_LEN))
		return LOAD_OUT;
	if (h->ip.saddr == names.gateway && h->ip.daddr == names.mesh)	/* without a tunnel */
		return LOAD_OUT;
	if (h->ip.daddr == names.node)		/* bounced, not forwarded */
		return h->ip.saddr == names.gateway ? LOAD_OUT : LOAD_IN;
	return NOT_OURS;
}

static __always_inline void take_sample(struct xdp_md *ctx, __u32 dir, __u32 len)
{
	struct load_sample *sample = bpf_ringbuf_reserve(&samples, sizeof(*sample), 0);

	if (!sample) {
		seen[dir].unsampled++;
		return;
	}
	sample->ns = bpf_ktime_get_ns();
	sample->dir = dir;
	sample->len = len;
	if (len > LOAD_FRAME_MAX)
		len = LOAD_FRAME_MAX;
	if (len < sizeof(struct headers) || bpf_xdp_load_bytes(ctx, 0, sample->frame, len))
		sample->len = 0;
	bpf_ringbuf_submit(sample, BPF_RB_NO_WAKEUP);
}

SEC("xdp")
int load_sink(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct headers *h = (void *)(long)ctx->data;
	__u32 every = sample_every;
	int dir;

	if ((void *)(h + 1) > end)
		return XDP_PASS;
	if (h->eth.h_proto != bpf_htons(ETH_P_IP) || h->ip.ihl != 5 || h->ip.protocol != IPPROTO_UDP)
		return XDP_PASS;
	dir = direction(h);
	if (dir == NOT_OURS)
		return XDP_PASS;
	dir &= 1;
	if (bpf_ntohs(h->ip.tot_len) != wanted_len[dir]) {
		seen[dir].odd++;
		return XDP_DROP;
	}
	if (every && seen[dir].packets++ % every == 0)
		take_sample(ctx, dir, sizeof(struct ethhdr) + bpf_ntohs(h->ip.tot_len));
	return XDP_DROP;
}

/*
 * Is the window full? Packets that do not arrive in time are given up, or each loss would shrink the window
 * for good.
 */
static __always_inline bool must_wait(__u64 now_ns)
{
	__u64 arrived = seen[plan.dir & 1].packets;

	if (arrived != progress.moved_seen || !progress.moved_ns) {
		progress.moved_seen = arrived;
		progress.moved_ns = now_ns;
	} else if (now_ns - progress.moved_ns > plan.stuck_ns) {
		progress.lost = progress.next - arrived;
		progress.moved_ns = now_ns;
	}
	return plan.window && progress.next - progress.lost >= arrived + plan.window;
}

static __always_inline void mark_time(__u64 now_ns)
{
	__u64 spent_ns;

	if (!progress.start_ns)
		progress.start_ns = now_ns;
	spent_ns = now_ns - progress.start_ns;
	if (!progress.warm_ns && (progress.next * 5 >= plan.count || spent_ns * 5 >= plan.limit_ns)) {
		progress.warm_next = progress.next;
		progress.warm_seen = seen[plan.dir & 1].packets;
		progress.warm_ns = now_ns;
	}
	if (progress.next >= plan.count || spent_ns >= plan.limit_ns) {
		progress.end_seen = seen[plan.dir & 1].packets;
		progress.end_ns = now_ns;
	}
}

SEC("xdp")
int load_source(struct xdp_md *ctx)
{
	__u32 number = progress.next, len = plan.frame_len;
	__u64 now_ns = bpf_ktime_get_ns();
	struct load_slot *slot;

	if (progress.end_ns)
		return XDP_DROP;
	mark_time(now_ns);
	if (progress.end_ns || must_wait(now_ns) || now_ns - progress.start_ns < number * plan.interval_ns)
		return XDP_DROP;
	slot = bpf_map_lookup_elem(&slots, &number);
	if (!slot || !len || len > LOAD_FRAME_MAX || bpf_xdp_store_bytes(ctx, 0, slot->frame, len))
		return XDP_ABORTED;
	slot->sent_ns = now_ns;
	progress.next++;
	return bpf_redirect(plan.ifindex, 0);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
