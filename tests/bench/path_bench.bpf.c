// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The uplink's path under BPF_PROG_TEST_RUN with repeat. The kernel restores neither bytes nor head between
// runs, so each run does. "restore" measures the cost of that, to be subtracted.
#include "lib/uplink.h"
#include "path_bench.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct path_bench_job);
} jobs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct path_bench_item);
} items SEC(".maps");

/* The counter that the packet to come is sent with: drawn already, or the next one of all. */
static __always_inline __u64 next_to_send(const struct talon_send_counter *sc, __u32 ring_at, __u32 index)
{
	__u32 place = ring_at & (KEYSTREAM_TALLIES - 1);
	struct keystream_tally *t = bpf_map_lookup_elem(&tallies, &place);
	bool is_drawn = t && t->at == ring_at && t->index == index && t->left &&
		bpf_ktime_get_boot_ns() - t->drawn_ns < KEYSTREAM_TURN_NS;

	return is_drawn ? t->counter : sc->next;
}

/* Keystream for the packet to come, to be received or sent, in another slot than the last one's. */
static __always_inline bool ready_slot(struct path_bench_job *job, enum path_bench_ahead dir)
{
	__u32 at = job->next_slot, slot = dir == PATH_BENCH_SEND ? job->send_slot : job->slot;
	__u32 index = dir == PATH_BENCH_SEND ? job->send_index : job->index;
	__u32 ring_at = slot * TALON_KEYSTREAM_DIRS + dir - 1;
	struct talon_keystream_ring *ring = bpf_map_lookup_elem(&keystream_rings, &ring_at);
	struct talon_send_counter *sc = bpf_map_lookup_elem(&send_counters, &slot);
	__u32 segment = at >> TALON_KEYSTREAM_SEGMENT_BITS, in = at & (TALON_KEYSTREAM_SEGMENT - 1);
	void *slots = bpf_map_lookup_elem(&keystream, &segment);
	struct talon_keystream_slot *ks = slots ? bpf_map_lookup_elem(slots, &in) : NULL;

	if (!ring || !ks || !sc)
		return false;
	job->next_slot = at + 1 < PATH_BENCH_SLOTS ? at + 1 : 0;
	/* of one slot; a base of 0 would read as none */
	ring->window = talon_keystream_window(at, 0) | 1ULL << 40;
	ring->index = index;
	ring->wake_at = ~0ULL;
	ks->counter = dir == PATH_BENCH_SEND ? next_to_send(sc, ring_at, index) : job->counter;
	ks->index = index;
	ks->dir = dir - 1;
	ks->len = TALON_SLOT_STREAM_LEN;
	ks->token = talon_keystream_token(index, ks->counter);
	return true;
}

/* The next flow's packet, and the replay window as it was when the counter had not come yet. */
static __always_inline struct path_bench_job *restore_packet(struct xdp_md *ctx)
{
	struct path_bench_job *job = bpf_map_lookup_elem(&jobs, ONLY);
	struct path_bench_item *item;
	struct talon_replay *r;
	__u32 size, next, slot;

	if (!job)
		return NULL;
	next = job->next;
	item = bpf_map_lookup_elem(&items, &next);
	if (!item)
		return NULL;
	job->next = next + 1 < job->items ? next + 1 : 0;
	size = job->size;
	if (size < 1 || size > sizeof(job->frame) || bpf_xdp_store_bytes(ctx, 0, job->frame, size))
		return NULL;
	if (bpf_xdp_store_bytes(ctx, job->head_off, item->head, sizeof(item->head)))
		return NULL;
	if (job->tag_off && bpf_xdp_store_bytes(ctx, job->tag_off, item->tag, sizeof(item->tag)))
		return NULL;
	slot = job->slot;
	r = bpf_map_lookup_elem(&replay, &slot);
	if (!r)
		return NULL;
	r->window[REPLAY_WORD(job->counter)] &= ~REPLAY_BIT(job->counter);
	if ((job->ahead & PATH_BENCH_RECV) && !ready_slot(job, PATH_BENCH_RECV))
		return NULL;
	if ((job->ahead & PATH_BENCH_SEND) && !ready_slot(job, PATH_BENCH_SEND))
		return NULL;
	return job;
}

/* Restores head and tail: the head moves by @delta bytes. */
static __always_inline int restore_place(struct xdp_md *ctx, struct path_bench_job *job, int delta)
{
	if (bpf_xdp_adjust_head(ctx, delta))
		return -1;
	return bpf_xdp_adjust_tail(ctx, (int)job->size - (int)frame_len(ctx));
}

