/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The flow table's memory for the host: what bpf/lib/flow_mem.h has maps for, as plain arrays. Includes
 * the table itself.
 */
#ifndef TALON_TESTS_FLOW_HOST_H
#define TALON_TESTS_FLOW_HOST_H

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../bpf/lib/flow_mem.h"

#define FLOW_HOST_OVER_MAX 4096
#define FLOW_HOST_PEERS 2048

struct flow_host {
	struct talon_flow *records;
	struct flow_host6 {
		struct talon_flow6 six;
		bool is_there;
	} *six;					/* by record */
	struct talon_bucket *buckets[2];	/* by enum flow_index */
	struct talon_nat_port *ports;
	__u64 *block;
	struct talon_nat_stats stats;
	struct talon_nat_peer peers[FLOW_HOST_PEERS];
	__u32 record_count;
	__u32 bucket_count;

	/* of what the kernel locks itself: the queue and the hash map */
	pthread_mutex_t lock;
	__u32 *queue;
	__u32 queue_head;
	__u32 queue_len;
	__u8 *is_queued;
	unsigned double_frees;			/* ids given back while they were in the queue */
	struct {
		struct talon_flow_key key;
		__u32 id;
	} over[FLOW_HOST_OVER_MAX];
	__u32 over_count;
	__u32 over_max;
};

static struct flow_host table = { .lock = PTHREAD_MUTEX_INITIALIZER };

static inline struct talon_flow *flow_record(__u32 id)
{
	return id < table.record_count ? &table.records[id] : NULL;
}

static inline struct talon_flow6 *flow6_record(__u32 id)
{
	return id < table.record_count && table.six[id].is_there ? &table.six[id].six : NULL;
}

static inline int flow6_put(__u32 id, const struct flow_party *party)
{
	table.six[id] = (struct flow_host6) { party->six, true };
	return 0;
}

static inline void flow6_delete(__u32 id)
{
	table.six[id].is_there = false;
}

static inline struct talon_bucket *flow_bucket(enum flow_index which, __u32 i)
{
	return i < table.bucket_count ? &table.buckets[which][i] : NULL;
}

static inline struct talon_nat_port *nat_port_record(__u32 i)
{
	return i < 3 << 16 ? &table.ports[i] : NULL;
}

static inline const __u64 *nat_port_block(__u32 i)
{
	return i < (2 << 16) / 64 ? &table.block[i] : NULL;
}

static inline struct talon_nat_stats *nat_stats_record(void)
{
	return &table.stats;
}

static inline struct talon_nat_peer *nat_peer_record(__u32 peer)
{
	return peer < FLOW_HOST_PEERS ? &table.peers[peer] : NULL;
}

static inline __u32 flow_free_pop(void)
{
	__u32 id = 0;

	pthread_mutex_lock(&table.lock);
	if (table.queue_len) {
		id = table.queue[table.queue_head];
		table.queue_head = (table.queue_head + 1) % table.record_count;
		table.queue_len--;
		table.is_queued[id] = 0;
	}
	pthread_mutex_unlock(&table.lock);
	return id;
}

static inline int flow_free_push(__u32 id)
{
	int ret = -E2BIG;

	pthread_mutex_lock(&table.lock);
	table.double_frees += table.is_queued[id];
	if (table.queue_len < table.record_count) {
		table.queue[(table.queue_head + table.queue_len) % table.record_count] = id;
		table.queue_len++;
		table.is_queued[id] = 1;
		ret = 0;
	}
	pthread_mutex_unlock(&table.lock);
	return ret;
}

static inline int over_index(const struct talon_flow_key *key)
{
	for (__u32 i = 0; i < table.over_count; i++) {
		if (!memcmp(&table.over[i].key, key, sizeof(*key)))
			return i;
	}
	return -1;
}

static inline __u32 flow_over_get(const struct talon_flow_key *key)
{
	__u32 id = 0;
	int i;

	pthread_mutex_lock(&table.lock);
	i = over_index(key);
	if (i >= 0)
		id = table.over[i].id;
	pthread_mutex_unlock(&table.lock);
	return id;
}

static inline int flow_over_put(const struct talon_flow_key *key, __u32 id)
{
	int ret = 0;

	pthread_mutex_lock(&table.lock);
	if (over_index(key) >= 0) {
		ret = -EEXIST;
	} else if (table.over_count == table.over_max) {
		ret = -E2BIG;
	} else {
		table.over[table.over_count].key = *key;
		table.over[table.over_count++].id = id;
	}
	pthread_mutex_unlock(&table.lock);
	return ret;
}

static inline int flow_over_delete(const struct talon_flow_key *key)
{
	int ret = -ENOENT;
	int i;

	pthread_mutex_lock(&table.lock);
	i = over_index(key);
	if (i >= 0) {
		table.over[i] = table.over[--table.over_count];
		ret = 0;
	}
	pthread_mutex_unlock(&table.lock);
	return ret;
}

static inline void flow_host_done(void)
{
	free(table.records);
	free(table.six);
	free(table.buckets[0]);
	free(table.buckets[1]);
	free(table.ports);
	free(table.block);
	free(table.queue);
	free(table.is_queued);
	table = (struct flow_host) { .lock = PTHREAD_MUTEX_INITIALIZER };
}

/* An empty table of its own size. Returns 0 or -ENOMEM. */
static inline int flow_host_init(__u32 records, __u32 buckets, __u32 over_max)
{
	flow_host_done();
	table.record_count = records;
	table.bucket_count = buckets;
	table.over_max = over_max < FLOW_HOST_OVER_MAX ? over_max : FLOW_HOST_OVER_MAX;
	table.records = calloc(records, sizeof(*table.records));
	table.six = calloc(records, sizeof(*table.six));
	table.buckets[0] = calloc(buckets, sizeof(*table.buckets[0]));
	table.buckets[1] = calloc(buckets, sizeof(*table.buckets[1]));
	table.ports = calloc(3 << 16, sizeof(*table.ports));
	table.block = calloc((2 << 16) / 64, sizeof(*table.block));
	table.queue = calloc(records, sizeof(*table.queue));
	table.is_queued = calloc(records, 1);
	if (!table.records || !table.six || !table.buckets[0] || !table.buckets[1] || !table.ports ||
		!table.block || !table.queue || !table.is_queued) {
		flow_host_done();
		return -ENOMEM;
	}
	return 0;
}

#include "../bpf/lib/flow.h"
#include "flow_create4.h"

#endif
