/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every metric family, written once: the enum, the exposition and docs/metrics.md are made from this list.
 */
#ifndef TALON_METRICS_METRIC_ROWS_H
#define TALON_METRICS_METRIC_ROWS_H

/*
 * X(id, name, type, unit, labels, most series, help): @name without "talon_" and, for counters,
 * without "_total";
 * @unit: the name's suffix that OpenMetrics declares, or ""; @labels: names with commas between them;
 * @series: how many one target can have at most, in words.
 */

/* What runs. */
#define METRICS_STATE(X) \
	X(BUILD, build, INFO, "", "version,layout", "1", \
		"The version of the program that prints this, and its map layout.") \
	X(NODE, node, INFO, "", "kernel,mode,interface,address,public_key", "1", \
		"Kernel release, how programs are attached, tunnel device, mesh address and public " \
		"key.") \
	X(CONTROLLER_BUILD, controller_build, INFO, "", "version", "1", \
		"The version of the controller that ran last.") \
	X(FEATURE, feature_enabled, GAUGE, "", "feature", "8", \
		"1 if the datapath works with this feature.") \
	X(CONTROLLER_UP, controller_up, GAUGE, "", "", "1", \
		"1 if the controller runs and its loop turns. The datapath goes on without it while " \
		"keys last.") \
	X(CONTROLLER_START, controller_start_time_seconds, GAUGE, "seconds", "", "1", \
		"When the controller that ran last started, Unix time.") \
	X(CONTROLLER_BEAT, controller_heartbeat_age_seconds, GAUGE, "seconds", "", "1", \
		"How long ago the controller's loop last turned; it does about once a second.") \
	X(READY, datapath_ready, GAUGE, "", "", "1", \
		"1 if packets can be served (talon status --check ready).") \
	X(ATTACHED, hook_attached, GAUGE, "", "kind,device", "at most 56", \
		"1 if our program is attached there, 0 if it should be and is not.") \
	X(DATAPATH_START, datapath_start_time_seconds, GAUGE, "seconds", "", "1", \
		"When the maps were made, Unix time: all counters began at zero then.") \
	X(ADOPTIONS, datapath_adoptions, COUNTER, "", "", "1", \
		"Times that a new controller took over the running datapath.") \
	X(REATTACHED, datapath_reattached, COUNTER, "", "", "1", \
		"Times that a program was gone and was attached again.") \
	X(BLOCKED, datapath_blocked, GAUGE, "", "reason", "4", \
		"1 if this keeps packets from flowing though all is attached.") \
	X(HAZARDS, hazards, GAUGE, "", "", "1", \
		"Conditions on this host that can break forwarding (talon status names them).") \
	X(CLOCK, node_time_seconds, GAUGE, "seconds", "", "1", "This host's clock, Unix time.") \
	X(SCRAPES, scrapes, COUNTER, "", "result", "2", \
		"Requests for these metrics answered whole (ok), and connections to their server that " \
		"ended without a whole answer (refused).")

/* Packets. */
#define METRICS_PACKETS(X) \
	X(SEEN, program_packets, COUNTER, "", "program", "3", \
		"Packets that the kernel gave to a program: the sum of passed, packets and drops, " \
		"exactly.") \
	X(PASSED, program_passed_packets, COUNTER, "", "program", "3", \
		"Packets that are not ours, left to the host as they came.") \
	X(PACKETS, packets, COUNTER, "", "direction,outcome", "40", \
		"Packets of ours by how they ended, other than by a drop.") \
	X(DROPS, drops, COUNTER, "", "direction,reason", "164, one for each direction and reason", \
		"Packets dropped, by reason.") \
	X(TRAFFIC_PACKETS, tunnel_packets, COUNTER, "", "direction,path,family,crypto", "16", \
		"WireGuard data messages opened (receive) and sealed (transmit), keepalives too.") \
	X(TRAFFIC_BYTES, tunnel_bytes, COUNTER, "bytes", "direction,path,family,crypto", "16", \
		"Bytes of those messages, headers and tags included.") \
	X(RUNS, program_runs, COUNTER, "", "program", "5", \
		"Runs of a program while the kernel counts them (sysctl kernel.bpf_stats_enabled).") \
	X(RUN_SECONDS, program_run_seconds, COUNTER, "seconds", "program", "5", \
		"Time that those runs took.") \
	X(SLOW_DATA, slow_messages, COUNTER, "", "result", "2", \
		"Data messages that reached the controller's socket: passed to the datapath, or " \
		"dropped for lack of a session or room.") \
	X(WATCHED, watched_packets, COUNTER, "", "kind", "5", \
		"Packets shown to talon drops and talon capture, and packets that they miss.") \
	X(WATCHING, watching, GAUGE, "", "kind", "2", \
		"1 while somebody follows drops, or captures a peer's packets.") \
	X(JUNK, junk_messages, COUNTER, "", "", "1", \
		"Messages at the controller's socket that are not WireGuard.")

