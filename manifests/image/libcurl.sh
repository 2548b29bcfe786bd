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

# shellcheck source=/dev/null
. "$(dirname "$(readlink -f "$0")")/source.sh"

# Patches from there on make the same library with another name for other TLS libraries.
unwanted() { sed '/^90_gnutls/,$d'; }

without() {
	printf -- '--disable-%s ' ftp file ldap ldaps rtsp dict telnet tftp pop3 imap smb smtp gopher mqtt manual libcurl-option ares sspi ntlm \
		tls-srp cookies doh netrc alt-svc hsts websockets get-easy-options unix-sockets static debug dependency-tracking
	printf -- '--without-%s ' ca-path zlib brotli zstd libpsl libgsasl gssapi libssh2 libssh librtmp libidn2
}

build() {
	cd "$work/build"
	source_compiler "$@"
	# shellcheck disable=SC2046
	../source/configure --quiet ${1:+--host="$1"} $(without) --enable-versioned-symbols --enable-threaded-resolver \
		--with-openssl --with-nghttp2 --with-ca-bundle=/etc/ssl/certs/ca-certificates.crt >log 2>&1 || fail "configure: $(tail -n 3 log)"
	make -s -j"$(nproc)" -C lib >log 2>&1 || fail "make: $(tail -n 3 log)"
}

source_begin curl "${1:?usage: libcurl.sh FOLDER [TRIPLET SYSROOT]}"
(build "${@:2}")
source_end curl "$work/build/lib/.libs/libcurl.so.4" libcurl.so.4
