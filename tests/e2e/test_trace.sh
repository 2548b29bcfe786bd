# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# talon trace: what it says of a packet is what becomes of a real one, and asking changes nothing.

setup() {
	needs_talon
	topology lap lap2 node gw
	servers_up gw
	servers_up gw $GW6
	client_up lap
	client_up lap2
	ip -n "$P-node" route add blackhole 10.66.0.0/24
	ip -n "$P-node" route add unreachable 10.67.0.0/24
	ip -n "$P-node" -6 route add blackhole fd66::/64
	ip -n "$P-node" -6 route add unreachable fd67::/64
	ip -n "$P-lap" -batch - <<-END
		addr add $LAP6/128 dev $(dev lap) nodad
		route add fd64::/64 dev $(dev lap) table 51820
		route add fd01::/64 dev $(dev lap) table 51820
	END
	ip -n "$P-lap" -6 rule add not fwmark 51820 lookup 51820
}

LAP=100.64.0.2 LAP2=100.64.0.3
LAP6=fd64::2 MESH6=fd64::1 NODE6=fd01::221 GW6=fd01::220

served() { # LINE...: with networks that the host itself refuses, and a session with lap
	node_up "Route = 192.168.1.0/24 masquerade" "Route = 10.66.0.0/24 masquerade" "Route = 10.67.0.0/24 masquerade" "KeystreamMemory = 0" "$@"
	fetch_page lap
}

trace() { # EXIT-STATUS ARGUMENT...: the trace is in $RUN/trace.json and, for people, in $RUN/trace
	local rc=0 want=$1
	shift
	talon trace --pin-dir "$PIN" --json "$@" >"$RUN/trace.json" || rc=$?
	talon trace --pin-dir "$PIN" "$@" >"$RUN/trace" || true
	sed 's/^/trace: /' "$RUN/trace"
	equal "exit status of trace $*" "$want" $rc
}

# The step that decided, of the way there or back, says so. A step that did not decide: step.
decided() { # there|back STEP TEXT: the text is a pattern (jq)
	jq -e --arg step "$2" --arg text "$3" ".$1.steps[-1] | select(.decides and .step == \$step and (.text | test(\$text)))" "$RUN/trace.json" ||
		fail "$1: $2 did not decide by \"$3\""
	grep -qF '!! ' "$RUN/trace" || fail "no step is marked"
}

step() { # there|back STEP TEXT
	jq -e --arg step "$2" --arg text "$3" ".$1.steps | map(select((.decides | not) and .step == \$step and (.text | test(\$text)))) | length == 1" \
		"$RUN/trace.json" || fail "$1: nothing like \"$3\" about $2"
}

says() { # JQ-EXPRESSION EXPECTED
	equal "$1" "$2" "$(jq -r "$1" "$RUN/trace.json")"
}

verdict() { # TEXT: of the line for people, and a hint unless it is "passes"
	grep -qF "verdict: $1" "$RUN/trace" || fail "no verdict \"$1\""
	[ "$1" = passes ] || grep -q '^hint: ' "$RUN/trace" || fail "no hint"
}

test_running_connection_is_told_with_the_port_that_it_has() {
	local port
	served
	port=$(last_seen gw port)
	trace 0 --from $LAP --to $GW:80
	says .there.nat.existing true
	says .there.nat.address $NODE
	says .there.nat.port "$port"
	step there session "authentic"
	step there allowedIPs "^100.64.0.2/32 belongs to "
	step there route "^192.168.1.0/24 is served here, masqueraded"
	step there whose "^a device's \\(row 4\\).* leads out by eth0"
	step there mtu "^1500 "
	step there nextHop "^192.168.1.220 at $(ip -n "$P-gw" -j link show eth0 | jq -r '.[0].address')"
	says .back.packet "tcp $GW:80 -> $NODE:$port, 40 bytes"
	step back flow "^it answers 100.64.0.2:.* translated to $NODE:$port"
	step back endpoint "^10.99.0.2:$(wg show "$(dev lap)" listen-port), from $NODE"
	step back nextHop "^192.168.1.1 at "
	step back sealed "opens it as tcp $GW:80 -> $LAP:.*, 40 bytes"
	verdict passes
	every_key_is_documented
}

