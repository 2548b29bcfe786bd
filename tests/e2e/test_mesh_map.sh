# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The network map is applied: networks, addresses, peers that come, go and come back, and maps that must be an error.
. "$E2E/mesh/mesh.sh"

OTHER=192.168.1.219	# a second server in the network behind the node
DNS="/usr/bin/python3 $E2E/mesh/dns.py"

setup() {
	topology mesh lap lap2 node gw
	ip -n "$P-gw" addr add $OTHER/24 dev eth0
	ip -n "$P-gw" route add 100.92.0.0/16 via $NODE
	servers_up gw
	spawn http-other gw $NET http $OTHER 80 "$RUN/www" "$RUN/log/seen-other"
	spawn dns gw $DNS serve $GW app.example.test=$GW www.wild.test=$OTHER two.wild.test=$OTHER,192.168.1.218
	mesh_start mesh $MESH_HOST
	echo "nameserver $GW" >"$RUN/resolv.conf"
	with_resolver member_up node
	member_up lap
	member_up lap2
	mesh route lan peer=node network=192.168.1.0/24
	ready lap
}

# The process has a resolv.conf of its own; its mounts are of no importance, for the pins lie on a file system that it shares.
with_resolver() { # COMMAND HOST...
	TALON_REAL=$TALON TALON=$RUN/talon
	printf '#!/bin/sh\n[ "$1" = up ] || exec %s "$@"\nexec unshare -m sh -c '\''mount --bind %s /etc/resolv.conf && exec "$@"'\'' up %s "$@"\n' \
		"$(readlink -f "$TALON_REAL")" "$RUN/resolv.conf" "$(readlink -f "$TALON_REAL")" >"$TALON"
	chmod +x "$TALON"
	"$@"
	TALON=$TALON_REAL
}

ready() { # HOST: the network behind the node is reached directly
	wait_for 10 "the route on $1" host_route "$1" 192.168.1.0/24
	direct "$1" node
	wait_for 5 "the gateway to answer $1" answers "$1" $GW
}

denied() { # HOST ADDRESS: nothing comes back, although this host sends it into the tunnel
	host_route "$1" 192.168.1.0/24 || ip -n "$P-$1" route get "$2" | found 'dev wt0' || fail "$2 is not sent into the tunnel"
	not in_ns "$1" ping -q -c 1 -W 1 "$2"
}

test_gateway_sees_the_node_where_the_route_masquerades_and_the_peer_where_not() {
	fetch_page lap
	saw gw $NODE
	mesh route lan peer=node network=192.168.1.0/24 masquerade=0
	wait_for 5 "the peer's own address at the gateway" sees_peer
	mesh route lan peer=node network=192.168.1.0/24
	wait_for 5 "the node's address at the gateway" sees_node
}

sees_peer() { fetch_page lap; [ "$(last_seen gw client)" = "$(mesh_ip lap)" ]; }
sees_node() { fetch_page lap; [ "$(last_seen gw client)" = $NODE ]; }

test_networks_are_listed_deselected_and_selected_and_a_restart_remembers() {
	finally "member lap networks select all"
	member lap networks list | tee /dev/stderr | grep -F 192.168.1.0/24
	member lap networks list | grep -F "Status: Selected"
	member lap networks deselect lan
	wait_for 5 "the route to go" not host_route lap 192.168.1.0/24
	member lap networks list | grep -F "Status: Not Selected"
	stop lap
	member_up lap
	direct lap node
	not host_route lap 192.168.1.0/24
	member lap networks select lan
	ready lap
	fetch_page lap
}

test_network_that_is_withdrawn_goes_and_comes_back() {
	finally "mesh route lan peer=node network=192.168.1.0/24"
	mesh unroute lan
	wait_for 5 "the route to go" not host_route lap 192.168.1.0/24
	mesh route lan peer=node network=192.168.1.0/24
	ready lap
}

test_host_route_that_somebody_deletes_is_put_back() {
	ip -n "$P-lap" route del 192.168.1.0/24 dev wt0
	wait_for 10 "the route to be back" host_route lap 192.168.1.0/24
	ready lap
}

test_host_route_of_somebody_else_is_left_alone() {
	finally "ip -n $P-lap route del 10.66.0.0/16; mesh unroute other"
	ip -n "$P-lap" route add 10.66.0.0/16 via 10.99.0.254
	mesh route other peer=node network=10.66.0.0/16
	wait_for 5 "the map that says so" member_logged lap "10.66.0.0/16 to wt0 is left out"
	equal "the route" "10.66.0.0/16 via 10.99.0.254 dev eth0" "$(ip -n "$P-lap" route show 10.66.0.0/16 | xargs)"
}

