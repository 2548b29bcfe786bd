/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From the cluster to the mesh: which of our flows is this a reply to, and back to the client's
 * address and port.
 */
#ifndef TALON_LIB_TRANSLATE_H
#define TALON_LIB_TRANSLATE_H

#include "lib/forward.h"

/*
 * A later fragment that came first, or one that nobody waits for: anybody can send those. What is remembered
 * of them has a map of its own, and copies have a rate and a ring, so that they push out nothing of ours.
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
	/* A copy: the host's own stack gets it too, since the datagram may be for one of its sockets. */
	return end(pkt, event_send_packet(ctx, pkt, L3_OFF, pkt->tot_len) ? TALON_HELD : TALON_RATE_LIMITED,
		ACTION_PASS);
}

/*
 * A later fragment to the SNAT address: known by the first one, or copied to the controller until that comes
 * (RFC 4787 REQ-14).
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
 * The host's own datagram. If this is its first fragment, the later ones are no affair of ours: a peer behind
 * a narrow path sends them all day.
 */
static __always_inline int translate_leave(struct talon_pkt *pkt, struct iphdr *ip)
{
	struct talon_frag_key key = { .src = ip->saddr, .dst = ip->daddr, .id = ip->id,
		.proto = ip->protocol };
	struct talon_frag host = { .client = TALON_FRAG_HOST };

	if (pkt->first_fragment) {
		host.expires_s = bpf_ktime_get_boot_ns() / TALON_NSEC_PER_SEC + TALON_NAT_FRAGMENT_S;
		bpf_map_update_elem(&frags_early, &key, &host, BPF_ANY);
	}
	return STEP_DONE;
}

/*
 * Would the flow be made today? Asked once per generation, when replies come before the client's next packet
 * has been judged: the client's address is still the peer's, the route is still served, and the rules still
 * permit it. 0, or a reason to end it.
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
	if (whose_in_local(f->remote))
		return TALON_NO_ROUTE;
	if ((cfg->flags & TALON_F_ACL) &&
		!acl_verdict(f->client, f->remote, acl_place(f->proto, f->remote_port)))
		return TALON_ACL_DENIED;
	return 0;
}

/*
 * Is the IPv4 frame a reply to one of our flows (or, with unmasqueraded routes, for a mesh address)?
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
	if (!ip || parse_inner4(ctx, pkt, ip))
		return STEP_DONE;
	pkt->flow = 0;
	if (!whose_is_source(cfg, ip->daddr)) {
		if (!(cfg->flags & TALON_F_PLAIN_ROUTES) || !frame_is_to_us(ctx) ||
		    whose(ctx, pkt, ip->daddr, WHOSE_SERVED_NONE, WHOSE_TO_MESH) != WHOSE_PEER)
			return STEP_DONE;
		pkt->peer = pkt->way.peer;
		pkt->now_ns = bpf_ktime_get_boot_ns();
#ifndef TALON_TC	/* there the tunnel's program will see it, cut to size */
		pkt->now_s = pkt->now_ns / TALON_NSEC_PER_SEC;
		if (cfg->flags & TALON_F_ACL)
			acl_note_out(pkt);
#endif
		pkt->key.src = pkt->key.dst;	/* where it goes */
		return STEP_TRANSLATE;
	}
	switch (pkt->kind) {
	case INNER_FRAGMENT:
		pkt->now_ns = bpf_ktime_get_boot_ns();
		pkt->now_s = pkt->now_ns / TALON_NSEC_PER_SEC;
		return translate_find_fragment(ctx, pkt, ip);
	case INNER_ICMP_ERROR:
		if (parse_embedded4(ctx, pkt))
			return STEP_DONE;
		break;
	case INNER_OTHER:
		return translate_leave(pkt, ip);
	default:
		if (pkt->proto == IPPROTO_ICMP && pkt->icmp_type != ICMP_ECHOREPLY &&
			pkt->icmp_type != ICMP_TIMESTAMPREPLY)
			return translate_leave(pkt, ip);
	}
	if (!in_port_range(cfg, pkt->key.dport))
		return translate_leave(pkt, ip);
	f = flow_find_rev(cfg, &pkt->key, &id);
	if (!f) {
		/*
		 * RFC 5382 REQ-4: nobody answers an unsolicited SYN to a mapped port, or a simultaneous open
		 * would fail: without a socket there the host would answer with a RST. A service that came to
		 * listen there after the mapping was made hears it.
		 */
		if (pkt->kind == INNER_FLOW &&
			(pkt->tcp_flags & (TCP_FLAG_SYN_BIT | TCP_FLAG_ACK_BIT)) == TCP_FLAG_SYN_BIT &&
			port_is_mapped(cfg, pkt->proto, pkt->key.dport) &&
			!port_is_the_hosts(pkt->proto, pkt->key.dport))
			return drop(pkt, TALON_NAT_NO_FLOW);
		return translate_leave(pkt, ip);
	}
	pkt->flow = id;
	pkt->peer = f->peer;
	pkt->now_ns = bpf_ktime_get_boot_ns();
	pkt->now_s = pkt->now_ns / TALON_NSEC_PER_SEC;
	if (f->generation != cfg->generation && f->back_generation != cfg->generation) {
		pkt->generation = cfg->generation;
		barrier();
		reason = translate_judge(f);
		if (reason) {	/* replies alone would keep it alive for ever */
			flow_close(cfg, f, id, pkt->now_s);
			return drop(pkt, reason);
		}
		f->back_generation = pkt->generation;
	}
	return STEP_TRANSLATE;
}

