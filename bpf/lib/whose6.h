/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whose packet is it, for IPv6: the same questions in the same order as in whose.h, which has the policy. */
#ifndef TALON_LIB_WHOSE6_H
#define TALON_LIB_WHOSE6_H

#include "lib/whose.h"

static __always_inline __u32 whose6_local(const struct talon_addr *addr)
{
	struct talon_lpm6 key = { .prefixlen = 128, .addr = *addr };
	__u32 *flags = bpf_map_lookup_elem(&local6, &key);

	return flags ? *flags : 0;
}

/*
 * True for an address of any device of this host. Each may be the source of our flows, to which replies come:
 * IPv6 has no spare address.
 */
static __always_inline bool whose6_is_own(const struct talon_config *cfg, const struct talon_addr *addr)
{
	struct talon_addr key = *addr;

	return talon_addr_equal(addr, &cfg->node_addr6) || bpf_map_lookup_elem(&local_addrs, &key) != NULL;
}

/*
 * Multicast, link-local, unspecified, loopback, and IPv4 in IPv6 (RFC 4291 sections 2.5 and 2.7): none is
 * routed.
 */
static __always_inline bool whose6_is_martian(const struct talon_addr *addr)
{
	__u32 top = bpf_ntohl(addr->word[0]);

	if (top >> 24 == 0xff || (top & 0xffc00000) == 0xfe800000)
		return true;
	return !addr->word[0] && !addr->word[1] && (!addr->word[2] || addr->word[2] == bpf_htonl(0xffff));
}

/* whose_peer() for IPv6. */
static __always_inline __u32 whose6_peer(const struct talon_host_route6 *host, const struct talon_addr *dst,
	int served)
{
	struct talon_lpm6 key = { .prefixlen = 128, .addr = *dst };
	__u32 *value = bpf_map_lookup_elem(&allowed6, &key);
	int len;

	if (!value)
		return TALON_PEER_NONE;
	len = TALON_ALLOWED_LEN(*value);
	if (len <= served)
		return TALON_PEER_NONE;
	if (host && !(host->flags & TALON_HOST_TUNNEL) && len <= host->prefixlen)
		return TALON_PEER_NONE;
	return TALON_ALLOWED_PEER(*value);
}

#define WHOSE6_NO_ROUTE		ICMP_WHAT(ICMP6_UNREACHABLE, ICMP6_NO_ROUTE, 0)
#define WHOSE6_PROHIBITED	ICMP_WHAT(ICMP6_UNREACHABLE, ICMP6_PROHIBITED, 0)
#define WHOSE6_ADDRESS		ICMP_WHAT(ICMP6_UNREACHABLE, ICMP6_ADDRESS, 0)

/*
 * What the FIB returned instead of a path (RFC 4443 section 3.1). Many hosts do not forward IPv6, though they
 * do IPv4: the sender is told at once, and goes on with IPv4.
 */
static __always_inline int whose6_refused(struct talon_pkt *pkt, int ret)
{
	switch (ret) {
	case BPF_FIB_LKUP_RET_BLACKHOLE:
		return whose_nobody(pkt, TALON_BLACKHOLE, 0);
	case BPF_FIB_LKUP_RET_UNREACHABLE:
		return whose_nobody(pkt, TALON_UNREACHABLE, WHOSE6_ADDRESS);
	case BPF_FIB_LKUP_RET_PROHIBIT:
		return whose_nobody(pkt, TALON_UNREACHABLE, WHOSE6_PROHIBITED);
	case BPF_FIB_LKUP_RET_FWD_DISABLED:
		return whose_nobody(pkt, TALON_FWD_DISABLED, WHOSE6_NO_ROUTE);
	default:
		return whose_nobody(pkt, TALON_NO_FIB, WHOSE6_NO_ROUTE);
	}
}

