// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The plane's interface for its caller: ways, facts, relayed packets, notifications.
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "plane/internal.h"

#define RELAY_OUT_MAX 256

struct loop *plane_loop(struct plane *p)
{
	return p->loop;
}

uint16_t plane_listen_port(const struct plane *p)
{
	return p->config->listen_port;
}

void plane_set_events(struct plane *p, const struct plane_events *events, void *ctx)
{
	p->plane_events = *events;
	p->plane_ctx = ctx;
	p->pair.events = (struct pair_events){ .sent = events->relay_send, .drained = events->relay_flush };
	p->pair.ctx = ctx;
}

static bool has_peer(const struct plane *p, uint32_t peer)
{
	return p->device && peer < p->peers_max && p->infos[peer].present;
}

uint32_t plane_find_peer(const struct plane *p, const uint8_t public_key[static KEY_LEN])
{
	return p->device ? device_find_peer(p->device, public_key) : PLANE_NO_PEER;
}

/* Notifications. */

void plane_note(struct plane *p, uint32_t peer, enum notice notice)
{
	if (peer >= p->peers_max)
		return;
	if (!p->slots_of[peer].notices)
		p->notices.peers[p->notices.count++] = peer;
	p->slots_of[peer].notices |= notice;
	loop_timer_after(p->loop, &p->notices.timer, 0);
}

void plane_note_network(struct plane *p)
{
	p->notices.network = true;
	loop_timer_after(p->loop, &p->notices.timer, 0);
}

int plane_queue_relay(struct plane *p, uint32_t peer, const void *bytes, size_t len)
{
	struct notices *n = &p->notices;

	if (!p->plane_events.relay_send)
		return -EDESTADDRREQ;
	if (!n->out)
		n->out = calloc(RELAY_OUT_MAX, sizeof(*n->out));
	if (!n->out || n->out_count == RELAY_OUT_MAX || len > sizeof(n->out->bytes))
		return -ENOBUFS;
	n->out[n->out_count].peer = peer;
	n->out[n->out_count].len = len;
	memcpy(n->out[n->out_count++].bytes, bytes, len);
	loop_timer_after(p->loop, &n->timer, 0);
	return 0;
}

static void tell_relay(struct plane *p)
{
	struct notices *n = &p->notices;

	if (!n->out_count)
		return;
	for (size_t i = 0; i < n->out_count; i++)
		p->plane_events.relay_send(p->plane_ctx, n->out[i].peer, n->out[i].bytes, n->out[i].len);
	n->out_count = 0;
	if (p->plane_events.relay_flush)
		p->plane_events.relay_flush(p->plane_ctx);
}

static void tell_peer(struct plane *p, uint32_t peer, unsigned notices)
{
	if (!has_peer(p, peer))
		return;
	if ((notices & NOTICE_HANDSHAKE) && p->plane_events.handshake)
		p->plane_events.handshake(p->plane_ctx, peer);
	if ((notices & NOTICE_WANTED) && p->plane_events.wanted)
		p->plane_events.wanted(p->plane_ctx, peer);
}

/* Receivers may cause more notifications, which wait for the next turn. */
void plane_tell(void *ctx)
{
	struct plane *p = ctx;
	struct notices *n = &p->notices;
	bool network = n->network;

	tell_relay(p);
	for (size_t left = n->count; left; left--) {
		uint32_t peer = n->peers[0];
		unsigned notices = p->slots_of[peer].notices;

		memmove(n->peers, n->peers + 1, --n->count * sizeof(*n->peers));
		p->slots_of[peer].notices = 0;
		tell_peer(p, peer, notices);
	}
	n->network = false;
	if (network && p->plane_events.network)
		p->plane_events.network(p->plane_ctx);
}

/* Ways. */

bool plane_is_left_out(const struct plane *p, const struct cidr *net)
{
	return tunnel_routes_is_refused(&p->tunnel_routes, net);
}

static int write_way(struct plane *p, uint32_t peer, enum plane_way way, const struct endpoint *path,
	struct endpoint *ret_to)
{
	int ret = 0;

	switch (way) {
	case PLANE_DIRECT:
		if (!path || !endpoint_is_known(path))
			return -EINVAL;
		*ret_to = *path;
		endpoints_choose_local(&p->endpoints, ret_to);
		return endpoints_pin_direct(&p->endpoints, peer, ret_to);
	case PLANE_RELAY:
		ret = pair_open(&p->pair);
		pair_endpoint(peer, ret_to);
		return ret ? ret : endpoints_pin_relay(&p->endpoints, peer);
	case PLANE_NOWHERE:
		*ret_to = (struct endpoint){};
		return endpoints_pin_nowhere(&p->endpoints, peer);
	}
	return -EINVAL;
}

