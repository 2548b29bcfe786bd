# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The second start: settings given once are kept, secrets are gone, and no request can end the process.

. "$E2E/mesh/mesh.sh"

setup() {
	mesh_setup lap node gw
	servers_up gw
	mkdir -p "$RUN/state"
	mesh key $SETUP_KEY valid
}

URL=http://$MESH_HOST:8080

kept_url() { # HOST
	jq -r '.ManagementURL | .Scheme + "://" + .Host' "$RUN/state/$1/default.json"
}

keeps_url() { [ "$(kept_url "$1")" = "$2" ]; }	# HOST URL: for wait_for

back() { wait_for 15 "the node to be back" mesh_is node sync true; }

test_restart_without_variables_goes_to_the_same_server() {
	member_forget node
	member_up node
	equal "server in the identity" "$URL" "$(kept_url node)"
	equal "mode of the identity" 600 "$(stat -c %a "$RUN/state/node/default.json")"
	member_down node
	: >"$RUN/log/node"
	member_start node NB_MANAGEMENT_URL= NB_HOSTNAME=
	back
	not grep -F netbird.io "$RUN/log/node"
	equal "peers" 1 "$(mesh status | jq '.peers | length')"
	# Another server given by the user wins and is remembered, though it never answered.
	member_down node
	member_start node NB_MANAGEMENT_URL=http://10.99.0.77:1
	wait_for 10 "the other server to be kept" keeps_url node http://10.99.0.77:1
	stop node
	member_start node
	back
	equal "server in the identity" "$URL" "$(kept_url node)"
}

test_daemon_that_was_told_its_server_once_goes_there_again() {
	member_forget node
	member_start node NB_MANAGEMENT_URL=http://10.99.0.77:1 service run
	wait_for 10 "the daemon" member node status --check live
	AS=netbird member node NB_MANAGEMENT_URL= up -m "$URL" -k "$SETUP_KEY"
	back
	equal "server in the identity" "$URL" "$(kept_url node)"
	member_down node
	member_start node NB_MANAGEMENT_URL= service run
	back
}

ask_socket() { # HOST LINE...: each answered on a line
	/usr/bin/python3 - "$RUN/$1.sock" "${@:2}" <<-'END'
		import socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.settimeout(10)
		s.connect(sys.argv[1])
		f = s.makefile("rw")
		for line in sys.argv[2:]:
		    f.write(line + "\n")
		    f.flush()
		    print(f.readline()[:300].rstrip())
	END
}

test_nonsense_that_is_asked_for_is_refused_and_hurts_nothing() {
	local pid
	member_forget node
	member_start node NB_MANAGEMENT_URL=http://10.99.0.77:1 service run
	wait_for 10 "the daemon" member node status --check live
	pid=$(pid_of node)
	for url in nonsense "" https:// ftp://a.test https://a.test:0; do
		ask_socket node "{\"request\":\"up\",\"managementUrl\":\"$url\"}" '{"request":"snapshot"}' '{"request":"logout"}' >"$RUN/log/said"
		cat "$RUN/log/said"
		sed -n 1p "$RUN/log/said" | found '"ok":false,"error":'
		sed -n 2p "$RUN/log/said" | found '"ok":true'
	done
	alive node
	equal "process" "$pid" "$(pid_of node)"
	equal "server in the identity" "http://10.99.0.77:1" "$(kept_url node)"
}

test_setup_key_is_nowhere_in_memory_once_it_was_used() {
	local way
	(umask 077 && echo "$SETUP_KEY" >"$RUN/key-file")
	for way in NB_SETUP_KEY="$SETUP_KEY" NB_SETUP_KEY_FILE="$RUN/key-file" argument told; do
		member_forget node
		case $way in
		argument) member_start node up --setup-key "$SETUP_KEY" ;;
		told)
			member_start node service run
			wait_for 10 "the daemon" member node status --check live
			AS=netbird member node up -k "$SETUP_KEY"
			;;
		*) member_start node "$way" ;;
		esac
		wait_for 15 "the node to be ready" member_ready_or_dead node
		memory_of "$(pid_of node)" >"$RUN/memory"
		[ "$(stat -c %s "$RUN/memory")" -gt 100000 ]
		grep -qaF "$(jq -r .fqdn <<<"$(member node status --json)")" "$RUN/memory"	# what is there is found
		not grep -qaiF "$SETUP_KEY" "$RUN/memory" || fail "the key is in memory (${way%%=*})"
	done
	rm -f "$RUN/memory"
}

