# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The chart on a real kubelet: installed, used, upgraded, restarted, broken and removed, while a laptop of the mesh talks to a gateway.
# `make test-kube` runs it; `make test` does not, for Kubernetes has to be built first.

. "$E2E/mesh/mesh.sh"
. "$CASES/node.sh"

CHART=${CHART:-$E2E/../../charts/talon}
IMAGE=localhost/talon
RESTARTS=${RESTARTS:-20}
VERSION=$(sed -n 's/^appVersion: *"*\([^"]*\)"*/\1/p' "$CHART/Chart.yaml")
SELECTOR=app.kubernetes.io/name=talon

setup() {
	kube_needs
	mesh_setup lap node gw
	servers_up gw
	mesh key "$SETUP_KEY" valid
	kube_start node
	kube_load
	kubectl create namespace talon
	kubectl -n talon create secret generic setup-key --from-literal=setup-key="$SETUP_KEY"
	# Whatever the cluster adds when it runs a first pod is there before the snapshots.
	kubectl run first --image=localhost/busybox:1 --restart=Never --command -- sleep 100000
	wait_for 30 "a pod of the bridge" pod_runs default first
	member_up lap
}

teardown() { kube_stop wipe; }

pod_runs() { [ "$(kubectl -n "$1" get pod "$2" -o jsonpath='{.status.phase}')" = Running ]; }

# The image, under its own tag and another one, for upgrades.
kube_load() {
	local archive
	archive=$(ls "$BUILD"/image/talon-*-amd64.oci.tar 2>/dev/null | head -1)
	[ -n "$archive" ] || skip "there is no image in $BUILD/image: make image"
	kube ctr -n k8s.io images import "$archive" >/dev/null
	kube ctr -n k8s.io images tag --force "$IMAGE:$VERSION" "$IMAGE:next" >/dev/null
}

# --- The release ---

release() { # install|upgrade [HELM-ARGUMENT...]: with the three values that a mesh needs
	local what=$1
	shift
	kube timeout 180 helm -n talon "$what" talon "$CHART" --set image.repository=$IMAGE --set mesh.managementUrl="http://$MESH_HOST:8080" \
		--set setupKey.existingSecret=setup-key --wait --timeout 120s "$@" >"$RUN/log/helm" 2>&1 || { cat "$RUN/log/helm"; pod_says; fail "helm $what"; }
}

release_once() { # as it was installed at first
	kube helm -n talon status talon >/dev/null 2>&1 || release install
	wait_for 60 "the pod to be ready" pod_is_ready $SELECTOR
	mesh route lan peer=node1 network=192.168.1.0/24
	wait_for 30 "a direct way from the laptop" has_way lap node1 P2P
	wait_for 20 "the gateway" answers lap $GW
}

unrelease() {
	kube helm -n talon status talon >/dev/null 2>&1 || return 0
	kube timeout 180 helm -n talon uninstall talon --wait --timeout 120s >"$RUN/log/helm" 2>&1 || { cat "$RUN/log/helm"; fail "helm uninstall"; }
}

pod_says() { kubectl -n talon get pods -o wide; kubectl -n talon describe pods | tail -30; kubectl -n talon logs -l $SELECTOR --tail=20; }

in_pod() { kubectl -n talon exec "$(pod_of $SELECTOR)" -- "$@"; }

pod_netbird() { in_pod netbird status "$@"; }

restarts() { kubectl -n talon get pods -l $SELECTOR -o jsonpath='{.items[0].status.containerStatuses[0].restartCount}'; }

uid_of_pod() { kubectl -n talon get pods -l $SELECTOR -o jsonpath='{.items[*].metadata.uid}'; }

another_pod() { [ "$(uid_of_pod)" != "$1" ] && pod_is_ready $SELECTOR; }

nodes_in_mesh() { mesh status | jq '[.peers[] | select(.name | startswith("node1"))] | length'; }

# The same peer with the same address, and exactly one of it; and the flow that was under way lost nothing.
same_peer() { # WHAT
	equal "$1: address" "$ADDRESS_BEFORE" "$(mesh_ip node1)"
	equal "$1: key" "$KEY_BEFORE" "$(mesh peer node1 key)"
	equal "$1: peers of this node in the mesh" 1 "$(nodes_in_mesh)"
}

before() {
	release_once
	ADDRESS_BEFORE=$(mesh_ip node1)
	KEY_BEFORE=$(mesh peer node1 key)
	flow_start lap $GW 0.01
	wait_for 10 "the flow" flow_answers 100
}

