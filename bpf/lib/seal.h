/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An inner packet for pkt->peer lies behind the Ethernet header: session, endpoint, counter, outer headers.
 */
#ifndef TALON_LIB_SEAL_H
#define TALON_LIB_SEAL_H

#include "lib/endpoint.h"
#include "lib/fib.h"
#include "lib/keystream.h"

/* No key to send with: the controller is asked for a handshake and keeps the packet meanwhile. */
static __always_inline int seal_later(ctx_md *ctx, struct talon_pkt *pkt, enum talon_end reason)
{
	if (pkt->quiet)
		return drop(pkt, reason);
	event_clear(pkt, TALON_EVENT_HANDSHAKE);
	pkt->event.peer = pkt->peer;
	return drop(pkt, event_send_packet(ctx, pkt, L3_OFF, pkt->tot_len) ? TALON_HELD : reason);
}

/* Copies the endpoint to the packet's state under its lock. */
static __always_inline bool seal_load_endpoint(struct talon_pkt *pkt)
{
	struct talon_endpoint *e = MAP_LOOKUP(endpoints, &pkt->peer);
	struct endpoint_copy *to = &pkt->endpoint;

	if (!e)
		return false;
	bpf_spin_lock(&e->lock);
	to->family = e->family;
	to->flags = e->flags;
	to->local_port = e->local_port;
	to->remote_port = e->remote_port;
	to->mtu = e->mtu;
	to->ifindex = e->ifindex;
	to->generation = e->generation;
	to->local.word[0] = e->local.word[0];
	to->local.word[1] = e->local.word[1];
	to->local.word[2] = e->local.word[2];
	to->local.word[3] = e->local.word[3];
	to->remote.word[0] = e->remote.word[0];
	to->remote.word[1] = e->remote.word[1];
	to->remote.word[2] = e->remote.word[2];
	to->remote.word[3] = e->remote.word[3];
	*(__u32 *)to->dmac = *(__u32 *)e->dmac;
	*(__u16 *)(to->dmac + 4) = *(__u16 *)(e->dmac + 4);
	*(__u32 *)to->smac = *(__u32 *)e->smac;
	*(__u16 *)(to->smac + 4) = *(__u16 *)(e->smac + 4);
	*(__u32 *)to->in_smac = *(__u32 *)e->in_smac;
	*(__u16 *)(to->in_smac + 4) = *(__u16 *)(e->in_smac + 4);
	*(__u32 *)to->in_dmac = *(__u32 *)e->in_dmac;
	*(__u16 *)(to->in_dmac + 4) = *(__u16 *)(e->in_dmac + 4);
	to->in_ifindex = e->in_ifindex;
	bpf_spin_unlock(&e->lock);
	return true;
}

/* Stores the path that was found. @moved: our own address changed. */
static __always_inline void seal_keep_way(struct talon_pkt *pkt, __u32 generation, bool moved)
{
	struct talon_endpoint *e = MAP_LOOKUP(endpoints, &pkt->peer);

	if (!e)
		return;
	bpf_spin_lock(&e->lock);
	/* Only if the peer did not move meanwhile: the path leads to the old address. */
	if (talon_addr_equal(&e->remote, &pkt->endpoint.remote) && !(e->flags & TALON_ENDPOINT_RELAY)) {
		e->ifindex = pkt->endpoint.ifindex;
		e->mtu = pkt->endpoint.mtu;
		if (moved)
			e->local.word[0] = pkt->endpoint.local.word[0];
		*(__u32 *)e->dmac = *(__u32 *)pkt->endpoint.dmac;
		*(__u16 *)(e->dmac + 4) = *(__u16 *)(pkt->endpoint.dmac + 4);
		*(__u32 *)e->smac = *(__u32 *)pkt->endpoint.smac;
		*(__u16 *)(e->smac + 4) = *(__u16 *)(pkt->endpoint.smac + 4);
		e->generation = generation;
		e->flags = (e->flags & ~TALON_ENDPOINT_ONWARD) | TALON_ENDPOINT_L2 |
			(pkt->endpoint.flags & TALON_ENDPOINT_ONWARD);
	}
	bpf_spin_unlock(&e->lock);
}

