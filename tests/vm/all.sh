#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The kernel matrix: every guest scenario on every kernel, one line per case, "N passed, M failed, K skipped" at the
# end.
#
# Environment: BUILD (build directory), VM_KERNELS (default "6.1 6.12"), VM_SCENARIOS, and what run.sh takes. Kernels
# run side by side; a scenario's whole output stays in $BUILD/vm/log/<kernel>-<scenario>. Exits 1 when a case failed.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
export BUILD=${BUILD:-build}
kernels=${VM_KERNELS:-6.1 6.12}
scenarios=${VM_SCENARIOS:-load topology interop modes dispatcher inner6}
log=$BUILD/vm/log
rm -rf "$log"
mkdir -p "$log"

lane() {
	local kernel=$1 scenario status

	trap 'kill $(jobs -p) 2>/dev/null; exit 143' INT TERM
	if ! "$here/kernel.sh" "$kernel" >/dev/null 2>"$log/$kernel-kernel"; then
		echo "SKIP $kernel: $(tail -n 1 "$log/$kernel-kernel")"
		return
	fi
	for scenario in $scenarios; do
		status=0
		"$here/run.sh" "$kernel" "$scenario.sh" >"$log/$kernel-$scenario" 2>&1 &	# so that the trap does not wait for it
		wait $! || status=$?
		sed -nE "s/^(PASS|FAIL|SKIP) /\1 $kernel $scenario: /p" "$log/$kernel-$scenario"
		verdict "$kernel" "$scenario" "$status"
	done
}

# What went wrong around the scenario and so is no case of its own.
verdict() {
	case $3 in
	0) grep -q '^PASS ' "$log/$1-$2" || echo "FAIL $1 $2: tested nothing" ;;
	77) echo "SKIP $1 $2: $(tail -n 1 "$log/$1-$2")" ;;
	124) echo "FAIL $1 $2: ran out of time" ;;
	*) grep -q '^FAIL ' "$log/$1-$2" || echo "FAIL $1 $2: ended with $3: $(tail -n 1 "$log/$1-$2")" ;;
	esac
}

trap 'kill $(jobs -p) 2>/dev/null; exit 143' INT TERM
"$here/build.sh"
for kernel in $kernels; do
	lane "$kernel" >"$log/$kernel" &
done
wait
for kernel in $kernels; do
	cat "$log/$kernel"
done | tee "$log/cases"
passed=$(grep -c '^PASS ' "$log/cases" || true)
failed=$(grep -c '^FAIL ' "$log/cases" || true)
skipped=$(grep -c '^SKIP ' "$log/cases" || true)
[ "$failed" -eq 0 ] || echo "what the guests said: $log/"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
