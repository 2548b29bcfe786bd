// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Desired state against what is: only the difference is written. Lookups by hash and sorted arrays, so that thousands of peers take milliseconds.
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "controller/internal.h"
#include "log/log.h"

/* What goes wrong first is told; the rest is done all the same. */
struct verdict {
	int ret;
	size_t left_out;	/* peers of the mesh for which there is no room */
	char *err;
	size_t errlen;
};

static void note(struct verdict *v, int ret, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void note(struct verdict *v, int ret, const char *fmt, ...)
{
	va_list args;

	if (!ret || v->ret)
		return;
	v->ret = ret;
	va_start(args, fmt);
	vsnprintf(v->err, v->errlen, fmt, args);
	va_end(args);
}

static int put(struct controller *c, enum datapath_map map, uint32_t key, const void *value, uint64_t flags)
{
	c->map_writes++;
	return map_write(c, map, key, value, flags);
}

/* Peers. */

/* A free slot's values are zeros, unless packets that were under way counted for the peer that left it. */
static void clear_slot(struct controller *c, uint32_t id)
{
	static const struct talon_endpoint nowhere;
	static const struct talon_peer_tx none;

	put(c, DATAPATH_MAP_PEER_TX, id, &none, BPF_ANY);
	put(c, DATAPATH_MAP_ENDPOINTS, id, &nowhere, BPF_F_LOCK);
	memset(c->percpu, 0, c->cpus * sizeof(*c->percpu));
	put(c, DATAPATH_MAP_PEER_STATS, id, c->percpu, BPF_ANY);
}

static void remove_peer(struct controller *c, uint64_t now, uint32_t id)
{
	const struct hold_key key = { .what = HOLD_FOR_SESSION, .peer = id };

	device_remove_peer(c->device, now, id);
	hold_drop(&c->hold, &key);
	clear_slot(c, id);
	memset(&c->infos[id], 0, sizeof(c->infos[id]));
	put(c, DATAPATH_MAP_PEER_INFO, id, &c->infos[id], BPF_ANY);
	c->polled[id] = (struct polled){};
	c->slots_of[id] = (struct plane_slot){ .was_used = true, .notices = c->slots_of[id].notices };
	if (id < c->free_hint)
		c->free_hint = id;
}

static uint32_t take_slot(struct controller *c)
{
	while (c->free_hint < c->peers_max && c->infos[c->free_hint].present)
		c->free_hint++;
	return c->free_hint < c->peers_max ? c->free_hint : TALON_PEER_NONE;
}

static void fill_info(struct talon_peer_info *info, const struct plane_peer *peer)
{
	info->present = 1;
	memcpy(info->public_key, peer->public_key, KEY_LEN);
	info->keepalive_s = peer->keepalive_s;
	snprintf(info->name, sizeof(info->name), "%.*s", (int)sizeof(peer->name), peer->name);
}

static int add_peer(struct controller *c, uint64_t now, const struct plane_peer *peer)
{
	static const struct talon_endpoint pinned = { .flags = TALON_ENDPOINT_PINNED };
	struct device_peer_config pc = { .keepalive_s = peer->keepalive_s, .is_pinned = plane_is_pinned(c) };
	uint32_t id = take_slot(c);
	int ret;

	if (id == TALON_PEER_NONE)
		return -ENOSPC;
	memcpy(pc.public_key, peer->public_key, KEY_LEN);
	pc.preshared_key = peer->preshared_key;
	ret = device_add_peer(c->device, now, id, &pc);
	secret_key_wipe(&pc.preshared_key);
	if (ret)
		return ret;
	if (c->slots_of[id].was_used)
		clear_slot(c, id);
	if (plane_is_pinned(c))
		put(c, DATAPATH_MAP_ENDPOINTS, id, &pinned, BPF_F_LOCK);
	memset(&c->infos[id], 0, sizeof(c->infos[id]));
	fill_info(&c->infos[id], peer);
	c->slots_of[id].mark = c->mark;
	c->slots_of[id].way = PLANE_NOWHERE;
	return put(c, DATAPATH_MAP_PEER_INFO, id, &c->infos[id], BPF_ANY);
}

static int update_peer(struct controller *c, uint64_t now, uint32_t id, const struct plane_peer *peer)
{
	struct talon_peer_info info = c->infos[id];

	device_set_peer_psk(c->device, id, &peer->preshared_key);
	device_confirm_peer(c->device, now, id);
	memset(info.name, 0, sizeof(info.name));
	fill_info(&info, peer);
	if (!memcmp(&info, &c->infos[id], sizeof(info)))
		return 0;
	if (info.keepalive_s != c->infos[id].keepalive_s)
		device_set_peer_keepalive(c->device, now, id, info.keepalive_s);
	c->infos[id] = info;
	return put(c, DATAPATH_MAP_PEER_INFO, id, &info, BPF_ANY);
}

static void mark_wanted(struct controller *c, const struct plane_state *state)
{
	c->mark++;
	for (size_t i = 0; i < state->peer_count; i++) {
		uint32_t id = device_find_peer(c->device, state->peers[i].public_key);

		if (id != TALON_PEER_NONE)
			c->slots_of[id].mark = c->mark;
	}
}

static void remove_departed(struct controller *c, uint64_t now)
{
	for (uint32_t id = 0; id < c->peers_max; id++) {
		if (c->infos[id].present && c->slots_of[id].mark != c->mark)
			remove_peer(c, now, id);
	}
}

static void note_peer(struct verdict *v, const struct plane_peer *peer, int ret, bool is_of_mesh)
{
	char key[KEY_BASE64_LEN + 1];

	v->left_out += ret == -ENOSPC && is_of_mesh;
	if (!ret || v->ret || (ret == -ENOSPC && is_of_mesh))
		return;
	key_to_base64(peer->public_key, key);
	note(v, ret, "Peer %s cannot be added: %s", key, ret == -ENOSPC ? "there is no room; raise MaxPeers" : strerror(-ret));
}

static void apply_peers(struct controller *c, const struct plane_state *state, struct verdict *v)
{
	uint64_t now = clock_boot_ns();

	for (size_t i = 0; i < state->peer_count; i++) {
		const struct plane_peer *peer = &state->peers[i];
		uint32_t id = device_find_peer(c->device, peer->public_key);

		note_peer(v, peer, id == TALON_PEER_NONE ? add_peer(c, now, peer) : update_peer(c, now, id, peer), plane_is_pinned(c));
	}
}

/* Cryptokey routing and served routes. */

struct table {
	struct controller *c;
	enum datapath_map map;
	bool changed;
};

static int write_entry(void *ctx, enum prefix_change change, const struct prefix *prefix)
{
	struct table *t = ctx;
	struct controller *c = t->c;
	const struct talon_lpm4 key = { .prefixlen = prefix->len, .addr = htonl(prefix->addr) };
	struct talon_route route = { .flags = prefix->value, .prefixlen = prefix->len };
	int fd = datapath_map_fd(c->dp, t->map);

	t->changed = true;
	c->map_writes++;
	if (change == PREFIX_REMOVE)
		return bpf_map_delete_elem(fd, &key) && errno != ENOENT ? -errno : 0;
	if (t->map != DATAPATH_MAP_ROUTES4)
		return bpf_map_update_elem(fd, &key, &prefix->value, BPF_ANY) ? -errno : 0;
	route.id = ++c->route_id;
	return bpf_map_update_elem(fd, &key, &route, BPF_ANY) ? -errno : 0;
}

/* Makes the map hold @wanted, whose list becomes what we know of it. */
static int apply_table(struct controller *c, enum datapath_map map, struct prefixes *is, struct prefixes *wanted)
{
	struct table t = { .c = c, .map = map };
	int ret;

	prefixes_sort(wanted);
	ret = prefixes_diff(is, wanted, write_entry, &t);
	if (ret)
		c->tables_known = false;
	c->sees_change |= t.changed;
	c->networks_changed |= t.changed && map != DATAPATH_MAP_ALLOWED4;
	prefixes_done(is);
	*is = *wanted;
	*wanted = (struct prefixes){};
	return ret;
}

static int read_table(struct controller *c, enum datapath_map map, struct prefixes *set)
{
	int fd = datapath_map_fd(c->dp, map), ret = 0;
	struct talon_lpm4 key, next, *last = NULL;
	union { uint32_t word; struct talon_route route; } value;

	prefixes_done(set);
	while (!ret && !bpf_map_get_next_key(fd, last, &next)) {
		key = next;
		last = &key;
		if (bpf_map_lookup_elem(fd, &key, &value))
			continue;
		if (map == DATAPATH_MAP_ROUTES4 && value.route.id > c->route_id)
			c->route_id = value.route.id;
		ret = prefixes_add(set, key.addr, key.prefixlen, map == DATAPATH_MAP_ROUTES4 ? value.route.flags : value.word);
	}
	prefixes_sort(set);
	return ret;
}

int apply_read_tables(struct controller *c)
{
	int ret = read_table(c, DATAPATH_MAP_ALLOWED4, &c->allowed);

	if (!ret)
		ret = read_table(c, DATAPATH_MAP_ROUTES4, &c->routes);
	if (!ret)
		ret = read_table(c, DATAPATH_MAP_LOCAL4, &c->locals);
	c->tables_known = !ret;
	return ret;
}

static int list_networks(const struct plane_state *state, struct prefixes *ret_networks)
{
	int ret = 0;

	for (size_t i = 0; i < state->peer_count && !ret; i++) {
		const struct plane_peer *peer = &state->peers[i];

		for (size_t j = 0; j < peer->allowed_count && !ret; j++) {
			if (peer->allowed[j].family == AF_INET)
				ret = prefixes_add(ret_networks, peer->allowed[j].addr.word[0], peer->allowed[j].prefixlen, 0);
		}
	}
	prefixes_sort(ret_networks);
	return ret;
}

/*
 * Before any new rule holds, and before a number that is free now is another peer's: networks of peers that are gone, and those that are nobody's any
 * more. One that goes from one peer to another that stays is changed later, in one step.
 */
static int close_allowed(struct controller *c, const struct plane_state *state)
{
	struct prefixes networks = {}, kept = {};
	int ret = list_networks(state, &networks);

	for (size_t i = 0; i < c->allowed.count && !ret; i++) {
		const struct prefix *p = &c->allowed.list[i];
		uint32_t peer = TALON_ALLOWED_PEER(p->value);

		if (peer < c->peers_max && c->infos[peer].present && prefixes_find(&networks, p->addr, p->len))
			ret = prefixes_add(&kept, htonl(p->addr), p->len, p->value);
	}
	if (!ret)
		ret = apply_table(c, DATAPATH_MAP_ALLOWED4, &c->allowed, &kept);
	prefixes_done(&kept);
	prefixes_done(&networks);
	if (c->sees_change)
		map_bump_generation(c);
	return ret;
}

static int apply_allowed(struct controller *c, const struct plane_state *state)
{
	struct prefixes wanted = {};
	int ret = 0;

	for (size_t i = 0; i < state->peer_count && !ret; i++) {
		const struct plane_peer *peer = &state->peers[i];
		uint32_t id = device_find_peer(c->device, peer->public_key);

		for (size_t j = 0; j < peer->allowed_count && !ret && id != TALON_PEER_NONE; j++) {
			const struct config_cidr *net = &peer->allowed[j];

			if (net->family == AF_INET)
				ret = prefixes_add(&wanted, net->addr.word[0], net->prefixlen, TALON_ALLOWED(id, net->prefixlen));
		}
	}
	if (!ret)
		ret = apply_table(c, DATAPATH_MAP_ALLOWED4, &c->allowed, &wanted);
	prefixes_done(&wanted);
	return ret;
}

static int apply_locals(struct controller *c)
{
	const struct config *config = c->config;
	struct prefixes wanted = {};
	int ret = 0;

	for (size_t i = 0; i < config->local_count && !ret; i++)
		ret = prefixes_add(&wanted, config->local[i].addr.word[0], config->local[i].prefixlen, 1);
	if (!ret)
		ret = apply_table(c, DATAPATH_MAP_LOCAL4, &c->locals, &wanted);
	prefixes_done(&wanted);
	return ret;
}

static int apply_routes(struct controller *c, const struct plane_state *state)
{
	struct prefixes wanted = {};
	int ret = 0;

	for (size_t i = 0; i < state->route_count && !ret; i++) {
		const struct config_route *r = &state->routes[i];

		if (r->dst.family == AF_INET)
			ret = prefixes_add(&wanted, r->dst.addr.word[0], r->dst.prefixlen, r->masquerade ? TALON_ROUTE_MASQUERADE : 0);
	}
	if (!ret)
		ret = apply_table(c, DATAPATH_MAP_ROUTES4, &c->routes, &wanted);
	prefixes_done(&wanted);
	return ret;
}

/* Access rules. */

static struct acl_maps acl_maps_of(const struct controller *c)
{
	return (struct acl_maps){
		.src = datapath_map_fd(c->dp, DATAPATH_MAP_ACL_SRC4),
		.dst = datapath_map_fd(c->dp, DATAPATH_MAP_ACL_DST4),
		.ports = datapath_map_fd(c->dp, DATAPATH_MAP_ACL_PORTS),
		.bits = datapath_map_fd(c->dp, DATAPATH_MAP_ACL_BITS),
	};
}

/* A bank is whole before it holds, and holds before flows are judged again. */
static int use_bank(struct controller *c, unsigned bank, bool is_enforced)
{
	const struct talon_config old = c->map_config;
	int ret;

	c->map_config.acl_bank = bank;
	c->map_config.flags &= ~TALON_F_ACL;
	if (is_enforced)
		c->map_config.flags |= TALON_F_ACL;
	if (!memcmp(&old, &c->map_config, sizeof(old)))
		return 0;
	c->map_writes++;
	ret = map_write_config(c);
	if (ret)
		c->map_config = old;
	else
		map_bump_generation(c);
	return ret;
}

/* Needs no room in any map, so it can always be had. */
static int close_acl(struct controller *c)
{
	const struct acl_maps maps = acl_maps_of(c);
	const unsigned bank = !c->map_config.acl_bank;
	int ret;

	if (c->acl_is_closed)
		return 0;
	ret = acl_write_closed(&maps, bank);
	if (!ret)
		ret = use_bank(c, bank, true);
	c->acl_is_closed = !ret;
	c->has_acl &= ret != 0;
	return ret;
}

/* Rules where there were none begin with none that lets anything in: what an earlier process left open does not stay so while they are written. */
static int write_acl(struct controller *c, const struct acl_table *table)
{
	const struct acl_maps maps = acl_maps_of(c);
	uint8_t digest[ACL_DIGEST_LEN];
	unsigned bank;
	int ret = 0;

	acl_digest(table, digest);
	if (c->has_acl && !memcmp(digest, c->acl_digest, sizeof(digest)))
		return 0;
	if (!(c->map_config.flags & TALON_F_ACL))
		ret = close_acl(c);
	bank = !c->map_config.acl_bank;
	if (!ret)
		ret = acl_write(table, &maps, bank);
	if (!ret)
		ret = use_bank(c, bank, true);
	if (ret)
		return ret;
	c->acl_is_closed = false;
	c->has_acl = true;
	memcpy(c->acl_digest, digest, sizeof(digest));
	return 0;
}

/*
 * Rules that cannot be written leave nothing open: the old ones are about peers and addresses that change with what follows. Returns false if not even
 * that can be had; then nothing may follow.
 */
static bool apply_acl(struct controller *c, const struct plane_state *state, struct verdict *v)
{
	int ret = 0;

	if (!state->acl && !state->is_closed) {
		c->has_acl = c->acl_is_closed = false;
		ret = use_bank(c, c->map_config.acl_bank, false);
		note(v, ret, "access rules: %s", strerror(-ret));
		return true;
	}
	if (!state->is_closed)
		ret = write_acl(c, state->acl);
	if (!ret && !state->is_closed)
		return true;
	note(v, ret, "access rules cannot be written: %s; until then nothing is let in", strerror(-ret));
	ret = close_acl(c);
	note(v, ret, "access rules cannot be closed: %s", strerror(-ret));
	return !ret;
}

/* The rest. */

static int apply_config(struct controller *c, const struct plane_state *state)
{
	struct talon_config *mc = &c->map_config, old = *mc;

	mc->mesh_addr = state->mesh_addr;
	mc->mesh_mask = htonl(state->mesh_addr ? prefix_mask(state->mesh_prefixlen) : 0);
	memset(mc->open, 0, sizeof(mc->open));
	for (size_t i = 0; i < state->open_count && i < TALON_OPEN_PORTS_MAX && c->has_acl; i++)
		mc->open[i] = (struct talon_open_port){
			.port = htons(state->open[i].port), .proto = state->open[i].proto == NETMAP_TCP ? IPPROTO_TCP : IPPROTO_UDP,
		};
	mc->flags &= ~TALON_F_PLAIN_ROUTES;
	for (size_t i = 0; i < state->route_count; i++) {
		if (!state->routes[i].masquerade)
			mc->flags |= TALON_F_PLAIN_ROUTES;
	}
	if (!memcmp(&old, mc, sizeof(old)))
		return 0;
	c->sees_change = true;
	c->map_writes++;
	return map_write_config(c);
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

static void describe(struct controller *c, const struct plane_state *state)
{
	struct talon_info *info = &c->info;
	char addr[INET_ADDRSTRLEN];

	memset(info->address, 0, sizeof(info->address));
	memset(info->routes, 0, sizeof(info->routes));
	if (state->mesh_addr) {
		inet_ntop(AF_INET, &state->mesh_addr, addr, sizeof(addr));
		snprintf(info->address, sizeof(info->address), "%s/%d", addr, state->mesh_prefixlen);
	}
	for (size_t i = 0; i < state->route_count && strlen(info->routes) + 1 < sizeof(info->routes); i++) {
		const struct config_route *r = &state->routes[i];

		inet_ntop(AF_INET, &r->dst.addr, addr, sizeof(addr));
		append(info->routes, sizeof(info->routes), "%s%s/%u%s", i ? "; " : "", addr, r->dst.prefixlen, r->masquerade ? " masquerade" : "");
	}
}

int plane_apply(struct controller *c, const struct plane_state *state, char *err, size_t errlen)
{
	struct verdict v = { .err = err, .errlen = errlen };
	int ret;

	if (!c->device) {
		snprintf(err, errlen, "the datapath is being loaded");
		return -EAGAIN;
	}
	if (!c->tables_known)
		apply_read_tables(c);
	mark_wanted(c, state);
	remove_departed(c, clock_boot_ns());
	ret = close_allowed(c, state);
	note(&v, ret, "allowed IPs: %s", strerror(-ret));
	if (!apply_acl(c, state, &v))
		return v.ret;
	apply_peers(c, state, &v);
	ret = apply_allowed(c, state);
	note(&v, ret, "allowed IPs: %s", strerror(-ret));
	ret = apply_config(c, state);
	note(&v, ret, "map config: %s", strerror(-ret));
	ret = apply_locals(c);
	note(&v, ret, "Local: %s", strerror(-ret));
	ret = apply_routes(c, state);
	note(&v, ret, "routes of the mesh: %s", strerror(-ret));
	if (c->networks_changed && c->is_ready)
		start_links(c);		/* they may lie behind other devices, whose replies nobody hears yet */
	c->networks_changed = false;
	if (c->sees_change)
		map_bump_generation(c);
	if (v.ret && !plane_is_pinned(c))
		return v.ret;	/* a file that cannot be had whole is refused */
	ret = hosts_set(c, state, !plane_is_pinned(c), v.ret ? (char[1]){} : err, v.ret ? 1 : errlen);
	if (!v.ret)
		v.ret = ret;
	if (v.left_out)		/* the last of all troubles: those that fit are served */
		note(&v, -EUSERS, "there is room for %u peers, and %zu are wanted: %zu are left out; raise MaxPeers", c->peers_max, state->peer_count,
			v.left_out);
	describe(c, state);
	c->has_applied = true;
	if (c->is_ready)
		c->info.ready = 1;
	map_write_info(c);
	if (c->is_ready)
		controller_wake(c);
	return v.ret;
}
