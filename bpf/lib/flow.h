/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Flows: find, create, keep alive, collect. docs/decisions/0001-nat-flow-table.md has the reasons and
 * measurements.
 *
 * Life of a record:
 *
 *	FREE --create--> TENTATIVE --its keys are unique--> LIVE --idle, close--> DEAD --grace--> FREE
 *	                     `-----a rival was there----------------------------^
 *
 * TENTATIVE belongs to the CPU that creates it and lasts for one call. LIVE and DEAD are left by
 * compare-and-swap, so that a flow ends once, and its id is freed once, however many try. A record
 * becomes DEAD first and is unlinked then; from there on a packet of that flow makes a new record,
 * which the DEAD one does not prevent. A packet that already holds the DEAD record still sees it
 * complete.
 *
 * A packet that arrives at the instant its flow expires is sent with the old mapping and does not keep
 * it alive; the next one starts a new flow, on the same port if that is still free.
 */
#ifndef TALON_LIB_FLOW_H
#define TALON_LIB_FLOW_H

#include "flow_index.h"
#include "nat_port.h"

#define FLOW_PORT_TRIES	4

enum flow_tcp_flags {		/* byte 13 of the TCP header */
	FLOW_TCP_FIN	= 0x01,
	FLOW_TCP_SYN	= 0x02,
	FLOW_TCP_RST	= 0x04,
	FLOW_TCP_ACK	= 0x10,
};

/**
 * flow_find_fwd() - the flow that a packet of a mesh client belongs to
 * @cfg: keys and bucket_mask are used
 * @key: as in the packet, network byte order; for an ICMP query both ports are the id
 * @ret_id: the record's id, for flow_record(); written only when found
 *
 * Return: the live record, good until the program ends, or NULL.
 */
static __always_inline struct talon_flow *flow_find_fwd(const struct talon_config *cfg,
	const struct talon_flow_key *key, __u32 *ret_id)
{
	return flow_find(cfg, FLOW_FWD, key, ret_id);
}

/**
 * flow_find_hinted() - flow_find_fwd() where a guess may spare the search
 * @cfg: keys and bucket_mask are used
 * @key: as for flow_find_fwd()
 * @hint: id that an entry of the index had in this very run, or 0; it need not be the right one
 * @ret_id: the record's id, for flow_record(); written only when found
 *
 * Return: as flow_find_fwd().
 */
static __always_inline struct talon_flow *flow_find_hinted(const struct talon_config *cfg,
	const struct talon_flow_key *key, __u32 hint, __u32 *ret_id)
{
	struct talon_flow *flow = hint ? flow_find_live(hint, FLOW_FWD, key) : NULL;

	if (!flow)
		return flow_find(cfg, FLOW_FWD, key, ret_id);
	*ret_id = hint;
	return flow;
}

/**
 * flow_find_rev() - the flow that a packet of a remote to the SNAT address belongs to
 * @cfg: keys and bucket_mask are used
 * @key: as in the packet, network byte order; for an ICMP query both ports are the (translated) id
 * @ret_id: the record's id, for flow_record(); written only when found
 *
 * An exact match of all five (RFC 4787 REQ-8, address and port dependent filtering).
 *
 * Return: the live record, good until the program ends, or NULL.
 */
static __always_inline struct talon_flow *flow_find_rev(const struct talon_config *cfg,
	const struct talon_flow_key *key, __u32 *ret_id)
{
	return flow_find(cfg, FLOW_REV, key, ret_id);
}

/**
 * flow6_is() - is the record that the folds of an IPv6 packet led to really its flow?
 * @id: of the record
 * @client: address of the packet on the mesh's side, or NULL if it is not in the packet
 * @remote: the remote's address
 * @snat: address that the remote sees, or NULL if it is not in the packet
 *
 * Return: the flow's addresses, good until the program ends, or NULL.
 */
static __always_inline const struct talon_flow6 *flow6_is(__u32 id, const struct talon_addr *client,
	const struct talon_addr *remote, const struct talon_addr *snat)
{
	const struct talon_flow6 *six = flow6_record(id);

	if (!six || !talon_addr_equal(&six->remote, remote) ||
		(client && !talon_addr_equal(&six->client, client)) ||
		(snat && !talon_addr_equal(&six->snat, snat)))
		return NULL;
	return six;
}

/* Allocates a record id: a freed one, else one that was never used. 0: none is left. */
static __always_inline __u32 flow_id_draw(__u32 flow_count)
{
	__u32 id = flow_free_pop();
	struct talon_flow_head *head;

	if (id)
		return id;
	head = (struct talon_flow_head *)flow_record(0);
	if (!head || FLOW_LOAD(head->used) + 1 >= flow_count)
		return 0;
	id = FLOW_ADD(&head->used, 1) + 1;
	return id < flow_count ? id : 0;	/* several CPUs may have taken the last one at once */
}

/* How many records a peer may hold now. Depends on what others leave free. */
static __always_inline __u32 flow_share(const struct talon_config *cfg)
{
	struct talon_nat_stats *stats = nat_stats_record();
	__u64 held = stats ? FLOW_LOAD(stats->held) : 0;

	return held + 1 < cfg->flow_count ? TALON_NAT_SHARE * (cfg->flow_count - 1 - (__u32)held) : 0;
}

/*
 * May @peer have one more record? 0; -ENOSPC: none is left; -EDQUOT: it has its share. Concurrent CPUs
 * may exceed the share by one each.
 */
static __always_inline int flow_share_check(const struct talon_config *cfg, __u32 peer)
{
	struct talon_nat_peer *payer = nat_peer_record(peer);
	__u32 share = flow_share(cfg);

	if (!share)
		return -ENOSPC;
	if (payer && FLOW_LOAD(payer->held) < share)
		return 0;
	if (payer)
		FLOW_ADD(&payer->refused, 1);
	return -EDQUOT;
}

static __always_inline void flow_charge(__u32 peer, __u32 n)
{
	struct talon_nat_peer *payer = nat_peer_record(peer);

	if (payer)
		FLOW_ADD(&payer->held, n);
	FLOW_STAT(held, (__s32)n);
}

/* Initializes a record that nobody else can hold yet for @key. Its SNAT port is chosen later. */
static __always_inline void flow_init(struct talon_flow *flow, const struct talon_flow_key *key,
	const struct flow_party *party)
{
	__u32 ports = flow_ports(FLOW_FWD, key);

	flow->client = key->src;
	flow->remote = key->dst;
	flow->snat = party->snat;
	flow->client_port = ports & 0xffff;
	flow->remote_port = ports >> 16;
	flow->peer = party->peer;
	FLOW_STORE(flow->seen_s, party->now_s);	/* the collector reads records in any phase */
	flow->tcp = 0;
	flow->flags = 0;
	flow->mtu = 0;
	flow->generation = 0;
	flow->ifindex = 0;
	flow->owner = 0;
	flow->payer = party->peer;
	flow->back_generation = 0;
	FLOW_STORE(*flow_state(flow), FLOW_STATE(0, key->proto, TALON_FLOW_TENTATIVE));
}

/*
 * Ends a record that was published but never LIVE. GC frees the id after the grace period, since
 * readers may have seen it.
 */
static __always_inline void flow_give_up(struct talon_flow *flow)
{
	__u32 state = FLOW_LOAD(*flow_state(flow));

	FLOW_STORE(*flow_state(flow), FLOW_STATE(FLOW_STATE_PORT(state), FLOW_STATE_PROTO(state),
		TALON_FLOW_DEAD));
}

/*
 * Counts the flow at its port and publishes the reverse key. On error nothing is held: -EBUSY if
 * another port may work.
 */
static __always_inline int flow_enter_rev(const struct talon_config *cfg, const struct talon_flow_key *key,
	struct talon_flow *flow, __u32 id, __u32 pick)
{
	struct talon_flow_key rev;
	int err;

	if (nat_port_take(key, pick))
		return -EBUSY;
	flow->owner = NAT_PICK_INDEX(pick);
	FLOW_STORE(*flow_state(flow), FLOW_STATE(NAT_PICK_PORT(pick), key->proto, TALON_FLOW_TENTATIVE));
	flow_key_of(flow, FLOW_REV, &rev);
	err = flow_enter(cfg, FLOW_REV, &rev, id);
	if (err)
		nat_port_release(NAT_PICK_INDEX(pick));
	return err == -EAGAIN ? -EBUSY : err;
}

/*
 * One attempt with the port of @pick. The forward key is published first: its only holder creates this
 * flow, so two CPUs do not compete for ports for the same flow. Returns the record's id or a negative
 * errno: -EAGAIN for the forward key, -EBUSY for the port.
 */
FLOW_FUNC int flow_make(const struct talon_config *cfg, const struct talon_flow_key *key,
	const struct flow_party *party, __u32 pick)
{
	struct talon_flow *flow;
	__u32 id;
	int err;

	if (!cfg || !key || !party)
		return -EINVAL;
	id = flow_id_draw(cfg->flow_count);
	flow = id ? flow_record(id) : NULL;
	if (!flow)
		return -ENOSPC;
	flow_charge(party->peer, 1);
	flow_init(flow, key, party);
	err = -ENOSPC;
	if ((key->proto & TALON_PROTO_SIX) && flow6_put(id, party))
		goto give_up;
	err = flow_enter(cfg, FLOW_FWD, key, id);
	if (err)
		goto give_up;
	err = flow_enter_rev(cfg, key, flow, id, pick);
	if (err)
		goto retract;

	FLOW_STAT(live, 1);
	FLOW_STAT(created, 1);
	if (NAT_PICK_HOW(pick) == NAT_PORT_SHARED)
		FLOW_STAT(shared, 1);
	FLOW_STORE(*flow_state(flow), FLOW_STATE(NAT_PICK_PORT(pick), key->proto, TALON_FLOW_LIVE));
	return id;

retract:
	flow_retract(cfg, FLOW_FWD, key, id);
give_up:
	flow_give_up(flow);
	return err;
}

/**
 * flow_create() - a new flow: port, record, both index entries, all or nothing
 * @cfg: the SNAT's port range is used, its address is not; keys, bucket_mask and flow_count must not change
 * while there are flows
 * @key: of the client's packet, as for flow_find_fwd(); pad is zero
 * @party: whose client it is; what the remote sees as the source, network byte order (another flow may have
 * another); the time; of an IPv6 flow the addresses themselves
 * @ret_id: the record's id, for flow_record(); written only on success
 *
 * The record starts with generation 0 and no TCP bits: call flow_touch_out() for the packet at hand.
 * Refused flows cost no record: the port is chosen before a record is allocated.
 *
 * Return: 0; -EADDRINUSE: no port for this remote, or not TCP, UDP or ICMP; -ENOSPC: no free record; -EDQUOT:
 * there are some, but @peer has its share (TALON_NAT_SHARE); -EAGAIN: another CPU is creating the same flow
 * or was faster for every port tried: look the flow up once more, it may be there now.
 */
static __always_inline int flow_create(const struct talon_config *cfg, const struct talon_flow_key *key,
	const struct flow_party *party, __u32 *ret_id)
{
	int pick, id = flow_share_check(cfg, party->peer);

	if (!id)
		id = -EBUSY;
	for (int i = 0; i < FLOW_PORT_TRIES && id == -EBUSY; i++) {
		pick = nat_port_pick(cfg, key, party->snat);
		id = pick < 0 ? pick : flow_make(cfg, key, party, pick);
	}
	if (id > 0) {
		*ret_id = id;
		return 0;
	}
	switch (id) {
	case -EADDRINUSE:
		FLOW_STAT(full_ports, 1);
		return id;
	case -ENOSPC:
		FLOW_STAT(full_table, 1);
		return id;
	case -EDQUOT:
		FLOW_STAT(full_share, 1);
		return id;
	default:
		FLOW_STAT(races, 1);
		return -EAGAIN;
	}
}

/*
 * Updates the bits seen so far with a segment (RFC 5382 section 4, RFC 7857 section 2). A segment
 * without SYN implies a SYN that passed earlier, so a connection picked up midway is established once
 * both sides were heard. A SYN/ACK from the client after a SYN from the remote occurs only in a
 * simultaneous open. A RST does not end the flow but shortens its timeout: whether the endpoints accept
 * it depends on sequence numbers, which are not tracked here. Their behaviour tells: an end that sent
 * or accepted a RST falls silent, so once both send again, the RST was forged or stale and is forgotten
 * (RFC 7857 section 2.2 wants the timeout to run only while no packets come).
 */
static __always_inline __u8 flow_tcp_next(__u8 tcp, __u8 flags, bool is_out)
{
	const __u8 syn = is_out ? TALON_TCP_SYN_OUT : TALON_TCP_SYN_IN;
	const __u8 fin = is_out ? TALON_TCP_FIN_OUT : TALON_TCP_FIN_IN;
	const __u8 syns = TALON_TCP_SYN_OUT | TALON_TCP_SYN_IN;
	const __u8 fins = TALON_TCP_FIN_OUT | TALON_TCP_FIN_IN;
	const __u8 alives = TALON_TCP_ALIVE_OUT | TALON_TCP_ALIVE_IN;

	if (flags & FLOW_TCP_RST)
		return (tcp & ~alives) | TALON_TCP_RST;
	if (flags & FLOW_TCP_SYN) {
		if (!(flags & FLOW_TCP_ACK) && ((tcp & TALON_TCP_RST) || (tcp & fins) == fins))
			return syn;
		if ((flags & FLOW_TCP_ACK) && is_out && (tcp & syns) == syns)
			tcp |= TALON_TCP_ESTABLISHED;
		return tcp | syn;
	}
	tcp |= syn;
	if (tcp & TALON_TCP_RST)
		tcp |= is_out ? TALON_TCP_ALIVE_OUT : TALON_TCP_ALIVE_IN;
	if ((tcp & alives) == alives)
		tcp &= ~(alives | TALON_TCP_RST);
	if (flags & FLOW_TCP_FIN)
		tcp |= fin;
	if ((tcp & syns) == syns)
		tcp |= TALON_TCP_ESTABLISHED;
	return tcp;
}

/*
 * The slow part of flow_touch(): both directions may change the bits concurrently, and mtu shares the
 * word.
 */
FLOW_FUNC int flow_tcp_step(struct talon_flow *flow, __u32 flags, __u32 is_out)
{
	flow_u32 *word;
	__u32 old, next;

	if (!flow)
		return -EINVAL;
	word = (flow_u32 *)((char *)flow + FLOW_AT(tcp));
	for (int i = 0; i < 4; i++) {
		old = FLOW_LOAD(*word);
		next = (old & ~0xffU) | flow_tcp_next(old & 0xff, flags, is_out);
		if (next == old || FLOW_CAS(word, old, next) == old)
			return 0;
	}
	return -EAGAIN;
}
_Static_assert(FLOW_AT(tcp) % 4 == 0, "tcp is the low byte of an aligned word");

/* Writes only what changed: a busy flow's cache line stays shared between CPUs except once a second. */
static __always_inline void flow_touch(struct talon_flow *flow, __u8 tcp_flags, __u32 now_s, bool is_out)
{
	if (FLOW_LOAD(flow->seen_s) != now_s)
		FLOW_STORE(flow->seen_s, now_s);
	if (TALON_PROTO(FLOW_LOAD(flow->proto)) != IPPROTO_TCP)
		return;
	if (!(tcp_flags & (FLOW_TCP_SYN | FLOW_TCP_FIN | FLOW_TCP_RST)) &&
	    (FLOW_LOAD(flow->tcp) & (TALON_TCP_ESTABLISHED | TALON_TCP_RST)) == TALON_TCP_ESTABLISHED)
		return;
	flow_tcp_step(flow, tcp_flags, is_out);
}

/**
 * flow_touch_out() - a packet of the client passed
 * @flow: live record
 * @tcp_flags: byte 13 of its TCP header; 0 if it is not TCP or not the first fragment
 * @now_s: CLOCK_BOOTTIME, seconds
 *
 * Refreshes the flow (RFC 4787 REQ-6). Not for ICMP errors about it (RFC 5508 REQ-6, RFC 4787 REQ-12).
 */
static __always_inline void flow_touch_out(struct talon_flow *flow, __u8 tcp_flags, __u32 now_s)
{
	flow_touch(flow, tcp_flags, now_s, true);
}

/* The same for a packet of the remote, which ends waiting. */
static __always_inline void flow_touch_in(struct talon_flow *flow, __u8 tcp_flags, __u32 now_s)
{
	if ((FLOW_LOAD(flow->flags) & (TALON_FLOW_ANSWERED | TALON_FLOW_WAITS)) != TALON_FLOW_ANSWERED)
		FLOW_STORE(flow->flags, TALON_FLOW_ANSWERED);
	flow_touch(flow, tcp_flags, now_s, false);
}

/**
 * flow_wait() - a packet of the client is about to wait for an answer
 * @flow: live record
 * @now_ns: CLOCK_BOOTTIME
 *
 * Return: whether those before it have waited in vain, for about 0.8 s. A client that sends less often than
 * every 16 s may be taken for one that waits since a moment ago, never the other way round for more than
 * one packet.
 */
static __always_inline bool flow_wait(struct talon_flow *flow, __u64 now_ns)
{
	__u8 flags = FLOW_LOAD(flow->flags), now = (now_ns >> TALON_FLOW_SINCE_NS) & TALON_FLOW_SINCE_MASK;

	if (flags & TALON_FLOW_WAITS)
		return ((now - (flags >> TALON_FLOW_SINCE)) & TALON_FLOW_SINCE_MASK) >= TALON_FLOW_IN_VAIN;
	FLOW_STORE(flow->flags, (flags & TALON_FLOW_ANSWERED) | TALON_FLOW_WAITS | now << TALON_FLOW_SINCE);
	return false;
}

/**
 * flow_timeout_s() - how long a flow may be idle, in seconds
 * @flow: record; proto and tcp are used
 *
 * RFC 4787 REQ-5, RFC 5382 REQ-5, RFC 5508 REQ-2; after a RST as long as a transitory connection (RFC
 * 7857 section 2.2).
 */
static __always_inline __u32 flow_timeout_s(struct talon_flow *flow)
{
	const __u8 fins = TALON_TCP_FIN_OUT | TALON_TCP_FIN_IN;
	__u8 proto = FLOW_LOAD(flow->proto), tcp;

	if (flow_is_icmp(proto))
		return TALON_NAT_ICMP_S;
	if (TALON_PROTO(proto) == IPPROTO_UDP)
		return TALON_NAT_UDP_S;
	tcp = FLOW_LOAD(flow->tcp);
	if (!(tcp & TALON_TCP_ESTABLISHED) || (tcp & TALON_TCP_RST) || (tcp & fins) == fins)
		return TALON_NAT_TCP_TRANSITORY_S;
	return TALON_NAT_TCP_ESTABLISHED_S;
}

/* May the flow be evicted when room is short? Nobody has answered, or the connection is over. */
static __always_inline bool flow_gives_way(struct talon_flow *flow)
{
	if (!(FLOW_LOAD(flow->flags) & TALON_FLOW_ANSWERED))
		return true;
	return TALON_PROTO(FLOW_LOAD(flow->proto)) == IPPROTO_TCP &&
		flow_timeout_s(flow) == TALON_NAT_TCP_TRANSITORY_S;
}

/* Does the flow's peer hold more records than are free? */
static __always_inline bool flow_is_in_the_way(const struct talon_config *cfg, struct talon_flow *flow)
{
	struct talon_nat_peer *payer = nat_peer_record(flow->payer);

	return payer && FLOW_LOAD(payer->held) > flow_share(cfg) / TALON_NAT_SHARE;
}

enum flow_collected {
	FLOW_WAS_FREE,		/* or being created */
	FLOW_IS_LIVE,
	FLOW_EXPIRED,		/* just now; to be freed later */
	FLOW_WAITS,		/* dead, grace period not over */
	FLOW_FREED,		/* just now */
};

static __always_inline bool flow_phase_move(struct talon_flow *flow, __u32 state, enum talon_flow_phase to)
{
	__u32 next = FLOW_STATE(FLOW_STATE_PORT(state), FLOW_STATE_PROTO(state), to);

	return FLOW_CAS(flow_state(flow), state, next) == state;
}

/*
 * The time of death is written first: another collector must never see a DEAD record with an old
 * timestamp.
 */
static __always_inline enum flow_collected flow_end(const struct talon_config *cfg, struct talon_flow *flow,
	__u32 id, __u32 state, __u32 now_s)
{
	struct talon_flow_key key;

	FLOW_STORE(flow->seen_s, now_s);
	if (!flow_phase_move(flow, state, TALON_FLOW_DEAD))
		return FLOW_WAITS;
	flow_key_of(flow, FLOW_FWD, &key);
	flow_retract(cfg, FLOW_FWD, &key, id);
	flow_key_of(flow, FLOW_REV, &key);
	flow_retract(cfg, FLOW_REV, &key, id);
	nat_port_release(flow->owner);
	FLOW_STAT(live, -1);
	FLOW_STAT(expired, 1);
	return FLOW_EXPIRED;
}

/**
 * flow_close() - ends a flow from the packet path: its address, port range or way is no longer
 * what it should be
 * @cfg: as it was when the flow was created (keys, bucket_mask)
 * @flow: record, as flow_find_fwd() or flow_find_rev() returned it in this very run
 * @id: its id
 * @now_s: CLOCK_BOOTTIME, seconds
 *
 * From now on neither direction finds it, and flow_create() for the same packet makes a new one. Any
 * number of CPUs and the collector may do this at once: the phase is left by compare-and-swap, so one of
 * them ends the flow, and the record cannot be another flow's already, because the grace period is longer
 * than a program runs.
 *
 * Return: 0; -EALREADY: somebody else has ended it, or it was not live.
 */
FLOW_FUNC int flow_close(const struct talon_config *cfg, struct talon_flow *flow, __u32 id, __u32 now_s)
{
	__u32 state;

	if (!cfg || !flow)
		return -EALREADY;
	state = FLOW_LOAD(*flow_state(flow));
	if (FLOW_STATE_PHASE(state) != TALON_FLOW_LIVE)
		return -EALREADY;
	return flow_end(cfg, flow, id, state, now_s) == FLOW_EXPIRED ? 0 : -EALREADY;
}

/**
 * flow_collect() - garbage collection of one record
 * @cfg: as it was when the flow was created (keys, bucket_mask)
 * @id: of the record, from 1 on
 * @now_s: CLOCK_BOOTTIME, seconds
 *
 * Return: enum flow_collected.
 */
FLOW_FUNC int flow_collect(const struct talon_config *cfg, __u32 id, __u32 now_s)
{
	struct talon_flow *flow = id ? flow_record(id) : NULL;
	__s32 idle_s;
	__u32 state;

	if (!cfg || !flow)
		return FLOW_WAS_FREE;
	state = FLOW_LOAD(*flow_state(flow));
	idle_s = now_s - FLOW_LOAD(flow->seen_s);
	switch (FLOW_STATE_PHASE(state)) {
	case TALON_FLOW_LIVE:
		if (idle_s >= (__s32)flow_timeout_s(flow))
			return flow_end(cfg, flow, id, state, now_s);
		if (idle_s < TALON_NAT_HASTY_S || !flow_gives_way(flow) || !flow_is_in_the_way(cfg, flow))
			return FLOW_IS_LIVE;
		if (flow_end(cfg, flow, id, state, now_s) != FLOW_EXPIRED)
			return FLOW_WAITS;
		FLOW_STAT(hastened, 1);
		return FLOW_EXPIRED;
	case TALON_FLOW_DEAD:
		if (idle_s < TALON_FLOW_GRACE_S || !flow_phase_move(flow, state, TALON_FLOW_FREE))
			return FLOW_WAITS;
		if (FLOW_STATE_PROTO(state) & TALON_PROTO_SIX)
			flow6_delete(id);
		flow_charge(flow->payer, -1);
		flow_free_push(id);	/* there is room for every id */
		return FLOW_FREED;
	default:
		return FLOW_WAS_FREE;
	}
}

#endif
