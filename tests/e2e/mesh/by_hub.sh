# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash
# MESH_SERVER=hub: talon hub in the place of mesh.py, behind the same functions. A case that needs what only mesh.py can do (faults on order, servers
# that stop one by one, messages of its own making) is skipped. Sourced by mesh.sh.

mesh_start() { # HOST ADDRESS [OPTION...]
	HUB_ON=$1 HUB_AT=$2
	shift 2
	[ $# -eq 0 ] || skip "the hub has nothing like: $*"
	/usr/bin/python3 -c 'import grpc, nacl' 2>/dev/null || skip "python3-grpcio or python3-nacl is not installed"
	mkdir -p "$RUN/mesh-hub"
	printf 'HUB_ON=%s HUB_AT=%s\n' "$HUB_ON" "$HUB_AT" >"$RUN/mesh-hub/where"
	[ -e "$RUN/mesh-hub/hub.yaml" ] || mesh policy default
	: >"$RUN/log/mesh.now"
	spawn mesh.now "$HUB_ON" env -i PATH="$PATH" "$TALON" hub --file "$RUN/mesh-hub/hub.yaml"
	wait_for 10 "the hub to be ready" hub_mesh_ready_or_dead
	alive mesh.now || { tail -5 "$RUN/log/mesh.now"; fail "the hub ended"; }
}

hub_mesh_ready_or_dead() { ! alive mesh.now || hub_mesh_page readyz; }

hub_mesh_page() { get "$HUB_ON" "http://127.0.0.1:9568/$1"; }

mesh() {
	local rc=0 lines
	[ ! -e "$RUN/mesh-hub/where" ] || . "$RUN/mesh-hub/where"
	in_ns "$HUB_ON" /usr/bin/python3 "$E2E/mesh/hub_mesh.py" "$RUN/mesh-hub" "$(readlink -f "${TALON_REAL:-$TALON}")" "http://$HUB_AT:8080" "$@" || rc=$?
	[ $rc != 77 ] || exit 77
	[ $rc = 3 ] || return $rc
	alive mesh.now || return 0
	lines=$(log_lines mesh.now)
	kill -HUP "$(pid_of mesh.now)"
	wait_for 5 "the hub to have read its file" logged_since mesh.now "$lines" "the file was read again|everything stays as it is"
	! logged_since mesh.now "$lines" "everything stays as it is" || fail "$(tail -n 1 "$RUN/log/mesh.now")"
}

# The hub gathers changes for a moment before it tells anybody: nothing has left it for a while.
settled() { # HOST...
	wait_for 10 "the hub to be quiet" hub_mesh_quiet
}

hub_mesh_quiet() {
	local before
	before=$(hub_mesh_page metrics | grep '^talon_hub_maps_pushed_total')
	sleep 0.3
	[ "$before" = "$(hub_mesh_page metrics | grep '^talon_hub_maps_pushed_total')" ]
}
