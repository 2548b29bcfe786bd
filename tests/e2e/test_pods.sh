# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Controllers in containers: each the first process of a pid namespace of its own, with a /run of its own; the network and the bpffs are the node's.

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
