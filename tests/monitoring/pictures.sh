#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Pictures of the dashboards for somebody to look at: at rest, under load, without a controller and without management. By hand; root,
# chromium and the chart library (npm: echarts) are needed.
#
#   pictures.sh ECHARTS.min.js FOLDER
set -eu
. "$(dirname "$(readlink -f "$0")")/../e2e/lib.sh"
. "$E2E/monitoring.sh"
ECHARTS=$(readlink -f "$1") PICTURES=$2 SPAN=${SPAN:-45}

picture() { # NAME DASHBOARD...
	local name=$1 d height
	shift
	for d; do
		in_ns gw /usr/bin/python3 -B "$E2E/../monitoring/draw.py" $PROMETHEUS_URL "$d" "$SPAN" "$ECHARTS" "$RUN/$d.html"
		height=$(jq '[.panels[].gridPos | .y + .h] | max * 42 + 60' "$E2E/../../charts/monitoring/dashboards/$d.json")
		chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --allow-file-access-from-files --window-size="1600,$height" \
			--virtual-time-budget=4000 --user-data-dir="$RUN/chromium" --screenshot="$PICTURES/$name-$d.png" "file://$RUN/$d.html" >/dev/null 2>&1
		echo "$PICTURES/$name-$d.png"
	done
}

mkdir -p "$PICTURES"
run_begin
trap 'run_end' EXIT
monitored
spawn counted node $SCENE programs-counted
sleep "$SPAN"
picture rest overview
load_up
sleep "$SPAN"
picture load overview datapath peer
stop node KILL
mesh stop management
sleep 20
picture failover overview
talon_up node "$RUN/node.conf"
mesh start management
sleep 15
picture after overview
load_down
stop counted
