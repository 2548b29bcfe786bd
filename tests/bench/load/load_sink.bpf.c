// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// XDP at the far end of the wire: counts what the routing peer forwarded, copies every n-th frame for inspection, drops it.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

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

char LICENSE[] SEC("license") = "Dual BSD/GPL";
