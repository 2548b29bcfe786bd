# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Data messages that reach the uplink's program fragmented, joined by GRO, or not at all are opened nevertheless.

PEERS="lap lap2 pod second"
MESH[lap2]=100.64.0.3 MESH[pod]=100.64.0.5 MESH[second]=100.64.0.6
ADDRESS[pod]=10.244.1.2/24 ADDRESS[second]=10.77.0.2/24

setup() {
	topology lap node gw
	servers_up gw
	beside pod 10.244.1.1/24
	beside second 10.77.0.1/24
	client_up lap
	client_up pod
	client_up second
}

# A host on a device of the node that is not an uplink, like a pod of that node or a host on a second NIC.
beside() { # HOST ADDRESS-OF-THE-NODE
	local h=$1
	ns_add "$h"
	ip -n "$P-$h" link add eth0 type veth peer name "to-$h" netns "$P-node"
	ip -n "$P-node" addr add "$2" dev "to-$h"
	ip -n "$P-node" link set "to-$h" up
	ip -n "$P-$h" addr add "${ADDRESS[$h]}" dev eth0
	ip -n "$P-$h" link set eth0 up
	ip -n "$P-$h" route add default via "${2%/*}"
}

# A path of the internet that takes no more than 1300 bytes: both sides' outer packets come in pieces.
narrow() {
	finally "ip -n $P-lap link set eth0 mtu 1500; ip -n $P-rtr link set p-lap mtu 1500; ip -n $P-rtr link set br-inet mtu 1500"
	ip -n "$P-lap" link set eth0 mtu 1300
	ip -n "$P-rtr" link set p-lap mtu 1300
	ip -n "$P-rtr" link set br-inet mtu 1300
}

# The node as configured; the clients begin anew.
up() { # LINE...
	node_up "$@"
	client_peer pod
	client_peer second
}

slow() { status .counts.slow_data; }

now_slow() { # LEAST COMMAND...: at least this many messages took the slow way meanwhile
	local before least=$1
	before=$(slow)
	shift
	"$@"
	wait_for 5 "$least messages given to the programs" slow_since "$before" "$least"
}

slow_since() { [ $(($(slow) - $1)) -ge "$2" ]; }

nothing_lost() { equal "data messages lost at the socket" 0 "$(status .counts.slow_dropped)"; }

test_full_packets_pass_a_path_that_breaks_them_up() {
	needs_talon
	up
	narrow
	all_answered lap $GW 5
	now_slow 40 all_answered lap $GW 40 -s 1392
	all_answered lap "${MESH[node]}" 40 -s 1392
	fetch_and_put lap medium
	nothing_lost
}

test_full_packets_pass_it_with_tc_too() {
	needs_talon
	up "Datapath = tcx"
	narrow
	now_slow 40 all_answered lap $GW 40 -s 1392
	fetch_and_put lap medium
	nothing_lost
}

test_full_packets_pass_it_over_ipv6() {
	needs_talon
	up
	narrow
	client_peer lap endpoint "[fd01::221]:$PORT"
	finally "client_peer lap"
	all_answered lap $GW 5
	# Their answers are small: nobody on the way breaks up what we send.
	now_slow 40 udp_ask lap $GW 7 --size 1350 --count 40 --order "nodf:64;" --reply-size 64
}

# What is sent again in one piece must come out as as many messages, each recognised as a replay by the programs.
test_datagrams_that_a_sender_joined_are_parted_with_tc() {
	needs_talon
	local replayed
	up "Datapath = tcx" "Uplink = eth0, to-pod"
	all_answered pod $GW 5
	replayed=$(ends in replayed)
	in_ns pod $NET replay $NODE $PORT --count 20 --joined >"$RUN/log/joined" &
	wait_for 5 "somebody to replay" listening_to_replay
	now_slow 15 all_answered pod $GW 30 -s 700
	wait $!
	wait_for 5 "each to be refused as a replay" ends_is in replayed $((replayed + $(cat "$RUN/log/joined")))
	nothing_lost
}

test_messages_with_options_in_the_outer_header_are_looked_at() {
	needs_talon
	local replayed
	up
	all_answered lap $GW 5
	replayed=$(ends in replayed)
	in_ns lap $NET replay $NODE $PORT --count 20 --options >"$RUN/log/options" &
	wait_for 5 "somebody to replay" lap_listens_to_replay
	now_slow 20 all_answered lap $GW 30
	wait $!
	wait_for 5 "each to be refused as a replay" ends_is in replayed $((replayed + 20))
	nothing_lost
}

lap_listens_to_replay() { in_ns lap ss -Hn0 | found eth0; }

test_a_pod_of_this_node_is_a_peer_like_any_other() {
	needs_talon
	up
	now_slow 40 all_answered pod "${MESH[node]}" 40
	all_answered pod "${MESH[node]}" 40 -s 1392
	all_answered pod $GW 40		# whose answers are sealed in XDP, after tc has found the way
	equal "endpoint in status" 10.244.1.2 "$(peer_field pod endpoint | cut -d: -f1)"
	nothing_lost
}

test_a_peer_behind_a_second_device_is_one_like_any_other() {
	needs_talon
	up "Datapath = tcx"
	now_slow 40 all_answered second "${MESH[node]}" 40
	now_slow 40 all_answered second $GW 40
	fetch_and_put second medium
	nothing_lost
}

test_its_endpoint_follows_what_comes_the_slow_way() {
	needs_talon
	local before
	up
	all_answered pod "${MESH[node]}" 5
	before=$(peer_field pod handshakes)
	wg set "$(dev pod)" listen-port 34567
	all_answered pod "${MESH[node]}" 5
	equal "endpoint in status" 10.244.1.2:34567 "$(peer_field pod endpoint)"
	equal "handshakes" "$before" "$(peer_field pod handshakes)"
	nothing_lost
}

test_what_was_received_once_is_refused_the_slow_way_too() {
	needs_talon
	local before
	up
	all_answered pod "${MESH[node]}" 5
	before=$(ends in replayed)
	in_ns pod $NET replay $NODE $PORT --count 20 >"$RUN/log/replay" &
	wait_for 5 "somebody to replay" listening_to_replay
	all_answered pod "${MESH[node]}" 20
	wait $!
	wait_for 5 "replays to be refused" replayed_since "$before"
}

listening_to_replay() { in_ns pod ss -Hn0 | found eth0; }

replayed_since() { [ "$(ends in replayed)" -gt "$1" ]; }

test_who_knows_no_session_gets_no_further_than_the_socket() {
	needs_talon
	local before dropped
	up
	before=$(ends in no_session) dropped=$(status .counts.slow_dropped)
	in_ns pod bash -c "for i in {1..20}; do printf '\4\0\0\0AAAAnnnnnnnnTTTTTTTTTTTTTTTT' >/dev/udp/$NODE/$PORT; done"
	wait_for 5 "them to be counted" dropped_are $((dropped + 20))
	equal "messages that the programs saw" "$before" "$(ends in no_session)"
}

dropped_are() { [ "$(status .counts.slow_dropped)" = "$1" ]; }
