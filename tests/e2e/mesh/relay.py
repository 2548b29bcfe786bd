#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A NetBird relay server for tests: WebSocket and relay messages written once more, from the protocol's description, in plain Python.

Prints "listening PORT" when it is ready. Anything that the stock server would close a connection for ends the connection here too, with a line on
standard error that says why: tests read it.
"""
import argparse
import asyncio
import base64
import hashlib
import hmac
import sys
import time

TRANSPORT, CLOSE, HEALTH, AUTH, AUTH_RESPONSE, SUBSCRIBE, UNSUBSCRIBE, ONLINE, OFFLINE = range(3, 12)
MAGIC = bytes.fromhex("2112a442")
ID_LEN = 36
MESSAGE_MAX = 8820
AUTH_MAX = 212
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Refused(Exception):
    pass


class Client:
    def __init__(self, relay, reader, writer):
        self.relay, self.reader, self.writer = relay, reader, writer
        self.id = None
        self.watched = {}  # id: whether its coming is still to be announced
        self.answered = True
        self.asking = None

    async def upgrade(self):
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("ascii").split("\r\n")
        if head[0] != "GET /relay HTTP/1.1":
            raise Refused("request: " + head[0])
        fields = {}
        for line in head[1:-2]:
            name, value = line.split(": ", 1)
            if name.lower() in fields:
                raise Refused("twice: " + name)
            fields[name.lower()] = value
        if fields["upgrade"].lower() != "websocket" or "upgrade" not in fields["connection"].lower():
            raise Refused("not an upgrade")
        if fields["sec-websocket-version"] != "13" or not fields["host"]:
            raise Refused("version or host")
        if "sec-websocket-extensions" in fields or "sec-websocket-protocol" in fields:
            raise Refused("offers extensions")
        key = fields["sec-websocket-key"].encode()
        if len(base64.b64decode(key, validate=True)) != 16:
            raise Refused("key")
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
        self.writer.write(f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nSec-Websocket-Accept: {accept}\r\n"
                          "Upgrade: websocket\r\n\r\n".encode())

    async def frame(self, most):
        first, second = await self.reader.readexactly(2)
        size = second & 0x7f
        if size >= 126:
            size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
        if not second & 0x80 or first & 0x70 or not first & 0x80:
            raise Refused(f"frame {first:02x} {second:02x}")
        if size > most:
            raise Refused(f"message of {size} bytes")
        mask = await self.reader.readexactly(4)
        payload = await self.reader.readexactly(size)
        mask = (mask * (size // 4 + 1))[:size]
        payload = (int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")).to_bytes(size, "big")
        return first & 0x0f, payload

    async def message(self, most=MESSAGE_MAX):
        while True:
            opcode, payload = await self.frame(most)
            if opcode == 2:
                if len(payload) < 2 or payload[0] != 1:
                    raise Refused("message " + payload[:2].hex())
                return payload[1], payload[2:]
            if opcode == 8:
                return CLOSE, b""
            if opcode != 10:
                raise Refused(f"opcode {opcode}")

    def send(self, kind, body=b""):
        size = len(body) + 2
        head = bytes([0x82, size]) if size < 126 else b"\x82\x7e" + size.to_bytes(2, "big")
        self.writer.write(head + bytes([1, kind]) + body)

    def authenticate(self, kind, body):
        if kind != AUTH or body[:4] != MAGIC or body[4:8] != b"sha-" or len(body) < 4 + ID_LEN + 33 + 10 or body[40] != 1:
            raise Refused("auth message")
        key = hashlib.sha256(self.relay.secret.encode()).digest()
        expiry = body[73:]
        if not hmac.compare_digest(hmac.new(key, expiry, hashlib.sha256).digest(), body[41:73]):
            raise Refused("token: signature")
        if int(expiry) < time.time():
            raise Refused("token: expired")
        self.id = body[4:40]

    def subscribe(self, ids):
        online = [i for i in ids if i in self.relay.clients]
        self.watched.update({i: i not in self.relay.clients for i in ids})
        if online:
            self.send(ONLINE, b"".join(online))

    async def serve(self):
        await self.upgrade()
        self.authenticate(*await self.message(AUTH_MAX))
        self.relay.come(self)
        self.send(AUTH_RESPONSE, self.relay.address.encode())
        self.asking = asyncio.create_task(self.ask())
        while True:
            kind, body = await self.message()
            if kind == TRANSPORT:
                to = self.relay.clients.get(body[:ID_LEN])
                if to:
                    to.send(TRANSPORT, self.id + body[ID_LEN:])
                    await to.writer.drain()
            elif kind == HEALTH:
                self.answered = True
            elif kind in (SUBSCRIBE, UNSUBSCRIBE) and body and len(body) % ID_LEN == 0:
                ids = [body[i:i + ID_LEN] for i in range(0, len(body), ID_LEN)]
                if kind == SUBSCRIBE:
                    self.subscribe(ids)
                else:
                    for i in ids:
                        self.watched.pop(i, None)
            elif kind == CLOSE:
                return
            else:
                raise Refused(f"message of type {kind}, {len(body)} bytes")

    async def ask(self):
        while self.answered:
            await asyncio.sleep(self.relay.health)
            self.answered = False
            self.send(HEALTH)
            await asyncio.sleep(self.relay.health / 2)
        print("no answer to a health check", file=sys.stderr, flush=True)
        self.writer.close()


class Relay:
    def __init__(self, args):
        self.secret, self.address, self.health = args.secret, args.address, args.health
        self.clients = {}

    def come(self, client):
        old = self.clients.pop(client.id, None)
        if old:
            old.id = None
            old.writer.close()
        self.clients[client.id] = client
        for other in self.clients.values():
            if not old and other.watched.get(client.id):
                other.watched[client.id] = False
                other.send(ONLINE, client.id)

    def go(self, client):
        if client.id is None:
            return
        del self.clients[client.id]
        for other in self.clients.values():
            if client.id in other.watched:
                other.send(OFFLINE, client.id)

    async def connection(self, reader, writer):
        client = Client(self, reader, writer)
        try:
            await client.serve()
        except Refused as why:
            print(f"refused: {why}", file=sys.stderr, flush=True)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            if client.asking:
                client.asking.cancel()
            self.go(client)
            writer.close()


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--secret", default="test-secret")
    parser.add_argument("--address", help="instance address; rel://LISTEN:PORT if not given")
    parser.add_argument("--health", type=float, default=25, help="seconds between health checks")
    args = parser.parse_args()
    relay = Relay(args)
    server = await asyncio.start_server(relay.connection, args.listen, args.port)
    port = server.sockets[0].getsockname()[1]
    relay.address = relay.address or f"rel://{args.listen}:{port}"
    print(f"listening {port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
