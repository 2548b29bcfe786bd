# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# IPv6 inside the tunnel, from kernel WireGuard, with XDP and with tc: routes and sources are read as this kernel tells them.
. /guest/lib.sh

case $(uname -r) in
6.1.*) modes="xdp clsact" ;;
*) modes="xdp tcx" ;;
esac

network6_up() {
	network_up || return 1
	ip -n node addr add fd01::221/64 dev eth0 nodad
	ip -n gateway addr add fd01::220/64 dev eth0 nodad
	inside node sysctl -qw net.ipv6.conf.all.forwarding=1
}

node6_up() { # MODE
	node_file responder "Address = fd64::1/64" "Route = fd01::/64 masquerade" "Datapath = $1"
	echo "AllowedIPs = fd64::2/128" >>/tmp/node.conf
	inside node talon up --static /tmp/node.conf --pin-dir $pins >/tmp/talon.log 2>&1 &
	talon=$!
	wait_for 120 inside node talon status --check ready --pin-dir $pins
}

laptop6_up() {
	laptop_up responder
	inside laptop wg set wg0 peer "$(cat /tmp/keys/node.pub)" allowed-ips 100.64.0.1/32,192.168.1.0/24,fd64::1/128,fd01::/64
	ip -n laptop addr add fd64::2/64 dev wg0 nodad
	ip -n laptop route add fd01::/64 dev wg0
}

answered() { # NAMESPACE ADDRESS
	wait_for 10 inside "$1" ping -6 -c 1 -W 2 "$2"
	inside "$1" ping -6 -c 5 -i 0.2 -W 5 "$2"
}

page_says_node6() {
	local seen

	seen=$(inside laptop timeout 60 wget -q -O - "http://[fd01::220]/cgi-bin/who" | tr -d "[]")
	[ "$seen" = fd01::221 ]
}

status_says_both() {
	node_status >/tmp/status.txt
	grep -q "^IPv6 address: fd64::1/64\$" /tmp/status.txt && grep -q "^SNAT of IPv6: fd01::221 " /tmp/status.txt
}

nothing_is_left() {
	[ -z "$(ip -n node -6 route show dev wt0 2>/dev/null)" ]
}

scenario() {
	mode=$1
	check "$mode: the network comes up" network6_up || return
	if ! check "$mode: Talon becomes ready" node6_up "$mode"; then
		cat /tmp/talon.log
		return
	fi
	laptop6_up
	check "$mode: status has both families" status_says_both || cat /tmp/status.txt
	check "$mode: ping to the network" answered laptop fd01::220 || node_tell
	check "$mode: page through the tunnel, gateway saw the node" page_says_node6 || node_tell
	check "$mode: ping to the node" answered laptop fd64::1 || node_tell
	check "$mode: ping from the node" answered node fd64::2 || node_tell
	check "$mode: IPv4 beside it" page_says_node
	check "$mode: down" node_down
	check "$mode: no route is left" nothing_is_left
}

for mode in $modes; do
	scenario $mode
	network_down
done
finish
