/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The end of a login: peers that a person signed in are members until a time that management names. Reading
 * it, judging it, when to warn of it, and how it is written. No clock of its own: all times are Unix
 * nanoseconds that the caller passes.
 */
#ifndef TALON_EXPIRY_H
#define TALON_EXPIRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netbird/wire.h"

enum expiry_kind {
	EXPIRY_UNSAID,			/* what is known stays */
	EXPIRY_NONE,			/* this peer's login never ends: what is known is forgotten */
	EXPIRY_AT,
	EXPIRY_IMPLAUSIBLE,		/* by expiry_judge() alone; counts as none */
};

/* What a message says. Zeroed: nothing. */
struct expiry_said {
	enum expiry_kind kind;
	int64_t unix_s;			/* as it came */
	uint32_t nanos;			/* below 1,000,000,000 */
};

/*
 * Reads a google.protobuf.Timestamp that is present. An empty one, and one of all zeros, says that there is
 * no end. Returns 0, or -EBADMSG for what cannot be read or has no valid fraction.
 */
int expiry_read(struct wire wire, struct expiry_said *ret_said);

/*
 * What @said means at @now_ns. Before 1970, more than 30 days past and more than ten years ahead are
 * implausible. *@ret_at_ns is written for EXPIRY_AT only.
 */
enum expiry_kind expiry_judge(const struct expiry_said *said, uint64_t now_ns, uint64_t *ret_at_ns);

/* --- warnings ahead --- */

struct expiry_mark {
	uint64_t lead_ns;		/* before the end; 0: the end itself */
	bool is_urgent;
};

/* Zeroed: no end is known. */
struct expiry_watch {
	uint64_t at_ns;			/* 0: none */
	unsigned int next;		/* the mark to come */
};

/*
 * Takes over an end, 0 for none. Marks that have passed by @now_ns are left out. Returns true if it is
 * another end than before: one that moved by less than two seconds is the same.
 */
bool expiry_watch_set(struct expiry_watch *watch, uint64_t at_ns, uint64_t now_ns);
/* The last mark that has come by @now_ns and was not returned before, once; NULL: none. */
const struct expiry_mark *expiry_watch_due(struct expiry_watch *watch, uint64_t now_ns);
/* How long until the next mark; UINT64_MAX: there is none. */
uint64_t expiry_watch_wait(const struct expiry_watch *watch, uint64_t now_ns);

/* --- text --- */

#define EXPIRY_TEXT_LEN	48

/* RFC 3339 in UTC; @decimals: with as many as there are, as JSON has it. */
void expiry_format_utc(uint64_t at_ns, bool decimals, char text[static EXPIRY_TEXT_LEN]);
/* "8s", "47m", "2h 15m", "3d 4h"; once it is over, "expired 3m ago". */
void expiry_format_left(uint64_t at_ns, uint64_t now_ns, char text[static EXPIRY_TEXT_LEN]);

#endif
