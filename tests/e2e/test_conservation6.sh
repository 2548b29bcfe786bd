# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# test_conservation.sh for IPv6 inside the tunnel: under random traffic of every kind, what was sent is what arrived, what was handed up, and what was
# dropped by reason. CONSERVATION_SECONDS: how long (5).

. "$E2E/test_conservation.sh"

NODE6=fd01::221 GW6=fd01::220 MESH6=fd64::/64

setup() {
	local h
	needs_talon
	topology lap lap2 node gw
	in_ns node sysctl -qw net.ipv6.conf.all.forwarding=1 net.ipv6.icmp.ratelimit=0
	# What GRO joins is one packet for a tap and several for the wire.
	for h in lap lap2 node gw; do in_ns $h ethtool -K eth0 gro off; done
	ip -n "$P-node" -batch - <<-END
		route add fd01::219/128 dev eth0 mtu 1280
		route add unreachable fd78::1/128
		route add prohibit fd78::2/128
		route add throw fd78::3/128
		route add blackhole fd78::4/128
		neigh replace $GW6 lladdr $(mac gw eth0) dev eth0 nud permanent
		neigh replace fd01::219 lladdr $(mac gw eth0) dev eth0 nud permanent
		neigh replace $GW lladdr $(mac gw eth0) dev eth0 nud permanent
	END
	ip -n "$P-gw" -batch - <<-END
		addr add fd01::219/64 dev eth0 nodad
		route add $MESH6 via $NODE6
		neigh replace $NODE6 lladdr $(mac node eth0) dev eth0 nud permanent
		neigh replace $NODE lladdr $(mac node eth0) dev eth0 nud permanent
	END
	servers_up gw
	servers_up gw $GW6
	random_file "$RUN/www/small" 100000
	client_up lap
	client_up lap2
	client6 lap fd64::2
	client6 lap2 fd64::3
	hand_up_counters6
}

client6() { # HOST ADDRESS
	local net
	ip -n "$P-$1" addr replace "$2/128" dev "$(dev "$1")" nodad
	for net in fd01::/64 fd64::/64 fd77::/64 fd78::/64; do ip -n "$P-$1" -6 route add $net dev "$(dev "$1")" table 51820; done
	ip -n "$P-$1" -6 rule add not fwmark 51820 lookup 51820
}

# What the node's own stack gets by IPv6, before it does anything else with it, and what it sends there. Neighbour discovery is its own affair.
hand_up_counters6() {
	in_ns node nft -f - <<-END
		table ip6 conservation {
			counter up_mesh { }
			counter up_net { }
			counter up_net_pieces { }
			counter own { }
			chain up {
				type filter hook prerouting priority -500;
				iifname { "eth0", "wt0" } ip6 saddr $MESH6 counter name up_mesh
				iifname "eth0" ip6 saddr { $GW6, fd01::219 } icmpv6 type != { nd-neighbor-solicit, nd-neighbor-advert } counter name up_net
				iifname "eth0" ip6 saddr { $GW6, fd01::219 } ip6 nexthdr != icmpv6 counter name up_net
				iifname "eth0" ip6 saddr { $GW6, fd01::219 } frag frag-off != 0 counter name up_net_pieces
			}
			chain down {
				type filter hook postrouting priority 500;
				oifname "eth0" ip6 daddr { $GW6, fd01::219 } icmpv6 type != { nd-neighbor-solicit, nd-neighbor-advert } counter name own
				oifname "eth0" ip6 daddr { $GW6, fd01::219 } ip6 nexthdr != icmpv6 counter name own
			}
		}
	END
}

taps_up() {
	local h node_mac
	node_mac=$(mac node eth0)
	for h in lap lap2; do
		tap $h "sent eth0 out to=$NODE udp whole dport=$PORT" "opened eth0 in from=$NODE udp whole sport=$PORT data"
	done
	tap gw "arrived eth0 in smac=$node_mac six" "answered eth0 out dmac=$node_mac six"
}

handed() { # every counter there, a line each
	in_ns node nft -j list counters table ip6 conservation | jq -r '.nftables[] | .counter? // empty | "\(.name) \(.packets)"'
}

lost_on_wires() {
	local h
	for h in rtr lap lap2 node gw; do ip -n "$P-$h" -s -j link; done | jq -s '[.[][] | .stats64 | .tx.dropped + .rx.dropped] | add'
}

