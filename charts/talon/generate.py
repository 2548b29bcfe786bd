#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Writes the table of values in README.md from the comments of values.yaml, and files/ from charts/monitoring.

    generate.py [--check]

A comment that begins with "# -- " describes the key below it; lines that follow it go on. A key with a description stands in the table with its
whole value; one without has keys of its own that are described. --check writes nothing and names what is out of date.
"""
import json
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
MARKS = "<!-- values, from values.yaml -->\n", "<!-- end of values -->\n"


def described(lines):
    """(path, description) of each described key, in order, and every key's path."""
    path, found, keys, comment = [], [], [], []
    for line in lines:
        text = line.strip()
        if text.startswith("#"):
            word = text[1:].strip()
            if word.startswith("-- "):
                comment = [word[3:]]
            elif comment:
                comment.append(word)
            continue
        match = re.match(r"( *)([A-Za-z]\w*):", line)
        if match:
            depth = len(match[1]) // 2
            path = path[:depth] + [match[2]]
            if comment or not any(path[:len(one)] == one for one, _ in found):
                keys.append(list(path))
            if comment:
                found.append((list(path), " ".join(comment)))
        comment = []
    return found, keys


def value_at(values, path):
    for key in path:
        values = values[key]
    return values


def table():
    import yaml
    text = (HERE / "values.yaml").read_text()
    values = yaml.safe_load(text)
    found, keys = described(text.splitlines())
    for key in keys:
        has_below = any(path[:len(key)] == key and len(path) > len(key) for path, _ in found)
        if not any(path == key for path, _ in found) and not has_below:
            sys.exit(f"values.yaml: {'.'.join(key)} has no description")
    rows = ["| Value | Default | |", "|---|---|---|"]
    for path, what in found:
        default = json.dumps(value_at(values, path), ensure_ascii=False)
        rows.append(f"| `{'.'.join(path)}` | `{default}` | {what.replace('|', chr(92) + '|')} |")
    return "\n".join(rows) + "\n"


def main():
    check = "--check" in sys.argv
    readme = HERE / "README.md"
    text = readme.read_text()
    before, rest = text.split(MARKS[0])
    new = before + MARKS[0] + table() + MARKS[1] + rest.split(MARKS[1])[1]
    wrong = 0
    if new != text and check:
        print("charts/talon/README.md: its values are not those of values.yaml; run make docs")
        wrong = 1
    elif new != text:
        readme.write_text(new)
    monitoring = [sys.executable, "-B", str(HERE / "../monitoring/generate.py"), "--docs", "@DOCS@", "--out", str(HERE / "files")]
    if subprocess.run(monitoring + (["--check"] if check else []), check=False).returncode:
        print("charts/talon/files: not what charts/monitoring says; run make docs")
        wrong = 1
    return wrong


if __name__ == "__main__":
    sys.exit(main())
