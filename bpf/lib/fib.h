/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Next hop and neighbour, asked of the kernel; answers are kept by the caller under config.generation. */
#ifndef TALON_LIB_FIB_H
#define TALON_LIB_FIB_H

#include "lib/frame.h"

/* The device that the question is about: the relay link stands for an uplink, whatever its own settings are. */
static __always_inline __u32 fib_input(ctx_md *ctx)
{
	const struct talon_config *cfg = config_get();
	__u32 ifindex = frame_ifindex(ctx);

	return cfg && ifindex == cfg->relay_ifindex ? cfg->uplinks[0] : ifindex;
}

/* Positive codes are answers too: these name a device. */
static __always_inline bool fib_names_device(int ret)
{
	return ret == BPF_FIB_LKUP_RET_SUCCESS || ret == BPF_FIB_LKUP_RET_NO_NEIGH || ret == BPF_FIB_LKUP_RET_FRAG_NEEDED;
}

/*
 * Asks for the way from @src to @dst (IPv4, network order). The answer is in pkt->fib (ifindex, smac, dmac) and pkt->mtu.
 * Returns a BPF_FIB_LKUP_RET_ code or a negative errno. On _NO_NEIGH pkt->fib has ifindex and gateway.
 */
static __always_inline int fib_lookup4(ctx_md *ctx, struct talon_pkt *pkt, __be32 src, __be32 dst)
{
	int ret;

	__builtin_memset(&pkt->fib, 0, sizeof(pkt->fib));
	pkt->fib.family = AF_INET;
	pkt->fib.ifindex = fib_input(ctx);
	pkt->fib.ipv4_src = src;
	pkt->fib.ipv4_dst = dst;
	ret = bpf_fib_lookup(ctx, &pkt->fib, sizeof(pkt->fib), 0);
	/* With tot_len 0 the helper answers with the path's MTU in the same field. */
	pkt->mtu = pkt->fib.tot_len;
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
	ret = bpf_fib_lookup(ctx, &pkt->fib, sizeof(pkt->fib), 0);
	pkt->mtu = pkt->fib.tot_len;
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
