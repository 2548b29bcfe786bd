/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The datapath's side of keystream made ahead (keystream_types.h): take the slot of a counter, use it,
 * give it back; else work inline. Atomics are the fully ordered ones; there is no lock that the other
 * side could hold.
 */
#ifndef TALON_LIB_KEYSTREAM_H
#define TALON_LIB_KEYSTREAM_H

#include "lib/aead_ahead.h"
#include "lib/session.h"

#define KEYSTREAM_READ(x) (*(volatile typeof(x) *)&(x))	/* written by another process meanwhile */

static __always_inline struct talon_keystream_ring *keystream_ring(const struct talon_config *cfg,
	__u32 index, __u32 dir)
{
	__u32 at = (index & cfg->session_mask) * TALON_KEYSTREAM_DIRS + dir;

	return bpf_map_lookup_elem(&keystream_rings, &at);
}

/* Gives a slot back: EMPTY when it was used, with its token when it was not. */
static __always_inline void keystream_put(struct talon_keystream_slot *slot, __u64 token)
{
	__sync_lock_test_and_set(&slot->token, token);
}

/*
 * The slot of @counter, BUSY for this program alone; NULL if there is none, or none with @len bytes of
 * stream. The token is 32 bits of either number, so what it stands for is looked at as well: a slot of 2^32
 * packets ago or of the other direction is put back.
 */
static __always_inline struct talon_keystream_slot *keystream_take(struct talon_keystream_ring *ring,
	__u32 index, __u32 dir, __u64 counter, __u32 len)
{
	__u64 token = talon_keystream_token(index, counter), window;
	struct talon_keystream_slot *slot;
	__u32 at, segment;
	void *slots;

	if (!ring || KEYSTREAM_READ(ring->index) != index)
		return NULL;
	window = KEYSTREAM_READ(ring->window);
	if (!window)
		return NULL;
	at = talon_keystream_window_slot(window, counter);
	segment = at >> TALON_KEYSTREAM_SEGMENT_BITS;
	slots = bpf_map_lookup_elem(&keystream, &segment);
	if (!slots)
		return NULL;
	at &= TALON_KEYSTREAM_SEGMENT - 1;
	slot = bpf_map_lookup_elem(slots, &at);
	if (!slot || __sync_val_compare_and_swap(&slot->token, token, TALON_SLOT_BUSY) != token)
		return NULL;
	if (slot->counter == counter && slot->index == index && slot->dir == dir && slot->len >= len)
		return slot;
	keystream_put(slot, token);
	return NULL;
}

/*
 * Says to the helper that a ring wants to be looked at. Only the first one after it fell asleep pays for
 * waking it (7 us).
 */
static __always_inline void keystream_ask(__u32 at)
{
	struct talon_keystream_state *state = bpf_map_lookup_elem(&keystream_state, ONLY);
	__u64 flags = BPF_RB_NO_WAKEUP;

	if (!state)
		return;
	if (KEYSTREAM_READ(state->asleep) && __sync_val_compare_and_swap(&state->asleep, 1, 0) == 1)
		flags = BPF_RB_FORCE_WAKEUP;
	bpf_ringbuf_output(&keystream_wake, &at, sizeof(at), flags);
}

static __always_inline __u32 keystream_class(__u32 len)
{
	return (len > TALON_KEYSTREAM_CLASS_LEN(0)) + (len > TALON_KEYSTREAM_CLASS_LEN(1)) +
		(len > TALON_KEYSTREAM_CLASS_LEN(2));
}

/* Counts a message with @len bytes of ciphertext beside the tag. @kind: TALON_TRAFFIC_ bits. */
static __always_inline void traffic_count(__u32 kind, __u32 len)
{
	struct talon_traffic *t = bpf_map_lookup_elem(&traffic, &kind);

	if (!t)
		return;
	t->packets++;	/* per CPU */
	t->bytes += len + WG_DATA_MIN_LEN;
}

/*
 * After a packet was opened or sealed, which is the only news that counts: what a forger sends moves nothing.
 * Plain stores: another CPU's may win, and the next packet puts it right.
 */
static __always_inline void keystream_note(struct talon_keystream_ring *ring, const struct talon_pkt *pkt,
	__u32 dir, __u32 len)
{
	const struct talon_config *cfg = config_get();
	bool has_window;
	__u64 since;

	if (!ring || !cfg)
		return;
	if (ring->seen != pkt->index) {
		ring->seen = pkt->index;
		ring->head = 0;
	}
	if (pkt->counter >= ring->head)
		ring->head = pkt->counter + 1;
	if (len <= TALON_SLOT_STREAM_LEN)
		ring->sizes[keystream_class(len) & (TALON_KEYSTREAM_CLASSES - 1)]++;
	has_window = KEYSTREAM_READ(ring->index) == pkt->index;
	since = pkt->now_ns - ring->asked_ns;
	if ((has_window && pkt->counter < KEYSTREAM_READ(ring->wake_at)) || since < TALON_KEYSTREAM_ASK_NS)
		return;
	ring->asked_ns = pkt->now_ns;
	if (has_window || since < TALON_KEYSTREAM_LONE_NS)
		keystream_ask((pkt->index & cfg->session_mask) * TALON_KEYSTREAM_DIRS + dir);
}

