# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash
# A library built small from the source package of the Debian that this is, with Debian's patches. To be sourced, with set -e.

# shellcheck source=/dev/null
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/apt.sh"

fail() {
	echo "$(basename "$0"): $*" >&2
	exit 2
}

# source_begin NAME FOLDER: $out is FOLDER, $work a folder below it that goes at the end, $work/source the patched source. Ends the script
# if FOLDER is made already, and with 77 when the package cannot be had. The function unwanted, if there is one, leaves patches out
# of those on its standard input.
source_begin() {
	local name=$1 suite

	[ ! -e "$2/version" ] || exit 0
	mkdir -p "$2"
	out=$(cd "$2" && pwd)
	work=$out/work
	rm -rf "$work"
	mkdir -p "$work/source" "$work/build"
	trap 'rm -rf "$work"' EXIT
	suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
	APT_TYPES=deb-src apt_begin "$work/apt" "$(dpkg --print-architecture)" "$suite" || exit 77
	(cd "$work" && apt_private apt-get source --download-only "$name" >>apt/log 2>&1) ||
		fail "apt-get source $name: $(tail -n 1 "$work/apt/log")"
	tar -C "$work/source" --strip-components=1 -xf "$(ls "$work/$name"_*.orig.tar.?z)"
	tar -C "$work/source" -xf "$(ls "$work/$name"_*.debian.tar.xz)"
	unwanted <"$work/source/debian/patches/series" | sed '/^\(#\|$\)/d' | while read -r patch _; do
		patch -d "$work/source" -s -f -p1 <"$work/source/debian/patches/$patch" || fail "$patch does not apply"
	done
}

unwanted() { cat; }

# source_compiler [TRIPLET SYSROOT]: CC and what goes with it; with a triplet for that machine, by clang and lld, with the libraries of a
# folder that sysroot.sh made.
source_compiler() {
	export CC=gcc CFLAGS="-O2 -fstack-protector-strong -D_FORTIFY_SOURCE=2 -ffile-prefix-map=$work=." LDFLAGS="-Wl,-z,relro,-z,now"
	[ -n "${1:-}" ] || return 0
	export CC="clang --target=$1 --sysroot=$2 -fuse-ld=lld" AR=llvm-ar RANLIB=llvm-ranlib NM=llvm-nm STRIP=llvm-strip
	export PKG_CONFIG_LIBDIR=$2/usr/lib/$1/pkgconfig PKG_CONFIG_SYSROOT_DIR=$2
}

# source_end NAME FILE LIBRARY: FILE becomes $out/LIBRARY.
source_end() {
	cp -L "$2" "$out/$3"
	cp "$work/source/debian/copyright" "$out/copyright"
	sed -n 's/^Version: //p' "$work/$1"_*.dsc | head -n 1 >"$out/version"	# last: it says that all is there
}
