#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""charts/talon and manifests/: values, schema, renders, refusals.

What needs helm runs with each program that HELM names (default: helm from PATH), or is skipped. KUBECTL="kubectl --kubeconfig ..." asks a real API
server about every render, too (dry run). Needs python3-yaml and python3-jsonschema.
"""
import copy
import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import jsonschema
import yaml

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CHART = ROOT / "charts/talon"
MANIFESTS = ROOT / "manifests/kubernetes"
VERSION = (ROOT / "VERSION").read_text().strip()
KEY = "11111111-2222-3333-4444-555555555555"
MONITORING = ["--api-versions", "monitoring.coreos.com/v1"]
counts = {"passed": 0, "failed": 0, "skipped": 0}


class Refused(Exception):
    pass


def helm_template(helm, values, *arguments):
    return helm_template_once(helm, json.dumps(values), arguments)


@functools.cache
def helm_template_once(helm, values, arguments):
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(values)
        file.flush()
        result = subprocess.run([helm, "template", "talon", str(CHART), "-n", "talon", "-f", file.name, "--kube-version", "1.34.0", *arguments],
                                capture_output=True, text=True, check=False)
    if result.returncode:
        raise Refused(result.stderr)
    return result.stdout


class Render:
    """The objects of one render, and what tests look for in them."""

    def __init__(self, text):
        self.text = text
        self.all = [one for one in yaml.safe_load_all(text) if one]

    def of(self, kind):
        return [one for one in self.all if one["kind"] == kind]

    def one(self, kind):
        (found,) = self.of(kind)
        return found

    @property
    def workload(self):
        (found,) = self.of("DaemonSet") + self.of("StatefulSet")
        return found

    @property
    def pod(self):
        return self.workload["spec"]["template"]["spec"]

    @property
    def container(self):
        (found,) = self.pod["containers"]
        return found

    @property
    def env(self):
        return {one["name"]: one.get("value", one.get("valueFrom")) for one in self.container["env"]}

    def volume(self, name):
        return next((one for one in self.pod["volumes"] if one["name"] == name), None)

    def mount(self, name):
        return next((one for one in self.container["volumeMounts"] if one["name"] == name), None)


def merged(*many):
    result = {}
    for values in many:
        for key, value in copy.deepcopy(values).items():
            result[key] = merged(result[key], value) if isinstance(value, dict) and isinstance(result.get(key), dict) else value
    return result


MESH = {"mesh": {"managementUrl": "https://netbird.example.com"}, "setupKey": {"existingSecret": "sk"}}
ROUTER = merged(MESH, {"kind": "router"})
ONE_STATIC = {"kind": "router", "static": {"existingSecret": "conf"}}
# Every value that a template branches on, in every of its ways.
RENDERS = {
    "node": MESH,
    "router": ROUTER,
    "three routers": merged(ROUTER, {"replicas": 3, "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"}]}),
    "affinity": merged(ROUTER, {"replicas": 2, "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "zone", "labelSelector": {"matchLabels": {"a": "b"}}}]}}}),
    "no PDB": merged(ROUTER, {"replicas": 2, "pdb": {"enabled": False}}),
    "existing claim": merged(ROUTER, {"state": {"pvc": {"existingClaim": "netbird", "subPath": "nb"}}}),
    "new claim": merged(ROUTER, {"state": {"pvc": {"storageClassName": "fast", "size": "1Gi", "annotations": {"a": "b"}}}}),
    "router on hostPath": merged(ROUTER, {"state": {"type": "hostPath", "hostPath": "/var/lib/netbird"}}),
    "identity in a Secret": {"kind": "router", "state": {"type": "secret", "secret": {"name": "identity", "key": "config.json"}}},
    "key in a value": {"setupKey": {"value": KEY, "key": "k"}},
    "key by CSI": {"setupKey": {"csi": {"secretProviderClass": "bao"}}},
    "key by CSI, made here": {"setupKey": {"csi": {"provider": "vault", "file": "sk", "parameters": {"roleName": "talon", "objects": "- objectName: sk\n"}}}},
    "no key": {"mesh": MESH["mesh"]},
    "static": ONE_STATIC,
    "static in a value": {"kind": "router", "static": {"config": "[Interface]\nPrivateKey = x\n", "key": "wg0.conf"}},
    "static on each node": {"static": {"existingSecret": "conf", "perNode": True}},
    "config": merged(ROUTER, {"config": {"uplinks": ["eth0", "eth1"], "snat": "192.168.1.250", "snatPorts": "2000-3000", "datapath": "tcx", "handUp": "pass", "onStop": "quiet",
                                         "local": ["10.0.0.0/8", "fd00::/8"], "port": 51821, "tunnel": "wt1", "mtu": 1400, "maxPeers": 65536,
                                         "maxFlows": 1048576, "keystreamMemory": 0, "threadedNapi": True}}),
    "vip auto": {"vip": {"source": "auto"}},
    "vip cilium": {"vip": {"source": "cilium"}},
    "vip metallb": {"vip": {"source": "metallb"}},
    "vip arp": {"vip": {"source": "arp"}},
    "vip kube-vip": {"vip": {"source": "kube-vip", "namespace": "vips"}},
    "log": {"log": {"level": "debug", "format": "json"}},
    "extras": {"extraEnv": [{"name": "NB_FORCE_RELAY", "value": "true"}], "extraEnvFrom": [{"secretRef": {"name": "s"}}], "extraArgs": ["--anonymize"],
               "extraVolumes": [{"name": "x", "emptyDir": {}}], "extraVolumeMounts": [{"name": "x", "mountPath": "/x"}],
               "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["netbird"]}]},
    "bpffs mounted here": {"bpffs": {"mount": True}},
    "scheduling": {"tolerations": [], "nodeSelector": {"a": "b"}, "priorityClassName": "", "updateStrategy": {"type": "OnDelete"}, "minReadySeconds": 5},
    "no probes": {"probes": {"startup": None, "readiness": None, "liveness": None}},
    "contexts": {"podSecurityContext": {"fsGroup": 0}, "securityContext": {"seLinuxOptions": {"type": "spc_t"}}},
    "another account": {"serviceAccount": {"create": False, "name": "mine"}},
    "an account with annotations": {"serviceAccount": {"annotations": {"a": "b"}}},
    "default account": {"serviceAccount": {"create": False}},
    "metrics exposed": {"metrics": {"expose": True, "port": 9999, "peers": 10, "docsUrl": "https://docs.example/", "podMonitor": {"interval": "30s", "labels": {"p": "q"}},
                                    "prometheusRule": {"labels": {"p": "q"}}, "dashboards": {"annotations": {"f": "g"}}}},
    "metrics exposed, no objects": {"metrics": {"expose": True, "podMonitor": {"enabled": False}, "prometheusRule": {"enabled": False}, "dashboards": {"enabled": False}}},
    "metrics elsewhere": {"metrics": {"address": "unix:/run/metrics"}},
    "metrics on another port": {"metrics": {"port": 9999}},
    "network policy": {"networkPolicy": {"enabled": True, "from": [{"namespaceSelector": {}}]}},
    "network policy for all": {"networkPolicy": {"enabled": True}},
    "cleanup": {"cleanup": {"nodes": ["a", "b.example.com", "n" * 60]}},
    "cleanup with everything": {"cleanup": {"nodes": ["a"]}, "bpffs": {"mount": True}, "config": {"threadedNapi": True}, "imagePullSecrets": [{"name": "r"}]},
    "no cleanup": {"cleanup": {"enabled": False, "nodes": ["a"]}},
    "names": {"fullnameOverride": "peer", "commonLabels": {"team": "net"}, "commonAnnotations": {"x": "of-all"}, "podLabels": {"p": "1"}, "podAnnotations": {"q": "2"},
              "setupKey": {"value": KEY}},
    "another name": {"nameOverride": "wg"},
    "image by digest": {"image": {"repository": "registry.example:5000/talon", "digest": "sha256:" + "0" * 64, "pullPolicy": "Always"}, "imagePullSecrets": [{"name": "r"}]},
    "as a subchart": {"global": {"imageRegistry": "x"}},
}
# What is refused, and what the line that says so has in it.
REFUSED = [
    ({"kind": "deployment"}, "kind"),
    ({"replicas": "two"}, "replicas"),
    ({"mesh": {"managementURL": "x"}}, "managementURL"),
    ({"mesh": {"managementUrl": "netbird.example.com"}}, "managementUrl"),
    ({"unknown": 1}, "unknown"),
    ({"config": {"maxFlows": 12}}, "maxFlows"),
    ({"config": {"local": "10.0.0.0/8"}}, "local"),
    ({"config": {"local": ["10.0.0.0/33"]}}, "local"),
    ({"config": {"local": ["fd00::/129"]}}, "local"),
    ({"securityContext": {"privileged": True}}, "privileged"),
    ({"bpffs": {"hostPath": "/sys/fs/bpf/talon.d"}}, "hostPath"),
    ({"extraEnv": [{"name": "NB_SETUP_KEY", "value": KEY}]}, "extraEnv"),
    ({"vip": {"source": False}}, "source"),
    ({"setupKey": {"value": "secret-word"}}, "setupKey.value: what it holds is not a setup key"),
    ({"setupKey": {"value": KEY, "existingSecret": "sk"}}, "setupKey: give only one"),
    (merged(ONE_STATIC, {"setupKey": {"existingSecret": "sk"}}), "in static mode"),
    (merged(ONE_STATIC, {"static": {"config": "x"}}), "static: give only one"),
    (merged(ONE_STATIC, {"replicas": 2}), "replicas: more than one peer"),
    ({"static": {"perNode": True}}, "static.perNode"),
    (merged(ROUTER, {"replicas": 2, "state": {"pvc": {"existingClaim": "c"}}}), "replicas: more than one peer"),
    (merged(ROUTER, {"replicas": 2, "config": {"snat": "192.168.1.250"}}), "config.snat"),
    (merged(MESH, {"config": {"snat": "192.168.1.250"}}), "config.snat"),
    (merged(MESH, {"state": {"type": "pvc"}}), "state.type"),
    (merged(MESH, {"state": {"type": "secret", "secret": {"name": "x"}}}), "state.type"),
    (merged(ROUTER, {"state": {"type": "secret"}}), "state.secret.name"),
    ({"metrics": {"expose": True, "address": "10.0.0.1:9000"}}, "metrics.address"),
]


def equal(what, got, wanted):
    if got != wanted:
        raise AssertionError(f"{what}: {got!r}, expected {wanted!r}")


def holds(what, condition):
    if not condition:
        raise AssertionError(what)


def pods_of(render):
    for one in render.all:
        if one["kind"] == "Pod":
            yield one["spec"]
        for item in one.get("items", [one]):
            if "template" in item.get("spec", {}):
                yield item["spec"]["template"]["spec"]


def keeps_the_least_rights(render):
    """Nobody is privileged but who mounts bpffs; nobody has a token who does not watch."""
    for pod in pods_of(render):
        equal("seccomp", pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault")
        for one in pod["containers"] + pod.get("initContainers", []):
            context = one["securityContext"]
            holds(f"{one['name']}: limits", "memory" in one["resources"]["limits"] and "cpu" not in one["resources"]["limits"])
            equal(f"{one['name']}: root", context["readOnlyRootFilesystem"], True)
            if one["name"] == "mount-bpffs":
                continue
            equal(f"{one['name']}: drop", context["capabilities"]["drop"], ["ALL"])
            holds(f"{one['name']}: adds", set(context["capabilities"].get("add", [])) <= {"BPF", "NET_ADMIN", "PERFMON", "NET_RAW"})
            holds(f"{one['name']}: privileged", not context.get("privileged") and context["allowPrivilegeEscalation"] is False)
            holds(f"{one['name']}: no setup key in the environment", not any(env["name"].endswith("_SETUP_KEY") for env in one.get("env", [])))
        for volume in pod["volumes"]:
            path = volume.get("hostPath", {}).get("path", "")
            holds(f"{path} of the host", not path or path.startswith(("/sys/fs/bpf", "/var/lib/", "/sys/devices/virtual/net")))


def test_documents():
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    equal("$schema", schema["$schema"], "http://json-schema.org/draft-07/schema#")
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate(values, schema, jsonschema.Draft7Validator)

    def covers(part, has, path):
        for key, value in has.items():
            holds(f"{path}{key} is in the schema", key in part["properties"])
            below = part["properties"][key]
            if isinstance(value, dict) and "properties" in below:
                equal(f"{path}{key}: additionalProperties", below.get("additionalProperties", path == "" and key == "securityContext" and False), False)
                covers(below, value, f"{path}{key}.")
    covers({**schema, "properties": {**schema["properties"], "securityContext": {}}}, values, "")
    for name, one in RENDERS.items():
        try:
            jsonschema.validate(one, schema, jsonschema.Draft7Validator)
        except jsonschema.ValidationError as error:
            raise AssertionError(f"{name}: {error.message}") from error


def test_versions():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    equal("appVersion", chart["appVersion"], VERSION)
    for path in list(MANIFESTS.glob("*/*.yaml")) + [MANIFESTS / "seed/parameters.env", ROOT / "manifests/compose/docker-compose.yaml"]:
        for line in path.read_text().splitlines():
            if "localhost/talon:" in line:
                holds(f"{path}: {line.strip()}", line.rstrip('"').rstrip("}").endswith(f"localhost/talon:{VERSION}"))


def test_readme():
    result = subprocess.run([sys.executable, "-B", str(CHART / "generate.py"), "--check"], capture_output=True, text=True, check=False)
    equal("generate.py --check", result.stdout, "")


def test_manifests():
    for path in sorted(MANIFESTS.glob("*/talon.yaml")):
        render = Render(path.read_text())
        keeps_the_least_rights(render)
        if path.parent.name != "cleanup":
            equal(f"{path}: namespace", {one["metadata"]["namespace"] for one in render.all}, {"talon"})
    compose = yaml.safe_load((ROOT / "manifests/compose/docker-compose.yaml").read_text())["services"]["talon"]
    equal("compose: rights", (compose["cap_drop"], compose["cap_add"], compose["read_only"], compose["security_opt"]),
          (["ALL"], ["BPF", "NET_ADMIN", "PERFMON", "NET_RAW"], True, ["no-new-privileges:true"]))
    holds("compose: no setup key in the environment", "NB_SETUP_KEY" not in compose["environment"])


def test_kustomize():
    """The seed's layout follows its parameters."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(MANIFESTS, f"{folder}/kubernetes")
        pathlib.Path(folder, "kubernetes/seed/parameters.env").write_text(
            "NODE=n7\nNAME=peer7\nMANAGEMENT_URL=https://seven.example\nIMAGE=r.example/talon:7\nSTORAGE_CLASS=seven\n")
        text = subprocess.run(["kubectl", "kustomize", f"{folder}/kubernetes/seed"], capture_output=True, text=True, check=True).stdout
    render = Render(text)
    equal("node", render.pod["nodeSelector"]["kubernetes.io/hostname"], "n7")
    equal("name and server", (render.env["NB_HOSTNAME"], render.env["NB_MANAGEMENT_URL"]), ("peer7", "https://seven.example"))
    equal("image", render.container["image"], "r.example/talon:7")
    equal("class", render.workload["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"], "seven")
    equal("kinds", sorted(one["kind"] for one in render.all), ["Namespace", "ServiceAccount", "StatefulSet"])


