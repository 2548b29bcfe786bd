#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""
What docs/netbird-0.77.md names is there: in the second column places below userspace/ or bpf/, in the third `FILE` below tests/ and the
`functions` in it, up to the next file.
"""
import pathlib
import re

TESTS = pathlib.Path(__file__).parent
TOP = TESTS.parent
PAGE = TOP / "docs" / "netbird-0.77.md"

for number, line in enumerate(PAGE.read_text().splitlines(), 1):
    cells = line.split(" | ")
    if len(cells) != 3 or cells[2].startswith("test "):
        continue
    for place in re.findall(r"`([^`]+)`", cells[1]):
        if not (TOP / "userspace" / place).exists() and not (TOP / place).exists():
            print(f"{PAGE.name}:{number}: there is no {place}")
    text, count = None, 0
    for name in re.findall(r"`([^`]+)`", cells[2]):
        if "." in name:
            text = (TESTS / name).read_text() if (TESTS / name).exists() else None
            if text is None:
                print(f"{PAGE.name}:{number}: there is no tests/{name}")
        elif text is not None:
            count += 1
            if not re.search(rf"^(static void )?{name}\(", text, re.M):
                print(f"{PAGE.name}:{number}: no such test: {name}")
    if not count:
        print(f"{PAGE.name}:{number}: a row without a test")