/* RFC 792, RFC 1191: tell the sender on the wire, back out of the port it came in by. */
static __always_inline int refuse_to_wire(ctx_md *ctx, struct talon_pkt *pkt, const struct talon_config *cfg,
	__u32 what, __u32 reason)
{
	/* A client's own address is not ours to speak from. */
	__be32 src = whose_is_source(cfg, pkt->key.dst) ? pkt->key.dst : cfg->node_addr;
	struct ethhdr *eth;
	__u8 mac[6];

	if (icmp_error_build(ctx, pkt, src, what, reason) != STEP_NEXT)
		return STEP_DONE;
	eth = frame_eth(ctx);
	if (!eth)
		return drop(pkt, TALON_INTERNAL);
	mac_copy(mac, eth->h_dest);
	mac_copy(eth->h_dest, eth->h_source);
	mac_copy(eth->h_source, mac);
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
	 * Entered first, looked up then: a later one under way on another CPU is seen here, or the controller
	 * sees this when it comes there.
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

/* How long the packet is once the tunnel device has cut what GRO joined. */
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

/*
 * Undoes the NAT. STEP_SEAL with the inner packet ready (in tc: it goes through the tunnel device, where it
 * is cut, summed and sealed), or done.
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
	if (ip->ttl <= 1 && !pkt->resealed)
		return refuse_to_wire(ctx, pkt, cfg, ICMP_WHAT(ICMP_TIME_EXCEEDED, ICMP_EXC_TTL, 0),
			TALON_TTL_EXPIRED);
	mtu = endpoint_mtu(cfg, pkt->peer);
	big = translate_wire_len(ctx, pkt) > mtu;
	/* of another peer: translated, so that an error would say nothing to it */
	if (big && pkt->dont_fragment && pkt->resealed)
		return drop(pkt, TALON_TOO_BIG);
	if (big && pkt->dont_fragment)
		return refuse_to_wire(ctx, pkt, cfg, ICMP_WHAT(ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, mtu),
			TALON_TOO_BIG);
	if (f && pkt->kind == INNER_FLOW)
		flow_touch_in(f, pkt->tcp_flags, pkt->now_s);
	if (f && pkt->first_fragment)
		remember_fragments(pkt, ip, client);
	if (!pkt->resealed)
		rewrite_ttl(ip);
	if (pkt->kind == INNER_ICMP_ERROR && f) {
		if (rewrite_icmp_error(ctx, pkt, REWRITE_DESTINATION, client, port,
			rewrite_id_mask(cfg, client)))
			return drop(pkt, TALON_BAD_INNER);
	} else if (client != ip->daddr || f) {
#ifdef TALON_TC
		if (rewrite_destination_skb(ctx, pkt, client, port))
			return drop(pkt, TALON_BAD_INNER);
#else
		if (rewrite_side(ctx, pkt, REWRITE_DESTINATION, client, port))
			return drop(pkt, TALON_BAD_INNER);
#endif
	}
	/* the other client's answer comes by the external address */
	if (pkt->resealed && pkt->flow && (cfg->flags & TALON_F_ACL)) {
		pkt->key.dst = client;
		pkt->key.dport = port;
		acl_note_out(pkt);
	}
	if (big) {
		event_clear(pkt, TALON_EVENT_TOO_BIG);
		pkt->event.peer = pkt->peer;
		pkt->event.id = mtu;
		return drop(pkt, event_send_packet(ctx, pkt, L3_OFF, pkt->tot_len) ? TALON_HELD
			: TALON_TOO_BIG);
	}
#ifndef TALON_TC
	if (pkt->kind == INNER_FLOW && pkt->proto == IPPROTO_TCP && (pkt->tcp_flags & TCP_FLAG_SYN_BIT))
		rewrite_mss(ctx, pkt, mtu - 40);
#endif
	return STEP_SEAL;
}

#endif
