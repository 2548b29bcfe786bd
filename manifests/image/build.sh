#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Makes the image in $BUILD/image: build.sh [FOLDER]. For several architectures one archive with an index of them.
#
# Environment: BUILD (build directory), ARCH (architectures, "amd64 arm64": this machine's), MAKE, IMAGE (its name, localhost/talon),
# IMAGE_TAG (what the file VERSION says), IMAGE_SOURCE (where its source is: a label), SOURCE_DATE_EPOCH (see image.py). Exits 77 when
# packages cannot be had.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
build=${BUILD:-build}
native=$(dpkg --print-architecture)
out=${1:-$build/image}

images=()
for arch in ${ARCH:-$native}; do
	libcurl=$build/image/libcurl-$arch libsqlite=$build/image/libsqlite-$arch
	if [ "$arch" = "$native" ]; then
		"$here/libcurl.sh" "$libcurl"
		"$here/libsqlite.sh" "$libsqlite"
		images+=("$arch:$build/talon::$libcurl:$libsqlite")
	else
		cross=$build/$arch
		"${MAKE:-make}" --no-print-directory -C "$here/../.." ARCH="$arch" BUILD="$cross" talon
		triplet=$("$here/image.py" --triplet "$arch")
		"$here/libcurl.sh" "$libcurl" "$triplet" "$cross/sysroot"
		"$here/libsqlite.sh" "$libsqlite" "$triplet" "$cross/sysroot"
		images+=("$arch:$cross/talon:$cross/sysroot:$libcurl:$libsqlite")
	fi
done
"$here/image.py" --out "$out" --name "${IMAGE:-localhost/talon}" ${IMAGE_TAG:+--tag "$IMAGE_TAG"} --source "${IMAGE_SOURCE:-}" "${images[@]}"
