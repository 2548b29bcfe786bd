#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Boot a Debian kernel in a VM, run one guest script there, return its exit status: run.sh KERNEL guest/NAME.sh
# [argument...]. KERNEL is 6.1 or 6.12, or one of them with -arm64: then everything in the VM is for that architecture,
# cross-built or from Debian's packages for it (make test-vm-arm64 makes them).
#
# The VM has no disk and no network device; all it needs is in an initramfs made here: busybox, the tools below with
# their libraries, talon, the BPF objects, guest/*.sh and that kernel's modules. The guest reports over the serial
# line; its last line carries the exit status. Exits with that status, 124 when time ran out, 125 when the kernel
# died, 77 when something is missing.
#
# Environment: BUILD (build directory), VM_TIMEOUT (seconds, default 900), VM_ACCEL (default tcg), VM_CPUS (1),
# VM_MEMORY (MiB, 1024), VM_QEMU (further options for qemu), VM_TESTS (programs below
# $BUILD/tests that go to /tests; for bpf.sh all of tests/bpf).
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
kernel=${1:?usage: run.sh KERNEL guest/NAME.sh [argument...]}
script=${2:?usage: run.sh KERNEL guest/NAME.sh [argument...]}
shift 2
build=${BUILD:-build}
mkdir -p "$build/vm"
build=$(cd "$build" && pwd)
export BUILD=$build
kdir_build=$build
case $kernel in
*-arm64)
	machine="qemu-system-aarch64 -machine virt,gic-version=3" console=ttyAMA0 cpu=neoverse-n1
	sysroot=$build/arm64/sysroot build=$build/arm64 triplet=aarch64-linux-gnu
	export BUILD=$build CC="clang --target=$triplet --sysroot=$sysroot -fuse-ld=lld -Wno-unused-command-line-argument"
	;;
*) machine=qemu-system-x86_64 console=ttyS0 cpu=max sysroot="" ;;
esac

tools="dash ip tc bpftool ethtool wg xdp-loader nft ping nsenter"
modules="veth bridge 8021q wireguard sch_ingress cls_bpf act_gact nf_tables nft_chain_nat nft_masq tun vxlan"
libbpf_objects=$(dirname "$(find "$sysroot/usr/lib" -name xdp-dispatcher.o 2>/dev/null | head -n 1)")

missing() {
	echo "run.sh: $*" >&2
	exit 77
}

# Where a program for the VM is.
found() {
	if [ -n "$sysroot" ] && [ "${1#/}" = "$1" ]; then
		{ find "$sysroot/usr/bin/$1" "$sysroot/usr/sbin/$1" -maxdepth 0 2>/dev/null || true; } | sed -n 1p
	else
		command -v "$1"
	fi
}

for tool in ${machine%% *} busybox cpio depmod modprobe xz; do
	command -v "$tool" >/dev/null || missing "$tool is not installed (see tests/vm/packages.txt)"
done
for tool in busybox $tools; do
	[ -n "$(found "$tool")" ] || missing "$tool is not installed (see tests/vm/packages.txt)"
done
[ -x "$build/talon" ] || missing "$build/talon is not built: make talon"
kdir=$(BUILD=$kdir_build "$here/kernel.sh" "$kernel")
release=$(cat "$kdir/release")

if [ "$(basename "$script")" = bpf.sh ]; then
	: "${VM_TESTS:=$(cd "$build/tests" && find bpf -name 'test_*' -type f -perm /111 | sort)}"
	[ -n "$VM_TESTS" ] || missing "no test of BPF programs is built"
fi

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

	path=$(found "$1")
	cp -L "$path" "$root/bin/$(basename "$1")"
	add_libraries "$path"
}

# As the machine's own loader finds them; of another architecture by name, in the two folders where Debian has them.
add_libraries() {
	local lib

	if [ -z "$sysroot" ]; then
		{ ldd "$1" 2>/dev/null || true; } | grep -oE '/[^ ]+\.so[^ ]*' | while read -r lib; do
			mkdir -p "$root$(dirname "$lib")"
			[ -e "$root$lib" ] || cp -L "$lib" "$root$lib"
		done
		return
	fi
	readelf -dlW "$1" | sed -nE 's/.*\(NEEDED\).*\[(.*)\]/\1/p; s/.*interpreter: .*\/(.*)\]/\1/p' | while read -r lib; do
		[ ! -e "$root/lib/$triplet/$lib" ] || continue
		mkdir -p "$root/lib/$triplet"
		cp -L "$sysroot/usr/lib/$triplet/$lib" "$root/lib/$triplet/$lib"
		case $lib in ld-*) ln -s "$triplet/$lib" "$root/lib/$lib" ;; esac
		add_libraries "$sysroot/usr/lib/$triplet/$lib"
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

	mkdir -p "$root"/{bin,dev,proc,sys,run/netns,tmp,etc,root,modules,guest,bpf,others,tests} "$root${libbpf_objects#"$sysroot"}"
	cp "$(found busybox)" "$root/bin/busybox"
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
	cp "$libbpf_objects"/*.o "$root${libbpf_objects#"$sysroot"}/"
	for source in "$here"/../../bpf/*.bpf.c; do
		cp "$build/bpf/$(basename "$source" .c).o" "$root/bpf/"
	done
	for tool in ${VM_TESTS:-}; do	# test programs: VM_TESTS names them below $BUILD/tests
		mkdir -p "$(dirname "$root/tests/$tool")"
		llvm-strip -g "$build/tests/$tool" -o "$root/tests/$tool"
		add_libraries "$build/tests/$tool"
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
# A VM that a busy host does not run for a while is not at fault.
no_watchdogs="nowatchdog workqueue.watchdog_thresh=0 rcupdate.rcu_cpu_stall_suppress=1"
# shellcheck disable=SC2086
timeout -k 5 "${VM_TIMEOUT:-900}" $machine -accel "${VM_ACCEL:-tcg}" -cpu "$cpu" -m "${VM_MEMORY:-1024}" \
	-smp "${VM_CPUS:-1}" ${VM_QEMU:-} -nographic -monitor none -serial stdio -nic none -no-reboot \
	-kernel "$kdir/vmlinuz" -initrd "$work/initramfs" \
	-append "console=$console quiet $no_watchdogs panic=-1 vm_script=$(basename "$script") -- $*" </dev/null >"$work/console" 2>&1 &
qemu=$!
status=0
wait "$qemu" || status=$?
qemu=
tr -d '\r' <"$work/console" | sed '1,/^vm: init/d'
[ "$status" -ne 124 ] || exit 124
status=$(tr -d '\r' <"$work/console" | sed -n 's/^vm: exit \([0-9]*\)$/\1/p' | tail -n 1)
exit "${status:-125}"
