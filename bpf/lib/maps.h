/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every map in one list. All are pinned by name under <base>/v<TALON_LAYOUT_VERSION>/maps, so that the
 * programs of different objects share them and a new controller adopts them. The sizes here are the smallest
 * that load; the loader sets the real ones.
 */
#ifndef TALON_LIB_MAPS_H
#define TALON_LIB_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "talon/acl_types.h"
#include "talon/config_types.h"
#include "talon/drop.h"
#include "talon/event_types.h"
#include "talon/fact_types.h"
#include "talon/handshake_types.h"
#include "talon/keystream_types.h"
#include "talon/nat_types.h"
#include "talon/next_hop_types.h"
#include "talon/peer_types.h"
#include "talon/relayed_types.h"
#include "talon/session_types.h"
#include "talon/traffic_types.h"
#include "talon/vip_types.h"
#include "talon/watch_types.h"

/*
 * Lookup by a key that lies in memory which 6.1 does not take as a key (the packet's state in a global
 * function): copied to the stack.
 */
#define MAP_LOOKUP(map, key) ({ typeof(*(key)) key_ = *(key); bpf_map_lookup_elem(&map, &key_); })

#define TALON_MAP(map, kind, entries, k, v, flags)	\
	struct {					\
		__uint(type, kind);			\
		__uint(max_entries, entries);		\
		__uint(map_flags, flags);		\
		__uint(pinning, LIBBPF_PIN_BY_NAME);	\
		__type(key, k);				\
		__type(value, v);			\
	} map SEC(".maps")

/*
 * An array of maps that look like this, made as they are needed. All have the same size, so that
 * look-ups are inlined.
 */
#define TALON_SEGMENTS(map, kind, count, entries, v, flags)	\
	struct map##_segment {					\
		__uint(type, kind);				\
		__uint(max_entries, entries);			\
		__uint(map_flags, flags);			\
		__uint(key_size, sizeof(__u32));		\
		__uint(value_size, sizeof(v));			\
	};							\
	struct {						\
		__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);	\
		__uint(max_entries, count);			\
		__uint(pinning, LIBBPF_PIN_BY_NAME);		\
		__type(key, __u32);				\
		__array(values, struct map##_segment);		\
	} map SEC(".maps")

TALON_MAP(config, BPF_MAP_TYPE_ARRAY, 1, __u32, struct talon_config, 0);
TALON_MAP(info, BPF_MAP_TYPE_ARRAY, 1, __u32, struct talon_info, 0);
TALON_MAP(stats, BPF_MAP_TYPE_PERCPU_ARRAY, TALON_STATS_ENTRIES, __u32, __u64, 0);
TALON_MAP(seen, BPF_MAP_TYPE_PERCPU_ARRAY, TALON_PROGRAM_COUNT, __u32, struct talon_seen, 0);
TALON_MAP(traffic, BPF_MAP_TYPE_PERCPU_ARRAY, TALON_TRAFFIC_ENTRIES, __u32, struct talon_traffic, 0);
TALON_MAP(facts, BPF_MAP_TYPE_ARRAY, TALON_FACTS_ENTRIES, __u32, __u64, 0);
TALON_MAP(handshake_stats, BPF_MAP_TYPE_ARRAY, HANDSHAKE_STATS_ENTRIES, __u32, __u64, 0);
TALON_MAP(local_addrs, BPF_MAP_TYPE_HASH, 65536, struct talon_addr, __u8, BPF_F_NO_PREALLOC);
TALON_MAP(links, BPF_MAP_TYPE_HASH, TALON_LINKS_MAX, __u32, struct talon_link, BPF_F_NO_PREALLOC);
TALON_MAP(host4, BPF_MAP_TYPE_LPM_TRIE, TALON_HOST_ROUTES_MAX, struct talon_lpm4, struct talon_host_route,
	BPF_F_NO_PREALLOC);
TALON_MAP(local4, BPF_MAP_TYPE_LPM_TRIE, TALON_LOCAL_MAX, struct talon_lpm4, __u32, BPF_F_NO_PREALLOC);
TALON_MAP(host6, BPF_MAP_TYPE_LPM_TRIE, TALON_HOST_ROUTES_MAX, struct talon_lpm6, struct talon_host_route6,
	BPF_F_NO_PREALLOC);
