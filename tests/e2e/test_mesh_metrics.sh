# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Health over HTTP in each phase of a mesh.

. "$E2E/mesh/mesh.sh"

setup() {
	mesh_setup node gw
	mkdir -p "$RUN/state"
	mesh key $SETUP_KEY valid
}

probe() { in_ns node curl -sS --noproxy '*' --max-time 10 -o "$RUN/log/said" -w '%{http_code}' "http://127.0.0.1:9567/$1"; }

probes_are() { # HEALTHZ READYZ: for wait_for
	[ "$(probe healthz) $(probe readyz)" = "$1 $2" ]
}

test_probes_follow_each_phase() {
	member_forget node
	mkdir -p "$RUN/state/node"
	member_start node service run
	wait_for 10 "a service that waits for its key to be well, and not ready" probes_are 200 503
	wait_for 10 "it to say what the check says" says_the_same
	grep -q "^ready: no: [a-z]" "$RUN/log/said"
	member node up -k $SETUP_KEY
	wait_for 10 "the node to be ready" probes_are 200 200
	wait_for 5 "the mesh's facts" serves 'talon_management_connected 1'
	equal "where" 127.0.0.1:9567 "$(member_says node .talon.datapath.metrics)"
	equal "the line of status" 1 "$(member node status | grep -cx "Metrics: 127.0.0.1:9567")"
	# management is away: packets go on flowing
	mesh stop management
	finally "mesh start management"
	wait_for 20 "metrics to say so" serves 'talon_management_connected 0'
	equal "readiness" 200 "$(probe readyz)"
	mesh start management
	wait_for 30 "the node to be back" serves 'talon_management_connected 1'
}

test_a_node_that_management_forgets_is_not_ready() {
	member_forget node
	member_up node
	wait_for 10 "the node to be ready" probes_are 200 200
	mesh delete node
	wait_for 20 "a node that is forgotten to be unready" probes_are 200 503
	wait_for 5 "it to say what the check says" says_the_same
	grep -q "management does not know this peer" "$RUN/log/said"
}

says_the_same() { # The daemon's state is told once a second.
	probe readyz && [ "$(member node status --check ready)" = "$(cat "$RUN/log/said")" ]
}

serves() { # LINE [URL]
	in_ns node curl -sS --noproxy '*' --max-time 10 "${2:-http://127.0.0.1:9567}/metrics" >"$RUN/log/text" && grep -qx "$1" "$RUN/log/text"
}

test_metrics_are_served_elsewhere_by_a_variable() {
	member_forget node
	member_up node TALON_METRICS="[::1]:9999" TALON_METRICS_ALIASES=on
	serves "talon_controller_up 1" "http://[::1]:9999"
	not listening node :9567 t
}
