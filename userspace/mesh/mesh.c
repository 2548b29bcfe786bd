// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A mesh from its start to its end: identity, files, the plane's events, and the parts in order.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/store.h"
#include "log/log.h"
#include "mesh/internal.h"
#include "stream/resolver.h"
#include "stream/stream.h"

#define OLD_IDENTITY "/etc/netbird/config.json"

/* --- identity and files --- */

static int make_paths(struct mesh *mesh)
{
	const struct config_mesh *config = &mesh->config->mesh;
	int longest;

	snprintf(mesh->identity_path, MESH_PATH_LEN, "%s", config->identity_path);
	snprintf(mesh->state_path, MESH_PATH_LEN, "%s/state.json", config->state_dir);
	snprintf(mesh->map_path, MESH_PATH_LEN, "%s/talon-map", config->state_dir);
	longest = snprintf(mesh->servers_path, MESH_PATH_LEN, "%s/talon-servers", config->state_dir);
	return longest < MESH_PATH_LEN && strlen(config->identity_path) < MESH_PATH_LEN ? 0 : -ENAMETOOLONG;
}

static int load_identity(const struct config *config, struct identity *ret_identity, char *why, size_t size)
{
	if (mkdir(config->mesh.state_dir, 0700) && errno != EEXIST && access(config->mesh.state_dir, F_OK)) {
		int ret = -errno;

		snprintf(why, size, "cannot create %s: %s", config->mesh.state_dir, strerror(errno));
		return ret;
	}
	/* The file of NetBird clients from before there were profiles. */
	int ret = identity_adopt(OLD_IDENTITY, config->mesh.identity_path, why, size);

	return ret < 0 ? ret : identity_load(config->mesh.identity_path, ret_identity, why, size);
}

/* Options that were not given keep the identity file's value. */
static void take_switch(const struct config *config, bool *to, bool from, enum config_mesh_given bit)
{
	if (!(config->mesh.given & bit))
		*to = from;
}

static void take_identity(struct config *config, const struct identity *identity)
{
	struct config_mesh *mesh = &config->mesh;

	memcpy(config->private_key, identity->private_key.bytes, KEY_LEN);
	memcpy(config->public_key, identity->public_key, KEY_LEN);
	if (identity->wg_port && !(mesh->given & CONFIG_GIVEN_PORT))
		config->listen_port = identity->wg_port;
	if (identity->mtu && !(mesh->given & CONFIG_GIVEN_MTU))
		config->mtu = identity->mtu;
	if (identity->interface && strlen(identity->interface) < sizeof(config->tunnel) &&
		!(mesh->given & CONFIG_GIVEN_TUNNEL))
		snprintf(config->tunnel, sizeof(config->tunnel), "%s", identity->interface);
	take_switch(config, &mesh->disable_client_routes, identity->disable_client_routes,
		CONFIG_GIVEN_CLIENT_ROUTES);
	take_switch(config, &mesh->disable_server_routes, identity->disable_server_routes,
		CONFIG_GIVEN_SERVER_ROUTES);
	take_switch(config, &mesh->disable_firewall, identity->disable_firewall, CONFIG_GIVEN_FIREWALL);
	take_switch(config, &mesh->block_lan_access, identity->block_lan_access, CONFIG_GIVEN_LAN_ACCESS);
	take_switch(config, &mesh->block_inbound, identity->block_inbound, CONFIG_GIVEN_INBOUND);
	take_switch(config, &mesh->disable_ipv6, identity->disable_ipv6, CONFIG_GIVEN_IPV6);
}

int mesh_prepare(struct config *config, char *why, size_t size)
{
	struct config_mesh *mesh = &config->mesh;
	struct identity identity;
	int ret = load_identity(config, &identity, why, size);

	if (ret)
		return ret;
	take_identity(config, &identity);
	mesh_keep_ipv6(config, &identity);
	ret = mesh_judge_profile(config, &identity, why, size);
	if (!ret && !mesh->management_url) {
		mesh->management_url = strdup(identity.management_url ? identity.management_url
			: CONFIG_MANAGEMENT_URL);
		ret = mesh->management_url ? 0 : -ENOMEM;
	}
	identity_done(&identity);
	return ret;
}

