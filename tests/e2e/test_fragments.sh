# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Datagrams in pieces: both directions, in order and out of order.

test_large_datagrams_from_the_client_arrive_whole() {
	node_up
	udp_ask lap $GW 7 --size 3000 --count 5
	udp_ask lap $GW 7 --size 8000 --count 5
}

test_large_pings_come_back() {
	node_up
	all_answered lap $GW 5 -s 3000
	all_answered lap $GW 5 -s 8000
}

test_fragments_of_the_client_in_reverse_order_arrive_whole() {
	node_up
	udp_ask lap $GW 7 --size 3000 --fragments reversed --count 5
}

test_first_fragment_of_the_client_last_of_all_arrives_whole() {
	node_up
	udp_ask lap $GW 7 --size 4000 --fragments first-last --count 5
}

test_fragments_of_the_gateway_in_order_arrive_whole() {
	node_up
	udp_ask lap $GW 7 --size 3000 --order "frag:forward;" --count 5
}

test_fragments_of_the_gateway_in_reverse_order_arrive_whole() {
	node_up
	udp_ask lap $GW 7 --size 3000 --order "frag:reversed;" --count 5
}

test_first_fragment_of_the_gateway_last_of_all_arrives_whole() {
	node_up
	udp_ask lap $GW 7 --size 4000 --order "frag:first-last;" --count 5
}

test_fragments_reach_the_gateway_from_the_nodes_address() {
	node_up
	udp_ask lap $GW 7 --size 3000 --fragments reversed
	equal "client of the datagram in pieces" $NODE "$(last_seen udp-gw client)"
	equal "its size" 3000 "$(last_seen udp-gw size)"
}

test_fragments_to_the_node_itself_are_left_alone() {
	node_up
	[ -e "$RUN/proc/udp-node-$NODE" ] || servers_up node
	udp_ask gw $NODE 7 --size 5000 --count 3
	udp_ask gw $NODE 7 --size 5000 --fragments reversed --count 3
}
