#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Capacity and latency of routing peers that forward on one core, each a black box behind a wire of its own (docs/performance.md).
#
#   load.sh [--json FILE] [--rounds N] [--ms N] [--peers "NAME..."] [--shield] [--check]
#
# Peers: bounce (no peer: what generator, wire and sink can do), plain (kernel forwarding and masquerade, no tunnel), wg (wireguard-go and
# masquerade), talon, inline (Talon without keystream ahead), shared (Talon, its keystream helper on the packet core). Every cell is
# measured round by round, the peers one after another, so that whatever else the machine does hits all. --check: a few thousand packets
# each way, every byte checked, nothing timed. A wrong byte in any sample ends the bench. --shield: on a machine that others use, too,
# everything of this run weighs as much as the scheduler allows; among each other all weigh the same as without.
set -eEuo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/../../e2e/lib.sh"
. "$here/../reference.sh"
. "$here/peers.sh"
trap 'echo "load.sh: line $LINENO: $BASH_COMMAND" >&2' ERR

ARGUMENTS=("$@")
JSON= ROUNDS=5 MS=1000 PEERS_WANTED="bounce plain wg talon inline shared" CHECK= SHIELD=
while [ $# -gt 0 ]; do
	case $1 in
	--json) JSON=$2; shift 2 ;;
	--rounds) ROUNDS=$2; shift 2 ;;
	--ms) MS=$2; shift 2 ;;
	--peers) PEERS_WANTED=$2; shift 2 ;;
	--shield) SHIELD=1; shift ;;
	--check) CHECK=1; shift ;;
	*) sed -n '5p' "$0"; exit 2 ;;
	esac
done
export WG_LOG_LEVEL=error

WINDOWS="192 1024 0"		# packets on their way; a veth's ring has room for 256. 0: as fast as they can be sent
COUNT_FIRST=150000 COUNT_MAX=700000
declare -A WINDOW COUNT

# What is loaded: direction and length of packets inside the tunnel, how many flows take turns, packet by packet. bursts: few flows, 32
# packets of one in a row, for engines that join packets of a flow.
declare -A TRAFFIC=(
	[in.1280]="--dir in --length 1280 --flows 64"
	[in.1280.bursts]="--dir in --length 1280 --flows 8 --burst 32"
	[out.1280]="--dir out --length 1280 --flows 64"
	[in.64]="--dir in --length 64 --flows 64"
	[out.64]="--dir out --length 64 --flows 64"
)
LOADS="in.1280 in.1280.bursts out.1280 in.64 out.64"

wanted() { [[ " $PEERS_WANTED " == *" $1 "* ]]; }

kind() { case $1 in bounce | plain) echo "$1" ;; *) echo wireguard ;; esac; }

namespace() { case $1 in shared) echo talon ;; *) echo "$1" ;; esac; }	# two names for one process

has_ahead() { "$TALON" up --static "$RUN/talon.conf" --keystream-memory 0 --dry-run >/dev/null 2>&1; }

peers_up() {
	local peer
	key lap >/dev/null
	for peer in $PEERS_WANTED; do [ "$peer" = shared ] || wire_up "$peer"; done
	! wanted bounce || bounce_up bounce
	! wanted plain || masquerade_up plain
	if wanted wg; then
		peer_config wg
		on_core "$PACKET_CORE" reference_up wg "$RUN/wg.conf"
	fi
	for peer in talon inline; do
		wanted $peer || continue
		peer_config $peer
		[ $peer = talon ] || export TALON_KEYSTREAM_MEMORY=0
		on_core "$PACKET_CORE" talon_peer_up $peer
		unset TALON_KEYSTREAM_MEMORY
	done
	! wanted talon || helper_core talon "$GENERATOR_CORE"
}

peers_down() {
	local peer
	for peer in talon inline; do ! wanted $peer || talon_peer_down $peer; done
	! wanted wg || reference_down wg
}

# --- Cells: a peer under a load ---

run_once() { # PEER LOAD ARGUMENT...
	local peer=$1 traffic=${TRAFFIC[$2]}
	shift 2
	[[ $peer != wg && $peer != plain ]] || traffic+=" --unfinished-sum"	# the kernel leaves them to a NIC
	load_run "$(namespace "$peer")" "$(kind "$peer")" $traffic --batch 64 --core "$GENERATOR_CORE" --nice 10 "$@"
}

run_cell() { # PEER LOAD ARGUMENT...: as run_once, the helper where the peer's name says
	local rc=0
	[ "$1" != shared ] || helper_core talon "$PACKET_CORE"
	run_once "$@" || rc=$?
	[ "$1" != shared ] || helper_core talon "$GENERATOR_CORE"
	return $rc
}

cells() { # "PEER LOAD" a line, the peers alternating
	local load peer
	for load in $LOADS; do
		for peer in $PEERS_WANTED; do
			case $peer.$load in
			wg.*.bursts | talon.*.bursts) echo "$peer $load" ;;
			*.bursts | shared.*.64) ;;
			*) echo "$peer $load" ;;
			esac
		done
	done
}

# How many packets may be under way for the peer to deliver most: tried once for each cell, short.
calibrate() {
	local peer load window best result
	while read -r peer load; do
		best=-1
		for window in $WINDOWS; do
			result=$(run_cell "$peer" "$load" --count $COUNT_FIRST --ms 300 --window "$window" </dev/null)
			if jq -e ".mpps > $best" <<<"$result" >/dev/null; then
				best=$(jq .mpps <<<"$result")
				WINDOW[$peer.$load]=$window
				COUNT[$peer.$load]=$(jq ".offered_mpps * 1100 * $MS | ceil | [., $COUNT_MAX] | min" <<<"$result")
			fi
		done
	done < <(cells)
}

