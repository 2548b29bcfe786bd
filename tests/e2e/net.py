#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The far ends of the end-to-end scenarios: small servers that log whom they saw, and senders of packets no tool sends."""
import argparse
import base64
import errno
import functools
import hashlib
import json
import os
import select
import socket
import socketserver
import struct
import sys
import time

IP_MTU_DISCOVER, PMTUDISC_DONT, PMTUDISC_DO, PMTUDISC_PROBE = 10, 0, 2, 3
FRAGMENT_MORE = 0x2000
IPV6_MTU_DISCOVER = 23
UDP_SEGMENT = 103
SO_MARK, OUTSIDE = 36, 51820    # a client's mark for what must not go into its own tunnel


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def set_df(sock, mode):
    """PMTUDISC_*: IPv6 routers never cut packets, but a host may do it at the source."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, mode)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, mode)


def log_line(log, **fields):
    with open(log, "a", encoding="ascii") as f:
        f.write(json.dumps(fields) + "\n")


def checksum(data):
    """Internet checksum (RFC 1071); 0 over data that includes a right one."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def http_serve(a):
    """Files down, uploads answered with their SHA-256, every client logged."""
    import web  # its libraries take longer to load than most commands here run

    web.serve(a.address, a.port, a.folder, functools.partial(log_line, a.log))


# --- UDP: echo, with orders in the payload's first word ---

def fragments(src, dst, ident, segment, size, order):
    """IPv4 fragments of one UDP segment, size bytes of payload each (a multiple of 8), in the given order."""
    pieces = []
    for at in range(0, len(segment), size):
        part = segment[at:at + size]
        more = FRAGMENT_MORE if at + size < len(segment) else 0
        header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(part), ident, more | at // 8, 64, socket.IPPROTO_UDP, 0,
                             socket.inet_aton(src), socket.inet_aton(dst))
        pieces.append(header + part)
    if order == "reversed":
        pieces.reverse()
    elif order == "first-last":
        pieces = pieces[1:] + pieces[:1]
    return pieces


def udp_segment(src, dst, sport, dport, payload):
    length = 8 + len(payload)
    pseudo = socket.inet_aton(src) + socket.inet_aton(dst) + struct.pack("!BBH", 0, socket.IPPROTO_UDP, length)
    header = struct.pack("!HHHH", sport, dport, length, 0)
    value = checksum(pseudo + header + payload) or 0xFFFF
    return struct.pack("!HHHH", sport, dport, length, value) + payload


def send_fragments(src, dst, sport, dport, payload, size, order):
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    ident = struct.unpack("!H", os.urandom(2))[0] or 1
    for piece in fragments(src, dst, ident, udp_segment(src, dst, sport, dport, payload), size, order):
        raw.sendto(piece, (dst, 0))
    raw.close()


