// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// rtnetlink against a kernel: links, addresses, routes, neighbours, events, hazards and the tunnel pair, in
// private namespaces.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include <bpf/bpf.h>

#include "log/log.h"
#include "net/ethtool.h"
#include "net/net.h"

#include "datapath_other.skel.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

#define TCX_INGRESS	46
#define ALIAS		"talon test"

static char err[512];

static void run(const char *command)
{
	if (system(command))
		fail_msg("%s", command);
}

static struct talon_addr addr4(const char *text)
{
	struct talon_addr addr = { 0 };

	assert_int_equal(inet_pton(AF_INET, text, &addr.word[0]), 1);
	return addr;
}

static int ifindex_of(const char *name)
{
	struct net_link link;

	assert_int_equal(net_link_get(name, &link), 0);
	return link.ifindex;
}

/* Tries until @condition holds, five seconds at most. */
#define wait_for(condition)					\
	do {							\
		int tries = 0;					\
		while (!(condition)) {				\
			assert_in_range(++tries, 1, 500);	\
			usleep(10000);				\
		}						\
	} while (0)

static int set_up(void **state)
{
	run("ip link add a0 type veth peer name b0 && ip addr add 192.0.2.1/24 dev a0 && ip link set a0 up "
		"&& ip link set b0 up");
	return 0;
}

static int tear_down(void **state)
{
	run("ip link del a0");
	return 0;
}

static void a_link_is_described(void **state)
{
	struct net_link link, same;

	run("ip link set a0 address 02:00:00:00:00:17 mtu 1400 alias 'somebody else'");
	assert_int_equal(net_link_get("a0", &link), 0);
	assert_string_equal(link.name, "a0");
	assert_memory_equal(link.mac, "\x02\x00\x00\x00\x00\x17", 6);
	assert_int_equal(link.mtu, 1400);
	assert_string_equal(link.kind, "veth");
	assert_string_equal(link.driver, "veth");
	assert_string_equal(link.alias, "somebody else");
	assert_true(link.up && link.running);
	assert_int_equal(link.lower, ifindex_of("b0"));
	assert_int_equal(net_link_get_index(link.ifindex, &same), 0);
	assert_string_equal(same.name, "a0");
	assert_int_equal(net_link_get("nosuch0", &link), -ENODEV);
	assert_int_equal(net_link_get_index(9999, &link), -ENODEV);
	assert_int_equal(net_link_get("", &link), -ENODEV);
}

/* Names of the default route's devices with spaces between. */
static const char *default_uplinks(void)
{
	static char text[NET_DEFAULT_MAX * (IFNAMSIZ + 1)];
	struct net_link links[NET_DEFAULT_MAX];
	unsigned count = 99;

	assert_int_equal(net_default_uplinks(links, &count), 0);
	text[0] = '\0';
	for (unsigned i = 0; i < count; i++) {
		strcat(text, i ? " " : "");
		strcat(text, links[i].name);
	}
	return text;
}

static void the_default_uplink_has_the_lowest_metric(void **state)
{
	assert_string_equal(default_uplinks(), "");
	run("ip route add default via 192.0.2.254 dev a0 metric 200");
	run("ip addr add 198.51.100.1/24 dev b0 && ip route add default via 198.51.100.254 dev b0 "
		"metric 100");
	assert_string_equal(default_uplinks(), "b0");
	run("ip route del default dev b0");
	assert_string_equal(default_uplinks(), "a0");
}

static void every_next_hop_of_the_default_route_counts_once(void **state)
{
	run("ip addr add 198.51.100.1/24 dev b0");
	run("ip route add default nexthop via 198.51.100.254 dev b0 nexthop via 192.0.2.254 dev a0 nexthop "
		"via 192.0.2.253 dev a0");
	assert_string_equal(default_uplinks(), "b0 a0");
	run("ip route replace default nexthop via 192.0.2.254 dev a0 nexthop via 192.0.2.253 dev a0");
	assert_string_equal(default_uplinks(), "a0");
}

static void a_device_is_known_by_its_own_name_and_type(void **state)
{
	struct net_link link;

	run("ip link property add dev a0 altname lan0");
	assert_int_equal(net_link_get("lan0", &link), 0);
	assert_string_equal(link.name, "a0");
	assert_true(net_link_is_ethernet(&link));
	assert_int_equal(net_link_get("lo", &link), 0);
	assert_false(net_link_is_ethernet(&link));
}