/* Steps 4 and 5. */
static __always_inline int whose6_by_fib(ctx_md *ctx, struct talon_pkt *pkt, const struct talon_config *cfg,
	const struct talon_host_route6 *host, const struct talon_addr *dst, bool masqueraded)
{
	__u16 route_mtu = host ? host->mtu : 0;
	int ret;

	pkt->source = host && !talon_addr_is_zero(&host->source) ? host->source : cfg->node_addr6;
	if (masqueraded && talon_addr_is_zero(&pkt->source))
		return whose_nobody(pkt, TALON_NO_WAY_BACK, WHOSE6_ADDRESS);
	ret = fib_lookup6(ctx, pkt, masqueraded ? &pkt->source : &pkt->inner_src, dst);
	if (!fib_names_device(ret))
		return whose6_refused(pkt, ret);
	pkt->way.no_neigh = ret == BPF_FIB_LKUP_RET_NO_NEIGH;
	if (pkt->fib.ifindex == cfg->tunnel_ifindex) {
		pkt->way.peer = allowed_peer6(dst);
		return pkt->way.peer != TALON_PEER_NONE ? WHOSE_PEER
			: whose_nobody(pkt, TALON_NO_PEER, WHOSE6_ADDRESS);
	}
	fib_obey_mtu(pkt, route_mtu);
	return whose_device(pkt, masqueraded, WHOSE6_ADDRESS);
}

/* whose_goes_on() for IPv6: the source is not in the record. */
static __always_inline bool whose6_goes_on(struct talon_pkt *pkt)
{
	const struct talon_flow6 *six = pkt->flow ? MAP_LOOKUP(flows6, &pkt->flow) : NULL;

	if (!six || !whose_goes_on(pkt))
		return false;
	pkt->source = six->snat;
	return true;
}

/**
 * whose6() - whose is the IPv6 packet in hand?
 * @ctx: packet; not changed
 * @pkt: parsed; pkt->way, and for a device pkt->fib, pkt->mtu and pkt->source, are written
 * @dst: its destination
 * @served: length of the served network that @dst lies in, or WHOSE_SERVED_NONE
 * @flags: enum whose_flags
 *
 * Return: enum whose.
 */
__noinline int whose6(ctx_md *ctx, struct talon_pkt *pkt, const struct talon_addr *dst, int served,
	__u32 flags)
{
	const struct talon_config *cfg = config_get();
	struct talon_host_route6 *host;
	__u32 local, vip;

	if (!pkt || !cfg || !dst)
		return WHOSE_NOBODY;
	__builtin_memset(&pkt->way, 0, sizeof(pkt->way));
	if (whose6_is_martian(dst))
		return whose_nobody(pkt, TALON_BAD_DESTINATION, 0);
	local = whose6_local(dst);
	vip = served == WHOSE_SERVED_NONE ? 0 : whose_vip(dst);
	if (vip == TALON_VIP_HERE && whose6_goes_on(pkt))
		return WHOSE_DEVICE;
	if (vip)
		local = 0;
	pkt->way.fickle = vip == TALON_VIP_LEFT;
	if (vip && whose_vip_is_up(pkt, vip)) {
		pkt->way.in_local = WHOSE_IN_VIP;
		return WHOSE_US;
	}
	if (local & TALON_LOCAL_GIVEN) {
		pkt->way.in_local = 1;
		return WHOSE_US;
	}
	host = host_route6(dst);
	if (whose6_is_own(cfg, dst) || (host && host->kind == TALON_HOST_LOCAL))
		return WHOSE_US;
	if (whose_is_found(pkt, local, served, flags)) {
		pkt->way.in_local = 1;
		return WHOSE_US;
	}
	pkt->way.peer = whose6_peer(host, dst, served);
	if (pkt->way.peer != TALON_PEER_NONE)
		return WHOSE_PEER;
	if (flags & WHOSE_TO_MESH)
		return WHOSE_OTHERS;
	return whose6_by_fib(ctx, pkt, cfg, host, dst, flags & WHOSE_MASQUERADED);
}

#endif
