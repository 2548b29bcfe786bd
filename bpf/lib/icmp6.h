/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ICMPv6 errors that Talon itself sends (RFC 4443). */
#ifndef TALON_LIB_ICMP6_H
#define TALON_LIB_ICMP6_H

#include "lib/endpoint.h"
#include "lib/icmp.h"
#include "lib/inner6.h"

#define ICMP6_ADDED		(sizeof(struct ipv6hdr) + 8)
#define ICMP6_PACKET_MAX	1280	/* RFC 4443 section 2.4 (c) */

struct icmp6_error {
	struct ipv6hdr ip6;
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be32 mtu;			/* of ICMP6_TOO_BIG, else unused */
	struct ipv6hdr embedded;
};

/*
 * RFC 4443 section 2.4 (e): not about errors and redirects, not about multicast, and only to a single host.
 * What extension headers hide may be an error; of those that can be told the walk has found the end
 * (@proto, at @l4_off).
 */
static __always_inline bool icmp6_may_be_about(ctx_md *ctx, const struct ipv6hdr *ip6, __u8 proto,
	__u32 l4_off)
{
	const __be32 *src = ip6->saddr.in6_u.u6_addr32;
	__u8 *type;

	if (ip6->daddr.in6_u.u6_addr8[0] == 0xff || ip6->saddr.in6_u.u6_addr8[0] == 0xff ||
		!(src[0] | src[1] | src[2] | src[3]) || inner6_hides(proto))
		return false;
	if (proto != IPPROTO_ICMPV6)
		return true;
	type = frame_at_spilled(ctx, l4_off, 1);
	return type && *type >= ICMP6_INFORMATIONAL && *type != ICMP6_REDIRECT;
}

/*
 * Adds @size bytes (a constant, a multiple of 4, at most 512 for 6.1) at *@off to the sum, if
 * *@left has them.
 */
static __always_inline int sum_chunk(ctx_md *ctx, __u32 *off, __u32 *left, __u32 size, __u64 *sum)
{
	__be32 *p;

	if (*left < size)
		return 0;
	p = frame_at(ctx, *off, size);
	if (!p)
		return -1;
	if (size > 64) {
		*sum += (__u32)bpf_csum_diff(NULL, 0, p, size, 0);
	} else {	/* a call costs more than this many additions */
#pragma unroll
		for (__u32 i = 0; i < size / 4; i++)
			*sum += p[i];
	}
	*off += size;
	*left -= size;
	return 0;
}

/*
 * Checksum of the @len bytes of ICMPv6 behind the IPv6 header at L3_OFF (RFC 4443 section 2.3). A separate
 * function: verified once, with its own stack.
 */
__noinline int icmp6_checksum(ctx_md *ctx, __u32 len)
{
	__u32 off = L3_OFF + offsetof(struct ipv6hdr, saddr), left, rest[2] = {};
	struct icmp6_error *e;
	__u64 sum;

	if (len > ICMP6_PACKET_MAX - sizeof(struct ipv6hdr))
		return -1;
	/* the addresses are part of the sum as well, and lie before the message */
	sum = bpf_htons(len) + bpf_htons(IPPROTO_ICMPV6);
	left = len + 2 * sizeof(struct talon_addr);
	/* These add up to the longest message; each further step doubles the verifier's work. */
	if (sum_chunk(ctx, &off, &left, 512, &sum) || sum_chunk(ctx, &off, &left, 512, &sum) ||
	    sum_chunk(ctx, &off, &left, 256, &sum) || sum_chunk(ctx, &off, &left, 128, &sum) ||
	    sum_chunk(ctx, &off, &left, 64, &sum) || sum_chunk(ctx, &off, &left, 32, &sum) ||
	    sum_chunk(ctx, &off, &left, 16, &sum) || sum_chunk(ctx, &off, &left, 8, &sum))
		return -1;
	if (left) {
		left--;
		barrier_var(left);
		if (ctx_load_bytes(ctx, off, rest, (left & 7) + 1))
			return -1;
		sum += (__u64)rest[0] + rest[1];
	}
	e = frame_at(ctx, L3_OFF, sizeof(*e));
	if (!e)
		return -1;
	e->checksum = csum_finish(csum_fold(sum));
	return 0;
}

