# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Source NAT and what belongs to it: ICMP errors, TTL, path MTU, segment size, ports, addresses.

setup() {
	topology lap lap2 node gw
	servers_up gw
	client_up lap
	client_up lap2
}

test_port_unreachable_of_the_gateway_reaches_the_client() {
	node_up
	watch_icmp lap
	udp_ask lap $GW 9999 --no-reply --source-port 40001
	wait_for 3 "the ICMP error at the laptop" icmp_seen lap '.type == 3 and .code == 3 and .src == "'$GW'" and .checksum_ok and
		(.inner | .src == "100.64.0.2" and .dst == "'$GW'" and .sport == 40001 and .dport == 9999 and .checksum_ok)'
}

test_port_unreachable_of_the_client_reaches_the_gateway() {
	local port
	node_up
	watch_icmp gw
	udp_ask lap $GW 7 --no-reply --order "late:0.3;"
	wait_for 3 "the request at the gateway" last_seen_has udp-gw
	port=$(last_seen udp-gw port)
	wait_for 3 "the ICMP error at the gateway" icmp_seen gw '.type == 3 and .code == 3 and .src == "'$NODE'" and .checksum_ok and
		(.inner | .src == "'$GW'" and .dst == "'$NODE'" and .sport == 7 and .dport == '"$port"' and .checksum_ok)'
}

last_seen_has() { [ -s "$RUN/log/seen-$1" ]; }

test_time_exceeded_tells_the_client_of_the_hop() {
	node_up
	watch_icmp lap
	udp_ask lap $GW 7 --no-reply --ttl 1 --source-port 40002
	wait_for 3 "time exceeded at the laptop" icmp_seen lap '.type == 11 and .code == 0 and .src == "100.64.0.1" and .checksum_ok and
		(.inner | .src == "100.64.0.2" and .dst == "'$GW'" and .sport == 40002 and .dport == 7)'
}

test_the_hop_costs_exactly_one_ttl() {
	node_up
	watch_icmp gw
	all_answered lap $GW 1 -t 10
	wait_for 3 "the echo request at the gateway" icmp_seen gw '.type == 8 and .src == "'$NODE'" and .ttl == 9'
}

# The way to the gateway takes 1300 bytes until the end of the case.
narrow_way_to_the_gateway() {
	ip -n "$P-node" route add $GW/32 dev eth0 mtu lock 1300	# bpf_fib_lookup obeys a route's MTU only if locked
	finally "ip -n $P-node route del $GW/32 dev eth0; ip -n $P-lap route flush cache"
}

test_too_big_for_the_cluster_is_told_to_the_client() {
	node_up
	all_answered lap $GW 1
	watch_icmp lap
	narrow_way_to_the_gateway
	udp_ask lap $GW 7 --df on --size 1372 --no-reply --source-port 40003
	wait_for 3 "fragmentation needed at the laptop" icmp_seen lap '.type == 3 and .code == 4 and .mtu == 1300 and .checksum_ok and
		(.inner | .src == "100.64.0.2" and .sport == 40003)'
}

test_too_big_without_df_is_fragmented_towards_the_cluster() {
	node_up
	narrow_way_to_the_gateway
	udp_ask lap $GW 7 --df off --size 1372
}

test_too_big_for_the_tunnel_is_told_to_the_gateway() {
	node_up
	watch_icmp gw
	finally "ip -n $P-gw route flush cache"
	udp_ask lap $GW 7 --no-reply --order "size:1472;"
	wait_for 3 "fragmentation needed at the gateway" icmp_seen gw '.type == 3 and .code == 4 and .mtu == 1420 and .checksum_ok and
		.src == "'$NODE'" and (.inner | .src == "'$GW'" and .dst == "'$NODE'" and .sport == 7 and .checksum_ok)'
}

test_too_big_without_df_is_fragmented_towards_the_client() {
	node_up
	udp_ask lap $GW 7 --order "nodf:1472;" --reply-size 1472 --count 3
}

test_segment_size_is_clamped_in_both_directions() {
	needs_talon
	node_up
	ip -n "$P-lap" link set "$(dev lap)" mtu 1500
	finally "ip -n $P-lap link set $(dev lap) mtu 1420"
	fetch_page lap
	between "segment size at the gateway" 1300 1380 "$(last_seen gw mss)"
	between "segment size at the laptop" 1300 1380 "$(in_ns lap $NET mss $GW 80)"
	fetch_and_put lap medium
}

test_default_mtu_carries_everything_for_clients_with_a_larger_one() {
	node_up "MTU = 1280"
	fetch_and_put lap medium
	udp_ask lap $GW 7 --size 1392 --count 3
}