/* The local address of an endpoint may be one this host has lost. Checked whenever the path is looked up. */
static __always_inline bool seal_local_is_ours(const struct talon_config *cfg, const struct endpoint_copy *e)
{
	if (e->family == AF_INET && e->local.word[0] == cfg->node_addr)
		return true;
	return MAP_LOOKUP(local_addrs, &e->local);
}

/* Sealed packets that return to the tunnel would loop until they are too large. */
static __always_inline bool seal_is_loop(const struct talon_config *cfg, __u32 ifindex)
{
	return ifindex == cfg->tunnel_ifindex || ifindex == cfg->tunnel_peer_ifindex;
}

/*
 * Notes how XDP has to send by the endpoint's device. The stored path serves both hooks, whichever
 * looked it up.
 */
static __always_inline void seal_note_device(struct endpoint_copy *e)
{
	e->flags &= ~TALON_ENDPOINT_ONWARD;
	if (!frame_xdp_redirects_to(e->ifindex))
		e->flags |= TALON_ENDPOINT_ONWARD;
}

/*
 * Finds the path to the endpoint: the stored one, else the kernel's, else back to where the peer's last
 * packet came from. In pkt->endpoint. Returns 0, or a reason to drop.
 */
__noinline int seal_find_way(ctx_md *ctx, struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();
	struct endpoint_copy *e;
	struct talon_host_route *host;
	bool moved = false, has_device;
	int ret;

	if (!pkt || !cfg)
		return TALON_INTERNAL;
	e = &pkt->endpoint;
	if (!seal_load_endpoint(pkt))
		return TALON_INTERNAL;
	if (!e->family || !e->remote_port)
		return TALON_NO_ENDPOINT;
	/* our own pair: there is no next hop, and nothing that could become stale */
	if (e->flags & TALON_ENDPOINT_RELAY) {
		e->ifindex = cfg->relay_ifindex;
		e->local.word[0] = bpf_htonl(TALON_RELAY_OWN_ADDR);
		e->local_port = cfg->listen_port;
		return e->ifindex ? 0 : TALON_NO_ENDPOINT;
	}
	if (e->family == AF_INET && !e->local.word[0])
		e->local.word[0] = cfg->node_addr;
	if (e->family == AF_INET6 &&
		!(e->local.word[0] | e->local.word[1] | e->local.word[2] | e->local.word[3]))
		return TALON_NO_ENDPOINT;	/* the source must have been set with the endpoint */
	if (!e->local_port)
		e->local_port = cfg->listen_port;
	if ((e->flags & TALON_ENDPOINT_L2) && e->generation == cfg->generation)
		return 0;
	if (!seal_local_is_ours(cfg, e)) {	/* peers follow our address as we follow theirs */
		if (e->family != AF_INET)
			return TALON_NO_ENDPOINT;
		e->local.word[0] = cfg->node_addr;
		moved = true;
	}

	if (e->family == AF_INET) {
		host = host_route4(e->remote.word[0]);
		ret = fib_lookup4(ctx, pkt, e->local.word[0], e->remote.word[0]);
		fib_obey_mtu(pkt, host ? host->mtu : 0);
	} else {
		ret = fib_lookup6(ctx, pkt, &e->local, &e->remote);
	}
	has_device = ret == BPF_FIB_LKUP_RET_SUCCESS || ret == BPF_FIB_LKUP_RET_FRAG_NEEDED;
	if ((has_device || ret == BPF_FIB_LKUP_RET_NO_NEIGH) && seal_is_loop(cfg, pkt->fib.ifindex))
		return TALON_ENDPOINT_LOOP;
	if (has_device) {
		e->ifindex = pkt->fib.ifindex;
		e->mtu = endpoint_inner_mtu(e->family, pkt->mtu);
		seal_note_device(e);
		mac_copy(e->dmac, pkt->fib.dmac);
		mac_copy(e->smac, pkt->fib.smac);
		seal_keep_way(pkt, cfg->generation, moved);
		return 0;
	}
	if (ret == BPF_FIB_LKUP_RET_NO_NEIGH) {
		/* The controller resolves it; until then the way the peer's packets came is used. */
		if (rate_take(pkt->now_ns, TALON_RATE_NEIGH)) {
			fib_event_neigh(pkt);
			event_send(pkt);
		}
	}
	if (!e->in_ifindex || seal_is_loop(cfg, e->in_ifindex))
		return ret == BPF_FIB_LKUP_RET_NO_NEIGH ? TALON_NO_NEIGH : TALON_NO_FIB;
	e->ifindex = e->in_ifindex;
	mac_copy(e->dmac, e->in_smac);
	mac_copy(e->smac, e->in_dmac);
	seal_note_device(e);
	return 0;
}

