/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The pods of this node under Cilium, by the node's routes. What is for them has to pass the host's stack
 * with the peer's own source, where Cilium's programs expect it.
 */
#ifndef TALON_HOST_CILIUM_PODS_H
#define TALON_HOST_CILIUM_PODS_H

#include <stdbool.h>
#include <stddef.h>

#include "host/services.h"
#include "net/net.h"

#define CILIUM_HOST_ADDRS_MAX	8

/* What Cilium's agent has made on this host. */
struct cilium_pods {
	int ifindex;			/* of cilium_host; 0: there is none */
	struct net_addr addrs[CILIUM_HOST_ADDRS_MAX];	/* its own: one of each range here */
	size_t addr_count;
	int *endpoints;			/* devices of single pods: lxc... */
	size_t endpoint_count;
};

/*
 * Whether @route leads to pods of this node: a range by cilium_host that has an address of that device
 * (ranges of other nodes, which a tunnel puts there as well, have none), or one pod by its own device.
 */
bool cilium_pods_has(const struct cilium_pods *pods, const struct net_route *route);
/*
 * Reads links, addresses and routes. Returns 0, with an empty list where Cilium is not, or a negative
 * errno.
 */
int cilium_pods_look(struct services *ret_list);

#endif
