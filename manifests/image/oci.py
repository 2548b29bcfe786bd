# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""An OCI image layout in one tar: the same bytes for the same content, whoever packs it, and when."""
import gzip
import hashlib
import io
import json
import tarfile
import time

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def member(archive, name, mtime, mode=0o644, data=None, target=None):
	info = tarfile.TarInfo(name)
	info.mtime, info.mode = mtime, mode
	if target is not None:
		info.type, info.linkname = tarfile.SYMTYPE, target
	elif data is None:
		info.type = tarfile.DIRTYPE
	else:
		info.size = len(data)
	archive.addfile(info, io.BytesIO(data) if data else None)


def layer(entries, mtime):
	"""The tar of a layer."""
	out = io.BytesIO()
	with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
		for path in sorted(entries):
			entry = entries[path]
			if path != "/":
				member(archive, path[1:], mtime, entry.mode, entry.data, entry.target)
	return out.getvalue()


def as_json(value):
	return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False).encode()


class Layout:
	def __init__(self):
		self.blobs = {}

	def blob(self, media, data, **more):
		digest = hashlib.sha256(data).hexdigest()
		self.blobs[digest] = data
		return {"mediaType": media, "digest": f"sha256:{digest}", "size": len(data), **more}

	def image(self, arch, layers, labels, created, comment):
		"""Adds an image of @layers, pairs of entries and the time that its files carry. Its descriptor."""
		tars = [layer(entries, mtime) for entries, mtime in layers]
		when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(created))
		config = self.blob(CONFIG, as_json({
			"architecture": arch, "os": "linux", "created": when, "author": labels["org.opencontainers.image.vendor"],
			"config": {"Entrypoint": ["/usr/bin/talon"], "Cmd": ["up"], "User": "0:0", "WorkingDir": "/", "StopSignal": "SIGTERM",
				"Env": ["PATH=/usr/local/bin:/usr/bin"], "Labels": labels},
			"rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}" for tar in tars]},
			"history": [{"created": when, "created_by": line} for line in comment]}))
		packed = [self.blob(LAYER, gzip.compress(tar, 9, mtime=0)) for tar in tars]
		return self.blob(MANIFEST, as_json({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": packed, "annotations": labels}),
			platform={"architecture": arch, "os": "linux"})

	def index(self, descriptors):
		return self.blob(INDEX, as_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": descriptors}))

	def write(self, path, descriptor, name, tag):
		"""
		One tar with @descriptor under @name:@tag: the annotations that containerd, podman and docker look at,
		and for docker before 25, which reads its own format only, manifest.json over the same blobs.
		"""
		top = {**descriptor, "annotations": {"io.containerd.image.name": f"{name}:{tag}", "org.opencontainers.image.ref.name": tag}}
		with open(path, "wb") as file, tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
			member(archive, "blobs", 0, 0o755)
			member(archive, "blobs/sha256", 0, 0o755)
			for digest in sorted(self.blobs):
				member(archive, f"blobs/sha256/{digest}", 0, data=self.blobs[digest])
			member(archive, "index.json", 0, data=as_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [top]}))
			if descriptor["mediaType"] == MANIFEST:
				manifest = json.loads(self.blobs[descriptor["digest"].partition(":")[2]])
				member(archive, "manifest.json", 0, data=as_json([{"Config": self._place(manifest["config"]), "RepoTags": [f"{name}:{tag}"],
					"Layers": [self._place(one) for one in manifest["layers"]]}]))
			member(archive, "oci-layout", 0, data=as_json({"imageLayoutVersion": "1.0.0"}))

	@staticmethod
	def _place(descriptor):
		return "blobs/" + descriptor["digest"].replace(":", "/")
