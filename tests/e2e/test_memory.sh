# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# In a control group with a memory limit: a start that does not fit says so before it makes anything, one that fits takes what it said.

setup() {
	needs_talon
	topology node gw
}

# A group below this process's own, of whichever version has the memory controller; each case has its own.
grouped() { group_made || skip "no memory controller of control groups that can be used here"; }

group_made() {
	local own
	GROUP=
	if own=$(awk -F: '$2 ~ /(^|,)memory(,|$)/ { print $3 }' /proc/self/cgroup) && [ -n "$own" ] && [ -d "/sys/fs/cgroup/memory$own" ]; then
		GROUP=/sys/fs/cgroup/memory$own/$P LIMIT=memory.limit_in_bytes USED=memory.usage_in_bytes PEAK=memory.max_usage_in_bytes
	elif grep -qw memory /sys/fs/cgroup/cgroup.subtree_control 2>/dev/null; then
		GROUP=/sys/fs/cgroup/$P LIMIT=memory.max USED=memory.current PEAK=memory.peak
	fi
	[ -n "$GROUP" ] && mkdir "$GROUP" 2>/dev/null || return 1
	finally "group_gone"
	[ -w "$GROUP/$LIMIT" ]
}

group_gone() {
	local pid
	while read -r pid; do kill -9 "$pid" || true; done <"$GROUP/cgroup.procs"
	wait_for 10 "the group to be empty" nobody_in_group
	rmdir "$GROUP"
}

nobody_in_group() { [ -z "$(cat "$GROUP/cgroup.procs")" ]; }

MIB=1048576

# in_group COMMAND...: in the node's network namespace but the host's mounts, where control groups are seen.
in_group() {
	bash -c 'echo $$ >"$1/cgroup.procs" && echo $$ >"$2" && exec nsenter --net=/run/netns/"$3" "${@:4}"' in_group "$GROUP" "$RUN/grouped" "$P-node" "$@"
}

limit_is() { echo "$(($1 * MIB))" >"$GROUP/$LIMIT"; }

needed() { sed -n 's/.* take \([0-9]*\) MiB, the start \([0-9]*\) MiB beside.*/\1 \2/p' <<<"$1"; }

test_a_start_that_does_not_fit_is_refused_in_one_line() {
	grouped
	local line
	write_config node "$RUN/node.conf" "MaxPeers = 2048"
	snapshot node "$RUN/before"
	limit_is 32
	if in_group "$TALON" up --static "$RUN/node.conf" --pin-dir "$PIN" >"$RUN/out" 2>&1; then fail "it started"; fi
	cat "$RUN/out"
	equal "lines" 1 "$(wc -l <"$RUN/out")"
	line=$(cat "$RUN/out")
	grep -qE "maps take [0-9]+ MiB and the start [0-9]+ MiB beside them, but the limit .*$LIMIT is 32 MiB, [0-9]+ MiB of it in use; set a memory limit of [0-9]+Mi or more, or smaller sizes: --max-flows" <<<"$line"
	not exists "$PIN"
	snapshot node "$RUN/after"
	same_snapshot "$RUN/before" "$RUN/after"
	in_group "$TALON" preflight --static "$RUN/node.conf" --pin-dir "$PIN" >"$RUN/out" || true
	grep "^problem *memory: maps take .* 32 MiB" "$RUN/out"
	# with the limit that it asks for it starts
	limit_is "$(sed 's/.*limit of \([0-9]*\)Mi.*/\1/' <<<"$line")"
	start_in_group
	stop_in_group
}

exists() { [ -e "$1" ]; }

start_in_group() { # MORE...
	in_group "$TALON" up --static "$RUN/node.conf" --pin-dir "$PIN" "$@" >"$RUN/log/grouped" 2>&1 &
	wait_for 20 "Talon to be ready" grep -q "ready:" "$RUN/log/grouped"
}

stop_in_group() {
	kill "$(cat "$RUN/grouped")"
	wait_for 10 "its processes to end" nobody_in_group
	in_ns node "$TALON" down --pin-dir "$PIN"
}

test_a_start_takes_what_it_says() {
	grouped
	local maps beside before used
	write_config node "$RUN/node.conf" "MaxPeers = 2048"
	limit_is 512
	before=$(cat "$GROUP/$USED")
	start_in_group
	read -r maps beside <<<"$(needed "$(grep " memory: " "$RUN/log/grouped")")"
	used=$(($(cat "$GROUP/$USED") - before))
	note "maps $maps MiB and $beside beside them; used $((used / MIB)) MiB, at most $(($(cat "$GROUP/$PEAK") / MIB))"
	between "bytes in use" $(((maps - 1) * MIB)) $(((maps + beside) * MIB)) "$used"
	# of the kernel's own account, which only version 1 keeps apart
	if [ -e "$GROUP/memory.kmem.usage_in_bytes" ]; then
		between "bytes of kernel memory" $(((maps - 1) * MIB)) $(((maps + 5) * MIB)) "$(cat "$GROUP/memory.kmem.usage_in_bytes")"
	fi
	between "bytes of maps by status" $(((maps - 2) * MIB)) $(((maps + 1) * MIB)) "$(talon status --json --pin-dir "$PIN" | jq .datapath.mapBytes)"
	stop_in_group
}

test_the_next_controller_needs_no_memory_for_maps_that_are_there() {
	grouped
	write_config node "$RUN/node.conf" "MaxPeers = 2048"
	limit_is 512
	start_in_group
	kill -9 "$(cat "$RUN/grouped")"
	wait_for 10 "its processes to end" nobody_in_group
	start_in_group
	grep " memory: maps of [0-9]* MiB are there already, and new ones take [01] MiB" "$RUN/log/grouped"
	stop_in_group
}

test_what_only_the_start_needed_goes_back() {
	PEERS=lap node_up
	wait_for 10 "a quarter of what was resident to go back" has_given_back
	note "resident: at most $(node_kib VmHWM) KiB, now $(node_kib VmRSS)"
}

has_given_back() { [ "$(node_kib VmRSS)" -lt $(($(node_kib VmHWM) * 3 / 4)) ]; }

node_kib() { awk -v field="$1:" '$1 == field { print $2 }' "/proc/$(pid_of node)/status"; }