test_setup_key_over_http_is_warned_of_once() {
	member_forget node
	: >"$RUN/log/node"
	member_start node NB_SETUP_KEY="$SETUP_KEY"
	wait_for 10 "the node to be ready" member_ready_or_dead node
	equal "warnings" 1 "$(log_lines node "setup key goes to $URL without TLS")"
	member_down node
	: >"$RUN/log/node"
	member_start node
	back
	equal "warnings without a key" 0 "$(log_lines node "without TLS")"
}

test_what_a_crash_left_in_the_state_directory_goes() {
	member_forget node
	member_up node
	member_down node
	echo secret >"$RUN/state/node/default.json.talon-aB3xYz"
	echo secret >"$RUN/state/node/talon-map.talon-000000"
	echo mine >"$RUN/state/node/default.json.backup"
	member_start node
	back
	equal "files" "default.json.backup" "$(cd "$RUN/state/node" && ls default.json.* talon-map.* 2>/dev/null)"
}

test_read_only_state_directory_with_a_good_identity_is_enough() {
	local ip
	member_forget node
	member_up node
	ip=$(mesh_ip node)
	member_down node
	cat >"$RUN/talon-ro" <<-END
		#!/bin/bash
		exec unshare -m bash -c 'mount --bind "$RUN/state/node" "$RUN/state/node" && mount -o remount,bind,ro "$RUN/state/node" && exec "\$0" "\$@"' \
			"$(readlink -f "$TALON")" "\$@"
	END
	chmod +x "$RUN/talon-ro"
	: >"$RUN/log/node"
	TALON=$RUN/talon-ro member_start node NB_MANAGEMENT_URL=
	wait_for 15 "the node to be ready" member_ready_or_dead node
	equal "address" "$ip" "$(member node status --ipv4)"
	mesh_is node sync true
	not member_logged node "cannot (be written|be opened|write|open)"
	stop node
	: >"$RUN/log/node"
	TALON=$RUN/talon-ro member_start node NB_MANAGEMENT_URL="http://$MESH_HOST:8080/"
	back
}

fill() { # DIRECTORY: to the last byte
	dd if=/dev/zero of="$1/filler" bs=4096 2>/dev/null || true
	dd if=/dev/zero of="$1/rest" bs=1 2>/dev/null || true
	not dd if=/dev/zero of="$1/more" bs=1 count=1
}

