// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Map local_addrs: the addresses of this host.
#include <bpf/bpf.h>

#include "host/local_addrs.h"
#include "net/net.h"

static void put_local(const struct net_addr *addr, void *user)
{
	const struct local_addrs *addrs = user;

	bpf_map_update_elem(datapath_map_fd(addrs->dp, DATAPATH_MAP_LOCAL_ADDRS), &addr->addr, &addrs->mark,
		BPF_ANY);
}

static void prune_addrs(int map, uint8_t current)
{
	struct talon_addr key, next, *last = NULL;
	uint8_t mark;

	while (!bpf_map_get_next_key(map, last, &next)) {
		if (!bpf_map_lookup_elem(map, &next, &mark) && mark != current) {
			bpf_map_delete_elem(map, &next);
			continue;
		}
		key = next;
		last = &key;
	}
}

/* Marks current addresses with a new value, then deletes entries that kept the old one. */
void local_addrs_read(struct local_addrs *addrs)
{
	addrs->mark++;
	if (net_addr_list(put_local, addrs))
		return;
	prune_addrs(datapath_map_fd(addrs->dp, DATAPATH_MAP_LOCAL_ADDRS), addrs->mark);
}