every_key_is_documented() {
	local key
	for key in $(jq -r '[paths | map(strings)[]] | unique[]' "$RUN/trace.json") $(jq -r '[.there, .back | .steps[].step] | unique[]' "$RUN/trace.json"); do
		grep -qF "\`$key\`" "$E2E/../../docs/trace.md" || fail "docs/trace.md does not have $key"
	done
}

test_new_flow_gets_the_port_that_was_foretold() {
	local port
	served
	trace 0 --from $LAP:5555 --to $GW:7 --proto udp
	says .there.nat.existing false
	port=$(jq .there.nat.port "$RUN/trace.json")
	in_ns lap /usr/bin/python3 -c "import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('$LAP', 5555)); s.settimeout(5); s.sendto(b'x' * 64, ('$GW', 7)); s.recv(64)"
	equal "port that the gateway saw" "$port" "$(last_seen udp-gw port)"
	trace 0 --from $LAP:5555 --to $GW:7 --proto udp
	says .there.nat.existing true
	says .there.nat.port "$port"
}

test_source_that_is_not_the_peers_is_stopped_by_allowed_ips() {
	served
	trace 1 --from 100.64.0.77 --to $GW:80 --peer "$(key lap pub)"
	decided there allowedIPs "in no peer's allowed IPs"
	verdict "dropped: not_allowed: inner source is not among the peer's allowed IPs"
	trace 1 --from $LAP2 --to $GW:80 --peer $LAP
	decided there allowedIPs "belongs to .*, not to "
	trace 1 --from $NODE --to $GW:80 --peer $LAP
	decided there allowedIPs .
}

test_network_that_is_not_served_has_no_route() {
	served
	trace 1 --from $LAP --to 9.9.9.9:443
	decided there route "^9.9.9.9 is in no network that is served here"
	verdict "dropped: no_route"
}

test_routes_that_refuse_are_told_apart() {
	served
	trace 1 --from $LAP --to 10.66.0.1:80
	decided there whose "^nobody's \\(row 5\\): a blackhole route"
	says .there.end blackhole
	verdict "dropped: blackhole"
	trace 1 --from $LAP --to 10.67.0.1:80
	decided there whose "^nobody's \\(row 5\\): an unreachable or prohibit route"
	says .there.end icmp_sent
	says .there.reason unreachable
	says .there.icmp.name "host unreachable"
	verdict "refused: icmp_sent: answered with an ICMP error, \"host unreachable\"; behind it: unreachable"
	trace 1 --from $LAP --to 127.0.0.1:80
	says .there.passes false
}

test_host_that_does_not_forward_is_told() {
	served
	finally "in_ns node sysctl -qw net.ipv4.ip_forward=1"
	in_ns node sysctl -qw net.ipv4.ip_forward=0
	trace 1 --from $LAP --to $GW:80
	decided there whose "does not forward \\(sysctl net.ipv4.ip_forward\\)"
	verdict "dropped: fwd_disabled"
}

# One port for all: the second client to the same server has none.
test_port_that_another_flow_has_is_not_given_away() {
	served "SNATPorts = 12288-12288"
	in_ns lap2 $NET udp $GW 7
	trace 1 --from $LAP2 --to $GW:80
	decided there nat "every candidate port was taken"
	says .there.reason nat_ports
	says .there.icmp.name "administratively prohibited"
	trace 0 --from $LAP2 --to $GW:81
	says .there.nat.port 12288
}

test_traffic_goes_on_while_it_is_asked() {
	local i
	served
	ping_counts lap $GW -c 200 -i 0.005 >"$RUN/pings" &
	for i in 1 2 3 4 5; do trace 0 --from $LAP --to $GW:80; done
	wait $!
	equal "pings sent and answered" "200 200" "$(cat "$RUN/pings")"
}

