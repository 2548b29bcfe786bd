# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Every BPF object of the datapath loads and passes this kernel's verifier; also where constants are blinded (as Talos
# does).
. /guest/lib.sh

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
