/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From the mesh to the network: permission, destination, source NAT, next hop. The inner packet is
 * after the Ethernet header.
 */
#ifndef TALON_LIB_FORWARD_H
#define TALON_LIB_FORWARD_H

#include "lib/acl.h"
#include "lib/endpoint.h"
#include "lib/flow.h"
#include "lib/inner4.h"
#include "lib/rewrite.h"
#include "lib/verdict.h"
#include "talon/packet_types.h"

static __always_inline bool in_port_range(const struct talon_config *cfg, __be16 port)
{
	__u16 p = bpf_ntohs(port);

	return p >= cfg->port_first && p <= cfg->port_last;
}

/* Does any flow use port @port of the SNAT address? Not for ICMP ids. */
static __always_inline bool port_is_mapped(const struct talon_config *cfg, __u8 proto, __be16 port)
{
	flow_u64 *word;

	if ((proto != IPPROTO_TCP && proto != IPPROTO_UDP) || !in_port_range(cfg, port))
		return false;
	word = nat_port_word((__u32)nat_class(proto) << 16 | bpf_ntohs(port));
	return word && NAT_WORD_FLOWS(FLOW_LOAD(*word));
}

/* Does the host have a socket of its own on the port? */
static __always_inline bool port_is_the_hosts(__u8 proto, __be16 port)
{
	return nat_port_is_blocked((__u32)nat_class(proto) << 16 | bpf_ntohs(port));
}

/*
 * RFC 4787 REQ-9, RFC 5382 REQ-8, RFC 5508 REQ-7: is the packet, whose destination is the SNAT address,
 * for another client's mapping? ICMP queries are not: an id is not an address.
 */
static __always_inline bool forward_is_hairpin(const struct talon_config *cfg, struct talon_pkt *pkt)
{
	struct talon_flow *about;
	__u32 id = 0;

	if (pkt->kind == INNER_FLOW)
		return port_is_mapped(cfg, pkt->proto, pkt->key.dport) &&
			!port_is_the_hosts(pkt->proto, pkt->key.dport);
	if (pkt->kind != INNER_ICMP_ERROR)
		return false;
	about = flow_find_fwd(cfg, &pkt->key, &id);
	return about && about->peer == pkt->peer;
}

/* Tells the packet's source through the tunnel why it is refused. */
static __always_inline int refuse_to_mesh(ctx_md *ctx, struct talon_pkt *pkt, const struct talon_config *cfg,
	__u32 what, __u32 reason)
{
	int step = icmp_error_build(ctx, pkt, cfg->mesh_addr ? cfg->mesh_addr : cfg->node_addr, what, reason);

	return step == STEP_NEXT ? STEP_SEAL : step;
}

/* Neither the host nor a CNI expects packets from the relay pair's near end. */
static __always_inline bool deliver_by_tunnel(ctx_md *ctx, const struct talon_config *cfg)
{
	return (cfg->flags & TALON_F_HANDUP_TUNNEL) || frame_ifindex(ctx) == cfg->relay_ifindex;
}

/* Up the stack from here. */
static __always_inline int deliver_here(ctx_md *ctx, struct talon_pkt *pkt)
{
	frame_forget_meta(ctx);
	return end(pkt, TALON_LOCAL, ACTION_PASS);
}

/* Out of the tunnel device's far end. */
static __always_inline int deliver_through_tunnel(ctx_md *ctx, struct talon_pkt *pkt,
	const struct talon_config *cfg)
{
	struct ether *eth;

	frame_forget_meta(ctx);
	eth = frame_eth(ctx);
	if (!eth)
		return drop(pkt, TALON_INTERNAL);
	mac_copy(eth->h_dest, cfg->tunnel_mac);
	mac_copy(eth->h_source, cfg->tunnel_peer_mac);
	pkt->ifindex = cfg->tunnel_peer_ifindex;
	return end(pkt, TALON_LOCAL, ACTION_SEND);
}