# --- With helm ---

def test_lint(helm):
    for name in ("node", "three routers", "static", "config", "cleanup with everything"):
        values = RENDERS[name]
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            yaml.safe_dump(values, file)
            file.flush()
            result = subprocess.run([helm, "lint", str(CHART), "-f", file.name, "--kube-version", "1.34.0", "--strict"], capture_output=True, text=True, check=False)
        holds(f"{name}: {result.stdout}{result.stderr}", result.returncode == 0)


def test_all_renders(helm):
    for name, values in RENDERS.items():
        render = Render(helm_template(helm, values, *MONITORING))
        try:
            keeps_the_least_rights(render)
            spec = render.workload["spec"]
            equal("selector", spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items(), True)
            equal("hostNetwork", render.pod["hostNetwork"], True)
            equal("ports, which would keep a second pod off the node", "ports" in render.container, False)
            equal("message", render.container["terminationMessagePolicy"], "FallbackToLogsOnError")
            mounted = {one["name"] for one in render.container["volumeMounts"]}
            offered = {one["name"] for one in render.pod["volumes"]} | {one["metadata"]["name"] for one in spec.get("volumeClaimTemplates", [])}
            equal("mounts and volumes", mounted ^ offered, set())
            holds("no number in scientific notation", "e+0" not in json.dumps([render.workload]))
            for one in render.all:
                holds(f"{one['kind']}: labels", one["kind"] in ("List", "Pod") or one["metadata"]["labels"]["app.kubernetes.io/instance"] == "talon")
        except (AssertionError, KeyError) as error:
            raise AssertionError(f"{name}: {error}") from error


