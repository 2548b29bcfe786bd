// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Desired state into the maps, and what an earlier process left there into the device. Nothing is attached while this runs the first time.
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "controller/internal.h"
#include "log/log.h"

#define TUNNEL_OVERHEAD4 60	/* IPv4, UDP, WireGuard header and tag */
#define TUNNEL_OVERHEAD6 80

static __be32 mask4(unsigned prefixlen)
{
	return prefixlen ? htonl(~0U << (32 - prefixlen)) : 0;
}

/* Keys of an LPM trie that @keep does not know are deleted. Each step deletes one or goes on behind one that stays, so it ends. */
static void prune_lpm(int map, bool (*keep)(const struct controller *, const struct talon_lpm4 *), const struct controller *c)
{
	struct talon_lpm4 key, next, *last = NULL;

	while (!bpf_map_get_next_key(map, last, &next)) {
		if (!keep(c, &next)) {
			bpf_map_delete_elem(map, &next);
			continue;	/* @last is still there */
		}
		key = next;
		last = &key;
	}
}

static bool covers(const struct config_cidr *cidr, const struct talon_lpm4 *key)
{
	return cidr->family == AF_INET && cidr->prefixlen == key->prefixlen && cidr->addr.word[0] == key->addr;
}

static bool is_allowed(const struct controller *c, const struct talon_lpm4 *key)
{
	for (size_t i = 0; i < c->config->peer_count; i++) {
		const struct config_peer *p = &c->config->peers[i];

		for (size_t j = 0; j < p->allowed_count; j++) {
			if (covers(&p->allowed[j], key))
				return true;
		}
	}
	return false;
}

static bool is_own(const struct controller *c, const struct talon_lpm4 *key)
{
	return c->config->host_address && c->config->mesh_addr && key->prefixlen == 32 && key->addr == c->config->mesh_addr;
}

static bool is_route(const struct controller *c, const struct talon_lpm4 *key)
{
	for (size_t i = 0; i < c->config->route_count; i++) {
		if (covers(&c->config->routes[i].dst, key))
			return true;
	}
	for (size_t i = 0; i < c->config->local_count; i++) {
		if (covers(&c->config->local[i], key))
			return true;
	}
	return is_own(c, key);
}

static int put_route(struct controller *c, __be32 addr, unsigned prefixlen, uint32_t id, uint32_t flags)
{
	const struct talon_lpm4 key = { .prefixlen = prefixlen, .addr = addr };
	const struct talon_route route = { .id = id, .flags = flags };

	return bpf_map_update_elem(datapath_map_fd(c->dp, DATAPATH_MAP_ROUTES4), &key, &route, BPF_ANY) ? -errno : 0;
}

static int fill_routes(struct controller *c)
{
	const struct config *config = c->config;
	uint32_t id = 1;
	int ret = 0;

	prune_lpm(datapath_map_fd(c->dp, DATAPATH_MAP_ROUTES4), is_route, c);
	for (size_t i = 0; i < config->route_count && !ret; i++) {
		const struct config_route *r = &config->routes[i];

		ret = put_route(c, r->dst.addr.word[0], r->dst.prefixlen, id++, r->masquerade ? TALON_ROUTE_MASQUERADE : 0);
	}
	for (size_t i = 0; i < config->local_count && !ret; i++)
		ret = put_route(c, config->local[i].addr.word[0], config->local[i].prefixlen, id++, TALON_ROUTE_LOCAL);
	if (!ret && config->host_address && config->mesh_addr)
		ret = put_route(c, config->mesh_addr, 32, id, TALON_ROUTE_LOCAL);
	return ret;
}

static int fill_allowed(struct controller *c)
{
	int map = datapath_map_fd(c->dp, DATAPATH_MAP_ALLOWED4);

	prune_lpm(map, is_allowed, c);
	for (size_t i = 0; i < c->config->peer_count; i++) {
		const struct config_peer *p = &c->config->peers[i];
		uint32_t id = device_find_peer(c->device, p->public_key);

		for (size_t j = 0; j < p->allowed_count; j++) {
			const struct talon_lpm4 key = { .prefixlen = p->allowed[j].prefixlen, .addr = p->allowed[j].addr.word[0] };

			if (p->allowed[j].family != AF_INET)
				continue;
			if (bpf_map_update_elem(map, &key, &id, BPF_ANY))
				return -errno;
		}
	}
	return 0;
}

