/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is written while somebody watches (watch_types.h): samples of dropped packets, copies of one
 * peer's packets.
 */
#ifndef TALON_LIB_WATCH_H
#define TALON_LIB_WATCH_H

#include "lib/frame.h"

static __always_inline struct talon_watch *watch_get(enum talon_watch_id id)
{
	__u32 at = id;

	return bpf_map_lookup_elem(&watches, &at);
}

/* Ends a lease that was not renewed, unless it is being renewed now. */
static __always_inline bool watch_is_over(struct talon_watch *watch, __u64 now_ns)
{
	__u64 until_ns = *(volatile __u64 *)&watch->until_ns;

	if (until_ns > now_ns)
		return false;
	if (until_ns)
		__sync_val_compare_and_swap(&watch->until_ns, until_ns, 0);
	return true;
}

static __always_inline void watch_count(__u32 which)
{
	__u64 *n = bpf_map_lookup_elem(&watch_counts, &which);

	if (n)
		(*n)++;		/* per CPU */
}

/*
 * The bytes of the IP packet that are there: less than its header says, perhaps, and a frame may be padded.
 */
static __always_inline __u32 sample_len(__u32 said, __u32 room)
{
	return said && said < room ? said : room;
}

static __always_inline void sample_ports(ctx_md *ctx, __u32 off, struct talon_drop_sample *s)
{
	__be16 ports[2];

	if (ctx_load_bytes(ctx, off, ports, sizeof(ports)))
		return;
	s->sport = ports[0];
	s->dport = ports[1];
	s->has_ports = 1;
}

static __always_inline bool sample_read4(ctx_md *ctx, __u32 off, __u32 room, struct talon_drop_sample *s)
{
	struct iphdr ip;

	if (ctx_load_bytes(ctx, off, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5)
		return false;
	s->family = AF_INET;
	s->proto = ip.protocol;
	s->len = sample_len(bpf_ntohs(ip.tot_len), room);
	addr_set4(&s->src, ip.saddr);
	addr_set4(&s->dst, ip.daddr);
	if (!(ip.frag_off & bpf_htons(IP_OFFSET)))
		sample_ports(ctx, off + ip.ihl * 4, s);
	return true;
}

static __always_inline bool sample_read6(ctx_md *ctx, __u32 off, __u32 room, struct talon_drop_sample *s)
{
	struct ipv6hdr ip6;

	if (ctx_load_bytes(ctx, off, &ip6, sizeof(ip6)) || ip6.version != 6)
		return false;
	s->family = AF_INET6;
	s->proto = ip6.nexthdr;
	s->len = sample_len(sizeof(ip6) + bpf_ntohs(ip6.payload_len), room);
	__builtin_memcpy(&s->src, &ip6.saddr, sizeof(s->src));
	__builtin_memcpy(&s->dst, &ip6.daddr, sizeof(s->dst));
	if (ip6.nexthdr == IPPROTO_TCP || ip6.nexthdr == IPPROTO_UDP || ip6.nexthdr == IPPROTO_ICMPV6)
		sample_ports(ctx, off + sizeof(ip6), s);
	return true;
}

/* Reads the addresses out of the frame, wherever its headers are by now. */
static __always_inline void sample_read(ctx_md *ctx, const struct talon_pkt *pkt, struct talon_drop_sample *s)
{
	__u32 off = L3_OFF, room = frame_len(ctx) - L3_OFF;
	struct ether *eth = frame_eth(ctx);

	switch (pkt->place) {
	case PLACE_FRAME:
		if (!eth || (eth->h_proto != bpf_htons(ETH_P_IP) && eth->h_proto != bpf_htons(ETH_P_IPV6)))
			return;
		break;
	case PLACE_OPENED:
		off = pkt->wg_off + WG_DATA_HEADER_LEN;
		room = pkt->cipher_len;
		break;
	case PLACE_INNER:
		break;
	default:
		return;
	}
	if (!sample_read4(ctx, off, room, s) && !sample_read6(ctx, off, room, s))
		return;
	s->layer = pkt->place == PLACE_FRAME && pkt->dir == TALON_DIR_IN ? TALON_SAMPLE_OUTER
		: TALON_SAMPLE_INNER;
}

/* The slow part of watch_drop(): somebody watched not long ago. */
__noinline int watch_drop_send(ctx_md *ctx, struct talon_pkt *pkt)
{
	struct talon_watch *watch = watch_get(TALON_WATCH_DROPS);
	struct talon_drop_sample s = {};

	if (!pkt || !watch)
		return 0;
	s.time_ns = bpf_ktime_get_boot_ns();
	if (watch_is_over(watch, s.time_ns) || !(watch->reasons >> (pkt->end & 63) & 1) ||
		!(watch->dirs >> (pkt->dir & 31) & 1) ||
		(watch->peer != TALON_PEER_NONE && watch->peer != pkt->peer))
		return 0;
	if (!rate_take(s.time_ns, TALON_RATE_DROP_SAMPLE)) {
		watch_count(TALON_WATCH_DROPS_LIMITED);
		return 0;
	}
	s.peer = pkt->peer;
	s.ifindex = frame_ifindex(ctx);
	s.dir = pkt->dir;
	s.reason = pkt->end;
	sample_read(ctx, pkt, &s);
	watch_count(bpf_perf_event_output(ctx, &watch_drops, BPF_F_CURRENT_CPU, &s, sizeof(s)) ?
		TALON_WATCH_DROPS_LOST : TALON_WATCH_DROPS_SENT);
	return 0;
}

/* For a packet that is not sent and not passed: tells of it, if it is a drop and somebody wants to know. */
static __always_inline void watch_drop(ctx_md *ctx, struct talon_pkt *pkt)
{
	struct talon_watch *watch = watch_get(TALON_WATCH_DROPS);

	if (watch && watch->until_ns)
		watch_drop_send(ctx, pkt);
}

/*
 * With TALON_F_CAPTURE: copies the inner packet behind the Ethernet header to who captures this peer's. The
 * kernel copies from the frame to that process's ring: no pinned map holds plaintext meanwhile.
 */
__noinline int watch_packet(ctx_md *ctx, struct talon_pkt *pkt, __u32 dir)
{
	struct talon_watch *watch = watch_get(TALON_WATCH_PACKETS);
	struct talon_packet_head head = {};
	__u64 flags;

	if (!pkt || !watch || watch_is_over(watch, pkt->now_ns) || watch->peer != pkt->peer)
		return 0;
	head.time_ns = pkt->now_ns;
	head.peer = pkt->peer;
	head.len = pkt->tot_len;
	head.size = pkt->tot_len < watch->size ? pkt->tot_len : watch->size;
	head.dir = dir;
	flags = BPF_F_CURRENT_CPU | (__u64)(L3_OFF + head.size) << 32;	/* BPF_F_CTXLEN_MASK */
	watch_count(bpf_perf_event_output(ctx, &watch_packets, flags, &head, sizeof(head)) ?
		TALON_WATCH_PACKETS_LOST : TALON_WATCH_PACKETS_SENT);
	return 0;
}

#endif
