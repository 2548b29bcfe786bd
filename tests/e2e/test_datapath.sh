# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Every way to attach carries the same traffic, next to whatever else is there, and leaves alone what is not ours.

setup() {
	topology lap node gw
	servers_up gw
	servers_up node
	client_up lap
}

mode_carries() { # MODE
	needs_talon
	node_up "Datapath = $1"
	equal "mode in status" "$1" "$(datapath mode)"
	fetch_and_put lap large
	saw gw $NODE
	all_answered lap $GW 50 -s 1000
	udp_ask lap $GW 7 --size 1392 --count 10
	udp_ask lap $GW 7 --size 3000 --fragments reversed
	udp_ask lap $GW 7 --size 3000 --order "frag:reversed;"
	fetch_and_put node medium
	attached_as "$1"
	case $1 in tcx | clsact) [ "$(ends out segmented)" -gt 100 ] ;; esac	# what GRO had joined
	wg set "$(dev lap)" peer "$(key node pub)" endpoint "[fd01::221]:$PORT"
	fetch_and_put lap medium
}

attached_as() { # MODE, as the kernel reports it
	equal "XDP on the uplink (1 native, 2 generic)" "$(case $1 in xdp) echo 1 ;; xdp-generic) echo 2 ;; esac)" \
		"$(ip -n "$P-node" -j link show eth0 | jq -r '.[0].xdp.mode // empty')"
	equal "clsact filters on the uplink" "$(case $1 in clsact) echo 1 ;; *) echo 0 ;; esac)" \
		"$(tc -n "$P-node" filter show dev eth0 ingress | grep -c 'handle' || true)"
}

test_native_xdp_carries_everything() { mode_carries xdp; }
test_generic_xdp_carries_everything() { mode_carries xdp-generic; }
test_tcx_carries_everything() { mode_carries tcx; }
test_clsact_carries_everything() { mode_carries clsact; }

test_automatic_choice_says_why() {
	needs_talon
	node_up
	equal "mode" xdp "$(datapath mode)"
	[ "$(datapath reason | wc -c)" -gt 5 ]
}

bystanders() {
	all_answered gw $NODE 20 -s 1400
	all_answered node $GW 20 -s 4000
	fetch_and_put gw medium $NODE
	fetch_and_put node medium
	udp_ask gw $NODE 7 --size 1400 --count 5
	udp_ask gw $NODE 7 --size 5000 --count 5
	in_ns gw ping -6 -q -n -c 5 -i 0.01 fd01::221
}

test_other_traffic_of_the_node_passes_untouched_by_xdp() {
	node_up
	all_answered lap $GW 1
	bystanders
}

test_other_traffic_of_the_node_passes_untouched_by_tcx() {
	node_up "Datapath = tcx"
	all_answered lap $GW 1
	bystanders
}

# With raw frames, since not every kernel has VLAN devices.
test_tagged_frames_pass_untouched() {
	local want
	node_up
	all_answered lap $GW 1
	spawn tagged node $NET tagged-see 10.5.0.1 --count 20
	wait_for 3 "the listener for tagged frames" grep -q ready "$RUN/log/tagged"
	want=$(in_ns gw $NET tagged-send 10.5.0.1 "$(ip -n "$P-node" -j link show eth0 | jq -r '.[0].address')" --count 20)
	finished tagged 5
	equal "tagged frames that came through unchanged" 20 "$(grep -c "^$want$" "$RUN/log/tagged")"
	rm -f "$RUN/log/tagged"
}

test_tagged_frames_reach_their_vlan_device() {
	local h n=1
	ip -n "$P-gw" link add link eth0 name eth0.5 type vlan id 5 2>/dev/null || skip "this kernel has no VLAN devices"
	finally "ip -n $P-gw link del eth0.5; ip -n $P-node link del eth0.5"
	ip -n "$P-node" link add link eth0 name eth0.5 type vlan id 5
	for h in node gw; do
		ip -n "$P-$h" addr add 10.5.0.$n/24 dev eth0.5
		ip -n "$P-$h" link set eth0.5 up
		n=$((n + 1))
	done
	node_up
	all_answered lap $GW 1
	all_answered node 10.5.0.2 20 -s 1400
}

test_junk_on_our_port_is_counted_and_answered_by_nobody() {
	local before
	needs_talon
	node_up
	all_answered lap $GW 1
	watch_icmp lap
	before=$(ends in unknown_type)
	in_ns lap $NET junk $NODE $PORT --count 50
	wait_for 3 "50 of unknown type" ends_is in unknown_type $((before + 50))
	fetch_page lap
	not icmp_seen lap '.type == 3'
}

# A program that passes everything, attached by another tool before Talon.
foreign_program() {
	needs clang
	cat >"$RUN/pass.c" <<-'END'
		__attribute__((section("xdp"), used)) int pass_xdp(void *ctx) { return 2; }
		__attribute__((section("tc"), used)) int pass_tc(void *ctx) { return -1; }
		char _license[] __attribute__((section("license"), used)) = "GPL";
	END
	clang -O2 -g -target bpf -c "$RUN/pass.c" -o "$RUN/pass.o"
}

xdp_id() { ip -n "$P-node" -j link show eth0 | jq -r '.[0].xdp.prog.id // empty'; }

test_foreign_xdp_program_stays_and_we_fall_back() {
	local id
	needs_talon
	foreign_program
	node_down
	finally "ip -n $P-node link set dev eth0 xdp off"
	ip -n "$P-node" link set dev eth0 xdp obj "$RUN/pass.o" sec xdp
	id=$(xdp_id)
	[ -n "$id" ]
	node_up
	equal "mode" tcx "$(datapath mode)"
	datapath reason | grep -i xdp
	equal "program of the other one" "$id" "$(xdp_id)"
	fetch_and_put lap medium
	node_down
	equal "program of the other one afterwards" "$id" "$(xdp_id)"
}

test_foreign_xdp_program_makes_an_explicit_wish_fail() {
	local id
	needs_talon
	foreign_program
	node_down
	finally "ip -n $P-node link set dev eth0 xdp off"
	ip -n "$P-node" link set dev eth0 xdp obj "$RUN/pass.o" sec xdp
	id=$(xdp_id)
	write_config node "$RUN/wish.conf" "Datapath = xdp" "XDPDispatcher = never"
	EXIT=1 refused "$RUN/wish.conf" "eth0"
	equal "program of the other one" "$id" "$(xdp_id)"
}

test_foreign_clsact_filter_stays() {
	needs_talon
	foreign_program
	node_down
	finally "tc -n $P-node qdisc del dev eth0 clsact"
	tc -n "$P-node" qdisc add dev eth0 clsact
	tc -n "$P-node" filter add dev eth0 ingress prio 1 handle 1 bpf da obj "$RUN/pass.o" sec tc
	node_up "Datapath = tcx"
	fetch_and_put lap medium
	node_down
	node_up "Datapath = clsact"
	fetch_and_put lap medium
	node_down
	tc -n "$P-node" filter show dev eth0 ingress | grep pass.o
}
