# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Sessions with a stock client: roaming, new handshakes under load, keys, who starts, outer IPv6, forgeries.

setup() {
	topology lap lap2 node gw
	servers_up gw
	client_up lap
	client_up lap2
	in_ns lap sysctl -qw net.ipv4.conf.eth0.promote_secondaries=1
}

# An upload that takes about three seconds; once a tenth of it is through, what follows happens in the middle of it.
start_stream() {
	local before
	before=$(wg_bytes lap tx)
	spawn stream lap $NET stream $GW 80 --size 12000000 --rate 4000000 --timeout 20
	wait_for 10 "the stream to flow" sent_since "$before" 1200000
}

sent_since() { [ $(($(wg_bytes lap tx) - $1)) -ge "$2" ]; }

stream_arrives() {
	finished stream 30
	cat "$RUN/log/stream"
	grep -q "^sent 12000000 bytes" "$RUN/log/stream"
	not grep -q "not the bytes" "$RUN/log/stream"
	rm -f "$RUN/log/stream"
}

test_transfer_goes_on_when_the_client_changes_its_port() {
	node_up
	start_stream
	wg set "$(dev lap)" listen-port 34567
	stream_arrives
	[ "$ENGINE" != talon ] || equal "endpoint in status" 10.99.0.2:34567 "$(peer_field lap endpoint)"
}

test_transfer_goes_on_when_the_client_changes_its_address() {
	node_up
	finally "ip -n $P-lap addr replace 10.99.0.2/24 dev eth0; ip -n $P-lap addr del 10.99.0.77/24 dev eth0; ip -n $P-lap route replace default via 10.99.0.254; wg set $(dev lap) listen-port 34569"
	ip -n "$P-lap" addr add 10.99.0.77/24 dev eth0
	start_stream
	ip -n "$P-lap" addr del 10.99.0.2/24 dev eth0
	ip -n "$P-lap" route replace default via 10.99.0.254 src 10.99.0.77
	wg set "$(dev lap)" listen-port 34568	# the client binds anew: its old source address is gone
	stream_arrives
	[ "$ENGINE" != talon ] || equal "address in status" 10.99.0.77 "$(peer_field lap endpoint | cut -d: -f1)"
}

test_transfer_goes_on_over_new_handshakes() {
	local before i
	node_up
	start_stream
	before=$(new_handshakes)
	for i in 1 2 3; do
		client_peer lap
		wait_for 5 "handshake $i" handshake_done lap
		wait_for 5 "traffic after handshake $i" sent_since "$(wg_bytes lap tx)" 1000000
	done
	stream_arrives
	between "handshakes that the node answered" 3 100 $(($(new_handshakes) - before))
}

new_handshakes() {
	if [ "$ENGINE" = talon ]; then peer_field lap handshakes; else grep -c "Sending handshake response" "$RUN/log/node"; fi
}

handshake_done() { [ "$(handshakes "$1")" -gt 0 ]; }

test_preshared_key_is_used_and_needed() {
	(umask 077 && wg genpsk >"$RUN/psk" && wg genpsk >"$RUN/wrong-psk")
	node_up "lap: PresharedKey = $(cat "$RUN/psk")"
	client_peer lap preshared-key "$RUN/psk"
	fetch_and_put lap medium
	client_peer lap preshared-key "$RUN/wrong-psk"
	equal "answers with the wrong key" "2 0" "$(ping_counts lap $GW -c 2 -i 0.2 -W 1)"
	client_peer lap preshared-key "$RUN/psk"
	wait_for 10 "the tunnel with the right key" in_ns lap ping -q -c 1 -W 1 $GW
	client_peer lap
	equal "answers without the key" "2 0" "$(ping_counts lap $GW -c 2 -i 0.2 -W 1)"
}

