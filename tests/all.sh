#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# All rings from the inside out, and the totals. A ring that fails does not keep the next ones from running.
set -u
rings=${RINGS:-lint test-chart test-unit test-sanitize fuzz-smoke test-bpf test-e2e test-vm}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed_rings=""

for ring in $rings; do
	echo "== $ring"
	start=$SECONDS
	${MAKE:-make} -j"$(nproc)" --no-print-directory "$ring" 2>&1 | tee -a "$log"
	[ "${PIPESTATUS[0]}" -eq 0 ] || failed_rings+=" $ring"
	echo "== $ring took $((SECONDS - start)) s"
done

sum() { sed -nE "s/^([a-z0-9-]+: )?([0-9]+) passed, ([0-9]+) failed(, ([0-9]+) skipped)?$/\\$1/p" "$log" | paste -sd+ | sed 's/^+*//; s/++*/+/g; s/+$//; s/^$/0/'; }

echo
# The first wants a cross-build with its packages and three minutes of emulation, the second Kubernetes built from its modules, on two processors
# without other work.
echo "not run here: make test-vm-arm64 (Debian's arm64 kernel, emulated)"
echo "not run here: make test-kube (the chart on a real kubelet; Kubernetes takes minutes to build)"
[ -z "$failed_rings" ] || echo "failed:$failed_rings"
failures=$(($(sum 3)))
[ -z "$failed_rings" ] || [ "$failures" -gt 0 ] || failures=1
echo "$(($(sum 2))) passed, $failures failed, $(($(sum 5))) skipped"
[ -z "$failed_rings" ]
