# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Nothing is lost silently or counted twice: under random traffic of every kind, what was sent is what arrived by each device, what was
# handed up, and what was dropped by reason. Counted by taps and by nftables at the far ends, and compared with Talon's own numbers.
# CONSERVATION_SECONDS: how long (15).

CONSERVE="/usr/bin/python3 $E2E/conserve.py"

setup() {
	needs_talon
	topology lap lap2 node gw
	ns_add gw2
	ip -n "$P-node" link add eth1 type veth peer name eth0 netns "$P-gw2"
	local h
	for h in node:eth1 gw2:eth0; do in_ns "${h%:*}" ethtool -K "${h#*:}" tx off tso off gro off >/dev/null 2>&1 || true; done
	# What GRO joins is one packet for a tap and several for the wire.
	for h in lap lap2 node gw; do in_ns $h ethtool -K eth0 gro off; done
	ip -n "$P-node" -batch - <<-END
		addr add 192.168.2.221/24 dev eth1
		addr add 10.47.0.10/32 dev lo
		link set eth1 up
		route add 192.168.4.0/24 via $GW
		route add 192.168.1.219/32 dev eth0 mtu 1300
		route add unreachable 10.50.1.0/24
		route add prohibit 10.50.2.0/24
		route add throw 10.50.3.0/24
		route add blackhole 10.50.4.0/24
	END
	ip -n "$P-gw2" addr add 192.168.2.220/24 dev eth0
	ip -n "$P-gw2" link set eth0 up
	ip -n "$P-gw" -batch - <<-END
		addr add 192.168.1.219/24 dev eth0
		addr add 192.168.4.220/32 dev eth0
		route add 100.64.0.0/10 via $NODE
	END
	settle_neighbours
	servers_up gw
	servers_up gw 192.168.1.219
	servers_up gw 192.168.4.220
	servers_up gw2 192.168.2.220
	random_file "$RUN/www/small" 100000
	client_up lap
	client_up lap2
	spawn udp-local node $NET udp-serve 10.47.0.10 7 "$RUN/log/seen-udp-node"
	for h in lap lap2; do
		for net in 192.168.2.0/24 192.168.4.0/24 10.47.0.0/16; do ip -n "$P-$h" route add $net dev "$(dev $h)" table 51820; done
	done
	hand_up_counters
}

mac() { ip -n "$P-$1" -j link show "$2" | jq -r '.[0].address'; }	# HOST DEVICE

# Neighbours that exist stay known, so that packets wait only for the dead host.
settle_neighbours() {
	local a
	for a in $GW 192.168.1.219; do ip -n "$P-node" neigh replace $a lladdr "$(mac gw eth0)" dev eth0 nud permanent; done
	ip -n "$P-node" neigh replace 192.168.2.220 lladdr "$(mac gw2 eth0)" dev eth1 nud permanent
	ip -n "$P-gw" neigh replace $NODE lladdr "$(mac node eth0)" dev eth0 nud permanent
	ip -n "$P-gw2" neigh replace 192.168.2.221 lladdr "$(mac node eth1)" dev eth0 nud permanent
}

# What the node's own stack gets and sends, before it does anything else with it.
hand_up_counters() {
	in_ns node nft -f - <<-END
		table ip conservation {
			counter up_mesh { }
			counter up_net { }
			counter up_net_pieces { }
			counter own { }
			chain up {
				type filter hook prerouting priority -500;
				iifname { "eth0", "eth1", "wt0" } ip saddr 100.64.0.0/10 counter name up_mesh
				iifname { "eth0", "eth1" } ip saddr { $GW, 192.168.1.219, 192.168.4.220, 192.168.2.220 } counter name up_net
				iifname { "eth0", "eth1" } ip saddr { $GW, 192.168.1.219, 192.168.4.220, 192.168.2.220 } ip frag-off & 0x1fff != 0 counter name up_net_pieces
			}
			chain down {
				type filter hook postrouting priority 500;
				oifname { "eth0", "eth1" } ip daddr { $GW, 192.168.1.219, 192.168.4.220, 192.168.2.220 } counter name own
			}
		}
	END
}

