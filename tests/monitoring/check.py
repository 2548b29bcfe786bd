#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What dashboards, alerts and runbooks say of each other: prints what is wrong, nothing if all is right.

check.py generated | runbooks | metrics | panels
"""
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
MONITORING = ROOT / "charts/monitoring"
RUNBOOKS = ROOT / "docs/runbooks"
sys.path.insert(0, str(MONITORING))
sys.dont_write_bytecode = True
import alerts  # noqa: E402
import panels  # noqa: E402


def generated():
    done = subprocess.run([sys.executable, "-B", MONITORING / "generate.py", "--check"], capture_output=True, text=True, check=False)
    yield from done.stdout.splitlines() + done.stderr.splitlines()


def runbooks():
    """Each alert has its page with the three parts, and each page its alert; docs/monitoring.md lists them all."""
    names = [alert.name for alert in alerts.ALERTS]
    pages = {page.stem: page.read_text() for page in RUNBOOKS.glob("*.md")}
    listed = (ROOT / "docs/monitoring.md").read_text()
    for name in names:
        if names.count(name) > 1:
            yield f"{name} is there twice"
        if name not in pages:
            yield f"{name} has no docs/runbooks/{name}.md"
            continue
        for part in (f"# {name}\n", "\n## What users feel\n", "\n## What to look at\n", "\n## What to do\n", "\n```"):
            if part not in pages[name]:
                yield f"docs/runbooks/{name}.md has no {part.strip()}"
        if f"(runbooks/{name}.md)" not in listed:
            yield f"docs/monitoring.md does not list {name}"
    for name in sorted(set(pages) - set(names)):
        yield f"docs/runbooks/{name}.md belongs to no alert"


def families():
    """The names that /metrics has, from metric_rows.h."""
    rows = (ROOT / "userspace/metrics/metric_rows.h").read_text()
    suffix = {"COUNTER": "_total", "INFO": "_info", "GAUGE": ""}
    return {f"talon_{name}{suffix[kind]}" for name, kind in re.findall(r"\bX\(\w+, (\w+), (COUNTER|GAUGE|INFO),", rows)}


def used(text):
    return set(re.findall(r"(?<!\^)\btalon_[a-z0-9_]+", text))      # "^" before it: a pattern for grep


def metrics():
    """Each name of a metric exists. Programs of the datapath are called talon_, too."""
    known = families()
    if len(known) < 60:
        yield f"only {len(known)} families found in metric_rows.h"
    programs = {name for source in (ROOT / "bpf").glob("*.bpf.c") for name in re.findall(r"\bint (talon_\w+)\(", source.read_text())}
    texts = {"charts/monitoring/panels.py": json.dumps(panels.dashboards("docs")),
             "charts/monitoring/alerts.py": json.dumps(alerts.GROUPS)}
    for page in [ROOT / "docs/monitoring.md", *RUNBOOKS.glob("*.md")]:
        texts[str(page.relative_to(ROOT))] = page.read_text()
    for where, text in sorted(texts.items()):
        for name in sorted(used(text) - known - programs):
            yield f"{where}: no metric is called {name}"
    shown = used(texts["charts/monitoring/panels.py"]) | used(texts["charts/monitoring/alerts.py"])
    if len(shown & known) < 0.7 * len(known):
        yield f"only {len(shown & known)} of {len(known)} families are drawn or alerted on"


def panel_rules():
    """Each panel has what an operator needs to read it, and its link leads somewhere."""
    for name, dashboard in panels.dashboards("docs").items():
        ids, taken, titles = set(), set(), set()
        for panel in dashboard["panels"]:
            where = f"{name}: {panel['title']}"
            cells = {(x, y) for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
                     for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])}
            if panel["id"] in ids or cells & taken or max(x for x, _ in cells) > 23:
                yield f"{where}: id or place is not its own"
            ids.add(panel["id"])
            taken |= cells
            if panel["type"] == "row":
                continue
            if panel["title"] in titles:
                yield f"{where}: two panels have this title"
            titles.add(panel["title"])
            if len(panel["description"]) < 20 or not panel["description"].endswith("."):
                yield f"{where}: no description"
            if not panel["fieldConfig"]["defaults"]["unit"]:
                yield f"{where}: no unit"
            for link in panel["links"]:
                path = link["url"].removeprefix("${docs}/")
                if not (ROOT / "docs" / path).exists():
                    yield f"{where}: there is no docs/{path}"
            for target in panel["targets"]:
                if "$instance" not in target["expr"] and "ALERTS" not in target["expr"]:
                    yield f"{where}: a query ignores the chosen nodes: {target['expr']}"


def main():
    check = {"generated": generated, "runbooks": runbooks, "metrics": metrics, "panels": panel_rules}[sys.argv[1]]
    for line in check():
        print(line)


main()
