/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared by identity.c (the profile), identity_new.c (its default contents) and identity_lock.c. */
#ifndef TALON_IDENTITY_INTERNAL_H
#define TALON_IDENTITY_INTERNAL_H

#include <jansson.h>

#include "netbird/identity.h"

/* One line about what is wrong. */
void identity_say(char *why, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The profile that NetBird's client writes for a new peer, with new keys; its keys in the client's order. */
json_t *identity_new_profile(void);
void identity_new_private_key(struct secret_key *ret_key);
json_t *identity_key_json(const struct secret_key *key);
/*
 * "https://host[:port][/path]" as the object that NetBird's client writes, a missing port added. NULL: not of
 * that form, or no memory.
 */
json_t *identity_url_json(const char *url);
/* The URL as text, from an object or a text; the caller frees it. NULL: no URL, or no memory. */
char *identity_url_text(const json_t *json);
/*
 * The public half of an Ed25519 key in PEM as a line for authorized_keys; "" for another one. NULL: no
 * memory.
 */
char *identity_ssh_line(const char *pem);

#endif
