# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The metrics server: served while the controller is busy, slow and hostile clients hurt nobody, and a taken place.

PEERS="lap"
URL=http://127.0.0.1:9567

setup() {
	topology lap node gw
	servers_up gw
	client_up lap
}

scrape() { get node "$URL/metrics" "$@"; }

value() { scrape | awk -v name="$1" '$1 == name { print $2 }'; }	# SERIES

code() { in_ns node curl -sS -o "$RUN/answer" -w '%{http_code}' --max-time 10 --noproxy '*' "$URL/$1"; }	# PAGE

has_code() { [ "$(code "$1")" = "$2" ]; }

counted() { [ "$(value "$1")" -ge "$2" ]; }

test_metrics_come_in_the_format_that_prometheus_prefers() {
	needs_talon
	node_up
	fetch_page lap
	scrape -o "$RUN/text" -D "$RUN/head"
	grep -qi '^content-type: text/plain; version=0.0.4' "$RUN/head"
	grep -q '^talon_controller_up 1$' "$RUN/text"
	not grep -q '^# EOF' "$RUN/text"
	scrape -o "$RUN/text" -D "$RUN/head" -H 'Accept: application/openmetrics-text;version=1.0.0,*/*;q=0.1'
	grep -qi '^content-type: application/openmetrics-text; version=1.0.0' "$RUN/head"
	equal "last line" "# EOF" "$(tail -n 1 "$RUN/text")"
	wait_for 5 "the scrapes to be counted" counted 'talon_scrapes_total{result="ok"}' 2
}

test_the_server_prints_what_the_command_prints() {
	needs_talon
	node_up
	fetch_page lap
	# what the clock moves, and what the scrape itself does, is left out
	scrape | grep -Ev '^#|seconds|scrapes|_bytes|run|hand|heartbeat' | sed 's/ .*//' | sort >"$RUN/served"
	talon metrics --pin-dir "$PIN" | grep -Ev '^#|seconds|scrapes|_bytes|run|hand|heartbeat' | sed 's/ .*//' | sort >"$RUN/printed"
	[ "$(wc -l <"$RUN/served")" -gt 60 ] || fail "only $(wc -l <"$RUN/served") series"
	diff "$RUN/printed" "$RUN/served"
}

test_ready_follows_the_datapath() {
	needs_talon
	node_up
	equal "health" 200 "$(code healthz)"
	equal "ready" 200 "$(code readyz)"
	equal "what it says" "$(talon status --check ready --pin-dir "$PIN")" "$(cat "$RUN/answer")"
	finally "in_ns node sysctl -qw net.ipv4.ip_forward=1"
	in_ns node sysctl -qw net.ipv4.ip_forward=0
	wait_for 10 "503" has_code readyz 503
	equal "lines of the reason" 1 "$(wc -l <"$RUN/answer")"
	grep -q '^ready: no: .*ip_forward' "$RUN/answer"
	equal "health" 200 "$(code healthz)"
	in_ns node sysctl -qw net.ipv4.ip_forward=1
	wait_for 10 "200 again" has_code readyz 200
	stop node
	not in_ns node curl -sS --max-time 3 "$URL/metrics"
	node_down
}

# The main thread stands still, in the middle of whatever it does.
test_a_scrape_is_answered_while_the_loop_is_held_busy() {
	local holder
	needs_talon
	node_up
	fetch_page lap
	equal "health" 200 "$(code healthz)"
	python3 "$E2E/hold.py" "$(pid_of node)" &
	holder=$!
	finally "kill $holder 2>/dev/null"
	wait_for 30 "the loop to be missed" has_code healthz 503
	grep -q '^live: no: ' "$RUN/answer"
	scrape >"$RUN/text"
	grep -q '^talon_controller_up 0$' "$RUN/text"
	[ "$(value talon_controller_heartbeat_age_seconds | cut -d. -f1)" -ge 9 ] || fail "the heartbeat is young"
	equal "ready, while it hangs" 503 "$(code readyz)"
	grep -q "^ready: no: the controller hangs" "$RUN/answer"
	fetch_page lap
	kill $holder
	wait_for 10 "the loop to turn again" has_code healthz 200
}

