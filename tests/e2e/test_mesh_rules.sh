# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Access rules: who may open what, judged before anything is translated, and again for what runs when they change.
. "$E2E/mesh/mesh.sh"

setup() {
	topology mesh lap lap2 node gw
	ip -n "$P-gw" route add 100.92.0.0/16 via $NODE
	servers_up gw
	mesh_start mesh $MESH_HOST
	member_up node
	member_up lap
	member_up lap2
	NODE_IP=$(mesh_ip node) LAP_IP=$(mesh_ip lap)
	spawn http-mesh node $NET http "$NODE_IP" 80 "$RUN/www" "$RUN/log/seen-mesh"
	spawn udp-mesh node $NET udp-serve "$NODE_IP" 7 "$RUN/log/seen-udp-mesh"
	mesh route lan peer=node network=192.168.1.0/24
	only
	direct lap node
	direct lap2 node
	# Every case may rely on this: these three know each other, and nothing else is open.
	echo "NODE_IP=$NODE_IP LAP_IP=$LAP_IP LAP2_IP=$(mesh_ip lap2)" >"$RUN/addresses"
}

# The rules of a case, replacing all others: "ID ARGUMENTS" each. The policy that makes the three know each other opens a port that nobody uses.
only() {
	local words name
	[ ! -e "$RUN/addresses" ] || . "$RUN/addresses"
	mesh policy known sources=lap,lap2 destinations=node protocol=udp ports=9 oneway=1
	for name in $(mesh status | jq -r '.policies | keys[]'); do [ "$name" = known ] || mesh unpolicy "$name"; done
	for words; do mesh policy $words; done
	settled node lap lap2
}

tcp() { # HOST ADDRESS PORT: what a TCP connection meets
	local rc=0
	in_ns "$1" timeout 1 bash -c "exec 3<>/dev/tcp/$2/$3" 2>/dev/null || rc=$?
	case $rc in 0) echo open ;; 124) echo silence ;; *) echo refused ;; esac
}

denials() { member_says "${1:-node}" .talon.datapath.packets.in.acl_denied; }

lets() { # HOST ADDRESS PORT: up to the destination; whether a service listens there does not matter
	wait_for 3 "port $3 of $2 to be open for $1" tcp_answered "$1" "$2" "$3"
}

tcp_answered() { [ "$(tcp "$1" "$2" "$3")" != silence ]; }

keeps_out() { # HOST ADDRESS PORT
	local before
	before=$(denials)
	equal "port $3 of $2 for $1" silence "$(tcp "$1" "$2" "$3")"
	[ "$(denials)" -gt "$before" ] || fail "no denial was counted"
}

pings() { in_ns "$1" ping -q -c 1 -W 1 "$2"; }

echoes() { in_ns "$1" $NET udp "$2" 7 --timeout "${3:-3}"; }

test_without_a_rule_nothing_passes() {
	local before
	only
	keeps_out lap "$NODE_IP" 80
	before=$(denials)
	not pings lap "$NODE_IP"
	not echoes lap "$NODE_IP" 1
	[ "$(denials)" -ge $((before + 2)) ] || fail "denials were not counted"
}

test_tcp_port_is_open_and_others_are_not() {
	only "web sources=lap destinations=node protocol=tcp ports=80"
	fetch_page lap "$NODE_IP"
	saw mesh "$LAP_IP"
	keeps_out lap "$NODE_IP" 81
	keeps_out lap2 "$NODE_IP" 80
	not echoes lap "$NODE_IP" 1
	not pings lap "$NODE_IP"
}

test_port_range_ends_where_it_says() {
	only "range sources=lap destinations=node protocol=tcp ports=8000-8010,9000"
	lets lap "$NODE_IP" 8000
	lets lap "$NODE_IP" 8010
	lets lap "$NODE_IP" 9000
	keeps_out lap "$NODE_IP" 7999
	keeps_out lap "$NODE_IP" 8011
}

test_udp_and_icmp_have_rules_of_their_own() {
	only "echo sources=lap destinations=node protocol=udp ports=7" "ping sources=lap2 destinations=node protocol=icmp"
	echoes lap "$NODE_IP"
	not pings lap "$NODE_IP"
	pings lap2 "$NODE_IP"
	not echoes lap2 "$NODE_IP" 1
	keeps_out lap "$NODE_IP" 7
}

test_rule_for_everything_opens_everything() {
	only "all sources=lap destinations=node"
	fetch_page lap "$NODE_IP"
	echoes lap "$NODE_IP"
	pings lap "$NODE_IP"
	keeps_out lap2 "$NODE_IP" 80
}

test_a_rule_that_drops_comes_before_all_that_accept() {
	only "all sources=lap destinations=node" "no-web sources=lap destinations=node protocol=tcp ports=80 action=drop"
	keeps_out lap "$NODE_IP" 80
	lets lap "$NODE_IP" 81
	pings lap "$NODE_IP"
}

