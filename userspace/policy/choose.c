// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Which router carries which network that others serve.
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/choose.h"

#define SCORE_STEP 0.01		/* a smaller advantage is not worth moving flows */

void choose_init(struct choose *choose)
{
	memset(choose, 0, sizeof(*choose));
}

static void free_strings(char **list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(list[i]);
	free(list);
}

static void group_done(struct choose_group *group)
{
	free_strings(group->domains, group->domain_count);
	free(group->net_id);
	free(group->members);
}

static void groups_free(struct choose_group *groups, size_t count)
{
	for (size_t i = 0; i < count; i++)
		group_done(&groups[i]);
	free(groups);
}

void choose_done(struct choose *choose)
{
	groups_free(choose->groups, choose->group_count);
	route_selection_done(&choose->selection);
	choose_init(choose);
}

static bool within(__be32 addr, __be32 net, unsigned prefixlen)
{
	__be32 mask = prefixlen ? htonl(~0U << (32 - prefixlen)) : 0;

	return (addr & mask) == (net & mask);
}

/*
 * Nobody may route loopback, link-local, multicast or the mesh itself for us. Nor the default route: a node
 * that loses its own route to the Internet loses management too.
 */
static bool is_installable(const struct cidr *net, __be32 mesh_addr, uint8_t mesh_prefixlen)
{
	__be32 addr = net->addr.word[0];

	if (net->family != AF_INET)
		return false;
	return net->prefixlen && addr && !within(addr, htonl(0x7f000000), 8) &&
		!within(addr, htonl(0xa9fe0000), 16) && !within(addr, htonl(0xe0000000), 4) &&
		!(mesh_addr && net->prefixlen >= mesh_prefixlen && within(addr, mesh_addr, mesh_prefixlen));
}

static bool same_domains(const struct choose_group *group, const struct netmap_route *route)
{
	if (group->domain_count != route->domain_count)
		return false;
	for (size_t i = 0; i < route->domain_count; i++) {
		if (strcmp(group->domains[i], route->domains[i]) != 0)
			return false;
	}
	return true;
}

static bool is_of_group(const struct choose_group *group, const struct netmap_route *route)
{
	return !strcmp(group->net_id, route->net_id) &&
		!memcmp(&group->net, &route->net, sizeof(route->net)) && same_domains(group, route);
}

static struct choose_group *find_group(struct choose_group *groups, size_t count,
	const struct netmap_route *route)
{
	for (size_t i = 0; i < count; i++) {
		if (is_of_group(&groups[i], route))
			return &groups[i];
	}
	return NULL;
}

static int group_make(struct choose_group *group, const struct netmap_route *route)
{
	*group = (struct choose_group){ .net = route->net, .net_id = strdup(route->net_id) };
	group->domains = route->domain_count ? calloc(route->domain_count, sizeof(*group->domains)) : NULL;
	if (!group->net_id || (route->domain_count && !group->domains))
		goto fail;
	for (; group->domain_count < route->domain_count; group->domain_count++) {
		group->domains[group->domain_count] = strdup(route->domains[group->domain_count]);
		if (!group->domains[group->domain_count])
			goto fail;
	}
	return 0;
fail:
	group_done(group);
	return -ENOMEM;
}

static int add_member(struct choose_group *group, const struct netmap_route *route)
{
	struct choose_member *larger;

	for (size_t i = 0; i < group->member_count; i++) {
		if (memcmp(group->members[i].key, route->router, KEY_LEN) != 0)
			continue;
		if (route->metric < group->members[i].metric)
			group->members[i].metric = route->metric;
		return 0;
	}
	larger = reallocarray(group->members, group->member_count + 1, sizeof(*larger));
	if (!larger)
		return -ENOMEM;
	group->members = larger;
	memcpy(larger[group->member_count].key, route->router, KEY_LEN);
	larger[group->member_count++].metric = route->metric;
	return 0;
}

static bool we_serve(const struct netmap *map, const uint8_t *own, const struct netmap_route *route)
{
	for (size_t i = 0; i < map->route_count; i++) {
		const struct netmap_route *r = &map->routes[i];

		if (!memcmp(r->router, own, KEY_LEN) && !strcmp(r->net_id, route->net_id) &&
			!memcmp(&r->net, &route->net, sizeof(r->net)))
			return true;
	}
	return false;
}

