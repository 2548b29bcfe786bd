# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Joining a mesh: the setup key, the identity that is kept, what is refused, and what status and its checks say in each phase.

. "$E2E/mesh/mesh.sh"

OTHER_KEY=DEADBEEF-1111-4222-8333-444444444444

setup() {
	mesh_setup lap node gw
	servers_up gw
	mkdir -p "$RUN/state"
	mesh key $SETUP_KEY valid
}

peers_known() { mesh status | jq '.peers | length'; }

times_used() { mesh status | jq ".keys[\"${1:-$SETUP_KEY}\"].used"; }

# A start that must fail: its exit status, and one line with the reason (lines before it tell how far it came).
up_refused() { # EXIT PATTERN [VARIABLE=VALUE...] ARGUMENT...
	local expected=$1 pattern=$2 rc=0
	shift 2
	member_command node "$@"
	in_ns node timeout 20 "${MEMBER_COMMAND[@]}" >"$RUN/log/refused" 2>&1 </dev/null || rc=$?
	sed 's/^/said: /' "$RUN/log/refused"
	equal "exit status" "$expected" $rc
	equal "lines" 1 "$(grep -cv " info  \| setup key goes to .* without TLS" "$RUN/log/refused")"
	grep -qE "$pattern" "$RUN/log/refused" || fail "nothing about $pattern"
	[ -n "${RUNS:-}" ] || not ip -n "$P-node" link show wt0
}

says() { # PATTERN COMMAND...: it succeeds and prints that
	local pattern=$1
	shift
	"$@" >"$RUN/log/said" 2>&1 || { cat "$RUN/log/said"; fail "$*: exit status"; }
	grep -qE "$pattern" "$RUN/log/said" || { cat "$RUN/log/said"; fail "$*: nothing about $pattern"; }
}

checks() { # live startup ready datapath, each 0 or 1
	local what
	for what in live startup ready datapath; do
		local rc=0
		member node status --check $what >"$RUN/log/said" 2>&1 || rc=$?
		cat "$RUN/log/said"
		equal "exit status of status --check $what" "$1" $rc
		equal "lines of it" 1 "$(grep -c . "$RUN/log/said")"
		shift
	done
}

checks_are() { (checks "$@"); }	# for wait_for

test_a_setup_key_registers_once_and_later_starts_need_none() {
	local ip
	member_forget node
	member_start node NB_SETUP_KEY="$SETUP_KEY"
	wait_for 10 "the node to be ready" member_ready_or_dead node
	ip=$(mesh_ip node)
	equal "address that it says" "$ip" "$(member node status --ipv4)"
	equal "uses of the key" 1 "$(times_used)"
	equal "mode of the identity" 600 "$(stat -c %a "$RUN/state/node/default.json")"
	stop node
	member_start node
	wait_for 10 "the node to be back" mesh_is node sync true
	member_down node
	member_start node NB_SETUP_KEY="$SETUP_KEY"	# still in the pod's environment: it changes nothing
	wait_for 10 "the node to be back" mesh_is node sync true
	equal "address" "$ip" "$(mesh_ip node)"
	equal "peers" 1 "$(peers_known)"
	equal "uses of the key" 1 "$(times_used)"
}

test_a_setup_key_comes_from_a_file() {
	member_forget node
	(umask 077 && echo "$SETUP_KEY" >"$RUN/key-file")
	mkdir -p "$RUN/state/node"
	member_start node up --setup-key-file "$RUN/key-file"
	wait_for 10 "the node to be ready" member_ready_or_dead node
	mesh_is node sync true
	not grep -qF "$SETUP_KEY" "/proc/$(pid_of node)/environ" || fail "the key is in the environment"
}

test_a_setup_key_is_wiped_from_arguments_and_environment() {
	member_forget node
	member_start node up --setup-key $SETUP_KEY
	wait_for 10 "the node to be ready" member_ready_or_dead node
	not grep -qaF "$SETUP_KEY" "/proc/$(pid_of node)/cmdline"
	member_forget node
	member_start node NB_SETUP_KEY="$SETUP_KEY"
	wait_for 10 "the node to be ready" member_ready_or_dead node
	not grep -qaF "$SETUP_KEY" "/proc/$(pid_of node)/environ"
}

