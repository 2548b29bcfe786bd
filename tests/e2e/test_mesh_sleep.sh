# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Peers that sleep until there is traffic, and peers that only a relay leads to.
. "$E2E/mesh/mesh.sh"

setup() {
	mesh_setup lap node gw
	ip -n "$P-gw" route add 100.92.0.0/16 via $NODE
	servers_up gw
	member_up node
	member_up lap
	mesh route lan peer=node network=192.168.1.0/24
	ready
	NODE_IP=$(mesh_ip node) LAP_IP=$(mesh_ip lap)
	echo "NODE_IP=$NODE_IP LAP_IP=$LAP_IP" >"$RUN/addresses"
}

ready() {
	wait_for 10 "the route on lap" host_route lap 192.168.1.0/24
	direct lap node
	wait_for 5 "the gateway to answer" answers lap $GW
}

sleeps() { [ "$(about_peer "$1" "$2" status)" = Idle ]; }	# HOST PEER

# Both at once, as if each had told the other.
put_to_sleep() {
	. "$RUN/addresses"
	mesh idle lap node "$RUN/state/lap/default.json"
	mesh idle node lap "$RUN/state/node/default.json"
	wait_for 5 "the node to let lap sleep" sleeps node lap
	wait_for 5 "lap to let the node sleep" sleeps lap node
	sleep 1
	sleeps node lap && sleeps lap node || fail "one of them woke up by itself"
}

test_sleeping_peer_is_woken_by_the_first_packet_and_none_is_lost() { # from either side
	local from to
	for from in lap node; do
		put_to_sleep
		[ $from = lap ] && to=$NODE_IP || to=$LAP_IP
		equal "pings from $from sent and answered" "20 20" "$(ping_counts $from "$to" -c 20 -i 0.05)"
		ready
		equal "drops as no_endpoint on $from" 0 "$(member_says $from '.talon.datapath.packets.tunnel.no_endpoint // 0 | tostring' | tr -d '"')"
	done
}

test_open_connection_goes_on_after_both_slept() {
	finally "stop stream KILL"
	. "$RUN/addresses"
	spawn stream lap $NET stream $GW 80 --size 1500000 --rate 150000 --timeout 60
	wait_for 5 "the upload to flow" sending
	mesh idle lap node "$RUN/state/lap/default.json"
	mesh idle node lap "$RUN/state/node/default.json"
	wait_for 20 "the upload to go on" acked_beyond $(($(acked) + 200000))
	finished stream 60
	ready
}

acked() { in_ns lap ss -Htin dst $GW | grep -oP 'bytes_acked:\K[0-9]+'; }
sending() { [ "$(acked)" -gt 50000 ]; }
acked_beyond() { [ "$(acked)" -gt "$1" ]; }

test_packet_for_a_routed_network_wakes_the_router_that_never_was_awake() {
	finally "stop node; stop lap; member_down_both; member_up node; member_up lap; ready"
	member_down_both
	member_up node NB_LAZY_CONN=on
	member_up lap NB_LAZY_CONN=on
	settled node lap
	wait_for 10 "the route on lap" host_route lap 192.168.1.0/24
	sleep 1
	sleeps node lap && sleeps lap node || fail "they did not wait for traffic"
	equal "pings sent and answered" "10 10" "$(ping_counts lap $GW -c 10 -i 0.05)"
	direct lap node
}

test_lazy_node_begins_idle_and_wakes_who_it_has_a_packet_for() {
	local from
	finally "stop node; stop lap; member_down_both; member_up node; member_up lap; ready"
	member_down_both
	member_up node NB_LAZY_CONN=on
	member_up lap NB_LAZY_CONN=on
	settled node lap
	sleep 1
	sleeps node lap && sleeps lap node || fail "they did not wait for traffic"
	equal "pings sent and answered" "10 10" "$(ping_counts node "$(mesh_ip lap)" -c 10 -i 0.05)"
	direct lap node
	# A restart keeps what is active.
	stop node
	member_start node NB_LAZY_CONN=on
	wait_for 10 "the node to be ready" member_ready_or_dead node
	all_answered lap $GW 50
	wait_for 20 "the node to take it up again" connected lap node
}

# The account's switch, and NB_LAZY_CONN over it in both directions.
test_account_says_who_is_lazy_unless_nb_lazy_conn_does() {
	finally "mesh lazy off; stop node; stop lap; member_down_both; member_up node; member_up lap; ready"
	member_down_both
	mesh lazy on
	member_up node
	member_up lap NB_LAZY_CONN=on
	settled node lap
	lazy_is node true
	sleep 1
	sleeps node lap && sleeps lap node || fail "they did not wait for traffic"
	mesh lazy off
	wait_for 5 "the node to hear of it" lazy_is node false
	direct lap node
	lazy_is lap true
	member_down_both
	mesh lazy on
	member_up node NB_LAZY_CONN=off NB_LAZY_CONN_INACTIVITY_THRESHOLD=30m
	member_up lap NB_LAZY_CONN=off
	direct lap node
	lazy_is node false
	equal "lines about the threshold" 1 "$(log_lines node "NB_LAZY_CONN_INACTIVITY_THRESHOLD: no effect")"
}

lazy_is() { [ "$(member "$1" status -j | jq .lazyConnectionEnabled)" = "$2" ]; }

member_down_both() {
	local h
	for h in node lap; do member "$h" down 2>/dev/null || true; done
}

# Forced relay since 0.70, and every browser: no credentials, no session id; and the answer has none either.
test_peer_without_ice_is_answered_in_kind() {
	finally "mesh delete browser"
	mesh add browser
	settled node
	mesh bare browser node
	wait_for 5 "an answer" mesh_said "ANSWER without credentials, no session id"
	not mesh_said "CANDIDATE"
}

mesh_said() { grep -q "to browser, who is not there: $1" "$RUN/log/mesh.now"; }

# Of two of ours, the one under forced relay says nothing of ICE to a peer that is new enough.
test_peer_without_ice_is_reached_by_relay_alone() {
	finally "stop lap; member lap down; mesh version node 0.77.1+talon; member_up lap; ready"
	member_down lap
	member_up lap NB_FORCE_RELAY=true
	mesh version node 0.77.1
	wait_for 15 "the relay to carry both ways" connected lap node Relayed
	stop lap
	member lap down
	member_up lap NB_FORCE_RELAY=true
	wait_for 15 "the relay to carry both ways" connected lap node Relayed
	wait_for 10 "the gateway to answer" answers lap $GW
	all_answered lap $GW 20
	sleep 13	# longer than an agent would try
	connected lap node Relayed
}
