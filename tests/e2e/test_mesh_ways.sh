# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# How two peers reach each other: directly, through NATs, by relays, and from one way to another without losing a connection.

. "$E2E/mesh/mesh.sh"

MESH_SECOND=--relay2-port=8083

setup() {
	needs_talon
	topology mesh lap node gw
	mesh_start mesh $MESH_HOST $MESH_SECOND
	servers_up gw
	mesh key "$SETUP_KEY" valid
	mesh route gw peer=node network=$GW/32	# not the whole LAN: an address inside a network of the mesh is no candidate
	no_ipv6 lap
	no_ipv6 node
}

# One family, so that each scenario has one way.
no_ipv6() { ip -n "$P-$1" addr flush dev eth0 scope global to fd00::/8; }

rules() { in_ns rtr nft -f -; }

clear_rules() { in_ns rtr nft flush ruleset; }

# No datagram between the two. The relay is TCP.
cut_udp() {
	rules <<-END
		table ip cut {
			chain forward {
				type filter hook forward priority 0;
				ip saddr 10.99.0.2 ip daddr 192.168.1.0/24 meta l4proto udp drop
				ip daddr 10.99.0.2 ip saddr 192.168.1.0/24 meta l4proto udp drop
			}
		}
	END
}

# The node behind a NAT: what leaves the LAN has the router's address, nothing comes in unasked. SYMMETRIC=1: another port for each destination.
nat_node() {
	rules <<-END
		table ip nat {
			chain postrouting {
				type nat hook postrouting priority srcnat;
				iifname br-lan oifname br-inet masquerade ${SYMMETRIC:+fully-random}
			}
			chain forward {
				type filter hook forward priority 0;
				iifname br-inet oifname br-lan ct state new drop
			}
		}
	END
}

fresh() { # both without ways to each other: the pins go, the identities stay
	local h
	clear_rules
	for h in lap node; do
		! alive $h || stop $h
		[ ! -e "$RUN/bpf/$h" ] || member $h down
		: >"$RUN/log/$h"
	done
}

both_up() {
	member_up lap
	member_up node
}

reaches_gateway() {
	fetch_page lap
	saw gw $NODE
}

# In by the relay pair, and back into it.
trace_tells_of_the_relay() {
	local told
	told=$(member node trace --json --from "$(mesh_ip lap)" --to $GW:80) || fail "the trace does not pass: $told"
	jq -e '(.there.entry | startswith("from peer lap.mesh.test (") and endswith(" over the relay, by wt0r (talon_uplink_xdp)"))
		and any(.back.steps[]; .step == "endpoint" and .text == "over the relay") and .back.device == "wt0r"' <<<"$told" ||
		fail "nothing of the relay: $told"
}

test_relay_carries_what_cannot_go_directly() {
	fresh
	cut_udp
	both_up
	wait_for 15 "a relayed way" connected lap node Relayed
	reaches_gateway
	equal "the relay that lap names" "rel://$MESH_HOST:8082" "$(about_peer lap node relayAddress)"
	trace_tells_of_the_relay
	fetch_and_put lap medium
	connected lap node Relayed
}

test_hosts_that_see_each_other_go_directly() {
	fresh
	both_up
	wait_for 15 "a direct way" connected lap node P2P
	reaches_gateway
	equal "kinds" "host host" "$(about_peer lap node iceCandidateType.local) $(about_peer lap node iceCandidateType.remote)"
	equal "remote" "$NODE:51820" "$(about_peer lap node iceCandidateEndpoint.remote)"
	wait_for 5 "the latency of the way to be a metric" latency_is_told node lap
	fetch_and_put lap medium
}

# Of the direct way, in seconds: more than nothing, and no more than within one machine.
latency_is_told() { # HOST PEER
	member "$1" metrics --peers 9 | found -E "^talon_peer_latency_seconds\\{peer=\"[^\"]+\",name=\"$2[^\"]*\"\\} 0\\.[0-9]*[1-9]\$"
}

test_node_behind_a_nat_is_reached_at_its_outer_address() {
	fresh
	nat_node
	both_up
	wait_for 15 "a direct way" connected lap node P2P
	reaches_gateway
	grep -qE '^(s|p)rflx$' <<<"$(about_peer lap node iceCandidateType.remote)"
	equal "address of the node that lap knows" 10.99.0.254 "$(about_peer lap node iceCandidateEndpoint.remote | cut -d: -f1)"
	fetch_and_put lap medium
}

test_symmetric_nat_on_one_side_is_passed() {
	fresh
	SYMMETRIC=1 nat_node
	member_up lap
	member_up node NB_WIREGUARD_PORT=51821	# not what the router remembers of an earlier case
	wait_for 15 "a direct way" connected lap node P2P
	reaches_gateway
	fetch_and_put lap medium
}

