// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Map local_addrs: the addresses of this host.
#include <bpf/bpf.h>

#include "host/local_addrs.h"
#include "net/net.h"

static void put_local(const struct net_addr *addr, void *user)
{
	int map = datapath_map_fd(((struct local_addrs *)user)->dp, DATAPATH_MAP_LOCAL_ADDRS);
	struct local_addrs *addrs = user;
	uint8_t mark;

	addrs->changed |= bpf_map_lookup_elem(map, &addr->addr, &mark) != 0;
	bpf_map_update_elem(map, &addr->addr, &addrs->mark, BPF_ANY);
}

/* Returns whether there were any to delete. */
static bool prune_addrs(int map, uint8_t current)
{
	struct talon_addr key, next, *last = NULL;
	bool any = false;
	uint8_t mark;

	while (!bpf_map_get_next_key(map, last, &next)) {
		if (!bpf_map_lookup_elem(map, &next, &mark) && mark != current) {
			bpf_map_delete_elem(map, &next);
			any = true;
			continue;
		}
		key = next;
		last = &key;
	}
	return any;
}

/* Marks current addresses with a new value, then deletes entries that kept the old one. */
bool local_addrs_read(struct local_addrs *addrs)
{
	addrs->mark++;
	addrs->changed = false;
	if (!net_addr_list(put_local, addrs))
		addrs->changed |= prune_addrs(datapath_map_fd(addrs->dp, DATAPATH_MAP_LOCAL_ADDRS),
			addrs->mark);
	return addrs->changed;
}
