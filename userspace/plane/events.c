// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Events from the datapath and from the host's network.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sys/epoll.h>

#include <linux/if_ether.h>
#include <linux/rtnetlink.h>
#include <sodium.h>

#include "packets/fragment.h"
#include "plane/internal.h"
#include "packets/unreachable.h"
#include "log/log.h"

/* the kernel gives up after three probes, one second apart */
#define HOLD_NEIGH_NS		(4 * TALON_NSEC_PER_SEC)
#define HOLD_FRAGMENT_NS	(5 * TALON_NSEC_PER_SEC)
#define HOLD_SESSION_NS		(WG_REKEY_ATTEMPT_TIME_S * TALON_NSEC_PER_SEC)

static void need_handshake(struct plane *p, const struct talon_event *event, const uint8_t *packet)
{
	const struct hold_key key = { .what = HOLD_FOR_SESSION, .peer = event->peer };
	uint64_t now = clock_boot_ns();

	hold_add(&p->hold, &key, packet, event->len, now + HOLD_SESSION_NS);
	if (plane_is_pinned(p) && event->peer < p->peers_max &&
		p->slots_of[event->peer].way == PLANE_NOWHERE) {
		plane_note(p, event->peer, NOTICE_WANTED);	/* sent on once the peer has a way */
		if (!p->slots_of[event->peer].roams || !plane_is_placed(p, event->peer))
			return;
	}
	if (device_want_handshake(p->device, now, event->peer) < 0)
		hold_drop(&p->hold, &key);
}

void event_reconcile_endpoint(struct plane *p, uint32_t peer)
{
	struct talon_endpoint at;
	struct endpoint endpoint;

	if (endpoints_read(&p->endpoints, peer, &at) || !at.family || at.flags & TALON_ENDPOINT_PINNED)
		return;
	endpoints_from_map(&at, &endpoint);
	device_set_peer_endpoint(p->device, peer, &endpoint);
}

/*
 * Host unreachable, for packets whose next hop did not answer. The tunnel's program undoes the NAT in
 * the embedded packet, as it does in a router's errors.
 */

/* @mtu: 0, or what an IPv6 packet is too big for: routers do not cut those. */
static void tell_unreachable6(struct plane *p, const uint8_t *packet, size_t len, uint32_t mtu)
{
	const struct talon_config *mc = &p->map_config;
	uint8_t error[UNREACHABLE6_MAX];
	size_t error_len = unreachable_build6(packet, len, mtu, endpoints_has_addr(&mc->mesh_addr6)
		? &mc->mesh_addr6 : &mc->node_addr6, error);

	if (!error_len)
		return;
	inject_packet(&p->inject, error, error_len);
	sodium_memzero(error, sizeof(error));
}

static bool is_ipv6(const uint8_t *packet, size_t len)
{
	return len && packet[0] >> 4 == 6;
}

static void tell_unreachable(struct plane *p, const uint8_t *packet, size_t len)
{
	__be32 src = p->map_config.mesh_addr ? p->map_config.mesh_addr : p->map_config.node_addr;
	uint8_t error[UNREACHABLE_LEN];
	size_t error_len;

	if (is_ipv6(packet, len)) {
		tell_unreachable6(p, packet, len, 0);
		return;
	}
	error_len = unreachable_build(packet, len, src, error);
	if (!error_len)
		return;
	inject_packet(&p->inject, error, error_len);
	sodium_memzero(error, sizeof(error));
}

void event_hold_expired(const struct held *held, void *ctx)
{
	if (held->key.what == HOLD_FOR_NEIGH)
		tell_unreachable(ctx, held->bytes, held->len);
}

static void neigh_failed(struct plane *p, const struct net_neigh *neigh)
{
	const struct hold_key key = { .what = HOLD_FOR_NEIGH, .ifindex = neigh->ifindex,
		.addr = neigh->addr };
	struct held *held;

	while ((held = hold_take(&p->hold, &key))) {
		tell_unreachable(p, held->bytes, held->len);
		hold_release(held);
		p->hold.dropped++;
	}
}

