#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Fetch one Debian kernel and unpack it: kernel.sh 6.1|6.12. Prints the folder that holds it; exits 77 when it cannot
# be had.
#
# The folder, $BUILD/vm/<kernel>, holds vmlinuz, release (the version's name) and lib/modules/<release> with its
# modules.dep. Packages come by apt from the Debian mirror that this machine uses already, through a private
# configuration: the machine's own lists stay as they are.
set -euo pipefail

want=${1:?usage: kernel.sh 6.1|6.12}
build=${BUILD:-build}
mkdir -p "$build/vm"
build=$(cd "$build" && pwd)
dir=$build/vm/$want
apt=$build/vm/apt-$want

unavailable() {
	rm -rf "$apt" "$dir.new"
	echo "kernel $want: $*" >&2
	exit 77
}

mirror() {
	{ cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null || true; } |
		sed -nE 's/^(URIs:|deb( +\[[^]]*\])?) +([^ ]+\/debian(\.list)?)\/?( .*)?$/\3/p' | sed -n 1p
}

apt_private() {
	local tool=$1
	shift
	"$tool" -q -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::State::lists="$apt/lists" -o Dir::State::status=/dev/null \
		-o Dir::Cache="$apt/cache" -o APT::Sandbox::User=root "$@"
}

# The plain kernel's newest build: not the cloud, rt, unsigned or dbg flavours.
newest_package() {
	apt_private apt-cache pkgnames "linux-image-$want." |
		grep -E "^linux-image-[0-9.]+[0-9](-[0-9]+|\+deb12(\.[0-9]+)?)-amd64$" | sort -V | tail -n 1 || true
}

fetch() {
	local base keyring package

	[ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] || unavailable "needs a Debian host of architecture amd64"
	base=$(mirror)
	[ -n "$base" ] || unavailable "no Debian mirror in /etc/apt/sources.list*"
	keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	rm -rf "$dir" "$apt"
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
	for suite in bookworm bookworm-backports; do
		echo "deb $([ -e $keyring ] && echo "[signed-by=$keyring]") $base $suite main"
	done >"$apt/sources.list"
	apt_private apt-get update >"$apt/log" 2>&1 || unavailable "apt-get update: $(tail -n 1 "$apt/log")"
	package=$(newest_package)
	[ -n "$package" ] || unavailable "no linux-image-$want.*-amd64 in bookworm or bookworm-backports"
	(cd "$apt" && apt_private apt-get download "$package" >>log 2>&1) ||
		unavailable "apt-get download $package: $(tail -n 1 "$apt/log")"
	unpack "$package" "$apt/$package"_*.deb
	rm -rf "$apt"
}

unpack() {
	local release=${1#linux-image-}

	rm -rf "$dir.new"
	dpkg-deb -x "$2" "$dir.new"
	mv "$dir.new/boot/vmlinuz-$release" "$dir.new/vmlinuz"
	echo "$release" >"$dir.new/release"
	depmod -b "$dir.new" "$release"
	mv "$dir.new" "$dir"
}

[ -e "$dir/release" ] || fetch
echo "$dir"