test_identity_of_netbird_s_client_is_adopted() {
	local ip state=$RUN/state/node
	member_forget node
	member_up node
	ip=$(mesh_ip node)
	member_down node
	# What its client would have kept for this very peer.
	jq --slurpfile ours "$state/default.json" --arg host "$MESH_HOST:8080" '.PrivateKey = $ours[0].PrivateKey | .ManagementURL.Host = $host' \
		"$E2E/../unit/vectors/netbird/identity/node-default.json" >"$RUN/adopted.json"
	rm -rf "$state"
	mkdir -p "$state"
	install -m 600 "$RUN/adopted.json" "$state/default.json"
	member_start node NB_MANAGEMENT_URL=
	wait_for 10 "the node to be ready" member_ready_or_dead node
	equal "address" "$ip" "$(member node status --ipv4)"
	equal "peers" 1 "$(peers_known)"
	member_down node
	equal "what the file says but for our changes" "$(jq -S 'keys' "$RUN/adopted.json")" "$(jq -S 'keys' "$state/default.json")"
	equal "private key" "$(jq .PrivateKey "$RUN/adopted.json")" "$(jq .PrivateKey "$state/default.json")"
}

test_keys_that_are_no_good_are_refused_in_one_line() {
	local count
	member_forget node
	count=$(peers_known)
	mesh key $OTHER_KEY expired
	up_refused 1 "setup key is invalid, expired, revoked or used up" NB_SETUP_KEY=$OTHER_KEY up
	up_refused 1 "setup key is invalid, expired, revoked or used up" up -k 00000000-0000-4000-8000-000000000000
	mesh key $OTHER_KEY valid limit=1
	mesh add somebody >/dev/null
	up_refused 2 "is not a setup key; expected the UUID" up -k no-key
	up_refused 2 "is given too; give only one of them" NB_SETUP_KEY=$OTHER_KEY NB_SETUP_KEY_FILE="$RUN/key-file" up
	up_refused 2 "cannot read" up --setup-key-file "$RUN/no-such-file"
	mesh delete somebody
	equal "peers" "$count" "$(peers_known)"
}

test_peer_that_nobody_knows_needs_a_key() {
	member_forget node
	up_refused 1 "does not know this peer.*there is no setup key" up
	AS=netbird up_refused 1 "Error: failed to connect to daemon" up
}

test_management_that_is_away_at_the_start_is_waited_for() {
	local ip pid
	member_forget node
	member_forget lap
	mesh route lan peer=node network=192.168.1.0/24
	finally "mesh unroute lan"
	member_up lap
	member_up node
	wait_for 10 "the node and the laptop to be connected" connected lap node
	ip=$(mesh_ip node)
	member_down node
	mesh stop management
	finally "mesh start management"
	member_start node
	wait_for 10 "the node to be ready by its last map" member_ready_or_dead node
	pid=$(pid_of node)
	wait_for 15 "the node and the laptop to be connected" connected lap node
	fetch_page lap
	saw gw $NODE
	checks 0 1 0 0
	says "Management: Disconnected, reason: " member node status
	mesh start management
	wait_for 30 "the node to be back" mesh_is node sync true
	wait_for 5 "all checks to say yes" checks_are 0 0 0 0
	equal "process" "$pid" "$(pid_of node)"
	alive node
	equal "address" "$ip" "$(mesh_ip node)"
}

test_new_key_of_the_server_is_fetched() {
	member_up_once node
	mesh stale
	mesh eof node
	wait_for 20 "a stream with the new key" synced_again node
	mesh_is node sync true
	mesh_stop KILL
	mesh_start mesh $MESH_HOST
	wait_for 30 "the node to be back after the mesh's crash" mesh_is node sync true
	wait_for 30 "the node to be at signal and relay" member node status --check startup
	equal "logged" 0 "$(grep -c 'level=error\| error ' "$RUN/log/node" || true)"
}

member_up_once() { # HOST: as it is, or up
	alive "$1" || member_up "$1"
	wait_for 10 "$1 to be in the mesh" mesh_is "$1" sync true
	SYNCS=$(mesh peer "$1" syncs)
}

synced_again() { [ "$(mesh peer "$1" syncs)" -gt "$SYNCS" ] && mesh_is "$1" sync true; }

