# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# IPv6 inside the tunnel, as a mesh gives it and takes it: peers, a network by NAT66, rules of both families, addresses that change, and hosts that
# may not or cannot have it.
. "$E2E/mesh/mesh.sh"

GW6=fd01::220 NODE6=fd01::221
DNS="/usr/bin/python3 $E2E/mesh/dns.py"

setup() {
	topology mesh lap lap2 node gw
	in_ns node sysctl -qw net.ipv6.conf.all.forwarding=1
	servers_up gw
	spawn http6 gw $NET http $GW6 80 "$RUN/www" "$RUN/log/seen-gw6"
	wait_for 5 "the HTTP server in IPv6" listening gw "[$GW6]:80" t
	spawn dns gw $DNS serve $GW six.example.test=$GW six.example.test/aaaa=$GW6
	mesh_start mesh $MESH_HOST
	mesh six on
	echo "nameserver $GW" >"$RUN/resolv.conf"
	with_resolver member_up node
	member_up lap
	member_up lap2
	mesh route lan6 peer=node network=fd01::/64
	direct lap node
	direct lap2 node
	spawn http-mesh6 node $NET http "$(mesh_ip6 node)" 80 "$RUN/www" "$RUN/log/seen-mesh6"
	ready
}

# The process has a resolv.conf of its own.
with_resolver() { # COMMAND HOST...
	TALON_REAL=$TALON TALON=$RUN/talon
	printf '#!/bin/sh\n[ "$1" = up ] || exec %s "$@"\nexec unshare -m sh -c '\''mount --bind %s /etc/resolv.conf && exec "$@"'\'' up %s "$@"\n' \
		"$(readlink -f "$TALON_REAL")" "$RUN/resolv.conf" "$(readlink -f "$TALON_REAL")" >"$TALON"
	chmod +x "$TALON"
	"$@"
	TALON=$TALON_REAL
}

can() { [ "$(mesh peer "$1" can | tr -d ' ')" = "$2" ]; }	# HOST LIST: for wait_for; what it says of itself
address_on() { ip -n "$P-$1" -6 -o addr show dev wt0 2>/dev/null | found -F " $2/"; }
no_address_on() { [ -z "$(ip -n "$P-$1" -6 -o addr show dev wt0 scope global 2>/dev/null)" ]; }
host_route6() { [ -n "$(ip -n "$P-$1" -6 route show "$2" dev wt0)" ]; }

ready() {
	wait_for 10 "lap's route" host_route6 lap fd01::/64
	wait_for 10 "the node in IPv6" answers lap "$(mesh_ip6 node)"
	wait_for 10 "the gateway in IPv6" answers lap $GW6
}

# The rules of a case, replacing all others; the first one makes the three know each other and opens a port that nobody uses.
only() {
	local words name
	mesh policy known sources=lap,lap2 destinations=node protocol=udp ports=9 oneway=1
	for name in $(mesh status | jq -r '.policies | keys[]'); do [ "$name" = known ] || mesh unpolicy "$name"; done
	for words; do mesh policy $words; done
	settled node lap lap2
}

everything() { mesh policy default; mesh unpolicy known 2>/dev/null || true; settled node lap lap2; }

tcp() { # HOST ADDRESS PORT: what a TCP connection meets
	local rc=0
	in_ns "$1" timeout 0.5 bash -c "exec 3<>/dev/tcp/$2/$3" 2>/dev/null || rc=$?
	case $rc in 0) echo open ;; 124) echo silence ;; *) echo refused ;; esac
}

is_open() { [ "$(tcp "$@")" = open ]; }
denials() { member_says node .talon.datapath.packets.in.acl_denied; }

test_peers_answer_each_other_in_ipv6() {
	equal "what the node says that it can" "[1,2]" "$(mesh peer node can | tr -d ' ')"
	answers lap "$(mesh_ip6 node)"
	answers node "$(mesh_ip6 lap)"
	wait_for 10 "lap2 from lap" answers lap "$(mesh_ip6 lap2)"
	answers lap "$(mesh_ip node)"
	equal "own address in status" "$(mesh_ip6 node)/64" "$(member_says node .netbirdIpv6)"
	equal "lap's address in the node's status" "$(mesh_ip6 lap)" "$(about_peer node lap netbirdIpv6)"
	equal "the node sees" "$(mesh_ip6 lap)" "$(get lap "http://[$(mesh_ip6 node)]/page" >/dev/null; last_seen mesh6 client)"
}

