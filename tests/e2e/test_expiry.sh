# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A controller that never comes back: sessions end with their keys, and the node is a node like any other.
# background: the runner starts this file early and prints its cases last.

setup() {
	topology lap node gw
	servers_up gw
	servers_up node
	client_up lap
}

test_sessions_end_with_their_keys_and_everything_else_passes() {
	local before
	needs_talon
	node_up
	all_answered lap $GW 1
	stop node KILL
	all_answered lap $GW 20
	all_answered node 100.64.0.2 5
	PATIENCE=1 wait_for 190 "the keys to be too old" session_is_older_than 180
	not talon status --check ready --pin-dir "$PIN"
	before=$(wg_bytes lap rx)
	equal "answers to the node" "5 0" "$(ping_counts node 100.64.0.2 -c 5 -i 0.01 -W 1)"
	equal "answers to the client" "2 0" "$(ping_counts lap $GW -c 2 -i 0.01 -W 1)"
	equal "bytes that left with an old key" "$before" "$(wg_bytes lap rx)"
	fetch_and_put gw medium $NODE
	fetch_and_put node medium
	talon_up node "$RUN/node.conf"
	wait_for 15 "the tunnel to work again" in_ns lap ping -q -c 1 -W 1 $GW
	fetch_and_put lap medium
}

session_is_older_than() { [ "$(peer_field lap sessionAgeSeconds)" -gt "$1" ]; }
