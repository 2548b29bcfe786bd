// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The host's network changed: connections from an address that is gone are made again at once.
#include "mesh/internal.h"
#include "stream/stream.h"

/*
 * An address, its routes and the neighbour entry of the gateway come one by one, and not all of them are
 * reported. So clients that wait before they connect again are made to try a few times, at growing intervals.
 * Clients that are connected or connecting are left alone.
 */
static const uint64_t tries_after_ns[] = {
	20 * LOOP_MS, 130 * LOOP_MS, 350 * LOOP_MS, 500 * LOOP_MS, 1000 * LOOP_MS, 2000 * LOOP_MS,
};

/*
 * A change that brings no new address begins a series at most this often: devices come and go with every
 * container, and the server may be down.
 */
#define CALM_NS (30 * LOOP_SECOND)

#define TRIES (sizeof(tries_after_ns) / sizeof(tries_after_ns[0]))

static void try_now(void *ctx)
{
	struct mesh *mesh = ctx;

	if (mesh->ends)
		return;
	management_network_changed(mesh->management);
	relay_manager_network_changed(mesh->relay);
	if (mesh->signal)
		signal_network_changed(mesh->signal);
	if (mesh->network_tries < TRIES)
		loop_timer_after(mesh->loop, &mesh->network_timer, tries_after_ns[mesh->network_tries++]);
}

void mesh_network_init(struct mesh *mesh)
{
	loop_timer_init(&mesh->network_timer, try_now, mesh);
	mesh_ipv6_init(mesh);
}

void mesh_network_changed(struct mesh *mesh)
{
	struct endpoint locals[8];
	size_t count = plane_local_endpoints(mesh->plane, locals, sizeof(locals) / sizeof(locals[0]));

	mesh_check_ipv6(mesh);
	if (stream_addresses_changed(mesh->loop) || loop_now(mesh->loop) - mesh->network_ns >= CALM_NS) {
		mesh->network_ns = loop_now(mesh->loop);
		mesh->network_tries = 1;
		loop_timer_after(mesh->loop, &mesh->network_timer, tries_after_ns[0]);
	}
	if (ice_mux_set_host(mesh->ice, locals, count))
		peers_candidates_changed(mesh->peers);
	if (mesh->config->mesh.block_lan_access)	/* the host's networks are part of the access rules */
		mesh_apply_soon(mesh);
}
