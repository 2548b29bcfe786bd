// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The AEAD under BPF_PROG_TEST_RUN with repeat: each run first puts the packet back; "restore" does that alone.
#include "lib/chacha20poly1305.h"
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

char LICENSE[] SEC("license") = "Dual BSD/GPL";
