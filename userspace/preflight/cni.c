// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the signs of a CNI, of kube-proxy and of connection tracking mean for Talon.
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "preflight/internal.h"

static const char *const owner_names[OWNER_COUNT] = {
	[OWNER_CILIUM] = "Cilium", [OWNER_CALICO] = "Calico", [OWNER_FLANNEL] = "flannel",
	[OWNER_KUBE_ROUTER] = "kube-router", [OWNER_ANTREA] = "Antrea", [OWNER_WEAVE] = "Weave Net",
	[OWNER_AWS] = "AWS VPC CNI", [OWNER_PROXY_IPTABLES] = "iptables", [OWNER_PROXY_NFTABLES] = "nftables",
	[OWNER_PROXY_IPVS] = "ipvs",
};

static void list_signs(const struct signs *signs, enum owner owner, char *text, size_t size)
{
	text[0] = '\0';
	for (unsigned i = 0; i < signs->of[owner].count && i < SIGNS_SHOWN; i++)
		text_append(text, size, "%s%s", i ? ", " : "", signs->of[owner].text[i]);
}

/* What is worth knowing of one, or NULL. */
static const char *remark(enum owner owner, const struct signs *signs)
{
	switch (owner) {
	case OWNER_CALICO:
		return signs->of[owner].kinds & 1U << SIGN_PROGRAM ?
			"its programs are at tc, behind Talon's; its NAT uses ports 20000-29999 of the "
			"node" : NULL;
	case OWNER_FLANNEL:
		return "packets for its device leave there, and their replies are taken there";
	default:
		return NULL;
	}
}

void judge_cni(const struct signs *signs, struct preflight_report *report)
{
	unsigned found = 0;
	char text[300];

	for (enum owner owner = 0; owner < OWNER_PROXY_IPTABLES; owner++) {
		struct preflight_finding *f;

		if (!signs->of[owner].count)
			continue;
		list_signs(signs, owner, text, sizeof(text));
		f = find(report, PREFLIGHT_CNI, PREFLIGHT_OK, "%s (%s)", owner_names[owner], text);
		if (remark(owner, signs))
			find_why(f, "%s", remark(owner, signs));
		found++;
	}
	if (!found && signs->unknown_plugin[0])
		find_why(find(report, PREFLIGHT_CNI, PREFLIGHT_NOTE, "one that is not known here: plugin %s",
			signs->unknown_plugin), "nothing can be said about it");
	else if (!found)
		find(report, PREFLIGHT_CNI, PREFLIGHT_OK, "none found");
}

void judge_kube_proxy(const struct signs *signs, struct preflight_report *report)
{
	struct preflight_finding *f;
	unsigned found = 0;
	char text[300];

	for (enum owner owner = OWNER_PROXY_IPTABLES; owner <= OWNER_PROXY_IPVS; owner++) {
		/* In mode ipvs it keeps a chain KUBE-SERVICES too. */
		if (!signs->of[owner].count ||
			(owner == OWNER_PROXY_IPTABLES && signs->of[OWNER_PROXY_IPVS].count))
			continue;
		list_signs(signs, owner, text, sizeof(text));
		f = find(report, PREFLIGHT_KUBE_PROXY, PREFLIGHT_NOTE, "mode %s (%s)",
			owner_names[owner], text);
		find_why(f, "it translates in netfilter, and only what is handed up to the host gets there");
		find_act(f, "peers that are to use ClusterIPs need them in Local: talon.conf(5)");
		found++;
	}
	if (!found)
		find(report, PREFLIGHT_KUBE_PROXY, PREFLIGHT_OK, "none found");
}

static bool has_program(const struct datapath_programs *programs, const char *name)
{
	for (unsigned i = 0; i < programs->count; i++) {
		/* The kernel keeps the first 15 bytes of a name. */
		if (!strncmp(programs->list[i].name, name, 15))
			return true;
	}
	return false;
}

#define NEEDS_SLOT "with loadBalancer.acceleration=native Cilium's agent does not start where that slot is " \
	"taken"