static void a_kernel_that_does_not_forward_is_named_with_its_sysctl(void **state)
{
	const char *names[] = { "a0" };
	char why[200];

	run("sysctl -qw net.ipv4.ip_forward=0");
	assert_true(net_forwarding_is_off(AF_INET, names, 1, why, sizeof(why)));
	assert_string_equal(why, "net.ipv4.ip_forward=0: the kernel forwards nothing that comes in by a0; "
		"run sysctl -w net.ipv4.ip_forward=1");
	run("sysctl -qw net.ipv4.ip_forward=1");
	assert_false(net_forwarding_is_off(AF_INET, names, 1, why, sizeof(why)));
	run("sysctl -qw net.ipv4.conf.a0.forwarding=0");
	assert_true(net_forwarding_is_off(AF_INET, names, 1, why, sizeof(why)));
	assert_string_equal(why, "net.ipv4.conf.a0.forwarding=0: the kernel forwards nothing that comes in "
		"by a0; run sysctl -w net.ipv4.conf.a0.forwarding=1");
	run("sysctl -qw net.ipv6.conf.all.forwarding=0");
	assert_true(net_forwarding_is_off(AF_INET6, names, 1, why, sizeof(why)));
	assert_string_equal(why, "net.ipv6.conf.all.forwarding=0: the kernel forwards no IPv6 that comes in "
		"by a0; run sysctl -w net.ipv6.conf.all.forwarding=1");
	run("sysctl -qw net.ipv6.conf.all.forwarding=1");
	assert_false(net_forwarding_is_off(AF_INET6, names, 1, why, sizeof(why)));
	run("sysctl -qw net.ipv6.conf.a0.forwarding=0");
	assert_true(net_forwarding_is_off(AF_INET6, names, 1, why, sizeof(why)));
	assert_string_equal(why, "net.ipv6.conf.a0.forwarding=0: the kernel forwards no IPv6 that comes in "
		"by a0; run sysctl -w net.ipv6.conf.a0.forwarding=1");
}

/* The lines of hazards at a0, where IPv6 networks are served. */
static bool hazards_have(const char *words)
{
	const char *names[] = { "a0" };
	char text[2000];

	net_hazards(&(struct net_hazard_question){ .uplinks = names, .count = 1, .six = true }, text,
		sizeof(text));
	return strstr(text, words);
}

static void a_default_route_that_forwarding_takes_away_is_named(void **state)
{
	const char *gone = "accept_ra=1 on a0: router advertisements are ignored where IPv6 is forwarded, "
		"and there is no IPv6 default route (sysctl -w net.ipv6.conf.a0.accept_ra=2)",
		*goes = "accept_ra=1 on a0: the IPv6 default route, which a router advertised, goes when "
		"forwarding is switched on (sysctl -w net.ipv6.conf.a0.accept_ra=2)";

	run("sysctl -qw net.ipv6.conf.all.forwarding=0 net.ipv6.conf.a0.accept_ra=1; ip addr add "
		"2001:db8::5/64 dev a0 nodad");
	assert_false(hazards_have("accept_ra"));
	run("ip -6 route add default via fe80::1 dev a0 proto ra");
	assert_true(hazards_have(goes));
	run("sysctl -qw net.ipv6.conf.all.forwarding=1");
	assert_false(hazards_have("accept_ra"));	/* a route that somebody made stays */
	run("ip -6 route del default");
	assert_true(hazards_have(gone));
	run("sysctl -qw net.ipv6.conf.a0.accept_ra=2");
	assert_false(hazards_have("accept_ra"));
}

static void the_primary_address_is_found(void **state)
{
	__be32 addr;

	run("ip addr add 192.0.2.2/24 dev a0");
	assert_int_equal(net_addr_primary4(ifindex_of("a0"), &addr), 0);
	assert_int_equal(addr, addr4("192.0.2.1").word[0]);
	assert_int_equal(net_addr_primary4(ifindex_of("b0"), &addr), -EADDRNOTAVAIL);
}

