/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What kube-proxy serves on this host, by its rules in netfilter: nftables, iptables-nft, iptables-legacy.
 * Read, never written.
 */
#ifndef TALON_HOST_KUBE_PROXY_H
#define TALON_HOST_KUBE_PROXY_H

#include <stdbool.h>
#include <stdint.h>

#include "host/services.h"
#include "net/net.h"

/* What was seen at the last reading; zero: nothing was read. */
struct kube_proxy {
	bool has_nft;			/* nftables is in the kernel */
	bool has_asked;			/* ... was looked for as something built in */
	bool is_read;
	uint32_t generation;		/* of nftables' rules */
	struct net_iptables_size sizes[4];	/* of iptables-legacy's tables */
	int legacy_error;		/* why those are left out of the list; 0: they are not */
	uint64_t read_ns, cost_ns;	/* when, and how long it took */
};

/*
 * Reads again if something may have changed since: nftables says so itself; of iptables-legacy the sizes
 * tell, and what leaves them alone is seen within 10 seconds. Costs two questions to the kernel otherwise.
 * Tables that are there and cannot be read are an error, not a host without services; only if those of
 * iptables-legacy never had any, the list is that of nftables, with @legacy_error. Returns 1 with the new
 * list in @ret_list; 0: as before; or a negative errno.
 */
int kube_proxy_look(struct kube_proxy *proxy, uint64_t now_ns, struct services *ret_list);

#endif
