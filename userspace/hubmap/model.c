// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// From the file to groups, relations and what is routed.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "hubmap/hubmap_internal.h"

#define DOMAIN_DEFAULT "netbird.selfhosted"

typedef crypto_generichash_state digest;

static void digest_start(digest *d)
{
	crypto_generichash_init(d, NULL, 0, HUBMAP_DIGEST_LEN);
}

static void digest_add(digest *d, const void *bytes, size_t len)
{
	crypto_generichash_update(d, bytes, len);
}

static void digest_number(digest *d, uint64_t number)
{
	digest_add(d, &number, sizeof(number));
}

/* With its end, so that two texts are not taken for others. */
static void digest_text(digest *d, const char *text)
{
	digest_add(d, text ? text : "", text ? strlen(text) + 1 : 1);
}

static void digest_texts(digest *d, char *const *texts, size_t count)
{
	digest_number(d, count);
	for (size_t i = 0; i < count; i++)
		digest_text(d, texts[i]);
}

static void digest_groups(digest *d, const struct hubfile *file, const struct hubfile_groups *groups)
{
	digest_number(d, groups->count);
	for (size_t i = 0; i < groups->count; i++)
		digest_text(d, file->groups[groups->of[i]].name);
}

static void digest_cidr(digest *d, const struct cidr *cidr)
{
	digest_number(d, cidr->family);
	digest_number(d, cidr->prefixlen);
	digest_add(d, &cidr->addr, sizeof(cidr->addr));
}

static void digest_end(digest *d, uint8_t ret_digest[static HUBMAP_DIGEST_LEN])
{
	crypto_generichash_final(d, ret_digest, HUBMAP_DIGEST_LEN);
}

static void digest_policy(const struct hubfile *file, const struct hubfile_policy *policy,
	uint8_t ret_digest[static HUBMAP_DIGEST_LEN])
{
	digest d;

	digest_start(&d);
	digest_text(&d, policy->name);
	digest_number(&d, policy->is_drop);
	digest_number(&d, policy->is_both_ways);
	digest_number(&d, policy->protocol);
	digest_number(&d, policy->port_count);
	for (size_t i = 0; i < policy->port_count; i++) {
		digest_number(&d, policy->ports[i].first);
		digest_number(&d, policy->ports[i].last);
	}
	digest_groups(&d, file, &policy->from);
	digest_groups(&d, file, &policy->to);
	digest_end(&d, ret_digest);
}

static void digest_nameservers(const struct hubfile *file, uint8_t ret_digest[static HUBMAP_DIGEST_LEN])
{
	digest d;

	digest_start(&d);
	for (size_t i = 0; i < file->nameserver_count; i++) {
		const struct hubfile_nameservers *one = &file->nameservers[i];

		digest_number(&d, one->server_count);
		for (size_t j = 0; j < one->server_count; j++) {
			digest_cidr(&d, &one->servers[j].address);
			digest_number(&d, one->servers[j].port);
		}
		digest_texts(&d, one->domains, one->domain_count);
		digest_number(&d, one->is_search);
		digest_groups(&d, file, &one->to);
	}
	digest_end(&d, ret_digest);
}

/* Sets */

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Sorts @set, each once; with All in it, nobody else has to be named. */
static void settle(struct hubmap_set *set)
{
	size_t kept = 0;

	if (!set->count)
		return;
	qsort(set->of, set->count, sizeof(*set->of), by_number);
	for (size_t i = 0; i < set->count; i++)
		if (!i || set->of[i] != set->of[i - 1])
			set->of[kept++] = set->of[i];
	set->has_all = set->of[0] == HUBFILE_ALL;
	set->count = set->has_all ? 1 : kept;
}

static bool set_room(struct model *m, struct hubmap_set *set, size_t count)
{
	set->of = arena_array(&m->arena, count + 1, sizeof(*set->of));
	return set->of;
}

static void set_add(struct hubmap_set *set, const struct hubfile_groups *groups)
{
	for (size_t i = 0; i < groups->count; i++)
		set->of[set->count++] = groups->of[i];
}

static bool set_from(struct model *m, struct hubmap_set *set, const struct hubfile_groups *groups)
{
	if (!set_room(m, set, groups->count))
		return false;
	set_add(set, groups);
	settle(set);
	return true;
}

