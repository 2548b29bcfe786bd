// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Map config: what the datapath compares with. Filled at the start, and updated as the host changes.
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <sodium.h>

#include "plane/internal.h"
#include "host/uplink_choice.h"
#include "log/log.h"

/*
 * Finds the first uplink whose MTU is too small for the largest packet. That is an error at the start,
 * and a warning later.
 */
int map_config_check_mtu(const struct plane *p, char *err, size_t errlen)
{
	struct net_link link;
	int ret = 0;

	for (unsigned i = 0; i < datapath_uplink_count(p->dp) && !ret; i++) {
		if (!net_link_get(datapath_get_uplink(p->dp, i)->name, &link))
			ret = uplink_check_mtu(&link, p->config->mtu, err, errlen);
	}
	return ret;
}

/* PREEMPT_RT shows in the version text, and in newer kernels in a file. */
static bool kernel_is_realtime(void)
{
	struct utsname name;

	return !access("/sys/kernel/realtime", F_OK) || (!uname(&name) && strstr(name.version, "PREEMPT_RT"));
}

/*
 * Looks the uplink up by index, since its name may be changing; by name before anything is attached,
 * and when it is gone.
 */
static int read_uplink(const struct plane *p, unsigned i, struct net_link *ret_link)
{
	const struct datapath_uplink *uplink = datapath_get_uplink(p->dp, i);

	if (uplink->ifindex && !net_link_get_index(uplink->ifindex, ret_link))
		return 0;
	return net_link_get(uplink->name, ret_link);
}

/* Runs ways_sync() and passes on what it found. */
int map_config_sync_ways(struct plane *p, char *err, size_t errlen)
{
	struct ways_news news = {};
	int ret;

	p->ways.inherits_programs = p->was_adopted && !p->has_attached;
	ret = ways_sync(&p->ways, &news, err, errlen);
	p->sees_change |= news.changed;
	if (news.hazards && p->is_ready)
		hazards_update(p);
	return ret;
}

static void fill_pairs(const struct plane *p, struct talon_config *mc)
{
	const struct datapath_tunnel_info *tunnel = datapath_get_tunnel(p->dp),
		*relay = datapath_get_relay(p->dp);

	mc->relay_ifindex = relay->ifindex;
	mc->tunnel_ifindex = tunnel->ifindex;
	mc->tunnel_peer_ifindex = tunnel->far_ifindex;
	memcpy(mc->tunnel_mac, tunnel->mac, sizeof(mc->tunnel_mac));
	memcpy(mc->tunnel_peer_mac, tunnel->far_mac, sizeof(mc->tunnel_peer_mac));
}

/* Of a host without an IPv6 address, zeros: what needs one is refused packet by packet. */
static int fill_addr6(const struct plane *p, const struct net_link *link, struct talon_config *mc)
{
	if (p->ways.has_six)
		return ways_node_addr6(&p->ways, link, &mc->node_addr6);
	memset(&mc->node_addr6, 0, sizeof(mc->node_addr6));
	return 0;
}

static int fill_addrs(const struct plane *p, struct talon_config *mc, char *err, size_t errlen)
{
	struct net_link link;
	int ret;

	if (read_uplink(p, 0, &link) || ways_node_addr(&p->ways, &link, &mc->node_addr)) {
		snprintf(err, errlen, "Uplink: %s has no IPv4 address, and no route by it has a source "
			"address", datapath_get_uplink(p->dp, 0)->name);
		return -EADDRNOTAVAIL;
	}
	mc->snat_addr = p->config->snat_addr ? p->config->snat_addr : mc->node_addr;
	ret = fill_addr6(p, &link, mc);
	if (ret)
		snprintf(err, errlen, "addresses of %s: %s", link.name, strerror(-ret));
	return ret;
}

static int fill_uplinks(const struct plane *p, struct talon_config *mc, bool *ret_has_veth, char *err,
	size_t errlen)
{
	*ret_has_veth = false;
	memset(mc->uplinks, 0, sizeof(mc->uplinks));
	for (unsigned i = 0; i < datapath_uplink_count(p->dp); i++) {
		struct net_link link;
		int ret = read_uplink(p, i, &link);

		if (ret) {
			snprintf(err, errlen, "Uplink: %s: %s", datapath_get_uplink(p->dp, i)->name,
				strerror(-ret));
			return ret;
		}
		mc->uplinks[i] = link.ifindex;
		*ret_has_veth |= !strcmp(link.kind, "veth");
	}
	return 0;
}

bool plane_hands_up_by_tunnel(const struct config *config, bool has_veth)
{
	return config->hand_up == CONFIG_HAND_UP_TUNNEL || (config->hand_up == CONFIG_HAND_UP_AUTO &&
		has_veth);
}

