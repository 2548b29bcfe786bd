# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# docs/troubleshooting.md: each fault is made, and the commands print what the page says.

PAGE=$(dirname "$E2E")/../docs/troubleshooting.md

setup() {
	needs_talon
	topology lap node gw
	servers_up gw
	client_up lap
}

# The command of excerpt NAME, as it was given here, prints the excerpt.
says() { # NAME TALON-ARGUMENT...
	local name=$1
	shift
	talon "$@" --pin-dir "$PIN" >"$RUN/said" 2>&1 || true
	/usr/bin/python3 "$E2E/page.py" "$PAGE" "$name" <"$RUN/said" || { cat "$RUN/said"; fail "the page says otherwise"; }
}

trace_says() { says "$1" trace --from "$2:40000" --to "$3" "${@:4}"; }

test_every_excerpt_has_its_case() {
	equal "excerpts and cases" "$(/usr/bin/python3 "$E2E/page.py" "$PAGE" | sort)" \
		"$(sed -nE 's/^.*\b(trace_)?says ([a-z_]+) .*/\2/p' "$E2E/test_troubleshooting.sh" | sort)"
}

test_what_passes_and_what_does_not() {
	node_up
	fetch_page lap
	trace_says passes 100.64.0.2 $GW:80
	trace_says wrong_source 100.64.0.9 $GW:80 --peer "$(key lap pub)"
	trace_says no_route 100.64.0.2 10.99.99.1:80
	trace_says silent_neighbour 100.64.0.2 192.168.1.99:80
	says keystream status -d
	says programs status -d
}

test_a_source_that_is_not_allowed_is_counted() {
	node_up
	fetch_page lap
	finally "ip -n $P-lap addr del 100.64.0.9/32 dev $(dev lap) 2>/dev/null || true"
	ip -n "$P-lap" addr add 100.64.0.9/32 dev "$(dev lap)"
	not in_ns lap curl -s --interface 100.64.0.9 --max-time 1 "http://$GW/page"
	says drops drops
}

route_counts() { { talon trace --from 100.64.0.2:40000 --to $GW:80 --size 1400 --pin-dir "$PIN" || true; } | grep -c "MTU 1300" >/dev/null; }

test_a_narrow_way() {
	node_up
	fetch_page lap
	finally "ip -n $P-node route del $GW/32 dev eth0 2>/dev/null || true"
	ip -n "$P-node" route add $GW/32 dev eth0 mtu 1300
	wait_for 5 "the route to count" route_counts
	trace_says too_big 100.64.0.2 $GW:80 --size 1400
}

test_a_host_that_does_not_forward() {
	node_up
	finally "in_ns node sysctl -qw net.ipv4.ip_forward=1"
	in_ns node sysctl -qw net.ipv4.ip_forward=0
	wait_for 5 "the check to fail" not talon status --check ready --pin-dir "$PIN"
	says not_forwarding status --check ready
}

test_a_port_that_is_taken() {
	node_down
	spawn taken node $NET udp-serve 0.0.0.0 $PORT "$RUN/log/taken"
	finally "stop taken"
	wait_for 5 "the other program" listening node ":$PORT" u
	says port_taken preflight --uplink eth0
}

test_a_key_that_nobody_knows() {
	node_up
	finally 'wg set "$(dev lap)" private-key <(key lap); client_peer lap'
	wg set "$(dev lap)" private-key <(wg genkey)
	client_peer lap
	in_ns lap ping -c 1 -W 1 $GW >/dev/null || true
	wait_for 5 "the refusal to be counted" eval '[ "$(status .handshakes.unknown_peer)" -gt 0 ]'
	says unknown_peer status -d
}

test_ports_run_out() {
	node_down
	node_up "SNATPorts = 12288-12291"
	in_ns lap bash -c "ulimit -n 4096; $NET udp-flows $GW 7 --count 50" || true
	says ports_short metrics
}

test_the_controller_is_gone() {
	node_down
	node_up
	fetch_page lap
	stop node KILL
	wait_for 10 "the controller to be missed" eval '[ "$(metric talon_controller_up)" = 0 ]'
	says no_controller status
	says no_controller_metrics metrics
	node_down
}
