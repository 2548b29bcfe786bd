# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What Talon changes on the host (one route, two pairs of devices), and how it refuses to start.

setup() {
	topology lap node gw
	servers_up gw
	client_up lap
	in_ns node nft -f - <<-END
		table inet somebody {
			chain input {
				type filter hook input priority 0
				tcp dport 9 drop
			}
		}
	END
}

# What may differ while Talon runs: the device pair and what mentions its names.
without_ours() { # FOLDER
	local f ours
	ours=$(ip -n "$P-node" -o link | awk -F': ' '{ print $2 }' | sed 's/@.*//' | grep -E '^wt0' | paste -sd'|')
	mkdir -p "$1.without"
	sed -i 's/ xdp[a-z]* / /' "$1/link"	# the program shows there, for as long as it is attached
	for f in "$1"/*; do
		grep -Ev "(^|[^a-z0-9])($ours)([^a-z0-9]|$)" "$f" >"$1.without/$(basename "$f")" || true
	done
	rm -f "$1.without"/{bpf,pins}
	grep -v clsact "$1/qdisc" | grep -Ev "($ours)" >"$1.without/qdisc" || true
}

test_host_is_the_same_but_for_one_route_and_two_pairs() {
	needs_talon
	node_down
	snapshot node "$RUN/before"
	node_up
	fetch_and_put lap medium
	snapshot node "$RUN/during"
	without_ours "$RUN/during"
	without_ours "$RUN/before"
	same_snapshot "$RUN/before.without" "$RUN/during.without"
	equal "devices more" 4 $(($(wc -l <"$RUN/during/link") - $(wc -l <"$RUN/before/link")))
	equal "routes more in the main table" 1 "$(ip -n "$P-node" route show | grep -c 'dev wt0')"
	equal "mesh route" 100.64.0.0/10 "$(ip -n "$P-node" route show dev wt0 | awk '{ print $1 }')"
	node_down
	snapshot node "$RUN/after"
	same_snapshot "$RUN/before" "$RUN/after"
}

test_tunnel_device_cuts_packets_to_wire_size() {
	needs_talon
	node_up
	equal "offloads that are on" "" "$(in_ns node ethtool -k wt0 | grep -E '^[[:space:]]*(tx-tcp-segmentation|tx-tcp6-segmentation|tx-udp-segmentation|generic-segmentation-offload|tx-checksumming|scatter-gather): on' || true)"
}

test_no_configuration_of_the_kernel_is_asked_for() {
	needs_talon
	node_down
	node_up
	not grep -iE 'sysctl -w|iptables -|nft add' "$RUN/log/node"
}

says_no() { # PATTERN LINE...: exit 2, one line that matches, nothing touched
	local pattern=$1
	shift
	write_config node "$RUN/bad.conf" "$@"
	refused "$RUN/bad.conf" "$pattern"
}

test_bad_configuration_is_named_and_touches_nothing() {
	needs_talon
	node_down
	snapshot node "$RUN/before"
	says_no "PrivateKey" "PrivateKey = tooshort="
	says_no "ListenPort" "ListenPort = 70000"
	says_no "Address" "Address = 100.64.0.1/40"
	says_no "Route" "Route = 192.168.1.0/33 masquerade"
	says_no "Route" "Route = 192.168.1.0/24 masquerate"
	says_no "SNAT" "SNAT = somewhere"
	says_no "SNATPorts" "SNATPorts = 20000-15000"
	says_no "Datapath" "Datapath = ebpf"
	says_no "HostAddress" "HostAddress = maybe"
	says_no "Uplink" "Uplink = nosuchdev0"
	says_no "Datpath" "Datpath = xdp"
	says_no "AllowedIPs" "lap: AllowedIPs = 100.64.0.0/99"
	says_no "PresharedKey" "lap: PresharedKey = nonsense"
	says_no "Endpoint" "lap: Endpoint = 10.99.0.2"
	snapshot node "$RUN/after"
	same_snapshot "$RUN/before" "$RUN/after"
}

test_secrets_are_never_quoted() {
	local secret
	needs_talon
	node_down
	secret=$(wg genkey)
	write_config node "$RUN/bad.conf" "PrivateKey = ${secret%=}x="
	in_ns node timeout 10 "$TALON" up --static "$RUN/bad.conf" --pin-dir "$PIN" >"$RUN/log/bad" 2>&1 || true
	not grep -F "${secret:0:20}" "$RUN/log/bad"
	node_up
	not grep -F "$(key node)" "$RUN/log/node"
}

test_missing_file_is_named() {
	needs_talon
	node_down
	refused "$RUN/nosuchfile.conf" nosuchfile
}

test_busy_port_is_named_and_touches_nothing() {
	needs_talon
	node_down
	finally "stop holder"
	spawn holder node $NET listen 0.0.0.0 $PORT
	wait_for 3 "the port to be taken" listening node ":$PORT" u
	snapshot node "$RUN/before"
	says_no "$PORT"
	snapshot node "$RUN/after"
	same_snapshot "$RUN/before" "$RUN/after"
}

test_file_that_others_can_read_is_a_warning_only() {
	needs_talon
	node_down
	write_config node "$RUN/node.conf"
	chmod 644 "$RUN/node.conf"
	talon_up node "$RUN/node.conf"
	grep -i "warn" "$RUN/log/node" | grep -F node.conf
	client_peer lap
	fetch_page lap
	node_down
}

test_missing_capability_is_named() {
	needs_talon
	needs setpriv
	node_down
	write_config node "$RUN/plain.conf"
	snapshot node "$RUN/before"
	refused_by "setpriv --bounding-set=-net_admin --inh-caps=-net_admin" "$RUN/plain.conf" "(?i)net_admin"
	refused_by "setpriv --bounding-set=-bpf,-sys_admin --inh-caps=-bpf,-sys_admin" "$RUN/plain.conf" "(?i)bpf|sys_admin"
	snapshot node "$RUN/after"
	same_snapshot "$RUN/before" "$RUN/after"
}

test_pin_directory_outside_a_bpf_file_system_is_named() {
	needs_talon
	node_down
	write_config node "$RUN/plain.conf"
	PIN=$RUN/not-bpffs refused "$RUN/plain.conf" "(?i)bpf"
}

test_device_of_another_owner_is_left_alone() {
	needs_talon
	node_down
	finally "ip -n $P-node link del wt0"
	ip -n "$P-node" link add wt0 type veth peer name foreign0
	write_config node "$RUN/plain.conf"
	EXIT=1 refused "$RUN/plain.conf" "wt0"
	ip -n "$P-node" link show wt0 | found foreign0
}
