// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The peers that there are, and whose map each change touches.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hubmap/hubmap_internal.h"

#define BUCKETS_MIN		64
#define PREFIXLEN_DEFAULT	16
#define PREFIXLEN6_DEFAULT	64
#define LABEL_MAX		63	/* RFC 1035 section 2.3.4 */
#define VERSION_MAX		64
#define SSH_KEY_MAX		4096

/* Peers by key */

static struct known_bucket *bucket_of(const struct hubmap *map, const uint8_t key[static KEY_LEN])
{
	uint8_t hash[crypto_shorthash_BYTES];
	uint64_t number;

	crypto_shorthash(hash, key, KEY_LEN, map->hash_key);
	memcpy(&number, hash, sizeof(number));
	return &map->buckets[number & (map->bucket_count - 1)];
}

struct known *hubmap_find(const struct hubmap *map, const uint8_t key[static KEY_LEN])
{
	struct known *peer;

	LIST_FOREACH(peer, bucket_of(map, key), by_key)
		if (!memcmp(peer->key, key, KEY_LEN))
			return peer;
	return NULL;
}

/* As many buckets as there may be peers in lists that are as long: seeing and marking cannot fail then. */
static int make_room(struct hubmap *map, size_t count)
{
	struct known **seen = realloc(map->seen, count * sizeof(*seen));
	struct known_bucket *buckets;
	struct known *peer;

	if (!seen)
		return -ENOMEM;
	map->seen = seen;
	buckets = calloc(count, sizeof(*buckets));
	if (!buckets)
		return -ENOMEM;
	free(map->buckets);
	map->buckets = buckets;
	map->bucket_count = count;
	TAILQ_FOREACH(peer, &map->peers, entry)
		LIST_INSERT_HEAD(bucket_of(map, peer->key), peer, by_key);
	return 0;
}

static struct known *known_new(struct hubmap *map, const uint8_t key[static KEY_LEN])
{
	struct known *peer = calloc(1, sizeof(*peer));

	if (!peer)
		return NULL;
	memcpy(peer->key, key, KEY_LEN);
	key_to_base64(key, peer->key_text);
	return peer;
}

static void known_free(struct known *peer)
{
	hubmap_content_done(&peer->is);
	free(peer->places.of);
	free(peer);
}

static void add(struct hubmap *map, struct known *peer)
{
	TAILQ_INSERT_TAIL(&map->peers, peer, entry);
	LIST_INSERT_HEAD(bucket_of(map, peer->key), peer, by_key);
	map->peer_count++;
}

/* Marks */

static void mark(struct hubmap *map, struct known *peer)
{
	if (peer->is_marked)
		return;
	peer->is_marked = true;
	TAILQ_INSERT_TAIL(&map->marks, peer, mark);
}

static void unmark(struct hubmap *map, struct known *peer)
{
	if (peer->is_marked)
		TAILQ_REMOVE(&map->marks, peer, mark);
	peer->is_marked = false;
}

static void mark_all(struct hubmap *map)
{
	struct known *peer;

	TAILQ_FOREACH(peer, &map->peers, entry)
		mark(map, peer);
}

/* Who is told nothing of others hears of no change to them. */
static void mark_member(void *ctx, struct known *member)
{
	if (!member->is.is_expired)
		mark(ctx, member);
}

static void mark_seen(struct hubmap *map)
{
	for (size_t i = 0; i < map->seen_count; i++)
		mark_member(map, map->seen[i]);
}

static void mark_if_seen(void *ctx, struct known *member)
{
	struct hubmap *map = ctx;

	if (member->seen == map->seen_stamp)
		mark_member(map, member);
}

bool hubmap_next_marked(struct hubmap *map, uint8_t ret_key[static KEY_LEN])
{
	struct known *peer = TAILQ_FIRST(&map->marks);

	if (!peer)
		return false;
	unmark(map, peer);
	memcpy(ret_key, peer->key, KEY_LEN);
	return true;
}

/* The members of groups */