cpu_ms() { # of the server's thread
	local t
	for t in /proc/"$(pid_of node)"/task/*; do
		[ "$(cat "$t/comm")" != metrics ] || awk '{ sub(/.*\) /, ""); print ($12 + $13) * 10 }' "$t/stat"
	done
}

test_two_hundred_slow_connections_hurt_neither_packets_nor_scrapers() {
	local i took most=0 cpu start
	needs_talon
	node_up
	all_answered lap $GW 3
	rm -f "$RUN/stop-slow"
	finally "touch $RUN/stop-slow; finished slow 10; rm -f $RUN/log/slow"
	spawn slow node $NET slow-http 127.0.0.1 9567 "$RUN/stop-slow" --count 200
	wait_for 10 "the flood to be refused" counted 'talon_scrapes_total{result="refused"}' 200
	cpu=$(cpu_ms) start=${EPOCHREALTIME/./}
	spawn flood lap $NET ping $GW -i 0.01 -c 300
	for ((i = 0; i < 20; i++)); do
		took=${EPOCHREALTIME/./}
		scrape --max-time 5 >"$RUN/text"
		took=$((${EPOCHREALTIME/./} - took))
		[ $took -le $most ] || most=$took
		grep -q '^talon_controller_up 1$' "$RUN/text"
	done
	equal "ready" 200 "$(code readyz)"
	finished flood 30
	note "slowest of 20 scrapes in the flood: $((most / 1000)) ms; the server's thread: $((($(cpu_ms) - cpu) * 1000 / ((${EPOCHREALTIME/./} - start) / 1000))) ms of CPU a second"
	equal "pings sent and answered" "300 300" "$(cat "$RUN/log/flood")"
	rm -f "$RUN/log/flood"
}

where_is() { [ "$(status .metrics)" = "$1" ]; }

test_a_taken_default_place_is_a_warning_and_waited_for() {
	needs_talon
	node_down
	finally "stop holder"
	spawn holder node $NET listen 127.0.0.1 9567 --protocol tcp
	wait_for 3 "the port to be taken" listening node "127.0.0.1:9567" t
	rm -f "$RUN/log/node"
	node_up
	wait_for 5 "the warning" grep -q 'warn .*metrics are not served: 127.0.0.1:9567: another program has it' "$RUN/log/node"
	equal "where" "127.0.0.1:9567 (not served)" "$(status .metrics)"
	fetch_page lap
	stop holder
	wait_for 10 "the place to be taken over" grep -q 'info .*metrics are served on 127.0.0.1:9567' "$RUN/log/node"
	equal "health" 200 "$(code healthz)"
	wait_for 5 "status to say so" where_is 127.0.0.1:9567
	equal "warnings about it" 1 "$(grep -c 'metrics are not served' "$RUN/log/node")"
	node_down
}

test_a_taken_place_that_was_asked_for_refuses_the_start() {
	needs_talon
	node_down
	finally "stop holder"
	spawn holder node $NET listen 127.0.0.1 9568 --protocol tcp
	wait_for 3 "the port to be taken" listening node "127.0.0.1:9568" t
	snapshot node "$RUN/before"
	write_config node "$RUN/bad.conf" "Metrics = 127.0.0.1:9568"
	refused "$RUN/bad.conf" "Interface.Metrics: 127.0.0.1:9568: another program has it; write a free"
	write_config node "$RUN/bad.conf" "Metrics = 192.0.2.1:9567"
	refused "$RUN/bad.conf" "Interface.Metrics: 192.0.2.1:9567: this host does not have that address"
	write_config node "$RUN/bad.conf" "Metrics = unix:$RUN/nosuch/socket"
	refused "$RUN/bad.conf" "Interface.Metrics: unix:.*: No such file"
	snapshot node "$RUN/after"
	same_snapshot "$RUN/before" "$RUN/after"
}

test_a_unix_socket_is_served_and_survives_a_killed_controller() {
	needs_talon
	local socket=$RUN/metrics.sock
	node_up "Metrics = unix:$socket"
	equal "mode" 660 "$(stat -c %a "$socket")"
	equal "where" "unix:$socket" "$(status .metrics)"
	get node http://node/metrics --unix-socket "$socket" >"$RUN/text"
	grep -q '^talon_controller_up 1$' "$RUN/text"
	not in_ns node curl -sS --max-time 3 "$URL/metrics"
	stop node KILL
	test -S "$socket"
	talon_up node "$RUN/node.conf"
	get node http://node/metrics --unix-socket "$socket" >"$RUN/text"
	grep -q '^talon_controller_up 1$' "$RUN/text"
	stop node
	not test -e "$socket"
	node_down
}

test_nothing_is_served_where_that_was_asked_for() {
	needs_talon
	node_up "Metrics = off"
	equal "where" off "$(status .metrics)"
	equal "sockets that listen" 0 "$(in_ns node ss -Hltnp | grep -c "pid=$(pid_of node)," || true)"
	node_up
	equal "sockets that listen" 127.0.0.1:9567 "$(in_ns node ss -Hltnp | grep "pid=$(pid_of node)," | awk '{ print $4 }')"
}

test_another_place_waits_for_the_next_start() {
	needs_talon
	node_up
	write_config node "$RUN/node.conf" "Metrics = off" "MetricsPeers = 5"
	kill -HUP "$(pid_of node)"
	wait_for 5 "what waits to be named" grep -q "SIGHUP: Metrics, MetricsPeers: only the next start takes that over" "$RUN/log/node"
	equal "health" 200 "$(code healthz)"
	node_down
}

rss_kib() { awk '/^VmRSS/ { print $2 }' "/proc/$(pid_of node)/status"; }

# What only the start needed went back to the kernel, three seconds after it: 6 MiB of some 16.
start_is_forgotten() { awk '/^VmHWM/ { most = $2 } /^VmRSS/ { now = $2 } END { exit !(now < most - 3072) }' "/proc/$(pid_of node)/status"; }

test_serving_takes_less_than_four_mebibytes() {
	local i off on
	needs_talon
	node_up "Metrics = off"
	fetch_page lap
	wait_for 10 "memory of the start to go back" start_is_forgotten
	off=$(rss_kib)
	node_up "MetricsPeers = 1000" "MetricsAliases = on"
	fetch_page lap
	wait_for 10 "memory of the start to go back" start_is_forgotten
	for ((i = 0; i < 30; i++)); do
		scrape >"$RUN/text"
		scrape -H 'Accept: application/openmetrics-text' >"$RUN/text"
	done
	on=$(rss_kib)
	note "resident: $off KiB without, $on KiB after 60 scrapes of $(wc -c <"$RUN/text") bytes"
	[ $((on - off)) -le 4096 ] || fail "$((on - off)) KiB more"
	node_up
}
