# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Floods from strangers do not hinder an honest peer: its packets, its handshakes, its new flows, its large datagrams.
# alone: what it measures shares no processor

PEERS="lap"

setup() {
	topology lap lap2 node gw
	servers_up gw
	in_ns rtr sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
	client_up lap
}

# lap2 is the stranger. It stops when the file is there, or with the case.
flood() { # KIND [NET.PY-FLOOD-ARGUMENT...]
	local kind=$1
	shift
	rm -f "$RUN/stop-flood" "$RUN/log/flood"
	finally "calm"
	spawn flood lap2 $NET flood $NODE $PORT "$kind" "$RUN/stop-flood" --public-key "$(key node pub)" "$@"
	wait_for 5 "the flood to begin" flood_arrives
}

calm() {
	touch "$RUN/stop-flood"
	! alive flood || finished flood 10
	[ ! -s "$RUN/log/flood" ] || note "packets of the flood, and a second: $(cat "$RUN/log/flood")"
	rm -f "$RUN/log/flood"
}

towards_node() { ip -n "$P-rtr" -s -j link show p-node | jq '.[0].stats64.tx.packets'; }

flood_arrives() { local before; before=$(towards_node); sleep 0.1; [ $(($(towards_node) - before)) -gt 100 ]; }

# The bursts that are allowed are over.
flood_lasts() { wait_for 20 "the flood to go on" flood_reached $(($(towards_node) + 10000)); }

flood_reached() { [ "$(towards_node)" -ge "$1" ]; }

# Packets lost because an event about them was lost.
lost_events() { echo $(($(ends in no_neigh) + $(ends out no_key) + $(ends tunnel no_key) + $(ends in no_key))); }

answered() { ping_counts lap "$@" | cut -d' ' -f2; }

rekeyed() { # COUNT handshakes started by the client, each used at once
	local i before
	for ((i = 0; i < $1; i++)); do
		before=$(peer_field lap handshakes)
		client_peer lap
		answered "${MESH[node]}" -c 1 -W 10 >/dev/null
		[ "$(peer_field lap handshakes)" -le "$before" ] || echo yes
	done | grep -c yes
}

# The same actions without and with the flood: at least nine of ten must succeed as before, and no event of ours may be lost.
honest_peer_does_not_mind() { # KIND [NET.PY-FLOOD-ARGUMENT...]
	local lost calm_answered calm_keys flood_answered flood_keys
	node_up
	all_answered lap $GW 3 -W 10
	calm_answered=$(answered $GW -c 300 -i 0.01 -W 5)
	calm_keys=$(rekeyed 5)
	lost=$(lost_events)
	flood "$@"
	flood_answered=$(answered $GW -c 300 -i 0.01 -W 5)
	flood_keys=$(rekeyed 5)
	calm
	note "answered of 300: calm $calm_answered, in the flood $flood_answered; new sessions of 5: $calm_keys, $flood_keys"
	between "pings answered in the flood" $((calm_answered * 9 / 10)) 300 "$flood_answered"
	between "handshakes in the flood" "$calm_keys" 5 "$flood_keys"
	equal "packets lost for want of an event" "$lost" "$(lost_events)"
}

test_fragments_of_strangers_do_not_disturb() {
	needs_talon
	honest_peer_does_not_mind fragments
}

test_fragments_from_forged_addresses_do_not_disturb() {
	needs_talon
	honest_peer_does_not_mind fragments --forge
}

test_initiations_of_strangers_do_not_disturb() {
	needs_talon
	honest_peer_does_not_mind initiations --rate 5000
}

test_junk_does_not_disturb() {
	needs_talon
	honest_peer_does_not_mind junk
}

test_data_for_no_session_does_not_disturb() {
	needs_talon
	honest_peer_does_not_mind data
}

test_data_in_pieces_for_no_session_does_not_disturb() {
	needs_talon
	local before
	before=$(ends in no_session)
	honest_peer_does_not_mind pieces --rate 5000
	equal "of them seen by the programs" "$before" "$(ends in no_session)"
}

# Each from a new process: its own flow, whose reply arrives in three fragments.
test_new_large_pings_survive_fragments_of_strangers() {
	needs_talon
	local i got=0
	node_up
	all_answered lap $GW 3
	flood fragments --forge
	flood_lasts
	for ((i = 0; i < 40; i++)); do
		got=$((got + $(answered $GW -c 1 -s 4000 -W 2)))
	done
	calm
	note "answered: $got of 40"
	between "new pings of 4,000 bytes answered" 38 40 "$got"
}

# Out of order, fragments depend on copies, of which a stranger gets no more than a share.
test_datagrams_in_reverse_order_survive_fragments_of_a_stranger() {
	needs_talon
	node_up
	udp_ask lap $GW 7 --size 3000 --order "frag:reversed;"
	flood fragments
	flood_lasts
	udp_ask lap $GW 7 --size 3000 --order "frag:reversed;" --count 5 --timeout 10
	calm
}

# The reply needs a next hop that is asked for in the flood.
test_a_next_hop_is_found_in_a_flood_of_fragments() {
	needs_talon
	local lost i
	node_up
	all_answered lap $GW 3
	lost=$(lost_events)
	flood fragments --forge
	flood_lasts
	for ((i = 0; i < 10; i++)); do
		ip -n "$P-node" neigh flush dev eth0 to $GW
		all_answered lap $GW 1 -W 10
	done
	calm
	equal "packets lost for want of an event" "$lost" "$(lost_events)"
}
