# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# DNS: what the routing peer asks its resolver, passes on and learns; a resolver that changes; names of the servers themselves.
. "$E2E/mesh/mesh.sh"

OTHER=192.168.1.219	# a second name server in the network behind the node
DEAD=192.168.1.218	# nobody
DNS="/usr/bin/python3 $E2E/mesh/dns.py"

setup() {
	topology mesh lap lap2 node gw
	ip -n "$P-gw" addr add $OTHER/24 dev eth0
	servers_up gw
	# Names that go to the mesh's own name server are those that the members look up themselves.
	spawn dns-mesh mesh $DNS serve $MESH_HOST "mgmt.example.test=$MESH_HOST,drop6" '*.fails.test=fail'
	spawn dns gw $DNS serve $GW "app.example.test=$GW" "node.example.test=$NODE" 'app.example.test/txt=hello mesh' 'app.example.test/mx=10 mail.example.test' \
		'_ldap._tcp.example.test/srv=0 100 389 dc.example.test' 'www.example.test/cname=app.example.test' \
		'1.0.0.10.example.test/ptr=app.example.test' 'example.test/ns=ns.example.test' '*.hijack.test=10.6.6.6' '*.each.test=each'
	spawn dns-other gw $DNS serve $OTHER "late.example.test=$OTHER" "mgmt.example.test=$MESH_HOST"
	mesh_start mesh $MESH_HOST
	resolver node "nameserver $GW" "search hijack.test" "options ndots:5"
	with_resolver node member_up node
	member_up lap
	member_up lap2 NB_FORCE_RELAY=true
	mesh route domains "peer=node" "domains=*.example.test,*.each.test" acl=lap:tcp:80
	wait_for 10 "an answer" asked lap app.example.test
}

# Written in place: the file is mounted over resolv.conf.
resolver() { printf '%s\n' "${@:2}" >"$RUN/resolv.$1"; }	# HOST LINE...

# The process of HOST has a resolv.conf of its own; its mounts are of no importance, for the pins lie on a file system that it shares.
with_resolver() { # HOST COMMAND...
	local real
	real=$(readlink -f "$TALON")
	printf '#!/bin/sh\ncase $1 in up|login) ;; *) exec %s "$@" ;; esac\nexec unshare -m sh -c '\''mount --bind %s /etc/resolv.conf && exec "$@"'\'' up %s "$@"\n' \
		"$real" "$RUN/resolv.$1" "$real" >"$RUN/talon-$1"
	chmod +x "$RUN/talon-$1"
	TALON_REAL=$TALON TALON=$RUN/talon-$1
	"${@:2}"
	TALON=$TALON_REAL
}

asked() { in_ns "$1" $DNS ask "$(mesh_ip node)" 22054 "${@:2}"; }	# HOST NAME [WORD...]

counter() { member_says node ".talon.counters.dns.$1"; }

test_only_the_name_itself_leaves_the_host() {
	equal "a name that is not there" 3 "$(asked lap gone.example.test)"
	grep -qx gone.example.test "$RUN/log/dns"
	not grep -q hijack "$RUN/log/dns"
}

denials() { member_says node .talon.datapath.packets.in.acl_denied; }

# The forwarder opens what it answers. An answer that is the node's own address opens no service of the node.
test_a_name_that_is_the_nodes_own_address_opens_nothing_of_the_node() {
	local before
	finally "mesh policy default; mesh unroute lan; stop http-node-$NODE; stop udp-node-$NODE"
	servers_up node
	mesh policy default sources=lap destinations=node protocol=udp ports=9
	mesh route lan peer=node network=192.168.1.0/24 acl=lap:udp:9
	settled node lap
	equal "the node's name" "0 $NODE" "$(asked lap node.example.test)"
	equal "the gateway's name" "0 $GW" "$(asked lap app.example.test)"
	wait_for 5 "the gateway to be open" fetch_page lap $GW
	before=$(denials)
	not get lap "http://$NODE/page" --max-time 1
	[ "$(denials)" -gt "$before" ] || fail "no denial was counted"
	mesh policy default sources=lap destinations=node protocol=tcp ports=80
	settled node
	wait_for 5 "the node's own rule to open it" fetch_page lap $NODE
}

