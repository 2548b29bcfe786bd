// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Settings of the host that can hurt us. They are named, never changed.
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/ethtool.h"
#include "net/net.h"

#define WORDS 256

/* Where a hazard is told, and where files are looked for. */
struct teller {
	const char *root;
	net_hazard_cb cb;
	void *user;
};

static void tell(const struct teller *t, enum net_hazard_kind kind, const char *act, const char *why,
	const char *fmt, ...) __attribute__((format(printf, 5, 6)));

static void tell(const struct teller *t, enum net_hazard_kind kind, const char *act, const char *why,
	const char *fmt, ...)
{
	struct net_hazard hazard = { .kind = kind, .why = why, .act = act };
	char what[WORDS];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	hazard.what = what;
	t->cb(&hazard, t->user);
}

int net_sysctl_get(const char *root, const char *path)
{
	char full[PATH_MAX], text[32], *end;
	ssize_t len;
	long value;
	int fd;

	if (snprintf(full, sizeof(full), "%s/proc/sys/%s", root, path) >= (int)sizeof(full))
		return -1;
	fd = open(full, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len <= 0)
		return -1;
	text[len] = '\0';
	value = strtol(text, &end, 10);
	return end == text || value < 0 || value > INT_MAX ? -1 : value;
}

static int conf_get_of(const char *root, const char *family, const char *device, const char *key)
{
	char path[128];

	snprintf(path, sizeof(path), "net/%s/conf/%s/%s", family, device, key);
	return net_sysctl_get(root, path);
}

static int conf_get(const char *root, const char *device, const char *key)
{
	return conf_get_of(root, "ipv4", device, key);
}

/*
 * Documentation/networking/ip-sysctl: the larger of "all" and the device's own counts. A device that is not
 * there yet will get what "default" has.
 */
static int conf_max(const char *root, const char *device, const char *key)
{
	int all = conf_get(root, "all", key), own = conf_get(root, device, key);

	if (own < 0)
		own = conf_get(root, "default", key);
	return all > own ? all : own;
}

/* sysctl(8) takes '.' for the separator, and '/' for a dot in a name. */
static void sysctl_name(const char *device, char text[IFNAMSIZ])
{
	snprintf(text, IFNAMSIZ, "%s", device);
	for (; *text; text++) {
		if (*text == '.')
			*text = '/';
	}
}

static void check_filter(const struct teller *t, const char *device)
{
	char act[128], name[IFNAMSIZ];

	sysctl_name(device, name);
	if (conf_max(t->root, device, "rp_filter") == 1) {
		snprintf(act, sizeof(act), "sysctl -w net.ipv4.conf.%s.rp_filter=2", name);
		tell(t, NET_HAZARD_RP_FILTER, act, "local deliveries are dropped, because their replies are "
			"routed through the tunnel device",
			"rp_filter=1 (strict) on %s", device);
	}
	if (conf_max(t->root, device, "src_valid_mark") == 1)
		tell(t, NET_HAZARD_SRC_VALID_MARK, NULL, "marked packets fail the source check, which breaks "
			"some gateways on this node", "src_valid_mark=1 on %s", device);
}

static bool is_one_of(const char *name, const char *const *list)
{
	for (; *list; list++)
		if (!strcmp(name, *list))
			return true;
	return false;
}

/* What a bridge, bond or team receives by its ports belongs to it, addresses included. */
static void check_master(const struct teller *t, const struct net_uplink *uplink)
{
	const char *name = uplink->link.name, *master = uplink->master.name;
	char why[WORDS], act[64];

	if (!strcmp(uplink->master.kind, "vrf")) {
		tell(t, NET_HAZARD_MASTER, NULL,
			"routes of the main table do not hold for what comes in there",
			"%s belongs to VRF %s", name, master);
		return;
	}
	snprintf(why, sizeof(why), "%s has the addresses", master);
	snprintf(act, sizeof(act), "write Uplink = %s", master);
	tell(t, NET_HAZARD_MASTER, act, why, "%s is a port of %s", name, master);
}