/* @routers and, if some are named one by one, the group that was made of them. */
static bool set_from_routers(struct model *m, struct hubmap_set *set, const struct hubfile_routers *routers,
	uint32_t own_group)
{
	if (!set_room(m, set, routers->groups.count + 1))
		return false;
	set_add(set, &routers->groups);
	if (routers->peer_count)
		set->of[set->count++] = own_group;
	settle(set);
	return true;
}

static bool meet(const struct hubfile_groups *a, const struct hubfile_groups *b)
{
	for (size_t i = 0; i < a->count; i++)
		for (size_t j = 0; j < b->count; j++)
			if (a->of[i] == b->of[j])
				return true;
	return false;
}

/* Items */

bool hubmap_is_same_target(const struct item *a, const struct item *b)
{
	if (a->domain_count != b->domain_count || !cidr_is_equal(&a->network, &b->network))
		return false;
	for (size_t i = 0; i < a->domain_count; i++)
		if (strcasecmp(a->domains[i], b->domains[i]))
			return false;
	return true;
}

static bool is_twin(const struct item *a, const struct item *b)
{
	return !strcmp(a->name, b->name) && hubmap_is_same_target(a, b);
}

/* The same as long as the item is: a client takes another id for another route. */
static void name_item(struct model *m, struct item *item)
{
	uint8_t hash[HUBMAP_DIGEST_LEN];
	size_t earlier = 0;
	digest d;

	for (const struct item *at = m->items; at < item; at++)
		earlier += is_twin(at, item) && at->metric == item->metric;
	digest_start(&d);
	digest_text(&d, item->name);
	digest_cidr(&d, &item->network);
	digest_texts(&d, item->domains, item->domain_count);
	digest_number(&d, item->metric);
	digest_number(&d, earlier);
	digest_end(&d, hash);
	sodium_bin2hex(item->id, sizeof(item->id), hash, HUBMAP_ITEM_ID_LEN / 2);
}

static bool find_policies(struct model *m, struct item *item, const struct hubfile_groups *to)
{
	const struct hubfile *file = m->file;

	item->policies = arena_array(&m->arena, file->policy_count + 1, sizeof(*item->policies));
	if (!item->policies)
		return false;
	for (size_t i = 0; i < file->policy_count; i++)
		if (meet(&file->policies[i].to, to))
			item->policies[item->policy_count++] = i;
	return true;
}

static void digest_item(struct model *m, const struct item *item, const struct hubfile_routers *routers,
	const struct hubfile_groups *to, uint8_t ret_digest[static HUBMAP_DIGEST_LEN])
{
	digest d;

	digest_start(&d);
	digest_text(&d, item->id);
	digest_number(&d, item->is_masqueraded | item->is_kept << 1 | item->is_open << 2 |
		item->is_by_choice << 3);
	digest_texts(&d, routers->peers, routers->peer_count);
	digest_groups(&d, m->file, &routers->groups);
	if (to)
		digest_groups(&d, m->file, to);
	for (size_t i = 0; i < item->policy_count; i++)
		digest_add(&d, m->relations[item->policies[i]].digest, HUBMAP_DIGEST_LEN);
	digest_end(&d, ret_digest);
}

static bool add_route(struct model *m, const struct hubfile_route *route, uint32_t own_group)
{
	struct item *item = &m->items[m->item_count];
	struct relation *relation = &m->relations[m->relation_count];

	*item = (struct item){ .name = route->name, .line = route->line, .route = route,
		.network = route->network, .domains = route->domains,
		.domain_count = route->domain_count, .metric = route->metric,
		.is_masqueraded = route->is_masqueraded, .is_kept = route->is_kept,
		.is_by_choice = route->is_by_choice,
		.is_open = !route->access.count };
	*relation = (struct relation){ .item = item };
	if (!find_policies(m, item, &route->access) || !set_from(m, &relation->left, &route->to) ||
		!set_from_routers(m, &relation->right, &route->routers, own_group))
		return false;
	name_item(m, item);
	digest_item(m, item, &route->routers, &route->to, relation->digest);
	m->item_count++;
	m->relation_count++;
	return true;
}

