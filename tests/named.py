#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Each test that docs/netbird-0.77.md names is there: `FILE` below tests/, then the `functions` in it, up to the next file."""
import pathlib
import re

TESTS = pathlib.Path(__file__).parent
PAGE = TESTS.parent / "docs" / "netbird-0.77.md"

for number, line in enumerate(PAGE.read_text().splitlines(), 1):
    cells = line.split(" | ")
    if len(cells) != 3 or cells[2].startswith("test "):
        continue
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