SEC("xdp")
int path_restore(struct xdp_md *ctx)
{
	struct path_bench_job *job = restore_packet(ctx);

	return !job || restore_place(ctx, job, 0) ? XDP_ABORTED : XDP_REDIRECT;
}

SEC("xdp")
int path_in(struct xdp_md *ctx)
{
	struct path_bench_job *job = restore_packet(ctx);
	int verdict;

	if (!job)
		return XDP_ABORTED;
	verdict = uplink(ctx);
	return restore_place(ctx, job, -(int)OUTER4_LEN) ? XDP_ABORTED : verdict;
}

SEC("xdp")
int path_out(struct xdp_md *ctx)
{
	struct path_bench_job *job = restore_packet(ctx);
	int verdict;

	if (!job)
		return XDP_ABORTED;
	verdict = uplink(ctx);
	return restore_place(ctx, job, OUTER4_LEN + AEAD_SEAL_SHIFT) ? XDP_ABORTED : verdict;
}

/* From a peer, and sealed for another one. */
SEC("xdp")
int path_peer(struct xdp_md *ctx)
{
	struct path_bench_job *job = restore_packet(ctx);
	int verdict;

	if (!job)
		return XDP_ABORTED;
	verdict = uplink(ctx);
	return restore_place(ctx, job, AEAD_SEAL_SHIFT) ? XDP_ABORTED : verdict;
}

/* keystream_open() without a look at the flow table, which is no part of the AEAD. */
__noinline int open_alone(struct xdp_md *ctx, struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();
	struct talon_keystream_slot *slot;
	struct talon_keystream_ring *ring;
	__u32 off, len;
	int ret;

	if (!pkt || !cfg)
		return -EINVAL;
	off = pkt->wg_off + WG_DATA_HEADER_LEN;
	len = pkt->cipher_len;
	ring = keystream_ring(cfg, pkt->index, TALON_KEYSTREAM_RECV);
	slot = keystream_take(ring, pkt->index, TALON_KEYSTREAM_RECV, pkt->counter, len);
	if (!slot)
		return -ENOENT;
	ret = aead_open_ahead_head(ctx, &pkt->aead, slot, off, len);
	if (!ret)
		ret = aead_open_ahead(ctx, &pkt->aead, slot, off, len);
	keystream_put(slot, TALON_SLOT_EMPTY);
	if (ret)
		return ret;
	keystream_note(ring, pkt, TALON_KEYSTREAM_RECV, len);
	traffic_count(TALON_TRAFFIC_AHEAD, len);
	return 0;
}

SEC("xdp")
int path_open(struct xdp_md *ctx)
{
	struct path_bench_job *job = restore_packet(ctx);
	struct talon_pkt *pkt = bpf_map_lookup_elem(&scratch, ONLY);

	if (!job || !pkt)
		return XDP_ABORTED;
	pkt->index = job->index;
	pkt->counter = job->counter;
	pkt->wg_off = L3_OFF + OUTER4_LEN - WG_DATA_HEADER_LEN;
	pkt->cipher_len = job->plain_len;
	if (job->ahead & PATH_BENCH_RECV ? open_alone(ctx, pkt) : keystream_open(ctx, pkt))
		return XDP_ABORTED;
	return restore_place(ctx, job, 0) ? XDP_ABORTED : XDP_REDIRECT;
}

/*
 * The place of the plaintext does not change the cost; the frame has room to seal in place. As over the relay
 * pair, without a checksum: that is no part of the AEAD.
 */
SEC("xdp")
int path_seal(struct xdp_md *ctx)
{
	struct path_bench_job *job = restore_packet(ctx);
	struct talon_pkt *pkt = bpf_map_lookup_elem(&scratch, ONLY);
	struct talon_send_counter *sc;
	__u32 slot;

	if (!job || !pkt)
		return XDP_ABORTED;
	if (bpf_xdp_adjust_head(ctx, -(int)AEAD_SEAL_SHIFT))
		return XDP_ABORTED;
	pkt->aead.mtu = 0;
	pkt->endpoint.flags = TALON_ENDPOINT_RELAY;
	slot = job->send_slot;
	sc = bpf_map_lookup_elem(&send_counters, &slot);
	if (!sc)
		return XDP_ABORTED;
	pkt->index = job->send_index;
	pkt->counter = sc->next++;
	pkt->tot_len = job->plain_len;
	if (keystream_seal(ctx, pkt, L3_OFF))
		return XDP_ABORTED;
	return restore_place(ctx, job, AEAD_SEAL_SHIFT) ? XDP_ABORTED : XDP_REDIRECT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