test_peer_without_a_session_and_one_that_nobody_knows() {
	local rc=0
	MESH[gw]=100.64.0.9
	PEERS="lap lap2 gw" served
	trace 1 --from 100.64.0.9 --to $GW:80
	decided there session "has no session now"
	verdict "dropped: no_session"
	trace 1 --from 100.64.0.1 --to 100.64.0.9:80
	decided there key "no session .* waits for a handshake"
	says .there.end held
	says .there.reason no_key
	talon trace --pin-dir "$PIN" --from $LAP --to $GW --peer nobody 2>"$RUN/said" || rc=$?
	equal "exit status" 2 $rc
	equal "the line" "talon: --peer: the datapath knows no peer 'nobody'; talon status -d lists them" "$(cat "$RUN/said")"
}

test_packet_that_is_too_big_is_refused_with_the_mtu() {
	served
	ip -n "$P-node" route add $GW/32 dev eth0 mtu 1000
	finally "ip -n $P-node route del $GW/32 dev eth0"
	wait_for 5 "the route's MTU to be known" mtu_is 1000
	trace 1 --from $LAP --to $GW:80 --size 1200
	decided there mtu "^1000 .* has 1200: .*fragmentation needed.* MTU 1000"
	says .there.end icmp_sent
	says .there.reason too_big
	says '.there.icmp | "\(.type)/\(.code) \(.mtu)"' "3/4 1000"
	every_key_is_documented
	trace 0 --from $LAP --to $GW:80 --size 1000
	# The other direction: the tunnel is narrower than the wire.
	trace 1 --from $GW:80 --to "$NODE:$(last_seen gw port)" --size 1450
	decided there mtu "^1420 .*has 1450: .*MTU 1420"
	verdict "refused: icmp_sent"
}

mtu_is() { talon trace --pin-dir "$PIN" --json --from $LAP --to $GW:80 | jq -e ".there.mtu == $1"; }

test_packet_to_this_host_is_handed_up() {
	served
	trace 0 --from $LAP --to 100.64.0.1:22
	step there whose "^this host's \\(row 1\\): 100.64.0.1 is an address of its own"
	step there delivery "^handed up"
	says .there.end local
	says .back.origin host
	step back route "leads into wt0"
	step back sealed "opens it as tcp 100.64.0.1:22 -> $LAP:"
	verdict passes
}

test_packet_from_this_host_and_its_answer() {
	served
	trace 0 --from 100.64.0.1 --to $LAP
	says .there.origin host
	step there whose "is among the allowed IPs of"
	step there sealed "opens it as icmp 100.64.0.1 -> $LAP, echo request"
	says .back.end local
	trace 1 --from 100.64.0.1 --to 9.9.9.9
	decided there route "does not lead into wt0"
	says .there.end null
}

test_neighbour_that_does_not_answer_holds_the_packet() {
	served
	ip -n "$P-node" neigh flush dev eth0 to 192.168.1.77
	trace 1 --from $LAP --to 192.168.1.77:80
	decided there nextHop "^192.168.1.77: neighbour not resolved yet: the packet would be held"
	says .there.end held
	says .there.reason no_neigh
}

test_packet_of_the_network_is_claimed_or_left_alone() {
	local port
	served
	port=$(last_seen gw port)
	trace 0 --from $GW:80 --to "$NODE:$port"
	says .there.origin network
	step there flow "^it answers $LAP:"
	says .there.end forwarded
	says .back.origin peer
	says .back.nat.port "$port"
	trace 1 --from $GW:80 --to $NODE:23
	decided there flow "left to the host's stack"
	says .there.end null
	trace 1 --from $GW:4444 --to "$NODE:$port"
	says .there.passes false
}

test_two_peers_and_the_answer_that_comes_back() {
	served "Route = 192.168.1.0/24 masquerade" "Route = 100.64.0.0/24"
	fetch_page lap2
	trace 0 --from $LAP --to $LAP2:80
	step there whose "^a peer's \\(row 3\\): 100.64.0.3/32 is among the allowed IPs of"
	says .there.end resealed
	step there sealed "opens it as tcp $LAP:.* -> $LAP2:80"
	says .back.origin peer
	says .back.end resealed
	verdict passes
}

