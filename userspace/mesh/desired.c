// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// From the network map in force to what the plane, the peers and the forwarder are to do.
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/log.h"
#include "mesh/internal.h"
#include "net/net.h"

/*
 * An inherited way is looked at again and again; a keepalive comes every 25 s, and within 10 s of data that
 * nothing else answers.
 */
#define INHERITED_LOOK_NS	(3 * LOOP_SECOND)
#define SILENT_NS		(35 * LOOP_SECOND)
#define UNANSWERED_NS		(12 * LOOP_SECOND)

#define AGAIN_NS	(10 * LOOP_SECOND)	/* after what could not be applied */
#define NOTICEABLE_NS		(20 * LOOP_MS)		/* to apply a map: worth a line in the log */

/* Arrays that are only needed while the map is applied. */
struct desired {
	/* the map's, in its order; behind them those whose ways alone are kept */
	const struct netmap_peer **listed;
	size_t peer_count;
	struct plane_peer *peers;
	struct cidr *allowed;
	struct config_route *routes;
	struct cidr *host_routes;
	struct forwarder_domain *domains;
	size_t route_count, host_route_count, domain_count;
};

static void desired_free(struct desired *d)
{
	for (size_t i = 0; d->peers && i < d->peer_count; i++)
		secret_key_wipe(&d->peers[i].preshared_key);
	free(d->listed);
	free(d->peers);
	free(d->allowed);
	free(d->routes);
	free(d->host_routes);
	free(d->domains);
}

static bool serves(const struct mesh *mesh)
{
	const struct config_mesh *config = &mesh->config->mesh;

	/* Without rules nothing would keep the mesh out of what is routed. */
	return !config->disable_server_routes && !config->block_inbound && !config->disable_firewall &&
		!config->agent;
}

static bool is_ours(const struct mesh *mesh, const struct netmap_route *route)
{
	return !memcmp(route->router, mesh->identity.public_key, KEY_LEN);
}

