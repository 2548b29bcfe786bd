// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// rtnetlink messages to our structs. Nothing here trusts a length.
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/neighbour.h>
#include <linux/netfilter.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/pkt_cls.h>
#include <string.h>
#include <sys/socket.h>

#include "net/nl.h"

/*
 * Sorts attributes into @table by type, the last of a kind wins. libmnl's walk rounds the end of a message up
 * to four bytes and so may look behind it; ours does not.
 */
static int sort(const void *data, size_t left, const struct nlattr **table, unsigned max)
{
	const struct nlattr *attr = data;
	size_t step;

	while (left >= sizeof(*attr)) {
		if (attr->nla_len < sizeof(*attr) || attr->nla_len > left)
			return -EBADMSG;
		if (mnl_attr_get_type(attr) <= max)
			table[mnl_attr_get_type(attr)] = attr;
		step = MNL_ALIGN(attr->nla_len);
		if (step > left)
			step = left;
		attr = (const void *)((const char *)attr + step);
		left -= step;
	}
	return 0;
}

static int collect(const struct nlmsghdr *nlh, size_t offset, const struct nlattr **table, unsigned max)
{
	if (nlh->nlmsg_len < mnl_nlmsg_size(offset))
		return -EBADMSG;
	offset = MNL_ALIGN(mnl_nlmsg_size(offset));
	if (offset >= nlh->nlmsg_len)
		return 0;
	return sort((const char *)nlh + offset, nlh->nlmsg_len - offset, table, max);
}

static bool holds(const struct nlattr *attr, size_t len)
{
	return attr && mnl_attr_get_payload_len(attr) >= len;
}

static uint32_t get_u32(const struct nlattr *attr)
{
	return holds(attr, 4) ? mnl_attr_get_u32(attr) : 0;
}

/* Kernel strings have a terminator, but the attribute's length is what we go by. */
static void get_text(const struct nlattr *attr, char *text, size_t size)
{
	size_t len;

	if (!attr)
		return;
	len = strnlen(mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr));
	if (len >= size)
		len = size - 1;
	memcpy(text, mnl_attr_get_payload(attr), len);
	text[len] = '\0';
}

static void get_addr(const struct nlattr *attr, uint8_t family, struct talon_addr *addr)
{
	if (holds(attr, nl_addr_len(family)))
		memcpy(addr, mnl_attr_get_payload(attr), nl_addr_len(family));
}

bool nl_parse_ack_text(const struct nlmsghdr *nlh, char *text, size_t len)
{
	const struct nlattr *table[NLMSGERR_ATTR_MAX + 1] = { NULL };
	const struct nlmsgerr *err;
	size_t offset = sizeof(*err);

	if (nlh->nlmsg_type != NLMSG_ERROR || !(nlh->nlmsg_flags & NLM_F_ACK_TLVS) ||
	    nlh->nlmsg_len < mnl_nlmsg_size(sizeof(*err)))
		return false;
	err = mnl_nlmsg_get_payload(nlh);
	if (!(nlh->nlmsg_flags & NLM_F_CAPPED)) {	/* the request follows in full */
		if (err->msg.nlmsg_len < sizeof(err->msg) || err->msg.nlmsg_len > nlh->nlmsg_len)
			return false;
		offset += MNL_ALIGN(err->msg.nlmsg_len - sizeof(err->msg));
	}
	if (collect(nlh, offset, table, NLMSGERR_ATTR_MAX) || !table[NLMSGERR_ATTR_MSG])
		return false;
	get_text(table[NLMSGERR_ATTR_MSG], text, len);
	return text[0] != '\0';
}

static int collect_nested(const struct nlattr *nest, const struct nlattr **table, unsigned max)
{
	return nest ? sort(mnl_attr_get_payload(nest), mnl_attr_get_payload_len(nest), table, max) : 0;
}

