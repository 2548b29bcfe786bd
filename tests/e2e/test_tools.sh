# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The tools that show what happens now, with real traffic: talon flows, talon top.

setup() {
	needs_talon
	topology lap lap2 node gw
	servers_up gw
	client_up lap
	client_up lap2
}

flows() { talon flows --json --pin-dir "$PIN" "$@"; }

one_flow() { # JQ-EXPRESSION FLOWS-ARGUMENT...: exactly one matches, and this is said of it
	local json expression=$1
	shift
	json=$(flows "$@") && jq -er "if .matching == 1 then .flows[0] | $expression else error(\"\(.matching) match\") end" <<<"$json"
}

matching() { flows "$@" | jq .matching; }

matching_is() { local n=$1; shift; [ "$(matching "$@")" = "$n" ]; }

mac_of() { ip -n "$P-$1" -j link show eth0 | jq -r '.[0].address'; }

# Uploads at 2 MB a second; the gateway has seen the request.
start_upload() { # BYTES
	: >"$RUN/log/seen-gw"
	spawn upload lap $NET stream $GW 80 --size "${1:-60000000}" --rate 2000000 --timeout 30
	finally "stop upload KILL"
	wait_for 10 "the request at the gateway" test -s "$RUN/log/seen-gw"
}

test_a_running_connection_is_listed_as_both_ends_see_it() {
	local flow
	node_up
	start_upload
	flow=$(one_flow . --dst "$GW:80" --src 100.64.0.2)
	echo "$flow"
	equal "client's port" "$(in_ns lap ss -Htn dst "$GW" | awk '{ sub(/.*:/, "", $4); print $4 }')" "$(jq .clientPort <<<"$flow")"
	equal "port that the gateway sees" "$(last_seen gw port)" "$(jq .snatPort <<<"$flow")"
	equal "addresses" "100.64.0.2 $GW 80 $NODE tcp" "$(jq -r '"\(.client) \(.remote) \(.remotePort) \(.snat) \(.protocol)"' <<<"$flow")"
	equal "address that the gateway sees" "$(last_seen gw client)" "$(jq -r .snat <<<"$flow")"
	equal "state" "established true" "$(jq -r '"\(.state) \(.answered)"' <<<"$flow")"
	equal "peer" "$(key lap pub) 100.64.0.2" "$(jq -r '.peer | "\(.publicKey) \(.address)"' <<<"$flow")"
	equal "way" "eth0 $(mac_of gw)" "$(jq -r '.way | "\(.device) \(.nextHopMac)"' <<<"$flow")"
	between "idle seconds" 0 2 "$(jq .idleSeconds <<<"$flow")"
	equal "seconds that an established connection has" 7440 "$(jq '.idleSeconds + .leftSeconds' <<<"$flow")"
	talon flows --pin-dir "$PIN" --proto tcp --snat ":$(last_seen gw port)" >"$RUN/log/table"
	cat "$RUN/log/table"
	grep -qE "^100\.64\.0\.2:$(jq .clientPort <<<"$flow") +$GW:80 +$NODE:$(last_seen gw port) +tcp +established +yes +[0-2]s +2h0[34]m +eth0 $(mac_of gw) +$(
		key lap pub | sed 's/+/\\+/g') \(100\.64\.0\.2\)$" "$RUN/log/table"
	grep -q '^1 shown, 1 matching; ' "$RUN/log/table"
}

test_states_follow_the_connection() {
	local port
	node_up
	start_upload 4000000
	port=$(last_seen gw port)
	equal "state" established "$(one_flow .state --snat ":$port" --proto tcp)"
	finished upload 60
	wait_for 5 "the connection to close" matching_is 1 --snat ":$port" --proto tcp --state closing
	not get lap "http://$GW:81/"
	equal "a port that nobody listens on" reset "$(one_flow .state --dst "$GW:81")"
	between "seconds that it has" 200 240 "$(one_flow .leftSeconds --dst "$GW:81")"
	udp_ask lap $GW 7 --source-port 40101
	equal "UDP" "null true" "$(one_flow '"\(.state) \(.answered)"' --src 100.64.0.2:40101)"
	udp_ask lap $GW 9 --source-port 40102 --no-reply
	wait_for 5 "the flow that nobody answers" matching_is 1 --src :40102
	equal "UDP that nobody answers" "null false" "$(one_flow '"\(.state) \(.answered)"' --src :40102)"
}