def test_refusals(helm):
    for values, line in REFUSED:
        try:
            helm_template(helm, values)
        except Refused as refused:
            holds(f"{values}: says {line!r}: {refused}", line in str(refused))
            holds(f"{values}: does not repeat a secret: {refused}", "secret-word" not in str(refused))
            continue
        raise AssertionError(f"{values} is taken, expected: {line}")


def renders(helm):
    return lambda name, *more: Render(helm_template(helm, RENDERS[name], *more))


def test_kinds(helm):
    render = renders(helm)
    node, router, three = render("node"), render("router"), render("three routers")
    equal("kinds", (node.workload["kind"], router.workload["kind"]), ("DaemonSet", "StatefulSet"))
    equal("name of a node", node.env["NB_HOSTNAME"], "$(NODE_NAME)")
    equal("where it comes from", node.env["NODE_NAME"], {"fieldRef": {"fieldPath": "spec.nodeName"}})
    equal("taints", node.pod["tolerations"], [{"operator": "Exists"}])
    equal("router's taints", [one["key"] for one in router.pod["tolerations"]], ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"])
    equal("class", node.pod["priorityClassName"], "system-node-critical")
    equal("replicas", (router.workload["spec"]["replicas"], three.workload["spec"]["replicas"]), (1, 3))
    equal("alone on a node", "affinity" in router.pod, False)
    (apart,) = three.pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    equal("apart", (apart["topologyKey"], apart["labelSelector"]["matchLabels"]), ("kubernetes.io/hostname", three.workload["spec"]["selector"]["matchLabels"]))
    equal("both affinities", len(render("affinity").pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]), 2)
    equal("spread", three.pod["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"], apart["labelSelector"]["matchLabels"])
    equal("PDB", three.one("PodDisruptionBudget")["spec"]["maxUnavailable"], 1)
    equal("no PDB", [len(render(name).of("PodDisruptionBudget")) for name in ("router", "node", "no PDB")], [0, 0, 0])
    equal("a new pod is ready before the old one goes", node.workload["spec"]["updateStrategy"],
          {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}})
    equal("and takes over", (node.env.get("TALON_TAKE_OVER"), router.env.get("TALON_TAKE_OVER")), ("on", None))
    equal("what relayed peers are told at the end", [one.env.get("TALON_ON_STOP") for one in (node, router, three)], [None, None, "tell"])
    scheduling = render("scheduling")
    equal("scheduling", (scheduling.pod.get("tolerations"), scheduling.pod["nodeSelector"], "priorityClassName" in scheduling.pod),
          ([], {"a": "b", "kubernetes.io/os": "linux"}, False))
    equal("strategy", scheduling.workload["spec"]["updateStrategy"], {"type": "OnDelete"})


