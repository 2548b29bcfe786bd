# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A real kubelet with its API server on a host of the topology. Sourced by bash after lib.sh; inside.sh is what runs there.
#
# kube_start node makes one process tree in mount, pid, uts, ipc and cgroup namespaces of its own, within the host's network namespace. Killing
# its first process ends all of it; what Kubernetes keeps is in $RUN/kube and outlives a restart, as a node's disk does.

KUBE=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
KUBE_PARTS=$(readlink -m "${KUBE_PARTS:-$BUILD/kube}")
KUBE_PODS=10.78.0.0/24 KUBE_SERVICES=10.96.0.0/16

kube_needs() {
	needs go openssl
	[ -d /sys/fs/cgroup/memory ] || skip "the kubelet here needs the controllers of cgroup v1 as folders of /sys/fs/cgroup"
	"$KUBE/parts.sh" "$KUBE_PARTS" >"$RUN/log/parts" 2>&1 || { tail -5 "$RUN/log/parts"; skip "the parts of Kubernetes cannot be built here"; }
}

kube_start() { # HOST: until its node is ready
	local host=$1 controller own folder
	mkdir -p "$RUN"/kube/{etc,var,log,run}
	kube_certificates
	: >"$RUN/kube/run/cgroups"
	for controller in cpu cpuacct cpuset memory devices freezer blkio pids systemd; do
		own=$(awk -F: -v c=$controller '$2 == c || $2 == "name=" c || $2 ~ "(^|,)" c "(,|$)" { print $3; exit }' /proc/self/cgroup)
		folder=/sys/fs/cgroup/$controller${own%/}/$P-kube
		mkdir -p "$folder"
		echo "$folder" >>"$RUN/kube/run/cgroups"
		[ $controller != cpuset ] || cp "${folder%/*}/cpuset.cpus" "${folder%/*}/cpuset.mems" "$folder/" 2>/dev/null || true
	done
	# A shell of its own enters the groups, so that the runner stays where it is.
	spawn kube "$host" bash -c 'while read -r d; do echo $$ >"$d/cgroup.procs"; done <"$0/run/cgroups"
		exec unshare -m -p -f -u -i -C --mount-proc --propagation private --kill-child "$1" start "$0" "$2" "$3"' \
		"$RUN/kube" "$KUBE/inside.sh" "$KUBE_PARTS" "${ADDRESS[$host]%/*}"
	wait_for 30 "the first process of the node" kube_init
	wait_for 60 "the node to be ready" kube_ready
}

kube_init() { # prints the pid of the node's first process, as seen from here
	pgrep -P "$(pid_of kube)" | head -1 | found .
	pgrep -P "$(pid_of kube)" | head -1 >"$RUN/kube/run/init.pid"
}

# Ready, and without the taint of a node that is not: a DaemonSet made while it is there counts as rolled out with no pod at all.
kube_ready() {
	[ "$(kubectl get node node1 -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}{.spec.taints}')" = True ]
}

kube_stop() { # [wipe]: as a power failure; wipe forgets the disk, too
	local folder
	[ -e "$RUN/kube/run/init.pid" ] || return 0
	kill -KILL "$(cat "$RUN/kube/run/init.pid")" 2>/dev/null || true
	finished kube 20 || true
	rm -f "$RUN/proc/kube" "$RUN/kube/run/init.pid"
	while read -r folder; do
		wait_for 10 "the end of the processes in $folder" kube_group_is_gone "$folder" || true
	done <"$RUN/kube/run/cgroups"
	[ "${1:-}" != wipe ] || rm -rf "$RUN/kube"
}

kube_group_is_gone() { find "$1" -depth -type d -exec rmdir {} + 2>/dev/null; [ ! -e "$1" ]; }

# A command inside the node: its files, its processes, its network.
kube() {
	nsenter -t "$(cat "$RUN/kube/run/init.pid")" -m -n -p -u -i -C --wdns="$PWD" -- env PATH="$KUBE_PARTS/bin:$KUBE_PARTS/root/usr/bin:$KUBE_PARTS/root/usr/sbin:$PATH" \
		KUBECONFIG="$RUN/kube/etc/admin.kubeconfig" HELM_CACHE_HOME=/run/helm HELM_CONFIG_HOME=/run/helm HELM_DATA_HOME=/run/helm "$@"
}

kubectl() { kube timeout 60 kubectl "$@"; }

kube_restart() { # etcd, containerd, apiserver, controllers, scheduler, kubelet or proxy
	kube "$KUBE/inside.sh" restart "$RUN/kube" "$KUBE_PARTS" "${ADDRESS[node]%/*}" "$1"
}

kube_end() { kube "$KUBE/inside.sh" end "$RUN/kube" "$KUBE_PARTS" "${ADDRESS[node]%/*}" "$1"; }	# one part, for good

kube_certificates() {
	local e=$RUN/kube/etc address=${ADDRESS[node]%/*}
	[ ! -e "$e/sa.pub" ] || return 0
	openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -keyout "$e/ca.key" -out "$e/ca.crt" -subj /CN=ca 2>/dev/null
	certificate apiserver /CN=kube-apiserver "IP:$address,IP:127.0.0.1,IP:10.96.0.1,DNS:kubernetes.default.svc"
	certificate admin /O=system:masters/CN=admin
	certificate node1 /O=system:nodes/CN=system:node:node1 "IP:$address,DNS:node1"
	certificate controllers /CN=system:kube-controller-manager
	certificate scheduler /CN=system:kube-scheduler
	certificate proxy /CN=system:kube-proxy
	openssl genrsa -out "$e/sa.key" 2048 2>/dev/null
	openssl rsa -in "$e/sa.key" -pubout -out "$e/sa.pub" 2>/dev/null
}

certificate() { # NAME SUBJECT [OTHER-NAMES]: and a kubeconfig with it
	local e=$RUN/kube/etc
	openssl req -newkey rsa:2048 -nodes -keyout "$e/$1.key" -out "$e/$1.csr" -subj "$2" 2>/dev/null
	openssl x509 -req -in "$e/$1.csr" -CA "$e/ca.crt" -CAkey "$e/ca.key" -CAcreateserial -days 3650 -out "$e/$1.crt" \
		-extfile <(printf 'extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=%s\n' "${3:-DNS:$1}") 2>/dev/null
	cat >"$e/$1.kubeconfig" <<-END
		apiVersion: v1
		kind: Config
		clusters: [{name: test, cluster: {server: "https://${ADDRESS[node]%/*}:6443", certificate-authority: $e/ca.crt}}]
		users: [{name: user, user: {client-certificate: $e/$1.crt, client-key: $e/$1.key}}]
		contexts: [{name: test, context: {cluster: test, user: user}}]
		current-context: test
	END
}

# --- What the cases ask ---

pod_of() { kubectl -n "${NAMESPACE:-talon}" get pods -l "$1" --field-selector=status.phase=Running -o jsonpath='{.items[0].metadata.name}'; }	# SELECTOR

pod_is_ready() { # SELECTOR: one pod, ready and not on its way out
	[ "$(kubectl -n "${NAMESPACE:-talon}" get pods -l "$1" -o jsonpath='{range .items[*]}{.metadata.deletionTimestamp}{.status.conditions[?(@.type=="Ready")].status}{end}')" = True ]
}