# A connection that echoes all the time, and datagrams beside it.
stream_start() {
	stop stream
	rm -f "$RUN/stream-stop" "$RUN/log/stream"
	alive echo || spawn echo gw $NET tcp-echo $GW 9
	wait_for 5 "the echo server" listening gw "$GW:9" t
	spawn stream lap $NET pace $GW 9 7 "$RUN/stream-stop"
	wait_for 10 "the stream to flow" stream_beyond 0
}

stream_lines() { wc -l <"$RUN/log/stream" 2>/dev/null || echo 0; }

stream_beyond() { [ "$(stream_lines)" -gt "$1" ]; }

stream_flows_on() { local n; n=$(stream_lines); wait_for "${1:-5}" "the stream to go on" stream_beyond $((n + 2)); }

stream_stop() { # every byte came back, in order; GAP_TCP and GAP_UDP are the longest silences in ms
	local end sent received
	: >"$RUN/stream-stop"
	finished stream 15
	read -r end sent received GAP_TCP GAP_UDP < <(tail -n 1 "$RUN/log/stream")
	equal "how the connection ended" end "$end"
	note "$1: $received bytes came back; longest silence $GAP_UDP ms of datagrams, $GAP_TCP ms of the connection"
}

test_upgrade_from_relay_to_direct_keeps_connections() {
	fresh
	cut_udp
	both_up
	wait_for 15 "a relayed way" connected lap node Relayed
	stream_start
	clear_rules
	wait_for 60 "the direct way" connected lap node P2P
	stream_flows_on
	stream_stop "upgrade"
	between "longest silence of datagrams in the upgrade (ms)" 0 $((500 * ${PATIENCE:-3})) "$GAP_UDP"
}

test_cut_direct_way_falls_back_to_the_relay_within_moments() {
	fresh
	both_up
	wait_for 15 "a direct way" connected lap node P2P
	wait_for 10 "the relay of both to be there" stands_by
	stream_start
	cut_udp
	wait_for 10 "the relayed way" connected lap node Relayed
	stream_flows_on
	stream_stop "direct way cut"
	between "longest silence of datagrams after the cut (ms)" 1 $((1500 * ${PATIENCE:-3})) "$GAP_UDP"
}

stands_by() { mesh_is lap relay true && mesh_is node relay true; }

test_peer_that_goes_idle_comes_back_with_traffic() {
	fresh
	member_up node
	mesh delete sleeper 2>/dev/null || true
	mesh add sleeper >/dev/null
	wait_for 10 "the node to know the sleeper" knows_sleeper
	mesh idle sleeper node
	wait_for 10 "the sleeper to be idle" sleeper_is Idle
	in_ns node ping -q -c 1 -W 1 "$(mesh_ip sleeper)" || true
	wait_for 10 "the node to look for it again" sleeper_is Connecting
	mesh delete sleeper
}

knows_sleeper() { [ "$(about_peer node sleeper status)" != "" ]; }

sleeper_is() { [ "$(about_peer node sleeper status)" = "$1" ]; }

test_peers_of_different_relays_meet_at_one_of_them() {
	local relay
	fresh
	cut_udp
	both_up
	mesh relays lap "rel://$MESH_HOST:8083"
	finally "mesh relays lap rel://$MESH_HOST:8082"
	fresh
	cut_udp
	both_up
	wait_for 20 "a relayed way" connected lap node Relayed
	reaches_gateway
	equal "one relay of both" "$(about_peer lap node relayAddress)" "$(about_peer node lap relayAddress)"
	fetch_and_put lap medium
	relay=relay	# whose home it is, the keys decide
	[ "$(about_peer lap node relayAddress)" = "rel://$MESH_HOST:8082" ] || relay=relay2
	mesh stop $relay
	finally "mesh start $relay"
	wait_for 10 "the way to be gone" not connected lap node
	mesh start $relay
	wait_for 40 "a relayed way again" connected lap node Relayed
	reaches_gateway
}

# Back and forth under one connection.
test_way_that_comes_and_goes_keeps_connections() {
	fresh
	both_up
	wait_for 15 "a direct way" connected lap node P2P
	stream_start
	cut_udp
	wait_for 10 "the relayed way" connected lap node Relayed
	stream_flows_on
	clear_rules
	wait_for 40 "the direct way again" connected lap node P2P
	stream_flows_on
	mesh stop relay	# nothing to do with it now
	finally "mesh start relay"
	stream_flows_on
	mesh start relay
	connected lap node P2P
	stream_stop "cut and healed"
}

test_no_secret_is_in_any_log() {
	no_secret_in_logs
}
