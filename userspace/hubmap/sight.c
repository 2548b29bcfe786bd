// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Who knows whom. Being known is mutual: whose maps a peer is in are the peers in its own.
#include "hubmap/hubmap_internal.h"

struct place *hubmap_place_of(const struct places *places, uint32_t group)
{
	size_t first = 0, end = places->count;

	while (first < end) {
		size_t half = first + (end - first) / 2;

		if (places->of[half].group == group)
			return &places->of[half];
		if (places->of[half].group < group)
			first = half + 1;
		else
			end = half;
	}
	return NULL;
}

bool hubmap_is_in(const struct known *peer, const struct hubmap_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		if (hubmap_place_of(&peer->places, set->of[i]))
			return true;
	return false;
}

bool hubmap_is_recipient(const struct known *peer, const struct relation *relation)
{
	return hubmap_is_in(peer, &relation->left) && !hubmap_is_in(peer, &relation->item->twins);
}

bool hubmap_may_serve(const struct hubmap *map, const struct item *item, const struct known *other)
{
	return item->is_resource || other->allowed == map->seen_stamp;
}

void hubmap_gather(struct hubmap *map, const struct known *peer)
{
	struct model *m = map->model;
	uint64_t stamp = ++map->stamp;

	map->related_count = 0;
	for (size_t i = 0; i < peer->places.count; i++) {
		const struct group *group = &m->groups[peer->places.of[i].group];

		for (size_t j = 0; j < group->relation_count; j++) {
			struct relation *r = &m->relations[group->relations[j] >> 2];

			if (r->stamp != stamp) {
				r->stamp = stamp;
				r->sides = 0;
				map->related[map->related_count++] = r;
			}
			r->sides |= group->relations[j] & 3;
		}
	}
}

void hubmap_each_member(struct hubmap *map, const struct hubmap_set *one, const struct hubmap_set *other,
	const struct known *peer, void (*fn)(void *ctx, struct known *member), void *ctx)
{
	const struct hubmap_set *const sets[] = { one, other };
	uint64_t stamp = ++map->stamp;

	for (size_t set = 0; set < 2; set++)
		for (size_t i = 0; sets[set] && i < sets[set]->count; i++) {
			const struct group *group = &map->model->groups[sets[set]->of[i]];

			for (size_t j = 0; j < group->count; j++) {
				struct known *member = group->of[j];

				if (member == peer || member->ruled == stamp)
					continue;
				member->ruled = stamp;
				fn(ctx, member);
			}
		}
}

struct looking {
	struct hubmap *map;
	uint64_t stamp;
	bool is_policy;
	const struct relation *recipients_of;	/* only those who get its item */
};

static void look_at(void *ctx, struct known *member)
{
	struct looking *l = ctx;

	if (l->is_policy)
		member->allowed = l->stamp;
	if (member->seen == l->stamp)
		return;
	if (l->recipients_of && hubmap_is_in(member, &l->recipients_of->item->twins))
		return;
	member->seen = l->stamp;
	l->map->seen[l->map->seen_count++] = member;
}

void hubmap_see(struct hubmap *map, struct known *peer, bool is_fresh)
{
	struct looking l = { .map = map };

	hubmap_gather(map, peer);
	if (is_fresh) {
		map->seen_stamp = ++map->stamp;
		map->seen_count = 0;
	}
	l.stamp = map->seen_stamp;
	for (size_t i = 0; i < map->related_count; i++) {
		const struct relation *r = map->related[i];
		bool is_left = r->sides & HUBMAP_LEFT;

		if (!r->is_sight)
			continue;
		if (is_left && r->item && hubmap_is_in(peer, &r->item->twins))
			is_left = false;
		l.is_policy = r->policy;
		l.recipients_of = NULL;
		if (is_left)
			hubmap_each_member(map, &r->right, NULL, peer, look_at, &l);
		l.recipients_of = r->item ? r : NULL;
		if (r->sides & HUBMAP_RIGHT)
			hubmap_each_member(map, &r->left, NULL, peer, look_at, &l);
	}
}

static bool knows(const struct relation *r, const struct known *a, const struct known *b)
{
	if (r->policy)
		return hubmap_is_in(a, &r->left) && hubmap_is_in(b, &r->right);
	return hubmap_is_recipient(a, r) && hubmap_is_in(b, &r->right);
}

bool hubmap_knows(const struct hubmap *map, const struct known *a, const struct known *b)
{
	const struct model *m = map->model;

	for (size_t i = 0; i < a->places.count; i++) {
		const struct group *group = &m->groups[a->places.of[i].group];

		for (size_t j = 0; j < group->relation_count; j++) {
			const struct relation *r = &m->relations[group->relations[j] >> 2];
			bool is_left = group->relations[j] & HUBMAP_LEFT;

			if (r->is_sight && (is_left ? knows(r, a, b) : knows(r, b, a)))
				return true;
		}
	}
	return false;
}