static void check_kind(const struct teller *t, const struct net_uplink *uplink)
{
	static const char *const layered[] = { "bond", "bridge", "vlan", "team", "macvlan", "ipvlan", NULL };
	const struct net_link *link = &uplink->link;

	if (is_one_of(link->kind, layered) && link->xdp_mode != XDP_ATTACHED_DRV)
		tell(t, NET_HAZARD_LAYERED, NULL, "the programs run at tc or generic XDP, which costs speed "
			"and nothing else", "%s is a %s without native XDP", link->name, link->kind);
	if (uplink->master.ifindex)
		check_master(t, uplink);
	if (!strcmp(link->kind, "veth"))
		tell(t, NET_HAZARD_CHECKSUM, "ethtool -K PEER tx off", "whether its other end sends finished "
			"checksums cannot be seen from here", "%s is a veth", link->name);
	if (!link->up)
		tell(t, NET_HAZARD_DOWN, NULL, NULL, "%s is down", link->name);
}

static void check_offloads(const struct teller *t, const struct net_uplink *uplink)
{
	const char *name = uplink->link.name;
	char act[64];

	if (uplink->has_lro) {
		snprintf(act, sizeof(act), "ethtool -K %s lro off", name);
		tell(t, NET_HAZARD_JOINED, act, "joined packets cannot be sealed", "LRO is on at %s", name);
	}
	if (uplink->has_hw_gro) {
		snprintf(act, sizeof(act), "ethtool -K %s rx-gro-hw off", name);
		tell(t, NET_HAZARD_JOINED, act, "joined packets cannot be sealed",
			"hardware GRO is on at %s", name);
	}
}

/* XDP sees such a frame without its tag, and nothing says that it had one. */
static void check_vlans(const struct teller *t, const struct net_uplink *uplink)
{
	const char *name = uplink->link.name;
	char act[64];

	if (uplink->link.xdp_mode != XDP_ATTACHED_DRV || !uplink->strips_tags || !uplink->vlan[0])
		return;
	snprintf(act, sizeof(act), "ethtool -K %s rxvlan off", name);
	tell(t, NET_HAZARD_VLAN_TAGS, act, NULL,
		"%s takes VLAN tags off before XDP, which then takes packets of %s for its own", name,
		uplink->vlan);
}

void net_uplink_hazards(const struct net_uplink *uplink, net_hazard_cb cb, void *user)
{
	const struct teller t = { .root = "", .cb = cb, .user = user };

	check_kind(&t, uplink);
	check_offloads(&t, uplink);
	check_vlans(&t, uplink);
}

struct vlan_search {
	int lower;
	char *name;			/* of a VLAN device on it; empty: none */
};

static void look_for_vlan(const struct net_link *link, void *user)
{
	struct vlan_search *search = user;

	if (link->lower == search->lower && !strcmp(link->kind, "vlan"))
		memcpy(search->name, link->name, IFNAMSIZ);
}

int net_uplink_read(const char *name, struct net_uplink *ret_uplink)
{
	struct net_uplink uplink = {};
	struct vlan_search search = { .name = uplink.vlan };
	int ret = net_link_get(name, &uplink.link);
	uint32_t flags = 0;

	if (ret)
		return ret;
	if (net_link_get_index(uplink.link.master, &uplink.master))
		uplink.master = (struct net_link){};
	if (!ethtool_get(name, ETHTOOL_GFLAGS, &flags)) {
		uplink.has_lro = flags & ETH_FLAG_LRO;
		uplink.strips_tags = flags & ETH_FLAG_RXVLAN;
	}
	uplink.has_hw_gro = ethtool_feature(name, "rx-gro-hw") == 1;
	search.lower = uplink.link.ifindex;
	if (net_link_list(look_for_vlan, &search))
		uplink.vlan[0] = '\0';
	*ret_uplink = uplink;
	return 0;
}