def udp_answer(sock, a, data, peer):
    """What to do is said by the payload: 'frag:ORDER;', 'size:BYTES;' (with DF), 'nodf:BYTES;', 'late:SECONDS;', else echo."""
    order, _, value = data.split(b";", 1)[0].partition(b":") if b";" in data[:32] else (b"", b"", b"")
    if order == b"frag":
        send_fragments(a.address, peer[0], a.port, peer[1], data, 1024, value.decode())
        return
    mode, reply = PMTUDISC_DONT, data
    if order == b"late":
        time.sleep(float(value))
    if order in (b"size", b"nodf"):
        reply = (data * (int(value) // len(data) + 1))[:int(value)]
        mode = PMTUDISC_PROBE if order == b"size" else PMTUDISC_DONT
    set_df(sock, mode)
    sock.sendto(reply, peer)


def udp_serve(a):
    sock = socket.socket(family_of(a.address), socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sock.bind((a.address, a.port))
    while True:
        data, peer = sock.recvfrom(65535)
        log_line(a.log, client=peer[0], port=peer[1], size=len(data))
        udp_answer(sock, a, data, peer)


def udp_ask(a):
    """Sends a.count datagrams one after the other and wants each one back; exit 1 at the first that is missing or wrong."""
    sock = socket.socket(family_of(a.address), socket.SOCK_DGRAM)
    sock.bind(("", a.source_port))
    sock.connect((a.address, a.port))
    sock.settimeout(a.timeout)
    set_df(sock, {"off": PMTUDISC_DONT, "on": PMTUDISC_PROBE}[a.df])
    if a.ttl:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, a.ttl)
    source = sock.getsockname()
    order = a.order.encode()
    for i in range(a.count):
        body = order + os.urandom(max(0, a.size - len(order))) if order else os.urandom(a.size)
        if a.fragments:
            send_fragments(source[0], a.address, source[1], a.port, body, a.fragment_size, a.fragments)
        else:
            sock.send(body)
        if a.no_reply:
            continue
        try:
            reply = sock.recv(65535)
        except socket.timeout:
            sys.exit(f"no reply to datagram {i} of {len(body)} bytes within {a.timeout} s")
        except OSError as e:
            sys.exit(f"datagram {i}: {e.strerror}")
        want = body if a.reply_size is None else (body * (a.reply_size // len(body) + 1))[:a.reply_size]
        if reply != want:
            sys.exit(f"datagram {i}: sent {len(body)} bytes, got {len(reply)} other ones back")
    print(source[1])


def udp_flows(a):
    """a.count sockets that all stay open, one datagram each, at most 32 unanswered; prints how many were answered."""
    waiting, kept, good = {}, [], 0
    poll = select.epoll()
    while len(kept) < a.count or waiting:
        if len(kept) < a.count and len(waiting) < 32:
            s = socket.socket(family_of(a.address), socket.SOCK_DGRAM)
            s.connect((a.address, a.port))
            kept.append(s)
            waiting[s.fileno()] = os.urandom(64)
            s.send(waiting[s.fileno()])
            poll.register(s, select.EPOLLIN)
            continue
        ready = poll.poll(a.timeout)
        if not ready:
            break
        for fd, _ in ready:
            s = next(k for k in reversed(kept) if k.fileno() == fd)
            good += s.recv(2048) == waiting.pop(fd)
            poll.unregister(fd)
    print(good)
    sys.exit(good != a.count)


# --- ICMP ---

def ping(a):
    """Sends a.c echo requests and waits a.W seconds for what is missing; prints how many were sent and answered with the same bytes.
    ping(8) gives up after two round trips, and calls lost what a busy machine only delays."""
    six = family_of(a.address) == socket.AF_INET6
    asks, answers = (128, 129) if six else (8, 0)
    sock = socket.socket(family_of(a.address), socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    if a.I:
        sock.bind((a.I, 0))
    if a.t:
        sock.setsockopt(*(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS) if six else (socket.IPPROTO_IP, socket.IP_TTL), a.t)
    ident = a.e or struct.unpack("!H", os.urandom(2))[0]
    body, missing, sent, start = os.urandom(a.s), set(), 0, time.monotonic()
    deadline = start + (a.c - 1) * a.i + a.W
    while (sent < a.c or missing) and time.monotonic() < deadline:
        due = start + sent * a.i - time.monotonic() if sent < a.c else deadline - time.monotonic()
        if sent < a.c and due <= 0:
            request = struct.pack("!BBHHH", asks, 0, 0, ident, sent & 0xFFFF) + body  # of IPv6 the kernel fills in the checksum
            sock.sendto(request[:2] + struct.pack("!H", checksum(request)) + request[4:], (a.address, 0))
            missing.add(sent & 0xFFFF)
            sent += 1
            deadline = max(deadline, time.monotonic() + a.W)
        elif select.select([sock], [], [], max(0, due))[0]:
            packet = sock.recv(65535)
            icmp = packet if six else packet[(packet[0] & 15) * 4:]
            if icmp[0] == answers and struct.unpack("!H", icmp[4:6])[0] == ident and icmp[8:] == body and (six or checksum(icmp) == 0):
                missing.discard(struct.unpack("!H", icmp[6:8])[0])
    print(sent, sent - len(missing))



def icmp_fields(packet):
    ihl = (packet[0] & 15) * 4
    icmp = packet[ihl:]
    fields = {"src": socket.inet_ntoa(packet[12:16]), "dst": socket.inet_ntoa(packet[16:20]), "ttl": packet[8],
              "type": icmp[0], "code": icmp[1], "mtu": struct.unpack("!H", icmp[6:8])[0],
              "checksum_ok": checksum(icmp) == 0}
    inner = icmp[8:]
    if icmp[0] in (3, 11, 12) and len(inner) >= 28:
        at = (inner[0] & 15) * 4
        ports = struct.unpack("!HH", inner[at:at + 4])
        fields["inner"] = {"src": socket.inet_ntoa(inner[12:16]), "dst": socket.inet_ntoa(inner[16:20]),
                           "proto": inner[9], "sport": ports[0], "dport": ports[1], "ttl": inner[8],
                           "checksum_ok": checksum(inner[:at]) == 0}
        if inner[9] == socket.IPPROTO_ICMP:
            fields["inner"]["id"] = struct.unpack("!H", inner[at + 4:at + 6])[0]
    elif icmp[0] in (0, 8):
        fields["id"] = struct.unpack("!H", icmp[4:6])[0]
    return fields


def icmp_watch(a):
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    open(a.log, "a", encoding="ascii").close()
    while True:
        log_line(a.log, **icmp_fields(sock.recv(65535)))


def icmp_port_unreachable(a):
    """An ICMP error made by hand about a datagram whose 5-tuple is given: for flows that never were, and for forged ones."""
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    inner = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28, 1, 0, 63, socket.IPPROTO_UDP, 0, socket.inet_aton(a.inner_src),
                        socket.inet_aton(a.inner_dst))
    inner = inner[:10] + struct.pack("!H", checksum(inner)) + inner[12:] + struct.pack("!HHHH", a.sport, a.dport, 8, 0)
    body = struct.pack("!BBHI", 3, 3, 0, 0) + inner
    raw.sendto(body[:2] + struct.pack("!H", checksum(body)) + body[4:], (a.address, 0))


# --- TCP: a connection that lives through what happens in between ---

def tcp_stream(a):
    """Uploads a.size bytes by PUT at a.rate bytes a second and compares the hash that the server computed."""
    sock = socket.create_connection((a.address, a.port), timeout=a.timeout)
    sock.sendall(f"PUT /stream HTTP/1.1\r\nHost: {a.address}\r\nContent-Length: {a.size}\r\n\r\n".encode())
    block, digest, sent, start = os.urandom(1 << 14), hashlib.sha256(), 0, time.monotonic()
    while sent < a.size:
        part = block[:min(len(block), a.size - sent)]
        sock.sendall(part)
        digest.update(part)
        sent += len(part)
        ahead = sent / a.rate - (time.monotonic() - start)
        if ahead > 0:
            time.sleep(ahead)
    reply = b""
    while b"\r\n\r\n" not in reply or len(reply.split(b"\r\n\r\n", 1)[1]) < 65:
        data = sock.recv(4096)
        if not data:
            sys.exit("the server closed the connection early")
        reply += data
    got = reply.split(b"\r\n\r\n", 1)[1].decode().strip()
    print(f"sent {sent} bytes from port {sock.getsockname()[1]} in {time.monotonic() - start:.1f} s")
    if got != digest.hexdigest():
        sys.exit("the bytes that arrived are not the bytes that were sent")


def tcp_echo(a):
    """Sends back what comes, on any number of connections."""
    class Echo(socketserver.BaseRequestHandler):
        def handle(self):
            while data := self.request.recv(1 << 16):
                self.request.sendall(data)

    socketserver.ThreadingTCPServer.allow_reuse_address = True
    socketserver.ThreadingTCPServer.daemon_threads = True
    socketserver.ThreadingTCPServer((a.address, a.port), Echo).serve_forever()


def pace(a):
    """A connection to an echo server and datagrams to the UDP server, one record each every 20 ms until the file STOP is there. A line per answer
    of the connection; the last is "end SENT RECEIVED LONGEST-TCP-GAP-MS LONGEST-UDP-GAP-MS"."""
    tcp, udp = socket.create_connection((a.address, a.port), timeout=10), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    udp.connect((a.address, a.udp_port))
    sent, got, step, last, gaps = bytearray(), bytearray(), 0.02, {tcp: None, udp: None}, {tcp: 0, udp: 0}
    due, stopped = time.monotonic(), None

    def heard(sock):
        now = time.monotonic()
        if last[sock] is not None:
            gaps[sock] = max(gaps[sock], now - last[sock])
        last[sock] = now

    while stopped is None or (len(got) < len(sent) and time.monotonic() < stopped + 10):
        now = time.monotonic()
        if stopped is None and os.path.exists(a.stop):
            stopped = now
        if stopped is None and now >= due:
            due += step
            record = os.urandom(64)
            tcp.sendall(record)
            sent += record
            try:
                udp.send(b"0" + record)
            except OSError:
                pass
        for sock in select.select([tcp, udp], [], [], max(0, due - now) if stopped is None else 0.1)[0]:
            try:
                data = sock.recv(1 << 16)
            except ConnectionRefusedError:
                continue
            if sock is tcp and not data:
                sys.exit("the connection was closed")
            heard(sock)
            if sock is tcp:
                got += data
                print(len(got), flush=True)
    if sent != got:
        sys.exit(f"what came back ({len(got)}) is not what was sent ({len(sent)} bytes)")
    print(f"end {len(sent)} {len(got)} {gaps[tcp] * 1000:.0f} {gaps[udp] * 1000:.0f}", flush=True)


def connect_proxy(a):
    """An HTTP proxy for CONNECT only. Whatever name is asked for, the connection goes to TARGET (address:port); what was asked is logged."""
    target = a.target.rsplit(":", 1)

    class Proxy(socketserver.BaseRequestHandler):
        def handle(self):
            head = b""
            while b"\r\n\r\n" not in head and len(head) < 8192:
                data = self.request.recv(1)    # not a byte of what follows
                if not data:
                    return
                head += data
            lines = head.decode("latin-1").split("\r\n")
            proof = f"Proxy-Authorization: Basic {base64.b64encode(a.auth.encode()).decode()}"
            allowed = not a.auth or proof in lines
            log_line(a.log, request=lines[0], allowed=allowed)
            if not allowed or not lines[0].startswith("CONNECT "):
                self.request.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"test\"\r\n"
                                     b"Content-Length: 0\r\n\r\n")
                return
            with socket.create_connection((target[0], int(target[1]))) as far:
                self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                self.carry(far)

        def carry(self, far):
            while True:
                for sock in select.select([self.request, far], [], [])[0]:
                    data = sock.recv(1 << 16)
                    if not data:
                        return
                    (far if sock is self.request else self.request).sendall(data)

    socketserver.ThreadingTCPServer.allow_reuse_address = True
    socketserver.ThreadingTCPServer.daemon_threads = True
    socketserver.ThreadingTCPServer((a.address, a.port), Proxy).serve_forever()


def socks_proxy(a):
    """A SOCKS5 proxy (RFC 1928, 1929). Whatever is asked for, the connection goes to TARGET (address:port); what was asked is logged."""
    target = a.target.rsplit(":", 1)

    class Proxy(socketserver.BaseRequestHandler):
        def take(self, count):
            data = b""
            while len(data) < count:
                more = self.request.recv(count - len(data))
                if not more:
                    raise EOFError
                data += more
            return data

        def user(self):
            self.request.sendall(b"\5\2")
            name = self.take(self.take(2)[1])
            return (name + b":" + self.take(self.take(1)[0])).decode()

        def handle(self):
            methods = self.take(self.take(2)[1])
            if a.auth and 2 in methods:
                allowed = self.user() == a.auth
                self.request.sendall(b"\1\0" if allowed else b"\1\1")
            else:
                allowed = not a.auth
                self.request.sendall(b"\5\0" if allowed else b"\5\xff")
            if not allowed:
                log_line(a.log, request="", allowed=False)
                return
            kind = self.take(4)[3]
            name = self.take(self.take(1)[0]).decode() if kind == 3 else socket.inet_ntoa(self.take(4))
            log_line(a.log, request=f"{name}:{int.from_bytes(self.take(2))}", by_name=kind == 3, allowed=True)
            with socket.create_connection((target[0], int(target[1]))) as far:
                self.request.sendall(b"\5\0\0\1\0\0\0\0\0\0")
                carry(self.request, far)

    socketserver.ThreadingTCPServer.allow_reuse_address = True
    socketserver.ThreadingTCPServer.daemon_threads = True
    socketserver.ThreadingTCPServer((a.address, a.port), Proxy).serve_forever()


def carry(near, far):
    while True:
        for sock in select.select([near, far], [], [])[0]:
            data = sock.recv(1 << 16)
            if not data:
                return
            (far if sock is near else near).sendall(data)


def tcp_mss(a):
    """Connects and prints the segment size that came out of it."""
    sock = socket.create_connection((a.address, a.port), timeout=a.timeout)
    print(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG))


# --- Packets of strangers ---

def caught_data_messages(device, port, count, timeout):
    """UDP payloads of WireGuard data messages that this host sends to @port."""
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
    raw.bind((device, 0))
    raw.settimeout(timeout)
    messages = []
    while len(messages) < count:
        packet, where = raw.recvfrom(65535)
        if where[1] != 0x0800 or packet[9] != socket.IPPROTO_UDP:
            continue
        at = (packet[0] & 15) * 4
        if struct.unpack("!H", packet[at + 2:at + 4])[0] == port and packet[at + 8] == 4:
            messages.append(packet[at + 8:])
    return messages


def replay(a):
    """Catches a.count data messages that this host sends and sends each again, from another port, as it was or with a counter never seen."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, SO_MARK, OUTSIDE)
    if a.options:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, b"\1\1\1\0")
    if a.joined:    # as one packet, which the kernel takes apart as late as it can
        messages = list(caught_data_messages("eth0", a.port, a.count, a.timeout))
        messages = [m for m in messages if len(m) == len(messages[0])]
        sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, len(messages[0]))
        sock.sendto(b"".join(messages), (a.address, a.port))
        print(len(messages))
        return
    for message in caught_data_messages("eth0", a.port, a.count, a.timeout):
        if a.forge:
            message = message[:8] + struct.pack("<Q", struct.unpack("<Q", message[8:16])[0] + 100000) + message[16:]
        sock.sendto(message, (a.address, a.port))
    print(sock.getsockname()[1])


ETH_8021Q, SOL_PACKET, PACKET_AUXDATA = 0x8100, 263, 8


def tagged_send(a):
    """a.count Ethernet frames of VLAN 5 with a UDP datagram to a WireGuard port in each: somebody else's WireGuard."""
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    raw.bind(("eth0", 0))
    payload = struct.pack("<IIQ", 4, 12345, 1) + os.urandom(64)
    segment = udp_segment("10.5.0.2", a.address, 5000, 51820, payload)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(segment), 1, 0, 64, socket.IPPROTO_UDP, 0,
                     socket.inet_aton("10.5.0.2"), socket.inet_aton(a.address))
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    tag = struct.pack("!HHH", ETH_8021Q, 5, 0x0800)
    for _ in range(a.count):
        raw.send(bytes.fromhex(a.mac.replace(":", "")) + raw.getsockname()[4] + tag + ip + segment)
    print(hashlib.sha256(ip + segment).hexdigest())


def tagged_see(a):
    """Waits for a.count frames of VLAN 5 to that address; prints the hash of each one's IP packet."""
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    raw.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    raw.bind(("eth0", 3))
    raw.settimeout(a.timeout)
    print("ready", flush=True)
    seen = 0
    while seen < a.count:
        frame, extra, _, _ = raw.recvmsg(2048, 256)
        tci = struct.unpack("IIIHHHH", extra[0][2][:20])[5] if extra else 0
        if tci & 0xFFF == 5 and frame[14 + 16:14 + 20] == socket.inet_aton(a.address):
            print(hashlib.sha256(frame[14:]).hexdigest(), flush=True)
            seen += 1


def listen(a):
    """Holds a port: for the scenarios in which somebody else has it."""
    kind = {"udp": socket.SOCK_DGRAM, "tcp": socket.SOCK_STREAM}[a.protocol]
    sock = socket.socket(socket.AF_INET, kind)
    if a.protocol == "tcp":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((a.address, a.port))
    if a.protocol == "tcp":
        sock.listen(16)
    while True:
        time.sleep(3600)


class SlowSocket(socket.socket):
    kind = 0


def slow_client(a, i):
    """A connection that will never be done: silent, asking byte by byte, or not reading what it asked for."""
    sock = SlowSocket()
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    sock.connect_ex((a.address, a.port))
    sock.kind = i % 3
    return sock


def slow_turn(sock):
    """A byte of the request, or all of it once; False: the server has closed."""
    try:
        if sock.kind == 0 and not sock.recv(1, socket.MSG_PEEK):
            return False
        if sock.kind == 1:
            sock.send(b"G")
        if sock.kind == 2:
            sock.send(b"GET /metrics HTTP/1.1\r\nHost: node\r\n\r\n")
            sock.kind = 3
        if sock.kind == 3:
            return bool(sock.recv(1))
    except BlockingIOError:
        pass
    except OSError as e:
        return e.errno == errno.ENOTCONN
    return True


def slow_http(a):
    """Keeps --count connections to a web server that never end by themselves; those that it closes are made anew."""
    socks, closed = [slow_client(a, i) for i in range(a.count)], 0
    while not os.path.exists(a.stop):
        for i, sock in enumerate(socks):
            if not slow_turn(sock):
                sock.close()
                socks[i] = slow_client(a, i)
                closed += 1
        time.sleep(0.01)
    print(closed)


def junk(a):
    """Datagrams of random bytes, none of which is a WireGuard message: the first byte is never 1 to 4, nor 0 (STUN)."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, SO_MARK, OUTSIDE)
    for i in range(a.count):
        sock.sendto(b"\x80" + os.urandom(16 + i % 1200), (a.address, a.port))


def flood_messages(a):
    """What a stranger can send to a WireGuard port: endless datagrams of one kind."""
    mac1_key = hashlib.blake2s(b"mac1----" + base64.b64decode(a.public_key)).digest() if a.public_key else b""
    while True:
        if a.kind == "initiations":     # of somebody who knows the public key: mac1 is right, the rest is not
            body = b"\1\0\0\0" + os.urandom(112)
            yield body + hashlib.blake2s(body, digest_size=16, key=mac1_key).digest() + bytes(16)
        elif a.kind == "data":          # for no session
            yield b"\4\0\0\0" + os.urandom(76)
        elif a.kind == "pieces":        # the same, broken up by the sender: they reach the socket
            yield b"\4\0\0\0" + os.urandom(1996)
        else:
            yield b"\x80" + os.urandom(63)


def flood_fragments(a, sock, i):
    """28 bytes, the second half of a datagram that has no first one. Each of another, and with --forge from another address."""
    src = struct.pack("!I", 0xC6120000 + i % 65536) if a.forge else bytes(4)
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28, i % 65535 + 1, 100, 64, socket.IPPROTO_UDP, 0, src, socket.inet_aton(a.address))
    sock.sendto(header + b"12345678", (a.address, 0))


def flood(a):
    """a.rate packets a second, or as many as the machine lets us, until the file STOP is there; prints how many those were."""
    kind = socket.SOCK_RAW if a.kind == "fragments" else socket.SOCK_DGRAM
    sock = socket.socket(socket.AF_INET, kind, socket.IPPROTO_RAW if a.kind == "fragments" else 0)
    sock.setsockopt(socket.SOL_SOCKET, SO_MARK, OUTSIDE)
    messages = flood_messages(a)
    sent, began = 0, time.monotonic()
    while sent % 64 or not os.path.exists(a.stop):
        if a.kind == "fragments":
            flood_fragments(a, sock, sent)
        else:
            sock.sendto(next(messages), (a.address, a.port))
        sent += 1
        ahead = began + sent / a.rate - time.monotonic()
        if ahead > 0.002:
            time.sleep(ahead)
    print(sent, round(sent / (time.monotonic() - began)))


def main():
    p = argparse.ArgumentParser(description=__doc__)
    sub = p.add_subparsers(required=True, metavar="what")

    def add(name, run, *args):
        s = sub.add_parser(name, help=run.__doc__)
        s.set_defaults(run=run)
        s.add_argument("address")
        for flag, kwargs in args:
            s.add_argument(flag, **kwargs)

    port, log = ("port", {"type": int}), ("log", {})
    timeout = ("--timeout", {"type": float, "default": 3.0})
    count = ("--count", {"type": int, "default": 1})
    add("http", http_serve, port, ("folder", {}), log)
    add("udp-serve", udp_serve, port, log)
    add("udp", udp_ask, port, timeout, count, ("--size", {"type": int, "default": 64}),
        ("--source-port", {"type": int, "default": 0}), ("--ttl", {"type": int, "default": 0}),
        ("--df", {"choices": ("on", "off"), "default": "off"}), ("--order", {"default": ""}),
        ("--reply-size", {"type": int}), ("--no-reply", {"action": "store_true"}),
        ("--fragments", {"choices": ("forward", "reversed", "first-last"), "default": ""}),
        ("--fragment-size", {"type": int, "default": 1024}))
    add("ping", ping, ("-c", {"type": int, "default": 1}), ("-i", {"type": float, "default": 1.0}),
        ("-W", {"type": float, "default": 3.0}), ("-s", {"type": int, "default": 56}), ("-e", {"type": int, "default": 0}),
        ("-t", {"type": int, "default": 0}), ("-I", {"default": ""}))
    add("udp-flows", udp_flows, port, count, timeout)
    add("icmp-watch", icmp_watch, log)
    add("icmp-error", icmp_port_unreachable, ("inner_src", {}), ("inner_dst", {}), ("sport", {"type": int}),
        ("dport", {"type": int}))
    add("stream", tcp_stream, port, timeout, ("--size", {"type": int, "default": 8 << 20}),
        ("--rate", {"type": float, "default": 4e6}))
    add("tcp-echo", tcp_echo, port)
    add("pace", pace, port, ("udp_port", {"type": int}), ("stop", {}))
    add("connect-proxy", connect_proxy, port, ("target", {}), log, ("--auth", {"default": ""}))
    add("socks-proxy", socks_proxy, port, ("target", {}), log, ("--auth", {"default": ""}))
    add("mss", tcp_mss, port, timeout)
    add("replay", replay, port, count, timeout, ("--forge", {"action": "store_true"}),
        ("--joined", {"action": "store_true"}), ("--options", {"action": "store_true"}))
    add("tagged-send", tagged_send, ("mac", {}), count)
    add("tagged-see", tagged_see, count, timeout)
    add("listen", listen, port, ("--protocol", {"choices": ("udp", "tcp"), "default": "udp"}))
    add("slow-http", slow_http, port, ("stop", {}), count)
    add("junk", junk, port, count)
    add("flood", flood, port, ("kind", {"choices": ("fragments", "initiations", "data", "pieces", "junk")}), ("stop", {}),
        ("--rate", {"type": float, "default": 20000.0}), ("--public-key", {"default": ""}), ("--forge", {"action": "store_true"}))
    a = p.parse_args()
    a.run(a)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
