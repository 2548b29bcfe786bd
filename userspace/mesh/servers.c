// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Connects to the signal server, relays and STUN servers that management names, and lets the peers use them.
#include <errno.h>
#include <string.h>

#include <sodium.h>

#include "client/sysinfo.h"
#include "log/log.h"
#include "mesh/internal.h"

static void signal_state(void *ctx, bool is_connected, const char *why)
{
	struct mesh *mesh = ctx;

	if (!mesh_link_set(&mesh->signal_link, is_connected, why))
		return;
	if (is_connected) {
		log_info("signal: connected to %s", mesh->signal_target);
		mesh_event(mesh, "INFO", "CONNECTIVITY", "connected to the signal server");
	} else {
		log_warn("signal: %s", why);
		mesh_event(mesh, "WARNING", "CONNECTIVITY", "signal server lost: %s", why);
	}
	peers_signal_state(mesh->peers, is_connected);
}

static void signal_body(void *ctx, const uint8_t from[static KEY_LEN], const struct signal_body *body)
{
	struct mesh *mesh = ctx;

	peers_signal(mesh->peers, from, body);
}

static int start_signal(struct mesh *mesh)
{
	static const struct signal_events events = { .state = signal_state, .body = signal_body };
	struct signal_config config = { .server = mesh->signal_server,
		.private_key = mesh->identity.private_key };
	int ret = signal_new(mesh->loop, &config, &events, mesh, &mesh->signal);

	secret_key_wipe(&config.private_key);
	if (ret)
		mesh->signal = NULL;
	else
		signal_start(mesh->signal);
	return ret;
}

static void use_signal(struct mesh *mesh, const struct server_url *server)
{
	char target[SERVER_URL_LEN];
	int ret;

	if (mesh->signal && server_url_is_equal(server, &mesh->signal_server))
		return;
	server_url_format(server, target);
	if (mesh->signal) {
		log_info("signal: moving from %s to %s", mesh->signal_target, target);
		mesh_keep_signal_counts(mesh);
		signal_free(mesh->signal);
		mesh->signal = NULL;
		signal_state(mesh, false, "the server has another address now");
	}
	mesh->signal_server = *server;
	memcpy(mesh->signal_target, target, sizeof(target));
	ret = start_signal(mesh);
	if (ret)
		log_err("signal: %s", strerror(-ret));
}

/*
 * Relays of this host's own choice take the place of management's; the token to use them with
 * is management's.
 */
static int use_relays(struct mesh *mesh, const struct netmap_relay *relay)
{
	const struct config_mesh *own = &mesh->config->mesh;
	struct netmap_relay instead = *relay;
	int ret;

	if (own->home_relay_count && relay->url_count) {
		instead.urls = own->home_relays;
		instead.url_count = own->home_relay_count;
	}
	ret = relay_manager_set(mesh->relay, &instead);
	sodium_memzero(&instead, sizeof(instead));
	return ret;
}

void mesh_use_servers(struct mesh *mesh, const struct netmap_servers *servers)
{
	int ret = 0;

	if (!servers->present)
		return;
	if (servers->relay.present)
		ret = use_relays(mesh, &servers->relay);
	if (!ret && servers->stun_count && !mesh->config->mesh.force_relay)
		ret = ice_mux_set_stuns(mesh->ice, servers->stuns, servers->stun_count);
	if (ret)
		log_warn("servers from management: %s", strerror(-ret));
	if (servers->signal.scheme != SERVER_NONE)
		use_signal(mesh, &servers->signal);
}

static void relay_home(void *ctx, bool is_connected, const char *address, const char *why)
{
	struct mesh *mesh = ctx;

	if (mesh->lingers) {
		mesh_resume_followed(mesh);
		return;
	}
	if (mesh_link_set(&mesh->relay_link, is_connected, why)) {
		if (is_connected) {
			log_info("relay: connected to %s", address);
			mesh_event(mesh, "INFO", "CONNECTIVITY", "connected to relay %s", address);
		} else {
			log_warn("relay: %s", why);
			mesh_event(mesh, "WARNING", "CONNECTIVITY", "relay lost: %s", why);
		}
	}
	if (is_connected)
		mesh_resume_home(mesh);
	peers_relay_state(mesh->peers, is_connected);
}

static int ice_send(void *ctx, const struct endpoint *to, const void *bytes, size_t len)
{
	struct mesh *mesh = ctx;

	return plane_send(mesh->plane, to, bytes, len);
}

bool mesh_is_inside(void *ctx, uint16_t family, const struct talon_addr *addr)
{
	const struct netmap_self *self = mesh_self(ctx);
	struct cidr net = { .family = AF_INET, .prefixlen = self->prefixlen, .addr.word[0] = self->addr };

	if (family == AF_INET6)
		net = (struct cidr){ .family = AF_INET6, .prefixlen = self->prefixlen6, .addr = self->addr6 };
	return !addr6_is_zero(&net.addr) && cidr_holds(&net, addr);
}

static void ice_changed(void *ctx)
{
	struct mesh *mesh = ctx;

	if (mesh->peers)
		peers_candidates_changed(mesh->peers);
}

/* The operations that peers use. */

static int op_signal_send(void *ctx, const uint8_t to[static KEY_LEN], const struct signal_body *body,
	signal_sent_fn fn, void *fn_ctx)
{
	struct mesh *mesh = ctx;

	return mesh->signal ? signal_send(mesh->signal, to, body, fn, fn_ctx) : -ENOTCONN;
}

static void op_signal_forget(void *ctx, const void *fn_ctx)
{
	struct mesh *mesh = ctx;

	if (mesh->signal)
		signal_forget(mesh->signal, fn_ctx);
}

static bool op_signal_is_connected(void *ctx)
{
	struct mesh *mesh = ctx;

	return mesh->signal && signal_is_connected(mesh->signal);
}