test_new_mesh_address_is_taken_over_by_all() {
	local old new=100.92.7.7
	old=$(mesh_ip lap2)
	finally "mesh address lap2 $old"
	wait_for 10 "the old address to answer" answers node "$old"
	mesh address lap2 $new
	wait_for 5 "the new address on wt0" address_on lap2 $new
	wait_for 5 "the new address to answer" answers node $new
	not address_on lap2 "$old"
	wait_for 5 "the gateway to answer the new address" answers lap2 $GW
	equal "address in status" "$new/16" "$(member_says lap2 .netbirdIp)"
	mesh address lap2 "$old"
	wait_for 5 "the old address to answer again" answers node "$old"
}

address_on() { ip -n "$P-$1" -4 -o addr show dev wt0 | found -F " $2/"; }

# Its process is stopped, but its datapath goes on: the node must shut it out.
test_peer_that_the_map_drops_is_shut_out_at_once() {
	local pid
	ready lap2
	pid=$(pid_of lap2)
	finally "kill -CONT $pid; mesh policy default"
	kill -STOP "$pid"
	wait_for 5 "the gateway to answer all the same" answers lap2 $GW
	spawn flood lap2 ping -q -i 0.05 -w 60 $GW
	finally "stop flood"
	mesh policy default sources=lap destinations=node
	wait_for 5 "the node to shut it out" not member_says node '.peers.details[] | select(.fqdn | startswith("lap2."))'
	denied lap2 $GW
	ready lap
	kill -CONT "$pid"
	mesh policy default
	ready lap2
}

test_peer_that_comes_back_with_another_key_is_let_in_at_its_old_address() {
	local old key
	ready lap2
	old=$(mesh_ip lap2) key=$(mesh peer lap2 key)
	stop lap2
	member lap2 down
	rm -rf "$RUN/state/lap2"
	mesh delete lap2
	member_up lap2
	equal "mesh address" "$old" "$(mesh_ip lap2)"
	[ "$key" != "$(mesh peer lap2 key)" ] || fail "the key is the old one"
	wait_for 10 "the old address to answer" answers node "$old"
	ready lap2
}

test_deleted_peer_closes_its_ways_says_so_and_does_not_register_again() {
	local registered refused
	needs_mesh_py "logs in these words"
	ready lap2
	mesh key "$SETUP_KEY" valid
	registered=$(mesh_said "lap2 registered") refused=$(mesh_said "unknown peer without a setup key")
	mesh delete lap2
	wait_for 5 "its routes to go" not host_route lap2 192.168.1.0/24
	wait_for 5 "the daemon to say so" member_says lap2 '.talon.daemonStatus == "NeedsLogin"'
	not member lap2 status --check ready
	member lap2 status --check live
	not member_says lap2 '.peers.details[]?'
	grep -q "this peer was deleted in management" "$RUN/log/lap2"
	not mesh peer lap2
	alive lap2
	wait_for 10 "it to ask, and to be refused" refused_more "$refused"
	ready lap
	equal "registrations" "$registered" "$(mesh_said "lap2 registered")"
	# With a setup key from the user, it joins again as the same peer.
	member lap2 up --setup-key "$SETUP_KEY"
	ready lap2
}

test_peer_deleted_while_it_was_off_does_not_live_on_its_last_map() {
	ready lap2
	stop lap2
	answers node "$(mesh_ip lap2)" || fail "the datapath without a controller should go on"
	mesh delete lap2
	member_start lap2
	wait_for 10 "the daemon to say so" member_says lap2 '.talon.daemonStatus == "NeedsLogin"'
	wait_for 5 "its routes to go" not host_route lap2 192.168.1.0/24
	not member_says lap2 '.peers.details[]?'
	not member lap2 status --check ready
	grep -q "does not know this peer any more" "$RUN/log/lap2"
	mesh key "$SETUP_KEY" valid
	member lap2 up --setup-key "$SETUP_KEY"
	ready lap2
}

mesh_said() { grep -c "$1" "$RUN/log/mesh.now" || true; }
refused_more() { [ "$(mesh_said "unknown peer without a setup key")" -gt "$1" ]; }

test_empty_map_closes_at_once_and_tears_ways_down_when_it_is_said_again() {
	local before
	ready lap
	finally "mesh unroute nothing; mesh push; ready lap"
	before=$(about_peer lap node lastWireguardHandshake)
	mesh empty node
	wait_for 5 "the ways to be kept" member_says node .talon.waysKept
	member node status | grep -F "KEPT"
	member_says node '.talon.mapNote | test("is empty")'
	wait_for 2 "the gateway to be out of reach" not answers lap $GW
	# Reverted, everything is as before: nothing has to be rebuilt.
	mesh push
	wait_for 5 "the gateway to answer" answers lap $GW
	equal "last handshake" "$before" "$(about_peer lap node lastWireguardHandshake)"
	mesh empty node
	wait_for 5 "the ways to be kept" member_says node .talon.waysKept
	mesh empty node
	wait_for 5 "the ways to be torn down" not member_says node .talon.waysKept
	member_says node '.peers.total == 0 and .talon.datapath.peers.total == 0'
	mesh route nothing peer=node network=10.250.0.0/16
	ready lap
}

