// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Join the mesh: start in order, hear what management says, end in order.
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/store.h"
#include "log/log.h"
#include "base/give_back.h"
#include "mesh/internal.h"
#include "stream/resolver.h"
#include "stream/stream.h"

#define OLD_IDENTITY "/etc/netbird/config.json"

uint64_t mesh_unix_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * LOOP_SECOND + now.tv_nsec;
}

void mesh_event(struct mesh *mesh, const char *severity, const char *category, const char *fmt, ...)
{
	struct mesh_event *event = &mesh->events[mesh->event_count++ % MESH_EVENTS_MAX];
	va_list args;

	*event = (struct mesh_event){ .at_ns = mesh_unix_ns(), .severity = severity, .category = category };
	va_start(args, fmt);
	vsnprintf(event->message, sizeof(event->message), fmt, args);
	va_end(args);
}

bool mesh_link_set(struct mesh_link *link, bool is_connected, const char *why)
{
	bool changed = link->is_connected != is_connected || (!is_connected && strcmp(link->why, why) != 0);

	if (!changed)
		return false;
	if (link->is_connected != is_connected || !link->since_ns)
		link->since_ns = mesh_unix_ns();
	link->is_connected = is_connected;
	snprintf(link->why, sizeof(link->why), "%s", is_connected ? "" : why);
	return true;
}

static int make_paths(const struct config *config, char *identity, char *state, char *map, char *servers)
{
	const char *dir = config->mesh.state_dir;
	int longest;

	snprintf(identity, MESH_PATH_LEN, "%s", config->mesh.identity_path);
	snprintf(state, MESH_PATH_LEN, "%s/state.json", dir);
	snprintf(map, MESH_PATH_LEN, "%s/talon-map", dir);
	longest = snprintf(servers, MESH_PATH_LEN, "%s/talon-servers", dir);
	return longest < MESH_PATH_LEN && strlen(config->mesh.identity_path) < MESH_PATH_LEN ? 0
		: -ENAMETOOLONG;
}

static int load_identity(const struct config *config, struct identity *ret_identity, char *why, size_t size)
{
	if (mkdir(config->mesh.state_dir, 0700) && errno != EEXIST && access(config->mesh.state_dir, F_OK)) {
		int ret = -errno;

		snprintf(why, size, "%s: cannot be made: %s", config->mesh.state_dir, strerror(errno));
		return ret;
	}
	/* Where the client kept it before it had profiles. */
	int ret = identity_adopt(OLD_IDENTITY, config->mesh.identity_path, why, size);

	return ret < 0 ? ret : identity_load(config->mesh.identity_path, ret_identity, why, size);
}

/* What nobody said is as the file has it. */
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
	take_switch(config, &mesh->lazy_connection, identity->lazy_connection, CONFIG_GIVEN_LAZY);
}

int mesh_prepare(struct config *config, char *why, size_t size)
{
	struct config_mesh *mesh = &config->mesh;
	struct identity identity;
	int ret = load_identity(config, &identity, why, size);

	if (ret)
		return ret;
	take_identity(config, &identity);
	ret = mesh_judge_profile(config, &identity, why, size);
	if (!ret && !mesh->management_url) {
		mesh->management_url = strdup(identity.management_url ? identity.management_url
			: CONFIG_MANAGEMENT_URL);
		ret = mesh->management_url ? 0 : -ENOMEM;
	}
	identity_done(&identity);
	return ret;
}

static void finish_up(struct mesh *mesh, int ret, const char *why);
static void leave(struct mesh *mesh);

/* The map. */

static void ways_kept_too_long(void *ctx)
{
	struct mesh *mesh = ctx;

	log_warn("network map: %llu s have passed: the ways of the peers that it took away are torn down",
		(unsigned long long)(GUARD_WINDOW_NS / LOOP_SECOND));
	guard_release(&mesh->guard);
	mesh_let_go(mesh);
}

/* Bound to the server and to our key: another's map gives nobody any right here. */
static void save(const struct mesh *mesh, const char *path, const uint8_t *bytes, size_t len)
{
	int ret = netmap_save(path, mesh->identity.public_key, mesh->server, bytes, len);

	if (ret == -EROFS)	/* said once, at the start */
		log_debug("%s: cannot be written: %s", path, strerror(-ret));
	else if (ret)
		log_warn("%s: cannot be written: %s", path, strerror(-ret));
}

