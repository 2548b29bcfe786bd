// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What an earlier process left into the device, what the host is like into the maps. Nothing is attached
// while this runs the first time.
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <sodium.h>

#include "plane/internal.h"
#include "log/log.h"

/*
 * What an earlier process left, as it is: peers with their endpoints, so that their sessions go on. The
 * preshared keys come with the first desired state, and there are no handshakes before it; who is not in
 * that goes then.
 */
static int adopt_peer(struct plane *p, uint64_t now, uint32_t id)
{
	const struct talon_peer_info *info = &p->infos[id];
	struct device_peer_config pc = { .keepalive_s = info->keepalive_s, .is_pinned = plane_is_pinned(p),
		.is_unconfirmed = true };
	struct talon_endpoint at;

	memcpy(pc.public_key, info->public_key, KEY_LEN);
	memcpy(pc.timestamp, info->timestamp, sizeof(pc.timestamp));
	pc.stats = (struct device_peer_stats){
		.handshakes = info->handshakes,
		.handshake_ns = info->handshake_ns,
		.handshake_unix_s = info->handshake_unix_s,
		.rx_bytes = info->handshake_rx_bytes,
		.tx_bytes = info->handshake_tx_bytes,
	};
	if (!endpoint_read(p, id, &at) && at.family)
		endpoint_from_map(&at, &pc.endpoint);
	if (pc.endpoint.family)
		p->slots_of[id].way = at.flags & TALON_ENDPOINT_RELAY ? PLANE_RELAY : PLANE_DIRECT;
	p->slots_of[id].was_used = true;
	return device_add_peer(p->device, now, id, &pc);
}

/* Slots that cannot be what we wrote are made free. */
static void adopt_peers(struct plane *p)
{
	uint64_t now = clock_boot_ns();

	for (uint32_t i = 0; i < p->peers_max; i++) {
		if (!map_read(p, DATAPATH_MAP_PEER_INFO, i, &p->infos[i]) && p->infos[i].present &&
			!adopt_peer(p, now, i))
			continue;
		p->slots_of[i].was_used = true;
		if (!p->infos[i].present)
			continue;
		memset(&p->infos[i], 0, sizeof(p->infos[i]));
		map_write(p, DATAPATH_MAP_PEER_INFO, i, &p->infos[i], BPF_ANY);
	}
}

static int make_device(struct plane *p)
{
	struct device_config dc = { .peers_max = p->peers_max, .slots = p->slots };
	int ret;

	memcpy(dc.private_key.bytes, p->config->private_key, KEY_LEN);
	ret = device_new(&p->device, &dc, &plane_device_ops, p);
	secret_key_wipe(&dc.private_key);
	return ret;
}

/*
 * The first uplink that the largest packet does not fit through: refused at the start; later one lives with
 * it, and says so.
 */
static int check_mtu(const struct plane *p, char *err, size_t errlen)
{
	for (unsigned i = 0; i < datapath_uplink_count(p->dp); i++) {
		const char *name = datapath_get_uplink(p->dp, i)->name;
		struct net_link link;

		if (net_link_get(name, &link) || link.mtu >= (uint32_t)p->config->mtu + TALON_OVERHEAD4)
			continue;
		snprintf(err, errlen, "MTU: %u does not fit through %s (%u); write at most %d (%d if peers "
			"come by IPv6)", p->config->mtu, name, link.mtu, (int)link.mtu - TALON_OVERHEAD4,
			(int)link.mtu - TALON_OVERHEAD6);
		return -EMSGSIZE;
	}
	return 0;
}

/* PREEMPT_RT says so in the version's text, and later kernels in a file, too. */
static bool kernel_is_realtime(void)
{
	struct utsname name;

	return !access("/sys/kernel/realtime", F_OK) || (!uname(&name) && strstr(name.version, "PREEMPT_RT"));
}

/*
 * By its number, since it may be getting another name; before anything is attached, and once it is
 * gone, by its name.
 */
static int read_uplink(const struct plane *p, unsigned i, struct net_link *ret_link)
{
	const struct datapath_uplink *uplink = datapath_get_uplink(p->dp, i);

	if (uplink->ifindex && !net_link_get_index(uplink->ifindex, ret_link))
		return 0;
	return net_link_get(uplink->name, ret_link);
}

/*
 * What the datapath compares with and may change while we run: devices, their MACs and sizes, the
 * node's address.
 */
