// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the datapath and the host's network tell us.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/if_ether.h>
#include <linux/rtnetlink.h>
#include <sodium.h>

#include "controller/fragment.h"
#include "controller/internal.h"
#include "log/log.h"

#define HOLD_NEIGH_NS		(4 * TALON_NSEC_PER_SEC)	/* the kernel gives up after three questions, a second apart */
#define HOLD_FRAGMENT_NS	(5 * TALON_NSEC_PER_SEC)
#define HOLD_SESSION_NS		(WG_REKEY_ATTEMPT_TIME_S * TALON_NSEC_PER_SEC)

static void need_handshake(struct controller *c, const struct talon_event *event, const uint8_t *packet)
{
	const struct hold_key key = { .what = HOLD_FOR_SESSION, .peer = event->peer };
	uint64_t now = clock_boot_ns();

	hold_add(&c->hold, &key, packet, event->len, now + HOLD_SESSION_NS);
	if (plane_is_pinned(c) && event->peer < c->peers_max && c->slots_of[event->peer].way == PLANE_NOWHERE) {
		plane_note(c, event->peer, NOTICE_WANTED);	/* it goes on when there is a way */
		return;
	}
	if (device_want_handshake(c->device, now, event->peer) < 0)
		hold_drop(&c->hold, &key);
}

void event_reconcile_endpoint(struct controller *c, uint32_t peer)
{
	struct talon_endpoint at;
	struct endpoint endpoint;

	if (endpoint_read(c, peer, &at) || !at.family || at.flags & TALON_ENDPOINT_PINNED)
		return;
	endpoint_from_map(&at, &endpoint);
	device_set_peer_endpoint(c->device, peer, &endpoint);
}

static struct seen_neigh *find_neigh(struct controller *c, int ifindex, uint8_t family, const struct talon_addr *addr)
{
	for (unsigned i = 0; i < c->neigh_count; i++) {
		struct seen_neigh *n = &c->neighs[i];

		if (n->ifindex == ifindex && n->family == family && !memcmp(&n->addr, addr, sizeof(*addr)))
			return n;
	}
	return NULL;
}

struct piece_target {
	struct controller *c;
	int ifindex;			/* 0: the tunnel */
	uint8_t mac[6];
};

static void send_piece(const uint8_t *packet, size_t len, void *user)
{
	struct piece_target *to = user;

	if (to->ifindex)
		inject_wire(to->c, to->ifindex, to->mac, packet, len);
	else
		inject_tunnel(to->c, ETH_P_IP, packet, len);
}

/* The datapath does not look at the next link's size before its neighbour is known. */
static void release_for_neigh(struct controller *c, const struct net_neigh *neigh)
{
	const struct hold_key key = { .what = HOLD_FOR_NEIGH, .ifindex = neigh->ifindex, .addr = neigh->addr };
	struct piece_target to = { .c = c, .ifindex = neigh->ifindex };
	struct held *held = hold_take(&c->hold, &key);
	struct net_link link;

	if (!held)
		return;
	memcpy(to.mac, neigh->mac, sizeof(to.mac));
	if (net_link_get_index(neigh->ifindex, &link))
		link.mtu = TALON_EVENT_DATA_MAX;
	for (; held; held = hold_take(&c->hold, &key)) {
		fragment_ipv4(held->bytes, held->len, link.mtu, send_piece, &to);
		hold_release(held);
	}
}

static void need_neigh(struct controller *c, const struct talon_event *event, const uint8_t *packet)
{
	uint8_t family = event->id ? AF_INET6 : AF_INET;
	const struct hold_key key = { .what = HOLD_FOR_NEIGH, .ifindex = event->ifindex, .addr = event->addr };
	struct net_neigh neigh;

	if (event->len)
		hold_add(&c->hold, &key, packet, event->len, clock_boot_ns() + HOLD_NEIGH_NS);
	net_neigh_probe(event->ifindex, family, &event->addr);
	/* It may have been resolved while the event was on its way. */
	if (!net_neigh_get(event->ifindex, family, &event->addr, &neigh) && neigh.has_mac &&
	    (neigh.state & (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT)))
		release_for_neigh(c, &neigh);
}

