// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Typed access to the pinned maps.
#include <errno.h>
#include "plane/internal.h"

int map_write(const struct plane *p, enum datapath_map map, uint32_t key, const void *value, uint64_t flags)
{
	return bpf_map_update_elem(datapath_map_fd(p->dp, map), &key, value, flags) ? -errno : 0;
}

int map_read(const struct plane *p, enum datapath_map map, uint32_t key, void *ret_value)
{
	return bpf_map_lookup_elem(datapath_map_fd(p->dp, map), &key, ret_value) ? -errno : 0;
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

int map_read_peer_stats(const struct plane *p, uint32_t peer, struct talon_peer_stats *ret_stats)
{
	struct talon_peer_stats sum = {};
	int ret = map_read(p, DATAPATH_MAP_PEER_STATS, peer, p->percpu);

	if (ret)
		return ret;
	for (unsigned i = 0; i < p->cpus; i++) {
		const struct talon_peer_stats *s = &p->percpu[i];

		sum.rx_bytes += s->rx_bytes;
		sum.tx_bytes += s->tx_bytes;
		sum.rx_packets += s->rx_packets;
		sum.tx_packets += s->tx_packets;
		sum.rx_ns = later(sum.rx_ns, s->rx_ns);
		sum.tx_ns = later(sum.tx_ns, s->tx_ns);
		sum.rx_data_ns = later(sum.rx_data_ns, s->rx_data_ns);
		sum.tx_data_ns = later(sum.tx_data_ns, s->tx_data_ns);
		sum.rx_relay_ns = later(sum.rx_relay_ns, s->rx_relay_ns);
		sum.rx_direct_ns = later(sum.rx_direct_ns, s->rx_direct_ns);
	}
	*ret_stats = sum;
	return 0;
}

int map_write_config(struct plane *p)
{
	return map_write(p, DATAPATH_MAP_CONFIG, 0, &p->map_config, BPF_ANY);
}

void map_write_info(struct plane *p)
{
	map_write(p, DATAPATH_MAP_INFO, 0, &p->info, BPF_ANY);
}

void map_bump_generation(struct plane *p)
{
	p->sees_change = false;
	p->map_config.generation++;
	if (!p->map_config.generation)
		p->map_config.generation = 1;	/* 0 means "not decided yet" */
	map_write_config(p);
}

int plane_set_vips(struct plane *p, const struct vip_wish *wish)
{
	int ret = p->device ? vip_table_set(p->dp, wish, &p->sees_change) : -EAGAIN;

	if (p->sees_change)
		map_bump_generation(p);
	return ret;
}
