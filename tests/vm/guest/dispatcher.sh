# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Talon in libxdp's dispatcher, between one program that runs before it and one that runs after it; beside them where
# it may not join.
. /guest/lib.sh

load_counter() {
	inside node xdp-loader load -m native eth0 "/others/$1.bpf.o"
}

count() {
	bpftool -j map dump id "$(bpftool -j prog show name "$1" | sed -n 's/.*"map_ids":\[\([0-9]*\).*/\1/p')" |
		sed -n 's/.*"value":\([0-9]*\)}}.*/\1/p'
}

counts_more_than() {
	[ "$(count "$1")" -gt "$2" ]
}

position() {
	inside node xdp-loader status eth0 |
		awk -v name="$1" '{ for (i = 1; i <= NF; i++) if (index($i, name) == 1) print NR }'
}

before_ours_after() {
	inside node xdp-loader status eth0
	[ "$(position count_before)" -lt "$(position talon_uplink)" ] &&
		[ "$(position talon_uplink)" -lt "$(position count_after)" ]
}

others_stay() {
	inside node xdp-loader status eth0
	[ -n "$(position count_before)" ] && [ -n "$(position count_after)" ] && [ -z "$(position talon_uplink)" ]
}

dispatcher_takes_movers() {
	load_counter count_moving || return 1
	inside node xdp-loader status eth0
	inside node xdp-loader unload -i "$(bpftool -j prog show name count_moving | sed 's/.*"id":\([0-9]*\).*/\1/')" eth0
}

others_go_on() {
	local before after

	check "down" node_down
	check "the others stay attached" others_stay
	before=$(count count_before)
	after=$(count count_after)
	inside laptop ping -c 2 -i 0.2 -W 5 192.168.1.221 >/dev/null
	check "the one before goes on counting" counts_more_than count_before "$before"
	check "the one after goes on counting" counts_more_than count_after "$after"
}

between_the_others() {
	local before after

	if ! check "Talon becomes ready" node_up responder "Datapath = xdp" "XDPDispatcher = always" "XDPPriority = 50"; then
		node_tell
		return
	fi
	laptop_up responder
	check "the chain is in the order of priorities" before_ours_after
	before=$(count count_before)
	after=$(count count_after)
	check "page through the tunnel, gateway saw the node" page_says_node
	check "2 MB through the tunnel, every byte" file_is_whole || node_tell
	check "the node itself is reached" inside laptop ping -c 2 -i 0.2 -W 5 192.168.1.221
	check "the one before us saw the tunnel's packets" counts_more_than count_before $((before + 1000))
	check "the one after us saw what we passed" counts_more_than count_after $((after + 1))
	check "the one after us saw no packet that was ours" test "$(count count_after)" -lt $((after + 200))
	others_go_on
	check "auto joins, too" node_up responder "Datapath = auto" "XDPDispatcher = auto"
	ip -n laptop link del wg0	# it would go on with a session that the node forgot on its way down
	laptop_up responder
	check "auto: the chain is in the order of priorities" before_ours_after
	check "auto: page through the tunnel, gateway saw the node" page_says_node
	check "auto: down" node_down
	check "auto: the others stay attached" others_stay
}

preflight_names_them() {
	inside node talon preflight >/tmp/preflight.txt
	cat /tmp/preflight.txt
	grep -qE "^note     xdp: eth0: libxdp's dispatcher with count_before \(id [0-9]+\), count_after \(id [0-9]+\)" /tmp/preflight.txt
}

refused_in_one_line() {
	node_file responder "Datapath = xdp" "XDPDispatcher = always"
	! inside node timeout 120 talon up --static /tmp/node.conf --pin-dir $pins >/tmp/talon.log 2>&1 || return 1
	cat /tmp/talon.log
	grep -qi dispatcher /tmp/talon.log && ! ip -n node link show wt0
}

beside_the_others() {
	local before

	check "refused: always fails and says why" refused_in_one_line
	check "refused: the others stay attached" others_stay
	if ! check "refused: auto becomes ready all the same" node_up responder "Datapath = auto" "XDPDispatcher = auto"; then
		node_tell
		return
	fi
	laptop_up responder
	before=$(count count_after)
	check "page through the tunnel, gateway saw the node" page_says_node
	check "2 MB through the tunnel, every byte" file_is_whole || node_tell
	check "the others saw the tunnel's packets" counts_more_than count_after $((before + 1000))
	others_go_on
}

check "the network comes up" network_up
check "a program of somebody else's, before ours" load_counter count_before
check "another, after ours" load_counter count_after
check "both are attached" others_stay
check "talon preflight names the dispatcher and its members" preflight_names_them
# Linux 6.13 and later stables want the replaced stub to move packet data when the replacement does; older dispatchers
# do not.
if dispatcher_takes_movers >/tmp/moving.log 2>&1; then
	between_the_others
else
	skip "this libxdp's dispatcher takes no program that moves packet data on this kernel"
	beside_the_others
fi
network_down
finish
