// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The peers in memory: found by key, and by the names that they have or had.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "hub/internal.h"

#define CHAINS_FIRST	64

static size_t hash(const struct hub_roster *roster, const void *bytes, size_t len)
{
	uint64_t value;

	_Static_assert(crypto_shorthash_KEYBYTES == sizeof(roster->seed), "seed of the hash");
	crypto_shorthash((uint8_t *)&value, bytes, len, roster->seed);
	return value & (roster->chains - 1);
}

static void link_key(struct hub_roster *roster, struct hub_peer *peer)
{
	struct hub_peer **at = &roster->by_key[hash(roster, peer->kept.key, KEY_LEN)];

	peer->next = *at;
	*at = peer;
}

static void link_name(struct hub_roster *roster, struct hub_name *name, struct hub_peer *peer,
	const char *text)
{
	struct hub_name **at = &roster->by_name[hash(roster, text, strlen(text))];

	*name = (struct hub_name){ .next = *at, .peer = peer, .text = text };
	*at = name;
}

static void unlink_name(struct hub_roster *roster, struct hub_name *name)
{
	struct hub_name **at = &roster->by_name[hash(roster, name->text, strlen(name->text))];

	while (*at != name)
		at = &(*at)->next;
	*at = name->next;
}

static void link_peer(struct hub_roster *roster, struct hub_peer *peer)
{
	link_key(roster, peer);
	link_name(roster, &peer->name, peer, peer->kept.name);
	link_name(roster, &peer->hostname, peer, peer->kept.hostname);
}

static int resize(struct hub_roster *roster, size_t chains)
{
	struct hub_peer **by_key = calloc(chains, sizeof(*by_key));
	struct hub_name **by_name = calloc(chains, sizeof(*by_name));
	struct hub_peer **of = realloc(roster->of, chains * sizeof(*of));

	if (of)
		roster->of = of;
	if (!by_key || !by_name || !of) {
		free(by_key);
		free(by_name);
		return -ENOMEM;
	}
	free(roster->by_key);
	free(roster->by_name);
	roster->by_key = by_key;
	roster->by_name = by_name;
	roster->chains = roster->room = chains;
	for (size_t i = 0; i < roster->count; i++)
		link_peer(roster, roster->of[i]);
	return 0;
}

int hub_roster_init(struct hub_roster *roster)
{
	*roster = (struct hub_roster){};
	randombytes_buf(roster->seed, sizeof(roster->seed));
	return resize(roster, CHAINS_FIRST);
}

static void free_peer(struct hub_peer *peer)
{
	hub_kept_done(&peer->kept);
	free(peer);
}

void hub_roster_done(struct hub_roster *roster)
{
	for (size_t i = 0; i < roster->count; i++)
		free_peer(roster->of[i]);
	free(roster->of);
	free(roster->by_key);
	free(roster->by_name);
	*roster = (struct hub_roster){};
}

struct hub_peer *hub_roster_find(const struct hub_roster *roster, const uint8_t key[static KEY_LEN])
{
	for (struct hub_peer *p = roster->by_key[hash(roster, key, KEY_LEN)]; p; p = p->next) {
		if (!memcmp(p->kept.key, key, KEY_LEN))
			return p;
	}
	return NULL;
}

struct hub_peer *hub_roster_find_name(const struct hub_roster *roster, const char *name)
{
	for (struct hub_name *n = roster->by_name[hash(roster, name, strlen(name))]; n; n = n->next) {
		if (!strcmp(n->text, name))
			return n->peer;
	}
	return NULL;
}

struct hub_peer *hub_roster_add(struct hub_roster *roster, struct hubstore_peer *kept)
{
	struct hub_peer *peer;

	if (roster->count == roster->room && resize(roster, roster->chains * 2))
		return NULL;
	peer = calloc(1, sizeof(*peer));
	if (!peer)
		return NULL;
	peer->kept = *kept;
	*kept = (struct hubstore_peer){};
	peer->place = roster->count;
	roster->of[roster->count++] = peer;
	link_peer(roster, peer);
	return peer;
}

void hub_roster_remove(struct hub_roster *roster, struct hub_peer *peer)
{
	struct hub_peer **at = &roster->by_key[hash(roster, peer->kept.key, KEY_LEN)];

	while (*at != peer)
		at = &(*at)->next;
	*at = peer->next;
	unlink_name(roster, &peer->name);
	unlink_name(roster, &peer->hostname);
	roster->of[peer->place] = roster->of[--roster->count];
	roster->of[peer->place]->place = peer->place;
	free_peer(peer);
}

void hub_roster_rename(struct hub_roster *roster, struct hub_peer *peer, char *name)
{
	unlink_name(roster, &peer->name);
	free(peer->kept.name);
	peer->kept.name = name;
	link_name(roster, &peer->name, peer, name);
}

/* What the store keeps of a peer */

void hub_kept_done(struct hubstore_peer *kept)
{
	free(kept->name);
	free(kept->hostname);
	free(kept->ssh_key);
	free(kept->os);
	free(kept->version);
	free(kept->user);
	free(kept->setup_key);
	for (size_t i = 0; i < kept->group_count; i++)
		free(kept->groups[i]);
	free(kept->groups);
	*kept = (struct hubstore_peer){};
}

static int copy_texts(const struct hubstore_peer *from, struct hubstore_peer *to)
{
	const struct { const char *from; char **to; } texts[] = { { from->name, &to->name },
		{ from->hostname, &to->hostname }, { from->ssh_key, &to->ssh_key }, { from->os, &to->os },
		{ from->version, &to->version }, { from->user, &to->user },
		{ from->setup_key, &to->setup_key } };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		*texts[i].to = strdup(texts[i].from ? texts[i].from : "");
		if (!*texts[i].to)
			return -ENOMEM;
	}
	to->groups = calloc(from->group_count + 1, sizeof(*to->groups));
	if (!to->groups)
		return -ENOMEM;
	for (; to->group_count < from->group_count; to->group_count++) {
		to->groups[to->group_count] = strdup(from->groups[to->group_count]);
		if (!to->groups[to->group_count])
			return -ENOMEM;
	}
	return 0;
}

int hub_kept_copy(const struct hubstore_peer *from, struct hubstore_peer *ret_kept)
{
	struct hubstore_peer kept = *from;
	int ret;

	kept.name = kept.hostname = kept.ssh_key = kept.os = kept.version = kept.user = kept.setup_key = NULL;
	kept.groups = NULL;
	kept.group_count = 0;
	ret = copy_texts(from, &kept);
	if (ret)
		hub_kept_done(&kept);
	else
		*ret_kept = kept;
	return ret;
}
