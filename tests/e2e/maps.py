#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""maps.py FOLDER: a digest of what each BPF map pinned there holds, one a line: "NAME SHA-256". Rings: their positions; queues: their head."""
import ctypes
import hashlib
import mmap
import os
import platform
import struct
import sys

NUMBER = {"x86_64": 321, "aarch64": 280}[platform.machine()]
LOOKUP, NEXT_KEY, OBJ_GET, INFO, LOOKUP_BATCH = 1, 4, 7, 15, 24
ARRAY, PERCPU_ARRAY, QUEUE, RINGBUF = 2, 6, 22, 27
PERCPU = {5, 6, 10}
libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attributes):
    attributes = bytearray(attributes.ljust(128, b"\0"))
    buffer = (ctypes.c_char * len(attributes)).from_buffer(attributes)
    ret = libc.syscall(NUMBER, command, buffer, len(attributes))
    return (ret, bytes(attributes)) if ret >= 0 else (-ctypes.get_errno(), bytes(attributes))


def address(buffer):
    return ctypes.addressof(buffer)


def possible_cpus():
    last = open("/sys/devices/system/cpu/possible").read().strip().split("-")[-1].split(",")[-1]
    return int(last) + 1


class Map:
    def __init__(self, path):
        name = ctypes.create_string_buffer(path.encode())
        self.fd, _ = bpf(OBJ_GET, struct.pack("=QII", address(name), 0, 0))     # not read-only: a ring could not be mapped
        if self.fd < 0:
            raise OSError(-self.fd, path)
        info = ctypes.create_string_buffer(96)
        ret, _ = bpf(INFO, struct.pack("=IIQ", self.fd, len(info), address(info)))
        if ret < 0:
            raise OSError(-ret, path)
        self.kind, _, self.key_size, self.value_size, self.entries, _ = struct.unpack_from("=IIIIII", info.raw)
        self.size = self.value_size
        if self.kind in PERCPU:
            self.size = (self.value_size + 7) // 8 * 8 * possible_cpus()

    def lookup(self, key):
        value = ctypes.create_string_buffer(max(self.size, 1))
        ret, _ = bpf(LOOKUP, struct.pack("=IIQQQ", self.fd, 0, address(key) if key else 0, address(value), 0))
        return value.raw[:self.size] if ret >= 0 else b"none %d" % ret

    def batches(self):
        keys, values, cursor = (ctypes.create_string_buffer(n) for n in (4 * 4096, self.size * 4096, 4))
        first = True
        while True:
            ret, out = bpf(LOOKUP_BATCH, struct.pack("=QQQQIIQQ", 0 if first else address(cursor), address(cursor), address(keys),
                                                     address(values), 4096, self.fd, 0, 0))
            count, = struct.unpack_from("=I", out, 32)
            yield values.raw[:count * self.size]
            if ret < 0:
                if ret != -2:
                    raise OSError(-ret, "batch")
                return
            first = False

    def walk(self):
        key, following = (ctypes.create_string_buffer(self.key_size) for _ in range(2))
        at = 0
        while bpf(NEXT_KEY, struct.pack("=IIQQ", self.fd, 0, at, address(following)))[0] >= 0:
            key.raw = following.raw
            at = address(key)
            yield key.raw + self.lookup(key)

    def positions(self):
        for page in (0, 1):
            with mmap.mmap(self.fd, mmap.PAGESIZE, mmap.MAP_SHARED, mmap.PROT_READ, offset=page * mmap.PAGESIZE) as ring:
                yield ring[:8]

    def contents(self):
        if self.kind == RINGBUF:
            return self.positions()
        if self.kind == QUEUE:
            return [self.lookup(None)]
        if self.kind == ARRAY:
            return self.batches()
        return sorted(self.walk())


def main():
    folder = sys.argv[1]
    for name in sorted(os.listdir(folder)):
        digest = hashlib.sha256()
        for piece in Map(os.path.join(folder, name)).contents():
            digest.update(piece)
        print(name, digest.hexdigest())


main()