test_gateway_sees_the_node_where_the_route_masquerades() {
	finally "mesh route lan6 peer=node network=fd01::/64; ready; ip -n $P-gw -6 route del fd92:7a10:1::/64"
	fetch_page lap "[$GW6]"
	saw gw6 $NODE6
	ip -n "$P-gw" -6 route add fd92:7a10:1::/64 via $NODE6
	mesh route lan6 peer=node network=fd01::/64 masquerade=0
	settled node
	wait_for 5 "the peer's own address at the gateway" sees_peer
}

# The trace names the rule of the family that decides, or none.
trace_of_rules() { # EXIT-STATUS ADDRESS:PORT PATTERN
	local rc=0
	member node trace --json --from "$(mesh_ip6 lap)" --to "$2" >"$RUN/trace.json" || rc=$?
	equal "exit status of the trace to $2" "$1" $rc
	jq -e --arg text "$3" '.there.steps[] | select(.step == "accessRule" and (.text | test($text)))' "$RUN/trace.json" ||
		fail "the trace to $2 does not say \"$3\": $(cat "$RUN/trace.json")"
}

sees_peer() { get lap "http://[$GW6]/page" && [ "$(last_seen gw6 client)" = "$(mesh_ip6 lap)" ]; }

test_rules_are_of_one_family_each() {
	local node6 node4 before
	node6=$(mesh_ip6 node) node4=$(mesh_ip node)
	finally everything
	only
	before=$(denials)
	equal "port 80 without a rule" silence "$(tcp lap "$node6" 80)"
	not answers lap "$node6"
	[ "$(denials)" -gt "$before" ] || fail "no denial was counted"
	only "web sources=lap destinations=node protocol=tcp ports=80"
	wait_for 5 "port 80" is_open lap "$node6" 80
	trace_of_rules 0 "[$node6]:80" '^rule "peers: tcp 80.*of policy .* accepts it'
	trace_of_rules 1 "[$node6]:81" "no rule lets it in"
	equal "port 81" silence "$(tcp lap "$node6" 81)"
	equal "port 80 for lap2" silence "$(tcp lap2 "$node6" 80)"
	not answers lap "$node6"
	only "ping sources=lap destinations=node protocol=icmp"
	wait_for 5 "ICMPv6" answers lap "$node6"
	answers lap "$node4"
	equal "port 80 by a rule for ICMP" silence "$(tcp lap "$node6" 80)"
}

test_the_rules_of_a_network_are_of_its_family() {
	finally "mesh route lan6 peer=node network=fd01::/64; everything"
	only
	mesh route lan6 peer=node network=fd01::/64 "acl=lap:tcp:80;lap2:icmp"
	settled node
	wait_for 5 "port 80 of the gateway for lap" is_open lap $GW6 80
	not answers lap $GW6
	wait_for 5 "the gateway for lap2" answers lap2 $GW6
	equal "port 80 of the gateway for lap2" silence "$(tcp lap2 $GW6 80)"
	equal "port 80 of the node" silence "$(tcp lap "$(mesh_ip6 node)" 80)"
}

test_a_default_route_has_two_halves_and_one_switch() {
	finally "mesh unroute exit"
	mesh route exit peer=node network=0.0.0.0/0
	settled node lap
	equal "networks that the node serves" "0.0.0.0/0 ::/0 fd01::/64" "$(member_says node '[.networks[]] | sort | join(" ")')"
	equal "routes in the datapath" "::/0 fd01::/64" "$(routes6)"
	member lap networks list >"$RUN/list"
	equal "lines of the pair" "0.0.0.0/0, ::/0" "$(sed -n '/ID: exit$/{n;s/.*Network: //p}' "$RUN/list")"
	equal "lines about it" 1 "$(grep -c 'ID: exit' "$RUN/list")"
	# Nobody's own way to the Internet is replaced.
	[ -z "$(ip -n "$P-lap" -6 route show default dev wt0)" ] || fail "lap has its default route in the tunnel"
	mesh unroute exit
	settled node
	equal "routes in the datapath" "fd01::/64" "$(routes6)"
}

routes6() { # sorted, as text
	bpftool -j map dump pinned "$RUN/bpf/node/"v*/maps/routes6 | /usr/bin/python3 -c '
import ipaddress, json, sys
nets = []
for entry in json.load(sys.stdin):
    key = bytes(int(b, 16) for b in entry["key"])
    nets.append(f"{ipaddress.IPv6Address(key[4:20])}/{int.from_bytes(key[:4], sys.byteorder)}")
print(" ".join(sorted(nets)))'
}

