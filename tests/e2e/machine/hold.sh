#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Holds a machine (machine.sh) until SIGTERM, and takes down all of it then: hold.sh CGROUP FOLDER
set -u

here=$(dirname "$(readlink -f "$0")")
# Its namespace begins where its processes are.
(echo $BASHPID >"$1/cgroup.procs" && exec unshare --mount --pid --uts --ipc --cgroup --fork --kill-child "$here/init.sh" "$2") &
child=$!
trap 'kill -KILL $child' TERM
wait $child
status=$?
# The end of its first process ends all others; cgroups can go when the last one has.
for _ in $(seq 500); do
	find "$1" -depth -type d -exec rmdir {} + 2>/dev/null && break
	sleep 0.02
done
exit $status
