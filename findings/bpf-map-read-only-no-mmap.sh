#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A BPF map whose descriptor was opened with BPF_F_RDONLY cannot be mapped into memory, not even for reading: mmap() says EINVAL. That is so for
# ring buffers, whose positions a monitor would like to read, and for arrays with BPF_F_MMAPABLE. With a descriptor that may write, PROT_READ works.
#
# Two things meet there. For a file that is not open for writing, mmap() takes VM_SHARED out of the mapping's flags, as a shared mapping that
# nobody can write is as good as a private one; and the BPF map's own mmap refuses every mapping without VM_SHARED.
#
# Seen on Linux 6.18 with maps made by bpftool 7.1.0 (Debian 12's):
#
#	ringbuf: read-only descriptor: EINVAL; writable descriptor, PROT_READ: mapped
#	array: read-only descriptor: EINVAL; writable descriptor, PROT_READ: mapped
#
# So who wants to watch a ring without being able to harm it opens it for writing all the same and maps it PROT_READ, or goes without.
#
# Needs root, x86-64 or arm64, Debian's bpftool package (taken from the index if it can be downloaded, else the installed one) and python3. Exit status
# 0: as above; 1: it behaves otherwise.
set -euo pipefail

dir=$(mktemp -d)
trap 'umount "$dir/bpf" 2>/dev/null || true; rm -rf "$dir"' EXIT
(cd "$dir" && apt-get -q download bpftool=7.1.0+6.1.* >/dev/null 2>&1 && dpkg-deb -x bpftool_*.deb "$dir/root") || true
bpftool=$dir/root/usr/sbin/bpftool
[ -x "$bpftool" ] || bpftool=$(command -v bpftool || echo /usr/sbin/bpftool)
mkdir "$dir/bpf"
mount -t bpf bpf "$dir/bpf"
"$bpftool" version | head -n 1 >&2
"$bpftool" map create "$dir/bpf/ringbuf" type ringbuf entries 4096 name ring
"$bpftool" map create "$dir/bpf/array" type array key 4 value 8 entries 512 name array flags 1024

cat >"$dir/map.py" <<'END'
import ctypes
import errno
import mmap
import os
import platform
import struct
import sys

SYS_BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
BPF_OBJ_GET, BPF_F_RDONLY = 7, 1 << 3
libc = ctypes.CDLL(None, use_errno=True)


def get(path, flags):
    name = ctypes.create_string_buffer(path.encode())
    attr = ctypes.create_string_buffer(struct.pack("QII", ctypes.addressof(name), 0, flags), 128)
    fd = libc.syscall(SYS_BPF, BPF_OBJ_GET, attr, len(attr))
    if fd < 0:
        raise OSError(ctypes.get_errno(), path)
    return fd


def said(fd):
    try:
        mmap.mmap(fd, mmap.PAGESIZE, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ).close()
        return "mapped"
    except OSError as error:
        return errno.errorcode[error.errno]
    finally:
        os.close(fd)


for kind in ("ringbuf", "array"):
    path = os.path.join(sys.argv[1], kind)
    print(f"{kind}: read-only descriptor: {said(get(path, BPF_F_RDONLY))}; writable descriptor, PROT_READ: {said(get(path, 0))}")
END

cat >"$dir/expected" <<'END'
ringbuf: read-only descriptor: EINVAL; writable descriptor, PROT_READ: mapped
array: read-only descriptor: EINVAL; writable descriptor, PROT_READ: mapped
END
python3 "$dir/map.py" "$dir/bpf" | tee "$dir/seen"
diff "$dir/expected" "$dir/seen" >&2 || { echo "it behaves otherwise now" >&2; exit 1; }
