#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Makes the image of built binaries: an OCI archive, its bill of materials for each architecture, and the files as folders.

  image.py --out FOLDER [--tag TAG] [--name NAME] [--source URL] ARCH:TALON[:SYSROOT[:BUILT...]]...
  image.py --triplet ARCH

Nothing is fetched and no root is needed. SYSROOT (default /) is where that architecture's Debian packages are unpacked, with
dpkg's own files; BUILT folders that libcurl.sh and libsqlite.sh made. Environment: SOURCE_DATE_EPOCH (the last commit's time, else that of
the file VERSION): with the same, two runs write the same bytes.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
from oci import Layout, as_json
from rootfs import LOADERS, TRIPLETS, Rootfs, Unfit
import sbom

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
LIMIT = 16 << 20


def git(*arguments):
	try:
		done = subprocess.run(["git", "-C", TOP, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
	except FileNotFoundError:
		return ""
	return done.stdout.decode().strip() if done.returncode == 0 else ""


def made_at():
	given = os.environ.get("SOURCE_DATE_EPOCH") or git("log", "-1", "--format=%ct")
	return int(given) if given else int(os.stat(os.path.join(TOP, "VERSION")).st_mtime)


def labels(version, source, created):
	import time
	prefix = "org.opencontainers.image."
	rows = {"title": "talon", "description": "WireGuard routing peer whose packets stay in the kernel", "version": version, "vendor": "The Talon authors",
		"licenses": "GPL-2.0-only OR BSD-2-Clause", "revision": git("rev-parse", "HEAD"), "source": source,
		"created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(created))}
	return {prefix + key: value for key, value in rows.items() if value}


def arguments():
	parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
	parser.add_argument("--out", required=True, help="the folder to write to")
	parser.add_argument("--name", default="localhost/talon", help="the image's name (default localhost/talon)")
	parser.add_argument("--tag", help="its tag (default: what the file VERSION says)")
	parser.add_argument("--source", default="", help="where the source is: label org.opencontainers.image.source")
	parser.add_argument("images", nargs="+", metavar="ARCH:TALON[:SYSROOT[:BUILT...]]")
	args = parser.parse_args()
	for one in args.images:
		if one.partition(":")[0] not in LOADERS:
			parser.error(f"{one}: expected one of {', '.join(LOADERS)} before the colon")
	return args


def replace(path, write):
	write(path + ".new")
	os.replace(path + ".new", path)


def save(data):
	def write(path):
		with open(path, "wb") as file:
			file.write(data)
	return write


def main():
	if sys.argv[1:2] == ["--triplet"] and sys.argv[2:]:
		print(TRIPLETS.get(sys.argv[2]) or sys.exit(f"image.py: {sys.argv[2]}: expected one of {', '.join(TRIPLETS)}"))
		return
	args = arguments()
	with open(os.path.join(TOP, "VERSION"), encoding="ascii") as file:
		version = file.read().strip()
	created, tag, layout, made = made_at(), args.tag or version, Layout(), []
	os.makedirs(args.out, exist_ok=True)
	for one in args.images:
		arch, talon, sysroot, *built = one.split(":") + ([""] if one.count(":") < 2 else [])
		with tempfile.TemporaryDirectory() as work:
			rootfs = Rootfs(arch, sysroot or "/", talon, built, TOP, work)
		if rootfs.size() > LIMIT:
			raise Unfit(f"{arch}: {rootfs.size()} bytes, more than {LIMIT}")
		# The lower layer's files carry no time, so that it stays the same until a package changes, and a new Talon is a small download.
		descriptor = layout.image(arch, [(rootfs.base, 0), (rootfs.own, created)], labels(version, args.source, created), created,
			["libraries of Debian packages", "talon"])
		made.append(descriptor)
		bill = sbom.document(rootfs, version, args.name, descriptor["digest"].partition(":")[2], created)
		replace(os.path.join(args.out, f"talon-{tag}-{arch}.spdx.json"), save(as_json(bill) + b"\n"))
		folder = os.path.join(args.out, f"rootfs-{arch}")
		shutil.rmtree(folder, ignore_errors=True)
		rootfs.write(folder)
		print(f"{arch}: {rootfs.size()} bytes unpacked, {sum(len(blob) for blob in layout.blobs.values())} packed")
	top = made[0] if len(made) == 1 else layout.index(made)
	archive = os.path.join(args.out, f"talon-{tag}{'-' + made[0]['platform']['architecture'] if len(made) == 1 else ''}.oci.tar")
	replace(archive, lambda path: layout.write(path, top, args.name, tag))
	print(f"{archive}: {args.name}:{tag} {top['digest']}")


if __name__ == "__main__":
	try:
		main()
	except (Unfit, OSError, subprocess.CalledProcessError) as error:
		sys.exit(f"image.py: {error}")
