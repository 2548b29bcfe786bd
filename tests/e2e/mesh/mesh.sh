# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The mesh for scenarios: mesh_start puts it on a host of the topology, mesh talks to it. Sourced by bash after lib.sh; the commands are in mesh.py.

mesh_start() { # HOST ADDRESS [OPTION...]: listens on 8080 management, 8081 signal, 8082 relay, 3478 STUN; keeps its state over a restart
	local host=$1 address=$2
	shift 2
	needs /usr/bin/python3
	/usr/bin/python3 -c 'import grpc, nacl' 2>/dev/null || skip "python3-grpcio or python3-nacl is not installed"
	: >"$RUN/log/mesh.now"
	spawn mesh.now "$host" /usr/bin/python3 -u "$E2E/mesh/mesh.py" serve --address "$address" --control "$RUN/mesh.sock" \
		--state "$RUN/mesh.state" "$@"
	wait_for 10 "the mesh to listen" grep -q 'mesh: ready' "$RUN/log/mesh.now"
}

# Its log is $RUN/log/mesh.now; the log of earlier ones of this run is in log/mesh.
mesh_stop() { # [SIGNAL]: KILL leaves connections as a crash does
	stop mesh.now "${1:-TERM}"
	cat "$RUN/log/mesh.now" >>"$RUN/log/mesh"
}

mesh() { /usr/bin/python3 -ESs "$E2E/mesh/ctl.py" "$RUN/mesh.sock" "$@"; }

mesh_is() { # NAME FIELD VALUE: for wait_for
	[ "$(mesh peer "$1" "$2" 2>/dev/null)" = "$3" ]
}

# --- Hosts that run Talon in this mesh: state, socket and pins of each lie in the run's folder under its name ---

ADDRESS[mesh]=10.99.0.10/24 ADDRESS6[mesh]=fd10::10/64
MESH_HOST=10.99.0.10

# The whole environment of the process and the command line, nothing of the caller's; node* are routing peers, others agents.
member_env() { # HOST
	MEMBER_ENV=(-i PATH="$PATH" NB_STATE_DIR="$RUN/state/$1" NB_DAEMON_ADDR="unix://$RUN/$1.sock"
		NB_MANAGEMENT_URL="http://$MESH_HOST:8080" NB_HOSTNAME="$1" NB_LOG_LEVEL="${MESH_LOG_LEVEL:-info}" TALON_PIN_DIR="$RUN/bpf/$1")
	case $1 in node*) ;; *) MEMBER_ENV+=(TALON_AGENT=true) ;; esac
}

member_start() { # HOST [VARIABLE=VALUE...] [ARGUMENT...]: the process (`up`, or what is given), without waiting for it
	local h=$1
	shift
	mkdir -p "$RUN/state/$h"
	member_command "$h" "$@"
	[ $MEMBER_ARGS -gt 0 ] || MEMBER_COMMAND+=(up)
	spawn "$h" "$h" "${MEMBER_COMMAND[@]}"
}

# MEMBER_COMMAND: the binary under its name, or under AS, with the host's environment, VARIABLE=VALUE... over that, and the rest as arguments.
member_command() { # HOST [VARIABLE=VALUE...] [ARGUMENT...]
	local binary=$TALON
	[ -z "${AS:-}" ] || { binary=$RUN/$AS; ln -sf "$(readlink -f "$TALON")" "$binary"; }
	member_env "$1"
	shift
	while [[ ${1:-} == [A-Z]*=* ]]; do MEMBER_ENV+=("$1"); shift; done
	MEMBER_COMMAND=(env "${MEMBER_ENV[@]}" "$binary" "$@")
	MEMBER_ARGS=$#
}

member_up() { # HOST [VARIABLE=VALUE...]: with a setup key the first time; until packets can flow
	local h=$1
	shift
	[ -e "$RUN/state/$h/default.json" ] || { mesh key "$SETUP_KEY" valid; set -- NB_SETUP_KEY="$SETUP_KEY" "$@"; }
	member_start "$h" "$@"
	wait_for 10 "$h to be ready" member_ready_or_dead "$h"
	alive "$h" || { tail -5 "$RUN/log/$h"; fail "talon up on $h ended"; }
}

SETUP_KEY=11111111-2222-4333-8444-555555555555

member_ready_or_dead() { # HOST: ready by this very process
	! alive "$1" || { member "$1" status --check ready && [ "$(member_says "$1" '.talon.datapath.controller.pid')" = "$(pid_of "$1")" ]; }
}

member() { # HOST [VARIABLE=VALUE...] TALON-ARGUMENT...: the command line there; AS=netbird: under that name
	member_command "$@"
	in_ns "$1" "${MEMBER_COMMAND[@]}"
}