/* The map's peers are sorted by key. */
static size_t find_peer(const struct netmap *map, const uint8_t *key)
{
	size_t from = 0, to = map->peer_count;

	while (from < to) {
		size_t middle = (from + to) / 2;
		int order = memcmp(map->peers[middle].key, key, KEY_LEN);

		if (!order)
			return middle;
		if (order < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return map->peer_count;
}

static size_t router_of(const struct netmap *map, const struct choose_group *group)
{
	return group->usable && group->current < group->member_count ? find_peer(map,
		group->members[group->current].key) : map->peer_count;
}

/* Peers that the map took away while their ways are kept follow its own. */
static int list_peers(const struct mesh *mesh, const struct netmap *map, struct desired *d)
{
	const struct netmap *kept = mesh->keeps_ways ? &mesh->kept.update.map : NULL;

	d->listed = calloc(map->peer_count + (kept ? kept->peer_count : 0) + 1, sizeof(*d->listed));
	if (!d->listed)
		return -ENOMEM;
	for (size_t i = 0; i < map->peer_count; i++)
		d->listed[d->peer_count++] = &map->peers[i];
	for (size_t i = 0; kept && i < kept->peer_count; i++) {
		if (find_peer(map, kept->peers[i].key) == map->peer_count)
			d->listed[d->peer_count++] = &kept->peers[i];
	}
	return 0;
}

/* Own addresses first, then the networks that go through it: peer by peer in one array. */
static int fill_peers(struct mesh *mesh, const struct netmap *map, struct desired *d)
{
	size_t *counts = calloc(map->peer_count + 1, sizeof(*counts)), total = 0, at = 0;

	if (list_peers(mesh, map, d)) {
		free(counts);
		return -ENOMEM;
	}
	for (size_t i = 0; counts && i < map->peer_count; i++)
		total += counts[i] = map->peers[i].allowed_count;
	for (size_t i = 0; counts && i < mesh->choose.group_count; i++) {
		size_t router = router_of(map, &mesh->choose.groups[i]);

		if (router < map->peer_count) {
			counts[router]++;
			total++;
		}
	}
	d->peers = calloc(d->peer_count + 1, sizeof(*d->peers));
	d->allowed = calloc(total + 1, sizeof(*d->allowed));
	if (!counts || !d->peers || !d->allowed) {
		free(counts);
		return -ENOMEM;
	}
	for (size_t i = 0; i < d->peer_count; i++) {
		const struct netmap_peer *from = d->listed[i];
		struct plane_peer *to = &d->peers[i];

		memcpy(to->public_key, from->key, KEY_LEN);
		to->preshared_key = mesh->identity.preshared_key;
		snprintf(to->name, sizeof(to->name), "%s", from->fqdn);
		to->keepalive_s = MESH_KEEPALIVE_S;
		/* no address is its own any more: nothing goes to it, nothing of it is let in */
		if (i >= map->peer_count)
			continue;
		to->allowed = &d->allowed[at];
		to->allowed_count = from->allowed_count;
		memcpy(&d->allowed[at], from->allowed, from->allowed_count * sizeof(*from->allowed));
		at += counts[i];
	}
	for (size_t i = 0; i < mesh->choose.group_count; i++) {
		const struct choose_group *group = &mesh->choose.groups[i];
		size_t router = router_of(map, group);

		if (router < map->peer_count) {
			struct plane_peer *to = &d->peers[router];

			d->allowed[to->allowed - d->allowed + to->allowed_count++] = group->net;
		}
	}
	free(counts);
	return 0;
}

/* Each network once: where two routes name it, masquerading one wins, which works without a route back. */
static void add_route(struct desired *d, const struct cidr *net, bool masquerade)
{
	for (size_t i = 0; i < d->route_count; i++) {
		if (!memcmp(&d->routes[i].dst, net, sizeof(*net))) {
			d->routes[i].masquerade |= masquerade;
			return;
		}
	}
	d->routes[d->route_count++] = (struct config_route){ .dst = *net, .masquerade = masquerade };
}

static int fill_routes(struct mesh *mesh, const struct netmap *map, struct desired *d)
{
	size_t learned_count, domain_count = 0;
	const struct forwarder_learned *learned = forwarder_list(mesh->forwarder, &learned_count);

	for (size_t i = 0; i < map->route_count; i++)
		domain_count += map->routes[i].domain_count;
	d->routes = calloc(map->route_count + learned_count + 1, sizeof(*d->routes));
	d->host_routes = calloc(mesh->choose.group_count + 1, sizeof(*d->host_routes));
	d->domains = calloc(domain_count + 1, sizeof(*d->domains));
	if (!d->routes || !d->host_routes || !d->domains)
		return -ENOMEM;
	for (size_t i = 0; i < map->route_count && serves(mesh); i++) {
		const struct netmap_route *route = &map->routes[i];

		if (!is_ours(mesh, route))
			continue;
		if (route->net.family == AF_INET)
			add_route(d, &route->net, route->masquerade);
		for (size_t j = 0; j < route->domain_count && map->self.dns_resolution; j++)
			d->domains[d->domain_count++] = (struct forwarder_domain){ route->domains[j],
				route->masquerade, route->keep_route };
	}
	for (size_t i = 0; i < learned_count && serves(mesh); i++) {
		const struct cidr net = { .family = AF_INET, .prefixlen = 32,
			.addr.word[0] = learned[i].addr };

		add_route(d, &net, learned[i].masquerade);
	}
	for (size_t i = 0; i < mesh->choose.group_count; i++) {
		if (mesh->choose.groups[i].usable)
			d->host_routes[d->host_route_count++] = mesh->choose.groups[i].net;
	}
	return 0;
}

struct lan_fill {
	struct cidr *list;
	size_t count, room;
	bool failed;
};

static void add_lan(const struct net_addr *addr, void *user)
{
	struct lan_fill *lan = user;
	__be32 mask = addr->prefixlen ? htonl(~0U << (32 - addr->prefixlen)) : 0;

	if (addr->family != AF_INET || (ntohl(addr->addr.word[0]) >> 24) == 127)
		return;
	if (lan->count == lan->room) {
		struct cidr *larger = reallocarray(lan->list, lan->room ? 2 * lan->room : 64,
			sizeof(*larger));

		if (!larger) {
			lan->failed = true;
			return;
		}
		lan->list = larger;
		lan->room = lan->room ? 2 * lan->room : 64;
	}
	lan->list[lan->count++] = (struct cidr){
		.family = AF_INET, .prefixlen = addr->prefixlen, .addr.word[0] = addr->addr.word[0] & mask,
	};
}

/* All networks of this host, or none at all would be open to the mesh. */
static int list_lan(struct lan_fill *lan)
{
	int ret = net_addr_list(add_lan, lan);

	return ret ? ret : lan->failed ? -ENOMEM : 0;
}

/* On error nothing may be let in: those in force belong to peers and addresses of another map. */
static int make_rules(struct mesh *mesh, const struct netmap *map, __be32 addr, struct acl_table **ret_table,
	char *why, size_t size)
{
	const struct config_mesh *config = &mesh->config->mesh;
	size_t learned_count;
	const struct forwarder_learned *from = forwarder_list(mesh->forwarder, &learned_count);
	struct acl_learned *learned = calloc(learned_count + 1, sizeof(*learned));
	struct lan_fill lan = {};
	struct acl_input input = { .map = map, .mesh_addr = addr, .block_inbound = config->block_inbound };
	struct acl_rules rules = {};
	int ret = learned ? 0 : -ENOMEM;

	for (size_t i = 0; learned && i < learned_count; i++)
		learned[i] = (struct acl_learned){ from[i].pattern, from[i].addr };
	input.learned = learned;
	input.learned_count = learned_count;
	if (!ret && config->block_lan_access)
		ret = list_lan(&lan);
	input.lan = lan.list;
	input.lan_count = lan.count;
	if (!ret)
		ret = acl_rules_make(&input, &rules);
	if (!ret)
		ret = acl_compile(rules.list, rules.count, ret_table, why, size);
	else
		snprintf(why, size, "access rules: %s", strerror(-ret));
	acl_rules_done(&rules);
	free(lan.list);
	free(learned);
	return ret;
}

/* The datapath goes by the path from before a restart of ours, and nothing says that it leads nowhere. */
static bool still_carries(const struct mesh *mesh, uint32_t id)
{
	const uint64_t now = loop_now(mesh->loop);
	struct plane_facts facts;

	if (plane_get_facts(mesh->plane, id, &facts) || !facts.has_session ||
		facts.rx_direct_ns <= facts.rx_relay_ns)
		return false;
	return facts.rx_direct_ns + SILENT_NS > now && facts.tx_data_ns < facts.rx_direct_ns + UNANSWERED_NS;
}

/*
 * A network keeps its inherited way from the very first map on: without its router it would have none until a
 * server answers.
 */
static bool is_inherited(const struct mesh *mesh, const uint8_t *key, const struct peer_info *info)
{
	if (!info)
		return !mesh->has_applied && still_carries(mesh, plane_find_peer(mesh->plane, key));
	return info->status == PEER_CONNECTING && info->way == PLANE_DIRECT && still_carries(mesh, info->id);
}

static void router_state(void *ctx, const uint8_t key[static KEY_LEN], struct choose_router *ret_router)
{
	struct mesh *mesh = ctx;
	struct peer_info info;
	bool is_known = !peers_get(mesh->peers, key, &info);

	if (is_inherited(mesh, key, is_known ? &info : NULL)) {
		ret_router->status = CHOOSE_CONNECTED;
		loop_timer_after(mesh->loop, &mesh->apply_timer, INHERITED_LOOK_NS);
		return;
	}
	if (!is_known)
		return;
	ret_router->status = info.status == PEER_CONNECTED ? CHOOSE_CONNECTED : info.status == PEER_IDLE
		? CHOOSE_IDLE : CHOOSE_CONNECTING;
	if (info.status == PEER_CONNECTED && info.is_silent)	/* the last choice, but one */
		ret_router->status = CHOOSE_IDLE;
	ret_router->relayed = info.way == PLANE_RELAY;
	ret_router->latency_ns = info.latency_ns;
}

static const struct netmap_self *find_self(const struct mesh *mesh, const struct netmap *map)
{
	return map->self.present && map->self.addr ? &map->self : &mesh->self;
}

/* No way to a peer may lead through the mesh itself. */
static int tell_routes(struct mesh *mesh, const struct netmap *map)
{
	const struct netmap_self *self = find_self(mesh, map);
	struct cidr *list = calloc(mesh->choose.group_count + 1, sizeof(*list));
	size_t count = 0;
	int ret;

	if (!list)
		return -ENOMEM;
	if (self->addr)
		list[count++] = (struct cidr){ .family = AF_INET, .prefixlen = self->prefixlen,
			.addr.word[0] = self->addr };
	for (size_t i = 0; i < mesh->choose.group_count; i++) {
		const struct choose_group *group = &mesh->choose.groups[i];

		if (group->usable && !plane_is_left_out(mesh->plane, &group->net))
			list[count++] = group->net;
	}
	ret = peers_set_client_routes(mesh->peers, list, count);
	free(list);
	return ret;
}

bool mesh_is_lazy(const struct mesh *mesh)
{
	const struct config_mesh *config = &mesh->config->mesh;

	if (config->given & CONFIG_GIVEN_LAZY_CONN)
		return config->lazy_conn;
	return mesh->now.update.map.self.lazy || config->lazy_connection;
}

static int tell_peers(struct mesh *mesh, const struct netmap *map, const struct desired *d)
{
	struct peers_entry *list = calloc(d->peer_count + 1, sizeof(*list));
	int ret;

	if (!list)
		return -ENOMEM;
	ret = tell_routes(mesh, map);
	for (size_t i = 0; i < d->peer_count; i++)
		list[i] = (struct peers_entry){ d->listed[i],
			plane_find_peer(mesh->plane, d->listed[i]->key) };
	if (!ret)
		ret = peers_set(mesh->peers, list, d->peer_count, mesh_is_lazy(mesh));
	free(list);
	return ret;
}

/* No trouble of the map's: whoever fits is served, and who does not is said. */
static void report_room(struct mesh *mesh, const char *why)
{
	if (*why && !*mesh->room_why) {
		log_warn("network map: %s", why);
		mesh_event(mesh, "WARNING", "NETWORK", "%s", why);
	}
	snprintf(mesh->room_why, sizeof(mesh->room_why), "%s", why);
}

static int plane_part(struct mesh *mesh, const struct netmap *map, const struct netmap_self *self,
	struct desired *d, char *why, size_t size)
{
	struct plane_state state = { .mesh_addr = self->addr, .mesh_prefixlen = self->prefixlen };
	struct netmap_port open[FORWARDER_SOCKETS];
	struct acl_table *table = NULL;
	char acl_why[160] = "";
	int ret, acl_ret = 0;

	if (!mesh->config->mesh.disable_firewall)
		acl_ret = make_rules(mesh, map, self->addr, &table, acl_why, sizeof(acl_why));
	state.acl = table;
	state.is_closed = acl_ret;
	state.open = open;
	state.open_count = mesh->config->mesh.block_inbound ? 0 : forwarder_sockets(mesh->forwarder, open);
	state.peers = d->peers;
	state.peer_count = d->peer_count;
	state.routes = d->routes;
	state.route_count = d->route_count;
	state.host_routes = d->host_routes;
	state.host_route_count = d->host_route_count;
	ret = plane_apply(mesh->plane, &state, why, size);
	report_room(mesh, ret == -EUSERS ? why : "");
	if (ret == -EUSERS)
		ret = *why = 0;
	if (acl_ret)
		snprintf(why, size, "%s; until then nothing is let in", acl_why);
	acl_free(table);
	return ret ? ret : acl_ret;
}

static void report(struct mesh *mesh, int ret, const char *why)
{
	if (ret && strcmp(why, mesh->apply_why) != 0) {
		log_warn("network map: %s", why);
		mesh_event(mesh, "ERROR", "NETWORK", "%s", why);
	}
	snprintf(mesh->apply_why, sizeof(mesh->apply_why), "%s", ret ? why : "");
}

static int set_forwarder(struct mesh *mesh, const struct netmap *map, __be32 addr, const struct desired *d,
	char *why, size_t size)
{
	return forwarder_set(mesh->forwarder, addr, mesh_forwarder_port(mesh, map), d->domains,
		d->domain_count, why, size);
}

void mesh_apply(struct mesh *mesh)
{
	const struct netmap *map = &mesh->now.update.map;
	const struct netmap_self *self = find_self(mesh, map);
	char why[200] = "", dns_why[160] = "";
	struct desired d = {};
	int ret, dns_ret = 0;

	loop_timer_cancel(mesh->loop, &mesh->apply_timer);
	if (!mesh->plane_is_ready || !mesh->has_map)
		return;
	choose_routers(&mesh->choose, router_state, mesh);
	ret = fill_peers(mesh, map, &d);
	if (!ret)
		ret = fill_routes(mesh, map, &d);
	if (ret) {
		snprintf(why, sizeof(why), "%s", strerror(-ret));
	} else {
		/* First, so that the rules open the ports that it has, and no others. */
		dns_ret = set_forwarder(mesh, map, self->addr, &d, dns_why, sizeof(dns_why));
		ret = plane_part(mesh, map, self, &d, why, sizeof(why));
	}
	mesh->has_applied = true;
	if (!ret)
		ret = tell_peers(mesh, map, &d);
	else
		tell_peers(mesh, map, &d);
	if (dns_ret && !ret) {
		ret = dns_ret;
		snprintf(why, sizeof(why), "%s", dns_why);
	}
	if (ret && !loop_timer_is_set(&mesh->apply_timer))
		loop_timer_after(mesh->loop, &mesh->apply_timer, AGAIN_NS);
	report(mesh, ret, why);
	desired_free(&d);
}

void mesh_apply_soon(struct mesh *mesh)
{
	loop_timer_after(mesh->loop, &mesh->apply_timer, 0);
}

void mesh_message_done(struct mesh_message *message)
{
	netmap_update_done(&message->update);
	free(message->bytes);
	memset(message, 0, sizeof(*message));
}

int mesh_message_make(struct mesh *mesh, const uint8_t *bytes, size_t len, struct mesh_message *ret_message)
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
	*ret_message = message;
	return 0;
}

/* The message is still read by whoever compares: done with later. */
static struct mesh_message forget_kept(struct mesh *mesh)
{
	struct mesh_message gone = mesh->kept;

	memset(&mesh->kept, 0, sizeof(mesh->kept));
	mesh->keeps_ways = false;
	return gone;
}

void mesh_let_go(struct mesh *mesh)
{
	struct mesh_message gone = forget_kept(mesh);

	mesh_apply(mesh);
	mesh_message_done(&gone);
}

void mesh_take_map(struct mesh *mesh, struct mesh_message *message)
{
	const struct netmap *map = &message->update.map;
	const struct netmap_self *self = find_self(mesh, map);
	const uint64_t begin = mesh_unix_ns();
	uint64_t took;

	if (choose_set_map(&mesh->choose, map, mesh->identity.public_key, self->addr, self->prefixlen,
		mesh->config->mesh.disable_client_routes))
		log_warn("networks of others: out of memory");
	if (map->skipped)
		log_warn("network map %llu: %u entries were left out, the first: %s",
			(unsigned long long)map->serial, map->skipped, map->skipped_why);
	/* peers_set() looks at the old strings until it has the new ones. */
	struct mesh_message old = mesh->now, gone = {};

	mesh->now = *message;
	memset(message, 0, sizeof(*message));
	mesh->has_map = true;
	if (mesh->guard.is_holding && !mesh->keeps_ways) {
		mesh->kept = old;
		mesh->keeps_ways = true;
		memset(&old, 0, sizeof(old));
	} else if (!mesh->guard.is_holding) {
		gone = forget_kept(mesh);
	}
	mesh_apply(mesh);
	mesh_message_done(&old);
	mesh_message_done(&gone);
	took = mesh_unix_ns() - begin;
	if (took >= NOTICEABLE_NS)
		log_info("network map %llu: applied in %llu ms",
			(unsigned long long)mesh->now.update.map.serial,
			(unsigned long long)(took / LOOP_MS));
	loop_timer_after(mesh->loop, &mesh->memory_timer, MESH_QUIET_NS);
}