/* Domains first, then short prefixes, then by address text and id. */
static int compare(const void *a, const void *b)
{
	const struct choose_group *x = a, *y = b;
	int lx = x->net.family ? x->net.prefixlen : -1, ly = y->net.family ? y->net.prefixlen : -1;
	char tx[INET6_ADDRSTRLEN] = "", ty[INET6_ADDRSTRLEN] = "";
	int ret;

	if (lx != ly)
		return lx < ly ? -1 : 1;
	if (x->net.family)
		inet_ntop(x->net.family, &x->net.addr, tx, sizeof(tx));
	if (y->net.family)
		inet_ntop(y->net.family, &y->net.addr, ty, sizeof(ty));
	ret = strcmp(tx, ty);
	return ret ? ret : strcmp(x->net_id, y->net_id);
}

static bool is_listed(char *const *list, size_t count, const char *id)
{
	for (size_t i = 0; i < count; i++) {
		if (!strcmp(list[i], id))
			return true;
	}
	return false;
}

static bool is_exit(const struct choose_group *group)
{
	return group->net.family == AF_INET && !group->net.prefixlen;
}

/* By network id: prefixes with the same id are selected together. */
static bool is_selected(const struct route_selection *selection, const struct choose_group *group)
{
	if (is_listed(selection->deselected, selection->deselected_count, group->net_id))
		return false;
	if (is_listed(selection->selected, selection->selected_count, group->net_id))
		return true;
	return !selection->deselect_all && (!is_exit(group) || group->auto_apply);
}

/* Of two groups with the same prefix, the first selected one is used. */
static void mark(struct choose *choose, __be32 mesh_addr, uint8_t mesh_prefixlen)
{
	for (size_t i = 0; i < choose->group_count; i++) {
		struct choose_group *group = &choose->groups[i];

		group->selected = is_selected(&choose->selection, group);
		group->usable = group->selected && is_installable(&group->net, mesh_addr, mesh_prefixlen);
		for (size_t j = 0; j < i && group->usable; j++)
			group->usable = !choose->groups[j].usable ||
				memcmp(&choose->groups[j].net, &group->net, sizeof(group->net)) != 0;
	}
}

static void keep_routers(const struct choose *old, struct choose_group *groups, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct choose_group *group = &groups[i];

		group->current = group->member_count;
		for (size_t j = 0; j < old->group_count; j++) {
			const struct choose_group *was = &old->groups[j];

			if (was->current >= was->member_count || strcmp(was->net_id, group->net_id) != 0 ||
			    memcmp(&was->net, &group->net, sizeof(was->net)) != 0)
				continue;
			for (size_t k = 0; k < group->member_count; k++) {
				if (!memcmp(group->members[k].key, was->members[was->current].key, KEY_LEN))
					group->current = k;
			}
		}
	}
}

int choose_set_map(struct choose *choose, const struct netmap *map, const uint8_t own[static KEY_LEN],
	__be32 mesh_addr, uint8_t mesh_prefixlen, bool none)
{
	struct choose_group *groups = calloc(map->route_count + 1, sizeof(*groups));
	size_t count = 0;

	if (!groups)
		return -ENOMEM;
	for (size_t i = 0; i < map->route_count && !none; i++) {
		const struct netmap_route *route = &map->routes[i];
		struct choose_group *group;

		if (!memcmp(route->router, own, KEY_LEN) || we_serve(map, own, route))
			continue;
		group = find_group(groups, count, route);
		if (!group) {
			if (group_make(&groups[count], route))
				goto fail;
			group = &groups[count++];
		}
		group->auto_apply |= !route->skip_auto_apply;
		if (add_member(group, route))
			goto fail;
	}
	qsort(groups, count, sizeof(*groups), compare);
	keep_routers(choose, groups, count);
	groups_free(choose->groups, choose->group_count);
	choose->groups = groups;
	choose->group_count = count;
	mark(choose, mesh_addr, mesh_prefixlen);
	return 0;
fail:
	groups_free(groups, count);
	return -ENOMEM;
}

double choose_score(uint32_t metric, const struct choose_router *router)
{
	double latency = router->latency_ns / 1e9;

	if (!router->latency_ns || latency > 1)
		latency = 0.999;
	return (9999.0 - (metric < 9999 ? metric : 9999)) * 10 + (1 - latency) + (router->relayed ? 0 : 1) +
	       (router->status == CHOOSE_CONNECTED ? 100000 : 0);
}

