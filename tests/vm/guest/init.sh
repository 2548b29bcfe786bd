#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The VM's first process: mounts, modules, then the script named on the kernel's command line; its status goes out on
# the last line.
export PATH=/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mount -t bpf bpf /sys/fs/bpf
mount -t tracefs trace /sys/kernel/tracing 2>/dev/null
mkdir -p /run/netns
ip link set lo up
echo
echo "vm: init $(uname -r)"

for module in /modules/*.ko; do
	insmod "$module" || echo "vm: $module did not load"
done
for word in $(cat /proc/cmdline); do
	case $word in
	vm_script=*) script=${word#vm_script=} ;;
	esac
done

sh "/guest/$script" "$@"
status=$?
# Kernel warnings count as failures, whatever the script saw.
if dmesg | grep -E 'WARNING: CPU|BUG:|Oops|UBSAN|refcount_t' >/tmp/complaints; then
	echo "FAIL the kernel has nothing to complain about: $(head -n 1 /tmp/complaints)"
	dmesg | tail -n 60
	status=1
fi
echo "vm: exit $status"
poweroff -f
