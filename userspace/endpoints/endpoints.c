// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Map endpoints: the only file that writes it. The datapath writes it too, when a roaming peer sends
// from a new address, so every access takes the entry's lock.
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "endpoints/endpoints.h"
#include "net/net.h"
#include "packets/relay_pair.h"

static int map_of(const struct endpoints *ends)
{
	return datapath_map_fd(ends->dp, DATAPATH_MAP_ENDPOINTS);
}

int endpoints_read(const struct endpoints *ends, uint32_t peer, struct talon_endpoint *ret_endpoint)
{
	return bpf_map_lookup_elem_flags(map_of(ends), &peer, ret_endpoint, BPF_F_LOCK) ? -errno : 0;
}

/* A link-local address exists on every link (RFC 4291 section 2.5.6); in_ifindex says which one is meant. */
static bool is_link_local(const struct talon_endpoint *e)
{
	return e->family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL((const struct in6_addr *)&e->remote);
}

void endpoints_from_map(const struct talon_endpoint *from, struct endpoint *ret_endpoint)
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

static bool is_tunnel(const struct endpoints *ends, int ifindex)
{
	const struct datapath_tunnel_info *tunnel = datapath_get_tunnel(ends->dp);

	return ifindex == tunnel->ifindex || ifindex == tunnel->far_ifindex;
}

/* The largest inner packet that fits, sealed, through a path of @mtu bytes; 0 if unknown. */
static uint16_t inner_mtu(uint8_t family, uint32_t mtu)
{
	uint32_t overhead = family == AF_INET6 ? TALON_OVERHEAD6 : TALON_OVERHEAD4;

	if (mtu > UINT16_MAX)
		mtu = UINT16_MAX;
	return mtu > overhead ? mtu - overhead : 0;
}

static uint16_t find_mtu(const struct talon_endpoint *e)
{
	struct net_route route;
	struct net_link link;

	if (net_route_lookup(e->family, &e->remote, &route) || net_link_get_index(route.ifindex, &link))
		return 0;
	return inner_mtu(e->family, route.mtu && route.mtu < link.mtu ? route.mtu : link.mtu);
}

/*
 * Fills in the path by the host's own routes, for hosts where the datapath's FIB lookup has no answer
 * because the kernel does not forward the outer address family. A handshake message just went that way,
 * so the neighbour is known.
 */