static void judge_acceleration(const struct host *host, struct preflight_report *report)
{
	bool at_tc = host->config->datapath == CONFIG_DATAPATH_TCX ||
		host->config->datapath == CONFIG_DATAPATH_CLSACT;
	struct preflight_finding *f;

	for (unsigned i = 0; i < host->uplink_count; i++) {
		if (!has_program(&host->programs[i], "cil_xdp_entry"))
			continue;
		f = find(report, PREFLIGHT_CILIUM, PREFLIGHT_NOTE, "its XDP acceleration is on at %s",
			host->uplinks[i].name);
		find_why(f, "the XDP slot is Cilium's, and Talon runs at tc, in front of it");
		return;
	}
	if (at_tc)
		return;
	if (host->config->datapath == CONFIG_DATAPATH_AUTO) {
		f = find(report, PREFLIGHT_CILIUM, PREFLIGHT_OK,
			"the XDP slot is left to it as soon as cilium_host is there, and Talon runs at tc, "
			"first in the list");
		find_why(f, NEEDS_SLOT);
		return;
	}
	f = find(report, PREFLIGHT_CILIUM, PREFLIGHT_WARNING, "Datapath = %s takes the XDP slot",
		host->config->datapath == CONFIG_DATAPATH_XDP ? "xdp" : "xdp-generic");
	find_why(f, NEEDS_SLOT);
	find_act(f, "keep acceleration disabled or best-effort, or write Datapath = auto");
}

/* Whose it is nobody says without CAP_SYS_ADMIN; the tunnel device itself carries none of ours. */
static bool has_unnamed(const struct datapath_programs *programs)
{
	for (unsigned i = 0; i < programs->count; i++) {
		if (programs->list[i].place == DATAPATH_PLACE_TCX_OUT && !programs->list[i].name[0])
			return true;
	}
	return false;
}

static void judge_device_list(const struct host *host, struct preflight_report *report)
{
	const char *tunnel = host->config->tunnel;
	struct preflight_finding *f;

	if (host->has_tunnel && (has_program(&host->tunnel, "cil_from_netdev") ||
		has_unnamed(&host->tunnel))) {
		find(report, PREFLIGHT_CILIUM, PREFLIGHT_OK, "%s is among Cilium's devices", tunnel);
		return;
	}
	f = host->has_tunnel ?
		find(report, PREFLIGHT_CILIUM, PREFLIGHT_WARNING, "%s is not among Cilium's devices", tunnel)
		: find(report, PREFLIGHT_CILIUM, PREFLIGHT_NOTE, "%s does not exist yet", tunnel);
	find_why(f, "Cilium does not translate where it has no program: NodePorts and load balancer "
		"addresses of this node answer peers from the wrong address or not at all");
	find_act(f, "name the uplink and %s in Cilium's devices, for ClusterIPs set bpf.lbExternalClusterIP, "
		"and have pods, services and node addresses in Local", tunnel);
}

void judge_cilium(const struct host *host, const struct signs *signs, struct preflight_report *report)
{
	if (!signs->of[OWNER_CILIUM].count) {
		find(report, PREFLIGHT_CILIUM, PREFLIGHT_OK, "not on this node");
		return;
	}
	judge_acceleration(host, report);
	judge_device_list(host, report);
}

void conntrack_read(const char *root, struct conntrack_facts *ret_facts)
{
	*ret_facts = (struct conntrack_facts){
		.is_there = net_sysctl_get(root, "net/netfilter/nf_conntrack_count") >= 0,
		.sees_bridges = net_sysctl_get(root, "net/bridge/bridge-nf-call-iptables") == 1,
	};
}

void judge_conntrack(const struct conntrack_facts *facts, const struct signs *signs,
	struct preflight_report *report)
{
	struct preflight_finding *f;

	if (!facts->is_there) {
		find(report, PREFLIGHT_CONNTRACK, PREFLIGHT_OK, "not in this kernel");
		return;
	}
	if (facts->sees_bridges && signs->has_bridge && signs->dropping[0]) {
		f = find(report, PREFLIGHT_CONNTRACK, PREFLIGHT_WARNING,
			"chain %s drops what is INVALID, and bridge-nf-call-iptables=1", signs->dropping);
		find_why(f, "replies of pods behind a bridge pass that chain before Talon takes them, and "
			"the connection's other half never did");
		find_act(f, "take that rule out, or accept packets that come in by the bridge before it");
		return;
	}
	f = find(report, PREFLIGHT_CONNTRACK, PREFLIGHT_OK, signs->dropping[0] ?
		"on; chain %s drops what is INVALID" : "on%s", signs->dropping);
	find_why(f, "packets that Talon forwards and their replies pass below it, both ways");
}