static const char *op_relay_address(void *ctx)
{
	struct mesh *mesh = ctx;

	return relay_manager_address(mesh->relay);
}

static const struct endpoint *op_relay_remote(void *ctx)
{
	struct mesh *mesh = ctx;

	return relay_manager_remote(mesh->relay);
}

static int op_relay_open(void *ctx, const uint8_t peer[static KEY_LEN], const char *address,
	const struct endpoint *at, const struct relay_peer_events *events, void *events_ctx,
	struct relay_peer **ret_peer)
{
	struct mesh *mesh = ctx;

	return relay_peer_open(mesh->relay, peer, address, at, events, events_ctx, ret_peer);
}

static bool op_relay_was(void *ctx, const uint8_t key[static KEY_LEN], char *ret_relay, size_t size)
{
	return mesh_resume_take_over(ctx, key, ret_relay, size);
}

static void op_relay_presume(void *ctx, struct relay_peer *peer)
{
	relay_peer_presume(peer);
}

static void op_relay_free(void *ctx, struct relay_peer *peer)
{
	relay_peer_free(peer);
}

static int op_relay_send(void *ctx, struct relay_peer *peer, const void *bytes, size_t len)
{
	return relay_peer_send(peer, bytes, len);
}

static int op_ice_new(void *ctx, const struct ice_agent_config *config, const struct ice_agent_events *events,
	void *events_ctx, struct ice_agent **ret_agent)
{
	struct mesh *mesh = ctx;

	return ice_agent_new(mesh->ice, config, events, events_ctx, ret_agent);
}

static void op_ice_free(void *ctx, struct ice_agent *agent)
{
	ice_agent_free(agent);
}

static int op_ice_add_remote(void *ctx, struct ice_agent *agent, const struct ice_candidate *candidate)
{
	return ice_agent_add_remote(agent, candidate);
}

static void op_ice_probe(void *ctx, struct ice_agent *agent)
{
	ice_agent_probe(agent);
}

static uint64_t op_ice_answered(void *ctx, const struct ice_agent *agent)
{
	return ice_agent_answered(agent);
}

static bool op_ice_get_pair(void *ctx, const struct ice_agent *agent, struct ice_pair_info *ret_pair)
{
	return ice_agent_get_pair(agent, ret_pair);
}

static int op_set_way(void *ctx, uint32_t id, enum plane_way way, const struct endpoint *path)
{
	struct mesh *mesh = ctx;

	return plane_set_way(mesh->plane, id, way, path);
}

static int op_let_roam(void *ctx, uint32_t id)
{
	struct mesh *mesh = ctx;

	return plane_let_roam(mesh->plane, id);
}

static void op_kick(void *ctx, uint32_t id)
{
	struct mesh *mesh = ctx;

	plane_kick(mesh->plane, id);
}

static void op_rekey(void *ctx, uint32_t id)
{
	struct mesh *mesh = ctx;

	plane_rekey(mesh->plane, id);
}

static void op_reset(void *ctx, uint32_t id)
{
	struct mesh *mesh = ctx;

	plane_reset_peer(mesh->plane, id);
}

static int op_facts(void *ctx, uint32_t id, struct plane_facts *ret_facts)
{
	struct mesh *mesh = ctx;

	return plane_get_facts(mesh->plane, id, ret_facts);
}

static void op_relay_received(void *ctx, uint32_t id, const uint8_t *bytes, size_t len)
{
	struct mesh *mesh = ctx;

	plane_relay_receive(mesh->plane, id, bytes, len);
}

static void op_changed(void *ctx, const uint8_t key[static KEY_LEN])
{
	/* another router may be the better one now; applying writes only what changed */
	mesh_apply_soon(ctx);
}

const struct peers_ops mesh_peers_ops = {
	.signal_send = op_signal_send,
	.signal_forget = op_signal_forget,
	.signal_is_connected = op_signal_is_connected,
	.relay_address = op_relay_address,
	.relay_remote = op_relay_remote,
	.relay_open = op_relay_open,
	.relay_was = op_relay_was,
	.relay_presume = op_relay_presume,
	.relay_free = op_relay_free,
	.relay_send = op_relay_send,
	.ice_new = op_ice_new,
	.ice_free = op_ice_free,
	.ice_add_remote = op_ice_add_remote,
	.ice_probe = op_ice_probe,
	.ice_answered = op_ice_answered,
	.ice_get_pair = op_ice_get_pair,
	.set_way = op_set_way,
	.let_roam = op_let_roam,
	.kick = op_kick,
	.rekey = op_rekey,
	.reset = op_reset,
	.facts = op_facts,
	.relay_received = op_relay_received,
	.changed = op_changed,
};

int mesh_servers_start(struct mesh *mesh)
{
	static const struct relay_events relay_events = { .home = relay_home };
	static const struct ice_ops ice_ops = { .send = ice_send, .is_inside = mesh_is_inside };
	struct peers_config config = {
		.wg_port = plane_listen_port(mesh->plane),
		.version = SYSINFO_NETBIRD_VERSION,
		.force_relay = mesh->config->mesh.force_relay,
	};
	int ret;

	memcpy(config.own_key, mesh->identity.public_key, KEY_LEN);
	ret = relay_manager_new(mesh->loop, mesh->identity.public_key, &relay_events, mesh, &mesh->relay);
	if (!ret)
		ret = ice_mux_new(mesh->loop, config.wg_port, &ice_ops, mesh, &mesh->ice);
	if (!ret)
		ret = peers_new(mesh->loop, &config, &mesh_peers_ops, mesh, &mesh->peers);
	if (!ret)
		ice_mux_on_change(mesh->ice, ice_changed, mesh);
	return ret;
}
