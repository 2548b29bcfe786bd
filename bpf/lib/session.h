/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sessions: receiver index to keys, replay window, confirmation, endpoint roaming. */
#ifndef TALON_LIB_SESSION_H
#define TALON_LIB_SESSION_H

#include "lib/endpoint.h"
#include "lib/inner4.h"
#include "lib/inner6.h"
#include "lib/watch.h"
#include "talon/replay.h"

/*
 * The live session with receiver index @index, or NULL. The pointer stays valid for this session until
 * the program ends (session_types.h).
 */
static __always_inline struct talon_session *session_find(const struct talon_config *cfg, __u32 index)
{
	__u32 slot = index & cfg->session_mask;
	struct talon_session *s = bpf_map_lookup_elem(&sessions, &slot);

	return s && index && s->index == index ? s : NULL;
}

/*
 * After something of it was copied: does @s still have the index it was found by? A slot's keys are wiped
 * seconds after its index was cleared. No program runs that long, but a virtual CPU may be descheduled
 * for longer, and a key of zeros is known to everybody.
 */
static __always_inline bool session_is_still(const struct talon_session *s, __u32 index)
{
	barrier();
	return *(const volatile __u32 *)&s->index == index;
}

static __always_inline bool session_expired(const struct talon_session *s, __u64 now_ns)
{
	return now_ns - s->birth_ns > WG_REJECT_AFTER_TIME_S * TALON_NSEC_PER_SEC;
}

/* Before the AEAD: all checks that are cheap. The message starts at pkt->wg_off. */
__noinline int session_prepare_open(ctx_md *ctx, struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();
	struct talon_replay *replay_state;
	struct talon_session *s;
	struct wg_head *wg;
	__u32 slot;

	if (!pkt || !cfg)
		return STEP_DONE;
	pkt->dir = TALON_DIR_IN;
	wg = frame_at(ctx, pkt->wg_off, sizeof(*wg));
	if (!wg)
		return drop(pkt, TALON_TOO_SHORT);
	pkt->index = wg->receiver_index;
	pkt->counter = wg->counter;
	s = session_find(cfg, pkt->index);
	if (!s)
		return drop(pkt, TALON_NO_SESSION);
	pkt->peer = s->peer;
	packet_clock(pkt);
	if (session_expired(s, pkt->now_ns) || pkt->counter >= WG_REJECT_AFTER_MESSAGES)
		return drop(pkt, TALON_KEY_EXPIRED);
	if (pkt->cipher_len > AEAD_MAX_LEN)
		return drop(pkt, TALON_TOO_BIG);
	slot = pkt->index & cfg->session_mask;
	replay_state = bpf_map_lookup_elem(&replay, &slot);
	if (!replay_state)
		return drop(pkt, TALON_INTERNAL);
	if (!replay_may_be_new(replay_state, pkt->counter))
		return drop(pkt, TALON_REPLAYED);
	if (!session_is_still(s, pkt->index))
		return drop(pkt, TALON_NO_SESSION);
	return STEP_OPEN;
}

/* Did the packet come from the endpoint's address and port? */
static __always_inline bool session_is_from(const struct talon_endpoint *e, const struct talon_pkt *pkt)
{
	return e->family == pkt->outer_family && e->remote_port == pkt->outer_sport &&
		talon_addr_equal(&e->remote, &pkt->outer_src);
}

/* @ifindex 0: passed in by the controller, without layer-2 information. */
static __always_inline bool session_way_in_is(const struct talon_endpoint *e, const struct ether *eth,
	__u32 ifindex)
{
	return !ifindex || (e->in_ifindex == ifindex && mac_equal(e->in_smac, eth->h_source) &&
		mac_equal(e->in_dmac, eth->h_dest));
}

/*
 * The endpoint follows the last authentic packet (whitepaper section 6.4), unless the controller has
 * pinned it: then only the incoming device and MACs are learnt, from packets of that endpoint. Flags
 * and address are checked again under the lock, as the controller may be changing them. @ifindex 0: the
 * packet came by the controller's socket (outer fragments, devices without our program), which knows
 * the source but not the device.
 */
