/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An OpenID issuer as the hub sees it: discovery and signing keys (libcurl, kept and renewed), and tokens checked with them
 * (RFC 7519, RFC 8725; RS256, ES256, EdDSA). Tokens are secrets: nothing of them is logged.
 */
#ifndef TALON_OIDC_H
#define TALON_OIDC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop/loop.h"

#define OIDC_WHY_LEN 256

struct oidc;

struct oidc_options {
	const char *issuer;		/* URL; https, or http to loopback */
	const char *audience;		/* that tokens have to be for */
	const char *user_claim;		/* "sub" */
	const char *groups_claim;	/* "groups" */
	const char *ca_file;		/* NULL: the system's */
	uint64_t leeway_s;		/* of clocks; 0: 30 s */
};

/* What discovery said (OpenID Connect Discovery 1.0 section 3). Empty strings: it did not. */
struct oidc_endpoints {
	const char *device, *token, *authorization;
};

struct oidc_user {
	char *subject;			/* of the user claim */
	char *shown;			/* email, preferred_username or name; else the subject */
	char **groups;
	size_t group_count;
	uint64_t expires_s, issued_s;	/* Unix */
	uint8_t hash[32];		/* SHA-256 of the token, to take it once only */
};

/* Begins discovery in the background. Returns 0 or a negative errno with @why. */
int oidc_new(struct loop *loop, const struct oidc_options *options, struct oidc **ret_oidc, char why[static OIDC_WHY_LEN]);
void oidc_free(struct oidc *oidc);
/* False until discovery has succeeded once; @ret_why says what it waits for. */
bool oidc_is_ready(const struct oidc *oidc, const char **ret_why);
void oidc_endpoints(const struct oidc *oidc, struct oidc_endpoints *ret_endpoints);

/* @user NULL: refused, for the reason @why. Called once, maybe before oidc_check() returned. */
typedef void (*oidc_fn)(void *ctx, const struct oidc_user *user, const char *why);
struct oidc_check;
/*
 * Checks a token; an unknown kid makes it ask the issuer once more, at most once a minute. *@ret_check is NULL when @fn was
 * called already.
 */
int oidc_check(struct oidc *oidc, const char *token, size_t len, oidc_fn fn, void *ctx, struct oidc_check **ret_check);
/* @fn will not be called. */
void oidc_cancel(struct oidc_check *check);

#endif