static const struct config_peer *find_wanted(const struct controller *c, const uint8_t *public_key)
{
	for (size_t i = 0; i < c->config->peer_count; i++) {
		if (!memcmp(c->config->peers[i].public_key, public_key, KEY_LEN))
			return &c->config->peers[i];
	}
	return NULL;
}

/* Slot of @peer: the one it had, else a free one. */
static uint32_t choose_slot(const struct controller *c, const struct config_peer *peer)
{
	uint32_t free_slot = TALON_PEER_NONE;

	for (uint32_t i = 0; i < c->peers_max; i++) {
		if (c->infos[i].present && !memcmp(c->infos[i].public_key, peer->public_key, KEY_LEN))
			return i;
		if (!c->infos[i].present && free_slot == TALON_PEER_NONE)
			free_slot = i;
	}
	return free_slot;
}

static void forget_peer(struct controller *c, uint32_t id)
{
	static const struct talon_endpoint nowhere;
	static const struct talon_peer_tx none;

	memset(&c->infos[id], 0, sizeof(c->infos[id]));
	map_write(c, DATAPATH_MAP_PEER_TX, id, &none, BPF_ANY);
	map_write(c, DATAPATH_MAP_ENDPOINTS, id, &nowhere, BPF_F_LOCK);
	map_write(c, DATAPATH_MAP_PEER_INFO, id, &c->infos[id], BPF_ANY);
	memset(c->percpu, 0, c->cpus * sizeof(*c->percpu));
	map_write(c, DATAPATH_MAP_PEER_STATS, id, c->percpu, BPF_ANY);
}

static void configured_endpoint(const struct config_peer *peer, struct endpoint *ret_endpoint)
{
	*ret_endpoint = (struct endpoint){
		.family = peer->endpoint.family,
		.port = peer->endpoint.port,
		.remote = peer->endpoint.addr,
	};
}

static int add_peer(struct controller *c, uint64_t now, const struct config_peer *peer)
{
	uint32_t id = choose_slot(c, peer);
	struct device_peer_config pc = { .keepalive_s = peer->keepalive_s };
	struct talon_peer_info *info;
	struct talon_endpoint at;
	int ret;

	if (id == TALON_PEER_NONE)
		return -ENOSPC;
	info = &c->infos[id];
	memcpy(pc.public_key, peer->public_key, KEY_LEN);
	memcpy(pc.preshared_key.bytes, peer->preshared_key, KEY_LEN);
	configured_endpoint(peer, &pc.endpoint);
	if (info->present) {
		/* Where it is now counts more than where it was once said to be. */
		if (!endpoint_read(c, id, &at) && at.family)
			endpoint_from_map(&at, &pc.endpoint);
		memcpy(pc.timestamp, info->timestamp, sizeof(pc.timestamp));
		pc.stats = (struct device_peer_stats){
			.handshakes = info->handshakes,
			.handshake_ns = info->handshake_ns,
			.handshake_unix_s = info->handshake_unix_s,
			.rx_bytes = info->handshake_rx_bytes,
			.tx_bytes = info->handshake_tx_bytes,
		};
	} else {
		forget_peer(c, id);
		info->present = 1;
		memcpy(info->public_key, peer->public_key, KEY_LEN);
	}
	if (pc.endpoint.family)
		socket_choose_local(&pc.endpoint);
	ret = device_add_peer(c->device, now, id, &pc);
	secret_key_wipe(&pc.preshared_key);
	if (ret)
		return ret;
	if (pc.endpoint.family)
		controller_ops.set_endpoint(c, id, &pc.endpoint);
	info->keepalive_s = peer->keepalive_s;
	memcpy(info->name, peer->name, sizeof(info->name));
	return map_write(c, DATAPATH_MAP_PEER_INFO, id, info, BPF_ANY);
}

/*
 * Sessions that nobody may use any more end before anything else changes: those of an earlier key of ours, and those of peers that are no
 * longer wanted, whose slots others may get. Their keys are overwritten by start_adopt().
 */
