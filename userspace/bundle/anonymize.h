/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Takes out of text what tells who and where: addresses, domains, names and keys become placeholders, always
 * the same one for the same original, in all texts that pass one anonymizer. What is secret is hidden at
 * every level, even where nothing else is replaced: known secrets, user names and passwords in URLs, UUIDs
 * (setup keys are) and signed tokens.
 */
#ifndef TALON_BUNDLE_ANONYMIZE_H
#define TALON_BUNDLE_ANONYMIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum anon_level {
	ANON_NONE,		/* only what is secret */
	/* public addresses, unique local IPv6 addresses, MAC addresses, domains but NetBird's */
	ANON_DEFAULT,
	/* private and link-local addresses, names of peers and hosts, public keys as well */
	ANON_STRICT,
};

#define ANON_HIDDEN	"(hidden)"

struct anon;

int anon_new(enum anon_level level, struct anon **ret_anon);
/* Wipes. NULL is allowed. */
void anon_free(struct anon *anon);
/* "none", "default", "strict" */
const char *anon_level_name(enum anon_level level);
/*
 * "default" or empty; anything else is strict, so that an unknown request never shows more than was wanted.
 */
enum anon_level anon_level_parse(const char *text);

/* From now on @secret, of at least 6 characters, is hidden. Copied. Returns 0, -EINVAL or -ENOMEM. */
int anon_hide(struct anon *anon, const char *secret);
/*
 * @name is a host of the mesh, a label or a domain: at the strict level its first label is replaced wherever
 * it stands. Returns 0 or -ENOMEM.
 */
int anon_name(struct anon *anon, const char *name);
/* Writes @text to @out, with placeholders. Returns 0 or -ENOMEM, and then nothing may be shown. */
int anon_write(struct anon *anon, const char *text, size_t len, FILE *out);

#endif
