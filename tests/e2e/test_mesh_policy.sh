# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Access that must end does: revocation and how fast, another server, a restart with a preshared key, rules that do not fit, ports of other services.
. "$E2E/mesh/mesh.sh"

DNS="/usr/bin/python3 $E2E/mesh/dns.py"
PSK=$(printf 'a preshared key of thirty-two b.' | base64)
OTHER_PSK=$(printf 'another preshared key, 32 bytes.' | base64)

setup() {
	mesh_setup lap lap2 node gw
	ip -n "$P-gw" route add 100.92.0.0/16 via $NODE
	servers_up gw
	member_up node
	member_up lap
	member_up lap2
	whole
}

# The state before and after every case.
whole() {
	mesh policy default
	mesh route lan peer=node network=192.168.1.0/24
	ready lap
	ready lap2
}

ready() { # HOST
	wait_for 10 "the route on $1" host_route "$1" 192.168.1.0/24
	direct "$1" node
	wait_for 5 "the gateway to answer $1" answers "$1" $GW
}

freeze() { kill -STOP "$(pid_of "$1")"; FINALLY="kill -CONT $(pid_of "$1"); $FINALLY"; }	# HOST: its datapath goes on by what it knew

denied() { not in_ns "$1" ping -q -c 1 -W 1 "$2"; }	# HOST ADDRESS

closed() { denied lap $GW && not get lap "http://$GW/page" --max-time 1; }

seconds() { date +%s.%N; }

# Milliseconds from @SINCE to the last answer of the pings in log/flood, which must have ended.
last_answer() { # SINCE
	awk -v since="$1" '/ bytes from /{ gsub(/[][]/, "", $1); last = $1 } END { printf "%d\n", (last - since) * 1000 }' "$RUN/log/flood"
}

test_revocation_of_the_only_policy_ends_what_runs_within_a_second() {
	local since ms
	finally "stop flood KILL; whole"
	freeze lap
	spawn flood lap ping -D -n -i 0.01 -w 60 $GW
	wait_for 5 "pings to be answered" grep -q "icmp_seq=20 " "$RUN/log/flood"
	since=$(seconds)
	mesh unroute lan
	mesh unpolicy default
	wait_for 5 "the map without anybody" member_says node '.peers.total == 0'
	sleep 1.5
	ms=$(last_answer "$since")
	note "the last answer came $ms ms after the command that revoked it"
	between "milliseconds from the revocation to the last packet" -1000 1000 "$ms"
	closed
	# A restart neither opens it again nor waits for anything.
	stop node
	member_start node
	wait_for 10 "the node to be ready" member_ready_or_dead node
	closed
}

test_most_peers_revoked_lose_their_rights_at_once_and_their_ways_when_it_is_said_again() {
	local lines
	finally "mesh delete one; mesh delete two; whole"
	mesh add one
	mesh add two
	wait_for 5 "the map with all peers" member_says node '.peers.total >= 4'
	lines=$(log_lines node)
	freeze lap
	mesh policy default sources=two destinations=node
	wait_for 5 "the ways to be kept" member_says node .talon.waysKept
	logged_since node "$lines" "takes away 3 of 4 peers at once"
	member node status | grep -F "KEPT"
	closed
	equal "peers with a session" 2 "$(sessions)"
	kill -CONT "$(pid_of lap)"	# before it misses checks of the pair
	mesh policy default
	wait_for 5 "the gateway to answer again" answers lap $GW
	not member_says node .talon.waysKept
	mesh policy default sources=two destinations=node
	wait_for 5 "the ways to be kept" member_says node .talon.waysKept
	mesh push
	mesh route nothing peer=node network=10.250.0.0/16
	mesh unroute nothing
	wait_for 5 "the ways to be torn down" not member_says node .talon.waysKept
	equal "peers with a session" 0 "$(sessions)"
	closed
}

sessions() { member_says node '[.talon.datapath.peers.details[] | select(.sessionAgeSeconds != null)] | length'; }

handshake_count() { member_says node '.talon.datapath.handshakes.initiation + .talon.datapath.handshakes.response'; }

test_a_map_from_disk_is_no_reason_to_wait() {
	finally "whole"
	stop node
	freeze lap
	mesh route lan peer=node network=192.168.1.0/24 groups=nobody acl=nobody:all
	mesh unpolicy default
	member_start node
	wait_for 10 "the map without anybody" member_says node '.peers.total == 0'
	wait_for 10 "the node to be ready" member_ready_or_dead node	# the map may come first
	not member_says node .talon.waysKept
	closed
}

test_another_server_is_not_served_with_the_last_one_s_map() {
	finally "member_down node; member_start node; wait_for 10 ready member_ready_or_dead node; whole"
	freeze lap
	stop node
	answers lap $GW || fail "the datapath without a controller should go on"
	member_start node NB_MANAGEMENT_URL="http://$MESH_HOST:9999"
	wait_for 10 "it to be said" member_logged node "another server's or another key's"
	wait_for 5 "what was open to be closed" closed
	alive node
	not member node status --check ready
	not ls "$RUN/state/node/talon-map"
}

