/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Setup keys: UUIDs (RFC 9562 section 4) that let a peer join. Secrets: callers wipe what they are done with.
 */
#ifndef TALON_BASE_SETUP_KEY_H
#define TALON_BASE_SETUP_KEY_H

#include "base/slice.h"

#define SETUP_KEY_LEN	36	/* characters, without terminator */
#define SETUP_KEY_FORM	"xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx, each x a hexadecimal digit"

/*
 * Parses a setup key, blanks around it allowed, as NetBird's client takes it: with dashes, without, or with
 * dashes and in braces; in any case. Writes its canonical form, lower case with dashes, which is what
 * management compares. Returns 0, or -EINVAL with @ret_key empty.
 */
int setup_key_parse(struct slice text, char ret_key[static SETUP_KEY_LEN + 1]);
/* A new one (RFC 9562 section 5.4), in capitals as NetBird shows them. */
void setup_key_make(char ret_key[static SETUP_KEY_LEN + 1]);

#endif
