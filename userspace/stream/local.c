// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Addresses of this host that are not there any more, and what was connected from them.
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "stream/internal.h"

struct local {
	int family;
	uint8_t addr[16];
};

struct locals {
	struct local *list;
	size_t count;
};

static struct locals now, gone;

static bool take(const struct sockaddr *from, struct local *to)
{
	const struct sockaddr_in6 *six = (const void *)from;

	*to = (struct local){ .family = from ? from->sa_family : 0 };
	if (to->family == AF_INET)
		memcpy(to->addr, &((const struct sockaddr_in *)(const void *)from)->sin_addr, 4);
	else if (to->family != AF_INET6 || IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr))
		return false;	/* link-local ones come and go with every container */
	else if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
		memcpy(to->addr, six->sin6_addr.s6_addr + 12, 4);
	else
		memcpy(to->addr, &six->sin6_addr, 16);
	if (to->family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
		to->family = AF_INET;
	return true;
}

static bool has(const struct locals *set, const struct local *one)
{
	for (size_t i = 0; i < set->count; i++) {
		const struct local *at = &set->list[i];

		if (at->family == one->family && !memcmp(at->addr, one->addr, sizeof(at->addr)))
			return true;
	}
	return false;
}

static bool add(struct locals *set, const struct local *one)
{
	struct local *larger;

	if (has(set, one))
		return true;
	larger = reallocarray(set->list, set->count + 1, sizeof(*larger));
	if (!larger)
		return false;
	set->list = larger;
	set->list[set->count++] = *one;
	return true;
}

static bool read_all(struct locals *ret)
{
	struct ifaddrs *all;
	bool ok = true;

	*ret = (struct locals){};
	if (getifaddrs(&all))
		return false;
	for (struct ifaddrs *at = all; at && ok; at = at->ifa_next) {
		struct local one;

		if (take(at->ifa_addr, &one))
			ok = add(ret, &one);
	}
	freeifaddrs(all);
	if (!ok)
		free(ret->list);
	return ok;
}

bool local_refresh(void)
{
	struct locals found;
	bool is_same;

	/* Half a list would have live addresses look gone. */
	if (!read_all(&found))
		return false;
	free(gone.list);
	gone = (struct locals){};
	for (size_t i = 0; i < now.count; i++) {
		if (!has(&found, &now.list[i]))
			add(&gone, &now.list[i]);
	}
	is_same = !gone.count && now.count == found.count;
	free(now.list);
	now = found;
	return !is_same;
}

bool local_is_gone(int fd, char *text, size_t size)
{
	struct sockaddr_storage at;
	socklen_t len = sizeof(at);
	struct local one;

	if (fd < 0 || getsockname(fd, (struct sockaddr *)&at, &len))
		return false;
	if (!take((struct sockaddr *)&at, &one) || !has(&gone, &one))
		return false;
	if (!inet_ntop(one.family, one.addr, text, size))
		*text = 0;
	return true;
}

void local_done(void)
{
	free(now.list);
	free(gone.list);
	now = gone = (struct locals){};
}
