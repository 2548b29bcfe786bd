/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the controller counts and knows beside handshakes (handshake_types.h), written once a second to map
 * "facts" (ARRAY of u64, by enum talon_fact), so that it can be read without the controller. Counters go on
 * from those of earlier controllers; gauges are what the last controller saw, and mean nothing without one.
 * The status text, its JSON and the metrics are made from this list.
 */
#ifndef TALON_FACT_TYPES_H
#define TALON_FACT_TYPES_H

#include "talon/types.h"

enum talon_fact_kind { TALON_FACT_COUNTER, TALON_FACT_GAUGE };

/*
 * X(id, group, label, kind, help): group and label are how status shows it. Shown by status as counters of
 * the mesh are the groups of TALON_FACTS_SHOWN. userspace/metrics/ says which metric each becomes.
 */
#define TALON_FACTS_SHOWN(X) \
	X(DNS_QUERIES, dns, queries, COUNTER, "questions received") \
	X(DNS_REFUSED, dns, refused, COUNTER, "questions for names outside our domains: REFUSED") \
	X(DNS_OTHER_TYPES, dns, other_types, COUNTER, "questions for types that are not passed on: NODATA") \
	X(DNS_MALFORMED, dns, malformed, COUNTER, "messages that are not questions") \
	X(DNS_FAILED, dns, failed, COUNTER, \
		"no name server answered and there was no earlier answer: SERVFAIL") \
	X(DNS_FROM_CACHE, dns, from_cache, COUNTER, \
		"no name server answered, the last good answer was given") \
	X(DNS_DROPPED, dns, dropped, COUNTER, "questions dropped because too many were under way") \
	X(DNS_LIMITED, dns, limited, COUNTER, "questions dropped because one source asked too often") \
	X(DNS_BATCHES, dns, batches, COUNTER, \
		"times that rules and routes were updated for learned addresses") \
	X(DNS_LEARNED, dns, learned, GAUGE, "addresses learned at present") \
	X(DNS_NOT_LEARNED, dns, not_learned, COUNTER, "addresses not learned for lack of room") \
	X(DNS_EVICTED, dns, evicted, COUNTER, "learned addresses that gave way to newer ones") \
	X(DNS_AGED_OUT, dns, aged_out, COUNTER, \
		"learned addresses that their name no longer has, or that nobody asks for") \
	X(SIGNAL_RECEIVED, signal, received, COUNTER, "messages received") \
	X(SIGNAL_SENT, signal, sent, COUNTER, "messages that the server accepted") \
	X(SIGNAL_SEND_FAILED, signal, send_failed, COUNTER, "messages that the server did not accept") \
	X(SIGNAL_UNOPENED, signal, unopened, COUNTER, "messages that could not be decrypted") \
	X(SIGNAL_MALFORMED, signal, malformed, COUNTER, "messages that were decrypted but malformed") \
	X(SIGNAL_IGNORED, signal, ignored, COUNTER, "messages of a type that we do not use") \
	X(SIGNAL_REGISTRATIONS, signal, registrations, COUNTER, "registrations with the server") \
	X(SIGNAL_EVICTIONS, signal, evictions, COUNTER, \
		"times that another process with our key took our place") \
	X(RELAY_RX_PACKETS, relay, rx_packets, COUNTER, "packets from peers") \
	X(RELAY_RX_BYTES, relay, rx_bytes, COUNTER, "bytes from peers") \
	X(RELAY_TX_PACKETS, relay, tx_packets, COUNTER, "packets to peers") \
	X(RELAY_TX_BYTES, relay, tx_bytes, COUNTER, "bytes to peers") \
	X(RELAY_TX_DROPPED, relay, tx_dropped, COUNTER, "packets to peers dropped for lack of room") \
	X(RELAY_RX_UNKNOWN, relay, rx_unknown, COUNTER, "packets from unknown peers") \
	X(RELAY_MALFORMED, relay, malformed, COUNTER, "malformed messages of relays") \
	X(STUN_RECEIVED, stun, received, COUNTER, "STUN messages received") \
	X(STUN_SENT, stun, sent, COUNTER, "STUN messages sent") \
	X(STUN_MALFORMED, stun, malformed, COUNTER, "malformed STUN messages") \
	X(STUN_UNKNOWN_USER, stun, unknown_user, COUNTER, \
		"checks for a peer that we are not connecting to") \
	X(STUN_BAD_INTEGRITY, stun, bad_integrity, COUNTER, "messages with a wrong MESSAGE-INTEGRITY") \
	X(STUN_UNMATCHED, stun, unmatched, COUNTER, "answers without a request of ours") \
	X(STUN_INSIDE, stun, inside, COUNTER, "messages from or to an address inside the mesh") \
	X(LOG_DROPPED, log, dropped, COUNTER, "log lines dropped because standard error was full")

