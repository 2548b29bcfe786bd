// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Desired state against what is: only the difference is written. Lookups by hash and sorted arrays, so that
// thousands of peers take milliseconds.
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "plane/internal.h"
#include "log/log.h"

/* Reports the first failure; everything else is still done. */
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

static int put(struct plane *p, enum datapath_map map, uint32_t key, const void *value, uint64_t flags)
{
	p->map_writes++;
	return map_write(p, map, key, value, flags);
}

/* Peers. */

/* A free slot holds zeros, unless packets in flight were counted for the peer that left it. */
static void clear_slot(struct plane *p, uint32_t id)
{
	static const struct talon_peer_tx none;

	put(p, DATAPATH_MAP_PEER_TX, id, &none, BPF_ANY);
	p->map_writes++;
	endpoints_clear(&p->endpoints, id);
	memset(p->percpu, 0, p->cpus * sizeof(*p->percpu));
	put(p, DATAPATH_MAP_PEER_STATS, id, p->percpu, BPF_ANY);
}

static void remove_peer(struct plane *p, uint64_t now, uint32_t id)
{
	const struct hold_key key = { .what = HOLD_FOR_SESSION, .peer = id };

	device_remove_peer(p->device, now, id);
	hold_drop(&p->hold, &key);
	clear_slot(p, id);
	memset(&p->infos[id], 0, sizeof(p->infos[id]));
	put(p, DATAPATH_MAP_PEER_INFO, id, &p->infos[id], BPF_ANY);
	p->polled[id] = (struct polled){};
	p->slots_of[id] = (struct plane_slot){ .was_used = true, .notices = p->slots_of[id].notices };
	if (id < p->free_hint)
		p->free_hint = id;
}

static uint32_t take_slot(struct plane *p)
{
	while (p->free_hint < p->peers_max && p->infos[p->free_hint].present)
		p->free_hint++;
	return p->free_hint < p->peers_max ? p->free_hint : TALON_PEER_NONE;
}

static void fill_info(struct talon_peer_info *info, const struct plane_peer *peer)
{
	info->present = 1;
	memcpy(info->public_key, peer->public_key, KEY_LEN);
	info->keepalive_s = peer->keepalive_s;
	snprintf(info->name, sizeof(info->name), "%.*s", (int)sizeof(peer->name), peer->name);
}

static int add_peer(struct plane *p, uint64_t now, const struct plane_peer *peer)
{
	struct device_peer_config pc = { .keepalive_s = peer->keepalive_s, .is_pinned = plane_is_pinned(p) };
	uint32_t id = take_slot(p);
	int ret;

	if (id == TALON_PEER_NONE)
		return -ENOSPC;
	memcpy(pc.public_key, peer->public_key, KEY_LEN);
	pc.preshared_key = peer->preshared_key;
	ret = device_add_peer(p->device, now, id, &pc);
	secret_key_wipe(&pc.preshared_key);
	if (ret)
		return ret;
	if (p->slots_of[id].was_used)
		clear_slot(p, id);
	if (plane_is_pinned(p)) {
		p->map_writes++;
		endpoints_pin_nowhere(&p->endpoints, id);
	}
	memset(&p->infos[id], 0, sizeof(p->infos[id]));
	fill_info(&p->infos[id], peer);
	p->slots_of[id].mark = p->mark;
	p->slots_of[id].way = PLANE_NOWHERE;
	p->slots_of[id].roams = false;
	return put(p, DATAPATH_MAP_PEER_INFO, id, &p->infos[id], BPF_ANY);
}

static int update_peer(struct plane *p, uint64_t now, uint32_t id, const struct plane_peer *peer)
{
	struct talon_peer_info info = p->infos[id];

	device_set_peer_psk(p->device, id, &peer->preshared_key);
	device_confirm_peer(p->device, now, id);
	memset(info.name, 0, sizeof(info.name));
	fill_info(&info, peer);
	if (!memcmp(&info, &p->infos[id], sizeof(info)))
		return 0;
	if (info.keepalive_s != p->infos[id].keepalive_s)
		device_set_peer_keepalive(p->device, now, id, info.keepalive_s);
	p->infos[id] = info;
	return put(p, DATAPATH_MAP_PEER_INFO, id, &info, BPF_ANY);
}