static void fill_way(const struct endpoints *ends, struct talon_endpoint *e)
{
	static const struct talon_addr zero;
	struct net_route route;
	struct net_neigh neigh;
	struct net_link link;
	bool on_link;

	if (is_link_local(e))
		route = (struct net_route){ .ifindex = e->in_ifindex };
	else if (net_route_lookup(e->family, &e->remote, &route) || is_tunnel(ends, route.ifindex))
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

static int put(const struct endpoints *ends, uint32_t peer, const struct talon_endpoint *e)
{
	return bpf_map_update_elem(map_of(ends), &peer, e, BPF_F_LOCK) ? -errno : 0;
}

/* Our own side: the source address of what is sent. */

bool endpoints_has_addr(const struct talon_addr *addr)
{
	static const struct talon_addr zero;

	return memcmp(addr, &zero, sizeof(zero)) != 0;
}

bool endpoints_is_own(const struct endpoints *ends, const struct talon_addr *addr)
{
	uint8_t mark;

	return !bpf_map_lookup_elem(datapath_map_fd(ends->dp, DATAPATH_MAP_LOCAL_ADDRS), addr, &mark);
}

/* Asks the kernel: a connected UDP socket gets the source address that the route chooses. */
static void choose_by_route(struct endpoint *endpoint)
{
	struct sockaddr_storage addr, own;
	struct endpoint local;
	socklen_t len = sizeof(own);
	int fd, to_len = endpoint_to_sockaddr(endpoint, &addr);

	if (to_len < 0 || endpoint->local.word[0] || endpoint->local.word[3])
		return;
	fd = socket(endpoint->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (!connect(fd, (struct sockaddr *)&addr, to_len) && !getsockname(fd, (struct sockaddr *)&own,
		&len) && !endpoint_from_sockaddr((struct sockaddr *)&own, len, &local))
		endpoint->local = local.remote;
	close(fd);
}

void endpoints_choose_local(const struct endpoints *ends, struct endpoint *endpoint)
{
	if (endpoints_has_addr(&endpoint->local) && !endpoints_is_own(ends, &endpoint->local))
		memset(&endpoint->local, 0, sizeof(endpoint->local));
	choose_by_route(endpoint);
}

/* An entry without layer-2 addresses yet. The local port is the current one. */
static void to_map(const struct endpoints *ends, const struct endpoint *from, uint8_t flags,
	struct talon_endpoint *ret_e)
{
	memset(ret_e, 0, sizeof(*ret_e));	/* padding included: it is compared byte by byte */
	ret_e->family = from->family;
	ret_e->flags = flags;
	ret_e->remote_port = from->port;
	ret_e->local_port = ends->config->listen_port;
	ret_e->remote = from->remote;
	ret_e->local = from->local;
}

static bool is_same(const struct endpoints *ends, const struct talon_endpoint *e,
	const struct endpoint *endpoint)
{
	return e->local_port == ends->config->listen_port && e->family == endpoint->family &&
		e->remote_port == endpoint->port && !memcmp(&e->remote, &endpoint->remote,
		sizeof(e->remote)) && !memcmp(&e->local, &endpoint->local, sizeof(e->local));
}

/* Peers that roam. */

int endpoints_follow(const struct endpoints *ends, uint32_t peer, const struct endpoint *endpoint)
{
	struct talon_endpoint e;
	int ret = endpoints_read(ends, peer, &e);

	if (ret)
		return ret;
	if (e.flags & TALON_ENDPOINT_PINNED)	/* only plane_set_way() moves it */
		return 0;
	/*
	 * Where nothing changes, what the datapath learned about the way stays; but not if a message
	 * came by another.
	 */
	if (e.in_ifindex && (!endpoint->ifindex || e.in_ifindex == (uint32_t)endpoint->ifindex) &&
		is_same(ends, &e, endpoint))
		return 0;
	to_map(ends, endpoint, 0, &e);
	if (is_link_local(&e))
		e.in_ifindex = endpoint->ifindex;
	fill_way(ends, &e);
	return put(ends, peer, &e);
}

/* Peers whose way somebody else chooses. */

int endpoints_pin_nowhere(const struct endpoints *ends, uint32_t peer)
{
	static const struct talon_endpoint nowhere = { .flags = TALON_ENDPOINT_PINNED };

	return put(ends, peer, &nowhere);
}

static bool is_pinned_to(const struct endpoints *ends, const struct talon_endpoint *e,
	const struct endpoint *to)
{
	return e->flags & TALON_ENDPOINT_PINNED && !(e->flags & TALON_ENDPOINT_RELAY) && is_same(ends, e, to);
}

int endpoints_pin_direct(const struct endpoints *ends, uint32_t peer, const struct endpoint *to)
{
	struct talon_endpoint e;

	/* Where nothing changes, what the datapath learned about the way stays. */
	if (!endpoints_read(ends, peer, &e) && is_pinned_to(ends, &e, to))
		return 0;
	to_map(ends, to, TALON_ENDPOINT_PINNED, &e);
	fill_way(ends, &e);
	return put(ends, peer, &e);
}

int endpoints_pin_relay(const struct endpoints *ends, uint32_t peer)
{
	const struct datapath_tunnel_info *link = datapath_get_relay(ends->dp);
	struct talon_endpoint e;
	struct endpoint to;

	pair_endpoint(peer, &to);
	to_map(ends, &to, TALON_ENDPOINT_PINNED | TALON_ENDPOINT_RELAY | TALON_ENDPOINT_L2, &e);
	e.generation = ends->config->generation;
	e.mtu = link->mtu - TALON_OVERHEAD4;
	e.ifindex = link->ifindex;
	memcpy(e.dmac, link->far_mac, sizeof(e.dmac));
	memcpy(e.smac, link->mac, sizeof(e.smac));
	return put(ends, peer, &e);
}

int endpoints_clear(const struct endpoints *ends, uint32_t peer)
{
	static const struct talon_endpoint none;

	return put(ends, peer, &none);
}

int endpoints_unpin(const struct endpoints *ends, uint32_t peer, struct talon_endpoint *e)
{
	if (!(e->flags & TALON_ENDPOINT_PINNED))
		return 0;
	if (e->flags & TALON_ENDPOINT_RELAY)
		memset(e, 0, sizeof(*e));
	e->flags = 0;
	return put(ends, peer, e);
}

int endpoints_follow_any(const struct endpoints *ends, uint32_t peer, const struct endpoint *endpoint)
{
	struct talon_endpoint e;
	int ret = endpoints_read(ends, peer, &e);

	if (!ret)
		ret = endpoints_unpin(ends, peer, &e);
	return ret ? ret : endpoints_follow(ends, peer, endpoint);
}

/* What changes around an endpoint that stays. */

int endpoints_set_local(const struct endpoints *ends, uint32_t peer, struct talon_endpoint *e,
	const struct talon_addr *local)
{
	e->local = *local;
	e->flags &= ~TALON_ENDPOINT_L2;
	fill_way(ends, e);
	return put(ends, peer, e);
}

int endpoints_leave_device(const struct endpoints *ends, uint32_t peer, struct talon_endpoint *e)
{
	const struct talon_addr local = e->local;

	e->in_ifindex = 0;
	return endpoints_set_local(ends, peer, e, &local);
}

int endpoints_look_again(const struct endpoints *ends, uint32_t peer, struct talon_endpoint *e)
{
	e->flags &= ~TALON_ENDPOINT_L2;
	e->mtu = find_mtu(e);
	return put(ends, peer, e);
}