def test_probes(helm):
    render = renders(helm)
    for probe, check in (("startup", "startup"), ("readiness", "ready"), ("liveness", "live")):
        equal(probe, render("node").container[f"{probe}Probe"]["exec"]["command"], ["talon", "status", "--check", check])
        equal(f"no {probe}", f"{probe}Probe" in render("no probes").container, False)
    startup = render("node").container["startupProbe"]
    holds("a start may wait for longer than kubelet's back-off remembers", startup["periodSeconds"] * startup["failureThreshold"] > 600)


def test_setup_keys(helm):
    render = renders(helm)
    equal("file", render("node").env["NB_SETUP_KEY_FILE"], "/etc/talon/setup-key/setup-key")
    equal("Secret", render("node").volume("setup-key")["secret"], {"secretName": "sk", "defaultMode": 0o400})
    value = render("key in a value")
    equal("of a value", (value.one("Secret")["stringData"], value.volume("setup-key")["secret"]["secretName"]), ({"k": KEY}, "talon-setup-key"))
    equal("nowhere else", value.text.count(KEY), 1)
    csi = render("key by CSI")
    equal("CSI", csi.volume("setup-key")["csi"]["volumeAttributes"], {"secretProviderClass": "bao"})
    made = render("key by CSI, made here")
    equal("class", made.one("SecretProviderClass")["spec"]["provider"], "vault")
    equal("its volume", made.volume("setup-key")["csi"]["volumeAttributes"]["secretProviderClass"], made.one("SecretProviderClass")["metadata"]["name"])
    equal("its file", made.env["NB_SETUP_KEY_FILE"], "/etc/talon/setup-key/sk")
    equal("none", ("NB_SETUP_KEY_FILE" in render("no key").env, render("no key").volume("setup-key")), (False, None))
    other = merged(RENDERS["node"], {"setupKey": {"existingSecret": "rotated"}})
    pods = [Render(helm_template(helm, merged(RENDERS["key in a value"], {"setupKey": {"value": key}}))).workload for key in (KEY, KEY.replace("1", "9"))]
    equal("another key restarts nobody", pods[0], pods[1])
    holds("another Secret is mounted", Render(helm_template(helm, other)).volume("setup-key")["secret"]["secretName"] == "rotated")


