# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Beside Cilium, as far as it can be had without it: its devices, and programs of our own that have its programs' names, sit where those sit,
# and do with packets what matters here. What was seen beside the real one is in docs/cilium.md.

setup() {
	topology lap node gw
	servers_up gw
	servers_up node
	client_up lap
	needs clang gcc
	clang -O2 -g -target bpf "-I/usr/include/$(gcc -print-multiarch)" -x c -c - -o "$RUN/cil.o" <<-END
		#include <linux/bpf.h>
		#include <linux/pkt_cls.h>
		#include <bpf/bpf_helpers.h>
		/* Tells the program at tc, in metadata, not to look for services. */
		SEC("xdp") int cil_xdp_entry(struct xdp_md *ctx)
		{
			__u32 *word;

			if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*word)))
				return XDP_PASS;
			word = (void *)(long)ctx->data_meta;
			if ((void *)(word + 1) > (void *)(long)ctx->data)
				return XDP_DROP;
			*word = 0xffffffff;
			return XDP_PASS;
		}
		/* Here such a packet is lost at once, if it is an echo request. */
		SEC("tc") int cil_from_netdev(struct __sk_buff *skb)
		{
			__u32 *word = (void *)(long)skb->data_meta;
			unsigned char *data = (void *)(long)skb->data;

			if (data + 35 > (unsigned char *)(long)skb->data_end || data[12] != 8 || data[23] != 1 || data[34] != 8)
				return TC_ACT_UNSPEC;
			return (void *)(word + 1) <= (void *)data && *word ? TC_ACT_SHOT : TC_ACT_UNSPEC;
		}
		SEC("tc/egress") int cil_to_netdev(struct __sk_buff *skb) { return TC_ACT_UNSPEC; }
		char LICENSE[] SEC("license") = "GPL";
	END
}

cilium_comes() {
	in_ns node ip link add cilium_host type bridge
	finally "in_ns node ip link del cilium_host 2>/dev/null || true"
}

at_tc() { # DEVICE ingress|egress SECTION
	in_ns node tc qdisc replace dev "$1" clsact
	finally "in_ns node tc qdisc del dev $1 clsact 2>/dev/null || true"
	in_ns node tc filter add dev "$1" "$2" bpf da obj "$RUN/cil.o" sec "$3"
}

xdp_is() { equal "XDP on eth0" "$1" "$(ip -n "$P-node" -j link show eth0 | jq -r '.[0].xdp.mode // 0')"; }

# What Cilium's XDP program says about the outer packet is not read as said about the inner one.
metadata() { # pass|tunnel
	local device=eth0
	needs_talon
	node_down
	in_ns node ip link set dev eth0 xdp obj "$RUN/cil.o" sec xdp
	finally "in_ns node ip link set dev eth0 xdp off"
	node_up "HandUp = $1"
	equal "mode" tcx "$(datapath mode)"
	[ "$1" = pass ] || device=wt0
	at_tc $device ingress tc
	# the two programs do lose what still has it
	[ "$1" = tunnel ] || equal "pings that are not from a peer" "5 0" "$(ping_counts gw $NODE -c 5 -i 0.01)"
	all_answered lap "${MESH[node]}" 100
	node_down
}

test_what_is_handed_up_on_the_uplink_has_no_metadata_of_the_outer_packet() { metadata pass; }
test_what_is_handed_up_by_the_tunnel_has_no_metadata_of_the_outer_packet() { metadata tunnel; }

test_where_cilium_is_the_xdp_slot_is_left_to_it() {
	needs_talon
	node_down
	cilium_comes
	node_up
	equal "mode" tcx "$(datapath mode)"
	datapath reason | found "the XDP slot is left to Cilium (cilium_host)"
	xdp_is 0
	in_ns node ip link set dev eth0 xdp obj "$RUN/cil.o" sec xdp	# its agent can have it
	in_ns node ip link set dev eth0 xdp off
	fetch_and_put lap medium
	node_down
}

