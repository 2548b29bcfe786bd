/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The datapath's side of keystream made ahead (keystream_types.h): take the slot of a counter, use it,
 * give it back; else work inline. Atomics are the fully ordered ones; there is no lock that the other
 * side could hold.
 */
#ifndef TALON_LIB_KEYSTREAM_H
#define TALON_LIB_KEYSTREAM_H

#include "lib/aead_ahead.h"
#include "lib/flow_hint.h"
#include "lib/session.h"

#define KEYSTREAM_READ(x) (*(volatile typeof(x) *)&(x))	/* written by another process meanwhile */

/*
 * What this CPU has not told others of yet. Memory that two CPUs write for each packet costs them more than
 * all the rest of the bookkeeping, so a ring is written when it has been that long, and counters are drawn
 * several at once.
 */
#define KEYSTREAM_TALLY_NS	16000ULL
#define KEYSTREAM_TURN_MAX	16U
#define KEYSTREAM_TURN_NS	128000ULL	/* so many packets that are worked on inline take less */
#define KEYSTREAM_TALLIES	64U	/* by the ring's number; the later one takes a place */

struct keystream_tally {
	__u32	at;			/* element of keystream_rings */
	__u32	index;			/* of its session; 0: nothing is here */
	__u64	head;
	__u64	written_ns;
	__u32	sizes[TALON_KEYSTREAM_CLASSES];
	/* to be sent with; drawn all at once, and good for KEYSTREAM_TURN_NS */
	__u64	counter;
	__u64	drawn_ns;
	__u32	left;
	__u32	turn;			/* so many were drawn */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, KEYSTREAM_TALLIES);
	__type(key, __u32);
	__type(value, struct keystream_tally);
} tallies SEC(".maps");

static __always_inline __u32 keystream_at(const struct talon_config *cfg, __u32 index, __u32 dir)
{
	return (index & cfg->session_mask) * TALON_KEYSTREAM_DIRS + dir;
}

