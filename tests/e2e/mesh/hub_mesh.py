#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The commands of mesh.py carried out by talon hub: what is set becomes the hub's file, what is asked comes from its socket.

    hub_mesh.py FOLDER TALON URL COMMAND [ARGUMENT...]

FOLDER has state.json (what was set), hub.yaml, data/ (the hub's). Exit status: 0; 3 if hub.yaml changed, so that the hub has to read it again; 77 if
the hub has nothing of the kind; 1 if the command failed.
"""
import base64
import hashlib
import json
import os
import re
import subprocess
import sys

from wire import message, parse, text

SETTINGS = """listen: 0.0.0.0:8080
public-url: {url}
stun: 0.0.0.0:3478
domain: mesh.test
network: 100.92.0.0/16
network6: off
data: {folder}/data
"""


class Trouble(Exception):
    """A command that cannot be carried out."""


class NotHere(Exception):
    """A command that the hub has no counterpart for."""


def listed(value):
    return [v for v in value.split(",") if v] if value else []


def options(args):
    return dict(a.split("=", 1) for a in args)


class HubMesh:
    def __init__(self, folder, talon, url):
        self.folder, self.talon, self.url = folder, talon, url
        self.keys, self.groups, self.addresses, self.routes = {}, {}, {}, {}
        self.policies = {"default": {}}
        if os.path.exists(folder + "/state.json"):
            with open(folder + "/state.json") as f:
                self.__dict__.update(json.load(f))

    def save(self):
        with open(self.folder + "/state.json", "w") as f:
            json.dump({k: self.__dict__[k] for k in ("keys", "groups", "addresses", "routes", "policies")}, f)
        before = open(self.folder + "/hub.yaml").read() if os.path.exists(self.folder + "/hub.yaml") else ""
        after = self.file()
        with open(self.folder + "/hub.yaml", "w") as f:
            f.write(after)
        return 3 if before != after else 0

    # ---- the file: JSON's brackets are YAML's ----

    def file(self):
        """mesh.py takes a peer's name wherever it takes a group."""
        used = {}

        def group(name):
            if name != "All" and name not in used:
                used[name] = [name] + [peer for peer, groups in self.groups.items() if name in groups]
            return name

        policies = [self.policy(name, found, group) for name, found in self.policies.items()]
        routes, networks = [], []
        for name, found in self.routes.items():
            target = group("acl-" + name) if "acl" in found else None
            if target:
                used[target] = []
                policies += self.acl(name, found["acl"], target, group)
            common = {"routers": listed(found["peer"]), "metric": int(found.get("metric", 9999)), "masquerade": found.get("masquerade", "1") == "1"}
            what = {"network": found["network"]} if "network" in found else {"domains": listed(found["domains"])}
            if found.get("resource") == "1":
                if "domains" in what:
                    raise NotHere("a resource with several domains")
                networks.append({"name": name, **common, "resources": [{"name": found.get("netid", name), **what, "groups": [target] if target else []}]})
                continue
            routes.append({"name": found.get("netid", name), **what, **common, "to": [group(g) for g in listed(found.get("groups", "All"))],
                           **({"access": [target]} if target else {}), **({"keep-addresses": True} if found.get("keep") == "1" else {})})
        keys = {f"key{i}": self.key(name, found, group) for i, (name, found) in enumerate(self.keys.items()) if found["state"] != "revoked"}
        peers = {name: {"address": ip} for name, ip in self.addresses.items()}
        out = {"groups": used, "keys": keys, "policies": policies, "routes": routes, "networks": networks, "peers": peers}
        return SETTINGS.format(url=self.url, folder=self.folder) + "".join(f"{k}: {json.dumps(v)}\n" for k, v in out.items() if v or k == "policies")

    @staticmethod
    def key(name, found, group):
        key = {"hash": hashlib.sha256(name.upper().encode()).hexdigest(), "uses": found["limit"] or "unlimited", "groups": [group(g) for g in found["groups"]]}
        return {**key, "expires": "2020-01-01T00:00:00Z"} if found["state"] == "expired" else key

    @staticmethod
    def policy(name, found, group):
        protocol = found.get("protocol", "all")
        return {"name": name, "from": [group(g) for g in listed(found.get("sources", "All"))], "to": [group(g) for g in listed(found.get("destinations", "All"))],
                "action": found.get("action", "accept"), "both-ways": found.get("oneway", "0") != "1", "protocol": "any" if protocol == "all" else protocol,
                **({"ports": listed(found["ports"])} if "ports" in found else {})}

    def acl(self, route, words, target, group):
        policies = []
        for i, word in enumerate(words.split(";")):
            sources, protocol, ports, action = (word.split(":") + ["", "", ""])[:4]
            found = {"sources": sources, "protocol": protocol, "oneway": "1", "action": action or "accept", **({"ports": ports} if ports else {})}
            policies.append(dict(self.policy(f"{route} {i}", found, group), to=[target]))
        return policies

    # ---- what the hub says ----

    def ask(self, *words):
        done = subprocess.run([self.talon, "hub", *words, "--data-dir", self.folder + "/data"], capture_output=True, text=True)
        if done.returncode:
            raise Trouble(done.stderr.strip())
        return done.stdout

    def peers(self):
        return json.loads(self.ask("peers", "--json"))

    def do_peer(self, name, field=None):
        for peer in self.peers():
            if peer["name"] == name:
                known = {"name": name, "ip": peer["address"], "key": peer["publicKey"], "sync": peer["connected"], "version": peer["version"],
                         "fqdn": name + ".mesh.test", "syncs": 0}  # how often it came is not counted
                if field and field not in known:
                    raise NotHere(f"field {field} of a peer")
                value = known[field] if field else known
                print(value if isinstance(value, str) else json.dumps(value))
                return 0
        raise Trouble(f"no peer {name}")

    def do_status(self):
        used = {k["name"]: k["uses"] for k in json.loads(self.ask("keys", "--json"))}
        keys = {name: {"used": used.get(f"key{i}", 0)} for i, name in enumerate(self.keys)}
        print(json.dumps({"peers": self.peers(), "keys": keys, "policies": self.policies, "routes": self.routes, "serial": 0}))
        return 0

    # ---- what is set ----

    def do_key(self, name, state, *args):
        found = options(args)
        self.keys[name.upper()] = {"state": state, "limit": int(found.get("limit", 0)), "groups": listed(found.get("groups"))}
        return self.save()

    def do_groups(self, name, groups):
        self.groups[name] = listed(groups)
        return self.save()

    def do_address(self, name, ip):
        self.addresses[name] = ip
        return self.save()

    def do_route(self, name, *args):
        self.routes[name] = options(args)
        return self.save()

    def do_unroute(self, name):
        if not self.routes.pop(name, None):
            raise Trouble(f"no route {name}")
        return self.save()

    def do_policy(self, name, *args):
        self.policies[name] = options(args)
        return self.save()

    def do_unpolicy(self, name):
        if self.policies.pop(name, None) is None:
            raise Trouble(f"no policy {name}")
        return self.save()

    def do_push(self, name=None):
        return 0

    def do_delete(self, name):
        self.ask("peers", "remove", name)
        return 0

    def do_add(self, name, *args):
        """A peer that nobody runs joins as any other does, and is never seen again."""
        import grpc
        import nacl.public as nacl
        setup = next((k for k, v in self.keys.items() if v["state"] == "valid"), None)
        if not setup or options(args):
            raise NotHere("a peer without a setup key, or with groups")
        channel = grpc.insecure_channel(self.url.split("//")[1])

        def call(method, data):
            return channel.unary_unary("/management.ManagementService/" + method)(bytes(data), timeout=10)

        server = nacl.PublicKey(base64.b64decode(text(parse(call("GetServerKey", b"")), 1)))
        own = nacl.PrivateKey.generate()
        box = nacl.Box(own, server)
        key = base64.b64encode(bytes(own.public_key)).decode()
        body = box.encrypt(bytes(message({1: setup, 2: message({1: name, 7: "0.66.4"})})))
        call("Login", message({1: key, 2: bytes(body), 3: 1}))
        return self.do_peer(name, "ip")

    def run(self, words):
        method = getattr(self, "do_" + words[0], None)
        if not method:
            raise NotHere(" ".join(words))
        return method(*words[1:])


def main():
    folder, talon, url, *words = sys.argv[1:]
    try:
        return HubMesh(folder, talon, url).run(words)
    except NotHere as error:
        print(f"SKIPPED: the hub has nothing like: mesh {re.sub(chr(10), ' ', str(error))}")
        return 77
    except (Trouble, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1


sys.exit(main())
