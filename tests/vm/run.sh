#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Boot a Debian kernel in a VM, run one guest script there, return its exit status: run.sh 6.1|6.12 guest/NAME.sh
# [argument...]
#
# The VM has no disk and no network device; all it needs is in an initramfs made here: busybox, the tools below with
# their libraries, talon, the BPF objects, guest/*.sh and that kernel's modules. The guest reports over the serial
# line; its last line carries the exit status. Exits with that status, 124 when time ran out, 125 when the kernel
# died, 77 when something is missing.
#
# Environment: BUILD (build directory), VM_TIMEOUT (seconds, default 240), VM_ACCEL (default tcg), VM_CPUS (1),
# VM_MEMORY (MiB, 1024), VM_QEMU (further options for qemu).
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
kernel=${1:?usage: run.sh 6.1|6.12 guest/NAME.sh [argument...]}
script=${2:?usage: run.sh 6.1|6.12 guest/NAME.sh [argument...]}
shift 2
build=${BUILD:-build}
mkdir -p "$build/vm"
build=$(cd "$build" && pwd)
export BUILD=$build

tools="dash ip tc bpftool ethtool wg xdp-loader nft ping nsenter"
modules="veth bridge 8021q wireguard sch_ingress cls_bpf act_gact nf_tables nft_chain_nat nft_masq"
libbpf_objects=$(dirname "$(find /usr/lib -name xdp-dispatcher.o 2>/dev/null | head -n 1)")

missing() {
	echo "run.sh: $*" >&2
	exit 77
}

for tool in qemu-system-x86_64 busybox cpio depmod modprobe xz $tools; do
	command -v "$tool" >/dev/null || missing "$tool is not installed (see tests/vm/packages.txt)"
done
[ -x "$build/talon" ] || missing "$build/talon is not built: make talon"
kdir=$("$here/kernel.sh" "$kernel")
release=$(cat "$kdir/release")

work=$(mktemp -d "$build/vm/run.XXXXXX")
qemu=
finish() {
	if [ -n "$qemu" ]; then	# timeout(1): it passes the signal on, and kills what ignores it
		kill -TERM "$qemu" 2>/dev/null || true
		wait "$qemu" 2>/dev/null || true
	fi
	rm -rf "$work"
}
trap finish EXIT
trap 'exit 143' INT TERM HUP
root=$work/root

add_binary() {
	local path

	path=$(command -v "$1")
	cp -L "$path" "$root/bin/$(basename "$1")"
	{ ldd "$path" 2>/dev/null || true; } | grep -oE '/[^ ]+\.so[^ ]*' | while read -r lib; do
		mkdir -p "$root$(dirname "$lib")"
		[ -e "$root$lib" ] || cp -L "$lib" "$root$lib"
	done
}

# In the order in which they must be loaded; those built into the kernel are not listed by modprobe as insmod.
add_modules() {
	local module path n=100

	for module in $modules; do
		modprobe -d "$kdir" -S "$release" --ignore-install --show-depends "$module" | sed -n 's/^insmod \([^ ]*\).*/\1/p'
	done | awk '!seen[$0]++' | while read -r path; do
		n=$((n + 1))
		case $path in
		*.xz) xz -dc "$path" >"$root/modules/$n-$(basename "$path" .xz)" ;;
		*) cp "$path" "$root/modules/$n-$(basename "$path")" ;;
		esac
	done
}

make_root() {
	local tool source name

	mkdir -p "$root"/{bin,dev,proc,sys,run/netns,tmp,etc,root,modules,guest,bpf,others} "$root$libbpf_objects"
	cp "$(command -v busybox)" "$root/bin/busybox"
	for name in $(busybox --list); do
		ln -s busybox "$root/bin/$name" 2>/dev/null || true
	done
	for tool in $tools; do
		rm -f "$root/bin/$tool"
		add_binary "$tool"
	done
	add_binary "$build/talon"
	add_binary "$build/vm/loadall"
	ln -sf dash "$root/bin/sh"	# busybox's own shell prefers its applets to the tools above
	cp "$libbpf_objects"/*.o "$root$libbpf_objects/"
	for source in "$here"/../../bpf/*.bpf.c; do
		cp "$build/bpf/$(basename "$source" .c).o" "$root/bpf/"
	done
	cp "$build"/vm/count_*.bpf.o "$root/others/"
	cp "$here"/guest/*.sh "$root/guest/"
	cp "$here/guest/init.sh" "$root/init"
	chmod 755 "$root/init"
	echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
	add_modules
	(cd "$root" && find . -print0 | cpio --quiet -0 -o -H newc -R 0:0) >"$work/initramfs"
	rm -rf "$root"
}

"$here/build.sh"
make_root
timeout -k 5 "${VM_TIMEOUT:-240}" qemu-system-x86_64 -accel "${VM_ACCEL:-tcg}" -cpu max -m "${VM_MEMORY:-1024}" \
	-smp "${VM_CPUS:-1}" ${VM_QEMU:-} -nographic -monitor none -serial stdio -nic none -no-reboot \
	-kernel "$kdir/vmlinuz" -initrd "$work/initramfs" \
	-append "console=ttyS0 quiet panic=-1 vm_script=$(basename "$script") -- $*" </dev/null >"$work/console" 2>&1 &
qemu=$!
status=0
wait "$qemu" || status=$?
qemu=
tr -d '\r' <"$work/console" | sed '1,/^vm: init/d'
[ "$status" -ne 124 ] || exit 124
status=$(tr -d '\r' <"$work/console" | sed -n 's/^vm: exit \([0-9]*\)$/\1/p' | tail -n 1)
exit "${status:-125}"
