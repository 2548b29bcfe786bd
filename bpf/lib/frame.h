/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Growing, shrinking and sending frames, once for XDP and once for tc. After any of these, packet pointers
 * must be taken again.
 */
#ifndef TALON_LIB_FRAME_H
#define TALON_LIB_FRAME_H

#include "lib/packet.h"

/* longer ones are never ours: one page holds a frame that XDP can see whole */
#define FRAME_MAX 4096U

/* the most metadata that XDP can put before a frame; it was 32 bytes before */
#define FRAME_META_MAX 252

#ifdef TALON_TC

static __always_inline __u32 frame_len(ctx_md *ctx)
{
	return ctx->len;
}

/* All bytes readable and writable through packet pointers. */
static __always_inline int frame_linearize(ctx_md *ctx)
{
	return bpf_skb_pull_data(ctx, ctx->len);	/* 0 would mean the part that is linear already */
}

/* What the helper that turns skb->protocol leaves alone: the header itself. */
static __always_inline int frame_set_type(ctx_md *ctx, bool six)
{
	__be16 type = six ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);

	return bpf_skb_store_bytes(ctx, offsetof(struct ether, h_proto), &type, sizeof(type), 0);
}

/* By how much that helper lengthens a packet that becomes IPv6, at the place of its first header. */
#define FRAME_TURN_LEN	(sizeof(struct ipv6hdr) - sizeof(struct iphdr))

/*
 * Removes @len bytes right behind the Ethernet header. @from6: an IPv6 header is the first of them, else an
 * IPv4 header. @to6: what comes after them is IPv6, else IPv4; the Ethernet type says so.
 */
static __always_inline int frame_pop(ctx_md *ctx, __u32 len, bool from6, bool to6)
{
	if (from6 != to6) {
		if (bpf_skb_change_proto(ctx, to6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP), 0))
			return -1;
		len += to6 ? FRAME_TURN_LEN : -FRAME_TURN_LEN;
	}
	if (bpf_skb_adjust_room(ctx, -(__s32)len, BPF_ADJ_ROOM_MAC, 0))
		return -1;
	return from6 != to6 ? frame_set_type(ctx, to6) : 0;
}

static __always_inline int frame_grow(ctx_md *ctx, __u32 len)
{
	return bpf_skb_adjust_room(ctx, len, BPF_ADJ_ROOM_MAC,
		BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET);
}

/*
 * Makes room for @len bytes right behind the Ethernet header. @from6: what is there now is IPv6, else IPv4.
 * @to6: an IPv6 header will be the first, else an IPv4 header.
 */
static __always_inline int frame_push(ctx_md *ctx, __u32 len, bool from6, bool to6)
{
	if (!from6 && to6) {
		if (bpf_skb_change_proto(ctx, bpf_htons(ETH_P_IPV6), 0))
			return -1;
		len -= FRAME_TURN_LEN;
	}
	/* turned to IPv4, a packet loses bytes at its front: blank ones by then */
	if (frame_grow(ctx, from6 && !to6 ? len + FRAME_TURN_LEN : len) ||
		(from6 && !to6 && bpf_skb_change_proto(ctx, bpf_htons(ETH_P_IP), 0)))
		return -1;
	return bpf_skb_pull_data(ctx, ctx->len);
}

/*
 * The same in front of everything: what the frame holds is of no use, and of a type that
 * adjust_room does not take.
 */
static __always_inline int frame_push_blank(ctx_md *ctx, __u32 len)
{
	if (bpf_skb_change_head(ctx, len, 0))
		return -1;
	return bpf_skb_pull_data(ctx, ctx->len);
}

/* Cuts the end off, so that the frame has @len bytes. */
static __always_inline int frame_trim(ctx_md *ctx, __u32 len)
{
	if (ctx->len == len)
		return 0;
	return bpf_skb_change_tail(ctx, len, 0);
}

/*
 * The same for a sealed frame. The kernel cuts no further than to where it once saw a transport header, which
 * for the shortest inner packets lies behind the end by now: what is left over is then zeroed, and the frame
 * is a little longer than the IP packet in it, like any short frame on a wire.
 */
static __always_inline int frame_cut(ctx_md *ctx, __u32 len)
{
	static const __u8 zeros[32];
	__u32 more;

	if (!frame_trim(ctx, len))
		return 0;
	more = ctx->len - len - 1;
	barrier_var(more);
	if (more >= sizeof(zeros))
		return -1;
	return bpf_skb_store_bytes(ctx, len, zeros, more + 1, 0);
}

static __always_inline __u32 frame_ifindex(ctx_md *ctx)
{
	return ctx->ifindex;
}

