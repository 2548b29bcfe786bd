#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Writes dashboards/*.json, rules/talon.yaml and the list in docs/monitoring.md from panels.py and alerts.py.

    generate.py [--docs URL] [--rule-label NAME=VALUE]... [--out FOLDER] [--check]

--docs: where docs/ of this repository can be read; runbook_url and the panels' links begin with it. --check writes nothing and names
the files that are not what the source says.
"""
import argparse
import json
import pathlib
import sys

sys.dont_write_bytecode = True
import alerts  # noqa: E402
import panels  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
LICENCE = "# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause"


def quoted(text):
    return json.dumps(text, ensure_ascii=False)


def block(text, indent):
    """A YAML scalar: quoted on one line, or a block where the source has several."""
    lines = [line.strip() for line in text.strip().splitlines()]
    if len(lines) == 1:
        return " " + quoted(lines[0])
    return " |-\n" + "\n".join(" " * indent + line for line in lines)


def rule_lines(rule, docs, labels):
    if isinstance(rule, alerts.Record):
        return [f"      - record: {rule.name}", f"        expr:{block(rule.expr, 10)}"]
    lines = [f"      - alert: {rule.name}", f"        expr:{block(rule.expr, 10)}"]
    if rule.wait:
        lines.append(f"        for: {rule.wait}")
    lines += ["        labels:", f"          severity: {rule.severity}"]
    lines += [f"          {name}: {quoted(value)}" for name, value in labels]
    lines += ["        annotations:",
              f"          summary: {quoted(rule.summary)}",
              f"          description: {quoted(rule.description)}",
              f"          runbook_url: {quoted(f'{docs}/runbooks/{rule.name}.md')}"]
    return lines


def rules_yaml(docs="docs", labels=(), groups=alerts.GROUPS):
    lines = [LICENCE, "# Made by charts/monitoring/generate.py from alerts.py: change it there.", "groups:"]
    for group in groups:
        lines.append(f"  - name: {group.name}")
        if group.interval:
            lines.append(f"    interval: {group.interval}")
        lines.append("    rules:")
        for rule in group.rules:
            lines += rule_lines(rule, docs, labels)
    return "\n".join(lines) + "\n"


MARKS = "<!-- alerts, from charts/monitoring/alerts.py -->\n", "<!-- end of alerts -->\n"


def listed():
    """docs/monitoring.md with the alerts as they are."""
    before, rest = (HERE / "../../docs/monitoring.md").read_text().split(MARKS[0])
    rows = "".join(f"| [{a.name}](runbooks/{a.name}.md) | {a.severity} | {a.wait or 'at once'} | {a.why} |\n" for a in alerts.ALERTS)
    return before + MARKS[0] + "| Alert | Severity | After | Why these numbers |\n|---|---|---|---|\n" + rows + MARKS[1] + rest.split(MARKS[1])[1]


def files(docs, labels):
    """Path below the output folder -> text."""
    made = {f"dashboards/{name}.json": json.dumps(dashboard, indent=1, ensure_ascii=False) + "\n"
            for name, dashboard in panels.dashboards(docs).items()}
    made["rules/talon.yaml"] = rules_yaml(docs, labels)
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--docs", default="docs")
    parser.add_argument("--rule-label", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--out", type=pathlib.Path, default=HERE)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    labels = [label.split("=", 1) for label in args.rule_label]
    if any(len(label) != 2 for label in labels):
        parser.error("--rule-label: NAME=VALUE is needed")

    made = files(args.docs.rstrip("/"), labels)
    if args.out == HERE:
        made["../../docs/monitoring.md"] = listed()
    wrong = 0
    for name, text in made.items():
        path = args.out / name
        if path.exists() and path.read_text() == text:
            continue
        if args.check:
            print(f"{name.removeprefix('../../')} is not what the source says; run charts/monitoring/generate.py")
            wrong = 1
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    for path in sorted(args.out.glob("dashboards/*")) + sorted(args.out.glob("rules/*")):
        if str(path.relative_to(args.out)) not in made and path.suffix in (".json", ".yaml"):
            print(f"{path.relative_to(args.out)} is made by no source")
            wrong = 1
    return wrong


if __name__ == "__main__":
    sys.exit(main())
