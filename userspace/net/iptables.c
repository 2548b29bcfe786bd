// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// iptables-legacy: a table is one blob of entries, in which each chain of a user begins with target ERROR.
#include <net/if.h>		/* before the kernel's, which leaves out what is there */
#include <errno.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <linux/netfilter.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/net.h"

/* Where the parts of an entry are, which is another struct for each family. */
struct layout {
	size_t entry, target_offset, next_offset;
	size_t dst, mask, invflags, addr_len;
	uint8_t inverted_dst;
};

static const struct layout layouts[2] = {
	{
		.entry = sizeof(struct ipt_entry),
		.target_offset = offsetof(struct ipt_entry, target_offset),
		.next_offset = offsetof(struct ipt_entry, next_offset),
		.dst = offsetof(struct ipt_entry, ip.dst), .mask = offsetof(struct ipt_entry, ip.dmsk),
		.invflags = offsetof(struct ipt_entry, ip.invflags), .addr_len = 4,
		.inverted_dst = IPT_INV_DSTIP,
	}, {
		.entry = sizeof(struct ip6t_entry),
		.target_offset = offsetof(struct ip6t_entry, target_offset),
		.next_offset = offsetof(struct ip6t_entry, next_offset),
		.dst = offsetof(struct ip6t_entry, ipv6.dst), .mask = offsetof(struct ip6t_entry, ipv6.dmsk),
		.invflags = offsetof(struct ip6t_entry, ipv6.invflags), .addr_len = 16,
		.inverted_dst = IP6T_INV_DSTIP,
	},
};

static const struct layout *layout_of(uint8_t family)
{
	return &layouts[family == AF_INET6];
}

/* An entry and its target, as far as that is there. */
struct entry {
	const uint8_t *bytes;
	char target[XT_EXTENSION_MAXNAMELEN];
	bool is_whole;			/* the two below are of the target */
	char name[XT_FUNCTION_MAXNAMELEN];	/* of target ERROR: the chain's, or its own */
	int32_t verdict;		/* of a target without a name */
};

static void read_target(const uint8_t *bytes, size_t len, struct entry *entry)
{
	struct xt_standard_target standard;
	struct xt_error_target error;

	memcpy(entry->target, ((const struct xt_entry_target *)bytes)->u.user.name, sizeof(entry->target));
	entry->target[sizeof(entry->target) - 1] = '\0';
	if (!entry->target[0] && len >= sizeof(standard)) {
		memcpy(&standard, bytes, sizeof(standard));
		entry->verdict = standard.verdict;
		entry->is_whole = true;
	} else if (!strcmp(entry->target, XT_ERROR_TARGET) && len >= sizeof(error)) {
		memcpy(&error, bytes, sizeof(error));
		memcpy(entry->name, error.errorname, sizeof(entry->name));
		entry->name[sizeof(entry->name) - 1] = '\0';
		entry->is_whole = true;
	}
}

/* Calls @fn for each entry. Returns 0, or -EBADMSG behind the last good one. */
static int each_entry(const struct layout *layout, const void *blob, size_t len,
	void (*fn)(const struct entry *entry, void *user), void *user)
{
	const uint8_t *bytes = blob;
	size_t at = 0;

	while (len - at >= layout->entry) {
		struct entry entry = { .bytes = bytes + at };
		uint16_t target, next;

		memcpy(&target, bytes + at + layout->target_offset, sizeof(target));
		memcpy(&next, bytes + at + layout->next_offset, sizeof(next));
		if (next < layout->entry || next > len - at || target < layout->entry || target > next)
			return -EBADMSG;
		if (target + sizeof(struct xt_entry_target) <= next)
			read_target(bytes + at + target, next - target, &entry);
		fn(&entry, user);
		at += next;
	}
	return at == len ? 0 : -EBADMSG;
}

/* Does a chain of a user's begin here? */
static bool begins_chain(const struct entry *entry)
{
	return entry->is_whole && !strcmp(entry->target, XT_ERROR_TARGET) &&
		strcmp(entry->name, XT_ERROR_TARGET);
}

struct chains {
	net_chain_cb cb;
	const char *table;
	void *user;
};

static void tell_chain(const struct entry *entry, void *user)
{
	const struct chains *chains = user;

	if (begins_chain(entry))
		chains->cb(chains->table, entry->name, chains->user);
}

int net_iptables_parse(const void *blob, size_t len, net_chain_cb cb, const char *table, void *user)
{
	struct chains chains = { .cb = cb, .table = table, .user = user };

	return each_entry(layout_of(AF_INET), blob, len, tell_chain, &chains);
}