/* What lies there when frame_pop() has been is zeroed; how long it is does not change. */
static __always_inline void frame_wipe_meta(ctx_md *ctx)
{
	__u32 *word = (void *)(long)ctx->data_meta;
	void *data = ctx_data(ctx);

	for (int i = 0; i < FRAME_META_MAX / 4 && (void *)(word + 1) <= data; i++)
		*(volatile __u32 *)word++ = 0;	/* else clang makes it a memset, which BPF has not */
}

#define VERDICT_PASS	-1	/* TC_ACT_UNSPEC, TCX_NEXT: the next program decides */
#define VERDICT_DROP	2	/* TC_ACT_SHOT */

static __always_inline int frame_send(ctx_md *ctx, const struct talon_config *cfg, __u32 ifindex)
{
	return bpf_redirect(ifindex, 0);
}

/* With the kernel's own neighbour: for a device that has none which the FIB helper knows. */
static __always_inline int frame_send_onward(ctx_md *ctx, const struct talon_config *cfg, __u32 ifindex)
{
	return bpf_redirect_neigh(ifindex, NULL, 0, 0);
}

/* What it is counted as: here the frame leaves by the device at once. */
static __always_inline enum talon_end frame_onward_end(void)
{
	return TALON_FORWARDED;
}

#else

static __always_inline __u32 frame_len(ctx_md *ctx)
{
	__u64 len;

	/*
	 * Written out, because clang would subtract the 32-bit fields, which to the verifier are
	 * pointers cut in half.
	 */
	asm volatile("%0 = %1\n%0 -= %2" : "=&r"(len) : "r"(ctx_data_end(ctx)), "r"(ctx_data(ctx)));
	return len;
}

static __always_inline int frame_linearize(ctx_md *ctx)
{
	return 0;	/* programs without the frags flag see linear frames only */
}

/* MACs are carried along, since the bytes before the new start are gone; the type becomes that of @six. */
static __always_inline int frame_move_start(ctx_md *ctx, int delta, bool six)
{
	struct ether *eth = ctx_data(ctx);
	__u64 macs[2];

	if ((void *)(eth + 1) > ctx_data_end(ctx))
		return -1;
	macs[0] = *(__u64 *)eth->h_dest;
	macs[1] = *(__u32 *)(eth->h_dest + 8);
	if (bpf_xdp_adjust_head(ctx, delta))
		return -1;
	eth = ctx_data(ctx);
	if ((void *)(eth + 1) > ctx_data_end(ctx))
		return -1;
	*(__u64 *)eth->h_dest = macs[0];
	*(__u32 *)(eth->h_dest + 8) = macs[1];
	eth->h_proto = six ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);
	return 0;
}

static __always_inline int frame_pop(ctx_md *ctx, __u32 len, bool from6, bool to6)
{
	return frame_move_start(ctx, len, to6);
}

static __always_inline int frame_push(ctx_md *ctx, __u32 len, bool from6, bool to6)
{
	return frame_move_start(ctx, -(int)len, to6);
}

static __always_inline int frame_push_blank(ctx_md *ctx, __u32 len)
{
	return frame_move_start(ctx, -(int)len, false);
}

static __always_inline int frame_trim(ctx_md *ctx, __u32 len)
{
	int delta = (int)len - (int)frame_len(ctx);

	return delta ? bpf_xdp_adjust_tail(ctx, delta) : 0;
}

static __always_inline int frame_cut(ctx_md *ctx, __u32 len)
{
	return frame_trim(ctx, len);
}

static __always_inline __u32 frame_ifindex(ctx_md *ctx)
{
	return ctx->ingress_ifindex;
}

static __always_inline void frame_wipe_meta(ctx_md *ctx)
{
	if (ctx->data_meta != ctx->data)
		bpf_xdp_adjust_meta(ctx, ctx->data - ctx->data_meta);
}

#define VERDICT_PASS	XDP_PASS
#define VERDICT_DROP	XDP_DROP

static __always_inline int frame_send(ctx_md *ctx, const struct talon_config *cfg, __u32 ifindex)
{
	if (ifindex == ctx->ingress_ifindex && (cfg->flags & TALON_F_XDP_TX) && ifindex != cfg->relay_ifindex)
		return XDP_TX;
	return bpf_redirect(ifindex, 0);
}

/*
 * Through the relay pair: the program at the other end sends the frame on from tc (config_types.h,
 * onward frames).
 */
