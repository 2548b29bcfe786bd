# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Whose packet is it? Other devices than the uplink, several addresses, what the host's routes refuse: what arrives, where, and from whom.
# Everything not specific to Talon also holds for userspace WireGuard with nftables masquerade (ENGINE=reference).

setup() {
	topology lap lap2 node gw
	servers_up gw
	client_up lap
	client_up lap2
}

# Networks that the clients reach through the node.
open_to() { # PREFIX...
	local h net d
	for h in lap lap2; do
		d=$(dev $h)
		for net; do
			ip -n "$P-$h" route replace "$net" dev "$d" table 51820
			finally "ip -n $P-$h route del $net dev $d table 51820"
		done
		wg set "$d" peer "$(key node pub)" allowed-ips \
			"192.168.1.0/24,100.64.0.0/24,10.42.0.0/16,10.50.0.0/16,$(IFS=,; echo "$*")"
	done
}

# A host on a device of the node.
#	eth1 gw2 192.168.2: the node is 192.168.2.221, the host .220
wire() { # DEVICE HOST NETWORK [ADDRESS-OPTION...]
	local device=$1 host=$2 net=$3
	shift 3
	ns_add "$host"
	finally "stop http-$host-$net.220; stop udp-$host-$net.220; ip netns del $P-$host; ip -n $P-node link del $device 2>/dev/null || true"
	ip -n "$P-node" link add "$device" type veth peer name eth0 netns "$P-$host"
	in_ns node ethtool -K "$device" tx off tso off gro off >/dev/null 2>&1 || true
	in_ns "$host" ethtool -K eth0 tx off tso off tx-udp-segmentation off gro off >/dev/null 2>&1 || true
	ip -n "$P-node" addr add "$net.221/24" dev "$device" "$@"
	ip -n "$P-node" link set "$device" up
	ip -n "$P-$host" addr add "$net.220/24" dev eth0
	ip -n "$P-$host" link set eth0 up
	servers_up "$host" "$net.220"
}

reaches() { # ADDRESS HOST SOURCE-SEEN
	wait_for 5 "the way to $1" fetch_page lap "$1"
	saw "$2" "$3"
	fetch_and_put lap medium "$1"
	udp_ask lap "$1" 7 --size 1300 --count 5
	equal "client of the datagrams" "$3" "$(last_seen "udp-$2" client)"
	all_answered lap "$1" 20
}

test_a_second_nic_is_left_by_with_its_own_address() {
	wire eth1 gw2 192.168.2
	node_up "Route = 192.168.1.0/24 masquerade" "Route = 192.168.2.0/24 masquerade"
	open_to 192.168.2.0/24
	reaches 192.168.2.220 gw2 192.168.2.221
	reaches $GW gw $NODE
}

test_a_second_nic_in_tcx_mode() {
	needs_talon
	wire eth1 gw2 192.168.2
	node_up "Route = 192.168.1.0/24 masquerade" "Route = 192.168.2.0/24 masquerade" "Datapath = tcx"
	open_to 192.168.2.0/24
	reaches 192.168.2.220 gw2 192.168.2.221
}

test_a_second_nic_that_comes_later() {
	node_up "Route = 192.168.1.0/24 masquerade" "Route = 192.168.2.0/24 masquerade"
	open_to 192.168.2.0/24
	wire eth1 gw2 192.168.2
	reaches 192.168.2.220 gw2 192.168.2.221
}

test_frames_by_another_device_are_counted_as_what_they_are() {
	needs_talon
	wire eth1 gw2 192.168.2
	node_up "Route = 192.168.1.0/24 masquerade" "Route = 192.168.2.0/24 masquerade" "Datapath = xdp"
	open_to 192.168.2.0/24
	wait_for 5 "the way to the second NIC" fetch_page lap 192.168.2.220
	all_answered lap $GW 1	# its neighbour is known: nothing waits, and none is counted as held
	local onward forwarded
	onward=$(ends in onward) forwarded=$(ends in forwarded)
	all_answered lap 192.168.2.220 50
	equal "frames sent onward" $((onward + 50)) "$(ends in onward)"
	equal "frames forwarded" "$forwarded" "$(ends in forwarded)"
	all_answered lap $GW 50
	between "frames forwarded" $((forwarded + 50)) $((forwarded + 50)) "$(ends in forwarded)"
}

test_two_subnets_on_one_nic_each_see_their_own_address() {
	ip -n "$P-node" addr add 192.168.3.221/24 dev eth0
	ip -n "$P-gw" addr add 192.168.3.220/24 dev eth0
	finally "ip -n $P-node addr del 192.168.3.221/24 dev eth0; ip -n $P-gw addr del 192.168.3.220/24 dev eth0; stop http-gw-192.168.3.220; stop udp-gw-192.168.3.220"
	servers_up gw 192.168.3.220
	node_up "Route = 192.168.1.0/24 masquerade" "Route = 192.168.3.0/24 masquerade"
	open_to 192.168.3.0/24
	reaches 192.168.3.220 gw 192.168.3.221
	reaches $GW gw $NODE
}

