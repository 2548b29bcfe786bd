// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Settings of the host that can hurt us. They are named, never changed.
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/ethtool.h"
#include "net/net.h"

struct report {
	char *text;
	size_t len;
	size_t used;
	int lines;
};

__attribute__((format(printf, 2, 3))) static void say(struct report *report, const char *fmt, ...)
{
	char line[256];
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(line, sizeof(line) - 1, fmt, args);
	va_end(args);
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

/* A number in /proc/sys, or -1. */
static int sysctl_get(const char *path)
{
	char full[256], text[32];
	ssize_t len;
	int fd;

	snprintf(full, sizeof(full), "/proc/sys/%s", path);
	fd = open(full, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len <= 0)
		return -1;
	text[len] = '\0';
	return atoi(text);
}

static int conf_get(const char *device, const char *key)
{
	char path[128];

	snprintf(path, sizeof(path), "net/ipv4/conf/%s/%s", device, key);
	return sysctl_get(path);
}

/* Documentation/networking/ip-sysctl: the larger of "all" and the device's own counts. */
static int conf_max(const char *device, const char *key)
{
	int all = conf_get("all", key), own = conf_get(device, key);

	return all > own ? all : own;
}

static void check_filter(struct report *report, const char *device)
{
	if (conf_max(device, "rp_filter") == 1)
		say(report,
		    "rp_filter=1 (strict) on %s: local deliveries are dropped, because their replies are "
		    "routed through the tunnel device; 0 or 2 is needed", device);
	if (conf_max(device, "src_valid_mark") == 1)
		say(report,
		    "src_valid_mark=1 on %s: marked packets fail the source check, which breaks some "
		    "gateways on this node", device);
}

static bool is_one_of(const char *name, const char *const *list)
{
	for (; *list; list++)
		if (!strcmp(name, *list))
			return true;
	return false;
}

/* What a bridge, bond or team receives by its ports belongs to it, addresses included. */
static void check_master(struct report *report, const struct net_link *link)
{
	struct net_link master;

	if (net_link_get_index(link->master, &master))
		return;
	if (!strcmp(master.kind, "vrf"))
		say(report, "%s belongs to VRF %s: routes of the main table do not hold for what comes in "
			"there", link->name, master.name);
	else
		say(report, "%s is a port of %s, which has the addresses: write Uplink = %s", link->name,
			master.name, master.name);
}

static void check_kind(struct report *report, const struct net_link *link)
{
	static const char *const layered[] = { "bond", "bridge", "vlan", "team", "macvlan", "ipvlan", NULL };

	if (is_one_of(link->kind, layered) && link->xdp_mode != XDP_ATTACHED_DRV)
		say(report, "%s is a %s without native XDP: the programs run at tc or generic XDP, which "
			"costs speed and nothing else", link->name, link->kind);
	if (link->master)
		check_master(report, link);
	if (!strcmp(link->kind, "veth"))
		say(report,
		    "%s is a veth: whether its other end sends finished checksums cannot be seen from here "
		    "(ethtool -K PEER tx off)", link->name);
	if (!link->up)
		say(report, "%s is down", link->name);
}

static void check_offloads(struct report *report, const char *name)
{
	uint32_t flags;

	if (!ethtool_get(name, ETHTOOL_GFLAGS, &flags) && flags & ETH_FLAG_LRO)
		say(report, "LRO is on at %s: joined packets cannot be sealed (ethtool -K %s lro off)",
			name, name);
	if (ethtool_feature(name, "rx-gro-hw") == 1)
		say(report, "hardware GRO is on at %s: joined packets cannot be sealed (ethtool -K %s "
			"rx-gro-hw off)", name, name);
}

struct vlan_search {
	int lower;
	char name[IFNAMSIZ];		/* of a VLAN device on it; empty: none */
};

static void look_for_vlan(const struct net_link *link, void *user)
{
	struct vlan_search *search = user;

	if (link->lower == search->lower && !strcmp(link->kind, "vlan"))
		memcpy(search->name, link->name, sizeof(search->name));
}

/* XDP sees such a frame without its tag, and nothing says that it had one. */
static void check_vlans(struct report *report, const struct net_link *link)
{
	struct vlan_search search = { .lower = link->ifindex };
	uint32_t flags;

	if (link->xdp_mode != XDP_ATTACHED_DRV || ethtool_get(link->name, ETHTOOL_GFLAGS, &flags) ||
		!(flags & ETH_FLAG_RXVLAN) || net_link_list(look_for_vlan, &search) || !search.name[0])
		return;
	say(report, "%s takes VLAN tags off before XDP, which then takes packets of %s for its own (ethtool "
		"-K %s rxvlan off)", link->name, search.name, link->name);
}

static void check_uplink(struct report *report, const char *name)
{
	struct net_link link;

	if (net_link_get(name, &link)) {
		say(report, "uplink %s does not exist", name);
		return;
	}
	check_kind(report, &link);
	check_offloads(report, name);
	check_vlans(report, &link);
	check_filter(report, name);
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

bool net_forwarding_is_off(const char *const *uplinks, unsigned count, char *why, size_t len)
{
	char name[IFNAMSIZ], key[64] = "net.ipv4.ip_forward";
	unsigned i = 0;

	/* The device's own counts; the host's sets those of all devices, and of those to come. */
	while (i < count && conf_get(uplinks[i], "forwarding") != 0)
		i++;
	if (i == count)
		return false;
	if (sysctl_get("net/ipv4/ip_forward") != 0) {
		sysctl_name(uplinks[i], name);
		snprintf(key, sizeof(key), "net.ipv4.conf.%s.forwarding", name);
	}
	snprintf(why, len, "%s=0: the kernel forwards nothing that comes in by %s; run sysctl -w %s=1", key,
		uplinks[i], key);
	return true;
}

int net_hazards(const char *const *uplinks, unsigned count, const char *tunnel, char *text, size_t len)
{
	struct report report = { .text = text, .len = len };
	int harden = sysctl_get("net/core/bpf_jit_harden");
	char why[200];

	if (len)
		text[0] = '\0';
	if (net_forwarding_is_off(uplinks, count, why, sizeof(why)))
		say(&report, "%s", why);
	for (unsigned i = 0; i < count; i++)
		check_uplink(&report, uplinks[i]);
	if (tunnel)
		check_filter(&report, tunnel);
	if (harden == 2)
		say(&report, "bpf_jit_harden=2: encryption inside the kernel costs about a fifth more");
	if (sysctl_get("net/core/bpf_jit_enable") == 0)
		say(&report, "bpf_jit_enable=0: programs are interpreted, many times slower");
	return report.lines;
}
