/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which external port an internal endpoint gets.
 *
 * Every endpoint has its own candidates in the port range: four groups of eight ports, of which SipHash says
 * where they begin, how far they are apart and with which port of a group to start (RFC 6056 section 3.3.3:
 * unforeseeable, yet the same again for the same endpoint). A group is one or two cache lines of nat_ports. A
 * port belongs to one endpoint while any flow uses it, and a new flow of that endpoint finds it by walking
 * its candidates: endpoint-independent mapping (RFC 4787 REQ-1, RFC 5382 REQ-1) without a table by endpoint.
 * Only when all candidates belong to others are ports shared, by flows to different remotes. In a range of 32
 * ports or less all are candidates.
 */
#ifndef TALON_LIB_NAT_PORT_H
#define TALON_LIB_NAT_PORT_H

#include "flow_index.h"
#include "talon/siphash.h"

#define NAT_PORT_GROUPS		4
#define NAT_PORT_GROUP		8	/* ports in each; a power of two */
#define NAT_PORT_FLOWS_MAX	0xffff	/* a port with more is full: its endpoint gets a second one */

enum nat_port_how {
	NAT_PORT_OWN	= 1,	/* the endpoint has it already */
	NAT_PORT_FREE	= 2,
	NAT_PORT_SHARED	= 3,	/* it is another endpoint's */
};

/* A choice as one number: index into nat_ports, and how it is to be had. */
#define NAT_PICK(how, index) ((how) << 20 | (index))
#define NAT_PICK_HOW(pick) ((__u32)(pick) >> 20)
#define NAT_PICK_INDEX(pick) ((__u32)(pick) & 0xfffff)
#define NAT_PICK_PORT(pick) ((__be16)__builtin_bswap16((pick) & 0xffff))

/*
 * Primes above 65536 divide no number of groups, so that a stride of them visits all. Several, or neighbours
 * would crowd along one path.
 */
static const __u32 nat_port_strides[16] = {
	67547, 131321, 211747, 374719, 434303, 440339, 497017, 655033, 664667, 686963, 702511,
	735263, 780287, 892709, 933649, 1035449,
};

/* Protocol class of nat_ports and port_block, of either family; negative: cannot be translated. */
static __always_inline int nat_class(__u8 proto)
{
	if (flow_is_icmp(proto))
		return 2;
	switch (TALON_PROTO(proto)) {
	case IPPROTO_TCP:
		return 0;
	case IPPROTO_UDP:
		return 1;
	default:
		return -1;
	}
}

static __always_inline flow_u64 *nat_port_word(__u32 index)
{
	return (flow_u64 *)nat_port_record(index);
}

/*
 * struct talon_nat_port as one word, little-endian: the endpoint in the low 48 bits, the number
 * of flows above.
 */
#define NAT_WORD_FLOWS(word) ((__u32)((word) >> 48))
#define NAT_WORD_OWNER(word) ((word) & 0xffffffffffffULL)
#define NAT_WORD_ONE (1ULL << 48)

static __always_inline __u64 nat_owner(const struct talon_flow_key *key)
{
	return key->src | (__u64)key->sport << 32;
}

static __always_inline bool nat_port_is_blocked(__u32 index)
{
	const __u64 *word;

	if (index >= 2 << 16)	/* ICMP ids belong to no socket */
		return false;
	word = nat_port_block(index / 64);
	return !word || *(const volatile __u64 *)word >> (index & 63) & 1;
}

/* One walk along an endpoint's candidates. */
struct nat_walk {
	const struct talon_config *cfg;
	__u64	owner;
	struct talon_flow_key rev;
	__u32	base;		/* index of the range's first port */
	__u32	range;		/* ports */
	__u32	groups;		/* in the range; the last one may be short */
	__u32	group;		/* next one */
	__u32	stride;
	__u32	turn;		/* where in a group to start */
	__u32	to_share;
	__u32	pick;		/* 0: nothing yet */
};

/* May the flow have this port, which is in use? */
static __always_inline bool nat_port_reaches(struct nat_walk *walk, __u32 index, __u64 value)
{
	if (NAT_WORD_FLOWS(value) == NAT_PORT_FLOWS_MAX)
		return false;
	if (walk->to_share && nat_port_is_blocked(index))
		return false;
	walk->rev.dport = __builtin_bswap16(index & 0xffff);
	return !flow_rival(walk->cfg, FLOW_REV, &walk->rev, 0);
}