static void count_way(struct plane *p, enum plane_way old, enum plane_way way)
{
	static const enum talon_fact facts[] = {
		[PLANE_NOWHERE] = TALON_FACT_PATH_LOST,
		[PLANE_DIRECT] = TALON_FACT_PATH_TO_DIRECT,
		[PLANE_RELAY] = TALON_FACT_PATH_TO_RELAY,
	};

	if (old != way)
		facts_add(&p->facts, facts[way], 1);
}

int plane_set_way(struct plane *p, uint32_t peer, enum plane_way way, const struct endpoint *path)
{
	const struct hold_key key = { .what = HOLD_FOR_SESSION, .peer = peer };
	uint64_t now = clock_boot_ns();
	struct endpoint to;
	int ret;

	if (!p->device)
		return -EAGAIN;
	if (!has_peer(p, peer))
		return -ENOENT;
	if (p->is_ending)
		return -ESHUTDOWN;	/* the datapath continues without us, and the ways stay */
	ret = write_way(p, peer, way, path, &to);
	if (ret)
		return ret;
	count_way(p, p->slots_of[peer].way, way);
	p->slots_of[peer].way = way;
	p->slots_of[peer].roams = false;
	device_set_peer_path(p->device, now, peer, &to);
	if (way != PLANE_NOWHERE && hold_has(&p->hold, &key))
		device_want_handshake(p->device, now, peer);
	plane_wake(p);
	return 0;
}

int plane_let_roam(struct plane *p, uint32_t peer)
{
	if (!p->device)
		return -EAGAIN;
	if (!has_peer(p, peer))
		return -ENOENT;
	if (p->is_ending)
		return -ESHUTDOWN;
	if (p->slots_of[peer].way != PLANE_NOWHERE)
		return -EBUSY;
	/* the map's entry follows with the first handshake: few of thousands of peers ever send one */
	p->slots_of[peer].roams = true;
	return device_let_peer_roam(p->device, peer);
}

void plane_repair_ways(struct plane *p)
{
	for (uint32_t i = 0; i < p->peers_max; i++) {
		if (p->infos[i].present && p->slots_of[i].way == PLANE_RELAY && !pair_open(&p->pair))
			endpoints_pin_relay(&p->endpoints, i);
	}
}

void plane_kick(struct plane *p, uint32_t peer)
{
	struct device_peer_sessions s;

	if (!has_peer(p, peer) || p->slots_of[peer].way == PLANE_NOWHERE ||
		device_get_peer_sessions(p->device, peer, &s))
		return;
	if (s.current)
		inject_keepalive(&p->inject, peer);
	else
		device_want_handshake(p->device, clock_boot_ns(), peer);
	plane_wake(p);
}

void plane_rekey(struct plane *p, uint32_t peer)
{
	if (!has_peer(p, peer) || p->slots_of[peer].way == PLANE_NOWHERE)
		return;
	device_start_handshake(p->device, clock_boot_ns(), peer);
	plane_wake(p);
}

void plane_reset_peer(struct plane *p, uint32_t peer)
{
	if (!has_peer(p, peer))
		return;
	device_reset_peer(p->device, clock_boot_ns(), peer);
	plane_wake(p);
}

void plane_set_latency(struct plane *p, uint32_t peer, uint16_t latency_100us)
{
	if (!has_peer(p, peer) || p->infos[peer].latency_100us == latency_100us)
		return;
	p->infos[peer].latency_100us = latency_100us;
	map_write(p, DATAPATH_MAP_PEER_INFO, peer, &p->infos[peer], BPF_ANY);
}

int plane_get_facts(const struct plane *p, uint32_t peer, struct plane_facts *ret_facts)
{
	struct device_peer_sessions sessions;
	struct device_peer_stats handshakes;
	struct talon_peer_stats s;
	int ret;

	if (!p->device)
		return -EAGAIN;
	if (!has_peer(p, peer) || device_get_peer_sessions(p->device, peer, &sessions) ||
		device_get_peer_stats(p->device, peer, &handshakes))
		return -ENOENT;
	ret = map_read_peer_stats(p, peer, &s);
	if (ret)
		return ret;
	*ret_facts = (struct plane_facts){
		.rx_direct_ns = s.rx_direct_ns,
		.rx_relay_ns = s.rx_relay_ns,
		.tx_ns = s.tx_ns,
		.tx_data_ns = s.tx_data_ns,
		.rx_data_ns = s.rx_data_ns,
		.handshake_ns = handshakes.handshake_ns,
		.handshake_unix_s = handshakes.handshake_unix_s,
		.rx_bytes = s.rx_bytes + handshakes.rx_bytes,
		.tx_bytes = s.tx_bytes + handshakes.tx_bytes,
		.has_session = sessions.current != 0,
	};
	return 0;
}

