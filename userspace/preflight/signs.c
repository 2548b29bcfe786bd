// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What gives a CNI and kube-proxy away: their devices, programs, plugins, files, chains and sets.
#include <dirent.h>
#include <fnmatch.h>
#include <limits.h>
#include <linux/netfilter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/store.h"
#include "preflight/internal.h"

#define PLUGIN_FILE_MAX (1U << 20)

/* Patterns of fnmatch(3). */
static const struct {
	enum owner owner;
	enum sign_kind kind;
	const char *pattern;
} rules[] = {
	{ OWNER_CILIUM, SIGN_LINK, "cilium_*" },
	{ OWNER_CILIUM, SIGN_PROGRAM, "cil_*" },
	{ OWNER_CILIUM, SIGN_PLUGIN, "cilium-cni" },
	{ OWNER_CILIUM, SIGN_PATH, "/sys/fs/bpf/cilium" },
	{ OWNER_CILIUM, SIGN_CHAIN, "CILIUM_*" },
	{ OWNER_CILIUM, SIGN_SET, "cilium_*" },
	{ OWNER_CALICO, SIGN_LINK, "cali?*" },
	{ OWNER_CALICO, SIGN_LINK, "vxlan.calico" },
	{ OWNER_CALICO, SIGN_LINK, "wireguard.cali" },
	{ OWNER_CALICO, SIGN_PROGRAM, "cali_*" },
	{ OWNER_CALICO, SIGN_PLUGIN, "calico" },
	{ OWNER_CALICO, SIGN_CHAIN, "cali-*" },
	{ OWNER_CALICO, SIGN_TABLE, "calico" },
	{ OWNER_CALICO, SIGN_SET, "cali[46]*" },
	{ OWNER_FLANNEL, SIGN_LINK, "flannel*.[0-9]*" },
	{ OWNER_FLANNEL, SIGN_PLUGIN, "flannel" },
	{ OWNER_FLANNEL, SIGN_PATH, "/run/flannel/subnet.env" },
	{ OWNER_FLANNEL, SIGN_CHAIN, "FLANNEL-*" },
	{ OWNER_FLANNEL, SIGN_TABLE, "flannel-ipv[46]" },
	{ OWNER_KUBE_ROUTER, SIGN_LINK, "kube-bridge" },
	{ OWNER_KUBE_ROUTER, SIGN_LINK, "kube-dummy-if" },
	{ OWNER_KUBE_ROUTER, SIGN_CHAIN, "KUBE-ROUTER-*" },
	{ OWNER_KUBE_ROUTER, SIGN_SET, "kube-router-*" },
	{ OWNER_ANTREA, SIGN_LINK, "antrea-gw0" },
	{ OWNER_ANTREA, SIGN_PLUGIN, "antrea" },
	{ OWNER_WEAVE, SIGN_LINK, "weave" },
	{ OWNER_WEAVE, SIGN_PLUGIN, "weave-net" },
	{ OWNER_AWS, SIGN_PLUGIN, "aws-cni" },
	{ OWNER_PROXY_IPTABLES, SIGN_CHAIN, "KUBE-SERVICES" },
	{ OWNER_PROXY_NFTABLES, SIGN_TABLE, "kube-proxy" },
	{ OWNER_PROXY_IPVS, SIGN_LINK, "kube-ipvs0" },
	{ OWNER_PROXY_IPVS, SIGN_SET, "KUBE-LOOP-BACK" },
};

/* Plugins that help a CNI, and say nothing about which it is. */
static bool is_helper(const char *type)
{
	static const char *const helpers[] = { "loopback", "portmap", "bandwidth", "tuning", "firewall",
		"sbr", "host-local", "static", "dhcp", "bridge", "ptp", "host-device", "istio-cni", NULL };

	for (const char *const *helper = helpers; *helper; helper++) {
		if (!strcmp(*helper, type))
			return true;
	}
	return false;
}

