# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The devices that carry the programs: a default route that moves, names, devices that disappear, what cannot be an uplink, and maximum packet sizes.

setup() {
	needs_talon
	topology lap node gw
	servers_up gw
	second_lan
	client_up lap
}

# The node's other device, in a LAN of its own whose router is the same host and serves pages there.
second_lan() {
	ip -n "$P-rtr" -batch - <<-END
		link add br-two type bridge forward_delay 0
		link set br-two up
		addr add 192.168.2.1/24 dev br-two
	END
	second_nic
	servers_up rtr 192.168.2.1
}

second_nic() {
	ip -n "$P-node" link add eth1 type veth peer name p-two netns "$P-rtr"
	ip -n "$P-rtr" -batch - <<-END
		link set p-two master br-two
		link set p-two up
	END
	in_ns node ethtool -K eth1 tso off tx-udp-segmentation off gro on >/dev/null 2>&1 || true
	in_ns rtr ethtool -K p-two tx off tso off tx-udp-segmentation off gro on >/dev/null 2>&1 || true
	ip -n "$P-node" -batch - <<-END
		link set eth1 up
		addr add 192.168.2.221/24 dev eth1
	END
}

ROUTES=("Route = 192.168.1.0/24 masquerade" "Route = 192.168.2.0/24 masquerade")

uplinks_are() { [ "$(status '.uplinks | join(" ")')" = "$1" ]; }

answered() { [ "$(ping_counts "$1" "$2" -c 1 -W 1)" = "1 1" ]; }

check_says() { # PATTERN in the output of `talon status --check ready`, whatever its exit status
	local said
	said=$(talon status --check ready --pin-dir "$PIN" 2>&1 || true)
	echo "$said"
	grep -qE "$1" <<<"$said"
}

# The client's handshake and the peer's session are older than what happened meanwhile.
both_networks() {
	wg set "$(dev lap)" peer "$(key node pub)" allowed-ips 192.168.1.0/24,192.168.2.0/24,100.64.0.1/32
	ip -n "$P-lap" route replace 192.168.2.0/24 dev "$(dev lap)" table 51820
}

# The client has an endpoint in the node's file, so that either can call.
node_calls() { echo "lap: Endpoint = 10.99.0.2:$(wg show "$(dev lap)" listen-port)"; }

two_nics_again() {
	node_down
	ip -n "$P-node" link show eth1 >/dev/null 2>&1 || second_nic
	ip -n "$P-node" -batch - <<-END
		link set eth0 up
		link set eth1 up
		route replace default via 192.168.1.1 dev eth0
	END
}

test_programs_follow_the_default_route_to_another_nic_and_back() {
	local pid since
	finally two_nics_again
	node_down
	node_up "${ROUTES[@]}" "$(node_calls)"
	both_networks
	uplinks_are eth0
	all_answered lap $GW 3
	pid=$(pid_of node) since=$(handshakes lap)
	ip -n "$P-node" route replace default via 192.168.2.1 dev eth1
	ip -n "$P-node" link set eth0 down
	wait_for 3 "the uplink to follow" uplinks_are eth1
	wait_for 5 "an answer by the new way" answered node 100.64.0.2
	all_answered node 100.64.0.2 20
	fetch_page lap 192.168.2.1
	saw rtr 192.168.2.221
	[ "$(wg show "$(dev lap)" endpoints | awk '{ print $2 }')" = 192.168.2.221:$PORT ]
	equal "programs on eth0" 0 "$(in_ns node bpftool -j net show dev eth0 | jq '.[0] | (.xdp + .tc) | length')"
	check_says "^ready: yes"
	ip -n "$P-node" link set eth0 up
	ip -n "$P-node" route replace default via 192.168.1.1 dev eth0
	wait_for 3 "the uplink to come back" uplinks_are eth0
	wait_for 5 "an answer by the old way" answered node 100.64.0.2
	fetch_page lap
	equal "process" "$pid" "$(pid_of node)"
	equal "the session's handshake" "$since" "$(handshakes lap)"
}

