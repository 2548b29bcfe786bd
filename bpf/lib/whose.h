/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Whose packet is it? One answer for XDP and tc, for packets from the mesh and packets to it. The order is
 * policy, and this list is its only place (docs/architecture.md shows it as a table):
 *
 *  0. nobody: loopback, multicast and reserved addresses, whatever routes and settings (route_localnet) say.
 *  1. us: a virtual address of the cluster that this node holds; inside "Local", however specific a route to
 *  the mesh or the network is; an address of this host; or one that it serves without having it (a Kubernetes
 *  service's), in a network that is served. A virtual address that another node holds is neither of "Local"
 *  nor served here.
 *  2. the host's stack: a broadcast address of this host's networks.
 *  3. a peer: its allowed IPs are more specific than the network that is served and than the host's own
 *  route. 4. a device: where the host's FIB leads. If that is wt0, the peer by its allowed IPs alone. 5.
 *  nobody: the FIB refuses it, or replies could not be found where they come in.
 *
 * Whether the packet may go there is another question, which forward_decide() asks with the answer in hand.
 */
#ifndef TALON_LIB_WHOSE_H
#define TALON_LIB_WHOSE_H

#include "lib/fib.h"
#include "lib/flow.h"
#include "lib/icmp.h"

enum whose {
	WHOSE_US,
	WHOSE_STACK,
	WHOSE_PEER,		/* pkt->way.peer */
	WHOSE_DEVICE,		/* pkt->fib, pkt->mtu, pkt->way */
	WHOSE_NOBODY,		/* pkt->way.end and .what */
	WHOSE_OTHERS,		/* asked with WHOSE_TO_MESH: 4 or 5, which the host's stack knows */
};

enum whose_flags {
	/* its source becomes this host's: replies must meet our program */
	WHOSE_MASQUERADED	= 1 << 0,
	WHOSE_TO_MESH		= 1 << 1,	/* from the wire: the FIB is not asked */
};

#define WHOSE_SERVED_NONE -1
#define WHOSE_IN_VIP	2	/* way.in_local: a virtual address of the cluster that was handed up */

/* enum talon_local_flags */
static __always_inline __u32 whose_local(__be32 addr)
{
	struct talon_lpm4 key = { .prefixlen = 32, .addr = addr };
	__u32 *flags = bpf_map_lookup_elem(&local4, &key);

	return flags ? *flags : 0;
}

/* Has the flow in hand, by the way that it was given, been answered? */
static __always_inline bool whose_is_answered(const struct talon_pkt *pkt)
{
	struct talon_flow *f = pkt->flow ? MAP_LOOKUP(flows, &pkt->flow) : NULL;

	return f && (f->flags & TALON_FLOW_ANSWERED);
}

/*
 * Does this host serve it without having its address? Its stack has the last word about what comes from the
 * wire; what peers send it gets from networks that are served, and from no flow that somebody else answers.
 */
static __always_inline bool whose_is_found(const struct talon_pkt *pkt, __u32 local, int served, __u32 flags)
{
	if (!(local & TALON_LOCAL_FOUND))
		return false;
	return (flags & WHOSE_TO_MESH) || (served != WHOSE_SERVED_NONE && !whose_is_answered(pkt));
}

/* Where a virtual address of the cluster is: enum talon_vip_where, or 0. */
static __always_inline __u32 whose_vip(const struct talon_addr *addr)
{
	struct talon_addr key = *addr;
	struct talon_vip *vip = bpf_map_lookup_elem(&vips, &key);

	return vip ? vip->where : 0;
}

static __always_inline __u32 whose_vip4(__be32 v4)
{
	struct talon_addr a;

	addr_set4(&a, v4);
	return whose_vip(&a);
}

/* Does the packet begin a TCP connection? */
static __always_inline bool whose_begins(const struct talon_pkt *pkt)
{
	return (pkt->tcp_flags & (FLOW_TCP_SYN | FLOW_TCP_ACK)) == FLOW_TCP_SYN;
}

/*
 * The address has come here, and the packet's flow has a record that leads to its earlier holder: it goes on
 * that way as long as it is answered, since only there its connection is known. Fills in what the FIB would.
 */
static __always_inline bool whose_goes_on(struct talon_pkt *pkt)
{
	struct talon_flow *f = pkt->flow ? MAP_LOOKUP(flows, &pkt->flow) : NULL;

	if (pkt->kind != INNER_FLOW || !f || f->peer != pkt->peer || !f->generation || !f->ifindex)
		return false;
	if ((TALON_PROTO(pkt->proto) == IPPROTO_TCP && whose_begins(pkt)) || flow_wait(f, pkt->now_ns))
		return false;
	pkt->way.goes_on = 1;
	pkt->way.source = f->snat;
	pkt->way.onward = !!(f->ifindex & TALON_FLOW_ONWARD);
	pkt->fib.ifindex = f->ifindex & ~TALON_FLOW_ONWARD;
	mac_copy(pkt->fib.dmac, f->dmac);
	mac_copy(pkt->fib.smac, f->smac);
	pkt->mtu = f->mtu;
	return true;
}

/*
 * Is a packet for a virtual address that is @where to be handed up? TCP without a record that does not begin
 * a connection belongs to one that began while the address was here.
 */
static __always_inline bool whose_vip_is_up(const struct talon_pkt *pkt, __u32 where)
{
	if (where == TALON_VIP_HERE)
		return true;
	return where == TALON_VIP_LEFT && pkt->kind == INNER_FLOW && pkt->proto == IPPROTO_TCP &&
		!pkt->flow && !(pkt->tcp_flags & FLOW_TCP_SYN);
}

/* True for an address of any device of this host. */
static __always_inline bool whose_is_own(const struct talon_config *cfg, __be32 v4)
{
	struct talon_addr a;

	if (v4 == cfg->node_addr || v4 == cfg->snat_addr)
		return true;
	addr_set4(&a, v4);
	return bpf_map_lookup_elem(&local_addrs, &a) != NULL;
}

/* Can it be the source of our flows, to which replies come? */
static __always_inline bool whose_is_source(const struct talon_config *cfg, __be32 v4)
{
	struct talon_addr a;

	if (v4 == cfg->snat_addr)
		return true;
	if (!(cfg->flags & TALON_F_MANY_SOURCES))
		return false;
	addr_set4(&a, v4);
	return bpf_map_lookup_elem(&local_addrs, &a) != NULL;
}

/*
 * 0/8, 127/8, 224/4, 240/4 (RFC 6890, RFC 1122 section 3.2.1.3): none is a destination beyond the local
 * link.
 */
static __always_inline bool whose_is_martian(__be32 v4)
{
	__u32 first = bpf_ntohl(v4) >> 24;

	return first == 0 || first == 127 || first >= 224;
}

/*
 * The peer of the longest allowed IPs, if they are longer than the network that is served and than the
 * host's own route.
 */
static __always_inline __u32 whose_peer(const struct talon_host_route *host, __be32 dst, int served)
{
	struct talon_lpm4 key = { .prefixlen = 32, .addr = dst };
	__u32 *value = bpf_map_lookup_elem(&allowed4, &key);
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

static __always_inline int whose_nobody(struct talon_pkt *pkt, enum talon_end reason, __u32 what)
{
	pkt->way.end = reason;
	pkt->way.what = what;
	return WHOSE_NOBODY;
}

/* What the FIB returned instead of a path. RFC 1812 sections 4.3.3.1 and 5.2.7.1 have the codes. */
static __always_inline int whose_refused(struct talon_pkt *pkt, int ret)
{
	switch (ret) {
	case BPF_FIB_LKUP_RET_BLACKHOLE:
		return whose_nobody(pkt, TALON_BLACKHOLE, 0);
	case BPF_FIB_LKUP_RET_UNREACHABLE:
		return whose_nobody(pkt, TALON_UNREACHABLE,
			ICMP_WHAT(ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, 0));
	case BPF_FIB_LKUP_RET_PROHIBIT:
		return whose_nobody(pkt, TALON_UNREACHABLE,
			ICMP_WHAT(ICMP_DEST_UNREACH, ICMP_PKT_FILTERED, 0));
	case BPF_FIB_LKUP_RET_FWD_DISABLED:
		return whose_nobody(pkt, TALON_FWD_DISABLED, 0);
	default:
		return whose_nobody(pkt, TALON_NO_FIB, ICMP_WHAT(ICMP_DEST_UNREACH, ICMP_NET_UNREACH, 0));
	}
}

/* The FIB leads into wt0: as for the host's own packets, allowed IPs alone select the peer. */
static __always_inline int whose_behind_tunnel(struct talon_pkt *pkt, __be32 dst)
{
	pkt->way.peer = allowed_peer4(dst);
	if (pkt->way.peer == TALON_PEER_NONE)
		return whose_nobody(pkt, TALON_NO_PEER, ICMP_WHAT(ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, 0));
	return WHOSE_PEER;
}

/*
 * How frames leave by the device that the FIB names, and whether replies reach our program; if not, the
 * error is @what.
 */
static __always_inline int whose_device(struct talon_pkt *pkt, bool masqueraded, __u32 what)
{
	struct talon_link *link = MAP_LOOKUP(links, &pkt->fib.ifindex);
	__u32 flags = link ? link->flags : 0;

	if (masqueraded && !(flags & TALON_LINK_PROGRAM))
		return whose_nobody(pkt, TALON_NO_WAY_BACK, what);
	if (pkt->way.no_neigh && (flags & TALON_LINK_NOARP)) {
		pkt->way.no_neigh = 0;
		pkt->way.onward = 1;
	}
	if (!(flags & TALON_LINK_REDIRECT))	/* noted for either hook: the flow's record serves both */
		pkt->way.onward = 1;
	return WHOSE_DEVICE;
}

/* Steps 4 and 5. */
static __always_inline int whose_by_fib(ctx_md *ctx, struct talon_pkt *pkt, const struct talon_config *cfg,
					const struct talon_host_route *host, __be32 dst, bool masqueraded)
{
	__u16 route_mtu = host ? host->mtu : 0;
	struct iphdr *ip = frame_ip(ctx);
	int ret;

	if (!ip)
		return whose_nobody(pkt, TALON_INTERNAL, 0);

	pkt->way.source = cfg->node_addr;
	if (cfg->flags & TALON_F_SNAT_OWN)
		pkt->way.source = cfg->snat_addr;
	else if (host && host->source)
		pkt->way.source = host->source;
	ret = fib_lookup4(ctx, pkt, masqueraded ? pkt->way.source : ip->saddr, dst);
	if (!fib_names_device(ret))
		return whose_refused(pkt, ret);
	pkt->way.no_neigh = ret == BPF_FIB_LKUP_RET_NO_NEIGH;
	if (pkt->fib.ifindex == cfg->tunnel_ifindex)
		return whose_behind_tunnel(pkt, dst);
	fib_obey_mtu(pkt, route_mtu);
	return whose_device(pkt, masqueraded, ICMP_WHAT(ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, 0));
}

/**
 * whose() - whose is the IPv4 packet in hand?
 * @ctx: packet; not changed
 * @pkt: parsed; pkt->way, and for a device pkt->fib and pkt->mtu, are written
 * @dst: its destination, network byte order
 * @served: length of the served network that @dst lies in, or WHOSE_SERVED_NONE
 * @flags: enum whose_flags
 *
 * Return: enum whose.
 */
__noinline int whose(ctx_md *ctx, struct talon_pkt *pkt, __be32 dst, int served, __u32 flags)
{
	const struct talon_config *cfg = config_get();
	struct talon_host_route *host;
	__u32 local, vip;

	if (!pkt || !cfg)
		return WHOSE_NOBODY;
	__builtin_memset(&pkt->way, 0, sizeof(pkt->way));
	if (whose_is_martian(dst))
		return whose_nobody(pkt, TALON_BAD_DESTINATION, 0);
	local = whose_local(dst);
	vip = served == WHOSE_SERVED_NONE ? 0 : whose_vip4(dst);
	if (vip == TALON_VIP_HERE && whose_goes_on(pkt))
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
	host = host_route4(dst);
	if (whose_is_own(cfg, dst) || (host && host->kind == TALON_HOST_LOCAL))
		return WHOSE_US;
	if (whose_is_found(pkt, local, served, flags)) {
		pkt->way.in_local = 1;
		return WHOSE_US;
	}
	if (host && host->kind == TALON_HOST_BROADCAST)
		return WHOSE_STACK;
	pkt->way.peer = whose_peer(host, dst, served);
	if (pkt->way.peer != TALON_PEER_NONE)
		return WHOSE_PEER;
	if (flags & WHOSE_TO_MESH)
		return WHOSE_OTHERS;
	return whose_by_fib(ctx, pkt, cfg, host, dst, flags & WHOSE_MASQUERADED);
}

#endif
