# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The datapath outlives its controller, and leaves nothing after `talon down`.

setup() {
	topology lap node gw
	servers_up gw
	client_up lap
}

# A ping every 10 ms and an upload; what follows happens in the middle of both.
start_load() { # PINGS
	spawn flood lap $NET ping $GW -i 0.01 -c "$1"
	spawn stream lap $NET stream $GW 80 --size 16000000 --rate 4000000 --timeout 20
	wait_for 5 "the load to flow" sent_more "$(wg_bytes lap tx)" 400000
}

sent_more() { [ $(($(wg_bytes lap tx) - $1)) -ge "$2" ]; }

load_lost_nothing() { # PINGS
	finished flood 30
	finished stream 30
	cat "$RUN/log/stream"
	equal "pings sent and answered" "$1 $1" "$(cat "$RUN/log/flood")"
	grep -q "^sent 16000000 bytes" "$RUN/log/stream"
	not grep -q "not the bytes" "$RUN/log/stream"
	rm -f "$RUN/log/flood" "$RUN/log/stream"
}

test_killed_controller_loses_no_packet_and_the_next_one_adopts() {
	local adoptions
	needs_talon
	node_up
	all_answered lap $GW 1
	adoptions=$(datapath adoptions)
	start_load 500
	stop node KILL
	wait_for 2 "a second of traffic without a controller" sent_more "$(wg_bytes lap tx)" 3000000
	talon_up node "$RUN/node.conf"
	load_lost_nothing 500
	equal "adoptions" $((adoptions + 1)) "$(datapath adoptions)"
	fetch_and_put lap medium
}

test_stopped_controller_loses_no_packet_and_the_next_one_adopts() {
	needs_talon
	node_up
	all_answered lap $GW 1
	start_load 400
	stop node TERM
	talon_up node "$RUN/node.conf"
	load_lost_nothing 400
}

test_adopted_sessions_need_no_new_handshake() {
	local before
	needs_talon
	node_up
	all_answered lap $GW 1
	before=$(handshakes lap)
	stop node KILL
	talon_up node "$RUN/node.conf"
	all_answered lap $GW 20
	equal "time of the client's last handshake" "$before" "$(handshakes lap)"
}

test_new_handshake_works_after_adoption() {
	needs_talon
	node_up
	stop node KILL
	talon_up node "$RUN/node.conf"
	client_peer lap
	fetch_and_put lap medium
}

test_killed_keystream_helper_loses_no_packet_and_comes_back() {
	local pid
	needs_talon
	node_up
	all_answered lap $GW 1
	pid=$(status .keystream.pid)
	start_load 400
	kill -KILL "$pid"
	load_lost_nothing 400
	wait_for 10 "another helper" another_helper "$pid"
}

another_helper() { [ "$(status .keystream.pid)" != "$1" ] && [ "$(status .keystream.helper)" = running ]; }

test_hung_controller_hinders_neither_packets_nor_status() {
	local pid start took
	needs_talon
	node_up
	all_answered lap $GW 1
	pid=$(pid_of node)
	finally "kill -CONT $pid"
	kill -STOP "$pid"
	fetch_and_put lap medium
	start=${EPOCHREALTIME/./}
	talon status --pin-dir "$PIN" >"$RUN/log/status"
	took=$((${EPOCHREALTIME/./} - start))
	between "microseconds that status took" 0 100000 $took
	grep -qi "xdp" "$RUN/log/status"
	wait_for 15 "the liveness check to notice" not talon status --check live --pin-dir "$PIN"
	kill -CONT "$pid"
	wait_for 5 "the liveness check to recover" talon status --check live --pin-dir "$PIN"
}

test_status_answers_when_the_controller_is_dead() {
	local start
	needs_talon
	node_up
	all_answered lap $GW 1
	stop node KILL
	start=${EPOCHREALTIME/./}
	talon status --pin-dir "$PIN" >"$RUN/log/status" || true
	between "microseconds that status took" 0 100000 $((${EPOCHREALTIME/./} - start))
	grep -qi "xdp" "$RUN/log/status"
	wait_for 6 "the liveness check to notice" not talon status --check live --pin-dir "$PIN"
	talon_up node "$RUN/node.conf"
	talon status --check live --pin-dir "$PIN"
}

test_checks_agree_with_what_runs() {
	local check
	needs_talon
	node_up
	for check in live ready startup datapath; do talon status --check $check --pin-dir "$PIN"; done
	node_down
	for check in live ready startup datapath; do not talon status --check $check --pin-dir "$PIN"; done
}

test_second_controller_is_refused() {
	needs_talon
	node_up
	all_answered lap $GW 1
	refused "$RUN/node.conf" "Talon already runs on .* \(pid $(pid_of node)\)"
	fetch_page lap
	alive node
}

test_changed_configuration_is_taken_over_without_losing_packets() {
	needs_talon
	node_up
	all_answered lap $GW 1
	start_load 400
	stop node TERM
	write_config node "$RUN/node.conf" "Route = 192.168.1.0/24 masquerade" "Route = 10.50.0.0/16 nomasquerade"
	talon_up node "$RUN/node.conf"
	load_lost_nothing 400
	talon status -d --pin-dir "$PIN" | grep 10.50.0.0/16
}

test_down_leaves_nothing_behind() {
	needs_talon
	node_down
	snapshot node "$RUN/before"
	node_up
	fetch_and_put lap medium
	bpf_ids >"$RUN/ids"
	between "BPF objects in use" 10 1000 "$(wc -l <"$RUN/ids")"
	node_down
	wait_for 5 "programs, maps and links to be freed" bpf_gone "$RUN/ids"
	snapshot node "$RUN/after"
	same_snapshot "$RUN/before" "$RUN/after"
}

test_down_works_without_a_controller_and_twice() {
	needs_talon
	node_down
	snapshot node "$RUN/before"
	node_up
	bpf_ids >"$RUN/ids"
	stop node KILL
	talon down --pin-dir "$PIN"
	talon down --pin-dir "$PIN"
	rm -f "$RUN/node.conf"
	wait_for 5 "programs, maps and links to be freed" bpf_gone "$RUN/ids"
	snapshot node "$RUN/after"
	same_snapshot "$RUN/before" "$RUN/after"
}

test_uplink_that_goes_down_and_up_again_carries_on() {
	needs_talon
	node_up
	all_answered lap $GW 1
	ip -n "$P-node" link set eth0 down
	ip -n "$P-node" link set eth0 up
	ip -n "$P-node" route replace default via 192.168.1.1
	wait_for 10 "the tunnel to work again" in_ns lap ping -q -c 1 -W 1 $GW
	fetch_and_put lap medium
}
