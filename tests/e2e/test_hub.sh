# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A mesh whose management, signal, relay and STUN are talon hub: peers join, reach the network behind a routing peer, and lose what the file
# takes from them; the hub itself may be killed, and its disk may be full.

. "$E2E/mesh/mesh.sh"
. "$E2E/mesh/hub.sh"

ONCE_KEY=22222222-2222-4333-8444-555555555555
OLD_KEY=33333333-2222-4333-8444-555555555555

# One file for all scenarios; what a scenario adds or takes away goes through sed.
write_file() { # [SED-PROGRAM]
	sed "${1:-}" <<-END | hub_file
		groups: {laptops: [], routers: []}
		keys:
		  home: {hash: $(hub_hash $SETUP_KEY), uses: unlimited, groups: laptops}
		  once: {hash: $(hub_hash $ONCE_KEY), uses: 1, groups: routers}
		  old: {hash: $(hub_hash $OLD_KEY), expires: 2020-01-01T00:00:00Z}
		policies:
		  - {name: laptops to routers, from: laptops, to: routers}
		routes:
		  - {name: lan, network: $GW/32, routers: {groups: [routers]}, to: laptops, access: routers}
		peers: {nobody: {blocked: true}}
	END
}

setup() {
	needs_talon
	topology hub lap lap2 node gw
	servers_up gw
	mkdir -p "$RUN/state"
	write_file
	hub_start
}

# The routing peer and the laptop, as they are or joining.
both_up() {
	alive hub || hub_start
	alive node || hub_join node NB_SETUP_KEY=$ONCE_KEY
	alive lap || hub_join lap NB_SETUP_KEY=$SETUP_KEY
	wait_for 15 "laptop and node to be connected" connected lap node
	wait_for 10 "the route" host_route lap $GW
}

hub_tell() { "$TALON" hub "$@" --data-dir "$RUN/hub"; }	# by its socket

# Down, and as new.
forget() { # HOST
	[ ! -e "$RUN/state/$1" ] || member_down "$1"
	rm -rf "$RUN/state/$1"
}

reaches() { in_ns "$1" ping -q -c 1 -W 1 $GW; }		# HOST: for wait_for
reaches_not() { ! in_ns "$1" ping -q -c 1 -W 0.3 $GW; }

# Joining with KEY is refused with one line, and the hub knows nobody more.
join_refused() { # HOST KEY
	local rc=0 peers
	peers=$(hub_metric peers)
	mkdir -p "$RUN/state/$1"
	member_command "$1" NB_SETUP_KEY="$2" up
	in_ns "$1" timeout 20 "${MEMBER_COMMAND[@]}" >"$RUN/log/refused" 2>&1 </dev/null || rc=$?
	sed 's/^/said: /' "$RUN/log/refused"
	equal "exit status" 1 $rc
	grep -q "setup key is invalid, expired, revoked or used up" "$RUN/log/refused" || fail "nothing about the key"
	equal "peers" "$peers" "$(hub_metric peers)"
	rm -rf "$RUN/state/$1"
}

# What the hub says to anybody who asks for its key.
server_key() {
	in_ns hub /usr/bin/python3 - <<-'END'
		import grpc, re
		ask = grpc.insecure_channel("127.0.0.1:8080").unary_unary("/management.ManagementService/GetServerKey")
		print(re.search(rb"[A-Za-z0-9+/]{43}=", ask(b"", timeout=10))[0].decode())
	END
}

test_the_example_has_no_fault() {
	"$TALON" hub --check "$E2E/../../manifests/hub/hub.yaml"
}

test_a_laptop_reaches_the_gateway_behind_a_routing_peer() {
	both_up
	fetch_page lap
	saw gw $NODE
	fetch_and_put lap medium
	equal "peers" 2 "$(hub_metric peers)"
	equal "joins" 2 "$(hub_metric 'joins_total{result="key"}')"
	not grep -rqiE "$SETUP_KEY|$ONCE_KEY|$(hub_hash $SETUP_KEY)" "$RUN/log" || fail "a setup key is in a log"
	equal "modes of its data" "700 600 600 600" "$(stat -c %a "$RUN/hub" "$RUN/hub/hub.db" "$RUN/hub/hub.db-wal" "$RUN/hub/"*key* | xargs)"
}