int nl_parse_link(const struct nlmsghdr *nlh, struct net_link *ret_link)
{
	const struct nlattr *table[IFLA_MAX + 1] = { NULL }, *info[IFLA_INFO_MAX + 1] = { NULL };
	const struct nlattr *xdp[IFLA_XDP_MAX + 1] = { NULL };
	const struct ifinfomsg *msg;
	struct net_link link = { 0 };

	if (nlh->nlmsg_type != RTM_NEWLINK && nlh->nlmsg_type != RTM_DELLINK)
		return -EBADMSG;
	if (collect(nlh, sizeof(*msg), table, IFLA_MAX))
		return -EBADMSG;
	msg = mnl_nlmsg_get_payload(nlh);
	if (msg->ifi_family != AF_UNSPEC)
		return -EBADMSG;	/* a bridge's news about its port, not the link itself */
	link.ifindex = msg->ifi_index;
	link.type = msg->ifi_type;
	link.flags = msg->ifi_flags;
	link.up = msg->ifi_flags & IFF_UP;
	link.running = msg->ifi_flags & IFF_RUNNING;
	get_text(table[IFLA_IFNAME], link.name, sizeof(link.name));
	get_text(table[IFLA_IFALIAS], link.alias, sizeof(link.alias));
	link.group = get_u32(table[IFLA_GROUP]);
	link.mtu = get_u32(table[IFLA_MTU]);
	link.master = get_u32(table[IFLA_MASTER]);
	if (!table[IFLA_LINK_NETNSID])
		link.lower = get_u32(table[IFLA_LINK]);
	if (holds(table[IFLA_ADDRESS], 6) && mnl_attr_get_payload_len(table[IFLA_ADDRESS]) == 6)
		memcpy(link.mac, mnl_attr_get_payload(table[IFLA_ADDRESS]), 6);
	if (collect_nested(table[IFLA_LINKINFO], info, IFLA_INFO_MAX) ||
	    collect_nested(table[IFLA_XDP], xdp, IFLA_XDP_MAX))
		return -EBADMSG;
	get_text(info[IFLA_INFO_KIND], link.kind, sizeof(link.kind));
	if (holds(xdp[IFLA_XDP_ATTACHED], 1))
		link.xdp_mode = mnl_attr_get_u8(xdp[IFLA_XDP_ATTACHED]);
	link.xdp_prog_id = get_u32(xdp[IFLA_XDP_PROG_ID]);
	*ret_link = link;
	return 0;
}

int nl_parse_addr(const struct nlmsghdr *nlh, struct net_addr *ret_addr)
{
	const struct nlattr *table[IFA_MAX + 1] = { NULL };
	const struct ifaddrmsg *msg;
	struct net_addr addr = { 0 };

	if (nlh->nlmsg_type != RTM_NEWADDR && nlh->nlmsg_type != RTM_DELADDR)
		return -EBADMSG;
	if (collect(nlh, sizeof(*msg), table, IFA_MAX))
		return -EBADMSG;
	msg = mnl_nlmsg_get_payload(nlh);
	if (!nl_addr_len(msg->ifa_family))
		return -EBADMSG;
	addr.ifindex = msg->ifa_index;
	addr.family = msg->ifa_family;
	addr.prefixlen = msg->ifa_prefixlen;
	addr.scope = msg->ifa_scope;
	addr.flags = holds(table[IFA_FLAGS], 4) ? mnl_attr_get_u32(table[IFA_FLAGS]) : msg->ifa_flags;
	/* On a point-to-point link IFA_ADDRESS is the other side. */
	get_addr(table[IFA_LOCAL] ? table[IFA_LOCAL] : table[IFA_ADDRESS], addr.family, &addr.addr);
	*ret_addr = addr;
	return 0;
}

static void add_hop(struct net_route *route, int ifindex)
{
	for (unsigned i = 0; i < route->hop_count; i++) {
		if (route->hops[i] == ifindex)
			return;
	}
	if (ifindex && route->hop_count < NET_ROUTE_HOPS)
		route->hops[route->hop_count++] = ifindex;
}

/* The first next hop is the route's, of the others only the devices are kept. */
static int parse_hops(const struct nlattr *multipath, struct net_route *route)
{
	const struct rtnexthop *hop = mnl_attr_get_payload(multipath);
	size_t left = mnl_attr_get_payload_len(multipath), step;
	bool is_dead = true;

	for (bool is_first = true; left >= sizeof(*hop); is_first = false) {
		const struct nlattr *table[RTA_MAX + 1] = { NULL };

		if (hop->rtnh_len < sizeof(*hop) || hop->rtnh_len > left ||
		    sort(RTNH_DATA(hop), hop->rtnh_len - sizeof(*hop), table, RTA_MAX))
			return -EBADMSG;
		if (is_first) {
			route->ifindex = hop->rtnh_ifindex;
			route->flags = hop->rtnh_flags;
			get_addr(table[RTA_GATEWAY], route->family, &route->gateway);
		}
		is_dead &= hop->rtnh_flags & RTNH_F_DEAD;
		add_hop(route, hop->rtnh_ifindex);
		step = RTNH_ALIGN(hop->rtnh_len);
		if (step >= left)
			break;
		left -= step;
		hop = (const void *)((const char *)hop + step);
	}
	route->flags = (route->flags & ~RTNH_F_DEAD) | (is_dead ? RTNH_F_DEAD : 0);
	return 0;
}

