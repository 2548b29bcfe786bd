/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Inside the room: connections, and the table of ids. A spot is one id: of a member, of somebody connected,
 * or of somebody that others wait for; it is there as long as it is any of these.
 */
#ifndef TALON_HUBRELAY_INTERNAL_H
#define TALON_HUBRELAY_INTERNAL_H

#include <sys/queue.h>

#include "hubrelay/hubrelay.h"
#include "netbird/relay_wire.h"

#define HUBRELAY_WATCHES_MAX	(1 << 20)	/* of all connections together: 80 MB */
#define HUBRELAY_HASH_KEY_LEN	16

enum hubrelay_state {
	HUBRELAY_FRESH,		/* its token is awaited */
	HUBRELAY_READY,
	HUBRELAY_ENDING,	/* at the end of the turn */
	HUBRELAY_ENDED,		/* closed() is awaited */
};

/* One connection wants to know when one id comes and goes. */
struct hubrelay_watch {
	LIST_ENTRY(hubrelay_watch) of_spot, of_conn;
	struct hubrelay_spot *spot;
	struct hubrelay_conn *conn;
	bool wants_online;	/* said once, and not again until it is asked again */
};
LIST_HEAD(hubrelay_watches, hubrelay_watch);

struct hubrelay_spot {
	LIST_ENTRY(hubrelay_spot) chain;
	uint64_t hash;
	uint8_t id[RELAY_ID_LEN];
	bool is_member;
	struct hubrelay_conn *conn;	/* NULL: offline */
	struct hubrelay_watches watches;
	size_t watch_count;
};
LIST_HEAD(hubrelay_chain, hubrelay_spot);

struct hubrelay_table {
	struct hubrelay_chain *chains;
	size_t mask;			/* how many there are, less one */
	size_t spot_count;
	size_t watch_count;
	uint8_t key[HUBRELAY_HASH_KEY_LEN];
};

struct hubrelay_conn {
	struct hubrelay *relay;		/* NULL: freed before the server */
	LIST_ENTRY(hubrelay_conn) entry;
	struct server_socket *socket;
	enum hubrelay_state state;
	struct hubrelay_spot *spot;	/* NULL: not READY */
	/* whom it sent to last; good while relay->generation is this one */
	struct hubrelay_conn *last;
	uint64_t last_generation;
	uint64_t in, out;
	struct loop_timer timer;	/* token, then health checks; ENDING: now */
	uint64_t heard_ns;		/* the last answer to a health check */
	struct hubrelay_watches watches;
	size_t watch_count;
};
LIST_HEAD(hubrelay_conns, hubrelay_conn);

struct hubrelay {
	struct loop *loop;
	uint8_t secret[HUBRELAY_SECRET_LEN];
	char address[RELAY_ADDRESS_MAX + 1];
	size_t peers_max;
	bool members_only;
	struct hubrelay_table table;
	struct hubrelay_conns conns;
	uint64_t generation;		/* counts connections that went */
	struct hubrelay_counts counts;
};

/* Returns 0 or -ENOMEM. */
int hubrelay_table_init(struct hubrelay_table *table);
/* Frees all spots and watches. */
void hubrelay_table_done(struct hubrelay_table *table);
/* NULL: none. */
struct hubrelay_spot *hubrelay_spot_find(const struct hubrelay_table *table,
	const uint8_t id[static RELAY_ID_LEN]);
/* The same, made if there is none. NULL: no memory. */
struct hubrelay_spot *hubrelay_spot_get(struct hubrelay_table *table, const uint8_t id[static RELAY_ID_LEN]);
/* Frees @spot if it is nothing any more. */
void hubrelay_spot_release(struct hubrelay_table *table, struct hubrelay_spot *spot);

/* One for each pair; NULL when there is no room for one more. */
struct hubrelay_watch *hubrelay_watch_add(struct hubrelay_table *table, struct hubrelay_conn *conn,
	struct hubrelay_spot *spot, size_t most);
void hubrelay_watch_remove(struct hubrelay_table *table, struct hubrelay_conn *conn,
	struct hubrelay_spot *spot);
void hubrelay_watch_clear(struct hubrelay_table *table, struct hubrelay_conn *conn);

/*
 * Whether a token is one that hubrelay_token() made for @id: 0, -EKEYREJECTED, or -EKEYEXPIRED after @now_s
 * (Unix).
 */
int hubrelay_token_check(const uint8_t secret[static HUBRELAY_SECRET_LEN],
	const uint8_t id[static RELAY_ID_LEN],
	const uint8_t *payload, size_t payload_len, const uint8_t signature[static RELAY_SIGNATURE_LEN],
	uint64_t now_s);

#endif
