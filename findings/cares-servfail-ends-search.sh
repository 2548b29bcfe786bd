#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# c-ares 1.18.1: one search domain whose name server answers SERVFAIL ends the whole lookup. The name as it was given is never asked for,
# although a server on the list would know it. With "ndots:5", as in every Kubernetes pod, that is the fate of most public names.
#
# Seen with pycares 4.3.0, which carries c-ares 1.18.1 (Debian 12 has the same), a resolver with one search domain, and a name server that
# answers SERVFAIL below that domain and an address for the name itself:
#
#	c-ares 1.18.1
#	ndots 1: asked management.example; answer 192.0.2.7
#	ndots 2: asked management.example.corp.example; error Could not contact DNS servers
#
# glibc and Go go on to the next domain and to the name itself. Who needs that with c-ares walks the search list on his own and asks for
# one absolute name at a time.
#
# Needs python3 with venv and a package index. Exit status 0: as above; 1: it behaves otherwise.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" -q --disable-pip-version-check install pycares==4.3.0 >&2

cat >"$dir/lookup.py" <<'END'
import select
import socket
import struct
import threading

import pycares

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 0))
asked = []


def answer():
    while True:
        query, peer = server.recvfrom(512)
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        name, question = ".".join(labels), query[12:at + 5]
        asked.append(name)
        if name.endswith(".corp.example"):
            reply = struct.pack("!HHHHH", 0x8182, 1, 0, 0, 0) + question
        else:
            record = struct.pack("!HHHIH4s", 0xC00C, 1, 1, 60, 4, socket.inet_aton("192.0.2.7"))
            reply = struct.pack("!HHHHH", 0x8180, 1, 1, 0, 0) + question + record
        server.sendto(query[:2] + reply, peer)


def drive(channel):
    while True:
        readable, writable = channel.getsock()
        if not readable and not writable:
            return
        ready, able, _ = select.select(readable, writable, [], channel.timeout() or 1)
        for fd in ready:
            channel.process_fd(fd, pycares.ARES_SOCKET_BAD)
        for fd in able:
            channel.process_fd(pycares.ARES_SOCKET_BAD, fd)
        if not ready and not able:
            channel.process_fd(pycares.ARES_SOCKET_BAD, pycares.ARES_SOCKET_BAD)


def keep(result, error):
    said.append(f"answer {result.nodes[0].addr[0].decode()}" if result else f"error {pycares.errno.strerror(error)}")


threading.Thread(target=answer, daemon=True).start()
print("c-ares", pycares.ARES_VERSION)
for ndots in (1, 2):
    asked.clear()
    said = []
    channel = pycares.Channel(servers=["127.0.0.1"], udp_port=server.getsockname()[1], domains=["corp.example"],
                              ndots=ndots, tries=1, timeout=2, flags=0)
    channel.getaddrinfo("management.example", None, keep, family=socket.AF_INET)
    drive(channel)
    print(f"ndots {ndots}: asked {', '.join(asked)}; {said[0]}")
END

cat >"$dir/expected" <<'END'
c-ares 1.18.1
ndots 1: asked management.example; answer 192.0.2.7
ndots 2: asked management.example.corp.example; error Could not contact DNS servers
END
"$dir/venv/bin/python" "$dir/lookup.py" | tee "$dir/seen"
diff "$dir/expected" "$dir/seen" >&2 || { echo "it behaves otherwise now" >&2; exit 1; }
