# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Controllers in containers: each the first process of a pid namespace of its own, with a /run of its own; the network and the bpffs are the node's.
# background

setup() {
	topology lap node gw
	servers_up gw
	client_up lap
}

# A pod whose container is `talon up`, until it is ready.
pod_up() { # NAME [ARGUMENT...]
	pod_start "$@"
	wait_for 10 "$1 to be ready" pod_ready_or_dead "$1"
	alive "$1" || { tail -5 "$RUN/log/$1"; fail "talon up in $1 ended"; }
	node_ids >>"$RUN/bpf-ids"
}

pod_start() { # NAME [ARGUMENT...]
	local name=$1
	shift
	spawn "$name" node unshare --pid --mount --fork --kill-child --mount-proc --propagation private sh -c \
		'mount -t tmpfs none /run && exec "$@"' sh "$TALON" up --static "$RUN/node.conf" --pin-dir "$PIN" "$@"
}

pod_ready_or_dead() { ! alive "$1" || in_pod "$1" status --check ready --pin-dir "$PIN"; }

first_process() { cat "/proc/$(pid_of "$1")/task/$(pid_of "$1")/children" | tr -d ' '; }	# POD: as the host sees it

# As kubectl exec: in the namespaces of the pod's first process.
in_pod() { # NAME TALON-ARGUMENT...
	local pid
	pid=$(first_process "$1")
	[ -n "$pid" ] || return 1
	shift
	nsenter -t "$pid" --pid --mount --net "$TALON" "$@"
}

# As in another pod: a pid namespace in which no controller is.
elsewhere() { in_ns node unshare --pid --mount --fork --mount-proc --propagation private sh -c 'mount -t tmpfs none /run && exec "$@"' sh "$TALON" "$@"; }

config() { key node >/dev/null; write_config node "$RUN/node.conf"; }

