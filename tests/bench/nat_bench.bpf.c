// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The flow table under load, and kernel hash maps under the same load.
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lib/flow.h"
#include "flow_create4.h"
#include "nat_bench.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct hash_value {
	__be32	addr;
	__be16	port;
	__u16	state;
	__u32	peer;
	__u32	seen_s;
	__u64	next_hop;
};
TALON_ASSERT_SIZE(struct hash_value, 24);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1000000);
	__type(key, struct talon_flow_key);
	__type(value, struct hash_value);
} hash_fwd SEC(".maps"), hash_rev SEC(".maps");

/* Clients with 64 connections each, to 256 remotes; the last ones of a million share their ports. */
static __always_inline void key_numbered(__u32 i, struct talon_flow_key *ret_key)
{
	*ret_key = (struct talon_flow_key) {
		.src = bpf_htonl(0x64400000 + (i >> 6)),
		.dst = bpf_htonl(0xc0a80100 + ((i * 2654435761U) >> 24)),
		.sport = bpf_htons(32768 + (i & 63) * 7),
		.dport = bpf_htons(443),
		.proto = IPPROTO_TCP,
	};
}

static __always_inline __u32 next_random(struct nat_bench_job *job)
{
	__u64 x = job->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	job->random = x;
	return ((x >> 32) * job->flows) >> 32;
}

static long keys(__u64 i, void *data)
{
	struct nat_bench_job *job = data;
	struct talon_flow_key key;

	key_numbered(job->first + i, &key);
	job->sum += key.src + key.dst + key.sport + key.proto;
	return 0;
}

static long keys_random(__u64 i, void *data)
{
	struct nat_bench_job *job = data;
	struct talon_flow_key key;

	key_numbered(next_random(job), &key);
	job->sum += key.src + key.dst + key.sport + key.proto;
	return 0;
}

static long insert(__u64 i, void *data)
{
	struct nat_bench_job *job = data;
	struct talon_flow_key key;
	const struct talon_config *cfg;
	__u32 zero = 0, id = 0;

	cfg = bpf_map_lookup_elem(&config, &zero);
	if (!cfg)
		return 1;
	key_numbered(job->first + i, &key);
	if (flow_create4(cfg, &key, (job->first + i) & 15, cfg->snat_addr, 1000, &id))
		job->misses++;
	job->sum += id;
	return 0;
}

static long find(__u64 i, void *data)
{
	struct nat_bench_job *job = data;
	struct talon_flow_key key;
	const struct talon_config *cfg;
	struct talon_flow *flow;
	__u32 zero = 0, id = 0;

	cfg = bpf_map_lookup_elem(&config, &zero);
	if (!cfg)
		return 1;
	key_numbered(next_random(job), &key);
	flow = flow_find_fwd(cfg, &key, &id);
	if (!flow)
		job->misses++;
	else
		job->sum += flow->snat_port;
	return 0;
}

static long hash_insert(__u64 i, void *data)
{
	struct nat_bench_job *job = data;
	struct talon_flow_key key, rev;
	struct hash_value value = { .peer = 1, .seen_s = 1000 };

	key_numbered(job->first + i, &key);
	rev = key;
	rev.src = key.dst;
	rev.dst = key.src;
	value.addr = key.src;
	value.port = key.sport;
	if (bpf_map_update_elem(&hash_rev, &rev, &value, BPF_NOEXIST) ||
	    bpf_map_update_elem(&hash_fwd, &key, &value, BPF_NOEXIST))
		job->misses++;
	return 0;
}

static long hash_find(__u64 i, void *data)
{
	struct nat_bench_job *job = data;
	struct talon_flow_key key;
	struct hash_value *value;

	key_numbered(next_random(job), &key);
	value = bpf_map_lookup_elem(&hash_fwd, &key);
	if (!value)
		job->misses++;
	else
		job->sum += value->port;
	return 0;
}

SEC("tc")
int nat_bench_run(struct __sk_buff *skb)
{
	struct nat_bench_job job;

	if (bpf_skb_load_bytes(skb, 0, &job, sizeof(job)))
		return TC_ACT_SHOT;
	switch (job.op) {
	case NAT_BENCH_KEYS:
		bpf_loop(job.count, keys, &job, 0);
		break;
	case NAT_BENCH_KEYS_RANDOM:
		bpf_loop(job.count, keys_random, &job, 0);
		break;
	case NAT_BENCH_INSERT:
		bpf_loop(job.count, insert, &job, 0);
		break;
	case NAT_BENCH_FIND:
		bpf_loop(job.count, find, &job, 0);
		break;
	case NAT_BENCH_HASH_INSERT:
		bpf_loop(job.count, hash_insert, &job, 0);
		break;
	case NAT_BENCH_HASH_FIND:
		bpf_loop(job.count, hash_find, &job, 0);
		break;
	default:
		return TC_ACT_SHOT;
	}
	return bpf_skb_store_bytes(skb, 0, &job, sizeof(job), 0) ? TC_ACT_SHOT : TC_ACT_OK;
}
