/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * State of the current packet. It is in a per-CPU map, because the stack has only 512 bytes and every
 * step needs it.
 */
#ifndef TALON_LIB_PACKET_H
#define TALON_LIB_PACKET_H

#include <linux/errno.h>
#include <stddef.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lib/ctx.h"
#include "lib/maps.h"
#include "lib/chacha20poly1305.h"
#include "lib/flow_mem.h"
#include "talon/csum.h"
#include "talon/ecn.h"
#include "talon/icmp_wire.h"

#ifndef AF_INET
#define AF_INET		2
#define AF_INET6	10
#endif

#define IP_DF		0x4000
#define IP_MF		0x2000
#define IP_OFFSET	0x1fff

/*
 * Fixed places. A frame always starts with an untagged Ethernet header; after decryption the inner
 * packet directly follows it.
 */
#define L3_OFF		ETH_HLEN
#define OUTER4_LEN	(sizeof(struct iphdr) + sizeof(struct udphdr) + WG_DATA_HEADER_LEN)	/* 44 */
#define OUTER6_LEN	(sizeof(struct ipv6hdr) + sizeof(struct udphdr) + WG_DATA_HEADER_LEN)	/* 64 */

/*
 * Private Ethernet type on wt0: payload is a peer slot (u32, host order); the far end sends that
 * peer a keepalive.
 */
#define TALON_ETHERTYPE_KEEPALIVE	ETH_P_802_EX1
#ifndef ETH_P_802_EX1
#define ETH_P_802_EX1	0x88B5
#endif

/*
 * struct ethhdr and struct wg_data without their "packed": for each byte of those clang makes a load or a
 * store of its own, and no wider load is forwarded what several stores wrote. BPF accesses need not be
 * aligned.
 */
struct ether {
	__u8	h_dest[ETH_ALEN];
	__u8	h_source[ETH_ALEN];
	__be16	h_proto;
};
TALON_ASSERT_SIZE(struct ether, ETH_HLEN);

struct wg_head {
	__le32	type;			/* one byte, and three of zero */
	__le32	receiver_index;
	__le64	counter;
};
TALON_ASSERT_SIZE(struct wg_head, WG_DATA_HEADER_LEN);

/* What a step tells the entry program to do next. */
enum talon_step {
	STEP_DONE,		/* pkt->end and pkt->action are set */
	STEP_NEXT,		/* continue with the next step of this path */
	STEP_OPEN,		/* a WireGuard data message: session found, key set, open it */
	STEP_TRANSLATE,		/* from the network to the mesh */
	/* a peer's IPv6 packet is after the Ethernet header: answer that there is no route */
	STEP_REFUSE6,
	STEP_SEAL,		/* an inner packet for pkt->peer is after the Ethernet header */
};

enum talon_action {
	ACTION_PASS,
	ACTION_DROP,
	ACTION_SEND,		/* to pkt->ifindex; MACs are written */
	/* to pkt->ifindex, which takes no redirected frames or needs the kernel to resolve the neighbour */
	ACTION_ONWARD,
};

enum talon_inner_kind {
	INNER_FLOW,		/* TCP, UDP, ICMP query: pkt->key is its 5-tuple */
	INNER_FRAGMENT,		/* not the first one: no ports */
	/* pkt->key is the embedded packet's 5-tuple, reversed */
	INNER_ICMP_ERROR,
	INNER_OTHER,		/* a protocol without ports */
};

/* Where the packet's own headers are. */
enum talon_place {
	PLACE_FRAME,		/* as it came: behind the Ethernet header */
	PLACE_OPENED,		/* decrypted, still behind the WireGuard header */
	PLACE_INNER,		/* decrypted, behind the Ethernet header */
	PLACE_SEALING,		/* moved, or encrypted */
};

/* struct talon_endpoint without its lock, which must not be in a per-CPU map. */
struct endpoint_copy {
	__u8	family;
	__u8	flags;
	__be16	local_port;
	__be16	remote_port;
	__u16	mtu;
	__u32	ifindex;
	__u32	generation;
	struct talon_addr local;
	struct talon_addr remote;
	__u8	dmac[6];
	__u8	smac[6];
	__u8	in_smac[6];
	__u8	in_dmac[6];
	__u32	in_ifindex;
};