/* In a mesh; zeros with a static file. */
#define TALON_FACTS_MESH(X) \
	X(IS_MESH, mesh, is_mesh, GAUGE, "1: the controller is in a mesh, 0: it serves a static file") \
	X(MANAGEMENT_UP, mesh, management_up, GAUGE, "1: connected to management") \
	X(MANAGEMENT_CONNECTS, mesh, management_connects, COUNTER, \
		"connections to management, the first too") \
	X(SIGNAL_UP, mesh, signal_up, GAUGE, "1: connected to the signal server") \
	X(SIGNAL_CONNECTS, mesh, signal_connects, COUNTER, \
		"connections to the signal server, the first too") \
	X(RELAYS_KNOWN, mesh, relays_known, GAUGE, "relays in use or tried") \
	X(RELAYS_UP, mesh, relays_up, GAUGE, "relays that are connected") \
	X(RELAY_CONNECTS, mesh, relay_connects, COUNTER, "connections to relays, the first too") \
	X(STUNS_KNOWN, mesh, stuns_known, GAUGE, "STUN servers in the network map") \
	X(STUNS_UP, mesh, stuns_up, GAUGE, "STUN servers that answer") \
	X(NEEDS_LOGIN, mesh, needs_login, GAUGE, "1: management does not know this peer (any more)") \
	X(PEERS_DIRECT, mesh, peers_direct, GAUGE, "peers connected directly") \
	X(PEERS_RELAYED, mesh, peers_relayed, GAUGE, "peers connected over a relay") \
	X(PEERS_CONNECTING, mesh, peers_connecting, GAUGE, "peers without a way, which is being looked for") \
	X(PEERS_IDLE, mesh, peers_idle, GAUGE, "peers without a way that nobody needs at present") \
	X(PATH_TO_DIRECT, mesh, path_to_direct, COUNTER, "times that a peer's way became a direct one") \
	X(PATH_TO_RELAY, mesh, path_to_relay, COUNTER, "times that a peer's way became the relay") \
	X(PATH_LOST, mesh, path_lost, COUNTER, "times that a peer's way was lost and there was no other") \
	X(MAPS_RECEIVED, mesh, maps_received, COUNTER, "network maps received") \
	X(MAP_SERIAL, mesh, map_serial, GAUGE, "serial of the network map in force") \
	X(MAP_HELD_BACK, mesh, map_held_back, GAUGE, \
		"1: a suspicious network map is in force, the ways of peers that it took away are kept") \
	X(LOGIN_EXPIRES_S, mesh, login_expires_s, GAUGE, \
		"when this peer's login ends, Unix seconds; 0: never, or not known")

#define TALON_FACTS_PLANE(X) \
	X(APPLIES, plane, applies, COUNTER, "desired states applied") \
	X(APPLIES_FAILED, plane, applies_failed, COUNTER, \
		"desired states of which something could not be applied") \
	X(APPLY_NS, plane, apply_ns, COUNTER, "nanoseconds that applying took in all") \
	X(APPLY_LAST_NS, plane, apply_last_ns, GAUGE, "nanoseconds that the last one took") \
	X(APPLIED_UNIX_S, plane, applied_unix_s, GAUGE, "when that was, Unix seconds") \
	X(HELD_PACKETS, plane, held_packets, GAUGE, "packets held in the controller at present") \
	X(REATTACHED, plane, reattached, COUNTER, \
		"times that a program of ours was gone and was attached again") \
	X(PORTS_HOST_TCP, plane, ports_host_tcp, GAUGE, \
		"TCP ports of the SNAT range that sockets of the host use") \
	X(PORTS_HOST_UDP, plane, ports_host_udp, GAUGE, \
		"UDP ports of the SNAT range that sockets of the host use") \
	X(USED_PEERS, plane, used_peers, GAUGE, "entries used of the peer maps") \
	X(USED_SESSIONS, plane, used_sessions, GAUGE, "entries used of map sessions") \
	X(USED_ALLOWED4, plane, used_allowed4, GAUGE, "entries of map allowed4") \
	X(USED_ROUTES4, plane, used_routes4, GAUGE, "entries of map routes4") \
	X(USED_LOCAL4, plane, used_local4, GAUGE, "entries of map local4") \
	X(USED_HOST4, plane, used_host4, GAUGE, "entries of map host4") \
	X(USED_ALLOWED6, plane, used_allowed6, GAUGE, "entries of map allowed6") \
	X(USED_ROUTES6, plane, used_routes6, GAUGE, "entries of map routes6") \
	X(USED_LOCAL6, plane, used_local6, GAUGE, "entries of map local6") \
	X(USED_HOST6, plane, used_host6, GAUGE, "entries of map host6") \
	X(USED_LINKS, plane, used_links, GAUGE, "entries of map links") \
	X(USED_ACL_SOURCES, plane, used_acl_sources, GAUGE, \
		"IPv4 source prefixes of the access rules in force") \
	X(USED_ACL_DESTINATIONS, plane, used_acl_destinations, GAUGE, "IPv4 destination prefixes of them") \
	X(USED_ACL_SOURCES6, plane, used_acl_sources6, GAUGE, "IPv6 source prefixes of them") \
	X(USED_ACL_DESTINATIONS6, plane, used_acl_destinations6, GAUGE, "IPv6 destination prefixes of them") \
	X(USED_ACL_CLASSES, plane, used_acl_classes, GAUGE, "classes of prefixes and ports of them") \
	X(ACL_RULES, plane, acl_rules, GAUGE, "access rules in force, after equal ones were joined") \
	X(VIPS_HERE, plane, vips_here, GAUGE, "virtual addresses of the cluster that this node holds") \
	X(VIPS_ELSEWHERE, plane, vips_elsewhere, GAUGE, "those that another node holds") \
	X(VIP_SYNCED, plane, vip_synced, GAUGE, "1: this is what the API server says now") \
	X(VIP_ERRORS, plane, vip_errors, COUNTER, "requests to the API server that failed") \
	X(VIP_RESTARTS, plane, vip_restarts, COUNTER, \
		"lists of the API server after the first of each kind") \
	X(SCRAPES, plane, scrapes, COUNTER, "requests for metrics that were answered whole") \
	X(SCRAPES_REFUSED, plane, scrapes_refused, COUNTER, \
		"connections for metrics or health that ended without a whole answer")

#define TALON_FACTS(X) TALON_FACTS_SHOWN(X) TALON_FACTS_MESH(X) TALON_FACTS_PLANE(X)

#define TALON_FACT_ID(id, group, label, kind, help) TALON_FACT_##id,
enum talon_fact { TALON_FACTS(TALON_FACT_ID) TALON_FACTS_ENTRIES };

#endif
