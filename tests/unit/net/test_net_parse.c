// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// rtnetlink messages, whole, cut short and lying about their lengths.
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "net/nl.h"

static char buf[NL_BUF] __attribute__((aligned(8)));

static struct nlmsghdr *start(uint16_t type, const void *header, size_t len)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(memset(buf, 0, sizeof(buf)));

	nlh->nlmsg_type = type;
	memcpy(mnl_nlmsg_put_extra_header(nlh, len), header, len);
	return nlh;
}

static struct nlmsghdr *a_link(void)
{
	struct ifinfomsg msg = { .ifi_index = 7, .ifi_flags = IFF_UP | IFF_RUNNING };
	struct nlmsghdr *nlh = start(RTM_NEWLINK, &msg, sizeof(msg));
	struct nlattr *nest;

	mnl_attr_put_strz(nlh, IFLA_IFNAME, "eth0");
	mnl_attr_put_u32(nlh, IFLA_MTU, 1500);
	mnl_attr_put(nlh, IFLA_ADDRESS, 6, "\x02\x00\x00\x00\x00\x01");
	mnl_attr_put_strz(nlh, IFLA_IFALIAS, "talon");
	nest = mnl_attr_nest_start(nlh, IFLA_LINKINFO);
	mnl_attr_put_strz(nlh, IFLA_INFO_KIND, "veth");
	mnl_attr_nest_end(nlh, nest);
	nest = mnl_attr_nest_start(nlh, IFLA_XDP);
	mnl_attr_put_u8(nlh, IFLA_XDP_ATTACHED, XDP_ATTACHED_DRV);
	mnl_attr_put_u32(nlh, IFLA_XDP_PROG_ID, 99);
	mnl_attr_nest_end(nlh, nest);
	return nlh;
}

static void a_link_is_read(void **state)
{
	struct net_link link;

	assert_int_equal(nl_parse_link(a_link(), &link), 0);
	assert_int_equal(link.ifindex, 7);
	assert_string_equal(link.name, "eth0");
	assert_string_equal(link.kind, "veth");
	assert_string_equal(link.alias, "talon");
	assert_int_equal(link.mtu, 1500);
	assert_int_equal(link.mac[5], 1);
	assert_int_equal(link.xdp_prog_id, 99);
	assert_int_equal(link.xdp_mode, XDP_ATTACHED_DRV);
	assert_true(link.up && link.running);
}

static void a_bridges_news_about_a_port_is_not_the_port(void **state)
{
	struct nlmsghdr *nlh = a_link();
	struct net_link link = { .ifindex = 1 };

	((struct ifinfomsg *)mnl_nlmsg_get_payload(nlh))->ifi_family = AF_BRIDGE;
	assert_int_equal(nl_parse_link(nlh, &link), -EBADMSG);
	assert_int_equal(link.ifindex, 1);
}

static void a_name_without_terminator_ends_with_its_attribute(void **state)
{
	struct ifinfomsg msg = { .ifi_index = 7 };
	struct nlmsghdr *nlh = start(RTM_NEWLINK, &msg, sizeof(msg));
	struct net_link link;

	mnl_attr_put(nlh, IFLA_IFNAME, 4, "abcd");
	mnl_attr_put(nlh, IFLA_IFALIAS, 20, "12345678901234567890");
	assert_int_equal(nl_parse_link(nlh, &link), 0);
	assert_string_equal(link.name, "abcd");
	mnl_attr_put(nlh, IFLA_IFNAME, 20, "12345678901234567890");
	assert_int_equal(nl_parse_link(nlh, &link), 0);
	assert_string_equal(link.name, "123456789012345");
}

static void the_other_end_in_another_namespace_is_no_local_index(void **state)
{
	struct nlmsghdr *nlh = a_link();
	struct net_link link;

	mnl_attr_put_u32(nlh, IFLA_LINK, 3);
	assert_int_equal(nl_parse_link(nlh, &link), 0);
	assert_int_equal(link.lower, 3);
	mnl_attr_put_u32(nlh, IFLA_LINK_NETNSID, 0);
	assert_int_equal(nl_parse_link(nlh, &link), 0);
	assert_int_equal(link.lower, 0);
}