test_all_devices_of_an_ecmp_default_route_are_uplinks() {
	finally two_nics_again
	node_down
	ip -n "$P-node" route replace default nexthop via 192.168.1.1 dev eth0 nexthop via 192.168.2.1 dev eth1
	node_up "${ROUTES[@]}"
	both_networks
	uplinks_are "eth0 eth1"
	fetch_page lap
	# The client calls by the other device.
	wg set "$(dev lap)" peer "$(key node pub)" endpoint "192.168.2.221:$PORT"
	wait_for 5 "an answer by the other device" answered lap 192.168.2.1
	fetch_page lap 192.168.2.1
	ip -n "$P-node" route replace default via 192.168.2.1 dev eth1
	wait_for 3 "one uplink less" uplinks_are eth1
	check_says "^ready: yes"
	fetch_page lap 192.168.2.1
}

test_a_default_route_that_is_gone_for_a_while_changes_nothing() {
	finally two_nics_again
	node_down
	node_up "${ROUTES[@]}"
	ip -n "$P-node" route del default
	ip -n "$P-node" route add 10.99.0.0/24 via 192.168.1.1
	finally "ip -n $P-node route del 10.99.0.0/24"
	sleep 1.5		# a look at the links
	uplinks_are eth0
	all_answered lap $GW 3
	check_says "^ready: yes"
}

test_a_default_route_into_a_tunnel_is_told_and_not_followed() {
	finally two_nics_again
	finally "ip -n $P-node link del tun7"
	node_down
	node_up "${ROUTES[@]}"
	ip -n "$P-node" tuntap add tun7 mode tun
	ip -n "$P-node" link set tun7 up
	ip -n "$P-node" addr add 10.7.0.1/24 dev tun7
	ip -n "$P-node" route replace default dev tun7
	wait_for 3 "ready to say no" check_says "^ready: no: uplinks: the default route leads by tun7, whose packets have no Ethernet header"
	uplinks_are eth0
	ip -n "$P-node" route replace default via 192.168.1.1 dev eth0
	wait_for 3 "ready to say yes" check_says "^ready: yes"
}

test_a_device_without_ethernet_is_refused() {
	finally two_nics_again
	finally "ip -n $P-node link del tun7"
	node_down
	ip -n "$P-node" tuntap add tun7 mode tun
	ip -n "$P-node" link set tun7 up
	write_config node "$RUN/bad.conf" "Uplink = tun7"
	refused "$RUN/bad.conf" "Uplink: tun7 has no Ethernet header.*; write an Ethernet device"
	ip -n "$P-node" route replace default dev tun7
	write_config node "$RUN/bad.conf"
	refused "$RUN/bad.conf" "Uplink: tun7 has no Ethernet header"
}

test_a_renamed_uplink_goes_on_under_its_new_name() {
	local lines
	finally "ip -n $P-node link set lan0 name eth0 2>/dev/null; ip -n $P-node route replace default via 192.168.1.1 dev eth0"
	node_down
	node_up "Uplink = eth0"
	lines=$(wc -l <"$RUN/log/node")
	ip -n "$P-node" link set eth0 name lan0
	wait_for 3 "the new name in status" uplinks_are lan0
	all_answered lap $GW 5
	check_says "^ready: yes"
	equal "warnings about it" 0 "$(tail -n "+$((lines + 1))" "$RUN/log/node" | grep -cwE 'warn|error' || true)"
	node_down
}

test_an_alternative_name_is_the_device_s_own() {
	finally "ip -n $P-node link property del dev eth0 altname lan7; in_ns node sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0"
	node_down
	ip -n "$P-node" link property add dev eth0 altname lan7
	in_ns node sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=1
	write_config node "$RUN/bad.conf" "Uplink = eth0, lan7"
	refused "$RUN/bad.conf" "Uplink: eth0 and lan7 are the same device; write it once"
	node_up "Uplink = lan7" "HandUp = pass"
	uplinks_are eth0
	talon status -d --pin-dir "$PIN" | grep "rp_filter=1 (strict) on eth0"
	all_answered lap $GW 3
	node_down
}

test_an_uplink_that_is_gone_is_told_once_and_taken_back() {
	local lines
	finally two_nics_again
	node_down
	node_up "${ROUTES[@]}" "Uplink = eth0, eth1"
	both_networks
	uplinks_are "eth0 eth1"
	ip -n "$P-node" link del eth1
	wait_for 3 "ready to say no" check_says "^ready: no: uplinks: device eth1 is gone"
	lines=$(wc -l <"$RUN/log/node")
	sleep 3			# during which nothing may be logged
	between "lines more" 0 1 $(($(wc -l <"$RUN/log/node") - lines))
	uplinks_are eth0
	fetch_page lap
	second_nic
	wait_for 3 "the device to be taken back" uplinks_are "eth0 eth1"
	wait_for 3 "ready to say yes" check_says "^ready: yes"
	fetch_page lap 192.168.2.1
}

