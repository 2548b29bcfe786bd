# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Reads an image and its bill of materials as others do, and says what is wrong with them:

  check.py archive ARCHIVE ROOTFS [ARCHITECTURE...]     check.py bill ARCHIVE BILL     check.py libraries ARCHIVE SOURCES
  check.py containerfile CONTAINERFILE ARCHIVE
"""
import gzip
import hashlib
import io
import json
import os
import re
import stat
import sys
import tarfile

LIMIT = 16 << 20
wrong = []


def expect(is_so, what):
	if not is_so:
		wrong.append(what)


class Archive:
	def __init__(self, path):
		with tarfile.open(path) as archive:
			self.files = {one.name: archive.extractfile(one).read() for one in archive if one.isfile()}
		expect(json.loads(self.files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}, "oci-layout")
		self.top = json.loads(self.files["index.json"])["manifests"]
		expect(len(self.top) == 1, "index.json: more than one image")

	def blob(self, descriptor):
		data = self.files["blobs/" + descriptor["digest"].replace(":", "/")]
		expect(len(data) == descriptor["size"], f"{descriptor['digest']}: size")
		expect("sha256:" + hashlib.sha256(data).hexdigest() == descriptor["digest"], f"{descriptor['digest']}: digest")
		return data

	def manifests(self):
		top = self.top[0]
		found = json.loads(self.blob(top))
		return [top] if "layers" in found else found["manifests"]

	def image(self, descriptor):
		"""Its manifest, config and files: path -> (TarInfo, data)."""
		manifest = json.loads(self.blob(descriptor))
		config = json.loads(self.blob(manifest["config"]))
		files, tars = {}, [gzip.decompress(self.blob(one)) for one in manifest["layers"]]
		expect(["sha256:" + hashlib.sha256(tar).hexdigest() for tar in tars] == config["rootfs"]["diff_ids"], "diff_ids")
		for tar in tars:
			with tarfile.open(fileobj=io.BytesIO(tar)) as layer:
				for one in layer:
					files["/" + one.name] = (one, layer.extractfile(one).read() if one.isfile() else None)
		return manifest, config, files


def judge_config(manifest, config, arch):
	expect((config["architecture"], config["os"]) == (arch, "linux"), f"architecture: {config['architecture']}")
	run = config["config"]
	expect(run["Entrypoint"] == ["/usr/bin/talon"] and run["Cmd"] == ["up"], "entry point")
	expect(run["User"] in ("0", "0:0"), "user: bpffs and Secrets of mode 0400 are root's")
	expect("PATH=/usr/local/bin:/usr/bin" in run["Env"], "PATH")
	for label in ("title", "description", "version", "licenses", "created", "vendor"):
		expect(run["Labels"].get("org.opencontainers.image." + label), f"label {label}")
		expect(run["Labels"].get("org.opencontainers.image." + label) == manifest["annotations"].get("org.opencontainers.image." + label), f"annotation {label}")


def judge_files(files):
	size = sum(len(data) for _, data in files.values() if data)
	print(f"# {size} bytes unpacked, {sum(1 for _, data in files.values() if data is not None)} files")
	expect(size <= LIMIT, f"{size} bytes unpacked")
	for path, (one, data) in files.items():
		expect((one.uid, one.gid) == (0, 0), f"{path}: owner")
		expect(not one.mode & (stat.S_ISUID | stat.S_ISGID) and (not one.mode & 0o002 or one.issym() or path == "/tmp"), f"{path}: mode {one.mode:o}")
		expect(one.isfile() or one.issym() or one.isdir(), f"{path}: type")
		if data and re.search(r"/s?bin/", path):
			expect(path == "/usr/bin/talon", f"{path}: a program that is not ours")
	expect(not [path for path in files if re.search(r"/(ba|da|a|k|z)?sh$|busybox|/perl|/python", path)], "a shell")
	for path, target in (("/usr/bin/netbird", "talon"), ("/usr/local/bin/netbird", "../../bin/talon")):
		expect(path in files and files[path][0].linkname == target, f"{path}: its second name")


def judge_rootfs(files, folder):
	seen = set()
	for base, folders, names in os.walk(folder):
		for name in folders + names:
			path = os.path.join(base, name)
			seen.add(path[len(folder):])
			one, data = files.get(path[len(folder):], (None, None))
			if not one:
				wrong.append(f"{path}: not in the archive")
			elif one.issym():
				expect(os.readlink(path) == one.linkname, f"{path}: target")
			elif data is not None:
				with open(path, "rb") as file:
					expect(file.read() == data, f"{path}: content")
	for path in set(files) - seen:
		wrong.append(f"{path}: not in {folder}")


def check_archive(path, folder, *architectures):
	archive = Archive(path)
	found = archive.manifests()
	expect([one["platform"]["architecture"] for one in found] == list(architectures), f"architectures: {[one['platform'] for one in found]}")
	expect(archive.top[0]["annotations"]["io.containerd.image.name"].startswith("localhost/talon:"), "name")
	for one in found:
		manifest, config, files = archive.image(one)
		judge_config(manifest, config, one["platform"]["architecture"])
		judge_files(files)
		judge_rootfs(files, folder.replace("ARCH", one["platform"]["architecture"]))


def check_containerfile(path, archive):
	"""What the Containerfile says of the image is what the archive's config says."""
	with open(path, encoding="utf-8") as file:
		text = file.read().replace("\\\n", " ")
	stage = text[text.rindex("\nFROM scratch"):]
	said = dict(re.findall(r"^(ENTRYPOINT|CMD|USER|WORKDIR|STOPSIGNAL|ENV) +(.*)$", stage, re.M))
	_, config, _ = Archive(archive).image(Archive(archive).manifests()[0])
	run = config["config"]
	expect((json.loads(said["ENTRYPOINT"]), json.loads(said["CMD"])) == (run["Entrypoint"], run["Cmd"]), "entry point")
	expect([said["USER"], said["WORKDIR"], said["STOPSIGNAL"], said["ENV"]] == [run["User"], run["WorkingDir"], run["StopSignal"], *run["Env"]], f"{said}")
	labels = dict(re.findall(r'(org\.opencontainers\.image\.[a-z]+)="([^"]*)"', stage))
	expect(len(labels) >= 5, "labels")
	for label, value in labels.items():
		expect(value == "${VERSION}" or value == run["Labels"].get(label), f"{label}: {value}")