test_endpoint_over_ipv6() {
	served
	finally "client_peer lap"
	client_peer lap endpoint "[fd01::221]:$PORT"
	fetch_page lap
	trace 0 --from $LAP --to $GW:80
	jq -e '.there.entry | test(" at \\[fd10::2\\]:[0-9]+, by eth0")' "$RUN/trace.json" || fail "nothing of the IPv6 endpoint"
	step back endpoint "^\\[fd10::2\\]:.*, from fd01::221"
	# The host does not forward IPv6, so the kernel names no next hop: what is sent goes back by the router that brought it.
	step back nextHop "^back to $(ip -n "$P-rtr" -j link show br-lan | jq -r '.[0].address'), from where "
	step back sealed "opens it as tcp $GW:80 -> $LAP:"
}

test_tc_tells_the_same() {
	local port
	served "Datapath = tcx"
	port=$(last_seen gw port)
	trace 0 --from $LAP --to $GW:80
	says .mode "$(in_ns node true; talon status --json --pin-dir "$PIN" | jq -r .datapath.mode)"
	says .there.nat.port "$port"
	step back sealed "opens it as tcp $GW:80 -> $LAP:"
	trace 1 --from $LAP --to 10.67.0.1:80
	decided there whose "unreachable"
	trace 1 --from $GW:80 --to "$NODE:$port" --size 1450
	decided there mtu "MTU 1420"
	trace 0 --from $LAP --to 100.64.0.1:22
	says .there.end local
}

# --- IPv6 inside the tunnel ---

served6() { # LINE...: a node that carries IPv6, and a session with lap
	in_ns node sysctl -qw net.ipv6.conf.all.forwarding=1
	finally "in_ns node sysctl -qw net.ipv6.conf.all.forwarding=0"
	node_up "Address = 100.64.0.1/10, $MESH6/64" "Route = 192.168.1.0/24 masquerade" "Route = fd01::/64 masquerade" \
		"Route = fd66::/64 masquerade" "Route = fd67::/64 masquerade" "lap: AllowedIPs = $LAP6" "KeystreamMemory = 0" "$@"
	wg set "$(dev lap)" peer "$(key node pub)" allowed-ips 192.168.1.0/24,100.64.0.1/32,$MESH6/128,fd01::/64
	finally "client_peer lap"
	fetch_page6
}

fetch_page6() {
	equal "the page from [$GW6]" "$(cat "$RUN/www/page")" "$(get lap "http://[$GW6]/page")"
}

tells6() { # xdp|tcx: of a connection that is there, with the port that it has
	local port
	served6 "Datapath = $1"
	port=$(last_seen gw port)
	trace 0 --from $LAP6 --to "[$GW6]:80"
	says .there.nat.existing true
	says .there.nat.address $NODE6
	says .there.nat.port "$port"
	jq -e --arg packet "^tcp \\[$LAP6\\]:[0-9]+ -> \\[$GW6\\]:80, 60 bytes$" '.there.packet | test($packet)' "$RUN/trace.json" || fail "packet"
	step there session "authentic"
	step there allowedIPs "^$LAP6/128 belongs to "
	step there route "^fd01::/64 is served here, masqueraded"
	step there whose "^a device's \\(row 4\\): this host's route fd01::/64 leads out by eth0"
	step there nat "^the source becomes \\[$NODE6\\]:$port, as in the flow"
	step there mtu "^1500 .* has 60"
	step there nextHop "^$GW6 at $(ip -n "$P-gw" -j link show eth0 | jq -r '.[0].address')"
	says .back.packet "tcp [$GW6]:80 -> [$NODE6]:$port, 60 bytes"
	step back flow "^it answers \\[$LAP6\\]:.* translated to \\[$NODE6\\]:$port"
	step back nat "^undone: the destination becomes \\[$LAP6\\]:"
	step back sealed "opens it as tcp \\[$GW6\\]:80 -> \\[$LAP6\\]:.*, 60 bytes"
	verdict passes
	every_key_is_documented
	trace 0 --from $LAP6 --to $GW6
	says .there.packet "icmpv6 $LAP6 -> $GW6, echo request 1, 48 bytes"
	step back sealed "opens it as icmpv6 $GW6 -> $LAP6, echo reply 1, 48 bytes"
	# The other direction: the tunnel is narrower than the wire.
	trace 1 --from "[$GW6]:80" --to "[$NODE6]:$port" --size 1450
	decided there mtu "^1420 .*has 1450: .*ICMPv6 error \"packet too big\" with MTU 1420"
	says '.there.icmp | "\(.type)/\(.code) \(.mtu)"' "2/0 1420"
}

