// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Whether a route may come to be of use, by the file alone: each peer is in the groups that name it, and in
// those of one setup key of the file or of a sign-in. Keys made by command may give others: it is a guess.
#include <stdlib.h>
#include <string.h>

#include "hubmap/hubmap_internal.h"

#define NO_GROUP	UINT16_MAX
#define STEPS_MAX	20000000	/* then the rest is let be */

enum { IN_ONE = 1, IN_OTHER = 2, IN_BOTH = 3 };

struct naming {
	const char *peer;
	uint16_t group;
};

struct prospects {
	const struct hubfile *file;
	struct naming *names;		/* by peer */
	size_t count, steps;
};

/* Who is asked for: in one of @groups, or one of @peers. */
struct side {
	const struct hubfile_groups *groups;
	char *const *peers;
	size_t peer_count;
};

/* Those found: somebody whom the file does not name, or so many whom it names. */
struct found {
	bool is_anybody;
	const char *one;
	size_t count;
};

static bool meets(struct prospects *p, const struct hubfile_groups *a, const struct hubfile_groups *b)
{
	for (size_t i = 0, j = 0; i < a->count && j < b->count;) {
		p->steps++;
		if (a->of[i] == b->of[j])
			return true;
		if (a->of[i] < b->of[j])
			i++;
		else
			j++;
	}
	return false;
}

static bool has(struct prospects *p, const struct hubfile_groups *groups, uint16_t group)
{
	return meets(p, groups, &(struct hubfile_groups){ &group, 1 });
}

static bool is_named(struct prospects *p, const struct side *side, const char *peer)
{
	for (size_t i = 0; i < side->peer_count; i++, p->steps++)
		if (!strcmp(side->peers[i], peer))
			return true;
	return false;
}

static unsigned int bits(struct prospects *p, const struct side *one, const struct side *other,
	const struct hubfile_groups *groups)
{
	return (meets(p, groups, one->groups) ? IN_ONE : 0) |
		(meets(p, groups, other->groups) ? IN_OTHER : 0);
}

/* @ways: where one may be by a single setup key, or by signing in, which may give any of its groups. */
static void find_ways(struct prospects *p, const struct side *one, const struct side *other, bool ways[4])
{
	const struct hubfile *file = p->file;
	unsigned int all = bits(p, one, other, &(struct hubfile_groups){ &(uint16_t){ HUBFILE_ALL }, 1 }), in;

	ways[all] = true;
	for (size_t i = 0; i < file->key_count; i++)
		ways[all | bits(p, one, other, &file->keys[i].groups)] = true;
	in = all | bits(p, one, other, &file->oidc.groups);
	for (size_t i = 0; i < file->group_count; i++) {
		uint16_t group = i;

		if (file->groups[i].claim_count)
			in |= bits(p, one, other, &(struct hubfile_groups){ &group, 1 });
	}
	if (file->oidc.issuer)
		ways[in] = true;
}

static bool is_key(const char *peer)
{
	return strlen(peer) == KEY_BASE64_LEN;
}

static unsigned int bits_of_naming(struct prospects *p, const struct side *one, const struct side *other,
	const struct naming *n)
{
	unsigned int in = is_named(p, one, n->peer) ? IN_ONE : 0;

	if (n->group != NO_GROUP)
		in |= (has(p, one->groups, n->group) ? IN_ONE : 0) |
			(has(p, other->groups, n->group) ? IN_OTHER : 0);
	return in;
}

/* In both sides, and not one of @without (NULL: anybody). */
static struct found find(struct prospects *p, const struct side *one, const struct side *other,
	const struct side *without)
{
	bool ways[4] = {};
	struct found found = {};
	unsigned int by_form[2] = {};	/* of names, of keys: a name and a key may be one peer's */

	find_ways(p, one, other, ways);
	found.is_anybody = ways[IN_BOTH];
	for (size_t i = 0; i < p->count; i++)
		by_form[is_key(p->names[i].peer)] |= bits_of_naming(p, one, other, &p->names[i]);
	for (size_t i = 0, end; i < p->count; i = end) {
		const char *peer = p->names[i].peer;
		unsigned int in = by_form[!is_key(peer)];

		for (end = i; end < p->count && !strcmp(p->names[end].peer, peer); end++)
			in |= bits_of_naming(p, one, other, &p->names[end]);
		for (unsigned int way = 0; way < 4; way++) {
			if (!ways[way] || (in | way) != IN_BOTH || (without && is_named(p, without, peer)))
				continue;
			found.one = peer;
			found.count++;
			break;
		}
	}
	return found;
}

static bool are_two(const struct found *a, const struct found *b)
{
	if ((!a->is_anybody && !a->count) || (!b->is_anybody && !b->count))
		return false;
	return a->is_anybody || b->is_anybody || a->count > 1 || b->count > 1 || strcmp(a->one, b->one);
}

static bool are_joined(struct prospects *p, const struct hubfile_route *route,
	const struct hubfile_groups *left, const struct hubfile_groups *right)
{
	const struct side to = { .groups = &route->to }, from = { .groups = left }, at = { .groups = right },
		routers = { &route->routers.groups, route->routers.peers, route->routers.peer_count };
	struct found recipients = find(p, &to, &from, &routers), servers = find(p, &routers, &at, NULL);

	return are_two(&recipients, &servers);
}

bool prospects_has(struct prospects *p, const struct hubfile_route *route)
{
	for (size_t i = 0; i < p->file->policy_count; i++) {
		const struct hubfile_policy *policy = &p->file->policies[i];

		if (p->steps > STEPS_MAX)
			return true;
		if (!policy->is_drop && (are_joined(p, route, &policy->from, &policy->to) ||
			are_joined(p, route, &policy->to, &policy->from)))
			return true;
	}
	return false;
}

static int compare(const void *a, const void *b)
{
	const struct naming *x = a, *y = b;

	return strcmp(x->peer, y->peer);
}

static size_t count_names(const struct hubfile *file)
{
	size_t count = 0;

	for (size_t i = 0; i < file->group_count; i++)
		count += file->groups[i].peer_count;
	for (size_t i = 0; i < file->peer_count; i++)
		count += file->peers[i].groups.count;
	for (size_t i = 0; i < file->route_count; i++)
		count += file->routes[i].routers.peer_count;
	return count;
}

static void add(struct prospects *p, const char *peer, uint16_t group)
{
	p->names[p->count++] = (struct naming){ peer, group };
}

struct prospects *prospects_new(const struct hubfile *file)
{
	size_t most = count_names(file);
	struct prospects *p = calloc(1, sizeof(*p) + (most + 1) * sizeof(*p->names));

	if (!p)
		return NULL;
	p->file = file;
	p->names = (struct naming *)(p + 1);
	for (size_t i = 0; i < file->group_count; i++)
		for (size_t j = 0; j < file->groups[i].peer_count; j++)
			add(p, file->groups[i].peers[j], i);
	for (size_t i = 0; i < file->peer_count; i++)
		for (size_t j = 0; j < file->peers[i].groups.count; j++)
			add(p, file->peers[i].match, file->peers[i].groups.of[j]);
	for (size_t i = 0; i < file->route_count; i++)
		for (size_t j = 0; j < file->routes[i].routers.peer_count; j++)
			add(p, file->routes[i].routers.peers[j], NO_GROUP);
	qsort(p->names, p->count, sizeof(*p->names), compare);
	return p;
}