/* Neighbours. */

static struct seen_neigh *find_neigh(struct plane *p, int ifindex, uint8_t family,
	const struct talon_addr *addr)
{
	for (unsigned i = 0; i < p->neigh_count; i++) {
		struct seen_neigh *n = &p->neighs[i];

		if (n->ifindex == ifindex && n->family == family && !memcmp(&n->addr, addr, sizeof(*addr)))
			return n;
	}
	return NULL;
}

struct piece_target {
	struct plane *p;
	int ifindex;			/* 0: the tunnel */
	uint8_t mac[6];
};

static void send_piece(const uint8_t *packet, size_t len, void *user)
{
	struct piece_target *to = user;

	if (to->ifindex)
		inject_wire(&to->p->inject, to->ifindex, to->mac, packet, len);
	else
		inject_packet(&to->p->inject, packet, len);
}

static void send_whole(struct piece_target *to, const struct held *held, uint32_t mtu)
{
	if (!is_ipv6(held->bytes, held->len))
		fragment_ipv4(held->bytes, held->len, mtu, send_piece, to);
	else if (held->len <= mtu)
		send_piece(held->bytes, held->len, to);
	else
		tell_unreachable6(to->p, held->bytes, held->len, mtu);
}

/* The datapath does not check the next link's MTU before the neighbour is known. */
static void release_for_neigh(struct plane *p, const struct net_neigh *neigh)
{
	const struct hold_key key = { .what = HOLD_FOR_NEIGH, .ifindex = neigh->ifindex,
		.addr = neigh->addr };
	struct piece_target to = { .p = p, .ifindex = neigh->ifindex };
	struct held *held = hold_take(&p->hold, &key);
	struct net_link link;

	if (!held)
		return;
	memcpy(to.mac, neigh->mac, sizeof(to.mac));
	if (net_link_get_index(neigh->ifindex, &link))
		link.mtu = TALON_EVENT_DATA_MAX;
	for (; held; held = hold_take(&p->hold, &key)) {
		send_whole(&to, held, link.mtu);
		hold_release(held);
	}
}

static void need_neigh(struct plane *p, const struct talon_event *event, const uint8_t *packet)
{
	uint8_t family = event->id ? AF_INET6 : AF_INET;
	const struct hold_key key = { .what = HOLD_FOR_NEIGH, .ifindex = event->ifindex,
		.addr = event->addr };
	struct net_neigh neigh;

	if (event->len)
		hold_add(&p->hold, &key, packet, event->len, clock_boot_ns() + HOLD_NEIGH_NS);
	net_neigh_probe(event->ifindex, family, &event->addr);
	/* The neighbour may have been resolved while the event was in flight. */
	if (!net_neigh_get(event->ifindex, family, &event->addr, &neigh) && neigh.has_mac &&
	    (neigh.state & (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT)))
		release_for_neigh(p, &neigh);
}

/* A later fragment goes to the same client as the first one. */
static void send_fragment(struct plane *p, const struct talon_addr *client, const uint8_t *packet, size_t len)
{
	uint8_t copy[TALON_EVENT_DATA_MAX];
	int ret;

	if (len > sizeof(copy))
		return;
	memcpy(copy, packet, len);
	ret = is_ipv6(copy, len) ? fragment_redirect6(copy, len, client) : fragment_redirect(copy, len,
		client->word[0]);
	if (!ret)
		inject_packet(&p->inject, copy, len);
	sodium_memzero(copy, len);
}

static bool find_client6(struct plane *p, const struct talon_event *event, struct talon_addr *ret_client)
{
	const struct talon_frag6_key key = { .src = event->addr, .dst = event->addr2, .id = event->id };
	struct talon_frag6 frag;

	if (bpf_map_lookup_elem(datapath_map_fd(p->dp, DATAPATH_MAP_FRAGS6), &key, &frag) ||
		frag.state != TALON_FRAG6_CLIENT)
		return false;
	*ret_client = frag.client;
	return true;
}

