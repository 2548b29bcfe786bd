# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A machine with a real systemd as its first process, in namespaces: what a unit and a package do there. Sourced by scenarios.

machine_needs() {
	needs unshare nsenter findmnt dpkg dpkg-deb systemctl
	[ -x /lib/systemd/systemd ] || skip "systemd is not installed"
	MACHINE_CGROUPS=$(findmnt -rnt cgroup2 -o TARGET | head -n 1)
	[ -n "$MACHINE_CGROUPS" ] || skip "no cgroup v2 is mounted"
	mkdir "$MACHINE_CGROUPS/talon-$P" 2>/dev/null || skip "cgroups cannot be made below $MACHINE_CGROUPS"
	rmdir "$MACHINE_CGROUPS/talon-$P"
	grep -qw overlay /proc/filesystems || modprobe overlay 2>/dev/null || skip "the kernel has no overlayfs"
}

machine_start() { # HOST: its network is that of the namespace
	machine_needs
	mkdir -p "$RUN/machine" "$MACHINE_CGROUPS/talon-$P"
	spawn machine "$1" "$E2E/machine/hold.sh" "$MACHINE_CGROUPS/talon-$P" "$RUN/machine"
	if ! wait_for 10 "systemd to be up" machine_is_up; then
		alive machine || skip "no machine can be made of namespaces here: $(tail -n 1 "$RUN/log/machine")"
		cat "$RUN/log/machine"
		return 1
	fi
}

machine_is_up() { machine_pid >/dev/null && case $(machine systemctl is-system-running) in running | degraded) ;; *) false ;; esac; }

machine_pid() { pgrep -P "$(pgrep -P "$(pid_of machine)" -x unshare)"; }

machine() { # COMMAND...: there, with an environment of its own
	nsenter -t "$(machine_pid)" -m -p -u -i -n -C env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive "$@"
}

machine_put() { # FILE TARGET [MODE]
	machine sh -c 'umask 077 && mkdir -p "$(dirname "$1")" && cat >"$1" && chmod "$2" "$1"' sh "$2" "${3:-600}" <"$1"
}

unit() { machine systemctl show --value -p "$1" talon.service; }	# PROPERTY
unit_is() { [ "$(unit "$1")" = "$2" ]; }				# PROPERTY VALUE: for wait_for
journal() { machine journalctl --no-pager -o cat -u talon.service "$@"; }