static void mark_wanted(struct plane *p, const struct plane_state *state)
{
	p->mark++;
	for (size_t i = 0; i < state->peer_count; i++) {
		uint32_t id = device_find_peer(p->device, state->peers[i].public_key);

		if (id != TALON_PEER_NONE)
			p->slots_of[id].mark = p->mark;
	}
}

static void remove_departed(struct plane *p, uint64_t now)
{
	for (uint32_t id = 0; id < p->peers_max; id++) {
		if (p->infos[id].present && p->slots_of[id].mark != p->mark)
			remove_peer(p, now, id);
	}
}

static void note_peer(struct verdict *v, const struct plane_peer *peer, int ret, bool is_of_mesh)
{
	char key[KEY_BASE64_LEN + 1];

	v->left_out += ret == -ENOSPC && is_of_mesh;
	if (!ret || v->ret || (ret == -ENOSPC && is_of_mesh))
		return;
	key_to_base64(peer->public_key, key);
	note(v, ret, "Peer %s cannot be added: %s", key, ret == -ENOSPC ? "there is no room; raise MaxPeers"
		: strerror(-ret));
}

static void apply_peers(struct plane *p, const struct plane_state *state, struct verdict *v)
{
	uint64_t now = clock_boot_ns();

	for (size_t i = 0; i < state->peer_count; i++) {
		const struct plane_peer *peer = &state->peers[i];
		uint32_t id = device_find_peer(p->device, peer->public_key);

		note_peer(v, peer, id == TALON_PEER_NONE ? add_peer(p, now, peer) : update_peer(p, now, id,
			peer), plane_is_pinned(p));
	}
}

/* Cryptokey routing and served routes. */

struct table {
	struct plane *p;
	enum datapath_map map;
	bool changed;
};

static bool holds_routes(enum datapath_map map)
{
	return map == DATAPATH_MAP_ROUTES4 || map == DATAPATH_MAP_ROUTES6;
}

static bool holds_allowed(enum datapath_map map)
{
	return map == DATAPATH_MAP_ALLOWED4 || map == DATAPATH_MAP_ALLOWED6;
}

/* A key of either family: those of IPv4 are shorter, and the kernel reads no more of them. */
static int write_entry(void *ctx, enum prefix_change change, const struct prefix *prefix)
{
	struct table *t = ctx;
	struct plane *p = t->p;
	const struct talon_lpm6 key = { .prefixlen = prefix->len, .addr = prefix_addr_of(prefix->addr) };
	struct talon_route route = { .flags = prefix->value, .prefixlen = prefix->len };
	int fd = datapath_map_fd(p->dp, t->map);

	t->changed = true;
	p->map_writes++;
	if (change == PREFIX_REMOVE)
		return bpf_map_delete_elem(fd, &key) && errno != ENOENT ? -errno : 0;
	if (!holds_routes(t->map))
		return bpf_map_update_elem(fd, &key, &prefix->value, BPF_ANY) ? -errno : 0;
	route.id = ++p->route_id;
	return bpf_map_update_elem(fd, &key, &route, BPF_ANY) ? -errno : 0;
}

/* Makes the map hold @wanted, and takes over its list as our copy of the map. */
static int apply_table(struct plane *p, enum datapath_map map, struct prefixes *is, struct prefixes *wanted)
{
	struct table t = { .p = p, .map = map };
	int ret;

	prefixes_sort(wanted);
	ret = prefixes_diff(is, wanted, write_entry, &t);
	if (ret)
		p->tables_known = false;
	p->sees_change |= t.changed;
	p->networks_changed |= t.changed && !holds_allowed(map);
	prefixes_done(is);
	*is = *wanted;
	*wanted = (struct prefixes){};
	return ret;
}

static int read_table(struct plane *p, enum datapath_map map, struct prefixes *set)
{
	int fd = datapath_map_fd(p->dp, map), ret = 0;
	struct talon_lpm6 key = {}, next = {}, *last = NULL;
	union { uint32_t word; struct talon_route route; } value;

	prefixes_done(set);
	while (!ret && !bpf_map_get_next_key(fd, last, &next)) {
		key = next;
		last = &key;
		if (bpf_map_lookup_elem(fd, &key, &value))
			continue;
		if (holds_routes(map) && value.route.id > p->route_id)
			p->route_id = value.route.id;
		ret = prefixes_add(set, prefix_bits_of(&key.addr), key.prefixlen,
			holds_routes(map) ? value.route.flags : value.word);
	}
	prefixes_sort(set);
	return ret;
}

