/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ICMP errors that Talon itself sends: too big, time exceeded, administratively prohibited, unreachable. */
#ifndef TALON_LIB_ICMP_H
#define TALON_LIB_ICMP_H

#include "lib/inner4.h"

#define ICMP_ADDED		(sizeof(struct iphdr) + sizeof(struct icmphdr))

struct icmp_error {
	struct iphdr ip;
	struct icmphdr icmp;
	struct iphdr embedded;
	__u8 payload[8];
};

/*
 * Turns the packet behind the Ethernet header into an ICMP error about itself, from @src to its source (RFC
 * 792; RFC 1812 section 4.3.2.7 says about what not to send any). @what: type << 24 | code << 16 | next-hop
 * MTU. STEP_NEXT with the error in place, or done with @reason.
 */
__noinline int icmp_error_build(ctx_md *ctx, struct talon_pkt *pkt, __be32 src, __u32 what, __u32 reason)
{
	struct icmp_error *e;
	struct iphdr *ip;
	__u32 sum = 0;
	__u16 *half;

	if (!pkt)
		return STEP_DONE;
	ip = frame_ip(ctx);
	if (!ip || pkt->quiet || pkt->kind == INNER_ICMP_ERROR || pkt->kind == INNER_FRAGMENT ||
		ip->ihl != 5 || pkt->tot_len < EMBEDDED_LEN || !src || ip->daddr == 0xffffffff ||
		(ip->daddr & bpf_htonl(0xf0000000)) == bpf_htonl(0xe0000000))
		return drop(pkt, reason);
	if (!rate_take(pkt->now_ns, TALON_RATE_ICMP))
		return drop(pkt, TALON_RATE_LIMITED);
	if (frame_trim(ctx, L3_OFF + EMBEDDED_LEN) || frame_push(ctx, ICMP_ADDED, false, false))
		return drop(pkt, TALON_NO_ROOM);
	e = frame_at(ctx, L3_OFF, sizeof(*e));
	if (!e)
		return drop(pkt, TALON_INTERNAL);
	__builtin_memset(e, 0, ICMP_ADDED);
	e->ip.version = 4;
	e->ip.ihl = 5;
	e->ip.tos = 0xc0;	/* RFC 1812 section 4.3.2.5 */
	e->ip.tot_len = bpf_htons(sizeof(*e));
	e->ip.frag_off = bpf_htons(IP_DF);
	e->ip.ttl = 64;
	e->ip.protocol = IPPROTO_ICMP;
	e->ip.saddr = src;
	e->ip.daddr = e->embedded.saddr;
	half = (__u16 *)&e->ip;
#pragma unroll
	for (int i = 0; i < 10; i++)
		sum += half[i];
	e->ip.check = csum_finish(sum);

	e->icmp.type = what >> 24;
	e->icmp.code = what >> 16;
	e->icmp.un.frag.mtu = bpf_htons(what & 0xffff);
	half = (__u16 *)&e->icmp;
	sum = 0;
#pragma unroll
	for (int i = 0; i < 18; i++)
		sum += half[i];
	e->icmp.checksum = csum_finish(sum);

	pkt->tot_len = sizeof(*e);
	pkt->proto = IPPROTO_ICMP;
	pkt->kind = INNER_ICMP_ERROR;
	pkt->quiet = 1;
	return STEP_NEXT;
}

#define ICMP_WHAT(type, code, mtu) ((__u32)(type) << 24 | (__u32)(code) << 16 | (mtu))

#endif