static void check_uplink(const struct teller *t, const char *name)
{
	struct net_uplink uplink;

	if (net_uplink_read(name, &uplink)) {
		tell(t, NET_HAZARD_GONE, NULL, NULL, "uplink %s does not exist", name);
		return;
	}
	net_uplink_hazards(&uplink, t->cb, t->user);
}

/* Writes the sysctl that says so. */
static bool is_off(const char *root, uint8_t family, const char *const *uplinks, unsigned count, char key[64],
	const char **ret_uplink)
{
	const char *text = family == AF_INET6 ? "ipv6" : "ipv4";
	bool is_all;
	char name[IFNAMSIZ];
	unsigned i = 0;

	/* The device's own counts; the host's sets those of all devices, and of those to come. */
	while (i < count && conf_get_of(root, text, uplinks[i], "forwarding") != 0)
		i++;
	if (i == count)
		return false;
	*ret_uplink = uplinks[i];
	is_all = family == AF_INET6 ? conf_get_of(root, text, "all", "forwarding") == 0
		: net_sysctl_get(root, "net/ipv4/ip_forward") == 0;
	sysctl_name(uplinks[i], name);
	if (!is_all)
		snprintf(key, 64, "net.%s.conf.%s.forwarding", text, name);
	else
		snprintf(key, 64, "%s", family == AF_INET6 ? "net.ipv6.conf.all.forwarding"
			: "net.ipv4.ip_forward");
	return true;
}

static const char *what_stays(uint8_t family)
{
	return family == AF_INET6 ? "no IPv6" : "nothing";
}

bool net_forwarding_is_off(uint8_t family, const char *const *uplinks, unsigned count, char *why, size_t len)
{
	const char *uplink;
	char key[64];

	if (!is_off("", family, uplinks, count, key, &uplink))
		return false;
	snprintf(why, len, "%s=0: the kernel forwards %s that comes in by %s; run sysctl -w %s=1", key,
		what_stays(family), uplink, key);
	return true;
}

bool net_ipv6_is_off(const char *root, const char *tunnel, uint32_t mtu, char *why, size_t len)
{
	int own = conf_get_of(root, "ipv6", tunnel, "disable_ipv6"),
		off = own < 0 ? conf_get_of(root, "ipv6", "default", "disable_ipv6") : own;

	if (off < 0)
		snprintf(why, len, "this kernel has no IPv6, or it is switched off (ipv6.disable=1)");
	else if (off)
		snprintf(why, len, "net.ipv6.conf.%s.disable_ipv6=1", own < 0 ? "default" : tunnel);
	else if (mtu < NET_IPV6_MTU)
		snprintf(why, len, "MTU = %u is below %u, the least that IPv6 takes", mtu, NET_IPV6_MTU);
	else
		return false;
	return true;
}

static void check_forwarding(const struct teller *t, const struct net_hazard_question *question,
	uint8_t family)
{
	char key[64], why[WORDS], act[128];
	const char *uplink;

	if (!is_off(t->root, family, question->uplinks, question->count, key, &uplink))
		return;
	snprintf(why, sizeof(why), "the kernel forwards %s that comes in by %s", what_stays(family), uplink);
	snprintf(act, sizeof(act), "sysctl -w %s=1", key);
	tell(t, family == AF_INET6 ? NET_HAZARD_FORWARDING6 : NET_HAZARD_FORWARDING, act, why, "%s=0", key);
}

/* The IPv6 default routes of the main table. */
struct defaults {
	int ifindex;			/* of the uplink */
	bool is_there;			/* by any device */
	bool is_advertised;		/* by the uplink, from a router's advertisement */
};

static void look_for_default(const struct net_route *route, void *user)
{
	struct defaults *d = user;

	if (route->prefixlen || route->table != RT_TABLE_MAIN || route->type != RTN_UNICAST)
		return;
	d->is_there = true;
	d->is_advertised |= route->protocol == RTPROT_RA && route->ifindex == d->ifindex;
}