static void end_sessions(struct controller *c)
{
	struct talon_session session;
	struct talon_info old;
	bool same_key = !map_read(c, DATAPATH_MAP_INFO, 0, &old) && !memcmp(old.public_key, c->config->public_key, KEY_LEN);

	for (uint32_t slot = 0; slot < c->slots; slot++) {
		if (map_read(c, DATAPATH_MAP_SESSIONS, slot, &session) || !session.index)
			continue;
		if (!same_key || session.peer >= c->peers_max || !c->infos[session.peer].present ||
		    !find_wanted(c, c->infos[session.peer].public_key))
			controller_ops.clear_session(c, slot);
	}
	sodium_memzero(&session, sizeof(session));
}

static int fill_peers(struct controller *c, char *err, size_t errlen)
{
	uint64_t now = clock_boot_ns();

	for (uint32_t i = 0; i < c->peers_max; i++) {
		if (map_read(c, DATAPATH_MAP_PEER_INFO, i, &c->infos[i]))
			return -EIO;
	}
	end_sessions(c);
	for (uint32_t i = 0; i < c->peers_max; i++) {
		if (c->infos[i].present && !find_wanted(c, c->infos[i].public_key))
			forget_peer(c, i);
	}
	for (size_t i = 0; i < c->config->peer_count; i++) {
		const struct config_peer *p = &c->config->peers[i];
		int ret = add_peer(c, now, p);

		if (ret) {
			char key[KEY_BASE64_LEN + 1];

			key_to_base64(p->public_key, key);
			snprintf(err, errlen, "Peer %s cannot be added: %s", key,
				 ret == -ENOSPC ? "there is no room; raise MaxPeers" : strerror(-ret));
			return ret;
		}
	}
	return 0;
}

static int make_device(struct controller *c)
{
	struct device_config dc = { .peers_max = c->peers_max, .slots = c->slots };
	int ret;

	memcpy(dc.private_key.bytes, c->config->private_key, KEY_LEN);
	ret = device_new(&c->device, &dc, &controller_ops, c);
	secret_key_wipe(&dc.private_key);
	return ret;
}

/* Devices that are no uplinks now, perhaps because one was made anew. */
static void prune_links(const struct controller *c)
{
	int map = datapath_map_fd(c->dp, DATAPATH_MAP_LINKS);
	uint32_t key, next, *last = NULL;

	while (!bpf_map_get_next_key(map, last, &next)) {
		bool is_uplink = false;

		for (unsigned i = 0; i < TALON_UPLINKS_MAX; i++)
			is_uplink |= c->map_config.uplinks[i] == next;
		if (!is_uplink) {
			bpf_map_delete_elem(map, &next);
			continue;
		}
		key = next;
		last = &key;
	}
}

/* What the datapath compares with and may change while we run: devices, their MACs and sizes, the node's address. */
static int fill_links(struct controller *c, char *err, size_t errlen)
{
	const struct datapath_tunnel_info *tunnel = datapath_get_tunnel(c->dp);
	const struct config *config = c->config;
	struct talon_config *mc = &c->map_config;
	const char *first = datapath_get_uplink(c->dp, 0)->name;
	struct net_link link;
	bool is_veth = false;

	mc->tunnel_ifindex = tunnel->ifindex;
	mc->tunnel_peer_ifindex = tunnel->far_ifindex;
	memcpy(mc->tunnel_mac, tunnel->mac, sizeof(mc->tunnel_mac));
	memcpy(mc->tunnel_peer_mac, tunnel->far_mac, sizeof(mc->tunnel_peer_mac));
	if (net_link_get(first, &link) || net_addr_primary4(link.ifindex, &mc->node_addr)) {
		snprintf(err, errlen, "Uplink: %s has no IPv4 address", first);
		return -EADDRNOTAVAIL;
	}
	mc->snat_addr = config->snat_addr ? config->snat_addr : mc->node_addr;
	for (unsigned i = 0; i < datapath_uplink_count(c->dp); i++) {
		const char *name = datapath_get_uplink(c->dp, i)->name;
		struct talon_link port;
		int ret = net_link_get(name, &link);

		if (ret) {
			snprintf(err, errlen, "Uplink: %s: %s", name, strerror(-ret));
			return ret;
		}
		port = (struct talon_link){ .mtu = link.mtu < 65535 ? link.mtu : 65535 };
		memcpy(port.mac, link.mac, sizeof(port.mac));
		bpf_map_update_elem(datapath_map_fd(c->dp, DATAPATH_MAP_LINKS), &link.ifindex, &port, BPF_ANY);
		mc->uplinks[i] = link.ifindex;
		is_veth |= !strcmp(link.kind, "veth");
		if (link.mtu < (uint32_t)config->mtu + TUNNEL_OVERHEAD4) {
			snprintf(err, errlen, "MTU: %u does not fit through %s (%u); write at most %u (%u if peers come by IPv6)",
				 config->mtu, name, link.mtu, link.mtu - TUNNEL_OVERHEAD4, link.mtu - TUNNEL_OVERHEAD6);
			return -EMSGSIZE;
		}
	}
	prune_links(c);
	mc->flags &= ~(TALON_F_SNAT_OWN | TALON_F_HANDUP_TUNNEL);
	if (config->snat_addr && config->snat_addr != mc->node_addr)
		mc->flags |= TALON_F_SNAT_OWN;
	/* What XDP_PASS hands up keeps the outer packet's checksum state, which on a veth may be an unfinished one. */
	if (config->hand_up == CONFIG_HAND_UP_TUNNEL || (config->hand_up == CONFIG_HAND_UP_AUTO && is_veth))
		mc->flags |= TALON_F_HANDUP_TUNNEL;
	return 0;
}

