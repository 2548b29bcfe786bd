#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Runs the end-to-end scenarios: every function test_* of every file test_*.sh, each file in namespaces of its own.
#
#   runner.sh [-l] [FILE | FILE:CASE | CASE-PATTERN]...	(names without path; all if none; -l lists them)
#
# One line per case, and what it measured (note); a second try for those that failed; the last line is "N passed, M failed, K skipped". Exit status:
# 0 if none failed, 77 if all were skipped, else 1.
# E2E_JOBS files run at a time (default: one for each processor), those with a line "# alone" by themselves at the end.
# A case that exits with 77 was skipped. Environment: TALON (the binary), BUILD, ENGINE=reference (wireguard-go and nftables in Talon's place,
# to try the scenarios themselves), KEEP_LOGS=1, CASES (another
# folder of files test_*.sh).
set -u
HERE=$(dirname "$(readlink -f "$0")")
CASES=${CASES:-$HERE}
. "$HERE/lib.sh"

cases_in() { sed -n 's/^\(test_[a-z0-9_]*\)() *{.*/\1/p' "$1"; }

wanted() { # FILE CASE
	local p
	[ ${#PATTERNS[@]} -gt 0 ] || return 0
	for p in "${PATTERNS[@]}"; do
		[[ $1 == "$p" || $1 == "test_$p" || "$1:$2" == "$p" || "$1:$2" == "test_$p" ]] && return 0
		[[ ! -e $CASES/$p.sh && ! -e $CASES/test_$p.sh && $2 == *"$p"* ]] && return 0
	done
	return 1
}

# The body runs under errexit in a subshell; the parent must not test its status in a condition, which would switch errexit off.
run_case() { # FILE CASE
	local log=$RUN/log/case-$2 start=${EPOCHREALTIME/./} rc sentence=${2#test_}
	(
		set -eEuo pipefail
		trap 'echo "line ${BASH_LINENO[0]}: $BASH_COMMAND" >&2' ERR
		trap 'set +eE; eval "$FINALLY"' EXIT
		"$2"
	) >"$log" 2>&1 9>&-
	rc=$?
	printf '%-9s %s: %s (%d.%01d s)' "$(case $rc in 0) echo ok ;; 77) echo skipped ;; *) echo FAILED ;; esac)" "${1#test_}" \
		"${sentence//_/ }" $(((${EPOCHREALTIME/./} - start) / 1000000)) $(((${EPOCHREALTIME/./} - start) / 100000 % 10))
	case $rc in
	0) echo; sed -n 's/^# /    # /p' "$log"; echo passed >&9 ;;
	77) echo ": $(sed -n 's/^SKIPPED: //p' "$log")"; echo skipped >&9 ;;
	*)
		echo; echo "failed $1 $2" >&9
		sed 's/^/    | /' "$log" | tail -n ${TAIL:-40}
		[ "$ENGINE" != talon ] || tail -n 8 "$RUN/log/node" 2>/dev/null | sed 's/^/    talon| /'
		;;
	esac
}

default_setup() {
	topology lap node gw
	servers_up gw
	client_up lap
}