test_keys_that_are_used_up_expired_revoked_or_unknown_are_refused() {
	both_up
	join_refused lap2 $ONCE_KEY
	join_refused lap2 $OLD_KEY
	join_refused lap2 44444444-2222-4333-8444-555555555555
	write_file '/ home:/d'
	finally "write_file; hub_reload"
	hub_reload
	join_refused lap2 $SETUP_KEY
	equal "refused" 4 "$(hub_metric 'joins_total{result="key_refused"}')"
	fetch_page lap
}

# Milliseconds from now until the last answer to the ping that flow_start began with -D.
stopped_after() { # START-US
	wait_for 10 "the answers to end" silent
	awk -v start="$1" -F '[][]' '/icmp_seq=/ { last = $2 } END { printf "%d\n", (last - start / 1e6) * 1000 }' "$RUN/log/flow"
}

silent() { # no answer within half a second
	local before
	before=$(grep -c icmp_seq= "$RUN/log/flow")
	sleep 0.5
	[ "$(grep -c icmp_seq= "$RUN/log/flow")" = "$before" ]
}

test_a_policy_that_is_taken_away_stops_packets_within_a_second() {
	local start ms
	both_up
	wait_for 5 "the gateway" reaches lap
	rm -f "$RUN/log/flow"
	finally "stop flow KILL"
	spawn flow lap ping -D -i 0.01 $GW
	wait_for 10 "answers" flow_answers 50
	write_file '/- {name: laptops/d; s/^policies:/policies: []/'
	finally "write_file; hub_reload"
	start=${EPOCHREALTIME/./}
	kill -HUP "$(pid_of hub)"
	ms=$(stopped_after "$start")
	note "the last answer came $ms ms after the signal"
	between "milliseconds" -100 1000 "$ms"
	reaches_not lap
	write_file
	hub_reload
	wait_for 5 "the gateway to be reached again" reaches lap
	equal "joins" 2 "$(hub_metric 'joins_total{result="key"}')"
}

test_a_file_with_a_fault_changes_nothing() {
	local lines
	both_up
	write_file 's/to: laptops/to: nobody-knows/'
	finally "write_file; hub_reload"
	lines=$(log_lines hub)
	kill -HUP "$(pid_of hub)"
	wait_for 5 "a line about it" logged_since hub "$lines" "hub.yaml:[0-9]+: .*nobody-knows"
	wait_for 5 "what it means" logged_since hub "$lines" "everything stays as it is"
	fetch_page lap
	equal "streams" 2 "$(hub_metric 'streams{kind="sync"}')"
}

test_a_hub_that_is_killed_is_not_missed() {
	local key node_ip lap_ip
	both_up
	key=$(server_key) node_ip=$(hub_ip node) lap_ip=$(hub_ip lap)
	flow_start lap $GW
	stop hub KILL
	wait_for 10 "packets without a hub" flow_answers 200
	hub_start
	wait_for 30 "both to be back" hub_metric_is 'streams{kind="sync"}' 2
	wait_for 30 "both to be at signal" hub_metric_is 'streams{kind="signal"}' 2
	flow_end "over the hub's crash" 400
	equal "its key" "$key" "$(server_key)"
	equal "addresses" "$node_ip $lap_ip" "$(hub_ip node) $(hub_ip lap)"
	equal "peers" 2 "$(hub_metric peers)"
	equal "joins" 0 "$(hub_metric 'joins_total{result="key"}')"
	not member_logged node "key of the server|has changed" || fail "the node saw another server"
	join_refused lap2 $ONCE_KEY
}

