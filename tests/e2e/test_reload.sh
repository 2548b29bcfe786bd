# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# SIGHUP with a static file: peers and routes come and go while packets flow; nothing else changes, and nothing ends.

setup() {
	topology lap lap2 node gw
	servers_up gw
	client_up lap
	client_up lap2
}

again() { # LINE...: the file is another one now, and the process hears of it
	write_config node "$RUN/node.conf" "$@"
	kill -HUP "$(pid_of node)"
}

said() { grep -cE "$1" "$RUN/log/node" || true; }

reaches() { in_ns "$1" ping -q -c 1 -W 1 "$GW"; }	# HOST: for wait_for

logged() { [ "$(said "$1")" -ge "${2:-1}" ]; }	# PATTERN [COUNT]: for wait_for

test_peers_and_routes_come_and_go_by_sighup() {
	needs_talon
	local pid before
	PEERS=lap node_up
	fetch_page lap
	pid=$(pid_of node)
	before=$(handshakes lap)
	not reaches lap2
	PEERS="lap lap2" again
	wait_for 5 "the second peer" logged "SIGHUP: 2 peers"
	client_peer lap2
	wait_for 15 "its way" reaches lap2
	fetch_page lap
	PEERS=lap again
	wait_for 5 "one peer" logged "SIGHUP: 1 peers"
	not reaches lap2
	fetch_page lap
	equal "process" "$pid" "$(pid_of node)"
	equal "last handshake of the peer that stayed" "$before" "$(handshakes lap)"
}

test_what_cannot_be_taken_over_is_said_and_changes_nothing() {
	needs_talon
	local pid
	node_up
	pid=$(pid_of node)
	again "ListenPort = 51821" "MTU = 1300"
	wait_for 5 "what waits to be named" logged "SIGHUP: ListenPort, MTU: only the next start takes that over"
	fetch_page lap
	again "Nonsense = 1"
	wait_for 5 "the file to be refused" logged "error SIGHUP: .*Nonsense.*nothing has changed"
	rm "$RUN/node.conf"
	kill -HUP "$pid"
	wait_for 5 "the missing file to be named" logged "error SIGHUP: .*nothing has changed" 2
	fetch_page lap
	alive node
	equal "process" "$pid" "$(pid_of node)"
	write_config node "$RUN/node.conf"
}

reload() { talon reload --pin-dir "$PIN" "$@"; }

test_reload_answers_with_what_changed_and_refuses_in_one_line() {
	needs_talon
	local rc=0
	PEERS=lap node_up
	equal "answer" "nothing has changed" "$(reload)"
	PEERS="lap lap2" write_config node "$RUN/node.conf" "ListenPort = 51821" "Route = 192.168.1.0/24 nomasquerade" "lap: PersistentKeepalive = 5"
	equal "answer" "peers: 1 added, 1 changed|routes: 1 added, 1 removed|needs a restart: ListenPort" "$(reload | paste -sd '|')"
	PEERS=lap write_config node "$RUN/node.conf" "lap: AllowedIPs = 100.64.0.2/33"
	reload >"$RUN/log/said" 2>&1 || rc=$?
	cat "$RUN/log/said"
	equal "exit status" 1 $rc
	equal "lines" 1 "$(grep -c . "$RUN/log/said")"
	grep -qE "^talon: reload: $RUN/node.conf:[0-9]+: Peer.AllowedIPs: .*; nothing has changed$" "$RUN/log/said" || fail "no reason"
	equal "peers" 2 "$(status '.peers.count // (.peers.details | length)')"
	rc=0
	talon reload --pin-dir "$RUN/bpf/other" --daemon-addr "unix://$RUN/nobody.sock" >"$RUN/log/said" 2>&1 || rc=$?
	equal "exit status without a daemon" 1 $rc
	grep -q "is it running" "$RUN/log/said" || fail "no reason"
	PEERS=lap write_config node "$RUN/node.conf"
	reload
}

# Opening a pipe without a writer waits for one: the controller's only loop must not.
test_reload_of_a_pipe_is_refused_at_once() {
	needs_talon
	local rc=0
	PEERS=lap node_up
	mv "$RUN/node.conf" "$RUN/node.kept"
	finally "rm -f $RUN/node.conf; mv $RUN/node.kept $RUN/node.conf"
	mkfifo "$RUN/node.conf"
	reload >"$RUN/log/said" 2>&1 || rc=$?
	equal "exit status" 1 $rc
	equal "answer" "talon: reload: $RUN/node.conf: not a regular file; a reload reads no other; nothing has changed" "$(cat "$RUN/log/said")"
	talon status --check live --pin-dir "$PIN"
}