tap() { # HOST SPEC...
	local h=$1
	shift
	spawn "taps-$h" "$h" $CONSERVE taps "$RUN/taps-$h" "$@"
	wait_for 5 "the taps of $h" test -s "$RUN/taps-$h"
}

taps_up() {
	local h node_mac
	node_mac=$(mac node eth0)
	for h in lap lap2; do
		tap $h "sent eth0 out to=$NODE udp whole dport=$PORT" "opened eth0 in from=$NODE udp whole sport=$PORT data"
	done
	tap gw "arrived eth0 in smac=$node_mac" "narrow eth0 in smac=$node_mac to=192.168.1.219" "narrow_whole eth0 in smac=$node_mac to=192.168.1.219 whole" \
		"answered eth0 out dmac=$node_mac" "sent eth0 out to=$NODE udp whole dport=$PORT"
	tap gw2 "arrived eth0 in" "answered eth0 out"
	tap node "by_tc wt0 out dmac=$(mac node eth1)"
}

tapped() { jq -r ".$2" "$RUN/taps-$1"; }	# HOST NAME

handed() { # every counter there, a line each
	in_ns node nft -j list counters table ip conservation | jq -r '.nftables[] | .counter? // empty | "\(.name) \(.packets)"'
}

sent_by() { ip -n "$P-node" -s -j link show "$1" | jq '.[0].stats64.tx.packets'; }	# DEVICE

# Frames that all veths lost because a ring was full, or the far end took no redirected frame.
lost_on_wires() {
	local h
	for h in rtr lap lap2 node gw gw2; do ip -n "$P-$h" -s -j link; done | jq -s '[.[][] | .stats64 | .tx.dropped + .rx.dropped] | add'
}

# Every number at once, one "NAME VALUE" a line. The network is still when two readings agree.
numbers() {
	local n
	for n in lap:sent lap2:sent gw:sent lap:opened lap2:opened gw:arrived gw:narrow gw:narrow_whole gw:answered gw2:arrived gw2:answered node:by_tc; do
		echo "${n/:/_} $(tapped ${n/:/ })"
	done
	handed
	status '(.packets | to_entries[] | .key as $way | "sum_\($way) \([.value[]] | add)", (.value | to_entries[] | "\($way)_\(.key) \(.value)")),
		"by_slow_way \(.counts.slow_data)"'
	echo "into_tunnel $(sent_by wt0)"
	echo "wires $(lost_on_wires)"
}

still() {
	numbers >"$RUN/numbers-a"
	sleep 1
	numbers >"$RUN/numbers-b"
	cmp -s "$RUN/numbers-a" "$RUN/numbers-b"
}

drained() { # FILE
	wait_for 20 "the network to be still" still
	mv "$RUN/numbers-b" "$1"
}

# The differences as variables d_NAME.
differences() {
	local name value
	while read -r name value; do
		printf -v "d_$name" %d $((value - $(awk -v n="$name" '$1 == n { print $2 }' "$RUN/before")))
	done <"$RUN/after"
}

law() { # WHAT LEFT RIGHT
	echo "$1: $(($2)) = $(($3))"
	[ $(($2)) = $(($3)) ] || BROKEN+=("$1: $2 is $(($2)), $3 is $(($3))")
}

happened() { # NAME...: or the traffic was not of all kinds
	local n
	for n; do n=d_$n; [ "${!n:-0}" -gt 0 ] || BROKEN+=("no packet ended as ${n#d_}"); done
}

