# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The outer side: addresses that are removed, next hops that change, narrow paths, impossible endpoints; and IPv6 inside.

OTHER=192.168.1.223
OTHER6=fd01::223

setup() {
	topology lap node gw
	servers_up gw
	client_up lap
}

lap_endpoint() { echo "lap: Endpoint = ${1:-10.99.0.2}:$(wg show "$(dev lap)" listen-port)"; }
wg_endpoint() { wg show "$(dev lap)" endpoints | cut -f2; }

# As a host that gets another address from DHCP: the old one goes, and with it its routes.
node_moves() { # OLD NEW
	ip -n "$P-node" addr del "$1/24" dev eth0
	ip -n "$P-node" addr add "$2/24" dev eth0
	ip -n "$P-node" route replace default via 192.168.1.1
}

node_moves6() { # OLD NEW
	ip -n "$P-node" addr del "$1/64" dev eth0
	ip -n "$P-node" addr add "$2/64" dev eth0 nodad
	ip -n "$P-node" route replace default via fd01::1
}

answered() { [ "$(ping_counts "$@" -c 1 -W 0.3)" = "1 1" ]; }

# Milliseconds until a ping is answered again.
heals_within() { # SECONDS HOST TARGET
	local begin=${EPOCHREALTIME/./}
	wait_for "$1" "an answer to $2" answered "$2" "$3"
	note "answered $(((${EPOCHREALTIME/./} - begin) / 1000)) ms after"
}

moves_and_heals() { # CONFIG-LINE...
	node_down
	node_up "$(lap_endpoint)" "$@"
	wg set "$(dev lap)" peer "$(key node pub)" persistent-keepalive 0
	all_answered node 100.64.0.2 3
	finally "node_moves $OTHER $NODE; node_down"
	node_moves $NODE $OTHER
	heals_within 2 node 100.64.0.2
	equal "endpoint that the peer answers to" "$OTHER:$PORT" "$(wg_endpoint)"
	all_answered node 100.64.0.2 20
	all_answered lap 100.64.0.1 3
}

test_data_follow_when_the_address_of_the_node_goes() { needs_talon; moves_and_heals; }
test_data_follow_when_the_address_of_the_node_goes_in_tcx_mode() { needs_talon; moves_and_heals "Datapath = tcx"; }

test_the_peer_hears_of_a_new_address_without_traffic() {
	needs_talon
	node_down
	node_up "$(lap_endpoint)"
	all_answered node 100.64.0.2 3
	finally "node_moves $OTHER $NODE; node_down"
	node_moves $NODE $OTHER
	wait_for 2 "the peer's endpoint to be the new address" wg_endpoint_is "$OTHER:$PORT"
	all_answered lap $GW 3
}

wg_endpoint_is() { [ "$(wg_endpoint)" = "$1" ]; }

test_handshakes_leave_from_a_new_address_too() {
	needs_talon
	node_down
	node_up "$(lap_endpoint)"
	all_answered node 100.64.0.2 3
	finally "node_moves $OTHER $NODE; node_down"
	node_moves $NODE $OTHER
	client_peer lap persistent-keepalive 0		# it has forgotten all keys and waits at the old address
	heals_within 20 node 100.64.0.2
}

test_data_follow_when_the_ipv6_address_of_the_node_goes() {
	needs_talon
	node_down
	node_up "$(lap_endpoint "[fd10::2]")"
	all_answered node 100.64.0.2 3
	finally "node_moves6 $OTHER6 fd01::221; node_down"
	node_moves6 fd01::221 $OTHER6
	heals_within 2 node 100.64.0.2
	equal "endpoint that the peer answers to" "[$OTHER6]:$PORT" "$(wg_endpoint)"
}

# --- Next hops ---

mac_of() { ip -n "$P-$1" -j link show eth0 | jq -r '.[0].address'; }

# Silently: it neither announces the address nor needs to ask for the node's.
gw_changes_mac() { # MAC
	ip -n "$P-gw" neigh replace $NODE lladdr "$(mac_of node)" dev eth0 nud permanent
	ip -n "$P-gw" link set eth0 address "$1"
	ip -n "$P-gw" neigh replace $NODE lladdr "$(mac_of node)" dev eth0 nud permanent
}

gw_mac_is_known() { ip -n "$P-node" neigh show $GW | found "lladdr $1"; }

test_a_stale_next_hop_is_asked_while_only_talon_uses_it() {
	needs_talon
	node_down
	ip -n "$P-node" neigh flush dev eth0
	all_answered node $GW 1			# the host itself resolved it: no entry of ours
	node_up
	all_answered lap $GW 3
	local old
	old=$(mac_of gw)
	finally "ip -n $P-gw link set eth0 address $old; ip -n $P-gw neigh flush dev eth0 nud permanent; ip -n $P-node neigh flush dev eth0"
	# Stale only now: the answer of the old address would make it good for up to 45 s.
	gw_changes_mac 02:00:00:00:99:99
	not answered lap $GW
	ip -n "$P-node" neigh change $GW lladdr "$old" dev eth0 nud stale
	heals_within 12 lap $GW
	gw_mac_is_known 02:00:00:00:99:99
	all_answered lap $GW 10
}

# --- Paths ---

narrow_path() { # MTU
	ip -n "$P-rtr" link set br-inet mtu "$1"
}

