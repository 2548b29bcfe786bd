#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Writes what the documents say of options and metrics, between their marks: generate.py TALON [--check]"""
import pathlib
import re
import subprocess
import sys

DOCS = pathlib.Path(__file__).resolve().parent
PARTS = [("man/talon.8", "interface", '.\\" '), ("man/talon.8", "mesh", '.\\" '), ("completion/talon.bash", "completion", "\t# "),
         ("metrics.md", "metrics", "<!-- ")]


def written(text, talon, part, comment):
    new = subprocess.run([talon, "options", part], check=True, capture_output=True, text=True).stdout
    name = "options:" if part == "completion" else f"options {part}:"
    pattern = re.compile(rf"(^{re.escape(comment)}{name}[^\n]*\n).*?(^{re.escape(comment)}end of options(?: -->)?$)", re.M | re.S)
    result, count = pattern.subn(lambda m: m[1] + new + m[2], text, count=1)
    if count != 1:
        sys.exit(f"no mark for {part}")
    return result


def main():
    talon, check = sys.argv[1], "--check" in sys.argv
    for path, part, comment in PARTS:
        file = DOCS / path
        text = file.read_text()
        new = written(text, talon, part, comment)
        if new != text and check:
            print(f"docs/{path}: what it lists ({part}) is not what the program says; run make docs")
        elif new != text:
            file.write_text(new)


main()