node_ids() {
	local f
	for f in "$PIN"/v*/links/*; do bpftool -j link show pinned "$f" | jq -r '"link \(.id)", "prog \(.prog_id)"'; done | sort -u
}

begin() {
	needs_talon
	needs unshare
	for p in one two; do stop $p KILL; done
	talon down --pin-dir "$PIN"
	rm -f "$RUN"/log/{one,two}
	config
	snapshot node "$RUN/before"
	finally "stop one KILL; stop two KILL; talon down --pin-dir $PIN; rm -f $RUN/node.conf"
}

all_is_gone() {
	snapshot node "$RUN/after"
	same_snapshot "$RUN/before" "$RUN/after"
}

test_down_by_exec_in_the_pod_removes_all_and_the_container_ends_in_order() {
	begin
	pod_up one
	client_peer lap
	fetch_page lap
	in_pod one down --pin-dir "$PIN"
	finished one 5
	all_is_gone
	grep "down removes the datapath" "$RUN/log/one"
}

test_down_from_another_pid_namespace_ends_the_controller_first() {
	begin
	pod_up one
	elsewhere down --pin-dir "$PIN"
	finished one 5
	all_is_gone
}

test_down_from_the_node_ends_a_controller_in_a_pod() {
	begin
	pod_up one
	talon down --pin-dir "$PIN"
	finished one 5
	all_is_gone
}

test_down_without_a_controller_but_with_one_standing_by_ends_that_too() {
	begin
	pod_up one
	pod_up two --take-over on
	wait_for 5 "the first to stand by" grep -q "stands by" "$RUN/log/one"
	elsewhere down --pin-dir "$PIN"
	finished one 5
	finished two 5
	all_is_gone
}

test_hung_controller_of_another_pid_namespace_is_named_and_left() {
	local rc=0
	begin
	pod_up one
	client_peer lap
	fetch_page lap
	finally "kill -CONT $(first_process one)"
	kill -STOP "$(first_process one)"
	elsewhere down --pin-dir "$PIN" >"$RUN/log/said" 2>&1 || rc=$?
	equal "exit status" 1 $rc
	equal "lines" 1 "$(grep -c . "$RUN/log/said")"
	grep "does not answer, and runs in another pid namespace: delete its pod or end its process first" "$RUN/log/said"
	in_ns lap ping -q -c 1 -W 2 "$GW"
	# what was asked for still holds when it wakes up
	kill -CONT "$(first_process one)"
	finished one 15
	talon down --pin-dir "$PIN"
	all_is_gone
}

test_hung_controller_that_can_be_seen_is_killed() {
	begin
	pod_up one
	kill -STOP "$(first_process one)"
	talon down --pin-dir "$PIN" 2>"$RUN/log/said"
	grep "did not answer, and was killed" "$RUN/log/said"
	finished one 5
	all_is_gone
}

test_process_of_the_pid_that_the_maps_name_is_left_alone() {
	local bystander
	begin
	pod_up one
	kill -KILL "$(first_process one)"
	finished one 5
	# process 1 of a pod where Talon is not: as the map says, and under Talon's name
	cp "$(command -v sleep)" "$RUN/talon"
	spawn bystander node unshare --pid --fork --kill-child --mount-proc --propagation private "$RUN/talon" 60
	finally "stop bystander KILL"
	wait_for 5 "the bystander" first_process bystander
	bystander=$(first_process bystander)
	nsenter -t "$bystander" --pid --mount "$TALON" status --pin-dir "$PIN" | found "Controller: Not running"
	nsenter -t "$bystander" --pid --mount --net "$TALON" down --pin-dir "$PIN"
	alive bystander
	kill -0 "$bystander"
	all_is_gone
}

test_checks_say_no_without_a_controller_from_every_pid_namespace() {
	local check where
	begin
	pod_up one
	for check in live ready startup datapath; do
		in_pod one status --check $check --pin-dir "$PIN"
		elsewhere status --check $check --pin-dir "$PIN"
		talon status --check $check --pin-dir "$PIN"
	done
	elsewhere status --pin-dir "$PIN" | found "Controller: Running (in another pid namespace, for"
	talon status --pin-dir "$PIN" | found "Controller: Running (pid $(first_process one), for"
	in_pod one status --pin-dir "$PIN" | found "Controller: Running (pid 1, for"
	kill -KILL "$(first_process one)"
	finished one 5
	for where in talon elsewhere; do
		for check in live ready startup; do not $where status --check $check --pin-dir "$PIN"; done
		$where status --check datapath --pin-dir "$PIN"
		$where status --pin-dir "$PIN" | found "Controller: Not running"
	done
}

test_checks_answer_within_a_tenth_of_a_second_also_while_the_controller_hangs() {
	local check start took=0 most=0
	begin
	pod_up one
	finally "kill -CONT $(first_process one)"
	kill -STOP "$(first_process one)"
	for check in live ready startup live ready startup; do
		start=${EPOCHREALTIME/./}
		elsewhere status --check $check --pin-dir "$PIN" || true
		took=$((${EPOCHREALTIME/./} - start))
		[ $took -le $most ] || most=$took
	done
	note "the slowest answer: $((most / 1000)) ms, of which making the pod is a part"
	between "microseconds that a check took" 0 $((100000 * ${PATIENCE:-3})) $most
	wait_for 15 "the check to notice" not elsewhere status --check live --pin-dir "$PIN"
	not elsewhere status --check ready --pin-dir "$PIN"
	elsewhere status --pin-dir "$PIN" | found "Controller: Hung (in another pid namespace, last heartbeat"
}

test_second_controller_without_take_over_is_refused_and_harms_nothing() {
	begin
	pod_up one
	EXIT=2 refused_by "unshare --pid --fork --mount-proc --propagation private" "$RUN/node.conf" \
		"Talon already runs on .* \(in another pid namespace\); stop it first, have this one take over" || true
	EXIT=2 refused "$RUN/node.conf" "Talon already runs on .* \(pid $(first_process one)\); stop it first, have this one take over"
	in_pod one status --check ready --pin-dir "$PIN"
}

test_second_controller_takes_over_without_a_lost_packet_and_the_first_stands_by() {
	local adoptions
	begin
	pod_up one
	client_peer lap
	fetch_page lap
	adoptions=$(datapath adoptions)
	flow_start lap "$GW"
	pod_up two --take-over on
	wait_for 5 "the first to stand by" grep -q "stands by" "$RUN/log/one"
	flow_end "taken over"
	equal "adoptions" $((adoptions + 1)) "$(datapath adoptions)"
	equal "the controller" "$(first_process two)" "$(status .controller.pid)"
	# neither probe fails in the pod that is to go
	in_pod one status --check live --pin-dir "$PIN"
	in_pod one status --check ready --pin-dir "$PIN"
	kill -TERM "$(first_process one)"
	finished one 5
	alive two
	fetch_page lap
}

test_first_controller_takes_over_again_when_the_second_is_killed() {
	begin
	pod_up one
	client_peer lap
	fetch_page lap
	flow_start lap "$GW"
	pod_up two --take-over on
	wait_for 5 "the first to stand by" grep -q "stands by" "$RUN/log/one"
	kill -KILL "$(first_process two)"
	finished two 5
	wait_for 10 "the first to rule again" controller_is one
	pod_up two --take-over on
	wait_for 10 "the second one to rule" controller_is two
	flow_end "there, back and there"
	client_peer lap
	fetch_page lap
}

controller_is() { [ "$(status .controller.pid)" = "$(first_process "$1")" ] && in_pod "$1" status --check ready --pin-dir "$PIN"; }

test_second_controller_waits_for_one_that_hangs_and_its_probes_say_so() {
	begin
	pod_up one
	kill -STOP "$(first_process one)"
	pod_start two --take-over on
	wait_for 10 "the second to wait" grep -q "waits for the controller that runs on .* (in another pid namespace) to hand over" "$RUN/log/two"
	wait_for 5 "its control socket" in_pod two status --check live --pin-dir "$PIN"
	for check in ready startup; do
		not in_pod two status --check $check --pin-dir "$PIN" >"$RUN/log/said"
		grep "$check: no: it waits for the controller" "$RUN/log/said"
	done
	# as kubelet does when the liveness probe of the first fails
	kill -KILL "$(first_process one)"
	finished one 5
	wait_for 10 "the second to rule" controller_is two
}

test_second_controller_that_could_not_start_leaves_the_first_at_work() {
	local rc=0
	begin
	pod_up one
	sed 's/^\[Interface\]/&\nUplink = none0/' "$RUN/node.conf" >"$RUN/other.conf"
	elsewhere up --static "$RUN/other.conf" --pin-dir "$PIN" --take-over on >"$RUN/log/said" 2>&1 || rc=$?
	cat "$RUN/log/said"
	equal "exit status" 2 $rc
	grep "Interface.Uplink: none0: there is no such device" "$RUN/log/said"
	not grep -q "hands over" "$RUN/log/one"
	equal "the controller" "$(first_process one)" "$(status .controller.pid)"
	in_pod one status --check ready --pin-dir "$PIN"
}

test_second_controller_that_waits_ends_on_a_signal() {
	begin
	pod_up one
	finally "kill -CONT $(first_process one)"
	kill -STOP "$(first_process one)"
	pod_start two --take-over on
	wait_for 10 "the second to wait" grep -q "waits for the controller" "$RUN/log/two"
	kill -TERM "$(first_process two)"
	finished two 5
	equal "pins" 1 "$(ls -d "$PIN"/v* | wc -l)"
}

# Another pod's pins, elsewhere on the bpffs, may have had this path there, and its devices this alias.
test_down_by_another_path_to_the_same_pins_leaves_no_device() {
	local dev
	begin
	finally "in_ns node ip link del wt9"
	in_ns node ip link add wt9 type veth peer name wt9p
	for dev in wt9 wt9p; do in_ns node ip link set "$dev" alias "$PIN"; done
	pod_up one
	kill -KILL "$(first_process one)"
	finished one 5
	mkdir "$RUN/other"
	finally "umount $RUN/other; rmdir $RUN/other"
	mount --bind "$RUN/bpf" "$RUN/other"
	talon down --pin-dir "$RUN/other/talon"
	umount "$RUN/other"
	in_ns node ip link show wt9 >/dev/null
	in_ns node ip link del wt9
	all_is_gone
}

# Drops capabilities; root keeps what file permissions give.
without() { in_ns node capsh --drop="$1" -- -c 'exec "$@"' sh "$TALON" "${@:2}"; }

test_down_without_the_capabilities_changes_nothing() {
	local cap rc
	begin
	needs capsh
	pod_up one
	snapshot node "$RUN/running"
	for cap in cap_net_admin cap_bpf,cap_sys_admin; do
		rc=0
		without $cap down --pin-dir "$PIN" >"$RUN/log/said" 2>&1 || rc=$?
		equal "exit status" 1 $rc
		equal "lines" 1 "$(grep -c . "$RUN/log/said")"
		grep -i "down: missing capability: ${cap%,*} (" "$RUN/log/said"
	done
	snapshot node "$RUN/after"
	same_snapshot "$RUN/running" "$RUN/after"
	in_pod one status --check ready --pin-dir "$PIN"
}

test_down_with_a_read_only_bpffs_changes_nothing() {
	local rc=0
	begin
	pod_up one
	kill -KILL "$(first_process one)"
	finished one 5
	in_ns node unshare --mount --propagation private sh -c 'mount -o remount,bind,ro "$1" && exec "$2" down --pin-dir "$1/talon"' sh \
		"$RUN/bpf" "$TALON" >"$RUN/log/said" 2>&1 || rc=$?
	equal "exit status" 1 $rc
	grep "cannot be written: Read-only file system; mount the bpf file system writable" "$RUN/log/said"
	talon status --check datapath --pin-dir "$PIN"
}

test_start_without_a_writable_run_says_what_to_mount() {
	begin
	spawn one node unshare --pid --mount --fork --kill-child --mount-proc --propagation private sh -c \
		'mount -t tmpfs -o ro none /run && exec "$@"' sh "$TALON" up --static "$RUN/node.conf" --pin-dir "$PIN"
	wait_for 10 "one to be ready" pod_ready_or_dead one
	wait_for 5 "the line" grep -q "mount a writable directory on /run" "$RUN/log/one"
}
