# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The image's bill of materials, SPDX 2.3 as JSON: every file with its checksums, in the package that it is from."""
import hashlib
import re
import time
import urllib.parse

OWN_LICENCE = "GPL-2.0-only OR BSD-2-Clause"


def spdx_id(kind, name):
	return f"SPDXRef-{kind}-" + re.sub(r"[^A-Za-z0-9.-]+", "-", name).strip("-")


def file_of(path, entry, licence):
	sums = [{"algorithm": name.upper(), "checksumValue": hashlib.new(name, entry.data).hexdigest()} for name in ("sha1", "sha256")]
	kind = "BINARY" if entry.data[:4] == b"\x7fELF" else "TEXT"
	return {"SPDXID": spdx_id("File", path[1:].replace("_", "-5f-")), "fileName": "." + path, "fileTypes": [kind], "checksums": sums,
		"licenseConcluded": "NOASSERTION", "licenseInfoInFiles": [licence], "copyrightText": "NOASSERTION"}


def verification(files):
	"""Of the files that the image has of a package, as SPDX 2.3 defines it."""
	sums = sorted(file["checksums"][0]["checksumValue"] for file in files)
	return {"packageVerificationCodeValue": hashlib.sha1("".join(sums).encode()).hexdigest()}


def package_of(identity, name, version, files, licence, **more):
	return {"SPDXID": identity, "name": name, "versionInfo": version, "downloadLocation": "NOASSERTION", "filesAnalyzed": True,
		"packageVerificationCode": verification(files), "licenseConcluded": "NOASSERTION", "licenseInfoFromFiles": ["NOASSERTION"],
		"licenseDeclared": licence, "copyrightText": "NOASSERTION", **more}


def debian_package(package, files):
	purl = "pkg:deb/debian/{}@{}?arch={}".format(package.purl_name, urllib.parse.quote(package.version, safe=""), package.purl_arch)
	more = {"supplier": f"Organization: {package.maintainer}"} if package.maintainer else {}
	if package.homepage:
		more["homepage"] = package.homepage
	if package.licences().expression == "NOASSERTION":
		more["licenseComments"] = f"Stated in /usr/share/doc/{package.name}/copyright, which no program can read."
	return package_of(spdx_id("Package", package.name), package.name, package.version, files, package.licences().expression, summary=package.summary,
		sourceInfo=f"built from Debian's source package {package.source} {package.source_version}",
		externalRefs=[{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}], **more)


def document(rootfs, version, name, manifest_digest, created):
	"""@manifest_digest: sha256 of the image's manifest, which the document describes."""
	own, by_package, files = [], {}, []
	for path, entry in sorted({**rootfs.base, **rootfs.own}.items()):
		if entry.data is None:
			continue
		listed = file_of(path, entry, "NOASSERTION" if entry.package else OWN_LICENCE)
		files.append(listed)
		(by_package.setdefault(entry.package.name, []) if entry.package else own).append(listed)
	packages = [package_of("SPDXRef-Package-talon", "talon", version, own, OWN_LICENCE, primaryPackagePurpose="APPLICATION",
		supplier="Organization: The Talon authors")]
	contents, extracted = {"SPDXRef-Package-talon": own}, {}
	for package in rootfs.used():
		packages.append(debian_package(package, by_package[package.name]))
		contents[packages[-1]["SPDXID"]] = by_package[package.name]
		for reference, (licence, text) in package.licences().extracted.items():
			extracted.setdefault(reference, {"licenseId": reference, "name": licence, "extractedText": text})
	image = {"SPDXID": "SPDXRef-Image", "name": name, "versionInfo": version, "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
		"primaryPackagePurpose": "CONTAINER", "licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION", "copyrightText": "NOASSERTION",
		"supplier": "Organization: The Talon authors", "checksums": [{"algorithm": "SHA256", "checksumValue": manifest_digest}],
		"comment": f"The checksum is that of the image's manifest, {rootfs.arch}."}
	links = [("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Image")] + [("SPDXRef-Image", "CONTAINS", one) for one in contents]
	links += [(package, "CONTAINS", file["SPDXID"]) for package, listed in contents.items() for file in listed]
	links += [("SPDXRef-Package-talon", "DEPENDS_ON", spdx_id("Package", package.name)) for package in rootfs.used()]
	return {"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": f"talon-{version}-{rootfs.arch}",
		"documentNamespace": f"https://spdx.org/spdxdocs/talon-{version}-{rootfs.arch}-{manifest_digest}",
		"creationInfo": {"created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(created)), "creators": ["Organization: The Talon authors", "Tool: manifests/image/image.py"]},
		"packages": [image] + packages, "files": files, "hasExtractedLicensingInfos": [extracted[key] for key in sorted(extracted)],
		"relationships": [{"spdxElementId": a, "relationshipType": kind, "relatedSpdxElement": b} for a, kind, b in links]}
