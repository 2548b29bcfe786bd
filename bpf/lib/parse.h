/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What kind of frame is this? WireGuard first, then STUN, then replies of our flows; all else is left alone.
 */
#ifndef TALON_LIB_PARSE_H
#define TALON_LIB_PARSE_H

#include "lib/frame.h"

/*
 * Fills kind, key, l4_off, tot_len, proto, tcp_flags, fragment facts from the IPv4 packet behind the Ethernet
 * header. Returns 0 or -1 when it is malformed. The key is the packet's own 5-tuple.
 */
static __always_inline int parse_inner4(ctx_md *ctx, struct talon_pkt *pkt, struct iphdr *ip)
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
 * For an ICMP error: replaces pkt->key by the 5-tuple of the embedded packet, turned round, so that it names
 * the flow as seen from the side that sent the error, and sets pkt->embedded_off. Returns 0 or -1; embedded
 * later fragments have no ports.
 */
static __always_inline int parse_embedded4(ctx_md *ctx, struct talon_pkt *pkt)
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

/* Is the UDP payload of @len bytes at @off STUN (RFC 8489 section 5)? */
static __always_inline bool parse_is_stun(ctx_md *ctx, __u32 off, __u32 len)
{
	__be32 *word = frame_at(ctx, off, 8);
	__be16 *half = (__be16 *)word;

	if (!word || len < 20)
		return false;
	return (*(__u8 *)word & 0xc0) == 0 && word[1] == bpf_htonl(0x2112A442) && !(bpf_ntohs(half[1]) & 3) &&
	       20 + bpf_ntohs(half[1]) == len;
}

#endif
