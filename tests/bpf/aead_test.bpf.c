// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The AEAD on a whole packet: one program per direction; the verdict is what the function returned.
#include "lib/chacha20poly1305.h"
#include "aead_test.h"

#ifdef TALON_TC
#define HOOK SEC("tc")
#else
#define HOOK SEC("xdp")
#endif

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
	__type(value, struct aead_test_job);
} jobs SEC(".maps");

HOOK
int open(ctx_md *ctx)
{
	__u32 zero = 0;
	struct aead *a = bpf_map_lookup_elem(&scratch, &zero);
	struct aead_test_job *job = bpf_map_lookup_elem(&jobs, &zero);

	if (!a || !job)
		return -ENOENT;
	aead_set_key(a, job->key, job->counter);
	return aead_open(ctx, a, job->off, job->len);
}

HOOK
int seal(ctx_md *ctx)
{
	__u32 zero = 0;
	struct aead *a = bpf_map_lookup_elem(&scratch, &zero);
	struct aead_test_job *job = bpf_map_lookup_elem(&jobs, &zero);

	if (!a || !job)
		return -ENOENT;
	aead_set_key(a, job->key, job->counter);
	return aead_seal(ctx, a, job->off, job->len);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
