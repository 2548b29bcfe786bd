# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What a Kubernetes node serves without having its address: services of kube-proxy, by its rules in nftables, iptables-nft and
# iptables-legacy. Nothing is told about ranges but the networks that are served.

setup() {
	needs_talon	# the reference's packets pass netfilter anyway
	needs nft iptables-nft iptables-legacy
	topology lap node gw
	servers_up gw
	client_up lap
	pod_up
}

CLUSTER=10.96.0.10	# a ClusterIP: of no device, and behind the default route
VIP=192.168.1.160	# a load balancer's, which this node serves: nobody answers ARP for it
ELSEWHERE=192.168.1.161	# one that gw has; this node has no endpoint for it (externalTrafficPolicy: Local)
POD=10.45.0.5

pod_up() {
	ip -n "$P-node" link add cni0 type bridge forward_delay 0
	ip -n "$P-node" addr add 10.45.0.1/24 dev cni0
	ip -n "$P-node" link set cni0 up
	ns_add pod
	ip -n "$P-node" link add veth5 type veth peer name eth0 netns "$P-pod"
	ip -n "$P-node" link set veth5 master cni0 up
	in_ns pod ethtool -K eth0 tx off tso off >/dev/null 2>&1 || true
	ip -n "$P-pod" addr add $POD/24 dev eth0
	ip -n "$P-pod" link set eth0 up
	ip -n "$P-pod" route add default via 10.45.0.1
	servers_up pod $POD
	ip -n "$P-gw" addr add $ELSEWHERE/32 dev eth0
	servers_up gw $ELSEWHERE
	ip -n "$P-lap" route replace 10.96.0.0/16 dev "$(dev lap)" table 51820
	ip -n "$P-lap" route replace 10.45.0.0/24 dev "$(dev lap)" table 51820
}

serve() { # LINE...
	node_up "Route = 192.168.1.0/24 masquerade" "Route = 10.96.0.0/16 masquerade" "Route = 10.45.0.0/24 masquerade" "$@"
	wg set "$(dev lap)" peer "$(key node pub)" allowed-ips 192.168.1.0/24,100.64.0.1/32,10.96.0.0/16,10.45.0.0/24
}

# Each as kube-proxy makes it, for one port of one protocol.
nftables_rules() {
	finally "in_ns node nft delete table ip kube-proxy 2>/dev/null || true"
	in_ns node nft -f - <<-END
		table ip kube-proxy {
			map service-ips { type ipv4_addr . inet_proto . inet_service : verdict; }
			map no-endpoint-services { type ipv4_addr . inet_proto . inet_service : verdict; }
			chain web { meta l4proto tcp dnat to $POD:80; }
			chain services { ip daddr . meta l4proto . th dport vmap @service-ips; }
			chain nat-prerouting { type nat hook prerouting priority dstnat; jump services; }
			chain filter-forward { type filter hook forward priority -110; ct state new ip daddr . meta l4proto . th dport vmap @no-endpoint-services; }
		}
		add element ip kube-proxy service-ips { $CLUSTER . tcp . 80 : goto web, $VIP . tcp . 80 : goto web, $ELSEWHERE . tcp . 80 : goto web }
		add element ip kube-proxy no-endpoint-services { $ELSEWHERE . tcp . 80 : drop }
	END
}

iptables_rules() { # iptables-nft|iptables-legacy
	local t="in_ns node $1" a
	finally "$t -t nat -F; $t -t nat -X; $t -t filter -F; $t -t filter -X"
	$t -t nat -N KUBE-SVC-WEB
	$t -t nat -A KUBE-SVC-WEB -p tcp -j DNAT --to-destination $POD:80
	$t -t nat -N KUBE-SERVICES
	for a in $CLUSTER $VIP $ELSEWHERE; do
		$t -t nat -A KUBE-SERVICES -d $a/32 -p tcp -m comment --comment "web/web:http" -m tcp --dport 80 -j KUBE-SVC-WEB
	done
	$t -t nat -A PREROUTING -j KUBE-SERVICES
	$t -t filter -N KUBE-EXTERNAL-SERVICES
	$t -t filter -A KUBE-EXTERNAL-SERVICES -d $ELSEWHERE/32 -p tcp -m tcp --dport 80 -j DROP
	$t -t filter -A FORWARD -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES
}