test_the_rules_of_a_network_are_by_source() {
	finally "mesh route lan peer=node network=192.168.1.0/24"
	only
	mesh route lan peer=node network=192.168.1.0/24 "acl=lap:tcp:80;lap2:icmp"
	settled node
	fetch_page lap
	saw gw $NODE
	keeps_out lap2 $GW 80
	pings lap2 $GW
	not pings lap $GW
	keeps_out lap $GW 81
	not echoes lap $GW 1
}

test_the_rules_of_a_network_drop_before_they_accept() {
	finally "mesh route lan peer=node network=192.168.1.0/24"
	only
	mesh route lan peer=node network=192.168.1.0/24 "acl=lap:all;lap:tcp:80-90:drop"
	settled node
	pings lap $GW
	keeps_out lap $GW 80
	keeps_out lap $GW 90
	lets lap $GW 91
	lets lap $GW 79
}

test_the_rules_of_a_network_do_not_open_the_node_and_the_other_way_round() {
	finally "mesh route lan peer=node network=192.168.1.0/24"
	only "web sources=lap2 destinations=node protocol=tcp ports=80"
	mesh route lan peer=node network=192.168.1.0/24 acl=lap:all
	settled node
	lets lap $GW 80
	keeps_out lap "$NODE_IP" 80
	lets lap2 "$NODE_IP" 80
	keeps_out lap2 $GW 80
}

test_what_the_node_opens_is_answered_without_a_rule() {
	finally "stop http-lap"
	only "out sources=node destinations=lap oneway=1"
	spawn http-lap lap $NET http "$LAP_IP" 80 "$RUN/www" "$RUN/log/seen-lap"
	wait_for 5 "the server on lap" listening lap "$LAP_IP:80" t
	fetch_page node "$LAP_IP"
	pings node "$LAP_IP"
	keeps_out lap "$NODE_IP" 80
	not pings lap "$NODE_IP"
}

# The gateway is no peer: no rule of lap's is about it, so lap has none.
test_what_the_gateway_side_opens_is_answered_without_a_rule() {
	finally "mesh route lan peer=node network=192.168.1.0/24; stop http-lap; stop lap; member_up lap"
	stop lap
	member_up lap NB_DISABLE_FIREWALL=true
	direct lap node
	only
	mesh route lan peer=node network=192.168.1.0/24 masquerade=0 acl=lap2:tcp:9
	settled node lap
	spawn http-lap lap $NET http "$LAP_IP" 80 "$RUN/www" "$RUN/log/seen-lap"
	wait_for 5 "the server on lap" listening lap "$LAP_IP:80" t
	fetch_page gw "$LAP_IP"
	saw lap $GW
	pings gw "$LAP_IP"
	keeps_out lap $GW 80
}

# Uploads at a steady pace until stopped.
start_stream() { # ADDRESS
	spawn stream lap $NET stream "$1" 80 --size 40000000 --rate 1000000 --timeout 60
	wait_for 5 "the upload to flow" sending "$1"
}

sending() { [ "$(in_ns lap ss -Htin dst "$1" | grep -oP 'bytes_acked:\K[0-9]+')" -gt 300000 ]; }

acked() { in_ns lap ss -Htin dst "$1" | grep -oP 'bytes_acked:\K[0-9]+'; }
acked_more() { [ "$(acked "$1")" -gt "$2" ]; }

is_cut() { # ADDRESS: nothing more is acknowledged; told from what the sender sends again
	local before
	before=$(acked "$1")
	sleep 0.3
	equal "bytes acknowledged" "$before" "$(acked "$1")"
	in_ns lap ss -Htin dst "$1" | found -E 'backoff:|retrans:[1-9]'
}

test_running_connection_to_the_node_is_cut_with_its_rule_and_goes_on_with_the_next() {
	local at
	finally "stop stream KILL"
	only "web sources=lap destinations=node protocol=tcp ports=80"
	start_stream "$NODE_IP"
	mesh unpolicy web
	settled node
	wait_for 5 "the upload to stand still" is_cut "$NODE_IP"
	at=$(acked "$NODE_IP")
	mesh policy web sources=lap destinations=node protocol=tcp ports=80
	wait_for 10 "the upload to go on" acked_more "$NODE_IP" $((at + 100000))
}

test_running_connection_into_a_network_is_cut_with_its_rule_and_goes_on_with_the_next() {
	local at
	finally "stop stream KILL; mesh route lan peer=node network=192.168.1.0/24"
	only
	mesh route lan peer=node network=192.168.1.0/24 acl=lap:tcp:80
	settled node
	start_stream $GW
	mesh route lan peer=node network=192.168.1.0/24 acl=lap:tcp:81
	settled node
	wait_for 5 "the upload to stand still" is_cut $GW
	at=$(acked $GW)
	mesh route lan peer=node network=192.168.1.0/24 acl=lap:tcp:80
	wait_for 10 "the upload to go on" acked_more $GW $((at + 100000))
}