static void tell_ways_are_kept(struct mesh *mesh)
{
	log_warn("network map: %s: they have no rights from now on, but their ways stand until the server "
		"says it again with a later serial, or %llu s", mesh->guard.why,
		(unsigned long long)(GUARD_WINDOW_NS / LOOP_SECOND));
	mesh_event(mesh, "WARNING", "NETWORK", "suspicious network map: %s", mesh->guard.why);
}

/* What it closes is closed now. Only where it takes away most peers, their ways may wait. */
static void accept_map(struct mesh *mesh, struct mesh_message *message)
{
	const struct netmap *map = &message->update.map, *base = NULL;
	const bool was_keeping = mesh->keeps_ways;

	if (mesh->has_map && !mesh->map_is_old && !mesh->map_is_void)
		base = was_keeping ? &mesh->kept.update.map : &mesh->now.update.map;
	if (guard_judge(&mesh->guard, base, map, loop_now(mesh->loop)) == GUARD_KEEP_WAYS && !was_keeping)
		tell_ways_are_kept(mesh);
	loop_timer_set(mesh->loop, &mesh->guard_timer, guard_deadline(&mesh->guard));
	mesh->map_is_old = mesh->map_is_void = false;
	/* A farewell names nobody, not even us: nothing to start from the next time. */
	if (map->self.present)
		save(mesh, mesh->map_path, message->bytes, message->len);
	log_info("network map %llu: %zu peers, %zu routes, %zu rules", (unsigned long long)map->serial,
		map->peer_count, map->route_count, map->rule_count + map->route_rule_count);
	mesh_take_map(mesh, message);
}

static void on_sync(void *ctx, const struct netmap_update *update, bool first, const uint8_t *bytes,
	size_t len)
{
	struct mesh *mesh = ctx;
	struct mesh_message message;
	int ret;

	mesh_use_servers(mesh, &update->servers);
	if (update->servers.present && update->servers.signal.scheme)
		save(mesh, mesh->servers_path, bytes, len);
	if (!update->map.present)
		return;
	if (!first && mesh->has_map && !mesh->map_is_old &&
		update->map.serial < mesh->now.update.map.serial) {
		log_debug("network map %llu is older than the one in force",
			(unsigned long long)update->map.serial);
		return;
	}
	ret = mesh_message_make(mesh, bytes, len, &message);
	if (ret) {
		log_err("network map: %s", strerror(-ret));
		return;
	}
	accept_map(mesh, &message);
	if (update->map.self.present)
		management_sync_meta(mesh->management, update->check_files, update->check_file_count);
}

/* Strings of ours, for they outlive the message. */
static void take_self(struct mesh *mesh, const struct netmap_self *self)
{
	char *fqdn;

	if (!self->present)
		return;
	fqdn = strdup(self->fqdn ? self->fqdn : "");
	if (!fqdn)
		return;
	free(mesh->self.fqdn);
	mesh->self = *self;
	mesh->self.fqdn = fqdn;
}

static void on_login(void *ctx, const struct netmap_update *login)
{
	struct mesh *mesh = ctx;

	mesh_forget_setup_key(mesh->config);
	mesh_use_servers(mesh, &login->servers);
	take_self(mesh, &login->map.self);
}

static void on_state(void *ctx, enum management_state state, const char *why)
{
	struct mesh *mesh = ctx;
	bool is_connected = state == MANAGEMENT_CONNECTED;

	mesh->state = state;
	if (!mesh_link_set(&mesh->management_link, is_connected, why) || (!is_connected && !*why))
		return;
	if (is_connected) {
		log_info("management: connected to %s", management_url(mesh->management));
		mesh_event(mesh, "INFO", "CONNECTIVITY", "connected to management");
		finish_up(mesh, 0, NULL);
	} else {
		/* else it is said there, once */
		if (state != MANAGEMENT_NEEDS_LOGIN || !mesh->has_no_verdict)
			log_warn("management: %s", why);
		if (state == MANAGEMENT_NEEDS_LOGIN)
			finish_up(mesh, -EACCES, why);
		mesh_event(mesh, state == MANAGEMENT_NEEDS_LOGIN ? "ERROR" : "WARNING",
			state == MANAGEMENT_NEEDS_LOGIN ? "AUTHENTICATION" : "CONNECTIVITY", "%s", why);
		/*
		 * Deleted while it was off: the map of the last run is worth nothing then. While it runs,
		 * on_deleted() says so.
		 */
		if (state == MANAGEMENT_NEEDS_LOGIN && mesh->map_is_old) {
			log_err("management does not know this peer any more: the ways of its last run are "
				"closed");
			leave(mesh);
		}
	}
}

