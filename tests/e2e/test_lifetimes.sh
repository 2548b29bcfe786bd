# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Timers in real time: passive keepalives after 10 s, new keys after 120 s.
# background: the runner starts this file first and prints its cases last.

setup() {
	topology lap lap2 node gw
	servers_up gw
	client_up lap
	client_up lap2
}

test_data_without_answer_is_followed_by_a_keepalive_after_ten_seconds() {
	local before
	node_up
	all_answered lap $GW 1
	udp_ask lap $GW 9998 --no-reply
	watch_icmp lap
	finally "in_ns gw nft delete table ip silent"
	in_ns gw nft -f - <<-END
		table ip silent {
			chain out {
				type filter hook output priority 0
				ip protocol icmp drop
			}
		}
	END
	before=$(wg_bytes lap rx)
	udp_ask lap $GW 9998 --no-reply
	wait_for 13 "a keepalive" sent_back "$before"
	equal "bytes that came back, one keepalive" 32 $(($(wg_bytes lap rx) - before))
}

sent_back() { [ "$(wg_bytes lap rx)" -gt "$1" ]; }

# lap starts its own sessions; with lap2, which knows no endpoint, the node does.
test_keys_are_renewed_after_two_minutes_without_losing_a_packet() {
	local h
	node_down
	wg set "$(dev lap2)" peer "$(key node pub)" remove
	wg set "$(dev lap2)" peer "$(key node pub)" allowed-ips 192.168.1.0/24,100.64.0.1/32
	CLIENTS_WAIT=1 node_up "lap2: Endpoint = 10.99.0.3:$(wg show "$(dev lap2)" listen-port)" "lap2: PersistentKeepalive = 25"
	client_peer lap
	for h in lap lap2; do
		wait_for 7 "the first handshake of $h" in_ns $h ping -q -c 1 -W 1 $GW
		handshakes $h >"$RUN/handshake-$h"
		spawn "ping-$h" $h $NET ping $GW -i 0.05 -c 2600
	done
	for h in lap lap2; do
		finished "ping-$h" 150
		equal "sent and answered to $h" "2600 2600" "$(cat "$RUN/log/ping-$h")"
		between "seconds between the handshakes of $h" 118 126 $(($(handshakes $h) - $(cat "$RUN/handshake-$h")))
	done
}

# A private hosts file stands for a name server that comes up after Talon.
test_name_of_an_endpoint_is_tried_again_until_it_is_found() {
	needs_talon
	node_down
	write_config node "$RUN/node.conf" "lap: Endpoint = laptop.talon.example:51820"
	cp /etc/hosts "$RUN/hosts"
	spawn node node unshare -m --propagation slave bash -c \
		"mount --bind $RUN/hosts /etc/hosts; exec $TALON up --static $RUN/node.conf --pin-dir $PIN"
	wait_for 15 "Talon to be ready" ready_or_dead node
	equal "the endpoint before" null "$(peer_field lap endpoint)"
	echo "10.99.0.2 laptop.talon.example" >>"$RUN/hosts"
	wait_for 75 "the name to be looked up" endpoint_is 10.99.0.2:51820
}

endpoint_is() { [ "$(peer_field lap endpoint)" = "$1" ]; }
