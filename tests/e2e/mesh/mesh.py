#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A NetBird mesh in one process, for the end-to-end scenarios: management and signal (gRPC), relay (WebSocket), STUN.

    mesh.py serve --address 10.99.0.10 --control SOCKET [--state FILE] [ports ...]
    ctl.py SOCKET COMMAND [ARGUMENT...]

serve prints one line per event, and "mesh: ready" when it listens. ctl.py prints the answer; its exit status is 1 if the command failed.
Commands (NAME of a peer is its host name; lists are separated by commas):

    status                          everything, as JSON
    peer NAME [FIELD]               one peer, or one field of it: ip, fqdn, key, version, sync, signal, relay, logins, syncs ...
    key NAME valid|expired|revoked [limit=N] [groups=A,B]
    add NAME [groups=A,B]           a peer that nobody runs; its key is the mesh's
    crowd N                         N such peers at once, named crowd-0 ...
    large N ROUTES NAME             N such peers, and ROUTES networks (10.128.0.0/24 and on) behind NAME, in one map
    delete_all PREFIX               peers that nobody runs, whose names begin so
    delete NAME                     farewell map, end of the stream, and it is unknown from then on
    groups NAME A,B                 besides All
    address NAME IP
    six on|off                      IPv6 inside the tunnel for those who can: off at the beginning
    lazy on|off                     the account's switch of lazy connections: off at the beginning
    address6 NAME IP
    route ID peer=NAME[,NAME] network=CIDR|domains=A,B [netid=X] [metric=N] [masquerade=0] [groups=A,B] [keep=1] [resource=1]
                                    [acl=GROUPS:PROTOCOL[:PORTS][;...]]
    policy ID sources=A,B destinations=A,B [protocol=all|tcp|udp|icmp] [ports=80,8000-8100] [action=drop] [oneway=1]
    unroute ID, unpolicy ID         ("default" is the policy All to All that is there from the beginning)
    push [NAME]                     the same map again
    empty NAME                      a map without peers, routes and rules, with all flags
    raw NAME HEX                    any SyncResponse
    serial N                        the next map has N + 1
    token [SECONDS]                 new relay token to all streams, without a map; later maps have it too
    config [NAME]                   the whole global configuration, without a map
    stale                           a new server key: what is boxed for the old one is refused from now on
    eof NAME                        ends the Sync stream in order
    job NAME [FIELD=VALUE...]       a remote job, a debug bundle: count (of log files), anonymize, level, wait (minutes); the answer is in the log
    exposed                         the services that peers publish, as JSON. Peers of group "proxies" may reach their ports
    fail METHOD CODE TIMES [TEXT]   the next calls of METHOD (Login, Sync, Send ...) end with CODE (a gRPC name: NOT_FOUND)
    delay METHOD SECONDS TIMES
    lose TIMES                      signal messages that are taken and forgotten
    bare FROM TO                    an offer without ICE credentials; FROM is a peer that the mesh runs itself. Its answer is in the log
    idle FROM TO [FILE]             GO_IDLE; FROM is a peer that the mesh runs itself, or its identity is in FILE
    version NAME X.Y.Z              what others are told that NAME runs
    sso on|off|old [SECONDS]        whether people can sign in, and for how long a login lasts; old: the calls of it are not implemented
    approve|deny [USER]             the newest device code that waits
    authorize URL [USER]            a person signed in at this authorization URL; prints where the browser goes then
    tokens                          those that were used
    lose_login TIMES                the next logins with a token succeed, but their answers are lost
    slow TIMES                      so many polls of a device are told to slow down
    expire NAME                     the login of this peer ends now
    expiry NAME SECONDS|none        another end of it, in the next map
    stop|start management|signal|relay|relay2|stun|oidc
    relays NAME [URL...]            what this peer is told instead of the home relay
