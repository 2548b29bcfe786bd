// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What this node serves without having its address.
#include "host/services.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

int services_add(struct services *services, const struct cidr *net)
{
	return prefixes_add(net->family == AF_INET6 ? &services->six : &services->four,
		prefix_bits_of(&net->addr), net->prefixlen, 0);
}

void services_done(struct services *services)
{
	prefixes_done(&services->four);
	prefixes_done(&services->six);
}

static bool is_same(const struct prefixes *a, const struct prefixes *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct prefix *x = &a->list[i], *y = &b->list[i];

		if (x->addr != y->addr || x->len != y->len)
			return false;
	}
	return true;
}

bool services_set(struct services *services, struct services *list)
{
	bool changed;

	prefixes_sort(&list->four);
	prefixes_sort(&list->six);
	changed = !is_same(&services->four, &list->four) || !is_same(&services->six, &list->six);
	services_done(services);
	*services = *list;
	*list = (struct services){};
	return changed;
}

static bool is_within(const struct prefixes *set, size_t count, const struct prefix *prefix)
{
	for (size_t i = 0; i < count; i++) {
		if (set->list[i].len <= prefix->len && prefix_contains(&set->list[i], prefix->addr))
			return true;
	}
	return false;
}

int services_merge(const struct services *services, uint8_t family, uint32_t found, size_t max,
	struct prefixes *set, size_t *ret_left_out)
{
	const struct prefixes *of = family == AF_INET6 ? &services->six : &services->four;
	const size_t given = set->count;
	int ret = 0;

	*ret_left_out = 0;
	for (size_t i = 0; i < of->count && !ret; i++) {
		const struct prefix *prefix = &of->list[i];

		if (is_within(set, given, prefix))
			continue;
		if (set->count - given == max)
			++*ret_left_out;
		else
			ret = prefixes_add(set, prefix->addr, prefix->len, found);
	}
	return ret;
}

size_t services_count(const struct services *services)
{
	return services->four.count + services->six.count;
}