static __always_inline int frame_send_onward(ctx_md *ctx, const struct talon_config *cfg, __u32 ifindex)
{
	static const __u8 mac[6] = TALON_ONWARD_MAC;
	struct talon_onward *head = ctx_data(ctx);

	if ((void *)(head + 1) > ctx_data_end(ctx))
		return XDP_DROP;
	__builtin_memcpy(head->dmac, mac, sizeof(mac));
	head->smac[0] = 2;
	head->smac[1] = 0;
	__builtin_memcpy(head->ifindex, &ifindex, sizeof(ifindex));
	return bpf_redirect(cfg->relay_ifindex, 0);
}

static __always_inline enum talon_end frame_onward_end(void)
{
	return TALON_ONWARD;
}

#endif

/*
 * Takes away the metadata that an XDP program left with a frame: the CNI's private channel, and what it says
 * is about the outer packet. Cilium would read there that no service is to be looked for. A function of its
 * own for the verifier, as it has a loop and several callers. Packet pointers must be taken again.
 */
__noinline int frame_forget_meta(ctx_md *ctx)
{
	frame_wipe_meta(ctx);
	return 0;
}

static __always_inline bool frame_is_tc(void)
{
#ifdef TALON_TC
	return true;
#else
	return false;
#endif
}

/* Does the device take frames that XDP redirects to it? One that nobody has told of yet does not. */
static __always_inline bool frame_xdp_redirects_to(__u32 ifindex)
{
	struct talon_link *link = bpf_map_lookup_elem(&links, &ifindex);

	return link && (link->flags & TALON_LINK_REDIRECT);
}

/* The same for frames of this hook: from tc, any device does. */
static __always_inline bool frame_redirects_to(__u32 ifindex)
{
	return frame_is_tc() || frame_xdp_redirects_to(ifindex);
}

/* How a frame goes back by the device that it came in by. */
static __always_inline enum talon_action frame_back_action(ctx_md *ctx, const struct talon_config *cfg)
{
	return (cfg->flags & TALON_F_XDP_TX) || frame_redirects_to(frame_ifindex(ctx)) ? ACTION_SEND
		: ACTION_ONWARD;
}

/* Is the frame addressed to us on layer 2? On a port in promiscuous mode others' traffic passes as well. */
static __always_inline bool frame_is_to_us(ctx_md *ctx)
{
#ifdef TALON_TC
	return ctx->pkt_type == 0;	/* PACKET_HOST */
#else
	__u32 ifindex = frame_ifindex(ctx);
	struct talon_link *link = bpf_map_lookup_elem(&links, &ifindex);
	struct ether *eth = ctx_data(ctx);

	return link && (void *)(eth + 1) <= ctx_data_end(ctx) && mac_equal(eth->h_dest, link->mac);
#endif
}

/* Belongs to a VLAN device: in tc the tag is no longer in the frame. */
static __always_inline bool frame_is_tagged(ctx_md *ctx)
{
#ifdef TALON_TC
	return ctx->vlan_present;
#else
	return false;	/* the Ethernet type says so */
#endif
}

/* The Ethernet header, or NULL. */
static __always_inline struct ether *frame_eth(ctx_md *ctx)
{
	struct ether *eth = ctx_data(ctx);

	return (void *)(eth + 1) > ctx_data_end(ctx) ? NULL : eth;
}

/* The IPv4 header right behind it, or NULL. Options are not covered by the check. */
static __always_inline struct iphdr *frame_ip(ctx_md *ctx)
{
	struct iphdr *ip = ctx_data(ctx) + L3_OFF;

	return (void *)(ip + 1) > ctx_data_end(ctx) ? NULL : ip;
}

/* The IPv6 header there, or NULL. */
static __always_inline struct ipv6hdr *frame_ip6(ctx_md *ctx)
{
	struct ipv6hdr *ip6 = ctx_data(ctx) + L3_OFF;

	return (void *)(ip6 + 1) > ctx_data_end(ctx) ? NULL : ip6;
}

/* @len bytes at @off, or NULL. @off may vary, @len must be a constant. */
static __always_inline void *frame_at(ctx_md *ctx, __u32 off, __u32 len)
{
	void *p;

	if (off > FRAME_MAX)
		return NULL;
	p = ctx_data(ctx) + off;
	return p + len > ctx_data_end(ctx) ? NULL : p;
}

/*
 * The same for an @off that is used elsewhere, too. Kept in a register of its own: clang spills such a
 * variable between the check and the addition, and 6.1's verifier then says "R2 offset is outside of the
 * packet", as it does not keep the bounds of what was on the stack.
 */
static __always_inline void *frame_at_spilled(ctx_md *ctx, __u32 off, __u32 len)
{
	__u64 at = off;
	void *p;

	if (off > FRAME_MAX)
		return NULL;
	asm volatile("%0 &= 0x1fff" : "+r"(at));
	p = ctx_data(ctx) + at;
	return p + len > ctx_data_end(ctx) ? NULL : p;
}

#endif
