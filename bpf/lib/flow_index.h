/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The two indexes of the flow table: from a packet's key to a record, without a lock.
 *
 * An index is an array of buckets, a cache line each, of 15 entries (12-bit tag, 20-bit record id). A key
 * has two candidate buckets, and when both are full a place in the hash map "flow_over", which is asked only
 * while nat_stats.overflow says that something is in there.
 *
 * Who may do what:
 *  - An entry goes from 0 to (tag, id) by compare-and-swap, and back to 0 by compare-and-swap. It never
 *  moves. - A record's addresses, client_port and remote_port are written before its first entry is
 *  published, and stay
 *    until it is recycled. snat_port, proto and phase are one 32-bit word, written as a whole: a reader that
 *    finds the phase LIVE in it has the final port too, and needs no order between two loads.
 *  - A record that any index ever pointed to is recycled only TALON_FLOW_GRACE_S after it left both, so an id
 *    that a reader took from an entry names the same flow for as long as the reader runs.
 *
 * Why no two live records share a key: whoever inserts first publishes its entry (1), then looks through
 * every place where the key may be (2) and becomes LIVE only if it saw no other TENTATIVE or LIVE record with
 * that key. Take two inserters A and B. (1) is a fully ordered atomic operation and entries do not move, so
 * in the one order of all of them, say A's (1) came before B's (1). Then B's (2), which comes after B's (1),
 * sees A's entry, unless A withdrew it, and then A is not LIVE. Hence at most one of them gets through; when
 * each sees the other, neither does, and both try again. For flow_over the counter is raised, fully ordered,
 * before the entry is put in: whoever reads 0 in its (2) had its (1) before that, and will be seen. flow_over
 * holds one id a key, so a second one is refused outright. An entry under an older record's key that is DEAD
 * but not unlinked yet is nobody: its flow is over. GC alone unlinks it, by exact value.
 */
#ifndef TALON_LIB_FLOW_INDEX_H
#define TALON_LIB_FLOW_INDEX_H

#include "flow_mem.h"

/* snat_port, proto and phase as one word, little-endian. */
#define FLOW_STATE(snat_port, proto, phase) ((__u32)(snat_port) | (__u32)(proto) << 16 | (__u32)(phase) << 24)
#define FLOW_STATE_PORT(state) ((__be16)((state) & 0xffff))
#define FLOW_STATE_PROTO(state) ((__u8)((state) >> 16))
#define FLOW_STATE_PHASE(state) ((__u8)((state) >> 24))
#define FLOW_AT(field) __builtin_offsetof(struct talon_flow, field)
_Static_assert(FLOW_AT(snat_port) % 4 == 0 && FLOW_AT(proto) == FLOW_AT(snat_port) + 2 &&
	FLOW_AT(phase) == FLOW_AT(snat_port) + 3, "state is one aligned word");

/*
 * With this many entries in the first bucket, an emptier second one is preferred: most lookups need one
 * bucket, and overflows are rare.
 */
#define FLOW_BUCKET_CROWDED	12
#define FLOW_ENTER_TRIES	3

static __always_inline flow_u32 *flow_state(struct talon_flow *flow)
{
	return (flow_u32 *)((char *)flow + FLOW_AT(snat_port));
}

/* Of a key or record: is it ICMP's or ICMPv6's? */
static __always_inline bool flow_is_icmp(__u8 proto)
{
	return proto == IPPROTO_ICMP || proto == (IPPROTO_ICMPV6 | TALON_PROTO_SIX);
}

/*
 * The ports that distinguish flows. An ICMP query has one id, which differs between the two sides: use
 * only the one of this index.
 */
static __always_inline __u32 flow_ports(enum flow_index which, const struct talon_flow_key *key)
{
	__u32 ports = key->sport | (__u32)key->dport << 16;

	if (flow_is_icmp(key->proto))
		ports &= which == FLOW_FWD ? 0x0000ffff : 0xffff0000;
	return ports;
}

