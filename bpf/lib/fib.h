/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Next hop and neighbour lookups in the kernel. Callers cache results under config.generation. */
#ifndef TALON_LIB_FIB_H
#define TALON_LIB_FIB_H

#include "lib/frame.h"

/* The input device of a lookup: for the relay pair an uplink, whatever the pair's own settings are. */
static __always_inline __u32 fib_input(ctx_md *ctx)
{
	const struct talon_config *cfg = config_get();
	__u32 ifindex = frame_ifindex(ctx);

	return cfg && ifindex == cfg->relay_ifindex ? cfg->uplinks[0] : ifindex;
}

/* Positive codes are answers too; these name a device. */
static __always_inline bool fib_names_device(int ret)
{
	return ret == BPF_FIB_LKUP_RET_SUCCESS || ret == BPF_FIB_LKUP_RET_NO_NEIGH ||
		ret == BPF_FIB_LKUP_RET_FRAG_NEEDED;
}

/*
 * A length that fits every device: with 0 the helper returns the device's MTU to tc, which says nothing
 * about the path. The path MTU is returned in the same field, but only together with a next hop.
 */
#define FIB_ASK_LEN		1
#define NEXT_HOP_USED_NS	TALON_NSEC_PER_SEC	/* as precise as the controller needs it */

/*
 * The kernel probes neighbours that it uses itself. The controller has to probe ours, and learns here
 * which they are.
 */
static __always_inline void fib_note_next_hop(struct talon_pkt *pkt)
{
	struct talon_next_hop hop = { .ifindex = pkt->fib.ifindex, .family = pkt->fib.family };
	__u64 now = pkt->now_ns, *used;

	if (hop.family == AF_INET)
		hop.addr.word[0] = pkt->fib.ipv4_dst;
	else
		hop.addr = *(struct talon_addr *)pkt->fib.ipv6_dst;
	used = bpf_map_lookup_elem(&next_hops, &hop);
	if (!used)
		bpf_map_update_elem(&next_hops, &hop, &now, BPF_ANY);
	else if (now - *used > NEXT_HOP_USED_NS)
		*used = now;
}

/*
 * The helper ignores a route's MTU that is not locked; the kernel's forwarding obeys it
 * (ip_dst_mtu_maybe_forward). @route_mtu 0: the route has none.
 */
static __always_inline void fib_obey_mtu(struct talon_pkt *pkt, __u32 route_mtu)
{
	if (route_mtu && (!pkt->mtu || route_mtu < pkt->mtu))
		pkt->mtu = route_mtu;
}

/*
 * Looks up the path from @src to @dst (IPv4, network order). The answer is in pkt->fib (ifindex, smac,
 * dmac) and pkt->mtu. pkt->mtu is 0 where there is no next hop to send to. Returns a BPF_FIB_LKUP_RET_
 * code or a negative errno. On _NO_NEIGH pkt->fib has ifindex and gateway.
 */
static __always_inline int fib_lookup4(ctx_md *ctx, struct talon_pkt *pkt, __be32 src, __be32 dst)
{
	int ret;

	__builtin_memset(&pkt->fib, 0, sizeof(pkt->fib));
	pkt->fib.family = AF_INET;
	pkt->fib.ifindex = fib_input(ctx);
	pkt->fib.ipv4_src = src;
	pkt->fib.ipv4_dst = dst;
	pkt->fib.tot_len = FIB_ASK_LEN;
	ret = bpf_fib_lookup(ctx, &pkt->fib, sizeof(pkt->fib), 0);
	pkt->mtu = pkt->fib.tot_len > FIB_ASK_LEN ? pkt->fib.tot_len : 0;
	if (ret == BPF_FIB_LKUP_RET_SUCCESS)
		fib_note_next_hop(pkt);
	return ret;
}

static __always_inline int fib_lookup6(ctx_md *ctx, struct talon_pkt *pkt, const struct talon_addr *src,
				       const struct talon_addr *dst)
{
	int ret;

	__builtin_memset(&pkt->fib, 0, sizeof(pkt->fib));
	pkt->fib.family = AF_INET6;
	pkt->fib.ifindex = fib_input(ctx);
	*(struct talon_addr *)pkt->fib.ipv6_src = *src;
	*(struct talon_addr *)pkt->fib.ipv6_dst = *dst;
	pkt->fib.tot_len = FIB_ASK_LEN;
	ret = bpf_fib_lookup(ctx, &pkt->fib, sizeof(pkt->fib), 0);
	pkt->mtu = pkt->fib.tot_len > FIB_ASK_LEN ? pkt->fib.tot_len : 0;
	if (ret == BPF_FIB_LKUP_RET_SUCCESS)
		fib_note_next_hop(pkt);
	return ret;
}

/* Fills pkt->event for a next hop whose MAC is not known: pkt->fib is as the lookup left it. */
static __always_inline void fib_event_neigh(struct talon_pkt *pkt)
{
	event_clear(pkt, TALON_EVENT_NEIGH);
	pkt->event.ifindex = pkt->fib.ifindex;
	pkt->event.peer = pkt->peer;
	if (pkt->fib.family == AF_INET) {
		pkt->event.addr.word[0] = pkt->fib.ipv4_dst;
		pkt->event.addr2.word[0] = pkt->fib.ipv4_src;
	} else {
		pkt->event.addr = *(struct talon_addr *)pkt->fib.ipv6_dst;
		pkt->event.id = 1;	/* addr is IPv6 */
	}
}

#endif
