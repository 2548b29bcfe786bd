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

# Its log is $RUN/log/mesh.now; what an earlier one of this run said is in log/mesh.
mesh_stop() { # [SIGNAL]: KILL leaves connections as a crash does
	stop mesh.now "${1:-TERM}"
	cat "$RUN/log/mesh.now" >>"$RUN/log/mesh"
}

mesh() { /usr/bin/python3 "$E2E/mesh/mesh.py" ctl "$RUN/mesh.sock" "$@"; }

mesh_is() { # NAME FIELD VALUE: for wait_for
	[ "$(mesh peer "$1" "$2" 2>/dev/null)" = "$3" ]
}