static size_t best_router(const struct choose_group *group, choose_router_fn fn, void *ctx)
{
	size_t best = group->member_count;
	double best_score = 0, current_score = -1;

	for (size_t i = 0; i < group->member_count; i++) {
		struct choose_router router = {};
		double score;

		fn(ctx, group->members[i].key, &router);
		if (router.status != CHOOSE_CONNECTED && router.status != CHOOSE_IDLE)
			continue;
		score = choose_score(group->members[i].metric, &router);
		if (i == group->current)
			current_score = score;
		if (best == group->member_count || score > best_score) {
			best = i;
			best_score = score;
		}
	}
	/* Without a candidate the router in use stays: one that shuts down in order still carries packets. */
	if (best == group->member_count)
		return group->current;
	return current_score >= 0 && best_score - current_score < SCORE_STEP ? group->current : best;
}

bool choose_routers(struct choose *choose, choose_router_fn fn, void *ctx)
{
	bool changed = false;

	for (size_t i = 0; i < choose->group_count; i++) {
		struct choose_group *group = &choose->groups[i];
		size_t now = group->usable ? best_router(group, fn, ctx) : group->member_count;

		changed |= now != group->current;
		group->current = now;
	}
	return changed;
}

static int put(char ***list, size_t *count, const char *id)
{
	char **larger, *copy;

	if (is_listed(*list, *count, id))
		return 0;
	copy = strdup(id);
	larger = reallocarray(*list, *count + 1, sizeof(*larger));
	if (larger)
		*list = larger;
	if (!copy || !larger) {
		free(copy);
		return -ENOMEM;
	}
	(*list)[(*count)++] = copy;
	return 0;
}

static void take_out(char **list, size_t *count, const char *id)
{
	for (size_t i = 0; i < *count; i++) {
		if (strcmp(list[i], id) != 0)
			continue;
		free(list[i]);
		memmove(&list[i], &list[i + 1], (--*count - i) * sizeof(*list));
		return;
	}
}

static bool is_known(const struct choose *choose, const char *id)
{
	for (size_t i = 0; i < choose->group_count; i++) {
		if (!strcmp(choose->groups[i].net_id, id))
			return true;
	}
	return false;
}

static void refresh(struct choose *choose)
{
	for (size_t i = 0; i < choose->group_count; i++)
		choose->groups[i].selected = is_selected(&choose->selection, &choose->groups[i]);
}

static bool wants_all(char *const *ids, size_t count)
{
	return count == 1 && !strcmp(ids[0], "all");
}

static int check_known(const struct choose *choose, char *const *ids, size_t count, char *err, size_t errlen)
{
	for (size_t i = 0; i < count; i++) {
		if (!is_known(choose, ids[i])) {
			snprintf(err, errlen, "route '%s' is not available", ids[i]);
			return -ENOENT;
		}
	}
	return 0;
}

int choose_select(struct choose *choose, char *const *ids, size_t count, bool append, char *err,
	size_t errlen)
{
	struct route_selection *s = &choose->selection;
	int ret = 0;

	if (wants_all(ids, count)) {
		route_selection_done(s);
		memset(s, 0, sizeof(*s));
		refresh(choose);
		return 0;
	}
	if (!append) {	/* exactly @ids of the networks known now; later ones are selected by default */
		s->deselect_all = false;
		for (size_t i = 0; i < choose->group_count && !ret; i++) {
			const char *id = choose->groups[i].net_id;

			take_out(s->selected, &s->selected_count, id);
			ret = put(&s->deselected, &s->deselected_count, id);
		}
	}
	for (size_t i = 0; i < count && !ret; i++) {
		if (!is_known(choose, ids[i]))
			continue;
		take_out(s->deselected, &s->deselected_count, ids[i]);
		ret = put(&s->selected, &s->selected_count, ids[i]);
	}
	refresh(choose);
	return ret ? ret : check_known(choose, ids, count, err, errlen);
}

int choose_deselect(struct choose *choose, char *const *ids, size_t count, char *err, size_t errlen)
{
	struct route_selection *s = &choose->selection;
	int ret = 0;

	if (wants_all(ids, count)) {
		route_selection_done(s);
		memset(s, 0, sizeof(*s));
		s->deselect_all = true;
		refresh(choose);
		return 0;
	}
	for (size_t i = 0; i < count && !ret; i++) {
		if (!is_known(choose, ids[i]))
			continue;
		take_out(s->selected, &s->selected_count, ids[i]);
		ret = put(&s->deselected, &s->deselected_count, ids[i]);
	}
	refresh(choose);
	return ret ? ret : check_known(choose, ids, count, err, errlen);
}
