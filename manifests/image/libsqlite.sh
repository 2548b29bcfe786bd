#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# An SQLite with what talon hub asks of it and little else, from the source package of the Debian that this is, with Debian's patches:
#
#   libsqlite.sh FOLDER [TRIPLET SYSROOT]    FOLDER/libsqlite3.so.0, FOLDER/version, FOLDER/copyright
#
# Debian's own has full-text search, R-trees, geometry and mathematics, and with it libm: 2.3 MB, in an image of 15. Arguments and exit
# status as libcurl.sh.
set -euo pipefail

# shellcheck source=/dev/null
. "$(dirname "$(readlink -f "$0")")/source.sh"

# What SQLite's manual recommends for programs that need none of it (sqlite.org/compile.html, section 2); all of these are safe with a
# generated sqlite3.c.
options() {
	printf -- '-DSQLITE_%s ' DQS=0 THREADSAFE=2 DEFAULT_MEMSTATUS=0 LIKE_DOESNT_MATCH_BLOBS MAX_EXPR_DEPTH=0 MAX_ATTACHED=0 OMIT_DECLTYPE \
		OMIT_DEPRECATED OMIT_JSON OMIT_LOAD_EXTENSION OMIT_PROGRESS_CALLBACK OMIT_SHARED_CACHE OMIT_UTF16 OMIT_TRACE OMIT_TCL_VARIABLE \
		OMIT_GET_TABLE OMIT_INTROSPECTION_PRAGMAS HAVE_ISNAN=1 HAVE_USLEEP=1
	printf -- '-DHAVE_%s=1 ' FDATASYNC GMTIME_R LOCALTIME_R USLEEP STRERROR_R
}

build() {
	cd "$work/build"
	../source/configure --quiet --disable-tcl --disable-readline >log 2>&1 || fail "configure: $(tail -n 3 log)"
	make -s sqlite3.c >log 2>&1 || fail "make: $(tail -n 3 log)"
	source_compiler "$@"
	# shellcheck disable=SC2046,SC2086
	$CC $CFLAGS -Os -fPIC -shared -w $(options) -Wl,-soname,libsqlite3.so.0 $LDFLAGS sqlite3.c -o libsqlite3.so.0 >log 2>&1 ||
		fail "$CC: $(tail -n 3 log)"
}

source_begin sqlite3 "${1:?usage: libsqlite.sh FOLDER [TRIPLET SYSROOT]}"
(build "${@:2}")
source_end sqlite3 "$work/build/libsqlite3.so.0" libsqlite3.so.0
