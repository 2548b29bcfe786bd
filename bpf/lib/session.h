/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Receiver index to keys, replay window, promotion, endpoint roaming. */
#ifndef TALON_LIB_SESSION_H
#define TALON_LIB_SESSION_H

#include "lib/endpoint.h"
#include "lib/frame.h"
#include "talon/replay.h"

/*
 * The live session with receiver index @index, or NULL. Held pointers stay this session's until the program
 * ends (session_types.h).
 */
static __always_inline struct talon_session *session_find(const struct talon_config *cfg, __u32 index)
{
	__u32 slot = index & cfg->session_mask;
	struct talon_session *s = bpf_map_lookup_elem(&sessions, &slot);

	return s && index && s->index == index ? s : NULL;
}

/*
 * After the key was copied: does @s still have the index it was found by? A slot's keys are overwritten
 * seconds after its index was cleared, which no program takes, but a virtual CPU may be stopped for longer
 * than that; and a key of zeros is everybody's.
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

/* Before the AEAD: everything that is cheap to refuse. The message starts at pkt->wg_off. */
__noinline int session_prepare_open(ctx_md *ctx, struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();
	struct talon_replay *replay_state;
	struct talon_session *s;
	struct wg_data *wg;
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
	pkt->now_ns = bpf_ktime_get_boot_ns();
	pkt->now_s = pkt->now_ns / TALON_NSEC_PER_SEC;
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
	aead_set_key(&pkt->aead, s->recv_key, pkt->counter);
	if (!session_is_still(s, pkt->index))
		return drop(pkt, TALON_NO_SESSION);
	return STEP_OPEN;
}

/* Did the packet come from exactly where the endpoint is? */
static __always_inline bool session_is_from(const struct talon_endpoint *e, const struct talon_pkt *pkt)
{
	return e->family == pkt->outer_family && e->remote_port == pkt->outer_sport &&
		addr_equal(&e->remote, &pkt->outer_src);
}

/* @ifindex 0: it was handed in by the controller, and nothing is known that could differ. */
static __always_inline bool session_way_in_is(const struct talon_endpoint *e, const struct ethhdr *eth,
	__u32 ifindex)
{
	return !ifindex || (e->in_ifindex == ifindex && mac_equal(e->in_smac, eth->h_source) &&
		mac_equal(e->in_dmac, eth->h_dest));
}

/*
 * The endpoint follows the last authentic packet (whitepaper section 6.4), unless the controller has pinned
 * it: then just the way in is learnt, from packets of that very endpoint. Flags and place are looked at again
 * under the lock, as the controller may be changing them. @ifindex 0: it came by the controller's socket
 * (outer fragments, devices without our program), which says from where, but not how.
 */