static int reserve(struct model *m, const struct places *places)
{
	for (size_t i = 0; i < places->count; i++) {
		struct group *group = &m->groups[places->of[i].group];
		size_t room = group->room ? 2 * group->room : 8;
		struct known **of;

		if (group->count < group->room)
			continue;
		of = realloc(group->of, room * sizeof(*of));
		if (!of)
			return -ENOMEM;
		group->of = of;
		group->room = room;
	}
	return 0;
}

/* There is room for it. */
static void join(struct model *m, struct known *peer, struct places *places)
{
	for (size_t i = 0; i < places->count; i++) {
		struct group *group = &m->groups[places->of[i].group];

		places->of[i].at = group->count;
		group->of[group->count++] = peer;
	}
}

static void leave(struct model *m, struct known *peer)
{
	for (size_t i = 0; i < peer->places.count; i++) {
		const struct place *place = &peer->places.of[i];
		struct group *group = &m->groups[place->group];
		struct known *last = group->of[--group->count];

		if (last == peer)
			continue;
		group->of[place->at] = last;
		hubmap_place_of(&last->places, place->group)->at = place->at;
	}
}

static bool is_same_places(const struct places *a, const struct places *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (a->of[i].group != b->of[i].group)
			return false;
	return true;
}

/* What is known of a peer */

/* A version that cannot be read is an old one's, unless it is that of a development build. */
static bool is_since(const char *version, unsigned int minor_wanted)
{
	static const char *const development[] = { "development", "ci-", "dev-" };
	unsigned int major, minor, patch;

	for (size_t i = 0; i < sizeof(development) / sizeof(development[0]); i++)
		if (!strncmp(version, development[i], strlen(development[i])))
			return true;
	return sscanf(version, "%u.%u.%u", &major, &minor, &patch) == 3 && (major || minor >= minor_wanted);
}

static char *copy(const char *text, bool *is_failed)
{
	char *text_copy = strdup(text ? text : "");

	*is_failed |= !text_copy;
	return text_copy;
}

/*
 * A peer says this of itself, and it goes into others' maps, which are refused as a whole for one text
 * that is not UTF-8, and which must not grow by it.
 */
static char *copy_tame(const char *text, size_t max, bool *is_failed)
{
	char *tame = strndup(text ? text : "", max);

	*is_failed |= !tame;
	for (char *at = tame; at && *at; at++)
		if (*at < ' ' || *at > '~')
			*at = '?';
	return tame;
}

static bool is_label(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
	size_t len = name ? strspn(name, allowed) : 0;

	return len && len <= LABEL_MAX && !name[len];
}

static int make_content(const struct hubmap *map, const struct known *peer, const struct hubmap_peer *told,
	struct content *ret)
{
	struct content is = { .address = told->address, .reads_prefixes = told->reads_prefixes,
		.is_expired = told->is_expired };
	bool is_failed = false;

	if (told->carries_ipv6)
		is.address6 = told->address6;
	is.name = copy(told->name, &is_failed);
	is.hostname = copy(told->hostname, &is_failed);
	is.version = copy_tame(told->version, VERSION_MAX, &is_failed);
	if (told->ssh_key && strlen(told->ssh_key) <= SSH_KEY_MAX)
		is.ssh_key = copy(told->ssh_key, &is_failed);
	else
		is.ssh_key = copy("", &is_failed);
	is.groups = calloc(told->group_count + 1, sizeof(*is.groups));
	is_failed |= !is.groups;
	for (size_t i = 0; i < told->group_count && !is_failed; i++)
		is.groups[is.group_count++] = copy(told->groups[i], &is_failed);
	if (is_failed || !hubmap_content_pack(peer, map->model->domain, &is)) {
		hubmap_content_done(&is);
		return -ENOMEM;
	}
	is.reads_ranges = is_since(is.version, 48);
	is.is_old = !is_since(is.version, 59);
	*ret = is;
	return 0;
}

/* Others' maps show it; the version alone is worth no message, the next map has it. */
static bool is_same_look(const struct content *a, const struct content *b)
{
	return !strcmp(a->name, b->name) && !strcmp(a->ssh_key, b->ssh_key) && a->address == b->address &&
		!strcmp(a->text6, b->text6) && a->is_expired == b->is_expired;
}