numbers() {
	local n
	for n in lap:sent lap2:sent lap:opened lap2:opened gw:arrived gw:answered; do echo "${n/:/_} $(tapped ${n/:/ })"; done
	handed
	status '(.packets | to_entries[] | .key as $way | "sum_\($way) \([.value[]] | add)", (.value | to_entries[] | "\($way)_\(.key) \(.value)")),
		"by_slow_way \(.counts.slow_data)"'
	echo "into_tunnel $(sent_by wt0)"
	echo "wires $(lost_on_wires)"
}

conserves() { # xdp|tcx
	local seconds=${CONSERVATION_SECONDS:-5} h BROKEN=()
	finally "for h in lap lap2 gw; do stop taps-\$h; rm -f $RUN/taps-\$h; done"
	node_up "Address = 100.64.0.1/10, fd64::1/64" "Route = 192.168.1.0/24 masquerade" "Route = fd01::/64 masquerade" "Route = fd78::/64 masquerade" \
		"Route = $MESH6" "lap: AllowedIPs = fd64::2" "lap2: AllowedIPs = fd64::3" "Datapath = $1"
	for h in lap lap2; do
		wg set "$(dev $h)" peer "$(key node pub)" allowed-ips 192.168.1.0/24,100.64.0.1/32,$MESH6,fd01::/64,fd77::/64,fd78::/64
		wait_for 5 "the way of $h" all_answered $h $GW6 1
	done
	taps_up
	drained "$RUN/before"
	wait_for 5 "a scrape that no packet falls into" quiet_scrape "$RUN/scrape-before"
	rm -f "$RUN"/log/mix-*
	spawn mix-lap lap $CONSERVE mix client6 fd64::2 --peer fd64::3 --seconds "$seconds" --rate 120
	spawn mix-lap2 lap2 $CONSERVE mix client6 fd64::3 --peer fd64::2 --seconds "$seconds" --rate 60
	spawn mix-gw gw $CONSERVE mix gateway6 $NODE6 --peer fd64::2 --seconds "$seconds" --rate 40
	for h in lap lap2 gw; do finished mix-$h $((seconds + 20)); cat "$RUN/log/mix-$h"; done
	drained "$RUN/after"
	wait_for 5 "a scrape that no packet falls into" quiet_scrape "$RUN/scrape-after"
	conserved "$RUN/scrape-before" "$RUN/scrape-after"
	differences
	laws6 "$1"
	[ ${#BROKEN[@]} = 0 ] || { printf '%s\n' "${BROKEN[@]}"; paste "$RUN/before" "$RUN/after" | awk '$2 != $4 { print $1, $4 - $2 }' | sort | xargs -n8; }
	equal "laws that do not hold" 0 ${#BROKEN[@]}
	note "$((d_lap_sent + d_lap2_sent)) messages to the port, $d_sum_out packets of the network's, $d_sum_tunnel of the host's in $seconds s: all accounted for"
}

laws6() { # xdp|tcx
	law "lost by the wires" d_wires 0
	law "messages to the port, and their ends" "d_lap_sent + d_lap2_sent + d_by_slow_way" d_sum_in
	law "held: for a host that is not there" d_in_held "$(generated dead)"
	law "arrived in the network" d_gw_arrived "d_in_forwarded + d_in_onward + d_out_icmp_sent + d_own"
	law "handed up from the mesh" d_up_mesh "d_in_local + d_tunnel_icmp_sent"
	law "sent by the network" d_gw_answered "d_sum_out + d_up_net - d_up_net_pieces"
	law "into the tunnel device, and their ends" d_into_tunnel d_sum_tunnel
	case $1 in
	xdp) law "sealed" "d_lap_opened + d_lap2_opened" "d_in_icmp_sent + d_in_resealed + d_out_forwarded + d_tunnel_forwarded + d_tunnel_keepalive" ;;
	tcx) law "sealed" "d_lap_opened + d_lap2_opened" "d_in_icmp_sent + d_tunnel_forwarded + d_tunnel_keepalive" ;;
	esac
	happened in_forwarded in_local in_resealed in_icmp_sent in_held in_not_allowed in_nat_proto in_no_route in_blackhole out_forwarded out_icmp_sent \
		tunnel_forwarded
}

test_nothing_of_ipv6_is_lost_or_counted_twice_with_xdp() { conserves xdp; }
test_nothing_of_ipv6_is_lost_or_counted_twice_with_tcx() { conserves tcx; }