/* Whom the policies that accept let at it: they get the route. */
static bool find_recipients(struct model *m, const struct item *item, struct hubmap_set *ret_set)
{
	const struct hubfile_policy *policies = m->file->policies;
	size_t room = 0;

	for (size_t i = 0; i < item->policy_count; i++)
		room += policies[item->policies[i]].from.count;
	if (!set_room(m, ret_set, room))
		return false;
	for (size_t i = 0; i < item->policy_count; i++)
		if (!policies[item->policies[i]].is_drop)
			set_add(ret_set, &policies[item->policies[i]].from);
	settle(ret_set);
	return true;
}

static bool add_resource(struct model *m, const struct hubfile_network *network,
	const struct hubfile_resource *resource, uint32_t own_group)
{
	struct item *item = &m->items[m->item_count];
	struct relation *relation = &m->relations[m->relation_count];

	*item = (struct item){ .name = resource->name, .line = resource->line, .network = resource->network,
		.domains = &((struct hubfile_resource *)resource)->domain, .domain_count = !!resource->domain,
		.metric = network->metric, .is_masqueraded = network->is_masqueraded, .is_kept = true,
		.is_resource = true };
	*relation = (struct relation){ .item = item, .is_sight = true };
	if (!find_policies(m, item, &resource->groups) || !find_recipients(m, item, &relation->left) ||
		!set_from_routers(m, &relation->right, &network->routers, own_group))
		return false;
	if (!relation->left.count)
		return true;
	name_item(m, item);
	digest_item(m, item, &network->routers, NULL, relation->digest);
	m->item_count++;
	m->relation_count++;
	return true;
}

static bool add_network(struct model *m, const struct hubfile_network *network, uint32_t own_group)
{
	for (size_t i = 0; i < network->resource_count; i++)
		if (!add_resource(m, network, &network->resources[i], own_group))
			return false;
	return true;
}

static bool find_twins(struct model *m, struct item *item)
{
	const struct relation *routes = m->relations + m->file->policy_count;
	size_t room = 0;

	for (size_t i = 0; i < m->item_count; i++)
		room += is_twin(&m->items[i], item) ? routes[i].right.count : 0;
	if (!set_room(m, &item->twins, room))
		return false;
	for (size_t i = 0; i < m->item_count; i++) {
		const struct hubmap_set *routers = &routes[i].right;

		for (size_t j = 0; is_twin(&m->items[i], item) && j < routers->count; j++)
			item->twins.of[item->twins.count++] = routers->of[j];
	}
	settle(&item->twins);
	return true;
}

static bool is_governed(const struct item *item, uint32_t policy)
{
	for (size_t i = 0; i < item->policy_count; i++)
		if (item->policies[i] == policy)
			return true;
	return false;
}

static bool find_governed(struct model *m, uint32_t policy)
{
	struct relation *relation = &m->relations[policy];
	size_t count = 0;

	for (size_t i = 0; i < m->item_count; i++)
		count += is_governed(&m->items[i], policy);
	relation->governed = arena_array(&m->arena, count + 1, sizeof(*relation->governed));
	for (size_t i = 0; relation->governed && i < m->item_count; i++)
		if (is_governed(&m->items[i], policy))
			relation->governed[relation->governed_count++] = m->file->policy_count + i;
	return relation->governed;
}

/* Relations */

static bool add_policy(struct model *m, const struct hubfile_policy *policy)
{
	struct relation *relation = &m->relations[m->relation_count++];

	*relation = (struct relation){ .policy = policy, .is_sight = !policy->is_drop };
	digest_policy(m->file, policy, relation->digest);
	return set_from(m, &relation->left, &policy->from) && set_from(m, &relation->right, &policy->to);
}

static bool make_relations(struct model *m)
{
	const struct hubfile *file = m->file;
	size_t room = file->route_count;

	for (size_t i = 0; i < file->network_count; i++)
		room += file->networks[i].resource_count;
	m->items = arena_array(&m->arena, room + 1, sizeof(*m->items));
	m->relations = arena_array(&m->arena, room + file->policy_count + 1, sizeof(*m->relations));
	if (!m->items || !m->relations)
		return false;
	for (size_t i = 0; i < file->policy_count; i++)
		if (!add_policy(m, &file->policies[i]))
			return false;
	for (size_t i = 0; i < file->route_count; i++)
		if (!add_route(m, &file->routes[i], m->named_group_count + i))
			return false;
	for (size_t i = 0; i < file->network_count; i++)
		if (!add_network(m, &file->networks[i], m->named_group_count + file->route_count + i))
			return false;
	for (size_t i = 0; i < m->item_count; i++)
		if (!find_twins(m, &m->items[i]))
			return false;
	for (size_t i = 0; i < file->policy_count; i++)
		if (!find_governed(m, i))
			return false;
	return true;
}

