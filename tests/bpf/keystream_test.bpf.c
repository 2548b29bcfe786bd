// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Opening and sealing a whole packet with keystream made ahead, and a loop that checks it against the inline
// way.
#include "lib/keystream.h"
#include "keystream_test.h"

#ifdef TALON_TC
#define HOOK SEC("tc")
#else
#define HOOK SEC("xdp")
#endif

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct keystream_test_job);
} jobs SEC(".maps");

static __always_inline struct talon_pkt *prepare(const struct keystream_test_job *job)
{
	struct talon_pkt *pkt = bpf_map_lookup_elem(&scratch, ONLY);

	if (!pkt)
		return NULL;
	pkt->now_ns = bpf_ktime_get_boot_ns();
	pkt->index = job->index;
	pkt->counter = job->counter;
	pkt->wg_off = KEYSTREAM_TEST_OFF - WG_DATA_HEADER_LEN;
	pkt->cipher_len = job->len;
	pkt->tot_len = job->len;
	pkt->aead.mtu = job->mtu;
	pkt->endpoint.flags = job->relayed ? TALON_ENDPOINT_RELAY : 0;
	return pkt;
}

HOOK
int open(ctx_md *ctx)
{
	struct keystream_test_job *job = bpf_map_lookup_elem(&jobs, ONLY);
	struct talon_pkt *pkt = job ? prepare(job) : NULL;

	return pkt ? keystream_open(ctx, pkt) : -ENOENT;
}

HOOK
int seal(ctx_md *ctx)
{
	struct keystream_test_job *job = bpf_map_lookup_elem(&jobs, ONLY);
	struct talon_pkt *pkt = job ? prepare(job) : NULL;
	int ret = pkt ? keystream_seal(ctx, pkt, KEYSTREAM_TEST_OFF) : -ENOENT;

	if (!ret && pkt && job)
		job->sum = pkt->aead.sum;
	return ret;
}

/* Draws a counter, seals with it, and opens inline what came out. */
HOOK
int stress(ctx_md *ctx)
{
	struct keystream_test_job *job = bpf_map_lookup_elem(&jobs, ONLY);
	struct talon_pkt *pkt = job ? prepare(job) : NULL;
	__u32 len;

	if (!pkt)
		return -ENOENT;
	pkt->counter = __sync_fetch_and_add(&job->drawn, 1);
	if (keystream_seal(ctx, pkt, KEYSTREAM_TEST_OFF))
		return -EIO;
	len = aead_padded_len(job->len, job->mtu);
	aead_set_key(&pkt->aead, job->key, pkt->counter);
	if (aead_open(ctx, &pkt->aead, KEYSTREAM_TEST_OFF, len))
		__sync_fetch_and_add(&job->bad, 1);
	else
		__sync_fetch_and_add(&job->good, 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
