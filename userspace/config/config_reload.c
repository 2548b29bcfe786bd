// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Reloading the static file: which settings change while the datapath runs, and which need a restart.
#include <stdio.h>
#include <string.h>

#include "config/config_internal.h"

static bool same_list(const void *a, size_t a_count, const void *b, size_t b_count, size_t size)
{
	return a_count == b_count && (!a_count || !memcmp(a, b, a_count * size));
}

#define SAME(field) (!memcmp(&a->field, &b->field, sizeof(a->field)))

/* No default case: the compiler names an option that is missing here. */
static bool is_same(const struct config *a, const struct config *b, enum option option)
{
	switch (option) {
	case OPTION_PRIVATE_KEY:
		return SAME(private_key);
	case OPTION_LISTEN_PORT:
		return a->listen_port == b->listen_port;
	case OPTION_ADDRESS:
		return same_list(a->addresses, a->address_count, b->addresses, b->address_count,
			sizeof(*a->addresses));
	case OPTION_MTU:
		return a->mtu == b->mtu;
	case OPTION_UPLINK:
		return a->uplink_count == b->uplink_count && SAME(uplinks);
	case OPTION_SNAT:
		return a->snat_addr == b->snat_addr;
	case OPTION_SNAT_PORTS:
		return a->port_first == b->port_first && a->port_last == b->port_last;
	case OPTION_DATAPATH:
		return a->datapath == b->datapath;
	case OPTION_XDP_DISPATCHER:
		return a->dispatcher == b->dispatcher;
	case OPTION_XDP_PRIORITY:
		return a->xdp_priority == b->xdp_priority;
	case OPTION_HOST_ADDRESS:
		return a->host_address == b->host_address;
	case OPTION_LOCAL:
		return same_list(a->local, a->local_count, b->local, b->local_count, sizeof(*a->local));
	case OPTION_HAND_UP:
		return a->hand_up == b->hand_up;
	case OPTION_UPLINK_THREADS:
		return a->uplink_threads == b->uplink_threads;
	case OPTION_TUNNEL:
		return !strcmp(a->tunnel, b->tunnel);
	case OPTION_MAX_PEERS:
		return a->max_peers == b->max_peers;
	case OPTION_MAX_FLOWS:
		return a->max_flows == b->max_flows;
	case OPTION_KEYSTREAM_MEMORY:
		return a->keystream_memory == b->keystream_memory;
	case OPTION_METRICS:
		return a->metrics.family == b->metrics.family && a->metrics.port == b->metrics.port &&
			SAME(metrics.addr) && !strcmp(a->metrics.path, b->metrics.path);
	case OPTION_METRICS_PEERS:
		return a->metrics.peers == b->metrics.peers;
	case OPTION_METRICS_ALIASES:
		return a->metrics.aliases == b->metrics.aliases;
	case OPTION_PIN_DIR:
		return !strcmp(a->pin_dir, b->pin_dir);
	case OPTION_ROUTE:
	case OPTION_CAPTURE:
	case OPTION_LOG_LEVEL:
		return true;	/* applied at once */
	case OPTION_LOG_FORMAT:
	case OPTION_LOG_FILE:
	case OPTION_COUNT:
		return true;	/* not in the file */
	}
	return true;
}

size_t config_list_fixed(const struct config *now, const struct config *fresh, char *names, size_t size)
{
	size_t len = 0, count = 0;

	names[0] = 0;
	for (enum option i = 0; i < OPTION_COUNT; i++) {
		if (is_same(now, fresh, i))
			continue;
		count++;
		if (len < size)
			len += snprintf(names + len, size - len, "%s%s", len ? ", " : "",
				config_option_table[i].key ?: config_option_table[i].flag);
	}
	return count;
}

#define SWAP(a, b) do { __typeof__(a) swap_ = (a); (a) = (b); (b) = swap_; } while (0)

void config_take_peers(struct config *now, struct config *fresh)
{
	SWAP(now->peers, fresh->peers);
	SWAP(now->peer_count, fresh->peer_count);
	SWAP(now->routes, fresh->routes);
	SWAP(now->route_count, fresh->route_count);
	now->log_level = fresh->log_level;
	now->capture = fresh->capture;
}