measure() {
	local round peer load cell
	for ((round = 0; round < ROUNDS; round++)); do
		while read -r peer load; do
			cell=$peer.$load
			run_cell "$peer" "$load" --count "${COUNT[$cell]}" --ms "$MS" --window "${WINDOW[$cell]}" \
				</dev/null >>"$RUN/cell.$cell"
		done < <(cells)
	done
}

of_cell() { jq ".$2" "$RUN/cell.$1" | median; }		# CELL FIELD

# What a peer adds at half its own capacity: minus the wire's own at the same rate, run for run.
measure_latency() {
	local round peer rate args
	for ((round = 0; round < ROUNDS; round++)); do
		for peer in plain wg talon; do
			wanted $peer || continue
			rate=$(of_cell $peer.in.1280 mpps | awk '{ printf "%d", $1 * 5e5 }')
			args="--rate $rate --count $((rate * MS / 1000)) --ms $((MS * 2)) --batch 1 --samples 8000"
			{
				run_once bounce in.1280 $args
				run_once $peer in.1280 $args
			} | jq -s '{p50: (.[1].p50 - .[0].p50), p99: (.[1].p99 - .[0].p99), bare50: .[0].p50, bare99: .[0].p99,
				loss: .[1].loss}' >>"$RUN/latency.$peer"
		done
	done
}

# --- The table and the JSON ---

value_of() { # FILE FIELD: the median, or null
	[ -s "$RUN/$1" ] && jq ".$2" "$RUN/$1" | median || echo null
}

row() { # NAME UNIT FILE FIELD [REFERENCE-FILE]
	local value reference=null
	value=$(value_of "$3" "$4")
	[ "$value" != null ] || return 0
	[ -z "${5:-}" ] || reference=$(value_of "$5" "$4")
	jq -nc --arg name "$1" --arg unit "$2" --arg text "${REFERENCE:-}" --argjson v "$value" --argjson r "$reference" '{name: $name,
		value: $v, unit: $unit, reference: (if $r == null then null else $text end), reference_value: $r,
		ratio: (if $r == null or $r == 0 then null else ($v / $r * 1000 | round / 1000) end)}'
}

report() {
	local dir peer
	{
		for dir in in out; do
			row capacity.$dir.1280 Gbit/s cell.talon.$dir.1280 gbit cell.wg.$dir.1280
			row capacity.$dir.1280.bursts Gbit/s cell.talon.$dir.1280.bursts gbit cell.wg.$dir.1280.bursts
			row capacity.$dir.1280.shared Gbit/s cell.shared.$dir.1280 gbit cell.wg.$dir.1280
			row capacity.$dir.1280.inline Gbit/s cell.inline.$dir.1280 gbit cell.wg.$dir.1280
			row capacity.$dir.64 Mpps cell.talon.$dir.64 mpps cell.wg.$dir.64
			row capacity.$dir.64.inline Mpps cell.inline.$dir.64 mpps cell.wg.$dir.64
			for peer in plain bounce; do
				row capacity.$dir.1280.$peer Gbit/s cell.$peer.$dir.1280 gbit
				row capacity.$dir.64.$peer Mpps cell.$peer.$dir.64 mpps
			done
		done
		row latency.half.p50 us latency.talon p50 latency.wg
		row latency.half.p99 us latency.talon p99 latency.wg
		row latency.half.loss % latency.talon loss latency.wg
		row latency.half.p50.plain us latency.plain p50
		row latency.half.p99.plain us latency.plain p99
	} >"$RUN/rows"
	print_rows "$RUN/rows"
	[ -z "${REFERENCE:-}" ] || echo "reference: $REFERENCE, on the packet core alone"
	echo "bounce: nothing at the wire's other end but an XDP program that sends back; plain: no tunnel"
	details
	[ -z "$JSON" ] || jq -s . "$RUN/rows" >"$JSON"
}

# How each figure came about: windows (0: flood), spread, loss, how many packets were checked byte by byte.
details() {
	local f
	for f in "$RUN"/cell.*; do
		jq -rs --arg cell "${f##*/cell.}" '"\($cell): window \(.[0].window), Mpps \(map(.mpps) | min)-\(map(.mpps) | max), loss \(map(.loss)
			| max) %, \(map(.samples) | add) samples checked"' "$f"
	done
}

check() {
	local peer load
	while read -r peer load; do
		echo "$peer $load: $(run_once "$peer" "$load" --window 64 --check </dev/null)"
	done < <(cells)
}

[ -z "$SHIELD" ] || shield
[ -x "$LOAD" ] || { echo "no $LOAD: build it first" >&2; exit 2; }
run_begin "l$$"
trap 'set +eE; peers_down; run_end' EXIT
trap 'exit 1' INT TERM
! wanted wg || choose_reference
peer_config talon
if ! has_ahead; then
	note "this Talon has no keystream ahead: neither inline nor shared is another thing"
	PEERS_WANTED=$(tr ' ' '\n' <<<"$PEERS_WANTED" | grep -vx -e inline -e shared | xargs)
fi
peers_up
if [ -n "$CHECK" ]; then
	check
	exit 0
fi
calibrate
measure
! wanted bounce || measure_latency
report