int mesh_peek(struct config *config, char *why, size_t size)
{
	const char *path = config->mesh.identity_path;
	struct identity identity;
	int ret;

	if (access(path, F_OK))
		path = OLD_IDENTITY;
	if (access(path, F_OK))
		return 0;
	ret = identity_load(path, &identity, why, size);
	if (ret)
		return ret;
	take_identity(config, &identity);
	ret = mesh_judge_profile(config, &identity, why, size);
	identity_done(&identity);
	return ret;
}

/* --- what the plane reports --- */

static void on_stun(void *ctx, const struct endpoint *from, const uint8_t *bytes, size_t len)
{
	struct mesh *mesh = ctx;

	ice_mux_receive(mesh->ice, from, bytes, len);
}

static void on_relay_send(void *ctx, uint32_t peer, const uint8_t *bytes, size_t len)
{
	struct mesh *mesh = ctx;

	if (mesh->resumed_count && mesh_resume_send(mesh, peer, bytes, len))
		return;
	/* none: the next process has taken over in this very turn of the loop (mesh_resume_followed()) */
	if (mesh->peers)
		peers_relay_send(mesh->peers, peer, bytes, len);
}

static void on_relay_flush(void *ctx)
{
	struct mesh *mesh = ctx;

	relay_manager_flush(mesh->relay);
}

static void on_handshake(void *ctx, uint32_t peer)
{
	struct mesh *mesh = ctx;

	peers_handshake(mesh->peers, peer);
}

static void on_wanted(void *ctx, uint32_t peer)
{
	struct mesh *mesh = ctx;

	peers_wanted(mesh->peers, peer);
}

static void on_network(void *ctx)
{
	mesh_network_changed(ctx);
}

void mesh_look_again(struct mesh *mesh)
{
	on_network(mesh);
	management_sync_facts(mesh->management);
}

void mesh_set_reload(struct mesh *mesh, mesh_reload_fn reload, void *ctx)
{
	mesh->reload = reload;
	mesh->reload_ctx = ctx;
}

static void on_ready(void *ctx)
{
	struct mesh *mesh = ctx;

	mesh->plane_is_ready = true;
	mesh_resume_ready(mesh);
	on_network(mesh);
	mesh_apply(mesh);
}

static void on_count(void *ctx)
{
	mesh_tell_facts(ctx);
}

static void apply_now(void *ctx)
{
	mesh_apply(ctx);
}

static void on_learned(void *ctx)
{
	mesh_apply(ctx);
}

/* --- start and end --- */

/* Removes what a crash in the middle of a write left, since some of it holds keys. */
static void tidy(struct mesh *mesh)
{
	const char *const paths[] = { mesh->identity_path, mesh->state_path, mesh->map_path,
		mesh->servers_path };

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		store_sweep(paths[i]);
}

/* Reads the identity and locks the state directory. */
static int open_state(struct mesh *mesh, char *err, size_t errlen)
{
	const struct config_mesh *config = &mesh->config->mesh;
	int ret = make_paths(mesh);

	if (!ret)
		ret = load_identity(mesh->config, &mesh->identity, err, errlen);
	if (!ret && config->preshared_key)
		ret = key_from_base64(config->preshared_key, mesh->identity.preshared_key.bytes);
	if (ret)
		return ret;
	mesh->lock = identity_lock(config->state_dir, err, errlen);
	if (mesh->lock < 0)
		return mesh->lock;
	tidy(mesh);
	mesh_keep_url(mesh->identity_path, &mesh->identity, config->management_url);
	return 0;
}

static int start_parts(struct mesh *mesh, char *err, size_t errlen)
{
	static const struct forwarder_events forwarder_events = { .learned = on_learned };
	int ret = mesh_servers_start(mesh);

	if (!ret)
		ret = mesh_services_start(mesh);
	if (!ret)
		ret = forwarder_new(mesh->loop, &forwarder_events, mesh, &mesh->forwarder);
	return ret ? ret : mesh_listen(mesh, err, errlen);
}

