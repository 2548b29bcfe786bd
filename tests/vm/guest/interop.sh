# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Kernel WireGuard against Talon, each side starting the handshake once: preshared key, page, file, ping, status.
. /guest/lib.sh

received_bytes() {
	inside laptop wg show wg0 transfer | cut -f 2
}

nothing_is_left() {
	[ ! -e $pins ] && ! ip -n node link show wt0 && ! ip -n node -d link show eth0 | grep -q 'prog/xdp'
}

scenario() {
	role=$1
	check "$role: the network comes up" network_up || return
	if ! check "$role: Talon becomes ready" node_up "$role" "Datapath = auto"; then
		node_tell
		return
	fi
	laptop_up "$role"
	# Where Talon starts, the laptop knows no endpoint: nothing can flow before Talon's handshake.
	[ "$role" = responder ] || check "$role: Talon starts the handshake" wait_for 20 laptop_handshaken
	check "$role: page through the tunnel, gateway saw the node" page_says_node
	check "$role: kernel WireGuard has a handshake" laptop_handshaken
	check "$role: 2 MB through the tunnel, every byte" file_is_whole
	check "$role: ping through the tunnel" inside laptop ping -c 3 -i 0.2 -W 5 192.168.1.220
	check "$role: largest packet of the tunnel" inside laptop ping -c 2 -i 0.2 -W 5 -M do -s 1392 192.168.1.220
	check "$role: fragments there and back" inside laptop ping -c 2 -i 0.2 -W 5 -s 3000 192.168.1.220
	[ "$role" = responder ] || check "$role: keepalives arrive" keepalive_arrives
	inside laptop wg set wg0 listen-port 51999
	check "$role: the laptop moves to another port, the session goes on" same_session_serves
	check "$role: status names the peer" status_names_peer
	[ "$fails" -eq 0 ] || node_tell
	check "$role: down" node_down
	check "$role: nothing is left" nothing_is_left
}

keepalive_arrives() {
	local before

	before=$(received_bytes)
	wait_for 15 more_received_than "$before"
}

more_received_than() {
	[ "$(received_bytes)" -gt "$1" ]
}

same_session_serves() {
	local before

	before=$(inside laptop wg show wg0 latest-handshakes)
	page_says_node && [ "$(inside laptop wg show wg0 latest-handshakes)" = "$before" ] &&
		node_status -d | grep -qF 10.99.0.2:51999
}

status_names_peer() {
	node_status -d | tee /tmp/status.txt
	grep -qF "$(cat /tmp/keys/laptop.pub)" /tmp/status.txt
}

for role in responder initiator; do
	scenario $role
	network_down
done
finish