static bool is_same_reader(const struct content *a, const struct content *b)
{
	return a->reads_prefixes == b->reads_prefixes && a->reads_ranges == b->reads_ranges;
}

/* Changes */

/* Old versions' forwarders have another port, which all maps say. */
static void count_old(struct hubmap *map, int more)
{
	bool were_old = map->old_count;

	map->old_count += more;
	if (were_old != !!map->old_count)
		mark_all(map);
}

/* Before and after: which relations @peer is in, and on which sides. */
static void note_sides(struct hubmap *map)
{
	map->related_before_count = map->related_count;
	for (size_t i = 0; i < map->related_count; i++) {
		map->related_before[i] = map->related[i];
		map->related[i]->sides_before = map->related[i]->sides;
		map->related[i]->sides = 0;
	}
}

/* Those on the other side, if the peer knows them or knew them. True: it is for all of them. */
static bool mark_other_side(struct hubmap *map, const struct known *peer, struct relation *r)
{
	uint8_t changed = r->sides ^ r->sides_before;

	r->sides_before = r->sides;
	if (r->item && (changed & HUBMAP_RIGHT))
		return true;
	if (changed & HUBMAP_LEFT)
		hubmap_each_member(map, &r->right, NULL, peer, mark_if_seen, map);
	for (size_t i = 0; (changed & HUBMAP_LEFT) && i < r->governed_count; i++)
		hubmap_each_member(map, &map->model->relations[r->governed[i]].right, NULL, peer,
			mark_if_seen, map);
	if (changed & HUBMAP_RIGHT)
		hubmap_each_member(map, &r->left, NULL, peer, mark_if_seen, map);
	return false;
}

static void mark_changed_relations(struct hubmap *map, const struct known *peer)
{
	bool is_for_all = false;

	for (size_t i = 0; i < map->related_before_count; i++)
		is_for_all |= mark_other_side(map, peer, map->related_before[i]);
	for (size_t i = 0; i < map->related_count; i++)
		is_for_all |= mark_other_side(map, peer, map->related[i]);
	for (size_t i = 0; i < map->related_before_count; i++)
		map->related_before[i]->sides_before = 0;
	for (size_t i = 0; i < map->related_count; i++)
		map->related[i]->sides_before = 0;
	if (is_for_all)
		mark_seen(map);
}

static void set_places(struct hubmap *map, struct known *peer, struct places *places)
{
	leave(map->model, peer);
	free(peer->places.of);
	peer->places = *places;
	join(map->model, peer, &peer->places);
}

static void set_content(struct hubmap *map, struct known *peer, struct content *is)
{
	struct content old = peer->is;

	peer->is = *is;
	hubmap_content_done(&old);
}

/* @is: NULL: as it was. Both are taken over. */
static void change(struct hubmap *map, struct known *peer, struct content *is, struct places *places)
{
	bool looks_same = !is || is_same_look(&peer->is, is);
	bool is_same = is_same_places(&peer->places, places);

	if (is && !is_same_reader(&peer->is, is))
		mark(map, peer);
	if (!looks_same || !is_same) {
		mark(map, peer);
		hubmap_see(map, peer, true);
		note_sides(map);
	}
	if (is)
		set_content(map, peer, is);
	set_places(map, peer, places);
	if (looks_same && is_same)
		return;
	hubmap_see(map, peer, false);
	if (!looks_same)
		mark_seen(map);
	mark_changed_relations(map, peer);
}

static int resolve(struct hubmap *map, struct known *peer, const struct content *is,
	struct places *ret_places)
{
	int ret = hubmap_model_resolve(map->model, peer, is, ret_places);

	if (ret)
		return ret;
	ret = reserve(map->model, ret_places);
	if (ret)
		free(ret_places->of);
	return ret;
}

/* Names of the file that @peer had go to the next who is called so. */
static void pass_names_on(struct hubmap *map)
{
	struct known *peer;
	struct places places;

	while ((peer = hubmap_model_next_heir(map->model, &map->peers)))
		if (!resolve(map, peer, &peer->is, &places))
			change(map, peer, NULL, &places);
}