test_map_without_most_peers_closes_at_once_and_is_forgotten_when_the_next_has_them() {
	local lines
	finally "mesh policy default"
	ready lap
	mesh add one
	mesh add two
	wait_for 5 "the map with all peers" member_says node '.peers.total >= 4'
	lines=$(log_lines node)
	mesh policy default sources=two destinations=node
	wait_for 5 "the ways to be kept" member_says node .talon.waysKept
	logged_since node "$lines" "takes away [0-9]+ of [0-9]+ peers"
	not answers lap $GW
	mesh policy default
	wait_for 5 "the guard to let go" not member_says node .talon.waysKept
	ready lap
}

test_management_that_is_gone_changes_nothing() {
	finally "mesh start management"
	ready lap
	mesh stop management
	wait_for 5 "both to notice" member_says lap '.management.connected | not'
	all_answered lap $GW 100 -i 0.02
	member node status --check ready
	host_route lap 192.168.1.0/24
	mesh start management
	wait_for 30 "management to be back" member_says node .management.connected
	wait_for 30 "management to be back" member_says lap .management.connected
	ready lap
}

asked() { in_ns lap $DNS ask "$@"; }	# ADDRESS PORT NAME [tcp] [aaaa]

test_domain_route_answers_and_opens_what_it_answered() {
	local node
	node=$(mesh_ip node)
	finally "mesh unroute domains; mesh route lan peer=node network=192.168.1.0/24; ready lap"
	mesh route lan peer=node network=192.168.1.0/24 acl=lap:tcp:9
	mesh route domains "peer=node" "domains=app.example.test,*.wild.test" acl=lap:tcp:80
	wait_for 5 "an answer" asked "$node" 22054 app.example.test
	not get lap "http://$OTHER/page" --max-time 1
	equal "answer" "0 $GW" "$(asked "$node" 22054 app.example.test)"
	equal "answer over TCP" "0 $GW" "$(asked "$node" 22054 app.example.test tcp)"
	equal "answer at the old port" "0 $GW" "$(asked "$node" 5353 app.example.test)"
	wait_for 5 "what was answered to be open" fetch_page lap
	saw gw $NODE
	not get lap "http://$OTHER/page" --max-time 1
	equal "another name's answer" "0 192.168.1.218 $OTHER" "$(asked "$node" 22054 two.wild.test)"
	wait_for 5 "that to be open too" fetch_page lap $OTHER
	equal "a name that is nobody's" 5 "$(asked "$node" 22054 example.org)"
	equal "a name that does not exist" 3 "$(asked "$node" 22054 none.wild.test)"
	equal "an IPv6 address" 0 "$(asked "$node" 22054 app.example.test aaaa)"
	mesh unroute domains
	wait_for 5 "what was open to be closed" not get lap "http://$GW/page" --max-time 1
}

# The node's own address lies in the network behind it: from outside there is no way to it but the tunnel, once that leads there.
test_way_to_an_address_inside_a_routed_network_is_left_when_the_route_comes() {
	finally "mesh route lan peer=node network=192.168.1.0/24; ready lap"
	mesh unroute lan
	wait_for 5 "the route to go" not host_route lap 192.168.1.0/24
	stop lap
	member lap down
	member_up lap
	wait_for 15 "a way to the node's address" endpoint_is lap node "$NODE:51820"
	mesh route lan peer=node network=192.168.1.0/24
	settled lap
	wait_for 5 "another way" not endpoint_is lap node "$NODE:51820"
	ready lap
	all_answered lap $GW 50
	endpoint_is lap node "\\[fd01::221]:51820"
}

endpoint_is() { about_peer "$1" "$2" iceCandidateEndpoint.remote | found -x "$3"; }

test_host_inside_a_routed_network_keeps_its_own_way_there() {
	host_add node2
	finally "stop node2; mesh delete node2"
	member_up node2 TALON_AGENT=true
	wait_for 5 "the route that it has itself to be left alone" member_logged node2 "192.168.1.0/24 to wt0 is left out"
	direct node2 node
	settled node2
	wait_for 15 "a way inside the network" endpoint_is node2 node "\\($NODE:51820\\|\\[fd01::221]:51820\\)"
	stop node2
	member node2 down
	member_up node2 TALON_AGENT=true NB_LOG_LEVEL=debug
	direct node2 node
	not member_logged node2 "a candidate inside a network that we reach through the mesh"
}