static void each_side(struct model *m, void (*fn)(struct group *group, uint32_t reference))
{
	for (size_t i = 0; i < m->relation_count; i++) {
		const struct relation *r = &m->relations[i];

		for (size_t j = 0; j < r->left.count; j++)
			fn(&m->groups[r->left.of[j]], i << 2 | HUBMAP_LEFT);
		for (size_t j = 0; j < r->right.count; j++)
			fn(&m->groups[r->right.of[j]], i << 2 | HUBMAP_RIGHT);
	}
}

static void count_reference(struct group *group, uint32_t reference)
{
	group->relation_count++;
}

static void add_reference(struct group *group, uint32_t reference)
{
	group->relations[group->relation_count++] = reference;
}

static bool index_relations(struct model *m)
{
	each_side(m, count_reference);
	for (size_t i = 0; i < m->group_count; i++) {
		struct group *group = &m->groups[i];

		group->relations = arena_array(&m->arena, group->relation_count + 1,
			sizeof(*group->relations));
		if (!group->relations)
			return false;
		group->relation_count = 0;
	}
	each_side(m, add_reference);
	return true;
}

/* Peers by name */

static void add_named(struct model *m, const char *text, uint32_t group)
{
	struct named *named = &m->named[m->named_count++];

	*named = (struct named){ .text = text, .group = group };
	named->is_key = strlen(text) == KEY_BASE64_LEN && !key_from_base64(text, named->key);
}

static int by_text(const void *a, const void *b)
{
	const struct named *x = a, *y = b;

	if (x->is_key != y->is_key)
		return y->is_key - x->is_key;
	return x->is_key ? memcmp(x->key, y->key, KEY_LEN) : strcasecmp(x->text, y->text);
}

static void add_routers(struct model *m, const struct hubfile_routers *routers, uint32_t own_group)
{
	for (size_t i = 0; i < routers->peer_count; i++)
		add_named(m, routers->peers[i], own_group);
}

static bool make_named(struct model *m)
{
	const struct hubfile *file = m->file;
	size_t room = 1;

	for (size_t i = 0; i < file->group_count; i++)
		room += file->groups[i].peer_count;
	for (size_t i = 0; i < file->route_count; i++)
		room += file->routes[i].routers.peer_count;
	for (size_t i = 0; i < file->network_count; i++)
		room += file->networks[i].routers.peer_count;
	for (size_t i = 0; i < file->peer_count; i++)
		room += file->peers[i].groups.count;
	m->named = arena_array(&m->arena, room, sizeof(*m->named));
	if (!m->named)
		return false;
	for (size_t i = 0; i < file->group_count; i++)
		for (size_t j = 0; j < file->groups[i].peer_count; j++)
			add_named(m, file->groups[i].peers[j], i);
	for (size_t i = 0; i < file->route_count; i++)
		add_routers(m, &file->routes[i].routers, m->named_group_count + i);
	for (size_t i = 0; i < file->network_count; i++)
		add_routers(m, &file->networks[i].routers, m->named_group_count + file->route_count + i);
	for (size_t i = 0; i < file->peer_count; i++)
		for (size_t j = 0; j < file->peers[i].groups.count; j++)
			add_named(m, file->peers[i].match, file->peers[i].groups.of[j]);
	qsort(m->named, m->named_count, sizeof(*m->named), by_text);
	return true;
}

struct model *hubmap_model_new(const struct hubfile *file)
{
	struct model *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->file = file;
	m->domain = file->domain ? file->domain : DOMAIN_DEFAULT;
	m->named_group_count = file->group_count ? file->group_count : 1;
	m->group_count = m->named_group_count + file->route_count + file->network_count;
	m->groups = arena_array(&m->arena, m->group_count, sizeof(*m->groups));
	digest_nameservers(file, m->nameserver_digest);
	if (!m->groups || !make_relations(m) || !index_relations(m) || !make_named(m)) {
		hubmap_model_free(m);
		return NULL;
	}
	return m;
}

