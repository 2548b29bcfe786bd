# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# IPv6 inside the tunnel, from a static file: a stock client reaches an IPv6 network behind the node, translated; the node itself is reached and
# reaches the client; errors come at once; every packet is counted once. With XDP, and with tcx.

MESH6_NODE=fd64::1 MESH6_LAP=fd64::2 NODE6=fd01::221 GW6=fd01::220

setup() {
	needs_talon
	topology lap node gw
	in_ns node sysctl -qw net.ipv6.conf.all.forwarding=1
	servers_up gw
	servers_up gw $GW6
	client_up lap
	ip -n "$P-lap" -batch - <<-END
		addr add $MESH6_LAP/128 dev $(dev lap) nodad
		route add fd64::/64 dev $(dev lap) table 51820
		route add fd01::/64 dev $(dev lap) table 51820
		route add fd77::/64 dev $(dev lap) table 51820
	END
	ip -n "$P-lap" -6 rule add not fwmark 51820 lookup 51820
}

up() { # xdp|tcx [LINE...]
	local datapath=$1
	shift
	node_up "Address = 100.64.0.1/10, $MESH6_NODE/64" "Route = 192.168.1.0/24 masquerade" "Route = fd01::/64 masquerade" \
		"lap: AllowedIPs = $MESH6_LAP" "Datapath = $datapath" "$@"
	wg set "$(dev lap)" peer "$(key node pub)" allowed-ips 192.168.1.0/24,100.64.0.1/32,$MESH6_NODE/128,fd01::/64,fd77::/64
	all_answered lap $GW6 1
}

web() { # HOST: an HTTP server there, by IPv6, named as in a URL
	equal "the page from [$2]" "$(cat "$RUN/www/page")" "$(get "$1" "http://[$2]/page")"
}

serves() { # xdp|tcx
	up "$1"
	all_answered lap $GW6 20
	all_answered lap $GW6 5 -s 1364
	web lap $GW6
	equal "client that the gateway saw" $NODE6 "$(last_seen gw client)"
	between "port that the gateway saw" 12288 19999 "$(last_seen gw port)"
	udp_ask lap $GW6 7 --count 20 --size 1000 >/dev/null
	equal "client that the gateway saw by UDP" $NODE6 "$(last_seen udp-gw client)"
	fetch_and_put lap medium "[$GW6]"
	fetch_page lap			# IPv4 beside it
}

# The node is reached by its mesh address, and reaches the client; no neighbour is asked for in between.
hands_up() { # xdp|tcx
	up "$1"
	finally "stop http-node-$MESH6_NODE; stop udp-node-$MESH6_NODE; stop ndp"
	servers_up node $MESH6_NODE
	spawn ndp node tcpdump -lnni wt0p --immediate-mode 'icmp6 and ip6[40] >= 130 and ip6[40] <= 143'
	wait_for 5 "the capture" grep -q listening "$RUN/log/ndp"
	all_answered lap $MESH6_NODE 20
	web lap $MESH6_NODE
	equal "client that the node saw" $MESH6_LAP "$(last_seen node client)"
	fetch_and_put lap medium "[$MESH6_NODE]"
	all_answered node $MESH6_LAP 20
	all_answered node $MESH6_LAP 5 -s 1364
	equal "neighbour discovery on the tunnel" "" "$(grep ICMP6 "$RUN/log/ndp" || true)"
}

path_mtu() { in_ns "$1" ip -6 route get "$2" ${3:-} | sed -n 's/.* mtu \([0-9]*\).*/\1/p'; }
path_mtu_is() { [ "$(path_mtu "$1" "$2" "${4:-}")" = "$3" ]; }

# What is too big is answered with the size that fits: to the client, to the network, to the node's own stack.
tells_sizes() { # xdp|tcx
	in_ns node ip -6 route replace $GW6/128 dev eth0 mtu 1300
	finally "in_ns node ip -6 route del $GW6/128 dev eth0; in_ns lap ip -6 route flush cache; in_ns gw ip -6 route flush cache"
	up "$1" "MTU = 1380"
	! udp_ask lap $GW6 7 --size 1260 --df on --timeout 1 || fail "1308 bytes of packet passed a link of 1300"
	wait_for 5 "the path MTU at the client" path_mtu_is lap $GW6 1300
	udp_ask lap $GW6 7 --size 32 --order "size:1430;" --reply-size 1430 --timeout 1 || true
	wait_for 5 "the path MTU at the gateway" path_mtu_is gw $NODE6 1380
	fetch_and_put lap medium "[$GW6]"
	! in_ns node $NET udp $MESH6_LAP 7 --size 1340 --df on --timeout 1 || fail "1388 bytes of packet passed a tunnel of 1380"
}

# Datagrams larger than the MTU are cut by the hosts that send them, and come together again behind the node.
test_fragments_pass_both_ways() {
	up xdp
	udp_ask lap $GW6 7 --size 3000 --timeout 1 >/dev/null || true	# the gateway learns the path's MTU
	udp_ask lap $GW6 7 --size 3000 --count 5 >/dev/null
}

errno_of() { # HOST ADDRESS: of a connection there, and within how many seconds
	in_ns "$1" /usr/bin/python3 - "$2" <<-'END'
		import errno, socket, sys, time
		start, s = time.monotonic(), socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
		s.settimeout(20)
		try:
		    s.connect((sys.argv[1], 80))
		    print("connected")
		except OSError as e:
		    print(errno.errorcode.get(e.errno, e), int(time.monotonic() - start))
	END
}

