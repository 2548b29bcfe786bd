// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// From the network map in force to the desired state of plane, peers and forwarder.
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/log.h"
#include "mesh/internal.h"
#include "net/net.h"

#define INHERITED_LOOK_NS	(3 * LOOP_SECOND)	/* until an inherited way is looked at again */
#define SILENT_NS		(35 * LOOP_SECOND)	/* a keepalive comes every 25 s */
#define UNANSWERED_NS		(12 * LOOP_SECOND)	/* data is answered within 10 s */
#define AGAIN_NS		(10 * LOOP_SECOND)	/* until what failed is tried again */

/* Arrays that exist only while the map is applied. */
struct desired {
	/* the map's peers in its order, then those of which only the ways are kept */
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

	/* Without access rules nothing would keep the mesh out of the networks. */
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

/* The map's peers, then those that it took away and whose ways are kept. */
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

/* Whether networks of this family are carried: IPv6 only with an address of our own in it. */
static bool carries(const struct mesh *mesh, uint8_t family)
{
	return family == AF_INET || !addr6_is_zero(&mesh_self(mesh)->addr6);
}

/* How many allowed networks each peer of the map may have, those routed by it included. Returns the sum. */
static size_t count_allowed(const struct mesh *mesh, const struct netmap *map, size_t *counts)
{
	size_t total = 0;

	for (size_t i = 0; i < map->peer_count; i++)
		total += counts[i] = map->peers[i].allowed_count;
	for (size_t i = 0; i < mesh->choose.group_count; i++) {
		size_t router = router_of(map, &mesh->choose.groups[i]);

		if (router < map->peer_count) {
			counts[router]++;
			total++;
		}
	}
	return total;
}

static void name_peers(const struct mesh *mesh, struct desired *d)
{
	for (size_t i = 0; i < d->peer_count; i++) {
		const struct netmap_peer *from = d->listed[i];
		struct plane_peer *to = &d->peers[i];

		memcpy(to->public_key, from->key, KEY_LEN);
		to->preshared_key = mesh->identity.preshared_key;
		snprintf(to->name, sizeof(to->name), "%s", from->fqdn);
		to->keepalive_s = MESH_KEEPALIVE_S;
	}
}

/*
 * Peers of the map only: those whose ways alone are kept have no address any more, so nothing is sent to them
 * or accepted from them. Each gets counts[i] places in d->allowed.
 */
static void allow_addresses(const struct mesh *mesh, const struct netmap *map, const size_t *counts,
	struct desired *d)
{
	struct cidr *at = d->allowed;

	for (size_t i = 0; i < map->peer_count; i++) {
		const struct netmap_peer *from = d->listed[i];
		size_t count = 0;

		for (size_t j = 0; j < from->allowed_count; j++)
			if (carries(mesh, from->allowed[j].family))
				at[count++] = from->allowed[j];
		d->peers[i].allowed = at;
		d->peers[i].allowed_count = count;
		at += counts[i];
	}
}

static void allow_routed_networks(const struct mesh *mesh, const struct netmap *map, struct desired *d)
{
	for (size_t i = 0; i < mesh->choose.group_count; i++) {
		const struct choose_group *group = &mesh->choose.groups[i];
		size_t router = router_of(map, group);

		if (router < map->peer_count) {
			struct plane_peer *to = &d->peers[router];

			d->allowed[to->allowed - d->allowed + to->allowed_count++] = group->net;
		}
	}
}

/* In d->allowed stand, peer by peer, its own addresses and then the networks that it routes. */
static int fill_peers(const struct mesh *mesh, const struct netmap *map, struct desired *d)
{
	/* first: peers are told of the list even if no memory is left for the rest */
	int ret = list_peers(mesh, map, d);
	size_t *counts = calloc(map->peer_count + 1, sizeof(*counts));

	if (!counts)
		ret = -ENOMEM;
	if (!ret) {
		d->peers = calloc(d->peer_count + 1, sizeof(*d->peers));
		d->allowed = calloc(count_allowed(mesh, map, counts) + 1, sizeof(*d->allowed));
		ret = d->peers && d->allowed ? 0 : -ENOMEM;
	}
	if (!ret) {
		name_peers(mesh, d);
		allow_addresses(mesh, map, counts, d);
		allow_routed_networks(mesh, map, d);
	}
	free(counts);
	return ret;
}

/* Each network once. If two routes name it, masquerading wins, since it works without a route back. */
static void add_route(struct desired *d, const struct cidr *net, bool masquerade)
{
	for (size_t i = 0; i < d->route_count; i++) {
		if (cidr_is_equal(&d->routes[i].dst, net)) {
			d->routes[i].masquerade |= masquerade;
			return;
		}
	}
	d->routes[d->route_count++] = (struct config_route){ .dst = *net, .masquerade = masquerade };
}

static int make_room_for_routes(const struct mesh *mesh, const struct netmap *map, size_t learned_count,
	struct desired *d)
{
	size_t domain_count = 0;

