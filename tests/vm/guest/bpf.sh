# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The tests of the BPF programs, on this kernel: one case for each program of tests/bpf.
. /guest/lib.sh

# Each says itself what passed and failed; a skipped case is one that this kernel or machine cannot have.
passes() {
	"$1" >/tmp/test.log 2>&1 || { grep -vE '^\[( RUN     |      OK) ' /tmp/test.log | tail -n 30; return 1; }
}

# One case of it lasts longer than a session lives where each instruction is emulated.
too_slow="test_acl"

for test in /tests/bpf/test_*; do
	case " $too_slow " in *" $(basename "$test") "*) skip "$(basename "$test"): too slow under emulation"; continue ;; esac
	start=$(cut -d. -f1 /proc/uptime)
	check "$(basename "$test")" passes "$test"
	echo "$(basename "$test") took $(($(cut -d. -f1 /proc/uptime) - start)) s: $(grep -cE '^\[       OK' /tmp/test.log) passed, $(grep -c '^\[  SKIPPED \]' /tmp/test.log) skipped"
done
finish
