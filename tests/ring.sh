#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Runs test programs (cmocka), one line each, what a failed one said, and at the end "N passed, M failed, K skipped".
#
#   ring.sh NAME PROGRAM...
set -u
name=$1
shift
passed=0 failed=0 skipped=0
out=$(mktemp)
trap 'rm -f "$out"' EXIT

# cmocka names each failed and each skipped case twice, so its own numbers are added up, one for each group.
sum() { # PASSED|FAILED|SKIPPED
	sed -n "s/^\[ *$1 *\] \([0-9]*\) test.*/\1/p" "$out" | awk '{ n += $1 } END { print n + 0 }'
}

for program; do
	"$program" >"$out" 2>&1
	status=$?
	ok=$(sum PASSED) bad=$(sum FAILED) left=$(sum SKIPPED)
	[ "$status" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1	# it died
	[ "$ok" -gt 0 ] || [ "$bad" -gt 0 ] || [ "$left" -gt 0 ] || bad=1	# it tested nothing
	passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + left))
	printf '%-7s %s: %d passed, %d failed, %d skipped\n' "$([ "$bad" -eq 0 ] && echo ok || echo FAILED)" \
		"$name/${program##*/tests/"$name"/}" "$ok" "$bad" "$left"
	[ "$bad" -eq 0 ] || { echo "exit status $status; what it said:"; grep -v '^\[       OK \]\|^\[ RUN      \]' "$out" | tail -n 60; }
done
echo "$name: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