	for (size_t i = 0; i < map->route_count; i++)
		domain_count += map->routes[i].domain_count;
	d->routes = calloc(map->route_count + learned_count + 1, sizeof(*d->routes));
	d->host_routes = calloc(mesh->choose.group_count + 1, sizeof(*d->host_routes));
	d->domains = calloc(domain_count + 1, sizeof(*d->domains));
	return d->routes && d->host_routes && d->domains ? 0 : -ENOMEM;
}

/* What this peer routes: networks, and domains for the forwarder to resolve. */
static void serve_route(const struct mesh *mesh, const struct netmap *map, const struct netmap_route *route,
	struct desired *d)
{
	if (route->net.family && carries(mesh, route->net.family))
		add_route(d, &route->net, route->masquerade);
	for (size_t i = 0; i < route->domain_count && map->self.dns_resolution; i++)
		d->domains[d->domain_count++] = (struct forwarder_domain){ route->domains[i],
			route->masquerade, route->keep_route };
}

static void serve_learned(const struct forwarder_learned *learned, struct desired *d)
{
	const struct cidr net = { .family = learned->family, .addr = learned->addr,
		.prefixlen = learned->family == AF_INET ? 32 : 128 };

	add_route(d, &net, learned->masquerade);
}

static int fill_routes(const struct mesh *mesh, const struct netmap *map, struct desired *d)
{
	size_t learned_count;
	const struct forwarder_learned *learned = forwarder_list(mesh->forwarder, &learned_count);
	int ret = make_room_for_routes(mesh, map, learned_count, d);

	if (ret)
		return ret;
	for (size_t i = 0; i < map->route_count && serves(mesh); i++) {
		if (is_ours(mesh, &map->routes[i]))
			serve_route(mesh, map, &map->routes[i], d);
	}
	for (size_t i = 0; i < learned_count && serves(mesh); i++)
		if (carries(mesh, learned[i].family))
			serve_learned(&learned[i], d);
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

static bool grow(struct lan_fill *lan)
{
	size_t room = lan->room ? 2 * lan->room : 64;
	struct cidr *larger = reallocarray(lan->list, room, sizeof(*larger));

	if (!larger)
		return false;
	lan->list = larger;
	lan->room = room;
	return true;
}

static void add_lan(const struct net_addr *addr, void *user)
{
	struct lan_fill *lan = user;
	struct cidr net = { .family = addr->family, .prefixlen = addr->prefixlen, .addr = addr->addr };

	if (addr->family == AF_INET ? ntohl(addr->addr.word[0]) >> 24 == 127 : !addr6_is_host(&addr->addr))
		return;
	if (lan->count == lan->room && !grow(lan)) {
		lan->failed = true;
		return;
	}
	cidr_clear_host_bits(&net);
	lan->list[lan->count++] = net;
}

/* Fails unless the list is complete: a network that is missing from it would be open to the mesh. */
static int list_lan(struct lan_fill *lan)
{
	int ret = net_addr_list(add_lan, lan);

	return ret ? ret : lan->failed ? -ENOMEM : 0;
}

static int compile_rules(const struct acl_input *input, struct acl_table **ret_table, char *why, size_t size)
{
	struct acl_rules rules = {};
	int ret = acl_rules_make(input, &rules);

	if (ret)
		snprintf(why, size, "cannot make the access rules: %s", strerror(-ret));
	else
		ret = acl_compile(rules.list, rules.count, ret_table, why, size);
	acl_rules_done(&rules);
	return ret;
}

/* On error nothing may be let in: the rules in force were made for the peers and addresses of another map. */
static int make_rules(struct mesh *mesh, const struct netmap *map, struct acl_table **ret_table, char *why,
	size_t size)
{
	const struct config_mesh *config = &mesh->config->mesh;
	const struct netmap_self *self = mesh_self(mesh);
	size_t learned_count;
	const struct forwarder_learned *from = forwarder_list(mesh->forwarder, &learned_count);
	struct acl_learned *learned = calloc(learned_count + 1, sizeof(*learned));
	struct lan_fill lan = {};
	int ret = learned ? 0 : -ENOMEM;

	for (size_t i = 0; learned && i < learned_count; i++)
		learned[i] = (struct acl_learned){ from[i].pattern, from[i].family, from[i].addr };
	if (!ret && config->block_lan_access)
		ret = list_lan(&lan);
	if (ret)
		snprintf(why, size, "cannot make the access rules: %s", strerror(-ret));
	else
		ret = compile_rules(&(struct acl_input){
			.map = map, .mesh_addr = self->addr, .mesh_addr6 = self->addr6,
				.block_inbound = config->block_inbound,
			.learned = learned, .learned_count = learned_count,
			.lan = lan.list, .lan_count = lan.count,
		}, ret_table, why, size);
	free(lan.list);
	free(learned);
	return ret;
}

/* Whether the datapath sends by a path from before our restart, and nothing suggests that it is dead. */
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
 * Whether the router is reached by such a path. It counts as connected from the very first map on: otherwise
 * its networks would have no way until a server answers.
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
	/* chosen only if no other router is connected */
	if (info.status == PEER_CONNECTED && info.is_silent)
		ret_router->status = CHOOSE_IDLE;
	ret_router->relayed = info.way == PLANE_RELAY;
	ret_router->latency_ns = info.latency_ns;
}

/* Tells the peers which networks lead through the mesh: a path to a peer must not. */
static int tell_routes(struct mesh *mesh)
{
	const struct netmap_self *self = mesh_self(mesh);
	struct cidr *list = calloc(mesh->choose.group_count + 2, sizeof(*list));
	size_t count = 0;
	int ret;

	if (!list)
		return -ENOMEM;
	if (self->addr)
		list[count++] = (struct cidr){ .family = AF_INET, .prefixlen = self->prefixlen,
			.addr.word[0] = self->addr };
	if (!addr6_is_zero(&self->addr6))
		list[count++] = (struct cidr){ .family = AF_INET6, .prefixlen = self->prefixlen6,
			.addr = self->addr6 };
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
	return mesh->now.update.map.self.lazy;
}

static int tell_peers(struct mesh *mesh, const struct desired *d)
{
	struct peers_entry *list = calloc(d->peer_count + 1, sizeof(*list));
	int ret;

	if (!list)
		return -ENOMEM;
	ret = tell_routes(mesh);
	for (size_t i = 0; i < d->peer_count; i++)
		list[i] = (struct peers_entry){ d->listed[i],
			plane_find_peer(mesh->plane, d->listed[i]->key) };
	if (!ret)
		ret = peers_set(mesh->peers, list, d->peer_count, mesh_is_lazy(mesh));
	free(list);
	return ret;
}

/* Not an error: the peers that fit are served, the others are reported. */
static void report_room(struct mesh *mesh, const char *why)
{
	if (*why && !*mesh->room_why) {
		log_warn("network map: %s", why);
		mesh_event(mesh, "WARNING", "NETWORK", "%s", why);
	}
	snprintf(mesh->room_why, sizeof(mesh->room_why), "%s", why);
}

/* Peers that do not fit are reported here and do not count as an error. */
static int apply_to_plane(struct mesh *mesh, const struct plane_state *state, char *why, size_t size)
{
	int ret = plane_apply(mesh->plane, state, why, size);

	report_room(mesh, ret == -EUSERS ? why : "");
	if (ret == -EUSERS)
		ret = *why = 0;
	return ret;
}

static int apply_plane(struct mesh *mesh, const struct netmap *map, const struct desired *d, char *why,
	size_t size)
{
	const struct netmap_self *self = mesh_self(mesh);
	const struct config_mesh *config = &mesh->config->mesh;
	struct netmap_port open[FORWARDER_SOCKETS];
	struct acl_table *table = NULL;
	char acl_why[160] = "";
	int ret, acl_ret = 0;

	if (!config->disable_firewall)
		acl_ret = make_rules(mesh, map, &table, acl_why, sizeof(acl_why));
	ret = apply_to_plane(mesh, &(struct plane_state){
		.mesh_addr = self->addr, .mesh_prefixlen = self->prefixlen,
		.mesh_addr6 = self->addr6, .mesh_prefixlen6 = self->prefixlen6,
		.acl = table, .is_closed = acl_ret,
		.open = open,
		.open_count = config->block_inbound ? 0 : forwarder_sockets(mesh->forwarder, open),
		.peers = d->peers, .peer_count = d->peer_count,
		.routes = d->routes, .route_count = d->route_count,
		.host_routes = d->host_routes, .host_route_count = d->host_route_count,
	}, why, size);
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

static int apply_forwarder(struct mesh *mesh, const struct netmap *map, const struct desired *d, char *why,
	size_t size)
{
	return forwarder_set(mesh->forwarder, mesh_self(mesh)->addr, mesh_forwarder_port(mesh, map),
		d->domains, d->domain_count, why, size);
}

/*
 * The forwarder first, so that the rules open its ports and no others. If it fails, the plane is applied all
 * the same; of two errors the plane's is returned.
 */
static int apply_desired(struct mesh *mesh, const struct netmap *map, const struct desired *d, char *why,
	size_t size)
{
	char dns_why[160] = "";
	int dns_ret = apply_forwarder(mesh, map, d, dns_why, sizeof(dns_why));
	int ret = apply_plane(mesh, map, d, why, size);

	if (dns_ret && !ret)
		snprintf(why, size, "%s", dns_why);
	return ret ? ret : dns_ret;
}

void mesh_apply(struct mesh *mesh)
{
	const struct netmap *map = &mesh->now.update.map;
	char why[200] = "";
	struct desired d = {};
	int ret, told;

	loop_timer_cancel(mesh->loop, &mesh->apply_timer);
	if (!mesh->plane_is_ready || !mesh->has_map)
		return;
	choose_routers(&mesh->choose, router_state, mesh);
	ret = fill_peers(mesh, map, &d);
	if (!ret)
		ret = fill_routes(mesh, map, &d);
	if (!ret)
		ret = apply_desired(mesh, map, &d, why, sizeof(why));
	else
		snprintf(why, sizeof(why), "%s", strerror(-ret));
	mesh->has_applied = true;
	mesh_check_ipv6(mesh);
	told = tell_peers(mesh, &d);
	if (told && !ret) {
		ret = told;
		snprintf(why, sizeof(why), "%s", strerror(-ret));
	}
	/* Who sleeps from the start is a router only now that the peers are told of it. */
	if (!ret && choose_routers(&mesh->choose, router_state, mesh))
		mesh_apply_soon(mesh);
	if (ret && !loop_timer_is_set(&mesh->apply_timer))
		loop_timer_after(mesh->loop, &mesh->apply_timer, AGAIN_NS);
	report(mesh, ret, why);
	desired_free(&d);
}

void mesh_apply_soon(struct mesh *mesh)
{
	loop_timer_after(mesh->loop, &mesh->apply_timer, 0);
}