downloads_over6() { # MTU-OF-TUNNEL CONFIG-LINE...
	local mtu=$1
	shift
	node_down
	node_up "MTU = $mtu" "$@"
	wg set "$(dev lap)" peer "$(key node pub)" endpoint "[fd01::221]:$PORT"
	ip -n "$P-lap" link set "$(dev lap)" mtu "$mtu"
	finally "narrow_path 1500; path_is_forgotten; ip -n $P-lap link set $(dev lap) mtu 1420; node_down"
	narrow_path 1280
	all_answered lap $GW 3
	equal "SHA-256 of medium, fetched" "$(sha "$RUN/www/medium")" "$(get lap "http://$GW/medium" | sha)"
	equal "SHA-256 of medium, fetched again" "$(sha "$RUN/www/medium")" "$(get lap "http://$GW/medium" | sha)"
	udp_ask lap $GW 7 --size 1350 --count 3
}

path_is_forgotten() { ip -n "$P-node" -6 route flush cache; in_ns node sysctl -qw net.ipv6.conf.all.forwarding=0; }

test_downloads_over_ipv6_do_not_stall_on_a_path_of_1280() { needs_talon; downloads_over6 1420; }
test_downloads_over_ipv6_do_not_stall_with_a_tunnel_of_1280_on_a_path_of_1280() { needs_talon; downloads_over6 1280; }
test_downloads_over_ipv6_do_not_stall_where_the_node_forwards_ipv6() {
	needs_talon
	in_ns node sysctl -qw net.ipv6.conf.all.forwarding=1
	downloads_over6 1420
}
test_downloads_over_ipv6_do_not_stall_on_a_path_of_1280_in_tcx_mode() { needs_talon; downloads_over6 1420 "Datapath = tcx"; }

test_the_host_itself_is_told_of_a_narrow_path() {
	needs_talon
	node_down
	node_up
	wg set "$(dev lap)" peer "$(key node pub)" endpoint "[fd01::221]:$PORT"
	[ -e "$RUN/proc/http-lap-100.64.0.2" ] || servers_up lap 100.64.0.2
	[ -e "$RUN/proc/http-node-100.64.0.1" ] || servers_up node 100.64.0.1
	finally "narrow_path 1500; path_is_forgotten; node_down"
	narrow_path 1280
	all_answered lap 100.64.0.1 3
	equal "SHA-256 of medium, from the node" "$(sha "$RUN/www/medium")" "$(get lap http://100.64.0.1/medium | sha)"
	equal "SHA-256 of medium, put by the node" "$(sha "$RUN/www/medium")" "$(get node http://100.64.0.2/up -T "$RUN/www/medium")"
	[ "$(ends tunnel icmp_sent)" -ge 1 ]
}

# --- Endpoints where no peer can be ---

test_an_endpoint_that_leads_into_the_tunnel_is_refused() {
	needs_talon
	node_down
	node_up "$(lap_endpoint)"
	all_answered lap $GW 3
	finally "ip -n $P-node route del 10.99.0.2/32 dev wt0; node_down"
	ip -n "$P-node" route add 10.99.0.2/32 dev wt0
	wait_for 5 "a refused packet" refused_loop
	ip -n "$P-node" route del 10.99.0.2/32 dev wt0
	heals_within 10 node 100.64.0.2
}

refused_loop() {
	answered node 100.64.0.2
	[ "$(ends tunnel endpoint_loop)" -ge 1 ]
}

junk() { status .counts.junk; }

test_a_handshake_from_where_no_peer_can_be_is_junk() {
	needs_talon
	node_up
	local before at
	before=$(junk)
	for at in 127.0.0.1 $NODE; do	# by the loopback device, and from the node to itself
		in_ns node /usr/bin/python3 -c "import socket
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(bytes([1]) + bytes(147), ('$at', $PORT))"
	done
	wait_for 5 "two messages counted as junk" junk_is $((before + 2))
}

junk_is() { [ "$(junk)" = "$1" ]; }

# --- IPv6 inside ---

test_ipv6_through_an_exit_route_fails_at_once() {
	needs_talon
	node_down
	node_up "$@"
	all_answered lap $GW 3
	ip -n "$P-lap" addr add fd20::2/128 dev "$(dev lap)" nodad
	ip -n "$P-lap" route add 2001:db8:50::/48 dev "$(dev lap)"
	finally "ip -n $P-lap route del 2001:db8:50::/48; ip -n $P-lap addr del fd20::2/128 dev $(dev lap)"
	wg set "$(dev lap)" peer "$(key node pub)" allowed-ips 192.168.1.0/24,100.64.0.1/32,::/0
	local begin=${EPOCHREALTIME/./} rc=0
	in_ns lap curl -sS --max-time 20 --noproxy '*' "http://[2001:db8:50::1]/" >"$RUN/log/six" 2>&1 || rc=$?
	note "refused after $(((${EPOCHREALTIME/./} - begin) / 1000)) ms: $(cat "$RUN/log/six")"
	equal "curl's status (7: could not connect, 28: timeout)" 7 $rc
	in_ns lap ping -6 -n -c 1 -W 5 2001:db8:50::1 >"$RUN/log/six" 2>&1 || true
	grep -i "no route" "$RUN/log/six" || fail "ping heard nothing: $(cat "$RUN/log/six")"
	[ "$(ends in icmp_sent)" -ge 2 ]
}

test_ipv6_through_an_exit_route_fails_at_once_in_tcx_mode() {
	test_ipv6_through_an_exit_route_fails_at_once "Datapath = tcx"
}