member_says() { # HOST JQ-EXPRESSION over `talon status --json`; fails where it is false or null
	local json
	json=$(member "$1" status --json) && jq -er "$2" <<<"$json"
}

member_logged() { # HOST PATTERN [COUNT]: at least so many lines of its log match
	[ "$(grep -cE -- "$2" "$RUN/log/$1")" -ge "${3:-1}" ]
}

log_lines() { # HOST [PATTERN]: how many lines its log has by now
	grep -cE -- "${2:-.}" "$RUN/log/$1" || true
}

logged_since() { # HOST LINES PATTERN: for wait_for; a line after the first LINES matches
	tail -n "+$(($2 + 1))" "$RUN/log/$1" | found -E -- "$3"
}

mesh_ip() { mesh peer "$1" ip; }	# HOST or any peer's name
mesh_ip6() { mesh peer "$1" ip6; }

# How HOST reaches PEER: P2P, Relayed, or nothing.
way_of() { # HOST PEER
	member_says "$1" ".peers.details[] | select(.fqdn | startswith(\"$2.\")) | select(.status == \"Connected\") | .connectionType"
}

has_way() { [ "$(way_of "$1" "$2" 2>/dev/null)" = "$3" ]; }	# HOST PEER P2P|Relayed

direct() { wait_for 15 "a direct way from $1 to $2" has_way "$1" "$2" P2P; }		# HOST PEER
relayed() { wait_for 15 "a relayed way from $1 to $2" has_way "$1" "$2" Relayed; }

# A ping that is answered, once: for wait_for.
answers() { in_ns "$1" ping -q -c 1 -W 1 "$2"; }	# HOST ADDRESS

host_route() { [ -n "$(ip -n "$P-$1" route show "$2" dev wt0)" ]; }	# HOST NETWORK: for wait_for

# --- What several scenarios ask ---

mesh_setup() { # HOST...: topology with these hosts and the mesh on one of its own
	needs_talon
	topology mesh "$@"
	mesh_start mesh $MESH_HOST
}

# Both report it; for wait_for.
connected() { # HOST PEER [P2P|Relayed]
	local there here
	there=$(way_of "$1" "$2" 2>/dev/null) && here=$(way_of "$2" "$1" 2>/dev/null) || return
	[ -z "${3:-}" ] || [ "$there $here" = "$3 $3" ]
}

about_peer() { # HOST PEER FIELD: of those that NetBird's client has, too (status, relayAddress, iceCandidateType.local ...)
	member_says "$1" ".peers.details[] | select(.fqdn | startswith(\"$2.\")) | .$3"
}

member_down() { # HOST: ends it and removes everything but the state
	member "$1" down
	finished "$1" 10
	rm -f "$RUN/proc/$1"
}

member_forget() { # HOST: down, and as new: no state, and the mesh does not know it
	[ ! -e "$RUN/state/$1" ] || member_down "$1"
	rm -rf "$RUN/state/$1"
	mesh delete "$1" 2>/dev/null || true
}

no_secret_in_logs() {
	local f
	for f in "$RUN"/state/*/default.json; do
		[ -e "$f" ] || continue
		not grep -rqF "$(jq -r .PrivateKey "$f")" "$RUN/log" || fail "the private key of $f is in a log"
	done
	not grep -rqiF "$SETUP_KEY" "$RUN/log" || fail "the setup key is in a log"
}

# All changes so far have arrived: each HOST works by the mesh's latest map.
settled() { # HOST...
	local h serial
	serial=$(mesh status | jq .serial)
	for h; do wait_for 10 "map $serial on $h" has_serial "$h" "$serial"; done
}

has_serial() { member_says "$1" ".talon | select(.serial >= $2)"; }

# Bytes of the process's memory that can be written: heap, stacks, data.
memory_of() { # PID
	/usr/bin/python3 - "$1" <<-'END'
		import sys
		pid = sys.argv[1]
		mem = open(f"/proc/{pid}/mem", "rb", 0)
		for line in open(f"/proc/{pid}/maps"):
		    span, mode = line.split()[:2]
		    if not mode.startswith("rw"):
		        continue
		    a, b = (int(x, 16) for x in span.split("-"))
		    try:
		        mem.seek(a)
		        sys.stdout.buffer.write(mem.read(b - a))
		    except OSError:
		        pass
	END
}

# For cases that read mesh.py's log, or need it to do what no server does.
needs_mesh_py() { [ "${MESH_SERVER:-py}" = py ] || skip "only tests/e2e/mesh/mesh.py ${1:-can do this}"; }

case ${MESH_SERVER:-py} in
py) ;;
hub) . "$E2E/mesh/by_hub.sh" ;;
*) echo "MESH_SERVER is py or hub, not $MESH_SERVER" >&2; exit 2 ;;
esac