/* Handshakes, sessions, peers. */
#define METRICS_PEERS(X) \
	X(HANDSHAKES, handshake_messages, COUNTER, "", "result", "18", \
		"Handshake messages received, by result.") \
	X(HANDSHAKES_SENT, handshake_sent_messages, COUNTER, "", "type", "3", \
		"Handshake messages sent, by type.") \
	X(HANDSHAKES_GAVE_UP, handshake_attempts_given_up, COUNTER, "", "", "1", \
		"Attempts that ended without an answer after 90 s.") \
	X(HANDSHAKE_ERRORS, handshake_errors, COUNTER, "", "kind", "2", \
		"Messages that could not be sent, and maps that could not be written.") \
	X(CLOCK_TROUBLE, clock_trouble, COUNTER, "", "kind", "2", \
		"Initiations from the future (a peer's clock is ahead), and leaps of this host's " \
		"clock.") \
	X(SESSIONS, sessions, GAUGE, "", "", "1", "Peers that have a session to send with.") \
	X(SESSION_EXPIRY, session_expiry_seconds, GAUGE, "seconds", "", "1", \
		"How long the shortest session of a peer that was heard in the last 180 s still " \
		"holds. Absent without one.") \
	X(PEERS, peers, GAUGE, "", "state", "3", \
		"Peers by state: connected (handshake at most 180 s ago, and a session), idle, " \
		"never.") \
	X(PEERS_PATH, peer_paths, GAUGE, "", "path", "4", \
		"Peers of a mesh by how they are reached: direct, relay, connecting, idle.") \
	X(PATH_CHANGES, peer_path_changes, COUNTER, "", "to", "3", \
		"Times that a peer's way became a direct one, the relay, or none.") \
	X(PEER_NEWEST, newest_handshake_age_seconds, GAUGE, "seconds", "", "1", \
		"How long ago the last handshake with any peer was. Absent without one.") \
	X(PEER_BYTES, peer_bytes, COUNTER, "bytes", "direction,peer,name", \
		"2 for each peer shown", \
		"Bytes from and to a peer. With --metrics-peers.") \
	X(PEER_PACKETS, peer_packets, COUNTER, "", "direction,peer,name", \
		"2 for each peer shown", \
		"Data messages from and to a peer. With --metrics-peers.") \
	X(PEER_HANDSHAKE, peer_last_handshake_timestamp_seconds, GAUGE, "seconds", "peer,name", \
		"1 for each peer shown", \
		"When the last handshake was, Unix time. With --metrics-peers.") \
	X(PEER_PATH, peer_path, GAUGE, "", "peer,name,path", "1 for each peer shown", \
		"1: how the peer is reached, direct, relay or none. With --metrics-peers.") \
	X(PEER_LATENCY, peer_latency_seconds, GAUGE, "seconds", "peer,name", "1 for each peer shown", \
		"Round trip of the last check of the direct way. With --metrics-peers.") \
	X(PEER_FLOWS, peer_flows, GAUGE, "", "peer,name", "1 for each peer shown", \
		"Flow records in the peer's share. With --metrics-peers.") \
	X(OTHER_PEERS, other_peers, GAUGE, "", "", "1", \
		"Peers that have no series of their own. With --metrics-peers.") \
	X(OTHER_BYTES, other_peers_bytes, GAUGE, "bytes", "direction", "2", \
		"Bytes from and to them. A gauge, as peers come and go. With --metrics-peers.")