/* To this host itself, with its mesh source. */
static __always_inline int deliver_local(ctx_md *ctx, struct talon_pkt *pkt, const struct talon_config *cfg)
{
	if (!deliver_by_tunnel(ctx, cfg))
		return deliver_here(ctx, pkt);
	/* A veth silently drops packets longer than its MTU. */
	if (pkt->tot_len > cfg->tunnel_mtu)
		return pkt->dont_fragment ? refuse_to_mesh(ctx, pkt, cfg,
			ICMP_WHAT(ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, cfg->tunnel_mtu), TALON_TOO_BIG)
			: drop(pkt, TALON_TOO_BIG);
	return deliver_through_tunnel(ctx, pkt, cfg);
}

/* To another peer, without NAT. */
static __always_inline int forward_to_peer(ctx_md *ctx, struct talon_pkt *pkt, const struct talon_config *cfg,
	__u32 peer)
{
	__u32 mtu = endpoint_mtu(cfg, peer);
	struct iphdr *ip = frame_ip(ctx);

	if (!ip)
		return drop(pkt, TALON_INTERNAL);
	if (pkt->tot_len > mtu && pkt->dont_fragment)
		return refuse_to_mesh(ctx, pkt, cfg, ICMP_WHAT(ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, mtu),
			TALON_TOO_BIG);
	inner4_hop(ip);
	pkt->peer = peer;
	if (cfg->flags & TALON_F_ACL)
		verdict_note_out(pkt);
	if (pkt->tot_len > mtu) {
		event_clear(pkt, TALON_EVENT_TOO_BIG);
		pkt->event.peer = peer;
		pkt->event.id = mtu;
		return drop(pkt, event_send_packet(ctx, pkt, L3_OFF, pkt->tot_len) ? TALON_HELD
			: TALON_TOO_BIG);
	}
	pkt->resealed = 1;
	return STEP_SEAL;
}

/*
 * The destination that access rules are evaluated for. Every address of this host counts as its mesh
 * address: a rule for a network in which the host has an address does not open its services. Another
 * client's mapping is not a service of the host.
 */
static __always_inline __be32 forward_judged(const struct talon_pkt *pkt, const struct talon_config *cfg,
	int who, __be32 dst)
{
	bool own = who == WHOSE_US && !pkt->way.in_local && !(pkt->flags & FORWARD_HAIRPIN);

	return own || who == WHOSE_STACK ? cfg->mesh_addr : dst;
}

/* Is it an address that only this host itself sends from? */
static __always_inline bool forward_is_ours(const struct talon_config *cfg, __be32 src)
{
	return src == cfg->mesh_addr || whose_is_own(cfg, src);
}

/* May the peer send from its inner source at all? 0, or a reason to drop. */
static __always_inline __u32 forward_source(const struct talon_pkt *pkt, const struct talon_config *cfg,
	__be32 src)
{
	if (allowed_peer4(src) != pkt->peer)
		return TALON_NOT_ALLOWED;
	return forward_is_ours(cfg, src) ? TALON_LOCAL_SOURCE : 0;
}

/* To an address of this host: another client's mapping (FORWARD_HAIRPIN), or the host itself. */
static __always_inline int forward_to_us(ctx_md *ctx, struct talon_pkt *pkt, const struct talon_config *cfg,
	__be32 dst, bool ttl_up)
{
	if (pkt->flags & FORWARD_HAIRPIN) {
		if (ttl_up)
			return refuse_to_mesh(ctx, pkt, cfg, ICMP_WHAT(ICMP_TIME_EXCEEDED, ICMP_EXC_TTL, 0),
				TALON_TTL_EXPIRED);
		pkt->way.source = dst;
		pkt->mtu = cfg->tunnel_mtu;
		return STEP_NEXT;
	}
	/* the spare address has nothing but mappings */
	if (!pkt->way.in_local && (cfg->flags & TALON_F_SNAT_OWN) && dst == cfg->snat_addr)
		return drop(pkt, TALON_NAT_NO_FLOW);
	return deliver_local(ctx, pkt, cfg);
}