int nl_parse_route(const struct nlmsghdr *nlh, struct net_route *ret_route)
{
	const struct nlattr *table[RTA_MAX + 1] = { NULL }, *metrics[RTAX_MAX + 1] = { NULL };
	const struct rtmsg *msg;
	struct net_route route = { 0 };

	if (nlh->nlmsg_type != RTM_NEWROUTE && nlh->nlmsg_type != RTM_DELROUTE)
		return -EBADMSG;
	if (collect(nlh, sizeof(*msg), table, RTA_MAX))
		return -EBADMSG;
	msg = mnl_nlmsg_get_payload(nlh);
	if (!nl_addr_len(msg->rtm_family))
		return -EBADMSG;
	if (collect_nested(table[RTA_METRICS], metrics, RTAX_MAX))
		return -EBADMSG;
	route.family = msg->rtm_family;
	route.prefixlen = msg->rtm_dst_len;
	route.protocol = msg->rtm_protocol;
	route.type = msg->rtm_type;
	route.tos = msg->rtm_tos;
	route.scope = msg->rtm_scope;
	route.flags = msg->rtm_flags;
	route.table = holds(table[RTA_TABLE], 4) ? mnl_attr_get_u32(table[RTA_TABLE]) : msg->rtm_table;
	route.metric = get_u32(table[RTA_PRIORITY]);
	route.mtu = get_u32(metrics[RTAX_MTU]);
	route.ifindex = get_u32(table[RTA_OIF]);
	get_addr(table[RTA_DST], route.family, &route.dst);
	get_addr(table[RTA_GATEWAY], route.family, &route.gateway);
	get_addr(table[RTA_PREFSRC], route.family, &route.prefsrc);
	if (table[RTA_OIF])
		add_hop(&route, route.ifindex);
	else if (holds(table[RTA_MULTIPATH], sizeof(struct rtnexthop)) &&
		parse_hops(table[RTA_MULTIPATH], &route))
		return -EBADMSG;
	*ret_route = route;
	return 0;
}

/* Selectors that a packet without mark, source, device and ports cannot meet. */
static bool rule_is_narrow(const struct nlattr **table, const struct fib_rule_hdr *msg)
{
	static const uint8_t others[] = { FRA_TUN_ID, FRA_OIFNAME, FRA_L3MDEV, FRA_UID_RANGE, FRA_IP_PROTO,
		FRA_SPORT_RANGE, FRA_DPORT_RANGE };
	uint32_t mask = table[FRA_FWMASK] ? get_u32(table[FRA_FWMASK]) : ~0U;
	char iif[IFNAMSIZ] = "lo";

	get_text(table[FRA_IIFNAME], iif, sizeof(iif));
	for (unsigned i = 0; i < sizeof(others); i++) {
		if (table[others[i]])
			return true;
	}
	return msg->src_len || msg->tos || (get_u32(table[FRA_FWMARK]) & mask) || strcmp(iif, "lo");
}

int nl_parse_rule(const struct nlmsghdr *nlh, struct net_rule *ret_rule)
{
	const struct nlattr *table[FRA_MAX + 1] = { NULL };
	const struct fib_rule_hdr *msg;
	struct net_rule rule = { 0 };

	if (nlh->nlmsg_type != RTM_NEWRULE || collect(nlh, sizeof(*msg), table, FRA_MAX))
		return -EBADMSG;
	msg = mnl_nlmsg_get_payload(nlh);
	if (msg->dst_len > 8 * nl_addr_len(msg->family) || !nl_addr_len(msg->family))
		return -EBADMSG;
	get_addr(table[FRA_DST], msg->family, &rule.dst);
	rule.family = msg->family;
	rule.priority = get_u32(table[FRA_PRIORITY]);
	rule.table = table[FRA_TABLE] ? get_u32(table[FRA_TABLE]) : msg->table;
	rule.action = msg->action;
	rule.prefixlen = msg->dst_len;
	rule.is_inverted = msg->flags & FIB_RULE_INVERT;
	rule.is_narrow = rule_is_narrow(table, msg);
	rule.suppresses = table[FRA_SUPPRESS_IFGROUP] ||
		(table[FRA_SUPPRESS_PREFIXLEN] && ~get_u32(table[FRA_SUPPRESS_PREFIXLEN]));
	*ret_rule = rule;
	return 0;
}

