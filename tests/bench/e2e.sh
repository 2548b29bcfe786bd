#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# End-to-end rates and the controller's footprint, compared with wireguard-go and nftables masquerade in the same run.
#
#   e2e.sh [--json FILE] [--rounds N] [--seconds N] [--reference-only] [--threaded]
#
# Two nodes stand side by side on the same wires, one with Talon, one with the reference; the laptop runs one client and is pointed at one
# node after the other, round by round, so that other load on the machine affects both. Frames have wire size (tests/e2e/lib.sh).
set -eEuo pipefail
E2E_HARNESS=$(dirname "$(readlink -f "$0")")/../e2e
. "$E2E_HARNESS/lib.sh"
. "$(dirname "$(readlink -f "$0")")/reference.sh"
trap 'echo "e2e.sh: line $LINENO: $BASH_COMMAND" >&2' ERR

JSON= ROUNDS=9 SECONDS_EACH=2 THREADED= ENGINES="talon reference"
while [ $# -gt 0 ]; do
	case $1 in
	--json) JSON=$2; shift 2 ;;
	--rounds) ROUNDS=$2; shift 2 ;;
	--seconds) SECONDS_EACH=$2; shift 2 ;;
	--reference-only) ENGINES=reference; shift ;;
	--threaded) THREADED=1; shift ;;
	*) sed -n '4,5p' "$0"; exit 2 ;;
	esac
done
export WG_LOG_LEVEL=error

# Two peers at the laptop; the one that holds the allowed IPs gets the traffic.
point_at() { # talon|reference
	local d node=$NODE key_of=node
	d=$(dev lap)
	[ "$1" = talon ] || node=$NODE2 key_of=node2
	wg set "$d" peer "$(key $key_of pub)" endpoint "$node:$PORT" allowed-ips 192.168.1.0/24
	wait_for 5 "the tunnel through $1" in_ns lap ping -q -c 1 -W 1 $GW
}

# One number of one run. A lost control message makes iperf3 fail: it is run again.
iperf() { # JQ-PATH ARGUMENT...
	local path=$1 out try
	shift
	for try in 1 2 3; do
		out=$(in_ns lap timeout $((SECONDS_EACH + 20)) iperf3 -c $GW -t "$SECONDS_EACH" -J "$@" || true)
		jq -e "$path" <<<"$out" && return 0
		echo "iperf3, try $try: $(jq -r '.error // "no answer"' <<<"$out")" >&2
		wait_for 10 "an idle iperf3 server" in_ns lap iperf3 -c $GW -n 1 -J
	done
	return 1
}

tcp() { # [-R]: Gbit/s
	iperf .end.sum_received.bits_per_second -O 1 "$@" | jq '. / 1e9'
}

udp_loss() { # percent lost of 1200-byte datagrams offered at 400 Mbit/s
	iperf .end.sum.lost_percent -u -b 400M -l 1200
}

# Without this, a veth receives on the sender's time: the nodes' kernel work is the laptop's then, which on machines of their own it is not.
receive_in_threads() {
	local h
	for h in node node2; do
		ip netns exec "$P-$h" sh -c 'echo 1 >/sys/class/net/eth0/threaded'
	done
}

measure_rates() {
	local round engine
	for ((round = 0; round < ROUNDS; round++)); do
		for engine in $ENGINES; do
			point_at "$engine"
			tcp >>"$RUN/$engine.e2e.tcp.up"
			tcp -R >>"$RUN/$engine.e2e.tcp.down"
			udp_loss >>"$RUN/$engine.e2e.udp1200.loss"
		done
	done
}

# --- What the controller holds and uses ---

status_mib() { awk -v f="$2:" '$1 == f { printf "%.2f\n", $2 / 1024 }' "/proc/$1/status"; }

