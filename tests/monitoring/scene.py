#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A real Prometheus for scenarios: its configuration, the rules at a pace for tests, and what panels and alerts say.

    scene.py config FILE RULES TARGET...    scrapes every second
    scene.py rules FILE                     the rules with short ranges and waits
    scene.py exporter ADDRESS PORT COMMAND...   a web server that runs COMMAND for each scrape
    scene.py panels URL SECONDS             each query of each panel has data within that time; else prints those that have none
    scene.py alert URL NAME firing|quiet INSTANCE SECONDS
    scene.py programs-counted               the kernel counts runs of programs until this ends
"""
import ctypes
import http.server
import json
import math
import pathlib
import re
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "charts/monitoring"))
sys.dont_write_bytecode = True
import alerts  # noqa: E402
import generate  # noqa: E402

# Scrapes are a second apart, so that ten of them are what some minutes are in earnest.
RATE = "6s"
PACE = {"5m": "6s", "15m": "20s", "1d": "10s", "30m": "20s", "2m": "6s"}


# Metrics that may be missing, and why. The scene has an agent that answers late, so that there is a latency to be seen.
MAY_BE_EMPTY = {"talon_peer_latency_seconds": "controllers do not write it to the peers' map yet"}


def paced(text):
    return re.sub(r"\b(\d+[smhd])\b", lambda m: PACE[m[1]], text)


def rules():
    """The same expressions with the same thresholds. "for" is 2 s."""
    quick = []
    for group in alerts.GROUPS:
        made = [rule._replace(expr=paced(rule.expr)) for rule in group.rules]
        made = [rule._replace(wait=rule.wait and "2s") if isinstance(rule, alerts.Alert) else rule for rule in made]
        quick.append(group._replace(interval="1s", rules=made))
    return generate.rules_yaml(groups=quick)


def config(rule_file, targets):
    return json.dumps({     # JSON is YAML
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [rule_file],
        "scrape_configs": [{"job_name": "talon", "static_configs": [{"targets": [target], "labels": {"instance": name}}
                                                                    for name, target in (t.split("=") for t in targets)]}],
    })


def exporter(address, port, command):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            done = subprocess.run(command, capture_output=True, check=False)
            self.send_response(200 if done.returncode == 0 else 500)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(done.stdout)

        def log_message(self, *args):
            pass

    http.server.ThreadingHTTPServer((address, int(port)), Handler).serve_forever()


def api(url, path, **query):
    with urllib.request.urlopen(f"{url}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=10) as answer:
        return json.load(answer)["data"]


def substituted(expr, span="20s"):
    for name, value in (("$__rate_interval", RATE), ("$__range", span), ("$job", "talon"), ("$instance", ".*"), ("$peer", ".*")):
        expr = expr.replace(name, value)
    return expr


def queries():
    """(dashboard, panel, query, instant)"""
    for path in sorted((ROOT / "charts/monitoring/dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", []):
                yield path.stem, panel, target


def has_data(url, expr):
    return any(not math.isnan(float(sample["value"][1])) for sample in api(url, "query", query=substituted(expr))["result"])


def variables(url):
    """The queries of the variables give something to choose from."""
    for path in sorted((ROOT / "charts/monitoring/dashboards").glob("*.json")):
        for variable in json.loads(path.read_text())["templating"]["list"]:
            if variable["type"] != "query":
                continue
            query = substituted(variable["query"]["query"])
            values = re.fullmatch(r"label_values\((.*), (\w+)\)", query)
            if values:
                found = {series.get(values[2]) for series in api(url, "series", **{"match[]": values[1]})}
            else:
                inner = re.fullmatch(r"query_result\((.*)\)", query)[1]
                pattern = re.compile(variable["regex"].strip("/").replace("?<", "?P<"))
                lines = ["{" + ",".join(f'{k}="{v}"' for k, v in sorted(s["metric"].items())) + "} 1" for s in api(url, "query", query=inner)["result"]]
                found = {(m["text"], m["value"]) for line in lines if (m := pattern.search(line)) and m["text"]}
            if not found - {None, ""}:
                yield f"{path.stem}: variable {variable['name']}: {query}"


def within(seconds, done):
    """Asks until it is so, or the time is up."""
    deadline = time.monotonic() + float(seconds)
    while not (answer := done()) and time.monotonic() < deadline:
        time.sleep(0.25)
    return answer


def without_data(url):
    missing = list(variables(url))
    for dashboard, panel, target in queries():
        if not has_data(url, target["expr"]) and not any(name in target["expr"] for name in MAY_BE_EMPTY):
            missing.append(f"{dashboard}: {panel['title']}: {target['expr']}")
    return missing


def panels(url, seconds):
    if within(seconds, lambda: not without_data(url)):
        print(f"{len(list(queries()))} queries of panels have data")
        return 0
    print("no data:", *without_data(url), sep="\n")
    return 1


def firing(url, name, instance):
    return [a for a in api(url, "alerts")["alerts"] if a["labels"]["alertname"] == name and a["state"] == "firing"
            and a["labels"].get("instance") == instance]


def alert(url, name, wanted, instance, seconds):
    if not within(seconds, lambda: bool(firing(url, name, instance)) == (wanted == "firing")):
        sys.exit(f"{name} of {instance} is not {wanted}")
    for one in firing(url, name, instance):
        text = " ".join(one["annotations"].values())
        if "<no value>" in text or "error expanding" in text:
            sys.exit(f"{name}: {text}")
        print(f"{name}: {one['annotations']['description']}")
    return 0


def programs_counted():
    if ctypes.CDLL("libbpf.so.1").bpf_enable_stats(0) < 0:      # BPF_STATS_RUN_TIME, as long as the descriptor is open
        sys.exit("the kernel does not count runs of programs")
    print("counting", flush=True)
    signal.pause()


def main():
    what, args = sys.argv[1], sys.argv[2:]
    if what == "config":
        pathlib.Path(args[0]).write_text(config(args[1], args[2:]))
    elif what == "rules":
        pathlib.Path(args[0]).write_text(rules())
    elif what == "exporter":
        exporter(args[0], args[1], args[2:])
    elif what == "panels":
        return panels(*args)
    elif what == "alert":
        return alert(*args)
    elif what == "programs-counted":
        programs_counted()
    else:
        return f"scene.py: there is no '{what}'"
    return 0


if __name__ == "__main__":
    sys.exit(main())