unsigned nl_parse_route_devices(const struct nlmsghdr *nlh, int *list, unsigned max)
{
	const struct nlattr *table[RTA_MAX + 1] = { NULL };
	const struct rtnexthop *hop;
	unsigned count = 0;
	size_t left;

	if (nlh->nlmsg_type != RTM_NEWROUTE || collect(nlh, sizeof(struct rtmsg), table, RTA_MAX) || !max)
		return 0;
	if (table[RTA_OIF]) {
		*list = get_u32(table[RTA_OIF]);
		return *list > 0;
	}
	if (!table[RTA_MULTIPATH])
		return 0;
	hop = mnl_attr_get_payload(table[RTA_MULTIPATH]);
	left = mnl_attr_get_payload_len(table[RTA_MULTIPATH]);
	while (left >= sizeof(*hop) && hop->rtnh_len >= sizeof(*hop) && hop->rtnh_len <= left &&
		count < max) {
		size_t step = MNL_ALIGN(hop->rtnh_len);

		if (!(hop->rtnh_flags & RTNH_F_DEAD) && hop->rtnh_ifindex > 0)
			list[count++] = hop->rtnh_ifindex;
		if (step >= left)
			break;
		left -= step;
		hop = (const void *)((const char *)hop + step);
	}
	return count;
}

int nl_parse_neigh(const struct nlmsghdr *nlh, struct net_neigh *ret_neigh)
{
	const struct nlattr *table[NDA_MAX + 1] = { NULL };
	struct net_neigh neigh = { 0 };
	const struct ndmsg *msg;

	if (nlh->nlmsg_type != RTM_NEWNEIGH && nlh->nlmsg_type != RTM_DELNEIGH)
		return -EBADMSG;
	if (collect(nlh, sizeof(*msg), table, NDA_MAX))
		return -EBADMSG;
	msg = mnl_nlmsg_get_payload(nlh);
	if (!nl_addr_len(msg->ndm_family))
		return -EBADMSG;	/* a bridge's forwarding entry */
	neigh.ifindex = msg->ndm_ifindex;
	neigh.family = msg->ndm_family;
	neigh.state = msg->ndm_state;
	neigh.flags = msg->ndm_flags | get_u32(table[NDA_FLAGS_EXT]) << 8;
	neigh.protocol = holds(table[NDA_PROTOCOL], 1) ? mnl_attr_get_u8(table[NDA_PROTOCOL]) : 0;
	get_addr(table[NDA_DST], neigh.family, &neigh.addr);
	if (holds(table[NDA_LLADDR], 6) && mnl_attr_get_payload_len(table[NDA_LLADDR]) == 6) {
		memcpy(neigh.mac, mnl_attr_get_payload(table[NDA_LLADDR]), 6);
		neigh.has_mac = true;
	}
	*ret_neigh = neigh;
	return 0;
}

static int parse_event(const struct nlmsghdr *nlh, struct net_event *event)
{
	event->removed = nlh->nlmsg_type == RTM_DELLINK || nlh->nlmsg_type == RTM_DELADDR ||
			 nlh->nlmsg_type == RTM_DELROUTE || nlh->nlmsg_type == RTM_DELNEIGH;
	switch (nlh->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		event->type = NET_EVENT_LINK;
		return nl_parse_link(nlh, &event->link);
	case RTM_NEWADDR:
	case RTM_DELADDR:
		event->type = NET_EVENT_ADDR;
		return nl_parse_addr(nlh, &event->addr);
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		event->type = NET_EVENT_ROUTE;
		return nl_parse_route(nlh, &event->route);
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		event->type = NET_EVENT_NEIGH;
		return nl_parse_neigh(nlh, &event->neigh);
	case RTM_NEWRULE:
	case RTM_DELRULE:
		event->type = NET_EVENT_RULE;
		return 0;
	default:
		return -EBADMSG;
	}
}

/* libmnl's own test takes a length of 2^31 and more for a negative one, which is below any limit. */
static bool is_whole(const struct nlmsghdr *nlh, size_t left)
{
	return left >= sizeof(*nlh) && nlh->nlmsg_len >= sizeof(*nlh) && nlh->nlmsg_len <= left;
}

