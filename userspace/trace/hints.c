// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What to do about a packet that does not arrive, by its reason.
#include "trace/trace.h"

static const char *const hints[TALON_END_COUNT] = {
	[TALON_NO_SESSION] = "the peer has to handshake first: look at its line in talon status -d, and at "
		"whether its UDP packets reach the port at all",
	[TALON_KEY_EXPIRED] = "a handshake is overdue: does the controller run (talon status), and does the "
	"peer answer?", [TALON_MARTIAN] = "the peer's outer source address cannot be right: look at its "
	"endpoint in talon status -d, and at NAT on the path",
	[TALON_NOT_ALLOWED] = "add the network to the peer's AllowedIPs here, or have the peer send from its "
	"mesh address", [TALON_LOCAL_SOURCE] = "the peer uses an address of this host: give one of them "
	"another", [TALON_ACL_DENIED] = "change the policy in the management server's dashboard; talon "
	"status counts acl_denied", [TALON_NO_ROUTE] = "serve the network: add a Route here, or assign the "
	"network to this routing peer in the dashboard",
	[TALON_BAD_DESTINATION] = "no route can lead there: use an address of the network behind this host",
	[TALON_NAT_PORTS] = "widen --snat-ports, or use a spare SNAT address: every candidate port to this "
	"remote is taken", [TALON_NAT_TABLE] = "raise --max-flows: the flow table is full",
	[TALON_NAT_SHARED_OUT] = "this peer holds its share of the flow records: see what it is doing, or "
	"raise --max-flows", [TALON_NAT_RACE] = "the same flow was being made elsewhere: try again",
	[TALON_INNER_IPV6] = "give this host an IPv6 address in the mesh; if it has one, talon status says "
	"under Hazards why the tunnel does not carry it",
	[TALON_NAT_PROTO] = "only TCP, UDP and ICMP are masqueraded: use a route without masquerade",
	[TALON_NAT_NO_FLOW] = "only what a peer has opened is let through: start from the peer's side",
	[TALON_TOO_BIG] = "the sender must heed path MTU discovery: do not filter ICMP on the way, or lower "
	"the MTU there", [TALON_NO_FIB] = "give this host a route there (ip route get shows what it does "
	"now)", [TALON_BLACKHOLE] = "a blackhole route of this host's swallows it: ip route show type "
	"blackhole", [TALON_UNREACHABLE] = "an unreachable or prohibit route of this host's refuses it: ip "
	"route show",
	[TALON_FWD_DISABLED] = "set sysctl net.ipv4.ip_forward=1 (in IPv6 net.ipv6.conf.all.forwarding=1), "
	"also for the uplink's own forwarding setting",
	[TALON_NO_WAY_BACK] = "name the device as an uplink, or serve the network without masquerade",
	[TALON_NO_NEIGH] = "the next hop does not answer ARP or neighbour discovery yet: is it up, on this "
	"network, with that address?", [TALON_NO_PEER] = "no peer has the address among its AllowedIPs",
	[TALON_NO_ENDPOINT] = "the peer has never been heard of: it has to come first, or needs an Endpoint",
	[TALON_ENDPOINT_LOOP] = "the route to the peer's own endpoint leads into the tunnel: exclude it",
	[TALON_NO_KEY] = "the controller makes the handshake: does it run (talon status), and does the peer "
	"answer?", [TALON_TTL_EXPIRED] = "there is a routing loop, or the packet had been on its way "
	"for long",
};

const char *trace_hint(enum talon_end reason)
{
	return reason < TALON_END_COUNT ? hints[reason] : NULL;
}
