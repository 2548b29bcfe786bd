#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""An upload service for debug bundles: upload.py ADDRESS PORT CERTIFICATE KEY FOLDER. /upload-url names a place, /put/KEY takes a file;
/plain names a place without TLS, /odd answers nonsense."""
import http.server
import json
import os
import ssl
import sys
import urllib.parse

address, port, certificate, key, folder = sys.argv[1:]
base = f"{address}:{port}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def say(self, status, text=""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def do_GET(self):
        url = urllib.parse.urlparse(self.path)
        print("id", urllib.parse.parse_qs(url.query).get("id", ["-"])[0], "client", self.headers.get("x-nb-client"), flush=True)
        name = f"key-{len(os.listdir(folder)) + 1}"
        if url.path in ("/upload-url", "/plain"):
            scheme = "https" if url.path == "/upload-url" else "http"
            self.say(200, json.dumps({"URL": f"{scheme}://{base}/put/{name}", "Key": name}))
        elif url.path == "/odd":
            self.say(200, "[]")
        else:
            self.say(404)

    def do_PUT(self):
        name = os.path.basename(self.path)
        if self.headers.get("Expect") == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        with open(os.path.join(folder, name), "wb") as f:
            f.write(self.rfile.read(int(self.headers["Content-Length"])))
        print("put", name, self.headers.get("Content-Type"), flush=True)
        self.say(200)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer((address, int(port)), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
print("ready", flush=True)
server.serve_forever()