# The map that comes cannot be kept, the one that is there is; what is running and what starts anew do not care.
test_full_disk_takes_nothing_from_a_member_that_has_joined() {
	local ip key
	member_forget node
	mkdir -p "$RUN/state/node"
	finally "stop node; umount $RUN/state/node"
	mount -t tmpfs -o size=256k none "$RUN/state/node"
	# No identity, no join: a key that is not kept would be another peer at each start.
	fill "$RUN/state/node"
	: >"$RUN/log/node"
	mesh key "$SETUP_KEY" valid
	member_start node NB_SETUP_KEY="$SETUP_KEY"
	wait_for 10 "the end of the node" not alive node
	grep "No space left on device" "$RUN/log/node"
	equal "peers" 0 "$(mesh status | jq '[.peers[] | select(.name | startswith("node"))] | length')"
	rm "$RUN/state/node"/*
	member_up node
	ip=$(mesh_ip node)
	key=$(mesh peer node key)
	fill "$RUN/state/node"
	mesh route lan peer=node network=192.168.1.0/24 netid=lan metric=100
	wait_for 10 "the route" member_says_route
	stop node KILL
	member_start node NB_MANAGEMENT_URL=
	back
	wait_for 10 "the route again" member_says_route
	equal "address" "$ip" "$(mesh_ip node)"
	equal "key" "$key" "$(mesh peer node key)"
	member_logged node "No space left on device"
}

member_says_route() { [ "$(member_says node '.networks | length')" -gt 0 ]; }

test_hangup_does_not_end_a_member_of_a_mesh() {
	local pid
	member_forget node
	member_up node
	pid=$(pid_of node)
	kill -HUP "$pid"
	wait_for 5 "the signal to be heard" member_logged node "SIGHUP: "
	member node status --check ready
	mesh_is node sync true
	equal "process" "$pid" "$(pid_of node)"
}

# What the profile of NetBird's client asks for.
test_adopted_settings_are_honoured_refused_or_said() {
	local file=$RUN/state/node/default.json
	member_forget node
	member_up node
	member_down node
	jq '.NATExternalIPs = ["203.0.113.9"] | .LazyConnectionEnabled = true | .IFaceBlackList += ["eth7"]' \
		"$file" >"$RUN/adopted" && cp "$RUN/adopted" "$file"
	: >"$RUN/log/node"
	member_start node
	wait_for 15 "the node to be ready" member_ready_or_dead node
	for key in NATExternalIPs LazyConnectionEnabled IFaceBlackList; do
		equal "lines about $key" 1 "$(log_lines node "default.json: $key: no effect: ")"
	done
	equal "lazy" false "$(member node status --json | jq .lazyConnectionEnabled)"
	member_down node
	jq '.RosenpassEnabled = true' "$RUN/adopted" >"$file"
	member_command node up
	not in_ns node timeout 20 "${MEMBER_COMMAND[@]}" >"$RUN/log/refused" 2>&1
	grep -E "default.json: RosenpassEnabled is true.*NB_ENABLE_ROSENPASS=false" "$RUN/log/refused"
	not ip -n "$P-node" link show wt0
	member_start node NB_ENABLE_ROSENPASS=false
	back
}

test_no_secret_is_in_any_log() {
	no_secret_in_logs
}

test_reload_takes_settings_over_while_packets_flow() {
	local file=$RUN/state/node/default.json pid said rc=0
	member_forget node
	member_up node
	[ -e "$RUN/state/lap/default.json" ] || member_up lap
	mesh route lan peer=node network=192.168.1.0/24
	direct lap node
	pid=$(pid_of node)
	wait_for 15 "the network behind the node" answers lap "$GW"
	flow_start lap "$GW"
	equal "answer" "nothing has changed" "$(member node reload)"
	equal "answer" "log-level: debug" "$(member node NB_LOG_LEVEL=debug reload --environment)"
	said=$(member node NB_LOG_LEVEL=info NB_HOSTNAME=other NB_MTU=1300 reload --environment | paste -sd '|')
	equal "answer" "log-level: info|needs a restart: mtu, hostname" "$said"
	member node NB_MTU=1 reload --environment >"$RUN/log/said" 2>&1 || rc=$?
	equal "exit status" 1 $rc
	equal "refusal" "talon: reload: NB_MTU: '1' is not an MTU; expected 576-1600; nothing has changed" "$(cat "$RUN/log/said")"
	flow_end "5 reloads"
	member node reload --environment
	# The identity file of a stock client says so too, at the next reload.
	jq '.DisableServerRoutes = true' "$file" >"$RUN/changed" && cp "$RUN/changed" "$file"
	equal "answer" "disable-server-routes: true" "$(member node reload)"
	wait_for 15 "the network to be closed" not answers lap "$GW"
	jq '.DisableServerRoutes = false' "$file" >"$RUN/changed" && cp "$RUN/changed" "$file"
	equal "answer" "disable-server-routes: false" "$(member node reload)"
	wait_for 15 "the network behind the node" answers lap "$GW"
	equal "process" "$pid" "$(pid_of node)"
}