test_every_type_is_passed_on_or_has_no_data() {
	equal TXT "0 hello mesh" "$(asked lap app.example.test txt)"
	equal MX "0 10 mail.example.test" "$(asked lap app.example.test mx)"
	equal SRV "0 0 100 389 dc.example.test" "$(asked lap _ldap._tcp.example.test srv)"
	equal CNAME "0 app.example.test" "$(asked lap www.example.test cname)"
	equal PTR "0 app.example.test" "$(asked lap 1.0.0.10.example.test ptr)"
	equal NS "0 ns.example.test" "$(asked lap example.test ns)"
	equal "a type that is not there" 0 "$(asked lap app.example.test srv)"
	equal "a type of a name that is not there" 0 "$(asked lap gone.example.test txt)"
	equal "a type that is not passed on" 0 "$(asked lap app.example.test soa)"
	equal "SRV over TCP" "0 0 100 389 dc.example.test" "$(asked lap _ldap._tcp.example.test tcp srv)"
	equal "a client that closed its side" "0 $GW" "$(asked lap app.example.test half)"
	[ "$(counter other_types)" -ge 1 ]
}

test_resolver_that_changes_while_questions_wait_is_asked_at_once() {
	local begin i
	finally "resolver node 'nameserver $GW'"
	resolver node "nameserver $DEAD"
	sleep 0.1	# another time stamp
	for i in 1 2 3; do spawn wait$i lap $DNS ask "$(mesh_ip node)" 22054 late.example.test; done
	wait_for 5 "the node to ask the dead one" waiting 3
	begin=$(($(date +%s%N) / 1000000))
	resolver node "nameserver $DEAD" "nameserver $OTHER"
	resolver node "nameserver $OTHER"
	for i in 1 2 3; do finished wait$i 10; grep -qx "0 $OTHER" "$RUN/log/wait$i"; done
	echo "# questions that waited were answered $(($(date +%s%N) / 1000000 - begin)) ms after the change"
	equal "a new one" "0 $OTHER" "$(asked lap late.example.test)"
}

waiting() { [ "$(in_ns node ss -Hun dst $DEAD | wc -l)" -ge 1 ]; }

# 100 queries a second, each with an address of its own, from a peer that no rule lets in.
test_new_names_without_end_do_not_hold_up_the_relay() {
	local before rtt
	relayed lap2 node
	wait_for 10 "the node to answer over the relay" answers lap2 "$(mesh_ip node)"
	before=$(counter batches)
	spawn flood lap $DNS flood "$(mesh_ip node)" 22054 each.test 100 12
	rtt=$(in_ns lap2 ping -q -i 0.05 -c 240 "$(mesh_ip node)" | sed -n 's|^rtt .*= [^/]*/\([^/]*\)/\([^/]*\)/.*|\1 \2|p')
	finished flood 40
	echo "# relayed ping beside 100 new names a second: average and maximum $rtt ms; $(cat "$RUN/log/flood")"
	echo "# batches $(($(counter batches) - before)), learned $(counter learned), limited $(counter limited)"
	[ "$(counter learned)" -ge 500 ]
	[ $(($(counter batches) - before)) -lt 500 ]
	[ "$(counter limited)" -ge 1 ]
	awk -v rtt="$rtt" -v p="${PATIENCE:-3}" 'BEGIN { split(rtt, r); exit !(r[1] < 50 * p && r[2] < 300 * p) }'
}

test_login_works_where_the_search_list_and_ipv6_do_not() {
	local begin
	finally "member_forget lap"
	member_forget lap
	mesh key "$SETUP_KEY" valid
	resolver lap "nameserver $MESH_HOST" "search x.fails.test fails.test ." "options ndots:5"
	begin=$(($(date +%s%N) / 1000000))
	with_resolver lap member lap NB_MANAGEMENT_URL=http://mgmt.example.test:8080 NB_SETUP_KEY="$SETUP_KEY" login
	echo "# login took $(($(date +%s%N) / 1000000 - begin)) ms"
	member_is_there
}

member_is_there() { [ -n "$(mesh_ip lap)" ]; }