/*
 * Keyed, so that clients cannot target a bucket. The sum is multilinear: for any two chosen keys, the
 * upper 32 bits collide with probability 2^-32 (Lemire and Kaser, "Strongly universal string hashing is
 * fast", 2014), and its multiplications are independent of each other. The permutation that follows
 * spreads them over all bits of the result.
 */
static __always_inline __u64 flow_hash(const __u64 key[5], __u32 src, __u32 dst, __u32 ports, __u32 proto)
{
	__u64 h = key[0] + key[1] * src + key[2] * dst + key[3] * ports + key[4] * proto;

	h ^= h >> 32;
	h *= 0xff51afd7ed558ccdULL;
	h ^= h >> 32;
	h *= 0xc4ceb9fe1a85ec53ULL;
	return h ^ h >> 29;
}

static __always_inline struct flow_place flow_place(const struct talon_config *cfg, enum flow_index which,
	const struct talon_flow_key *key)
{
	__u64 h = flow_hash(cfg->keys.flow, key->src, key->dst, flow_ports(which, key), key->proto);
	struct flow_place place = {
		.bucket = { h & cfg->bucket_mask, h >> 20 & cfg->bucket_mask },
		.tag = h >> 52,
	};

	if (place.bucket[0] == place.bucket[1])
		place.bucket[1] = (place.bucket[0] ^ 1) & cfg->bucket_mask;
	if (!place.tag)
		place.tag = 1;
	return place;
}

/* Is @flow, whose state was read as @state, the one that @key names? The caller checks its phase. */
static __always_inline bool flow_has_key(const struct talon_flow *flow, __u32 state, enum flow_index which,
	const struct talon_flow_key *key)
{
	__u32 ports = flow_ports(which, key);

	if (FLOW_STATE_PROTO(state) != key->proto)
		return false;
	if (which == FLOW_FWD)
		return flow->client == key->src && flow->remote == key->dst &&
			(flow->client_port | (__u32)flow->remote_port << 16) == ports;
	return flow->remote == key->src && flow->snat == key->dst &&
		(flow->remote_port | (__u32)FLOW_STATE_PORT(state) << 16) == ports;
}

/* The key under which @flow is in an index. */
static __always_inline void flow_key_of(struct talon_flow *flow, enum flow_index which,
	struct talon_flow_key *ret_key)
{
	__u32 state = FLOW_LOAD(*flow_state(flow));
	bool is_fwd = which == FLOW_FWD;

	*ret_key = (struct talon_flow_key) {
		.src = is_fwd ? flow->client : flow->remote,
		.dst = is_fwd ? flow->remote : flow->snat,
		.sport = is_fwd ? flow->client_port : flow->remote_port,
		.dport = is_fwd ? flow->remote_port : FLOW_STATE_PORT(state),
		.proto = FLOW_STATE_PROTO(state),
	};
}

static __always_inline bool flow_over_used(void)
{
	struct talon_nat_stats *stats = nat_stats_record();

	return stats && FLOW_LOAD(stats->overflow);
}

static __always_inline struct talon_flow_key flow_over_key(enum flow_index which,
	const struct talon_flow_key *key)
{
	__u32 ports = flow_ports(which, key);

	return (struct talon_flow_key) {
		.src = key->src,
		.dst = key->dst,
		.sport = ports & 0xffff,
		.dport = ports >> 16,
		.proto = key->proto,
		.pad = { which },
	};
}

/* Returns the id in flow_over, 0 if there is none. */
FLOW_FUNC int flow_over_find(__u32 which, const struct talon_flow_key *key)
{
	struct talon_flow_key over;

	if (!key)
		return 0;
	over = flow_over_key(which, key);
	return flow_over_get(&over);
}

static __always_inline struct talon_flow *flow_find_live(__u32 id, enum flow_index which,
	const struct talon_flow_key *key)
{
	struct talon_flow *flow = flow_record(id);
	__u32 state;

	if (!flow)
		return NULL;
	state = FLOW_LOAD(*flow_state(flow));
	return FLOW_STATE_PHASE(state) == TALON_FLOW_LIVE && flow_has_key(flow, state, which, key)
		? flow : NULL;
}

