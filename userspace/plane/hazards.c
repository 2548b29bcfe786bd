// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Conditions on this host that can break forwarding, one line each, for status.
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "log/log.h"
#include "plane/internal.h"

/* Logged once, when they begin or change. */
static void add_ciliums(struct plane *p, char *text, size_t size)
{
	char lines[sizeof(p->uplinks.cilium)];

	datapath_cilium_hazards(p->dp, lines, sizeof(lines));
	text_append(text, size, "%s", lines);
	if (!strcmp(lines, p->uplinks.cilium))
		return;
	strcpy(p->uplinks.cilium, lines);
	for (char *line = lines, *end; (end = strchr(line, '\n')); line = end + 1)
		log_warn("%.*s", (int)(end - line), line);
}

void hazards_update(struct plane *p)
{
	char *const text = p->info.hazards;
	const size_t size = sizeof(p->info.hazards);
	const char *uplinks[TALON_UPLINKS_MAX];
	unsigned n = datapath_uplink_count(p->dp);
	const struct net_hazard_question question = { .uplinks = uplinks, .count = n,
		.tunnel = datapath_get_tunnel(p->dp)->name, .six = inner6_forwards(p),
		.forwards_none = p->config->mesh.agent && !p->routes.count,
		.by_tunnel = p->map_config.flags & TALON_F_HANDUP_TUNNEL };
	char why[200];
	size_t at;

	for (unsigned i = 0; i < n; i++)
		uplinks[i] = datapath_get_uplink(p->dp, i)->name;
	memset(text, 0, size);
	/* What stops packets goes first, so that it is shown even if the rest does not fit. */
	if (p->uplinks.trouble[0])
		text_append(text, size, "%s\n", p->uplinks.trouble);
	add_ciliums(p, text, size);
	at = strlen(text);
	net_hazards(&question, text + at, size - at);
	if (map_config_check_mtu(p, why, sizeof(why)))
		text_append(text, size, "%s\n", why);
	if (endpoints_has_addr(&p->map_config.mesh_addr6) && p->no_ipv6[0])
		text_append(text, size, "the tunnel carries IPv4 only: %s\n", p->no_ipv6);
	if (p->uplinks.threads[0])
		text_append(text, size, "%s\n", p->uplinks.threads);
	text_append(text, size, "%s", p->ways.hazards);
	locals_hazards(p, text, size);
	if (p->map_config.flags & TALON_F_PREEMPTIBLE)
		text_append(text, size,
			"real-time kernel (PREEMPT_RT): packets that preempt each other on one CPU are "
			"dropped (preempted)\n");
	if (p->ports_unknown)
		text_append(text, size,
			"this kernel cannot list sockets (no inet_diag), so SNAT may use ports of this "
			"host's own\n");
	if (!(p->map_config.flags & TALON_F_SNAT_OWN) &&
	    nat_ports_check_range(p->config->port_first, p->config->port_last, why, sizeof(why)))
		text_append(text, size, "%s\n", why);
}
