# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The HTTP server of net.py: files down, uploads answered with their SHA-256, every client logged."""
import functools
import hashlib
import http.server
import os
import socket
import socketserver


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, folder, log, *args):
        self.folder, self.log = folder, log
        super().__init__(*args)

    def log_message(self, *args):
        pass

    def seen(self):
        self.log(method=self.command, path=self.path, client=self.client_address[0], port=self.client_address[1],
                 mss=self.connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG))

    def do_GET(self):
        self.seen()
        name = os.path.join(self.folder, os.path.basename(self.path))
        if not os.path.isfile(name):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(os.path.getsize(name)))
        self.end_headers()
        self.wfile.flush()
        with open(name, "rb") as f:
            self.connection.sendfile(f)

    def do_PUT(self):
        self.seen()
        left, digest = int(self.headers["Content-Length"]), hashlib.sha256()
        while left:
            data = self.rfile.read(min(left, 1 << 18))
            if not data:
                return
            digest.update(data)
            left -= len(data)
        body = digest.hexdigest().encode() + b"\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)  # HTTPServer's own asks the name service, and none runs here
        self.server_name, self.server_port = self.server_address[:2]


class Server6(Server):
    address_family = socket.AF_INET6


def serve(address, port, folder, log):
    """log(**fields) is told of each request."""
    (Server6 if ":" in address else Server)((address, port), functools.partial(Handler, folder, log)).serve_forever()