static __always_inline void session_roam(struct talon_pkt *pkt, struct ether *eth, __u32 ifindex)
{
	struct talon_endpoint *e = MAP_LOOKUP(endpoints, &pkt->peer);
	bool pinned, learn, moved;

	if (!e)
		return;
	/* Checked without the lock: a torn read costs one needless locked update. */
	if (session_way_in_is(e, eth, ifindex) && session_is_from(e, pkt) &&
		((e->flags & TALON_ENDPOINT_PINNED) ||
		(e->local_port == pkt->outer_dport && talon_addr_equal(&e->local, &pkt->outer_dst))))
		return;
	if ((e->flags & TALON_ENDPOINT_PINNED) && !session_is_from(e, pkt))
		return;
	bpf_spin_lock(&e->lock);
	pinned = e->flags & TALON_ENDPOINT_PINNED;
	moved = !session_is_from(e, pkt);
	/* a known incoming device stays the way to that address */
	learn = pinned ? !moved && ifindex : moved || ifindex;
	if (!pinned) {
		if (!session_is_from(e, pkt))
			e->mtu = 0;	/* of the path to the old address */
		e->family = pkt->outer_family;
		e->flags = 0;
		e->local_port = pkt->outer_dport;
		e->remote_port = pkt->outer_sport;
		e->remote.word[0] = pkt->outer_src.word[0];
		e->remote.word[1] = pkt->outer_src.word[1];
		e->remote.word[2] = pkt->outer_src.word[2];
		e->remote.word[3] = pkt->outer_src.word[3];
		e->local.word[0] = pkt->outer_dst.word[0];
		e->local.word[1] = pkt->outer_dst.word[1];
		e->local.word[2] = pkt->outer_dst.word[2];
		e->local.word[3] = pkt->outer_dst.word[3];
	}
	if (!learn)
		goto unlock;
	mac_copy(e->in_smac, eth->h_source);
	mac_copy(e->in_dmac, eth->h_dest);
	e->in_ifindex = ifindex;
unlock:
	bpf_spin_unlock(&e->lock);
	if (pinned)
		return;
	/*
	 * A peer that moves constantly must not fill the ring; if the event is lost, the endpoint is
	 * still in the map.
	 */
	if (!rate_take(pkt->now_ns, TALON_RATE_ROAMED))
		return;
	event_clear(pkt, TALON_EVENT_ROAMED);
	pkt->event.peer = pkt->peer;
	event_send(pkt);
}

/* True for impossible sources. The peer's current endpoint was checked when it moved there. */
static __always_inline bool session_is_martian(struct talon_pkt *pkt)
{
	struct talon_endpoint *e = MAP_LOOKUP(endpoints, &pkt->peer);

	return !(e && session_is_from(e, pkt)) && endpoint_is_martian(pkt);
}

/*
 * True for packets with the relay pair's own addresses; others on that pair were received by the
 * controller's socket and keep their addresses.
 */
static __always_inline bool session_is_relayed(ctx_md *ctx, const struct talon_pkt *pkt,
	const struct talon_config *cfg)
{
	return frame_ifindex(ctx) == cfg->relay_ifindex && pkt->outer_family == AF_INET &&
	       pkt->outer_dst.word[0] == bpf_htonl(TALON_RELAY_OWN_ADDR);
}

/*
 * Takes the counter out of the window, which only an authentic packet may do (RFC 6479). Returns 0 or a
 * reason to drop.
 */
static __always_inline __u32 session_commit(struct talon_pkt *pkt, struct talon_replay *window)
{
	if (replay_begins(window, pkt->counter)) {
		bpf_spin_lock(&window->lock);
		replay_begin(window, pkt->counter);
		bpf_spin_unlock(&window->lock);
	}
	return replay_take(window, pkt->counter) ? 0 : TALON_REPLAYED;
}

/*
 * Key confirmation (whitepaper section 5.4.3): a responder may send on a session once the
 * initiator has used it.
 */
static __always_inline void session_confirm(struct talon_pkt *pkt, struct talon_replay *window)
{
	struct talon_peer_tx *tx;

	if (window->state != TALON_SESSION_NEXT ||
		__sync_val_compare_and_swap(&window->state, TALON_SESSION_NEXT,
		TALON_SESSION_CURRENT) != TALON_SESSION_NEXT)
		return;
	tx = MAP_LOOKUP(peer_tx, &pkt->peer);
	if (tx)
		__sync_lock_test_and_set(&tx->index, pkt->index);
	event_clear(pkt, TALON_EVENT_PROMOTED);
	pkt->event.peer = pkt->peer;
	pkt->event.index = pkt->index;
	event_send(pkt);
}