def test_state(helm):
    render = renders(helm)
    equal("node", render("node").volume("state")["hostPath"], {"path": "/var/lib/talon", "type": "DirectoryOrCreate"})
    (claim,) = render("new claim").workload["spec"]["volumeClaimTemplates"]
    equal("claim", (claim["spec"]["storageClassName"], claim["spec"]["resources"], claim["metadata"]["annotations"]),
          ("fast", {"requests": {"storage": "1Gi"}}, {"a": "b"}))
    equal("what an upgrade must not change", set(claim["metadata"]["labels"]), {"app.kubernetes.io/name", "app.kubernetes.io/instance"})
    existing = render("existing claim")
    equal("existing", (existing.volume("state"), existing.mount("state")["subPath"], "volumeClaimTemplates" in existing.workload["spec"]),
          ({"name": "state", "persistentVolumeClaim": {"claimName": "netbird"}}, "nb", False))
    equal("router on hostPath", render("router on hostPath").volume("state")["hostPath"]["path"], "/var/lib/netbird")
    secret = render("identity in a Secret")
    equal("Secret", (secret.env["NB_CONFIG"], secret.volume("identity")["secret"]), ("/etc/talon/identity/config.json", {"secretName": "identity", "defaultMode": 0o400}))
    holds("what is not kept", "emptyDir" in secret.volume("state"))


