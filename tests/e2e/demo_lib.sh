# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What the demos share: how they speak, what they need, how they end. Sourced by bash after ME, FOLDER, PREFIX, NEEDS and LOOK are set.

. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/lib.sh"

if [ -t 1 ]; then BOLD=$'\e[1m' GREEN=$'\e[32m' RED=$'\e[31m' PLAIN=$'\e[0m'; else BOLD='' GREEN='' RED='' PLAIN=''; fi

step() { printf '\n%s==> %s%s\n' "$BOLD" "$*" "$PLAIN"; }
good() { printf '  %s[ok]%s %s\n' "$GREEN" "$PLAIN" "$*"; }
bad() { printf '  %s[no]%s %s\n' "$RED" "$PLAIN" "$*"; exit 1; }
shown() { sed 's/^/      /'; }

# Prints an [ok] or ends the demo: LABEL EXPECTED ACTUAL
check() { if [ "$2" = "$3" ]; then good "$1: $3"; else bad "$1: expected $2, got ${3:-nothing}"; fi; }

gbit() { awk '{ printf "in %s s, %.2f Gbit/s\n", $1, $3 * 8 / 1e9 }' <<<"$1"; }

demo_needs() {
	local c missing=''
	for c in ip ethtool nft curl jq ping python3 bpftool nsenter findmnt $NEEDS; do
		command -v "$c" >/dev/null || missing+=" $c"
	done
	[ -z "$missing" ] || {
		echo "missing:$missing; on Debian: apt-get install $(sed 's/[[:space:]]*#.*//' "$E2E/packages.txt" | xargs)" >&2
		exit 2
	}
	[ "$(id -u)" = 0 ] || { echo "root is needed for network namespaces and XDP" >&2; exit 2; }
	[ "$ENGINE" != talon ] || [ -x "$TALON" ] || { echo "no $TALON: build it first (make)" >&2; exit 2; }
}

demo_attach() { # to one that was kept
	[ -d "$FOLDER" ] || { echo "no demo is running; start one with KEEP=1" >&2; exit 2; }
	P=$PREFIX RUN=$FOLDER PIN=$FOLDER/bpf/talon
	export P RUN PIN
}

demo_begin() {
	demo_needs
	if [ -d "$FOLDER" ]; then
		echo "removing the demo that was left running"
		"$ME" clean
	fi
	mkdir -p "$FOLDER"
	run_begin "$PREFIX" "$FOLDER"
	trap demo_failed EXIT
	trap 'exit 1' INT TERM
}

demo_failed() {
	local log
	trap - EXIT
	printf '\n%sThe demo failed.%s\n' "$BOLD" "$PLAIN"
	for log in $LOGS; do
		[ ! -s "$RUN/log/$log" ] || { echo "What $log said last:"; tail -n 12 "$RUN/log/$log" | shown; }
	done
	run_end
	exit 1
}

demo_end() { # prints, from its input, what to look at in a kept one
	trap - EXIT
	if [ -n "${KEEP:-}" ]; then
		step "Left running (KEEP=1). Look around:"
		shown
		printf '\n    Clean up with: %s clean\n' "$ME"
		return
	fi
	step "Cleaning up"
	run_end || bad "something was left behind"
	good "namespaces, devices, programs, maps and processes are gone"
	printf '\n%sThe demo worked.%s\n' "$BOLD" "$PLAIN"
}
