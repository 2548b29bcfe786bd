#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A file that is bind-mounted over an entry of /proc/PID/net (as a test does that hides what a kernel has, or a sandbox that masks it) is gone the
# next time somebody looks the entry up: mount() succeeds, /proc/self/mountinfo lists it, and then the first open() reads the real file and the mount is
# no longer listed. Nobody is told. Mounted over a file that is not below net, or over the directory net itself, it stays.
#
# Two things meet there. Which network namespace /proc/PID/net shows depends on who looks, so procfs never takes a cached entry below it for valid; and
# a directory entry that has become invalid takes what is mounted on it along.
#
# Seen on Linux 6.18 with util-linux 2.38.1 (Debian 12's):
#
#	PID/status: listed, read: covered, still listed
#	PID/net/dev: listed, read: the real one, not listed any more
#	PID/net: listed, read: covered, still listed
#
# So who has to hide a file there covers the directory with one that has copies of the others.
#
# Needs root and util-linux's unshare and mount. Exit status 0: as above; 1: it behaves otherwise.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
echo covered >"$dir/file"
mkdir "$dir/net"
echo covered >"$dir/net/dev"

cat >"$dir/try.sh" <<'END'
# Where: below /proc/PID; what is mounted there; which file is read.
try() {
	local at=/proc/$$/$1 before after read=covered
	mount --bind "$2" "$at"
	before=$(listed "$at")
	[ "$(head -n 1 "/proc/$$/$3")" = covered ] || read="the real one"
	after=$(listed "$at")
	echo "PID/$1: $before, read: $read, $([ "$after" = listed ] && echo still listed || echo not listed any more)"
	umount "$at" 2>/dev/null || true
}

listed() { if awk -v at="$1" '$5 == at { found = 1 } END { exit !found }' /proc/self/mountinfo; then echo listed; else echo "not listed"; fi; }

try status "$1/file" status
try net/dev "$1/file" net/dev
try net "$1/net" net/dev
END

cat >"$dir/expected" <<'END'
PID/status: listed, read: covered, still listed
PID/net/dev: listed, read: the real one, not listed any more
PID/net: listed, read: covered, still listed
END
uname -r >&2
unshare --mount bash "$dir/try.sh" "$dir" | tee "$dir/seen"
diff "$dir/expected" "$dir/seen" >&2 || { echo "it behaves otherwise now" >&2; exit 1; }