test_the_xdp_slot_is_given_up_when_cilium_comes() {
	needs_talon
	node_up "HandUp = pass"
	equal "mode" xdp "$(datapath mode)"
	xdp_is 1
	flow_start lap $GW
	wait_for 5 "answers" flow_answers 50
	cilium_comes
	wait_for 5 "another mode in status" status '.datapath | select(.mode == "tcx")'
	xdp_is 0
	found "Cilium is here now, which gets the XDP slot" <"$RUN/log/node"
	flow_end "while the slot was given up" 200
	fetch_and_put lap medium
	equal "reattached" 1 "$(grep -c 'attaching again' "$RUN/log/node")"
	node_down
}

test_whoever_writes_xdp_keeps_the_slot_and_is_told_what_that_costs() {
	needs_talon
	cilium_comes
	node_up "Datapath = xdp"
	xdp_is 1
	wait_for 5 "the hazard" hazard "Talon has the XDP slot of eth0: with loadBalancer.acceleration=native Cilium's agent does not start"
	grep -q "Talon has the XDP slot of eth0" "$RUN/log/node"
	node_down
}

hazard() { status '.hazards[]' | found -F "$1"; }

test_programs_of_cilium_on_the_uplink_alone_are_a_hazard() {
	needs_talon
	node_down
	cilium_comes
	at_tc eth0 ingress tc
	node_up
	wait_for 5 "the hazard" hazard "Cilium has programs on eth0 and none on wt0"
	grep -q "name eth0 and wt0 in Cilium's devices" "$RUN/log/node"
	stop node
	at_tc wt0 egress tc/egress
	talon_up node "$RUN/node.conf"
	wait_for 5 "the end of the hazard" not hazard "Cilium has programs"
	node_down
}

POD=10.42.7.5

# Where the agent of this node has its pods: by its own device, with the address that it has in their range.
pods_come() {
	cilium_comes
	ip -n "$P-node" addr add 10.42.7.1/32 dev cilium_host
	ip -n "$P-node" link set cilium_host type bridge forward_delay 0
	ip -n "$P-node" link set cilium_host up
	ip -n "$P-node" route add 10.42.7.0/24 dev cilium_host src 10.42.7.1
	ns_add pod
	ip -n "$P-node" link add lxc5 type veth peer name eth0 netns "$P-pod"
	ip -n "$P-node" link set lxc5 master cilium_host up
	in_ns pod ethtool -K eth0 tx off tso off >/dev/null 2>&1 || true
	ip -n "$P-pod" addr add $POD/24 dev eth0
	ip -n "$P-pod" link set eth0 up
	ip -n "$P-pod" route add default via 10.42.7.1
	servers_up pod $POD
}

pod_sees() ( fetch_page lap $POD && saw pod "$1" )	# SOURCE

# As if the range were in Local: up this host's stack with the peer's own source, where Cilium's programs expect it.
test_pods_that_ciliums_routes_lead_to_need_no_local() {
	needs_talon
	node_down
	node_up "Route = 192.168.1.0/24 masquerade" "Route = 10.42.0.0/16 masquerade"
	pods_come
	wait_for 10 "the pods to be found" grep -q "Cilium's routes: pods in 10.42.7.0/24 are this node's to serve" "$RUN/log/node"
	wait_for 5 "the pod to see the peer" pod_sees "${MESH[lap]}"
	talon trace --pin-dir "$PIN" --from "${MESH[lap]}:40000" --to $POD:80 | found -F "$POD is a service's or a pod's that this node serves"
	talon status --pin-dir "$PIN" | found -F "10.42.7.0/24 (local)"
	# the next process finds them before its first packet
	stop node KILL
	talon_up node "$RUN/node.conf"
	pod_sees "${MESH[lap]}"
	ip -n "$P-node" link del cilium_host
	wait_for 10 "the end to be seen" grep -q "Cilium's routes: no pods are this node's any more" "$RUN/log/node"
	node_down
}
