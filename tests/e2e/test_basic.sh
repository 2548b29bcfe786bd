# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The basic service: pages, files, datagrams and pings through the tunnel, and counters that match.

setup() {
	topology lap lap2 node gw
	servers_up gw
	client_up lap
	client_up lap2
}

test_the_very_first_packet_is_answered() {
	node_down
	node_up
	equal "sent and received" "1 1" "$(ping_counts lap $GW -c 1 -W 3)"
}

test_a_page_comes_through_the_tunnel() {
	node_up
	fetch_page lap
}

test_the_gateway_sees_the_address_of_the_node() {
	node_up
	fetch_page lap
	equal "client that the gateway saw" $NODE "$(last_seen gw client)"
}

test_the_source_port_is_taken_from_our_range() {
	needs_talon
	node_up
	fetch_page lap
	between "port that the gateway saw" 12288 19999 "$(last_seen gw port)"
	in_ns lap $NET udp $GW 7
	between "UDP port that the gateway saw" 12288 19999 "$(last_seen udp-gw port)"
}

test_a_large_file_arrives_whole_in_both_directions() {
	node_up
	fetch_and_put lap large
}

test_datagrams_of_every_size_come_back_unchanged() {
	local size
	node_up
	for size in 1 15 16 17 63 64 65 127 254 511 1000 1278 1363 1364 1365 1377 1391 1392; do
		in_ns lap $NET udp $GW 7 --size $size --count 3 >/dev/null
	done
}

test_pings_of_many_sizes_come_back() {
	local size
	node_up
	for size in 0 1 40 56 200 512 777 1214 1300 1392; do all_answered lap $GW 5 -s $size; done
}

test_two_clients_ping_the_same_target_with_the_same_id() {
	node_up
	watch_icmp gw
	ping_counts lap $GW -c 50 -i 0.01 -e 77 >"$RUN/ping-lap" &
	all_answered lap2 $GW 50 -e 77
	wait $!
	equal "sent and answered by the other" "50 50" "$(cat "$RUN/ping-lap")"
	# Two ids on the wire, both from the node: each client got its own.
	equal "different ids at the gateway" 2 "$(jq -s '[.[] | select(.type == 8 and .src == "'$NODE'").id] | unique | length' "$RUN/icmp-gw")"
}

test_two_clients_use_the_tunnel_at_once() {
	node_up
	(fetch_and_put lap2 medium) &
	fetch_and_put lap medium
	wait $!
}

test_two_thousand_flows_at_once_all_get_their_answer() {
	node_up
	in_ns lap bash -c "ulimit -n 4096; $NET udp-flows $GW 7 --count 2000"
	equal "different source ports at the gateway" 2000 "$(tail -n 2000 "$RUN/log/seen-udp-gw" | jq -s '[.[].port] | unique | length')"
}

test_datapath_counts_every_packet_once() {
	local in out
	needs_talon
	node_up
	all_answered lap $GW 1
	in=$(ends in forwarded) out=$(ends out forwarded)
	all_answered lap $GW 40
	equal "opened and forwarded" $((in + 40)) "$(ends in forwarded)"
	equal "sealed and forwarded" $((out + 40)) "$(ends out forwarded)"
}

test_both_ends_count_the_same_bytes() {
	needs_talon
	node_down	# counters from zero: what large transfers lost in the client's buffers does not count
	node_up
	all_answered lap $GW 30 -s 700
	udp_ask lap $GW 7 --size 1300 --count 10
	wait_for 3 "Talon's received bytes to equal what the client sent" bytes_agree
}

bytes_agree() {
	[ "$(peer_field lap transferReceived)" = "$(wg_bytes lap tx)" ] && [ "$(peer_field lap transferSent)" = "$(wg_bytes lap rx)" ]
}

test_keepalives_of_the_client_are_counted_and_go_no_further() {
	local seen forwarded
	needs_talon
	node_up
	all_answered lap $GW 1
	seen=$(ends in keepalive) forwarded=$(ends in forwarded)
	wg set "$(dev lap)" peer "$(key node pub)" persistent-keepalive 1
	wait_for 5 "two more keepalives" keepalives_at_least $((seen + 2))
	wg set "$(dev lap)" peer "$(key node pub)" persistent-keepalive 0
	equal "forwarded meanwhile" "$forwarded" "$(ends in forwarded)"
}

keepalives_at_least() { [ "$(ends in keepalive)" -ge "$1" ]; }

test_status_speaks_of_the_peer_the_route_and_the_mode() {
	needs_talon
	node_up
	all_answered lap $GW 1
	talon status -d --pin-dir "$PIN" >"$RUN/log/status"
	grep -F "$(key lap pub)" "$RUN/log/status"
	grep -F "192.168.1.0/24" "$RUN/log/status"
	grep -F "10.99.0.2:$(wg show "$(dev lap)" listen-port)" "$RUN/log/status"
	grep -E 'xdp|tcx|clsact' "$RUN/log/status"
	not grep -F "$(key node)" "$RUN/log/status"
}

test_status_names_what_only_a_mesh_has() {
	local flag
	needs_talon
	for flag in yaml ipv4 ipv6 filter-by-ips=100.64.0.2 filter-by-names=lap filter-by-status=idle filter-by-connection-type=P2P; do
		not talon status --pin-dir "$PIN" "--$flag" >"$RUN/said" 2>&1
		equal "$flag" "talon: status: --${flag%=*} needs a daemon in a mesh, and none runs" "$(cat "$RUN/said")"
	done
}
