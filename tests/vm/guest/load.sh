# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Every BPF object of the datapath loads and passes this kernel's verifier.
. /guest/lib.sh

for object in /bpf/*.bpf.o; do
	check "$(basename "$object") loads" loadall "$object"
	grep verified_insns /tmp/check.log
done
finish
