#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Makes the image in $BUILD/image: build.sh [FOLDER].
#
# Environment: BUILD (build directory), IMAGE (its name, localhost/talon), IMAGE_TAG (what the file VERSION says), IMAGE_SOURCE (where its
# source is: a label), SOURCE_DATE_EPOCH (see image.py).
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
build=${BUILD:-build}
arch=$(dpkg --print-architecture)
out=${1:-$build/image}

"$here/libcurl.sh" "$build/image/libcurl-$arch"
"$here/image.py" --out "$out" --name "${IMAGE:-localhost/talon}" ${IMAGE_TAG:+--tag "$IMAGE_TAG"} --source "${IMAGE_SOURCE:-}" \
	"$arch:$build/talon::$build/image/libcurl-$arch"
