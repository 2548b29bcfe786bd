# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Packets seen live: dropped ones with reason and addresses, a peer's decrypted ones as a capture file.

setup() {
	needs_talon
	needs tcpdump
	topology lap lap2 node gw
	servers_up gw
	client_up lap
	client_up lap2
	node_up
	fetch_page lap
	fetch_page lap2
}

# Starts `talon drops -f` in the background as NAME, and waits until the programs tell it what is dropped.
follow() { # NAME ARGUMENT...
	local name=$1
	shift
	stop "$name"
	rm -f "$RUN/log/$name"
	spawn "$name" node "$TALON" drops -f --pin-dir "$PIN" "$@"
	finally "stop $name"
	wait_for 5 "$name to follow" followed_by "$(pid_of "$name")"
}

followed_by() { status ".watching.drops | select(.pid == $1)"; }
captured_by() { status ".watching.capture | select(.pid == $1)"; }
nobody_captures() { status ".watching.capture == null"; }
nobody_follows() { status ".watching.drops == null"; }

# An object with these properties is among the lines of NAME.
told() { # NAME JQ-CONDITION
	jq -es "any(.[]; $2)" "$RUN/log/$1"
}

capture() { # NAME ARGUMENT...: in the background, until the programs copy
	local name=$1
	shift
	stop "$name"
	rm -f "$RUN/log/$name"
	spawn "$name" node "$TALON" capture --pin-dir "$PIN" "$@"
	finally "stop $name"
	wait_for 10 "the capture $name to begin" grep -q '^capturing' "$RUN/log/$name"
}

read_pcap() { tcpdump -nr "$1" "${@:2}" 2>"$RUN/log/tcpdump"; }

spoof() { # HOST SOURCE TARGET COUNT: UDP packets into the tunnel from an address that is not the peer's
	ip -n "$P-$1" addr add "$2/32" dev "$(dev "$1")" 2>/dev/null || true
	in_ns "$1" python3 -c "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('$2', 4444))
for i in range($4): s.sendto(b'x' * 50, ('$3', 5555))"
}

test_each_dropped_packet_is_told_with_its_reason_and_addresses() {
	follow drops --json
	spoof lap 10.1.2.3 $GW 1
	wait_for 5 "not_allowed" told drops '.reason == "not_allowed" and .direction == "in" and .packet == "inner" and .protocol == "udp" and
		.source == "10.1.2.3" and .sourcePort == 4444 and .destination == "'$GW'" and .destinationPort == 5555 and .length == 78 and
		.device == "eth0" and .peer.publicKey == "'"$(key lap pub)"'"'
	udp_ask lap 10.42.0.1 7 --timeout 0.2 || true
	wait_for 5 "no_route" told drops '.reason == "no_route" and .source == "'"${MESH[lap]}"'" and .destination == "10.42.0.1" and .destinationPort == 7'
	in_ns rtr python3 -c "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'no wireguard', ('$NODE', $PORT))"
	wait_for 5 "unknown_type" told drops '.reason == "unknown_type" and .packet == "outer" and .source == "192.168.1.1" and .peer == null'
	in_ns node ping -c 1 -W 1 100.64.9.9 >/dev/null || true
	wait_for 5 "no_peer" told drops '.reason == "no_peer" and .direction == "tunnel" and .protocol == "icmp" and .icmpType == 8 and
		.destination == "100.64.9.9"'
}

test_a_line_of_text_says_it_to_people() {
	follow text
	spoof lap 10.1.2.3 $GW 1
	wait_for 5 "the line" grep -qE "^[0-9T:.-]+Z in +not_allowed +peer .*: udp 10\.1\.2\.3:4444 > $GW:5555, 78 bytes$" "$RUN/log/text"
}

test_filters_and_a_count_of_lines() {
	follow filtered --reason not_allowed --direction in --peer "${MESH[lap2]}" --count 2 --json
	spoof lap 10.1.2.3 $GW 3
	udp_ask lap2 10.42.0.1 7 --timeout 0.2 || true
	spoof lap2 10.1.2.4 $GW 3
	finished filtered 5
	equal "lines" "2 10.1.2.4 not_allowed" "$(jq -rs '"\(length) \(.[0].source) \(.[1].reason)"' "$RUN/log/filtered")"
	wait_for 5 "the lease to be given back" nobody_follows
}

test_what_a_flood_leaves_out_is_said() {
	local before after shown missed
	follow flood --json --reason not_allowed
	before=$(ends in not_allowed)
	spoof lap 10.1.2.3 $GW 4000
	sum_is_whole() {
		after=$(ends in not_allowed)
		shown=$(jq -s '[.[] | select(.reason)] | length' "$RUN/log/flood")
		missed=$(jq -s '[.[].notShown // 0] | add' "$RUN/log/flood")
		[ $((after - before)) -gt 500 ] && [ $((shown + missed)) = $((after - before)) ]
	}
	wait_for 10 "shown and left out to add up" sum_is_whole
	note "$((after - before)) dropped, $shown shown, $missed left out"
	[ "$missed" -gt 0 ] || fail "all were shown"
	jq -es '[.[].time // empty] | . == sort' "$RUN/log/flood"
}

