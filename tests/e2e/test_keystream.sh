# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Keystream made ahead by a helper process: used while the helper runs, and not needed when it does not.
# alone: what it measures shares no processor

setup() {
	needs_talon
	topology lap node gw
	servers_up gw
	client_up lap
}

keystream() { status ".keystream.$1"; }

helper() { keystream pid; }

helper_is() { [ "$(keystream helper)" = "$1" ]; }

another_helper() { helper_is running && [ "$(helper)" != "$1" ]; }

ticks() { local s; s=$(cat "/proc/$1/stat") && s=${s##*) } && set -- $s && echo $((${12} + ${13})); }

settled() { node_up "$@"; wait_for 5 "the helper to run" helper_is running; all_answered lap $GW 1; }

# A ping every 10 ms and an upload; what follows happens in the middle of both.
start_load() {
	spawn flood lap $NET ping $GW -i 0.01 -c 500
	spawn stream lap $NET stream $GW 80 --size 16000000 --rate 4000000 --timeout 20
	wait_for 5 "packets with keystream made ahead" moved receivedAhead "$(keystream receivedAhead)" 100
}

load_lost_nothing() {
	finished flood 30
	finished stream 30
	cat "$RUN/log/stream"
	equal "pings sent and answered" "500 500" "$(cat "$RUN/log/flood")"
	grep -q "^sent 16000000 bytes" "$RUN/log/stream"
	not grep -q "not the bytes" "$RUN/log/stream"
	rm -f "$RUN/log/flood" "$RUN/log/stream"
}

moved() { [ $(($(keystream "$1") - $2)) -ge "$3" ]; }

test_most_packets_find_their_keystream_ready() {
	local received sent
	settled
	fetch_page lap
	received=$(keystream receivedInline) sent=$(keystream sentInline)
	fetch_and_put lap large
	note "received $(keystream receivedAhead) ahead, $(keystream receivedInline) inline; sent $(keystream sentAhead), $(keystream sentInline)"
	[ "$(keystream receivedAhead)" -ge $((4 * ($(keystream receivedInline) - received))) ] || fail "most were received inline"
	[ "$(keystream sentAhead)" -ge $((4 * ($(keystream sentInline) - sent))) ] || fail "most were sent inline"
}

test_what_the_host_sends_is_sealed_ahead_as_well() {
	local sent
	settled
	servers_up lap 100.64.0.2
	sent=$(keystream sentAhead)
	equal "SHA-256 of what the host fetched" "$(sha "$RUN/www/medium")" "$(get node "http://100.64.0.2/medium" | sha)"
	equal "SHA-256 of what the host sent" "$(sha "$RUN/www/medium")" "$(get node "http://100.64.0.2/up" -T "$RUN/www/medium")"
	moved sentAhead "$sent" 1000 || fail "only $(($(keystream sentAhead) - sent)) packets ahead"
}

test_a_stopped_helper_delays_no_packet_and_goes_on_later() {
	local pid inline
	settled
	pid=$(helper) inline=$(keystream receivedInline)
	start_load
	kill -STOP "$pid"
	finally kill -CONT "$pid"
	wait_for 10 "packets to go inline" moved receivedInline "$inline" 500
	wait_for 10 "status to say that it is stalled" helper_is stalled
	kill -CONT "$pid"
	load_lost_nothing
	wait_for 5 "the helper to run again" helper_is running
	equal "its pid" "$pid" "$(helper)"
	all_answered lap $GW 100
}

test_a_killed_helper_loses_no_packet_and_is_started_again() {
	local pid ahead
	settled
	pid=$(helper)
	start_load
	kill -KILL "$pid"
	wait_for 10 "another helper" another_helper "$pid"
	ahead=$(keystream receivedAhead)
	wait_for 5 "packets with keystream made by it" moved receivedAhead "$ahead" 50
	load_lost_nothing
	fetch_and_put lap medium
}

test_helper_dies_with_its_controller_and_returns_with_the_next() {
	local pid
	settled
	pid=$(helper)
	start_load
	stop node KILL
	wait_for 2 "the helper's end" not test -d "/proc/$pid"
	talon_up node "$RUN/node.conf"
	wait_for 5 "the next helper" another_helper "$pid"
	load_lost_nothing
	pid=$(helper)
	stop node TERM
	wait_for 2 "the helper's end" not test -d "/proc/$pid"
	equal "helper after a stop" stopped "$(keystream helper)"
	all_answered lap $GW 20
	talon_up node "$RUN/node.conf"
}

test_helper_uses_no_processor_time_without_traffic() {
	local pid before after
	settled
	fetch_and_put lap medium
	pid=$(helper)
	wait_for 20 "the windows to be given back" no_windows
	before=$(ticks "$pid")
	sleep 4		# this is what is measured
	after=$(ticks "$pid")
	between "clock ticks in 4 seconds" 0 1 $((after - before))
}

test_windows_of_an_idle_session_are_wiped() {
	node_down
	settled "KeystreamMemory = 2"
	fetch_and_put lap medium
	wait_for 3 "windows" not no_windows
	not all_wiped || fail "nothing to wipe"
	wait_for 40 "the windows to be given back" no_windows
	wait_for 40 "every slot to be wiped" all_wiped		# a keepalive may arrive meanwhile and make a few new slots
	node_down
}

all_wiped() { # also where its memory was given back
	local segment
	for segment in "$PIN"/v*/maps/keystream-*; do
		[ -e "$segment" ] || continue
		bpftool -j map dump pinned "$segment" |
			jq -e 'all(.[].value[]; . == "0x00")' || return 1
	done
}

segments() { find "$PIN"/v*/maps -name 'keystream-*' | wc -l; }
no_segments() { [ "$(segments)" = 0 ]; }

test_memory_for_keystream_comes_with_traffic_and_goes_after_it() {
	local before
	node_down
	node_up
	equal "pieces of memory before any traffic" 0 "$(segments)"
	before=$(status .datapath.mapBytes)
	fetch_and_put lap medium
	! no_segments || fail "no memory was made"
	moved receivedAhead 0 100 || fail "not used"
	[ "$(status .datapath.mapBytes)" -ge $((before + 786432)) ] || fail "not in the figure of maps"
	wait_for 60 "memory to be given back" no_segments
	between "bytes of maps afterwards, and before" 0 65536 $(($(status .datapath.mapBytes) - before))
	fetch_and_put lap medium
	node_down
}

no_windows() { [ "$(keystream windows)" = 0 ]; }

test_without_memory_for_it_everything_goes_inline() {
	local ahead
	node_down
	node_up "KeystreamMemory = 0"
	equal "helper" off "$(keystream helper)"
	fetch_and_put lap medium
	equal "packets ahead" "0 0" "$(keystream receivedAhead) $(keystream sentAhead)"
	[ "$(keystream receivedInline)" -gt 1000 ] || fail "only $(keystream receivedInline) inline"
	node_down
}

test_a_little_memory_is_shared() {
	node_down
	settled "KeystreamMemory = 1"
	fetch_and_put lap medium
	wait_for 2 "windows" not no_windows
	between "slots in windows" 16 "$(keystream room)" "$(keystream slots)"
	[ "$(keystream receivedAhead)" -gt 1000 ] || fail "only $(keystream receivedAhead) ahead"
	node_down
}