static bool find_client(struct plane *p, const struct talon_event *event, struct talon_addr *ret_client)
{
	const struct talon_frag_key key = {
		.src = event->addr.word[0],
		.dst = event->addr2.word[0],
		.id = event->id & 0xffff,
		.proto = event->id >> 16,
	};
	struct talon_frag frag;

	if (event->six)
		return find_client6(p, event, ret_client);
	if (bpf_map_lookup_elem(datapath_map_fd(p->dp, DATAPATH_MAP_FRAGS), &key, &frag) || !frag.client)
		return false;
	*ret_client = (struct talon_addr){ .word[0] = frag.client };
	return true;
}

static void fragment(struct plane *p, const struct talon_event *event, const uint8_t *packet)
{
	const struct hold_key key = {
		.what = HOLD_FOR_FRAGMENT, .addr = event->addr, .addr2 = event->addr2, .id = event->id,
	};
	struct held *held;
	struct talon_addr client;

	if (!find_client(p, event, &client)) {
		if (event->type == TALON_EVENT_FRAGMENT)
			hold_add(&p->hold, &key, packet, event->len, clock_boot_ns() + HOLD_FRAGMENT_NS);
		return;
	}
	while ((held = hold_take(&p->hold, &key))) {
		send_fragment(p, &client, held->bytes, held->len);
		hold_release(held);
	}
	if (event->type == TALON_EVENT_FRAGMENT)
		send_fragment(p, &client, packet, event->len);
}

static void too_big(struct plane *p, const struct talon_event *event, const uint8_t *packet)
{
	struct piece_target to = { .p = p, .ifindex = event->ifindex };
	struct net_neigh neigh;

	if (to.ifindex) {
		if (net_neigh_get(event->ifindex, AF_INET, &event->addr, &neigh) || !neigh.has_mac)
			return;
		memcpy(to.mac, neigh.mac, sizeof(to.mac));
	}
	fragment_ipv4(packet, event->len, event->id, send_piece, &to);
}

static void handle_event(struct plane *p, const struct talon_event *event, const uint8_t *packet)
{
	switch (event->type) {
	case TALON_EVENT_HANDSHAKE:
		need_handshake(p, event, packet);
		break;
	case TALON_EVENT_PROMOTED:
		device_session_promoted(p->device, clock_boot_ns(), event->index);
		break;
	case TALON_EVENT_ROAMED:
		event_reconcile_endpoint(p, event->peer);
		break;
	case TALON_EVENT_NEIGH:
		need_neigh(p, event, packet);
		break;
	case TALON_EVENT_NAT_FULL:
		if (clock_boot_ns() - p->full_warned_ns > 10 * TALON_NSEC_PER_SEC) {
			p->full_warned_ns = clock_boot_ns();
			log_warn("new flows are refused: SNAT ports, flow records or a peer's share of them "
				"ran out (SNATPorts, MaxFlows)");
		}
		break;
	case TALON_EVENT_FRAGMENT:
	case TALON_EVENT_FRAG_FIRST:
		fragment(p, event, packet);
		break;
	case TALON_EVENT_TOO_BIG:
		too_big(p, event, packet);
		break;
	}
}

/* A negative return ends libbpf's loop after this event; the rest is read in the next turn. */
int event_handle(void *ctx, void *data, size_t len)
{
	const struct talon_event *event = data;
	struct plane *p = ctx;

	if (len >= sizeof(*event) && len - sizeof(*event) >= event->len &&
	    (event->peer == TALON_PEER_NONE || event->peer < p->peers_max))
		handle_event(p, event, (const uint8_t *)(event + 1));
	return p->events_left && --p->events_left ? 0 : -EAGAIN;
}

