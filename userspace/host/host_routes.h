/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Maps host4 and host6: the host's routes as the datapath has to know them. */
#ifndef TALON_HOST_HOST_ROUTES_H
#define TALON_HOST_HOST_ROUTES_H

#include <stdbool.h>
#include <stddef.h>

#include "datapath/datapath.h"
#include "host/host_table.h"

/* Zeroed memory is ready for IPv4; with table.family for IPv6. */
struct host_routes {
	struct host_table table;	/* what the map holds */
	bool is_known;			/* ... as far as is known */
	size_t left_out;		/* routes for which there was no room */
};

/* The host's routes as they are now, each with its source address. Returns 0 or a negative errno. */
int host_routes_read(struct host_table *ret_table, uint8_t family, int tunnel_ifindex);
/* Makes the map hold them, by difference; sets *@ret_changed if it changed. Returns 0 or a negative errno. */
int host_routes_sync(struct host_routes *routes, const struct datapath *dp, bool *ret_changed);
/* Empties the map. */
void host_routes_clear(struct host_routes *routes, const struct datapath *dp, bool *ret_changed);
void host_routes_done(struct host_routes *routes);

#endif
