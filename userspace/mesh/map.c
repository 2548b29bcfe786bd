// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The network map in force: a newer one is judged, kept on disk and put into force; the last one is loaded at
// start.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/give_back.h"
#include "log/log.h"
#include "mesh/internal.h"

#define QUIET_NS	(3 * LOOP_SECOND)	/* after a map, before memory is given back */
#define NOTICEABLE_NS	(20 * LOOP_MS)		/* applying a map that took longer gets a line in the log */

/* --- messages --- */

void mesh_message_done(struct mesh_message *message)
{
	netmap_update_done(&message->update);
	free(message->bytes);
	memset(message, 0, sizeof(*message));
}

/* Whatever the server says: with DisableIPv6 there is no IPv6 inside the mesh. */
static void obey_disable_ipv6(const struct mesh *mesh, struct netmap_self *self)
{
	if (!mesh->config->mesh.disable_ipv6)
		return;
	self->addr6 = (struct talon_addr){};
	self->prefixlen6 = 0;
}

/* Copies and parses @bytes. Returns 0 or a negative errno. */
static int make_message(struct mesh *mesh, const uint8_t *bytes, size_t len, struct mesh_message *ret_message)
{
	struct mesh_message message = { .bytes = malloc(len ? len : 1), .len = len };
	int ret = message.bytes ? 0 : -ENOMEM;

	if (!ret)
		ret = netmap_update_parse(bytes, len, mesh->identity.public_key, &message.update);
	if (ret) {
		free(message.bytes);
		return ret;
	}
	memcpy(message.bytes, bytes, len);
	obey_disable_ipv6(mesh, &message.update.map.self);
	*ret_message = message;
	return 0;
}

const struct netmap_self *mesh_self(const struct mesh *mesh)
{
	return netmap_self_of(&mesh->now.update.map, &mesh->self);
}

/* The strings are copied, since they outlive the message. */
void mesh_take_self(struct mesh *mesh, const struct netmap_self *self)
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
	obey_disable_ipv6(mesh, &mesh->self);
}

/* --- putting a map into force --- */

int mesh_set_networks(struct mesh *mesh)
{
	return choose_set_map(&mesh->choose, &mesh->now.update.map, mesh->identity.public_key,
		mesh_self(mesh), mesh->config->mesh.disable_client_routes);
}

/* Returns the message instead of freeing it: peers and routers are still compared with it. */
static struct mesh_message forget_kept(struct mesh *mesh)
{
	struct mesh_message gone = mesh->kept;

	memset(&mesh->kept, 0, sizeof(mesh->kept));
	mesh->keeps_ways = false;
	return gone;
}

static void tear_down_kept(struct mesh *mesh)
{
	struct mesh_message gone = forget_kept(mesh);

	mesh_apply(mesh);
	mesh_message_done(&gone);
}

static void complain(struct mesh *mesh, const struct netmap *map)
{
	if (mesh_set_networks(mesh))
		log_warn("cannot offer networks of others: out of memory");
	/* a server says most things in every map: each reason once, until a map is without it */
	if (map->skipped && strcmp(map->skipped_why, mesh->complaint) != 0)
		log_warn("network map %llu: %u entries were left out, the first: %s",
			(unsigned long long)map->serial, map->skipped, map->skipped_why);
	snprintf(mesh->complaint, sizeof(mesh->complaint), "%s", map->skipped ? map->skipped_why : "");
}

/* Takes @message's contents. If the guard says so, the ways of the peers that it takes away stay for now. */
static void put_in_force(struct mesh *mesh, struct mesh_message *message)
{
	const uint64_t begin = clock_mono_ns();
	struct mesh_message old = mesh->now, gone = {};
	uint64_t took;

	mesh->now = *message;
	memset(message, 0, sizeof(*message));
	mesh->has_map = true;
	complain(mesh, &mesh->now.update.map);
	if (mesh->guard.is_holding && !mesh->keeps_ways) {
		mesh->kept = old;
		mesh->keeps_ways = true;
		memset(&old, 0, sizeof(old));
	} else if (!mesh->guard.is_holding) {
		gone = forget_kept(mesh);
	}
	mesh_apply(mesh);
	/* Only now: peers_set() compares with the old strings. */
	mesh_message_done(&old);
	mesh_message_done(&gone);
	took = clock_mono_ns() - begin;
	if (took >= NOTICEABLE_NS)
		log_info("network map %llu: applied in %llu ms",
			(unsigned long long)mesh->now.update.map.serial,
			(unsigned long long)(took / LOOP_MS));
	loop_timer_after(mesh->loop, &mesh->memory_timer, QUIET_NS);
}

/* --- from management --- */

static void ways_kept_too_long(void *ctx)
{
	struct mesh *mesh = ctx;

	log_warn("network map: %llu s have passed: the ways of the peers that it took away are torn down",
		(unsigned long long)(GUARD_WINDOW_NS / LOOP_SECOND));
	guard_release(&mesh->guard);
	tear_down_kept(mesh);
}