test_ipv6_connection_is_told_with_xdp() { tells6 xdp; }

test_new_ipv6_flow_gets_the_port_that_was_foretold() {
	local port
	served6 "Datapath = xdp"
	trace 0 --from "[$LAP6]:5555" --to "[$GW6]:7" --proto udp
	says .there.nat.existing false
	port=$(jq .there.nat.port "$RUN/trace.json")
	udp_ask lap $GW6 7 --source-port 5555 >/dev/null
	equal "port that the gateway saw" "$port" "$(last_seen udp-gw port)"
	trace 0 --from "[$LAP6]:5555" --to "[$GW6]:7" --proto udp
	says .there.nat.existing true
	says .there.nat.port "$port"
}

test_ipv6_packets_that_do_not_pass_are_told_why() {
	served6 "Datapath = xdp"
	trace 1 --from fd64::77 --to "[$GW6]:80" --peer "$(key lap pub)"
	decided there allowedIPs "^fd64::77 is in no peer's allowed IPs"
	verdict "dropped: not_allowed"
	trace 1 --from fe80::1 --to "[$GW6]:80" --peer $LAP6
	decided there allowedIPs "link-local"
	trace 1 --from $LAP6 --to "[fd99::1]:80"
	decided there route "^fd99::1 is in no network that is served here"
	trace 1 --from $LAP6 --to ff02::1
	decided there whose "row 0.*multicast"
	trace 1 --from $LAP6 --to "[fd66::1]:80"
	decided there whose "^nobody's \\(row 5\\): a blackhole route"
	trace 1 --from $LAP6 --to "[fd67::1]:80"
	decided there whose "^nobody's \\(row 5\\): an unreachable or prohibit route"
	says '.there.icmp | "\(.type)/\(.code)"' "1/3"
	verdict 'refused: icmp_sent: answered with an ICMP error, "address unreachable"; behind it: unreachable'
	in_ns node ip -6 neigh flush dev eth0 to fd01::77
	trace 1 --from $LAP6 --to "[fd01::77]:80"
	decided there nextHop "^fd01::77: neighbour not resolved yet"
	trace 1 --from "[$GW6]:80" --to "[$NODE6]:23"
	decided there flow "left to the host's stack"
	in_ns node ip -6 route replace $GW6/128 dev eth0 mtu 1300
	finally "in_ns node ip -6 route del $GW6/128 dev eth0"
	wait_for 5 "the route's MTU to be known" mtu6_is 1300
	trace 1 --from $LAP6 --to "[$GW6]:80" --size 1301
	decided there mtu "^1300 .*has 1301: .*\"packet too big\" with MTU 1300"
	trace 0 --from $LAP6 --to "[$GW6]:80" --size 1300
	in_ns node sysctl -qw net.ipv6.conf.all.forwarding=0
	trace 1 --from $LAP6 --to "[$GW6]:80"
	decided there whose "does not forward \\(sysctl net.ipv6.conf.all.forwarding\\)"
	says .there.reason fwd_disabled
	says .there.icmp.name "no route to destination"
}

mtu6_is() { talon trace --pin-dir "$PIN" --json --from $LAP6 --to "[$GW6]:80" | jq -e ".there.mtu == $1"; }

test_ipv6_packet_to_this_host_and_from_it() {
	served6 "Datapath = xdp"
	trace 0 --from $LAP6 --to "[$MESH6]:22"
	step there whose "^this host's \\(row 1\\): $MESH6 is an address of its own"
	says .there.end local
	says .back.origin host
	step back route "leads into wt0"
	step back sealed "opens it as tcp \\[$MESH6\\]:22 -> \\[$LAP6\\]:"
	trace 0 --from $MESH6 --to $LAP6
	says .there.origin host
	step there whose "$LAP6/128 is among the allowed IPs of"
	says .back.end local
}

test_tc_tells_the_same_of_ipv6() { tells6 tcx; }