run_file() { # FILE CASE...
	local name rc=0 c
	name=$(basename "$1" .sh)
	. "$1"
	shift
	run_begin || exit 2
	trap 'run_end || echo leftover >&9' EXIT
	trap 'exit 1' INT TERM HUP
	(set -eEuo pipefail; trap 'echo "line ${BASH_LINENO[0]}: $BASH_COMMAND" >&2' ERR; "$(declare -F setup >/dev/null && echo setup || echo default_setup)") \
		>"$RUN/log/setup" 2>&1 9>&-
	rc=$?
	if [ $rc -eq 77 ]; then
		for c; do
			echo "skipped   ${name#test_}: $(tr _ ' ' <<<"${c#test_}"): $(sed -n 's/^SKIPPED: //p' "$RUN/log/setup")"
			echo skipped >&9
		done
		exit 0
	fi
	if [ $rc -ne 0 ]; then
		echo "FAILED    ${name#test_}: setup"
		sed 's/^/    | /' "$RUN/log/setup"
		for c; do echo "failed $name $c" >&9; done
		exit 1
	fi
	for c; do run_case "$name" "$c"; done
}

# Files that run beside all others, then the others, then those that want the machine to themselves.
in_order() {
	grep -l '^# background' "$CASES"/test_*.sh
	grep -L -E '^# (background|alone)' "$CASES"/test_*.sh
	grep -l '^# alone' "$CASES"/test_*.sh
}

# Waits until fewer than $1 files run, those beside apart, and prints what the others said.
wait_for_room() { # N
	local pid still
	while :; do
		still=()
		for pid in "${running[@]}"; do ! kill -0 "$pid" 2>/dev/null || still+=("$pid"); done
		running=("${still[@]}")
		print_done
		[ ${#running[@]} -ge "$1" ] || return 0
		wait -n "${running[@]}" 2>/dev/null
	done
}

print_done() {
	local file
	for file in "$outputs"/*.done; do
		[ -e "$file" ] || continue
		cat "$file"
		rm -f "$file"
	done
}

main() {
	local list=0 f c cases results outputs running=()
	[ "${1:-}" != -l ] || { list=1; shift; }
	PATTERNS=("$@")
	[ $list = 1 ] || [ "$(id -u)" = 0 ] || { echo "root is needed: namespaces, XDP"; exit 77; }
	[ $list = 1 ] || [ "$ENGINE" != talon ] || [ -x "$TALON" ] || { echo "no $TALON: build it first, or name it by TALON=" >&2; exit 2; }
	results=$(mktemp)
	exec 9>>"$results"
	trap 'kill $(jobs -p) 2>/dev/null; wait; exit 1' INT TERM HUP
	outputs=$(mktemp -d)
	for f in $(in_order); do
		cases=()
		for c in $(cases_in "$f"); do wanted "$(basename "$f" .sh)" "$c" && cases+=("$c"); done
		[ ${#cases[@]} -gt 0 ] || continue
		if [ $list = 1 ]; then
			printf "$(basename "$f" .sh):%s\n" "${cases[@]}"
			continue
		fi
		# What waits most of its time comes first and runs beside everything else.
		if grep -q '^# background' "$f"; then
			(run_file "$f" "${cases[@]}") >"$outputs/$(basename "$f").later" 2>&1 &
			continue
		fi
		! grep -q '^# alone' "$f" || wait_for_room 1
		wait_for_room "$JOBS"
		if [ "$JOBS" = 1 ] || grep -q '^# alone' "$f"; then
			(run_file "$f" "${cases[@]}")	# not in a condition: see run_case
		else
			( (run_file "$f" "${cases[@]}") >"$outputs/$(basename "$f").running" 2>&1
			mv "$outputs/$(basename "$f").running" "$outputs/$(basename "$f").done") &
			running+=($!)
		fi
	done
	wait_for_room 1
	wait
	print_done
	cat "$outputs"/*.later 2>/dev/null
	rm -rf "$outputs"
	exec 9>&-
	[ $list = 0 ] || { rm -f "$results"; exit 0; }
	second_try "$results"
	summary "$results"
}

# A failed case is tried once more, alone and in fresh namespaces: a shared machine can starve any deadline once. The retry is reported, and a case that fails
# twice has failed. E2E_RETRY=0 does without.
second_try() { # FILE
	local again name
	[ "${E2E_RETRY:-1}" = 1 ] || return 0
	again=$(sed -n 's/^failed \(.*\)/\1/p' "$1")
	[ -n "$again" ] || return 0
	sed -i '/^failed /d' "$1"
	exec 9>>"$1"
	for name in $(cut -d' ' -f1 <<<"$again" | sort -u); do
		echo "second try of $name:"
		# shellcheck disable=SC2046
		(run_file "$CASES/$name.sh" $(sed -n "s/^$name //p" <<<"$again"))
	done
	exec 9>&-
}

summary() { # FILE
	local passed failed skipped
	passed=$(grep -c '^passed$' "$1")
	failed=$(grep -c -E '^(failed .*|leftover)$' "$1")
	skipped=$(grep -c '^skipped$' "$1")
	! grep -q '^leftover$' "$1" || echo "FAILED    something was left behind"
	rm -f "$1"
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" -eq 0 ] || exit 1
	[ "$passed" -gt 0 ] || exit 77
}

JOBS=${E2E_JOBS:-$(nproc)}
main "$@"; exit	# on one line: an edit of this file during a run is not read