static int fill_links(struct plane *p, char *err, size_t errlen)
{
	const struct datapath_tunnel_info *tunnel = datapath_get_tunnel(p->dp),
		*relay = datapath_get_relay(p->dp);
	const struct config *config = p->config;
	struct talon_config *mc = &p->map_config;
	const char *first = datapath_get_uplink(p->dp, 0)->name;
	struct net_link link;
	bool is_veth = false;
	int ret;

	mc->relay_ifindex = relay ? relay->ifindex : 0;
	mc->tunnel_ifindex = tunnel->ifindex;
	mc->tunnel_peer_ifindex = tunnel->far_ifindex;
	memcpy(mc->tunnel_mac, tunnel->mac, sizeof(mc->tunnel_mac));
	memcpy(mc->tunnel_peer_mac, tunnel->far_mac, sizeof(mc->tunnel_peer_mac));
	ret = ways_sync(p, err, errlen);
	if (ret)
		return ret;
	if (read_uplink(p, 0, &link) || ways_node_addr(p, &link, &mc->node_addr)) {
		snprintf(err, errlen, "Uplink: %s has no IPv4 address, and no route by it has a source "
			"address", first);
		return -EADDRNOTAVAIL;
	}
	ways_set_flags(p);
	mc->snat_addr = config->snat_addr ? config->snat_addr : mc->node_addr;
	memset(mc->uplinks, 0, sizeof(mc->uplinks));
	for (unsigned i = 0; i < datapath_uplink_count(p->dp); i++) {
		const char *name = datapath_get_uplink(p->dp, i)->name;

		ret = read_uplink(p, i, &link);
		if (ret) {
			snprintf(err, errlen, "Uplink: %s: %s", name, strerror(-ret));
			return ret;
		}
		mc->uplinks[i] = link.ifindex;
		is_veth |= !strcmp(link.kind, "veth");
	}
	mc->flags &= ~(TALON_F_SNAT_OWN | TALON_F_HANDUP_TUNNEL | TALON_F_PREEMPTIBLE);
	if (kernel_is_realtime())
		mc->flags |= TALON_F_PREEMPTIBLE;
	if (config->snat_addr && config->snat_addr != mc->node_addr)
		mc->flags |= TALON_F_SNAT_OWN;
	/*
	 * What XDP_PASS hands up keeps the outer packet's checksum state, which on a veth may be an
	 * unfinished one.
	 */
	if (config->hand_up == CONFIG_HAND_UP_TUNNEL || (config->hand_up == CONFIG_HAND_UP_AUTO && is_veth))
		mc->flags |= TALON_F_HANDUP_TUNNEL;
	return 0;
}

/* Once, when it begins or ends. */
static void look_at_mtu(struct plane *p)
{
	char err[200];
	bool is_small = check_mtu(p, err, sizeof(err)) != 0;

	p->links_warned = false;
	if (is_small == p->mtu_warned)
		return;
	p->mtu_warned = is_small;
	if (is_small)
		log_warn("%s", err);
	start_hazards(p);
}

void start_links(struct plane *p)
{
	const struct talon_config old = p->map_config;
	char err[200];

	if (fill_links(p, err, sizeof(err))) {
		if (!p->links_warned)
			log_warn("%s", err);
		p->links_warned = true;
		p->map_config = old;
		return;
	}
	look_at_mtu(p);
	if (!memcmp(&old, &p->map_config, sizeof(old)))
		return;
	if (old.node_addr != p->map_config.node_addr)
		log_warn("the node's address changed; what networks see of peers changes with it");
	p->sees_change = true;
}

void start_repair_endpoints(struct plane *p)
{
	for (uint32_t i = 0; i < p->peers_max; i++) {
		struct talon_endpoint e;
		struct net_link link;

		if (!p->infos[i].present || endpoint_read(p, i, &e) || !e.in_ifindex ||
			e.flags & TALON_ENDPOINT_RELAY || net_link_get_index(e.in_ifindex, &link) != -ENODEV)
			continue;
		e.in_ifindex = 0;
		e.flags &= ~TALON_ENDPOINT_L2;
		endpoint_fill_way(p, &e);
		map_write(p, DATAPATH_MAP_ENDPOINTS, i, &e, BPF_F_LOCK);
	}
}

/* All that the datapath compares with. */
static int fill_config(struct plane *p, char *err, size_t errlen)
{
	const struct datapath_sizes *sizes = datapath_get_sizes(p->dp);
	const struct config *config = p->config;
	struct talon_config old = {}, *mc = &p->map_config;
	int ret;

	map_read(p, DATAPATH_MAP_CONFIG, 0, &old);
	memset(mc, 0, sizeof(*mc));
	mc->generation = old.generation + 1 ? old.generation + 1 : 1;
	if (old.generation)
		mc->keys = old.keys;
	else
		randombytes_buf(&mc->keys, sizeof(mc->keys));
	mc->session_mask = sizes->sessions - 1;
	mc->bucket_mask = sizes->buckets - 1;
	mc->flow_count = sizes->flows;
	mc->tunnel_mtu = config->mtu;
	mc->listen_port = htons(config->listen_port);
	mc->mesh_addr = old.mesh_addr;	/* until the first desired state says another */
	mc->mesh_mask = old.mesh_mask;
	mc->acl_bank = old.acl_bank;
	mc->port_first = config->port_first;
	mc->port_last = config->port_last;
	ret = fill_links(p, err, errlen);
	if (!ret)
		ret = check_mtu(p, err, errlen);
	if (ret)
		return ret;
	/* start_modes() decides these anew, plane_apply() those. */
	mc->flags |= old.flags & (TALON_F_XDP_TX | TALON_F_KEEP_TAIL);
	mc->flags |= old.flags & (TALON_F_PLAIN_ROUTES | TALON_F_ACL);
	return 0;
}

