/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* IPv6 from the network to the mesh: the steps of translate.h. */
#ifndef TALON_LIB_TRANSLATE6_H
#define TALON_LIB_TRANSLATE6_H

#include "lib/forward6.h"
#include "lib/translate.h"

static __always_inline struct talon_frag6_key translate6_frag_key(const struct talon_pkt *pkt)
{
	return (struct talon_frag6_key) {
		.src = pkt->inner_src, .dst = pkt->inner_dst, .id = pkt->frag_id,
	};
}

/* In an event about a datagram: which one. */
static __always_inline void translate6_name_datagram(struct talon_pkt *pkt)
{
	pkt->event.addr = pkt->inner_src;
	pkt->event.addr2 = pkt->inner_dst;
	pkt->event.id = bpf_ntohl(pkt->frag_id);
}

/* translate_early_fragment() for IPv6; a source is a /64, as a host has all of it. */
__noinline int translate6_early_fragment(ctx_md *ctx, struct talon_pkt *pkt)
{
	struct talon_frag6_key key;
	struct talon_frag6 *early, held = {};

	if (!pkt)
		return STEP_DONE;
	key = translate6_frag_key(pkt);
	early = bpf_map_lookup_elem(&frags6_early, &key);
	if (early && early->expires_s >= pkt->now_s && early->state == TALON_FRAG6_HOST)
		return STEP_DONE;
	if (!rate_take_source(pkt->now_ns, key.src.word[0] ^ key.src.word[1]))
		return end(pkt, TALON_RATE_LIMITED, ACTION_PASS);
	held.expires_s = pkt->now_s + TALON_NAT_FRAGMENT_S;
	bpf_map_update_elem(&frags6_early, &key, &held, BPF_ANY);
	event_clear(pkt, TALON_EVENT_FRAGMENT);
	translate6_name_datagram(pkt);
	return end(pkt, event_send_packet(ctx, pkt, L3_OFF, pkt->tot_len) ? TALON_HELD : TALON_RATE_LIMITED,
		ACTION_PASS);
}

/* translate_find_fragment() for IPv6. */
__noinline int translate6_find_fragment(ctx_md *ctx, struct talon_pkt *pkt)
{
	struct talon_frag6_key key;
	struct talon_frag6 *known;
	struct talon_nat_stats *ns;

	if (!pkt)
		return STEP_DONE;
	key = translate6_frag_key(pkt);
	known = bpf_map_lookup_elem(&frags6, &key);
	if (known && known->expires_s >= pkt->now_s && known->state == TALON_FRAG6_CLIENT) {
		pkt->peer = known->peer;
		pkt->target = known->client;
		return STEP_TRANSLATE;
	}
	ns = bpf_map_lookup_elem(&nat_stats, ONLY);
	if (!ns || !ns->live)
		return STEP_DONE;
	return translate6_early_fragment(ctx, pkt);
}

/* The host's own datagram: its later fragments need not be copied. */
__noinline int translate6_leave(struct talon_pkt *pkt)
{
	struct talon_frag6_key key;
	struct talon_frag6 host = { .state = TALON_FRAG6_HOST };

	if (!pkt || !pkt->first_fragment)
		return STEP_DONE;
	packet_clock(pkt);
	key = translate6_frag_key(pkt);
	host.expires_s = pkt->now_s + TALON_NAT_FRAGMENT_S;
	bpf_map_update_elem(&frags6_early, &key, &host, BPF_ANY);
	return STEP_DONE;
}

/* translate_judge() for IPv6. */
__noinline int translate6_judge(struct talon_flow *f, __u32 id)
{
	const struct talon_config *cfg = config_get();
	const struct talon_flow6 *six = flow6_record(id);
	struct talon_route *route;

	if (!f || !cfg || !six)
		return TALON_INTERNAL;
	if (allowed_peer6(&six->client) != f->peer)
		return TALON_NO_PEER;
	route = forward_route6(&six->remote);
	if (!route || !(route->flags & TALON_ROUTE_MASQUERADE) ||
		((whose6_local(&six->remote) & TALON_LOCAL_GIVEN) && !whose_vip(&six->remote)))
		return TALON_NO_ROUTE;
	if ((cfg->flags & TALON_F_ACL) && !acl6_verdict(&six->client, &six->remote,
		acl_place(TALON_PROTO(f->proto), f->remote_port)))
		return TALON_ACL_DENIED;
	return 0;
}

/*
 * Does a packet for a peer claim to be from this host? The host's stack would pass it on (of IPv4 it drops
 * such martians), the peer would believe it, and its answers would need no rule.
 */
static __always_inline bool translate6_is_forged(const struct talon_config *cfg, const struct talon_addr *src,
	const struct talon_addr *dst)
{
	return forward6_is_ours(cfg, src) && allowed_peer6(dst) != TALON_PEER_NONE;
}