int apply_read_tables(struct plane *p)
{
	int ret = read_table(p, DATAPATH_MAP_ALLOWED4, &p->allowed);

	if (!ret)
		ret = read_table(p, DATAPATH_MAP_ALLOWED6, &p->allowed6);
	if (!ret)
		ret = read_table(p, DATAPATH_MAP_ROUTES4, &p->routes);
	if (!ret)
		ret = read_table(p, DATAPATH_MAP_ROUTES6, &p->routes6);
	if (!ret)
		ret = read_table(p, DATAPATH_MAP_LOCAL4, &p->locals);
	if (!ret)
		ret = read_table(p, DATAPATH_MAP_LOCAL6, &p->locals6);
	p->tables_known = !ret;
	return ret;
}

/* Wanted networks, by family. */
struct wanted {
	struct prefixes four, six;
};

static int want(struct wanted *wanted, const struct cidr *net, uint32_t value)
{
	return prefixes_add(net->family == AF_INET6 ? &wanted->six : &wanted->four,
		prefix_bits_of(&net->addr), net->prefixlen, value);
}

static void wanted_done(struct wanted *wanted)
{
	prefixes_done(&wanted->four);
	prefixes_done(&wanted->six);
}

static int list_networks(const struct plane_state *state, struct wanted *ret_networks)
{
	int ret = 0;

	for (size_t i = 0; i < state->peer_count && !ret; i++) {
		const struct plane_peer *peer = &state->peers[i];

		for (size_t j = 0; j < peer->allowed_count && !ret; j++)
			ret = want(ret_networks, &peer->allowed[j], 0);
	}
	prefixes_sort(&ret_networks->four);
	prefixes_sort(&ret_networks->six);
	return ret;
}

/* Fills @ret_kept with entries of @is whose peer is there and whose network somebody has. */
static int keep_allowed(const struct plane *p, const struct prefixes *is, const struct prefixes *networks,
	struct prefixes *ret_kept)
{
	int ret = 0;

	for (size_t i = 0; i < is->count && !ret; i++) {
		const struct prefix *prefix = &is->list[i];
		uint32_t peer = TALON_ALLOWED_PEER(prefix->value);

		if (peer < p->peers_max && p->infos[peer].present && prefixes_find(networks, prefix->addr,
			prefix->len))
			ret = prefixes_add(ret_kept, prefix->addr, prefix->len, prefix->value);
	}
	return ret;
}

static int apply_allowed_tables(struct plane *p, struct wanted *wanted)
{
	int ret = apply_table(p, DATAPATH_MAP_ALLOWED4, &p->allowed, &wanted->four),
		ret6 = apply_table(p, DATAPATH_MAP_ALLOWED6, &p->allowed6, &wanted->six);

	return ret ? ret : ret6;
}

/*
 * Removes networks of departed peers, and those no peer has any more. This comes before any new rule
 * takes effect and before a freed slot is given to another peer. A network that moves between two peers
 * that both stay is changed later, in one step.
 */
static int close_allowed(struct plane *p, const struct plane_state *state)
{
	struct wanted networks = {}, kept = {};
	int ret = list_networks(state, &networks);

	if (!ret)
		ret = keep_allowed(p, &p->allowed, &networks.four, &kept.four);
	if (!ret)
		ret = keep_allowed(p, &p->allowed6, &networks.six, &kept.six);
	if (!ret)
		ret = apply_allowed_tables(p, &kept);
	wanted_done(&kept);
	wanted_done(&networks);
	if (p->sees_change)
		map_bump_generation(p);
	return ret;
}

static int apply_allowed(struct plane *p, const struct plane_state *state)
{
	struct wanted wanted = {};
	int ret = 0;

	for (size_t i = 0; i < state->peer_count && !ret; i++) {
		const struct plane_peer *peer = &state->peers[i];
		uint32_t id = device_find_peer(p->device, peer->public_key);

		for (size_t j = 0; j < peer->allowed_count && !ret && id != TALON_PEER_NONE; j++) {
			const struct cidr *net = &peer->allowed[j];

			ret = want(&wanted, net, TALON_ALLOWED(id, net->prefixlen));
		}
	}
	if (!ret)
		ret = apply_allowed_tables(p, &wanted);
	wanted_done(&wanted);
	return ret;
}