struct local_fill {
	struct plane *p;
	uint8_t mark;
};

static void put_local(const struct net_addr *addr, void *user)
{
	struct local_fill *fill = user;

	bpf_map_update_elem(datapath_map_fd(fill->p->dp, DATAPATH_MAP_LOCAL_ADDRS), &addr->addr, &fill->mark,
		BPF_ANY);
}

static void prune_addrs(int map, uint8_t current)
{
	struct talon_addr key, next, *last = NULL;
	uint8_t mark;

	while (!bpf_map_get_next_key(map, last, &next)) {
		if (!bpf_map_lookup_elem(map, &next, &mark) && mark != current) {
			bpf_map_delete_elem(map, &next);
			continue;
		}
		key = next;
		last = &key;
	}
}

/* Marks what is there with a new value, then deletes what kept the old one. */
void start_local_addrs(struct plane *p)
{
	struct local_fill fill = { .p = p, .mark = ++p->local_mark };

	if (net_addr_list(put_local, &fill))
		return;
	prune_addrs(datapath_map_fd(p->dp, DATAPATH_MAP_LOCAL_ADDRS), fill.mark);
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

void start_hazards(struct plane *p)
{
	const char *uplinks[TALON_UPLINKS_MAX];
	unsigned n = datapath_uplink_count(p->dp);
	char why[200];
	size_t at;

	for (unsigned i = 0; i < n; i++)
		uplinks[i] = datapath_get_uplink(p->dp, i)->name;
	memset(p->info.hazards, 0, sizeof(p->info.hazards));
	/* What keeps packets from flowing goes first, and is there whatever else does not fit. */
	if (p->uplinks.trouble[0])
		append(p->info.hazards, sizeof(p->info.hazards), "%s\n", p->uplinks.trouble);
	at = strlen(p->info.hazards);
	net_hazards(uplinks, n, datapath_get_tunnel(p->dp)->name, p->info.hazards + at,
		sizeof(p->info.hazards) - at);
	if (check_mtu(p, why, sizeof(why)))
		append(p->info.hazards, sizeof(p->info.hazards), "%s\n", why);
	append(p->info.hazards, sizeof(p->info.hazards), "%s", p->ways.hazards);
	if (p->map_config.flags & TALON_F_PREEMPTIBLE)
		append(p->info.hazards, sizeof(p->info.hazards),
		       "real-time kernel (PREEMPT_RT): packets that preempt each other on one CPU are "
		       "dropped (preempted)\n");
	if (p->ports_unknown)
		append(p->info.hazards, sizeof(p->info.hazards),
		       "this kernel cannot list sockets (no inet_diag), so SNAT may use ports of this host's "
		       "own\n");
	if (!(p->map_config.flags & TALON_F_SNAT_OWN) &&
	    nat_ports_check_range(p->config->port_first, p->config->port_last, why, sizeof(why)))
		append(p->info.hazards, sizeof(p->info.hazards), "%s\n", why);
}

static void describe(struct plane *p)
{
	struct talon_info old = {}, *info = &p->info;

	map_read(p, DATAPATH_MAP_INFO, 0, &old);
	memset(info, 0, sizeof(*info));
	info->layout = TALON_LAYOUT_VERSION;
	info->pid = getpid();
	info->started_ns = clock_boot_ns();
	info->heartbeat_ns = info->started_ns;
	info->datapath_since_ns = old.datapath_since_ns ? old.datapath_since_ns : info->started_ns;
	info->adoptions = old.layout ? old.adoptions + 1 : 0;
	snprintf(info->version, sizeof(info->version), "%s", TALON_VERSION);
	snprintf(info->tunnel, sizeof(info->tunnel), "%s", datapath_get_tunnel(p->dp)->name);
	memcpy(info->public_key, p->config->public_key, sizeof(info->public_key));
	uplinks_describe(p);
	info->threaded = old.layout ? old.threaded : 0;
	snprintf(info->address, sizeof(info->address), "%s", old.address);
	snprintf(info->routes, sizeof(info->routes), "%s", old.routes);
}

/* One slot of the session array. Returns whether a session goes on in it. */
static bool adopt_slot(struct plane *p, uint64_t now, uint32_t slot, const struct talon_session *session,
	bool same_key)
{
	static const uint8_t zeros[sizeof(session->recv_key)];
	struct talon_replay window;
	struct talon_peer_tx tx;
	int ret = -EINVAL;

	if (session->index && same_key && session->peer < p->peers_max && p->infos[session->peer].present &&
	    !map_read(p, DATAPATH_MAP_REPLAY, slot, &window) &&
	    !map_read(p, DATAPATH_MAP_PEER_TX, session->peer, &tx))
		ret = device_adopt_session(p->device, now, session, window.state, tx.index == session->index);
	if (ret && ret != -ESTALE && ret != -EEXIST &&
	    (session->index || memcmp(session->recv_key, zeros, sizeof(zeros)) ||
	    memcmp(session->send_key, zeros, sizeof(zeros))))
		device_adopt_retired(p->device, now, slot);
	return !ret;
}

/*
 * Sessions of an earlier process go on, if they are under our key; those of another key end before anything
 * else changes. Slots that only hold old keys are overwritten.
 */
static int adopt_sessions(struct plane *p)
{
	uint64_t now = clock_boot_ns();
	struct talon_session session;
	struct talon_info old;
	bool same_key;
	int adopted = 0;

	if (!p->was_adopted || map_read(p, DATAPATH_MAP_INFO, 0, &old))
		return 0;
	same_key = !memcmp(old.public_key, p->config->public_key, KEY_LEN);
	for (uint32_t slot = 0; slot < p->slots; slot++) {
		if (!map_read(p, DATAPATH_MAP_SESSIONS, slot, &session))
			adopted += adopt_slot(p, now, slot, &session, same_key);
	}
	sodium_memzero(&session, sizeof(session));
	return adopted;
}

static int make_room(struct plane *p)
{
	const struct datapath_sizes *sizes = datapath_get_sizes(p->dp);

	p->peers_max = sizes->peers;
	p->slots = sizes->sessions;
	p->infos = calloc(p->peers_max, sizeof(*p->infos));
	p->slots_of = calloc(p->peers_max, sizeof(*p->slots_of));
	p->percpu = calloc(p->cpus, sizeof(*p->percpu));
	p->neighs = calloc(CONTROLLER_NEIGHS_MAX, sizeof(*p->neighs));
	p->polled = calloc(p->peers_max, sizeof(*p->polled));
	p->notices.peers = calloc(p->peers_max, sizeof(*p->notices.peers));
	return p->infos && p->slots_of && p->percpu && p->neighs && p->polled &&
		p->notices.peers ? 0 : -ENOMEM;
}

int start_fill(struct plane *p, char *err, size_t errlen)
{
	int ret = make_room(p), adopted;

	if (!ret)
		ret = make_device(p);
	if (ret) {
		snprintf(err, errlen, "peers: %s", strerror(-ret));
		return ret;
	}
	ret = apply_read_tables(p);	/* side devices of an earlier process go by its networks */
	if (ret) {
		snprintf(err, errlen, "maps: %s", strerror(-ret));
		return ret;
	}
	ret = fill_config(p, err, errlen);
	if (ret)
		return ret;
	if (p->was_adopted)
		adopt_peers(p);
	adopted = adopt_sessions(p);
	if (adopted)
		log_info("took over %d sessions of an earlier process", adopted);
	start_local_addrs(p);
	describe(p);
	ret = map_write_config(p);
	if (ret)
		snprintf(err, errlen, "maps: %s", strerror(-ret));
	map_write_info(p);
	return ret;
}

int start_modes(struct plane *p, char *err, size_t errlen)
{
	bool tx_works = true, is_generic = false;
	int ret;

	for (unsigned i = 0; i < datapath_uplink_count(p->dp); i++) {
		tx_works &= datapath_get_uplink(p->dp, i)->tx_works;
		is_generic |= datapath_get_uplink(p->dp, i)->mode == DATAPATH_XDP_GENERIC;
	}
	p->map_config.flags &= ~(TALON_F_XDP_TX | TALON_F_KEEP_TAIL);
	if (tx_works)
		p->map_config.flags |= TALON_F_XDP_TX;
	if (is_generic)
		p->map_config.flags |= TALON_F_KEEP_TAIL;
	/*
	 * Where programs are is known now, and some drivers take redirected frames only when they have one.
	 */
	ret = ways_sync(p, err, errlen);
	if (ret)
		return ret;
	ret = map_write_config(p);
	if (ret)
		snprintf(err, errlen, "map config: %s", strerror(-ret));
	return ret;
}