static void an_address_comes_without_a_route_and_goes(void **state)
{
	struct talon_addr addr = addr4("100.64.0.1");
	int ifindex = ifindex_of("a0");

	assert_int_equal(net_addr_add(ifindex, AF_INET, &addr, 10), 0);
	assert_int_equal(net_addr_add(ifindex, AF_INET, &addr, 10), 0);
	run("ip addr show dev a0 | grep -q 'inet 100.64.0.1/10'");
	run("! ip route | grep -q 100.64");
	assert_int_equal(net_addr_del(ifindex, AF_INET, &addr, 10), 0);
	assert_int_equal(net_addr_del(ifindex, AF_INET, &addr, 10), 0);
	run("! ip addr show dev a0 | grep -q 100.64");
	assert_int_equal(net_addr_add(ifindex, AF_INET, &addr, 33), -EINVAL);
	assert_int_equal(net_addr_add(9999, AF_INET, &addr, 32), -ENODEV);
}

static int change(enum net_route_what what, const struct net_route *route)
{
	struct net_route_change c = { .route = *route, .what = what };

	assert_int_equal(net_route_change(&c, 1), 0);
	return c.ret;
}

static void our_routes_are_marked_replaced_and_removed(void **state)
{
	struct net_route route = {
		.family = AF_INET, .prefixlen = 10, .dst = addr4("100.64.0.0"), .ifindex = ifindex_of("a0")
	};

	assert_int_equal(change(NET_ROUTE_ADD, &route), 0);
	run("ip route show 100.64.0.0/10 | grep -q 'dev a0 proto 84 scope link'");
	route.ifindex = ifindex_of("b0");
	route.mtu = 1280;
	route.prefsrc = addr4("192.0.2.1");
	assert_int_equal(change(NET_ROUTE_REPLACE, &route), 0);
	run("test $(ip route show 100.64.0.0/10 | wc -l) = 1");
	run("ip route show 100.64.0.0/10 | grep -q 'dev b0 proto 84 scope link src 192.0.2.1 mtu 1280'");
	assert_int_equal(change(NET_ROUTE_DEL, &route), 0);
	assert_int_equal(change(NET_ROUTE_DEL, &route), 0);
	run("test $(ip route show 100.64.0.0/10 | wc -l) = 0");
}

static void anothers_route_is_not_replaced_nor_removed(void **state)
{
	struct net_route route = {
		.family = AF_INET, .prefixlen = 10, .dst = addr4("100.64.0.0"), .ifindex = ifindex_of("a0")
	};

	run("ip route add 100.64.0.0/10 dev b0");
	assert_int_equal(change(NET_ROUTE_ADD, &route), -EEXIST);
	route.ifindex = ifindex_of("b0");
	assert_int_equal(change(NET_ROUTE_ADD, &route), -EEXIST);
	assert_int_equal(change(NET_ROUTE_DEL, &route), 0);
	assert_int_equal(net_route_flush(0), 0);
	run("ip route show 100.64.0.0/10 | grep -q b0");
}

static void a_flush_takes_all_of_ours(void **state)
{
	struct net_route route = { .family = AF_INET, .prefixlen = 32, .ifindex = ifindex_of("a0") };

	for (unsigned i = 0; i < 300; i++) {
		route.dst.word[0] = htonl(0x64400000 + i);
		assert_int_equal(change(NET_ROUTE_ADD, &route), 0);
	}
	route.ifindex = ifindex_of("b0");
	route.dst = addr4("203.0.113.1");
	assert_int_equal(change(NET_ROUTE_ADD, &route), 0);
	assert_int_equal(net_route_flush(ifindex_of("a0")), 300);
	run("ip route show 203.0.113.1 | grep -q b0");
	assert_int_equal(net_route_flush(0), 1);
}

static bool is_managed(const struct talon_addr *addr)
{
	struct net_neigh neigh;

	return !net_neigh_get(ifindex_of("a0"), AF_INET, addr, &neigh) && neigh.flags & NTF_EXT_MANAGED << 8;
}

static bool has_state(int ifindex, const struct talon_addr *addr, uint16_t state)
{
	struct net_neigh neigh;

	return !net_neigh_get(ifindex, AF_INET, addr, &neigh) && neigh.state & state;
}

