// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// How a packet ended, what is behind that, and which step decided it.
#include <arpa/inet.h>
#include <string.h>

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include "talon/icmp_wire.h"
#include "trace/internal.h"

/* An ICMP error that was sent in the packet's place. */
static void read_icmp(struct trace_way *way, const struct frame *packet)
{
	bool is_six = way->family == AF_INET6;
	size_t header = is_six ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
	uint8_t proto = packet->bytes[is_six ? offsetof(struct ipv6hdr, nexthdr)
		: offsetof(struct iphdr, protocol)];
	uint16_t mtu;

	if (packet->len < header + sizeof(struct icmphdr) || !proto_is_icmp(proto))
		return;
	way->has_icmp = true;
	way->icmp_type = packet->bytes[header];
	way->icmp_code = packet->bytes[header + 1];
	/* the lower half of ICMPv6's field is where ICMP has its own */
	memcpy(&mtu, packet->bytes + header + offsetof(struct icmphdr, un.frag.mtu), sizeof(mtu));
	way->icmp_mtu = ntohs(mtu);
}

/* Which limit of the flow table was met: only the totals tell. */
static enum talon_end nat_limit(const struct walk *walk)
{
	const struct talon_nat_stats *before = &walk->copy.nat;
	struct talon_nat_stats now;
	const uint32_t zero = 0;

	if (!copy_get(&walk->copy, "nat_stats", &zero, &now))
		return TALON_NAT_PORTS;
	if (now.full_table != before->full_table)
		return TALON_NAT_TABLE;
	return now.full_share != before->full_share ? TALON_NAT_SHARED_OUT : TALON_NAT_PORTS;
}

static enum talon_end behind_icmp(const struct walk *walk, const struct trace_way *way,
	const struct passage *p)
{
	const struct decision *d = &p->first.decision;

	if (d->way_end && d->way_what)
		return d->way_end;
	if (!live_carries(&walk->live, walk->flight.src))
		return TALON_INNER_IPV6;
	switch (trace_icmp_kind(way)) {
	case TRACE_ICMP_EXPIRED:
		return TALON_TTL_EXPIRED;
	case TRACE_ICMP_PROHIBITED:
		return nat_limit(walk);
	default:
		return TALON_TOO_BIG;
	}
}

static enum talon_end behind_held(struct walk *walk, const struct passage *p)
{
	const struct decision *d = &p->last.decision;
	const struct party *to = walk_party(walk, d->peer);

	if (!p->is_sealing && (d->flags & FORWARD_NO_NEIGH))
		return TALON_NO_NEIGH;
	return p->is_sealing && to && !to->has_session ? TALON_NO_KEY : TALON_TOO_BIG;
}

static bool does_pass(enum talon_end end)
{
	return end == TALON_FORWARDED || end == TALON_LOCAL || end == TALON_ONWARD || end == TALON_RESEALED ||
		end == TALON_SEGMENTED;
}

/* In from a peer, or where a packet is sealed, the same reason has different places. */
static enum trace_step_id decider(const struct trace_way *way, bool is_sealing, bool is_source_bad)
{
	switch (way->reason) {
	case TALON_NO_SESSION: case TALON_KEY_EXPIRED: case TALON_REPLAYED: case TALON_BAD_TAG:
	case TALON_MARTIAN:
		return is_sealing ? TRACE_KEY : TRACE_SESSION;
	case TALON_NOT_ALLOWED: case TALON_LOCAL_SOURCE:
		return TRACE_ALLOWED;
	case TALON_NO_ROUTE:
		return way->origin == TRACE_FROM_NETWORK ? TRACE_FLOW : TRACE_ROUTE;
	case TALON_ACL_DENIED:
		return TRACE_RULE;
	case TALON_NO_PEER:
		return way->origin == TRACE_FROM_NETWORK ? TRACE_FLOW : TRACE_WHOSE;
	case TALON_BAD_DESTINATION:
		return is_source_bad ? TRACE_ALLOWED : TRACE_WHOSE;
	case TALON_BLACKHOLE: case TALON_UNREACHABLE: case TALON_FWD_DISABLED:
	case TALON_NO_WAY_BACK:
		return TRACE_WHOSE;
	case TALON_NO_FIB:
		return is_sealing ? TRACE_ENDPOINT : TRACE_WHOSE;
	case TALON_NAT_PORTS: case TALON_NAT_TABLE: case TALON_NAT_SHARED_OUT: case TALON_NAT_RACE:
	case TALON_NAT_PROTO:
		return TRACE_NAT;
	case TALON_NAT_NO_FLOW:
		return TRACE_FLOW;
	case TALON_TOO_BIG:
		return TRACE_MTU;
	case TALON_NO_KEY:
		return TRACE_KEY;
	case TALON_NO_ENDPOINT: case TALON_ENDPOINT_LOOP:
		return TRACE_ENDPOINT;
	case TALON_NO_NEIGH:
		return is_sealing ? TRACE_ENDPOINT : TRACE_NEXT_HOP;
	default:
		return TRACE_OTHER;
	}
}

void judge(struct walk *walk, struct trace_way *way, const struct passage *p)
{
	const struct decision *first = &p->first.decision, *last = &p->last.decision;

	/* the uplink's program says what it was, unless the tunnel's program stopped it */
	way->end = p->through_tunnel && last->end != TALON_FORWARDED ? last->end : first->end;
	if (way->end == TALON_ICMP_SENT)
		read_icmp(way, &p->plain);
	way->reason = way->end == TALON_ICMP_SENT ? behind_icmp(walk, way, p)
		: way->end == TALON_HELD ? behind_held(walk, p) : way->end;
	way->passes = does_pass(way->end);
	way->decider = way->passes ? TRACE_STEP_COUNT : decider(way, p->is_sealing,
		way->origin == TRACE_FROM_PEER && !first->way_end);
	if (way->end == TALON_END_COUNT)
		way->decider = way->origin == TRACE_FROM_PEER ? TRACE_SESSION : TRACE_FLOW;
}
