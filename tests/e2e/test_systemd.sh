# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The package and its unit under a real systemd: install, start, reload, a loop that hangs, a crash, an upgrade, purge. Packets flow meanwhile.
. "$E2E/machine/machine.sh"

setup() {
	needs_talon
	machine_needs
	topology lap node gw
	servers_up gw
	client_up lap
	"$E2E/../../manifests/debian/build.sh" "$RUN/deb" >/dev/null
	DEB_VERSION=9.0 "$E2E/../../manifests/debian/build.sh" "$RUN/deb" >/dev/null
	machine_start node
	machine_put "$RUN"/deb/talon_9.0_*.deb /tmp/new.deb 644
	rm "$RUN"/deb/talon_9.0_*.deb
	machine_put "$RUN"/deb/talon_*.deb /tmp/talon.deb 644
	PEERS=lap write_config node "$RUN/keys.conf"	# makes the keys
	client_peer lap
}

# The package installed, its unit enabled and serving the file, a client connected: where a case begins.
running() {
	machine dpkg-query -W talon >/dev/null 2>&1 || machine dpkg -i /tmp/talon.deb
	config
	settings
	machine systemctl enable --now talon.service
	machine systemctl reload talon.service
	flows
}

# A client that still has a session with a datapath that is gone would wait for 15 s before it makes another.
flows() { reaches || client_peer lap; wait_for 15 "packets to flow" reaches; }

settings() { # VARIABLE=VALUE...
	printf '%s\n' TALON_STATIC=/etc/talon.conf "$@" >"$RUN/default"
	machine_put "$RUN/default" /etc/default/talon
}

main_pid() { unit MainPID; }
reaches() { in_ns lap ping -q -c 1 -W 1 "$GW"; }
config() { # LINE...: the file there
	PEERS=lap write_config node "$RUN/node.conf" "$@"
	machine_put "$RUN/node.conf" /etc/talon.conf
	rm "$RUN/node.conf"
}

# Runs a command while packets flow through the tunnel: none may be lost.
unnoticed() { # COMMAND...
	flow_start lap "$GW"
	wait_for 5 "packets to flow" reaches
	"$@"
	reaches
	flow_end "$*"
}

other_pid() { [ "$(main_pid)" != "$1" ] && unit_is ActiveState active; }	# PID: for wait_for

test_package_installs_and_starts_nothing() {
	machine dpkg -P talon 2>/dev/null
	machine dpkg -i /tmp/talon.deb
	equal "active" inactive "$(unit ActiveState)"
	equal "enabled" disabled "$(unit UnitFileState)"
	machine dpkg --audit
	machine talon version
	machine /usr/lib/talon/netbird version
	machine test -e /usr/share/man/man8/talon.8.gz
	machine sh -c 'cd / && md5sum --quiet -c /var/lib/dpkg/info/talon.md5sums'
	machine systemd-analyze verify talon.service
}

test_package_is_the_same_if_built_twice() {
	(umask 077 && TZ=Asia/Tokyo TMPDIR=$RUN "$E2E/../../manifests/debian/build.sh" "$RUN/again" >/dev/null)
	cmp "$RUN"/deb/talon_*.deb "$RUN"/again/talon_*.deb
	dpkg-deb -f "$RUN"/again/talon_*.deb Depends | found "libbpf1" || fail "nothing about libbpf"
}

test_unit_starts_says_its_state_and_logs_with_priorities() {
	running
	equal "state" "active running" "$(unit ActiveState) $(unit SubState)"
	wait_for 15 "the status line" unit_is StatusText "serving; 1 of 1 peers connected"
	equal "watchdog" 30s "$(unit WatchdogUSec)"
	machine talon status --check ready
	equal "a thread for the veth, by a file below /sys" 1 "$(machine cat /sys/class/net/eth0/threaded)"
	machine journalctl -q -o json -u talon.service _PID="$(main_pid)" >"$RUN/journal"
	equal "priority of the first line" "6" "$(jq -r 'select(.MESSAGE | startswith("ready: ")) | .PRIORITY' "$RUN/journal")"
	not grep -E '"MESSAGE":"(<|20[0-9][0-9]-)' "$RUN/journal"
	note "$(machine systemd-analyze security --no-pager talon.service | tail -n 1)"
}

test_reload_succeeds_or_says_why_not() {
	local pid
	running
	pid=$(main_pid)
	config "Local = 10.77.0.0/16" "lap: PersistentKeepalive = 25"
	unnoticed machine systemctl reload talon.service
	journal | found "reload: peers: 1 changed" || fail "nothing about the peer"
	journal -p warning | found "reload: Local: only the next start takes that over" || fail "nothing about what waits"
	config "MTU = 1"
	not machine systemctl reload talon.service
	journal -p err | found "talon: reload: /etc/talon.conf:[0-9]*: Interface.MTU: '1' is not an MTU" || fail "no reason"
	equal "state" active "$(unit ActiveState)"
	config
	settings TALON_LOG_LEVEL=debug
	machine systemctl reload talon.service
	journal | found "reload: log-level: debug" || fail "the environment file is not read again"
	equal "process" "$pid" "$(main_pid)"
}

