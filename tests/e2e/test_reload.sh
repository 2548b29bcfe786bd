# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# SIGHUP with a static file: peers and routes come and go while packets flow; nothing else changes, and nothing ends.

setup() {
	topology lap lap2 node gw
	servers_up gw
	client_up lap
	client_up lap2
}

again() { # LINE...: the file is another one now, and the process hears of it
	write_config node "$RUN/node.conf" "$@"
	kill -HUP "$(pid_of node)"
}

said() { grep -cE "$1" "$RUN/log/node" || true; }

reaches() { in_ns "$1" ping -q -c 1 -W 1 "$GW"; }	# HOST: for wait_for

logged() { [ "$(said "$1")" -ge "${2:-1}" ]; }	# PATTERN [COUNT]: for wait_for

test_peers_and_routes_come_and_go_by_sighup() {
	needs_talon
	local pid before
	PEERS=lap node_up
	fetch_page lap
	pid=$(pid_of node)
	before=$(handshakes lap)
	not reaches lap2
	PEERS="lap lap2" again
	wait_for 5 "the second peer" logged "SIGHUP: 2 peers"
	client_peer lap2
	wait_for 15 "its way" reaches lap2
	fetch_page lap
	PEERS=lap again
	wait_for 5 "one peer" logged "SIGHUP: 1 peers"
	not reaches lap2
	fetch_page lap
	equal "process" "$pid" "$(pid_of node)"
	equal "last handshake of the peer that stayed" "$before" "$(handshakes lap)"
}

test_what_cannot_be_taken_over_is_said_and_changes_nothing() {
	needs_talon
	local pid
	node_up
	pid=$(pid_of node)
	again "ListenPort = 51821" "MTU = 1300"
	wait_for 5 "what waits to be named" logged "SIGHUP: ListenPort, MTU: only the next start takes that over"
	fetch_page lap
	again "Nonsense = 1"
	wait_for 5 "the file to be refused" logged "error SIGHUP: .*Nonsense.*nothing has changed"
	rm "$RUN/node.conf"
	kill -HUP "$pid"
	wait_for 5 "the missing file to be named" logged "error SIGHUP: .*nothing has changed" 2
	fetch_page lap
	alive node
	equal "process" "$pid" "$(pid_of node)"
	write_config node "$RUN/node.conf"
}