test_new_ipv6_address_is_taken_over_by_all() {
	local old new=fd92:7a10:1::77:7
	old=$(mesh_ip6 lap2)
	finally "mesh address6 lap2 $old"
	wait_for 10 "the old address to answer" answers node "$old"
	mesh address6 lap2 $new
	wait_for 5 "the new address on wt0" address_on lap2 $new
	wait_for 5 "the new address to answer" answers node $new
	not address_on lap2 "$old"
	not answers node "$old"
	wait_for 5 "the gateway to answer the new address" answers lap2 $GW6
	equal "address in status" "$new/64" "$(member_says lap2 .netbirdIpv6)"
	answers node "$(mesh_ip lap2)"
	mesh address6 lap2 "$old"
	wait_for 5 "the old address to answer again" answers node "$old"
}

test_without_ipv6_in_the_mesh_nothing_of_it_is_left_and_ipv4_goes_on() {
	finally "mesh six on; settled node lap lap2; ready"
	mesh six off
	settled node lap lap2
	wait_for 5 "the address to go from wt0" no_address_on lap
	not host_route6 lap fd01::/64
	not address_on node "$(mesh_ip6 node)"
	equal "routes in the datapath" "" "$(routes6)"
	answers lap "$(mesh_ip node)"
	member_says lap '.netbirdIpv6 | not'
}

test_disable_ipv6_is_said_and_obeyed() {
	finally "stop lap; member_up lap NB_DISABLE_IPV6=false; ready"
	stop lap
	member_up lap NB_DISABLE_IPV6=true
	equal "what lap says that it can" "[1]" "$(mesh peer lap can | tr -d ' ')"
	wait_for 5 "the address to go from wt0" no_address_on lap
	direct lap node
	answers lap "$(mesh_ip node)"
	wait_for 5 "the node to know" not answers node "$(mesh_ip6 lap)"
}

test_a_device_that_may_not_have_ipv6_takes_the_promise_back() {
	finally "in_ns lap sysctl -qw net.ipv6.conf.wt0.disable_ipv6=0; stop lap; member_up lap; ready"
	in_ns lap sysctl -qw net.ipv6.conf.wt0.disable_ipv6=1
	wait_for 10 "lap to take it back" can lap "[1]"
	member_logged lap "carries no IPv6: net.ipv6.conf.wt0.disable_ipv6=1"
	answers lap "$(mesh_ip node)"
	wait_for 5 "the map that takes lap's address" member_says lap '.netbirdIpv6 | not'
}

test_a_host_whose_kernel_refuses_ipv6_never_promises_it() {
	finally "member_down lap2; in_ns lap2 sysctl -qw net.ipv6.conf.default.disable_ipv6=0; member_up lap2; direct lap2 node"
	member_down lap2
	in_ns lap2 sysctl -qw net.ipv6.conf.default.disable_ipv6=1
	member_up lap2
	equal "what lap2 says that it can" "[1]" "$(mesh peer lap2 can | tr -d ' ')"
	direct lap2 node
	answers lap2 "$(mesh_ip node)"
}

test_domain_route_opens_the_ipv6_address_that_it_answered() {
	local node
	node=$(mesh_ip node)
	finally "mesh unroute domains; mesh route lan6 peer=node network=fd01::/64; everything; ready"
	mesh route lan6 peer=node network=fd01::/64 acl=lap:tcp:9
	mesh route domains peer=node domains=six.example.test acl=lap:tcp:80
	only
	wait_for 5 "an answer" in_ns lap $DNS ask "$node" 22054 six.example.test
	equal "port 80 of the gateway" silence "$(tcp lap $GW6 80)"
	equal "answer" "0 $GW6" "$(in_ns lap $DNS ask "$node" 22054 six.example.test aaaa)"
	is_open lap $GW6 80 || fail "what was answered is not open"
	# The forwarder listens in IPv4 alone: in IPv6 its port may be another program's, and is not open to everybody.
	is_open lap "$node" 22054 || fail "the forwarder's port in IPv4"
	equal "the forwarder's port in IPv6" silence "$(tcp lap "$(mesh_ip6 node)" 22054)"
	mesh unroute domains
	settled node
	wait_for 5 "port 80 to be closed" not is_open lap $GW6 80
}