/* Results of whose() besides its return value. */
struct way {
	__u32	peer;			/* WHOSE_PEER */
	__be32	source;			/* WHOSE_DEVICE: what the host itself would send from */
	__u32	end;			/* WHOSE_NOBODY: enum talon_end */
	/* and the ICMP error that says so, as ICMP_WHAT() makes it; 0: none */
	__u32	what;
	__u8	in_local;		/* WHOSE_US: a destination beyond this host's own addresses */
	__u8	onward;			/* WHOSE_DEVICE: ACTION_ONWARD */
	__u8	no_neigh;		/* WHOSE_DEVICE: the next hop's MAC is not known */
	/* WHOSE_DEVICE: by the way of the flow's record, which stays under its old generation */
	__u8	goes_on;
	__u8	fickle;			/* not the same for all packets of a connection: no verdict is kept */
	__u8	pad[3];
};

/*
 * Steps, in the order in which they run; the comment of each field says which of them write it and which may
 * read it after that.
 *
 *	entry		uplink() and talon_tunnel()
 *	classify	uplink_classify() or tunnel_classify(): the outer headers, or the host's packet
 *	open		session_prepare_open(), the AEAD, session_accept()
 *	read		inner4_read() and inner4_read_embedded(): the inner headers
 *	forward		forward_look(), forward_decide(), forward_track(), whose(): mesh to network
 *	find		translate_find(): network to mesh
 *	rewrite		forward_rewrite() or translate_rewrite()
 *			and all of these for IPv6: inner6_read(), forward6_look() ...
 *	seal		seal_prepare(), the AEAD, seal_finish()
 *	verdict		the last step: counts, and sends, drops or passes
 *
 * A field that no step of the current path has written holds an earlier packet's value.
 */
