# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Runs a program of an unpacked image as a container's: container.py ROOTFS SHARED-FOLDER PROGRAM [ARGUMENT...]

Its root is ROOTFS, read-only, with the host's /proc, /sys and /dev, a /run of its own and SHARED-FOLDER at its place; of root's
capabilities it has the four that Talon needs, and no_new_privs. The process stays the same. To be started by unshare -m.
"""
import ctypes
import os
import subprocess
import sys

BPF, NET_ADMIN, PERFMON, NET_RAW = 39, 12, 38, 13
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAPBSET_READ = 24, 38, 23


def mount(*arguments):
	subprocess.run(["mount", *arguments], check=True)


def main():
	rootfs, shared, program = (os.path.realpath(sys.argv[1]), sys.argv[2], sys.argv[3])
	mount("--make-rslave", "/")
	mount("-t", "tmpfs", "tmpfs", "/mnt")
	os.mkdir("/mnt/root")
	subprocess.run(["cp", "-a", f"{rootfs}/.", "/mnt/root"], check=True)
	os.makedirs("/mnt/root" + shared)
	mount("--bind", "/mnt/root", "/mnt/root")
	for folder in ("/proc", "/sys", "/dev", shared):
		mount("--rbind", folder, "/mnt/root" + folder)
	mount("-t", "tmpfs", "tmpfs", "/mnt/root/run")
	mount("-o", "remount,bind,ro", "/mnt/root")
	os.chroot("/mnt/root")
	os.chdir("/")
	libc = ctypes.CDLL(None, use_errno=True)
	for capability in range(64):
		if capability not in (BPF, NET_ADMIN, PERFMON, NET_RAW) and libc.prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 1:
			libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
	libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	os.execve(program, sys.argv[3:], {"PATH": "/usr/local/bin:/usr/bin"})


main()