/*
 * Turns the IPv6 packet of pkt->tot_len bytes behind the Ethernet header into an ICMPv6 error about itself,
 * of as many bytes of it as RFC 4443 and @mtu allow, from pkt->answer to its source. pkt->proto and
 * pkt->l4_off say what it carries; of a later fragment of ICMPv6 nobody knows. @what: type << 24 | code << 16
 * | MTU. STEP_NEXT with the error in place, or done with @reason.
 */
__noinline int icmp6_error_build(ctx_md *ctx, struct talon_pkt *pkt, __u32 mtu, __u32 what, __u32 reason)
{
	struct ipv6hdr *ip6;
	struct icmp6_error *e;
	__u32 embed;

	if (!pkt)
		return STEP_DONE;
	ip6 = frame_ip6(ctx);
	if (!ip6 || pkt->quiet || pkt->tot_len <= sizeof(*ip6) || talon_addr_is_zero(&pkt->answer) ||
		(pkt->kind == INNER_FRAGMENT && pkt->proto == IPPROTO_ICMPV6) ||
		!icmp6_may_be_about(ctx, ip6, pkt->proto, pkt->l4_off))
		return drop(pkt, reason);
	if (!rate_take(pkt->now_ns, TALON_RATE_ICMP))
		return drop(pkt, TALON_RATE_LIMITED);
	if (mtu > ICMP6_PACKET_MAX)
		mtu = ICMP6_PACKET_MAX;
	if (mtu < sizeof(*e))
		return drop(pkt, reason);
	embed = pkt->tot_len < mtu - ICMP6_ADDED ? pkt->tot_len : mtu - ICMP6_ADDED;
	if (frame_trim(ctx, L3_OFF + embed) || frame_push(ctx, ICMP6_ADDED, true, true))
		return drop(pkt, TALON_NO_ROOM);
	e = frame_at(ctx, L3_OFF, sizeof(*e));
	if (!e)
		return drop(pkt, TALON_INTERNAL);
	__builtin_memset(e, 0, ICMP6_ADDED);
	*(__be32 *)&e->ip6 = bpf_htonl(6U << 28);
	e->ip6.payload_len = bpf_htons(ICMP6_ADDED - sizeof(*ip6) + embed);
	e->ip6.nexthdr = IPPROTO_ICMPV6;
	e->ip6.hop_limit = 64;
	__builtin_memcpy(&e->ip6.saddr, &pkt->answer, sizeof(e->ip6.saddr));
	__builtin_memcpy(&e->ip6.daddr, &e->embedded.saddr, sizeof(e->ip6.daddr));
	e->type = what >> 24;
	e->code = what >> 16;
	e->mtu = bpf_htonl(what & 0xffff);
	if (icmp6_checksum(ctx, ICMP6_ADDED - sizeof(*ip6) + embed))
		return drop(pkt, TALON_INTERNAL);
	pkt->tot_len = ICMP6_ADDED + embed;
	pkt->proto = IPPROTO_ICMPV6;
	pkt->kind = INNER_ICMP_ERROR;
	pkt->quiet = 1;
	return STEP_NEXT;
}

/*
 * Answers IPv6 in a tunnel that carries none with "no route to destination", so that the sender goes on with
 * IPv4 at once. The packet has been measured. The source is the packet's destination, which the sender
 * accepts from us whatever our allowed IPs are.
 */
static __always_inline int icmp6_refuse_all(ctx_md *ctx, struct talon_pkt *pkt, __u32 mtu)
{
	struct ipv6hdr *ip6 = frame_ip6(ctx);

	if (!ip6)
		return drop(pkt, TALON_INNER_IPV6);
	__builtin_memcpy(&pkt->answer, &ip6->daddr, sizeof(pkt->answer));
	pkt->kind = INNER_OTHER;
	pkt->proto = ip6->nexthdr;
	pkt->l4_off = L3_OFF + sizeof(*ip6);
	return icmp6_error_build(ctx, pkt, mtu, ICMP_WHAT(ICMP6_UNREACHABLE, ICMP6_NO_ROUTE, 0),
		TALON_INNER_IPV6);
}

/* Is the packet to be sealed such an error? It is sealed where it was made, even in tc. */
static __always_inline bool icmp6_is_answer(const struct talon_pkt *pkt)
{
	return pkt->quiet && pkt->proto == IPPROTO_ICMPV6;
}

#endif