static __always_inline struct talon_keystream_ring *keystream_ring(const struct talon_config *cfg,
	__u32 index, __u32 dir)
{
	__u32 at = keystream_at(cfg, index, dir);

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
 * What the tally holds becomes the ring's. The head by a plain store: another CPU's may win, and the next one
 * puts it right.
 */
static __always_inline void keystream_write(struct keystream_tally *t, struct talon_keystream_ring *ring)
{
	if (ring->seen != t->index) {
		ring->seen = t->index;
		ring->head = 0;
	}
	if (t->head > ring->head)
		ring->head = t->head;
	t->head = 0;
#pragma unroll
	for (int i = 0; i < TALON_KEYSTREAM_CLASSES; i++) {
		if (t->sizes[i])
			__sync_fetch_and_add(&ring->sizes[i], t->sizes[i]);
		t->sizes[i] = 0;
	}
}

/* The tally of the ring of @index and @dir on this CPU. */
static __always_inline struct keystream_tally *keystream_tally(const struct talon_config *cfg, __u32 index,
	__u32 dir)
{
	__u32 at = keystream_at(cfg, index, dir), place = at & (KEYSTREAM_TALLIES - 1);
	struct keystream_tally *t = bpf_map_lookup_elem(&tallies, &place);
	struct talon_keystream_ring *old;

	if (!t || (t->at == at && t->index == index))
		return t;
	old = t->index ? MAP_LOOKUP(keystream_rings, &t->at) : NULL;
	if (old && old->seen == t->index)
		keystream_write(t, old);
	__builtin_memset(t, 0, sizeof(*t));
	t->at = at;
	t->index = index;
	return t;
}

/*
 * After a packet was opened or sealed, which is the only news that counts: what a forger sends moves nothing.
 */
static __always_inline void keystream_note(struct talon_keystream_ring *ring, const struct talon_pkt *pkt,
	__u32 dir, __u32 len)
{
	const struct talon_config *cfg = config_get();
	struct keystream_tally *t;
	bool has_window, asks;
	__u64 since;

	if (!ring || !cfg)
		return;
	t = keystream_tally(cfg, pkt->index, dir);
	if (!t)
		return;
	if (pkt->counter >= t->head)
		t->head = pkt->counter + 1;
	if (len <= TALON_SLOT_STREAM_LEN)
		t->sizes[keystream_class(len) & (TALON_KEYSTREAM_CLASSES - 1)]++;
	has_window = KEYSTREAM_READ(ring->index) == pkt->index;
	since = pkt->now_ns - KEYSTREAM_READ(ring->asked_ns);
	asks = since >= TALON_KEYSTREAM_ASK_NS &&
		!(has_window && pkt->counter < KEYSTREAM_READ(ring->wake_at));
	if (!asks && pkt->now_ns - t->written_ns < KEYSTREAM_TALLY_NS)
		return;
	t->written_ns = pkt->now_ns;
	keystream_write(t, ring);
	if (!asks)
		return;
	ring->asked_ns = pkt->now_ns;
	if (has_window || since < TALON_KEYSTREAM_LONE_NS)
		keystream_ask(keystream_at(cfg, pkt->index, dir));
}

/* Has this CPU counters left that it drew and may still use? */
static __always_inline bool keystream_has_drawn(const struct keystream_tally *t, __u64 now_ns)
{
	return t && t->left && now_ns - t->drawn_ns < KEYSTREAM_TURN_NS;
}

/* Is there one for pkt to be sent with? Another CPU may take the last one before keystream_draw() does. */
static __always_inline bool keystream_has_counter(const struct talon_pkt *pkt, const struct talon_config *cfg,
	const struct talon_send_counter *sc)
{
	return keystream_has_drawn(keystream_tally(cfg, pkt->index, TALON_KEYSTREAM_SEND), pkt->now_ns) ||
		KEYSTREAM_READ(sc->next) < WG_REJECT_AFTER_MESSAGES;
}

/*
 * A counter that no other packet of the session gets, in pkt->counter. The more of them this CPU just used
 * up, the more it draws at once. What is left after KEYSTREAM_TURN_NS is never used, as the other side may be
 * past it. Returns false when the session has none left: they end at WG_REJECT_AFTER_MESSAGES, and long
 * before that they are drawn one by one, so that all CPUs together cannot get beyond the last one.
 */
static __always_inline bool keystream_draw(struct talon_pkt *pkt, const struct talon_config *cfg,
	struct talon_send_counter *sc)
{
	struct keystream_tally *t = keystream_tally(cfg, pkt->index, TALON_KEYSTREAM_SEND);
	bool is_busy = t && pkt->now_ns - t->drawn_ns < KEYSTREAM_TURN_NS;
	__u32 turn = 1;
	__u64 next;

	if (keystream_has_drawn(t, pkt->now_ns)) {
		t->left--;
		pkt->counter = t->counter++;
		return pkt->counter < WG_REJECT_AFTER_MESSAGES;
	}
	next = KEYSTREAM_READ(sc->next);
	if (next >= WG_REJECT_AFTER_MESSAGES)
		return false;
	if (is_busy && next < WG_REKEY_AFTER_MESSAGES)
		turn = t->turn < KEYSTREAM_TURN_MAX ? 2 * t->turn : KEYSTREAM_TURN_MAX;
	pkt->counter = __sync_fetch_and_add(&sc->next, turn);
	if (t) {
		t->counter = pkt->counter + 1;
		t->left = turn - 1;
		t->turn = turn;
		t->drawn_ns = pkt->now_ns;
	}
	return pkt->counter < WG_REJECT_AFTER_MESSAGES;
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
		flow_hint_bucket(ctx, pkt, slot);
		ret = aead_open_ahead_head(ctx, &pkt->aead, slot, off, len);
		flow_hint_record(pkt);
		if (!ret)
			ret = aead_open_ahead(ctx, &pkt->aead, slot, off, len);
		keystream_put(slot, ret ? talon_keystream_token(pkt->index, pkt->counter) : TALON_SLOT_EMPTY);
	} else {
		pkt->hint = 0;
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