/* translate_go_plain() for IPv6. */
static __always_inline int translate6_go_plain(struct talon_pkt *pkt, const struct talon_config *cfg)
{
	pkt->peer = pkt->way.peer;
	packet_clock(pkt);
#ifndef TALON_TC	/* in tc the tunnel's program sees it too, cut to size */
	if (cfg->flags & TALON_F_ACL)
		verdict_note_out(pkt);
#endif
	return STEP_TRANSLATE;
}

/* For a mesh address, without NAT: from the wire, or from the host. */
static __always_inline int translate6_find_plain(ctx_md *ctx, struct talon_pkt *pkt,
	const struct talon_config *cfg)
{
	if (!frame_is_to_us(ctx))
		return STEP_DONE;
	if (translate6_is_forged(cfg, &pkt->inner_src, &pkt->inner_dst))
		return drop(pkt, TALON_LOCAL_SOURCE);
	if (!(cfg->flags & TALON_F_PLAIN_ROUTES6) ||
		whose6(ctx, pkt, &pkt->inner_dst, WHOSE_SERVED_NONE, WHOSE_TO_MESH) != WHOSE_PEER)
		return STEP_DONE;
	if (whose6_is_martian(&pkt->inner_src) || inner6_is_of_link(pkt)) {
		pkt->peer = pkt->way.peer;
		packet_clock(pkt);
		return drop(pkt, TALON_BAD_DESTINATION);
	}
	if (pkt->kind == INNER_FLOW)
		translate_keep_plain(ctx, pkt);
	return translate6_go_plain(pkt, cfg);
}

/* Can a packet of this kind and type be a reply at all? */
static __always_inline bool translate6_may_be_reply(const struct talon_pkt *pkt,
	const struct talon_config *cfg)
{
	if (pkt->kind == INNER_OTHER || (pkt->kind == INNER_FLOW && pkt->proto == IPPROTO_ICMPV6 &&
		pkt->icmp_type != ICMP6_ECHOREPLY))
		return false;
	return in_port_range(cfg, pkt->key.dport);
}

/* translate_rejudge() for IPv6. */
static __always_inline __u32 translate6_rejudge(struct talon_pkt *pkt, const struct talon_config *cfg,
	struct talon_flow *f)
{
	__u32 reason;

	if (f->generation == cfg->generation || f->back_generation == cfg->generation)
		return 0;
	pkt->generation = cfg->generation;
	barrier();
	reason = translate6_judge(f, pkt->flow);
	if (reason)
		flow_close(cfg, f, pkt->flow, pkt->now_s);
	else
		f->back_generation = pkt->generation;
	return reason;
}

/* By the flow's record, if it is one of ours. */
__noinline int translate6_find_flow(struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();
	const struct talon_flow6 *six = NULL;
	struct talon_flow *f;
	__u32 id = 0, reason;

	if (!pkt || !cfg)
		return STEP_DONE;
	f = flow_find_rev(cfg, &pkt->key, &id);
	if (f)
		six = flow6_is(id, NULL, &pkt->key_src, &pkt->key_dst);
	if (!f || !six)
		return translate_is_unsolicited(pkt, cfg) ? drop(pkt, TALON_NAT_NO_FLOW)
			: translate6_leave(pkt);
	pkt->flow = id;
	pkt->peer = f->peer;
	pkt->target = six->client;
	packet_clock(pkt);
	reason = translate6_rejudge(pkt, cfg, f);
	return reason ? drop(pkt, reason) : STEP_TRANSLATE;
}

/* translate_find() for the IPv6 frame in hand. */
__noinline int translate6_find(ctx_md *ctx, struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();

	if (!pkt || !cfg)
		return STEP_DONE;
	pkt->action = ACTION_PASS;
	if (inner6_read(ctx, pkt))
		return STEP_DONE;
	pkt->flow = 0;
	pkt->target = pkt->inner_dst;	/* without a record */
	if ((cfg->flags & TALON_F_PLAIN_ROUTES6) && !talon_addr_equal(&pkt->inner_dst, &cfg->node_addr6) &&
		translate_recall(ctx, pkt, cfg))
		return translate6_go_plain(pkt, cfg);
	if (!whose6_is_own(cfg, &pkt->inner_dst))
		return translate6_find_plain(ctx, pkt, cfg);
	if (pkt->kind == INNER_FRAGMENT) {
		packet_clock(pkt);
		return translate6_find_fragment(ctx, pkt);
	}
	if (pkt->kind == INNER_ICMP_ERROR && inner6_read_embedded(ctx, pkt))
		return STEP_DONE;
	if (!translate6_may_be_reply(pkt, cfg))
		return translate6_leave(pkt);
	return translate6_find_flow(pkt);
}