test_running_connection_is_not_disturbed_by_the_change_of_another_rule() {
	local i
	finally "stop flood KILL"
	only "all sources=lap destinations=node"
	rm -f "$RUN/log/flood"
	spawn flood lap $NET ping "$NODE_IP" -i 0.005 -c 400
	for i in 1 2 3 4 5 6; do
		mesh policy other sources=lap2 destinations=node protocol=tcp ports="$((i * 100))-$((i * 100 + 50))"
		settled node
	done
	finished flood 20
	equal "pings sent and answered" "400 400" "$(cat "$RUN/log/flood")"
}

trace() { # EXIT-STATUS ARGUMENT...: into $RUN/trace.json
	local rc=0 want=$1
	shift
	member node trace --json "$@" >"$RUN/trace.json" || rc=$?
	equal "exit status of trace $*" "$want" $rc
}

decided_by() { # ACTION NAME POLICY: the rule
	equal "rule" "$1 \"$2\" of $3" "$(jq -r '.there.rule | "\(.action) \"\(.name)\" of \(.policy)"' "$RUN/trace.json")"
	jq -e --arg text "rule \"$2\" of policy $3 ${1}s it" '.there.steps[] | select(.step == "accessRule" and (.text | startswith($text)))' \
		"$RUN/trace.json" || fail "no step names the rule"
}

is_denied() { equal "end and step" "acl_denied accessRule" "$(jq -r '"\(.there.end) \(.there.steps[-1] | select(.decides).step)"' "$RUN/trace.json")"; }

test_a_trace_names_the_rule_and_the_policy_that_decide() {
	finally "mesh route lan peer=node network=192.168.1.0/24"
	only "web sources=lap destinations=node protocol=tcp ports=80-90" "no-web sources=lap destinations=node protocol=tcp ports=85 action=drop"
	mesh route lan peer=node network=192.168.1.0/24 "acl=lap:tcp:443;lap:udp:53:drop"
	settled node
	trace 0 --from "$LAP_IP" --to "$NODE_IP:80"
	decided_by accept "peers: tcp 80-90 from $LAP_IP to $NODE_IP" web
	trace 1 --from "$LAP_IP" --to "$NODE_IP:85"
	is_denied
	decided_by drop "peers: tcp 85 from $LAP_IP to $NODE_IP" no-web
	trace 1 --from "$LAP_IP" --to "$NODE_IP:91" --peer lap
	is_denied
	equal "step" "no rule lets it in" "$(jq -r '.there.steps[-1].text' "$RUN/trace.json")"
	in_ns node ping -q -c 1 $GW	# its neighbour is known: nothing is held
	trace 0 --from "$LAP_IP" --to $GW:443
	decided_by accept "route lan: tcp 443 from $LAP_IP to 192.168.1.0/24" acl
	trace 1 --from "$LAP_IP" --to $GW:53 --proto udp
	is_denied
	decided_by drop "route lan: udp 53 from $LAP_IP to 192.168.1.0/24" acl
	# Another address of the host's is judged as its mesh address.
	trace 0 --from "$LAP_IP" --to $NODE:80
	decided_by accept "peers: tcp 80-90 from $LAP_IP to $NODE_IP" web
	# What was foretold happens.
	lets lap "$NODE_IP" 80
	keeps_out lap "$NODE_IP" 85
	keeps_out lap "$NODE_IP" 91
	lets lap $GW 443
}

test_a_trace_knows_what_is_answered_without_a_rule() {
	local rule='.back.steps[] | select(.step == "accessRule").text'
	only "out sources=node destinations=lap oneway=1"
	trace 0 --from "$NODE_IP" --to "$LAP_IP:80"
	equal "what lets the answer in" "none accepts it, but it answers what went into the mesh" "$(jq -r "$rule" "$RUN/trace.json")"
	trace 1 --from "$LAP_IP:80" --to "$NODE_IP:40000"
	is_denied
}

test_a_trace_follows_the_rules_as_they_change() {
	only "web sources=lap destinations=node protocol=tcp ports=80"
	trace 0 --from "$LAP_IP" --to "$NODE_IP:80"
	decided_by accept "peers: tcp 80 from $LAP_IP to $NODE_IP" web
	only "other sources=lap destinations=node protocol=tcp ports=80"
	trace 0 --from "$LAP_IP" --to "$NODE_IP:80"
	decided_by accept "peers: tcp 80 from $LAP_IP to $NODE_IP" other
	only
	trace 1 --from "$LAP_IP" --to "$NODE_IP:80"
	is_denied
	equal "names that are left" "peers: udp 9 from 2 networks to $NODE_IP
route lan: all from anywhere to 192.168.1.0/24" "$(bpftool -j map dump pinned "$RUN/bpf/node/"v*/maps/acl_rules |
		jq -r --argjson bank "$(bank_in_force)" '.[].formatted | select(.key >= 1024 * $bank and .key < 1024 * ($bank + 1)).value.name' | sort)"
}

bank_in_force() { bpftool -j map dump pinned "$RUN/bpf/node/"v*/maps/config | jq '.[0].formatted.value.acl_bank'; }
