# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Logging to a pipe that nobody reads.
. "$E2E/mesh/mesh.sh"

setup() {
	mesh_setup lap lap2 node gw
	servers_up gw
	mkfifo "$RUN/pipe"
	# Held open for both and read by nobody; as small as a pipe can be.
	spawn holder gw /usr/bin/python3 -c "import fcntl, os, sys, time
fcntl.fcntl(os.open(sys.argv[1], os.O_RDWR), 1031, 4096)	# F_SETPIPE_SZ
print('held', flush=True)
time.sleep(600)" "$RUN/pipe"
	wait_for 5 "the pipe to be held" grep -q held "$RUN/log/holder"
	log_into_pipe member_up node NB_LOG_LEVEL=debug
	member_up lap2 NB_FORCE_RELAY=true
	relayed lap2 node
}

log_into_pipe() { # COMMAND...: the process started in it
	local real
	real=$(readlink -f "$TALON")
	printf '#!/bin/sh\n[ "$1" = up ] || exec %s "$@"\nexec %s "$@" 2>%s\n' "$real" "$real" "$RUN/pipe" >"$RUN/talon-piped"
	chmod +x "$RUN/talon-piped"
	TALON_REAL=$TALON TALON=$RUN/talon-piped
	"$@"
	TALON=$TALON_REAL
}

dropped() { member_says node '.talon.counters.log.dropped'; }

drops() { [ "$(dropped)" -gt 0 ]; }

test_full_pipe_stops_nothing_and_the_lost_lines_are_counted() {
	local before
	mesh route "noise" peer=node network=10.77.0.0/24
	wait_for 10 "lines to be dropped" drops
	before=$(dropped)
	member node status --check live
	equal "pings sent and answered" "100 100" "$(in_ns lap2 $NET ping "$(mesh_ip node)" -i 0.02 -c 100 -W 3)"
	member node status -d | grep -A1 '^  log:' | grep -E '^    dropped: [0-9]+$'
	# Somebody reads again.
	timeout 2 cat "$RUN/pipe" >"$RUN/read" || true
	mesh route "noise" peer=node network=10.78.0.0/24
	wait_for 5 "a line about them" told
	grep -E "$before log lines were dropped|[0-9]+ log lines were dropped" "$RUN/read"
	alive node
}

told() { timeout 1 cat "$RUN/pipe" >>"$RUN/read" || true; grep -q 'log lines were dropped: standard error was full' "$RUN/read"; }
