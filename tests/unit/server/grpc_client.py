#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A gRPC client of a stack that nobody here wrote (python3-grpcio), for test_server_tls: prints "ok" or raises.

    grpc_client.py PORT [AUTHORITY.pem]
"""
import sys

import grpc


def main():
    where = f"localhost:{sys.argv[1]}"
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    if len(sys.argv) > 2:
        with open(sys.argv[2], "rb") as f:
            channel = grpc.secure_channel(where, grpc.ssl_channel_credentials(f.read()), options)
    else:
        channel = grpc.insecure_channel(where, options)

    def unary(name):
        return channel.unary_unary("/talon.Test/" + name)

    assert unary("Echo")(b"hello", timeout=20) == b"hello"
    assert unary("Echo")(b"", timeout=20) == b""
    assert unary("Echo")(b"a" * (4 << 20), timeout=20) == b"a" * (4 << 20)
    assert len(unary("Big")(b"16777216", timeout=20)) == 16 << 20
    answer, call = unary("Meta").with_call(b"x", timeout=20, metadata=[("x-meta", "from python")])
    assert dict(call.initial_metadata())["x-wiretrustee-peer-registered"] == "1"
    for name, message, code, details in (
            ("Fail", b"x", grpc.StatusCode.NOT_FOUND, "no such peer: \u20ac 100 %\nsecond line"),
            ("Nothing", b"x", grpc.StatusCode.UNIMPLEMENTED, "there is no such method"),
            ("Echo", b"a" * ((4 << 20) + 1), grpc.StatusCode.RESOURCE_EXHAUSTED, "the message is too long")):
        try:
            unary(name)(message, timeout=20)
            raise AssertionError(name)
        except grpc.RpcError as error:
            assert (error.code(), error.details()) == (code, details), error
    try:
        unary("Echo")(b"a" * 1000, timeout=20, compression=grpc.Compression.Gzip)
        raise AssertionError("compressed")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error
    numbers = [int(n) for n in channel.unary_stream("/talon.Test/Count")(b"3000", timeout=20)]
    assert numbers == list(range(3000))
    chat = list(channel.stream_stream("/talon.Test/Chat")((b"%d" % i for i in range(500)), timeout=20))
    assert chat == [b"%d" % i for i in range(500)]
    futures = [unary("Echo").future(b"%d" % i, timeout=20) for i in range(300)]
    assert [f.result() for f in futures] == [b"%d" % i for i in range(300)]
    silent = channel.unary_stream("/talon.Test/Silent")(b"x")
    silent.cancel()
    channel.close()
    print("ok", flush=True)


main()
