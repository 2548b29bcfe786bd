#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What runs inside the namespaces that node.sh makes: the parts of a one-node Kubernetes, as children of this script, which is process 1 there.
#
#   inside.sh start STATE PARTS ADDRESS
#   inside.sh restart|end STATE PARTS ADDRESS PART
set -u
state=$2 parts=$3 address=$4
e=$state/etc
export PATH=$parts/bin:$parts/root/usr/bin:$parts/root/usr/sbin:$PATH KUBECONFIG=$e/admin.kubeconfig
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY

# Only this mount namespace sees them. Folders of the machine are lower layers, never written to.
mounts() {
	local d pair file
	mount -t sysfs sysfs /sys
	mount -t bpf bpf /sys/fs/bpf
	mount -t tmpfs -o mode=755 groups /sys/fs/cgroup
	for d in cpu cpuacct cpuset memory devices freezer blkio pids; do
		mkdir "/sys/fs/cgroup/$d"
		mount -t cgroup -o "$d" cgroup "/sys/fs/cgroup/$d"
	done
	mkdir /sys/fs/cgroup/systemd
	mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
	for d in etc var opt usr; do
		mkdir -p "$state/var/layers/$d".{upper,work}
		mount -t overlay -o "lowerdir=$([ $d = usr ] && echo "$parts/root/usr:")/$d,upperdir=$state/var/layers/$d.upper,workdir=$state/var/layers/$d.work" layer "/$d"
	done
	for d in lib/containerd lib/kubelet lib/etcd log; do
		mkdir -p "/var/$d" "$state/var/$d"
		mount --bind "$state/var/$d" "/var/$d"
	done
	mount -t tmpfs -o mode=755 run /run
	mkdir -p /run/lock /run/sysctls /run/netns
	# The kubelet sets these for the whole machine unless they are so already; it is shown files where they are.
	for pair in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
		file=/run/sysctls/${pair%=*}
		mkdir -p "${file%/*}"
		echo "${pair#*=}" >"$file"
		mount --bind "$file" "/proc/sys/${pair%=*}"
	done
	mount --make-rshared /
}

settings() {
	hostname node1
	echo "$address node1" >>/etc/hosts
	: >/etc/resolv.conf
	mkdir -p /etc/cni/net.d /opt/cni/bin /etc/containerd
	cp "$parts"/root/usr/lib/cni/* /opt/cni/bin/
	cat >/etc/cni/net.d/10-bridge.conflist <<-END
		{"cniVersion": "0.4.0", "name": "bridge", "plugins": [
			{"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true, "ipam": {"type": "host-local",
				"ranges": [[{"subnet": "10.78.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
			{"type": "portmap", "capabilities": {"portMappings": true}}]}
	END
	cat >/etc/containerd/config.toml <<-END
		version = 2
		[plugins."io.containerd.grpc.v1.cri"]
		  sandbox_image = "localhost/pause:1"
		  restrict_oom_score_adj = true
		[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
		  runtime_type = "io.containerd.runc.v2"
	END
	cat >"$e/kubelet.yaml" <<-END
		apiVersion: kubelet.config.k8s.io/v1beta1
		kind: KubeletConfiguration
		authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $e/ca.crt}}
		authorization: {mode: Webhook}
		address: $address
		tlsCertFile: $e/node1.crt
		tlsPrivateKeyFile: $e/node1.key
		containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
		cgroupDriver: cgroupfs
		failCgroupV1: false
		failSwapOn: false
		imageGCHighThresholdPercent: 100
		imageGCLowThresholdPercent: 99
		evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 1%}
	END
}

run() { # NAME COMMAND...
	local name=$1
	shift
	"$@" >>"$state/log/$name" 2>&1 </dev/null &
	echo $! >"/run/$name.part"
}

part() {
	case $1 in
	etcd) run etcd etcd --data-dir=/var/lib/etcd --unsafe-no-fsync --listen-client-urls=http://127.0.0.1:2379 --advertise-client-urls=http://127.0.0.1:2379 \
		--listen-peer-urls=http://127.0.0.1:2380 ;;
	containerd) run containerd containerd ;;
	apiserver) run apiserver kube-apiserver --etcd-servers=http://127.0.0.1:2379 --bind-address=0.0.0.0 --advertise-address="$address" \
		--service-cluster-ip-range=10.96.0.0/16 --client-ca-file="$e/ca.crt" --tls-cert-file="$e/apiserver.crt" --tls-private-key-file="$e/apiserver.key" \
		--service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$e/sa.pub" --service-account-signing-key-file="$e/sa.key" \
		--authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true \
		--kubelet-certificate-authority="$e/ca.crt" --kubelet-client-certificate="$e/admin.crt" --kubelet-client-key="$e/admin.key" ;;
	controllers) run controllers kube-controller-manager --kubeconfig="$e/controllers.kubeconfig" --bind-address=127.0.0.1 \
		--service-account-private-key-file="$e/sa.key" --root-ca-file="$e/ca.crt" --use-service-account-credentials --leader-elect=false \
		--allocate-node-cidrs --cluster-cidr=10.78.0.0/16 --node-cidr-mask-size=24 ;;
	scheduler) run scheduler kube-scheduler --kubeconfig="$e/scheduler.kubeconfig" --bind-address=127.0.0.1 --leader-elect=false ;;
	kubelet) run kubelet kubelet --config="$e/kubelet.yaml" --kubeconfig="$e/node1.kubeconfig" --hostname-override=node1 --node-ip="$address" ;;
	proxy) run proxy kube-proxy --kubeconfig="$e/proxy.kubeconfig" --hostname-override=node1 --proxy-mode="${PROXY:-iptables}" --cluster-cidr=10.78.0.0/16 \
		--conntrack-max-per-core=0 --healthz-bind-address=127.0.0.1:10256 ;;
	*) echo "no part is called $1" >&2; exit 2 ;;
	esac
}

end() {
	local pid n=0
	pid=$(cat "/run/$1.part")
	kill "$pid" 2>/dev/null || return 0
	while kill -0 "$pid" 2>/dev/null && [ "$(cut -d' ' -f3 "/proc/$pid/stat" 2>/dev/null)" != Z ]; do
		sleep 0.1
		[ $((n += 1)) -lt 30 ] || kill -KILL "$pid"
	done
}

case $1 in
start)
	mounts
	settings
	for p in etcd containerd apiserver; do part $p; done
	until ctr version >/dev/null 2>&1; do sleep 0.2; done
	for p in "$parts"/img/*.tar; do ctr -n k8s.io images import "$p"; done
	until kubectl get --raw /readyz >/dev/null 2>&1; do sleep 0.2; done
	for p in controllers scheduler kubelet proxy; do part $p; done
	while :; do wait -n || sleep 1; done
	;;
restart) end "$5"; part "$5" ;;
end) end "$5" ;;
esac
