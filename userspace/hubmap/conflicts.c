// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the file says that cannot all be meant, or has no effect.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "hubmap/hubmap_internal.h"

struct telling {
	struct prospects *prospects;	/* NULL: somebody has joined, so it is known who is there */
	const struct hubmap *map;
	void (*fn)(void *ctx, const struct hubmap_conflict *conflict);
	void *ctx;
};

static void __attribute__((format(printf, 3, 4))) tell(const struct telling *t, unsigned int line,
	const char *fmt, ...)
{
	struct hubmap_conflict conflict = { .line = line };
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	conflict.text = text;
	t->fn(t->ctx, &conflict);
}

static void target_of(const struct item *item, char text[static CIDR_TEXT_LEN])
{
	if (item->network.family)
		cidr_format(&item->network, text, CIDR_TEXT_LEN);
	else
		snprintf(text, CIDR_TEXT_LEN, "%.40s%s", item->domain_count ? item->domains[0] : "",
			item->domain_count > 1 ? ", ..." : "");
}

static void compare_items(const struct telling *t, const struct item *a, const struct item *b)
{
	char target[CIDR_TEXT_LEN], other[CIDR_TEXT_LEN];
	bool is_same_name = !strcmp(a->name, b->name);

	target_of(a, target);
	target_of(b, other);
	if (hubmap_is_same_target(a, b) && a->metric == b->metric && !is_same_name)
		tell(t, b->line, "%s is routed as \"%s\" and as \"%s\" with the same metric %u: which of "
			"them a client takes is left to chance; give one name to routers that stand in for "
			"each other, or two metrics",
			target, a->name, b->name, a->metric);
	else if (!is_same_name && !strcasecmp(a->name, b->name))
		tell(t, b->line, "the names \"%s\" (%s) and \"%s\" (%s) differ in capitals only", a->name,
			target,
			b->name, other);
	else if (is_same_name && a->is_resource != b->is_resource)
		tell(t, b->line, "\"%s\" is the name of a route (%s) and of a resource (%s): clients select "
			"them together",
			a->name, a->is_resource ? other : target, a->is_resource ? target : other);
}

/* Without any peer it is only said what no peer can change. */
static bool has_members(const struct hubmap *map, const struct hubmap_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		if (map->model->groups[set->of[i]].count)
			return true;
	return !map->peer_count && set->count;
}

static void check_policy(const struct telling *t, const struct relation *r)
{
	if (!has_members(t->map, &r->left))
		tell(t, r->policy->line, "policy \"%s\": nobody is in the groups of from, so it has no "
			"effect",
			r->policy->name);
	if (!has_members(t->map, &r->right) && !r->governed_count)
		tell(t, r->policy->line, "policy \"%s\": nobody is in the groups of to, and no route or "
			"resource either, so it has no effect", r->policy->name);
}

/* Somebody is in @groups and @side, and not in @without (NULL: none). */
static bool has_common(const struct hubmap *map, const struct hubmap_set *groups,
	const struct hubmap_set *side, const struct hubmap_set *without)
{
	for (size_t i = 0; i < groups->count; i++) {
		const struct group *group = &map->model->groups[groups->of[i]];

		for (size_t j = 0; j < group->count; j++)
			if (hubmap_is_in(group->of[j], side) &&
				(!without || !hubmap_is_in(group->of[j], without)))
				return true;
	}
	return false;
}

/* Without any peer each policy that accepts may do it: groups come with setup keys and sign-ins, too. */
static bool is_allowed(const struct hubmap *map, const struct relation *route)
{
	const struct hubmap_set *twins = &route->item->twins, *to = &route->left, *routers = &route->right;
	const struct model *m = map->model;

	for (size_t i = 0; i < m->file->policy_count; i++) {
		const struct relation *p = &m->relations[i];

		if (p->policy->is_drop)
			continue;
		if (!map->peer_count ||
			(has_common(map, to, &p->left, twins) && has_common(map, routers, &p->right, NULL)) ||
			(has_common(map, to, &p->right, twins) && has_common(map, routers, &p->left, NULL)))
			return true;
	}
	if (!map->peer_count)
		return false;
	return !has_common(map, to, to, twins) || !has_common(map, routers, routers, NULL);
}

/* Before anybody has joined there is only the file to go by. */
static void guess(const struct telling *t, const struct item *item, const char *target)
{
	struct hubmap_conflict conflict = { .line = item->line, .is_guess = true };
	char text[512];

	if (!t->prospects || prospects_has(t->prospects, item->route))
		return;
	snprintf(text, sizeof(text), "route \"%s\" (%s): by the groups and keys of this file, no policy that "
		"accepts brings those of to together with a router, so nobody gets it", item->name, target);
	conflict.text = text;
	t->fn(t->ctx, &conflict);
}

static void check_item(const struct telling *t, const struct relation *r)
{
	const char *what = r->item->is_resource ? "resource" : "route";
	char target[CIDR_TEXT_LEN];

	target_of(r->item, target);
	if (!has_members(t->map, &r->right))
		tell(t, r->item->line, "%s \"%s\" (%s) has no router: nobody can use it", what, r->item->name,
			target);
	if (!r->item->is_resource && !r->item->is_open && !r->item->policy_count)
		tell(t, r->item->line, "route \"%s\" (%s): no policy has one of its access groups in to, so "
			"nobody may use it", r->item->name, target);
	if (!r->item->is_resource && !is_allowed(t->map, r))
		tell(t, r->item->line, "route \"%s\" (%s): no policy that accepts brings those of to "
			"together with a router, so nobody gets it", r->item->name, target);
	else if (!r->item->is_resource)
		guess(t, r->item, target);
}

static void check_resource(const struct telling *t, const struct hubfile_resource *resource)
{
	const struct model *m = t->map->model;

	for (size_t i = 0; i < m->item_count; i++)
		if (m->items[i].is_resource && m->items[i].domains == &resource->domain)
			return;
	tell(t, resource->line, "resource \"%s\": no policy that accepts has one of its groups in to, so "
			"nobody gets it",
		resource->name);
}

void hubmap_conflicts(const struct hubmap *map, void (*fn)(void *ctx, const struct hubmap_conflict *conflict),
	void *ctx)
{
	const struct telling t = { map->peer_count ? NULL : prospects_new(map->model->file), map, fn, ctx };
	const struct model *m = map->model;

	for (size_t i = 0; i < m->item_count; i++)
		for (size_t j = i + 1; j < m->item_count; j++)
			compare_items(&t, &m->items[i], &m->items[j]);
	for (size_t i = 0; i < m->relation_count; i++) {
		if (m->relations[i].policy)
			check_policy(&t, &m->relations[i]);
		else
			check_item(&t, &m->relations[i]);
	}
	for (size_t i = 0; i < m->file->network_count; i++)
		for (size_t j = 0; j < m->file->networks[i].resource_count; j++)
			check_resource(&t, &m->file->networks[i].resources[j]);
	free(t.prospects);
}
