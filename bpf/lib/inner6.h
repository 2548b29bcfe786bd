/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The inner packet's IPv6 header and what may stand between it and the transport (RFC 8200 section 4): read
 * into what is common to both families, checked, changed. inner4.h does the same for IPv4.
 */
#ifndef TALON_LIB_INNER6_H
#define TALON_LIB_INNER6_H

#include "lib/frame.h"

/* Extension headers in a row. Nobody sends as many; RFC 8504 section 5.3 lets a limit be set. */
#define INNER6_HEADERS_MAX	8

#define INNER6_FRAG_OFFSET	0xfff8
#define INNER6_FRAG_MORE	0x0001

enum inner6_piece {
	INNER6_WHOLE,		/* also a fragment that is alone (RFC 6946) */
	INNER6_FIRST,
	INNER6_LATER,
};

/* Along the headers of one packet, up to the first that is no extension. */
struct inner6_walk {
	ctx_md	*ctx;
	__u32	off;		/* of the header in hand */
	__u32	last;		/* end of the packet */
	__u32	proto;		/* of the header in hand */
	__u32	reason;		/* to drop; TALON_END_COUNT: none */
	__u32	piece;		/* enum inner6_piece */
	__be32	frag_id;
	__u32	fragments;	/* fragment headers */
	__u32	at_end;
};

/* Headers that the walk goes over, or drops the packet for. */
static __always_inline bool inner6_is_extension(__u8 nexthdr)
{
	return nexthdr == IPPROTO_HOPOPTS || nexthdr == IPPROTO_ROUTING || nexthdr == IPPROTO_FRAGMENT ||
		nexthdr == IPPROTO_DSTOPTS;
}

/* Behind such a header may be an ICMPv6 error (RFC 4302, RFC 6275). */
static __always_inline bool inner6_hides(__u8 nexthdr)
{
	return inner6_is_extension(nexthdr) || nexthdr == IPPROTO_AH || nexthdr == IPPROTO_MH;
}

/* Reads a fragment header, and stops at a later fragment: what follows is data. */
static __always_inline long inner6_step_fragment(struct inner6_walk *w, const __u8 *header)
{
	__u32 frag = header[2] << 8 | header[3];

	if (w->fragments)
		return 1;
	w->fragments = 1;
	w->reason = TALON_END_COUNT;
	w->frag_id = *(__be32 *)(header + 4);
	if (frag & INNER6_FRAG_OFFSET)
		w->piece = INNER6_LATER;
	else if (frag & INNER6_FRAG_MORE)
		w->piece = INNER6_FIRST;
	w->at_end = w->piece == INNER6_LATER;
	return w->at_end;
}

/* Goes over one header, or stops. A callback, so that it is verified once instead of once per header. */
static long inner6_step(__u64 i, struct inner6_walk *w)
{
	__u32 proto = w->proto;
	__u8 *header;

	if (!inner6_is_extension(proto)) {
		w->at_end = 1;
		return 1;
	}
	w->reason = TALON_SOURCE_ROUTED;	/* RFC 5095; the other types name a way as well */
	if (proto == IPPROTO_ROUTING)
		return 1;
	w->reason = TALON_BAD_INNER;
	header = frame_at_spilled(w->ctx, w->off, 8);
	if (!header || w->off + 8 > w->last || (proto == IPPROTO_HOPOPTS && i))
		return 1;
	w->proto = header[0];
	if (proto == IPPROTO_FRAGMENT) {
		w->off += 8;
		return inner6_step_fragment(w, header);
	}
	w->off += 8 + header[1] * 8;
	if (w->off > w->last)
		return 1;
	w->reason = TALON_END_COUNT;
	return 0;
}

/* Returns 0, or a reason to drop. */
static __always_inline __u32 inner6_walk(struct inner6_walk *w)
{
	w->reason = TALON_END_COUNT;
	bpf_loop(INNER6_HEADERS_MAX + 1, inner6_step, w, 0);
	if (w->reason != TALON_END_COUNT)
		return w->reason;
	return w->at_end ? 0 : TALON_BAD_INNER;
}

/* Sets pkt->tot_len from the header at @ip6. Returns 0, or -1 if the packet is longer than @room bytes. */
static __always_inline int inner6_measure(struct talon_pkt *pkt, const struct ipv6hdr *ip6, __u32 room)
{
	pkt->tot_len = sizeof(*ip6) + bpf_ntohs(ip6->payload_len);
	return pkt->tot_len > room ? -1 : 0;
}

