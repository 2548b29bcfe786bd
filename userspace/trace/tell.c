// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What decided, step by step, in sentences.
#include <arpa/inet.h>
#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
#include "net/net.h"
#include "status/show.h"
#include "trace/internal.h"

#define NOT_ROUTED6 "link-local, multicast, loopback, unspecified or IPv4 in IPv6"

bool tell(struct trace_way *way, enum trace_step_id id, const char *fmt, ...)
{
	struct trace_step *step;
	va_list args;

	if (way->step_count == TRACE_STEP_COUNT)
		return true;
	step = &way->steps[way->step_count++];
	step->id = id;
	step->decides = id == way->decider;
	va_start(args, fmt);
	vsnprintf(step->text, sizeof(step->text), fmt, args);
	va_end(args);
	return step->decides;
}

/* If no sentence was the one that decided, the reason itself is. */
static void tell_rest(struct trace_way *way)
{
	if (way->decider == TRACE_STEP_COUNT || (way->step_count && way->steps[way->step_count - 1].decides))
		return;
	if (way->reason < TALON_END_COUNT)
		tell(way, way->decider, "%s: %s", show_ends[way->reason].label, show_ends[way->reason].help);
}

static bool tell_session(struct trace_way *way, const struct party *from)
{
	char age[SHOW_AGE_LEN];

	if (way->end == TALON_END_COUNT)
		return tell(way, TRACE_SESSION, "none is looked for: %s sends to an address that is not this "
			"host's any more", from->name);
	if (!from->has_session)
		return tell(way, TRACE_SESSION, "%s has no session now: its packets are not opened",
			from->name);
	show_duration((clock_boot_ns() - from->session_ns) / TALON_NSEC_PER_SEC, age, sizeof(age));
	if (way->decider == TRACE_SESSION)
		return tell(way, TRACE_SESSION, "made %s ago, but the packet is not accepted: %s", age,
			show_ends[way->reason].help);
	return tell(way, TRACE_SESSION, "made %s ago; the packet is opened and authentic", age);
}

static bool tell_allowed(const struct walk *walk, struct trace_way *way, const struct party *from,
	struct trace_addr src)
{
	unsigned len = 0;
	uint32_t owner = live_peer_of(&walk->live, src, &len);
	char addr[INET6_ADDRSTRLEN], prefix[ADDR_PREFIX_LEN];
	struct party other;

	addr_text(src, addr);
	if (way->decider == TRACE_ALLOWED && way->reason == TALON_BAD_DESTINATION)
		return tell(way, TRACE_ALLOWED, "%s is not routed: it is " NOT_ROUTED6, addr);
	if (owner == TALON_PEER_NONE)
		return tell(way, TRACE_ALLOWED, "%s is in no peer's allowed IPs", addr);
	addr_prefix_text(src, len, prefix);
	if (way->reason == TALON_LOCAL_SOURCE)
		return tell(way, TRACE_ALLOWED, "%s is an address of this host, which no peer may send from",
			addr);
	if (owner == from->id)
		return tell(way, TRACE_ALLOWED, "%s belongs to %s", prefix, from->name);
	if (party_read(&walk->live, owner, 0, &other))
		return tell(way, TRACE_ALLOWED, "%s belongs to another peer", prefix);
	tell(way, TRACE_ALLOWED, "%s belongs to %s, not to %s", prefix, other.name, from->name);
	party_wipe(&other);
	return way->decider == TRACE_ALLOWED;
}

static bool tell_route(const struct walk *walk, struct trace_way *way, struct trace_addr dst)
{
	char addr[INET6_ADDRSTRLEN], prefix[ADDR_PREFIX_LEN];
	struct talon_route route;

	addr_text(dst, addr);
	if (!live_route(&walk->live, dst, &route)) {
		if (way->decider == TRACE_ROUTE)
			return tell(way, TRACE_ROUTE, "%s is in no network that is served here", addr);
		if (way->reason == TALON_BAD_DESTINATION)
			return tell(way, TRACE_ROUTE, "none leads to such an address");
		return tell(way, TRACE_ROUTE, "none is needed to this host itself");
	}
	addr_prefix_text(dst, route.prefixlen, prefix);
	return tell(way, TRACE_ROUTE, "%s is served here, %s", prefix,
		route.flags & TALON_ROUTE_MASQUERADE ? "masqueraded" : "without masquerade");
}