test_a_peer_that_the_file_blocks_is_out_at_once() {
	both_up
	hub_join lap2 NB_SETUP_KEY=$SETUP_KEY
	finally "write_file; hub_reload; forget lap2; hub_tell peers remove lap2"
	wait_for 15 "the second laptop and the node to be connected" connected lap2 node
	wait_for 10 "the route" host_route lap2 $GW
	wait_for 10 "the gateway" reaches lap2
	write_file 's/nobody:/lap2:/'
	hub_reload
	wait_for 1 "its packets to be stopped" reaches_not lap2
	wait_for 5 "its stream to end" hub_metric_is 'streams{kind="sync"}' 2
	wait_for 1 "the node to forget it" not has_way node lap2 P2P
	fetch_page lap
}

test_a_peer_removed_by_command_is_out_at_once_and_needs_a_key() {
	local joins
	both_up
	hub_join lap2 NB_SETUP_KEY=$SETUP_KEY
	finally "forget lap2; hub_tell peers remove lap2 2>/dev/null"
	wait_for 15 "the second laptop and the node to be connected" connected lap2 node
	wait_for 10 "the gateway" reaches lap2
	hub_tell peers remove lap2
	wait_for 1 "its packets to be stopped" reaches_not lap2
	equal "peers" 2 "$(hub_metric peers)"
	wait_for 5 "its stream to end" hub_metric_is 'streams{kind="sync"}' 2
	joins=$(hub_metric 'joins_total{result="key"}')
	stop lap2
	member_start lap2
	finished lap2 20
	grep -E "does not know this peer|no setup key" "$RUN/log/lap2" || { tail -n 4 "$RUN/log/lap2"; fail "nothing about a key"; }
	equal "joins" "$joins" "$(hub_metric 'joins_total{result="key"}')"
	fetch_page lap
}

# No datagram between the two: what is left is the relay, which is TCP.
cut_udp() {
	in_ns rtr nft -f - <<-END
		table inet cut {
			chain forward {
				type filter hook forward priority 0;
				ip saddr 10.99.0.2 ip daddr 192.168.1.0/24 meta l4proto udp drop
				ip daddr 10.99.0.2 ip saddr 192.168.1.0/24 meta l4proto udp drop
				meta nfproto ipv6 meta l4proto udp drop
			}
		}
	END
}

test_a_pair_without_a_direct_way_goes_by_the_hubs_relay() {
	local before
	both_up
	before=$(hub_metric relay_packets_total)
	cut_udp
	finally "in_ns rtr nft flush ruleset"
	stop lap
	hub_join lap
	wait_for 30 "a relayed way" connected lap node Relayed
	wait_for 10 "the gateway" reaches lap
	fetch_page lap
	fetch_and_put lap medium
	[ "$(hub_metric relay_packets_total)" -gt $((before + 5000)) ] || fail "the relay saw no packets"
	note "by the relay: $(($(hub_metric relay_packets_total) - before)) packets"
	# A download waits while the relay is away, and goes on.
	spawn download lap curl -sS --fail --max-time 60 --limit-rate 4M --noproxy '*' -o "$RUN/large" "http://$GW/large"
	wait_for 10 "some of it" test -s "$RUN/large"
	stop hub KILL
	hub_start
	finished download 60
	equal "SHA-256 of what was downloaded" "$(sha "$RUN/www/large")" "$(sha "$RUN/large")"
	connected lap node Relayed
	in_ns rtr nft flush ruleset
	wait_for 60 "a direct way" connected lap node P2P
	fetch_page lap
}

# Its data on a disk of one MiB that is full.
small_disk() {
	stop hub
	mkdir -p "$RUN/small"
	mount -t tmpfs -o size=1m,mode=700 none "$RUN/small"
	finally "stop hub KILL; umount $RUN/small; write_file; hub_start"
	cp -a "$RUN/hub/." "$RUN/small"
	write_file
	sed -i "s,^data: .*,data: $RUN/small," "$RUN/hub.yaml"
	hub_start
	cat /dev/zero >"$RUN/small/ballast" 2>/dev/null || true
}