/* A MAC address that changed makes the datapath look its next hops up again. */
static void neigh_changed(struct plane *p, const struct net_event *event)
{
	const struct net_neigh *neigh = &event->neigh;
	struct seen_neigh *seen = find_neigh(p, neigh->ifindex, neigh->family, &neigh->addr);

	if (event->removed || (neigh->state & NUD_FAILED)) {
		neigh_failed(p, neigh);
		if (seen) {
			*seen = p->neighs[--p->neigh_count];
			p->sees_change = true;
		}
		return;
	}
	if (!neigh->has_mac)
		return;
	release_for_neigh(p, neigh);
	if (!seen) {
		if (p->neigh_count == SEEN_NEIGHS_MAX)
			return;
		/* in use before we heard of it, possibly with another MAC */
		p->sees_change |= next_hops_has(&p->next_hops, neigh);
		seen = &p->neighs[p->neigh_count++];
		*seen = (struct seen_neigh){ .ifindex = neigh->ifindex, .family = neigh->family,
			.addr = neigh->addr };
	} else if (memcmp(seen->mac, neigh->mac, sizeof(seen->mac))) {
		p->sees_change = true;
	}
	memcpy(seen->mac, neigh->mac, sizeof(seen->mac));
}

void event_resync(struct plane *p)
{
	p->neigh_count = 0;
	p->links_changed = true;
	p->found.pods_are_known = false;
	p->tunnel_changed = true;
	p->sees_change = true;
	map_config_update_soon(p);
	follow_soon(p);
	plane_note_network(p);
}

static void network_event(const struct net_event *event, void *user)
{
	struct plane *p = user;

	switch (event->type) {
	case NET_EVENT_NEIGH:
		if (!datapath_owns_device(p->dp, event->neigh.ifindex))
			neigh_changed(p, event);
		break;
	case NET_EVENT_RULE:
		p->sees_change = true;
		map_config_update_soon(p);
		break;
	case NET_EVENT_ROUTE:
		p->sees_change = true;
		p->found.pods_are_known = false;
		if (event->route.family == AF_INET || p->ways.has_six)
			map_config_update_soon(p);
		if (!event->route.prefixlen && event->route.family == AF_INET)
			p->links_changed = true;	/* the uplinks may be others now */
		if (!event->route.prefixlen && event->route.ifindex != datapath_get_tunnel(p->dp)->ifindex)
			/* a default route: servers may be reachable again, or by another path */
			plane_note_network(p);
		if (event->removed)
			/* it may have been ours, or one that kept ours from being installed */
			tunnel_routes_check_soon(&p->tunnel_routes);
		break;
	case NET_EVENT_LINK:
		p->links_changed = true;
		map_config_update_soon(p);
		p->tunnel_changed |= datapath_owns_device(p->dp, event->link.ifindex);
		if (!datapath_owns_device(p->dp, event->link.ifindex))
			plane_note_network(p);
		break;
	case NET_EVENT_ADDR:
		p->links_changed = true;
		map_config_update_soon(p);
		p->sees_change = true;
		follow_soon(p);
		if (datapath_owns_device(p->dp, event->addr.ifindex))
			/* the kernel removes routes along with their source address, silently */
			tunnel_routes_check_soon(&p->tunnel_routes);
		else
			plane_note_network(p);
		break;
	case NET_EVENT_RESYNC:
		event_resync(p);
		break;
	}
}

static void event_network(void *ctx, uint32_t events)
{
	struct plane *p = ctx;
	int ret = net_monitor_read(p->monitor, network_event, p);

	plane_wake(p);
	if (ret >= 0)
		return;
	log_warn("cannot hear of network changes: %s", strerror(-ret));
	loop_fd_remove(p->loop, &p->monitor_watch);	/* it would wake the loop in every turn */
	p->monitor_failed = true;
}

int event_open_monitor(struct plane *p)
{
	p->monitor = net_monitor_open();
	if (p->monitor < 0)
		return p->monitor;
	return loop_fd_add(p->loop, &p->monitor_watch, p->monitor, EPOLLIN, event_network, p);
}
