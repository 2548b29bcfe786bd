/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What was decided about packets that get no flow record (to this host, to another peer, without
 * masquerading; from the network to a peer), kept for the next ones with the same 5-tuple: up to four
 * longest-prefix matches, a look-up in the FIB and the access rules are not asked again.
 *
 * It holds for one config.generation, like the way in a flow's record: whatever a decision is made of bumps
 * that (docs/decisions/0013-verdicts.md has the list), and the generation is read before it. What can differ
 * from packet to packet is no part of it, and is looked at each time: TTL, size, fragments, whether a
 * connection is known of which this is an answer, whether a port is mapped by then.
 *
 * One place in a small array for each hash, each CPU and each program: nothing is shared, so there is no
 * entry that another CPU has half written. Clients do not know the key of the hash.
 */
#ifndef TALON_LIB_VERDICT_H
#define TALON_LIB_VERDICT_H

#include "lib/acl6.h"
#include "lib/whose.h"
#include "talon/packet_types.h"

#define VERDICT_PLACES	512	/* a power of two */

enum verdict_flags {
	/* no rule permits it, but it answered something: asked each time */
	VERDICT_ANSWER	= 1 << 0,
	/* to an address that is the source of flows, too: a port there may be mapped by the next packet */
	VERDICT_MAPPED	= 1 << 1,
	/* rules permit its answers, of which nothing need be remembered, and nothing was */
	VERDICT_OPEN_BACK = 1 << 2,
};

struct verdict {
	/* the question */
	__u32	generation;		/* 0: empty */
	__u32	from;			/* peer; TALON_PEER_NONE: not from the mesh */
	__u32	in_ifindex;
	__be16	sport;
	__be16	dport;
	__u8	proto;			/* with TALON_PROTO_SIX */
	/* the answer */
	__u8	who;			/* enum whose */
	__u8	flags;			/* enum verdict_flags */
	__u8	in_local;		/* WHOSE_US */
	__u32	peer;			/* WHOSE_PEER */
	__u32	ifindex;		/* WHOSE_DEVICE, with all that follow */
	__u16	mtu;
	__u8	onward;
	__u8	pad;
	__u8	dmac[6];
	__u8	smac[6];		/* from the wire: this host's MAC that it came to */
	struct talon_addr src;		/* of IPv4 the first word alone */
	struct talon_addr dst;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, VERDICT_PLACES);
	__type(key, __u32);
	__type(value, struct verdict);
} verdicts SEC(".maps");

static __always_inline bool verdict_is_of(const struct verdict *v, ctx_md *ctx, const struct talon_pkt *pkt,
	__u32 from)
{
	if (v->from != from || v->in_ifindex != frame_ifindex(ctx) || v->sport != pkt->key.sport ||
		v->dport != pkt->key.dport || v->proto != pkt->key.proto)
		return false;
	if (!pkt->six)
		return v->src.word[0] == pkt->inner_src.word[0] && v->dst.word[0] == pkt->inner_dst.word[0];
	return talon_addr_equal(&v->src, &pkt->inner_src) && talon_addr_equal(&v->dst, &pkt->inner_dst);
}

/*
 * The verdict on the packet in hand, which has no record, or NULL; then verdict_make() has a place for it.
 * pkt->generation has been read. @from: as in struct verdict.
 */
static __always_inline struct verdict *verdict_find(ctx_md *ctx, struct talon_pkt *pkt,
	const struct talon_config *cfg, __u32 from)
{
	__u32 at = flow_hash(cfg->keys.flow, pkt->key.src, pkt->key.dst,
		pkt->key.sport | (__u32)pkt->key.dport << 16, pkt->key.proto) & (VERDICT_PLACES - 1);
	struct verdict *v = bpf_map_lookup_elem(&verdicts, &at);

	pkt->verdict = at;
	pkt->has_verdict = v && v->generation == pkt->generation && verdict_is_of(v, ctx, pkt, from);
	return pkt->has_verdict ? v : NULL;
}

/* A verdict on the packet in hand without an answer yet, or NULL. */
static __always_inline struct verdict *verdict_make(ctx_md *ctx, struct talon_pkt *pkt, __u32 from, int who)
{
	struct verdict *v = MAP_LOOKUP(verdicts, &pkt->verdict);

	if (!v)
		return NULL;
	pkt->has_verdict = 1;
	v->generation = pkt->generation;
	v->from = from;
	v->in_ifindex = frame_ifindex(ctx);
	v->sport = pkt->key.sport;
	v->dport = pkt->key.dport;
	v->proto = pkt->key.proto;
	v->src = pkt->inner_src;
	v->dst = pkt->inner_dst;
	v->who = who;
	v->flags = 0;
	v->mtu = 0;
	return v;
}

/* Does the answer of whose() hold for the next packet, too? Refusals are rare, and told of one by one. */
static __always_inline bool verdict_lasts(const struct talon_pkt *pkt, int who, bool masqueraded)
{
	if (pkt->kind != INNER_FLOW || pkt->flow || pkt->way.fickle || (pkt->flags & FORWARD_HAIRPIN))
		return false;
	if (who == WHOSE_DEVICE)
		return !masqueraded && !pkt->way.no_neigh && !pkt->way.goes_on;
	return who == WHOSE_US || who == WHOSE_PEER;
}

/*
 * Keeps what whose() left in @pkt. @permit: enum acl_permit, for which reason the packet may pass. @mapped:
 * see VERDICT_MAPPED.
 */
static __always_inline void verdict_keep(ctx_md *ctx, struct talon_pkt *pkt, int who, int permit,
	bool mapped)
{
	struct verdict *v = verdict_make(ctx, pkt, pkt->peer, who);

	if (!v)
		return;
	v->flags = (permit == ACL_BY_ANSWER ? VERDICT_ANSWER : 0) | (mapped ? VERDICT_MAPPED : 0);
	v->in_local = pkt->way.in_local;
	v->peer = pkt->way.peer;
	if (who != WHOSE_DEVICE)
		return;
	v->ifindex = pkt->fib.ifindex;
	v->mtu = pkt->mtu;
	v->onward = pkt->way.onward;
	mac_copy(v->dmac, pkt->fib.dmac);
	mac_copy(v->smac, pkt->fib.smac);
}

/* Is the packet too long for what is known of its way? Then more is needed than a verdict has. */
static __always_inline bool verdict_is_short_of(const struct verdict *v, const struct talon_pkt *pkt)
{
	return v->mtu && pkt->tot_len > v->mtu;
}

/* Leaves in @pkt what whose() would. */
static __always_inline void verdict_take(const struct verdict *v, struct talon_pkt *pkt)
{
	pkt->flags = 0;
	pkt->way.in_local = v->in_local;
	pkt->way.peer = v->peer;
	if (v->who != WHOSE_DEVICE)
		return;
	pkt->way.onward = v->onward;
	pkt->way.no_neigh = 0;
	pkt->fib.ifindex = v->ifindex;
	pkt->mtu = v->mtu;
	mac_copy(pkt->fib.dmac, v->dmac);
	mac_copy(pkt->fib.smac, v->smac);
}

/* acl_note_out() for a packet that may have a verdict. */
static __always_inline void verdict_note_out(struct talon_pkt *pkt)
{
	struct verdict *v = pkt->has_verdict ? MAP_LOOKUP(verdicts, &pkt->verdict) : NULL;

	if (v && (v->flags & VERDICT_OPEN_BACK))
		return;
	if ((pkt->six ? acl6_note_out(pkt) : acl_note_out(pkt)) && v)
		v->flags |= VERDICT_OPEN_BACK;
}

#endif
