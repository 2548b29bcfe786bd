#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What the routing peer's node pays for a GB that it carries in a real mesh, and what the hub's relay carries end to end; NetBird's own client
# and relay beside them, in turns.
#
#   STOCK_NETBIRD=PATH STOCK_RELAY=PATH mesh.sh [--json FILE] [--rounds N] [--seconds N] [--rows A,B] [--verbose]
#
# Rows: cpu and udp (direct), relayed and relayed-udp, relay (a stock laptop), relay-talon (Talon as the laptop). --verbose: CPU time by task.
#
#   lap, a stock client --- hub --------------- node: Talon, node2: the stock client -+- gw
#   lap3, a stock client -- NetBird's relay --- node3: Talon ------------------------+
#   lap2, lap4: the same with Talon as the laptop
#
# A node is a namespace. Its CPU time is that of all its processes' threads and of the threads that its devices' NAPI runs in: every veth here,
# the router's ports too, receives in a thread of its own instead of in the sender's softirq, so the wires' work is not the node's. Left out:
# timers of the kernel that fire while nobody runs (TCP's retransmissions, mostly), and the work of the idle loop.
set -eEuo pipefail
E2E_HARNESS=$(dirname "$(readlink -f "$0")")/../e2e
. "$E2E_HARNESS/lib.sh"
. "$E2E_HARNESS/mesh/mesh.sh"
. "$E2E_HARNESS/mesh/hub.sh"
. "$(dirname "$(readlink -f "$0")")/reference.sh"
trap 'echo "mesh.sh: line $LINENO: $BASH_COMMAND" >&2' ERR

JSON= ROUNDS=5 SECONDS_EACH=3 ROWS=cpu,udp,relayed,relayed-udp,relay,relay-talon VERBOSE=
RATE=${RATE:-250M}			# of what is compared by CPU time: the same for all, and less than each carries
RELAYED_RATE=${RELAYED_RATE:-30M}
while [ $# -gt 0 ]; do
	case $1 in
	--json) JSON=$2; shift 2 ;;
	--rounds) ROUNDS=$2; shift 2 ;;
	--seconds) SECONDS_EACH=$2; shift 2 ;;
	--rows) ROWS=$2; shift 2 ;;
	--verbose) VERBOSE=1; shift ;;
	*) sed -n '6,8p' "$0"; exit 2 ;;
	esac
done
wants() { [[ ,$ROWS, == *,$1,* ]]; }

# Two meshes on the same wires: the hub's with its own relay, and one whose peers are told of NetBird's relay by tests/e2e/mesh.
ADDRESS[relay]=10.99.0.11/24 ADDRESS6[relay]=fd10::11/64
ADDRESS[lap3]=10.99.0.4/24 ADDRESS6[lap3]=fd10::4/64
ADDRESS[lap4]=10.99.0.5/24 ADDRESS6[lap4]=fd10::5/64
ADDRESS[node3]=192.168.1.223/24 ADDRESS6[node3]=fd01::223/64
RELAY_HOST=10.99.0.11 SECRET=bench
GW2=192.168.1.230			# what node2 serves; node and node3, each in its mesh, serve $GW

# --- A stock client on a host ---

# In a mount namespace of its own: its state, its control sockets and the resolver's file stay apart from the host's and each other's.
stock_start() { # HOST [VARIABLE=VALUE...]
	local h=$1 d=$RUN/stock/$1
	shift
	mkdir -p "$d/lib"
	cp /etc/resolv.conf "$d/resolv.conf"
	spawn "$h" "$h" env "$@" unshare -m bash -c "
		mkdir -p /var/lib/netbird /var/run/wireguard /etc/netbird
		mount --bind '$d/lib' /var/lib/netbird && mount -t tmpfs none /var/run/wireguard && mount -t tmpfs none /etc/netbird &&
		mount --bind '$d/resolv.conf' /etc/resolv.conf
		exec '$STOCK_NETBIRD' --daemon-addr 'unix://$d/sock' --log-file console service run"
	wait_for 10 "the stock client on $h" test -S "$d/sock"
}

stock() { # HOST ARGUMENT...: its command line
	local h=$1
	shift
	in_ns "$h" "$STOCK_NETBIRD" --daemon-addr "unix://$RUN/stock/$h/sock" "$@"
}

stock_join() { # HOST URL
	stock "$1" up --management-url "$2" --setup-key $SETUP_KEY --hostname "$1" >"$RUN/log/up-$1" 2>&1 </dev/null
}