answers() ( fetch_page lap "$1" )

# Everything that a node has to offer, and the source that is seen.
reaches_all() {
	local a
	for a in $CLUSTER $VIP; do
		wait_for 5 "the way to $a" answers $a
		saw pod 100.64.0.2
	done
	wait_for 5 "the way to the pod" answers $POD
	saw pod 10.45.0.1
	wait_for 5 "the address that another node serves" answers $ELSEWHERE
	saw gw $NODE
	fetch_page lap $GW
	saw gw $NODE
}

test_services_of_nftables() {
	nftables_rules
	serve
	reaches_all
	fetch_and_put lap medium $CLUSTER
}

test_services_of_nftables_handed_up_by_pass() {
	nftables_rules
	in_ns rtr ethtool -K p-node tx off >/dev/null 2>&1 || true
	serve "HandUp = pass"
	reaches_all
}

test_services_of_nftables_in_tcx_mode() {
	nftables_rules
	serve "Datapath = tcx"
	reaches_all
}

test_services_of_iptables_nft() {
	iptables_rules iptables-nft
	serve
	reaches_all
}

test_services_of_iptables_legacy() {
	in_ns node iptables-legacy -t nat -L >/dev/null 2>&1 || skip "this kernel has no iptables-legacy"
	iptables_rules iptables-legacy
	serve
	reaches_all
}

# As where a container may not read them: what nftables has is found all the same, and what is missing is said.
test_services_of_nftables_where_the_tables_of_iptables_legacy_cannot_be_read() {
	local TALON=$RUN/own-mounts
	nftables_rules
	finally "node_down; rm -rf $RUN/own-mounts $RUN/proc-net"
	mkdir "$RUN/proc-net"
	mknod "$RUN/proc-net/ip_tables_names" c 240 0	# of no driver: it cannot be opened
	cat >"$TALON" <<-END
		#!/bin/sh
		exec unshare --mount --propagation private sh -c 'mount --bind $RUN/proc-net /proc/\$\$/net && exec $BUILD/talon "\$@"' sh "\$@"
	END
	chmod 755 "$TALON"
	node_down
	serve
	reaches_all
	talon status --pin-dir "$PIN" >"$RUN/log/said"
	grep "kube-proxy's rules cannot be read, so the addresses of its services may be out of date: No such device" "$RUN/log/said"
}

test_services_that_come_later_and_go_again() {
	serve
	not answers $CLUSTER || fail "a service that is not there yet answers"
	nftables_rules
	wait_for 3 "the service to be found" answers $CLUSTER
	in_ns node nft delete table ip kube-proxy
	wait_for 3 "the service to be forgotten" used_local_is 0
}

used_local_is() { [ "$(metric 'talon_map_entries{map="local4"}')" = "$1" ]; }

# Only networks that are served are open, whatever else the node serves.
test_a_service_outside_the_served_networks_stays_closed() {
	nftables_rules
	serve
	wait_for 5 "the way to the service" answers $CLUSTER
	node_up "Route = 192.168.1.0/24 masquerade"
	wg set "$(dev lap)" peer "$(key node pub)" allowed-ips 192.168.1.0/24,100.64.0.1/32,10.96.0.0/16
	wait_for 5 "the node to serve" answers $GW
	local before
	before=$(ends in no_route)
	udp_ask lap $CLUSTER 80 --no-reply
	wait_for 3 "its packet to be refused" more_than "$before"
}

more_than() { [ "$(ends in no_route)" -gt "$1" ]; }
