# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A virtual address that moves between the node and another host, as a Kubernetes API says. The node serves it by netfilter, as kube-proxy
# would: from a pod behind a veth.

VIP=192.168.1.200
POD=10.77.0.2

setup() {
	needs_talon
	needs nft openssl
	topology lap node gw
	client_up lap
	ip -n "$P-gw" addr add $VIP/32 dev eth0
	ns_add pod
	ip -n "$P-node" link add cni0 type veth peer name eth0 netns "$P-pod"
	ip -n "$P-node" -batch - <<-END
		addr add 10.77.0.1/24 dev cni0
		link set cni0 up
	END
	ip -n "$P-pod" -batch - <<-END
		addr add $POD/24 dev eth0
		link set eth0 up
		route add default via 10.77.0.1
	END
	in_ns node nft -f - <<-END
		table ip services {
			chain pre { type nat hook prerouting priority dstnat; ip daddr $VIP dnat to $POD; }
		}
	END
	mkdir -p "$RUN/pod-www"
	mkdir -p "$RUN/gw-www"
	echo there >"$RUN/gw-www/page"
	echo here >"$RUN/pod-www/page"
	spawn http-gw gw $NET http $VIP 80 "$RUN/gw-www" "$RUN/log/seen-gw"
	spawn http-pod pod $NET http $POD 80 "$RUN/pod-www" "$RUN/log/seen-pod"
	spawn echo-gw gw $NET tcp-echo $VIP 7
	spawn echo-pod pod $NET tcp-echo $POD 7
	K=$RUN/api
	api_files
}

api_files() {
	mkdir -p "$K"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=kube \
		-addext subjectAltName=IP:127.0.0.1 -keyout "$K/server.key" -out "$K/ca.crt" 2>/dev/null
	echo $VIP >"$K/address"
	printf secret-one >"$K/token"
	printf secret-one >"$K/accepted"
	echo other >"$K/holder"
}

begin() {
	K=$RUN/api
	: >"$K/requests"
	echo "${1:-other}" >"$K/holder"
	alive api || spawn api node /usr/bin/python3 "$E2E/kube_api.py" serve "$K"
	node_up "VIPSource = ${2:-cilium}" "NodeName = me" "KubeAPI = https://127.0.0.1:6443" "KubeDir = $K"
	wait_for 10 "the first answer" status ".virtualAddresses.synced and (.virtualAddresses.addresses | length == 1)"
}

held() { echo "$1" >"$K/holder.new"; mv "$K/holder.new" "$K/holder"; }

page() { in_ns lap curl -s -m 2 http://$VIP/page; }
page_is() { [ "$(page)" = "$1" ]; }

talk_start() { # NAME
	rm -f "$RUN/log/talk-$1"
	finally "stop $1 KILL"
	spawn "$1" lap /usr/bin/python3 "$E2E/kube_api.py" talk $VIP 7 "$RUN/log/talk-$1"
	wait_for 10 "$1 to talk" talk_said "$1" 3
}
talk_said() { [ "$(wc -l 2>/dev/null <"$RUN/log/talk-$1")" -ge "$2" ]; }
talk_goes_on() { # NAME
	local n
	n=$(wc -l <"$RUN/log/talk-$1")
	wait_for 10 "$1 to go on" talk_said "$1" $((n + 20)) && alive "$1"
}

elsewhere_is() { [ "$(metric 'talon_virtual_addresses{state="elsewhere"}')" = "$1" ]; }

test_new_connections_follow_the_holder_and_old_ones_live_on_both_ways() {
	begin
	wait_for 10 "a page of the other holder" page_is there
	talk_start began-there
	held me
	wait_for 10 "a page of the pod" page_is here
	equal "here" true "$(status '.virtualAddresses.addresses[0].here')"
	talk_goes_on began-there
	talk_start began-here
	held other
	wait_for 10 "a page of the other holder again" page_is there
	talk_goes_on began-there
	talk_goes_on began-here
	wait_for 5 "the metric" elsewhere_is 1
}

test_a_flow_to_a_dead_holder_moves_here() {
	begin
	wait_for 10 "a page of the other holder" page_is there
	talk_start began-there
	ip -n "$P-gw" link set eth0 down
	finally "ip -n $P-gw link set eth0 up; ip -n $P-gw route replace default via 192.168.1.1"
	held me
	wait_for 10 "a page of the pod" page_is here
	wait_for 10 "the end of the old connection" not alive began-there
}

test_a_version_that_is_too_old_means_a_new_list() {
	local lists
	begin
	lists=$(grep -c "list leases" "$K/requests" || true)
	touch "$K/gone"
	wait_for 10 "a new list" eval "[ \$(grep -c 'list leases' $K/requests) -gt $lists ]"
	held me
	wait_for 10 "a page of the pod" page_is here
}

test_a_rotated_token_is_used_and_never_logged() {
	begin
	printf secret-two >"$K/accepted"
	touch "$K/gone"
	wait_for 20 "the refusal in the status" status '.virtualAddresses | (.synced | not) and (.error | contains("401"))'
	equal "the last answer" true "$(status '.virtualAddresses.addresses[0].holder == "other"')"
	printf secret-two >"$K/token"
	wait_for 20 "the new token" status .virtualAddresses.synced
	! grep -q secret- "$RUN/log/node" || fail "the token is in the log"
	printf secret-one >"$K/token"
	printf secret-one >"$K/accepted"
}

test_without_the_server_the_last_answer_holds_and_afterwards_it_is_asked_again() {
	begin me
	wait_for 10 "a page of the pod" page_is here
	stop api KILL
	wait_for 20 "the loss in the status" status '.virtualAddresses.synced | not'
	page_is here || fail "the last answer does not hold"
	held other
	spawn api node /usr/bin/python3 "$E2E/kube_api.py" serve "$K"
	wait_for 40 "a page of the other holder" page_is there
}

# The other holder has the address on its device and answers ARP for it; on this node nobody does.
test_the_lan_says_who_holds_the_address() {
	local mac start
	finally "ip -n $P-gw addr replace $VIP/32 dev eth0"
	begin other arp
	mac=$(ip -n "$P-gw" -j link show eth0 | jq -r '.[0].address')
	wait_for 10 "a page of the other holder" page_is there
	equal "source and holder" "arp $mac" "$(status '.virtualAddresses | "\(.source) \(.addresses[0].holder)"')"
	start=${EPOCHREALTIME/./}
	ip -n "$P-gw" addr del $VIP/32 dev eth0
	wait_for 5 "a page of the pod" page_is here
	note "held here $(((${EPOCHREALTIME/./} - start) / 1000)) ms after nobody else answered"
	equal "holder" "me true" "$(status '.virtualAddresses.addresses[0] | "\(.holder) \(.here)"')"
	ip -n "$P-gw" addr add $VIP/32 dev eth0
	wait_for 10 "a page of the other holder again" page_is there
	equal "Leases that were asked for" 0 "$(grep -c leases "$K/requests" || true)"
}