void hubmap_model_free(struct model *m)
{
	if (!m)
		return;
	for (size_t i = 0; m->groups && i < m->group_count; i++)
		free(m->groups[i].of);
	arena_free(&m->arena);
	free(m);
}

/* A peer's groups */

/* The first of @named that does not come before @wanted. */
static struct named *lower_bound(struct named *named, size_t count, const struct named *wanted)
{
	while (count) {
		size_t half = count / 2;

		if (by_text(&named[half], wanted) < 0) {
			named += half + 1;
			count -= half + 1;
		} else {
			count = half;
		}
	}
	return named;
}

static bool is_called(const struct named *named, const struct known *peer, const struct content *is)
{
	if (named->is_key)
		return !memcmp(named->key, peer->key, KEY_LEN);
	return !strcasecmp(named->text, is->name) || !strcasecmp(named->text, is->hostname);
}

static void release(struct model *m, const struct known *peer, const struct named *wanted,
	const struct content *is)
{
	struct named *end = m->named + m->named_count;
	struct named *at = lower_bound(m->named, m->named_count, wanted);

	for (; at < end && !by_text(at, wanted); at++) {
		if (at->holder != peer || (is && is_called(at, peer, is)))
			continue;
		at->holder = NULL;
		at->is_free = true;
		m->free_count++;
	}
}

void hubmap_model_release(struct model *m, const struct known *peer, const struct content *was,
	const struct content *is)
{
	struct named key = { .is_key = true };

	memcpy(key.key, peer->key, KEY_LEN);
	release(m, peer, &key, is);
	release(m, peer, &(struct named){ .text = was->name }, is);
	release(m, peer, &(struct named){ .text = was->hostname }, is);
}

struct known *hubmap_model_next_heir(struct model *m, const struct known_peers *peers)
{
	for (size_t i = 0; m->free_count && i < m->named_count; i++) {
		struct named *named = &m->named[i];
		struct known *peer;

		if (!named->is_free)
			continue;
		named->is_free = false;
		m->free_count--;
		TAILQ_FOREACH(peer, peers, entry)
			if (!named->holder && is_called(named, peer, &peer->is))
				return peer;
	}
	return NULL;
}

struct joining {
	struct known *peer;
	struct places places;
	size_t room;
	bool is_failed;
};

static void join(struct joining *j, uint32_t group)
{
	if (j->places.count == j->room) {
		size_t room = j->room ? 2 * j->room : 8;
		struct place *of = realloc(j->places.of, room * sizeof(*of));

		if (!of) {
			j->is_failed = true;
			return;
		}
		j->places.of = of;
		j->room = room;
	}
	j->places.of[j->places.count++] = (struct place){ .group = group };
}

static void join_named(struct model *m, struct joining *j, const struct named *wanted)
{
	struct named *end = m->named + m->named_count;
	struct named *at = lower_bound(m->named, m->named_count, wanted);

	for (; at < end && !by_text(at, wanted); at++) {
		if (at->holder && at->holder != j->peer)
			continue;
		at->holder = j->peer;
		join(j, at->group);
	}
}

static int by_group(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return (x->group > y->group) - (x->group < y->group);
}

int hubmap_model_resolve(struct model *m, struct known *peer, const struct content *content,
	struct places *ret_places)
{
	struct named wanted = { .is_key = true };
	struct joining j = { .peer = peer };
	size_t kept = 0;

	join(&j, HUBFILE_ALL);
	for (size_t i = 0; i < content->group_count; i++) {
		int group = hubfile_group(m->file, content->groups[i]);

		if (group >= 0)
			join(&j, group);
	}
	memcpy(wanted.key, peer->key, KEY_LEN);
	join_named(m, &j, &wanted);
	join_named(m, &j, &(struct named){ .text = content->name });
	join_named(m, &j, &(struct named){ .text = content->hostname });
	if (j.is_failed) {
		free(j.places.of);
		return -ENOMEM;
	}
	qsort(j.places.of, j.places.count, sizeof(*j.places.of), by_group);
	for (size_t i = 0; i < j.places.count; i++)
		if (!i || j.places.of[i].group != j.places.of[i - 1].group)
			j.places.of[kept++] = j.places.of[i];
	j.places.count = kept;
	*ret_places = j.places;
	return 0;
}
