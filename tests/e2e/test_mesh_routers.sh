# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Two routing peers for one network: the better one carries the traffic, the other takes over. And a map of the largest size.
. "$E2E/mesh/mesh.sh"

setup() {
	mesh_setup lap node node2 gw
	servers_up gw
	member_up node TALON_MAX_PEERS=8192
	member_up node2
	member_up lap TALON_MAX_PEERS=8192
	mesh route first peer=node network=192.168.1.0/24 netid=lan metric=100
	mesh route second peer=node2 network=192.168.1.0/24 netid=lan metric=200
	by node
}

# Requests of lap reach the gateway through that router.
by() { # HOST [SECONDS]
	direct lap node
	direct lap node2
	wait_for "${2:-15}" "the network to go by $1" goes_by "$1"
}

goes_by() { get lap "http://$GW/page" --max-time 1 && [ "$(last_seen gw client)" = "${ADDRESS[$1]%/*}" ]; }

# Pings every 10 ms until stopped; each answer with its time.
start_pings() {
	rm -f "$RUN/log/pings"
	spawn pings lap ping -D -n -i 0.01 $GW
	wait_for 5 "pings to be answered" grep -q "bytes from" "$RUN/log/pings"
}

# The longest time without an answer, in ms.
longest_gap() {
	stop pings INT
	sed -n 's/^\[\([0-9.]*\)\] .*bytes from.*/\1/p' "$RUN/log/pings" |
		awk 'NR > 1 && $1 - last > gap { gap = $1 - last } { last = $1 } END { printf "%d\n", gap * 1000 }'
}

test_the_better_metric_carries() {
	finally "mesh route second peer=node2 network=192.168.1.0/24 netid=lan metric=200; by node"
	by node
	equal "networks that status names" 192.168.1.0/24 "$(about_peer lap node networks | jq -r '.[]')"
	mesh route second peer=node2 network=192.168.1.0/24 netid=lan metric=50
	by node2
}

# The process is killed, and without its link the datapath that it leaves cannot forward either.
test_killed_router_is_replaced_within_seconds_and_comes_back() {
	local gap
	by node
	start_pings
	stop node KILL
	ip -n "$P-rtr" link set p-node down
	wait_for 10 "the network to go by the other" goes_by node2
	gap=$(longest_gap)
	note "killed: longest gap $gap ms"
	between "milliseconds without an answer" 0 $((5500 * ${PATIENCE:-3})) "$gap"
	ip -n "$P-rtr" link set p-node up
	start_pings
	member_up node TALON_MAX_PEERS=8192
	by node
	gap=$(longest_gap)
	note "coming back: longest gap $gap ms"
	between "milliseconds without an answer" 0 $((1000 * ${PATIENCE:-3})) "$gap"
}

# A silent death: neither the relay nor any peer is told.
test_router_whose_power_fails_is_replaced_within_seconds() {
	local gap
	by node
	start_pings
	ip -n "$P-rtr" link set p-node down
	wait_for 10 "the network to go by the other" goes_by node2
	gap=$(longest_gap)
	note "without power: longest gap $gap ms"
	between "milliseconds without an answer" 0 $((5500 * ${PATIENCE:-3})) "$gap"
	ip -n "$P-rtr" link set p-node up
	by node 40
}

test_router_that_is_taken_down_hands_over() {
	local gap
	by node
	start_pings
	member_down node
	wait_for 10 "the network to go by the other" goes_by node2
	gap=$(longest_gap)
	note "taken down: longest gap $gap ms"
	between "milliseconds without an answer" 0 $((1000 * ${PATIENCE:-3})) "$gap"
	member_up node TALON_MAX_PEERS=8192
	by node
}

udp_seen() { [ "$(wc -l <"$RUN/log/seen-udp-gw")" -gt 100 ]; }
applied() { grep "applied in" "$RUN/log/$1" | tail -n 1; }

rss() { awk '/^VmRSS/ { print $2 }' "/proc/$(pid_of "$1")/status"; }

test_large_map_is_applied_without_a_lost_packet() {
	local pushed lines i
	by node
	member_down node2	# it has no room for so many
	note "resident before: $(rss node) KiB on the node, $(rss lap) KiB on the agent"
	rm -f "$RUN/log/flood" "$RUN/log/udp"
	spawn flood lap $NET ping $GW -i 0.01 -c 800 -W 10
	spawn udp lap $NET udp $GW 7 --count 1000000 --size 400 --timeout 10
	wait_for 5 "the load to flow" udp_seen
	mesh large 5000 1000 node
	settled lap node
	for i in lap node; do note "$i: $(applied "$i")"; done
	finished flood 60
	equal "pings sent and answered" "800 800" "$(cat "$RUN/log/flood")"
	alive udp || fail "the datagrams: $(cat "$RUN/log/udp")"
	stop udp
	for i in lap node; do
		note "resident on $i: $(rss "$i") KiB, at most $(awk '/^VmHWM/ { print $2 }' "/proc/$(pid_of "$i")/status")"
		between "KiB resident on $i" 0 $((48 << 10)) "$(rss "$i")"
	done
	member_says lap '.peers.total >= 5000' >/dev/null
	[ "$(ip -n "$P-lap" route show dev wt0 | wc -l)" -ge 1000 ] || fail "routes are missing"
}