static __always_inline __u32 seal_outer_len(const struct talon_pkt *pkt)
{
	return pkt->endpoint.family == AF_INET6 ? OUTER6_LEN : OUTER4_LEN;
}

/* Happens only when the path has just become narrower: the sender is told with its next packet. */
static __always_inline int seal_too_big(ctx_md *ctx, struct talon_pkt *pkt)
{
	if (pkt->quiet || pkt->dont_fragment)
		return drop(pkt, TALON_TOO_BIG);
	event_clear(pkt, TALON_EVENT_TOO_BIG);
	pkt->event.peer = pkt->peer;
	pkt->event.id = pkt->aead.mtu;
	return drop(pkt, event_send_packet(ctx, pkt, L3_OFF, pkt->tot_len) ? TALON_HELD : TALON_TOO_BIG);
}

/*
 * A path may fragment what is longer than it has said, but the first device on it sends no more than its own
 * MTU: XDP would lose the frame unnoticed.
 */
static __always_inline bool seal_device_takes(const struct talon_pkt *pkt)
{
	__u32 ifindex = pkt->endpoint.ifindex;
	struct talon_link *link = bpf_map_lookup_elem(&links, &ifindex);

	return !link || aead_padded_len(pkt->tot_len, pkt->aead.mtu) + seal_outer_len(pkt) + WG_DATA_MIN_LEN -
		WG_DATA_HEADER_LEN <= link->mtu;
}

/*
 * Before the AEAD: session, endpoint and the counter that only this packet gets. Moves the frame's start so
 * that ciphertext is written AEAD_SEAL_SHIFT bytes ahead of where plaintext is read: frames need not grow at
 * the end (facts: tailroom varies per packet). pkt->tot_len is the inner length, 0 for a keepalive.
 */
__noinline int seal_prepare(ctx_md *ctx, struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();
	struct talon_send_counter *sc;
	struct talon_peer_tx *tx;
	struct talon_session *s;
	struct iphdr *ip;
	__u32 slot, reason;

	if (!pkt || !cfg)
		return STEP_DONE;
	tx = MAP_LOOKUP(peer_tx, &pkt->peer);
	if (!tx)
		return drop(pkt, TALON_NO_PEER);
	pkt->index = tx->index;
	s = session_find(cfg, pkt->index);
	if (!s || s->peer != pkt->peer || session_expired(s, pkt->now_ns))
		return seal_later(ctx, pkt, TALON_NO_KEY);
	reason = seal_find_way(ctx, pkt);
	if (reason)
		return drop(pkt, reason);
	pkt->aead.mtu = mtu_of_family(pkt, mtu_within_tunnel(cfg, pkt->endpoint.mtu));
	if (pkt->tot_len > pkt->aead.mtu)
		return seal_too_big(ctx, pkt);
	if (pkt->six && pkt->endpoint.mtu && pkt->tot_len > pkt->endpoint.mtu && !seal_device_takes(pkt))
		return drop(pkt, TALON_TOO_BIG);

	pkt->outer_tos = 0;
	if (pkt->tot_len) {
		ip = frame_ip(ctx);
		if (!ip)
			return drop(pkt, TALON_INTERNAL);
		pkt->outer_tos = ecn_encapsulate(pkt->six ? inner6_tos((struct ipv6hdr *)ip) : ip->tos);
	}
	slot = pkt->index & cfg->session_mask;
	sc = bpf_map_lookup_elem(&send_counters, &slot);
	if (!sc)
		return drop(pkt, TALON_INTERNAL);
	if (!keystream_has_counter(pkt, cfg, sc))	/* while the packet is complete and can be held */
		return seal_later(ctx, pkt, TALON_KEY_EXPIRED);
	if ((cfg->flags & TALON_F_CAPTURE) && pkt->tot_len)
		watch_packet(ctx, pkt, TALON_DIR_OUT);
	pkt->place = PLACE_SEALING;
	if (frame_trim(ctx, L3_OFF + (pkt->tot_len ? pkt->tot_len : AEAD_SEAL_SHIFT)))
		return drop(pkt, TALON_NO_ROOM);
	if (!pkt->tot_len) {
		if (frame_push_blank(ctx, seal_outer_len(pkt)))
			return drop(pkt, TALON_NO_ROOM);
	} else if (frame_push(ctx, seal_outer_len(pkt) + AEAD_SEAL_SHIFT, pkt->six,
		pkt->endpoint.family == AF_INET6)) {
		return drop(pkt, TALON_NO_ROOM);
	}

	if (!keystream_draw(pkt, cfg, sc))
		return drop(pkt, TALON_KEY_EXPIRED);
	pkt->wg_off = s->remote_index;	/* for the header */
	if (!session_is_still(s, pkt->index))
		return drop(pkt, TALON_NO_KEY);
	return STEP_NEXT;
}

