// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the device wants done: sessions and endpoints into the maps, messages to the socket, held packets
// on their way.
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "plane/internal.h"
#include "log/log.h"

static uint64_t unix_ns(void *ctx)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * TALON_NSEC_PER_SEC + now.tv_nsec;
}

static int send_message(void *ctx, uint32_t peer, const struct endpoint *to, const void *bytes, size_t len)
{
	if (relay_is_endpoint(to))
		return plane_queue_relay(ctx, TALON_RELAY_PEER_ID(ntohl(to->remote.word[0])), bytes, len);
	return socket_send(ctx, to, bytes, len);
}

/* Counters and window first, the index last: no packet can find the session half made. */
static int publish_session(void *ctx, uint32_t slot, const struct talon_session *session,
	enum talon_session_state state)
{
	const struct talon_send_counter counter = {};
	struct talon_session copy = *session;
	struct talon_replay window;
	int ret;

	memset(&window, 0, sizeof(window));
	window.state = state;
	copy.index = 0;
	ret = map_write(ctx, DATAPATH_MAP_SESSIONS, slot, &copy, BPF_ANY);
	if (!ret)
		ret = map_write(ctx, DATAPATH_MAP_REPLAY, slot, &window, BPF_ANY);
	if (!ret)
		ret = map_write(ctx, DATAPATH_MAP_SEND_COUNTERS, slot, &counter, BPF_ANY);
	if (!ret)
		ret = map_write(ctx, DATAPATH_MAP_SESSIONS, slot, session, BPF_ANY);
	sodium_memzero(&copy, sizeof(copy));
	return ret;
}

static int clear_session(void *ctx, uint32_t slot)
{
	struct talon_session session;
	int ret = map_read(ctx, DATAPATH_MAP_SESSIONS, slot, &session);

	if (!ret) {
		session.index = 0;
		ret = map_write(ctx, DATAPATH_MAP_SESSIONS, slot, &session, BPF_ANY);
	}
	sodium_memzero(&session, sizeof(session));
	return ret;
}

static int wipe_session(void *ctx, uint32_t slot)
{
	static const struct talon_session session;
	static const struct talon_send_counter counter;
	static const struct talon_replay window;
	int ret = map_write(ctx, DATAPATH_MAP_SESSIONS, slot, &session, BPF_ANY);

	if (!ret)
		ret = map_write(ctx, DATAPATH_MAP_REPLAY, slot, &window, BPF_ANY);
	if (!ret)
		ret = map_write(ctx, DATAPATH_MAP_SEND_COUNTERS, slot, &counter, BPF_ANY);
	return ret;
}

static int set_tx(void *ctx, uint32_t peer, uint32_t index)
{
	const struct talon_peer_tx tx = { .index = index };

	return map_write(ctx, DATAPATH_MAP_PEER_TX, peer, &tx, BPF_ANY);
}

int endpoint_read(const struct plane *p, uint32_t peer, struct talon_endpoint *ret_endpoint)
{
	int map = datapath_map_fd(p->dp, DATAPATH_MAP_ENDPOINTS);

	return bpf_map_lookup_elem_flags(map, &peer, ret_endpoint, BPF_F_LOCK) ? -errno : 0;
}

/* RFC 4291 section 2.5.6: the same address is on every link, and in_ifindex says which one is meant. */
static bool is_link_local(const struct talon_endpoint *e)
{
	return e->family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL((const struct in6_addr *)&e->remote);
}

void endpoint_from_map(const struct talon_endpoint *from, struct endpoint *ret_endpoint)
{
	*ret_endpoint = (struct endpoint){
		.family = from->family,
		.port = from->remote_port,
		.remote = from->remote,
		.local = from->local,
	};
	if (is_link_local(from))
		ret_endpoint->ifindex = from->in_ifindex;
}

static bool is_tunnel(const struct plane *p, int ifindex)
{
	const struct datapath_tunnel_info *tunnel = datapath_get_tunnel(p->dp);

	return ifindex == tunnel->ifindex || ifindex == tunnel->far_ifindex;
}

/* What fits, sealed, through a path of @mtu bytes; 0: it cannot be told. */
static uint16_t inner_mtu(uint8_t family, uint32_t mtu)
{
	uint32_t overhead = family == AF_INET6 ? TALON_OVERHEAD6 : TALON_OVERHEAD4;

	if (mtu > UINT16_MAX)
		mtu = UINT16_MAX;
	return mtu > overhead ? mtu - overhead : 0;
}

uint16_t endpoint_find_mtu(const struct talon_endpoint *e)
{
	struct net_route route;
	struct net_link link;

	if (net_route_lookup(e->family, &e->remote, &route) || net_link_get_index(route.ifindex, &link))
		return 0;
	return inner_mtu(e->family, route.mtu && route.mtu < link.mtu ? route.mtu : link.mtu);
}

/*
 * The way by the host's own routes, for where the datapath's FIB lookup has no answer: a host that does not
 * forward the outer family. A handshake message just came or went that way, so the neighbour is known.
 */
