# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The controller is restarted while packets go over the relay, which only a process can carry: lap2 has no direct way, lap has one.
. "$E2E/mesh/mesh.sh"

setup() {
	mesh_setup lap lap2 node gw
	servers_up gw
	member_up node
	member_up lap
	member_up lap2 NB_FORCE_RELAY=true
	mesh route lan peer=node network=192.168.1.0/24 netid=lan metric=100
	usable
}

usable() {
	local h
	for h in lap lap2; do wait_for 15 "the gateway to answer $h" answers $h $GW; done
	direct lap node
	relayed lap2 node
	wait_for 10 "no more than the one connection to be needed" at_the_relay
}

at_the_relay() { mesh_is node relay true && mesh_is lap2 relay true; }

# A ping every 10 ms for so many seconds, while the next steps happen.
start_pings() { # HOST SECONDS
	PINGS=$(($2 * 100))
	rm -f "$RUN/log/pings"
	spawn pings "$1" ping -n -i 0.01 -c $PINGS -W 3 $GW
	wait_for 5 "pings to be answered" grep -q "bytes from" "$RUN/log/pings"
}

# Prints how many were not answered.
lost_pings() {
	local sent answered
	finished pings 40 >&2
	sent=$(sed -n 's/^\([0-9]*\) packets transmitted.*/\1/p' "$RUN/log/pings")
	answered=$(sed -n 's/.* transmitted, \([0-9]*\) received.*/\1/p' "$RUN/log/pings")
	equal "pings sent" $PINGS "$sent" >&2
	echo $((sent - answered))
}

test_restart_costs_few_packets_over_the_relay() {
	local lost
	usable
	start_pings lap2 8
	stop node
	member_up node
	relayed lap2 node
	lost=$(lost_pings)
	note "SIGTERM and started again: $lost of $PINGS pings lost, one every 10 ms"
	between "pings lost" 0 $((10 * ${PATIENCE:-3})) "$lost"
}

# Nobody else can serve the network: to lap2 the node is still there, and so is its own connection.
test_end_is_not_told_while_nobody_else_serves() {
	finally "member_up node; usable"
	usable
	stop node
	equal "the way that lap2 still has" Relayed "$(way_of lap2 node)"
	mesh_is node relay true || fail "the relay was told"
}

test_end_is_told_where_the_option_says_so() {
	finally "stop node; member_up node; usable"
	usable
	stop node
	member_up node TALON_ON_STOP=tell
	relayed lap2 node
	stop node
	wait_for 2 "the relay to be told" mesh_is node relay false
}

# As a new pod beside the old one, each with a /run of its own: it waits until the old one lets go, which then stands by.
test_successor_costs_few_packets_over_the_relay() {
	local lost old lines
	usable
	old=$(pid_of node)
	finally "kill $old 2>/dev/null; stop node; wait_for 5 'the end of both' not kill -0 $old; member_up node; usable"
	lines=$(log_lines node)
	start_pings lap2 8
	member_start node NB_DAEMON_ADDR="unix://$RUN/node-b.sock" up --take-over on
	wait_for 15 "the successor to carry" logged_since node "$lines" "peer lap2.* relayed by"
	alive node || fail "the successor ended: $(tail -3 "$RUN/log/node")"
	lost=$(lost_pings)
	note "taken over from a live process: $lost of $PINGS pings lost, one every 10 ms"
	between "pings lost" 0 10 "$lost"
}

test_successor_with_the_same_socket_is_refused_before_it_asks() {
	local first
	usable
	first=$(pid_of node)
	: >"$RUN/log/said"
	not member node up --take-over on >"$RUN/log/said" 2>&1
	grep -- "--daemon-addr: a daemon answers at $RUN/node.sock already; one that takes over needs a socket of its own" "$RUN/log/said"
	member node status --check ready
	equal "controller" "$first" "$(member_says node .talon.datapath.controller.pid)"
}