# --- Cases ---

test_three_values_make_a_peer_that_is_ready_and_carries_packets() {
	local start ready first
	unrelease
	mesh delete node1 2>/dev/null || true
	mesh route lan peer=node1 network=192.168.1.0/24 keep=1 2>/dev/null || true
	start=${EPOCHREALTIME/./}
	release install
	ready=${EPOCHREALTIME/./}
	mesh route lan peer=node1 network=192.168.1.0/24
	wait_for 20 "the first answer" answers lap $GW
	first=${EPOCHREALTIME/./}
	note "ready after $(((ready - start) / 1000)) ms, first packet after $(((first - start) / 1000)) ms"
	fetch_page lap
	saw gw $NODE
}

test_status_in_the_pod_is_what_scripts_for_netbird_look_for() {
	release_once
	pod_netbird >"$RUN/log/said"
	cat "$RUN/log/said"
	grep -qx "Management: Connected" "$RUN/log/said"
	grep -qx "Signal: Connected" "$RUN/log/said"
	grep -qE "^Peers count: 1/1 Connected" "$RUN/log/said"
	grep -qE "^NetBird IP: $(mesh_ip node1)/" "$RUN/log/said"
	pod_netbird --json | jq -e '.management.connected and .signal.connected and .peers.connected == 1'
	in_pod talon status --json | jq -e '.talon.ready // .ready'
	in_pod talon status --check ready
}

test_the_key_is_not_in_the_environment_and_the_pod_has_four_capabilities() {
	local pod pid
	release_once
	pod=$(pod_of $SELECTOR)
	kubectl -n talon get pod "$pod" -o json | jq -e '.spec.containers[0].securityContext | .capabilities == {add: ["BPF", "NET_ADMIN", "PERFMON", "NET_RAW"], drop: ["ALL"]} and
		.readOnlyRootFilesystem and (.privileged | not) and .allowPrivilegeEscalation == false'
	not found -F "$SETUP_KEY" <<<"$(in_pod talon debug config 2>&1)"
	pid=$(kube pgrep -x talon | head -1)
	not grep -qaF "$SETUP_KEY" <(kube cat "/proc/$pid/environ")
	equal "tokens in the pod" 0 "$(kubectl -n talon get pod "$pod" -o json | jq '[.spec.volumes[] | select(.projected)] | length')"
}

test_a_deleted_pod_loses_no_packet() {
	local uid
	before
	uid=$(uid_of_pod)
	kubectl -n talon delete pod "$(pod_of $SELECTOR)" --wait=true >/dev/null
	wait_for 60 "another pod" another_pod "$uid"
	flow_end "pod deleted" 300
	same_peer "pod deleted"
}

test_an_upgrade_and_its_rollback_lose_no_packet() {
	local uid
	before
	uid=$(uid_of_pod)
	release upgrade --set image.tag=next
	wait_for 60 "another pod" another_pod "$uid"
	equal "image" "$IMAGE:next" "$(kubectl -n talon get pods -l $SELECTOR -o jsonpath='{.items[0].spec.containers[0].image}')"
	uid=$(uid_of_pod)
	kube timeout 120 helm -n talon rollback talon 1 --wait >/dev/null
	wait_for 60 "the pod of before" another_pod "$uid"
	equal "image" "$IMAGE:$VERSION" "$(kubectl -n talon get pods -l $SELECTOR -o jsonpath='{.items[0].spec.containers[0].image}')"
	flow_end "upgrade and rollback" 500
	same_peer "upgrade and rollback"
}

test_containerd_and_the_kubelet_restart_without_losing_a_packet() {
	local uid
	before
	uid=$(uid_of_pod)
	kube_restart containerd
	kube_restart kubelet
	wait_for 60 "the node to be ready" kube_ready
	wait_for 60 "the pod to be ready" pod_is_ready $SELECTOR
	flow_end "containerd and kubelet restarted" 300
	equal "the pod" "$uid" "$(uid_of_pod)"
	equal "restarts" 0 "$(restarts)"
	same_peer "containerd and kubelet restarted"
}