test_stranger_gets_no_answer_at_all() {
	node_up
	(umask 077 && wg genkey >"$RUN/stranger")
	finally "wg set $(dev lap2) private-key $RUN/keys/lap2"
	wg set "$(dev lap2)" private-key "$RUN/stranger"
	client_peer lap2
	equal "answers" "3 0" "$(ping_counts lap2 $GW -c 3 -i 0.2 -W 1)"
	equal "bytes that the stranger got back" 0 "$(wg_bytes lap2 rx)"
	[ "$(wg_bytes lap2 tx)" -ge 148 ]
}

# The client does not know the node's endpoint: it can only respond.
node_starts_the_handshake() { # ADDRESS
	node_down
	wg set "$(dev lap)" peer "$(key node pub)" remove
	wg set "$(dev lap)" peer "$(key node pub)" allowed-ips 192.168.1.0/24,100.64.0.1/32
	CLIENTS_WAIT=1 node_up "lap: Endpoint = $1:$(wg show "$(dev lap)" listen-port)" "lap: PersistentKeepalive = 1"
	wait_for 7 "a handshake that the node started" handshake_done lap
}

test_node_starts_the_handshake_where_it_knows_the_endpoint() {
	node_starts_the_handshake 10.99.0.2
	fetch_and_put lap medium
	equal "endpoint that the client learned" "$NODE:$PORT" "$(wg show "$(dev lap)" endpoints | awk '{ print $2 }')"
}

test_persistent_keepalive_of_the_node_arrives() {
	local before port
	port=$(wg show "$(dev lap)" listen-port)
	node_up "lap: Endpoint = 10.99.0.2:$port" "lap: PersistentKeepalive = 1"
	all_answered lap $GW 1
	before=$(wg_bytes lap rx)
	wait_for 5 "two keepalives of 32 bytes" received_since "$before" 64
	equal "bytes that came, in whole keepalives" 0 $((($(wg_bytes lap rx) - before) % 32))
}

received_since() { [ $(($(wg_bytes lap rx) - $1)) -ge "$2" ]; }

test_outer_ipv6_carries_it_all() {
	node_up
	client_peer lap
	wg set "$(dev lap)" peer "$(key node pub)" endpoint "[fd01::221]:$PORT"
	fetch_and_put lap large
	all_answered lap $GW 20 -s 1392
	udp_ask lap $GW 7 --size 3000 --fragments reversed
	saw gw $NODE
	[ "$ENGINE" != talon ] || equal "endpoint in status" "[fd10::2]:$(wg show "$(dev lap)" listen-port)" "$(peer_field lap endpoint)"
}

test_node_starts_the_handshake_over_ipv6() {
	node_starts_the_handshake "[fd10::2]"
	fetch_page lap
}

test_client_moves_from_ipv4_to_ipv6_within_a_transfer() {
	node_up
	start_stream
	wg set "$(dev lap)" peer "$(key node pub)" endpoint "[fd01::221]:$PORT"
	stream_arrives
}

test_replayed_messages_change_nothing() {
	local before seen endpoint
	needs_talon
	node_up
	client_peer lap
	all_answered lap $GW 1
	endpoint=$(peer_field lap endpoint) before=$(ends in replayed)
	spawn replay lap $NET replay $NODE $PORT --count 20
	watch_icmp gw
	all_answered lap $GW 40
	finished replay 5
	wait_for 3 "20 replays counted" ends_is in replayed $((before + 20))
	equal "echo requests at the gateway" 40 "$(jq -s '[.[] | select(.type == 8)] | length' "$RUN/icmp-gw")"
	equal "endpoint" "$endpoint" "$(peer_field lap endpoint)"
}

test_forged_messages_change_nothing() {
	local before endpoint
	needs_talon
	node_up
	client_peer lap
	all_answered lap $GW 1
	endpoint=$(peer_field lap endpoint) before=$(ends in bad_tag)
	spawn replay lap $NET replay $NODE $PORT --count 20 --forge
	all_answered lap $GW 40
	finished replay 5
	wait_for 3 "20 forgeries counted" ends_is in bad_tag $((before + 20))
	equal "endpoint" "$endpoint" "$(peer_field lap endpoint)"
	fetch_page lap
}
