/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What begins at a place in a text. Each returns the length of the thing, or 0 if there is none: a thing
 * begins where a word begins, and ends where it ends.
 */
#ifndef TALON_BUNDLE_MATCH_INTERNAL_H
#define TALON_BUNDLE_MATCH_INTERNAL_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#define MATCH_KEY_LEN	44
#define MATCH_MAC_LEN	17

struct match_at {
	const char *text;
	size_t len;			/* from here to the end of the text; not 0 */
	char before;			/* the character before, '\n' at the beginning */
};

size_t match_uuid(const struct match_at *at);
/* A signed token (JWT). */
size_t match_token(const struct match_at *at);
/* "://USER:PASSWORD@", with all of that. */
size_t match_user_of_url(const struct match_at *at);
/* A key of WireGuard. */
size_t match_key(const struct match_at *at);
/* With colons or hyphens. */
size_t match_mac(const struct match_at *at, uint8_t ret_mac[6]);
size_t match_ip6(const struct match_at *at, struct in6_addr *ret_addr);
/* @ret_addr in host order. */
size_t match_ip4(const struct match_at *at, uint32_t *ret_addr);
/* What looks like a domain, and not like the name of a file or a sysctl. */
size_t match_domain(const struct match_at *at);
/* Letters, digits, '_' and '-'. */
size_t match_word(const struct match_at *at);

#endif
