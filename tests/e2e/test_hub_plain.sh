# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Plain WireGuard (wireguard-go) as a peer of the hub's mesh: it says nothing by signal and does no ICE, so its packets say where it is.

. "$E2E/mesh/mesh.sh"
. "$E2E/mesh/hub.sh"

setup() {
	needs_talon
	needs "$WIREGUARD_GO" wg
	topology hub lap node gw
	servers_up gw
	mkdir -p "$RUN/state"
	hub_file <<-END
		groups: {laptops: [lap], routers: [node]}
		keys:
		  all: {hash: $(hub_hash $SETUP_KEY), uses: unlimited}
		policies:
		  - {name: all, from: All, to: All, both-ways: true}
		routes:
		  - {name: lan, network: $GW/32, routers: node, to: laptops}
	END
	hub_start
	# Its key gets an address before anybody else is there to hear it by signal.
	hub_join lap NB_SETUP_KEY=$SETUP_KEY
	hub_ip lap >"$RUN/lap.ip"
	member_down lap
	hub_join node NB_SETUP_KEY=$SETUP_KEY
	hub_ip node >"$RUN/node.ip"
	plain_up
	wait_for 20 "a handshake" shaken
}

ip_of() { cat "$RUN/$1.ip"; }

plain_up() {
	local d
	d=$(dev lap)
	(umask 077; jq -r .PrivateKey "$RUN/state/lap/default.json" >"$RUN/keys/plain"; jq -r .PrivateKey "$RUN/state/node/default.json" | wg pubkey >"$RUN/keys/node.pub")
	LOG_LEVEL=error spawn wg-lap lap "$WIREGUARD_GO" -f "$d"
	wait_for 5 "the control socket of $d" test -S "/var/run/wireguard/$d.sock"
	wg set "$d" private-key "$RUN/keys/plain"
	plain_peer
	ip -n "$P-lap" -batch - <<-END
		addr add $(ip_of lap)/32 dev $d
		link set $d mtu 1280 up
		route add $(ip_of node) dev $d
		route add $GW dev $d
	END
}

# As a new peer: the client forgets its sessions.
plain_peer() {
	wg set "$(dev lap)" peer "$(cat "$RUN/keys/node.pub")" remove
	wg set "$(dev lap)" peer "$(cat "$RUN/keys/node.pub")" endpoint "$NODE:$PORT" allowed-ips "$(ip_of node)/32,$GW/32"
}

shaken() { answers lap "$(ip_of node)" && [ "$(handshakes lap)" -gt 0 ]; }

no_endpoint() { member_says node ".talon.datapath.packets | [.[].no_endpoint // 0] | add | . + 0" 2>/dev/null || echo 0; }

test_it_reaches_the_network_and_is_reached() {
	local before
	before=$(no_endpoint)
	fetch_page lap
	saw gw $NODE
	fetch_and_put lap medium
	answers node "$(ip_of lap)"
	equal "drops without an endpoint" "$before" "$(no_endpoint)"
	equal "status, relay" "Connected false" "$(about_peer node lap status) $(member_says node '.peers.details[] | select(.fqdn | startswith("lap.")) | .connectionType == "Relayed" | tostring' || true)"
}

# The laptop gets another address. wireguard-go goes on from the old one for 15 s, which nobody sends for it, unless its socket is opened anew.
move_to() { # ADDRESS PORT
	ip -n "$P-lap" -batch - <<-END
		addr flush dev eth0
		addr add $1/24 dev eth0
		route replace default via 10.99.0.254
	END
	wg set "$(dev lap)" listen-port "$2"
}

test_it_roams() {
	local d
	d=$(dev lap)
	fetch_page lap
	wg set "$d" listen-port 43210
	wait_for 5 "an answer at the new port" answers lap $GW
	wait_for 5 "an answer to the host that did not hear of it" answers node "$(ip_of lap)"
	finally "move_to 10.99.0.2 43212"
	move_to 10.99.0.77 43211
	wait_for 10 "an answer at the new address" answers lap $GW
	answers node "$(ip_of lap)"
}

test_it_is_known_over_a_restart() {
	fetch_page lap
	stop node KILL
	hub_join node
	answers node "$(ip_of lap)"
	fetch_page lap
	wg set "$(dev lap)" listen-port 43213
	wait_for 5 "an answer at the new port" answers lap $GW
	answers node "$(ip_of lap)"
}

test_with_relays_forced_it_gets_no_answer() {
	member_down node
	finally "member_down node; hub_join node; plain_peer; wait_for 20 'a handshake' shaken"
	hub_join node NB_FORCE_RELAY=true
	plain_peer
	! answers lap $GW || fail "it was answered directly"
	wait_for 10 "a handshake, which is answered nevertheless" handshaken
	wait_for 5 "a packet without a way" dropped
	! answers lap $GW || fail "it was answered directly"
}

handshaken() { answers lap $GW; [ "$(handshakes lap)" -gt 0 ]; }

dropped() { answers lap "$(ip_of node)"; [ "$(no_endpoint)" -gt 0 ]; }