test_loop_that_hangs_is_replaced_and_packets_flow_on() {
	local pid said
	running
	mkdir -p "$RUN/drop"
	printf '[Service]\nWatchdogSec=2\n' >"$RUN/drop/watchdog.conf"
	machine_put "$RUN/drop/watchdog.conf" /etc/systemd/system/talon.service.d/watchdog.conf 644
	machine systemctl daemon-reload
	machine systemctl restart talon.service
	pid=$(main_pid)
	said=$(unit WatchdogTimestampMonotonic)
	says_again() { not unit_is WatchdogTimestampMonotonic "$said"; }
	wait_for 5 "a sign of life" says_again
	equal "process" "$pid" "$(main_pid)"
	hang() { machine kill -STOP "$pid" && wait_for 15 "another controller" other_pid "$pid"; }
	unnoticed hang
	journal | found "Watchdog timeout" || fail "it was not the watchdog"
	machine rm -r /etc/systemd/system/talon.service.d
	machine systemctl daemon-reload
	unnoticed machine systemctl restart talon.service
}

test_crash_is_followed_by_another_start_and_packets_flow_on() {
	local pid
	running
	pid=$(main_pid)
	crash() { machine kill -KILL "$pid" && wait_for 15 "another controller" other_pid "$pid"; }
	unnoticed crash
	equal "helpers" 1 "$(machine pgrep -cf 'talon keystream')"
}

test_stop_leaves_the_datapath() {
	running
	unnoticed machine systemctl stop talon.service
	equal "state" inactive "$(unit ActiveState)"
	not machine pgrep -x talon
	machine talon status --check datapath
	unnoticed machine systemctl start talon.service
}

test_upgrade_restarts_the_controller_and_loses_no_packet() {
	local pid
	running
	pid=$(main_pid)
	unnoticed machine dpkg -i /tmp/new.deb
	other_pid "$pid" || fail "the old controller runs: $pid"
	equal "version" 9.0 "$(machine dpkg-query -W -f '${Version}' talon)"
	equal "enabled" enabled "$(unit UnitFileState)"
	# Where the administrator forbids it, the old one goes on.
	printf '#!/bin/sh\nexit 101\n' >"$RUN/policy"
	machine_put "$RUN/policy" /usr/sbin/policy-rc.d 755
	pid=$(main_pid)
	machine dpkg -i /tmp/new.deb
	equal "process" "$pid" "$(main_pid)"
	machine rm /usr/sbin/policy-rc.d
}

says() { # TEXT COMMAND...: prints this one line
	local text=$1
	shift
	equal "$*" "$text" "$("$@" 2>&1 || true)"
}

test_service_verbs_make_change_and_remove_a_unit() {
	local json=/var/lib/netbird/service.json
	machine dpkg -P talon
	config
	machine_put "$TALON" /opt/talon 755
	machine ln -sf talon /opt/netbird
	finally "machine systemctl stop netbird.service; machine /opt/talon down"
	says "Error: service install: no systemd runs here; have what starts services run: talon service run" \
		machine unshare --mount sh -c 'mount -t tmpfs none /run/systemd && exec /opt/netbird service install'
	says "Error: service status: netbird.service is not installed" machine /opt/netbird service status
	says "NetBird service has been installed" machine env NB_LOG_LEVEL=info /opt/netbird service install --static /etc/talon.conf \
		--service-env 'TALON_CAPTURE=off,SECRET=a "b" $c'
	says "Error: service install: /etc/systemd/system/netbird.service is there already; change it by talon service reconfigure" \
		machine /opt/netbird service install
	says "NetBird service status: Stopped" machine /opt/netbird service status
	says "NetBird service has been started" machine /opt/netbird service start
	says "NetBird service status: Running" machine /opt/netbird service status
	flows
	equal "enabled" enabled "$(machine systemctl is-enabled netbird.service)"
	equal "saved" '{"log_level":"info","service_env_vars":{"TALON_STATIC":"/etc/talon.conf","TALON_CAPTURE":"off","SECRET":"a \"b\" $c"}}' \
		"$(machine jq -c . $json)"
	equal "modes" "600 600 644" "$(machine stat -c %a $json /var/lib/netbird/service.env /etc/systemd/system/netbird.service | paste -sd ' ')"
	not machine grep -r SECRET /etc/systemd/system
	machine sh -c 'tr "\0" "\n" </proc/$(systemctl show --value -p MainPID netbird)/environ' | found -xF 'SECRET=a "b" $c' || fail "the variable is lost"
	unnoticed says "NetBird service has been reconfigured and started" machine /opt/netbird service reconfigure --log-level debug --service-env ""  \
		--static /etc/talon.conf
	machine systemctl cat netbird.service | found '^ExecStart=/opt/talon service run --log-level "debug" \$TALON_OPTIONS$' || fail "not reconfigured"
	says "NetBird service has been restarted" machine /opt/netbird service restart
	says "NetBird service has been stopped" machine /opt/netbird service stop
	reaches
	says "NetBird service has been uninstalled" machine /opt/netbird service uninstall
	says "Error: service uninstall: /etc/systemd/system/netbird.service is not there: nothing is installed" machine /opt/netbird service uninstall
	says "Removed saved service parameters ($json)" machine /opt/netbird service reset-params
	says "No saved service parameters found" machine /opt/netbird service reset-params
	# What is not ours stays.
	echo "[Unit]" >"$RUN/other"
	machine_put "$RUN/other" /etc/systemd/system/talon.service 644
	says "talon: service uninstall: /etc/systemd/system/talon.service is not ours, and stays" machine /opt/talon service uninstall
	machine rm /etc/systemd/system/talon.service
	machine systemctl daemon-reload
}