test_tunnel_that_carries_no_ipv6_says_so() {
	served "lap: AllowedIPs = $LAP6"
	trace 1 --from $LAP6 --to "[$GW6]:80" --peer $LAP
	decided there packet "^no IPv6 inside: the tunnel carries IPv4 only, and .*\"no route to destination\""
	says .there.end icmp_sent
	says .there.reason inner_ipv6
	verdict "refused: icmp_sent"
	trace 1 --from "[$GW6]:80" --to "[$NODE6]:13000"
	decided there flow "^no IPv6 inside"
	says .there.end null
}

# --- and nothing of it all changes anything ---

everything() { # FILE: of every pinned map what it holds
	/usr/bin/python3 "$E2E/maps.py" "$PIN"/v*/maps >"$1"
	[ "$(wc -l <"$1")" -gt 30 ] || fail "only $(wc -l <"$1") maps were read"
}

# Nobody else writes: the controller and the client stand still. A stray frame of the kernel's may still come: then once more.
asking_changes_nothing() {
	local i
	for i in 1 2 3; do
		everything "$RUN/maps.before"
		talon trace --pin-dir "$PIN" --from $LAP --to $GW:80 >/dev/null
		talon trace --pin-dir "$PIN" --from $LAP:6000 --to $GW:81 >/dev/null
		talon trace --pin-dir "$PIN" --from $LAP --to 10.67.0.1:80 >/dev/null || true
		talon trace --pin-dir "$PIN" --from $LAP --to 192.168.1.78:80 >/dev/null || true
		talon trace --pin-dir "$PIN" --from $GW:80 --to "$NODE:$(last_seen gw port)" --size 1450 >/dev/null || true
		talon trace --pin-dir "$PIN" --from 100.64.0.1 --to $LAP >/dev/null
		talon trace --pin-dir "$PIN" --from $LAP6 --to "[$GW6]:80" >/dev/null
		talon trace --pin-dir "$PIN" --from "[$LAP6]:6000" --to "[$GW6]:81" >/dev/null
		talon trace --pin-dir "$PIN" --from "[$LAP6]:6001" --to "[$GW6]:7" --proto udp >/dev/null
		talon trace --pin-dir "$PIN" --from $LAP6 --to "[fd67::1]:80" >/dev/null || true
		talon trace --pin-dir "$PIN" --from $LAP6 --to "[fd01::78]:80" >/dev/null || true
		talon trace --pin-dir "$PIN" --from "[$GW6]:80" --to "[$NODE6]:$PORT6" --size 1450 >/dev/null || true
		talon trace --pin-dir "$PIN" --from $MESH6 --to $LAP6 >/dev/null
		everything "$RUN/maps.after"
		! cmp "$RUN/maps.before" "$RUN/maps.after" || return 0
	done
	diff "$RUN/maps.before" "$RUN/maps.after"
	return 1
}

test_asking_changes_no_map_and_needs_no_controller() {
	local before after
	finally "kill -CONT $(pid_of wg-lap) $(pid_of wg-lap2)"
	served6
	PORT6=$(last_seen gw port)
	fetch_page lap
	kill -STOP "$(pid_of wg-lap)" "$(pid_of wg-lap2)"
	finally "node_down"
	stop node KILL
	before=$(find "$PIN" | sort)
	asking_changes_nothing || fail "a trace changed a map"
	after=$(find "$PIN" | sort)
	equal "pins" "$before" "$after"
	trace 0 --from $LAP6 --to "[$GW6]:80"
	says .there.nat.port "$PORT6"
	trace 0 --from $LAP --to $GW:80
	says .controllerRuns false
	grep -q "the controller does not run" "$RUN/trace" || fail "nothing about the controller"
	# The comparison itself sees a change.
	kill -CONT "$(pid_of wg-lap)"
	everything "$RUN/maps.before"
	fetch_page lap
	everything "$RUN/maps.after"
	! cmp -s "$RUN/maps.before" "$RUN/maps.after" || fail "real traffic changed nothing either"
}

test_without_a_datapath_it_says_so() {
	local rc=0
	node_down
	talon trace --pin-dir "$PIN" --from $LAP --to $GW 2>"$RUN/said" || rc=$?
	equal "exit status" 1 $rc
	grep -q "^talon: not running: there is no datapath" "$RUN/said" || fail "$(cat "$RUN/said")"
}