def test_static(helm):
    render = renders(helm)
    static = render("static")
    equal("arguments", static.container["args"], ["up", "--static", "/etc/talon/static/talon.conf"])
    equal("neither mesh nor state", [name for name in static.env if name.startswith("NB_")] + [one["name"] for one in static.pod["volumes"] if one["name"] in ("state", "setup-key")], [])
    value = render("static in a value")
    equal("Secret", list(value.one("Secret")["stringData"]), ["wg0.conf"])
    holds("a changed file is another pod", "checksum/static" in value.workload["spec"]["template"]["metadata"]["annotations"])
    equal("each node's file", render("static on each node").container["args"][2], "/etc/talon/static/$(NODE_NAME).conf")


def test_config(helm):
    render = renders(helm)
    env = render("config").env
    wanted = {"TALON_UPLINK": "eth0,eth1", "TALON_SNAT": "192.168.1.250", "TALON_SNAT_PORTS": "2000-3000", "TALON_DATAPATH": "tcx", "TALON_HAND_UP": "pass", "TALON_ON_STOP": "quiet",
              "TALON_LOCAL": "10.0.0.0/8,fd00::/8", "TALON_LISTEN_PORT": "51821", "TALON_TUNNEL": "wt1", "TALON_MTU": "1400", "TALON_MAX_PEERS": "65536",
              "TALON_MAX_FLOWS": "1048576", "TALON_KEYSTREAM_MEMORY": "0"}
    equal("config", {name: env.get(name) for name in wanted}, wanted)
    equal("what is not said stays the file's", [name for name in render("node").env if name.startswith("TALON_") and "LOG" not in name], ["TALON_TAKE_OVER"])
    equal("threaded NAPI", (render("config").mount("net-devices")["mountPath"], render("node").mount("net-devices")), ("/sys/devices/virtual/net", None))
    extras = render("extras")
    equal("extras", (extras.env["NB_FORCE_RELAY"], extras.container["envFrom"], extras.container["args"][-1], extras.mount("x")["mountPath"]),
          ("true", [{"secretRef": {"name": "s"}}], "--anonymize", "/x"))
    image = render("image by digest")
    equal("image", (image.container["image"], image.pod["imagePullSecrets"]), ("registry.example:5000/talon@sha256:" + "0" * 64, [{"name": "r"}]))
    equal("tag", render("node").container["image"], f"localhost/talon:{VERSION}")
    names = render("names")
    for one in names.all:
        if one["kind"] != "Pod":
            equal(f"{one['kind']}: common labels", (one["metadata"]["labels"].get("team"), one["metadata"]["annotations"].get("x")), ("net", "of-all"))
    template = names.workload["spec"]["template"]["metadata"]
    equal("of the pods", (template["labels"]["p"], template["labels"]["team"], template["annotations"]["q"]), ("1", "net", "2"))
    holds("no version in a pod's labels, which would restart it", not any("version" in key or "chart" in key for key in template["labels"]))