int apply_locals(struct plane *p)
{
	const struct config *config = p->config;
	struct wanted wanted = {};
	int ret = 0;

	p->found.left_out = 0;
	for (size_t i = 0; i < config->local_count && !ret; i++)
		ret = want(&wanted, &config->local[i], TALON_LOCAL_GIVEN);
	if (!ret)
		ret = found_merge(&p->found, AF_INET, TALON_LOCAL_FOUND, TALON_FOUND_MAX, &wanted.four);
	if (!ret)
		ret = found_merge(&p->found, AF_INET6, TALON_LOCAL_FOUND, TALON_FOUND_MAX, &wanted.six);
	if (!ret)
		ret = apply_table(p, DATAPATH_MAP_LOCAL4, &p->locals, &wanted.four);
	if (!ret)
		ret = apply_table(p, DATAPATH_MAP_LOCAL6, &p->locals6, &wanted.six);
	wanted_done(&wanted);
	return ret;
}

static int apply_routes(struct plane *p, const struct plane_state *state)
{
	struct wanted wanted = {};
	int ret = 0;

	for (size_t i = 0; i < state->route_count && !ret; i++) {
		const struct config_route *r = &state->routes[i];

		ret = want(&wanted, &r->dst, r->masquerade ? TALON_ROUTE_MASQUERADE : 0);
	}
	if (!ret)
		ret = apply_table(p, DATAPATH_MAP_ROUTES4, &p->routes, &wanted.four);
	if (!ret)
		ret = apply_table(p, DATAPATH_MAP_ROUTES6, &p->routes6, &wanted.six);
	wanted_done(&wanted);
	return ret;
}

/* Access rules. */

static struct acl_maps acl_maps_of(const struct plane *p)
{
	return (struct acl_maps){
		.src = datapath_map_fd(p->dp, DATAPATH_MAP_ACL_SRC4),
		.dst = datapath_map_fd(p->dp, DATAPATH_MAP_ACL_DST4),
		.src6 = datapath_map_fd(p->dp, DATAPATH_MAP_ACL_SRC6),
		.dst6 = datapath_map_fd(p->dp, DATAPATH_MAP_ACL_DST6),
		.ports = datapath_map_fd(p->dp, DATAPATH_MAP_ACL_PORTS),
		.bits = datapath_map_fd(p->dp, DATAPATH_MAP_ACL_BITS),
		.rules = datapath_map_fd(p->dp, DATAPATH_MAP_ACL_RULES),
	};
}

/* A bank is complete before it takes effect, and takes effect before flows are judged again. */
static int use_bank(struct plane *p, unsigned bank, bool is_enforced)
{
	const struct talon_config old = p->map_config;
	int ret;

	p->map_config.acl_bank = bank;
	p->map_config.flags &= ~TALON_F_ACL;
	if (is_enforced)
		p->map_config.flags |= TALON_F_ACL;
	if (!memcmp(&old, &p->map_config, sizeof(old)))
		return 0;
	p->map_writes++;
	ret = map_write_config(p);
	if (ret)
		p->map_config = old;
	else
		map_bump_generation(p);
	return ret;
}

/* Needs no room in any map, so it cannot fail for want of it. */
static int close_acl(struct plane *p)
{
	const struct acl_maps maps = acl_maps_of(p);
	const unsigned bank = !p->map_config.acl_bank;
	int ret;

	if (p->acl_is_closed)
		return 0;
	ret = acl_write_closed(&maps, bank);
	if (!ret)
		ret = use_bank(p, bank, true);
	p->acl_is_closed = !ret;
	p->has_acl &= ret != 0;
	return ret;
}

