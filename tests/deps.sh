#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Installs the Debian packages that a part of the project needs and that are missing.
#
#   deps.sh build|image|cross|vm_arm64|test|lint|demo ...
#   deps.sh --list sysroot|vm_sysroot      names packages for sysroot.sh, and installs nothing
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")

build="gcc make clang llvm libc6-dev linux-libc-dev pkg-config bpftool libbpf-dev libxdp-dev libelf-dev zlib1g-dev
	libsodium-dev libb2-dev libmnl-dev libnghttp2-dev libc-ares-dev libssl-dev libjansson-dev libprotobuf-c-dev
	protobuf-c-compiler libcurl4-openssl-dev libqrencode-dev libyaml-dev libsqlite3-dev"
unit="libcmocka-dev sqlite3 libclang-rt-14-dev libssl-dev python3-grpcio"
image="binutils patch xz-utils tcl python3 ca-certificates libqrencode4 libyaml-0-2"
cross="lld llvm clang"
# Unpacked for a cross-build, not installed: sysroot.sh.
sysroot="libgcc-12-dev base-files libcmocka-dev $(tr -s ' \t\n' '\n' <<<"$build $image" | grep -E '^(lib.*-dev|linux-libc-dev|zlib1g-dev|ca-certificates|libqrencode4|libyaml-0-2)$' | xargs)"
lint="python3-yaml python3-jsonschema clang-tidy shellcheck groff-base"

vm_arm64="qemu-system-arm cpio kmod xz-utils busybox-static"

listed() { sed 's/[[:space:]]*#.*//' "$here/$1/packages.txt" | xargs; }

vm_sysroot="$(listed vm | tr ' ' '\n' | grep -vE '^(qemu-.*|cpio|kmod|xz-utils)$' | xargs)"

[ "${1:-}" != --list ] || { xargs <<<"${!2}"; exit; }
want=""
for part; do
	case $part in
	build) want+=" $build" ;;
	image) want+=" $image" ;;
	cross) want+=" $cross" ;;
	vm_arm64) want+=" $vm_arm64" ;;
	demo) want+=" $(listed e2e)" ;;
	test) want+=" $unit $image $(listed e2e) $(listed vm)" ;;
	lint) want+=" $lint" ;;
	*) echo "deps.sh: '$part' is not one of build, image, cross, vm_arm64, demo, test, lint" >&2; exit 2 ;;
	esac
done

missing=""
for package in $want; do
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=" $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
	echo "missing packages; as root: apt-get install$missing" >&2
	exit 2
fi
echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
apt-get install -y --no-install-recommends $missing >/dev/null 2>&1 ||
	{ apt-get update >/dev/null && apt-get install -y --no-install-recommends $missing >/dev/null; }
