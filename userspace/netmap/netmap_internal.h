/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Shared by the files that turn a message into a network map: netmap.c (the message, peers, routes),
 * netmap_servers.c, netmap_rules.c, and netmap_check.c, which removes what the lists hold twice.
 */
#ifndef TALON_NETMAP_INTERNAL_H
#define TALON_NETMAP_INTERNAL_H

#include "base/slice.h"
#include "netmap/netmap.h"
#include "netbird/wire.h"

struct netmap_reader {
	struct netmap_update *update;
	const uint8_t *own;		/* our public key, left out of the peers; NULL: nobody is left out */
	const char *agent_version;	/* the previous peer's: most have the same */
	const char *policy;		/* the previous rule's: most have the same */
	bool is_out_of_memory;
};

#define NO_TEXT ((struct slice){ "", 0 })

/* The field's text, not terminated; it points into the message. */
static inline struct slice netmap_text(const struct wire_field *field)
{
	return field->len ? (struct slice){ (const char *)field->bytes, field->len } : NO_TEXT;
}

/* Arguments for "%.*s": the beginning of a text of any length. */
#define SHOWN(text) ((int)((text).len < 48 ? (text).len : 48)), (text).at

/* Counts an entry that is left out and keeps the first reason. */
void netmap_skip(struct netmap_reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Zeroed room for @count items of @size bytes in the map's arena. NULL: out of memory, which is noted. */
void *netmap_take(struct netmap_reader *r, size_t count, size_t size);
/* A terminated copy in the map's arena. NULL: out of memory, which is noted. */
char *netmap_keep(struct netmap_reader *r, struct slice text);

/* A prefix of either family, host bits cleared, or one address. False: it is neither, or IPv4-mapped. */
bool netmap_read_prefix(struct slice text, struct cidr *ret_cidr);
/* True for visible ASCII without blanks, at least one character. */
bool netmap_is_printable(struct slice text);
bool netmap_starts_with(struct slice text, const char *prefix);
/* How many length-delimited fields @number hold at least @shortest bytes. */
size_t netmap_count(struct wire wire, uint32_t number, size_t shortest);
/*
 * Reads the fields @number of @wire as domain names; what is not a domain name is left out and counted.
 * False: out of memory.
 */
bool netmap_read_domains(struct netmap_reader *r, struct wire wire, uint32_t number, char ***ret_domains,
	size_t *ret_count);

/* netmap_servers.c. Returns 0 or a negative errno. */
int netmap_read_servers(struct netmap_reader *r, const struct wire_field *message);

/* netmap_rules.c. True if the rule is to be kept; false: left out, and counted if somebody misses it. */
bool netmap_read_rule(struct netmap_reader *r, const struct wire_field *message,
	struct netmap_rule *ret_rule);
bool netmap_read_route_rule(struct netmap_reader *r, const struct wire_field *message,
	struct netmap_route_rule *ret_rule);

/* netmap_check.c */
/* Sets the peer's addresses: the first of either family that is allowed. */
void netmap_note_addresses(struct netmap_peer *peer);

/* Return 0 or -ENOMEM. */

/* Keeps each key and each prefix once (the first in the message wins) and sorts the peers by key. */
int netmap_settle_peers(struct netmap_reader *r);
/* Keeps each route id once: the first in the message. */
int netmap_settle_routes(struct netmap_reader *r);

#endif