/* Packets. */

int plane_send(struct plane *p, const struct endpoint *to, const void *bytes, size_t len)
{
	return socket_send(p, to, bytes, len);
}

static bool is_handshake(const uint8_t *bytes, size_t len)
{
	return (bytes[0] == WG_INITIATION && len == WG_INITIATION_LEN) ||
		(bytes[0] == WG_RESPONSE && len == WG_RESPONSE_LEN) ||
		(bytes[0] == WG_COOKIE && len == WG_COOKIE_LEN);
}

void plane_relay_receive(struct plane *p, uint32_t peer, const uint8_t *bytes, size_t len)
{
	struct endpoint from;

	if ((p->device ? !has_peer(p, peer) : !p->pair.ring) || !len)
		return;
	if (bytes[0] == WG_DATA && len >= WG_DATA_MIN_LEN) {
		pair_inject(&p->pair, peer, bytes, len);
	} else if (is_handshake(bytes, len)) {
		pair_endpoint(peer, &from);
		socket_handshake(p, &from, bytes, len);
	}	/* anything else, such as an ICE check, makes no sense over a relay */
}

int plane_carry_early(struct plane *p)
{
	int ret = p->dp ? -EALREADY : datapath_find_relay(p->config->tunnel, &p->pair.found);

	if (ret)
		return ret;
	p->pair.port = htons(p->config->listen_port);
	p->pair.peers_max = UINT32_MAX;		/* whoever is told knows which there are */
	return pair_open(&p->pair);
}

void plane_keep_quiet(struct plane *p, uint64_t until_ns)
{
	p->map_config.quiet_until_ns = until_ns;
	map_write_config(p);
}

/* Addresses. */

struct locals {
	int ifindexes[TALON_UPLINKS_MAX];
	unsigned uplinks;
	uint16_t port;
	struct endpoint *list;
	size_t room, count;
};

static void take_local(const struct net_addr *addr, void *user)
{
	struct locals *l = user;
	bool is_uplink = false;

	for (unsigned i = 0; i < l->uplinks; i++)
		is_uplink |= l->ifindexes[i] == addr->ifindex;
	if (!is_uplink || addr->scope != RT_SCOPE_UNIVERSE ||
		addr->flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_DEPRECATED | IFA_F_TEMPORARY))
		return;
	if (l->count < l->room)
		l->list[l->count] = (struct endpoint){ .family = addr->family, .port = htons(l->port),
			.ifindex = addr->ifindex, .remote = addr->addr };
	l->count++;
}

size_t plane_local_endpoints(const struct plane *p, struct endpoint *list, size_t room)
{
	const struct datapath_options *o = &p->options;
	struct locals l = { .port = p->config->listen_port, .list = list, .room = room };
	struct net_link link;

	for (unsigned i = 0; i < o->uplink_count; i++) {
		if (!net_link_get(o->uplinks[i], &link))
			l.ifindexes[l.uplinks++] = link.ifindex;
	}
	if (net_addr_list(take_local, &l))
		return 0;
	return l.count < room ? l.count : room;
}

/* Peers that roam. */

bool plane_is_placed(const struct plane *p, uint32_t peer)
{
	struct endpoint at;

	return !device_get_peer_endpoint(p->device, peer, &at) && endpoint_is_known(&at);
}

void plane_place(struct plane *p, uint32_t peer, const struct endpoint *said, bool is_moved)
{
	struct talon_endpoint at;
	struct endpoint to = *said;

	if (!has_peer(p, peer) || endpoints_read(&p->endpoints, peer, &at))
		return;
	endpoints_unpin(&p->endpoints, peer, &at);
	if (at.family && !(is_moved && said->family))
		endpoints_from_map(&at, &to);
	if (to.family)
		endpoints_choose_local(&p->endpoints, &to);
	device_set_peer_endpoint(p->device, peer, &to);
	if (to.family)
		endpoints_follow(&p->endpoints, peer, &to);
}
