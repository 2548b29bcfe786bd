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

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KEYSTREAM_TEST_DRAWN);
	__type(key, __u32);
	__type(value, __u32);
} drawn SEC(".maps");

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
	int ret;

	if (!pkt)
		return -ENOENT;
	ret = keystream_open(ctx, pkt);
	job->hint = pkt->hint;
	return ret;
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
	struct talon_send_counter *sc;
	const struct talon_config *cfg = config_get();
	__u32 len, slot, at, *before;

	if (!pkt || !cfg)
		return -ENOENT;
	slot = pkt->index & cfg->session_mask;
	sc = bpf_map_lookup_elem(&send_counters, &slot);
	if (!sc || !keystream_draw(pkt, cfg, sc))
		return -ENOENT;
	at = pkt->counter & (KEYSTREAM_TEST_DRAWN - 1);
	before = bpf_map_lookup_elem(&drawn, &at);
	if (!before || __sync_fetch_and_add(before, 1))
		__sync_fetch_and_add(&job->twice, 1);
	__sync_fetch_and_add(&job->drawn, 1);
	if (pkt->counter >= job->head)
		job->head = pkt->counter + 1;
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
