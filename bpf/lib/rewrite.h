/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Changes addresses, ports and MSS of the packet after the Ethernet header, and its checksums. */
#ifndef TALON_LIB_REWRITE_H
#define TALON_LIB_REWRITE_H

#include "lib/inner4.h"

enum rewrite_side { REWRITE_SOURCE, REWRITE_DESTINATION };

/*
 * Address and port of one side of a TCP, UDP or ICMP query packet (the id, for ICMP); of a later
 * fragment just the address. Writes directly: checksums must be complete, as they are in decrypted
 * packets and in frames that XDP sees.
 */
static __always_inline int rewrite_side(ctx_md *ctx, struct talon_pkt *pkt, enum rewrite_side side,
	__be32 addr, __be16 port)
{
	struct iphdr *ip = frame_ip(ctx);
	__be32 old;

	if (!ip)
		return -1;
	if (side == REWRITE_SOURCE) {
		old = ip->saddr;
		ip->saddr = addr;
	} else {
		old = ip->daddr;
		ip->daddr = addr;
	}
	ip->check = csum_replace4(ip->check, old, addr);
	if (pkt->kind != INNER_FLOW)
		return 0;
	switch (pkt->proto) {
	case IPPROTO_TCP: {
		struct tcphdr *tcp = frame_at(ctx, pkt->l4_off, sizeof(*tcp));
		__be16 *field;

		if (!tcp)
			return -1;
		field = side == REWRITE_SOURCE ? &tcp->source : &tcp->dest;
		tcp->check = csum_replace2(csum_replace4(tcp->check, old, addr), *field, port);
		*field = port;
		return 0;
	}
	case IPPROTO_UDP: {
		struct udphdr *udp = frame_at(ctx, pkt->l4_off, sizeof(*udp));
		__be16 *field;

		if (!udp)
			return -1;
		field = side == REWRITE_SOURCE ? &udp->source : &udp->dest;
		udp->check = csum_udp(udp->check, csum_replace2(csum_replace4(udp->check, old, addr),
			*field, port));
		*field = port;
		return 0;
	}
	case IPPROTO_ICMP: {
		struct icmphdr *icmp = frame_at(ctx, pkt->l4_off, sizeof(*icmp));

		if (!icmp)
			return -1;
		icmp->checksum = csum_replace2(icmp->checksum, icmp->un.echo.id, port);
		icmp->un.echo.id = port;
		return 0;
	}
	}
	return 0;
}

#ifdef TALON_TC
/*
 * The same for the destination of frames as tc sees them, which GRO may have merged and whose checksum
 * may be partial: only the kernel's helpers handle that.
 */
static __always_inline int rewrite_destination_skb(ctx_md *ctx, struct talon_pkt *pkt, __be32 addr,
	__be16 port)
{
	__u32 l4 = pkt->l4_off;
	struct iphdr *ip = frame_ip(ctx);
	__be32 old;
	__u64 udp0;

	if (!ip || l4 > 128)
		return -1;
	old = ip->daddr;
	ip->check = csum_replace4(ip->check, old, addr);
	ip->daddr = addr;
	if (pkt->kind != INNER_FLOW)
		return 0;
	switch (pkt->proto) {
	case IPPROTO_TCP:
		if (bpf_l4_csum_replace(ctx, l4 + offsetof(struct tcphdr, check), old, addr,
			BPF_F_PSEUDO_HDR | 4) || bpf_l4_csum_replace(ctx, l4 + offsetof(struct tcphdr, check),
			pkt->key.dport, port, 2))
			return -1;
		return bpf_skb_store_bytes(ctx, l4 + offsetof(struct tcphdr, dest), &port, 2, 0);
	case IPPROTO_UDP:
		udp0 = BPF_F_MARK_MANGLED_0;
		if (bpf_l4_csum_replace(ctx, l4 + offsetof(struct udphdr, check), old, addr,
			udp0 | BPF_F_PSEUDO_HDR | 4) ||
			bpf_l4_csum_replace(ctx, l4 + offsetof(struct udphdr, check), pkt->key.dport, port,
			udp0 | 2))
			return -1;
		return bpf_skb_store_bytes(ctx, l4 + offsetof(struct udphdr, dest), &port, 2, 0);
	case IPPROTO_ICMP:
		if (bpf_l4_csum_replace(ctx, l4 + offsetof(struct icmphdr, checksum), pkt->key.dport,
			port, 2))
			return -1;
		return bpf_skb_store_bytes(ctx, l4 + offsetof(struct icmphdr, un.echo.id), &port, 2, 0);
	}
	return 0;
}
#endif

/*
 * An ICMP error about a translated flow (RFC 5508 REQ-3 to 5): outer address, embedded address,
 * embedded port or id, and the affected checksums: embedded IP header, embedded L4 if present, ICMP.
 * @outer: the side of the outer header to change to @addr. The embedded header is changed on the other
 * side, to @addr and @port.
 */