/* Bound to the server and to our key, so that nobody else's map gives any rights here. */
static void save(const struct mesh *mesh, const char *path, const uint8_t *bytes, size_t len)
{
	int ret = netmap_save(path, mesh->identity.public_key, mesh->server, bytes, len);

	if (ret == -EROFS)	/* it was reported at start */
		log_debug("cannot write %s: %s", path, strerror(-ret));
	else if (ret)
		log_warn("cannot write %s: %s", path, strerror(-ret));
}

static void tell_ways_are_kept(struct mesh *mesh)
{
	log_warn("network map: %s: they have no rights from now on, but their ways stand until the server "
		"says it again with a later serial, or %llu s", mesh->guard.why,
		(unsigned long long)(GUARD_WINDOW_NS / LOOP_SECOND));
	mesh_event(mesh, "WARNING", "NETWORK", "suspicious network map: %s", mesh->guard.why);
}

/* What the guard compares a new map with; NULL: nothing, the map in force is not this server's word. */
static const struct netmap *find_base(const struct mesh *mesh)
{
	if (!mesh->has_map || mesh->map_is_old || mesh->map_is_void)
		return NULL;
	return mesh->keeps_ways ? &mesh->kept.update.map : &mesh->now.update.map;
}

/* Rights that the map takes away end now. Only if it takes away most peers, their ways stay for a while. */
static void accept_map(struct mesh *mesh, struct mesh_message *message)
{
	const struct netmap *map = &message->update.map;
	const bool was_keeping = mesh->keeps_ways;

	if (guard_judge(&mesh->guard, find_base(mesh), map, loop_now(mesh->loop)) == GUARD_KEEP_WAYS &&
		!was_keeping)
		tell_ways_are_kept(mesh);
	loop_timer_set(mesh->loop, &mesh->guard_timer, guard_deadline(&mesh->guard));
	mesh->map_is_old = mesh->map_is_void = false;
	/* A farewell names no peer, not even us: the next start could do nothing with it. */
	if (map->self.present)
		save(mesh, mesh->map_path, message->bytes, message->len);
	log_info("network map %llu: %zu peers, %zu routes, %zu rules", (unsigned long long)map->serial,
		map->peer_count, map->route_count, map->rule_count + map->route_rule_count);
	put_in_force(mesh, message);
}

static bool is_outdated(const struct mesh *mesh, const struct netmap *map)
{
	return mesh->has_map && !mesh->map_is_old && map->serial < mesh->now.update.map.serial;
}

void mesh_sync(struct mesh *mesh, const struct netmap_update *update, bool first, const uint8_t *bytes,
	size_t len)
{
	struct mesh_message message;
	int ret;

	mesh_use_servers(mesh, &update->servers);
	mesh_take_expiry(mesh, &update->expiry);
	if (update->servers.present && update->servers.signal.scheme)
		save(mesh, mesh->servers_path, bytes, len);
	if (!update->map.present)
		return;
	mesh->maps_received++;
	if (!first && is_outdated(mesh, &update->map)) {
		log_debug("network map %llu is older than the one in force",
			(unsigned long long)update->map.serial);
		return;
	}
	ret = make_message(mesh, bytes, len, &message);
	if (ret) {
		log_err("cannot read the network map: %s", strerror(-ret));
		return;
	}
	accept_map(mesh, &message);
	if (update->map.self.present)
		management_sync_meta(mesh->management, update->check_files, update->check_file_count);
}

void mesh_leave(struct mesh *mesh)
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
	mesh_forget_expiry(mesh);
	put_in_force(mesh, &none);
}

/* --- from disk --- */

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

	if (make_message(mesh, bytes, len, &message))
		return;
	mesh_take_self(mesh, &message.update.map.self);
	mesh_take_expiry(mesh, &message.update.expiry);
	mesh->map_is_old = true;
	log_info("network map %llu from the last run: %zu peers, %zu routes",
		(unsigned long long)message.update.map.serial, message.update.map.peer_count,
		message.update.map.route_count);
	put_in_force(mesh, &message);
}

typedef void (*take_fn)(struct mesh *mesh, const uint8_t *bytes, size_t len);

static int load(struct mesh *mesh, const char *path, take_fn take)
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

void mesh_load_last(struct mesh *mesh)
{
	int servers, map;

	mesh_name_server(mesh, mesh->identity.management_url);
	servers = load(mesh, mesh->servers_path, load_servers);
	map = load(mesh, mesh->map_path, load_map);
	if (servers != -ESTALE && map != -ESTALE)
		return;
	log_warn("the last network map is another server's or another key's: what it had opened is closed "
		"until %s says more", mesh->server);
	mesh_leave(mesh);
}

static void give_back(void *ctx)
{
	memory_give_back();
}

void mesh_map_init(struct mesh *mesh)
{
	loop_timer_init(&mesh->guard_timer, ways_kept_too_long, mesh);
	loop_timer_init(&mesh->memory_timer, give_back, mesh);
}
