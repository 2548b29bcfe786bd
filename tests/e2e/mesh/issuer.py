#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""An OpenID issuer with signing keys: the provider of oidc.py, whose tokens somebody can check. issuer.py PORT FOLDER

What a person or an administrator does is a GET, too: /approve?user=NAME&groups=A,B; /rotate (another key); /mode?is=FORGED (as it names
itself below), until /mode?is=good.
"""
import asyncio
import json
import subprocess
import sys
import time
import urllib.parse

import oidc

MODES = ("good", "unsigned", "forged", "expired", "stranger")


class Issuer(oidc.Provider):
    def __init__(self, port, folder):
        super().__init__(port, print)
        self.url, self.folder = f"http://127.0.0.1:{port}", folder
        self.mode, self.groups, self.number = "good", {}, 0
        self.foreign = self.make_key("foreign")
        self.rotate()

    def make_key(self, name):
        path = f"{self.folder}/{name}.pem"
        subprocess.run(["openssl", "genrsa", "-out", path, "2048"], check=True, capture_output=True)
        return path

    def rotate(self):
        self.number += 1
        self.key = self.make_key(f"key{self.number}")

    def jwks(self):
        shown = subprocess.run(["openssl", "rsa", "-in", self.key, "-noout", "-modulus"], check=True, capture_output=True, text=True).stdout
        modulus = bytes.fromhex(shown.strip().split("=")[1])
        return {"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": f"key{self.number}", "n": oidc.b64(modulus), "e": "AQAB"}]}

    def make_token(self, user):
        now = int(time.time()) - (86400 if self.mode == "expired" else 0)
        claims = {"iss": self.url + ("/other" if self.mode == "stranger" else ""), "sub": user, "aud": oidc.AUDIENCE, "iat": now, "exp": now + 3600,
                  "jti": str(time.time_ns()), "groups": self.groups.get(user, [])}
        head = {"alg": "none"} if self.mode == "unsigned" else {"alg": "RS256", "kid": f"key{self.number}"}
        text = oidc.b64(json.dumps(head).encode()) + "." + oidc.b64(json.dumps(claims).encode())
        key = self.foreign if self.mode == "forged" else self.key
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key], input=text.encode(), check=True, capture_output=True).stdout
        return text + "." + oidc.b64(signature)

    def answer(self, path, form, base):
        path, _, query = path.partition("?")
        query = dict(urllib.parse.parse_qsl(query))
        if path == "/.well-known/openid-configuration":
            return 200, {"issuer": self.url, "jwks_uri": self.url + "/keys", "token_endpoint": self.url + "/token",
                         "authorization_endpoint": self.url + "/auth", "device_authorization_endpoint": self.url + "/device/code"}
        if path == "/keys":
            return 200, self.jwks()
        if path == "/approve":
            self.groups[query["user"]] = query.get("groups", "").split(",")
            return 200, self.decide("approved", query["user"])
        if path == "/rotate":
            self.rotate()
            return 200, self.number
        if path == "/mode" and query.get("is") in MODES:
            self.mode = query["is"]
            return 200, self.mode
        return super().answer(path, form, base)


async def main(port, folder):
    await Issuer(int(port), folder).start()
    await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:]))
