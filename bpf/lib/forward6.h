/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * IPv6 from the mesh to the network: the decisions of forward.h, step by step in the same order. Routers
 * never fragment IPv6, so what is too big is always answered.
 */
#ifndef TALON_LIB_FORWARD6_H
#define TALON_LIB_FORWARD6_H

#include "lib/forward.h"
#include "lib/icmp6.h"
#include "lib/rewrite6.h"
#include "lib/whose6.h"

/* Tells the packet's source through the tunnel why it is refused. */
static __always_inline int refuse6_to_mesh(ctx_md *ctx, struct talon_pkt *pkt, const struct talon_config *cfg,
	__u32 what, __u32 reason)
{
	pkt->answer = talon_addr_is_zero(&cfg->mesh_addr6) ? cfg->node_addr6 : cfg->mesh_addr6;
	return icmp6_error_build(ctx, pkt, endpoint_mtu(cfg, pkt->peer), what, reason) == STEP_NEXT
		? STEP_SEAL : STEP_DONE;
}

static __always_inline int forward6_too_big(ctx_md *ctx, struct talon_pkt *pkt,
	const struct talon_config *cfg, __u32 mtu)
{
	return refuse6_to_mesh(ctx, pkt, cfg, ICMP_WHAT(ICMP6_TOO_BIG, 0, mtu_of_six(mtu)), TALON_TOO_BIG);
}

/* The hop limit is used up: tells the source. */
static __always_inline int forward6_expired(ctx_md *ctx, struct talon_pkt *pkt,
	const struct talon_config *cfg)
{
	return refuse6_to_mesh(ctx, pkt, cfg, ICMP_WHAT(ICMP6_TIME_EXCEEDED, 0, 0), TALON_TTL_EXPIRED);
}

/* forward_is_hairpin() for IPv6. */
__noinline int forward6_is_hairpin(struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();
	struct talon_flow *about;
	__u32 id = 0;

	if (!pkt || !cfg)
		return 0;
	if (pkt->kind == INNER_FLOW)
		return port_is_mapped(cfg, pkt->proto, pkt->key.dport) &&
			!port_is_the_hosts(pkt->proto, pkt->key.dport);
	if (pkt->kind != INNER_ICMP_ERROR)
		return 0;
	about = flow_find_fwd(cfg, &pkt->key, &id);
	return about && about->peer == pkt->peer && flow6_is(id, &pkt->key_src, &pkt->key_dst, NULL);
}

static __always_inline int deliver6_local(ctx_md *ctx, struct talon_pkt *pkt, const struct talon_config *cfg)
{
	if (!deliver_by_tunnel(ctx, cfg))
		return deliver_here(ctx, pkt);
	if (pkt->tot_len > cfg->tunnel_mtu)
		return forward6_too_big(ctx, pkt, cfg, cfg->tunnel_mtu);
	return deliver_through_tunnel(ctx, pkt, cfg);
}

/* One hop less. Returns 0, or -1 if there is no header. */
static __always_inline int inner6_hop(ctx_md *ctx)
{
	struct ipv6hdr *ip6 = frame_ip6(ctx);

	if (!ip6)
		return -1;
	ip6->hop_limit--;
	return 0;
}

/* To another peer, without NAT. */
static __always_inline int forward6_to_peer(ctx_md *ctx, struct talon_pkt *pkt,
	const struct talon_config *cfg)
{
	__u32 mtu = mtu_of_six(endpoint_mtu(cfg, pkt->way.peer));

	if (pkt->tot_len > mtu)
		return forward6_too_big(ctx, pkt, cfg, mtu);
	if (inner6_hop(ctx))
		return drop(pkt, TALON_INTERNAL);
	pkt->peer = pkt->way.peer;
	if (cfg->flags & TALON_F_ACL)
		verdict_note_out(pkt);
	pkt->resealed = 1;
	return STEP_SEAL;
}

/* forward_is_ours() for IPv6. */
static __always_inline bool forward6_is_ours(const struct talon_config *cfg, const struct talon_addr *src)
{
	return talon_addr_equal(src, &cfg->mesh_addr6) || whose6_is_own(cfg, src);
}

