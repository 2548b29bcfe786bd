// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// IPv6 inside the tunnel: whether this host can carry it, and what the datapath needs for it.
#include <stdio.h>
#include <string.h>

#include "log/log.h"
#include "plane/internal.h"

static bool is_wanted(const struct plane *p)
{
	return endpoints_has_addr(&p->map_config.mesh_addr6);
}

/* Once for each reason; a mesh takes back what it said about this host. */
static void set_why(struct plane *p, const char *why)
{
	if (!strcmp(p->no_ipv6, why))
		return;
	if (why[0] && is_wanted(p))
		log_warn("the tunnel carries IPv4 only: %s", why);
	else if (is_wanted(p))
		log_info("the tunnel carries IPv6");
	snprintf(p->no_ipv6, sizeof(p->no_ipv6), "%s", why);
	if (p->is_ready)
		hazards_update(p);
	plane_note_network(p);
}

/* Routes and the node's address are there before packets are, and go after them. */
static void set_carried(struct plane *p, bool is_carried)
{
	struct talon_config *mc = &p->map_config;

	if (p->ways.has_six == is_carried && !!(mc->flags & TALON_F_INNER6) == is_carried)
		return;
	p->ways.has_six = is_carried;
	mc->flags &= ~TALON_F_INNER6;
	if (!is_carried)
		map_write_config(p);
	map_config_update(p);
	if (is_carried)
		mc->flags |= TALON_F_INNER6;
	map_bump_generation(p);
	if (p->is_ready)
		hazards_update(p);
}

bool inner6_forwards(const struct plane *p)
{
	return (p->map_config.flags & TALON_F_INNER6) && p->routes6.count;
}

void inner6_follow(struct plane *p)
{
	const struct datapath_tunnel_info *tunnel = datapath_get_tunnel(p->dp);
	char why[sizeof(p->no_ipv6)] = "";
	bool is_off = net_ipv6_is_off("", tunnel->name, p->config->mtu, why, sizeof(why));

	/* it was off, and that is why the kernel refused */
	if (!is_off && p->is_ipv6_off)
		tunnel_routes_check_soon(&p->tunnel_routes);
	p->is_ipv6_off = is_off;
	if (!is_off && is_wanted(p))
		snprintf(why, sizeof(why), "%s", tunnel_routes_why_no_ipv6(&p->tunnel_routes));
	set_why(p, why);
	set_carried(p, is_wanted(p) && !why[0]);
}

const char *plane_why_no_ipv6(const struct plane *p)
{
	return p->no_ipv6;
}