/* Whose packet is it: the rows of the table in docs/architecture.md, as whose() goes through them. */
enum row {
	ROW_NOBODY, ROW_LOCAL, ROW_FOUND, ROW_OWN, ROW_MAPPING, ROW_STACK, ROW_PEER, ROW_PEER_TUNNEL,
		ROW_DEVICE,
};

/*
 * The device that the host's routes lead to. After an ICMP error the program's answer of the kernel is about
 * the error's own way.
 */
static uint32_t device_of(const struct trace_way *way, struct trace_addr dst, const struct decision *d)
{
	struct net_route route;

	if (way->end != TALON_ICMP_SENT)
		return d->fib.ifindex;
	return net_route_lookup(dst.family, &dst.addr, &route) ? 0 : route.ifindex;
}

/* Was the kernel asked for a way? Only then is there a source that this host itself would use. */
static bool kernel_was_asked(const struct trace_way *way, const struct decision *d)
{
	if (way->family != AF_INET6)
		return d->way_source;
	return d->way_peer == TALON_PEER_NONE || !talon_addr_is_zero(&d->source);
}

static enum row row_of(const struct walk *walk, const struct trace_way *way, struct trace_addr dst,
	const struct decision *d)
{
	struct talon_host_route host;

	if (d->way_end)
		return ROW_NOBODY;
	if (d->in_local && (live_local(&walk->live, dst) & TALON_LOCAL_GIVEN))
		return ROW_LOCAL;
	if (live_is_own(&walk->live, dst))
		return d->flags & FORWARD_HAIRPIN ? ROW_MAPPING : ROW_OWN;
	if (d->in_local)
		return ROW_FOUND;
	if (live_host_route(&walk->live, dst, &host) && host.kind == TALON_HOST_BROADCAST)
		return ROW_STACK;
	if (!kernel_was_asked(way, d))
		return ROW_PEER;
	return device_of(way, dst, d) == walk->live.config.tunnel_ifindex ? ROW_PEER_TUNNEL : ROW_DEVICE;
}

static bool tell_nobody(struct trace_way *way, const struct decision *d, const char *addr)
{
	bool is_six = way->family == AF_INET6;

	switch (d->way_end) {
	case TALON_BAD_DESTINATION:
		return tell(way, TRACE_WHOSE,
			"nobody's (row 0): %s is %s", addr, is_six ? NOT_ROUTED6
			: "loopback, multicast or reserved");
	case TALON_BLACKHOLE:
		return tell(way, TRACE_WHOSE,
			"nobody's (row 5): a blackhole route of this host's leads there");
	case TALON_UNREACHABLE:
		return tell(way, TRACE_WHOSE,
			"nobody's (row 5): an unreachable or prohibit route of this host's leads there");
	case TALON_NO_FIB:
		return tell(way, TRACE_WHOSE, "nobody's (row 5): this host itself has no route to %s", addr);
	case TALON_FWD_DISABLED:
		return tell(way, TRACE_WHOSE,
			"nobody's (row 5): this host does not forward (sysctl %s)", is_six
			? "net.ipv6.conf.all.forwarding" : "net.ipv4.ip_forward");
	case TALON_NO_WAY_BACK:
		if (is_six && talon_addr_is_zero(&d->source))
			return tell(way, TRACE_WHOSE, "nobody's (row 5): this host has no IPv6 address to "
				"masquerade by on the way to %s", addr);
		return tell(way, TRACE_WHOSE,
			"nobody's (row 5): it would leave by a device without our program, where the "
			"masqueraded answer would be missed");
	case TALON_NO_PEER:
		return tell(way, TRACE_WHOSE, "nobody's (row 4): this host's route leads into the tunnel, "
			"but %s is in no peer's allowed IPs", addr);
	default:
		return tell(way, TRACE_WHOSE, "nobody's: %s", show_ends[d->way_end].help);
	}
}

static const char *party_name(struct walk *walk, uint32_t id)
{
	const struct party *party = walk_party(walk, id);

	return party ? party->name : "another peer";
}