/* NAT. */
#define METRICS_NAT(X) \
	X(FLOWS, nat_flows, GAUGE, "", "", "1", "Flows now.") \
	X(RECORDS, nat_records, GAUGE, "", "", "1", "Flow records there is room for.") \
	X(RECORDS_HELD, nat_records_held, GAUGE, "", "", "1", \
		"Records that are not free: of live flows, and of ended ones that are not free yet.") \
	X(PRESSURE, nat_pressure_ratio, GAUGE, "ratio", "", "1", "Records held, as a part of the room.") \
	X(SHARE, nat_share_records, GAUGE, "", "", "1", "Records that one peer may hold now.") \
	X(FLOWS_CREATED, nat_flows_opened, COUNTER, "", "", "1", "Flows created.") \
	X(FLOWS_EXPIRED, nat_flows_expired, COUNTER, "", "", "1", "Flows ended.") \
	X(FLOWS_HASTENED, nat_flows_hastened, COUNTER, "", "", "1", \
		"Flows ended early, for room; among the ended ones.") \
	X(FLOWS_SHARED, nat_flows_shared_port, COUNTER, "", "", "1", \
		"Flows created on a port that another client's flow has, too.") \
	X(FLOWS_REFUSED, nat_flows_refused, COUNTER, "", "reason", "3", \
		"Flows refused: no port, no record, or the peer's share was used up.") \
	X(FLOW_RACES, nat_flow_races, COUNTER, "", "", "1", \
		"Flows given up because another CPU was creating the same.") \
	X(PORTS_USED, nat_ports_used, GAUGE, "", "protocol", "3", "External ports (ICMP: ids) in use.") \
	X(PORTS, nat_ports, GAUGE, "", "", "1", "Ports in the SNAT range.") \
	X(PORTS_HOST, nat_ports_host, GAUGE, "", "protocol", "2", \
		"Ports of the range that sockets of the host use, which no flow gets.")

/* Maps and queues. */
#define METRICS_MAPS(X) \
	X(MAP_ENTRIES, map_entries, GAUGE, "", "map", "30", \
		"Entries in use of a map that can become full.") \
	X(MAP_LIMIT, map_entries_limit, GAUGE, "", "map", "30", "Entries that fit.") \
	X(MAP_BYTES, map_memory_bytes, GAUGE, "bytes", "map", "65, one for each map", \
		"Memory of a map, as the kernel charges it.") \
	X(RING_BYTES, ring_bytes, GAUGE, "bytes", "ring", "4", \
		"Bytes in a ring buffer that its reader has not read yet.") \
	X(RING_LIMIT, ring_limit_bytes, GAUGE, "bytes", "ring", "4", "Bytes that fit.") \
	X(HELD, held_packets, GAUGE, "", "", "1", \
		"Packets that wait in the controller for a session, a next hop or a fragment.") \
	X(HELD_DROPPED, held_packets_dropped, COUNTER, "", "", "1", "Held packets that were given up.") \
	X(LOG_DROPPED, log_lines_dropped, COUNTER, "", "", "1", \
		"Log lines dropped because standard error was full.")

/* Keystream made ahead. */
#define METRICS_KEYSTREAM(X) \
	X(HELPER_UP, keystream_helper_up, GAUGE, "", "", "1", \
		"1 if the helper runs. Absent where keystream is not made ahead.") \
	X(HELPER, keystream_helper, INFO, "", "engine", "1", "The library that makes the keystream.") \
	X(SLOTS, keystream_slots, GAUGE, "", "", "1", "Slots there are.") \
	X(SLOTS_ASSIGNED, keystream_slots_assigned, GAUGE, "", "", "1", \
		"Slots that belong to a window of a session.") \
	X(WINDOWS, keystream_windows, GAUGE, "", "", "1", \
		"Windows: one for each direction of a busy session.") \
	X(SLOTS_MADE, keystream_slots_made, COUNTER, "", "", "1", "Slots filled.") \
	X(SLOTS_WASTED, keystream_slots_wasted, COUNTER, "", "", "1", "Slots filled and never used.") \
	X(GAP, keystream_helper_gap_seconds, GAUGE, "seconds", "", "1", \
		"The longest time lately that the helper was not run.")