struct talon_pkt {
	/*
	 * packet_clock(), called by open, find and the tunnel's entry: CLOCK_BOOTTIME. Any step after that.
	 */
	__u64	now_ns;
	__u64	counter;		/* open, seal: of the message. AEAD, replay window, seal */
	__u32	now_s;			/* packet_clock(). Any step after that */
	__u32	dir;			/* entry, open, find: enum talon_dir. verdict */
	/* packet_enter() and packet_leave() alone, with TALON_F_PREEMPTIBLE */
	__u32	busy;
	__u32	end;			/* end(), drop(): enum talon_end. verdict */
	__u32	action;			/* entry, end(), drop(): enum talon_action. verdict */
	__u32	ifindex;		/* the step that sends: the device. verdict */
	/* entry: none; open, find, tunnel's classify; forward for another peer. Any step after that */
	__u32	peer;
	__u32	index;			/* open, seal: the session's receiver index. AEAD, open, seal */
	__u32	flow;			/* forward, find: record id, 0: none. rewrite */
	/* classify: of the WireGuard header. open. In seal: the remote index, for its finish */
	__u32	wg_off;
	__u32	cipher_len;		/* classify: without the tag. open, AEAD */
	__u32	l4_off;			/* read: in the inner frame. find, rewrite */
	__u32	embedded_off;		/* read: of the transport header inside an ICMP error. rewrite */
	/* open, read, icmp: of the inner packet; 0: keepalive. forward, find, rewrite, seal */
	__u32	tot_len;
	/* forward, whose(), fib: that tot_len must not exceed; 0: none. rewrite, seal */
	__u32	mtu;
	__u8	kind;			/* read, icmp: enum talon_inner_kind. forward, find, rewrite */
	__u8	tcp_flags;		/* read: byte 13 of the TCP header, 0 for others. find, rewrite */
	__u8	outer_tos;		/* classify, seal: the outer header's. open, seal */
	__u8	outer_family;		/* classify. open */
	__u8	first_fragment;		/* read: the first of several. forward, find, rewrite */
	__u8	dont_fragment;		/* read. forward, rewrite, seal */
	__u8	icmp_type;		/* read: of an ICMP packet. forward, find */
	/* entry; forward: comes from a peer and goes to one. find, rewrite, seal, verdict */
	__u8	resealed;
	/* entry; icmp: an answer of ours, about which there is no error. icmp, seal */
	__u8	quiet;
	__u8	proto;			/* read, icmp: of the inner packet. forward, find, rewrite */
	__u8	hops;			/* read: TTL as it came. forward, rewrite */
	__u8	place;			/* entry, open, seal: enum talon_place. verdict */
	/* entry; classify, open: the packet that is or will be in the tunnel is IPv6. Any step after that */
	__u8	six;
	__u8	embedded_proto;		/* read: of the IPv6 packet inside an ICMPv6 error. rewrite */
	/* forward, find: the verdict at place @verdict is about this packet. forward, find */
	__u8	has_verdict;
	__u8	pad;
	__be32	frag_id;		/* read: of an IPv6 fragment. forward, find */
	/* icmp6: where an ICMPv6 error of ours comes from. icmp6 */
	struct talon_addr answer;
	/* whose6(): the source that the host itself would use. forward */
	struct talon_addr source;
	/* forward, find: the address that the translated one becomes. rewrite */
	struct talon_addr target;
	struct flow_party party;	/* forward: of a new flow. forward */
	__u16	flags;			/* forward: enum forward_flags. rewrite */
	struct talon_addr inner_src;	/* read: source as it came. forward, find */
	struct talon_addr inner_dst;	/* read: destination as it came. forward, find */
	/* read: 5-tuple, for an ICMP error the embedded one reversed. forward, find, rewrite */
	struct talon_flow_key key;	/* of IPv6: with folds of the addresses below */
	struct talon_addr key_src;
	struct talon_addr key_dst;
	struct talon_addr outer_src;	/* classify. open */
	struct talon_addr outer_dst;	/* classify. open */
	__be16	outer_sport;		/* classify. open */
	__be16	outer_dport;		/* classify. open */
	/* forward, find: config.generation, read before what it stands for. forward, find */
	__u32	generation;
	__u32	verdict;		/* forward, find: place in map verdicts. forward, find */
	struct endpoint_copy endpoint;	/* seal alone */
	struct way way;			/* whose(). forward, find, rewrite */
	struct bpf_fib_lookup fib;	/* fib_lookup4(), fib_lookup6(). forward, rewrite, seal */
	/* AEAD: where the flow that the packet may be of is in the index. AEAD; tag 0: not asked for */
	struct flow_place hint_place;
	__u32	hint;			/* AEAD: record id of such a flow, 0: none. forward */
	struct aead aead;		/* open, seal. AEAD */
	struct talon_event event;	/* event_clear() and the step that sends it; data follows: */
	__u8	event_data[TALON_EVENT_DATA_MAX] __attribute__((aligned(8)));
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct talon_pkt);
} scratch SEC(".maps");

#define ONLY (&(__u32){ 0 })	/* key of one-element arrays */

static __always_inline const struct talon_config *config_get(void)
{
	return bpf_map_lookup_elem(&config, ONLY);
}

/*
 * Claims this CPU's packet state until packet_leave(). Softirqs on one CPU do not preempt each other,
 * so the claim succeeds; but on PREEMPT_RT they are tasks, and since 6.17 the lock that serialized them
 * is optional (PREEMPT_RT_NEEDS_BH_LOCK). Two packets in one state would be sealed with each other's
 * keys and counters: the second one is dropped.
 */
static __always_inline bool packet_enter(struct talon_pkt *pkt, const struct talon_config *cfg)
{
	if (!cfg || !(cfg->flags & TALON_F_PREEMPTIBLE))
		return true;
	return !__sync_lock_test_and_set(&pkt->busy, 1);
}

static __always_inline void packet_leave(struct talon_pkt *pkt, const struct talon_config *cfg)
{
	if (cfg && (cfg->flags & TALON_F_PREEMPTIBLE))
		__sync_lock_test_and_set(&pkt->busy, 0);
}

/* The only place that reads the clock. */
static __always_inline void packet_clock(struct talon_pkt *pkt)
{
	pkt->now_ns = bpf_ktime_get_boot_ns();
	pkt->now_s = pkt->now_ns / TALON_NSEC_PER_SEC;
}

