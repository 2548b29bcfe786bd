// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// iptables-legacy: a table is one blob of entries, in which each chain of a user begins with target ERROR.
#include <net/if.h>		/* before the kernel's, which leaves out what is there */
#include <errno.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/net.h"

int net_iptables_parse(const void *blob, size_t len, net_chain_cb cb, const char *table, void *user)
{
	const uint8_t *bytes = blob;
	size_t at = 0;

	while (len - at >= sizeof(struct ipt_entry)) {
		struct xt_error_target target;
		struct ipt_entry entry;

		memcpy(&entry, bytes + at, sizeof(entry));
		if (entry.next_offset < sizeof(entry) || entry.next_offset > len - at ||
		    entry.target_offset < sizeof(entry) || entry.target_offset > entry.next_offset)
			return -EBADMSG;
		if (entry.target_offset + sizeof(target) <= entry.next_offset) {
			memcpy(&target, bytes + at + entry.target_offset, sizeof(target));
			target.errorname[sizeof(target.errorname) - 1] = '\0';
			if (!strncmp(target.target.u.user.name, XT_ERROR_TARGET,
				sizeof(target.target.u.user.name)) &&
				strcmp(target.errorname, XT_ERROR_TARGET))
				cb(table, target.errorname, user);
		}
		at += entry.next_offset;
	}
	return at == len ? 0 : -EBADMSG;
}

static int get_entries(int fd, const char *table, net_chain_cb cb, void *user)
{
	struct ipt_getinfo info = {};
	struct ipt_get_entries *entries;
	socklen_t len = sizeof(info);
	int ret = -ENOMEM;

	snprintf(info.name, sizeof(info.name), "%s", table);
	if (getsockopt(fd, IPPROTO_IP, IPT_SO_GET_INFO, &info, &len))
		return -errno;
	len = sizeof(*entries) + info.size;
	entries = calloc(1, len);
	if (!entries)
		return ret;
	memcpy(entries->name, info.name, sizeof(entries->name));
	entries->size = info.size;
	ret = getsockopt(fd, IPPROTO_IP, IPT_SO_GET_ENTRIES, entries, &len) ? -errno :
		net_iptables_parse(entries->entrytable, info.size, cb, table, user);
	free(entries);
	return ret;
}

int net_iptables_chains(const char *table, net_chain_cb cb, void *user)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), ret;

	if (fd < 0)
		return -errno;
	ret = get_entries(fd, table, cb, user);
	close(fd);
	return ret;
}
