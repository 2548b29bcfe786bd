/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The inner packet's IPv6 header. Nothing is forwarded yet: what a peer or this host sends is measured here
 * and answered by icmp6.h. Forwarding IPv6 begins with an inner6_read() beside inner4_read().
 */
#ifndef TALON_LIB_INNER6_H
#define TALON_LIB_INNER6_H

#include "lib/frame.h"

/* Sets pkt->tot_len from the header at @ip6. Returns 0, or -1 if the packet is longer than @room bytes. */
static __always_inline int inner6_measure(struct talon_pkt *pkt, const struct ipv6hdr *ip6, __u32 room)
{
	pkt->tot_len = sizeof(*ip6) + bpf_ntohs(ip6->payload_len);
	return pkt->tot_len > room ? -1 : 0;
}

#endif
