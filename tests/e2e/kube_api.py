#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""As much of a Kubernetes API server as tells who holds an address; and a TCP connection that talks all the time.

serve FOLDER: HTTPS on 127.0.0.1:6443 with FOLDER/ca.crt and FOLDER/server.key. What it says is in the folder: `holder` of the Lease, `accepted`
(the token), `gone` (there: the next watch is told 410, once), and `version`, which goes on over a restart
as in a real one. It writes a line for each request to FOLDER/requests, without the token.
talk ADDRESS PORT LOG: sends a number every 50 ms, waits for its echo, and logs it.
"""
import http.server
import json
import os
import re
import socket
import ssl
import sys
import time


def folder_text(folder, name):
    with open(os.path.join(folder, name)) as f:
        return f.read().strip()


class Api(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder = None
    holder, version = "", 0

    def log_message(self, *args):
        pass

    def lease(self, version):
        return {"metadata": {"name": "cilium-l2announce-web-shop", "namespace": "kube-system", "resourceVersion": str(version)},
                "spec": {"holderIdentity": folder_text(self.folder, "holder")}}

    def look(self):
        """A holder that changed, whoever asks first, is a new version."""
        holder = folder_text(self.folder, "holder")
        if holder != Api.holder:
            Api.holder, Api.version = holder, Api.version + 1
            with open(os.path.join(self.folder, "version"), "w") as f:
                f.write(str(Api.version))
        return Api.version

    def service(self):
        return {"metadata": {"name": "shop", "namespace": "web", "resourceVersion": "5"},
                "status": {"loadBalancer": {"ingress": [{"ip": folder_text(self.folder, "address")}]}}}

    def refuse(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def chunk(self, value):
        data = (json.dumps(value) + "\n").encode()
        half = len(data) // 2      # an event that comes in two pieces
        for part in data[:half], data[half:]:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.flush()

    def do_GET(self):
        watch = "watch=1" in self.path
        with open(os.path.join(self.folder, "requests"), "a") as log:
            log.write(("watch " if watch else "list ") + self.path.split("?")[0].split("/")[-1] + "\n")
        if self.headers.get("Authorization") != "Bearer " + folder_text(self.folder, "accepted"):
            return self.refuse(401)
        if "servicel2statuses" in self.path:
            return self.refuse(404)
        leases = "/leases" in self.path
        if not watch:
            body = json.dumps({"metadata": {"resourceVersion": str(self.look())}, "items": [self.lease(self.look()) if leases else self.service()]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return None
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.watch(leases, int(re.search("resourceVersion=([0-9]+)", self.path)[1]))
        self.wfile.write(b"0\r\n\r\n")
        return None

    def watch(self, leases, version):
        gone = os.path.join(self.folder, "gone")
        while True:
            if leases and os.path.exists(gone):
                os.unlink(gone)
                return self.chunk({"type": "ERROR", "object": {"kind": "Status", "code": 410}})
            if leases and self.look() > version:
                version = Api.version
                self.chunk({"type": "MODIFIED", "object": self.lease(version)})
            time.sleep(0.01)


def serve(folder):
    Api.folder = folder
    if os.path.exists(os.path.join(folder, "version")):
        Api.version = int(folder_text(folder, "version"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 6443), Api)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(folder, "ca.crt"), os.path.join(folder, "server.key"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


def talk(address, port, log):
    with socket.create_connection((address, int(port)), 10) as sock, open(log, "w", buffering=1) as out:
        sock.settimeout(20)
        lines = sock.makefile("rwb", buffering=0)
        for i in range(100000):
            lines.write(b"%d\n" % i)
            if lines.readline().strip() != b"%d" % i:
                sys.exit("the connection ended")
            out.write("%d\n" % i)
            time.sleep(0.05)


if __name__ == "__main__":
    {"serve": serve, "talk": talk}[sys.argv[1]](*sys.argv[2:])
