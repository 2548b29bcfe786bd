/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets that wait: for a session, for a next hop's MAC, for the first fragment of their datagram. Bounded
 * in number and time.
 */
#ifndef TALON_PACKETS_HOLD_H
#define TALON_PACKETS_HOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "talon/types.h"

/*
 * Packets in all, by what they wait for: strangers can send fragments, and a peer can ask for hosts
 * that are not there.
 */
#define HOLD_MAX_SESSION	512
#define HOLD_MAX_NEIGH		256
#define HOLD_MAX_FRAGMENT	256
/* for one peer, next hop or datagram: as many as WireGuard stages for a peer */
#define HOLD_MAX_EACH		128
#define HOLD_MAX_SOURCE		48	/* fragments from one address: a datagram of 64 KiB */

enum hold_for {
	HOLD_FOR_SESSION,	/* key.peer */
	HOLD_FOR_NEIGH,		/* key.ifindex, key.addr */
	HOLD_FOR_FRAGMENT,	/* key.addr (source), key.addr2 (destination), key.id */
};

struct hold_key {
	enum hold_for what;
	uint32_t peer;
	uint32_t ifindex;
	uint32_t id;
	struct talon_addr addr;
	struct talon_addr addr2;
};

struct held {
	struct held *next;
	struct hold_key key;
	uint64_t until_ns;
	size_t len;
	uint8_t bytes[];
};

struct hold {
	struct held *first, **last;	/* oldest first */
	unsigned count;
	/* before one that is out of time goes; may be NULL */
	void (*expired)(const struct held *held, void *ctx);
	void *ctx;
	uint64_t dropped;		/* made room, out of time, or what they waited for cannot come */
};

void hold_init(struct hold *hold);
/* Wipes and frees all of it. */
void hold_done(struct hold *hold);

/*
 * Keeps a copy until @until_ns (CLOCK_BOOTTIME). Where there are too many, the oldest makes room: of those
 * for @key, of the fragments from that source, or of those that wait for the same kind of thing, so that
 * peers who never answer cannot keep out the others, nor strangers anybody. Returns 0 or -ENOMEM.
 */
int hold_add(struct hold *hold, const struct hold_key *key, const void *bytes, size_t len, uint64_t until_ns);

/* The oldest packet held for @key, or NULL; it is the caller's now, to be given to hold_release(). */
struct held *hold_take(struct hold *hold, const struct hold_key *key);
void hold_release(struct held *held);

bool hold_has(const struct hold *hold, const struct hold_key *key);

/* Drops what is held for @key. Returns how many there were. */
unsigned hold_drop(struct hold *hold, const struct hold_key *key);

/* Drops what is out of time. Returns when the next one will be, or UINT64_MAX. */
uint64_t hold_expire(struct hold *hold, uint64_t now_ns);

#endif