static bool tell_whose(struct walk *walk, struct trace_way *way, struct trace_addr dst,
	const struct decision *d)
{
	char addr[INET6_ADDRSTRLEN], prefix[ADDR_PREFIX_LEN] = "", name[IFNAMSIZ];
	struct talon_host_route host = {};
	unsigned len = 0;

	addr_text(dst, addr);
	switch (row_of(walk, way, dst, d)) {
	case ROW_NOBODY:
		return tell_nobody(way, d, addr);
	case ROW_LOCAL:
		return tell(way, TRACE_WHOSE, "this host's (row 1): %s is in Local", addr);
	case ROW_FOUND:
		return tell(way, TRACE_WHOSE,
			"this host's (row 1): %s is a service's or a pod's that this node serves", addr);
	case ROW_OWN:
		return tell(way, TRACE_WHOSE, "this host's (row 1): %s is an address of its own", addr);
	case ROW_MAPPING:
		return tell(way, TRACE_WHOSE,
			"another client's (row 1): that port of %s is mapped to it", addr);
	case ROW_STACK:
		return tell(way, TRACE_WHOSE,
			"the host's stack's (row 2): %s is a broadcast address of its networks", addr);
	case ROW_PEER:
		live_peer_of(&walk->live, dst, &len);
		addr_prefix_text(dst, len, prefix);
		return tell(way, TRACE_WHOSE, "a peer's (row 3): %s is among the allowed IPs of %s, more "
			"specific than what is served and than the host's route", prefix,
			party_name(walk, d->way_peer));
	case ROW_PEER_TUNNEL:
		return tell(way, TRACE_WHOSE,
			"a peer's (row 4): this host's route leads into the tunnel, to %s by allowed IPs",
			party_name(walk, d->way_peer));
	case ROW_DEVICE:
		break;
	}
	live_host_route(&walk->live, dst, &host);
	addr_prefix_text(dst, host.prefixlen, prefix);
	return tell(way, TRACE_WHOSE, "a device's (row 4): this host's route %s leads out by %s", prefix,
		device_name(device_of(way, dst, d), name));
}

static void keep_rule(struct trace_way *way, const struct rule_found *found)
{
	way->has_rule = found->has_rule;
	way->rule = found->bit;
	way->rule_named = found->rule;
}

/* "rule 64 \"peers: tcp 80 ...\" of policy web" */
static void rule_text(const struct rule_found *found, char *text, size_t size)
{
	const struct talon_acl_rule *rule = &found->rule;

	if (!rule->name[0])
		snprintf(text, size, "rule number %u", found->bit);
	else
		snprintf(text, size, "rule \"%.*s\"%s%.*s", (int)sizeof(rule->name), rule->name,
			rule->policy[0] ? " of policy " : "", (int)sizeof(rule->policy), rule->policy);
}

/* @judged: the destination that the rules are asked about. */
static bool tell_rule(const struct walk *walk, struct trace_way *way, const struct flight *flight,
	struct trace_addr judged)
{
	char text[256], addr[INET6_ADDRSTRLEN], as[80] = "";
	struct rule_found found;

	if (!(walk->live.config.flags & TALON_F_ACL))
		return tell(way, TRACE_RULE, "there are no access rules: all that peers send may pass");
	rules_find(&walk->copy, flight, judged, &found);
	if (!addr_is_equal(judged, flight->dst))
		snprintf(as, sizeof(as), ", judged as the mesh address %s", addr_text(judged, addr));
	rule_text(&found, text, sizeof(text));
	if (found.has_rule)
		keep_rule(way, &found);
	if (way->decider == TRACE_RULE)
		return tell(way, TRACE_RULE, "%s%s%s", found.has_rule ? text : "no rule lets it in",
			found.has_rule ? " drops it" : "", as);
	if (found.has_rule && !found.rule.drop)
		return tell(way, TRACE_RULE, "%s accepts it%s", text, as);
	if (found.is_open)
		return tell(way, TRACE_RULE,
			"none is asked: this host's controller listens on the port itself");
	return tell(way, TRACE_RULE, "none accepts it%s", found.is_answer
		? ", but it answers what went into the mesh" : " now: the rules are changing");
}

/* Every address of this host is judged as its mesh address (forward_judged()). */
static struct trace_addr judged_as(const struct walk *walk, struct trace_addr dst, const struct decision *d)
{
	struct talon_host_route host;

	if (d->in_local || (d->flags & FORWARD_HAIRPIN))
		return dst;
	if (live_is_own(&walk->live, dst) ||
		(live_host_route(&walk->live, dst, &host) && host.kind == TALON_HOST_BROADCAST))
		return live_mesh_addr(&walk->live, dst);
	return dst;
}

static void keep_nat(struct trace_way *way, const struct walk *walk, uint32_t id,
	const struct talon_flow *flow, const struct flow_ends *ends)
{
	way->has_nat = true;
	way->nat_existed = id <= walk->copy.flows.count;
	way->nat_addr = ends->snat;
	way->nat_port = ntohs(flow->snat_port);
}

