# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What keeps a member's packets from flowing, as the member reports it: a kernel that does not forward, an uplink that leads elsewhere.
. "$E2E/mesh/mesh.sh"

setup() {
	needs_talon
	topology mesh lap node gw
	servers_up gw
	mesh_start mesh $MESH_HOST
	member_up node
	member_up lap
	mesh route lan peer=node network=192.168.1.0/24
	wait_for 20 "packets to $GW" reached lap $GW
}

member_check() { # HOST PATTERN
	local said
	said=$(member "$1" status --check ready 2>&1 || true)
	echo "$said"
	grep -qE "$2" <<<"$said"
}

test_a_member_that_routes_needs_a_kernel_that_forwards_and_others_do_not() {
	finally "in_ns node sysctl -qw net.ipv4.ip_forward=1"
	equal "forwarding on the laptop" 0 "$(in_ns lap sysctl -n net.ipv4.ip_forward)"
	wait_for 5 "the laptop to be ready" member_check lap "^ready: yes"
	wait_for 10 "the node to be ready" member_check node "^ready: yes"
	in_ns node sysctl -qw net.ipv4.ip_forward=0
	wait_for 3 "ready to say no" member_check node "^ready: no: net.ipv4.ip_forward=0: .*run sysctl -w net.ipv4.ip_forward=1"
	in_ns node sysctl -qw net.ipv4.ip_forward=1
	wait_for 3 "ready to say yes" member_check node "^ready: yes"
	all_answered lap $GW 3
}

test_a_member_follows_its_default_route() {
	finally "ip -n $P-node route replace default via 192.168.1.1 dev eth0; ip -n $P-node link set eth0 up; ip -n $P-node link del eth1"
	ip -n "$P-rtr" -batch - <<-END
		link add br-two type bridge forward_delay 0
		link set br-two up
		addr add 192.168.2.1/24 dev br-two
	END
	ip -n "$P-node" link add eth1 type veth peer name p-two netns "$P-rtr"
	ip -n "$P-rtr" -batch - <<-END
		link set p-two master br-two
		link set p-two up
	END
	in_ns rtr ethtool -K p-two tx off tso off tx-udp-segmentation off gro on >/dev/null 2>&1 || true
	ip -n "$P-node" -batch - <<-END
		link set eth1 up
		addr add 192.168.2.221/24 dev eth1
	END
	wait_for 20 "packets to $GW" reached lap $GW
	all_answered lap "$(mesh_ip node)" 1
	ip -n "$P-node" route replace default via 192.168.2.1 dev eth1
	ip -n "$P-node" link set eth0 down
	wait_for 3 "the uplink to follow" member_says node '[.. | .uplinks? // empty] | .[0] == ["eth1"]'
	wait_for 60 "an answer by whatever way" reached lap "$(mesh_ip node)"
	all_answered lap "$(mesh_ip node)" 3
}

reached() { [ "$(ping_counts "$1" "$2" -c 1 -W 1)" = "1 1" ]; }