static void describe(enum sign_kind kind, const char *name, const char *where, char *text, size_t size)
{
	static const char *const words[] = {
		[SIGN_LINK] = "device", [SIGN_PROGRAM] = "program", [SIGN_PLUGIN] = "plugin",
		[SIGN_PATH] = "file",
		[SIGN_TABLE] = "table", [SIGN_CHAIN] = "chain", [SIGN_SET] = "set", [SIGN_IPVS] = "services",
	};

	snprintf(text, size, "%s %s%s%s", words[kind], name, where ? kind == SIGN_PROGRAM ? " on " : " in "
		: "", where ? where : "");
}

static void take(struct signs *signs, enum owner owner, enum sign_kind kind, const char *name,
	const char *where)
{
	if (signs->of[owner].kinds & 1U << kind)
		return;		/* one of each kind says enough */
	signs->of[owner].kinds |= 1U << kind;
	if (signs->of[owner].count < SIGNS_SHOWN)
		describe(kind, name, where, signs->of[owner].text[signs->of[owner].count], 96);
	signs->of[owner].count++;
}

void signs_offer(struct signs *signs, enum sign_kind kind, const char *name, const char *where)
{
	bool is_known = false;

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		if (rules[i].kind != kind || fnmatch(rules[i].pattern, name, 0))
			continue;
		take(signs, rules[i].owner, kind, name, where);
		is_known = true;
	}
	if (kind == SIGN_PLUGIN && !is_known && !is_helper(name) && !signs->unknown_plugin[0])
		snprintf(signs->unknown_plugin, sizeof(signs->unknown_plugin), "%s", name);
}

static void note_prerouting(struct signs *signs, const struct net_nf *nf)
{
	const size_t max = sizeof(signs->prerouting) / sizeof(signs->prerouting[0]);

	if (nf->hook != NF_INET_PRE_ROUTING || signs->prerouting_count == max ||
	    (nf->family != NFPROTO_IPV4 && nf->family != NFPROTO_INET))
		return;
	snprintf(signs->prerouting[signs->prerouting_count++], sizeof(signs->prerouting[0]), "%s %s",
		nf->table, nf->name);
}

static void note_drop(struct signs *signs, const struct net_nf *nf)
{
	char chain[132];

	if (!nf->drops_invalid || signs->dropping[0])
		return;
	snprintf(chain, sizeof(chain), "%s %s", nf->table, nf->name);
	for (unsigned i = 0; i < signs->prerouting_count; i++) {
		if (!strcmp(signs->prerouting[i], chain))
			memcpy(signs->dropping, chain, sizeof(chain));
	}
}

void signs_offer_nf(struct signs *signs, const struct net_nf *nf)
{
	switch (nf->kind) {
	case NET_NF_TABLE:
		signs_offer(signs, SIGN_TABLE, nf->name, NULL);
		break;
	case NET_NF_CHAIN:
		signs_offer(signs, SIGN_CHAIN, nf->name, nf->table);
		note_prerouting(signs, nf);
		break;
	case NET_NF_RULE:
		note_drop(signs, nf);
		break;
	case NET_NF_SET:
		signs_offer(signs, SIGN_SET, nf->name, NULL);
		break;
	}
}

static void offer_type(struct signs *signs, const json_t *plugin, const char *file)
{
	const char *type = json_string_value(json_object_get(plugin, "type"));

	if (type)
		signs_offer(signs, SIGN_PLUGIN, type, file);
}

void signs_read_plugins(struct signs *signs, const char *text, size_t len, const char *file)
{
	json_t *root = json_loadb(text, len, 0, NULL);
	const json_t *plugins = json_object_get(root, "plugins"), *plugin;
	size_t i;

	offer_type(signs, root, file);
	json_array_foreach(plugins, i, plugin)
		offer_type(signs, plugin, file);
	json_decref(root);
}

static void read_plugin_file(struct signs *signs, const char *path, const char *name)
{
	uint8_t *bytes;
	size_t len;

	if (store_read(path, PLUGIN_FILE_MAX, &bytes, &len))
		return;
	signs_read_plugins(signs, (const char *)bytes, len, name);
	store_free(bytes, len);
}