/*
 * Ends the packet's path with @reason. Returns STEP_DONE, so that steps can write `return drop(pkt,
 * TALON_X)`.
 */
static __always_inline int end(struct talon_pkt *pkt, enum talon_end reason, enum talon_action action)
{
	pkt->end = reason;
	pkt->action = action;
	return STEP_DONE;
}

static __always_inline int drop(struct talon_pkt *pkt, enum talon_end reason)
{
	return end(pkt, reason, ACTION_DROP);
}

/* The only place that counts. */
static __always_inline void count(__u32 dir, __u32 reason)
{
	__u32 at = dir * TALON_END_COUNT + reason;
	__u64 *n = bpf_map_lookup_elem(&stats, &at);

	if (n)
		(*n)++;		/* per CPU */
}

/* The first thing that a program does: counts the packet as received. NULL: never. */
static __always_inline struct talon_seen *program_enter(enum talon_program program)
{
	struct talon_seen *seen_here = bpf_map_lookup_elem(&seen, &(__u32){ program });

	if (seen_here)
		seen_here->received++;	/* per CPU */
	return seen_here;
}

static __always_inline bool mac_equal(const __u8 *a, const __u8 *b)
{
	return *(const flow_u32 *)a == *(const flow_u32 *)b &&
		*(const __u16 *)(a + 4) == *(const __u16 *)(b + 4);
}

static __always_inline void addr_set4(struct talon_addr *a, __be32 v4)
{
	a->word[0] = v4;
	a->word[1] = 0;
	a->word[2] = 0;
	a->word[3] = 0;
}

/* Not to or from the stack, where accesses have to be aligned. */
static __always_inline void mac_copy(__u8 *to, const __u8 *from)
{
	*(flow_u32 *)to = *(const flow_u32 *)from;
	*(__u16 *)(to + 4) = *(const __u16 *)(from + 4);
}

/* Back to where the frame came from. */
static __always_inline void ether_turn(struct ether *eth)
{
	flow_u32 low = *(flow_u32 *)eth->h_dest;
	__u16 high = *(__u16 *)(eth->h_dest + 4);

	mac_copy(eth->h_dest, eth->h_source);
	*(flow_u32 *)eth->h_source = low;
	*(__u16 *)(eth->h_source + 4) = high;
}

/* The host's route to an address, or NULL. */
static __always_inline struct talon_host_route *host_route4(__be32 addr)
{
	struct talon_lpm4 key = { .prefixlen = 32, .addr = addr };

	return bpf_map_lookup_elem(&host4, &key);
}

static __always_inline struct talon_host_route6 *host_route6(const struct talon_addr *addr)
{
	struct talon_lpm6 key = { .prefixlen = 128, .addr = *addr };

	return bpf_map_lookup_elem(&host6, &key);
}

/* The peer that an address belongs to, by cryptokey routing. */
static __always_inline __u32 allowed_peer4(__be32 addr)
{
	struct talon_lpm4 key = { .prefixlen = 32, .addr = addr };
	__u32 *peer = bpf_map_lookup_elem(&allowed4, &key);

	return peer ? TALON_ALLOWED_PEER(*peer) : TALON_PEER_NONE;
}

static __always_inline __u32 allowed_peer6(const struct talon_addr *addr)
{
	struct talon_lpm6 key = { .prefixlen = 128, .addr = *addr };
	__u32 *peer = bpf_map_lookup_elem(&allowed6, &key);

	return peer ? TALON_ALLOWED_PEER(*peer) : TALON_PEER_NONE;
}

/*
 * Takes one token of rate @at: one per @ns_each, at most @burst at once. One word for the whole host:
 * the time at which the tokens spent so far will have been earned. A CPU that loses the race three
 * times gets none.
 */