TALON_MAP(local6, BPF_MAP_TYPE_LPM_TRIE, TALON_LOCAL_MAX, struct talon_lpm6, __u32, BPF_F_NO_PREALLOC);
TALON_MAP(vips, BPF_MAP_TYPE_HASH, TALON_VIPS_MAX, struct talon_addr, struct talon_vip, BPF_F_NO_PREALLOC);
TALON_MAP(vip_source, BPF_MAP_TYPE_ARRAY, 1, __u32, struct talon_vip_source, 0);
TALON_MAP(next_hops, BPF_MAP_TYPE_LRU_HASH, 4096, struct talon_next_hop, __u64, 0);

TALON_MAP(sessions, BPF_MAP_TYPE_ARRAY, 64, __u32, struct talon_session, 0);
TALON_MAP(replay, BPF_MAP_TYPE_ARRAY, 64, __u32, struct talon_replay, 0);
TALON_MAP(send_counters, BPF_MAP_TYPE_ARRAY, 64, __u32, struct talon_send_counter, 0);

TALON_SEGMENTS(keystream, BPF_MAP_TYPE_ARRAY, 1, TALON_KEYSTREAM_SEGMENT, struct talon_keystream_slot,
	BPF_F_MMAPABLE);
TALON_MAP(keystream_rings, BPF_MAP_TYPE_ARRAY, 128, __u32, struct talon_keystream_ring, BPF_F_MMAPABLE);
TALON_MAP(keystream_state, BPF_MAP_TYPE_ARRAY, 1, __u32, struct talon_keystream_state, BPF_F_MMAPABLE);

TALON_MAP(peer_info, BPF_MAP_TYPE_ARRAY, 16, __u32, struct talon_peer_info, 0);
TALON_MAP(peer_tx, BPF_MAP_TYPE_ARRAY, 16, __u32, struct talon_peer_tx, 0);
TALON_MAP(endpoints, BPF_MAP_TYPE_ARRAY, 16, __u32, struct talon_endpoint, 0);
TALON_MAP(peer_stats, BPF_MAP_TYPE_PERCPU_ARRAY, 16, __u32, struct talon_peer_stats, 0);
TALON_MAP(allowed4, BPF_MAP_TYPE_LPM_TRIE, 65536, struct talon_lpm4, __u32, BPF_F_NO_PREALLOC);
TALON_MAP(routes4, BPF_MAP_TYPE_LPM_TRIE, 65536, struct talon_lpm4, struct talon_route, BPF_F_NO_PREALLOC);
TALON_MAP(allowed6, BPF_MAP_TYPE_LPM_TRIE, 65536, struct talon_lpm6, __u32, BPF_F_NO_PREALLOC);
TALON_MAP(routes6, BPF_MAP_TYPE_LPM_TRIE, 65536, struct talon_lpm6, struct talon_route, BPF_F_NO_PREALLOC);

TALON_MAP(flows, BPF_MAP_TYPE_ARRAY, 1024, __u32, struct talon_flow, BPF_F_MMAPABLE);
TALON_MAP(flows6, BPF_MAP_TYPE_HASH, 1024, __u32, struct talon_flow6, BPF_F_NO_PREALLOC);
TALON_MAP(flow_fwd, BPF_MAP_TYPE_ARRAY, 256, __u32, struct talon_bucket, BPF_F_MMAPABLE);
TALON_MAP(flow_rev, BPF_MAP_TYPE_ARRAY, 256, __u32, struct talon_bucket, BPF_F_MMAPABLE);
TALON_MAP(flow_recent, BPF_MAP_TYPE_PERCPU_ARRAY, 1, __u32, struct talon_recent, 0);
TALON_MAP(nat_ports, BPF_MAP_TYPE_ARRAY, 3 * 65536, __u32, struct talon_nat_port, 0);
TALON_MAP(port_block, BPF_MAP_TYPE_ARRAY, 2 * 65536 / 64, __u32, __u64, 0);
TALON_MAP(nat_stats, BPF_MAP_TYPE_ARRAY, 1, __u32, struct talon_nat_stats, 0);
TALON_MAP(nat_peers, BPF_MAP_TYPE_ARRAY, 16, __u32, struct talon_nat_peer, 0);
TALON_MAP(acl_src4, BPF_MAP_TYPE_LPM_TRIE, TALON_ACL_BANKS * TALON_ACL_PREFIXES, struct talon_acl_lpm, __u32,
	BPF_F_NO_PREALLOC);
