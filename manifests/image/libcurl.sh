#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A libcurl that speaks HTTP and HTTPS and nothing else, from the source package of the Debian that this is, with Debian's patches:
#
#   libcurl.sh FOLDER [TRIPLET SYSROOT]      FOLDER/libcurl.so.4, FOLDER/version, FOLDER/copyright
#
# Debian's own brings LDAP, Kerberos, SSH, RTMP and GnuTLS along: 24 libraries more, 11 MB, in an image of 13.
# With a triplet for that machine, by clang and lld, with the libraries of a folder that sysroot.sh made. Exits 77 when the source package
# cannot be had.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
out=${1:?usage: libcurl.sh FOLDER [TRIPLET SYSROOT]}
triplet=${2:-} sysroot=${3:-}
[ ! -e "$out/version" ] || exit 0
# shellcheck source=/dev/null
. "$here/apt.sh"

mkdir -p "$out"
out=$(cd "$out" && pwd)
work=$out/work
rm -rf "$work"
mkdir -p "$work/source" "$work/build"
trap 'rm -rf "$work"' EXIT
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")

fail() {
	echo "libcurl.sh: $*" >&2
	exit 2
}

fetch() {
	APT_TYPES=deb-src apt_begin "$work/apt" "$(dpkg --print-architecture)" "$suite" || exit 77
	(cd "$work" && apt_private apt-get source --download-only curl >>apt/log 2>&1) || fail "apt-get source curl: $(tail -n 1 "$work/apt/log")"
}

# Patches below 90_gnutls make the same library with another name for other TLS libraries.
unpack() {
	local patch

	tar -C "$work/source" --strip-components=1 -xf "$(ls "$work"/curl_*.orig.tar.?z)"
	tar -C "$work/source" -xf "$(ls "$work"/curl_*.debian.tar.xz)"
	sed -E '/^90_gnutls/,$d; /^(#|$)/d' "$work/source/debian/patches/series" | while read -r patch _; do
		patch -d "$work/source" -s -f -p1 <"$work/source/debian/patches/$patch" || fail "$patch does not apply"
	done
}

without() {
	printf -- '--disable-%s ' ftp file ldap ldaps rtsp dict telnet tftp pop3 imap smb smtp gopher mqtt manual libcurl-option ares sspi ntlm \
		tls-srp cookies doh netrc alt-svc hsts websockets get-easy-options unix-sockets static debug dependency-tracking
	printf -- '--without-%s ' ca-path zlib brotli zstd libpsl libgsasl gssapi libssh2 libssh librtmp libidn2
}

build() {
	cd "$work/build"
	export CFLAGS="-O2 -fstack-protector-strong -D_FORTIFY_SOURCE=2 -ffile-prefix-map=$work=." LDFLAGS="-Wl,-z,relro,-z,now"
	if [ -n "$triplet" ]; then
		export CC="clang --target=$triplet --sysroot=$sysroot -fuse-ld=lld" AR=llvm-ar RANLIB=llvm-ranlib NM=llvm-nm STRIP=llvm-strip
		export PKG_CONFIG_LIBDIR=$sysroot/usr/lib/$triplet/pkgconfig PKG_CONFIG_SYSROOT_DIR=$sysroot
	fi
	# shellcheck disable=SC2046
	../source/configure --quiet ${triplet:+--host="$triplet"} $(without) --enable-versioned-symbols --enable-threaded-resolver \
		--with-openssl --with-nghttp2 --with-ca-bundle=/etc/ssl/certs/ca-certificates.crt >log 2>&1 || fail "configure: $(tail -n 3 log)"
	make -s -j"$(nproc)" -C lib >log 2>&1 || fail "make: $(tail -n 3 log)"
}

fetch
unpack
(build)
cp -L "$work/build/lib/.libs/libcurl.so.4" "$out/libcurl.so.4"
cp "$work/source/debian/copyright" "$out/copyright"
sed -n 's/^Version: //p' "$work"/curl_*.dsc | head -n 1 >"$out/version"	# last: it says that all is there
