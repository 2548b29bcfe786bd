# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The node's own addresses in a mesh: a rule for a network or a name opens that network, but not the node's own address in it.
. "$E2E/test_mesh_rules.sh"

DNS="/usr/bin/python3 $E2E/mesh/dns.py"
eval "rules_$(declare -f setup)"

# Services of the node by its address in the network, and by one that a test may list in Local.
setup() {
	rules_setup
	ip -n "$P-node" addr add 10.47.0.10/32 dev lo
	spawn http-own node $NET http $NODE 80 "$RUN/www" "$RUN/log/seen-own"
	spawn udp-own node $NET udp-serve $NODE 7 "$RUN/log/seen-udp-own"
	spawn http-local node $NET http 10.47.0.10 80 "$RUN/www" "$RUN/log/seen-local"
	wait_for 5 "the node's own server" listening node "$NODE:80" t
	wait_for 5 "the server in Local" listening node "10.47.0.10:80" t
}

lan() { mesh route lan peer=node network=192.168.1.0/24 "$@"; settled node lap; }

with_lan() { # ACL [RULE...]
	finally "mesh route lan peer=node network=192.168.1.0/24"
	only "${@:2}"
	lan "acl=$1"
}

test_a_rule_for_a_network_opens_no_service_of_the_node_in_it() {
	with_lan lap:tcp
	fetch_page lap $GW
	keeps_out lap $NODE 80
	keeps_out lap $NODE 10250
	keeps_out lap "$NODE_IP" 80
}

test_not_even_a_rule_for_everything_in_the_network() {
	with_lan lap:all
	fetch_page lap $GW
	pings lap $GW
	keeps_out lap $NODE 80
	not pings lap $NODE
	not echoes lap $NODE 1
	not pings lap 192.168.1.255
}

test_a_rule_for_the_peer_opens_its_service_by_every_address() {
	with_lan lap:tcp:9 "web sources=lap destinations=node protocol=tcp ports=80"
	fetch_page lap $NODE
	saw own "$LAP_IP"
	fetch_page lap "$NODE_IP"
	keeps_out lap $NODE 81
	keeps_out lap $GW 80
	keeps_out lap2 $NODE 80
}

test_what_lies_in_local_is_judged_by_the_rules_for_networks() {
	finally "mesh unroute services; stop node; member_up node; direct lap node; direct lap2 node"
	stop node
	member_up node TALON_LOCAL=10.47.0.0/16
	direct lap node
	only "web sources=lap2 destinations=node protocol=tcp ports=80"
	mesh route services peer=node network=10.47.0.0/16 acl=lap:tcp:80
	settled node lap lap2
	fetch_page lap 10.47.0.10
	saw local "$LAP_IP"
	keeps_out lap 10.47.0.10 81
	keeps_out lap2 10.47.0.10 80
}

# As above without Local: the same address is then the node's own.
test_what_lies_not_in_local_is_the_nodes_own_however_its_network_is_routed() {
	finally "mesh unroute services"
	only
	mesh route services peer=node network=10.47.0.0/16 acl=lap:tcp:80
	settled node lap
	keeps_out lap 10.47.0.10 80
	mesh policy web sources=lap destinations=node protocol=tcp ports=80
	settled node
	fetch_page lap 10.47.0.10
}