test_preshared_key_is_asked_for_also_between_a_restart_and_the_first_map() {
	local before
	finally "mesh start management; member_down node; member_down lap; member_up node; member_up lap; whole"
	stop node
	stop lap
	member_down_pins node
	member_down_pins lap
	member_up node NB_PRESHARED_KEY="$PSK"
	member_up lap NB_PRESHARED_KEY="$PSK"
	ready lap
	stop node
	stop lap
	rm -f "$RUN/state/node/talon-map"
	mesh stop management
	member_start node NB_PRESHARED_KEY="$PSK" service run
	wait_for 10 "the node to go on" handshake_count
	before=$(handshake_count)	# counters go on in the next process
	member_start lap
	# It takes its own way up again, and wants a handshake by it; it has no preshared key now.
	wait_for 20 "a handshake to be refused" member_says node '.talon.datapath.handshakes.unconfirmed_peer > 0'
	equal "handshakes that it had made, now" "$before" "$(handshake_count)"
	answers lap $GW || fail "the session from before should go on"
	mesh start management
	wait_for 30 "the node to have a map" mesh_is node sync true
	wait_for 30 "the wrong key to be refused" member_says lap '.talon.datapath.handshakes.decrypt_failed > 0'
	stop lap
	member_up lap NB_PRESHARED_KEY="$PSK"
	ready lap
}

member_down_pins() { member "$1" down 2>/dev/null || true; }

# 1,100 rules that cannot be merged.
too_many_rules() { seq -f 'lap:tcp:%g' 1 2 2200 | paste -sd ';'; }

test_rules_that_cannot_be_had_let_nothing_in_and_it_is_said() {
	finally "whole"
	mesh route lan peer=node network=192.168.1.0/24 "acl=$(too_many_rules)"
	wait_for 5 "the node not to be ready" not member node status --check ready
	member_says node '.talon.why | test("until then nothing is let in")'
	closed
	denied lap "$(mesh_ip node)"
	# The same at a first start, with nothing in the datapath to begin with.
	member_down node
	member_start node
	wait_for 10 "the map to be tried" member_says node '.talon.why | test("until then nothing is let in")'
	wait_for 15 "the laptop to be connected" connected lap node
	closed
	denied lap "$(mesh_ip node)"
	mesh route lan peer=node network=192.168.1.0/24
	wait_for 5 "the node to be ready" member node status --check ready
	ready lap
}

test_lan_access_is_blocked_for_more_than_64_networks() {
	local i
	finally "mesh unroute wide; member_down node; no_networks; member_up node; whole"
	# Before the others in the kernel's list, and no candidates for ways to the node.
	for i in $(seq 70); do ip -n "$P-node" addr add "10.77.$i.1/24" dev lo; done
	ip -n "$P-node" addr add 10.78.1.1/24 dev eth0
	ip -n "$P-gw" addr add 10.78.1.2/24 dev eth0
	mesh route wide peer=node network=10.78.0.0/16
	wait_for 10 "the last network to be open" answers lap 10.78.1.2
	stop node
	member_start node NB_BLOCK_LAN_ACCESS=true
	wait_for 10 "the node to be ready" member_ready_or_dead node
	wait_for 5 "the first network to be closed" denied lap $GW
	wait_for 5 "the last network to be closed" denied lap 10.78.1.2
	# An address that has just become the host's.
	ip -n "$P-gw" addr add 10.78.2.2/24 dev eth0
	ip -n "$P-node" addr add 10.78.2.1/24 dev eth0
	wait_for 5 "the newest network to be closed" denied lap 10.78.2.2
	host_route lap 10.78.0.0/16
}

no_networks() {
	local i
	for i in $(seq 70); do ip -n "$P-node" addr del "10.77.$i.1/24" dev lo; done
	ip -n "$P-node" addr del 10.78.1.1/24 dev eth0
	ip -n "$P-node" addr del 10.78.2.1/24 dev eth0
	ip -n "$P-gw" addr del 10.78.1.2/24 dev eth0
	ip -n "$P-gw" addr del 10.78.2.2/24 dev eth0
}

# Another service on the forwarder's former port: no policy opens it.
test_port_that_the_forwarder_could_not_have_stays_closed() {
	local node_ip
	node_ip=$(mesh_ip node)
	finally "stop theirs; mesh unroute domains; whole"
	spawn theirs node $NET udp-serve "$node_ip" 5353 "$RUN/log/seen-theirs"
	wait_for 5 "their service" listening node "$node_ip:5353" u
	mesh policy default sources=lap destinations=node protocol=tcp ports=9
	mesh route domains peer=node domains=app.example.test acl=lap:tcp:80
	wait_for 5 "the forwarder to answer" in_ns lap $DNS ask "$node_ip" 22054 not.ours.test
	not in_ns lap $NET udp "$node_ip" 5353 --timeout 1
	[ ! -s "$RUN/log/seen-theirs" ] || fail "a peer without a rule reached a service of the host's"
}

test_more_peers_than_there_is_room_for_are_said() {
	finally "mesh delete_all crowd-; member_down node; member_up node; whole"
	member_down node
	member_start node TALON_MAX_PEERS=64 NB_LOG_LEVEL=info
	wait_for 10 "the node to be ready" member_ready_or_dead node
	mesh crowd 100
	wait_for 10 "what does not fit to be said" member_says node '.talon.mapNote | test("there is room for 64 .*MaxPeers")'
	member node status --check ready
	member node status -d | grep -F MaxPeers
	grep -q "MaxPeers" "$RUN/log/node"
	answers lap $GW || fail "peers that fit should be served"
}
