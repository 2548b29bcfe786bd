# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Dashboards and alerts on a real Prometheus that scrapes real Talons: every query of every panel has data, and alerts fire for what they are for.
# background: the runner starts this file early and prints its cases last.
. "$E2E/monitoring.sh"

setup() { monitored; }

SOON=$((15 * ${PATIENCE:-3}))	# seconds; PATIENCE as for wait_for

alert() { scene alert $PROMETHEUS_URL "$@"; }	# NAME firing|quiet INSTANCE SECONDS

fires() { local said; said=$(alert "$1" firing "$2" $SOON) || fail "$1 of $2 does not fire"; note "$(tail -n 1 <<<"$said")"; }	# NAME INSTANCE
quiet() { alert "$1" quiet "$2" $SOON; }

test_rules_are_accepted_fire_and_clear() {
	/usr/bin/python3 -B "$E2E/../monitoring/rules.py"
}

test_every_query_of_every_panel_has_data() {
	local said
	finally "stop counted; load_down"
	spawn counted node $SCENE programs-counted
	load_up
	far_away lap2
	said=$(scene panels $PROMETHEUS_URL $SOON) || fail "$said"
	note "$said"
}

# The laptop's one peer is all that node has room for; its ports are few. Meanwhile the mesh of node2 loses its servers.
test_alerts_of_limits_and_of_servers_fire_and_clear() {
	finally "stop flows; mesh start management; mesh start signal"
	quiet TalonNatPortsShort node
	quiet TalonManagementGone node2
	mesh stop management
	mesh stop signal
	spawn flows lap bash -c "while :; do $NET udp-flows $GW 7 --count 200 --timeout 1; sleep 0.2; done"
	fires TalonMapFull node
	fires TalonHazards node
	fires TalonNatPortsShort node
	fires TalonNatFlowsRefused node
	fires TalonManagementGone node2
	fires TalonSignalGone node2
	stop flows
	mesh start management
	mesh start signal
	quiet TalonNatFlowsRefused node
	quiet TalonManagementGone node2
	quiet TalonSignalGone node2
}

test_alerts_of_packets_the_helper_and_the_network_map_fire_and_clear() {
	local helper
	helper=$(status .keystream.pid)
	rm -f "$RUN/stop-flood"
	finally "touch $RUN/stop-flood; kill -CONT $helper; mesh push"
	quiet TalonDropsAboveBaseline node
	quiet TalonKeystreamHelperGone node
	quiet TalonMapHeldBack node2
	spawn flood lap $NET flood $NODE $PORT data "$RUN/stop-flood" --rate 300
	kill -STOP "$helper"
	mesh empty node2
	fires TalonDropsAboveBaseline node
	fires TalonKeystreamHelperGone node
	fires TalonMapHeldBack node2
	touch "$RUN/stop-flood"
	kill -CONT "$helper"
	mesh push
	quiet TalonDropsAboveBaseline node
	quiet TalonKeystreamHelperGone node
	quiet TalonMapHeldBack node2
}

take_over() { stop node KILL; talon_up node "$RUN/node.conf"; }

test_alerts_of_the_datapath_and_of_a_missing_scrape_fire_and_clear() {
	quiet TalonNoController node
	quiet TalonNotReady node
	quiet TalonScrapeDown node2
	stop node2 KILL
	stop node KILL
	bpftool link detach pinned "$PIN"/v*/links/xdp-"$(ip -n "$P-node" -j link show eth0 | jq '.[0].ifindex')"
	fires TalonNoController node
	fires TalonProgramNotAttached node
	fires TalonNotReady node
	fires TalonScrapeDown node2
	scraped_member
	take_over
	quiet TalonNoController node
	quiet TalonProgramNotAttached node
	quiet TalonNotReady node
	quiet TalonScrapeDown node2
	quiet TalonControllerRestarts node
	take_over
	take_over
	take_over
	fires TalonControllerRestarts node
}

test_alert_of_a_deleted_peer_fires() {
	quiet TalonNeedsLogin node2
	mesh delete node2
	fires TalonNeedsLogin node2
}