test_a_vip_beside_the_nodes_address_is_never_the_source() {
	node_down
	ip -n "$P-node" addr del $NODE/24 dev eth0
	ip -n "$P-node" addr add 192.168.1.200/32 dev eth0
	ip -n "$P-node" addr add $NODE/24 dev eth0
	ip -n "$P-node" route replace default via 192.168.1.1
	finally "node_down; ip -n $P-node addr del 192.168.1.200/32 dev eth0"
	node_up
	reaches $GW gw $NODE
}

test_unnumbered_uplink_with_the_address_on_lo() {
	node_down
	ip -n "$P-node" addr del $NODE/24 dev eth0
	ip -n "$P-node" addr add $NODE/32 dev lo
	ip -n "$P-node" route add 192.168.1.0/24 dev eth0 src $NODE
	ip -n "$P-node" route replace default via 192.168.1.1 src $NODE
	finally "node_down; ip -n $P-node addr del $NODE/32 dev lo; ip -n $P-node addr add $NODE/24 dev eth0; ip -n $P-node route replace default via 192.168.1.1"
	node_up
	reaches $GW gw $NODE
}

# An overlay as flannel makes it: the pod is on another node, its network behind a vxlan device.
overlay() {
	host_add node2
	finally "ip netns del $P-node2; ip -n $P-rtr link del p-node2 2>/dev/null || true; ip -n $P-node link del flannel.1"
	local h
	for h in node:1:$NODE2 node2:2:$NODE; do
		local n=${h%%:*} i far=${h##*:}
		i=${h#*:} i=${i%%:*}
		ip -n "$P-$n" link add flannel.1 type vxlan id 1 local "${ADDRESS[$n]%/*}" remote "$far" dstport 8472 dev eth0
		ip -n "$P-$n" addr add "10.44.$i.0/32" dev flannel.1
		ip -n "$P-$n" link set flannel.1 up
	done
	ip -n "$P-node" route add 10.44.2.0/24 via 10.44.2.0 dev flannel.1 onlink
	ip -n "$P-node2" route add 10.44.1.0/24 via 10.44.1.0 dev flannel.1 onlink
	ip -n "$P-node2" addr add 10.44.2.5/32 dev lo
	servers_up node2 10.44.2.5
	finally "stop http-node2-10.44.2.5; stop udp-node2-10.44.2.5"
}

test_a_pod_of_another_node_behind_a_vxlan_device() {
	overlay
	node_up "Route = 192.168.1.0/24 masquerade" "Route = 10.44.0.0/16 masquerade"
	open_to 10.44.0.0/16
	reaches 10.44.2.5 node2 10.44.1.0
}

# A pod of this node behind a bridge, as the bridge plugin makes it.
test_a_pod_of_this_node_behind_a_bridge() {
	ip -n "$P-node" link add cni0 type bridge forward_delay 0
	finally "ip -n $P-node link del cni0"
	ip -n "$P-node" addr add 10.45.0.1/24 dev cni0
	ip -n "$P-node" link set cni0 up
	ns_add pod
	finally "stop http-pod-10.45.0.5; stop udp-pod-10.45.0.5; ip netns del $P-pod"
	ip -n "$P-node" link add veth5 type veth peer name eth0 netns "$P-pod"
	ip -n "$P-node" link set veth5 master cni0 up
	in_ns pod ethtool -K eth0 tx off tso off >/dev/null 2>&1 || true
	ip -n "$P-pod" addr add 10.45.0.5/24 dev eth0
	ip -n "$P-pod" link set eth0 up
	ip -n "$P-pod" route add default via 10.45.0.1
	servers_up pod 10.45.0.5
	node_up "Route = 192.168.1.0/24 masquerade" "Route = 10.45.0.0/16 masquerade"
	open_to 10.45.0.0/16
	reaches 10.45.0.5 pod 10.45.0.1
}

test_an_uplink_whose_far_end_takes_no_redirected_frames() {
	node_down
	in_ns rtr ethtool -K p-node gro off
	finally "in_ns rtr ethtool -K p-node gro on"
	node_up
	reaches $GW gw $NODE
	all_answered gw $NODE 5
}

test_an_uplink_whose_far_end_stops_taking_redirected_frames() {
	node_up
	all_answered lap $GW 5
	in_ns rtr ethtool -K p-node gro off
	finally "in_ns rtr ethtool -K p-node gro on"
	reaches $GW gw $NODE
}

# The old flow's own retries used to keep it, with a source that nobody answers.
test_one_flow_goes_on_after_the_node_was_renumbered() {
	node_up
	udp_ask lap $GW 7 --source-port 45000
	ip -n "$P-node" addr del $NODE/24 dev eth0
	ip -n "$P-node" addr add 192.168.1.225/24 dev eth0
	ip -n "$P-node" route replace default via 192.168.1.1
	finally "node_down; ip -n $P-node addr del 192.168.1.225/24 dev eth0; ip -n $P-node addr add $NODE/24 dev eth0; ip -n $P-node route replace default via 192.168.1.1"
	for h in lap lap2; do wg set "$(dev $h)" peer "$(key node pub)" endpoint 192.168.1.225:$PORT; done
	wait_for 5 "the same flow" udp_ask lap $GW 7 --source-port 45000
	wait_for 5 "the new source" seen_from gw 192.168.1.225
}

seen_from() { udp_ask lap $GW 7 --source-port 45000 >/dev/null && [ "$(last_seen "udp-$1" client)" = "$2" ]; }

told() { # ADDRESS CODE [SOURCE]: an unreachable of that code, at once
	udp_ask lap "$1" 7 --no-reply --source-port 46000
	wait_for 3 "ICMP 3/$2 about $1" icmp_seen lap '.type == 3 and .code == '"$2"' and .src == "'"${3:-100.64.0.1}"'" and .checksum_ok and
		(.inner | .src == "100.64.0.2" and .dst == "'"$1"'" and .sport == 46000 and .dport == 7)'
}

test_what_the_hosts_routes_refuse_is_told_at_once() {
	ip -n "$P-node" -batch - <<-END
		route add unreachable 10.50.1.0/24
		route add prohibit 10.50.2.0/24
		route add throw 10.50.3.0/24
		route add blackhole 10.50.4.0/24
	END
	finally "for n in 1 2 3 4; do ip -n $P-node route del 10.50.\$n.0/24; done"
	node_up "Route = 192.168.1.0/24 masquerade" "Route = 10.50.0.0/16 masquerade"
	watch_icmp lap
	told 10.50.1.1 1
	told 10.50.2.1 13
	told 10.50.3.1 0
	udp_ask lap 10.50.4.1 7 --no-reply
	[ "$ENGINE" != talon ] || wait_for 3 "the blackhole to be counted" ends_is in blackhole 1
}

test_a_dead_host_is_told_of_as_the_kernel_does() {
	local source=100.64.0.1
	[ "$ENGINE" = talon ] || source=$NODE	# netfilter had translated the packet before the neighbour was asked for
	node_up
	watch_icmp lap
	told 192.168.1.99 1 "$source"
}

test_the_last_hop_is_the_node_itself() {
	node_up
	all_answered lap $NODE 5 -t 1
	all_answered lap 100.64.0.1 5 -t 1
}

test_a_route_with_an_mtu_of_its_own() {
	ip -n "$P-node" route add $GW/32 dev eth0 mtu 1300
	finally "ip -n $P-node route del $GW/32 dev eth0; ip -n $P-lap route flush cache"
	node_up
	all_answered lap $GW 1
	watch_icmp lap
	udp_ask lap $GW 7 --df on --size 1372 --no-reply --source-port 40003
	wait_for 3 "fragmentation needed at the laptop" icmp_seen lap '.type == 3 and .code == 4 and .mtu == 1300 and (.inner | .sport == 40003)'
	ip -n "$P-lap" route flush cache
	udp_ask lap $GW 7 --df off --size 1372
	fetch_and_put lap medium
}

test_clients_reach_each_other_when_everything_is_served() {
	servers_up lap2 100.64.0.3
	finally "stop http-lap2-100.64.0.3; stop udp-lap2-100.64.0.3"
	node_up "Route = 0.0.0.0/0 masquerade"
	open_to 10.46.0.0/16
	all_answered lap2 $GW 1
	fetch_page lap 100.64.0.3
	saw lap2 100.64.0.2
}

test_what_local_lists_stays_here_however_long_the_route_is() {
	needs_talon	# the reference knows no Local
	ip -n "$P-node" addr add 10.47.0.10/32 dev lo
	finally "ip -n $P-node addr del 10.47.0.10/32 dev lo; stop http-node-10.47.0.10; stop udp-node-10.47.0.10"
	servers_up node 10.47.0.10
	node_up "Route = 192.168.1.0/24 masquerade" "Route = 10.47.0.10/32 masquerade" "Local = 10.47.0.0/16"
	open_to 10.47.0.0/16
	fetch_page lap 10.47.0.10
	saw node 100.64.0.2
}
