/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The keys of default.json, each with what Talon makes of it: one table, which start, docs/mesh.md and the
 * tests go by. A setting that somebody chose under NetBird's client is never dropped without a word.
 */
#ifndef TALON_PROFILE_KEYS_H
#define TALON_PROFILE_KEYS_H

#include <stdbool.h>
#include <stddef.h>

enum profile_verdict {
	PROFILE_HONOURED,	/* done as it says */
	PROFILE_REFUSED,	/* with the value that asks for it, Talon does not start */
	PROFILE_SAID,		/* no effect, and a warning where its value asks for something */
	PROFILE_KEPT,		/* nothing is lost without it: kept for NetBird's client, no word about it */
};

struct profile_key {
	const char *name;
	enum profile_verdict verdict;
	const char *meaning;	/* what Talon does, or does instead; one phrase */
};

/* All that clients up to 0.77 write, in their order; ended by one without name. */
const struct profile_key *profile_keys(void);
/* "honoured" */
const char *profile_verdict_name(enum profile_verdict verdict);

/* @names is a key, or several unknown ones with commas. */
typedef void (*profile_say_fn)(void *ctx, const char *names, const char *meaning);

/*
 * Goes through the profile @json (json_t *). @no_rosenpass: flag or variable switched it off, whatever the
 * file says. Returns 0, or -EOPNOTSUPP with one line in @why that names the key and what to write.
 */
int profile_judge(const void *json, bool no_rosenpass, profile_say_fn say, void *ctx, char *why, size_t size);

#endif