/*
 * Returns the id of the live record under @key, 0 if there is none. Not inlined: in each place that looks
 * for a flow it would be a thousand instructions.
 */
FLOW_FUNC int flow_search(const struct talon_config *cfg, __u32 which, const struct talon_flow_key *key)
{
	struct flow_place place;
	__u32 id;

	if (!cfg || !key)
		return 0;
	place = flow_place(cfg, which, key);
	/* 6.1 takes no loop that begins behind a call */
#pragma GCC unroll 2
	for (int i = 0; i < 2; i++) {
		struct talon_bucket *bucket = flow_bucket(which, place.bucket[i]);

		if (!bucket)
			return 0;
		for (int j = 0; j < TALON_BUCKET_ENTRIES; j++) {
			__u32 entry = FLOW_LOAD(bucket->entry[j]);

			id = entry & TALON_FLOW_ID_MASK;
			if (entry >> TALON_FLOW_ID_BITS == place.tag && flow_find_live(id, which, key))
				return id;
		}
	}
	if (!flow_over_used())
		return 0;
	id = flow_over_find(which, key);
	return flow_find_live(id, which, key) ? id : 0;
}

static __always_inline struct talon_flow *flow_find(const struct talon_config *cfg, enum flow_index which,
	const struct talon_flow_key *key, __u32 *ret_id)
{
	__u32 id = flow_search(cfg, which, key);

	if (!id)
		return NULL;
	*ret_id = id;
	return flow_record(id);
}

/* The first record that may be at @place, by its tag in the first bucket. 0: none, or it is elsewhere. */
static __always_inline __u32 flow_guess(enum flow_index which, const struct flow_place *place)
{
	struct talon_bucket *bucket = flow_bucket(which, place->bucket[0]);

	if (!bucket)
		return 0;
#pragma GCC unroll 15
	for (int j = 0; j < TALON_BUCKET_ENTRIES; j++) {
		__u32 entry = FLOW_LOAD(bucket->entry[j]);

		if (entry >> TALON_FLOW_ID_BITS == place->tag)
			return entry & TALON_FLOW_ID_MASK;
	}
	return 0;
}

/* Is there a record other than @self that has or wants @key? */
static __always_inline bool flow_competes(__u32 id, __u32 self, enum flow_index which,
	const struct talon_flow_key *key)
{
	struct talon_flow *flow;
	__u32 state;

	if (!id || id == self)
		return false;
	flow = flow_record(id);
	if (!flow)
		return false;
	state = FLOW_LOAD(*flow_state(flow));
	return (FLOW_STATE_PHASE(state) == TALON_FLOW_TENTATIVE ||
		FLOW_STATE_PHASE(state) == TALON_FLOW_LIVE) && flow_has_key(flow, state, which, key);
}

/* Returns the id of a TENTATIVE or LIVE record other than @self under @key, 0 if there is none. */
FLOW_FUNC int flow_rival(const struct talon_config *cfg, __u32 which, const struct talon_flow_key *key,
	__u32 self)
{
	struct flow_place place;
	__u32 id;

	if (!cfg || !key)
		return 0;
	place = flow_place(cfg, which, key);
	/* 6.1 takes no loop that begins behind a call */
#pragma GCC unroll 2
	for (int i = 0; i < 2; i++) {
		struct talon_bucket *bucket = flow_bucket(which, place.bucket[i]);

		if (!bucket)
			return 0;
		for (int j = 0; j < TALON_BUCKET_ENTRIES; j++) {
			__u32 entry = FLOW_LOAD(bucket->entry[j]);

			id = entry & TALON_FLOW_ID_MASK;
			if (entry >> TALON_FLOW_ID_BITS == place.tag && flow_competes(id, self, which, key))
				return id;
		}
	}
	if (!flow_over_used())
		return 0;
	id = flow_over_find(which, key);
	return flow_competes(id, self, which, key) ? id : 0;
}

