/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Segments of TCP connections that nobody owns between two controllers: see talon/relayed_types.h. */
#ifndef TALON_LIB_QUIET_H
#define TALON_LIB_QUIET_H

#include <linux/tcp.h>

#include "lib/packet.h"

static __always_inline bool quiet_addresses(ctx_md *ctx, struct talon_quiet *key, __u32 *ret_off)
{
	struct ether *eth = frame_eth(ctx);
	struct ipv6hdr *ip6;
	struct iphdr *ip;

	if (!eth)
		return false;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		ip = frame_ip(ctx);
		if (!ip || ip->protocol != IPPROTO_TCP || ip->ihl != 5)
			return false;
		key->remote.word[0] = ip->saddr;
		key->local.word[0] = ip->daddr;
		*ret_off = L3_OFF + sizeof(*ip);
		return true;
	}
	if (eth->h_proto != bpf_htons(ETH_P_IPV6))
		return false;
	ip6 = frame_at(ctx, L3_OFF, sizeof(*ip6));
	if (!ip6 || ip6->nexthdr != IPPROTO_TCP)
		return false;
	__builtin_memcpy(&key->remote, &ip6->saddr, sizeof(key->remote));
	__builtin_memcpy(&key->local, &ip6->daddr, sizeof(key->local));
	*ret_off = L3_OFF + sizeof(*ip6);
	return true;
}

/* Of a frame that is for the host: drops it if its connection has to keep quiet. */
__noinline int quiet_look(ctx_md *ctx, struct talon_pkt *pkt)
{
	struct talon_quiet key = {};
	__be16 *ports;
	__u64 *until;
	__u32 off;

	if (!pkt || frame_is_tagged(ctx) || !quiet_addresses(ctx, &key, &off))
		return STEP_DONE;
	ports = frame_at(ctx, off, 2 * sizeof(*ports));
	if (!ports)
		return STEP_DONE;
	key.remote_port = ports[0];
	key.local_port = ports[1];
	until = bpf_map_lookup_elem(&quiet, &key);
	if (!until || bpf_ktime_get_boot_ns() >= *until)
		return STEP_DONE;
	pkt->dir = TALON_DIR_IN;
	return drop(pkt, TALON_QUIET);
}

#endif