/* The server's word, not an outage: at once, and nothing is left for the next start. */
static void leave(struct mesh *mesh)
{
	struct mesh_message none = {};

	guard_release(&mesh->guard);
	loop_timer_cancel(mesh->loop, &mesh->guard_timer);
	unlink(mesh->map_path);
	unlink(mesh->servers_path);
	none.update.map.present = true;
	none.update.map.dns_forwarder_port = MESH_FORWARDER_PORT;
	mesh->map_is_old = false;
	mesh->map_is_void = true;
	mesh_take_map(mesh, &none);
}

static void on_deleted(void *ctx)
{
	struct mesh *mesh = ctx;

	log_err("this peer was deleted in management: all its ways are closed. To join again, start with a "
		"valid setup key");
	mesh_event(mesh, "CRITICAL", "AUTHENTICATION", "this peer was deleted in management");
	leave(mesh);
}

static void on_verdict(void *ctx, int error, const char *why)
{
	struct mesh *mesh = ctx;

	mesh->has_no_verdict = false;
	if (!error || mesh->ends)
		return;
	log_err("%s", why);
	mesh->result = error;
	mesh->ends = true;
	mesh->stop(mesh->stop_ctx);
}

/* In one form, however it is written. With another server the map in force is as good as one from disk. */
static void name_server(struct mesh *mesh, const char *url)
{
	char host[256], server[sizeof(mesh->server)], why[200];
	uint16_t port;
	bool tls;

	if (!url || grpc_parse_target(url, true, host, sizeof(host), &port, &tls, why, sizeof(why)))
		snprintf(server, sizeof(server), "%s", url ? url : "");
	else
		snprintf(server, sizeof(server), "%s://%s:%u", tls ? "https" : "http", host, port);
	if (!strcmp(server, mesh->server))
		return;
	if (*mesh->server && mesh->has_map)
		mesh->map_is_old = true;
	memcpy(mesh->server, server, sizeof(server));
}

/*
 * @up: what somebody asked for now, over what was configured; NULL: nothing. If it fails, all is as it was.
 */
static int start_management(struct mesh *mesh, const struct control_up *up)
{
	static const struct management_events events = {
		.state = on_state, .login = on_login, .sync = on_sync, .deleted = on_deleted,
		.verdict = on_verdict,
	};
	const struct config_mesh *from = &mesh->config->mesh;
	struct management *management;
	struct management_config config = {
		.url = up && up->management_url ? up->management_url : mesh->identity.management_url,
		.private_key = mesh->identity.private_key,
		.setup_key = up && up->setup_key ? up->setup_key : from->setup_key,
		.ssh_public_key = mesh->identity.ssh_public_key,
		.dns_labels = from->given & CONFIG_GIVEN_DNS_LABELS ? from->dns_labels
		: mesh->identity.dns_labels, .dns_label_count = from->given & CONFIG_GIVEN_DNS_LABELS
		? from->dns_label_count : mesh->identity.dns_label_count, .hostname = up &&
		up->hostname ? up->hostname : from->hostname, .flags = {
			.disable_client_routes = from->disable_client_routes,
			.disable_server_routes = from->disable_server_routes,
			.disable_firewall = from->disable_firewall,
			.block_lan_access = from->block_lan_access,
			.block_inbound = from->block_inbound,
			.lazy_connection = from->lazy_connection,
		},
		/*
		 * A node that was in the mesh before goes on by its last map; one that never was has nothing
		 * to wait for, but for a service.
		 */
		.once = !mesh->has_map && !from->is_service,
	};
	int ret = management_new(mesh->loop, &config, &events, mesh, &management);

	secret_key_wipe(&config.private_key);
	if (ret)
		return ret;
	mesh_warn_cleartext(config.url, config.setup_key);
	management_free(mesh->management);
	mesh->management = management;
	mesh->has_no_verdict = config.once;
	name_server(mesh, config.url);
	management_start(management);
	return 0;
}

