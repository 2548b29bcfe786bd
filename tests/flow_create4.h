/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * flow_create() of an IPv4 flow, with its arguments one by one. After lib/flow.h, for BPF and for the host.
 */
#ifndef TALON_TESTS_FLOW_CREATE4_H
#define TALON_TESTS_FLOW_CREATE4_H

#ifdef __bpf__

/* Too large for the stack, on which a whole test has been built already. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct flow_party);
} parties SEC(".maps");

static __always_inline struct flow_party *party_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&parties, &zero);
}

#else

static inline struct flow_party *party_get(void)
{
	static _Thread_local struct flow_party party;

	return &party;
}

#endif

static __always_inline int flow_create4(const struct talon_config *cfg, const struct talon_flow_key *key,
	__u32 peer, __be32 snat, __u32 now_s, __u32 *ret_id)
{
	struct flow_party *party = party_get();

	if (!party)
		return -EINVAL;
	party->peer = peer;
	party->snat = snat;
	party->now_s = now_s;
	return flow_create(cfg, key, party, ret_id);
}

#endif
