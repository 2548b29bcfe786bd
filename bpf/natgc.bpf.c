// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Garbage collection of the flow table, run by the controller with BPF_PROG_TEST_RUN, by slices.
// Attached nowhere.
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "talon/nat_gc.h"
#include "lib/maps.h"
#include "lib/flow.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct slice {
	const struct talon_config *cfg;
	struct talon_nat_gc gc;
};

static long collect(__u64 i, void *data)
{
	struct slice *s = data;

	switch (flow_collect(s->cfg, s->gc.first + i, s->gc.now_s)) {
	case FLOW_IS_LIVE:
		s->gc.live++;
		break;
	case FLOW_EXPIRED:
		s->gc.expired++;
		s->gc.waiting++;
		break;
	case FLOW_WAITS:
		s->gc.waiting++;
		break;
	case FLOW_FREED:
		s->gc.freed++;
		break;
	}
	return 0;
}

/*
 * A tc program and not a syscall one: those sleep, and on Linux 6.1 may not touch a queue then. Not XDP
 * either: the first test run of an XDP program changes the kernel's dispatcher, which takes
 * milliseconds each time.
 */
SEC("tc")
int nat_gc(struct __sk_buff *skb)
{
	struct slice s = {};
	struct talon_flow_head *head;
	__u32 zero = 0, last;

	if (bpf_skb_load_bytes(skb, 0, &s.gc, sizeof(s.gc)))
		return TC_ACT_SHOT;
	s.cfg = bpf_map_lookup_elem(&config, &zero);
	head = (struct talon_flow_head *)flow_record(0);
	if (!s.cfg || !head || !s.cfg->flow_count)
		return TC_ACT_SHOT;
	last = FLOW_LOAD(head->used);
	if (last >= s.cfg->flow_count)
		last = s.cfg->flow_count - 1;
	if (!s.gc.first)
		s.gc.first = 1;
	if (s.gc.first > last)
		s.gc.count = 0;
	else if (s.gc.count > last - s.gc.first + 1)
		s.gc.count = last - s.gc.first + 1;
	if (s.gc.count > TALON_NAT_GC_MAX)
		s.gc.count = TALON_NAT_GC_MAX;
	s.gc.live = s.gc.expired = s.gc.freed = s.gc.waiting = 0;
	s.gc.used = last;
	s.gc.room = s.cfg->flow_count - 1;
	bpf_loop(s.gc.count, collect, &s, 0);
	s.gc.next = s.gc.first + s.gc.count > last ? 1 : s.gc.first + s.gc.count;
	if (bpf_skb_store_bytes(skb, 0, &s.gc, sizeof(s.gc), 0))
		return TC_ACT_SHOT;
	return TC_ACT_OK;
}