/* Nobody's packet: refused with the ICMP error that fits, if there is one. */
static __always_inline int forward_refuse(ctx_md *ctx, struct talon_pkt *pkt, const struct talon_config *cfg)
{
	return pkt->way.what ? refuse_to_mesh(ctx, pkt, cfg, pkt->way.what, pkt->way.end)
		: drop(pkt, pkt->way.end);
}

/* The TTL is used up: tells the source. */
static __always_inline int forward_expired(ctx_md *ctx, struct talon_pkt *pkt, const struct talon_config *cfg)
{
	return refuse_to_mesh(ctx, pkt, cfg, ICMP_WHAT(ICMP_TIME_EXCEEDED, ICMP_EXC_TTL, 0),
		TALON_TTL_EXPIRED);
}

/* The route that serves @dst, or NULL. */
static __always_inline struct talon_route *forward_route4(__be32 dst)
{
	struct talon_lpm4 key = { .prefixlen = 32, .addr = dst };

	return bpf_map_lookup_elem(&routes4, &key);
}

/* Without a route only this host itself is open: its mesh address, and what "Local" lists. */
static __always_inline bool forward_is_served(const struct talon_pkt *pkt, const struct talon_config *cfg,
	const struct talon_route *route, int who, __be32 dst)
{
	return route || (who == WHOSE_US && (pkt->way.in_local || dst == cfg->mesh_addr));
}

/*
 * The packet is handed up, though its flow went elsewhere so far: nothing is left of that. A record without
 * a connection would be taken for one.
 */
static __always_inline void forward_close(struct talon_pkt *pkt, const struct talon_config *cfg)
{
	struct talon_flow *f = pkt->kind == INNER_FLOW && pkt->flow ? MAP_LOOKUP(flows, &pkt->flow) : NULL;

	if (f)
		flow_close(cfg, f, pkt->flow, pkt->now_s);
	pkt->flow = 0;
}

/* By a device: with these flags the packet is rewritten. */
static __always_inline int forward_by_device(struct talon_pkt *pkt, bool masquerade)
{
	if (masquerade)
		pkt->flags |= FORWARD_MASQUERADE;
	if (pkt->way.no_neigh)
		pkt->flags |= FORWARD_NO_NEIGH;
	return STEP_NEXT;
}

/* The packet belongs to @who, and may go there. As forward_decide(). */
__noinline int forward_go(ctx_md *ctx, struct talon_pkt *pkt, int who, __u32 masquerade)
{
	const struct talon_config *cfg = config_get();
	bool ttl_up;

	if (!pkt || !cfg)
		return STEP_DONE;
	ttl_up = pkt->hops <= 1;
	if (who == WHOSE_US)
		return forward_to_us(ctx, pkt, cfg, pkt->inner_dst.word[0], ttl_up);
	if (who == WHOSE_STACK)
		return deliver_local(ctx, pkt, cfg);
	if (who == WHOSE_NOBODY)
		return forward_refuse(ctx, pkt, cfg);
	if (ttl_up)
		return forward_expired(ctx, pkt, cfg);
	if (who == WHOSE_PEER)
		return forward_to_peer(ctx, pkt, cfg, pkt->way.peer);
	return forward_by_device(pkt, masquerade);
}

/*
 * Everything that a flow's record or a verdict spares the next packets: may this peer send from this
 * address, whose is the packet, do the rules permit it. Leaves ifindex and MACs in pkt->fib, pkt->mtu,
 * pkt->way, pkt->flags. Returns STEP_NEXT to continue by a device; STEP_SEAL when the packet belongs to
 * another peer; or done.
 */