static __always_inline void session_roam(struct talon_pkt *pkt, struct ethhdr *eth, __u32 ifindex)
{
	struct talon_endpoint *e = MAP_LOOKUP(endpoints, &pkt->peer);
	bool pinned, learn, moved;

	if (!e)
		return;
	/* Unlocked look: a torn read costs one needless locked update. */
	if (session_way_in_is(e, eth, ifindex) && session_is_from(e, pkt) &&
		((e->flags & TALON_ENDPOINT_PINNED) ||
		(e->local_port == pkt->outer_dport && addr_equal(&e->local, &pkt->outer_dst))))
		return;
	if ((e->flags & TALON_ENDPOINT_PINNED) && !session_is_from(e, pkt))
		return;
	bpf_spin_lock(&e->lock);
	pinned = e->flags & TALON_ENDPOINT_PINNED;
	moved = !session_is_from(e, pkt);
	/* a way in that is known goes on to be the way to that place */
	learn = pinned ? !moved && ifindex : moved || ifindex;
	if (!pinned) {
		if (!session_is_from(e, pkt))
			e->mtu = 0;	/* of the way to where it was */
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
	*(__u16 *)e->in_smac = *(__u16 *)eth->h_source;
	*(__u16 *)(e->in_smac + 2) = *(__u16 *)(eth->h_source + 2);
	*(__u16 *)(e->in_smac + 4) = *(__u16 *)(eth->h_source + 4);
	*(__u16 *)e->in_dmac = *(__u16 *)eth->h_dest;
	*(__u16 *)(e->in_dmac + 2) = *(__u16 *)(eth->h_dest + 2);
	*(__u16 *)(e->in_dmac + 4) = *(__u16 *)(eth->h_dest + 4);
	e->in_ifindex = ifindex;
unlock:
	bpf_spin_unlock(&e->lock);
	if (pinned)
		return;
	/*
	 * A peer that jumps about must not fill the ring; who misses the event still finds the
	 * endpoint in the map.
	 */
	if (!rate_take(pkt->now_ns, TALON_RATE_ROAMED))
		return;
	event_clear(pkt, TALON_EVENT_ROAMED);
	pkt->event.peer = pkt->peer;
	event_send(pkt);
}

/* From where no packet can come. The place where the peer is was looked at when it moved there. */
static __always_inline bool session_is_martian(struct talon_pkt *pkt)
{
	struct talon_endpoint *e = MAP_LOOKUP(endpoints, &pkt->peer);

	return !(e && session_is_from(e, pkt)) && endpoint_is_martian(pkt);
}

/* Is the sum over the 20 bytes of header that of a right one? Options have to be added to it. */
static __always_inline __u64 session_header_sum(const struct iphdr *ip)
{
	const __u32 *word = (const __u32 *)ip;

	return (__u64)word[0] + word[1] + word[2] + word[3] + word[4];
}

static __always_inline bool session_sum_is_right(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	return !csum_finish((sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32));
}

#define INNER_OPTIONS_MAX	40
/* RFC 791 section 3.1, RFC 7126 sections 4.3 and 4.4: to be dropped */
#define INNER_OPTION_LSRR	131
#define INNER_OPTION_SSRR	137

struct option_walk {
	ctx_md	*ctx;
	__u32	off;		/* of the option in hand */
	__u32	last;		/* end of the options */
	__u32	reason;		/* to drop; TALON_END_COUNT: none */
};

/* One option: on to the next, or stop. A callback, so that it is verified once and not once per option. */
static long option_step(__u64 i, struct option_walk *w)
{
	__u8 *option = frame_at(w->ctx, w->off, 1);

	if (w->off >= w->last || !option || !*option)	/* end of list */
		return 1;
	if (*option == 1) {	/* no operation */
		w->off++;
		return 0;
	}
	w->reason = TALON_SOURCE_ROUTED;
	if (*option == INNER_OPTION_LSRR || *option == INNER_OPTION_SSRR)
		return 1;
	w->reason = TALON_BAD_INNER;
	option = frame_at(w->ctx, w->off, 2);
	if (!option || option[1] < 2)
		return 1;
	w->off += option[1];
	if (w->off > w->last)
		return 1;
	w->reason = TALON_END_COUNT;
	return 0;
}

/* The options of an inner header, which lies behind the Ethernet header. STEP_NEXT, or done. */
__noinline int session_check_options(ctx_md *ctx, struct talon_pkt *pkt)
{
	__u8 option[INNER_OPTIONS_MAX + 4] = {};
	struct iphdr *ip;
	struct option_walk walk = { .ctx = ctx, .off = L3_OFF + sizeof(*ip), .reason = TALON_END_COUNT };
	__u32 len;
	__u64 sum;

	if (!pkt)
		return STEP_DONE;
	ip = frame_ip(ctx);
	if (!ip || ip->ihl * 4 > pkt->tot_len)
		return drop(pkt, TALON_BAD_INNER);
	sum = session_header_sum(ip);
	len = ip->ihl * 4 - sizeof(*ip) - 1;
	asm volatile("" : "+r"(len));	/* 6.1's verifier sees that it is not 0 */
	if (len >= INNER_OPTIONS_MAX)	/* also where ihl is below 5 */
		return drop(pkt, TALON_BAD_INNER);
	len++;
	if (ctx_load_bytes(ctx, L3_OFF + sizeof(*ip), option, len))
		return drop(pkt, TALON_BAD_INNER);
#pragma unroll
	for (__u32 i = 0; i < INNER_OPTIONS_MAX / 4; i++)
		sum += ((__u32 *)option)[i];
	if (!session_sum_is_right(sum))
		return drop(pkt, TALON_INNER_CHECKSUM);
	walk.last = walk.off + len;
	bpf_loop(INNER_OPTIONS_MAX, option_step, &walk, 0);
	return walk.reason == TALON_END_COUNT ? STEP_NEXT : drop(pkt, walk.reason);
}

/*
 * By the relay's own addresses; what else comes by that link is what the controller's socket got, with the
 * addresses it had.
 */
static __always_inline bool session_is_relayed(ctx_md *ctx, const struct talon_pkt *pkt,
	const struct talon_config *cfg)
{
	return frame_ifindex(ctx) == cfg->relay_ifindex && pkt->outer_family == AF_INET &&
	       pkt->outer_dst.word[0] == bpf_htonl(TALON_RELAY_OWN_ADDR);
}

/*
 * After the tag was verified: the first changes to any state. Leaves the inner packet behind the Ethernet
 * header. STEP_NEXT, STEP_REFUSE6, or done (replay, keepalive, malformed).
 */
__noinline int session_accept(ctx_md *ctx, struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();
	struct talon_replay *replay_state;
	struct talon_peer_stats *ps;
	struct talon_peer_tx *tx;
	struct ethhdr *eth;
	struct iphdr *ip;
	__u32 slot, inner_off;
	bool fresh, is_six, has_options = false;
	int ecn;

	if (!pkt || !cfg)
		return STEP_DONE;
	if (frame_ifindex(ctx) != cfg->relay_ifindex && session_is_martian(pkt))
		return drop(pkt, TALON_MARTIAN);	/* its counter is still good when it comes from where it may */
	slot = pkt->index & cfg->session_mask;
	replay_state = bpf_map_lookup_elem(&replay, &slot);
	if (!replay_state)
		return drop(pkt, TALON_INTERNAL);
	bpf_spin_lock(&replay_state->lock);
	fresh = replay_commit(replay_state, pkt->counter);
	bpf_spin_unlock(&replay_state->lock);
	if (!fresh)
		return drop(pkt, TALON_REPLAYED);

	/*
	 * Key confirmation (whitepaper 5.4.3 end): a responder may send on a session once the
	 * initiator has used it.
	 */
	if (replay_state->state == TALON_SESSION_NEXT &&
	    __sync_val_compare_and_swap(&replay_state->state, TALON_SESSION_NEXT, TALON_SESSION_CURRENT) ==
		    TALON_SESSION_NEXT) {
		tx = MAP_LOOKUP(peer_tx, &pkt->peer);
		if (tx)
			__sync_lock_test_and_set(&tx->index, pkt->index);
		event_clear(pkt, TALON_EVENT_PROMOTED);
		pkt->event.peer = pkt->peer;
		pkt->event.index = pkt->index;
		event_send(pkt);
	}

	ps = MAP_LOOKUP(peer_stats, &pkt->peer);
	if (!ps)
		return drop(pkt, TALON_INTERNAL);
	ps->rx_bytes += pkt->cipher_len + WG_DATA_MIN_LEN;
	ps->rx_packets++;
	ps->rx_ns = pkt->now_ns;

	eth = frame_eth(ctx);
	if (!eth)
		return drop(pkt, TALON_INTERNAL);
	if (session_is_relayed(ctx, pkt, cfg)) {
		/* nobody roams to the relay: the controller sends there or not */
		ps->rx_relay_ns = pkt->now_ns;
	} else {
		ps->rx_direct_ns = pkt->now_ns;
		session_roam(pkt, eth, frame_ifindex(ctx) == cfg->relay_ifindex ? 0 : frame_ifindex(ctx));
	}
	if (!pkt->cipher_len)
		return drop(pkt, TALON_KEEPALIVE);
	ps->rx_data_ns = pkt->now_ns;

	inner_off = pkt->wg_off + WG_DATA_HEADER_LEN;
	ip = frame_at(ctx, inner_off, sizeof(*ip));
	if (!ip || pkt->cipher_len < sizeof(*ip))
		return drop(pkt, TALON_BAD_INNER);
	is_six = ip->version == 6;
	if (is_six) {
		pkt->tot_len = sizeof(struct ipv6hdr) + bpf_ntohs(((struct ipv6hdr *)ip)->payload_len);
		if (pkt->tot_len > pkt->cipher_len)
			return drop(pkt, TALON_INNER_IPV6);
		goto pop;
	}
	pkt->tot_len = bpf_ntohs(ip->tot_len);
	if (ip->version != 4 || pkt->tot_len < sizeof(*ip) || pkt->tot_len > pkt->cipher_len)
		return drop(pkt, TALON_BAD_INNER);
	has_options = ip->ihl != 5;
	if (!has_options && !session_sum_is_right(session_header_sum(ip)))
		return drop(pkt, TALON_INNER_CHECKSUM);
	ecn = ecn_decapsulate(pkt->outer_tos, ip->tos);
	if (ecn < 0)
		return drop(pkt, TALON_CONGESTED);
	if (ecn != (ip->tos & ECN_MASK)) {
		__u8 tos = (ip->tos & ~ECN_MASK) | ecn;
		/* version and ihl share the 16-bit word with tos */
		ip->check = csum_replace2(ip->check, bpf_htons(ip->tos), bpf_htons(tos));
		ip->tos = tos;
	}
pop:
	if (frame_pop(ctx, inner_off - L3_OFF, pkt->outer_family == AF_INET6))
		return drop(pkt, TALON_NO_ROOM);
	/*
	 * Generic XDP sets skb->tail 14 bytes too far after a shrink, and whoever appends to that skb (TCP's
	 * receive queue) leaves a hole of as many. There the padding and tag stay where they are: IP ends
	 * where tot_len says. In tc the cut does one thing more: a sum that the NIC made of the sealed bytes
	 * (CHECKSUM_COMPLETE) is dropped by bpf_skb_change_tail(), and there is always a tag to cut off.
	 */
	if (!(cfg->flags & TALON_F_KEEP_TAIL) && frame_trim(ctx, L3_OFF + pkt->tot_len))
		return drop(pkt, TALON_NO_ROOM);
	if (is_six)
		return STEP_REFUSE6;
	return has_options ? session_check_options(ctx, pkt) : STEP_NEXT;
}

#endif