static void note_acl(struct plane *p, struct acl_sizes sizes)
{
	plane_set_fact(p, TALON_FACT_ACL_RULES, sizes.rules);
	plane_set_fact(p, TALON_FACT_USED_ACL_SOURCES, sizes.sources);
	plane_set_fact(p, TALON_FACT_USED_ACL_DESTINATIONS, sizes.destinations);
	plane_set_fact(p, TALON_FACT_USED_ACL_SOURCES6, sizes.sources6);
	plane_set_fact(p, TALON_FACT_USED_ACL_DESTINATIONS6, sizes.destinations6);
	plane_set_fact(p, TALON_FACT_USED_ACL_CLASSES, sizes.classes);
}

/*
 * Where there were no rules, an empty bank that lets nothing in takes effect first: what an earlier
 * process left open must not stay open while the rules are written.
 */
static int write_acl(struct plane *p, const struct acl_table *table)
{
	const struct acl_maps maps = acl_maps_of(p);
	uint8_t digest[ACL_DIGEST_LEN];
	unsigned bank;
	int ret = 0;

	acl_digest(table, digest);
	if (p->has_acl && !memcmp(digest, p->acl_digest, sizeof(digest)))
		return 0;
	if (!(p->map_config.flags & TALON_F_ACL))
		ret = close_acl(p);
	bank = !p->map_config.acl_bank;
	if (!ret)
		ret = acl_write(table, &maps, bank);
	if (!ret)
		ret = use_bank(p, bank, true);
	if (ret)
		return ret;
	p->acl_is_closed = false;
	p->has_acl = true;
	note_acl(p, acl_table_sizes(table));
	memcpy(p->acl_digest, digest, sizeof(digest));
	return 0;
}

/*
 * If rules cannot be written, everything is closed: the old ones describe peers and addresses that are
 * about to change. Returns false if even that fails; then nothing else may be applied.
 */
static bool apply_acl(struct plane *p, const struct plane_state *state, struct verdict *v)
{
	int ret = 0;

	if (!state->acl && !state->is_closed) {
		p->has_acl = p->acl_is_closed = false;
		note_acl(p, (struct acl_sizes){});
		ret = use_bank(p, p->map_config.acl_bank, false);
		note(v, ret, "access rules: %s", strerror(-ret));
		return true;
	}
	if (!state->is_closed)
		ret = write_acl(p, state->acl);
	if (!ret && !state->is_closed)
		return true;
	note(v, ret, "access rules cannot be written: %s; until then nothing is let in", strerror(-ret));
	ret = close_acl(p);
	note(v, ret, "access rules cannot be closed: %s", strerror(-ret));
	return !ret;
}

/* The rest. */

static int apply_config(struct plane *p, const struct plane_state *state)
{
	struct talon_config *mc = &p->map_config, old = *mc;

	mc->mesh_addr = state->mesh_addr;
	mc->mesh_mask = state->mesh_addr ? prefix_addr_of(prefix_mask(state->mesh_prefixlen)).word[0] : 0;
	mc->mesh_addr6 = state->mesh_addr6;
	mc->mesh_len6 = state->mesh_prefixlen6;
	memset(mc->open, 0, sizeof(mc->open));
	for (size_t i = 0; i < state->open_count && i < TALON_OPEN_PORTS_MAX && p->has_acl; i++)
		mc->open[i] = (struct talon_open_port){
			.port = htons(state->open[i].port), .proto = state->open[i].proto == NETMAP_TCP
				? IPPROTO_TCP : IPPROTO_UDP,
		};
	mc->flags &= ~(TALON_F_PLAIN_ROUTES | TALON_F_PLAIN_ROUTES6);
	for (size_t i = 0; i < state->route_count; i++) {
		if (!state->routes[i].masquerade)
			mc->flags |= state->routes[i].dst.family == AF_INET6 ? TALON_F_PLAIN_ROUTES6
				: TALON_F_PLAIN_ROUTES;
	}
	if (!memcmp(&old, mc, sizeof(old)))
		return 0;
	p->sees_change = true;
	p->map_writes++;
	return map_write_config(p);
}

