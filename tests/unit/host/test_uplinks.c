// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Which devices the default route names, and which of them become uplinks.
#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "host/uplink_choice.h"
#include "net/nl.h"

static char buf[NL_BUF] __attribute__((aligned(8)));

static struct nlmsghdr *a_route(void)
{
	struct rtmsg msg = { .rtm_family = AF_INET };
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(memset(buf, 0, sizeof(buf)));

	nlh->nlmsg_type = RTM_NEWROUTE;
	memcpy(mnl_nlmsg_put_extra_header(nlh, sizeof(msg)), &msg, sizeof(msg));
	return nlh;
}

static void a_single_next_hop_is_its_device(void **state)
{
	struct nlmsghdr *nlh = a_route();
	int list[4];

	mnl_attr_put_u32(nlh, RTA_OIF, 7);
	assert_int_equal(nl_parse_route_devices(nlh, list, 4), 1);
	assert_int_equal(list[0], 7);
	assert_int_equal(nl_parse_route_devices(a_route(), list, 4), 0);
}

static void every_next_hop_that_lives_is_named(void **state)
{
	struct rtnexthop hops[4] = {
		{ .rtnh_len = 8, .rtnh_ifindex = 11 },
		{ .rtnh_len = 8, .rtnh_ifindex = 12, .rtnh_flags = RTNH_F_DEAD },
		{ .rtnh_len = 8, .rtnh_ifindex = 13 }, { .rtnh_len = 8, .rtnh_ifindex = 14 },
	};
	struct nlmsghdr *nlh = a_route();
	int list[4];

	mnl_attr_put(nlh, RTA_MULTIPATH, sizeof(hops), hops);
	assert_int_equal(nl_parse_route_devices(nlh, list, 4), 3);
	assert_int_equal(list[0], 11);
	assert_int_equal(list[1], 13);
	assert_int_equal(list[2], 14);
	assert_int_equal(nl_parse_route_devices(nlh, list, 2), 2);
}

static void a_next_hop_that_lies_about_its_length_ends_the_list(void **state)
{
	static const uint16_t lies[] = { 0, 4, 7, 9, 4096 };

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct rtnexthop hops[2] = { { .rtnh_len = 8, .rtnh_ifindex = 11 },
			{ .rtnh_len = lies[i], .rtnh_ifindex = 12 } };
		struct nlmsghdr *nlh = a_route();
		int list[4];

		mnl_attr_put(nlh, RTA_MULTIPATH, sizeof(hops), hops);
		assert_int_equal(nl_parse_route_devices(nlh, list, 4), 1);
		assert_int_equal(list[0], 11);
	}
}

/* "eth0 tun1": ifindex is the last digit plus 1, tun has no Ethernet header. */
static unsigned links(const char *text, struct net_link *list)
{
	char copy[100], *at = copy, *name;
	unsigned count = 0;

	snprintf(copy, sizeof(copy), "%s", text);
	while ((name = strsep(&at, " "))) {
		if (!*name)
			continue;
		list[count] = (struct net_link){ .ifindex = name[strlen(name) - 1] - '0' + 1 };
		snprintf(list[count].name, sizeof(list[count].name), "%s", name);
		list[count++].type = strncmp(name, "tun", 3) ? ARPHRD_ETHER : ARPHRD_NONE;
	}
	return count;
}

static void uplinks_are_the_default_route_s_ethernet_devices(void **state)
{
	static const struct {
		const char *route, *now, *chosen, *why;
	} cases[] = {
		{ "eth0", "", "eth0", "" },
		{ "eth1", "eth0", "eth1", "" },
		{ "eth0 eth1", "eth0", "eth0 eth1", "" },
		{ "eth1 eth0", "eth0 eth1", "eth0 eth1", "" },	/* another order is no news */
		{ "eth0", "eth0 eth1", "eth0", "" },
		{ "", "eth0", "eth0", "" },			/* between two DHCP leases */
		{ "", "", "", "no device has an IPv4 default route" },
		{ "tun0", "", "", "the default route leads by tun0, whose packets have no Ethernet header" },
		{ "tun3", "eth0", "eth0", "the default route leads by tun3, whose packets have no Ethernet "
			"header" },
		{ "tun3 eth1", "eth0", "eth1",
			"the default route leads by tun3, whose packets have no Ethernet header" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct net_link route[4], now[4];
		struct uplink_choice choice;
		char chosen[100] = "";

		uplink_choose(route, links(cases[i].route, route), now, links(cases[i].now, now), &choice);
		for (unsigned j = 0; j < choice.count; j++) {
			strcat(chosen, j ? " " : "");
			strcat(chosen, choice.links[j].name);
		}
		assert_string_equal(chosen, cases[i].chosen);
		assert_string_equal(choice.why, cases[i].why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_single_next_hop_is_its_device),
		cmocka_unit_test(every_next_hop_that_lives_is_named),
		cmocka_unit_test(a_next_hop_that_lies_about_its_length_ends_the_list),
		cmocka_unit_test(uplinks_are_the_default_route_s_ethernet_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
