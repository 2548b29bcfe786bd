/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Primitives of the flow table: atomics and memory access. Under -target bpf the memory is maps; host
 * code defines the same accessors over plain arrays before including this (tests/flow_host.h).
 */
#ifndef TALON_LIB_FLOW_MEM_H
#define TALON_LIB_FLOW_MEM_H

#include "talon/config_types.h"
#include "talon/nat_types.h"

enum flow_index {
	FLOW_FWD,	/* by the client's packets */
	FLOW_REV,	/* by the remote's packets */
};

struct flow_place {
	__u32	bucket[2];
	__u32	tag;		/* never 0, so that an empty entry does not match */
};

/* Whose flow it is to be, when, and what the remote is to see: what flow_create() needs besides the key. */
struct flow_party {
	__u32	peer;
	__be32	snat;			/* of IPv6: its fold */
	__u32	now_s;			/* CLOCK_BOOTTIME, seconds */
	__u32	pad;
	struct talon_flow6 six;		/* of an IPv6 flow: the addresses that the folds stand for */
};

typedef __u32 __attribute__((may_alias)) flow_u32;
typedef __u64 __attribute__((may_alias)) flow_u64;

/*
 * Compare-and-swap and additions are fully ordered on every architecture. In BPF an addition is so only
 * if its result is used (BPF_FETCH); the empty asm uses it.
 */
#ifndef FLOW_CAS
#define FLOW_CAS(p, old, new) __sync_val_compare_and_swap(p, old, new)
#endif
#define FLOW_ADD(p, n)								\
	({									\
		typeof(*(p)) flow_old_ = __sync_fetch_and_add(p, n);		\
										\
		asm volatile("" : : "r"((__u64)flow_old_));			\
		flow_old_;							\
	})

#ifdef __bpf__

#include <linux/errno.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <bpf/bpf_helpers.h>
#include "lib/maps.h"

/* A function that the verifier checks once, independently of its callers. */
#define FLOW_FUNC __noinline

/*
 * BPF has no load-acquire. A plain load suffices: what is read through a loaded id depends on its
 * address, and fields that can change while a record is published share one word with its phase.
 */
#define FLOW_LOAD(x) (*(volatile typeof(x) *)&(x))
#define FLOW_STORE(x, v) (*(volatile typeof(x) *)&(x) = (v))

static __always_inline struct talon_flow *flow_record(__u32 id)
{
	return bpf_map_lookup_elem(&flows, &id);
}

static __always_inline struct talon_flow6 *flow6_record(__u32 id)
{
	return bpf_map_lookup_elem(&flows6, &id);
}

/* A function of its own: it has to be on the stack, as 6.1 takes nothing else as a value. */
__noinline int flow6_put(__u32 id, const struct flow_party *party)
{
	struct talon_flow6 six;

	if (!party)
		return -EINVAL;
	six = party->six;
	return bpf_map_update_elem(&flows6, &id, &six, BPF_ANY);
}

static __always_inline void flow6_delete(__u32 id)
{
	bpf_map_delete_elem(&flows6, &id);
}

static __always_inline struct talon_bucket *flow_bucket(enum flow_index which, __u32 i)
{
	if (which == FLOW_FWD)
		return bpf_map_lookup_elem(&flow_fwd, &i);
	return bpf_map_lookup_elem(&flow_rev, &i);
}

static __always_inline struct talon_nat_port *nat_port_record(__u32 i)
{
	return bpf_map_lookup_elem(&nat_ports, &i);
}

static __always_inline const __u64 *nat_port_block(__u32 i)
{
	return bpf_map_lookup_elem(&port_block, &i);
}

static __always_inline struct talon_nat_stats *nat_stats_record(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&nat_stats, &zero);
}

static __always_inline struct talon_nat_peer *nat_peer_record(__u32 peer)
{
	return bpf_map_lookup_elem(&nat_peers, &peer);
}

/* 0: none. */
static __always_inline __u32 flow_free_pop(void)
{
	__u32 id = 0;

	return bpf_map_pop_elem(&flow_free, &id) ? 0 : id;
}

static __always_inline int flow_free_push(__u32 id)
{
	return bpf_map_push_elem(&flow_free, &id, 0);
}

/* 0: no such key. */
static __always_inline __u32 flow_over_get(const struct talon_flow_key *key)
{
	const __u32 *id = bpf_map_lookup_elem(&flow_over, key);

	return id ? *id : 0;
}

static __always_inline int flow_over_put(const struct talon_flow_key *key, __u32 id)
{
	return bpf_map_update_elem(&flow_over, key, &id, BPF_NOEXIST);
}

static __always_inline int flow_over_delete(const struct talon_flow_key *key)
{
	return bpf_map_delete_elem(&flow_over, key);
}

#else

#include <errno.h>
#include <netinet/in.h>

#define FLOW_FUNC static __attribute__((noinline, unused))
#ifndef FLOW_LOAD	/* tests hook into each step */
#define FLOW_LOAD(x) __atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#endif
#define FLOW_STORE(x, v) __atomic_store_n(&(x), v, __ATOMIC_RELEASE)
#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

static __attribute__((unused)) long bpf_loop(__u32 count, long (*step)(__u64 i, void *data), void *data,
	__u64 flags)
{
	for (__u32 i = 0; i < count; i++) {
		if (step(i, data))
			return i + 1;
	}
	return count;
}

#endif

#define FLOW_STAT(field, n)							\
	do {									\
		struct talon_nat_stats *flow_stats_ = nat_stats_record();	\
										\
		if (flow_stats_)						\
			FLOW_ADD(&flow_stats_->field, (__u64)(n));		\
	} while (0)

#endif