/* The traffic class, which is to IPv6 what the type of service is to IPv4. */
static __always_inline __u8 inner6_tos(const struct ipv6hdr *ip6)
{
	const __u8 *byte = (const __u8 *)ip6;

	return (byte[0] & 0x0f) << 4 | byte[1] >> 4;
}

/*
 * The header of a decrypted packet at @off, before anything trusts it: sets pkt->tot_len, and joins the outer
 * ECN field to the inner one (RFC 6040). Returns 0 or a reason to drop.
 */
static __always_inline __u32 inner6_accept(ctx_md *ctx, struct talon_pkt *pkt, __u32 off)
{
	struct ipv6hdr *ip6 = frame_at_spilled(ctx, off, sizeof(*ip6));
	__u8 *byte = (__u8 *)ip6;
	int ecn;

	if (!ip6 || inner6_measure(pkt, ip6, pkt->cipher_len))
		return TALON_BAD_INNER;
	ecn = ecn_decapsulate(pkt->outer_tos, inner6_tos(ip6));
	if (ecn < 0)
		return TALON_CONGESTED;
	byte[1] = (byte[1] & ~(ECN_MASK << 4)) | ecn << 4;
	return 0;
}

/* The slow part of inner6_read(): extension headers. Returns 0 or a reason to drop. */
__noinline int inner6_read_extensions(ctx_md *ctx, struct talon_pkt *pkt)
{
	struct inner6_walk walk = { .ctx = ctx };
	__u32 reason;

	if (!pkt)
		return TALON_INTERNAL;
	walk.off = pkt->l4_off;
	walk.last = L3_OFF + pkt->tot_len;
	walk.proto = pkt->proto;
	reason = inner6_walk(&walk);
	if (reason)
		return reason;
	pkt->l4_off = walk.off;
	pkt->proto = walk.proto;
	pkt->frag_id = walk.frag_id;
	pkt->first_fragment = walk.piece == INNER6_FIRST;
	if (walk.piece == INNER6_LATER)
		pkt->kind = INNER_FRAGMENT;
	return 0;
}

/* The key of a packet with ports. */
static __always_inline void inner6_set_key(struct talon_pkt *pkt, const struct talon_config *cfg)
{
	pkt->key.src = talon_fold6(cfg->keys.fold, &pkt->key_src);
	pkt->key.dst = talon_fold6(cfg->keys.fold, &pkt->key_dst);
}

/* Ports, ICMPv6 type and id, TCP flags. Returns 0 or a reason to drop. */
static __always_inline __u32 inner6_read_transport(ctx_md *ctx, struct talon_pkt *pkt)
{
	__u32 size = pkt->proto == IPPROTO_TCP ? sizeof(struct tcphdr) : sizeof(struct udphdr);
	__u8 *header = frame_at_spilled(ctx, pkt->l4_off, sizeof(struct udphdr));

	if (pkt->proto != IPPROTO_TCP && pkt->proto != IPPROTO_UDP && pkt->proto != IPPROTO_ICMPV6)
		return 0;
	if (!header || pkt->l4_off + size > L3_OFF + pkt->tot_len)
		return TALON_BAD_INNER;
	if (pkt->proto == IPPROTO_ICMPV6) {
		pkt->icmp_type = header[0];
		if (header[0] >= ICMP6_UNREACHABLE && header[0] <= ICMP6_PARAMETER)
			pkt->kind = INNER_ICMP_ERROR;
		if (header[0] != ICMP6_ECHO && header[0] != ICMP6_ECHOREPLY)
			return 0;
		pkt->key.sport = *(__be16 *)(header + 4);
		pkt->key.dport = pkt->key.sport;
	} else {
		pkt->key.sport = *(__be16 *)header;
		pkt->key.dport = *(__be16 *)(header + 2);
	}
	pkt->kind = INNER_FLOW;
	if (pkt->proto != IPPROTO_TCP)
		return 0;
	header = frame_at_spilled(ctx, pkt->l4_off, sizeof(struct tcphdr));
	if (!header)
		return TALON_BAD_INNER;
	pkt->tcp_flags = header[13];
	return 0;
}

