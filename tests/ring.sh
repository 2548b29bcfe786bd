#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Runs test programs (cmocka), as many at a time as there are processors (RING_JOBS), one line each, what a failed one said, and at the end "N
# passed, M failed, K skipped".
#
#   ring.sh NAME PROGRAM...
set -u
name=$1
shift
dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$dir"' EXIT

# cmocka names each failed and each skipped case twice, so its own numbers are added up, one for each group.
sum() { # FILE PASSED|FAILED|SKIPPED
	sed -n "s/^\[ *$2 *\] \([0-9]*\) test.*/\1/p" "$1" | awk '{ n += $1 } END { print n + 0 }'
}

run() { # PROGRAM: its numbers go to a file, its line to ours
	local out status ok bad left
	out=$(mktemp "$dir/XXXXXX")
	"$1" >"$out" 2>&1
	status=$?
	ok=$(sum "$out" PASSED) bad=$(sum "$out" FAILED) left=$(sum "$out" SKIPPED)
	[ "$status" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1	# it died
	[ "$ok" -gt 0 ] || [ "$bad" -gt 0 ] || [ "$left" -gt 0 ] || bad=1	# it tested nothing
	{
		printf '%-7s %s: %d passed, %d failed, %d skipped\n' "$([ "$bad" -eq 0 ] && echo ok || echo FAILED)" \
			"$name/${1##*/tests/"$name"/}" "$ok" "$bad" "$left"
		[ "$bad" -eq 0 ] || { echo "exit status $status; what it said:"; grep -v '^\[       OK \]\|^\[ RUN      \]' "$out" | tail -n 60; }
	} >"$out.report"
	flock "$dir" cat "$out.report"
	echo "$ok $bad $left" >"$out.numbers"
}

jobs=${RING_JOBS:-$(nproc)} running=0
for program; do
	[ "$running" -lt "$jobs" ] || { wait -n; running=$((running - 1)); }
	run "$program" &
	running=$((running + 1))
done
wait
read -r passed failed skipped programs < <(cat "$dir"/*.numbers | awk '{ ok += $1; bad += $2; left += $3 } END { print ok + 0, bad + 0, left + 0, NR }')
[ "$programs" -eq $# ] || failed=$((failed + $# - programs))	# what says nothing at all has failed
echo "$name: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
