# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# talon metrics: with and without a controller, over restarts, for node_exporter, and by the word of promtool.

setup() {
	needs_talon
	topology lap node gw
	servers_up gw
	client_up lap
}

# Counters of a scrape, "SERIES VALUE"; those of a peer come and go, and the kernel counts runs for each load of a program.
counters() { grep -E '^talon_[a-z_]*_total' "$1" | grep -vE '^talon_(peer|program_run)' | sort; }

never_back() { # BEFORE AFTER
	local back
	back=$(join <(counters "$1") <(counters "$2") | awk '$3 < $2')
	equal "counters that went back" "" "$back"
	equal "series that vanished" "" "$(join -v 1 <(counters "$1") <(counters "$2"))"
}

test_counters_go_on_over_a_killed_controller() {
	node_up
	fetch_and_put lap medium
	wait_for 5 "the applied state to be told" sh -c "[ \"\$(nsenter --net=/run/netns/$P-node $TALON metrics --pin-dir $PIN | sed -n 's/^talon_applies_total{result=.ok.} //p')\" -ge 1 ]"
	metrics >"$RUN/a"
	stop node KILL
	fetch_page lap
	metrics >"$RUN/b"
	never_back "$RUN/a" "$RUN/b"
	talon_up node "$RUN/node.conf"
	fetch_page lap
	wait_for 5 "the next state to be told" sh -c "[ \"\$(nsenter --net=/run/netns/$P-node $TALON metrics --pin-dir $PIN | sed -n 's/^talon_applies_total{result=.ok.} //p')\" -ge 2 ]"
	metrics >"$RUN/c"
	never_back "$RUN/b" "$RUN/c"
	equal "adoptions" 1 $(($(sed -n 's/^talon_datapath_adoptions_total //p' "$RUN/c") - $(sed -n 's/^talon_datapath_adoptions_total //p' "$RUN/a")))
	equal "start of the counters" "$(sed -n 's/^talon_datapath_start_time_seconds \([0-9]*\).*/\1/p' "$RUN/a")" \
		"$(sed -n 's/^talon_datapath_start_time_seconds \([0-9]*\).*/\1/p' "$RUN/c")"
}

test_without_a_controller_nothing_stale_is_told() {
	node_up
	fetch_page lap
	wait_for 5 "gauges of the controller" sh -c "nsenter --net=/run/netns/$P-node $TALON metrics --pin-dir $PIN | grep -q '^talon_apply_last_seconds'"
	equal "the controller" 1 "$(metric talon_controller_up)"
	stop node KILL
	wait_for 10 "the controller to be missed" sh -c "nsenter --net=/run/netns/$P-node $TALON metrics --pin-dir $PIN | grep -qx 'talon_controller_up 0'"
	fetch_page lap
	metrics >"$RUN/dead"
	equal "stale gauges" "" "$(grep -E '^talon_(apply_last_seconds|apply_timestamp_seconds|acl_rules|held_packets|nat_ports_host)[ {]' "$RUN/dead")"
	equal "the datapath" 1 "$(sed -n 's/^talon_hook_attached{kind="xdp",device="eth0"} //p' "$RUN/dead")"
	between "seconds that keys hold" 1 180 "$(sed -n 's/^talon_session_expiry_seconds \([0-9]*\).*/\1/p' "$RUN/dead")"
	node_down
	equal "without a datapath" "0 0" "$(metric talon_controller_up) $(metric talon_datapath_ready)"
}

test_programs_that_the_kernel_times_have_their_time() {
	node_up
	fetch_page lap
	finally "sysctl -qw kernel.bpf_stats_enabled=0"
	sysctl -qw kernel.bpf_stats_enabled=1
	fetch_and_put lap medium
	metrics >"$RUN/timed"
	between "runs of the uplink's program" 100 100000000 "$(sed -n 's/^talon_program_runs_total{program="uplink_xdp"} //p' "$RUN/timed")"
	grep -qE '^talon_program_run_seconds_total\{program="uplink_xdp"\} 0\.[0-9]*[1-9]' "$RUN/timed" || fail "$(grep run_seconds "$RUN/timed")"
}

test_the_peers_with_the_most_traffic_have_series() {
	node_up
	fetch_and_put lap medium
	metrics --peers 1 >"$RUN/peers"
	grep -qF "talon_peer_path{peer=\"$(key lap pub)\",name=\"\",path=\"direct\"} 1" "$RUN/peers" || fail "no series of the laptop"
	equal "peers with series" 1 "$(grep -c '^talon_peer_path' "$RUN/peers")"
	equal "without them" 0 "$(metrics | grep -c '^talon_peer_bytes' || true)"
	grep -qF "wireguard_sent_bytes_total{interface=\"wt0\",public_key=\"$(key lap pub)\"" <(metrics --peers 1 --aliases) || fail "no alias"
}

test_node_exporter_gets_a_whole_file() {
	node_up
	mkdir -p "$RUN/textfile"
	metrics --textfile "$RUN/textfile/talon.prom"
	equal "mode" 644 "$(stat -c %a "$RUN/textfile/talon.prom")"
	grep -qx 'talon_controller_up 1' "$RUN/textfile/talon.prom" || fail "not the metrics"
	equal "files" 1 "$(ls "$RUN/textfile" | wc -l)"
	! metrics --textfile "$RUN/nowhere/talon.prom" 2>"$RUN/why" || fail "a directory was made"
	grep -q 'No such file or directory' "$RUN/why" || fail "$(cat "$RUN/why")"
	not test -e "$RUN/nowhere"
	! metrics --textfile "$RUN/textfile/talon.txt" 2>"$RUN/why" || fail "taken"
	grep -q 'a name that ends in .prom' "$RUN/why" || fail "$(cat "$RUN/why")"
}

test_promtool_finds_nothing() {
	needs promtool
	node_up
	fetch_page lap
	metrics --peers 2 | promtool check metrics
	equal "last line" "# EOF" "$(metrics --openmetrics --peers 2 | tail -n 1)"
}