void nl_parse_events(const void *buf, size_t len, net_event_cb cb, void *user)
{
	struct net_event event;
	size_t at = 0;

	while (at < len) {
		const struct nlmsghdr *nlh = (const void *)((const char *)buf + at);

		if (!is_whole(nlh, len - at))
			return;
		if (!parse_event(nlh, &event))
			cb(&event, user);
		at += MNL_ALIGN(nlh->nlmsg_len);
	}
}

int nl_parse_filter(const struct nlmsghdr *nlh, struct net_filter *ret_filter)
{
	const struct nlattr *table[TCA_MAX + 1] = { NULL }, *bpf[TCA_BPF_MAX + 1] = { NULL };
	struct net_filter filter = {};
	const struct tcmsg *msg;
	char kind[16] = "";

	if (nlh->nlmsg_type != RTM_NEWTFILTER || collect(nlh, sizeof(*msg), table, TCA_MAX))
		return -EBADMSG;
	msg = mnl_nlmsg_get_payload(nlh);
	get_text(table[TCA_KIND], kind, sizeof(kind));
	if (strcmp(kind, "bpf") || collect_nested(table[TCA_OPTIONS], bpf, TCA_BPF_MAX))
		return -EBADMSG;
	filter.priority = msg->tcm_info >> 16;
	filter.handle = msg->tcm_handle;
	filter.prog_id = get_u32(bpf[TCA_BPF_ID]);
	get_text(bpf[TCA_BPF_NAME], filter.name, sizeof(filter.name));
	/* The priority's own entry comes before its filters and has no program. */
	if (!filter.prog_id)
		return -EBADMSG;
	*ret_filter = filter;
	return 0;
}

/* Numbers of nfnetlink are in network order. */
static uint32_t get_be32(const struct nlattr *attr)
{
	return ntohl(get_u32(attr));
}

static int parse_table(const struct nlmsghdr *nlh, struct net_nf *nf)
{
	const struct nlattr *table[NFTA_TABLE_MAX + 1] = { NULL };

	if (collect(nlh, sizeof(struct nfgenmsg), table, NFTA_TABLE_MAX))
		return -EBADMSG;
	nf->kind = NET_NF_TABLE;
	get_text(table[NFTA_TABLE_NAME], nf->table, sizeof(nf->table));
	get_text(table[NFTA_TABLE_NAME], nf->name, sizeof(nf->name));
	return 0;
}

static int parse_chain(const struct nlmsghdr *nlh, struct net_nf *nf)
{
	const struct nlattr *table[NFTA_CHAIN_MAX + 1] = { NULL }, *hook[NFTA_HOOK_MAX + 1] = { NULL };

	if (collect(nlh, sizeof(struct nfgenmsg), table, NFTA_CHAIN_MAX) ||
	    collect_nested(table[NFTA_CHAIN_HOOK], hook, NFTA_HOOK_MAX))
		return -EBADMSG;
	nf->kind = NET_NF_CHAIN;
	get_text(table[NFTA_CHAIN_TABLE], nf->table, sizeof(nf->table));
	get_text(table[NFTA_CHAIN_NAME], nf->name, sizeof(nf->name));
	if (holds(hook[NFTA_HOOK_HOOKNUM], 4))
		nf->hook = get_be32(hook[NFTA_HOOK_HOOKNUM]) & 0xff;
	return 0;
}

static int parse_set(const struct nlmsghdr *nlh, struct net_nf *nf)
{
	const struct nlattr *table[IPSET_ATTR_CMD_MAX + 1] = { NULL };

	if (collect(nlh, sizeof(struct nfgenmsg), table, IPSET_ATTR_CMD_MAX))
		return -EBADMSG;
	nf->kind = NET_NF_SET;
	get_text(table[IPSET_ATTR_SETNAME], nf->name, sizeof(nf->name));
	return 0;
}

/* What a rule's expressions say, as far as it matters here. */
struct rule_reading {
	bool reads_state;		/* the last ct expression was one of the state */
	bool wants_invalid;
	bool drops;
	bool goes_on;			/* into another chain */
	bool rejects;
	uint8_t reads_dst;		/* bytes of the destination that the last payload expression loaded */
	uint8_t dst_len;		/* of the destination that it asks for; 0: none */
	struct talon_addr dst;
};

