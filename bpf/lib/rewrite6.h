/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Changes addresses and ports of the IPv6 packet after the Ethernet header, and its checksums: the header has
 * none, but every transport's covers the addresses (RFC 8200 section 8.1), ICMPv6's too.
 */
#ifndef TALON_LIB_REWRITE6_H
#define TALON_LIB_REWRITE6_H

#include "lib/inner6.h"
#include "lib/rewrite.h"

/* Where in its header a transport has its checksum, and what is translated. */
static __always_inline __u32 rewrite6_check_at(__u8 proto)
{
	return proto == IPPROTO_TCP ? offsetof(struct tcphdr, check) :
		proto == IPPROTO_UDP ? offsetof(struct udphdr, check) : offsetof(struct icmphdr, checksum);
}

static __always_inline __u32 rewrite6_port_at(__u8 proto, enum rewrite_side side)
{
	if (proto == IPPROTO_ICMPV6)
		return offsetof(struct icmphdr, un.echo.id);
	return side == REWRITE_SOURCE ? 0 : 2;
}

/* Puts @addr into the header at @off, on @side; the old one to @ret_old. Returns 0 or -1. */
static __always_inline int rewrite6_addr(ctx_md *ctx, __u32 off, enum rewrite_side side,
	const struct talon_addr *addr, struct talon_addr *ret_old)
{
	struct talon_addr *field;

	off += side == REWRITE_SOURCE ? offsetof(struct ipv6hdr, saddr) : offsetof(struct ipv6hdr, daddr);
	field = frame_at_spilled(ctx, off, sizeof(*field));
	if (!field)
		return -1;
	*ret_old = *field;
	*field = *addr;
	return 0;
}

/*
 * rewrite_side() for IPv6: address and port of one side; of a later fragment just the address. Checksums
 * must be complete.
 */
__noinline int rewrite6_side(ctx_md *ctx, struct talon_pkt *pkt, __u32 side, const struct talon_addr *addr,
	__u32 port)
{
	struct talon_addr old;
	__be16 *check, *field;
	__u16 sum;

	if (!pkt || !addr || rewrite6_addr(ctx, L3_OFF, side, addr, &old))
		return -1;
	if (pkt->kind != INNER_FLOW)
		return 0;
	check = frame_at_spilled(ctx, pkt->l4_off + rewrite6_check_at(pkt->proto), sizeof(*check));
	field = frame_at_spilled(ctx, pkt->l4_off + rewrite6_port_at(pkt->proto, side), sizeof(*field));
	if (!check || !field)
		return -1;
	sum = csum_replace2(csum_replace6(*check, &old, addr), *field, port);
	*check = pkt->proto == IPPROTO_UDP ? csum_udp(*check, sum) : sum;
	*field = port;
	return 0;
}

#ifdef TALON_TC
/* rewrite_destination_skb() for IPv6: frames that GRO may have merged, with checksums that may be partial. */
__noinline int rewrite6_destination_skb(ctx_md *ctx, struct talon_pkt *pkt, const struct talon_addr *addr,
	__u32 port)
{
	struct talon_addr old, new;
	__u64 mangled = 0;
	__u32 check_off;
	__be16 field = port;
	__s64 diff;

	if (!pkt || !addr || pkt->l4_off > 512)
		return -1;
	new = *addr;
	if (rewrite6_addr(ctx, L3_OFF, REWRITE_DESTINATION, &new, &old))
		return -1;
	if (pkt->kind != INNER_FLOW)
		return 0;
	if (pkt->proto == IPPROTO_UDP)
		mangled = BPF_F_MARK_MANGLED_0;
	check_off = pkt->l4_off + rewrite6_check_at(pkt->proto);
	diff = bpf_csum_diff(old.word, sizeof(old), new.word, sizeof(new), 0);
	if (diff < 0 || bpf_l4_csum_replace(ctx, check_off, 0, diff, mangled | BPF_F_PSEUDO_HDR) ||
		bpf_l4_csum_replace(ctx, check_off, pkt->key.dport, field, mangled | sizeof(field)))
		return -1;
	return bpf_skb_store_bytes(ctx, pkt->l4_off + rewrite6_port_at(pkt->proto, REWRITE_DESTINATION),
		&field, sizeof(field), 0);
}
#endif

/*
 * Port @port and address (@from became @to) on @side of the packet inside an ICMPv6 error. The checksum
 * of its transport may lie beyond what is embedded. Returns how the error's own checksum @sum changes
 * by that, or -1.
 */
static __always_inline int rewrite6_embedded(ctx_md *ctx, struct talon_pkt *pkt, enum rewrite_side side,
	const struct talon_addr *from, const struct talon_addr *to, __be16 port, __u16 sum)
{
	__u32 check_off = pkt->embedded_off + rewrite6_check_at(pkt->embedded_proto);
	__be16 *field, *check;
	__u16 old, new;

	sum = csum_replace6(sum, from, to);
	field = frame_at_spilled(ctx, pkt->embedded_off + rewrite6_port_at(pkt->embedded_proto, side),
		sizeof(*field));
	if (!field)
		return -1;
	check = frame_at_spilled(ctx, check_off, sizeof(*check));
	if (check && check_off + sizeof(*check) <= L3_OFF + pkt->tot_len) {
		old = *check;
		new = csum_replace2(csum_replace6(old, from, to), *field, port);
		if (pkt->embedded_proto == IPPROTO_UDP)
			new = csum_udp(old, new);
		*check = new;
		sum = csum_replace2(sum, old, new);
	}
	sum = csum_replace2(sum, *field, port);
	*field = port;
	return sum;
}

/*
 * rewrite_icmp_error() for IPv6. @outer: the side of the outer header to change to @addr. The embedded packet
 * is changed on the other side, to @addr and @port. Returns 0 or -1.
 */
__noinline int rewrite6_icmp_error(ctx_md *ctx, struct talon_pkt *pkt, __u32 outer,
	const struct talon_addr *addr, __u32 port)
{
	__u32 side = outer == REWRITE_SOURCE ? REWRITE_DESTINATION : REWRITE_SOURCE;
	struct icmphdr *icmp;
	struct talon_addr old;
	int sum;

	if (!pkt || !addr)
		return -1;
	icmp = frame_at_spilled(ctx, pkt->l4_off, sizeof(*icmp));
	if (!icmp || rewrite6_addr(ctx, L3_OFF, outer, addr, &old))
		return -1;
	sum = csum_replace6(icmp->checksum, &old, addr);
	if (rewrite6_addr(ctx, pkt->l4_off + sizeof(*icmp), side, addr, &old))
		return -1;
	sum = rewrite6_embedded(ctx, pkt, side, &old, addr, port, sum);
	icmp = frame_at_spilled(ctx, pkt->l4_off, sizeof(*icmp));
	if (sum < 0 || !icmp)
		return -1;
	icmp->checksum = sum;
	return 0;
}

#endif