def test_bpffs(helm):
    render = renders(helm)
    own, mounted = render("node"), render("bpffs mounted here")
    equal("own folder", (own.volume("bpffs")["hostPath"], own.mount("bpffs")), ({"path": "/sys/fs/bpf/talon", "type": "DirectoryOrCreate"},
                                                                           {"name": "bpffs", "mountPath": "/sys/fs/bpf"}))
    equal("no init step", "initContainers" in own.pod, False)
    (step,) = mounted.pod["initContainers"]
    equal("init step", (step["securityContext"]["privileged"], step["volumeMounts"][0]["mountPropagation"]), (True, "Bidirectional"))
    equal("the same folder", (mounted.volume("bpffs")["hostPath"]["path"], mounted.mount("bpffs")["subPath"]), ("/sys/fs/bpf", "talon"))


def test_access(helm):
    render = renders(helm)
    node = render("node")
    equal("no token", (node.pod["automountServiceAccountToken"], node.of("Role"), node.of("ClusterRole")), (False, [], []))
    expected = {"vip auto": {"kube-system": ["leases"], "metallb-system": ["servicel2statuses"]}, "vip cilium": {"kube-system": ["leases"]},
                "vip metallb": {"metallb-system": ["servicel2statuses"]}, "vip kube-vip": {"vips": ["leases"]}, "vip arp": {}}
    for name, wanted in expected.items():
        one = render(name)
        equal(f"{name}: token", one.pod["automountServiceAccountToken"], True)
        roles = {role["metadata"]["namespace"]: [resource for rule in role["rules"] for resource in rule["resources"]] for role in one.of("Role")}
        equal(f"{name}: what is watched", roles, wanted)
        holds(f"{name}: nothing is written", all(rule["verbs"] == ["get", "list", "watch"] for role in one.of("Role") for rule in role["rules"]))
        equal(f"{name}: of the cluster", [role["rules"] for role in one.of("ClusterRole")],
              [[{"apiGroups": [""], "resources": ["services"], "verbs": ["get", "list", "watch"]}]])
        equal(f"{name}: who", {subject["name"] for binding in one.of("RoleBinding") + one.of("ClusterRoleBinding") for subject in binding["subjects"]}, {"talon"})
        equal(f"{name}: said", (one.env["TALON_VIP_SOURCE"], one.env["TALON_NODE_NAME"], one.env.get("TALON_VIP_NAMESPACE")),
              (name.split()[1], "$(NODE_NAME)", "vips" if name == "vip kube-vip" else None))
    equal("accounts", [(render(name).pod["serviceAccountName"], len(render(name).of("ServiceAccount"))) for name in ("node", "another account", "default account")],
          [("talon", 1), ("mine", 0), ("default", 0)])


def test_metrics(helm):
    render = renders(helm)
    equal("without CRDs", [one["kind"] for one in render("metrics exposed").all if one["kind"] in ("PodMonitor", "PrometheusRule", "ConfigMap")], [])
    equal("not exposed", [one["kind"] for one in render("node", *MONITORING).all if one["kind"] in ("PodMonitor", "PrometheusRule", "ConfigMap")], [])
    one = render("metrics exposed", *MONITORING)
    equal("address", (one.env["TALON_METRICS"], one.env["HOST_IP"], one.env["TALON_METRICS_PEERS"]), ("$(HOST_IP):9999", {"fieldRef": {"fieldPath": "status.hostIP"}}, "10"))
    names = [env["name"] for env in one.container["env"]]
    holds("a variable is defined before it is used", names.index("HOST_IP") < names.index("TALON_METRICS") and names.index("NODE_NAME") < names.index("NB_HOSTNAME"))
    monitor, rule = one.one("PodMonitor"), one.one("PrometheusRule")
    equal("labels", (monitor["metadata"]["labels"]["p"], rule["metadata"]["labels"]["p"]), ("q", "q"))
    equal("port", [each.get("replacement") for each in monitor["spec"]["podMetricsEndpoints"][0]["relabelings"]][:2], ["$1:9999", "[$1]:9999"])
    alerts = yaml.safe_load((ROOT / "charts/monitoring/rules/talon.yaml").read_text())
    got = json.dumps(rule["spec"]["groups"]).replace("https://docs.example/", "docs/")
    equal("rules", got, json.dumps(alerts["groups"]))
    boards = {name: text for board in one.of("ConfigMap") for name, text in board["data"].items()}
    equal("dashboards", sorted(boards), ["talon-datapath.json", "talon-overview.json", "talon-peer.json"])
    holds("dashboards are JSON, and link", all(json.loads(text)["panels"] and "@DOCS@" not in text for text in boards.values()))
    equal("switched off", [len(render("metrics exposed, no objects", *MONITORING).of(kind)) for kind in ("PodMonitor", "PrometheusRule", "ConfigMap")], [0, 0, 0])
    equal("elsewhere", [render(name).env.get("TALON_METRICS") for name in ("metrics elsewhere", "metrics on another port", "node")],
          ["unix:/run/metrics", "127.0.0.1:9999", None])
    policy = render("network policy").one("NetworkPolicy")["spec"]
    equal("policy", (policy["ingress"][0]["ports"][0]["port"], policy["ingress"][0]["from"]), (9567, [{"namespaceSelector": {}}]))
    holds("policy for all", "from" not in render("network policy for all").one("NetworkPolicy")["spec"]["ingress"][0])


