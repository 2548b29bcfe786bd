# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash
# Shared by the shell benches: the reference engine, the median. Sourced by bash after tests/e2e/lib.sh.

# The current wireguard-go where Go can fetch it, else what is installed. Sets WIREGUARD_GO for laptop and reference alike.
choose_reference() {
	local bin
	mkdir -p "$BUILD/go"
	bin=$(readlink -f "$BUILD/go")/wireguard
	if [ ! -x "$bin" ] && command -v go >/dev/null; then
		(cd "$BUILD/go" && GOBIN=$(dirname "$bin") timeout 120 go install golang.zx2c4.com/wireguard@latest) >&2 || true
	fi
	if [ -x "$bin" ]; then
		WIREGUARD_GO=$bin
		REFERENCE="wireguard-go $(go version -m "$bin" 2>/dev/null | awk '$1 == "mod" { print $3 }') + nftables masquerade"
	else
		REFERENCE="wireguard-go $("$WIREGUARD_GO" --version | sed -n '1s/.* v//p') (installed) + nftables masquerade"
	fi
	NODE_WIREGUARD_GO=$WIREGUARD_GO
}

median() { sort -g | awk '{ v[NR] = $1 } END { printf "%.4g\n", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

print_rows() { # FILE: one JSON object a line
	jq -r '[.name, .value, .unit, .reference_value, .ratio] | map(. // "-") | @tsv' "$1" |
		awk -F'\t' 'BEGIN { printf "%-28s %12s %-8s %12s %8s\n", "name", "value", "unit", "reference", "ratio" }
			{ printf "%-28s %12s %-8s %12s %8s\n", $1, $2, $3, $4, $5 }'
}
