#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A gRPC server of a stack that nobody here wrote (python3-grpcio), for test_grpc_interop: prints its port, serves until its input ends.

    grpc_server.py [KEY_AND_CERTIFICATE.pem]
"""
import sys
import threading
from concurrent import futures

import grpc


def echo(request, context):
    return request


def big(request, context):
    return b"b" * int(request)


def fail(request, context):
    context.abort(grpc.StatusCode.NOT_FOUND, "no such peer: \u20ac 100 %\nsecond line")


def silent(request, context):
    """Fails without a text."""
    context.abort(grpc.StatusCode.PERMISSION_DENIED, "")


def slow(request, context):
    gone = threading.Event()
    context.add_callback(gone.set)
    gone.wait(20)
    return b""


def meta(request, context):
    context.send_initial_metadata([("x-wiretrustee-peer-registered", "1")])
    return dict(context.invocation_metadata()).get("x-wiretrustee-peer-id", "none").encode()


def agent(request, context):
    return dict(context.invocation_metadata()).get("user-agent", "none").encode()


def count(request, context):
    for i in range(int(request)):
        yield str(i).encode()


def chat(requests, context):
    for request in requests:
        yield request[::-1]


class Handlers(grpc.GenericRpcHandler):
    unary = {"Echo": echo, "Big": big, "Fail": fail, "Silent": silent, "Slow": slow, "Meta": meta, "Agent": agent}

    def service(self, details):
        service, _, method = details.method.lstrip("/").partition("/")
        if service != "talon.Test":
            return None
        if method in self.unary:
            return grpc.unary_unary_rpc_method_handler(self.unary[method])
        if method == "Count":
            return grpc.unary_stream_rpc_method_handler(count)
        if method == "Chat":
            return grpc.stream_stream_rpc_method_handler(chat)
        return None


def main():
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(4), handlers=[Handlers()], options=options)
    if len(sys.argv) > 1:
        with open(sys.argv[1], "rb") as f:
            pem = f.read()
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(pem, pem)]))
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    sys.stdin.read()
    server.stop(0)


main()
