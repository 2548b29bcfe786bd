#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Checks the house: rooms.py CHECK prints one line for each fault, and nothing if all is well.

  floors     no room includes a room above it (order: tests/rooms), or a header that is private to another room
  circles    no circle of headers inside a room, nor of sources and the headers that they share with the house
             (a room's private header is one object's: all its files may include it)
  sizes      no C file over 800 lines, no room over 4,500
  uncalled   no function that only tests call (tests/uncalled lists exceptions with their reason)
  documented docs/architecture.md lists the rooms of tests/rooms, in order
"""
import collections
import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent
USERSPACE = TOP / "userspace"
FILE_LINES, ROOM_LINES = 800, 4500


def rooms():
    lines = (TOP / "tests/rooms").read_text().splitlines()
    return [line.split("\t")[0] for line in lines if line and not line.startswith("#")]


def sources():
    return sorted(p for p in USERSPACE.rglob("*.[ch]"))


def room_of(path):
    parts = path.relative_to(USERSPACE).parts
    return parts[0] if len(parts) > 1 else None


def includes(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+["<]([^">]+)[">]', line)
        places = (path.parent / match[1], USERSPACE / match[1]) if match else ()
        target = next((place.resolve() for place in places if place.exists()), None)
        if target and USERSPACE in target.parents:
            yield number, target


def is_private(path):
    return path.name == "internal.h" or path.name.endswith("_internal.h")


def floors():
    order = {name: i for i, name in enumerate(rooms())}
    for path in sources():
        room = room_of(path)
        if room and room not in order:
            yield f"{path.relative_to(TOP)}: room {room} is not in tests/rooms"
            continue
        for number, target in includes(path):
            other = room_of(target)
            where = f"{path.relative_to(TOP)}:{number}: includes {target.relative_to(USERSPACE)}"
            if other == room or other not in order:
                continue
            if is_private(target):
                yield f"{where}, which is private to {other}"
            elif room and order[other] < order[room]:
                yield f"{where}, but {other} is above {room}"


def edges(room):
    """Which includes which inside a room: a .c with its .h as one unit, private headers apart; and headers alone."""
    units, headers = collections.defaultdict(set), collections.defaultdict(set)
    for path in sources():
        if room_of(path) != room:
            continue
        for _, target in includes(path):
            if room_of(target) != room:
                continue
            if path.suffix == ".h":
                headers[path.name].add(target.name)
            if not is_private(path) and not is_private(target) and target.stem != path.stem:
                units[path.stem].add(target.stem)
    return units, headers


def ways_back(graph):
    """Each circle once, from its first name in the alphabet."""
    for start in sorted(graph):
        seen, stack = set(), [(start, (start,))]
        while stack:
            unit, way = stack.pop()
            for following in graph.get(unit, ()):
                if following == start and start == min(way):
                    yield " -> ".join(way + (start,))
                elif following not in seen:
                    seen.add(following)
                    stack.append((following, way + (following,)))


def circles():
    for room in rooms():
        for graph in edges(room):
            for way in ways_back(graph):
                yield f"userspace/{room}: {way}"


def sizes():
    total = collections.Counter()
    for path in sources():
        lines = len(path.read_text().splitlines())
        total[room_of(path)] += lines
        if lines > FILE_LINES:
            yield f"{path.relative_to(TOP)}: {lines} lines, more than {FILE_LINES}"
    for room, lines in total.items():
        if lines > ROOM_LINES:
            yield f"userspace/{room}: {lines} lines, more than {ROOM_LINES}"


def without_comments(text):
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', " ", text, flags=re.S)


def uncalled():
    allowed = {}
    for line in (TOP / "tests/uncalled").read_text().splitlines():
        if line and not line.startswith("#"):
            name, _, reason = line.partition("\t")
            allowed[name] = reason.strip()
    texts = {path: without_comments(path.read_text()) for path in sources()}
    # A member of a structure that has the same name is not a call.
    uses = collections.Counter(word for text in texts.values() for word in re.findall(r"(?<!\.)(?<!->)\b[a-z]\w*\b", text))
    declared, defined, places = collections.Counter(), collections.Counter(), {}
    head = re.compile(r"^(?!static )[a-z_][\w \t*]*?[ *]([a-z]\w*)\([^;{}]*?\)\s*(?:__attribute__\(\([^;{]*\)\)\s*)?([;{])", re.M)
    inline = re.compile(r"^static inline [\w \t*]*?[ *]([a-z]\w*)\([^;{}]*?\)\s*\{", re.M)
    for path, text in texts.items():
        for match in head.finditer(text):
            (declared if match[2] == ";" else defined)[match[1]] += 1
            if match[2] == "{":
                places[match[1]] = path.relative_to(TOP)
                # nor is what a function says in its own body
                body = text[match.end():text.find("\n}", match.end())]
                uses[match[1]] -= len(re.findall(rf"\b{match[1]}\b", body))
        if path.suffix == ".h":
            for match in inline.finditer(text):
                defined[match[1]] += 1
                places[match[1]] = path.relative_to(TOP)
    for name in sorted(defined):
        is_called = uses[name] > declared[name] + defined[name] or name == "main"
        if not is_called and name not in allowed:
            yield f"{places[name]}: {name}() is called by nothing in userspace/"
        if is_called and name in allowed:
            yield f"tests/uncalled: {name}() is called now"
    for name, reason in allowed.items():
        if not reason or name not in defined:
            yield f"tests/uncalled: {name}: " + ("no reason" if name in defined else "there is no such function")


def documented():
    text = (TOP / "docs/architecture.md").read_text()
    found = re.findall(r"^\| `(\w+)/` \|", text, re.M)
    if found != rooms():
        yield f"docs/architecture.md lists {' '.join(found) or 'no rooms'}; tests/rooms has {' '.join(rooms())}"


CHECKS = {f.__name__: f for f in (floors, circles, sizes, uncalled, documented)}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in CHECKS:
        sys.exit(__doc__)
    for fault in CHECKS[sys.argv[1]]():
        print(fault)
