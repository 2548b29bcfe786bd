# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The node itself as an endpoint: its own sockets, a gateway on it, its pods, and the way back through wt0.

setup() {
	topology lap lap2 node gw
	servers_up gw
	servers_up node
	client_up lap
	client_up lap2
	servers_up lap 100.64.0.2
	ip -n "$P-node" addr add 192.168.1.230/32 dev lo
	servers_up node 192.168.1.230
	pod_add
}

# A pod on the node: its own namespace, routed, with the node as its default gateway.
pod_add() {
	ns_add pod
	ip -n "$P-node" link add pod0 type veth peer name eth0 netns "$P-pod"
	in_ns node ethtool -K pod0 tx off >/dev/null
	ip -n "$P-node" addr add 169.254.1.1/32 dev pod0
	ip -n "$P-node" link set pod0 up
	ip -n "$P-node" route add 10.42.0.5/32 dev pod0
	ip -n "$P-pod" addr add 10.42.0.5/32 dev eth0
	ip -n "$P-pod" link set eth0 up
	ip -n "$P-pod" route add 169.254.1.1/32 dev eth0
	ip -n "$P-pod" route add default via 169.254.1.1 dev eth0
	servers_up pod 10.42.0.5
}

test_the_node_reaches_a_client_from_its_own_sockets() {
	node_up
	all_answered lap $GW 1
	fetch_and_put node large 100.64.0.2
	saw lap 100.64.0.1
	udp_ask node 100.64.0.2 7 --size 1392 --count 5
	all_answered node 100.64.0.2 20 -s 1000
}

test_first_packet_of_the_node_waits_for_the_handshake() {
	node_down
	node_up "lap: Endpoint = 10.99.0.2:$(wg show "$(dev lap)" listen-port)"
	equal "sent and received" "1 1" "$(ping_counts node 100.64.0.2 -c 1 -W 8)"
}

test_client_reaches_the_mesh_address_of_the_node() {
	node_up
	[ -e "$RUN/proc/http-node-100.64.0.1" ] || servers_up node 100.64.0.1
	all_answered lap 100.64.0.1 20
	fetch_page lap 100.64.0.1
	saw node 100.64.0.2
}

local_gateway() { # CONFIG-LINE...
	node_up "Local = 192.168.1.230/32" "$@"
	fetch_and_put lap large 192.168.1.230
	saw node 100.64.0.2
	udp_ask lap 192.168.1.230 7 --size 1300 --count 5
	equal "client of the datagrams" 100.64.0.2 "$(last_seen udp-node client)"
	all_answered lap 192.168.1.230 20
	fetch_page lap
	saw gw $NODE
}

test_gateway_on_the_node_sees_the_mesh_address() {
	needs_talon
	local_gateway
}

test_gateway_on_the_node_is_reached_by_xdp_pass() {
	needs_talon
	local_gateway "HandUp = pass"
}

test_gateway_on_the_node_is_reached_through_the_tunnel_device() {
	needs_talon
	local_gateway "HandUp = tunnel"
}

test_gateway_on_the_node_is_reached_in_tcx_mode() {
	needs_talon
	local_gateway "Datapath = tcx"
}

local_pod() { # CONFIG-LINE...
	node_up "Route = 192.168.1.0/24 masquerade" "Route = 10.42.0.0/16 nomasquerade" "Local = 10.42.0.0/24" "$@"
	fetch_and_put lap large 10.42.0.5
	saw pod 100.64.0.2
	all_answered lap 10.42.0.5 20
	udp_ask lap 10.42.0.5 7 --size 3000 --count 3
}

test_pod_on_the_node_sees_the_mesh_address() { needs_talon; local_pod; }
test_pod_on_the_node_is_reached_by_xdp_pass() { needs_talon; local_pod "HandUp = pass"; }
test_pod_on_the_node_is_reached_through_the_tunnel_device() { needs_talon; local_pod "HandUp = tunnel"; }

test_pod_reaches_a_client() {
	needs_talon
	node_up "Route = 192.168.1.0/24 masquerade" "Route = 10.42.0.0/16 nomasquerade" "Local = 10.42.0.0/24"
	ip -n "$P-lap" route show table 51820 >/dev/null
	all_answered lap $GW 1
	fetch_and_put pod medium 100.64.0.2
	saw lap 10.42.0.5
}

test_spare_address_works_for_gateways_here_and_elsewhere() {
	needs_talon
	node_up "SNAT = 192.168.1.240" "Local = 192.168.1.230/32"
	fetch_and_put lap medium
	saw gw 192.168.1.240
	fetch_and_put lap medium 192.168.1.230
	all_answered lap 192.168.1.230 10
}

test_clients_reach_each_other_where_a_route_says_so() {
	needs_talon
	node_up "Route = 192.168.1.0/24 masquerade" "Route = 100.64.0.0/10 nomasquerade"
	client_peer lap
	client_peer lap2
	wg set "$(dev lap)" peer "$(key node pub)" allowed-ips 192.168.1.0/24,100.64.0.0/24
	wg set "$(dev lap2)" peer "$(key node pub)" allowed-ips 192.168.1.0/24,100.64.0.0/24
	all_answered lap $GW 1		# a client must have called before it can be reached
	fetch_and_put lap2 medium 100.64.0.2
	saw lap 100.64.0.3
}

test_strict_reverse_path_filter_is_named_and_left_alone() {
	needs_talon
	node_down
	finally "in_ns node sysctl -qw net.ipv4.conf.all.rp_filter=0"
	in_ns node sysctl -qw net.ipv4.conf.all.rp_filter=1
	node_up "HandUp = pass"
	talon status -d --pin-dir "$PIN" | grep "rp_filter=1 (strict) on eth0"
	equal "hand-up" pass "$(talon status --json --pin-dir "$PIN" | jq -r .datapath.handUp)"
	equal "rp_filter afterwards" 1 "$(in_ns node sysctl -n net.ipv4.conf.all.rp_filter)"
	node_down
}

test_strict_reverse_path_filter_is_no_hazard_to_hand_up_by_tunnel() {
	needs_talon
	node_down
	finally "in_ns node sysctl -qw net.ipv4.conf.all.rp_filter=0"
	in_ns node sysctl -qw net.ipv4.conf.all.rp_filter=1
	node_up "HandUp = tunnel"
	talon status -d --pin-dir "$PIN" | grep "^Hand-up: tunnel$"
	equal "lines about it" 0 "$(talon status -d --pin-dir "$PIN" | grep -c rp_filter || true)"
	all_answered lap $NODE 3
	node_down
}
