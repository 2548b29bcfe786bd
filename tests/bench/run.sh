#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Runs every bench, joins what they measured into $BUILD/bench.json and prints it as a table.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
BUILD=${BUILD:-build}
parts=$BUILD/bench
rm -rf "$parts"
mkdir -p "$parts"

for bench in "$BUILD"/tests/bench/bench_*; do
	case $bench in *.*) continue ;; esac
	echo "== ${bench##*/}"
	"$bench" --json "$parts/${bench##*/}.json"
done
echo "== e2e"
BUILD=$BUILD "$here/e2e.sh" --json "$parts/e2e.json"
echo "== mesh"
BUILD=$BUILD "$here/mesh.sh" --json "$parts/mesh.json"
echo "== load"
BUILD=$BUILD "$here/load/load.sh" --json "$parts/load.json"
BUILD=$BUILD "$here/load/local.sh" --json "$parts/local.json"

jq -s 'add' "$parts"/*.json >"$BUILD/bench.json"
echo
jq -r '.[] | [.name, .value, .unit, (.reference // "-"), (.reference_value // "-"), (.ratio // "-")] | map(if type == "number" then (. * 1000 | round / 1000) else . end) | @tsv' \
	"$BUILD/bench.json" | column -t -s "$(printf '\t')" -N name,value,unit,reference,reference_value,ratio