/* What both addresses, the protocol and the length add to the sum (RFC 768, RFC 8200 section 8.1). */
static __always_inline __u64 seal_pseudo_sum(const struct endpoint_copy *e, bool six, __u32 udp_len)
{
	__u64 sum = (__u64)e->local.word[0] + e->remote.word[0];

	if (six)
		for (int i = 1; i < 4; i++)
			sum += (__u64)e->local.word[i] + e->remote.word[i];
	return sum + bpf_htons(udp_len) + bpf_htons(IPPROTO_UDP);
}

/*
 * Checksum of the outer datagram. Over IPv6 it is mandatory (RFC 8200 section 8.1); over IPv4 it pays:
 * receivers merge datagrams (UDP GRO) only if they have one, and userspace WireGuard depends on that for
 * speed. The AEAD has summed what it wrote.
 */
static __always_inline __u16 seal_checksum(const struct talon_pkt *pkt, bool six, __u32 udp_len)
{
	const struct endpoint_copy *e = &pkt->endpoint;
	__u64 sum = pkt->aead.sum + seal_pseudo_sum(e, six, udp_len);
	__u16 check;

	sum += (__u32)e->local_port + e->remote_port + bpf_htons(udp_len);
	sum += WG_DATA + (__u64)pkt->wg_off + csum_word(pkt->counter);
	check = csum_finish(csum_fold(sum));
	return check ? check : 0xffff;
}

static __always_inline void seal_write4(void *to, const struct talon_pkt *pkt, __u32 udp_len)
{
	const struct endpoint_copy *e = &pkt->endpoint;
	flow_u32 *word = to;	/* RFC 791 section 3.1, a row each */
	__u32 rows[5] = {
		bpf_htonl(0x45U << 24 | (__u32)pkt->outer_tos << 16 | (sizeof(struct iphdr) + udp_len)),
		bpf_htonl((__u32)pkt->counter << 16),	/* an id: it may be fragmented on its path */
		bpf_htonl(64U << 24 | IPPROTO_UDP << 16),
		e->local.word[0],
		e->remote.word[0],
	};
	__u64 sum = 0;

#pragma unroll
	for (int i = 0; i < 5; i++)
		sum += rows[i];
	rows[2] |= (__u32)csum_finish(csum_fold(sum)) << 16;
#pragma unroll
	for (int i = 0; i < 5; i++)
		word[i] = rows[i];
}

static __always_inline void seal_write6(struct ipv6hdr *ip6, struct talon_pkt *pkt, __u32 udp_len)
{
	struct endpoint_copy *e = &pkt->endpoint;

	*(__be32 *)ip6 = bpf_htonl(6U << 28 | (__u32)pkt->outer_tos << 20);
	ip6->payload_len = bpf_htons(udp_len);
	ip6->nexthdr = IPPROTO_UDP;
	ip6->hop_limit = 64;
	__builtin_memcpy(&ip6->saddr, &e->local, sizeof(e->local));
	__builtin_memcpy(&ip6->daddr, &e->remote, sizeof(e->remote));
}