"""
import argparse
import asyncio
import base64
import ipaddress
import json
import os
import socket
import sys
import time

import oidc
import wire
from wire import message, parse, text

DOMAIN = "mesh.test"
PREFIX6 = "fd92:7a10:1::"
SOURCE_PREFIXES, IPV6_OVERLAY = 1, 2  # what peers say that they can
FORWARDER_PORT = 22054
EXPOSE_PROTOCOLS = ("http", "https", "tcp", "udp", "tls")
PROTOCOLS = {"all": 1, "tcp": 2, "udp": 3, "icmp": 4}


def log(what):
    print(f"{time.strftime('%H:%M:%S')}.{int(time.time() * 1000) % 1000:03d} {what}", flush=True)


def compact(prefix):
    """An address in network order and a byte of prefix length."""
    interface = ipaddress.ip_interface(prefix)
    return interface.ip.packed + bytes([interface.network.prefixlen])


def is_six(prefix):
    return ":" in prefix


def listed(value):
    return [v for v in value.split(",") if v] if value else []


class Trouble(Exception):
    """A command that cannot be carried out."""


# ---- what the mesh knows ----

class Mesh:
    def __init__(self, args):
        import nacl.public
        self.nacl = nacl.public
        self.args = args
        self.server_key = self.nacl.PrivateKey.generate()
        self.keys, self.peers, self.routes = {}, {}, {}
        self.policies = {"default": dict(sources=["All"], destinations=["All"], protocol="all", ports=[], action="accept", oneway=False)}
        self.serial = 0
        self.six = False
        self.lazy = False
        self.token_life = 12 * 3600
        self.faults, self.delays = {}, {}
        self.lose = self.lose_login = 0
        self.streams = {}  # public key: Sync
        self.jobs = {}  # public key: queue
        self.registered = {}  # public key: signal stream's queue
        self.exposed = {}  # domain: a published service
        self.pushing = None
        self.sso, self.session = "off", 3600
        self.oidc = oidc.Provider(args.oidc_port, log)
        if args.state and os.path.exists(args.state):
            with open(args.state) as f:
                self.__dict__.update(json.load(f))

    def save(self):
        if not self.args.state:
            return
        with open(self.args.state + ".new", "w") as f:
            json.dump({k: self.__dict__[k] for k in ("keys", "peers", "routes", "policies", "serial", "six", "lazy")}, f)
        os.rename(self.args.state + ".new", self.args.state)

    def named(self, name):
        for peer in self.peers.values():
            if peer["name"] == name:
                return peer
        raise Trouble(f"no peer {name}")

    def members(self, groups):
        return [p for p in self.peers.values() if "All" in groups or set(groups) & set(p["groups"]) or p["name"] in groups]

    def join(self, key, hostname, groups, private=None):
        label = hostname.split(".")[0].lower()[:59]
        taken = {p["ip"] for p in self.peers.values()}
        number = next(n for n in range(1, 65534) if f"100.92.{n >> 8}.{n & 255}" not in taken and n & 255 not in (0, 255))
        ip = f"100.92.{number >> 8}.{number & 255}"
        if any(p["name"] == label for p in self.peers.values()):
            label += f"-{number >> 8}-{number & 255}"
        self.peers[key] = dict(key=key, name=label, id=f"peer{number}", ip=ip, ip6=f"{PREFIX6}5eed:{number:x}", can=[], fqdn=f"{label}.{DOMAIN}", groups=groups, version="0.66.4", ssh="",
                               private=private, logins=0, syncs=0, metas=0, relays=None, user="", expires=0)
        return self.peers[key]

    # ---- IPv6 inside the tunnel ----

    def has6(self, peer):
        """Whether it is told its IPv6 address, and others that it answers there."""
        return self.six and IPV6_OVERLAY in peer.get("can", []) and "ip6" in peer

    def sources(self, groups, six):
        """Of route rules: one family."""
        return [p["ip6"] + "/128" if six else p["ip"] + "/32" for p in self.members(groups) if not six or self.has6(p)]

    # ---- people who sign in ----

    @staticmethod
    def expired(peer):
        return 0 < peer.get("expires", 0) <= time.time()

    @staticmethod
    def expiry(peer):
        """A Timestamp: empty for a login that does not end."""
        ends = peer.get("expires", 0)
        return message({1: int(ends), 2: int(ends % 1 * 1e9)})

    def flow(self, pkce):
        base = f"http://{self.args.address}:{self.args.oidc_port}"
        config = message({1: oidc.AUDIENCE, 4: oidc.AUDIENCE, 5: None if pkce else base + "/device/code", 6: base + "/token",
                          7: "openid profile email", 9: base + "/auth" if pkce else None,
                          10: ["http://localhost:53000/", "http://localhost:54000/"] if pkce else []})
        return message({1: config}) if pkce else message({2: config})

    def end_login(self, peer):
        """As the server does when the time comes: the stream ends in order."""
        stream = self.streams.get(peer["key"])
        log(f"management: the login of {peer['name']} ended")
        if stream:
            stream.queue.put_nowait(None)

    def sign_in(self, peer, user):
        peer.update(user=user, expires=time.time() + self.session if self.session else 0)

    # ---- who may talk to whom ----

    def pairs(self, policy):
        return self.members(policy["sources"]), self.members(policy["destinations"])

    def rules(self, me):
        """[(other peer, direction, policy id, policy)], IN 0, OUT 1"""
        found = {}
        for name, policy in self.policies.items():
            sources, destinations = self.pairs(policy)
            ways = []
            if me in sources:
                ways.append((destinations, 1))
                if not policy["oneway"]:
                    ways.append((destinations, 0))
            if me in destinations:
                ways.append((sources, 0))
                if not policy["oneway"]:
                    ways.append((sources, 1))
            for others, direction in ways:
                for other in others:
                    if other is not me:
                        found[other["key"], direction, name] = (other, direction, name, policy)
        return list(found.values())

    def routers(self, route):
        return [p for p in self.peers.values() if p["name"] in route["peers"]]

    def served(self, me):
        return {i: r for i, r in self.routes.items() if me["name"] in r["peers"]}

    def used(self, me, known):
        """Routes of others: [(id, route, router)]"""
        mine = {(r["netid"], r["network"]) for r in self.served(me).values()}
        found = []
        for name, route in self.routes.items():
            if (route["netid"], route["network"]) in mine:
                continue
            allowed = self.allowed(route) if route["resource"] else self.members(route["groups"])
            for router in self.routers(route):
                if me in allowed and router is not me and (route["resource"] or router["key"] in known):
                    found.append((name, route, router))
        return found

    def allowed(self, route):
        return [p for entry in route["acl"] or [] for p in self.members(entry["sources"])]

    def neighbours(self, me, rules):
        known = {other["key"]: other for other, *_ in rules}
        for name, route, router in self.used(me, known):
            known[router["key"]] = router
        for route in self.served(me).values():
            if route["resource"]:
                known.update({p["key"]: p for p in self.allowed(route) if p is not me})
        return known

    # ---- messages ----

    def relay_config(self, peer):
        urls = peer["relays"] if peer["relays"] is not None else [self.args.relay_url]
        if not urls:
            return None
        payload, signature = wire.token(self.args.secret, time.time() + self.token_life)
        return message({1: urls, 2: payload, 3: signature})

    def config(self, peer, only_relay=False):
        if only_relay:
            return message({4: self.relay_config(peer)})
        stun = message({1: f"stun:{self.args.address}:{self.args.stun_port}"})
        signal = message({1: self.args.signal_uri, 2: 3 if self.args.signal_https else 2})
        return message({1: [stun], 3: signal, 4: self.relay_config(peer)})

    def peer_config(self, peer):
        six = compact(f"{peer['ip6']}/64") if self.has6(peer) else None
        return message({1: f"{peer['ip']}/16", 3: message({}), 4: peer["fqdn"], 5: True, 6: self.lazy, 8: message({1: "disabled"}), 9: six})

    def remote(self, me, peer):
        allowed = [peer["ip"] + "/32"]
        if self.has6(me) and "ip6" in peer:  # whether that peer can or not
            allowed.append(peer["ip6"] + "/128")
        ssh = message({2: base64.b64decode(peer["ssh"])}) if peer["ssh"] else message({})
        return message({1: peer["key"], 2: allowed, 3: ssh, 4: peer["fqdn"], 5: peer["version"]})

    @staticmethod
    def port_info(port):
        if "-" in port:
            start, end = port.split("-")
            return message({2: message({1: int(start), 2: int(end)})})
        return message({1: int(port)})

    def firewall_rules(self, me, rules):
        out = []
        for other, direction, name, policy in rules:
            out += self.rule(me, other["ip"], 32, direction, name, policy)
            if self.has6(me) and self.has6(other):
                out += self.rule(me, other["ip6"], 128, direction, name, policy)
        return out

    def rule(self, me, address, length, direction, name, policy):
        prefix = compact(f"{address}/{length}") if SOURCE_PREFIXES in me.get("can", []) else None
        base = {1: address, 2: direction, 3: policy["action"] == "drop", 4: PROTOCOLS[policy["protocol"]], 7: name.encode(), 9: prefix}
        if not policy["ports"]:
            any_port = message({2: message({})}) if policy["protocol"] in ("tcp", "udp") else None
            return [message({**base, 6: any_port})]
        return [message({**base, 6: self.port_info(port)} if "-" in port else {**base, 5: port}) for port in policy["ports"]]

    def route_messages(self, me, name, route, router):
        """What @me is told: nothing of IPv6 if it has none; of a default route, both halves if it has."""
        if is_six(route["network"]) and not self.has6(me):
            return []
        number = f"{name}:{router['id']}" if route["resource"] or len(route["peers"]) > 1 else name
        common = {4: router["key"], 5: route["metric"], 6: route["masquerade"], 8: route["domains"], 9: route["keep"]}
        kind = 3 if route["domains"] else 2 if is_six(route["network"]) else 1
        out = [(number, message({1: number, 2: route["network"], 3: kind, 7: route["netid"], **common}))]
        if route["network"] == "0.0.0.0/0" and self.has6(me):
            number += "-v6-default"
            out.append((number, message({1: number, 2: "::/0", 3: 2, 7: route["netid"] + "-v6", **common})))
        return out

    def route_rules(self, me, name, route):
        families = [is_six(route["network"])]
        if route["network"] == "0.0.0.0/0" and self.has6(me) or route["domains"]:
            families = [False, True]
        out = []
        for number, six in zip(name * 2 if len(name) < len(families) else name, families):
            network = "::/0" if six and route["network"] == "0.0.0.0/0" else route["network"]
            out += self.family_rules(number, route, network, six)
        return out

    def family_rules(self, number, route, network, six):
        base = {3: network, 6: bool(route["domains"]), 7: route["domains"], 10: number}
        if route["acl"] is None:
            return [message({1: ["::/0" if six else "0.0.0.0/0"], **base, 4: 1, 5: message({})})]
        out = []
        for entry in route["acl"]:
            sources = self.sources(entry["sources"], six)
            if not sources and (route["resource"] or six):
                continue
            for port in entry["ports"] or [None]:
                info = self.port_info(port) if port else message({})
                out.append(message({1: sources, 2: entry["action"] == "drop", **base, 4: PROTOCOLS[entry["protocol"]], 5: info, 9: b"acl"}))
        return out

    def dns(self, me, known):
        records = [message({1: p["fqdn"], 2: 1, 3: "IN", 4: 300, 5: p["ip"]}) for p in [me, *known.values()]]
        records += [message({1: p["fqdn"], 2: 28, 3: "IN", 4: 300, 5: p["ip6"]}) for p in [me, *known.values()] if self.has6(p)]
        zone = message({1: DOMAIN + ".", 2: records})
        return message({1: True, 3: [zone], 4: FORWARDER_PORT})

    def map(self, me):
        rules = self.rules(me)
        known = self.neighbours(me, rules)
        routes, route_rules = [], []
        for name, route in self.served(me).items():
            messages = self.route_messages(me, name, route, me)
            routes += [encoded for _, encoded in messages]
            if messages:
                route_rules += self.route_rules(me, [number for number, _ in messages], route)
        for name, route, router in self.used(me, known):
            routes += [encoded for _, encoded in self.route_messages(me, name, route, router)]
        firewall = self.firewall_rules(me, rules)
        return message({1: self.serial, 2: self.peer_config(me), 3: [self.remote(me, p) for p in known.values()], 4: not known, 5: routes,
                        6: self.dns(me, known), 8: firewall, 9: not firewall, 10: route_rules, 11: not route_rules, 13: message({1: "sub"})})

    def sync_response(self, me, with_config):
        return message({1: self.config(me) if with_config else None, 2: self.peer_config(me), 5: self.map(me), 7: self.expiry(me)})

    def farewell(self):
        last = message({1: self.serial, 4: True, 6: message({4: FORWARDER_PORT}), 9: True})
        return message({4: True, 5: last})

    def empty(self, me):
        nothing = message({1: self.serial, 2: self.peer_config(me), 4: True, 6: message({1: True, 4: FORWARDER_PORT}), 9: True, 11: True})
        return message({2: self.peer_config(me), 4: True, 5: nothing})

    # ---- changes ----

    def changed(self):
        """A new map for everybody, once for all changes of this turn."""
        if not self.pushing:
            self.pushing = asyncio.get_running_loop().call_soon(self.push_all)

    def push_all(self):
        self.pushing = None
        self.serial += 1
        self.save()
        for key in list(self.streams):
            self.push(key)

    def push(self, key):
        peer, stream = self.peers.get(key), self.streams.get(key)
        if peer and stream:
            data = self.sync_response(peer, False)
            log(f"management: map {self.serial} of {len(data)} bytes to {peer['name']}")
            stream.queue.put_nowait(data)

    def delete(self, peer):
        key = peer["key"]
        del self.peers[key]
        self.serial += 1
        stream = self.streams.get(key)
        if stream:
            stream.queue.put_nowait(self.farewell())
            stream.queue.put_nowait(None)
        log(f"management: {peer['name']} deleted")
        self.changed()


class Sync:
    def __init__(self):
        self.queue = asyncio.Queue()


# ---- management and signal ----

class Services:
    """Generic handlers for both services; each is found by its name."""

    def __init__(self, mesh, grpc):
        self.mesh, self.grpc = mesh, grpc

    async def fault(self, method, context):
        mesh = self.mesh
        if mesh.delays.get(method, {}).get("times", 0) > 0:
            mesh.delays[method]["times"] -= 1
            await asyncio.sleep(mesh.delays[method]["seconds"])
        fault = mesh.faults.get(method)
        if fault and fault["times"] > 0:
            fault["times"] -= 1
            log(f"fault: {method} ends with {fault['code']}")
            await context.abort(self.grpc.StatusCode[fault["code"]], fault["text"])

    async def open(self, data, context):
        """The sender's key, and what it boxed."""
        mesh = self.mesh
        try:
            envelope = parse(data)
            key = text(envelope, 1)
            box = mesh.nacl.Box(mesh.server_key, mesh.nacl.PublicKey(base64.b64decode(key, validate=True)))
            box.own = base64.b64encode(bytes(mesh.server_key.public_key)).decode()
            return key, parse(box.decrypt(envelope.get(2, [b""])[0])), box
        except Exception as error:
            log(f"management: a body that does not open ({type(error).__name__})")
            await context.abort(self.grpc.StatusCode.INVALID_ARGUMENT, "invalid request message")

    @staticmethod
    def seal(box, data):
        return message({1: box.own, 2: bytes(box.encrypt(bytes(data)))})

    async def server_key(self, request, context):
        await self.fault("GetServerKey", context)
        now = int(time.time()) % 60
        return message({1: base64.b64encode(bytes(self.mesh.server_key.public_key)).decode(), 2: message({1: now})})

    async def healthy(self, request, context):
        await self.fault("isHealthy", context)
        return b""

    async def person(self, request, context):
        """Who signed in, or "" without a token."""
        token = text(request, 3)
        if not token:
            return ""
        user = self.mesh.oidc.spend(token)
        if not user:
            log("management: a token that was used before, or is unknown")
            await context.abort(self.grpc.StatusCode.UNAUTHENTICATED, "token already used")
        return user

    async def register(self, key, request, user, context):
        mesh, status = self.mesh, self.grpc.StatusCode
        name = text(request, 1).upper()
        if user:
            peer = mesh.join(key, text(parse(request[2][0]), 1) or "peer", [])
            log(f"management: {peer['name']} came by {user} as {peer['ip']}")
            mesh.changed()
            return peer
        if not name:
            log("management: login of an unknown peer without a setup key")
            await context.abort(status.PERMISSION_DENIED,
                                "no peer auth method provided, please use a setup key or interactive SSO login")
        setup = mesh.keys.get(name)
        if not setup or setup["state"] != "valid" or (setup["limit"] and setup["used"] >= setup["limit"]):
            log("management: login with an invalid setup key")
            await context.abort(status.NOT_FOUND, "couldn't add peer: setup key is invalid")
        setup["used"] += 1
        peer = mesh.join(key, text(parse(request[2][0]), 1) or "peer", list(setup["groups"]))
        log(f"management: {peer['name']} registered as {peer['ip']}")
        mesh.changed()
        return peer

    def take_meta(self, peer, data):
        meta = parse(data)
        version, flags = text(meta, 7), parse(meta.get(17, [b""])[0])
        can = sorted(v for packed in meta.get(18, []) for v in packed if not (v == IPV6_OVERLAY and flags.get(16, [0])[0]))
        before = (peer["version"], peer.get("can"))
        peer["version"], peer["can"] = version or peer["version"], can
        if can != before[1]:
            log(f"management: {peer['name']} can {can}")
        return (peer["version"], can) != before

    async def login(self, data, context):
        await self.fault("Login", context)
        key, request, box = await self.open(data, context)
        if 2 not in request:
            await context.abort(self.grpc.StatusCode.FAILED_PRECONDITION, "peer system meta has to be provided to log in")
        user = await self.person(request, context)
        peer = self.mesh.peers.get(key) or await self.register(key, request, user, context)
        if user and peer.get("user") not in ("", user, None):
            await context.abort(self.grpc.StatusCode.PERMISSION_DENIED, "can't login with this credentials")
        if user:
            self.mesh.sign_in(peer, user)
        await self.refuse_expired(peer, context)
        changed = self.take_meta(peer, request[2][0])
        if 4 in request:
            ssh = base64.b64encode(parse(request[4][0]).get(1, [b""])[0]).decode()
            changed, peer["ssh"] = changed or ssh != peer["ssh"], ssh
        peer["logins"] += 1
        log(f"management: {peer['name']} logged in")
        if changed:
            self.mesh.changed()
        if user and self.mesh.lose_login > 0:
            self.mesh.lose_login -= 1
            await context.abort(self.grpc.StatusCode.INTERNAL, "the answer is lost on purpose")
        return self.seal(box, message({1: self.mesh.config(peer), 2: self.mesh.peer_config(peer), 4: self.mesh.expiry(peer)}))

    async def refuse_expired(self, peer, context):
        if self.mesh.expired(peer):
            log(f"management: {peer['name']} came after its login had ended")
            await context.abort(self.grpc.StatusCode.PERMISSION_DENIED, "peer login has expired, please log in once more")

    async def extend(self, data, context):
        await self.fault("ExtendAuthSession", context)
        status = self.grpc.StatusCode
        if self.mesh.sso == "old":
            await context.abort(status.UNIMPLEMENTED, "unknown method")
        key, request, box = await self.open(data, context)
        peer = self.mesh.peers.get(key)
        if 2 not in request:
            await context.abort(status.FAILED_PRECONDITION, "no meta")
        if not peer:
            await context.abort(status.NOT_FOUND, "peer is not registered")
        if not text(request, 1):
            await context.abort(status.INVALID_ARGUMENT, "jwt token is required")
        user = await self.person({3: request[1]}, context)
        if user != peer.get("user"):
            await context.abort(status.PERMISSION_DENIED, "peer belongs to another user")
        if not peer.get("expires"):
            await context.abort(status.FAILED_PRECONDITION, "login expiration is off")
        self.mesh.sign_in(peer, user)
        log(f"management: the login of {peer['name']} was extended")
        return self.seal(box, message({1: self.mesh.expiry(peer)}))

    async def flow(self, data, context, pkce):
        name = "GetPKCEAuthorizationFlow" if pkce else "GetDeviceAuthorizationFlow"
        await self.fault(name, context)
        if self.mesh.sso == "old":
            await context.abort(self.grpc.StatusCode.UNIMPLEMENTED, "unknown method")
        if self.mesh.sso == "off":
            await context.abort(self.grpc.StatusCode.NOT_FOUND, "no SSO provider")
        _, _, box = await self.open(data, context)
        log(f"management: {name}")
        return self.seal(box, self.mesh.flow(pkce))

    async def device_flow(self, data, context):
        return await self.flow(data, context, False)

    async def pkce_flow(self, data, context):
        return await self.flow(data, context, True)

    async def sync(self, data, context):
        await self.fault("Sync", context)
        mesh = self.mesh
        key, request, box = await self.open(data, context)
        peer = mesh.peers.get(key)
        if not peer:
            log("management: sync of an unknown peer")
            await context.abort(self.grpc.StatusCode.PERMISSION_DENIED, "peer is not registered")
        await self.refuse_expired(peer, context)
        if 1 in request and self.take_meta(peer, request[1][0]):
            mesh.changed()
        if key in mesh.streams:
            mesh.streams[key].queue.put_nowait(None)
        stream = mesh.streams[key] = Sync()
        peer["syncs"] += 1
        log(f"management: {peer['name']} opened sync")
        try:
            data = mesh.sync_response(peer, True)
            while data is not None:
                yield self.seal(box, data)
                data = await stream.queue.get()
        finally:
            if mesh.streams.get(key) is stream:
                del mesh.streams[key]
            log(f"management: sync of {peer['name']} ended")

    async def sync_meta(self, data, context):
        await self.fault("SyncMeta", context)
        key, request, box = await self.open(data, context)
        peer = self.mesh.peers.get(key)
        if not peer:
            await context.abort(self.grpc.StatusCode.NOT_FOUND, "peer is not registered")
        if 1 not in request:
            await context.abort(self.grpc.StatusCode.FAILED_PRECONDITION, "peer system meta has to be provided")
        peer["metas"] += 1
        self.take_meta(peer, request[1][0])
        log(f"management: {peer['name']} sent meta")
        self.mesh.changed()
        return b""

    async def logout(self, data, context):
        await self.fault("Logout", context)
        key, request, box = await self.open(data, context)
        peer = self.mesh.peers.get(key)
        if not peer:
            await context.abort(self.grpc.StatusCode.NOT_FOUND, "peer is not registered")
        log(f"management: {peer['name']} logged out")
        self.mesh.delete(peer)
        return b""

    async def answers(self, requests, context, name):
        async for data in requests:
            _, answer, _ = await self.open(data, context)
            log(f"management: job answer of {name}: id {answer.get(1)}, status {answer.get(2)}, reason {text(answer, 3)!r}, "
                f"key {text(parse(answer.get(10, [b''])[0]), 1)!r}")

    async def job(self, requests, context):
        await self.fault("Job", context)
        key, _, box = await self.open(await requests.__anext__(), context)
        peer = self.mesh.peers.get(key)
        if not peer:
            await context.abort(self.grpc.StatusCode.PERMISSION_DENIED, "peer is not registered")
        queue = self.mesh.jobs[key] = asyncio.Queue()
        reader = asyncio.create_task(self.answers(requests, context, peer["name"]))
        log(f"management: {peer['name']} opened job")
        try:
            while True:
                yield self.seal(box, await queue.get())
        finally:
            reader.cancel()
            if self.mesh.jobs.get(key) is queue:
                del self.mesh.jobs[key]

    # ---- services that peers publish ----

    async def exposing(self, method, data, context):
        await self.fault(method, context)
        key, request, box = await self.open(data, context)
        peer = self.mesh.peers.get(key)
        if not peer:
            await context.abort(self.grpc.StatusCode.PERMISSION_DENIED, "peer is not registered")
        return peer, request, box

    async def create_expose(self, data, context):
        peer, request, box = await self.exposing("CreateExpose", data, context)
        mesh, number = self.mesh, lambda n: request.get(n, [0])[0]
        protocol = EXPOSE_PROTOCOLS[number(2)]
        name = f"{text(request, 7) or 'svc'}-{len(mesh.exposed) + 1}"
        domain = f"{name}.{text(request, 6) or 'proxy.test'}"
        if domain in mesh.exposed:
            await context.abort(self.grpc.StatusCode.ALREADY_EXISTS, f"domain {domain} is taken")
        listen = number(8) or number(1)
        assigned = listen < 1024 and protocol in ("tcp", "udp", "tls")
        listen += 40000 if assigned else 0
        url = f"{protocol}://{domain}:{listen}" if number(2) >= 2 else f"https://{domain}"
        mesh.exposed[domain] = dict(peer=peer["name"], port=number(1), protocol=protocol, pin=text(request, 3), password=text(request, 4),
                                    groups=[g.decode() for g in request.get(5, [])], listen=listen, renewals=0)
        mesh.policies[f"expose-{domain}"] = dict(sources=["proxies"], destinations=[peer["name"]], action="accept", oneway=True,
                                                 protocol="udp" if protocol == "udp" else "tcp", ports=[str(number(1))])
        log(f"management: {peer['name']} publishes {protocol} {number(1)} as {domain}")
        mesh.changed()
        return self.seal(box, message({1: name, 2: url, 3: domain, 4: assigned}))

    async def renew_expose(self, data, context):
        peer, request, box = await self.exposing("RenewExpose", data, context)
        service = self.mesh.exposed.get(text(request, 1))
        if not service or service["peer"] != peer["name"]:
            await context.abort(self.grpc.StatusCode.NOT_FOUND, "service not found")
        service["renewals"] += 1
        return self.seal(box, message({}))

    async def stop_expose(self, data, context):
        peer, request, box = await self.exposing("StopExpose", data, context)
        domain = text(request, 1)
        if domain not in self.mesh.exposed:
            await context.abort(self.grpc.StatusCode.NOT_FOUND, "service not found")
        del self.mesh.exposed[domain], self.mesh.policies[f"expose-{domain}"]
        log(f"management: {peer['name']} stopped {domain}")
        self.mesh.changed()
        return self.seal(box, message({}))

    # ---- signal ----

    def peer_name(self, key):
        return self.mesh.peers.get(key, {}).get("name", key[:8])

    async def send(self, data, context):
        await self.fault("Send", context)
        mesh, envelope = self.mesh, parse(data)
        sender, to = text(envelope, 2), text(envelope, 3)
        what = f"signal: {len(envelope.get(4, [b''])[0])} bytes from {self.peer_name(sender)} to {self.peer_name(to)}"
        if mesh.lose > 0:
            mesh.lose -= 1
            log(what + ", lost on purpose")
        elif to in mesh.registered:
            mesh.registered[to].put_nowait(data)
            log(what)
        elif to != "dummy":
            log(what + ", who is not there" + self.heard(sender, to, envelope))
        return b""

    def heard(self, sender, to, envelope):
        """What a peer that the mesh runs itself is told."""
        private = self.mesh.peers.get(to, {}).get("private")
        if not private:
            return ""
        nacl = self.mesh.nacl
        box = nacl.Box(nacl.PrivateKey(base64.b64decode(private)), nacl.PublicKey(base64.b64decode(sender)))
        body = parse(box.decrypt(envelope[4][0]))
        kind = ("OFFER", "ANSWER", "CANDIDATE")[body.get(1, [0])[0] % 3]
        payload = text(body, 2)
        return f": {kind} {'without' if payload == ':' else 'with'} credentials, {'a' if 10 in body else 'no'} session id"

    async def connect_stream(self, requests, context):
        await self.fault("ConnectStream", context)
        mesh, status = self.mesh, self.grpc.StatusCode
        key = dict(context.invocation_metadata()).get("x-wiretrustee-peer-id")
        if not key:
            await context.abort(status.FAILED_PRECONDITION, "missing connection header: x-wiretrustee-peer-id")
        if key in mesh.registered:
            mesh.registered[key].put_nowait(None)
        queue = mesh.registered[key] = asyncio.Queue()
        await context.send_initial_metadata((("x-wiretrustee-peer-registered", "1"),))
        log(f"signal: {self.peer_name(key)} registered")
        try:
            while True:
                data = await queue.get()
                if data is None:
                    await context.abort(status.UNKNOWN, "peer registered again")
                yield data
        finally:
            if mesh.registered.get(key) is queue:
                del mesh.registered[key]
            log(f"signal: {self.peer_name(key)} left")

    def handlers(self, wants_management, wants_signal):
        grpc, found = self.grpc, {}
        if wants_management:
            found.update({f"/management.ManagementService/{name}": grpc.unary_unary_rpc_method_handler(fn, None, bytes) for name, fn in (
                ("GetServerKey", self.server_key), ("isHealthy", self.healthy), ("Login", self.login), ("SyncMeta", self.sync_meta),
                ("Logout", self.logout), ("CreateExpose", self.create_expose), ("RenewExpose", self.renew_expose),
                ("StopExpose", self.stop_expose), ("GetDeviceAuthorizationFlow", self.device_flow), ("GetPKCEAuthorizationFlow", self.pkce_flow),
                ("ExtendAuthSession", self.extend))})
            found["/management.ManagementService/Sync"] = grpc.unary_stream_rpc_method_handler(self.sync, None, bytes)
            found["/management.ManagementService/Job"] = grpc.stream_stream_rpc_method_handler(self.job, None, bytes)
        if wants_signal:
            found["/signalexchange.SignalExchange/Send"] = grpc.unary_unary_rpc_method_handler(self.send, None, bytes)
            found["/signalexchange.SignalExchange/ConnectStream"] = grpc.stream_stream_rpc_method_handler(self.connect_stream, None, bytes)

        class Handlers(grpc.GenericRpcHandler):
            def service(self, details):
                return found.get(details.method)

        return Handlers()


