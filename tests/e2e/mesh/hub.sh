# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# talon hub in place of the mesh of mesh.py, on a host of the topology. Sourced after mesh.sh, whose member_* run the peers.

ADDRESS[hub]=10.99.0.10/24 ADDRESS6[hub]=fd10::10/64

# The file, from standard input: behind its own lines of the process.
hub_file() {
	{
		printf 'listen: 0.0.0.0:8080\npublic-url: http://%s:8080\nstun: 0.0.0.0:3478\nnetwork6: off\ndata: %s\n' $MESH_HOST "$RUN/hub"
		cat
	} >"$RUN/hub.yaml"
}

hub_start() { # [ARGUMENT...]: by the file, until it is ready
	[ $# -gt 0 ] || set -- --file "$RUN/hub.yaml"
	spawn hub hub env -i PATH="$PATH" "$TALON" hub "$@"
	wait_for 10 "the hub to be ready" hub_ready_or_dead
	alive hub || { tail -5 "$RUN/log/hub"; fail "the hub ended"; }
}

hub_ready_or_dead() { ! alive hub || hub_page readyz; }

hub_page() { get hub "http://127.0.0.1:9568/${1:-}"; }	# healthz, readyz, metrics, or the page

hub_metric() { # NAME[LABELS]: without talon_hub_
	hub_page metrics | awk -v name="talon_hub_$1" '$1 == name { print $2; seen = 1 } END { exit !seen }'
}

hub_metric_is() { [ "$(hub_metric "$1")" = "$2" ]; }	# for wait_for

# Reads the file again: it says so, or why not.
hub_reload() {
	local lines
	lines=$(log_lines hub)
	kill -HUP "$(pid_of hub)"
	wait_for 5 "the hub to have read its file" logged_since hub "$lines" "the file was read again|everything stays as it is"
	! logged_since hub "$lines" "everything stays as it is" || fail "$(tail -n 1 "$RUN/log/hub")"
}

hub_hash() { printf %s "$1" | tr a-z A-Z | sha256sum | cut -d ' ' -f 1; }	# KEY

# Joins, or starts again: until packets can flow.
hub_join() { # HOST [VARIABLE=VALUE...]
	member_start "$@"
	wait_for 15 "$1 to be ready" member_ready_or_dead "$1"
	alive "$1" || { tail -5 "$RUN/log/$1"; fail "talon up on $1 ended"; }
}

hub_ip() { member "$1" status --ipv4; }		# HOST