static __always_inline enum talon_end seal_end(const struct talon_pkt *pkt)
{
	if (!pkt->tot_len)
		return TALON_KEEPALIVE;
	if (pkt->quiet)
		return TALON_ICMP_SENT;
	return pkt->resealed ? TALON_RESEALED : TALON_FORWARDED;
}

/* After the AEAD: writes the outer headers, trims the frame and sends it. Always done. */
__noinline int seal_finish(ctx_md *ctx, struct talon_pkt *pkt)
{
	struct talon_peer_stats *ps;
	struct endpoint_copy *e;
	struct udphdr *udp;
	struct wg_head *wg;
	struct ether *eth;
	__u32 wg_off, udp_len;
	bool six;

	if (!pkt)
		return STEP_DONE;
	e = &pkt->endpoint;
	six = e->family == AF_INET6;
	wg_off = L3_OFF + seal_outer_len(pkt) - WG_DATA_HEADER_LEN;
	udp_len = sizeof(*udp) + WG_DATA_MIN_LEN + aead_padded_len(pkt->tot_len, pkt->aead.mtu);
	if (frame_cut(ctx, wg_off - sizeof(*udp) + udp_len))
		return drop(pkt, TALON_NO_ROOM);

	eth = frame_eth(ctx);
	if (!eth)
		return drop(pkt, TALON_INTERNAL);
	mac_copy(eth->h_dest, e->dmac);
	mac_copy(eth->h_source, e->smac);
	eth->h_proto = six ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);
	if (six) {
		struct ipv6hdr *ip6 = frame_at(ctx, L3_OFF, sizeof(*ip6));

		if (!ip6)
			return drop(pkt, TALON_INTERNAL);
		seal_write6(ip6, pkt, udp_len);
	} else {
		struct iphdr *ip = frame_ip(ctx);

		if (!ip)
			return drop(pkt, TALON_INTERNAL);
		seal_write4(ip, pkt, udp_len);
	}
	udp = frame_at(ctx, wg_off - sizeof(*udp), sizeof(*udp) + sizeof(*wg));
	if (!udp)
		return drop(pkt, TALON_INTERNAL);
	udp->source = e->local_port;
	udp->dest = e->remote_port;
	udp->len = bpf_htons(udp_len);
	udp->check = pkt->aead.sums ? seal_checksum(pkt, six, udp_len) : 0;
	wg = (struct wg_head *)(udp + 1);
	wg->type = WG_DATA;
	wg->receiver_index = pkt->wg_off;
	wg->counter = pkt->counter;

	ps = MAP_LOOKUP(peer_stats, &pkt->peer);
	if (!ps)
		return drop(pkt, TALON_INTERNAL);
	ps->tx_bytes += udp_len - sizeof(*udp);
	ps->tx_packets++;
	ps->tx_ns = pkt->now_ns;
	if (pkt->tot_len)
		ps->tx_data_ns = pkt->now_ns;
	pkt->ifindex = e->ifindex;
	if (!(e->flags & TALON_ENDPOINT_ONWARD) || frame_is_tc())
		return end(pkt, seal_end(pkt), ACTION_SEND);
	return end(pkt, seal_end(pkt) == TALON_FORWARDED ? frame_onward_end() : seal_end(pkt), ACTION_ONWARD);
}

/* Seals the inner packet behind the Ethernet header for pkt->peer, and sends it. Always done. */
static __always_inline int seal(ctx_md *ctx, struct talon_pkt *pkt)
{
	int step = seal_prepare(ctx, pkt), ret;

	if (step != STEP_NEXT)
		return step;
	ret = keystream_seal(ctx, pkt, L3_OFF + seal_outer_len(pkt));
	if (ret)
		return drop(pkt, ret == -ENOKEY ? TALON_NO_KEY : TALON_INTERNAL);
	return seal_finish(ctx, pkt);
}

#endif