void start_links(struct controller *c)
{
	const struct talon_config old = c->map_config;
	char err[200];

	if (fill_links(c, err, sizeof(err))) {
		if (!c->links_warned)
			log_warn("%s", err);
		c->links_warned = true;
		c->map_config = old;
		return;
	}
	c->links_warned = false;
	if (!memcmp(&old, &c->map_config, sizeof(old)))
		return;
	if (old.node_addr != c->map_config.node_addr)
		log_warn("the node's address changed; what networks see of peers changes with it");
	c->sees_change = true;
}

void start_repair_endpoints(struct controller *c)
{
	for (uint32_t i = 0; i < c->peers_max; i++) {
		struct talon_endpoint e;
		struct net_link link;

		if (!c->infos[i].present || endpoint_read(c, i, &e) || !e.in_ifindex ||
		    net_link_get_index(e.in_ifindex, &link) != -ENODEV)
			continue;
		e.in_ifindex = 0;
		e.flags = 0;
		endpoint_fill_way(&e);
		map_write(c, DATAPATH_MAP_ENDPOINTS, i, &e, BPF_F_LOCK);
	}
}

/* All that the datapath compares with. */
static int fill_config(struct controller *c, char *err, size_t errlen)
{
	const struct datapath_sizes *sizes = datapath_get_sizes(c->dp);
	const struct config *config = c->config;
	struct talon_config old = {}, *mc = &c->map_config;
	int ret;

	map_read(c, DATAPATH_MAP_CONFIG, 0, &old);
	memset(mc, 0, sizeof(*mc));
	mc->generation = old.generation + 1 ? old.generation + 1 : 1;
	mc->hash_seed = old.generation ? old.hash_seed : randombytes_random();
	mc->session_mask = sizes->sessions - 1;
	mc->bucket_mask = sizes->buckets - 1;
	mc->flow_count = sizes->flows;
	mc->tunnel_mtu = config->mtu;
	mc->listen_port = htons(config->listen_port);
	mc->mesh_addr = config->mesh_addr;
	mc->mesh_mask = config->mesh_mask;
	mc->port_first = config->port_first;
	mc->port_last = config->port_last;
	ret = fill_links(c, err, errlen);
	if (ret)
		return ret;
	mc->flags |= old.flags & (TALON_F_XDP_TX | TALON_F_KEEP_TAIL);	/* start_modes() decides them anew */
	for (size_t i = 0; i < config->route_count; i++) {
		if (!config->routes[i].masquerade)
			mc->flags |= TALON_F_PLAIN_ROUTES;
	}
	return 0;
}

struct local_fill {
	struct controller *c;
	uint8_t mark;
};

static void put_local(const struct net_addr *addr, void *user)
{
	struct local_fill *fill = user;

	bpf_map_update_elem(datapath_map_fd(fill->c->dp, DATAPATH_MAP_LOCAL_ADDRS), &addr->addr, &fill->mark, BPF_ANY);
}

