#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A name server of a few names, and a question to one.

    dns.py serve ADDRESS NAME=IP[,IP...]...     A records over UDP and TCP on port 53; other names do not exist
    dns.py ask ADDRESS PORT NAME [tcp] [aaaa]   prints "RCODE IP...", sorted; exit 1 without an answer
"""
import socket
import socketserver
import struct
import sys
import threading

TYPES = {"a": 1, "aaaa": 28}


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


def reply(records, question):
    name, at = read_name(question, 12)
    kind = struct.unpack("!H", question[at:at + 2])[0]
    addresses = records.get(name, []) if kind == 1 else []
    head = struct.pack("!2sHHHHH", question[:2], 0x8180 | (0 if name in records else 3), 1, len(addresses), 0, 0)
    answers = b"".join(struct.pack("!HHHIH", 0xC00C, 1, 1, 60, 4) + socket.inet_aton(a) for a in addresses)
    return head + question[12:at + 4] + answers


def serve(address, words):
    records = {name: ips.split(",") for name, ips in (word.split("=") for word in words)}

    class Stream(socketserver.BaseRequestHandler):
        def handle(self):
            size = struct.unpack("!H", self.request.recv(2, socket.MSG_WAITALL))[0]
            answer = reply(records, self.request.recv(size, socket.MSG_WAITALL))
            self.request.sendall(struct.pack("!H", len(answer)) + answer)

    threading.Thread(target=socketserver.TCPServer((address, 53), Stream).serve_forever, daemon=True).start()
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, 53))
    while True:
        data, peer = sock.recvfrom(4096)
        sock.sendto(reply(records, data), peer)


def receive(address, port, question, tcp):
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
    sock.settimeout(5)
    sock.connect((address, port))
    if not tcp:
        sock.send(question)
        return sock.recv(4096)
    sock.sendall(struct.pack("!H", len(question)) + question)
    size = struct.unpack("!H", sock.recv(2, socket.MSG_WAITALL))[0]
    return sock.recv(size, socket.MSG_WAITALL)


def ask(address, port, name, *words):
    kind = TYPES["aaaa" if "aaaa" in words else "a"]
    question = struct.pack("!HHHHHH", 4711, 0x100, 1, 0, 0, 0) + encode_name(name) + struct.pack("!HH", kind, 1)
    data = receive(address, int(port), question, "tcp" in words)
    ident, flags, _, count, _, _ = struct.unpack("!HHHHHH", data[:12])
    if ident != 4711 or not flags & 0x8000:
        sys.exit("no answer to what was asked")
    at, found = read_name(data, 12)[1] + 4, []
    for _ in range(count):
        at = read_name(data, at)[1]
        kind, _, _, size = struct.unpack("!HHIH", data[at:at + 10])
        if kind in (1, 28):
            found.append(socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6, data[at + 10:at + 10 + size]))
        at += 10 + size
    print(" ".join([str(flags & 15), *sorted(found)]))


if sys.argv[1] == "serve":
    serve(sys.argv[2], sys.argv[3:])
else:
    try:
        ask(*sys.argv[2:])
    except OSError as e:
        sys.exit(f"no answer: {e}")
