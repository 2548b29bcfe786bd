#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A name server of a few names, and a question to one.

    dns.py serve ADDRESS NAME=IP[,IP...]...     A records over UDP and TCP on port 53; other names do not exist
        NAME/TYPE=TEXT    that instead: aaaa, txt, cname, ptr, ns (a name), mx ("10 NAME"), srv ("1 2 443 NAME")
        *.NAME=each       every name below has an address of its own in 10.128.0.0/9
        *.NAME=fail       SERVFAIL; NAME=drop: no answer at all; NAME=IP,drop6: none for AAAA
    dns.py ask ADDRESS PORT NAME [tcp] [half] [TYPE]   prints "RCODE IP...", sorted; exit 1 without an answer. half: over TCP, and closes its side
    dns.py flood ADDRESS PORT SUFFIX RATE SECONDS      asks for nN.SUFFIX, a new name each time; prints how many were answered
"""
import select
import socket
import socketserver
import struct
import sys
import threading
import time
import zlib

TYPES = {"a": 1, "ns": 2, "cname": 5, "ptr": 12, "mx": 15, "txt": 16, "aaaa": 28, "srv": 33, "https": 65, "soa": 6}


def encode_name(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.strip(".").split(".")) + b"\0"


def read_name(data, at):
    parts, end = [], None
    while data[at]:
        if data[at] & 0xC0:
            end = end or at + 2
            at = struct.unpack("!H", data[at:at + 2])[0] & 0x3FFF
            continue
        parts.append(data[at + 1:at + 1 + data[at]].decode().lower())
        at += 1 + data[at]
    return ".".join(parts), end or at + 1


def encode_data(kind, text):
    if kind == 1:
        return socket.inet_aton(text)
    if kind == 28:
        return socket.inet_pton(socket.AF_INET6, text)
    if kind == 16:
        return bytes([len(text)]) + text.encode()
    *numbers, name = text.split()
    return b"".join(struct.pack("!H", int(n)) for n in numbers) + encode_name(name)


def find(records, name, kind):
    """(rcode, list of data); None: no answer."""
    below = next((records[w] for w in records if w.startswith("*.") and name.endswith(w[1:])), {})
    own = records.get(name, below)
    words = own.get(1, [])
    if "drop" in words or ("drop6" in words and kind == 28):
        return None
    if "fail" in words:
        return 2, []
    if words == ["each"]:
        words = [socket.inet_ntoa(struct.pack("!I", 0x0A800000 | zlib.crc32(name.encode()) & 0x7FFFFF))]
    if kind == 1:
        return (0 if own else 3), [encode_data(1, w) for w in words if w != "drop6"]
    return (0 if own else 3), [encode_data(kind, w) for w in own.get(kind, [])]


def reply(records, question):
    name, at = read_name(question, 12)
    kind = struct.unpack("!H", question[at:at + 2])[0]
    found = find(records, name, kind)
    if found is None:
        return None
    rcode, data = found
    head = struct.pack("!2sHHHHH", question[:2], 0x8180 | rcode, 1, len(data), 0, 0)
    answers = b"".join(struct.pack("!HHHIH", 0xC00C, kind, 1, 60, len(d)) + d for d in data)
    return head + question[12:at + 4] + answers


def serve(address, words):
    records = {}
    for word in words:
        name, values = word.split("=")
        name, _, kind = name.partition("/")
        records.setdefault(name, {})[TYPES[kind or "a"]] = values.split(",")

    class Stream(socketserver.BaseRequestHandler):
        def handle(self):
            size = struct.unpack("!H", self.request.recv(2, socket.MSG_WAITALL))[0]
            answer = reply(records, self.request.recv(size, socket.MSG_WAITALL)) or b""
            self.request.sendall(struct.pack("!H", len(answer)) + answer)

    threading.Thread(target=socketserver.TCPServer((address, 53), Stream).serve_forever, daemon=True).start()
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, 53))
    while True:
        data, peer = sock.recvfrom(4096)
        print(read_name(data, 12)[0], flush=True)
        answer = reply(records, data)
        if answer:
            sock.sendto(answer, peer)


def receive(address, port, question, tcp, half):
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
    sock.settimeout(5)
    sock.connect((address, port))
    if not tcp:
        sock.send(question)
        return sock.recv(4096)
    sock.sendall(struct.pack("!H", len(question)) + question)
    if half:
        sock.shutdown(socket.SHUT_WR)
    size = struct.unpack("!H", sock.recv(2, socket.MSG_WAITALL))[0]
    return sock.recv(size, socket.MSG_WAITALL)


def show(kind, data, at, size):
    if kind == 16:
        return data[at + 1:at + size].decode()
    before = {15: 2, 33: 6}.get(kind, 0)
    numbers = [str(n) for n in struct.unpack(f"!{before // 2}H", data[at:at + before])]
    return " ".join([*numbers, read_name(data, at + before)[0]])


def flood(address, port, suffix, rate, seconds):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect((address, int(port)))
    begin, sent, answered = time.monotonic(), 0, 0
    while (now := time.monotonic() - begin) < float(seconds) + 3:
        if now < float(seconds) and sent < now * float(rate):
            sock.send(struct.pack("!HHHHHH", sent & 0xFFFF, 0x100, 1, 0, 0, 0) + encode_name(f"n{sent}.{suffix}") + struct.pack("!HH", 1, 1))
            sent += 1
        if select.select([sock], [], [], 0.002)[0]:
            sock.recv(4096)
            answered += 1
    print(f"asked {sent} answered {answered}")


def ask(address, port, name, *words):
    asked = kind = next((TYPES[w] for w in words if w in TYPES), 1)
    question = struct.pack("!HHHHHH", 4711, 0x100, 1, 0, 0, 0) + encode_name(name) + struct.pack("!HH", kind, 1)
    data = receive(address, int(port), question, "tcp" in words or "half" in words, "half" in words)
    ident, flags, _, count, _, _ = struct.unpack("!HHHHHH", data[:12])
    if ident != 4711 or not flags & 0x8000:
        sys.exit("no answer to what was asked")
    at, found = read_name(data, 12)[1] + 4, []
    for _ in range(count):
        at = read_name(data, at)[1]
        kind, _, _, size = struct.unpack("!HHIH", data[at:at + 10])
        if kind in (1, 28):
            found.append(socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6, data[at + 10:at + 10 + size]))
        elif kind == asked:
            found.append(show(kind, data, at + 10, size))
        at += 10 + size
    print(" ".join([str(flags & 15), *sorted(found)]))


if sys.argv[1] == "serve":
    serve(sys.argv[2], sys.argv[3:])
elif sys.argv[1] == "flood":
    flood(*sys.argv[2:])
else:
    try:
        ask(*sys.argv[2:])
    except OSError as e:
        sys.exit(f"no answer: {e}")