/* A later fragment goes to the client that the first one was for. */
static void send_fragment(struct controller *c, __be32 client, const uint8_t *packet, size_t len)
{
	uint8_t copy[TALON_EVENT_DATA_MAX];

	if (len > sizeof(copy))
		return;
	memcpy(copy, packet, len);
	if (!fragment_redirect(copy, len, client))
		inject_tunnel(c, ETH_P_IP, copy, len);
	sodium_memzero(copy, len);
}

static bool find_client(struct controller *c, const struct talon_event *event, __be32 *ret_client)
{
	const struct talon_frag_key key = {
		.src = event->addr.word[0],
		.dst = event->addr2.word[0],
		.id = event->id & 0xffff,
		.proto = event->id >> 16,
	};
	struct talon_frag frag;

	if (bpf_map_lookup_elem(datapath_map_fd(c->dp, DATAPATH_MAP_FRAGS), &key, &frag) || !frag.client)
		return false;
	*ret_client = frag.client;
	return true;
}

static void fragment(struct controller *c, const struct talon_event *event, const uint8_t *packet)
{
	const struct hold_key key = {
		.what = HOLD_FOR_FRAGMENT, .addr = event->addr, .addr2 = event->addr2, .id = event->id,
	};
	struct held *held;
	__be32 client;

	if (!find_client(c, event, &client)) {
		if (event->type == TALON_EVENT_FRAGMENT)
			hold_add(&c->hold, &key, packet, event->len, clock_boot_ns() + HOLD_FRAGMENT_NS);
		return;
	}
	while ((held = hold_take(&c->hold, &key))) {
		send_fragment(c, client, held->bytes, held->len);
		hold_release(held);
	}
	if (event->type == TALON_EVENT_FRAGMENT)
		send_fragment(c, client, packet, event->len);
}

static void too_big(struct controller *c, const struct talon_event *event, const uint8_t *packet)
{
	struct piece_target to = { .c = c, .ifindex = event->ifindex };
	struct net_neigh neigh;

	if (to.ifindex) {
		if (net_neigh_get(event->ifindex, AF_INET, &event->addr, &neigh) || !neigh.has_mac)
			return;
		memcpy(to.mac, neigh.mac, sizeof(to.mac));
	}
	fragment_ipv4(packet, event->len, event->id, send_piece, &to);
}

static void handle_event(struct controller *c, const struct talon_event *event, const uint8_t *packet)
{
	switch (event->type) {
	case TALON_EVENT_HANDSHAKE:
		need_handshake(c, event, packet);
		break;
	case TALON_EVENT_PROMOTED:
		device_session_promoted(c->device, clock_boot_ns(), event->index);
		break;
	case TALON_EVENT_ROAMED:
		event_reconcile_endpoint(c, event->peer);
		break;
	case TALON_EVENT_NEIGH:
		need_neigh(c, event, packet);
		break;
	case TALON_EVENT_NAT_FULL:
		if (clock_boot_ns() - c->full_warned_ns > 10 * TALON_NSEC_PER_SEC) {
			c->full_warned_ns = clock_boot_ns();
			log_warn("new flows are refused: SNAT ports, flow records or a peer's share of them ran out (SNATPorts, MaxFlows)");
		}
		break;
	case TALON_EVENT_FRAGMENT:
	case TALON_EVENT_FRAG_FIRST:
		fragment(c, event, packet);
		break;
	case TALON_EVENT_TOO_BIG:
		too_big(c, event, packet);
		break;
	}
}

/* A negative return ends libbpf's loop behind this event; the rest is still there at the next turn. */
int event_handle(void *ctx, void *data, size_t len)
{
	const struct talon_event *event = data;
	struct controller *c = ctx;

	if (len >= sizeof(*event) && len - sizeof(*event) >= event->len &&
	    (event->peer == TALON_PEER_NONE || event->peer < c->peers_max))
		handle_event(c, event, (const uint8_t *)(event + 1));
	return c->events_left && --c->events_left ? 0 : -EAGAIN;
}

