// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// How a packet leaves: by a device to a next hop, or sealed for a peer.
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/endpoint.h"
#include "status/show.h"
#include "trace/internal.h"

#define IPV6_MTU_MIN 1280		/* RFC 8200 section 5 */

static bool has_mac(const uint8_t mac[6])
{
	static const uint8_t none[6];

	return memcmp(mac, none, sizeof(none)) != 0;
}

static void mac_text(const uint8_t mac[6], char text[static 18])
{
	snprintf(text, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

static void note_device(struct trace_way *way, uint32_t ifindex)
{
	device_name(ifindex, way->device);
}

/* The next hop's address, as the kernel's answer names it. */
static void note_hop(struct trace_way *way, const struct bpf_fib_lookup *fib)
{
	if (fib->family == AF_INET6)
		inet_ntop(AF_INET6, fib->ipv6_dst, way->next_hop, sizeof(way->next_hop));
	else
		inet_ntop(AF_INET, &fib->ipv4_dst, way->next_hop, sizeof(way->next_hop));
}

/* As mtu_of_six(), unless it is the path that takes no packet of that size. */
static uint32_t mtu_of(const struct trace_way *way, uint32_t mtu)
{
	if (way->reason == TALON_TOO_BIG && !way->has_icmp)
		return mtu;
	return way->family == AF_INET6 && mtu < IPV6_MTU_MIN ? IPV6_MTU_MIN : mtu;
}

/* @by: what sets the limit. */
static bool tell_mtu(struct trace_way *way, const struct flight *flight, uint32_t mtu, const char *by)
{
	way->mtu = mtu;
	if (way->decider != TRACE_MTU)
		return tell(way, TRACE_MTU, "%u for %s; the packet has %u", mtu, by, flight->size);
	if (trace_icmp_kind(way) == TRACE_ICMP_TOO_BIG)
		return tell(way, TRACE_MTU,
			"%u for %s, and the packet has %u: its sender gets the %s error \"%s\" with MTU %u",
			mtu, by, flight->size, way->family == AF_INET6 ? "ICMPv6" : "ICMP",
			trace_icmp_name(way), way->icmp_mtu);
	return tell(way, TRACE_MTU, "%u for %s, and the packet has %u", mtu, by, flight->size);
}

static bool tell_neighbour(struct trace_way *way, const struct decision *d)
{
	if (way->decider == TRACE_NEXT_HOP)
		return tell(way, TRACE_NEXT_HOP,
			"%s: neighbour not resolved yet: the packet would be held until it answers",
			way->next_hop);
	if (!has_mac(d->fib.dmac))
		return tell(way, TRACE_NEXT_HOP, "%s, on a device without neighbours", way->next_hop);
	mac_text(d->fib.dmac, way->next_mac);
	return tell(way, TRACE_NEXT_HOP, "%s at %s", way->next_hop, way->next_mac);
}

void tell_device(struct walk *walk, struct trace_way *way, const struct flight *flight,
	const struct passage *p, uint32_t ifindex)
{
	const struct decision *d = &p->first.decision;
	uint32_t mtu = way->has_icmp ? way->icmp_mtu : d->mtu;
	char by[IFNAMSIZ + 16];

	note_device(way, ifindex);
	snprintf(by, sizeof(by), "the way by %s", way->device);
	if (mtu && tell_mtu(way, flight, mtu_of(way, mtu), by))
		return;
	note_hop(way, &d->fib);
	if (tell(way, TRACE_DEVICE, "%s%s", way->device, way->end == TALON_ONWARD
		? ", by way of the relay pair, as it takes no redirected frames" : ""))
		return;
	tell_neighbour(way, d);
}

static bool tell_key(struct trace_way *way, const struct party *to)
{
	char age[SHOW_AGE_LEN];

	if (!to->has_session)
		return tell(way, TRACE_KEY, "no session with %s now: the packet waits for a handshake",
			to->name);
	show_duration((clock_boot_ns() - to->session_ns) / TALON_NSEC_PER_SEC, age, sizeof(age));
	return tell(way, TRACE_KEY, "session with %s, made %s ago", to->name, age);
}

static bool tell_endpoint(struct trace_way *way, const struct decision *d)
{
	struct endpoint at = { .family = d->endpoint_family, .port = d->endpoint_port,
		.remote = d->endpoint };
	char remote[ENDPOINT_TEXT_LEN], local[INET6_ADDRSTRLEN] = "";

	if (!d->endpoint_family)
		return tell(way, TRACE_ENDPOINT, "not known: nothing of this peer has arrived yet");
	if (d->endpoint_flags & TALON_ENDPOINT_RELAY)
		return tell(way, TRACE_ENDPOINT, "over the relay");
	endpoint_format(&at, remote);
	inet_ntop(d->endpoint_family, &d->endpoint_local, local, sizeof(local));
	if (way->decider == TRACE_ENDPOINT)
		return tell(way, TRACE_ENDPOINT, "%s cannot be reached: %s", remote,
			show_ends[way->reason].help);
	return tell(way, TRACE_ENDPOINT, "%s, from %s", remote, local);
}

/* The kernel's answer is about the same device, unless the packet goes back to where the peer's came from. */
static bool tell_outer_hop(struct trace_way *way, const struct decision *d)
{
	if (d->endpoint_flags & TALON_ENDPOINT_RELAY)
		return false;
	mac_text(d->endpoint_mac, way->next_mac);
	if (d->fib.ifindex == d->endpoint_ifindex && !memcmp(d->fib.dmac, d->endpoint_mac, 6)) {
		note_hop(way, &d->fib);
		return tell(way, TRACE_NEXT_HOP, "%s at %s", way->next_hop, way->next_mac);
	}
	return tell(way, TRACE_NEXT_HOP, "back to %s, from where the peer's last packet came", way->next_mac);
}

static bool tell_sealing(struct trace_way *way, const struct passage *p, const struct party *to)
{
	char inner[sizeof(way->packet)];

	if (!p->is_opened)
		return false;
	flight_format(&p->inner, inner, sizeof(inner));
	return tell(way, TRACE_SEALED, "for %s, who opens it as %s", to->name, inner);
}

void tell_sealed(struct walk *walk, struct trace_way *way, const struct flight *flight,
	const struct passage *p, uint32_t to_id)
{
	const struct decision *d = &p->last.decision;
	const struct party *to = walk_party(walk, to_id);
	uint32_t mtu = walk->live.config.tunnel_mtu;

	if (!to)
		return;
	note_peer(way, to);
	if (way->has_icmp && way->icmp_mtu)
		mtu = way->icmp_mtu;
	else if (d->endpoint_mtu && d->endpoint_mtu < mtu)
		mtu = d->endpoint_mtu;
	if (tell_mtu(way, flight, mtu_of(way, mtu), to->name) || tell_key(way, to) || tell_endpoint(way, d))
		return;
	note_device(way, d->endpoint_ifindex);
	if (tell(way, TRACE_DEVICE, "%s%s", way->device, !p->through_tunnel &&
		(d->endpoint_flags & TALON_ENDPOINT_ONWARD)
		? ", by way of the relay pair, as it takes no redirected frames" : "") ||
		tell_outer_hop(way, d))
		return;
	tell_sealing(way, p, to);
}