test_a_second_follower_is_told_who_is_the_first() {
	local rc=0
	follow first
	talon drops -f --pin-dir "$PIN" 2>"$RUN/log/second" || rc=$?
	equal "exit status" 1 $rc
	grep -qF "pid $(pid_of first)" "$RUN/log/second"
}

test_sampling_ends_when_the_follower_is_killed() {
	local sent lost
	follow killed
	spoof lap 10.1.2.3 $GW 1
	wait_for 5 "a line" grep -q not_allowed "$RUN/log/killed"
	stop killed KILL
	sent=$(status .watching.drops_sent)
	wait_for 5 "the lease to run out" nobody_follows
	lost=$(status .watching.drops_lost)
	spoof lap 10.1.2.3 $GW 5
	wait_for 5 "the drops to be counted" test "$(ends in not_allowed)" -gt 1
	equal "samples after that" "$sent $lost" "$(status '"\(.watching.drops_sent) \(.watching.drops_lost)"')"
	# and the place is free
	follow killed
}

test_counters_of_drops_are_shown_with_their_help() {
	spoof lap 10.1.2.3 $GW 1
	wait_for 5 "the counter" talon_says "^in +not_allowed +[0-9]+  inner source is not among" drops --pin-dir "$PIN"
	talon drops --json --reason not_allowed --pin-dir "$PIN" | jq -e '.[0].reason == "not_allowed" and .[0].packets > 0 and length == 1'
}

talon_says() { local pattern=$1; shift; talon "$@" | found -E "$pattern"; }

test_a_page_is_read_back_from_a_capture() {
	capture page --peer "${MESH[lap]}" --write "$RUN/page.pcapng"
	status '.watching.capture.peer == "'"$(key lap pub)"'"'
	talon status --pin-dir "$PIN" | found -E "^Capture: peer .* by pid $(pid_of page), for "
	fetch_page lap
	fetch_page lap2
	wait_for 5 "the packets" page_is_whole "$RUN/page.pcapng"
	stop page INT
	tail -n 1 "$RUN/log/page" | found -E '^stopped: [1-9][0-9]* packets captured \([0-9]+ bytes\), 0 lost'
	page_is_whole "$RUN/page.pcapng"
	equal "addresses in the file" "${MESH[lap]} $GW" "$(read_pcap "$RUN/page.pcapng" -q | sed -nE 's/.* IP ([0-9.]+)\.[0-9]+ > ([0-9.]+)\.[0-9]+: .*/\1\n\2/p' |
		sort -u | tr '\n' ' ' | sed 's/ $//')"
	equal "mode of the file" 600 "$(stat -c %a "$RUN/page.pcapng")"
	grep -qF "capture: process $(sed -n 's/.*process \([0-9]*\) copies.*/\1/p' "$RUN/log/node" | tail -n 1) copies what peer $(key lap pub)" "$RUN/log/node"
	wait_for 5 "status to be quiet again" nobody_captures
	wait_for 5 "the end in the log" grep -q 'capture: ended' "$RUN/log/node"
}

page_is_whole() { # FILE: request and response, from one side and to it
	read_pcap "$1" -A >"$RUN/page.txt" || true
	grep -q "GET /page HTTP" "$RUN/page.txt" && grep -qF "$(cat "$RUN/www/page")" "$RUN/page.txt"
}

test_a_capture_goes_into_a_pipe() {
	in_ns node bash -c "'$TALON' capture --pin-dir '$PIN' --peer ${MESH[lap]} --count 5 2>'$RUN/log/pipe' | tcpdump -nr - 2>/dev/null" >"$RUN/piped" &
	wait_for 10 "the capture to begin" grep -q '^capturing' "$RUN/log/pipe"
	all_answered lap $GW 10
	wait $!
	equal "packets" 5 "$(grep -c 'ICMP echo' "$RUN/piped")"
	grep -q '^limit reached: 5 packets' "$RUN/log/pipe"
}

test_limits_of_time_and_size_end_a_capture() {
	capture time --peer "$(key lap pub)" --duration 1 --write "$RUN/time.pcapng"
	finished time 10
	grep -q '^time is up' "$RUN/log/time"
	capture size --peer "$(key lap pub)" --limit 2K --size 40 --write "$RUN/size.pcapng"
	all_answered lap $GW 60
	finished size 5
	grep -q '^limit reached' "$RUN/log/size"
	between "size of the file" 2048 2400 "$(stat -c %s "$RUN/size.pcapng")"
	# tcpdump shows what is there: 40 bytes of each packet, in lines of 16
	equal "bytes of the last packet" 8 "$(read_pcap "$RUN/size.pcapng" -x | tail -n 1 | sed -n 's/.*0x0020: *//p' | tr -d ' \n' | wc -c | awk '{ print $1 / 2 }')"
}