stock_has_way() { # HOST PEER P2P|Relayed
	[ "$(stock "$1" status --json | jq -r ".peers.details[] | select(.fqdn | startswith(\"$2.\")) | select(.status == \"Connected\") | .connectionType")" = "$3" ]
}

# --- CPU time ---

declare -A THREADS			# HOST: what its devices' NAPI runs in

napi_threads() { { grep -lsE "^napi/" /proc/[0-9]*/comm || true; } | cut -d/ -f3 | sort; }

# The kernel names such a thread after a device, which has its like in other namespaces: it is known by being new.
threaded() { # HOST DEVICE: does nothing if that has no NAPI
	local before after
	before=$(napi_threads)
	ip netns exec "$P-$1" sh -c "echo 1 >/sys/class/net/$2/threaded" 2>/dev/null || return 0
	after=$(comm -13 <(echo "$before") <(napi_threads))
	[ "$(wc -w <<<"$after")" = 1 ] || fail "$1 $2: one NAPI thread, not '$after'"
	THREADS[$1]+=" $after"
}

# Nanoseconds of every task of the host so far.
cpu_ns() { # HOST
	local pid
	{
		for pid in $(ip netns pids "$P-$1"); do cat "/proc/$pid"/task/*/schedstat 2>/dev/null || true; done
		for pid in ${THREADS[$1]:-}; do cat "/proc/$pid/schedstat"; done
	} | awk '{ n += $1 } END { printf "%.0f\n", n }'
}

# Milliseconds by task.
cpu_tasks() { # HOST
	local pid
	for pid in $(ip netns pids "$P-$1"); do
		echo "$(cat "/proc/$pid/comm")-$pid $(cat "/proc/$pid"/task/*/schedstat | awk '{ n += $1 } END { printf "%.0f", n / 1e6 }')"
	done
	for pid in ${THREADS[$1]:-}; do echo "$(cat "/proc/$pid/comm")-$pid $(awk '{ printf "%.0f", $1 / 1e6 }' "/proc/$pid/schedstat")"; done
}

# All veths of the host that have NAPI by now. Talon's own pairs, too: what ksoftirqd did for them would be lost.
threaded_all() { # HOST
	local d
	for d in $(ip -n "$P-$1" -j link show type veth | jq -r '.[].ifname'); do
		[ "$(in_thread "$1" "$d")" = 1 ] || threaded "$1" "$d"
	done
}

in_thread() { ip netns exec "$P-$1" cat "/sys/class/net/$2/threaded"; }		# HOST DEVICE

# --- One run ---

# Prints Gbit/s that arrived, and seconds of CPU that each host of OF spent on a GB of it.
iperf() { # LAPTOP GATEWAY OF ARGUMENT...
	local lap=$1 to=$2 of=$3 h out sum try
	local -A before
	shift 3
	for try in 1 2 3; do
		for h in $of; do before[$h]=$(cpu_ns "$h"); done
		[ -z "$VERBOSE" ] || for h in $of; do cpu_tasks "$h"; done | sort >"$RUN/tasks"
		out=$(in_ns "$lap" timeout $((SECONDS_EACH + 20)) iperf3 -c "$to" -t "$SECONDS_EACH" -J "$@" || true)
		if sum=$(jq -er '.end | if .sum_received then .sum_received else .sum end | select(.bytes > 0) |
			(.bytes * (1 - (.lost_percent // 0) / 100)) as $b | "\($b) \($b * 8 / .seconds / 1e9)"' <<<"$out"); then
			[ -z "$VERBOSE" ] || for h in $of; do cpu_tasks "$h"; done | sort | join "$RUN/tasks" - |
				awk '$3 > $2 { printf " %s %d ms,", $1, $3 - $2 } END { print "" }' >&2
			printf '%.4f' "${sum#* }"
			for h in $of; do awk -v ns=$(($(cpu_ns "$h") - before[$h])) -v b="${sum% *}" 'BEGIN { printf " %.4f", ns / b }'; done
			echo
			return 0
		fi
		echo "iperf3, try $try: $(jq -r '.error // "no answer"' <<<"$out")" >&2
		sleep 1
	done
	return 1
}

# A run's rate goes to ENGINE.ROW.rate, what its hosts spent to ENGINE.ROW, and of the second of them to ENGINE.ROW.lap.
keep() { # ENGINE ROW LINE
	local rate first second
	read -r rate first second <<<"$3"
	echo "$rate" >>"$RUN/$1.$2.rate"
	echo "$first" >>"$RUN/$1.$2"
	[ -z "$second" ] || echo "$second" >>"$RUN/$1.$2.lap"
	[ -z "$VERBOSE" ] || echo "$1 $2: $3" >&2
}

# One stream at the same rate by one router and the other, both ways.
measure_cpu() { # ROW SUFFIX IPERF-ARGUMENT...
	local row=$1 suffix=$2 round
	shift 2
	for ((round = 0; round < ROUNDS; round++)); do
		keep talon "$row.in$suffix" "$(iperf lap $GW "node lap" "$@")"
		keep reference "$row.in$suffix" "$(iperf lap $GW2 "node2 lap" "$@")"
		keep talon "$row.out$suffix" "$(iperf lap $GW "node lap" "$@" -R)"
		keep reference "$row.out$suffix" "$(iperf lap $GW2 "node2 lap" "$@" -R)"
	done
}

# As fast as it goes, by one relay and the other.
measure_relay() { # ROW LAPTOP-AT-THE-HUB LAPTOP-AT-THE-STOCK-RELAY
	local round
	for ((round = 0; round < ROUNDS; round++)); do
		keep talon "$1.in" "$(iperf "$2" $GW "hub $2")"
		keep reference "$1.in" "$(iperf "$3" $GW "relay $3")"
		keep talon "$1.out" "$(iperf "$2" $GW "hub $2" -R)"
		keep reference "$1.out" "$(iperf "$3" $GW "relay $3" -R)"
	done
}

# --- The meshes ---

hub_mesh_up() {
	hub_file <<-END
		groups: {laptops: [lap, lap2], routers: [node, node2]}
		keys:
		  all: {hash: $(hub_hash $SETUP_KEY), uses: unlimited}
		policies:
		  - {name: all, from: All, to: All, both-ways: true}
		routes:
		  - {name: talon, network: $GW/32, routers: node, to: laptops}
		  - {name: stock, network: $GW2/32, routers: node2, to: laptops}
	END
	hub_start
	member_start node NB_SETUP_KEY=$SETUP_KEY
	wait_for 15 "Talon on node" member_ready_or_dead node
	stock_start lap
	stock_join lap http://$MESH_HOST:8080
	wait_for 20 "a direct way to node" has_way node lap P2P
}

stock_router_up() {
	stock_start node2
	stock_join node2 http://$MESH_HOST:8080
	wait_for 20 "a direct way to node2" stock_has_way lap node2 P2P
}

# NetBird's relay, and a mesh whose peers are told of it.
stock_mesh_up() {
	local MESH_HOST=$RELAY_HOST
	spawn stock-relay relay "$STOCK_RELAY" -l 0.0.0.0:8090 -e rel://$RELAY_HOST:8090 -s $SECRET -H 127.0.0.1:9000 --log-level warn
	wait_for 10 "NetBird's relay" listening relay ":8090" t
	mesh_start relay $RELAY_HOST --relay-url rel://$RELAY_HOST:8090 --secret $SECRET
	member_up node3
	mesh route lan peer=node3 network=$GW/32
	stock_start lap3
	stock_join lap3 http://$RELAY_HOST:8080
}

# By addresses of both ends: where br_netfilter is loaded, packets that the bridges switch come by here as well.
cut_direct_ways() {
	in_ns rtr nft -f - <<-END
		table inet cut {
			chain forward {
				type filter hook forward priority 0;
				ip daddr { $MESH_HOST, $RELAY_HOST } accept
				ip saddr { $MESH_HOST, $RELAY_HOST } accept
				ip saddr 10.99.0.0/24 ip daddr 192.168.1.0/24 meta l4proto udp drop
				ip saddr 192.168.1.0/24 ip daddr 10.99.0.0/24 meta l4proto udp drop
				ip6 saddr fd10::/64 ip6 daddr fd01::/64 meta l4proto udp drop
				ip6 saddr fd01::/64 ip6 daddr fd10::/64 meta l4proto udp drop
			}
		}
	END
}

answered() { wait_for 20 "an answer by $2" in_ns "$1" ping -q -c 1 -W 1 "$2"; }		# LAPTOP GATEWAY

# --- The table and the JSON ---

row() { # NAME UNIT REFERENCE [FILE]
	local value=null reference=null file=${4:-$1}
	[ -s "$RUN/talon.$file" ] && value=$(median <"$RUN/talon.$file")
	[ -s "$RUN/reference.$file" ] && reference=$(median <"$RUN/reference.$file")
	[ "$value$reference" != nullnull ] || return 0
	jq -nc --arg name "$1" --arg unit "$2" --arg text "$3" --argjson v "$value" --argjson r "$reference" '{name: $name, value: $v, unit: $unit,
		reference: $text, reference_value: $r, ratio: (if $v == null or $r == null or $r == 0 then null else ($v / $r * 1000 | round / 1000) end)}'
}

report() {
	local way dir kind
	{
		for way in cpu cpu.relayed; do
			for dir in in out; do
				for kind in "" .udp1280; do
					row "mesh.$way.$dir$kind" s/GB "stock client as the routing peer"
					row "mesh.$way.$dir$kind.rate" Gbit/s "stock client as the routing peer"
					row "mesh.$way.$dir$kind.lap" s/GB "the same laptop with the stock client as the routing peer"
				done
			done
		done
		for way in relay relay.talon; do
			for dir in in out; do
				row "mesh.$way.$dir" Gbit/s "stock relay" "mesh.$way.$dir.rate"
				row "mesh.$way.$dir.cpu" s/GB "stock relay" "mesh.$way.$dir"
				row "mesh.$way.$dir.lap" s/GB "the same laptop at the stock relay"
			done
		done
	} >"$RUN/rows"
	print_rows "$RUN/rows"
	[ -z "$JSON" ] || jq -s . "$RUN/rows" >"$JSON"
}

left_out() { # REASON
	echo "mesh.sh: left out: $1"
	[ -z "$JSON" ] || [ -e "$JSON" ] || echo '[]' >"$JSON"
}

# The payload of an inner packet of 1280 bytes, the mesh's MTU.
UDP="-u -l 1252"

direct_rows() {
	wants cpu || wants udp || return 0
	answered lap $GW
	answered lap $GW2
	! wants cpu || measure_cpu mesh.cpu "" -b "$RATE"
	# shellcheck disable=SC2086
	! wants udp || measure_cpu mesh.cpu .udp1280 $UDP -b "$RATE"
}

relayed_rows() {
	wants relayed || wants relayed-udp || return 0
	wait_for 30 "a relayed way to node" has_way node lap Relayed
	wait_for 30 "a relayed way to node2" stock_has_way lap node2 Relayed
	answered lap $GW
	answered lap $GW2
	! wants relayed || measure_cpu mesh.cpu.relayed "" -b "$RELAYED_RATE"
	# shellcheck disable=SC2086
	! wants relayed-udp || measure_cpu mesh.cpu.relayed .udp1280 $UDP -b "$RELAYED_RATE"
}

relay_rows() {
	wants relay || wants relay-talon || return 0
	[ -x "${STOCK_RELAY:-}" ] || { left_out "mesh.relay.*: STOCK_RELAY does not name NetBird's relay"; return 0; }
	stop node2
	stock_mesh_up
	threaded_all node3
	wait_for 30 "a relayed way to lap" has_way node lap Relayed
	wait_for 30 "a relayed way to lap3" has_way node3 lap3 Relayed
	answered lap $GW
	answered lap3 $GW
	! wants relay || measure_relay mesh.relay lap lap3
	wants relay-talon || return 0
	member_start lap2 NB_SETUP_KEY=$SETUP_KEY
	MESH_HOST=$RELAY_HOST member_up lap4
	wait_for 15 "Talon on lap2" member_ready_or_dead lap2
	wait_for 30 "a relayed way to lap2" has_way node lap2 Relayed
	wait_for 30 "a relayed way to lap4" has_way node3 lap4 Relayed
	answered lap2 $GW
	answered lap4 $GW
	measure_relay mesh.relay.talon lap2 lap4
}

main() {
	[ -x "$TALON" ] || { echo "no $TALON: build it first" >&2; exit 2; }
	[ -x "${STOCK_NETBIRD:-}" ] || { left_out "STOCK_NETBIRD does not name NetBird's client"; exit 0; }
	local h
	run_begin "m$$"
	trap 'run_end' EXIT
	trap 'exit 1' INT TERM
	topology hub relay lap lap2 lap3 lap4 node node2 node3 gw
	ip -n "$P-gw" addr add $GW2/32 dev eth0
	ip -n "$P-rtr" rule add iif br-inet to $GW2 prohibit
	for h in hub relay lap lap2 lap3 lap4 node node2 node3 gw; do threaded_all $h; done
	threaded_all rtr
	for h in $GW $GW2; do
		spawn "iperf3-$h" gw iperf3 -s -B "$h"
		wait_for 5 "the iperf3 server" listening gw "$h:5201" t
	done
	hub_mesh_up
	if wants cpu || wants udp || wants relayed || wants relayed-udp; then stock_router_up; fi
	threaded_all node
	direct_rows
	cut_direct_ways
	relayed_rows
	relay_rows
	report
}

main; exit	# on one line: an edit of this file during a run is not read
