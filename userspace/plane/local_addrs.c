// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Map local_addrs: the addresses of this host.
#include "plane/internal.h"

struct local_fill {
	struct plane *p;
	uint8_t mark;
};

static void put_local(const struct net_addr *addr, void *user)
{
	struct local_fill *fill = user;

	bpf_map_update_elem(datapath_map_fd(fill->p->dp, DATAPATH_MAP_LOCAL_ADDRS), &addr->addr, &fill->mark,
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
void local_addrs_read(struct plane *p)
{
	struct local_fill fill = { .p = p, .mark = ++p->local_mark };

	if (net_addr_list(put_local, &fill))
		return;
	prune_addrs(datapath_map_fd(p->dp, DATAPATH_MAP_LOCAL_ADDRS), fill.mark);
}
