#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Fetch one Debian kernel and unpack it: kernel.sh 6.1|6.12|6.1-arm64|6.12-arm64. Prints the folder that holds it; exits 77
# when it cannot be had.
#
# The folder, $BUILD/vm/<kernel>, holds vmlinuz, release (the version's name) and lib/modules/<release> with its
# modules.dep. Packages come by apt from the Debian mirror that this machine uses already, through a private
# configuration: the machine's own lists stay as they are.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
want=${1:?usage: kernel.sh 6.1|6.12|6.1-arm64|6.12-arm64}
version=${want%-arm64} arch=amd64
[ "$version" = "$want" ] || arch=arm64
build=${BUILD:-build}
mkdir -p "$build/vm"
build=$(cd "$build" && pwd)
dir=$build/vm/$want
apt=$build/vm/apt-$want
# shellcheck source=/dev/null
. "$here/../../manifests/image/apt.sh"

unavailable() {
	rm -rf "$apt" "$dir.new"
	echo "kernel $want: $*" >&2
	exit 77
}

# The plain kernel's newest build: not the cloud, rt, unsigned or dbg flavours.
newest_package() {
	apt_private apt-cache pkgnames "linux-image-$version." |
		grep -E "^linux-image-[0-9.]+[0-9](-[0-9]+|\+deb12(\.[0-9]+)?)-$arch$" | sort -V | tail -n 1 || true
}

fetch() {
	local package why

	[ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] || unavailable "needs a Debian host of architecture amd64"
	rm -rf "$dir" "$apt"
	why=$(APT_SECURITY=no apt_begin "$apt" "$arch" bookworm bookworm-backports 2>&1) || unavailable "$why"
	apt_dir=$apt apt_arch=$arch
	package=$(newest_package)
	[ -n "$package" ] || unavailable "no linux-image-$version.*-$arch in bookworm or bookworm-backports"
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