/* nft masks the state with those that are asked for; their bits are those of xtables. */
static void read_bitwise(const struct nlattr *data, struct rule_reading *r)
{
	const struct nlattr *table[NFTA_BITWISE_MAX + 1] = { NULL }, *value[NFTA_DATA_MAX + 1] = { NULL };
	uint32_t mask;

	r->reads_dst = 0;	/* only part of it counts */
	if (!r->reads_state || collect_nested(data, table, NFTA_BITWISE_MAX) ||
	    collect_nested(table[NFTA_BITWISE_MASK], value, NFTA_DATA_MAX))
		return;
	/* In the host's order, as the state in the register is. */
	mask = get_u32(value[NFTA_DATA_VALUE]);
	r->wants_invalid |= mask & XT_CONNTRACK_STATE_INVALID;
}

static void read_ct(const struct nlattr *data, struct rule_reading *r)
{
	const struct nlattr *table[NFTA_CT_MAX + 1] = { NULL };

	if (!collect_nested(data, table, NFTA_CT_MAX))
		r->reads_state = holds(table[NFTA_CT_KEY], 4) && get_be32(table[NFTA_CT_KEY]) == NFT_CT_STATE;
}

/* iptables-nft: a match of xtables with its own structure. */
static void read_match(const struct nlattr *data, struct rule_reading *r)
{
	const struct nlattr *table[NFTA_MATCH_MAX + 1] = { NULL };
	struct xt_conntrack_mtinfo3 info;
	char name[32] = "";

	if (collect_nested(data, table, NFTA_MATCH_MAX))
		return;
	get_text(table[NFTA_MATCH_NAME], name, sizeof(name));
	if (strcmp(name, "conntrack") || !holds(table[NFTA_MATCH_INFO], sizeof(info)))
		return;
	memcpy(&info, mnl_attr_get_payload(table[NFTA_MATCH_INFO]), sizeof(info));
	r->wants_invalid |= info.match_flags & XT_CONNTRACK_STATE &&
		!(info.invert_flags & XT_CONNTRACK_STATE) && info.state_mask & XT_CONNTRACK_STATE_INVALID;
}

static bool is_jump(uint32_t verdict)
{
	return verdict == (uint32_t)NFT_JUMP || verdict == (uint32_t)NFT_GOTO;
}

static void read_immediate(const struct nlattr *data, struct rule_reading *r)
{
	const struct nlattr *table[NFTA_IMMEDIATE_MAX + 1] = { NULL }, *value[NFTA_DATA_MAX + 1] = { NULL };
	const struct nlattr *verdict[NFTA_VERDICT_MAX + 1] = { NULL };

	if (!collect_nested(data, table, NFTA_IMMEDIATE_MAX) &&
	    !collect_nested(table[NFTA_IMMEDIATE_DATA], value, NFTA_DATA_MAX) &&
	    !collect_nested(value[NFTA_DATA_VERDICT], verdict, NFTA_VERDICT_MAX) &&
	    holds(verdict[NFTA_VERDICT_CODE], 4)) {
		r->drops |= get_be32(verdict[NFTA_VERDICT_CODE]) == NF_DROP;
		r->goes_on |= is_jump(get_be32(verdict[NFTA_VERDICT_CODE]));
	}
}

/* The destination of the IP header, whole: nft loads fewer bytes of it for a network. */
static void read_payload(const struct nlattr *data, struct rule_reading *r)
{
	const struct nlattr *table[NFTA_PAYLOAD_MAX + 1] = { NULL };
	uint32_t offset, len;

	r->reads_dst = 0;
	if (collect_nested(data, table, NFTA_PAYLOAD_MAX) || !holds(table[NFTA_PAYLOAD_BASE], 4) ||
	    get_be32(table[NFTA_PAYLOAD_BASE]) != NFT_PAYLOAD_NETWORK_HEADER ||
	    !holds(table[NFTA_PAYLOAD_OFFSET], 4) || !holds(table[NFTA_PAYLOAD_LEN], 4))
		return;
	offset = get_be32(table[NFTA_PAYLOAD_OFFSET]);
	len = get_be32(table[NFTA_PAYLOAD_LEN]);
	if ((offset == offsetof(struct iphdr, daddr) && len == 4) ||
	    (offset == offsetof(struct ipv6hdr, daddr) && len == 16))
		r->reads_dst = len;
}