TALON_MAP(acl_dst4, BPF_MAP_TYPE_LPM_TRIE, TALON_ACL_BANKS * TALON_ACL_PREFIXES, struct talon_acl_lpm, __u32,
	BPF_F_NO_PREALLOC);
TALON_MAP(acl_src6, BPF_MAP_TYPE_LPM_TRIE, TALON_ACL_BANKS * TALON_ACL_PREFIXES, struct talon_acl_lpm6, __u32,
	BPF_F_NO_PREALLOC);
TALON_MAP(acl_dst6, BPF_MAP_TYPE_LPM_TRIE, TALON_ACL_BANKS * TALON_ACL_PREFIXES, struct talon_acl_lpm6, __u32,
	BPF_F_NO_PREALLOC);
TALON_MAP(acl_ports, BPF_MAP_TYPE_ARRAY, TALON_ACL_BANKS * TALON_ACL_CHUNKS, __u32,
	struct talon_acl_chunk, 0);
TALON_MAP(acl_bits, BPF_MAP_TYPE_ARRAY, TALON_ACL_BANKS * TALON_ACL_CLASSES, __u32, struct talon_acl_bits, 0);
TALON_MAP(acl_rules, BPF_MAP_TYPE_HASH, TALON_ACL_BANKS * TALON_ACL_RULES, __u32, struct talon_acl_rule,
	BPF_F_NO_PREALLOC);
TALON_MAP(acl_ct, BPF_MAP_TYPE_LRU_HASH, 1024, struct talon_flow_key, struct talon_acl_ct, 0);
TALON_MAP(acl_ct6, BPF_MAP_TYPE_LRU_HASH, 8192, struct talon_acl_ct6_key, struct talon_acl_ct, 0);

TALON_MAP(frags, BPF_MAP_TYPE_LRU_HASH, 4096, struct talon_frag_key, struct talon_frag, 0);
TALON_MAP(frags_early, BPF_MAP_TYPE_LRU_HASH, 4096, struct talon_frag_key, struct talon_frag, 0);
TALON_MAP(frags6, BPF_MAP_TYPE_LRU_HASH, 1024, struct talon_frag6_key, struct talon_frag6, 0);
TALON_MAP(frags6_early, BPF_MAP_TYPE_LRU_HASH, 1024, struct talon_frag6_key, struct talon_frag6, 0);
TALON_MAP(rates, BPF_MAP_TYPE_ARRAY, TALON_RATE_ENTRIES, __u32, struct talon_rate, 0);

TALON_MAP(quiet, BPF_MAP_TYPE_HASH, TALON_QUIET_MAX, struct talon_quiet, __u64, BPF_F_NO_PREALLOC);
TALON_MAP(relayed, BPF_MAP_TYPE_HASH, TALON_RELAYED_MAX, __u32, struct talon_relayed, BPF_F_NO_PREALLOC);

TALON_MAP(watches, BPF_MAP_TYPE_ARRAY, TALON_WATCHES, __u32, struct talon_watch, 0);
TALON_MAP(watch_counts, BPF_MAP_TYPE_PERCPU_ARRAY, TALON_WATCH_COUNT_COUNT, __u32, __u64, 0);
/* 0 entries: libbpf makes one for each CPU */
TALON_MAP(watch_drops, BPF_MAP_TYPE_PERF_EVENT_ARRAY, 0, __u32, __u32, 0);
TALON_MAP(watch_packets, BPF_MAP_TYPE_PERF_EVENT_ARRAY, 0, __u32, __u32, 0);

struct {
	/* ids of flow records given back, oldest first; empty at the start */
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 1024);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__uint(key_size, 0);
	__uint(value_size, sizeof(__u32));
} flow_free SEC(".maps");

struct {
	/* flows whose buckets were all full; key.pad[0] tells fwd (0) from rev (1) */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct talon_flow_key);
	__type(value, __u32);
} flow_over SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);	/* mapped twice over by its reader: twice this counts as its memory */
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 19);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} event_packets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 17);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} event_strays SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} keystream_wake SEC(".maps");

#endif
