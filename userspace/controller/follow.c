// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Our own side of endpoints: an address that left this host is the source of nothing any more, and what is sent follows to another.
#include <string.h>

#include "controller/internal.h"
#include "log/log.h"

#define FOLLOW_NS	(50 * LOOP_MS)	/* an address often goes to come back, or for another: one look for both */

static bool is_set(const struct talon_addr *addr)
{
	static const struct talon_addr zero;

	return memcmp(addr, &zero, sizeof(zero)) != 0;
}

static bool is_own(const struct controller *c, const struct talon_addr *addr)
{
	uint8_t mark;

	return !bpf_map_lookup_elem(datapath_map_fd(c->dp, DATAPATH_MAP_LOCAL_ADDRS), addr, &mark);
}

void follow_choose_local(const struct controller *c, struct endpoint *endpoint)
{
	if (is_set(&endpoint->local) && !is_own(c, &endpoint->local))
		memset(&endpoint->local, 0, sizeof(endpoint->local));
	socket_choose_local(endpoint);
}

/* The peer learns where we are by the next packet: it shall not wait for one of ours while it has some for us. */
static void show_ourselves(struct controller *c, uint32_t peer)
{
	struct device_peer_sessions s;

	if (!device_get_peer_sessions(c->device, peer, &s) && s.current)
		inject_keepalive(c, peer);
}

static void tell_device(struct controller *c, uint32_t peer, const struct endpoint *to)
{
	if (plane_is_pinned(c))
		device_set_peer_path(c->device, clock_boot_ns(), peer, to);
	else
		device_set_peer_endpoint(c->device, peer, to);
}

static bool is_same(const struct talon_addr *a, const struct talon_addr *b)
{
	return !memcmp(a, b, sizeof(*a));
}

/* The datapath may have been first, with the node's address. */
static void follow_peer(struct controller *c, uint32_t peer)
{
	struct endpoint to, known = {};
	struct talon_endpoint e;
	bool is_known;

	if (endpoint_read(c, peer, &e) || !e.family || e.flags & TALON_ENDPOINT_RELAY)
		return;
	endpoint_from_map(&e, &to);
	is_known = !device_get_peer_endpoint(c->device, peer, &known) && is_same(&known.remote, &to.remote);
	if (is_known)
		to.ifindex = known.ifindex;	/* the scope of a link-local one */
	follow_choose_local(c, &to);
	if (is_same(&to.local, &e.local) && (!is_known || !is_set(&known.local) || is_own(c, &known.local)))
		return;
	e.local = to.local;
	e.flags &= ~TALON_ENDPOINT_L2;
	endpoint_fill_way(c, &e);
	if (map_write(c, DATAPATH_MAP_ENDPOINTS, peer, &e, BPF_F_LOCK))
		return;
	tell_device(c, peer, &to);
	if (is_set(&to.local))
		show_ourselves(c, peer);
}

void follow_tick(void *ctx)
{
	struct controller *c = ctx;

	if (!c->is_ready)
		return;
	start_local_addrs(c);
	start_links(c);
	for (uint32_t i = 0; i < c->peers_max; i++) {
		if (c->infos[i].present)
			follow_peer(c, i);
	}
	map_bump_generation(c);		/* what the datapath looked at meanwhile, it looked at too early */
	controller_wake(c);
}

void follow_soon(struct controller *c)
{
	if (!loop_timer_is_set(&c->follow))
		loop_timer_after(c->loop, &c->follow, FOLLOW_NS);
}