/*
 * Copies the session's key for @dir, which only the inline way needs. 0; -ENOKEY: it was retired since it was
 * found.
 */
static __always_inline int keystream_set_key(struct talon_pkt *pkt, const struct talon_config *cfg, __u32 dir)
{
	struct talon_session *s = session_find(cfg, pkt->index);

	if (!s)
		return -ENOKEY;
	aead_set_key(&pkt->aead, dir == TALON_KEYSTREAM_RECV ? s->recv_key : s->send_key, pkt->counter);
	if (session_is_still(s, pkt->index))
		return 0;
	aead_wipe_key(&pkt->aead);
	return -ENOKEY;
}

/*
 * aead_open() of the message at pkt->wg_off, with keystream made ahead where it is there. A forged packet
 * leaves the slot for the real one. -ENOKEY: the session was retired meanwhile.
 */
__noinline int keystream_open(ctx_md *ctx, struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();
	struct talon_keystream_slot *slot;
	struct talon_keystream_ring *ring;
	__u32 off, len, kind;
	int ret;

	if (!pkt || !cfg)
		return -EINVAL;
	off = pkt->wg_off + WG_DATA_HEADER_LEN;
	len = pkt->cipher_len;
	ring = keystream_ring(cfg, pkt->index, TALON_KEYSTREAM_RECV);
	slot = keystream_take(ring, pkt->index, TALON_KEYSTREAM_RECV, pkt->counter, len);
	if (slot) {
		ret = aead_open_ahead(ctx, &pkt->aead, slot, off, len);
		keystream_put(slot, ret ? talon_keystream_token(pkt->index, pkt->counter) : TALON_SLOT_EMPTY);
	} else {
		ret = keystream_set_key(pkt, cfg, TALON_KEYSTREAM_RECV);
		if (ret)
			return ret;
		ret = aead_open(ctx, &pkt->aead, off, len);
		aead_wipe(&pkt->aead);
	}
	if (ret)
		return ret;
	keystream_note(ring, pkt, TALON_KEYSTREAM_RECV, len);
	kind = slot ? TALON_TRAFFIC_AHEAD : 0;
	if (pkt->outer_family == AF_INET6)
		kind |= TALON_TRAFFIC_SIX;
	else if (pkt->outer_dst.word[0] == bpf_htonl(TALON_RELAY_OWN_ADDR))
		kind |= TALON_TRAFFIC_RELAY;
	traffic_count(kind, len);
	return ret;
}

/*
 * aead_seal() to @off with pkt->counter, which was drawn for this packet alone: no other one finds the
 * slot's counter again. -ENOKEY as above.
 */
__noinline int keystream_seal(ctx_md *ctx, struct talon_pkt *pkt, __u32 off)
{
	const struct talon_config *cfg = config_get();
	struct talon_keystream_slot *slot;
	struct talon_keystream_ring *ring;
	__u32 len, kind;
	int ret;

	if (!pkt || !cfg)
		return -EINVAL;
	len = aead_padded_len(pkt->tot_len, pkt->aead.mtu);
	/* nothing checks it on our own pair */
	pkt->aead.sums = !(pkt->endpoint.flags & TALON_ENDPOINT_RELAY);
	ring = keystream_ring(cfg, pkt->index, TALON_KEYSTREAM_SEND);
	slot = keystream_take(ring, pkt->index, TALON_KEYSTREAM_SEND, pkt->counter, len);
	if (slot) {
		ret = aead_seal_ahead(ctx, &pkt->aead, slot, off, pkt->tot_len);
		keystream_put(slot, TALON_SLOT_EMPTY);
	} else {
		ret = keystream_set_key(pkt, cfg, TALON_KEYSTREAM_SEND);
		if (ret)
			return ret;
		ret = aead_seal(ctx, &pkt->aead, off, pkt->tot_len);
		aead_wipe(&pkt->aead);
	}
	if (ret)
		return ret;
	keystream_note(ring, pkt, TALON_KEYSTREAM_SEND, len);
	kind = TALON_TRAFFIC_SENT | (slot ? TALON_TRAFFIC_AHEAD : 0);
	if (pkt->endpoint.family == AF_INET6)
		kind |= TALON_TRAFFIC_SIX;
	if (pkt->endpoint.flags & TALON_ENDPOINT_RELAY)
		kind |= TALON_TRAFFIC_RELAY;
	traffic_count(kind, len);
	return ret;
}

#endif