/* Only our request makes the kernel resolve it: no packet is sent. */
static void confirm_stale(int ifindex, const struct talon_addr *addr)
{
	struct net_neigh neigh;

	run("ip neigh change 192.0.2.9 lladdr 02:00:00:00:00:99 dev a0 nud stale");
	assert_int_equal(net_neigh_get(ifindex, AF_INET, addr, &neigh), 0);
	assert_int_equal(net_neigh_confirm(&neigh), 0);
	wait_for(has_state(ifindex, addr, NUD_REACHABLE));
	/* it is at another MAC meanwhile */
	run("ip neigh change 192.0.2.9 lladdr 02:00:00:00:00:98 dev a0 nud stale");
	assert_int_equal(net_neigh_get(ifindex, AF_INET, addr, &neigh), 0);
	assert_int_equal(net_neigh_confirm(&neigh), 0);
	wait_for(!has_state(ifindex, addr, NUD_STALE | NUD_PROBE | NUD_REACHABLE | NUD_DELAY));
	assert_int_equal(net_neigh_probe(ifindex, AF_INET, addr), 0);
	wait_for(has_state(ifindex, addr, NUD_REACHABLE));
	assert_int_equal(net_neigh_release(ifindex, AF_INET, addr), 0);
}

static void a_neighbour_is_resolved_kept_and_released(void **state)
{
	struct talon_addr addr = addr4("192.0.2.9"), nobody = addr4("192.0.2.10"),
		fixed = addr4("192.0.2.11");
	struct net_neigh neigh;
	int ifindex = ifindex_of("a0");

	assert_int_equal(net_neigh_get(ifindex, AF_INET, &addr, &neigh), -ENOENT);
	/* The other end answers for the address from a namespace of its own. */
	run("ip netns add talon-net-test && ip link set b0 netns talon-net-test && ip -n talon-net-test addr "
		"add 192.0.2.9/24 dev b0 && ip -n talon-net-test link set b0 up address 02:00:00:00:00:99");
	assert_int_equal(net_neigh_probe(ifindex, AF_INET, &addr), 0);
	wait_for(!net_neigh_get(ifindex, AF_INET, &addr, &neigh) && neigh.has_mac);
	assert_memory_equal(neigh.mac, "\x02\x00\x00\x00\x00\x99", 6);
	assert_int_equal(neigh.protocol, NET_PROTOCOL);
	assert_true(is_managed(&addr));
	assert_int_equal(net_neigh_probe(ifindex, AF_INET, &addr), 0);

	assert_int_equal(net_neigh_release(ifindex, AF_INET, &addr), 0);
	assert_false(is_managed(&addr));
	assert_int_equal(net_neigh_get(ifindex, AF_INET, &addr, &neigh), 0);
	assert_true(neigh.has_mac);
	confirm_stale(ifindex, &addr);

	assert_int_equal(net_neigh_probe(ifindex, AF_INET, &addr), 0);
	assert_int_equal(net_neigh_probe(ifindex, AF_INET, &nobody), 0);
	run("ip neigh replace 192.0.2.11 lladdr 02:00:00:00:00:11 dev a0 nud permanent");
	assert_int_equal(net_neigh_probe(ifindex, AF_INET, &fixed), 0);
	run("ip neigh show 192.0.2.11 | grep -q PERMANENT");
	assert_int_equal(net_neigh_release_all(), 2);
	assert_int_equal(net_neigh_release_all(), 0);
	assert_false(is_managed(&addr) || is_managed(&nobody));
	run("ip netns del talon-net-test");
	wait_for(net_link_get("a0", &(struct net_link) { 0 }) == -ENODEV);
	run("ip link add a0 type bridge");
}

struct heard {
	unsigned count[NET_EVENT_RESYNC + 1], removed[NET_EVENT_RESYNC + 1];
	struct net_event last[NET_EVENT_RESYNC + 1];
	int link;	/* 0, or the device whose link events count: the carrier of another may be late */
};

static void hear(const struct net_event *event, void *user)
{
	struct heard *heard = user;

	if (event->type == NET_EVENT_ADDR && event->addr.family != AF_INET)
		return;		/* link-local addresses appear at any time */
	if (event->type == NET_EVENT_NEIGH && event->neigh.family != AF_INET)
		return;
	if (event->type == NET_EVENT_ROUTE && event->route.family != AF_INET)
		return;
	if (event->type == NET_EVENT_LINK && heard->link && event->link.ifindex != heard->link)
		return;
	heard->count[event->type]++;
	heard->removed[event->type] += event->removed;
	heard->last[event->type] = *event;
}