static bool is_ours(const struct controller *c, int ifindex)
{
	const struct datapath_tunnel_info *tunnel = datapath_get_tunnel(c->dp), *relay = datapath_get_relay(c->dp);

	return ifindex == tunnel->ifindex || ifindex == tunnel->far_ifindex ||
	       (relay && (ifindex == relay->ifindex || ifindex == relay->far_ifindex));
}

/* A MAC that moved, or is new where we kept another, makes the datapath ask again. */
static void neigh_changed(struct controller *c, const struct net_event *event)
{
	const struct net_neigh *neigh = &event->neigh;
	struct seen_neigh *seen = find_neigh(c, neigh->ifindex, neigh->family, &neigh->addr);

	if (event->removed || (neigh->state & NUD_FAILED)) {
		unreachable_for_neigh(c, neigh);
		if (seen) {
			*seen = c->neighs[--c->neigh_count];
			c->sees_change = true;
		}
		return;
	}
	if (!neigh->has_mac)
		return;
	release_for_neigh(c, neigh);
	if (!seen) {
		if (c->neigh_count == CONTROLLER_NEIGHS_MAX)
			return;
		c->sees_change |= next_hops_has(c, neigh);	/* used before we heard of it: perhaps with another MAC */
		seen = &c->neighs[c->neigh_count++];
		*seen = (struct seen_neigh){ .ifindex = neigh->ifindex, .family = neigh->family, .addr = neigh->addr };
	} else if (memcmp(seen->mac, neigh->mac, sizeof(seen->mac))) {
		c->sees_change = true;
	}
	memcpy(seen->mac, neigh->mac, sizeof(seen->mac));
}

void event_resync(struct controller *c)
{
	c->neigh_count = 0;
	c->links_changed = true;
	c->tunnel_changed = true;
	c->sees_change = true;
	ways_check_soon(c);
	follow_soon(c);
	plane_note_network(c);
}

static void network_event(const struct net_event *event, void *user)
{
	struct controller *c = user;

	switch (event->type) {
	case NET_EVENT_NEIGH:
		if (!is_ours(c, event->neigh.ifindex))
			neigh_changed(c, event);
		break;
	case NET_EVENT_RULE:
		c->sees_change = true;
		ways_check_soon(c);
		break;
	case NET_EVENT_ROUTE:
		c->sees_change = true;
		if (event->route.family == AF_INET)
			ways_check_soon(c);
		if (!event->route.prefixlen && event->route.family == AF_INET)
			c->links_changed = true;	/* the uplinks may be others now */
		if (!event->route.prefixlen && event->route.ifindex != datapath_get_tunnel(c->dp)->ifindex)
			/* a default route: servers may be reached again, or by another way */
			plane_note_network(c);
		if (event->removed && event->route.family == AF_INET)
			hosts_check_soon(c);	/* it may have been ours, or one that kept ours out */
		break;
	case NET_EVENT_LINK:
		c->links_changed = true;
		ways_check_soon(c);
		c->tunnel_changed |= is_ours(c, event->link.ifindex);
		if (!is_ours(c, event->link.ifindex))
			plane_note_network(c);
		break;
	case NET_EVENT_ADDR:
		c->links_changed = true;
		ways_check_soon(c);
		c->sees_change = true;
		follow_soon(c);
		if (is_ours(c, event->addr.ifindex))
			hosts_check_soon(c);	/* routes go with the source address they name, without a word */
		else
			plane_note_network(c);
		break;
	case NET_EVENT_RESYNC:
		event_resync(c);
		break;
	}
}

void event_network(void *ctx, uint32_t events)
{
	struct controller *c = ctx;
	int ret = net_monitor_read(c->monitor, network_event, c);

	controller_wake(c);
	if (ret >= 0)
		return;
	log_warn("cannot hear of network changes: %s", strerror(-ret));
	loop_fd_remove(c->loop, &c->monitor_watch);	/* it would wake us for ever */
	c->monitor_failed = true;
}
