# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# `talon preflight`: what it finds on a host that is good, on one that is not, and beside a Talon that runs.

setup() {
	needs_talon
	topology lap node gw
	servers_up gw
	client_up lap
	# The namespaces' peers of veth devices are as good as a wire (wire_sized), which cannot be seen from here.
	write_config node "$RUN/pre.conf"
}

# Prints JSON; the exit status is that of the command.
preflight() { in_ns node "${AS[@]}" "$TALON" preflight --static "$RUN/pre.conf" --pin-dir "$PIN" --json "$@"; }
AS=(env)

# One run, which finding() asks then.
look() { # [PREFLIGHT-ARGUMENT...]
	local rc=0
	preflight "$@" >"$RUN/log/preflight" 2>"$RUN/log/preflight-err" || rc=$?
	equal "exit status" "$(jq 'if .problems > 0 then 1 else 0 end' "$RUN/log/preflight")" $rc || { cat "$RUN/log/preflight-err"; exit 1; }
	equal "what counts" "$(jq '[.findings[] | select(.level == "problem")] | length' "$RUN/log/preflight")" "$(jq .problems "$RUN/log/preflight")"
}

finding() { # CHECK LEVEL PATTERN: of what, why and do, with slashes between them
	jq -c '.findings[] | select(.check == "'"$1"'")' "$RUN/log/preflight"
	jq -e --arg p "$3" 'any(.findings[] | select(.check == "'"$1"'" and .level == "'"$2"'");
		(.what + " / " + .why + " / " + (.do // "")) | test($p))' "$RUN/log/preflight" >/dev/null || fail "no $2 of $1 with $3"
}

# Two programs as somebody else's: they do nothing.
program() { # NAME-FOR-XDP NAME-FOR-TC: into $RUN/NAME-FOR-TC.o
	needs clang gcc
	clang -O2 -g -target bpf "-I/usr/include/$(gcc -print-multiarch)" -x c -c - -o "$RUN/$2.o" <<-END
		#include <linux/bpf.h>
		#include <bpf/bpf_helpers.h>
		SEC("xdp") int $1(struct xdp_md *ctx) { return XDP_PASS; }
		SEC("tc") int $2(struct __sk_buff *skb) { return -1; }
		char LICENSE[] SEC("license") = "GPL";
	END
}

at_tc() { # DEVICE ingress|egress OBJECT
	in_ns node tc qdisc add dev "$1" clsact
	finally "in_ns node tc qdisc del dev $1 clsact"
	in_ns node tc filter add dev "$1" "$2" bpf da obj "$3" sec tc
}

at_xdp() { # OBJECT
	in_ns node ip link set dev eth0 xdp obj "$1" sec xdp
	finally "in_ns node ip link set dev eth0 xdp off"
}

test_a_clean_host_is_fit_and_every_check_has_a_line() {
	local name
	look
	equal "can run" true "$(jq .canRun "$RUN/log/preflight")"
	equal "problems" 0 "$(jq .problems "$RUN/log/preflight")"
	for name in $(sed -n 's/^### `\(.*\)`$/\1/p' "$E2E/../../docs/preflight.md"); do
		jq -e '[.findings[] | select(.check == "'"$name"'")] | length > 0' "$RUN/log/preflight" >/dev/null || fail "no line of $name"
	done
	finding checksums warning "eth0 is a veth"
	finding programs ok "the verifier takes them all"
	finding features ok "all there"
	in_ns node "$TALON" preflight --static "$RUN/pre.conf" --pin-dir "$PIN" >"$RUN/log/text"
	grep -q '^Talon can run here: 0 problems, ' "$RUN/log/text"
	equal "lines" "$(jq '.findings | length + 1' "$RUN/log/preflight")" "$(wc -l <"$RUN/log/text")"
}

test_nothing_on_the_host_changes() {
	snapshot node "$RUN/before"
	! [ -e /proc/modules ] || cut -d' ' -f1 /proc/modules >"$RUN/before/modules"
	preflight >/dev/null
	snapshot node "$RUN/after"
	! [ -e /proc/modules ] || cut -d' ' -f1 /proc/modules >"$RUN/after/modules"
	same_snapshot "$RUN/before" "$RUN/after"
}

test_a_foreign_xdp_program_is_named_and_costs_speed_or_the_start() {
	program somebodys unused
	at_xdp "$RUN/unused.o"
	look
	finding xdp warning "eth0: the XDP slot is held by somebodys .id [0-9]+. .*runs at tc"
	look --datapath xdp
	finding xdp problem "the XDP slot is held by somebodys .id [0-9]+. .* Datapath = xdp needs that slot"
	look --datapath tcx
	finding xdp ok "somebodys .id [0-9]+. stays alone"
	# talon up says the same.
	write_config node "$RUN/xdp.conf" "Datapath = xdp"
	EXIT=1 refused "$RUN/xdp.conf" 'the XDP slot of eth0 is held by somebodys'
}

test_a_program_at_tc_is_named_with_its_place() {
	program unused others
	at_tc eth0 egress "$RUN/others.o"
	look
	finding tc note "eth0: clsact egress: others .id [0-9]+."
}

test_ciliums_program_on_the_uplink_gives_it_away() {
	program cil_xdp_entry cil_from_netdev
	at_tc eth0 ingress "$RUN/cil_from_netdev.o"
	look
	finding cni ok "Cilium .program cil_from_netdev on eth0."
	finding cilium ok "XDP slot is left to it.*acceleration=native"
	look --datapath xdp
	finding cilium warning "Datapath = xdp takes the XDP slot.*acceleration=native"
	look
	finding cilium note "wt0 does not exist yet.*devices"
	at_xdp "$RUN/cil_from_netdev.o"
	look
	finding cilium note "XDP acceleration is on at eth0"
}

test_a_host_that_does_not_forward_cannot_serve_networks() {
	in_ns node sysctl -qw net.ipv4.ip_forward=0
	finally "in_ns node sysctl -qw net.ipv4.ip_forward=1"
	look
	finding forwarding problem "net.ipv4.ip_forward=0.*sysctl -w net.ipv4.ip_forward=1"
}

test_strict_filters_are_named_also_for_the_tunnel_that_is_to_come() {
	in_ns node sysctl -qw net.ipv4.conf.default.rp_filter=1 net.ipv4.conf.all.src_valid_mark=1
	finally "in_ns node sysctl -qw net.ipv4.conf.default.rp_filter=0 net.ipv4.conf.all.src_valid_mark=0"
	look --hand-up pass
	finding rp-filter warning "rp_filter=1 .strict. on wt0"
	finding src-valid-mark warning "src_valid_mark=1 on eth0"
}

test_a_port_in_use_is_a_problem_on_either_family() {
	spawn squat node $NET udp-serve 0.0.0.0 $PORT "$RUN/log/squat-seen"
	finally "stop squat"
	wait_for 5 "the other program" listening node ":$PORT" u
	look
	finding port problem "UDP port $PORT .*is in use / peers send to it / write a free port"
	look --listen-port 51999
	finding port ok "UDP port 51999 is free on IPv4 and IPv6"
	refused "$RUN/pre.conf" "UDP port $PORT .*is in use; write a free port"
}

test_a_missing_capability_is_named() {
	needs setpriv
	AS=(setpriv --bounding-set=-net_raw --inh-caps=-net_raw)
	look
	finding capabilities problem "missing capability: CAP_NET_RAW"
	refused_by "setpriv --bounding-set=-net_raw --inh-caps=-net_raw" "$RUN/pre.conf" 'missing capability: CAP_NET_RAW'
	AS=(setpriv --bounding-set=-bpf,-sys_admin --inh-caps=-bpf,-sys_admin)
	look
	finding capabilities problem "missing capability: CAP_BPF"
	finding programs note "not tried"
	AS=(setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin)
	look
	finding capabilities note "without CAP_SYS_ADMIN.*all else works"
	finding programs ok "the verifier takes them all"
	AS=(env)
	# All else works.
	node_down
	write_config node "$RUN/node.conf"
	TALON=$RUN/unprivileged
	printf '#!/bin/sh\nexec setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin %s "$@"\n' "$(readlink -f "$BUILD/talon")" >"$TALON"
	chmod +x "$TALON"
	talon_up node "$RUN/node.conf"
	finally "node_down"
	client_peer lap
	fetch_page lap
}

test_the_kernels_type_information_is_no_condition() {
	AS=(unshare -m sh -c 'mount -t tmpfs none /sys/kernel/btf && exec "$@"' sh)
	look
	finding btf note "no /sys/kernel/btf/vmlinux"
	finding programs ok "the verifier takes them all"
}

test_a_bpf_file_system_that_is_not_mounted_is_no_problem_to_who_may_mount_it() {
	needs unshare setpriv
	local gone=(unshare -m sh -c 'umount -l /sys/fs/bpf 2>/dev/null; exec "$@"' sh)
	PIN=/sys/fs/bpf/talon-preflight-$P
	AS=("${gone[@]}")
	look
	finding pin-dir note "/sys/fs/bpf is not mounted.*talon up mounts it"
	AS=("${gone[@]}" setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin)
	look
	finding pin-dir problem "/sys/fs/bpf is not mounted.*mount -t bpf bpf /sys/fs/bpf"
	AS=(env)
	PIN=/tmp/nowhere look
	finding pin-dir problem "/tmp/nowhere is not on a bpf file system"
}

test_a_tunnel_of_somebody_else_is_in_the_way() {
	in_ns node ip link add wt0 type bridge
	finally "in_ns node ip link del wt0"
	look
	finding tunnel problem "a device wt0, .* exists and is not Talon's"
	look --tunnel wt5
	finding tunnel ok "wt5 is free"
	EXIT=1 refused "$RUN/pre.conf" 'device wt0 .*is not ours'
}

test_a_tunnel_larger_than_the_uplink_is_a_problem() {
	look --mtu 1600
	finding mtu problem "MTU: 1600 does not fit through eth0 .1500. / .* / write at most 1440"
	look --mtu 1440
	finding mtu ok "1440 in the tunnel fits through eth0 .1500."
}

test_nat_ports_of_others_are_named() {
	look
	finding nat-ports ok "12288-19999"
	look --snat-ports 31000-32000
	finding nat-ports warning "30000-32767, Kubernetes NodePorts"
}

test_a_running_talon_is_told_from_a_clash() {
	node_up
	fetch_page lap
	cp "$RUN/node.conf" "$RUN/pre.conf"
	look
	finding controller note "Talon runs on $PIN .pid $(pid_of node)."
	finding port ok "UDP port $PORT is that of the Talon that runs"
	finding tunnel ok "wt0 is Talon's own"
	finding xdp ok "eth0: Talon's own program"
	finding cilium ok "not on this node"
	equal "can run" true "$(jq .canRun "$RUN/log/preflight")"
	fetch_page lap
	equal "the same process" "$(pid_of node)" "$(status .controller.pid)"
	# Without the controller the datapath is what the next one takes over.
	stop node
	look
	finding controller ok "none runs; .* which the next one takes over"
	finding xdp ok "eth0: Talon's own program"
	finding port ok "UDP port $PORT is free"
	node_down
}

test_ciliums_device_list_is_read_from_the_tunnel() {
	program cil_xdp_entry cil_from_netdev
	node_up
	in_ns node ip link add cilium_host type bridge
	finally "in_ns node ip link del cilium_host"
	look
	finding cni ok "Cilium .device cilium_host."
	finding cilium warning "wt0 is not among Cilium's devices.*Cilium's devices"
	at_tc wt0 ingress "$RUN/cil_from_netdev.o"
	look
	finding cilium ok "wt0 is among Cilium's devices"
	node_down
}

test_cnis_are_known_by_devices_chains_tables_and_sets() {
	needs nft
	in_ns node ip link add cali0123456789a type bridge
	in_ns node ip link add flannel.1 type bridge
	in_ns node ip link add kube-bridge type bridge
	finally "in_ns node ip link del cali0123456789a; in_ns node ip link del flannel.1; in_ns node ip link del kube-bridge"
	in_ns node nft -f - <<-END
		add table ip filter
		add chain ip filter KUBE-ROUTER-INPUT
		add chain ip filter cali-INPUT
		add table ip nat
		add chain ip nat KUBE-SERVICES
		add chain ip nat FLANNEL-POSTRTG
	END
	finally "in_ns node nft flush ruleset"
	look
	finding cni ok "Calico .device cali0123456789a, chain cali-INPUT in filter."
	finding cni ok "flannel .device flannel.1, chain FLANNEL-POSTRTG in nat."
	finding cni ok "kube-router .device kube-bridge, chain KUBE-ROUTER-INPUT in filter."
	finding kube-proxy note "mode iptables .chain KUBE-SERVICES in nat."
	in_ns node nft flush ruleset
	in_ns node nft add table ip kube-proxy
	look
	finding kube-proxy note "mode nftables .table kube-proxy."
	in_ns node ip link add kube-ipvs0 type bridge
	finally "in_ns node ip link del kube-ipvs0"
	look
	finding kube-proxy note "mode ipvs .device kube-ipvs0."
}

test_chains_of_iptables_legacy_and_sets_are_read_too() {
	needs iptables-legacy ipset
	in_ns node iptables-legacy -t nat -N KUBE-SERVICES || skip "this kernel has no iptables-legacy"
	finally "in_ns node iptables-legacy -t nat -X"
	look
	finding kube-proxy note "mode iptables .chain KUBE-SERVICES in nat."
	in_ns node ipset create cali40masq-ipam-pools hash:net || skip "this kernel has no ipset"
	finally "in_ns node ipset destroy cali40masq-ipam-pools"
	look
	finding cni ok "Calico .set cali40masq-ipam-pools."
}

# What the check conntrack says: nothing that Talon forwards is seen by connection tracking, not even one way.
test_strict_rules_about_connections_do_not_meet_what_talon_forwards() {
	needs nft
	node_up
	in_ns node nft -f - <<-END
		table inet strict {
			chain before { type filter hook prerouting priority -150; ct state invalid counter drop; }
			chain inwards { type filter hook input priority 0; ct state invalid counter drop; }
			chain forwards { type filter hook forward priority 0; policy drop; }
			chain outwards { type filter hook output priority 0; ct state invalid counter drop; }
		}
	END
	finally "in_ns node nft delete table inet strict"
	look
	finding conntrack ok "chain strict before drops what is INVALID / .* pass below it, both ways"
	fetch_and_put lap medium
	all_answered lap $GW 20
	node_down
}

test_rules_of_iptables_about_invalid_packets_are_read() {
	needs iptables-nft
	[ -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || skip "this kernel has no br_netfilter"
	in_ns node iptables-nft -t mangle -A PREROUTING -m conntrack --ctstate INVALID -j DROP
	in_ns node ip link add br5 type bridge
	finally "in_ns node ip link del br5; in_ns node nft flush ruleset; in_ns node sysctl -qw net.bridge.bridge-nf-call-iptables=0"
	in_ns node sysctl -qw net.bridge.bridge-nf-call-iptables=1
	look
	finding conntrack warning "chain mangle PREROUTING drops what is INVALID"
}

# The exception that the check warns of: br_netfilter shows connection tracking the replies of a bridge's pods, and nothing else of the connection.
test_behind_a_bridge_connection_tracking_sees_half_of_it() {
	needs nft
	[ -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || skip "this kernel has no br_netfilter"
	node_down
	ns_add pod
	ip -n "$P-node" link add cni0 type bridge forward_delay 0
	finally "node_down; stop http-pod-10.42.0.5; stop udp-pod-10.42.0.5; ip netns del $P-pod; ip -n $P-node link del cni0"
	ip -n "$P-node" addr add 10.42.0.1/24 dev cni0
	ip -n "$P-node" link set cni0 up
	ip -n "$P-node" link add veth5 type veth peer name eth0 netns "$P-pod"
	ip -n "$P-node" link set veth5 master cni0 up
	ip -n "$P-pod" addr add 10.42.0.5/24 dev eth0
	ip -n "$P-pod" link set eth0 up
	ip -n "$P-pod" route add default via 10.42.0.1
	servers_up pod 10.42.0.5
	in_ns node sysctl -qw net.bridge.bridge-nf-call-iptables=0
	node_up "Route = 192.168.1.0/24 masquerade" "Route = 10.42.0.0/16 masquerade"
	cp "$RUN/node.conf" "$RUN/pre.conf"
	in_ns node nft -f - <<-END
		table ip strict { chain before { type filter hook prerouting priority -150; ct state invalid counter drop; }; }
	END
	finally "in_ns node nft delete table ip strict; in_ns node sysctl -qw net.bridge.bridge-nf-call-iptables=0"
	wait_for 5 "the pod's page" fetch_page lap 10.42.0.5
	look
	finding conntrack ok "chain strict before drops what is INVALID"
	in_ns node sysctl -qw net.bridge.bridge-nf-call-iptables=1
	look
	finding conntrack warning "chain strict before drops what is INVALID, and bridge-nf-call-iptables=1"
	! get lap http://10.42.0.5/page --max-time 2 || fail "the rule did not meet the replies"
	in_ns node nft list table ip strict | grep "counter packets [1-9]"
	# As the check advises.
	in_ns node nft insert rule ip strict before iifname cni0 accept
	fetch_page lap 10.42.0.5
}

# The identity says which port and device a mesh will use; it is read, never made.
test_in_a_mesh_the_identity_is_asked_and_left_alone() {
	local state=$RUN/state rc=0
	preflight() { in_ns node "${AS[@]}" "$TALON" preflight --state-dir "$state" --pin-dir "$PIN" --json "$@"; }
	look
	finding port ok "UDP port 51820 is free"
	finding state ok "$state can be written"
	[ ! -e "$state" ] || fail "the state directory was made"
	mkdir -m 700 "$state"
	printf '{"PrivateKey":"%s","WgPort":51999,"WgIface":"utun7"}' "$(key node)" >"$state/default.json"
	chmod 600 "$state/default.json"
	sha "$state/default.json" >"$RUN/before-sum"
	look
	finding port ok "UDP port 51999 is free"
	finding tunnel ok "utun7 is free"
	sha "$state/default.json" | cmp - "$RUN/before-sum"
	AS=(unshare -m sh -c 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"' "$state")
	look
	finding state problem "$state cannot be written: Read-only file system.*--state-dir"
	AS=(env)
	echo "{" >"$state/default.json"
	preflight >"$RUN/log/damaged" 2>&1 || rc=$?
	equal "exit status" 1 $rc
	equal "lines" 1 "$(wc -l <"$RUN/log/damaged")"
}

test_usage_errors_have_exit_status_2() {
	local rc=0
	in_ns node "$TALON" preflight --no-such-thing 2>"$RUN/log/usage" || rc=$?
	equal "exit status" 2 $rc
	grep -q "preflight: '--no-such-thing' is not an option; see talon preflight --help" "$RUN/log/usage"
	rc=0
	in_ns node "$TALON" preflight --static /nonexistent 2>"$RUN/log/usage" || rc=$?
	equal "exit status" 2 $rc
}