static void load_servers(struct mesh *mesh, const uint8_t *bytes, size_t len)
{
	struct netmap_update servers;

	if (netmap_update_parse(bytes, len, mesh->identity.public_key, &servers))
		return;
	mesh_use_servers(mesh, &servers.servers);
	netmap_update_done(&servers);
}

static void load_map(struct mesh *mesh, const uint8_t *bytes, size_t len)
{
	struct mesh_message message;

	if (mesh_message_make(mesh, bytes, len, &message))
		return;
	take_self(mesh, &message.update.map.self);
	mesh->map_is_old = true;
	log_info("network map %llu from the last run: %zu peers, %zu routes",
		(unsigned long long)message.update.map.serial, message.update.map.peer_count,
		message.update.map.route_count);
	mesh_take_map(mesh, &message);
}

static int load(struct mesh *mesh, const char *path, void (*take)(struct mesh *mesh, const uint8_t *bytes,
	size_t len))
{
	uint8_t *bytes;
	size_t len;
	int ret = netmap_load(path, mesh->identity.public_key, mesh->server, &bytes, &len);

	if (ret)
		return ret;
	take(mesh, bytes, len);
	explicit_bzero(bytes, len);
	free(bytes);
	return 0;
}

/* The last good map, and the servers it came with: connections begin before management has answered. */
static void load_last(struct mesh *mesh)
{
	int servers, map;

	name_server(mesh, mesh->identity.management_url);
	servers = load(mesh, mesh->servers_path, load_servers);
	map = load(mesh, mesh->map_path, load_map);
	if (servers != -ESTALE && map != -ESTALE)
		return;
	log_warn("the last network map is another server's or another key's: what it had opened is closed "
		"until %s says more", mesh->server);
	leave(mesh);
}

/* The plane. */

static void on_stun(void *ctx, const struct endpoint *from, const uint8_t *bytes, size_t len)
{
	struct mesh *mesh = ctx;

	ice_mux_receive(mesh->ice, from, bytes, len);
}

