/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From the mesh to the cluster: allowed IPs, route, source NAT, next hop. The inner packet lies behind the Ethernet header. */
#ifndef TALON_LIB_FORWARD_H
#define TALON_LIB_FORWARD_H

#include "lib/acl.h"
#include "lib/fib.h"
#include "lib/flow.h"
#include "lib/icmp.h"
#include "lib/parse.h"
#include "lib/rewrite.h"

/* What the way was decided to be; between forward_decide() and forward_rewrite(). In pkt->flags. */
enum forward_flags {
	FORWARD_MASQUERADE	= 1 << 0,
	FORWARD_NO_NEIGH	= 1 << 1,	/* the next hop's MAC is not known: give the finished packet to the controller */
	FORWARD_HAIRPIN		= 1 << 2,	/* to another client by its external address: comes back in as if from the wire */
};

static __always_inline bool in_port_range(const struct talon_config *cfg, __be16 port)
{
	__u16 p = bpf_ntohs(port);

	return p >= cfg->port_first && p <= cfg->port_last;
}

/* Does some flow use the SNAT address's port @port? ICMP ids are not asked about. */
static __always_inline bool port_is_mapped(const struct talon_config *cfg, __u8 proto, __be16 port)
{
	flow_u64 *word;

	if ((proto != IPPROTO_TCP && proto != IPPROTO_UDP) || !in_port_range(cfg, port))
		return false;
	word = nat_port_word((__u32)nat_class(proto) << 16 | bpf_ntohs(port));
	return word && NAT_WORD_FLOWS(FLOW_LOAD(*word));
}

/*
 * RFC 4787 REQ-9, RFC 5382 REQ-8, RFC 5508 REQ-7: is the packet, whose destination is the SNAT address, for another client's mapping? ICMP
 * queries are not: an id is nobody's address.
 */
static __always_inline bool forward_is_hairpin(const struct talon_config *cfg, struct talon_pkt *pkt)
{
	struct talon_flow *about;
	__u32 id = 0;

	if (pkt->kind == INNER_FLOW)
		return port_is_mapped(cfg, pkt->proto, pkt->key.dport);
	if (pkt->kind != INNER_ICMP_ERROR)
		return false;
	about = flow_find_fwd(cfg, &pkt->key, &id);
	return about && about->peer == pkt->peer;
}

static __always_inline bool is_local4(const struct talon_config *cfg, __be32 v4)
{
	struct talon_addr a;

	if (v4 == cfg->node_addr || v4 == cfg->snat_addr || v4 == cfg->mesh_addr)
		return true;
	addr_set4(&a, v4);
	return bpf_map_lookup_elem(&local_addrs, &a) != NULL;
}

/* To this host itself: with its mesh source, and with nothing left on it that another program could misread. */
static __always_inline int deliver_local(ctx_md *ctx, struct talon_pkt *pkt, const struct talon_config *cfg)
{
	struct ethhdr *eth;

	/* The relay link's own side is no device that the host, or a CNI, expects anything from. */
	if (!(cfg->flags & TALON_F_HANDUP_TUNNEL) && frame_ifindex(ctx) != cfg->relay_ifindex) {
#ifndef TALON_TC
		/* Metadata is the CNI's private channel: what an earlier program left was about the outer packet. */
		if (ctx->data_meta != ctx->data)
			bpf_xdp_adjust_meta(ctx, ctx->data - ctx->data_meta);
#endif
		return end(pkt, TALON_LOCAL, ACTION_PASS);
	}
	eth = frame_eth(ctx);
	if (!eth)
		return drop(pkt, TALON_INTERNAL);
	mac_copy(eth->h_dest, cfg->tunnel_mac);
	mac_copy(eth->h_source, cfg->tunnel_peer_mac);
	pkt->ifindex = cfg->tunnel_peer_ifindex;
	return end(pkt, TALON_LOCAL, ACTION_SEND);
}

/* The packet is too large for pkt->mtu, or its TTL is up: tell its source, through the tunnel. */
static __always_inline int refuse_to_mesh(ctx_md *ctx, struct talon_pkt *pkt, const struct talon_config *cfg, __u32 what,
					  __u32 reason)
{
	int step = icmp_error_build(ctx, pkt, cfg->mesh_addr ? cfg->mesh_addr : cfg->node_addr, what, reason);

	return step == STEP_NEXT ? STEP_SEAL : step;
}

