# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Which Debian package a file is from, by dpkg's own files below a root: the machine's or an unpacked one's."""
import os
import re

# Debian's short names (of /usr/share/doc/*/copyright) in SPDX's words. What is not here becomes a LicenseRef with its text.
SPDX_NAMES = {
	"apache-2.0": "Apache-2.0", "artistic": "Artistic-1.0-Perl", "bsd-2-clause": "BSD-2-Clause", "bsd-3-clause": "BSD-3-Clause",
	"cc0": "CC0-1.0", "cc0-1.0": "CC0-1.0", "curl": "curl", "expat": "MIT", "mit": "MIT", "isc": "ISC", "zlib": "Zlib", "mpl-2.0": "MPL-2.0",
	"gpl-1+": "GPL-1.0-or-later", "gpl-2": "GPL-2.0-only", "gpl-2.0": "GPL-2.0-only", "gpl-2+": "GPL-2.0-or-later",
	"gpl-2.0+": "GPL-2.0-or-later", "gpl-3": "GPL-3.0-only", "gpl-3+": "GPL-3.0-or-later", "lgpl-2+": "LGPL-2.0-or-later",
	"lgpl-2.1": "LGPL-2.1-only", "lgpl-2.1+": "LGPL-2.1-or-later", "lgpl-3+": "LGPL-3.0-or-later",
	"gpl-2 with linux-syscall-note exception": "GPL-2.0-only WITH Linux-syscall-note",
	"gpl-2+ with linux-syscall-note exception": "GPL-2.0-or-later WITH Linux-syscall-note",
	"gpl-3+ with bison exception": "GPL-3.0-or-later WITH Bison-exception-2.2",
	"gpl-3+ with autoconf exception": "GPL-3.0-or-later WITH Autoconf-exception-3.0",
}


def paragraphs(text):
	"""Fields of each paragraph of a Debian control file; a field's further lines keep their breaks."""
	for block in re.split(r"\n[ \t]*\n", text):
		fields, name = {}, None
		for line in block.splitlines():
			if line[:1] in " \t" and name:
				fields[name] += "\n" + line[1:]
			elif ":" in line and line[:1] not in "# \t":
				name, _, value = line.partition(":")
				fields[name] = value.strip()
		if fields:
			yield fields


class Licences:
	"""An SPDX expression of a copyright file, and the texts of what SPDX has no name for."""

	def __init__(self, text):
		self.extracted = {}
		self.expression = "NOASSERTION"
		if not re.match(r"Format(-Specification)?:.*(copyright-format|dep5)", text, re.I):
			return
		blocks = list(paragraphs(text))
		self._texts = {}
		for block in blocks:
			name, _, body = block.get("License", "").partition("\n")
			if body:
				self._texts.setdefault(name.strip().lower(), body)
		# Packaging itself (debian/*) is not in a binary package.
		used = [block for block in blocks if block.get("License") and not all(name.startswith("debian/") for name in block.get("Files", "debian/").split())]
		names = sorted({block["License"].partition("\n")[0].strip() for block in used} - {""})
		terms = sorted({self._all_of(name) for name in names})
		if terms:
			self.expression = " AND ".join(f"({term})" if " OR " in term and len(terms) > 1 else term for term in terms)

	def _all_of(self, name):
		return " AND ".join(sorted(self._any_of(part) for part in re.split(r"\s+and\s+|,\s*", name, flags=re.I) if part.strip()))

	def _any_of(self, name):
		return " OR ".join(self._one(part.strip()) for part in re.split(r"\s+or\s+", name, flags=re.I))

	def _one(self, name):
		if name.lower() in SPDX_NAMES:
			return SPDX_NAMES[name.lower()]
		reference = "LicenseRef-Debian-" + re.sub(r"[^A-Za-z0-9.]+", "-", name.replace("+", "-or-later")).strip("-")
		self.extracted[reference] = (name, self._texts.get(name.lower()) or f"{name}: see the package's copyright file")
		return reference


class Package:
	def __init__(self, fields, root):
		self.name = fields["Package"]
		self.arch = fields["Architecture"]
		self.version = fields["Version"]
		source = re.match(r"(\S+)(?: \((.+)\))?", fields.get("Source", self.name))
		self.source, self.source_version = source[1], source[2] or self.version
		self.maintainer = fields.get("Maintainer", "")
		self.homepage = fields.get("Homepage", "")
		self.summary = fields.get("Description", "").partition("\n")[0]
		self.copyright = os.path.realpath(f"{root}/usr/share/doc/{self.name}/copyright")
		self.purl_name, self.purl_arch = self.name, self.arch
		self._licences = None

	def licences(self):
		if not self._licences:
			with open(self.copyright, encoding="utf-8", errors="replace") as file:
				self._licences = Licences(file.read())
		return self._licences

	def control(self):
		"""What scanners of images read below /var/lib/dpkg/status.d."""
		rows = [("Package", self.name), ("Status", "install ok installed"), ("Maintainer", self.maintainer), ("Architecture", self.arch),
			("Source", self.source if self.source_version == self.version else f"{self.source} ({self.source_version})"),
			("Version", self.version), ("Homepage", self.homepage), ("Description", self.summary)]
		return "".join(f"{name}: {value}\n" for name, value in rows if value)


class Packages:
	def __init__(self, root, arch):
		self.root = root.rstrip("/")
		admin = f"{self.root}/var/lib/dpkg"
		self._files, self._packages = {}, {}
		with open(f"{admin}/status", encoding="utf-8") as file:
			known = list(paragraphs(file.read()))
		for fields in known:
			if fields.get("Status", "").endswith(" installed") and fields["Architecture"] in (arch, "all"):
				self._packages[fields["Package"]] = fields
		for name in self._packages:
			for listed in (f"{admin}/info/{name}:{arch}.list", f"{admin}/info/{name}.list"):
				if os.path.exists(listed):
					with open(listed, encoding="utf-8") as file:
						self._files.update((self._merged(line.rstrip("\n")), name) for line in file)
					break

	@staticmethod
	def _merged(path):
		return re.sub(r"^/(lib|lib64|bin|sbin)/", r"/usr/\1/", path)

	def owner(self, path):
		"""The package that has @path (as seen below the root), or None."""
		name = self._files.get(self._merged(path))
		return self.named(name) if name else None

	def named(self, name):
		fields = self._packages.get(name)
		return Package(fields, self.root) if fields else None
