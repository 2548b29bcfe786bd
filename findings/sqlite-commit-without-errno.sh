#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# When SQLite in WAL mode cannot write because a file has reached its size limit, COMMIT fails with SQLITE_IOERR_WRITE, and sqlite3_system_errno(),
# which is to hold what the system said, is 0. errno itself still says EFBIG when COMMIT returns. A full disk is told apart (SQLITE_FULL), but a limit of
# the file's size (RLIMIT_FSIZE, EFBIG) is not: to the caller it is an I/O error like that of a broken disk, unless it reads errno before anything else.
#
# Seen with SQLite 3.40.1 (Debian 12's libsqlite3-0) on Linux 6.18:
#
#	COMMIT: extended code 778, sqlite3_system_errno 0, errno EFBIG
#
# So who wants to say "no room" and not "I/O error" reads errno right after the failed call.
#
# Needs Debian's libsqlite3-0 (downloaded into a temporary folder) and python3. Exit status 0: as above; 1: it behaves otherwise.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
(cd "$dir" && apt-get -q download 'libsqlite3-0=3.40.1-2+deb12u*' >/dev/null && dpkg-deb -x libsqlite3-0_*.deb root)
library=$(find "$dir/root" -name 'libsqlite3.so.0' | head -n 1)

cat >"$dir/commit.py" <<'END'
import ctypes
import errno
import resource
import signal
import sys

sqlite = ctypes.CDLL(sys.argv[1], use_errno=True)
sqlite.sqlite3_libversion.restype = ctypes.c_char_p
print("SQLite", sqlite.sqlite3_libversion().decode(), file=sys.stderr)
db = ctypes.c_void_p()
assert sqlite.sqlite3_open(sys.argv[2].encode(), ctypes.byref(db)) == 0


def run(text):
    ctypes.set_errno(0)
    return sqlite.sqlite3_exec(db, text.encode(), None, None, None)


for text in ("PRAGMA journal_mode=WAL", "PRAGMA wal_autocheckpoint=0", "CREATE TABLE t(x)", "BEGIN", "INSERT INTO t VALUES(zeroblob(100000))"):
    assert run(text) == 0, text
# Writes beyond the limit fail with EFBIG instead of a signal.
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50000, resource.RLIM_INFINITY))
code = run("COMMIT")
said = ctypes.get_errno()
assert code != 0
print(f"COMMIT: extended code {sqlite.sqlite3_extended_errcode(db)}, sqlite3_system_errno {sqlite.sqlite3_system_errno(db)}, "
      f"errno {errno.errorcode.get(said, said)}")
END

echo 'COMMIT: extended code 778, sqlite3_system_errno 0, errno EFBIG' >"$dir/expected"
python3 "$dir/commit.py" "$library" "$dir/test.db" | tee "$dir/seen"
diff "$dir/expected" "$dir/seen" >&2 || { echo "it behaves otherwise now" >&2; exit 1; }