static void the_monitor_hears_of_everything(void **state)
{
	struct heard heard = { 0 };
	int fd = net_monitor_open(), ifindex = ifindex_of("a0");

	assert_true(fd >= 0);
	while (net_monitor_read(fd, hear, &heard) > 0)
		;
	heard = (struct heard){ .link = ifindex };
	run("ip link set a0 mtu 1300");
	run("ip addr add 192.0.2.77/32 dev a0");
	run("ip route add 203.0.113.0/24 dev a0");
	run("ip neigh replace 192.0.2.5 lladdr 02:00:00:00:00:05 dev a0");
	run("ip route del 203.0.113.0/24");
	wait_for(net_monitor_read(fd, hear, &heard) >= 0 && heard.removed[NET_EVENT_ROUTE]);
	assert_true(heard.count[NET_EVENT_LINK] > 0);
	assert_int_equal(heard.last[NET_EVENT_LINK].link.mtu, 1300);
	assert_int_equal(heard.last[NET_EVENT_ADDR].addr.addr.word[0], addr4("192.0.2.77").word[0]);
	assert_int_equal(heard.last[NET_EVENT_ADDR].addr.ifindex, ifindex);
	assert_int_equal(heard.last[NET_EVENT_ROUTE].route.prefixlen, 24);
	assert_int_equal(heard.last[NET_EVENT_ROUTE].route.ifindex, ifindex);
	assert_memory_equal(heard.last[NET_EVENT_NEIGH].neigh.mac, "\x02\x00\x00\x00\x00\x05", 6);
	assert_int_equal(heard.count[NET_EVENT_RESYNC], 0);
	close(fd);
}

static void lost_events_ask_for_a_resync(void **state)
{
	struct heard heard = { 0 };
	int fd = net_monitor_open(), size = 1, more = 1;

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)), 0);
	run("for i in $(seq 200); do echo route add 203.0.113.$i/32 dev a0; done | ip -batch -");
	for (unsigned i = 0; i < 1000 && more > 0; i++)
		more = net_monitor_read(fd, hear, &heard);
	assert_int_equal(more, 0);
	assert_true(heard.count[NET_EVENT_RESYNC] > 0);
	close(fd);
}

static void hazards_are_named_and_nothing_is_changed(void **state)
{
	const char *const uplinks[] = { "a0" };
	char text[2048], small[150];

	run("echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter && echo 1 > "
		"/proc/sys/net/ipv4/conf/a0/forwarding && echo 0 > /proc/sys/net/ipv4/conf/a0/rp_filter");
	net_hazards(&(struct net_hazard_question){ .uplinks = uplinks, .count = 1 }, text, sizeof(text));
	assert_null(strstr(text, "rp_filter"));
	assert_null(strstr(text, "src_valid_mark"));
	assert_null(strstr(text, "forwarding"));
	assert_non_null(strstr(text, "a0 is a veth"));

	run("echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter && echo 1 > "
		"/proc/sys/net/ipv4/conf/all/src_valid_mark && echo 0 > "
		"/proc/sys/net/ipv4/conf/a0/forwarding");
	assert_in_range(net_hazards(&(struct net_hazard_question){ .uplinks = uplinks, .count = 1 }, text,
		sizeof(text)), 4, 8);
	assert_non_null(strstr(text, "rp_filter=1 (strict) on a0"));
	assert_non_null(strstr(text, "src_valid_mark=1 on a0"));
	assert_non_null(strstr(text, "net.ipv4.conf.a0.forwarding=0"));
	run("test $(cat /proc/sys/net/ipv4/conf/all/rp_filter) = 1");

	/* Loose mode on the device beats strict mode on all. */
	run("echo 2 > /proc/sys/net/ipv4/conf/a0/rp_filter");
	net_hazards(&(struct net_hazard_question){ .uplinks = uplinks, .count = 1 }, text, sizeof(text));
	assert_null(strstr(text, "rp_filter"));

	assert_true(net_hazards(&(struct net_hazard_question){ .uplinks = uplinks, .count = 1 }, small,
		sizeof(small)) > 0);
	assert_int_equal(small[strlen(small) - 1], '\n');
	assert_int_equal(net_hazards(&(struct net_hazard_question){ .uplinks = uplinks, .count = 1 },
		small, 1), 0);
	run("echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter && echo 0 > "
		"/proc/sys/net/ipv4/conf/all/src_valid_mark");

	run("ip link add name br0 type bridge && ip link set a0 master br0");
	assert_int_equal(net_hazards(&(struct net_hazard_question){ .uplinks = (const char *const[]){ "br0",
		"a0", "nosuch0" }, .count = 3 }, text, sizeof(text)) > 0, 1);
	assert_non_null(strstr(text, "br0 is a bridge"));
	assert_non_null(strstr(text, "a0 is a port of br0: br0 has the addresses (write Uplink = br0)"));
	assert_non_null(strstr(text, "nosuch0 does not exist"));
	run("ip link del br0");
}

