// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The uplink's path on two cores at once, under BPF_PROG_TEST_RUN with repeat. Cores go through the phases of
// cores_bench.h together.
#include "lib/uplink.h"
#include "cores_bench.h"

#define WG_COUNTER_OFF	(L3_OFF + sizeof(struct iphdr) + sizeof(struct udphdr) + 8)

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cores_bench_run);
} run SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CORES_BENCH_TUNNELS * CORES_BENCH_SEALED);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, CORES_BENCH_FRAME);
} sealed SEC(".maps");

struct waiter {
	struct cores_bench_run *run;
	__u32 core, phases;
};

static __always_inline bool other_has(struct cores_bench_run *r, __u32 core, __u32 phases)
{
	return *(volatile __u32 *)&r->done[!core].phases >= phases;
}

static long wait_for_other(__u32 i, struct waiter *w)
{
	return other_has(w->run, w->core, w->phases);
}

/* This core is through with the phase, unless it still has to keep the other one company. */
static __always_inline void next_phase(struct cores_bench_run *r, struct cores_bench_job *job)
{
	__u32 phases = job->round * CORES_BENCH_PHASES + job->phase + 2;

	*(volatile __u32 *)&r->done[job->core & 1].phases = phases;
	if (!other_has(r, job->core, phases))
		return;
	job->begin_ns = 0;
	job->packets = 0;
	if (++job->phase < CORES_BENCH_PHASES)
		return;
	job->phase = 0;
	job->round++;
}

/* Does this core have a packet to do? Between calls the kernel may do what others wait for. */
static __noinline bool may_go(struct cores_bench_run *r, struct cores_bench_job *job)
{
	struct waiter waiter = { r, job->core, job->round * CORES_BENCH_PHASES + job->phase + 1 };

	if (job->round >= job->rounds)
		return false;
	if (!job->begin_ns) {
		if (waiter.phases == 1)
			*(volatile __u32 *)&r->done[job->core & 1].phases = 1;
		bpf_loop(256, wait_for_other, &waiter, 0);
		if (!other_has(r, job->core, waiter.phases))
			return false;
		job->begin_ns = bpf_ktime_get_ns();
	}
	if (job->phase != (job->core ? CORES_BENCH_FIRST : CORES_BENCH_SECOND))
		return true;
	waiter.phases++;
	*(volatile __u32 *)&r->done[job->core & 1].phases = waiter.phases;
	bpf_loop(256, wait_for_other, &waiter, 0);
	next_phase(r, job);
	return false;
}

/* A packet was done. */
static __noinline void note_packet(struct cores_bench_run *r, struct cores_bench_job *job)
{
	__u32 round = job->round & (CORES_BENCH_ROUNDS - 1), phase = job->phase;

	if (++job->packets < job->chunk || phase >= CORES_BENCH_PHASES)
		return;
	if (job->packets == job->chunk)
		job->ns[round][phase] = bpf_ktime_get_ns() - job->begin_ns;
	next_phase(r, job);
}

/* A received message's counter: each comes once, on whichever core. */
static __noinline __u64 next_counter(struct cores_bench_run *r, struct cores_bench_job *job,
	__u32 tunnel)
{
	if (!job->left[tunnel & 1]) {
		job->counter[tunnel & 1] = __sync_fetch_and_add(&r->counters[tunnel & 1].next,
			CORES_BENCH_TURN);
		job->left[tunnel & 1] = CORES_BENCH_TURN;
	}
	job->left[tunnel & 1]--;
	return job->counter[tunnel & 1]++;
}

/* The slot of @counter in the window that begins at @base: all have the same stream. */
static __noinline void make_ready(__u32 base, __u32 tunnel, __u64 counter)
{
	__u32 at = base + (counter & (CORES_BENCH_SLOTS - 1)), segment = at >> TALON_KEYSTREAM_SEGMENT_BITS;
	void *slots = bpf_map_lookup_elem(&keystream, &segment);
	struct talon_keystream_slot *slot;

	at &= TALON_KEYSTREAM_SEGMENT - 1;
	slot = slots ? bpf_map_lookup_elem(slots, &at) : NULL;
	if (!slot || slot->token == talon_keystream_token(CORES_BENCH_INDEX(tunnel), counter))
		return;
	slot->counter = counter;
	slot->token = talon_keystream_token(CORES_BENCH_INDEX(tunnel), counter);
}

static __noinline int put_frame(struct xdp_md *ctx, struct cores_bench_job *job, __u32 tunnel,
	__u64 counter)
{
	__u32 size = job->size, at = tunnel * CORES_BENCH_SEALED + (counter & (CORES_BENCH_SEALED - 1));
	void *frame = job->frame[tunnel & 1];

	if (size < 1 || size > CORES_BENCH_FRAME)
		return -1;
	if (!job->is_out && !job->is_ahead)
		frame = bpf_map_lookup_elem(&sealed, &at);
	else if (!job->is_out)
		*(__u64 *)(frame + WG_COUNTER_OFF) = counter;
	return frame ? bpf_xdp_store_bytes(ctx, 0, frame, size) : -1;
}

SEC("xdp")
int cores_work(struct xdp_md *ctx)
{
	struct cores_bench_run *r = bpf_map_lookup_elem(&run, ONLY);
	struct talon_pkt *pkt = bpf_map_lookup_elem(&scratch, ONLY);
	__u32 core = bpf_get_smp_processor_id();
	struct cores_bench_job *job;
	int verdict = XDP_REDIRECT, delta = 0;
	__u32 tunnel, base;
	__u64 counter = 0;
	bool is_path;

	if (!r || !pkt || core >= CORES_BENCH_CORES)
		return XDP_REDIRECT;
	job = &r->jobs[core];
	if (!may_go(r, job))
		return XDP_REDIRECT;
	is_path = job->phase != CORES_BENCH_RESTORE;
	tunnel = job->phase == CORES_BENCH_APART && job->core;
	base = (2 * tunnel + (job->is_out ? 1 : 0)) * CORES_BENCH_SLOTS;
	if (!job->is_out || !is_path)
		counter = next_counter(r, job, tunnel);
	if (put_frame(ctx, job, tunnel, counter))
		return XDP_ABORTED;
	if (job->is_ahead && !job->is_out)
		make_ready(base, tunnel, counter);
	if (is_path)
		verdict = uplink(ctx);
	/*
	 * What is sent gets its counter on its way: the slot that it used becomes that of one window later. A
	 * few counters are never used: their slots are found half a window later.
	 */
	if (job->is_ahead && job->is_out) {
		base = is_path ? base : CORES_BENCH_SPARE;
		counter = is_path ? pkt->counter : counter;
		make_ready(base, tunnel, counter + CORES_BENCH_SLOTS);
		make_ready(base, tunnel, counter + CORES_BENCH_SLOTS / 2);
	}
	if (is_path && verdict == XDP_REDIRECT)	/* else it was dropped where it lay */
		delta = job->is_out ? (int)(OUTER4_LEN + AEAD_SEAL_SHIFT) : -(int)OUTER4_LEN;
	if (verdict != XDP_REDIRECT)
		job->failed++;
	note_packet(r, job);
	if (bpf_xdp_adjust_head(ctx, delta))
		return XDP_ABORTED;
	if (bpf_xdp_adjust_tail(ctx, (int)job->size - (int)frame_len(ctx)))
		return XDP_ABORTED;
	return XDP_REDIRECT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