void endpoint_fill_way(const struct plane *p, struct talon_endpoint *e)
{
	static const struct talon_addr zero;
	struct net_route route;
	struct net_neigh neigh;
	struct net_link link;
	bool on_link;

	if (is_link_local(e))
		route = (struct net_route){ .ifindex = e->in_ifindex };
	else if (net_route_lookup(e->family, &e->remote, &route) || is_tunnel(p, route.ifindex))
		return;
	on_link = !memcmp(&route.gateway, &zero, sizeof(zero));
	if (net_neigh_get(route.ifindex, e->family, on_link ? &e->remote : &route.gateway, &neigh) ||
		!neigh.has_mac || net_link_get_index(route.ifindex, &link))
		return;
	e->in_ifindex = route.ifindex;
	e->mtu = inner_mtu(e->family, route.mtu && route.mtu < link.mtu ? route.mtu : link.mtu);
	memcpy(e->in_smac, neigh.mac, sizeof(e->in_smac));
	memcpy(e->in_dmac, link.mac, sizeof(e->in_dmac));
}

static int set_endpoint(void *ctx, uint32_t peer, const struct endpoint *endpoint)
{
	struct plane *p = ctx;
	struct talon_endpoint e;
	int ret = endpoint_read(p, peer, &e);

	if (ret)
		return ret;
	if (e.flags & TALON_ENDPOINT_PINNED)	/* only plane_set_way() moves it */
		return 0;
	/*
	 * Where nothing changes, what the datapath learned about the way stays; but not if a message
	 * came by another.
	 */
	if (e.in_ifindex && (!endpoint->ifindex || e.in_ifindex == (uint32_t)endpoint->ifindex) &&
	    e.local_port == p->map_config.listen_port && e.family == endpoint->family &&
	    e.remote_port == endpoint->port && !memcmp(&e.remote, &endpoint->remote, sizeof(e.remote)) &&
	    !memcmp(&e.local, &endpoint->local, sizeof(e.local)))
		return 0;
	memset(&e, 0, sizeof(e));
	e.family = endpoint->family;
	e.remote_port = endpoint->port;
	e.local_port = p->map_config.listen_port;
	e.remote = endpoint->remote;
	e.local = endpoint->local;
	if (is_link_local(&e))
		e.in_ifindex = endpoint->ifindex;
	endpoint_fill_way(p, &e);
	return map_write(p, DATAPATH_MAP_ENDPOINTS, peer, &e, BPF_F_LOCK);
}

static int send_keepalive(void *ctx, uint32_t peer)
{
	return inject_keepalive(ctx, peer);
}

static void established(void *ctx, uint32_t peer, bool must_send)
{
	const struct hold_key key = { .what = HOLD_FOR_SESSION, .peer = peer };
	struct plane *p = ctx;
	struct held *held;

	while ((held = hold_take(&p->hold, &key))) {
		if (!inject_tunnel(p, 0x0800, held->bytes, held->len))
			must_send = false;
		hold_release(held);
	}
	if (must_send)
		inject_keepalive(p, peer);
}

static void gave_up(void *ctx, uint32_t peer)
{
	const struct hold_key key = { .what = HOLD_FOR_SESSION, .peer = peer };
	struct plane *p = ctx;

	hold_drop(&p->hold, &key);
}

static void handshake_done(void *ctx, uint32_t peer, const struct device_peer_stats *stats)
{
	struct plane *p = ctx;
	struct talon_peer_info *info = &p->infos[peer];

	info->handshakes = stats->handshakes;
	info->handshake_ns = stats->handshake_ns;
	info->handshake_unix_s = stats->handshake_unix_s;
	info->handshake_rx_bytes = stats->rx_bytes;
	info->handshake_tx_bytes = stats->tx_bytes;
	map_write(p, DATAPATH_MAP_PEER_INFO, peer, info, BPF_ANY);
	log_debug("peer %u: handshake complete", peer);
	plane_note(p, peer, NOTICE_HANDSHAKE);
}

static void save_timestamp(void *ctx, uint32_t peer, const uint8_t timestamp[static WG_TIMESTAMP_LEN])
{
	struct plane *p = ctx;

	memcpy(p->infos[peer].timestamp, timestamp, WG_TIMESTAMP_LEN);
	map_write(p, DATAPATH_MAP_PEER_INFO, peer, &p->infos[peer], BPF_ANY);
}

static int read_facts(void *ctx, uint32_t peer, struct device_facts *ret_facts)
{
	struct plane *p = ctx;
	struct talon_send_counter counter = {};
	struct talon_peer_stats stats;
	struct talon_peer_tx tx;
	int ret = map_read_peer_stats(p, peer, &stats);

	if (!ret)
		ret = map_read(p, DATAPATH_MAP_PEER_TX, peer, &tx);
	if (!ret && tx.index)
		ret = map_read(p, DATAPATH_MAP_SEND_COUNTERS, tx.index & (p->slots - 1), &counter);
	if (ret)
		return ret;
	*ret_facts = (struct device_facts){
		.rx_ns = stats.rx_ns,
		.tx_ns = stats.tx_ns,
		.rx_data_ns = stats.rx_data_ns,
		.tx_data_ns = stats.tx_data_ns,
		.send_counter = counter.next,
	};
	return 0;
}

const struct device_ops plane_device_ops = {
	.unix_ns = unix_ns,
	.send = send_message,
	.publish_session = publish_session,
	.clear_session = clear_session,
	.wipe_session = wipe_session,
	.set_tx = set_tx,
	.set_endpoint = set_endpoint,
	.send_keepalive = send_keepalive,
	.established = established,
	.gave_up = gave_up,
	.handshake_done = handshake_done,
	.save_timestamp = save_timestamp,
	.read_facts = read_facts,
};
