// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What a network map says twice: each peer, prefix and route is kept once.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "netmap/netmap_internal.h"

/* An item and its place in the message: sorting them finds duplicates, and the first of each is kept. */
struct place {
	const void *key;
	uint32_t entry;
	uint32_t item;
};

static int by_entry(const struct place *a, const struct place *b)
{
	return a->entry != b->entry ? (a->entry > b->entry) - (a->entry < b->entry)
		: (a->item > b->item) - (a->item < b->item);
}

static int by_key(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	int order = memcmp(x->key, y->key, KEY_LEN);

	return order ? order : by_entry(x, y);
}

static int compare_prefixes(const struct cidr *a, const struct cidr *b)
{
	int order = memcmp(&a->addr, &b->addr, sizeof(a->addr));

	if (a->family != b->family)
		return a->family - b->family;
	return order ? order : a->prefixlen - b->prefixlen;
}

static int by_prefix(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	int order = compare_prefixes(x->key, y->key);

	return order ? order : by_entry(x, y);
}

static int by_id(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	int order = strcmp(x->key, y->key);

	return order ? order : by_entry(x, y);
}

static const struct cidr *first_of(const struct netmap_peer *peer, int family)
{
	for (size_t i = 0; i < peer->allowed_count; i++)
		if (peer->allowed[i].family == family)
			return &peer->allowed[i];
	return NULL;
}

void netmap_note_addresses(struct netmap_peer *peer)
{
	const struct cidr *first4 = first_of(peer, AF_INET), *first6 = first_of(peer, AF_INET6);

	peer->addr = first4 ? first4->addr.word[0] : 0;
	peer->addr6 = first6 ? first6->addr : (struct talon_addr){};
}

/* The mesh is IPv4's: a peer without such a prefix has no place in it. */
static void drop_unreachable(struct netmap_reader *r)
{
	struct netmap *map = &r->update->map;
	size_t kept = 0;

	for (size_t i = 0; i < map->peer_count; i++) {
		struct netmap_peer *peer = &map->peers[i];

		if (!first_of(peer, AF_INET))
			continue;
		netmap_note_addresses(peer);
		map->peers[kept++] = *peer;
	}
	map->peer_count = kept;
}

/* Of two peers with one key the second loses its allowed IPs, and so is dropped later. */
static int drop_twin_keys(struct netmap_reader *r)
{
	struct netmap *map = &r->update->map;
	struct place *places = malloc(map->peer_count * sizeof(*places) + 1);

	if (!places)
		return -ENOMEM;
	for (size_t i = 0; i < map->peer_count; i++)
		places[i] = (struct place){ map->peers[i].key, i, 0 };
	qsort(places, map->peer_count, sizeof(*places), by_key);
	for (size_t i = 1; i < map->peer_count; i++) {
		if (memcmp(places[i].key, places[i - 1].key, KEY_LEN) != 0)
			continue;
		netmap_skip(r, "peer %s is listed twice", map->peers[places[i].entry].fqdn);
		map->peers[places[i].entry].allowed_count = 0;
	}
	free(places);
	return 0;
}

static void compact_allowed(struct netmap_peer *peer)
{
	size_t kept = 0;

	for (size_t i = 0; i < peer->allowed_count; i++)
		if (peer->allowed[i].family)
			peer->allowed[kept++] = peer->allowed[i];
	peer->allowed_count = kept;
}

static void drop_twins(struct netmap_reader *r, struct place *places, size_t count)
{
	struct netmap_peer *peers = r->update->map.peers;
	size_t first = 0;

	for (size_t i = 1; i < count; i++) {
		struct cidr *cidr = &peers[places[i].entry].allowed[places[i].item];
		char text[CIDR_TEXT_LEN];

		if (compare_prefixes(places[i].key, places[first].key) != 0) {
			first = i;
			continue;
		}
		if (places[i].entry != places[first].entry) {
			cidr_format(cidr, text, sizeof(text));
			netmap_skip(r, "%s belongs to %s and to %s; the first keeps it", text,
				peers[places[first].entry].fqdn, peers[places[i].entry].fqdn);
		}
		places[i].item |= 1U << 31;	/* only marked: the prefix is still compared with the next */
	}
	for (size_t i = 1; i < count; i++)
		if (places[i].item >> 31)
			peers[places[i].entry].allowed[places[i].item & ~(1U << 31)].family = 0;
}

/* A prefix may lead to one peer only. */
static int drop_twin_prefixes(struct netmap_reader *r)
{
	struct netmap *map = &r->update->map;
	struct place *places;
	size_t count = 0;

	for (size_t i = 0; i < map->peer_count; i++)
		count += map->peers[i].allowed_count;
	places = malloc(count * sizeof(*places) + 1);
	if (!places)
		return -ENOMEM;
	count = 0;
	for (size_t i = 0; i < map->peer_count; i++)
		for (size_t j = 0; j < map->peers[i].allowed_count; j++)
			places[count++] = (struct place){ &map->peers[i].allowed[j], i, j };
	qsort(places, count, sizeof(*places), by_prefix);
	drop_twins(r, places, count);
	free(places);
	for (size_t i = 0; i < map->peer_count; i++)
		compact_allowed(&map->peers[i]);
	return 0;
}

static int by_peer_key(const void *a, const void *b)
{
	return memcmp(((const struct netmap_peer *)a)->key, ((const struct netmap_peer *)b)->key, KEY_LEN);
}

int netmap_settle_peers(struct netmap_reader *r)
{
	struct netmap *map = &r->update->map;
	int ret;

	if (!map->peer_count)
		return 0;
	for (size_t i = 0; i < map->peer_count; i++)
		if (!first_of(&map->peers[i], AF_INET))
			netmap_skip(r, "peer %s has no IPv4 address", map->peers[i].fqdn);
	ret = drop_twin_keys(r);
	if (!ret)
		ret = drop_twin_prefixes(r);
	drop_unreachable(r);
	qsort(map->peers, map->peer_count, sizeof(*map->peers), by_peer_key);
	return ret;
}

static void mark_twin_routes(struct netmap_reader *r, struct place *places)
{
	struct netmap *map = &r->update->map;

	for (size_t i = 0; i < map->route_count; i++)
		places[i] = (struct place){ map->routes[i].id, i, 0 };
	qsort(places, map->route_count, sizeof(*places), by_id);
	for (size_t i = 1; i < map->route_count; i++) {
		if (strcmp(places[i].key, places[i - 1].key) != 0)
			continue;
		netmap_skip(r, "route %s is listed twice", (const char *)places[i].key);
		places[i].item = 1;
	}
	for (size_t i = 1; i < map->route_count; i++)
		if (places[i].item)
			map->routes[places[i].entry].id = NULL;
}

int netmap_settle_routes(struct netmap_reader *r)
{
	struct netmap *map = &r->update->map;
	struct place *places = malloc(map->route_count * sizeof(*places) + 1);
	size_t kept = 0;

	if (!places)
		return -ENOMEM;
	mark_twin_routes(r, places);
	free(places);
	for (size_t i = 0; i < map->route_count; i++)
		if (map->routes[i].id)
			map->routes[kept++] = map->routes[i];
	map->route_count = kept;
	return 0;
}