static __always_inline bool rate_take_at(__u64 now_ns, __u32 at, __u64 ns_each, __u32 burst)
{
	struct talon_rate *r = bpf_map_lookup_elem(&rates, &at);

	if (!r)
		return false;
#pragma unroll
	for (int i = 0; i < 3; i++) {
		__u64 old = *(volatile __u64 *)&r->spent_ns, new;

		new = (old > now_ns ? old : now_ns) + ns_each;
		if (new > now_ns + burst * ns_each)
			return false;
		if (__sync_val_compare_and_swap(&r->spent_ns, old, new) == old)
			return true;
	}
	return false;
}

#define RATE_CASE(id, per_second, burst) \
	case TALON_RATE_##id: return rate_take_at(now_ns, which, TALON_NSEC_PER_SEC / (per_second), burst);

static __always_inline bool rate_take(__u64 now_ns, enum talon_rate_id which)
{
	switch (which) {
	TALON_RATES(RATE_CASE)
	default:
		return false;
	}
}
#undef RATE_CASE

/* For packets that strangers can send: each source gets a share. */
static __always_inline bool rate_take_source(__u64 now_ns, __be32 src)
{
	__u32 share = (__u32)src * 2654435761U >> 16 & (TALON_RATE_SOURCES - 1);

	return rate_take_at(now_ns, TALON_RATE_IDS + share, TALON_NSEC_PER_SEC / TALON_RATE_SOURCE_PER_SECOND,
			    TALON_RATE_SOURCE_BURST);
}

static __always_inline bool event_may_be_sent(const struct talon_pkt *pkt)
{
	switch (pkt->event.type) {
	case TALON_EVENT_HANDSHAKE:
		return rate_take(pkt->now_ns, TALON_RATE_HANDSHAKE);
	case TALON_EVENT_NEIGH:
		return rate_take(pkt->now_ns, TALON_RATE_NEIGH);
	case TALON_EVENT_FRAGMENT:
		return rate_take(pkt->now_ns, TALON_RATE_FRAGMENT);
	default:
		return rate_take(pkt->now_ns, TALON_RATE_TOO_BIG);
	}
}

/* Clears the plaintext from the per-CPU memory. */
static __always_inline void event_data_wipe(struct talon_pkt *pkt)
{
	volatile __u64 *word = (volatile __u64 *)pkt->event_data;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < TALON_EVENT_DATA_MAX / 8; i++)
		word[i] = 0;
}

/*
 * Sends pkt->event with the @len bytes of packet from @off. The fields of pkt->event must be filled,
 * type included. Returns 0 when the rate or the ring is exhausted, else 1. A separate function, so that
 * registers are free: 6.1's verifier loses the bounds of a length that was spilled.
 */
__noinline int event_send_packet(ctx_md *ctx, struct talon_pkt *pkt, __u32 off, __u32 len)
{
	int sent;

	if (!pkt || !event_may_be_sent(pkt))
		return 0;
	/*
	 * Written so that 6.1's verifier sees that len is not 0, which it does not learn from a
	 * comparison.
	 */
	len--;
	asm volatile("" : "+r"(len));
	if (len >= TALON_EVENT_DATA_MAX)
		return 0;
	len++;
	if (ctx_load_bytes(ctx, off, pkt->event_data, len))
		return 0;
	pkt->event.len = len;
	len += sizeof(pkt->event);
	if (len > sizeof(pkt->event) + TALON_EVENT_DATA_MAX)
		return 0;
	if (pkt->event.type == TALON_EVENT_FRAGMENT)
		sent = !bpf_ringbuf_output(&event_strays, &pkt->event, len, 0);
	else
		sent = !bpf_ringbuf_output(&event_packets, &pkt->event, len, 0);
	event_data_wipe(pkt);
	return sent;
}

static __always_inline void event_clear(struct talon_pkt *pkt, enum talon_event_type type)
{
	__builtin_memset(&pkt->event, 0, sizeof(pkt->event));
	pkt->event.type = type;
	pkt->event.peer = TALON_PEER_NONE;
	pkt->event.six = pkt->six;
}

/* Sends an event without a packet. Not rate-limited here: frequent events call rate_take() first. */
static __always_inline void event_send(struct talon_pkt *pkt)
{
	bpf_ringbuf_output(&events, &pkt->event, sizeof(pkt->event), 0);
}

#endif