/* Looks at one candidate. True ends the walk; a free port is kept, but the endpoint's own may still come. */
static __always_inline bool nat_walk_port(struct nat_walk *walk, __u32 offset)
{
	__u32 index = walk->base + offset;
	flow_u64 *word = nat_port_word(index);
	bool is_own;
	__u64 value;

	if (offset >= walk->range || !word)
		return false;
	value = FLOW_LOAD(*word);
	if (!NAT_WORD_FLOWS(value)) {
		if (!walk->pick && !walk->to_share && !nat_port_is_blocked(index))
			walk->pick = NAT_PICK(NAT_PORT_FREE, index);
		return false;
	}
	is_own = NAT_WORD_OWNER(value) == walk->owner;
	if (is_own == !!walk->to_share || !nat_port_reaches(walk, index, value))
		return false;
	walk->pick = NAT_PICK(is_own ? NAT_PORT_OWN : NAT_PORT_SHARED, index);
	return true;
}

/* One group of ports. */
static long nat_walk_step(__u64 i, void *data)
{
	struct nat_walk *walk = data;
	__u32 first = walk->group * NAT_PORT_GROUP, turn = walk->turn;

	for (__u32 j = 0; j < NAT_PORT_GROUP; j++) {
		if (nat_walk_port(walk, first + ((turn + j) & (NAT_PORT_GROUP - 1))))
			return 1;
	}
	walk->group += walk->stride;
	if (walk->group >= walk->groups)
		walk->group -= walk->groups;
	return 0;
}

/*
 * Chooses a port of @snat for the flow @key (forward) and changes nothing. Own port first, then a free one,
 * then a share. An endpoint has the same port on every external address: owners are not told apart by
 * address. Returns NAT_PICK(), or -EADDRINUSE.
 */
FLOW_FUNC int nat_port_pick(const struct talon_config *cfg, const struct talon_flow_key *key, __be32 snat)
{
	struct nat_walk walk = {};
	__u32 start, steps;
	__u64 h;

	if (!cfg || !key || nat_class(key->proto) < 0 || cfg->port_last < cfg->port_first)
		return -EADDRINUSE;
	walk.cfg = cfg;
	walk.owner = nat_owner(key);
	walk.rev.src = key->dst;
	walk.rev.dst = snat;
	walk.rev.sport = key->dport;
	walk.rev.proto = key->proto;
	walk.base = (__u32)nat_class(key->proto) << 16 | cfg->port_first;
	walk.range = (__u32)cfg->port_last - cfg->port_first + 1;
	walk.groups = (walk.range + NAT_PORT_GROUP - 1) / NAT_PORT_GROUP;
	h = siphash_short(cfg->keys.port, walk.owner | (__u64)key->proto << 48, 7);
	start = ((h & 0xffffffff) * walk.groups) >> 32;
	walk.stride = nat_port_strides[h >> 60] % walk.groups;
	walk.turn = h >> 32;
	steps = walk.groups < NAT_PORT_GROUPS ? walk.groups : NAT_PORT_GROUPS;

	walk.group = start;
	bpf_loop(steps, nat_walk_step, &walk, 0);
	if (walk.pick)
		return walk.pick;
	walk.group = start;
	walk.to_share = 1;
	bpf_loop(steps, nat_walk_step, &walk, 0);
	return walk.pick ? (int)walk.pick : -EADDRINUSE;
}

/* How many ports of a protocol are in use, for people. */
static __always_inline void nat_port_tally(__u32 index, __s32 n)
{
	__u32 class = index >> 16;

	if (class == 0)
		FLOW_STAT(ports[0], n);
	else if (class == 1)
		FLOW_STAT(ports[1], n);
	else
		FLOW_STAT(ports[2], n);
}

/*
 * Counts the flow in at the port that was picked, if it can still be had so. Owner and count are one
 * word: a port whose last flow goes at this moment is either still ours or free, never half of each.
 * Returns 0 or -EAGAIN.
 */
static __always_inline int nat_port_take(const struct talon_flow_key *key, __u32 pick)
{
	flow_u64 *word = nat_port_word(NAT_PICK_INDEX(pick));
	__u64 owner = nat_owner(key), value, next;
	__u32 used;

	if (!word)
		return -EAGAIN;
	value = FLOW_LOAD(*word);
	used = NAT_WORD_FLOWS(value);
	if (NAT_PICK_HOW(pick) == NAT_PORT_FREE) {
		if (used)
			return -EAGAIN;
		next = owner | NAT_WORD_ONE;
	} else {
		if (!used || used == NAT_PORT_FLOWS_MAX ||
		    (NAT_PICK_HOW(pick) == NAT_PORT_OWN) != (NAT_WORD_OWNER(value) == owner))
			return -EAGAIN;
		next = value + NAT_WORD_ONE;
	}
	if (FLOW_CAS(word, value, next) != value)
		return -EAGAIN;
	if (!used)
		nat_port_tally(NAT_PICK_INDEX(pick), 1);
	return 0;
}

/* Counts a flow out. One addition, so it cannot fail. */
static __always_inline void nat_port_release(__u32 index)
{
	flow_u64 *word = nat_port_word(index);

	if (word && NAT_WORD_FLOWS(FLOW_ADD(word, -NAT_WORD_ONE)) == 1)
		nat_port_tally(index, -1);
}

#endif
