#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# grpc-go's client ends a connection in order with a GOAWAY frame whose last stream number is 2147483647, the highest that there is, and error NO_ERROR.
# A server made of nghttp2 takes this goodbye for a protocol error: a client's GOAWAY names streams that the server has opened (RFC 9113 section 6.8),
# and nghttp2 refuses a number that is none of the server's, which an odd one never is. It answers with a GOAWAY of its own, PROTOCOL_ERROR, and tells the
# application of an invalid frame (on_invalid_frame_recv_callback, -505) like one of an attacker.
#
# Seen with grpc-go 1.76.0 and nghttp2 1.52.0 (Debian 12's libnghttp2-14):
#
#	grpc-go says: GOAWAY, last stream 2147483647, error 0
#	nghttp2 says: invalid frame of type 7, library error -505; GOAWAY, error 1
#
# So a server that counts invalid frames, or logs them, has to let this one be the ordinary end that it is.
#
# Needs Go and its module proxy, Debian's libnghttp2-14 (downloaded into a temporary folder) and python3. Exit status 0: as above; 1: it behaves otherwise.
set -euo pipefail

dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
(cd "$dir" && apt-get -q download 'libnghttp2-14=1.52.0-1+deb12u*' >/dev/null 2>&1 && dpkg-deb -x libnghttp2-14_*.deb root)
library=$(find "$dir/root" -name 'libnghttp2.so.14' | head -n 1)

mkdir "$dir/client"
cat >"$dir/client/main.go" <<'END'
package main

import (
	"context"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
)

func main() {
	conn, err := grpc.NewClient(os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		panic(err)
	}
	conn.Connect()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for state := conn.GetState(); state != connectivity.Ready; state = conn.GetState() {
		if !conn.WaitForStateChange(ctx, state) {
			panic("not connected")
		}
	}
	conn.Close()
}
END
(cd "$dir/client" && go mod init client && go get google.golang.org/grpc@v1.76.0 && go build -o ../grpc-client .) >/dev/null 2>&1

# A server that lets nghttp2 decide: it hands over what comes, sends what is to be sent, and prints what was said.
cat >"$dir/server.py" <<'END'
import ctypes
import socket
import struct
import subprocess
import sys

lib = ctypes.CDLL(sys.argv[1])
INVALID = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
lib.nghttp2_session_mem_send.restype = ctypes.c_ssize_t
lib.nghttp2_session_mem_recv.restype = ctypes.c_ssize_t
lib.nghttp2_session_mem_recv.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)
invalid = []


@INVALID
def on_invalid(session, frame, error, user):
    kind = ctypes.string_at(frame, 16)[12]		# nghttp2_frame_hd: length (size_t), stream (int32), type
    invalid.append((kind, error))
    return 0


callbacks, session = ctypes.c_void_p(), ctypes.c_void_p()
assert lib.nghttp2_session_callbacks_new(ctypes.byref(callbacks)) == 0
lib.nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid)
assert lib.nghttp2_session_server_new(ctypes.byref(session), callbacks, None) == 0
assert lib.nghttp2_submit_settings(session, 0, None, 0) == 0


def frames(data):
    while len(data) >= 9:
        length = int.from_bytes(data[:3], "big")
        yield data[3], data[9:9 + length]
        data = data[9 + length:]


def to_send():
    data = ctypes.c_void_p()
    out = b""
    while (n := lib.nghttp2_session_mem_send(session, ctypes.byref(data))) > 0:
        out += ctypes.string_at(data, n)
    return out


listener = socket.create_server(("127.0.0.1", 0))
client = subprocess.Popen([sys.argv[2], f"127.0.0.1:{listener.getsockname()[1]}"])
conn, _ = listener.accept()
conn.settimeout(20)
sent, came = to_send(), b""
conn.sendall(sent)
while data := conn.recv(65536):
    came += data
    assert lib.nghttp2_session_mem_recv(session, data, len(data)) >= 0
    sent += (out := to_send())
    try:
        conn.sendall(out)
    except OSError:
        pass
assert client.wait(20) == 0
for kind, payload in frames(came[24:]):			# after the preface
    if kind == 7:
        print("grpc-go says: GOAWAY, last stream %d, error %d" % struct.unpack(">II", payload[:8]))
ends = [struct.unpack(">II", payload[:8])[1] for kind, payload in frames(sent) if kind == 7]
print("nghttp2 says:", "; ".join([f"invalid frame of type {k}, library error {e}" for k, e in invalid] + [f"GOAWAY, error {e}" for e in ends]))
END

cat >"$dir/expected" <<'END'
grpc-go says: GOAWAY, last stream 2147483647, error 0
nghttp2 says: invalid frame of type 7, library error -505; GOAWAY, error 1
END
python3 "$dir/server.py" "$library" "$dir/grpc-client" | tee "$dir/seen"
diff "$dir/expected" "$dir/seen" >&2 || { echo "it behaves otherwise now" >&2; exit 1; }