/* May the peer send from its inner source at all? 0, or a reason to drop. */
static __always_inline __u32 forward6_source(const struct talon_pkt *pkt, const struct talon_config *cfg)
{
	if (whose6_is_martian(&pkt->inner_src) || inner6_is_of_link(pkt))
		return TALON_BAD_DESTINATION;
	if (allowed_peer6(&pkt->inner_src) != pkt->peer)
		return TALON_NOT_ALLOWED;
	return forward6_is_ours(cfg, &pkt->inner_src) ? TALON_LOCAL_SOURCE : 0;
}

/* The route that serves @dst, or NULL. */
static __always_inline struct talon_route *forward_route6(const struct talon_addr *dst)
{
	struct talon_lpm6 key = { .prefixlen = 128, .addr = *dst };

	return bpf_map_lookup_elem(&routes6, &key);
}

/* To an address of this host: another client's mapping (FORWARD_HAIRPIN), or the host itself. */
static __always_inline int forward6_to_us(ctx_md *ctx, struct talon_pkt *pkt, const struct talon_config *cfg)
{
	if (!(pkt->flags & FORWARD_HAIRPIN))
		return deliver6_local(ctx, pkt, cfg);
	if (pkt->hops <= 1)
		return forward6_expired(ctx, pkt, cfg);
	pkt->source = pkt->inner_dst;
	pkt->mtu = cfg->tunnel_mtu;
	return STEP_NEXT;
}

/* The rules, for the destination that they are evaluated for (forward_judged()). enum acl_permit. */
static __always_inline int forward6_permits(struct talon_pkt *pkt, const struct talon_config *cfg, int who)
{
	if (!(cfg->flags & TALON_F_ACL))
		return ACL_BY_RULE;
	if (who == WHOSE_US && !pkt->way.in_local && !(pkt->flags & FORWARD_HAIRPIN))
		return acl6_permits(pkt, &cfg->mesh_addr6);
	return acl6_permits(pkt, &pkt->inner_dst);
}

/* forward_go() for IPv6. */
__noinline int forward6_go(ctx_md *ctx, struct talon_pkt *pkt, int who, __u32 masquerade)
{
	const struct talon_config *cfg = config_get();

	if (!pkt || !cfg)
		return STEP_DONE;
	if (who == WHOSE_US)
		return forward6_to_us(ctx, pkt, cfg);
	if (who == WHOSE_NOBODY)
		return pkt->way.what ? refuse6_to_mesh(ctx, pkt, cfg, pkt->way.what, pkt->way.end)
			: drop(pkt, pkt->way.end);
	if (pkt->hops <= 1)
		return forward6_expired(ctx, pkt, cfg);
	if (who == WHOSE_PEER)
		return forward6_to_peer(ctx, pkt, cfg);
	return forward_by_device(pkt, masquerade);
}

/* forward_decide() for IPv6. */
__noinline int forward6_decide(ctx_md *ctx, struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();
	struct talon_route *route;
	__u32 reason, masquerade;
	int who, permit;
	bool mapped;

	if (!pkt || !cfg)
		return STEP_DONE;
	reason = forward6_source(pkt, cfg);
	if (reason)
		return drop(pkt, reason);
	route = forward_route6(&pkt->inner_dst);
	masquerade = route && (route->flags & TALON_ROUTE_MASQUERADE);
	who = whose6(ctx, pkt, &pkt->inner_dst, route ? route->prefixlen : WHOSE_SERVED_NONE,
		masquerade ? WHOSE_MASQUERADED : 0);
	if (!route && !(who == WHOSE_US && (pkt->way.in_local ||
		talon_addr_equal(&pkt->inner_dst, &cfg->mesh_addr6))))
		return drop(pkt, who == WHOSE_NOBODY && pkt->way.end == TALON_BAD_DESTINATION ?
			TALON_BAD_DESTINATION : TALON_NO_ROUTE);
	pkt->flags = 0;
	mapped = who == WHOSE_US && !pkt->way.in_local && whose6_is_own(cfg, &pkt->inner_dst);
	if (mapped && forward6_is_hairpin(pkt))
		pkt->flags = FORWARD_MASQUERADE | FORWARD_HAIRPIN;
	permit = forward6_permits(pkt, cfg, who);
	if (!permit)
		return drop(pkt, TALON_ACL_DENIED);
	if (verdict_lasts(pkt, who, masquerade))
		verdict_keep(ctx, pkt, who, permit, mapped);
	if (who == WHOSE_US && pkt->way.in_local == WHOSE_IN_VIP)
		forward_close(pkt, cfg);
	return forward6_go(ctx, pkt, who, masquerade);
}

