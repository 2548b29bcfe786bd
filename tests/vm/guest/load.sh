# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Every BPF object of the datapath loads and passes this kernel's verifier; also where constants are blinded (as Talos
# does).
. /guest/lib.sh

kernel_is_fit() {
	talon preflight >/tmp/preflight.txt
	cat /tmp/preflight.txt
	grep -q "^ok       kernel: Linux $(uname -r)" /tmp/preflight.txt && grep -q "^ok       features: all there" /tmp/preflight.txt &&
		grep -q "^ok       programs: the verifier takes them all" /tmp/preflight.txt && grep -q "^ok       jit: on" /tmp/preflight.txt
}

check "talon preflight: this kernel is fit" kernel_is_fit

for object in /bpf/*.bpf.o; do
	check "$(basename "$object") loads" loadall "$object"
	grep verified_insns /tmp/check.log
done
sysctl -qw net.core.bpf_jit_harden=2
for object in /bpf/*.bpf.o; do
	check "$(basename "$object") loads with bpf_jit_harden=2" loadall "$object"
	grep verified_insns /tmp/check.log
done
finish