test_an_existing_file_and_a_link_are_refused() {
	local rc f
	echo mine >"$RUN/mine"
	ln -sf "$RUN/elsewhere" "$RUN/link"
	for f in mine link; do
		rc=0
		talon capture --pin-dir "$PIN" --peer "${MESH[lap]}" --write "$RUN/$f" 2>"$RUN/log/refused-$f" || rc=$?
		equal "exit status for $f" 2 $rc
		grep -q "is there already" "$RUN/log/refused-$f"
	done
	equal "the file" mine "$(cat "$RUN/mine")"
	[ ! -e "$RUN/elsewhere" ] || fail "the link was followed"
}

test_only_root_may_capture_and_follow() {
	local rc=0
	in_ns node setpriv --reuid 65534 --regid 65534 --clear-groups "$TALON" capture --pin-dir "$PIN" --peer "${MESH[lap]}" --write "$RUN/nobody" \
		2>"$RUN/log/nobody" || rc=$?
	equal "exit status" 1 $rc
	grep -q "only root" "$RUN/log/nobody"
	rc=0
	in_ns node setpriv --reuid 65534 --regid 65534 --clear-groups "$TALON" drops -f --pin-dir "$PIN" 2>"$RUN/log/nobody" || rc=$?
	equal "exit status" 1 $rc
	grep -q "root" "$RUN/log/nobody"
}

test_a_killed_capture_is_over_within_seconds() {
	local sent
	capture killed --peer "${MESH[lap]}" --write "$RUN/killed.pcapng"
	all_answered lap $GW 3
	not flag_is_off
	stop killed KILL
	sent=$(status .watching.packets_sent)
	[ "$sent" -gt 0 ] || fail "nothing was captured"
	wait_for 5 "the lease to run out" nobody_captures
	wait_for 5 "the controller to switch it off" flag_is_off
	all_answered lap $GW 3
	equal "packets copied after that" "$sent" "$(status .watching.packets_sent)"
}

flag_is_off() { ! (($(bpftool map lookup pinned "$PIN"/v*/maps/config key 0 0 0 0 -j | jq -r '.formatted.value.flags // (.value | .[4:8] | map(ltrimstr("0x")) | "0x\(.[3])\(.[2])\(.[1])\(.[0])")') & 128)); }

test_a_second_capture_is_told_who_is_the_first() {
	local rc=0
	capture first --peer "${MESH[lap]}" --write "$RUN/first.pcapng"
	talon capture --pin-dir "$PIN" --peer "${MESH[lap2]}" --write "$RUN/second.pcapng" 2>"$RUN/log/second" || rc=$?
	equal "exit status" 1 $rc
	grep -qF "pid $(pid_of first)" "$RUN/log/second"
	[ ! -e "$RUN/second.pcapng" ] || fail "a file was made"
	stop first
}

test_a_reload_that_forbids_it_ends_a_capture() {
	capture reload --peer "${MESH[lap]}" --write "$RUN/reload.pcapng"
	sed -i 's/^\[Interface\]/&\nCapture = off/' "$RUN/node.conf"
	kill -HUP "$(pid_of node)"
	finished reload 10
	grep -q '^captures were forbidden meanwhile' "$RUN/log/reload"
	node_up
}

test_no_capture_begins_without_a_controller() {
	local rc=0
	finally node_up
	fetch_page lap
	stop node KILL
	talon capture --pin-dir "$PIN" --peer "${MESH[lap]}" --write "$RUN/dead.pcapng" 2>"$RUN/log/dead" || rc=$?
	equal "exit status" 1 $rc
	grep -q "the controller does not answer" "$RUN/log/dead"
	[ ! -e "$RUN/dead.pcapng" ] || fail "a file was made"
	# dropped packets are followed all the same
	follow alone
	spoof lap 10.1.2.3 $GW 1
	wait_for 5 "a line" grep -q not_allowed "$RUN/log/alone"
}

test_tcx_shows_the_same() {
	node_up "Datapath = tcx"
	fetch_page lap
	follow tc
	spoof lap 10.1.2.3 $GW 1
	wait_for 5 "a line" grep -q "udp 10.1.2.3:4444 > $GW:5555, 78 bytes" "$RUN/log/tc"
	capture page --peer "${MESH[lap]}" --write "$RUN/tc.pcapng"
	fetch_page lap
	wait_for 5 "the packets" page_is_whole "$RUN/tc.pcapng"
	stop page
	node_up
}

test_capture_off_forbids_it() {
	local rc=0
	node_up "Capture = off"
	fetch_page lap
	talon capture --pin-dir "$PIN" --peer "${MESH[lap]}" --write "$RUN/forbidden" 2>"$RUN/log/forbidden" || rc=$?
	equal "exit status" 1 $rc
	grep -q "forbidden on this host" "$RUN/log/forbidden"
	[ ! -e "$RUN/forbidden" ] || fail "a file was made"
	node_up
}
