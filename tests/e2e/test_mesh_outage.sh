# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Servers and processes die and come back in the middle of traffic: lap has a direct way, lap2 one by the relay.
. "$E2E/mesh/mesh.sh"

setup() {
	mesh_setup lap lap2 node gw
	servers_up gw
	member_up node
	member_up lap
	member_up lap2 NB_FORCE_RELAY=true
	mesh route lan peer=node network=192.168.1.0/24
	usable
}

usable() {
	local h
	for h in lap lap2; do wait_for 15 "the gateway to answer $h" answers $h $GW; done
	direct lap node
	relayed lap2 node
}

# A ping every 10 ms and an upload, while the next steps happen.
start_load() { # HOST PINGS
	rm -f "$RUN/log/flood" "$RUN/log/stream"
	spawn flood "$1" $NET ping $GW -i 0.01 -c "$2" -W 5
	spawn stream "$1" $NET stream $GW 80 --size $(($2 * 20000)) --rate 2000000 --timeout 30
	wait_for 5 "the load to flow" uploaded "$1" 200000
}

uploaded() { [ "$(in_ns "$1" ss -Htin dst $GW | grep -oP 'bytes_acked:\K[0-9]+' | head -n 1)" -ge "$2" ]; }

load_ended() { finished flood 40 && finished stream 40; }

load_lost_nothing() { # PINGS
	load_ended
	cat "$RUN/log/stream"
	equal "pings sent and answered" "$1 $1" "$(cat "$RUN/log/flood")"
	grep -q "^sent $(($1 * 20000)) bytes" "$RUN/log/stream"
	not grep -q "not the bytes" "$RUN/log/stream"
}

still_loaded() { alive flood && alive stream || fail "the load ended too early"; }

relay_is() { [ "$(member_says "$1" '[.relays.details[] | select(.uri | startswith("rel"))] | all(.available) | tostring')" = "$2" ]; }

notices() { # HOST SERVICE true|false: for wait_for
	case $2 in
	relay) relay_is "$1" "$3" ;;
	*) [ "$(member_says "$1" ".$2.connected | tostring")" = "$3" ] ;;
	esac
}

through_a_stop_of() { # SERVICE
	local h connects
	finally "mesh start $1"
	usable
	wait_for 5 "the metrics to say connected" measures "$1" 1
	connects=$(metric "talon_$1_connects_total")
	start_load lap 400
	mesh stop "$1"
	for h in node lap; do wait_for 5 "$h to notice" notices $h "$1" false; done
	wait_for 5 "the metrics to say not connected" measures "$1" 0
	mesh start "$1"
	for h in node lap lap2; do wait_for 20 "$1 to be back for $h" notices $h "$1" true; done
	load_lost_nothing 400
	wait_for 5 "the metrics to say connected again" measures "$1" 1
	[ "$(metric "talon_$1_connects_total")" -gt "$connects" ] || fail "no new connection was counted"
}

metric() { member node metrics | awk -v series="$1" '$1 == series { print $2 }'; }	# SERIES

measures() { # SERVICE 0|1: for wait_for
	case $1 in
	relay) [ "$(metric 'talon_relays{state="connected"}')" = "$2" ] ;;
	*) [ "$(metric "talon_$1_connected")" = "$2" ] ;;
	esac
}

management_is() { [ "$(member_says "$1" ".management.connected | tostring")" = "$2" ]; }	# HOST true|false

# Maps still could come: Sync is open. Who looks is told all the same that nobody answers.
test_server_that_takes_calls_and_answers_none_is_shown_as_down() {
	wait_for 10 "management to be connected" management_is node true
	mesh delay isHealthy 8 1
	wait_for 10 "status to say that it is down" management_is node false
	says_why node
	wait_for 15 "management to be connected again" management_is node true
	direct lap node
	relayed lap2 node
}

# The server's own clock for the call may end it a moment before the client's does.
says_why() {
	member "$1" status -d | found -E "^Management: Disconnected, reason: .*(no answer from .* within 5 s|DeadlineExceeded)"
}

test_management_stops_and_comes_back_without_a_lost_packet() { through_a_stop_of management; }
test_signal_stops_and_comes_back_without_a_lost_packet() { through_a_stop_of signal; }
test_relay_stops_and_comes_back_without_a_lost_packet_on_a_direct_way() { through_a_stop_of relay; }

test_all_servers_are_killed_and_come_back_without_a_lost_packet() {
	local h service
	usable
	start_load lap 500
	mesh_stop KILL
	for h in node lap; do wait_for 5 "$h to notice" notices $h management false; done
	mesh_start mesh $MESH_HOST
	for h in node lap lap2; do
		for service in management signal relay; do wait_for 20 "$service to be back for $h" notices $h $service true; done
	done
	load_lost_nothing 500
	usable
}

