// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Pods of this node under Cilium, by its devices and routes.
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "host/cilium_pods.h"

#define HOST_DEVICE	"cilium_host"
#define POD_DEVICE	"lxc"

struct reading {
	struct cilium_pods pods;
	struct services *list;
	int ret;
};

static bool is_endpoint(const struct cilium_pods *pods, int ifindex)
{
	for (size_t i = 0; i < pods->endpoint_count; i++) {
		if (pods->endpoints[i] == ifindex)
			return true;
	}
	return false;
}

bool cilium_pods_has(const struct cilium_pods *pods, const struct net_route *route)
{
	const unsigned whole = route->family == AF_INET6 ? 128 : 32;
	const struct cidr net = { .family = route->family, .prefixlen = route->prefixlen,
		.addr = route->dst };

	if (!pods->ifindex || route->type != RTN_UNICAST || !route->prefixlen)
		return false;
	if (route->prefixlen == whole)
		return is_endpoint(pods, route->ifindex);
	if (route->ifindex != pods->ifindex)
		return false;
	for (size_t i = 0; i < pods->addr_count; i++) {
		if (pods->addrs[i].family == route->family && cidr_holds(&net, &pods->addrs[i].addr))
			return true;
	}
	return false;
}

static void take_link(const struct net_link *link, void *user)
{
	struct reading *r = user;
	int *more;

	if (!strcmp(link->name, HOST_DEVICE))
		r->pods.ifindex = link->ifindex;
	if (strncmp(link->name, POD_DEVICE, strlen(POD_DEVICE)) || r->ret)
		return;
	more = reallocarray(r->pods.endpoints, r->pods.endpoint_count + 1, sizeof(*more));
	if (!more) {
		r->ret = -ENOMEM;
		return;
	}
	r->pods.endpoints = more;
	more[r->pods.endpoint_count++] = link->ifindex;
}

static void take_addr(const struct net_addr *addr, void *user)
{
	struct reading *r = user;

	if (addr->ifindex == r->pods.ifindex && addr->scope == RT_SCOPE_UNIVERSE &&
		r->pods.addr_count < CILIUM_HOST_ADDRS_MAX)
		r->pods.addrs[r->pods.addr_count++] = *addr;
}

static void take_route(const struct net_route *route, void *user)
{
	const struct cidr net = { .family = route->family, .prefixlen = route->prefixlen,
		.addr = route->dst };
	struct reading *r = user;

	if (!r->ret && cilium_pods_has(&r->pods, route))
		r->ret = services_add(r->list, &net);
}

int cilium_pods_look(struct services *ret_list)
{
	struct services list = {};
	struct reading r = { .list = &list };
	int ret = net_link_list(take_link, &r);

	if (!ret && r.pods.ifindex)
		ret = net_addr_list(take_addr, &r);
	if (!ret && r.pods.ifindex)
		ret = net_route_list(AF_INET, take_route, &r);
	if (!ret && r.pods.ifindex)
		ret = net_route_list(AF_INET6, take_route, &r);
	free(r.pods.endpoints);
	ret = ret ? ret : r.ret;
	if (ret)
		services_done(&list);
	*ret_list = list;
	return ret;
}