int hubmap_put(struct hubmap *map, const struct hubmap_peer *told)
{
	struct known *peer = hubmap_find(map, told->key);
	bool is_new = !peer;
	struct places places;
	struct content is;
	int ret;

	if (!is_label(told->name))
		return -EINVAL;
	if (is_new && map->peer_count == map->bucket_count && make_room(map, 2 * map->bucket_count))
		return -ENOMEM;
	if (is_new)
		peer = known_new(map, told->key);
	if (!peer)
		return -ENOMEM;
	ret = make_content(map, peer, told, &is);
	if (!ret) {
		ret = resolve(map, peer, &is, &places);
		if (ret && is_new)
			hubmap_model_release(map->model, peer, &is, NULL);
		if (ret)
			hubmap_content_done(&is);
	}
	if (ret) {
		if (is_new)
			known_free(peer);
		return ret;
	}
	count_old(map, is.is_old - peer->is.is_old);
	if (is_new) {
		add(map, peer);
		peer->is = is;
		peer->places = places;
		join(map->model, peer, &peer->places);
		hubmap_see(map, peer, true);
		mark_seen(map);
		mark(map, peer);
		return 0;
	}
	hubmap_model_release(map->model, peer, &peer->is, &is);
	change(map, peer, &is, &places);
	pass_names_on(map);
	return 0;
}

int hubmap_remove(struct hubmap *map, const uint8_t key[static KEY_LEN])
{
	struct known *peer = hubmap_find(map, key);

	if (!peer)
		return -ENOENT;
	hubmap_see(map, peer, true);
	mark_seen(map);
	leave(map->model, peer);
	unmark(map, peer);
	TAILQ_REMOVE(&map->peers, peer, entry);
	LIST_REMOVE(peer, by_key);
	map->peer_count--;
	count_old(map, -peer->is.is_old);
	hubmap_model_release(map->model, peer, &peer->is, NULL);
	pass_names_on(map);
	known_free(peer);
	return 0;
}

/* Another file */

static int make_related(const struct model *m, struct relation ***ret_related, struct relation ***ret_before)
{
	*ret_related = calloc(m->relation_count + 1, sizeof(**ret_related));
	*ret_before = calloc(m->relation_count + 1, sizeof(**ret_before));
	if (*ret_related && *ret_before)
		return 0;
	free(*ret_related);
	free(*ret_before);
	return -ENOMEM;
}

static void forget_next(struct hubmap *map)
{
	struct known *peer;

	TAILQ_FOREACH(peer, &map->peers, entry) {
		free(peer->next.of);
		peer->next = (struct places){};
	}
}

static int place_all(struct hubmap *map, struct model *next)
{
	struct known *peer;
	int ret;

	TAILQ_FOREACH(peer, &map->peers, entry) {
		ret = hubmap_model_resolve(next, peer, &peer->is, &peer->next);
		if (!ret)
			ret = reserve(next, &peer->next);
		if (ret)
			return ret;
		join(next, peer, &peer->next);
	}
	return 0;
}

/* Groups of the file have another number in another file, and the same name. */
static bool is_moved(const struct model *m, const struct model *next, const struct known *peer)
{
	size_t before = 0, after = 0;

	while (before < peer->places.count && peer->places.of[before].group < m->named_group_count)
		before++;
	while (after < peer->next.count && peer->next.of[after].group < next->named_group_count)
		after++;
	if (before != after)
		return true;
	for (size_t i = 0; i < before; i++) {
		uint32_t group = peer->places.of[i].group;
		int there = group == HUBFILE_ALL ? HUBFILE_ALL
			: hubfile_group(next->file, m->file->groups[group].name);

		if (there < 0 || !hubmap_place_of(&peer->next, there))
			return true;
	}
	return false;
}

static bool has_relation(const struct model *m, const struct relation *wanted)
{
	for (size_t i = 0; i < m->relation_count; i++)
		if (!memcmp(m->relations[i].digest, wanted->digest, HUBMAP_DIGEST_LEN))
			return true;
	return false;
}