/*
 * Reads the IPv6 packet after the Ethernet header, as inner4_read() does an IPv4 one; frag_id as well.
 * Routers do not fragment IPv6. Returns 0 or a reason to drop.
 */
__noinline int inner6_read(ctx_md *ctx, struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();
	struct ipv6hdr *ip6 = frame_ip6(ctx);
	__u32 reason;

	if (!pkt || !cfg)
		return TALON_INTERNAL;
	if (!ip6 || ip6->version != 6 || inner6_measure(pkt, ip6, frame_len(ctx) - L3_OFF))
		return TALON_BAD_INNER;
	pkt->l4_off = L3_OFF + sizeof(*ip6);
	pkt->proto = ip6->nexthdr;
	pkt->hops = ip6->hop_limit;
	pkt->tcp_flags = 0;
	pkt->dont_fragment = 1;
	pkt->first_fragment = 0;
	pkt->kind = INNER_OTHER;
	__builtin_memcpy(&pkt->inner_src, &ip6->saddr, sizeof(pkt->inner_src));
	__builtin_memcpy(&pkt->inner_dst, &ip6->daddr, sizeof(pkt->inner_dst));
	pkt->key_src = pkt->inner_src;
	pkt->key_dst = pkt->inner_dst;
	pkt->key.sport = 0;
	pkt->key.dport = 0;
	if (inner6_is_extension(pkt->proto)) {
		reason = inner6_read_extensions(ctx, pkt);
		if (reason || pkt->kind == INNER_FRAGMENT)
			return reason;
	}
	reason = inner6_read_transport(ctx, pkt);
	if (reason)
		return reason;
	pkt->key.proto = pkt->proto | TALON_PROTO_SIX;
	if (pkt->kind == INNER_FLOW)
		inner6_set_key(pkt, cfg);
	return 0;
}

/*
 * For an ICMPv6 error: replaces the key by that of the embedded packet, reversed, so that it names the flow
 * as seen from the side that sent the error, and sets pkt->embedded_off and embedded_proto. Returns 0 or -1;
 * embedded later fragments have no ports.
 */
__noinline int inner6_read_embedded(ctx_md *ctx, struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();
	struct inner6_walk walk = { .ctx = ctx };
	struct ipv6hdr *in;
	__be16 *ports;

	if (!pkt || !cfg)
		return -1;
	walk.off = pkt->l4_off + 8;
	walk.last = L3_OFF + pkt->tot_len;
	in = frame_at_spilled(ctx, walk.off, sizeof(*in));
	if (!in || in->version != 6)
		return -1;
	__builtin_memcpy(&pkt->key_src, &in->daddr, sizeof(pkt->key_src));
	__builtin_memcpy(&pkt->key_dst, &in->saddr, sizeof(pkt->key_dst));
	walk.proto = in->nexthdr;
	walk.off += sizeof(*in);
	if (inner6_is_extension(walk.proto) && (inner6_walk(&walk) || walk.piece == INNER6_LATER))
		return -1;
	ports = frame_at_spilled(ctx, walk.off, 8);
	if (!ports || walk.off + 8 > walk.last)
		return -1;
	switch (walk.proto) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
		pkt->key.sport = ports[1];
		pkt->key.dport = ports[0];
		break;
	case IPPROTO_ICMPV6:
		pkt->key.sport = ports[2];	/* the query's id */
		pkt->key.dport = ports[2];
		break;
	default:
		return -1;
	}
	pkt->embedded_off = walk.off;
	pkt->embedded_proto = walk.proto;
	pkt->key.proto = walk.proto | TALON_PROTO_SIX;
	inner6_set_key(pkt, cfg);
	return 0;
}

/*
 * RFC 4890 section 4.3.3: ICMPv6 of one link alone, which no router forwards: multicast listeners, neighbours
 * and their routers (also inverse and secured).
 */
static __always_inline bool inner6_is_of_link(const struct talon_pkt *pkt)
{
	__u8 type = pkt->icmp_type;

	return pkt->proto == IPPROTO_ICMPV6 && pkt->kind == INNER_OTHER && ((type >= 130 && type <= 137) ||
		(type >= 141 && type <= 143) || type == 148 || type == 149 || (type >= 151 && type <= 153));
}

#endif