test_spare_address_is_what_the_gateway_sees() {
	needs_talon
	node_up "SNAT = 192.168.1.240"
	fetch_and_put lap medium
	saw gw 192.168.1.240
	between "port" 1024 65535 "$(last_seen gw port)"
	all_answered lap $GW 20
	udp_ask lap $GW 7 --size 1000 --count 5
	equal "who answers ARP for it" "$(mac_of node)" "$(neighbour gw 192.168.1.240)"
	not grep -q 192.168.1.240 <(ip -n "$P-node" addr)
}

mac_of() { ip -n "$P-$1" -j link show eth0 | jq -r '.[0].address'; }

neighbour() { ip -n "$P-$1" -j neigh show "$2" | jq -r '.[0].lladdr'; }

test_route_without_masquerade_keeps_the_mesh_address() {
	node_up "Route = 192.168.1.0/24 masquerade" "Route = 10.50.0.0/16 nomasquerade"
	ip -n "$P-gw" addr replace 10.50.0.1/32 dev lo
	ip -n "$P-gw" route replace 100.64.0.0/10 via $NODE
	ip -n "$P-node" route replace 10.50.0.0/16 via $GW
	[ -e "$RUN/proc/http-gw-10.50.0.1" ] || servers_up gw 10.50.0.1
	fetch_and_put lap medium 10.50.0.1
	saw gw 100.64.0.2
	udp_ask lap2 10.50.0.1 7 --size 1300 --count 3
	equal "client of the datagrams" 100.64.0.3 "$(last_seen udp-gw client)"
	fetch_page lap
	saw gw $NODE
}

test_one_client_port_keeps_one_port_outside() {
	local first
	needs_talon
	node_up
	ip -n "$P-gw" addr replace 192.168.1.219/24 dev eth0
	[ -e "$RUN/proc/http-gw-192.168.1.219" ] || servers_up gw 192.168.1.219
	udp_ask lap $GW 7 --source-port 40010
	first=$(last_seen udp-gw port)
	udp_ask lap 192.168.1.219 7 --source-port 40010
	equal "port at the second destination (RFC 4787 REQ-1)" "$first" "$(last_seen udp-gw port)"
}

test_ports_run_out_politely_and_never_touch_a_listener() {
	local i before
	needs_talon
	spawn holder node $NET listen 0.0.0.0 15001
	finally "stop holder"
	wait_for 3 "the listener" listening node ":15001" u
	node_up "SNATPorts = 15000-15003"
	watch_icmp lap
	before=$(wc -l <"$RUN/log/seen-udp-gw")
	for i in 1 2 3; do udp_ask lap $GW 7 --source-port $((41000 + i)); done
	equal "ports at the gateway" "15000 15002 15003" \
		"$(tail -n +$((before + 1)) "$RUN/log/seen-udp-gw" | jq -s -r '[.[].port] | sort | map(tostring) | join(" ")')"
	not udp_ask lap $GW 7 --source-port 41009 --timeout 1
	wait_for 3 "administratively prohibited at the laptop (RFC 5508 REQ-8)" icmp_seen lap '.type == 3 and .code == 13 and .inner.sport == 41009'
	between "refused for lack of ports" 1 10 "$(status .flows.refusedNoPort)"
}

test_destination_outside_the_routes_goes_nowhere() {
	local before
	needs_talon
	node_up
	all_answered lap $GW 1
	before=$(ends in no_route)
	equal "answers" "3 0" "$(ping_counts lap 10.42.0.9 -c 3 -i 0.01 -W 1)"
	equal "counted as no_route" $((before + 3)) "$(ends in no_route)"
}

test_foreign_inner_source_goes_nowhere() {
	local before
	needs_talon
	node_up
	all_answered lap $GW 1
	before=$(ends in not_allowed)
	ip -n "$P-lap" addr add 100.64.0.99/32 dev "$(dev lap)"
	finally "ip -n $P-lap addr del 100.64.0.99/32 dev $(dev lap)"
	equal "answers" "3 0" "$(ping_counts lap $GW -I 100.64.0.99 -c 3 -i 0.01 -W 1)"
	equal "counted as not_allowed" $((before + 3)) "$(ends in not_allowed)"
}

test_icmp_error_does_not_end_a_mapping() {
	local port
	node_up
	udp_ask lap $GW 7 --source-port 40020
	port=$(last_seen udp-gw port)
	in_ns gw $NET icmp-error $NODE $NODE $GW "$port" 7
	udp_ask lap $GW 7 --source-port 40020
	equal "port after the error" "$port" "$(last_seen udp-gw port)"
}

test_the_nodes_own_errors_stay_with_the_node() {
	node_up
	# A connected socket on the node itself hears that nobody listens.
	not udp_ask node $GW 9999 >"$RUN/log/refused" 2>&1
	grep -q "Connection refused" "$RUN/log/refused"
}
