/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From the network to the mesh: finds the flow that a packet replies to, and restores the client's
 * address and port.
 */
#ifndef TALON_LIB_TRANSLATE_H
#define TALON_LIB_TRANSLATE_H

#include "lib/forward.h"

/*
 * A later fragment that arrived before the first one, or that belongs to no flow: anybody can send
 * those. They have a map of their own, and copies are rate-limited and have their own ring, so that
 * they displace nothing of ours.
 */
static __always_inline int translate_early_fragment(ctx_md *ctx, struct talon_pkt *pkt,
	const struct talon_frag_key *key)
{
	struct talon_frag *early = bpf_map_lookup_elem(&frags_early, key);
	const struct talon_frag held = { .expires_s = pkt->now_s + TALON_NAT_FRAGMENT_S };

	if (early && early->expires_s >= pkt->now_s && early->client == TALON_FRAG_HOST)
		return STEP_DONE;
	if (!rate_take_source(pkt->now_ns, key->src))
		return end(pkt, TALON_RATE_LIMITED, ACTION_PASS);
	bpf_map_update_elem(&frags_early, key, &held, BPF_ANY);
	event_clear(pkt, TALON_EVENT_FRAGMENT);
	pkt->event.addr.word[0] = key->src;
	pkt->event.addr2.word[0] = key->dst;
	pkt->event.id = (__u32)key->proto << 16 | key->id;
	/* A copy: the host's stack gets the packet too, since the datagram may be for one of its sockets. */
	return end(pkt, event_send_packet(ctx, pkt, L3_OFF, pkt->tot_len) ? TALON_HELD : TALON_RATE_LIMITED,
		ACTION_PASS);
}

/*
 * A later fragment to the SNAT address: matched by the first one, or copied to the controller until
 * that arrives (RFC 4787 REQ-14).
 */
static __always_inline int translate_find_fragment(ctx_md *ctx, struct talon_pkt *pkt, struct iphdr *ip)
{
	struct talon_frag_key key = { .src = ip->saddr, .dst = ip->daddr, .id = ip->id,
		.proto = ip->protocol };
	struct talon_frag *known = bpf_map_lookup_elem(&frags, &key);
	struct talon_nat_stats *ns;

	if (known && known->expires_s >= pkt->now_s && known->client) {
		pkt->peer = known->peer;
		pkt->key.src = known->client;	/* where it goes */
		return STEP_TRANSLATE;
	}
	ns = bpf_map_lookup_elem(&nat_stats, ONLY);
	if (!ns || !ns->live)
		return STEP_DONE;
	return translate_early_fragment(ctx, pkt, &key);
}

/*
 * The host's own datagram. If this is its first fragment, later ones need not be copied: some peers
 * send fragments all the time.
 */
static __always_inline int translate_leave(struct talon_pkt *pkt, struct iphdr *ip)
{
	struct talon_frag_key key = { .src = ip->saddr, .dst = ip->daddr, .id = ip->id,
		.proto = ip->protocol };
	struct talon_frag host = { .client = TALON_FRAG_HOST };

	if (pkt->first_fragment) {
		packet_clock(pkt);
		host.expires_s = pkt->now_s + TALON_NAT_FRAGMENT_S;
		bpf_map_update_elem(&frags_early, &key, &host, BPF_ANY);
	}
	return STEP_DONE;
}

/*
 * Would the flow be permitted now? Checked once per generation, when a reply arrives before the
 * client's next packet was judged: the client's address is still the peer's, the route is still served,
 * and the rules still permit it. Returns 0, or a reason to end it.
 */
__noinline int translate_judge(struct talon_flow *f)
{
	const struct talon_config *cfg = config_get();
	struct talon_lpm4 key = { .prefixlen = 32 };
	struct talon_route *route;

	if (!f || !cfg)
		return TALON_INTERNAL;
	if (allowed_peer4(f->client) != f->peer)
		return TALON_NO_PEER;
	key.addr = f->remote;
	route = bpf_map_lookup_elem(&routes4, &key);
	if (!route || !(route->flags & TALON_ROUTE_MASQUERADE))
		return TALON_NO_ROUTE;
	if ((whose_local(f->remote) & TALON_LOCAL_GIVEN) && !whose_vip4(f->remote))
		return TALON_NO_ROUTE;
	if ((cfg->flags & TALON_F_ACL) &&
		!acl_verdict(f->client, f->remote, acl_place(f->proto, f->remote_port)))
		return TALON_ACL_DENIED;
	return 0;
}

