// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Addresses of the host.
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <sys/socket.h>

#include "net/nl.h"

struct each {
	net_addr_cb cb;
	void *user;
};

static int pass_on(const struct nlmsghdr *nlh, void *data)
{
	struct each *each = data;
	struct net_addr addr;

	if (!nl_parse_addr(nlh, &addr))
		each->cb(&addr, each->user);
	return MNL_CB_OK;
}

int net_addr_list(net_addr_cb cb, void *user)
{
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct each each = { .cb = cb, .user = user };

	nlh->nlmsg_type = RTM_GETADDR;
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifaddrmsg));
	return nl_dump(nlh, false, pass_on, &each);
}

struct primary {
	int ifindex;
	bool found;
	__be32 addr;
};

static void consider(const struct net_addr *addr, void *user)
{
	struct primary *primary = user;

	if (primary->found || addr->ifindex != primary->ifindex || addr->family != AF_INET ||
	    addr->scope != RT_SCOPE_UNIVERSE || addr->flags & IFA_F_SECONDARY)
		return;
	primary->found = true;
	primary->addr = addr->addr.word[0];
}

int net_addr_primary4(int ifindex, __be32 *ret_addr)
{
	struct primary primary = { .ifindex = ifindex };
	int ret;

	ret = net_addr_list(consider, &primary);
	if (ret)
		return ret;
	if (!primary.found)
		return -EADDRNOTAVAIL;
	*ret_addr = primary.addr;
	return 0;
}

struct primary6 {
	int ifindex;
	int rank;			/* of the best so far; 0: none */
	struct talon_addr addr;
};

static int rank_of(const struct net_addr *addr)
{
	bool is_unique_local = ntohl(addr->addr.word[0]) >> 25 == 0xfc >> 1;

	return 1 + !is_unique_local + 2 * !(addr->flags & IFA_F_TEMPORARY) + 4 *
		!(addr->flags & IFA_F_DEPRECATED);
}

static void consider6(const struct net_addr *addr, void *user)
{
	struct primary6 *primary = user;

	if (addr->ifindex != primary->ifindex || addr->family != AF_INET6 ||
		addr->scope != RT_SCOPE_UNIVERSE || addr->flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED) ||
		rank_of(addr) <= primary->rank)
		return;
	primary->rank = rank_of(addr);
	primary->addr = addr->addr;
}

int net_addr_primary6(int ifindex, struct talon_addr *ret_addr)
{
	struct primary6 primary = { .ifindex = ifindex };
	int ret = net_addr_list(consider6, &primary);

	if (ret)
		return ret;
	if (!primary.rank)
		return -EADDRNOTAVAIL;
	*ret_addr = primary.addr;
	return 0;
}

static int change(uint16_t type, uint16_t flags, int ifindex, uint8_t family, const struct talon_addr *addr,
		  uint8_t prefixlen)
{
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	size_t len = nl_addr_len(family);
	struct ifaddrmsg *msg;

	if (!len || prefixlen > len * 8)
		return -EINVAL;
	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = flags;
	msg = mnl_nlmsg_put_extra_header(nlh, sizeof(*msg));
	msg->ifa_family = family;
	msg->ifa_prefixlen = prefixlen;
	msg->ifa_scope = RT_SCOPE_UNIVERSE;
	msg->ifa_index = ifindex;
	mnl_attr_put(nlh, IFA_LOCAL, len, addr);
	mnl_attr_put(nlh, IFA_ADDRESS, len, addr);
	if (type == RTM_NEWADDR)
		mnl_attr_put_u32(nlh, IFA_FLAGS,
			IFA_F_NOPREFIXROUTE | (family == AF_INET6 ? IFA_F_NODAD : 0));
	return nl_talk(nlh, NULL, 0);
}

int net_addr_add(int ifindex, uint8_t family, const struct talon_addr *addr, uint8_t prefixlen)
{
	int ret = change(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, ifindex, family, addr, prefixlen);

	return ret == -EEXIST ? 0 : ret;
}

int net_addr_del(int ifindex, uint8_t family, const struct talon_addr *addr, uint8_t prefixlen)
{
	int ret = change(RTM_DELADDR, 0, ifindex, family, addr, prefixlen);

	return ret == -EADDRNOTAVAIL || ret == -ENODEV ? 0 : ret;
}