hub() { machine systemctl show --value -p "$1" talon-hub.service; }	# PROPERTY
hub_said() { machine journalctl --no-pager -o cat -u talon-hub.service | found -E "$1"; }

test_unit_of_the_hub_runs_without_privileges_and_keeps_what_it_knows() {
	local pid
	running
	machine systemd-analyze verify talon-hub.service
	machine mkdir -p /etc/talon
	printf '%s\n' 'listen: 127.0.0.1:80' 'policies: []' >"$RUN/hub.yaml"
	machine_put "$RUN/hub.yaml" /etc/talon/hub.yaml 644
	machine systemctl start talon-hub.service || { machine journalctl --no-pager -u talon-hub.service; fail "it does not start"; }
	finally "machine systemctl stop talon-hub.service; machine rm -r /etc/talon"
	pid=$(hub MainPID)
	not machine sh -c "[ \$(stat -c %u /proc/$pid) = 0 ]" || fail "it runs as root"
	machine grep CapEff "/proc/$pid/status" | found "0000000000000400$" || fail "capabilities: $(machine grep CapEff "/proc/$pid/status")"
	machine talon hub keys add home --reusable | found -E "[0-9A-Fa-f-]{36}" || fail "no key was made"
	echo "polices: []" >"$RUN/hub.yaml"
	machine_put "$RUN/hub.yaml" /etc/talon/hub.yaml 644
	not machine systemctl reload talon-hub.service
	hub_said "hub.yaml:1: polices" || fail "nothing about the fault"
	printf '%s\n' 'listen: 127.0.0.1:80' 'policies: []' >"$RUN/hub.yaml"
	machine_put "$RUN/hub.yaml" /etc/talon/hub.yaml 644
	machine systemctl reload talon-hub.service
	equal "process" "$pid" "$(hub MainPID)"
	machine kill -KILL "$pid"
	wait_for 15 "another start" hub_runs_again "$pid"
	machine talon hub keys --json | jq -e '.. | .name? | select(. == "home")' || fail "the key is gone"
	note "$(machine systemd-analyze security --no-pager talon-hub.service | tail -n 1)"
}

hub_runs_again() { [ "$(hub MainPID)" != "$1" ] && machine talon hub status; }	# PID

test_purge_leaves_nothing() {
	running
	machine dpkg -r talon
	not machine ip link show wt0
	equal "pins" "" "$(machine find /sys/fs/bpf -mindepth 1 -not -name '*.debug')"
	not grep -q . <<<"$(machine bpftool -j net show dev eth0 | jq -r '.[].xdp[], .[].tc[]')"
	machine test -e /etc/default/talon
	machine dpkg -P talon
	equal "unit" not-found "$(unit LoadState)"
	equal "files" "" "$(machine find /etc /usr /var/lib /var/log /run -xdev -newer /etc/hostname \( -iname '*talon*' -o -path '/var/lib/netbird*' \) \
		-not -path '/etc/talon.conf')"
	equal "package" "" "$(machine dpkg-query -W -f '${db:Status-Status}' talon 2>/dev/null | grep -v not-installed || true)"
}

test_purge_takes_a_unit_of_service_install_and_leaves_the_identity_of_a_client_without_a_package() {
	local unit=/etc/systemd/system/talon.service
	machine dpkg -P talon
	machine dpkg -i /tmp/talon.deb
	machine talon service install
	machine test -L /etc/systemd/system/multi-user.target.wants/talon.service
	machine sh -c 'mkdir -p /var/lib/netbird && echo "{}" >/var/lib/netbird/default.json && touch /usr/bin/netbird'
	finally "machine rm -f /usr/bin/netbird"
	machine dpkg -P talon
	machine test -e /var/lib/netbird/default.json
	equal "files" "" "$(machine sh -c "ls -d $unit /etc/systemd/system/*.wants/talon.service 2>/dev/null" || true)"
	machine rm /usr/bin/netbird
	machine dpkg -i /tmp/talon.deb
	machine dpkg -P talon
	not machine test -e /var/lib/netbird
}