def test_hooks(helm):
    render = renders(helm)
    jobs = render("cleanup").one("List")
    equal("hook", jobs["metadata"]["annotations"]["helm.sh/hook"], "post-delete")
    names = [job["metadata"]["name"] for job in jobs["items"]]
    holds(f"names of Jobs: {names}", len(set(names)) == 3 and all(len(name) <= 63 for name in names))
    for job, node in zip(jobs["items"], ("a", "b.example.com", "n" * 60)):
        pod = job["spec"]["template"]["spec"]
        (term,) = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        equal("node", term["matchFields"], [{"key": "metadata.name", "operator": "In", "values": [node]}])
        equal("what is done", [one["args"] for one in pod["initContainers"] + pod["containers"]], [["down"], ["down", "--pin-dir", "/sys/fs/bpf/talon"]])
        equal("deadline", job["spec"]["activeDeadlineSeconds"], 60)
    equal("no cleanup", [len(render(name).of("List")) for name in ("no cleanup", "node")], [0, 0])
    test = render("node").one("Pod")
    equal("helm test", (test["metadata"]["annotations"]["helm.sh/hook"], test["spec"]["containers"][0]["args"]), ("test", ["status", "--check", "ready"]))


def test_manifests_are_rendered(helm):
    result = subprocess.run([sys.executable, "-B", str(MANIFESTS / "render.py"), "--check"], capture_output=True, text=True, check=False, env={**os.environ, "HELM": helm})
    equal("render.py --check", result.stdout + result.stderr, "")


def test_api_server(helm):
    """A real API server takes every render: types, fields, validation, defaults."""
    kubectl = os.environ["KUBECTL"].split()
    for name, values in RENDERS.items():
        objects = [one for one in Render(helm_template(helm, values)).all if one["kind"] != "SecretProviderClass"]
        for one in [one for one in objects if one["kind"] == "List"]:
            objects = [each for each in objects if each is not one] + one["items"]
        for one in objects:
            if one["metadata"].get("namespace") in ("metallb-system", "vips"):
                one["metadata"]["namespace"] = "talon"
        text = yaml.safe_dump_all(objects)
        result = subprocess.run(kubectl + ["apply", "--dry-run=server", "--validate=strict", "-f", "-"], input=text, capture_output=True, text=True, check=False)
        holds(f"{name}: {result.stderr}", result.returncode == 0)


def run(name, function, *arguments):
    try:
        function(*arguments)
        counts["passed"] += 1
        print(f"ok      chart/{name}")
    except (AssertionError, Refused, subprocess.CalledProcessError, KeyError, ValueError) as error:
        counts["failed"] += 1
        print(f"FAILED  chart/{name}\n{type(error).__name__}: {error}")


def skip(name, why):
    counts["skipped"] += 1
    print(f"skipped chart/{name}: {why}")


def main():
    for name in ("documents", "versions", "readme", "manifests"):
        run(name, globals()[f"test_{name}"])
    if shutil.which("kubectl"):
        run("kustomize", test_kustomize)
    else:
        skip("kustomize", "there is no kubectl")
    helms = [helm for helm in os.environ.get("HELM", "helm").split() if shutil.which(helm)]
    with_helm = ("lint", "all_renders", "refusals", "kinds", "probes", "setup_keys", "state", "static", "config", "bpffs", "access", "metrics", "hooks",
                 "manifests_are_rendered") + (("api_server",) if os.environ.get("KUBECTL") else ())
    for helm in helms:
        version = subprocess.run([helm, "version", "--template", "{{.Version}}"], capture_output=True, text=True, check=False).stdout
        for name in with_helm:
            run(f"{name} (helm {version})", globals()[f"test_{name}"], helm)
    if not helms:
        for name in with_helm:
            skip(name, "there is no helm (HELM)")
    print(f"chart: {counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return counts["failed"] > 0


if __name__ == "__main__":
    sys.exit(main())