/* Counters and times of the peer, and where it is now. Returns 0 or a reason to drop. */
static __always_inline __u32 session_note_peer(ctx_md *ctx, struct talon_pkt *pkt,
	const struct talon_config *cfg)
{
	struct talon_peer_stats *ps = MAP_LOOKUP(peer_stats, &pkt->peer);
	struct ether *eth;

	if (!ps)
		return TALON_INTERNAL;
	ps->rx_bytes += pkt->cipher_len + WG_DATA_MIN_LEN;
	ps->rx_packets++;
	ps->rx_ns = pkt->now_ns;
	eth = frame_eth(ctx);
	if (!eth)
		return TALON_INTERNAL;
	if (session_is_relayed(ctx, pkt, cfg)) {
		/* peers do not roam to the relay: the controller decides to send there */
		ps->rx_relay_ns = pkt->now_ns;
	} else {
		ps->rx_direct_ns = pkt->now_ns;
		session_roam(pkt, eth, frame_ifindex(ctx) == cfg->relay_ifindex ? 0 : frame_ifindex(ctx));
	}
	if (!pkt->cipher_len)
		return TALON_KEEPALIVE;
	ps->rx_data_ns = pkt->now_ns;
	return 0;
}

/* What the inner packet is, in pkt->six. Returns 0 or a reason to drop. */
static __always_inline __u32 session_read_inner(ctx_md *ctx, struct talon_pkt *pkt,
	const struct talon_config *cfg, __u32 inner_off, bool *ret_has_options)
{
	struct iphdr *ip = frame_at(ctx, inner_off, sizeof(*ip));

	if (!ip || pkt->cipher_len < sizeof(*ip))
		return TALON_BAD_INNER;
	if (ip->version == 6) {
		pkt->six = 1;
		return cfg->flags & TALON_F_INNER6 ? inner6_accept(ctx, pkt, inner_off)
			: inner6_measure(pkt, (struct ipv6hdr *)ip, pkt->cipher_len) ? TALON_INNER_IPV6 : 0;
	}
	return inner4_accept(pkt, ip, ret_has_options);
}

/*
 * Moves the inner packet to its place after the Ethernet header. Generic XDP sets skb->tail 14 bytes too far
 * after a shrink, and whatever appends to that skb (TCP's receive queue) leaves a hole of that size: there
 * the padding and tag stay, and IP ends where tot_len says. In tc the cut does one thing more:
 * bpf_skb_change_tail() drops a checksum that the NIC computed over the sealed bytes (CHECKSUM_COMPLETE), and
 * there is always a tag to cut off.
 */
static __always_inline int session_pop(ctx_md *ctx, struct talon_pkt *pkt, const struct talon_config *cfg,
	__u32 inner_off)
{
	if (frame_pop(ctx, inner_off - L3_OFF, pkt->outer_family == AF_INET6, pkt->six))
		return -1;
	pkt->place = PLACE_INNER;
	return !(cfg->flags & TALON_F_KEEP_TAIL) && frame_trim(ctx, L3_OFF + pkt->tot_len) ? -1 : 0;
}

/*
 * After the tag was verified: the first changes to any state. Leaves the inner packet after the Ethernet
 * header. Returns STEP_NEXT, STEP_REFUSE6, or done (replay, keepalive, malformed).
 */
__noinline int session_accept(ctx_md *ctx, struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();
	bool has_options = false;
	struct talon_replay *window;
	__u32 slot, inner_off, reason;

	if (!pkt || !cfg)
		return STEP_DONE;
	/* Its counter stays unused, for when it comes from where it may. */
	if (frame_ifindex(ctx) != cfg->relay_ifindex && session_is_martian(pkt))
		return drop(pkt, TALON_MARTIAN);
	slot = pkt->index & cfg->session_mask;
	window = bpf_map_lookup_elem(&replay, &slot);
	if (!window)
		return drop(pkt, TALON_INTERNAL);
	reason = session_commit(pkt, window);
	if (reason)
		return drop(pkt, reason);
	session_confirm(pkt, window);
	reason = session_note_peer(ctx, pkt, cfg);
	if (reason)
		return drop(pkt, reason);
	inner_off = pkt->wg_off + WG_DATA_HEADER_LEN;
	reason = session_read_inner(ctx, pkt, cfg, inner_off, &has_options);
	if (reason) {
		pkt->place = PLACE_OPENED;
		return drop(pkt, reason);
	}
	if (session_pop(ctx, pkt, cfg, inner_off))
		return drop(pkt, TALON_NO_ROOM);
	if (cfg->flags & TALON_F_CAPTURE)
		watch_packet(ctx, pkt, TALON_DIR_IN);
	if (pkt->six)
		return cfg->flags & TALON_F_INNER6 ? STEP_NEXT : STEP_REFUSE6;
	return has_options ? inner4_check_options(ctx, pkt) : STEP_NEXT;
}

#endif