/* forward_recall() for IPv6. */
static __always_inline int forward6_recall(ctx_md *ctx, struct talon_pkt *pkt,
	const struct talon_config *cfg)
{
	struct verdict *v;

	pkt->has_verdict = 0;
	if (pkt->kind != INNER_FLOW || pkt->flow)
		return -1;
	v = verdict_find(ctx, pkt, cfg, pkt->peer);
	if (!v || verdict_is_short_of(v, pkt) ||
		((v->flags & VERDICT_MAPPED) && forward6_is_hairpin(pkt)) ||
		((v->flags & VERDICT_ANSWER) && !acl6_is_answer(pkt, pkt->proto, true)))
		return -1;
	if (pkt->first_fragment && (cfg->flags & TALON_F_ACL))
		acl6_keep_fragments(pkt);
	verdict_take(v, pkt);
	return v->who;
}

/* forward_keeps() for IPv6. */
static __always_inline bool forward6_keeps(const struct talon_pkt *pkt, const struct talon_config *cfg,
	const struct talon_flow *f, const struct talon_flow6 *six)
{
	return f->peer == pkt->peer && talon_addr_equal(&six->snat, &pkt->source) &&
		(pkt->proto == IPPROTO_ICMPV6 || in_port_range(cfg, f->snat_port));
}

/* A new flow. Returns STEP_NEXT, or done. */
__noinline int forward6_create(ctx_md *ctx, struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();
	int ret;

	if (!pkt || !cfg)
		return STEP_DONE;
	pkt->party.peer = pkt->peer;
	pkt->party.snat = talon_fold6(cfg->keys.fold, &pkt->source);
	pkt->party.now_s = pkt->now_s;
	pkt->party.six.client = pkt->inner_src;
	pkt->party.six.remote = pkt->inner_dst;
	pkt->party.six.snat = pkt->source;
	ret = flow_create(cfg, &pkt->key, &pkt->party, &pkt->flow);
	if (forward_is_full(ret))
		return refuse6_to_mesh(ctx, pkt, cfg, ICMP_WHAT(ICMP6_UNREACHABLE, ICMP6_PROHIBITED, 0),
			forward_tell_full(pkt, ret));
	/* another CPU has created it meanwhile; or another flow's addresses have these folds */
	if (ret == -EAGAIN && flow_find_fwd(cfg, &pkt->key, &pkt->flow) &&
		flow6_is(pkt->flow, &pkt->inner_src, &pkt->inner_dst, NULL))
		ret = 0;
	return ret ? drop(pkt, TALON_NAT_RACE) : STEP_NEXT;
}

/* forward_track() for IPv6. */
__noinline int forward6_track(ctx_md *ctx, struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();
	const struct talon_flow6 *six;
	struct talon_flow *f;
	int step;

	if (!pkt || !cfg)
		return STEP_DONE;
	if (pkt->proto == IPPROTO_ICMPV6 && pkt->icmp_type != ICMP6_ECHO)
		return drop(pkt, TALON_NAT_NO_FLOW);
	f = pkt->flow ? MAP_LOOKUP(flows, &pkt->flow) : NULL;
	six = f ? MAP_LOOKUP(flows6, &pkt->flow) : NULL;
	/* the client's retries would keep it alive, but no reply could arrive */
	if (f && six && !forward6_keeps(pkt, cfg, f, six)) {
		flow_close(cfg, f, pkt->flow, pkt->now_s);
		pkt->flow = 0;
	}
	if (!pkt->flow) {
		step = forward6_create(ctx, pkt);
		if (step != STEP_NEXT)
			return step;
	}
	f = MAP_LOOKUP(flows, &pkt->flow);
	six = MAP_LOOKUP(flows6, &pkt->flow);
	if (!f || !six)
		return drop(pkt, TALON_INTERNAL);
	pkt->target = six->snat;
	forward_keep_way(pkt, f);
	return STEP_NEXT;
}

/* The way of a flow that has a record: into @pkt, if it is of this generation. */
static __always_inline bool forward6_is_known(struct talon_pkt *pkt, const struct talon_config *cfg)
{
	const struct talon_flow6 *six;
	struct talon_flow *f;
	__u32 id = 0;

	f = flow_find_fwd(cfg, &pkt->key, &id);
	if (!f)
		return false;
	six = flow6_is(id, &pkt->inner_src, &pkt->inner_dst, NULL);
	if (!six)
		return false;
	pkt->flow = id;
	if (f->generation != cfg->generation || f->peer != pkt->peer)
		return false;
	pkt->mtu = f->mtu;
	pkt->flags = FORWARD_MASQUERADE;
	pkt->target = six->snat;
	return true;
}

