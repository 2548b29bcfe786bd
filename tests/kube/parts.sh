#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The parts of a Kubernetes node for `make test-kube`: containerd, runc and what they need from Debian's packages (unpacked, not installed), Kubernetes,
# etcd and helm built from their Go modules. What is there already is not built again. Several minutes the first time.
#
#   parts.sh FOLDER		makes FOLDER/bin, FOLDER/root (a tree of Debian's files), FOLDER/img (images for containerd)
set -euo pipefail

VERSION=${KUBE_VERSION:-1.34.4}
HELM=${KUBE_HELM:-helm.sh/helm/v3/cmd/helm@v3.19.0}
COMMANDS="kube-apiserver kubelet kube-controller-manager kube-scheduler kubectl kube-proxy"
PACKAGES="containerd runc containernetworking-plugins busybox-static iptables libip4tc2 libip6tc2 libxtables12 libnftnl11
	libnetfilter-conntrack3 libnfnetlink0 conntrack ipset libipset13"

parts=$(readlink -m "${1:?folder}")
export GOFLAGS="-p=$(nproc) -buildvcs=false" GOTOOLCHAIN=local CGO_ENABLED=0

debian_files() {
	local d
	[ ! -x "$parts/root/usr/bin/containerd" ] || return 0
	mkdir -p "$parts"/{debs,root}
	# shellcheck disable=SC2086
	(cd "$parts/debs" && apt-get download $PACKAGES >/dev/null)
	for d in "$parts"/debs/*.deb; do dpkg-deb -x "$d" "$parts/root"; done
	# Debian chooses between two iptables by links that a package's script makes.
	for d in iptables ip6tables iptables-save iptables-restore ip6tables-save ip6tables-restore; do
		ln -sf xtables-nft-multi "$parts/root/usr/sbin/$d"
	done
}

# Kubernetes is no module that others can require as it is: it names its own parts as v0.0.0 and replaces them by folders of its repository.
kubernetes() {
	local minor=${VERSION#1.} package=k8s.io/component-base/version command mod
	[ ! -x "$parts/bin/kube-proxy" ] || return 0
	mkdir -p "$parts"/{src,bin}
	cd "$parts/src"
	go mod download "k8s.io/kubernetes@v$VERSION"
	mod=$(go env GOMODCACHE)/cache/download/k8s.io/kubernetes/@v/v$VERSION.mod
	{
		echo "module local/kube"
		grep -E '^(go|godebug) ' "$mod"
		echo "require k8s.io/kubernetes v$VERSION"
		awk -v v="v0.$minor" '$1 ~ /^k8s.io\// && $2 == "v0.0.0" {print "replace " $1 " => " $1 " " v}' "$mod"
	} >go.mod
	{
		printf '//go:build tools\npackage tools\nimport (\n'
		for command in $COMMANDS; do echo "_ \"k8s.io/kubernetes/cmd/$command\""; done
		printf '_ "go.etcd.io/etcd/server/v3"\n)\n'
	} >tools.go
	go mod tidy -e >/dev/null 2>&1
	go build -trimpath -ldflags "-s -w" -o "$parts/bin/etcd" go.etcd.io/etcd/server/v3
	for command in $COMMANDS; do
		go build -trimpath -ldflags "-s -w -X $package.gitVersion=v$VERSION -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*} \
			-X $package.gitTreeState=clean" -o "$parts/bin/$command" "k8s.io/kubernetes/cmd/$command"
	done
}

helm() {
	[ ! -x "$parts/bin/helm" ] || return 0
	(cd / && GOBIN=$parts/bin go install -trimpath -ldflags "-s -w" "$HELM")
}

# An image whose one layer is a folder, in the format of `docker save`.
image() { # NAME FOLDER FILE ENTRYPOINT...
	/usr/bin/python3 - "$@" <<-'END'
		import hashlib, io, json, os, platform, sys, tarfile
		name, folder, out, entrypoint = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
		def plain(info):
		    info.mtime = info.uid = info.gid = 0
		    return info
		layer = io.BytesIO()
		with tarfile.open(fileobj=layer, mode="w") as tar:
		    for entry in sorted(os.listdir(folder)):
		        tar.add(os.path.join(folder, entry), entry, filter=plain)
		layer = layer.getvalue()
		machine = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
		config = json.dumps({"architecture": machine, "os": "linux", "config": {"Entrypoint": entrypoint, "Env": ["PATH=/bin"]},
		    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]}}).encode()
		config_name = hashlib.sha256(config).hexdigest() + ".json"
		manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
		with tarfile.open(out, "w") as tar:
		    for member, data in (("layer.tar", layer), (config_name, config), ("manifest.json", manifest)):
		        info = tarfile.TarInfo(member)
		        info.size = len(data)
		        tar.addfile(info, io.BytesIO(data))
	END
}

images() {
	local applet
	[ ! -e "$parts/img/busybox.tar" ] || return 0
	mkdir -p "$parts"/img/{pause,busybox/bin,busybox/etc,busybox/tmp}
	gcc -O2 -static -s -x c -o "$parts/img/pause/pause" - <<-'END'
		#include <signal.h>
		#include <sys/wait.h>
		#include <unistd.h>
		static void end(int sig) { (void)sig; _exit(0); }
		static void reap(int sig) { (void)sig; while (waitpid(-1, 0, WNOHANG) > 0) continue; }
		int main(void) { signal(SIGINT, end); signal(SIGTERM, end); signal(SIGCHLD, reap); for (;;) pause(); }
	END
	cp "$parts/root/bin/busybox" "$parts/img/busybox/bin/"
	for applet in $("$parts/root/bin/busybox" --list); do
		[ "$applet" = busybox ] || ln -sf busybox "$parts/img/busybox/bin/$applet"
	done
	image localhost/pause:1 "$parts/img/pause" "$parts/img/pause.tar" /pause
	image localhost/busybox:1 "$parts/img/busybox" "$parts/img/busybox.tar.new" /bin/sh
	mv "$parts/img/busybox.tar.new" "$parts/img/busybox.tar"
}

command -v go >/dev/null || { echo "Go is needed to build Kubernetes"; exit 77; }
debian_files
kubernetes
helm
images
