/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Everything in the file that joins peers is a relation of two sides, each a list of groups: a policy's
 * from and to, who gets a route and who routes it. Routers that are named one by one are a group of their
 * own. Whose map a change touches then follows from the groups of the peer that changed, without a look at
 * the others.
 */
#ifndef TALON_HUBMAP_INTERNAL_H
#define TALON_HUBMAP_INTERNAL_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <sodium.h>

#include "base/arena.h"
#include "crypto/key.h"
#include "hubfile/hubfile.h"
#include "hubmap/hubmap.h"
#include "hubmap/pack.h"

#define HUBMAP_DIGEST_LEN	16
#define HUBMAP_ITEM_ID_LEN	17	/* 16 digits */

enum { HUBMAP_LEFT = 1, HUBMAP_RIGHT = 2 };	/* bits: from and who gets a route; to and routers */

struct hubmap_set {			/* indexes of groups; only All if that is among them */
	uint32_t *of;
	size_t count;
	bool has_all;
};

struct known;

struct group {
	struct known **of;
	size_t count, room;
	uint32_t *relations;		/* index << 2 | bits of the sides */
	size_t relation_count;
};

/* A route, or a resource of a network. */
struct item {
	const char *name;		/* the NetID */
	unsigned int line;		/* in the file */
	const struct hubfile_route *route;	/* NULL: a resource */
	struct cidr network;		/* family 0: by domains */
	char *const *domains;
	size_t domain_count;
	uint16_t metric;
	bool is_masqueraded, is_kept, is_by_choice;
	bool is_open;			/* whoever gets it may use it */
	bool is_resource;
	char id[HUBMAP_ITEM_ID_LEN];
	uint32_t *policies;		/* that say who may use it */
	size_t policy_count;
	struct hubmap_set twins;	/* its routers, and those of the same name and network */
};

struct relation {
	struct hubmap_set left, right;
	const struct hubfile_policy *policy;	/* one of both */
	const struct item *item;
	bool is_sight;			/* lets both sides know each other */
	uint32_t *governed;		/* a policy's: relations of the items that it is asked about */
	size_t governed_count;
	uint8_t digest[HUBMAP_DIGEST_LEN];
	uint64_t stamp;
	uint8_t sides;			/* of the peer whose relations were gathered last */
	uint8_t sides_before;		/* of the same peer before it changed; else 0 */
};

/* A peer that the file names: by key, or by what it is called. The first that joined has the name. */
struct named {
	const char *text;
	bool is_key;
	uint8_t key[KEY_LEN];
	uint32_t group;
	struct known *holder;
	bool is_free;			/* since it was taken from its holder */
};

/* The file, made ready. */
struct model {
	const struct hubfile *file;
	struct arena arena;
	const char *domain;
	struct group *groups;
	size_t named_group_count;	/* of the file; behind them routers that are named one by one */
	size_t group_count;
	struct item *items;
	size_t item_count;
	struct relation *relations;	/* the policies', then the items' */
	size_t relation_count;
	struct named *named;		/* keys in order, then names in order */
	size_t named_count;
	size_t free_count;		/* of named that were taken from somebody */
	uint8_t nameserver_digest[HUBMAP_DIGEST_LEN];
};

/* One membership: the group, and where in its list. */
struct place {
	uint32_t group;
	uint32_t at;
};

struct places {
	struct place *of;		/* by group */
	size_t count;
};

/* What maps say of a peer. */
struct content {
	char *name, *hostname, *version, *ssh_key, *fqdn;
	__be32 address;
	struct talon_addr address6;	/* zero: it has none, or cannot use it */
	bool reads_prefixes, reads_ranges, is_expired, is_old;
	char **groups;
	size_t group_count;
	char text4[INET_ADDRSTRLEN], text6[INET6_ADDRSTRLEN];
	struct pack remote4, remote46;	/* RemotePeerConfig for those without and with IPv6 */
	struct pack record4, record6;	/* SimpleRecord */
};

struct known {
	uint8_t key[KEY_LEN];
	char key_text[KEY_BASE64_LEN + 1];
	struct content is;
	struct places places, next;	/* next: while another file is taken */
	uint64_t seen, ruled;		/* stamps */
	uint64_t allowed;		/* the same as seen: by a policy */
	bool is_marked, is_moved;
	TAILQ_ENTRY(known) entry;	/* in order of joining */
	TAILQ_ENTRY(known) mark;
	LIST_ENTRY(known) by_key;
};

