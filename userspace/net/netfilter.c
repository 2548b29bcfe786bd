// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Which tables, chains, rules and sets netfilter has: read, never written.
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <linux/netfilter.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net/nl.h"

struct each {
	net_nf_cb cb;
	void *user;
};

static int pass_on(const struct nlmsghdr *nlh, void *data)
{
	const struct each *each = data;
	struct net_nf nf;

	if (!nl_parse_nf(nlh, &nf))
		each->cb(&nf, each->user);
	return MNL_CB_OK;
}

int net_nf_list(enum net_nf_kind kind, net_nf_cb cb, void *user)
{
	static const uint16_t questions[] = {
		[NET_NF_TABLE]	= NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE,
		[NET_NF_CHAIN]	= NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETCHAIN,
		[NET_NF_RULE]	= NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETRULE,
		[NET_NF_SET]	= NFNL_SUBSYS_IPSET << 8 | IPSET_CMD_LIST,
	};
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct each each = { .cb = cb, .user = user };
	struct nfgenmsg *msg;

	nlh->nlmsg_type = questions[kind];
	msg = mnl_nlmsg_put_extra_header(nlh, sizeof(*msg));
	msg->version = NFNETLINK_V0;
	if (kind == NET_NF_SET) {
		mnl_attr_put_u8(nlh, IPSET_ATTR_PROTOCOL, IPSET_PROTOCOL_MIN);
		mnl_attr_put_u32(nlh, IPSET_ATTR_FLAGS | NLA_F_NET_BYTEORDER, htonl(IPSET_FLAG_LIST_SETNAME));
	}
	return nl_dump_on(NETLINK_NETFILTER, nlh, false, pass_on, &each);
}

/* Loaded modules have a folder; what is built in only has its symbols. */
static bool has_symbol(const char *root, const char *wanted)
{
	char path[PATH_MAX], line[256], name[128];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/proc/kallsyms", root);
	f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, "%*s %*c %127s", name) == 1 && !strcmp(name, wanted);
	if (f)
		fclose(f);
	return found;
}

bool net_nf_is_there(const char *root, enum net_nf_kind kind)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/sys/module/%s", root, kind == NET_NF_SET ? "ip_set" : "nf_tables");
	return !access(path, F_OK) ||
		has_symbol(root, kind == NET_NF_SET ? "ip_set_create" : "nf_tables_gettable");
}

/* Services of kube-proxy. */

struct services {
	net_service_cb cb;
	void *user;
	uint32_t *generation;
};

static int take_rule(const struct nlmsghdr *nlh, void *data)
{
	const struct services *services = data;
	struct net_service service;

	if (!nl_parse_service_rule(nlh, &service))
		services->cb(&service, services->user);
	return MNL_CB_OK;
}

static int take_elements(const struct nlmsghdr *nlh, void *data)
{
	const struct services *services = data;

	nl_parse_service_elements(nlh, services->cb, services->user);
	return MNL_CB_OK;
}

static int take_generation(const struct nlmsghdr *nlh, void *data)
{
	const struct services *services = data;

	if (nlh->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN))
		nl_parse_generation(nlh, services->generation);
	return MNL_CB_OK;
}

static struct nlmsghdr *ask(char *buf, uint8_t message, uint8_t family)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *msg;

	nlh->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | message;
	msg = mnl_nlmsg_put_extra_header(nlh, sizeof(*msg));
	msg->nfgen_family = family;
	msg->version = NFNETLINK_V0;
	return nlh;
}

int net_nf_generation(uint32_t *ret_generation)
{
	char buf[256] __attribute__((aligned(8)));
	struct services services = { .generation = ret_generation };
	struct nlmsghdr *nlh = ask(buf, NFT_MSG_GETGEN, NFPROTO_UNSPEC);

	return nl_dump_on(NETLINK_NETFILTER, nlh, true, take_generation, &services);
}

/* One chain of iptables-nft's. Without it there is no answer, or an error that says so. */
static int list_chain(uint8_t family, const char *table, const char *chain, struct services *services)
{
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = ask(buf, NFT_MSG_GETRULE, family);

	mnl_attr_put_strz(nlh, NFTA_RULE_TABLE, table);
	mnl_attr_put_strz(nlh, NFTA_RULE_CHAIN, chain);
	return nl_dump_on(NETLINK_NETFILTER, nlh, false, take_rule, services);
}

static int list_map(uint8_t family, const char *map, struct services *services)
{
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = ask(buf, NFT_MSG_GETSETELEM, family);

	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_TABLE, "kube-proxy");
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET, map);
	return nl_dump_on(NETLINK_NETFILTER, nlh, false, take_elements, services);
}

/* Those that kube-proxy serves, and those for which it has nobody to send to. */
static int list_family(uint8_t family, struct services *services)
{
	static const char *const maps[] = { "service-ips", "no-endpoint-services" };
	static const char *const chains[][2] = {
		{ "nat", "KUBE-SERVICES" }, { "filter", "KUBE-SERVICES" },
		{ "filter", "KUBE-EXTERNAL-SERVICES" },
	};
	int ret = 0;

	for (unsigned i = 0; i < sizeof(maps) / sizeof(maps[0]) && (!ret || ret == -ENOENT); i++)
		ret = list_map(family, maps[i], services);
	for (unsigned i = 0; i < sizeof(chains) / sizeof(chains[0]) && (!ret || ret == -ENOENT); i++)
		ret = list_chain(family, chains[i][0], chains[i][1], services);
	return ret == -ENOENT ? 0 : ret;
}

int net_service_list(net_service_cb cb, void *user)
{
	struct services services = { .cb = cb, .user = user };
	uint32_t before = 0, after = 0;
	int ret = net_nf_generation(&before);

	if (!ret)
		ret = list_family(NFPROTO_IPV4, &services);
	if (!ret)
		ret = list_family(NFPROTO_IPV6, &services);
	if (!ret)
		ret = net_nf_generation(&after);
	return ret ? ret : before == after ? 0 : -EAGAIN;
}