/* To another peer, without NAT. */
static __always_inline int forward_to_peer(ctx_md *ctx, struct talon_pkt *pkt, const struct talon_config *cfg, struct iphdr *ip,
					   __u32 peer)
{
	if (pkt->tot_len > cfg->tunnel_mtu && pkt->dont_fragment)
		return refuse_to_mesh(ctx, pkt, cfg, ICMP_WHAT(ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, cfg->tunnel_mtu),
				      TALON_TOO_BIG);
	rewrite_ttl(ip);
	pkt->peer = peer;
	if (cfg->flags & TALON_F_ACL)
		acl_note_out(pkt);
	if (pkt->tot_len > cfg->tunnel_mtu) {
		event_clear(pkt, TALON_EVENT_TOO_BIG);
		pkt->event.peer = peer;
		pkt->event.id = cfg->tunnel_mtu;
		return drop(pkt, event_send_packet(ctx, pkt, L3_OFF, pkt->tot_len) ? TALON_HELD : TALON_TOO_BIG);
	}
	pkt->resealed = 1;
	return STEP_SEAL;
}

/*
 * Everything that a flow's record spares the next packets: may this peer send from this address, where does it go, do the rules permit it, how.
 * Leaves ifindex, MACs in pkt->fib, pkt->mtu, pkt->flags; creates or refreshes the flow's record (pkt->flow).
 * STEP_NEXT to go on; STEP_SEAL when the packet belongs to another peer; or done.
 */
__noinline int forward_decide(ctx_md *ctx, struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();
	struct talon_lpm4 key = { .prefixlen = 32 };
	struct talon_route *route;
	struct iphdr *ip;
	__be32 src, dst;
	__u32 to_peer;
	int ret;

	if (!pkt || !cfg)
		return STEP_DONE;
	ip = frame_ip(ctx);
	if (!ip)
		return drop(pkt, TALON_INTERNAL);
	src = ip->saddr;
	dst = ip->daddr;
	if (allowed_peer4(src) != pkt->peer)
		return drop(pkt, TALON_NOT_ALLOWED);
	if (is_local4(cfg, src))
		return drop(pkt, TALON_LOCAL_SOURCE);
	key.addr = dst;
	route = bpf_map_lookup_elem(&routes4, &key);
	if (!route)
		return drop(pkt, TALON_NO_ROUTE);
	if (cfg->flags & TALON_F_ACL) {
		if (!acl_permits(ctx, pkt))
			return drop(pkt, TALON_ACL_DENIED);
		ip = frame_ip(ctx);
		if (!ip)
			return drop(pkt, TALON_INTERNAL);
	}
	pkt->flags = 0;
	if (dst == cfg->snat_addr) {
		if (forward_is_hairpin(cfg, pkt))
			pkt->flags = FORWARD_MASQUERADE | FORWARD_HAIRPIN;
		else if (cfg->flags & TALON_F_SNAT_OWN)	/* an address that is nobody's but for the mappings */
			return drop(pkt, TALON_NAT_NO_FLOW);
	}
	if ((route->flags & TALON_ROUTE_LOCAL) && !(pkt->flags & FORWARD_HAIRPIN))
		return deliver_local(ctx, pkt, cfg);
	if (ip->ttl <= 1)
		return refuse_to_mesh(ctx, pkt, cfg, ICMP_WHAT(ICMP_TIME_EXCEEDED, ICMP_EXC_TTL, 0), TALON_TTL_EXPIRED);
	if (pkt->flags & FORWARD_HAIRPIN) {
		pkt->mtu = cfg->tunnel_mtu;
		return STEP_NEXT;
	}
	if (route->flags & TALON_ROUTE_MASQUERADE) {
		pkt->flags |= FORWARD_MASQUERADE;
	} else {
		to_peer = allowed_peer4(dst);
		if (to_peer != TALON_PEER_NONE)
			return forward_to_peer(ctx, pkt, cfg, ip, to_peer);
	}

	ret = fib_lookup4(ctx, pkt, pkt->flags & FORWARD_MASQUERADE ? cfg->snat_addr : src, dst);
	switch (ret) {
	case BPF_FIB_LKUP_RET_SUCCESS:
	case BPF_FIB_LKUP_RET_FRAG_NEEDED:	/* pkt->mtu says how large; the check below decides */
		break;
	case BPF_FIB_LKUP_RET_NO_NEIGH:
		pkt->flags |= FORWARD_NO_NEIGH;
		break;
	case BPF_FIB_LKUP_RET_NOT_FWDED:	/* one of this host's own addresses */
		return deliver_local(ctx, pkt, cfg);
	default:
		return drop(pkt, TALON_NO_FIB);
	}
	return STEP_NEXT;
}