/* For a peer, without NAT; pkt->way.peer says which. */
static __always_inline int translate_go_plain(struct talon_pkt *pkt, const struct talon_config *cfg)
{
	pkt->peer = pkt->way.peer;
	packet_clock(pkt);
#ifndef TALON_TC	/* in tc the tunnel's program sees it too, cut to size */
	if (cfg->flags & TALON_F_ACL)
		verdict_note_out(pkt);
#endif
	pkt->key.src = pkt->key.dst;	/* where it goes */
	return STEP_TRANSLATE;
}

/* Keeps which peer it is, and under which MAC the frame was for us. */
static __always_inline void translate_keep_plain(ctx_md *ctx, struct talon_pkt *pkt)
{
	struct ether *eth = frame_eth(ctx);
	struct verdict *v;

	if (!eth)
		return;
	v = verdict_make(ctx, pkt, TALON_PEER_NONE, WHOSE_PEER);
	if (!v)
		return;
	v->peer = pkt->way.peer;
	mac_copy(v->smac, eth->h_dest);
}

/* Is the frame for us, as far as the verdict knows that? */
static __always_inline bool translate_is_to_us(ctx_md *ctx, const struct verdict *v)
{
	struct ether *eth = frame_eth(ctx);

	return frame_is_tc() ? frame_is_to_us(ctx) : eth && mac_equal(eth->h_dest, v->smac);
}

/*
 * For a peer without NAT by the verdict on an earlier packet, if there is one that still holds: whose packet
 * it is, in pkt->way.
 */
static __always_inline bool translate_recall(ctx_md *ctx, struct talon_pkt *pkt,
	const struct talon_config *cfg)
{
	struct verdict *v;

	pkt->has_verdict = 0;
	if (pkt->kind != INNER_FLOW)
		return false;
	pkt->generation = cfg->generation;
	barrier();
	v = verdict_find(ctx, pkt, cfg, TALON_PEER_NONE);
	if (!v || !translate_is_to_us(ctx, v))
		return false;
	pkt->way.peer = v->peer;
	return true;
}

/* For a mesh address, without NAT: from the wire, or from the host. */
static __always_inline int translate_find_plain(ctx_md *ctx, struct talon_pkt *pkt,
	const struct talon_config *cfg)
{
	if (!(cfg->flags & TALON_F_PLAIN_ROUTES) || !frame_is_to_us(ctx) ||
		whose(ctx, pkt, pkt->inner_dst.word[0], WHOSE_SERVED_NONE, WHOSE_TO_MESH) != WHOSE_PEER)
		return STEP_DONE;
	/* the host's stack would call it a martian; a peer would believe it, and its answers need no rule */
	if (forward_is_ours(cfg, pkt->inner_src.word[0]))
		return drop(pkt, TALON_LOCAL_SOURCE);
	if (pkt->kind == INNER_FLOW)
		translate_keep_plain(ctx, pkt);
	return translate_go_plain(pkt, cfg);
}

/*
 * Can a packet of this kind and type be a reply at all? ICMP queries and protocols without ports
 * are the host's.
 */
static __always_inline bool translate_may_be_reply(const struct talon_pkt *pkt,
	const struct talon_config *cfg)
{
	if (pkt->kind == INNER_OTHER)
		return false;
	if (pkt->kind == INNER_FLOW && pkt->proto == IPPROTO_ICMP && pkt->icmp_type != ICMP_ECHOREPLY &&
		pkt->icmp_type != ICMP_TIMESTAMPREPLY)
		return false;
	return in_port_range(cfg, pkt->key.dport);
}

/*
 * RFC 5382 REQ-4: an unsolicited SYN to a mapped port is not answered, or a simultaneous open would fail:
 * without a socket there the host would answer with a RST. A service that came to listen there after the
 * mapping was made gets it.
 */
static __always_inline bool translate_is_unsolicited(const struct talon_pkt *pkt,
	const struct talon_config *cfg)
{
	return pkt->kind == INNER_FLOW &&
		(pkt->tcp_flags & (TCP_FLAG_SYN_BIT | TCP_FLAG_ACK_BIT)) == TCP_FLAG_SYN_BIT &&
		port_is_mapped(cfg, pkt->proto, pkt->key.dport) &&
		!port_is_the_hosts(pkt->proto, pkt->key.dport);
}

/*
 * Replies alone would keep alive a flow that is not permitted any more: it is judged once per generation. 0,
 * or why it ended.
 */
static __always_inline __u32 translate_rejudge(struct talon_pkt *pkt, const struct talon_config *cfg,
	struct talon_flow *f)
{
	__u32 reason;