static void set_flag(struct talon_config *mc, uint32_t flag, bool is_set)
{
	mc->flags &= ~flag;
	if (is_set)
		mc->flags |= flag;
}

/* Fills in what can change at run time: devices, their MACs and MTUs, the node's address. */
static int fill_host(struct plane *p, char *err, size_t errlen)
{
	struct talon_config *mc = &p->map_config;
	bool has_veth;
	int ret;

	fill_pairs(p, mc);
	ret = map_config_sync_ways(p, err, errlen);
	if (!ret)
		ret = fill_addrs(p, mc, err, errlen);
	if (!ret)
		ret = fill_uplinks(p, mc, &has_veth, err, errlen);
	if (ret)
		return ret;
	set_flag(mc, TALON_F_MANY_SOURCES, ways_has_other_source(&p->ways, mc->node_addr));
	set_flag(mc, TALON_F_PREEMPTIBLE, kernel_is_realtime());
	set_flag(mc, TALON_F_SNAT_OWN, p->config->snat_addr && p->config->snat_addr != mc->node_addr);
	set_flag(mc, TALON_F_HANDUP_TUNNEL, plane_hands_up_by_tunnel(p->config, has_veth));
	return 0;
}

/* Warns once when the condition begins, and clears it when it ends. */
static void look_at_mtu(struct plane *p)
{
	char err[200];
	bool is_small = map_config_check_mtu(p, err, sizeof(err)) != 0;

	p->links_warned = false;
	if (is_small == p->mtu_warned)
		return;
	p->mtu_warned = is_small;
	if (is_small)
		log_warn("%s", err);
	hazards_update(p);
}

void map_config_update(struct plane *p)
{
	const struct talon_config old = p->map_config;
	char err[200];

	if (fill_host(p, err, sizeof(err))) {
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
	if (endpoints_has_addr(&old.node_addr6) && endpoints_has_addr(&p->map_config.node_addr6) &&
		memcmp(&old.node_addr6, &p->map_config.node_addr6, sizeof(old.node_addr6)))
		log_warn("the node's IPv6 address changed; what networks see of peers changes with it");
	p->sees_change = true;
}

/* Fills in the whole map. */
int map_config_fill(struct plane *p, char *err, size_t errlen)
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
	mc->mesh_addr6 = old.mesh_addr6;
	mc->mesh_len6 = old.mesh_len6;
	p->ways.has_six = old.flags & TALON_F_INNER6;
	mc->acl_bank = old.acl_bank;
	mc->quiet_until_ns = old.quiet_until_ns;
	mc->port_first = config->port_first;
	mc->port_last = config->port_last;
	ret = fill_host(p, err, errlen);
	if (!ret)
		ret = map_config_check_mtu(p, err, errlen);
	if (ret)
		return ret;
	/* map_config_set_modes() decides these anew, plane_apply() those. */
	mc->flags |= old.flags & (TALON_F_XDP_TX | TALON_F_KEEP_TAIL);
	mc->flags |= old.flags & (TALON_F_PLAIN_ROUTES | TALON_F_PLAIN_ROUTES6 | TALON_F_INNER6 |
		TALON_F_ACL);
	mc->flags |= config->capture ? old.flags & TALON_F_CAPTURE : TALON_F_NO_CAPTURE;
	return 0;
}

int map_config_set_modes(struct plane *p, char *err, size_t errlen)
{
	bool tx_works = true, is_generic = false;
	int ret;

	for (unsigned i = 0; i < datapath_uplink_count(p->dp); i++) {
		tx_works &= datapath_get_uplink(p->dp, i)->tx_works;
		is_generic |= datapath_get_uplink(p->dp, i)->mode == DATAPATH_XDP_GENERIC;
	}
	set_flag(&p->map_config, TALON_F_XDP_TX, tx_works);
	set_flag(&p->map_config, TALON_F_KEEP_TAIL, is_generic);
	/*
	 * Where programs are is known now, and some drivers take redirected frames only when they have one.
	 */
	ret = map_config_sync_ways(p, err, errlen);
	if (ret)
		return ret;
	ret = map_write_config(p);
	if (ret)
		snprintf(err, errlen, "map config: %s", strerror(-ret));
	return ret;
}

void map_config_update_soon(struct plane *p)
{
	if (!loop_timer_is_set(&p->host_timer))
		loop_timer_after(p->loop, &p->host_timer, ways_pause_ns(&p->ways));
}

void map_config_tick(void *ctx)
{
	struct plane *p = ctx;

	if (!p->is_ready)
		return;
	map_config_update(p);
	plane_wake(p);
}

void map_config_poll(struct plane *p)
{
	if (ways_is_outdated(&p->ways))
		map_config_update(p);
}