test_the_only_uplink_may_go_and_come_back() {
	local lines
	finally two_nics_again
	node_down
	ip -n "$P-node" route replace default via 192.168.2.1 dev eth1
	node_up "${ROUTES[@]}" "Uplink = eth1"
	ip -n "$P-node" link del eth1
	wait_for 3 "ready to say no" check_says "^ready: no"
	sleep 1.5
	lines=$(wc -l <"$RUN/log/node")
	sleep 3
	equal "lines more" 0 $(($(wc -l <"$RUN/log/node") - lines))
	second_nic
	ip -n "$P-node" route replace default via 192.168.2.1 dev eth1
	wait_for 5 "ready to say yes" check_says "^ready: yes"
	both_networks
	wg set "$(dev lap)" peer "$(key node pub)" endpoint "192.168.2.221:$PORT"
	wait_for 8 "an answer" answered lap 192.168.2.1
	fetch_page lap 192.168.2.1
}

tunnel_is_up() { ip -n "$P-node" -j link show wt0 | jq -e '.[0].flags | index("UP")' >/dev/null; }

test_the_tunnel_device_set_down_is_up_again_within_a_second() {
	finally two_nics_again
	node_down
	node_up "$(node_calls)"
	all_answered lap $GW 1
	ip -n "$P-node" link set wt0 down
	wait_for 1 "the tunnel device to be up" tunnel_is_up
	wait_for 2 "an answer" answered node 100.64.0.2
	grep "wt0 was set down by somebody; it is up again" "$RUN/log/node"
	ip -n "$P-node" link set wt0p down
	wait_for 2 "the far end to be up" answered node 100.64.0.2
	equal "lines about it" 2 "$(grep -c "was set down by somebody" "$RUN/log/node")"
}

test_a_host_that_does_not_forward_is_not_ready_and_says_why() {
	finally "in_ns node sysctl -qw net.ipv4.ip_forward=1"
	node_down
	in_ns node sysctl -qw net.ipv4.ip_forward=0
	node_up
	grep "net.ipv4.ip_forward=0: the kernel forwards nothing that comes in by eth0; run sysctl -w net.ipv4.ip_forward=1" "$RUN/log/node"
	check_says "^ready: no: net.ipv4.ip_forward=0: .*run sysctl -w net.ipv4.ip_forward=1$"
	not talon status --check ready --pin-dir "$PIN"
	talon status -d --pin-dir "$PIN" | grep "net.ipv4.ip_forward=0"
	in_ns node sysctl -qw net.ipv4.ip_forward=1
	wait_for 3 "ready to say yes" check_says "^ready: yes"
	all_answered lap $GW 3
	in_ns node sysctl -qw net.ipv4.ip_forward=0
	wait_for 3 "ready to say no again" check_says "^ready: no: net.ipv4.ip_forward=0"
	node_down
}

test_an_uplink_smaller_than_the_tunnel_is_a_hazard() {
	finally "ip -n $P-node link set eth0 mtu 1500"
	node_down
	node_up
	ip -n "$P-node" link set eth0 mtu 1400
	wait_for 3 "the hazard" in_status "MTU: 1420 does not fit through eth0 (1400); write at most 1340"
	ip -n "$P-node" link set eth0 mtu 1500
	wait_for 3 "no hazard" not in_status "MTU: 1420"
	node_down
}

in_status() { talon status -d --pin-dir "$PIN" | grep -F "$1"; }

test_a_node_that_was_stopped_is_not_ready_and_neither_is_one_that_starts() {
	local n=0
	node_down
	node_up
	check_says "^ready: yes"
	stop node
	check_says "^ready: no: the controller was stopped"
	not talon status --check live --pin-dir "$PIN"
	spawn node node "$TALON" up --static "$RUN/node.conf" --pin-dir "$PIN"
	while ! ready_or_dead node; do
		not talon status --check ready --pin-dir "$PIN" || ready_or_dead node
		n=$((n + 1))
	done
	note "asked $n times during the start"
	wait_for 5 "ready to say yes" check_says "^ready: yes"
	node_down
}

