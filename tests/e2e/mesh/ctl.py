#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Tells a running mesh.py something: ctl.py SOCKET COMMAND [ARGUMENT...]. Apart from it, as its libraries take ten times as long to load as this runs."""
import json
import socket
import sys


def ask(path, words):
    """Its exit status."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        s.sendall(json.dumps(words).encode() + b"\n")
        data = b""
        while not data.endswith(b"\n"):
            part = s.recv(65536)
            if not part:
                break
            data += part
    answer = json.loads(data or b'{"error": "no answer"}')
    if "error" in answer:
        print(answer["error"], file=sys.stderr)
        return 1
    value = answer["answer"]
    if value is not None:
        print(value if isinstance(value, str) else json.dumps(value))
    return 0


sys.exit(ask(sys.argv[1], sys.argv[2:]))