# Beside the flow goes another one that does not pass through Talon: what both lose, the machine lost.
test_the_container_killed_many_times_loses_no_packet() {
	local n pid
	before
	finally "stop beside KILL"
	spawn beside lap ping -D -i 0.01 $MESH_HOST
	for ((n = 1; n <= RESTARTS; n++)); do
		pid=$(kube pgrep -o -x talon)
		kube kill -KILL "$pid"
		wait_for 10 "the end of $pid" not kube test -e "/proc/$pid"
		# The kubelet waits longer and longer before it starts a container again; a new pod has no such history.
		kubectl -n talon delete pod "$(kubectl -n talon get pods -l $SELECTOR -o jsonpath='{.items[0].metadata.name}')" --grace-period=1 >/dev/null
		wait_for 60 "pod $n to be ready" pod_is_ready $SELECTOR
	done
	stop beside INT
	note "beside it, without Talon: $(grep transmitted "$RUN/log/beside")"
	flow_end "killed $RESTARTS times" 1000
	same_peer "killed $RESTARTS times"
}

test_the_api_server_is_away_and_the_pod_does_not_care() {
	before
	kube_end apiserver
	finally "kube_restart apiserver"
	fetch_and_put lap medium
	kube_restart apiserver
	wait_for 60 "the node to be ready" kube_ready
	wait_for 60 "the pod to be ready" pod_is_ready $SELECTOR
	flow_end "API server away" 300
	equal "restarts" 0 "$(restarts)"
	same_peer "API server away"
}

test_an_old_pod_that_hangs_does_not_hold_up_the_next_one() {
	local uid
	before
	uid=$(uid_of_pod)
	kube kill -STOP "$(kube pgrep -o -x talon)"
	kubectl -n talon delete pod "$(pod_of $SELECTOR)" --grace-period=2 >/dev/null
	wait_for 60 "another pod" another_pod "$uid"
	wait_for 30 "the gateway" answers lap $GW
	stop flow INT
	note "a pod that hung was replaced: $(grep transmitted "$RUN/log/flow")"
	same_peer "a pod that hung was replaced"
}

test_too_little_memory_is_one_line() {
	unrelease
	kube timeout 100 helm -n talon install talon "$CHART" --set image.repository=$IMAGE --set mesh.managementUrl="http://$MESH_HOST:8080" \
		--set setupKey.existingSecret=setup-key --set resources.limits.memory=24Mi --set resources.requests.memory=24Mi >/dev/null
	finally unrelease
	wait_for 60 "the pod to say why" pod_ended "memory"
	kubectl -n talon get pods -l $SELECTOR -o jsonpath='{.items[0].status.containerStatuses[0].lastState.terminated.message}' >"$RUN/log/said"
	cat "$RUN/log/said"
	tail -1 "$RUN/log/said" | grep -qE "[0-9]+ MiB.*[0-9]+ MiB"
}

pod_ended() { # PATTERN: of its termination message
	kubectl -n talon get pods -l $SELECTOR -o jsonpath='{.items[0].status.containerStatuses[0].lastState.terminated.message}' | found -iE "$1"
}

test_uninstalled_nothing_is_left_on_the_node() {
	unrelease
	wait_for 60 "no pods" no_pods
	snapshot node "$RUN/before"
	kube find /sys/fs/bpf -mindepth 1 >"$RUN/pins.before"
	release_once
	fetch_page lap
	unrelease
	wait_for 60 "no pods" no_pods
	snapshot node "$RUN/after"
	rm "$RUN"/{before,after}/pins	# of the laptop, whose maps grow and shrink; those of the node are compared below
	same_snapshot "$RUN/before" "$RUN/after"
	equal "pins" "$(cat "$RUN/pins.before")" "$(kube find /sys/fs/bpf -mindepth 1)"
	equal "what is left in the namespace" "" "$(kubectl -n talon get all,configmaps,roles,rolebindings -o name | grep -v -e kube-root-ca -e serviceaccount/default || true)"
}

no_pods() { [ -z "$(kubectl -n talon get pods -o name)" ]; }

test_a_rebooted_node_is_the_same_peer() {
	release_once
	ADDRESS_BEFORE=$(mesh_ip node1)
	KEY_BEFORE=$(mesh peer node1 key)
	kube_stop
	ip -n "$P-rtr" link del p-node
	ip netns del "$P-node"
	host_add node
	kube_start node
	kube_load
	wait_for 120 "the pod to be ready" pod_is_ready $SELECTOR
	wait_for 30 "the gateway" answers lap $GW
	same_peer "node rebooted"
	fetch_page lap
	saw gw $NODE
}