test_filters_and_order_choose_what_is_shown() {
	local port all
	node_down
	node_up
	for port in 40201 40202 40203; do udp_ask lap $GW 7 --source-port $port; done
	udp_ask lap2 $GW 7 --source-port 40201
	fetch_page lap
	all_answered lap2 $GW 1
	equal "of the laptop, by its key" 3 "$(matching --peer "$(key lap pub)" --proto udp --src 100.64.0.0/10)"
	equal "of the laptop, by its address" 3 "$(matching --peer 100.64.0.2 --proto udp)"
	equal "of the second, by its key" 1 "$(matching --peer "$(key lap2 pub)" --proto udp --dst "$GW:7")"
	equal "pings of the second" 1 "$(matching --peer 100.64.0.3 --proto icmp)"
	equal "from one port of both" 2 "$(matching --src :40201)"
	equal "from one port of one" 1 "$(matching --src 100.64.0.3:40201)"
	equal "to the network" "$(matching)" "$(matching --dst 192.168.1.0/24)"
	equal "to another network" 0 "$(matching --dst 192.168.2.0/24)"
	equal "the order of clients" "40201 40202 40203" "$(flows --peer 100.64.0.2 --proto udp --sort client | jq -r '[.flows[].clientPort] | join(" ")')"
	equal "the other way round, two of them" "40203 40202 3" \
		"$(flows --peer 100.64.0.2 --proto udp --sort client --reverse --limit 2 | jq -r '"\([.flows[].clientPort] | join(" ")) \(.matching)"')"
	equal "one of many" "1 1" "$(flows --limit 1 | jq -r '"\(.flows | length) \(.shown)"')"
	all=$(talon flows --pin-dir "$PIN" | wc -l)
	equal "lines" $(($(status .flows.live) + 2)) "$all"
	not talon flows --pin-dir "$PIN" --peer stranger >"$RUN/log/stranger" 2>&1
	grep -qx "talon: --peer: 'stranger' is no peer here; expected its public key, its name or an address of its" "$RUN/log/stranger"
}

test_both_tools_work_without_a_controller() {
	node_up
	start_upload
	stop node KILL
	equal "state of the connection" established "$(one_flow .state --snat ":$(last_seen gw port)" --proto tcp)"
	wait_for 10 "the heartbeat to be missed" status '.controller.state == "stopped" or error'
	talon top --once --json --interval 0.2 --pin-dir "$PIN" >"$RUN/log/top"
	equal "controller" stopped "$(jq -r .controller "$RUN/log/top")"
	jq -e ".peers[0] | .publicKey == \"$(key lap pub)\" and .rxBitsPerSecond > 0" "$RUN/log/top"
}

test_top_names_the_peer_that_transfers() {
	node_up
	start_upload
	talon top --once --json --pin-dir "$PIN" >"$RUN/log/top"
	cat "$RUN/log/top"
	jq -e ".peers[0] | .publicKey == \"$(key lap pub)\" and .address == \"100.64.0.2\" and .path == \"direct\" and
		.rxBitsPerSecond > 1000000 and .rxPacketsPerSecond > 100 and .flowsHeld > 0" "$RUN/log/top"
	jq -e ".peers[1] | .publicKey == \"$(key lap2 pub)\" and .rxBitsPerSecond < 10000" "$RUN/log/top"
	jq -e '.node.rxBytes == ([.peers[].rxBytes] | add) and .controller == "running"' "$RUN/log/top"
	jq -e ".destinations | any(.address == \"$GW\" and .port == 80 and .protocol == \"tcp\" and .flows > 0 and .flows == .flowsAtMost)" "$RUN/log/top"
	jq -e '(.peers[0].rxBytes * 8 / .intervalSeconds / .peers[0].rxBitsPerSecond) | . > 0.99 and . < 1.01' "$RUN/log/top"
	talon top --once --pin-dir "$PIN" >"$RUN/log/table"
	cat "$RUN/log/table"
	not grep -q $'\x1b' "$RUN/log/table"
	grep -qE "^$(key lap pub | sed 's/+/\\+/g') 100\.64\.0\.2 +direct +[0-9.]+M " "$RUN/log/table"
}

