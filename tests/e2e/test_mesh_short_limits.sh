# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A mesh behind a reverse proxy with short time limits (nginx's defaults, made shorter for the test): silent streams are not cut, or are restored without loss.

. "$E2E/test_mesh_proxy.sh"

seen() { grep -cE "$1" "$RUN/log/nginx-access" || true; }

job_streams() { grep -c "node opened job" "$RUN/log/mesh.now" || true; }

# For wait_for: COMMAND has given the same answer for SECONDS.
unchanged() { # SECONDS COMMAND...
	local now=${EPOCHREALTIME/./} is
	is=$("${@:2}")
	[ "$is" = "${WAS:-}" ] || { WAS=$is; SINCE=$now; }
	[ $((now - SINCE)) -ge $(($1 * 1000000)) ]
}

steady() { # SECONDS LIMIT COMMAND...
	WAS='' SINCE=0
	wait_for "$2" "${*:3} to stay as it is" unchanged "$1" "${@:3}"
}

answered() { [ "$(grep -c "job answer of node" "$RUN/log/mesh.now")" -ge "$1" ]; }

behind() { # READ-LIMIT BODY-LIMIT
	fresh_node
	stop nginx
	EDGE_READ=$1 EDGE_BODY=$2 edge_up
	member_up node "${VIA_EDGE[@]}"
	wait_for 20 "management, signal and relay" member node status --check startup
}

test_job_stream_outlives_a_limit_for_the_body_of_a_request() {
	behind 1d 3s
	# nginx ends it after 3 s, and may say so only when we have something to say.
	wait_for 45 "the first cut" member_logged node "ended the silent job stream after about"
	wait_for 10 "the next stream" mesh_is node job true
	steady 8 30 job_streams
	mesh_is node job true
	mesh job node
	wait_for 10 "the answer" answered 1
	wait_for 10 "the next stream" mesh_is node job true
	steady 8 30 job_streams
	mesh job node
	wait_for 10 "the second answer" answered 2
	equal "lines about it" 1 "$(log_lines node "job stream")"
	not member_logged node "warn +(management|signal): "
}

test_signal_speaks_up_before_a_limit_for_answers() {
	behind 6s 1d
	wait_for 60 "two cuts of the signal stream" member_logged node "signal: a proxy in front ends streams that are silent for 6 s"
	wait_for 10 "signal" member_says node .signal.connected
	steady 14 60 registrations
	member_says node .signal.connected
}

registrations() { seen 'POST /signalexchange.SignalExchange/ConnectStream'; }

# Only the server sends on Sync, so a limit for answers cuts it; each time it is reopened at once, without a log line and without missing a map.
test_map_arrives_however_often_a_proxy_cuts_the_stream_of_maps() {
	local before logins
	behind 6s 1d
	logins=$(seen 'POST /management.ManagementService/Login')
	before=$(seen 'POST /management.ManagementService/Sync')
	wait_for 45 "the first cut" member_logged node "ends the stream of maps when it is silent"
	for i in 1 2 3 4; do
		mesh route r$i peer=node network=192.168.7.$i/32
		wait_for 10 "map $i" has_serial node "$(mesh status | jq .serial)"
		wait_for 20 "cut $i" cut_since "$((before + i - 1))"
	done
	for i in 1 2 3 4; do mesh unroute r$i; done
	member node status --check ready
	not member_logged node "warn +management: "
	equal "logins" "$logins" "$(seen 'POST /management.ManagementService/Login')"
}

cut_since() { [ "$(seen 'POST /management.ManagementService/Sync')" -gt "$1" ]; }

test_no_secret_is_in_any_log() {
	no_secret_in_logs
}
