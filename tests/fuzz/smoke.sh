#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Runs fuzzers on their corpora, and for a while beyond: FUZZ_RUNS inputs (default 20000) or FUZZ_SECONDS each.
#
#   smoke.sh FUZZER...
set -u
here=$(dirname "$(readlink -f "$0")")
passed=0 failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for fuzzer; do
	name=${fuzzer##*/fuzz_}
	limit=(-runs="${FUZZ_RUNS:-20000}")
	[ -z "${FUZZ_SECONDS:-}" ] || limit=(-max_total_time="$FUZZ_SECONDS")
	mkdir -p "$work/$name"
	if "$fuzzer" "${limit[@]}" -seed=1 -timeout=10 -artifact_prefix="$work/crash-" "$work/$name" "$here/corpus/$name" \
		>"$work/log" 2>&1; then
		passed=$((passed + 1))
		printf 'ok      fuzz/%s: %s\n' "$name" "$(sed -n 's/^#[0-9]*.*DONE *//p' "$work/log" | tail -n 1)"
	else
		failed=$((failed + 1))
		printf 'FAILED  fuzz/%s\n' "$name"
		tail -n 40 "$work/log"
		for crash in "$work"/crash-*; do
			[ ! -e "$crash" ] || { echo "input, base64:"; base64 -w 120 "$crash"; rm "$crash"; }
		done
	fi
done
echo "fuzz: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
