// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What this node serves without having its address.
#include "host/services.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

int services_add(struct services_list *list, const struct cidr *net, enum services_place place)
{
	return prefixes_add(net->family == AF_INET6 ? &list->six : &list->four, prefix_bits_of(&net->addr),
		net->prefixlen, place);
}

void services_list_done(struct services_list *list)
{
	prefixes_done(&list->four);
	prefixes_done(&list->six);
}

static bool is_same(const struct prefixes *a, const struct prefixes *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct prefix *x = &a->list[i], *y = &b->list[i];

		if (x->addr != y->addr || x->len != y->len || x->value != y->value)
			return false;
	}
	return true;
}

bool services_set(struct services *services, enum services_source source, struct services_list *list)
{
	struct services_list *is = &services->of[source];
	bool changed;

	prefixes_sort(&list->four);
	prefixes_sort(&list->six);
	changed = !is_same(&is->four, &list->four) || !is_same(&is->six, &list->six);
	services_list_done(is);
	*is = *list;
	*list = (struct services_list){};
	return changed;
}

static const struct prefixes *of_family(const struct services_list *list, uint8_t family)
{
	return family == AF_INET6 ? &list->six : &list->four;
}

static bool is_within(const struct prefixes *set, size_t count, const struct prefix *prefix)
{
	for (size_t i = 0; i < count; i++) {
		if (set->list[i].len <= prefix->len && prefix_contains(&set->list[i], prefix->addr))
			return true;
	}
	return false;
}

/* Of all sources, the first one that speaks about a network deciding about it. */
static int collect(const struct services *services, uint8_t family, uint32_t found, struct prefixes *ret_all)
{
	int ret = 0;

	for (unsigned source = 0; source < SERVICES_SOURCES; source++) {
		const struct prefixes *of = of_family(&services->of[source], family);

		for (size_t i = 0; i < of->count && !ret; i++)
			ret = prefixes_add(ret_all, of->list[i].addr, of->list[i].len,
				of->list[i].value == SERVICES_HERE ? found : 0);
	}
	prefixes_sort(ret_all);
	return ret;
}

int services_merge(const struct services *services, uint8_t family, uint32_t found, size_t max,
	struct prefixes *set, size_t *ret_left_out)
{
	const size_t given = set->count;
	struct prefixes all = {};
	int ret = collect(services, family, found, &all);

	*ret_left_out = 0;
	for (size_t i = 0; i < all.count && !ret; i++) {
		if (is_within(set, given, &all.list[i]))
			continue;
		if (set->count - given == max)
			++*ret_left_out;
		else
			ret = prefixes_add(set, all.list[i].addr, all.list[i].len, all.list[i].value);
	}
	prefixes_done(&all);
	return ret;
}

size_t services_count(const struct services *services, enum services_source source)
{
	const struct services_list *list = &services->of[source];
	size_t count = 0;

	for (size_t i = 0; i < list->four.count; i++)
		count += list->four.list[i].value == SERVICES_HERE;
	for (size_t i = 0; i < list->six.count; i++)
		count += list->six.list[i].value == SERVICES_HERE;
	return count;
}

void services_done(struct services *services)
{
	for (unsigned source = 0; source < SERVICES_SOURCES; source++)
		services_list_done(&services->of[source]);
}