static void read_cmp(const struct nlattr *data, struct rule_reading *r)
{
	const struct nlattr *table[NFTA_CMP_MAX + 1] = { NULL }, *value[NFTA_DATA_MAX + 1] = { NULL };
	const uint8_t len = r->reads_dst;

	r->reads_dst = 0;
	if (!len || collect_nested(data, table, NFTA_CMP_MAX) || !holds(table[NFTA_CMP_OP], 4) ||
	    get_be32(table[NFTA_CMP_OP]) != NFT_CMP_EQ ||
	    collect_nested(table[NFTA_CMP_DATA], value, NFTA_DATA_MAX) ||
	    !holds(value[NFTA_DATA_VALUE], len))
		return;
	memcpy(&r->dst, mnl_attr_get_payload(value[NFTA_DATA_VALUE]), len);
	r->dst_len = len;
}

static void read_reject(const struct nlattr *data, struct rule_reading *r)
{
	r->rejects = true;
}

/* iptables-nft: a target of xtables. */
static void read_target(const struct nlattr *data, struct rule_reading *r)
{
	const struct nlattr *table[NFTA_TARGET_MAX + 1] = { NULL };
	char name[32] = "";

	if (collect_nested(data, table, NFTA_TARGET_MAX))
		return;
	get_text(table[NFTA_TARGET_NAME], name, sizeof(name));
	r->rejects |= !strcmp(name, "REJECT");
}

static void read_expression(const struct nlattr *attr, void *user)
{
	struct rule_reading *r = user;
	static const struct {
		const char *name;
		void (*read)(const struct nlattr *data, struct rule_reading *r);
	} known[] = {
		{ "ct", read_ct }, { "bitwise", read_bitwise }, { "match", read_match },
		{ "immediate", read_immediate }, { "payload", read_payload }, { "cmp", read_cmp },
		{ "reject", read_reject }, { "target", read_target },
	};
	const struct nlattr *table[NFTA_EXPR_MAX + 1] = { NULL };
	char name[32] = "";

	if (collect_nested(attr, table, NFTA_EXPR_MAX))
		return;
	get_text(table[NFTA_EXPR_NAME], name, sizeof(name));
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (!strcmp(known[i].name, name))
			known[i].read(table[NFTA_EXPR_DATA], r);
	}
}

/* Calls @fn for each whole element of a list of nftables. */
static void each_element(const struct nlattr *list, void (*fn)(const struct nlattr *element, void *user),
	void *user)
{
	size_t left = mnl_attr_get_payload_len(list), step;
	const struct nlattr *attr = mnl_attr_get_payload(list);

	while (left >= sizeof(*attr) && attr->nla_len >= sizeof(*attr) && attr->nla_len <= left) {
		if (mnl_attr_get_type(attr) == NFTA_LIST_ELEM)
			fn(attr, user);
		step = MNL_ALIGN(attr->nla_len);
		if (step > left)
			step = left;
		attr = (const void *)((const char *)attr + step);
		left -= step;
	}
}

static int parse_nft_rule(const struct nlmsghdr *nlh, struct net_nf *nf)
{
	const struct nlattr *table[NFTA_RULE_MAX + 1] = { NULL };
	struct rule_reading r = {};

	if (collect(nlh, sizeof(struct nfgenmsg), table, NFTA_RULE_MAX))
		return -EBADMSG;
	nf->kind = NET_NF_RULE;
	get_text(table[NFTA_RULE_TABLE], nf->table, sizeof(nf->table));
	get_text(table[NFTA_RULE_CHAIN], nf->name, sizeof(nf->name));
	if (table[NFTA_RULE_EXPRESSIONS])
		each_element(table[NFTA_RULE_EXPRESSIONS], read_expression, &r);
	nf->drops_invalid = r.wants_invalid && r.drops;
	return 0;
}

int nl_parse_nf(const struct nlmsghdr *nlh, struct net_nf *ret_nf)
{
	const struct nfgenmsg *msg = mnl_nlmsg_get_payload(nlh);
	struct net_nf nf = { .hook = -1 };
	int ret = -EBADMSG;

	if (nlh->nlmsg_len < mnl_nlmsg_size(sizeof(*msg)))
		return -EBADMSG;
	nf.family = msg->nfgen_family;
	if (nlh->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE))
		ret = parse_table(nlh, &nf);
	else if (nlh->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN))
		ret = parse_chain(nlh, &nf);
	else if (nlh->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE))
		ret = parse_nft_rule(nlh, &nf);
	else if (nlh->nlmsg_type == (NFNL_SUBSYS_IPSET << 8 | IPSET_CMD_LIST))
		ret = parse_set(nlh, &nf);
	if (ret || !nf.name[0])
		return -EBADMSG;
	*ret_nf = nf;
	return 0;
}