static int is_plugin_file(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return dot && (!strcmp(dot, ".conf") || !strcmp(dot, ".conflist") || !strcmp(dot, ".json"));
}

static void read_plugin_files(struct signs *signs, const char *root)
{
	char dir[PATH_MAX], path[PATH_MAX + 256];
	struct dirent **list;
	int count;

	snprintf(dir, sizeof(dir), "%s/etc/cni/net.d", root);
	count = scandir(dir, &list, is_plugin_file, alphasort);
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, list[i]->d_name);
		read_plugin_file(signs, path, list[i]->d_name);
		free(list[i]);
	}
	if (count >= 0)
		free(list);
}

static void offer_paths(struct signs *signs, const char *root)
{
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		if (rules[i].kind != SIGN_PATH)
			continue;
		snprintf(path, sizeof(path), "%s%s", root, rules[i].pattern);
		if (!access(path, F_OK))
			signs_offer(signs, SIGN_PATH, rules[i].pattern, NULL);
	}
}

/* The three lines of its head say nothing; each service has one that begins with its protocol. */
static void look_for_ipvs(struct signs *signs, const char *root)
{
	char path[PATH_MAX], line[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/proc/net/ip_vs", root);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, "TCP ", 4) && strncmp(line, "UDP ", 4) && strncmp(line, "SCTP ", 5))
			continue;
		take(signs, OWNER_PROXY_IPVS, SIGN_IPVS, "in /proc/net/ip_vs", NULL);
		break;
	}
	if (f)
		fclose(f);
}

/* Of iptables-legacy only the tables have names that a file tells; the chains of those can be asked for. */
static void offer_chain(const char *table, const char *chain, void *user)
{
	signs_offer(user, SIGN_CHAIN, chain, table);
}

static void offer_legacy(struct signs *signs, const char *root)
{
	char path[PATH_MAX], table[32];
	FILE *f;

	snprintf(path, sizeof(path), "%s/proc/net/ip_tables_names", root);
	f = fopen(path, "re");
	while (f && fscanf(f, "%31s", table) == 1)
		net_iptables_chains(table, offer_chain, signs);
	if (f)
		fclose(f);
}

void signs_read_files(struct signs *signs, const char *root)
{
	read_plugin_files(signs, root);
	offer_paths(signs, root);
	look_for_ipvs(signs, root);
}

static void offer_link(const struct net_link *link, void *user)
{
	struct signs *signs = user;

	signs_offer(signs, SIGN_LINK, link->name, NULL);
	signs->has_bridge |= !strcmp(link->kind, "bridge");
}

static void offer_programs(struct signs *signs, const struct datapath_programs *programs, const char *device)
{
	for (unsigned i = 0; i < programs->count; i++)
		signs_offer(signs, SIGN_PROGRAM, programs->list[i].name, device);
}

static void offer_nf(const struct net_nf *nf, void *user)
{
	signs_offer_nf(user, nf);
}

/* Only what is in the kernel already: the question alone would load the module. */
static void read_netfilter(struct signs *signs, const char *root)
{
	if (net_nf_is_there(root, NET_NF_TABLE)) {
		net_nf_list(NET_NF_TABLE, offer_nf, signs);
		net_nf_list(NET_NF_CHAIN, offer_nf, signs);
		/* after the chains, which say where they hook */
		net_nf_list(NET_NF_RULE, offer_nf, signs);
	}
	if (net_nf_is_there(root, NET_NF_SET))
		net_nf_list(NET_NF_SET, offer_nf, signs);
}

void signs_read(const struct host *host, struct signs *ret_signs)
{
	*ret_signs = (struct signs){};
	for (unsigned i = 0; i < host->uplink_count; i++)
		offer_programs(ret_signs, &host->programs[i], host->uplinks[i].name);
	if (host->has_tunnel)
		offer_programs(ret_signs, &host->tunnel, host->config->tunnel);
	net_link_list(offer_link, ret_signs);
	signs_read_files(ret_signs, host->root);
	read_netfilter(ret_signs, host->root);
	offer_legacy(ret_signs, host->root);
}