__noinline int forward_decide(ctx_md *ctx, struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();
	int who, permit = ACL_BY_RULE;
	__u32 reason, masquerade;
	struct talon_route *route;
	bool mapped;
	__be32 dst;

	if (!pkt || !cfg)
		return STEP_DONE;
	reason = forward_source(pkt, cfg, pkt->inner_src.word[0]);
	if (reason)
		return drop(pkt, reason);
	dst = pkt->inner_dst.word[0];
	route = forward_route4(dst);
	masquerade = route && (route->flags & TALON_ROUTE_MASQUERADE);
	who = whose(ctx, pkt, dst, route ? route->prefixlen : WHOSE_SERVED_NONE,
		masquerade ? WHOSE_MASQUERADED : 0);
	if (!forward_is_served(pkt, cfg, route, who, dst))
		return drop(pkt, TALON_NO_ROUTE);
	pkt->flags = 0;
	mapped = who == WHOSE_US && !pkt->way.in_local && whose_is_source(cfg, dst);
	if (mapped && forward_is_hairpin(cfg, pkt))
		pkt->flags = FORWARD_MASQUERADE | FORWARD_HAIRPIN;
	if (cfg->flags & TALON_F_ACL)
		permit = acl_permits(ctx, pkt, forward_judged(pkt, cfg, who, dst));
	if (!permit)
		return drop(pkt, TALON_ACL_DENIED);
	if (verdict_lasts(pkt, who, masquerade))
		verdict_keep(ctx, pkt, who, permit, mapped);
	if (who == WHOSE_US && pkt->way.in_local == WHOSE_IN_VIP)
		forward_close(pkt, cfg);
	return forward_go(ctx, pkt, who, masquerade);
}

/*
 * By the verdict on an earlier packet, if there is one that still holds: into @pkt. Returns enum whose, or
 * -1: it has to be decided.
 */
static __always_inline int forward_recall(ctx_md *ctx, struct talon_pkt *pkt,
	const struct talon_config *cfg)
{
	struct verdict *v;

	pkt->has_verdict = 0;
	if (pkt->kind != INNER_FLOW || pkt->flow)
		return -1;
	v = verdict_find(ctx, pkt, cfg, pkt->peer);
	if (!v || verdict_is_short_of(v, pkt) ||
		((v->flags & VERDICT_MAPPED) && forward_is_hairpin(cfg, pkt)) ||
		((v->flags & VERDICT_ANSWER) && !acl_is_answer(pkt, true)))
		return -1;
	if (pkt->first_fragment && (cfg->flags & TALON_F_ACL))
		acl_keep_fragments(ctx, pkt);
	verdict_take(v, pkt);
	return v->who;
}

/*
 * Is the flow still valid? Its client is this peer's, its SNAT address is the current one, its port is
 * in the range.
 */
static __always_inline bool forward_keeps(const struct talon_pkt *pkt, const struct talon_config *cfg,
	const struct talon_flow *f)
{
	return f->peer == pkt->peer && f->snat == pkt->way.source &&
		(pkt->proto == IPPROTO_ICMP || in_port_range(cfg, f->snat_port));
}

/* No room for a new flow, as @ret of flow_create() says: tells the controller. Returns the reason. */
static __always_inline enum talon_end forward_tell_full(struct talon_pkt *pkt, int ret)
{
	event_clear(pkt, TALON_EVENT_NAT_FULL);
	if (rate_take(pkt->now_ns, TALON_RATE_NAT_FULL))
		event_send(pkt);
	return ret == -ENOSPC ? TALON_NAT_TABLE : ret == -EDQUOT ? TALON_NAT_SHARED_OUT : TALON_NAT_PORTS;
}

/* And the source (RFC 5508 REQ-8). */
static __always_inline int forward_full(ctx_md *ctx, struct talon_pkt *pkt, const struct talon_config *cfg,
	int ret)
{
	return refuse_to_mesh(ctx, pkt, cfg, ICMP_WHAT(ICMP_DEST_UNREACH, ICMP_PKT_FILTERED, 0),
		forward_tell_full(pkt, ret));
}

