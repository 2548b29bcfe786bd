// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The flow table on real maps, one operation per test run; and a race in which no key may ever have two live
// records.
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lib/flow.h"
#include "flow_create4.h"
#include "flow_test.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct flow_test_race);
} races SEC(".maps");

static __always_inline bool lives_under(__u32 id, enum flow_index which, const struct talon_flow_key *key)
{
	return id && flow_find_live(id, which, key);
}

/* Two records live under one key at the same moment. */
static __always_inline bool clash(__u32 old, __u32 id, enum flow_index which,
	const struct talon_flow_key *key)
{
	return old != id && lives_under(old, which, key) && lives_under(id, which, key);
}

__noinline int race_claim(const struct talon_flow_key *fwd, __u32 slot, __u32 remote, __u32 id)
{
	__u32 zero = 0, port, rev_slot;
	struct flow_test_race *race = bpf_map_lookup_elem(&races, &zero);
	struct talon_flow *flow = flow_record(id);
	struct talon_flow_key rev;
	bool bad;

	if (!race || !flow || !fwd || slot >= RACE_CLIENTS * RACE_REMOTES)
		return -1;
	flow_key_of(flow, FLOW_REV, &rev);
	port = bpf_ntohs(rev.dport) - RACE_PORT_FIRST;
	rev_slot = port * RACE_REMOTES + remote;
	if (port >= RACE_PORTS || rev_slot >= RACE_PORTS * RACE_REMOTES) {
		FLOW_ADD(&race->violations, 1);
		return -1;
	}
	bad = clash(__sync_lock_test_and_set(&race->claim_fwd[slot], id), id, FLOW_FWD, fwd);
	bad |= clash(__sync_lock_test_and_set(&race->claim_rev[rev_slot], id), id, FLOW_REV, &rev);
	if (bad)
		FLOW_ADD(&race->violations, 1);
	return 0;
}

static long race_step(__u64 i, void *data)
{
	struct flow_test_job *job = data;
	struct talon_flow_key key = {};
	const struct talon_config *cfg;
	struct flow_test_race *race;
	__u32 zero = 0, client, remote, id = 0;
	struct talon_flow *flow;

	cfg = bpf_map_lookup_elem(&config, &zero);
	race = bpf_map_lookup_elem(&races, &zero);
	if (!cfg || !race)
		return 1;
	job->seed = job->seed * 1664525 + 1013904223;
	client = (job->seed >> 8 & 0xffff) % RACE_CLIENTS;
	remote = job->seed >> 25 & (RACE_REMOTES - 1);
	key.src = bpf_htonl(0x64400000 + client / 2);
	key.dst = bpf_htonl(0xc0a80100 + remote);
	key.sport = bpf_htons(1000 + client % 2);
	key.dport = bpf_htons(443);
	key.proto = IPPROTO_UDP;
	flow = flow_find_fwd(cfg, &key, &id);
	if (flow) {
		FLOW_ADD(&race->found, 1);
		if (flow->client != key.src || flow->client_port != key.sport || flow->remote != key.dst)
			FLOW_ADD(&race->violations, 1);
		/* as if it had expired, while others use or collect it */
		if (job->seed >> 24 & 1)
			flow_collect(cfg, id, job->now_s + TALON_NAT_UDP_S);
		return 0;
	}
	if (flow_create4(cfg, &key, job->seed >> 16 & 1023, cfg->snat_addr, job->now_s, &id)) {
		FLOW_ADD(&race->refused, 1);
		return 0;
	}
	FLOW_ADD(&race->created, 1);
	race_claim(&key, client * RACE_REMOTES + remote, remote, id);
	return 0;
}

static __always_inline void answer(struct flow_test_job *job, struct talon_flow *flow)
{
	if (flow)
		job->flow = *flow;
	else if (!job->ret)
		job->ret = -ENOENT;
}

SEC("tc")
int flow_run(struct __sk_buff *skb)
{
	struct flow_test_job job;
	const struct talon_config *cfg;
	struct talon_flow *flow = NULL;
	__u32 zero = 0;

	cfg = bpf_map_lookup_elem(&config, &zero);
	if (!cfg || bpf_skb_load_bytes(skb, 0, &job, sizeof(job)))
		return TC_ACT_SHOT;
	job.ret = 0;
	job.id = 0;
	switch (job.op) {
	case FLOW_TEST_CREATE:
		job.ret = flow_create4(cfg, &job.key, job.peer, cfg->snat_addr, job.now_s, &job.id);
		if (!job.ret)
			flow = flow_record(job.id);
		break;
	case FLOW_TEST_FIND_REV:
		flow = flow_find_rev(cfg, &job.key, &job.id);
		break;
	case FLOW_TEST_RACE:
		bpf_loop(job.count, race_step, &job, 0);
		return TC_ACT_OK;
	default:
		flow = flow_find_fwd(cfg, &job.key, &job.id);
		if (flow && job.op == FLOW_TEST_TOUCH_OUT)
			flow_touch_out(flow, job.tcp_flags, job.now_s);
		else if (flow && job.op == FLOW_TEST_TOUCH_IN)
			flow_touch_in(flow, job.tcp_flags, job.now_s);
		else if (flow && job.op == FLOW_TEST_CLOSE)
			job.ret = flow_close(cfg, flow, job.id, job.now_s);
	}
	answer(&job, flow);
	return bpf_skb_store_bytes(skb, 0, &job, sizeof(job), 0) ? TC_ACT_SHOT : TC_ACT_OK;
}