test_second_talon_with_the_same_identity_is_refused() {
	member_up_once node
	RUNS=1 up_refused 1 "another process \($(pid_of node)\) uses this identity" NB_DAEMON_ADDR="unix://$RUN/second.sock" \
		TALON_PIN_DIR="$RUN/bpf/second" NB_WIREGUARD_PORT=51999 NB_INTERFACE_NAME=wt1 up
	not ip -n "$P-node" link show wt1
	says "Already connected" member node up
	mesh_is node sync true
	equal "syncs" "$SYNCS" "$(mesh peer node syncs)"
}

test_login_registers_and_stops() {
	member_forget node
	mkdir -p "$RUN/state/node"
	says "Logging successfully" member node login -k $SETUP_KEY
	equal "peers" 1 "$(mesh status | jq '[.peers[] | select(.name == "node")] | length')"
	not ip -n "$P-node" link show wt0
	mesh_is node sync false
	says "Logging successfully" member node login
	member_start node
	wait_for 10 "the node to be ready" member_ready_or_dead node
	equal "peers" 1 "$(mesh status | jq '[.peers[] | select(.name == "node")] | length')"
}

test_service_waits_for_up_and_checks_follow_each_phase() {
	member_forget node
	mkdir -p "$RUN/state/node"
	checks 1 1 1 1
	member_start node service run
	wait_for 10 "the service to be there" checks_are 0 1 1 0
	says "Daemon status: NeedsLogin" member node status
	AS=netbird up_says 1 "Error: .*there is no setup key" up
	mesh key $OTHER_KEY revoked
	AS=netbird up_says 1 "Error: .*setup key is invalid, expired, revoked or used up" up -k $OTHER_KEY
	alive node
	AS=netbird says "^Connected$" member node up -k $SETUP_KEY
	wait_for 10 "all checks to say yes" checks_are 0 0 0 0
	AS=netbird says "^Already connected$" member node up
	mesh stop relay
	finally "mesh start relay"
	wait_for 10 "the lost relay to be said" checks_are 0 1 0 0
	mesh start relay
	wait_for 20 "the relay to be there again" checks_are 0 0 0 0
	mesh stop signal
	finally "mesh start signal"
	wait_for 10 "the lost signal server to be said" checks_are 0 1 0 0
	mesh start signal
	wait_for 30 "the signal server to be there again" checks_are 0 0 0 0
	AS=netbird says "^Disconnected$" member node down
	finished node 5
	checks 1 1 1 1
	AS=netbird up_says 1 "Error: failed to connect to daemon" status
}

up_says() { RUNS=1 up_refused "$@"; }

test_status_and_routes_list_say_what_scripts_look_for() {
	member_up_once node
	mesh route lan peer=node network=192.168.1.0/24
	finally "mesh unroute lan"
	member_up_once lap
	wait_for 15 "the node and the laptop to be connected" connected lap node
	wait_for 20 "the laptop to be at the relay" member lap status --check startup
	AS=netbird says "^Management: Connected$" member lap status
	grep -x "Peers count: 1/1 Connected" "$RUN/log/said"
	grep -x "Signal: Connected" "$RUN/log/said"
	grep -E "^Relays: (.)/\1 Available$" "$RUN/log/said"
	grep -x "NetBird IP: $(mesh_ip lap)/16" "$RUN/log/said"
	AS=netbird says "^  - ID: lan$" member lap routes list
	grep -A2 -x "  - ID: lan" "$RUN/log/said" | tail -2 >"$RUN/log/route"
	equal "the route" "    Network: 192.168.1.0/24;    Status: Selected;" "$(tr '\n' ';' <"$RUN/log/route")"
	AS=netbird says "node.mesh.test" member lap status -d
	grep -x "  Status: Connected" "$RUN/log/said"
	grep -x "  Networks: 192.168.1.0/24" "$RUN/log/said"
	AS=netbird says "." member lap status --json
	equal "JSON" "true true 1 $(mesh_ip node)" "$(jq -r '[.management.connected, .signal.connected, .peers.connected, .peers.details[0].netbirdIp]
		| map(tostring) | join(" ")' "$RUN/log/said")"
	equal "keys besides NetBird's" null "$(jq .talon "$RUN/log/said")"
	equal "what 0.77 added" "Connected true ws" "$(jq -r '[.daemonStatus, (.wireguardPort > 0), (.relays.details[] | select(.uri | startswith("rel")).transport)]
		| map(tostring) | join(" ")' "$RUN/log/said")"
	AS=netbird says "is Available via ws$" member lap status -dA
	AS=netbird says "." member lap status -j -N node
	equal "filtered" "1 null" "$(jq -r '"\(.peers.total) \(.netbirdIpv6)"' "$RUN/log/said")"
	AS=netbird member lap status -6 >"$RUN/log/said"
	[ ! -s "$RUN/log/said" ] || fail "it has no IPv6 address, and says $(cat "$RUN/log/said")"
	AS=netbird says "^    connected: 1$" member lap status --yaml
	AS=netbird says "^$(mesh_ip lap)$" member lap status --ipv4
	AS=netbird says "." member lap version
}