/* The way that was just decided goes into the flow's record, for the packets to come. */
static __always_inline void forward_keep_way(struct talon_pkt *pkt, struct talon_flow *f)
{
	f->back_generation = pkt->generation;
	if (pkt->flags & FORWARD_NO_NEIGH)
		flow_wait(f, pkt->now_ns);
	if (pkt->way.goes_on || (pkt->flags & (FORWARD_NO_NEIGH | FORWARD_HAIRPIN)))
		return;
	f->mtu = pkt->mtu;
	f->ifindex = pkt->fib.ifindex | (pkt->way.onward ? TALON_FLOW_ONWARD : 0);
	mac_copy(f->dmac, pkt->fib.dmac);
	mac_copy(f->smac, pkt->fib.smac);
	f->generation = pkt->generation;
}

/* Is there no room for the flow, as flow_create() says in @ret? */
static __always_inline bool forward_is_full(int ret)
{
	return ret == -EADDRINUSE || ret == -ENOSPC || ret == -EDQUOT;
}

/*
 * Makes the record of a new flow, or renews the old one under the current generation. After
 * forward_decide().
 */
__noinline int forward_track(ctx_md *ctx, struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();
	struct talon_flow *f;
	int ret;

	if (!pkt || !cfg)
		return STEP_DONE;
	if (pkt->proto == IPPROTO_ICMP && pkt->icmp_type != ICMP_ECHO && pkt->icmp_type != ICMP_TIMESTAMP)
		return drop(pkt, TALON_NAT_NO_FLOW);
	f = pkt->flow ? MAP_LOOKUP(flows, &pkt->flow) : NULL;
	/* the client's retries would keep it alive, but no reply could arrive */
	if (f && !forward_keeps(pkt, cfg, f)) {
		flow_close(cfg, f, pkt->flow, pkt->now_s);
		pkt->flow = 0;
	}
	if (!pkt->flow) {
		pkt->party.peer = pkt->peer;
		pkt->party.snat = pkt->way.source;
		pkt->party.now_s = pkt->now_s;
		ret = flow_create(cfg, &pkt->key, &pkt->party, &pkt->flow);
		if (forward_is_full(ret))
			return forward_full(ctx, pkt, cfg, ret);
		if (ret == -EAGAIN && flow_find_fwd(cfg, &pkt->key, &pkt->flow))
			ret = 0;	/* another CPU has created it meanwhile */
		if (ret)
			return drop(pkt, TALON_NAT_RACE);
	}
	f = MAP_LOOKUP(flows, &pkt->flow);
	if (!f)
		return drop(pkt, TALON_INTERNAL);
	forward_keep_way(pkt, f);
	return STEP_NEXT;
}

/*
 * Finds the way of a decrypted packet: its record's if it has one, else a decision. Returns STEP_NEXT,
 * STEP_SEAL or done.
 */