test_relayed_way_comes_back_with_the_relay() {
	local start
	finally "mesh start relay"
	usable
	start_load lap2 200
	mesh stop relay
	wait_for 5 "lap2 to notice" notices lap2 relay false
	start=${EPOCHREALTIME/./}
	mesh start relay
	wait_for 20 "the gateway to answer" answers lap2 $GW
	note "relayed way back after $(((${EPOCHREALTIME/./} - start) / 1000)) ms"
	load_ended
	grep -q "^sent 4000000 bytes" "$RUN/log/stream"
	not grep -q "not the bytes" "$RUN/log/stream"
}

test_new_relay_tokens_disturb_nobody() {
	local came
	usable
	came=$(mesh_said "came to rel")
	start_load lap2 200
	mesh token 7200
	mesh token 7200
	mesh config
	load_lost_nothing 200
	equal "connections to the relay" "$came" "$(mesh_said "came to rel")"
}

mesh_said() { grep -c "$1" "$RUN/log/mesh.now" || true; }

test_killed_controller_loses_no_packet_and_the_next_one_goes_on() {
	usable
	start_load lap 500
	stop node KILL
	wait_for 3 "traffic without a controller" uploaded lap 2000000
	member_up node
	still_loaded
	load_lost_nothing 500
	wait_for 5 "the sessions to be taken over" member_logged node "took over [0-9]+ sessions"
	usable
}

# Nobody answers the peer's checks, and the node's relay is gone with its process: the datapath still carries.
test_controller_away_until_the_peer_gives_its_checks_up_loses_no_packet() {
	local lines
	usable
	direct lap node
	lines=$(log_lines lap)
	start_load lap 1200
	stop node KILL
	wait_for 10 "the laptop to lose the pair" logged_since lap "$lines" "peer node.*\(pair lost\)"
	member_up node
	direct lap node
	still_loaded
	load_lost_nothing 1200
	usable
}

# As pods that are killed and replaced: each is gone again before the laptop has found the next pair, and the relay goes with it.
test_controllers_that_are_killed_as_soon_as_they_are_ready_lose_no_packet() {
	local lines
	usable
	direct lap node
	start_load lap 2000
	for _ in 1 2 3 4 5 6; do
		stop node KILL
		lines=$(log_lines node)
		member_start node
		wait_for 10 "the next controller" logged_since node "$lines" " ready: "
	done
	still_loaded
	load_lost_nothing 2000
	usable
}

test_killed_agent_loses_no_packet_and_the_next_one_goes_on() {
	usable
	start_load lap 500
	stop lap KILL
	wait_for 3 "traffic without a controller" uploaded lap 2000000
	member_up lap
	still_loaded
	load_lost_nothing 500
	usable
}

test_another_version_takes_over_without_a_lost_packet() {
	local talon=$TALON
	usable
	start_load lap 400
	stop node TERM
	cp "$TALON" "$RUN/talon-next"
	TALON=$RUN/talon-next
	member_up node
	TALON=$talon
	still_loaded
	load_lost_nothing 400
	usable
}

test_restart_without_any_server_works_by_the_last_map() {
	usable
	mesh_stop KILL
	start_load lap 500
	stop node KILL
	member_up node
	stop lap TERM
	member_up lap
	still_loaded
	load_lost_nothing 500
	wait_for 5 "the gateway to answer" answers lap $GW
	member node status | grep -F "Management: Disconnected"
	member_says node '.talon.mapNote | test("last run")'
	mesh_start mesh $MESH_HOST
	wait_for 20 "management to be back" notices node management true
	member_says node '.talon.mapNote == ""'
	usable
}

# From nothing but the state directory: no pins, no sessions.
test_cold_start_without_management_works_by_the_last_map() {
	local h
	finally "mesh start management"
	usable
	mesh stop management
	stop node KILL
	member node down
	stop lap KILL
	member lap down
	member_up node
	member_up lap
	wait_for 15 "the gateway to answer" answers lap $GW
	direct lap node
	mesh start management
	for h in node lap; do wait_for 20 "management to be back for $h" notices $h management true; done
	usable
}

test_down_tells_the_peers_and_leaves_nothing() {
	local start
	usable
	start=${EPOCHREALTIME/./}
	member_down node
	note "down took $(((${EPOCHREALTIME/./} - start) / 1000)) ms"
	grep -q "going down: peers are told" "$RUN/log/node"
	not ip -n "$P-node" link show wt0
	not ls "$RUN/bpf/node/"
	wait_for 5 "lap to have noticed" not way_of lap node
	member_up node
	usable
}
