# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Seconds that the gateway's file takes through Talon, beside kernel WireGuard and masquerade in its place. Emulated
# CPU: only the ratio is meaningful.
. /guest/lib.sh

RUNS=5

centiseconds() {
	sed 's/\.\([0-9]*\) .*/\1/' /proc/uptime
}

median_of_fetches() {
	local n=0 start

	: >/tmp/times
	file_is_whole >/dev/null || return 1
	while [ $n -lt $RUNS ]; do
		start=$(centiseconds)
		inside laptop timeout 60 wget -q -O /dev/null http://192.168.1.220/file || return 1
		echo $(($(centiseconds) - start)) >>/tmp/times
		n=$((n + 1))
	done
	sort -n /tmp/times | sed -n "$(((RUNS + 1) / 2))p"
}

mkdir -p /tmp/www
head -c 16000000 /dev/urandom >/tmp/www/file
network_up && kernel_node_up && laptop_up responder && kernel=$(median_of_fetches) ||
	fail "kernel WireGuard's time"
network_down
network_up && node_up responder "Datapath = auto" && laptop_up responder && ours=$(median_of_fetches) ||
	fail "Talon's time"
if [ "$fails" -eq 0 ]; then
	node_status | grep -i datapath
	echo "vm.down.$(uname -r): kernel WireGuard $kernel, Talon $ours (hundredths of a second for 16 MB)," \
		"ratio $((kernel * 100 / ours))/100"
fi
finish
