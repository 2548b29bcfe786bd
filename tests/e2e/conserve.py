#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Random traffic of every kind, and taps that count what passes a device. The kernel counts for a tap, also what it has no room to queue."""
import argparse
import ctypes
import json
import os
import random
import socket
import struct
import sys
import time

import net

SO_ATTACH_FILTER, SOL_PACKET, PACKET_STATISTICS = 26, 263, 6
ETH_P_ALL, SKF_PKTTYPE, OUTGOING = 3, 0xFFFFF004, 4
PMTUDISC_INTERFACE = 4
LD = {1: 0x30, 2: 0x28, 4: 0x20}        # BPF_LD | BPF_ABS, by width
AND, JEQ, RET = 0x54, 0x15, 0x06


# --- Taps: "NAME DEVICE out|in WORD...", in frames with an Ethernet header and an IPv4 header without options, or with "six" an IPv6 header ---

def network(text):
    address, _, length = text.partition("/")
    mask = 0xFFFFFFFF << (32 - int(length or 32)) & 0xFFFFFFFF
    return mask, struct.unpack("!I", socket.inet_aton(address))[0] & mask


def tests_of(word):
    """(width, offset, mask, value) each: all of them have to hold."""
    key, _, value = word.partition("=")
    if key in ("from", "to"):
        return [(4, 26 if key == "from" else 30, *network(value))]
    if key in ("sport", "dport"):
        return [(1, 14, 15, 5), (2, 34 if key == "sport" else 36, 0xFFFF, int(value))]
    if key == "six":
        return []
    if key in ("from6", "to6"):
        address, at = socket.inet_pton(socket.AF_INET6, value), 22 if key == "from6" else 38
        return [(4, at + i, 0xFFFFFFFF, struct.unpack_from("!I", address, i)[0]) for i in range(0, 16, 4)]
    if key in ("smac", "dmac"):
        mac, at = bytes.fromhex(value.replace(":", "")), 6 if key == "smac" else 0
        return [(4, at, 0xFFFFFFFF, struct.unpack("!I", mac[:4])[0]), (2, at + 4, 0xFFFF, struct.unpack("!H", mac[4:])[0])]
    return {"udp": [(1, 23, 0xFF, 17)], "whole": [(2, 20, 0x3FFF, 0)], "data": [(1, 42, 0xFF, 4)]}[key]


def tap_filter(direction, words):
    """Classic BPF. What is out is what the device was given, by whomever."""
    tests = [(1, SKF_PKTTYPE, 7, OUTGOING if direction == "out" else 0), (2, 12, 0xFFFF, 0x86DD if "six" in words else 0x0800)]
    for word in words:
        tests += tests_of(word)
    code = []
    for i, (width, at, mask, value) in enumerate(tests):
        code += [(LD[width], 0, 0, at), (AND, 0, 0, mask), (JEQ, 0, 3 * (len(tests) - i - 1) + 1, value)]
    return code + [(RET, 0, 0, 64), (RET, 0, 0, 0)]


def tap(device, direction, words):
    code = b"".join(struct.pack("HBBI", *c) for c in tap_filter(direction, words))
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)    # nothing yet: the filter comes first
    buffer = ctypes.create_string_buffer(code)
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(code) // 8, ctypes.addressof(buffer)))
    sock.bind((device, ETH_P_ALL))
    return sock


def taps(a):
    """Writes the counts to the file a.out, ten times a second, whole or not at all."""
    socks, counts = {}, {}
    for spec in a.spec:
        name, device, direction, *words = spec.split()
        socks[name], counts[name] = tap(device, direction, words), 0
    while True:
        for name, sock in socks.items():
            counts[name] += struct.unpack("II", sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[0]
        with open(a.out + ".new", "w", encoding="ascii") as f:
            json.dump(counts, f)
        os.replace(a.out + ".new", a.out)
        time.sleep(0.1)


# --- Random traffic ---

def ipv4(src, dst, protocol, payload, ttl=64):
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), random.randrange(1, 65536), 0, ttl, protocol, 0,
                         socket.inet_aton(src), socket.inet_aton(dst))
    return header[:10] + struct.pack("!H", net.checksum(header)) + header[12:] + payload


def raw_send(packet, mark=0):
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        raw.setsockopt(socket.SOL_SOCKET, net.SO_MARK, mark)
        raw.sendto(packet, (socket.inet_ntoa(packet[16:20]), 0))


