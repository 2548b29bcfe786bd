// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The local side of endpoints: when an address leaves this host, packets get another source.
#include <string.h>

#include "plane/internal.h"
#include "log/log.h"

/* an address is often removed only to be added again or replaced: one update covers both */
#define FOLLOW_NS	(50 * LOOP_MS)

/*
 * A peer learns our new address from our next packet. Send one now: it may have packets for us while we
 * have none for it.
 */
static void show_ourselves(struct plane *p, uint32_t peer)
{
	struct device_peer_sessions s;

	if (!device_get_peer_sessions(p->device, peer, &s) && s.current)
		inject_keepalive(&p->inject, peer);
}

static void tell_device(struct plane *p, uint32_t peer, const struct endpoint *to)
{
	if (plane_is_pinned(p) && !p->slots_of[peer].roams)
		device_set_peer_path(p->device, clock_boot_ns(), peer, to);
	else
		device_set_peer_endpoint(p->device, peer, to);
}

static bool is_same(const struct talon_addr *a, const struct talon_addr *b)
{
	return !memcmp(a, b, sizeof(*a));
}

/* The datapath may have switched first, to the node's address. */
static void follow_peer(struct plane *p, uint32_t peer)
{
	struct endpoint to, known = {};
	struct talon_endpoint e;
	bool is_known;

	if (endpoints_read(&p->endpoints, peer, &e) || !e.family || e.flags & TALON_ENDPOINT_RELAY)
		return;
	endpoints_from_map(&e, &to);
	is_known = !device_get_peer_endpoint(p->device, peer, &known) && is_same(&known.remote, &to.remote);
	if (is_known)
		to.ifindex = known.ifindex;	/* the scope of a link-local one */
	endpoints_choose_local(&p->endpoints, &to);
	if (is_same(&to.local, &e.local) && (!is_known || !endpoints_has_addr(&known.local) ||
		endpoints_is_own(&p->endpoints, &known.local)))
		return;
	if (endpoints_set_local(&p->endpoints, peer, &e, &to.local))
		return;
	tell_device(p, peer, &to);
	if (endpoints_has_addr(&to.local))
		show_ourselves(p, peer);
}

void follow_tick(void *ctx)
{
	struct plane *p = ctx;

	if (!p->is_ready)
		return;
	local_addrs_read(&p->local_addrs);
	map_config_update(p);
	for (uint32_t i = 0; i < p->peers_max; i++) {
		if (p->infos[i].present)
			follow_peer(p, i);
	}
	map_bump_generation(p);		/* lookups that the datapath made meanwhile were too early */
	plane_wake(p);
}

void follow_soon(struct plane *p)
{
	if (!loop_timer_is_set(&p->follow))
		loop_timer_after(p->loop, &p->follow, FOLLOW_NS);
}