# Nanoseconds of CPU time of every thread, from schedstat: finer than the 10 ms ticks of stat.
cpu_ns() { cat "/proc/$1"/task/*/schedstat | awk '{ n += $1 } END { print n }'; }

maps_bytes() {
	bpf_ids | awk '$1 == "map" { print $2 }' | while read -r id; do bpftool -j map show id "$id"; done | jq -s 'map(.bytes_memlock) | add'
}

thousand_peers() {
	local i
	for ((i = 0; i < 1000; i++)); do
		printf '\n[Peer]\nPublicKey = %s\nAllowedIPs = 100.65.%d.%d/32\n' "$(head -c 32 /dev/urandom | base64)" $((i / 250)) $((i % 250 + 1))
	done
}

memory() { # NAME
	local pid
	pid=$(pid_of node)
	status_mib "$pid" VmRSS >"$RUN/talon.controller.rss.$1"
	status_mib "$pid" RssAnon >"$RUN/talon.controller.rss.$1.anon"
	for pid in $(pgrep -P "$pid"); do status_mib "$pid" VmRSS; done >"$RUN/talon.helper.rss.$1"
}

idle_cpu() { # percent of one core over 20 s: of the controller, and of the helper that makes keystream
	local pid helper from=${EPOCHREALTIME/./} before before_helper=0
	pid=$(pid_of node)
	helper=$(pgrep -P "$pid" || true)
	before=$(cpu_ns "$pid")
	[ -z "$helper" ] || before_helper=$(cpu_ns "$helper")
	sleep 20
	percent $(($(cpu_ns "$pid") - before)) $((${EPOCHREALTIME/./} - from)) >"$RUN/talon.controller.cpu.idle"
	[ -z "$helper" ] ||
		percent $(($(cpu_ns "$helper") - before_helper)) $((${EPOCHREALTIME/./} - from)) >"$RUN/talon.helper.cpu.idle"
}

percent() { awk -v ns="$1" -v us="$2" 'BEGIN { printf "%.3f\n", ns / us / 10 }'; }

measure_controller() {
	write_config node "$RUN/node.conf"
	talon_up node "$RUN/node.conf"
	idle_cpu
	memory idle
	maps_bytes >"$RUN/talon.maps.bytes"
	talon_down node
	thousand_peers >>"$RUN/node.conf"
	talon_up node "$RUN/node.conf"
	wait_for 10 "a settled controller" settled "$(pid_of node)"
	memory peers1000
	talon_down node
	rm -f "$RUN/node.conf"
}

settled() { # PID: less than 1 % of a core over half a second
	local before
	before=$(cpu_ns "$1")
	sleep 0.5
	[ $(($(cpu_ns "$1") - before)) -lt 5000000 ]
}

# --- The table and the JSON ---

row() { # NAME UNIT
	local value=null reference=null
	[ -s "$RUN/talon.$1" ] && value=$(median <"$RUN/talon.$1")
	[ -s "$RUN/reference.$1" ] && reference=$(median <"$RUN/reference.$1")
	[ "$value$reference" != nullnull ] || return 0
	jq -nc --arg name "$1" --arg unit "$2" --arg text "$REFERENCE" --argjson v "$value" --argjson r "$reference" '{name: $name, value: $v, unit: $unit,
		reference: (if $r == null then null else $text end), reference_value: $r,
		ratio: (if $v == null or $r == null or $r == 0 then null else ($v / $r * 1000 | round / 1000) end)}'
}

report() {
	{
		row e2e.tcp.up Gbit/s
		row e2e.tcp.down Gbit/s
		row e2e.udp1200.loss %
		row controller.rss.idle MiB
		row controller.rss.idle.anon MiB
		row controller.rss.peers1000 MiB
		row controller.rss.peers1000.anon MiB
		row controller.cpu.idle %
		row helper.rss.idle MiB
		row helper.cpu.idle %
		row maps.bytes bytes
	} >"$RUN/rows"
	print_rows "$RUN/rows"
	echo "reference: $REFERENCE; the laptop runs the same wireguard-go in both"
	[ -z "$JSON" ] || jq -s . "$RUN/rows" >"$JSON"
}

main() {
	[ "$ENGINES" = reference ] || [ -x "$TALON" ] || { echo "no $TALON: build it first" >&2; exit 2; }
	choose_reference
	run_begin "b$$"
	trap 'run_end' EXIT
	trap 'exit 1' INT TERM
	topology lap node node2 gw
	[ -z "$THREADED" ] || receive_in_threads
	spawn iperf3 gw iperf3 -s
	wait_for 5 "the iperf3 server" listening gw ":5201" t
	if [[ $ENGINES == talon* ]]; then
		measure_controller
		write_config node "$RUN/node.conf"
		talon_up node "$RUN/node.conf"
	fi
	write_config node2 "$RUN/node2.conf"
	reference_up node2 "$RUN/node2.conf"
	client_up lap
	measure_rates
	stop node2
	report
}

main; exit	# on one line: an edit of this file during a run is not read
