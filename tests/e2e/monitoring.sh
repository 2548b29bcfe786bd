# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A real Prometheus beside a gateway: it scrapes node (a static file, client lap) and node2 (a mesh, agent lap2). Sourced by bash after lib.sh.
. "$E2E/mesh/mesh.sh"

PROMETHEUS=${PROMETHEUS:-prometheus}
SCENE="/usr/bin/python3 -B $E2E/../monitoring/scene.py"
PEERS="lap"
METRICS_PORT=9586

scene() { in_ns gw $SCENE "$@"; }
PROMETHEUS_URL=http://127.0.0.1:9090

# node2 serves its metrics itself.
scraped_member() { member_up node2 TALON_METRICS="$NODE2:$METRICS_PORT" TALON_METRICS_PEERS=10; }

monitored_mesh() { # node2 serves the gateway's network for lap2
	scraped_member
	member_up lap2
	mesh route lan peer=node2 network=192.168.1.0/24
}

# Few ports and room for one peer, so that limits are reached.
monitored_static() {
	client_up lap
	node_up "SNATPorts = 12288-12415" "MaxPeers = 1" "lap: Name = laptop"
}

# Beside the controller of node, so that there are metrics when it is gone.
exporter_up() {
	spawn exporter node $SCENE exporter $NODE $METRICS_PORT "$TALON" metrics --pin-dir "$PIN" --peers 10
}

prometheus_up() {
	$SCENE rules "$RUN/rules.yaml"
	$SCENE config "$RUN/prometheus.yaml" "$RUN/rules.yaml" node=$NODE:$METRICS_PORT node2=$NODE2:$METRICS_PORT
	spawn prometheus gw "$PROMETHEUS" --config.file="$RUN/prometheus.yaml" --storage.tsdb.path="$RUN/prometheus" \
		--web.listen-address=127.0.0.1:9090 --log.level=warn
	wait_for 15 "Prometheus to be ready" in_ns gw curl -sf $PROMETHEUS_URL/-/ready
}

# Pings and a download by each way, and now and then a packet that is dropped.
load_up() {
	local h
	rm -f "$RUN/stop-flood"
	for h in lap lap2; do
		spawn pings-$h $h $NET ping $GW -i 0.02 -c 100000 -W 1
		spawn download-$h $h curl -s -o /dev/null --limit-rate 4M --noproxy '*' "http://$GW/large#[1-100]"
	done
	spawn flood lap $NET flood $NODE $PORT junk "$RUN/stop-flood" --rate 5
}

load_down() {
	local h
	touch "$RUN/stop-flood"
	for h in lap lap2; do stop pings-$h; stop download-$h; done
	finished flood 20
}

# An agent that answers late, as one far away does: a round trip below 0.1 ms is none.
far_away() { # HOST
	spawn far "$1" bash -c "while kill -STOP $(pid_of "$1"); do sleep 0.02; kill -CONT $(pid_of "$1"); sleep 0.05; done"
	finally "stop far; kill -CONT $(pid_of "$1")"
}

monitored() {
	needs_talon
	needs "$PROMETHEUS" promtool
	topology mesh lap lap2 node node2 gw
	servers_up gw
	mesh_start mesh $MESH_HOST
	monitored_mesh
	monitored_static
	exporter_up
	prometheus_up
	wait_for 15 "the gateway to answer lap" answers lap $GW
	wait_for 15 "the gateway to answer lap2" answers lap2 $GW
}