# ---- servers that can be stopped and started ----

class GrpcServer:
    OPTIONS = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0),
               ("grpc.http2.min_ping_interval_without_data_ms", 15000), ("grpc.http2.max_ping_strikes", 2)]

    def __init__(self, mesh, port, management, signal):
        self.mesh, self.port, self.wants = mesh, port, (management, signal)
        self.server = None

    async def start(self):
        import grpc
        import grpc.aio
        if self.server:
            return
        self.server = grpc.aio.server(options=self.OPTIONS)
        self.server.add_generic_rpc_handlers((Services(self.mesh, grpc).handlers(*self.wants),))
        if not self.server.add_insecure_port(f"0.0.0.0:{self.port}"):
            raise Trouble(f"port {self.port} is taken")
        await self.server.start()

    async def stop(self):
        if self.server:
            server, self.server = self.server, None
            await server.stop(None)


class RelayServer:
    def __init__(self, mesh, port, address):
        self.mesh, self.port, self.address = mesh, port, address
        self.server = self.relay = None

    async def start(self):
        import relay
        if self.server:
            return
        mesh = self.mesh

        class Relay(relay.Relay):
            def __init__(self, args):
                super().__init__(args)
                self.open = set()

            def come(self, client):
                super().come(client)
                log(f"relay: {mesh_name(mesh, client.id)} came to {self.address}")

            def go(self, client):
                if client.id is not None:
                    log(f"relay: {mesh_name(mesh, client.id)} left {self.address}")
                super().go(client)

            async def connection(self, reader, writer):
                self.open.add(writer)
                try:
                    await super().connection(reader, writer)
                finally:
                    self.open.discard(writer)

        args = argparse.Namespace(secret=mesh.args.secret, address=self.address, health=mesh.args.health)
        self.relay = Relay(args)
        self.server = await asyncio.start_server(self.relay.connection, "0.0.0.0", self.port)

    async def stop(self):
        if not self.server:
            return
        server, self.server = self.server, None
        server.close()
        for writer in list(self.relay.open):
            writer.transport.abort()
        await server.wait_closed()

    def has(self, key):
        return bool(self.server) and relay_id(key) in self.relay.clients


