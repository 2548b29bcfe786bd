# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash
# Wires with a routing peer at one end and the load generator at the other. Sourced by bash after tests/e2e/lib.sh.
#
#   PEER (192.168.1.221, one uplink) ---- PEER-far: laptop 10.99.0.2, router 192.168.1.1, gateway 192.168.1.220
#
# One veth for each peer, in namespaces of its own. What the peer forwards comes back on the wire that it came by, as on a node
# with one NIC. Each end's NAPI is a kernel thread: the peer's is pinned to the packet core, the far one to the generator's.

LOAD=${LOAD:-$BUILD/tests/bench/load/load}
LAPTOP=10.99.0.2
GENERATOR_CORE=${GENERATOR_CORE:-0} PACKET_CORE=${PACKET_CORE:-$(($(nproc) > 1))}
FAR_PRIORITY=10		# real-time: the sink must not lose frames because the generator has the core

# Short, because a NAPI thread is known by as much of its device's name as fits beside "napi/" in 15 characters.
near_dev() { echo "n${1:0:2}$P"; }
far_dev() { echo "f${1:0:2}$P"; }

wire_up() { # PEER
	local near far
	near=$(near_dev "$1") far=$(far_dev "$1")
	ns_add "$1"
	ns_add "$1-far"
	ip -n "$P-$1" link add "$near" type veth peer name "$far" netns "$P-$1-far"
	in_ns "$1" ethtool -K "$near" tso off tx-udp-segmentation off gro on >/dev/null
	in_ns "$1-far" ethtool -K "$far" tx off tso off tx-udp-segmentation off gro on >/dev/null
	in_ns "$1" sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.default.send_redirects=0
	ip -n "$P-$1-far" -batch - <<-END
		link set $far up
		addr add 192.168.1.1/24 dev $far
		addr add $LAPTOP/32 dev lo
	END
	ip -n "$P-$1" -batch - <<-END
		link set $near up
		addr add $NODE/24 dev $near
		route add default via 192.168.1.1
		neigh add $GW lladdr $(mac "$1-far" "$far") dev $near nud permanent
		neigh add 192.168.1.1 lladdr $(mac "$1-far" "$far") dev $near nud permanent
	END
	napi_thread "$1" "$near" "$PACKET_CORE"
	napi_thread "$1-far" "$far" "$GENERATOR_CORE" "$FAR_PRIORITY"
}

mac() { ip -n "$P-$1" -j link show "$2" | jq -r '.[0].address'; }		# HOST DEVICE

# The device's NAPI becomes a kernel thread on that core. /sys shows devices of the namespace that it was mounted in.
napi_thread() { # HOST DEVICE CORE [PRIORITY]
	local pid
	ip netns exec "$P-$1" sh -c "echo 1 >/sys/class/net/$2/threaded"
	wait_for 2 "the NAPI thread of $2" napi_pid "$2"
	pid=$(napi_pid "$2")
	taskset -cp "$3" "$pid" >/dev/null
	[ -z "${NAPI_NICE:-}" ] || renice -n "$NAPI_NICE" -p "$pid" >/dev/null
	[ -z "${4:-}" ] || chrt -f -p "$4" "$pid" || note "no real-time priority for the sink here"
}

# The kernel cuts a thread's name to 15 characters.
napi_pid() { # DEVICE
	local c
	for c in /proc/[0-9]*/comm; do
		[[ $(cat "$c" 2>/dev/null) == "$(echo "napi/$1-" | cut -c1-15)"* ]] && basename "${c%/comm}" && return 0
	done
	return 1
}

# Runs a command, and everything that it starts, on one core.
on_core() { # CORE COMMAND...
	local before core=$1
	before=$(taskset -cp $BASHPID | sed 's/.*: //')
	shift
	taskset -cp "$core" $BASHPID >/dev/null
	"$@"
	taskset -cp "$before" $BASHPID >/dev/null
}

# --- Peers under test: NAME_up and NAME_down take the name of the namespace ---

peer_config() { # PEER
	MESH[$1]=${MESH[node]}
	PEERS=lap write_config "$1" "$RUN/$1.conf"
}

masquerade_up() { # PEER
	in_ns "$1" nft -f - <<-END
		table ip reference {
			chain translate {
				type nat hook postrouting priority srcnat;
				ip saddr 100.64.0.0/10 ip daddr 192.168.1.0/24 masquerade
			}
		}
	END
	ip -n "$P-$1" route add 100.64.0.0/10 via 192.168.1.1
}

# Not the scenarios' way to start Talon: several run here, each with pins of its own.
talon_peer_up() { # PEER
	spawn "$1" "$1" "$TALON" up --static "$RUN/$1.conf" --pin-dir "$RUN/bpf/$1"
	PIN=$RUN/bpf/$1 wait_for 10 "Talon to be ready" ready_or_dead "$1"
	alive "$1" || { tail -5 "$RUN/log/$1"; fail "talon up ended"; }
}

talon_peer_down() { # PEER
	stop "$1"
	HOST=$1 talon down --pin-dir "$RUN/bpf/$1"
}

# Talon's keystream is made by a child of the controller.
helper_core() { # PEER CORE
	local pid
	for pid in $(pgrep -P "$(pid_of "$1")" || true); do taskset -acp "$2" "$pid" >/dev/null; done
}

bounce_up() { # PEER
	ip -n "$P-$1" link set dev "$(near_dev "$1")" xdpdrv object "$BUILD/bpf/load_bounce.bpf.o" section xdp
}

# --- One run of the generator ---

# The far end's command line; what follows the peer's name is the generator's own.
load_run() { # PEER wireguard|plain|bounce ARGUMENT...: prints a line of JSON
	local peer=$1 kind=$2
	shift 2
	[ "$kind" != wireguard ] || set -- --key "$RUN/keys/lap" --peer-key "$RUN/keys/$peer.pub" --port "$PORT" "$@"
	in_ns "$peer-far" "$LOAD" --kind "$kind" --device "$(far_dev "$peer")" --node "$NODE" --node-mac "$(mac "$peer" "$(near_dev "$peer")")" \
		--laptop "$LAPTOP" --mesh "${MESH[lap]}" --gateway "$GW" "$@"
}

# --- A machine that others use, too ---

# The scheduler weighs sessions (autogroups) before it weighs processes, and kernel threads beside sessions.
shield() {
	[ -n "${SHIELDED:-}" ] || SHIELDED=1 exec setsid -w "$0" "${ARGUMENTS[@]}"
	if [ -e /proc/self/autogroup ]; then echo -20 >/proc/$$/autogroup; else renice -n -20 -p $$ >/dev/null; fi
	NAPI_NICE=-20
}
