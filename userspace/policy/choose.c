// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Which router carries which network that others serve.
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

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
static bool is_installable4(const struct cidr *net, const struct netmap_self *self)
{
	__be32 addr = net->addr.word[0];

	return net->prefixlen && addr && !within(addr, htonl(0x7f000000), 8) &&
		!within(addr, htonl(0xa9fe0000), 16) && !within(addr, htonl(0xe0000000), 4) &&
		!(self->addr && net->prefixlen >= self->prefixlen && within(addr, self->addr,
		self->prefixlen));
}

static bool is_in_mesh6(const struct cidr *net, const struct netmap_self *self)
{
	struct cidr mesh = { .family = AF_INET6, .prefixlen = self->prefixlen6, .addr = self->addr6 },
		outer = { .family = AF_INET6, .prefixlen = self->prefixlen6, .addr = net->addr };

	cidr_clear_host_bits(&mesh);
	cidr_clear_host_bits(&outer);
	return net->prefixlen >= self->prefixlen6 && !memcmp(&mesh.addr, &outer.addr, sizeof(mesh.addr));
}

/* In IPv6 there is nothing to route without an address of our own. */
static bool is_installable6(const struct cidr *net, const struct netmap_self *self)
{
	return net->prefixlen && addr6_is_host(&net->addr) && !addr6_is_zero(&self->addr6) &&
		!is_in_mesh6(net, self);
}

static bool is_installable(const struct cidr *net, const struct netmap_self *self)
{
	if (net->family == AF_INET)
		return is_installable4(net, self);
	return net->family == AF_INET6 && is_installable6(net, self);
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
		cidr_is_equal(&group->net, &route->net) && same_domains(group, route);
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
			cidr_is_equal(&r->net, &route->net))
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
	return group->net.family && !group->net.prefixlen;
}

/* Whether @id is @base with the ending of a twin. */
static bool is_twin_id(const char *id, const char *base)
{
	const size_t len = strlen(base);

	return !strncmp(id, base, len) && !strcmp(id + len, CHOOSE_TWIN);
}

/* The IPv4 half of the default route whose IPv6 half has @id; NULL: it is no half. */
static struct choose_group *find_base(struct choose_group *groups, size_t count, const char *id)
{
	for (size_t i = 0; i < count; i++)
		if (groups[i].net.family == AF_INET && !groups[i].net.prefixlen &&
			is_twin_id(id, groups[i].net_id))
			return &groups[i];
	return NULL;
}

static void note_twins(struct choose_group *groups, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct choose_group *base = groups[i].net.family == AF_INET6 && is_exit(&groups[i])
			? find_base(groups, count, groups[i].net_id) : NULL;

		groups[i].is_twin = base;
		if (base)	/* what the user is asked about is the base */
			base->auto_apply |= groups[i].auto_apply;
	}
}

static bool is_chosen(const struct route_selection *selection, const struct choose_group *group)
{
	return !is_listed(selection->deselected, selection->deselected_count, group->net_id) &&
		is_listed(selection->selected, selection->selected_count, group->net_id);
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

/* The one exit node that stays selected; NULL: none is. */
static const struct choose_group *find_exit(const struct choose *choose)
{
	const struct choose_group *best = NULL;

	for (size_t i = 0; i < choose->group_count; i++) {
		const struct choose_group *group = &choose->groups[i];
		const bool is_users = is_chosen(&choose->selection, group);

		if (!is_exit(group) || group->is_twin || !is_selected(&choose->selection, group))
			continue;
		if (!best || is_users > is_chosen(&choose->selection, best) ||
			(is_users == is_chosen(&choose->selection, best) &&
			strcmp(group->net_id, best->net_id) < 0))
			best = group;
	}
	return best;
}

static void refresh(struct choose *choose)
{
	const struct choose_group *exit = find_exit(choose);

	for (size_t i = 0; i < choose->group_count; i++) {
		struct choose_group *group = &choose->groups[i];

		if (!is_exit(group))
			group->selected = is_selected(&choose->selection, group);
		else if (group->is_twin)
			group->selected = exit && is_twin_id(group->net_id, exit->net_id);
		else	/* an id may stand for several prefixes */
			group->selected = exit && !strcmp(group->net_id, exit->net_id);
	}
}

/* Of two groups with the same prefix, the first selected one is used. */
static void mark(struct choose *choose, const struct netmap_self *self)
{
	note_twins(choose->groups, choose->group_count);
	refresh(choose);
	for (size_t i = 0; i < choose->group_count; i++) {
		struct choose_group *group = &choose->groups[i];

		group->usable = group->selected && is_installable(&group->net, self);
		for (size_t j = 0; j < i && group->usable; j++)
			group->usable = !choose->groups[j].usable ||
				!cidr_is_equal(&choose->groups[j].net, &group->net);
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
			    !cidr_is_equal(&was->net, &group->net))
				continue;
			for (size_t k = 0; k < group->member_count; k++) {
				if (!memcmp(group->members[k].key, was->members[was->current].key, KEY_LEN))
					group->current = k;
			}
		}
	}
}

int choose_set_map(struct choose *choose, const struct netmap *map, const uint8_t own[static KEY_LEN],
	const struct netmap_self *self, bool none)
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
	mark(choose, self);
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

/* The id that a choice of @id is kept under: a default route's halves are one switch. */
static const char *switch_of(const struct choose *choose, const char *id)
{
	const struct choose_group *base = find_base(choose->groups, choose->group_count, id);

	return base ? base->net_id : id;
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
			const char *id = switch_of(choose, choose->groups[i].net_id);

			take_out(s->selected, &s->selected_count, id);
			ret = put(&s->deselected, &s->deselected_count, id);
		}
	}
	for (size_t i = 0; i < count && !ret; i++) {
		if (!is_known(choose, ids[i]))
			continue;
		take_out(s->deselected, &s->deselected_count, switch_of(choose, ids[i]));
		ret = put(&s->selected, &s->selected_count, switch_of(choose, ids[i]));
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
		take_out(s->selected, &s->selected_count, switch_of(choose, ids[i]));
		ret = put(&s->deselected, &s->deselected_count, switch_of(choose, ids[i]));
	}
	refresh(choose);
	return ret ? ret : check_known(choose, ids, count, err, errlen);
}