class StunServer(asyncio.DatagramProtocol):
    def __init__(self, port):
        self.port, self.transport, self.asked = port, None, 0

    async def start(self):
        if not self.transport:
            await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, local_addr=("0.0.0.0", self.port))

    async def stop(self):
        if self.transport:
            self.transport.close()
            self.transport = None

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        answer = wire.binding_answer(data, address)
        if answer and self.transport:
            self.asked += 1
            self.transport.sendto(answer, address)


def relay_id(key):
    import hashlib
    return b"sha-" + hashlib.sha256(key.encode()).digest()


def mesh_name(mesh, peer_id):
    for peer in mesh.peers.values():
        if relay_id(peer["key"]) == peer_id:
            return peer["name"]
    return peer_id[4:8].hex()


# ---- commands ----

class Control:
    def __init__(self, mesh, servers):
        self.mesh, self.servers = mesh, servers

    def show(self, peer):
        key = peer["key"]
        relays = [name for name in ("relay", "relay2") if name in self.servers and self.servers[name].has(key)]
        return {**{k: v for k, v in peer.items() if k != "private"}, "sync": key in self.mesh.streams, "job": key in self.mesh.jobs,
                "signal": key in self.mesh.registered, "relay": bool(relays), "relays_on": relays}

    def options(self, args, known):
        found = dict(arg.split("=", 1) for arg in args)
        odd = set(found) - set(known)
        if odd:
            raise Trouble(f"unknown option {sorted(odd)[0]}; known: {', '.join(known)}")
        return found

    async def do_status(self):
        return {"serial": self.mesh.serial, "peers": [self.show(p) for p in self.mesh.peers.values()], "keys": self.mesh.keys,
                "routes": self.mesh.routes, "policies": self.mesh.policies, "stun_asked": self.servers["stun"].asked}

    async def do_peer(self, name, what=None):
        shown = self.show(self.mesh.named(name))
        if what is not None and what not in shown:
            raise Trouble(f"a peer has no {what}; it has {', '.join(shown)}")
        return shown if what is None else shown[what]

    async def do_key(self, name, state, *args):
        found = self.options(args, ("limit", "groups"))
        if state not in ("valid", "expired", "revoked"):
            raise Trouble("a key is valid, expired or revoked")
        self.mesh.keys[name.upper()] = dict(state=state, limit=int(found.get("limit", 0)), used=0, groups=listed(found.get("groups")))
        self.mesh.save()

    def add(self, name, groups):
        private = self.mesh.nacl.PrivateKey.generate()
        key = base64.b64encode(bytes(private.public_key)).decode()
        return self.mesh.join(key, name, groups, base64.b64encode(bytes(private)).decode())

    async def do_add(self, name, *args):
        peer = self.add(name, listed(self.options(args, ("groups",)).get("groups")))
        self.mesh.changed()
        return peer["ip"]

    async def do_crowd(self, number):
        used = {p["ip"] for p in self.mesh.peers.values()}
        free = (f"100.92.{n >> 8}.{n & 255}" for n in range(256, 65000) if n & 255 not in (0, 255))
        addresses = (ip for ip in free if ip not in used)
        for i, ip in zip(range(int(number)), addresses):
            raw = os.urandom(32)
            key = base64.b64encode(raw).decode()
            self.mesh.peers[key] = dict(key=key, name=f"crowd-{i}", id=f"crowd{i}", ip=ip, fqdn=f"crowd-{i}.{DOMAIN}", groups=["crowd"],
                                        version="0.66.4", ssh="", private=None, logins=0, syncs=0, metas=0, relays=None)
        self.mesh.changed()

    async def do_large(self, peers, routes, name):
        self.mesh.named(name)
        for i in range(int(routes)):
            self.mesh.routes[f"large-{i}"] = dict(
                peers=[name], network=f"10.{128 + (i >> 8)}.{i & 255}.0/24", domains=[], netid=f"large-{i}", metric=9999, masquerade=True,
                groups=["All"], keep=False, resource=False, acl=None)
        await self.do_crowd(peers)

    async def do_delete(self, name):
        self.mesh.delete(self.mesh.named(name))

    async def do_delete_all(self, prefix):
        for peer in [p for p in self.mesh.peers.values() if p["name"].startswith(prefix) and p["key"] not in self.mesh.streams]:
            del self.mesh.peers[peer["key"]]
        self.mesh.changed()

    async def do_groups(self, name, groups):
        self.mesh.named(name)["groups"] = listed(groups)
        self.mesh.changed()

    async def do_address(self, name, ip):
        self.mesh.named(name)["ip"] = ip
        self.mesh.changed()

    async def do_six(self, state):
        if state not in ("on", "off"):
            raise Trouble("on or off")
        self.mesh.six = state == "on"
        self.mesh.changed()

    async def do_lazy(self, state):
        if state not in ("on", "off"):
            raise Trouble("on or off")
        self.mesh.lazy = state == "on"
        self.mesh.changed()

    async def do_address6(self, name, ip):
        self.mesh.named(name)["ip6"] = str(ipaddress.IPv6Address(ip))
        self.mesh.changed()

    def parse_acl(self, words):
        entries = []
        for word in words.split(";"):
            sources, protocol, ports, action = (word.split(":") + ["", "", ""])[:4]
            if protocol not in PROTOCOLS:
                raise Trouble(f"{word}: want GROUPS:PROTOCOL[:PORTS[:drop]]")
            entries.append(dict(sources=listed(sources), protocol=protocol, ports=listed(ports), action=action or "accept"))
        return entries

    async def do_route(self, name, *args):
        found = self.options(args, ("peer", "network", "domains", "netid", "metric", "masquerade", "groups", "keep", "resource", "acl"))
        if "peer" not in found or ("network" in found) == ("domains" in found):
            raise Trouble("a route has peer= and one of network= and domains=")
        self.mesh.routes[name] = dict(
            peers=listed(found["peer"]), network=found.get("network", "192.0.2.0/32"), domains=listed(found.get("domains")),
            netid=found.get("netid", name), metric=int(found.get("metric", 9999)), masquerade=found.get("masquerade", "1") == "1",
            groups=listed(found.get("groups", "All")), keep=found.get("keep", "0") == "1", resource=found.get("resource", "0") == "1",
            acl=self.parse_acl(found["acl"]) if "acl" in found else None)
        self.mesh.changed()

    async def do_unroute(self, name):
        if not self.mesh.routes.pop(name, None):
            raise Trouble(f"no route {name}")
        self.mesh.changed()

    async def do_policy(self, name, *args):
        found = self.options(args, ("sources", "destinations", "protocol", "ports", "action", "oneway"))
        policy = dict(sources=listed(found.get("sources", "All")), destinations=listed(found.get("destinations", "All")),
                      protocol=found.get("protocol", "all"), ports=listed(found.get("ports")), action=found.get("action", "accept"),
                      oneway=found.get("oneway", "0") == "1")
        if policy["protocol"] not in PROTOCOLS or policy["action"] not in ("accept", "drop"):
            raise Trouble("protocol or action")
        self.mesh.policies[name] = policy
        self.mesh.changed()

    async def do_unpolicy(self, name):
        if not self.mesh.policies.pop(name, None):
            raise Trouble(f"no policy {name}")
        self.mesh.changed()

    def stream(self, name):
        peer = self.mesh.named(name)
        if peer["key"] not in self.mesh.streams:
            raise Trouble(f"{name} has no sync stream")
        return peer, self.mesh.streams[peer["key"]]

    async def do_push(self, name=None):
        for peer in [self.mesh.named(name)] if name else list(self.mesh.peers.values()):
            self.mesh.push(peer["key"])

    async def do_empty(self, name):
        peer, stream = self.stream(name)
        self.mesh.serial += 1
        stream.queue.put_nowait(self.mesh.empty(peer))

    async def do_raw(self, name, data):
        self.stream(name)[1].queue.put_nowait(bytes.fromhex(data))

    async def do_serial(self, number):
        self.mesh.serial = int(number)

    async def do_token(self, seconds=None):
        self.mesh.token_life = int(seconds) if seconds else self.mesh.token_life
        for key, stream in self.mesh.streams.items():
            stream.queue.put_nowait(message({1: self.mesh.config(self.mesh.peers[key], only_relay=True)}))
        log("management: new relay tokens")

    async def do_config(self, name=None):
        for key, stream in self.mesh.streams.items():
            if name in (None, self.mesh.peers[key]["name"]):
                stream.queue.put_nowait(message({1: self.mesh.config(self.mesh.peers[key])}))

    async def do_stale(self):
        self.mesh.server_key = self.mesh.nacl.PrivateKey.generate()
        log("management: a new server key")

    async def do_eof(self, name):
        self.stream(name)[1].queue.put_nowait(None)

    async def do_exposed(self):
        return self.mesh.exposed

    async def do_job(self, name, *args):
        peer, found = self.mesh.named(name), self.options(args, ("count", "anonymize", "level", "wait"))
        if peer["key"] not in self.mesh.jobs:
            raise Trouble(f"{name} has no job stream")
        self.mesh.jobs[peer["key"]].put_nowait(message({1: b"job-1", 10: message({
            2: int(found.get("wait", 0)), 3: int(found.get("count", 1)), 4: bool(found.get("anonymize")), 5: found.get("level", "")})}))

    async def do_fail(self, method, code, times, *words):
        import grpc
        if code not in grpc.StatusCode.__members__:
            raise Trouble(f"no status {code}")
        self.mesh.faults[method] = dict(code=code, times=int(times), text=" ".join(words) or "asked for")

    async def do_delay(self, method, seconds, times):
        self.mesh.delays[method] = dict(seconds=float(seconds), times=int(times))

    async def do_lose(self, times):
        self.mesh.lose = int(times)

    async def do_version(self, name, version):
        self.mesh.named(name)["version"] = version
        self.mesh.changed()

    async def do_idle(self, sender, to, identity=None):
        sender, to = self.mesh.named(sender), self.mesh.named(to)
        private = sender["private"]
        if identity:
            with open(identity) as f:
                private = json.load(f)["PrivateKey"]
        if not private:
            raise Trouble(f"{sender['name']} is not run by the mesh: its key is not known here")
        if to["key"] not in self.mesh.registered:
            raise Trouble(f"{to['name']} is not at signal")
        nacl = self.mesh.nacl
        box = nacl.Box(nacl.PrivateKey(base64.b64decode(private)), nacl.PublicKey(base64.b64decode(to["key"])))
        self.say(box, sender, to, {1: 5})

    def say(self, box, sender, to, body):
        data = bytes(box.encrypt(bytes(message(body))))
        self.mesh.registered[to["key"]].put_nowait(message({2: sender["key"], 3: to["key"], 4: data}))

    async def do_bare(self, sender, to):
        sender, to = self.mesh.named(sender), self.mesh.named(to)
        nacl = self.mesh.nacl
        box = nacl.Box(nacl.PrivateKey(base64.b64decode(sender["private"])), nacl.PublicKey(base64.b64decode(to["key"])))
        self.say(box, sender, to, {2: ":", 3: 51820, 4: "0.77.1", 8: self.mesh.args.relay_url})

    async def do_sso(self, state, seconds="3600"):
        if state not in ("on", "off", "old"):
            raise Trouble("sso is on, off or old")
        self.mesh.sso, self.mesh.session = state, int(seconds)

    async def do_approve(self, user="alice"):
        try:
            return self.mesh.oidc.decide("approved", user)
        except LookupError as error:
            raise Trouble(str(error))

    async def do_deny(self):
        try:
            return self.mesh.oidc.decide("denied", "")
        except LookupError as error:
            raise Trouble(str(error))

    async def do_authorize(self, url, user="alice"):
        try:
            return self.mesh.oidc.authorize(url, user)
        except LookupError as error:
            raise Trouble(str(error))

    async def do_lose_login(self, times):
        self.mesh.lose_login = int(times)

    async def do_tokens(self):
        return [token for token, used in self.mesh.oidc.tokens.items() if used]

    async def do_slow(self, times):
        self.mesh.oidc.slow = int(times)

    async def do_expire(self, name):
        peer = self.mesh.named(name)
        peer["expires"] = time.time() - 1
        self.mesh.end_login(peer)

    async def do_expiry(self, name, seconds):
        self.mesh.named(name)["expires"] = 0 if seconds == "none" else time.time() + float(seconds)
        self.mesh.changed()

    def server(self, name):
        if name not in self.servers:
            raise Trouble(f"no server {name}; there are {', '.join(self.servers)}")
        return self.servers[name]

    async def do_stop(self, name):
        await self.server(name).stop()
        log(f"{name}: stopped")

    async def do_start(self, name):
        await self.server(name).start()
        log(f"{name}: started")

    async def do_relays(self, name, *urls):
        self.mesh.named(name)["relays"] = list(urls)
        await self.do_config(name)

    async def run(self, words):
        method = getattr(self, "do_" + words[0], None) if words else None
        if not method:
            raise Trouble(f"no command {' '.join(words)!r}")
        try:
            return await method(*words[1:])
        except TypeError as error:
            raise Trouble(f"{words[0]}: {error}")

    async def connection(self, reader, writer):
        try:
            words = json.loads(await reader.readline())
            answer = {"answer": await self.run(words)}
        except (Trouble, ValueError, KeyError, OSError) as error:
            answer = {"error": str(error) or type(error).__name__}
        writer.write(json.dumps(answer).encode() + b"\n")
        writer.close()