__noinline int forward_look(ctx_md *ctx, struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();
	struct talon_flow *f;
	struct iphdr *ip;
	__u32 id = 0;
	int step, who;

	if (!pkt || !cfg)
		return STEP_DONE;
	ip = frame_ip(ctx);
	if (!ip || inner4_read(ctx, pkt, ip))
		return drop(pkt, TALON_BAD_INNER);
	pkt->flow = 0;
	if (pkt->kind == INNER_ICMP_ERROR && inner4_read_embedded(ctx, pkt))
		return drop(pkt, TALON_BAD_INNER);
	if (pkt->kind == INNER_FLOW) {
		f = flow_find_hinted(cfg, &pkt->key, pkt->hint, &id);
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
	who = forward_recall(ctx, pkt, cfg);
	step = who < 0 ? forward_decide(ctx, pkt) : forward_go(ctx, pkt, who, 0);
	if (step != STEP_NEXT)
		return step;
	if (!(pkt->flags & FORWARD_MASQUERADE)) {
		pkt->flow = 0;	/* left from when its route was masqueraded */
		return STEP_NEXT;
	}
	if (pkt->kind == INNER_OTHER)
		return drop(pkt, TALON_NAT_PROTO);
	return pkt->kind == INNER_FLOW ? forward_track(ctx, pkt) : STEP_NEXT;
}

static __always_inline bool forward_has_mac(const __u8 *mac)
{
	return *(const __u16 *)mac || *(const __u16 *)(mac + 2) || *(const __u16 *)(mac + 4);
}

/* Must the kernel send it, resolving the neighbour itself? From tc only if the neighbour is unknown. */
static __always_inline bool forward_is_onward(bool onward, const __u8 *dmac)
{
	return onward && !(frame_is_tc() && forward_has_mac(dmac));
}

/* Sends the finished packet with the MACs of its next hop. */
static __always_inline int forward_send(ctx_md *ctx, struct talon_pkt *pkt, const __u8 *dmac,
	const __u8 *smac, __u32 ifindex)
{
	struct ether *eth = frame_eth(ctx);

	if (!eth)
		return drop(pkt, TALON_INTERNAL);
	mac_copy(eth->h_dest, dmac);
	mac_copy(eth->h_source, smac);
	pkt->ifindex = ifindex;
	return end(pkt, TALON_FORWARDED, ACTION_SEND);
}

/* Gives the packet to the controller, which resolves the next hop or fragments the packet first. */
static __always_inline int forward_hold(ctx_md *ctx, struct talon_pkt *pkt, enum talon_event_type type,
	__u32 reason)
{
	fib_event_neigh(pkt);
	pkt->event.type = type;
	if (type == TALON_EVENT_TOO_BIG)
		pkt->event.id = pkt->mtu;
	return drop(pkt, event_send_packet(ctx, pkt, L3_OFF, pkt->tot_len) ? TALON_HELD : reason);
}

/*
 * Limits what the far end of a connection may send to what fits the next link and the way back to the
 * peer.
 */
static __always_inline void forward_clamp_mss(ctx_md *ctx, struct talon_pkt *pkt,
	const struct talon_config *cfg)
{
	__u32 mtu = endpoint_mtu(cfg, pkt->peer);

	rewrite_mss(ctx, pkt, mss_of_mtu(pkt, pkt->mtu && pkt->mtu < mtu ? pkt->mtu : mtu));
}

/*
 * An ICMP error about a flow is translated by that flow's record, which it does not refresh (RFC 5508 REQ-4
 * (b), REQ-6). Returns 0 or a reason to drop.
 */
static __always_inline __u32 forward_masquerade_error(ctx_md *ctx, struct talon_pkt *pkt,
	const struct talon_config *cfg)
{
	struct talon_flow *about;
	__u32 id;

	about = flow_find_fwd(cfg, &pkt->key, &id);
	if (!about || about->peer != pkt->peer)
		return TALON_NAT_NO_FLOW;
	return rewrite_icmp_error(ctx, pkt, REWRITE_SOURCE, about->snat, about->snat_port, 0)
		? TALON_BAD_INNER : 0;
}

/*
 * The source becomes that of the flow's record @f, or without ports the one that the way asks for. Returns 0
 * or a reason to drop.
 */
static __always_inline __u32 forward_masquerade(ctx_md *ctx, struct talon_pkt *pkt,
	const struct talon_config *cfg, struct iphdr *ip, const struct talon_flow *f)
{
	__be32 source = f ? f->snat : pkt->way.source;
	__be16 port = f ? f->snat_port : 0;

	if (pkt->kind == INNER_ICMP_ERROR)
		return forward_masquerade_error(ctx, pkt, cfg);
	inner4_mask_id(ip, inner4_id_mask(cfg, ip->saddr));
	return rewrite_side(ctx, pkt, REWRITE_SOURCE, source, port) ? TALON_BAD_INNER : 0;
}

/* Back in for another client, whose own MTU is looked at there. */
static __always_inline int forward_hairpin(struct talon_pkt *pkt)
{
	if (pkt->tot_len > pkt->mtu)
		return drop(pkt, TALON_TOO_BIG);
	pkt->resealed = 1;
	return STEP_TRANSLATE;
}

/*
 * Larger than the next link takes, and may be cut: the controller does that. A record has the way but not the
 * next hop's address, and pkt->fib may be another packet's: the FIB is asked again.
 */
static __always_inline int forward_cut(ctx_md *ctx, struct talon_pkt *pkt, const struct iphdr *ip,
	const struct talon_flow *f)
{
	if (f && !fib_names_device(fib_lookup4(ctx, pkt, ip->saddr, ip->daddr)))
		return drop(pkt, TALON_TOO_BIG);
	if (f)
		pkt->mtu = f->mtu;	/* the helper knows only the device's */
	return forward_hold(ctx, pkt, TALON_EVENT_TOO_BIG, TALON_TOO_BIG);
}

/* Out, by the record's way or by the one that was just decided. */
static __always_inline int forward_leave(ctx_md *ctx, struct talon_pkt *pkt, const struct talon_flow *f)
{
	if (f ? forward_is_onward(f->ifindex & TALON_FLOW_ONWARD, f->dmac)
		: forward_is_onward(pkt->way.onward, pkt->fib.dmac)) {
		pkt->ifindex = f ? f->ifindex & ~TALON_FLOW_ONWARD : pkt->fib.ifindex;
		return end(pkt, frame_onward_end(), ACTION_ONWARD);
	}
	if (f)
		return forward_send(ctx, pkt, f->dmac, f->smac, f->ifindex & ~TALON_FLOW_ONWARD);
	return forward_send(ctx, pkt, pkt->fib.dmac, pkt->fib.smac, pkt->fib.ifindex);
}

static __always_inline bool is_syn(const struct talon_pkt *pkt)
{
	return pkt->kind == INNER_FLOW && pkt->proto == IPPROTO_TCP && (pkt->tcp_flags & TCP_FLAG_SYN_BIT);
}

/*
 * TTL, size, source NAT, MSS, and out. Returns done, STEP_SEAL with an ICMP error, or STEP_TRANSLATE: back in
 * for another client.
 */
__noinline int forward_rewrite(ctx_md *ctx, struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();
	struct talon_flow *f = NULL;
	struct iphdr *ip;
	__u32 reason;
	bool big;

	if (!pkt || !cfg)
		return STEP_DONE;
	ip = frame_ip(ctx);
	if (!ip)
		return drop(pkt, TALON_INTERNAL);
	if (pkt->hops <= 1)
		return forward_expired(ctx, pkt, cfg);
	big = pkt->mtu && pkt->tot_len > pkt->mtu;
	if (big && pkt->dont_fragment)
		return refuse_to_mesh(ctx, pkt, cfg, ICMP_WHAT(ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, pkt->mtu),
			TALON_TOO_BIG);
	inner4_hop(ip);
	if (pkt->flow) {
		f = MAP_LOOKUP(flows, &pkt->flow);
		if (!f)
			return drop(pkt, TALON_INTERNAL);
		flow_touch_out(f, pkt->tcp_flags, pkt->now_s);
	}
	if (pkt->flags & FORWARD_MASQUERADE) {
		reason = forward_masquerade(ctx, pkt, cfg, ip, f);
		if (reason)
			return drop(pkt, reason);
	}
	if (is_syn(pkt))
		forward_clamp_mss(ctx, pkt, cfg);
	if (pkt->flags & FORWARD_HAIRPIN)
		return forward_hairpin(pkt);
	if (pkt->flags & FORWARD_NO_NEIGH)
		return forward_hold(ctx, pkt, TALON_EVENT_NEIGH, TALON_NO_NEIGH);
	return big ? forward_cut(ctx, pkt, ip, f) : forward_leave(ctx, pkt, f);
}

#endif