static bool tell_nat(const struct walk *walk, struct trace_way *way, const struct flight *flight,
	const struct decision *d)
{
	char addr[ADDR_END_LEN];
	struct talon_flow flow;
	struct flow_ends ends;

	if (way->decider == TRACE_NAT)
		return tell(way, TRACE_NAT, "no port of this host's for it: %s", show_ends[way->reason].help);
	if (!(d->flags & FORWARD_MASQUERADE))
		return tell(way, TRACE_NAT, "none: the source stays %s", addr_text(flight->src, addr));
	if (!d->flow || !copy_get_flow(&walk->copy, d->flow, &flow, &ends))
		return false;
	keep_nat(way, walk, d->flow, &flow, &ends);
	return tell(way, TRACE_NAT, "the source becomes %s, %s",
		addr_end_text(way->nat_addr, way->nat_port, addr),
		way->nat_existed ? "as in the flow that is there" : "which a new flow would get now");
}

static bool tell_delivery(const struct walk *walk, struct trace_way *way)
{
	bool is_handed = walk->live.config.flags & TALON_F_HANDUP_TUNNEL;

	return tell(way, TRACE_DELIVERY, "handed up to this host's stack%s%.*s, with its mesh source",
		is_handed ? " through " : "", is_handed ? (int)sizeof(walk->live.info.tunnel) : 0,
		walk->live.info.tunnel);
}

/* Nothing else is asked about IPv6 where the tunnel carries none. */
static bool tell_family(const struct walk *walk, struct trace_way *way)
{
	if (live_carries(&walk->live, walk->flight.src))
		return false;
	if (way->end == TALON_ICMP_SENT)
		return tell(way, TRACE_OTHER,
			"no IPv6 inside: the tunnel carries IPv4 only, and the sender gets the ICMPv6 error "
			"\"%s\"", trace_icmp_name(way));
	return tell(way, TRACE_OTHER, "no IPv6 inside: the tunnel carries IPv4 only");
}

static void tell_after_whose(struct walk *walk, struct trace_way *way, const struct flight *flight,
	const struct passage *p)
{
	const struct decision *d = &p->first.decision;

	switch (row_of(walk, way, flight->dst, d)) {
	case ROW_NOBODY:
		return;
	case ROW_LOCAL: case ROW_FOUND: case ROW_OWN: case ROW_STACK:
		if (way->decider != TRACE_STEP_COUNT && way->decider != TRACE_DELIVERY)
			return;
		tell_delivery(walk, way);
		return;
	case ROW_MAPPING:
		if (tell_nat(walk, way, flight, d) || way->decider == TRACE_FLOW)
			return;
		tell_sealed(walk, way, flight, p, d->peer);
		return;
	case ROW_PEER: case ROW_PEER_TUNNEL:
		tell_sealed(walk, way, flight, p, d->way_peer);
		return;
	case ROW_DEVICE:
		if (!tell_nat(walk, way, flight, d))
			tell_device(walk, way, flight, p, device_of(way, flight->dst, d));
	}
}

void tell_from_peer(struct walk *walk, struct trace_way *way, const struct party *from,
	const struct flight *flight, const struct passage *p)
{
	const struct decision *d = &p->first.decision;

	if (tell_session(way, from) || tell_family(walk, way) || tell_allowed(walk, way, from, flight->src) ||
		tell_route(walk, way, flight->dst) ||
		tell_rule(walk, way, flight, judged_as(walk, flight->dst, d)) ||
		tell_whose(walk, way, flight->dst, d))
		return;
	tell_after_whose(walk, way, flight, p);
	tell_rest(way);
}

static bool tell_unclaimed(const struct walk *walk, struct trace_way *way, const struct flight *flight)
{
	uint32_t plain = addr_is_six(flight->dst) ? TALON_F_PLAIN_ROUTES6 : TALON_F_PLAIN_ROUTES;
	char addr[INET6_ADDRSTRLEN];

	if (!live_carries(&walk->live, flight->dst))
		return tell(way, TRACE_FLOW,
			"no IPv6 inside: the tunnel carries IPv4 only: left to the host's stack");
	addr_text(flight->dst, addr);
	if (live_is_source(&walk->live, flight->dst))
		return tell(way, TRACE_FLOW,
			"no flow of a peer's is answered by this: left to the host's stack");
	if (!(walk->live.config.flags & plain) && live_is_mesh(&walk->live, flight->dst))
		return tell(way, TRACE_FLOW,
		"%s is a mesh address, but all routes here are masqueraded: left to the host's stack", addr);
	return tell(way, TRACE_FLOW, "%s is no address that answers to peers come to: left to the host's "
		"stack", addr);
}