async def serve(args):
    args.signal_uri = args.signal_uri or f"{args.address}:{args.signal_port}"
    args.relay_url = args.relay_url or f"rel://{args.address}:{args.relay_port}"
    mesh = Mesh(args)
    servers = {}
    if args.signal_port == args.management_port:
        servers["management"] = servers["signal"] = GrpcServer(mesh, args.management_port, True, True)
    else:
        servers["management"] = GrpcServer(mesh, args.management_port, True, False)
        servers["signal"] = GrpcServer(mesh, args.signal_port, False, True)
    servers["relay"] = RelayServer(mesh, args.relay_port, args.relay_url)
    if args.relay2_port:
        servers["relay2"] = RelayServer(mesh, args.relay2_port, f"rel://{args.address}:{args.relay2_port}")
    servers["stun"] = StunServer(args.stun_port)
    servers["oidc"] = mesh.oidc
    for server in servers.values():
        await server.start()
    if os.path.exists(args.control):
        os.unlink(args.control)
    control = await asyncio.start_unix_server(Control(mesh, servers).connection, args.control)
    log("mesh: ready")
    async with control:
        await control.serve_forever()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=["serve"])
    parser.add_argument("--address", required=True, help="where peers find this host")
    parser.add_argument("--control", required=True, help="path of the control socket")
    parser.add_argument("--state", help="file that keeps peers, keys, routes and policies over a restart")
    parser.add_argument("--management-port", type=int, default=8080)
    parser.add_argument("--signal-port", type=int, default=8081, help="the management port: both on one")
    parser.add_argument("--relay-port", type=int, default=8082)
    parser.add_argument("--relay2-port", type=int, default=0)
    parser.add_argument("--stun-port", type=int, default=3478)
    parser.add_argument("--oidc-port", type=int, default=8084)
    parser.add_argument("--signal-uri", help="host:port that peers are told, where a proxy stands in front")
    parser.add_argument("--signal-https", action="store_true")
    parser.add_argument("--relay-url", help="rel://host:port or rels://host:port that peers are told, and the relay's own name")
    parser.add_argument("--secret", default="test-secret")
    parser.add_argument("--health", type=float, default=25, help="seconds between the relay's health checks")
    try:
        asyncio.run(serve(parser.parse_args()))
    except KeyboardInterrupt:
        pass
    return 0


sys.exit(main())
