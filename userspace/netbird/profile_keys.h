/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The keys of default.json and what Talon does with each: one table, used at start, by docs/mesh.md and by
 * the tests. A setting that somebody chose under NetBird's client is never dropped silently.
 */
#ifndef TALON_PROFILE_KEYS_H
#define TALON_PROFILE_KEYS_H

#include <stdbool.h>
#include <stddef.h>

enum profile_verdict {
	PROFILE_HONOURED,	/* has its effect */
	PROFILE_REFUSED,	/* Talon does not start if its value asks for something */
	PROFILE_SAID,		/* no effect, with a warning if its value asks for something */
	PROFILE_KEPT,		/* no effect and no warning: only kept for NetBird's client */
};

struct profile_key {
	const char *name;
	enum profile_verdict verdict;
	const char *meaning;	/* what Talon does, or does instead; one phrase */
};

/* All keys that clients up to 0.77 write, in their order; a nameless one ends the table. */
const struct profile_key *profile_keys(void);
/* Returns "honoured", "refused", ... */
const char *profile_verdict_name(enum profile_verdict verdict);

/* @names: one key, or several unknown ones, separated by commas. */
typedef void (*profile_say_fn)(void *ctx, const char *names, const char *meaning);

/*
 * Goes through the profile @json (json_t *). @no_rosenpass: a flag or variable overrides the file. Returns
 * 0, or -EOPNOTSUPP with one line in @why that names the key and the value to write.
 */
int profile_judge(const void *json, bool no_rosenpass, profile_say_fn say, void *ctx, char *why, size_t size);

#endif
