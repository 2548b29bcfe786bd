#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Capacity of one packet core for a gateway that is on the node itself, as a pod behind a veth is, through the whole of its stack
# (docs/performance.md).
#
#   local.sh [--json FILE] [--rounds N] [--ms N] [--only "NAME..."] [--shield] [--check]
#
#   laptop ===== wire ===== node ===== veth ===== gateway 10.77.0.2
#
# Names: local.in (Talon hands up by the tunnel device), local.in.pass (by XDP_PASS), local.out (the stack routes into the tunnel, Talon
# seals), each against "plain": the same packets without a tunnel and without a program, by the kernel's routes to the same veth. Round by
# round, one after the other.
set -eEuo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/../../e2e/lib.sh"
. "$here/../reference.sh"
. "$here/peers.sh"
trap 'echo "local.sh: line $LINENO: $BASH_COMMAND" >&2' ERR

ARGUMENTS=("$@")
JSON= ROUNDS=5 MS=600 NAMES="local.in local.in.pass local.out" CHECK= SHIELD=
while [ $# -gt 0 ]; do
	case $1 in
	--json) JSON=$2; shift 2 ;;
	--rounds) ROUNDS=$2; shift 2 ;;
	--ms) MS=$2; shift 2 ;;
	--only) NAMES=$2; shift 2 ;;
	--shield) SHIELD=1; shift ;;
	--check) CHECK=1; shift ;;
	*) sed -n '6p' "$0"; exit 2 ;;
	esac
done
[ -z "$SHIELD" ] || shield
[ -x "$LOAD" ] || { echo "no $LOAD: build it first" >&2; exit 2; }

POD=10.77.0.2 WINDOW=192 COUNT=400000
GW=$POD
LENGTHS="1280 64"

pod_dev() { echo "p${1:0:2}$P"; }		# PEER: the node's end
gateway_dev() { echo "g${1:0:2}$P"; }

pod_up() { # PEER
	local near far
	near=$(pod_dev "$1") far=$(gateway_dev "$1")
	ip -n "$P-$1" link add "$near" type veth peer name "$far" netns "$P-$1-far"
	in_ns "$1" ethtool -K "$near" tso off tx-udp-segmentation off gro on >/dev/null
	in_ns "$1-far" ethtool -K "$far" tx off tso off tx-udp-segmentation off gro on >/dev/null
	ip -n "$P-$1-far" link set "$far" up
	ip -n "$P-$1" -batch - <<-END
		link set $near up
		route add $POD/32 dev $near
		neigh add $POD lladdr $(mac "$1-far" "$far") dev $near nud permanent
	END
	napi_thread "$1" "$near" "$PACKET_CORE"
	napi_thread "$1-far" "$far" "$GENERATOR_CORE" "$FAR_PRIORITY"
}

talon_config() { # PEER HAND-UP
	MESH[$1]=${MESH[node]}
	PEERS=lap write_config "$1" "$RUN/$1.conf" "Local = $POD/32" "HandUp = $2"
}

peers_up() {
	local peer
	key lap >/dev/null
	for peer in kernel tunnel xdp; do
		wire_up $peer
		pod_up $peer
	done
	ip -n "$P-kernel" route add 100.64.0.0/10 via 192.168.1.1
	talon_config tunnel tunnel
	talon_config xdp pass
	for peer in tunnel xdp; do
		on_core "$PACKET_CORE" talon_peer_up $peer
		helper_core $peer "$GENERATOR_CORE"
	done
}

peers_down() {
	local peer
	for peer in tunnel xdp; do talon_peer_down $peer; done
}

run_once() { # PEER wireguard|plain in|out LENGTH ARGUMENT...
	local peer=$1 kind=$2 dir=$3 length=$4
	shift 4
	load_run "$peer" "$kind" --gateway-device "$(gateway_dev "$peer")" --gateway-node-mac "$(mac "$peer" "$(pod_dev "$peer")")" \
		--dir "$dir" --length "$length" --flows 64 --batch 64 --core "$GENERATOR_CORE" --nice 10 "$@"
}

peer_of() { case $1 in local.in.pass) echo xdp ;; *) echo tunnel ;; esac; }
dir_of() { case $1 in local.out) echo out ;; *) echo in ;; esac; }

measure() {
	local round name length args
	for ((round = 0; round < ROUNDS; round++)); do
		for name in $NAMES; do
			for length in $LENGTHS; do
				args="$(dir_of "$name") $length --count $COUNT --ms $MS --window $WINDOW"
				run_once "$(peer_of "$name")" wireguard $args </dev/null >>"$RUN/cell.$name.$length"
				run_once kernel plain $args --unfinished-sum </dev/null >>"$RUN/plain.$name.$length"
			done
		done
	done
}

report() {
	local name length value plain unit
	for name in $NAMES; do
		for length in $LENGTHS; do
			unit=gbit
			[ "$length" = 1280 ] || unit=mpps
			value=$(jq ".$unit" "$RUN/cell.$name.$length" | median)
			plain=$(jq ".$unit" "$RUN/plain.$name.$length" | median)
			jq -nc --arg name "$name.$length" --arg unit "$unit" --argjson v "$value" --argjson r "$plain" \
				'{name: $name, value: $v, unit: {gbit: "Gbit/s", mpps: "Mpps"}[$unit], reference: "the same by the kernel, no tunnel",
				reference_value: $r, ratio: ($v / $r * 1000 | round / 1000)}'
		done
	done >"$RUN/rows"
	print_rows "$RUN/rows"
	for f in "$RUN"/cell.* "$RUN"/plain.*; do
		jq -rs --arg cell "${f##*/}" '"\($cell): Mpps \(map(.mpps) | min)-\(map(.mpps) | max), loss \(map(.loss) | max) %, \(map(.samples)
			| add) samples checked"' "$f"
	done
	[ -z "$JSON" ] || jq -s . "$RUN/rows" >"$JSON"
}

check() {
	local name
	for name in $NAMES; do
		echo "$name: $(run_once "$(peer_of "$name")" wireguard "$(dir_of "$name")" 1280 --window 64 --check </dev/null)"
		echo "plain: $(run_once kernel plain "$(dir_of "$name")" 1280 --window 64 --check </dev/null)"
	done
}

run_begin "o$$"
trap 'set +eE; peers_down; run_end' EXIT
trap 'exit 1' INT TERM
peers_up
if [ -n "$CHECK" ]; then
	check
	exit 0
fi
measure
report
