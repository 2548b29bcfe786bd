# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What is in the image: Talon, the libraries that it links or loads, certificates, and the few files that a C library asks for."""
import glob
import os
import re
import subprocess

from packages import Package, Packages

TRIPLETS = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}
LOADERS = {"amd64": "/usr/lib64/ld-linux-x86-64.so.2", "arm64": "/usr/lib/ld-linux-aarch64.so.1"}

# Loaded by name when somebody needs them (userspace/lazy, login/qr.c, libxdp): no NEEDED entry tells.
LAZY = ("libqrencode.so.4", "libyaml-0.so.2")
# Made small from Debian's source packages (libcurl.sh, libsqlite.sh), in place of the binary packages that have their names.
BUILT = {
	"libcurl.so.4": {"Package": "libcurl4", "Source": "curl", "Homepage": "https://curl.se/",
		"Description": "libcurl of Debian's source package, built with HTTP, HTTPS and HTTP/2 only"},
	"libsqlite3.so.0": {"Package": "libsqlite3-0", "Source": "sqlite3", "Homepage": "https://www.sqlite.org/",
		"Description": "SQLite of Debian's source package, built without extensions"},
}
LIBXDP_OBJECTS = ("xdp-dispatcher.o",)

OWN_FILES = {
	"/etc/passwd": "root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n",
	"/etc/group": "root:x:0:\nnogroup:x:65534:\n",
	"/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
FOLDERS = {"/dev": 0o755, "/proc": 0o555, "/sys": 0o555, "/run": 0o755, "/root": 0o700, "/tmp": 0o1777, "/var/lib/netbird": 0o700, "/etc/talon": 0o755,
	"/var/log": 0o755}
# Both names: NetBird's image has its client at the second path.
OWN_LINKS = {"/usr/bin/netbird": "talon", "/usr/local/bin/netbird": "../../bin/talon"}
LINKS = {"/bin": "usr/bin", "/sbin": "usr/sbin", "/lib": "usr/lib", "/lib64": "usr/lib64", "/var/run": "/run", "/etc/os-release": "../usr/lib/os-release",
	"/usr/lib/ssl/cert.pem": "../../../etc/ssl/certs/ca-certificates.crt", "/usr/lib/ssl/certs": "../../../etc/ssl/certs"}


class Unfit(Exception):
	"""The image cannot be made of what is there: one line."""


class Entry:
	"""A folder (data and target None), a file, or a link."""

	def __init__(self, mode, data=None, target=None, package=None):
		self.mode, self.data, self.target, self.package = mode, data, target, package


def run(*command):
	return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.decode()


def needed(path):
	return re.findall(r"\(NEEDED\).*\[(.+)\]", run("readelf", "-dW", path))


def stripped(path, work):
	"""Without symbols, and without the build ID, which depends on the folder in which it was built."""
	out = os.path.join(work, "stripped")
	run("llvm-objcopy", "--strip-all", "--remove-section=.comment", "--remove-section=.note.gnu.build-id", path, out)
	with open(out, "rb") as file:
		return file.read()


class Rootfs:
	def __init__(self, arch, sysroot, talon, built, top, work):
		self.arch, self.sysroot, self.triplet = arch, sysroot.rstrip("/"), TRIPLETS[arch]
		self.packages = Packages(sysroot, arch)
		self.base, self.own = {}, {}	# path -> Entry: what Debian made, and what is ours
		self._used = {}
		self._libraries(talon, built, work)
		self._certificates()
		for path, target in LINKS.items():
			self.base[path] = Entry(0o777, target=target)
		for path, mode in FOLDERS.items():
			self.base[path] = Entry(mode)
		self._copy("/usr/lib/os-release", "/usr/lib/os-release")
		self.own["/usr/bin/talon"] = Entry(0o755, stripped(talon, work))
		for path, target in OWN_LINKS.items():
			self.own[path] = Entry(0o777, target=target)
		for path, text in OWN_FILES.items():
			self.base[path] = Entry(0o644, text.encode())
		with open(os.path.join(top, "LICENSE"), "rb") as file:
			self.own["/usr/share/doc/talon/copyright"] = Entry(0o644, file.read())
		for package in self._used.values():
			self._document(package)
		for entries in (self.base, self.own):
			self._parents(entries)

	def used(self):
		return [self._used[name] for name in sorted(self._used)]

	def _library(self, name):
		"""Where library @name is below the sysroot, as seen there."""
		for folder in (f"/usr/lib/{self.triplet}", f"/lib/{self.triplet}", "/lib", "/lib64"):
			if os.path.exists(f"{self.sysroot}{folder}/{name}"):
				return f"{folder}/{name}"
		raise Unfit(f"{name}: not found for {self.arch} below {self.sysroot or '/'}")

	def _libraries(self, talon, built, work):
		todo = needed(talon) + list(LAZY)
		loader = os.path.basename(LOADERS[self.arch])
		for folder in built:
			name = next(name for name in BUILT if os.path.exists(os.path.join(folder, name)))
			todo += needed(os.path.join(folder, name))
			self._built(name, folder, work)
		seen = set()
		while todo:
			name = todo.pop()
			if name in seen:
				continue
			seen.add(name)
			path = self._library(name)
			todo += needed(self.sysroot + path)
			self._copy(path, f"/usr/lib/{self.triplet}/{name}", 0o755)
		if loader not in seen:
			raise Unfit(f"{talon}: nothing of it needs {loader}: not a program for {self.arch}")
		self.base[LOADERS[self.arch]] = Entry(0o777, target=os.path.relpath(f"/usr/lib/{self.triplet}/{loader}", os.path.dirname(LOADERS[self.arch])))
		for name in LIBXDP_OBJECTS:
			path = f"/usr/lib/{self.triplet}/bpf/{name}"
			self._copy(path, path)

	def _built(self, name, folder, work):
		with open(os.path.join(folder, "version"), encoding="ascii") as file:
			version = file.read().strip()
		package = Package({"Architecture": self.arch, "Version": version, "Maintainer": "The Talon authors <talon@localhost>", **BUILT[name]}, folder)
		package.copyright = os.path.join(folder, "copyright")
		package.purl_name, package.purl_arch = package.source, "source"
		self._used[package.name] = package
		self.base[f"/usr/lib/{self.triplet}/{name}"] = Entry(0o755, stripped(os.path.join(folder, name), work), package=package)

	def _copy(self, path, target, mode=0o644):
		"""File @path of the sysroot, which has to be of a package: what nobody can name the version of stays out."""
		real = os.path.realpath(self.sysroot + path)
		seen = real[len(os.path.realpath(self.sysroot or "/").rstrip("/")):]
		package = self.packages.owner(seen)
		if not package:
			raise Unfit(f"{real}: belongs to no Debian package")
		self._used.setdefault(package.name, package)
		with open(real, "rb") as file:
			self.base[target] = Entry(mode, file.read(), package=self._used[package.name])

	def _certificates(self):
		"""Mozilla's, as in Debian's package: not the machine's bundle, to which its owner may have added his own."""
		package = self.packages.named("ca-certificates")
		files = sorted(glob.glob(f"{self.sysroot}/usr/share/ca-certificates/mozilla/*.crt"))
		if not package or not files:
			raise Unfit(f"ca-certificates: not found below {self.sysroot or '/'}")
		self._used[package.name] = package
		bundle = b""
		for path in files:
			with open(path, "rb") as file:
				bundle += file.read().rstrip(b"\n") + b"\n"
		self.base["/etc/ssl/certs/ca-certificates.crt"] = Entry(0o644, bundle, package=package)

	def _document(self, package):
		with open(package.copyright, "rb") as file:
			self.base[f"/usr/share/doc/{package.name}/copyright"] = Entry(0o644, file.read(), package=package)
		self.base[f"/var/lib/dpkg/status.d/{package.name}"] = Entry(0o644, package.control().encode(), package=package)

	@staticmethod
	def _parents(entries):
		for path in list(entries):
			while path != "/":
				path = os.path.dirname(path)
				entries.setdefault(path, Entry(0o755))

	def size(self):
		return sum(len(entry.data) for entries in (self.base, self.own) for entry in entries.values() if entry.data)

	def write(self, folder):
		"""As files, for tools that want a folder."""
		os.makedirs(folder)
		merged = {**self.base, **self.own}
		for path in sorted(merged):
			entry, target = merged[path], folder + path
			if entry.target:
				os.symlink(entry.target, target)
			elif entry.data is None:
				os.makedirs(target, exist_ok=True)
			else:
				with open(target, "wb") as file:
					file.write(entry.data)
			if not entry.target:
				os.chmod(target, entry.mode)