static void on_relay_send(void *ctx, uint32_t peer, const uint8_t *bytes, size_t len)
{
	struct mesh *mesh = ctx;

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

static void on_ready(void *ctx)
{
	struct mesh *mesh = ctx;

	mesh->plane_is_ready = true;
	on_network(mesh);
	mesh_apply(mesh);
}

static void give_back(void *ctx)
{
	memory_give_back();
}

static void apply_now(void *ctx)
{
	mesh_apply(ctx);
}

static void on_learned(void *ctx)
{
	mesh_apply(ctx);
}

/* The command line. */

static void finish_up(struct mesh *mesh, int ret, const char *why)
{
	control_done_fn done = mesh->upped;

	mesh->upped = NULL;
	loop_timer_cancel(mesh->loop, &mesh->up_timer);
	if (done)
		done(mesh->upped_arg, ret, why);
}

static void up_too_long(void *ctx)
{
	struct mesh *mesh = ctx;

	finish_up(mesh, -ETIMEDOUT, *mesh->management_link.why ? mesh->management_link.why
		: "management does not answer");
}

/* From the beginning, with what was brought along. Where that makes no sense, nothing has changed. */
static int begin_anew(struct mesh *mesh, const struct control_up *up, char *why, size_t size)
{
	struct control_up whole = *up;
	char *url = NULL;
	int ret = up->management_url ? config_parse_management_url(up->management_url, &url, why, size) : 0;

	if (ret)
		return ret;
	whole.management_url = url;
	mesh->state = MANAGEMENT_CONNECTING;
	ret = start_management(mesh, &whole);
	if (!ret && url)
		mesh_keep_url(mesh->identity_path, &mesh->identity, url);
	free(url);
	return ret;
}

/* We connect by ourselves; whoever asks is told when that is so. */
static void on_up(void *ctx, const struct control_up *up, control_done_fn done, void *arg)
{
	struct mesh *mesh = ctx;
	char why[300] = "";
	int ret;

	if (mesh->management_link.is_connected) {
		done(arg, 0, NULL);
		return;
	}
	if (mesh->upped) {
		done(arg, -EBUSY, "another `up` is waiting already");
		return;
	}
	if (up->setup_key || up->management_url) {
		ret = begin_anew(mesh, up, why, sizeof(why));
		if (ret) {
			done(arg, ret, why);
			return;
		}
	} else if (mesh->state == MANAGEMENT_NEEDS_LOGIN) {
		done(arg, -EACCES, mesh->management_link.why);
		return;
	}
	mesh->upped = done;
	mesh->upped_arg = arg;
	loop_timer_after(mesh->loop, &mesh->up_timer, MESH_UP_NS);
}

/* Peers have heard the offers by now; what makes them turn away is that we go off the relay. */
static void leave_relay(void *ctx)
{
	struct mesh *mesh = ctx;

	relay_manager_close(mesh->relay);
}

static void finish_drain(void *ctx)
{
	struct mesh *mesh = ctx;

	if (mesh->drained)
		mesh->drained(mesh->drained_arg, 0, NULL);
	mesh->drained = NULL;
	mesh->stop(mesh->stop_ctx);
}

/*
 * Peers look for another way while ours still carries their packets. Whoever asked removes the datapath then.
 */
static void on_down(void *ctx, control_done_fn done, void *arg)
{
	struct mesh *mesh = ctx;
	bool is_alone = !peers_count_connected(mesh->peers);

	if (mesh->ends) {
		done(arg, -EALREADY, "it is going down already");
		return;
	}
	mesh->ends = true;
	mesh->drained = done;
	mesh->drained_arg = arg;
	if (!is_alone) {
		log_info("going down: peers are told, packets still flow for %llu s",
			(unsigned long long)(MESH_DRAIN_NS / LOOP_SECOND));
		peers_announce_end(mesh->peers);
		loop_timer_after(mesh->loop, &mesh->relay_timer, MESH_LEAVE_NS);
	}
	loop_timer_after(mesh->loop, &mesh->drain_timer, is_alone ? 0 : MESH_DRAIN_NS);
}

struct logout {
	struct mesh *mesh;
	control_done_fn done;
	void *arg;
};

static void logged_out(void *ctx, int error, const char *why)
{
	struct logout *logout = ctx;

	if (!error)
		leave(logout->mesh);
	logout->done(logout->arg, error, why);
	free(logout);
}

static void on_logout(void *ctx, control_done_fn done, void *arg)
{
	struct mesh *mesh = ctx;
	struct logout *logout = malloc(sizeof(*logout));
	int ret;

	if (!logout) {
		done(arg, -ENOMEM, NULL);
		return;
	}
	*logout = (struct logout){ mesh, done, arg };
	ret = management_logout(mesh->management, logged_out, logout);
	if (!ret)
		return;
	free(logout);
	done(arg, ret, NULL);
}

static int after_selection(struct mesh *mesh, int ret, char *err, size_t errlen)
{
	const struct netmap_self *self = netmap_self_of(&mesh->now.update.map, &mesh->self);
	int saved = route_selection_save(mesh->state_path, &mesh->choose.selection);

	choose_set_map(&mesh->choose, &mesh->now.update.map, mesh->identity.public_key, self->addr,
		self->prefixlen, mesh->config->mesh.disable_client_routes);
	mesh_apply(mesh);
	if (saved && !ret) {
		snprintf(err, errlen, "%s: cannot be written: %s", mesh->state_path, strerror(-saved));
		return saved;
	}
	return ret;
}

static char *everything[] = { "all" };

static int on_select(void *ctx, char *const *ids, size_t count, bool append, bool all, char *err,
	size_t errlen)
{
	struct mesh *mesh = ctx;
	int ret = choose_select(&mesh->choose, all ? everything : ids, all ? 1 : count, append, err, errlen);

	return after_selection(mesh, ret, err, errlen);
}

static int on_deselect(void *ctx, char *const *ids, size_t count, bool append, bool all, char *err,
	size_t errlen)
{
	struct mesh *mesh = ctx;
	int ret = choose_deselect(&mesh->choose, all ? everything : ids, all ? 1 : count, err, errlen);

	return after_selection(mesh, ret, err, errlen);
}

static int start_control(struct mesh *mesh, char *err, size_t errlen)
{
	static const struct control_ops ops = {
		.snapshot = mesh_snapshot, .select = on_select, .deselect = on_deselect, .up = on_up,
		.down = on_down, .logout = on_logout,
	};

	if (!mesh->config->mesh.control_socket)
		return 0;
	return control_new(&mesh->control, mesh->loop, mesh->config->mesh.control_socket, &ops, mesh, err,
		errlen);
}

/* Start and end. */

/* What a crash in the middle of a write left; there are keys in some of it. */
static void tidy(struct mesh *mesh)
{
	const char *const paths[] = { mesh->identity_path, mesh->state_path, mesh->map_path,
		mesh->servers_path };

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		store_sweep(paths[i]);
}

static int start(struct mesh *mesh, char *err, size_t errlen)
{
	static const struct plane_events plane_events = {
		.ready = on_ready, .stun = on_stun, .relay_send = on_relay_send,
		.relay_flush = on_relay_flush,
		.handshake = on_handshake, .wanted = on_wanted, .network = on_network,
	};
	static const struct forwarder_events forwarder_events = { .learned = on_learned };
	int ret = make_paths(mesh->config, mesh->identity_path, mesh->state_path, mesh->map_path,
		mesh->servers_path);

	if (!ret)
		ret = load_identity(mesh->config, &mesh->identity, err, errlen);
	if (ret)
		return ret;
	if (mesh->config->mesh.preshared_key)
		ret = key_from_base64(mesh->config->mesh.preshared_key, mesh->identity.preshared_key.bytes);
	if (ret)
		return ret;
	mesh->lock = identity_lock(mesh->config->mesh.state_dir, err, errlen);
	if (mesh->lock < 0)
		return mesh->lock;
	tidy(mesh);
	mesh_keep_url(mesh->identity_path, &mesh->identity, mesh->config->mesh.management_url);
	ret = mesh_servers_start(mesh);
	if (!ret)
		ret = forwarder_new(mesh->loop, &forwarder_events, mesh, &mesh->forwarder);
	if (!ret)
		ret = start_control(mesh, err, errlen);
	if (ret)
		return ret;
	if (route_selection_load(mesh->state_path, &mesh->choose.selection))
		log_debug("%s: nothing selected", mesh->state_path);
	plane_set_events(mesh->plane, &plane_events, mesh);
	load_last(mesh);
	return start_management(mesh, NULL);
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
	loop_timer_init(&mesh->guard_timer, ways_kept_too_long, mesh);
	loop_timer_init(&mesh->drain_timer, finish_drain, mesh);
	loop_timer_init(&mesh->up_timer, up_too_long, mesh);
	loop_timer_init(&mesh->relay_timer, leave_relay, mesh);
	mesh_network_init(mesh);
	loop_timer_init(&mesh->memory_timer, give_back, mesh);
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

void mesh_stop(struct mesh *mesh)
{
	mesh->ends = true;
	relay_manager_close(mesh->relay);
}

int mesh_result(const struct mesh *mesh)
{
	return mesh->result;
}

void mesh_free(struct mesh *mesh)
{
	if (!mesh)
		return;
	loop_timer_cancel(mesh->loop, &mesh->apply_timer);
	loop_timer_cancel(mesh->loop, &mesh->guard_timer);
	loop_timer_cancel(mesh->loop, &mesh->drain_timer);
	loop_timer_cancel(mesh->loop, &mesh->up_timer);
	loop_timer_cancel(mesh->loop, &mesh->relay_timer);
	loop_timer_cancel(mesh->loop, &mesh->network_timer);
	loop_timer_cancel(mesh->loop, &mesh->memory_timer);
	control_free(mesh->control);
	management_free(mesh->management);
	peers_free(mesh->peers);
	signal_free(mesh->signal);
	relay_manager_free(mesh->relay);
	ice_mux_free(mesh->ice);
	forwarder_free(mesh->forwarder);
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
