# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Just enough protobuf, by field numbers: message() writes, parse() reads. And STUN's Binding, and the relay's token."""
import base64
import binascii
import hashlib
import hmac
import socket
import struct


class Message(bytes):
    """A serialized message: as a field it is written even if it is empty."""


def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7f:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, value):
    if value is None:
        return b""
    if isinstance(value, (list, tuple)):
        return b"".join(field(number, v) if not isinstance(v, str) or v else varint(number << 3 | 2) + b"\0" for v in value)
    if isinstance(value, (bool, int)):
        return varint(number << 3) + varint(int(value)) if value else b""
    if isinstance(value, str):
        value = value.encode()
    if not value and not isinstance(value, Message):
        return b""
    return varint(number << 3 | 2) + varint(len(value)) + value


def message(fields):
    """{number: value}: int, bool, str, bytes, Message or a list of these; zero and empty are left out, as proto3 does."""
    return Message(b"".join(field(number, value) for number, value in fields.items()))


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7f) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def parse(data):
    """{number: [values]}, each an int or bytes."""
    fields, at = {}, 0
    while at < len(data):
        tag, at = read_varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = read_varint(data, at)
        elif kind == 2:
            size, at = read_varint(data, at)
            if at + size > len(data):
                raise ValueError("cut short")
            value, at = data[at:at + size], at + size
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            value, at = data[at:at + size], at + size
        else:
            raise ValueError(f"wire type {kind}")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def text(fields, number):
    return fields[number][-1].decode() if number in fields else ""


def token(secret, expiry):
    """What RelayConfig carries: payload and signature."""
    payload = str(int(expiry))
    key = hashlib.sha256(secret.encode()).digest()
    return payload, base64.b64encode(hmac.new(key, payload.encode(), hashlib.sha256).digest()).decode()


COOKIE = 0x2112A442


def binding_answer(request, address):
    """The answer to a STUN Binding request from @address, or None."""
    if len(request) < 20:
        return None
    kind, size, cookie = struct.unpack(">HHI", request[:8])
    if kind != 1 or cookie != COOKIE or size + 20 != len(request):
        return None
    packed = socket.inet_pton(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, address[0])
    mask = request[4:20][:len(packed)]
    xored = bytes(a ^ b for a, b in zip(packed, mask))
    value = struct.pack(">BBH", 0, 1 if len(packed) == 4 else 2, address[1] ^ COOKIE >> 16) + xored
    body = struct.pack(">HH", 0x20, len(value)) + value
    head = struct.pack(">HHI", 0x101, len(body) + 8, COOKIE) + request[8:20]
    crc = binascii.crc32(head + body) ^ 0x5354554E
    return head + body + struct.pack(">HHI", 0x8028, 4, crc)