joins_not() { # HOST: within five seconds, in which it tries again and again
	mkdir -p "$RUN/state/$1"
	member_command "$1" NB_SETUP_KEY=$SETUP_KEY up
	in_ns "$1" timeout 5 "${MEMBER_COMMAND[@]}" >"$RUN/log/refused" 2>&1 </dev/null || true
	sed 's/^/said: /' "$RUN/log/refused"
	grep -q "no room for another peer" "$RUN/log/refused" || fail "no reason"
	not grep -q "network map" "$RUN/log/refused" || fail "$1 joined"
	rm -rf "$RUN/state/$1"
}

test_a_full_disk_refuses_peers_and_keeps_serving() {
	both_up
	small_disk
	wait_for 30 "both to be back" hub_metric_is 'streams{kind="sync"}' 2
	joins_not lap2
	[ "$(hub_metric store_failed_total)" -ge 1 ] || fail "no failure was counted"
	equal "peers" 2 "$(hub_metric peers)"
	hub_page healthz
	fetch_page lap
	stop hub KILL
	hub_start	# as full as before
	wait_for 30 "both to be back after a crash" hub_metric_is 'streams{kind="sync"}' 2
	fetch_page lap
	rm "$RUN/small/ballast"
	hub_join lap2 NB_SETUP_KEY=$SETUP_KEY
	finally "forget lap2"
	equal "peers" 3 "$(hub_metric peers)"
}

test_commands_change_a_running_hub() {
	local key
	both_up
	key=$("$TALON" hub keys add guests --uses 1 --group laptops --data-dir "$RUN/hub")
	hub_join lap2 NB_SETUP_KEY="$key"
	finally "member_down lap2; rm -rf $RUN/state/lap2"
	wait_for 10 "the gateway" reaches lap2
	"$TALON" hub peers --data-dir "$RUN/hub" | grep -E "^lap2 +100\.[0-9.]+ +connected +laptops " || fail "lap2 is not listed"
	"$TALON" hub keys --data-dir "$RUN/hub" | grep -E "^guests +used up +1 of 1 " || fail "its key is not listed as used up"
	# as the hub finds it itself: the file names the folder
	"$TALON" hub peers rename lap2 tablet --file "$RUN/hub.yaml"
	wait_for 5 "its new name" named lap2 tablet
	reaches lap2
	"$TALON" hub peers remove tablet --data-dir "$RUN/hub"
	wait_for 1 "its packets to be stopped" reaches_not lap2
	equal "peers" 2 "$(hub_metric peers)"
	member_down lap2
	join_refused lap2 "$key"
	TALON_HUB_FILE="$RUN/hub.yaml" "$TALON" hub keys revoke guests
	! "$TALON" hub peers remove tablet --data-dir "$RUN/hub" 2>"$RUN/log/said" || fail "it was there still"
	equal "said" "talon: hub peers remove: there is no peer of this name or public key" "$(cat "$RUN/log/said")"
	fetch_page lap
}

named() { member "$1" status | grep -q "^FQDN: $2\\.netbird\\.selfhosted$"; }	# HOST NAME: for wait_for

test_without_a_file_the_first_key_is_printed_once_and_all_reach_each_other() {
	local key other at="--listen 0.0.0.0:8080 --public-url http://$MESH_HOST:8080 --data-dir $RUN/fresh"
	for host in lap node; do
		[ ! -e "$RUN/state/$host" ] || forget $host
	done
	stop hub
	finally "forget lap; forget node; stop hub; rm -rf $RUN/fresh $RUN/hub"
	: >"$RUN/log/hub"
	# shellcheck disable=SC2086
	hub_start $at
	key=$(grep -oE '[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}' "$RUN/log/hub")
	equal "keys printed" 1 "$(wc -l <<<"$key")"
	hub_join node NB_SETUP_KEY="$key"
	join_refused lap "$key"
	other=$("$TALON" hub keys add laptops --data-dir "$RUN/fresh" | grep -oE '[0-9A-Fa-f-]{36}')
	hub_join lap NB_SETUP_KEY="$other"
	wait_for 15 "laptop and node to be connected" connected lap node
	wait_for 10 "an answer" answers lap "$(hub_ip node)"
	stop hub
	# shellcheck disable=SC2086
	hub_start $at
	equal "keys printed" 1 "$(grep -cE '[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-' "$RUN/log/hub")"
}
