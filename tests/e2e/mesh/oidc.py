# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""An OpenID provider for scenarios: the device flow (RFC 8628) and PKCE's token endpoint, over plain HTTP; tokens are signed by nobody."""
import asyncio
import base64
import hashlib
import json
import secrets
import time
import urllib.parse

AUDIENCE = "mesh-cli"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Provider:
    """Codes are asked for by devices, and approved or denied by commands; a token is good for one login."""

    def __init__(self, port, log):
        self.port, self.log = port, log
        self.server = None
        self.devices = {}  # user code: {device, state, polls, last}
        self.codes = {}  # authorization code: {challenge, redirect}
        self.tokens = {}  # token: used?
        self.interval, self.life = 1, 60
        self.slow = 0  # so many polls are told to slow down

    async def start(self):
        if not self.server:
            self.server = await asyncio.start_server(self.connection, "0.0.0.0", self.port)

    async def stop(self):
        if self.server:
            server, self.server = self.server, None
            server.close()
            await server.wait_closed()

    def make_token(self, user):
        claims = {"aud": ["somebody-else", AUDIENCE], "sub": user, "exp": int(time.time()) + 3600, "jti": secrets.token_hex(8),
                  "groups": [secrets.token_hex(16) for _ in range(100)]}
        token = f"{b64(json.dumps({'alg': 'none'}).encode())}.{b64(json.dumps(claims).encode())}.{b64(b'signature')}"
        self.tokens[token] = False
        return token

    def spend(self, token):
        """Who the token is of, the first time; else None."""
        if self.tokens.get(token, True):
            return None
        self.tokens[token] = True
        claims = token.split(".")[1]
        return json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sub"]

    def grant(self, user):
        return 200, {"access_token": self.make_token(user), "id_token": self.make_token(user), "token_type": "bearer", "expires_in": 3600}

    def device_code(self, form, base):
        if form.get("client_id") != AUDIENCE or form.get("audience") != AUDIENCE or "openid" not in form.get("scope", ""):
            return 400, {"error": "invalid_request"}
        user, device = "-".join(secrets.token_hex(2).upper() for _ in "ab"), secrets.token_hex(16)
        self.devices[user] = dict(device=device, state="pending", polls=0, user="")
        self.log(f"oidc: device code for {user}")
        answer = {"device_code": device, "user_code": user, "verification_uri": f"{base}/device", "expires_in": self.life,
                  "verification_uri_complete": f"{base}/device?user_code={user}"}
        if self.interval:
            answer["interval"] = self.interval
        return 200, answer

    def poll(self, form):
        found = [d for d in self.devices.values() if d["device"] == form.get("device_code")]
        if not found:
            return 400, {"error": "invalid_grant"}
        device = found[0]
        device["polls"] += 1
        if self.slow:
            self.slow -= 1
            return 400, {"error": "slow_down"}
        if device["state"] == "approved":
            device["state"] = "used"
            return self.grant(device["user"])
        return 400, {"error": {"pending": "authorization_pending", "denied": "access_denied"}.get(device["state"], "expired_token")}

    def exchange(self, form):
        code = self.codes.pop(form.get("code"), None)
        challenge = b64(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if not code or code["challenge"] != challenge or code["redirect"] != form.get("redirect_uri"):
            return 400, {"error": "invalid_grant"}
        return self.grant(code["user"])

    def answer(self, path, form, base):
        if path == "/device/code":
            return self.device_code(form, base)
        if path == "/token" and form.get("grant_type") == "urn:ietf:params:oauth:grant-type:device_code":
            return self.poll(form)
        if path == "/token" and form.get("grant_type") == "authorization_code":
            return self.exchange(form)
        return 404, {"error": "not_found"}

    async def connection(self, reader, writer):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            fields = {name.lower(): value for name, value in fields.items()}
            body = await reader.readexactly(int(fields.get("content-length", 0)))
            status, answer = self.answer(head.split(" ")[1], dict(urllib.parse.parse_qsl(body.decode())), "http://" + fields.get("host", ""))
            data = json.dumps(answer).encode()
            writer.write(f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n"
                         "Connection: close\r\n\r\n".encode() + data)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            pass
        finally:
            writer.close()

    # ---- what a person does in a browser ----

    def decide(self, state, user):
        """The newest code that waits."""
        waiting = [c for c, d in self.devices.items() if d["state"] == "pending"]
        if not waiting:
            raise LookupError("no code waits for a person")
        self.devices[waiting[-1]].update(state=state, user=user)
        return waiting[-1]

    def authorize(self, url, user):
        """The redirect of a person who signed in at this authorization URL."""
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlparse(url).query))
        if query.get("response_type") != "code" or query.get("code_challenge_method") != "S256" or query.get("client_id") != AUDIENCE:
            raise LookupError("not an authorization URL")
        code = secrets.token_hex(8)
        self.codes[code] = dict(challenge=query["code_challenge"], redirect=query["redirect_uri"], user=user)
        return query["redirect_uri"] + "?" + urllib.parse.urlencode({"code": code, "state": query["state"]})