/* Record for a new flow, or the old one under the new generation. After forward_decide(). */
__noinline int forward_track(ctx_md *ctx, struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();
	struct talon_flow *f;
	int ret;

	if (!pkt || !cfg)
		return STEP_DONE;
	if (pkt->proto == IPPROTO_ICMP && pkt->icmp_type != ICMP_ECHO && pkt->icmp_type != ICMP_TIMESTAMP)
		return drop(pkt, TALON_NAT_NO_FLOW);
	if (!pkt->flow) {
		ret = flow_create(cfg, &pkt->key, pkt->peer, cfg->snat_addr, pkt->now_s, &pkt->flow);
		if (ret == -EADDRINUSE || ret == -ENOSPC || ret == -EDQUOT) {
			event_clear(pkt, TALON_EVENT_NAT_FULL);
			if (take_token(&pkt->event_tokens, &pkt->event_filled_ns, pkt->now_ns, EVENTS_PER_SECOND, EVENTS_BURST))
				event_send(pkt);
			/* RFC 5508 REQ-8: administratively prohibited, for want of a mapping */
			return refuse_to_mesh(ctx, pkt, cfg, ICMP_WHAT(ICMP_DEST_UNREACH, ICMP_PKT_FILTERED, 0),
					      ret == -ENOSPC ? TALON_NAT_TABLE : ret == -EDQUOT ? TALON_NAT_SHARED_OUT : TALON_NAT_PORTS);
		}
		if (ret == -EAGAIN && flow_find_fwd(cfg, &pkt->key, &pkt->flow))
			ret = 0;	/* the other CPU has made it meanwhile */
		if (ret)
			return drop(pkt, TALON_NAT_RACE);
	}
	f = MAP_LOOKUP(flows, &pkt->flow);
	if (!f)
		return drop(pkt, TALON_INTERNAL);
	f->peer = pkt->peer;	/* forward_decide() saw that the address is this peer's now, whoever had it before */
	if (pkt->flags & (FORWARD_NO_NEIGH | FORWARD_HAIRPIN))
		return STEP_NEXT;
	f->mtu = pkt->mtu;
	f->ifindex = pkt->fib.ifindex;
	mac_copy(f->dmac, pkt->fib.dmac);
	mac_copy(f->smac, pkt->fib.smac);
	f->generation = pkt->generation;
	return STEP_NEXT;
}

/* A decrypted packet on its way out: the record's way if it has one, else a decision. STEP_NEXT, STEP_SEAL or done. */
__noinline int forward_look(ctx_md *ctx, struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();
	struct talon_flow *f;
	struct iphdr *ip;
	__u32 id = 0;
	int step;

	if (!pkt || !cfg)
		return STEP_DONE;
	ip = frame_ip(ctx);
	if (!ip || parse_inner4(ctx, pkt, ip))
		return drop(pkt, TALON_BAD_INNER);
	pkt->flow = 0;
	if (pkt->kind == INNER_ICMP_ERROR && parse_embedded4(ctx, pkt))
		return drop(pkt, TALON_BAD_INNER);
	if (pkt->kind == INNER_FLOW) {
		f = flow_find_fwd(cfg, &pkt->key, &id);
		if (f) {
			pkt->flow = id;
			if (f->generation == cfg->generation && f->peer == pkt->peer) {
				pkt->mtu = f->mtu;
				pkt->flags = FORWARD_MASQUERADE;
				if (pkt->first_fragment && (cfg->flags & TALON_F_ACL))
					acl_keep_fragments(ctx, pkt);
				return STEP_NEXT;
			}
		}
	}
	pkt->generation = cfg->generation;
	barrier();
	step = forward_decide(ctx, pkt);
	if (step != STEP_NEXT)
		return step;
	if (!(pkt->flags & FORWARD_MASQUERADE)) {
		pkt->flow = 0;	/* of a time when its route was masqueraded */
		return STEP_NEXT;
	}
	if (pkt->kind == INNER_OTHER)
		return drop(pkt, TALON_NAT_PROTO);
	return pkt->kind == INNER_FLOW ? forward_track(ctx, pkt) : STEP_NEXT;
}

/* Out: the finished packet, with the MACs of its next hop. */
static __always_inline int forward_send(ctx_md *ctx, struct talon_pkt *pkt, const __u8 *dmac, const __u8 *smac, __u32 ifindex)
{
	struct ethhdr *eth = frame_eth(ctx);

	if (!eth)
		return drop(pkt, TALON_INTERNAL);
	mac_copy(eth->h_dest, dmac);
	mac_copy(eth->h_source, smac);
	pkt->ifindex = ifindex;
	return end(pkt, TALON_FORWARDED, ACTION_SEND);
}