static void make_tunnel(void)
{
	if (net_tunnel_create("t0", "t0p", 1280, ALIAS, err, sizeof(err)))
		fail_msg("%s", err);
}

static void the_tunnel_pair_has_neither_addresses_nor_arp(void **state)
{
	struct net_link link;

	make_tunnel();
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(net_link_get(i ? "t0p" : "t0", &link), 0);
		assert_true(link.up && link.running);
		assert_int_equal(link.mtu, 1280);
		assert_string_equal(link.alias, ALIAS);
		assert_true(link.flags & IFF_NOARP);
	}
	usleep(200000);		/* the kernel would have made link-local addresses by now */
	run("test -z \"$(ip -br addr show dev t0 | grep -E 'inet|fe80|[0-9]/')\" && test -z \"$(ip -br addr "
		"show dev t0p | grep -E 'fe80|[0-9]/')\"");
	run("ethtool -k t0 | grep -q 'tx-tcp-segmentation: off' && ethtool -k t0 | grep -q "
	    "'generic-segmentation-offload: off' && "
	    "ethtool -k t0 | grep -q 'scatter-gather: off' && ethtool -k t0 | grep -q 'tx-checksumming: off' "
	    "&& ethtool -k t0 | grep -q 'generic-receive-offload: on' && ethtool -k t0p | grep -q "
	    "'generic-receive-offload: off'");
	assert_int_equal(net_tunnel_delete("t0", ALIAS), 0);
	assert_int_equal(net_link_get("t0", &link), -ENODEV);
	assert_int_equal(net_tunnel_delete("t0", ALIAS), 0);
}

static void the_tunnel_pair_is_put_right_when_it_is_there(void **state)
{
	int before;

	make_tunnel();
	before = ifindex_of("t0");
	run("ip link set t0 down mtu 1400 && ethtool -K t0 tx on sg on tso on gso on >/dev/null 2>&1");
	make_tunnel();
	assert_int_equal(ifindex_of("t0"), before);
	run("ip link show t0 | grep -q 'UP.*mtu 1280' && ethtool -k t0 | grep -q 'scatter-gather: off' && "
		"ethtool -k t0 | grep -q 'tx-checksumming: off'");
	assert_int_equal(net_tunnel_delete_all("another alias"), 0);
	assert_int_equal(ifindex_of("t0"), before);
	assert_int_equal(net_tunnel_delete_all(ALIAS), 1);
}

static void a_foreign_pair_is_not_touched(void **state)
{
	struct net_link link;

	run("ip link add t0 type veth peer name t0p mtu 1500");
	assert_int_equal(net_tunnel_create("t0", "t0p", 1280, ALIAS, err, sizeof(err)), -EEXIST);
	assert_non_null(strstr(err, "t0"));
	assert_int_equal(net_tunnel_delete("t0", ALIAS), -EPERM);
	assert_int_equal(net_tunnel_delete_all(ALIAS), 0);
	assert_int_equal(net_link_get("t0", &link), 0);
	assert_int_equal(link.mtu, 1500);
	assert_false(link.up);
	run("ip link del t0");
}

static uint32_t sum_words(const uint8_t *data, size_t len, uint32_t sum)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		sum += data[i] << 8 | data[i + 1];
	return len & 1 ? sum + (data[len - 1] << 8) : sum;
}