static __always_inline int rewrite_icmp_error(ctx_md *ctx, struct talon_pkt *pkt, enum rewrite_side outer,
	__be32 addr, __be16 port, __u16 id_mask)
{
	struct icmphdr *icmp = frame_at(ctx, pkt->l4_off, sizeof(*icmp) + sizeof(struct iphdr));
	__be16 *ports = frame_at(ctx, pkt->embedded_off, 8), *field, *l4_check = NULL;
	struct iphdr *ip = frame_ip(ctx), *in;
	__u16 sum, old_check;
	__be32 *in_addr, old;

	if (!icmp || !ip || !ports)
		return -1;
	in = (struct iphdr *)(icmp + 1);
	sum = icmp->checksum;

	/* Changes of the embedded address and header checksum cancel out in the ICMP checksum. */
	in_addr = outer == REWRITE_SOURCE ? &in->daddr : &in->saddr;
	old = *in_addr;
	in->check = csum_replace4(in->check, old, addr);
	*in_addr = addr;
	if (outer == REWRITE_DESTINATION)
		inner4_mask_id(in, id_mask);	/* likewise */

	field = outer == REWRITE_SOURCE ? &ports[1] : &ports[0];
	switch (in->protocol) {
	case IPPROTO_TCP:
		/* after the first eight bytes, which most routers exceed (RFC 1812 section 4.3.2.3) */
		if (L3_OFF + pkt->tot_len >= pkt->embedded_off + sizeof(struct tcphdr))
			l4_check = frame_at(ctx, pkt->embedded_off + offsetof(struct tcphdr, check),
				sizeof(__be16));
		break;
	case IPPROTO_UDP:
		if (ports[3])
			l4_check = &ports[3];
		break;
	case IPPROTO_ICMP:
		field = &ports[2];
		l4_check = &ports[1];
		break;
	}
	if (l4_check) {
		old_check = *l4_check;
		if (in->protocol != IPPROTO_ICMP)
			*l4_check = csum_replace4(*l4_check, old, addr);
		*l4_check = csum_replace2(*l4_check, *field, port);
		if (in->protocol == IPPROTO_UDP)
			*l4_check = csum_udp(old_check, *l4_check);
		sum = csum_replace2(sum, old_check, *l4_check);
	}
	sum = csum_replace2(sum, *field, port);
	*field = port;
	icmp->checksum = sum;

	if (outer == REWRITE_SOURCE) {
		ip->check = csum_replace4(ip->check, ip->saddr, addr);
		ip->saddr = addr;
	} else {
		ip->check = csum_replace4(ip->check, ip->daddr, addr);
		ip->daddr = addr;
	}
	return 0;
}

#define TCP_FLAG_FIN_BIT	0x01
#define TCP_FLAG_SYN_BIT	0x02
#define TCP_FLAG_RST_BIT	0x04
#define TCP_FLAG_ACK_BIT	0x10

struct mss_search {
	ctx_md	*ctx;
	__u32	off;		/* of the option in hand; of the MSS option when found */
	__u32	last;		/* end of the options */
	__u32	found;
};

/*
 * Advances over one TCP option, or stops. A callback, so that it is verified once instead of once per
 * option.
 */
static long mss_step(__u64 i, struct mss_search *s)
{
	__u8 *opt = frame_at(s->ctx, s->off, 4);

	if (!opt || s->off + 4 > s->last || opt[0] == 0)
		return 1;
	if (opt[0] == 1) {
		s->off++;
		return 0;
	}
	if (opt[0] == 2 && opt[1] == 4) {
		s->found = 1;
		return 1;
	}
	if (opt[1] < 2)
		return 1;
	s->off += opt[1];
	return 0;
}

/*
 * Lowers the MSS option of a SYN to @mss (host order). Without the option the MSS is 536 (RFC 9293
 * section 3.7.1), which always fits.
 */
__noinline int rewrite_mss(ctx_md *ctx, struct talon_pkt *pkt, __u32 mss)
{
	struct mss_search s = { .ctx = ctx };
	struct tcphdr *tcp;
	__u16 old;
	__u8 *opt;

	if (!pkt)
		return 0;
	tcp = frame_at(ctx, pkt->l4_off, sizeof(*tcp));
	if (!tcp)
		return 0;
	s.off = pkt->l4_off + sizeof(*tcp);
	s.last = pkt->l4_off + tcp->doff * 4;
	bpf_loop(40, mss_step, &s, 0);
	if (!s.found)
		return 0;
	opt = frame_at(ctx, s.off, 4);
	tcp = frame_at(ctx, pkt->l4_off, sizeof(*tcp));
	if (!opt || !tcp)
		return 0;
	old = opt[2] << 8 | opt[3];
	if (old <= mss)
		return 0;
	opt[2] = mss >> 8;
	opt[3] = mss;
	/* At an odd place the option's bytes count in swapped halves of the sum. */
	if ((s.off - pkt->l4_off) & 1)
		tcp->check = csum_replace2(tcp->check, old, mss);
	else
		tcp->check = csum_replace2(tcp->check, bpf_htons(old), bpf_htons(mss));
	return 1;
}

#endif