TAILQ_HEAD(known_peers, known);
LIST_HEAD(known_bucket, known);

struct hubmap {
	struct model *model;
	struct known_peers peers;
	TAILQ_HEAD(, known) marks;
	struct known_bucket *buckets;
	size_t bucket_count, peer_count;
	size_t old_count;		/* of peers whose DNS forwarder listens on the old port */
	uint8_t hash_key[crypto_shorthash_KEYBYTES];
	uint8_t prefixlen, prefixlen6;
	uint64_t stamp;
	struct known **seen;		/* room for all peers */
	size_t seen_count, seen_room;
	uint64_t seen_stamp;		/* of those in seen */
	struct relation **related;	/* room for all relations */
	size_t related_count;
	struct relation **related_before;
	size_t related_before_count;
	struct pack out, sources;	/* kept from map to map */
	size_t rule_count;		/* of the list that is being written */
};

/* hubmap.c */
struct known *hubmap_find(const struct hubmap *map, const uint8_t key[static KEY_LEN]);

/* model.c */
/* NULL: out of memory. */
struct model *hubmap_model_new(const struct hubfile *file);
void hubmap_model_free(struct model *model);
/* The same network or the same domains. */
bool hubmap_is_same_target(const struct item *a, const struct item *b);
/*
 * The groups of a peer with @key and @content, which takes those of its names that nobody has. 0 or
 * -ENOMEM.
 */
int hubmap_model_resolve(struct model *model, struct known *peer, const struct content *content,
	struct places *ret_places);

/* Takes from @peer the names that it had by @was, and does not have by @is (NULL: none is left). */
void hubmap_model_release(struct model *model, const struct known *peer, const struct content *was,
	const struct content *is);
/* The first of @peers that is called as somebody was from whom the name was taken; NULL: nobody is. */
struct known *hubmap_model_next_heir(struct model *model, const struct known_peers *peers);

/* prospects.c */
/* NULL: out of memory. From calloc(). */
struct prospects *prospects_new(const struct hubfile *file);
/* By the file alone, some policy that accepts may bring one of the route's to together with a router. */
bool prospects_has(struct prospects *prospects, const struct hubfile_route *route);

/* sight.c */
/* NULL: it is not in @group. */
struct place *hubmap_place_of(const struct places *places, uint32_t group);
bool hubmap_is_in(const struct known *peer, const struct hubmap_set *set);
/* The relations that @peer is in, in map->related, each with its sides. */
void hubmap_gather(struct hubmap *map, const struct known *peer);
/* Adds whom @peer knows to map->seen, each once. @is_fresh: empties it first. Gathers. */
void hubmap_see(struct hubmap *map, struct known *peer, bool is_fresh);
/* One of them is told of the other. */
bool hubmap_knows(const struct hubmap *map, const struct known *a, const struct known *b);
/* True if the item of @relation is meant for @peer, from others. */
bool hubmap_is_recipient(const struct known *peer, const struct relation *relation);
/* Between @other and the peer whose map->seen it is: a route lets nobody know anybody, a policy has to. */
bool hubmap_may_serve(const struct hubmap *map, const struct item *item, const struct known *other);
/* Calls @fn for each member of both sets (NULL: none) once, @peer left out. Not from inside itself. */
void hubmap_each_member(struct hubmap *map, const struct hubmap_set *one, const struct hubmap_set *other,
	const struct known *peer, void (*fn)(void *ctx, struct known *member), void *ctx);

/* write.c */
void hubmap_content_done(struct content *content);
/* What is written of it for others. False: no memory. */
bool hubmap_content_pack(const struct known *peer, const char *domain, struct content *content);

/* rules.c */
void hubmap_write_rules(struct hubmap *map, const struct known *peer, bool has_foreign_sources);
void hubmap_write_route_rules(struct hubmap *map, const struct known *peer);

/* items.c */
/* @ret_has_foreign_sources: packets may come over the mesh with addresses that are no peer's. */
void hubmap_write_routes(struct hubmap *map, const struct known *peer, bool *ret_has_foreign_sources);
/* Route.ID and RouteFirewallRule.RouteID, which must be equal. */
#define HUBMAP_ROUTE_ID_LEN 128
void hubmap_route_id(const struct item *item, const struct known *router, bool is_second_default, char *id);
bool hubmap_is_default4(const struct item *item);
/* As Route.Network and RouteFirewallRule.destination say it. */
void hubmap_item_network(const struct item *item, bool is_second_default, char text[static CIDR_TEXT_LEN]);

#endif