/*
 * Documentation/networking/ip-sysctl, accept_ra: with 1, advertisements are ignored by who forwards, and
 * routes that came by them go when forwarding is switched on.
 */
static void check_advertisements(const struct teller *t, const char *device)
{
	bool forwards = conf_get_of(t->root, "ipv6", device, "forwarding") > 0;
	char act[128], name[IFNAMSIZ];
	struct defaults d = {};
	struct net_link link;

	if (conf_get_of(t->root, "ipv6", device, "accept_ra") != 1 || net_link_get(device, &link))
		return;
	d.ifindex = link.ifindex;
	if (net_route_list(AF_INET6, look_for_default, &d) || (forwards ? d.is_there : !d.is_advertised))
		return;
	sysctl_name(device, name);
	snprintf(act, sizeof(act), "sysctl -w net.ipv6.conf.%s.accept_ra=2", name);
	tell(t, NET_HAZARD_ACCEPT_RA, act,
		forwards ? "router advertisements are ignored where IPv6 is forwarded, and there is no IPv6 "
		"default route" : "the IPv6 default route, which a router advertised, goes when forwarding "
		"is switched on", "accept_ra=1 on %s", device);
}

static void check_jit(const struct teller *t)
{
	if (net_sysctl_get(t->root, "net/core/bpf_jit_harden") == 2)
		tell(t, NET_HAZARD_JIT_HARDEN, NULL, "encryption inside the kernel costs about a fifth more",
			"bpf_jit_harden=2");
	if (net_sysctl_get(t->root, "net/core/bpf_jit_enable") == 0)
		tell(t, NET_HAZARD_JIT_OFF, "sysctl -w net.core.bpf_jit_enable=1",
			"programs are interpreted, many times slower", "bpf_jit_enable=0");
}

void net_hazards_each(const struct net_hazard_question *question, net_hazard_cb cb, void *user)
{
	const struct teller t = { .root = question->root ? question->root : "", .cb = cb, .user = user };

	if (!question->forwards_none)
		check_forwarding(&t, question, AF_INET);
	if (question->six)
		check_forwarding(&t, question, AF_INET6);
	for (unsigned i = 0; i < question->count; i++) {
		check_uplink(&t, question->uplinks[i]);
		if (!question->by_tunnel)
			check_filter(&t, question->uplinks[i]);
		if (question->six)
			check_advertisements(&t, question->uplinks[i]);
	}
	if (question->tunnel && !question->by_tunnel)
		check_filter(&t, question->tunnel);
	check_jit(&t);
}

/* As lines. */
struct report {
	char *text;
	size_t len;
	size_t used;
	int lines;
};

/* What stops all forwarding reads as net_forwarding_is_off() says it. */
static int format(const struct net_hazard *hazard, char *line, size_t size)
{
	const char *why = hazard->why ? hazard->why : "", *colon = hazard->why ? ": " : "";

	if (!hazard->act)
		return snprintf(line, size, "%s%s%s", hazard->what, colon, why);
	return snprintf(line, size, hazard->kind <= NET_HAZARD_FORWARDING6 ? "%s%s%s; run %s" : "%s%s%s (%s)",
		hazard->what, colon, why, hazard->act);
}

static void add_line(const struct net_hazard *hazard, void *user)
{
	struct report *report = user;
	char line[256];
	int len = format(hazard, line, sizeof(line) - 1);

	if (len < 0 || (size_t)len >= sizeof(line) - 1)
		len = sizeof(line) - 2;
	line[len++] = '\n';
	if (report->used + len >= report->len)
		return;
	memcpy(report->text + report->used, line, len);
	report->used += len;
	report->text[report->used] = '\0';
	report->lines++;
}

int net_hazards(const struct net_hazard_question *question, char *text, size_t len)
{
	struct report report = { .text = text, .len = len };

	if (len)
		text[0] = '\0';
	net_hazards_each(question, add_line, &report);
	return report.lines;
}
