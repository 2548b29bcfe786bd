/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An OpenID issuer as the hub sees it: discovery and signing keys (libcurl, kept and renewed), and tokens
 * checked with them (RFC 7519, RFC 8725; RS256, RS384, RS512, ES256, EdDSA). Tokens are secrets: nothing of
 * them is logged.
 */
#ifndef TALON_OIDC_H
#define TALON_OIDC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop/loop.h"

#define OIDC_WHY_LEN	256
#define OIDC_TOKEN_MAX	16384		/* bytes; a longer one is refused */

/* Why a token was refused. X(name, label, help) */
#define OIDC_REFUSALS(X) \
	X(MALFORMED,	"malformed",	"it is no signed token in compact form") \
	X(ALGORITHM,	"algorithm",	"it is signed in a way that is not allowed, or not at all") \
	X(KEY,		"key",		"it names a key that the issuer does not have") \
	X(SIGNATURE,	"signature",	"its signature is not by the issuer's key") \
	X(ISSUER,	"issuer",	"it is by another issuer") \
	X(AUDIENCE,	"audience",	"it is for another audience") \
	X(TIME,		"time",		"it has expired, or does not count yet") \
	X(CLAIMS,	"claims",	"a claim is missing or malformed") \
	X(UNREADY,	"unready",	"the issuer's keys are not known")

#define OIDC_REFUSAL_ID(id, label, help) OIDC_##id,
enum oidc_refusal { OIDC_REFUSALS(OIDC_REFUSAL_ID) OIDC_REFUSAL_COUNT };
#undef OIDC_REFUSAL_ID

struct oidc;

struct oidc_options {
	/* URL; https, or http to loopback; exactly what discovery and tokens have to name */
	const char *issuer;
	const char *audience;		/* that tokens have to be for */
	/* whom tokens for several audiences may have been issued to; NULL: the audience */
	const char *client_id;
	const char *user_claim;		/* NULL: "sub" */
	const char *groups_claim;	/* NULL: "groups" */
	const char *ca_file;		/* NULL: the system's */
	uint64_t leeway_s;		/* of clocks; 0: 30 s */
};

/* What discovery said (OpenID Connect Discovery 1.0 section 3). Empty strings: it did not, or not yet. */
struct oidc_endpoints {
	const char *device, *token, *authorization;
};

struct oidc_user {
	char *subject;			/* of the user claim */
	/* email, unless it is said to be unverified, preferred_username or name; else the subject */
	char *shown;
	char **groups;
	size_t group_count;
	uint64_t expires_s, issued_s;	/* Unix; issued 0: not said */
	uint8_t hash[32];		/* SHA-256 of the token, to take it once only */
};

/*
 * Begins discovery in the background; texts are copied. Returns 0; -EINVAL: the issuer is no URL that is
 * spoken to; -ELIBACC; -ENOMEM; with one line in @why.
 */
int oidc_new(struct loop *loop, const struct oidc_options *options, struct oidc **ret_oidc,
	char why[static OIDC_WHY_LEN]);
/* Who waits for a check is told that it was refused. NULL is allowed. Also from a check's callback. */
void oidc_free(struct oidc *oidc);
/* False while the keys are not known; @ret_why says what it waits for, until the next call. */
bool oidc_is_ready(const struct oidc *oidc, const char **ret_why);
/* Valid until the loop's next turn. */
void oidc_endpoints(const struct oidc *oidc, struct oidc_endpoints *ret_endpoints);

struct oidc_counts {
	uint64_t accepted, refused[OIDC_REFUSAL_COUNT];
	uint64_t renewals, failures;	/* of the keys */
	size_t keys;			/* that can be used */
	size_t waiting;			/* checks that wait for keys */
};
void oidc_count(const struct oidc *oidc, struct oidc_counts *ret_counts);

/*
 * @user NULL: refused, for the reason @why, one line without anything of the token. Both last until
 * it returns.
 */
typedef void (*oidc_fn)(void *ctx, const struct oidc_user *user, const char *why);
struct oidc_check;
/*
 * Checks a token. @fn is called once, maybe before this returned; then *@ret_check is NULL. It waits while
 * keys are being asked for; a key that is not known makes it ask, at most once a minute. Returns 0, or
 * -ENOMEM without a call.
 */
int oidc_check(struct oidc *oidc, const char *token, size_t len, oidc_fn fn, void *ctx,
	struct oidc_check **ret_check);
/* @fn will not be called. NULL is allowed. */
void oidc_cancel(struct oidc_check *check);

#endif