test_down_ends_a_process_that_has_just_begun_to_start() {
	local i
	node_down
	write_config node "$RUN/node.conf"
	for i in 0.02 0.05 0.1 0.2 0.3 0.4; do
		spawn node node "$TALON" up --static "$RUN/node.conf" --pin-dir "$PIN"
		sleep $i
		talon down --pin-dir "$PIN"
		[ $i = 0.02 ] || wait_for 5 "its end" not alive node
		stop node
		talon down --pin-dir "$PIN"
	done
	rm -f "$RUN/node.conf"
}

# Large enough for what the datapath carries, and everything on the way.
test_every_size_up_to_the_largest_mtu_passes_on_a_jumbo_link() {
	local mode
	finally "jumbo 1500; ip -n $P-lap link set $(dev lap) mtu 1420"
	node_down
	jumbo 1700
	write_config node "$RUN/bad.conf" "MTU = 1601"
	refused "$RUN/bad.conf" "MTU: '1601' is not an MTU; expected 576-1600"
	for mode in auto tcx xdp-generic; do
		node_up "MTU = 1600" "Datapath = $mode"
		ip -n "$P-lap" link set "$(dev lap)" mtu 1600
		# The first one waits for its session, in the controller.
		all_answered lap $GW 1 -s 1572
		every_size lap $GW 1572
		fetch_and_put lap medium
		note "$(datapath mode): every packet of 29 to 1600 bytes"
	done
	node_down
}

# Echoes that must not be cut, with 1 to MOST bytes of data.
every_size() { # HOST TARGET MOST
	in_ns "$1" /usr/bin/python3 - "$2" "$3" <<-'END'
		import os, socket, struct, sys
		def total(data):
		    data += bytes(len(data) % 2)
		    n = sum(struct.unpack("!%dH" % (len(data) // 2), data))
		    n = (n >> 16) + (n & 0xffff)
		    return ~(n + (n >> 16)) & 0xffff
		s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
		s.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER, IP_PMTUDISC_DO
		s.connect((sys.argv[1], 0))
		s.settimeout(5)
		for size in range(1, int(sys.argv[2]) + 1):
		    data = os.urandom(size)
		    head = struct.pack("!HH", os.getpid() & 0xffff, size)
		    s.send(b"\x08\0" + struct.pack("!H", total(b"\x08\0\0\0" + head + data)) + head + data)
		    while True:
		        packet = s.recv(4096)[20:]
		        if packet[0] == 0 and packet[4:8] == head:
		            break
		    assert packet[8:] == data, "the answer to %d bytes is not what was sent" % size
	END
}

jumbo() { # MTU of every device on the way
	local h
	for h in lap node gw; do
		ip -n "$P-$h" link set eth0 mtu "$1"
		ip -n "$P-rtr" link set "p-$h" mtu "$1"
	done
	ip -n "$P-rtr" link set br-inet mtu "$1"
	ip -n "$P-rtr" link set br-lan mtu "$1"
}

test_a_pin_directory_with_a_dot_is_refused_with_the_right_advice() {
	local rc=0
	node_down
	write_config node "$RUN/node.new"
	in_ns node "$TALON" up --static "$RUN/node.new" --pin-dir "$RUN/bpf/talon.1" >"$RUN/log/dot" 2>&1 || rc=$?
	equal "exit status" 2 $rc
	grep -- "--pin-dir: .*/talon.1 has a dot, which no name on a bpf file system can have" "$RUN/log/dot"
}

test_peers_are_reached_by_a_link_local_endpoint() {
	local addr
	finally "ip -n $P-node link set eth0 addrgenmode eui64; node_down"
	node_down
	addr=$(ip -n "$P-gw" -j addr show dev eth0 | jq -r '.[0].addr_info[] | select(.scope == "link" and .family == "inet6") | .local')
	[ -n "$addr" ] || skip "no link-local addresses here"
	key lap2 >/dev/null
	PEERS="lap lap2" node_up "lap2: Endpoint = [$addr%eth0]:7777" "lap2: PersistentKeepalive = 1"
	wait_for 5 "a handshake by the link's own address" an_initiation_comes
	PEERS="lap lap2" write_config node "$RUN/bad.conf" "lap2: Endpoint = [$addr%nosuch]:7777"
	node_down
	refused "$RUN/bad.conf" "Endpoint: nosuch: there is no such device"
}

an_initiation_comes() {
	in_ns gw timeout 2 /usr/bin/python3 -c 'import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(("::", 7777))
assert len(s.recv(4096)) == 148'
}