test_errors_come_at_once() {
	up xdp "Route = fd77::/64 masquerade"
	in_ns node ip -6 -batch - <<-END
		route add unreachable fd77::1/128
		route add prohibit fd77::2/128
	END
	finally "in_ns node ip -6 route del fd77::1/128; in_ns node ip -6 route del fd77::2/128"
	equal "an unreachable host" "EHOSTUNREACH 0" "$(errno_of lap fd77::1)"
	equal "a prohibited host" "EACCES 0" "$(errno_of lap fd77::2)"
	set -- $(errno_of lap fd01::99)		# the kernel gives up after three probes
	equal "a host that is not there" EHOSTUNREACH "$1"
	between "seconds until then" 0 8 "$2"
}

# The programs' books balance over IPv6 traffic of every kind.
conserves6() { # xdp|tcx
	up "$1"
	wait_for 5 "a scrape that no packet falls into" quiet_scrape "$RUN/scrape-before"
	all_answered lap $GW6 20
	web lap $GW6
	udp_ask lap $GW6 7 --count 20 --size 1000 >/dev/null
	all_answered lap $MESH6_NODE 5
	all_answered node $MESH6_LAP 5
	in_ns lap $NET udp fd77::1 7 --no-reply --count 3 >/dev/null
	udp_ask lap $GW6 7 --size 3000 --count 3 --timeout 1 >/dev/null || true
	in_ns lap ping -6 -c 3 -W 1 -t 1 $GW6 >/dev/null || true
	in_ns lap $NET udp fd01::99 7 --no-reply --count 3 >/dev/null
	wait_for 10 "a scrape that no packet falls into" quiet_scrape "$RUN/scrape-after"
	conserved "$RUN/scrape-before" "$RUN/scrape-after"
}

# Those that start the node in the same way follow each other, so that it goes on.
test_a_client_reaches_an_ipv6_network_with_xdp() { serves xdp; }
test_the_node_itself_is_reached_and_reaches_the_client_with_xdp() { hands_up xdp; }
test_every_packet_is_counted_once_with_xdp() { conserves6 xdp; }

has_inner6() { status .carriesIpv6; }

test_a_host_that_refuses_ipv6_goes_on_with_ipv4() {
	up xdp
	in_ns node sysctl -qw net.ipv6.conf.wt0.disable_ipv6=1
	wait_for 10 "IPv6 to be given up" not has_inner6
	grep -q "the tunnel carries IPv4 only: net.ipv6.conf.wt0.disable_ipv6=1" "$RUN/log/node" || fail "nothing in the log"
	fetch_page lap
	equal "the network without IPv6" "ENETUNREACH 0" "$(errno_of lap $GW6)"
	in_ns node sysctl -qw net.ipv6.conf.wt0.disable_ipv6=0
	wait_for 10 "IPv6 to come back" has_inner6
	all_answered lap $GW6 3
}

# What runs goes on without a controller, and the next one takes it over: the same session, the same port towards the gateway.
test_a_killed_controller_takes_nothing_with_it() {
	local port
	up xdp
	udp_ask lap $GW6 7 --source-port 5555 >/dev/null
	port=$(last_seen udp-gw port)
	stop node KILL
	all_answered lap $GW6 5
	udp_ask lap $GW6 7 --source-port 5555 >/dev/null
	equal "port meanwhile" "$port" "$(last_seen udp-gw port)"
	talon_up node "$RUN/node.conf"
	all_answered lap $GW6 5
	all_answered lap $MESH6_NODE 3
	udp_ask lap $GW6 7 --source-port 5555 >/dev/null
	equal "port of the flow taken over" "$port" "$(last_seen udp-gw port)"
	equal "times the datapath was taken over" 1 "$(status .datapath.adoptions)"
}

test_status_has_both_families() {
	up xdp
	equal "address" "$MESH6_NODE/64" "$(status .ipv6Address)"
	equal "networks" "192.168.1.0/24 fd01::/64" "$(status '[.networks[] | select(.local | not) | .network] | join(" ")')"
	equal "allowed IPs" "100.64.0.2/32 $MESH6_LAP/128" "$(peer_field lap 'allowedIps | join(" ")')"
	equal "address of NAT66" $NODE6 "$(status .snat.ipv6Address)"
	udp_ask lap $GW6 7 >/dev/null
	equal "flow" "$MESH6_LAP $GW6 $NODE6 udp true" "$(talon flows --json --pin-dir "$PIN" --dst "[$GW6]:7" --src $MESH6_LAP |
		jq -r '.flows[0] | "\(.client) \(.remote) \(.snat) \(.protocol) \(.answered)"')"
	talon flows --pin-dir "$PIN" --dst fd01::/64 | grep "\[$GW6\]:7 " >/dev/null || fail "no such row"
}

test_a_client_reaches_an_ipv6_network_with_tcx() { serves tcx; }
test_the_node_itself_is_reached_and_reaches_the_client_with_tcx() { hands_up tcx; }
test_every_packet_is_counted_once_with_tcx() { conserves6 tcx; }
test_what_is_too_big_is_answered_with_xdp() { tells_sizes xdp; }
test_what_is_too_big_is_answered_with_tcx() { tells_sizes tcx; }

test_nothing_is_left_on_the_host() {
	node_down
	snapshot node "$RUN/before6"
	up tcx
	node_down
	snapshot node "$RUN/after6"
	same_snapshot "$RUN/before6" "$RUN/after6"
}