static void a_point_to_point_address_is_the_local_one(void **state)
{
	struct ifaddrmsg msg = { .ifa_family = AF_INET, .ifa_prefixlen = 32, .ifa_index = 4,
		.ifa_flags = 0x80 };
	struct nlmsghdr *nlh = start(RTM_NEWADDR, &msg, sizeof(msg));
	struct net_addr addr;

	mnl_attr_put(nlh, IFA_ADDRESS, 4, "\x0a\x00\x00\x02");
	mnl_attr_put(nlh, IFA_LOCAL, 4, "\x0a\x00\x00\x01");
	mnl_attr_put_u32(nlh, IFA_FLAGS, 0x280);
	assert_int_equal(nl_parse_addr(nlh, &addr), 0);
	assert_memory_equal(&addr.addr, "\x0a\x00\x00\x01\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	assert_int_equal(addr.flags, 0x280);
	assert_int_equal(addr.ifindex, 4);
}

static void a_route_is_read_with_its_metrics(void **state)
{
	struct rtmsg msg = { .rtm_family = AF_INET6,
			     .rtm_dst_len = 64,
			     .rtm_table = RT_TABLE_UNSPEC,
			     .rtm_protocol = NET_PROTOCOL,
			     .rtm_type = RTN_UNICAST };
	struct nlmsghdr *nlh = start(RTM_NEWROUTE, &msg, sizeof(msg));
	struct net_route route;
	struct nlattr *nest;

	mnl_attr_put(nlh, RTA_DST, 16, "0123456789abcdef");
	mnl_attr_put_u32(nlh, RTA_OIF, 5);
	mnl_attr_put_u32(nlh, RTA_TABLE, 1000);
	mnl_attr_put_u32(nlh, RTA_PRIORITY, 20);
	nest = mnl_attr_nest_start(nlh, RTA_METRICS);
	mnl_attr_put_u32(nlh, RTAX_MTU, 1280);
	mnl_attr_nest_end(nlh, nest);
	assert_int_equal(nl_parse_route(nlh, &route), 0);
	assert_memory_equal(&route.dst, "0123456789abcdef", 16);
	assert_int_equal(route.table, 1000);
	assert_int_equal(route.metric, 20);
	assert_int_equal(route.mtu, 1280);
	assert_int_equal(route.ifindex, 5);
	assert_int_equal(route.protocol, NET_PROTOCOL);
}

static void a_multipath_route_names_its_first_device(void **state)
{
	struct rtmsg msg = { .rtm_family = AF_INET };
	struct nlmsghdr *nlh = start(RTM_NEWROUTE, &msg, sizeof(msg));
	struct rtnexthop hops[2] = { { .rtnh_len = 8, .rtnh_ifindex = 11 },
		{ .rtnh_len = 8, .rtnh_ifindex = 12 } };
	struct net_route route;

	mnl_attr_put(nlh, RTA_MULTIPATH, sizeof(hops), hops);
	assert_int_equal(nl_parse_route(nlh, &route), 0);
	assert_int_equal(route.ifindex, 11);
}

static void the_devices_of_all_next_hops_are_kept_once(void **state)
{
	struct rtmsg msg = { .rtm_family = AF_INET, .rtm_type = RTN_UNICAST };
	struct nlmsghdr *nlh = start(RTM_NEWROUTE, &msg, sizeof(msg));
	/* the first has a gateway */
	uint8_t hops[40] = { 16, 0, RTNH_F_DEAD, 0, 11, 0, 0, 0, 8, 0, RTA_GATEWAY, 0, 10, 0, 0, 1,
			     8, 0, 0, 0, 12, 0, 0, 0, 8, 0, 0, 0, 11, 0, 0, 0 };
	struct net_route route;

	mnl_attr_put(nlh, RTA_MULTIPATH, 32, hops);
	assert_int_equal(nl_parse_route(nlh, &route), 0);
	assert_int_equal(route.ifindex, 11);
	assert_memory_equal(&route.gateway, "\x0a\0\0\1", 4);
	assert_int_equal(route.hop_count, 2);
	assert_int_equal(route.hops[0], 11);
	assert_int_equal(route.hops[1], 12);
	assert_false(route.flags & RTNH_F_DEAD);	/* not all of them are */
}

static void a_next_hop_that_is_longer_than_its_list_is_refused(void **state)
{
	struct rtmsg msg = { .rtm_family = AF_INET, .rtm_type = RTN_UNICAST };
	struct nlmsghdr *nlh = start(RTM_NEWROUTE, &msg, sizeof(msg));
	uint8_t hops[16] = { 8, 0, 0, 0, 11, 0, 0, 0, 12, 0, 0, 0, 12, 0, 0, 0 };
	struct net_route route;

	mnl_attr_put(nlh, RTA_MULTIPATH, sizeof(hops), hops);
	assert_int_equal(nl_parse_route(nlh, &route), -EBADMSG);
}

static struct net_rule rule_with(const struct fib_rule_hdr *msg, uint16_t attr, const void *data, size_t len)
{
	struct nlmsghdr *nlh = start(RTM_NEWRULE, msg, sizeof(*msg));
	struct net_rule rule = { 0 };

	mnl_attr_put_u32(nlh, FRA_TABLE, 1000);
	mnl_attr_put_u32(nlh, FRA_PRIORITY, 77);
	mnl_attr_put_u32(nlh, FRA_SUPPRESS_PREFIXLEN, ~0U);	/* as the kernel says that nothing is */
	if (attr)
		mnl_attr_put(nlh, attr, len, data);
	assert_int_equal(nl_parse_rule(nlh, &rule), 0);
	assert_int_equal(rule.table, 1000);
	assert_int_equal(rule.priority, 77);
	return rule;
}

static void a_rule_says_what_it_looks_at(void **state)
{
	const struct fib_rule_hdr plain = { .family = AF_INET, .action = FR_ACT_TO_TBL, .table = 252 };
	const struct fib_rule_hdr to = { .family = AF_INET, .action = FR_ACT_TO_TBL, .dst_len = 8,
		.flags = FIB_RULE_INVERT };
	const struct fib_rule_hdr from = { .family = AF_INET, .action = FR_ACT_TO_TBL, .src_len = 8 };
	const struct net_rule none = rule_with(&plain, 0, NULL, 0),
		to10 = rule_with(&to, FRA_DST, "\x0a\0\0\0", 4);
	const uint32_t one = 1, zero = 0;

	assert_false(none.is_narrow || none.suppresses || none.is_inverted || none.prefixlen);
	assert_int_equal(none.action, FR_ACT_TO_TBL);
	assert_int_equal(to10.prefixlen, 8);
	assert_memory_equal(&to10.dst, "\x0a\0\0\0", 4);
	assert_true(to10.is_inverted);
	assert_false(to10.is_narrow);
	assert_true(rule_with(&from, FRA_SRC, "\x0a\0\0\0", 4).is_narrow);
	assert_true(rule_with(&plain, FRA_FWMARK, &one, 4).is_narrow);
	assert_false(rule_with(&plain, FRA_FWMASK, &one, 4).is_narrow);	/* mark 0: what our packets have */
	assert_true(rule_with(&plain, FRA_IIFNAME, "eth0", 5).is_narrow);
	/* what the host itself sends */
	assert_false(rule_with(&plain, FRA_IIFNAME, "lo", 3).is_narrow);
	assert_true(rule_with(&plain, FRA_OIFNAME, "eth0", 5).is_narrow);
	assert_true(rule_with(&plain, FRA_IP_PROTO, &one, 1).is_narrow);
	assert_true(rule_with(&plain, FRA_SUPPRESS_PREFIXLEN, &zero, 4).suppresses);
}

static void a_neighbours_two_kinds_of_flags_are_told_apart(void **state)
{
	struct ndmsg msg = {
		.ndm_family = AF_INET, .ndm_ifindex = 3, .ndm_state = NUD_REACHABLE, .ndm_flags = NTF_USE
	};
	struct nlmsghdr *nlh = start(RTM_NEWNEIGH, &msg, sizeof(msg));
	struct net_neigh neigh;

	mnl_attr_put(nlh, NDA_DST, 4, "\xc0\x00\x02\x01");
	assert_int_equal(nl_parse_neigh(nlh, &neigh), 0);
	assert_false(neigh.has_mac);
	mnl_attr_put(nlh, NDA_LLADDR, 6, "\x02\x00\x00\x00\x00\x09");
	mnl_attr_put_u32(nlh, NDA_FLAGS_EXT, NTF_EXT_MANAGED);
	assert_int_equal(nl_parse_neigh(nlh, &neigh), 0);
	assert_true(neigh.has_mac);
	assert_int_equal(neigh.flags, NTF_USE | NTF_EXT_MANAGED << 8);
	assert_int_equal(neigh.mac[5], 9);
}

static void the_kernels_words_are_found_behind_the_request(void **state)
{
	struct nlmsgerr error = { .error = -EINVAL, .msg = { .nlmsg_len = sizeof(struct nlmsghdr) + 24 } };
	struct nlmsghdr *nlh;
	char text[32] = "";

	nlh = start(NLMSG_ERROR, &error, sizeof(error));
	assert_false(nl_parse_ack_text(nlh, text, sizeof(text)));
	nlh->nlmsg_flags = NLM_F_ACK_TLVS;
	memset(mnl_nlmsg_put_extra_header(nlh, 24), 0xff, 24);
	mnl_attr_put_strz(nlh, NLMSGERR_ATTR_MSG, "MTU is too large for this one's taste");
	assert_true(nl_parse_ack_text(nlh, text, sizeof(text)));
	assert_string_equal(text, "MTU is too large for this one's");

	nlh = start(NLMSG_ERROR, &error, sizeof(error));
	nlh->nlmsg_flags = NLM_F_ACK_TLVS | NLM_F_CAPPED;
	mnl_attr_put_strz(nlh, NLMSGERR_ATTR_MSG, "no");
	assert_true(nl_parse_ack_text(nlh, text, sizeof(text)));
	assert_string_equal(text, "no");

	error.msg.nlmsg_len = 1 << 30;
	nlh = start(NLMSG_ERROR, &error, sizeof(error));
	nlh->nlmsg_flags = NLM_F_ACK_TLVS;
	assert_false(nl_parse_ack_text(nlh, text, sizeof(text)));
}

static void no_prefix_of_a_message_is_read_beyond_its_end(void **state)
{
	struct nlmsghdr *nlh = a_link();
	uint32_t whole = nlh->nlmsg_len;
	struct net_link link;

	for (uint32_t len = 0; len < mnl_nlmsg_size(sizeof(struct ifinfomsg)); len++) {
		nlh->nlmsg_len = len;
		assert_int_equal(nl_parse_link(nlh, &link), -EBADMSG);
	}
	for (uint32_t len = mnl_nlmsg_size(sizeof(struct ifinfomsg)); len < whole; len++) {
		nlh->nlmsg_len = len;
		memset(buf + len, 0xff, sizeof(buf) - len);
		if (!nl_parse_link(nlh, &link))
			assert_true(strlen(link.name) < sizeof(link.name));
	}
}

struct heard {
	unsigned count, removed;
	enum net_event_type type;
};

static void hear(const struct net_event *event, void *user)
{
	struct heard *heard = user;

	heard->count++;
	heard->removed += event->removed;
	heard->type = event->type;
}

static void one_datagram_carries_several_events(void **state)
{
	struct heard heard = { 0 };
	uint32_t len = MNL_ALIGN(a_link()->nlmsg_len);

	memcpy(buf + len, buf, len);
	((struct nlmsghdr *)(buf + len))->nlmsg_type = RTM_DELLINK;
	memcpy(buf + 2 * len, buf, len);
	((struct nlmsghdr *)(buf + 2 * len))->nlmsg_type = 4000;
	nl_parse_events(buf, 3 * len, hear, &heard);
	assert_int_equal(heard.count, 2);
	assert_int_equal(heard.removed, 1);
	assert_int_equal(heard.type, NET_EVENT_LINK);

	/* The last one is cut off. */
	memset(&heard, 0, sizeof(heard));
	nl_parse_events(buf, 2 * len - 1, hear, &heard);
	assert_int_equal(heard.count, 1);

	/* The first one claims to go on for two gigabytes. */
	memset(&heard, 0, sizeof(heard));
	((struct nlmsghdr *)buf)->nlmsg_len = 0x80000010;
	nl_parse_events(buf, 2 * len, hear, &heard);
	assert_int_equal(heard.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_link_is_read),
		cmocka_unit_test(a_bridges_news_about_a_port_is_not_the_port),
		cmocka_unit_test(a_name_without_terminator_ends_with_its_attribute),
		cmocka_unit_test(the_other_end_in_another_namespace_is_no_local_index),
		cmocka_unit_test(a_point_to_point_address_is_the_local_one),
		cmocka_unit_test(a_route_is_read_with_its_metrics),
		cmocka_unit_test(a_multipath_route_names_its_first_device),
		cmocka_unit_test(the_devices_of_all_next_hops_are_kept_once),
		cmocka_unit_test(a_next_hop_that_is_longer_than_its_list_is_refused),
		cmocka_unit_test(a_rule_says_what_it_looks_at),
		cmocka_unit_test(a_neighbours_two_kinds_of_flags_are_told_apart),
		cmocka_unit_test(the_kernels_words_are_found_behind_the_request),
		cmocka_unit_test(no_prefix_of_a_message_is_read_beyond_its_end),
		cmocka_unit_test(one_datagram_carries_several_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