/* Tells the sender on the wire, by the device the packet came in by. */
static __always_inline int refuse6_to_wire(ctx_md *ctx, struct talon_pkt *pkt, const struct talon_config *cfg,
	__u32 what, __u32 reason)
{
	struct ether *eth;

	/* We must not use a client's own address as source. */
	pkt->answer = whose6_is_own(cfg, &pkt->inner_dst) ? pkt->inner_dst : cfg->node_addr6;
	if (icmp6_error_build(ctx, pkt, ICMP6_PACKET_MAX, what, reason) != STEP_NEXT)
		return STEP_DONE;
	eth = frame_eth(ctx);
	if (!eth)
		return drop(pkt, TALON_INTERNAL);
	ether_turn(eth);
	pkt->ifindex = frame_ifindex(ctx);
	return end(pkt, TALON_ICMP_SENT, frame_back_action(ctx, cfg));
}

/* remember_fragments() for IPv6: they go to pkt->target. */
__noinline int translate6_remember_fragments(struct talon_pkt *pkt)
{
	struct talon_frag6_key key;
	struct talon_frag6 *early, now = {};

	if (!pkt)
		return 0;
	key = translate6_frag_key(pkt);
	now.client = pkt->target;
	now.peer = pkt->peer;
	now.expires_s = pkt->now_s + TALON_NAT_FRAGMENT_S;
	now.state = TALON_FRAG6_CLIENT;
	bpf_map_update_elem(&frags6, &key, &now, BPF_ANY);
	early = bpf_map_lookup_elem(&frags6_early, &key);
	if (!early || early->state != TALON_FRAG6_EARLY)
		return 0;
	bpf_map_delete_elem(&frags6_early, &key);
	event_clear(pkt, TALON_EVENT_FRAG_FIRST);
	pkt->event.peer = pkt->peer;
	translate6_name_datagram(pkt);
	event_send(pkt);
	return 0;
}

/* Addresses and ports back to the client's. Returns 0 or -1. */
static __always_inline int translate6_back(ctx_md *ctx, struct talon_pkt *pkt, bool has_flow, __be16 port)
{
	if (pkt->kind == INNER_ICMP_ERROR && has_flow)
		return rewrite6_icmp_error(ctx, pkt, REWRITE_DESTINATION, &pkt->target, port);
	if (!has_flow && talon_addr_equal(&pkt->target, &pkt->inner_dst))
		return 0;
#ifdef TALON_TC
	return rewrite6_destination_skb(ctx, pkt, &pkt->target, port);
#else
	return rewrite6_side(ctx, pkt, REWRITE_DESTINATION, &pkt->target, port);
#endif
}

/* translate_note_hairpin() for IPv6. */
static __always_inline void translate6_note_hairpin(struct talon_pkt *pkt, const struct talon_config *cfg,
	__be16 port)
{
	if (!pkt->resealed || !pkt->flow || !(cfg->flags & TALON_F_ACL))
		return;
	pkt->key_dst = pkt->target;
	pkt->key.dport = port;
	acl6_note_out(pkt);
}

/* translate_rewrite() for IPv6. */
__noinline int translate6_rewrite(ctx_md *ctx, struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();
	struct talon_flow *f = NULL;
	__be16 port = 0;
	__u32 mtu;

	if (!pkt || !cfg)
		return STEP_DONE;
	if (pkt->flow) {
		f = MAP_LOOKUP(flows, &pkt->flow);
		if (!f)
			return drop(pkt, TALON_INTERNAL);
		port = f->client_port;
	}
	/*
	 * What another peer sent has lost its hop already, and was translated: an error would
	 * mean nothing to it.
	 */
	if (pkt->hops <= 1 && !pkt->resealed)
		return refuse6_to_wire(ctx, pkt, cfg, ICMP_WHAT(ICMP6_TIME_EXCEEDED, 0, 0),
			TALON_TTL_EXPIRED);
	mtu = mtu_of_six(endpoint_mtu(cfg, pkt->peer));
	if (translate_wire_len(ctx, pkt) > mtu)
		return pkt->resealed ? drop(pkt, TALON_TOO_BIG) : refuse6_to_wire(ctx, pkt, cfg,
			ICMP_WHAT(ICMP6_TOO_BIG, 0, mtu), TALON_TOO_BIG);
	if (f && pkt->kind == INNER_FLOW)
		flow_touch_in(f, pkt->tcp_flags, pkt->now_s);
	if (f && pkt->first_fragment)
		translate6_remember_fragments(pkt);
	if (!pkt->resealed && inner6_hop(ctx))
		return drop(pkt, TALON_INTERNAL);
	if (translate6_back(ctx, pkt, f, port))
		return drop(pkt, TALON_BAD_INNER);
	translate6_note_hairpin(pkt, cfg, port);
#ifndef TALON_TC
	if (is_syn(pkt))
		rewrite_mss(ctx, pkt, mss_of_mtu(pkt, endpoint_mtu(cfg, pkt->peer)));
#endif
	return STEP_SEAL;
}

#endif