# The probes of NetBird's container: no word when it holds, exit status 1 when it does not.
test_entrypoint_s_checks_are_silent() {
	local check
	member_up_once node
	for check in live ready startup; do
		AS=netbird member node status --check $check -S nonsense >"$RUN/log/said" 2>&1 || fail "$check: $(cat "$RUN/log/said")"
		[ ! -s "$RUN/log/said" ] || fail "$check says $(cat "$RUN/log/said")"
	done
	member_down node
	! AS=netbird member node status -C live >"$RUN/log/said" 2>&1 || fail "nobody is live"
	grep "^Error: failed to connect to daemon error: " "$RUN/log/said"
}

test_networks_can_be_closed_to_commands() {
	mesh route lan peer=node network=192.168.1.0/24
	finally "mesh unroute lan; member_down lap"
	member_up_once node
	member_down lap 2>/dev/null || true
	member_up lap NB_DISABLE_NETWORKS=true
	wait_for 15 "the route of the network that is in use" host_route lap 192.168.1.0/24
	for verb in list "select lan" "deselect all"; do
		! AS=netbird member lap networks $verb >"$RUN/log/said" 2>&1 || fail "networks $verb was not refused"
		grep -E "^Error: failed to (list|select|deselect) networks?: --disable-networks is set" "$RUN/log/said"
	done
	host_route lap 192.168.1.0/24
}

test_ipv6_stays_unwanted_until_it_is_wanted() {
	finally "mesh six off; member_down node"
	mesh six on
	member_forget node
	member_up node NB_DISABLE_IPV6=true
	equal "the profile" true "$(jq .DisableIPv6 "$RUN/state/node/default.json")"
	member_down node
	member_up node
	equal "what the mesh gave it" null "$(member node status -j | jq .netbirdIpv6)"
	member_down node
	member_up node NB_DISABLE_IPV6=false
	equal "the profile" false "$(jq .DisableIPv6 "$RUN/state/node/default.json")"
}

test_logout_has_the_mesh_delete_the_peer() {
	member_up_once node
	says "Deregistered successfully" member node logout
	wait_for 5 "the mesh to forget the node" not mesh peer node
	wait_for 5 "its peers to be gone" peers_are_gone node
	says "Daemon status: NeedsLogin" member node status
	alive node
	member_down node
	up_refused 1 "does not know this peer" up
	rm -rf "$RUN/state/node"
}

peers_are_gone() { [ "$(member_says "$1" .peers.total)" = 0 ]; }

test_no_secret_is_in_any_log() {
	alive node || member_forget node
	member_up_once node
	equal "private keys to look for" 1 "$(jq -r .PrivateKey "$RUN/state/node/default.json" | grep -c =)"
	no_secret_in_logs
}

# What an agent does not do cannot be in danger. A node that is to route is told, and so is told of the sysctl.
test_an_agent_is_not_told_to_forward() {
	member_up lap
	equal "net.ipv4.ip_forward on the agent" 0 "$(in_ns lap sysctl -n net.ipv4.ip_forward)"
	if member lap status | found ip_forward; then fail "an agent is told that the kernel does not forward"; fi
	member_forget node
	in_ns node sysctl -qw net.ipv4.ip_forward=0
	finally "in_ns node sysctl -qw net.ipv4.ip_forward=1"
	member_up node
	member node status | found 'net.ipv4.ip_forward=0: the kernel forwards nothing'
}
