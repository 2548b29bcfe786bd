/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The inner packet's IPv4 header: read into what is common to both families, checked, changed. Everything
 * above works on struct talon_pkt, so that inner IPv6 (inner6.h) is an addition here and not a change there.
 */
#ifndef TALON_LIB_INNER4_H
#define TALON_LIB_INNER4_H

#include "lib/frame.h"

/*
 * Reads the IPv4 packet after the Ethernet header: inner_src, inner_dst, hops, proto, tot_len, fragment
 * fields, kind, l4_off, tcp_flags, icmp_type. The key is the packet's own 5-tuple. Returns 0, or -1 if the
 * packet is malformed.
 */
static __always_inline int inner4_read(ctx_md *ctx, struct talon_pkt *pkt, struct iphdr *ip)
{
	__u32 header = ip->ihl * 4, tot_len = bpf_ntohs(ip->tot_len);
	__u16 frag = bpf_ntohs(ip->frag_off);
	__be16 *ports;

	if (ip->version != 4 || header < sizeof(*ip) || tot_len < header || tot_len > frame_len(ctx) - L3_OFF)
		return -1;
	pkt->l4_off = L3_OFF + header;
	pkt->tot_len = tot_len;
	pkt->proto = ip->protocol;
	pkt->tcp_flags = 0;
	pkt->dont_fragment = !!(frag & IP_DF);
	pkt->first_fragment = (frag & IP_MF) && !(frag & IP_OFFSET);
	addr_set4(&pkt->inner_src, ip->saddr);
	addr_set4(&pkt->inner_dst, ip->daddr);
	pkt->hops = ip->ttl;
	pkt->key.src = ip->saddr;
	pkt->key.dst = ip->daddr;
	pkt->key.sport = 0;
	pkt->key.dport = 0;
	pkt->key.proto = ip->protocol;
	if (frag & IP_OFFSET) {
		pkt->kind = INNER_FRAGMENT;
		return 0;
	}
	pkt->kind = INNER_OTHER;
	switch (ip->protocol) {
	case IPPROTO_TCP: {
		struct tcphdr *tcp = frame_at(ctx, pkt->l4_off, sizeof(*tcp));

		if (!tcp || tot_len < header + sizeof(*tcp))
			return -1;
		pkt->tcp_flags = ((__u8 *)tcp)[13];
		ports = (__be16 *)tcp;
		break;
	}
	case IPPROTO_UDP:
		ports = frame_at(ctx, pkt->l4_off, sizeof(struct udphdr));
		if (!ports || tot_len < header + sizeof(struct udphdr))
			return -1;
		break;
	case IPPROTO_ICMP: {
		struct icmphdr *icmp = frame_at(ctx, pkt->l4_off, sizeof(*icmp));

		if (!icmp || tot_len < header + sizeof(*icmp))
			return -1;
		pkt->icmp_type = icmp->type;
		switch (icmp->type) {
		case ICMP_ECHO:
		case ICMP_ECHOREPLY:
		case ICMP_TIMESTAMP:
		case ICMP_TIMESTAMPREPLY:
			pkt->kind = INNER_FLOW;
			pkt->key.sport = icmp->un.echo.id;
			pkt->key.dport = icmp->un.echo.id;
			break;
		case ICMP_DEST_UNREACH:
		case ICMP_TIME_EXCEEDED:
		case ICMP_PARAMETERPROB:
			pkt->kind = INNER_ICMP_ERROR;
			break;
		}
		return 0;
	}
	default:
		return 0;
	}
	pkt->kind = INNER_FLOW;
	pkt->key.sport = ports[0];
	pkt->key.dport = ports[1];
	return 0;
}

#define EMBEDDED_LEN (sizeof(struct iphdr) + 8)	/* what every ICMP error carries at least (RFC 792) */

/*
 * For an ICMP error: replaces pkt->key by the 5-tuple of the embedded packet, reversed, so that it names the
 * flow as seen from the side that sent the error, and sets pkt->embedded_off. Returns 0 or -1; embedded later
 * fragments have no ports.
 */
static __always_inline int inner4_read_embedded(ctx_md *ctx, struct talon_pkt *pkt)
{
	struct iphdr *in = frame_at(ctx, pkt->l4_off + sizeof(struct icmphdr), EMBEDDED_LEN);
	__be16 *ports;

	if (!in || in->version != 4 || in->ihl < 5 || (in->frag_off & bpf_htons(IP_OFFSET)))
		return -1;
	pkt->embedded_off = pkt->l4_off + sizeof(struct icmphdr) + in->ihl * 4;
	if (L3_OFF + pkt->tot_len < pkt->embedded_off + 8)
		return -1;
	ports = frame_at(ctx, pkt->embedded_off, 8);
	if (!ports)
		return -1;
	pkt->key.src = in->daddr;
	pkt->key.dst = in->saddr;
	pkt->key.proto = in->protocol;
	switch (in->protocol) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
		pkt->key.sport = ports[1];
		pkt->key.dport = ports[0];
		return 0;
	case IPPROTO_ICMP:
		pkt->key.sport = ports[2];	/* the query's id */
		pkt->key.dport = ports[2];
		return 0;
	}
	return -1;
}

/* Sum over the 20 bytes of a header without options; options have to be added to it. */
static __always_inline __u64 inner4_sum(const struct iphdr *ip)
{
	const __u32 *word = (const __u32 *)ip;

	return (__u64)word[0] + word[1] + word[2] + word[3] + word[4];
}

/* True for the sum of a header whose checksum is right. */
static __always_inline bool inner4_sum_is_right(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	return !csum_finish((sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32));
}