def dynamic_symbols(data):
	"""Names that an ELF file of 64 bits exports or wants: enough to look for one."""
	return set(re.findall(rb"[A-Za-z_][A-Za-z0-9_]+", data))


LOOKED_UP = {"libcurl.h": "libcurl.so.4", "libsqlite.h": "libsqlite3.so.0", "libyaml.h": "libyaml-0.so.2"}


def check_libraries(path, sources):
	"""Each library that a source file names is there, and each function that is looked up in one."""
	_, _, files = Archive(path).image(Archive(path).manifests()[0])
	there = {os.path.basename(name): data for name, (_, data) in files.items()}
	text = ""
	for base, _, names in os.walk(sources):
		for name in sorted(names):
			if name.endswith((".c", ".h")):
				with open(os.path.join(base, name), encoding="utf-8") as file:
					text += file.read()
	named = set(re.findall(r'"(lib[a-z0-9_+-]+\.so\.[0-9.]+)"', text)) - {"libcrypto.so.1.1"}	# the one before libcrypto.so.3
	expect({*LOOKED_UP.values(), "libqrencode.so.4", "libcrypto.so.3"} <= named, f"names of libraries in the sources: {named}")
	for name in sorted(named):
		expect(name in there, f"{name}: not in the image")
	for header, library in LOOKED_UP.items():
		with open(os.path.join(sources, "lazy", header), encoding="utf-8") as file:
			wanted = set(re.findall(r"\tX\([a-z_0-9]+, ([a-z_0-9]+)\)", file.read()))
		expect(len(wanted) >= 6, f"functions of {library}: {wanted}")
		exported = dynamic_symbols(there.get(library, b""))
		for name in sorted(wanted):
			expect(name.encode() in exported, f"{library}: no {name}")
	print(f"# {', '.join(sorted(named))}")