	if (f->generation == cfg->generation || f->back_generation == cfg->generation)
		return 0;
	pkt->generation = cfg->generation;
	barrier();
	reason = translate_judge(f);
	if (reason)
		flow_close(cfg, f, pkt->flow, pkt->now_s);
	else
		f->back_generation = pkt->generation;
	return reason;
}

/*
 * Is the IPv4 frame a reply to one of our flows (or, with unmasqueraded routes, for a mesh address)? Returns
 * STEP_TRANSLATE with pkt->peer and pkt->flow (0 without NAT), or STEP_DONE with action PASS: not ours,
 * leave it alone.
 */
__noinline int translate_find(ctx_md *ctx, struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();
	struct talon_flow *f;
	__u32 id = 0, reason;
	struct iphdr *ip;

	if (!pkt || !cfg)
		return STEP_DONE;
	pkt->action = ACTION_PASS;
	ip = frame_ip(ctx);
	if (!ip || inner4_read(ctx, pkt, ip))
		return STEP_DONE;
	pkt->flow = 0;
	if ((cfg->flags & TALON_F_PLAIN_ROUTES) && pkt->inner_dst.word[0] != cfg->snat_addr &&
		translate_recall(ctx, pkt, cfg))
		return translate_go_plain(pkt, cfg);
	if (!whose_is_source(cfg, pkt->inner_dst.word[0]))
		return translate_find_plain(ctx, pkt, cfg);
	if (pkt->kind == INNER_FRAGMENT) {
		packet_clock(pkt);
		return translate_find_fragment(ctx, pkt, ip);
	}
	if (pkt->kind == INNER_ICMP_ERROR && inner4_read_embedded(ctx, pkt))
		return STEP_DONE;
	if (!translate_may_be_reply(pkt, cfg))
		return translate_leave(pkt, ip);
	f = flow_find_rev(cfg, &pkt->key, &id);
	if (!f)
		return translate_is_unsolicited(pkt, cfg) ? drop(pkt, TALON_NAT_NO_FLOW)
			: translate_leave(pkt, ip);
	pkt->flow = id;
	pkt->peer = f->peer;
	packet_clock(pkt);
	reason = translate_rejudge(pkt, cfg, f);
	return reason ? drop(pkt, reason) : STEP_TRANSLATE;
}

/* RFC 792, RFC 1191: tells the sender on the wire, by the device the packet came in by. */
static __always_inline int refuse_to_wire(ctx_md *ctx, struct talon_pkt *pkt, const struct talon_config *cfg,
	__u32 what, __u32 reason)
{
	/* We must not use a client's own address as source. */
	__be32 src = whose_is_source(cfg, pkt->key.dst) ? pkt->key.dst : cfg->node_addr;
	struct ether *eth;

	if (icmp_error_build(ctx, pkt, src, what, reason) != STEP_NEXT)
		return STEP_DONE;
	eth = frame_eth(ctx);
	if (!eth)
		return drop(pkt, TALON_INTERNAL);
	ether_turn(eth);
	pkt->ifindex = frame_ifindex(ctx);
	return end(pkt, TALON_ICMP_SENT, frame_back_action(ctx, cfg));
}

static __always_inline void remember_fragments(struct talon_pkt *pkt, struct iphdr *ip, __be32 client)
{
	struct talon_frag_key key = { .src = ip->saddr, .dst = ip->daddr, .id = ip->id,
		.proto = ip->protocol };
	struct talon_frag *early;
	struct talon_frag now = {
		.client = client,
		.peer = pkt->peer,
		.expires_s = pkt->now_s + TALON_NAT_FRAGMENT_S,
	};

	/*
	 * Entered before the lookup: a later fragment processed on another CPU is either seen here, or
	 * finds this entry when it gets to the controller.
	 */
	bpf_map_update_elem(&frags, &key, &now, BPF_ANY);
	early = bpf_map_lookup_elem(&frags_early, &key);
	if (!early || early->client)
		return;
	bpf_map_delete_elem(&frags_early, &key);
	event_clear(pkt, TALON_EVENT_FRAG_FIRST);
	pkt->event.peer = pkt->peer;
	pkt->event.addr.word[0] = key.src;
	pkt->event.addr2.word[0] = key.dst;
	pkt->event.id = (__u32)key.proto << 16 | key.id;
	event_send(pkt);
}