#define INNER_OPTIONS_MAX	40
/* RFC 791 section 3.1, RFC 7126 sections 4.3 and 4.4: to be dropped */
#define INNER_OPTION_LSRR	131
#define INNER_OPTION_SSRR	137

struct option_walk {
	ctx_md	*ctx;
	__u32	off;		/* of the option in hand */
	__u32	last;		/* end of the options */
	__u32	reason;		/* to drop; TALON_END_COUNT: none */
};

/* Advances over one option, or stops. A callback, so that it is verified once instead of once per option. */
static long option_step(__u64 i, struct option_walk *w)
{
	__u8 *option = frame_at(w->ctx, w->off, 1);

	if (w->off >= w->last || !option || !*option)	/* end of list */
		return 1;
	if (*option == 1) {	/* no operation */
		w->off++;
		return 0;
	}
	w->reason = TALON_SOURCE_ROUTED;
	if (*option == INNER_OPTION_LSRR || *option == INNER_OPTION_SSRR)
		return 1;
	w->reason = TALON_BAD_INNER;
	option = frame_at(w->ctx, w->off, 2);
	if (!option || option[1] < 2)
		return 1;
	w->off += option[1];
	if (w->off > w->last)
		return 1;
	w->reason = TALON_END_COUNT;
	return 0;
}

/* Checksum and options of a header with options. Returns STEP_NEXT, or done. */
__noinline int inner4_check_options(ctx_md *ctx, struct talon_pkt *pkt)
{
	__u8 option[INNER_OPTIONS_MAX + 4] = {};
	struct iphdr *ip;
	struct option_walk walk = { .ctx = ctx, .off = L3_OFF + sizeof(*ip), .reason = TALON_END_COUNT };
	__u32 len;
	__u64 sum;

	if (!pkt)
		return STEP_DONE;
	ip = frame_ip(ctx);
	if (!ip || ip->ihl * 4 > pkt->tot_len)
		return drop(pkt, TALON_BAD_INNER);
	sum = inner4_sum(ip);
	len = ip->ihl * 4 - sizeof(*ip) - 1;
	asm volatile("" : "+r"(len));	/* 6.1's verifier sees that it is not 0 */
	if (len >= INNER_OPTIONS_MAX)	/* also where ihl is below 5 */
		return drop(pkt, TALON_BAD_INNER);
	len++;
	if (ctx_load_bytes(ctx, L3_OFF + sizeof(*ip), option, len))
		return drop(pkt, TALON_BAD_INNER);
#pragma unroll
	for (__u32 i = 0; i < INNER_OPTIONS_MAX / 4; i++)
		sum += ((__u32 *)option)[i];
	if (!inner4_sum_is_right(sum))
		return drop(pkt, TALON_INNER_CHECKSUM);
	walk.last = walk.off + len;
	bpf_loop(INNER_OPTIONS_MAX, option_step, &walk, 0);
	return walk.reason == TALON_END_COUNT ? STEP_NEXT : drop(pkt, walk.reason);
}

/*
 * The header of a decrypted packet at @ip, of pkt->cipher_len bytes, before anything trusts it: sets
 * pkt->tot_len, and joins the outer ECN field to the inner one (RFC 6040). A header with options is only
 * summed by inner4_check_options(), when it is at its place. Returns 0 or a reason to drop.
 */
static __always_inline __u32 inner4_accept(struct talon_pkt *pkt, struct iphdr *ip, bool *ret_has_options)
{
	int ecn;

	pkt->tot_len = bpf_ntohs(ip->tot_len);
	if (ip->version != 4 || pkt->tot_len < sizeof(*ip) || pkt->tot_len > pkt->cipher_len)
		return TALON_BAD_INNER;
	*ret_has_options = ip->ihl != 5;
	if (!*ret_has_options && !inner4_sum_is_right(inner4_sum(ip)))
		return TALON_INNER_CHECKSUM;
	ecn = ecn_decapsulate(pkt->outer_tos, ip->tos);
	if (ecn < 0)
		return TALON_CONGESTED;
	if (ecn != (ip->tos & ECN_MASK)) {
		__u8 tos = (ip->tos & ~ECN_MASK) | ecn;

		/* version and ihl share the 16-bit word with tos */
		ip->check = csum_replace2(ip->check, bpf_htons(ip->tos), bpf_htons(tos));
		ip->tos = tos;
	}
	return 0;
}

/*
 * RFC 6864 section 5.3: clients that share an address must not share IP ids in flight. Each client's ids are
 * XORed with a mask of its own; the same mask restores an embedded id. Atomic datagrams (DF, not a fragment)
 * need no mask. A client can learn its own mask, but nothing about another's: any two are independent, and
 * they are derived from no other secret.
 */
static __always_inline __u16 inner4_id_mask(const struct talon_config *cfg, __be32 client)
{
	return (cfg->keys.id[0] + cfg->keys.id[1] * client) >> 48;
}

static __always_inline void inner4_mask_id(struct iphdr *ip, __u16 mask)
{
	__be16 id = ip->id ^ mask;

	if (ip->frag_off == bpf_htons(IP_DF))
		return;
	ip->check = csum_replace2(ip->check, ip->id, id);
	ip->id = id;
}

static __always_inline void inner4_hop(struct iphdr *ip)
{
	/* ttl and protocol share a 16-bit word */
	ip->check = csum_replace2(ip->check, bpf_htons((ip->ttl << 8) | ip->protocol),
				  bpf_htons(((ip->ttl - 1) << 8) | ip->protocol));
	ip->ttl--;
}

#endif
