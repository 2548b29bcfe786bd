# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# One page and one file in every datapath mode that this kernel has.
. /guest/lib.sh

# tcx came with Linux 6.6; before that tc programs need the clsact qdisc.
case $(uname -r) in
6.1.*) modes="xdp xdp-generic clsact" ;;
*) modes="xdp xdp-generic tcx" ;;
esac

status_says_mode() {
	node_status -d >/tmp/status.txt
	cat /tmp/status.txt
	grep -q "^Datapath: $1 " /tmp/status.txt
}

# An old bpftool knows tcx by its number only.
has_tcx_link() {
	local id

	id=$(bpftool -j prog show name talon_uplink_tc | sed 's/^{"id":\([0-9]*\).*/\1/')
	bpftool -j link show | grep -qE "\"type\":(11|\"tcx\"),\"prog_id\":$id[,}]"
}

kernel_says_mode() {
	case $1 in
	xdp) ip -n node link show eth0 | grep -qE ' xdp( |$)' ;;
	xdp-generic) ip -n node link show eth0 | grep -q ' xdpgeneric' ;;
	tcx) has_tcx_link ;;
	clsact) tc -n node filter show dev eth0 ingress | grep -q bpf ;;
	esac
}

# Hazards are looked at once a minute, and when the programs are attached: so before Talon starts.
vlan_is_named() {
	node_status -d >/tmp/status.txt
	grep -q "eth0 takes VLAN tags off before XDP, which then takes packets of eth0.5 for its own" /tmp/status.txt
}

vlan_scenario() {
	check "vlan: the network comes up" network_up || return
	check "vlan: a VLAN device on the uplink" ip -n node link add link eth0 name eth0.5 type vlan id 5
	check "vlan: Talon becomes ready" node_up responder "Datapath = xdp"
	check "vlan: tags that the device takes off are a hazard" vlan_is_named || cat /tmp/status.txt
	check "vlan: down" node_down
	network_down
}

# This kernel runs a copy of the programs for a made-up packet: both ways, with the flow that is there.
trace_passes() {
	inside node talon trace --pin-dir $pins --from 100.64.0.2 --to 192.168.1.220:80 >/tmp/trace 2>&1 || return 1
	grep -q "^datapath: $1\$" /tmp/trace && grep -q "as in the flow that is there" /tmp/trace &&
		grep -q "who opens it as tcp 192.168.1.220:80 -> 100.64.0.2:" /tmp/trace
}

scenario() {
	mode=$1
	check "$mode: the network comes up" network_up || return
	if ! check "$mode: Talon becomes ready" node_up responder "Datapath = $mode"; then
		node_tell
		return
	fi
	laptop_up responder
	check "$mode: the kernel has the program there" kernel_says_mode "$mode"
	check "$mode: status says so" status_says_mode "$mode"
	check "$mode: page through the tunnel, gateway saw the node" page_says_node
	check "$mode: 2 MB through the tunnel, every byte" file_is_whole || node_tell
	check "$mode: a trace tells the same, in this mode" trace_passes "$mode" || cat /tmp/trace
	check "$mode: down" node_down
}

for mode in $modes; do
	scenario $mode
	network_down
done
vlan_scenario
finish