/* The mesh. Absent with a static file, and gauges without a controller. */
#define METRICS_MESH(X) \
	X(MANAGEMENT_UP, management_connected, GAUGE, "", "", "1", "1 if connected to management.") \
	X(MANAGEMENT_CONNECTS, management_connects, COUNTER, "", "", "1", \
		"Connections to management, the first too.") \
	X(SIGNAL_UP, signal_connected, GAUGE, "", "", "1", "1 if connected to the signal server.") \
	X(SIGNAL_CONNECTS, signal_connects, COUNTER, "", "", "1", \
		"Connections to the signal server, the first too.") \
	X(SIGNAL_MESSAGES, signal_messages, COUNTER, "", "direction,result", "6", "Signal messages.") \
	X(SIGNAL_REGISTRATIONS, signal_registrations, COUNTER, "", "", "1", \
		"Registrations with the signal server.") \
	X(SIGNAL_EVICTIONS, signal_evictions, COUNTER, "", "", "1", \
		"Times that another process with our key took our place.") \
	X(RELAYS, relays, GAUGE, "", "state", "2", "Relays: known, and connected.") \
	X(RELAY_CONNECTS, relay_connects, COUNTER, "", "", "1", "Connections to relays, the first too.") \
	X(RELAY_PACKETS, relay_packets, COUNTER, "", "direction", "2", "Packets over relays.") \
	X(RELAY_BYTES, relay_bytes, COUNTER, "bytes", "direction", "2", "Bytes of them.") \
	X(RELAY_DROPS, relay_drops, COUNTER, "", "reason", "3", \
		"Packets and messages of relays that were dropped.") \
	X(STUNS, stun_servers, GAUGE, "", "state", "2", "STUN servers: known, and answering.") \
	X(STUN_MESSAGES, stun_messages, COUNTER, "", "direction", "2", "STUN messages.") \
	X(STUN_DROPS, stun_drops, COUNTER, "", "reason", "5", \
		"STUN messages received that led to nothing.") \
	X(NEEDS_LOGIN, needs_login, GAUGE, "", "", "1", \
		"1 if management does not know this peer (any more).") \
	X(LOGIN_EXPIRES, login_expires_timestamp_seconds, GAUGE, "seconds", "", "1", \
		"When the login of this peer ends, in Unix time; 0 if it does not, or is not known to.") \
	X(MAPS_RECEIVED, network_maps, COUNTER, "", "", "1", "Network maps received.") \
	X(MAP_SERIAL, network_map_serial, GAUGE, "", "", "1", "Serial of the network map in force.") \
	X(MAP_HELD_BACK, network_map_held_back, GAUGE, "", "", \
		"1", "1 if a suspicious network map is in force and the ways of peers that it took away " \
		"are kept.") \
	X(DNS_QUESTIONS, dns_questions, COUNTER, "", "", "1", \
		"Questions that the DNS forwarder received.") \
	X(DNS_RESULTS, dns_trouble, COUNTER, "", "result", "7", \
		"Questions that were not simply passed on and answered.") \
	X(DNS_LEARNED, dns_learned_addresses, GAUGE, "", "", "1", \
		"Addresses learned from answers at present.") \
	X(DNS_LEARNING, dns_learning, COUNTER, "", "event", "4", \
		"Updates of rules for learned addresses, and addresses left out, evicted or aged " \
		"out.") \
	X(APPLIES, applies, COUNTER, "", "result", "2", \
		"Desired states applied, wholly (ok) or not (failed). Also with a static file.") \
	X(APPLY_SECONDS, apply_seconds, COUNTER, "seconds", "", "1", "Time that applying them took.") \
	X(APPLY_LAST, apply_last_seconds, GAUGE, "seconds", "", "1", "Time that the last one took.") \
	X(APPLIED, apply_timestamp_seconds, GAUGE, "seconds", "", "1", "When that was, Unix time.") \
	X(ACL_RULES, acl_rules, GAUGE, "", "", "1", "Access rules in force, after equal ones were joined.") \
	X(VIPS, virtual_addresses, GAUGE, "", "state", "2", \
		"Virtual addresses of the cluster that this node (here) or another one (elsewhere) holds. " \
		"Also with a static file.") \
	X(VIPS_SYNCED, virtual_addresses_synced, GAUGE, "", "", "1", \
		"1 if that is what the API server says now, 0 if it cannot be asked, or is not.") \
	X(VIPS_TROUBLE, virtual_addresses_trouble, COUNTER, "", "kind", "2", \
		"Requests to the API server that failed, and watches that began again with a list.")

#define METRICS(X) \
	METRICS_STATE(X) METRICS_PACKETS(X) METRICS_PEERS(X) METRICS_NAT(X) METRICS_MAPS(X) \
	METRICS_KEYSTREAM(X) METRICS_MESH(X)

#endif