class Client:
    """Inside the tunnel, as the peer with the address a.address."""

    def __init__(self, a):
        self.me, self.peer = a.address, a.peer
        self.counts = {"cut": 0, "dead": 0}
        self.flows = [self.flow(net.PMTUDISC_DONT) for _ in range(16)]

    def flow(self, mode, ttl=64):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((self.me, 0))
        sock.setsockopt(socket.IPPROTO_IP, net.IP_MTU_DISCOVER, mode)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        sock.setblocking(False)
        return sock

    def udp(self, address, port=7, body=None, mode=None, ttl=64):
        sock = random.choice(self.flows) if mode is None and ttl == 64 else self.flow(mode or net.PMTUDISC_DONT, ttl)
        sock.sendto(body or b"\0" + os.urandom(random.randrange(1, 1200)), (address, port))

    def ping(self, address, ttl=64, size=56):
        body = struct.pack("!BBHHH", 8, 0, 0, random.randrange(65536), 1) + os.urandom(size)
        raw_send(ipv4(self.me, address, 1, body[:2] + struct.pack("!H", net.checksum(body)) + body[4:], ttl))

    def pieces(self, address):
        port, size = random.choice(self.flows).getsockname()[1], random.randrange(1500, 4000)
        pieces = net.fragments(self.me, address, random.randrange(1, 65536), net.udp_segment(self.me, address, port, 7, os.urandom(size)), 1024,
                               random.choice(("forward", "reversed", "first-last")))
        for piece in pieces[random.randrange(4) == 0:]:    # now and then the one that comes first is lost
            raw_send(piece)

    def fetch(self, address):
        with socket.create_connection((address, 80), timeout=5) as tcp:
            tcp.sendall(f"GET /small HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
            tcp.settimeout(5)
            while tcp.recv(1 << 16):
                pass

    def cut(self, address):
        """Larger than the node's route there takes, and may be cut. Not by this host, whatever it has learnt of the path."""
        self.counts["cut"] += 1
        self.udp(address, body=os.urandom(1372), mode=PMTUDISC_INTERFACE)

    def dead(self, address):
        self.counts["dead"] += 1
        self.ping(address)

    def kinds(self):
        gw, side, plain, narrow = "192.168.1.220", "192.168.2.220", "192.168.4.220", "192.168.1.219"
        return [
            lambda: self.udp(gw), lambda: self.udp(side), lambda: self.udp(plain), lambda: self.udp(gw, port=9), lambda: self.udp(side, port=9),
            lambda: self.udp(gw, body=b"size:1472;"), lambda: self.udp(gw, body=b"nodf:1472;"), lambda: self.udp(plain, body=b"size:1472;"),
            lambda: self.udp(gw, body=b"frag:reversed;" + os.urandom(1100)), lambda: self.udp(gw, body=b"frag:forward;" + os.urandom(1100)),
            lambda: self.ping(gw), lambda: self.ping(side), lambda: self.ping(plain), lambda: self.ping(gw, ttl=1), lambda: self.udp(gw, ttl=1),
            lambda: self.ping("192.168.1.221"), lambda: self.ping("100.64.0.1", ttl=1), lambda: self.udp("192.168.1.221", port=9),
            lambda: self.udp("10.47.0.10"), lambda: self.udp("192.168.1.255"), lambda: self.udp(self.peer), lambda: self.ping(self.peer),
            lambda: self.dead("192.168.1.99"), lambda: self.dead("192.168.2.99"),
            lambda: self.udp("10.50.1.1"), lambda: self.udp("10.50.2.1"), lambda: self.udp("10.50.3.1"), lambda: self.udp("10.50.4.1"),
            lambda: self.udp("10.42.0.1"), lambda: self.udp(narrow, mode=net.PMTUDISC_PROBE, body=os.urandom(1372)),
            lambda: self.cut(narrow),
            lambda: self.pieces(gw), lambda: self.pieces(side), lambda: self.fetch(gw), lambda: self.fetch(side),
            lambda: raw_send(ipv4("100.64.0.99", gw, 17, os.urandom(40))), lambda: raw_send(ipv4(self.me, gw, 47, os.urandom(40))),
        ]

    def idle(self):
        for sock in self.flows:
            try:
                while sock.recv(65535):
                    pass
            except OSError:
                pass


class Stranger:
    """Outside the tunnel, on the host of a client: what anybody can send to the port, and copies of what the client sent."""

    def __init__(self, a):
        self.node = (a.address, 51820)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, net.SO_MARK, net.OUTSIDE)
        self.options = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.options.setsockopt(socket.SOL_SOCKET, net.SO_MARK, net.OUTSIDE)
        self.options.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, b"\1\1\1\0")
        self.wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self.wire.bind(("eth0", ETH_P_ALL))
        self.wire.setblocking(False)
        self.caught = []

    def send(self, data, sock=None):
        (sock or self.sock).sendto(data, self.node)

    def message(self):
        return random.choice(self.caught) if self.caught else b"\4\0\0\0" + os.urandom(76)

    def forged(self):
        m = self.message()
        return m[:8] + struct.pack("<Q", struct.unpack("<Q", m[8:16])[0] + 5000) + m[16:]

    def kinds(self):
        return [
            lambda: self.send(b"\x80" + os.urandom(random.randrange(1200))), lambda: self.send(b"\4\0\0\0" + os.urandom(76)),
            lambda: self.send(b"\4\0"), lambda: self.send(b"\4\0\0\0" + os.urandom(8)), lambda: self.send(b"\1\0\0\0" + os.urandom(144)),
            lambda: self.send(self.message()), lambda: self.send(self.forged()),
            lambda: self.send(self.message(), self.options), lambda: self.send(self.forged(), self.options),
            lambda: self.send(b"\4\0\0\0" + os.urandom(1996)),
        ]

    def idle(self):
        for _ in range(256):
            try:
                packet, where = self.wire.recvfrom(65535)
            except BlockingIOError:
                return
            if where[2] == OUTGOING and where[1] == 0x0800 and packet[9] == 17 and packet[22:24] == struct.pack("!H", 51820) and packet[28] == 4 and len(packet) >= 60:
                self.caught = self.caught[-64:] + [packet[28:]]