static bool tell_found(struct walk *walk, struct trace_way *way, const struct flight *flight,
	const struct decision *d)
{
	char client[ADDR_END_LEN], snat[ADDR_END_LEN];
	struct talon_flow flow;
	struct flow_ends ends;

	if (way->end == TALON_END_COUNT)
		return tell_unclaimed(walk, way, flight);
	if (way->end == TALON_NAT_NO_FLOW)
		return tell(way, TRACE_FLOW, "no flow is answered by this, and the port is mapped to a peer");
	if (!d->flow)
		return tell(way, TRACE_FLOW,
			"none, as the route is not masqueraded: %s is in the allowed IPs of %s",
			addr_text(flight->dst, client), party_name(walk, d->peer));
	if (!copy_get_flow(&walk->copy, d->flow, &flow, &ends))
		return false;
	if (way->decider == TRACE_FLOW)
		return tell(way, TRACE_FLOW, "the flow of %s is ended, as it would not be permitted now: %s",
			addr_text(ends.client, client), show_ends[way->reason].help);
	keep_nat(way, walk, d->flow, &flow, &ends);
	return tell(way, TRACE_FLOW, "it answers %s, which was translated to %s",
		addr_end_text(ends.client, ntohs(flow.client_port), client),
		addr_end_text(way->nat_addr, way->nat_port, snat));
}

/* What a flow may do is asked with the client as its source: the rules are about what opened it. */
static bool tell_rejudged(const struct walk *walk, struct trace_way *way, const struct flight *flight,
	const struct decision *d)
{
	struct flight opened = { .proto = flight->proto, .dst = flight->src, .dport = flight->sport };
	struct talon_flow flow;
	struct flow_ends ends;

	if (way->decider != TRACE_RULE || !d->flow || !copy_get_flow(&walk->copy, d->flow, &flow, &ends))
		return false;
	opened.src = ends.client;
	opened.sport = ntohs(flow.client_port);
	return tell_rule(walk, way, &opened, opened.dst);
}

void tell_from_network(struct walk *walk, struct trace_way *way, const struct flight *flight,
	const struct passage *p)
{
	const struct decision *d = &p->first.decision;
	char client[ADDR_END_LEN];

	if (tell_found(walk, way, flight, d) || tell_rejudged(walk, way, flight, d))
		return;
	if (d->flow && p->is_opened)
		tell(way, TRACE_NAT, "undone: the destination becomes %s",
			addr_end_text(p->inner.dst, p->inner.dport, client));
	tell_sealed(walk, way, flight, p, d->peer);
	tell_rest(way);
}

void tell_from_host(struct walk *walk, struct trace_way *way, const struct flight *flight,
	const struct passage *p)
{
	char addr[INET6_ADDRSTRLEN], prefix[ADDR_PREFIX_LEN];
	struct talon_host_route host = {};
	unsigned len = 0;
	uint32_t peer = live_peer_of(&walk->live, flight->dst, &len);

	addr_text(flight->dst, addr);
	if (live_host_route(&walk->live, flight->dst, &host))
		addr_prefix_text(flight->dst, host.prefixlen, prefix);
	else
		snprintf(prefix, sizeof(prefix), "(none)");
	if (!p) {
		tell(way, TRACE_ROUTE, "this host's route to %s, %s, does not lead into %.15s: Talon does "
			"not see the packet", addr, prefix, walk->live.info.tunnel);
		return;
	}
	if (tell(way, TRACE_ROUTE, "this host's route %s leads into %.15s", prefix, walk->live.info.tunnel) ||
		tell_family(walk, way))
		return;
	if (way->reason == TALON_BAD_DESTINATION) {
		tell_rest(way);
		return;
	}
	if (peer == TALON_PEER_NONE) {
		tell(way, TRACE_WHOSE, "nobody's: %s is in no peer's allowed IPs", addr);
		tell_rest(way);
		return;
	}
	addr_prefix_text(flight->dst, len, prefix);
	if (tell(way, TRACE_WHOSE, "a peer's: %s is among the allowed IPs of %s", prefix,
		party_name(walk, peer)))
		return;
	tell_sealed(walk, way, flight, p, peer);
	tell_rest(way);
}