def check_bill(path, bill):
	with open(bill, encoding="utf-8") as file:
		bill = json.load(file)
	packages = {one["SPDXID"]: one for one in bill["packages"]}
	files = {one["SPDXID"]: one for one in bill["files"]}
	expect(len(files) == len(bill["files"]) and len(packages) == len(bill["packages"]), "identifiers used twice")
	expect((bill["spdxVersion"], bill["dataLicense"], bill["SPDXID"]) == ("SPDX-2.3", "CC0-1.0", "SPDXRef-DOCUMENT"), "head")
	links = [(one["spdxElementId"], one["relationshipType"], one["relatedSpdxElement"]) for one in bill["relationships"]]
	known = {"SPDXRef-DOCUMENT", *packages, *files}
	expect(all(a in known and b in known for a, _, b in links), "relationships to nothing")
	archive = Archive(path)
	for descriptor in archive.manifests():
		if packages["SPDXRef-Image"]["checksums"][0]["checksumValue"] == descriptor["digest"].partition(":")[2]:
			judge_bill(archive.image(descriptor)[2], packages, files, links, bill)
			return
	wrong.append("the bill is of another image")


def judge_bill(image, packages, files, links, bill):
	contains = [(a, b) for a, kind, b in links if kind == "CONTAINS"]
	by_name = {one["fileName"][1:]: one for one in files.values()}
	expect(set(by_name) == {path for path, (_, data) in image.items() if data is not None}, "the files are not those of the image")
	for path, (_, data) in image.items():
		if data is None or path not in by_name:
			continue
		sums = {one["algorithm"]: one["checksumValue"] for one in by_name[path]["checksums"]}
		expect(sums == {"SHA1": hashlib.sha1(data).hexdigest(), "SHA256": hashlib.sha256(data).hexdigest()}, f"{path}: checksums")
		expect(sum(1 for _, b in contains if b == by_name[path]["SPDXID"]) == 1, f"{path}: not in one package")
	licences = {one["licenseId"] for one in bill["hasExtractedLicensingInfos"]}
	for identity, package in packages.items():
		if identity == "SPDXRef-Image":
			continue
		mine = sorted(next(s["checksumValue"] for s in files[b]["checksums"] if s["algorithm"] == "SHA1") for a, b in contains if a == identity and b in files)
		expect(mine and package["packageVerificationCode"]["packageVerificationCodeValue"] == hashlib.sha1("".join(mine).encode()).hexdigest(), f"{identity}: verification code")
		expect(("SPDXRef-Image", identity) in contains, f"{identity}: not in the image")
		expect(package["versionInfo"] and package["supplier"], f"{identity}: version, supplier")
		expect(set(re.findall(r"LicenseRef-[A-Za-z0-9.-]+", package["licenseDeclared"])) <= licences, f"{identity}: licence without text")
		if identity != "SPDXRef-Package-talon":
			expect(package["externalRefs"][0]["referenceLocator"].startswith("pkg:deb/debian/"), f"{identity}: purl")
			control = image[f"/var/lib/dpkg/status.d/{package['name']}"][1].decode()
			expect(f"Version: {package['versionInfo']}\n" in control, f"{identity}: version for scanners")
	print(f"# {len(packages) - 1} packages, {len(files)} files")


{"archive": check_archive, "bill": check_bill, "libraries": check_libraries, "containerfile": check_containerfile}[sys.argv[1]](*sys.argv[2:])
print("\n".join(wrong))
sys.exit(bool(wrong))