class Gateway:
    """In the network behind the node: what nobody asked for."""

    def __init__(self, a):
        self.node, self.peer = a.address, a.peer
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def error(self, about):
        inner = ipv4(self.node, about, 17, struct.pack("!HHHH", random.randrange(1024, 65536), 7, 8, 0))
        body = struct.pack("!BBHI", 3, 3, 0, 0) + inner
        raw_send(ipv4("192.168.1.220", self.node, 1, body[:2] + struct.pack("!H", net.checksum(body)) + body[4:]))

    def kinds(self):
        return [
            lambda: self.sock.sendto(b"who?", (self.node, random.randrange(1024, 65536))), lambda: self.error("192.168.1.220"),
            lambda: self.sock.sendto(b"\x80who?", (self.node, 51820)), lambda: self.sock.sendto(b"who?", (self.peer, 9)), lambda: self.sock.sendto(b"who?", ("100.64.0.77", 9)),
            lambda: raw_send(ipv4("192.168.1.220", self.peer, 1, b"\x08\0\xf7\xff\0\0\0\0")),
            lambda: raw_send(ipv4("192.168.1.220", self.peer, 1, b"\x08\0\xf7\xff\0\0\0\0", ttl=1)),
        ]

    def idle(self):
        pass


def ipv6(src, dst, protocol, payload, hops=64):
    return struct.pack("!IHBB", 6 << 28, len(payload), protocol, hops) + socket.inet_pton(socket.AF_INET6, src) + \
        socket.inet_pton(socket.AF_INET6, dst) + payload


def raw_send6(packet):
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.sendto(packet, (socket.inet_ntop(socket.AF_INET6, packet[24:40]), 0))


def icmp6(src, dst, kind, code, body, hops=64):
    message = struct.pack("!BBH", kind, code, 0) + body
    pseudo = socket.inet_pton(socket.AF_INET6, src) + socket.inet_pton(socket.AF_INET6, dst) + struct.pack("!II", len(message), socket.IPPROTO_ICMPV6)
    value = net.checksum(pseudo + message)
    return ipv6(src, dst, socket.IPPROTO_ICMPV6, message[:2] + struct.pack("!H", value) + message[4:], hops)


