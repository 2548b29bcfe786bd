// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The AEAD under BPF_PROG_TEST_RUN with repeat: each run first restores the packet; "restore" does nothing
// else.
#include "lib/aead_ahead.h"
#include "aead_bench.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct aead);
} scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct aead_bench_job);
} jobs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, AEAD_BENCH_SLOTS);
	__type(key, __u32);
	__type(value, struct talon_keystream_slot);
} slots SEC(".maps");

/* A slot is taken by one compare-and-swap and given back by another, as in the datapath. */
static __always_inline struct talon_keystream_slot *take_slot(struct aead_bench_job *job)
{
	__u32 at = job->next_slot;
	struct talon_keystream_slot *slot = bpf_map_lookup_elem(&slots, &at);

	job->next_slot = (at + 1) % AEAD_BENCH_SLOTS;
	if (!slot || __sync_val_compare_and_swap(&slot->token, TALON_SLOT_EMPTY,
		TALON_SLOT_BUSY) != TALON_SLOT_EMPTY)
		return NULL;
	return slot;
}

static __always_inline struct aead_bench_job *restore_packet(ctx_md *ctx)
{
	__u32 zero = 0;
	struct aead_bench_job *job = bpf_map_lookup_elem(&jobs, &zero);
	__u32 size;

	if (!job)
		return NULL;
	size = job->size;
	if (size < 1 || size > sizeof(job->packet) || ctx_store_bytes(ctx, 0, job->packet, size))
		return NULL;
	return job;
}

SEC("xdp")
int restore(ctx_md *ctx)
{
	__u32 zero = 0;
	struct aead *a = bpf_map_lookup_elem(&scratch, &zero);
	struct aead_bench_job *job = restore_packet(ctx);

	if (!a || !job)
		return -ENOENT;
	return 0;
}

SEC("xdp")
int open(ctx_md *ctx)
{
	__u32 zero = 0;
	struct aead *a = bpf_map_lookup_elem(&scratch, &zero);
	struct aead_bench_job *job = restore_packet(ctx);

	if (!a || !job)
		return -ENOENT;
	aead_set_key(a, job->key, job->counter);
	return aead_open(ctx, a, job->off, job->len);
}

SEC("xdp")
int seal(ctx_md *ctx)
{
	__u32 zero = 0;
	struct aead *a = bpf_map_lookup_elem(&scratch, &zero);
	struct aead_bench_job *job = restore_packet(ctx);

	if (!a || !job)
		return -ENOENT;
	aead_set_key(a, job->key, job->counter);
	return aead_seal(ctx, a, job->off, job->len);
}

SEC("xdp")
int open_ahead(ctx_md *ctx)
{
	__u32 zero = 0;
	struct aead *a = bpf_map_lookup_elem(&scratch, &zero);
	struct aead_bench_job *job = restore_packet(ctx);
	struct talon_keystream_slot *slot = job ? take_slot(job) : NULL;
	int ret;

	if (!a || !slot)
		return -ENOENT;
	ret = aead_open_ahead_head(ctx, a, slot, job->off, job->len);
	if (!ret)
		ret = aead_open_ahead(ctx, a, slot, job->off, job->len);
	__sync_lock_test_and_set(&slot->token, TALON_SLOT_EMPTY);
	return ret;
}

SEC("xdp")
int seal_ahead(ctx_md *ctx)
{
	__u32 zero = 0;
	struct aead *a = bpf_map_lookup_elem(&scratch, &zero);
	struct aead_bench_job *job = restore_packet(ctx);
	struct talon_keystream_slot *slot = job ? take_slot(job) : NULL;
	int ret;

	if (!a || !slot)
		return -ENOENT;
	ret = aead_seal_ahead(ctx, a, slot, job->off, job->len);
	__sync_lock_test_and_set(&slot->token, TALON_SLOT_EMPTY);
	return ret;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
