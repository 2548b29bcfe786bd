# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Failed starts leave the host, and a running datapath, as they were; and a start takes over what an earlier one left incomplete.

setup() {
	topology lap lap2 node gw
	servers_up gw
	client_up lap
	client_up lap2
}

# A fresh start that fails for the reason PATTERN; what it made is gone.
start_fails_cleanly() { # PATTERN [LINE...]
	local pattern=$1
	shift
	snapshot node "$RUN/before"
	write_config node "$RUN/bad.conf" "$@"
	EXIT=1 refused "$RUN/bad.conf" "$pattern"
	snapshot node "$RUN/after"
	same_snapshot "$RUN/before" "$RUN/after"
}

test_start_leaves_nothing_where_the_device_name_is_taken() {
	needs_talon
	node_down
	finally "ip -n $P-node link del wt0"
	ip -n "$P-node" link add wt0 type veth peer name other0
	start_fails_cleanly "wt0 .*is not ours"
}

test_start_leaves_nothing_where_the_far_end_s_name_is_taken() {
	needs_talon
	node_down
	finally "ip -n $P-node link del wt0p"
	ip -n "$P-node" link add wt0p type veth peer name other0
	start_fails_cleanly "wt0p.* is not ours"
}

test_start_leaves_nothing_where_the_route_is_taken() {
	needs_talon
	node_down
	finally "ip -n $P-node route del 100.64.0.0/10"
	ip -n "$P-node" route add 100.64.0.0/10 via 192.168.1.1
	start_fails_cleanly "route 100.64.0.0/10 .* not ours"
}

test_start_leaves_nothing_where_a_peer_s_route_is_taken() {
	needs_talon
	node_down
	finally "ip -n $P-node route del 10.77.0.0/16"
	ip -n "$P-node" route add 10.77.0.0/16 via 192.168.1.1
	start_fails_cleanly "route 10.77.0.0/16 .* not ours" "lap: AllowedIPs = 10.77.0.0/16"
}

test_start_leaves_nothing_where_the_mtu_does_not_fit() {
	needs_talon
	node_down
	start_fails_cleanly "MTU: 1480 does not fit through eth0" "MTU = 1480"
}

test_failing_start_leaves_what_ran_before_running() {
	needs_talon
	node_up
	all_answered lap $GW 1
	stop node KILL
	finally "ip -n $P-node route del 10.77.0.0/16"
	ip -n "$P-node" route add 10.77.0.0/16 via 192.168.1.1
	write_config node "$RUN/bad.conf" "lap: AllowedIPs = 10.77.0.0/16"
	EXIT=1 refused "$RUN/bad.conf" "route 10.77.0.0/16 .* not ours"
	all_answered lap $GW 20
	talon_up node "$RUN/node.conf"
	all_answered lap $GW 20
}

test_pair_of_a_start_that_was_cut_short_is_taken_over() {
	needs_talon
	node_down
	ip -n "$P-node" link add wt0 group 0x54414c4e type veth peer name wt0p group 0x54414c4e
	node_up
	fetch_page lap
	equal "group of wt0" default "$(ip -n "$P-node" -j link show wt0 | jq -r '.[0].group')"
	node_down
	not ip -n "$P-node" link show wt0
}

test_pair_of_others_is_left_alone() {
	needs_talon
	node_down
	finally "ip -n $P-node link del wt0"
	ip -n "$P-node" link add wt0 type veth peer name wt0p
	start_fails_cleanly "is not ours"
}

test_session_of_a_removed_peer_ends_and_its_successor_does_not_inherit_it() {
	local before
	needs_talon
	PEERS=lap node_up
	all_answered lap $GW 1
	stop node KILL
	PEERS=lap2 write_config node "$RUN/node.conf"
	talon_up node "$RUN/node.conf"
	before=$(ends in no_session)
	equal "pings sent and answered" "3 0" "$(ping_counts lap $GW -c 3 -i 0.1 -W 1)"
	between "packets of the removed peer without a session" $((before + 3)) $((before + 100)) "$(ends in no_session)"
	equal "packets taken for its successor's" 0 "$(ends in not_allowed)"
	client_peer lap2
	fetch_page lap2
}

test_new_listen_port_is_used_for_sessions_that_go_on() {
	needs_talon
	node_up
	all_answered lap $GW 1
	stop node TERM
	write_config node "$RUN/node.conf" "ListenPort = 51999"
	talon_up node "$RUN/node.conf"
	wg set "$(dev lap)" peer "$(key node pub)" endpoint $NODE:51999
	all_answered lap $GW 5
	equal "the endpoint that the client knows" "$NODE:51999" "$(wg show "$(dev lap)" endpoints | cut -f2)"
}

test_tunnel_device_that_was_down_has_its_routes_again() {
	needs_talon
	node_up
	all_answered lap $GW 1
	ip -n "$P-node" link set wt0 down
	ip -n "$P-node" link set wt0 up
	wait_for 5 "the route into the mesh" has_mesh_route
	wait_for 5 "the node to reach the client" in_ns node ping -q -c 1 -W 1 "${MESH[lap]}"
}

has_mesh_route() { ip -n "$P-node" route show 100.64.0.0/10 | found wt0; }

test_routes_that_are_no_longer_wanted_go() {
	needs_talon
	node_up "lap: AllowedIPs = 10.88.0.0/16"
	ip -n "$P-node" route show 10.88.0.0/16 | grep wt0
	stop node TERM
	write_config node "$RUN/node.conf"
	talon_up node "$RUN/node.conf"
	equal "the old route" "" "$(ip -n "$P-node" route show 10.88.0.0/16)"
	has_mesh_route
}

test_handshakes_are_counted_and_the_next_controller_counts_on() {
	local before
	needs_talon
	node_up
	client_peer lap
	all_answered lap $GW 1
	wait_for 3 "the handshake to be counted" counted_more_than 0
	stop node KILL
	before=$(status .handshakes.initiation)
	talon_up node "$RUN/node.conf"
	client_peer lap
	all_answered lap $GW 1
	wait_for 3 "the next handshake to be counted" counted_more_than "$before"
	talon status -d --pin-dir "$PIN" | grep "responses_sent"
}

counted_more_than() { [ "$(status .handshakes.initiation)" -gt "$1" ]; }