/* Whether the TCP or UDP checksum of an unfragmented IPv4 packet is right. */
static bool is_summed(const uint8_t *packet, size_t len)
{
	const struct iphdr *ip = (const void *)packet;
	size_t head = ip->ihl * 4, l4 = ntohs(ip->tot_len) - head;
	uint32_t sum = ip->protocol + l4;

	if (ntohs(ip->tot_len) > len)
		return false;
	sum = sum_words(packet + 12, 8, sum);
	sum = sum_words(packet + head, l4, sum);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

struct frames {
	unsigned total, too_long, bad_sum;
};

static void read_frames(int fd, struct frames *frames)
{
	static uint8_t room[2 + 65536] __attribute__((aligned(8)));
	uint8_t *frame = room + 2;	/* so that what follows the Ethernet header is aligned */
	ssize_t len;

	while ((len = recv(fd, frame, sizeof(room) - 2, MSG_DONTWAIT)) > 0) {
		const struct iphdr *ip = (const void *)(frame + ETH_HLEN);

		if (len < (ssize_t)(ETH_HLEN + sizeof(*ip)) || frame[12] != 8 || frame[13])
			continue;
		frames->total++;
		frames->too_long += len > ETH_HLEN + 1280;
		if ((ip->protocol == IPPROTO_TCP || ip->protocol == IPPROTO_UDP) &&
			!(ip->frag_off & htons(0x3fff)))
			frames->bad_sum += !is_summed(frame + ETH_HLEN, len - ETH_HLEN);
	}
}

static int open_tap(int ifindex)
{
	struct sockaddr_ll where = { .sll_family = AF_PACKET,
				     .sll_protocol = htons(ETH_P_ALL),
				     .sll_ifindex = ifindex };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), size = 64 << 20, on = 1;

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&where, sizeof(where)), 0);
	return fd;
}

static struct sockaddr_in far_addr(uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons(port),
				     .sin_addr.s_addr = htonl(0x64400002) };
}

static int bind_far(int type, uint16_t port)
{
	struct sockaddr_in here = far_addr(port);
	int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&here, sizeof(here)), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 1), 0);
	return fd;
}

/* TCP with a full window, so that the stack would like to send 64 KiB at a time. */
static void send_tcp(int listener, int tap, struct frames *frames)
{
	static uint8_t data[256 * 1024];
	struct sockaddr_in there = far_addr(5000);
	int tx = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), rx;
	size_t sent = 0, got = 0;
	ssize_t step;

	assert_int_equal(connect(tx, (struct sockaddr *)&there, sizeof(there)), 0);
	rx = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	assert_true(rx >= 0);
	for (time_t end = time(NULL) + 60; got < 32 << 20 && time(NULL) < end;) {
		step = sent < 32 << 20 ? send(tx, data, sizeof(data), MSG_DONTWAIT) : 0;
		sent += step > 0 ? step : 0;
		while ((step = recv(rx, data, sizeof(data), 0)) > 0)
			got += step;
		read_frames(tap, frames);
	}
	assert_true(got >= 32 << 20);
	close(tx);
	close(rx);
}

/* UDP in every size up to what must be fragmented, and in batches that the stack cuts (UDP_SEGMENT). */
static void send_udp(int tap, struct frames *frames)
{
	static uint8_t data[60000];
	struct sockaddr_in there = far_addr(6000);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), segment = 1200;

	assert_int_equal(connect(fd, (struct sockaddr *)&there, sizeof(there)), 0);
	for (unsigned len = 1; len <= 3000; len++) {
		assert_int_equal(send(fd, data, len, 0), len);
		read_frames(tap, frames);
	}
	/*
	 * Where a device cannot finish checksums the kernel may refuse UDP_SEGMENT: then there is
	 * nothing to cut.
	 */
	if (!setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment)))
		for (unsigned i = 0; i < 500; i++)
			if (send(fd, data, 48000, 0) == 48000)
				read_frames(tap, frames);
	close(fd);
}

/* By tcx, or by a filter that goes with the device. */
static void look_at_ingress(const struct datapath_other *look, const char *device)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex_of(device), .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = bpf_program__fd(look->progs.look_at_frame));

	if (bpf_link_create(opts.prog_fd, hook.ifindex, TCX_INGRESS, NULL) >= 0)
		return;		/* the fd stays open until the test program ends */
	assert_int_equal(bpf_tc_hook_create(&hook), 0);
	assert_int_equal(bpf_tc_attach(&hook, &opts), 0);
}