static __always_inline int flow_bucket_count(struct talon_bucket *bucket)
{
	int count = 0;

	for (int j = 0; j < TALON_BUCKET_ENTRIES; j++) {
		__u64 entry = FLOW_LOAD(bucket->entry[j]);

		/* Without branches, whose combinations the verifier would all walk. */
		asm volatile("" : "+r"(entry));
		count += (entry + 0xffffffff) >> 32;	/* 1 unless empty */
	}
	return count;
}

/* Replaces one entry of @bucket that is @from by @to. */
static __always_inline bool flow_bucket_swap(struct talon_bucket *bucket, __u32 from, __u32 to)
{
	for (int j = 0; j < TALON_BUCKET_ENTRIES; j++) {
		if (FLOW_LOAD(bucket->entry[j]) == from && FLOW_CAS(&bucket->entry[j], from, to) == from)
			return true;
	}
	return false;
}

/*
 * Points @key at record @id. Returns 0, -EAGAIN if flow_over holds the key already, -ENOSPC if
 * flow_over is full.
 */
FLOW_FUNC int flow_publish(const struct talon_config *cfg, __u32 which, const struct talon_flow_key *key,
	__u32 id)
{
	struct talon_bucket *first, *second;
	struct talon_flow_key over;
	struct flow_place place;
	int used, err;
	__u32 entry;

	if (!cfg || !key)
		return -EINVAL;
	place = flow_place(cfg, which, key);
	entry = place.tag << TALON_FLOW_ID_BITS | id;
	first = flow_bucket(which, place.bucket[0]);
	second = flow_bucket(which, place.bucket[1]);
	if (!first || !second)
		return -EINVAL;
	used = flow_bucket_count(first);
	if (used >= FLOW_BUCKET_CROWDED && flow_bucket_count(second) < used &&
		flow_bucket_swap(second, 0, entry))
		return 0;
	if (flow_bucket_swap(first, 0, entry) || flow_bucket_swap(second, 0, entry))
		return 0;

	FLOW_STAT(overflow, 1);
	over = flow_over_key(which, key);
	err = flow_over_put(&over, id);
	if (!err)
		return 0;
	FLOW_STAT(overflow, -1);
	return err == -EEXIST ? -EAGAIN : -ENOSPC;
}

/* Undoes flow_publish(). For the record's creator before it is LIVE, for GC after it is DEAD. */
FLOW_FUNC int flow_retract(const struct talon_config *cfg, __u32 which, const struct talon_flow_key *key,
	__u32 id)
{
	struct talon_bucket *bucket;
	struct talon_flow_key over;
	struct flow_place place;
	__u32 entry;

	if (!cfg || !key)
		return -EINVAL;
	place = flow_place(cfg, which, key);
	entry = place.tag << TALON_FLOW_ID_BITS | id;
#pragma GCC unroll 2
	for (int i = 0; i < 2; i++) {
		bucket = flow_bucket(which, place.bucket[i]);
		if (bucket && flow_bucket_swap(bucket, entry, 0))
			return 0;
	}
	over = flow_over_key(which, key);
	if (flow_over_get(&over) != id)		/* no other record can enter the key while it is ours */
		return -ENOENT;
	if (flow_over_delete(&over))
		return -ENOENT;
	FLOW_STAT(overflow, -1);
	return 0;
}

/*
 * Publishes @key for the TENTATIVE record @id and makes sure that it is the only one. Returns 0; on
 * -EAGAIN or -ENOSPC nothing is published.
 */
FLOW_FUNC int flow_enter(const struct talon_config *cfg, __u32 which, const struct talon_flow_key *key,
	__u32 id)
{
	struct talon_flow *rival;
	int err, other;

	for (int i = 0; i < FLOW_ENTER_TRIES; i++) {
		err = flow_publish(cfg, which, key, id);
		if (err)
			return err;
		other = flow_rival(cfg, which, key, id);
		if (!other)
			return 0;
		flow_retract(cfg, which, key, id);
		rival = flow_record(other);
		if (!rival || FLOW_STATE_PHASE(FLOW_LOAD(*flow_state(rival))) == TALON_FLOW_LIVE)
			break;
	}
	return -EAGAIN;
}

#endif
