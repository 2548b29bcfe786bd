// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A static file as desired state. Unlike a mesh's peers, its peers have configured endpoints and roam.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/value.h"
#include "daemon/static.h"

/* Networks behind peers are reached through the tunnel too; a default route is never installed. */
static size_t fill_host_routes(const struct config *config, struct cidr *list)
{
	size_t count = 0;

	for (size_t i = 0; i < config->peer_count; i++) {
		for (size_t j = 0; j < config->peers[i].allowed_count; j++) {
			const struct cidr *a = &config->peers[i].allowed[j];

			if (!a->prefixlen)
				continue;
			if (list)
				list[count] = *a;
			count++;
		}
	}
	return count;
}

static void fill_peer(const struct config_peer *from, struct plane_peer *to)
{
	memcpy(to->public_key, from->public_key, KEY_LEN);
	memcpy(to->preshared_key.bytes, from->preshared_key, KEY_LEN);
	memcpy(to->name, from->name, sizeof(to->name));
	to->keepalive_s = from->keepalive_s;
	to->allowed = from->allowed;
	to->allowed_count = from->allowed_count;
}

/* A name that is yet to be looked up moves its peer when it is found. */
static void place(struct plane *plane, struct config_peer *peer)
{
	const struct endpoint said = { .family = peer->endpoint.family, .port = peer->endpoint.port,
		.remote = peer->endpoint.addr, .ifindex = value_zone_index(peer->endpoint.zone) };

	plane_place(plane, plane_find_peer(plane, peer->public_key), &said, peer->is_moved);
	if (said.family)
		peer->is_moved = false;
}

int static_apply(struct plane *plane, struct config *config, char *err, size_t errlen)
{
	struct plane_peer *peers = calloc(config->peer_count + 1, sizeof(*peers));
	struct cidr *host_routes = calloc(fill_host_routes(config, NULL) + 1, sizeof(*host_routes));
	struct plane_state state = {
		.mesh_addr = config->mesh_addr,
		.mesh_prefixlen = __builtin_popcount(config->mesh_mask),
		.mesh_addr6 = config->mesh_addr6,
		.mesh_prefixlen6 = config->mesh_len6,
		.peers = peers,
		.peer_count = config->peer_count,
		.routes = config->routes,
		.route_count = config->route_count,
		.host_routes = host_routes,
	};
	int ret = -ENOMEM;

	if (!peers || !host_routes) {
		snprintf(err, errlen, "peers: %s", strerror(-ret));
		goto out;
	}
	for (size_t i = 0; i < config->peer_count; i++)
		fill_peer(&config->peers[i], &peers[i]);
	state.host_route_count = fill_host_routes(config, host_routes);
	ret = plane_apply(plane, &state, err, errlen);
	for (size_t i = 0; i < config->peer_count && !ret; i++)
		place(plane, &config->peers[i]);
out:
	for (size_t i = 0; peers && i < config->peer_count; i++)
		secret_key_wipe(&peers[i].preshared_key);
	free(peers);
	free(host_routes);
	return ret;
}

void static_say_state(const struct plane *plane, const struct config *config, char *line, size_t size)
{
	struct plane_facts facts;
	size_t connected = 0;

	for (size_t i = 0; i < config->peer_count; i++) {
		uint32_t id = plane_find_peer(plane, config->peers[i].public_key);

		connected += id != PLANE_NO_PEER && !plane_get_facts(plane, id, &facts) && facts.has_session;
	}
	snprintf(line, size, "serving; %zu of %zu peers connected", connected, config->peer_count);
}