/* Length of the packet once the tunnel device has split what GRO merged. */
static __always_inline __u32 translate_wire_len(ctx_md *ctx, struct talon_pkt *pkt)
{
#ifdef TALON_TC
	if (ctx->gso_segs > 1) {
		__u32 header = sizeof(struct udphdr);

		if (pkt->proto == IPPROTO_TCP) {
			__u8 *tcp = frame_at(ctx, pkt->l4_off, sizeof(struct tcphdr));

			header = tcp ? (tcp[12] >> 4) * 4 : sizeof(struct tcphdr);
		}
		return pkt->l4_off - L3_OFF + header + ctx->gso_size;
	}
#endif
	return pkt->tot_len;
}

/* Addresses and ports back to the client's. Returns 0 or -1. */
static __always_inline int translate_back(ctx_md *ctx, struct talon_pkt *pkt, const struct talon_config *cfg,
	const struct talon_flow *f, __be32 client, __be16 port)
{
	if (pkt->kind == INNER_ICMP_ERROR && f)
		return rewrite_icmp_error(ctx, pkt, REWRITE_DESTINATION, client, port,
			inner4_id_mask(cfg, client));
	if (client == pkt->inner_dst.word[0] && !f)
		return 0;
#ifdef TALON_TC
	return rewrite_destination_skb(ctx, pkt, client, port);
#else
	return rewrite_side(ctx, pkt, REWRITE_DESTINATION, client, port);
#endif
}

/*
 * From one peer to another's mapping: that client's answer comes back by the external address, so the
 * rules remember it.
 */
static __always_inline void translate_note_hairpin(struct talon_pkt *pkt, const struct talon_config *cfg,
	__be32 client, __be16 port)
{
	if (!pkt->resealed || !pkt->flow || !(cfg->flags & TALON_F_ACL))
		return;
	pkt->key.dst = client;
	pkt->key.dport = port;
	acl_note_out(pkt);
}

/* Larger than the tunnel takes, and may be cut: the controller does that. */
static __always_inline int translate_cut(ctx_md *ctx, struct talon_pkt *pkt, __u32 mtu)
{
	event_clear(pkt, TALON_EVENT_TOO_BIG);
	pkt->event.peer = pkt->peer;
	pkt->event.id = mtu;
	return drop(pkt, event_send_packet(ctx, pkt, L3_OFF, pkt->tot_len) ? TALON_HELD : TALON_TOO_BIG);
}

/*
 * Undoes the NAT. Returns STEP_SEAL with the inner packet ready (in tc: it goes through the tunnel device,
 * where it is cut, summed and sealed), or done.
 */
__noinline int translate_rewrite(ctx_md *ctx, struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();
	struct talon_flow *f = NULL;
	struct iphdr *ip;
	__be32 client;
	__be16 port = 0;
	__u32 mtu;
	bool big;

	if (!pkt || !cfg)
		return STEP_DONE;
	ip = frame_ip(ctx);
	if (!ip)
		return drop(pkt, TALON_INTERNAL);
	client = pkt->key.src;	/* without a record */
	if (pkt->flow) {
		f = MAP_LOOKUP(flows, &pkt->flow);
		if (!f)
			return drop(pkt, TALON_INTERNAL);
		client = f->client;
		port = f->client_port;
	}
	/*
	 * What another peer sent has lost its TTL already, and was translated: an error would
	 * mean nothing to it.
	 */
	if (pkt->hops <= 1 && !pkt->resealed)
		return refuse_to_wire(ctx, pkt, cfg, ICMP_WHAT(ICMP_TIME_EXCEEDED, ICMP_EXC_TTL, 0),
			TALON_TTL_EXPIRED);
	mtu = endpoint_mtu(cfg, pkt->peer);
	big = translate_wire_len(ctx, pkt) > mtu;
	if (big && pkt->dont_fragment)
		return pkt->resealed ? drop(pkt, TALON_TOO_BIG) : refuse_to_wire(ctx, pkt, cfg,
			ICMP_WHAT(ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, mtu), TALON_TOO_BIG);
	if (f && pkt->kind == INNER_FLOW)
		flow_touch_in(f, pkt->tcp_flags, pkt->now_s);
	if (f && pkt->first_fragment)
		remember_fragments(pkt, ip, client);
	if (!pkt->resealed)
		inner4_hop(ip);
	if (translate_back(ctx, pkt, cfg, f, client, port))
		return drop(pkt, TALON_BAD_INNER);
	translate_note_hairpin(pkt, cfg, client, port);
	if (big)
		return translate_cut(ctx, pkt, mtu);
#ifndef TALON_TC
	if (is_syn(pkt))
		rewrite_mss(ctx, pkt, mss_of_mtu(pkt, mtu));
#endif
	return STEP_SEAL;
}

#endif