class Client6(Client):
    """The same by IPv6."""

    def flow(self, mode, ttl=64):
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        sock.bind((self.me, 0))
        sock.setsockopt(socket.IPPROTO_IPV6, net.IPV6_MTU_DISCOVER, mode)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)
        sock.setblocking(False)
        return sock

    def ping(self, address, ttl=64, size=56):
        raw_send6(icmp6(self.me, address, 128, 0, struct.pack("!HH", random.randrange(65536), 1) + os.urandom(size), ttl))

    def options(self, address):
        """A UDP datagram behind destination options that say nothing (RFC 8200 section 4.2)."""
        port, body = random.choice(self.flows).getsockname()[1], b"\0" + os.urandom(random.randrange(1, 900))
        pseudo = socket.inet_pton(socket.AF_INET6, self.me) + socket.inet_pton(socket.AF_INET6, address) + struct.pack("!II", 8 + len(body), 17)
        segment = struct.pack("!HHHH", port, 7, 8 + len(body), 0) + body
        segment = segment[:6] + struct.pack("!H", net.checksum(pseudo + segment) or 0xFFFF) + segment[8:]
        raw_send6(ipv6(self.me, address, 60, b"\x11\0\1\4\0\0\0\0" + segment))

    def kinds(self):
        gw, node = "fd01::220", "fd01::221"
        return [
            lambda: self.udp(gw), lambda: self.udp(gw), lambda: self.udp(gw, port=9), lambda: self.udp(gw, ttl=1), lambda: self.ping(gw), lambda: self.ping(gw, ttl=1),
            lambda: self.udp(gw, body=b"size:1452;"), lambda: self.udp(gw, body=os.urandom(3000)), lambda: self.fetch(gw), lambda: self.options(gw),
            lambda: self.ping(node), lambda: self.udp(node, port=9), lambda: self.ping("fd64::1", ttl=1), lambda: self.udp("fd64::1", port=9), lambda: self.ping("fd64::1"),
            lambda: self.udp(self.peer), lambda: self.ping(self.peer), lambda: self.dead("fd01::99"),
            lambda: self.udp("fd77::1"), lambda: self.udp("fd78::1"), lambda: self.udp("fd78::2"), lambda: self.udp("fd78::3"), lambda: self.udp("fd78::4"),
            lambda: self.udp("fd01::219", mode=net.PMTUDISC_PROBE, body=os.urandom(1300)),
            lambda: raw_send6(ipv6("fd64::99", gw, 17, os.urandom(40))), lambda: raw_send6(ipv6(self.me, gw, 47, os.urandom(40))),
            lambda: raw_send6(ipv6(self.me, gw, 43, b"\x11\0\0\0\0\0\0\0" + os.urandom(40))),
            lambda: raw_send6(icmp6(self.me, gw, 135, 0, bytes(4) + socket.inet_pton(socket.AF_INET6, gw), 255)),
        ]


class Gateway6(Gateway):
    """The same by IPv6."""

    def __init__(self, a):
        self.node, self.peer = a.address, a.peer
        self.sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)

    def error(self, about):
        inner = ipv6(self.node, about, 17, struct.pack("!HHHH", random.randrange(1024, 65536), 7, 8, 0))
        raw_send6(icmp6("fd01::220", self.node, 1, 4, bytes(4) + inner))

    def kinds(self):
        return [
            lambda: self.sock.sendto(b"who?", (self.node, random.randrange(1024, 65536))), lambda: self.error("fd01::220"),
            lambda: self.sock.sendto(b"who?", (self.peer, 9)), lambda: self.sock.sendto(b"who?", ("fd64::77", 9)),
            lambda: raw_send6(icmp6("fd01::220", self.peer, 128, 0, bytes(4))), lambda: raw_send6(icmp6("fd01::220", self.peer, 128, 0, bytes(4), 1)),
        ]


def mix(a):
    """One random packet (or exchange) after the other for a.seconds; prints the seed, how many, and what it counted of some kinds."""
    seed = a.seed or random.randrange(1 << 32)
    random.seed(seed)
    who = {"client": Client, "stranger": Stranger, "gateway": Gateway, "client6": Client6, "gateway6": Gateway6}[a.kind](a)
    kinds, done, refused, began = who.kinds(), 0, 0, time.monotonic()
    while time.monotonic() < began + a.seconds:
        try:
            random.choice(kinds)()
        except OSError:    # the kernel reports an error about an earlier packet: nothing was sent
            refused += 1
        done += 1
        who.idle()
        ahead = began + done / a.rate - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
    print(f"{a.kind}: seed {seed}, {done} of {len(kinds)} kinds, {refused} refused")
    for name, count in getattr(who, "counts", {}).items():
        print(f"{name} {count}")


def main():
    p = argparse.ArgumentParser(description=__doc__)
    sub = p.add_subparsers(required=True, metavar="what")
    s = sub.add_parser("taps", help=taps.__doc__)
    s.set_defaults(run=taps)
    s.add_argument("out")
    s.add_argument("spec", nargs="+")
    s = sub.add_parser("mix", help=mix.__doc__)
    s.set_defaults(run=mix)
    s.add_argument("kind", choices=("client", "stranger", "gateway", "client6", "gateway6"))
    s.add_argument("address")
    s.add_argument("--peer", default="")
    s.add_argument("--seconds", type=float, default=15.0)
    s.add_argument("--rate", type=float, default=100.0)
    s.add_argument("--seed", type=int, default=0)
    a = p.parse_args()
    a.run(a)


if __name__ == "__main__":
    sys.exit(main())
