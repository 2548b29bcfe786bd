#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Excerpts of a page against what commands really print.

    page.py PAGE                the names of its excerpts, one a line
    page.py PAGE NAME < OUTPUT  the lines of that excerpt must be among those of the output, in that order

An excerpt is a code block behind the line `<!-- case: NAME -->`. Its first line is the command; "..." stands for lines that are left out, and words in
capitals for what differs from run to run."""
import re
import sys

WORDS = {
    "KEY": r"[A-Za-z0-9+/]{43}=", "PEER": r"[A-Za-z0-9+/]{8}\.\.\.", "PORT": r"[0-9]{1,5}", "MAC": r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}", "N": r"[0-9.]+",
    "PID": r"[0-9]+", "AGE": r"(?:just now|[0-9]+ seconds?(?: ago)?)",
}


def excerpts(page):
    with open(page, encoding="utf-8") as f:
        return {m[1]: m[2].splitlines() for m in re.finditer(r"^<!-- case: (\w+) -->\n```[a-z]*\n(.*?)^```$", f.read(), re.M | re.S)}


def pattern(line):
    parts = re.split(r"\b(" + "|".join(WORDS) + r")\b", line.strip())
    return re.compile("".join(WORDS[p] if i % 2 else re.sub(r"(?:\\ |\s)+", r"\\s+", re.escape(p)) for i, p in enumerate(parts)) + "$")


def main():
    all_of = excerpts(sys.argv[1])
    if len(sys.argv) == 2:
        print("\n".join(all_of))
        return
    output = iter([line.strip() for line in sys.stdin])
    for line in all_of[sys.argv[2]][1:]:
        if line.strip() in ("...", ""):
            continue
        wanted = pattern(line)
        if not any(wanted.match(said) for said in output):
            sys.exit(f"FAILED: {sys.argv[2]}: not said, or not in this order: {line.strip()}")


main()