/* forward_look() for IPv6. */
__noinline int forward6_look(ctx_md *ctx, struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();
	int step, who;
	__u32 reason;

	if (!pkt || !cfg)
		return STEP_DONE;
	reason = inner6_read(ctx, pkt);
	if (reason)
		return drop(pkt, reason);
	pkt->flow = 0;
	if (pkt->kind == INNER_ICMP_ERROR && inner6_read_embedded(ctx, pkt))
		return drop(pkt, TALON_BAD_INNER);
	if (pkt->kind == INNER_FLOW && forward6_is_known(pkt, cfg)) {
		if (pkt->first_fragment && (cfg->flags & TALON_F_ACL))
			acl6_keep_fragments(pkt);
		return STEP_NEXT;
	}
	pkt->generation = cfg->generation;
	barrier();
	who = forward6_recall(ctx, pkt, cfg);
	step = who < 0 ? forward6_decide(ctx, pkt) : forward6_go(ctx, pkt, who, 0);
	if (step != STEP_NEXT)
		return step;
	pkt->target = pkt->source;
	if (!(pkt->flags & FORWARD_MASQUERADE)) {
		pkt->flow = 0;	/* left from when its route was masqueraded */
		return STEP_NEXT;
	}
	if (pkt->kind == INNER_OTHER)
		return drop(pkt, TALON_NAT_PROTO);
	return pkt->kind == INNER_FLOW ? forward6_track(ctx, pkt) : STEP_NEXT;
}

/* forward_masquerade_error() for IPv6. Returns 0 or a reason to drop. */
__noinline int forward6_masquerade_error(ctx_md *ctx, struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();
	const struct talon_flow6 *six;
	struct talon_flow *about;
	__u32 id = 0;

	if (!pkt || !cfg)
		return TALON_INTERNAL;
	about = flow_find_fwd(cfg, &pkt->key, &id);
	if (!about || about->peer != pkt->peer)
		return TALON_NAT_NO_FLOW;
	six = flow6_is(id, &pkt->key_src, &pkt->key_dst, NULL);
	if (!six)
		return TALON_NAT_NO_FLOW;
	pkt->target = six->snat;
	return rewrite6_icmp_error(ctx, pkt, REWRITE_SOURCE, &pkt->target, about->snat_port)
		? TALON_BAD_INNER : 0;
}

/* forward_rewrite() for IPv6. */
__noinline int forward6_rewrite(ctx_md *ctx, struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();
	struct talon_flow *f = NULL;
	__u32 reason = 0;

	if (!pkt || !cfg)
		return STEP_DONE;
	if (pkt->hops <= 1)
		return forward6_expired(ctx, pkt, cfg);
	if (pkt->mtu && pkt->tot_len > mtu_of_six(pkt->mtu))
		return forward6_too_big(ctx, pkt, cfg, pkt->mtu);
	if (inner6_hop(ctx))
		return drop(pkt, TALON_INTERNAL);
	if (pkt->flow) {
		f = MAP_LOOKUP(flows, &pkt->flow);
		if (!f)
			return drop(pkt, TALON_INTERNAL);
		flow_touch_out(f, pkt->tcp_flags, pkt->now_s);
	}
	if (pkt->flags & FORWARD_MASQUERADE) {
		if (pkt->kind == INNER_ICMP_ERROR)
			reason = forward6_masquerade_error(ctx, pkt);
		else if (rewrite6_side(ctx, pkt, REWRITE_SOURCE, &pkt->target, f ? f->snat_port : 0))
			reason = TALON_BAD_INNER;
		if (reason)
			return drop(pkt, reason);
	}
	if (is_syn(pkt))
		forward_clamp_mss(ctx, pkt, cfg);
	if (pkt->flags & FORWARD_HAIRPIN) {
		pkt->resealed = 1;
		return STEP_TRANSLATE;
	}
	if (pkt->flags & FORWARD_NO_NEIGH)
		return forward_hold(ctx, pkt, TALON_EVENT_NEIGH, TALON_NO_NEIGH);
	return forward_leave(ctx, pkt, f);
}

#endif