conserves() { # xdp|tcx
	local seconds=${CONSERVATION_SECONDS:-15} h BROKEN=()
	finally "for h in lap lap2 node gw gw2; do stop taps-\$h; rm -f $RUN/taps-\$h; done"
	node_up "Route = 192.168.1.0/24 masquerade" "Route = 192.168.2.0/24 masquerade" "Route = 192.168.4.0/24" "Route = 10.50.0.0/16 masquerade" \
		"Route = 100.64.0.0/10" "Local = 10.47.0.0/16" "Datapath = $1"
	for h in lap lap2; do
		wg set "$(dev $h)" peer "$(key node pub)" \
			allowed-ips 192.168.1.0/24,192.168.2.0/24,192.168.4.0/24,100.64.0.0/10,10.42.0.0/16,10.47.0.0/16,10.50.0.0/16
		wait_for 5 "the way of $h" fetch_page $h
	done
	taps_up
	drained "$RUN/before"
	wait_for 5 "a scrape that no packet falls into" quiet_scrape "$RUN/scrape-before"
	rm -f "$RUN"/log/mix-*
	spawn mix-lap lap $CONSERVE mix client 100.64.0.2 --peer 100.64.0.3 --seconds "$seconds" --rate 120
	spawn mix-lap2 lap2 $CONSERVE mix client 100.64.0.3 --peer 100.64.0.2 --seconds "$seconds" --rate 60
	spawn mix-stranger lap $CONSERVE mix stranger $NODE --seconds "$seconds" --rate 60
	spawn mix-gw gw $CONSERVE mix gateway $NODE --peer 100.64.0.2 --seconds "$seconds" --rate 40
	while alive mix-lap; do keepalive lap; done
	for h in lap lap2 stranger gw; do finished mix-$h $((seconds + 20)); cat "$RUN/log/mix-$h"; done
	drained "$RUN/after"
	wait_for 5 "a scrape that no packet falls into" quiet_scrape "$RUN/scrape-after"
	conserved "$RUN/scrape-before" "$RUN/scrape-after"
	differences
	laws "$1"
	[ ${#BROKEN[@]} = 0 ] || { printf '%s\n' "${BROKEN[@]}"; paste "$RUN/before" "$RUN/after" | awk '$2 != $4 { print $1, $4 - $2 }' | sort | xargs -n8; }
	equal "laws that do not hold" 0 ${#BROKEN[@]}
	note "$((d_lap_sent + d_lap2_sent + d_gw_sent)) messages to the port, $d_sum_out packets of the network's, $d_sum_tunnel of the host's in $seconds s: all accounted for"
}

# wireguard-go sends one when it is told to keep alive.
keepalive() { # HOST
	wg set "$(dev "$1")" peer "$(key node pub)" persistent-keepalive 600
	wg set "$(dev "$1")" peer "$(key node pub)" persistent-keepalive 0
	sleep 0.5
}

generated() { cat "$RUN"/log/mix-lap* | awk -v n="$1" '$1 == n { sum += $2 } END { print sum + 0 }'; }	# NAME

laws() { # xdp|tcx
	law "lost by the wires" d_wires 0
	law "messages to the port, and their ends" "d_lap_sent + d_lap2_sent + d_gw_sent + d_by_slow_way" d_sum_in
	law "cut in two, and arrived" "d_gw_narrow - d_gw_narrow_whole" "2 * $(generated cut)"
	law "held: to be cut, or for a host that is not there" d_in_held "$(generated cut) + $(generated dead)"
	law "arrived in the networks" "d_gw_arrived + d_gw2_arrived - (d_gw_narrow - d_gw_narrow_whole)" \
		"d_in_forwarded + d_in_onward + d_out_icmp_sent + d_out_onward + d_own"
	law "handed up from the mesh" d_up_mesh "d_in_local + d_tunnel_icmp_sent"
	law "sent by the networks" "d_gw_answered - d_gw_sent + d_gw2_answered" "d_sum_out + d_up_net - d_up_net_pieces"
	law "into the tunnel device, and their ends" d_into_tunnel d_sum_tunnel
	case $1 in
	# By eth1 replies come to tc, which sends them through the tunnel device.
	xdp) law "sealed" "d_lap_opened + d_lap2_opened + d_node_by_tc" "d_in_icmp_sent + d_in_resealed + d_out_forwarded + d_tunnel_forwarded + d_tunnel_keepalive" ;;
	tcx) law "sealed" "d_lap_opened + d_lap2_opened" "d_tunnel_forwarded + d_tunnel_keepalive" ;;
	esac
	happened in_forwarded in_local in_resealed in_icmp_sent in_keepalive in_to_controller in_held in_unknown_type in_no_session in_replayed in_bad_tag \
		in_not_allowed in_nat_proto in_no_route in_blackhole out_forwarded out_icmp_sent out_held tunnel_forwarded
}

test_nothing_is_lost_or_counted_twice_with_xdp() { conserves xdp; }
test_nothing_is_lost_or_counted_twice_with_tcx() { conserves tcx; }
