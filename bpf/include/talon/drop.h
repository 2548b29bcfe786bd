/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every way a packet can end, written once. The enum, the counter array "stats" (PERCPU_ARRAY of u64, index
 * dir * TALON_END_COUNT + reason), the status text and the metric label all grow from this list.
 */
#ifndef TALON_DROP_H
#define TALON_DROP_H

#include "talon/types.h"

/* X(id, label, is a drop, help) */
#define TALON_ENDS(X) \
	X(FORWARDED,	"forwarded",	0, "decrypted or sealed, translated and sent on") \
	X(LOCAL,	"local",	0, "decrypted and handed up to this host") \
	X(ONWARD,	"onward",	0, \
		"sent on through the relay pair, to a device that takes no redirected frames") \
	X(KEEPALIVE,	"keepalive",	0, "authenticated, empty") \
	X(TO_CONTROLLER, "to_controller", 0, \
		"handshake message, STUN or joined data, left to the controller's socket") \
	X(HELD,		"held",		0, "given to the controller until a session or next hop is there") \
	X(ARP_ANSWERED,	"arp_answered",	0, "ARP request for the spare SNAT address") \
	X(ICMP_SENT,	"icmp_sent",	0, "answered with an ICMP error") \
	X(SEGMENTED,	"segmented",	0, "joined by GRO, sent through the tunnel device to be cut") \
	X(RESEALED,	"resealed",	0, "decrypted from one peer and sealed for another") \
	X(TOO_SHORT,	"too_short",	1, "a header runs past the packet's end") \
	X(NOT_LINEAR,	"not_linear",	1, "packet could not be made linear") \
	X(UNKNOWN_TYPE,	"unknown_type",	1, "on our port, but neither WireGuard nor STUN") \
	X(NO_SESSION,	"no_session",	1, "no live key for this receiver index") \
	X(KEY_EXPIRED,	"key_expired",	1, "session older than 180 s or out of counters") \
	X(REPLAYED,	"replayed",	1, "counter was seen before or is too old") \
	X(BAD_TAG,	"bad_tag",	1, "authentication tag is wrong") \
	X(CONGESTED,	"congested",	1, "outer packet marked CE, inner flow not ECN-capable (RFC 6040)") \
	X(BAD_INNER,	"bad_inner",	1, "inner packet is malformed") \
	X(INNER_CHECKSUM, "inner_checksum", 1, "checksum of the inner IPv4 header is wrong") \
	X(SOURCE_ROUTED, "source_routed", 1, \
		"inner packet names its own way (LSRR or SSRR option, IPv6 routing header)") \
	X(INNER_IPV6,	"inner_ipv6",	1, \
		"IPv6 in a tunnel that carries none, and no ICMPv6 error could be sent") \
	X(MARTIAN,	"martian",	1, \
		"outer source that can be nobody's: loopback, multicast, broadcast, our own") \
	X(NOT_ALLOWED,	"not_allowed",	1, "inner source is not among the peer's allowed IPs") \
	X(ACL_DENIED,	"acl_denied",	1, "no access rule lets it in, or one keeps it out") \
	X(NO_ROUTE,	"no_route",	1, "destination is in no advertised route") \
	X(BAD_DESTINATION, "bad_destination", 1, \
		"destination is loopback, multicast or reserved; IPv6 of one link alone") \
	X(NAT_PORTS,	"nat_ports",	1, "every candidate port was taken") \
	X(NAT_TABLE,	"nat_table",	1, "no free flow record") \
	X(NAT_SHARED_OUT, "nat_share",	1, "the peer holds its share of the flow records") \
	X(NAT_RACE,	"nat_race",	1, \
		"another CPU was creating the same flow, or IPv6 addresses with the same hash have it") \
	X(NAT_PROTO,	"nat_proto",	1, "protocol cannot be translated") \
	X(NAT_NO_FLOW,	"nat_no_flow",	1, "no flow matches") \
	X(TTL_EXPIRED,	"ttl_expired",	1, "TTL or hop limit ran out and no ICMP error could be sent") \
	X(TOO_BIG,	"too_big",	1, "larger than the next link and no ICMP error could be sent") \
	X(NO_FIB,	"no_fib",	1, "the host has no route to it and no ICMP error could be sent") \
	X(BLACKHOLE,	"blackhole",	1, "a blackhole route of the host's") \
	X(UNREACHABLE,	"unreachable",	1, \
		"an unreachable or prohibit route of the host's and no ICMP error could be sent") \
	X(FWD_DISABLED,	"fwd_disabled",	1, \
		"this host does not forward: sysctl net.ipv4.ip_forward or net.ipv6.conf.*.forwarding is 0") \
	X(NO_WAY_BACK,	"no_way_back",	1, \
		"leads to a device without our program, or none of our addresses fits: no way for replies") \
	X(NO_NEIGH,	"no_neigh",	1, "next hop's MAC is not known yet") \
	X(NO_PEER,	"no_peer",	1, "mesh address belongs to no peer") \
	X(NO_ENDPOINT,	"no_endpoint",	1, "peer's endpoint is not known") \
	X(ENDPOINT_LOOP, "endpoint_loop", 1, "the way to the peer's endpoint leads into the tunnel itself") \
	X(NO_KEY,	"no_key",	1, "no session to send with; a handshake was asked for") \
	X(NO_ROOM,	"no_room",	1, "no head or tail room in the frame") \
	X(LOCAL_SOURCE,	"local_source",	1, "inner source is an address of this host") \
	X(RATE_LIMITED,	"rate_limited",	1, "more ICMP errors or copies than allowed") \
	X(QUIET,	"quiet",	1, \
		"of a relay's connection that the next controller has yet to take the place of") \
	X(PREEMPTED,	"preempted",	1, "real-time kernel: another packet was in this CPU's hands") \
	X(INTERNAL,	"internal",	1, "a map or helper failed that never should")

#define TALON_END_ID(id, label, drop, help) TALON_##id,
enum talon_end { TALON_ENDS(TALON_END_ID) TALON_END_COUNT };

enum talon_dir {
	TALON_DIR_IN,		/* mesh client to cluster or host: opened */
	TALON_DIR_OUT,		/* cluster to mesh client, from the wire: sealed */
	TALON_DIR_TUNNEL,	/* this host to mesh client, through wt0: sealed */
	TALON_DIR_ONWARD,	/* either way, on its last step out of the relay pair (config_types.h) */
	TALON_DIR_COUNT
};

#define TALON_STATS_ENTRIES (TALON_DIR_COUNT * TALON_END_COUNT)

#endif
