#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# All rings from the inside out, and the totals. A ring that fails does not keep the next ones from running.
#
# Whole paths wait for most of their time, so what only computes runs beside them: the rings BESIDE, one after another, as soon as everything is built that
# rings share. They have the idle scheduling class, so that no process of the others waits for one of theirs. BESIDE= has all rings take turns.
set -u
rings=${RINGS:-lint test-chart test-unit test-bpf test-e2e test-vm test-sanitize fuzz-smoke}
beside=${BESIDE-test-vm test-sanitize fuzz-smoke}
dir=$(mktemp -d)
: >"$dir/failed"
lane=
trap '[ -z "$lane" ] || kill -- "-$lane" 2>/dev/null; rm -rf "$dir"' EXIT
trap 'exit 143' INT TERM HUP

is_one_of() { case " $2 " in *" $1 "*) return 0 ;; *) return 1 ;; esac; }

make_it() { ${MAKE:-make} -j"$(nproc)" --no-print-directory "$@" 2>&1; }

run_ring() { # RING [FAILED]: adds its name to that file if it fails
	local start=$SECONDS

	echo "== $1"
	make_it "$1" | tee "$dir/$1.log"
	[ "${PIPESTATUS[0]}" -eq 0 ] || echo "$1" >>"${2:-$dir/failed}"
	echo "$1" >>"$dir/ended"
	echo "== $1 took $((SECONDS - start)) s"
}

run_beside() {
	local ring

	chrt --idle --pid 0 $BASHPID
	for ring in $rings; do
		! is_one_of "$ring" "$beside" || run_ring "$ring" "$dir/failed-beside"
	done
}

# A process group of its own, so that all of it can be ended. What does not even build is left to the rings, which say so.
if [ -n "$beside" ] && make_it talon skeletons >/dev/null; then
	set -m
	run_beside >"$dir/beside" 2>&1 </dev/null &
	lane=$!
	set +m
else
	beside=
fi
for ring in $rings; do
	is_one_of "$ring" "$beside" || run_ring "$ring"
done
[ -z "$lane" ] || wait "$lane"
lane=
cat "$dir/beside" 2>/dev/null
# One that was killed on its way has not passed.
for ring in $rings; do
	! is_one_of "$ring" "$beside" || grep -qxF "$ring" "$dir/ended" || echo "$ring" >>"$dir/failed-beside"
done
# A machine with other work to do can starve the idle class beyond any deadline.
for ring in $(cat "$dir/failed-beside" 2>/dev/null); do
	echo "== $ring failed or did not end beside the others; now alone"
	run_ring "$ring"
done

sum() { cat "$dir"/*.log 2>/dev/null | sed -nE "s/^([a-z0-9-]+: )?([0-9]+) passed, ([0-9]+) failed(, ([0-9]+) skipped)?$/\\$1/p" | paste -sd+ | sed 's/^+*//; s/++*/+/g; s/+$//; s/^$/0/'; }

echo
# The first wants a cross-build with its packages and three minutes of emulation, the second Kubernetes built from its modules, on two processors
# without other work.
echo "not run here: make test-vm-arm64 (Debian's arm64 kernel, emulated)"
echo "not run here: make test-kube (the chart on a real kubelet; Kubernetes takes minutes to build)"
failed_rings=$(xargs <"$dir/failed")
[ -z "$failed_rings" ] || echo "failed: $failed_rings"
failures=$(($(sum 3)))
[ -z "$failed_rings" ] || [ "$failures" -gt 0 ] || failures=1
echo "$(($(sum 2))) passed, $failures failed, $(($(sum 5))) skipped"
[ -z "$failed_rings" ]
