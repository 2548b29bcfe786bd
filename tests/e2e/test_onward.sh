# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Devices that take no redirected frames, and other frames that may have to leave by them: sealed packets over IPv6, ARP answers, frames of another uplink.

setup() {
	topology lap lap2 node gw
	servers_up gw
	client_up lap
	client_up lap2
}

no_redirects() {
	node_down
	in_ns rtr ethtool -K p-node gro off
	finally "node_down; in_ns rtr ethtool -K p-node gro on"
}

test_full_packets_leave_over_ipv6_by_a_device_that_takes_no_redirected_frames() {
	needs_talon
	no_redirects
	node_up "MTU = 1420" "Datapath = xdp"
	wg set "$(dev lap)" peer "$(key node pub)" endpoint "[fd01::221]:$PORT"
	wait_for 5 "the way" all_answered lap $GW 1
	fetch_and_put lap medium
	all_answered lap $GW 20
}

test_a_spare_address_is_answered_for_by_a_device_that_takes_no_redirected_frames() {
	needs_talon
	no_redirects
	node_up "SNAT = 192.168.1.240" "Datapath = xdp"
	ip -n "$P-gw" neigh flush dev eth0
	wait_for 5 "the way" all_answered lap $GW 1
	fetch_and_put lap medium
	saw gw 192.168.1.240
	ip -n "$P-gw" neigh flush dev eth0
	all_answered lap $GW 20
}

# eth0 takes native XDP, a bridge does not: its program is tc's.
test_uplinks_of_different_modes_send_each_other_frames() {
	needs_talon
	node_down
	ns_add gw2
	ip -n "$P-node" link add up1 type bridge forward_delay 0
	finally "node_down; stop http-gw2-192.168.2.220; stop udp-gw2-192.168.2.220; ip netns del $P-gw2; ip -n $P-node link del up1"
	ip -n "$P-node" addr add 192.168.2.221/24 dev up1
	ip -n "$P-node" link set up1 up
	ip -n "$P-node" link add veth5 type veth peer name eth0 netns "$P-gw2"
	ip -n "$P-node" link set veth5 master up1 up
	in_ns gw2 ethtool -K eth0 tx off tso off >/dev/null 2>&1 || true
	ip -n "$P-gw2" addr add 192.168.2.220/24 dev eth0
	ip -n "$P-gw2" link set eth0 up
	servers_up gw2 192.168.2.220
	node_up "Uplink = eth0, up1" "Route = 192.168.1.0/24 masquerade" "Route = 192.168.2.0/24 masquerade"
	ip -n "$P-lap" route replace 192.168.2.0/24 dev "$(dev lap)" table 51820
	finally "ip -n $P-lap route del 192.168.2.0/24 dev $(dev lap) table 51820"
	wg set "$(dev lap)" peer "$(key node pub)" allowed-ips "192.168.1.0/24,192.168.2.0/24,100.64.0.0/24"
	wait_for 5 "the way" fetch_page lap 192.168.2.220
	saw gw2 192.168.2.221
	fetch_and_put lap medium 192.168.2.220
	all_answered lap 192.168.2.220 20
	udp_ask lap 192.168.2.220 7 --size 1300 --count 5
	fetch_and_put lap medium
	saw gw $NODE
}

test_a_spare_address_is_what_a_pod_behind_a_bridge_sees() {
	needs_talon
	ip -n "$P-node" link add cni0 type bridge forward_delay 0
	finally "node_down; stop http-pod-10.45.0.5; stop udp-pod-10.45.0.5; ip netns del $P-pod; ip -n $P-node link del cni0"
	ip -n "$P-node" addr add 10.45.0.1/24 dev cni0
	ip -n "$P-node" link set cni0 up
	ns_add pod
	ip -n "$P-node" link add veth6 type veth peer name eth0 netns "$P-pod"
	ip -n "$P-node" link set veth6 master cni0 up
	in_ns pod ethtool -K eth0 tx off tso off >/dev/null 2>&1 || true
	ip -n "$P-pod" addr add 10.45.0.5/24 dev eth0
	ip -n "$P-pod" link set eth0 up
	ip -n "$P-pod" route add default via 10.45.0.1
	servers_up pod 10.45.0.5
	node_up "SNAT = 192.168.1.240" "Route = 192.168.1.0/24 masquerade" "Route = 10.45.0.0/16 masquerade"
	ip -n "$P-lap" route replace 10.45.0.0/16 dev "$(dev lap)" table 51820
	finally "ip -n $P-lap route del 10.45.0.0/16 dev $(dev lap) table 51820"
	wg set "$(dev lap)" peer "$(key node pub)" allowed-ips "192.168.1.0/24,10.45.0.0/16,100.64.0.0/24"
	wait_for 5 "the way" fetch_page lap 10.45.0.5
	saw pod 192.168.1.240
	fetch_and_put lap medium 10.45.0.5
	all_answered lap 10.45.0.5 20
}
