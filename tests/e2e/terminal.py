#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""terminal.py COMMAND...: runs it on a terminal of 80 by 24, then of 40 by 10, and presses Ctrl-C. Wants every line that is drawn to fit, the
terminal's settings and cursor as they were, and exit status 0."""
import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time

DEADLINE = time.monotonic() + 60


def resize(fd, columns, rows):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def frames(text):
    """What was drawn each time, as lines."""
    return [re.sub(r"\x1b\[[KJ]", "", f).split("\r\n") for f in re.findall(r"\x1b\[H(?!\x1b\[2J)(.*?)\x1b\[J", text, re.S)]


def fits(frame, columns, rows):
    return len(frame) <= rows and all(len(line) <= columns for line in frame)


def read_until(fd, text, what, condition):
    while not condition(text):
        if time.monotonic() > DEADLINE:
            sys.exit(f"waited in vain for {what}: {text[-1000:]!r}")
        if select.select([fd], [], [], 0.1)[0]:
            try:
                text += os.read(fd, 65536).decode()
            except OSError:     # its other end is closed
                break
    return text


def main():
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(sys.argv[1], sys.argv[1:])
    resize(fd, 80, 24)
    settings = termios.tcgetattr(fd)
    large = read_until(fd, "", "three frames", lambda t: len(frames(t)) > 3)
    resize(fd, 40, 10)
    small = read_until(fd, "", "small frames", lambda t: sum(fits(f, 40, 10) for f in frames(t)) > 2)
    os.write(fd, b"\x03")
    end = read_until(fd, "", "the end", lambda t: "\x1b[?25h" in t)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, status
    assert large.startswith("\x1b[?25l\x1b[H\x1b[2J"), large
    assert all(fits(f, 80, 24) for f in frames(large)[1:]), large
    assert any(line.startswith("PEER") for line in frames(large)[1]), large
    assert any(line.startswith("PEER") and "ADDRESS" not in line for line in frames(small)[-1]), small
    assert termios.tcgetattr(fd) == settings
    assert end.index("\x1b[?25h") > end.rfind("\x1b[H"), end
    print(f"{len(frames(large + small + end))} frames")


main()