/* Members of what is in the model in force and not in @other, and those whom peers know that moved. */
static void mark_difference(struct hubmap *map, const struct model *other)
{
	const struct model *m = map->model;
	struct known *peer;

	for (size_t i = 0; i < m->relation_count; i++)
		if (!has_relation(other, &m->relations[i]))
			hubmap_each_member(map, &m->relations[i].left, &m->relations[i].right, NULL,
				mark_member, map);
	TAILQ_FOREACH(peer, &map->peers, entry) {
		if (!peer->is_moved)
			continue;
		mark(map, peer);
		hubmap_see(map, peer, true);
		mark_seen(map);
	}
}

static void swap(struct hubmap *map, struct model *next)
{
	struct known *peer;

	map->model = next;
	TAILQ_FOREACH(peer, &map->peers, entry) {
		free(peer->places.of);
		peer->places = peer->next;
		peer->next = (struct places){};
	}
}

static int rename_all(struct hubmap *map)
{
	struct known *peer;
	int ret = 0;

	TAILQ_FOREACH(peer, &map->peers, entry)
		if (!hubmap_content_pack(peer, map->model->domain, &peer->is))
			ret = -ENOMEM;
	mark_all(map);
	return ret;
}

int hubmap_use(struct hubmap *map, const struct hubfile *file)
{
	struct model *next = hubmap_model_new(file), *old = map->model;
	struct relation **related, **before;
	bool is_renamed, has_others;
	struct known *peer;
	int ret;

	if (!next)
		return -ENOMEM;
	ret = make_related(next, &related, &before);
	if (!ret) {
		ret = place_all(map, next);
		if (ret) {
			free(related);
			free(before);
		}
	}
	if (ret) {
		forget_next(map);
		hubmap_model_free(next);
		return ret;
	}
	is_renamed = strcmp(old->domain, next->domain);
	has_others = memcmp(old->nameserver_digest, next->nameserver_digest, HUBMAP_DIGEST_LEN);
	TAILQ_FOREACH(peer, &map->peers, entry)
		peer->is_moved = is_moved(old, next, peer);
	mark_difference(map, next);
	swap(map, next);
	free(map->related);
	free(map->related_before);
	map->related = related;
	map->related_before = before;
	mark_difference(map, old);
	hubmap_model_free(old);
	if (has_others)
		mark_all(map);
	return is_renamed ? rename_all(map) : 0;
}

void hubmap_set_networks(struct hubmap *map, const struct cidr *network, const struct cidr *network6)
{
	uint8_t len = network ? network->prefixlen : PREFIXLEN_DEFAULT;
	uint8_t len6 = network6 && network6->prefixlen ? network6->prefixlen : PREFIXLEN6_DEFAULT;

	if (len == map->prefixlen && len6 == map->prefixlen6)
		return;
	map->prefixlen = len;
	map->prefixlen6 = len6;
	mark_all(map);
}

struct hubmap *hubmap_new(const struct hubfile *file)
{
	struct hubmap *map = calloc(1, sizeof(*map));

	if (!map)
		return NULL;
	TAILQ_INIT(&map->peers);
	TAILQ_INIT(&map->marks);
	map->prefixlen = PREFIXLEN_DEFAULT;
	map->prefixlen6 = PREFIXLEN6_DEFAULT;
	crypto_shorthash_keygen(map->hash_key);
	map->model = hubmap_model_new(file);
	if (!map->model || make_room(map, BUCKETS_MIN) ||
		make_related(map->model, &map->related, &map->related_before)) {
		hubmap_free(map);
		return NULL;
	}
	return map;
}

void hubmap_free(struct hubmap *map)
{
	struct known *peer;

	if (!map)
		return;
	while ((peer = TAILQ_FIRST(&map->peers))) {
		TAILQ_REMOVE(&map->peers, peer, entry);
		known_free(peer);
	}
	hubmap_model_free(map->model);
	free(map->buckets);
	free(map->seen);
	free(map->related);
	free(map->related_before);
	pack_done(&map->out);
	pack_done(&map->sources);
	free(map);
}

bool hubmap_may_talk(const struct hubmap *map, const uint8_t a[static KEY_LEN],
	const uint8_t b[static KEY_LEN])
{
	const struct known *one = hubmap_find(map, a), *other = hubmap_find(map, b);

	if (!one || !other || one->is.is_expired || other->is.is_expired)
		return false;
	return one == other || hubmap_knows(map, one, other);
}