/* Out, but the controller must resolve the next hop (or cut the packet) first. */
static __always_inline int forward_hold(ctx_md *ctx, struct talon_pkt *pkt, enum talon_event_type type, __u32 reason)
{
	fib_event_neigh(pkt);
	pkt->event.type = type;
	pkt->event.id = type == TALON_EVENT_TOO_BIG ? pkt->mtu : 0;
	return drop(pkt, event_send_packet(ctx, pkt, L3_OFF, pkt->tot_len) ? TALON_HELD : reason);
}

/* Size, TTL, source NAT, MSS, and out. Done, or STEP_SEAL with an ICMP error, or STEP_TRANSLATE: back in for another client. */
__noinline int forward_rewrite(ctx_md *ctx, struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();
	struct talon_flow *f = NULL;
	struct iphdr *ip;
	__be16 port = 0;

	if (!pkt || !cfg)
		return STEP_DONE;
	ip = frame_ip(ctx);
	if (!ip)
		return drop(pkt, TALON_INTERNAL);
	if (ip->ttl <= 1)
		return refuse_to_mesh(ctx, pkt, cfg, ICMP_WHAT(ICMP_TIME_EXCEEDED, ICMP_EXC_TTL, 0), TALON_TTL_EXPIRED);
	if (pkt->mtu && pkt->tot_len > pkt->mtu && pkt->dont_fragment)
		return refuse_to_mesh(ctx, pkt, cfg, ICMP_WHAT(ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, pkt->mtu), TALON_TOO_BIG);
	rewrite_ttl(ip);
	if (pkt->flow) {
		f = MAP_LOOKUP(flows, &pkt->flow);
		if (!f)
			return drop(pkt, TALON_INTERNAL);
		port = f->snat_port;
		flow_touch_out(f, pkt->tcp_flags, pkt->now_s);
	}
	if (pkt->flags & FORWARD_MASQUERADE) {
		if (pkt->kind == INNER_ICMP_ERROR) {
			__u32 id;
			struct talon_flow *about = flow_find_fwd(cfg, &pkt->key, &id);

			/* RFC 5508 REQ-4 (b), REQ-6: translated by the flow's record, which is not refreshed by it */
			if (!about || about->peer != pkt->peer)
				return drop(pkt, TALON_NAT_NO_FLOW);
			if (rewrite_icmp_error(ctx, pkt, REWRITE_SOURCE, cfg->snat_addr, about->snat_port, 0))
				return drop(pkt, TALON_BAD_INNER);
		} else {
			rewrite_id(ip, rewrite_id_mask(cfg, ip->saddr));
			if (rewrite_side(ctx, pkt, REWRITE_SOURCE, cfg->snat_addr, port))
				return drop(pkt, TALON_BAD_INNER);
		}
	}
	if (pkt->kind == INNER_FLOW && pkt->proto == IPPROTO_TCP && (pkt->tcp_flags & TCP_FLAG_SYN_BIT))
		rewrite_mss(ctx, pkt, (pkt->mtu && pkt->mtu < cfg->tunnel_mtu ? pkt->mtu : cfg->tunnel_mtu) - 40);
	if (pkt->flags & FORWARD_HAIRPIN) {
		if (pkt->tot_len > pkt->mtu)
			return drop(pkt, TALON_TOO_BIG);
		pkt->resealed = 1;
		return STEP_TRANSLATE;
	}
	if (pkt->flags & FORWARD_NO_NEIGH)
		return forward_hold(ctx, pkt, TALON_EVENT_NEIGH, TALON_NO_NEIGH);
	if (pkt->mtu && pkt->tot_len > pkt->mtu) {
		/* The record has the way but not the next hop's address, and pkt->fib may be another packet's: ask again. */
		if (f && fib_lookup4(ctx, pkt, ip->saddr, ip->daddr) < 0)
			return drop(pkt, TALON_TOO_BIG);
		return forward_hold(ctx, pkt, TALON_EVENT_TOO_BIG, TALON_TOO_BIG);
	}
	if (f)
		return forward_send(ctx, pkt, f->dmac, f->smac, f->ifindex);
	return forward_send(ctx, pkt, pkt->fib.dmac, pkt->fib.smac, pkt->fib.ifindex);
}

#endif