sent() { ip -n "$P-$1" -j -s link show eth0 | jq ".[0].stats64.tx.$2"; }

received() { jq -s "[.[] | .peers[]? | select(.publicKey == \"$(key "$1" pub)\") | .rxBytes] | add // 0" "$RUN/log/top"; }

received_is() { [ "$(received "$1")" = "$2" ]; }

lines_of_top() { [ "$(grep -c . "$RUN/log/top")" -ge "$1" ]; }

start_top() { # ARGUMENT...
	rm -f "$RUN/log/top"
	spawn top node "$TALON" top --json --interval 0.1 --pin-dir "$PIN" "$@"
	finally "stop top"
	wait_for 10 "the first rates" lines_of_top 1
}

# Every byte is in one interval and in no other: the sum over all of them is compared, not a rate.
test_rates_add_up_to_what_the_wire_carried() {
	local bytes packets before
	node_up
	all_answered lap $GW 1
	start_top
	before=$(($(peer_field lap transferReceived) - $(received lap)))
	bytes=$(sent lap bytes) packets=$(sent lap packets)
	fetch_and_put lap medium
	wait_for 10 "top to have it all" eval 'received_is lap $(($(peer_field lap transferReceived) - '$before'))'
	bytes=$(($(sent lap bytes) - bytes)) packets=$(($(sent lap packets) - packets))
	# Around each message are 28 bytes of IPv4 and UDP, and 14 of Ethernet, which not every kernel counts on a veth. Handshakes, ARP and the
	# like are within the tolerance.
	note "top: $(received lap) bytes; the laptop's device: $bytes in $packets packets"
	between "bytes received by top's account" $(((bytes - 42 * packets) * 99 / 100)) $(((bytes - 28 * packets) * 101 / 100)) "$(received lap)"
	between "bytes of another peer" 0 10000 "$(received lap2)"
}

error_shown() { grep -q '"error":"not running' "$RUN/log/top"; }

# A line without rates, which is the first one of another datapath, and two more.
rates_again() { jq -es '[.[] | has("intervalSeconds") and .intervalSeconds == null] | index(true) as $i | $i and length > $i + 2' "$RUN/log/top"; }

# Nothing has passed since the first line but handshakes and keepalives.
no_traffic_shown() { jq -es 'all(.[1:][]; all(.node.rxBytes, .node.txBytes; . == null or (. >= 0 and . < 10000)))' "$RUN/log/top"; }

test_top_outlives_the_datapath_and_starts_afresh() {
	node_up
	fetch_and_put lap medium
	start_top
	node_down
	wait_for 10 "the line that says so" error_shown
	node_up
	wait_for 10 "rates of the next one" rates_again
	stop top
	no_traffic_shown
}

test_top_knows_another_datapath_whose_predecessor_it_did_not_see_go() {
	node_up
	fetch_and_put lap medium
	start_top
	kill -STOP "$(pid_of top)"
	node_down
	node_up
	kill -CONT "$(pid_of top)"
	wait_for 10 "rates of the next one" rates_again
	stop top
	not error_shown
	no_traffic_shown
}

test_top_redraws_a_terminal_and_leaves_it_as_it_was() {
	node_up
	in_ns node /usr/bin/python3 "$E2E/terminal.py" "$TALON" top --interval 0.1 --pin-dir "$PIN"
	talon top --interval 0.1 --count 2 --pin-dir "$PIN" >"$RUN/log/table"
	not grep -q $'\x1b' "$RUN/log/table"
	equal "tables in a pipe" 2 "$(grep -c '^talon: ' "$RUN/log/table")"
}