int nl_parse_generation(const struct nlmsghdr *nlh, uint32_t *ret_generation)
{
	const struct nlattr *table[NFTA_GEN_MAX + 1] = { NULL };

	if (collect(nlh, sizeof(struct nfgenmsg), table, NFTA_GEN_MAX) || !holds(table[NFTA_GEN_ID], 4))
		return -EBADMSG;
	*ret_generation = get_be32(table[NFTA_GEN_ID]);
	return 0;
}

static uint8_t family_of(const struct nlmsghdr *nlh)
{
	const struct nfgenmsg *msg = mnl_nlmsg_get_payload(nlh);

	return msg->nfgen_family == NFPROTO_IPV4 ? AF_INET : msg->nfgen_family == NFPROTO_IPV6 ? AF_INET6 : 0;
}

int nl_parse_service_rule(const struct nlmsghdr *nlh, struct net_service *ret_service)
{
	const struct nlattr *table[NFTA_RULE_MAX + 1] = { NULL };
	struct rule_reading r = {};

	if (nlh->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE) ||
	    collect(nlh, sizeof(struct nfgenmsg), table, NFTA_RULE_MAX) || !table[NFTA_RULE_EXPRESSIONS])
		return -EBADMSG;
	each_element(table[NFTA_RULE_EXPRESSIONS], read_expression, &r);
	if (!r.dst_len || r.dst_len != nl_addr_len(family_of(nlh)) || !(r.goes_on || r.rejects || r.drops))
		return -EBADMSG;
	*ret_service = (struct net_service){ .family = family_of(nlh), .addr = r.dst, .is_dropped = r.drops };
	return 0;
}

struct elements {
	uint8_t family;
	net_service_cb cb;
	void *user;
};

/* The key is the address, then the protocol and the port, each in words of its own; the value a verdict. */
static void read_element(const struct nlattr *attr, void *user)
{
	const struct nlattr *table[NFTA_SET_ELEM_MAX + 1] = { NULL }, *key[NFTA_DATA_MAX + 1] = { NULL };
	const struct nlattr *data[NFTA_DATA_MAX + 1] = { NULL }, *verdict[NFTA_VERDICT_MAX + 1] = { NULL };
	const struct elements *elements = user;
	struct net_service service = { .family = elements->family };
	size_t len = nl_addr_len(elements->family);

	if (collect_nested(attr, table, NFTA_SET_ELEM_MAX) ||
	    collect_nested(table[NFTA_SET_ELEM_KEY], key, NFTA_DATA_MAX) ||
	    !holds(key[NFTA_DATA_VALUE], len + 8) ||
	    collect_nested(table[NFTA_SET_ELEM_DATA], data, NFTA_DATA_MAX) ||
	    collect_nested(data[NFTA_DATA_VERDICT], verdict, NFTA_VERDICT_MAX) ||
	    !holds(verdict[NFTA_VERDICT_CODE], 4))
		return;
	memcpy(&service.addr, mnl_attr_get_payload(key[NFTA_DATA_VALUE]), len);
	service.is_dropped = get_be32(verdict[NFTA_VERDICT_CODE]) == NF_DROP;
	if (service.is_dropped || is_jump(get_be32(verdict[NFTA_VERDICT_CODE])))
		elements->cb(&service, elements->user);
}

int nl_parse_service_elements(const struct nlmsghdr *nlh, net_service_cb cb, void *user)
{
	const struct nlattr *table[NFTA_SET_ELEM_LIST_MAX + 1] = { NULL };
	struct elements elements = { .cb = cb, .user = user };

	if (nlh->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSETELEM) ||
	    collect(nlh, sizeof(struct nfgenmsg), table, NFTA_SET_ELEM_LIST_MAX))
		return -EBADMSG;
	elements.family = family_of(nlh);
	if (!elements.family)
		return -EBADMSG;
	if (table[NFTA_SET_ELEM_LIST_ELEMENTS])
		each_element(table[NFTA_SET_ELEM_LIST_ELEMENTS], read_element, &elements);
	return 0;
}
