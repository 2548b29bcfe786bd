// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Which tables, chains, rules and sets netfilter has: read, never written.
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
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
