/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * IPv6 inside the tunnel is not forwarded yet, and is answered with ICMPv6 "no route to destination",
 * so that its sender falls back to IPv4 at once.
 */
#ifndef TALON_LIB_ICMP6_H
#define TALON_LIB_ICMP6_H

#include <linux/in6.h>

#include "lib/endpoint.h"
#include "lib/icmp.h"
#include "lib/inner6.h"
#include "lib/seal.h"

#define ICMP6_ADDED		(sizeof(struct ipv6hdr) + 8)
#define ICMP6_PACKET_MAX	1280	/* RFC 4443 section 2.4 (c) */
#define ICMP6_UNREACHABLE	1
#define ICMP6_INFORMATIONAL	128	/* types from here on are informational */
#define ICMP6_REDIRECT		137

struct icmp6_error {
	struct ipv6hdr ip6;
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be32 unused;
	struct ipv6hdr embedded;
};

/* Extension headers hide what follows: it may be an error (RFC 8200 section 4, RFC 4302, RFC 6275). */
static __always_inline bool is_extension(__u8 nexthdr)
{
	return nexthdr == IPPROTO_HOPOPTS || nexthdr == IPPROTO_ROUTING || nexthdr == IPPROTO_FRAGMENT ||
		nexthdr == IPPROTO_AH || nexthdr == IPPROTO_DSTOPTS || nexthdr == IPPROTO_MH;
}

/*
 * RFC 4443 section 2.4 (e): not about errors and redirects, not about multicast, and only to a single
 * host.
 */
static __always_inline bool may_be_refused(ctx_md *ctx, const struct talon_pkt *pkt,
	const struct ipv6hdr *ip6)
{
	const __be32 *src = ip6->saddr.in6_u.u6_addr32;
	__u8 *type;

	if (pkt->tot_len <= sizeof(*ip6) || ip6->daddr.in6_u.u6_addr8[0] == 0xff ||
		ip6->saddr.in6_u.u6_addr8[0] == 0xff || !(src[0] | src[1] | src[2] | src[3]) ||
		is_extension(ip6->nexthdr))
		return false;
	if (ip6->nexthdr != IPPROTO_ICMPV6)
		return true;
	type = frame_at(ctx, L3_OFF + sizeof(*ip6), 1);
	return type && *type >= ICMP6_INFORMATIONAL && *type != ICMP6_REDIRECT;
}

/*
 * Turns the IPv6 packet of pkt->tot_len bytes behind the Ethernet header into an ICMPv6 error about
 * itself, as long as RFC 4443 and @mtu allow. Its source is the packet's destination, which the sender
 * accepts from us whatever our allowed IPs are. STEP_NEXT with the error in place, or done.
 */
__noinline int icmp6_error_build(ctx_md *ctx, struct talon_pkt *pkt, __u32 mtu)
{
	struct ipv6hdr *ip6;
	struct icmp6_error *e;
	__u32 embed;

	if (!pkt)
		return STEP_DONE;
	ip6 = frame_at(ctx, L3_OFF, sizeof(*ip6));
	if (!ip6 || !may_be_refused(ctx, pkt, ip6))
		return drop(pkt, TALON_INNER_IPV6);
	if (!rate_take(pkt->now_ns, TALON_RATE_ICMP))
		return drop(pkt, TALON_RATE_LIMITED);
	if (mtu > ICMP6_PACKET_MAX)
		mtu = ICMP6_PACKET_MAX;
	if (mtu < sizeof(*e))
		return drop(pkt, TALON_INNER_IPV6);
	embed = pkt->tot_len < mtu - ICMP6_ADDED ? pkt->tot_len : mtu - ICMP6_ADDED;
	if (frame_trim(ctx, L3_OFF + embed) || frame_push(ctx, ICMP6_ADDED, false))
		return drop(pkt, TALON_NO_ROOM);
	e = frame_at(ctx, L3_OFF, sizeof(*e));
	if (!e)
		return drop(pkt, TALON_INTERNAL);
	__builtin_memset(e, 0, ICMP6_ADDED);
	*(__be32 *)&e->ip6 = bpf_htonl(6U << 28);
	e->ip6.payload_len = bpf_htons(ICMP6_ADDED - sizeof(*ip6) + embed);
	e->ip6.nexthdr = IPPROTO_ICMPV6;
	e->ip6.hop_limit = 64;
	__builtin_memcpy(&e->ip6.saddr, &e->embedded.daddr, sizeof(e->ip6.saddr));
	__builtin_memcpy(&e->ip6.daddr, &e->embedded.saddr, sizeof(e->ip6.daddr));
	e->type = ICMP6_UNREACHABLE;
	if (seal_checksum(ctx, L3_OFF + sizeof(*ip6), ICMP6_ADDED - sizeof(*ip6) + embed, 32, IPPROTO_ICMPV6))
		return drop(pkt, TALON_INTERNAL);
	pkt->tot_len = ICMP6_ADDED + embed;
	pkt->proto = IPPROTO_ICMPV6;
	pkt->kind = INNER_ICMP_ERROR;
	pkt->quiet = 1;
	return STEP_NEXT;
}

/*
 * Is the packet to be sealed such an answer? It is never sent through the tunnel device, whose far end
 * does not handle IPv6.
 */
static __always_inline bool icmp6_is_answer(const struct talon_pkt *pkt)
{
	return pkt->quiet && pkt->proto == IPPROTO_ICMPV6;
}

#endif