static int start(struct mesh *mesh, char *err, size_t errlen)
{
	static const struct plane_events plane_events = {
		.ready = on_ready, .stun = on_stun, .relay_send = on_relay_send,
		.relay_flush = on_relay_flush,
		.handshake = on_handshake, .wanted = on_wanted, .network = on_network,
		.count = on_count,
	};
	int ret = open_state(mesh, err, errlen);

	if (!ret)
		ret = start_parts(mesh, err, errlen);
	if (ret)
		return ret;
	if (route_selection_load(mesh->state_path, &mesh->choose.selection))
		log_debug("%s: nothing selected", mesh->state_path);
	plane_set_events(mesh->plane, &plane_events, mesh);
	mesh_ipv6_begin(mesh);
	mesh_resume_begin(mesh);
	mesh_load_last(mesh);
	return mesh_join(mesh, NULL);
}

int mesh_start(struct plane *plane, const struct config *config, void (*stop)(void *ctx), void *ctx,
	struct mesh **ret_mesh, char *err, size_t errlen)
{
	struct mesh *mesh = calloc(1, sizeof(*mesh));
	int ret;

	if (!mesh)
		return -ENOMEM;
	mesh->plane = plane;
	mesh->stop = stop;
	mesh->stop_ctx = ctx;
	mesh->config = config;
	mesh->loop = plane_loop(plane);
	mesh->lock = -1;
	choose_init(&mesh->choose);
	loop_timer_init(&mesh->apply_timer, apply_now, mesh);
	mesh_map_init(mesh);
	mesh_requests_init(mesh);
	mesh_job_init(mesh);
	mesh_network_init(mesh);
	mesh_expiry_init(mesh);
	mesh_resume_init(mesh);
	*err = 0;
	ret = start(mesh, err, errlen);
	if (ret) {
		if (!*err)
			snprintf(err, errlen, "mesh: %s", strerror(-ret));
		mesh_free(mesh);
		return ret;
	}
	*ret_mesh = mesh;
	return 0;
}

bool mesh_stop(struct mesh *mesh, bool is_followed)
{
	/* after `down` the peers know already */
	mesh->leaves_quietly = !mesh->ends && mesh_resume_may_follow(mesh, is_followed);
	mesh->ends = true;
	if (!mesh->leaves_quietly)
		relay_manager_close(mesh->relay);
	return mesh->leaves_quietly;
}

int mesh_result(const struct mesh *mesh)
{
	return mesh->result;
}

void mesh_stop_all_but_relays(struct mesh *mesh)
{
	if (mesh->is_stopped)
		return;
	mesh->is_stopped = true;
	loop_timer_cancel(mesh->loop, &mesh->apply_timer);
	loop_timer_cancel(mesh->loop, &mesh->guard_timer);
	loop_timer_cancel(mesh->loop, &mesh->network_timer);
	loop_timer_cancel(mesh->loop, &mesh->ipv6.timer);
	loop_timer_cancel(mesh->loop, &mesh->memory_timer);
	loop_timer_cancel(mesh->loop, &mesh->expiry_timer);
	mesh_requests_done(mesh);
	mesh_job_done(mesh);
	management_free(mesh->management);
	mesh->management = NULL;
	expose_free(mesh->expose);
	mesh->expose = NULL;
	if (mesh->signal)
		signal_free(mesh->signal);
	mesh->signal = NULL;
	forwarder_free(mesh->forwarder);
	mesh->forwarder = NULL;
}

void mesh_free(struct mesh *mesh)
{
	if (!mesh)
		return;
	mesh_stop_all_but_relays(mesh);
	peers_free(mesh->peers);
	mesh_resume_done(mesh);
	relay_manager_free(mesh->relay);
	ice_mux_free(mesh->ice);
	resolver_global_done();
	stream_global_done();
	choose_done(&mesh->choose);
	mesh_message_done(&mesh->now);
	mesh_message_done(&mesh->kept);
	identity_done(&mesh->identity);
	free(mesh->self.fqdn);
	if (mesh->lock >= 0)
		close(mesh->lock);
	free(mesh);
}
