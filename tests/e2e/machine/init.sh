#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The first process of a machine that is made of namespaces: this host's files under a layer of memory, then systemd in our place.
#
#   init.sh FOLDER	(an empty one; runs in namespaces of its own, see machine.sh)
set -eu

mount --make-rprivate /
mount -t tmpfs -o size=256m tmpfs "$1"
cd "$1"
mkdir layer work root
mount -t overlay overlay -o "lowerdir=/,upperdir=layer,workdir=work" root
cd root
mount -t proc -o nosuid,nodev,noexec proc proc
# What belongs to the whole kernel stays as it is; the network's settings are the namespace's own.
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o nosuid,nodev,noexec sysfs sys
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 sys/fs/cgroup
mount -t bpf -o nosuid,nodev,noexec,mode=700 bpf sys/fs/bpf
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs var/log
mount -t tmpfs -o mode=755 tmpfs etc/systemd/system
mount -t tmpfs -o mode=755 tmpfs dev
for node in null zero full random urandom tty; do
	: >"dev/$node"
	mount --bind "/dev/$node" "dev/$node"
done
mkdir dev/shm dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
for unit in systemd-udevd.service systemd-sysctl.service systemd-modules-load.service systemd-logind.service systemd-remount-fs.service \
	systemd-tmpfiles-setup-dev.service systemd-sysusers.service getty.target; do
	ln -s /dev/null "etc/systemd/system/$unit"
done
rm -rf var/lib/netbird etc/default/talon usr/sbin/policy-rc.d
printf '#!/bin/sh\n' >usr/bin/mandb	# a database of all manuals takes longer than everything else
: >etc/machine-id
echo machine >etc/hostname
mkdir before
pivot_root . before
umount -l before
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin container=namespaces \
	/lib/systemd/systemd --unit=multi-user.target --log-target=journal --show-status=0