struct services {
	const struct layout *layout;
	uint8_t family;
	bool is_inside;			/* one of the chains that tell services apart */
	net_service_cb cb;
	void *user;
};

static bool is_one_destination(const struct layout *layout, const struct entry *entry)
{
	static const uint8_t ones[16] = { [0 ... 15] = 0xff };

	return !memcmp(entry->bytes + layout->mask, ones, layout->addr_len) &&
		!(entry->bytes[layout->invflags] & layout->inverted_dst);
}

static void tell_service(const struct entry *entry, void *user)
{
	struct services *services = user;
	struct net_service service = { .family = services->family };
	bool goes_on = entry->is_whole && !entry->target[0] && entry->verdict >= 0;

	if (!strcmp(entry->target, XT_ERROR_TARGET)) {
		services->is_inside = !strcmp(entry->name, "KUBE-SERVICES") ||
			!strcmp(entry->name, "KUBE-EXTERNAL-SERVICES");
		return;
	}
	service.is_dropped = entry->is_whole && !entry->target[0] && entry->verdict == -NF_DROP - 1;
	if (!services->is_inside || !is_one_destination(services->layout, entry) ||
		!(goes_on || service.is_dropped || !strcmp(entry->target, "REJECT")))
		return;
	memcpy(&service.addr, entry->bytes + services->layout->dst, services->layout->addr_len);
	services->cb(&service, services->user);
}

int net_iptables_parse_services(uint8_t family, const void *blob, size_t len, net_service_cb cb, void *user)
{
	struct services services = { .layout = layout_of(family), .family = family, .cb = cb, .user = user };

	return each_entry(services.layout, blob, len, tell_service, &services);
}

/* The questions have the same numbers and layouts in both families. */
_Static_assert(IPT_SO_GET_INFO == IP6T_SO_GET_INFO && IPT_SO_GET_ENTRIES == IP6T_SO_GET_ENTRIES &&
	sizeof(struct ipt_getinfo) == sizeof(struct ip6t_getinfo) &&
	sizeof(struct ipt_get_entries) == sizeof(struct ip6t_get_entries), "questions of iptables");

static int level_of(uint8_t family)
{
	return family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
}

static int get_info(int fd, uint8_t family, const char *table, struct ipt_getinfo *ret_info)
{
	socklen_t len = sizeof(*ret_info);

	*ret_info = (struct ipt_getinfo){};
	snprintf(ret_info->name, sizeof(ret_info->name), "%s", table);
	return getsockopt(fd, level_of(family), IPT_SO_GET_INFO, ret_info, &len) ? -errno : 0;
}

/* The entries of a table, to be freed. */
static int get_entries(uint8_t family, const char *table, struct ipt_get_entries **ret_entries)
{
	/* the kernel answers raw sockets too, but those need a capability of their own */
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), ret;
	struct ipt_get_entries *entries;
	struct ipt_getinfo info;
	socklen_t len;

	if (fd < 0)
		return -errno;
	ret = get_info(fd, family, table, &info);
	len = sizeof(*entries) + info.size;
	entries = ret ? NULL : calloc(1, len);
	if (entries) {
		memcpy(entries->name, info.name, sizeof(entries->name));
		entries->size = info.size;
		ret = getsockopt(fd, level_of(family), IPT_SO_GET_ENTRIES, entries, &len) ? -errno : 0;
	} else if (!ret) {
		ret = -ENOMEM;
	}
	close(fd);
	if (ret)
		free(entries);
	else
		*ret_entries = entries;
	return ret;
}

int net_iptables_chains(const char *table, net_chain_cb cb, void *user)
{
	struct ipt_get_entries *entries;
	int ret = get_entries(AF_INET, table, &entries);

	if (ret)
		return ret;
	ret = net_iptables_parse(entries->entrytable, entries->size, cb, table, user);
	free(entries);
	return ret;
}

int net_iptables_services(uint8_t family, const char *table, net_service_cb cb, void *user)
{
	struct ipt_get_entries *entries;
	int ret = get_entries(family, table, &entries);

	if (ret)
		return ret;
	ret = net_iptables_parse_services(family, entries->entrytable, entries->size, cb, user);
	free(entries);
	return ret;
}

int net_iptables_measure(uint8_t family, const char *table, struct net_iptables_size *ret_size)
{
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), ret;
	struct ipt_getinfo info;

	if (fd < 0)
		return -errno;
	ret = get_info(fd, family, table, &info);
	close(fd);
	if (!ret)
		*ret_size = (struct net_iptables_size){ .entries = info.num_entries, .bytes = info.size };
	return ret;
}