static void what_leaves_the_tunnel_is_wire_sized_linear_and_summed(void **state)
{
	struct datapath_other *look = datapath_other__open();
	int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), there = -1, listener, sink, tap;
	struct { uint64_t frames, too_long, non_linear, unsegmented; } seen;
	struct frames frames = { 0 };
	uint32_t zero = 0;

	make_tunnel();
	look->rodata->limit = ETH_HLEN + 1280;
	assert_int_equal(datapath_other__load(look), 0);

	/*
	 * The far end moves to a namespace that answers, with the address that a device without ARP sends to.
	 */
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	there = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_int_equal(setns(here, CLONE_NEWNET), 0);
	snprintf(err, sizeof(err), "ip link set t0p netns /proc/%d/fd/%d", getpid(), there);
	run(err);
	run("ip link set t0 address 02:00:00:00:00:01 && ip addr add 100.64.0.1/24 dev t0");
	assert_int_equal(setns(there, CLONE_NEWNET), 0);
	run("ip link set t0p address 02:00:00:00:00:01 up && ip addr add 100.64.0.2/24 dev t0p");
	look_at_ingress(look, "t0p");
	tap = open_tap(ifindex_of("t0p"));
	listener = bind_far(SOCK_STREAM, 5000);
	sink = bind_far(SOCK_DGRAM, 6000); /* never read; without it the sender would hear of a closed port */
	assert_int_equal(setns(here, CLONE_NEWNET), 0);

	send_tcp(listener, tap, &frames);
	send_udp(tap, &frames);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(look->maps.seen), &zero, &seen), 0);
	assert_true(seen.frames > 30000);
	assert_int_equal(seen.too_long, 0);
	assert_int_equal(seen.non_linear, 0);
	assert_int_equal(seen.unsegmented, 0);
	/* The tap may lose frames under load, the BPF program does not. */
	assert_true(frames.total > 10000);
	assert_int_equal(frames.too_long, 0);
	assert_int_equal(frames.bad_sum, 0);
	print_message("%llu frames, all wire-sized, linear and summed\n", (unsigned long long)seen.frames);

	close(tap);
	close(listener);
	close(sink);
	datapath_other__destroy(look);
	assert_int_equal(net_tunnel_delete("t0", ALIAS), 0);
	close(there);
	close(here);
}

static void an_xdp_refusal_comes_with_the_kernels_words(void **state)
{
	struct datapath_other *other = datapath_other__open_and_load();
	char reason[128];
	struct net_link link;

	run("ip link add d0 type bridge");
	net_xdp_reason(ifindex_of("d0"), bpf_program__fd(other->progs.other_xdp), 1U << 2, reason,
		sizeof(reason));
	assert_non_null(strstr(reason, "native"));
	run("ip link set b0 mtu 9000");
	net_xdp_reason(ifindex_of("a0"), bpf_program__fd(other->progs.other_xdp), 1U << 2, reason,
		sizeof(reason));
	assert_non_null(strstr(reason, "MTU"));
	assert_int_equal(net_link_get("a0", &link), 0);
	assert_int_equal(link.xdp_prog_id, 0);
	run("ip link del d0");
	datapath_other__destroy(other);
}

static int isolate(void **state)
{
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("sysfs", "/sys", "sysfs", 0, NULL))
		return -1;
	log_bridge_libbpf();
	return system("ip link set lo up");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_link_is_described, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_default_uplink_has_the_lowest_metric, set_up, tear_down),
		cmocka_unit_test_setup_teardown(every_next_hop_of_the_default_route_counts_once, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(a_device_is_known_by_its_own_name_and_type, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(a_default_route_that_forwarding_takes_away_is_named, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(a_kernel_that_does_not_forward_is_named_with_its_sysctl,
			set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_primary_address_is_found, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_address_comes_without_a_route_and_goes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(our_routes_are_marked_replaced_and_removed, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(anothers_route_is_not_replaced_nor_removed, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(a_flush_takes_all_of_ours, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_neighbour_is_resolved_kept_and_released, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_monitor_hears_of_everything, set_up, tear_down),
		cmocka_unit_test_setup_teardown(lost_events_ask_for_a_resync, set_up, tear_down),
		cmocka_unit_test_setup_teardown(hazards_are_named_and_nothing_is_changed, set_up, tear_down),
		cmocka_unit_test(the_tunnel_pair_has_neither_addresses_nor_arp),
		cmocka_unit_test(the_tunnel_pair_is_put_right_when_it_is_there),
		cmocka_unit_test(a_foreign_pair_is_not_touched),
		cmocka_unit_test(what_leaves_the_tunnel_is_wire_sized_linear_and_summed),
		cmocka_unit_test_setup_teardown(an_xdp_refusal_comes_with_the_kernels_words, set_up,
			tear_down),
	};

	return cmocka_run_group_tests(tests, isolate, NULL);
}