static void describe(struct plane *p, const struct plane_state *state)
{
	struct talon_info *info = &p->info;
	char addr[INET6_ADDRSTRLEN];

	memset(info->address, 0, sizeof(info->address));
	memset(info->routes, 0, sizeof(info->routes));
	if (state->mesh_addr) {
		inet_ntop(AF_INET, &state->mesh_addr, addr, sizeof(addr));
		snprintf(info->address, sizeof(info->address), "%s/%d", addr, state->mesh_prefixlen);
	}
	for (size_t i = 0; i < state->route_count && strlen(info->routes) + 1 < sizeof(info->routes); i++) {
		const struct config_route *r = &state->routes[i];

		inet_ntop(r->dst.family, &r->dst.addr, addr, sizeof(addr));
		text_append(info->routes, sizeof(info->routes), "%s%s/%u%s", i ? "; " : "", addr,
			r->dst.prefixlen, r->masquerade ? " masquerade" : "");
	}
}

static int set_tunnel_routes(struct plane *p, const struct plane_state *state, char *err, size_t errlen)
{
	const struct tunnel_wish wish = {
		.mesh_addr = state->mesh_addr,
		.mesh_prefixlen = state->mesh_prefixlen,
		.own_addr = p->config->host_address ? state->mesh_addr : 0,
		.mesh_addr6 = state->mesh_addr6,
		.mesh_prefixlen6 = state->mesh_prefixlen6,
		.own_addr6 = p->config->host_address ? state->mesh_addr6 : (struct talon_addr){},
		.routes = state->host_routes,
		.route_count = state->host_route_count,
		.snat_addr = p->map_config.flags & TALON_F_SNAT_OWN ? p->config->snat_addr : 0,
	};

	return tunnel_routes_set(&p->tunnel_routes, &wish, !plane_is_pinned(p), err, errlen);
}

static int apply_state(struct plane *p, const struct plane_state *state, char *err, size_t errlen)
{
	struct verdict v = { .err = err, .errlen = errlen };
	int ret;

	if (!p->tables_known)
		apply_read_tables(p);
	mark_wanted(p, state);
	remove_departed(p, clock_boot_ns());
	ret = close_allowed(p, state);
	note(&v, ret, "allowed IPs: %s", strerror(-ret));
	if (!apply_acl(p, state, &v))
		return v.ret;
	apply_peers(p, state, &v);
	ret = apply_allowed(p, state);
	note(&v, ret, "allowed IPs: %s", strerror(-ret));
	ret = apply_config(p, state);
	note(&v, ret, "map config: %s", strerror(-ret));
	ret = apply_locals(p);
	p->locals_error = ret;
	note(&v, ret, "Local: %s", strerror(-ret));
	ret = apply_routes(p, state);
	note(&v, ret, "routes of the mesh: %s", strerror(-ret));
	if (p->networks_changed && p->is_ready)
		map_config_update(p); /* other devices may lead there now, and their replies need a program */
	p->networks_changed = false;
	if (p->sees_change)
		map_bump_generation(p);
	if (v.ret && !plane_is_pinned(p))
		return v.ret;	/* a static file is applied as a whole or refused */
	ret = set_tunnel_routes(p, state, v.ret ? (char[1]){} : err, v.ret ? 1 : errlen);
	if (!v.ret)
		v.ret = ret;
	inner6_follow(p);
	if (v.left_out)		/* reported last: the peers that fit are served */
		note(&v, -EUSERS, "there is room for %u peers, and %zu are wanted: %zu are left out; raise "
			"MaxPeers", p->peers_max, state->peer_count, v.left_out);
	describe(p, state);
	p->has_applied = true;
	if (p->is_ready)
		p->info.ready = 1;
	map_write_info(p);
	if (p->is_ready)
		plane_wake(p);
	return v.ret;
}

int plane_apply(struct plane *p, const struct plane_state *state, char *err, size_t errlen)
{
	uint64_t begin = clock_mono_ns(), took;
	int ret;

	if (!p->device) {
		snprintf(err, errlen, "the datapath is being loaded");
		return -EAGAIN;
	}
	ret = apply_state(p, state, err, errlen);
	took = clock_mono_ns() - begin;
	facts_add(&p->facts, TALON_FACT_APPLIES, 1);
	facts_add(&p->facts, TALON_FACT_APPLIES_FAILED, ret != 0);
	facts_add(&p->facts, TALON_FACT_APPLY_NS, took);
	plane_set_fact(p, TALON_FACT_APPLY_LAST_NS, took);
	plane_set_fact(p, TALON_FACT_APPLIED_UNIX_S, clock_unix_ns() / TALON_NSEC_PER_SEC);
	return ret;
}