# The names are in the pinned maps alone, as no daemon of a mesh answers.
test_strict_bundle_has_no_name_of_a_static_peer() {
	needs_talon
	PEERS="lap lap2" node_up "lap: Name = warehouse" "lap2: Name = Ann's laptop"
	mkdir -p "$RUN/bundles" "$RUN/no-state"
	in_ns node env TMPDIR="$RUN/bundles" NB_STATE_DIR="$RUN/no-state" NB_DAEMON_ADDR="unix://$RUN/nobody.sock" TALON_PIN_DIR="$PIN" \
		"$TALON" debug bundle -S=false --anonymize-level strict
	/usr/bin/python3 -c 'import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); z.extractall(sys.argv[2])' "$RUN"/bundles/*.zip "$RUN/unpacked"
	grep -q "^ peer-[0-9]*:$" "$RUN/unpacked/status.txt" || { head "$RUN/unpacked/status.txt"; fail "no placeholder"; }
	not grep -rE "warehouse|Ann's" "$RUN/unpacked" || fail "a name is shown"
}

# Waits on HOST at PORT for a WireGuard message that nobody answers.
await_message() { # HOST PORT
	spawn "await-$2" "$1" /usr/bin/python3 -c "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('0.0.0.0', $2))
print('bound', flush=True)
print('message', s.recv(2000)[0], flush=True)"
	wait_for 10 "the listener" grep -q bound "$RUN/log/await-$2"
}

test_peers_move_while_another_loses_no_packet() {
	needs_talon
	local i port lines
	PEERS=lap node_up
	wait_for 15 "the way of the peer that stays" reaches lap
	flow_start lap "$GW" 0.002
	for i in 1 2 3; do
		lines=("lap2: AllowedIPs = 10.50.$i.0/24" "lap2: Endpoint = 10.99.0.3:1234")
		PEERS="lap lap2" write_config node "$RUN/node.conf" "${lines[@]}"
		equal "answer" "peers: 1 added" "$(reload)"
		client_peer lap2
		wait_for 15 "the second peer" reaches lap2
		not grep -q ":1234$" <<<"$(peer_field lap2 endpoint)"	# it was seen elsewhere
		# To another place, of which the node hears from its file alone; what did not change does not move it back.
		port=$((52000 + i))
		await_message lap2 $port
		lines=("lap2: AllowedIPs = 10.50.9.0/24" "lap2: Endpoint = 10.99.0.3:$port")
		PEERS="lap lap2" write_config node "$RUN/node.conf" "${lines[@]}"
		equal "answer" "peers: 1 changed" "$(reload)"
		equal "endpoint" "10.99.0.3:$port" "$(peer_field lap2 endpoint)"
		in_ns node ping -q -c 1 -W 0.1 "${MESH[lap2]}" || true
		wait_for 5 "a message at the new place" grep -q "message [14]" "$RUN/log/await-$port"
		wait_for 15 "the second peer, back where it was" reaches lap2
		equal "answer" "nothing has changed" "$(reload)"
		not grep -q ":$port$" <<<"$(peer_field lap2 endpoint)"
		PEERS=lap write_config node "$RUN/node.conf"
		equal "answer" "peers: 1 removed" "$(reload)"
		not reaches lap2
	done
	flow_end "12 reloads" 1000
}

test_log_file_that_was_renamed_is_begun_anew_by_a_reload() {
	needs_talon
	local log=$RUN/log/file/talon.log
	node_down
	: >"$RUN/log/node"
	export TALON_LOG_FILE=$log
	finally "unset TALON_LOG_FILE; node_down"
	PEERS=lap node_up
	wait_for 5 "the file" grep -q . "$log"
	equal "mode" 600 "$(stat -c %a "$log")"
	mv "$log" "$log.1"
	kill -HUP "$(pid_of node)"
	wait_for 5 "the new file" grep -q "SIGHUP: 1 peers" "$log"
	equal "lines on standard error" 0 "$(grep -c . "$RUN/log/node" || true)"
	# Also by one that refuses the settings.
	mv "$log" "$log.1"
	PEERS=lap write_config node "$RUN/node.conf" "MTU = 1"
	not reload
	grep -q "nothing has changed" "$log" || fail "the file is not begun anew"
	# One that cannot be opened refuses the start.
	PEERS=lap write_config node "$RUN/bad.conf"
	TALON_LOG_FILE=$RUN/log refused "$RUN/bad.conf" "talon: --log-file: cannot open the log $RUN/log: Is a directory"
}
