#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What a reader should not have to check: licence lines, scripts, man pages; clang-tidy with LINT_TIDY=1 (slow).
set -u
cd "$(dirname "$(readlink -f "$0")")/.." || exit 2
passed=0 failed=0

verdict() { # WHAT OUTPUT: good if OUTPUT is empty
	if [ -z "$2" ]; then
		passed=$((passed + 1))
		echo "ok      lint/$1"
	else
		failed=$((failed + 1))
		printf 'FAILED  lint/%s\n%s\n' "$1" "$2"
	fi
}

sources() { git ls-files -co --exclude-standard -- "$@" 2>/dev/null || find . -name "${1#\*}" -not -path './build/*'; }

verdict "every source names its licence" "$(sources '*.c' '*.h' '*.sh' '*.py' Makefile .ci/run | xargs grep -L 'SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause')"
verdict "no line is wider than 110 columns" "$(sources '*.c' '*.h' | xargs awk '{ n = 0; for (i = 1; i <= length; i++) n += substr($0, i, 1) == "\t" ? 8 - n % 8 : 1; if (n > 110) print FILENAME ":" FNR }' | head -60)"
verdict "no trailing blanks" "$(sources '*.c' '*.h' '*.sh' Makefile | xargs grep -nE '[[:blank:]]+$' | head)"
for check in floors circles sizes uncalled documented; do
	verdict "house: $check" "$(python3 tests/rooms.py "$check" 2>&1)"
done
if [ -x "${BUILD:-build}/talon" ]; then
	verdict "options and metrics in the documents" "$(python3 docs/generate.py "${BUILD:-build}/talon" --check 2>&1)"
fi
verdict "tests named in the documents" "$(python3 tests/named.py 2>&1)"
for check in generated runbooks metrics panels; do
	verdict "monitoring: $check" "$(python3 -B tests/monitoring/check.py "$check" 2>&1)"
done
if command -v shellcheck >/dev/null; then
	verdict "shellcheck" "$(sources '*.sh' .ci/run | xargs shellcheck -s bash -S error -e SC1087 2>&1)"
fi
# Two compares would tell an attacker which half of a tag is wrong: clang makes them of one as soon as it is let (aead_tag_differs()).
if command -v llvm-objdump >/dev/null && ls "${BUILD:-build}"/bpf/uplink_*.bpf.o >/dev/null 2>&1; then
	verdict "tags are compared as a whole" "$(for object in "${BUILD:-build}"/bpf/uplink_*.bpf.o; do
		llvm-objdump --no-show-raw-insn -d "$object" | awk -v object="$object" '/^[0-9a-f]+ <[a-z]/ { inside = $2 ~ /^<aead_open/; seen += inside }
			inside && /if [rw][0-9] [!=]= [rw][0-9] / { print object ": " $0 } END { if (seen < 2) print object ": no aead_open, aead_open_ahead" }'
	done)"
fi
if command -v groff >/dev/null && [ -d docs/man ]; then
	verdict "man pages" "$(for page in docs/man/*.[0-9]; do groff -man -Tutf8 -ww -z "$page" 2>&1 || groff -mdoc -Tutf8 -ww -z "$page" 2>&1; done | grep -v "can't break line")"
fi
if [ -n "${LINT_TIDY:-}" ]; then
	verdict "clang-tidy" "$(find userspace -name '*.c' | xargs -P 2 -n 4 clang-tidy --quiet -- -std=gnu17 -Ibpf/include -Iuserspace \
		-I"${BUILD:-build}/gen" -D_GNU_SOURCE '-DTALON_VERSION="lint"' 2>/dev/null | grep -E 'warning:|error:')"
fi
echo "lint: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