/* Marks what is there with a new value, then deletes what kept the old one. */
void start_local_addrs(struct controller *c)
{
	int map = datapath_map_fd(c->dp, DATAPATH_MAP_LOCAL_ADDRS);
	struct local_fill fill = { .c = c, .mark = ++c->local_mark };
	struct talon_addr key, next, *last = NULL;
	uint8_t mark;

	if (net_addr_list(put_local, &fill))
		return;
	while (!bpf_map_get_next_key(map, last, &next)) {
		if (!bpf_map_lookup_elem(map, &next, &mark) && mark != fill.mark) {
			bpf_map_delete_elem(map, &next);
			continue;
		}
		key = next;
		last = &key;
	}
}

static void append(char *text, size_t len, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void append(char *text, size_t len, const char *fmt, ...)
{
	size_t at = strlen(text);
	va_list args;

	va_start(args, fmt);
	vsnprintf(text + at, len - at, fmt, args);
	va_end(args);
}

static void describe_routes(struct controller *c)
{
	char addr[INET_ADDRSTRLEN];

	c->info.routes[0] = 0;
	for (size_t i = 0; i < c->config->route_count; i++) {
		const struct config_route *r = &c->config->routes[i];

		inet_ntop(AF_INET, &r->dst.addr, addr, sizeof(addr));
		append(c->info.routes, sizeof(c->info.routes), "%s%s/%u%s", i ? "; " : "", addr, r->dst.prefixlen,
		       r->masquerade ? " masquerade" : "");
	}
}

void start_hazards(struct controller *c)
{
	const char *uplinks[TALON_UPLINKS_MAX];
	unsigned n = datapath_uplink_count(c->dp);
	char why[200];

	for (unsigned i = 0; i < n; i++)
		uplinks[i] = datapath_get_uplink(c->dp, i)->name;
	memset(c->info.hazards, 0, sizeof(c->info.hazards));
	net_hazards(uplinks, n, datapath_get_tunnel(c->dp)->name, c->info.hazards, sizeof(c->info.hazards));
	if (c->ports_unknown)
		append(c->info.hazards, sizeof(c->info.hazards),
		       "this kernel cannot list sockets (no inet_diag), so SNAT may use ports of this host's own\n");
	if (!(c->map_config.flags & TALON_F_SNAT_OWN) &&
	    nat_ports_check_range(c->config->port_first, c->config->port_last, why, sizeof(why)))
		append(c->info.hazards, sizeof(c->info.hazards), "%s\n", why);
}

static void describe(struct controller *c)
{
	struct talon_info old = {}, *info = &c->info;
	char addr[INET_ADDRSTRLEN];

	map_read(c, DATAPATH_MAP_INFO, 0, &old);
	memset(info, 0, sizeof(*info));
	info->layout = TALON_LAYOUT_VERSION;
	info->pid = getpid();
	info->started_ns = clock_boot_ns();
	info->heartbeat_ns = info->started_ns;
	info->datapath_since_ns = old.datapath_since_ns ? old.datapath_since_ns : info->started_ns;
	info->adoptions = old.layout ? old.adoptions + 1 : 0;
	snprintf(info->version, sizeof(info->version), "%s", TALON_VERSION);
	snprintf(info->tunnel, sizeof(info->tunnel), "%s", datapath_get_tunnel(c->dp)->name);
	if (c->config->mesh_addr) {
		inet_ntop(AF_INET, &c->config->mesh_addr, addr, sizeof(addr));
		snprintf(info->address, sizeof(info->address), "%s/%d", addr, __builtin_popcount(c->config->mesh_mask));
	}
	memcpy(info->public_key, c->config->public_key, sizeof(info->public_key));
	for (unsigned i = 0; i < datapath_uplink_count(c->dp); i++)
		append(info->uplinks, sizeof(info->uplinks), "%s%s", i ? ", " : "", datapath_get_uplink(c->dp, i)->name);
	describe_routes(c);
}

/* Sessions of an earlier process go on, if they are under our key; slots that only hold old keys are overwritten. */
int start_adopt(struct controller *c)
{
	static const uint8_t zeros[sizeof(((struct talon_session *)0)->recv_key)];
	uint64_t now = clock_boot_ns();
	struct talon_session session;
	struct talon_replay window;
	struct talon_peer_tx tx;
	struct talon_info old;
	bool same_key;
	int adopted = 0;

	if (map_read(c, DATAPATH_MAP_INFO, 0, &old))
		return 0;
	same_key = !memcmp(old.public_key, c->config->public_key, KEY_LEN);
	for (uint32_t slot = 0; slot < c->slots; slot++) {
		int ret = -EINVAL;

		if (map_read(c, DATAPATH_MAP_SESSIONS, slot, &session))
			continue;
		if (session.index && same_key && session.peer < c->peers_max && c->infos[session.peer].present &&
		    !map_read(c, DATAPATH_MAP_REPLAY, slot, &window) &&
		    !map_read(c, DATAPATH_MAP_PEER_TX, session.peer, &tx)) {
			ret = device_adopt_session(c->device, now, &session, window.state, tx.index == session.index);
			adopted += !ret;
		}
		if (ret && ret != -ESTALE && ret != -EEXIST &&
		    (session.index || memcmp(session.recv_key, zeros, sizeof(zeros)) ||
		     memcmp(session.send_key, zeros, sizeof(zeros))))
			device_adopt_retired(c->device, now, slot);
	}
	sodium_memzero(&session, sizeof(session));
	return adopted;
}

int start_fill(struct controller *c, char *err, size_t errlen)
{
	const struct datapath_sizes *sizes = datapath_get_sizes(c->dp);
	int ret, adopted;

	c->peers_max = sizes->peers;
	c->slots = sizes->sessions;
	c->infos = calloc(c->peers_max, sizeof(*c->infos));
	c->percpu = calloc(c->cpus, sizeof(*c->percpu));
	c->neighs = calloc(CONTROLLER_NEIGHS_MAX, sizeof(*c->neighs));
	c->polled = calloc(c->peers_max, sizeof(*c->polled));
	if (!c->infos || !c->percpu || !c->neighs || !c->polled) {
		snprintf(err, errlen, "out of memory");
		return -ENOMEM;
	}
	ret = fill_config(c, err, errlen);
	if (ret)
		return ret;
	ret = make_device(c);
	if (!ret)
		ret = fill_peers(c, err, errlen);
	if (ret) {
		if (!*err)
			snprintf(err, errlen, "peers: %s", strerror(-ret));
		return ret;
	}
	adopted = start_adopt(c);
	if (adopted)
		log_info("took over %d sessions of an earlier process", adopted);
	ret = fill_allowed(c);
	if (!ret)
		ret = fill_routes(c);
	if (ret) {
		snprintf(err, errlen, "routing tables: %s", strerror(-ret));
		return ret;
	}
	start_local_addrs(c);
	describe(c);
	ret = map_write_config(c);
	map_write_info(c);
	return ret;
}

/* Routes through the tunnel: first those that we want, then those that an earlier process left there, to be deleted. */
struct routes {
	const struct controller *c;
	struct net_route *list;
	size_t wanted;
	size_t count;
	size_t room;
};

static int put_in(struct routes *routes, __be32 dst, unsigned prefixlen, __be32 prefsrc)
{
	if (routes->count == routes->room) {
		size_t room = routes->room ? 2 * routes->room : 16;
		struct net_route *larger = reallocarray(routes->list, room, sizeof(*larger));

		if (!larger)
			return -ENOMEM;
		routes->list = larger;
		routes->room = room;
	}
	routes->list[routes->count++] = (struct net_route){
		.family = AF_INET,
		.prefixlen = prefixlen,
		.ifindex = datapath_get_tunnel(routes->c->dp)->ifindex,
		.dst.word[0] = dst,
		.prefsrc.word[0] = prefsrc,
	};
	return 0;
}

static void put_stale(const struct net_route *route, void *user)
{
	struct routes *routes = user;

	if (route->protocol != NET_PROTOCOL || route->ifindex != datapath_get_tunnel(routes->c->dp)->ifindex)
		return;
	for (size_t i = 0; i < routes->wanted; i++) {
		if (routes->list[i].dst.word[0] == route->dst.word[0] && routes->list[i].prefixlen == route->prefixlen)
			return;
	}
	put_in(routes, route->dst.word[0], route->prefixlen, 0);
}

static int add_route(const struct controller *c, const struct net_route *route, char *err, size_t errlen)
{
	char text[INET_ADDRSTRLEN];
	int ret = net_route_add(route);

	if (ret) {
		inet_ntop(AF_INET, &route->dst, text, sizeof(text));
		snprintf(err, errlen, "route %s/%u to %s: %s", text, route->prefixlen, c->config->tunnel,
			 ret == -EEXIST ? "the host has such a route already, and it is not ours" : strerror(-ret));
	}
	return ret;
}

/* The mesh, peers with networks of their own behind them, the spare SNAT address; a default route is never taken. */
static int want_routes(struct controller *c, struct routes *routes)
{
	const struct config *config = c->config;
	__be32 prefsrc = config->host_address ? config->mesh_addr : 0;
	__be32 net = config->mesh_addr & config->mesh_mask;
	unsigned net_len = __builtin_popcount(config->mesh_mask);
	bool has_mesh = config->mesh_addr && net_len < 32;
	int ret = has_mesh ? put_in(routes, net, net_len, prefsrc) : 0;

	for (size_t i = 0; i < config->peer_count; i++) {
		for (size_t j = 0; j < config->peers[i].allowed_count && !ret; j++) {
			const struct config_cidr *a = &config->peers[i].allowed[j];

			if (a->family != AF_INET || !a->prefixlen ||
			    (has_mesh && a->prefixlen >= net_len && (a->addr.word[0] & mask4(net_len)) == net))
				continue;
			ret = put_in(routes, a->addr.word[0], a->prefixlen, prefsrc);
		}
	}
	if (!ret && (c->map_config.flags & TALON_F_SNAT_OWN))
		ret = put_in(routes, config->snat_addr, 32, 0);
	routes->wanted = routes->count;
	return ret;
}

/* New ones are added before old ones go: at no moment has the host no way back. */
static int set_routes(struct controller *c, char *err, size_t errlen)
{
	struct routes routes = { .c = c };
	int ret = want_routes(c, &routes);

	if (ret)
		snprintf(err, errlen, "routes: %s", strerror(-ret));
	for (size_t i = 0; i < routes.wanted && !ret; i++)
		ret = add_route(c, &routes.list[i], err, errlen);
	if (!ret)
		net_route_list(AF_INET, put_stale, &routes);
	for (size_t i = routes.wanted; i < routes.count; i++)
		net_route_del(&routes.list[i]);
	free(routes.list);
	return ret;
}

struct stale_address {
	int ifindex;
	__be32 wanted;
	bool found;
	struct talon_addr addr;
};

static void find_stale_address(const struct net_addr *addr, void *user)
{
	struct stale_address *stale = user;

	if (addr->ifindex != stale->ifindex || addr->family != AF_INET || addr->prefixlen != 32 || addr->addr.word[0] == stale->wanted)
		return;
	stale->found = true;
	stale->addr = addr->addr;
}

/* The mesh address is on the host where that is wanted, and one of an earlier process is not. */
static int set_address(struct controller *c, char *err, size_t errlen)
{
	const struct talon_addr mesh = { .word = { c->config->mesh_addr } };
	struct stale_address stale = { .ifindex = datapath_get_tunnel(c->dp)->ifindex };
	int ret;

	if (c->config->host_address && c->config->mesh_addr) {
		stale.wanted = c->config->mesh_addr;
		ret = net_addr_add(stale.ifindex, AF_INET, &mesh, 32);
		if (ret) {
			snprintf(err, errlen, "address on %s: %s", c->config->tunnel, strerror(-ret));
			return ret;
		}
	}
	if (!net_addr_list(find_stale_address, &stale) && stale.found)
		net_addr_del(stale.ifindex, AF_INET, &stale.addr, 32);
	return 0;
}

int start_modes(struct controller *c, char *err, size_t errlen)
{
	bool tx_works = true, is_generic = false;
	int ret;

	for (unsigned i = 0; i < datapath_uplink_count(c->dp); i++) {
		tx_works &= datapath_get_uplink(c->dp, i)->tx_works;
		is_generic |= datapath_get_uplink(c->dp, i)->mode == DATAPATH_XDP_GENERIC;
	}
	c->map_config.flags &= ~(TALON_F_XDP_TX | TALON_F_KEEP_TAIL);
	if (tx_works)
		c->map_config.flags |= TALON_F_XDP_TX;
	if (is_generic)
		c->map_config.flags |= TALON_F_KEEP_TAIL;
	ret = map_write_config(c);
	if (ret)
		snprintf(err, errlen, "map config: %s", strerror(-ret));
	return ret;
}

/* The way back from this host into the mesh. */
int start_network(struct controller *c, char *err, size_t errlen)
{
	int ret = set_address(c, err, errlen);

	return ret ? ret : set_routes(c, err, errlen);
}
