#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Debian's packages of another architecture, with what they need, unpacked below a folder: what a cross-build links with and the image
# is made of. The machine's own packages and architectures stay as they are.
#
#   sysroot.sh FOLDER ARCHITECTURE PACKAGE...
#
# Below FOLDER is then a Debian without maintainer scripts run: files, and dpkg's lists of them. Packages that are there stay.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
root=${1:?usage: sysroot.sh FOLDER ARCHITECTURE PACKAGE...} arch=${2:?}
shift 2
mkdir -p "$root/var/lib/dpkg/info" "$root/usr/bin" "$root/usr/sbin" "$root/usr/lib" "$root/usr/lib64"
root=$(cd "$root" && pwd)
# shellcheck source=/dev/null
. "$here/apt.sh"
apt=$root.apt

installed() { [ -e "$root/var/lib/dpkg/info/$1.list" ] || [ -e "$root/var/lib/dpkg/info/$1:$arch.list" ]; }

missing=""
for package; do
	installed "$package" || missing+=" $package"
done
[ -n "$missing" ] || exit 0

fail() {
	echo "sysroot.sh: $*" >&2
	exit "${status:-2}"
}

# The tree is merged, as packages unpacked into it expect: /lib is /usr/lib.
for link in bin sbin lib lib64; do
	[ -e "$root/$link" ] || ln -s "usr/$link" "$root/$link"
done
touch "$root/var/lib/dpkg/status"
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
[ -e "$apt/sources.list" ] || apt_begin "$apt" "$arch" "$suite" "$suite-updates" || status=77 fail "packages for $arch cannot be had"
apt_dir=$apt apt_arch=$arch

# What is to be had with them, by apt's own solver, as if nothing was installed.
# shellcheck disable=SC2086
wanted=$(apt_private apt-get install --no-install-recommends --simulate $missing 2>>"$apt/log" | sed -nE 's/^Inst ([^ ]+) .*/\1/p' | sed "s/:$arch\$//") ||
	fail "apt-get install$missing for $arch: $(tail -n 1 "$apt/log")"
fetch=""
for package in $wanted; do
	installed "$package" || fetch+=" $package"
done
# shellcheck disable=SC2086
(cd "$apt/cache/archives" && apt_private apt-get download $fetch >>"$apt/log" 2>&1) || fail "apt-get download: $(tail -n 1 "$apt/log")"
for deb in "$apt"/cache/archives/*.deb; do
	dpkg-deb --fsys-tarfile "$deb" | tar -C "$root" --keep-directory-symlink -x
	name=$(dpkg-deb -f "$deb" Package)
	{ dpkg-deb -f "$deb"; echo "Status: install ok installed"; echo; } >>"$root/var/lib/dpkg/status"
	dpkg-deb --fsys-tarfile "$deb" | tar -t | sed 's/^\.//; s/\/$//; s/^$/\/./' >"$root/var/lib/dpkg/info/$name.list"
	rm "$deb"
done
# Links to absolute targets would lead out of the tree.
find "$root" -xdev -type l -lname '/*' | while read -r link; do
	ln -snf "$(realpath -m --relative-to="$(dirname "$link")" "$root$(readlink "$link")")" "$link"
done
